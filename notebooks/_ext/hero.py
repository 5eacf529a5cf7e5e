"""The figure of the first page: where the marks of its drawing stand, for the template that draws it.

Chips are squares whose area is their peak; below, lines fall from the lead of a system to that of a
chip, a watt and a dollar, on a logarithmic scale. One drawing for each machine and choice of formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from facts import SHOWN, Facts
from links import called

from cm384.ledger.claims import Printed
from cm384.physics import at_work
from cm384.show import tables
from cm384.table import units
from cm384.table.words import each, title

SYSTEM = "cloudmatrix-384"
PER = ("system", "chip", "watt", "dollar")
WIDTH, TOP, BOTTOM = 366, 12, 250  # of a panel, in units of the drawing
PLACES = dict(zip(PER, (132, 196, 260, 324), strict=True))
SIDE, GAP = 7.4, 1.4  # of a chip of ours, and between two
APART = 13  # of two labels at least


def drawings(found: pd.DataFrame, known: Facts) -> Iterator[dict[str, Any]]:
    """What each drawing says; the first is shown where no script runs."""
    for other in at_work.AGAINST:
        for choice in SHOWN["hero"]:
            rows = choice["paper"] | choice["work"]
            part = found[(found["against"] == other) & found["row"].isin(rows) & found["per"].isin(PER)]
            if (count := known.specs.get(other, "count", part=known.specs.parts(other)[0]).m) < 16:
                part = part[part["per"] != "system"]  # 384 chips are not set against eight
            cells = part.set_index(["row", "per"])
            ends = np.log2([part["low"].min(), part["high"].max(), 0.5, 2])
            scale = (ends.min() - 0.15, ends.max() + 0.15)
            yield {
                "of": f"{other} {choice['name']}",
                "other": title(other),
                "finding": finding(part),
                "chips": chips(int(count), cells.loc[(next(iter(rows)), "chip"), "ratio"]),
                "bits": choice["bits"],
                "ticks": [(tick, height(ratio, scale)) for tick, ratio in SHOWN["ticks"].items()
                          if scale[0] < np.log2(ratio) < scale[1]],
                "level": height(1, scale),
                "places": {per: x for per, x in PLACES.items() if (part["per"] == per).any()},
                "panels": [panel(said, choice[key], cells, scale, known, other)
                           for key, said in (("paper", "On paper"), ("work", "At work"))],
            }  # fmt: skip


def height(ratio: float, scale: tuple[float, float]) -> float:
    """How far down a ratio stands."""
    return round(float(np.interp(np.log2(ratio), scale, (BOTTOM, TOP))), 1)


def finding(part: pd.DataFrame) -> str:
    """Who leads, in a sentence: per chip, and per system or, where none is shown, per dollar."""

    def said(per: str) -> str:
        reads = part.loc[part["per"] == per, "reads"]
        known = {*reads} - {"not separable"}
        if len(known) == 1 and known <= {"leads", "trails"}:
            return f"it {known.pop()}"
        return f"it leads in {(reads == 'leads').sum()} of {len(reads)}"

    whole = next(per for per in ("system", "dollar", "watt") if (part["per"] == per).any())
    return f"Per chip {said('chip')}, per {whole} {said(whole)}"


def chips(count: int, ratio: float) -> dict[str, float]:
    """The squares of the other side, of an area as their peak is to ours."""
    columns, pitch = min(count, 12), SIDE / ratio**0.5 + GAP
    return {"count": count, "side": round(pitch - GAP, 2), "pitch": round(pitch, 2),
            "width": round(columns * pitch, 1), "height": round(count / columns * pitch, 1)}  # fmt: skip


def panel(
    said: str, rows: Mapping[str, str], cells: pd.DataFrame, scale: tuple[float, float], known: Facts,
    other: str,
) -> dict[str, Any]:  # fmt: skip
    """A panel: a line a row, with what it is called left and right of it, and what is claimed of it."""
    lines = []
    claims = SHOWN["hero_claims"] if other == at_work.AGAINST[0] else {}
    for place, (row, name) in enumerate(rows.items()):
        if row in cells.index.get_level_values("row"):
            own = cells.loc[row]
            marks = [mark(name, per, own.loc[per], scale, place, other) for per in PER if per in own.index]
            claim = known.ledger.get(claims.get(row, ""))
            line = {"name": name, "place": place, "marks": marks, "kind": own["kind"].iloc[0], "claim": claim}
            lines.append(line | (claimed(claim.claim.printed, scale) if claim else {}))
    for side, end in (("left", 0), ("right", -1)):
        tall = [2 * APART if side == "left" and line["claim"] else APART for line in lines]
        for line, y in zip(lines, spread([line["marks"][end]["y"] for line in lines], tall), strict=True):
            line[side] = y
    return {"said": said, "lines": lines}


def claimed(printed: Printed, scale: tuple[float, float]) -> dict[str, Any]:
    """What a claim stands for: its edges, the upper one open where it says *more than*."""
    low, high = height(printed.low, scale), height(min(printed.high, 2 ** scale[1]), scale)
    more = np.isinf(printed.high)
    said = f"> {units.number(printed.low)}" if more else units.number(printed.value)
    return {"low": low, "high": high, "more": more, "claimed": said}


def mark(
    name: str, per: str, line: pd.Series[Any], scale: tuple[float, float], place: int, other: str
) -> dict[str, Any]:
    """A mark of a line: where it stands, and what it says when it is pointed at."""
    ratio, low, high = (float(line[key]) for key in ("ratio", "low", "high"))
    said = tables.near_one(ratio, low, high)
    read = ", ".join(each(called(key) for key in str(line["sources"] or "").split(";") if key))
    whole = "as a system" if per == "system" else f"per {per}"
    return {
        "x": PLACES[per] + 3 * place - 4, "y": height(ratio, scale), "short": said.split(" ")[0],
        "low": height(low, scale), "high": height(high, scale), "spans": high / low > 1.02,
        "said": f"{name}, {whole}: {said} of {title(other)}; {line['kind']}, {line['reads']}. "
                + (f"From {read}." if read else "By the serving model, with its error."),
    }  # fmt: skip


def spread(wanted: Sequence[float], tall: Sequence[float]) -> list[float]:
    """Heights as near as can be to those wanted, none closer to the next than it is tall."""
    order = np.argsort(wanted, kind="stable")
    found = np.array([wanted[place] for place in order], float)
    space = np.array([tall[place] for place in order], float)
    for _ in range(50):  # push neighbours apart, each by half of what they lack
        lack = np.clip((space[:-1] + space[1:]) / 2 - np.diff(found), 0, None) / 2
        found[:-1] -= lack
        found[1:] += lack
    back = np.empty_like(found)
    back[order] = np.clip(found, TOP, BOTTOM)
    return [round(float(y), 1) for y in back]
