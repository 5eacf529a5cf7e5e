"""The working of every claim on the pages of the articles, and the computed parts of the first."""

from __future__ import annotations

import html
import re

import page_checks
import pages
import pytest
import workings
from facts import SHOWN, Notebook, facts
from links import linked

from cm384.ledger.board import MARKS
from cm384.ledger.claims import MULTIPLES, VERDICTS, Printed
from cm384.ledger.verdicts import as_stated, attempts, other_readings
from cm384.notebooks import NOTEBOOKS
from cm384.show.tables import number_or_dash
from cm384.table import units

KNOWN = facts()
LEDGER = KNOWN.ledger


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The working of each claim, by its anchor, from the pages as Sphinx reads them."""
    folder = tmp_path_factory.mktemp("src")
    pages.write(folder)
    found: dict[str, str] = {}
    for path in folder.glob("article-*.md"):
        text = linked(path.read_text(encoding="utf-8"))
        _, *parts = re.split(r"^\(([\w-]+)\)=$", text, flags=re.M)
        for anchor, part in zip(parts[::2], parts[1::2], strict=True):
            assert anchor not in found
            found[anchor] = part
    return found


def links(text: str) -> list[str]:
    return page_checks.Page(text).links


def cited(key: str) -> str:
    (link,) = links(linked(f"<code>{key}</code>"))
    return link


# --- every claim ---------------------------------------------------------------------------------


def test_every_claim_has_one_working(entries: dict[str, str]) -> None:
    assert sorted(entries) == sorted(name.lower() for name in LEDGER)


def test_what_is_derived_stands_in_the_working(entries: dict[str, str]) -> None:
    """Its figure, its reading, the verdict and the reason, none of them escaped twice."""
    missing = []
    for name, verdict in LEDGER.items():
        text = html.unescape(re.sub("<[^>]+>", "", entries[name.lower()]))
        wanted = [f"### {name} {MARKS[verdict.verdict]} {verdict.verdict}\n", verdict.why]
        if verdict.attempt and not verdict.claim.same_as:
            wanted += [verdict.attempt.reading.text, units.number(verdict.derived)]
        missing += [(name, part) for part in wanted if part not in text]
    assert missing == []


def test_every_working_leads_to_its_sources(entries: dict[str, str]) -> None:
    """To the article, the primary source and that of every row; else it says there is none."""
    for name, verdict in LEDGER.items():
        claim, text = verdict.claim, entries[name.lower()]
        wanted = {claim.article, *filter(None, claim.primary.split(";"))}
        if claim.same_as:
            assert linked(f">{claim.same_as}<").split('"')[1] in links(text), name
        else:
            wanted |= set(verdict.sources)
        assert {cited(key) for key in wanted} <= set(links(text)), name
        if len(wanted) == 1 and not claim.same_as:
            assert text.lower().count("none was found") == 1, name


def test_every_working_leads_to_a_notebook_that_names_the_claim(entries: dict[str, str]) -> None:
    shelf = {f"{book.stem}.html": book for book in KNOWN.shelf}
    for name, verdict in LEDGER.items():
        (page,) = (link for link in links(entries[name.lower()]) if re.match(r"\d\d-", link))
        assert (verdict.claim.same_as or name) in shelf[page].claims, name
        assert not page.startswith("00-"), name


def test_notebook_is_the_one_that_names_fewest_claims() -> None:
    shelf = [
        Notebook("all", "all", frozenset({"S000-02", "S000-03", "S000-11"})),
        Notebook("two", "two", frozenset({"S000-02", "S000-11"})),
        Notebook("one", "one", frozenset({"S000-03"})),
    ]
    found = workings.closest(LEDGER["S001-03"].claim, shelf)  # it repeats S000-02
    assert found is not None
    assert found.stem == "two"
    assert workings.closest(LEDGER["S000-09"].claim, shelf) is None


def test_no_working_says_the_same_twice(entries: dict[str, str]) -> None:
    for name, text in entries.items():
        told = [html.unescape(t) for t in re.findall("<dd>(.*?)(?: \\(<a .*)?</dd>", text)]
        assert len(told) == len(set(told)), name


# --- by hand -------------------------------------------------------------------------------------


def test_working_of_the_compute_claim_is_that_by_hand(entries: dict[str, str]) -> None:
    """384 × 752 = 288,768 and 72 × 2,500 = 180,000 TFLOPS; the matrix units alone 707.8."""
    text = entries["s000-02"]
    for line in (
        "<dd>more than double: anything above 2</dd>",
        "= 288.8 PFLOPS (from 384; 752 TFLOPS)</li>",
        "= 180 PFLOPS (from 72; 2,500 TFLOPS)</li>",
        "= 288.8 PFLOPS ÷ 180 PFLOPS = 1.604</li>",
        "<li>✖ peak (BF16, matrix) of CloudMatrix 384 ÷ GB200 NVL72 = 1.510</li>",
        "<td>Ascend 910C: peak (BF16)</td><td>752 TFLOPS (headline)</td>",
        "rows read (7)",
        'href="02-supernode.html"',
    ):
        assert line in text


def test_a_number_of_things_is_a_plain_number(entries: dict[str, str]) -> None:
    """48 nodes of 8 accelerators are 384."""
    assert "<dd>accelerators from nodes of CloudMatrix 384 = nodes" in entries["s000-08"]
    assert "accelerators in one node = 384 (from 48; 8)</dd>" in entries["s000-08"]


def test_working_through_the_model_shows_its_terms(entries: dict[str, str]) -> None:
    """The milliseconds of the terms add up to the step, and its rows are summed up by source."""
    text, found = entries["s003-05"], LEDGER["S003-05"].attempt
    assert found is not None
    times = re.findall(r"one step on Ascend 910C = [^<]* = (-?[\d.,]+) ms", text)
    *terms, step = (float(time.replace(",", "")) for time in times)
    assert len(terms) > 10
    assert sum(terms) == pytest.approx(step, rel=1e-3)
    count = sum(len(KNOWN.specs.rows[key]) for key in found.span.keys)
    assert count > workings.MOST_ROWS
    assert f"rows read ({count})" in text
    counts = re.findall(r"</code></a></td><td>(\d+)</td><td>", text)
    assert sum(map(int, counts)) == count


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Printed(384, 384, 384), "exactly 384"),
        (Printed(1, 1, float("inf")), "1 or more"),
        (Printed(2, 2, float("inf"), open=True), "anything above 2"),
        (Printed(50, -float("inf"), 50, open=True), "anything below 50"),
        (Printed(6688, 6687.5, 6688.5), "anything from 6,687.5 to 6,688.5"),
    ],
)
def test_what_a_printed_figure_stands_for(figure: Printed, said: str) -> None:
    module = pages.environment().get_template("working.j2").module
    assert module.stands_for(figure).strip() == said  # type: ignore[attr-defined]


def test_nothing_is_linked_twice() -> None:
    once = linked("<td>S000-02: <code>xu2025connect</code></td>")
    assert linked(once) == once
    assert once.count("<a ") == 2


def test_only_claims_and_sources_of_this_project_become_links() -> None:
    plain = "<td>S999-01, A950-01</td><td><code>nobody2099</code></td>\n### S000-02\n<p></p>"
    assert linked(plain) == plain
    assert links(linked("<td>S000-02, S003-13b</td>")) == [
        "article-facefam2025huawei.html#s000-02",
        "article-gmex2025ascend.html#s003-13b",
    ]


# --- the first page ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index() -> str:
    return pages.fill((NOTEBOOKS / "index.md").read_text(encoding="utf-8"))


def test_every_verdict_is_counted_once(index: str) -> None:
    heaps = SHOWN["heaps"]
    assert sorted(v for heap in heaps.values() for v in heap) == sorted(VERDICTS)
    tiles = re.findall(r'<a href="([^"]+)">\s*<strong>(\d+)</strong>.*?<span>([^<]+)<', index, re.S)
    assert [name for *_, name in tiles] == list(heaps)
    for address, count, name in tiles:
        query = "&".join(f"verdict={verdict.replace(' ', '+')}" for verdict in heaps[name])
        assert html.unescape(address) == f"00-scorecard.html?{query}#claim-by-claim"
        assert int(count) == sum(v.verdict in heaps[name] for v in LEDGER.values())
    assert f"Of {len(LEDGER)} claims" in index


@pytest.mark.parametrize("card", SHOWN["cards"], ids=lambda card: card["claims"][0])
def test_card_shows_the_computed_figure(index: str, card: dict[str, str]) -> None:
    (text,) = (t for t in re.findall(r"<li class=.*?</li>", index, re.S) if card["headline"] in t)
    for name in card["claims"]:
        verdict = LEDGER[name]
        assert number_or_dash(verdict.derived) in text
        assert f"{MARKS[verdict.verdict]}</span> {verdict.verdict}</p>" in text
        if verdict.claim.form != "statement":
            printed = verdict.claim.value
            assert printed in MULTIPLES or printed in card["headline"]
    claim = LEDGER[card["claims"][0]].claim
    wanted = [f"article-{claim.article}.html#{name.lower()}" for name in card["claims"]]
    assert links(text) == wanted


def test_sentences_of_the_cards_are_true(index: str) -> None:
    """384 against 72 chips, 707.8 ÷ 752 × 1.604, 6,688 ÷ 7,417 and ÷ 7,839, 559 ÷ 145 kW."""
    for words in (
        "384 chips against 72.", "Like for like it is 1.51.", "it is 90 %", "it has 0.85 of one",
        "It takes 3.9 times the power",
    ):  # fmt: skip
        assert words in index
    memory = LEDGER["S000-11"].claim
    tried = attempts(as_stated(memory, KNOWN.specs, {}), "", KNOWN.specs)
    assert sum(bool(memory.printed.holds(a.central)) for a in tried) == 1
    efficient = LEDGER["S004-13"]
    assert efficient.attempt is not None
    others = other_readings(efficient.claim, efficient.attempt.reading)
    tried = attempts(others, "", KNOWN.specs)
    assert {a.reading.quantity for a in tried if a.central > 1} == {"tokens_per_tflop"}


def test_first_page_lists_every_notebook_by_its_question(index: str) -> None:
    lines = html.unescape(index).splitlines()
    assert {f"- [{book.title}]({book.stem}.ipynb)" for book in KNOWN.shelf} <= set(lines)
    assert "<!--" not in index
    assert "{{" not in index
