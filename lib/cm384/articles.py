"""What is said of the articles beside their claims: `articles.csv`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cm384 import files
from cm384.paths import DATA

KINDS = ("about", "leaves_out", "repeats")


@dataclass(frozen=True)
class Note:
    """One line of `articles.csv`: what an article is, leaves out, or repeats."""

    article: str
    kind: str
    topic: str
    text: str
    source: str


def load_notes() -> list[Note]:
    """What is said of the articles beside their claims, checked."""
    table = files.read_table(DATA / "articles.csv", files.columns(Note))
    keys = files.read_keys()
    checks = {
        "article": files.one_of(keys),
        "kind": files.one_of(KINDS),
        "topic": files.matches(r"\S.*", "a topic"),
        "text": files.matches(r"\S.*", "a sentence"),
    }
    files.check_table(table, checks, "articles.csv")
    for line, cell in table["source"].items():
        for key in filter(None, str(cell).split(";")):
            if key not in keys:
                raise files.bad_cell(
                    "articles.csv", int(str(line)), "source", key, files.listed(keys)
                )
    return [Note(**values) for values in files.records(table)]


def articles(notes: Iterable[Note]) -> list[str]:
    """The keys of the articles, in order."""
    return [note.article for note in notes if note.kind == "about"]


def short_names(notes: Iterable[Note]) -> dict[str, str]:
    """What the articles are called in a table, by key.

    >>> short_names(load_notes())["gmex2025ascend"]
    'GMEX'
    """
    return {n.article: n.topic.split(":")[0] for n in notes if n.kind == "about"}
