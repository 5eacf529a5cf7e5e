"""Tables over the whole ledger: bands and flips, values that would be needed, judged claims."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cm384 import files, units
from cm384.articles import load_notes, short_names
from cm384.claims import Claim, load_claims
from cm384.derivation import row_name
from cm384.errors import InputError
from cm384.paths import DATA, EXAMPLES
from cm384.robustness import nearest_attempt, solutions
from cm384.specs import Key, Row, Specs, key_name, load_specs
from cm384.tables import MARKS, Table, beside, interval, share
from cm384.uncertainty import Solution, sobol


def scorecard_table(lines: pd.DataFrame) -> Table:
    """The lines of a scorecard as one table to look things up in.

    Lines from `robustness.with_bands` also show the band and the share of draws.
    """
    names = short_names(load_notes())
    bands = {}
    if "p5" in lines:
        bands["5–95 %"] = [interval(a, b) for a, b in zip(lines["p5"], lines["p95"], strict=True)]
        bands["stands in"] = [share(x) if np.isfinite(x) else "–" for x in lines["holds"]]
    cells = {
        "id": lines["id"],
        "claim": lines["claim"],
        "article": [names.get(key, key) for key in lines["article"]],
        "category": lines["category"],
        "claimed": lines["claimed"].where(lines["claimed"] != "", "–"),
        "derived": list(map(beside, lines["claimed"], lines["derived"])),
        "span": [interval(a, b) for a, b in zip(lines["low"], lines["high"], strict=True)],
        **bands,
        "verdict": [f"{MARKS[verdict]} {verdict}" for verdict in lines["verdict"]],
        "why": lines["why"],
        "sources": lines["sources"],
    }
    return Table(pd.DataFrame(cells), code=("sources",), wide=("claim", "why"))


def flips_table(lines: pd.DataFrame, card: pd.DataFrame, specs: Specs) -> Table:
    """In what share of the draws each claim stands and what would flip it; `card`: scorecard."""
    said = card.set_index("id")["claim"]
    cells = [
        {
            "claim": f"{line['id']}: {said[line['id']]}",
            "stands in": share(line["holds"]),
            "what would flip it": _flip(line, specs),
        }
        for line in lines.to_dict("records")
    ]
    return Table(pd.DataFrame(cells))


def _flip(line: Any, specs: Specs) -> str:
    """The row that flips a claim, the value at which it does, and what sources state for it."""
    if not line["row"]:
        return "no row"
    row = specs.rows[line["row"]][0]
    stated = f"sources state {_stated(row.key, specs)}"
    if line["statements"] and row.basis != "assumed":
        who = dict.fromkeys(statement.source for statement in line["statements"])
        stated += f": flipped by {' and '.join(who)}"
    if not np.isfinite(line["factor"]):
        return f"{row_name(row)}; {stated}"
    value = units.text(units.Q(row.value * line["factor"], row.unit))
    return f"{row_name(row)} at {value} ({units.number(line['factor'], 3)}×); {stated}"


def _stated(key: Key, specs: Specs) -> str:
    """What sources state for a row, or over what an assumption of this project is varied."""
    values, row = specs.options(key), specs.rows[key][0]
    stated = f"{interval(float(values.min()), float(values.max()))} {_unit(row)}".strip()
    return f"{stated} (assumed)" if row.basis == "assumed" else stated


def _unit(row: Row) -> str:
    return units.unit_text(units.parse_unit(row.unit))


def solutions_table(claim_id: str, specs: Specs, claims: Iterable[Claim], most: int = 6) -> Table:
    """What each row that a claim reads would have to be, the smallest change first."""
    ledger = {claim.id: claim for claim in claims}
    found = solutions(ledger[claim_id], specs, ledger)
    reached = [s for s in found if s.value is not None]
    cells = [
        {
            "row": row_name(specs.rows[s.key][0]),
            "would have to be": f"{units.text(s.value)} ({units.number(_factor(s), 3)}×)",
            "sources state": _stated(s.key, specs) + (" ✔" if s.low <= s.value <= s.high else ""),
        }
        for s in reached[:most]
    ]
    farther, none = len(reached) - len(cells), len(found) - len(reached)
    for count, answer in ((farther, "a larger change"), (none, "no value does")):
        if count:
            row = f"{count} more row{'s' * (count != 1)}"
            cells.append({"row": row, "would have to be": answer, "sources state": "–"})
    return Table(pd.DataFrame(cells), wide=("row",))


def _factor(solution: Solution) -> float:
    return float((solution.value / solution.central).to_base_units().m)


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
        for line in lines[lines["total"] > 0.04].to_dict("records"):
            drawn = str(line["rows"]).split("; ")
            first = next(name for name in map(key_name, found.span.keys) if name in drawn)
            more = f" and {len(drawn) - 1} drawn with it" if len(drawn) > 1 else ""
            cells.append(
                {
                    "claim": claim_id,
                    "rows": f"{names[first]}{more}",
                    "alone": share(max(0.0, line["first"])),
                    "in all": share(line["total"]),
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
            "verdict, and what the source says": _said(claim),
            "sources": claim.primary,
        }
        for claim in judged(claims)
        if claim.category == category
    ]
    columns = ("claim", "verdict, and what the source says", "sources")
    return Table(pd.DataFrame(cells, columns=list(columns)), code=columns[2:], wide=columns[:2])


def _said(claim: Claim) -> str:
    """The verdict, what the primary source says, and our note on it."""
    note = f"Note: {claim.note}" if claim.note and claim.primary_says else claim.note
    return f"{MARKS[claim.judged]} {claim.judged}. {claim.primary_says} {note}".strip()


def timeline_table() -> Table:
    """The dated events that the articles speak of, in order."""
    table = files.read_table(DATA / "timeline.csv", ["date", "event", "source"])
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


def row_of_file(row: Claim) -> Table:
    """A row of a file with its columns one under another, without the empty ones."""
    cells = [
        {"column": name, "cell": value.replace("|", " | ")}
        for name, value in dataclasses.asdict(row).items()
        if value
    ]
    return Table(pd.DataFrame(cells), wide=("cell",))


def added_rows(specs: Specs) -> Table:
    """The rows of a table that are not this project's own."""
    own = load_specs().rows
    cells = [
        {
            "row": f"{row.subject}: {row_name(row).partition(': ')[2]}",
            "value": f"{units.number(row.value, 6)} {_unit(row)}, {row.basis}".replace(" ,", ","),
            "note": row.note or "–",
            "source": row.source,
        }
        for key, group in specs.rows.items()
        for row in group
        if row not in own.get(key, ())
    ]
    columns = ["row", "value", "note", "source"]
    return Table(pd.DataFrame(cells, columns=columns), code=("source",), wide=("note",))


def needed_table(lines: pd.DataFrame) -> Table:
    """What a row would have to be for each claim that reads it: lines of `solve_ledger`."""
    cells = [
        {
            "claim": f"{line['id']}: {line['claimed']}",
            "would have to be": units.text(units.Q(line["needed"], line["unit"]))
            if np.isfinite(line["needed"])
            else line["why"],
            "sources state": f"{interval(line['low'], line['high'])} {line['unit']}".strip(),
        }
        for line in lines[lines["row"] != ""].to_dict("records")
    ]
    return Table(pd.DataFrame(cells, columns=["claim", "would have to be", "sources state"]))
