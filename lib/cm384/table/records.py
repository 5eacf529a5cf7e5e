"""One record class for each file of `data/`, and what a cell of it must look like.

A row of `specs.csv` is one sourced fact, a `Measurement` a deployment and what it was measured to
do, a `TrainingRun` a published one, a `Workload` the same work for every chip, a `Kernel` one benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cm384.table import files, units
from cm384.table.errors import InputError
from cm384.table.units import Quantity

Key = tuple[str, str, str, str]  # subject, quantity, conditions, basis
Numbers = float | npt.NDArray[np.float64]

# What a figure holds for. The word decides which figures may be compared with which.
BASES = {
    "nominal": "as the data sheet or the designer states it",
    "matrix": "dense peak of the matrix units alone",
    "headline": "dense peak as the vendor prints it, with the vector units where it counts them",
    "sparse": "peak with structured sparsity: twice the dense one",
    "usable": "what software can allocate or is told that it has",
    "measured": "measured by a benchmark",
    "derived": "computed by its author from another measurement",
    "simulated": "run with a part of the work simulated",
    "projected": "computed by its author for a case that was not run",
    "announced": "announced by the maker, of what is not yet run",
    "die": "per compute die",
    "package": "per package",
    "one-way": "one direction of a link",
    "two-way": "both directions of a link added",
    "tdp": "thermal design power of the part",
    "all-in": "the whole system with switches, optics and losses",
    "nameplate": "the maximum rating on the label",
    "assumed": "an assumption, with its reason as the locator",
}
MAYBE_NONE = ("count", "iteration_overhead")  # quantities of which there may be nothing
BYTES_PER_ELEMENT = {"bf16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5}
# Experts' weights in 4 bits beside wider activations, by the bytes in which all else is kept; what
# is multiplied is 8 bits of the chip's own format, or 16.
FOUR_BIT_WEIGHTS = {"w4a8": 1.0, "w4a16": 2.0}
MATRIX_PRECISIONS = (*BYTES_PER_ELEMENT, *FOUR_BIT_WEIGHTS)
# What a figure of a quantity is, which decides what may settle a claim about it.
NATURES = {
    "specification": "what a thing is: its maker states it",
    "performance": "what was run on it: only a measurement settles it, and its maker's alone does not",
    "event": "what happened on a day: what came after an article is left out",
    "estimate": "what somebody makes of other figures: it settles nothing",
}
# How a published throughput came about; each is a basis.
RUNS = ("measured", "derived", "simulated", "projected", "announced")
PHASES = ("prefill", "decode")
SERVINGS = ("aggregated", "disaggregated")
ROUTINGS = ("balanced", "eplb", "unbalanced")
# The quantities that say how fast a chip's kernels run, which a run may replace by its own.
KERNELS = ("all_reduce_bandwidth", "all_reduce_latency", "attention_bandwidth", "attention_fixed_time",
           "attention_rate", "exchange_bandwidth", "exchange_fixed_time", "gemm_bandwidth",
           "gemm_fixed_time", "gemm_output_bandwidth", "gemm_rate", "gemm_row_tile", "iteration_overhead",
           "launch_gap", "memory_bandwidth_sustained", "peer_bandwidth", "small_kernel_time")  # fmt: skip
# The settings of a deployment that are numbers, and those that are precisions.
NUMBERS = ("accelerators", "expert_parallel", "tensor_parallel", "batch", "context", "output",
           "microbatches", "draft_tokens", "tokens_per_step")  # fmt: skip
# How the instances are cut that prefill for others, where the two are apart.
PREFILL = ("prefill_workers", "prefill_accelerators", "prefill_tensor_parallel", "prefill_expert_parallel")
PRECISIONS = ("matrix_precision", "attention_precision", "kv_precision")
# What a source may leave out: no output known means none, and prefill drafts nothing.
OPTIONAL = {
    "prefill": {"output", "draft_tokens", "tokens_per_step", "drafter"},
    "decode": {"output", "drafter"},
}


# --- what is stated ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One line of `quantities.csv`: a name of the closed vocabulary and what it means."""

    quantity: str
    unit: str
    kind: str
    nature: str
    default_basis: str
    better: str
    meaning: str


@dataclass(frozen=True)
class Subject:
    """One line of `subjects.csv`: what a chip, system or part is called, who sells it, what it is.

    `part` is the word under which a system counts it, `tier` the tier of a switch chip, from the
    accelerators up.
    """

    subject: str
    name: str
    vendor: str
    part: str
    tier: str


@dataclass(frozen=True)
class Row:
    """One sourced fact: a line of `specs.csv`."""

    subject: str
    quantity: str
    conditions: str
    value: float
    unit: str
    basis: str
    role: str
    group: str
    source: str
    locator: str
    note: str

    @property
    def key(self) -> Key:
        """What the row states a value of; its alternatives have the same key."""
        return self.subject, self.quantity, self.conditions, self.basis

    @property
    def amount(self) -> Quantity:
        """The value as a quantity."""
        return units.Q(self.value, self.unit)

    @property
    def name(self) -> str:
        """The row as people refer to it: `ascend-910c.peak[precision=bf16;basis=headline]`."""
        return key_name(self.key)


def key_name(key: Key) -> str:
    """The written form of a key, which `Specs.find` reads back."""
    subject, quantity, conditions, basis = key
    return f"{subject}.{quantity}[{';'.join(filter(None, [conditions, f'basis={basis}']))}]"


def read_conditions(text: str) -> dict[str, str]:
    """The pairs of a `key=value;…` cell.

    >>> read_conditions("precision=bf16;ranks=64")
    {'precision': 'bf16', 'ranks': '64'}
    """
    return dict(pair.split("=", 1) for pair in text.split(";") if pair)


def write_conditions(conditions: Mapping[str, str]) -> str:
    """The canonical cell for some pairs: sorted by key."""
    return ";".join(f"{key}={value}" for key, value in sorted(conditions.items()))


# --- what is run, and what was measured ----------------------------------------------------------


@dataclass(frozen=True)
class Deployment:
    """What is run where; the fields are those of `measurements.csv`, numbers may be arrays.

    `batch` counts requests an accelerator in decode and prompt tokens an accelerator in prefill;
    `context` is the prompt length, or the mean KV length in decode, which spreads by `output`. Where
    `tokens_per_step` is NaN, what is published of the model's drafts counts. A `drafter` is a model of
    its own that drafts, by name or path; `software` names the settings of a stack, none the default.
    """

    accelerator: str
    accelerators: Numbers
    expert_parallel: Numbers
    batch: Numbers
    context: Numbers
    tensor_parallel: Numbers = 1
    output: Numbers = 0
    matrix_precision: str = "fp8"
    attention_precision: str = "bf16"
    kv_precision: str = "bf16"
    routing: str = "balanced"
    microbatches: Numbers = 1
    draft_tokens: Numbers = 0
    tokens_per_step: Numbers = 1
    drafter: str = ""
    software: str = ""

    def __post_init__(self) -> None:
        files.check_fields(vars(self), NUMBERS)


@dataclass(frozen=True)
class Loop:
    """Users in a closed loop: how many at a time, their prompts, and what answers them.

    `ttft` is in ms, NaN where it is not stated; `workers` are the instances that decode. Where prefill is
    apart, the `prefill_` fields say how many instances do it, of how many chips, cut how; NaN: not stated.
    """

    concurrency: Numbers
    prompt: Numbers
    workers: Numbers
    ttft: Numbers
    aggregated: bool
    prefill_workers: Numbers = np.nan
    prefill_accelerators: Numbers = np.nan
    prefill_tensor_parallel: Numbers = np.nan
    prefill_expert_parallel: Numbers = np.nan


@dataclass(frozen=True)
class Measurement:
    """One line of `measurements.csv`: a deployment and what it was measured to do.

    With a `concurrency` it is of users in a closed loop, and says `serving`, `prompt` and `output`
    instead of `batch` and `context`.
    """

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
    serving: str
    concurrency: str
    prompt: str
    workers: str
    ttft: str
    software: str
    date: str
    drafter: str
    prefill_workers: str
    prefill_accelerators: str
    prefill_tensor_parallel: str
    prefill_expert_parallel: str
    terms: str
    assumed: str
    kind: str
    source: str
    locator: str
    note: str

    @property
    def deployment(self) -> Deployment:
        """What was run; InputError for a setting that the row leaves open."""
        names = ("accelerator", "routing", "drafter", *NUMBERS, *PRECISIONS)
        stated = {name: value for name in names if (value := getattr(self, name))}
        later = ["batch", "context"] if self.concurrency else []
        if float(self.draft_tokens or 0):
            later.append("tokens_per_step")
        for name in names:
            if name not in stated and name not in (*OPTIONAL[self.phase], *later):
                raise InputError(f"{name}: not stated")
        return _deployment(dict.fromkeys(later, "nan") | stated)

    @property
    def taken(self) -> str:
        """The columns that were assumed: those named, and a draft's acceptance where none is stated."""
        unstated = float(self.draft_tokens or 0) and not self.tokens_per_step and self.phase == "decode"
        names = self.assumed.split(";") if self.assumed else []
        return ";".join(names + ["tokens_per_step"] * bool(unstated and "tokens_per_step" not in names))

    @property
    def stack(self) -> str:
        """The software by the name that its settings have in the table, without the version."""
        return self.software.split(" ")[0].lower()

    @property
    def loop(self) -> Loop | None:
        """The closed loop that it is of, if it is; InputError for what is left open."""
        if not self.concurrency:
            return None
        aggregated = self.serving == "aggregated"
        known = {name: float(getattr(self, name) or np.nan) for name in PREFILL}
        apart = not aggregated and np.isnan([*known.values()]).any()
        for name in ("serving", "prompt", "output", *(("ttft",) if apart else ())):
            if not getattr(self, name):
                raise InputError(f"{name}: not stated, in a closed loop")
        numbers = (float(self.concurrency), float(self.prompt), float(self.workers or 1))
        return Loop(*numbers, float(self.ttft or np.nan), aggregated, **known)

    @property
    def rows(self) -> list[Row]:
        """What was published, as rows of the table of specs."""
        tpot, per_chip = float(self.tpot or np.nan), "token/s/accelerator"
        found = [("published_throughput", self.measured, per_chip), ("published_tpot", tpot, "ms")]
        conditions, said = f"measurement={self.id}", (self.source, self.locator, self.note)
        return [
            Row(
                self.accelerator, name, conditions, value, unit, self.kind or "measured", "central", "", *said
            )
            for name, value, unit in found
            if np.isfinite(value)
        ]

    @property
    def as_run(self) -> bool:
        """Whether the figure was measured: neither projected nor simulated nor derived from another."""
        return self.kind in ("", "measured")

    @property
    def by_term(self) -> dict[str, float]:
        """Microseconds of one layer by term; several terms that were timed together are joined by `+`."""
        return {name: float(value) for name, value in read_conditions(self.terms).items()}

    @property
    def measured(self) -> float:
        """Tokens a second and accelerator, as stated or as the time per token implies.

        Of a closed loop: as if no request waited for its first token.
        """
        if self.throughput:
            return float(self.throughput)
        each = float(self.batch or np.nan)
        if self.concurrency:
            chips = float(self.accelerators or np.nan) * float(self.workers or 1)
            each = float(self.concurrency) / chips
        return each / float(self.tpot) * 1e3


@dataclass(frozen=True)
class Workload:
    """One line of `workloads.csv`: the same work for every chip, over `expert_parallel` ranks.

    `tpot` is the limit that decode keeps, in ms; `error_of` the measurement by whose phase the
    error of the model is taken, its own document left out.
    """

    id: str
    phase: str
    model: str
    expert_parallel: str
    batch: str
    context: str
    output: str
    routing: str
    microbatches: str
    draft_tokens: str
    tokens_per_step: str
    tpot: str
    error_of: str
    note: str

    @property
    def deployment(self) -> Deployment:
        """The work, on no accelerator yet."""
        given = {n: getattr(self, n) for n in (*NUMBERS, "routing") if getattr(self, n, "")}
        return _deployment({"accelerator": "", "accelerators": "0", **given})


@dataclass(frozen=True)
class TrainingRun:
    """One line of `training.csv`: a published training run; what its document leaves open is empty.

    `active` are the billions of parameters that a token meets, where the model has no config here; `assumed`
    names the columns that were inferred, and `unit` where that of the throughput was.
    """

    id: str
    model: str
    accelerator: str
    accelerators: str
    active: str
    stage: str
    precision: str
    sequence: str
    mtp: str
    recomputed: str
    parallelism: str
    routing: str
    edition: str
    date: str
    throughput: str
    flop_rate: str
    mfu: str
    mfu_precision: str
    kind: str
    assumed: str
    source: str
    locator: str
    note: str

    @property
    def rows(self) -> list[Row]:
        """What was published, as rows of the table of specs."""
        given, said = f"run={self.id}", (self.kind, "central", "", self.source, self.locator, self.note)
        stated = ("training_throughput", self.throughput, "token/s/accelerator"), ("mfu", self.mfu, "percent")
        return [Row(self.accelerator, f"published_{n}", given, float(v), u, *said) for n, v, u in stated if v]


def _deployment(stated: Mapping[str, str]) -> Deployment:
    values: dict[str, Any] = {n: float(v) if n in NUMBERS else v for n, v in stated.items()}
    return Deployment(**values)


@dataclass(frozen=True)
class Kernel:
    """One line of `kernels.csv`: a benchmark of one kernel, or the effect of one change.

    `term` is what of the model it is about; where that is nothing, `why_not` says why.
    """

    id: str
    accelerator: str
    kernel: str
    conditions: str
    quantity: str
    value: str
    unit: str
    term: str
    why_not: str
    source: str
    locator: str
    note: str

    @property
    def given(self) -> dict[str, str]:
        """The conditions by name."""
        return read_conditions(self.conditions)


@dataclass(frozen=True)
class Peer:
    """One line of `peers.csv`: what another tool predicts for a measurement."""

    tool: str
    setting: str
    measurement: str
    predicted: str
    source: str
    note: str
