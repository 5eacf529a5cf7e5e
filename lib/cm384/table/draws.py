"""One sourced value per row: which statements go together, and seeded draws of them.

Rows of one group are taken together or not at all, among the rows that have a choice. A draw is
seeded by the row (the first of its group) and by the block of samples, so that adding a row changes
no other draw and a long sample begins with the short one.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cm384.table.records import Key, Row

    Rows = Mapping[Key, tuple[Row, ...]]
    Groups = Mapping[str, frozenset[Key]]

BLOCK = 10_000  # samples of one seed


class Draws(Mapping["Key", Any]):
    """Values of every key of a table, `count` samples each, drawn when they are first asked for.

    Samples `start` to `start + count` of the sequence that `seed` gives; `start` is a multiple of
    the block size.
    """

    def __init__(
        self, rows: Rows, groups: Groups, options: Any, count: int, seed: int, start: int = 0
    ) -> None:
        self._rows, self._groups, self._options = rows, groups, options
        self._count, self._seed, self._start = count, seed, start
        self._values: dict[Key, Any] = {}

    def __getitem__(self, key: Key) -> Any:
        if key not in self._values:
            (block,) = choices(self._rows, self._groups, [key])
            single = len(block.options) == 1  # one source each: a single number for all samples
            picks = 0 if single else picked(block, self._count, self._seed, self._start)
            for column, member in enumerate(block.keys):
                self._values[member] = self._options(member)[block.options[picks, column]]
        return self._values[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


@dataclass(frozen=True)
class Block:
    """Keys whose statements go together, and which of them do: an array (option, key).

    The first option is the central one, which is always there: what is central is our decision.
    """

    keys: tuple[Key, ...]
    options: np.ndarray


def by_group(rows: Rows) -> Groups:
    """The keys that have a row of each group."""
    found: dict[str, set[Key]] = {}
    for key, statements in rows.items():
        for row in statements:
            if row.group:
                found.setdefault(row.group, set()).add(key)
    return {group: frozenset(keys) for group, keys in found.items()}


def choices(rows: Rows, groups: Groups, keys: Sequence[Key]) -> list[Block]:
    """The blocks in which the statements of some keys are chosen: for spans, draws and indices.

    A block holds all keys of the table that share a group, directly or through others, whether they
    are asked for or not.
    """
    found: dict[tuple[Key, ...], None] = {}
    taken: set[Key] = set()
    for key in keys:
        if key not in taken:
            block = block_of(rows, groups, key)
            taken |= {*block}
            found[tuple(block)] = None
    return [Block(block, consistent([rows[key] for key in block])) for block in found]


def picked(block: Block, count: int, seed: int, start: int = 0) -> np.ndarray:
    """Which option of a block each sample takes, from `start`, a multiple of the block size."""
    name = zlib.crc32("|".join(block.keys[0]).encode())
    drawn = [
        np.random.default_rng([seed, name, at // BLOCK]).integers(
            len(block.options), size=min(BLOCK, start + count - at)
        )
        for at in range(start, start + count, BLOCK)
    ]
    return np.concatenate(drawn)


def block_of(rows: Rows, groups: Groups, key: Key) -> list[Key]:
    """The keys whose rows share a group with those of `key`, directly or through others."""
    members, new = {key}, {key}
    while new:
        named = {row.group for member in new for row in rows[member] if row.group}
        new = set().union(*(groups[group] for group in named)) - members
        members |= new
    return sorted(members)


def consistent(statements: Sequence[Sequence[Row]]) -> np.ndarray:
    """The choices of one statement per key that split no group: an array (choice, key).

    The first is the central one, which is always a choice: what is central is our decision.
    """
    if len(statements) == 1:
        return np.arange(len(statements[0]))[:, None]
    everything = itertools.product(*(range(len(rows)) for rows in statements))
    kept = [pick for pick in everything if not any(pick) or not _splits(statements, pick)]
    return np.array(kept, dtype=int)


def _splits(statements: Sequence[Sequence[Row]], pick: Sequence[int]) -> bool:
    """Whether one key takes a group that another one has and does not take.

    A key with a single statement has no choice, so it binds no other.
    """
    free = [(rows, rows[i].group) for rows, i in zip(statements, pick, strict=True) if len(rows) > 1]
    taken = {group for _, group in free} - {""}
    return any(
        group != other and any(row.group == other for row in rows) for rows, group in free for other in taken
    )
