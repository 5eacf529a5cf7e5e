"""Tables of the pages on fabrics, power and price, and parity."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
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
from cm384.specs import Specs, key_name, read_conditions
from cm384.tables import Table, interval, number_or_dash, table
from cm384.uncertainty import Span, span, tornado
from cm384.validation import Kernel, Measurement, check_terms, load_kernels

Cell = Callable[[str], str]


def or_dash(cell: Callable[[], str]) -> str:
    """A cell, or a dash where no source states what it needs."""
    try:
        return cell()
    except InputError:
        return "–"


def by_system(head: str, systems: Iterable[str], lines: Iterable[tuple[str, Cell]]) -> Table:
    """One line a figure, one column a system."""
    names = list(systems)
    return table({head: name} | {title(s): or_dash(partial(f, s)) for s in names}
                 for name, f in lines)  # fmt: skip


def claims_of(category: str, specs: Specs) -> list[Claim]:
    """The claims of a category that are not repetitions of another one."""
    return [c for c in load_claims(specs=specs) if c.category == category and not c.same_as]


def each(values: Iterable[str]) -> list[str]:
    """Names without repetitions, in order.

    >>> each(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(values))


# --- fabrics -------------------------------------------------------------------------------------


def fabric_table(systems: Sequence[str], specs: Specs) -> Table:
    """What joins the accelerators of each system, from links and switch chips; one-way."""

    def derived(quantity: str) -> Cell:
        return lambda system: units.text(derive(quantity, system, specs))

    def links(system: str) -> str:
        chip = fabric.accelerator(specs, system)
        one = specs.get(chip, "scale_up_link_bandwidth")
        count = per_package(specs, chip, "scale_up_links")
        total = (count * one).to("GB/s")
        return f"{units.number(count.m)} × {units.number(one.to("GB/s").m)} = {units.text(total)}"

    def ports(system: str) -> str:
        switch = fabric.last_tier(specs, system)
        count = specs.get(system, "count", part=switch).m
        one = specs.get(switch, "scale_up_links").m
        return f"{count:g} × {one:g} = {units.number(count * one)}"

    lines: list[tuple[str, Cell]] = [
        ("links of one accelerator", links),
        ("a node can send", derived("node_bandwidth")),
        ("a node's uplinks carry", derived("node_uplink_bandwidth")),
        ("oversubscription", derived("oversubscription")),
        ("the same, CPUs sending too", derived("oversubscription_with_cpus")),
        ("ports of the last tier", ports),
        ("bisection", derived("bisection_bandwidth")),
    ]
    return by_system("one-way", systems, lines)


def measured_table(systems: Sequence[str], specs: Specs) -> Table:
    """What was measured between two ranks (dies or GPUs), beside what the links add up to."""
    lines = []
    for chip in each(fabric.accelerator(specs, system) for system in systems):
        ranks = specs.get(chip, "ranks_per_package")
        nominal = (derive("scale_up_bandwidth_from_links", chip, specs) / ranks).to("GB/s")
        for key, rows in specs.rows.items():
            if key[:2] == (chip, "scale_up_bandwidth") and key[3] == "measured":
                given = read_conditions(key[2])
                found = (units.Q(rows[0].value, rows[0].unit) / ranks).to("GB/s")
                nodes = "two nodes" if given.get("reach", "node") != "node" else "one node"
                lines.append(
                    {
                        "transfer": f"{title(chip)}{' die' if ranks.m > 1 else ''}, "
                        f"{given.get('op', 'copy')}, {nodes}",
                        "measured": units.text(found),
                        "nominal": units.text(nominal),
                        "share": f"{(found / nominal).m:.0%}",
                        "source": rows[0].source,
                    }
                )
    return table(lines, code=("source",), wide=("transfer",))


def rates_table(system: str, specs: Specs) -> Table:
    """One scale-up bandwidth counted in three ways: by links, and by modules at two rates."""
    chip = fabric.accelerator(specs, system)
    links = per_package(specs, chip, "scale_up_links").m
    counts = [("links", links, specs.get(chip, "scale_up_link_bandwidth"))]
    with contextlib.suppress(InputError):
        ends = specs.get(system, "count", part="optical-module", per="accelerator",
                         plane="scale-up").m / 2  # fmt: skip
        counts += [
            (f"optical modules, {basis} rate", ends,
             specs.get("optical-module-400g", "optical_module_rate", basis=basis))
            for basis in ("nominal", "assumed")
        ]  # fmt: skip
    return table(
        {
            "counted by": name,
            "working": f"{units.number(count)} × {units.text(rate.to('Gbit/s'))}",
            "one-way": units.text((count * rate).to("GB/s")),
            "two-way": units.text((2 * count * rate).to("GB/s")),
        }
        for name, count, rate in counts
    )


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
    constants = {
        (key[0], group[0].source, _document(group[0].locator))
        for key, group in specs.rows.items()
        if key[1].startswith("exchange_") and "phase=decode" in key[2]
    }
    lines = []
    for line in check_terms(list(rows.values()), specs).to_dict("records"):
        row = rows[str(line["id"])]
        lines.append(
            {
                "accelerator": row.accelerator,
                "op": row.given["op"],
                "ranks": float(row.given["ranks"]),
                "tokens": float(row.given["tokens"]),
                "published": float(line["measured"]),
                "error": float(line["error"]),
                "input": _kinship(row, constants),
                "source": row.source,
            }
        )
    return pd.DataFrame(lines)


def _kinship(row: Kernel, constants: set[tuple[str, str, str]]) -> str:
    """Whether constants come from the table of a benchmark, or from its source, or not."""
    if (row.accelerator, row.source, _document(row.locator)) in constants:
        return "the same table"
    sources = {(chip, source) for chip, source, _ in constants}
    return "the same source" if (row.accelerator, row.source) in sources else "none"


def _document(locator: str) -> str:
    """The document or table within a source: what stands before the first comma or bracket."""
    return locator.replace("(", ",").split(",")[0].strip()


def scale_out_table(systems: Sequence[str], tokens: Numbers, specs: Specs) -> Table:
    """What each accelerator serves on its fabric, and if its exchanges left by the NIC."""
    ranks = workloads.WORKLOADS["decode"].expert_parallel
    lines = []
    for chip in each(fabric.accelerator(specs, s) for s in systems):
        both = (specs, fabric.over_scale_out(specs, chip))
        trips = [fabric.round_trip(with_, chip, ranks, tokens) for with_ in both]
        rates = [workloads.throughput(with_, chip, "decode").m for with_ in both]
        lines.append(
            {
                "accelerator": title(chip),
                "exchange": " → ".join(units.text(trip, 3) for trip in trips),
                "tokens/s": " → ".join(units.number(rate) for rate in rates),
                "kept": f"{rates[1] / rates[0]:.0%}",
            }
        )
    return table(lines)


PREDECESSOR = "hgx-h100"


def generations(system: str, baseline: str, tokens: Numbers, specs: Specs) -> pd.DataFrame:
    """The lead over the baseline, in steps of the baseline over the generation before it."""
    systems = (system, baseline, PREDECESSOR)
    chips = [fabric.accelerator(specs, s) for s in systems]
    ranks = workloads.WORKLOADS["decode"].expert_parallel

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
                   / fabric.round_trip(specs, chip, ranks, tokens)).m)
            for chip in chips
        ],
    }  # fmt: skip
    lines = [(name, ours / theirs, theirs / before)
             for name, (ours, theirs, before) in figures.items()]  # fmt: skip
    found = pd.DataFrame(lines, columns=["figure", "lead", "step"])
    steps = [fabric.steps_ahead(lead, step) for _, lead, step in lines]
    return found.assign(steps=steps)


def generations_table(system: str, baseline: str, tokens: Numbers, specs: Specs) -> Table:
    """The same for a reader."""
    return table(
        {
            "figure": line["figure"],
            f"{title(system)} ÷ {title(baseline)}": units.number(line["lead"], 3),
            f"{title(baseline)} ÷ {title(PREDECESSOR)}": units.number(line["step"], 3),
            "generations ahead": f"{line['steps']:+.1f}" if np.isfinite(line["steps"]) else "–",
        }
        for line in generations(system, baseline, tokens, specs).to_dict("records")
    )


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


# --- power and price -----------------------------------------------------------------------------


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
        edges = [float(e.m) for e in (found.central, found.low, found.high)] if found else [np.nan]
        lines.append(
            {"price": metric.name}
            | {title(s): or_dash(partial(metric.shown, specs, s)) for s in (system, baseline)}
            | {
                "ratio": number_or_dash(edges[0]),
                "sources allow": interval(edges[-2:][0], edges[-1]),
            }
        )
    return table(lines)


def cost_table(systems: Sequence[str], price: float, utilisation: float, specs: Specs) -> Table:
    """What a million tokens cost in electricity and in capital, by the serving model."""
    lines = []
    for workload in workloads.WORKLOADS:
        for system in systems:
            electricity = power.electricity_cost(specs, system, workload, price, utilisation).m
            capital = math.nan
            with contextlib.suppress(InputError):
                capital = float(power.capital_cost(specs, system, workload, utilisation).m)
            rate = workloads.throughput(specs, fabric.accelerator(specs, system), workload)
            part = electricity / (electricity + capital)
            lines.append(
                {
                    "a million tokens": f"{'prompt' if workload == 'prefill' else 'decoded'}, "
                    f"{title(system)}",
                    "tokens/s of one": units.number(float(rate.m)),
                    "electricity, USD": units.number(float(electricity), 3),
                    "purchase, USD": units.number(capital, 3) if np.isfinite(capital) else "–",
                    "electricity in both": f"{part:.0%}" if np.isfinite(part) else "–",
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
                    f"share of one {title(system)}": f"{number.m / whole:.0%}",
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
            "measured",
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
    """Each side with its ratio, and what utilisation the claimed share implies."""
    return Table(
        pd.DataFrame(
            [
                {
                    "side": side.kind,
                    "compared": side.name,
                    "ratio": f"{side.central:.2f}",
                    "from – to": interval(round(side.low, 3), round(side.high, 3)),
                    "claimed ÷ this": f"{share / side.central:.2f}",
                    "source": ";".join(side.sources),
                }
                for side in found
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
    lines = []
    for chip in chips:
        result = workloads.serve(specs, chip, workload)
        ranks = float(kernels.read(specs, chip, "ranks_per_package"))
        room = specs.get(chip, "hbm_capacity").to("GB").m / ranks
        batch = float(np.asarray(result.tokens / result.tokens_per_step))
        noun = "requests" if workloads.phase_of(specs, workload) == "decode" else "tokens"
        times = layer_times(chip, workload, specs)
        lines.append(
            {
                "chip": title(chip),
                f"{noun} a rank": units.number(batch / ranks),
                "memory of a rank": f"{float(result.memory) / 1e9:.0f} of {units.number(room)} GB",
                **{f"{name}, us": units.number(time, 3) for name, time in times.items()},
                "tokens/s, package": units.number(float(result.throughput.m)),
            }
        )
    return Table(pd.DataFrame(lines))
