"""Every headline figure redone by hand, as literals with their sources."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import strangers

from cm384 import Deployment, decode, derive, explain, load_model, load_specs, prefill, ratio, span
from cm384.derive.derivation import ADDITIVE, compares, derivations
from cm384.physics.hardware import per_package
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.records import Row
from cm384.table.specs import Specs
from cm384.table.words import title, words

SPECS = load_specs()


def with_rows(*facts: str) -> Specs:
    """The table with rows of a stranger: subject, quantity, conditions or -, value, unit, basis."""
    added = {}
    for fact in facts:
        subject, quantity, conditions, amount, unit, basis = fact.split()
        row = Row(subject, quantity, conditions.strip("-"), float(amount), unit, basis, "central", "",
                  "a page", "line 1", "")  # fmt: skip
        added[row.key] = (row,)
    return dataclasses.replace(SPECS, rows={**SPECS.rows, **added})


# A GB200 NVL72 has 36 Grace CPUs of 480 GB (17 TB as NVIDIA prints it).
HOSTS = with_rows(
    "gb200-nvl72 count part=grace 36 count nominal", "grace host_memory - 480 GB nominal"
)  # fmt: skip


def value(quantity: str, subject: str, unit: str, **conditions: str) -> float:
    return float(derive(quantity, subject, SPECS, **conditions).to(unit).m)


def against_nvl72(quantity: str, **conditions: str) -> float:
    return float(ratio(quantity, "cloudmatrix-384", "gb200-nvl72", SPECS, **conditions).m)


def refusal(quantity: str, subject: str, **conditions: str) -> str:
    return strangers.refused(derive, quantity, subject, SPECS, **conditions)


# --- peaks: units × FLOP per clock × clock --------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "precision", "tflops", "printed"),
    [
        # huawei2025cloudmatrix: 2 dies, 24 cube cores each; huawei2026cannruntime: 16x16x16
        # multiply-adds a clock, 1,800 MHz
        ("ascend-910c", "bf16", 2 * 24 * 8192 * 1.8e-3, 707.8),
        ("ascend-910c", "int8", 2 * 24 * 16384 * 1.8e-3, 1415.6),
        # huawei2026cannruntime: the bins of the 910B
        ("ascend-910b1", "bf16", 24 * 8192 * 1.85e-3, 363.7),
        ("ascend-910b2", "bf16", 24 * 8192 * 1.8e-3, 353.9),
        ("ascend-910b3", "bf16", 20 * 8192 * 1.8e-3, 294.9),
        ("ascend-910b4", "bf16", 20 * 8192 * 1.5e-3, 245.8),
        # huawei2023atlas200idka2: one core at 500 MHz, printed as 8 TOPS
        ("ascend-310b", "int8", 1 * 16384 * 0.5e-3, 8.2),
        # huawei2026ascend950, table 3-1: 32 cube cores on both dies, printed as 432
        ("ascend-950pr", "bf16", 32 * 8192 * 1.65e-3, 432.5),
        ("ascend-950dt-96gb", "bf16", 32 * 8192 * 1.65e-3, 432.5),  # huawei2026drivingsdk: 432
        # nvidia2020a100: 108 SMs, 4 tensor cores of 256 multiply-adds; nvidia2022hopper: 1,410 MHz
        ("a100-sxm", "bf16", 108 * 2048 * 1.41e-3, 311.9),
        # nvidia2022hopper, table 3: 132 SMs, 1,830 MHz; printed as 989.4 and 1,978.9
        ("h100-sxm", "bf16", 132 * 4096 * 1.83e-3, 989.4),
        ("h100-sxm", "fp8", 132 * 8192 * 1.83e-3, 1978.9),
        # zadouri2026fa4: 148 SMs at 1,850 MHz; printed as 2,250
        ("b200", "bf16", 148 * 8192 * 1.85e-3, 2243.0),
        # bekman2026mlengineering: 2,062 MHz; printed as 2,500 and 10,000
        ("gb200", "bf16", 148 * 8192 * 2.062e-3, 2500.0),
        ("gb200", "fp4", 148 * 32768 * 2.062e-3, 10000.0),
        # amd2025mi300arch: 304 compute units of 2,048; printed as 1,307.4
        ("mi300x", "bf16", 304 * 2048 * 2.1e-3, 1307.4),
        # amd2026gpuspecs: 256 compute units; printed as 2,516.6
        ("mi355x", "bf16", 256 * 4096 * 2.4e-3, 2516.6),
    ],
)
def test_matrix_peak(chip: str, precision: str, tflops: float, printed: float) -> None:
    found = value("peak_from_units", chip, "TFLOPS", precision=precision)
    assert found == pytest.approx(tflops, rel=1e-12)
    assert round(found, 1) == printed


def test_printed_peak_of_the_910c_counts_the_vector_units() -> None:
    # huawei2025cloudmatrix: 48 vector cores a die; huawei2026cannruntime: 128 lanes, multiply-add
    found = value("peak_from_units", "ascend-910c", "TFLOPS", precision="bf16", basis="headline")
    assert found == pytest.approx(2 * (24 * 8192 + 48 * 256) * 1.8e-3, rel=1e-12)
    assert round(found, 1) == 752.0
    assert found - 2 * 24 * 8192 * 1.8e-3 == pytest.approx(44.2368, rel=1e-9)
    assert value("peak", "ascend-910c", "TFLOPS", precision="bf16") == 752


def test_headline_of_a_chip_without_vector_cores_is_its_matrix_peak() -> None:
    conditions = {"precision": "bf16", "basis": "headline"}
    assert value("peak_from_units", "h100-sxm", "TFLOPS", **conditions) == pytest.approx(989.43, 1e-5)


def test_vector_rate_counts_only_at_the_precision_it_is_stated_for() -> None:
    # The vector cores have a row for bf16 and none for int8.
    conditions = {"precision": "int8", "basis": "headline"}
    assert value("peak_from_units", "ascend-910c", "TFLOPS", **conditions) == pytest.approx(1415.5776)


def test_units_per_package_are_stated_or_units_per_die_times_dies() -> None:
    assert per_package(SPECS, "ascend-910c", "matrix_units").m == 48
    assert per_package(SPECS, "b200", "matrix_units").m == 148  # of both dies, as printed
    assert per_package(SPECS, "ascend-910c", "scale_up_links").m == 14


# --- memory and links -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "gigabytes"),
    [
        ("ascend-910c", 8 * 16),  # huawei2025cloudmatrix, v2 section 3.3.1
        ("h100-sxm", 5 * 16),  # nvidia2022hopper, p. 18
        ("h200-sxm", 6 * 24),  # hwcooling2023h200; 141 are sold
        ("gb200", 8 * 24),  # techpowerup2024blackwell
        ("gb300", 8 * 36),  # nvidia2025blackwellultra
        ("mi300x", 8 * 24),  # bekman2026mlengineering
        ("ascend-950dt", 4 * 36),  # huawei2026ascend950
    ],
)
def test_capacity_from_stacks(chip: str, gigabytes: float) -> None:
    assert value("hbm_capacity_from_stacks", chip, "GB") == pytest.approx(gigabytes, rel=1e-12)


@pytest.mark.parametrize(
    ("chip", "gigabytes_per_second", "deviation"),
    [
        # bekman2026mlengineering: 1,024 bits; ascendskills2026npusmi: 2 x 1,600 MHz
        ("ascend-910c", 8 * 1024 * 3.2 / 8, "+2.4 %"),
        ("h100-sxm", 5 * 1024 * 5.238 / 8, "0.0 %"),  # nvidia2022hopper: 2 x 2,619 MHz
        ("a100-sxm", 5 * 1024 * 3.186 / 8, "0.0 %"),  # aws2026optimizegpu: 2 x 1,593 MHz
        ("b200", 8 * 1024 * 7.992 / 8, "+6.3 %"),  # aws2026optimizegpu: 2 x 3,996 MHz
        ("mi300x", 8 * 1024 * 5.2 / 8, "+0.5 %"),  # kuderski2025amdgpu: 4 x 1,300 MHz
        ("ascend-310b", 64 * 3.2 / 8, "0.0 %"),  # huawei2023atlas200idka2: 64 bits of LPDDR4X
    ],
)
def test_bandwidth_from_stacks(chip: str, gigabytes_per_second: float, deviation: str) -> None:
    derived = derive("hbm_bandwidth_from_stacks", chip, SPECS)
    assert float(derived.to("GB/s").m) == pytest.approx(gigabytes_per_second, rel=1e-12)
    assert units.deviation(derived, derive("hbm_bandwidth", chip, SPECS)) == deviation


def test_bandwidth_of_the_910c_is_3276_8_against_nominal_3_2() -> None:
    assert value("hbm_bandwidth_from_stacks", "ascend-910c", "GB/s") == pytest.approx(3276.8)
    assert value("hbm_bandwidth", "ascend-910c", "TB/s") == 3.2


@pytest.mark.parametrize(
    ("chip", "gigabytes_per_second"),
    [
        ("ascend-910c", 2 * 7 * 28),  # huawei2025cloudmatrix: 7 transceivers a die, 224 Gbit/s
        ("a100-sxm", 12 * 25),  # nvidia2022hopper, p. 47
        ("h100-sxm", 18 * 25),  # nvidia2022hopper, p. 47
        ("h800-sxm", 8 * 25),  # sglang_issue2889: 8 bonded links
        ("b200", 18 * 50),  # nvidia2025blackwell, p. 10
        ("gb200", 18 * 50),
        ("mi300x", 7 * 64),  # bekman2026mlengineering
        ("ascend-950dt", 18 * 56),  # huawei2026ascend950
    ],
)
def test_links(chip: str, gigabytes_per_second: float) -> None:
    found = value("scale_up_bandwidth_from_links", chip, "GB/s")
    assert found == pytest.approx(gigabytes_per_second, rel=1e-12)
    assert found == pytest.approx(value("scale_up_bandwidth", chip, "GB/s"), rel=1e-12)


# --- systems --------------------------------------------------------------------------------------


def test_cloudmatrix_has_48_nodes_of_8() -> None:
    assert value("accelerators_from_nodes", "cloudmatrix-384", "count") == 48 * 8 == 384


@pytest.mark.parametrize(
    ("quantity", "conditions", "total", "unit"),
    [
        ("hbm_capacity", {}, 384 * 128e-3, "TB"),  # huawei2025cloudmatrix; 49.152
        ("hbm_bandwidth", {}, 384 * 3.2, "TB/s"),  # 1,228.8
        ("peak", {"precision": "bf16"}, 384 * 752e-3, "PFLOPS"),  # ascendmsmodeling; 288.768
        ("peak", {"precision": "bf16", "basis": "matrix"}, 384 * 707.8e-3, "PFLOPS"),  # 271.7952
        ("peak", {"precision": "int8"}, 384 * 1504e-3, "PFLOPS"),
        ("peak_from_units", {"precision": "bf16"}, 384 * 707.7888e-3, "PFLOPS"),
        ("hbm_capacity_from_stacks", {}, 384 * 8 * 16e-3, "TB"),
        ("hbm_bandwidth_from_stacks", {}, 384 * 3.2768, "TB/s"),
        ("scale_up_bandwidth", {}, 384 * 392e-3, "TB/s"),
        ("scale_up_bandwidth_from_links", {}, 384 * 14 * 28e-3, "TB/s"),
        ("scale_out_bandwidth", {}, 384 * 0.4, "Tbit/s"),
    ],
)
def test_cloudmatrix_total(quantity: str, conditions: dict[str, str], total: float, unit: str) -> None:
    found = value(quantity, "cloudmatrix-384", unit, **conditions)
    assert found == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "conditions", "printed"),
    [
        ("hbm_capacity", {}, "49.15 TB"),
        ("hbm_bandwidth", {}, "1,229 TB/s"),
        ("peak", {"precision": "bf16"}, "288.8 PFLOPS"),
        ("peak", {"precision": "bf16", "basis": "matrix"}, "271.8 PFLOPS"),
    ],
)
def test_cloudmatrix_total_as_printed(quantity: str, conditions: dict[str, str], printed: str) -> None:
    assert units.text(derive(quantity, "cloudmatrix-384", SPECS, **conditions)) == printed


@pytest.mark.parametrize(
    ("quantity", "conditions", "total", "unit"),
    [
        ("hbm_capacity", {}, 72 * 192e-3, "TB"),  # nvidia2026nim; 13.824
        ("hbm_capacity", {"basis": "usable"}, 72 * 186e-3, "TB"),  # nvidia2026gb200
        ("hbm_bandwidth", {}, 72 * 8, "TB/s"),  # nvidia2025blackwell; 576
        ("peak", {"precision": "bf16"}, 72 * 2.5, "PFLOPS"),  # nvidia2025blackwell; 180
        ("scale_up_bandwidth", {}, 72 * 0.9, "TB/s"),  # nvidia2025blackwell; half of 129.6
        ("scale_out_bandwidth", {}, 72 * 0.4, "Tbit/s"),  # nvidia2025dgxgb
    ],
)
def test_gb200_nvl72_total(quantity: str, conditions: dict[str, str], total: float, unit: str) -> None:
    assert value(quantity, "gb200-nvl72", unit, **conditions) == pytest.approx(total, rel=1e-12)


def test_ratios_to_gb200_nvl72() -> None:
    assert against_nvl72("hbm_capacity") == pytest.approx(49.152 / 13.824, rel=1e-12)
    assert against_nvl72("hbm_bandwidth") == pytest.approx(1228.8 / 576, rel=1e-12)
    assert against_nvl72("peak", precision="bf16") == pytest.approx(288.768 / 180, rel=1e-12)
    matrix = against_nvl72("peak", precision="bf16", basis="matrix")
    assert matrix == pytest.approx(271.7952 / 180, rel=1e-12)


def test_ratios_to_gb200_nvl72_as_the_articles_round_them() -> None:
    assert round(against_nvl72("hbm_capacity"), 3) == 3.556
    assert round(against_nvl72("hbm_bandwidth"), 3) == 2.133
    assert round(against_nvl72("peak", precision="bf16"), 3) == 1.604
    assert round(against_nvl72("peak", precision="bf16", basis="matrix"), 2) == 1.51
    assert round(against_nvl72("peak_from_units", precision="bf16"), 2) == 1.51


@pytest.mark.parametrize(
    ("quantity", "conditions", "high"),
    [
        # the highest sourced 910C over the lowest sourced GB200
        ("peak", {"precision": "bf16"}, 384 * 800 / (72 * 2250)),
        ("peak", {"precision": "bf16", "basis": "matrix"}, 384 * 707.8 / (72 * 2250)),
        # the faster bin of the 910C, 148 SMs
        ("peak_from_units", {"precision": "bf16"}, 384 * 48 * 1.85 / (72 * 148 * 2.062)),
    ],
)
def test_no_sourced_combination_doubles_gb200_nvl72(
    quantity: str, conditions: dict[str, str], high: float
) -> None:
    found = span(lambda s: ratio(quantity, "cloudmatrix-384", "gb200-nvl72", s, **conditions), SPECS)
    assert float(found.high.m) == pytest.approx(high, rel=1e-9)
    assert float(found.high.m) < 2


def test_ratio_takes_conditions_of_the_comparator_alone() -> None:
    found = ratio("peak", "cloudmatrix-384", "gb200-nvl72", SPECS, {"precision": "fp4"}, precision="int8")
    assert float(found.m) == pytest.approx(384 * 1504 / (72 * 10_000), rel=1e-12)


def test_a_systems_own_printed_headline_does_not_enter_its_total() -> None:
    # huawei2026atlas900: 288.7 PFLOPS, cut after a digit
    assert SPECS.get("cloudmatrix-384", "peak", precision="bf16").to("PFLOPS").m == 288.7
    rows = explain("peak", "cloudmatrix-384", SPECS, precision="bf16").rows
    assert [row.subject for row in rows] == ["cloudmatrix-384", "ascend-910c"]


def test_total_that_a_maker_prints_is_taken_where_it_is_asked_for() -> None:
    """xu2025connect: 8 EFLOPS, of 8,192 packages of 1,034 TFLOPS (huawei2026ascend950); nvidia2022hopper:
    16 PFLOPS, of 8 x 1,978.9 TFLOPS."""
    printed = dataclasses.replace(SPECS, totals=SPECS.printed_totals)
    for system, parts, whole in (("atlas-950", 8192 * 1.034, 8000.0), ("hgx-h100", 8 * 1.9789, 16.0)):
        sums, stated = (derive("peak", system, table, precision="fp8") for table in (SPECS, printed))
        assert float(sums.to("PFLOPS").m) == pytest.approx(parts, rel=1e-12)
        assert float(stated.to("PFLOPS").m) == whole
        (row,) = explain("peak", system, printed, precision="fp8").rows
        assert (row.subject, row.quantity) == (system, "peak")
    # 1,229 TB/s are SemiAnalysis's word: not the maker's.
    summed = derive("hbm_bandwidth", "cloudmatrix-384", printed)
    assert float(summed.to("TB/s").m) == pytest.approx(384 * 3.2)
    # 288.7 PFLOPS are Huawei's (huawei2026atlas900), of 384 packages of 752.
    summed = derive("peak", "cloudmatrix-384", printed, precision="bf16")
    assert float(summed.to("PFLOPS").m) == pytest.approx(384 * 0.752, rel=3e-4)


@pytest.mark.parametrize(
    ("system", "quantity", "conditions", "unit", "total"),
    [
        # huawei2026atlas950: 58.8 and 31.1 PFLOPS, 64 x 96 GB and 64 x 1.68 TB/s for 64 cards
        ("atlas-950-listed", "peak", {"precision": "fp8"}, "PFLOPS", 1024 * 0.919),
        ("atlas-950-listed", "hbm_capacity", {}, "TB", 98.304),
        ("atlas-950-listed", "scale_up_bandwidth", {"basis": "two-way"}, "TB/s", 1720.32),
        # nvidia2026verarubin: 72 packages of 17.5 PFLOPS, 288 GB and 22 TB/s
        ("vera-rubin-nvl72", "peak", {"precision": "fp8"}, "PFLOPS", 1260),
        ("vera-rubin-nvl72", "hbm_capacity", {}, "TB", 20.736),
        ("vera-rubin-nvl72", "hbm_bandwidth", {}, "TB/s", 1584),
        ("helios-72", "hbm_capacity", {}, "TB", 72 * 0.432),  # amd2026mi455x
        ("trn3-ultraserver", "peak", {"precision": "fp8"}, "PFLOPS", 144 * 2.517),  # 362 as printed
        ("tpu7x-pod", "peak", {"precision": "fp8"}, "PFLOPS", 9216 * 4.614),  # 42.5 EFLOPS as printed
        ("tpu-8t-pod", "peak", {"precision": "fp4"}, "PFLOPS", 9600 * 12.6),  # 121 EFLOPS as printed
    ],
)
def test_systems_that_follow(
    system: str, quantity: str, conditions: dict[str, str], unit: str, total: float
) -> None:
    assert value(quantity, system, unit, **conditions) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "system", "missing"),
    [
        ("system_power", "vera-rubin-nvl72", "no source states the power of vera-rubin-nvl72"),
        (
            "price_per_accelerator",
            "helios-72",
            "helios-72 has no price for basis nominal",
        ),
        ("hbm_bandwidth", "tpu-8t-pod", "tpu-8t has no hbm_bandwidth for basis nominal"),
        (
            "peak_from_units",
            "vera-rubin-nvl72",
            "rubin has no matrix_units for basis die",
        ),
    ],
)
def test_what_is_not_known_of_them_is_named(quantity: str, system: str, missing: str) -> None:
    conditions = {"precision": "fp8"} if quantity == "peak_from_units" else {}
    assert refusal(quantity, system, **conditions).removesuffix("; no source states it") == missing


# --- memory of other parts, peaks by bits ---------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "bits", "tflops"),
    [
        ("ascend-910c", "4", 1504),  # ascendmsmodeling: INT8 is the narrowest that it has
        ("ascend-910c", "8", 1504),
        ("ascend-910c", "16", 752),
        ("ascend-910c", "9", 752),
        ("gb200", "4", 10_000),  # nvidia2025blackwell, table 2, dense
        ("gb200", "8", 5000),
        ("gb200", "16", 2500),
        ("h800-sxm", "8", 1979),  # lmsys2025h20: FP8
        ("cloudmatrix-384", "8", 384 * 1504),
        ("gb200-nvl72", "4", 720_000),
    ],
)
def test_peak_by_bits(chip: str, bits: str, tflops: float) -> None:
    assert value("peak_by_bits", chip, "TFLOPS", bits=bits) == pytest.approx(tflops, rel=1e-12)


def test_peak_by_bits_on_a_basis() -> None:
    """Of the 910C no source states what the matrix units do at eight bits."""
    assert value("peak_by_bits", "ascend-910c", "TFLOPS", bits="8", basis="matrix") == 707.8


@pytest.mark.parametrize(
    ("subject", "bits", "message"),
    [
        ("kunpeng", "8", "kunpeng has no peak of 8 bits or more"),
        ("ascend-910c", "32", "ascend-910c has no peak of 32 bits or more"),
        ("cloudmatrix-384", "32", "ascend-910c has no peak of 32 bits or more"),
        ("ascend-910c", "eight", "condition bits: expected a number, got 'eight'"),
        ("ascend-910c", "0", "condition bits: expected a number above 0, got '0'"),
    ],
)
def test_peak_by_bits_that_a_chip_lacks(subject: str, bits: str, message: str) -> None:
    assert refusal("peak_by_bits", subject, bits=bits) == message


def test_peak_by_bits_needs_bits() -> None:
    assert refusal("peak_by_bits", "h20") == "peak_by_bits of h20 needs bits"


@pytest.mark.parametrize(
    ("subject", "square_millimetres"),
    [
        ("ascend-910c", 2 * 665.61),  # nomusica2024ascend910b: a 910B die, of which the 910C has two
        ("cloudmatrix-384", 384 * 2 * 665.61),
        ("h100-sxm", 814),  # nvidia2022hopper, table 3
        ("h20", 814),
        ("a100-sxm", 826),
        ("gb200", 2 * 814),  # techinsights2025blackwell: nearly twice Hopper
        ("gb200-nvl72", 72 * 2 * 814),
    ],
)
def test_silicon(subject: str, square_millimetres: float) -> None:
    assert value("silicon_area", subject, "mm2") == pytest.approx(square_millimetres, rel=1e-12)


@pytest.mark.parametrize(
    ("subject", "stacks"),
    [
        ("ascend-910c", 8),  # huawei2025cloudmatrix, v2 section 3.3.1
        ("cloudmatrix-384", 384 * 8),
        ("gb200-nvl72", 72 * 8),  # techinsights2025blackwell
        ("h100-sxm", 5),  # nvidia2022hopper, p. 18
        ("h20", 96 / 16),
    ],
)
def test_stacks(subject: str, stacks: float) -> None:
    assert value("hbm_stacks", subject, "count") == stacks


@pytest.mark.parametrize(
    ("subject", "basis", "points"),
    [
        ("h20", "headline", 148 * 16),  # = 296 x 8; 2,368 is printed everywhere
        ("h100-sxm", "headline", 1978.9 * 8),  # nvidia2022hopper; 15,824 of the rounded 989
        ("h200-sxm", "headline", 1979 * 8),  # 15,832 is printed
        ("ascend-910c", "headline", 752 * 16),  # = 1,504 x 8
        ("ascend-910c", "matrix", 707.8 * 16),
        ("gb200", "headline", 2500 * 16),  # = 10,000 x 4
        ("gb300", "headline", 15_000 * 4),
        ("cloudmatrix-384", "headline", 384 * 752 * 16),
        ("gb200-nvl72", "headline", 72 * 2500 * 16),
    ],
)
def test_points_of_the_us_rule(subject: str, basis: str, points: float) -> None:
    assert value("tpp", subject, "count", basis=basis) == pytest.approx(points, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "subject", "message"),
    [
        ("tpp", "kunpeng", "kunpeng has no peak"),
        ("silicon_area", "h800-sxm", "h800-sxm has no dies for basis nominal; no source states it"),
        ("silicon_area", "mi300x", "mi300x has no die_area for basis nominal; no source states it"),
    ],
)
def test_silicon_or_points_that_nobody_states(quantity: str, subject: str, message: str) -> None:
    assert refusal(quantity, subject) == message


def test_memory_of_the_hosts_is_theirs_alone_and_fast_memory_both() -> None:
    """nvidia2025blackwell: 72 GPUs of 192 GB and 36 Grace CPUs; 480 GB each as NVIDIA's 17 TB imply."""
    found = {name: float(derive(name, "gb200-nvl72", HOSTS).to("GB").m)
             for name in ("host_memory", "hbm_capacity", "fast_memory")}  # fmt: skip
    assert found == pytest.approx({"host_memory": 17_280, "hbm_capacity": 13_824, "fast_memory": 31_104})
    read = [row.name.split("[")[0] for row in explain("fast_memory", "gb200-nvl72", HOSTS).rows]
    assert read == ["gb200-nvl72.count", "gb200.hbm_capacity", "gb200-nvl72.count", "grace.host_memory"]


def test_memory_of_the_hosts_may_be_stated_for_each_accelerator() -> None:
    table = with_rows("h20 host_memory - 250 GB nominal")
    found = [float(derive(name, "hgx-h20", table).to("GB").m) for name in ("host_memory", "fast_memory")]
    assert found == pytest.approx([8 * 250, 8 * (250 + 96)])


@pytest.mark.parametrize("quantity", ["host_memory", "fast_memory"])
def test_memory_of_hosts_that_nobody_describes_is_not_stated(quantity: str) -> None:
    assert "no host_memory" in refusal(quantity, "cloudmatrix-384")


def test_parts_without_a_peak_count_in_the_memory_of_a_system() -> None:
    """72 x 192 GB and 36 x 128 GB; peaks and stacks are those of the accelerators still."""
    table = with_rows(
        "gb200-nvl72 count part=helper 36 count nominal",
        "helper hbm_capacity - 128 GB nominal",
        "helper hbm_bandwidth - 2 TB/s nominal",
    )
    assert 72 * 192 + 36 * 128 == 18_432
    assert float(derive("hbm_capacity", "gb200-nvl72", table).to("GB").m) == pytest.approx(18_432)
    assert float(derive("hbm_bandwidth", "gb200-nvl72", table).to("TB/s").m) == pytest.approx(72 * 8 + 36 * 2)
    assert float(derive("hbm_capacity_from_stacks", "gb200-nvl72", table).to("GB").m) == pytest.approx(13_824)
    assert float(derive("peak", "gb200-nvl72", table, precision="bf16").to("PFLOPS").m) == 180
    assert table.parts("gb200-nvl72") == ["gb200"]
    assert value("hbm_capacity", "gb200-nvl72", "GB") == pytest.approx(
        13_824
    )  # the table itself is as before
    usable = derive("hbm_capacity", "gb200-nvl72", table, basis="usable")  # which only the GPUs have
    assert float(usable.to("GB").m) == pytest.approx(72 * 186)


def test_throughput_of_a_system_is_that_of_its_accelerators() -> None:
    """huawei2025cloudmatrix: 1,943 tokens/s a package in decode, 384 packages."""
    asked = {"measurement": "CM384-DECODE-4K-50MS"}
    found = derive("system_throughput", "cloudmatrix-384", SPECS, **asked)
    assert found.to("token/s").m == 384 * 1943 == 746_112
    assert [row.value for row in explain("system_throughput", "cloudmatrix-384", SPECS, **asked).rows] == [
        1943, 384,
    ]  # fmt: skip
    assert refusal("system_throughput", "ascend-910c", **asked) == "ascend-910c is not made of accelerators"
    message = refusal("system_throughput", "gb200-nvl72", **asked)
    assert message.startswith("gb200 has no published_throughput for measurement=CM384-DECODE-4K-50MS")


# --- ridge points and comparisons -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "conditions", "intensity"),
    [
        ("ascend-910c", {}, 752 / 3.2),  # 235
        ("ascend-910c", {"basis": "matrix"}, 707.8 / 3.2),
        ("h100-sxm", {}, 989.4 / 3.352),  # 295
        ("h20", {}, 148 / 4.0),  # 37
        ("gb200", {}, 2500 / 8.0),
        ("mi300x", {}, 1307.4 / 5.3),
        ("cloudmatrix-384", {}, 752 / 3.2),  # a system's is that of its chips
    ],
)
def test_ridge_point(chip: str, conditions: dict[str, str], intensity: float) -> None:
    found = value("ridge_point", chip, "FLOP/byte", precision="bf16", **conditions)
    assert found == pytest.approx(intensity, rel=1e-12)


def test_only_comparisons_take_a_comparator() -> None:
    found = {name for name in derivations() if compares(name)}
    assert found == {
        "accelerators_to_match", "power_to_match", "accelerators_to_serve", "served_ratio", "training_ratio",
    }  # fmt: skip
    assert not compares("hbm_capacity")


# --- arrays ---------------------------------------------------------------------------------------

PREFILL, DECODE = "CM384-PREFILL-PERFECT", "CM384-DECODE-4K-50MS"
TRAINED = "MINDSPEED-A3-V3"
# Every derivation with what it is asked of and under which conditions; a new one is added here.
ASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "peak_from_units": ("cloudmatrix-384", {"precision": "bf16", "basis": "headline"}),
    "hbm_capacity_from_stacks": ("cloudmatrix-384", {}),
    "hbm_bandwidth_from_stacks": ("cloudmatrix-384", {}),
    "scale_up_bandwidth_from_links": ("cloudmatrix-384", {}),
    "ridge_point": ("cloudmatrix-384", {"precision": "bf16"}),
    "accelerators_from_nodes": ("cloudmatrix-384", {}),
    "peak_by_bits": ("cloudmatrix-384", {"bits": 8}),
    "fast_memory": ("gb200-nvl72", {}),
    "tpp": ("cloudmatrix-384", {}),
    "silicon_area": ("gb200-nvl72", {}),
    "system_throughput": ("cloudmatrix-384", {"measurement": DECODE}),
    "peak_per_power": ("cloudmatrix-384", {"precision": "bf16"}),
    "price_per_peak": ("cloudmatrix-384", {"precision": "bf16"}),
    "price_per_accelerator": ("cloudmatrix-384", {}),
    "valuation_by_multiple": ("huawei", {"peer": "apple", "year": "2022"}),
    "lost_revenue_filed": ("nvidia", {"product": "h20"}),
    "export_rule_cost": ("nvidia", {"product": "h20"}),
    "predicted_throughput": ("ascend-910c", {"measurement": PREFILL}),
    "predicted_tpot": ("ascend-910c", {"measurement": DECODE}),
    "tokens_per_tflop": ("ascend-910c", {"measurement": PREFILL, "precision": "int8"}),
    "predicted_tokens_per_tflop": ("ascend-910c", {"measurement": DECODE, "precision": "int8"}),
    "parameters": ("deepseek-r1", {}),
    "accelerators_to_match": (
        "cloudmatrix-384",
        {"precision": "bf16", "comparator": "gb200-nvl72"},
    ),
    "power_to_match": ("cloudmatrix-384", {"precision": "bf16", "comparator": "gb200-nvl72"}),
    "power_per_peak": ("cloudmatrix-384", {"precision": "bf16"}),
    "optics_share": ("cloudmatrix-384", {"optics": "retimed"}),
    "flop_per_prompt_token": ("deepseek-r1", {"context": 4096}),
    "flop_per_output_token": ("deepseek-r1", {"context": 4096}),
    "kv_bytes_per_token": ("deepseek-r1", {}),
    "bytes_per_output_token": ("ascend-910c", {"context": 4096, "batch": 96}),
    "physical_limit": ("ascend-910c", {"measurement": DECODE}),
    "useful_share": ("ascend-910c", {"measurement": PREFILL}),
    "served_throughput": ("ascend-910c", {"workload": "decode"}),
    "served_ratio": ("ascend-910c", {"comparator": "h100-sxm", "workload": "prefill"}),
    "exchange_time": ("ascend-910c", {"op": "dispatch", "ranks": 64, "tokens": 128}),
    "exchange_round_trip": ("h100-sxm", {"ranks": 64, "tokens": 128}),
    "tokens_per_joule": ("cloudmatrix-384", {"workload": "decode"}),
    "electricity_cost": ("cloudmatrix-384", {"workload": "prefill", "price": 0.08}),
    "capital_cost": ("cloudmatrix-384", {"workload": "decode", "utilisation": 0.5}),
    "hourly_cost": ("cloudmatrix-384", {"price": 0.08}),
    "token_cost": ("cloudmatrix-384", {"workload": "decode", "price": 0.08, "utilisation": 0.5}),
    "rental_cost": ("h100-sxm", {"workload": "decode", "usd_per_hour": 2.0, "batch": 96}),
    "accelerators_to_serve": (
        "cloudmatrix-384",
        {"comparator": "gb200-nvl72", "workload": "prefill"},
    ),
    "electricity_of_a_year": ("cloudmatrix-384", {"accelerators": 800_000}),
    "matched_throughput": ("cloudmatrix-384", {"prompt": 4096, "output": 1024, "tpot": 50}),
    "prefill_per_decode": ("gb200", {"prompt": 4096, "output": 1024, "tpot": 50, "bits": 4}),
    "training_flop_per_token": ("deepseek-v3", {"sequence": 4096, "mtp": "with"}),
    "training_hardware_flop_per_token": ("deepseek-v3", {"sequence": 4096, "recomputed": 0.5}),
    "training_throughput": ("cloudmatrix-384", {"run": TRAINED}),
    "mfu": ("ascend-910c", {"run": TRAINED}),
    "hfu": ("ascend-910c", {"run": TRAINED, "basis": "headline"}),
    "training_flop_from_mfu": ("h800-sxm", {"run": "DEEPSEEK-H800-V3-ISCA"}),
    "training_throughput_by_mfu": (
        "cloudmatrix-384",
        {"model": "deepseek-v3", "sequence": 4096, "precision": "bf16", "mfu": 0.3},
    ),
    "training_time": ("cloudmatrix-384", {"run": TRAINED, "tokens": 14.8e12, "systems": 4}),
    "training_tokens_per_joule": ("cloudmatrix-384", {"run": TRAINED}),
    "training_energy": ("cloudmatrix-384", {"run": TRAINED, "tokens": 14.8e12}),
    "training_throughput_per_price": ("cloudmatrix-384", {"run": TRAINED}),
    "training_ratio": (
        "cloudmatrix-384",
        {"run": TRAINED, "comparator": "gb200-nvl72", "against": "DGXC-2505-GB200-BF16"},
    ),
} | {
    quantity: ("cloudmatrix-384", {})
    for quantity in (
        "node_bandwidth",
        "node_uplink_bandwidth",
        "oversubscription",
        "oversubscription_with_cpus",
        "fabric_bandwidth",
        "bisection_bandwidth",
        "switches_from_tiers",
        "optical_modules_from_accelerators",
        "optical_modules_from_rate",
        "system_power",
        "power_per_accelerator",
        "power_per_bandwidth",
        "power_per_capacity",
    )
}
WHOLE = ("ranks_per_package", "sequence_parallel_ranks")  # half a rank is refused, not computed


def test_every_derivation_is_asked() -> None:
    assert set(ASKED) == set(derivations())


@pytest.mark.parametrize("quantity", sorted(derivations()))
def test_derivation_broadcasts(quantity: str) -> None:
    """Over arrays, a derivation gives in one call what it gives draw by draw."""
    subject, conditions = ASKED[quantity]
    found = explain(quantity, subject, HOSTS, **conditions)
    factors = np.array([1.0, 0.9, 1.1])
    keys = [row.key for row in found.rows if row.quantity not in WHOLE]

    def derived(scale: Any) -> Any:
        # Each row by a factor of its own, so that no effect cancels another.
        power = {key: 1 + i % 5 / 9 for i, key in enumerate(keys)}
        values = {key: HOSTS.options(key)[0] * scale ** power[key] for key in keys}
        result = derive(quantity, subject, HOSTS.replace(values), **conditions)
        return result.to(found.value.units).m

    one_by_one = [float(derived(factor)) for factor in factors]
    together = np.broadcast_to(derived(factors), factors.shape)
    assert together.tolist() == pytest.approx(one_by_one, rel=1e-12)
    assert one_by_one[0] == pytest.approx(float(found.value.m), rel=1e-12)


def test_highest_peak_is_taken_draw_by_draw() -> None:
    key = SPECS.find("ascend-910c", "peak", precision="int8")
    changed = SPECS.replace({key: np.array([1504.0, 752.0, 700.0])})  # at sixteen bits it has 752
    found = derive("peak_by_bits", "ascend-910c", changed, bits="8")
    assert found.to("TFLOPS").m.tolist() == [1504, 752, 752]


def test_one_replaced_row_moves_a_product_in_proportion() -> None:
    key = SPECS.find("ascend-910c", "clock")
    changed = SPECS.replace({key: units.Q([1.8, 0.9], "GHz")})
    found = derive("peak_from_units", "ascend-910c", changed, precision="bf16").to("TFLOPS")
    assert found.m.tolist() == pytest.approx([707.7888, 353.8944], rel=1e-12)


# --- what cannot be asked -------------------------------------------------------------------------


def test_unknown_quantity_and_subject_are_named() -> None:
    assert refusal("peek", "h20") == "unknown quantity 'peek'; did you mean 'peak'?"
    assert refusal("peak", "h200") == "unknown subject 'h200'; did you mean 'h200-sxm'?"


def test_unknown_condition_is_named() -> None:
    message = refusal("peak_from_units", "h20", precison="bf16")
    assert message == ("unknown condition for peak_from_units 'precison'; did you mean 'precision'?")


def test_condition_of_a_derivation_that_takes_none() -> None:
    message = refusal("hbm_capacity_from_stacks", "h100-sxm", precision="bf16")
    assert message == "unknown condition for hbm_capacity_from_stacks 'precision'"


def test_wrong_basis_is_named() -> None:
    message = refusal("peak_from_units", "h100-sxm", precision="bf16", basis="sparse")
    assert message == "peak_from_units has basis matrix or headline, not 'sparse'"


@pytest.mark.parametrize("quantity", ["peak_from_units", "ridge_point"])
def test_missing_precision_is_named(quantity: str) -> None:
    message = refusal(quantity, "h100-sxm")
    assert quantity in message
    assert "precision" in message


def test_missing_comparator_is_named() -> None:
    message = refusal("accelerators_to_match", "hgx-h20", precision="bf16")
    assert message == "accelerators_to_match of hgx-h20 needs comparator"


@pytest.mark.parametrize("name", ["subject", "quantity", "specs"])
@pytest.mark.parametrize("quantity", ["peak", "peak_from_units"])
def test_condition_with_the_name_of_an_argument_is_refused(quantity: str, name: str) -> None:
    conditions = {"precision": "bf16", name: "h20"}
    with pytest.raises(InputError, match=name):
        explain(quantity, "h100-sxm", SPECS, **conditions)


def test_unknown_comparator_is_named() -> None:
    message = refusal("accelerators_to_match", "hgx-h20", precision="bf16", comparator="h10")
    assert message.startswith("unknown subject 'h10'")


def test_missing_row_is_named_for_the_part_that_lacks_it() -> None:
    message = refusal("peak", "cloudmatrix-384", precision="fp8")
    assert message.startswith("ascend-910c has no peak for precision=fp8, basis headline; stated:")
    message = refusal("peak_from_units", "h20", precision="bf16")
    assert message.startswith("h20 has no ")


# --- names ----------------------------------------------------------------------------------------


def test_additive_quantities_are_known() -> None:
    assert set(SPECS.kinds) >= ADDITIVE


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("hbm_bandwidth_from_stacks", "HBM bandwidth from stacks"),
        ("scale_up_bandwidth", "scale-up bandwidth"),
        ("scale_out_bandwidth", "scale-out bandwidth"),
        ("matrix_flop_per_clock", "matrix FLOP per clock"),
    ],
)
def test_words(name: str, spelt: str) -> None:
    assert words(name) == spelt


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("cloudmatrix-384", "CloudMatrix 384"),
        ("gb200-nvl72", "GB200 NVL72"),
        ("ascend-910c", "Ascend 910C"),
        ("atlas-950", "Atlas 950"),
        ("mi300x", "MI300X"),
    ],
)
def test_title(name: str, spelt: str) -> None:
    assert title(name) == spelt


# --- throughput, power and money ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "subject", "unit", "conditions", "wanted"),
    [
        # huawei2025cloudmatrix: 6,688 tokens/s (prefill) and 1,943 (decode) a package, 1,504 TOPS
        ("tokens_per_tflop", "ascend-910c", "token/s/TFLOPS",
         {"measurement": PREFILL, "precision": "int8"}, 6688 / 1504),
        ("tokens_per_tflop", "ascend-910c", "token/s/TFLOPS",
         {"measurement": DECODE, "precision": "int8"}, 1943 / 1504),
        ("tokens_per_tflop", "ascend-910c", "token/s/TFLOPS",
         {"measurement": PREFILL, "precision": "bf16"}, 6688 / 752),
        # lmsys2025largescale: 59,337 tokens/s a node of 8; nvidia2022hopper: 1,978.9 dense FP8
        ("tokens_per_tflop", "h100-sxm", "token/s/TFLOPS",
         {"measurement": "SGL-H100-PREFILL-4K-PERFECT", "precision": "fp8"}, 7417.1 / 1978.9),
        # reportify2025semianalysis: 559,378 W; nvidia: 145 kW
        ("peak_per_power", "cloudmatrix-384", "GFLOP/J", {"precision": "bf16"},
         288.768e15 / 559378 / 1e9),
        ("peak_per_power", "gb200-nvl72", "GFLOP/J", {"precision": "bf16"}, 180e15 / 145000 / 1e9),
        # benzinga2025cloudmatrix: 8.2 million dollars; semianalysis2025training: 3.1
        ("price_per_peak", "cloudmatrix-384", "USD/TFLOPS", {"precision": "bf16"}, 8.2e6 / 288768),
        ("price_per_peak", "gb200-nvl72", "USD/TFLOPS", {"precision": "bf16"}, 3.1e6 / 180000),
        ("price_per_accelerator", "cloudmatrix-384", "USD", {}, 8.2e6 / 384),
        ("price_per_accelerator", "gb200-nvl72", "USD", {}, 3.1e6 / 72),
        # huawei2022annual: 5,114 million; breakingviews2023huawei: 25 times
        ("valuation_by_multiple", "huawei", "USD", {"peer": "apple", "year": "2022"}, 5.114e9 * 25),
        # nvidia2025q1: 2.5 in the quarter, 8.0 in the next; nvidia2025sec: 4.5 booked
        ("lost_revenue_filed", "nvidia", "GUSD", {"product": "h20"}, 2.5 + 8.0),
        ("export_rule_cost", "nvidia", "GUSD", {"product": "h20"}, 4.5 + 2.5 + 8.0),
    ],
)  # fmt: skip
def test_figure_by_hand(
    quantity: str, subject: str, unit: str, conditions: dict[str, str], wanted: float
) -> None:
    assert value(quantity, subject, unit, **conditions) == pytest.approx(wanted, rel=1e-12)


def test_predicted_figures_are_those_of_the_serving_model() -> None:
    """Of the deployments that huawei2025cloudmatrix states, tables 3 and 4 of version 2."""
    model = load_model("deepseek-r1")
    prompt = Deployment("ascend-910c", 16, 32, 16384, 4096, matrix_precision="int8",
                        microbatches=2)  # fmt: skip
    wanted = float(prefill(SPECS, model, prompt).throughput.m)
    found = value("predicted_throughput", "ascend-910c", "token/s/accelerator", measurement=PREFILL)
    assert found == pytest.approx(wanted, rel=1e-12)
    stream = Deployment("ascend-910c", 160, 320, 96, 4096, output=256, matrix_precision="int8",
                        routing="eplb", microbatches=2, draft_tokens=1,
                        tokens_per_step=1.7)  # fmt: skip
    result = decode(SPECS, model, stream)
    asked = {"measurement": DECODE}
    found = value("predicted_throughput", "ascend-910c", "token/s/accelerator", **asked)
    assert found == pytest.approx(float(result.throughput.m), rel=1e-12)
    assert value("predicted_tpot", "ascend-910c", "ms", **asked) == pytest.approx(
        float(result.tpot.m), rel=1e-12
    )
    assert found == pytest.approx(1e3 * 96 / float(result.tpot.m), rel=1e-12)  # batch over TPOT
    tokens = value("predicted_tokens_per_tflop", "ascend-910c", "token/s/TFLOPS",
                   precision="int8", **asked)  # fmt: skip
    assert tokens == pytest.approx(found / 1504, rel=1e-12)


@pytest.mark.parametrize(
    ("quantity", "subject", "conditions", "message"),
    [
        ("tokens_per_tflop", "h100-sxm", {"measurement": PREFILL, "precision": "fp8"},
         "h100-sxm has no published_throughput for measurement=CM384-PREFILL-PERFECT"),
        ("predicted_throughput", "h100-sxm", {"measurement": PREFILL},
         "measurement CM384-PREFILL-PERFECT is of ascend-910c, not of h100-sxm"),
        ("predicted_throughput", "ascend-910c", {"measurement": "CM384-PREFIL-PERFECT"},
         "unknown measurement 'CM384-PREFIL-PERFECT'; did you mean 'CM384-PREFILL-PERFECT'?"),
        ("predicted_throughput", "ascend-910c", {}, "predicted_throughput of ascend-910c needs "
                                                    "measurement"),
        ("peak_per_power", "hgx-h100", {"precision": "bf16"}, "hgx-h100 has no power"),
        ("lost_revenue_filed", "huawei", {"product": "h20"}, "huawei has no lost_revenue of h20"),
        ("lost_revenue_filed", "nvidia", {"product": "b200"}, "nvidia has no lost_revenue of b200"),
        ("price_per_accelerator", "h100-sxm", {}, "h100-sxm has no accelerators as parts"),
        ("valuation_by_multiple", "huawei", {"peer": "nokia", "year": "2022"},
         "huawei has no earnings_multiple"),
    ],
)  # fmt: skip
def test_figure_that_no_source_allows(
    quantity: str, subject: str, conditions: dict[str, str], message: str
) -> None:
    assert refusal(quantity, subject, **conditions).startswith(message)


def test_highest_peak_for_several_widths_at_once() -> None:
    """The 910C: 752 TFLOPS in 16 bits, twice as many in 8, and nothing in 4, where 8 stand for it."""
    found = derive("peak_by_bits", "ascend-910c", SPECS, bits=np.array([4.0, 8.0, 16.0]))
    assert list(found.to("TFLOP/s").m) == [1504.0, 1504.0, 752.0]
