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
from functools import cache
from typing import Any

import numpy as np
from facts import SHOWN
from pybtex.database import BibliographyData, parse_file

from cm384.derive.derivation import derive
from cm384.physics.check import model_error, predict
from cm384.physics.hardware import accelerator, power_basis
from cm384.physics.kernels import eight_bits
from cm384.physics.layers import Layers
from cm384.physics.models import load_model
from cm384.table import units
from cm384.table.documents import load_sources
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
# What is the same work, whoever does it and on however many ranks.
WORK = (
    "model",
    "output",
    "attention_precision",
    "kv_precision",
    "routing",
    "draft_tokens",
    "tokens_per_step",
)
PREFILL_UNIT = 128.0  # tokens: finer steps would show the tiles of the kernels


def data(specs: Specs) -> dict[str, Any]:
    """What the script of the page reads."""
    found = deployments(specs)
    same, unable = same_work(found, specs)
    return {
        "deployments": [
            {**entry(group, specs), "name": name} for group, name in zip(found, names(found), strict=True)
        ],
        "same": same,
        "unable": unable,
        "opens": SHOWN["opens"],
        "errors": {phase: ratio_error(specs, phase) for phase in BATCH},
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
    return {
        "deployments": len(found),
        "measurements": len(rows),
        "machines": len(specs.systems) + len(specs.chips),
        "tolerance": units.percent(TOLERANCE, 1),
        "unit": f"{PREFILL_UNIT:g}",
        "work": names([[specs.measurements[SHOWN["opens"]["decode"][0]]]])[0],
        **{f"error_{phase}": str(model_error(specs, phase)) for phase in BATCH},
        **{f"ratio_{phase}": ratio_error(specs, phase) for phase in BATCH},
        "published": [published_line(row, specs) for row in rows],
    }


def ratio_error(specs: Specs, phase: str) -> str:
    """The error of a ratio of two predictions, as every page states it."""
    return str(model_error(specs, phase, ratio=True))


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
        "id": first.id,
        "settings": settings(first),
        "drafts": int(d.draft_tokens),
        "unit": unit,
        "peak": float(peak.to("TFLOPS").m),
        "memory": None if streams else {name: float(size) for name, size in sizes.items()},
        "batch": batch.tolist(),
        "context": context.tolist(),
        "step": [[float(f"{1e3 * value:.5g}") for value in line] for line in step],
        "published": points,
    }


def settings(row: Measurement) -> dict[str, str]:
    """How a deployment is run: what a reader unfolds, and what two of them may differ in."""
    d = row.deployment
    said = {
        "model": title(row.model),
        "chips": f"{d.accelerators:g}",
        "expert ranks": f"{d.expert_parallel:g}",
        "tensor ranks": f"{d.tensor_parallel:g}",
        "matrices": d.matrix_precision.upper(),
        "attention": d.attention_precision.upper(),
        "cache": d.kv_precision.upper(),
        "routing": "EPLB" if d.routing == "eplb" else d.routing,
        "microbatches": f"{d.microbatches:g}",
    }
    if row.phase == "prefill":
        return said
    return {**said, "drafts": f"{d.draft_tokens:g}", "output": f"{d.output:,g}" if d.output else "not stated"}


def names(groups: Sequence[Sequence[Measurement]]) -> list[str]:
    """What each deployment is called: who ran it, on what, at which context; no two are equal.

    Those that would be are told apart by the settings in which they differ.
    """
    short = [named(group) for group in groups]
    held = [settings(group[0]) for group in groups]
    found = []
    for name, own in zip(short, held, strict=True):
        alike = [other for other, same in zip(held, short, strict=True) if same == name]
        apart = [key for key in own if len({other[key] for other in alike}) > 1]
        found.append(", ".join([name, *(f"{key} {own[key]}" for key in apart)]))
    return found


def named(group: Sequence[Measurement]) -> str:
    """A deployment in a line: "Huawei 2025: 160 × 910C, decode, 4K"."""
    first, lengths = group[0], sorted(float(row.context) for row in group)
    contexts = each(f"{length / 1024:.0f}K" for length in (lengths[0], lengths[-1]))
    chips = f"{first.deployment.accelerators:g} × {title(first.accelerator).removeprefix('Ascend ')}"
    by = " and ".join(each(who(row.source) for row in group))
    return f"{by}: {chips}, {first.phase}, {' to '.join(contexts)}"


def who(source: str) -> str:
    """Whose a document is, and of which year: its maker, or the first of its authors."""
    document = load_sources()[source]
    author = str(bibliography().entries[source].persons["author"][0].last_names[0])
    name = document.maker or author.strip("{}").removeprefix("The ").removesuffix(" Team")
    return f"{name} {document.published.removeprefix('by ')[:4]}"


@cache
def bibliography() -> BibliographyData:
    """The bibliography, which names the authors."""
    return parse_file(DATA / "sources.bib")


def same_work(
    groups: Sequence[Sequence[Measurement]], specs: Specs
) -> tuple[list[dict[str, Any]], dict[str, dict[str, str]]]:
    """The work that the page opens with on each chip, in eight bits, on the most ranks it was run on.

    With it, by phase, the chips that cannot do it, and why.
    """
    found: list[dict[str, Any]] = []
    unable: dict[str, dict[str, str]] = {phase: {} for phase in BATCH}
    for phase, lacking in unable.items():
        opens = specs.measurements[SHOWN["opens"][phase][0]]
        rows = [group[0] for group in groups if group[0].phase == phase]
        for chip in each(row.accelerator for row in rows):
            run = max((r for r in rows if r.accelerator == chip), key=lambda r: float(r.accelerators))
            asked = {name: getattr(opens, name) for name in WORK} | {"id": f"same-{phase}-{chip}"}
            row = dataclasses.replace(run, matrix_precision=eight_bits(specs, chip), **asked)
            name = f"{run.accelerators} × {title(chip).removeprefix('Ascend ')}, {phase}, same work"
            try:
                found.append({**entry([row], specs), "name": name, "published": []})
            except InputError as error:
                lacking[title(chip)] = str(error).removeprefix("batch: ")
    return found, unable


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
        "by": who(row.source),
        "kind": row.kind or "measured",
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
