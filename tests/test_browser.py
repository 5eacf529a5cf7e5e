"""The site in a headless browser: nothing fails, everything fits, and everybody can read it."""

from __future__ import annotations

import pytest
from rendered import Tab
from visiting import FOLD, NONE_HAS, PAPER, WIDTHS, Visit, grave_faults, still, unreadable


@pytest.mark.parametrize("what", NONE_HAS)
def test_no_page_has(visits: dict[str, Visit], what: str) -> None:
    found = {name: getattr(seen, what) for name, seen in visits.items()}
    assert len(found) > 20
    assert {name: what for name, what in found.items() if what} == {}


def test_mathematics_is_there(visits: dict[str, Visit]) -> None:
    assert visits["03-fabric.html"].mathematics > 0


def test_figures_keep_a_light_ground_in_the_dark(visits: dict[str, Visit]) -> None:
    assert set().union(*(seen.dark_grounds for seen in visits.values())) == {"rgb(255, 255, 255)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_stands_around_every_page_has_no_fault(tab: Tab, scheme: str) -> None:
    """The sidebars, which a phone hides; they are the same on every page."""
    page = still(tab.open("articles.html", WIDTHS[-1], scheme))
    assert page.locator("html").get_attribute("data-theme") == scheme
    assert grave_faults(page) == []


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
