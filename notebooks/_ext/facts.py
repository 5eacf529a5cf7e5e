"""What the pages are made from: the table, the verdicts, the articles, the notebooks, a choice."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import nbformat
from links import CLAIM_ID

from cm384.ledger import record
from cm384.ledger.claims import Claim, load_claims
from cm384.ledger.verdicts import Verdict, judge_all
from cm384.notebooks import notebooks
from cm384.table.documents import Note, load_notes
from cm384.table.specs import Specs, load_specs

# What the site chooses to show: words and names.
SHOWN: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("site.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Notebook:
    """A notebook as the site shows it: its file, its title, and the claims it names."""

    stem: str
    title: str
    claims: frozenset[str]


@dataclass(frozen=True)
class Facts:
    """The facts of this project; the verdicts of the ledger by claim, in its order."""

    specs: Specs
    ledger: Mapping[str, Verdict]
    notes: Sequence[Note]
    shelf: Sequence[Notebook]

    @property
    def claims(self) -> Mapping[str, Claim]:
        """The claims by id."""
        return {name: verdict.claim for name, verdict in self.ledger.items()}

    @cached_property
    def version(self) -> str:
        """The day and the digest of the data."""
        return record.data_version()

    def of(self, article: str, kind: str) -> list[Note]:
        """What is said of an article."""
        return [note for note in self.notes if (note.article, note.kind) == (article, kind)]


@cache
def facts() -> Facts:
    """The facts as they stand."""
    specs = load_specs()
    ledger = {v.claim.id: v for v in judge_all(load_claims(specs=specs), specs)}
    return Facts(specs, ledger, load_notes(), read_notebooks())


def read_notebooks() -> list[Notebook]:
    """The notebooks of the checkout with the claims that their sources and outputs name."""
    found = []
    for path in notebooks():
        heading = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        named = frozenset(CLAIM_ID.findall(path.read_text(encoding="utf-8")))
        found.append(Notebook(path.stem, heading.removeprefix("# "), named))
    return found
