"""The serving model against measurements and kernels: accuracy as it stands, and bad files."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cm384 import load_specs
from cm384.physics.check import (
    ModelError,
    _alike,
    by_document,
    in_words,
    model_error,
    predict,
    shown,
    summary,
    validate,
)
from cm384.physics.terms import check_terms
from cm384.table.errors import DATA, InputError
from cm384.table.reading import load_kernels, measurements_checks, training_checks
from cm384.table.specs import load_measurements, load_third_party

SPECS = load_specs()
MEASUREMENTS = load_measurements(specs=SPECS)
KERNELS = load_kernels()


@cache
def predictions() -> pd.DataFrame:
    """Every measurement with what is predicted for it."""
    return validate(MEASUREMENTS, SPECS)


@cache
def errors() -> dict[str, float]:
    """The error of each measurement, by id."""
    return dict(zip(predictions()["id"], predictions()["error"], strict=True))


@cache
def well() -> pd.DataFrame:
    """Those whose source states every setting."""
    return predictions()[predictions()["assumed"] == ""]


@cache
def terms() -> pd.DataFrame:
    """Every kernel benchmark with the term that is about it."""
    return check_terms(KERNELS, SPECS)


@cache
def term() -> dict[str, float]:
    """What is predicted for each kernel benchmark, by id."""
    return dict(zip(terms()["id"], terms()["predicted"], strict=True))


# --- nothing is fitted to what is predicted ------------------------------------------------------


def test_no_constant_is_read_from_a_measured_throughput() -> None:
    """No row that a prediction reads comes from the place in a source of a validated row."""
    validated = {(row.source, row.locator) for row in MEASUREMENTS}
    traced, trace = SPECS.traced()
    validate(MEASUREMENTS, traced)
    constants = {(row.source, row.locator) for key in trace.keys for row in SPECS.rows[key]}
    assert len(validated) > 40
    assert len(constants) > 100
    assert not validated & constants


def test_every_measured_row_is_predicted() -> None:
    assert len(predictions()) == 87
    assert not predictions()["reason"].any()
    assert predictions()["predicted"].notna().all()


# --- where the model stands; a figure is changed here only with the reason in hand ---------------


def test_headline_cases() -> None:
    """An earlier aim of 12 % is kept by all but one: without 2 ms between steps H800 decode is too fast."""
    stands = {
        "DSK-H800-PREFILL-PROFILE": +0.049,
        "DSK-H800-DECODE-PROFILE": +0.051,
        "SGL-H100-PREFILL-4K-PERFECT": +0.110,
        "SGL-H100-DECODE-SIMMTP": -0.018,
        "CM384-PREFILL-PERFECT": +0.033,
        "CM384-DECODE-4K-50MS": +0.042,
    }
    for name, error in stands.items():
        assert errors()[name] == pytest.approx(error, abs=0.006), name
        assert abs(errors()[name]) <= 0.12


def test_median_error_misses_an_earlier_aim_where_everything_is_stated() -> None:
    """Aims of the first version: 8 % where everything is stated, which is missed, and 12 % over all rows."""
    assert well()["error"].abs().median() == pytest.approx(0.095, abs=0.003)
    assert predictions()["error"].abs().median() == pytest.approx(0.094, abs=0.004)


def test_nine_in_ten_miss_22_percent() -> None:
    """An earlier aim; the rows that are further off, by name."""
    far = well()[well()["error"].abs() > 0.22].set_index("id")["error"]
    assert far.round(2).to_dict() == {
        # without any overlap these three would be within 15 %: the stated one hides little
        "VLLM-H200-DECODE-EP32": 0.46,
        "VLLM-H200-DECODE-EP72": 0.43,
        "VLLM-H200-DECODE-EP96": 0.48,
        # three months later the same set-up served 20 % more
        "SGL-GB200-DECODE-FP8": 0.26,
        # one user: half a millisecond between steps is assumed, where 2 ms would meet them
        "TRT-B200-DECODE-B1-MTP3": 0.23,
        "TRT-B200-DECODE-B1-MTP4": 0.28,
        "TRT-B200-DECODE-B1-MTP5": 0.27,
    }


def test_vllm_on_h200_overlaps_nothing() -> None:
    for row in MEASUREMENTS:
        if row.id.startswith("VLLM-H200-DECODE"):
            serial = predict(row, SPECS, microbatches=1).throughput.m
            assert serial / row.measured == pytest.approx(1.0, abs=0.15)


def test_summary_counts_a_row_that_cannot_be_computed_as_a_miss() -> None:
    lines = predictions().copy()
    lines.loc[: len(lines) // 2, "error"] = np.nan
    assert np.isinf(summary(lines)["median"].iloc[0])
    table = summary(predictions())
    assert list(table["rows"].unique()) == ["all", "well specified"]
    assert table["n"].iloc[0] == 87


def test_words_and_lines_for_the_terminal() -> None:
    assert in_words(predictions()).startswith("87 rows: half within 9.")
    assert "37 well specified: half within 9." in in_words(predictions())
    lines = shown(predictions())
    first = lines.set_index("id").loc["CM384-PREFILL-PERFECT"]
    assert first["measured"] == "6,688"
    assert first["error"] == "+3.3 %"
    broken = predictions().head(1).assign(predicted=np.nan, error=np.nan, reason="batch: not stated")
    assert shown(broken)["error"][0] == "–"
    assert "1 cannot be computed" in in_words(broken)


# --- the error by document -----------------------------------------------------------------------


def off(*names: str) -> float:
    """The median of log(predicted ÷ measured) over some runs."""
    return float(np.median([np.log1p(errors()[name]) for name in names]))


def wide() -> float:
    """The error of the widest expert parallelism."""
    return off("VLLM-H200-DECODE-EP32", "VLLM-H200-DECODE-EP72", "VLLM-H200-DECODE-EP96")


def test_each_document_counts_once() -> None:
    """Three runs of one and two of another: the median of each, halfway in logarithms between two."""
    names = ["VLLM-H200-DECODE-EP32", "VLLM-H200-DECODE-EP72", "VLLM-H200-DECODE-EP96",
             "SGL-GB200-DECODE-FP8-FP4", "SGL-GB200-DECODE-FP8-FP4-B768"]  # fmt: skip
    found = by_document((SPECS.measurements[name] for name in names), SPECS)
    assert list(found) == ["vllm2025wideep", "lmsys2025gb200part2"]
    assert found["vllm2025wideep"] == pytest.approx(
        np.log1p(errors()["VLLM-H200-DECODE-EP32"])
    )  # the middle one
    product = (1 + errors()[names[3]]) * (1 + errors()[names[4]])
    assert np.exp(found["lmsys2025gb200part2"]) == pytest.approx(np.sqrt(product))


def test_document_of_which_nothing_can_be_computed_has_no_error() -> None:
    lost = dataclasses.replace(SPECS.measurements["KIMI-H200-DECODE"], model="tiger", source="lost")
    assert np.isnan(by_document([lost], SPECS)["lost"])


def test_error_of_prefill_is_that_of_two_other_documents() -> None:
    """Measured, nothing assumed: one run of lmsys2025largescale, two of vllm2026gb300; not Huawei's own."""
    found = model_error(SPECS, "CM384-PREFILL-PERFECT")
    assert (found.documents, found.ratio, found.coarse) == (2, False, True)
    assert found.size == pytest.approx(np.expm1(off("VLLM-GB300-PREFILL-TP2", "VLLM-B300-PREFILL-TP2")))
    assert found.size == pytest.approx(0.149, abs=0.003)
    assert errors()["SGL-H100-PREFILL-4K-DEFAULT"] < found.size
    assert model_error(SPECS, "prefill") == found  # the workload says whose phase it has
    other = model_error(SPECS, "SGL-H100-PREFILL-4K-PERFECT")  # Huawei's measured run, not the projected one
    assert other.documents == 2
    assert other.size == pytest.approx(found.size)


@cache
def stacks() -> dict[str, float]:
    """What others measured of the reference model, by their software."""
    rows = [row for row in load_third_party() if not row.assumed and row.model == "deepseek-r1"]
    return by_document(rows, SPECS)


def test_each_software_of_a_third_party_counts_once() -> None:
    """Four versions of SGLang, of the rows whose source states every setting."""
    assert set(stacks()) == {f"nvidia2026aiconfigurator, SGLang{version}"
                           for version in ("", " 0.5.6", " 0.5.9", " 0.5.10.post1")}  # fmt: skip


def test_error_of_decode_is_the_second_worst_of_eleven_documents() -> None:
    """Of eleven documents nine in ten are ten."""
    found = model_error(SPECS, "CM384-DECODE-4K-50MS")
    assert (found.documents, found.coarse) == (11, True)
    worst = sorted([wide(), *stacks().values(), off("SGL-GB200-DECODE-FP8")])
    assert found.size == pytest.approx(np.expm1(worst[-2])) == pytest.approx(0.349, abs=0.005)
    without = model_error(SPECS, "VLLM-H200-DECODE-EP32")
    assert (without.documents, without.coarse) == (11, True)
    assert without.size == pytest.approx(np.expm1(worst[-3])) == pytest.approx(0.257, abs=0.006)


def test_ratio_has_one_pair_for_each_pair_of_documents() -> None:
    """Of 55 pairs nine in ten are 50."""
    found = model_error(SPECS, "CM384-DECODE-4K-50MS", ratio=True)
    assert (found.documents, found.ratio) == (11, True)
    assert found.size == pytest.approx(0.39, abs=0.01)
    both = model_error(SPECS, "CM384-PREFILL-PERFECT", "SGL-H100-PREFILL-4K-PERFECT", ratio=True)
    assert (both.documents, both.size) == (1, np.inf)  # without both their documents there is no pair
    assert both.band(1.0, 2.0) == (0, np.inf)  # and nothing is settled


@pytest.mark.parametrize(
    ("size", "documents", "coarse", "band"),
    [
        (0.25, 5, False, (75, 250)),
        (0.2501, 5, True, (50, 400)),
        (0.25, 4, True, (50, 400)),
        (1.5, 9, True, (40, 500)),  # more than a factor of two
    ],
)
def test_coarse_error_settles_nothing_below_a_factor_of_two(
    size: float, documents: int, coarse: bool, band: tuple[float, float]
) -> None:
    error = ModelError(size, documents)
    assert error.coarse is coarse
    assert error.band(100, 200) == pytest.approx(band)
    assert ("nothing smaller than a factor of two" in str(error)) is coarse
    assert f" {documents} documents" in str(error)


# --- terms ---------------------------------------------------------------------------------------


def test_deepgemm_tables() -> None:
    """28 points of March 2025: aim 6 %."""
    tables = [row for row in KERNELS if row.source == "deepseek2025deepgemm"]
    points = [row for row in tables if "version" not in row.conditions]
    errors = check_terms(points, SPECS)["error"].abs()
    assert len(errors) == 28
    assert errors.median() == pytest.approx(0.043, abs=0.002)


def test_gemm_table_of_the_910c() -> None:
    errors = terms()[terms()["kernel"] == "cann int8 gemm"]["error"].abs()
    assert len(errors) == 6
    assert errors.max() < 0.02


@pytest.mark.parametrize(
    ("kernel", "most"),
    [
        ("deepep normal", 0.03), ("deepep masked experts", 0.10),
        ("one-sided all-to-all low latency", 0.07), ("sglang mla decode", 0.06),
        ("sglang mla prefill", 0.03), ("trtllm mla prefill", 0.08),
        ("deepgemm grouped contiguous", 0.08), ("deepgemm dense (newer)", 0.14),
        ("flashattention-3 mla prefill", 0.01), ("cann ep", 0.01),
    ],
)  # fmt: skip
def test_kernels_are_met_in_the_median(kernel: str, most: float) -> None:
    errors = terms()[terms()["kernel"] == kernel]["error"].abs()
    assert len(errors) > 3
    assert errors.median() < most


def test_terms_of_cloudmatrix_prefill() -> None:
    """A serial layer takes 49 to 53 ms, and two half batches gain 23 to 31 %."""
    assert term()["CM384-PREFILL-SERIAL-LAYER-LOW"] == pytest.approx(50.6, abs=0.2)
    assert 23 <= term()["CM384-PREFILL-OVERLAP-LOW"] <= 31


def test_terms_of_cloudmatrix_decode() -> None:
    """Streams of about 600 us each, 1,260 and 874 us a layer: both come out 2 to 8 % short."""
    assert term()["CM384-STREAM-ATTENTION"] == pytest.approx(589, abs=5)
    assert term()["CM384-STREAM-MOE"] == pytest.approx(553, abs=5)
    assert term()["CM384-LAYER-MTP"] == pytest.approx(1221, abs=8)
    assert term()["CM384-LAYER-NO-MTP"] == pytest.approx(834, abs=8)
    # Drafting gains 6 to 49 %, two half batches 5.8, 9.4 and 6.9 %.
    assert term()["CM384-MTP-GAIN-LOW"] == pytest.approx(9.0, abs=1)
    assert term()["CM384-MTP-GAIN-HIGH"] == pytest.approx(51.2, abs=1)
    for batch, gain in ((64, 4.2), (96, 6.5), (128, 8.1)):
        assert term()[f"CM384-DECODE-OVERLAP-{batch}"] == pytest.approx(gain, abs=0.5)


def test_terms_of_sglang() -> None:
    """Two batches gain 27 to 35 % in prefill; in decode 25.5 % at 256 requests, -27 % at 32."""
    assert term()["SGL-H100-PREFILL-OVERLAP-LOW"] == pytest.approx(34, abs=2)
    assert term()["SGL-H100-DECODE-OVERLAP-256"] == pytest.approx(44, abs=2)  # too much
    assert term()["SGL-H100-DECODE-OVERLAP-32"] == pytest.approx(-12, abs=2)  # the sign is right


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.read_csv(DATA / "measurements.csv", dtype=str, keep_default_na=False)


def saved(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "mine.csv"
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("column", "cell", "line"),
    [
        ("accelerator", "h10-sxm", "column accelerator: 'h10-sxm' is not known; did you mean"),
        ("phase", "decoding", "column phase: 'decoding' is not known; known: decode, prefill"),
        ("batch", "many", "column batch: 'many'; expected more than 0, or nothing"),
        ("batch", "-1", "column batch: '-1'; expected more than 0, or nothing"),
        ("kv_precision", "fp9", "column kv_precision: 'fp9' is not known"),
        ("throughput", "", "column throughput: ''; expected a throughput, or in decode a tpot"),
        ("throughput", "0", "column throughput: '0'; expected more than 0, or nothing"),
        ("tpot", "0", "column tpot: '0'; expected more than 0, or nothing"),
        ("routing", "even", "column routing: 'even' is not known"),
        ("kind", "measurd", "column kind: 'measurd' is not known; did you mean 'measured'?"),
    ],
)
def test_bad_cell_is_one_line(table: pd.DataFrame, tmp_path: Path, column: str, cell: str, line: str) -> None:
    table.loc[3, column] = cell
    if column == "throughput":
        table.loc[3, "tpot"] = ""
    with pytest.raises(InputError) as error:
        load_measurements(saved(table, tmp_path), SPECS)
    assert str(error.value).startswith(f"mine.csv line 5, {line}")
    assert "\n" not in str(error.value)


def test_a_strangers_file_needs_no_source(table: pd.DataFrame, tmp_path: Path) -> None:
    table["source"] = table["locator"] = ""
    assert len(load_measurements(saved(table, tmp_path), SPECS)) == 87


def test_a_strangers_file_need_not_say_how_a_figure_came_about(table: pd.DataFrame, tmp_path: Path) -> None:
    """What is not said is measured."""
    found = load_measurements(saved(table.drop(columns="kind"), tmp_path), SPECS)
    assert {row.basis for run in found for row in run.rows} == {"measured"}
    kept = load_measurements(saved(table, tmp_path), SPECS)
    bases = {"measured", "derived", "simulated", "projected"}
    assert {row.basis for run in kept for row in run.rows} == bases


def test_missing_column_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine.csv line 1: missing column 'batch'"):
        load_measurements(saved(table.drop(columns="batch"), tmp_path), SPECS)


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("batch", "", "batch: not stated"),
        ("routing", "", "routing: not stated"),
        ("expert_parallel", "31", "expert_parallel: 32 ranks do not divide into groups of 31"),
        ("model", "deepsek-r1", "unknown model 'deepsek-r1'; did you mean 'deepseek-r1'?"),
        ("matrix_precision", "int8", "matrix_precision: h800-sxm has no kernels in int8"),
        ("accelerator", "nvswitch-5", "accelerator: to estimate the kernels of nvswitch-5, add 'nvswitch-5,"),
        ("batch", "10000000", "batch: weights and KV cache take "),
    ],
)
def test_row_that_cannot_be_computed_stays_with_its_reason(
    table: pd.DataFrame, tmp_path: Path, column: str, cell: str, reason: str
) -> None:
    table.loc[0, column] = cell
    lines = validate(load_measurements(saved(table, tmp_path), SPECS), SPECS)
    assert len(lines) == 87
    assert lines["reason"][0].startswith(reason)
    assert np.isnan(lines["predicted"][0])
    assert not lines["reason"][1:].any()


def test_time_per_token_stands_in_for_a_throughput(table: pd.DataFrame, tmp_path: Path) -> None:
    row = table.index[table["id"] == "CM384-DECODE-4K-50MS"]
    table.loc[row, "throughput"] = ""
    rows = {m.id: m for m in load_measurements(saved(table, tmp_path), SPECS)}
    assert rows["CM384-DECODE-4K-50MS"].measured == pytest.approx(96 / 0.0494)


# --- limits of what may be set side by side, and of cells ------------------------------------------


@pytest.mark.parametrize(
    ("changes", "alike"),
    [
        ({}, True),
        ({"context": "5000"}, True),  # a quarter longer
        ({"context": "3200"}, True),
        ({"context": "5010"}, False),
        ({"batch": "64"}, True),  # half, twice
        ({"batch": "256"}, True),
        ({"batch": "257"}, False),
        ({"routing": "balanced"}, False),
        ({"phase": "prefill"}, False),
        ({"model": "llama-3.1-70b"}, False),
        ({"model": "deepseek-v3"}, True),  # of one family
        ({"matrix_precision": "int8"}, True),  # eight bits both
        ({"matrix_precision": "bf16"}, False),
        ({"matrix_precision": "w4a8"}, False),
        ({"draft_tokens": "2"}, True),  # drafts on both sides
        ({"draft_tokens": "0"}, False),
        ({"draft_tokens": "0", "assumed": "draft_tokens"}, True),  # or unknown
    ],
)
def test_runs_that_can_be_set_side_by_side(changes: dict[str, str], alike: bool) -> None:
    known = {"phase": "decode", "model": "deepseek-r1", "routing": "eplb", "matrix_precision": "fp8",
             "draft_tokens": "1", "context": "4000", "batch": "128", "assumed": ""}  # fmt: skip
    ours = dataclasses.replace(MEASUREMENTS[0], **known)
    assert bool(_alike(ours, dataclasses.replace(ours, **changes))) == alike
    assert not _alike(dataclasses.replace(ours, matrix_precision="w4a16"), ours)


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("accelerators", ["", "0.5", "2048"], ["0", "-1", "many"]),
        ("recomputed", ["", "0", "0.5", "1"], ["1.01", "-0.5", "half"]),
        ("mfu", ["", "0.5", "100"], ["0", "100.5", "half"]),
    ],
)
def test_cells_of_training_runs(column: str, good: list[str], bad: list[str]) -> None:
    check = training_checks(["h100-sxm"], ["deepseek-v3"])[column]
    assert all(map(check.holds, good))
    assert not any(map(check.holds, bad))


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        ("tpot", ["", "0.5", "50"], ["0", "-1", "fast"]),
        ("batch", ["", "0.5", "128"], ["0", "-1", "many"]),
        ("prefill_workers", ["", "2"], ["0"]),
        ("output", ["", "0", "512"], ["-1", "long"]),
        ("draft_tokens", ["", "0", "3"], ["-1", "some"]),
    ],
)
def test_cells_of_measurements(column: str, good: list[str], bad: list[str]) -> None:
    check = measurements_checks(["h100-sxm"], None)[column]
    assert all(map(check.holds, good))
    assert not any(map(check.holds, bad))
