"""The calculator page: step times and hardware figures, computed when the site is built.

A step time is the library's over batch and context, thinned to the points between which straight
lines stay within `TOLERANCE` of it. Acceptance needs no axis: a step takes as long whatever is
accepted of its drafts. The page interpolates and divides; it has no model of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from cm384.derive.derivation import derive
from cm384.markup import framed
from cm384.physics.check import predict, summary, validate
from cm384.physics.hardware import accelerator, power_basis
from cm384.physics.layers import Layers
from cm384.show.tables import Table
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.records import BASES, Measurement
from cm384.table.specs import Specs, load_specs
from cm384.table.words import figure_name, title

TOLERANCE = 0.003
# What the page offers: requests an accelerator in decode, from a single one of a rank on; prompt
# tokens an accelerator in prefill.
BATCH = {"decode": (0, 2048), "prefill": (1024, 32_768)}
CONTEXT = {"decode": (512, 131_072), "prefill": (512, 16_384)}
GRID = ("batch", "context")
PREFILL_UNIT = 128.0  # tokens: finer steps would show the tiles of the kernels
# What it opens with: published settings that the claims are about, and the systems compared.
OPENS = {
    "decode": ("CM384-DECODE-4K-50MS", "DSK-H800-DECODE-PROFILE"),
    "prefill": ("CM384-PREFILL-DEFAULT", "DSK-H800-PREFILL-PROFILE"),
    "machines": ("cloudmatrix-384", "gb200-nvl72"),
}
MODELS = {"deepseek-r1": "DeepSeek-R1", "deepseek-v3": "DeepSeek-V3", "kimi-k2": "Kimi K2"}

PRECISIONS = ("bf16", "fp8", "int8", "fp4")
# Every figure that a chip or system may have: quantity, conditions of it.
FIGURES: tuple[tuple[str, dict[str, str]], ...] = (
    *(("peak", {"precision": precision, "basis": basis})
      for precision, basis in itertools.product(PRECISIONS, ("headline", "matrix"))),
    *(("peak_from_units", {"precision": precision}) for precision in PRECISIONS),
    *(("hbm_capacity", {"basis": basis}) for basis in ("nominal", "usable")),
    ("hbm_capacity_from_stacks", {}),
    ("hbm_bandwidth", {}),
    ("hbm_bandwidth_from_stacks", {}),
    *(("ridge_point", {"precision": precision}) for precision in PRECISIONS),
    ("scale_up_bandwidth", {}),
    ("scale_up_bandwidth_from_links", {}),
    ("scale_out_bandwidth", {}),
    ("bisection_bandwidth", {}),
    ("power", {"basis": "tdp"}),
    *(("power", {"basis": basis}) for basis in BASES),
    ("power_per_accelerator", {}),
    *(("power_per_peak", {"precision": precision}) for precision in PRECISIONS),
    ("power_per_bandwidth", {}),
    ("power_per_capacity", {}),
    *(("peak_per_power", {"precision": precision}) for precision in PRECISIONS),
    ("price", {}),
    ("price_per_accelerator", {}),
    *(("price_per_peak", {"precision": precision}) for precision in PRECISIONS),
)  # fmt: skip


def write(folder: Path) -> None:
    """Write the data of the page into the folder that Sphinx renders, and fill the page's text."""
    specs = load_specs()
    found = data(specs)
    script = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    file = folder / "_static" / "calculator-data.js"
    file.write_text(f"const CALCULATOR = {script};\n", encoding="utf-8")
    page = folder / "calculator.md"
    text = Template(page.read_text(encoding="utf-8")).substitute(words(specs))
    page.write_text(text, encoding="utf-8")


def data(specs: Specs) -> dict[str, Any]:
    """What the script of the page reads."""
    return {
        "deployments": [entry(group, specs) for group in deployments(specs)],
        "opens": OPENS,
        "errors": {phase: errors(specs, phase)[1] for phase in BATCH},
        "machines": {
            kind: {subject: title(subject) for subject in subjects}
            for kind, subjects in (("systems", specs.systems), ("chips", specs.chips))
        },
        "figures": [[name, of] for name, of in hardware(specs).items()],
    }


def words(specs: Specs) -> dict[str, str]:
    """What the text of the page leaves open: counts, errors, and the table for want of a script."""
    found = deployments(specs)
    spread = {phase: errors(specs, phase) for phase in BATCH}
    return {
        "deployments": str(len(found)),
        "measurements": str(sum(map(len, found))),
        "machines": str(len(specs.systems) + len(specs.chips)),
        "tolerance": f"{100 * TOLERANCE:g} %",
        **{f"half_{phase}": units.percent(half, 1) for phase, (half, _) in spread.items()},
        **{f"most_{phase}": units.percent(most, 1) for phase, (_, most) in spread.items()},
        "unit": f"{PREFILL_UNIT:g}",
        "published": framed(published_table(found, specs)),
    }


def errors(specs: Specs, phase: str) -> tuple[float, float]:
    """The error that half and nine in ten of the well specified measurements of a phase keep."""
    rows = [row for row in specs.measurements.values() if row.phase == phase and not row.assumed]
    spread = summary(validate(rows, specs)).iloc[0]
    return float(spread["median"]), float(spread["nine in ten"])


# --- deployments ---------------------------------------------------------------------------------


def deployments(specs: Specs) -> list[list[Measurement]]:
    """The measurements that can be computed, those of one deployment together.

    A deployment is the same if nothing but batch, context and acceptance differs.
    """
    groups: dict[Any, list[Measurement]] = {}
    for row in specs.measurements.values():
        try:
            predict(row, specs)
        except InputError:
            continue
        same = dataclasses.replace(row.deployment, batch=1, context=1, tokens_per_step=1)
        groups.setdefault((row.phase, row.model, same), []).append(row)
    return list(groups.values())


def entry(group: Sequence[Measurement], specs: Specs) -> dict[str, Any]:
    """One deployment as the page has it: its grid, memory, peak and published settings.

    `memory` holds the bytes that a rank has, and what weights and one cached token take of them. It
    is missing where the host takes what does not fit.
    """
    first, points = group[0], [published(row) for row in group]
    d, layers = first.deployment, layers_of(first, specs)
    batch, context, step = grid(first, points, specs)
    peak = derive("peak", d.accelerator, specs, precision=d.matrix_precision, basis="headline")
    token = layers.cache_bytes() / layers.context * layers.tensor / layers.machine.ranks
    sizes = {"have": layers.machine.memory, "weights": layers.weights(), "token": token}
    return {
        "phase": first.phase,
        "chip": title(d.accelerator),
        "label": label(first),
        "drafts": int(d.draft_tokens),
        "unit": unit(first, specs),
        "peak": float(peak.to("TFLOPS").m),
        "precision": d.matrix_precision.upper(),
        "memory": None if streams(first, specs) else {n: float(v) for n, v in sizes.items()},
        "batch": batch.tolist(),
        "context": context.tolist(),
        "step": [[float(f"{1e3 * value:.5g}") for value in line] for line in step],
        "published": points,
    }


def layers_of(row: Measurement, specs: Specs) -> Layers:
    """The layers of a measurement, which know its kernels and what it takes of the memory."""
    return Layers(specs, specs.models[row.model], row.deployment, row.phase)


def streams(row: Measurement, specs: Specs) -> bool:
    """Whether the host takes what does not fit in memory; its link is then part of the step."""
    return row.phase == "prefill" and layers_of(row, specs).machine.host_bandwidth is not None


def unit(row: Measurement, specs: Specs) -> float:
    """The steps in which a batch goes: one request a rank, or a group of ranks, in decode."""
    if row.phase == "prefill":
        return PREFILL_UNIT
    layers = layers_of(row, specs)
    return float(layers.machine.ranks / layers.tensor)


def label(row: Measurement) -> str:
    """A deployment in a line, with what sets it apart from the others of its chip."""
    d = row.deployment
    matrix, *other = dict.fromkeys((d.matrix_precision, d.attention_precision, d.kv_precision))
    parts = [
        f"{d.accelerators:g} chips",
        f"EP{d.expert_parallel:g}",
        f"TP{d.tensor_parallel:g}" if d.tensor_parallel > 1 else "",
        "/".join([matrix, *other]).upper(),
        "EPLB" if d.routing == "eplb" else d.routing,
        "two microbatches" if d.microbatches > 1 else "",
        f"{d.draft_tokens:g} draft{'s' * (d.draft_tokens > 1)}" if d.draft_tokens else "",
        f"output {d.output:,g}" if d.output and row.phase == "decode" else "",
        MODELS.get(row.model, row.model),
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


def grid(
    row: Measurement, points: Sequence[dict[str, Any]], specs: Specs
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Batches, contexts, and the seconds of a step at each pair whether it fits in memory or not.

    The published `points` are among them. The library is called once, on more than are kept.
    """
    one, fixed = unit(row, specs), [[point[name] for point in points] for name in GRID]
    least, most = (max(limit / one, 1.0) for limit in BATCH[row.phase])
    middle = min(most, 1024.0)  # up to here every batch: kernels work on whole tiles
    steps = [*np.arange(least, middle + 1), *np.round(np.geomspace(middle, most, 100))]
    lengths = np.round(np.geomspace(*CONTEXT[row.phase], 200))
    batch, context = np.union1d(one * np.array(steps), fixed[0]), np.union1d(lengths, fixed[1])
    table = specs
    if not streams(row, specs):  # room for everything
        keys = (key for key in specs.rows if key[:2] == (row.accelerator, "hbm_capacity"))
        table = specs.replace(dict.fromkeys(keys, 1e9))
    found = predict(row, table, batch=batch[:, None], context=context)
    step = np.broadcast_to(found.step, (len(batch), len(context)))
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


def published_table(found: Sequence[Sequence[Measurement]], specs: Specs) -> Table:
    """Every published setting with the model's value: the page without its script."""
    lines = []
    for row in itertools.chain.from_iterable(found):
        point, model = published(row), predict(row, specs).throughput
        measured = units.Q(row.measured, "token/s/accelerator")
        lines.append({
            "measurement": row.id,
            "batch": units.number(point["batch"]),
            "context": units.number(point["context"]),
            "accepted drafts": units.number(point["accepted"]),
            "published, tokens/s": units.number(row.measured),
            "model, tokens/s": units.number(float(model.m)),
            "deviation": units.deviation(model, measured),
            "source": row.source,
        })  # fmt: skip
    return Table(pd.DataFrame(lines), code=("source",))


# --- hardware ------------------------------------------------------------------------------------


def hardware(specs: Specs) -> dict[str, dict[str, list[Any]]]:
    """Every figure by name, of every chip and system that has it: value, as read, its sources.

    Figures of one name are alike in precision and basis, so that a ratio of two compares like with
    like; of power, too, the name says whether it is all-in or a rating.
    """
    found: dict[str, dict[str, list[Any]]] = {"accelerators": {}}
    for system in specs.systems:
        part = accelerator(specs, system)
        found["accelerators"][system] = figure("count", system, specs, part=part)
    for quantity, conditions in FIGURES:
        for subject in (*specs.systems, *specs.chips):
            try:
                value = figure(quantity, subject, specs, **conditions)
            except InputError:  # no source states it, or one of its parts
                continue
            named = dict(conditions)
            if quantity.startswith(("power_per", "peak_per_power")):
                named["basis"] = power_basis(specs, subject)
            name = figure_name(quantity, named).replace("tdp", "TDP")
            found.setdefault(name, {})[subject] = value
    return found


def figure(quantity: str, subject: str, specs: Specs, **conditions: str) -> list[Any]:
    """A derived figure in its usual unit, as a reader sees it, and the sources it was read from."""
    traced, trace = specs.traced()
    value = derive(quantity, subject, traced, **conditions)
    sources = dict.fromkeys(traced.rows[key][0].source for key in trace.keys)
    usual = float(value.to(specs.kinds[quantity].unit).m)
    return [float(f"{usual:.6g}"), units.text(value), list(sources)]
