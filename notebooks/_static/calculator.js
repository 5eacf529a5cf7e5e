// The calculator: reads CALCULATOR (calculator-data.js), which the build computes with the library.
"use strict";

(() => {
  const { deployments, opens, errors, machines, figures } = CALCULATOR;
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

  const named = (id) => deployments.find((d) => d.published.some((p) => p.id === id));
  const name = (d) => d.published[0].id;

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

    element.classList.add(mark.toLowerCase());

    self.offer = (phase) => {
      const groups = {};
      for (const d of deployments.filter((one) => !phase || one.phase === phase)) {
        (groups[`${d.phase}: ${d.chip}`] ??= []).push([name(d), d.label]);
      }
      fill(select, groups);
    };

    self.set = (d, at) => {
      self.d = d;
      select.value = name(d);
      prepare();
      for (const field of Object.keys(FIELDS)) {
        const value = controls[field].control.hidden ? 0 : at[field]; // without drafts none is accepted
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
        control.hidden = low === high;
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
      element.querySelector("legend").replaceChildren(make("b", mark, { class: "mark" }), ` ${d.chip}, ${d.phase}`);
      element.querySelector(".label").textContent = d.label;
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

    self.show = () => {
      const { d } = self;
      self.at = Object.fromEntries(Object.keys(FIELDS).map((field) => [field, read(field)]));
      self.found = evaluate(d, self.at);
      for (const place of element.querySelectorAll("[data-of]")) {
        place.textContent = self.found.problem ? "–" : number(self.found[place.dataset.of]);
      }
      element.querySelector("[data-name]").textContent = measures(d.phase).latency;
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
      const peak = `Peak in ${d.precision}: ${plain(d.peak)} TFLOPS. `;
      if (!here.length) return [peak, "Nothing was published for this setting."];
      return [peak, ...here.flatMap((p) => {
        const gap = 100 * (found.throughput / p.throughput - 1);
        const deviation = `${gap < 0 ? "−" : "+"}${Math.abs(gap).toFixed(1)} %`;
        return [`Published: ${number(p.throughput)} tokens/s (`, cited(p.source), `), model ${deviation}. `];
      })];
    }

    select.addEventListener("change", () => {
      self.set(named(select.value), named(select.value).published[0]);
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
    box.querySelector(".sides").append(element);
    return self;
  }

  // --- both sides ---------------------------------------------------------------------------

  const published = (id) => named(id).published.find((p) => p.id === id);
  const open = (one, id) => one.set(named(id), published(id));

  const a = side("A", () => {
    if (b.d.phase !== a.d.phase) {
      b.offer(a.d.phase);
      open(b, opens[a.d.phase][1]);
    }
    update();
  });
  const b = side("B", () => update());

  function update() {
    a.show();
    b.show();
    const bad = a.found.problem || b.found.problem;
    box.querySelector(".quotient dl").replaceChildren(...Object.entries(measures(a.d.phase)).map(([measure, label]) => {
      const pair = make("div");
      const value = bad ? "–" : number(a.found[measure] / b.found[measure]);
      const bars = make("dd", "", { class: "bars" });
      pair.append(make("dt", label), make("dd", value, { "data-ratio": measure }), bars);
      for (const [mark, one] of bad ? [] : [["a", a], ["b", b]]) {
        const share = one.found[measure] / Math.max(a.found[measure], b.found[measure]);
        bars.append(make("span", "", { class: `bar ${mark}`, style: `width: ${100 * share}%` }));
      }
      return pair;
    }));
    const most = (100 * errors[a.d.phase]).toFixed(1);
    box.querySelector(".error").textContent =
      `The model meets nine in ten well specified ${a.d.phase} measurements within ${most} %. A ratio of two predictions errs by more and decides nothing smaller than a factor of two.`;
    remember();
  }

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
      const sides = [["a", a], ["b", b]].map(([key, one]) =>
        `${key}=${one.here()[0]?.id ?? name(one.d)},${Object.values(one.at).join()}`);
      history.replaceState(null, "", `#${[...sides, `x=${first.value}`, `y=${second.value}`].join("&")}`);
    }, 250);
  }

  // The setting that an address holds; what it leaves out, or spells wrongly, is as the page opens.
  function restore() {
    const given = new URLSearchParams(location.hash.slice(1));
    const [id] = (given.get("a") ?? "").split(",");
    const phase = (named(id) ?? named(opens.decode[0])).phase;
    a.offer();
    b.offer(phase);
    for (const [i, one] of [a, b].entries()) {
      const [wanted, ...values] = (given.get("ab"[i]) ?? "").split(",");
      const known = named(wanted)?.phase === phase ? wanted : opens[phase][i];
      open(one, known);
      if (values.length === 3 && known === wanted) {
        const [batch, context, accepted] = values.map(Number);
        one.set(named(known), { batch, context, accepted });
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
