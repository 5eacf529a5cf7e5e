"""The box for a sentence: what it finds, when it shows an answer, and how it takes what strangers paste.

The sentences are asked in one page: `paraphrases.csv` has two of each claim, written from its statement,
`altered.csv` sentences of which one figure, name or direction is not that of the claim.
"""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import sentences
from facts import facts
from playwright.sync_api import Browser, Page
from rendered import Tab
from visiting import TOO_WIDE, grave_faults, still, unreadable

from cm384.table.errors import DATA, InputError

TESTS = Path(__file__).parent
ASK = """sentences => {
  const {ask} = SENTENCE.reader(SENTENCES);
  return sentences.map(one => ask(one).map(({claim, differs}) => [claim.id, claim.root, differs]));
}"""
MEMORY = "CloudMatrix 384 boasts 3.6 times the memory capacity of NVIDIA’s platform."
Found = tuple[str, str, str]  # the claim, the one that it repeats, in what the sentence differs from it


def written(name: str) -> list[dict[str, str]]:
    with (TESTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def opened(browser: Browser, site: Path) -> Iterator[Tab]:
    """The first page, once for all sentences."""
    with browser.new_context() as context:
        tab = Tab(context.new_page(), site)
        tab.open("index.html")
        yield tab


@pytest.fixture
def page(opened: Tab) -> Iterator[Page]:
    """The first page, of which nothing failed and that asked for nothing outside."""
    yield opened.page
    assert opened.errors == opened.outside == []


@pytest.fixture(scope="module")
def roots() -> Mapping[str, str]:
    """Each claim, and the one that it repeats."""
    return {claim.id: claim.same_as or claim.id for claim in facts().claims.values()}


def ask(page: Page, asked: list[str]) -> list[list[Found]]:
    return [[(*found,) for found in claims] for claims in page.evaluate(ASK, asked)]


def answered(claims: list[Found]) -> set[str]:
    return {root for _, root, differs in claims if not differs}


# --- what it finds -------------------------------------------------------------------------------


def test_paraphrases_lead_to_their_claim(page: Page, roots: Mapping[str, str]) -> None:
    lines = written("paraphrases.csv")
    own = [roots[line["id"]] for line in lines]
    assert all(own.count(root) >= 2 for root in roots.values())
    found = ask(page, [line["sentence"] for line in lines])
    near = sum(root in {r for _, r, _ in claims} for root, claims in zip(own, found, strict=True))
    assert near >= 0.95 * len(lines)
    right = sum(root in answered(claims) for root, claims in zip(own, found, strict=True))
    wrong = sum(len(answered(claims) - {root}) for root, claims in zip(own, found, strict=True))
    assert right >= 0.6 * len(lines)
    assert wrong <= 0.01 * len(lines)


def test_altered_sentences_get_no_answer(page: Page) -> None:
    lines = written("altered.csv")
    changes = [line["change"] for line in lines]
    assert min(changes.count(change) for change in ("figure", "machine", "not")) >= 33
    found = ask(page, [line["sentence"] for line in lines])
    answers = [line for line, claims in zip(lines, found, strict=True) if answered(claims)]
    assert len(answers) <= 0.05 * len(lines), answers


def test_every_statement_gets_its_own_answer_and_no_other(page: Page, roots: Mapping[str, str]) -> None:
    found = ask(page, [claim.statement for claim in facts().claims.values()])
    assert [claims[0][1:] for claims in found] == [(root, "") for root in roots.values()]
    assert [answered(claims) for claims in found] == [{root} for root in roots.values()]


TURNS = {
    r"\b\d[\d,.]*(?= (?!uses|has|is|packs|could|was|and))": "77",
    r"CloudMatrix( 384)?": "Atlas 950",
    r"Huawei": "AMD",
    r"NVIDIA": "AMD",
    r"910C": "910B",
    r"H100|H800|H20\b|B200": "H200",
    r"China|Chinese": "India",
    r"\bmore\b": "less",
    r"\b(is|are|was|has|have|can)\b": r"\1 not",
    r"outperform\w*|beats?\b|outpace\w*": "trails",
}


def turned(statement: str) -> Iterator[str]:
    """What a statement does not say."""
    yield f"It is not true that {statement}"
    for old, new in TURNS.items():
        if (other := re.sub(old, new, statement)) != statement:
            yield other


def test_no_statement_that_is_turned_keeps_its_answer(page: Page) -> None:
    lines = [other for claim in facts().claims.values() for other in turned(claim.statement)]
    kept = [line for line, claims in zip(lines, ask(page, lines), strict=True) if answered(claims)]
    assert len(lines) > 400
    assert kept == []


SPELLINGS = {
    "S000-22": "The Ascend 910C delivers {} of the performance of an NVIDIA H100.",
    "S000-06": "The H20 ban forces Nvidia to write off {} in inventory.",
    "S003-07": "Decode reaches {} per NPU.",
    "S000-11": "CloudMatrix 384 has {} the memory capacity of NVIDIA's platform.",
    "S000-02": "It delivers more than {} the computing power of NVIDIA's platform.",
    "S003-08": "Decode latency stays under {} per token.",
    "S001-30": "In {} the US tightened its grip on chip exports to China.",
}


@pytest.mark.parametrize(
    ("claim", "spelt"),
    [
        ("S000-22", "60 %|60%|60\N{NO-BREAK SPACE}%|60 percent|60 per cent"),
        ("S000-06", "$5.5 billion|5.5 billion dollars|US$5.5bn|$5.5b|5.5 bn USD|5,500 million dollars"),
        ("S003-07", "1,943 tokens/s|1943 tokens per second|1,943 tokens / s"),
        ("S000-11", "3.6 times|3.6x|3.6×|3.6-fold|3.6 x"),
        ("S000-02", "double|twice|2x|two times|2 times"),
        ("S003-08", "50 ms|50ms|50 milliseconds|50-millisecond"),
        ("S001-30", "2021-2022|2021–2022|2021 and 2022"),
    ],
)
def test_one_thing_spelt_in_many_ways_is_one(page: Page, claim: str, spelt: str) -> None:
    given = [SPELLINGS[claim].format(one) for one in spelt.split("|")]
    given += [one.replace("'", "’").replace("NVIDIA", "Nvidia") for one in given]
    found = [claims[0] if claims else () for claims in ask(page, given)]
    assert [one[1:] for one in found] == [(claim, "")] * len(given)


# --- what strangers paste ------------------------------------------------------------------------


def paste(page: Page, text: str) -> str:
    page.locator("#said").fill(text)
    page.locator("#said").press("Enter")
    return page.locator(".sentence .found").inner_text()


def test_a_claim_comes_with_answer_link_and_citation(tab: Tab) -> None:
    page = tab.open("index.html")
    verdict = facts().ledger["S000-11"]
    found = paste(page, MEMORY)
    assert f"{verdict.answer}: {verdict.plain}" in found
    first = page.locator(".sentence li").first
    first.locator(".copy").click()
    first.locator(".copy:text('copied'), q").wait_for()
    first.locator("a").click()
    assert page.url.endswith("#s000-11")
    assert "?data=" in page.url
    assert page.locator("#moved").is_hidden()  # the data are those of the page
    assert tab.errors == tab.outside == []


def test_what_differs_is_said_and_the_door_is_shown(tab: Tab) -> None:
    page = tab.open("00-scorecard.html")
    found = paste(page, MEMORY.replace("3.6", "6.3"))
    assert "A similar claim: the figure is another" in found
    assert facts().ledger["S000-11"].plain not in found
    door = page.locator(".sentence .door a").get_attribute("href")
    assert door == "11-your-own-claim.html"
    assert tab.errors == []


@pytest.mark.parametrize(
    "text", ["The weather is fine today.", "今天天气很好，适合出门。", "<b>bold</b>", "?!"]
)
def test_a_sentence_that_nobody_made_says_so(page: Page, text: str) -> None:
    assert "No claim of the five articles is near" in paste(page, text)
    assert page.locator(".sentence .door a").is_visible()


def test_strangers_paste_anything(page: Page) -> None:
    assert paste(page, "") == paste(page, " \n ") == ""
    assert "<img src=x" in paste(
        page, f"<img src=x onerror=alert(1)><script>alert(2)</script> {MEMORY} {MEMORY}"
    )
    assert page.locator(".sentence .found :is(img, script, b)").count() == 0
    paste(page, "x" * 10_000)
    paste(page, (MEMORY + " ") * 140)
    assert page.locator(".sentence section").count() > 100


def test_a_paragraph_is_answered_sentence_by_sentence(page: Page) -> None:
    text = f"{MEMORY} The U.S. market is large. It decodes 1,943 tokens/s per NPU. It rained."
    paste(page, text)
    assert page.locator(".sentence h4").all_inner_texts() == [MEMORY, "It decodes 1,943 tokens/s per NPU."]


def test_without_scripts_there_is_no_box(browser: Browser, site: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        assert page.locator("#sentence").count() == 1
        assert page.locator("#sentence").is_hidden()


def test_everybody_can_read_what_it_says(tab: Tab) -> None:
    """By keyboard alone, on a phone, by ear, and in the dark."""
    page = still(tab.open("index.html", 360))
    assert page.get_by_label("Paste what an article says").count() == 1
    page.locator("#said").focus()
    page.keyboard.type(MEMORY)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".sentence [aria-live] li").count() > 1
    assert grave_faults(page) + page.evaluate(TOO_WIDE) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert unreadable(page) == []


# --- search --------------------------------------------------------------------------------------


FIND = "query => SENTENCE.reader(SENTENCES).find(query).map(({claim}) => claim.id)"


@pytest.mark.parametrize(
    ("query", "claim"),
    [
        ("60 %", "S000-22"),
        ("60%", "S001-27"),
        ("$5.5 billion", "S000-06"),
        ("5.5bn", "S001-13a"),
        ("s003-05", "S003-05"),
    ],
)
def test_search_finds_figures(page: Page, query: str, claim: str) -> None:
    assert claim in page.evaluate(FIND, query)[:3]


def test_search_lands_on_the_claim(tab: Tab) -> None:
    page = tab.open("search.html?q=1%2C943")
    item = page.locator(".claims-found li", has=page.locator("a:has-text('S003-07')"))
    assert facts().ledger["S003-07"].plain in item.inner_text()
    assert (item.locator("a").get_attribute("href") or "").endswith("#s003-07")
    assert grave_faults(page) == tab.errors == []


# --- the words of the articles -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("S000-111,memory", "column id: 'S000-111' is not known; did you mean 'S000-11'?"),
        ("S000-11,", "column alias: ''; expected words of an article, at most 25"),
        (f"S000-11,{'word ' * 26}", "expected words of an article, at most 25"),
    ],
)
def test_a_bad_alias_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str
) -> None:
    shutil.copy(DATA / "aliases.csv", tmp_path)
    with (tmp_path / "aliases.csv").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    monkeypatch.setattr(sentences, "DATA", tmp_path)
    with pytest.raises(InputError) as caught:
        sentences.load_aliases(dict(facts().claims))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_claim_has_words_of_its_article() -> None:
    assert sentences.load_aliases(dict(facts().claims)).keys() == facts().claims.keys()
