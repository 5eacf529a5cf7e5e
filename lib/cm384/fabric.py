"""Fabrics: what joins the accelerators of a system, from links and switch chips.

Bandwidths are one-way. A node's links go up through the switches on its board to a second tier, or
all accelerators meet in one tier. Exchanges between expert ranks come from the serving model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cm384 import kernels, units
from cm384.deployment import Deployment
from cm384.derivation import derivation, derive
from cm384.errors import InputError
from cm384.hardware import per_package
from cm384.layers import Layers
from cm384.operators import Numbers
from cm384.specs import Specs, read_conditions
from cm384.workloads import MODEL, WORKLOADS, served_in


def counted_parts(specs: Specs, system: str) -> Iterator[str]:
    """The names of the parts that a system is said to hold."""
    for subject, quantity, text, _ in specs.rows:
        conditions = read_conditions(text)
        if (subject, quantity) == (system, "count") and conditions.keys() == {"part"}:
            yield conditions["part"]


def last_tier(specs: Specs, system: str) -> str:
    """The switch chip in which all paths meet: all its ports face the accelerators."""
    accelerators = specs.parts(system)
    for part in counted_parts(specs, system):
        if part not in accelerators and specs.has(part, "scale_up_links"):
            return part
    raise InputError(f"no source describes the switch chips of {system}")


def accelerator(specs: Specs, system: str) -> str:
    """The accelerator that a system is made of; InputError for a chip."""
    if not (parts := specs.parts(system)):
        raise InputError(f"{system} is not made of accelerators")
    return parts[0]


@derivation("accelerators of a node × links of one × bandwidth of a link")
def node_bandwidth(specs: Specs, subject: str) -> Any:
    """What the accelerators of one node can send together."""
    chip = accelerator(specs, subject)
    return specs.get(subject, "accelerators_per_node") * _of_links(specs, chip)


@derivation("switch chips of a node × uplinks of one × bandwidth of a link")
def node_uplink_bandwidth(specs: Specs, subject: str) -> Any:
    """What the switches of one node can pass on to the second tier.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("node_uplink_bandwidth", "cloudmatrix-384", load_specs())))
    3.136 TB/s
    """
    switches = specs.get(subject, "count", part="ub-l1-switch", per="node")
    uplinks = specs.get("ub-l1-switch", "scale_up_links", direction="up")
    return switches * uplinks * specs.get("ub-l1-switch", "scale_up_link_bandwidth")


@derivation("what the accelerators of a node can send ÷ what its uplinks carry")
def oversubscription(specs: Specs, subject: str) -> Any:
    """How many times more the accelerators of a node can send than leaves it; 1 is non-blocking."""
    sent = derive("node_bandwidth", subject, specs)
    return (sent / derive("node_uplink_bandwidth", subject, specs)).to(units.registry.dimensionless)


@derivation("what accelerators and CPUs of a node can send ÷ what its uplinks carry")
def oversubscription_with_cpus(specs: Specs, subject: str) -> Any:
    """The same if the CPUs of the node, which are on the fabric too, send at the same time."""
    cpus = specs.get(subject, "count", part="cpu", per="node")
    sent = derive("node_bandwidth", subject, specs) + cpus * specs.get(
        "kunpeng", "scale_up_bandwidth"
    )
    return (sent / derive("node_uplink_bandwidth", subject, specs)).to(units.registry.dimensionless)


@derivation("switch chips of the last tier × ports of one × bandwidth of a port")
def fabric_bandwidth(specs: Specs, subject: str) -> Any:
    """What the switch chips in which all paths meet take in."""
    switch = last_tier(specs, subject)
    ports = specs.get(subject, "count", part=switch) * specs.get(switch, "scale_up_links")
    return ports * specs.get(switch, "scale_up_link_bandwidth")


@derivation("half of what the last tier takes in, or of the links where undescribed")
def bisection_bandwidth(specs: Specs, subject: str) -> Any:
    """What one half of a system can send to the other half."""
    try:
        last_tier(specs, subject)
    except InputError:
        chip = accelerator(specs, subject)
        return specs.get(subject, "count", part=chip) * _of_links(specs, chip) / 2
    return derive("fabric_bandwidth", subject, specs) / 2


@derivation("nodes × switch chips of a node + sub-planes × switch chips of a sub-plane")
def switches_from_tiers(specs: Specs, subject: str) -> Any:
    """The switch chips of both tiers."""
    first = specs.get(subject, "count", part="node") * specs.get(
        subject, "count", part="ub-l1-switch", per="node"
    )
    second = specs.get(subject, "count", part="ub-sub-plane") * specs.get(
        subject, "count", part="ub-l2-switch", per="sub-plane"
    )
    return first + second


@derivation("accelerators × optical modules for each, of the scale-up and the scale-out plane")
def optical_modules_from_accelerators(specs: Specs, subject: str) -> Any:
    """The optical modules of both planes, as they are counted for one accelerator.

    >>> from cm384 import load_specs
    >>> int(derive("optical_modules_from_accelerators", "cloudmatrix-384", load_specs()).m)
    6912
    """
    each = [
        specs.get(subject, "count", part="optical-module", per="accelerator", plane=plane)
        for plane in ("scale-up", "scale-out")
    ]
    return specs.get(subject, "count", part=accelerator(specs, subject)) * (each[0] + each[1])


@derivation("two ends × nodes × uplinks of a node ÷ rate of a module")
def optical_modules_from_rate(specs: Specs, subject: str) -> Any:
    """The optical modules that the uplinks of all nodes take at two links in each module."""
    carried = specs.get(subject, "count", part="node") * derive(
        "node_uplink_bandwidth", subject, specs
    )
    rate = specs.get("optical-module-400g", "optical_module_rate", basis="assumed")
    return (2 * carried / rate).to(units.registry.dimensionless)


def _of_links(specs: Specs, chip: str) -> Any:
    """What the links of an accelerator add up to: exact, where stated totals disagree."""
    links = per_package(specs, chip, "scale_up_links")
    return links * specs.get(chip, "scale_up_link_bandwidth")


# --- exchanges -----------------------------------------------------------------------------------


def exchange_time(specs: Specs, chip: str, op: str, ranks: Numbers, tokens: Numbers) -> Any:
    """The time of one `dispatch` or `combine` of DeepSeek-R1 in decode, by the serving model.

    `tokens` is those of one expert rank, each sent to its eight experts; uniform routing.

    >>> from cm384 import load_specs
    >>> print(units.text(exchange_time(load_specs(), "h800-sxm", "dispatch", 64, 128)))
    186.0 µs
    """
    packages = np.asarray(ranks, dtype=float)[()] / kernels.read(specs, chip, "ranks_per_package")
    found = Deployment(chip, packages, ranks, 1.0, 4096.0, matrix_precision=served_in(specs, chip))
    layers = Layers(specs, specs.models[MODEL], found, "decode")
    seconds, _ = layers.exchange(op, np.asarray(tokens, dtype=float)[()], 1.0)
    return units.Q(seconds * 1e6, "us")


def round_trip(specs: Specs, chip: str, ranks: Numbers, tokens: Numbers) -> Any:
    """Dispatch and combine together: what one layer's experts cost in communication."""
    return exchange_time(specs, chip, "dispatch", ranks, tokens) + exchange_time(
        specs, chip, "combine", ranks, tokens
    )


def overtakes(system: str, other: str, ranks: int, specs: Specs) -> float:
    """From how many tokens a rank an exchange is faster than another system's; NaN if never.

    For the machine that loses at one token a rank and wins later; 1 where it always wins.
    """
    tokens = np.arange(1.0, 4097.0)
    ours, theirs = (
        round_trip(specs, accelerator(specs, name), ranks, tokens).m for name in (system, other)
    )
    faster = np.flatnonzero(ours < theirs)
    return float(tokens[faster[0]]) if len(faster) else math.nan


def reach(specs: Specs, system: str) -> int:
    """The expert ranks on one scale-up fabric of a system."""
    chip = accelerator(specs, system)
    ranks = specs.get(system, "count", part=chip).m * kernels.read(specs, chip, "ranks_per_package")
    return int(ranks)


def over_scale_out(specs: Specs, chip: str) -> Specs:
    """The table in which the exchanges of a chip leave by its scale-out network alone.

    Only the bandwidth of decode changes; the fixed times stay, which is kind to the slower network.
    """
    ranks = specs.get(chip, "ranks_per_package").m
    slow = (specs.get(chip, "scale_out_bandwidth") / ranks).to("GB/s")
    keys = [
        key
        for key in specs.rows
        if key[:2] == (chip, "exchange_bandwidth") and "phase=decode" in key[2]
    ]
    stated = {key: specs.rows[key][0].amount for key in keys}
    return specs.replace({key: min(slow, value) for key, value in stated.items()})


# --- generations ---------------------------------------------------------------------------------


def steps_ahead(lead: float, step: float) -> float:
    """How many steps of a factor a lead is: its logarithm over that of the step.

    >>> steps_ahead(4.0, 2.0), steps_ahead(0.5, 2.0), steps_ahead(3.0, 1.0)
    (2.0, -1.0, nan)
    """
    return float(np.log(lead) / np.log(step)) if step != 1 else float("nan")


PREDECESSOR = "hgx-h100"


def generations(system: str, baseline: str, tokens: Numbers, specs: Specs) -> pd.DataFrame:
    """The lead over the baseline, in steps of the baseline over the generation before it."""
    systems = (system, baseline, PREDECESSOR)
    chips = [accelerator(specs, s) for s in systems]
    ranks = WORKLOADS["decode"].expert_parallel

    def of(quantity: str, names: Sequence[str]) -> list[float]:
        return [float(derive(quantity, n, specs).to_base_units().m) for n in names]

    figures = {
        "accelerators on one fabric": [
            float(specs.get(s, "count", part=c).m) for s, c in zip(systems, chips, strict=True)
        ],
        "scale-up bandwidth, all": of("scale_up_bandwidth_from_links", systems),
        "scale-up bandwidth, each": of("scale_up_bandwidth_from_links", chips),
        f"tokens exchanged, each, over {units.number(float(ranks))} ranks": [
            float((specs.get(chip, "ranks_per_package")
                   / round_trip(specs, chip, ranks, tokens)).m)
            for chip in chips
        ],
    }  # fmt: skip
    lines = [(name, ours / theirs, theirs / before)
             for name, (ours, theirs, before) in figures.items()]  # fmt: skip
    found = pd.DataFrame(lines, columns=["figure", "lead", "step"])
    steps = [steps_ahead(lead, step) for _, lead, step in lines]
    return found.assign(steps=steps)
