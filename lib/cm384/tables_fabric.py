"""Tables of the page on fabrics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cm384 import fabric, units, workloads
from cm384.benchmarks import Kernel, check_terms, load_kernels
from cm384.derivation import derive, title
from cm384.errors import InputError
from cm384.hardware import per_package
from cm384.operators import Numbers
from cm384.specs import Specs, read_conditions
from cm384.tables import Cell, Table, by_system, each, table


def fabric_table(systems: Sequence[str], specs: Specs) -> Table:
    """What joins the accelerators of each system, from links and switch chips; one-way."""

    def derived(quantity: str) -> Cell:
        return lambda system: units.text(derive(quantity, system, specs))

    def links(system: str) -> str:
        chip = fabric.accelerator(specs, system)
        one = specs.get(chip, "scale_up_link_bandwidth")
        count = per_package(specs, chip, "scale_up_links")
        total = (count * one).to("GB/s")
        return f"{units.number(count.m)} × {units.number(one.to('GB/s').m)} = {units.text(total)}"

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
    return by_system("figure", systems, lines)


def measured_table(systems: Sequence[str], specs: Specs) -> Table:
    """What was measured between two ranks (dies or GPUs), beside what the links add up to."""
    lines = []
    for chip in each(fabric.accelerator(specs, system) for system in systems):
        ranks = specs.get(chip, "ranks_per_package")
        nominal = (derive("scale_up_bandwidth_from_links", chip, specs) / ranks).to("GB/s")
        for key, rows in specs.rows.items():
            if key[:2] == (chip, "scale_up_bandwidth") and key[3] == "measured":
                given = read_conditions(key[2])
                found = (rows[0].amount / ranks).to("GB/s")
                alone = given.get("reach") == "node" or not given
                lines.append(
                    {
                        "transfer": f"{title(chip)}{' die' if ranks.m > 1 else ''}, "
                        f"{given.get('op', 'copy')}, {'one node' if alone else 'two nodes'}",
                        "measured": units.text(found),
                        "nominal": units.text(nominal),
                        "of nominal": units.percent((found / nominal).m),
                        "source": rows[0].source,
                    }
                )
    return table(lines, code=("source",))


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
                "kept": units.percent(rates[1] / rates[0]),
            }
        )
    return table(lines)


def generations_table(system: str, baseline: str, tokens: Numbers, specs: Specs) -> Table:
    """The lead in each figure, the step it is measured by, and how many of them it is."""
    return table(
        {
            "figure": line["figure"],
            f"lead on {title(baseline)}": units.number(line["lead"], 3),
            f"step from {title(fabric.PREDECESSOR)}": units.number(line["step"], 3),
            "generations ahead": f"{line['steps']:+.1f}" if np.isfinite(line["steps"]) else "–",
        }
        for line in fabric.generations(system, baseline, tokens, specs).to_dict("records")
    )
