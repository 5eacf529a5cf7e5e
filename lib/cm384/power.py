"""Power of systems for what they do, tokens a joule, and how many chips match a system.

A system's power is its all-in figure where one is stated; else the rating on its label or an
assumed one, which are upper bounds and leave out the network.
"""

from __future__ import annotations

from typing import Any

from cm384 import units
from cm384.derivation import derivation, derive
from cm384.errors import InputError
from cm384.fabric import accelerator
from cm384.specs import Specs
from cm384.workloads import throughput

BASES = ("all-in", "nameplate", "assumed")


def power_basis(specs: Specs, system: str) -> str:
    """The basis on which the power of a system is stated: all-in, nameplate or assumed."""
    for basis in BASES:
        if specs.has(system, "power", basis=basis):
            return basis
    raise InputError(f"no source states the power of {system}")


@derivation("all-in power, or the rating on the label where no source gives one")
def system_power(specs: Specs, subject: str) -> Any:
    """The electrical power of a whole system."""
    accelerator(specs, subject)
    return specs.get(subject, "power", basis=power_basis(specs, subject))


@derivation("power of the system ÷ number of accelerators")
def power_per_accelerator(specs: Specs, subject: str) -> Any:
    """The power of a system for each accelerator, with everything around it."""
    count = specs.get(subject, "count", part=accelerator(specs, subject))
    return (derive("system_power", subject, specs) / count).to("W")


@derivation("power of the system ÷ dense peak")
def power_per_peak(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Any:
    """The watts that one TFLOP/s of dense peak takes.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("power_per_peak", "gb200-nvl72", load_specs(), precision="bf16")))
    0.8056 W/TFLOPS
    """
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (derive("system_power", subject, specs) / peak).to("W/TFLOPS")


@derivation("power of the system ÷ memory bandwidth")
def power_per_bandwidth(specs: Specs, subject: str) -> Any:
    """The watts that one TB/s of memory bandwidth takes."""
    bandwidth = derive("hbm_bandwidth", subject, specs)
    return (derive("system_power", subject, specs) / bandwidth).to("W/(TB/s)")


@derivation("power of the system ÷ memory capacity")
def power_per_capacity(specs: Specs, subject: str) -> Any:
    """The watts that one TB of memory takes."""
    return (derive("system_power", subject, specs) / derive("hbm_capacity", subject, specs)).to(
        "W/TB"
    )


@derivation("dense peak of the comparator ÷ dense peak of one accelerator")
def accelerators_to_match(
    specs: Specs, subject: str, *, comparator: str, precision: str, basis: str = "headline"
) -> Any:
    """How many of a system's accelerators have the peak of another system."""
    wanted = derive("peak", comparator, specs, precision=precision, basis=basis)
    chip = accelerator(specs, subject)
    one = derive("peak", chip, specs, precision=precision, basis=basis)
    return (wanted / one).to(units.registry.dimensionless)


@derivation("accelerators that match the comparator × power for each")
def power_to_match(
    specs: Specs, subject: str, *, comparator: str, precision: str, basis: str = "headline"
) -> Any:
    """The power of as many of a system's accelerators as have the peak of another system."""
    conditions = {"comparator": comparator, "precision": precision, "basis": basis}
    count = derive("accelerators_to_match", subject, specs, **conditions)
    return (count * derive("power_per_accelerator", subject, specs)).to("kW")


def optics_shares(specs: Specs, system: str) -> list[float]:
    """What all optical modules draw by each source, as shares of the system's power, ascending.

    None where no source counts the modules.
    """
    try:
        modules = derive("optical_modules_from_accelerators", system, specs)
    except InputError:
        return []
    whole = derive("system_power", system, specs)
    return sorted(
        float((modules * row.amount / whole).to("count").m)
        for key, rows in specs.rows.items()
        if key[:2] == ("optical-module-400g", "power")
        for row in rows
    )


# --- through the serving model -------------------------------------------------------------------


def tokens_per_joule(specs: Specs, system: str, workload: str) -> Any:
    """Tokens for one joule at full throughput: throughput ÷ power, both for one accelerator."""
    tokens = throughput(specs, accelerator(specs, system), workload) * units.Q(1, "accelerator")
    return (tokens / derive("power_per_accelerator", system, specs)).to("token/J")


def electricity_cost(
    specs: Specs, system: str, workload: str, price: float, utilisation: float = 1.0
) -> Any:
    """What the electricity of a million tokens costs at a `price` in USD/kWh.

    The system draws its full power also in the share of the time in which it does not serve.
    """
    joules = 1 / tokens_per_joule(specs, system, workload)
    return (joules * units.Q(price, "USD/kWh") / utilisation).to("USD/Mtoken")


def capital_cost(specs: Specs, system: str, workload: str, utilisation: float = 1.0) -> Any:
    """What the purchase adds to a million tokens, written off over the life of a server."""
    one = specs.get(system, "price") / specs.get(system, "count", part=accelerator(specs, system))
    tokens = throughput(specs, accelerator(specs, system), workload) * units.Q(1, "accelerator")
    life = specs.get("server", "service_life")
    return (one / (tokens * life * utilisation)).to("USD/Mtoken")


def accelerators_to_serve(specs: Specs, system: str, comparator: str, workload: str) -> Any:
    """How many of a system's accelerators serve as many tokens a second as another system."""
    theirs = accelerator(specs, comparator)
    wanted = specs.get(comparator, "count", part=theirs) * throughput(specs, theirs, workload)
    return wanted / throughput(specs, accelerator(specs, system), workload)


def electricity_of_a_year(specs: Specs, system: str, accelerators: float) -> Any:
    """What so many accelerators of a system take in a year, with all around them."""
    one = derive("power_per_accelerator", system, specs)
    return (accelerators * one * units.Q(1, "year")).to("TWh")
