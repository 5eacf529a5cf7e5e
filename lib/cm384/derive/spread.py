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

from cm384.derive.derivation import Figure, Working, trace
from cm384.table import units
from cm384.table.draws import choices, picked
from cm384.table.errors import InputError
from cm384.table.frames import pd
from cm384.table.records import Key, key_name
from cm384.table.specs import Specs
from cm384.table.units import Quantity

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


def span(
    figure: Figure, specs: Specs, limit: int = LIMIT, seed: int = SEED, worked: Working | None = None
) -> Span:
    """A figure over the sourced combinations of the rows it reads; `worked` is its trace, where it is known.

    >>> from cm384 import derive, load_specs
    >>> peak = lambda specs: derive("peak", "ascend-910c", specs, precision="bf16")
    >>> found = span(peak, load_specs())
    >>> print(found.low, found.central, found.high)
    752.0 teraoperation_rate 752.0 teraoperation_rate 800.0 teraoperation_rate
    """
    found = worked or trace(figure, specs)
    central = found.value
    if np.ndim(central.m):
        raise InputError("a span needs one value a row; this table holds several")
    keys = tuple(row.key for row in found.rows if row.key not in specs.drawn)
    picks, exhaustive = combinations(specs, keys, limit, seed)
    # A row with one source stays a single number: a count of ranks is no array of the same one.
    disputed = [(i, key) for i, key in enumerate(keys) if picks[:, i].any()]
    drawn = {key: specs.options(key)[picks[:, i]] for i, key in disputed}
    result = figure(specs.replace(drawn)).to(central.units).m
    values = np.broadcast_to(result, len(picks)).astype(float)
    low, high = (units.Quantity(edge, central.units) for edge in (values.min(), values.max()))
    return Span(central, low, high, values, keys, picks, exhaustive)


def combinations(
    specs: Specs, keys: Sequence[Key], limit: int = LIMIT, seed: int = SEED
) -> tuple[np.ndarray, bool]:
    """Which statement of each key every combination takes, an array (combination, key).

    All of them when there are at most `limit`, else the central one and that many draws, less one;
    also says which. The first is the central one. Rows of one group go together.
    """
    blocks = choices(specs.rows, specs.groups, keys)
    place = {key: i for i, key in enumerate(keys)}
    options = [block.options[:, [key in place for key in block.keys]] for block in blocks]
    several = zip(blocks, options, strict=True)
    distinct = [np.unique(taken, axis=0) if len(block.keys) > 1 else taken for block, taken in several]
    sizes = [len(statements) for statements in distinct]
    count = math.prod(sizes)
    exhaustive = count <= limit
    if exhaustive:
        options, picks = distinct, list(np.indices(sizes).reshape(len(sizes), count))
    else:
        count, picks = limit, [np.append(0, picked(block, limit - 1, seed)) for block in blocks]
    found = np.zeros((count, len(keys)), dtype=int)
    for block, statements, pick in zip(blocks, options, picks, strict=True):
        found[:, [place[key] for key in block.keys if key in place]] = statements[pick]
    return found, exhaustive


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

    @property
    def distance(self) -> float:
        """How far the row has to move, on a log scale; infinite if no value does it."""
        if self.value is None:
            return np.inf
        return abs(float(np.log((self.value / self.central).to_base_units().m)))

    def __str__(self) -> str:
        name = key_name(self.key)
        low, high = units.text(self.low), units.text(self.high)
        sourced = f"only {low}" if self.low == self.high else f"{low} to {high}"
        if self.value is None:
            return f"no value of {name} reaches it (sources state {sourced})"
        factor = units.number(float((self.value / self.central).to_base_units().m), 3)
        inside = self.low <= self.value <= self.high
        return (
            f"{name} would have to be {units.text(self.value)}, {factor} times the central "
            f"{units.text(self.central)}; sources state {sourced}"
            f"{', so it is within them' if inside else ', so none reaches it'}"
        )


def nearest(holds: Callable[[np.ndarray], np.ndarray]) -> float:
    """The factor nearest to 1 at which a predicate of factors turns; NaN if it never does.

    Searched from a thousandth to a thousand, in ever finer steps, and rounded to twelve digits. `holds`
    takes an array of factors and gives as many truth values.

    >>> nearest(lambda factors: factors > 1.25)
    1.25
    """
    grid = np.geomspace(1e-3, 1e3, 1201)
    middle = len(grid) // 2
    held = holds(grid)
    turned = np.flatnonzero(held != held[middle])
    if not len(turned):
        return np.nan
    first = int(min(turned, key=lambda i: abs(int(i) - middle)))
    last, factor = grid[first - np.sign(first - middle)], grid[first]
    for _ in range(4):
        fine = np.geomspace(last, factor, 1001)
        edge = int(np.flatnonzero(holds(fine) != held[middle])[0])
        last, factor = fine[max(edge - 1, 0)], fine[edge]
    return float(f"{factor:.12g}")


def solve_for(figure: Figure, specs: Specs, key: Key, target: Quantity) -> Solution:
    """The value of one row nearest to its central one at which the figure equals `target`.

    Refuses a row that the figure does not read.

    >>> from cm384 import ratio, load_specs
    >>> compute = lambda s: ratio("peak", "cloudmatrix-384", "gb200-nvl72", s, precision="bf16")
    >>> key = load_specs().find("ascend-910c", "peak", precision="bf16")
    >>> print(units.text(solve_for(compute, load_specs(), key, units.Q(2, "count")).value))
    937.5 TFLOPS
    """
    found = trace(figure, specs)
    unit = found.value.units
    if key not in (row.key for row in found.rows):
        read = ", ".join(row.name for row in found.rows)
        raise InputError(f"the figure does not read {key_name(key)}; it reads: {read}")
    row, goal = specs.rows[key][0], float(target.to(unit).m)

    held = bool(found.value.m >= goal)

    def reaches(factors: np.ndarray) -> np.ndarray:
        values = figure(specs.replace({key: row.value * factors})).to(unit).m
        # What cannot run reaches nothing and gives nothing up: the value lies elsewhere.
        return np.broadcast_to(np.where(np.isnan(values), held, values >= goal), factors.shape)

    factor = 1.0 if float(found.value.m) == goal else nearest(reaches)
    value = units.Q(row.value * factor, row.unit) if np.isfinite(factor) else None
    options = specs.options(key)
    low, high = (units.Q(edge, row.unit) for edge in (options.min(), options.max()))
    return Solution(key, value, row.amount, low, high)


def tornado(figure: Figure, specs: Specs) -> pd.DataFrame:
    """How far each disputed row alone moves a figure: one line a row, the widest first.

    Columns: row, low and high of the figure over that row's sourced values, and their spread as a
    share of the central figure. Rows of which sources agree are left out.
    """
    found = trace(figure, specs)
    central = found.value
    keys = [row.key for row in found.rows if row.key not in specs.drawn]
    lines = []
    for key in keys:
        if len(specs.rows[key]) > 1:
            alone = figure(specs.replace({key: specs.options(key)})).to(central.units).m
            low, high = float(np.min(alone)), float(np.max(alone))
            lines.append((key_name(key), low, high, (high - low) / float(central.m)))
    table = pd.DataFrame(lines, columns=["row", "low", "high", "spread"])
    return table.sort_values("spread", ascending=False, kind="stable", ignore_index=True)


def sobol(figure: Figure, specs: Specs, samples: int = 1024, seed: int = SEED) -> pd.DataFrame:
    """How much of a figure's variance over the sources each disputed block of rows explains.

    Columns: rows (those drawn together), first (alone) and total (with its interactions); widest
    first. Estimated by scipy.stats.sobol_indices from `samples` (a power of 2) seeded points.
    """
    from scipy import stats

    found = trace(figure, specs)
    unit = found.value.units
    keys = [row.key for row in found.rows if row.key not in specs.drawn]
    disputed = [block for block in choices(specs.rows, specs.groups, keys) if len(block.options) > 1]
    if not disputed:
        return pd.DataFrame(columns=["rows", "first", "total"])

    def evaluate(points: np.ndarray) -> np.ndarray:
        drawn: dict[Key, np.ndarray] = {}
        for point, block in zip(points, disputed, strict=True):
            picks = block.options[(point * len(block.options)).astype(int)]
            pairs = zip(block.keys, picks.T, strict=True)
            drawn |= {key: specs.options(key)[pick] for key, pick in pairs if key not in specs.drawn}
        values = figure(specs.replace(drawn)).to(unit).m
        # Twice, because scipy cannot take a figure with one row and no variance.
        return np.broadcast_to(values, (2, *points.shape[1:])).astype(float)

    shares = stats.sobol_indices(func=evaluate, n=samples, dists=[stats.uniform()] * len(disputed), rng=seed)
    names = ["; ".join(map(key_name, block.keys)) for block in disputed]
    first, total = np.reshape([shares.first_order, shares.total_order], (2, 2, -1))[:, 0]
    table = pd.DataFrame({"rows": names, "first": first, "total": total})
    return table.sort_values("total", ascending=False, kind="stable", ignore_index=True)
