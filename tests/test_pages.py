"""The generated pages: articles, schema, and the worked example on files of one's own."""

from __future__ import annotations

import dataclasses
import html
import re
from functools import cache
from pathlib import Path

import pages
import pandas as pd
import pytest
from facts import facts

from cm384 import load_claims, load_specs, scorecard
from cm384.ledger.claims import Claim
from cm384.ledger.verdicts import judge
from cm384.table import records
from cm384.table.errors import DATA, EXAMPLES, InputError
from cm384.table.files import columns, read_keys
from cm384.table.records import Kind, Measurement, Row

KNOWN = facts()
ARTICLES = records.articles(KNOWN.notes)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("src")
    pages.write(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


# --- articles ------------------------------------------------------------------------------------


def test_every_article_of_the_ledger_has_a_page(written: dict[str, str]) -> None:
    assert set(ARTICLES) == {claim.article for claim in KNOWN.claims.values()}
    assert set(written) == {f"article-{key}" for key in ARTICLES} | {"articles", "schema"}


@pytest.mark.parametrize("key", ARTICLES)
def test_page_has_every_claim_in_order_and_counts_them(written: dict[str, str], key: str) -> None:
    page = written[f"article-{key}"]
    own = [verdict for verdict in KNOWN.ledger.values() if verdict.claim.article == key]
    assert re.findall(r"<tr><td>(S\d+-\w+), ", page) == [verdict.claim.id for verdict in own]
    total, *parts = map(int, re.findall(r"\d+", page.split("**")[1]))
    assert sum(parts) == total == len(own)
    assert parts[0] == sum(verdict.verdict == "confirmed" for verdict in own)


def test_left_out_figures_are_those_by_hand(written: dict[str, str]) -> None:
    page = written["article-facefam2025huawei"]
    assert "559 kW against 145 kW" in page
    assert "3.9 times the power for 1.6 times the peak, 2.4 times the power" in page
    assert "0.30 of the peak, 0.67 of the memory" in page  # 752 ÷ 2500, 128 ÷ 192
    assert "2.7 times the price" in page  # 8.2 ÷ 3 million dollars


def test_no_placeholder_is_left(written: dict[str, str]) -> None:
    left = {name: re.findall(r"\{[a-z_.]+=[^}]*\}", page) for name, page in written.items()}
    assert {name: found for name, found in left.items() if found} == {}


def test_placeholder_follows_the_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "{subject=cloudmatrix-384;quantity=hbm_capacity;comparator=gb200-nvl72;digits=3}"
    assert pages.filled(text) == "3.56"
    halved = KNOWN.specs.replace({KNOWN.specs.find("ascend-910c", "hbm_capacity"): 64.0})
    monkeypatch.setattr(pages, "facts", lambda: dataclasses.replace(KNOWN, specs=halved))
    assert pages.filled(text) == "1.78"


def test_placeholder_of_nothing_known_is_one_line() -> None:
    with pytest.raises(InputError, match=r"unknown subject 'ascend-910'; did you mean"):
        pages.filled("{subject=ascend-910;quantity=hbm_capacity}")


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
    monkeypatch.setattr(records, "DATA", tmp_path)
    with pytest.raises(InputError, match=r"articles\.csv line \d+, column source.*did you mean"):
        records.load_notes()


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
    "quantities.csv": Kind,
}


@pytest.mark.parametrize("file", KINDS)
def test_schema_has_every_column_and_an_example(written: dict[str, str], file: str) -> None:
    part = written["schema"].split(f"## {file}\n")[1].split("\n## ")[0]
    names = columns(KINDS[file])
    assert re.findall(r"<tr><td>(\w+)</td>", part) == names
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


def test_vocabularies_are_complete(written: dict[str, str]) -> None:
    words = written["schema"].split("## Words")[1].replace("<wbr>", "")
    specs = KNOWN.specs
    missing = [name for name in specs.kinds if f"<td>{name}</td>" not in words]
    missing += [name for name in [*specs.chips, *specs.systems] if f"`{name}`" not in words]
    assert missing == []


# --- the worked example --------------------------------------------------------------------------


@cache
def example() -> pd.DataFrame:
    specs = load_specs(EXAMPLES / "atlas950_specs.csv")
    claims = load_claims(EXAMPLES / "atlas950_claims.csv", specs)
    return scorecard(claims, specs).set_index("id")


def test_example_verdicts() -> None:
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
    wanted = ["A950-02", "A950-03", "A950-04", "A950-08", "A950-14"]
    assert list(example().loc[wanted, "verdict"]) == [
        "within sources", "confirmed", "understated", "understated", "unsupported",
    ]  # fmt: skip


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
