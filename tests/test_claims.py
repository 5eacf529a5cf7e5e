"""The ledger: how its file is read and refused, and its answers and figures redone by hand."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strangers
from own_ledger import SPECS, verdicts

from cm384.ledger.claims import ANSWERS, CATEGORIES, Claim, load_claims
from cm384.ledger.verdicts import Verdict, judge_all, scorecard
from cm384.physics.check import COARSE, FEW, ModelError, by_document, model_error, validate
from cm384.physics.served import MODELLED
from cm384.table.documents import SOURCE_KINDS, load_sources
from cm384.table.errors import InputError
from cm384.table.reading import read_rows
from cm384.table.records import Row
from cm384.table.specs import Specs, group_rows, load_specs, load_third_party

SPEC_COLUMNS = [field.name for field in dataclasses.fields(Row)]

# Chips a, b, c; systems one (4 a), two (2 b), three (4 b). Only the peak of a is disputed.
WORLD = """
a peak precision=bf16 100 TFLOP/s headline central
a peak precision=bf16 110 TFLOP/s headline alternative
a peak precision=bf16 130 TFLOP/s headline alternative
a peak precision=bf16 80 TFLOP/s matrix central
a peak precision=int8 300 TFLOP/s headline central
a hbm_capacity - 64 GB nominal central
a hbm_capacity - 60 GB usable central
a hbm_bandwidth - 2 TB/s nominal central
a power - 500 W tdp central
b peak precision=bf16 50 TFLOP/s matrix central
b peak precision=fp8 120 TFLOP/s matrix central
b hbm_capacity - 32 GB nominal central
b power - 250 W tdp central
c peak precision=bf16 20 TFLOP/s matrix central
c hbm_bandwidth - 1 TB/s nominal central
one count part=a 4 count nominal central
one count part=cpu 2 count nominal central
one count part=node 2 count nominal central
one accelerators_per_node - 2 count nominal central
two count part=b 2 count nominal central
three count part=b 4 count nominal central
""".strip().splitlines()

CLAIM = {
    "id": "X-1",
    "article": "an article",
    "locator": "paragraph 1",
    "category": "chip spec",
    "statement": "A made-up claim.",
    "subject": "a",
    "quantity": "peak",
    "conditions": "precision=bf16",
    "form": "value",
    "relation": "eq",
    "value": "100",
    "unit": "TFLOP/s",
}
RATIO = CLAIM | {"form": "ratio", "unit": "", "comparator": "b", "value": "2"}
COUNT = CLAIM | {
    "subject": "one",
    "quantity": "count",
    "conditions": "part=a",
    "form": "count",
    "unit": "count",
    "value": "4",
}
POWER = CLAIM | {"quantity": "power", "conditions": "", "unit": "W"}
OPEN = CLAIM | {"subject": "one", "quantity": "hbm_capacity", "conditions": "", "form": "ratio",
                "unit": "", "value": "4"}  # fmt: skip
JUDGED = CLAIM | {"quantity": "", "judged": "contradicted", "primary_says": "It says otherwise."}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Specs:
    path = tmp_path_factory.mktemp("world") / "world.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SPEC_COLUMNS)
        for line in WORLD:
            *fact, role = line.replace(" - ", "  ").split(" ")
            writer.writerow([*fact, role, "", f"page of {fact[0]}", "line 1", ""])
    kinds = load_specs().kinds
    return Specs(group_rows(read_rows(path, kinds), {}, path.name), kinds)


def write(folder: Path, *claims: dict[str, str]) -> Path:
    return strangers.write(folder / "claims.csv", Claim, *claims)


def judged(folder: Path, world: Specs, *claims: dict[str, str]) -> list[Verdict]:
    return judge_all(load_claims(write(folder, *claims), world), world)


def refusal(folder: Path, world: Specs, *claims: dict[str, str]) -> str:
    return strangers.refused(load_claims, write(folder, *claims), world)


# --- same_as --------------------------------------------------------------------------------------


def test_repeated_claim_takes_what_it_leaves_empty(tmp_path: Path, world: Specs) -> None:
    again = {"id": "X-2", "article": "another", "statement": "Again.", "same_as": "X-1"}
    first, second = judged(tmp_path, world, CLAIM, again)
    assert (first.answer, second.answer) == ("holds", "holds")
    assert second.claim.statement == "Again."
    assert second.claim.article == "another"
    assert second.claim.locator == "paragraph 1"
    assert second.derived == first.derived


def test_repeated_claim_keeps_what_it_says_itself(tmp_path: Path, world: Specs) -> None:
    again = {"id": "X-2", "statement": "Again.", "same_as": "X-1", "value": "200"}
    _, second = judged(tmp_path, world, CLAIM, again)
    assert second.answer == "overstated"


def test_repeated_claim_may_come_first(tmp_path: Path, world: Specs) -> None:
    again = {"id": "X-2", "statement": "Again.", "same_as": "X-1"}
    first, _ = judged(tmp_path, world, again, JUDGED)
    assert first.answer == "contradicted"


@pytest.mark.parametrize("other", ["X-1", "X-2", "X-3"])
def test_claim_repeats_one_that_repeats_none(tmp_path: Path, world: Specs, other: str) -> None:
    two = {"id": "X-2", "statement": "Again.", "same_as": other}
    three = {"id": "X-3", "statement": "And again.", "same_as": "X-2"}
    line, repeated = (4, "X-2") if other == "X-1" else (3, other)
    assert refusal(tmp_path, world, CLAIM, two, three) == (
        f"claims.csv line {line}, column same_as: {repeated!r}; "
        "expected a claim that does not repeat another one itself"
    )


def test_file_of_somebody_else_needs_six_columns(tmp_path: Path, world: Specs) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("id,statement,subject,quantity,form,value\nX-1,Twice.,a,dies,value,2\n")
    (claim,) = load_claims(file, world)
    assert (claim.relation, claim.comparator, claim.article) == ("eq", "", "")
    file.write_text("id,statement,subject,quantity,form\nX-1,Twice.,a,dies,value\n")
    with pytest.raises(InputError, match=r"mine.csv line 1: missing column 'value'"):
        load_claims(file, world)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"id": ""}, "column id: ''; expected letters, digits and hyphens"),
        ({"id": "a claim"}, "column id: 'a claim'; expected letters, digits and hyphens"),
        ({"category": "chip specs"}, "column category: 'chip specs' is not known; did you mean "
                                     "'chip spec'?"),
        ({"statement": ""}, "column statement: ''; expected the claim in words"),
        ({"subject": "thre"}, "column subject: 'thre' is not known; did you mean 'three'?"),
        ({"subject": ""}, "column subject: ''; expected a name, or an answer in column judged"),
        ({"quantity": "peek"}, "column quantity: 'peek' is not known; did you mean 'peak'?"),
        ({"quantity": ""}, "column quantity: ''; expected a name, or an answer in column judged"),
        ({"conditions": "precision"}, "column conditions: 'precision'; expected key=value;"),
        ({"conditions": "precison=bf16"}, "column conditions: unknown condition 'precison'; "
                                          "did you mean 'precision'?"),
        ({"conditions": "precision=bf61"}, "column conditions: unknown precision 'bf61'"),
        ({"conditions": "basis=matrx"}, "column conditions: unknown basis 'matrx'; did you mean "
                                        "'matrix'?"),
        ({"conditions": "subject=b"}, "column conditions: "),
        ({"form": "vale"}, "column form: 'vale' is not known; did you mean 'value'?"),
        ({"form": ""}, "column form: '' is not known; known: count, date, difference, increase"),
        ({"relation": "eqq"}, "column relation: 'eqq' is not known; did you mean 'eq'?"),
        ({"value": ""}, "column value: ''; expected a positive number as printed"),
        ({"value": "many"}, "column value: 'many'; expected a positive number as printed"),
        ({"value": "nan"}, "column value: 'nan'; expected a positive number as printed"),
        ({"value": "-3"}, "column value: '-3'; expected a positive number as printed"),
        ({"value": "0"}, "column value: '0'; expected a positive number as printed"),
        ({"value": "3,6"}, "column value: '3,6'; expected a positive number as printed"),
        ({"unit": "furlong"}, "column unit: 'furlong'; expected a unit such as GB/s"),
        ({"unit": "GB"}, "column unit: 'GB'; expected a unit such as TFLOP/s"),
        ({"unit": ""}, "column unit: ''; expected a unit such as TFLOP/s"),
        ({"form": "statement", "unit": "GB"}, "column unit: 'GB'; expected a unit such as"),
        ({"form": "value", "comparator": "b"}, "column unit: 'TFLOP/s'; expected a unit such as"),
        ({"form": "ratio", "comparator": "b"}, "column unit: 'TFLOP/s'; expected a unit such as"),
        ({"comparator": "thre"}, "column comparator: 'thre' is not known; did you mean 'three'?"),
        ({"comparator": "X-1", "form": "ratio", "unit": ""},
         "column comparator: 'X-1'; expected a ratio or share that does not refer to another claim"),
        ({"same_as": "X-11"}, "column same_as: 'X-11' is not known; did you mean 'X-1'?"),
        ({"readings": "basis"}, "column readings: 'basis'; expected key=value;"),
        ({"readings": "quantity=peek"}, "column readings: unknown quantity 'peek'; did you mean"),
        ({"readings": "basis=matrix|subject=thre"}, "column readings: unknown subject 'thre'; "
                                                    "did you mean 'three'?"),
        ({"readings": "comparator=thre"}, "column readings: unknown "),
        ({"readings": "comparater.precision=int8"}, "column readings: "),
        ({"readings": "quantity=hbm_capacity"}, "column readings: "),
        ({"judged": "hold", "note": "n"}, "column judged: 'hold' is not known; did you mean 'holds'?"),
        ({"judged": "holds"}, "column primary_says: ''; expected what the primary source says"),
    ],
)  # fmt: skip
def test_bad_claim_is_one_line(tmp_path: Path, world: Specs, cells: dict[str, str], message: str) -> None:
    good = CLAIM | {"id": "G-1", "note": "the line before"}
    found = refusal(tmp_path, world, good, CLAIM | cells)
    assert found.startswith(f"claims.csv line 3, {message}")


def test_id_given_twice_is_refused_where_it_comes_again(tmp_path: Path, world: Specs) -> None:
    again = CLAIM | {"statement": "Something else."}
    found = refusal(tmp_path, world, CLAIM, CLAIM | {"id": "X-2"}, again)
    assert found.startswith("claims.csv line 4, column id: 'X-1'; expected ")
    assert "multiple_fields" not in found


def test_claims_that_compare_with_each_other_are_refused(tmp_path: Path, world: Specs) -> None:
    one = OPEN | {"comparator": "X-2"}
    two = OPEN | {"id": "X-2", "comparator": "X-1"}
    assert "column comparator" in refusal(tmp_path, world, one, two)


def test_claims_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^absent\.csv: no such file$"):
        load_claims("absent.csv")


def test_article_of_the_own_ledger_is_a_source_and_a_strangers_is_free(tmp_path: Path, world: Specs) -> None:
    assert judged(tmp_path, world, CLAIM | {"article": "a page I read"})[0].answer == "holds"


# --- the scorecard --------------------------------------------------------------------------------


def test_scorecard_has_a_line_a_claim(tmp_path: Path, world: Specs) -> None:
    path = write(tmp_path, CLAIM, JUDGED | {"id": "X-2"}, CLAIM | {"id": "X-3", "value": "125.0"})
    lines = scorecard(load_claims(path, world), world)
    assert lines["id"].tolist() == ["X-1", "X-2", "X-3"]
    assert lines["answer"].tolist() == ["holds", "contradicted", "within sources"]
    assert lines["derived"].tolist()[::2] == [100, 100]
    assert lines["low"].tolist()[::2] == [100, 100]
    assert lines["high"].tolist()[::2] == [130, 130]
    assert lines["ratio"].tolist()[::2] == pytest.approx([1, 0.8])
    assert lines.loc[1, ["derived", "low", "high", "ratio"]].isna().all()
    assert lines["sources"].tolist() == ["page of a", "", "page of a"]


# --- the ledger of this project -------------------------------------------------------------------

VERDICT = verdicts()
LEDGER = list(VERDICT.values())

EXPECTED = {
    "holds": """
        S000-03 S000-04 S000-05 S000-06 S000-07 S000-08 S000-11 S000-12 S000-26a S001-02 S001-09 S001-12
        S001-13a S001-14a S001-14b S001-15a S001-30 S001-38 S001-39 S001-40 S001-42a S001-43 S002-02
        S002-03 S002-04 S002-06a S002-08 S002-09 S002-11 S002-13 S002-14a S002-15 S002-16 S002-17
        S002-19 S002-20a S002-21 S002-26 S002-27a S002-27b S002-29 S002-31 S002-32 S002-33 S002-35
        S002-36 S003-02 S003-04 S003-13a S003-13b S003-18 S003-23 S004-01 S004-06 S004-11a S004-11b
        S004-14 S004-15 S004-21 S004-27""",
    "within sources": "S003-20",
    "misattributed": "S000-15 S001-01 S001-04 S001-06 S001-16",
    "contradicted": """
        S000-18 S001-08 S001-10 S001-13b S001-31 S002-14b S002-24 S003-12 S004-02 S004-03 S004-09
        S004-20 S004-24 S004-26""",
    "other basis": "S001-24 S003-01 S003-19",
    "partly": """
        S000-01 S000-09 S000-10 S000-14 S000-17a S000-17b S000-19 S000-20 S000-21 S000-24 S000-26b
        S000-29 S000-30 S000-31 S001-11 S001-15b S001-18 S001-20a S001-20b S001-21 S001-22 S001-23
        S001-25 S001-26 S001-33 S001-35 S001-37 S001-41 S001-42b S001-44 S002-01 S002-06b S002-07
        S002-10 S002-18a S002-18b S002-20b S002-23 S002-27c S002-28 S002-30 S002-34 S002-37a S002-37b
        S003-14 S003-15 S003-16 S003-17 S003-22 S003-24 S004-05 S004-10 S004-12 S004-13 S004-16 S004-18
        S004-19 S004-25""",
    "undecided": """
        S000-16 S000-22 S000-25 S001-19 S001-27 S001-29 S002-05 S002-12 S003-03b S003-07 S003-08 S003-09
        S004-08""",
    "overstated": "S000-02 S001-03 S001-05 S001-17 S003-03a S003-05 S003-06 S003-10 S003-11 S004-07",
    "understated": "",
    "unsupported": "S000-13 S000-23 S000-27 S001-07 S001-28 S001-32 S001-34 S003-21 S004-04",
    "opinion": "S000-28 S001-36 S002-22 S002-25 S004-17 S004-22 S004-23",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_claims_with_this_answer(answer: str) -> None:
    found = [name for name, line in VERDICT.items() if line.answer == answer]
    assert found == EXPECTED[answer].split()


def test_totals_of_the_ledger() -> None:
    assert {answer: len(names.split()) for answer, names in EXPECTED.items()} == {
        "holds": 60, "within sources": 1, "misattributed": 5, "contradicted": 14, "other basis": 3,
        "partly": 58, "undecided": 13, "overstated": 10, "understated": 0, "unsupported": 9, "opinion": 7,
    }  # fmt: skip
    assert len(LEDGER) == 180


def test_every_claim_of_the_five_articles_is_in_the_ledger() -> None:
    """All 163 by number, none left out; a compound one is split into a, b, c."""
    numbers: dict[str, dict[int, list[str]]] = {}
    for name in VERDICT:
        article, number, letter = re.fullmatch(r"(S00[0-4])-(\d\d)([a-c]?)", name).groups()  # type: ignore[union-attr]
        numbers.setdefault(article, {}).setdefault(int(number), []).append(letter)
    assert {article: list(found) for article, found in numbers.items()} == {
        article: list(range(1, last + 1))
        for article, last in {"S000": 31, "S001": 44, "S002": 37, "S003": 24, "S004": 27}.items()
    }
    assert sum(map(len, numbers.values())) == 163
    letters = {tuple(found) for part in numbers.values() for found in part.values()}
    assert letters == {("",), ("a", "b"), ("a", "b", "c")}
    articles = {(line.claim.id[:4], line.claim.article) for line in LEDGER}
    assert len(articles) == 5  # one article a prefix


def test_every_category_has_claims() -> None:
    counts = dict.fromkeys(CATEGORIES, 0)
    for line in LEDGER:
        counts[line.claim.category] += 1
    assert counts == {
        "chip spec": 13, "system spec": 32, "serving throughput": 8, "efficiency": 4, "parity": 18,
        "power/energy": 7, "software": 9, "deployment": 11, "timeline": 23, "market/finance": 55,
    }  # fmt: skip


# deepseek2025r1, config.json: 61 layers, the first 3 dense; hidden 7,168; 256 + 1 experts of 2,048
ATTENTION = (7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256
             + 128 * 128 * 7168)  # fmt: skip
EXPERTS = 257 * 3 * 7168 * 2048 + 256 * 7168 + 256
R1 = (2 * 129280 * 7168 + 7168 + 61 * (ATTENTION + 2 * 7168) + 3 * 3 * 7168 * 18432
      + 58 * EXPERTS)  # fmt: skip
COMPUTE = (384 * 752) / (72 * 2500)  # ascendmsmodeling; nvidia2025blackwell, table 2
MEMORY = (384 * 128) / (72 * 192)  # huawei2025cloudmatrix; nvidia2026nim
STREAM = (384 * 3.2) / (72 * 8)  # huawei2025cloudmatrix; nvidia2025blackwell, table 2
NODES = 48 * 8  # huawei2025cloudmatrix, sections 3.3.2 and 3.3.3
# reportify2025semianalysis: 559,378 W; a rack of 145 kW
PER_WATT = (288.768e15 / 559378) / (180e15 / 145000)
# lmsys2025largescale: 62,713 tokens/s a node of 8 H800 in DeepSeek's profile
PREFILL_H800 = 6688 / 7839.1


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        ("S000-02", COMPUTE),
        ("S000-06", 5.5),  # nvidia20258k, guided; the booked charge came after the article
        ("S000-07", 15),  # huang2025stratechery
        ("S000-08", NODES),
        ("S000-11", MEMORY),
        ("S000-12", STREAM),
        ("S000-15", 25),  # btimes2025huawei
        ("S000-16", 5.114e9 * 25 / 1e9),  # huawei2022annual; breakingviews2023huawei
        ("S001-01", 25),
        ("S001-03", COMPUTE),
        ("S001-04", 48),
        ("S001-05", COMPUTE),
        ("S001-06", (384 * 3.2) / (8 * 3.352)),  # nvidia2022hopper, table 3
        ("S001-13a", 5.5),
        ("S001-14a", 15),
        ("S001-16", 128 / 96),  # nvidia2026mig
        ("S001-17", COMPUTE),  # the owner of the figure beside it
        ("S001-19", 127.85),
        ("S002-06a", NODES),
        ("S002-08", 72),
        ("S002-09", 2500 / 752),
        ("S002-17", 31 / 14),  # delloro2025telecom
        ("S003-01", 5655 / 7839.1),  # as measured; huawei2025cloudmatrix, lmsys2025largescale
        ("S003-19", 5655 / 7839.1),  # the same comparison
        ("S003-03a", 5655 / 6287.75),  # lmsys2025largescale: 50,302 tokens/s a node of 8 H100
        ("S003-03b", (5655 / 1504) / (6287.75 / 1978.9)),
        ("S003-05", 5655),
        ("S003-06", 5655 / 1504),
        ("S003-07", 1943),
        ("S003-08", 49.4),
        ("S003-09", 1943 / 1504),
        ("S003-10", 1943 / 2171.6),  # lmsys2025largescale: 17,373 tokens/s a node, simulated MTP
        ("S003-11", 5655 / 7839.1),
        ("S003-13a", NODES),
        ("S003-13b", 192),
        ("S003-18", R1 / 1e9),
        ("S003-20", 0.8),  # statista2025ai
        ("S004-11a", NODES),
        ("S004-11b", 192),
        ("S004-21", 3350 / 1360),  # xinhua2025capacity; urjadaily2025ferc
    ],
)
def test_derived_figure_of_the_ledger(name: str, derived: float) -> None:
    assert VERDICT[name].derived == pytest.approx(derived, rel=1e-12)


def test_every_derivable_claim_is_redone_here() -> None:
    marks = test_derived_figure_of_the_ledger.pytestmark[0].args[1]
    redone = {name for name, _ in marks}
    assert len(redone) == len(marks)
    assert redone == {name for name, line in VERDICT.items() if line.attempt}


def test_no_claim_of_the_ledger_is_settled_by_the_model() -> None:
    """None reads a constant of the serving model: the runs that were published decide."""
    for line in LEDGER:
        assert line.settled != "model"
        if line.attempt:
            assert line.attempt.reading.quantity not in MODELLED
            assert not {key[1] for key in line.attempt.span.keys} & {"gemm_rate", "expert_balance"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("S000-02", "overstated 1.17 to 1.25 times"),  # 2 ÷ 1.707, with Huawei's 800; 2 ÷ 1.604
        ("S000-11", "It fits 1 of the 8 machines tried: GB200 NVL72 (3.556)"),
        ("S000-12", "It fits 2 of the 8 machines tried: GB200 NVL72 (2.133) and GB300 NVL72 (2.133)"),
        ("S000-15", "the figure is that of valuation by multiple (apple, 2022) of Huawei"),
        ("S000-16", "not independent: an estimate, whose method was made to give it"),
        ("S000-22", "No measured run that would decide it was published by 2025-05-19"),
        ("S000-26a", "price of the peak 0.6058"),  # 8.2 million ÷ 288,768; 371,000 ÷ 7,915
        ("S001-04", "the figure is that of the Ascend 910C of CloudMatrix 384"),
        ("S001-05", "Peak (BF16) of CloudMatrix 384 ÷ GB200 NVL72 = 1.604"),
        ("S001-06", "the figure is that of HBM bandwidth of CloudMatrix 384 ÷ GB200 NVL72"),
        ("S001-16", "the figure is that of HBM capacity of CloudMatrix 384 ÷ GB200 NVL72"),
        ("S001-17", "overstated 1.17 to 1.25 times"),
        ("S002-18b", "peak for a watt 0.4159"),
        ("S003-01", "(DSK-H800-PREFILL-PRODUCTION) = 1.405"),  # 5,655 ÷ 4,026
        ("S003-05", "6,688 tokens/s per accelerator is projected: overstated 1.18 times"),
        ("S003-06", "4.447 tokens/s/TFLOPS is projected: overstated 1.18 times"),
        ("S003-07", "not independent: only documents of Huawei and its partners state it of Ascend 910C"),
        ("S003-10", "overstated 1.12 times; beside it, tokens per TFLOP"),  # 2,171.6 ÷ 1,943
        ("S003-10", "(SGL-H100-DECODE-SIMMTP, FP8) = 1.177"),  # 1.2919 ÷ (2,171.6 ÷ 1,978.9)
        ("S003-20", "33 % of the sourced combinations reach it"),
        (
            "S004-16",
            "dense peak at four bits, or the narrowest that a side has 0.8021",
        ),  # 384 × 1,504 ÷ 720,000
    ],
)
def test_the_reason_says_what_decides(name: str, said: str) -> None:
    assert said in VERDICT[name].why


def test_no_combination_of_sources_reaches_more_than_double() -> None:
    found = VERDICT["S000-02"]
    assert found.attempt is not None
    assert found.attempt.edges[1] == pytest.approx(384 * 800 / (72 * 2250))
    assert not found.claim.printed.holds(found.attempt.values).any()
    assert found.attempt.ends == pytest.approx((288_700 / 180_000, 384 * 800 / 180_000))


def test_equal_claims_have_equal_answers() -> None:
    """Those that repeat another one in an article of the same date, and twins in other words."""
    for line in LEDGER:
        if line.claim.same_as and line.claim.article == "techdailyupdate2025huawei":
            assert line.answer == VERDICT[line.claim.same_as].answer, line.claim.id
    for one, other in (("S002-18b", "S004-13"), ("S000-06", "S001-13a"), ("S003-17", "S004-19"),
                       ("S003-14", "S004-12"), ("S002-24", "S004-03"), ("S002-06b", "S002-23"),
                       ("S000-22", "S000-25"), ("S003-05", "S003-06"), ("S003-07", "S003-09")):  # fmt: skip
        assert VERDICT[one].answer == VERDICT[other].answer, (one, other)


def test_every_answer_has_its_reason_and_its_sources() -> None:
    for line in LEDGER:
        assert line.why.endswith((".", ".'")), line.claim.id
        assert all(line.sources), line.claim.id
        nothing = line.settled == "nothing" or line.claim.quantity == "parameters"
        assert line.sources or nothing, line.claim.id
        assert line.answer == "opinion" or line.overturn.endswith("."), line.claim.id


def test_what_is_judged_by_hand_quotes_its_document() -> None:
    """Unless none was found, or nothing could decide; and a document that would overturn it is named."""
    for line in LEDGER:
        claim = line.claim
        by_hand = claim.judged or claim.form == "saying" or claim.state == "opined"
        if by_hand and claim.primary and line.answer != "opinion":
            assert claim.quote, claim.id
        if by_hand and line.answer != "opinion":
            what = claim.overturn.removeprefix("It would be overturned by ")
            assert what != claim.overturn, claim.id
            assert len(what.split()) >= 5, claim.id  # whose document, and of what


def test_nothing_holds_by_the_word_of_its_own_article_or_of_what_it_retells() -> None:
    for line in LEDGER:
        claim = line.claim
        if line.answer == "holds" and line.settled == "document" and claim.form != "saying":
            assert set(line.sources) - {claim.article}, claim.id


def test_every_source_has_a_date_and_a_kind() -> None:
    found = load_sources()
    assert len(found) > 200
    assert {source.kind for source in found.values()} == set(SOURCE_KINDS)
    assert all(bool(source.maker) == (source.kind == "vendor") for source in found.values())
    assert all(found[line.claim.article].published for line in LEDGER)


@pytest.mark.parametrize(
    ("published", "date", "after"),
    [
        ("2025-06-01", "2025-05-19", True),
        ("2025-05-19", "2025-05-19", False),
        ("2025-06", "2025-05-19", True),
        ("2025-05", "2025-05-19", False),  # it may have been before
        ("2025", "2025-05-19", False),
        ("2026", "2025-05-19", True),
        ("by 2026-08", "2025-05-19", False),
        ("2026-01-01", "", False),
    ],
)
def test_only_what_certainly_came_later_is_left_out(published: str, date: str, after: bool) -> None:
    source = dataclasses.replace(load_sources()["huawei2025cloudmatrix"], published=published)
    assert source.after(date) is after


# --- conditions of the comparator alone, in the conditions column ---------------------------------


@pytest.mark.parametrize(
    ("cells", "wanted", "derived"),
    [
        # 300 INT8 ÷ 120 FP8; 100 BF16 ÷ 50 BF16 is 2, and b has no INT8
        ({"conditions": "comparator.precision=fp8;precision=int8", "value": "2.5"},
         "holds", 2.5),
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "2.5"},
         "holds", 2.5),
        ({"conditions": "precision=bf16;comparator.precision=fp8", "value": "2"},
         "other basis", 100 / 120),  # BF16 on both sides
        # a reading changes what it names; a footing named once is that of both sides
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "6",
          "readings": "comparator.precision=bf16"}, "other basis", 2.5),
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "0.833",
          "readings": "precision=bf16"}, "understated", 2.5),
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "2",
          "readings": "precision=bf16;comparator.precision=bf16"}, "other basis", 2.5),
        # 64 GB ÷ 60 usable; another quantity has conditions of its own: 2 TB/s ÷ 1 TB/s
        ({"subject": "b", "comparator": "a", "quantity": "hbm_capacity", "value": "0.533",
          "conditions": "comparator.basis=usable"}, "holds", 32 / 60),
        ({"comparator": "c", "quantity": "hbm_bandwidth", "conditions": "comparator.basis=nominal",
          "value": "5", "readings": "quantity=peak;precision=bf16"}, "misattributed", 2),
    ],
)  # fmt: skip
def test_condition_of_the_comparator_in_the_conditions(
    tmp_path: Path, world: Specs, cells: dict[str, str], wanted: str, derived: float
) -> None:
    (found,) = judged(tmp_path, world, RATIO | cells)
    assert (found.answer, found.derived) == (wanted, pytest.approx(derived))


def test_condition_of_the_comparator_alone_does_not_pass_to_another_quantity(
    tmp_path: Path, world: Specs
) -> None:
    claim = RATIO | {"subject": "b", "comparator": "a", "quantity": "hbm_capacity", "value": "0.5",
                     "conditions": "comparator.basis=usable"}  # fmt: skip
    # 250 W ÷ 500 W tdp, which a has on no basis "usable"; 32 ÷ 60 is not 0.50
    (found,) = judged(tmp_path, world, claim | {"value": "0.500", "readings": "quantity=power"})
    assert found.answer == "misattributed"
    assert "the figure is that of power of B ÷ A" in found.why


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ("comparator.precison=fp8", "column conditions: unknown condition 'precison'; did you mean "
                                    "'precision'?"),
        ("comparator.precision=fp9", "column conditions: unknown precision 'fp9'; known: bf16, "
                                     "fp8, int8"),
        ("comparater.precision=fp8", "column conditions: unknown condition 'comparater.precision'"),
        ("measurement=CM384-PREFIL", "column conditions: unknown measurement 'CM384-PREFIL'"),
    ],
)  # fmt: skip
def test_bad_condition_of_the_comparator_is_one_line(
    tmp_path: Path, world: Specs, conditions: str, message: str
) -> None:
    found = refusal(tmp_path, world, RATIO | {"conditions": conditions})
    assert found.startswith(f"claims.csv line 2, {message}")


# --- the error of the serving model ----------------------------------------------------------------


def test_error_counts_each_document_once_and_leaves_out_the_claims_own() -> None:
    """The median of each document, and the 9th of ten of these in order, redone by hand."""
    for name in ("CM384-PREFILL-DEFAULT", "CM384-DECODE-4K-50MS"):
        own = SPECS.measurements[name]
        others = [
            row for row in [*SPECS.measurements.values(), *load_third_party()]
            if (row.phase, row.assumed, row.kind) == (own.phase, "", "measured") and row.source != own.source
        ]  # fmt: skip
        logs: dict[str, list[float]] = {}
        for row, error in zip(others, validate(others, SPECS)["error"], strict=True):
            logs.setdefault(row.source + row.software, []).append(float(np.log1p(error)))
        medians = [m for found in logs.values() if np.isfinite(m := float(np.nanmedian(found)))]
        errors = sorted(abs(np.expm1(median)) for median in medians)
        found = model_error(SPECS, name)
        assert found.documents == len(errors)
        assert found.size == pytest.approx(errors[int(np.ceil(0.9 * len(errors))) - 1], rel=1e-12)
        pairs = sorted(abs(np.expm1(abs(a - b))) for i, a in enumerate(medians) for b in medians[:i])
        ratio = model_error(SPECS, name, ratio=True)
        assert ratio.size == pytest.approx(pairs[int(np.ceil(0.9 * len(pairs))) - 1], rel=1e-12)


def with_throughput(choose: Any, factor: float) -> Specs:
    """The table with the published throughput of some measurements changed."""
    found = {
        name: dataclasses.replace(row, throughput=str(row.measured * factor))
        if choose(row) else row
        for name, row in SPECS.measurements.items()
    }  # fmt: skip
    return dataclasses.replace(SPECS, measurements=found)


@pytest.mark.parametrize("name", ["CM384-PREFILL-DEFAULT", "CM384-DECODE-4K-50MS"])
def test_what_the_error_of_the_model_depends_on(name: str) -> None:
    own = SPECS.measurements[name]
    plain = model_error(SPECS, name)

    def moved(choose: Any) -> bool:
        return model_error(with_throughput(choose, 10.0), name) != plain

    other = {"prefill": "decode", "decode": "prefill"}[own.phase]
    assert not moved(lambda row: row.source == own.source)  # no claim is judged by itself
    assert not moved(lambda row: row.phase == other)
    assert not moved(lambda row: bool(row.assumed))
    assert not moved(lambda row: row.kind != "measured")
    assert moved(lambda row: row.phase == own.phase and row.source != own.source)


def test_a_document_whose_runs_cannot_be_computed_counts_as_a_miss() -> None:
    rows = [dataclasses.replace(row, accelerator="nokia") for row in SPECS.measurements.values()][:1]
    assert np.isnan(by_document(rows, SPECS)[rows[0].source])
    assert ModelError(np.inf, 9).coarse
    assert ModelError(COARSE, FEW).coarse is False
    assert ModelError(COARSE, FEW - 1).coarse


def test_a_comparator_that_is_a_claim_names_a_machine(tmp_path: Path) -> None:
    """The machine that a count fits is none: refused before anything is derived."""
    path = tmp_path / "mine.csv"
    path.write_text(
        "id,statement,subject,quantity,conditions,form,value,comparator\n"
        "ME-1,Three times the compute,cloudmatrix-384,peak,precision=bf16,ratio,3,ME-2\n"
        "ME-2,It has 384 chips,cloudmatrix-384,count,part=ascend-910c,count,384,\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"mine.csv line 2, column comparator: 'ME-2'; expected a ratio"):
        load_claims(path)
