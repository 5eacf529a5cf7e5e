"""The model held to what was measured: throughputs it was never fitted to, and kernels one by one.

A row that cannot be computed stays, with the reason, and counts as a miss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cm384.physics import kernels, layers, serving
from cm384.physics.layers import ATTENTION
from cm384.physics.transformer import Model, load_model
from cm384.table import units
from cm384.table.errors import InputError, NotStated
from cm384.table.records import Deployment, Kernel, Measurement
from cm384.table.specs import Specs

EIGHT_BIT = ("fp8", "int8")
COARSE, FEW = 0.25, 5  # an error above the one, or from fewer documents, settles little


def validate(rows: Iterable[Measurement], specs: Specs) -> pd.DataFrame:
    """One line a measurement: measured and predicted tokens/s per accelerator, and the error.

    The error is predicted ÷ measured − 1.
    """
    return pd.DataFrame([_line(row, specs) for row in rows])


def _line(row: Measurement, specs: Specs) -> dict[str, Any]:
    predicted, reason = np.nan, ""
    try:
        predicted = float(predict(row, specs).throughput.m)
    except InputError as error:
        reason = str(error)
    return {"id": row.id, "model": row.model, "accelerator": row.accelerator, "phase": row.phase,
            "batch": float(row.batch or np.nan), "context": float(row.context or np.nan),
            "assumed": row.assumed, "measured": row.measured, "predicted": predicted,
            "error": predicted / row.measured - 1, "reason": reason}  # fmt: skip


def predict(row: Measurement, specs: Specs, **changes: Any) -> serving.Result:
    """What the model says of a row's deployment, with some fields changed."""
    model = load_model(specs.models.get(row.model, row.model))
    phase = serving.prefill if row.phase == "prefill" else serving.decode
    return phase(specs, model, dataclasses.replace(row.deployment, **changes))


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """Median and 90th percentile of the absolute error by phase and accelerator.

    For all rows and for the well specified ones, in which nothing had to be assumed. A row that
    could not be computed is as far off as can be.
    """
    found = []
    for rows, chosen in (("all", lines), ("well specified", lines[lines["assumed"] == ""])):
        found.append({"rows": rows, "phase": "", "accelerator": "", **_spread(chosen)})
        for phase, group in chosen.groupby("phase", sort=False):
            found.append({"rows": rows, "phase": phase, "accelerator": "", **_spread(group)})
            for chip, part in group.groupby("accelerator", sort=False):
                found.append({"rows": rows, "phase": phase, "accelerator": chip, **_spread(part)})
    return pd.DataFrame(found)


def _spread(lines: pd.DataFrame) -> dict[str, Any]:
    errors = lines["error"].fillna(np.inf).abs()
    if errors.empty:
        return {"n": 0, "median": np.nan, "nine in ten": np.nan, "bias": np.nan}
    half, most = (float(np.quantile(errors, share, method="inverted_cdf")) for share in (0.5, 0.9))
    return {"n": len(errors), "median": half, "nine in ten": most, "bias": float(lines["error"].median())}


def in_words(lines: pd.DataFrame) -> str:
    """The accuracy in one line."""
    parts = []
    for rows, chosen in (("rows", lines), ("well specified", lines[lines["assumed"] == ""])):
        spread = _spread(chosen)
        if spread["n"]:
            half, most = (units.percent(spread[name], 1) for name in ("median", "nine in ten"))
            parts.append(f"{spread['n']} {rows}: half within {half}, nine in ten within {most}")
    if missing := int(lines["error"].isna().sum()):
        parts.append(f"{missing} cannot be computed")
    return "; ".join(parts)


def shown(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines as a terminal shows them."""

    def rate(value: float) -> str:
        return format(value, ",.4g" if value < 1000 else ",.0f") if np.isfinite(value) else "–"

    def share(value: float) -> str:
        return f"{100 * value:+.1f} %" if np.isfinite(value) else "–"

    forms = {"measured": rate, "predicted": rate, "error": share}
    told = lines[["id", "accelerator", "phase", "assumed", *forms, "reason"]]
    return told.assign(**{name: [form(value) for value in told[name]] for name, form in forms.items()})


@dataclass(frozen=True)
class ModelError:
    """The error that nine in ten documents keep: each counts once, whatever number of runs it has.

    Of a ratio of two predictions it is that of ratios, one pair for each pair of documents.
    """

    size: float
    documents: int
    ratio: bool = False

    @property
    def coarse(self) -> bool:
        """Whether it settles nothing smaller than a factor of two."""
        return self.size > COARSE or self.documents < FEW

    def band(self, low: Any, high: Any) -> tuple[Any, Any]:
        """A span widened by the error on both sides.

        >>> ModelError(0.1, 9).band(100, 200), ModelError(0.1, 4).band(100, 200)
        ((90.0, 220.00000000000003), (50.0, 400.0))
        """
        if self.coarse:
            factor = max(2.0, 1 + self.size)
            return low / factor, high * factor
        return low * (1 - self.size), high * (1 + self.size)

    def __str__(self) -> str:
        if not np.isfinite(self.size):
            return f"an error that no {'pairs of ' if self.ratio else ''}documents tell"
        pairs = "ratios of pairs of" if self.ratio else "of"
        tail = ", which settles nothing smaller than a factor of two" if self.coarse else ""
        kept = f"an error within {units.percent(self.size)} in nine of ten"
        return f"{kept} {pairs} {self.documents} documents{tail}"


def by_document(rows: Iterable[Measurement], specs: Specs) -> dict[str, float]:
    """The median of log(predicted ÷ measured) over the runs of each document; NaN if none can be computed."""
    if not (rows := list(rows)):
        return {}
    lines = validate(rows, specs).assign(source=[row.source for row in rows])
    lines["off"] = np.log1p(lines["error"])
    return {str(name): float(part["off"].median()) for name, part in lines.groupby("source", sort=False)}


def model_error(specs: Specs, *named: str, ratio: bool = False) -> ModelError:
    """The error of the model in the phase of some measurements or workloads, by document.

    Well specified measured runs count, those of the documents that the named ones are from left out, so
    that no claim is judged by itself.
    """
    known = [specs.measurements[specs.workloads[n].error_of if n in specs.workloads else n] for n in named]
    phases, own = {row.phase for row in known}, {row.source for row in known}
    rows = (row for row in specs.measurements.values() if row.phase in phases and not row.assumed)
    off = by_document((row for row in rows if row.source not in own and row.as_run), specs)
    logs = np.array([*off.values()])
    if ratio:
        logs = np.array([abs(one - other) for one, other in combinations(logs, 2)])
    errors = np.nan_to_num(np.abs(np.expm1(logs)), nan=np.inf)
    size = float(np.quantile(errors, 0.9, method="inverted_cdf")) if len(errors) else np.inf
    return ModelError(size, len(off), ratio)


# --- published runs side by side ------------------------------------------------------------------


def comparable(chip: str, reference: str, specs: Specs) -> list[tuple[Measurement, Measurement]]:
    """Published runs of two chips that can be set side by side.

    The same phase, routing and family of models, 8 bits or the same format, drafts on both sides or
    unknown, lengths within a quarter, and batches within a factor of two; of several the nearest in
    length, then in batch.
    """
    runs = specs.measurements.values()
    theirs = [run for run in runs if run.accelerator == reference]
    found = []
    for ours in (run for run in runs if run.accelerator == chip):
        if fitting := [run for run in theirs if _alike(ours, run)]:
            found.append((ours, min(fitting, key=partial(_distance, ours))))
    return found


def _alike(ours: Measurement, theirs: Measurement) -> bool:
    # Both draft tokens, or neither, or one of them does not say.
    known = [run.draft_tokens for run in (ours, theirs) if "draft_tokens" not in run.assumed]
    return (
        (theirs.phase, theirs.routing) == (ours.phase, ours.routing)
        and theirs.matrix_precision in (ours.matrix_precision, *EIGHT_BIT)
        and theirs.model.split("-")[0] == ours.model.split("-")[0]
        and len({drafts not in ("", "0") for drafts in known}) < 2
        and _apart(ours.context, theirs.context) <= np.log(1.25)
        and _apart(ours.batch, theirs.batch) <= np.log(2)
    )


def _distance(ours: Measurement, theirs: Measurement) -> tuple[Any, ...]:
    length, batch = _apart(ours.context, theirs.context), _apart(ours.batch, theirs.batch)
    return round(length, 1), round(batch, 1), theirs.microbatches != ours.microbatches, len(theirs.id)


def _apart(one: str, other: str) -> float:
    return abs(float(np.log(float(one) / float(other))))


# --- terms against benchmarks of each kernel alone ----------------------------------------------


def eight_bits(specs: Specs, chip: str, precision: str = "") -> str:
    """The precision in which a chip multiplies: the one given if it has kernels for it, else 8 bits.

    >>> from cm384 import load_specs
    >>> eight_bits(load_specs(), "ascend-910c"), eight_bits(load_specs(), "gb200", "fp4")
    ('int8', 'fp4')
    """
    found = kernels.kernel_precisions(specs, chip)
    for wanted in (precision, *EIGHT_BIT):
        if wanted in found:
            return wanted
    raise NotStated(f"no source states how fast 8-bit kernels run on {chip}")


# The term of the model that each kind of benchmark is about.
BENCHMARKED = {
    "gemm_throughput": "matrix products",
    "gemm_time": "matrix products",
    "attention_time": "attention core",
    "exchange_latency": "exchanges",
    "expert_time": "products of the experts",
}


def check_terms(rows: Iterable[Kernel], specs: Specs) -> pd.DataFrame:
    """One line a benchmark that a term of the model describes: measured, predicted and the error.

    Gains and shares are percentages, whose error is a difference in points ÷ 100.
    """
    lines = []
    for row in rows:
        predicted = _term(row, specs)
        if predicted is None:
            continue
        measured, points = float(row.value), row.unit == "percent"
        error = (predicted - measured) / 100 if points else predicted / measured - 1
        term = "layers, overlap and drafts" if "measurement" in row.given else BENCHMARKED[row.quantity]
        lines.append({"id": row.id, "accelerator": row.accelerator, "kernel": row.kernel, "term": term,
                      "unit": row.unit, "measured": measured, "predicted": predicted,
                      "error": error})  # fmt: skip
    return pd.DataFrame(lines)


def _term(row: Kernel, specs: Specs) -> float | None:
    """What the model says of a benchmark in its unit; None if no term describes it."""
    given = row.given
    try:
        if "measurement" in given:
            return _ablation(row, specs, specs.measurements[given["measurement"]])
        if row.quantity == "gemm_throughput" or {"m", "n", "k"} <= given.keys():
            return _gemm(row, specs)
        if row.quantity == "attention_time":
            return _attention(row, specs, load_model(specs.models["deepseek-r1"]))
        if row.quantity in ("exchange_latency", "expert_time") and "tokens" in given:
            return _experts(row, specs, load_model(specs.models["deepseek-r1"]))
    except NotStated:
        return None  # a chip, precision or kernel that the table has no constants for
    return None


def _in(unit: str, value: Any, base: str) -> float:
    return float(units.Q(float(value), base).to(unit).m)


def _gemm(row: Kernel, specs: Specs) -> float:
    given = row.given
    m, n, k, groups = (float(given.get(x, 1)) for x in ("m", "n", "k", "groups"))
    precision = given["precision"].replace("fp16", "bf16")
    machine = kernels.machine(specs, row.accelerator, "decode", precision, "bf16")
    grouped = machine.grouped_gemm if "masked" in row.kernel else None
    gemm = grouped or machine.gemm[precision]
    seconds = gemm.time(m * groups, k, n, groups) - machine.launch_gap  # kernels are timed alone
    if row.quantity == "gemm_throughput":
        return _in(row.unit, 2 * m * n * k * groups / seconds, "FLOP/s")
    return _in(row.unit, seconds, "s")


def _attention(row: Kernel, specs: Specs, model: Model) -> float:
    given = row.given
    length = float(given["length"])
    batch = float(given.get("batch", float(given.get("tokens", length)) / length))
    phase = "prefill" if given.get("causal") == "yes" else "decode"
    precision = given.get("precision", "bf16")
    taken = batch * length if phase == "prefill" else batch
    deployment = Deployment(row.accelerator, 1, 1, taken, length, matrix_precision=precision,
                            attention_precision=precision,
                            kv_precision=given.get("kv", precision))  # fmt: skip
    step = layers.Layers(specs, model, deployment, phase)
    return _in(row.unit, step.attention_core(step.batch, 1.0, 1.0), "s")


def _experts(row: Kernel, specs: Specs, model: Model) -> float:
    """A dispatch, a combine, or the grouped products of the experts, at uniform routing."""
    given = row.given
    ranks, tokens = float(given["ranks"]), float(given["tokens"])
    # Copies of a token, where the benchmark says that they are not the routed experts alone.
    tokens *= float(given.get("copies", model.experts_per_token)) / model.experts_per_token
    phase = "prefill" if "normal" in row.kernel else "decode"
    precision = eight_bits(specs, row.accelerator, given.get("payload", ""))
    packages = ranks / float(specs.get(row.accelerator, "ranks_per_package").m)
    deployment = Deployment(row.accelerator, packages, ranks, tokens, 4096.0, matrix_precision=precision)
    step = layers.Layers(specs, model, deployment, phase)
    if row.quantity == "expert_time":
        return _in(row.unit, step.experts(tokens, 1.0, 1.0)["routed_experts"], "s")
    return _in(row.unit, step.exchange(given["op"], tokens, 1.0)[0], "s")


def _ablation(row: Kernel, specs: Specs, measurement: Measurement) -> float:
    """The gain of a deployment over itself with one change, or the time of its layer or stream.

    Conditions name the measurement, the fields in which it differs, and `versus` the change.
    """
    named = ("measurement", "stream", "versus")
    changes = {field: float(value) for field, value in row.given.items() if field not in named}
    result = predict(measurement, specs, **changes)
    if versus := row.given.get("versus"):
        pairs = (pair.split(":") for pair in versus.split(","))
        base = predict(measurement, specs, **changes | {field: float(value) for field, value in pairs})
        return 100 * float((result.throughput / base.throughput).m - 1)
    terms = result.layer
    if stream := row.given.get("stream"):
        ours = [term for term in terms if (term in ATTENTION) == (stream == "attention")]
        return _in(row.unit, sum(terms[term] for term in ours if term != "overlap") / 2, "s")
    return _in(row.unit, sum(terms.values()), "s")
