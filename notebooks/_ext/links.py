"""What leads where on the site: a source to the bibliography, a claim to its working."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import cache

from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

from cm384.ledger.claims import Claim
from cm384.table import files
from cm384.table.documents import Source, load_sources
from cm384.table.errors import DATA

CLAIM_ID = re.compile(r"\bS\d{3}-\d+[a-z]?\b")


@cache
def _claims() -> Mapping[str, str]:
    """Where the working of each claim of this project stands."""
    table = files.read_table(DATA / "claims.csv", files.columns(Claim))
    rows = zip(table["id"], table["article"], strict=True)
    return {name: f"article-{article}.html#{name.lower()}" for name, article in rows}


@cache
def _entries() -> Mapping[str, Entry]:
    return dict(parse_file(str(DATA / "sources.bib")).entries)


def _plain(latex: str) -> str:
    """The words of an entry; only those with letters in commands need the slow reader of LaTeX."""
    found = re.sub(r"\\([&%$_#])|[{}]", r"\1", latex).replace("--", "–")
    return str(Text.from_latex(latex).render_as("text")) if "\\" in found else found


@cache
def called(key: str) -> str:
    """What a source is called: who wrote it, and the year.

    >>> called("huawei2025cloudmatrix"), called("pilz2025supercomputers"), called("pseo_tco")
    ('Zuo et al. 2025', 'Pilz et al. 2025', 'GPU TCO Analysis 2026')
    """
    who = [_plain(" ".join(person.last_names)) for person in _entries()[key].persons["author"]]
    several = " et al." if len(who) > 2 or who[1:] == ["others"] else ""
    return f"{who[0] if several else ' and '.join(who)}{several} {_published(load_sources()[key])[:4]}"


def _published(source: Source) -> str:
    return source.published.removeprefix("by ")


def weight(source: Source) -> str:
    """Whether a document is primary, relayed or weak: a maker's, an authority's or a measurement; of the
    press or an analyst; of the press, and without a date.
    """
    if source.kind in ("vendor", "official", "measurement"):
        return "primary"
    return "weak" if source.kind == "press" and source.published.startswith("by ") else "relayed"


def cited(key: str) -> str:
    """A source in HTML: its name, which leads to the bibliography and says more when it is pointed at."""
    source = load_sources()[key]
    told = f"{weight(source)} ({source.kind}, {source.published}): {_plain(_entries()[key].fields['title'])}"
    anchor = re.sub(r"[^a-z0-9]+", "-", f"cite-{key}".lower())  # as docutils writes an id
    return (f'<a class="source {weight(source)}" href="bibliography.html#{anchor}" '
            f'title="{html.escape(told)}">{html.escape(called(key))}</a>')  # fmt: skip


def linked(text: str) -> str:
    """HTML in which a source leads to the bibliography and a claim to its working, if not yet.

    >>> print(linked("<td>S000-11</td><td><code>xu2025connect</code></td>"))
    <td><a href="article-facefam2025huawei.html#s000-11">S000-11</a></td><td><a \
class="source primary" href="bibliography.html#cite-xu2025connect" title="primary (vendor, \
2025-09-18): Groundbreaking SuperPoD Interconnect: Leading a New Paradigm for AI Infrastructure">Xu \
2025</a></td>
    """

    def source(match: re.Match[str]) -> str:
        key = html.unescape(match[2])
        return match[0] if match[1] or key not in _entries() else cited(key)

    def claim(match: re.Match[str]) -> str:
        address = _claims().get(match[0])
        return f'<a href="{address}">{match[0]}</a>' if address else match[0]

    def claims(match: re.Match[str]) -> str:
        return match[0] if match[1] else CLAIM_ID.sub(claim, match[0])

    words = re.sub(r"(<a [^>]*)?>[^<\n]+<", claims, text)
    return re.sub(r"(<a [^>]*>)?<code>([^<]+)</code>", source, words)
