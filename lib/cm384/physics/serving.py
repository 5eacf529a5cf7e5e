"""Prefill and decode of a deployment: step time, throughput and time budget from first principles.

A layer is a sum of named kernel times (`kernels.py`, `layers.py`); two half batches hide the
exchanges of one behind the compute of the other; layers, output head, draft steps and the gap
between iterations make a step. Nothing here is fitted to a throughput; many of the constants are
assumed, and their rows say so. A field of a deployment and a figure of the table may be arrays, which
broadcast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cm384.derive.derivation import derive
from cm384.physics import arrays, fused
from cm384.physics.deployment import refuse
from cm384.physics.layers import GROUP, GROUPS, Layers, Terms
from cm384.physics.sizes import Sizes
from cm384.physics.transformer import Model, decode_flop, prefill_flop
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.frames import pd
from cm384.table.records import Deployment, Numbers, read_conditions
from cm384.table.specs import Specs
from cm384.table.units import Quantity
from cm384.table.words import title


@dataclass(frozen=True)
class Result:
    """What a deployment does. Arrays are as wide as the deployment and the table together.

    `tokens` is what a step gives on one accelerator. The terms of many configurations are found when they
    are asked for.
    """

    phase: str
    step: Any
    tokens: Any
    memory: Any
    terms: Callable[[], tuple[Terms, Terms]]
    tokens_per_step: Any

    @cached_property
    def _found(self) -> tuple[Terms, Terms]:
        return self.terms()

    @property
    def layer(self) -> Terms:
        """Seconds of one MoE layer (a dense one if the model has none) by term."""
        return self._found[0]

    @property
    def breakdown(self) -> Terms:
        """Seconds of a step by term.

        What overlaps is whole in its term and taken off in `overlap`, so that the terms add up.
        """
        return self._found[1]

    @property
    def throughput(self) -> Quantity:
        """Tokens a second and accelerator, a quantity."""
        return units.Q(self.tokens / self.step, "token/s/accelerator")

    @property
    def tpot(self) -> Quantity:
        """The time per output token of one request, a quantity."""
        return units.Q(np.asarray(self.step / self.tokens_per_step) * 1e3, "ms")


def prefill(specs: Specs, model: Model, deployment: Deployment) -> Result:
    """The step that takes `batch` prompt tokens an accelerator through the model.

    InputError for a deployment that cannot be, in one line that names the field; NaN where some of
    the configurations do not fit in memory and others do.
    """
    return Step(specs, model, deployment, "prefill").result()


def decode(specs: Specs, model: Model, deployment: Deployment) -> Result:
    """The step that gives every request `tokens_per_step` new tokens; errors as in `prefill`."""
    return Step(specs, model, deployment, "decode").result()


def largest_batch(specs: Specs, model: Model, deployment: Deployment, tpot: Numbers | None = None) -> Any:
    """The most requests an accelerator that fit in memory in decode, and meet `tpot` (ms) if given.

    Whole requests a tensor parallel group, which share its ranks: of a group of 8, five are 5/8 each.
    0 where not even one fits or meets it. `batch` is not read. Without `tpot` sizes decide alone, of a
    chip without kernels too. Broadcasts.
    """
    if tpot is None:
        sizes = Sizes(specs, model, dataclasses.replace(deployment, batch=1.0), "decode")
        return sizes.most() / sizes.tensor * sizes.ranks_per_package
    return _one_request(specs, model, deployment, tpot).largest(tpot)


def decode_at_most(specs: Specs, model: Model, deployment: Deployment, tpot: Numbers | None = None) -> Result:
    """The decode step with the largest batch that fits in memory, and meets `tpot` if given.

    Without `tpot` no more than the batch of the deployment. InputError where no request fits.
    """
    step = _one_request(specs, model, deployment, tpot)
    batch = step.largest(tpot)
    if tpot is None:
        batch = arrays.minimum(batch, deployment.batch)
    if not np.all(batch > 0):
        chip = deployment.accelerator
        raise InputError(f"{chip}: not even one request fits or keeps the time per token")
    return step.at(batch).result()


def _one_request(specs: Specs, model: Model, deployment: Deployment, tpot: Numbers | None) -> Step:
    """The step at one request, as wide as the limits, so that draws keep an axis of their own."""
    batch = np.ones(() if tpot is None else np.shape(tpot))[()]
    return Step(specs, model, dataclasses.replace(deployment, batch=batch), "decode")


def joined(parts: Sequence[Any]) -> Any:
    """The blocks of an array one behind the other; what does not vary along the last axis is one of them."""
    varies = len(parts) > 1 and np.ndim(parts[0]) and np.shape(parts[0])[-1] > 1
    return np.concatenate(parts, axis=-1) if varies else parts[0]


class Step(Layers):
    """One step of a deployment: its layers and what comes around them."""

    drafter: Step | None

    def __init__(self, specs: Specs, model: Model, deployment: Deployment, phase: str) -> None:
        super().__init__(specs, model, deployment, phase)
        stated = arrays.number(deployment.tokens_per_step)
        self.accepted: Any = 1.0 if phase == "prefill" else stated
        if arrays.any(unstated := self.accepted != self.accepted):
            published = published_acceptance(specs, deployment, model.name, self.drafts, unstated)
            self.accepted = arrays.where(unstated, published, stated)

    def largest(self, tpot: Numbers | None) -> Any:
        """The most requests an accelerator that fit in memory and meet `tpot`."""
        most, each = self.most(), self.ranks_per_package / self.tensor
        if tpot is None:
            return most * each
        limit = arrays.number(tpot) / 1e3 * self.accepted

        def meets(requests: Any) -> Any:
            return self.at(arrays.maximum(requests, 1.0) * each).seconds() <= limit

        shape = np.broadcast_shapes(np.shape(most), np.shape(meets(1.0)))
        low, high = arrays.number(np.zeros(shape)), arrays.number(np.broadcast_to(most, shape))
        while arrays.any(high > low):
            middle = arrays.ceil((low + high) / 2)
            fits = meets(middle)
            low = arrays.where(fits, middle, low)
            high = arrays.where(fits, high, middle - 1)
        return arrays.number(arrays.maximum(high, 0.0)) * each

    def head(self, queries: Any) -> Any:
        """Seconds of the output head: every query token in decode, one a prompt in prefill."""
        rows = self.batch * self.tensor * queries
        if self.phase == "prefill":
            rows = rows / self.context
        hidden, vocabulary = self.model.lm_head.shapes[0]
        return self.machine.gemm["bf16"].time(rows, hidden, vocabulary / self.tensor)

    def draft(self, layer: Any) -> Any:
        """Seconds of the draft steps: the first takes every query token, the later ones one each.

        A draft step is a layer, like the model's own of `layer` seconds or that of a drafter, behind the
        matrix that joins it to the model, and an output head.
        """
        drafts, own = self.drafts, self.drafter or self
        if self.phase == "prefill" or not arrays.any(drafts > 0):
            return 0.0 * drafts
        hidden, read = own.model.hidden_size, own.model.joined or 2
        seconds_of = own.dense_layer if self.drafter else self.moe_layer

        def step(queries: Any, layer: Any) -> Any:
            rows = self.batch * self.tensor * queries
            join = own.machine.gemm["bf16"].time(rows, read * hidden, hidden)
            return layer + join + own.head(queries)

        seconds = step(self.queries, seconds_of(self.queries)[0] if self.drafter else layer)
        if arrays.any(drafts > 1):
            later = step(1.0, seconds_of(1.0)[0])
            seconds = seconds + arrays.maximum(drafts - 1.0, 0.0) * later
        return arrays.where(drafts > 0, seconds, 0.0)

    def layers(self) -> list[tuple[int, Any, Callable[[], Terms]]]:
        """How many layers of each kind, the seconds of one, and by term if asked; MoE last."""
        each = {"moe": self.moe_layer, "dense": self.dense_layer}
        return [(count, *each[kind](self.queries)) for kind, count in self.model.layers.items()]

    def beside(self, layer: Any) -> Terms:
        """Seconds of what a step has beside its layers, of which the last takes `layer`."""
        return {"lm_head": self.head(self.queries), "draft": self.draft(layer),
                "iteration": self.machine.iteration_overhead}  # fmt: skip

    def breakdown(self) -> tuple[Terms, Terms]:
        """Seconds of one layer (MoE if there are any) and of a step, by term."""
        total: Terms = {}
        for count, seconds, terms in self.layers():
            layer, last = terms(), seconds
            for term, time in layer.items():
                total[term] = total.get(term, 0.0) + count * time
        total |= self.beside(last)
        if self.streams_weights:
            total["host_link"] = self.streaming(sum(total.values()), self.memory())
        return layer, total

    def seconds(self) -> Any:
        """The step time, whether it fits in memory or not."""
        found = self.layers()
        layers = sum(count * seconds for count, seconds, _ in found)
        return layers + sum(self.beside(found[-1][1]).values())

    @property
    def streams_weights(self) -> bool:
        """Whether weights that do not fit come from a host with a link for it: in prefill."""
        return self.phase == "prefill" and self.machine.host_bandwidth is not None

    def streaming(self, seconds: Any, memory: Any) -> Any:
        """How much longer than the step the weights that do not fit take over the link."""
        lacking = arrays.maximum(memory - self.capacity, 0.0)
        return arrays.maximum(lacking / self.machine.host_bandwidth - seconds, 0.0)

    def in_blocks(self) -> tuple[Any, Any]:
        """The seconds of a step and its memory, of many configurations block by block."""
        found = [(part.seconds(), part.memory()) for part in self.parts()]
        step, memory = map(joined, zip(*found, strict=True))
        return step, memory

    def result(self) -> Result:
        """The step, checked against the memory."""
        step, memory = fused.both(self) or self.in_blocks()
        step = step + self.streaming(step, memory) if self.streams_weights else self.fitting(step, memory)
        tokens = arrays.number(self.d.batch) * self.accepted
        if self.trace is not None:
            self.note(self.breakdown()[1], step)
        return Result(self.phase, step, tokens, memory, self.breakdown, self.accepted)

    def note(self, total: Terms, step: Any) -> None:
        """Close a step of the trace for each term, so that a working shows what a step is made of.

        The rows of the machine, which all terms read, stand in the table of the working.
        """
        assert self.trace is not None
        del self.trace.open[self.since :]
        chip = title(self.d.accelerator)
        for term, seconds in total.items():
            if arrays.any(seconds != 0):
                name = f"{term.replace('_', ' ')}, one step on {chip}"
                value = units.Q(seconds, "s").to("ms")
                self.trace.close(len(self.trace.open), name, f"{GROUP[term]} of the whole step", value)
        self.trace.close(self.since, f"one step on {chip}", "sum of its terms", units.Q(step, "s").to("ms"))

    def fitting(self, step: Any, memory: Any) -> Any:
        """The step, NaN where it does not fit in memory; InputError where nothing fits."""
        fits = memory <= self.capacity
        if fits is True or np.all(fits):
            return step
        if arrays.any(fits):
            return arrays.where(fits, step, np.nan)
        need, have = (float(np.min(size)) / 1e9 for size in (memory, self.capacity))
        raise InputError(f"batch: weights and KV cache take {need:,.1f} GB on a rank of "
                         f"{self.d.accelerator}, which has {have:,.1f} GB")  # fmt: skip


def published_acceptance(specs: Specs, d: Deployment, model: str, drafts: Any, wanted: Any) -> Any:
    """Tokens that a step gives a request with so many `drafts`, as published for a model.

    By runs of the software that the deployment names, else of any. InputError where no source says it of
    that model and number, for those that are `wanted`.
    """
    given = {"software": d.software} if d.software else {}
    known = {0.0: 1.0}
    for _, _, text, _ in specs.stated.get((model, "tokens_per_step"), ()):
        found = read_conditions(text)
        if found.keys() <= {"drafts", *given}:
            count, by = float(found["drafts"]), found if given.items() <= found.items() else None
            if by or count not in known:
                known[count] = units.plain(specs.get(model, "tokens_per_step", **found))
    told = "tokens_per_step: not stated, and no source says how many of {drafts:g} drafts of {model} are kept"
    refuse(~np.isin(drafts, [*known]) & wanted, told, drafts=drafts, model=model)
    return sum(arrays.where(drafts == count, value, 0.0) for count, value in known.items())


# --- where the time of a token goes --------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """The time of one token on one accelerator by loss, in microseconds; the steps add up.

    `steps` holds the physical limit first, then each loss; overlap is a gain and negative.
    `bounds` says what sets the limit of the matrices and of the attention core.
    """

    phase: str
    steps: Mapping[str, Any]
    predicted: Any
    useful_share: Any
    bounds: Mapping[str, str]

    @property
    def table(self) -> pd.DataFrame:
        """One line a step: microseconds a token and the running total."""
        lines = pd.DataFrame({"step": list(self.steps), "µs a token": list(self.steps.values())})
        lines["total"] = lines["µs a token"].cumsum()
        return lines


def time_budget(specs: Specs, model: Model, deployment: Deployment, phase: str) -> Budget:
    """The budget of a deployment, per prompt token in prefill and per output token in decode.

    The limit is all useful operations at the dense peak of the matrix units, or all bytes at the memory
    bandwidth, whichever is longer; operations of rejected drafts are not useful. `useful_share` is the
    share of that peak, at the precision of the matrices, that useful operations take.
    """
    layers = Step(specs, model, deployment, phase)
    result = layers.result()
    deployment = dataclasses.replace(deployment, tokens_per_step=layers.accepted)
    useful, done = (token_flop(model, deployment, phase, drafts) for drafts in (False, True))
    peaks = [matrix_peak(specs, deployment.accelerator, p)
             for p in (layers.machine.matrix, deployment.attention_precision)]  # fmt: skip
    bandwidth = units.plain(derive("hbm_bandwidth", deployment.accelerator, specs))
    weights, cache = layers.bytes_read()
    read = [size * layers.ranks_per_package / bandwidth / result.tokens for size in (weights, cache)]

    def computing(flop: dict[str, Any]) -> list[Any]:
        core = sum(each for name, each in flop.items() if name in ("attention_core", "index_core"))
        return [(sum(flop.values()) - core) / peaks[0], core / peaks[1]]

    each = [arrays.maximum(*pair) for pair in zip(computing(done), read, strict=True)]
    limit = arrays.maximum(sum(computing(useful)), sum(read))
    rejected = arrays.maximum(sum(computing(done)), sum(read)) - limit
    binds = {
        name: str(arrays.where(operations > memory, "operations", "memory"))
        for name, operations, memory in zip(("matrices", "attention"), computing(useful), read, strict=True)
    }
    seconds: dict[str, Any] = dict.fromkeys(GROUPS, 0.0)
    for term, time in result.breakdown.items():
        seconds[GROUP[term]] = seconds[GROUP[term]] + time
    spent = {group: time / result.tokens for group, time in seconds.items()}
    steps = {
        "physical limit": limit,
        "rejected drafts": rejected,
        "operations and memory in turn": sum(each) - limit - rejected,
        "matrix kernels": spent["matrices"] - each[0],
        "attention core": spent["core"] - each[1],
        "vector work": spent["vector"],
        "exchanges": spent["exchanges"],
        "overlap": spent["overlap"],
        "draft and gaps": spent["rest"],
    }
    predicted = result.step / result.tokens
    share = sum(useful.values()) / peaks[0] / predicted
    return Budget(phase, {name: 1e6 * time for name, time in steps.items()}, 1e6 * predicted, share, binds)


def matrix_peak(specs: Specs, chip: str, precision: str) -> Any:
    """FLOP/s of the dense peak of a chip's matrix units: as stated, else of their number and clock.

    Where no source gives either, the headline peak.
    """
    if specs.has(chip, "peak", basis="matrix", precision=precision):
        return units.plain(specs.get(chip, "peak", basis="matrix", precision=precision))
    if specs.has(chip, "matrix_flop_per_clock", precision=precision):
        return units.plain(derive("peak_from_units", chip, specs, precision=precision))
    return units.plain(derive("peak", chip, specs, precision=precision))


def token_flop(model: Model, deployment: Deployment, phase: str, drafts: bool = False) -> dict[str, Any]:
    """FLOP by operator that one token costs: a prompt token, or an output token that is kept.

    With `drafts` those of the rejected ones are shared by the tokens that are kept.
    """
    if phase == "prefill":
        return dict(prefill_flop(model, deployment.context))
    queries = deployment.draft_tokens + 1 if drafts else 1
    per_token = queries / deployment.tokens_per_step if drafts else 1.0
    found = decode_flop(model, deployment.context, queries)
    return {name: value * per_token for name, value in found.items()}
