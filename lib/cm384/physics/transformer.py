"""Parameters, FLOPs and bytes per token of a transformer, from its Hugging Face `config.json`.

A model is layers of named operators (`operators.py`), and that one table gives everything:
parameters are the weights held, a token costs two FLOP for every weight it meets, and the
attention core costs more the longer the context.

>>> from cm384.physics.models import load_model
>>> model = load_model("deepseek-r1")
>>> print(f"{model.parameters / 1e9:.2f} B, {model.active_parameters / 1e9:.2f} B active")
671.03 B, 37.55 B active
>>> print(f"{sum(prefill_flop(model, 4096).values()) / 1e9:.1f} GFLOP per prompt token")
81.6 GFLOP per prompt token
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from cm384.physics.operators import (
    GroupedQueryAttention,
    LatentAttention,
    Operator,
    gated_ffn,
    matrix,
    positions,
)
from cm384.table.errors import InputError, check_known
from cm384.table.records import BYTES_PER_ELEMENT, Numbers

Layer = Literal["dense", "moe", "mtp"]
Attention = LatentAttention | GroupedQueryAttention
# How ranks hold the weights of an operator; each rank has all others whole.
HELD = {name: name for name in ("routed_experts", "shared_experts", "dense_ffn", "absorption")}
HELD |= dict.fromkeys(("q_up", "q_projection", "kv_projection", "output_projection"), "projected")


@dataclass(frozen=True)
class Model:
    """One model's shape. Nothing counts multi-token prediction (MTP) unless its name says so.

    `four_bit` names the 4-bit format that the checkpoint keeps its experts' weights in, `attention_kept`
    says whether it keeps the matrices around attention in 16 bits, and `untimed` why no time can be
    predicted, where the format of its weights is not modelled. A model that drafts for another one
    reads `joined` of its hidden states, and its head has `draft_vocab_size` outputs.
    """

    name: str
    hidden_size: int
    vocab_size: int
    tied_embedding: bool
    attention: Attention
    dense_layers: int
    ffn_size: int
    ffn_bias: bool = False
    moe_layers: int = 0
    mtp_layers: int = 0
    expert_size: int = 0
    routed_experts: int = 0
    shared_experts: int = 0
    experts_per_token: int = 0
    router_bias: bool = False
    expert_bias: bool = False
    joined: int = 0
    draft_vocab_size: int = 0
    four_bit: str = ""
    attention_kept: bool = False
    untimed: str = ""

    @cached_property
    def layers(self) -> dict[Layer, int]:
        """How many layers there are of each kind: dense, mixture of experts (MoE)."""
        counts: dict[Layer, int] = {"dense": self.dense_layers, "moe": self.moe_layers}
        return {layer: count for layer, count in counts.items() if count}

    def operators(self, layer: Layer, absorbed: bool = False) -> dict[str, Operator]:
        """One layer's operators by name, absorbed or not where attention is latent.

        An `mtp` layer is a MoE layer behind a matrix that joins hidden state and next embedding.
        """
        return self._operators[layer, absorbed]

    @cached_property
    def _operators(self) -> dict[tuple[Layer, bool], dict[str, Operator]]:
        every: tuple[Layer, ...] = get_args(Layer)
        return {(layer, each): self._of(layer, each) for layer in every for each in (False, True)}

    def _of(self, layer: Layer, absorbed: bool) -> dict[str, Operator]:
        hidden = self.hidden_size
        attention = self.attention.operators(hidden, absorbed)
        if layer == "dense":
            return attention | {"dense_ffn": gated_ffn(hidden, self.ffn_size)}
        experts, active = self.routed_experts, self.experts_per_token
        moe = {
            "router": matrix(hidden, experts),
            "routed_experts": gated_ffn(hidden, self.expert_size, experts, active),
        }
        if self.shared_experts:
            moe["shared_experts"] = gated_ffn(hidden, self.shared_experts * self.expert_size)
        draft = {"mtp_projection": matrix(2 * hidden, hidden)} if layer == "mtp" else {}
        return draft | attention | moe

    @cached_property
    def held(self) -> dict[Layer, dict[str, float]]:
        """Weights of a layer by its kind and by how ranks hold them, absorbed; of routed experts one's."""
        found: dict[Layer, dict[str, float]] = {}
        for layer in get_args(Layer):
            weights = found.setdefault(layer, dict.fromkeys([*HELD.values(), "whole"], 0.0))
            for name, operator in self.operators(layer, absorbed=True).items():
                each = float(operator.copies if name == "routed_experts" else 1) or 1.0
                weights[HELD.get(name, "whole")] += float(operator.parameters) / each
        return {layer: {kind: size for kind, size in w.items() if size} for layer, w in found.items()}

    def norms_and_biases(self, layer: Layer) -> int | Fraction:
        """One layer's parameters outside its matrices."""
        hidden = self.hidden_size
        count = (1 + self.attention.inputs) * hidden + self.attention.norms_and_biases(hidden)
        if layer == "dense":
            return count + self.ffn_bias * (2 * self.ffn_size + hidden)
        # An MTP layer has norms of its own for both inputs and for the output.
        draft = 3 * hidden if layer == "mtp" else 0
        biases = self.router_bias + self.expert_bias * (2 * self.expert_size + hidden)
        return count + draft + biases * self.routed_experts

    @cached_property
    def lm_head(self) -> Operator:
        """The output head, a matrix of its own or the embedding again."""
        return matrix(self.hidden_size, self.draft_vocab_size or self.vocab_size)

    @cached_property
    def join(self) -> Operator:
        """The matrix that joins what a draft reads of the model: nothing where it drafts for none."""
        return matrix(self.joined * self.hidden_size, self.hidden_size)

    @property
    def parameters(self) -> int:
        """All parameters, embedding and output head included."""
        return int(sum(parameters_by_component(self).values()))

    @property
    def active_parameters(self) -> int:
        """All parameters but those of the routed experts that a token is not sent to.

        The embedding counts whole, though a token reads one row of it.
        """
        experts = self.operators("moe")["routed_experts"] if self.moe_layers else Operator(())
        idle = experts.parameters - experts.active_parameters
        unmet = self.routed_experts - self.experts_per_token
        idle += unmet * self.expert_bias * (2 * self.expert_size + self.hidden_size)
        return int(self.parameters - self.moe_layers * idle)

    @property
    def matmul_parameters(self) -> int:
        """Weights that a decoded token is multiplied with, at two FLOP each.

        The output head is included and the embedding is not: the 36.6 B that DeepSeek counts as
        active in V3. Without `lm_head.parameters` it is what a prompt token costs.
        """
        met = sum(
            count * operator.active_parameters
            for layer, count in self.layers.items()
            for operator in self.operators(layer).values()
        )
        return int(self.lm_head.parameters + met)

    @property
    def mtp_parameters(self) -> int:
        """Parameters of the MTP layers, without the embedding and head that they share."""
        if not self.mtp_layers:
            return 0
        matrices = sum(operator.parameters for operator in self.operators("mtp").values())
        return int(self.mtp_layers * (matrices + self.norms_and_biases("mtp")))

    @property
    def kv_elements(self) -> float:
        """Elements that one more token of a long context adds to the KV cache, over all layers."""
        return sum(self.layers.values()) * self.attention.kv_elements


def parameters_by_component(model: Model) -> dict[str, int]:
    """Parameters by operator over all layers, and `embedding`, `norms_and_biases`, `lm_head`.

    A tied output head is the embedding again and has no entry.
    """
    components: dict[str, int | Fraction] = defaultdict(int)
    components["embedding"] = model.vocab_size * model.hidden_size
    if model.joined:
        components["join"] = model.join.parameters
    for layer, count in model.layers.items():
        for name, operator in model.operators(layer).items():
            components[name] += count * operator.parameters
        components["norms_and_biases"] += count * model.norms_and_biases(layer)
    components["norms_and_biases"] += model.hidden_size
    if not model.tied_embedding:
        components["lm_head"] = model.lm_head.parameters
    return {name: int(count) for name, count in components.items()}


def prefill_flop(model: Model, context: npt.ArrayLike, layer: Layer | None = None) -> dict[str, Numbers]:
    """FLOP per prompt token by operator, averaged over a prompt of `context` tokens.

    Causal, so a token attends to `(context + 1) / 2` positions on average; MLA not absorbed. One
    layer of the kind `layer`, or the whole model. Only the last position needs the output head: a
    prompt token pays for `1 / context` of it. `context` broadcasts.
    """
    prompt = np.asarray(context, dtype=float)
    flop = _flop(model, prompt, prompt, layer, absorbed=False)
    if layer is None:
        flop["lm_head"] = 2.0 * model.lm_head.parameters / prompt
    return flop


def decode_flop(
    model: Model, context: npt.ArrayLike, query_length: npt.ArrayLike = 1, layer: Layer | None = None
) -> dict[str, Numbers]:
    """FLOP per query token by operator, in a step that ends with `context` tokens in the KV cache.

    A step takes `query_length` tokens of a request (1 without drafts): the last attends to all of
    `context`, each before it to one position fewer; MLA absorbed. One layer of the kind `layer`,
    or the whole model. `context` and `query_length` broadcast.

    >>> from cm384.physics.models import load_model
    >>> flop = decode_flop(load_model("deepseek-r1"), [4096, 8192])
    >>> print((sum(flop.values()) / 1e9).round(1))
    [142.8 212.4]
    """
    flop = _flop(model, np.asarray(context), np.asarray(query_length), layer, absorbed=True)
    if layer is None:
        flop["lm_head"] = 2.0 * model.lm_head.parameters
    return flop


def _flop(
    model: Model, context: Any, query_length: Any, layer: Layer | None, absorbed: bool
) -> dict[str, Numbers]:
    """FLOP per token by operator for the last `query_length` tokens of a context."""
    if not np.all((query_length >= 1) & (context >= query_length)):
        raise InputError("context: expected at least 1 token, and no fewer than query_length")
    if layer and not {**model.layers, "mtp": model.mtp_layers}.get(layer):
        raise InputError(f"layer: {model.name} has no {layer} layers")
    attention = model.attention
    cores = {"attention_core": attention.core_flop(attention.attended(context, query_length), absorbed)}
    if attention.indexer:
        cores["index_core"] = attention.indexer.core_flop(positions(context, query_length))
    flop: dict[str, Numbers] = {}
    for kind, count in ({layer: 1} if layer else model.layers).items():
        for name, operator in model.operators(kind, absorbed).items():
            cost = cores[name] if name in cores else 2.0 * float(operator.active_parameters)
            flop[name] = flop.get(name, 0.0) + count * cost
    return flop


def weight_bytes(model: Model, precision: str, rest: str = "bf16") -> dict[str, float]:
    """Bytes of the weights by component: the layers' matrices in `precision`, others in `rest`.

    The others are what the FP8 checkpoints of DeepSeek-V3 and Kimi K2 keep in BF16: embedding,
    head, router and norms. Block scales are not counted (FP8 in blocks of 128 x 128: 0.02 %).
    """
    kept = {"embedding", "lm_head", "router", "norms_and_biases"}
    matrices, others = bytes_per_element(precision), bytes_per_element(rest)
    components = parameters_by_component(model).items()
    return {name: count * (others if name in kept else matrices) for name, count in components}


def kv_bytes(model: Model, precision: str = "bf16") -> float:
    """Bytes that one more token of a long context adds to the KV cache, over all layers.

    Layers with a window add none; the keys of an indexer are 8 bits and a scale, whatever `precision`.

    >>> from cm384.physics.models import load_model
    >>> kv_bytes(load_model("deepseek-r1"))
    70272.0
    """
    index = sum(model.layers.values()) * model.attention.index_bytes
    return model.kv_elements * bytes_per_element(precision) + index


def bytes_per_element(precision: str) -> float:
    """Bytes of one element in `precision`."""
    check_known("precision", precision, BYTES_PER_ELEMENT)
    return BYTES_PER_ELEMENT[precision]
