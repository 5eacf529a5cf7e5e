"""The array functions of the physics, from one place, so that a compiler's can stand in for them.

What is computed here branches on fields of a deployment and on which rows a table has, never on the
value of a row.
"""

from __future__ import annotations

from numpy import (
    any,
    asarray,
    ceil,
    exp,
    floor,
    hypot,
    inf,
    interp,
    log,
    log2,
    maximum,
    minimum,
    nan,
    ones_like,
    sqrt,
    where,
)

__all__ = [
    "any",
    "asarray",
    "ceil",
    "exp",
    "floor",
    "hypot",
    "inf",
    "interp",
    "log",
    "log2",
    "maximum",
    "minimum",
    "nan",
    "ones_like",
    "sqrt",
    "where",
]
