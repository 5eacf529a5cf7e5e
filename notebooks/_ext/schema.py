"""The page that says what each file of data must look like, made from the checks that read them."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cm384.ledger.claims import (
    CATEGORIES,
    FORMS,
    MULTIPLES,
    RELATIONS,
    VERDICTS,
    Claim,
    claims_checks,
)
from cm384.markup import framed
from cm384.show.tables import Table, table
from cm384.table import files
from cm384.table.errors import DATA
from cm384.table.records import (
    BASES,
    BYTES_PER_ELEMENT,
    PHASES,
    ROUTINGS,
    Kind,
    Measurement,
    Row,
    measurements_checks,
    specs_checks,
)
from cm384.table.specs import Specs

# What is checked with the whole row, or when it is used.
ELSEWHERE = {
    "value": f"a positive number as printed, or {', '.join(MULTIPLES)}",
    "same_as": "the id of another claim, or nothing",
    "unit": "a unit such as TFLOP/s or GB",
    "kind": "stated, derived",
    "default_basis": "a basis",
    "better": "higher, lower, neither",
}
# Columns whose vocabularies are too long for a cell.
LONG = ("subject", "quantity", "comparator", "article", "accelerator", "source")
EXAMPLES = {
    "specs.csv": ("subject", "ascend-910c"),
    "claims.csv": ("id", "S000-11"),
    "measurements.csv": ("id", "CM384-DECODE-4K-50MS"),
    "quantities.csv": ("quantity", "hbm_bandwidth"),
}


def schema(specs: Specs, claims: Sequence[Claim]) -> str:
    """The page that says what each file of data must look like."""
    ids, keys = [claim.id for claim in claims], files.read_keys()
    kinds: dict[str, tuple[type, Mapping[str, Any]]] = {
        "specs.csv": (Row, specs_checks(specs.kinds, keys)),
        "claims.csv": (Claim, claims_checks(specs, ids, keys)),
        "measurements.csv": (Measurement, measurements_checks(specs, keys)),
        "quantities.csv": (Kind, {}),
    }
    holds = described()
    parts = [
        "# What a file must look like",
        "Everything in `data/` is CSV in UTF-8, one fact a row, and so is a file of your own. This "
        "page is made from the checks that read the files, so it cannot drift from them. A row "
        "that fails is refused in one line that names the file, the line, the column, what was "
        "expected, and the nearest known name for a slip of the pen.",
    ]
    for file, (cls, checks) in kinds.items():
        parts += [f"## {file}", framed(columns_table(file, cls, checks, holds[file]))]
        parts += ["An example:", example(file)]
    parts += ["## Words"]
    for name, words in vocabularies(specs).items():
        parts += [f"**{name}**: {', '.join(f'`{word}`' for word in words)}"]
    parts += ["### Bases", framed(bases_table())]
    parts += ["### Quantities", framed(quantities_table(specs))]
    return "\n\n".join(parts) + "\n"


def described() -> dict[str, dict[str, str]]:
    """What each column of each file holds, in words: `columns.csv`."""
    found: dict[str, dict[str, str]] = {}
    for row in files.records(files.read_table(DATA / "columns.csv", ["file", "column", "holds"])):
        found.setdefault(row["file"], {})[row["column"]] = row["holds"]
    return found


def columns_table(
    file: str, cls: type, checks: Mapping[str, Any], holds: Mapping[str, str]
) -> Table:
    """The columns of a file: what each holds, and what the check of it accepts."""
    names = files.columns(cls)
    if names != list(holds):
        raise AssertionError(f"{file}: columns {names} are described as {list(holds)}")
    return table(
        (
            {"column": name, "holds": holds[name], "accepted": accepted(checks.get(name), name)}
            for name in names
        ),
        wide=("holds", "accepted"),
    )


def accepted(check: Any, column: str) -> str:
    """What a check accepts, in its own words."""
    if check is None:
        return ELSEWHERE.get(column, "anything")
    what, *known = check.error.split("\t")
    if not known:
        return str(what)
    if column in LONG:
        return "a known name, or nothing" if "" in known else "a known name"
    return ", ".join([*filter(None, known), *(["nothing"] if "" in known else [])])


def vocabularies(specs: Specs) -> dict[str, Sequence[str]]:
    """The closed lists of words, by what they are for."""
    return {
        "category": CATEGORIES,
        "form": FORMS,
        "relation": RELATIONS,
        "verdict": VERDICTS,
        "phase": PHASES,
        "routing": ROUTINGS,
        "precision": sorted(BYTES_PER_ELEMENT),
        "chips": specs.chips,
        "systems": specs.systems,
    }


def bases_table() -> Table:
    """The footings on which values are meant."""
    return table({"basis": name, "what a value on it is": text} for name, text in BASES.items())


def quantities_table(specs: Specs) -> Table:
    """The vocabulary of quantities."""
    return table(map(dataclasses.asdict, specs.kinds.values()), wide=("meaning",))


def example(file: str) -> str:
    """The header of a file and one row of it, as they stand there."""
    column, wanted = EXAMPLES[file]
    with (DATA / file).open(encoding="utf-8", newline="") as text:
        lines = text.read().splitlines()
    header = next(csv.reader([lines[0]]))
    rows = (line for line in lines[1:] if line)
    row = next(r for r in rows if next(csv.reader([r]))[header.index(column)] == wanted)
    return f"```text\n{lines[0]}\n{row}\n```"
