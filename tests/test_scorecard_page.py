"""The scorecard and the first page in a browser: filters, sorting, search, and without scripts."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from facts import SHOWN
from own_ledger import CLAIMS, lines
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect
from rendered import Tab

from cm384.ledger import claims
from cm384.ledger.board import TONES, sentences
from cm384.ledger.record import data_version
from cm384.notebooks import find_notebook
from cm384.table.documents import load_notes, short_names

LINES = lines().copy()
SENTENCES = sentences(LINES, CLAIMS)
LINES["article"] = LINES["article"].map(short_names(load_notes()))
PAGE = "00-scorecard.html"
TABLE = "claim-by-claim"  # the heading above the table


def table_of(notebook: Path) -> pd.DataFrame:
    """The widest table that a notebook shows, as text."""
    cells = nbformat.read(notebook, as_version=4).cells
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    shown = max((data["text/html"] for data in outputs if "text/html" in data), key=len)
    heads, *rows = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in shown.split("<tr>")[1:])
    texts = [[html.unescape(re.sub("<[^>]+>", "", cell)) for cell in row] for row in rows]
    return pd.DataFrame(texts, columns=heads)


CELLS = table_of(find_notebook("00"))
FILTERS = {
    "article": sorted(set(LINES["article"])),
    "category": sorted(claims.CATEGORIES),
    "answer": sorted(claims.ANSWERS),
    "settled": sorted(set(LINES["settled"])),
}
COLUMNS = ["id", "claim", "article", "category", "claimed", "derived", "span", "5–95 %", "stands in",
           "answer", "settled", "reported", "why", "overturn", "sources"]  # fmt: skip
DETAILS = ["span", "5–95 %", "stands in", "overturn", "sources"]  # hidden until they are asked for


def shown(page: Page) -> list[str]:
    """The ids of the claims that the table shows, in its order."""
    return page.locator(".scorecard tbody tr").evaluate_all(
        "rows => rows.filter(row => row.cells.length > 1).map(row => row.cells[0].textContent)"
    )


def control(page: Page, label: str) -> Locator:
    return page.locator(".filters").get_by_label(label)


def ids(keep: pd.Series[bool]) -> list[str]:
    return list(LINES.loc[keep, "id"])


def said(page: Page) -> str:
    return page.locator(".filters output").inner_text()


@pytest.fixture(scope="module")
def opened(context: BrowserContext, site: Path) -> Iterator[Tab]:
    """The scorecard, opened once for those that filter, search and sort."""
    tab = Tab(context.new_page(), site)
    tab.open(PAGE)
    yield tab
    tab.page.close()


@pytest.fixture
def page(opened: Tab) -> Iterator[Page]:
    """The scorecard with every claim, in the order of the ledger."""
    opened.page.get_by_role("button", name="show all").click()
    opened.page.evaluate("new Promise(done => setTimeout(done))")  # the page draws when the browser has reset
    assert shown(opened.page) == list(LINES["id"])
    yield opened.page
    assert opened.errors == opened.outside == []


@pytest.mark.parametrize("name", FILTERS)
def test_filter_shows_exactly_the_claims_of_the_ledger(page: Page, name: str) -> None:
    choice = control(page, name)
    options = choice.locator("option").evaluate_all("options => options.map(o => o.value)")
    assert options == ["", *[value for value in FILTERS[name] if (LINES[name] == value).any()]]
    for value in options[1:]:
        choice.select_option(value)
        wanted = ids(LINES[name] == value)
        assert shown(page) == wanted
        assert said(page) == f"{len(wanted)} of {len(LINES)} claims"
    choice.select_option("")
    assert shown(page) == list(LINES["id"])


def test_filters_and_search_work_together(page: Page) -> None:
    found = []
    for combination in product(
        FILTERS["article"][:2], ("system spec", "parity"), ("partly", "overstated"), ("proxy", "arithmetic")
    ):
        keep = pd.Series(True, LINES.index)
        for name, value in zip(FILTERS, combination, strict=True):
            control(page, name).select_option(value)
            keep &= LINES[name] == value
        assert shown(page) == ids(keep)
        found += ids(keep)
    assert found
    for name in ("article", "category"):
        control(page, name).select_option("")
    control(page, "search").fill("GB200")
    keep = (LINES["answer"] == "overstated") & (LINES["settled"] == "arithmetic")
    keep &= CELLS.apply(lambda row: "gb200" in " ".join(row).lower(), axis=1)
    assert keep.any()
    assert shown(page) == ids(keep)
    page.get_by_role("button", name="show all").click()
    page.get_by_text(f"{len(LINES)} of {len(LINES)} claims").wait_for()
    assert shown(page) == list(LINES["id"])
    assert control(page, "search").input_value() == ""


@pytest.mark.parametrize("word", ["HiSilicon", "toe-to-toe", "TSMC", "S003-13b", "zebra"])
def test_search_finds_the_claims_that_hold_the_word(page: Page, word: str) -> None:
    control(page, "search").fill(word)
    found = CELLS.apply(lambda row: word.lower() in " ".join(row).lower(), axis=1)
    assert shown(page) == ids(found)
    assert said(page) == f"{found.sum()} of {len(LINES)} claims"


@pytest.mark.parametrize(
    ("typed", "written"),
    [("60%", "60 ?%"), ("NVIDIA’s", "NVIDIA's"), ("1943", "1,?943"), ("$5.5 billion", r"5\.5 (bn|billion)")],
)
def test_search_takes_what_an_article_prints(page: Page, typed: str, written: str) -> None:
    control(page, "search").fill(typed)
    found = CELLS.apply(lambda row: bool(re.search(written, " ".join(row))), axis=1)
    assert shown(page) == ids(found)
    assert found.any()


def number(text: str) -> float:
    """What a cell sorts by: nothing comes before any number."""
    if words := [word for word in claims.MULTIPLES if word in text]:
        over, under = claims.MULTIPLES[max(words, key=len)]
        return float(over) / float(under)
    found = re.search(r"\d+(\.\d+)?", text.replace(",", ""))
    return float(found[0]) if found else -1


def mark_off(text: str) -> str:
    return text.split(" ", 1)[1]


@pytest.mark.parametrize(
    ("name", "key"),
    [("id", str), ("claimed", number), ("derived", number), ("answer", mark_off), ("settled", str)],
)
def test_header_sorts(page: Page, name: str, key: Callable[[str], float | str]) -> None:
    """Numbers as numbers; up, down, and back to the order of the ledger."""
    header = page.locator(".scorecard thead th").filter(has_text=re.compile(f"^{name}$"))
    by_id = dict(zip(CELLS["id"], CELLS[name], strict=True))
    for direction in ("ascending", "descending"):
        header.click()
        expect(header).to_have_attribute("aria-sort", direction)
        values = [key(by_id[claim]) for claim in shown(page)]
        assert len(values) == len(LINES)
        assert values == sorted(values, reverse=direction == "descending")  # type: ignore[type-var]
    header.click()
    expect(header).not_to_have_attribute("aria-sort", re.compile("."))
    assert shown(page) == list(LINES["id"])


def test_header_sorts_by_the_keyboard(page: Page) -> None:
    header = page.locator(".scorecard thead th").filter(has_text="derived")
    page.get_by_role("button", name="derived: Activate to sort").press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    for _ in range(2):
        header.locator("button").press("Enter")
    expect(header).not_to_have_attribute("aria-sort", re.compile("."))


def test_tiles_of_the_first_page_lead_to_their_claims(tab: Tab) -> None:
    """The number counts each sentence once; the table behind it has repetitions and parts, too."""
    tiles = tab.open("index.html").locator("ul.answers > li")
    assert tiles.count() == len(TONES)
    for i, answers in enumerate(TONES.values()):
        page = tab.open("index.html")
        tile = page.locator("ul.answers > li").nth(i)
        keep = LINES["answer"].isin(answers)
        assert tile.locator("strong").inner_text() == str(SENTENCES["answer"].isin(answers).sum())
        if not keep.any():
            assert tile.locator("a").count() == 0
            continue
        tile.locator("a").click()
        page.wait_for_url(f"**/{PAGE}?**#{TABLE}")
        assert shown(page) == ids(keep)
        known = [answer for answer in answers if (LINES["answer"] == answer).any()]
        assert control(page, "answer").input_value() == "|".join(known)
    page.get_by_role("button", name="show all").click()
    page.get_by_text(f"{len(LINES)} of {len(LINES)} claims").wait_for()


def test_address_presets_several_filters(tab: Tab) -> None:
    page = tab.open(f"{PAGE}?answer=overstated&settled=arithmetic")
    assert shown(page) == ids((LINES["answer"] == "overstated") & (LINES["settled"] == "arithmetic"))
    assert control(page, "settled").input_value() == "arithmetic"


def test_unknown_preset_shows_everything(tab: Tab) -> None:
    page = tab.open(f"{PAGE}?answer=wrong&article=<b>")
    assert shown(page) == list(LINES["id"])
    assert tab.errors == []


def test_coming_back_from_a_working_finds_the_same_claims(tab: Tab) -> None:
    page = tab.open(PAGE)
    control(page, "answer").select_option("overstated")
    control(page, "search").fill("power")
    wanted, count = shown(page), said(page)
    assert 0 < len(wanted) < len(ids(LINES["answer"] == "overstated"))
    page.locator(".scorecard tbody a").first.click()
    page.wait_for_url("**/article-*")
    page.go_back()
    expect(page.locator(".filters output")).to_have_text(count)
    assert shown(page) == wanted
    assert control(page, "answer").input_value() == "overstated"


def test_details_are_shown_on_request(tab: Tab) -> None:
    page = tab.open(PAGE)
    heads = page.locator(".scorecard thead th:visible")
    assert [head.strip() for head in heads.all_inner_texts()] == [
        name for name in COLUMNS if name not in DETAILS
    ]
    control(page, "spans, sources, what would overturn it").check()
    assert [head.strip() for head in heads.all_inner_texts()] == COLUMNS
    assert page.locator(".scorecard tbody tr").first.locator("td:visible").count() == len(COLUMNS)
    assert page.locator('.scorecard a[href^="bibliography.html#"]').count() > len(LINES)


@pytest.mark.parametrize("width", [360, 1440])
def test_without_scripts_it_is_a_plain_complete_table(browser: Browser, site: Path, width: int) -> None:
    shape: ViewportSize = {"width": width, "height": 900}
    with browser.new_context(java_script_enabled=False, viewport=shape) as context:
        page = context.new_page()
        page.goto(f"{site.as_uri()}/{PAGE}?answer=overstated#{TABLE}")
        assert page.locator("th", has_text="stands in").is_visible()
        claims = page.locator('tr > td:first-child > a[href^="article-"]')
        assert claims.count() == len(LINES)
        assert all(claims.nth(i).is_visible() for i in range(0, len(LINES), 20))
        assert page.locator(".filters").count() == 0


@pytest.mark.parametrize("width", [360, 768, 1000, 1200, 1440])
def test_nothing_is_wider_than_the_page(tab: Tab, width: int) -> None:
    for name in (PAGE, "index.html", "article-gmex2025ascend.html"):
        page = tab.open(name, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name


CARD = {"id", "claim", "claimed", "derived", "answer"}  # what a card shows before it is unfolded


def test_a_phone_shows_a_card_a_claim_and_the_rest_on_request(tab: Tab) -> None:
    page = tab.open(PAGE, width=390, height=844)
    rows = page.locator(".scorecard tbody tr:visible")
    assert rows.count() == 20
    card = rows.filter(has_text="S000-02")
    cells = card.locator("td:visible")
    assert set(cells.evaluate_all("cells => cells.map(cell => cell.dataset.label)")) == CARD
    tops = {name: card.locator(f'td[data-label="{name}"]').bounding_box() for name in CARD}
    assert tops["answer"]["y"] < tops["claim"]["y"] < tops["claimed"]["y"]  # type: ignore[index]
    more = card.get_by_role("button", name="why")
    more.click()
    assert more.get_attribute("aria-expanded") == "true"
    for name in ("why", "overturn", "sources"):
        cell = card.locator(f'td[data-label="{name}"]')
        assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == f'"{name}"'
        assert cell.evaluate("""cell => {
            const words = document.createRange();
            words.selectNodeContents(cell);
            const edge = cell.getBoundingClientRect().left + 80;
            return [...words.getClientRects()].every(line => line.left >= edge);
        }""")
    assert page.locator(".scorecard").evaluate("frame => frame.scrollWidth <= frame.clientWidth")
    page.get_by_role("button", name=f"show the other {len(LINES) - 20}").click()
    assert rows.count() == len(LINES)


def test_the_page_is_short_on_a_phone_and_loads_little(tab: Tab) -> None:
    """At most 15 screens before anyone clicks, search and filters first; at most 1.5 MB with all it loads."""
    loaded: set[str] = set()
    tab.page.on("request", lambda request: loaded.add(request.url))
    page = tab.open(PAGE, width=390, height=844)
    assert page.evaluate("document.documentElement.scrollHeight") <= 15 * 844
    order = page.evaluate("""['.filters', '.scorecard', '#how-to-read-an-answer', 'figure'].map(
        one => document.querySelector(one).getBoundingClientRect().top)""")
    assert order == sorted(order)
    for name in (PAGE, "calculator.html"):
        loaded.clear()
        tab.open(name)
        files = {tab.site / re.split("[?#]", url.removeprefix(f"{tab.site.as_uri()}/"))[0] for url in loaded}
        assert sum(file.stat().st_size for file in files) <= 1_500_000, name
    assert tab.errors == tab.outside == []


def test_figures_unfold_on_a_phone(tab: Tab) -> None:
    page = tab.open(PAGE, width=390, height=844)
    pictures = page.locator(".cell_output figure")
    assert pictures.count() == 3
    assert not any(one.is_visible() for one in pictures.all())
    page.get_by_text("show the figure").first.click()
    expect(pictures.first).to_be_visible()
    tab.open(PAGE, width=1440)
    assert all(one.is_visible() for one in pictures.all())


def test_filters_and_search_live_in_the_address(tab: Tab) -> None:
    page = tab.open(PAGE)
    control(page, "answer").select_option("overstated")
    control(page, "search").fill("memory & power")
    assert page.evaluate("location.search") == "?answer=overstated&search=memory+%26+power"
    control(page, "search").fill("power")
    wanted, address = shown(page), page.evaluate("location.href").partition("/site/")[2]
    assert wanted
    tab.open("index.html")
    tab.open(address)
    assert shown(page) == wanted
    page.goto(f"{page.url}#summary")  # an entry of its own, from which one comes back
    control(page, "search").fill("memory")
    page.go_back()
    expect(control(page, "search")).to_have_value("power")
    assert shown(page) == wanted
    page.get_by_role("button", name="show all").click()
    page.get_by_text(f"{len(LINES)} of {len(LINES)} claims").wait_for()
    assert page.evaluate("location.search") == ""
    assert tab.errors == []


def test_a_row_has_a_link_of_its_own(tab: Tab) -> None:
    page = tab.open(f"{PAGE}?answer=holds")
    page.get_by_role("link", name="link to the row of S000-03").click()
    page.wait_for_url(f"**/{PAGE}?search=S000-03#{TABLE}")
    assert shown(page)[0] == "S000-03"
    assert control(page, "answer").input_value() == ""


def test_a_search_that_finds_nothing_says_what_would(tab: Tab) -> None:
    has = CELLS.apply(lambda row: "TSMC" in " ".join(row), axis=1)
    alone = CELLS.loc[has, "article"].iloc[0]
    other = next(name for name in FILTERS["article"] if not (has & (CELLS["article"] == name)).any())
    page = tab.open(f"{PAGE}?article={alone}&search=TSMC+zebra")
    said = page.locator(".filters .nothing")
    assert shown(page) == []
    assert said.inner_text().startswith("No claim fits.")
    own = said.get_by_role("link", name="check one of your own")
    assert own.get_attribute("href") == "11-your-own-claim.html"
    said.get_by_role("button", name="only “TSMC”").click()
    assert shown(page) == ids(has & (CELLS["article"] == alone))
    assert said.is_hidden()
    control(page, "article").select_option(other)
    assert shown(page) == []
    said.get_by_role("button", name=f"without filters: {has.sum()}").click()
    assert shown(page) == ids(has)


def test_paper_has_every_row(tab: Tab) -> None:
    page = tab.open(PAGE, width=390, height=844)
    page.emulate_media(media="print")
    assert page.locator(".scorecard tbody tr:visible").count() == len(LINES)
    assert page.locator(".filters").is_hidden()
    page.emulate_media(media="screen")


def test_bare_numbers_keep_their_heads_on_a_phone(tab: Tab) -> None:
    page = tab.open("09-uncertainty.html", width=360)
    expect(page.locator("th", has_text="alone")).to_be_visible()
    page = tab.open("02-supernode.html", width=360)
    expect(page.locator("th", has_text="claimed → derived")).to_be_hidden()


@pytest.mark.parametrize(("width", "bottom"), [(1440, 900), (360, 2 * 780)])
def test_the_answer_its_figure_and_the_box_are_seen_at_once(tab: Tab, width: int, bottom: int) -> None:
    """In one screen of a laptop, in two of a phone; the table and the telling figures follow."""
    page = tab.open("index.html", width=width)
    assert page.locator("ul.cards > li").count() == len(SHOWN["cards"])
    assert page.locator("table").first.locator("tbody tr").count() == len(SHOWN["title_rows"])
    for what in (".front .short", "#sentence", ".hero figure:not([hidden])"):
        box = page.locator(what).bounding_box()
        assert box
        assert box["y"] + box["height"] <= bottom
    assert tab.errors == tab.outside == []


def test_link_to_a_claim_says_when_the_data_have_moved_on(tab: Tab) -> None:
    page = tab.open("article-gmex2025ascend.html")
    link = page.locator("a", has_text=f"this claim, data of {data_version()}").first.get_attribute("href")
    assert link == f"?data={data_version()}#s003-01"
    for made, hidden in ((data_version(), True), ("2026-01-01-00000000", False)):
        page = tab.open(f"article-gmex2025ascend.html?data={made}#s003-05")
        assert page.locator("#moved").is_hidden() is hidden
    assert "See what changed" in page.locator("#moved").inner_text().replace("\n", " ")
    assert tab.errors == tab.outside == []
