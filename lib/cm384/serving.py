"""Prefill and decode of a deployment: step time, throughput and time budget from first principles.

A layer is a sum of named kernel times (`kernels.py`, `layers.py`); two half batches hide the
exchanges of one behind the compute of the other; layers, output head, draft steps and the gap
between iterations make a step. Nothing here is fitted to a throughput: every constant is a sourced
row of a kernel benchmark. A field of a deployment and a figure of the table may be arrays, which
broadcast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cm384 import units
from cm384.deployment import Deployment
from cm384.errors import InputError
from cm384.layers import Layers
from cm384.operators import Numbers
from cm384.specs import Specs
from cm384.transformer import Model

__all__ = ["Deployment", "Result", "decode", "largest_batch", "prefill"]


@dataclass(frozen=True)
class Result:
    """What a deployment does. Arrays are as wide as the deployment and the table together.

    `layer` holds the seconds of one MoE layer (a dense one if the model has none) by term and
    `breakdown` those of a step; what overlaps is whole in its term and taken off in `overlap`, so
    that the terms add up. `tokens` is what a step gives on one accelerator.
    """

    phase: str
    step: Any
    tokens: Any
    memory: Any
    layer: Mapping[str, Any]
    breakdown: Mapping[str, Any]
    tokens_per_step: Any = 1.0

    @property
    def throughput(self) -> Any:
        """Tokens a second and accelerator, a quantity."""
        return units.Q(self.tokens / self.step, "token/s/accelerator")

    @property
    def tpot(self) -> Any:
        """The time per output token of one request, a quantity."""
        return units.Q(np.asarray(self.step / self.tokens_per_step) * 1e3, "ms")


def prefill(specs: Specs, model: Model, deployment: Deployment) -> Result:
    """The step that takes `batch` prompt tokens an accelerator through the model.

    InputError for a deployment that cannot be, in one line that names the field; NaN where some of
    the configurations do not fit in memory and others do.
    """
    return _Step(specs, model, deployment, "prefill").result()


def decode(specs: Specs, model: Model, deployment: Deployment) -> Result:
    """The step that gives every request `tokens_per_step` new tokens; errors as in `prefill`."""
    return _Step(specs, model, deployment, "decode").result()


def largest_batch(
    specs: Specs, model: Model, deployment: Deployment, tpot: Numbers | None = None
) -> Any:
    """The most requests an accelerator that fit in memory in decode, and meet `tpot` (ms) if given.

    Whole requests a rank; 0 where not even one fits or meets it. `batch` is not read. Broadcasts.
    """
    step = _Step(specs, model, dataclasses.replace(deployment, batch=1.0), "decode")
    ranks = step.machine.ranks
    room = (step.machine.memory - step.weights()) / step.cache_bytes()
    most = np.floor(np.maximum(room, 0.0) / step.tensor)
    if tpot is None:
        return most * ranks
    limit = np.asarray(tpot, dtype=float) / 1e3 * np.asarray(deployment.tokens_per_step)

    def meets(batch: Any) -> Any:
        return step.at(np.maximum(batch, 1.0) * ranks).seconds() <= limit

    shape = np.broadcast_shapes(np.shape(most), np.shape(meets(1.0)))
    low, high = np.zeros(shape), np.broadcast_to(most, shape)
    while np.any(high > low):
        middle = np.ceil((low + high) / 2)
        fits = meets(middle)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return np.maximum(high, 0.0)[()] * ranks


class _Step(Layers):
    """One step of a deployment: its layers and what comes around them."""

    def head(self, queries: Any) -> Any:
        """Seconds of the output head: every query token in decode, one a prompt in prefill."""
        rows = self.batch * self.tensor * queries
        if self.phase == "prefill":
            rows = rows / self.context
        hidden, vocabulary = self.model.lm_head.shapes[0]
        return self.machine.gemm["bf16"].time(rows, hidden, vocabulary / self.tensor)

    def draft(self, layer: Any) -> Any:
        """Seconds of the draft steps: the first takes every query token, the later ones one each.

        A draft step is a `layer` behind the matrix that joins it to the model, and the output head.
        """
        drafts = self.drafts
        if self.phase == "prefill" or not np.any(drafts > 0):
            return 0.0 * drafts
        hidden = self.model.hidden_size

        def step(queries: Any, layer: Any) -> Any:
            rows = self.batch * self.tensor * queries
            join = self.machine.gemm["bf16"].time(rows, 2 * hidden, hidden)
            return layer + join + self.head(queries)

        seconds = step(self.queries, layer)
        if np.any(drafts > 1):
            later = step(1.0, sum(self.moe_layer(1.0).values()))
            seconds = seconds + np.maximum(drafts - 1.0, 0.0) * later
        return np.where(drafts > 0, seconds, 0.0)

    def breakdown(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Seconds of one layer (MoE if there are any) and of a step, by term."""
        layer: dict[str, Any] = {}
        total: dict[str, Any] = {}
        for kind, count in self.model.layers.items():
            layer = (self.moe_layer if kind == "moe" else self.dense_layer)(self.queries)
            for term, time in layer.items():
                total[term] = total.get(term, 0.0) + count * time
        total["lm_head"] = self.head(self.queries)
        total["draft"] = self.draft(sum(layer.values()))
        total["iteration"] = self.machine.iteration_overhead
        return layer, total

    def seconds(self) -> Any:
        """The step time, whether it fits in memory or not."""
        return sum(self.breakdown()[1].values())

    def result(self) -> Result:
        """The step, checked against the memory.

        In prefill, weights that do not fit are streamed from a host with a link for it.
        """
        layer, total = self.breakdown()
        step, memory = sum(total.values()), self.memory()
        accepted: Any = 1.0
        if self.phase == "decode":
            accepted = np.asarray(self.d.tokens_per_step, dtype=float)
        if self.machine.host_bandwidth is not None and self.phase == "prefill":
            lacking = np.maximum(memory - self.machine.memory, 0.0)
            total["host_link"] = np.maximum(lacking / self.machine.host_bandwidth - step, 0.0)
            step = step + total["host_link"]
        else:
            step = self.fitting(step, memory)
        tokens = np.asarray(self.d.batch, dtype=float) * accepted
        return Result(self.phase, step, tokens, memory, layer, total, accepted)

    def fitting(self, step: Any, memory: Any) -> Any:
        """The step, NaN where it does not fit in memory; InputError where nothing fits."""
        fits = np.asarray(memory <= self.machine.memory)
        if fits.all():
            return step
        if fits.any():
            return np.where(fits, step, np.nan)
        need, have = (float(np.min(size)) / 1e9 for size in (memory, self.machine.memory))
        raise InputError(f"batch: weights and KV cache take {need:,.1f} GB on a rank of "
                         f"{self.d.accelerator}, which has {have:,.1f} GB")  # fmt: skip
