"""What the box for a sentence looks through: each claim in our words and in those of the articles.

The page does the rest (`_static/sentence.js`), so that the matching exists once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facts import Facts

from cm384.ledger.board import MARKS
from cm384.table import documents, files
from cm384.table.errors import DATA
from cm384.table.reading import load_subjects

MOST_WORDS = 25  # of an article that may be quoted


@dataclass(frozen=True)
class Alias:
    """One line of `aliases.csv`: words in which an article makes a claim."""

    id: str
    alias: str


def aliases_checks(claims: Mapping[str, Any]) -> dict[str, files.Check]:
    """What each cell of `aliases.csv` must be."""
    short = rf"\S+(\s+\S+){{0,{MOST_WORDS - 1}}}"
    return {
        "id": files.one_of(claims),
        "alias": files.matches(short, f"words of an article, at most {MOST_WORDS}"),
    }


def load_aliases(claims: Mapping[str, Any]) -> dict[str, list[str]]:
    """The words of the articles by claim; refuses an unknown claim and an empty or long alias."""
    lines = files.read_records(DATA / "aliases.csv", Alias, aliases_checks(claims), ["id", "alias"])
    found: dict[str, list[str]] = {}
    for line in lines.values():
        found.setdefault(line.id, []).append(line.alias)
    return found


def data(known: Facts) -> dict[str, Any]:
    """The claims as the box shows and compares them, and whose name is whose."""
    aliases, names = load_aliases(known.claims), documents.short_names(known.notes)
    version = known.version
    return {
        "data": version,
        "makers": makers(),
        "claims": [
            {
                "id": claim.id,
                "root": claim.same_as or claim.id,
                "link": f"article-{claim.article}.html?data={version}#{claim.id.lower()}",
                "place": f"{names[claim.article]}, {claim.locator}",
                "texts": [claim.statement, *aliases.get(claim.id, [])],
                "mark": MARKS[verdict.answer],
                "answer": verdict.answer,
                "plain": verdict.plain,
            }
            for claim, verdict in ((verdict.claim, verdict) for verdict in known.ledger.values())
        ],
    }


def makers() -> dict[str, str]:
    """The maker of each machine, by the name of the machine; each country stands for itself."""
    sold = {row.name: row.vendor.lower() for row in load_subjects().values() if row.vendor}
    return {"China": "china", "US": "us"} | {maker: maker for maker in sold.values()} | sold
