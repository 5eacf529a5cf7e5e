"""The generated pages: articles, schema, and the worked example on files of one's own."""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path

import pytest

from cm384.table import articles
from cm384 import load_claims, load_specs, pages, schema, scorecard, tables_ledger
from cm384.ledger.claims import Claim
from cm384.table.errors import InputError
from cm384.table.files import read_keys
from cm384.parameters import OwnClaim
from cm384.table.paths import DATA, EXAMPLES
from cm384.table.specs import Kind, Row
from cm384.physics.check import Measurement
from cm384.ledger.verdicts import judge_all

SPECS = load_specs()
CLAIMS = load_claims(specs=SPECS)
NOTES = articles.load_notes()
ARTICLES = articles.articles(NOTES)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("src")
    pages.write(folder)
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.iterdir()}


# --- articles ------------------------------------------------------------------------------------


def test_every_article_of_the_ledger_has_a_page(written: dict[str, str]) -> None:
    assert set(ARTICLES) == {claim.article for claim in CLAIMS}
    expected = {f"article-{key}" for key in ARTICLES} | {"articles", "index", "schema"}
    assert set(written) == expected


@pytest.mark.parametrize("key", ARTICLES)
def test_page_has_every_claim_of_its_article_in_order(written: dict[str, str], key: str) -> None:
    ids = re.findall(r"<tr><td><a [^>]+>(S\d+-\w+)</a>, ", written[f"article-{key}"])
    assert ids == [claim.id for claim in CLAIMS if claim.article == key]


@pytest.mark.parametrize("key", ARTICLES)
def test_page_says_how_many_hold(written: dict[str, str], key: str) -> None:
    lines = scorecard(CLAIMS, SPECS)
    verdicts = lines.loc[lines["article"] == key, "verdict"]
    held = (verdicts == "confirmed").sum()
    page = written[f"article-{key}"]
    assert f"**Of {len(verdicts)} claims, {held} hold by arithmetic" in page
    numbers = [int(n) for n in re.findall(r"\d+", page.split("**")[1])]
    assert sum(numbers[1:]) == numbers[0]


@pytest.mark.parametrize("key", ARTICLES)
def test_page_says_what_is_left_out_with_derived_figures(written: dict[str, str], key: str) -> None:
    page = written[f"article-{key}"]
    assert page.count("\n- **") == sum(n.kind == "leaves_out" and n.article == key for n in NOTES)
    assert "{" not in page.split("## Claim by claim")[0]


def test_left_out_figures_are_those_by_hand(written: dict[str, str]) -> None:
    page = written["article-facefam2025huawei"]
    assert "559 kW against 145 kW" in page
    assert "3.9 times the power for 1.6 times the peak, 2.4 times the power" in page
    assert "0.30 of the peak, 0.67 of the memory" in page  # 752 ÷ 2500, 128 ÷ 192
    assert "2.7 times the price" in page  # 8.2 ÷ 3 million dollars


def test_placeholder_follows_the_specs(tmp_path: Path) -> None:
    text = "{subject=cloudmatrix-384;quantity=hbm_capacity;comparator=gb200-nvl72;digits=3}"
    key = SPECS.find("ascend-910c", "hbm_capacity")
    assert pages.filled(text, SPECS) == "3.56"
    assert pages.filled(text, SPECS.replace({key: 64.0})) == "1.78"


def test_placeholder_of_nothing_known_is_one_line() -> None:
    with pytest.raises(InputError, match=r"unknown subject 'ascend-910'; did you mean"):
        pages.filled("{subject=ascend-910;quantity=hbm_capacity}", SPECS)


def test_shared_claims_are_those_of_the_ledger() -> None:
    """Counted by hand from the columns `article` and `same_as`."""
    first, second = ARTICLES[:2]
    roots = {c.id: c.same_as or c.id for c in CLAIMS}
    theirs = {roots[c.id] for c in CLAIMS if c.article == second}
    wanted = sum(roots[c.id] in theirs for c in CLAIMS if c.article == first)
    cells = pages.shared_table(first, CLAIMS, NOTES).cells
    assert int(cells["shared claims"].iloc[0]) == wanted > 5


def test_repetition_goes_both_ways() -> None:
    also = pages.repeated_in(CLAIMS)
    for claim in CLAIMS:
        assert all(claim in also[other.id] for other in also[claim.id])
    assert "S001-03" in [c.id for c in also["S000-02"]]


def test_note_with_an_unknown_source_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("articles.csv", "sources.bib"):
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    text = (tmp_path / "articles.csv").read_text(encoding="utf-8")
    changed = text.replace("benzinga2025cloudmatrix", "benzinga2025cloudmatri", 1)
    (tmp_path / "articles.csv").write_text(changed, encoding="utf-8")
    monkeypatch.setattr(articles, "DATA", tmp_path)
    with pytest.raises(InputError, match=r"articles\.csv line \d+, column source.*did you mean"):
        articles.load_notes()


def test_text_of_a_claim_is_escaped() -> None:
    claim = dataclasses.replace(CLAIMS[0], statement="<b>no & more")
    ledger = {v.claim.id: v for v in judge_all([claim, *CLAIMS[1:]], SPECS)}
    page = pages.article(ARTICLES[0], ledger, NOTES, [], SPECS)
    assert page.count("&lt;b&gt;no &amp; more") == 2  # in the table and in the working


# --- schema --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("specs.csv", Row),
        ("claims.csv", Claim),
        ("measurements.csv", Measurement),
        ("quantities.csv", Kind),
    ],
)
def test_schema_has_every_column_and_an_example(
    written: dict[str, str], file: str, kind: type
) -> None:
    part = written["schema"].split(f"## {file}\n")[1].split("\n## ")[0]
    names = [field.name for field in dataclasses.fields(kind)]
    assert re.findall(r"<tr><td>(\w+)</td>", part) == names
    header, row = part.split("```text\n")[1].split("\n```")[0].split("\n")
    assert header.split(",") == names
    assert row in (DATA / file).read_text(encoding="utf-8").splitlines()


def test_column_that_nobody_describes_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    described = schema.described()
    del described["specs.csv"]["group"]
    monkeypatch.setattr(schema, "described", lambda: described)
    with pytest.raises(AssertionError, match=r"specs\.csv"):
        schema.schema(SPECS, CLAIMS)


def test_what_is_accepted_is_what_the_check_says(tmp_path: Path) -> None:
    """A bad cell is refused in the very words of the page."""
    page = schema.schema(SPECS, CLAIMS).split("## specs.csv\n")[1].split("\n## ")[0]
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
    missing = [name for name in SPECS.kinds if f"<td>{name}</td>" not in words]
    missing += [name for name in [*SPECS.chips, *SPECS.systems] if f"`{name}`" not in words]
    assert missing == []


# --- the worked example --------------------------------------------------------------------------


def test_example_verdicts() -> None:
    """By hand: 8192 × 1034 = 8.47, × 1000 = 8.19 EFLOPS; 8192 × 144 GB = 1,179.6 TB."""
    example = OwnClaim(specs_file="", claims_file="")
    lines = scorecard(example.claims, example.specs).set_index("id")
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
        assert lines.loc[name, "derived"] == pytest.approx(value, rel=1e-4), name
    assert list(lines.loc[["A950-02", "A950-03", "A950-04", "A950-08", "A950-14"], "verdict"]) == [
        "within sources", "confirmed", "understated", "understated", "unsupported",
    ]  # fmt: skip


def test_example_names_its_sources() -> None:
    keys = read_keys()
    rows = tables_ledger.added_rows(OwnClaim(specs_file="", claims_file="").specs).cells
    assert set(rows["source"]) <= set(keys)
    assert len(rows) == len((EXAMPLES / "atlas950_specs.csv").read_text().splitlines()) - 1


def test_own_files_take_the_place_of_the_example(tmp_path: Path) -> None:
    own = OwnClaim(specs_file="", claims_file=str(DATA / "claims.csv"))
    assert [claim.id for claim in own.claims] == [claim.id for claim in CLAIMS]
    assert tables_ledger.added_rows(own.specs).cells.empty


@pytest.mark.parametrize("mistake", tables_ledger.MISTAKES, ids=lambda mistake: mistake.what)
def test_mistake_is_answered_with_file_and_line(mistake: tables_ledger.Mistake) -> None:
    answer = tables_ledger.mistakes_table([mistake]).cells["answer"].iloc[0]
    assert re.match(rf"{re.escape(mistake.file)} line \d+", answer)
    assert "\n" not in answer
    assert "/" not in answer.replace("TB/s", "")


def test_mistake_that_is_none_is_seen() -> None:
    harmless = tables_ledger.Mistake("nothing", "atlas950_specs.csv", "as printed", "as  printed")
    with pytest.raises(AssertionError, match="not refused: nothing"):
        tables_ledger.mistakes_table([harmless])
