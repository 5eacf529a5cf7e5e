"""The terms of the serving model against benchmarks of each kernel alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cm384 import files, kernels, layers, units
from cm384.deployment import Deployment
from cm384.errors import InputError
from cm384.paths import DATA
from cm384.specs import Specs, read_conditions
from cm384.transformer import Model
from cm384.validation import Measurement, predict


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


def load_kernels() -> list[Kernel]:
    """The kernel benchmarks and ablations of this project, checked."""
    table = files.read_table(DATA / "kernels.csv", files.columns(Kernel))
    checks = {
        "id": files.matches(r"\S+", "a name"),
        "value": files.matches(r"-?[0-9.]+", "a number"),
        "source": files.one_of(files.read_keys()),
    }
    files.check_table(table, checks, "kernels.csv", unique=["id"])
    return [Kernel(**values) for values in files.records(table)]


TERMS = {
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
        measured = float(row.value)
        points = row.unit == "percent"
        error = (predicted - measured) / 100 if points else predicted / measured - 1
        term = "layers, overlap and drafts" if "measurement" in row.given else TERMS[row.quantity]
        lines.append({"id": row.id, "accelerator": row.accelerator, "kernel": row.kernel,
                      "term": term, "unit": row.unit, "measured": measured, "predicted": predicted,
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
            return _attention(row, specs, specs.models["deepseek-r1"])
        if row.quantity in ("exchange_latency", "expert_time") and "tokens" in given:
            return _experts(row, specs, specs.models["deepseek-r1"])
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


def _ablation(row: Kernel, specs: Specs, measurement: Measurement) -> float:
    """The gain of a deployment over itself with one change, or the time of its layer or stream.

    Conditions name the measurement, the fields in which it differs, and `versus` the change.
    """
    given = {n: v for n, v in row.given.items() if n not in ("measurement", "stream", "versus")}
    changes: dict[str, float] = {name: float(value) for name, value in given.items()}
    result = predict(measurement, specs, **changes)
    if versus := row.given.get("versus"):
        pairs = (pair.split(":") for pair in versus.split(","))
        other = {**changes, **{name: float(value) for name, value in pairs}}
        base = predict(measurement, specs, **other)
        return 100 * float((result.throughput / base.throughput).m - 1)
    terms = result.layer
    if stream := row.given.get("stream"):
        ours = [name for name in terms if (name in ATTENTION) == (stream == "attention")]
        return _in(row.unit, sum(terms[name] for name in ours if name != "overlap") / 2, "s")
    return _in(row.unit, sum(terms.values()), "s")


ATTENTION = ("projections", "absorption", "attention_core", "output_projection",
             "sequence_parallel", "attention_reduce", "attention_vector")  # fmt: skip
