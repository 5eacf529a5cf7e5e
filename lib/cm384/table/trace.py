"""The one trace: which rows a derivation read, and which steps it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from cm384.table.records import Key
from cm384.table.units import Quantity


@dataclass(frozen=True)
class Step:
    """One step of a derivation: what it gave, by which formula, from which values.

    `read` holds rows and the results of inner steps, in the order in which the formula took them;
    it is empty where the formula names its values itself.
    """

    name: str
    formula: str
    value: Quantity
    read: tuple[Quantity, ...] = ()


@dataclass(frozen=True)
class Trace:
    """What a derivation did: the keys it read, and the steps it took, inner ones first.

    `open` holds the values that no step has taken yet.
    """

    keys: dict[Key, None] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    open: list[Quantity] = field(default_factory=list)

    def note(self, key: Key, value: Quantity) -> None:
        """A row was read."""
        self.keys[key] = None
        self.open.append(value)

    def add(self, other: Trace) -> None:
        """What another noted happened here too."""
        self.keys.update(other.keys)
        self.steps.extend(other.steps)
        self.open.extend(other.open)

    def close(self, since: int, name: str, formula: str, value: Quantity) -> None:
        """A step is done: it took what is open since it began, and is open itself."""
        self.steps.append(Step(name, formula, value, tuple(self.open[since:])))
        self.open[since:] = [value]
