"""Tables of the pages on fabrics, power and price, and parity."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cm384 import fabric, kernels, power, units, workloads
from cm384.claims import Claim, load_claims
from cm384.derivation import derive, ratio, row_name, title
from cm384.errors import InputError
from cm384.hardware import per_package
from cm384.operators import Numbers
from cm384.specs import Key, Specs, key_name, read_conditions
from cm384.tables import Table, interval, number_or_dash
from cm384.uncertainty import Span, span, tornado
from cm384.validation import Kernel, Measurement, check_terms, load_kernels

Cell = Callable[[str], str]


def or_dash(cell: Callable[[], str]) -> str:
    """A cell, or a dash where no source states what it needs."""
    try:
        return cell()
    except InputError:
        return "–"


def claims_of(category: str, specs: Specs) -> list[Claim]:
    """The claims of a category that are not repetitions of another one."""
    return [c for c in load_claims(specs=specs) if c.category == category and not c.same_as]


def each(values: Iterable[str]) -> list[str]:
    """Names without repetitions, in order.

    >>> each(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(values))


def _by_system(systems: Sequence[str], lines: Iterable[tuple[str, Cell]]) -> Table:
    """One line a figure, one column a system."""
    return Table(
        pd.DataFrame(
            [
                {"figure": name} | {title(s): or_dash(partial(f, s)) for s in systems}
                for name, f in lines
            ]
        )
    )


# --- fabrics -------------------------------------------------------------------------------------


def fabric_table(systems: Sequence[str], specs: Specs) -> Table:
    """What joins the accelerators of each system, from links and switch chips; one-way."""

    def get(system: str, quantity: str, **conditions: str) -> str:
        return units.text(units.sensible(specs.get(system, quantity, **conditions)))

    def derived(quantity: str) -> Cell:
        return lambda system: units.text(derive(quantity, system, specs))

    def chip(system: str) -> str:
        return fabric.accelerator(specs, system)

    def links(system: str) -> str:
        one = specs.get(chip(system), "scale_up_link_bandwidth")
        count = per_package(specs, chip(system), "scale_up_links")
        total = (count * one).to("GB/s")
        return f"{units.number(count.m)} × {units.text(one)} = {units.text(total)}"

    def ports(system: str) -> str:
        switch = fabric.last_tier(specs, system)
        count = specs.get(system, "count", part=switch).m
        one = specs.get(switch, "scale_up_links").m
        return f"{count:g} × {one:g} = {units.number(count * one)}"

    def modules(system: str) -> str:
        count = derive("optical_modules_from_accelerators", system, specs)
        return units.text(count.to("count"))

    lines: list[tuple[str, Cell]] = [
        ("accelerators on one fabric", lambda s: get(s, "count", part=chip(s))),
        ("links of one accelerator", links),
        ("all accelerators can send", derived("scale_up_bandwidth_from_links")),
        ("a node can send", derived("node_bandwidth")),
        ("a node's uplinks carry", derived("node_uplink_bandwidth")),
        ("oversubscription", derived("oversubscription")),
        ("the same, CPUs sending too", derived("oversubscription_with_cpus")),
        ("switch chips", lambda s: _switches(s, specs)),
        ("ports of the last tier", ports),
        ("the last tier takes in", derived("fabric_bandwidth")),
        ("bisection", derived("bisection_bandwidth")),
        ("optical modules, both planes", modules),
    ]
    return _by_system(systems, lines)


def _switches(system: str, specs: Specs) -> str:
    """The switch chips by tier, first tier first."""
    names = ("ub-l1-switch", "ub-l2-switch", "nvswitch-5", "nvswitch")
    found = [specs.get(system, "count", part=n).m for n in names
             if specs.has(system, "count", part=n)]  # fmt: skip
    if not found:
        raise InputError(f"no source counts the switch chips of {system}")
    total = f" = {units.number(sum(found))}" if len(found) > 1 else ""
    return " + ".join(units.number(count) for count in found) + total


def planes_table(systems: Sequence[str], specs: Specs) -> Table:
    """The networks of each system, for one accelerator and one-way."""
    lines = []
    for system in systems:
        chip = fabric.accelerator(specs, system)
        up = derive("scale_up_bandwidth_from_links", chip, specs).to("GB/s")
        planes = [("scale-up", "all accelerators on one fabric", up)]
        with contextlib.suppress(InputError):
            out = specs.get(chip, "scale_out_bandwidth").to("GB/s")
            planes.append(("scale-out (RDMA)", "to other systems", out))
        with contextlib.suppress(InputError):
            node = specs.get(system, "vpc_bandwidth", per="node").to("GB/s")
            share = node / specs.get(system, "accelerators_per_node")
            planes.append(("data centre (VPC)", "storage and services, by the CPUs",
                           share.to("GB/s")))  # fmt: skip
        lines += [
            {
                "system": title(system),
                "plane": plane,
                "for": use,
                "one accelerator": units.text(bandwidth),
                "scale-up ÷ this": units.number(float((up / bandwidth).m), 3),
            }
            for plane, use, bandwidth in planes
        ]
    return Table(pd.DataFrame(lines))


def measured_table(systems: Sequence[str], specs: Specs) -> Table:
    """What was measured between two ranks (dies or GPUs), beside what the links add up to."""
    lines = []
    for chip in each(fabric.accelerator(specs, system) for system in systems):
        ranks = specs.get(chip, "ranks_per_package")
        nominal = derive("scale_up_bandwidth_from_links", chip, specs) / ranks
        nominal = nominal.to("GB/s")
        for key, rows in specs.rows.items():
            if key[:2] == (chip, "scale_up_bandwidth") and key[3] == "measured":
                given = read_conditions(key[2])
                found = (units.Q(rows[0].value, rows[0].unit) / ranks).to("GB/s")
                lines.append(
                    {
                        "rank": f"{title(chip)}{' die' if ranks.m > 1 else ''}",
                        "transfer": given.get("op", "one GPU to another"),
                        "between": "one node" if given.get("reach") == "node" or not given
                        else "two nodes",
                        "measured": units.text(found),
                        "nominal": units.text(nominal),
                        "share": f"{(found / nominal).m:.0%}",
                        "source": rows[0].source,
                    }
                )  # fmt: skip
    if not lines:
        lines = [dict.fromkeys(("rank", "transfer", "measured", "nominal", "share", "source"), "–")]
    return Table(pd.DataFrame(lines), code=("source",))


def rates_table(system: str, specs: Specs) -> Table:
    """One scale-up bandwidth counted in three ways: by links, and by modules at two rates."""
    chip = fabric.accelerator(specs, system)
    links = per_package(specs, chip, "scale_up_links").m
    one = specs.get(chip, "scale_up_link_bandwidth").to("Gbit/s")
    counts = [("links", links, one)]
    with contextlib.suppress(InputError):
        ends = specs.get(system, "count", part="optical-module", per="accelerator",
                         plane="scale-up").m / 2  # fmt: skip
        counts += [
            (f"optical modules at {basis} rate", ends, rate)
            for basis in ("nominal", "assumed")
            for rate in [specs.get("optical-module-400g", "optical_module_rate", basis=basis)]
        ]
    return Table(
        pd.DataFrame(
            [
                {
                    "counted by": name,
                    "number": units.number(count),
                    "rate of one": units.text(rate.to("Gbit/s")),
                    "together": units.text((count * rate).to("Gbit/s")),
                    "one-way": units.text((count * rate).to("GB/s")),
                    "two-way": units.text((2 * count * rate).to("GB/s")),
                }
                for name, count, rate in counts
            ]
        )
    )


def stated_bandwidths(systems: Sequence[str], specs: Specs) -> Table:
    """Every sourced scale-up bandwidth of some systems and their accelerators."""
    names = [*systems, *(fabric.accelerator(specs, s) for s in systems)]
    rows = [
        row
        for (subject, quantity, conditions, _), group in specs.rows.items()
        for row in group
        if subject in names and quantity == "scale_up_bandwidth" and not conditions
    ]
    cells = [
        {
            "of": title(r.subject),
            "value": f"{units.number(r.value, 7)} {r.unit}",
            "counts": r.basis,
            "source": r.source,
            "note": r.note,
        }
        for r in rows
    ]
    return Table(pd.DataFrame(cells), code=("source",), wide=("note",))


def exchange_table(systems: Sequence[str], tokens: Numbers, specs: Specs) -> Table:
    """Dispatch and combine of one layer by the serving model, as the ranks grow."""
    lines: list[dict[str, str]] = []
    for ranks in (8, 16, 32, 64, 128, 256):
        line = {"expert ranks": f"{ranks}"}
        for chip in each(fabric.accelerator(specs, s) for s in systems):
            if ranks > _farthest(chip, systems, specs):
                line[title(chip)] = "–"
                continue
            there, back = (
                float(fabric.exchange_time(specs, chip, op, ranks, tokens).m)
                for op in ("dispatch", "combine")
            )
            total = units.number(there + back, 3)
            line[title(chip)] = f"{units.number(there, 3)} + {units.number(back, 3)} = {total} us"
        lines.append(line)
    return Table(pd.DataFrame(lines))


def _farthest(chip: str, systems: Sequence[str], specs: Specs) -> float:
    """The most ranks that the exchange figures of a chip hold for.

    All of its fabric; where they were measured over several nodes, any number.
    """
    if specs.has(chip, "node_ranks", basis="assumed"):
        return math.inf
    return max(fabric.reach(specs, s) for s in systems if fabric.accelerator(specs, s) == chip)


def published_exchanges(chips: Iterable[str], specs: Specs) -> pd.DataFrame:
    """Benchmarks of dispatch and combine in decode beside what the model says of each.

    `input` says whether a constant of that chip's exchanges comes from the same table or source.
    """
    wanted = set(chips)
    rows: dict[str, Kernel] = {
        row.id: row
        for row in load_kernels()
        if row.accelerator in wanted
        and row.quantity == "exchange_latency"
        and "normal" not in row.kernel
        and {"ranks", "tokens", "op"} <= row.given.keys()
    }
    found = check_terms(list(rows.values()), specs)
    lines = []
    for line in found.to_dict("records"):
        row = rows[str(line["id"])]
        constants = {
            (group[0].source, _document(group[0].locator))
            for key, group in specs.rows.items()
            if key[0] == row.accelerator and key[1].startswith("exchange_")
            and "phase=decode" in key[2]
        }  # fmt: skip
        lines.append(
            {
                "accelerator": row.accelerator,
                "kernel": row.kernel,
                "document": row.locator,
                "op": row.given["op"],
                "ranks": float(row.given["ranks"]),
                "tokens": float(row.given["tokens"]),
                "published": float(line["measured"]),
                "model": float(line["predicted"]),
                "error": float(line["error"]),
                "input": _kinship(row, constants),
                "source": row.source,
            }
        )
    return pd.DataFrame(lines)


def _kinship(row: Kernel, constants: set[tuple[str, str]]) -> str:
    """Whether constants come from the table of a benchmark, or from its source, or not."""
    if (row.source, _document(row.locator)) in constants:
        return "the same table"
    return "the same source" if row.source in {source for source, _ in constants} else "none"


def _document(locator: str) -> str:
    """The document or table within a source: what stands before the first comma or bracket."""
    return locator.replace("(", ",").split(",")[0].strip()


def exchange_check_table(chips: Iterable[str], specs: Specs) -> Table:
    """How far the exchange terms are from the published latencies, by kernel and document."""
    found = published_exchanges(chips, specs)
    lines = []
    grouped = found.groupby(["accelerator", "kernel", "input", "source"], sort=False)
    for (chip, kernel, used, source), group in grouped:
        lines.append(
            {
                "rank of": title(str(chip)),
                "kernel": str(kernel),
                "benchmarks": f"{len(group)}",
                "ranks": _range(group["ranks"]),
                "tokens": _range(group["tokens"]),
                "half within": f"{group['error'].abs().median():.0%}",
                "worst": f"{group['error'].iloc[int(group['error'].abs().argmax())]:+.0%}",
                "constants from": str(used),
                "source": str(source),
            }
        )
    return Table(pd.DataFrame(lines), code=("source",))


def _range(values: pd.Series[float]) -> str:
    low, high = float(values.min()), float(values.max())
    return units.number(low) if low == high else f"{units.number(low)} – {units.number(high)}"


def scale_out_table(systems: Sequence[str], tokens: Numbers, specs: Specs) -> Table:
    """What each accelerator serves on its fabric, and if its exchanges left by the NIC."""
    lines = []
    for chip in each(fabric.accelerator(specs, s) for s in systems):
        slow = fabric.over_scale_out(specs, chip)
        ranks = workloads.WORKLOADS["decode"].expert_parallel
        row: dict[str, str] = {"accelerator": title(chip)}
        for name, table in (("its fabric", specs), ("the NIC alone", slow)):
            trip = fabric.round_trip(table, chip, ranks, tokens)
            row[f"dispatch + combine, {name}"] = units.text(trip, 3)
        rates = [workloads.throughput(table, chip, "decode") for table in (specs, slow)]
        row["decode on its fabric"] = units.text(rates[0].to("token/s/accelerator"))
        row["by the NIC alone"] = units.text(rates[1].to("token/s/accelerator"))
        row["kept"] = f"{(rates[1] / rates[0]).m:.0%}"
        lines.append(row)
    return Table(pd.DataFrame(lines))


PREDECESSOR = "hgx-h100"


def generations(system: str, baseline: str, tokens: Numbers, specs: Specs) -> pd.DataFrame:
    """The lead over the baseline, in steps of the baseline over the generation before it."""
    systems = (system, baseline, PREDECESSOR)
    chips = [fabric.accelerator(specs, s) for s in systems]
    ranks = workloads.WORKLOADS["decode"].expert_parallel
    held = [float(specs.get(chip, "ranks_per_package").m) for chip in chips]

    def of(quantity: str, names: Sequence[str]) -> list[float]:
        return [float(derive(quantity, n, specs).to_base_units().m) for n in names]

    trips = [float(fabric.round_trip(specs, chip, ranks, tokens).m) for chip in chips]
    figures = {
        "accelerators on one fabric": [
            float(specs.get(s, "count", part=c).m) for s, c in zip(systems, chips, strict=True)
        ],
        "scale-up bandwidth, all": of("scale_up_bandwidth_from_links", systems),
        "scale-up bandwidth, each": of("scale_up_bandwidth_from_links", chips),
        f"tokens exchanged, each, over {units.number(float(ranks))} ranks": [
            count / trip for count, trip in zip(held, trips, strict=True)
        ],
    }
    lines = []
    for name, (ours, theirs, before) in figures.items():
        lead, step = ours / theirs, theirs / before
        lines.append(
            {"figure": name, "lead": lead, "step": step, "steps": fabric.steps_ahead(lead, step)}
        )
    return pd.DataFrame(lines)


def generations_table(system: str, baseline: str, tokens: Numbers, specs: Specs) -> Table:
    """The same for a reader."""
    found = generations(system, baseline, tokens, specs)
    return Table(
        pd.DataFrame(
            {
                "figure": found["figure"],
                f"{title(system)} ÷ {title(baseline)}": found["lead"].map(_three),
                f"{title(baseline)} ÷ {title(PREDECESSOR)}": found["step"].map(_three),
                "generations ahead": [
                    f"{steps:+.1f}" if np.isfinite(steps) else "–" for steps in found["steps"]
                ],
            }
        )
    )


def _three(value: float) -> str:
    return units.number(value, 3)


# --- power and price -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """A figure of a system for what it does, and how it is printed."""

    name: str
    unit: str
    figure: Callable[[str, Specs], Any]

    def shown(self, system: str, specs: Specs) -> str:
        """The figure of one system."""
        return units.text(self.figure(system, specs).to(self.unit), 3)

    def ratio(self, system: str, baseline: str, specs: Specs) -> Span | None:
        """The ratio of two systems over the sources; None where one of them lacks it."""
        try:
            return span(
                lambda table: (self.figure(system, table) / self.figure(baseline, table)).to(
                    units.registry.dimensionless
                ),
                specs,
            )
        except InputError:
            return None


def _metric(name: str, unit: str, quantity: str, **conditions: str) -> Metric:
    return Metric(name, unit, lambda system, specs: derive(quantity, system, specs, **conditions))


def _eight_bit(system: str, specs: Specs) -> Any:
    precision = workloads.eight_bit_peak(specs, fabric.accelerator(specs, system))
    return derive("power_per_peak", system, specs, precision=precision)


def _joules(workload: str) -> Callable[[str, Specs], Any]:
    return lambda system, specs: 1 / power.tokens_per_joule(specs, system, workload)


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


def power_table(system: str, baseline: str, specs: Specs) -> Table:
    """Power of two systems for what they do, and the ratios with what the sources allow."""
    return _metrics_table("power", POWER_METRICS, system, baseline, specs)


def _metrics_table(
    head: str, metrics: Sequence[Metric], system: str, baseline: str, specs: Specs
) -> Table:
    lines = []
    for metric in metrics:
        found = metric.ratio(system, baseline, specs)
        lines.append(
            {
                head: metric.name,
                title(system): or_dash(partial(metric.shown, system, specs)),
                title(baseline): or_dash(partial(metric.shown, baseline, specs)),
                "ratio": number_or_dash(float(found.central.m)) if found else "–",
                "sources allow": interval(float(found.low.m), float(found.high.m))
                if found
                else "–",
            }
        )
    return Table(pd.DataFrame(lines))


def stated_table(subjects: Sequence[str], quantity: str, specs: Specs) -> Table:
    """Every sourced row of a quantity of some subjects, whatever it is stated for."""
    rows = [
        row
        for subject in each(subjects)
        for key, group in specs.rows.items()
        for row in group
        if key[:2] == (subject, quantity)
    ]
    cells = [
        {
            "of": title(r.subject),
            "value": f"{units.number(r.value, 6)} {r.unit}",
            "counts": " ".join(filter(None, [r.basis, r.conditions.replace(";", ", ")])),
            "role": r.role,
            "source": r.source,
            "note": r.note,
        }
        for r in rows
    ]
    names = ["of", "value", "counts", "role", "source", "note"]
    return Table(pd.DataFrame(cells, columns=names), code=("source",), wide=("note",))


def optics_table(system: str, specs: Specs) -> Table:
    """What the optical modules of a system draw, by kind, as a share of its power."""
    kinds = {"retimed": "retimed", "lpo": "linear (LPO)"}
    lines = []
    for (subject, quantity, conditions, basis), rows in specs.rows.items():
        if (subject, quantity) != ("optical-module-400g", "power"):
            continue
        for row in rows:
            one = units.Q(row.value, row.unit)
            drawn, share = _optics(system, one, specs)
            lines.append(
                {
                    "module": kinds[read_conditions(conditions)["optics"]],
                    "one draws": f"{units.text(one)} ({basis})",
                    "all draw": drawn,
                    "share": share,
                    "source": row.source,
                }
            )
    return Table(pd.DataFrame(lines), code=("source",))


def _optics(system: str, one: Any, specs: Specs) -> tuple[str, str]:
    """What all modules draw, and its share of the power; dashes where no source counts them."""
    try:
        drawn = derive("optical_modules_from_accelerators", system, specs) * one
        share = (drawn / derive("system_power", system, specs)).to("count").m
    except InputError:
        return "–", "–"
    return units.text(drawn.to("kW"), 3), f"{share:.1%}"


def cost_table(systems: Sequence[str], price: float, utilisation: float, specs: Specs) -> Table:
    """What a million tokens cost in electricity and in capital, by the serving model."""
    lines = []
    for workload in workloads.WORKLOADS:
        for system in systems:
            args = (specs, system, workload)
            electricity = power.electricity_cost(*args, price, utilisation).m
            capital = np.nan
            with contextlib.suppress(InputError):
                capital = float(power.capital_cost(*args, utilisation).m)
            chip = fabric.accelerator(specs, system)
            rate = workloads.throughput(specs, chip, workload)
            lines.append(
                {
                    "tokens": "prompt" if workload == "prefill" else "decoded",
                    "system": title(system),
                    "one accelerator": units.text(rate),
                    "tokens a joule": units.text(power.tokens_per_joule(*args), 3),
                    "electricity, USD per million": units.number(float(electricity), 3),
                    "purchase, USD per million": units.number(capital, 3)
                    if np.isfinite(capital)
                    else "–",
                    "electricity in both": f"{electricity / (electricity + capital):.0%}"
                    if np.isfinite(capital)
                    else "–",
                }
            )
    return Table(pd.DataFrame(lines))


PRICE_METRICS = (
    Metric("price of the system", "MUSD", lambda system, specs: specs.get(system, "price")),
    _metric("for one accelerator", "USD", "price_per_accelerator"),
    _metric("for 1 TFLOPS, BF16 as advertised", "USD/TFLOPS", "price_per_peak", precision="bf16"),
    Metric(
        "for a decoded token a second (model)",
        "USD/(token/s)",
        lambda system, specs: (
            derive("price_per_accelerator", system, specs)
            / workloads.throughput(specs, fabric.accelerator(specs, system), "decode")
            / units.Q(1, "accelerator")
        ),
    ),
)


def price_table(system: str, baseline: str, specs: Specs) -> Table:
    """Price of two systems for what they have and do, and the ratios over the sources."""
    return _metrics_table("price", PRICE_METRICS, system, baseline, specs)


def matches(system: str, baseline: str, specs: Specs) -> Iterator[tuple[str, Any, Any, Any]]:
    """How many accelerators match the baseline in what, their power, and its ratio."""

    def peak(precision: str, basis: str) -> Callable[[], Any]:
        conditions = {"comparator": baseline, "precision": precision, "basis": basis}
        return lambda: derive("accelerators_to_match", system, specs, **conditions)

    def share(quantity: str) -> Callable[[], Any]:
        chip = fabric.accelerator(specs, system)
        return lambda: derive(quantity, baseline, specs) / derive(quantity, chip, specs)

    def eight_bits() -> Any:
        ours, theirs = (
            workloads.eight_bit_peak(specs, fabric.accelerator(specs, s))
            for s in (system, baseline)
        )
        chip = fabric.accelerator(specs, system)
        wanted = derive("peak", baseline, specs, precision=theirs)
        return wanted / derive("peak", chip, specs, precision=ours)

    def served(workload: str) -> Callable[[], Any]:
        return lambda: power.accelerators_to_serve(specs, system, baseline, workload)

    wanted = {
        "peak, BF16 as advertised": peak("bf16", "headline"),
        "peak, BF16 matrix units only": peak("bf16", "matrix"),
        "peak, 8 bits": eight_bits,
        "memory bandwidth": share("hbm_bandwidth"),
        "memory capacity": share("hbm_capacity"),
        "prompt tokens a second (model)": served("prefill"),
        "decoded tokens a second (model)": served("decode"),
    }
    for name, count in wanted.items():
        with contextlib.suppress(InputError):
            number = count().to("count")
            drawn = (number * derive("power_per_accelerator", system, specs)).to("kW")
            theirs = derive("system_power", baseline, specs)
            yield name, number, drawn, (drawn / theirs).to("count")


def matches_table(system: str, baseline: str, specs: Specs) -> Table:
    """How many accelerators of a system, and what power, do what the baseline does."""
    whole = specs.get(system, "count", part=fabric.accelerator(specs, system)).m
    lines = [
        {
            f"as much as one {title(baseline)}": name,
            "accelerators": f"{math.ceil(number.m - 1e-9):,}",
            f"share of one {title(system)}": f"{number.m / whole:.0%}",
            "power": units.text(drawn, 3),
            f"÷ power of {title(baseline)}": units.number(float(times.m), 3),
        }
        for name, number, drawn, times in matches(system, baseline, specs)
    ]
    return Table(pd.DataFrame(lines))


def _two_countries(quantity: str, specs: Specs) -> Any:
    return ratio(quantity, "china", "united-states", specs, year="2024")


def electricity_table(specs: Specs) -> Table:
    """Generation and capacity of China and the United States, and their ratio over the sources."""
    lines = []
    for quantity, name in (
        ("electricity_generation", "electricity generated in 2024"),
        ("installed_capacity", "generating capacity at the end of 2024"),
    ):
        found = span(partial(_two_countries, quantity), specs)
        lines.append(
            {
                "figure": name,
                "China": units.text(specs.get("china", quantity, year="2024")),
                "United States": units.text(specs.get("united-states", quantity, year="2024")),
                "ratio": units.number(float(found.central.m), 3),
                "sources allow": interval(float(found.low.m), float(found.high.m)),
            }
        )
    return Table(pd.DataFrame(lines))


# --- parity --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Side:
    """One way to compare two chips: where the ratio comes from, its span, what a row rests on."""

    kind: str
    name: str
    central: float
    low: float
    high: float
    sources: tuple[str, ...] = ()


def sides(chip: str, reference: str, specs: Specs) -> list[Side]:
    """The ratio of two chips from every side that has a source."""
    ours, theirs = (workloads.eight_bit_peak(specs, name) for name in (chip, reference))
    against = {"precision": theirs}
    asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = [
        ("peak, BF16 matrix units only", "peak", {"precision": "bf16", "basis": "matrix"}, {}),
        ("peak, BF16 as advertised", "peak", {"precision": "bf16"}, {}),
        (f"peak, {ours.upper()} ÷ {theirs.upper()} as advertised", "peak",
         {"precision": ours}, against),
        (f"peak, {ours.upper()} ÷ {theirs.upper()} from units", "peak_from_units",
         {"precision": ours}, against),
        ("memory bandwidth", "hbm_bandwidth", {}, {}),
        ("memory capacity", "hbm_capacity", {}, {}),
    ]  # fmt: skip
    found: list[Side] = []

    def add(kind: str, name: str, figure: Callable[[Specs], Any]) -> None:
        with contextlib.suppress(InputError):
            spread = span(lambda table: figure(table).to("count"), specs)
            sources = each(specs.rows[key][0].source for key in spread.keys)
            central, low, high = (float(e.m) for e in (spread.central, spread.low, spread.high))
            found.append(Side(kind, name, central, low, high, tuple(sources)))

    for name, quantity, conditions, other in asked:
        add(
            "data sheet",
            name,
            lambda table, q=quantity, c=conditions, o=other: ratio(  # type: ignore[misc]
                q, chip, reference, table, o, **c
            ),
        )
    for ids in pairs(chip, reference, specs):
        ours_id, theirs_id = (row.id for row in ids)
        add(
            "published",
            f"{ids[0].phase}: {ours_id} ÷ {theirs_id}",
            lambda table, a=ours_id, b=theirs_id: ratio(  # type: ignore[misc]
                "published_throughput", chip, reference, table, {"measurement": b}, measurement=a
            ),
        )
    for workload in workloads.WORKLOADS:
        with contextlib.suppress(InputError):
            found.append(modelled(chip, reference, workload, specs))
    return found


def modelled(chip: str, reference: str, workload: str, specs: Specs) -> Side:
    """The ratio by the serving model, with the model's own error around it."""
    central = float(workloads.parity(specs, chip, reference, workload).to("count").m)
    error = workloads.error(specs, workload)
    name = f"{workload} on the same work"
    return Side("serving model", name, central, central * (1 - error), central * (1 + error))


def pairs(chip: str, reference: str, specs: Specs) -> list[tuple[Measurement, Measurement]]:
    """Published runs of two chips that can be set side by side.

    The same phase, routing and family of models, 8 bits or the same format, drafts on both sides or
    unknown, lengths within a quarter, and batches within a factor of two; of several the nearest in
    length, then in batch.
    """
    rows: list[Measurement] = list(specs.measurements.values())
    found = []
    for ours in (row for row in rows if row.accelerator == chip):
        fitting = [
            theirs
            for theirs in rows
            if theirs.accelerator == reference
            and (theirs.phase, theirs.routing) == (ours.phase, ours.routing)
            and theirs.matrix_precision in (ours.matrix_precision, *workloads.EIGHT_BIT)
            and theirs.model.split("-")[0] == ours.model.split("-")[0]
            and _drafts(ours, theirs)
            and _apart(ours.context, theirs.context) <= np.log(1.25)
            and _apart(ours.batch, theirs.batch) <= np.log(2)
        ]
        if fitting:
            nearest = min(
                fitting,
                key=lambda row: (
                    round(_apart(ours.context, row.context), 1),
                    round(_apart(ours.batch, row.batch), 1),
                    row.microbatches != ours.microbatches,
                    len(row.id),
                ),
            )
            found.append((ours, nearest))
    return found


def _apart(one: str, other: str) -> float:
    return abs(float(np.log(float(one) / float(other))))


def _drafts(ours: Measurement, theirs: Measurement) -> bool:
    """Whether both draft tokens, or neither, or one of them does not say."""
    known = [row.draft_tokens for row in (ours, theirs) if "draft_tokens" not in row.assumed]
    return len({value not in ("", "0") for value in known}) < 2


def sides_table(found: Iterable[Side], share: float) -> Table:
    """What the claimed share implies of utilisation on each side, with its sources."""
    return Table(
        pd.DataFrame(
            [
                {
                    "compared": side.name,
                    "utilisation implied": f"{share / side.central:.0%}",
                    "source": ";".join(side.sources),
                }
                for side in found
                if side.kind == "data sheet"
            ]
        ),
        code=("source",),
    )


def claimed_share(specs: Specs) -> float:
    """The share of an H100 that the articles print, as a number: 0.6."""
    claim = next(c for c in load_claims(specs=specs) if c.id == "S000-22")
    return claim.printed.value / 100


def roofline_ratio(chip: str, reference: str, precision: str, specs: Specs) -> pd.DataFrame:
    """The attainable rate of a chip over another's, against arithmetic intensity."""
    intensity = np.geomspace(10, 3000, 100)
    rates = []
    for name in (chip, reference):
        peak = derive("peak", name, specs, precision=precision, basis="matrix").to("TFLOPS").m
        bandwidth = derive("hbm_bandwidth", name, specs).to("TB/s").m
        rates.append(np.minimum(peak, intensity * bandwidth))
    return pd.DataFrame({"FLOP/byte": intensity, "ratio": rates[0] / rates[1]})


def ridge(chip: str, precision: str, specs: Specs) -> float:
    """The ridge point of a chip on its matrix units alone."""
    return float(derive("ridge_point", chip, specs, precision=precision, basis="matrix").m)


def layer_times(chip: str, workload: str, specs: Specs) -> dict[str, float]:
    """Microseconds of one layer: computing, exchanging, hidden behind one another, and in all."""
    layer = workloads.serve(specs, chip, workload).layer
    micro = {name: float(time) * 1e6 for name, time in layer.items()}
    exchanged, total = micro["dispatch"] + micro["combine"], sum(micro.values())
    return {
        "computing": total - exchanged - micro["overlap"],
        "exchanging": exchanged,
        "hidden": -micro["overlap"],
        "layer": total,
    }


def layer_table(chips: Iterable[str], workload: str, specs: Specs) -> Table:
    """Where the time of one layer goes on each chip: computing, exchanging, and what is hidden."""
    cells = {}
    for chip in chips:
        result = workloads.serve(specs, chip, workload)
        ranks = float(kernels.read(specs, chip, "ranks_per_package"))
        room = specs.get(chip, "hbm_capacity").to("GB").m / ranks
        batch = float(np.asarray(result.tokens / result.tokens_per_step))
        noun = "requests" if workloads.phase_of(specs, workload) == "decode" else "tokens"
        times = layer_times(chip, workload, specs)
        cells[title(chip)] = {
            f"{noun} a rank": units.number(batch / ranks),
            "memory of a rank": f"{float(result.memory) / 1e9:.0f} of {units.number(room)} GB",
            **{f"{name}, µs": units.number(time, 3) for name, time in times.items()},
            "tokens/s per package": units.number(float(result.throughput.m)),
        }
    return Table(pd.DataFrame(cells).rename_axis("one layer").reset_index())


def widest(figure: Callable[[Specs], Any], specs: Specs) -> str:
    """The disputed row that moves a figure most, in words, with how far it moves it."""
    line = tornado(figure, specs).iloc[0]
    name = row_name(specs.rows[_key(str(line["row"]), specs)][0])
    return f"{name}, which alone moves it from {line['low']:.2f} to {line['high']:.2f}"


def _key(name: str, specs: Specs) -> Key:
    return next(key for key in specs.rows if key_name(key) == name)


def overtakes(system: str, other: str, ranks: int, specs: Specs) -> float:
    """From how many tokens a rank an exchange is faster than another system's; NaN if never.

    For the machine that loses at one token a rank and wins later; 1 where it always wins.
    """
    tokens = np.arange(1.0, 4097.0)
    ours, theirs = (
        fabric.round_trip(specs, fabric.accelerator(specs, name), ranks, tokens).m
        for name in (system, other)
    )
    faster = np.flatnonzero(ours < theirs)
    return float(tokens[faster[0]]) if len(faster) else math.nan


def all_of_them(chips: float, system: str, specs: Specs) -> Any:
    """The electricity of a year in which so many accelerators run, with all around them."""
    one = derive("power_per_accelerator", system, specs)
    return (chips * one * units.Q(1, "year")).to("TWh")
