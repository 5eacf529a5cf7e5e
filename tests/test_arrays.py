"""A single number is computed as an array of it would be, and both as numpy does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cm384.physics import arrays

NUMBERS = [0.25, 1.0, 1.5, 2.0, 2.75, 4.0, 9.0]
POINTS, VALUES = [1.0, 2.0, 4.0], [10.0, 30.0, 20.0]


@pytest.mark.parametrize("name", ["ceil", "floor", "exp", "log", "log2", "sqrt"])
@pytest.mark.parametrize("x", NUMBERS)
def test_functions_of_one_number(name: str, x: float) -> None:
    alone, wide = getattr(arrays, name)(x), getattr(arrays, name)(np.array([x, x]))
    assert type(alone) is float
    assert alone == wide[0] == pytest.approx(getattr(np, name)(x), rel=1e-15)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("other", [1, 1.5, 2.0, np.nan])
@pytest.mark.parametrize("one", [1, 1.0, 2.0, 3, np.nan])
def test_larger_and_smaller(name: str, one: float, other: float) -> None:
    function, theirs = getattr(arrays, name), getattr(np, name)
    np.testing.assert_equal(function(one, other), theirs(one, other))
    np.testing.assert_equal(function(np.array([one]), other), theirs([one], other))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (0.0, 10.0),
        (1.0, 10.0),
        (1.25, 15.0),
        (2.0, 30.0),
        (3.0, 25.0),
        (4.0, 20.0),
        (5.0, 20.0),
        (np.nan, np.nan),
    ],
)
def test_lines_between_points(x: float, y: float) -> None:
    """By hand; flat before the first and after the last."""
    np.testing.assert_equal(arrays.interp(x, POINTS, VALUES), y)
    np.testing.assert_equal(arrays.interp(np.array([x]), POINTS, VALUES), [y])


@pytest.mark.parametrize(
    ("condition", "found"),
    [(True, 1.0), (False, 2.0), (np.array([True, False]), [1.0, 2.0]), (np.True_, 1.0)],
)
def test_one_or_the_other(condition: Any, found: Any) -> None:
    np.testing.assert_equal(arrays.where(condition, 1.0, 2.0), found)


def test_numbers_of_any_kind() -> None:
    assert [type(arrays.number(x)) for x in (1, 1.5, np.float64(2), np.array(3))] == [
        float,
        float,
        float,
        float,
    ]
    np.testing.assert_equal(arrays.number([1, 2]), np.array([1.0, 2.0]))
    assert [arrays.any(x) for x in (True, False, 0.0, np.array([0, 1]), np.zeros(2))] == [1, 0, 0, 1, 0]


@pytest.mark.parametrize("x", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays(x: float) -> None:
    np.testing.assert_equal([arrays.ceil(x), arrays.floor(x)], [x, x])
