"""Figures over the whole ledger: what holds, what would flip it, what moves a figure.

Labels stand above what they name, so that a phone shows them at full size.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.articles import load_notes, short_names
from cm384.claims import VERDICTS, Claim, Printed
from cm384.derivation import row_name, words
from cm384.figures import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    TEXT,
    Picture,
    canvas,
    picture,
)
from cm384.robustness import nearest_attempt
from cm384.specs import Specs, key_name
from cm384.tables import MARKS, beside
from cm384.uncertainty import tornado
from cm384.verdicts import scorecard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 1.3 * TEXT / 72  # inches from one line of text to the next
SKY, YELLOW, PALE = "#56b4e9", "#ece133", "#dddddd"
# Shape and colour of each verdict; the shape says it without colour.
SHAPES = {
    "confirmed": ("o", GREEN),
    "within sources": ("d", SKY),
    "within model error": ("D", BLUE),
    "other basis": ("s", ORANGE),
    "source agrees": ("o", YELLOW),
    "understated": ("v", PURPLE),
    "overstated": ("^", RED),
    "misattributed": ("X", BROWN),
    "inconsistent": ("P", BROWN),
    "contradicted": ("X", INK),
    "unsupported": ("o", GREY),
}
# A count is right or wrong and a statement has no size: neither is near or far.
SIZED = ("value", "ratio", "share")


def scorecard_figure(claims: Iterable[Claim], specs: Specs) -> Picture:
    """The technical figures that claims print, each once, as derived ÷ claimed, by verdict."""
    ledger = {claim.id: claim for claim in claims}
    lines = scorecard(ledger.values(), specs).set_index("id")
    lines = lines.loc[[name for name, claim in ledger.items() if _is_sized(claim)]]
    lines = lines[lines["ratio"] > 0]
    order = [verdict for verdict in VERDICTS if verdict in set(lines["verdict"])]
    texts = {name: textwrap.wrap(text, 54) for name, text in lines["claim"].items()}
    height = 1 + 1.5 * len(order) + 1.4 * len(lines) + sum(map(len, texts.values()))
    figure, (axis,) = canvas(1.2 + LINE * height)
    axis.set(xlim=_edges(lines), ylim=(height, 0), xlabel="derived ÷ claimed (log scale)")
    _plain(axis)
    place = 0.0
    for verdict in order:
        shape, colour = SHAPES[verdict]
        across = axis.get_yaxis_transform()
        axis.plot(0.015, place + 0.9, shape, transform=across, color=colour, mec=INK, ms=8)
        _label(axis, place + 1.4, verdict, x=0.04, weight="bold")
        place += 1.5
        for line in lines[lines["verdict"] == verdict].reset_index().to_dict("records"):
            text = texts[line["id"]]
            place += len(text)
            _label(axis, place, "\n".join(text))
            _track(axis, place + 0.65, ledger[line["id"]].printed, line)
            place += 1.4
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axis.tick_params(labeltop=True)
    _legend(figure, axis)
    counts = lines["verdict"].value_counts()
    shows = (
        f"The {len(lines)} technical figures that claims print and that can be derived, as derived "
        f"divided by claimed: {', '.join(f'{counts[v]} {v}' for v in order) or 'none'}."
    )
    columns = ["claimed", "derived", "low", "high", "ratio", "verdict"]
    return picture(figure, shows, lines[columns].reset_index())


def _is_sized(claim: Claim) -> bool:
    return claim.form in SIZED and claim.category != "market/finance" and not claim.same_as


def _edges(lines: pd.DataFrame) -> tuple[float, float]:
    """The ends of an axis that shows every span, with room for a number beside it."""
    scale = lines["ratio"] / lines["derived"]
    low, high = (lines["low"] * scale).min(), (lines["high"] * scale).max()
    return float(np.fmin(low, 1) / 2), float(np.fmax(high, 1) * 2)


def _track(axis: Axes, place: float, printed: Printed, line: Any) -> None:
    """One claim: what its figure stands for, what the sources allow, and what is derived."""
    shape, colour = SHAPES[line["verdict"]]
    said = np.clip([printed.low / printed.value, printed.high / printed.value], *axis.get_xlim())
    axis.plot(said, [place, place], color=PALE, lw=10, solid_capstyle="butt", zorder=1)
    axis.plot([1, 1], [place - 0.5, place + 0.5], color=INK, lw=1, zorder=2)
    span = [line["low"] / printed.value, line["high"] / printed.value]
    axis.plot(span, [place, place], color=colour, lw=3)
    axis.plot(line["ratio"], place, shape, color=colour, ms=8, mec=INK, mew=0.6)
    edge, shift, side = (span[0], -8, "right") if line["ratio"] < 1 else (span[1], 8, "left")
    axis.annotate(beside(line["claimed"], line["derived"]), (edge, place), (shift, 0), ha=side,
                  textcoords="offset points", va="center_baseline")  # fmt: skip


def _legend(figure: Figure, axis: Axes) -> None:
    axis.plot([], [], "o", color="white", mec=INK, ms=8, label="derived, with its value")
    axis.plot([], [], "|", color=INK, ms=10, label="as claimed")
    axis.plot([], [], color=INK, lw=3, label="what the sources allow")
    axis.plot([], [], color=PALE, lw=10, solid_capstyle="butt", label="what the claim allows")
    figure.legend(loc="outside upper left", ncols=2, frameon=False)


def _plain(axis: Axes) -> None:
    """Axes without a frame, a grid or a scale upwards."""
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.spines[["left", "right", "top"]].set_visible(False)


def _label(axis: Axes, place: float, text: str, x: float = 0.0, **style: Any) -> None:
    """Words that end above a place, from the left edge of the axes."""
    axis.text(x, place, text, transform=axis.get_yaxis_transform(), va="bottom", **style)


def verdicts_figure(lines: pd.DataFrame, by: str) -> Picture:
    """How many claims of each article or category got which verdict; `lines` are a scorecard's."""
    groups = lines[by].replace(short_names(load_notes())) if by == "article" else lines[by]
    counts = pd.crosstab(groups, lines["verdict"])
    counts = counts[[verdict for verdict in VERDICTS if verdict in counts.columns]]
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    figure, (axis,) = canvas(0.9 + 0.42 * len(counts) + 0.1 * len(counts.columns))
    left = np.zeros(len(counts))
    for verdict in map(str, counts.columns):
        size, colour = counts[verdict].to_numpy(), SHAPES[verdict][1]
        axis.barh(range(len(counts)), size, left=left, color=colour, edgecolor="white", height=0.5,
                  label=f"{MARKS[verdict]} {verdict}")  # fmt: skip
        for place in map(int, np.flatnonzero(size)):
            axis.text(left[place] + size[place] / 2, place, MARKS[verdict], color=_on(colour),
                      ha="center", va="center", fontsize=9)  # fmt: skip
        left = left + size
    totals = [f"{name}: {total}" for name, total in counts.sum(axis=1).items()]
    for place, total in enumerate(totals):
        _label(axis, place - 0.28, total)
    axis.set(ylim=(len(counts) - 0.6, -0.9), xlabel="claims")
    _plain(axis)
    if totals:
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
    sums = ", ".join(f"{number} {verdict}" for verdict, number in counts.sum().items())
    shows = (
        f"The verdicts of {len(lines)} claims by {by} ({', '.join(totals) or 'none'}); "
        f"in all: {sums or 'none'}."
    )
    return picture(figure, shows, counts.reset_index())


def _on(colour: str) -> str:
    """The ink that can be read on a colour."""
    from matplotlib.colors import to_rgb

    return "white" if np.dot(to_rgb(colour), (0.3, 0.6, 0.1)) < 0.5 else INK


# How far a row has to move until a claim flips, as a factor either way.
STEPS = {"< 1 %": 1.01, "< 10 %": 1.1, "< 25 %": 1.25, "< 2×": 2.0, "< 5×": 5.0, "more": np.inf}


def flips_figure(lines: pd.DataFrame, specs: Specs) -> Picture:
    """How far the nearest row would have to move to flip each claim, and where a source does it.

    `lines` are those of `flips.ledger`; claims with one figure and one threshold are one.
    """
    data = _merged(lines, specs)
    figure, axes = canvas(5.0, rows=2)
    titles = {True: "stands now, would fall", False: "fails now, would hold"}
    for axis, (stands, name) in zip(axes, titles.items(), strict=True):
        heights = [0] * len(STEPS)
        for line in data[data["stands"] == stands].to_dict("records"):
            factor = max(line["factor"], 1 / line["factor"])
            step = int(np.searchsorted(list(STEPS.values()), factor))
            shape, colour = ("D", RED) if line["flipped"] else ("o", BLUE)
            axis.plot(step, heights[step], shape, color=colour, mec=INK, ms=8)
            if line["flipped"]:
                axis.text(step + 0.13, heights[step], line["claims"].split(":")[0], va="center",
                          fontsize=9)  # fmt: skip
            heights[step] += 1
        axis.set(title=name, xlim=(-0.3, len(STEPS) - 0.3), ylim=(-0.7, max(*heights, 4)))
        axis.set_xticks(range(len(STEPS)), list(STEPS))
        _plain(axis)
    axes[-1].set_xlabel("change of one row that flips the claim")
    axes[0].plot([], [], "D", color=RED, mec=INK, ms=8, label="a source already does")
    axes[0].plot([], [], "o", color=BLUE, mec=INK, ms=8, label="no source does")
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    flipped = data[data["flipped"]]["claims"].str.split(":").str[0]
    far = int(np.sum(~data["flipped"] & (_distance(data) > np.log(1.25))))
    shows = (
        f"How far one row would have to move to flip each of {len(data)} computed claims: sources "
        f"already flip {len(flipped)} ({', '.join(flipped) or 'none'}); {far} others need a row "
        "that is off by more than a quarter."
    )
    return picture(figure, shows, data)


def _distance(data: pd.DataFrame) -> Any:
    return np.log(data["factor"]).abs()


def _merged(lines: pd.DataFrame, specs: Specs) -> pd.DataFrame:
    """One line for each figure and threshold of which some row flips the claim."""
    found = []
    for _, group in lines[lines["row"].notna()].groupby(["figure", "claimed"], sort=False):
        first = group.iloc[0]
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        found.append(
            {
                "claims": f"{first['id']}{others}: {words(first['quantity'])} {first['claimed']}",
                "row": row_name(specs.rows[first["row"]][0]),
                "factor": _flipping_factor(first),
                "low": first["sourced_low"],
                "high": first["sourced_high"],
                "stands": bool(first["stands"]),
                "flipped": bool(first["statements"]),
            }
        )
    table = pd.DataFrame(found)
    return table.iloc[np.lexsort((_distance(table), ~table["flipped"]))].reset_index(drop=True)


def _flipping_factor(line: Any) -> float:
    """Where a row flips a claim; the nearest statement that does where no single edge was found."""
    if np.isfinite(line["factor"]) or not line["statements"]:
        return float(line["factor"])
    return float(line["sourced_low"] if line["sourced_low"] < 1 else line["sourced_high"])


def tornado_figure(claim_id: str, claims: Iterable[Claim], specs: Specs, most: int = 6) -> Picture:
    """How far each disputed row alone moves the figure of a claim, against the claim itself."""
    ledger = {claim.id: claim for claim in claims}
    claim = ledger[claim_id]
    found = nearest_attempt(claim, specs, ledger)
    lines = tornado(found.figure, specs)
    names = {key_name(key): row_name(specs.rows[key][0]) for key in found.span.keys}
    moving = lines[lines["spread"] > 1e-9]
    data = moving.head(most).assign(row=[names[name] for name in moving["row"].head(most)])
    figure, (axis,) = canvas(1.3 + 0.42 * max(len(data), 1))
    for place, line in enumerate(data.to_dict("records")):
        axis.barh(place, line["high"] - line["low"], left=line["low"], color=BLUE, height=0.3)
        _label(axis, place - 0.24, line["row"])
    marks = np.arange(max(len(data), 1))
    styles: list[Any] = [(found.central, INK, "-", f"derived: {units.number(found.central)}"),
                         (claim.printed.value, RED, "--", f"claimed: {claim.claimed}")]  # fmt: skip
    for value, colour, style, label in styles:
        spots = np.full(len(marks), value)
        axis.vlines(spots, marks - 0.22, marks + 0.3, colour, lw=2, linestyles=style, label=label)
    axis.use_sticky_edges = False  # room beside the bars, so that the lines are seen
    axis.set(ylim=(len(marks) - 0.5, -0.9))
    _plain(axis)
    axis.xaxis.set_major_formatter(lambda value, _: units.number(value, 4))
    unit_name = f", {units.unit_text(found.span.central.units)}" if claim.unit else ""
    axis.set_xlabel(textwrap.fill(f"{found.reading.text}{unit_name}", 54))
    figure.legend(loc="outside upper left", frameon=False)
    widest = f"; the widest is {data['row'].iloc[0]}" if len(data) else ""
    shows = (
        f"{found.reading.text}, derived {units.number(found.central)} and claimed {claim.claimed}: "
        f"of {len(found.span.keys)} rows that it is read from, sources disagree on {len(lines)}, "
        f"and {len(moving)} of these move it{widest}."
    )
    return picture(figure, shows[0].upper() + shows[1:], data.reset_index(drop=True))
