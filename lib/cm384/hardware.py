"""Packages and systems: peaks, memory and links from the parts they are built of.

Each function is a derivation (see `derivation`): pure, of the table of specs, broadcasting over
arrays. Stated figures need no function; these are the products to set beside them.
"""

from __future__ import annotations

from typing import Any

from cm384 import units
from cm384.derivation import derivation, derive, ratio
from cm384.errors import InputError
from cm384.specs import Specs

# What a comparison of two machines on paper looks at.
AREAS = ("peak", "hbm_capacity", "hbm_bandwidth", "scale_up_bandwidth", "scale_out_bandwidth")


def per_package(specs: Specs, chip: str, quantity: str) -> Any:
    """A count per package: stated so, or the count per die times the dies."""
    if specs.has(chip, quantity, basis="package"):
        return specs.get(chip, quantity, basis="package")
    return specs.get(chip, "dies") * specs.get(chip, quantity, basis="die")


@derivation(
    "units × FLOP per clock of one × clock (matrix units; for the headline vector units too)"
)
def peak_from_units(specs: Specs, subject: str, *, precision: str, basis: str = "matrix") -> Any:
    """The dense peak that the units, their rate and their clock multiply to.

    With basis `headline`, the vector cores count too where the chip has them beside its matrix
    units, as in Huawei's printed peaks; the vector cores run at the same clock.

    >>> from cm384 import load_specs
    >>> specs = load_specs()
    >>> print(round(derive("peak_from_units", "ascend-910c", specs, precision="bf16").m, 1))
    707.8
    """
    if basis not in ("matrix", "headline"):
        raise InputError(f"peak_from_units has basis matrix or headline, not {basis!r}")
    flop_per_clock = per_package(specs, subject, "matrix_units") * specs.get(
        subject, "matrix_flop_per_clock", precision=precision
    )
    if basis == "headline" and specs.has(subject, "vector_flop_per_clock", precision=precision):
        flop_per_clock = flop_per_clock + per_package(specs, subject, "vector_units") * specs.get(
            subject, "vector_flop_per_clock", precision=precision
        )
    return flop_per_clock * specs.get(subject, "clock")


@derivation("stacks × capacity of one stack")
def hbm_capacity_from_stacks(specs: Specs, subject: str) -> Any:
    """The capacity that the memory stacks add up to."""
    return specs.get(subject, "hbm_stacks") * specs.get(subject, "hbm_stack_capacity")


@derivation("stacks × pins of one stack × rate of one pin")
def hbm_bandwidth_from_stacks(specs: Specs, subject: str) -> Any:
    """The bandwidth that the memory stacks, their width and their pin rate multiply to."""
    pins = specs.get(subject, "hbm_stacks") * specs.get(subject, "hbm_stack_width")
    return pins * specs.get(subject, "hbm_pin_rate")


@derivation("links × bandwidth of one link in one direction")
def scale_up_bandwidth_from_links(specs: Specs, subject: str) -> Any:
    """The one-way scale-up bandwidth that the links add up to."""
    links = per_package(specs, subject, "scale_up_links")
    return links * specs.get(subject, "scale_up_link_bandwidth")


@derivation("peak ÷ HBM bandwidth")
def ridge_point(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Any:
    """The arithmetic intensity (FLOP per byte) above which the peak, not the memory, limits."""
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (peak / derive("hbm_bandwidth", subject, specs)).to("FLOP/byte")


@derivation("nodes × accelerators in one node")
def accelerators_from_nodes(specs: Specs, subject: str) -> Any:
    """The accelerators that the nodes of a system add up to."""
    return specs.get(subject, "count", part="node") * specs.get(subject, "accelerators_per_node")


@derivation("peak ÷ electrical power")
def peak_per_power(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Any:
    """The dense peak of a system for one watt, of the whole system."""
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (peak / specs.get(subject, "power", basis="all-in")).to("GFLOP/J")


@derivation("how many of peak, memory and link totals exceed the comparator's")
def areas_led(
    specs: Specs, subject: str, *, comparator: str, precision: str, basis: str = "headline"
) -> Any:
    """In how many of the five areas of a comparison on paper the subject is ahead."""
    led = units.Q(0, "count")
    for area in AREAS:
        conditions: dict[str, Any] = (
            {"precision": precision, "basis": basis} if area == "peak" else {}
        )
        quotient = ratio(area, subject, comparator, specs, **conditions)
        led = led + units.Q(quotient.m > 1, "count")
    return led
