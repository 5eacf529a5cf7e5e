"""Packages and systems: peaks, memory, links, power and price from the parts they are built of.

Each function is a derivation (see `derivation`): pure, of the table of specs, broadcasting over
arrays. Stated figures need no function; these are the products to set beside them.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from cm384.derive.derivation import derivation, derive, noted
from cm384.table import units
from cm384.table.errors import InputError, NotStated
from cm384.table.records import BYTES_PER_ELEMENT, Numbers, read_conditions
from cm384.table.specs import Specs
from cm384.table.units import Quantity


def per_package(specs: Specs, chip: str, quantity: str) -> Quantity:
    """A count per package: stated so, or the count per die times the dies."""
    if specs.has(chip, quantity, basis="package"):
        return specs.get(chip, quantity, basis="package")
    return specs.get(chip, "dies") * specs.get(chip, quantity, basis="die")


@derivation("(FLOP per clock of all matrix units + of all vector units if they count) × clock")
def peak_from_units(specs: Specs, subject: str, *, precision: str, basis: str = "matrix") -> Quantity:
    """The dense peak that the units, their rate and their clock multiply to.

    With basis `headline`, the vector cores count too where the chip has them beside its matrix
    units, as in Huawei's printed peaks; the vector cores run at the same clock.

    >>> from cm384 import load_specs
    >>> specs = load_specs()
    >>> print(round(derive("peak_from_units", "ascend-910c", specs, precision="bf16").m, 1))
    707.8
    """
    if basis not in ("matrix", "headline"):
        raise InputError(f"peak_from_units has basis matrix or headline, not {basis!r}")

    def flop_per_clock(kind: str) -> Quantity:
        def of_all(table: Specs) -> Quantity:
            count = per_package(table, subject, f"{kind}_units")
            rate = table.get(subject, f"{kind}_flop_per_clock", precision=precision)
            return (count * rate).to("FLOP/cycle")

        return noted(specs, f"FLOP per clock of all {kind} units", "units × FLOP per clock of one", of_all)

    flop = flop_per_clock("matrix")
    if basis == "headline" and specs.has(subject, "vector_flop_per_clock", precision=precision):
        flop = flop + flop_per_clock("vector")
    return flop * specs.get(subject, "clock")


@derivation("stacks × capacity of one stack")
def hbm_capacity_from_stacks(specs: Specs, subject: str) -> Quantity:
    """The capacity that the memory stacks add up to."""
    return specs.get(subject, "hbm_stacks") * specs.get(subject, "hbm_stack_capacity")


@derivation("stacks × pins of one stack × rate of one pin")
def hbm_bandwidth_from_stacks(specs: Specs, subject: str) -> Quantity:
    """The bandwidth that the memory stacks, their width and their pin rate multiply to."""
    pins = specs.get(subject, "hbm_stacks") * specs.get(subject, "hbm_stack_width")
    return pins * specs.get(subject, "hbm_pin_rate")


@derivation("links × bandwidth of one link in one direction")
def scale_up_bandwidth_from_links(specs: Specs, subject: str) -> Quantity:
    """The one-way scale-up bandwidth that the links add up to: exact, where stated totals disagree."""
    links = per_package(specs, subject, "scale_up_links")
    return links * specs.get(subject, "scale_up_link_bandwidth")


@derivation("peak ÷ HBM bandwidth")
def ridge_point(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Quantity:
    """The arithmetic intensity (FLOP per byte) above which the peak, not the memory, limits."""
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (peak / derive("hbm_bandwidth", subject, specs)).to("FLOP/byte")


@derivation("nodes × accelerators in one node")
def accelerators_from_nodes(specs: Specs, subject: str) -> Quantity:
    """The accelerators that the nodes of a system add up to."""
    return specs.get(subject, "count", part="node") * specs.get(subject, "accelerators_per_node")


@derivation("peak ÷ electrical power")
def peak_per_power(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Quantity:
    """The dense peak of a system for one watt, of the whole system."""
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (peak / specs.get(subject, "power", basis="all-in")).to("GFLOP/J")


@derivation("highest of the peaks in formats of at least so many bits")
def peak_by_bits(specs: Specs, subject: str, *, bits: Numbers, basis: str = "headline") -> Quantity:
    """The highest dense peak at no fewer bits: a chip without FP4 computes in eight bits instead.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("peak_by_bits", "ascend-910c", load_specs(), bits="4")))
    1,504 TFLOPS
    """
    peaks = stated_peaks(specs, subject, basis, np.min(bits))
    sizes = {name: 8 * BYTES_PER_ELEMENT[name] for name in peaks}
    if np.max(bits) > max(sizes.values()):
        raise NotStated(f"{subject} has no peak of {np.max(bits):g} bits or more")
    return reduce(np.maximum, [peak * (sizes[name] >= np.asarray(bits)) for name, peak in peaks.items()])


def stated_peaks(specs: Specs, chip: str, basis: str, bits: float = 0) -> dict[str, Quantity]:
    """The dense peaks that rows state in formats of at least so many bits, by format."""
    enough = [name for name, size in BYTES_PER_ELEMENT.items() if 8 * size >= bits]
    stated = [name for name in enough if specs.has(chip, "peak", basis=basis, precision=name)]
    if not stated:
        raise NotStated(f"{chip} has no peak" + (f" of {bits:g} bits or more" if bits else ""))
    return {name: specs.get(chip, "peak", basis=basis, precision=name) for name in stated}


@derivation("highest over the formats of dense peak in TFLOPS × bits")
def tpp(specs: Specs, subject: str, *, basis: str = "headline") -> Quantity:
    """The total processing performance by which US rules tell accelerators apart (ECCN 3A090).

    The rule takes the highest rate that the maker claims, sparsity left out.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("tpp", "h20", load_specs())))
    2,368
    """
    peaks = stated_peaks(specs, subject, basis)
    rated = [8 * BYTES_PER_ELEMENT[name] * peak for name, peak in peaks.items()]
    return (reduce(np.maximum, rated) / units.Q(1, "TFLOPS")).to(units.registry.dimensionless)


@derivation("compute dies × area of one")
def silicon_area(specs: Specs, subject: str) -> Quantity:
    """The silicon of the compute dies of a package, or of all packages of a system.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("silicon_area", "ascend-910c", load_specs())))
    1,331 mm²
    """
    return (specs.get(subject, "dies") * specs.get(subject, "die_area")).to("mm2")


@derivation("memory of the accelerators + memory of the host processors")
def fast_memory(specs: Specs, subject: str) -> Quantity:
    """The memory of a system with that of its hosts, as makers add the two up."""
    return derive("hbm_capacity", subject, specs) + derive("host_memory", subject, specs)


# --- links and switches --------------------------------------------------------------------------


def last_tier(specs: Specs, system: str) -> str:
    """The switch chip in which all paths meet: all its ports face the accelerators."""
    accelerators = specs.parts(system)
    for part in specs.counted(system):
        if part in specs.subjects and part not in accelerators and specs.has(part, "scale_up_links"):
            return part
    raise NotStated(f"no source describes the switch chips of {system}")


def switch(specs: Specs, system: str, tier: int) -> str:
    """The switch chip that a system counts in a tier, the first being next to the accelerators."""
    for part in specs.counted(system):
        known = specs.named.get(part)
        if known and (known.part, known.tier) == ("switch", str(tier)):
            return part
    raise NotStated(f"no source counts the switch chips of tier {tier} of {system}")


def counted_as(specs: Specs, part: str, vendor: str = "") -> str:
    """What stands behind the word under which systems count a part: the CPU, the optical module."""
    for name, known in specs.named.items():
        if known.part == part and known.vendor in ("", vendor):
            return name
    raise NotStated(f"no source describes a {part} of {vendor}")


def accelerator(specs: Specs, system: str) -> str:
    """The accelerator that a system is made of; InputError for a chip."""
    if not (parts := specs.parts(system)):
        raise NotStated(f"{system} is not made of accelerators")
    return parts[0]


@derivation("accelerators of a node × links of one × bandwidth of a link")
def node_bandwidth(specs: Specs, subject: str) -> Quantity:
    """What the accelerators of one node can send together."""
    chip = accelerator(specs, subject)
    return specs.get(subject, "accelerators_per_node") * scale_up_bandwidth_from_links(specs, chip)


@derivation("switch chips of a node × uplinks of one × bandwidth of a link")
def node_uplink_bandwidth(specs: Specs, subject: str) -> Quantity:
    """What the switches of one node can pass on to the second tier.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("node_uplink_bandwidth", "cloudmatrix-384", load_specs())))
    3.136 TB/s
    """
    first = switch(specs, subject, 1)
    switches = specs.get(subject, "count", part=first, per="node")
    uplinks = specs.get(first, "scale_up_links", direction="up")
    return switches * uplinks * specs.get(first, "scale_up_link_bandwidth")


@derivation("what the accelerators of a node can send ÷ what its uplinks carry")
def oversubscription(specs: Specs, subject: str) -> Quantity:
    """How many times more the accelerators of a node can send than leaves it; 1 is non-blocking."""
    sent = derive("node_bandwidth", subject, specs)
    return (sent / derive("node_uplink_bandwidth", subject, specs)).to(units.registry.dimensionless)


@derivation("(CPUs of a node × what one can send + what its accelerators can) ÷ what its uplinks carry")
def oversubscription_with_cpus(specs: Specs, subject: str) -> Quantity:
    """The same if the CPUs of the node, which are on the fabric too, send at the same time."""
    cpus = specs.get(subject, "count", part="cpu", per="node")
    cpu = counted_as(specs, "cpu", specs.vendor(subject))
    sent = derive("node_bandwidth", subject, specs) + cpus * specs.get(cpu, "scale_up_bandwidth")
    return (sent / derive("node_uplink_bandwidth", subject, specs)).to(units.registry.dimensionless)


@derivation("switch chips of the last tier × ports of one × bandwidth of a port")
def fabric_bandwidth(specs: Specs, subject: str) -> Quantity:
    """What the switch chips in which all paths meet take in."""
    switch = last_tier(specs, subject)
    ports = specs.get(subject, "count", part=switch) * specs.get(switch, "scale_up_links")
    return ports * specs.get(switch, "scale_up_link_bandwidth")


@derivation("half of what the last tier takes in, or of the links where undescribed")
def bisection_bandwidth(specs: Specs, subject: str) -> Quantity:
    """What one half of a system can send to the other half."""
    try:
        last_tier(specs, subject)
    except NotStated:
        chip = accelerator(specs, subject)
        return specs.get(subject, "count", part=chip) * scale_up_bandwidth_from_links(specs, chip) / 2
    return derive("fabric_bandwidth", subject, specs) / 2


@derivation("nodes × switch chips of a node + sub-planes × switch chips of a sub-plane")
def switches_from_tiers(specs: Specs, subject: str) -> Quantity:
    """The switch chips of both tiers."""
    nodes = specs.get(subject, "count", part="node")
    first = nodes * specs.get(subject, "count", part=switch(specs, subject, 1), per="node")
    planes = specs.get(subject, "count", part="ub-sub-plane")
    return first + planes * specs.get(subject, "count", part=switch(specs, subject, 2), per="sub-plane")


@derivation("accelerators × (modules for each of the scale-up plane + of the scale-out plane)")
def optical_modules_from_accelerators(specs: Specs, subject: str) -> Quantity:
    """The optical modules of both planes, as they are counted for one accelerator.

    >>> from cm384 import load_specs
    >>> int(derive("optical_modules_from_accelerators", "cloudmatrix-384", load_specs()).m)
    6912
    """
    asked = {"part": "optical-module", "per": "accelerator"}
    up, out = (specs.get(subject, "count", plane=plane, **asked) for plane in ("scale-up", "scale-out"))
    return specs.get(subject, "count", part=accelerator(specs, subject)) * (up + out)


@derivation("two ends × nodes × uplinks of a node ÷ rate of a module")
def optical_modules_from_rate(specs: Specs, subject: str) -> Quantity:
    """The optical modules that the uplinks of all nodes take at two links in each module."""
    carried = specs.get(subject, "count", part="node") * derive("node_uplink_bandwidth", subject, specs)
    module = counted_as(specs, "optical-module", specs.vendor(subject))
    rate = specs.get(module, "optical_module_rate", basis="assumed")
    return (2 * carried / rate).to(units.registry.dimensionless)


# --- power ---------------------------------------------------------------------------------------

POWER_BASES = ("all-in", "nameplate", "assumed")  # the first that a source states


def power_basis(specs: Specs, system: str) -> str:
    """The basis on which the power of a system is stated: all-in, nameplate or assumed."""
    for basis in POWER_BASES:
        if specs.has(system, "power", basis=basis):
            return basis
    raise NotStated(f"no source states the power of {system}")


@derivation("all-in power, or the rating on the label where no source gives one")
def system_power(specs: Specs, subject: str) -> Quantity:
    """The electrical power of a whole system."""
    accelerator(specs, subject)
    return specs.get(subject, "power", basis=power_basis(specs, subject))


@derivation("power of the system ÷ number of accelerators")
def power_per_accelerator(specs: Specs, subject: str) -> Quantity:
    """The power of a system for each accelerator, with everything around it."""
    count = specs.get(subject, "count", part=accelerator(specs, subject))
    return (derive("system_power", subject, specs) / count).to("W")


@derivation("power of the system ÷ dense peak")
def power_per_peak(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Quantity:
    """The watts that one TFLOP/s of dense peak takes.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("power_per_peak", "gb200-nvl72", load_specs(), precision="bf16")))
    0.8056 W/TFLOPS
    """
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (derive("system_power", subject, specs) / peak).to("W/TFLOPS")


@derivation("power of the system ÷ memory bandwidth")
def power_per_bandwidth(specs: Specs, subject: str) -> Quantity:
    """The watts that one TB/s of memory bandwidth takes."""
    bandwidth = derive("hbm_bandwidth", subject, specs)
    return (derive("system_power", subject, specs) / bandwidth).to("W/(TB/s)")


@derivation("power of the system ÷ memory capacity")
def power_per_capacity(specs: Specs, subject: str) -> Quantity:
    """The watts that one TB of memory takes."""
    return (derive("system_power", subject, specs) / derive("hbm_capacity", subject, specs)).to("W/TB")


@derivation("dense peak of the comparator ÷ dense peak of one accelerator")
def accelerators_to_match(
    specs: Specs, subject: str, *, comparator: str, precision: str, basis: str = "headline"
) -> Quantity:
    """How many of a system's accelerators have the peak of another system."""
    wanted = derive("peak", comparator, specs, precision=precision, basis=basis)
    one = derive("peak", accelerator(specs, subject), specs, precision=precision, basis=basis)
    return (wanted / one).to(units.registry.dimensionless)


@derivation("accelerators that match the comparator × power for each")
def power_to_match(
    specs: Specs, subject: str, *, comparator: str, precision: str, basis: str = "headline"
) -> Quantity:
    """The power of as many of a system's accelerators as have the peak of another system."""
    conditions = {"comparator": comparator, "precision": precision, "basis": basis}
    count = derive("accelerators_to_match", subject, specs, **conditions)
    return (count * derive("power_per_accelerator", subject, specs)).to("kW")


@derivation("optical modules × power of one ÷ power of the system")
def optics_share(specs: Specs, subject: str, *, optics: str) -> Quantity:
    """The share of a system's power that its optical modules draw, if they are of a kind."""
    modules = derive("optical_modules_from_accelerators", subject, specs)
    module = counted_as(specs, "optical-module", specs.vendor(subject))
    stated = (b for b in ("nameplate", "nominal") if specs.has(module, "power", b, optics=optics))
    one = specs.get(module, "power", next(stated, None), optics=optics)
    return (modules * one / derive("system_power", subject, specs)).to("percent")


# --- money ---------------------------------------------------------------------------------------


@derivation("net profit × the earnings multiple of a peer")
def valuation_by_multiple(specs: Specs, subject: str, *, peer: str, year: str) -> Quantity:
    """What a company is worth at its own net profit and the earnings multiple of a peer."""
    profit = specs.get(subject, "net_profit", year=year)
    return (profit * specs.get(subject, "earnings_multiple", peer=peer)).to("GUSD")


@derivation("sum of the lost revenue of the quarters reported")
def lost_revenue_filed(specs: Specs, subject: str, *, product: str) -> Quantity:
    """The revenue that a company reports as lost, over all quarters for which it does."""
    found = [read_conditions(c) for s, q, c, _ in specs.rows if (s, q) == (subject, "lost_revenue")]
    quarters = [f["quarter"] for f in found if f.get("product") == product and "quarter" in f]
    if not quarters:
        raise NotStated(f"{subject} has no lost_revenue of {product} by quarter")
    lost = [specs.get(subject, "lost_revenue", product=product, quarter=q) for q in quarters]
    return sum(lost[1:], start=lost[0])


@derivation("booked charge + lost revenue of the quarters reported")
def export_rule_cost(specs: Specs, subject: str, *, product: str) -> Quantity:
    """The booked charge and the reported lost revenue of a product together."""
    booked = specs.get(subject, "charge", product=product, stage="booked")
    return booked + lost_revenue_filed(specs, subject, product=product)


@derivation("price ÷ dense peak")
def price_per_peak(specs: Specs, subject: str, *, precision: str, basis: str = "headline") -> Quantity:
    """What one TFLOP/s of dense peak costs."""
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (specs.get(subject, "price") / peak).to("USD/TFLOPS")


@derivation("price ÷ number of accelerators")
def price_per_accelerator(specs: Specs, subject: str) -> Quantity:
    """What a system costs for each accelerator in it."""
    counts = [specs.get(subject, "count", part=part) for part in specs.parts(subject)]
    if not counts:
        raise NotStated(f"{subject} has no accelerators as parts; it may be one itself")
    return (specs.get(subject, "price") / sum(counts[1:], start=counts[0])).to("USD")
