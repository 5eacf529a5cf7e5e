"""The table of specs: reading and checking `data/`, and the one object every derivation reads.

A row is one sourced fact. Rows that state the same thing (subject, quantity, conditions, basis) are
alternatives of one another; the first is the central one. A derivation asks the table by name:

>>> specs = load_specs()
>>> print(specs.get("ascend-910c", "hbm_capacity"))
128.0 gigabyte
"""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cm384 import files, units
from cm384.draws import Draws
from cm384.errors import InputError, check_known
from cm384.paths import DATA

if TYPE_CHECKING:
    import pandera.pandas as pa

# What a figure holds for. The word decides which figures may be compared with which.
BASES = {
    "nominal": "as the data sheet or the designer states it",
    "matrix": "dense peak of the matrix units alone",
    "headline": "dense peak as the vendor prints it, with the vector units where it counts them",
    "sparse": "peak with structured sparsity: twice the dense one",
    "usable": "what software can allocate or is told that it has",
    "measured": "measured by a benchmark",
    "die": "per compute die",
    "package": "per package",
    "one-way": "one direction of a link",
    "two-way": "both directions of a link added",
    "tdp": "thermal design power of the part",
    "all-in": "the whole system with switches, optics and losses",
    "nameplate": "the maximum rating on the label",
    "assumed": "an assumption, with its reason as the locator",
}
# NVIDIA's and AMD's printed peaks count the matrix units only: for them the headline is that row.
# What no source states can still be assumed, with the reason and the range beside it.
FALLBACK = {"headline": "matrix", "nominal": "assumed"}

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Kind:
    """One line of `quantities.csv`: a name of the closed vocabulary and what it means."""

    quantity: str
    unit: str
    kind: str
    default_basis: str
    better: str
    meaning: str


@dataclass(frozen=True)
class Row:
    """One sourced fact: a line of `specs.csv`."""

    subject: str
    quantity: str
    conditions: str
    value: float
    unit: str
    basis: str
    role: str
    group: str
    source: str
    locator: str
    note: str

    @property
    def key(self) -> Key:
        """What the row states a value of; its alternatives have the same key."""
        return self.subject, self.quantity, self.conditions, self.basis

    @property
    def amount(self) -> Any:
        """The value as a quantity."""
        return units.Q(self.value, self.unit)

    @property
    def name(self) -> str:
        """The row as people refer to it: `ascend-910c.peak[precision=bf16;basis=headline]`."""
        return key_name(self.key)


def key_name(key: Key) -> str:
    """The written form of a key, which `Specs.find` reads back."""
    subject, quantity, conditions, basis = key
    return f"{subject}.{quantity}[{';'.join(filter(None, [conditions, f'basis={basis}']))}]"


@dataclass(frozen=True)
class Step:
    """One step of a derivation: what it gave, of what, by which formula, from which values.

    `read` holds rows and the results of inner steps, in the order in which the formula took them.
    """

    quantity: str
    subject: str
    formula: str
    value: Any
    read: tuple[Any, ...]


@dataclass(frozen=True)
class Trace:
    """What a derivation did: the keys it read, and the steps it took, inner ones first.

    `open` holds the values that no step has taken yet.
    """

    keys: dict[Key, None] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    open: list[Any] = field(default_factory=list)

    def note(self, key: Key, value: Any) -> None:
        """A row was read."""
        self.keys[key] = None
        self.open.append(value)

    def close(self, since: int, quantity: str, subject: str, formula: str, value: Any) -> None:
        """A step is done: it took what is open since it began, and is open itself."""
        self.steps.append(Step(quantity, subject, formula, value, tuple(self.open[since:])))
        self.open[since:] = [value]


@dataclass(frozen=True)
class Specs:
    """The table of sourced facts. Derivations call `get`; everything else makes a changed copy.

    `rows` holds every statement of a key, the central one first; `drawn` holds values that stand in
    for the central ones (numbers or arrays, in the unit of the central row); `measurements` and
    `models` are those that rows and derivations name; `trace` notes what a derivation did when the
    table was made by `traced`.
    """

    rows: Mapping[Key, tuple[Row, ...]]
    kinds: Mapping[str, Kind]
    drawn: Mapping[Key, Any] = field(default_factory=dict)
    measurements: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    trace: Trace | None = None

    def get(
        self, subject: str, quantity: str, /, basis: str | None = None, **conditions: str
    ) -> Any:
        """The value that the table states, as a quantity; refuses what it does not state.

        Without `basis`, the default one of the quantity. A headline peak that the vendor states for
        the matrix units alone is the matrix row.

        >>> print(load_specs().get("ascend-910c", "peak", precision="bf16", basis="headline"))
        752.0 teraoperation / second
        """
        key = self.find(subject, quantity, basis, **conditions)
        row = self.rows[key][0]
        value = units.Q(self.drawn.get(key, row.value), row.unit)
        if self.trace is not None:
            self.trace.note(key, value)
        return value

    def find(
        self, subject: str, quantity: str, /, basis: str | None = None, **conditions: str
    ) -> Key:
        """The key under which the table states a quantity; one clear line when it does not."""
        check_known("quantity", quantity, self.kinds)
        check_known("subject", subject, self.subjects)
        wanted = basis or self.kinds[quantity].default_basis
        check_known("basis", wanted, BASES)
        for tried in filter(None, (wanted, FALLBACK.get(wanted))):
            key = subject, quantity, write_conditions(conditions), tried
            if key in self.rows:
                return key
        raise InputError(self._missing(subject, quantity, wanted, conditions))

    def _missing(self, subject: str, quantity: str, basis: str, conditions: dict[str, str]) -> str:
        asked = ", ".join(filter(None, [write_conditions(conditions), f"basis {basis}"]))
        stated = [
            f"{c or 'no conditions'} ({b})"
            for s, q, c, b in self.rows
            if (s, q) == (subject, quantity)
        ]
        tail = f"stated: {', '.join(sorted(stated))}" if stated else "no source states it"
        return f"{subject} has no {quantity} for {asked}; {tail}"

    def has(
        self, subject: str, quantity: str, /, basis: str | None = None, **conditions: str
    ) -> bool:
        """Whether the table states a quantity."""
        try:
            self.find(subject, quantity, basis, **conditions)
        except InputError:
            return False
        return True

    def parts(self, subject: str) -> list[str]:
        """The accelerators a system is made of: its parts that have a peak; empty for a chip.

        >>> load_specs().parts("cloudmatrix-384")
        ['ascend-910c']
        """
        counted = (
            read_conditions(c).get("part", "")
            for s, q, c, _ in self.rows
            if s == subject and q == "count"
        )
        return [part for part in dict.fromkeys(counted) if part in self._accelerators]

    @cached_property
    def _accelerators(self) -> frozenset[str]:
        return frozenset(s for s, quantity, *_ in self.rows if quantity == "peak")

    @cached_property
    def subjects(self) -> frozenset[str]:
        """Everything the table states something of, and the models."""
        return frozenset(subject for subject, *_ in self.rows) | frozenset(self.models)

    @cached_property
    def condition_values(self) -> dict[str, frozenset[str]]:
        """The conditions that rows have, each with the values that occur; `basis` among them."""
        values: dict[str, set[str]] = {"basis": set(BASES), "measurement": set(self.measurements)}
        for _, _, conditions, _ in self.rows:
            for name, value in read_conditions(conditions).items():
                values.setdefault(name, set()).add(value)
        return {name: frozenset(held) for name, held in values.items()}

    @property
    def systems(self) -> list[str]:
        """The subjects that are made of accelerators."""
        return sorted(subject for subject in self.subjects if self.parts(subject))

    @property
    def chips(self) -> list[str]:
        """The subjects of which the table states a peak and that have no parts."""
        return sorted(self._accelerators - set(self.systems))

    def traced(self) -> tuple[Specs, Trace]:
        """A copy that notes the rows that are read and the steps that are taken, and the notes."""
        trace = Trace()
        return dataclasses.replace(self, trace=trace), trace

    def replace(self, values: Mapping[Key, Any]) -> Specs:
        """A copy in which the keys have other values: quantities, or numbers in the row's unit."""
        return dataclasses.replace(self, drawn=ChainMap(self._magnitudes(values), self.drawn))  # type: ignore[arg-type]

    def sample(self, count: int, seed: int, start: int = 0) -> Specs:
        """A copy in which every value is an array of `count` draws of its sourced values.

        Rows of one group are drawn together. A row's draws depend on the seed and on that row (or
        its group) alone, and are made when it is read. `start` continues a sequence.
        """
        if count < 1:
            raise InputError(f"samples: expected at least 1, got {count}")
        return dataclasses.replace(self, drawn=Draws(self.rows, self.options, count, seed, start))

    def _magnitudes(self, values: Mapping[Key, Any]) -> dict[Key, Any]:
        for key in values:
            if key not in self.rows:
                raise InputError(f"no row {key_name(key)} to replace")
        return {
            key: value.to(self.rows[key][0].unit).m if isinstance(value, units.Quantity) else value
            for key, value in values.items()
        }

    def options(self, key: Key) -> np.ndarray:
        """Every sourced value of a key, in the unit of its central row, the central one first."""
        unit = self.rows[key][0].unit
        return np.array([float(r.amount.to(unit).m) for r in self.rows[key]])


def read_conditions(text: str) -> dict[str, str]:
    """The pairs of a `key=value;…` cell.

    >>> read_conditions("precision=bf16;ranks=64")
    {'precision': 'bf16', 'ranks': '64'}
    """
    return dict(pair.split("=", 1) for pair in text.split(";") if pair)


def write_conditions(conditions: Mapping[str, str]) -> str:
    """The canonical cell for some pairs: sorted by key."""
    return ";".join(f"{key}={value}" for key, value in sorted(conditions.items()))


# --- reading -------------------------------------------------------------------------------------


def load_specs(*more: str | Path) -> Specs:
    """The sourced table of this project, with the rows of other files added.

    A file that brings a central row for a key replaces all rows of that key; alternatives alone
    are added to those there. Refuses a bad row with file, line, column and what was expected.
    """
    specs = _own_specs()
    for path in more:
        added = group_rows(read_rows(Path(path), specs.kinds), specs.rows, Path(path).name)
        specs = dataclasses.replace(specs, rows={**specs.rows, **added})
    return specs


@cache
def _own_specs() -> Specs:
    kinds = {kind.quantity: kind for kind in read_kinds(DATA / "quantities.csv")}
    rows = read_rows(DATA / "specs.csv", kinds, files.read_keys())
    specs = Specs(group_rows(rows, {}, "specs.csv"), kinds)
    from cm384.validation import with_measurements  # stands above: it checks them with this table

    return with_measurements(specs)


def read_kinds(path: Path) -> list[Kind]:
    """The vocabulary of quantities."""
    table = files.read_table(path, files.columns(Kind))
    return [Kind(**values) for values in files.records(table)]


def read_rows(
    path: Path, kinds: Mapping[str, Kind], keys: Iterable[str] | None = None
) -> dict[int, Row]:
    """The rows of a specs file by line, checked; `keys` closes the list of sources, when given."""
    table = files.read_table(path, files.columns(Row))
    files.check_table(table, specs_checks(kinds, keys), path.name)
    rows = [Row(**{**values, "value": float(values["value"])}) for values in files.records(table)]
    for line, row in zip(table.index, rows, strict=True):
        if row.value == 0 and row.quantity != "count":
            raise files.bad_cell(path.name, line, "value", "0", "a positive number")
        if not units.same_kind(row.unit, kinds[row.quantity].unit):
            expected = f"a unit of {row.quantity}, such as {kinds[row.quantity].unit}"
            raise files.bad_cell(path.name, line, "unit", row.unit, expected)
        if row.conditions != write_conditions(read_conditions(row.conditions)):
            raise files.bad_cell(
                path.name, line, "conditions", row.conditions, "keys in sorted order"
            )
    return dict(zip(table.index, rows, strict=True))


def group_rows(
    rows: Mapping[int, Row], known: Mapping[Key, tuple[Row, ...]], file: str
) -> dict[Key, tuple[Row, ...]]:
    """The rows by key, the central one first; refuses a key with two central rows, or with none."""
    grouped: dict[Key, tuple[Row, ...]] = {}
    lines: dict[Key, int] = {}
    for line, row in rows.items():
        central = row.role == "central"
        present = grouped.get(row.key, ())
        if central and any(other.role == "central" for other in present):
            expected = f"one central row for {row.name}, which has one above"
            raise files.bad_cell(file, line, "role", row.role, expected)
        grouped[row.key] = (row, *present) if central else (*present, row)
        lines[row.key] = line
    for key, group in grouped.items():
        if group[0].role != "central":
            if key not in known:
                raise InputError(
                    f"{file} line {lines[key]}, column role: no central row for {key_name(key)}"
                )
            grouped[key] = (*known[key], *group)
    return grouped


def specs_checks(kinds: Mapping[str, Kind], keys: Iterable[str] | None) -> dict[str, pa.Check]:
    """What a specs file must look like: one check a column, each with the words of its error."""
    stated = [name for name, kind in kinds.items() if kind.kind == "stated"]
    return {
        "subject": files.matches(r"[a-z0-9][a-z0-9-]*", "lower-case letters, digits and hyphens"),
        "quantity": files.one_of(stated),
        "conditions": files.matches(r"([a-z_]+=[^;=]+(;[a-z_]+=[^;=]+)*)?", "key=value;key=value"),
        "value": files.check(files.is_amount, "a positive number"),
        "unit": files.check(files.is_unit, "a unit such as TFLOP/s or GB"),
        "basis": files.one_of(BASES),
        "role": files.one_of(["central", "alternative"]),
        "group": files.matches(r"[a-z0-9-]*", "lower-case letters, digits and hyphens"),
        "source": files.matches(r"\S.*", "a source") if keys is None else files.one_of(keys),
        "locator": files.matches(r"\S.*", "the place in the source"),
    }
