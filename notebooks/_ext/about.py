"""What every page says of itself: its data and their date, how to cite it, and what a shared link shows."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pages
import pandas as pd
from facts import SHOWN, facts
from markupsafe import Markup

import cm384
from cm384.notebooks import NOTEBOOKS
from cm384.table.errors import DATA

OFFERED = "_static/data"  # where a page finds the tables that it offers
PROJECT = "CloudMatrix 384 from first principles"
LONGEST = 220  # characters of a description


def offer(source: Path) -> None:
    """Copy what pages offer for download: tables as CSV and JSON, and the notebooks as committed."""
    folder = source / OFFERED
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHOWN["offered"]:
        path = DATA / name
        shutil.copy(path, folder)
        lines = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
        text = json.dumps(lines, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{path.stem}.json").write_text(f"{text}\n", encoding="utf-8")
    for book in facts().shelf:
        shutil.copy(NOTEBOOKS / f"{book.stem}.ipynb", folder)


def told(name: str, title: str) -> dict[str, Any]:
    """What the foot of a page says; without an address of the repository nothing leads there."""
    place = SHOWN["address"]["repository"].rstrip("/")
    book = f"{name}.ipynb" if any(name == book.stem for book in facts().shelf) else ""
    path = f"{place.removeprefix('https://github.com/')}/blob/main/notebooks/{book}"
    binder = f"https://mybinder.org/v2/gh/{path.replace('/blob/main/', '/main?labpath=')}"
    date = facts().version
    where = f" {site}/{name}.html" if (site := SHOWN["address"]["site"].rstrip("/")) else ""
    return {
        "date": date[:10],
        "version": cm384.__version__,
        "cite": f"{PROJECT}: {title}. Version {cm384.__version__}, data of {date}.{where}",
        "book": book,
        "colab": f"https://colab.research.google.com/github/{path}" if place and book else "",
        "binder": binder if place and book else "",
        "report": f"{place}/issues/new?title={quote_plus(title)}" if place else "changes.html#objections",
        "data": SHOWN["offered"],
    }  # fmt: skip


def foot(name: str, title: str) -> str:
    """The foot of a page."""
    return pages.render("foot", **told(name, title))


def plain(text: str) -> str:
    """HTML as the words that it shows."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def described(body: str) -> str:
    """What a page says first: its answer in bold, or else its first paragraph, at most so long."""
    found = re.search(r"<p[^>]*><strong>(.{40,}?)</p>", body, re.S) or re.search(r"<p>(.*?)</p>", body, re.S)
    text = plain(found[1]) if found else ""
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]} …"


def tags(name: str, title: str, body: str) -> str:
    """What a search engine reads of a page, and what a link to it shows where it is shared."""
    site = SHOWN["address"]["site"].rstrip("/")
    given = {"og:title": title, "og:description": described(body), "og:type": "article",
             "og:image": f"{site}/_static/answer.png".lstrip("/")}  # fmt: skip
    if site:
        given["og:url"] = f"{site}/{name}.html"
    lines = [Markup('<meta name="description" content="{}">').format(given["og:description"])]
    lines += [Markup('<meta property="{}" content="{}">').format(*each) for each in given.items()]
    return "\n".join(lines)
