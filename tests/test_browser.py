"""The site in a headless browser: nothing fails, everything fits, and everybody can read it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import page_checks
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, TimeoutError
from rendered import Tab

WIDTHS = (360, 768, 1440)
PAPER = 718  # A4 upright between its margins, in pixels; a table of many columns lies on its side
GRAVE = ("serious", "critical")
# axe would load style sheets again, which a browser refuses for files; a finger needs 24 pixels.
COLOURS = ["color-contrast", "link-in-text-block"]
BASE = {"preload": False, "resultTypes": ["violations"]}
OTHER = BASE | {"rules": {"target-size": {"enabled": True}} | {r: {"enabled": False} for r in COLOURS}}
# axe takes its time over colours, and those of a long table or list are those of its first lines.
FIRST_LINES = {"exclude": [["tr:nth-child(n+12)"], [".citation:nth-child(n+12)"]]}

# The theme lets the keyboard into the frames that scroll, a third of a second after any change.
REACHED = """() => [...document.querySelectorAll('article :is(pre, .output)')]
    .every(e => e.tabIndex === 0
        || (e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight))"""
STILL = "* { animation: none !important; transition: none !important; }"
FOLD = "open => document.querySelectorAll('article details').forEach(fold => fold.open = open)"
UNSET = """[...document.querySelectorAll('.math:not(:has(mjx-container))')].map(e => e.innerText)
    .concat([...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(e => e.outerHTML))"""
PROSE = """[...document.querySelectorAll('article :is(h1, h2, h3, p, li, td)')]
    .filter(e => !e.querySelector('code, mjx-container')).map(e => e.innerText).join('\\n')"""
# Formulas that were not set; a sum of dollars, as quotations have it, is none.
RAW = re.compile(r"\$(?![\d.]+ [mb]illion)[^$\n]+\$|\\[(\[a-z]\S*")
WITHOUT_WORDS = "[...document.querySelectorAll('img')].filter(e => !e.alt).map(e => e.src)"
GROUNDS = """[...document.querySelectorAll('.cell_output img')]
    .map(e => getComputedStyle(e).backgroundColor)"""
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > width + 1)
    .map(e => `${e.tagName} ${e.className} in ${width}`).slice(0, 5);
}"""
OFF_PAPER = """width =>
  [...document.querySelectorAll('article :is(table, pre, img, mjx-container)')]
    .filter(e => e.getBoundingClientRect().width
        > (e.querySelector('th:nth-child(9)') ? width * Math.SQRT2 : width))
    .map(e => e.outerHTML.slice(0, 200))"""


@dataclass
class Visit:
    """What was found on one page."""

    shown: page_checks.Page
    errors: list[str]
    outside: list[str]
    mathematics: int
    unset: list[str]
    without_words: list[str]
    too_wide: list[str]
    off_paper: list[str]
    faults: list[str]
    colours: list[str]
    dark_colours: list[str]
    dark_grounds: set[str]


def visit(tab: Tab, name: str) -> Visit:
    """Open a page on a phone, at other widths, on paper and in the dark."""
    tab.errors, tab.outside = [], []
    page = still(tab.open(name, WIDTHS[0]))
    found = Visit(
        shown=page_checks.Page(page.content()),
        errors=tab.errors,
        outside=tab.outside,
        mathematics=page.locator("mjx-container").count(),
        unset=page.evaluate(UNSET) + RAW.findall(page.evaluate(PROSE)),
        without_words=page.evaluate(WITHOUT_WORDS),
        too_wide=[],
        off_paper=[],
        faults=[],
        colours=[],
        dark_colours=[],
        dark_grounds=set(),
    )
    page.evaluate(FOLD, True)
    for width in WIDTHS:
        resize(page, width)
        found.too_wide += page.evaluate(TOO_WIDE)

    resize(page, PAPER)
    page.emulate_media(media="print")
    found.off_paper = page.evaluate(OFF_PAPER, PAPER)

    resize(page, WIDTHS[0])
    page.emulate_media(media="screen")
    page.evaluate(FOLD, False)  # code has the same colours everywhere and is looked at once, below
    with suppress(TimeoutError):  # what stays out of reach is for axe to name
        page.wait_for_function(REACHED, timeout=10_000)
    found.faults = grave_faults(page)
    found.colours = unreadable(page)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    found.dark_colours = unreadable(page)
    found.dark_grounds = set(page.evaluate(GROUNDS))
    return found


def still(page: Page) -> Page:
    """A page on which nothing moves or fades: what is read of it does not depend on when."""
    page.add_style_tag(content=STILL)
    return page


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})


def grave_faults(page: Page, rules: Any = OTHER, where: Any = None) -> list[str]:
    """What axe calls a serious or critical fault, colours apart."""
    found = Axe().run(page, where, rules).response["violations"]
    return [
        f"{fault['id']}: {node['html']}: {(node['any'] + node['all'] + node['none'])[0]['message']}"
        for fault in found
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


def unreadable(page: Page) -> list[str]:
    """Text that stands out too little from its ground."""
    return grave_faults(page, BASE | {"runOnly": COLOURS}, FIRST_LINES)


@pytest.fixture(scope="module")
def visits(browser: Browser, site: Path) -> dict[str, Visit]:
    """Every page, visited once."""
    with browser.new_context() as context:
        tab = Tab(context.new_page(), site)
        return {path.name: visit(tab, path.name) for path in sorted(site.glob("*.html"))}


NONE_HAS = [
    "errors", "outside", "unset", "without_words", "too_wide", "off_paper", "faults",
    "colours", "dark_colours",
]  # fmt: skip


@pytest.mark.parametrize("what", NONE_HAS)
def test_no_page_has(visits: dict[str, Visit], what: str) -> None:
    found = {name: getattr(seen, what) for name, seen in visits.items()}
    assert len(found) > 20
    assert {name: what for name, what in found.items() if what} == {}


def test_every_link_and_anchor_resolves_when_scripts_have_run(visits: dict[str, Visit], site: Path) -> None:
    pages = {site / name: seen.shown for name, seen in visits.items()}
    assert list(page_checks.broken_links(pages)) == []


def test_mathematics_is_there(visits: dict[str, Visit]) -> None:
    assert visits["03-fabric.html"].mathematics > 0


def test_figures_keep_a_light_ground_in_the_dark(visits: dict[str, Visit]) -> None:
    assert set().union(*(seen.dark_grounds for seen in visits.values())) == {"rgb(255, 255, 255)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_stands_around_every_page_has_no_fault(tab: Tab, scheme: str) -> None:
    """The sidebars, which a phone hides; they are the same on every page."""
    page = still(tab.open("articles.html", WIDTHS[-1], scheme))
    assert page.locator("html").get_attribute("data-theme") == scheme
    assert grave_faults(page) + unreadable(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_code_is_readable_when_it_is_asked_for(tab: Tab, scheme: str) -> None:
    page = still(tab.open("09-uncertainty.html", WIDTHS[0], scheme))
    page.locator("details.hide > summary").first.click()
    assert page.locator("details.hide pre").first.is_visible()
    page.evaluate(FOLD, True)
    assert unreadable(page) == []


def test_a_dark_page_prints_dark_on_white(tab: Tab) -> None:
    """Also the heading that the address names, and the sources."""
    page = still(tab.open("article-gmex2025ascend.html#s003-05", PAPER, "dark"))
    page.emulate_media(media="print")
    assert unreadable(page) == []


def test_wide_table_scrolls_in_its_frame_with_the_keyboard(tab: Tab) -> None:
    page = tab.open("schema.html", WIDTHS[0])
    frame = page.locator(".cell_output .output.text_html:has(th:nth-child(6))").first
    assert frame.evaluate("e => e.scrollWidth > e.clientWidth")
    frame.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


def test_reader_can_choose_the_dark(tab: Tab) -> None:
    page = tab.open("index.html")
    page.locator(".theme-switch-button").click()
    page.locator(".theme-change-button[data-mode=dark]").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert tab.errors == []


def test_icons_are_drawn(tab: Tab) -> None:
    page = tab.open("index.html")
    icon = "document.querySelector('.theme-switch-button .fa-solid, .theme-switch')"
    family = page.evaluate(f"getComputedStyle({icon}, '::before').fontFamily")
    page.wait_for_function("family => document.fonts.check(`900 1em ${family}`)", arg=family)
    assert "Awesome" in family


def test_search_finds_pages(tab: Tab) -> None:
    page = tab.open("search.html?q=bandwidth")
    page.locator("#search-results li a").nth(5).wait_for()  # they appear one after the other
    assert tab.errors == tab.outside == []


def test_what_is_searched_for_can_be_read(tab: Tab) -> None:
    """The magnifier stands beside the words."""
    page = tab.open("search.html?q=bandwidth")
    icon = page.locator(".bd-search-container form .fa-magnifying-glass").bounding_box()
    field = page.locator(".bd-search-container form input")
    box = field.bounding_box()
    assert icon
    assert box
    padding = field.evaluate("e => parseFloat(getComputedStyle(e).paddingLeft)")
    assert icon["x"] + icon["width"] <= box["x"] + padding


# --- defects -------------------------------------------------------------------------------------

SMALL = '<a href="index.html" style="font-size: 6px">a</a><br>'
DEFECTS = [
    ("<script>console.error('a')</script>", "errors"),
    ("<script>nobody.defined(this)</script>", "errors"),
    ('<img src="no-file.png" alt="a">', "errors"),
    ('<img src="http://example.org/a.png" alt="a">', "errors outside"),
    ("<p>as in $x^2$</p>", "unset"),
    ("<p>as in \\frac{1}{2}</p>", "unset"),
    ('<div class="math">x</div>', "unset"),
    ('<img src="_static/plus.png">', "without_words faults"),
    ('<div style="width: 2000px">a</div>', "too_wide"),
    (
        '<div class="highlight" style="overflow: auto"><pre style="width: 800px"></pre></div>',
        "off_paper",
    ),
    ('<p style="color: #999; background: #fff">some words</p>', "colours dark_colours"),
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
    copy = tmp_path_factory.mktemp("planted") / "site"
    shutil.copytree(site, copy)
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
