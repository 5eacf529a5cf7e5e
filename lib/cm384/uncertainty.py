"""How far the sources disagree: a figure over every combination of the values they state.

The spread is disagreement between sources, not statistical error. Only the rows that a figure reads
are expanded, and both sides of a ratio come from one table, so intervals are never divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.draws import block_of, consistent, linked, picked
from cm384.errors import InputError
from cm384.specs import Key, Specs, key_name

Figure = Callable[[Specs], Any]

LIMIT = 10_000  # combinations evaluated in full; beyond it, as many seeded draws
SEED = 384


@dataclass(frozen=True)
class Span:
    """A figure at the central values and over all combinations of the sources.

    `central`, `low` and `high` are quantities in one unit; `values` holds all of them, one a
    combination, in that unit, the central one first; `keys` are the rows that were read and
    `choices` which statement of each a combination takes (0 is the central one).
    """

    central: Any
    low: Any
    high: Any
    values: np.ndarray
    keys: tuple[Key, ...]
    choices: np.ndarray
    exhaustive: bool

    @property
    def method(self) -> str:
        """How the combinations were formed, for the page to say."""
        count = len(self.values)
        if count == 1:
            return "one source each"
        return f"all {count:,} combinations" if self.exhaustive else f"{count:,} seeded draws"


def span(figure: Figure, specs: Specs, limit: int = LIMIT, seed: int = SEED) -> Span:
    """A figure over the sourced combinations of the rows it reads.

    >>> from cm384 import derive, load_specs
    >>> peak = lambda specs: derive("peak", "ascend-910c", specs, precision="bf16")
    >>> found = span(peak, load_specs())
    >>> print(found.low, found.central, found.high)
    752.0 teraoperation_rate 752.0 teraoperation_rate 800.0 teraoperation_rate
    """
    traced, trace = specs.traced()
    central = figure(traced)
    keys = tuple(key for key in trace.keys if key not in specs.drawn)
    choices, exhaustive = combinations(specs, keys, limit, seed)
    drawn = {key: specs.options(key)[choices[:, i]] for i, key in enumerate(keys)}
    result = figure(specs.replace(drawn)).to(central.units).m
    values = np.broadcast_to(result, len(choices)).astype(float)
    low, high = (units.Quantity(edge, central.units) for edge in (values.min(), values.max()))
    return Span(central, low, high, values, keys, choices, exhaustive)


def combinations(
    specs: Specs, keys: Sequence[Key], limit: int = LIMIT, seed: int = SEED
) -> tuple[np.ndarray, bool]:
    """Which statement of each key every combination takes, an array (combination, key).

    All of them when there are at most `limit`, else the central one and that many draws, less one;
    also says which. The first is the central one. Rows of one group go together.
    """
    blocks = linked(specs.rows, keys)
    options = [consistent([specs.rows[key] for key in block]) for block in blocks]
    sizes = [len(rows) for rows in options]
    exhaustive = math.prod(sizes) <= limit
    if exhaustive:
        picks = list(np.indices(sizes).reshape(len(sizes), -1)) if sizes else []
    else:
        picks = [
            np.append(0, picked(block[0], len(rows), limit - 1, seed))
            for block, rows in zip(blocks, options, strict=True)
        ]
    choices = np.zeros((math.prod(sizes) if exhaustive else limit, len(keys)), dtype=int)
    for block, rows, pick in zip(blocks, options, picks, strict=True):
        choices[:, [keys.index(key) for key in block]] = rows[pick]
    return choices, exhaustive


@dataclass(frozen=True)
class Solution:
    """The value of one row at which a figure reaches a target; `value` is None if none does.

    `low` and `high` are the sourced values of that row, `central` the one this project uses.
    """

    key: Key
    value: Any
    central: Any
    low: Any
    high: Any

    def __str__(self) -> str:
        name = f"{key_name(self.key)}"
        sourced = f"{units.text(self.low)} to {units.text(self.high)}"
        if self.low == self.high:
            sourced = f"only {units.text(self.low)}"
        if self.value is None:
            return f"no value of {name} reaches it (sources state {sourced})"
        factor = units.number(float((self.value / self.central).to_base_units().m), 3)
        inside = self.low <= self.value <= self.high
        return (
            f"{name} would have to be {units.text(self.value)}, {factor} times the central "
            f"{units.text(self.central)}; sources state {sourced}"
            f"{', so it is within them' if inside else ', so none reaches it'}"
        )


def solve_for(figure: Figure, specs: Specs, key: Key, target: Any) -> Solution:
    """The value of one row nearest to its central one at which the figure equals `target`.

    Searched from a thousandth to a thousand times the central value; refuses a row that the figure
    does not read. Root finding by scipy.optimize.brentq on the logarithm of the value.

    >>> from cm384 import ratio, load_specs
    >>> compute = lambda s: ratio("peak", "cloudmatrix-384", "gb200-nvl72", s, precision="bf16")
    >>> key = load_specs().find("ascend-910c", "peak", precision="bf16")
    >>> print(units.text(solve_for(compute, load_specs(), key, units.Q(2, "count")).value))
    937.5 TFLOPS
    """
    from scipy.optimize import brentq

    traced, trace = specs.traced()
    unit = figure(traced).units
    if key not in trace.keys:
        read = ", ".join(key_name(k) for k in trace.keys)
        raise InputError(f"the figure does not read {key_name(key)}; it reads: {read}")
    row, goal = specs.rows[key][0], float(target.to(unit).m)

    def gap(log_factor: Any) -> Any:
        changed = specs.replace({key: row.value * np.exp(log_factor)})
        return np.asarray(figure(changed).to(unit).m) - goal

    grid = np.log(np.geomspace(1e-3, 1e3, 1201))
    signs = np.sign(np.broadcast_to(gap(grid), grid.shape))
    crossings = np.flatnonzero(signs[:-1] * signs[1:] <= 0)
    value = None
    if len(crossings):
        i = min(crossings, key=lambda i: abs(grid[i]))
        edge = grid[i] if signs[i] == 0 else None
        root = edge if edge is not None else brentq(gap, grid[i], grid[i + 1], xtol=1e-12)
        value = units.Q(row.value * np.exp(root), row.unit)
    options = specs.options(key)
    low, high = (units.Q(edge, row.unit) for edge in (options.min(), options.max()))
    return Solution(key, value, row.amount, low, high)


def tornado(figure: Figure, specs: Specs) -> pd.DataFrame:
    """How far each disputed row alone moves a figure: one line a row, the widest first.

    Columns: row, low and high of the figure over that row's sourced values, and their spread as a
    share of the central figure. Rows of which sources agree are left out.
    """
    traced, trace = specs.traced()
    central = figure(traced)
    lines = []
    for key in trace.keys:
        values = specs.options(key)
        if len(values) == 1 or key in specs.drawn:
            continue
        found = np.broadcast_to(
            figure(specs.replace({key: values})).to(central.units).m, values.shape
        )
        low, high = float(found.min()), float(found.max())
        lines.append(
            {
                "row": key_name(key),
                "low": low,
                "high": high,
                "spread": (high - low) / float(central.m),
            }
        )
    table = pd.DataFrame(lines, columns=["row", "low", "high", "spread"])
    return table.sort_values("spread", ascending=False, kind="stable", ignore_index=True)


def sobol(figure: Figure, specs: Specs, samples: int = 1024, seed: int = SEED) -> pd.DataFrame:
    """How much of a figure's variance over the sources each disputed block of rows explains.

    Columns: rows (those drawn together), first (alone) and total (with its interactions); widest
    first. Estimated by scipy.stats.sobol_indices from `samples` (a power of 2) seeded points.
    """
    from scipy import stats

    traced, trace = specs.traced()
    unit = figure(traced).units
    blocks = [block_of(specs.rows, key) for key in trace.keys if key not in specs.drawn]
    blocks = [block for i, block in enumerate(blocks) if block not in blocks[:i]]
    choices = [consistent([specs.rows[key] for key in block]) for block in blocks]
    disputed = [(b, c) for b, c in zip(blocks, choices, strict=True) if len(c) > 1]
    columns = ["rows", "first", "total"]
    if not disputed:
        return pd.DataFrame(columns=columns)

    def evaluate(points: np.ndarray) -> np.ndarray:
        drawn: dict[Key, np.ndarray] = {}
        for point, (block, options) in zip(points, disputed, strict=True):
            picks = options[(point * len(options)).astype(int)]
            values_of = {key: specs.options(key)[picks[:, i]] for i, key in enumerate(block)}
            drawn |= {key: v for key, v in values_of.items() if key not in specs.drawn}
        values = figure(specs.replace(drawn)).to(unit).m
        # Twice, because scipy cannot take a figure with one row and no variance.
        return np.broadcast_to(values, (2, *points.shape[1:])).astype(float)

    found = stats.sobol_indices(
        func=evaluate, n=samples, dists=[stats.uniform()] * len(disputed), rng=seed
    )
    names = ["; ".join(key_name(key) for key in block) for block, _ in disputed]
    table = pd.DataFrame(
        dict(
            zip(
                columns,
                (names, *np.reshape([found.first_order, found.total_order], (2, 2, -1))[:, 0]),
                strict=True,
            )
        )
    )
    return table.sort_values("total", ascending=False, kind="stable", ignore_index=True)
