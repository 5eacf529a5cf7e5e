"""A scorecard against another one: what is expected of it, or what it said before."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from cm384.ledger.claims import ANSWERS, Claim
from cm384.ledger.stated import written
from cm384.table import files
from cm384.table.documents import load_sources
from cm384.table.frames import pd
from cm384.table.specs import Specs

# The columns of a scorecard that a file may hold; numbers and sentences are not compared.
COMPARED = ("answer", "settled", "reported")
KNOWN = ("id", "article", "category", "claim", "claimed", "derived", "low", "high", "ratio", *COMPARED,
         "plain", "why", "overturn", "sources")  # fmt: skip


def read(path: Path) -> pd.DataFrame:
    """Answers by id: a scorecard in CSV, or a file with the columns id and answer alone; checked."""
    table = files.read_table(path, KNOWN, ("id", "answer"))
    files.check_table(table, {"answer": files.one_of(ANSWERS)}, path, unique=["id"])
    given = next(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    return table[["id", *(name for name in COMPARED if name in given)]]


def changes(lines: pd.DataFrame, wanted: pd.DataFrame, whole: bool) -> list[str]:
    """What differs, one line each; with `whole` also claims that one of the two lacks."""
    now = {line["id"]: line for line in lines.to_dict("records")}
    then = {line["id"]: line for line in wanted.to_dict("records")}
    found = [f"- {name}: not among the claims" for name in then if name not in now]
    found += [f"+ {name}: {now[name]['answer']}" for name in now if whole and name not in then]
    for name in then.keys() & now.keys():
        for column, old in then[name].items():
            if (new := now[name][column]) != old:
                found.append(f"{name} {column}: {old or 'nothing'} is now {new or 'nothing'}")
    return sorted(found)


def unchecked(claims: Iterable[Claim], specs: Specs) -> str:
    """What cannot be checked of a file of somebody else, in words; empty if all can."""
    known, told = load_sources(), []
    if any(not written(claim) for claim in claims):
        told.append("the date of articles that are not in the bibliography; nothing is left out as later")
    if sum(row.source not in known for rows in specs.rows.values() for row in rows):
        told.append("whose documents the rows of your file are; they count as their makers'")
    return "; ".join(told)
