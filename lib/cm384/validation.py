"""The serving model against measurements it was never fitted to, and its terms against kernels.

A row that cannot be computed stays, with the reason, and counts as a miss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cm384 import files, kernels, layers, serving, units
from cm384.deployment import ROUTINGS, Deployment
from cm384.errors import InputError
from cm384.paths import DATA
from cm384.specs import Row, Specs, load_specs, read_conditions
from cm384.transformer import BYTES_PER_ELEMENT, Model, load_model

PHASES = ("prefill", "decode")
NUMBERS = ("accelerators", "expert_parallel", "tensor_parallel", "batch", "context", "output",
           "microbatches", "draft_tokens", "tokens_per_step")  # fmt: skip
PRECISIONS = ("matrix_precision", "attention_precision", "kv_precision")
# What a source may leave out: no output known means none, and prefill drafts nothing.
OPTIONAL = {"prefill": {"output", "draft_tokens", "tokens_per_step"}, "decode": {"output"}}


@dataclass(frozen=True)
class Measurement:
    """One line of `measurements.csv`: a deployment and what it was measured to do."""

    id: str
    model: str
    accelerator: str
    accelerators: str
    expert_parallel: str
    tensor_parallel: str
    phase: str
    batch: str
    context: str
    output: str
    matrix_precision: str
    attention_precision: str
    kv_precision: str
    routing: str
    microbatches: str
    draft_tokens: str
    tokens_per_step: str
    tpot: str
    throughput: str
    assumed: str
    source: str
    locator: str
    note: str

    @property
    def deployment(self) -> Deployment:
        """What was run; InputError for a setting that the row leaves open."""
        fields: dict[str, Any] = {"accelerator": self.accelerator, "routing": self.routing}
        fields |= {name: getattr(self, name) for name in (*NUMBERS, *PRECISIONS)}
        stated = {name: value for name, value in fields.items() if value}
        for name in fields:
            if name not in stated and name not in OPTIONAL[self.phase]:
                raise InputError(f"{name}: not stated")
        values: dict[str, Any] = {n: float(v) if n in NUMBERS else v for n, v in stated.items()}
        return Deployment(**values)

    @property
    def rows(self) -> list[Row]:
        """What was published, as rows of the table of specs."""
        figures = {
            "published_throughput": (self.measured, "token/s/accelerator"),
            "published_tpot": (float(self.tpot or np.nan), "ms"),
        }
        return [
            Row(
                self.accelerator, quantity, f"measurement={self.id}", value, unit, "measured",
                "central", "", self.source, self.locator, self.note,
            )
            for quantity, (value, unit) in figures.items()
            if np.isfinite(value)
        ]  # fmt: skip

    @property
    def measured(self) -> float:
        """Tokens a second and accelerator, as stated or as the time per token implies."""
        if self.throughput:
            return float(self.throughput)
        return float(self.batch or np.nan) / float(self.tpot) * 1e3


def load_measurements(
    path: str | Path | None = None, specs: Specs | None = None
) -> list[Measurement]:
    """The measurements of this project, or of another file, checked.

    Refuses a bad cell with file, line, column and what was expected. A file of somebody else need
    not name its sources.
    """
    file = Path(path) if path is not None else DATA / "measurements.csv"
    known = specs or load_specs()
    table = files.read_table(file, files.columns(Measurement))
    own = files.read_keys() if path is None else None
    files.check_table(table, measurements_checks(known, own), file.name, unique=["id"])
    rows = [Measurement(**values) for values in files.records(table)]
    for line, row in zip(table.index, rows, strict=True):
        if not row.throughput and not (row.tpot and row.batch and row.phase == "decode"):
            expected = "a throughput, or in decode a tpot with its batch"
            raise files.bad_cell(file.name, line, "throughput", "", expected)
    return rows


def with_measurements(specs: Specs) -> Specs:
    """The table with the measurements of this project, each published figure a row of it."""
    found = load_measurements(specs=specs)
    rows = {row.key: (row,) for measurement in found for row in measurement.rows}
    return dataclasses.replace(
        specs,
        rows={**specs.rows, **rows},
        measurements={row.id: row for row in found},
        models={row.model: load_model(row.model) for row in found},
    )


def measurements_checks(specs: Specs, keys: Iterable[str] | None) -> dict[str, Any]:
    """What a measurements file must look like: one check a column."""
    checks = {
        "id": files.matches(r"[A-Za-z0-9._-]+", "letters, digits, hyphens and dots"),
        "model": files.matches(r"\S.*", "a model or the path of a config.json"),
        "accelerator": files.one_of(specs.subjects),
        "phase": files.one_of(PHASES),
        "routing": files.one_of([*ROUTINGS, ""]),
        "assumed": files.matches(r"([a-z_]+(;[a-z_]+)*)?", "column;column"),
    }
    checks |= {name: files.one_of([*BYTES_PER_ELEMENT, ""]) for name in PRECISIONS}
    for name in (*NUMBERS, "tpot", "throughput"):
        checks[name] = files.check(_amount_or_empty, "a number, or nothing")
    if keys is not None:
        checks["source"] = files.one_of(keys)
        checks["locator"] = files.matches(r"\S.*", "the place in the source")
    return checks


def _amount_or_empty(cell: str) -> bool:
    return not cell or files.is_amount(cell)


def validate(
    rows: Iterable[Measurement], specs: Specs, models: Mapping[str, Model] | None = None
) -> pd.DataFrame:
    """One line a measurement: measured and predicted tokens/s per accelerator, and the error.

    The error is predicted ÷ measured − 1. `models` stands in for those that rows name.
    """
    known = dict(models or {})
    return pd.DataFrame([_line(row, specs, known) for row in rows])


def _line(row: Measurement, specs: Specs, models: dict[str, Model]) -> dict[str, Any]:
    predicted, reason = np.nan, ""
    try:
        predicted = float(predict(row, specs, models).throughput.m)
    except InputError as error:
        reason = str(error)
    return {
        "id": row.id,
        "model": row.model,
        "accelerator": row.accelerator,
        "phase": row.phase,
        "batch": float(row.batch or np.nan),
        "context": float(row.context or np.nan),
        "assumed": row.assumed,
        "measured": row.measured,
        "predicted": predicted,
        "error": predicted / row.measured - 1,
        "reason": reason,
    }


def predict(
    row: Measurement, specs: Specs, models: dict[str, Model], **changes: Any
) -> serving.Result:
    """What the model says of a row's deployment, with some fields changed."""
    if row.model not in models:
        models[row.model] = load_model(row.model)
    deployment = dataclasses.replace(row.deployment, **changes)
    phase = serving.prefill if row.phase == "prefill" else serving.decode
    return phase(specs, models[row.model], deployment)


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
                entry = {"rows": rows, "phase": phase, "accelerator": chip}
                found.append({**entry, **_spread(part)})
    return pd.DataFrame(found)


def _spread(lines: pd.DataFrame) -> dict[str, Any]:
    errors = lines["error"].fillna(np.inf).abs()
    if errors.empty:
        return {"n": 0, "median": np.nan, "nine in ten": np.nan, "bias": np.nan}
    return {
        "n": len(errors),
        "median": float(np.quantile(errors, 0.5, method="inverted_cdf")),
        "nine in ten": float(np.quantile(errors, 0.9, method="inverted_cdf")),
        "bias": float(lines["error"].median()),
    }


def in_words(lines: pd.DataFrame) -> str:
    """The accuracy in one line."""
    parts = []
    for rows, chosen in (("rows", lines), ("well specified", lines[lines["assumed"] == ""])):
        spread = _spread(chosen)
        if spread["n"]:
            half, most = (f"{100 * spread[name]:.1f} %" for name in ("median", "nine in ten"))
            parts.append(f"{spread['n']} {rows}: half within {half}, nine in ten within {most}")
    if missing := int(lines["error"].isna().sum()):
        parts.append(f"{missing} cannot be computed")
    return "; ".join(parts)


def shown(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines as a terminal shows them."""

    def written(value: float, form: str) -> str:
        return format(value, form) if np.isfinite(value) else "–"

    return pd.DataFrame({
        "id": lines["id"],
        "accelerator": lines["accelerator"],
        "phase": lines["phase"],
        "assumed": lines["assumed"],
        "measured": [written(value, ",.4g" if value < 1000 else ",.0f")
                     for value in lines["measured"]],
        "predicted": [written(value, ",.4g" if value < 1000 else ",.0f")
                      for value in lines["predicted"]],
        "error": [written(100 * value, "+.1f") + " %" * bool(np.isfinite(value))
                  for value in lines["error"]],
        "reason": lines["reason"],
    })  # fmt: skip


# --- terms ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kernel:
    """One line of `kernels.csv`: a benchmark of one kernel, or the effect of one change."""

    id: str
    accelerator: str
    kernel: str
    conditions: str
    quantity: str
    value: str
    unit: str
    source: str
    locator: str
    note: str

    @property
    def given(self) -> dict[str, str]:
        """The conditions by name."""
        return read_conditions(self.conditions)


def load_kernels(path: str | Path | None = None) -> list[Kernel]:
    """The kernel benchmarks and ablations of this project, or of another file."""
    file = Path(path) if path is not None else DATA / "kernels.csv"
    table = files.read_table(file, files.columns(Kernel))
    checks = {
        "id": files.matches(r"\S+", "a name"),
        "value": files.matches(r"-?[0-9.]+", "a number"),
    }
    if path is None:
        checks["source"] = files.one_of(files.read_keys())
    files.check_table(table, checks, file.name, unique=["id"])
    return [Kernel(**values) for values in files.records(table)]


TERMS = {
    "gemm_throughput": "matrix products",
    "gemm_time": "matrix products",
    "attention_time": "attention core",
    "exchange_latency": "exchanges",
    "expert_time": "products of the experts",
}


def check_terms(
    rows: Sequence[Kernel], specs: Specs, measurements: Sequence[Measurement] = ()
) -> pd.DataFrame:
    """One line a benchmark that a term of the model describes: measured, predicted and the error.

    Gains and shares are percentages, whose error is a difference in points ÷ 100.
    """
    named = {row.id: row for row in measurements}
    models = {"deepseek-r1": load_model("deepseek-r1")}
    lines = []
    for row in rows:
        predicted = _term(row, specs, named, models)
        if predicted is None:
            continue
        measured = float(row.value)
        points = row.unit == "percent"
        error = (predicted - measured) / 100 if points else predicted / measured - 1
        term = "layers, overlap and drafts" if "measurement" in row.given else TERMS[row.quantity]
        lines.append({"id": row.id, "accelerator": row.accelerator, "kernel": row.kernel,
                      "term": term, "unit": row.unit, "measured": measured, "predicted": predicted,
                      "error": error})  # fmt: skip
    return pd.DataFrame(lines)


def _term(
    row: Kernel, specs: Specs, named: Mapping[str, Measurement], models: dict[str, Model]
) -> float | None:
    """What the model says of a benchmark in its unit; None if no term describes it."""
    given = row.given
    try:
        if "measurement" in given:
            return _ablation(row, specs, named[given["measurement"]], models)
        if row.quantity == "gemm_throughput" or {"m", "n", "k"} <= given.keys():
            return _gemm(row, specs)
        if row.quantity == "attention_time":
            return _attention(row, specs, models["deepseek-r1"])
        if row.quantity in ("exchange_latency", "expert_time") and "tokens" in given:
            return _experts(row, specs, models["deepseek-r1"])
    except InputError:
        return None  # a chip, precision or kernel that the table has no constants for
    return None


def _in(unit: str, value: Any, base: str) -> float:
    return float(units.Q(float(value), base).to(unit).m)


def _gemm(row: Kernel, specs: Specs) -> float:
    given = row.given
    m, n, k, groups = (float(given.get(x, 1)) for x in ("m", "n", "k", "groups"))
    precision = given["precision"].replace("fp16", "bf16")
    machine = kernels.machine(specs, row.accelerator, "decode", precision, "bf16")
    grouped = "masked" in row.kernel and machine.grouped_gemm is not None
    gemm = machine.grouped_gemm if grouped and machine.grouped_gemm else machine.gemm[precision]
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
    deployment = Deployment(
        row.accelerator, 1, 1, batch * (length if phase == "prefill" else 1.0), length,
        matrix_precision=precision, attention_precision=precision,
        kv_precision=given.get("kv", precision),
    )  # fmt: skip
    step = layers.Layers(specs, model, deployment, phase)
    return _in(row.unit, step.attention_core(step.batch, 1.0, 1.0), "s")


def _experts(row: Kernel, specs: Specs, model: Model) -> float:
    """A dispatch, a combine, or the grouped products of the experts, at uniform routing."""
    given = row.given
    ranks, tokens = float(given["ranks"]), float(given["tokens"])
    # Copies of a token, where the benchmark says that they are not the routed experts alone.
    tokens *= float(given.get("copies", model.experts_per_token)) / model.experts_per_token
    phase = "prefill" if "normal" in row.kernel else "decode"
    precision = "int8" if row.accelerator.startswith("ascend") else given.get("payload", "fp8")
    packages = ranks / float(kernels.read(specs, row.accelerator, "ranks_per_package"))
    deployment = Deployment(row.accelerator, packages, ranks, tokens, 4096.0,
                            matrix_precision=precision)  # fmt: skip
    step = layers.Layers(specs, model, deployment, phase)
    if row.quantity == "expert_time":
        return _in(row.unit, step.experts(tokens, 1.0, 1.0)["routed_experts"], "s")
    return _in(row.unit, step.exchange(given["op"], tokens, 1.0)[0], "s")


def _ablation(
    row: Kernel, specs: Specs, measurement: Measurement, models: dict[str, Model]
) -> float:
    """The gain of a deployment over itself with one change, or the time of its layer or stream.

    Conditions name the measurement, the fields in which it differs, and `versus` the change.
    """
    given = {n: v for n, v in row.given.items() if n not in ("measurement", "stream", "versus")}
    changes: dict[str, float] = {name: float(value) for name, value in given.items()}
    result = predict(measurement, specs, models, **changes)
    if versus := row.given.get("versus"):
        pairs = (pair.split(":") for pair in versus.split(","))
        other = {**changes, **{name: float(value) for name, value in pairs}}
        base = predict(measurement, specs, models, **other)
        return 100 * float((result.throughput / base.throughput).m - 1)
    terms = result.layer
    if stream := row.given.get("stream"):
        ours = [name for name in terms if (name in ATTENTION) == (stream == "attention")]
        return _in(row.unit, sum(terms[name] for name in ours if name != "overlap") / 2, "s")
    return _in(row.unit, sum(terms.values()), "s")


ATTENTION = ("projections", "absorption", "attention_core", "output_projection",
             "sequence_parallel", "attention_reduce", "attention_vector")  # fmt: skip
