"""What a claim needs to be true, and the ledger over draws of the sources."""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
import strangers

from cm384 import load_claims, load_specs, ratio
from cm384.derive.spread import SEED
from cm384.ledger.claims import Claim
from cm384.ledger.robustness import bands, nearest_attempt, solve
from cm384.table import units
from cm384.table.draws import BLOCK
from cm384.table.errors import InputError

SPECS = load_specs()
CLAIMS = load_claims(specs=SPECS)
LEDGER = {claim.id: claim for claim in CLAIMS}
PEAK = "ascend-910c.peak[precision=bf16;basis=headline]"


def some(*names: str) -> list[Claim]:
    return [LEDGER[name] for name in names]


def changed(name: str, **cells: str) -> Claim:
    """A claim of the ledger with other cells, under an id of its own."""
    return dataclasses.replace(LEDGER[name], **{"id": "X-1", "same_as": "", **cells})


def refusal(claim: str, row: str, claims: Any = CLAIMS) -> str:
    return strangers.refused(solve, claim, row, SPECS, claims)


# Claims of our own, of what no article puts a figure to.
SHARE = changed("S000-22", id="X-SHARE", quantity="peak", conditions="precision=bf16")
WATT = changed("S002-09", id="X-WATT", subject="cloudmatrix-384", quantity="peak_per_power", relation="ge",
               comparator="gb200-nvl72")  # fmt: skip
LIMIT = changed("S002-09", quantity="peak_by_bits", conditions="bits=8", form="value", relation="eq",
                value="700", unit="TFLOP/s", comparator="", subject="ascend-910c")  # fmt: skip
PREFILL = changed("S003-05", id="X-PREFILL", quantity="predicted_throughput")
DECODE = changed("S003-07", id="X-DECODE", quantity="predicted_throughput")
TPOT = changed("S003-08", id="X-TPOT", quantity="predicted_tpot")
WITH_OWN = [*CLAIMS, SHARE, WATT]


# --- solve ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "row", "unit", "wanted"),
    [
        # More than double of 72 × 2,500 TFLOPS from 384 packages
        ("S000-02", "ascend-910c.peak", "TFLOPS", 2 * 72 * 2500 / 384),
        ("S000-02", "gb200.peak", "TFLOPS", 384 * 752 / 144),
        ("S000-02", "cloudmatrix-384.count", "count", 2 * 72 * 2500 / 752),
        # 60 % of an H100's 989.4
        ("X-SHARE", "ascend-910c.peak", "TFLOPS", 0.6 * 989.4),
        ("X-SHARE", "h100-sxm.peak", "TFLOPS", 752 / 0.6),
        # 3.6 times the 72 × 192 GB, 2.1 times the 72 × 8 TB/s
        ("S000-11", "ascend-910c.hbm_capacity", "GB", 3.6 * 72 * 192 / 384),
        ("S000-12", "ascend-910c.hbm_bandwidth", "TB/s", 2.1 * 72 * 8 / 384),
        # 4.45 tokens/s/TFLOPS of 1,504, and of the 5,655 tokens that were measured (6,688 were projected)
        ("S003-06", "ascend-910c.published_throughput", "token/s/accelerator", 4.45 * 1504),
        ("S003-06", "ascend-910c.peak", "TFLOPS", 5655 / 4.45),
        # no less compute a watt than the rack of 145 kW
        ("X-WATT", "cloudmatrix-384.power", "kW", 288.768e15 / (180e15 / 145000) / 1e3),
    ],
)
def test_value_that_makes_a_claim_true(claim: str, row: str, unit: str, wanted: float) -> None:
    found = solve(claim, row, SPECS, WITH_OWN)
    assert found.value.to(unit).m == pytest.approx(wanted, rel=1e-9)
    assert found.central.to(unit).m == pytest.approx(SPECS.options(found.key)[0], rel=1e-12)
    # and there the claim does say what is derived
    ledger = {one.id: one for one in WITH_OWN}
    stated = ledger[claim]
    reading = nearest_attempt(stated, SPECS, ledger).reading
    value = reading.figure(SPECS.replace({found.key: found.value}))
    assert value.to(units.parse_unit(stated.unit or "count")).m == pytest.approx(
        stated.printed.value, rel=1e-9
    )


def test_more_than_double_needs_937_5_tflops() -> None:
    found = solve("S000-02", "ascend-910c.peak", SPECS)
    assert found.value.to("TFLOPS").m == pytest.approx(937.5, rel=1e-9)
    assert (found.low.m, found.central.m, found.high.m) == (752, 752, 800)
    assert str(found) == (
        f"{PEAK} would have to be 937.5 TFLOPS, 1.25 times the central 752 TFLOPS; sources state "
        "752 TFLOPS to 800 TFLOPS, so none reaches it"
    )


def test_row_may_be_named_in_full() -> None:
    assert solve("S000-02", PEAK, SPECS, CLAIMS) == solve("S000-02", "ascend-910c.peak", SPECS, CLAIMS)


def test_value_within_the_sources_says_so() -> None:
    claim = changed("S000-02", relation="eq", value="1.65", comparator="gb200-nvl72")
    found = solve("X-1", "ascend-910c.peak", SPECS, [claim])
    assert found.value.to("TFLOPS").m == pytest.approx(1.65 * 72 * 2500 / 384)  # 773.4
    assert str(found).endswith("so it is within them")


def test_claim_that_no_value_of_a_row_makes_true() -> None:
    """The higher of two peaks never falls to 700 TFLOPS by one of them: each keeps the other up."""
    bf16, int8 = (f"ascend-910c.peak[precision={name};basis=headline]" for name in ("bf16", "int8"))
    found = solve("X-1", bf16, SPECS, [LIMIT])
    assert found.value is None
    assert str(found) == f"no value of {bf16} reaches it (sources state 752 TFLOPS to 800 TFLOPS)"
    found = solve("X-1", int8, SPECS, [LIMIT])
    assert found.value is None
    assert str(found) == f"no value of {int8} reaches it (sources state only 1,504 TFLOPS)"


def test_value_beyond_a_thousand_times_the_central_one_is_none() -> None:
    claim = changed("S000-11", value="3,600", comparator="gb200-nvl72")
    assert solve("X-1", "ascend-910c.hbm_capacity", SPECS, [claim]).value is None
    claim = changed("S000-11", value="3,500", comparator="gb200-nvl72")
    found = solve("X-1", "ascend-910c.hbm_capacity", SPECS, [claim])
    assert found.value.to("TB").m == pytest.approx(3500 * 72 * 192 / 384 / 1e3)


def test_prediction_can_be_solved_for_a_constant_of_the_model() -> None:
    found = solve("X-PREFILL", "ascend-910c.iteration_overhead", SPECS, [PREFILL])
    assert found.value > found.central  # the model is 4 % too fast
    reading = nearest_attempt(PREFILL, SPECS, {}).reading
    value = reading.figure(SPECS.replace({found.key: found.value}))
    assert value.m == pytest.approx(6688, rel=1e-9)


@pytest.mark.parametrize(
    ("claim", "row", "message"),
    [
        ("S000-2", "ascend-910c.peak", "unknown claim 'S000-2'; did you mean 'S000-2"),
        ("tiger", "ascend-910c.peak", "unknown claim 'tiger'; known: S000-01, S000-02"),
        ("S000-02", "ascend-910c.peek", "unknown row of this claim 'ascend-910c.peek'; "),
        ("S000-02", "ascend-910c.hbm_capacity", "unknown row of this claim "
                                                "'ascend-910c.hbm_capacity'; "),
        ("S000-02", "ascend-910c.peak[precision=bf16;basis=headlin]",
         f"unknown row of this claim 'ascend-910c.peak[precision=bf16;basis=headlin]'; did you "
         f"mean '{PEAK}'?"),
        ("S000-03", "ascend-910c.peak", "S000-03 is not derived: documents or the measures of a word "
                                        "decide it"),  # judged by hand
        ("S000-01", "ascend-910c.peak", "S000-01 is not derived: documents or the measures of a word "
                                        "decide it"),  # "better"
    ],
)  # fmt: skip
def test_what_cannot_be_solved_is_one_line(claim: str, row: str, message: str) -> None:
    assert refusal(claim, row).startswith(message)


def test_claim_of_which_no_source_states_the_figure_is_refused() -> None:
    claim = changed("S000-02", conditions="precision=fp4", comparator="gb200-nvl72")
    assert refusal("X-1", "ascend-910c.peak", [claim]) == (
        "X-1: ascend-910c has no peak for precision=fp4, basis headline; stated: precision=bf16 (headline), "
        "precision=bf16 (matrix), precision=int8 (headline)"
    )


def test_claim_that_only_a_simulated_run_states_is_refused() -> None:
    """lmsys2025largescale ran decode of the H100 with a part of the work simulated."""
    claim = changed("S003-07", subject="h100-sxm", conditions="measurement=SGL-H100-DECODE-SIMMTP")
    message = refusal("X-1", "h100-sxm.published_throughput", [claim])
    assert message == "X-1: no measured run was published"


def test_row_of_which_several_fit_is_refused_with_their_names() -> None:
    message = refusal("X-PREFILL", "ascend-910c.gemm_rate", [PREFILL])
    assert message.startswith("unknown row of this claim 'ascend-910c.gemm_rate'; ")
    assert "ascend-910c.gemm_rate[" in message


# --- bands ----------------------------------------------------------------------------------------

DISPUTED = ["S000-02", "S000-12", "S002-09", "S003-20", "S004-21"]


# Throughput compared in May 2025, before any run of the machine was published.
UNDECIDED = {"S000-22", "S000-25"}


def test_every_derivable_claim_that_repeats_none_has_a_line() -> None:
    found = bands(CLAIMS, SPECS, 100)
    asked = [claim.id for claim in CLAIMS if claim.derivable and not claim.same_as]
    assert found["id"].tolist() == [name for name in asked if name not in UNDECIDED]
    assert set(asked) >= UNDECIDED
    assert len(found) > 30
    assert found.columns.tolist() == ["id", "derived", "p5", "p95", "holds"]
    assert not found.isna().any(axis=None)


def test_claim_that_cannot_be_derived_has_no_line() -> None:
    missing = changed("S000-02", conditions="precision=fp4", comparator="gb200-nvl72")
    found = bands([missing, *some("S000-08", "S000-01")], SPECS, 10)  # the last is "better"
    assert found["id"].tolist() == ["S000-08"]


def test_ledger_of_which_nothing_can_be_derived_has_no_lines() -> None:
    assert bands(some("S000-03"), SPECS, 10).empty


def test_figure_of_nothing_has_a_band() -> None:
    # An Ascend 910C and a GB200 both have 400 Gbit/s to the outside.
    claim = changed("S002-09", subject="ascend-910c", quantity="scale_out_bandwidth", conditions="",
                    form="difference", relation="eq", value="100", unit="Gbit/s",
                    comparator="gb200")  # fmt: skip
    (line,) = bands([claim], SPECS, 10).itertuples()
    assert (line.derived, line.p5, line.p95, line.holds) == (0, 0, 0, 0)


@pytest.mark.parametrize("samples", [0, -1])
def test_no_samples_is_one_line(samples: int) -> None:
    with pytest.raises(InputError, match=rf"^samples: expected at least 1, got {samples}$"):
        bands(some("S000-02"), SPECS, samples)


def test_band_of_an_undisputed_figure_has_no_width() -> None:
    found = bands(some("S000-08", "S000-16"), SPECS, 50)
    assert found["p5"].tolist() == found["p95"].tolist() == found["derived"].tolist()
    assert found["holds"].tolist() == [1, 1]


def test_bands_are_the_percentiles_of_the_draws() -> None:
    count, seed = 4000, 7
    table = SPECS.sample(count, seed)
    double = ratio("peak", "cloudmatrix-384", "gb200-nvl72", table, precision="bf16").m
    assert np.unique(double).size > 3
    found = bands(some("S000-11", *DISPUTED), SPECS, count, seed).set_index("id").loc["S000-02"]
    assert found["derived"] == pytest.approx(1.604267, rel=1e-6)
    assert [found["p5"], found["p95"]] == pytest.approx(np.percentile(double, [5, 95]))
    assert found["holds"] == np.mean(double > 2) == 0
    market = table.get("ai-market", "market_forecast", year="2030").to("TUSD").m
    found = bands(some("S003-20"), SPECS, count, seed).set_index("id").loc["S003-20"]
    assert found["holds"] == np.mean(market >= 1)
    assert found["holds"] == pytest.approx(1 / 3, abs=0.03)  # one of three forecasts


def test_bands_are_the_same_for_a_seed_and_others_for_another() -> None:
    one, again, other = (bands(some(*DISPUTED, "S000-11"), SPECS, 501, seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert not one.equals(other)


def test_claims_of_a_ledger_do_not_change_each_others_bands() -> None:
    together = bands(some(*DISPUTED, "S000-11"), SPECS, 300).set_index("id")
    for name in DISPUTED:
        alone = bands(some(name, "S000-11"), SPECS, 300).set_index("id")
        pd.testing.assert_series_equal(alone.loc[name], together.loc[name])


@pytest.mark.parametrize("samples", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 7])
def test_boundary_of_a_block_does_not_matter(samples: int) -> None:
    """In blocks as in one go: no sample is lost, doubled or drawn anew at 10,000."""
    assert BLOCK == 10_000
    found = bands(some("S000-02", "S000-11"), SPECS, samples, 5).set_index("id").loc["S000-02"]
    table = SPECS.sample(samples, 5)
    values = ratio("peak", "cloudmatrix-384", "gb200-nvl72", table, precision="bf16").m
    assert values.shape == (samples,)
    assert [found["p5"], found["p95"]] == pytest.approx(np.percentile(values, [5, 95]), rel=1e-12)
    claim = changed("S000-02", relation="gt", value="1.7", comparator="gb200-nvl72")
    assert bands([claim], SPECS, samples, 5)["holds"].tolist() == [np.mean(values > 1.7)]


def test_samples_of_the_ledger_stay_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the results, no more for three strides than for one; all draws would be 0.12 GB."""
    monkeypatch.setattr("cm384.ledger.robustness.STRIDE", BLOCK)
    tracemalloc.start()
    found = bands(CLAIMS, SPECS, 3 * BLOCK)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - 8 * 3 * BLOCK * len(found) < 3e7
    assert not found.isna().any(axis=None)


def test_a_sampled_table_and_the_plain_one_are_left_alone() -> None:
    before = dict(SPECS.drawn)
    bands(some("S000-08"), SPECS, 10)
    assert SPECS.drawn == before == {}
    assert SPECS.trace is None


# --- through the serving model --------------------------------------------------------------------


def test_claim_through_the_model_has_a_band() -> None:
    found = bands([PREFILL, DECODE, TPOT], SPECS, 200).set_index("id")
    assert (found["p5"] < found["p95"]).all()
    assert found.loc["X-PREFILL", "derived"] == pytest.approx(6907.42, rel=1e-6)
    reading = nearest_attempt(PREFILL, SPECS, {}).reading
    values = np.sort(reading.figure(SPECS.sample(200, SEED)).m)
    assert np.unique(values).size > 100
    assert values[8] < found.loc["X-PREFILL", "p5"] < values[11]  # the 10th and the 190th of 200
    assert values[188] < found.loc["X-PREFILL", "p95"] < values[191]


def test_claim_through_the_model_stands_where_its_error_reaches_it() -> None:
    """Prefill of others is well specified in fewer than five documents: only a factor of two is settled.

    Of 13,001 tokens the interval begins at 13,000.5, which half as many reach.
    """
    claims = [PREFILL, changed("S003-05", quantity="predicted_throughput", value="13,001")]
    found = bands(claims, SPECS, 200).set_index("id")["holds"]
    values = nearest_attempt(PREFILL, SPECS, {}).reading.figure(SPECS.sample(200, SEED)).m
    assert not np.any((values > 6687.5) & (values < 6688.5))  # to the token no draw meets it
    assert found["X-PREFILL"] == 1
    assert found["X-1"] == np.mean(values >= 13_000.5 / 2)
    assert 0 < found["X-1"] < 1
