"""No datum changes unnoticed: what follows from the data is committed, and this is its difference.

`data/derived/figures.csv` holds every figure of every chip, system and model with its span over the
sources, and every stated row with all its statements; `scorecard.csv` the answers. After a change
that is meant, `make refresh` writes both again; `git diff` then shows what the change moved.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cm384 import derive, load_claims, load_specs, scorecard
from cm384.derive.catalogue import _line, catalogue
from cm384.derive.derivation import trace
from cm384.show.tables import as_csv
from cm384.table.errors import DATA, InputError
from cm384.table.records import Key, key_name, read_conditions
from cm384.table.specs import Specs

SPECS = load_specs()
Lines = dict[tuple[str, ...], dict[str, str]]


def committed(name: str) -> Lines:
    return lines_of((DATA / "derived" / name).read_text(encoding="utf-8"))


def lines_of(text: str) -> Lines:
    rows = list(csv.DictReader(io.StringIO(text)))
    names = ["id"] if "id" in rows[0] else ["kind", "quantity", "subject", "conditions"]
    return {tuple(row[name] for name in names): row for row in rows}


def apart(now: Lines, before: Lines) -> list[str]:
    """The lines that differ, numbers by more than a ten-millionth."""
    found = [f"- {key}" for key in before.keys() - now.keys()]
    found += [f"+ {key}" for key in now.keys() - before.keys()]
    for key in before.keys() & now.keys():
        found += [
            f"{key} {column}: {before[key][column]!r} is now {now[key][column]!r}"
            for column in before[key]
            if not alike(now[key][column], before[key][column])
        ]
    return found


def alike(one: str, other: str) -> bool:
    try:
        pairs = zip(one.split(";"), other.split(";"), strict=True)
        return one == other or all(float(a) == pytest.approx(float(b), rel=1e-7) for a, b in pairs)
    except ValueError:
        return False


def test_the_catalogue_is_what_follows_from_the_data() -> None:
    now, before = lines_of(as_csv(catalogue(SPECS))), committed("figures.csv")
    assert len(before) > 2_500
    assert list(now) == list(before)
    assert not apart(now, before)


def test_the_scorecard_is_what_follows_from_the_data() -> None:
    now = lines_of(as_csv(scorecard(load_claims(specs=SPECS), SPECS)))
    assert not apart(now, committed("scorecard.csv"))


def test_a_line_that_differs_is_named() -> None:
    before = committed("figures.csv")
    key = ("stated", "peak", "ascend-910c", "basis=headline;precision=bf16")
    moved = before | {key: before[key] | {"central": "789.6"}}
    assert apart(moved, before) == [f"{key} central: '752' is now '789.6'"]
    assert len(apart({k: v for k, v in before.items() if k != key}, before)) == 1
    assert alike("752;800", "752.00000001;800")
    assert not alike("752;800", "752;801")


def test_every_statement_of_every_row_stands_in_the_catalogue() -> None:
    found = committed("figures.csv")
    for key in SPECS.rows:
        subject, quantity, conditions, basis = key
        text = ";".join(sorted(filter(None, [*conditions.split(";"), f"basis={basis}"])))
        line = found["stated", quantity, subject, text]
        unit = SPECS.kinds[quantity].unit
        stated = {float(row.amount.to(unit).m) for row in SPECS.rows[key]}
        listed = [float(value) for value in line["values"].split(";") if value]
        listed = listed or [float(line["central"])]
        assert sorted(stated) == pytest.approx(listed, rel=1e-8), key_name(key)
        assert line["statements"] == str(len(SPECS.rows[key]))


def moved(key: Key, place: int, factor: float) -> Specs:
    """The table with one statement of one key changed."""
    rows = list(SPECS.rows[key])
    rows[place] = dataclasses.replace(rows[place], value=rows[place].value * factor)
    return dataclasses.replace(SPECS, rows={**SPECS.rows, key: tuple(rows)})


@pytest.mark.parametrize("place", [0, 1])
def test_moving_a_statement_by_5_percent_changes_its_line(place: int) -> None:
    key = SPECS.find("ascend-910c", "peak", precision="bf16")
    asked = ("stated", "peak", "ascend-910c", {"precision": "bf16", "basis": "headline"})
    assert _line(asked, moved(key, place, 1.0)) == _line(asked, SPECS)
    assert _line(asked, moved(key, place, 1.05)) != _line(asked, SPECS)


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


def down_and_up(figure: Callable[[Specs], Any], keys: list[Key]) -> Any:
    """A figure as it is, and with each key in turn 5 % lower and 5 % higher, in one call."""
    factors = np.ones((len(keys), 1 + 2 * len(keys)))
    for i, line in enumerate(factors):
        line[1 + 2 * i : 3 + 2 * i] = 0.95, 1.05
    central = (SPECS.options(key)[0] for key in keys)
    table = SPECS.replace({key: x * line for key, x, line in zip(keys, central, factors, strict=True)})
    return np.broadcast_to(figure(table).m, factors.shape[1])


def test_moving_a_serving_constant_by_5_percent_moves_a_prediction() -> None:
    """All of them in one call a measurement, down and up; but for the `IDLE` ones."""
    predicted = {
        (key[2], key[3]): line
        for key, line in committed("figures.csv").items()
        if key[1] == "predicted_throughput"
    }
    moves: dict[Key, list[bool]] = {}
    for (chip, conditions), line in predicted.items():
        given = read_conditions(conditions)
        figure = lambda table, c=chip, g=given: derive("predicted_throughput", c, table, **g)  # noqa: E731
        keys = list(dict.fromkeys(row.key for row in trace(figure, SPECS).rows))
        # a whole number, such as ranks a package, is not 5 % smaller: it decides, but has no curve
        whole = [key for key in keys if SPECS.kinds[key[1]].unit == "count"]
        for tried in ([key for key in keys if key not in whole], *([key] for key in whole)):
            try:
                same, *moved = (f"{one:.9g}" for one in down_and_up(figure, tried))
            except InputError:
                assert tried[0] in whole, (chip, conditions)
                moves[tried[0]] = [True, True]
                continue
            assert alike(same, line["central"]), (chip, conditions)
            for key, down, up in zip(tried, moved[::2], moved[1::2], strict=True):
                before = moves.setdefault(key, [False, False])
                moves[key] = [before[0] or down != same, before[1] or up != same]
    assert len(moves) > 400
    moving = {key for key, both in moves.items() if all(both)}
    idle = moves.keys() - moving
    assert not [key_name(key) for key in idle if key[1] not in IDLE]
    assert not IDLE - {key[1] for key in idle}  # a name that is no longer idle goes
    # points of curves between which no run of these lies make up the idle ones
    assert len(moving) > 280


def test_derived_tables_are_small_text_files() -> None:
    for path in Path(DATA / "derived").glob("*.csv"):
        assert path.stat().st_size < 1_000_000, path.name
        assert b"\r" not in path.read_bytes()
