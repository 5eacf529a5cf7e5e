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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from cm384.table import documents, files, reading, records, units
from cm384.table.config import ConfigFile
from cm384.table.draws import Draws, by_group
from cm384.table.errors import DATA, InputError, NotStated, check_known
from cm384.table.reading import read_rows
from cm384.table.records import Key, Measurement, Row, key_name, read_conditions, write_conditions
from cm384.table.trace import Trace
from cm384.table.units import Quantity

# The bases that stand in, in this order, where a quantity has no row on the one that was asked for.
# NVIDIA's and AMD's printed peaks count the matrix units only: for them the headline is that row.
# What no source states or measured can still be assumed, with the reason and the range beside it.
FALLBACK = {"headline": ("matrix",), "nominal": ("assumed",), "measured": (*records.RUNS[1:], "assumed")}
# How far the time per token of a run may lie from what its batch and throughput make: rounding, as printed.
AGREE = 0.02


# What follows from the rows alone, and is the same in a copy with other values.
FOLLOW = "stated", "subjects", "groups", "systems", "chips", "_counted", "_parts"


@dataclass(frozen=True, eq=False)
class Specs:
    """The table of sourced facts. Derivations call `get`; everything else makes a changed copy.

    `rows` holds every statement of a key, the central one first; `drawn` holds values that stand in
    for the central ones (numbers or arrays, in the unit of the central row); `measurements`, `runs`,
    `workloads` and `models` are those that rows and derivations name, `named` holds what is known
    of a subject beside its figures; `totals` are the keys of systems whose printed total is taken
    instead of the sum of their parts; `trace` notes what a derivation did when the table was made
    by `traced`. No result of a derivation is kept here.
    """

    rows: Mapping[Key, tuple[Row, ...]]
    kinds: Mapping[str, records.Kind]
    drawn: Mapping[Key, Any] = field(default_factory=dict)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    runs: Mapping[str, records.TrainingRun] = field(default_factory=dict)
    workloads: Mapping[str, records.Workload] = field(default_factory=dict)
    models: Mapping[str, ConfigFile] = field(default_factory=dict)
    named: Mapping[str, records.Subject] = field(default_factory=dict)
    totals: frozenset[Key] = frozenset()
    trace: Trace | None = None
    of: Specs | None = field(default=None, init=False)  # the table that this copy notes, and nothing else

    def get(self, subject: str, quantity: str, /, basis: str | None = None, **conditions: str) -> Quantity:
        """The value that the table states, as a quantity; NotStated if it states none.

        Without `basis`, the default one of the quantity; `FALLBACK` says what stands in for it.

        >>> print(load_specs().get("ascend-910c", "peak", precision="bf16", basis="headline"))
        752.0 teraoperation / second
        """
        key = self.find(subject, quantity, basis, **conditions)
        row = self.rows[key][0]
        value = units.Q(self.drawn.get(key, row.value), row.unit)
        if self.trace is not None:
            self.trace.note(key, value)
        return value

    def find(self, subject: str, quantity: str, /, basis: str | None = None, **conditions: str) -> Key:
        """The key under which the table states a quantity; one clear line when it does not."""
        if key := self._key(subject, quantity, basis, conditions):
            return key
        wanted, text = basis or self.kinds[quantity].default_basis, write_conditions(conditions)
        asked = ", ".join(filter(None, [text, f"basis {wanted}"]))
        stated = self.stated.get((subject, quantity), [])
        known = ", ".join(sorted(f"{given or 'no conditions'} ({on})" for _, _, given, on in stated))
        tail = f"stated: {known}" if stated else "no source states it"
        raise NotStated(f"{subject} has no {quantity} for {asked}; {tail}")

    def has(self, subject: str, quantity: str, /, basis: str | None = None, **conditions: str) -> bool:
        """Whether the table states a quantity."""
        return self._key(subject, quantity, basis, conditions) is not None

    def _key(
        self, subject: str, quantity: str, basis: str | None, conditions: Mapping[str, str]
    ) -> Key | None:
        check_known("quantity", quantity, self.kinds)
        check_known("subject", subject, self.subjects)
        if not isinstance(basis, str | None):
            raise InputError(f"basis: expected a name, got {basis!r}")
        wanted = basis or self.kinds[quantity].default_basis
        check_known("basis", wanted, records.BASES)
        text = write_conditions(conditions)
        for tried in (wanted, *FALLBACK.get(wanted, ())):
            if (key := (subject, quantity, text, tried)) in self.rows:
                return key
        return None

    def parts(self, subject: str) -> list[str]:
        """The accelerators a system is made of: its parts that have a peak; empty for a chip.

        >>> load_specs().parts("cloudmatrix-384")
        ['ascend-910c']
        """
        return self._parts.get(subject, [])

    def counted(self, subject: str) -> list[str]:
        """The names of the parts that a system is said to hold."""
        return self._counted.get(subject, [])

    @cached_property
    def stated(self) -> dict[tuple[str, str], list[Key]]:
        """The keys by subject and quantity."""
        found: dict[tuple[str, str], list[Key]] = {}
        for key in self.rows:
            found.setdefault(key[:2], []).append(key)
        return found

    @cached_property
    def about(self) -> dict[str, list[Row]]:
        """The statements by subject."""
        found: dict[str, list[Row]] = {}
        for key, rows in self.rows.items():
            found.setdefault(key[0], []).extend(rows)
        return found

    @cached_property
    def groups(self) -> Mapping[str, frozenset[Key]]:
        """The keys that have a row of each group of statements which go together."""
        return by_group(self.rows)

    @cached_property
    def _counted(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for subject, quantity, text, _ in self.rows:
            given = read_conditions(text) if quantity == "count" else {}
            if given.keys() == {"part"} and given["part"] not in found.get(subject, []):
                found.setdefault(subject, []).append(given["part"])
        return found

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        return {
            name: [part for part in held if (part, "peak") in self.stated]
            for name, held in self._counted.items()
        }

    @cached_property
    def subjects(self) -> frozenset[str]:
        """Everything the table states something of, and the models."""
        return frozenset(subject for subject, *_ in self.rows) | frozenset(self.models)

    @cached_property
    def condition_values(self) -> dict[str, frozenset[str]]:
        """The conditions that rows have, each with the values that occur; `basis` among them."""
        values = {"basis": set(records.BASES), "measurement": set(self.measurements)}
        values["run"] = values["against"] = set(self.runs)
        values["workload"] = {*self.workloads, *self.measurements}
        for _, _, conditions, _ in self.rows:
            for name, value in read_conditions(conditions).items():
                values.setdefault(name, set()).add(value)
        return {name: frozenset(held) for name, held in values.items()}

    def vendor(self, subject: str) -> str:
        """Who sells a chip or system; empty where no row says so."""
        return self.named[subject].vendor if subject in self.named else ""

    def standing(self, row: Row) -> int:
        """How near a row's document stands to what it states: 0 is the maker's own, 3 the press.

        A document that this project does not know counts as the maker's: nothing is said against it.
        """
        source = documents.load_sources().get(row.source)
        if source is None or source.kind == "official" or row.basis == "assumed":
            return 0
        if source.kind == "vendor":
            return 0 if self.vendor(row.subject) in ("", source.maker) else 2
        return {"measurement": 1, "analyst": 2}.get(source.kind, 3)

    def by_maker(self, row: Row) -> bool:
        """Whether a row is known to be the maker's own word on its chip or system."""
        source = documents.load_sources().get(row.source)
        return source is not None and source.kind == "vendor" and source.maker == self.vendor(row.subject)

    @cached_property
    def printed_totals(self) -> frozenset[Key]:
        """The keys under which makers print a total of a system that has parts."""
        return frozenset(
            key for key, (row, *_) in self.rows.items() if self.parts(key[0]) and not self.standing(row)
        )

    def before(self, date: str) -> Specs:
        """The table without what was run, sold or booked after a date, as far as dates are known."""
        if not date:
            return self
        dated = {name for name, kind in self.kinds.items() if kind.nature in ("event", "performance")}
        after = {key for key, source in documents.load_sources().items() if source.after(date)}

        def known(row: Row) -> bool:
            return row.quantity not in dated or row.source not in after

        late = [key for key, rows in self.rows.items() if not all(map(known, rows))]
        if not late:
            return self
        kept = {**self.rows, **{key: tuple(filter(known, self.rows[key])) for key in late}}
        return dataclasses.replace(self, rows={key: rows for key, rows in kept.items() if rows})

    @cached_property
    def systems(self) -> list[str]:
        """The subjects that are made of accelerators."""
        return sorted(subject for subject in self._counted if self.parts(subject))

    @cached_property
    def chips(self) -> list[str]:
        """The subjects of which the table states a peak and that have no parts."""
        return sorted({name for name, quantity in self.stated if quantity == "peak"} - set(self.systems))

    def traced(self) -> tuple[Specs, Trace]:
        """A copy that notes the rows that are read and the steps that are taken, and the notes."""
        trace = Trace()
        copy = self._copy(trace=trace)
        object.__setattr__(copy, "of", self.of if self.trace else self)
        return copy, trace

    def _copy(self, **changes: Any) -> Specs:
        """A copy with the same rows, which keeps the lists of names that follow from them."""
        followed = {name: getattr(self, name) for name in FOLLOW}
        copy = object.__new__(Specs)
        copy.__dict__.update(vars(self) | followed, of=None, **changes)
        return copy

    def by_totals(self) -> Specs:
        """A copy that takes the totals that makers print of their systems, not the sums of the parts."""
        return self._copy(totals=self.printed_totals)

    def replace(self, values: Mapping[Key, Any]) -> Specs:
        """A copy in which the keys have other values: quantities, or numbers in the row's unit."""
        numbers = dict(values)
        for key, value in values.items():
            if key not in self.rows:
                raise InputError(f"no row {key_name(key)} to replace")
            if isinstance(value, units.Quantity):
                numbers[key] = value.to(self.rows[key][0].unit).m
        return self._copy(drawn=ChainMap(numbers, self.drawn))  # type: ignore[arg-type]

    def sample(self, count: int, seed: int, start: int = 0) -> Specs:
        """A copy in which every value that sources dispute is an array of `count` draws of theirs.

        Rows of one group are drawn together. A row's draws depend on the seed and on that row (or
        its group) alone, and are made when it is read. `start` continues a sequence.
        """
        if count < 1:
            raise InputError(f"samples: expected at least 1, got {count}")
        return self._copy(drawn=Draws(self.rows, self.groups, self.options, count, seed, start))

    @property
    def sampled(self) -> bool:
        """Whether some row has more than one value here: draws, or an array in its place."""
        held = self.drawn.maps if isinstance(self.drawn, ChainMap) else [self.drawn]
        return any(isinstance(m, Draws) or any(map(np.ndim, m.values())) for m in held)

    def options(self, key: Key) -> np.ndarray:
        """Every sourced value of a key, in the unit of its central row, the central one first."""
        unit = units.parse_unit(self.rows[key][0].unit)
        return np.array([float(row.amount.to(unit).m) for row in self.rows[key]])


# What was found of a table, for as long as that table is used.
_FOUND: WeakKeyDictionary[Specs, dict[tuple[Any, ...], Any]] = WeakKeyDictionary()
F = TypeVar("F")


def once(make: Callable[..., F], specs: Specs, /, *given: Any) -> F:
    """What `make(specs, *given)` gives, found once a table; one that notes what is read notes it again.

    What it gives must not hold the table, which would then stay for good.
    """
    if specs.trace is not None:
        if specs.of is None:  # it has other values than the one that it was made from
            return make(specs, *given)
        made, notes = once(_noted, specs.of, make, *given)
        specs.trace.add(notes)
        return made
    known, key = _FOUND.setdefault(specs, {}), (make, *given)
    if key not in known:
        known[key] = make(specs, *given)
    found: F = known[key]
    return found


def _noted(specs: Specs, make: Callable[..., F], *given: Any) -> tuple[F, Trace]:
    """What `make` gives, and what it reads and does for that."""
    table, trace = specs.traced()
    return make(table, *given), trace


# --- reading -------------------------------------------------------------------------------------


def load_specs(*more: str | Path, kernels: Iterable[str | Path] = ()) -> Specs:
    """The sourced table of this project, with the rows of other files added.

    A file that brings a central row for a key replaces all rows of that key; alternatives alone
    are added to those there. A file of `kernels` replaces whole curves: all rows that differ from its
    own in basis, length, ranks or size alone. Refuses a bad row with file, line, column and what was
    expected.
    """
    specs = own_specs()
    for path in map(files.path_of, more):
        added = group_rows(read_rows(path, specs.kinds), specs.rows, path.name)
        specs = dataclasses.replace(specs, rows={**specs.rows, **added})
        for subject in {key[0] for key in added}:
            if subject in _inside(specs, subject):
                raise InputError(f"{path.name}: {subject} is a part of itself")
    for path in map(files.path_of, kernels):
        specs = dataclasses.replace(specs, rows=_with_kernels(specs, path))
    return specs


def _inside(specs: Specs, subject: str) -> set[str]:
    """The parts of a system, and theirs."""
    found: set[str] = set()
    more = {*specs.counted(subject)}
    while more:
        found |= more
        more = {part for name in more for part in specs.counted(name)} - found
    return found


def _with_kernels(specs: Specs, path: Path) -> dict[Key, tuple[Row, ...]]:
    """The rows of a table with the kernels of a file in place of its own."""
    rows = read_rows(path, specs.kinds)
    for line, row in rows.items():
        if row.quantity not in records.KERNELS:
            raise files.bad_cell(path.name, line, "quantity", row.quantity, files.among(records.KERNELS))
        if row.subject not in specs.subjects:
            raise files.bad_cell(path.name, line, "subject", row.subject, files.among(specs.subjects))

    def curve(key: Key) -> tuple[str, str, str]:
        given = read_conditions(key[2])
        return *key[:2], write_conditions(
            {n: v for n, v in given.items() if n not in ("length", "ranks", "size")}
        )

    replaced = {curve(row.key) for row in rows.values()}
    kept = {key: found for key, found in specs.rows.items() if curve(key) not in replaced}
    return kept | group_rows(rows, kept, path.name)


@cache
def own_specs() -> Specs:
    """The sourced table of this project."""
    kinds = reading.read_kinds()
    rows = read_rows(DATA / "specs.csv", kinds, files.read_keys())
    specs = Specs(group_rows(rows, {}, "specs.csv"), kinds)
    found = load_measurements(specs=specs)
    models = {path.stem: ConfigFile(path) for path in sorted((DATA / "models").glob("*.json"))}
    runs = reading.read_training(specs.subjects, models)
    every = [row for measured in found for row in measured.rows]
    every += [row for run in runs.values() for row in run.rows]
    return dataclasses.replace(
        specs,
        rows={**specs.rows, **{row.key: (row,) for row in every}},
        measurements={row.id: row for row in found},
        runs=runs,
        workloads=reading.read_workloads(),
        models=models,
        named=reading.load_subjects(),
    )


def load_measurements(path: str | Path | None = None, specs: Specs | None = None) -> list[Measurement]:
    """The measurements of this project, or of another file, checked.

    Refuses a bad cell with file, line, column and what was expected. A file of somebody else need
    not name its sources.
    """
    file = files.path_of(path) if path is not None else DATA / "measurements.csv"
    own = files.read_keys() if path is None else None
    checks = reading.measurements_checks((specs or load_specs()).subjects, own)
    rows = files.read_records(file, Measurement, checks, unique=["id"], optional=reading.IF_ANY)
    for line, row in rows.items():
        timed = row.tpot and (row.batch or row.concurrency) and row.phase == "decode"
        if not (row.throughput or timed or row.terms):
            expected = "a throughput, or in decode a tpot with its batch or concurrency, or times by term"
            raise files.bad_cell(file.name, line, "throughput", "", expected)
        if timed and row.throughput and row.batch:
            made = 1e3 * float(row.batch) / row.measured
            if abs(made / float(row.tpot) - 1) > AGREE and f"{made:.3g}" not in row.note:
                expected = f"{made:.3g} ms, which batch and throughput make, or a note that says so"
                raise files.bad_cell(file.name, line, "tpot", row.tpot, expected)
    return [*rows.values()]


@cache
def load_third_party() -> list[Measurement]:
    """What others measured of users in a closed loop, checked: the rows of `data/third_party/`."""
    names = ("deepseek.csv", "other_models.csv")
    return [row for name in names for row in load_measurements(DATA / "third_party" / name)]


def group_rows(
    rows: Mapping[int, Row], known: Mapping[Key, tuple[Row, ...]], file: str
) -> dict[Key, tuple[Row, ...]]:
    """The rows by key, the central one first; refuses a key with two central rows, or with none."""
    grouped: dict[Key, tuple[Row, ...]] = {}
    lines = {row.key: line for line, row in rows.items()}
    for line, row in rows.items():
        central = row.role == "central"
        present = grouped.get(row.key, ())
        if central and any(other.role == "central" for other in present):
            expected = f"one central row for {row.name}, which has one above"
            raise files.bad_cell(file, line, "role", row.role, expected)
        grouped[row.key] = (row, *present) if central else (*present, row)
    for key, group in grouped.items():
        if group[0].role != "central":
            if key not in known:
                raise InputError(f"{file} line {lines[key]}, column role: no central row for {key_name(key)}")
            grouped[key] = (*known[key], *group)
    return grouped
