"""Readings as figures: what each gives over all that sources state, and what is missing for the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cm384.derive.derivation import Working, trace
from cm384.derive.spread import Span, span
from cm384.ledger.claims import Claim
from cm384.ledger.readings import Reading
from cm384.physics.check import ModelError, model_error
from cm384.physics.served import MODELLED
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.records import Key
from cm384.table.specs import Specs, once

LEAST = 0.05  # of the combinations that must reach a claim


@dataclass(frozen=True)
class Spread:
    """What the sources make of a reading, in the unit of the claim.

    `values` are all combinations of the sources, printed totals of systems among them, `best` those in
    which every row is of the best class of document that it has, `ends` the lowest and the highest that
    the makers' own documents allow.
    """

    span: Span
    values: np.ndarray
    best: np.ndarray
    ends: tuple[float, float]


@dataclass(frozen=True)
class Attempt:
    """A reading and what it gives, in the unit of the claim: how it came about, and its spread if asked."""

    reading: Reading
    unit: str
    table: Specs
    worked: Working

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The rows that were read."""
        return tuple(row.key for row in self.worked.rows if row.key not in self.table.drawn)

    @property
    def spread(self) -> Spread:
        """The reading over the sources; refuses one that no source allows."""
        return once(_spread, self.table, self.reading, self.unit)

    @property
    def span(self) -> Span:
        """The figure over all combinations of the sources."""
        return self.spread.span

    @property
    def values(self) -> np.ndarray:
        """The figure in each combination, and by printed totals."""
        return self.spread.values

    @property
    def best(self) -> np.ndarray:
        """Which combinations are of the best documents."""
        return self.spread.best

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest figure by the makers' own documents."""
        return self.spread.ends

    @property
    def central(self) -> float:
        """The figure at the central values."""
        return float(self.worked.value.m)

    @property
    def edges(self) -> tuple[float, float]:
        """The lowest and the highest figure that the sources allow."""
        return float(self.values.min()), float(self.values.max())

    @property
    def text(self) -> str:
        """The central figure as a reader sees it."""
        return units.text(self.worked.value)

    def __str__(self) -> str:
        return f"{self.reading.text} = {self.text}"

    def figure(self, specs: Specs) -> Any:
        """The figure on another table."""
        return self.reading.figure(specs).to(self.worked.value.units)

    def holds(self, claim: Claim) -> bool:
        """Whether the central value falls in the interval, and so do both ends of the makers' documents."""
        return bool(np.all(claim.printed.holds(np.array([self.central, *self.ends]))))

    def share(self, claim: Claim) -> float:
        """The share of the best combinations that reach the claim, or lie beyond it where two enclose it."""
        values, target = self.values[self.best], claim.printed
        reached = float(np.mean(target.holds(values)))
        if reached or not (values.min() < target.low and target.high < values.max()):
            return reached
        beyond = values > target.value if self.central < target.value else values < target.value
        return float(np.mean(beyond))

    def reached(self, claim: Claim) -> bool:
        """Whether enough of the best combinations reach the claim."""
        return self.share(claim) >= LEAST

    def fits(self, claim: Claim) -> bool:
        """Whether the claim holds on this reading, or enough of its combinations reach it."""
        return bool(claim.printed.holds(self.central)) or self.reached(claim)


def tried(reading: Reading, unit: str, specs: Specs) -> Attempt:
    """A reading derived; refuses one that no source allows."""
    worked = once(_worked, specs, reading, unit)
    if isinstance(worked, str):
        raise InputError(worked)
    return Attempt(reading, unit, specs, worked)


def _worked(specs: Specs, reading: Reading, unit: str) -> Working | str:
    """How a reading came about, or why it did not."""
    target = units.parse_unit(unit or "count")
    try:
        return trace(lambda table: reading.figure(table).to(target), specs)
    except InputError as error:
        return str(error)


def _spread(specs: Specs, reading: Reading, unit: str) -> Spread:
    attempt = tried(reading, unit, specs)
    found = span(attempt.figure, specs, worked=attempt.worked)
    best, makers = (np.ones(len(found.values), dtype=bool) for _ in range(2))
    for key, picks in zip(found.keys, found.choices.T, strict=True):
        if len(specs.rows[key]) == 1:
            continue
        ranks = np.array([specs.standing(row) for row in specs.rows[key]])
        own = np.array([specs.by_maker(row) for row in specs.rows[key]])
        best &= (ranks[picks] == ranks.min()) | (picks == 0)
        makers &= own[picks] | (picks == 0)
    values, ends = found.values, found.values[makers]
    asked = {(name, key[1]) for name in (reading.subject, reading.comparator) for key in found.keys}
    if any(key[:2] in asked for key in specs.printed_totals):
        # The total that a maker prints is another value of the system.
        total = trace(attempt.figure, specs.by_totals())
        printed = float(total.value.m)
        if not np.isclose(printed, attempt.central, rtol=1e-12):
            values, best = np.append(values, printed), np.append(best, True)
            if all(map(specs.by_maker, (row for row in total.rows if row.key in specs.printed_totals))):
                ends = np.append(ends, printed)
    return Spread(found, values, best, (float(ends.min()), float(ends.max())))


@dataclass(frozen=True)
class Tried:
    """Readings that could be computed, and why each of the others could not."""

    found: list[Attempt]
    missing: dict[str, str]


def attempts(readings: Iterable[Reading], unit: str, specs: Specs, *, spread: bool = True) -> Tried:
    """What each reading gives, and what is missing for those that need a figure no source states.

    Without `spread` at the central values alone.
    """
    found, missing = [], {}
    for reading in readings:
        try:
            found.append(tried(reading, unit, specs))
            if spread:
                _ = found[-1].spread
        except InputError as error:
            missing[reading.text] = str(error)
    return Tried(found, missing)


def closest(found: Iterable[Attempt], claim: Claim) -> Attempt:
    """The attempt that comes nearest to a claim, on a log scale."""
    claimed = claim.printed.value
    return min(found, key=lambda a: abs(np.log(a.central / claimed)) if a.central > 0 else np.inf)


def error_of(found: Attempt, specs: Specs) -> ModelError | None:
    """The error of the serving model that a figure has; none if it does not come through it."""
    reading = found.reading
    if reading.quantity not in MODELLED:
        return None
    named = [given[name] for given in (reading.conditions, {**reading.conditions, **reading.against})
             for name in ("measurement", "workload") if name in given]  # fmt: skip
    # What names none are prompts with their answers, which go through both phases.
    return model_error(specs, *(named or specs.workloads), ratio=bool(reading.comparator))
