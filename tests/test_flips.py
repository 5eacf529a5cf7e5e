"""What would flip an answer: the row, the factor, and the sources that already do."""

from __future__ import annotations

import dataclasses
import re
import types
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cm384 import load_claims, load_specs, scorecard, units
from cm384.derive.spread import sobol, tornado
from cm384.ledger import board
from cm384.ledger.attempts import error_of
from cm384.ledger.claims import Claim
from cm384.ledger.robustness import (
    bands,
    flip_ledger,
    flips,
    nearest_attempt,
    solutions,
    solve_tokens_per_step,
    stands,
)
from cm384.physics.check import ModelError
from cm384.table import files
from cm384.table.errors import DATA
from cm384.table.specs import Specs
from cm384.table.words import row_name

SPECS = load_specs()
CLAIMS = load_claims(specs=SPECS)
LEDGER = {claim.id: claim for claim in CLAIMS}


def some(*names: str) -> list[Claim]:
    return [LEDGER[name] for name in names]


def own(name: str, like: str, **cells: str) -> Claim:
    """A claim of our own, like one of the ledger but for some cells."""
    return dataclasses.replace(LEDGER[like], **{"id": name, "same_as": "", **cells})


SHARE = own("X-SHARE", "S000-22", quantity="peak", conditions="precision=bf16")
PREFILL = own("X-PREFILL", "S003-05", quantity="predicted_throughput")
DECODE = own("X-DECODE", "S003-07", quantity="predicted_throughput")


def lines(*names: str, samples: int = 200, seed: int = 384) -> pd.DataFrame:
    found = flip_ledger(some(*names), SPECS, samples, seed)
    return found.set_index("id", drop=False)


def flip(name: str, row: str) -> Any:
    claim = {**LEDGER, "X-SHARE": SHARE}[name]
    found = flips(claim, nearest_attempt(claim, SPECS, LEDGER), SPECS)
    return next(f for f in found if f.key[:2] == tuple(row.split(".")))


@pytest.mark.parametrize(
    ("name", "row", "factor"),
    [
        ("S000-02", "ascend-910c.peak", 2 * 72 * 2500 / 384 / 752),  # > 2 begins at 937.5
        ("S000-02", "gb200.peak", 384 * 752 / 2 / 72 / 2500),
        ("S000-11", "ascend-910c.hbm_capacity", 3.55 * 72 * 192 / 384 / 128),  # 3.6 ends at 3.55
        ("X-SHARE", "ascend-910c.peak", 0.65 * 989.4 / 752),  # 60 % reaches to 65 %
        ("X-SHARE", "h100-sxm.peak", 752 / 0.65 / 989.4),
        ("S002-09", "ascend-910c.peak", 2500 / 752),  # "more powerful" ends where they are level
        ("S002-09", "gb200.peak", 752 / 2500),
        # 4.45 of 5,655 tokens measured begins at 4.445
        ("S003-06", "ascend-910c.published_throughput", 4.445 * 1504 / 5655),
        ("S003-06", "ascend-910c.peak", 5655 / 4.445 / 1504),
    ],
)
def test_factor_is_the_one_by_hand(name: str, row: str, factor: float) -> None:
    assert flip(name, row).factor == pytest.approx(factor, rel=1e-4)


def test_figure_that_jumps_over_a_claim_does_not_flip_it() -> None:
    """Steps of 500 TFLOPS are never 1,234.5, and what rises steadily is at 1,234.45 of 752."""
    key = SPECS.find("ascend-910c", "peak", precision="bf16")
    claim = own("X-1", "S003-05", value="1,234.5", quantity="peak", unit="TFLOP/s")
    jumping: Any = types.SimpleNamespace(
        figure=lambda specs: np.floor(specs.get(*key[:2], precision="bf16") / 500) * 500,
        keys=(key,),
        reading=types.SimpleNamespace(quantity="peak"),
    )
    smooth: Any = types.SimpleNamespace(
        **{**vars(jumping), "figure": lambda specs: specs.get(*key[:2], precision="bf16")}
    )
    (jumped,), (met,) = flips(claim, jumping, SPECS), flips(claim, smooth, SPECS)
    assert (np.isnan(jumped.factor), jumped.distance) == (True, np.inf)
    assert met.factor == pytest.approx(1234.45 / 752, rel=1e-8)


@pytest.mark.parametrize(("claimed", "factor"), [("500", 1000 / 752), ("900", 900 / 752), ("1,100", np.nan)])
def test_what_cannot_run_ends_a_claim_that_stands_and_makes_none_stand(claimed: str, factor: float) -> None:
    """A figure that there is up to 1,000 only."""
    key = SPECS.find("ascend-910c", "peak", precision="bf16")
    claim = own("X-1", "S003-05", value=claimed, quantity="peak", unit="TFLOP/s", relation="ge")

    def figure(specs: Specs) -> units.Quantity:
        peak = specs.get(*key[:2], precision="bf16")
        return peak * np.where(peak.m > 1000, np.nan, 1.0)

    found: Any = types.SimpleNamespace(
        figure=figure, keys=(key,), reading=types.SimpleNamespace(quantity="peak")
    )
    (flipped,) = flips(claim, found, SPECS)
    assert flipped.factor == pytest.approx(factor, rel=1e-6, nan_ok=True)


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
    """An error that settles nothing smaller than a factor of two reaches twice the figure or half of it."""
    found = nearest_attempt(PREFILL, SPECS, {})
    error = error_of(found, SPECS)
    assert error is not None
    assert error.coarse
    assert not error.ratio
    edges = np.array([6687.5 / 2, 2 * 6688.5])
    tried = np.ravel([edges * 0.999, edges * 1.001])
    assert list(stands(PREFILL, tried, error)) == [False, True, True, False]
    assert error_of(nearest_attempt(LEDGER["S000-02"], SPECS, LEDGER), SPECS) is None
    assert error_of(nearest_attempt(LEDGER["S003-05"], SPECS, LEDGER), SPECS) is None  # as published


def test_fine_error_reaches_as_far_as_it_is() -> None:
    """Within 10 % of nine documents: from 6,687.5 ÷ 1.1 to 6,688.5 ÷ 0.9."""
    edges = np.array([6687.5 / 1.1, 6688.5 / 0.9])
    tried = np.ravel([edges * 0.999, edges * 1.001])
    assert list(stands(PREFILL, tried, ModelError(0.1, 9))) == [False, True, True, False]
    assert list(stands(PREFILL, np.array([6687.4, 6688.0, 6688.6]), None)) == [False, True, False]


def test_solutions_reach_the_claim_smallest_change_first() -> None:
    found = solutions(DECODE, SPECS, {})
    reached = [s for s in found if s.value is not None]
    assert 5 < len(reached) < len(found)
    assert all(s.value is None for s in found[len(reached) :])
    change = [round(s.distance, 6) for s in reached]
    assert change == sorted(change)
    figure = nearest_attempt(DECODE, SPECS, {}).reading.figure
    for solution in reached[:5]:
        value = figure(SPECS.replace({solution.key: solution.value}))
        assert float(value.to("token/s/accelerator").m) == pytest.approx(1943, rel=1e-6)


def test_tokens_per_step_scale_the_throughput() -> None:
    """The step takes the same time whatever is accepted: 1.7 × 1,943 ÷ predicted."""
    predicted = nearest_attempt(DECODE, SPECS, {}).central
    assert predicted == pytest.approx(2024.745, rel=1e-5)  # the model is 4.2 % too fast
    found = solve_tokens_per_step("X-DECODE", SPECS, [DECODE])
    assert found == pytest.approx(1.7 * 1943 / predicted, rel=1e-6)


def test_no_acceptance_reaches_a_claim_too_high() -> None:
    claim = dataclasses.replace(DECODE, value="9,000")
    assert solve_tokens_per_step("X-DECODE", SPECS, [claim]) is None


# --- as shown -------------------------------------------------------------------------------------


def test_claims_of_one_figure_and_threshold_flip_alike() -> None:
    found = lines("S000-06", "S001-13a", "S000-02", "S000-11", "S000-12", "S000-08")
    same = found.loc[["S000-06", "S001-13a"]]  # a charge of 5.5 billion, which ends at 5.45
    assert same["figure"].nunique() == same["claimed"].nunique() == same["factor"].nunique() == 1
    assert list(same["factor"]) == pytest.approx([5.45 / 5.5] * 2, rel=1e-4)
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
    assert len(found.keys) == 4
    assert round(found.central, 3) == 1.604


def test_variance_shares_add_up_where_nothing_interacts() -> None:
    found = nearest_attempt(LEDGER["S000-02"], SPECS, LEDGER)
    assert sobol(found.figure, SPECS, 256, 384)["first"].sum() == pytest.approx(1, abs=0.05)


def test_judged_claims_are_counted_once() -> None:
    judged = [claim for claim in CLAIMS if claim.judged and not claim.same_as]
    table = pd.DataFrame([(claim.category, claim.judged) for claim in judged], columns=["category", "answer"])
    shown = board.answers_figure(table, "category").data.set_index("category")
    assert shown.to_numpy().sum() == len(judged) > 50
    for category, counts in shown.iterrows():
        mine = [claim.judged for claim in judged if claim.category == category]
        assert counts[counts > 0].to_dict() == Counter(mine)
    assert not board.answers_figure(table[:0], "category").data.size


def test_answers_of_an_article_are_those_of_its_claims() -> None:
    lines = scorecard(some("S000-02", "S000-11", "S001-05", "S001-06"), SPECS)
    shown = board.answers_figure(lines, "article")
    told = r"Of 4 claims, 1 holds: from 0 % in Tech Daily Update to 50 % in Facefam\."
    assert re.match(told, str(shown))
    assert shown.data.set_index("article").to_dict("index") == {
        "Facefam": {"holds": 1, "misattributed": 0, "overstated": 1},
        "Tech Daily Update": {"holds": 0, "misattributed": 1, "overstated": 1},
    }


def test_scorecard_figure_shows_each_technical_figure_once() -> None:
    names = ("S000-02", "S000-11", "S001-03", "S000-08", "S000-10", "S000-16", "S003-08")
    shown = board.scorecard_figure(some(*names), SPECS)
    assert list(shown.data["id"]) == ["S000-02", "S000-11", "S003-08"]  # no repetition, no count,
    assert list(shown.data["ratio"]) == ["0.8021", "0.9877", "0.988"]  # statement, word or money
    assert list(shown.data["answer"]) == ["overstated", "holds", "undecided"]
    told = "meets 2 of 3 technical figures (1 by their maker's own runs); the rest miss by up to 1.25 times"
    assert told in str(shown)  # 49.4 ms are Huawei's; 2 ÷ 1.604


def test_figure_within_the_sources_is_met_or_reached_not_both() -> None:
    """752 TFLOPS are the central value, 800 another one; 900 are 1.2 times the first."""
    like = {"subject": "ascend-910c", "quantity": "peak", "conditions": "precision=bf16", "unit": "TFLOP/s"}
    claims = [own(f"X-{value}", "S003-05", value=value, **like) for value in ("752", "800", "900")]
    shown = board.scorecard_figure(claims, SPECS)
    assert list(shown.data["answer"]) == ["within sources", "within sources", "overstated"]
    told = "meets 1 of 3 technical figures, sources reach 1 more; the rest miss by up to 1.20 times"
    assert told in str(shown)


def test_scorecard_figure_of_no_figures_is_empty() -> None:
    shown = board.scorecard_figure(some("S000-08"), SPECS)
    assert shown.data.empty


def test_timeline_is_in_order() -> None:
    dates = files.read_table(DATA / "timeline.csv", ["date", "event", "source"])["date"]
    assert list(dates) == sorted(dates)
    assert dates.str.fullmatch(r"\d{4}-\d\d-\d\d").all()
