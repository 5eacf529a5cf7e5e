"""What would flip a verdict: the row, the factor, and the sources that already do."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cm384 import load_claims, load_specs, scorecard, units
from cm384.derive.spread import sobol, tornado
from cm384.ledger import board
from cm384.ledger.claims import Claim
from cm384.ledger.robustness import (
    bands,
    error_of,
    flip_ledger,
    flips,
    nearest_attempt,
    solutions,
    solve_tokens_per_step,
    stands,
)
from cm384.table import files
from cm384.table.errors import DATA
from cm384.table.words import row_name

SPECS = load_specs()
CLAIMS = load_claims(specs=SPECS)
LEDGER = {claim.id: claim for claim in CLAIMS}


def some(*names: str) -> list[Claim]:
    return [LEDGER[name] for name in names]


def lines(*names: str, samples: int = 200, seed: int = 384) -> pd.DataFrame:
    found = flip_ledger(some(*names), SPECS, samples, seed)
    return found.set_index("id", drop=False)


def flip(name: str, row: str) -> Any:
    claim = LEDGER[name]
    found = flips(claim, nearest_attempt(claim, SPECS, LEDGER), SPECS)
    return next(f for f in found if f.key[:2] == tuple(row.split(".")))


@pytest.mark.parametrize(
    ("name", "row", "factor"),
    [
        ("S000-02", "ascend-910c.peak", 2 * 72 * 2500 / 384 / 752),  # > 2 begins at 937.5
        ("S000-02", "gb200.peak", 384 * 752 / 2 / 72 / 2500),
        ("S000-11", "ascend-910c.hbm_capacity", 3.55 * 72 * 192 / 384 / 128),  # 3.6 ends at 3.55
        ("S000-22", "ascend-910c.peak", 0.63 * 989.4 / 752),  # 60 % begins at 63 %
        ("S002-02", "ascend-910c.peak", 72 * 2500 / 384 / 752),
    ],
)
def test_factor_is_the_one_by_hand(name: str, row: str, factor: float) -> None:
    assert flip(name, row).factor == pytest.approx(factor, rel=1e-4)


def test_statement_that_flips_a_claim_is_named() -> None:
    """384 × 3.2 ÷ (72 × 7.7) = 2.216 is not 2.1."""
    (row,) = flip("S000-12", "gb200.hbm_bandwidth").statements
    assert (row.value, row.role) == (7.7, "alternative")
    line = lines("S000-12").loc["S000-12"]
    assert line["row"][:2] == ("gb200", "hbm_bandwidth")
    assert bool(line["stands"])
    assert 0.3 < line["holds"] < 0.7


def test_source_that_does_not_flip_is_not_named() -> None:
    assert flip("S000-02", "ascend-910c.peak").statements == ()  # 800 TFLOPS make 1.71 times


def test_row_that_a_source_flips_comes_before_a_smaller_change() -> None:
    claim = LEDGER["S000-12"]
    first, *others = flips(claim, nearest_attempt(claim, SPECS, LEDGER), SPECS)
    assert first.statements
    assert not any(other.statements for other in others)


def test_counts_are_not_moved() -> None:
    assert lines("S000-08").loc["S000-08", "row"] is None
    claim = LEDGER["S000-02"]
    found = flips(claim, nearest_attempt(claim, SPECS, LEDGER), SPECS)
    assert {f.key[1] for f in found} == {"peak"}


def test_same_seed_same_ledger_and_another_seed_another() -> None:
    names = ("S000-12", "S003-20")
    first, again = lines(*names), lines(*names)
    pd.testing.assert_frame_equal(first, again)
    assert (lines(*names, seed=1)["holds"] != first["holds"]).any()


def test_claim_without_a_source_is_left_out() -> None:
    lost = dataclasses.replace(LEDGER["S000-02"], id="X-1", conditions="precision=fp4")
    assert list(flip_ledger([lost, LEDGER["S000-11"]], SPECS, 10)["id"]) == ["S000-11"]


def test_claim_through_the_model_has_its_error() -> None:
    claim = LEDGER["S003-05"]
    found = nearest_attempt(claim, SPECS, LEDGER)
    error = error_of(found, SPECS)
    assert 0 < error < 1
    edge = claim.printed.low / (1 + error)
    assert list(stands(claim, np.array([edge * 0.999, edge * 1.001]), error)) == [False, True]
    assert error_of(nearest_attempt(LEDGER["S000-02"], SPECS, LEDGER), SPECS) == 0


def test_solutions_reach_the_claim_smallest_change_first() -> None:
    claim = LEDGER["S003-07"]
    found = solutions(claim, SPECS, LEDGER)
    reached = [s for s in found if s.value is not None]
    assert len(reached) < len(found)
    assert all(s.value is None for s in found[len(reached) :])
    change = [round(s.distance, 6) for s in reached]
    assert change == sorted(change)
    figure = nearest_attempt(claim, SPECS, LEDGER).reading.figure
    for solution in reached[:5]:
        value = figure(SPECS.replace({solution.key: solution.value}))
        assert float(value.to("token/s/accelerator").m) == pytest.approx(1943, rel=1e-6)


def test_tokens_per_step_scale_the_throughput() -> None:
    """The step takes the same time whatever is accepted: 1.7 × 1,943 ÷ predicted."""
    predicted = nearest_attempt(LEDGER["S003-07"], SPECS, LEDGER).central
    found = solve_tokens_per_step("S003-07", SPECS, CLAIMS)
    assert found == pytest.approx(1.7 * 1943 / predicted, rel=1e-6)


def test_no_acceptance_reaches_a_claim_too_high() -> None:
    claim = dataclasses.replace(LEDGER["S003-07"], id="X-1", value="9,000")
    assert solve_tokens_per_step("X-1", SPECS, [claim]) is None


# --- as shown -------------------------------------------------------------------------------------


def test_claims_of_one_figure_and_threshold_flip_alike() -> None:
    found = lines("S002-02", "S002-18a", "S000-02", "S000-11", "S000-12", "S000-08")
    same = found.loc[["S002-02", "S002-18a"]]
    assert same["figure"].nunique() == same["claimed"].nunique() == same["factor"].nunique() == 1
    # 72 x 7.7 TB/s flips the bandwidth, no source the others; a count has no row
    flipped = found["statements"].map(bool)
    assert list(flipped[flipped].index) == ["S000-12"]
    assert list(found.index[found["row"].isna()]) == ["S000-08"]


def test_line_says_what_flips_and_what_does_not() -> None:
    """At 937.5 TFLOPS, 127.8 GB and 7.938 TB/s: 1.25, 0.998 and 0.992 times what is taken."""
    found = lines("S000-02", "S000-08", "S000-11", "S000-12")
    said = []
    for line in found.dropna(subset="row").to_dict("records"):
        row, scale = SPECS.rows[line["row"]][0], line["factor"]
        ends = [units.text(row.amount * line[end]) for end in ("sourced_low", "sourced_high")]
        sources = [statement.source for statement in line["statements"]]
        said.append((row_name(row), units.text(row.amount * scale), units.number(scale, 3), *ends,
                     sources))  # fmt: skip
    assert said == [
        ("Ascend 910C: peak (BF16)", "937.5 TFLOPS", "1.25", "752 TFLOPS", "800 TFLOPS", []),
        ("Ascend 910C: HBM capacity", "127.8 GB", "0.998", "128 GB", "128 GB", []),
        ("GB200: HBM bandwidth", "7.938 TB/s", "0.992", "7.7 TB/s", "8 TB/s", ["verda_gb300"]),
    ]


def test_band_of_a_claim_that_others_repeat_is_given_once() -> None:
    """From 384 × 752 ÷ (72 × 2,500) TFLOPS to 384 × 800 ÷ (72 × 2,250)."""
    found = bands(some("S000-02", "S000-11", "S000-09", "S001-03"), SPECS, 200).set_index("id")
    assert list(found.index) == ["S000-02", "S000-11"]  # one is judged, one repeats the first
    assert list(found["holds"]) == [0, 1]
    ends = [384 * 752 / (72 * 2500), 384 * 800 / (72 * 2250)]
    assert list(found.loc["S000-02", ["p5", "p95"]]) == pytest.approx(ends)


def test_tornado_of_a_claim() -> None:
    """Derived 1.604 and claimed more than double: of 4 rows sources disagree on 2."""
    found = nearest_attempt(LEDGER["S000-02"], SPECS, LEDGER)
    moved = tornado(found.figure, SPECS)
    names = [row.split(".")[:2] for row in moved["row"].str.split("[").str[0]]
    assert names == [["gb200", "peak"], ["ascend-910c", "peak"]]
    assert len(found.span.keys) == 4
    assert round(found.central, 3) == 1.604


def test_variance_shares_add_up_where_nothing_interacts() -> None:
    found = nearest_attempt(LEDGER["S000-02"], SPECS, LEDGER)
    assert sobol(found.figure, SPECS, 256, 384)["first"].sum() == pytest.approx(1, abs=0.05)


def test_judged_claims_are_counted_once() -> None:
    judged = [claim for claim in CLAIMS if claim.judged and not claim.same_as]
    table = pd.DataFrame(
        [(claim.category, claim.judged) for claim in judged], columns=["category", "verdict"]
    )
    shown = board.verdicts_figure(table, "category").data.set_index("category")
    assert shown.to_numpy().sum() == len(judged)
    assert not board.verdicts_figure(table[:0], "category").data.size


def test_verdicts_of_an_article_are_those_of_its_claims() -> None:
    lines = scorecard(some("S000-02", "S000-11", "S001-05"), SPECS)
    shown = board.verdicts_figure(lines, "article").data.set_index("article")
    assert shown.to_dict("index") == {
        "Facefam": {"confirmed": 1, "overstated": 1},
        "Tech Daily Update": {"confirmed": 0, "overstated": 1},
    }


def test_scorecard_figure_shows_each_technical_figure_once() -> None:
    names = ("S000-02", "S000-11", "S001-03", "S000-08", "S000-10", "S000-16", "S003-08")
    shown = board.scorecard_figure(some(*names), SPECS)
    assert list(shown.data["id"]) == ["S000-02", "S000-11", "S003-08"]  # no repetition, no count,
    assert list(shown.data["ratio"]) == ["0.8021", "0.9877", "0.9001"]  # statement or money
    assert list(shown.data["verdict"]) == ["overstated", "confirmed", "within model error"]


def test_scorecard_figure_of_no_figures_is_empty() -> None:
    shown = board.scorecard_figure(some("S000-08"), SPECS)
    assert shown.data.empty


def test_timeline_is_in_order() -> None:
    dates = files.read_table(DATA / "timeline.csv", ["date", "event", "source"])["date"]
    assert list(dates) == sorted(dates)
    assert dates.str.fullmatch(r"\d{4}-\d\d-\d\d").all()
