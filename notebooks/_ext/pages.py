"""Pages that no notebook makes: the first, one for each article, their list, and the schema.

Everything on them is read from the ledger, from `articles.csv` and from the checks themselves when
the site is built, so that they cannot drift from what is computed. `landing` has the parts of the
first page, `workings` those of the claims, `schema` the page on the files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cm384 import landing, schema
from cm384.ledger.board import MARKS, verdict_sentence
from cm384.ledger.claims import Claim, Reading, load_claims
from cm384.ledger.verdicts import Verdict, judge_all
from cm384.markup import framed, source_keys
from cm384.notebooks import NOTEBOOKS
from cm384.show.tables import Table, beside
from cm384.table import units
from cm384.table.records import Note, articles, load_notes, read_conditions, short_names
from cm384.table.specs import Specs, load_specs
from cm384.workings import Notebook, read_notebooks, workings


def write(folder: Path) -> None:
    """Write every generated page into the folder that Sphinx renders."""
    specs = load_specs()
    claims, notes, shelf = load_claims(specs=specs), load_notes(), read_notebooks()
    ledger = {verdict.claim.id: verdict for verdict in judge_all(claims, specs)}
    pages = {f"article-{key}": article(key, ledger, notes, shelf, specs) for key in articles(notes)}
    pages |= {"articles": overview(ledger, notes), "schema": schema.schema(specs, claims)}
    first = (NOTEBOOKS / "index.md").read_text(encoding="utf-8")
    for name, text in landing.parts(ledger, shelf, lambda text: filled(text, specs)).items():
        first = first.replace(f"<!-- {name} -->", text)
    for name, text in (pages | {"index": first}).items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def filled(text: str, specs: Specs) -> str:
    """A sentence with its placeholders derived.

    A placeholder is a reading in braces, as in the column `readings` of the claims, with `unit` and
    `digits` for how it is printed.

    >>> text = "{subject=cloudmatrix-384;quantity=hbm_capacity;comparator=gb200-nvl72;digits=2}"
    >>> filled(f"{text} times the memory", load_specs())
    '3.6 times the memory'
    """

    def figure(match: re.Match[str]) -> str:
        given = read_conditions(match[1])
        unit, digits = given.pop("unit", ""), int(given.pop("digits", "4"))
        pairs = ";".join(f"{name}={value}" for name, value in given.items())
        value = Reading("", "", "", {}).changed(pairs).figure(specs)
        return units.text(value.to(unit) if unit else value, digits)

    return re.sub(r"\{([^{}]+)\}", figure, text)


def article(
    key: str,
    ledger: Mapping[str, Verdict],
    notes: Sequence[Note],
    shelf: Sequence[Notebook],
    specs: Specs,
) -> str:
    """The page of one article."""
    about = next(note for note in notes if note.article == key and note.kind == "about")
    claims = {name: verdict.claim for name, verdict in ledger.items()}
    own = [verdict for verdict in ledger.values() if verdict.claim.article == key]
    out = [n for n in notes if n.article == key and n.kind == "leaves_out"]
    left = [f"- **{_sentence_case(n.topic)}.** {filled(n.text, specs)}{_cited(n)}" for n in out]
    return "\n\n".join(
        [
            f"# {about.topic}",
            f"**{verdict_sentence([verdict.verdict for verdict in own])}**",
            filled(about.text, specs) + _cited(about, alone=key),
            "## What it leaves out",
            "\n".join(left),
            "## Claim by claim",
            "The claims in the order of the article, in our words. A repeated claim has the figure "
            "and the verdict of the one it repeats. The number of a claim leads to its working.",
            framed(claims_table(own, list(claims.values()))),
            "## Who else says so",
            "Agreement between copies is not corroboration. Claims that this article shares with "
            "the others, counted in the ledger, and where the matter comes from:",
            framed(shared_table(key, list(claims.values()), notes)),
            framed(repeats_table(key, notes)),
            "## The working of each claim",
            "How each claim was read, what it was derived from, which other readings were tried "
            "(✔ if the printed figure fits one, ✖ if not), and what its primary source says.",
            workings(own, claims, shelf, specs),
        ]
    )


def claims_table(own: Sequence[Verdict], claims: Sequence[Claim]) -> Table:
    """The claims of one article with their verdicts, and who else makes them."""
    also = repeated_in(claims)
    cells = [
        {
            "claim": f"{claim.id}, {claim.locator}: {claim.statement}",
            "claimed → derived": f"{claim.claimed} → {beside(claim.claimed, found.derived)}"
            if claim.value
            else "–",
            "verdict": f"{MARKS[found.verdict]} {found.verdict}. {found.why}",
            "also": ", ".join(c.id for c in also[claim.id] if c.article != claim.article),
        }
        for claim, found in ((verdict.claim, verdict) for verdict in own)
    ]
    return Table(pd.DataFrame(cells), wide=("claim", "verdict"))


def repeated_in(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """For each claim, the others that say the same."""
    roots: dict[str, list[Claim]] = {}
    for claim in claims:
        roots.setdefault(claim.same_as or claim.id, []).append(claim)
    return {c.id: [o for o in group if o is not c] for group in roots.values() for c in group}


def shared_table(key: str, claims: Sequence[Claim], notes: Sequence[Note]) -> Table:
    """How many of an article's claims each other one makes too."""
    titles = {note.article: note.topic for note in notes if note.kind == "about"}
    also = repeated_in(claims)
    own = [claim for claim in claims if claim.article == key]
    cells = [
        {
            "article": titles[other],
            "shared claims": str(
                sum(any(c.article == other for c in also[claim.id]) for claim in own)
            ),
            "of its": str(sum(claim.article == other for claim in claims)),
        }
        for other in titles
        if other != key
    ]
    return Table(pd.DataFrame(cells))


def repeats_table(key: str, notes: Sequence[Note]) -> Table:
    """What an article and others repeat, and the source behind it."""
    titles = short_names(notes)
    matters = [note for note in notes if note.kind == "repeats"]
    cells = [
        {
            "matter": own.topic,
            "also in": ", ".join(
                titles[n.article] for n in matters if n.topic == own.topic and n.article != key
            ),
            "comes from": own.text,
            "sources": own.source,
        }
        for own in matters
        if own.article == key
    ]
    return Table(pd.DataFrame(cells), code=("sources",), wide=("matter", "comes from"))


def overview(ledger: Mapping[str, Verdict], notes: Sequence[Note]) -> str:
    """The list of the articles, with how many claims of each hold."""
    found = []
    for note in notes:
        if note.kind == "about":
            own = [v.verdict for v in ledger.values() if v.claim.article == note.article]
            link = f"[{note.topic}](article-{note.article}.md)"
            found.append(f"- {link}: {verdict_sentence(own)}")
    pages = "\n".join(f"article-{key}" for key in articles(notes))
    return "\n\n".join(
        [
            "# The five articles",
            "What each claims, what of it holds, what it leaves out, and which of them repeat one "
            "another. Two are copies of one text and three rest on one analyst's table, so that "
            "agreement between them corroborates nothing.",
            "\n".join(found),
            f"```{{toctree}}\n:hidden:\n\n{pages}\n```",
        ]
    )


def _cited(note: Note, alone: str = "") -> str:
    """The sources of a note as links to the bibliography."""
    keys = [key for key in [alone, *note.source.split(";")] if key]
    return f" ({', '.join(source_keys([key]) for key in keys)})" if keys else ""


def _sentence_case(text: str) -> str:
    return text[0].upper() + text[1:]
