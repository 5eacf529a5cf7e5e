"""How far the sources disagree: a figure over every combination of the values they state.

The spread is disagreement between sources, not statistical error. Only the rows that a figure reads
are expanded, and both sides of a ratio come from one table, so intervals are never divided.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cm384 import units
from cm384.specs import Key, Row, Specs, key_name

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
    traced = specs.traced()
    central = figure(traced)
    assert traced.trace is not None
    keys = tuple(key for key in traced.trace.keys if key not in specs.drawn)
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
    blocks = [(block, consistent(specs, block)) for block in linked(specs, keys)]
    sizes = [len(rows) for _, rows in blocks]
    exhaustive = math.prod(sizes) <= limit
    if exhaustive:
        picks = list(np.indices(sizes).reshape(len(sizes), -1)) if sizes else []
    else:
        picks = [_picks(block, len(rows), limit, seed) for block, rows in blocks]
    count = math.prod(sizes) if exhaustive else limit
    choices = np.zeros((count, len(keys)), dtype=int)
    for (block, rows), pick in zip(blocks, picks, strict=True):
        choices[:, [keys.index(key) for key in block]] = rows[pick]
    return choices, exhaustive


def _picks(block: Sequence[Key], options: int, count: int, seed: int) -> np.ndarray:
    """Draws seeded by the block's own first row, so that other rows do not change them."""
    generator = np.random.default_rng([seed, zlib.crc32(key_name(block[0]).encode())])
    picks = generator.integers(options, size=count)
    picks[0] = 0
    return picks


def linked(specs: Specs, keys: Sequence[Key]) -> list[list[Key]]:
    """The keys in blocks, those whose rows share a group in one block."""
    blocks: list[tuple[set[str], list[Key]]] = []
    for key in keys:
        groups = {row.group for row in specs.rows[key]} - {""}
        joined = [block for block in blocks if block[0] & groups]
        blocks = [block for block in blocks if block not in joined]
        members = [member for _, block in joined for member in block]
        blocks.append((groups.union(*(names for names, _ in joined)), [*members, key]))
    return [block for _, block in blocks]


def consistent(specs: Specs, block: Sequence[Key]) -> np.ndarray:
    """The choices that split no group: an array (choice, key of the block), central first.

    The all-central choice is always one: which values are central is this project's decision.
    """
    statements = [specs.rows[key] for key in block]
    everything = itertools.product(*(range(len(rows)) for rows in statements))
    kept = [pick for pick in everything if not any(pick) or not _splits(statements, pick)]
    return np.array(kept, dtype=int)


def _splits(statements: Sequence[Sequence[Row]], pick: Sequence[int]) -> bool:
    taken = {rows[i].group for rows, i in zip(statements, pick, strict=True)} - {""}
    return any(
        any(row.group == group for row in rows) and rows[i].group != group
        for group in taken
        for rows, i in zip(statements, pick, strict=True)
    )
