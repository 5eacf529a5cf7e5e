"""The working of every claim on the pages of the articles, and the computed parts of the first."""

from __future__ import annotations

import dataclasses
import html
import re

import page_checks
import pages
import pytest
import worked
import workings
from facts import SHOWN, Notebook, facts
from links import linked

from cm384.ledger.attempts import attempts
from cm384.ledger.board import MARKS, TONES, sentences
from cm384.ledger.claims import ANSWERS, MULTIPLES, Claim, Printed
from cm384.ledger.readings import listed_readings
from cm384.ledger.record import data_version
from cm384.ledger.stated import as_of, considered, measures, written
from cm384.ledger.verdicts import Verdict, judge, tabulated
from cm384.notebooks import NOTEBOOKS
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


def plain(text: str) -> str:
    """What a reader sees of a piece of a page."""
    return html.unescape(re.sub("<[^>]+>", "", text))


def told(text: str) -> dict[str, str]:
    """The lines of a working by their names."""
    pairs = re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", text, re.S)
    found = {name: plain(cell) for name, cell in pairs}
    assert len(found) == len(pairs)
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
    """Its figure, its reading, the answer and the reason, none of them escaped twice."""
    missing = []
    for name, verdict in LEDGER.items():
        text = plain(entries[name.lower()])
        wanted = [f"### {name} {MARKS[verdict.answer]} {verdict.answer}\n", verdict.why]
        if verdict.attempt and not verdict.claim.same_as:
            wanted += [verdict.attempt.reading.text, units.number(verdict.derived)]
        missing += [(name, part) for part in wanted if part not in text]
    assert missing == []


def test_every_working_says_how_it_was_settled_and_what_it_rests_on(entries: dict[str, str]) -> None:
    """Each line stands where there is something to say, and nowhere else."""
    for name, verdict in LEDGER.items():
        claim, lines = verdict.claim, told(entries[name.lower()])
        assert lines["answer"].startswith(verdict.answer), name
        wanted = {
            "settled by": verdict.settled,
            "overturned by": verdict.overturn,
            "cites": claim.reports,
            "reported": claim.reported,
            "quote": claim.quote and f"“{claim.quote}”",
            "remark": claim.note,
        }
        assert {key: lines.get(key, "") for key in wanted} == wanted, name
        own = not claim.same_as
        assert ("claimed" in lines) == (claim.derivable and own), name
        weighed = claim.word and verdict.settled == "proxy"
        assert ("read as" in lines) == ((claim.derivable or weighed) and own), name
        assert ("worked" in lines) == ("derived" in lines) == (verdict.attempt is not None and own), name


def test_every_listed_reading_is_answered_or_says_what_is_missing(entries: dict[str, str]) -> None:
    for name, verdict in LEDGER.items():
        claim, found = verdict.claim, verdict.attempt
        if not claim.derivable or claim.same_as:
            continue
        said = considered(claim, KNOWN.specs, KNOWN.claims)
        base = found.reading if found else said.readings[0]
        others = attempts(listed_readings(base, claim.readings, said.table), claim.figure_unit, said.table)
        lines = told(entries[name.lower()]).get("also tried", "")
        for a in (*said.found, *others.found):
            mark = "✔" if claim.printed.holds(a.central) else "✖"
            assert a.reading == base or f"{mark} {a}" in lines, name
        for text in {**said.missing, **others.missing}:
            assert f"– {text}" in lines, name
        count = lines.count("✔") + lines.count("✖") + lines.count("– ")
        assert count or len(said.readings) + len(others.found) + len(others.missing) == 1, name


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


def test_every_step_of_a_working_comes_to_what_it_says(entries: dict[str, str]) -> None:
    """A reader with a calculator arrives, wherever a line is arithmetic."""
    right, wrong = 0, []
    for name, text in entries.items():
        cell = re.search("<dt>worked</dt><dd>(.*?)</dd>", text, re.S)
        for line in re.split("</?(?:li|ul)>", cell[1] if cell else ""):
            if step := worked.STEP.match(plain(line)):
                read = step["read"].split("; ") if step["read"] else []
                comes = worked.gives(step["formula"], read, step["value"])
                wrong += [(name, line)] if comes is False else []
                right += comes is True
    assert wrong == []
    assert right > 30


def test_every_product_of_a_working_comes_to_what_it_says(entries: dict[str, str]) -> None:
    """The serving model from the chip to 6,907 for 6,688 and 2,025 for 1,943, and every other line."""
    apart = {name: re.sub("</(?:td|li|dd|dt)>", "\n", text) for name, text in entries.items()}
    pairs = {name: [p for line in plain(text).split("\n") for p in worked.equations(line)]
             for name, text in apart.items()}  # fmt: skip
    wrong = [(name, pair) for name, found in pairs.items() for pair in found if not worked.holds(*pair)]
    assert wrong == []
    assert {name for name, found in pairs.items() if len(found) > 50} == {"s003-05", "s003-07", "s003-08"}
    assert ("16,384 tokens ÷ 2,372 ms", "6,907 tokens/s") in pairs["s003-05"]
    assert ("96 × 1.7 tokens ÷ 80.60 ms", "2,025 tokens/s") in pairs["s003-07"]


def test_no_working_says_the_same_twice(entries: dict[str, str]) -> None:
    for name, text in entries.items():
        lines = [html.unescape(t) for t in re.findall("<dd>(.*?)(?: \\(<a .*)?</dd>", text)]
        assert len(lines) == len(set(lines)), name


# --- by hand -------------------------------------------------------------------------------------


def test_working_of_the_compute_claim_is_that_by_hand(entries: dict[str, str]) -> None:
    """384 × 752 = 288,768 and 72 × 2,500 = 180,000 TFLOPS; the matrix units alone 707.8; 384 × 800."""
    text = entries["s000-02"]
    assert told(text)["read as"].endswith("names no machine here: the one that S000-11 fits is meant")
    assert told(text)["derived"].endswith("the makers' own documents 1.604 – 1.707")
    for line in (
        "<dd>more than double: anything above 2</dd>",
        "= 288.8 PFLOPS (from 384; 752 TFLOPS)</li>",
        "= 180 PFLOPS (from 72; 2,500 TFLOPS)</li>",
        "= 288.8 PFLOPS ÷ 180 PFLOPS = 1.604</li>",
        "<strong>1.604</strong>; sources allow 1.604 – 1.896 (all 6 combinations); the makers' own documents",
        "<li>✖ peak (BF16, matrix) of CloudMatrix 384 ÷ GB200 NVL72 = 1.510</li>",
        "<li>– peak (FP4) of CloudMatrix 384 ÷ GB200 NVL72: ascend-910c has no peak for precision=fp4, basis",
        "<td>Ascend 910C: peak (BF16)</td><td>752 TFLOPS (headline)</td>",
        "<dt>settled by</dt><dd>arithmetic</dd>",
        "rows read (7)",
        'href="02-supernode.html"',
    ):
        assert line in text


def test_working_of_the_prefill_claim_tells_the_measured_run_from_the_projection(
    entries: dict[str, str],
) -> None:
    """The paper measured 5,655 and projects 6,688, which is 1.18 times as much."""
    lines = told(entries["s003-05"])
    assert lines["claimed"] == "6,688 tokens/s per accelerator: anything from 6,687.5 to 6,688.5"
    assert lines["read as"].endswith("said as achieved, so only what was measured decides")
    assert lines["derived"] == "5,655 tokens/s per accelerator"
    assert lines["answer"].endswith("6,688 tokens/s per accelerator is projected: overstated 1.18 times.")
    assert (lines["reported"], lines["settled by"]) == ("as said", "measurement")


def test_working_says_what_was_published_after_the_article(entries: dict[str, str]) -> None:
    """The article is of May 2025, the paper with 5,655 of June; SGLang measured 6,287.5 on an H100."""
    lines = told(entries["s000-22"])
    assert lines["claimed"] == "60 %: anything from 55 to 65"
    assert "it names no run: 4 that can be meant were tried" in lines["read as"]
    assert "89.94 %: published after the article" in lines["also tried"]
    assert lines["reported"].startswith("another's and changed: Yuchen Jin")


def test_working_of_a_word_names_whom_it_is_measured_against(entries: dict[str, str]) -> None:
    """Its rows are those of every measure that could be computed, and no more."""
    claim = LEDGER["S004-13"].claim
    assert "of “efficient” against GB200 NVL72, H100 SXM and H800 SXM" in told(entries["s004-13"])["read as"]
    table = as_of(KNOWN.specs, written(claim))
    found = [a for _, a, _ in measures(claim, table, KNOWN.claims) if a]
    keys = {key for a in found for key in a.span.keys}
    assert f"rows read ({sum(len(table.rows[key]) for key in keys)})" in entries["s004-13"]


def test_a_number_of_things_is_a_plain_number(entries: dict[str, str]) -> None:
    """48 nodes of 8 accelerators are 384."""
    assert "<dd>accelerators from nodes of CloudMatrix 384 = nodes" in entries["s000-08"]
    assert "accelerators in one node = 384 (from 48; 8)</dd>" in entries["s000-08"]


def rendered(claim: Claim) -> tuple[str, Verdict]:
    """The working of a claim of one's own."""
    verdict = judge(claim, KNOWN.specs, KNOWN.claims)
    module = pages.environment().get_template("working.j2").module
    return str(module.working(workings.entry(verdict, KNOWN), data_version())), verdict  # type: ignore[attr-defined]


def test_working_through_the_model_shows_its_terms() -> None:
    """The milliseconds of the terms add up to the step, and its rows are summed up by source."""
    claim = dataclasses.replace(LEDGER["S003-05"].claim, quantity="predicted_throughput")
    text, verdict = rendered(claim)
    found = verdict.attempt
    assert found is not None
    assert told(text)["settled by"] == "model"
    times = re.findall(r"one step on Ascend 910C = [^<]* = (-?[\d.,]+) ms", text)
    *terms, step = (float(time.replace(",", "")) for time in times)
    assert len(terms) > 10
    assert sum(terms) == pytest.approx(step, rel=1e-3)
    table = as_of(KNOWN.specs, written(claim))
    count = sum(len(table.rows[key]) for key in found.span.keys)
    assert count > workings.MOST_ROWS
    assert f"rows read ({count})" in text
    counts = re.findall(r"</code></td><td>(\d+)</td><td>", text)
    assert sum(map(int, counts)) == count


def test_figure_that_nobody_measured_is_told_apart() -> None:
    """6,688 alone, of a run of which there is no measured twin, decides nothing."""
    given = dataclasses.replace(
        LEDGER["S003-05"].claim,
        subject="h800-sxm",
        conditions="measurement=DSK-H800-PREFILL-PROFILE",
        value="7,839",
    )
    text, verdict = rendered(given)
    assert (verdict.answer, verdict.settled) == ("undecided", "nothing")
    assert told(text)["also tried"].endswith("7,839 tokens/s per accelerator: derived, not measured")


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


def test_every_distinct_claim_is_counted_once(index: str) -> None:
    counted = sentences(tabulated(LEDGER.values()), [verdict.claim for verdict in LEDGER.values()])
    distinct = list(counted["answer"])
    assert sorted(answer for tone in TONES.values() for answer in tone) == sorted(ANSWERS)
    tiles = re.findall(
        r'<li class="answer-[\w-]+">\s*(?:<a href="([^"]+)">\s*)?<strong>(\d+)</strong>(.*?)</li>',
        index,
        re.S,
    )
    assert len(tiles) == len(TONES)
    for (address, count, rest), (tone, answers) in zip(tiles, TONES.items(), strict=True):
        marks, name = re.findall(r"<span[^>]*>([^<]+)</span>", rest)
        assert (marks, name) == (" ".join(MARKS[answer] for answer in answers), tone)
        assert int(count) == sum(answer in answers for answer in distinct)
        query = "&".join(f"answer={answer.replace(' ', '+')}" for answer in answers)
        wanted = f"00-scorecard.html?{query}#claim-by-claim" if int(count) else ""
        assert html.unescape(address) == wanted
    assert sum(int(count) for _, count, _ in tiles) == len(distinct) < len(LEDGER)
    assert f"Of {len(distinct)} distinct sentences" in index


@pytest.mark.parametrize("card", SHOWN["cards"], ids=lambda card: card["claims"][0])
def test_card_shows_the_computed_figure_and_every_answer(index: str, card: dict[str, str]) -> None:
    (text,) = (t for t in re.findall(r"<li class=.*?</li>", index, re.S) if card["headline"] in t)
    for name in card["claims"]:
        verdict = LEDGER[name]
        assert ("figure" in card) == (verdict.attempt is None)
        figures = [units.number(end, 3) for end in verdict.attempt.ends] if verdict.attempt else []
        assert all(figure in text for figure in figures)
        assert f"{MARKS[verdict.answer]}</span> {verdict.answer}" in text
        if verdict.claim.form != "statement":
            printed = verdict.claim.value
            assert printed in MULTIPLES or printed in card["headline"]
    claim = LEDGER[card["claims"][0]].claim
    wanted = [f"article-{claim.article}.html#{name.lower()}" for name in card["claims"]]
    assert links(text) == wanted


def test_sentences_of_the_cards_are_true(index: str) -> None:
    """384 against 72 chips; 752 and 800 TFLOPS × 384 ÷ 180,000, of the matrix units 707.8.

    752 ÷ 989.4; 5,655 ÷ 7,839 and ÷ 6,287.5; 6,688 ÷ 5,655; 559 ÷ 145 kW for 1.604 times the peak.
    """
    for words in (
        "384 chips against 72.", "counts as usable it is 3.67.",  # 384 × 128 ÷ (72 × 186) GB: nvidia2026nim
        "<strong>1.60 to 1.71</strong> times GB200 NVL72, by Huawei",
        "Like for like it is 1.51.",
        "<strong>76 %</strong> by peak", "0.72 of an H800 to 0.90 of an H100",
        "1.18 times what was run", "<strong>0.42</strong> of the peak per watt",
        "It takes an estimated 3.9 times the power",
    ):  # fmt: skip
        assert words in index
    memory = LEDGER["S000-11"].claim
    tried = considered(memory, KNOWN.specs, KNOWN.claims).found
    assert sum(bool(memory.printed.holds(a.central)) for a in tried) == 1
    compute = LEDGER["S000-02"].attempt
    assert compute
    assert compute.ends == pytest.approx((288_700 / 180_000, 384 * 800 / 180_000))
    efficient = LEDGER["S004-13"].claim
    weighed = measures(efficient, as_of(KNOWN.specs, written(efficient)), KNOWN.claims)
    assert {a.reading.quantity for _, a, holds in weighed if a and holds} == {"tokens_per_tflop"}
    assert "only documents of Huawei" in LEDGER["S003-07"].why
    assert "published by" in LEDGER["S000-22"].why


def test_first_page_lists_every_notebook_by_its_question(index: str) -> None:
    lines = html.unescape(index).splitlines()
    assert {f"- [{book.title}]({book.stem}.ipynb)" for book in KNOWN.shelf} <= set(lines)
    assert "<!--" not in index
    assert "{{" not in index
