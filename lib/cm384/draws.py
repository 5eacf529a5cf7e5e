"""One sourced value per row: which statements go together, and seeded draws of them.

Rows of one group are taken together or not at all, among the rows that have a choice. A draw is
seeded by the row (the first of its group) and by the block of samples, so that adding a row changes
no other draw and a long sample begins with the short one.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cm384.specs import Key, Row

    Rows = Mapping[Key, tuple[Row, ...]]

BLOCK = 10_000  # samples of one seed


class Draws(Mapping["Key", Any]):
    """Values of every key of a table, `count` samples each, drawn when they are first asked for.

    Samples `start` to `start + count` of the sequence that `seed` gives; `start` is a multiple of
    the block size.
    """

    def __init__(self, rows: Rows, options: Any, count: int, seed: int, start: int = 0) -> None:
        self._rows, self._options = rows, options
        self._count, self._seed, self._start = count, seed, start
        self._values: dict[Key, np.ndarray] = {}

    def __getitem__(self, key: Key) -> np.ndarray:
        if key not in self._values:
            keys = block_of(self._rows, key)
            choices = consistent([self._rows[member] for member in keys])
            picks = picked(keys[0], len(choices), self._count, self._seed, self._start)
            for column, member in enumerate(keys):
                self._values[member] = self._options(member)[choices[picks, column]]
        return self._values[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def picked(key: Key, options: int, count: int, seed: int, start: int = 0) -> np.ndarray:
    """Which of the options of a row each sample takes, from `start`, a multiple of the block."""
    name = zlib.crc32("|".join(key).encode())
    blocks = [
        np.random.default_rng([seed, name, i]).integers(options, size=BLOCK)
        for i in range(start // BLOCK, -(-(start + count) // BLOCK))
    ]
    return np.concatenate(blocks)[:count]


def block_of(rows: Rows, key: Key) -> list[Key]:
    """The keys whose rows share a group with those of `key`, directly or through others."""
    members, groups = [key], _groups(rows, key)
    while groups:
        joined = [k for k in rows if k not in members and _groups(rows, k) & groups]
        if not joined:
            break
        members += joined
        groups |= set().union(*(_groups(rows, k) for k in joined))
    return sorted(members)


def linked(rows: Rows, keys: Sequence[Key]) -> list[list[Key]]:
    """Some keys in blocks, those whose rows share a group in one block."""
    blocks: list[tuple[set[str], list[Key]]] = []
    for key in keys:
        groups = _groups(rows, key)
        joined = [block for block in blocks if block[0] & groups]
        blocks = [block for block in blocks if block not in joined]
        members = [member for _, block in joined for member in block]
        blocks.append((groups.union(*(names for names, _ in joined)), [*members, key]))
    return [block for _, block in blocks]


def consistent(statements: Sequence[Sequence[Row]]) -> np.ndarray:
    """The choices of one statement per key that split no group: an array (choice, key).

    The first is the central one, which is always a choice: what is central is our decision.
    """
    everything = itertools.product(*(range(len(rows)) for rows in statements))
    kept = [pick for pick in everything if not any(pick) or not _splits(statements, pick)]
    return np.array(kept, dtype=int)


def _groups(rows: Rows, key: Key) -> set[str]:
    return {row.group for row in rows[key]} - {""}


def _splits(statements: Sequence[Sequence[Row]], pick: Sequence[int]) -> bool:
    """Whether one key takes a group that another one has and does not take.

    A key with a single statement has no choice, so it binds no other.
    """
    free = [
        (rows, rows[i].group) for rows, i in zip(statements, pick, strict=True) if len(rows) > 1
    ]
    taken = {group for _, group in free} - {""}
    return any(
        group != other and any(row.group == other for row in rows)
        for rows, group in free
        for other in taken
    )
