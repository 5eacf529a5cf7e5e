"""The working of every claim on the pages of the articles, and the computed parts of the first."""

from __future__ import annotations

import html
import re
from pathlib import Path

import page_checks
import pytest

from cm384 import landing, load_claims, load_specs, pages, workings
from cm384.table import units
from cm384.ledger.claims import MULTIPLES, VERDICTS, Printed
from cm384.markup import linked, source_keys
from cm384.ledger.readings import attempts
from cm384.show.tables import MARKS, number_or_dash
from cm384.ledger.verdicts import as_stated, judge_all, other_readings

SPECS = load_specs()
CLAIMS = load_claims(specs=SPECS)
LEDGER = {verdict.claim.id: verdict for verdict in judge_all(CLAIMS, SPECS)}
SHELF = workings.read_notebooks()


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The working of each claim, by its anchor, from the pages as they are written."""
    folder = tmp_path_factory.mktemp("src")
    pages.write(folder)
    found: dict[str, str] = {}
    for path in folder.glob("article-*.md"):
        _, *parts = re.split(r"^\(([\w-]+)\)=$", path.read_text(encoding="utf-8"), flags=re.M)
        for anchor, text in zip(parts[::2], parts[1::2], strict=True):
            assert anchor not in found
            found[anchor] = text
    return found


def links(text: str) -> list[str]:
    return page_checks.Page(text).links


# --- every claim ---------------------------------------------------------------------------------


def test_every_claim_has_one_working(entries: dict[str, str]) -> None:
    assert sorted(entries) == sorted(name.lower() for name in LEDGER)


@pytest.mark.parametrize("name", LEDGER)
def test_working_says_what_was_claimed_found_and_why(entries: dict[str, str], name: str) -> None:
    verdict, text = LEDGER[name], html.unescape(re.sub("<[^>]+>", "", entries[name.lower()]))
    claim = verdict.claim
    assert f"### {name} {MARKS[verdict.verdict]} {verdict.verdict}\n" in text
    assert claim.statement in text
    assert claim.locator in text
    assert verdict.why in text
    assert claim.note in text
    if verdict.attempt and not claim.same_as:
        assert verdict.attempt.reading.text in text
        assert units.number(verdict.derived) in text


def test_working_shows_its_arithmetic(entries: dict[str, str]) -> None:
    """384 × 752 TFLOPS ÷ (72 × 2,500 TFLOPS)."""
    text = entries["s000-02"]
    for line in (
        "= 288.8 PFLOPS (from 384; 752 TFLOPS)",
        "= 180 PFLOPS (from 72; 2,500 TFLOPS)",
        "288.8 PFLOPS ÷ 180 PFLOPS = 1.604",
    ):
        assert line in text


@pytest.mark.parametrize("name", LEDGER)
def test_working_leads_to_its_sources(entries: dict[str, str], name: str) -> None:
    """To the article, the primary source and that of every row; else it says there is none."""
    verdict, found = LEDGER[name], links(entries[name.lower()])
    claim = verdict.claim
    wanted = {claim.article, *filter(None, claim.primary.split(";"))}
    if claim.same_as:
        assert linked(f">{claim.same_as}<").split('"')[1] in found
    else:
        wanted |= set(verdict.sources)
    assert {links(source_keys([key]))[0] for key in wanted} <= set(found)
    if len(wanted) == 1 and not claim.same_as:
        assert entries[name.lower()].lower().count("none was found") == 1


@pytest.mark.parametrize("name", LEDGER)
def test_working_leads_to_a_notebook_that_names_the_claim(
    entries: dict[str, str], name: str
) -> None:
    (page,) = (link for link in links(entries[name.lower()]) if re.match(r"\d\d-", link))
    (book,) = (book for book in SHELF if book.page == page)
    assert (LEDGER[name].claim.same_as or name) in book.claims
    assert not page.startswith("00-")


def test_notebook_is_the_one_that_names_fewest_claims() -> None:
    shelf = [
        workings.Notebook("all.html", "all", frozenset({"S000-02", "S000-03", "S000-11"})),
        workings.Notebook("two.html", "two", frozenset({"S000-02", "S000-11"})),
        workings.Notebook("one.html", "one", frozenset({"S000-03"})),
    ]
    one, other = LEDGER["S001-03"].claim, LEDGER["S000-09"].claim
    found = workings.closest(one, shelf)  # it repeats S000-02
    assert found is not None
    assert found.page == "two.html"
    assert workings.closest(other, shelf) is None


def test_a_number_of_things_is_a_plain_number(entries: dict[str, str]) -> None:
    """48 nodes of 8 accelerators are 384."""
    assert "<dd>accelerators from nodes of CloudMatrix 384 = nodes" in entries["s000-08"]
    assert "accelerators in one node = 384 (from 48; 8)</dd>" in entries["s000-08"]


def test_no_working_says_the_same_twice(entries: dict[str, str]) -> None:
    for name, text in entries.items():
        told = [html.unescape(t) for t in re.findall("<dd>(.*?)(?: \\(<a .*)?</dd>", text)]
        assert len(told) == len(set(told)), name


# --- by hand -------------------------------------------------------------------------------------


def test_working_of_the_compute_claim_is_that_by_hand(entries: dict[str, str]) -> None:
    """384 × 752 = 288,768 and 72 × 2,500 = 180,000 TFLOPS; the matrix units alone 707.8."""
    text = entries["s000-02"]
    assert "<dd>more than double: anything above 2</dd>" in text
    assert "<li>288.8 PFLOPS ÷ 180 PFLOPS = 1.604</li>" in text
    assert "<li>✖ peak (BF16, matrix) of CloudMatrix 384 ÷ GB200 NVL72 = 1.510</li>" in text
    assert "<td>Ascend 910C: peak (BF16)</td><td>752 TFLOPS (headline)</td>" in text
    assert "rows read (7)" in text
    assert 'href="02-supernode.html"' in text


def test_working_through_the_model_sums_its_rows_up_by_source(entries: dict[str, str]) -> None:
    text = entries["s003-05"]
    count = sum(len(SPECS.rows[key]) for key in LEDGER["S003-05"].attempt.span.keys)  # type: ignore[union-attr]
    assert count > workings.MOST_ROWS
    assert f"rows read ({count})" in text
    counts = re.findall(r"</code></a></td><td>(\d+)</td><td>", text)
    assert sum(map(int, counts)) == count


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Printed(384, 384, 384), "exactly 384"),
        (Printed(1, 1, float("inf")), "1 or more"),
        (Printed(50, -float("inf"), 50, open=True), "anything below 50"),
        (Printed(6688, 6687.5, 6688.5), "anything from 6,687.5 to 6,688.5"),
    ],
)
def test_what_a_printed_figure_stands_for(figure: Printed, said: str) -> None:
    assert workings.stands_for(figure) == said


def test_nothing_is_linked_twice() -> None:
    once = linked("<td>S000-02: <code>xu2025connect</code></td>")
    assert linked(once) == once
    assert once.count("<a ") == 2


def test_only_claims_and_sources_of_this_project_become_links() -> None:
    plain = "<td>S999-01, A950-01</td><td><code>nobody2099</code></td>"
    assert linked(plain) == plain
    assert links(linked("<td>S000-02, S003-13b</td>")) == [
        "article-facefam2025huawei.html#s000-02",
        "article-gmex2025ascend.html#s003-13b",
    ]


# --- the first page ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("src")
    pages.write(folder)
    return Path(folder, "index.md").read_text(encoding="utf-8")


def test_every_verdict_is_counted_once(index: str) -> None:
    assert sorted(v for heap in landing.HEAPS.values() for v in heap) == sorted(VERDICTS)
    tiles = re.findall(r'<a href="([^"]+)"><strong>(\d+)</strong>.*<span>([^<]+)</span>', index)
    assert [name for *_, name in tiles] == list(landing.HEAPS)
    for address, count, name in tiles:
        query = [f"verdict={verdict.replace(' ', '+')}" for verdict in landing.HEAPS[name]]
        assert html.unescape(address) == f"00-scorecard.html?{'&'.join(query)}#{landing.TABLE}"
        assert int(count) == sum(v.verdict in landing.HEAPS[name] for v in LEDGER.values())
    assert f"Of {len(LEDGER)} claims" in index
    assert sum(int(count) for _, count, _ in tiles) == len(LEDGER)


@pytest.mark.parametrize("card", landing.CARDS, ids=lambda card: card.claims[0])
def test_card_shows_the_computed_figure(index: str, card: landing.Card) -> None:
    (text,) = (t for t in re.findall(r"<li class=.*?</li>", index) if card.headline in t)
    for name in card.claims:
        verdict = LEDGER[name]
        assert number_or_dash(verdict.derived) in text
        assert f"{MARKS[verdict.verdict]}</span> {verdict.verdict}</p>" in text
        printed = verdict.claim.value
        if verdict.claim.form != "statement":
            assert printed in MULTIPLES or printed in card.headline
    claim = LEDGER[card.claims[0]].claim
    assert links(text) == [f"article-{claim.article}.html#{name.lower()}" for name in card.claims]
    assert "{" not in text


def test_sentences_of_the_cards_are_true(index: str) -> None:
    """384 against 72 chips, 707.8 ÷ 752 × 1.604, 6,688 ÷ 7,417 and ÷ 7,839, 559 ÷ 145 kW."""
    for words in (
        "384 chips against 72.", "Like for like it is 1.51.", "it is 90 %", "it has 0.85 of one",
        "It takes 3.9 times the power",
    ):  # fmt: skip
        assert words in index
    memory = LEDGER["S000-11"].claim
    tried = attempts(as_stated(memory, SPECS, {}), "", SPECS)
    assert sum(bool(memory.printed.holds(a.central)) for a in tried) == 1
    efficient = LEDGER["S004-13"]
    assert efficient.attempt is not None
    tried = attempts(other_readings(efficient.claim, efficient.attempt.reading), "", SPECS)
    assert {a.reading.quantity for a in tried if a.central > 1} == {"tokens_per_tflop"}


def test_first_page_lists_every_notebook_by_its_question(index: str) -> None:
    for book in SHELF:
        assert f"- [{book.title}]({Path(book.page).stem}.ipynb)" in index
    assert "<!--" not in index
