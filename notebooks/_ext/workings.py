"""The working of a claim: how it was read, what it was derived from, and who says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from facts import Facts, Notebook

from cm384.derive.derivation import step_text, trace
from cm384.ledger.claims import Claim
from cm384.ledger.verdicts import Attempt, Verdict, as_stated, attempts, other_readings
from cm384.show import tables
from cm384.table.records import Row
from cm384.table.words import each, title, words

MOST_ROWS = 15  # more are summed up by source


def closest(claim: Claim, shelf: Iterable[Notebook]) -> Notebook | None:
    """The notebook whose question a claim is: of those that name it, the one that names fewest."""
    naming = [book for book in shelf if (claim.same_as or claim.id) in book.claims]
    return min(naming, key=lambda book: len(book.claims), default=None)


def entry(verdict: Verdict, known: Facts) -> dict[str, Any]:
    """What the working of one claim says."""
    claim, found = verdict.claim, verdict.attempt
    keys, places = claim.primary.split(";"), claim.primary_locator.split("; ")
    if len(keys) != len(places):
        keys, places = [claim.primary], [claim.primary_locator]
    derived = working(claim, found, known) if found and not claim.same_as else {}
    return {
        "claim": claim,
        "verdict": verdict,
        "book": closest(claim, known.shelf),
        "said_in": [(key.split(";"), place) for key, place in zip(keys, places, strict=True)],
        **(derived or {"found": None, "rows": 0}),
    }


def working(claim: Claim, found: Attempt, known: Facts) -> dict[str, Any]:
    """How a claim was derived, what its other readings give, and the rows it was read from."""
    specs, span = known.specs, found.span
    stated = as_stated(claim, specs, known.claims)
    others = [*stated, *other_readings(claim, found.reading)]
    tried = attempts([r for r in others if r != found.reading], claim.unit, specs)
    rows = [row for key in span.keys for row in specs.rows[key]]
    low, high = float(span.low.m), float(span.high.m)
    return {
        "found": found,
        "machines": len(stated),
        "refers": claim.comparator in known.ledger,
        "steps": each(map(step_text, trace(found.figure, specs).steps)),
        "span": tables.interval(low, high) if low < high else "",
        "tried": [f"{'✔' if claim.printed.holds(a.central) else '✖'} {a}" for a in tried],
        "rows": len(rows),
        "read": by_source(rows) if len(rows) > MOST_ROWS else tables.rows_table(rows),
    }


def by_source(rows: Sequence[Row]) -> tables.Table:
    """How many rows each source states, and of what."""
    cells = []
    for source in each(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        names = each(f"{title(row.subject)}: {words(row.quantity)}" for row in own)
        cells.append({"source": source, "rows": str(len(own)), "states": "; ".join(names)})
    return tables.table(cells, code=("source",), wide=("states",))
