"""The operators of a transformer layer: the weight matrices a token meets, and the attention core.

An operator's matrices give its parameters and, at two FLOP for every weight a token meets, its
cost. Only the attention core has no weights: its FLOP grow with the positions attended to.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from cm384.physics import arrays
from cm384.table.records import Numbers


@dataclass(frozen=True)
class Operator:
    """Weight matrices by shape `(inputs, outputs)`: `copies` are held, a token meets `active`."""

    shapes: tuple[tuple[int, int], ...]
    copies: int | Fraction = 1
    active: int | Fraction = 1

    @cached_property
    def parameters(self) -> int | Fraction:
        """Weights held; a fraction where only some of the layers have them."""
        return self.copies * sum(inputs * outputs for inputs, outputs in self.shapes)

    @cached_property
    def active_parameters(self) -> int | Fraction:
        """Weights that one token is multiplied with, at two FLOP each."""
        return self.active * sum(inputs * outputs for inputs, outputs in self.shapes)


def matrix(inputs: int, outputs: int) -> Operator:
    """One weight matrix that every token meets."""
    return Operator(((inputs, outputs),))


def gated_ffn(hidden: int, width: int, copies: int = 1, active: int = 1) -> Operator:
    """A gated feed-forward block (SwiGLU): gate and up as one matrix, then down."""
    return Operator(((hidden, 2 * width), (width, hidden)), copies, active)


def positions(context: Numbers, queries: Numbers, most: float | None = None) -> Any:
    """Mean positions that each of the last `queries` tokens of a context attends to, itself included.

    At most `most` of them, where a window or a choice of the best ends what a token attends to.

    >>> [float(positions(4096, *given)) for given in ((1,), (4096,), (4096, 128))]
    [4096.0, 2048.5, 126.015625]
    """
    if most is None:
        return context - (queries - 1) / 2

    def total(tokens: Numbers) -> Any:  # of the first so many tokens
        short = arrays.minimum(tokens, most)
        return short * (short + 1) / 2 + arrays.maximum(tokens - most, 0.0) * most

    return (total(context) - total(arrays.maximum(context - queries, 0.0))) / queries


@dataclass(frozen=True)
class Indexer:
    """What scores all positions with small heads, so that attention meets only the best `topk`.

    `share` is that of the layers which have one of their own; the others take the choice of the layer
    before. Source: DeepSeek-V3.2-Exp (DeepSeek sparse attention), section 2.1, and its modeling file.
    """

    heads: int
    dim: int
    topk: int
    share: Fraction = Fraction(1)
    # One byte an element, and a scale of four bytes for each key.
    key_bytes = 132

    def operators(self, hidden: int, query: int) -> dict[str, Operator]:
        """The matrices of one layer; `query` is the width of the compressed query."""
        shapes = {"index_query": (query, self.heads * self.dim), "index_key": (hidden, self.dim),
                  "index_weights": (hidden, self.heads)}  # fmt: skip
        found = {name: Operator((shape,), self.share, self.share) for name, shape in shapes.items()}
        return {**found, "index_core": Operator(())}

    def core_flop(self, attended: Numbers) -> Numbers:
        """FLOP per token and layer of the scores of `attended` positions."""
        return 2.0 * float(self.share) * self.heads * self.dim * attended


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (MLA), which caches one latent vector for all heads.

    Source: DeepSeek-V2 (arXiv 2405.04434), section 2.1. `q_lora_rank` is 0 where queries are not
    compressed, as in DeepSeek-V2-Lite. With an `indexer` it is sparse, and absorbed in prefill too.
    """

    heads: int
    q_lora_rank: int
    kv_lora_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    bias: bool = False
    indexer: Indexer | None = None
    kv_heads = 1  # one latent for all heads
    inputs = 1

    @property
    def kernel(self) -> str:
        """The kind of kernel that computes its core."""
        return "sparse" if self.indexer else "latent"

    def operators(self, hidden: int, absorbed: bool) -> dict[str, Operator]:
        """One layer's operators; `absorbed` takes queries and values through the latent instead.

        Absorption meets the same weights as `kv_up`, head by head. It saves expanding the cached
        latents, and pays with a wider attention core.
        """
        rank, latent, heads = self.q_lora_rank, self.kv_lora_rank, self.heads
        query = heads * (self.nope_dim + self.rope_dim)
        if rank:
            operators = {"q_down": matrix(hidden, rank), "q_up": matrix(rank, query)}
        else:
            operators = {"q_projection": matrix(hidden, query)}
        operators["kv_down"] = matrix(hidden, latent + self.rope_dim)
        if self.indexer:
            operators |= self.indexer.operators(hidden, rank)
        if absorbed or self.indexer:
            per_head = (self.nope_dim, latent), (latent, self.v_dim)
            operators["absorption"] = Operator(per_head, copies=heads, active=heads)
        else:
            operators["kv_up"] = matrix(latent, heads * (self.nope_dim + self.v_dim))
        operators["attention_core"] = Operator(())
        operators["output_projection"] = matrix(heads * self.v_dim, hidden)
        return operators

    def core_flop(self, attended: Numbers, absorbed: bool) -> Numbers:
        """FLOP per token and layer of scores and weighted values over `attended` positions."""
        widths = 2 * self.kv_lora_rank if absorbed or self.indexer else self.nope_dim + self.v_dim
        return 2.0 * self.heads * (widths + self.rope_dim) * attended

    def attended(self, context: Numbers, queries: Numbers) -> Any:
        """Mean positions that each of the last `queries` tokens of a context attends to."""
        return positions(context, queries, self.indexer.topk if self.indexer else None)

    def read(self, context: Numbers, queries: Numbers) -> Any:
        """Positions whose latents a step of `queries` tokens reads: each token a choice of its own."""
        return arrays.minimum(context, queries * self.indexer.topk) if self.indexer else context

    def kept(self, context: Numbers) -> Any:
        """Positions of a context that stay in the cache: all, chosen or not."""
        return context

    @property
    def elements(self) -> int:
        """Elements of one cached position in one layer: the latent and the shared rotary key."""
        return self.kv_lora_rank + self.rope_dim

    @property
    def kv_elements(self) -> float:
        """Elements that one more token adds in one layer."""
        return self.elements

    @property
    def index_bytes(self) -> float:
        """Bytes that a token leaves in the cache of the indexer, in one layer."""
        return float(self.indexer.share) * self.indexer.key_bytes if self.indexer else 0.0

    def norms_and_biases(self, hidden: int) -> int | Fraction:
        """One layer's parameters outside its matrices: the norms of both latents, and biases."""
        biases = self.bias * (self.q_lora_rank + self.elements + hidden)
        norms = self.q_lora_rank + self.kv_lora_rank
        # The norm of the indexer's key has a weight and a bias.
        return norms + biases + (self.indexer.share * 2 * self.indexer.dim if self.indexer else 0)


@dataclass(frozen=True)
class GroupedQueryAttention:
    """Grouped-query attention (GQA, arXiv 2305.13245): query heads share fewer KV heads.

    `qk_norms` counts the weights of the norms of queries and keys, `sinks` a score that each head keeps.
    The share `windowed` of the layers attends to the last `window` positions only. `inputs` are the
    hidden states that come in: two where a draft reads the embedding beside the state of the model.
    """

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norms: int = 0
    sinks: bool = False
    window: int = 0
    windowed: Fraction = Fraction(0)
    inputs: int = 1
    kernel = "grouped-query"
    index_bytes = 0.0
    indexer = None

    def operators(self, hidden: int, absorbed: bool) -> dict[str, Operator]:
        """One layer's operators; without a latent there is nothing to absorb."""
        return {
            "q_projection": matrix(self.inputs * hidden, self.heads * self.head_dim),
            "kv_projection": matrix(self.inputs * hidden, self.elements),
            "attention_core": Operator(()),
            "output_projection": matrix(self.heads * self.head_dim, hidden),
        }

    def core_flop(self, attended: Numbers, absorbed: bool) -> Numbers:
        """FLOP per token and layer of scores and weighted values over `attended` positions."""
        return 2.0 * self.heads * (2 * self.head_dim) * attended

    def _mixed(self, whole: Any, window: Any) -> Any:
        """The mean over the layers of what is so in a layer without and with a window."""
        share = float(self.windowed)
        return (1.0 - share) * whole + share * window if share else whole

    def attended(self, context: Numbers, queries: Numbers) -> Any:
        """Mean positions that each of the last `queries` tokens of a context attends to."""
        return self._mixed(positions(context, queries), positions(context, queries, self.window or 1))

    def read(self, context: Numbers, queries: Numbers) -> Any:
        """Positions whose keys and values a step of `queries` tokens reads."""
        return self._mixed(context, arrays.minimum(context, self.window + queries - 1.0))

    def kept(self, context: Numbers) -> Any:
        """Positions of a context that stay in the cache, in the mean layer: all, or the last of a window."""
        return self._mixed(context, arrays.minimum(context, self.window))

    @property
    def elements(self) -> int:
        """Elements of one cached position in one layer: a key and a value for each KV head."""
        return 2 * self.kv_heads * self.head_dim

    @property
    def kv_elements(self) -> float:
        """Elements that one more token of a long context adds in the mean layer; in a window it adds none."""
        return float((1 - self.windowed) * self.elements)

    def norms_and_biases(self, hidden: int) -> int:
        """One layer's parameters outside its matrices: query and key norms, and biases."""
        biases = self.qkv_bias * (self.heads * self.head_dim + self.elements)
        return biases + self.output_bias * hidden + self.qk_norms + self.sinks * self.heads
