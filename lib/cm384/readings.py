"""Readings of a claim: whose quantity, against whom, on which conditions, and what each gives."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cm384 import units
from cm384.derivation import compares, derive, ratio, title, words
from cm384.errors import InputError
from cm384.specs import Specs, read_conditions
from cm384.uncertainty import Figure, Span, span


@dataclass(frozen=True)
class Reading:
    """One way to compute a claim: whose quantity, against whom, under which conditions."""

    subject: str
    quantity: str
    comparator: str
    conditions: Mapping[str, str]
    against: Mapping[str, str] = field(default_factory=dict)

    def changed(self, text: str) -> Reading:
        """This reading with the changes that a cell of `readings` lists: `key=value;…`.

        A key is `subject`, `quantity`, `comparator`, a condition, or `comparator.` before a
        condition that holds for the comparator alone.
        """
        changes = read_conditions(text)
        plain = dataclasses.replace(self, conditions={}, against={})
        if changes.get("quantity", self.quantity) != self.quantity and (
            self.conditions or self.against
        ):
            return plain.changed(text)  # another quantity has conditions of its own
        names = {n: changes.pop(n) for n in ("subject", "quantity", "comparator") if n in changes}
        theirs = [name for name in changes if name.startswith("comparator.")]
        against = {name.split(".", 1)[1]: changes.pop(name) for name in theirs}
        return dataclasses.replace(
            self,
            **names,
            conditions={**self.conditions, **changes},
            against={**self.against, **against},
        )

    @property
    def figure(self) -> Figure:
        """The pure derivation that this reading asks for: a figure, or a ratio of two."""
        if self.comparator and compares(self.quantity):
            conditions = {**self.conditions, "comparator": self.comparator}
            return lambda specs: derive(self.quantity, self.subject, specs, **conditions)
        if not self.comparator:
            return lambda specs: derive(self.quantity, self.subject, specs, **self.conditions)
        return lambda specs: ratio(
            self.quantity, self.subject, self.comparator, specs, self.against, **self.conditions
        )

    @property
    def text(self) -> str:
        """The reading in words."""
        conditions = {"precision": "", "basis": "", **self.conditions}
        ours = [conditions.pop("precision").upper(), conditions.pop("basis")]
        ours += [_spoken(name, value) for name, value in conditions.items()]
        theirs = [_spoken(name, value) for name, value in self.against.items()]
        joint = " against " if compares(self.quantity) else " ÷ "
        versus = f"{joint}{title(self.comparator)}{_aside(theirs)}" if self.comparator else ""
        return f"{words(self.quantity)}{_aside(ours)} of {title(self.subject)}{versus}"


def _spoken(condition: str, value: str) -> str:
    """The value of a condition as people write it."""
    if condition == "precision":
        return value.upper()
    return title(value) if condition in ("part", "peer") else value


def _aside(words: Iterable[str]) -> str:
    """Words in brackets, or nothing."""
    kept = [word for word in words if word]
    return f" ({', '.join(kept)})" if kept else ""


@dataclass(frozen=True)
class Attempt:
    """A reading and what it gives, in the unit of the claim."""

    reading: Reading
    span: Span

    @property
    def central(self) -> float:
        """The figure at the central values."""
        return float(self.span.central.m)

    @property
    def text(self) -> str:
        """That figure as a reader sees it."""
        return units.text(self.span.central)

    def __str__(self) -> str:
        return f"{self.reading.text} = {self.text}"

    def figure(self, specs: Specs) -> Any:
        """The figure on another table."""
        return self.reading.figure(specs).to(self.span.central.units)


def attempt(reading: Reading, unit: str, specs: Specs) -> Attempt:
    """Derive one reading with its span."""
    target = units.parse_unit(unit or "count")
    return Attempt(reading, span(lambda table: reading.figure(table).to(target), specs))


def attempts(readings: Iterable[Reading], unit: str, specs: Specs) -> list[Attempt]:
    """What each reading gives; those that need a figure no source states are left out."""
    found = []
    for reading in readings:
        with contextlib.suppress(InputError):
            found.append(attempt(reading, unit, specs))
    return found
