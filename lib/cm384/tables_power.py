"""Tables of the page on power and price."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cm384 import fabric, power, units, workloads
from cm384.derivation import derive, ratio, row_name, title
from cm384.errors import InputError
from cm384.specs import Specs, key_name
from cm384.tables import Cell, Table, by_system, or_dash, table, with_span
from cm384.uncertainty import Span, span, tornado


@dataclass(frozen=True)
class Metric:
    """A figure of a system for what it does, and how it is printed."""

    name: str
    unit: str
    figure: Callable[[str, Specs], Any]

    def shown(self, specs: Specs, system: str) -> str:
        """The figure of one system."""
        return units.text(self.figure(system, specs).to(self.unit), 3)

    def ratio(self, system: str, baseline: str, specs: Specs) -> Span | None:
        """The ratio of two systems over the sources; None where one of them lacks it."""

        def figure(drawn: Specs) -> Any:
            return (self.figure(system, drawn) / self.figure(baseline, drawn)).to("count")

        with contextlib.suppress(InputError):
            return span(figure, specs)
        return None


def _metric(name: str, unit: str, quantity: str, **conditions: str) -> Metric:
    return Metric(name, unit, lambda system, specs: derive(quantity, system, specs, **conditions))


def _eight_bit(system: str, specs: Specs) -> Any:
    precision = workloads.eight_bit_peak(specs, fabric.accelerator(specs, system))
    return derive("power_per_peak", system, specs, precision=precision)


def _joules(workload: str) -> Callable[[str, Specs], Any]:
    return lambda system, specs: 1 / power.tokens_per_joule(specs, system, workload)


def _per_token_rate(system: str, specs: Specs) -> Any:
    rate = workloads.throughput(specs, fabric.accelerator(specs, system), "decode")
    return derive("price_per_accelerator", system, specs) / rate / units.Q(1, "accelerator")


POWER_METRICS = (
    _metric("power of the system", "kW", "system_power"),
    _metric("for one accelerator", "W", "power_per_accelerator"),
    _metric("for 1 TFLOPS, BF16 as advertised", "W/TFLOPS", "power_per_peak", precision="bf16"),
    _metric("for 1 TFLOPS, BF16 matrix units only", "W/TFLOPS", "power_per_peak",
            precision="bf16", basis="matrix"),
    Metric("for 1 TFLOPS, 8 bits", "W/TFLOPS", _eight_bit),
    _metric("for 1 TB/s of memory bandwidth", "W/(TB/s)", "power_per_bandwidth"),
    _metric("for 1 TB of memory", "W/TB", "power_per_capacity"),
    Metric("for a prompt token (model)", "J/token", _joules("prefill")),
    Metric("for a decoded token (model)", "J/token", _joules("decode")),
)  # fmt: skip
PRICE_METRICS = (
    Metric("price of the system", "MUSD", lambda system, specs: specs.get(system, "price")),
    _metric("for one accelerator", "USD", "price_per_accelerator"),
    _metric("for 1 TFLOPS, BF16 as advertised", "USD/TFLOPS", "price_per_peak", precision="bf16"),
    Metric("for a decoded token a second (model)", "USD/(token/s)", _per_token_rate),
)


def power_table(systems: Iterable[str], specs: Specs) -> Table:
    """Power of systems for what they do, the unit of each line in its name."""

    def cell(metric: Metric) -> Cell:
        return lambda s: units.number(float(metric.figure(s, specs).to(metric.unit).m), 3)

    lines = [
        (f"{metric.name}, {metric.unit.split('/')[0]}", cell(metric)) for metric in POWER_METRICS
    ]
    return by_system("power", systems, lines)


def price_table(system: str, baseline: str, specs: Specs) -> Table:
    """Price of two systems for what they have and do, and the ratios over the sources."""
    lines = []
    for metric in PRICE_METRICS:
        found = metric.ratio(system, baseline, specs)
        edges = (found.central, found.low, found.high) if found else ()
        lines.append(
            {"price": metric.name}
            | {title(s): or_dash(partial(metric.shown, specs, s)) for s in (system, baseline)}
            | {"ratio (sources allow)": with_span(*(float(e.m) for e in edges)) if edges else "–"}
        )
    return table(lines)


def cost_table(systems: Sequence[str], price: float, utilisation: float, specs: Specs) -> Table:
    """What a million tokens cost in electricity and in capital, by the serving model."""
    lines = []
    for workload in workloads.WORKLOADS:
        kind = "prompt" if workload == "prefill" else "decoded"
        for system in systems:
            electricity = power.electricity_cost(specs, system, workload, price, utilisation).m
            capital = math.nan
            with contextlib.suppress(InputError):
                capital = float(power.capital_cost(specs, system, workload, utilisation).m)
            rate = workloads.throughput(specs, fabric.accelerator(specs, system), workload)
            part = electricity / (electricity + capital)
            of_both = f" ({units.percent(part)})" if np.isfinite(part) else ""
            lines.append(
                {
                    "USD for a million tokens": f"{kind}, {title(system)}",
                    "tokens/s of one": units.number(float(rate.m)),
                    "electricity (of both)": units.number(float(electricity), 3) + of_both,
                    "purchase": units.number(capital, 3) if np.isfinite(capital) else "–",
                }
            )
    return table(lines)


def matches_table(system: str, baseline: str, specs: Specs) -> Table:
    """How many accelerators of a system, and what power, do what the baseline does."""
    chip = fabric.accelerator(specs, system)
    whole = specs.get(system, "count", part=chip).m
    one = derive("power_per_accelerator", system, specs)

    def share(quantity: str, **conditions: str) -> Callable[[], Any]:
        return lambda: (
            derive(quantity, baseline, specs, **conditions)
            / derive(quantity, chip, specs, **conditions)
        )

    def eight_bits() -> Any:
        theirs = workloads.eight_bit_peak(specs, fabric.accelerator(specs, baseline))
        ours = workloads.eight_bit_peak(specs, chip)
        return ratio("peak", baseline, chip, specs, {"precision": ours}, precision=theirs)

    def served(workload: str) -> Callable[[], Any]:
        return lambda: power.accelerators_to_serve(specs, system, baseline, workload)

    wanted = {
        "peak, BF16 as advertised": share("peak", precision="bf16"),
        "peak, BF16 matrix units only": share("peak", precision="bf16", basis="matrix"),
        "peak, 8 bits": eight_bits,
        "memory bandwidth": share("hbm_bandwidth"),
        "memory capacity": share("hbm_capacity"),
        "prompt tokens a second (model)": served("prefill"),
        "decoded tokens a second (model)": served("decode"),
    }
    lines = []
    for name, count in wanted.items():
        with contextlib.suppress(InputError):
            number = count().to("count")
            lines.append(
                {
                    f"as much as one {title(baseline)}": name,
                    "accelerators": f"{math.ceil(number.m - 1e-9):,}",
                    f"share of one {title(system)}": units.percent(number.m / whole),
                    "power": units.text((number * one).to("kW"), 3),
                }
            )
    return table(lines)


def widest(figure: Callable[[Specs], Any], specs: Specs) -> str:
    """The disputed row that moves a figure most, in words, with how far it moves it."""
    line = tornado(figure, specs).iloc[0]
    key = next(key for key in specs.rows if key_name(key) == line["row"])
    moved = f"which alone moves it from {line['low']:.2f} to {line['high']:.2f}"
    return f"{row_name(specs.rows[key][0])}, {moved}"
