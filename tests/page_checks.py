"""What a rendered page asks of the network, and where its links lead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that a browser follows by itself when it opens a page.
FETCHED = {"src", "srcset", "poster", "data", "background", "xlink:href", "action"}
# Of <link>, these do not fetch: they only say how pages belong together.
RELATIONS = {"canonical", "author", "license", "index", "search", "next", "prev", "up", "help"}
CSS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
SCRIPT = re.compile(r"\bimport\s*\(?\s*['\"](https?:[^'\"]+)|\bfrom\s*['\"](https?:[^'\"]+)")


class Page(HTMLParser):
    """The addresses and anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.inside = tag
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.fetched += [values[name] for name in FETCHED & set(values)]
        self.fetched += addresses(CSS, values.get("style", ""))
        if tag == "link" and not set(values.get("rel", "").split()) & RELATIONS:
            self.fetched.append(values.get("href", ""))
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.fetched.append(values.get("content", ""))
        if tag in ("a", "area") and "href" in values:
            self.links.append(values["href"])

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in ("style", "script"):
            self.fetched += addresses(CSS if self.inside == "style" else SCRIPT, data)


def addresses(pattern: re.Pattern[str], text: str) -> list[str]:
    return [next(filter(None, groups)) for groups in pattern.findall(text)]


def outside(addresses: list[str]) -> list[str]:
    """Those that lead to another host; a `data:` address holds its content itself."""
    return [a for a in addresses if a.startswith("//") or urlsplit(a).scheme not in ("", "data")]


def requests(text: str) -> list[str]:
    """The outside addresses that a browser asks for when it opens a page.

    >>> requests('<a href="https://a.org">a</a><img src="b.png"><script src="https://c.org/c.js">')
    ['https://c.org/c.js']
    >>> requests('<style>@import "//d.org/d.css"; p {background: url(data:image/png,)}</style>')
    ['//d.org/d.css']
    """
    return outside(Page(text).fetched)


def style_requests(text: str) -> list[str]:
    """The outside addresses of a style sheet."""
    return outside(addresses(CSS, text))


def read_pages(site: Path) -> dict[Path, Page]:
    """The pages of a site as they lie there, before any script has run."""
    return {path: Page(path.read_text(encoding="utf-8")) for path in site.glob("*.html")}


def broken_links(pages: Mapping[Path, Page]) -> Iterator[str]:
    """The links between pages of a site, and the files a page loads, that lead nowhere."""
    for path, page in pages.items():
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].anchors if target in pages else set()
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in known):
                yield f"{path.name}: {link}"
