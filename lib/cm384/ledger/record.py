"""What was said before: how the answers moved, and who objected with which document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cm384.ledger.claims import ANSWERS, Claim, load_claims
from cm384.table import files
from cm384.table.errors import DATA, InputError

# Words of the first version for what the rule of answers calls by another.
RENAMED = {"confirmed": "holds", "source agrees": "holds"}
FIRST = (*RENAMED, "within model error", "inconsistent")
DAY = files.matches(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a day such as 2026-11-30")
TOLD = files.matches(r"\S.*", "a sentence")


@dataclass(frozen=True)
class Answered:
    """One line of `answers.csv`: an answer that a claim got, from which day on, and why."""

    claim: str
    since: str
    answer: str
    why: str


@dataclass(frozen=True)
class Objection:
    """One line of `objections.csv`: a document held against an answer, for whom, and what came of it."""

    claim: str
    date: str
    side: str
    objection: str
    source: str
    outcome: str


def load_answers() -> dict[str, list[Answered]]:
    """The answers that each claim has had, oldest first, checked; repeats go by the claim they repeat."""
    checks = {
        "claim": files.one_of(claim.id for claim in load_claims()),
        "since": DAY,
        "answer": files.one_of([*ANSWERS, *FIRST]),
        "why": TOLD,
    }
    had: dict[str, list[Answered]] = {}
    for line, row in files.read_records(DATA / "answers.csv", Answered, checks).items():
        before = had.setdefault(row.claim, [])
        if before and before[-1].since > row.since:
            raise files.bad_cell("answers.csv", line, "since", row.since, f"{before[-1].since} or later")
        before.append(row)
    return had


def load_objections() -> list[Objection]:
    """The objections that came with a document, in order, checked."""
    checks = {
        "claim": files.one_of(claim.id for claim in load_claims()),
        "date": DAY,
        "side": files.one_of(["Huawei", "NVIDIA", "neither"]),
        "objection": TOLD,
        "source": files.each_of(files.read_keys()),
        "outcome": TOLD,
    }
    return [*files.read_records(DATA / "objections.csv", Objection, checks).values()]


def moves(claims: Iterable[Claim]) -> list[tuple[Claim, Answered, Answered]]:
    """Each change of an answer that was more than one of words: the claim, what it was, what it is."""
    had = load_answers()
    return [
        (claim, was, now)
        for claim in claims
        for was, now in zip(had.get(claim.id, []), had.get(claim.id, [])[1:], strict=False)
        if RENAMED.get(was.answer, was.answer) != now.answer
    ]


def data_version() -> str:
    """The day of the newest answer and eight digits of all packaged tables: `2026-11-30-1a2b3c4d`."""
    days = [row.since for rows in load_answers().values() for row in rows]
    if not days:
        raise InputError("answers.csv: no line")
    return f"{max(days)}-{hashlib.sha256(files.digests().encode()).hexdigest()[:8]}"
