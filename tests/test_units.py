"""Units that refuse to be mixed, and how numbers are printed."""

from __future__ import annotations

import re

import numpy as np
import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm384.table import units
from cm384.table.errors import InputError, suggestion, unknown
from cm384.table.units import Q, deviation, number, same_kind, sensible, text, unit_text

amounts = st.floats(min_value=1e-9, max_value=1e12)
digits = st.integers(min_value=1, max_value=8)


def magnitude(value: float, unit: str, target: str) -> float:
    return float(Q(value, unit).to(target).m)


# --- what the units mean --------------------------------------------------------------------------


def test_tokens_per_second_per_tflops_is_tokens_per_tflop() -> None:
    assert magnitude(4.45, "token/s/TFLOPS", "token/TFLOP") == pytest.approx(4.45, rel=1e-12)


def test_tokens_per_tflops_is_the_reciprocal_of_work_per_token() -> None:
    # 1 / 4.45 TFLOP = 224.72 GFLOP; 1 / 1.29 TFLOP = 775.19 GFLOP
    assert float((1 / Q(4.45, "token/s/TFLOPS")).to("GFLOP/token").m) == pytest.approx(224.719, abs=1e-3)
    assert float((1 / Q(1.29, "token/s/TFLOPS")).to("GFLOP/token").m) == pytest.approx(775.194, abs=1e-3)


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        (1, "GB", "byte", 1e9),
        (1, "GiB", "byte", 2**30),
        (1, "TiB", "GiB", 1024),
        (1, "MiB", "KiB", 1024),
        (128, "GB", "GiB", 119.20928955078125),
        (1, "byte", "bit", 8),
        (1, "B", "byte", 1),
        (400, "Gbit/s", "GB/s", 50),
        (224, "Gbit/s", "GB/s", 28),
        (1, "TOPS", "TFLOPS", 1),
        (1, "TFLOP/s", "TFLOPS", 1),
        (1, "PFLOPS", "TFLOPS", 1000),
        (1, "EFLOPS", "PFLOPS", 1000),
        (1, "kWh", "J", 3.6e6),
        (1, "kW", "J/s", 1000),
        (1, "h", "s", 3600),
        (1, "us", "ns", 1000),
        (1, "ms", "us", 1000),
        (50, "percent", "count", 0.5),
        (1, "GHz", "cycle/s", 1e9),
    ],
)
def test_conversion(value: float, unit: str, target: str, expected: float) -> None:
    assert magnitude(value, unit, target) == pytest.approx(expected, rel=1e-12)


def test_clock_times_flop_per_clock_is_a_rate() -> None:
    rate = Q(8192, "FLOP/cycle") * Q(1.8, "GHz")
    assert float(rate.to("TFLOPS").m) == pytest.approx(14.7456, rel=1e-12)


def test_pins_times_pin_rate_is_a_bandwidth() -> None:
    bandwidth = Q(8192, "pin") * Q(3.2, "Gbit/s/pin")
    assert float(bandwidth.to("GB/s").m) == pytest.approx(3276.8, rel=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("byte", "count"),
        ("FLOP/s", "B/s"),
        ("FLOP", "byte"),
        ("token", "count"),
        ("accelerator", "count"),
        ("USD", "count"),
        ("J", "FLOP"),
        ("W", "J"),
        ("pin", "count"),
        ("cycle", "count"),
        ("token/s/TFLOPS", "GFLOP/token"),
    ],
)
def test_adding_different_kinds_is_an_error(one: str, other: str) -> None:
    with pytest.raises(pint.DimensionalityError):
        Q(1, one) + Q(1, other)
    assert not same_kind(one, other)


def test_bits_and_bytes_add_in_bytes() -> None:
    assert float((Q(1, "byte") + Q(8, "bit")).to("byte").m) == 2
    assert same_kind("Gbit/s", "TB/s")


@pytest.mark.parametrize("unit", ["furlong", "GBB", "TB in s", "degC", "3 GB", "GB/", "kcount/ x"])
def test_unknown_unit_is_one_line(unit: str) -> None:
    with pytest.raises(InputError) as caught:
        Q(1, unit)
    assert str(caught.value) == f"unknown unit {unit!r}"


def test_quantities_broadcast() -> None:
    values = Q([1, 2, 4], "TB/s").to("GB/s").m
    assert values.tolist() == pytest.approx([1000, 2000, 4000])


def test_scalar_quantities_hold_floats() -> None:
    assert isinstance(Q(3, "count").m, float)


@settings(deadline=None)
@given(amounts)
def test_going_to_another_unit_and_back_changes_nothing(value: float) -> None:
    for unit, other in (("GB", "GiB"), ("Gbit/s", "TB/s"), ("TFLOPS", "PFLOPS"), ("kWh", "J")):
        assert float(Q(value, unit).to(other).to(unit).m) == pytest.approx(value, rel=1e-12)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (1228.8, 4, "1,229"),
        (707.7888, 4, "707.8"),
        (3.55555, 4, "3.556"),
        (3.55555, 3, "3.56"),
        (1.6042, 3, "1.60"),
        (384.0, 4, "384"),
        (2.5, 4, "2.5"),
        (1504, 3, "1,504"),
        (1_234_567.8, 4, "1,234,568"),
        (0.000123, 4, "0.000123"),
        (0.00012345, 3, "0.000123"),
        (-3.25, 4, "-3.25"),
        (100, 4, "100"),
        (0, 4, "0"),
        (np.inf, 4, "inf"),
        (np.nan, 4, "nan"),
    ],
)
def test_number(value: float, places: int, expected: str) -> None:
    assert number(value, places) == expected


@settings(deadline=None)
@given(amounts, digits, st.sampled_from([1, -1]))
def test_number_is_within_half_a_unit_of_its_last_digit(value: float, places: int, sign: int) -> None:
    read = float(number(sign * value, places).replace(",", ""))
    assert read == pytest.approx(sign * value, rel=0.5000001 * 10.0 ** (1 - places), abs=0)


@settings(deadline=None)
@given(amounts, digits)
def test_number_has_no_exponent_and_commas_at_thousands(value: float, places: int) -> None:
    assert re.fullmatch(r"\d{1,3}(,\d{3})*(\.\d+)?", number(value, places))


@settings(deadline=None)
@given(amounts, digits)
def test_number_prints_no_more_digits_than_asked_for(value: float, places: int) -> None:
    printed = number(value, places)
    significant = printed.replace(",", "").replace(".", "").lstrip("0")
    assert "." not in printed or len(significant) <= places


@pytest.mark.parametrize(("value", "expected"), [(9.9996, "10.00"), (0.99996, "1.000"), (99.999, "100.0")])
def test_number_that_rounds_up_to_a_power_of_ten_keeps_its_digits(value: float, expected: str) -> None:
    assert number(value, 4) == expected


# --- units as read --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "like", "expected"),
    [
        (49152, "GB", "", "49.15 TB"),
        (999, "GB", "", "999 GB"),
        (1000, "GB", "", "1 TB"),
        (0.4, "TB", "", "400 GB"),
        (392, "GB/s", "", "392 GB/s"),
        (1_228_800, "GB/s", "TB/s", "1,229 TB/s"),
        (400, "Gbit/s", "Gbit/s", "400 Gbit/s"),
        (50, "GB/s", "Gbit/s", "400 Gbit/s"),
        (153_600, "Gbit/s", "Gbit/s", "153.6 Tbit/s"),
        (400, "Gbit/s", "GB/s", "50 GB/s"),
        (1504, "TOPS", "TFLOP/s", "1,504 TFLOPS"),
        (9999, "TFLOPS", "", "9,999 TFLOPS"),
        (10_000, "TFLOPS", "", "10 PFLOPS"),
        (288_768, "TFLOPS", "", "288.8 PFLOPS"),
        (10_000, "PFLOPS", "", "10 EFLOPS"),
        (1400, "W", "", "1,400 W"),
        (559_378, "W", "", "559.4 kW"),
        (12_000, "kW", "", "12 MW"),
        (235, "FLOP/byte", "", "235 FLOP/B"),
        (1.9, "us", "us", "1.9 µs"),
        (1.9, "µs", "us", "1.9 µs"),
        (384, "count", "", "384"),
    ],
)
def test_sensible_unit(value: float, unit: str, like: str, expected: str) -> None:
    assert text(sensible(Q(value, unit), like)) == expected


def test_sensible_unit_of_an_array_follows_its_largest_value() -> None:
    found = sensible(Q([1, 2000], "GB"))
    assert found.m.tolist() == [0.001, 2]
    assert unit_text(found.units) == "TB"


@settings(deadline=None)
@given(amounts, st.sampled_from(["GB", "GB/s", "TFLOPS", "W", "us", "USD", "FLOP/byte"]))
def test_sensible_changes_the_unit_and_not_the_quantity(value: float, unit: str) -> None:
    found = sensible(Q(value, unit))
    assert float(found.to(unit).m) == pytest.approx(value, rel=1e-12)
    assert found.units == sensible(found).units


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (4.447, "token/s/TFLOPS", "4.447 tokens/s/TFLOPS"),
        (224.7, "GFLOP/token", "224.7 GFLOP/token"),
        (3, "count", "3"),
        (3, "dimensionless", "3"),
        (76.2, "percent", "76.2 %"),
        (8192, "FLOP/cycle", "8,192 FLOP/cycle"),
    ],
)
def test_text(value: float, unit: str, expected: str) -> None:
    quantity = units.Quantity(value, unit) if unit == "dimensionless" else Q(value, unit)
    assert text(quantity) == expected


def test_text_takes_a_number_of_digits() -> None:
    assert text(Q(49.152, "TB"), 3) == "49.2 TB"


@pytest.mark.parametrize(
    ("derived", "stated", "expected"),
    [
        ((3276.8, "GB/s"), (3.2, "TB/s"), "+2.4 %"),
        ((707.7888, "TFLOPS"), (707.8, "TFLOPS"), "0.0 %"),
        ((95, "GB"), (100, "GB"), "−5.0 %"),
        ((99.96, "GB"), (100, "GB"), "0.0 %"),
        ((99.94, "GB"), (100, "GB"), "−0.1 %"),
        ((8, "bit"), (1, "byte"), "0.0 %"),
    ],
)
def test_deviation(derived: tuple[float, str], stated: tuple[float, str], expected: str) -> None:
    assert deviation(Q(*derived), Q(*stated)) == expected


@settings(deadline=None)
@given(amounts, st.floats(min_value=-90, max_value=900))
def test_deviation_reads_back(stated: float, percent: float) -> None:
    printed = deviation(Q(stated * (1 + percent / 100), "GB"), Q(stated, "GB"))
    assert float(printed.removesuffix(" %").replace("−", "-")) == pytest.approx(percent, abs=0.0501)


# --- errors ---------------------------------------------------------------------------------------


def test_unknown_names_the_nearest() -> None:
    error = unknown("chip", "h10-sxm", ["h100-sxm", "a100-sxm"])
    assert str(error) == "unknown chip 'h10-sxm'; did you mean 'h100-sxm'?"


def test_unknown_lists_what_is_known_when_nothing_is_near() -> None:
    assert suggestion("tiger", ["matrix", "headline"]) == "; known: headline, matrix"


def test_unknown_says_nothing_more_when_nothing_is_known() -> None:
    assert str(unknown("chip", "x", [])) == "unknown chip 'x'"


def test_an_empty_name_is_not_listed_as_known() -> None:
    assert suggestion("equal", ["", "gt", "le"]) == "; known: gt, le"
