// The table of all claims gets filters, sorting and a search, by DataTables. Without scripts it
// stays a plain table. An address such as ?answer=overstated&article=GMEX presets the filters.
"use strict";

const FILTERS = ["article", "category", "answer", "settled"];
const SORTED = ["id", "claimed", "derived", ...FILTERS];
const DETAILS = ["span", "5–95 %", "stands in", "overturn", "sources"]; // shown on request, and in the working
const MULTIPLES = {
  half: 1 / 2, "two thirds": 2 / 3, third: 1 / 3, "three quarters": 3 / 4, quarter: 1 / 4, fifth: 1 / 5, tenth: 1 / 10,
  double: 2, twice: 2, triple: 3, threefold: 3, quadruple: 4, fourfold: 4, fivefold: 5, tenfold: 10,
};

function heads(table) {
  return [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
}

// An answer without its mark, any other text as it is.
function plain(text) {
  return text.trim().replace(/^[^\p{L}\p{N}]+ /u, "");
}

// What is searched for, as this site writes it: 60 % for 60%, straight quotes for round ones.
function spelt(text) {
  return text.replace(/([\d.]+)%/g, '"$1 %"').replaceAll("’", "'");
}

// What a cell is sorted by: its first number, or its words; what has none comes first.
function sortKey(name, text) {
  if (name !== "claimed" && name !== "derived") return plain(text);
  const word = Object.keys(MULTIPLES).find((multiple) => text.includes(multiple));
  const number = text.replaceAll(",", "").match(/\d+(\.\d+)?/);
  return word ? MULTIPLES[word] : number ? Number(number[0]) : -1;
}

function labelled(text, control) {
  const label = document.createElement("label");
  label.append(text, control);
  return label;
}

function select(name, texts, wanted) {
  const control = document.createElement("select");
  control.name = name;
  control.add(new Option("all", ""));
  const options = new Map(texts.map((text) => [plain(text), text]));
  for (const value of [...options.keys()].sort()) control.add(new Option(options.get(value), value));
  const known = wanted.filter((value) => options.has(value));
  if (known.length > 1) control.add(new Option(known.join(" or "), known.join("|")));
  control.value = known.join("|");
  return control;
}

function enhance(table) {
  const names = heads(table);
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells]);
  const texts = rows.map((cells) => cells.map((cell) => cell.textContent));
  for (const cells of rows) {
    cells.forEach((cell, i) => {
      cell.dataset.label = names[i];
      if (SORTED.includes(names[i])) cell.dataset.order = sortKey(names[i], cell.textContent);
      cell.classList.toggle("none", ["", "–"].includes(cell.textContent));
    });
  }
  const data = new DataTable(table, {
    paging: false,
    order: [],
    autoWidth: false,
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    columnDefs: [{ orderable: false, targets: names.flatMap((n, i) => (SORTED.includes(n) ? [] : i)) }],
  });

  const asked = new URLSearchParams(location.search);
  const selects = FILTERS.map((name) => {
    const column = names.indexOf(name);
    return select(name, texts.map((cells) => cells[column]), asked.getAll(name));
  });
  const search = document.createElement("input");
  search.type = "search";
  const count = document.createElement("output");
  count.setAttribute("aria-live", "polite");
  const reset = document.createElement("button");
  reset.type = "reset";
  reset.textContent = "show all";
  const form = document.createElement("form");
  form.className = "filters";
  form.append(...selects.map((control) => labelled(control.name, control)), labelled("search", search));
  const details = document.createElement("input");
  details.type = "checkbox";
  form.append(labelled("spans, sources, what would overturn it", details), reset, count);

  const columns = FILTERS.map((name) => names.indexOf(name));
  data.search.fixed("filters", (_, __, row) =>
    selects.every(({ value }, i) => !value || value.split("|").includes(plain(texts[row][columns[i]]))),
  );
  function draw() {
    data.columns(names.flatMap((name, i) => (DETAILS.includes(name) ? i : []))).visible(details.checked);
    data.search(spelt(search.value)).draw();
    const shown = data.rows({ search: "applied" }).count();
    count.textContent = `${shown} of ${rows.length} claims`;
  }
  form.addEventListener("input", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    for (const control of selects) control.value = ""; // not the one that the address asks for
    data.order([]);
    setTimeout(draw); // when the browser has reset the rest
  });
  const frame = table.closest(".output");
  frame.classList.add("scorecard");
  frame.closest(".cell").classList.add("full-width"); // of the theme: also over its margin
  frame.before(form);
  draw();
  addEventListener("pageshow", draw); // a browser that comes back has put the old choices in
}

const tables = [...document.querySelectorAll("table")].filter((table) => table.tHead);
const found = tables.find((table) => FILTERS.every((name) => heads(table).includes(name)));
if (found) enhance(found);
