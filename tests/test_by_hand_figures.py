"""Edges, defaults and choices of figures, runs and trainings that the pages never come by: by hand."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from strangers import refused

from cm384 import derive
from cm384.physics import at_work, check, hardware, served, terms, training
from cm384.physics.check import ModelError, validate
from cm384.table.records import Measurement
from cm384.table.specs import load_specs

SPECS = load_specs()
RUN = next(
    run for run in SPECS.measurements.values() if run.phase == "decode" and run.throughput and not run.loop
)


def run(**cells: str) -> Measurement:
    """A published run of 4,096 tokens at batch 64."""
    given = {"context": "4096", "batch": "64", "matrix_precision": "fp8", "draft_tokens": "0", "assumed": ""}
    return dataclasses.replace(RUN, **(given | cells))  # type: ignore[arg-type]


# --- the error of the model -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "documents", "coarse"),
    [(0.25, 5, False), (0.26, 5, True), (0.25, 4, True), (0.0, 5, False), (0.26, 4, True)],
)
def test_an_error_above_a_quarter_or_of_fewer_than_five_documents_is_coarse(
    size: float, documents: int, coarse: bool
) -> None:
    assert ModelError(size, documents).coarse is coarse


@pytest.mark.parametrize(
    ("size", "documents", "band"),
    [
        (1.5, 9, (40.0, 500.0)),  # a factor of 2.5
        (0.5, 9, (50.0, 400.0)),  # a factor of two at least
        (0.2, 9, (80.0, 240.0)),
    ],
)
def test_a_span_is_widened_by_the_error(size: float, documents: int, band: tuple[float, float]) -> None:
    assert ModelError(size, documents).band(100, 200) == pytest.approx(band)


def test_of_two_rows_alike_the_one_that_does_not_fit_says_so_beside_the_other() -> None:
    """A batch of ten million has a cache of more than any memory."""
    good, bad = validate([RUN, dataclasses.replace(RUN, batch="1e7")], SPECS).to_dict("records")
    assert good["reason"] == ""
    assert np.isfinite(good["predicted"])
    assert bad["reason"] != ""
    assert np.isnan(bad["predicted"])


def test_of_two_rows_alike_both_that_cannot_be_are_refused_one_by_one() -> None:
    """A request of less than no tokens is none."""
    rows = [dataclasses.replace(RUN, id=f"X-{i}", batch="-1") for i in range(2)]
    found = validate(rows, SPECS)
    assert (found["reason"] != "").all()
    assert found["predicted"].isna().all()


def test_lines_for_a_terminal_have_four_digits_or_whole_numbers() -> None:
    lines = pd.DataFrame({"id": "X-1", "measured": [12.3456, 12345.6, 999.96, np.nan], "predicted": 1.0,
                          "error": [0.1234, -0.0567, 0.0, np.nan]})  # fmt: skip
    told = check.shown(lines)
    assert told["measured"].tolist() == ["12.35", "12,346", "1,000", "–"]
    assert told["error"].tolist() == ["+12.3 %", "−5.7 %", "0.0 %", "–"]


# --- published runs side by side ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "alike"),
    [
        ({"context": "5119"}, True),  # within a quarter of 4,096, which is 5,120
        ({"context": "5121"}, False),
        ({"context": "3277"}, True),
        ({"context": "3276"}, False),
        ({"batch": "127"}, True),
        ({"batch": "129"}, False),
        ({"batch": "33"}, True),
        ({"batch": "31"}, False),
        ({"draft_tokens": "1"}, False),
        ({"draft_tokens": ""}, True),
        ({"draft_tokens": "1", "assumed": "draft_tokens"}, True),
        ({"matrix_precision": "int8"}, True),
        ({"matrix_precision": "bf16"}, False),
        ({"model": "other-r1"}, False),
    ],
)
def test_runs_are_alike_up_to_a_quarter_in_length_and_twice_in_batch(
    cells: dict[str, str], alike: bool
) -> None:
    assert bool(check._alike(run(), run(**cells))) is alike


def test_how_far_runs_are_apart_in_the_order_in_which_it_counts() -> None:
    """log(1.16) = 0.148, log(1.2) = 0.182: to a tenth; then microbatches, then the shorter name."""
    other = run(context=str(4096 * 1.16), batch=str(64 / 1.2), microbatches="9", id="X-12")
    assert check._distance(run(microbatches="1"), other) == (0.1, 0.2, True, 4)
    assert check._distance(other, other) == (0, 0, False, 4)
    assert check._apart("8", "2") == check._apart("2", "8") == pytest.approx(1.3862944)


def made(name: str, context: float, measured: float) -> Any:
    return SimpleNamespace(id=name, context=str(context), measured=measured)


def test_a_pair_leads_where_no_run_beside_either_of_it_is_faster() -> None:
    """B is faster than A beside C, and D slower than C beside B."""
    a, b, c, d = made("a", 1, 10), made("b", 1, 20), made("c", 1, 7), made("d", 1, 5)
    alike = [(a, c), (b, c), (b, d)]
    assert [at_work._leads(pair, alike) for pair in alike] == [False, True, False]
    assert at_work._leads((a, d), [(a, d), (b, c)])
    assert at_work._leads((a, c), [(a, c), (made("e", 1, 10), c)])


def test_a_pair_is_as_far_apart_as_its_longer_run_is_longer() -> None:
    assert at_work._stretch((made("a", 1000, 1), made("b", 2500, 1))) == 2.5
    assert at_work._stretch((made("a", 2500, 1), made("b", 1000, 1))) == 2.5


@pytest.mark.parametrize(
    ("ours", "theirs", "lengths"),
    [
        ((1000,), (1250, 2000), [(1000, 1250)]),  # a quarter longer
        ((1000,), (1300, 2000), [(1000, 1300), (1000, 2000)]),  # none within a quarter: up to 2.1 times
        ((1000,), (2100,), [(1000, 2100)]),
        ((1000,), (2200,), []),
    ],
)
def test_fastest_runs_are_of_lengths_within_a_quarter_or_else_about_twice(
    ours: tuple[int, ...], theirs: tuple[int, ...], lengths: list[tuple[int, int]]
) -> None:
    chips = "h100-sxm", "ascend-910c"
    rows = [
        run(
            id=f"{chip}-{context}",
            accelerator=chip,
            context=str(context),
            throughput="1000",
            tpot="",
            date="2025-03-01",
            routing="uniform",
            kind="measured",
        )
        for chip, contexts in zip(chips, (ours, theirs), strict=True)
        for context in contexts
    ]
    table = dataclasses.replace(SPECS, measurements={row.id: row for row in rows})
    asked = (table, "hgx-h100", "cloudmatrix-384", "decode", 8.0)
    if lengths:
        found = [(int(one.context), int(other.context)) for one, other in at_work.fastest(*asked)]
        assert found == lengths
        assert len(at_work.fastest(*asked, "2025-03-01")) == len(lengths)  # on the day itself
    else:
        assert refused(at_work.fastest, *asked).startswith("no published runs of h100-sxm and ascend-910c")
    assert refused(at_work.fastest, *asked, "2025-02-28").startswith("no published runs")


@pytest.mark.parametrize(
    ("low", "high", "kind", "read"),
    [
        (0.951, 1.049, "measured", "level"),
        (0.951, 1.052, "measured", "not separable"),
        (0.948, 1.049, "measured", "not separable"),
        (1.0, 1.0, "specified", "level"),
        (1.0, 1 + 1.05e-9, "specified", "not separable"),
        (1.2, 1.5, "modelled", "leads"),
        (0.5, 0.9, "modelled", "trails"),
        (0.9, 1.5, "modelled", "not separable"),
        (1.0, 1.5, "modelled", "not separable"),
        (0.5, 1.0, "modelled", "not separable"),
    ],
)
def test_who_leads_by_both_ends_of_a_ratio(low: float, high: float, kind: str, read: str) -> None:
    assert at_work._reads(low, high, at_work.Line("at work", kind, lambda *_: [])) == read


def test_a_figure_of_a_system_is_divided_by_one_system() -> None:
    assert at_work.PER["system"](SPECS, "cloudmatrix-384").m == 1


# --- what is served -------------------------------------------------------------------------------


def test_a_condition_is_given_where_any_number_of_it_is() -> None:
    """0 stands for none; an array of which some are 0 is given."""
    assert list(served._given(batch=np.array([0.0, 2.0]), expert_parallel=0.0, tensor_parallel=4.0)) == [
        "batch", "tensor_parallel"]  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "subject", "given", "default"),
    [
        ("bytes_per_output_token", "h100-sxm", {"context": 4096}, {"batch": 1, "expert_parallel": 0}),
        ("electricity_cost", "gb200-nvl72", {"workload": "decode", "price": 0.1}, {"utilisation": 1}),
        ("capital_cost", "gb200-nvl72", {"workload": "decode"}, {"utilisation": 1}),
        ("token_cost", "gb200-nvl72", {"workload": "decode", "price": 0.1}, {"utilisation": 1}),
        ("rental_cost", "h100-sxm", {"workload": "decode", "usd_per_hour": 2},
         {"utilisation": 1, "expert_parallel": 0, "tensor_parallel": 0, "batch": 0}),
        ("served_throughput", "h100-sxm", {"workload": "decode"},
         {"expert_parallel": 0, "tensor_parallel": 0, "batch": 0}),
        ("training_time", "gb200-nvl72", {"run": "MBRIDGE-2511-GB200-BF16", "tokens": 1e12}, {"systems": 1}),
    ],
)  # fmt: skip
def test_what_is_not_given_is_one_or_none(
    quantity: str, subject: str, given: dict[str, Any], default: dict[str, Any]
) -> None:
    figure = getattr(training if "training" in quantity else served, quantity)
    bare, told = figure(SPECS, subject, **given), figure(SPECS, subject, **given, **default)
    assert bare.m == told.m


def test_exchanges_over_the_scale_out_network_take_its_bandwidth_in_decode_alone() -> None:
    """400 Gb/s of a 910C are 25 GB/s for each of its two dies, where its own fabric gives them 135."""
    slow = served.over_scale_out(SPECS, "ascend-910c")
    assert slow.drawn == {
        ("ascend-910c", "exchange_bandwidth", f"op={op};phase=decode;ranks=8", "measured"): 25.0
        for op in ("dispatch", "combine")
    }


# --- training -------------------------------------------------------------------------------------


def test_shares_above_one_are_refused_in_arrays_too() -> None:
    some = {"sequence": 4096, "recomputed": np.array([0.5, 1.5])}
    told = refused(training.training_hardware_flop_per_token, SPECS, "deepseek-v3", **some)
    assert told == "recomputed: expected a share above 0 and at most 1"
    assert training.training_hardware_flop_per_token(SPECS, "deepseek-v3", **some | {"recomputed": 1.0})
    asked = {"model": "deepseek-v3", "sequence": 4096, "precision": "bf16", "mfu": np.array([0.3, 1.5])}
    told = refused(training.training_throughput_by_mfu, SPECS, "h100-sxm", **asked)
    assert told == "mfu: expected a share above 0 and at most 1, such as 0.35, got 1.5"


def test_a_forecast_at_an_mfu_is_of_sequences_of_4096_tokens_in_bf16() -> None:
    bare, told = (training.forecast(SPECS, "deepseek-v3", "gb200-nvl72", mfu=0.25, tokens=1e12, **given)
                  for given in ({}, {"sequence": 4096, "precision": "bf16"}))  # fmt: skip
    assert bare.to_dict("records") == told.to_dict("records")
    assert bare["mfu"].tolist() == [25]


# --- peaks ----------------------------------------------------------------------------------------


def test_a_chip_without_a_peak_has_none_of_any_bits() -> None:
    assert refused(hardware.stated_peaks, SPECS, "h100-sxm", "assumed") == "h100-sxm has no peak"


def test_peaks_of_several_bits_are_each_the_highest_of_as_many() -> None:
    """An H100 computes 989.5 TFLOPS in 16 bits and twice that in eight; in four no more than in eight."""
    one = [derive("peak_by_bits", "h100-sxm", SPECS, bits=bits).m for bits in (4.0, 8.0, 16.0)]
    found = hardware.peak_by_bits(SPECS, "h100-sxm", bits=np.array([4.0, 8.0, 16.0]))
    assert found.m.tolist() == one
    assert one[0] == one[1] == pytest.approx(2 * one[2], rel=1e-3)
    told = refused(hardware.peak_by_bits, SPECS, "h100-sxm", bits=np.array([8.0, 64.0]))
    assert told == "h100-sxm has no peak of 64 bits or more"


# --- terms ----------------------------------------------------------------------------------------


def test_a_draft_repeats_a_layer_and_the_head() -> None:
    """A step of 58 s with layers of 1 s and a head of 3 s, and two drafts; no term takes no time."""
    result = cast(
        "Any", SimpleNamespace(breakdown={"core": 58.0, "lm_head": 3.0}, layer={"core": 1.0, "only": 2.0})
    )
    found = [terms.operator_time(result, term, 2.0) for term in ("core", "lm_head", "only", "none")]
    assert found == [60.0, 9.0, 4.0, 0.0]


def test_traces_in_words_by_hand() -> None:
    """Off by 10 % and −30 %: half within 20 %; 110 + 70 of 200 are 10 % too few."""
    lines = pd.DataFrame({"error": [0.1, -0.3], "predicted": [110.0, 70.0], "measured": [100.0, 100.0]})
    told = terms.traces_in_words(lines)
    assert told == "2 times by term, in µs of a layer: half within 20.0 %, their sum −10.0 % off"
