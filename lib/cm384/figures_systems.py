"""Figures of the pages on fabrics, power and price, and parity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cm384 import fabric, power, units, workloads
from cm384.derivation import derive, title
from cm384.errors import InputError
from cm384.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    STYLES,
    Picture,
    above,
    canvas,
    listed,
    picture,
    ratios_picture,
)
from cm384.specs import Specs
from cm384.tables_fabric import published_exchanges
from cm384.tables_power import POWER_METRICS
from cm384.tables_systems import Side, ridge, roofline_ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def topology_figure(systems: Sequence[str], specs: Specs) -> Picture:
    """The tiers of each fabric, from the accelerators up, each bar as long as what it carries."""
    tiers = [tier for system in systems for tier in _tiers(system, specs)]
    figure, (axis,) = canvas(0.7 + 0.3 * len(systems) + 0.46 * len(tiers))
    place, before = 0.0, ""
    for tier in tiers:
        if tier["system"] != before:
            place += 0.65
            above(axis, place - 0.66, tier["system"], weight="bold")
            before = tier["system"]
        switches = tier["does"] == "take in"
        axis.barh(place, tier["TB/s"], height=0.36, color=GREY if switches else BLUE,
                  hatch="////" if switches else "", edgecolor="white")  # fmt: skip
        above(axis, place, _passes(tier))
        place += 1
    axis.set(yticks=[], ylim=(place - 0.6, -0.5), xlabel="TB/s, one-way")
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    said = "; ".join(
        f"in {title(system)} {listed(_passes(t) for t in tiers if t['system'] == title(system))}"
        for system in systems
    )
    shows = (
        "What the accelerators of each system can send one-way, and what each tier of switches "
        f"above them takes in, as bars that are equally long where nothing has to wait: {said}."
    )
    return picture(figure, shows, pd.DataFrame(tiers))


def _passes(tier: Mapping[str, Any]) -> str:
    return f"{tier['tier']} {tier['does']} {units.number(tier['TB/s'], 4)} TB/s"


def _sent(system: str, specs: Specs) -> Any:
    return derive("scale_up_bandwidth_from_links", system, specs).to("TB/s")


def _tiers(system: str, specs: Specs) -> list[dict[str, Any]]:
    """What the accelerators send, and what each tier of switches that a source counts takes in."""
    chip = fabric.accelerator(specs, system)
    tiers: list[dict[str, Any]] = []

    def add(part: str, name: str, carried: Any) -> None:
        chips = int(specs.get(system, "count", part=part).m)
        does = "take in" if tiers else "send"
        tiers.append({"system": title(system), "tier": f"{chips} {name}", "does": does,
                      "TB/s": float(carried.to("TB/s").m)})  # fmt: skip

    add(chip, title(chip), _sent(system, specs))
    try:
        uplinks = derive("node_uplink_bandwidth", system, specs)
        nodes = specs.get(system, "count", part="node")
        add("ub-l1-switch", f"switches in {nodes.m:g} nodes", nodes * uplinks)
        add("ub-l2-switch", "switches above", derive("fabric_bandwidth", system, specs))
    except InputError:
        try:
            add(fabric.last_tier(specs, system), "switches",
                derive("fabric_bandwidth", system, specs))  # fmt: skip
        except InputError:
            if specs.has(system, "count", part="nvswitch"):
                add("nvswitch", "switches", _sent(system, specs))
    return tiers


def exchange_figure(systems: Sequence[str], tokens: int, specs: Specs) -> Picture:
    """Dispatch and combine by the serving model, as ranks and as tokens grow, and as published."""
    figure, axes = canvas(6.6, rows=2)
    data = pd.concat([_exchanges(system, tokens, specs) for system in systems])
    said: list[str] = []
    for axis, along in zip(axes, ("ranks", "tokens"), strict=True):
        for system, (colour, style, shape) in zip(systems, STYLES, strict=False):
            own = data[(data["system"] == title(system)) & (data["along"] == along)]
            line, marks = own[own["from"] == "model"], own[own["from"] == "published"]
            axis.plot(line[along], line["us"], style, color=colour, lw=2.5)
            axis.plot(marks[along], marks["us"], shape, color=colour, mec=INK, ms=8)
            if along == "ranks":
                axis.plot([], [], shape, ls=style, color=colour, mec=INK, ms=8, label=title(system))
                first, last = line.iloc[0], line.iloc[-1]
                said.append(f"{title(system)} from {units.number(first['us'], 3)} microseconds at "
                            f"{first['ranks']} ranks to {units.number(last['us'], 3)} at "
                            f"{last['ranks']}")  # fmt: skip
        axis.set(xscale="log", ylabel="microseconds")
        axis.set_xticks(sorted(set(data[data["along"] == along][along])))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.minorticks_off()
    axes[0].set(title=f"{tokens} tokens a rank", xlabel="expert ranks (log scale)")
    axes[0].set_ylim(bottom=0)
    axes[1].set(title="64 ranks, or as many as the system joins", yscale="log",
                xlabel="tokens a rank (log scale)")  # fmt: skip
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    axes[1].yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    shows = (
        f"Time of one dispatch and combine of {tokens} tokens a rank by the serving model: "
        f"{listed(said)}; below as the tokens grow; marks are published latencies."
    )
    return picture(figure, shows, data)


def _exchanges(system: str, tokens: int, specs: Specs) -> pd.DataFrame:
    """The points of a system: the model along ranks and along tokens, published ones beside it."""
    chip = fabric.accelerator(specs, system)
    # Exchanges measured over several nodes hold for any number of ranks, others for one fabric.
    far = 320 if specs.has(chip, "node_ranks", basis="assumed") else fabric.reach(specs, system)
    ranks = np.array([r for r in (8, 16, 32, 64, 128, 256) if r <= far])
    sizes = np.array([1, 4, 16, 64, 256, 1024])
    most = min(64, far)
    found = published_exchanges([chip], specs)
    found = found[(found["tokens"] == tokens) & (found["ranks"] >= 8) & (found["ranks"] <= far)]
    both = found.pivot_table(index="ranks", columns="op", values="published", aggfunc="min")
    published = both.dropna().sum(axis="columns")
    trip = fabric.round_trip
    lines = [
        {"along": "ranks", "from": "model", "ranks": ranks, "tokens": tokens,
         "us": trip(specs, chip, ranks, tokens).m},
        {"along": "ranks", "from": "published", "ranks": published.index.astype(int),
         "tokens": tokens, "us": published.to_numpy()},
        {"along": "tokens", "from": "model", "ranks": most, "tokens": sizes,
         "us": trip(specs, chip, most, sizes).m},
    ]  # fmt: skip
    return pd.concat([pd.DataFrame({"system": title(system)} | line) for line in lines])


def power_figure(system: str, baseline: str, specs: Specs) -> Picture:
    """The power ratios of two systems with what the sources allow."""
    found = [
        (metric.name, ratio, ())
        for metric in POWER_METRICS
        if (ratio := metric.ratio(system, baseline, specs))
    ]
    shows = (
        f"Power of {title(system)} divided by that of {title(baseline)}, dots as derived and lines "
        "as far as the sources allow; above 1 it takes more"
    )
    return ratios_picture(system, baseline, shows, found)


PRICES = (
    ("china", "sector=data-center;year=2025", "data centres, China"),
    ("united-states", "sector=data-center;year=2025", "data centres, Virginia"),
    ("united-states", "sector=industry;year=2023", "industry, USA"),
    ("china", "sector=industry;year=2024", "industry, China"),
)


def electricity_figure(
    systems: Sequence[str], price: float, utilisation: float, specs: Specs
) -> Picture:
    """The electricity of a million decoded tokens at the price of a page and at sourced ones."""
    at = {"this page": price}
    for subject, conditions, name in PRICES:
        if rows := specs.rows.get((subject, "electricity_price", conditions, "nominal")):
            at[name] = float(rows[0].value)
    at = dict(sorted(at.items(), key=lambda item: item[1]))
    figure, (axis,) = canvas(1.3 + 0.55 * len(at))
    data, said = [], []
    for system, (colour, _, shape) in zip(systems, STYLES, strict=False):
        one = 100 * float(power.electricity_cost(specs, system, "decode", 1.0, utilisation).m)
        cents = [one * value for value in at.values()]
        axis.plot(cents, range(len(at)), shape, color=colour, mec=INK, ms=9, label=title(system))
        first, *_, last = (units.number(cost, 3) for cost in cents)
        said.append(f"{title(system)} from {first} to {last} cents")
        data += [
            {"system": title(system), "at": name, "USD/kWh": value, "US cents per million": cost}
            for (name, value), cost in zip(at.items(), cents, strict=True)
        ]
    for place, (name, value) in enumerate(at.items()):
        above(axis, place, f"{name}: {value:g} USD/kWh")
    axis.set(yticks=[], ylim=(len(at) - 0.5, -0.75), xlabel="US cents per million decoded tokens")
    axis.set_xlim(left=0)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    cheap, *_, dear = at
    shows = (
        "Electricity for a million decoded tokens at sourced prices and at that of this page, from "
        f"{at[cheap]:g} ({cheap}) to {at[dear]:g} USD/kWh ({dear}): {listed(said)}."
    )
    return picture(figure, shows, pd.DataFrame(data))


WHITE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}


def _bar(axis: Axes, place: float, central: float, low: float, high: float, colour: str) -> None:
    """A derived figure with its span and its number above it."""
    axis.plot([low, high], [place, place], color=colour, lw=5, solid_capstyle="butt", alpha=0.6)
    axis.plot(central, place, "o", color=colour, ms=9, mec=INK)
    axis.annotate(units.number(central, 3), (central, place), (3, 7), ha="left",
                  fontsize=10, textcoords="offset points", bbox=WHITE)  # fmt: skip


KINDS = {"data sheet": BLUE, "measured": GREEN, "serving model": ORANGE}


def parity_figure(
    chip: str, reference: str, found: Sequence[Side], share: float, specs: Specs
) -> Picture:
    """Every side of a comparison of two chips, and the roofline between them, with one line."""
    figure, axes = canvas(1.9 + 0.42 * len(found), columns=2)
    left, right = axes
    for place, side in enumerate(found):
        _bar(left, place, side.central, side.low, side.high, KINDS[side.kind])
    left.set_yticks(range(len(found)), [_short(side) for side in found], fontsize=9.5)
    left.set_ylim(len(found) - 0.5, -0.8)
    left.set_xlabel(f"{title(chip)} ÷ {title(reference)}")
    curve = roofline_ratio(chip, reference, "bf16", specs)
    right.plot(curve["FLOP/byte"], curve["ratio"], color=BLUE, lw=2.5)
    right.set(xscale="log", xlabel="FLOP per byte of memory (BF16)")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    right.set_ylim(0, 1.25 * max(float(curve["ratio"].max()), share))
    right.set_title("by roofline", fontsize=11)
    left.set_title("by data sheet, run and model", fontsize=11)
    left.axvline(share, color=RED, lw=2, ls="--")
    left.axvline(1, color=INK, lw=1)
    right.axhline(share, color=RED, lw=2, ls="--", label=f"claimed: {share:.0%} of an H100")
    right.axhline(1, color=INK, lw=1)
    left.set_xlim(0, 1.16 * max([1.0, *(side.high for side in found)]))
    for kind, colour in KINDS.items():
        if any(side.kind == kind for side in found):
            left.plot([], [], "o", color=colour, mec=INK, ms=9, label=kind)
    figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=10)
    edge = [ridge(name, "bf16", specs) for name in (chip, reference)]
    data = pd.DataFrame(
        [
            {"side": s.kind, "compared": s.name, "ratio": s.central, "low": s.low, "high": s.high}
            for s in found
        ]
        + [
            {"side": "roofline", "compared": f"at {units.number(x, 3)} FLOP/byte",
             "ratio": float(np.interp(x, curve["FLOP/byte"], curve["ratio"])),
             "low": np.nan, "high": np.nan}
            for x in (10.0, *sorted(edge), 3000.0)
        ]
    )  # fmt: skip
    shows = (
        f"{title(chip)} over {title(reference)} from every side that has a figure, with what the "
        "sources (or the model's error) allow; the dashed line is the claim."
    )
    return picture(figure, shows, data)


def _short(side: Side) -> str:
    """The name of a side as an axis has room for it."""
    if side.kind == "measured":
        phase, ids = side.name.split(": ")
        ours, theirs = ids.split(" ÷ ")
        run = ours.split(f"{phase.upper()}-")[-1].lower().replace("-", " ")
        return f"{phase}, {run}\n÷ {theirs.split('-')[0]} {theirs.split('-')[1]}"
    return side.name.replace(", ", ",\n", 1)


def workload_figure(chips: Sequence[str], specs: Specs) -> Picture:
    """Throughput by the serving model on the same prefill and the same decode."""
    figure, axes = canvas(1.4 + 0.45 * len(chips), columns=len(workloads.WORKLOADS))
    data = []
    for axis, workload in zip(axes, workloads.WORKLOADS, strict=True):
        for place, chip in enumerate(chips):
            rate = float(workloads.throughput(specs, chip, workload).m)
            axis.barh(place, rate, color=STYLES[place % 4][0], edgecolor=INK, height=0.6)
            axis.text(rate, place, f" {rate:,.0f}", va="center", fontsize=10)
            data.append({"chip": title(chip), "workload": workload, "tokens/s": rate})
        axis.set_yticks(range(len(chips)), [title(chip) for chip in chips])
        axis.set(xlim=(0, axis.get_xlim()[1] * 1.25), xticks=[])
        axis.invert_yaxis()
        axis.grid(visible=False)
        axis.set_title(workload, fontsize=11)
    shows = "Tokens a second and accelerator by the serving model, on the same work."
    return picture(figure, shows, pd.DataFrame(data))
