"""Figures over the whole ledger: what flips a verdict, what moves a figure, what is judged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.claims import VERDICTS, Claim
from cm384.derivation import row_name, words
from cm384.figures import BLUE, GREEN, GREY, INK, RED, SHAPES, Picture, canvas, picture
from cm384.robustness import nearest_attempt
from cm384.specs import Specs, key_name
from cm384.tables import MARKS
from cm384.uncertainty import tornado

FARTHEST = 8.0  # factor at which the axis of the flips ends
COLOURS = {name: colour for name, (_, colour) in SHAPES.items()} | {
    "source agrees": GREEN,
    "unsupported": GREY,
}


def flips_figure(lines: pd.DataFrame, specs: Specs) -> Picture:
    """How far the row that flips each claim first would have to move, and what sources state.

    `lines` are those of `flips.ledger`; claims with one figure and one threshold share a line.
    """
    data = _merged(lines, specs)
    figure, (axis,) = canvas(1.7 + 0.36 * len(data))
    for place, line in enumerate(data.to_dict("records")):
        colour = RED if line["flipped"] else BLUE
        axis.plot([line["low"], line["high"]], [place, place], color=GREY, lw=7, zorder=1)
        edge = float(np.clip(line["factor"], 1 / FARTHEST, FARTHEST))
        axis.plot([1, edge], [place, place], color=colour, lw=1, zorder=2)
        shape = "o" if edge == line["factor"] else (">" if edge > 1 else "<")
        fill = colour if line["stands"] else "white"
        axis.plot(edge, place, shape, color=colour, mfc=fill, mec=colour, mew=1.6, ms=8, zorder=3)
    axis.axvline(1, color=INK, lw=1)
    axis.set_xscale("log", base=2)
    axis.set_xlim(1 / FARTHEST / 1.15, FARTHEST * 1.15)
    ticks = {1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2", 1: "1", 2: "2", 4: "4", 8: "8"}
    axis.set_xticks(list(ticks), list(ticks.values()))
    names = [f"{a}\n{b}" for a, b in zip(data["claims"], data["row"], strict=True)]
    axis.set_yticks(range(len(data)), names, fontsize=9)
    axis.set_ylim(len(data) - 0.4, -0.6)
    axis.set_xlabel("factor on the central value of the row")
    axis.plot([], [], "o", color=BLUE, ms=8, label="flips here; it stands now")
    axis.plot([], [], "o", color=BLUE, mfc="white", mew=1.6, ms=8, label="flips here; it fails now")
    axis.plot([], [], "o", color=RED, ms=8, label="a source already flips it")
    axis.plot([], [], color=GREY, lw=7, label="what sources state")
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    flipped = int(data["flipped"].sum())
    shows = (
        f"For each of {len(data)} different computed claims, the row that flips it with the "
        f"smallest change: in {flipped} a source already does, in the others the mark lies "
        "outside what sources state."
    )
    return picture(figure, shows, data.drop(columns="claims").assign(claims=data["claims"]))


def _merged(lines: pd.DataFrame, specs: Specs) -> pd.DataFrame:
    """One line for each figure and threshold of which some row flips the claim."""
    chosen = lines[lines["row"].notna()]
    found = []
    for _, group in chosen.groupby(["figure", "claimed"], sort=False):
        first = group.iloc[0]
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        found.append(
            {
                "claims": f"{first['id']}{others}: {words(first['quantity'])} {first['claimed']}",
                "row": short(row_name(specs.rows[first["row"]][0])),
                "factor": _flipping_factor(first),
                "low": first["sourced_low"],
                "high": first["sourced_high"],
                "stands": bool(first["stands"]),
                "flipped": bool(first["statements"]),
            }
        )
    table = pd.DataFrame(found)
    distance = np.log(table["factor"]).abs()
    order = np.lexsort((distance, ~table["flipped"]))
    return table.iloc[order].reset_index(drop=True)


def _flipping_factor(line: Any) -> float:
    """Where a row flips a claim; the nearest statement that does where no single edge was found."""
    if np.isfinite(line["factor"]) or not line["statements"]:
        return float(line["factor"])
    return float(line["sourced_low"] if line["sourced_low"] < 1 else line["sourced_high"])


def short(name: str, most: int = 46) -> str:
    """A name that fits beside an axis, cut at a word.

    >>> short("Ascend 910C: published throughput (CM384-PREFILL-PERFECT)", 36)
    'Ascend 910C: published throughput …'
    """
    return name if len(name) <= most else f"{name[:most].rsplit(' ', 1)[0]} …"


def tornado_figure(claim_id: str, claims: Iterable[Claim], specs: Specs, most: int = 8) -> Picture:
    """How far each disputed row alone moves the figure of a claim, against the claim itself."""
    ledger = {claim.id: claim for claim in claims}
    claim = ledger[claim_id]
    found = nearest_attempt(claim, specs, ledger)
    unit = units.parse_unit(claim.unit or "count")
    lines = tornado(lambda table: found.reading.figure(table).to(unit), specs)
    names = {key_name(key): row_name(specs.rows[key][0]) for key in found.span.keys}
    moving = lines[lines["spread"] > 1e-9]
    data = moving.head(most).assign(row=[names[name] for name in moving["row"].head(most)])
    figure, (axis,) = canvas(1.7 + 0.42 * max(len(data), 1))
    for place, line in enumerate(data.to_dict("records")):
        axis.barh(place, line["high"] - line["low"], left=line["low"], color=BLUE, height=0.55)
    axis.use_sticky_edges = False  # room beside the bars, so that the lines are seen
    axis.axvline(found.central, color=INK, lw=1.5, label=f"derived: {units.number(found.central)}")
    axis.axvline(claim.printed.value, color=RED, lw=1.5, ls="--", label=f"claimed: {claim.claimed}")
    axis.set_yticks(range(len(data)), [short(name) for name in data["row"]], fontsize=9)
    axis.set_ylim(max(len(data), 1) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(lambda value, _: units.number(value, 4))
    axis.set_xlabel(short(found.reading.text, 72), fontsize=9)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    widest = f"; the widest is {data['row'].iloc[0]}" if len(data) else ""
    shows = (
        f"Of {len(found.span.keys)} rows that this figure is read from, sources disagree on "
        f"{len(lines)}, and {len(moving)} of these move it{widest}."
    )
    return picture(figure, shows, data.reset_index(drop=True))


def judged_figure(judged: Iterable[Claim]) -> Picture:
    """The claims that cannot be derived, by category and verdict."""
    lines = pd.DataFrame([(c.category, c.judged) for c in judged], columns=["category", "verdict"])
    counts = pd.crosstab(lines["category"], lines["verdict"])
    counts = counts[[verdict for verdict in VERDICTS if verdict in counts.columns]]
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    figure, (axis,) = canvas(1.6 + 0.42 * len(counts))
    left = np.zeros(len(counts))
    for verdict in counts.columns:
        size = counts[verdict].to_numpy()
        label = f"{MARKS[str(verdict)]} {verdict}"
        axis.barh(range(len(counts)), size, left=left, color=COLOURS[str(verdict)], label=label,
                  height=0.65, edgecolor="white")  # fmt: skip
        for place in np.flatnonzero(size):
            middle = float(left[place] + size[place] / 2)
            axis.text(middle, float(place), MARKS[str(verdict)], ha="center", va="center",
                      color="white", fontsize=9)  # fmt: skip
        left = left + size
    axis.set_yticks(range(len(counts)), list(counts.index))
    axis.invert_yaxis()
    axis.set_xlabel("claims that cannot be derived")
    axis.grid(visible=False, axis="y")
    if len(counts.columns):
        figure.legend(loc="outside upper left", ncols=3, frameon=False)
    agreed = int((lines["verdict"] == "source agrees").sum())
    shows = (
        f"Of {len(lines)} claims that cannot be derived, the primary source "
        f"agrees with {agreed}; the others stand by category and verdict."
    )
    return picture(figure, shows, counts.reset_index())
