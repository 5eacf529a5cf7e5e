"""Money: a valuation by multiple, revenue lost to a rule, and prices per unit of what is bought."""

from __future__ import annotations

from typing import Any

from cm384.derivation import derivation, derive
from cm384.errors import InputError
from cm384.specs import Specs, read_conditions


@derivation("net profit × the earnings multiple of a peer")
def valuation_by_multiple(specs: Specs, subject: str, *, peer: str, year: str) -> Any:
    """What a company is worth at its own net profit and the earnings multiple of a peer."""
    profit = specs.get(subject, "net_profit", year=year)
    return (profit * specs.get(subject, "earnings_multiple", peer=peer)).to("GUSD")


@derivation("sum of the lost revenue of the quarters reported")
def lost_revenue_filed(specs: Specs, subject: str, *, product: str) -> Any:
    """The revenue that a company reports as lost, over all quarters for which it does."""
    found = [read_conditions(c) for s, q, c, _ in specs.rows if (s, q) == (subject, "lost_revenue")]
    quarters = [f["quarter"] for f in found if f.get("product") == product and "quarter" in f]
    if not quarters:
        raise InputError(f"{subject} has no lost_revenue of {product} by quarter")
    lost = [specs.get(subject, "lost_revenue", product=product, quarter=q) for q in quarters]
    return sum(lost[1:], start=lost[0])


@derivation("booked charge + lost revenue of the quarters reported")
def export_rule_cost(specs: Specs, subject: str, *, product: str) -> Any:
    """The booked charge and the reported lost revenue of a product together."""
    booked = specs.get(subject, "charge", product=product, stage="booked")
    return booked + lost_revenue_filed(specs, subject, product=product)


@derivation("price ÷ dense peak")
def price_per_peak(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Any:
    """What one TFLOP/s of dense peak costs."""
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (specs.get(subject, "price") / peak).to("USD/TFLOPS")


@derivation("price ÷ number of accelerators")
def price_per_accelerator(specs: Specs, subject: str) -> Any:
    """What a system costs for each accelerator in it."""
    counts = [specs.get(subject, "count", part=part) for part in specs.parts(subject)]
    if not counts:
        raise InputError(f"{subject} has no accelerators as parts; it may be one itself")
    return (specs.get(subject, "price") / sum(counts[1:], start=counts[0])).to("USD")
