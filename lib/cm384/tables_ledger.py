"""Tables over the whole ledger: bands and flips, values that would be needed, judged claims."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cm384 import units
from cm384.articles import load_notes, short_names
from cm384.claims import Claim, load_claims
from cm384.derivation import row_name
from cm384.errors import InputError
from cm384.paths import DATA
from cm384.robustness import nearest_attempt, solutions
from cm384.specs import Key, Row, Specs, key_name, load_specs, read_table
from cm384.tables import MARKS, Table, interval, number_or_dash, reconciliation, share
from cm384.uncertainty import Solution, sobol

EXAMPLES = DATA / "examples"


def scorecard_table(lines: pd.DataFrame) -> Table:
    """The lines of a scorecard as one table to look things up in: with article and category."""
    names = short_names(load_notes())
    cells = reconciliation(lines).cells
    cells["claim"] = lines["claim"]
    cells.insert(0, "id", lines["id"])
    cells.insert(2, "article", [names.get(key, key) for key in lines["article"]])
    cells.insert(3, "category", lines["category"])
    return Table(cells, code=("sources",), wide=("claim", "why"))


def flips_table(lines: pd.DataFrame, card: pd.DataFrame, specs: Specs) -> Table:
    """The ledger with its bands and what would flip each claim; `card` is the scorecard."""
    scored = card.set_index("id")
    cells = [
        {
            "claim": f"{line['id']}: {scored.loc[line['id'], 'claim']}",
            "claimed": line["claimed"],
            "derived": units.number(line["derived"]),
            "sources allow": interval(line["low"], line["high"]),
            "5–95 %": interval(line["p5"], line["p95"]),
            "stands in": share(line["holds"]),
            "verdict": _marked(str(scored.loc[line["id"], "verdict"])),
            "flips first with": _row(line["row"], specs) if line["row"] else "–",
            "at": _at(line["row"], line["factor"], specs),
            "sources state": _stated(line["row"], specs),
            "so": _so(line["row"], line["statements"]),
        }
        for line in lines.to_dict("records")
    ]
    return Table(pd.DataFrame(cells), wide=("claim", "flips first with"))


def _marked(verdict: str) -> str:
    return f"{MARKS[verdict]} {verdict}"


def _row(key: Key, specs: Specs) -> str:
    return row_name(specs.rows[key][0])


def _at(key: Key | None, factor: float, specs: Specs) -> str:
    if not key or not np.isfinite(factor):
        return "–"
    row = specs.rows[key][0]
    value = units.text(units.Q(row.value * factor, row.unit))
    return f"{value} ({units.number(factor, 3)}×)"


def _stated(key: Key | None, specs: Specs) -> str:
    if not key:
        return "–"
    values = specs.options(key)
    unit = units.unit_text(units.parse_unit(specs.rows[key][0].unit))
    return f"{interval(float(values.min()), float(values.max()))} {unit}".strip()


def _so(key: Key | None, statements: Sequence[Row]) -> str:
    if statements:
        return "flipped by " + " and ".join(dict.fromkeys(row.source for row in statements))
    return "no source flips it" if key else "no row flips it"


def solutions_table(claim_id: str, specs: Specs, claims: Iterable[Claim], most: int = 10) -> Table:
    """What each row that a claim reads would have to be, the smallest change first."""
    ledger = {claim.id: claim for claim in claims}
    found = solutions(ledger[claim_id], specs, ledger)
    reached = [s for s in found if s.value is not None]
    cells = [
        {
            "row": row_name(specs.rows[s.key][0]),
            "would have to be": units.text(s.value),
            "change": f"{units.number(_factor(s), 3)}×",
            "central": units.text(s.central),
            "sources state": _stated(s.key, specs),
            "reached by a source": "yes" if s.low <= s.value <= s.high else "no",
        }
        for s in reached[:most]
    ]
    if farther := len(reached) - len(cells):
        cells.append(_rest(f"{farther} more rows", "a larger change"))
    if none := len(found) - len(reached):
        cells.append(_rest(f"{none} further row{'s' * (none != 1)}", "no value does"))
    return Table(pd.DataFrame(cells), wide=("row",))


def _factor(solution: Solution) -> float:
    return float((solution.value / solution.central).to_base_units().m)


def _rest(row: str, words: str) -> dict[str, str]:
    empty = dict.fromkeys(("change", "central", "sources state", "reached by a source"), "–")
    return {"row": row, "would have to be": words, **empty}


def variance_table(
    ids: Sequence[str], specs: Specs, claims: Iterable[Claim], samples: int, seed: int
) -> Table:
    """Which disputed rows explain the variance of some claims' figures over the sources."""
    ledger = {claim.id: claim for claim in claims}
    names = {key_name(key): row_name(rows[0]) for key, rows in specs.rows.items()}
    cells = []
    for claim_id in ids:
        found = nearest_attempt(ledger[claim_id], specs, ledger)
        lines = sobol(found.reading.figure, specs, samples, seed)
        for line in lines[lines["total"] > 0.01].head(5).to_dict("records"):
            drawn = str(line["rows"]).split("; ")
            first = next(name for name in map(key_name, found.span.keys) if name in drawn)
            more = f" and {len(drawn) - 1} drawn with it" if len(drawn) > 1 else ""
            cells.append(
                {
                    "claim": f"{claim_id}: {ledger[claim_id].claimed}",
                    "rows": f"{names[first]}{more}",
                    "alone": share(max(0.0, line["first"])),
                    "with interactions": share(line["total"]),
                }
            )
    return Table(pd.DataFrame(cells), wide=("rows",))


# --- claims that cannot be derived ---------------------------------------------------------------


def judged(claims: Iterable[Claim]) -> list[Claim]:
    """The claims that carry a verdict from their primary source, each once."""
    return [claim for claim in claims if claim.judged and not claim.same_as]


def judged_table(claims: Iterable[Claim], category: str) -> Table:
    """The judged claims of one category: verdict, what the primary source says, where."""
    cells = [
        {
            "claim": f"{claim.id}: {claim.statement}",
            "verdict": _marked(claim.judged),
            "the source says": claim.primary_says or "–",
            "remark": claim.note or "–",
            "sources": claim.primary,
        }
        for claim in judged(claims)
        if claim.category == category
    ]
    return Table(
        pd.DataFrame(cells, columns=["claim", "verdict", "the source says", "remark", "sources"]),
        code=("sources",),
        wide=("claim", "the source says", "remark"),
    )


def timeline_table() -> Table:
    """The dated events that the articles speak of, in order."""
    table = read_table(DATA / "timeline.csv", ["date", "event", "source"])
    if list(table["date"]) != sorted(table["date"]):
        raise InputError("timeline.csv, column date: expected dates in order")
    return Table(table, code=("source",), wide=("event",))


# --- somebody's own files ------------------------------------------------------------------------


@dataclass(frozen=True)
class Mistake:
    """A slip in a file: what somebody did, in which file, and the text that it changes."""

    what: str
    file: str
    old: str
    new: str


MISTAKES = (
    Mistake("a slip in a name", "atlas950_claims.csv", ",atlas-950,peak,", ",atlas-95,peak,"),
    Mistake("a slip in a quantity", "atlas950_claims.csv", ",hbm_capacity,", ",hbm_capcity,"),
    Mistake("an unknown condition", "atlas950_claims.csv", "precision=fp8", "precison=fp8"),
    Mistake("a unit that does not fit", "atlas950_claims.csv", '"1,152",TB,', '"1,152",TB/s,'),
    Mistake("a figure as no one prints it", "atlas950_claims.csv", '"1,152"', "1.152.000"),
    Mistake("no source", "atlas950_specs.csv", "technews2025rubin", ""),
    Mistake(
        "a comma too many", "atlas950_specs.csv", "precision=fp8,16667", "precision=fp8,16,667"
    ),
    Mistake("not a number", "atlas950_specs.csv", ",16667,", ",NaN,"),
    Mistake("an unknown basis", "atlas950_specs.csv", ",matrix,", ",matirx,"),
    Mistake("an alternative to nothing", "atlas950_specs.csv", "central", "alternative"),
    Mistake("a column of another name", "atlas950_specs.csv", "locator", "page"),
)


def mistakes_table(mistakes: Iterable[Mistake] = MISTAKES) -> Table:
    """Typical mistakes in a file of one's own, each with the line that refuses it."""
    return Table(pd.DataFrame([_refused(mistake) for mistake in mistakes]), wide=("answer",))


def _refused(mistake: Mistake) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        files = {path.name: Path(folder) / path.name for path in EXAMPLES.glob("*.csv")}
        for name, path in files.items():
            text = (EXAMPLES / name).read_text(encoding="utf-8")
            if name == mistake.file:
                assert mistake.old in text, mistake
                text = text.replace(mistake.old, mistake.new, 1)
            path.write_text(text, encoding="utf-8")
        try:
            specs = load_specs(files["atlas950_specs.csv"])
            load_claims(files["atlas950_claims.csv"], specs)
        except InputError as error:
            return {"mistake": mistake.what, "answer": str(error)}
    raise AssertionError(f"not refused: {mistake.what}")


def claim_rows(claims: Iterable[Claim]) -> Table:
    """The rows of a file of claims, in the columns that say how each is checked."""
    cells = [
        {
            "id": claim.id,
            "statement": claim.statement,
            "subject": claim.subject or "–",
            "quantity": claim.quantity or f"judged: {claim.judged}",
            "conditions": claim.conditions,
            "form": claim.form,
            "relation": claim.relation,
            "value": claim.value,
            "unit": claim.unit,
            "comparator": claim.comparator,
            "readings": claim.readings.replace("|", " | "),
        }
        for claim in claims
    ]
    return Table(pd.DataFrame(cells), wide=("statement", "readings"))


def added_rows(specs: Specs) -> Table:
    """The rows of a table that are not this project's own."""
    own = load_specs().rows
    rows = [
        row for key, group in specs.rows.items() for row in group if row not in own.get(key, ())
    ]
    columns = [field.name for field in dataclasses.fields(Row) if field.name != "group"]
    cells = [{name: str(getattr(row, name)) for name in columns} for row in rows]
    for cell, row in zip(cells, rows, strict=True):
        cell["value"] = units.number(row.value, 6)
    return Table(pd.DataFrame(cells, columns=columns), code=("source",), wide=("locator", "note"))


def needed_table(lines: pd.DataFrame) -> Table:
    """What a row would have to be for each claim that reads it: lines of `solve_ledger`."""
    chosen = lines[lines["row"] != ""]
    cells = [
        {
            "claim": f"{line['id']}: {line['claimed']}",
            "needed": f"{number_or_dash(line['needed'])} {line['unit']}".strip(),
            "why": line["why"],
        }
        for line in chosen.to_dict("records")
    ]
    return Table(pd.DataFrame(cells, columns=["claim", "needed", "why"]), wide=("why",))
