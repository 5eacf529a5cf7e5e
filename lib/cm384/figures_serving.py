"""Figures of the serving notebooks: cost of a token, where its time goes, error of the model."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd

from cm384 import units
from cm384.budgets import Budget
from cm384.derivation import title
from cm384.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAPER,
    STYLES,
    Picture,
    canvas,
    picture,
    strips,
)
from cm384.tables_serving import error_text, largest
from cm384.transformer import Model, decode_flop, prefill_flop

SMALL = 9  # points, of numbers beside a bar


def token_cost_figure(model: Model, context: int) -> Picture:
    """GFLOP of one token by operator, as a prompt token and as an output token."""
    costs = {
        "prompt token": prefill_flop(model, context),
        "output token": decode_flop(model, context),
    }
    table = pd.DataFrame({name: pd.Series(flop, dtype=float) for name, flop in costs.items()})
    table = table.fillna(0.0) / 1e9
    table.index = table.index.str.replace("_", " ")
    table = table.sort_values("output token", ascending=False)
    shown = largest(table, 6)
    figure, (axis,) = canvas(0.8 + 0.62 * len(shown))
    for column, colour, hatch, shift in zip(
        table, (BLUE, ORANGE), ("", "///"), (-0.12, 0.2), strict=True
    ):
        places = np.arange(len(shown)) + shift
        axis.barh(places, shown[column], height=0.3, color=colour, hatch=hatch, edgecolor="white")
        for place, value in zip(places, shown[column], strict=True):
            name = f"  {column}" if place == places[0] else ""
            axis.text(value, place, f" {value:.1f}{name}", va="center", fontsize=SMALL)
    strips(axis, list(shown.index))
    axis.set(xlim=(0, 1.4 * shown.to_numpy().max()), xlabel="GFLOP a token")
    total = {name: units.number(float(table[name].sum())) for name in table}
    apart = (table["output token"] - table["prompt token"]).abs().sort_values()
    widest = str(apart.index[-1])
    one, other = (units.number(float(flop[widest])) for _, flop in table.items())
    shows = (
        f"Operations of one token of {model.name} by operator, at a context of {context:,} tokens: "
        f"{total['prompt token']} GFLOP for a prompt token, {total['output token']} for an output "
        f"token; the widest difference is the {widest}, {one} against {other}."
    )
    table.columns = pd.Index([f"{name}, GFLOP" for name in table])
    return picture(figure, shows, table.rename_axis("operator").reset_index())


def budget_figure(
    budgets: Mapping[str, Budget], published: Mapping[str, float], errors: Mapping[str, float]
) -> Picture:
    """Where the time of a token goes, one panel a deployment on the same axis.

    `published` holds the published microseconds a token of each, `errors` the model's error there.
    """
    figure, axes = canvas(0.4 + 2.5 * len(budgets), rows=len(budgets))
    widest = max(max(b.table["total"].max(), published[n]) for n, b in budgets.items())
    data = []
    for axis, (name, budget) in zip(axes, budgets.items(), strict=True):
        steps = budget.table
        ends = {"predicted": budget.predicted, "published": published[name]}
        rest = pd.DataFrame(
            {"step": list(ends), "µs a token": ends.values(), "total": ends.values()}
        )
        table = pd.concat([steps, rest], ignore_index=True)
        left = (table["total"] - table["µs a token"]).to_numpy()
        colours = [BLUE, *[GREEN if v < 0 else ORANGE for v in steps["µs a token"][1:]], GREY, INK]
        hatches = ["", *["///" if v < 0 else "" for v in steps["µs a token"][1:]], "", ""]
        axis.barh(table["step"], table["µs a token"], left=left, height=0.66, color=colours,
                  hatch=hatches, edgecolor="white", lw=0)  # fmt: skip
        error = errors[name] * budget.predicted
        axis.errorbar(budget.predicted, "predicted", xerr=error, color=INK, capsize=3, lw=1.5)
        axis.axvline(published[name], color=INK, ls="--", lw=1)
        for place, (value, start) in enumerate(zip(table["µs a token"], left, strict=True)):
            edge = max(start, start + value) + (error if table["step"][place] == "predicted" else 0)
            sign = "+" if 0 < place < len(steps) and value > 0 else ""
            text = f" {sign}{value:.0f}".replace("-", "−")
            text += (
                f" ± {units.percent(errors[name])}" if table["step"][place] == "predicted" else ""
            )
            axis.text(edge, place, text, va="center", fontsize=SMALL, bbox=PAPER)
        axis.set_title(name)
        axis.set(xlim=(0, 1.15 * widest), ylim=(len(table) - 0.4, -0.6))
        axis.grid(visible=False, axis="y")
        axis.spines[["top", "right"]].set_visible(False)
        data.append(table.assign(deployment=name))
    axes[-1].set_xlabel("microseconds a token and accelerator")
    shows = (
        "From its physical limit the time of a token grows by each loss and shrinks by overlap: "
        + "; ".join(
            f"{name} starts at {b.steps['physical limit']:.0f} microseconds and ends at "
            f"{b.predicted:.0f}, published {published[name]:.0f}"
            for name, b in budgets.items()
        )
        + "."
    )
    return picture(figure, shows, pd.concat(data)[["deployment", "step", "µs a token", "total"]])


def curve_figure(
    curves: Mapping[str, pd.DataFrame], points: pd.DataFrame, target: float
) -> Picture:
    """Throughput against time per token as the batch grows, with the published points.

    Each curve has the columns batch, tpot and throughput, `points` these and name. A line joins a
    point to the curve at the same batch.
    """
    figure, (axis,) = canvas(4.4)
    data = []
    for (name, curve), (colour, line, marker) in zip(curves.items(), cycle(STYLES)):
        axis.plot(curve["tpot"], curve["throughput"], line, color=colour, lw=2.2)
        shown = points[points["name"] == name]
        for point in shown.to_dict("records"):
            met = [
                np.interp(point["batch"], curve["batch"], curve[x]) for x in ("tpot", "throughput")
            ]
            axis.plot([met[0], point["tpot"]], [met[1], point["throughput"]], color=INK, lw=1)
        axis.plot(shown["tpot"], shown["throughput"], marker, color=colour, mec=INK, ms=9)
        end = curve.iloc[-1]
        axis.annotate(name, (end["tpot"], end["throughput"]), (0, 6), textcoords="offset points",
                      ha="center", color=colour, weight="bold")  # fmt: skip
        data += [curve.assign(name=name, kind="model"), shown.assign(kind="published")]
    axis.axvline(target, color=INK, ls=":", lw=1.5)
    axis.annotate(f"{target:g} ms", (target, 0), (4, 6), textcoords="offset points")
    axis.set(xlabel="time per output token, milliseconds", ylabel="tokens/s per accelerator",
             xlim=(0, 1.1 * axis.get_xlim()[1]), ylim=(0, 1.05 * axis.get_ylim()[1]))  # fmt: skip
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.spines[["top", "right"]].set_visible(False)
    table = pd.concat(data, ignore_index=True)
    first, curve = next(iter(curves.items()))
    least, most = ([f"{curve[x].iloc[i]:,.0f}" for x in curve] for i in (0, -1))
    shows = (
        f"As the batch grows, tokens come slower to each user and faster in all: {first} goes from "
        f"{least[2]} tokens/s per accelerator at {least[1]} ms with {least[0]} requests to "
        f"{most[2]} at {most[1]} ms with {most[0]}; markers are published figures, joined to the "
        "model's."
    )
    return picture(figure, shows, table[["name", "kind", "batch", "tpot", "throughput"]])


def accuracy_figure(lines: pd.DataFrame) -> Picture:
    """The error of every prediction, one strip a chip: prefill above, decode below."""
    lines = lines.dropna(subset="error")
    chips = sorted(set(lines["accelerator"]))
    figure, (axis,) = canvas(1.5 + 0.55 * len(chips))
    axis.axvspan(-20, 20, color=GREY, alpha=0.25, lw=0)
    axis.axvline(0, color=INK, lw=1)
    for phase, (colour, _, marker), shift in zip(
        ("prefill", "decode"), STYLES, (-0.1, 0.18), strict=False
    ):
        for kind, fill in (("all stated", colour), ("some assumed", "none")):
            chosen = lines[
                (lines["phase"] == phase) & ((lines["assumed"] != "") == (fill == "none"))
            ]
            places = chosen["accelerator"].map(chips.index) + shift
            axis.plot(100 * chosen["error"], places, marker, ls="", ms=6, mec=colour, mfc=fill,
                      mew=1.2, alpha=0.85, label=f"{phase}, {kind}")  # fmt: skip
    strips(axis, [title(chip) for chip in chips])
    axis.set_xlabel("predicted above (+) or below (−) the measurement, %")
    figure.legend(loc="outside upper left", ncols=2, frameon=False, handletextpad=0.2)
    size = lines["error"].abs()
    worst = lines.iloc[int(size.argmax())]
    inside, high = (units.percent(part.mean()) for part in (size <= 0.2, lines["error"] > 0))
    shows = (
        f"Errors of {len(lines)} predicted throughputs by chip: {inside} lie within 20 % "
        f"(grey band), {high} are too high, and the worst, {worst['id']}, is off by "
        f"{units.percent(worst['error'], sign='+')}."
    )
    columns = ["id", "accelerator", "phase", "assumed", "measured", "predicted", "error"]
    return picture(figure, shows, lines[columns])


def peers_figure(lines: pd.DataFrame) -> Picture:
    """The errors of other tools on the same cases, one strip a tool, the worst first."""
    ours = lines.drop_duplicates("measurement").assign(
        tool="this model", error=lines["ours"], predicted="", setting="", source=""
    )
    table = pd.concat([lines, ours], ignore_index=True)
    worst = table.groupby("tool")["error"].agg(lambda errors: max(errors, key=abs))
    worst = worst.reindex(worst.abs().sort_values(ascending=False).index)
    tools = list(worst.index)
    figure, (axis,) = canvas(1.3 + 0.5 * len(tools))
    axis.axvspan(-20, 20, color=GREY, alpha=0.25, lw=0)
    axis.axvline(0, color=INK, lw=1)
    for vendor, (colour, _, marker) in zip(("NVIDIA", "Huawei"), STYLES, strict=False):
        chosen = table[table["vendor"] == vendor]
        inside = (100 * chosen["error"]).clip(upper=100)
        places = chosen["tool"].map(tools.index)
        axis.plot(inside, places, marker, ls="", ms=7, color=colour, mec=INK, alpha=0.85,
                  label=f"cases on {vendor}")  # fmt: skip
        for line in chosen[chosen["error"] > 1].to_dict("records"):
            axis.annotate(f"{error_text(line['error'], 0)} →", (100, tools.index(line["tool"])),
                          (-8, 0), textcoords="offset points", ha="right", va="center")  # fmt: skip
    strips(axis, tools)
    axis.set(xlim=(-104, 104), xlabel="predicted above (+) or below (−) the published figure, %")
    figure.legend(loc="outside upper left", ncols=2, frameon=False, handletextpad=0.2)
    shows = (
        "Worst error of each tool on the cases that it can compute: "
        + ", ".join(f"{tool} {units.percent(error, sign='+')}" for tool, error in worst.items())
        + "."
    )
    columns = ["tool", "setting", "measurement", "measured", "predicted", "error", "source"]
    return picture(figure, shows, table[columns])
