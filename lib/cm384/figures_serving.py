"""Figures of the serving notebooks: cost of a token, where its time goes, error of the model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cm384 import units
from cm384.budgets import Budget
from cm384.derivation import title
from cm384.figures import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    Picture,
    canvas,
    picture,
)
from cm384.transformer import Model, decode_flop, prefill_flop

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, BROWN)
MARKERS = ("o", "s", "^", "D", "v", "P")


def token_cost_figure(model: Model, context: int) -> Picture:
    """GFLOP of one token by operator, as a prompt token and as an output token."""
    costs = {"prefill": prefill_flop(model, context), "decode": decode_flop(model, context)}
    names = list(dict.fromkeys(name for flop in costs.values() for name in flop))
    table = pd.DataFrame(
        {
            "operator": [name.replace("_", " ") for name in names],
            **{
                f"{phase}, GFLOP": [float(flop.get(name, 0.0)) / 1e9 for name in names]
                for phase, flop in costs.items()
            },
        }
    )
    table = table.sort_values("decode, GFLOP", ascending=False, ignore_index=True)
    figure, (axis,) = canvas(1.2 + 0.42 * len(table))
    for shift, (column, colour) in enumerate(zip(table.columns[1:], (BLUE, ORANGE), strict=True)):
        places = np.arange(len(table)) + 0.36 * shift
        axis.barh(places, table[column], height=0.34, color=colour, label=column.split(",")[0])
        for place, value in zip(places, table[column], strict=True):
            axis.text(value, place, f" {value:.1f}", va="center", fontsize=9)
    axis.set_yticks(np.arange(len(table)) + 0.18, table["operator"])
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set_xlabel(f"GFLOP a token at a context of {context:,} tokens")
    axis.legend(frameon=False, loc="lower right")
    total = {phase: sum(float(v) for v in flop.values()) / 1e9 for phase, flop in costs.items()}
    shows = (
        f"A prompt token of {model.name} costs {units.number(total['prefill'])} GFLOP, an output "
        f"token {units.number(total['decode'])}; most of the difference is the attention core."
    )
    return picture(figure, shows, table)


def budget_figure(budgets: Mapping[str, Budget], published: Mapping[str, float]) -> Picture:
    """Where the time of a token goes, one panel a deployment on the same axis.

    `published` holds the published microseconds a token of each, drawn as a line.
    """
    figure, axes = canvas(3.9, columns=len(budgets))
    widest = max(max(b.table["total"].max(), published[n]) for n, b in budgets.items())
    data = []
    for axis, (name, budget) in zip(axes, budgets.items(), strict=True):
        table = budget.table
        start = np.concatenate([[0.0], table["total"].to_numpy()[:-1]])
        colours = [BLUE if i == 0 else GREEN if v < 0 else ORANGE
                   for i, v in enumerate(table["µs a token"])]  # fmt: skip
        axis.barh(table["step"], table["µs a token"], left=start, color=colours, height=0.62)
        axis.barh(["predicted"], [budget.predicted], color=GREY, height=0.62)
        axis.axvline(published[name], color=INK, ls="--", lw=1.5)
        for place, value in enumerate([*table["µs a token"], budget.predicted]):
            edge = max(start[place] + value, start[place]) if place < len(table) else value
            axis.text(edge, place, f" {value:.0f}", va="center", fontsize=8)
        axis.set_title(name, fontsize=10)
        axis.set(xlim=(0, 1.18 * widest), xlabel="µs a token")
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        if axis is not axes[0]:
            axis.set_yticklabels([])
        data.append(table.assign(deployment=name)[["deployment", "step", "µs a token", "total"]])
        given = {"deployment": name, "step": "published"}
        data.append(pd.DataFrame([given | dict.fromkeys(["µs a token", "total"], published[name])]))
    shows = (
        "From the physical limit (blue) each loss adds time (orange) and overlap takes some back "
        "(green); grey is the prediction, the dashed line the published figure."
    )
    return picture(figure, shows, pd.concat(data, ignore_index=True))


def curve_figure(
    curves: Mapping[str, pd.DataFrame], points: pd.DataFrame, target: float
) -> Picture:
    """Throughput against time per token as the batch grows, with the published points.

    Each curve has the columns batch, tpot and throughput; `points` has name, tpot, throughput.
    """
    figure, (axis,) = canvas(4.8)
    data = []
    for (name, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS, strict=False):
        axis.plot(curve["tpot"], curve["throughput"], color=colour, lw=2.2, label=f"{name}, model")
        shown = points[points["name"] == name]
        axis.plot(shown["tpot"], shown["throughput"], marker, color=colour, mec=INK, ms=9, ls="",
                  label=f"{name}, published")  # fmt: skip
        data += [curve.assign(name=name, kind="model"), shown.assign(kind="published")]
    axis.axvline(target, color=INK, ls="--", lw=1)
    axis.annotate(f"{target:g} ms", (target, 0), (4, 6), textcoords="offset points", fontsize=10)
    axis.set(xlabel="time per output token, ms", ylabel="tokens/s per accelerator",
             xlim=(0, None), ylim=(0, None))  # fmt: skip
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    shows = (
        "Each curve is one deployment as its batch grows: more requests give more tokens in all "
        "and fewer to each user; markers are published figures."
    )
    table = pd.concat(data, ignore_index=True)
    return picture(figure, shows, table[["name", "kind", "tpot", "throughput"]])


def accuracy_figure(lines: pd.DataFrame) -> Picture:
    """Predicted against measured throughput, log-log, with a band of ±20 %."""
    figure, (axis,) = canvas(5.6)
    ends = np.array([lines["measured"].min() / 1.6, lines["measured"].max() * 1.6])
    axis.fill_between(ends, 0.8 * ends, 1.2 * ends, color=GREY, alpha=0.25, label="±20 %")
    axis.plot(ends, ends, color=INK, lw=1)
    chips = list(dict.fromkeys(lines["accelerator"]))
    for i, chip in enumerate(chips):
        part = lines[lines["accelerator"] == chip]
        for whole, chosen in (("full", part[part["assumed"] == ""]),
                              ("none", part[part["assumed"] != ""])):  # fmt: skip
            axis.plot(chosen["measured"], chosen["predicted"], MARKERS[i % 6], ls="", ms=7,
                      color=(*COLOURS, INK, GREY)[i % 8], fillstyle=whole, mew=1.4,
                      label=title(chip) if whole == "full" else None)  # fmt: skip
    axis.set(xscale="log", yscale="log", xlabel="measured, tokens/s per accelerator",
             ylabel="predicted, tokens/s per accelerator")  # fmt: skip
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.legend(frameon=False, fontsize=9, loc="upper left")
    inside = float((lines["error"].abs() <= 0.2).mean())
    shows = (
        f"Of {len(lines)} measurements {inside:.0%} are predicted within 20 % (grey band); open "
        "markers are rows in which a setting had to be assumed."
    )
    return picture(figure, shows, lines[["id", "measured", "predicted", "error"]])
