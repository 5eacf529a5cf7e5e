"""Times of single kernels on one rank: matrix products, attention, exchanges between ranks.

A rank is what holds one share of the experts: a GPU, or one die of an Ascend 910C. A `Machine` is
the rows of one accelerator at the precisions of one deployment, read once, as plain numbers in base
units (seconds, bytes, FLOP), so that everything below broadcasts over numpy arrays. A constant
comes from a benchmark of the kernel, from a trace or a document where there is none, or is assumed and
says so; never from a serving throughput.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from cm384.physics import arrays
from cm384.physics.deployment import refuse
from cm384.physics.sizes import HALF, Rows
from cm384.physics.transformer import bytes_per_element
from cm384.table import units
from cm384.table.errors import InputError, NotStated, check_known
from cm384.table.records import BYTES_PER_ELEMENT, FOUR_BIT_WEIGHTS, Numbers, read_conditions
from cm384.table.specs import Specs, once


@dataclass(frozen=True)
class Curve:
    """A sourced figure over one condition: straight lines between points, flat beyond them.

    `open_start` carries the first line on below the first point.
    """

    points: tuple[float, ...]
    values: tuple[Any, ...]
    open_start: bool = False

    def at(self, x: Numbers) -> Any:
        """The figure at `x`; broadcasts."""
        value = self.values[0]
        for i, (start, end) in enumerate(zip(self.points, self.points[1:], strict=False)):
            low = -arrays.inf if self.open_start and i == 0 else 0.0
            share = arrays.minimum(arrays.maximum((x - start) / (end - start), low), 1.0)
            value = value + share * (self.values[i + 1] - self.values[i])
            if type(share) is float and share < 1.0:
                break  # the other lines begin further on
        return value


@dataclass(frozen=True)
class Gemm:
    """The sustained figures of matrix products in one precision.

    Form and constants from DeepGEMM's tables (28 shapes within a median of 5 %) and CANN's (six
    within 2 %): operands are read while the matrix units work, the output is written afterwards.
    """

    rate: Any
    bandwidth: Any
    output_bandwidth: Any
    fixed_time: Any
    element_bytes: Any
    weight_bytes: Any
    row_tile: Any

    def time(
        self,
        rows: Numbers,
        inputs: Numbers,
        outputs: Numbers,
        groups: Numbers = 1,
        units_share: Numbers = 1.0,
    ) -> Any:
        """Seconds of `groups` products that share `rows`, each with a weight `(inputs, outputs)`.

        Matrix units work on whole tiles of rows. `units_share` is the part of them that is not busy
        with something else.
        """
        # What does not vary with the rows is taken together first, so that few arrays are passed over.
        size = inputs * outputs
        computing = arrays.maximum(rows, groups * self.row_tile) * (2.0 * size / (self.rate * units_share))
        reading = rows * (inputs * self.element_bytes / self.bandwidth)
        reading = reading + groups * (size * self.weight_bytes / self.bandwidth)
        work = arrays.sqrt(computing * computing + reading * reading)
        return work + rows * (outputs * HALF / self.output_bandwidth) + self.fixed_time


@dataclass(frozen=True)
class Exchange:
    """Dispatch or combine: a fixed time, and every copy of a token at a bandwidth.

    Both over the reciprocal of the number of ranks, in which the share of the copies that leave the
    node is a straight line. Copies are counted as the benchmark counts them.
    """

    fixed_time: Curve
    seconds_per_byte: Curve

    def time(self, ranks: Numbers, size: Numbers) -> Any:
        """Seconds to move `size` bytes out of every rank of `ranks`."""
        share = 1.0 / ranks
        return self.fixed_time.at(share) + size * self.seconds_per_byte.at(share)


@dataclass(frozen=True)
class AllReduce:
    """The sum of a message over a group: latencies by size, straight lines between, then a bandwidth.

    Each latency is over the reciprocal of the number of ranks. For more ranks than are known by size
    the first latency and the bandwidth stand alone.
    """

    sizes: tuple[float, ...]
    latencies: tuple[Curve, ...]
    seconds_per_byte: Curve

    def time(self, ranks: Numbers, size: Numbers) -> Any:
        """Seconds to add up `size` bytes over `ranks`; 0 for a single one."""
        share = 1.0 / ranks
        within = arrays.where(share < self.latencies[-1].points[0], 0.0, arrays.minimum(size, self.sizes[-1]))
        latency = Curve(self.sizes, tuple(curve.at(share) for curve in self.latencies)).at(within)
        moved = 2.0 * (1.0 - share) * (size - within)
        return arrays.where(ranks > 1, latency + moved * self.seconds_per_byte.at(share), 0.0)


FEW_KILOBYTES = 16_384.0  # of the latencies that state no size: one token of 7,168, rounded up
VECTOR = ("norm", "add", "quantise", "rotary", "activation", "permute")


class Asked(NamedTuple):
    """What a deployment asks of the kernels of an accelerator."""

    phase: str
    matrix: str
    attention: str
    core: str = "latent"
    experts: bool = True
    software: str = ""
    weights: str = ""  # the 4-bit format of the experts, where they alone are kept in one


class Machine:
    """The figures of one accelerator for one phase and set of precisions, in base units a rank."""

    def __init__(self, specs: Specs, name: str, asked: Asked, axes: int) -> None:
        """Read from the table; draws come before `axes` further ones."""
        phase, matrix, attention, core, experts, software, _ = asked
        self.matrix = matrix = multiplied(specs, name, matrix)
        kernel = {} if core == "latent" else {"kernel": core}
        _check_kernels(specs, name, asked._replace(matrix=matrix), kernel)
        if software:
            check_known("software", software, specs.subjects)
        self._rows = Rows(specs, name, axes)
        number, has, optional = self._rows.number, self._rows.has, self._rows.optional
        self.launch_gap = optional("launch_gap", 0.0)
        self.row_tile = number("gemm_row_tile")
        self.memory_bandwidth = number("memory_bandwidth_sustained")
        served = {"phase": phase, "precision": attention, **kernel}
        # In prefill over the logarithm of the length, with fixed times in the rates of whole calls.
        if phase == "prefill":
            self.attention_rate = curve(self._rows, "attention_rate", "length", invert=False, **served)
            self.attention_fixed_time = 0.0
        else:
            self.attention_rate = Curve((0.0,), (number("attention_rate", **served),))
            self.attention_fixed_time = number("attention_fixed_time", **served) + self.launch_gap
        # Shares of the matrix units: that an exchange takes from compute, of each decode stream.
        taken = optional("communication_matrix_units", 0.0, phase=phase)
        streams = ("attention", "experts") if phase == "decode" else ()
        named = [stream for stream in streams if has("stream_matrix_units", stream=stream)]
        split = {stream: number("stream_matrix_units", stream=stream) for stream in named}
        shares = split or has("communication_matrix_units", phase=phase)
        whole = arrays.number(units.plain(matrix_units(specs, name))) if shares else 1.0
        self.communication_share = taken / whole
        self.streams = {stream: count / whole for stream, count in split.items()}
        # Ranks that share prefill attention; 1 where it stays on its rank.
        self.sequence_parallel = optional("sequence_parallel_ranks", 1.0, phase=phase)
        self.gemm = {p: self._gemm(p) for p in sorted({matrix, attention, "bf16"})}
        # The products of the experts: in decode by a benchmark of them, where one is known; where a group
        # has all of them in one fused kernel, with the activation and the order of the rows.
        grouped = {"kernel": "grouped"} if phase == "decode" else {}
        self.expert_gemm = self._experts(asked, **grouped) or self._experts(asked) or self.gemm[matrix]
        self.fused_gemm = self._experts(asked, kernel="fused", phase=phase)
        read = served if has("attention_bandwidth", **served) else {"phase": phase}
        self.attention_bandwidth = optional("attention_bandwidth", self.memory_bandwidth, **read)
        if core == "sparse":
            self.attention_head_tile = number("attention_head_tile", **served)
            self.index_rate = number("index_rate", phase=phase)
            self.index_token_time = number("index_token_time") if phase == "prefill" else 0.0
            self.index_fixed_time = 0.0 if phase == "prefill" else number("index_fixed_time")
        self.small_kernel_time = number("small_kernel_time")
        self.all_reduce = all_reduce(self._rows)
        ops = ("dispatch", "combine") if experts else ()
        self.exchanges = {op: exchange(self._rows, op, phase) for op in ops}
        self.node_ranks = optional("node_ranks", None)  # None where all ranks are on one fabric
        ops = ("read", "write") if has("sequence_parallel_ranks", phase=phase) else ()
        self.peer_bandwidth = {op: number("peer_bandwidth", op=op) for op in ops}
        self.host_bandwidth = optional("host_link_bandwidth", None)  # None where none streams
        # What the software sets, where a stack is named; else one default for all.
        self.iteration_overhead = self._set("iteration_overhead", software, name)
        layouts = ("replicated", "tensor")  # attention whole on each rank, or cut by heads
        self.small_kernels = tuple(
            self._set("small_kernels", software, "serving", attention=core, layout=layout)
            for layout in layouts
        )
        # What holds for every accelerator; bytes are those of an element.
        general = partial(number, subject="serving")
        self.vector_bytes = {op: general("vector_bytes", op=op) for op in VECTOR}
        self.dispatched_bytes = general("exchange_payload", precision=matrix)
        self.collective_touches = general("collective_touches")
        self.routing_groups = general("routing_groups")
        self.expert_balance = general("expert_balance", "assumed", routing="eplb")
        self.expert_skew = general("expert_skew")
        del self._rows  # a machine keeps no table alive

    def _set(self, quantity: str, software: str, default: str, **given: str) -> Any:
        """A setting of a stack, or of the subject that holds the default."""
        if software and self._rows.has(quantity, software, **given):
            return self._rows.number(quantity, subject=software, **given)
        return self._rows.number(quantity, subject=default)

    def _experts(self, asked: Asked, **kernel: str) -> Gemm | None:
        """A kernel of the experts' products, whose weights may be narrower than what is multiplied.

        Of weights in 4 bits by a benchmark in their format; else as with wider ones, but for their bytes.
        None where no source states such a kernel.
        """
        wide = {"precision": self.matrix, **kernel}
        narrow = {"experts": asked.matrix, "weights": asked.weights, **kernel}
        four = asked.matrix in FOUR_BIT_WEIGHTS
        given = next((rows for rows in (narrow, wide) if self._rows.has("gemm_rate", **rows)), None)
        if given is None:
            return None
        found = self._gemm(self.matrix, **given)
        bytes_of = {"subject": "serving", "weights": asked.weights or "int4"}
        return replace(found, weight_bytes=self._rows.number("element_bytes", **bytes_of)) if four else found

    def _gemm(self, wide: str, **kernel: str) -> Gemm:
        """Products that are multiplied in the precision `wide`, by the rows of that or a named kernel."""
        fused = kernel.get("kernel") == "fused"
        kernel = kernel or {"precision": wide}
        tile = (
            self._rows.number("gemm_row_tile", subject="serving", kernel="fused") if fused else self.row_tile
        )
        bandwidth = self._rows.number("gemm_bandwidth", **kernel)
        element = self._rows.optional(
            "element_bytes", bytes_per_element(wide), subject="serving", precision=wide
        )
        return Gemm(
            rate=self._rows.number("gemm_rate", **kernel),
            bandwidth=bandwidth,
            output_bandwidth=self._rows.optional("gemm_output_bandwidth", bandwidth),
            fixed_time=self._rows.number("gemm_fixed_time", **kernel) + self.launch_gap,
            element_bytes=element,
            weight_bytes=element,
            row_tile=tile,
        )


def curve(rows: Rows, quantity: str, over: str, invert: bool = False, **fixed: str) -> Curve:
    """The rows of a quantity by one of their conditions; ranks count by their reciprocal."""
    found = {}
    for _, _, text, basis in rows.specs.stated.get((rows.name, quantity), ()):
        given = read_conditions(text)
        point = given.pop(over, None)
        if point is not None and given == fixed:
            value = rows.number(quantity, basis, **given, **{over: point})
            x = 1 / float(point) if over == "ranks" else arrays.log(float(point))
            found[x] = 1 / value if invert else value
    if not found:
        rows.number(quantity, **fixed)  # says what is missing
    points = tuple(sorted(found))
    return Curve(points, tuple(found[x] for x in points), open_start=over == "ranks")


def exchange(rows: Rows, op: str, phase: str) -> Exchange:
    """Dispatch or combine of one accelerator."""
    fixed = curve(rows, "exchange_fixed_time", "ranks", op=op, phase=phase)
    return Exchange(fixed, curve(rows, "exchange_bandwidth", "ranks", invert=True, op=op, phase=phase))


def all_reduce(rows: Rows) -> AllReduce:
    """The sum over a group of one accelerator's ranks."""
    stated = rows.specs.stated.get((rows.name, "all_reduce_latency"), ())
    given = (read_conditions(text) for _, _, text, _ in stated)
    larger = sorted({float(found["size"]) for found in given if "size" in found})
    latencies = [curve(rows, "all_reduce_latency", "ranks")]
    latencies += [curve(rows, "all_reduce_latency", "ranks", size=f"{size:.0f}") for size in larger]
    first = FEW_KILOBYTES if larger else 0.0
    bandwidth = curve(rows, "all_reduce_bandwidth", "ranks", invert=True)
    return AllReduce((first, *larger), tuple(latencies), bandwidth)


def machine(specs: Specs, name: str, asked: Asked, axes: int = 0) -> Machine:
    """The rows of accelerator `name`; InputError names the field that asks for what it lacks.

    Draws of the table come before `axes` further ones, those of a deployment's arrays. Read once a
    table, and every time from one that notes what is read.
    """
    return once(Machine, specs, name, asked, axes)


def _check_kernels(specs: Specs, name: str, asked: Asked, kernel: dict[str, str]) -> None:
    """Refuse a precision or an attention for which a chip has no kernels; one line that names the field."""
    precisions = kernel_precisions(specs, name)
    if not precisions:
        told = f"accelerator: no source states how fast kernels run on {name}"
        raise NotStated(f"{told}; estimate(specs, {name!r}) takes the shares that other chips reach")
    for field, precision in (("matrix_precision", asked.matrix), ("attention_precision", asked.attention)):
        if precision not in precisions:
            error = NotStated if precision in BYTES_PER_ELEMENT else InputError
            raise error(f"{field}: {name} has no kernels in {precision}; it has {', '.join(precisions)}")
    wanted = ({"phase": asked.phase, "precision": asked.attention} | kernel).items()
    rates = (read_conditions(text) for _, _, text, _ in specs.stated.get((name, "attention_rate"), ()))
    if not any(wanted <= given.items() and ("kernel" in given) == bool(kernel) for given in rates):
        kind = f"{kernel['kernel']} attention" if kernel else "latent attention"
        told = f"no source states how fast {name} computes {kind} in {asked.attention}"
        raise NotStated(f"attention_precision: {told}")


def check_reach(machine: Machine, name: str, tensor: Numbers, experts: Numbers) -> None:
    """Refuse groups over links that no source states, or beyond the node it keeps to; names the field."""
    sums = machine.all_reduce
    curves = {"tensor_parallel": (tensor, "add up", sums.latencies[0], sums.seconds_per_byte)}
    if dispatch := machine.exchanges.get("dispatch"):
        found = experts, "exchange tokens", dispatch.fixed_time, dispatch.seconds_per_byte
        curves["expert_parallel"] = found
    for field, (ranks, do, known, slope) in curves.items():
        if arrays.any(unknown := (ranks > 1) & (slope.values[0] != slope.values[0])):
            row = row_to_add(name, "scale_up_bandwidth,,VALUE,GB/s,one-way")
            told = f"{field}: for {{ranks:g}} ranks of {name} to {do}, add {row}"
            refuse(unknown, told, ranks=ranks)
        if machine.node_ranks is not None:
            told = (
                f"{field}: no source states how fast {{ranks:g}} ranks of {name} {do}, on nodes of {{node:g}}"
            )
            beyond = (ranks > machine.node_ranks) & (1.0 / known.points[0] <= machine.node_ranks)
            refuse(beyond, told, ranks=ranks, node=machine.node_ranks)


def row_to_add(chip: str, stated: str) -> str:
    """A line of a specs file for somebody to complete.

    >>> row_to_add("my-chip", "hbm_bandwidth,,VALUE,TB/s,nominal")
    "'my-chip,hbm_bandwidth,,VALUE,TB/s,nominal,central,,SOURCE,PLACE,'"
    """
    return f"'{chip},{stated},central,,SOURCE,PLACE,'"


def kernel_precisions(specs: Specs, name: str) -> list[str]:
    """The precisions in which a source states how fast matrix products run on a chip.

    >>> from cm384 import load_specs
    >>> kernel_precisions(load_specs(), "ascend-910c")
    ['bf16', 'int8']
    """
    rates = (text for _, _, text, _ in specs.stated.get((name, "gemm_rate"), ()))
    return sorted({found["precision"] for found in map(read_conditions, rates) if "precision" in found})


def eight_bits(specs: Specs, chip: str, precision: str = "") -> str:
    """The precision in which a chip multiplies: the one given if it has kernels for it, else 8 bits.

    >>> from cm384 import load_specs
    >>> eight_bits(load_specs(), "ascend-910c"), eight_bits(load_specs(), "gb200", "fp4")
    ('int8', 'fp4')
    """
    found = kernel_precisions(specs, chip)
    for wanted in (precision, *EIGHT_BIT):
        if wanted in found:
            return wanted
    raise NotStated(f"no source states how fast 8-bit kernels run on {chip}")


def multiplied(specs: Specs, name: str, precision: str) -> str:
    """The precision in which a chip multiplies: of weights in 4 bits, that of the activations.

    >>> from cm384 import load_specs
    >>> [multiplied(load_specs(), "ascend-910c", p) for p in ("w4a8", "w4a16", "int8")]
    ['int8', 'bf16', 'int8']
    """
    if precision not in FOUR_BIT_WEIGHTS:
        return precision
    return "bf16" if precision == "w4a16" else eight_bits(specs, name)


def matrix_units(specs: Specs, name: str) -> units.Quantity:
    """Matrix units of one rank: of the package, or of a die where the source counts by die."""
    by_package = (name, "matrix_units", "", "package") in specs.rows
    return specs.get(name, "matrix_units", "package" if by_package else "die")


EIGHT_BIT = ("fp8", "int8")
# The expected largest of 1, 2, 4, ... 4,096 standard normal numbers.
NORMAL_MAXIMA = (0.0, 0.564, 1.029, 1.424, 1.766, 2.07, 2.344, 2.595, 2.827, 3.044, 3.248, 3.442, 3.626)


# --- how many, how uneven ------------------------------------------------------------------------


def distinct(places: Numbers, choices: float) -> Any:
    """How many of `places` equally likely ones some random choices hit, on average."""
    places = arrays.maximum(places, 1.0)
    return places * (1.0 - (1.0 - 1.0 / places) ** choices)


def normal_maximum(count: Numbers) -> Any:
    """The expected largest of `count` standard normal numbers, within 1 %; 0 for one.

    Order statistics of the normal distribution for powers of two, joined by straight lines.
    """
    return arrays.interp(arrays.log2(count), range(len(NORMAL_MAXIMA)), NORMAL_MAXIMA)


def random_maximum(mean: Numbers, count: Numbers, deviations: Any) -> Any:
    """The expected largest of `count` random loads of a `mean`, over that mean.

    Loads of a uniformly random routing are nearly Poisson: standard deviation the root of the mean,
    the largest `deviations` of them above it, and a little more for their skewness.
    """
    skewed = arrays.maximum(deviations**2 - 1.0, 0.0) / 6.0
    return arrays.minimum(1.0 + deviations / arrays.sqrt(mean) + skewed / mean, arrays.maximum(count, 1.0))
