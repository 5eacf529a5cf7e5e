"""Figures of the pages on fabrics, power and price, and parity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cm384 import fabric, power, units
from cm384.derivation import derive, title
from cm384.errors import InputError
from cm384.figures import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    Picture,
    canvas,
    picture,
)
from cm384.figures_serving import PAPER, strips
from cm384.specs import Specs
from cm384.tables_systems import (
    POWER_METRICS,
    Side,
    each,
    published_exchanges,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "v"))


def topology_figure(systems: Sequence[str], specs: Specs) -> Picture:
    """The tiers of each fabric, each band as wide as what it carries."""
    figure, axes = canvas(4.2, columns=len(systems))
    widest = max(float(_sent(system, specs).m) for system in systems)
    data = []
    for axis, system in zip(axes, systems, strict=True):
        tiers = _tiers(system, specs)
        data += [{"system": title(system), **tier} for tier in tiers]
        for level, tier in enumerate(tiers):
            half = 0.5 * float(tier["TB/s"]) / widest
            if level:
                below = 0.5 * float(tiers[level - 1]["TB/s"]) / widest
                axis.fill([-below, below, half, -half],
                          [level - 0.58, level - 0.58, level - 0.15, level - 0.15],
                          color=BLUE, alpha=0.3, lw=0)  # fmt: skip
                between = f"{units.number(float(tiers[level - 1]['TB/s']), 4)} TB/s"
                axis.text(0, level - 0.37, between, ha="center", va="center", fontsize=11)
            axis.barh(level, 2 * max(half, 0.012), left=-max(half, 0.012), height=0.24,
                      color=(GREEN, ORANGE, BROWN)[level], edgecolor=INK, lw=0.8)  # fmt: skip
            axis.text(0, level + 0.17, str(tier["tier"]), ha="center", va="bottom", fontsize=11)
        axis.set_title(title(system), fontsize=12, loc="center")
        axis.set(xlim=(-0.62, 0.62), ylim=(-0.2, 2.5), xticks=[], yticks=[])
        axis.grid(visible=False)
        axis.spines[["top", "right", "bottom", "left"]].set_visible(False)
    shows = (
        "What the accelerators of each system can send (bottom), and what each tier of switches "
        "above them takes in, one-way: a band that does not narrow upward blocks nothing."
    )
    return picture(figure, shows, pd.DataFrame(data))


def _sent(system: str, specs: Specs) -> Any:
    return derive("scale_up_bandwidth_from_links", system, specs).to("TB/s")


def _tiers(system: str, specs: Specs) -> list[dict[str, Any]]:
    chip = fabric.accelerator(specs, system)
    count = int(specs.get(system, "count", part=chip).m)
    tiers: list[dict[str, Any]] = [
        {"tier": f"{count} {title(chip)}", "chips": count, "TB/s": float(_sent(system, specs).m)}
    ]

    def add(part: str, name: str, carried: Any) -> None:
        chips = int(specs.get(system, "count", part=part).m)
        tiers.append({"tier": f"{chips} {name}", "chips": chips, "TB/s": carried.to("TB/s").m})

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
    figure, axes = canvas(4.6, columns=2)
    chips = each(fabric.accelerator(specs, system) for system in systems)
    published = published_exchanges(chips, specs)
    data = []
    for system, (colour, style, shape) in zip(systems, STYLES, strict=False):
        chip = fabric.accelerator(specs, system)
        far = 320 if specs.has(chip, "node_ranks", basis="assumed") else fabric.reach(specs, system)
        ranks = np.array([r for r in (8, 16, 32, 64, 128, 256) if r <= far])
        over_ranks = fabric.round_trip(specs, chip, ranks, tokens).m
        axes[0].plot(ranks, over_ranks, style, color=colour, lw=2.5, label=title(system))
        found = published[(published["accelerator"] == chip) & (published["tokens"] == tokens)]
        both = found.pivot_table(index="ranks", columns="op", values="published", aggfunc="min")
        both = both[(both.index >= 8) & (both.index <= far)].dropna()
        axes[0].plot(both.index, both.sum(axis="columns"), shape, color=colour, mec=INK, ms=8)
        sizes = np.array([1, 4, 16, 64, 128, 256, 512, 1024])
        over_tokens = fabric.round_trip(specs, chip, 64 if far >= 64 else far, sizes).m
        axes[1].plot(sizes, over_tokens, style, color=colour, lw=2.5)
        data += [
            {"system": title(system), "ranks": int(r), "tokens": tokens, "us": float(us)}
            for r, us in zip(ranks, over_ranks, strict=True)
        ]
        data += [
            {"system": title(system), "ranks": min(64, int(far)), "tokens": int(n), "us": float(us)}
            for n, us in zip(sizes, over_tokens, strict=True)
        ]
    axes[0].set_title(f"{tokens} tokens a rank", fontsize=11)
    axes[1].set_title("64 ranks", fontsize=11)
    axes[0].set(xscale="log", xlabel="expert ranks", ylabel="dispatch + combine, microseconds")
    axes[0].set_xticks([8, 16, 32, 64, 128, 256])
    axes[0].set_ylim(bottom=0)
    axes[1].set(xscale="log", yscale="log", xlabel="tokens a rank")
    for axis in axes:
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.minorticks_off()
    axes[1].yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    figure.legend(loc="outside upper left", ncols=min(len(systems), 3), frameon=False)
    shows = (
        "Time of one dispatch and combine by the serving model; marks are published latencies. A "
        "fabric that reaches all ranks keeps the time nearly flat, leaving the node multiplies it."
    )
    return picture(figure, shows, pd.DataFrame(data))


def power_figure(system: str, baseline: str, specs: Specs) -> Picture:
    """The power ratios of two systems with what the sources allow."""
    found = [(m.name, ratio) for m in POWER_METRICS if (ratio := m.ratio(system, baseline, specs))]
    figure, (axis,) = canvas(1.2 + 0.5 * len(found))
    data = []
    for place, (name, ratio) in enumerate(found):
        low, central, high = (float(edge.m) for edge in (ratio.low, ratio.central, ratio.high))
        _bar(axis, place, central, low, high, BLUE)
        data.append({"power": name, "ratio": central, "low": low, "high": high})
    axis.axvline(1, color=INK, lw=1)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axis.set_yticks(range(len(found)), [name for name, _ in found])
    axis.set_ylim(len(found) - 0.5, -0.7)
    axis.set_xlabel(f"{title(system)} ÷ {title(baseline)} (log scale)")
    shows = (
        f"Power of {title(system)} over that of {title(baseline)}: dots are derived, bars what the "
        "sources allow; right of the line it takes more."
    )
    return picture(figure, shows, pd.DataFrame(data))


WHITE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}


def _bar(axis: Axes, place: float, central: float, low: float, high: float, colour: str) -> None:
    """A derived figure with its span and its number above it."""
    axis.plot([low, high], [place, place], color=colour, lw=5, solid_capstyle="butt", alpha=0.6)
    axis.plot(central, place, "o", color=colour, ms=9, mec=INK)
    axis.annotate(units.number(central, 3), (central, place), (3, 7), ha="left",
                  fontsize=10, textcoords="offset points", bbox=WHITE)  # fmt: skip


PRICES = (
    ("china", "sector=data-center;year=2025", "data centres, China"),
    ("united-states", "sector=data-center;year=2025", "data centres, Virginia"),
    ("united-states", "sector=industry;year=2023", "industry, USA"),
    ("china", "sector=industry;year=2024", "industry, China"),
)


def electricity_figure(
    systems: Sequence[str], price: float, utilisation: float, specs: Specs
) -> Picture:
    """The electricity of a million decoded tokens against its price, with sourced prices."""
    figure, (axis,) = canvas(4.6)
    sourced = [
        (name, float(specs.rows[subject, "electricity_price", conditions, "nominal"][0].value))
        for subject, conditions, name in PRICES
        if (subject, "electricity_price", conditions, "nominal") in specs.rows
    ]
    most = 1.25 * max([price, *(value for _, value in sourced)])
    prices = np.linspace(0, most, 26)
    data = []
    for system, (colour, style, _) in zip(systems, STYLES, strict=False):
        one = power.electricity_cost(specs, system, "decode", 1.0, utilisation).m
        axis.plot(prices, 100 * one * prices, style, color=colour, lw=2.5, label=title(system))
        axis.plot(price, 100 * one * price, "o", color=colour, mec=INK, ms=9)
        data += [
            {"system": title(system), "at": name, "USD/kWh": value,
             "cents per million": 100 * one * value}
            for name, value in [*sourced, ("this page", price)]
        ]  # fmt: skip
    top = 1.5 * axis.get_ylim()[1]
    for name, value in sourced:
        axis.axvline(value, color=GREY, lw=1, ls=":")
        axis.annotate(name, (value, top), (3, -4), rotation=90, va="top", ha="left", fontsize=9,
                      color=INK, textcoords="offset points")  # fmt: skip
    axis.set(xlim=(0, most), ylim=(0, top), xlabel="price of electricity, USD per kWh",
             ylabel="US cents per million decoded tokens")  # fmt: skip
    figure.legend(loc="outside upper left", ncols=min(len(systems), 3), frameon=False)
    shows = (
        "What the electricity of a million decoded tokens costs, against its price; dots at the "
        "price of this page, dotted lines at sourced prices."
    )
    return picture(figure, shows, pd.DataFrame(data))


KINDS = {"data sheet": (BLUE, "o"), "published": (GREEN, "s"), "serving model": (ORANGE, "D")}


def parity_figure(chip: str, reference: str, found: Sequence[Side], share: float) -> Picture:
    """Every side of a comparison of two chips, one strip each, and the claimed share as a line."""
    figure, (axis,) = canvas(1.4 + 0.55 * len(found))
    for place, side in enumerate(found):
        colour, shape = KINDS[side.kind]
        axis.plot([side.low, side.high], [place, place], color=colour, lw=5, alpha=0.5,
                  solid_capstyle="butt")  # fmt: skip
        axis.plot(side.central, place, shape, color=colour, mec=INK, ms=8)
        axis.annotate(f"{side.central:.2f}", (side.high, place), (7, 0), va="center", bbox=PAPER,
                      textcoords="offset points")  # fmt: skip
    strips(axis, [f"{side.kind}: {_short(side)}" for side in found], PAPER)
    for value, style, text in ((share, "--", f"claimed: {share:.0%}"), (1, "-", "equal")):
        axis.axvline(value, color=INK, lw=1.5, ls=style, zorder=1)
        axis.annotate(text, (value, 1), (0, 2), xycoords=axis.get_xaxis_transform(), ha="center",
                      textcoords="offset points")  # fmt: skip
    axis.set(xlim=(0, 1.15 * max([1.0, *(side.high for side in found)])),
             xlabel=f"{title(chip)} ÷ {title(reference)}")  # fmt: skip
    least, most = (f(found, key=lambda side: side.central) for f in (min, max))
    shows = (
        f"{title(chip)} over {title(reference)} in {len(found)} ways, from {least.central:.2f} "
        f"({least.name}) to {most.central:.2f} ({most.name}); the dashed line is the claim, "
        f"{share:g}."
    )
    lines = [(s.kind, s.name, s.central, s.low, s.high) for s in found]
    data = pd.DataFrame(lines, columns=["side", "compared", "ratio", "low", "high"])
    return picture(figure, shows, data)


def _short(side: Side) -> str:
    """The name of a side as a strip has room for it."""
    if side.kind != "published":
        return side.name
    phase, ids = side.name.split(": ")
    ours, theirs = ids.split(" ÷ ")
    run = ours.split(f"{phase.upper()}-")[-1].lower()
    return f"{phase}, {run} ÷ {'-'.join(theirs.split('-')[:2])}"
