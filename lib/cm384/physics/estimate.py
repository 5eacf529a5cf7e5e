"""A chip of which no source states how fast kernels run: an estimate by the shares that other chips reach.

A data sheet gives peaks, memory bandwidth and link bandwidth. Every chip with kernels of its own
reaches some share of each with each kernel; those shares of this chip's figures, and the other
chips' own fixed times, stand in for the rows that it lacks. The other chips are one leading axis of
the figures, as draws are, so that the model runs once: its median is the central estimate and its
ends are the span. Nothing is fitted, and a stated row always wins.

How a stack uses a chip is not taken over: fused experts, streams, units given to exchanges, sequence
parallel prefill and a link to the host stay with the chips whose rows state them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, product
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from cm384.derive.derivation import derive
from cm384.physics import kernels
from cm384.physics.serving import matrix_peak
from cm384.physics.sizes import Rows
from cm384.physics.transformer import Model
from cm384.table import units
from cm384.table.errors import InputError, NotStated, check_known
from cm384.table.records import BYTES_PER_ELEMENT, KERNELS, Row, read_conditions, write_conditions
from cm384.table.specs import Specs

# What every deployment reads of a chip's kernels, and what one with experts reads besides.
DENSE = ("gemm_rate", "gemm_bandwidth", "gemm_fixed_time", "gemm_row_tile", "attention_rate",
         "attention_fixed_time", "memory_bandwidth_sustained", "small_kernel_time", "iteration_overhead",
         "all_reduce_latency", "all_reduce_bandwidth")  # fmt: skip
EXPERTS = ("exchange_fixed_time", "exchange_bandwidth")
# A chip that lacks a format gives its share in its 8-bit format, and without one its share in BF16.
NEAR = ("fp8", "int8", "bf16")
POINTS = ("length", "ranks", "size")  # the conditions that curves run over


@dataclass(frozen=True)
class Sheet:
    """What a data sheet gives of one rank, in base units; `link` is NaN where nothing states it."""

    peaks: Mapping[str, Any]
    memory: Any
    link: Any


@dataclass(frozen=True)
class Estimated:
    """A figure by the shares of several chips, which are the leading axis of `values`.

    >>> found = Estimated([80.0, 100.0, 150.0])
    >>> float(found.central), str(found)
    (100.0, 'estimated: 80 to 150 by the shares of 3 chips')
    """

    values: Any

    @property
    def central(self) -> Any:
        """The median over the chips."""
        return np.median(self.values, axis=0)

    @property
    def low(self) -> Any:
        """The smallest over the chips."""
        return np.min(self.values, axis=0)

    @property
    def high(self) -> Any:
        """The largest over the chips."""
        return np.max(self.values, axis=0)

    def __str__(self) -> str:
        ends = f"{units.number(float(self.low))} to {units.number(float(self.high))}"
        return f"estimated: {ends} by the shares of {len(self.values)} chips"


def lacks_kernels(specs: Specs, chip: str, model: Model | None = None) -> bool:
    """Whether the table lacks a kernel figure that every deployment (of a model) reads of a chip."""
    needed = DENSE if model is not None and not model.moe_layers else DENSE + EXPERTS
    return any((chip, quantity) not in specs.stated for quantity in needed)


def donors(specs: Specs, chip: str, core: str = "latent") -> tuple[str, ...]:
    """The chips whose shares stand in for those of `chip`: all others with a full set of kernels.

    `core` is the kind of attention, which a chip must have kernels of in both phases.
    """

    def full(name: str) -> bool:
        rates = [read_conditions(text) for _, _, text, _ in specs.stated[name, "attention_rate"]]
        phases = {given["phase"] for given in rates if given.get("kernel", "latent") == core}
        formats = {*kernels.kernel_precisions(specs, name), *(given["precision"] for given in rates)}
        found = sheet(specs, name)
        known = np.isfinite(found.memory) and np.isfinite(found.link) and formats <= found.peaks.keys()
        return bool(known and phases == {"decode", "prefill"})

    named = dict.fromkeys(name for name, quantity in specs.stated if quantity == "gemm_rate" and name != chip)
    return tuple(name for name in named if not lacks_kernels(specs, name) and full(name))


def sheet(specs: Specs, chip: str) -> Sheet:
    """The data sheet of a chip a rank: each figure as stated, else as units, stacks or links multiply to.

    A peak is that of the matrix units where the table knows it, else the headline. NaN for what is
    neither stated nor follows.
    """
    ranks = Rows(specs, chip, 0).optional("ranks_per_package", 1.0)

    def first(*names: str) -> Any:
        for name in names:
            with suppress(NotStated):
                return units.plain(derive(name, chip, specs)) / ranks
        return np.nan

    peaks = {}
    for precision in BYTES_PER_ELEMENT:
        with suppress(NotStated):
            peaks[precision] = matrix_peak(specs, chip, precision) / ranks
    memory = first("hbm_bandwidth", "hbm_bandwidth_from_stacks")
    return Sheet(peaks, memory, first("scale_up_bandwidth", "scale_up_bandwidth_from_links"))


def with_kernels(specs: Specs, chip: str, model: Model) -> Specs:
    """The table itself where a chip has the kernels that a model needs, else the estimate of them."""
    if not lacks_kernels(specs, chip, model):
        return specs
    key, known = (chip, model.attention.kernel), _ESTIMATES.setdefault(specs, {})
    if key not in known:
        known[key] = estimate(specs, *key)
    return known[key]


# Estimates of each table by chip and kind of attention, for as long as it is used.
_ESTIMATES: WeakKeyDictionary[Specs, dict[tuple[str, str], Specs]] = WeakKeyDictionary()


def estimate(specs: Specs, chip: str, core: str = "latent", by: Sequence[str] = ()) -> Specs:
    """The table with the kernel rows that a chip lacks, by the shares of the chips in `by` or of all donors.

    A filled figure is an array of one value a chip, which `Estimated` reads as median and span, and a
    number where `by` names one chip. Rows of the chip itself stay, a curve as a whole. NotStated in one
    line with the rows to add where the data sheet lacks the BF16 peak, the memory bandwidth or the
    capacity; between ranks the model refuses where it lacks the link bandwidth.
    """
    check_known("subject", chip, specs.subjects)
    if parts := specs.parts(chip):
        raise InputError(f"accelerator: {chip} is a system; an estimate is of one chip: {', '.join(parts)}")
    if specs.sampled:
        raise InputError("an estimate needs the sourced table, not draws of it")
    own, known = sheet(specs, chip), donors(specs, chip, core)
    if missing := lacking(specs, chip):
        raise NotStated(f"accelerator: to estimate the kernels of {chip}, add {' and '.join(missing)}")
    for name in by:
        check_known("chip with kernels", name, known)
    if not (names := tuple(by) or known):
        raise NotStated(f"accelerator: no chip has kernels of {core} attention to estimate {chip} by")

    @cache
    def points(quantity: str, condition: str) -> list[str]:
        """Where some donor's curve has a point: straight in between, it is still each one's own."""
        texts = [text for name in names for _, _, text, _ in specs.stated[name, quantity]]
        return sorted({given[condition] for given in map(read_conditions, texts) if condition in given})

    held: dict[tuple[str, str], list[Any]] = {}
    for name in names:
        rows, theirs = Rows(specs, name, 0), sheet(specs, name)
        figures = chain(_kernels(rows, theirs, own, core, points), _links(rows, theirs, own, points))
        for quantity, value, given in figures:
            held.setdefault((quantity, write_conditions(given)), []).append(value)
    one = len(by) == 1
    filled = {key: values[0] if one else np.array(values) for key, values in held.items()}
    return _filled(specs, chip, filled, names)


def without_kernels(specs: Specs, chip: str) -> Specs:
    """The table as if no source stated how fast kernels run on a chip, to try its estimate."""
    dropped = (*KERNELS, "sequence_parallel_ranks")
    kept = {key: found for key, found in specs.rows.items() if key[0] != chip or key[1] not in dropped}
    return dataclasses.replace(specs, rows=kept)


def by_median(
    specs: Specs, chip: str, model: Model, throughput: Callable[[Specs], Any]
) -> tuple[Specs, Estimated]:
    """The estimate by the one chip whose shares give the median of a figure, and the figure by all of them.

    Its rows are plain numbers, so that whatever reads the table of a chip with kernels reads it too; of
    an even number of chips it is the lower of the middle two.
    """
    core = model.attention.kernel
    found = Estimated(throughput(estimate(specs, chip, core)))
    middle = np.argsort(found.values)[(len(found.values) - 1) // 2]
    return estimate(specs, chip, core, (donors(specs, chip, core)[middle],)), found


Figure = tuple[str, Any, dict[str, str]]  # quantity, value in base units, conditions
Points = Callable[[str, str], list[str]]


def _kernels(rows: Rows, theirs: Sheet, own: Sheet, core: str, points: Points) -> Iterator[Figure]:
    """What a chip does within one rank by the shares of another, whose rows these are."""
    number, optional, memory = rows.number, rows.optional, own.memory / theirs.memory
    kernel = {} if core == "latent" else {"kernel": core}
    decode, prefill = {"phase": "decode", **kernel}, {"phase": "prefill", **kernel}
    for precision, peak in own.peaks.items():
        # Grouped products are benchmarked in 8 bits alone; a chip without that gives its plain ones.
        for kind in ({}, {"kernel": "grouped"}) if BYTES_PER_ELEMENT[precision] == 1 else ({},):
            found = _nearest(rows, "gemm_rate", precision, kind)
            name = found or _nearest(rows, "gemm_rate", precision, {})
            given, named = {"precision": name, **(kind if found else {})}, {"precision": precision, **kind}
            yield "gemm_rate", peak / theirs.peaks[name] * number("gemm_rate", **given), named
            yield "gemm_bandwidth", memory * number("gemm_bandwidth", **given), named
            yield "gemm_fixed_time", number("gemm_fixed_time", **given), named
        name = _nearest(rows, "attention_rate", precision, decode)
        given, named = {"precision": name, **decode}, {"precision": precision, **decode}
        yield "attention_rate", peak / theirs.peaks[name] * number("attention_rate", **given), named
        yield "attention_fixed_time", number("attention_fixed_time", **given), named
        # Where the cache is read at one bandwidth in all formats, or at that of the memory.
        any_format = optional("attention_bandwidth", number("memory_bandwidth_sustained"), phase="decode")
        yield "attention_bandwidth", memory * optional("attention_bandwidth", any_format, **given), named
        name = _nearest(rows, "attention_rate", precision, prefill)
        curve = kernels.curve(rows, "attention_rate", "length", invert=False, precision=name, **prefill)
        for length in points("attention_rate", "length"):
            rate = curve.at(np.log(float(length)))
            named = {"precision": precision, "length": length, **prefill}
            yield "attention_rate", peak / theirs.peaks[name] * rate, named
    if core == "sparse":
        yield from _indexer(rows, theirs, own)
    yield "memory_bandwidth_sustained", memory * number("memory_bandwidth_sustained"), {}
    # Times of a launch are no share of anything: they stay those of the donor.
    for quantity in ("gemm_row_tile", "small_kernel_time", "iteration_overhead"):
        yield quantity, number(quantity), {}
    yield "launch_gap", optional("launch_gap", 0.0), {}


def _indexer(rows: Rows, theirs: Sheet, own: Sheet) -> Iterator[Figure]:
    """What chooses positions for sparse attention: scores by the peak in 8 bits, or the nearest of both."""
    narrow = [next(p for p in NEAR if p in sheet.peaks) for sheet in (own, theirs)]
    for phase in ("decode", "prefill"):
        share = rows.number("index_rate", phase=phase) / theirs.peaks[narrow[1]]
        yield "index_rate", own.peaks[narrow[0]] * share, {"phase": phase}
        for precision in own.peaks:
            given = {"kernel": "sparse", "phase": phase}
            name = _nearest(rows, "attention_head_tile", precision, given)
            tile = rows.number("attention_head_tile", precision=name, **given)
            yield "attention_head_tile", tile, {"precision": precision, **given}
    for quantity in ("index_fixed_time", "index_token_time"):
        yield quantity, rows.number(quantity), {}


def _nearest(rows: Rows, quantity: str, precision: str, given: Mapping[str, str]) -> str:
    """The format in which a chip gives its share: the same, or the nearest that it has; empty if none."""
    stated = [read_conditions(text) for _, _, text, _ in rows.specs.stated[rows.name, quantity]]
    kind = [found for found in stated if found.get("kernel") == given.get("kernel")]
    formats = {found["precision"] for found in kind if given.items() <= found.items()}
    return next((name for name in (precision, *NEAR) if name in formats), "")


def _links(rows: Rows, theirs: Sheet, own: Sheet, points: Points) -> Iterator[Figure]:
    """What goes between ranks: bandwidths by the share of the links, and the donor's own fixed times."""
    link = own.link / theirs.link
    for op, phase in product(("dispatch", "combine"), ("decode", "prefill")):
        moved = kernels.exchange(rows, op, phase)
        for ranks in points("exchange_fixed_time", "ranks"):
            x, named = 1 / float(ranks), {"op": op, "phase": phase, "ranks": ranks}
            yield "exchange_fixed_time", moved.fixed_time.at(x), named
            yield "exchange_bandwidth", link / moved.seconds_per_byte.at(x), named
    sums = kernels.all_reduce(rows)
    for ranks in points("all_reduce_bandwidth", "ranks"):
        yield "all_reduce_bandwidth", link / sums.seconds_per_byte.at(1 / float(ranks)), {"ranks": ranks}
    for ranks in points("all_reduce_latency", "ranks"):
        first = sums.time(float(ranks), 0.0)
        yield "all_reduce_latency", first, {"ranks": ranks}
        for size in points("all_reduce_latency", "size"):
            # What a message takes beyond the first few kilobytes goes by the links.
            more = sums.time(float(ranks), float(size)) - first
            yield "all_reduce_latency", first + more / link, {"ranks": ranks, "size": size}
    # Between nodes prefill counts a token once a node: a bandwidth goes with the nodes it was taken on.
    # One fabric stands as a node without end, which spares prefill a copy that shares its rank.
    yield "node_ranks", rows.optional("node_ranks", np.inf), {}


def lacking(specs: Specs, chip: str, ranks: bool = False) -> list[str]:
    """The rows that a data sheet lacks of what every deployment needs, and of what several `ranks` need."""
    own = sheet(specs, chip)
    rows = {
        "peak,precision=bf16,VALUE,TFLOP/s,matrix": "bf16" in own.peaks,
        "hbm_bandwidth,,VALUE,TB/s,nominal": np.isfinite(own.memory),
        "hbm_capacity,,VALUE,GB,nominal": (chip, "hbm_capacity") in specs.stated,
        "scale_up_bandwidth,,VALUE,GB/s,one-way": np.isfinite(own.link) or not ranks,
    }
    return [kernels.row_to_add(chip, row) for row, stated in rows.items() if not stated]


def _filled(specs: Specs, chip: str, filled: Mapping[tuple[str, str], Any], names: Sequence[str]) -> Specs:
    """The table with the figures of which the chip states nothing, each with the reason beside it."""

    def curve(quantity: str, text: str) -> tuple[str, str]:
        given = read_conditions(text)
        return quantity, write_conditions({n: v for n, v in given.items() if n not in POINTS})

    stated = {curve(*key[1:3]) for key in specs.rows if key[0] == chip}
    rows, drawn = dict(specs.rows), dict(specs.drawn)
    for (quantity, text), values in filled.items():
        if curve(quantity, text) not in stated:
            unit = specs.kinds[quantity].unit
            held = values / units.plain(units.Q(1.0, unit))
            why = f"the shares or fixed times of {', '.join(names)}"
            row = Row(chip, quantity, text, float(np.median(held)), unit, "assumed", "central", "",
                      "estimate", why, "")  # fmt: skip
            rows[row.key], drawn[row.key] = (row,), held
    return dataclasses.replace(specs, rows=rows, drawn=drawn)
