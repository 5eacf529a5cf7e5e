"""Documents: when each came out and whose it is, and what is said of the articles beside their claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from cm384.table import files
from cm384.table.errors import DATA, InputError

SOURCE_KINDS = ("vendor", "official", "measurement", "analyst", "press")
KINDS = ("about", "leaves_out", "repeats")


@dataclass(frozen=True)
class Source:
    """One line of `sources.csv`: when a document of the bibliography came out, and what it is.

    `published` is a day, a month or a year, or the latest that it can be (`by 2026-08`); `maker` is
    whose document about itself it is.
    """

    source: str
    published: str
    kind: str
    maker: str

    def after(self, date: str) -> bool:
        """Whether it certainly came out after a date, as far as both are known.

        >>> Source("a", "2025-06", "press", "").after("2025-05-19")
        True
        >>> Source("a", "2025", "press", "").after("2025-05-19")
        False
        """
        told, least = self.published, min(len(date), len(self.published))
        return not told.startswith("by ") and told[:least] > date[:least]


@dataclass(frozen=True)
class Note:
    """One line of `articles.csv`: what an article is, leaves out, or repeats."""

    article: str
    kind: str
    topic: str
    text: str
    source: str


def articles(notes: Iterable[Note]) -> list[str]:
    """The keys of the articles, in order."""
    return [note.article for note in notes if note.kind == "about"]


def short_names(notes: Iterable[Note]) -> dict[str, str]:
    """What the articles are called in a table, by key.

    >>> short_names(load_notes())["gmex2025ascend"]
    'GMEX'
    """
    return {n.article: n.topic.split(":")[0] for n in notes if n.kind == "about"}


# --- reading -------------------------------------------------------------------------------------


@cache
def load_sources() -> Mapping[str, Source]:
    """When each document of the bibliography came out, and what it is, by its key."""
    day = r"(by )?[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?", "a date such as 2025-06-15, 2025-06, 2025 or by 2025"
    checks = {
        "source": files.one_of(keys := files.read_keys()),
        "published": files.matches(*day),
        "kind": files.one_of(SOURCE_KINDS),
    }
    found = files.read_records(DATA / "sources.csv", Source, checks, unique=["source"])
    known = {row.source: row for row in found.values()}
    if missing := [key for key in keys if key not in known]:
        raise InputError(f"sources.csv: no line for {missing[0]}")
    return known


def load_notes() -> list[Note]:
    """What is said of the articles beside their claims, checked."""
    keys = files.read_keys()
    checks = {
        "article": files.one_of(keys),
        "kind": files.one_of(KINDS),
        "topic": files.matches(r"\S.*", "a topic"),
        "text": files.matches(r"\S.*", "a sentence"),
        "source": files.each_of(keys),
    }
    return [*files.read_records(DATA / "articles.csv", Note, checks).values()]
