"""Edges of the tables that no other test stands on: units, names, files, configs and spans, by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cm384.derive.derivation import _number
from cm384.derive.spread import nearest
from cm384.table import files, units
from cm384.table.config import ConfigFile
from cm384.table.documents import Source
from cm384.table.errors import FEW, InputError, candidates, suggestion
from cm384.table.units import Q, number, percent, sensible, text


@pytest.mark.parametrize(
    ("value", "unit", "like", "expected"),
    [
        (1000, "GB", "", "1 TB"),
        (999, "GB", "", "999 GB"),
        (1500, "GB/s", "", "1.5 TB/s"),
        (1500, "Gbit/s", "Gbit/s", "1.5 Tbit/s"),
        (10_000, "TFLOPS", "", "10 PFLOPS"),
        (9999, "TFLOPS", "", "9,999 TFLOPS"),
        (10_000, "W", "", "10 kW"),
        (9999, "W", "", "9,999 W"),
        (-2000, "GB", "", "-2 TB"),
    ],
)
def test_larger_unit_is_taken_from_its_least_number_on(
    value: float, unit: str, like: str, expected: str
) -> None:
    """Bytes and bits from 1 of the larger, rates of work and power from 10 of it."""
    assert text(sensible(Q(value, unit), like)) == expected


def test_array_stands_in_the_unit_of_its_largest_number() -> None:
    """2,000 GB are 2 TB, so 500 GB beside them are 0.5 TB."""
    found = sensible(Q([500, -2000], "GB"))
    assert units.unit_text(found.units) == "TB"
    assert found.m.tolist() == pytest.approx([0.5, -2])


def test_rounded_zeros_of_a_small_number_are_kept() -> None:
    """0.0001230001 is a millionth above 0.000123: rounded, so the zero stays."""
    assert number(0.0001230001) == "0.0001230"
    assert number(-0.0001230001) == "-0.0001230"


def test_share_a_last_bit_under_a_half_is_rounded_as_the_half() -> None:
    """37.4999999999 to nine digits is 37.5; 37.499999999 stays below it."""
    assert percent(0.374999999999) == "38 %"
    assert percent(0.37499999999) == "37 %"


@pytest.mark.parametrize(
    ("published", "date", "expected"),
    [
        ("2025-06", "2025", False),
        ("2026", "2025-05-19", True),
        ("2025-05-19", "2025-05-19", False),
        ("by 2030", "2025", False),
    ],
)
def test_source_is_later_only_as_far_as_both_dates_are_known(
    published: str, date: str, expected: bool
) -> None:
    """A month of the same year may be before or after a date that is only a year."""
    assert Source("a", published, "press", "").after(date) is expected


def test_error_of_just_the_length_is_not_cut() -> None:
    """Of 701 characters, the first and last 350 stay, with three between."""
    assert str(InputError("x" * 700)) == "x" * 700
    assert str(InputError("x" * 701)) == "x" * 350 + " … " + "x" * 350


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("abcde", ["abcdx"], "; did you mean 'abcdx'?"),  # alike by 2 * 4 / 10 = 0.8
        ("abcde", ["abcxy"], "; known: abcxy"),  # by 0.6
        ("abcde", ["abcdx", "abcdy"], "; did you mean 'abcdy'?"),  # one of two as near
        ("b200", ["hgx-b200", "dgx-b200"], "; it could be dgx-b200, hgx-b200"),
        ("abcde", [], ""),
    ],
)
def test_name_not_known_is_told_what_is_near(name: str, known: list[str], expected: str) -> None:
    assert suggestion(name, known) == expected


def test_at_most_a_dozen_names_could_be_meant() -> None:
    """Twelve are named as what it could be; thirteen are the whole list."""
    names = [f"board-{chr(97 + i)}" for i in range(13)]
    assert FEW == 12
    assert suggestion("board", names[:12]).startswith("; it could be ")
    assert suggestion("board", names).startswith("; known: ")


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("memory bandwidth", ["sustained_hbm_bandwidth"], ["sustained_hbm_bandwidth"]),
        ("memory bandwidth", ["hbm_bandwidth", "hbm_bandwidth_whole"], ["hbm_bandwidth"]),
        ("bandwidth hbm", ["hbm_bandwidth"], ["hbm_bandwidth"]),
        ("matri", ["big-matrix"], ["big-matrix"]),
        ("--", ["big-matrix"], []),
    ],
)
def test_name_in_other_words_is_found(name: str, known: list[str], expected: list[str]) -> None:
    assert candidates(name, known) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, True), (1e-18, True), (0.99e-18, False), (-1e18, True), (1.05e18, False), (1, True)],
)
def test_number_is_ordinary_between_its_bounds(value: float, expected: bool) -> None:
    assert files.is_ordinary(value) is expected


@pytest.mark.parametrize(
    ("cell", "expected"), [("0", True), ("0.5", True), ("-0.5", False), ("x", False), ("1_0", False)]
)
def test_amount_is_a_number_from_nought(cell: str, expected: bool) -> None:
    assert files.is_amount(cell) is expected


def test_file_of_just_the_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four bytes of at most four are read whole; a fifth is refused, not cut off."""
    monkeypatch.setattr(files, "MOST_BYTES", 4)
    (path := tmp_path / "a.txt").write_bytes(b"abcd")
    assert files.text_of(path) == "abcd"
    path.write_bytes(b"abcde")
    with pytest.raises(InputError):
        files.text_of(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, -1], "above 0"),
        ([1, 0], "above 0"),
        ([1, np.inf], "above 0"),
        ([1, 1e19], "from 1e-18 to 1e"),
        ([1, 1e-19], "from 1e-18 to 1e"),
        ("x", ""),
    ],
)
def test_condition_of_which_one_number_is_wrong_is_refused(value: Any, expected: str) -> None:
    with pytest.raises(InputError, match=f"condition tokens: expected a number {expected}".strip()):
        _number("tokens", value)


def test_condition_at_its_bounds_is_taken() -> None:
    assert _number("tokens", [1e-18, 0.5, 1e18]).tolist() == [1e-18, 0.5, 1e18]


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        (lambda f: f > 1, 1.0),
        (lambda f: (f > 0.9) & (f < 1.05), 1.05),
        (lambda f: abs(f - 1) < 0.003, 0.997),  # as near on both sides: the lower
        (lambda f: f > 990, 990.0),
        (lambda f: f < 0.00105, 0.00105),
    ],
)
def test_nearest_factor_is_found_to_the_ends(holds: Callable[[Any], Any], expected: float) -> None:
    """Counted in steps of the grid from 1, down to a thousandth and up to a thousand."""
    assert nearest(holds) == pytest.approx(expected, rel=1e-11)


def config(tmp_path: Path, **fields: Any) -> ConfigFile:
    (path := tmp_path / "config.json").write_text(json.dumps(fields))
    return ConfigFile(path)


def test_whole_number_of_a_config_has_bounds(tmp_path: Path) -> None:
    """From 1 to a million, both taken; true is no number."""
    found = config(tmp_path, a=1, b=10**6, c=0, d=10**6 + 1, e=True)
    assert [found.count("a"), found.count("b")] == [1, 10**6]
    for field in "cde":
        with pytest.raises(InputError, match="a whole number from 1 to 1000000"):
            found.count(field)


def test_list_of_a_config_with_one_wrong_entry_is_refused(tmp_path: Path) -> None:
    found = config(tmp_path, numbers=[1, "2"], words=["a", 2])
    with pytest.raises(InputError, match="a list of layer numbers"):
        found.layers("numbers")
    with pytest.raises(InputError, match="a list of words"):
        found.words("words")


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        ({"ignore": ["lm_head", "model.layers.0.self_attn"]}, True),
        ({"ignore": None, "modules_to_not_convert": ["model.layers.0.self_attn.*"]}, True),
        ({"ignore": ["lm_head"]}, False),
        ("fp8", False),
    ],
)
def test_attention_is_kept_where_one_module_says_so(tmp_path: Path, stated: Any, kept: bool) -> None:
    assert config(tmp_path, quantization_config=stated).attention_kept is kept


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"quant_algo": "AWQ", "quant_method": "fp8"}, "weights in AWQ are"),
        ({"quant_method": "fp8"}, ""),
        ({"other": 1}, "weights in a format without a name are"),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "mxfp8",
                "config_groups": {"a": {"weights": {"type": "float", "num_bits": 8}}},
            },
            "weights in mxfp8 with activations in bf16 are",
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "mxfp8",
                "config_groups": {
                    "a": {
                        "weights": {"type": "float", "num_bits": 8},
                        "input_activations": {"type": "float", "num_bits": 8},
                    }
                },
            },
            "weights in mxfp8 with activations in fp8 are",
        ),
    ],
)
def test_format_that_is_not_modelled_is_named(tmp_path: Path, stated: Any, told: str) -> None:
    found = config(tmp_path, quantization_config=stated).untimed
    assert told in found
    assert bool(found) is bool(told)
