"""What leads where on the site: a source to the bibliography, a claim to its working."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from functools import cache

from cm384.ledger.claims import Claim
from cm384.table import files
from cm384.table.errors import DATA

CLAIM_ID = re.compile(r"\bS\d{3}-\d+[a-z]?\b")


@cache
def _claims() -> Mapping[str, str]:
    """Where the working of each claim of this project stands."""
    table = files.read_table(DATA / "claims.csv", files.columns(Claim))
    rows = zip(table["id"], table["article"], strict=True)
    return {name: f"article-{article}.html#{name.lower()}" for name, article in rows}


@cache
def _sources() -> frozenset[str]:
    return frozenset(files.read_keys())


def linked(text: str) -> str:
    """HTML in which a source leads to the bibliography and a claim to its working, if not yet.

    >>> print(linked("<td>S000-11</td><td><code>xu2025connect</code></td>"))
    <td><a href="article-facefam2025huawei.html#s000-11">S000-11</a></td><td><a \
href="bibliography.html#cite-xu2025connect"><code>xu2025connect</code></a></td>
    """

    def source(match: re.Match[str]) -> str:
        key = html.unescape(match[2])
        if match[1] or key not in _sources():
            return match[0]
        anchor = re.sub(r"[^a-z0-9]+", "-", f"cite-{key}".lower())  # as docutils writes an id
        return f'<a href="bibliography.html#{anchor}">{match[0]}</a>'

    def claim(match: re.Match[str]) -> str:
        address = _claims().get(match[0])
        return f'<a href="{address}">{match[0]}</a>' if address else match[0]

    def claims(match: re.Match[str]) -> str:
        return match[0] if match[1] else CLAIM_ID.sub(claim, match[0])

    words = re.sub(r"(<a [^>]*)?>[^<\n]+<", claims, text)
    return re.sub(r"(<a [^>]*>)?<code>([^<]+)</code>", source, words)
