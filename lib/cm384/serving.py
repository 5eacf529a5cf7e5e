"""Prefill and decode of a deployment: step time, throughput and time budget from first principles.

A layer is a sum of named kernel times (`kernels.py`); two half batches hide the exchanges of one
behind the compute of the other; layers, output head, draft steps and the gap between iterations make a
step. Nothing here is fitted to a throughput: every constant is a sourced row of a kernel benchmark.

A field of a deployment and a figure of the table may be arrays, which broadcast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cm384 import kernels, units
from cm384.errors import InputError, unknown
from cm384.kernels import HALF, Gemm, Machine, read
from cm384.operators import Numbers
from cm384.specs import Specs
from cm384.transformer import Layer, Model, bytes_per_element

ROUTINGS = ("balanced", "eplb", "unbalanced")
INTEGERS = ("accelerators", "expert_parallel", "tensor_parallel", "microbatches", "draft_tokens")
EXCHANGES = ("dispatch", "combine")
ATTENTION = ("projections", "absorption", "attention_core", "output_projection",
             "sequence_parallel", "attention_reduce", "attention_vector")  # fmt: skip


@dataclass(frozen=True)
class Deployment:
    """What is run where; the fields are those of `measurements.csv`, numbers may be arrays.

    `batch` counts requests an accelerator in decode and prompt tokens an accelerator in prefill;
    `context` is the prompt length, or the mean KV length in decode.
    """

    accelerator: str
    accelerators: Numbers
    expert_parallel: Numbers
    batch: Numbers
    context: Numbers
    tensor_parallel: Numbers = 1
    output: Numbers = 0  # not read: `context` is the mean length already
    matrix_precision: str = "fp8"
    attention_precision: str = "bf16"
    kv_precision: str = "bf16"
    routing: str = "balanced"
    microbatches: Numbers = 1
    draft_tokens: Numbers = 0
    tokens_per_step: Numbers = 1


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
    def step_time(self) -> Any:
        """The time of one step, a quantity."""
        return units.Q(np.asarray(self.step) * 1e3, "ms")

    @property
    def ttft(self) -> Any:
        """The time to the first token of a prompt whose step starts at once, a quantity."""
        return self.step_time

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

    Whole requests a rank; 0 where not even one fits or meets it. `batch` is not read.
    """
    step = _Step(specs, model, dataclasses.replace(deployment, batch=1.0), "decode")
    ranks = step.machine.ranks
    room = (step.machine.memory - step.weights()) / step.cache_bytes_of_request()
    high = np.floor(np.maximum(room, 0.0) / step.tensor)
    if tpot is not None:
        low, high = np.zeros_like(high), high + 0.0 * np.asarray(tpot)
        while np.any(high > low):
            middle = np.ceil((low + high) / 2)
            tried = step.at(np.maximum(middle, 1.0) * ranks)
            fits = tried.seconds() / tried.d.tokens_per_step <= np.asarray(tpot) / 1e3
            low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return np.maximum(high, 0.0) * ranks


class _Step:
    """One step of a deployment on one machine: its terms in seconds."""

    def __init__(self, specs: Specs, model: Model, deployment: Deployment, phase: str) -> None:
        check(deployment, model, phase)
        self.specs, self.model, self.d, self.phase = specs, model, deployment, phase
        d = deployment
        self.machine = kernels.machine(
            specs, d.accelerator, phase, d.matrix_precision, d.attention_precision
        )
        check_ranks(d, self.machine, model)
        self.tensor = np.asarray(d.tensor_parallel, dtype=float)
        self.experts_ranks = np.asarray(d.expert_parallel, dtype=float)
        # Where the experts of a layer are split as its attention is, an expert is cut in shards.
        self.shards = np.maximum(self.tensor / self.experts_ranks, 1.0)
        # More ranks than experts: the shared experts have ranks of their own.
        self.apart = self.experts_ranks > model.routed_experts
        self.queries = np.asarray(d.draft_tokens, dtype=float) + 1.0 if phase == "decode" else 1.0

    def at(self, batch: Any) -> _Step:
        """The same step at another batch, without reading the table again."""
        other = object.__new__(_Step)
        other.__dict__.update(self.__dict__, d=dataclasses.replace(self.d, batch=batch))
        return other

    # --- sizes -----------------------------------------------------------------------------------

    @property
    def rank_batch(self) -> Any:
        """Requests (decode) or tokens (prefill) of one rank."""
        return np.asarray(self.d.batch, dtype=float) / self.machine.ranks

    def constant(self, quantity: str, **conditions: str) -> Any:
        """A figure that holds for every accelerator."""
        return read(self.specs, "serving", quantity, **conditions)

    def projection(self) -> Gemm:
        """The matrices around attention: where experts are FP4 they stay as wide as the core."""
        fp4 = self.d.matrix_precision == "fp4"
        return self.machine.gemm[self.d.attention_precision if fp4 else self.d.matrix_precision]

    def output_matrix(self) -> Gemm:
        """The output projection: FP4 with the experts, unless attention is kept in BF16."""
        wide = self.d.matrix_precision == "fp4" and self.d.attention_precision == "bf16"
        return self.machine.gemm["bf16" if wide else self.d.matrix_precision]

    def expert_slots(self) -> Any:
        """Experts whose weights a rank holds; balancing by replicas takes one slot more."""
        share = self.model.routed_experts / self.experts_ranks
        return np.floor(share) + 1.0 if self.d.routing == "eplb" else np.ceil(share)

    def weights(self) -> Any:
        """Bytes of weights on one rank; attention is split over `tensor_parallel`."""
        model = self.model
        total: Any = 2 * model.lm_head.parameters * HALF / self.tensor
        layers = {**model.layers, "mtp": np.minimum(self.d.draft_tokens, model.mtp_layers)}
        for layer, count in layers.items():
            if layer == "mtp" and not model.mtp_layers:
                continue
            for name, operator in model.operators(layer, absorbed=True).items():  # type: ignore[arg-type]
                held: Any = operator.parameters / self.tensor
                if name == "routed_experts":
                    held = operator.parameters / operator.copies
                    held = held * self.expert_slots() / self.shards
                elif name in ("shared_experts", "router", "q_down", "kv_down"):
                    whole = name != "shared_experts" or self.tensor > self.experts_ranks
                    held = operator.parameters / np.where(whole, 1.0, self.shards)
                total = total + count * held * self.weight_bytes(name)
        return total

    def weight_bytes(self, name: str) -> Any:
        """Bytes a weight of an operator takes."""
        if name in ("absorption", "kv_up", "router", "mtp_projection"):
            return HALF
        experts = name in ("routed_experts", "shared_experts", "dense_ffn")
        matrices = self.machine.gemm[self.d.matrix_precision] if experts else self.projection()
        return matrices.element_bytes

    def cache_bytes_of_request(self) -> Any:
        """Bytes of KV cache of one request at the mean length."""
        element = bytes_per_element(self.d.kv_precision)
        return np.asarray(self.d.context, dtype=float) * self.model.kv_elements * element

    def memory(self) -> Any:
        """Bytes of weights and cache on one rank."""
        requests = self.rank_batch * self.tensor
        if self.phase == "prefill":
            requests = requests / np.asarray(self.d.context, dtype=float)
        return self.weights() + requests * self.cache_bytes_of_request()

    # --- one layer -------------------------------------------------------------------------------

    def attention(self, batch: Any, queries: Any, share: Any) -> dict[str, Any]:
        """Seconds of the attention half of a layer for a batch of one rank, by term."""
        model, machine, tensor = self.model, self.machine, self.tensor
        prefill = self.phase == "prefill"
        context = np.asarray(self.d.context, dtype=float)
        tokens = batch * tensor * queries
        operators = model.operators("moe" if model.moe_layers else "dense", absorbed=not prefill)
        entry, terms = 0.0, {"projections": 0.0}
        gemm = self.projection()
        for name, operator in operators.items():
            inputs, outputs = operator.shapes[0] if operator.shapes else (0, 0)
            if name == "absorption":
                heads = operator.copies / tensor
                terms[name] = sum(
                    machine.gemm["bf16"].time(tokens * heads, i, o, heads, share)
                    for i, o in operator.shapes
                )
            elif name == "output_projection":
                output = self.output_matrix()
                terms[name] = output.time(tokens, inputs / tensor, outputs, 1, share)
            elif name in ("q_down", "kv_down"):  # one product, whole on every rank
                entry += outputs
            elif name in ("q_up", "q_projection", "kv_up", "kv_projection"):
                time = gemm.time(tokens, inputs, outputs / tensor, 1, share)
                terms["projections"] = terms["projections"] + time
        if entry:
            time = gemm.time(tokens, model.hidden_size, entry, 1, share)
            terms["projections"] = terms["projections"] + time
        attended = (context + 1) / 2 if prefill else context - (queries - 1) / 2
        flop = tokens * model.attention.core_flop(attended, absorbed=not prefill) / tensor
        rate = machine.attention_rate.at(np.log(context)) * share
        cache = batch * tensor * context * model.attention.kv_elements
        cached = 0.0 if prefill else cache * bytes_per_element(self.d.kv_precision)
        core = np.maximum(flop / rate, cached / machine.attention_bandwidth)
        terms["attention_core"] = machine.attention_fixed_time + core
        if prefill and np.any(machine.sequence_parallel > 1):
            terms["sequence_parallel"] = self.sequence_parallel(batch, entry)
        if np.any(tensor > 1):
            terms["attention_reduce"] = self.all_reduce(tokens)
        terms["attention_vector"] = self.attention_vector(tokens)
        return terms

    def sequence_parallel(self, tokens: Any, latent: float) -> Any:
        """Seconds of the collectives around sequence parallel attention (SP-TP-SP).

        Latents are gathered from all ranks of the group before the heads are split over it, and head
        outputs go back to their tokens' ranks all-to-all. Source: CloudMatrix paper, section 4.3.1.
        """
        machine = self.machine
        others = machine.sequence_parallel - 1.0
        width = self.model.operators("moe")["output_projection"].shapes[0][0]
        gathered = tokens * others * latent * HALF / machine.peer_bandwidth["read"]
        returned = tokens * others / machine.sequence_parallel * width * HALF
        return gathered + returned / machine.peer_bandwidth["write"]

    def all_reduce(self, tokens: Any) -> Any:
        """Seconds to add up the hidden states of a tensor parallel group; 0 for a single rank."""
        share = 1.0 / self.tensor
        moved = 2.0 * (1.0 - share) * tokens * self.model.hidden_size * HALF
        machine = self.machine
        time = machine.all_reduce_latency.at(share)
        time = time + moved * machine.seconds_per_all_reduced_byte.at(share)
        return np.where(self.tensor > 1, time, 0.0)

    def vector(self, size: Any) -> Any:
        """Seconds of half a layer's small kernels, which move `size` bytes of memory."""
        count = self.constant("small_kernels") / 2.0
        return count * self.machine.small_kernel_time + size / self.machine.memory_bandwidth

    def attention_vector(self, tokens: Any) -> Any:
        """Seconds of norm, rotary embedding, quantisation, and assembling keys in prefill."""
        shapes = self.model.operators("moe" if self.model.moe_layers else "dense")
        width = shapes["output_projection"].shapes[0][0] / self.tensor
        turned = width  # queries, and in prefill the keys and values expanded from the latent
        if self.phase == "prefill" and "kv_up" in shapes:
            turned = turned + shapes["kv_up"].shapes[0][1] / self.tensor
        size = (
            self.constant("vector_bytes", op="norm") * self.model.hidden_size
            + self.constant("vector_bytes", op="rotary") * turned
            + self.constant("vector_bytes", op="quantise") * width
        )
        return self.vector(tokens * size)

    def load(self, tokens: Any) -> Any:
        """Copies of tokens that the busiest expert rank receives, over those it receives on average.

        Uniformly random routing: the expected maximum over ranks, and where ranks outnumber experts
        an expert without a replica. Real traffic: the sourced balance, never worse than the
        skew of single experts would make it without balancing.
        """
        model, ranks = self.model, self.experts_ranks
        if self.d.routing == "balanced":
            return np.ones_like(ranks)
        alone = np.where(self.apart, ranks / model.routed_experts, 1.0)  # no replica, over the mean
        alone = alone * model.experts_per_token / self.copies()
        mean = np.maximum(tokens, 1e-9) * self.shards * self.copies()
        random = alone * kernels.random_maximum(mean * alone, ranks)
        deviation = self.constant("expert_skew") * np.sqrt(
            np.minimum(ranks / model.routed_experts, 1.0)
        )
        uneven = np.minimum(1.0 + deviation * kernels.normal_maximum(ranks), ranks)
        if self.d.routing == "eplb":
            uneven = np.minimum(uneven, 1.0 / self.constant("expert_balance", routing="eplb"))
        return np.maximum(random, uneven)

    def copies(self) -> Any:
        """Ranks a token goes to: its routed experts, and the shared ones if they are apart."""
        return self.model.experts_per_token + np.where(self.apart, self.model.shared_experts, 0.0)

    def experts(self, tokens: Any, share: Any) -> dict[str, Any]:
        """Seconds of the expert half of a layer without exchanges, on the busiest rank, by term."""
        model, machine, ranks = self.model, self.machine, self.experts_ranks
        operators = model.operators("moe")
        gemm = machine.gemm[self.d.matrix_precision]
        group = tokens * np.where(self.tensor > 1, self.shards, 1.0)
        rows = group * self.copies() * self.load(tokens)
        tried = group * ranks * model.experts_per_token / model.routed_experts
        hit = 1.0 - np.exp(-tried)  # chance that an expert gets a token at all
        slots = np.where(self.apart, 1.0, self.expert_slots())
        active = np.minimum(np.where(self.apart, 1.0, slots * hit), rows)
        active = np.maximum(active, np.minimum(rows, 1.0))
        each = rows / active
        tile = machine.row_tile
        if self.d.routing == "balanced":
            padded = tile * np.ceil(each / tile - 1e-9)
        else:
            padded = np.maximum(each + tile / 2, tile)  # half a tile of random rows stays empty
        terms = {
            "router": machine.gemm["bf16"].time(group, *operators["router"].shapes[0], 1, share),
            "routed_experts": self.gated(
                gemm,
                active * padded,
                operators["routed_experts"].shapes,
                self.shards,
                active,
                share,
            ),
        }
        width = operators["routed_experts"].shapes[1][0] / self.shards
        product = rows * width
        if "shared_experts" in operators:
            inside = self.tensor >= self.experts_ranks
            shards = np.where(inside, self.tensor, 1.0)
            local = np.where(inside, tokens * self.tensor, tokens)
            shared = self.gated(gemm, local, operators["shared_experts"].shapes, shards, 1, share)
            terms["shared_experts"] = np.where(self.apart, 0.0, shared)
            width = operators["shared_experts"].shapes[1][0]
            product = product + np.where(self.apart, 0.0, local * width / shards)
        size = self.constant("vector_bytes", op="norm") * model.hidden_size * group
        size = size + self.constant("vector_bytes", op="activation") * product
        if self.phase == "prefill":  # low-latency kernels write the experts' layout themselves
            size = size + self.constant("vector_bytes", op="permute") * model.hidden_size * rows
        terms["expert_vector"] = self.vector(size)
        return terms

    @staticmethod
    def gated(gemm: Gemm, rows: Any, shapes: Any, shards: Any, groups: Any, share: Any) -> Any:
        """Seconds of gate and up as one product, then down, with the inner width cut in shards."""
        (hidden, double), (width, _) = shapes
        up = gemm.time(rows, hidden, double / shards, groups, share)
        return up + gemm.time(rows, width / shards, hidden, groups, share)

    def exchanges(self, tokens: Any) -> dict[str, tuple[Any, Any]]:
        """Seconds of dispatch and combine, and the seconds of memory traffic they cause.

        The link of the busiest rank takes as much more as its experts; over two fabrics a token
        crosses once to each node, whose ranks average out. All-reduces do both inside a group.
        """
        machine, ranks, model = self.machine, self.experts_ranks, self.model
        inside = self.tensor >= ranks
        copies, load = self.copies(), self.load(tokens)
        if self.phase == "prefill" and machine.node_ranks is not None:
            limit = self.constant("routing_groups")
            nodes = np.minimum(ranks / machine.node_ranks, limit)
            far = kernels.distinct(nodes, model.experts_per_token)
            near = kernels.distinct(ranks, model.experts_per_token)
            two = ranks > machine.node_ranks
            copies, load = np.where(two, far, near), np.where(two, 1.0, load)
        sent = {
            "dispatch": self.constant("exchange_payload", precision=self.d.matrix_precision),
            "combine": HALF,
        }
        found = {}
        for op, element in sent.items():
            kernel = machine.dispatch if op == "dispatch" else machine.combine
            size = tokens * copies * model.hidden_size * element
            time = kernel.time(ranks, size * load)
            touched = size * self.constant("collective_touches") / machine.memory_bandwidth
            found[op] = np.where(inside, 0.0, time), np.where(inside, 0.0, touched)
        if np.any(inside & (self.tensor > 1)):  # the sum over the group stands for the combine
            reduced = np.where(inside, self.all_reduce(tokens * self.tensor), 0.0)
            found["combine"] = found["combine"][0] + reduced, found["combine"][1]
        return found

    def moe_layer(self, queries: Any) -> dict[str, Any]:
        """Seconds of one MoE layer by term, both half batches together, and what overlaps."""
        two = np.asarray(self.d.microbatches) > 1
        halves = np.where(two, 2.0, 1.0)
        batch = self.rank_batch / halves
        streams = self.machine.streams
        reserved = 1.0 - self.machine.communication_share
        share = {half: np.where(two, streams.get(half, reserved), 1.0)
                 for half in ("attention", "experts")}  # fmt: skip
        tokens = batch * queries
        attention = self.attention(batch, queries, share["attention"])
        experts = self.experts(tokens, share["experts"])
        exchanges = self.exchanges(tokens)
        (send, sent), (gather, gathered) = exchanges["dispatch"], exchanges["combine"]
        first, second = sum(attention.values()), sum(experts.values())
        serial = first + send + second + gather
        if streams:  # attention on its cores, everything else on the others, at the same time
            overlapped = 2.0 * np.maximum(first + sent + gathered, send + second + gather)
        else:  # in step: the halves change places after each of the four
            overlapped = (
                np.maximum(first + sent, send) + np.maximum(second + sent, send)
                + np.maximum(second + gathered, gather) + np.maximum(first + gathered, gather)
            )  # fmt: skip
        terms = {**attention, **experts, "dispatch": send, "combine": gather}
        terms = {name: halves * time for name, time in terms.items()}
        terms["overlap"] = np.where(two, overlapped - 2.0 * serial, 0.0)
        return terms

    def dense_layer(self, queries: Any) -> dict[str, Any]:
        """Seconds of one dense layer by term; its batch is not halved."""
        tokens = self.rank_batch * self.tensor * queries
        terms = self.attention(self.rank_batch, queries, 1.0)
        gemm = self.machine.gemm[self.d.matrix_precision]
        shapes = self.model.operators("dense")["dense_ffn"].shapes
        terms["dense_ffn"] = self.gated(gemm, tokens, shapes, self.tensor, 1, 1.0)
        if np.any(self.tensor > 1):
            terms["ffn_reduce"] = self.all_reduce(tokens)
        width = shapes[1][0] / self.tensor
        size = self.constant("vector_bytes", op="norm") * self.model.hidden_size
        size = size + self.constant("vector_bytes", op="activation") * width
        terms["ffn_vector"] = self.vector(tokens * size)
        return terms

    # --- the step --------------------------------------------------------------------------------

    def head(self, queries: Any) -> Any:
        """Seconds of the output head: every query token in decode, one a prompt in prefill."""
        rows = self.rank_batch * self.tensor * queries
        if self.phase == "prefill":
            rows = rows / np.asarray(self.d.context, dtype=float)
        hidden, vocabulary = self.model.lm_head.shapes[0]
        return self.machine.gemm["bf16"].time(rows, hidden, vocabulary / self.tensor)

    def draft(self) -> Any:
        """Seconds of the draft steps: the first sees every query token, each later one a single one."""
        drafts = np.asarray(self.d.draft_tokens, dtype=float)
        if self.phase == "prefill" or not np.any(drafts > 0):
            return np.zeros_like(drafts)
        hidden = self.model.hidden_size
        kind = self.moe_layer if self.model.moe_layers else self.dense_layer

        def one(queries: Any) -> Any:
            rows = self.rank_batch * self.tensor * queries
            join = self.machine.gemm["bf16"].time(rows, 2 * hidden, hidden)
            return sum(kind(queries).values()) + join + self.head(queries)

        later = np.maximum(drafts - 1.0, 0.0)
        return np.where(drafts > 0, one(self.queries), 0.0) + later * one(1.0)

    def breakdown(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Seconds of one layer and of a step, by term."""
        model = self.model
        total: dict[str, Any] = {}
        layer: dict[str, Any] = {}
        kinds = {"dense": self.dense_layer, "moe": self.moe_layer}
        for name, count in model.layers.items():
            layer = kinds[name](self.queries)
            for term, time in layer.items():
                total[term] = total.get(term, 0.0) + count * time
        total["lm_head"] = self.head(self.queries)
        total["draft"] = self.draft()
        total["iteration"] = self.machine.iteration_overhead
        return layer, total

    def seconds(self) -> Any:
        """The step time."""
        total = self.breakdown()[1]
        return sum(total.values())

    def result(self) -> Result:
        """The step with its memory checked."""
        layer, total = self.breakdown()
        step = sum(total.values())
        memory = self.memory()
        lacking = memory - self.machine.memory
        if self.machine.host_bandwidth is not None and self.phase == "prefill":
            # What does not fit of the weights comes from the host while the step runs.
            wait = np.maximum(lacking / self.machine.host_bandwidth - step, 0.0)
            total["host_link"] = wait
            step = step + wait
        else:
            step = self.checked(step, memory)
        accepted = np.asarray(self.d.tokens_per_step, dtype=float)
        accepted = accepted if self.phase == "decode" else np.ones_like(accepted)
        tokens = np.asarray(self.d.batch, dtype=float) * accepted
        return Result(self.phase, step, tokens, memory, layer, total, accepted)

    def checked(self, step: Any, memory: Any) -> Any:
        """The step, NaN where it does not fit in memory; InputError where nothing fits."""
        fits = np.asarray(memory <= self.machine.memory)
        if fits.all():
            return step
        if not fits.any():
            need, have = (float(np.min(size)) / 1e9 for size in (memory, self.machine.memory))
            raise InputError(
                f"batch: weights and KV cache take {need:,.1f} GB on a rank of "
                f"{self.d.accelerator}, which has {have:,.1f} GB"
            )
        return np.where(fits, step, np.nan)


def check(d: Deployment, model: Model, phase: str) -> None:
    """Refuse a deployment whose fields cannot be; one line that names the field."""
    if d.routing not in ROUTINGS:
        raise unknown("routing", d.routing, ROUTINGS)
    for field in ("accelerators", "expert_parallel", "tensor_parallel", "batch", "context",
                  "microbatches", "draft_tokens", "tokens_per_step"):  # fmt: skip
        values = np.asarray(getattr(d, field), dtype=float)
        least = {"batch": 0.0, "draft_tokens": 0.0}.get(field, 1.0)
        short = values <= 0.0 if field == "batch" else values < least
        if np.any(short | ~np.isfinite(values)):
            given = values[short | ~np.isfinite(values)].flat[0]
            expected = "more than 0" if field == "batch" else f"at least {least:g}"
            raise InputError(f"{field}: expected {expected}, not {given:g}")
        if field in INTEGERS and np.any(values != np.floor(values)):
            raise InputError(f"{field}: expected a whole number, not {values.flat[0]:g}")
    if np.any(np.asarray(d.microbatches) > 2):
        raise InputError("microbatches: expected 1 or 2")
    if phase == "decode":
        tokens, drafts = np.broadcast_arrays(d.tokens_per_step, d.draft_tokens)
        if np.any(wrong := tokens > drafts + 1):
            given, most = tokens[wrong].flat[0], drafts[wrong].flat[0] + 1
            raise InputError(f"tokens_per_step: expected 1 to draft_tokens + 1 = {most:g}, "
                             f"not {given:g}")  # fmt: skip
        if np.any(np.asarray(d.context) < drafts + 1):
            raise InputError("context: expected no fewer tokens than a step takes")
    bytes_per_element(d.kv_precision)


def check_ranks(d: Deployment, machine: Machine, model: Model) -> None:
    """Refuse ranks that do not divide."""
    ranks = np.asarray(d.accelerators) * machine.ranks
    for field in ("expert_parallel", "tensor_parallel"):
        groups = np.asarray(getattr(d, field))
        if np.any(wrong := np.broadcast_arrays(ranks % groups)[0] > 0):
            group, rank = (np.broadcast_to(a, wrong.shape)[wrong].flat[0] for a in (groups, ranks))
            raise InputError(f"{field}: {rank:g} ranks do not divide into groups of {group:g}")
    heads = model.attention.heads
    if np.any(heads % np.asarray(d.tensor_parallel) > 0):
        raise InputError(f"tensor_parallel: does not divide the {heads} heads of {model.name}")
    larger = np.maximum(d.expert_parallel, d.tensor_parallel)
    if np.any(larger % np.minimum(d.expert_parallel, d.tensor_parallel) > 0):
        raise InputError("expert_parallel: expected a multiple or a divisor of tensor_parallel")
