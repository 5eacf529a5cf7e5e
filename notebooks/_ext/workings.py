"""The working of a claim: how it was read, what it was derived from, and who says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from facts import Facts, Notebook

from cm384.derive.derivation import step_text, trace
from cm384.ledger.attempts import Attempt, attempts
from cm384.ledger.claims import Claim
from cm384.ledger.readings import listed_readings
from cm384.ledger.stated import Stated, as_of, considered, kinds_of_run, measures, written
from cm384.ledger.verdicts import Verdict
from cm384.physics.in_numbers import in_numbers
from cm384.physics.models import load_model
from cm384.show import tables
from cm384.table.records import Key, Row, read_conditions
from cm384.table.specs import Specs
from cm384.table.words import each, listed, title, words

MOST_ROWS = 15  # more are summed up by source
SERVED = ("published_throughput", "predicted_throughput", "published_tpot")


def closest(claim: Claim, shelf: Iterable[Notebook]) -> Notebook | None:
    """The notebook whose question a claim is: of those that name it, the one that names fewest."""
    naming = [book for book in shelf if (claim.same_as or claim.id) in book.claims]
    return min(naming, key=lambda book: len(book.claims), default=None)


def entry(verdict: Verdict, known: Facts) -> dict[str, Any]:
    """What the working of one claim says."""
    claim = verdict.claim
    keys, places = claim.primary.split(";"), claim.primary_locator.split("; ")
    if len(keys) != len(places):
        keys, places = [claim.primary], [claim.primary_locator]
    shown: dict[str, Any] = {"read_as": "", "found": None, "tried": [], "rows": 0, "numbers": []}
    if claim.derivable and not claim.same_as:
        shown |= reckoned(verdict, known)
    elif verdict.settled == "proxy" and claim.word and not claim.same_as:
        shown |= weighed(claim, known)
    return {
        "claim": claim,
        "verdict": verdict,
        "book": closest(claim, known.shelf),
        "said_in": [(key.split(";"), place) for key, place in zip(keys, places, strict=True)],
        **shown,
    }


def reckoned(verdict: Verdict, known: Facts) -> dict[str, Any]:
    """How a claim that is a matter of arithmetic was read, and what came of each of its readings."""
    claim, found = verdict.claim, verdict.attempt
    said = considered(claim, known.specs, known.claims)
    base = found.reading if found else next(iter(said.readings), None)
    others = listed_readings(base, claim.readings, said.table) if base else []
    beside = attempts(others, claim.figure_unit, said.table)
    gives = [a for a in (*said.found, *beside.found) if a.reading != base]
    missing = {**said.missing, **beside.missing}
    later = {a.reading.text: a for a in said.later}
    return {
        "read_as": "; ".join([base.text, *taken(claim, said, known)]) if base else "",
        "found": found,
        "tried": [
            *each(f"{'✔' if claim.printed.holds(a.central) else '✖'} {a}" for a in gives),
            *(f"– {a}: {listed(kinds_of_run(a, said.table))}, not measured" for a in said.weaker),
            *(f"– {a}: published after the article" for a in later.values()),
            *(f"– {text}: {why.split('; ')[0]}" for text, why in missing.items() if text not in later),
        ],
        **(working(found, said.table) if found else {}),
        "numbers": numbers(claim, known.specs),
    }


def numbers(claim: Claim, specs: Specs) -> list[tables.Table]:
    """The arithmetic of the serving model for the run that a claim of one machine's serving names."""
    run = specs.measurements.get(read_conditions(claim.conditions).get("measurement", ""))
    if run is None or claim.comparator or claim.quantity not in SERVED:
        return []
    worked = in_numbers(specs, load_model(specs.models[run.model]), run.deployment, run.phase)
    return [tables.table({part: term, "worked out": line} for term, line in lines.items())
            for part, lines in worked.items()]  # fmt: skip


def weighed(claim: Claim, known: Facts) -> dict[str, Any]:
    """Against whom the measures of a word were taken, how many it needs, and the rows they were read from."""
    table = as_of(known.specs, written(claim))
    gives = [a for _, a, _ in measures(claim, table, known.claims) if a]
    others = listed(each(title(a.reading.comparator) for a in gives))
    needed = f"; at least {claim.value} must hold" if claim.value.isdecimal() else ""
    return {
        "read_as": f"the listed measures of “{claim.quantity}” against {others}{needed}",
        **read_from((key for a in gives for key in a.span.keys), table),
    }


def taken(claim: Claim, said: Stated, known: Facts) -> list[str]:
    """What was taken of a claim that leaves something open."""
    found, machines = [], len({reading.comparator for reading in said.readings})
    if claim.comparator in known.claims:
        found.append(f"the article names no machine here: the one that {claim.comparator} fits is meant")
    elif machines > 1:
        found.append(f"the article names no machine: all {machines} were tried")
    if len(said.readings) > machines:
        found.append(f"it names no run: {len(said.readings)} that can be meant were tried")
    if said.achieved:
        found.append("said as achieved, so only what was measured decides")
    return found


def working(found: Attempt, table: Specs) -> dict[str, Any]:
    """How a figure was derived, what the sources allow, and the rows that it was read from."""
    (low, high), ends = found.edges, found.ends
    return {
        "steps": each(map(step_text, trace(found.figure, table).steps)),
        "span": tables.interval(low, high) if low < high else "",
        "ends": tables.interval(*ends) if ends[0] < ends[1] and ends != (low, high) else "",
        **read_from(found.span.keys, table),
    }


def read_from(keys: Iterable[Key], table: Specs) -> dict[str, Any]:
    """The rows under some keys; many are summed up by source."""
    rows = [row for key in dict.fromkeys(keys) for row in table.rows[key]]
    return {
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
