"""Two systems side by side: on paper, at work and in training, for a chip, a watt, a dollar and a rack.

A cell of the table is a quotient of registered figures, so that it has a working and a span as they
have. Work is prompts and their answers: of the chips some prefill and some decode, so many of either that
they keep pace.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from cm384.derive.catalogue import AT, DRAWS
from cm384.derive.derivation import Figure, derivation, derive, trace
from cm384.derive.spread import span
from cm384.physics import arrays, load, serving
from cm384.physics.check import model_error
from cm384.physics.hardware import accelerator
from cm384.physics.kernels import eight_bits
from cm384.physics.models import load_model
from cm384.physics.served import ONE, deployed
from cm384.physics.training import runs_of
from cm384.table import units
from cm384.table.documents import load_sources
from cm384.table.errors import NotStated
from cm384.table.frames import pd
from cm384.table.records import (
    BYTES_PER_ELEMENT,
    FOUR_BIT_WEIGHTS,
    Deployment,
    Measurement,
    Numbers,
    TrainingRun,
    read_conditions,
)
from cm384.table.specs import Specs
from cm384.table.units import Quantity

COLUMNS = ("part", "row", "per", "ratio", "low", "high", "kind", "reads", "sources")
AGAINST = ("gb200-nvl72", "gb300-nvl72", "hgx-h100", "hgx-h20")  # as committed, the main one first
# How a table marks who leads.
SIGNS = MappingProxyType({"leads": "▲ ", "trails": "▼ ", "not separable": "○ ", "level": "= ",
                          "takes more": "", "takes less": ""})  # fmt: skip
REPEATS = 0.05  # what published runs of one machine differ by: one post disagrees with itself by 4 %
TRAINED = "deepseek-v3"  # what both sides have published training runs of
WORK = MappingProxyType({name: f"{AT[name]:g}" for name in ("prompt", "output", "tpot")})
# How many times as long the tokens of one run may be as those of another; the second if the first finds none.
LENGTHS = (1.25, 2.1)


# --- prompts and their answers -------------------------------------------------------------------


def _in_narrowest(specs: Specs, chip: str, found: Deployment) -> Deployment:
    """A deployment in the narrowest formats that the chip has kernels for."""
    found = dataclasses.replace(found, matrix_precision=eight_bits(specs, chip, "fp4"))
    rated = (read_conditions(text) for _, _, text, _ in specs.stated.get((chip, "attention_rate"), ()))
    if any(given.get("precision") == "fp8" for given in rated):
        found = dataclasses.replace(found, attention_precision="fp8", kv_precision="fp8")
    return found


def _matched(
    specs: Specs, chip: str, prompt: Numbers, output: Numbers, tpot: Numbers, bits: Numbers
) -> tuple[Any, Quantity]:
    """What `load.rate_match` says of prompts and their answers, spread as in the two workloads.

    Formats are words: where only some of the `bits` are below 8, either side is computed by itself.
    """
    narrow = np.asarray(bits) < 8
    if narrow.any() and not narrow.all():
        (less, slow), (more, fast) = (
            _matched(specs, chip, prompt, output, tpot, some) for some in (np.max(bits), np.min(bits))
        )
        rate = arrays.where(narrow, fast.m, slow.m)
        return arrays.where(narrow, more, less), units.Q(rate, "token/s/accelerator")
    model = load_model(specs.models[specs.workloads["decode"].model])
    filling = dataclasses.replace(deployed(specs, chip, "prefill"), context=prompt)
    decoding = dataclasses.replace(
        deployed(specs, chip, "decode"), context=prompt + output / 2.0, output=output
    )
    if narrow.any():
        filling, decoding = (_in_narrowest(specs, chip, each) for each in (filling, decoding))
    filled = serving.prefill(specs, model, filling)
    decoded = serving.decode_at_most(specs, model, decoding, tpot)
    return load.rate_match(filled, decoded, prompt, output)


@derivation("tokens of the answers a second ÷ chips that decode and prefill, by the serving model")
def matched_throughput(
    specs: Specs, subject: str, *, prompt: Numbers, output: Numbers, tpot: Numbers, bits: Numbers = 8.0
) -> Quantity:
    """Output tokens a second of one accelerator where those that prefill and that decode keep pace.

    With `bits` below 8 in the narrowest formats that the chip has kernels for; `tpot` in ms.
    """
    return _matched(specs, subject, prompt, output, tpot, bits)[1] * ONE


@derivation("prompt tokens that one accelerator asks for in decode ÷ those that one prefills")
def prefill_per_decode(
    specs: Specs, subject: str, *, prompt: Numbers, output: Numbers, tpot: Numbers, bits: Numbers = 8.0
) -> Quantity:
    """How many accelerators prefill for one that decodes, where they keep pace."""
    return units.Q(_matched(specs, subject, prompt, output, tpot, bits)[0], "count")


# --- published runs ------------------------------------------------------------------------------


def published(run: Measurement) -> str:
    """When a run was published: on its own date, else with its document."""
    return run.date or load_sources()[run.source].published.removeprefix("by ")


def bits_of(precision: str) -> float:
    """The bits of a format of matrices; where weights are narrower, those of the weights.

    >>> bits_of("int8"), bits_of("w4a8"), bits_of("fp4")
    (8.0, 4.0, 4.0)
    """
    return 4.0 if precision in FOUR_BIT_WEIGHTS else 8 * BYTES_PER_ELEMENT[precision]


Pair = tuple[Measurement, Measurement]


def fastest(
    specs: Specs, system: str, comparator: str, phase: str, bits: float, date: str = ""
) -> list[Pair]:
    """Published runs of two systems' chips at about the same lengths, each the fastest beside the other.

    Measured, of one phase and family of models, in formats of at least so many bits, with the routing of
    real tokens, and published by the date. Lengths are within a quarter, or where no runs are, up to about
    twice; batch, drafts and time per token are each side's own choice. Of several pairs the one nearest in
    length first. NotStated where there is none.
    """
    chips = accelerator(specs, system), accelerator(specs, comparator)
    ours, theirs = (
        [run for run in specs.measurements.values()
         if (run.accelerator, run.phase) == (chip, phase) and run.as_run and run.context
         and run.routing != "balanced" and bits_of(run.matrix_precision) >= bits
         and not (date and published(run) > date)]
        for chip in chips
    )  # fmt: skip
    pairs = [pair for pair in product(ours, theirs) if len({run.model.split("-")[0] for run in pair}) == 1]
    for limit in LENGTHS:
        if alike := [pair for pair in pairs if _stretch(pair) <= limit]:
            return sorted((pair for pair in alike if _leads(pair, alike)), key=_stretch)
    raise NotStated(f"no published runs of {chips[0]} and {chips[1]} in {phase} can be set side by side")


def _stretch(pair: Pair) -> float:
    lengths = [float(run.context) for run in pair]
    return max(lengths) / min(lengths)


def _leads(pair: Pair, alike: Sequence[Pair]) -> bool:
    """Whether no other run that is alike to one of a pair is faster than the other of it."""
    return not any(
        other[side] is pair[side] and other[1 - side].measured > pair[1 - side].measured
        for other in alike
        for side in (0, 1)
    )


# --- the table -----------------------------------------------------------------------------------

# What a figure of a system is divided by.
PER: Mapping[str, Callable[[Specs, str], Quantity]] = MappingProxyType(
    {
        "system": lambda specs, system: units.Q(1, "count"),
        "chip": lambda specs, system: specs.get(system, "count", part=accelerator(specs, system)),
        "watt": lambda specs, system: derive("system_power", system, specs),
        "dollar": lambda specs, system: specs.get(system, "price"),
        "rack": lambda specs, system: specs.get(system, "count", part="rack"),
    }
)
COSTS = MappingProxyType({"accelerators": "chip", "power": "watt", "price": "dollar", "racks": "rack"})

Sides = tuple[Quantity, Quantity]


@dataclass(frozen=True)
class Line:
    """A row of the table: what it says of two systems, and what kind of figure that is.

    `sides` gives a pair of figures, or one for each pair of runs. `phases` are the workloads whose error
    the serving model has; of a `cost` less is better; `per` says by what it is divided.
    """

    part: str
    kind: str
    sides: Callable[[Specs, str, str], list[Sides]]
    phases: tuple[str, ...] = ()
    cost: bool = False
    per: tuple[str, ...] = ("system", "chip", "watt", "dollar", "rack")


def _both(figure: Callable[[Specs, str], Quantity]) -> Callable[[Specs, str, str], list[Sides]]:
    return lambda specs, system, comparator: [(figure(specs, system), figure(specs, comparator))]


def _of(quantity: str, **given: str) -> Callable[[Specs, str, str], list[Sides]]:
    return _both(lambda specs, system: derive(quantity, system, specs, **given))


def _served(workload: str) -> Callable[[Specs, str, str], list[Sides]]:
    return _both(lambda specs, system: PER["chip"](specs, system) * derive(
        "served_throughput", accelerator(specs, system), specs, workload=workload))  # fmt: skip


def _ran(phase: str, bits: float) -> Callable[[Specs, str, str], list[Sides]]:
    def sides(specs: Specs, system: str, comparator: str) -> list[Sides]:
        def whole(name: str, run: Measurement) -> Quantity:
            return derive("system_throughput", name, specs, measurement=run.id)

        pairs = fastest(specs, system, comparator, phase, bits)
        return [(whole(system, one), whole(comparator, other)) for one, other in pairs]

    return sides


def _trained(bits: float) -> Callable[[Specs, str, str], list[Sides]]:
    return _both(lambda specs, system: derive(
        "training_throughput", system, specs, run=newest_training(specs, system, bits).id))  # fmt: skip


def newest_training(specs: Specs, system: str, bits: float) -> TrainingRun:
    """The newest published pretraining run on a system's chips in formats of at least so many bits.

    Of several of one date the fastest. NotStated where there is none.
    """
    known = [run for run in runs_of(specs, system, TRAINED) if run.throughput and run.precision]
    if not (found := [run for run in known if bits_of(run.precision) >= bits]):
        raise NotStated(f"no published run trains {TRAINED} on {system} at {bits:g} bits")
    return max(found, key=lambda run: (run.date, float(run.throughput)))


def lines(work: Mapping[str, str] = WORK) -> dict[str, Line]:
    """The rows of the table by name; `work` holds prompt, output and time per token of the work."""
    found = {f"dense peak, {bits} bits": Line("on paper", "specified", _of("peak_by_bits", bits=bits))
             for bits in ("16", "8", "4")}  # fmt: skip
    stated = {
        "memory": "hbm_capacity",
        "memory bandwidth": "hbm_bandwidth",
        "links inside": "scale_up_bandwidth",
        "links to the outside": "scale_out_bandwidth",
        "points of the US rule (TPP)": "tpp",
    }
    found |= {name: Line("on paper", "specified", _of(quantity)) for name, quantity in stated.items()}
    for bits in ("8", "4"):
        matched = _of("matched_throughput", bits=bits, **work)
        found[f"prompts and answers, {bits} bits"] = Line(
            "at work", "modelled", matched, ("prefill", "decode")
        )
    for phase in ("prefill", "decode"):
        found[f"{phase} alone, 8 bits"] = Line("at work", "modelled", _served(phase), (phase,))
        for bits in ("8", "4"):
            ran = Line("at work", "measured", _ran(phase, float(bits)))
            found[f"{phase} alone, published runs, {bits} bits"] = ran
    for bits in ("16", "8"):
        found[f"training, {bits} bits"] = Line("in training", "measured", _trained(float(bits)))
    for name, quantity in (("silicon", "silicon_area"), ("memory stacks", "hbm_stacks")):
        found[name] = Line("what it takes", "specified", _of(quantity), cost=True, per=("system", "chip"))
    for name, per in COSTS.items():
        found[name] = Line("what it takes", "specified", _both(PER[per]), cost=True, per=("system",))
    return found


def cell(line: Line, per: str, system: str, comparator: str, pair: int = 0) -> Figure:
    """A cell of the table as a figure, which `trace` and `span` take: a pure number."""

    def figure(specs: Specs) -> Quantity:
        one, other = line.sides(specs, system, comparator)[pair]
        return (one / other / (PER[per](specs, system) / PER[per](specs, comparator))).to("count")

    return figure


def table(specs: Specs, system: str, comparator: str, of: Mapping[str, Line] | None = None) -> pd.DataFrame:
    """A system over another in every row, for the system, a chip, a watt, a dollar and a rack.

    Columns as in `COLUMNS`; `of` are rows, by default all of `lines()`. `low` and `high` are what the
    sources allow, over all pairs of runs where several are alike, and of a modelled figure widened by the
    error of such ratios. `reads` says who leads, *level*, or *not separable* where either may lead,
    `sources` what a figure is read from, unless by the model. What no source states has no line.
    """
    found = _cells(specs, system, comparator, of or lines())
    return pd.DataFrame(found, columns=[*COLUMNS])


def _cells(specs: Specs, system: str, comparator: str, of: Mapping[str, Line]) -> Iterator[tuple[Any, ...]]:
    asked = [(name, per) for name, line in of.items() for per in line.per]
    for name, per in asked:
        line = of[name]
        try:
            pairs = range(len(line.sides(specs, system, comparator)))
            spans = [span(cell(line, per, system, comparator, pair), specs, DRAWS) for pair in pairs]
        except NotStated:
            continue
        low, high = min(float(s.low.m) for s in spans), max(float(s.high.m) for s in spans)
        if line.phases:
            low, high = model_error(specs, *line.phases, ratio=True).band(low, high)
        read = () if line.phases else trace(cell(line, per, system, comparator), specs).rows
        sources = ";".join(sorted({row.source for row in read}))
        central = float(spans[0].central.m)
        yield line.part, name, per, central, low, high, line.kind, _reads(low, high, line), sources


def tables(specs: Specs, system: str) -> pd.DataFrame:
    """The table of a system over each of `AGAINST`, which the column `against` names."""
    return pd.concat([table(specs, system, other).assign(against=other) for other in AGAINST])


def _reads(low: float, high: float, line: Line) -> str:
    if np.allclose([low, high], 1.0, rtol=0, atol=REPEATS if line.kind == "measured" else 1e-9):
        return "level"
    more, less = ("takes more", "takes less") if line.cost else ("leads", "trails")
    return more if low > 1 else less if high < 1 else "not separable"
