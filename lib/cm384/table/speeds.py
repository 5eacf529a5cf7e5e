"""How long a configuration takes, here and by other tools: the lines of `speeds.csv`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cm384.table import files
from cm384.table.errors import DATA
from cm384.table.records import PHASES

NUMBERS = ("configurations", "microseconds", "low", "high", "triad")


@dataclass(frozen=True)
class Speed:
    """One line of `speeds.csv`: µs of a processor that a tool takes for a configuration.

    All lines are of one run, medians of its rounds, which lie from `low` to `high`. `call` is one at a time,
    many by arrays or in a loop (batch), or compiled. `triad` is µs of b = a + b / 2 of 10⁶ numbers by numpy
    in that run. What is a roofline only has neither exchanges nor experts of their own.
    """

    tool: str
    version: str
    phase: str
    call: str
    configurations: float
    microseconds: float
    low: float
    high: float
    triad: float
    like_for_like: str
    computes: str
    source: str
    note: str


def load_speeds() -> list[Speed]:
    """How long this project and other tools take for a configuration, checked."""
    more = files.Check(lambda cell: files.is_amount(cell) and float(cell) > 0, "more than 0")
    checks = {
        "tool": files.matches(r"\S.*", "the name of a tool"),
        "phase": files.one_of(PHASES),
        "call": files.one_of(["one", "batch", "compiled"]),
        **dict.fromkeys(NUMBERS, more),
        "like_for_like": files.one_of(["yes", "roofline only"]),
        "source": files.one_of([*files.read_keys(), ""]),
    }
    lines: dict[int, dict[str, Any]] = files.read_lines(path := DATA / "speeds.csv", files.columns(Speed))
    files.check_table(lines, checks, path, ["tool", "version", "phase", "call", "configurations"])
    found = {n: Speed(**cells | {name: float(cells[name]) for name in NUMBERS}) for n, cells in lines.items()}
    for line, row in found.items():
        if not row.low <= row.microseconds <= row.high:
            told = lines[line]["microseconds"]
            raise files.bad_cell(path.name, line, "microseconds", told, "a median from low to high")
    return [*found.values()]
