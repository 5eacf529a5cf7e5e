// The calculator: reads CALCULATOR (calculator-data.js), which the build computes with the library.
"use strict";

(() => {
  const { deployments, same, unable, opens, errors, machines, figures } = CALCULATOR;
  const FIELDS = { batch: "Batch", context: "Context", accepted: "Accepted drafts" };
  const measures = (phase) => ({
    throughput: "tokens/s per accelerator",
    latency: phase === "decode" ? "TPOT, ms" : "step time, ms",
    efficiency: "tokens/s/TFLOPS",
  });
  const STOPS = 160; // of a slider

  // --- words --------------------------------------------------------------------------------

  // A number to some significant digits, as everywhere on the site: 1,229 and 3.556, never 1.2e3.
  function number(value, digits = 4) {
    if (!value) return String(value);
    const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
    const decimals = Math.max(0, digits - 1 - exponent);
    const exact = Math.abs(Number(value.toFixed(decimals)) / value - 1) < 1e-9;
    const least = exact ? 0 : decimals;
    return value.toLocaleString("en-US", { minimumFractionDigits: least, maximumFractionDigits: decimals });
  }

  const plain = (value) => value.toLocaleString("en-US", { maximumFractionDigits: 3 });

  function make(tag, text = "", attributes = {}) {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  // A source as a link to the bibliography, with the anchor that the site gives it.
  function cited(key) {
    const anchor = `cite-${key}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const link = make("a", "", { href: `bibliography.html#${anchor}` });
    link.append(make("code", key));
    return link;
  }

  function fill(select, groups) {
    select.replaceChildren(...Object.entries(groups).map(([label, options]) => {
      const group = make("optgroup", "", { label });
      group.append(...options.map(([value, text]) => make("option", text, { value })));
      return group;
    }));
  }

  // --- the model ----------------------------------------------------------------------------

  const named = (id) => [...deployments, ...same].find((d) => d.id === id || d.published.some((p) => p.id === id));

  function limits(d) {
    const ends = (axis) => [axis[0], axis[axis.length - 1]];
    return { batch: ends(d.batch), context: ends(d.context), accepted: [0, d.drafts] };
  }

  // The interval of an axis that holds a value, and how far into it the value lies.
  function place(axis, value) {
    const i = Math.max(1, axis.findIndex((point) => point >= value));
    return [i - 1, (value - axis[i - 1]) / (axis[i] - axis[i - 1])];
  }

  // Milliseconds of a step: straight lines between the points that the library computed.
  function stepTime(d, batch, context) {
    const [[i, x], [j, y]] = [place(d.batch, batch), place(d.context, context)];
    const line = (row) => (1 - y) * row[j] + y * row[j + 1];
    return (1 - x) * line(d.step[i]) + x * line(d.step[i + 1]);
  }

  // The most requests an accelerator for which weights and cache fit in memory.
  function largest(d, context) {
    if (!d.memory) return Infinity;
    const { have, weights, token } = d.memory;
    const cached = d.phase === "decode" ? token * context : token;
    return Math.floor((have - weights) / cached / d.unit) * d.unit;
  }

  // Every batch that fits and can be set, from one request of a rank on.
  function batches(d, context) {
    const [low, high] = limits(d).batch;
    const count = Math.floor((Math.min(high, largest(d, context)) - low) / d.unit + 1e-9) + 1;
    return Array.from({ length: Math.max(count, 0) }, (_, i) => low + i * d.unit);
  }

  // The largest batch whose tokens take no longer than a target, found as the library does, and what ends it.
  function under(d, at, target) {
    const able = batches(d, at.context);
    const met = (i) => evaluate(d, { ...at, batch: able[i] }).latency <= target;
    let [low, high] = [-1, able.length - 1];
    while (high > low) {
      const middle = Math.ceil((low + high) / 2);
      [low, high] = met(middle) ? [middle, high] : [low, middle - 1];
    }
    if (high < 0) return { ended: able.length ? "no batch keeps it" : "memory" };
    const batch = able[high];
    const end = high < able.length - 1 ? "the target" : batch + d.unit > d.batch.at(-1) ? "the range" : "memory";
    return { batch, ended: end, ...evaluate(d, { ...at, batch }) };
  }

  // What was published of the chip, the model and the phase of a deployment; throughput gives the time per token.
  const rows = deployments.flatMap((d) => d.published.map((p) =>
    ({ ...p, d, latency: (1e3 * p.batch) / p.throughput })));
  const alike = (d) => rows.filter((p) =>
    p.d.phase === d.phase && p.d.chip === d.chip && p.d.settings.model === d.settings.model);

  // What a deployment gives at a setting, or the problem with it.
  function evaluate(d, at) {
    for (const [field, [low, high]] of Object.entries(limits(d))) {
      if (!(at[field] >= low && at[field] <= high)) {
        return { problem: `${FIELDS[field]}: give a number from ${plain(low)} to ${plain(high)}.` };
      }
    }
    const most = largest(d, at.context);
    if (at.batch > most) {
      const fits = most > 0 ? `at this context at most ${plain(most)} fit` : "not even one request fits";
      return { problem: `Does not fit in memory: ${fits}.` };
    }
    const step = stepTime(d, at.batch, at.context);
    const tokens = 1 + at.accepted;
    const throughput = (1e3 * at.batch * tokens) / step;
    return { throughput, latency: step / tokens, efficiency: throughput / d.peak };
  }

  // --- one side -----------------------------------------------------------------------------

  const box = document.getElementById("deployments");

  function side(mark, changed) {
    const element = box.querySelector("template").content.firstElementChild.cloneNode(true);
    const select = element.querySelector("select");
    const controls = Object.fromEntries([...element.querySelectorAll(".control")].map((control) => {
      const input = control.querySelector("input[type=number]");
      return [input.name, { control, input, slider: control.querySelector("input[type=range]"), stops: [] }];
    }));
    const self = { element, d: null, at: {}, found: {} };
    const results = box.querySelector(`.bar .${mark.toLowerCase()}`);

    element.classList.add(mark.toLowerCase());

    self.offer = (phase) => {
      const groups = {};
      for (const d of offered().filter((one) => !phase || one.phase === phase)) {
        (groups[`${d.phase}: ${d.chip}`] ??= []).push([d.id, d.name]);
      }
      fill(select, groups);
    };

    self.set = (d, at) => {
      self.d = d;
      select.value = d.id;
      prepare();
      for (const field of Object.keys(FIELDS)) {
        const value = field === "accepted" && !d.drafts ? 0 : at[field]; // without drafts none is accepted
        controls[field].input.value = value;
        slide(field, value);
      }
    };

    // The controls as the deployment has them: limits, stops of the sliders, published settings.
    function prepare() {
      const { d } = self;
      const hints = {
        batch: d.phase === "decode" ? "requests per accelerator" : "prompt tokens per accelerator",
        context: d.phase === "decode" ? "tokens in the cache" : "prompt tokens",
        accepted: `of ${d.drafts} a step`,
      };
      for (const [field, [low, high]] of Object.entries(limits(d))) {
        const { control, input, slider } = controls[field];
        const unit = field === "batch" ? d.unit : field === "context" ? 1 : 0.01;
        const stop = (i) => (field === "accepted" ? (high * i) / STOPS : low * (high / low) ** (i / STOPS));
        const all = Array.from({ length: STOPS + 1 }, (_, i) => snap(stop(i), unit));
        controls[field].stops = [...new Set(all)];
        Object.assign(input, { min: low, max: high, step: field === "accepted" ? "any" : unit });
        slider.max = controls[field].stops.length - 1;
        slider.setAttribute("aria-label", `${FIELDS[field]} of ${mark}, slider`);
        control.querySelector("small").textContent = hints[field];
        control.hidden = low === high || (mark === "B" && together.checked && field !== "batch"); // as A has it
      }
      const title = `published, batch × context${d.drafts ? " × accepted drafts" : ""}:`;
      element.querySelector(".settings").setAttribute("aria-label", `${mark}, ${title}`);
      const text = (p) => [p.batch, p.context, ...(d.drafts ? [p.accepted] : [])].map(plain).join(" × ");
      const different = new Map(d.published.map((p) => [text(p), p]));
      element.querySelector(".settings").replaceChildren(title, ...[...different].map(([words, p]) => {
        const button = make("button", words, { type: "button" });
        button.addEventListener("click", () => { self.set(d, p); changed(self); });
        return button;
      }));
      element.querySelector(".settings").hidden = !d.published.length;
      element.querySelector("legend").replaceChildren(make("b", mark, { class: "mark" }), ` ${d.chip}, ${d.phase}, ${d.settings.model}`);
      element.querySelector(".run dl").replaceChildren(...Object.entries(d.settings).flatMap(([what, value]) =>
        [make("dt", what), make("dd", value)]));
    }

    const snap = (value, unit) => Number((Math.round(value / unit) * unit).toPrecision(12));
    const read = (field) => {
      const { input } = controls[field];
      const value = input.value.trim() === "" ? NaN : Number(input.value);
      return field === "accepted" ? value : snap(value, Number(input.step));
    };

    function slide(field, value) {
      const { slider, stops } = controls[field];
      const above = stops.findIndex((stop) => stop >= value);
      slider.value = above < 0 ? stops.length - 1 : above;
      slider.setAttribute("aria-valuetext", plain(value));
    }

    self.read = () => Object.fromEntries(Object.keys(FIELDS).map((field) => [field, read(field)]));

    // The context and the acceptance of the other side.
    self.follow = (at) => {
      for (const field of ["context", "accepted"]) {
        controls[field].input.value = at[field];
        slide(field, at[field]);
      }
    };

    self.show = () => {
      const { d } = self;
      self.at = self.read();
      self.found = evaluate(d, self.at);
      for (const place of results.querySelectorAll("[data-of]")) {
        place.textContent = self.found.problem ? "–" : number(self.found[place.dataset.of]);
      }
      results.querySelector("span").textContent = d.name;
      element.querySelector(".problem").textContent = self.found.problem ?? "";
      element.querySelector(".published").replaceChildren(...self.found.problem ? [] : published());
      for (const field of Object.keys(FIELDS)) {
        const [low, high] = limits(d)[field];
        const valid = self.at[field] >= low && self.at[field] <= high;
        controls[field].input.setAttribute("aria-invalid", String(!valid));
      }
    };

    self.here = () => self.d.published.filter((p) => Object.keys(FIELDS).every((field) => p[field] === self.at[field]));

    // The peak that the tokens are counted against, and what was published for exactly this setting.
    function published() {
      const { d, found } = self;
      const here = self.here();
      const peak = `Peak in ${d.settings.matrices}: ${plain(d.peak)} TFLOPS. `;
      if (!here.length) return [peak, "Nothing was published for this setting."];
      return [peak, ...here.flatMap((p) => {
        const gap = 100 * (found.throughput / p.throughput - 1);
        const deviation = `${gap < 0 ? "−" : "+"}${Math.abs(gap).toFixed(1)} %`;
        return [`Published: ${number(p.throughput)} tokens/s (`, cited(p.source), `), model ${deviation}. `];
      })];
    }

    select.addEventListener("change", () => {
      open(self, named(select.value), select.value);
      changed(self);
    });
    for (const [field, { input, slider }] of Object.entries(controls)) {
      input.addEventListener("input", () => { slide(field, read(field)); changed(self); });
      input.addEventListener("change", () => { if (!Number.isNaN(read(field))) input.value = read(field); });
      slider.addEventListener("input", () => {
        input.value = controls[field].stops[slider.value];
        slider.setAttribute("aria-valuetext", plain(read(field)));
        changed(self);
      });
    }
    box.querySelector(".curve").before(element);
    return self;
  }

  // --- both sides ---------------------------------------------------------------------------

  const together = box.querySelector("[name=same]");
  const target = box.querySelector("[name=target]");
  const offered = () => (together.checked ? same : deployments);
  const published = (id) => rows.find((p) => p.id === id);

  // A deployment at its first published setting, or at that of the first one that the page opens with.
  const open = (one, d, id) => one.set(d, published(id) ?? d.published[0] ?? published(opens[d.phase][0]));

  // What a side opens with in a phase.
  function opening(phase, i) {
    const d = named(opens[phase][i]);
    return together.checked ? same.find((one) => one.phase === phase && one.chip === d.chip) : d;
  }

  const a = side("A", () => {
    if (b.d.phase !== a.d.phase) {
      b.offer(a.d.phase);
      open(b, opening(a.d.phase, 1), opens[a.d.phase][1]);
    }
    update();
  });
  const b = side("B", () => update());
  const sides = [a, b];

  let left; // what was compared before the work became the same

  together.addEventListener("change", () => {
    const now = sides.map(({ d, at }) => [d, at]);
    const { phase } = a.d;
    const { accepted } = published(opens[phase][0]); // where a side had no drafts
    a.offer();
    b.offer(phase);
    sides.forEach((one, i) => {
      const [d, at] = now[i];
      const [back, then] = left?.[i] ?? [];
      const next = [opening(phase, i), ...offered()].find((other) => other.phase === phase && other.chip === d.chip) ?? opening(phase, i);
      if (!together.checked && back?.phase === phase && back.chip === d.chip) one.set(back, then);
      else if (together.checked) one.set(next, { ...at, accepted: d.drafts ? Math.min(at.accepted, next.drafts) : accepted });
      else open(one, next, next === opening(phase, i) ? opens[phase][i] : next.id);
    });
    left = now;
    update();
  });
  target.addEventListener("input", () => update());

  function update() {
    if (together.checked) b.follow(a.read());
    for (const one of sides) one.show();
    const { phase } = a.d;
    const bad = a.found.problem || b.found.problem;
    for (const cell of box.querySelectorAll("[data-ratio]")) {
      const { ratio: measure } = cell.dataset;
      cell.textContent = bad ? "–" : number(a.found[measure] / b.found[measure]);
    }
    box.querySelector("[data-name]").textContent = measures(phase).latency;
    box.querySelector(".error").textContent = `A ratio of two ${phase} predictions has ${errors[phase]}.`;
    aim(phase);
    compareRuns(phase);
    sketch(phase);
    remember();
  }

  function line(head, cells) {
    const row = make("tr");
    row.append(typeof head === "string" ? make("th", head, { scope: "row" }) : head, ...cells.map((cell) => make("td", cell)));
    return row;
  }

  const letter = (mark) => {
    const head = make("th", "", { scope: "row", class: mark.toLowerCase() });
    head.append(make("b", mark, { class: "mark" }));
    return head;
  };

  // The largest batch of either side under the target; a published run that keeps it where the model finds none.
  function aim(phase) {
    const goal = box.querySelector(".goal");
    goal.hidden = phase !== "decode";
    const limit = Number(target.value);
    const valid = limit >= 1 && limit <= 1000;
    target.setAttribute("aria-invalid", String(!valid));
    const found = sides.map(({ d, at }) => (valid ? under(d, at, limit) : { ended: "give 1 to 1,000 ms" }));
    goal.querySelector("tbody").replaceChildren(...found.map((best, i) => {
      const known = best.batch ? [] : alike(sides[i].d).filter((p) => p.latency <= limit);
      const most = known.sort((one, other) => other.throughput - one.throughput)[0];
      const but = most ? `; published: ${number(most.throughput)} tokens/s at ${number(most.latency, 3)} ms` : "";
      const told = best.batch ? [plain(best.batch), number(best.throughput)] : ["–", "–"];
      return line(letter("AB"[i]), [...told, best.ended + but]);
    }), line("A ÷ B", ["batch", "throughput"].map((what) => {
      const quotient = found[0][what] / found[1][what];
      return quotient ? number(quotient) : "–";
    }).concat("")));
  }

  // What is not the same on both sides.
  function compareRuns(phase) {
    const told = sides.map(({ d, at }) => ({
      chip: d.chip, ...d.settings, batch: plain(at.batch), context: plain(at.context),
      ...(phase === "decode" ? { "accepted drafts": plain(at.accepted) } : {}),
    }));
    const apart = Object.keys(told[0]).filter((what) => told[0][what] !== told[1][what]);
    box.querySelector(".differs tbody").replaceChildren(...apart.map((what) => line(what, told.map((one) => one[what]))));
    const formats = told.map((one) => `${one.chip} multiplies eight bits as ${one.matrices}`);
    const cannot = [
      ...(apart.includes("matrices") ? [`The format cannot be the same: ${formats.join(", ")}.`] : []),
      ...Object.entries(unable[phase]).map(([chip, why]) => `${chip} cannot do this work: ${why}.`),
    ];
    box.querySelector(".unable").textContent = together.checked ? cannot.join(" ") : "";
  }

  // --- the curve ----------------------------------------------------------------------------

  const svg = box.querySelector(".curve svg");

  function sketch(phase) {
    const { latency } = measures(phase);
    const limit = phase === "decode" && Number(target.value);
    const buttons = [];
    const drawn = sides.map((one, i) => {
      const { d, at, found } = one;
      const mark = "ab"[i];
      const shared = i === 1 && a.d.chip === d.chip && a.d.settings.model === d.settings.model;
      const points = (shared ? [] : alike(d)).sort((p, q) => p.latency - q.latency).map((p, n) => {
        const label = `${"AB"[i]}${n + 1}`;
        const kind = p.kind === "measured" ? "" : `, ${p.kind}`;
        const at = [p.batch, p.context].map(plain).join(" × ");
        const words = `${p.by}, ${at}: ${number(p.throughput)} tokens/s at ${number(p.latency, 3)} ms${kind}`;
        const button = make("button", "", { type: "button" });
        button.append(make("b", label, { class: `mark ${mark}` }), ` ${words}`);
        button.addEventListener("click", () => {
          together.checked = false;
          for (const other of sides) other.offer(other === b && a.d.phase);
          for (const other of sides) other.set(other === one ? p.d : back(other.d), other === one ? p : other.at);
          update();
        });
        buttons.push(button);
        return { at: [p.latency, p.throughput], name: label, full: p.d === d && p.context === one.at.context, words: `${label}: ${words}` };
      });
      const able = Number.isFinite(at.context) ? batches(d, at.context) : [];
      const every = Math.max(1, able.length / 100);
      const kept = able.filter((_, k) => k < 30 || k % Math.ceil(every) === 0 || k === able.length - 1);
      const told = kept.map((batch) => evaluate(d, { ...at, batch })).filter((one) => !one.problem);
      const now = found.problem ? null : [found.latency, found.throughput];
      return { mark, line: told.map((one) => [one.latency, one.throughput]), now, points };
    });
    const said = sides.map(({ found }, i) => (found.problem ? `${"AB"[i]}: ${found.problem}`
      : `${"AB"[i]} gives ${number(found.throughput)} tokens/s at ${number(found.latency)} ms`));
    box.querySelector("#curve-words").textContent = `${said.join("; ")}. Published of these chips and models:`;
    box.querySelector(".points").replaceChildren(...buttons.map((button) => {
      const item = make("li");
      item.append(button);
      return item;
    }));
    CURVE(svg, drawn, limit, {
      title: `Curves of tokens/s per accelerator over ${latency} of A and B, with ${buttons.length} published points`,
      rate: "tokens/s per accelerator", latency: `${latency} (log scale)`,
    }, plain);
  }

  // The published deployment that a side without one stands for.
  const back = (d) => (deployments.includes(d) ? d : deployments.find((one) => one.phase === d.phase && one.chip === d.chip));

  new ResizeObserver(() => sketch(a.d.phase)).observe(svg.parentElement);

  // --- chips and systems --------------------------------------------------------------------

  const frame = document.getElementById("machines");
  const [first, second] = frame.querySelectorAll("select");
  const subjects = Object.assign({}, ...Object.values(machines));

  function compare() {
    const [x, y] = [first.value, second.value];
    const heads = frame.querySelectorAll("thead th");
    [heads[1].textContent, heads[2].textContent] = [subjects[x], subjects[y]];
    const both = figures.filter(([, of]) => x in of && y in of);
    frame.querySelector("tbody").replaceChildren(...both.map(([label, of]) => {
      const [[ours, oursText, from], [theirs, theirsText, others]] = [of[x], of[y]];
      const row = make("tr");
      const head = make("th", label, { scope: "row" });
      const keys = [...new Set([...from, ...others])];
      const sources = make("details");
      sources.append(make("summary", keys.length > 1 ? `${keys.length} sources` : "1 source"));
      sources.append(...keys.flatMap((key) => [cited(key), " "]));
      head.append(sources);
      row.append(head, make("td", oursText), make("td", theirsText), make("td", number(ours / theirs)));
      return row;
    }));
    const alone = (one, other) => figures.filter(([, of]) => one in of && !(other in of)).map(([label]) => label);
    const said = [[x, alone(x, y)], [y, alone(y, x)]].filter(([, labels]) => labels.length);
    frame.querySelector(".missing").textContent = said
      .map(([one, labels]) => `Sourced for ${subjects[one]} alone: ${labels.join("; ")}.`).join(" ");
    remember();
  }

  // --- the address --------------------------------------------------------------------------

  let waiting = 0;

  // Written when a movement has ended: browsers refuse a page that changes its address too often.
  function remember() {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const settings = sides.map((one, i) =>
        `${"ab"[i]}=${one.here()[0]?.id ?? one.d.id},${Object.values(one.at).join()}`);
      const aim = target.value === target.defaultValue ? [] : [`t=${target.value}`];
      history.replaceState(null, "", `#${[...settings, `x=${first.value}`, `y=${second.value}`, ...aim].join("&")}`);
    }, 250);
  }

  // The setting that an address holds; what it leaves out, or spells wrongly, is as the page opens.
  function restore() {
    const given = new URLSearchParams(location.hash.slice(1));
    const asked = named((given.get("a") ?? "").split(",")[0]);
    const phase = (asked ?? named(opens.decode[0])).phase;
    together.checked = same.includes(asked);
    target.value = given.get("t") ?? target.defaultValue;
    a.offer();
    b.offer(phase);
    for (const [i, one] of sides.entries()) {
      const [wanted, ...values] = (given.get("ab"[i]) ?? "").split(",");
      const d = named(wanted);
      const known = d?.phase === phase && offered().includes(d);
      if (known && values.length === 3) {
        const [batch, context, accepted] = values.map(Number);
        one.set(d, { batch, context, accepted });
      } else {
        open(one, known ? d : opening(phase, i), known ? wanted : opens[phase][i]);
      }
    }
    for (const [i, select] of [first, second].entries()) {
      const wanted = given.get("xy"[i]);
      select.value = Object.hasOwn(subjects, wanted) ? wanted : opens.machines[i];
    }
    update();
    compare();
  }

  for (const select of [first, second]) {
    fill(select, Object.fromEntries(Object.entries(machines).map(([kind, held]) => [kind, Object.entries(held)])));
    select.addEventListener("change", compare);
  }
  addEventListener("hashchange", () => { if (/^#(.*&)?[abxy]=/.test(location.hash)) restore(); });
  restore();
  box.hidden = frame.hidden = false;
})();
