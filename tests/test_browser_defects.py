"""Every link of the site in a headless browser; and defects of every kind, each of which is seen there.

A file of its own, so that a second worker visits pages meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import page_checks
import pytest
from playwright.sync_api import Browser
from rendered import Tab
from visiting import NONE_HAS, Visit, visit


def test_every_link_and_anchor_resolves_when_scripts_have_run(visits: dict[str, Visit], site: Path) -> None:
    pages = {site / name: seen.shown for name, seen in visits.items()}
    assert list(page_checks.broken_links(pages)) == []


SMALL = '<a href="index.html" style="font-size: 6px">a</a><br>'
DEFECTS = [
    ("<script>console.error('a')</script>", "errors"),
    ("<script>nobody.defined(this)</script>", "errors"),
    ('<img src="no-file.png" alt="a">', "errors"),
    ('<img src="http://example.org/a.png" alt="a">', "errors outside"),
    ("<p>as in $$x^2$$</p>", "unset"),
    ("<p>as in \\frac{1}{2}</p>", "unset"),
    (
        '<div class="formula" style="width: 50px; overflow: hidden"><p style="width: 99px">x</p></div>',
        "unset",
    ),
    ('<img src="_static/plus.png">', "without_words faults"),
    ('<div style="width: 2000px">a</div>', "too_wide"),
    (
        '<div class="highlight" style="overflow: auto"><pre style="width: 800px"></pre></div>',
        "off_paper",
    ),
    (
        f'{"<p>some words</p>" * 9}<p style="color: #999; background: #fff">some words</p>',
        "colours dark_colours",
    ),
    ("<ul><p>some words</p></ul>", "faults"),
    (f"<div class='output' tabindex='-1' style='overflow: auto'>{'word' * 200}</div>", "faults"),
    (f"<div>{SMALL * 3}</div>", "faults"),
    (
        '<p style="color: var(--pst-color-text-base); background: #ccc">some words</p>',
        "dark_colours",
    ),
]


@pytest.fixture(scope="module")
def planted(
    browser: Browser, site: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Visit]]:
    """Visits a page with something in it that should not be there."""
    copy = tmp_path_factory.mktemp("planted")
    for path in site.iterdir():
        (copy / path.name).symlink_to(path)
    text = (copy / "articles.html").read_text(encoding="utf-8")
    with browser.new_context() as context:
        tab = Tab(context.new_page(), copy)

        def plant(defect: str) -> Visit:
            (copy / "planted.html").write_text(
                text.replace("</article>", f"{defect}</article>"), encoding="utf-8"
            )
            return visit(tab, "planted.html")

        yield plant


HARMLESS = [("<p>nothing</p>", ""), ("<p>from $15 billion to $16 billion</p>", "")]


@pytest.mark.parametrize(("defect", "what"), [*HARMLESS, *DEFECTS])
def test_planted_defect_is_seen(planted: Callable[[str], Visit], defect: str, what: str) -> None:
    seen = planted(defect)
    assert [each for each in NONE_HAS if getattr(seen, each)] == what.split(), seen


def test_planted_link_by_a_script_is_seen(planted: Callable[[str], Visit], site: Path) -> None:
    script = "const a = document.createElement('a'); a.href = '#nowhere'; document.body.append(a)"
    page = planted(f"<script>{script}</script>").shown
    assert "planted.html: #nowhere" in page_checks.broken_links({site / "planted.html": page})


def test_every_kind_of_defect_was_planted() -> None:
    assert set(" ".join(what for _, what in DEFECTS).split()) == set(NONE_HAS)
