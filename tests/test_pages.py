"""The generated pages: articles, schema, and the worked example on files of one's own."""

from __future__ import annotations

import dataclasses
import html
import itertools
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import about
import draw_answer
import hero
import links
import pages
import pandas as pd
import pytest
from facts import facts
from PIL import Image
from sentences import Alias

from cm384 import load_claims, load_specs, scorecard
from cm384.ledger import claims, readings
from cm384.ledger.board import TONES, WEAKEST
from cm384.ledger.claims import Claim
from cm384.ledger.readings import Listed, Proxy, filled
from cm384.ledger.verdicts import judge
from cm384.notebooks import NOTEBOOKS
from cm384.table import documents, files, records
from cm384.table.documents import Source
from cm384.table.errors import DATA, EXAMPLES, InputError
from cm384.table.files import columns, read_keys
from cm384.table.records import Kind, Measurement, Row, TrainingRun

KNOWN = facts()
ARTICLES = documents.articles(KNOWN.notes)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("src")
    pages.write(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


# --- the first page ------------------------------------------------------------------------------

DRAWN = pages.answer()["drawings"]


def test_first_figure_is_that_of_the_articles_machine_and_says_who_leads() -> None:
    """Each machine with both choices of formats; 384 chips are not set against eight."""
    assert [each["of"] for each in DRAWN] == [
        f"{machine} {formats}"
        for machine in ("gb200-nvl72", "gb300-nvl72", "hgx-h100", "hgx-h20")
        for formats in ("same", "narrowest")
    ]
    assert DRAWN[0]["finding"] == "Per chip it trails, per system it leads"
    assert [*DRAWN[0]["places"]] == ["system", "chip", "watt", "dollar"]
    assert [*DRAWN[4]["places"]] == ["chip", "watt", "dollar"]


def test_squares_have_areas_as_the_chips_have_peaks() -> None:
    """2,500 ÷ 752 TFLOPS in sixteen bits (nvidia2025blackwell); in four, 10,000 against eight bits' 1,504."""
    for drawing, ratio in zip(DRAWN, (2500 / 752, 10_000 / 1504), strict=False):
        assert (drawing["chips"]["side"] / hero.SIDE) ** 2 == pytest.approx(ratio, rel=5e-3)
        assert drawing["chips"]["count"] == 72


def test_figure_draws_ratios_and_claims_on_one_scale() -> None:
    """3.556 lies inside 3.55 to 3.65 and 1.604 below 2; a doubling is as high anywhere."""
    lines = {line["name"]: line for line in DRAWN[0]["panels"][0]["lines"]}
    memory, peak = lines["memory"], lines["peak"]
    assert memory["high"] <= memory["marks"][0]["y"] <= memory["low"]
    assert (memory["claimed"], peak["claimed"], lines["bandwidth"]["claimed"]) == ("3.6", "> 2", "2.1")
    assert peak["more"]
    assert peak["marks"][0]["y"] > peak["low"]
    said = "peak, per chip: 0.30 (0.30–0.36) of GB200 NVL72; specified, trails. From "
    assert peak["marks"][1]["said"].startswith(said)
    assert "Zuo et al. 2025" in memory["marks"][0]["said"]
    ticks = dict(DRAWN[0]["ticks"])
    assert ticks["2×"] - ticks["4×"] == pytest.approx(ticks["1×"] - ticks["2×"], abs=0.11)
    assert DRAWN[0]["level"] == ticks["1×"]


def test_labels_keep_apart_and_in_order() -> None:
    found = hero.spread([100, 101, 40, 99], [13, 13, 13, 26])
    assert sorted(range(4), key=found.__getitem__) == [2, 3, 0, 1]
    gaps = [b - a for a, b in itertools.pairwise(sorted(found))]
    assert gaps[1:] == pytest.approx([19.5, 13], abs=0.2)
    assert found[2] == 40


def test_picture_of_the_figure_says_what_the_page_says() -> None:
    """If not, draw it again: `python tests/draw_answer.py`."""
    with Image.open(draw_answer.PICTURE) as picture:
        assert picture.info["Description"] == draw_answer.words(draw_answer.drawn())
        assert picture.size == draw_answer.SIZE


@pytest.mark.parametrize(
    ("key", "name", "weight"),
    [
        ("huawei2025cloudmatrix", "Zuo et al. 2025", "primary"),
        ("nvidia2025blackwell", "NVIDIA 2025", "primary"),
        ("bis2025guidance", "Freshfields 2025", "primary"),
        ("tomshardware2025bruteforce", "Tom's Hardware 2025", "relayed"),
        ("semianalysis2025cloudmatrix", "Patel et al. 2025", "relayed"),
        ("aiwiki2026gb300", "AI Wiki 2026", "weak"),
    ],
)
def test_a_source_has_a_name_and_a_weight(key: str, name: str, weight: str) -> None:
    assert links.called(key) == name
    assert f'class="source {weight}"' in links.cited(key)
    assert f"{weight} (" in links.cited(key)


def test_where_the_project_lives_leads_there_and_nothing_does_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = about.foot("02-supernode", "The supernode")
    assert "http" not in before
    assert "changes.html#objections" in before
    address = {"repository": "https://github.com/a/b", "site": "https://a.org/b/"}
    monkeypatch.setitem(about.SHOWN, "address", address)  # type: ignore[arg-type]
    text = html.unescape(about.foot("02-supernode", "The supernode"))
    assert "https://colab.research.google.com/github/a/b/blob/main/notebooks/02-supernode.ipynb" in text
    assert "https://mybinder.org/v2/gh/a/b/main?labpath=notebooks/02-supernode.ipynb" in text
    assert "https://github.com/a/b/issues/new?title=The+supernode" in text
    assert "https://a.org/b/02-supernode.html" in text
    assert '"https://a.org/b/_static/answer.png"' in about.tags("index", "", "<p>said</p>")


# --- articles ------------------------------------------------------------------------------------


def test_every_article_of_the_ledger_has_a_page(written: dict[str, str]) -> None:
    assert set(ARTICLES) == {claim.article for claim in KNOWN.claims.values()}
    assert set(written) == {f"article-{key}" for key in ARTICLES} | {"articles", "changes", "schema"}


@pytest.mark.parametrize("key", ARTICLES)
def test_page_has_every_claim_in_order_and_counts_them(written: dict[str, str], key: str) -> None:
    page = written[f"article-{key}"]
    own = [verdict for verdict in KNOWN.ledger.values() if verdict.claim.article == key]
    assert re.findall(r"<tr><td>(S\d+-\w+), ", page) == [verdict.claim.id for verdict in own]
    sentences: dict[str, list[str]] = {}
    for verdict in own:  # a sentence in parts counts by the part that holds least
        sentences.setdefault(verdict.claim.id.rstrip("abc"), []).append(verdict.answer)
    answers = [min(found, key=WEAKEST.index) for found in sentences.values()]
    first, total, *rest = map(int, re.findall(r"\d+", page.split("**")[1].partition(". ")[0]))
    parts = [first, *rest]
    assert sum(parts) == total == len(answers)
    assert parts == [count for held in TONES.values() if (count := sum(answer in held for answer in answers))]


def test_left_out_figures_are_those_by_hand(written: dict[str, str]) -> None:
    page = written["article-facefam2025huawei"]
    assert "559 kW against 145 kW" in page
    assert "3.9 times the power for 1.6 times the peak, 2.4 times the power" in page
    assert "0.30 of the peak, 0.67 of the memory" in page  # 752 ÷ 2500, 128 ÷ 192
    assert "2.6 times the price" in page  # 8.2 ÷ 3.1 million dollars


def test_no_placeholder_is_left(written: dict[str, str]) -> None:
    read = {name: page for name, page in written.items() if name != "schema"}  # which shows a row as it is
    left = {name: re.findall(r"\{[a-z_.]+=[^}]*\}", page) for name, page in read.items()}
    assert {name: found for name, found in left.items() if found} == {}


def test_placeholder_follows_the_specs() -> None:
    text = "{subject=cloudmatrix-384;quantity=hbm_capacity;comparator=gb200-nvl72;digits=3}"
    assert filled(text, KNOWN.specs) == "3.56"
    halved = KNOWN.specs.replace({KNOWN.specs.find("ascend-910c", "hbm_capacity"): 64.0})
    assert filled(text, halved) == "1.78"


def test_placeholder_of_nothing_known_is_one_line() -> None:
    with pytest.raises(InputError, match=r"unknown subject 'ascend-910'; it could be"):
        filled("{subject=ascend-910;quantity=hbm_capacity}", KNOWN.specs)


def test_shared_claims_are_those_of_the_ledger() -> None:
    """Counted by hand from the columns `article` and `same_as`."""
    first, second = ARTICLES[:2]
    roots = {c.id: c.same_as or c.id for c in KNOWN.claims.values()}
    theirs = {roots[c.id] for c in KNOWN.claims.values() if c.article == second}
    wanted = sum(roots[c.id] in theirs for c in KNOWN.claims.values() if c.article == first)
    line = pages.article(first, KNOWN)["shared"][0]
    assert int(line["shared claims"]) == wanted > 5


def test_repetition_goes_both_ways() -> None:
    also = pages.repeated_in(KNOWN.claims.values())
    for claim in KNOWN.claims.values():
        assert all(claim in also[other.id] for other in also[claim.id])
    assert "S001-03" in [c.id for c in also["S000-02"]]


def test_note_with_an_unknown_source_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DATA / "articles.csv").read_text(encoding="utf-8")
    changed = text.replace("benzinga2025cloudmatrix", "benzinga2025cloudmatri", 1)
    (tmp_path / "articles.csv").write_text(changed, encoding="utf-8")
    monkeypatch.setattr(documents, "DATA", tmp_path)
    with pytest.raises(InputError, match=r"articles\.csv line \d+, column source.*did you mean"):
        documents.load_notes()


def test_text_of_a_claim_is_escaped() -> None:
    claim = dataclasses.replace(next(iter(KNOWN.claims.values())), statement="<b>no & more")
    ledger = {**KNOWN.ledger, claim.id: judge(claim, KNOWN.specs, KNOWN.claims)}
    known = dataclasses.replace(KNOWN, ledger=ledger)
    page = pages.render("article", **pages.article(claim.article, known))
    assert page.count("&lt;b&gt;no &amp; more") == 2  # in the table and in the working


# --- schema --------------------------------------------------------------------------------------

KINDS = {
    "specs.csv": Row,
    "claims.csv": Claim,
    "measurements.csv": Measurement,
    "training.csv": TrainingRun,
    "quantities.csv": Kind,
    "readings.csv": Listed,
    "proxies.csv": Proxy,
    "sources.csv": Source,
    "aliases.csv": Alias,
}


@pytest.mark.parametrize("file", KINDS)
def test_schema_has_every_column_and_an_example(written: dict[str, str], file: str) -> None:
    part = written["schema"].split(f"## {file}\n")[1].split("\n## ")[0]
    names = columns(KINDS[file])
    assert re.findall(r"<tr><td>(\w+)</td>", part.replace("<wbr>", "")) == names
    header, row = part.split("```text\n")[1].split("\n```")[0].split("\n")
    assert header.split(",") == names
    assert row in (DATA / file).read_text(encoding="utf-8").splitlines()


def test_column_that_nobody_describes_fails_the_build() -> None:
    @dataclasses.dataclass(frozen=True)
    class Longer(Kind):
        colour: str

    with pytest.raises(AssertionError, match=r"quantities\.csv"):
        pages.columns("quantities.csv", Longer, {})


def test_what_is_accepted_is_what_the_check_says(written: dict[str, str], tmp_path: Path) -> None:
    """A bad cell is refused in the very words of the page."""
    page = written["schema"].split("## specs.csv\n")[1].split("\n## ")[0]
    text = (EXAMPLES / "atlas950_specs.csv").read_text(encoding="utf-8")
    path = tmp_path / "bad.csv"
    for old, new, column in [
        (",16667,", ",-1,", "value"),
        ("nvl144-gpu,peak", "NVL,peak", "subject"),
        ("TFLOP/s", "TFLOPPS", "unit"),
    ]:
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(InputError) as caught:
            load_specs(path)
        expected = str(caught.value).split("; expected ")[1]
        row = re.search(rf"<tr><td>{column}</td><td>[^<]*</td><td>([^<]*)</td>", page)
        assert row
        assert html.unescape(row[1]) == expected


@pytest.mark.parametrize(
    ("file", "read", "old", "new", "column"),
    [
        ("readings.csv", readings.load_listed, "hbm_capacity,,basis", "hbm_capacty,,basis", "quantity"),
        ("readings.csv", readings.load_listed, "basis=matrix,", "matrix,", "reading"),
        ("readings.csv", readings.load_listed, ",Sixteen bits: what models are trained in.", ",", "why"),
        ("proxies.csv", readings.load_proxies, "powerful,", "Powerful,", "word"),
        ("proxies.csv", readings.load_proxies, "quantity=peak_by_bits;bits=16,", "peak,", "reading"),
        ("proxies.csv", readings.load_proxies, ",0.8,", ",most,", "at_least"),
        ("sources.csv", documents.load_sources, "aihpc2025h200,", "aihpc2025h20,", "source"),
        ("sources.csv", documents.load_sources, ",2025-07-07,", ",7 July 2025,", "published"),
        ("sources.csv", documents.load_sources, ",press,", ",paper,", "kind"),
    ],
)
def test_what_other_files_accept_is_what_their_checks_say(
    written: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    file: str, read: Any, old: str, new: str, column: str,
) -> None:  # fmt: skip
    """As above: the page says what a refused cell is told, of a name that it is not known."""
    for path in DATA.glob("*.*"):
        shutil.copy(path, tmp_path)
    text = (DATA / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    for module in (readings, documents, files):
        monkeypatch.setattr(module, "DATA", tmp_path)
    with pytest.raises(InputError, match=rf"{file} line \d+, column {column}: ") as caught:
        read.__wrapped__()
    page = written["schema"].split(f"## {file}\n")[1].split("\n## ")[0].replace("<wbr>", "")
    (told,) = re.findall(rf"<tr><td>{column}</td><td>[^<]*</td><td>([^<]*)</td>", page)
    if " is not known" in str(caught.value):
        assert told in ("a known name", ", ".join(sorted(documents.SOURCE_KINDS)))
    else:
        assert html.unescape(told) == str(caught.value).split("; expected ")[1]


def test_vocabularies_are_complete(written: dict[str, str]) -> None:
    words = written["schema"].split("## Words")[1].replace("<wbr>", "")
    specs = KNOWN.specs
    missing = [name for name in specs.kinds if f"<td>{name}</td>" not in words]
    missing += [name for name in records.NATURES if f"<td>{name}</td><td>" not in words]
    lists = (claims.ANSWERS, claims.STATES, claims.FORMS, claims.REPORTED, claims.SETTLED, records.RUNS)
    named = [name for known in (*lists, documents.SOURCE_KINDS) for name in known]
    missing += [name for name in [*named, *specs.chips, *specs.systems] if f"`{name}`" not in words]
    assert missing == []


# --- the rule ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rule() -> str:
    return pages.fill((NOTEBOOKS / "rule.md").read_text(encoding="utf-8"))


def test_the_rule_prints_both_lists_whole_and_in_order(rule: str) -> None:
    _, *parts = html.unescape(rule.replace("<wbr>", "")).replace("; ", ";").split("<thead>")
    listed, proxies = (
        [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(<td>.*)</tr>", part)] for part in parts
    )
    assert [row[1:] for row in listed] == [[row.reading, row.why] for row in readings.load_listed()]
    weighed = [proxy for rows in readings.load_proxies().values() for proxy in rows]
    assert [(row[0], row[3]) for row in proxies] == [(proxy.word, proxy.reading) for proxy in weighed]
    assert all(row[1].startswith(proxy.why) for row, proxy in zip(proxies, weighed, strict=True))
    assert "<!--" not in rule


@pytest.mark.parametrize(
    ("reading", "at_least", "enough"),
    [
        ("quantity=hbm_capacity", "1", "more"),
        ("quantity=hbm_capacity", "0.8", "at least 0.8 times"),
        ("quantity=price", "1", "less"),
        ("quantity=price", "0.8", "at most 1.25 times"),
    ],
)
def test_a_measure_says_what_is_enough(reading: str, at_least: str, enough: str) -> None:
    """0.8 or better is, of what is better when less, 1 ÷ 0.8 = 1.25 times at most."""
    line = pages.proxy_line(Proxy("fine", reading, at_least, "A measure"), KNOWN)
    assert line["enough"] == enough


def test_the_rule_names_every_answer_and_way_of_settling(rule: str) -> None:
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(rule.split("## The readings")[0].split()))
    said = {word.lower() for word in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", text)}
    assert {*claims.ANSWERS, *claims.SETTLED, *claims.REPORTED} - said == set()
    assert {*claims.STATES} - said == {"opined"}  # of which it says that it is an opinion


@pytest.mark.parametrize(
    ("value", "form", "relation", "text"),
    [
        ("3.6", "ratio", "", "3.55 to 3.65"),
        ("20,000", "value", "", "19,000 to 21,000"),
        ("double", "ratio", "", "1.82 to 2.2"),
        ("60", "share", "", "55 to 65 %"),
        ("half", "ratio", "", "0.455 to 0.55"),
        ("10", "value", "about", "÷ 1.1 to × 1.1"),
    ],
)
def test_examples_of_the_rule_are_what_the_code_does(
    rule: str, value: str, form: str, relation: str, text: str
) -> None:
    found = claims.printed(value, form, relation)
    low, high = (float(end.strip("÷× %").replace(",", "")) for end in text.split(" to "))
    if relation:
        low, high = found.value / low, found.value * high
    assert (found.low, found.high) == pytest.approx((low, high), rel=2e-3)
    assert text in rule.split("## Which answer")[0]


# --- the worked example --------------------------------------------------------------------------


@cache
def example() -> pd.DataFrame:
    specs = load_specs(EXAMPLES / "atlas950_specs.csv")
    claims = load_claims(EXAMPLES / "atlas950_claims.csv", specs)
    return scorecard(claims, specs).set_index("id")


def test_example_answers() -> None:
    """By hand: 8192 × 1034 = 8.47, × 1000 = 8.19 EFLOPS; 8192 × 144 GB = 1,179.6 TB."""
    derived = {
        "A950-01": 8192 / 384,
        "A950-02": 8192 * 1034e-6,
        "A950-03": 8192 * 2007e-6,
        "A950-04": 8192 * 0.144,
        "A950-05": 8192 * 2016e-6,
        "A950-07": 8192 * 547 / (384 * 752),
        "A950-08": 8192 * 2007 / (384 * 1504),
        "A950-10": 8192 / 144,
        "A950-12": 8192 * 144 / (72 * 288),
    }
    for name, value in derived.items():
        assert example().loc[name, "derived"] == pytest.approx(value, rel=1e-4), name
    wanted = {
        "A950-02": "holds",  # printed so by its maker, as is the memory
        "A950-03": "holds",
        "A950-04": "holds",
        "A950-06": "holds",  # 2.571 with its last digit cut
        "A950-07": "overstated",
        "A950-08": "understated",
        "A950-09": "undecided",  # nobody but its maker states it
        "A950-11": "within sources",
        "A950-14": "unsupported",
    }
    assert dict(example().loc[[*wanted], "answer"]) == wanted


def test_example_names_its_sources() -> None:
    rows = pd.read_csv(EXAMPLES / "atlas950_specs.csv", dtype=str)
    assert set(rows["source"]) <= set(read_keys())


SLIPS = pd.read_csv(EXAMPLES / "mistakes.csv", dtype=str, keep_default_na=False)


@pytest.mark.parametrize("slip", list(SLIPS.itertuples()), ids=list(SLIPS["what"]))
def test_mistake_is_answered_with_file_and_line(slip: pd.Series[str], tmp_path: Path) -> None:
    for file in ("atlas950_specs.csv", "atlas950_claims.csv"):
        text = (EXAMPLES / file).read_text(encoding="utf-8")
        slipped = text.replace(slip.old, slip.new, 1) if file == slip.file else text
        assert (slipped != text) == (file == slip.file)
        (tmp_path / file).write_text(slipped, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_claims(tmp_path / "atlas950_claims.csv", load_specs(tmp_path / "atlas950_specs.csv"))
    answer = str(caught.value)
    assert re.match(rf"{re.escape(slip.file)} line \d+", answer)
    assert "\n" not in answer
    assert "/" not in answer.replace("TB/s", "")
