"""The array functions of the physics, from one place: plain floats without numpy's overhead, else numpy.

What is computed with them branches on fields of a deployment and on which rows a table has, never on the
value of a row, so that a compiler's functions can stand in numpy's place (`xp`).
"""

import math
from bisect import bisect_right
from typing import Any

import numpy as np

xp: Any = np
inf, PLAIN = math.inf, frozenset({float, int, bool})


def number(value: Any) -> Any:
    """A float, or an array of floats; an array of no axes is a float."""
    if type(value) is float:
        return value
    if isinstance(value, float | int):
        return float(value)
    if xp is not np:
        return value
    found = np.asarray(value, dtype=float)
    return found if found.ndim else float(found)


def any(found: Any) -> bool:
    """Whether something is so anywhere; of what is still to be computed, that it may be."""
    if type(found) in PLAIN:
        return bool(found)
    return bool(np.any(found)) if xp is np else True


def where(condition: Any, one: Any, other: Any) -> Any:
    """The one where the condition holds, else the other."""
    if type(condition) is bool:
        return one if condition else other
    return xp.where(condition, one, other)[()]


def maximum(one: Any, other: Any) -> Any:
    """The larger; NaN if either is."""
    if type(one) in PLAIN and type(other) in PLAIN:
        return one if one >= other or one != one else other
    return xp.maximum(one, other)


def minimum(one: Any, other: Any) -> Any:
    """The smaller; NaN if either is."""
    if type(one) in PLAIN and type(other) in PLAIN:
        return one if one <= other or one != one else other
    return xp.minimum(one, other)


def interp(x: Any, points: Any, values: Any) -> Any:
    """Straight lines between points, flat beyond them."""
    if type(x) is not float:
        return xp.interp(x, xp.asarray(points, dtype=float), xp.asarray(values))
    if not points[0] <= x < points[-1]:
        return x if x != x else values[0 if x < points[0] else -1]
    i = bisect_right(points, x) - 1
    return (values[i + 1] - values[i]) / (points[i + 1] - points[i]) * (x - points[i]) + values[i]


def ceil(x: Any) -> Any:
    """The whole number above."""
    if type(x) is not float:
        return xp.ceil(x)
    return float(math.ceil(x)) if math.isfinite(x) else x


def floor(x: Any) -> Any:
    """The whole number below."""
    if type(x) is not float:
        return xp.floor(x)
    return float(math.floor(x)) if math.isfinite(x) else x


def exp(x: Any) -> Any:
    """The exponential."""
    return math.exp(x) if type(x) is float else xp.exp(x)


def log(x: Any) -> Any:
    """The natural logarithm, of more than 0."""
    return math.log(x) if type(x) is float else xp.log(x)


def log2(x: Any) -> Any:
    """The logarithm to the base of 2, of more than 0."""
    return math.log2(x) if type(x) is float else xp.log2(x)


def sqrt(x: Any) -> Any:
    """The square root, of 0 or more."""
    return math.sqrt(x) if type(x) is float else xp.sqrt(x)
