"""The calculator page: step times and hardware figures, computed when the site is built.

A step time is the library's over batch and context, thinned to the points between which straight
lines stay within `TOLERANCE` of it. Acceptance needs no axis: a step takes as long whatever is
accepted of its drafts. The page interpolates and divides; it has no model of its own.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from facts import SHOWN

from cm384.derive.derivation import derive
from cm384.physics.check import predict, summary, validate
from cm384.physics.hardware import accelerator, power_basis
from cm384.physics.layers import Layers
from cm384.physics.models import load_model
from cm384.table import units
from cm384.table.errors import DATA, InputError
from cm384.table.records import Measurement, write_conditions
from cm384.table.specs import FALLBACK, Specs
from cm384.table.words import each, figure_name, title

TOLERANCE = 0.003
# What the page offers: requests an accelerator in decode, from a single one of a rank on; prompt
# tokens an accelerator in prefill.
BATCH = {"decode": (0, 2048), "prefill": (1024, 32_768)}
CONTEXT = {"decode": (512, 131_072), "prefill": (512, 16_384)}
Line = dict[str, str]  # of the catalogue
Lines = dict[tuple[str, str, str], Line]  # by quantity, subject and conditions
PREFILL_UNIT = 128.0  # tokens: finer steps would show the tiles of the kernels


def data(specs: Specs) -> dict[str, Any]:
    """What the script of the page reads."""
    return {
        "deployments": [entry(group, specs) for group in deployments(specs)],
        "opens": SHOWN["opens"],
        "errors": {phase: errors(specs, phase)[1] for phase in BATCH},
        "machines": {
            "systems": {name: title(name) for name in specs.systems},
            "chips": {name: title(name) for name in specs.chips},
        },
        "figures": [[name, of] for name, of in hardware(specs).items()],
    }


def words(specs: Specs) -> dict[str, Any]:
    """What the text of the page leaves open: counts, errors, and the table for want of a script."""
    found = deployments(specs)
    rows = list(itertools.chain.from_iterable(found))
    kept = {phase: [units.percent(e, 1) for e in errors(specs, phase)] for phase in BATCH}
    return {
        "deployments": len(found),
        "measurements": len(rows),
        "machines": len(specs.systems) + len(specs.chips),
        "tolerance": units.percent(TOLERANCE, 1),
        "unit": f"{PREFILL_UNIT:g}",
        **{f"half_{phase}": half for phase, (half, _) in kept.items()},
        **{f"most_{phase}": most for phase, (_, most) in kept.items()},
        "published": [published_line(row, specs) for row in rows],
    }


def errors(specs: Specs, phase: str) -> tuple[float, float]:
    """The error that half and nine in ten of the well specified measurements of a phase keep."""
    rows = [row for row in specs.measurements.values() if row.phase == phase and not row.assumed]
    spread = summary(validate(rows, specs)).iloc[0]
    return float(spread["median"]), float(spread["nine in ten"])


# --- deployments ---------------------------------------------------------------------------------


def deployments(specs: Specs) -> list[list[Measurement]]:
    """The measurements that can be computed, those of one deployment together.

    A deployment is the same if nothing but batch, context and acceptance differs. A batch that is a mean,
    with a part of a request in it, is no setting of a control.
    """
    groups: dict[Any, list[Measurement]] = {}
    for row in specs.measurements.values():
        with suppress(InputError):
            predict(row, specs)
            if row.phase == "decode" and float(row.batch) % 0.125:
                continue
            same = dataclasses.replace(row.deployment, batch=1, context=1, tokens_per_step=1)
            groups.setdefault((row.phase, row.model, same), []).append(row)
    return list(groups.values())


def entry(group: Sequence[Measurement], specs: Specs) -> dict[str, Any]:
    """One deployment as the page has it: its grid, memory, peak and published settings.

    `memory` holds the bytes that a rank has, and what weights and one cached token take of them. It
    is missing where the host takes what does not fit. `unit` is the steps in which a batch goes: in
    decode a request of a rank, or of a group of ranks.
    """
    first, points = group[0], [published(row) for row in group]
    d, model = first.deployment, load_model(specs.models[first.model])
    layers = Layers(specs, model, d, first.phase)
    machine, prefill = layers.machine, first.phase == "prefill"
    unit = PREFILL_UNIT if prefill else float(layers.ranks_per_package / layers.tensor)
    batch, context, step = grid(first, unit, points, specs)
    peak = derive("peak", d.accelerator, specs, precision=machine.matrix, basis="headline")
    token = layers.cache_bytes() / layers.context * layers.tensor / layers.ranks_per_package
    sizes = {"have": layers.capacity, "weights": layers.weights(), "token": token}
    streams = prefill and machine.host_bandwidth is not None
    return {
        "phase": first.phase,
        "chip": title(d.accelerator),
        "label": label(first),
        "drafts": int(d.draft_tokens),
        "unit": unit,
        "peak": float(peak.to("TFLOPS").m),
        "precision": d.matrix_precision.upper(),
        "memory": None if streams else {name: float(size) for name, size in sizes.items()},
        "batch": batch.tolist(),
        "context": context.tolist(),
        "step": [[float(f"{1e3 * value:.5g}") for value in line] for line in step],
        "published": points,
    }


def label(row: Measurement) -> str:
    """A deployment in a line, with what sets it apart from the others of its chip."""
    d = row.deployment
    precisions = each([d.matrix_precision, d.attention_precision, d.kv_precision])
    parts = [
        f"{d.accelerators:g} chips",
        f"EP{d.expert_parallel:g}",
        f"TP{d.tensor_parallel:g}" if d.tensor_parallel > 1 else "",
        "/".join(precisions).upper(),
        "EPLB" if d.routing == "eplb" else d.routing,
        "two microbatches" if d.microbatches > 1 else "",
        f"{d.draft_tokens:g} draft{'s' * (d.draft_tokens > 1)}" if d.draft_tokens else "",
        f"output {d.output:,g}" if d.output and row.phase == "decode" else "",
        title(row.model),
    ]
    return ", ".join(filter(None, parts))


def published(row: Measurement) -> dict[str, Any]:
    """A published setting and what was measured there."""
    d = row.deployment
    return {
        "id": row.id,
        "batch": float(d.batch),
        "context": float(d.context),
        "accepted": round(float(d.tokens_per_step) - 1, 6),
        "throughput": row.measured,
        "source": row.source,
    }


def published_line(row: Measurement, specs: Specs) -> dict[str, str]:
    """A published setting with the model's value, for a page without its script."""
    point, model = published(row), predict(row, specs).throughput
    return {
        "measurement": row.id,
        "batch": units.number(point["batch"]),
        "context": units.number(point["context"]),
        "accepted drafts": units.number(point["accepted"]),
        "published, tokens/s": units.number(row.measured),
        "model, tokens/s": units.number(float(model.m)),
        "deviation": units.deviation(model, units.Q(row.measured, "token/s/accelerator")),
        "source": row.source,
    }


Grid = tuple[np.ndarray, np.ndarray, np.ndarray]


def grid(row: Measurement, unit: float, points: Sequence[dict[str, Any]], specs: Specs) -> Grid:
    """Batches, contexts, and the seconds of a step at each pair whether it fits in memory or not.

    The published `points` are among them. The library is called once, on more than are kept.
    """
    fixed = [[point[name] for point in points] for name in ("batch", "context")]
    least, most = (max(limit / unit, 1.0) for limit in BATCH[row.phase])
    middle = min(most, 1024.0)  # up to here every batch: kernels work on whole tiles
    steps = [*np.arange(least, middle + 1), *np.round(np.geomspace(middle, most, 100))]
    lengths = np.round(np.geomspace(*CONTEXT[row.phase], 200))
    batch, context = np.union1d(unit * np.array(steps), fixed[0]), np.union1d(lengths, fixed[1])
    terms = predict(row, specs, batch=batch[:, None], context=context).breakdown
    step = np.broadcast_to(sum(terms.values()), (len(batch), len(context)))
    kept = thinned(step, (batch, context), fixed)
    return batch[kept[0]], context[kept[1]], step[np.ix_(*kept)]


def thinned(
    values: np.ndarray, axes: Sequence[np.ndarray], fixed: Sequence[Sequence[float]]
) -> list[list[int]]:
    """The points of both axes between which straight lines stay within the tolerance of `values`.

    From the corners and the `fixed` points on, the worst point is added until none is left, on the
    axis along which it is farther off.
    """
    ends = zip(axes, fixed, strict=True)
    kept = [sorted({0, len(x) - 1, *np.searchsorted(x, more).tolist()}) for x, more in ends]
    while True:
        rows, columns = (hats(x, x[i]) for x, i in zip(axes, kept, strict=True))
        off = np.abs(rows @ values[np.ix_(*kept)] @ columns.T / values - 1)
        i, j = (int(k) for k in np.unravel_index(off.argmax(), off.shape))
        if off[i, j] <= TOLERANCE:
            return kept
        along = (abs(rows[i] @ values[kept[0], j] / values[i, j] - 1),
                 abs(columns[j] @ values[i, kept[1]] / values[i, j] - 1))  # fmt: skip
        axis = int(along[1] > along[0])
        kept[axis] = sorted({*kept[axis], (i, j)[axis]})


def hats(x: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """The weight of each node in the straight lines through them, at each `x`."""
    return np.stack([np.interp(x, nodes, one) for one in np.eye(len(nodes))], axis=1)


# --- hardware ------------------------------------------------------------------------------------


def hardware(specs: Specs) -> dict[str, dict[str, list[Any]]]:
    """Every figure by name, of every chip and system that has it: value, as read, its sources.

    Two selections of the catalogue. Figures of one name are alike in precision and basis, so that a
    ratio of two compares like with like; of power, too, the name says whether it is all-in or a
    rating.
    """
    lines = catalogued()
    counts = ((name, f"basis=nominal;part={accelerator(specs, name)}") for name in specs.systems)
    found = {"accelerators": {name: told(lines["count", name, given]) for name, given in counts}}
    for quantity, axes in SHOWN["figures"].items():
        for values in itertools.product(*axes.values()):
            given = dict(zip(axes, values, strict=True))
            for subject in (*specs.systems, *specs.chips):
                if line := find(lines, specs, quantity, subject, given):
                    named = given
                    if quantity.startswith(("power_per", "peak_per_power")):
                        named = {**given, "basis": power_basis(specs, subject)}
                    name = figure_name(quantity, named).replace("tdp", "TDP")
                    found.setdefault(name, {})[subject] = told(line)
    return found


def catalogued() -> Lines:
    """The lines of the catalogue by quantity, subject and conditions; a derived one comes first."""
    with (DATA / "derived" / "figures.csv").open(encoding="utf-8", newline="") as file:
        lines = sorted(csv.DictReader(file), key=lambda line: line["kind"] == "derived")
    return {(line["quantity"], line["subject"], line["conditions"]): line for line in lines}


def find(lines: Lines, specs: Specs, quantity: str, subject: str, given: Mapping[str, str]) -> Line | None:
    """The line of a figure as it is asked for, or on the basis that is meant where none is named."""
    meant = [given["basis"]] if "basis" in given else [specs.kinds[quantity].default_basis, "headline"]
    bases = [basis for one in meant for basis in (one, *FALLBACK.get(one, ()))]
    asked = [given, *({**given, "basis": basis} for basis in bases)]
    keys = ((quantity, subject, write_conditions(conditions)) for conditions in asked)
    return next((lines[key] for key in keys if key in lines), None)


def told(line: Line) -> list[Any]:
    """A figure in its usual unit, as a reader sees it, and the sources it was read from."""
    value = units.Q(float(line["central"]), line["unit"])
    text = units.text(units.sensible(value, line["unit"]))
    return [float(f"{value.m:.6g}"), text, line["sources"].split(";")]
