"""The operators of a transformer layer: the weight matrices a token meets, and the attention core.

An operator's matrices give its parameters and, at two FLOP for every weight a token meets, its
cost. Only the attention core has no weights: its FLOP grow with the positions attended to.
"""

from __future__ import annotations

from dataclasses import dataclass

from cm384.table.records import Numbers


@dataclass(frozen=True)
class Operator:
    """Weight matrices by shape `(inputs, outputs)`: `copies` are held, a token meets `active`."""

    shapes: tuple[tuple[int, int], ...]
    copies: int = 1
    active: int = 1

    @property
    def parameters(self) -> int:
        """Weights held."""
        return self.copies * sum(inputs * outputs for inputs, outputs in self.shapes)

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with, at two FLOP each."""
        return self.active * sum(inputs * outputs for inputs, outputs in self.shapes)


def matrix(inputs: int, outputs: int) -> Operator:
    """One weight matrix that every token meets."""
    return Operator(((inputs, outputs),))


def gated_ffn(hidden: int, width: int, copies: int = 1, active: int = 1) -> Operator:
    """A gated feed-forward block (SwiGLU): gate and up as one matrix, then down."""
    return Operator(((hidden, 2 * width), (width, hidden)), copies, active)


@dataclass(frozen=True)
class LatentAttention:
    """Multi-head latent attention (MLA), which caches one latent vector for all heads.

    Source: DeepSeek-V2 (arXiv 2405.04434), section 2.1. `q_lora_rank` is 0 where queries are not
    compressed, as in DeepSeek-V2-Lite.
    """

    heads: int
    q_lora_rank: int
    kv_lora_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    bias: bool = False
    kernel = "latent"  # the kind of kernel that computes its core
    kv_heads = 1  # one latent for all heads

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
        if absorbed:
            per_head = (self.nope_dim, latent), (latent, self.v_dim)
            operators["absorption"] = Operator(per_head, copies=heads, active=heads)
        else:
            operators["kv_up"] = matrix(latent, heads * (self.nope_dim + self.v_dim))
        operators["attention_core"] = Operator(())
        operators["output_projection"] = matrix(heads * self.v_dim, hidden)
        return operators

    def core_flop(self, attended: Numbers, absorbed: bool) -> Numbers:
        """FLOP per token and layer of scores and weighted values over `attended` positions."""
        widths = 2 * self.kv_lora_rank if absorbed else self.nope_dim + self.v_dim
        return 2.0 * self.heads * (widths + self.rope_dim) * attended

    @property
    def kv_elements(self) -> int:
        """Elements cached per token and layer: the latent and the shared rotary key."""
        return self.kv_lora_rank + self.rope_dim

    def norms_and_biases(self, hidden: int) -> int:
        """One layer's parameters outside its matrices: the norms of both latents, and biases."""
        biases = self.bias * (self.q_lora_rank + self.kv_elements + hidden)
        return self.q_lora_rank + self.kv_lora_rank + biases


@dataclass(frozen=True)
class GroupedQueryAttention:
    """Grouped-query attention (GQA, arXiv 2305.13245): query heads share fewer KV heads.

    `qk_norms` counts the weights of the norms of queries and keys.
    """

    heads: int
    kv_heads: int
    head_dim: int
    qkv_bias: bool = False
    output_bias: bool = False
    qk_norms: int = 0
    kernel = "grouped-query"

    def operators(self, hidden: int, absorbed: bool) -> dict[str, Operator]:
        """One layer's operators; without a latent there is nothing to absorb."""
        return {
            "q_projection": matrix(hidden, self.heads * self.head_dim),
            "kv_projection": matrix(hidden, self.kv_elements),
            "attention_core": Operator(()),
            "output_projection": matrix(self.heads * self.head_dim, hidden),
        }

    def core_flop(self, attended: Numbers, absorbed: bool) -> Numbers:
        """FLOP per token and layer of scores and weighted values over `attended` positions."""
        return 2.0 * self.heads * (2 * self.head_dim) * attended

    @property
    def kv_elements(self) -> int:
        """Elements cached per token and layer: a key and a value for each KV head."""
        return 2 * self.kv_heads * self.head_dim

    def norms_and_biases(self, hidden: int) -> int:
        """One layer's parameters outside its matrices: query and key norms, and biases."""
        biases = self.qkv_bias * (self.heads * self.head_dim + self.kv_elements)
        return biases + self.output_bias * hidden + self.qk_norms
