"""The site in a headless browser: nothing fails, everything fits, and everybody can read it."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from rendered import Tab
from visiting import FOLD, NONE_HAS, PAPER, WIDTHS, Visit, grave_faults, still, unreadable


@pytest.mark.parametrize("what", NONE_HAS)
def test_no_page_has(visits: dict[str, Visit], what: str) -> None:
    found = {name: getattr(seen, what) for name, seen in visits.items()}
    assert len(found) > 20
    assert {name: what for name, what in found.items() if what} == {}


def test_mathematics_is_there(visits: dict[str, Visit]) -> None:
    assert visits["03-fabric.html"].mathematics > 0


def test_pages_are_light(visits: dict[str, Visit]) -> None:
    """All that a page loads on a desktop, in bytes: the first at most 800 kB, any at most 1.5 MB."""
    weights = {name: seen.weight for name, seen in visits.items()}
    assert 250_000 < weights["index.html"] < 800_000
    assert {name: size for name, size in weights.items() if size > 1_500_000} == {}


def test_figures_take_the_ground_of_a_dark_page(visits: dict[str, Visit], tab: Tab) -> None:
    """White turned to black and laid over the page leaves its ground: so has the edge of a figure."""
    looks = "rgba(0, 0, 0, 0) invert(1) hue-rotate(180deg) screen"
    assert set().union(*(seen.dark_grounds for seen in visits.values())) == {looks}
    page = still(tab.open("02-supernode.html", WIDTHS[-1], "dark"))
    figure = page.locator(".cell_output figure img").first
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    assert box
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    inside, beside = (int(box["x"]) + step for step in (3, -8))
    pixels = (shot.getpixel((x, int(box["y"]) + 40)) for x in (inside, beside))
    assert max(abs(a - b) for a, b in zip(*pixels, strict=True)) <= 1  # of 255: what rounds in a blend


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_first_screen_answers(tab: Tab, scheme: str) -> None:
    """On a desktop the answer and its figure, on a phone the answer; the figure says what is pointed at."""
    page = tab.open("index.html", 1440, scheme)
    for what in (".front .short", ".hero figure:not([hidden])"):
        box = page.locator(what).bounding_box()
        assert box
        assert box["y"] + box["height"] < 900
    mark = page.locator(".hero figure:not([hidden]) g[tabindex]").nth(1)
    mark.focus()
    assert page.locator(".hero output").inner_text() == mark.locator("title").text_content()
    page.locator(".hero select[name=machine]").select_option("hgx-h20")
    assert page.locator(".hero figure:not([hidden])").get_attribute("data-of") == "hgx-h20 same"
    page.set_viewport_size({"width": 390, "height": 844})
    box = page.locator(".front .short").bounding_box()
    assert box
    assert box["y"] + box["height"] < 844
    assert tab.errors == []


def test_a_citation_can_be_copied(tab: Tab) -> None:
    page = tab.open("02-supernode.html")
    page.locator(".about button").click()
    page.wait_for_function("document.querySelector('.about button').textContent === 'copied'")
    cite = page.locator(".about .cite").inner_text()
    assert page.evaluate("getSelection().toString()").split() == cite.split()


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
