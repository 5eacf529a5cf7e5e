"""One look at a page of the site in a headless browser: at every width, on paper and in the dark."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import page_checks
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, TimeoutError
from rendered import Tab

WIDTHS = (360, 768, 1440)
PAPER = 718  # A4 upright between its margins, in pixels; a table of many columns lies on its side
GRAVE = ("serious", "critical")
# axe would load style sheets again, which a browser refuses for files; a finger needs 24 pixels.
COLOURS = ["color-contrast", "link-in-text-block"]
BASE = {"preload": False, "resultTypes": ["violations"]}
ALL = BASE | {"rules": {"target-size": {"enabled": True}, "region": {"enabled": False}}}  # never grave
# axe takes its time over the colours of a text, and those of most words are those of others: it is told
# to look at three of each kind.
LOOK = """() => {
  const grounds = new Map([[null, '']]), seen = new Map();
  const ground = e => {
    if (!grounds.has(e)) {
      const {backgroundColor, backgroundImage, opacity, filter} = getComputedStyle(e);
      const own = [backgroundColor, backgroundImage, opacity, filter].join();
      grounds.set(e, ground(e.parentElement) + (own === 'rgba(0, 0, 0, 0),none,1,none' ? '' : own + ';'));
    }
    return grounds.get(e);
  };
  const looks = e => {
    const s = getComputedStyle(e);
    return [s.color, s.fontSize, s.fontWeight, s.textShadow, s.textDecorationLine, ground(e)].join();
  };
  document.querySelectorAll('[data-look]').forEach(e => delete e.dataset.look);
  for (const e of document.body.querySelectorAll('*')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!(text || e.placeholder || e.value) || !e.checkVisibility()) continue;
    const kind = looks(e) + (e.closest('a') ? looks(e.closest('a').parentElement) : '');
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (seen.get(kind) <= 3) (e.closest('a') ?? e).dataset.look = e.dataset.look = '';
  }
}"""
AXE = (
    Axe().axe_script
    + """;axe.configure({rules: [
  {id: 'color-contrast', selector: '[data-look]'},
  {id: 'link-in-text-block', selector: 'a[href][data-look]'},
]});"""
)
RUN = "rules => axe.run(document, rules)"

# The theme lets the keyboard into the frames that scroll, a third of a second after any change.
REACHED = """() => [...document.querySelectorAll('article :is(pre, .output)')]
    .every(e => e.tabIndex === 0
        || (e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight))"""
STILL = "* { animation: none !important; transition: none !important; }"
UNSEEN = "[...document.querySelectorAll('article details:not([open]) pre')].forEach(e => e.remove())"
FOLD = "open => document.querySelectorAll('article details').forEach(fold => fold.open = open)"
# Formulas that a phone cannot show whole, or that a browser does not draw.
UNSET = """[...document.querySelectorAll('.formula, merror')]
    .filter(e => !e.clientHeight || e.scrollWidth > e.clientWidth).map(e => e.innerText)"""
PROSE = """[...document.querySelectorAll('article :is(h1, h2, h3, p, li, td)')]
    .filter(e => !e.querySelector('code, math')).map(e => e.innerText).join('\\n')"""
RAW = re.compile(r"\$\$|\\[(\[a-z]\S*")  # formulas that were not translated
WITHOUT_WORDS = "[...document.querySelectorAll('img')].filter(e => !e.alt).map(e => e.src)"
GROUNDS = """[...document.querySelectorAll('.cell_output img')]
    .map(e => getComputedStyle(e)).map(e => `${e.backgroundColor} ${e.filter} ${e.mixBlendMode}`)"""
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.body.querySelectorAll('*')]
    .filter(e => e.getBoundingClientRect().right > width + 1)
    .map(e => `${e.tagName} ${e.className} in ${width}`).slice(0, 5);
}"""
OFF_PAPER = """width =>
  [...document.querySelectorAll('article :is(table, pre, img, math)')]
    .filter(e => e.getBoundingClientRect().width
        > (e.querySelector('th:nth-child(9)') ? width * Math.SQRT2 : width))
    .map(e => e.outerHTML.slice(0, 200))"""


NONE_HAS = [
    "errors", "outside", "unset", "without_words", "too_wide", "off_paper", "faults",
    "colours", "dark_colours",
]  # fmt: skip


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
    weight: int = 0


def visit(tab: Tab, name: str) -> Visit:
    """Open a page on a phone, at other widths, on paper and in the dark."""
    tab.errors, tab.outside, tab.asked = [], [], set()
    page = still(tab.open(name, WIDTHS[0]))
    found = Visit(
        shown=page_checks.Page(page.content()),
        errors=tab.errors,
        outside=tab.outside,
        mathematics=page.locator("math").count(),
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
    page.evaluate(FOLD, False)  # code has the same colours everywhere and is looked at once, on one page
    page.evaluate(UNSEEN)  # axe says nothing of what is hidden, but goes through all of it
    with suppress(TimeoutError):  # what stays out of reach is for axe to name
        page.wait_for_function(REACHED, timeout=10_000)
    every = grave_faults(page)
    found.colours = [fault for fault in every if fault.startswith(tuple(COLOURS))]
    found.faults = [fault for fault in every if fault not in found.colours]
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    found.dark_colours = unreadable(page)
    found.dark_grounds = set(page.evaluate(GROUNDS))
    # Of a picture one width is loaded: the larger one counts.
    loaded = [path for path in tab.asked if path.is_file() and not path.stem.endswith("-narrow")]
    found.weight = sum(path.stat().st_size for path in loaded)
    return found


def still(page: Page) -> Page:
    """A page on which nothing moves or fades: what is read of it does not depend on when."""
    page.add_style_tag(content=STILL)
    return page


def resize(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})


def grave_faults(page: Page, rules: Any = ALL) -> list[str]:
    """What axe calls a serious or critical fault."""
    if not page.evaluate("'axe' in window"):  # once a page: each copy of it is slow at first
        page.evaluate(AXE)
    page.evaluate(LOOK)
    found = page.evaluate(RUN, rules)["violations"]
    return [
        f"{fault['id']}: {node['html']}: {(node['any'] + node['all'] + node['none'])[0]['message']}"
        for fault in found
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


def unreadable(page: Page) -> list[str]:
    """Text that stands out too little from its ground."""
    return grave_faults(page, BASE | {"runOnly": COLOURS})
