// The table of all claims gets filters, sorting and a search, kept in the address, and on a phone
// becomes a list of cards. Without scripts it stays a plain table.
"use strict";

const FILTERS = ["article", "category", "answer", "settled"];
const SORTED = ["id", "claimed", "derived", ...FILTERS];
const DETAILS = ["span", "5–95 %", "stands in", "overturn", "sources"]; // shown on request, and in the working
const FIRST = 20; // cards that a phone shows before it is asked for more
const MULTIPLES = {
  half: 1 / 2, "two thirds": 2 / 3, third: 1 / 3, "three quarters": 3 / 4, quarter: 1 / 4, fifth: 1 / 5, tenth: 1 / 10,
  double: 2, twice: 2, triple: 3, threefold: 3, quadruple: 4, fourfold: 4, fivefold: 5, tenfold: 10,
};

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// An answer without its mark, any other text as it is.
const plain = (text) => text.trim().replace(/^[^\p{L}\p{N}]+ /u, "");

// Text in one spelling: 60 % and 60%, 1,943 and 1943, $5.5 billion and 5.5 bn USD, round and straight quotes.
const spelt = (text) => text.toLowerCase().replaceAll("’", "'").replace(/[“”]/g, '"').replace(/[–—−]/g, "-")
  .replace(/(?<=\d),(?=\d{3})/g, "").replace(/(\d)\s+%/g, "$1%")
  .replace(/\$\s?([\d.]+)/g, "$1 usd").replace(/([\d.]+) usd (?:billion|bn)|([\d.]+) (?:billion|bn)( usd)?/g, "$1$2bn");

// What a search asks for: words, and phrases in quotes.
const terms = (text) => [...spelt(text).matchAll(/"([^"]+)"|[^\s"]+/g)].map((found) => found[1] ?? found[0]);

// What a cell is sorted by: its first number, or its words; what has none comes first.
function sortKey(name, text) {
  if (name !== "claimed" && name !== "derived") return plain(text);
  const word = Object.keys(MULTIPLES).find((multiple) => text.includes(multiple));
  const number = text.replaceAll(",", "").match(/\d+(\.\d+)?/);
  return word ? MULTIPLES[word] : number ? Number(number[0]) : -1;
}

function labelled(text, control) {
  const label = make("label");
  label.append(text, control);
  return label;
}

function select(name, texts) {
  const control = make("select", "", { name });
  control.add(new Option("all", ""));
  const options = new Map(texts.map((text) => [plain(text), text]));
  for (const value of [...options.keys()].sort()) control.add(new Option(options.get(value), value));
  return control;
}

function enhance(table, names) {
  const body = table.tBodies[0];
  const anchor = table.closest("section").id;
  const place = (name) => names.indexOf(name);
  const rows = [...body.rows].map((row) => {
    const texts = [...row.cells].map((cell) => cell.textContent);
    return { row, texts, found: spelt(texts.join("\n")), at: (name) => plain(texts[place(name)]) };
  });
  for (const { row, texts } of rows) {
    const [id] = texts;
    [...row.cells].forEach((cell, i) => {
      cell.dataset.label = names[i];
      cell.classList.toggle("none", ["", "–"].includes(texts[i]));
      cell.classList.toggle("detail", DETAILS.includes(names[i]));
    });
    const link = make("a", "", { class: "link", href: `?search=${id}#${anchor}`, title: "link to this row", "aria-label": `link to the row of ${id}` });
    link.append(make("i", "", { class: "fa-solid fa-link" }));
    row.cells[0].append(link);
    const more = make("button", "why", { type: "button", class: "more", "aria-expanded": "false", "aria-label": `why, ${id}` });
    more.addEventListener("click", () => more.setAttribute("aria-expanded", String(row.classList.toggle("open"))));
    row.cells[place("answer")].append(more);
  }

  // --- the controls -------------------------------------------------------------------------

  const selects = FILTERS.map((name) => select(name, rows.map(({ texts }) => texts[place(name)])));
  const search = make("input", "", { type: "search" });
  const details = make("input", "", { type: "checkbox" });
  const count = make("output", "", { "aria-live": "polite" });
  const nothing = make("p", "", { class: "nothing" });
  const rest = make("button", "", { type: "button", class: "rest" });
  const data = make("span", "answers as ", { class: "data" });
  for (const kind of ["csv", "json"]) data.append(make("a", kind.toUpperCase(), { href: `_static/data/scorecard.${kind}`, download: "" }), " ");
  const form = make("form", "", { class: "filters", role: "search" });
  form.append(labelled("search", search), ...selects.map((control) => labelled(control.name, control)),
    labelled("spans, sources, what would overturn it", details), make("button", "show all", { type: "reset" }), count, data, nothing);

  let order = null; // the column that the rows are sorted by, and the direction
  const heads = names.map((name, i) => {
    const head = table.tHead.rows[0].cells[i];
    head.classList.toggle("detail", DETAILS.includes(name));
    if (!SORTED.includes(name)) return head;
    const button = make("button", name, { type: "button", "aria-label": `${name}: Activate to sort` });
    button.addEventListener("click", () => {
      order = order?.name !== name ? { name, up: 1 } : order.up > 0 ? { name, up: -1 } : null;
      draw();
    });
    head.replaceChildren(button);
    return head;
  });

  const chosen = ({ at }) => selects.every(({ name, value }) => !value || value.split("|").includes(at(name)));
  const has = (wanted) => ({ found }) => wanted.every((term) => found.includes(term));

  function draw() {
    const kept = rows.filter(chosen).filter(has(terms(search.value)));
    const key = ({ texts }) => sortKey(order.name, texts[place(order.name)]);
    const shown = order ? [...kept].sort((a, b) => order.up * (key(a) < key(b) ? -1 : Number(key(a) > key(b)))) : kept;
    names.forEach((name, i) => {
      if (order?.name === name) heads[i].setAttribute("aria-sort", order.up > 0 ? "ascending" : "descending");
      else heads[i].removeAttribute("aria-sort");
    });
    shown.forEach(({ row }, i) => row.classList.toggle("later", i >= FIRST));
    body.replaceChildren(...shown.map(({ row }) => row));
    table.classList.toggle("whole", details.checked);
    count.textContent = `${shown.length} of ${rows.length} claims`;
    rest.textContent = `show the other ${shown.length - FIRST}`;
    rest.hidden = shown.length <= FIRST || frame.classList.contains("all");
    suggest(shown.length);
  }

  // What to do where nothing is found: fewer words, other filters, or the whole sentence.
  function suggest(found) {
    nothing.hidden = found > 0;
    if (found) return;
    const words = terms(search.value);
    const tried = words.length > 1 ? words.map((word) => [word, rows.filter(chosen).filter(has([word])).length]) : [];
    const everywhere = rows.filter(has(words)).length;
    nothing.replaceChildren("No claim fits. ");
    const offer = (text, act) => {
      const button = make("button", text, { type: "button" });
      button.addEventListener("click", () => { act(); changed(); });
      nothing.append(button, " ");
    };
    for (const [word, n] of tried.filter(([, n]) => n)) offer(`only “${word}”: ${n}`, () => { search.value = word; });
    if (everywhere) offer(`without filters: ${everywhere}`, clear);
    const own = make("a", "check one of your own", { href: "11-your-own-claim.html" });
    nothing.append("Try a figure as it is printed, paste the whole sentence into the box above, or ", own, ".");
  }

  // --- the address --------------------------------------------------------------------------

  function clear() {
    for (const control of selects) control.value = "";
  }

  function changed() {
    frame.classList.remove("all");
    draw();
    const told = new URLSearchParams(selects.flatMap(({ name, value }) => value.split("|").filter(Boolean).map((v) => [name, v])));
    if (search.value.trim()) told.set("search", search.value.trim());
    history.replaceState(null, "", `${location.pathname}${told.size ? `?${told}` : ""}${location.hash}`);
  }

  function restore() {
    const asked = new URLSearchParams(location.search);
    for (const control of selects) {
      const known = asked.getAll(control.name).filter((value) => rows.some(({ at }) => at(control.name) === value));
      const value = known.join("|");
      if (known.length > 1 && ![...control.options].some((one) => one.value === value)) control.add(new Option(known.join(" or "), value));
      control.value = value;
    }
    search.value = asked.get("search") ?? "";
    draw();
  }

  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    order = null;
    setTimeout(() => { // when the browser has reset the rest
      clear();
      changed();
    });
  });
  rest.addEventListener("click", () => {
    frame.classList.add("all");
    rest.hidden = true;
  });
  const frame = table.closest(".cell_output");
  frame.classList.add("scorecard");
  frame.closest(".cell").classList.add("full-width"); // of the theme: also over its margin
  frame.before(form);
  frame.after(rest);
  restore();
  addEventListener("popstate", restore);
  addEventListener("pageshow", restore); // a browser that comes back has put old choices in
}

// On a phone a figure is unfolded when it is asked for, and loaded then.
function fold(figure) {
  const details = make("details", "", { class: "figure" });
  details.append(make("summary", "show the figure"));
  figure.before(details);
  details.append(figure);
}

for (const table of document.querySelectorAll("table")) {
  const names = table.tHead ? [...table.tHead.rows[0].cells].map((cell) => cell.textContent) : [];
  if (FILTERS.every((name) => names.includes(name))) enhance(table, names);
}
if (matchMedia("(max-width: 600px)").matches) document.querySelectorAll(".cell_output figure").forEach(fold);
