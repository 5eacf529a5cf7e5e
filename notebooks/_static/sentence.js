// The box for a sentence of an article: the claims that it makes, ranked, by what words, names and figures they share.
// An answer is shown only where figures, names, direction and negation are those of the claim. The claims are `SENTENCES`.
"use strict";

(() => { // what other scripts of a page name is theirs

const MOST = 3; // claims shown for a sentence
const FOUND = 8; // claims shown for a search
const LONGEST = 10_000; // characters that are read
const NEAR = 0.3; // a claim below this is not near
const SHORT = 12; // words of a sentence of which every name counts, wherever it stands
const BESIDE = 0.6; // of its words a claim needs that explains what another lacks; of the nearest claim's score one that differs
const ALIKE = 0.5; // share of the words of a claim that a sentence needs for its answer,
const PLAIN = { figure: 0.4, first: 0.55, other: 0.75 }; // and of those that are no names: with a figure, of the nearest claim, of others

// --- words -------------------------------------------------------------------------------------------------------

const SCALES = { thousand: 1e3, million: 1e6, billion: 1e9, bn: 1e9, b: 1e9, trillion: 1e12, tn: 1e12 };
const NUMBERS = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split(" ");
const MULTIPLES = {
  double: 2, doubles: 2, doubled: 2, twice: 2, twofold: 2, triple: 3, thrice: 3, threefold: 3, quadruple: 4, fourfold: 4,
  "two-thirds": 2 / 3, "two thirds": 2 / 3, "a third": 1 / 3, "one third": 1 / 3, "one-third": 1 / 3, half: 1 / 2,
};
const STOP = new Set(
  (
    "a an the of and or to in on at by for from with as it its is are was were be been being has have had do does did that this these " +
    "those their they them there than then which who what when where while so such some just only already can could may might will " +
    "would should about around nearly almost roughly also very own per if because since one single he she his her we our you your " +
    "into up out much many each other any all s t more most"
  ).split(" "),
);
// Words that stand for one another in what articles write; the first of a line stands for all.
const ALIKES = `us usa america american washington states
china chinese
chip processor npu gpu accelerator
brazil brazilian
europe european
saudi arabia
homegrown domestic domestically local locally home
made make produce production manufacture build built
beat outperform outpace surpass exceed best
company firm
country nation
deal contract agreement
signed ink secure won win
soar skyrocket
predicted forecast project expect estimate
booth stand
staff employee people
large big major massive huge enormous tremendous
restriction control rule limit sanction ban curb
revenue sales
value valuation worth valued
fast quick rapid
launch rollout rolled release unveil reveal debut
chief ceo boss head
said say tell told says admit concede acknowledge wrote write report
world global worldwide globally
link connect interconnect interconnection
advantage edge
technology tech
alternative rival
comparable match par equal
started start begun begin
deployed deploy running operation operational work
index indices indexes
investor shareholder
efficient efficiency
trend movement
free freedom
writeoff write-off write-down writedown
tailor tailormade designed design custom custommade
decode decoding
phone smartphone
need necessary`;
const CANON = new Map(ALIKES.split("\n").flatMap((line) => line.split(" ").map((word) => [stem(word), stem(line.split(" ")[0])])));

// The one form of a word, whatever its ending, that stands for all of its kind.
function root(word) {
  const short = stem(word);
  return CANON.get(short) ?? short;
}

function stem(word) {
  if (word.length < 4 || /\d/.test(word)) return word;
  const cut = word.replace(/ies$/, "y").replace(/([^s])s$/, "$1").replace(/(?<=...)(edly|ing|ed|ly)$/, "").replace(/e$/, "");
  return cut.replace(/([^aeiouls])\1$/, "$1");
}

// A sentence in one spelling: figures as 5500000000usd, 60%, 3.6x, 50ms, machines as one word.
function spelt(text) {
  let s = text.normalize("NFKC").toLowerCase();
  s = s.replace(/[\u2018\u2019\u02bc`]/g, "'").replace(/[\u2010-\u2015\u2212]/g, (dash) => (dash > "\u2012" ? " - " : "-"));
  s = s.replace(/(\d)\s+-\s+(?=\d)/g, "$1-").replace(/\bu\.\s?s\.(?:a\.)?/g, "us").replace(/(\d),(?=\d{3}(?!\d))/g, "$1");
  s = s.replace(/\b(?:not|n't|isn't|didn't|aren't|doesn't|wasn't) (?:just|only|merely)\b/g, "").replace(/n't\b/g, " not").replace(/\bcannot\b/g, "can not");
  s = s.replace(/'s\b|s'(?=\s)/g, (end) => (end[0] === "s" ? "s" : ""));
  s = s.replace(/\bcloudmatrix[\s-]*384\b|\bcm384\b/g, "cloudmatrix").replace(/\b(gb\d00)[\s-]*(nvl\d+)\b/g, "$1$2");
  s = s.replace(/\b(\d+[a-z]|[a-z]+\d+[a-z]?)s\b/g, "$1").replace(/\bdata[\s-]?cent(?:er|re)s?\b/g, "datacentre");
  s = s.replace(/\bstart-?up/g, "startup").replace(/\bartificial intelligence\b/g, "ai").replace(/\bunited states\b/g, "us");
  s = s.replace(/\bsupply[\s-]chain/g, "supply chain").replace(/\bwr(?:ite|iting|ote)[\s-](?:off|down)/g, "writeoff").replace(/\btailor-made\b/g, "tailormade");
  s = s.replace(/\bneural processing unit/g, "npu").replace(/\bcentral processing unit/g, "cpu").replace(/\blong-term\b/g, "longterm");
  s = s.replace(/\bhead[\s-]to[\s-]head\b|\btoe[\s-]to[\s-]toe\b/g, "comparable").replace(/\bbl(?:ow|ew|own)\w* past\b/g, "beat");
  s = s.replace(/\bdoubl(?:es|ed|ing) down\b/g, "intensified");
  for (const [word, value] of Object.entries(MULTIPLES)) s = s.replace(new RegExp(`\\b${word}\\b`, "g"), ` ${round(value)}x `);
  NUMBERS.forEach((word, i) => (s = s.replace(new RegExp(`\\b${word}(?!-?(?:fifth|quarter)s?)\\b`, "g"), String(i + 2))));
  s = s.replace(/\b(?:a |one )?hundred\b(?!s)/g, "100").replace(/\b(?:a|one) (?=(?:thousand|million|billion|trillion)\b)/g, "1 ");
  s = s.replace(/(\d)k\b/g, "$1000");
  s = s.replace(/(us)?\$\s*/g, "usd ").replace(/(\d+(?:\.\d+)?)[\s-]?(thousand|million|billion|bn|b|trillion|tn)\b/g, (_, n, scale) => String(round(n * SCALES[scale])));
  s = s.replace(/\busd (\d+(?:\.\d+)?)/g, "$1usd").replace(/(\d)[\s-](?:us )?(?:dollars?|usd)\b/g, "$1usd");
  s = s.replace(/(\d)\s*(?:%|percent\b|per cent\b|pct\b)/g, "$1%").replace(/(\d)\s*(?:x\b|×|-?\s?times\b|-?fold\b)/g, "$1x ");
  s = s.replace(/(\d)[\s-]?(?:ms|milliseconds?)\b/g, "$1ms").replace(/\s*\/\s*/g, " per ").replace(/\bper s\b/g, "per second");
  return s;
}

function round(value) {
  return Number(value.toPrecision(6));
}

const TOKEN = /\d+(?:\.\d+)?(?:%|x|usd|ms)?(?![\p{L}\p{N}])|[\p{L}\p{N}]+|[,;:()!?.]|\s-\s/gu;
const FIGURE = /^\d+(?:\.\d+)?(?:%|x|usd|ms)?$/;
const YEAR = /^(?:19|20)\d\d$/;
const NAME = /^(?=.*\d)(?=.*\p{L})/u; // 910c, gb200nvl72
const BREAKS = new Set([",", ";", ":", "(", ")", "!", "?", ".", "-", "but", "while"]);
const JOINTS = new Set([...BREAKS, "and", "with", "at"]); // between what is said of one figure and of the next

// What a sentence says: its tokens, its words, names and figures, each once, and its clauses.
function read(text, names) {
  const said = phrase((spelt(text).match(TOKEN) ?? []).map((token) => token.trim()), names);
  const ends = [...said.raw.keys()].filter((i) => BREAKS.has(said.raw[i])).concat(said.raw.length);
  said.clauses = ends.map((end, i) => ({ start: ends[i - 1] ?? 0, end, ...phrase(said.raw.slice(ends[i - 1] ?? 0, end), names) }));
  return said;
}

function phrase(raw, names) {
  const said = { raw, roots: raw.map(root), figures: new Map(), names: new Set(), words: new Set(), counted: new Map(), basis: new Set() };
  const isName = (i) => NAME.test(raw[i]) || names.has(said.roots[i]);
  raw.forEach((token, i) => {
    if (!/[\p{L}\p{N}]/u.test(token)) return;
    const kept = said.roots[i];
    if (FIGURE.test(token)) said.figures.set(token, relation(raw.slice(Math.max(0, i - 3), i)));
    else if (isName(i)) said.names.add(kept);
    if (FIGURE.test(token) && !YEAR.test(token) && raw[i + 1] !== "that") {
      let next = i + 1; // what the figure counts
      while (next < raw.length && !JOINTS.has(raw[next]) && (STOP.has(raw[next]) || isName(next))) next += 1;
      if (next < raw.length && !JOINTS.has(raw[next]) && !FIGURE.test(raw[next])) said.counted.set(token, said.roots[next]);
    }
    if (token === "per" && i + 1 < raw.length) said.basis.add(said.roots[i + 1]);
    if (!STOP.has(token)) said.words.add(kept);
  });
  said.not = raw.filter((token) => NOT.has(token)).length;
  return said;
}

// --- what must agree ---------------------------------------------------------------------------------------------

// Words that turn a sentence round.
const NOT = new Set(
  ("not no never none neither nobody nothing nowhere without hardly barely false untrue wrong wrongly myth fails failed fail unable denies deny " +
    "denied refuses refused declined declining lacks rejects rejected abandons abandoned stops stopped halted cancelled canceled avoids avoided " +
    "ends ended outside imported allow allows allowed permit permits permitted approve approves approved resume resumes resumed eases eased " +
    "lift lifts lifted reopens reopened").split(" "),
);
const UP = new Set(
  ("higher faster larger greater bigger better stronger beat beats beaten beating outperform outperforms outperformed outpace outpaces outpaced " +
    "outpacing surpass surpasses surpassed exceed exceeds ahead lead leads leader leading more superior").split(" "),
);
const DOWN = new Set(
  ("less lower fewer lost losing slower smaller worse weaker trail trails trailed trailing lag lags lagged lagging behind lose loses loser short " +
    "plunged plunge plummeted fell fall inferior laggard underperforms expensive pricier worst decline declined").split(" "),
);
const PAIRS = [["prefill", "decode"], ["memory", "compute"], ["bandwidth", "latency"], ["revenue", "inventory"], ["revenue", "profit"],
               ["inventory", "profit"], ["capacity", "bandwidth"], ["train", "infer"], ["throughput", "efficient"], ["cpu", "chip"],
               ["tailor", "made"], ["node", "chip"], ["cost", "supply"]].map((pair) => pair.map(root)).flatMap(([one, two]) => [[one, two], [two, one]]); // of which one is not the other
const OVER = /\b(?:more than|over|above|at least|exceed\w*|upwards of)\b[^,]*$/;
const UNDER = /\b(?:less than|under|below|fewer than|within|at most|short of)\b[^,]*$/;

const OURS = new Set(["huawei", "china"]);

// How a figure is meant, by the words before it.
function relation(before) {
  const text = before.join(" ");
  return UNDER.test(text) ? "<" : OVER.test(text) ? ">" : "=";
}

// Who leads by a text: 1 if Huawei, -1 if another, 0 if nobody can be told.
function leader(raw, maker, from = 0) {
  const at = raw.findIndex((token, i) => i >= from && (UP.has(token) || DOWN.has(token) || /^[\d.]+[x%]$/.test(token)));
  if (at < 0) return 0;
  const side = (token) => (maker.has(root(token)) ? (OURS.has(maker.get(root(token))) ? 1 : -1) : 0);
  const before = raw.slice(0, at).map(side).filter(Boolean);
  const after = raw.slice(at + 1).map(side).filter(Boolean);
  if (/^(compared|against|unlike|relative|versus)$/.test(raw[0]) && before.length) before.push(-before.shift());
  const subject = before.length ? before[0] : after.length ? -after[0] : 0;
  const passive = raw.slice(at + 1, at + 3).includes("by") ? -1 : 1;
  return subject * passive * (DOWN.has(raw[at]) ? -1 : 1);
}

function falls(tokens) {
  return tokens.some((token) => DOWN.has(token));
}

function within(some, all) {
  return [...some].every((one) => all.has(one));
}

// --- the index ---------------------------------------------------------------------------------------------------

// Of `data`: claims with their texts, and sides, the names of makers and machines. Answers questions.
function reader({ claims, makers }) {
  const known = new Set(claims.flatMap((claim) => claim.texts.flatMap((text) => capitals(text))).filter((word) => !ORDINARY.has(word)));
  const maker = new Map(); // of each word of a machine's name
  for (const [name, own] of Object.entries(makers)) {
    for (const word of read(name, known).words) if (word.length > 2 || word === "us") maker.set(word, own);
  }
  for (const word of maker.keys()) known.add(word);
  const entries = claims.map((claim) => {
    const texts = claim.texts.map((text) => read(text, known));
    const all = (kind) => new Set(texts.flatMap((text) => [...text[kind]]));
    const [first, ...others] = texts.map((text) => text.figures);
    return {
      claim,
      texts,
      words: all("words"),
      names: all("names"),
      figures: new Set(texts.flatMap((text) => [...text.figures.keys()])),
      core: [...first.keys()].filter((figure) => others.every((other) => other.has(figure))), // without them it is another
      leads: texts.map((text) => leader(text.raw, maker)).find(Boolean) ?? 0,
      searched: bare(read([claim.id, claim.plain, ...claim.texts].join(" . "), known)),
    };
  });
  function bare({ words, figures }) { // also without its unit, as a search may give it
    return new Set([...words, ...[...figures.keys()].map((figure) => String(parseFloat(figure)))]);
  }
  const counts = new Map();
  for (const { words } of entries) for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const weigh = (word) => Math.log(1 + entries.length / (counts.get(word) ?? 0.7)) * (FIGURE.test(word) ? 1.8 : known.has(word) || NAME.test(word) ? 1.1 : 1);
  const weight = (words) => [...words].reduce((sum, word) => sum + weigh(word), 0);
  const shared = (some, all) => weight([...some].filter((word) => all.has(word)));
  const enough = (some, all, share) => shared(some, all) >= share * weight(some);
  for (const entry of entries) {
    entry.weight = weight(entry.words);
    for (const text of entry.texts) {
      text.weight = weight(text.words);
      text.plain = [...text.words].filter((word) => !known.has(word) && !NAME.test(word) && !FIGURE.test(word));
    }
  }

  function score(said, entry) {
    const covers = entry.texts.map((text) => shared(text.words, said.words) / (text.weight + 6));
    return Math.max(...covers) + (0.3 * shared(entry.words, said.words)) / (entry.weight + 6);
  }

  // The part of a sentence that speaks of what a text says: from its first clause that does to its last.
  function spoken(said, text) {
    const speaks = said.clauses.map(({ words }) => shared(text.words, words) > 0.15 * text.weight || [...words].some((word) => text.figures.has(word)));
    const first = Math.max(0, speaks.indexOf(true)), last = Math.max(first, speaks.lastIndexOf(true));
    return { start: said.clauses[first].start, end: said.clauses[last].end, ...phrase(said.raw.slice(said.clauses[first].start, said.clauses[last].end), known) };
  }

  // In what a sentence differs from a text of a claim; "" if in nothing. What it names and counts beyond
  // that may be of the claims `beside`.
  function differs(said, text, entry, beside, first) {
    const part = spoken(said, text);
    const also = (kind) => new Set([entry, ...beside].flatMap((one) => [...one[kind]]));
    if (!within([...entry.core, ...text.figures.keys()], said.figures) || !within(part.figures.keys(), also("figures"))) return "figure";
    if ([...text.figures].some(([figure, meant]) => said.figures.get(figure) !== meant)) return "figure";

    const named = (names) => new Set([...names].map((name) => maker.get(name)).filter(Boolean));
    const theirs = named(entry.names), ours = named(said.names);
    // A sentence may say "it" of what Huawei makes, name who made what a claim names, or give a part of a name.
    const it = (name) => maker.get(name) === "huawei" && (ours.has("huawei") || !ours.has("china"));
    const partly = (name) => [-1, 1].some((step) => said.names.has(text.roots[text.roots.indexOf(name) + step]));
    const understood = (name) => said.names.has(name) || (!NAME.test(name) && (it(name) || ours.has(name) || partly(name)));
    const home = { china: "huawei", us: "nvidia" };
    const spare = (name) => also("words").has(name) || (maker.get(name) === name && (theirs.has(name) || theirs.has(home[name])));
    const whole = said.words.size < SHORT ? said : part;
    const foreign = [...whole.names, ...said.strange.filter((name) => whole.words.has(name))];
    if (![...text.names].every(understood) || !foreign.every(spare)) return "machine or name";

    const upTo = phrase(said.raw.slice(0, part.end), known); // what stands before turns round what follows
    if (upTo.not !== text.not || falls(text.raw) !== falls(part.raw)) return "direction";
    const lead = leader(said.raw, maker, part.start);
    if (lead && entry.leads && lead !== entry.leads) return "direction";

    const near = new Set([...text.figures.keys()].flatMap((figure) => {
      const after = said.raw.slice(said.raw.indexOf(figure) + 1);
      const end = after.findIndex((token) => JOINTS.has(token));
      return (end < 0 ? after : after.slice(0, end)).map(root);
    }));
    for (const [one, two] of PAIRS) {
      const place = near.has(one) || near.has(two) ? near : said.words;
      if (text.words.has(one) && !text.words.has(two) && place.has(two) && !place.has(one)) return "quantity";
    }
    const counted = [...part.counted].filter(([figure]) => text.figures.has(figure)).map(([, word]) => word);
    if (![...counted, ...upTo.basis].every((word) => also("words").has(word))) return "quantity";
    return enough(text.words, said.words, ALIKE) && enough(text.plain, said.words, text.figures.size ? PLAIN.figure : first ? PLAIN.first : PLAIN.other) && enough(part.words, also("words"), ALIKE) ? "" : "words";
  }

  // The claims that a sentence makes, best first, each with what differs; an answer goes with nothing.
  // Of claims that repeat one another there is one: the first that agrees, or the nearest.
  function ask(sentence) {
    const said = read(sentence, known);
    said.strange = capitals(sentence, true).filter((word) => !known.has(word) && !ORDINARY.has(word));
    const share = (text) => shared(text.words, said.words) / text.weight;
    const ranked = entries.map((entry) => ({ ...entry, score: score(said, entry) })).filter(({ score }) => score > NEAR);
    const groups = new Map();
    for (const entry of ranked.sort((a, b) => b.score - a.score)) groups.set(entry.claim.root, [...(groups.get(entry.claim.root) ?? []), entry]);
    const near = [...groups.values()].slice(0, 2 * MOST);
    const explained = new Set(); // by what stands above
    return near.slice(0, MOST).flatMap((group, i) => {
      const beside = near.filter((other) => other !== group).flat().filter(({ texts }) => texts.some((text) => enough(text.words, said.words, BESIDE) && enough(text.plain, said.words, BESIDE)));
      const fresh = (text) => shared([...text.words].filter((word) => !explained.has(word)), said.words) > 0.35 * text.weight;
      const most = Math.max(...group.flatMap(({ texts }) => texts.map(share)));
      const found = group.flatMap((entry) =>
        entry.texts
          .filter((text) => share(text) > 0.8 * most)
          .map((text) => ({ claim: entry.claim, differs: differs(said, text, entry, beside, !i) || (fresh(text) ? "" : "words") })),
      );
      for (const word of group.flatMap(({ words }) => [...words])) if (said.words.has(word)) explained.add(word);
      const best = { score: group[0].score, ...(found.find(({ differs }) => !differs) ?? { ...found[0], claim: group[0].claim }) };
      return best.differs && best.score < BESIDE * near[0][0].score ? [] : [best];
    });
  }

  // The claims that have most of what is searched for.
  function find(query) {
    const said = read(query, known);
    return entries
      .map((entry) => ({ claim: entry.claim, score: shared(said.words, entry.searched) / weight(said.words) + score(said, entry) }))
      .filter(({ score }) => score > 0.75)
      .sort((a, b) => b.score - a.score)
      .slice(0, FOUND);
  }
  return { ask, find };
}

const AS_NAME = /^(?:['’]s\b|..-|..\s(?:is|are|was|has|have|had|can|could|will|may|say|says|said|told)\b)/; // after a name

// The words within a text that begin with a capital, and the `first` if it stands as a name does; none if
// most do, as in a headline.
function capitals(text, first = false) {
  const words = [...text.matchAll(/(^|[.!?:"“(]\s*|)(\p{L}[\p{L}\p{N}'’]*)/gu)];
  const inside = words.filter(({ index, 1: start, 2: word }) => word.length > 1 && ((index && !start) || (first && AS_NAME.test(text.slice(index + start.length + word.length - 2))))).map(([, , word]) => word);
  const found = inside.filter((word) => /^\p{Lu}/u.test(word));
  const small = inside.filter((word) => /^\p{Ll}.{3}/u.test(word)).length;
  return inside.length > 4 && small < found.length / 3 ? [] : [...read(found.join(" "), new Set()).words];
}
const ORDINARY = new Set(["ai", "cloud", "world", "chief", "power", "west", "conference", "cpu", "chip", "npu", "it", "ceo", "waic", "tflop", "tb", "s", "us", "llm"].map((word) => root(word)));

// A text in its sentences; a full stop in a number or in U.S. ends none.
function sentences(text) {
  const whole = text.slice(0, LONGEST).replace(/\s+/g, " ").trim();
  return whole.split(/(?<=[^.\s]{2}[.!?]["”’)]*)\s+(?=[\p{Lu}"“‘(])/u).filter(Boolean);
}

// --- the page ----------------------------------------------------------------------------------------------------

const DOOR = "11-your-own-claim.html";
const DIFFERS = {
  figure: "the figure is another, or meant otherwise",
  "machine or name": "another machine, company or country is named",
  direction: "one says more where the other says less, or one of them says not",
  quantity: "another quantity is meant",
  words: "the words are near, but not the same",
};

// An element with what it holds: texts, which are never read as HTML, and elements.
function element(tag, attributes, ...held) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...held);
  return made;
}

function cited({ id, texts, mark, answer, plain, link }) {
  const address = location.protocol === "file:" ? link : new URL(link, location.href).href;
  return `CloudMatrix 384 from first principles, claim ${id}: “${texts[0]}” ${mark} ${answer}: ${plain} Data of ${SENTENCES.data}, ${address}`;
}

function copier(text) {
  const button = element("button", { type: "button", className: "copy" }, "copy citation");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text).then(
      () => button.replaceChildren("copied"),
      () => button.replaceWith(element("q", {}, text)), // where a page may not copy, to be marked by hand
    );
  });
  return button;
}

// A claim as the box shows it: with its answer, or in what the sentence differs from it.
function shown({ claim, differs }) {
  const link = element("a", { href: claim.link }, claim.id);
  const place = element("p", { className: "place" }, link, ` · ${claim.place}`);
  const says = element("p", { className: "says" }, claim.texts[0]);
  if (differs) return element("li", { className: "similar" }, says, element("p", {}, `A similar claim: ${DIFFERS[differs]}. So no answer is given.`), place);
  place.append(" · ", copier(cited(claim)));
  const answer = element("strong", {}, `${claim.mark} ${claim.answer}`);
  return element("li", { className: `answer-${claim.answer.replaceAll(" ", "-")}` }, says, element("p", {}, answer, `: ${claim.plain}`), place);
}

function box(form, { ask }) {
  const said = form.querySelector("textarea"), found = form.querySelector(".found");
  function answer() {
    const given = sentences(said.value);
    const replies = given.map((sentence) => [sentence, ask(sentence)]);
    const told = replies.filter(([, claims]) => claims.length);
    const lists = told.map(([sentence, claims]) => {
      const list = element("ol", {}, ...claims.map(shown));
      return told.length > 1 ? element("section", {}, element("h4", {}, sentence), list) : list;
    });
    const none = given.length && !told.length ? "No claim of the five articles is near. " : "";
    const door = element("p", { className: "door" }, none, element("a", { href: DOOR }, "Check a sentence of your own"), " with ", element("code", {}, "cm384 check"), ".");
    found.replaceChildren(...lists, ...(given.length ? [door] : []));
  }
  form.addEventListener("submit", (event) => (event.preventDefault(), answer()));
  said.addEventListener("paste", () => setTimeout(answer)); // when it is there
  said.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) event.preventDefault(), answer();
  });
  form.hidden = false;
}

// The claims that a search of the site finds stand above the pages, each where it is worked.
function results(place, { find }) {
  const claims = find(new URLSearchParams(location.search).get("q") ?? "");
  if (!claims.length) return;
  const items = claims.map(({ claim }) =>
    element("li", {}, element("a", { href: claim.link }, `${claim.id}: ${claim.texts[0]}`), element("p", { className: "context" }, `${claim.mark} ${claim.answer}: ${claim.plain}`)),
  );
  place.before(element("section", { className: "claims-found" }, element("h2", {}, "Claims"), element("ul", {}, ...items), element("h2", {}, "Pages")));
}

if (typeof document !== "undefined") {
  const read = reader(SENTENCES);
  const form = document.getElementById("sentence"), place = document.getElementById("search-results");
  if (form) box(form, read);
  if (place) results(place, read);
}

globalThis.SENTENCE = { reader, sentences };
})();
