"""What can be swept, and over which grid: a figure, a phase of the serving model, or a notebook.

A plan names all that its tables follow from, so that each part of it is a pure function of its number.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cm384 import notebooks
from cm384.derive.derivation import conditions_of, derivations, derive, numeric_conditions
from cm384.derive.spread import SEED
from cm384.physics import fused, serving
from cm384.physics.deployment import check_fields
from cm384.physics.models import find_config, load_model
from cm384.table import files
from cm384.table.errors import InputError, NotStated, check_known, unknown
from cm384.table.frames import pd
from cm384.table.records import Deployment
from cm384.table.specs import Specs, load_specs

SIZE = 100_000  # rows of a part, draws included
PHASES = {"decode": serving.decode, "prefill": serving.prefill}
RANGE = re.compile(r"([^:]+):([^:]+):(log)?([1-9]\d*)")

Found = Mapping[str, Any]  # what comes out, by column: arrays (configuration, draw), or words


# --- what can be swept ---------------------------------------------------------------------------


class Target:
    """What a sweep evaluates: the names that its grid may have, and rows that differ in numbers alone."""

    names: tuple[str, ...] = ()  # what stands behind the target on the command line
    known: Sequence[str] = ()
    needed: Sequence[str] = ()
    numeric: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()  # what is refused is refused whatever these are
    outputs: Mapping[str, str] = {}  # with their units
    empty = ""  # why one of many rows has nothing

    def probe(self, specs: Specs, rows: pd.DataFrame) -> None:
        """Refuse a word that is not known and a number out of range."""
        raise NotImplementedError

    def run(self, specs: Specs, rows: pd.DataFrame, draws: int) -> Found:
        """What comes out of the rows."""
        raise NotImplementedError


def _fields(rows: pd.DataFrame, numeric: frozenset[str]) -> dict[str, Any]:
    """The columns of rows that differ in numbers alone: single values, arrays of numbers that vary."""
    first = {str(name): cell.item() if hasattr(cell, "item") else cell for name, cell in rows.iloc[0].items()}
    varied = {name: rows[name].to_numpy(float) for name in numeric & {*rows} if varies(rows, name)}
    return first | varied


def varies(rows: pd.DataFrame, name: str) -> bool:
    """Whether a column has more than one value."""
    return len(rows[name].unique()) > 1


class Served(Target):
    """A phase of the serving model; every field of a deployment may vary, and the model."""

    names = ("model", "accelerator")
    known = ("model", *files.columns(Deployment))
    needed = tuple(f.name for f in dataclasses.fields(Deployment) if f.default is dataclasses.MISSING)
    needed = ("model", *needed)
    numeric = frozenset(f.name for f in dataclasses.fields(Deployment) if f.type == "Numbers")
    together = frozenset({"batch"})  # what the least batch cannot have, none can
    empty = "batch: weights and KV cache do not fit in memory"

    def __init__(self, phase: str) -> None:
        self.phase = phase
        first = {"decode": "tpot", "prefill": "step"}[phase]
        self.outputs = {first: "ms", "throughput": "token/s/accelerator", "memory": "GB"}

    def _of(self, specs: Specs, rows: pd.DataFrame) -> tuple[Any, Deployment]:
        fields = _fields(rows, self.numeric) | {"batch": rows["batch"].to_numpy(float)}
        name = fields.pop("model")
        return load_model(specs.models.get(name, name)), Deployment(**fields)

    def probe(self, specs: Specs, rows: pd.DataFrame) -> None:
        """Refuse a chip, a word or a number that no deployment has."""
        model, deployment = self._of(specs, rows)
        check_known("chip", deployment.accelerator, specs.chips)
        check_fields(deployment, model, self.phase)

    def run(self, specs: Specs, rows: pd.DataFrame, draws: int) -> Found:
        """Time per token in decode or of the step in prefill, throughput, and memory of a rank."""
        found = PHASES[self.phase](specs, *self._of(specs, rows))
        first = found.tpot.m if self.phase == "decode" else found.step * 1e3
        columns = zip(self.outputs, (first, found.throughput.m, found.memory / 1e9), strict=True)
        return {name: np.broadcast_to(values, (draws, len(rows))).T for name, values in columns}


class Derived(Target):
    """A registered figure, or a stated one; its conditions may vary, and the subject."""

    names = ("subject",)

    def __init__(self, quantity: str, specs: Specs) -> None:
        self.quantity, self.unit = quantity, specs.kinds[quantity].unit
        taken = conditions_of(quantity)
        self.known = ("subject", *(taken if quantity in derivations() else specs.condition_values))
        self.needed = ("subject", *(name for name, found in taken.items() if found.default is found.empty))
        self.numeric, self.outputs = numeric_conditions(quantity), {quantity: self.unit}

    def probe(self, specs: Specs, rows: pd.DataFrame) -> None:
        """Refuse what is not known; what no source states is left to the rows."""
        self.run(specs, rows, 1)

    def run(self, specs: Specs, rows: pd.DataFrame, draws: int) -> Found:
        """The figure, in its usual unit."""
        given = _fields(rows, self.numeric)
        # Draws and numbers lie on axes of their own; a deployment inside puts draws before both.
        tall = {name: value[:, None] if np.ndim(value) else value for name, value in given.items()}
        found = derive(self.quantity, tall.pop("subject"), specs, **tall).to(self.unit).m
        values = np.asarray(found)
        values = values[..., 0].T if values.ndim > 2 else values
        return {self.quantity: np.broadcast_to(values, (len(rows), draws))}


class Rerun(Target):
    """A notebook with other parameters, one run a row: its answer, and the run itself."""

    numeric = frozenset(name for name, kind in notebooks.TYPES.items() if kind is not str)

    def __init__(self, name: str) -> None:
        self.path = notebooks.find_notebook(name)
        self.defaults = notebooks.defaults(self.path)
        self.known = tuple(self.defaults)

    def probe(self, specs: Specs, rows: pd.DataFrame) -> None:
        """Refuse what the notebook would."""
        for row in rows.to_dict("records"):
            notebooks.checked(**(self.defaults | {str(name): cell for name, cell in row.items()}))

    def run(self, specs: Specs, rows: pd.DataFrame, draws: int) -> Found:
        """The first thing that the notebook says, in words, and the notebook as it ran."""
        import nbformat

        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / self.path.name
            notebooks.execute(self.path, out, _fields(rows, frozenset()))
            text = out.read_text(encoding="utf-8")
        shown = [
            o.get("data", {}) for c in nbformat.reads(text, as_version=4).cells for o in c.get("outputs", ())
        ]
        answer = next(data["text/markdown"] for data in shown if "text/markdown" in data)
        return {"answer": [answer.strip("*")], "notebook": [text]}


# --- the plan ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What a sweep computes: a target over the product of its axes, each row times draws of the sources.

    An axis is a table, whose columns go together; the last one turns fastest. Without draws the central
    values stand. `size` bounds the rows of a part, `more` are files of specs, `read` all files that the
    grid names, and `inputs` is the digest of them, of the data and of the code.
    """

    target: str
    axes: tuple[pd.DataFrame, ...]
    draws: int = 0
    seed: int = SEED
    more: tuple[str, ...] = ()
    size: int = SIZE
    read: tuple[str, ...] = ()
    inputs: str = ""

    @property
    def kind(self) -> Target:
        """The target as a thing that can be evaluated."""
        return _target(self.target, self.more)

    @property
    def specs(self) -> Specs:
        """The table, or draws of it, which are the same for every part."""
        return _specs(self.more, self.draws, self.seed)

    @property
    def configurations(self) -> int:
        """How many rows of the grid there are."""
        return math.prod(map(len, self.axes))

    @property
    def rows(self) -> int:
        """How many rows come out, draws included."""
        return self.configurations * max(self.draws, 1)

    @property
    def step(self) -> int:
        """Configurations of a part: those that fit with all their draws, or one notebook."""
        return 1 if isinstance(self.kind, Rerun) else max(self.size // max(self.draws, 1), 1)

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.configurations // self.step)

    def numbers(self, index: int) -> range:
        """The numbers of the configurations of a part."""
        return range(index * self.step, min((index + 1) * self.step, self.configurations))

    def part(self, index: int) -> pd.DataFrame:
        """The configurations of a part, in their order."""
        picks = np.unravel_index(self.numbers(index), [len(axis) for axis in self.axes])
        columns = [a.iloc[pick].reset_index(drop=True) for a, pick in zip(self.axes, picks, strict=True)]
        return pd.concat(columns, axis=1)

    def named(self) -> dict[str, Any]:
        """What names a sweep, for its manifest: other inputs are another sweep."""
        axes = [[", ".join(map(str, axis)), len(axis), hashlib.sha256(axis.to_csv().encode()).hexdigest()]
                for axis in self.axes]  # fmt: skip
        return {"target": self.target, "grid": axes, "draws": self.draws, "seed": self.seed,
                "rows of a part": self.size, "data and code": self.inputs}  # fmt: skip


def plan(
    target: str,
    names: Sequence[str],
    grid: Iterable[str],
    *,
    draws: int = 0,
    seed: int = SEED,
    more: Iterable[str | Path] = (),
    size: int = SIZE,
) -> Plan:
    """The plan of a sweep, checked: `names` stand behind the target, `grid` holds `NAME=VALUES` and files.

    VALUES are a list `8,16,32`, or a range `1:384:12` or `1:384:log12`, whose whole ends make it whole.
    InputError, in one line, for a name or word that is not known, a number out of range, and for what is
    missing or given twice.

    >>> plan("decode", ["deepseek-r1", "h800-sxm"], ["batch=8:64:log4", "context=4096", "accelerators=64",
    ...                                              "expert_parallel=64"]).part(0)["batch"].tolist()
    [8, 16, 32, 64]
    """
    files_of_specs = tuple(str(Path(path).resolve()) for path in more)
    kind = _target(target, files_of_specs)
    if len(names) > len(kind.names):
        raise InputError(f"{target}: expected {' '.join(kind.names) or 'no name'}, got {' '.join(names)}")
    given = [f"{name}={text}" for name, text in zip(kind.names, names, strict=False)]
    axes = [_read(text, kind) for text in (*given, *grid)]
    columns = [name for axis in axes for name in axis]
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise InputError(f"grid: {twice[0]} is given twice")
    if missing := [name for name in kind.needed if name not in columns]:
        raise InputError(f"grid: {target} needs {missing[0]}")
    if not axes:
        raise InputError(f"grid: expected at least one of {', '.join(kind.known)}")
    if not 0 <= draws <= size or (draws and isinstance(kind, Rerun)):
        most = "0, as a notebook takes its own" if isinstance(kind, Rerun) else f"0 to {size:,}"
        raise InputError(f"draws: expected {most}, got {draws}")
    words = (axis[name] for axis in axes for name in axis if name not in kind.numeric)
    named = [_path(str(column.name), cell) for column in words for cell in column.unique()]
    read = (*files_of_specs, *filter(None, named))
    found = Plan(target, tuple(axes), draws, seed, files_of_specs, size, read, inputs(target, read))
    _probe(found, _specs(files_of_specs))
    return found


@cache
def _target(name: str, more: tuple[str, ...]) -> Target:
    specs = _specs(more)
    if name in PHASES:
        return Served(name)
    if name in specs.kinds:
        return Derived(name, specs)
    books = [path.stem for path in notebooks.NOTEBOOKS.glob("[0-9]*.ipynb")]
    if any(book.startswith(Path(name).stem) for book in books):
        return Rerun(name)
    raise unknown("target", name, [*PHASES, *specs.kinds, *books])


def _read(text: str, kind: Target) -> pd.DataFrame:
    """An axis as it is given: a file, or a name with its values."""
    name, equals, values = text.partition("=")
    if not equals:
        cells = files.read_table(Path(text), kind.known, needed=[])
        return _axis(cells[[column for column in cells if any(cells[column])]], kind, Path(text).name)
    check_known("grid", name, kind.known)
    span = RANGE.fullmatch(values) if name in kind.numeric else None
    if not span:
        return _axis(pd.DataFrame({name: values.split(",")}, dtype=str), kind)
    low, high, log, count = span.groups()
    first, last = (_number(end, f"grid {name}") for end in (low, high))
    if log and min(first, last) <= 0:
        raise InputError(f"grid {name}: expected ends above 0 for a log range, not {values}")
    found = (np.geomspace if log else np.linspace)(first, last, int(count))
    whole = not set(".eE") & set(low + high)
    return pd.DataFrame({name: np.unique(np.rint(found).astype(int)) if whole else found})


def _axis(cells: pd.DataFrame, kind: Target, file: str = "grid") -> pd.DataFrame:
    """An axis of cells: numbers where they are meant, words as categories, paths from the root."""
    columns: dict[str, Any] = {}
    for name in map(str, cells):
        check_known("grid", name, kind.known)
        if name in kind.numeric:
            wheres = [f"{file} line {line}, column {name}" for line in cells.index] if file != "grid" else []
            each = zip(cells[name], wheres or [f"grid {name}"] * len(cells), strict=True)
            found = np.array([_number(cell, where) for cell, where in each])
            columns[name] = found.astype(int) if np.all(found == np.rint(found)) else found
        else:
            columns[name] = pd.Categorical([_path(name, cell) or cell for cell in cells[name]])
    return pd.DataFrame(columns)


def _number(cell: str, where: str) -> float:
    if cell != "nan" and not files.is_number(cell):
        raise InputError(f"{where}: {cell!r}; expected a number")
    return float(cell)


def _path(name: str, cell: str) -> str:
    """The file that a word names, if it names one: a worker may stand in another folder."""
    if name == "model" and Path(cell).exists():
        return str(find_config(cell).path.resolve())
    return str(Path(cell).resolve()) if cell and name.endswith("_file") else ""


def _probe(found: Plan, specs: Specs) -> None:
    """Refuse words and numbers that cannot be: those of each axis, beside the first of the others."""
    first = found.part(0).iloc[[0]]
    for axis in found.axes:
        rest = first.drop(columns=[*axis])
        rows = axis.join(rest, how="cross") if len(rest.columns) else axis
        for group in by_words(rows, found.kind):
            try:
                found.kind.probe(specs, group)
            except NotStated:  # of these, the rows say so
                continue


def by_words(rows: pd.DataFrame, kind: Target) -> Iterator[pd.DataFrame]:
    """The rows in groups that differ in numbers alone."""
    words = [name for name in rows if name not in kind.numeric]
    return (group for _, group in rows.groupby(words, observed=True, sort=False)) if words else iter([rows])


@cache
def _specs(more: tuple[str, ...], draws: int = 0, seed: int = SEED) -> Specs:
    specs = load_specs(*more)
    return specs.sample(draws, seed) if draws else specs


@cache
def inputs(target: str, read: tuple[str, ...]) -> str:
    """The digest of what a sweep follows from: data, code, notebook, files of specs, array libraries."""
    code = sorted(Path(__file__).parent.rglob("*.py"))
    book = [path for path in notebooks.NOTEBOOKS.glob("*.ipynb") if path.stem.startswith(Path(target).stem)]
    said = [files.digest(path) for path in (*code, *book, *map(Path, read))]
    said += [files.digests(), np.__version__, fused.version()]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
