"""Page 15 beside other tools: what its cells make of `data/speeds.csv`."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import MagicMock

import nbformat
import pytest

from cm384.notebooks import NOTEBOOKS
from cm384.show.figures import described
from cm384.table.errors import DATA
from cm384.table.speeds import Speed, load_speeds

PAGE = nbformat.read(NOTEBOOKS / "15-sweep.ipynb", as_version=4)
CELLS = {cell.id: cell for cell in PAGE.cells if cell.cell_type == "code"}
ABOUT = [name for name in CELLS if name.startswith("speeds")]
ROWS = load_speeds()
Show = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def show() -> Show:
    """What the cells on speed show of some rows, with the names that they define; nothing is drawn."""
    start: dict[str, Any] = {}
    for name in ("parameters", "setup"):
        exec(CELLS[name].source, start)
    stubs = {"sns": MagicMock(), "canvas": lambda _: (None, [MagicMock()])}
    stubs["picture"] = lambda _, finding, data: described(finding, data)

    def shown(rows: list[Speed]) -> dict[str, Any]:
        names = start | stubs | {"load_speeds": lambda: rows}
        for name in ABOUT:
            *body, last = ast.parse(CELLS[name].source).body
            assert isinstance(last, ast.Expr)
            exec(compile(ast.Module(body, []), name, "exec"), names)
            found = eval(compile(ast.Expression(last.value), name, "eval"), names)
            names[name] = getattr(found, "data", None) or str(found)
        return names

    return shown


def changed(share: float, **which: Any) -> list[Speed]:
    """The rows, those of a kind slower by a factor."""
    alike = [all(getattr(row, name) == value for name, value in which.items()) for row in ROWS]
    assert any(alike)
    return [
        replace(row, microseconds=row.microseconds * share) if found else row
        for row, found in zip(ROWS, alike, strict=True)
    ]


def test_how_many_times_by_hand(show: Show) -> None:
    """385 / 36 = 10.7 and 31.1 / 0.58 = 53.6: one decode and a hundred thousand, beside aiconfigurator.

    241 / 157 = 1.54 is less than what rounds of one figure lay apart by.
    """
    against = show(ROWS)["against"]
    assert (against(385, 36), against(0.58, 31.1)) == ("11 times slower", "54 times faster")
    assert against(241, 157) == "1.5 times slower, level"
    still = [replace(row, low=row.microseconds, high=row.microseconds) for row in ROWS]
    assert show(still)["against"](241, 157) == "1.5 times slower"


def test_what_noise_covers_is_called_level(show: Show) -> None:
    """1.5 and 1.2 times are; 3.4 and 39 are not."""
    said = show(ROWS)["speeds-read"].split(" In a batch")[0]
    ahead, level = said.split("; it is level with ")
    assert re.findall(r"one of (\w+)", ahead) == ["aiconfigurator", "ridgepoint"]
    assert "(time alone)" in ahead
    assert level == "aiconfigurator, light-llm-simulator."


def test_every_ratio_of_the_page_is_that_of_the_table() -> None:
    """The committed page, against the file as it stands."""
    with (DATA / "speeds.csv").open(encoding="utf-8", newline="") as file:
        lines = [row for row in csv.DictReader(file) if row["phase"] == "decode"]
    keys = ("tool", "version", "call", "configurations")
    took = {tuple(row[key] for key in keys): float(row["microseconds"]) for row in lines}
    calls = ("one", "1"), ("batch", "1000000"), ("compiled", "1000000")
    own = [took["cm384", "0.1.0", *call] for call in calls]
    table = CELLS["speeds-table"].outputs[0]["data"]["text/plain"].splitlines()[1:]
    others = {(row["tool"], row["version"]) for row in lines if row["tool"] != "cm384"}
    assert len(table) == len(others) == 6
    for tool in others:
        (line,) = (line for line in table if re.match(rf"{re.escape(tool[0])}(  |: )", line))
        theirs = [took[*tool, "one", "1"], *[took[*tool, "batch", "1000"]] * 2]
        told = re.findall(r"([\d.,]+) times (slower|faster)", line)
        times = [a / b for a, b in zip(own, theirs, strict=True)]
        assert [way for _, way in told] == ["slower" if found > 1 else "faster" for found in times]
        numbers = [float(number.replace(",", "")) for number, _ in told]
        assert numbers == pytest.approx([max(found, 1 / found) for found in times], rel=0.05)
        assert ("roofline only, no exchange, no experts" in line) == (tool[0] in {"ridgepoint", "mlsysim"})


def test_every_row_is_on_the_page_and_moves_it(show: Show) -> None:
    """Each row with a number of its own; and one that is 5 % slower."""
    own = [replace(row, microseconds=501.0 + n) for n, row in enumerate(ROWS)]
    told = {number for name in ABOUT for number in re.findall(r"\d+", show(own)[name])}
    assert {f"{row.microseconds:.0f}" for row in own} <= told
    moved, whole = show(changed(1.05, tool="ridgepoint")), show(ROWS)
    assert {name for name in ABOUT if moved[name] != whole[name]} >= {"speeds-figure", "speeds-table"}


def test_a_hundred_times_is_said_only_like_for_like(show: Show) -> None:
    def said(rows: list[Speed]) -> str:
        return show(rows)["speeds-read"].split("a hundred times beyond any noise: ")[1].split(" Rooflines")[0]

    roofline = said(changed(1e6, tool="ridgepoint"))
    assert "ridgepoint" not in roofline
    assert "mlsysim" not in roofline
    assert "light-llm-simulator" not in said(changed(1e-4, tool="light-llm-simulator", call="batch"))
    few = said(changed(1e6, tool="cm384", version="0.1.0"))
    assert few == "by numpy against none; compiled against none."
