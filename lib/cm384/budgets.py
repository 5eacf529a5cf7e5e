"""Where the time of a token goes: from the physical limit of the chip to the predicted figure.

The limit is what the useful operations would take at the peak, or the weights and the KV cache at
the memory bandwidth, whichever is longer, apart for the matrices and for the attention core.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cm384.deployment import Deployment
from cm384.derivation import derive
from cm384.serving import Result, decode, prefill
from cm384.specs import Specs
from cm384.transformer import Model, decode_flop, kv_bytes, prefill_flop, weight_bytes

MATRICES = (
    "projections", "absorption", "output_projection", "dense_ffn", "router", "routed_experts",
    "shared_experts", "lm_head",
)  # fmt: skip
VECTOR = ("attention_vector", "ffn_vector", "expert_vector")
EXCHANGES = ("dispatch", "combine", "sequence_parallel", "attention_reduce", "ffn_reduce")
REST = ("draft", "iteration", "host_link")


@dataclass(frozen=True)
class Budget:
    """The time of one token on one accelerator by loss, in microseconds; the steps add up.

    `steps` holds the physical limit first, then each loss; overlap is a gain and negative.
    `bounds` says what sets the limit of the matrices and of the attention core.
    """

    phase: str
    steps: Mapping[str, float]
    predicted: float
    useful_share: float
    bounds: Mapping[str, str]

    @property
    def table(self) -> pd.DataFrame:
        """One line a step: microseconds a token and the running total."""
        lines = pd.DataFrame({"step": list(self.steps), "µs a token": list(self.steps.values())})
        lines["total"] = lines["µs a token"].cumsum()
        return lines


def time_budget(specs: Specs, model: Model, deployment: Deployment, phase: str) -> Budget:
    """The budget of a deployment, per prompt token in prefill and per output token in decode.

    `useful_share` is the share of the 8-bit (or stated matrix) peak that useful operations take of
    the predicted time, all operations counted at that peak.
    """
    result = (prefill if phase == "prefill" else decode)(specs, model, deployment)
    tokens = float(result.tokens)
    flop = useful_flop(model, deployment, phase)
    core = flop.pop("attention_core")
    peak = _peak(specs, deployment, deployment.matrix_precision)
    core_peak = _peak(specs, deployment, deployment.attention_precision)
    weights, cache = _bytes(specs, model, deployment, phase)
    bandwidth = float(derive("hbm_bandwidth", deployment.accelerator, specs).to("B/s").m)
    limits = {
        "matrices": (sum(flop.values()) / peak, weights / bandwidth / tokens),
        "attention": (core / core_peak, cache / bandwidth / tokens),
    }
    matrices, attention = (max(pair) for pair in limits.values())
    bounds = {n: "operations" if work > read else "memory" for n, (work, read) in limits.items()}
    seconds = _grouped(result)
    steps = {
        "physical limit": matrices + attention,
        "matrix kernels": seconds["matrices"] / tokens - matrices,
        "attention core": seconds["core"] / tokens - attention,
        "vector work": seconds["vector"] / tokens,
        "exchanges": seconds["exchanges"] / tokens,
        "overlap": seconds["overlap"] / tokens,
        "draft and gaps": seconds["rest"] / tokens,
    }
    predicted = float(result.step) / tokens
    useful = (sum(flop.values()) + core) / peak / predicted
    microseconds = {name: 1e6 * time for name, time in steps.items()}
    return Budget(phase, microseconds, 1e6 * predicted, useful, bounds)


def useful_flop(model: Model, deployment: Deployment, phase: str) -> dict[str, float]:
    """FLOP by operator that one token costs: a prompt token, or an output token with its drafts."""
    if phase == "prefill":
        found = prefill_flop(model, float(deployment.context))
        return {name: float(value) for name, value in found.items()}
    queries = float(deployment.draft_tokens) + 1
    found = decode_flop(model, float(deployment.context), queries)
    per_token = queries / float(deployment.tokens_per_step)
    return {name: float(value) * per_token for name, value in found.items()}


def _peak(specs: Specs, deployment: Deployment, precision: str) -> float:
    return float(derive("peak", deployment.accelerator, specs, precision=precision).to("FLOP/s").m)


def _bytes(specs: Specs, model: Model, d: Deployment, phase: str) -> tuple[float, float]:
    """Bytes of weights and of KV cache that one accelerator reads in a decode step; 0 in prefill.

    Experts are spread over all ranks, attention and shared parts are on each.
    """
    if phase == "prefill":
        return 0.0, 0.0
    weights = weight_bytes(model, d.matrix_precision)
    experts = weights.pop("routed_experts", 0.0)
    weights.pop("embedding")
    ranks = float(specs.get(d.accelerator, "ranks_per_package").m)
    share = experts / float(d.accelerators) + ranks * sum(weights.values())
    return share, float(d.batch) * float(d.context) * kv_bytes(model, d.kv_precision)


def _grouped(result: Result) -> dict[str, float]:
    terms: dict[str, Any] = {name: float(np.asarray(t)) for name, t in result.breakdown.items()}
    groups = {"matrices": MATRICES, "vector": VECTOR, "exchanges": EXCHANGES, "rest": REST}
    seconds = {name: sum(terms.pop(t, 0.0) for t in found) for name, found in groups.items()}
    seconds |= {"core": terms.pop("attention_core", 0.0), "overlap": terms.pop("overlap", 0.0)}
    assert not terms, f"terms without a group: {sorted(terms)}"
    return seconds
