"""What is said of the articles beside their claims: `articles.csv`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from cm384 import specs as checks
from cm384.paths import DATA
from cm384.specs import read_keys, read_table

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
    table = read_table(DATA / "articles.csv", [f.name for f in dataclasses.fields(Note)])
    keys = read_keys(DATA / "sources.bib")
    import pandera.pandas as pa

    columns = {
        "article": checks.one_of(keys),
        "kind": checks.one_of(KINDS),
        "topic": checks.matches(r"\S.*", "a topic"),
        "text": checks.matches(r"\S.*", "a sentence"),
    }
    known = {name: pa.Column(str, check) for name, check in columns.items()}
    checks.check_table(table, pa.DataFrameSchema(known), "articles.csv")
    for line, cell in table["source"].items():
        for key in filter(None, str(cell).split(";")):
            if key not in keys:
                expected = "one of\t" + "\t".join(keys)
                raise checks.bad_cell("articles.csv", int(str(line)), "source", key, expected)
    return [Note(**values) for values in checks.records(table)]


def articles(notes: Iterable[Note]) -> list[str]:
    """The keys of the articles, in order."""
    return [note.article for note in notes if note.kind == "about"]


def short_names(notes: Iterable[Note]) -> dict[str, str]:
    """What the articles are called in a table, by key.

    >>> short_names(load_notes())["gmex2025ascend"]
    'GMEX'
    """
    return {n.article: n.topic.split(":")[0] for n in notes if n.kind == "about"}
