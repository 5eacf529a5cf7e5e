// The curve of the calculator: throughput over latency of two sides, with what was published.
"use strict";

const CURVE = (() => {
  const MARGIN = { top: 40, right: 16, bottom: 40, left: 52 };
  const RADIUS = 9; // of a mark with a name in it

  function shape(tag, attributes, text = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  // 1, 2 and 5 of every power of ten between two numbers.
  function decades(low, high) {
    const found = [];
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) {
      found.push(...[1, 2, 5].map((n) => n * power).filter((n) => n >= low && n <= high));
    }
    return found;
  }

  // Round steps from 0 up to at least `high`.
  function steps(high) {
    const step = decades(high / 1e3, high).find((one) => high / one <= 5);
    return Array.from({ length: Math.ceil(high / step) + 1 }, (_, i) => i * step);
  }

  // Where a name stands beside its dot: the nearest place that no other name or dot takes.
  function beside([x, y], taken, [top, bottom]) {
    const tries = [0, 1, 2, 3, 4, 5].flatMap((n) => [-1, 1].flatMap((up) => [0, -1, 1].map((right) =>
      [x + right * 2 * RADIUS, y + up * (n + 1) * 2.1 * RADIUS])));
    const free = ([u, v]) => v > top && v < bottom && taken.every(([p, q]) => Math.hypot(u - p, v - q) > 1.9 * RADIUS);
    return tries.find(free) ?? tries[0];
  }

  // Each side: mark, its line [[ms, tokens/s], …], where it stands (or nothing), and its points.
  return function draw(svg, sides, target, texts, plain) {
    const width = Math.max(svg.getBoundingClientRect().width, 280);
    const height = width < 480 ? 280 : 340;
    const all = sides.flatMap(({ line, points }) => [...line, ...points.map((p) => p.at)]);
    const [low, high] = [Math.min, Math.max].map((end) => end(...all.map(([ms]) => ms), ...(target ? [target] : [])));
    const ticks = steps(Math.max(...all.map(([, rate]) => rate)) * 1.02);
    const [right, floor] = [width - MARGIN.right, height - MARGIN.bottom];
    const x = (ms) => MARGIN.left + ((right - MARGIN.left) * Math.log(ms / low)) / Math.log(high / low || 2);
    const y = (rate) => floor - ((floor - MARGIN.top) * rate) / ticks.at(-1);
    const at = ([ms, rate]) => [x(ms), y(rate)];

    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", texts.title);
    svg.replaceChildren(shape("text", { x: 0, y: 12 }, texts.rate));
    svg.append(shape("text", { x: right, y: height - 4, "text-anchor": "end" }, texts.latency));
    for (const tick of ticks) {
      svg.append(shape("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick) }));
      svg.append(shape("text", { x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" }, plain(tick)));
    }
    let free = 0; // from here on there is room for the next number
    for (const tick of decades(low, high).filter((one) => x(one) >= MARGIN.left)) {
      svg.append(shape("line", { class: "grid", x1: x(tick), x2: x(tick), y1: floor, y2: floor + 5 }));
      if (x(tick) < free) continue;
      svg.append(shape("text", { x: x(tick), y: floor + 18, "text-anchor": "middle" }, plain(tick)));
      free = x(tick) + 34;
    }
    if (target) {
      svg.append(shape("line", { class: "target", x1: x(target), x2: x(target), y1: MARGIN.top - 6, y2: floor }));
      const anchor = x(target) > width / 2 ? "end" : "start";
      svg.append(shape("text", { x: x(target), y: MARGIN.top - 12, "text-anchor": anchor }, `${plain(target)} ms`));
    }
    const taken = sides.flatMap(({ now, points }) => [...(now ? [at(now)] : []), ...points.map((p) => at(p.at))]);
    for (const { mark, line } of sides) {
      const path = line.map((point) => at(point).map((n) => n.toFixed(1)).join()).join(" ");
      svg.append(shape("polyline", { class: mark, points: path }));
    }
    for (const { mark, points } of sides) {
      for (const { at: place, name, full, words } of points) {
        const [[u, v], group] = [at(place), shape("g", { class: mark })];
        const [p, q] = beside([u, v], taken, [MARGIN.top, floor]);
        taken.push([p, q]);
        group.append(shape("title", {}, words), shape("line", { x1: u, y1: v, x2: p, y2: q }));
        group.append(shape("circle", { class: full ? "full" : "", cx: u, cy: v, r: 4 }));
        group.append(shape("circle", { class: "name", cx: p, cy: q, r: RADIUS - 0.5 }));
        group.append(shape("text", { x: p, y: q + 3.5, "text-anchor": "middle" }, name));
        svg.append(group);
      }
    }
    for (const { mark, now } of sides.filter((side) => side.now)) {
      const [[u, v], group] = [at(now), shape("g", { class: `${mark} now` })];
      group.append(shape("circle", { cx: u, cy: v, r: RADIUS }));
      group.append(shape("text", { x: u, y: v + 4, "text-anchor": "middle" }, mark.toUpperCase()));
      svg.append(group);
    }
  };
})();
