"""Files of data: CSV as text cells by line, and their checks; the keys of a bibliography.

A file that is not as expected is refused in one line that names file, line, column, what the cell
holds and what was expected there.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cm384.table import units
from cm384.table.errors import CONTROL, DATA, InputError, not_known, suggestion
from cm384.table.frames import pd

MOST_BYTES = 64_000_000  # of a file: a million rows
LEAST, MOST = 1e-18, 1e18  # of a number

# The packaged tables, and what their checks read besides. `checked.csv` holds their digests as of when all
# of them passed: the checks take as long as all else at a start, and find again what they found then.
CHECKED = DATA / "derived" / "checked.csv"
TABLES = ("articles.csv", "claims.csv", "kernels.csv", "measurements.csv", "proxies.csv", "quantities.csv",
          "readings.csv", "sources.csv", "specs.csv", "speeds.csv", "subjects.csv",
          "third_party/deepseek.csv", "third_party/other_models.csv", "training.csv",
          "workloads.csv")  # fmt: skip


def columns(cls: type) -> list[str]:
    """The columns of a file whose lines are of some dataclass."""
    return [field.name for field in dataclasses.fields(cls)]


Lines = dict[int, dict[str, str]]  # the cells of a file by line and column


def read_table(path: Path, columns: Sequence[str], needed: Sequence[str] | None = None) -> pd.DataFrame:
    """A CSV file as text cells, indexed by line number; errors as in `read_lines`."""
    return _table(read_lines(path, columns, needed))


def _table(lines: Lines) -> pd.DataFrame:
    columns = list(next(iter(lines.values())))
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns, dtype=str)


def read_lines(path: Path, columns: Sequence[str], needed: Sequence[str] | None = None) -> Lines:
    """A CSV file as text cells by line number; refuses an unreadable or misshapen file.

    Where `needed` names some of the columns, the others may be left out and are then empty.
    """
    reader = csv.reader(io.StringIO(text_of(path), newline=""))
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise InputError(f"{path.name} line 1: not a CSV file ({error})") from None
    if not header:
        raise InputError(f"{path.name}: empty file; expected the columns {','.join(columns)}")
    for name in header:
        if name not in columns:
            raise InputError(f"{path.name} line 1: unknown column {name!r}{suggestion(name, columns)}")
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"{path.name} line 1: column {twice[0]!r} is given twice")
    if missing := [name for name in (columns if needed is None else needed) if name not in header]:
        raise InputError(f"{path.name} line 1: missing column {missing[0]!r}")
    lines: Lines = {}
    empty = dict.fromkeys(columns, "")
    known = passed(path)
    try:
        for cells in filter(None, reader):
            if len(cells) != len(header):
                told = f"{len(cells)} cells; expected {len(header)}"
                raise InputError(f"{path.name} line {reader.line_num}: {told}")
            if not known and (wrong := CONTROL.search(" ".join("".join(cells).split()))):
                raise InputError(f"{path.name} line {reader.line_num}: control character {wrong[0]!r}")
            lines[reader.line_num] = empty | dict(zip(header, map(str.strip, cells), strict=True))
    except csv.Error as error:
        raise InputError(f"{path.name} line {reader.line_num}: not a CSV file ({error})") from None
    if not lines:
        raise InputError(f"{path.name}: no rows below the header")
    return lines


def path_of(given: str | Path) -> Path:
    """A path; InputError for what is none."""
    try:
        return Path(given)
    except TypeError:
        raise InputError(f"expected a path, got {given!r}") from None


def text_of(path: Path, name: str = "") -> str:
    """The text of a file, without a mark of byte order; InputError for what cannot be one."""
    name = name or path.name or str(path)
    try:
        with path.open("rb") as file:
            read = file.read(MOST_BYTES + 1)
        text = read.decode("utf-8-sig") if len(read) <= MOST_BYTES else ""
    except FileNotFoundError:
        raise InputError(f"{name}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: cannot be read as UTF-8 text ({error})") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read ({getattr(error, 'strerror', error)})") from None
    if len(read) > MOST_BYTES:
        raise InputError(f"{name}: more than {MOST_BYTES / 1e6:g} MB")
    return text


R = TypeVar("R")


def read_records(
    path: Path,
    cls: type[R],
    checks: Mapping[str, Check],
    unique: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> dict[int, R]:
    """The lines of a file as records of a dataclass whose fields are its columns, checked, by line."""
    lines = read_lines(path, columns(cls), [name for name in columns(cls) if name not in optional])
    check_table(lines, checks, path, unique)
    return {line: cls(**cells) for line, cells in lines.items()}


def row_dicts(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a text table as dictionaries."""
    return (dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False))


# --- checks --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What a cell must be: whether it is, and the words for it."""

    holds: Callable[[str], bool]
    error: str


def check_table(
    lines: Lines | pd.DataFrame, checks: Mapping[str, Check], path: Path, unique: Sequence[str] = ()
) -> None:
    """Check the columns of a file; the first bad cell becomes one line."""
    if passed(path):
        return
    import pandera.pandas as pa  # a second to import, and needed only here

    table, names = _table(lines) if isinstance(lines, dict) else lines, [*checks]

    @cache  # a column has few different cells, whatever its length
    def held(name: str, cell: str) -> bool:
        return checks[name].holds(cell)

    def hold(cells: pd.Series[str]) -> pd.Series[bool]:
        return pd.Series(map(held, itertools.cycle(names), cells), cells.index, dtype=bool)

    # All cells in one column, line by line: a check takes Pandera as long as a thousand cells take it.
    cells = pd.Series(table[names].to_numpy().ravel())
    try:
        pa.SeriesSchema(checks=pa.Check(hold)).validate(cells, lazy=True)
    except pa.errors.SchemaErrors as errors:
        wrong = [divmod(place, len(names)) for place in sorted(errors.failure_cases["index"])]
        at, column = wrong[0]
        alike = [str(table.index[row]) for row, other in wrong[1:] if other == column]
        cell, expected = str(table.iloc[at][names[column]]), checks[names[column]].error
        told = bad_cell(path.name, table.index[at], names[column], cell, expected)
        raise InputError(f"{told}; likewise in line {', '.join(alike)}" if alike else str(told)) from None
    for line in table.index[table.duplicated([*unique])] if unique else ():
        cell = str(table.at[line, unique[0]])
        raise bad_cell(path.name, line, unique[0], cell, "one that no line above has")


def digest(path: Path) -> str:
    """The SHA-256 of a file; of one that is missing, that of nothing."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()


def digests() -> str:
    """The SHA-256 of each packaged table and of what else their checks read, as `checked.csv` has them."""
    models = (path.relative_to(DATA).as_posix() for path in sorted((DATA / "models").glob("*.json")))
    return "".join(f"{name},{digest(DATA / name)}\n" for name in ("sources.bib", *TABLES, *models))


@cache
def as_checked() -> Mapping[Path, str]:
    """The digests with which the packaged tables passed; none, if any of them is another now.

    One table names what another defines: whoever edits one has all of them checked.
    """
    _, _, passed = CHECKED.read_text(encoding="utf-8").partition("\n") if CHECKED.exists() else [""] * 3
    pairs = (line.split(",") for line in passed.split())
    return {DATA / name: then for name, then in pairs} if passed == digests() else {}


def passed(path: Path) -> bool:
    """Whether a file is a packaged table as it passed its checks."""
    return path in as_checked() and as_checked()[path] == digest(path)


def matches(pattern: str, expected: str) -> Check:
    """A check that a cell has a form; `expected` says it in words."""
    return Check(lambda cell: bool(re.fullmatch(pattern, cell, re.S)), expected)


def one_of(names: Iterable[str]) -> Check:
    """A check that a cell is one of some names; the error suggests the nearest."""
    known = frozenset(names)
    return Check(lambda cell: cell in known, among(known))


def each_of(names: Iterable[str]) -> Check:
    """A check that a cell holds some of some names, `;` between them, or nothing."""
    known = frozenset(names)
    return Check(lambda cell: all(name in known for name in cell.split(";") if name), among(known))


def among(names: Iterable[str]) -> str:
    """What is expected where some names are known, for `bad_cell`."""
    return "one of\t" + "\t".join(sorted(names))


def bad_cell(file: str, line: int, column: str, cell: str, expected: str) -> InputError:
    """The error for one cell: file, line, column, what it holds and what was expected there."""
    what, *known = expected.split("\t")
    with suppress(ValueError):
        if not known and math.isfinite(float(cell)) and not is_ordinary(float(cell)):
            what = f"a number from {LEAST:g} to {MOST:g}"
    expectation = not_known(cell, known) if known else f"; expected {what}"
    return InputError(f"{file} line {line}, column {column}: {cell!r}{expectation}")


def is_number(cell: str) -> bool:
    """Whether a cell is a number in the digits 0 to 9, without separators, of an ordinary size.

    >>> [is_number(cell) for cell in ("1e-3", "1_000", "１２", "1e300", "5e-324", "nan")]
    [True, False, False, False, False, False]
    """
    try:
        return cell.isascii() and "_" not in cell and is_ordinary(float(cell))
    except ValueError:
        return False


def is_ordinary(value: float) -> bool:
    """Whether a number is 0 or of a size that anything here has, so that products of some stay finite."""
    return value == 0 or LEAST <= abs(value) <= MOST


def check_fields(fields: Mapping[str, Any], numbers: Iterable[str]) -> None:
    """Refuse a field that is no name, or no number nor an array of some; NaN and infinity pass."""
    for name, value in fields.items():
        kind = "number" if type(value) in (int, float) else getattr(getattr(value, "dtype", None), "kind", "")
        if name not in numbers:
            if not isinstance(value, str):
                raise InputError(f"{name}: expected a name, got {value!r}")
        elif kind == "number":
            if not (is_ordinary(value) or value != value or abs(value) == math.inf):
                raise InputError(f"{name}: expected a number or an array of numbers, not {value!r}")
        elif kind not in ("i", "u", "f") or 0 in value.shape or hasattr(value, "units"):
            raise InputError(f"{name}: expected a number or an array of numbers, not {value!r}")


def is_amount(cell: str) -> bool:
    """Whether a cell is a number, and not below 0."""
    return is_number(cell) and float(cell) >= 0


def is_unit(cell: str) -> bool:
    """Whether a cell spells a unit."""
    try:
        return bool(cell) and units.parse_unit(cell) is not None
    except InputError:
        return False


def read_keys() -> list[str]:
    """The keys of the bibliography: what a source of this project must be.

    >>> "huawei2025cloudmatrix" in read_keys()
    True
    """
    text = (DATA / "sources.bib").read_text(encoding="utf-8")
    return re.findall(r"^@\w+\{\s*([^,\s]+)\s*,", text, flags=re.M)
