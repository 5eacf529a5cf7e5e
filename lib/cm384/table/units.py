"""Units: one Pint registry from our own short list of definitions, and how numbers are printed.

Bytes, operations (FLOP), tokens, accelerators, dollars and joules are dimensions here, so a byte
plus a count is an error, GB differs from GiB, and tokens/s/TFLOPS is what it should be: tokens per
TFLOP, the reciprocal of TFLOP per token.

>>> Q(4.45, "token/s/TFLOPS").to("token/TFLOP")
<Quantity(4.45, 'token / teraoperation')>
>>> print(round((1 / Q(4.45, "token/s/TFLOPS")).to("GFLOP/token"), 1))
224.7 gigaoperation / token
"""

from __future__ import annotations

import math
import re
import sys
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from cm384.table.errors import InputError

# Pint would import Dask, where there is one, for arrays that nothing here holds: a sixth of every start.
_hidden = sys.modules.setdefault("dask", None)  # type: ignore[arg-type]
import pint  # noqa: E402

if _hidden is None:
    del sys.modules["dask"]

registry: pint.UnitRegistry[Any] = pint.UnitRegistry(Path(__file__).with_name("units.txt"))
# Pint reads "GB/s" anew each time that it converts to it, and finds the factor on five ways round; here
# both are the same for good.
registry.parse_units_as_container = cache(registry.parse_units_as_container)  # type: ignore[method-assign]
_factor = cache(partial(registry.convert, 1.0))
registry.convert = lambda value, src, dst: value * _factor(src, dst)  # type: ignore
if TYPE_CHECKING:
    Quantity: TypeAlias = pint.Quantity[Any]
else:
    Quantity = registry.Quantity

# Units in which a reader expects a figure, smallest first, and how many of the larger one it takes
# to use it: people write 3.2 TB/s and 1,228.8 TB/s, but 1,504 TFLOPS and 288.8 PFLOPS.
_LADDERS = (
    (1, ("GB", "TB")),
    (1, ("GB/s", "TB/s")),
    (1, ("Gbit/s", "Tbit/s")),
    (10, ("TFLOPS", "PFLOPS", "EFLOPS")),
    (10, ("W", "kW", "MW")),
)

# Units that people write otherwise than Pint does.
SPOKEN = {
    **{f"{prefix}FLOP/s": f"{prefix}FLOPS" for prefix in ("G", "T", "P", "E")},
    "GUSD": "bn USD",
    "MUSD": "m USD",
    "TUSD": "tn USD",
    "token/accelerator/s": "tokens/s per accelerator",
    "token/s/TFLOPS": "tokens/s/TFLOPS",
    "d": "days",
    "token/s": "tokens/s",
    "Ttoken": "trillion tokens",
    "token/kUSD/s": "tokens/s per 1,000 USD",
    "token/J": "tokens/J",
    "USD/Mtoken": "USD per million tokens",
    "USD*s/token": "USD per token/s",
    "s*W/TB": "W per TB/s",
    "mm2": "mm²",
}


def Q(value: ArrayLike, unit: str) -> Quantity:
    """The quantity `value` × `unit`; `value` may be an array. Refuses an unknown unit by name.

    >>> print(round(Q(128, "GB").to("GiB"), 2))
    119.21 gibibyte
    >>> Q(1, "byte") + Q(1, "count")
    Traceback (most recent call last):
    ...
    pint.errors.DimensionalityError: Cannot convert from 'byte' ([data]) to 'count' (dimensionless)
    """
    return Quantity(np.asarray(value, dtype=float)[()], parse_unit(unit))


@cache
def parse_unit(unit: str) -> Any:
    """The unit that `unit` spells, such as "TB/s" or "token/s/TFLOPS"; refuses any other."""
    try:
        if not re.fullmatch(r"[\w/*^%. ()-]*", unit):
            raise ValueError  # Pint drops what follows a semicolon
        return registry.parse_units(unit)
    except Exception as error:  # Pint raises five kinds for a unit it cannot read
        raise InputError(f"unknown unit {unit!r}") from error


def plain(quantity: Quantity) -> Any:
    """The number of a quantity, or its array, in base units: seconds, bytes, FLOP.

    >>> plain(Q(2, "GB/s"))
    np.float64(2000000000.0)
    """
    return quantity.m * _base_units(quantity.units)


@cache
def _base_units(unit: Any) -> float:
    return float((1 * unit).to_base_units().m)


def same_kind(unit: str, other: str) -> bool:
    """Whether a value in `unit` can be expressed in `other`.

    >>> same_kind("Gbit/s", "GB/s"), same_kind("FLOP/s", "B/s")
    (True, False)
    """
    return bool(parse_unit(unit).dimensionality == parse_unit(other).dimensionality)


def sensible(quantity: Quantity, like: str = "") -> Quantity:
    """`quantity` in the unit a reader expects: 49.15 TB, 1,228.8 TB/s, 288.8 PFLOPS.

    `like` is a unit the quantity is usually given in; it decides between bits and bytes.

    >>> text(sensible(Q(49152, "GB"))), text(sensible(Q(1504, "TOPS")))
    ('49.15 TB', '1,504 TFLOPS')
    >>> text(sensible(Q(48, "count") * Q(8, "count"), "count"))
    '384'
    """
    if not (ladder := _ladder(quantity.units, like)):
        return quantity
    least, rungs, factors = ladder
    value = quantity.m
    size = abs(value) if isinstance(value, float) else np.max(np.abs(value))
    rung = sum(size * factor >= least for factor in factors[1:])
    return Quantity(value * factors[rung], rungs[rung])


@cache
def _ladder(unit: Any, like: str) -> tuple[float, tuple[Any, ...], tuple[float, ...]] | None:
    """The ladder that a unit stands on: its least number, its rungs, and what each is of the unit.

    A pure number stands on what it is usually given in alone; None where there is no ladder.
    """
    pure = [(math.inf, (like or "count",))] if unit.dimensionless else []
    for least, ladder in (*_LADDERS, *pure):
        same = unit.dimensionality == parse_unit(ladder[0]).dimensionality
        if same and ("bit" in ladder[0]) == ("bit" in like):
            rungs = tuple(map(parse_unit, ladder))
            return least, rungs, tuple(float((1 * unit).to(rung).m) for rung in rungs)
    return None


def number(value: float, digits: int = 4) -> str:
    """`value` to `digits` significant digits, with thousands separators and no exponent.

    Zeros at the end are kept where they say that digits were rounded away.

    >>> number(1228.8), number(3.5556, 3), number(0.000123), number(1.6042, 3), number(384.0)
    ('1,229', '3.56', '0.000123', '1.60', '384')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    exponent = int(f"{value:.{digits - 1}e}".split("e")[1])  # of the rounded value: 9.9996 is 10.00
    decimals = max(0, digits - 1 - exponent)
    rounded = f"{value:,.{decimals}f}"
    if decimals and abs(round(value, decimals) - value) <= 1e-9 * abs(value):
        return rounded.rstrip("0").rstrip(".")
    return rounded


def rough(value: float, digits: int = 2) -> str:
    """`value` as prose says it: rounded to two significant digits, before the point too.

    >>> rough(2025.3), rough(0.4159), rough(47.41), rough(559.4, 3)
    ('2,000', '0.42', '47', '559')
    """
    return number(float(f"{value:.{digits - 1}e}"), digits)


def percent(value: float, digits: int = 0, sign: str = "-") -> str:
    """A share or an error as a reader sees it.

    >>> percent(0.505, 1), percent(0.0973, sign="+"), percent(0.6 / 1.6), percent(-0.15), percent(-0.004)
    ('50.5 %', '+10 %', '38 %', '−15 %', '0 %')
    """
    exact = round(100 * value, 9)  # 37.5, not 37.49999999999999 by the last bit of a division
    told = f"{exact:{sign}.{digits}f}"
    return f"{told.lstrip('+-') if float(told) == 0 else told} %".replace("-", "−")


def deviation(derived: Quantity, stated: Quantity) -> str:
    """How far a derived figure lies from a stated one, in per cent.

    >>> deviation(Q(3276.8, "GB/s"), Q(3.2, "TB/s")), deviation(Q(707.79, "TFLOPS"), Q(707.8, "TFLOPS"))
    ('+2.4 %', '0.0 %')
    """
    return percent(float((derived / stated).to_base_units().m) - 1, 1, "+")


def text(quantity: Quantity, digits: int = 4) -> str:
    """A quantity as a reader sees it: the number and a short unit.

    >>> text(Q(49.152, "TB")), text(Q(4.447, "token/s/TFLOPS")), text(Q(3, "count"))
    ('49.15 TB', '4.447 tokens/s/TFLOPS', '3')
    """
    return f"{number(float(quantity.m), digits)} {unit_text(quantity.units)}".strip()


@cache
def unit_text(unit: Any) -> str:
    """The short form of a unit: "TB/s", "FLOP/B"; nothing for a pure number."""
    if unit == registry.count or unit == registry.dimensionless:
        return ""
    short = f"{unit:~}".replace(" ", "").replace("**", "^")
    return SPOKEN.get(short, short)
