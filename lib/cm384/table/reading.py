"""The data files of this project read and checked, one function a file.

`records.py` says what a line of each file is; here is what each cell of it must look like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cm384.table import files, units
from cm384.table.errors import DATA
from cm384.table.records import (
    BASES,
    BYTES_PER_ELEMENT,
    MATRIX_PRECISIONS,
    MAYBE_NONE,
    NUMBERS,
    PHASES,
    PRECISIONS,
    PREFILL,
    ROUTINGS,
    RUNS,
    SERVINGS,
    Kernel,
    Kind,
    Row,
    Subject,
    TrainingRun,
    Workload,
    read_conditions,
    write_conditions,
)

NAME = r"[a-z0-9][a-z0-9.-]*", "lower-case letters, digits, hyphens and dots"
TIMED = r"[a-z_]+(\+[a-z_]+)*=[0-9]+(\.[0-9]+)?"
# Columns of measurements that a file may leave out.
IF_ANY = ("kind", "serving", "concurrency", "prompt", "workers", "ttft", "software", "date", "drafter",
          *PREFILL, "terms")  # fmt: skip


def read_kinds() -> dict[str, Kind]:
    """The vocabulary of quantities, by name."""
    found = files.read_records(DATA / "quantities.csv", Kind, {})
    return {kind.quantity: kind for kind in found.values()}


@cache
def load_subjects() -> Mapping[str, Subject]:
    """What is known of chips, systems and parts beside their figures, by name."""
    checks = {
        "subject": files.matches(*NAME),
        "name": files.matches(r"\S.*", "a name"),
        "tier": files.matches(r"[12]?", "1, 2 or nothing"),
    }
    found = files.read_records(DATA / "subjects.csv", Subject, checks, unique=["subject"])
    return {row.subject: row for row in found.values()}


def read_workloads() -> dict[str, Workload]:
    """The workloads of this project, checked, by name."""
    numbers = ("expert_parallel", "batch", "context", "microbatches")
    checks = {
        "id": files.matches(*NAME),
        "phase": files.one_of(PHASES),
        "routing": files.one_of(ROUTINGS),
        **dict.fromkeys(numbers, files.Check(files.is_amount, "a number")),
    }
    found = files.read_records(DATA / "workloads.csv", Workload, checks, unique=["id"])
    return {row.id: row for row in found.values()}


def read_training(subjects: Iterable[str], models: Iterable[str]) -> dict[str, TrainingRun]:
    """The published training runs of this project, checked, by id."""
    path, checks = DATA / "training.csv", training_checks(subjects, models)
    found = files.read_records(path, TrainingRun, checks, unique=["id"])
    for line, row in found.items():
        if not (row.throughput or row.mfu):
            raise files.bad_cell(path.name, line, "throughput", "", "a throughput or an MFU")
    return {row.id: row for row in found.values()}


def training_checks(subjects: Iterable[str], models: Iterable[str]) -> dict[str, Any]:
    """What the file of training runs must look like: one check a column."""
    more = files.Check(lambda c: not c or (files.is_amount(c) and float(c) > 0), "more than 0, or nothing")
    share = files.Check(lambda c: not c or (files.is_amount(c) and float(c) <= 1), "a share from 0 to 1")
    percent = files.Check(
        lambda c: not c or (files.is_amount(c) and 0 < float(c) <= 100), "a percentage up to 100, or nothing"
    )
    formats = files.one_of([*BYTES_PER_ELEMENT, ""])
    return {
        "id": files.matches(r"[A-Z0-9-]+", "capital letters, digits and hyphens"),
        "model": files.one_of([*models, ""]),
        "accelerator": files.one_of(subjects),
        **dict.fromkeys(("accelerators", "active", "sequence", "throughput", "flop_rate"), more),
        "stage": files.one_of(["pretraining", "post-training"]),
        **dict.fromkeys(("precision", "mfu_precision"), formats),
        "mtp": files.one_of(["with", "without", ""]),
        "recomputed": share,
        "routing": files.one_of([*ROUTINGS, ""]),
        "edition": files.matches(r"\S.*", "the edition of the document"),
        "date": files.matches(r"\d{4}-\d{2}", "a month such as 2025-11"),
        "mfu": percent,
        "kind": files.one_of(RUNS),
        "assumed": files.each_of([*files.columns(TrainingRun), "unit"]),
        "source": files.one_of(files.read_keys()),
        "locator": files.matches(r"\S.*", "the place in the source"),
    }


def load_kernels() -> list[Kernel]:
    """The kernel benchmarks and ablations of this project, checked."""
    checks = {
        "id": files.matches(r"\S+", "a name"),
        "value": files.matches(r"-?[0-9.]+", "a number"),
        "source": files.one_of(files.read_keys()),
    }
    return [*files.read_records(DATA / "kernels.csv", Kernel, checks, unique=["id"]).values()]


def read_rows(path: Path, kinds: Mapping[str, Kind], keys: Iterable[str] | None = None) -> dict[int, Row]:
    """The rows of a specs file by line, checked; `keys` closes the list of sources, when given."""
    lines: dict[int, dict[str, Any]] = files.read_lines(path, files.columns(Row))
    files.check_table(lines, specs_checks(kinds, keys), path)
    rows = {line: Row(**{**cells, "value": float(cells["value"])}) for line, cells in lines.items()}
    for line, row in {} if files.passed(path) else rows.items():
        if row.value == 0 and row.quantity not in MAYBE_NONE:
            raise files.bad_cell(path.name, line, "value", "0", "a positive number")
        if row.quantity == "count" and row.value % 1:
            raise files.bad_cell(path.name, line, "value", f"{row.value:g}", "a whole number")
        if not units.same_kind(row.unit, usual := kinds[row.quantity].unit):
            expected = f"a unit of {row.quantity}, such as {usual}"
            raise files.bad_cell(path.name, line, "unit", row.unit, expected)
        if row.conditions != write_conditions(read_conditions(row.conditions)):
            raise files.bad_cell(path.name, line, "conditions", row.conditions, "keys in sorted order")
    return rows


def specs_checks(kinds: Mapping[str, Kind], keys: Iterable[str] | None) -> dict[str, Any]:
    """What a specs file must look like: one check a column, each with the words of its error."""
    stated = [name for name, kind in kinds.items() if kind.kind == "stated"]
    return {
        "subject": files.matches(*NAME),
        "quantity": files.one_of(stated),
        "conditions": files.matches(r"([a-z_]+=[^;=]+(;[a-z_]+=[^;=]+)*)?", "key=value;key=value"),
        "value": files.Check(files.is_amount, "a positive number"),
        "unit": files.Check(files.is_unit, "a unit such as TFLOP/s or GB"),
        "basis": files.one_of(BASES),
        "role": files.one_of(["central", "alternative"]),
        "group": files.matches(r"[a-z0-9-]*", "lower-case letters, digits and hyphens"),
        "source": files.matches(r"\S.*", "a source") if keys is None else files.one_of(keys),
        "locator": files.matches(r"\S.*", "the place in the source"),
    }


def measurements_checks(subjects: Iterable[str], keys: Iterable[str] | None) -> dict[str, Any]:
    """What a measurements file must look like: one check a column."""
    checks = {
        "id": files.matches(r"[A-Za-z0-9._-]+", "letters, digits, hyphens and dots"),
        "model": files.matches(r"\S.*", "a model or the path of a config.json"),
        "accelerator": files.one_of(subjects),
        "phase": files.one_of(PHASES),
        "routing": files.one_of([*ROUTINGS, ""]),
        "assumed": files.matches(r"([a-z_]+(;[a-z_]+)*)?", "column;column"),
        "kind": files.one_of([*RUNS, ""]),
        "serving": files.one_of([*SERVINGS, ""]),
        "terms": files.matches(f"({TIMED}(;{TIMED})*)?", "term=µs;term=µs"),
        "date": files.matches(r"(\d{4}-\d{2}(-\d{2})?)?", "a date, or nothing"),
    }
    checks |= {name: files.one_of([*BYTES_PER_ELEMENT, ""]) for name in PRECISIONS}
    checks["matrix_precision"] = files.one_of([*MATRIX_PRECISIONS, ""])
    amount = files.Check(lambda cell: not cell or files.is_amount(cell), "a number, or nothing")
    wanted = "more than 0, or nothing"
    more = files.Check(lambda cell: not cell or (files.is_amount(cell) and float(cell) > 0), wanted)
    checks |= dict.fromkeys(NUMBERS, amount)
    positive = {*NUMBERS, *PREFILL} - {"output", "draft_tokens"}
    loop = ("tpot", "throughput", "concurrency", "prompt", "workers", "ttft")
    checks |= dict.fromkeys((*loop, *positive), more)
    if keys is not None:
        checks["source"] = files.one_of(keys)
        checks["locator"] = files.matches(r"\S.*", "the place in the source")
    return checks
