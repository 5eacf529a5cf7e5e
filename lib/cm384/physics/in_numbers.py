"""A step of a deployment in numbers: every kernel with its operands, so that a calculator arrives.

The step is computed as everywhere, by kernels that note what they were asked. A term is shown by the
kernels whose times add up to it, and by its time alone if none do.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cm384.derive.derivation import derive
from cm384.physics.kernels import Gemm
from cm384.physics.layers import ATTENTION, Terms
from cm384.physics.serving import Step, matrix_peak, token_flop
from cm384.physics.sizes import HALF
from cm384.physics.transformer import Model, bytes_per_element
from cm384.table import units
from cm384.table.records import Deployment
from cm384.table.specs import Specs


class Note(NamedTuple):
    """Seconds of a kernel, and how they come about; of a product its shape, rows and weights too."""

    seconds: Any
    text: str
    shape: str = ""
    rows: Any = 0.0
    groups: Any = 1


Notes = list[Note]
Lines = dict[str, str]  # the arithmetic of each term


def in_numbers(specs: Specs, model: Model, deployment: Deployment, phase: str) -> dict[str, Lines]:
    """The arithmetic of a step by part: physical limit, layers, the whole, tokens/s of an accelerator.

    Of a single deployment; errors as in `serving.prefill`.
    """
    step = Worked(specs, model, deployment, phase)
    return {"the physical limit of a token": limit(specs, step)} | step.shown()


def limit(specs: Specs, step: Step) -> Lines:
    """The arithmetic of the physical limit of a token, as in `serving.time_budget`."""
    d, flop = step.d, token_flop(step.model, step.d, step.phase)
    core = flop["attention_core"] + flop.get("index_core", 0.0)
    formats = step.machine.matrix, d.attention_precision
    pairs = [(size, matrix_peak(specs, d.accelerator, name))
             for size, name in zip((sum(flop.values()) - core, core), formats, strict=True)]  # fmt: skip
    computing = sum(size / peak for size, peak in pairs)
    left = " + ".join(f"{digits(size, 1e-9)} GFLOP ÷ {rate(peak)}" for size, peak in pairs)
    found = {"matrices and attention core at their peaks": equation(left, computing)}
    weights, cache = (size * step.ranks_per_package for size in step.bytes_read())
    if weights:
        tokens, bandwidth = (
            d.batch * step.accepted,
            units.plain(derive("hbm_bandwidth", d.accelerator, specs)),
        )
        reading = (weights + cache) / tokens / bandwidth
        read = f"({digits(weights, 1e-9)} GB + {digits(cache, 1e-9)} GB)"
        left = f"{read} ÷ {units.number(tokens)} ÷ {speed(bandwidth)}"
        found["weights and cache, for the tokens of a step"] = equation(left, reading)
        left = f"max({micro(computing)}, {micro(reading)})"
        found["the longer of the two"] = equation(left, max(computing, reading))
    return found


@dataclass(frozen=True)
class Noting(Gemm):
    """Matrix products that note how their time comes about."""

    notes: Notes = field(default_factory=list)

    def time(self, rows: Any, inputs: Any, outputs: Any, groups: Any = 1, units_share: Any = 1.0) -> Any:
        """As of any products."""
        seconds = super().time(rows, inputs, outputs, groups, units_share)
        padded = max(rows, groups * self.row_tile)
        operands = (rows, inputs, self.element_bytes), (groups, inputs, outputs, self.weight_bytes)
        computing = 2.0 * padded * inputs * outputs / (self.rate * units_share)
        reading = sum(map(math.prod, operands)) / self.bandwidth
        writing = rows * outputs * HALF / self.output_bandwidth
        read = " + ".join(f"{times(*each)} B" for each in operands)
        flop = f"computing 2 × {times(padded, inputs, outputs)} FLOP ÷ {rate(self.rate, units_share)}"
        work = f"√({digits(computing)}² + {digits(reading)}²) µs"
        lines = (
            equation(flop, computing),
            equation(f"reading ({read}) ÷ {speed(self.bandwidth)}", reading),
            equation(f"writing {times(rows, outputs)} × 2 B ÷ {speed(self.output_bandwidth)}", writing),
            equation(f"in all {work} + {micro(writing)} + {micro(self.fixed_time)}", seconds),
        )
        shape = f"{units.number(inputs)} → {units.number(outputs)}"
        self.notes.append(Note(seconds, "; ".join(lines), shape, rows, groups))
        return seconds


class Worked(Step):
    """A step whose kernels note what they were asked."""

    def __init__(self, specs: Specs, model: Model, deployment: Deployment, phase: str) -> None:
        super().__init__(specs, model, deployment, phase)
        self.notes: Notes = []
        self.asked: Lines = {}
        self.touched: dict[str, Any] = {}
        self.machine = machine = copy.copy(self.machine)
        gemms = [gemm for gemm in (*machine.gemm.values(), machine.expert_gemm, machine.fused_gemm) if gemm]
        noting = {id(gemm): Noting(**vars(gemm), notes=self.notes) for gemm in gemms}
        machine.gemm = {name: noting[id(gemm)] for name, gemm in machine.gemm.items()}
        machine.expert_gemm = noting[id(machine.expert_gemm)]
        machine.fused_gemm = machine.fused_gemm and noting[id(machine.fused_gemm)]
        for name in ("matrices", "projections", "output"):
            setattr(self, name, noting[id(getattr(self, name))])

    def attention_core(self, batch: Any, queries: Any, share: Any) -> Any:
        """As of any step: computing or reading, whichever is longer, on the longest rank."""
        seconds = super().attention_core(batch, queries, share)
        machine, attention, requests = self.machine, self.model.attention, batch * self.tensor
        decode, heads = self.phase == "decode", attention.heads / self.tensor
        if attention.indexer:
            heads = np.ceil(heads / machine.attention_head_tile) * machine.attention_head_tile
        each = attention.core_flop(1.0, absorbed=decode) / attention.heads
        attended = attention.attended(self.context, queries if decode else self.context)
        flop, top = (
            (requests * queries, heads, each, attended),
            machine.attention_rate.at(np.log(self.context)),
        )
        computing: Any = math.prod(flop) / (top * share)
        lines = [equation(f"computing {times(*flop)} FLOP ÷ {rate(top, share)}", computing)]
        if decode:
            element = bytes_per_element(self.d.kv_precision) / np.minimum(self.tensor, attention.kv_heads)
            read: Any = requests, attention.read(self.context, queries), attention.elements, element
            reading, fixed = math.prod(read) / machine.attention_bandwidth, machine.attention_fixed_time
            longest = digits((seconds - fixed) / float(max(computing, reading)), 1.0)
            left = f"max({micro(computing)}, {micro(reading)}) × {longest} for the longest rank"
            read_by = f"reading {times(*read)} B ÷ {speed(machine.attention_bandwidth)}"
            lines += [equation(read_by, reading), equation(f"in all {left} + {micro(fixed)}", seconds)]
        self.notes.append(Note(seconds, "; ".join(lines)))
        return seconds

    def sequence_parallel(self, tokens: Any, latents: int, width: int) -> Any:
        """As of any step: latents gathered from a group, outputs sent back."""
        seconds, others = (
            super().sequence_parallel(tokens, latents, width),
            self.machine.sequence_parallel - 1,
        )
        read, write = (speed(self.machine.peer_bandwidth[op]) for op in ("read", "write"))
        returned = f"{times(tokens, width, others)} × 2 B ÷ {units.number(others + 1)} ÷ {write}"
        left = f"{times(tokens, others, latents)} × 2 B ÷ {read} + {returned}"
        self.notes.append(Note(seconds, equation(left, seconds)))
        return seconds

    def vector(self, size: Any) -> Any:
        """As of any step: small kernels, and the bytes that they move."""
        seconds, each, bandwidth = (
            super().vector(size),
            self.machine.small_kernel_time,
            self.machine.memory_bandwidth,
        )
        small = f"{units.number((seconds - size / bandwidth) / each)} kernels × {micro(each)}"
        left = f"{small} + {digits(size, 1e-6)} MB ÷ {speed(bandwidth)}"
        self.notes.append(Note(seconds, equation(left, seconds)))
        return seconds

    def exchange(self, op: str, tokens: Any, load: Any) -> tuple[Any, Any]:
        """As of any step: a fixed time, and the copies of the busiest rank at a bandwidth."""
        seconds, self.touched[op] = super().exchange(op, tokens, load)
        if not self.inside:
            known = self.machine.exchanges[op]
            fixed, slope = (line.at(1.0 / self.ranks) for line in (known.fixed_time, known.seconds_per_byte))
            element = self.machine.dispatched_bytes if op == "dispatch" else HALF
            sent, size = (
                (tokens, self.copies, self.model.hidden_size, element, load),
                (seconds - fixed) / slope,
            )
            shown = times(*sent) if np.isclose(math.prod(sent), size, rtol=1e-9) else digits(size, 1.0)
            left = f"{shown} B ÷ {speed(1.0 / slope)} + {micro(fixed)}"
            self.notes.append(Note(seconds, equation(left, seconds)))
        return seconds, self.touched[op]

    def experts(self, tokens: Any, load: Any, share: Any) -> Terms:
        """As of any step; the rows of the busiest rank are noted beside."""
        since, rows = len(self.notes), (tokens, self.shards, self.copies, load)
        found, busiest = super().experts(tokens, load, share), math.prod(rows)
        self.asked = {"rows of the busiest rank": f"{times(*rows)} = {units.number(busiest)}"}
        asked, tile = self.notes[since], self.machine.expert_gemm.row_tile
        if math.isclose(busiest + asked.groups * tile / 2, asked.rows):
            left = f"{units.number(busiest)} + {units.number(asked.groups)} × {units.number(tile)} ÷ 2"
            self.asked["with half a tile empty in each expert"] = f"{left} = {units.number(asked.rows)}"
        return found

    # --- the whole -------------------------------------------------------------------------------

    @property
    def halves(self) -> float:
        """How many half batches take turns."""
        return 2.0 if self.d.microbatches > 1 else 1.0

    def shown(self) -> dict[str, Lines]:
        """The arithmetic of every term, by part of the step."""
        result, found, layers = self.result(), {}, {}
        for kind, count in reversed(self.model.layers.items()):
            if count:
                layers[kind], shown = self.moe_lines() if kind == "moe" else self.dense_lines()
                name = f"one of {count} layers {'with' if kind == 'moe' else 'without'} experts, on one rank"
                found[name] = shown
        whole = [f"{count} × {micro(layers[kind])}" for kind, count in self.model.layers.items() if count]
        ends: Lines = {}
        for term in ("lm_head", "draft", "iteration", "host_link"):
            if seconds := result.breakdown.get(term, 0.0):
                ends |= self.end_lines(term, seconds, next(iter(layers.values())))
                whole.append(micro(seconds))
        step = units.text(units.Q(result.step, "s").to("ms"))
        ends["the step"] = f"{' + '.join(whole)} = {step}"
        tokens = times(self.d.batch, result.tokens_per_step)
        ends["an accelerator"] = f"{tokens} tokens ÷ {step} = {units.number(result.throughput.m)} tokens/s"
        if self.phase == "decode":
            ends["time of a token"] = f"{step} ÷ {units.number(self.accepted)} = {units.text(result.tpot)}"
        return found | {"the step": ends}

    def end_lines(self, term: str, seconds: float, layer: float) -> Lines:
        """The arithmetic of a term around the layers; a draft is a layer, a product that joins, a head."""
        self.notes.clear()
        if term == "lm_head":
            self.head(self.queries)
        if term != "draft" or self.drafts != 1 or self.drafter:
            return shown_by(self.notes, {term: seconds})
        self.draft(layer)
        join, head = self.notes
        left = " + ".join(map(micro, (layer, join.seconds, head.seconds)))
        return {f"draft, {join.shape}": join.text, "draft": equation(left, seconds)}

    def entering(self, halves: float) -> Lines:
        """The rows that a rank works on."""
        parts = [f"÷ {units.number(by)}" for by in (self.ranks_per_package, halves) if by != 1]
        parts += [f"× {units.number(self.queries)}"] if self.queries != 1 else []
        rows = " ".join([units.number(float(self.d.batch)), *parts])
        return {"rows": f"{rows} = {units.number(self.batch / halves * self.queries)}" if parts else rows}

    def dense_lines(self) -> tuple[float, Lines]:
        """Seconds of a layer without experts, and its arithmetic."""
        self.notes.clear()
        layer, terms_of = self.dense_layer(self.queries)
        terms = terms_of()
        return layer, self.entering(1.0) | shown_by(self.notes, terms) | {"layer": added(terms.values())}

    def moe_lines(self) -> tuple[float, Lines]:
        """Seconds of a layer with experts, and the arithmetic of one half batch and of what overlaps."""
        self.notes.clear()
        _, terms_of = self.moe_layer(self.queries)
        terms = {term: time / self.halves for term, time in terms_of().items()}
        layer = self.halves * sum(terms.values())
        moved = terms["dispatch"], terms["combine"]
        named = [term for term in terms if term not in ("overlap", "dispatch", "combine")]
        first, second = (
            [terms[term] for term in named if (term in ATTENTION) == half] for half in (True, False)
        )
        del terms["overlap"]
        found = self.entering(self.halves) | self.asked | shown_by(self.notes, terms)
        found |= {"attention half": added(first), "expert half": added(second)}
        a, b, dispatch, combine = map(micro, (sum(first), sum(second), *moved))
        if self.halves == 1:
            return layer, found | {"layer": equation(f"{a} + {dispatch} + {b} + {combine}", layer)}
        bandwidth = self.machine.memory_bandwidth
        for op, time in self.touched.items():
            left = f"{digits(time * bandwidth, 1e-6)} MB ÷ {speed(bandwidth)}"
            found[f"memory traffic of {op}"] = equation(left, time)
        sent, gathered = map(micro, self.touched.values())
        if self.machine.streams:
            left = f"2 × max({a} + {sent} + {gathered}, {dispatch} + {b} + {combine})"
        else:
            stages = (a, sent, dispatch), (b, sent, dispatch), (b, gathered, combine), (a, gathered, combine)
            left = " + ".join(f"max({half} + {traffic}, {op})" for half, traffic, op in stages)
        return layer, found | {"layer, both half batches": equation(left, layer)}


def shown_by(notes: Notes, terms: Terms) -> Lines:
    """The arithmetic of each term: that of the kernels, one after the other, whose times add up to it."""
    found: Lines = {}
    spans = [*itertools.combinations(range(len(notes) + 1), 2)]
    for term, seconds in terms.items():
        runs = (notes[a:b] for a, b in spans)
        run = next(
            (
                run
                for run in runs
                if np.isclose(sum(note.seconds for note in run), seconds, rtol=1e-9, atol=0)
            ),
            [],
        )
        name = term.replace("_", " ")
        found |= {", ".join(filter(None, (name, note.shape))): note.text for note in run}
        if not run and seconds:
            found[name] = micro(seconds)
    return found


def equation(left: str, seconds: float) -> str:
    """What an expression comes to."""
    return f"{left} = {micro(seconds)}"


def added(seconds: Iterable[float]) -> str:
    """A sum as it is printed."""
    parts = [each for each in seconds if each]
    return equation(" + ".join(map(micro, parts)), sum(parts))


def times(*factors: Any) -> str:
    """A product as it is printed; factors of one are left out."""
    return " × ".join(units.number(factor) for factor in factors if factor != 1.0) or "1"


def digits(value: float, scale: float = 1e6) -> str:
    """A number to four digits, seconds as microseconds."""
    return units.number(float(scale * value))


def micro(seconds: float) -> str:
    """A time in microseconds."""
    return f"{digits(seconds)} µs"


def rate(value: float, share: float = 1.0) -> str:
    """FLOP/s, and the share of them that is had."""
    printed = f"{digits(value, 1e-12)} TFLOPS"
    return printed if share == 1.0 else f"({printed} × {digits(share, 1.0)})"


def speed(value: float) -> str:
    """Bytes a second."""
    return units.text(units.sensible(units.Q(value, "B/s")))
