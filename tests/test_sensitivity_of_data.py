"""No datum changes unnoticed: every row that a derivation reads moves a pinned figure.

`pinned_figures.csv` holds the figures of every chip and system with their span over the sources,
what the serving model says of every measurement, and the rows behind both as they are stated.
After a change of the data that is meant, `python tests/test_sensitivity_of_data.py` writes it
again; the difference then shows which figures the change moved.
"""

from __future__ import annotations

import csv
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cm384 import derive, load_claims, load_specs
from cm384.derive.derivation import ADDITIVE, DERIVATIONS, compares
from cm384.table.errors import InputError
from cm384.physics.hardware import AREAS
from cm384.table.specs import Key, Specs, key_name, read_conditions
from cm384.physics.served import MODELLED
from cm384.derive.spread import span
from cm384.table.units import unit_text
from cm384.ledger.verdicts import as_stated, other_readings

PINNED = Path(__file__).with_name("pinned_figures.csv")
COLUMNS = ["subject", "figure", "conditions", "unit", "central", "low", "high", "mean"]
SPECS = load_specs()
PRECISIONS = ("bf16", "fp8", "int8", "fp4")
# What the conditions of a derivation can be; a new one is added here. The comparator is the subject
# itself: a comparison reads the same rows on both sides, so over all subjects this reads them all.
# A measurement has a precision, so a throughput over a peak is asked for that one alone.
VALUES = {
    "precision": PRECISIONS,
    "basis": ("matrix", "headline"),
    "product": tuple(sorted(SPECS.condition_values["product"])),
    "peer": tuple(sorted(SPECS.condition_values["peer"])),
    "year": tuple(sorted(SPECS.condition_values["year"])),
}
BASES = {"peak": ("matrix", "headline"), "hbm_capacity": ("nominal", "usable")}

Name = tuple[str, str, str]  # subject, figure, conditions
Figure = Callable[[Specs], Any]


def derived(quantity: str, subject: str, conditions: dict[str, str]) -> Figure:
    return lambda specs: derive(quantity, subject, specs, **conditions)


def stated(key: Key) -> Figure:
    subject, quantity, conditions, basis = key
    return lambda specs: specs.get(subject, quantity, basis, **read_conditions(conditions))


def choices(quantity: str, subject: str) -> Iterator[dict[str, str]]:
    """The conditions under which a derivation may be asked, known by its signature."""
    names = list(inspect.signature(DERIVATIONS[quantity][0]).parameters)[2:]
    if "measurement" in names:
        for row in SPECS.measurements.values():
            if row.accelerator == subject:
                full = {"measurement": row.id, "precision": row.matrix_precision}
                yield {name: full[name] for name in names if name in full}
        return
    values_of = VALUES | {"comparator": (subject,)}
    for values in product(*(values_of[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def computable(figure: Figure) -> bool:
    try:
        figure(SPECS)
    except InputError:
        return False
    return True


@cache
def figures() -> dict[Name, Figure]:
    """What can be computed: products of parts, totals of systems, and what they rest on."""
    found: dict[Name, Figure] = {}

    def add(subject: str, quantity: str, conditions: dict[str, str], figure: Figure) -> None:
        if computable(figure):
            text = ";".join(f"{name}={value}" for name, value in conditions.items())
            found[subject, quantity, text] = figure

    for subject in sorted(SPECS.subjects):
        for quantity in sorted(DERIVATIONS):
            for conditions in choices(quantity, subject) if not compares(quantity) else ():
                add(subject, quantity, conditions, derived(quantity, subject, conditions))
        for quantity in sorted(ADDITIVE - set(DERIVATIONS)) if SPECS.parts(subject) else ():
            precisions = PRECISIONS if quantity == "peak" else (None,)
            for precision, basis in product(precisions, BASES.get(quantity, (None,))):
                asked = {"precision": precision, "basis": basis}
                given = {name: value for name, value in asked.items() if value}
                add(subject, quantity, given, derived(quantity, subject, given))
    modelled = [figure for name, figure in found.items() if name[1] in MODELLED]
    behind = read_by_claims().union(*map(read, modelled))
    for key in SPECS.rows:
        subject, quantity, conditions, basis = key
        if quantity in (*AREAS, "count") or key in behind:
            add(subject, f"{quantity} as stated", {**read_conditions(conditions), "basis": basis},
                stated(key))  # fmt: skip
    return found


def line(name: Name, figure: Figure, specs: Specs) -> list[str]:
    """A figure as it is pinned; the mean notices a source that is at neither end.

    The span is left empty where there is one source each, and of what the serving model says: there
    some constants move little, so that there are more digits.
    """
    if name[1] in MODELLED:
        value = figure(specs)
        return [*name, unit_text(value.units), f"{float(value.m):.9g}", "", "", ""]
    found = span(figure, specs)
    spread = [found.low.m, found.high.m, np.mean(found.values)] if len(found.values) > 1 else []
    cells = [f"{float(number):.6g}" for number in (found.central.m, *spread)]
    return [*name, unit_text(found.central.units), *cells, *[""] * (4 - len(cells))]


def pinned() -> dict[Name, list[str]]:
    with PINNED.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    return {(row[0], row[1], row[2]): row for row in rows}


@cache
def keys_of(name: Name) -> frozenset[Key]:
    return read(figures()[name])


def read(figure: Figure) -> frozenset[Key]:
    """The rows that a figure reads; none when it cannot be computed."""
    traced, trace = SPECS.traced()
    try:
        figure(traced)
    except InputError:
        return frozenset()
    return frozenset(trace.keys)


def read_by_the_project() -> set[Key]:
    """Every row that a derivation reads for any subject, or a claim of the ledger as it stands."""
    asked = [
        derived(quantity, subject, conditions)
        for quantity in DERIVATIONS
        for subject in SPECS.subjects
        for conditions in choices(quantity, subject)
    ]
    asked += [
        derived(quantity, system, {"precision": precision} if quantity == "peak" else {})
        for quantity in ADDITIVE - set(DERIVATIONS)
        for system in SPECS.systems
        for precision in PRECISIONS
    ]
    return set(read_by_claims()).union(*map(read, asked))


@cache
def read_by_claims() -> frozenset[Key]:
    """Every row that a claim of the ledger reads, as stated or in another of its readings."""
    claims = load_claims(specs=SPECS)
    ledger = {claim.id: claim for claim in claims}
    asked = [
        reading.figure
        for claim in claims
        if not claim.judged
        for stated in as_stated(claim, SPECS, ledger)
        for reading in (stated, *other_readings(claim, stated))
    ]
    return frozenset().union(*map(read, asked))


def moved(key: Key, place: int, factor: float) -> Specs:
    """The table with one statement of one key changed."""
    rows = list(SPECS.rows[key])
    rows[place] = dataclasses.replace(rows[place], value=rows[place].value * factor)
    return dataclasses.replace(SPECS, rows={**SPECS.rows, key: tuple(rows)})


@pytest.mark.parametrize("subject", sorted({name[0] for name in figures()}))
def test_figures_are_the_pinned_ones(subject: str) -> None:
    found = [line(name, figure, SPECS) for name, figure in figures().items() if name[0] == subject]
    assert found == [row for name, row in pinned().items() if name[0] == subject]


def test_every_figure_is_pinned_and_no_other() -> None:
    assert list(pinned()) == list(figures())


def test_every_row_that_is_read_enters_a_pinned_figure() -> None:
    covered = set().union(*map(keys_of, figures()))
    assert len(covered) > 300
    assert not read_by_the_project() - covered


@pytest.mark.parametrize("factor", [1.05, 0.95])
def test_moving_any_statement_by_5_percent_changes_a_pinned_figure(factor: float) -> None:
    readers: dict[Key, list[Name]] = {}
    for name in sorted(figures(), key=lambda name: len(keys_of(name))):  # the simplest first
        for key in keys_of(name):
            readers.setdefault(key, []).append(name)
    table = pinned()
    unnoticed = []
    for key, names in readers.items():
        for place, row in enumerate(SPECS.rows[key]):
            changed = moved(key, place, factor)
            if row.value and not any(
                line(name, figures()[name], changed) != table[name] for name in names
            ):  # 5 % of nothing is nothing
                unnoticed.append((row.name, row.value))
    assert not unnoticed


# Of these, some rows move no measured deployment: points of a curve outside the sizes that were
# measured, limits that are not reached, kernels whose time another one hides.
IDLE = frozenset(
    {
        *("hbm_capacity", "host_link_bandwidth", "node_ranks", "routing_groups"),
        *("gemm_rate", "gemm_bandwidth", "gemm_fixed_time"),
        *("attention_rate", "attention_bandwidth"),
        *("all_reduce_latency", "all_reduce_bandwidth"),
        *("exchange_fixed_time", "exchange_bandwidth"),
    }
)


def test_moving_a_serving_constant_by_5_percent_moves_a_prediction() -> None:
    """All of them in one call a measurement, down and up; but for the `IDLE` ones."""
    table, idle, moving = pinned(), set[Key](), set[Key]()
    readers: dict[Key, list[Name]] = {}
    for name in figures():
        for key in keys_of(name) if name[1] == "predicted_throughput" else ():
            readers.setdefault(key, []).append(name)
    assert len(readers) > 400
    for key, names in readers.items():
        values = SPECS.options(key)[0] * np.array([0.95, 1.0, 1.05])
        moved_down_and_up = [False, False]
        for name in names:
            try:
                result = figures()[name](SPECS.replace({key: values})).m
            except InputError:  # such as 0.95 ranks a package
                moved_down_and_up = [True, True]
                break
            down, same, up = (f"{one:.9g}" for one in np.broadcast_to(result, 3))
            assert same == table[name][4], name
            changed = (down != same, up != same)
            moved_down_and_up = [a or b for a, b in zip(moved_down_and_up, changed, strict=True)]
            if all(moved_down_and_up):
                break
        (moving if all(moved_down_and_up) else idle).add(key)
    assert not [key_name(key) for key in idle if key[1] not in IDLE]
    assert not IDLE - {key[1] for key in idle}  # a name that is no longer idle goes
    assert len(moving) > len(idle)


def test_a_table_that_is_not_changed_moves_nothing() -> None:
    key = SPECS.find("ascend-910c", "peak", precision="bf16")
    name = ("ascend-910c", "peak as stated", "precision=bf16;basis=headline")
    assert line(name, figures()[name], moved(key, 0, 1.0)) == pinned()[name]
    assert line(name, figures()[name], moved(key, 1, 1.05)) != pinned()[name]


if __name__ == "__main__":
    with PINNED.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(line(name, figure, SPECS) for name, figure in figures().items())
    print(f"{len(figures())} figures", file=sys.stderr)
