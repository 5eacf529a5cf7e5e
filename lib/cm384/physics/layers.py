"""One layer on one rank: which kernels run in it, on how much work, and what hides behind what.

Terms are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cm384.physics import arrays, kernels
from cm384.physics.kernels import Gemm
from cm384.physics.operators import LatentAttention, positions
from cm384.physics.sizes import HALF, Sizes
from cm384.physics.transformer import Layer, Model, bytes_per_element
from cm384.table.records import FOUR_BIT_WEIGHTS, Deployment
from cm384.table.specs import Specs

Terms = dict[str, Any]  # seconds by term
SCORE_BYTES = 4.0  # of one score of a position, which stays in 32 bits
# The group of work that each term of a step counts to, and the terms of the attention half of a layer.
GROUPS = {
    "matrices": ("projections", "absorption", "output_projection", "router", "routed_experts",
                 "shared_experts", "dense_ffn", "lm_head"),
    "core": ("indexer", "attention_core"),
    "vector": ("attention_vector", "expert_vector", "ffn_vector"),
    "exchanges": ("sequence_parallel", "attention_reduce", "ffn_reduce", "dispatch", "combine"),
    "overlap": ("overlap",),
    "rest": ("draft", "iteration", "host_link", "prefill"),
}  # fmt: skip
GROUP = {term: group for group, terms in GROUPS.items() for term in terms}
ATTENTION = ("projections", "absorption", "indexer", "attention_core", "output_projection",
             "sequence_parallel", "attention_reduce", "attention_vector")  # fmt: skip


class Layers(Sizes):
    """The layers of a model in one phase of a deployment."""

    def __init__(self, specs: Specs, model: Model, deployment: Deployment, phase: str) -> None:
        super().__init__(specs, model, deployment, phase)
        d, core, experts = deployment, model.attention.kernel, bool(model.moe_layers)
        asked = kernels.Asked(
            phase, d.matrix_precision, d.attention_precision, core, experts, d.software, model.four_bit
        )
        self.machine = kernels.machine(specs, d.accelerator, asked, self.axes)
        exchanging = arrays.where(self.inside, 1.0, self.ranks)
        kernels.check_reach(self.machine, d.accelerator, self.tensor, exchanging)
        # Ranks a token goes to: its routed experts, and the shared ones if they are apart.
        self.copies = model.experts_per_token + arrays.where(self.apart, float(model.shared_experts), 0.0)
        self.queries: Any = self.drafts + 1.0 if phase == "decode" else 1.0
        kind: Layer = "moe" if model.moe_layers else "dense"
        self.operators = model.operators(kind, absorbed=phase == "decode")
        # The matrices of shared experts and dense feed-forward blocks, those around attention, and the
        # output projection: FP4 with the experts, unless attention is kept in BF16.
        gemm, named = self.machine.gemm, self.projected
        self.matrices = gemm[self.machine.matrix]
        self.projections = self.matrices if named in FOUR_BIT_WEIGHTS else gemm[named]
        apart = d.matrix_precision == "fp4" and d.attention_precision == "bf16"
        self.output = self.projections if apart else self.matrices

    # --- attention -------------------------------------------------------------------------------

    def attention(self, batch: Any, queries: Any, share: Any) -> Terms:
        """Seconds of the attention half of a layer for a batch of one rank, by term."""
        machine, tensor, gemm = self.machine, self.tensor, self.projections
        tokens = batch * tensor * queries
        operators = self.operators
        times: list[Any] = []
        # One product brings queries and latents down; every rank of a group does it whole.
        down = sum(operators[name].shapes[0][1] for name in ("q_down", "kv_down") if name in operators)
        if down:
            times.append(gemm.time(tokens, self.model.hidden_size, down, 1, share))
        for name in ("q_up", "q_projection", "kv_up", "kv_projection"):
            if name in operators:
                inputs, outputs = operators[name].shapes[0]
                times.append(gemm.time(tokens, inputs, outputs / tensor, 1, share))
        terms = {"projections": sum(times)}
        if absorption := operators.get("absorption"):
            heads, bf16 = absorption.copies / tensor, machine.gemm["bf16"]
            terms["absorption"] = sum(bf16.time(tokens * heads, i, o, heads, share)
                                      for i, o in absorption.shapes)  # fmt: skip
        if self.model.attention.indexer:
            terms["indexer"] = self.indexer(batch, queries, share)
        terms["attention_core"] = self.attention_core(batch, queries, share)
        inputs, outputs = operators["output_projection"].shapes[0]
        terms["output_projection"] = self.output.time(tokens, inputs / tensor, outputs, 1, share)
        if self.phase == "prefill" and down and machine.peer_bandwidth:
            terms["sequence_parallel"] = self.sequence_parallel(batch, down, inputs)
        if arrays.any(tensor > 1):
            terms["attention_reduce"] = self.all_reduce(tokens)
        terms["attention_vector"] = self.attention_vector(tokens)
        return terms

    def attention_core(self, batch: Any, queries: Any, share: Any) -> Any:
        """Seconds of scores and weighted values: computing, or reading the cache if that is slower.

        Causal and expanded in prefill; in decode absorbed, and as long as the longest rank takes.
        """
        machine, attention, context = self.machine, self.model.attention, self.context
        decode = self.phase == "decode"
        attended = attention.attended(context, queries if decode else context)
        tokens = batch * self.tensor * queries
        heads = attention.heads / self.tensor
        flop = tokens * attention.core_flop(attended, absorbed=decode) / attention.heads
        if attention.indexer:  # kernels work on whole tiles of heads
            heads = arrays.ceil(heads / machine.attention_head_tile) * machine.attention_head_tile
        flop = flop * heads
        seconds = flop / (machine.attention_rate.at(arrays.log(context)) * share)
        if not decode:
            return seconds
        element = bytes_per_element(self.d.kv_precision)
        split = arrays.minimum(self.tensor, attention.kv_heads)
        read = attention.read(context, queries) * attention.elements * element / split
        cache = batch * self.tensor * read
        seconds = arrays.maximum(seconds, cache / machine.attention_bandwidth)
        output = arrays.number(self.d.output)
        if not arrays.any(output > 0):
            return machine.attention_fixed_time + seconds
        # Requests are at a random point of their `output` tokens: a sum of uniform numbers.
        spread = output / arrays.sqrt(12.0) / context
        spread = spread / arrays.sqrt(arrays.maximum(batch * self.tensor, 1.0))
        groups = arrays.number(self.d.accelerators) * self.ranks_per_package / self.tensor
        longest = 1.0 + kernels.normal_maximum(groups) * spread
        return machine.attention_fixed_time + seconds * longest

    def indexer(self, batch: Any, queries: Any, share: Any) -> Any:
        """Seconds of choosing what sparse attention attends to; every rank of a group does it whole.

        Its matrices, the scores of all positions (computing, or reading the keys if that is slower) and
        the best of them, for which the scores are written and read again.
        """
        machine, attention, context = self.machine, self.model.attention, self.context
        index, decode = attention.indexer, self.phase == "decode"
        assert index is not None
        tokens = batch * self.tensor * queries
        shapes = {
            name: self.operators[name].shapes[0] for name in ("index_query", "index_key", "index_weights")
        }
        (hidden, key), (_, weights) = shapes["index_key"], shapes["index_weights"]
        products = self.projections.time(tokens, *shapes["index_query"], 1, share)
        products = products + machine.gemm["bf16"].time(tokens, hidden, key + weights, 1, share)
        scored = positions(context, queries if decode else context)
        flop = 2.0 * tokens * index.heads * index.dim * scored
        keys = batch * self.tensor * (context if decode else 1.0) * index.key_bytes
        core = arrays.maximum(flop / (machine.index_rate * share), keys / machine.memory_bandwidth)
        chosen = tokens * scored * SCORE_BYTES * 2.0 / machine.memory_bandwidth
        beside = machine.index_fixed_time + tokens * machine.index_token_time
        return float(index.share) * (products + beside + core + chosen)

    def sequence_parallel(self, tokens: Any, latents: int, width: int) -> Any:
        """Seconds of the collectives around sequence parallel attention (SP-TP-SP).

        Every rank gathers the latents of the group before the heads are split over it; the heads'
        outputs, `width` a token, go back all-to-all. Source: CloudMatrix paper, section 4.3.1.
        """
        group, peer = self.machine.sequence_parallel, self.machine.peer_bandwidth
        gathered = tokens * (group - 1.0) * latents * HALF
        returned = tokens * (1.0 - 1.0 / group) * width * HALF
        return gathered / peer["read"] + returned / peer["write"]

    def all_reduce(self, tokens: Any) -> Any:
        """Seconds to add up the hidden states of a tensor parallel group; 0 for a single rank."""
        return self.machine.all_reduce.time(self.tensor, tokens * self.model.hidden_size * HALF)

    def attention_vector(self, tokens: Any) -> Any:
        """Seconds of norm, rotary embedding, quantised inputs, and keys assembled in prefill."""
        attention, hidden = self.model.attention, self.model.hidden_size
        heads = attention.heads / self.tensor
        if isinstance(attention, LatentAttention):
            width, turned = attention.v_dim, attention.rope_dim
            latents = attention.q_lora_rank + attention.kv_lora_rank
            if self.phase == "prefill":
                turned += attention.nope_dim + attention.rope_dim
        else:
            width, turned, latents = attention.head_dim, attention.head_dim, 0
        size = self.machine.vector_bytes["norm"] * hidden
        size = size + self.machine.vector_bytes["rotary"] * heads * turned
        if self.projections is not self.machine.gemm["bf16"]:
            inputs = hidden + latents + heads * width
            size = size + self.machine.vector_bytes["quantise"] * inputs
        return self.vector(tokens * size)

    def vector(self, size: Any) -> Any:
        """Seconds of half a layer's small kernels, which move `size` bytes of memory."""
        replicated, cut = self.machine.small_kernels
        count = (replicated if cut is replicated else arrays.where(self.tensor > 1, cut, replicated)) / 2.0
        return count * self.machine.small_kernel_time + size / self.machine.memory_bandwidth

    # --- experts ---------------------------------------------------------------------------------

    def load(self, tokens: Any) -> Any:
        """Copies of tokens that the busiest expert rank receives, over those of the mean rank.

        Uniformly random routing: the expected maximum over ranks, and with more ranks than experts
        an expert without a replica. Real traffic: the sourced balance, but never worse than single
        experts are uneven without balancing.
        """
        machine, ranks, experts = self.machine, self.ranks, self.model.routed_experts
        if self.d.routing == "balanced":
            return 1.0
        alone = ranks / experts * self.model.experts_per_token / self.copies
        alone = arrays.where(self.apart, alone, 1.0)
        mean = arrays.maximum(tokens * self.shards, 1e-9) * self.copies * alone
        deviations = kernels.normal_maximum(ranks)
        deviation = machine.expert_skew * arrays.sqrt(arrays.minimum(ranks / experts, 1.0))
        uneven = arrays.minimum(1.0 + deviation * deviations, ranks)
        if self.d.routing == "eplb":
            uneven = arrays.minimum(uneven, 1.0 / machine.expert_balance)
        return arrays.maximum(alone * kernels.random_maximum(mean, ranks, deviations), uneven)

    def experts_hit(self, drawn: Any) -> Any:
        """Experts of the busiest rank that get a row at all, where `drawn` is the mean rows of one.

        Uniformly random routing leaves out `exp(-drawn)` of them. Real traffic prefers some experts:
        loads that spread as a gamma distribution of relative deviation `expert_skew` leave out more.
        All ranks wait for the one that hits the most of its own.
        """
        slots = self.expert_slots()
        if self.d.routing == "balanced":
            # Beyond 40 it is 1 to the last bit, and what underflows takes five times as long.
            return slots * (1.0 - arrays.exp(-arrays.minimum(drawn, 40.0)))
        variance = self.machine.expert_skew**2
        share = 1.0 - (1.0 + drawn * variance) ** (-1.0 / variance)
        most = kernels.normal_maximum(self.ranks) * arrays.sqrt(slots * share * (1.0 - share))
        return arrays.minimum(slots * share + most, slots)

    def experts(self, tokens: Any, load: Any, share: Any) -> Terms:
        """Seconds of the expert half of a layer without exchanges, on the busiest rank, by term."""
        model, machine = self.model, self.machine
        routed = self.operators["routed_experts"].shapes
        shards = arrays.where(self.inside, self.tensor, 1.0)
        local = tokens * shards  # tokens of this rank, or of the group that shares them
        rows = tokens * self.shards * self.copies * load
        drawn = tokens * self.shards * self.ranks * model.experts_per_token / model.routed_experts
        hit = arrays.where(self.apart, 1.0, self.experts_hit(drawn))
        active = arrays.maximum(arrays.minimum(hit, rows), arrays.minimum(rows, 1.0))

        def products(gemm: Gemm) -> Any:
            each, tile = rows / active, gemm.row_tile
            if self.d.routing == "balanced":
                padded = tile * arrays.ceil(each / tile - 1e-9)
            else:  # of random rows, half a tile stays empty
                padded = arrays.maximum(each + tile / 2, tile)
            return gated(gemm, active * padded, routed, self.shards, active, share)

        time, moved = products(machine.expert_gemm), rows
        if machine.fused_gemm:  # with the activation and the order of the rows
            time = arrays.where(self.inside, products(machine.fused_gemm), time)
            moved = arrays.where(self.inside, 0.0, rows)
        router = machine.gemm["bf16"].time(local, *self.operators["router"].shapes[0], 1, share)
        terms = {"router": router, "routed_experts": time}
        product = moved * routed[1][0] / self.shards
        if "shared_experts" in self.operators:
            shapes = self.operators["shared_experts"].shapes
            shared = gated(self.matrices, local, shapes, shards, 1, share)
            terms["shared_experts"] = arrays.where(self.apart, 0.0, shared)
            product = product + arrays.where(self.apart, 0.0, local * shapes[1][0] / shards)
        terms["expert_vector"] = self.expert_vector(local, moved, product)
        return terms

    def expert_vector(self, tokens: Any, rows: Any, product: Any) -> Any:
        """Seconds of norm, sum, quantised input, activation, and in prefill permuting the rows."""
        element = self.machine.vector_bytes["norm"]
        if self.model.shared_experts:
            element = element + self.machine.vector_bytes["add"]
        if self.matrices is not self.machine.gemm["bf16"]:
            element = element + self.machine.vector_bytes["quantise"]
        size = tokens * self.model.hidden_size * element
        size = size + self.machine.vector_bytes["activation"] * product
        if self.phase == "prefill":  # low-latency kernels write the layout of the experts
            size = size + self.machine.vector_bytes["permute"] * rows * self.model.hidden_size
        return self.vector(size)

    def exchange(self, op: str, tokens: Any, load: Any) -> tuple[Any, Any]:
        """Seconds of `dispatch` or `combine`, and of the memory traffic it causes.

        The link of the busiest rank carries as much more as its experts. Over two fabrics a token
        crosses once to each node that it goes to, whose ranks average out. Experts split no finer
        than attention need no exchange: the sum over the group stands for the combine.
        """
        machine, model, ranks, copies = self.machine, self.model, self.ranks, self.copies
        if self.phase == "prefill" and machine.node_ranks is not None:
            far = ranks > machine.node_ranks
            nodes = arrays.minimum(ranks / machine.node_ranks, machine.routing_groups)
            copies = kernels.distinct(arrays.where(far, nodes, ranks), model.experts_per_token)
            load = arrays.where(far, 1.0, load)
        element = machine.dispatched_bytes if op == "dispatch" else HALF
        size = tokens * copies * model.hidden_size * element
        time = arrays.where(self.inside, 0.0, machine.exchanges[op].time(ranks, size * load))
        touched = size * machine.collective_touches / machine.memory_bandwidth
        if op == "combine" and arrays.any(self.inside & (self.tensor > 1)):
            time = time + arrays.where(self.inside, self.all_reduce(tokens * self.tensor), 0.0)
        return time, arrays.where(self.inside, 0.0, touched)

    # --- layers ----------------------------------------------------------------------------------

    def moe_layer(self, queries: Any) -> tuple[Any, Callable[[], Terms]]:
        """Seconds of one MoE layer, both half batches together, and by term if asked.

        The memory traffic of an exchange slows the compute that it hides behind. What overlaps is whole in
        its term and taken off in `overlap`.
        """
        two = arrays.number(self.d.microbatches) > 1
        halves = arrays.where(two, 2.0, 1.0)
        batch = self.batch / halves
        streams, left = self.machine.streams, 1.0 - self.machine.communication_share
        shares = (arrays.where(two, streams.get(half, left), 1.0) for half in ("attention", "experts"))
        attention_share, expert_share = shares
        attention = self.attention(batch, queries, attention_share)
        tokens = batch * queries
        load = self.load(tokens)
        experts = self.experts(tokens, load, expert_share)
        dispatch, sent = self.exchange("dispatch", tokens, load)
        combine, gathered = self.exchange("combine", tokens, load)
        first, second = sum(attention.values()), sum(experts.values())
        if streams:  # attention on its cores, the rest on the others, at the same time
            other = dispatch + second + combine
            both = 2.0 * arrays.maximum(first + sent + gathered, other)
        else:  # in lock-step: after each of four stages the half batches change places
            dispatching = (arrays.maximum(half + sent, dispatch) for half in (first, second))
            combining = (arrays.maximum(half + gathered, combine) for half in (second, first))
            both = sum((*dispatching, *combining))
        serial = first + dispatch + second + combine

        def terms() -> Terms:
            each = {**attention, **experts, "dispatch": dispatch, "combine": combine}
            whole = {name: halves * time for name, time in each.items()}
            return {**whole, "overlap": arrays.where(two, both - 2.0 * serial, 0.0)}

        return arrays.where(two, both, serial), terms

    def dense_layer(self, queries: Any) -> tuple[Any, Callable[[], Terms]]:
        """Seconds of one dense layer, and by term if asked; its batch is not halved."""
        tokens = self.batch * self.tensor * queries
        terms = self.attention(self.batch, queries, 1.0)
        shapes = self.model.operators("dense")["dense_ffn"].shapes
        terms["dense_ffn"] = gated(self.matrices, tokens, shapes, self.tensor, 1, 1.0)
        if arrays.any(self.tensor > 1):
            terms["ffn_reduce"] = self.all_reduce(tokens)
        element = self.machine.vector_bytes["norm"]
        if self.matrices is not self.machine.gemm["bf16"]:
            element = element + self.machine.vector_bytes["quantise"]
        size = element * self.model.hidden_size
        size = size + self.machine.vector_bytes["activation"] * shapes[1][0] / self.tensor
        terms["ffn_vector"] = self.vector(tokens * size)
        return sum(terms.values()), lambda: terms


def gated(gemm: Gemm, rows: Any, shapes: Any, shards: Any, groups: Any, share: Any) -> Any:
    """Seconds of gate and up as one product, then down, the inner width cut in `shards`."""
    (hidden, double), (width, _) = shapes
    up = gemm.time(rows, hidden, double / shards, groups, share)
    return up + gemm.time(rows, width / shards, hidden, groups, share)
