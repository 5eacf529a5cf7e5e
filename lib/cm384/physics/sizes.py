"""What one rank holds: weights and KV cache in bytes, from sizes alone.

A rank's batch counts requests in decode and tokens in prefill; the ranks of a tensor parallel group
share theirs, so a group works on `tensor_parallel` times as many. Nothing here needs a kernel.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Self

import numpy as np

from cm384.physics import arrays
from cm384.physics.deployment import LEAST, axes_of, check_fields, check_ranks
from cm384.physics.models import load_model
from cm384.physics.transformer import Layer, Model, bytes_per_element
from cm384.table import units
from cm384.table.records import FOUR_BIT_WEIGHTS, Deployment
from cm384.table.specs import Specs, once

BLOCK = 16_384  # configurations whose intermediate arrays fit in a processor's cache
HALF = 2.0  # bytes of a 16-bit element, in which outputs and hidden states are kept


class Rows:
    """The rows of one subject as plain numbers in base units; draws come before `axes` further ones."""

    def __init__(self, specs: Specs, name: str, axes: int) -> None:
        self.specs, self.name, self.axes = specs, name, axes

    def has(self, quantity: str, subject: str = "", **given: str) -> bool:
        """Whether the table states a quantity."""
        return self.specs.has(subject or self.name, quantity, **given)

    def number(self, quantity: str, basis: str | None = None, subject: str = "", **given: str) -> Any:
        """A figure of the table."""
        value = units.plain(self.specs.get(subject or self.name, quantity, basis, **given))
        return value.reshape(value.shape + (1,) * self.axes) if value.ndim else float(value)

    def optional(self, quantity: str, default: Any, subject: str = "", **given: str) -> Any:
        """A figure of the table, or `default` where it has none."""
        return (
            self.number(quantity, None, subject, **given) if self.has(quantity, subject, **given) else default
        )


def _held(
    specs: Specs, name: str, axes: int, precisions: tuple[str, ...], four_bit: str
) -> tuple[Any, Any, dict[str, Any]]:
    """Ranks of a package, bytes of memory of each, and bytes of an element in some precisions."""
    rows = Rows(specs, name, axes)
    ranks = rows.optional("ranks_per_package", 1.0)
    usable = (name, "hbm_capacity", "", "usable") in specs.rows
    capacity = rows.number("hbm_capacity", "usable" if usable else "nominal") / ranks
    element = {
        precision: rows.number("element_bytes", subject="serving", weights=four_bit or "int4")
        if precision in FOUR_BIT_WEIGHTS
        else rows.optional("element_bytes", bytes_per_element(precision), "serving", precision=precision)
        for precision in precisions
    }
    return ranks, capacity, element


class Sizes:
    """The sizes of a model in one phase of a deployment; InputError names a field that cannot be."""

    def __init__(self, specs: Specs, model: Model, deployment: Deployment, phase: str) -> None:
        check_fields(deployment, model, phase)
        self.model, self.d, self.phase, self.trace = model, deployment, phase, specs.trace
        self.since, d = len(self.trace.open) if self.trace else 0, deployment
        self.axes = axes_of(d)
        self.rows = Rows(specs, d.accelerator, self.axes)
        named = tuple(dict.fromkeys((d.matrix_precision, d.attention_precision, "bf16")))
        found = once(_held, specs, d.accelerator, self.axes, named, model.four_bit)
        self.ranks_per_package, self.capacity, self.element = found
        check_ranks(d, self.ranks_per_package, model)
        fields = d.context, d.tensor_parallel, d.expert_parallel, d.draft_tokens
        self.context, self.tensor, self.ranks, self.drafts = map(arrays.number, fields)
        # Experts split no finer than attention are cut in shards, and all-reduced, not exchanged.
        self.inside = self.tensor >= self.ranks
        self.shards = arrays.maximum(self.tensor / self.ranks, 1.0)
        # With more ranks than experts, the shared experts have ranks of their own.
        self.apart = self.ranks > max(model.routed_experts, 1)
        # A model that drafts for this one has its own layers on every rank of the group.
        self.drafter: Sizes | None = None
        if d.drafter:
            alone = dataclasses.replace(
                d, drafter="", draft_tokens=0, tokens_per_step=1, expert_parallel=d.tensor_parallel,
                matrix_precision="bf16",
            )  # fmt: skip
            drafting = load_model(specs.models.get(d.drafter, d.drafter))
            self.drafter = type(self)(specs, drafting, alone, phase)

    def at(self, batch: Any) -> Self:
        """The same at another batch, without reading the table again."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, d=dataclasses.replace(self.d, batch=batch))
        other.drafter = self.drafter and self.drafter.at(batch)
        return other

    def parts(self) -> list[Self]:
        """The configurations in blocks that fit a processor's cache, along the last axis; itself if few."""
        if not self.axes:
            return [self]
        shapes = [np.shape(getattr(self.d, field)) for field in LEAST]
        *others, last = np.broadcast_shapes(*shapes)
        length = max(BLOCK // math.prod(others), 2)
        if last <= 2 * length:
            return [self]
        return [self.cut(slice(start, start + length), last) for start in range(0, last, length)]

    def cut(self, part: slice, last: int) -> Self:
        """The same for some of the configurations, of which the last axis has so many."""

        def some(value: Any) -> Any:
            return value[..., part] if np.ndim(value) and np.shape(value)[-1] == last else value

        other = object.__new__(type(self))
        held = {name: some(v) if isinstance(v, np.ndarray) else v for name, v in vars(self).items()}
        fields = {field: some(getattr(self.d, field)) for field in LEAST}
        other.__dict__.update(held, d=dataclasses.replace(self.d, **fields))
        other.drafter = self.drafter and self.drafter.cut(part, last)
        return other

    @property
    def batch(self) -> Any:
        """Requests (decode) or tokens (prefill) of one rank."""
        return arrays.number(self.d.batch) / self.ranks_per_package

    @property
    def projected(self) -> str:
        """The precision of the matrices around attention: beside FP4 experts, that of the core."""
        if self.d.matrix_precision in FOUR_BIT_WEIGHTS and self.model.attention_kept:
            return "bf16"
        return self.d.attention_precision if self.d.matrix_precision == "fp4" else self.d.matrix_precision

    def kept(self, precision: str) -> Any:
        """Bytes of an element of a matrix that is not of a routed expert."""
        return FOUR_BIT_WEIGHTS.get(precision) or self.element[precision]

    def expert_slots(self) -> Any:
        """Experts whose weights a rank holds; balancing by replicas takes one slot more."""
        share = self.model.routed_experts / self.ranks
        return arrays.floor(share) + 1.0 if self.d.routing == "eplb" else arrays.ceil(share)

    def weights(self) -> Any:
        """Bytes of weights on one rank, with the embedding, the head and the layers that draft."""
        model = self.model
        # A model that drafts for another reads the embedding of that one.
        ends = model.lm_head.parameters * (1 if model.tied_embedding or model.joined else 2)
        drafting = self.drafts > 0 if model.mtp_layers and not self.drafter else 0.0
        held = self.layer_bytes({**model.layers, "mtp": drafting * model.mtp_layers})
        own = ends * HALF / self.tensor + held + model.join.parameters * HALF
        return own + self.drafter.weights() if self.drafter else own

    def layer_bytes(self, layers: dict[Layer, Any]) -> Any:
        """Bytes of weights on one rank of so many layers of each kind."""
        held: dict[str, Any] = {}
        for layer, count in layers.items():
            for kind, size in self.model.held[layer].items():
                held[kind] = held.get(kind, 0.0) + count * size
        return sum(self.held_bytes(kind, size) for kind, size in held.items())

    def bytes_read(self) -> tuple[Any, Any]:
        """Bytes of weights and of cache that one rank reads in a decode step without drafts; 0 in prefill."""
        if self.phase == "prefill":
            return 0.0, 0.0
        head = self.model.lm_head.parameters * HALF / self.tensor
        cache = self.position_bytes(self.model.attention.read(self.context, 1.0))
        return self.layer_bytes(self.model.layers) + head, self.batch * self.tensor * cache

    def held_bytes(self, kind: str, held: Any) -> Any:
        """Bytes that one rank holds of so many weights of a kind (`Model.held`)."""
        if kind == "routed_experts":
            each = held * self.element[self.d.matrix_precision]
            return each * self.expert_slots() / self.shards
        if kind == "shared_experts":
            each = held * self.kept(self.d.matrix_precision)
            return arrays.where(self.apart, 0.0, each / arrays.where(self.inside, self.tensor, 1.0))
        if kind == "dense_ffn":
            return held * self.kept(self.d.matrix_precision) / self.tensor
        if kind == "projected":
            return held * self.kept(self.projected) / self.tensor
        return held * HALF / self.tensor if kind == "absorption" else held * HALF

    def cache_bytes(self) -> Any:
        """Bytes of KV cache of one request on one rank at the mean length.

        The ranks of a group split the keys and values by KV head; a latent has one for all heads, so
        that each rank holds it whole, and so have the keys of an indexer.
        """
        own = self.position_bytes(self.model.attention.kept(self.context))
        return own + self.drafter.cache_bytes() if self.drafter else own

    def position_bytes(self, positions: Any) -> Any:
        """Bytes of so many positions of one request on one rank, in all layers, and of its index keys."""
        attention, layers = self.model.attention, sum(self.model.layers.values())
        split = arrays.minimum(self.tensor, attention.kv_heads)
        held = positions * attention.elements * bytes_per_element(self.d.kv_precision) / split
        return layers * (held + attention.index_bytes * self.context)

    def memory(self) -> Any:
        """Bytes of weights and cache on one rank."""
        requests = self.batch * self.tensor
        if self.phase == "prefill":
            requests = requests / self.context
        return self.weights() + requests * self.cache_bytes()

    def most(self) -> Any:
        """The most requests a tensor parallel group that fit in memory."""
        return arrays.floor(arrays.maximum(self.capacity - self.weights(), 0.0) / self.cache_bytes())
