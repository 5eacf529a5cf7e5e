"""Figures of the pages on fabrics, power and price, and parity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    PAPER,
    STYLES,
    Picture,
    above,
    canvas,
    picture,
    ratios_picture,
    strips,
)
from cm384.specs import Specs
from cm384.tables import listed
from cm384.tables_fabric import published_exchanges
from cm384.tables_parity import Side
from cm384.tables_power import POWER_METRICS


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
        f"in {title(system)}, {listed(_passes(t) for t in tiers if t['system'] == title(system))}"
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
            axis.plot(line[along], line["µs"], style, color=colour, lw=2.5)
            axis.plot(marks[along], marks["µs"], shape, color=colour, mec=INK, ms=8)
            if along == "ranks":
                axis.plot([], [], shape, ls=style, color=colour, mec=INK, ms=8, label=title(system))
                first, last = line.iloc[0], line.iloc[-1]
                said.append(f"{title(system)} from {units.number(first['µs'], 3)} microseconds at "
                            f"{first['ranks']} ranks to {units.number(last['µs'], 3)} at "
                            f"{last['ranks']}")  # fmt: skip
        axis.set(xscale="log", ylabel="microseconds")
        axis.set_xticks(sorted(set(data[data["along"] == along][along])))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.minorticks_off()
    axes[0].set(title=f"{tokens} tokens a rank", xlabel="expert ranks (log scale)")
    axes[0].set_ylim(bottom=0)
    axes[1].set(title=f"{SPREAD:g} ranks, or as many as the system joins", yscale="log",
                xlabel="tokens a rank (log scale)")  # fmt: skip
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    axes[1].yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    shows = (
        f"Time of one dispatch and combine of {tokens} tokens a rank by the serving model: "
        f"{listed(said)}; below as the tokens grow; marks are published latencies."
    )
    return picture(figure, shows, data)


# Where the model is computed: from one node of eight on, and for one token up to many.
RANKS = np.array([8, 16, 32, 64, 128, 256])
TOKENS = np.array([1, 4, 16, 64, 256, 1024])
SPREAD = workloads.WORKLOADS["decode"].expert_parallel


def _exchanges(system: str, tokens: int, specs: Specs) -> pd.DataFrame:
    """The points of a system: the model along ranks and along tokens, published ones beside it."""
    chip = fabric.accelerator(specs, system)
    # Exchanges measured over several nodes hold for any number of ranks, others for one fabric.
    far = np.inf if specs.has(chip, "node_ranks", basis="assumed") else fabric.reach(specs, system)
    ranks, most = RANKS[far >= RANKS], min(SPREAD, far)
    found = published_exchanges([chip], specs)
    found = found[(found["tokens"] == tokens) & found["ranks"].between(RANKS[0], far)]
    both = found.pivot_table(index="ranks", columns="op", values="published", aggfunc="min")
    published = both.dropna().sum(axis="columns")
    trip = fabric.round_trip
    lines = [
        {"along": "ranks", "from": "model", "ranks": ranks, "tokens": tokens,
         "µs": trip(specs, chip, ranks, tokens).m},
        {"along": "ranks", "from": "published", "ranks": published.index.astype(int),
         "tokens": tokens, "µs": published.to_numpy()},
        {"along": "tokens", "from": "model", "ranks": most, "tokens": TOKENS,
         "µs": trip(specs, chip, most, TOKENS).m},
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
    strips(axis, [f"{side.kind}: {_short(side)}" for side in found])
    for value, style, text in (
        (share, "--", f"claimed: {units.percent(share)}"),
        (1, "-", "equal"),
    ):
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
