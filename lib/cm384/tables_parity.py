"""Tables of the page on parity."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cm384 import kernels, units, workloads
from cm384.claims import load_claims
from cm384.derivation import derive, ratio, title
from cm384.errors import InputError
from cm384.specs import Specs
from cm384.tables import Table, each
from cm384.uncertainty import span
from cm384.validation import Measurement


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
                    "utilisation implied": units.percent(share / side.central),
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
