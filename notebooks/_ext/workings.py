"""The working of every claim: how it was read, what it was derived from, and who says so."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Mapping, Sequence

from cm384.calculator import words
from cm384.derive.derivation import compares, step_text
from cm384.ledger.board import MARKS
from cm384.ledger.claims import Claim, Printed, Reading
from cm384.ledger.verdicts import Attempt, Verdict, as_stated, attempts
from cm384.ledger.verdicts import other_readings as listed_readings
from cm384.markup import CLAIM_ID, framed, linked, source_keys
from cm384.notebooks import notebooks
from cm384.show.tables import Table, interval, rows_table, table
from cm384.table import units
from cm384.table.records import Row
from cm384.table.specs import Specs
from cm384.table.words import title

MOST_ROWS = 15  # more are summed up by source


@dataclasses.dataclass(frozen=True)
class Notebook:
    """A notebook as the site shows it: its page, its title, and the claims it names."""

    page: str
    title: str
    claims: frozenset[str]


def read_notebooks() -> list[Notebook]:
    """The notebooks of the checkout with the claims that their sources and outputs name."""
    import nbformat

    found = []
    for path in notebooks():
        heading = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        named = frozenset(CLAIM_ID.findall(path.read_text(encoding="utf-8")))
        found.append(Notebook(f"{path.stem}.html", heading.removeprefix("# "), named))
    return found


def closest(claim: Claim, shelf: Iterable[Notebook]) -> Notebook | None:
    """The notebook whose question a claim is: of those that name it, the one that names fewest."""
    naming = [book for book in shelf if (claim.same_as or claim.id) in book.claims]
    return min(naming, key=lambda book: len(book.claims), default=None)


def workings(
    own: Iterable[Verdict], ledger: Mapping[str, Claim], shelf: Sequence[Notebook], specs: Specs
) -> str:
    """The workings of some claims, an anchored entry each."""
    return "\n\n".join(entry(verdict, ledger, shelf, specs) for verdict in own)


def entry(
    verdict: Verdict, ledger: Mapping[str, Claim], shelf: Sequence[Notebook], specs: Specs
) -> str:
    """The working of one claim: its heading with an anchor, and what was done, line by line."""
    claim = verdict.claim
    where = f"{source_keys([claim.article])}, {html.escape(claim.locator)}"
    lines = [("says", f"{html.escape(claim.statement)} ({where})")]
    rows = ""
    if claim.same_as:
        lines.append(("repeats", f"{claim.same_as}, where the working stands."))
        if verdict.why != claim.primary_says:
            lines.append(("so", html.escape(verdict.why)))
    elif verdict.attempt:
        lines += derived_lines(verdict, verdict.attempt, ledger, specs)
        rows = rows_read(verdict.attempt, specs)
    lines += [line for line in primary_lines(claim) if line[1]]
    if book := closest(claim, shelf):
        lines.append(("notebook", f'<a href="{book.page}">{html.escape(book.title)}</a>'))
    listed = "\n".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines)
    mark = f"{MARKS[verdict.verdict]} {verdict.verdict}"
    body = linked(f'<div class="working">\n<dl>\n{listed}\n</dl>\n{rows}</div>')
    return f"({claim.id.lower()})=\n### {claim.id} {mark}\n\n{body}"


def derived_lines(
    verdict: Verdict, found: Attempt, ledger: Mapping[str, Claim], specs: Specs
) -> list[tuple[str, str]]:
    """How a derived claim was read, worked and judged, and what the other readings give."""
    claim = verdict.claim
    stated = as_stated(claim, specs, ledger)
    others = [*stated, *listed_readings(claim, found.reading)]
    tried = attempts([r for r in others if r != found.reading], claim.unit, specs)
    steps = list(worked(found, specs))
    allowed = interval(float(found.span.low.m), float(found.span.high.m))
    figure = f"<strong>{html.escape(found.text)}</strong>"
    if found.span.low.m < found.span.high.m:
        figure += f"; sources allow {allowed} ({found.span.method})"
    lines = [
        ("claimed", f"{claim.claimed}: {stands_for(claim.printed)}"),
        ("read as", html.escape(f"{found.reading.text}{_machine(claim, ledger, len(stated))}")),
        ("worked", bullets(steps)),
        ("derived", figure),
        ("verdict", html.escape(verdict.why)),
    ]
    if tried:
        marks = ["✔" if claim.printed.holds(a.central) else "✖" for a in tried]
        told = [f"{mark} {attempt}" for mark, attempt in zip(marks, tried, strict=True)]
        lines.append(("also tried", bullets(told)))
    return lines


def primary_lines(claim: Claim) -> list[tuple[str, str]]:
    """What the primary source of a claim says, where, and our remark."""
    keys, places = claim.primary.split(";"), claim.primary_locator.split("; ")
    if len(keys) == len(places):
        pairs = zip(keys, places, strict=True)
        where = "; ".join(f"{source_keys([k])}, {html.escape(p)}" for k, p in pairs if k)
    else:
        where = f"{source_keys(keys)}: {html.escape(claim.primary_locator)}"
    said = html.escape(claim.primary_says)
    if claim.judged and not claim.primary:
        said, where = "", said or "none was found"
    return [
        ("source says", f"{said} ({where})" if said else where),
        ("remark", html.escape(claim.note)),
    ]


def _machine(claim: Claim, ledger: Mapping[str, Claim], tried: int) -> str:
    """Whose choice the machine compared with is, where the article does not name it."""
    if claim.comparator in ledger:
        return f"; the article names no machine here: the one that {claim.comparator} fits is meant"
    if not claim.comparator and tried > 1:
        return f"; the article names no machine: all {tried} were tried"
    return ""


def stands_for(figure: Printed) -> str:
    """What a printed figure stands for, in words.

    >>> stands_for(Printed(3.6, 3.55, 3.65)), stands_for(Printed(2, 2, float("inf"), open=True))
    ('anything from 3.55 to 3.65', 'anything above 2')
    """
    low, high = units.number(figure.low, 6), units.number(figure.high, 6)
    if figure.low == figure.high:
        return f"exactly {low}"
    if figure.high == float("inf"):
        return f"anything above {low}" if figure.open else f"{low} or more"
    if figure.low == -float("inf"):
        return f"anything below {high}" if figure.open else f"{high} or less"
    return f"anything from {low} to {high}"


def worked(found: Attempt, specs: Specs) -> Iterable[str]:
    """The steps from the rows to the figure, each with its formula in words."""
    traced, trace = specs.traced()
    found.figure(traced)
    reading = found.reading
    steps = [step_text(step) for step in trace.steps]
    yield from dict.fromkeys(steps)
    if reading.comparator and not compares(reading.quantity):
        theirs = {**reading.conditions, **reading.against}
        other = Reading(reading.comparator, reading.quantity, "", theirs)
        ours = dataclasses.replace(reading, comparator="", against={})
        sides = " ÷ ".join(units.text(side.figure(specs)) for side in (ours, other))
        yield f"{sides} = {found.text}"
    elif not steps:
        yield "stated in the rows below"


def bullets(lines: Sequence[str]) -> str:
    """One line as it is, several as a list."""
    if len(lines) == 1:
        return html.escape(lines[0])
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def rows_read(found: Attempt, specs: Specs) -> str:
    """The rows that a figure was read from, all that sources state of each, folded."""
    rows = [row for key in found.span.keys for row in specs.rows[key]]
    if not rows:
        return ""
    shown_rows = by_source(rows) if len(rows) > MOST_ROWS else rows_table(rows)
    summary = f"<summary>rows read ({len(rows)})</summary>"
    return f"<details>{summary}\n{framed(shown_rows)}\n</details>\n"


def by_source(rows: Sequence[Row]) -> Table:
    """How many rows each source states, and of what."""
    cells = []
    for source in dict.fromkeys(row.source for row in rows):
        own = [row for row in rows if row.source == source]
        names = dict.fromkeys(f"{title(row.subject)}: {words(row.quantity)}" for row in own)
        cells.append({"source": source, "rows": str(len(own)), "states": "; ".join(names)})
    return table(cells, code=("source",), wide=("states",))
