"""The pages that no notebook makes: what each needs to know, for the templates that say it.

Everything on them is read from the ledger, from `articles.csv` and from the checks themselves when
the site is built, so that they cannot drift from what is computed.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import calculator
import hero
import pandas as pd
import workings
from facts import SHOWN, Facts, facts
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sentences import Alias, aliases_checks

from cm384.ledger import claims, readings, record
from cm384.ledger.board import MARKS, TONES, how_counted, in_all, sentences
from cm384.ledger.claims import Claim
from cm384.ledger.verdicts import Verdict, tabulated
from cm384.physics import at_work
from cm384.show import tables
from cm384.table import documents, files, reading, records, units
from cm384.table.errors import DATA
from cm384.table.words import each, title, words

FILLED = ("index", "calculator", "rule")  # pages that are read as files, too
MOST_NAMES = 20  # that a cell can list


def write(folder: Path) -> None:
    """Write every generated page into the folder that Sphinx renders."""
    known = facts()
    keys = documents.articles(known.notes)
    pages = {f"article-{key}": render("article", **article(key, known)) for key in keys}
    pages["articles"] = render("articles", articles=[summary(key, known) for key in keys])
    pages["changes"] = render("changes", **changes(known))
    pages["schema"] = render("schema", **schema(known))
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def fill(text: str) -> str:
    """A page in `FILLED` with what is computed in its place.

    That place is the name of a template in a comment, or the name of a number in double braces.
    """
    known = facts()
    lines, ledger = tabulated(known.ledger.values()), [*known.claims.values()]
    context = {
        "ledger": known.ledger,
        "counted": list(sentences(lines, ledger)["answer"]),
        "how_counted": how_counted(lines, ledger),
        "tones": TONES,
        "notebooks": known.shelf,
        "answer": answer(),
        "listed": [reading_line(row) for row in readings.load_listed()],
        "proxies": [proxy_line(row, known) for rows in readings.load_proxies().values() for row in rows],
        **SHOWN,
    }
    text = re.sub(r"<!-- (\w+) -->", lambda match: render(match[1], **context), text)
    return environment().from_string(text).render(calculator.words(known.specs))


def answer() -> dict[str, Any]:
    """The chosen rows of the title question, what each says of the whole systems, and where one leads."""
    every = pd.read_csv(DATA / "derived" / "answer.csv", keep_default_na=False)
    found = every[every["against"] == at_work.AGAINST[0]].copy()
    numbers = found[["ratio", "low", "high"]].to_numpy()
    found["said"] = [tables.near_one(*row) for row in numbers]
    found["cell"] = found["reads"].map(at_work.SIGNS) + found["said"]
    wide = found.pivot_table("cell", ["row", "kind"], "per", "first").fillna("–").reset_index("kind")
    leads = (found[found["part"] != "what it takes"]["reads"] == "leads").groupby(found["per"])
    return {
        "of": found[found["per"] == "system"].set_index("row")["said"].to_dict(),
        "leads": leads.agg(["sum", "size"]).to_dict("index"),
        "drawings": [*hero.drawings(every, facts())],
        "rows": [
            {"CloudMatrix 384 ÷ GB200 NVL72": said, "kind": wide.loc[row, "kind"]}
            | {f"per {per}".replace("per system", "system"): wide.loc[row, per] for per in at_work.PER}
            for row, said in SHOWN["title_rows"].items()
        ],
    }


def render(template: str, **context: Any) -> str:
    """What a template says."""
    return environment().get_template(f"{template}.j2").render(context)


@cache
def environment() -> Environment:
    """The templates, with what they may ask for."""
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "_templates"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {
        "beside": beside,
        "filled": lambda text: readings.filled(text, facts().specs),
        "framed": framed,
        "mark": MARKS.__getitem__,
        "sources": lambda keys: Markup(" ").join(Markup("<code>{}</code>").format(k) for k in keys),
        "table": lambda lines, **given: framed(tables.table(lines, **given)),
    }
    jinja.globals["number"] = units.number
    return jinja


def beside(verdict: Verdict) -> str:
    """The derived figure of a claim, as a range where the makers' own documents disagree."""
    ends = verdict.attempt.ends if verdict.attempt else (verdict.derived,)
    return " to ".join(each(units.number(end, 3) for end in ends))


def framed(table: tables.Table) -> Markup:
    """A table as a page shows it: in a frame of its own, in which it scrolls when it is wide."""
    frame = '<div class="cell_output"><div class="output text_html">\n{}\n</div></div>'
    return Markup(frame).format(Markup(table.html))


# --- articles ------------------------------------------------------------------------------------


def summary(key: str, known: Facts) -> dict[str, Any]:
    """An article and how many of its claims hold."""
    own = [verdict for verdict in known.ledger.values() if verdict.claim.article == key]
    copies = [
        dataclasses.replace(verdict.claim, same_as="") for verdict in own
    ]  # each article counts its own
    return {"about": known.of(key, "about")[0], "sentence": in_all(tabulated(own), copies)}


def article(key: str, known: Facts) -> dict[str, Any]:
    """What the page of one article says."""
    own = [verdict for verdict in known.ledger.values() if verdict.claim.article == key]
    also = repeated_in(known.claims.values())
    shared = [{other.article for other in also[verdict.claim.id]} for verdict in own]
    names = documents.short_names(known.notes)
    others = [note for note in known.notes if note.article != key]
    repeating = [note for note in others if note.kind == "repeats"]
    return summary(key, known) | {
        "left_out": known.of(key, "leaves_out"),
        "claims": [claim_line(verdict, also[verdict.claim.id]) for verdict in own],
        "shared": [
            {
                "article": note.topic,
                "shared claims": str(sum(note.article in articles for articles in shared)),
                "of its": str(sum(c.article == note.article for c in known.claims.values())),
            }
            for note in others
            if note.kind == "about"
        ],
        "repeats": [
            {
                "matter": matter.topic,
                "also in": ", ".join(names[n.article] for n in repeating if n.topic == matter.topic),
                "comes from": matter.text,
                "sources": matter.source,
            }
            for matter in known.of(key, "repeats")
        ],
        "workings": [workings.entry(verdict, known) for verdict in own],
        "version": known.version,
    }


def claim_line(verdict: Verdict, also: Iterable[Claim]) -> dict[str, str]:
    """A claim with its answer, and who else makes it."""
    claim = verdict.claim
    derived = tables.beside(claim.claimed, verdict.derived)
    return {
        "claim": f"{claim.id}, {claim.locator}: {claim.statement}",
        "claimed → derived": f"{claim.claimed} → {derived}" if claim.value and not claim.word else "–",
        "answer": f"{MARKS[verdict.answer]} {verdict.answer}. {verdict.plain}",
        "also": ", ".join(other.id for other in also if other.article != claim.article),
    }


def repeated_in(ledger: Iterable[Claim]) -> dict[str, list[Claim]]:
    """For each claim, the others that say the same."""
    roots: dict[str, list[Claim]] = {}
    for claim in ledger:
        roots.setdefault(claim.same_as or claim.id, []).append(claim)
    return {c.id: [o for o in group if o is not c] for group in roots.values() for c in group}


# --- what changed --------------------------------------------------------------------------------


def changes(known: Facts) -> dict[str, Any]:
    """The answers that moved, and the objections that came with a document."""
    return {
        "version": known.version,
        "moves": [
            {
                "claim": f"{claim.id}: {claim.statement}",
                "was": was.answer,
                "is": f"{MARKS[now.answer]} {now.answer}",
                "since": now.since,
                "why": now.why,
            }
            for claim, was, now in record.moves(known.claims.values())
        ],
        "objections": [
            {
                "claim": row.claim,
                "date": row.date,
                "for": row.side,
                "objection": row.objection,
                "sources": row.source,
                "outcome": row.outcome,
            }
            for row in record.load_objections()
        ],
    }


# --- the rule ------------------------------------------------------------------------------------


def reading_line(row: readings.Listed) -> dict[str, str]:
    """What else may be meant by a quantity, as the page of the rule lists it."""
    where = f" of {title(row.where)}" if row.where else ""
    change = row.reading.replace(";", "; ")
    return {"quantity": words(row.quantity) + where, "also read as": change, "because": row.why}


def proxy_line(row: readings.Proxy, known: Facts) -> dict[str, str]:
    """A measure of a word, and what is enough for it: more than the other side, or that share of it."""
    given = records.read_conditions(row.reading)
    less, bar = known.specs.kinds[given["quantity"]].better == "lower", float(row.at_least)
    share = units.number(1 / bar if less else bar)
    against = f", against {title(given['comparator'])}" if "comparator" in given else ""
    enough = ("at most " if less else "at least ") + f"{share} times"
    return {
        "word": row.word,
        "measure": row.why + against,
        "enough": ("less" if less else "more") if bar == 1 else enough,
        "computed as": row.reading.replace(";", "; "),
    }


# --- what a file must look like ------------------------------------------------------------------


def schema(known: Facts) -> dict[str, Any]:
    """What the page on the files of data says, made from the checks that read them."""
    specs, keys = known.specs, files.read_keys()
    names = files.one_of(specs.kinds)
    kinds: dict[str, tuple[type, Mapping[str, Any]]] = {
        "specs.csv": (records.Row, reading.specs_checks(specs.kinds, keys)),
        "claims.csv": (Claim, claims.claims_checks(specs, list(known.claims), keys)),
        "measurements.csv": (records.Measurement, reading.measurements_checks(specs.subjects, keys)),
        "training.csv": (records.TrainingRun, reading.training_checks(specs.subjects, specs.models)),
        "quantities.csv": (records.Kind, {"nature": files.one_of(records.NATURES)}),
        "readings.csv": (readings.Listed, {"quantity": names, "reading": readings.PAIRS}),
        "proxies.csv": (readings.Proxy, {"reading": readings.PAIRS}),
        "sources.csv": (documents.Source, {"kind": files.one_of(documents.SOURCE_KINDS)}),
        "aliases.csv": (Alias, aliases_checks(known.claims)),
    }
    return {
        "files": {name: columns(name, *kind) for name, kind in kinds.items()},
        "examples": {name: example(name) for name in kinds},
        "claims": claims,
        "documents": documents,
        "records": records,
        "specs": specs,
        "bases": [{"basis": k, "what a value on it is": v} for k, v in records.BASES.items()],
        "natures": [{"nature": k, "what a figure of it is": v} for k, v in records.NATURES.items()],
        "quantities": [dataclasses.asdict(kind) for kind in specs.kinds.values()],
    }


def columns(file: str, cls: type, checks: Mapping[str, Any]) -> list[dict[str, str]]:
    """The columns of a file: what each holds (`columns.csv`), and what the check of it accepts."""
    table = files.read_table(DATA / "columns.csv", ["file", "column", "holds"])
    holds = {row["column"]: row["holds"] for row in files.row_dicts(table) if row["file"] == file}
    if (names := files.columns(cls)) != list(holds):
        raise AssertionError(f"{file}: columns {names} are described as {list(holds)}")
    return [
        {"column": name, "holds": holds[name], "accepted": accepted(checks.get(name), file, name)}
        for name in names
    ]


def accepted(check: Any, file: str, column: str) -> str:
    """What a check accepts, in its own words; of a long list, that it is one."""
    if check is None:
        return str(SHOWN["accepted"].get(file, {}).get(column, "anything"))
    what, *known = check.error.split("\t")
    if len(known) > MOST_NAMES:
        return "a known name, or nothing" if "" in known else "a known name"
    return ", ".join([*filter(None, known), *(["nothing"] if "" in known else [])]) or str(what)


def example(file: str) -> str:
    """The header of a file and one row of it, as they stand there."""
    ((column, wanted),) = SHOWN["examples"][file].items()
    header, *lines = (DATA / file).read_text(encoding="utf-8").splitlines()
    place = header.split(",").index(column)
    return next(f"{header}\n{line}" for line in lines if next(csv.reader([line]))[place] == wanted)
