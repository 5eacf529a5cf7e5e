"""Fabrics redone by hand: links, switches, optics, exchanges, with literals and their sources."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cm384 import derive, load_specs, ratio, span
from cm384.physics.hardware import accelerator
from cm384.physics.served import over_scale_out
from cm384.physics.terms import check_terms
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.reading import load_kernels
from cm384.table.specs import Specs

SPECS = load_specs()
CM, NVL72, H100 = "cloudmatrix-384", "gb200-nvl72", "hgx-h100"


def value(quantity: str, subject: str, unit: str = "count") -> float:
    return float(derive(quantity, subject, SPECS).to(unit).m)


def exchange_time(specs: Specs, chip: str, op: str, ranks: Any, tokens: Any) -> Any:
    return derive("exchange_time", chip, specs, op=op, ranks=ranks, tokens=tokens)


def round_trip(specs: Specs, chip: str, ranks: Any, tokens: Any) -> Any:
    return derive("exchange_round_trip", chip, specs, ranks=ranks, tokens=tokens)


# --- links and switches --------------------------------------------------------------------------


def test_links_of_a_910c() -> None:
    # huawei2025cloudmatrix, v2 section 3.3.1: 7 transceivers a die, 224 Gbit/s each, two dies
    assert value("scale_up_bandwidth_from_links", "ascend-910c", "GB/s") == 2 * 7 * 224 / 8 == 392


def test_a_node_of_cloudmatrix() -> None:
    # section 3.3.2 and figure 5: 8 NPUs; 7 switch chips with 16 uplinks of 28 GB/s
    assert value("node_bandwidth", CM, "GB/s") == pytest.approx(3136)  # 8 * 392
    assert value("node_uplink_bandwidth", CM, "GB/s") == pytest.approx(7 * 16 * 28)
    # the uplink of one chip is printed as 448 GB/s too
    stated = SPECS.get("ub-l1-switch", "scale_up_bandwidth", direction="up").to("GB/s").m
    assert value("node_uplink_bandwidth", CM, "GB/s") == pytest.approx(7 * stated)


def test_the_fabric_is_non_blocking_for_npus_and_not_with_cpus() -> None:
    assert value("oversubscription", CM) == 1.0  # exactly
    # section 3.3.2: about 160 GB/s a CPU socket, four in a node
    assert value("oversubscription_with_cpus", CM) == pytest.approx((3136 + 4 * 160) / 3136)
    assert round(value("oversubscription_with_cpus", CM), 3) == 1.204
    # the 350 GB/s of another source is a count of modules and must not enter
    assert len(span(lambda s: derive("oversubscription", CM, s), SPECS).values) == 1


def test_tiers_carry_the_same_number_of_links() -> None:
    # 384 NPUs x 14 links; 336 chips x 16 uplinks; 112 chips x 48 ports
    assert 384 * 14 == 336 * 16 == 112 * 48 == 5376
    assert value("switches_from_tiers", CM) == 48 * 7 + 7 * 16 == 336 + 112
    for part, count in (("ub-l1-switch", 336), ("ub-l2-switch", 112)):
        assert SPECS.get(CM, "count", part=part).m == count


def test_totals_and_bisection() -> None:
    # 112 x 48 x 28 GB/s; nvidia_nvlink: 18 chips x 72 ports x 50 GB/s; 8 x 18 x 25 GB/s
    assert value("fabric_bandwidth", CM, "TB/s") == pytest.approx(150.528)
    assert value("bisection_bandwidth", CM, "TB/s") == pytest.approx(75.264)
    assert value("fabric_bandwidth", NVL72, "TB/s") == pytest.approx(64.8)
    assert value("bisection_bandwidth", NVL72, "TB/s") == pytest.approx(32.4)
    assert value("bisection_bandwidth", H100, "TB/s") == pytest.approx(1.8)
    # all accelerators together: 2.32 times the NVL72, each 0.44 times
    total = ratio("scale_up_bandwidth_from_links", CM, NVL72, SPECS).m
    assert total == pytest.approx(384 * 392 / (72 * 900))
    assert round(total, 2) == 2.32


def test_nothing_narrows_on_the_way_up() -> None:
    for system in (CM, NVL72):
        sent = value("scale_up_bandwidth_from_links", system, "TB/s")
        assert sent == pytest.approx(value("fabric_bandwidth", system, "TB/s"))


def test_a_chip_is_no_fabric() -> None:
    for quantity in ("node_bandwidth", "bisection_bandwidth", "fabric_bandwidth"):
        with pytest.raises(InputError):
            derive(quantity, "ascend-910c", SPECS)
    with pytest.raises(InputError, match="no source describes the switch chips of hgx-h100"):
        derive("fabric_bandwidth", H100, SPECS)


def test_an_uplink_less_makes_the_fabric_block() -> None:
    key = SPECS.find("ub-l1-switch", "scale_up_links", direction="up")
    fewer = SPECS.replace({key: 14})
    assert float(derive("oversubscription", CM, fewer).m) == pytest.approx(16 / 14)


# --- optics --------------------------------------------------------------------------------------


def test_optical_modules() -> None:
    # semianalysis2025cloudmatrix: 384 x 7 x 2 and 384 x 4
    assert value("optical_modules_from_accelerators", CM) == 384 * 14 + 384 * 4 == 6912
    assert 384 * 7 * 2 == 5376
    assert 384 * 4 == 1536
    # both ends of the uplinks of 48 nodes, 2 x 224 Gbit/s a module
    assert value("optical_modules_from_rate", CM) == pytest.approx(2 * 48 * 3136 * 8 / 448)
    assert value("optical_modules_from_rate", CM) == pytest.approx(5376)


def test_one_bandwidth_counted_in_three_ways() -> None:
    # 14 x 224, 7 x 400 and 7 x 448 Gbit/s
    ends = {"part": "optical-module", "per": "accelerator", "plane": "scale-up"}
    modules = SPECS.get(CM, "count", **ends).m / 2
    rates = [SPECS.get("optical-module-400g", "optical_module_rate", basis).to("Gbit/s").m
             for basis in ("nominal", "assumed")]  # fmt: skip
    assert (modules, rates) == (7, [400, 448])
    one_way = [value("scale_up_bandwidth_from_links", "ascend-910c", "GB/s"),
               *(modules * rate / 8 for rate in rates)]  # fmt: skip
    assert one_way == [392, 350, 392]
    assert not SPECS.has(NVL72, "count", **ends)  # copper


def test_measured_against_nominal() -> None:
    # huawei2025cloudmatrix, v2 Table 1: 164 and 167 read, 135 and 137 written, of 196 a die
    assert value("scale_up_bandwidth_from_links", "ascend-910c", "GB/s") / 2 == 196
    alone = {"reach": "node"}
    for op, reach, measured, share in (
        ("read", {}, 164, "84 %"), ("read", alone, 167, "85 %"),
        ("write", {}, 135, "69 %"), ("write", alone, 137, "70 %"),
    ):  # fmt: skip
        found = SPECS.get("ascend-910c", "scale_up_bandwidth", "measured", op=op, **reach)
        assert found.to("GB/s").m / 2 == measured
        assert units.percent(measured / 196) == share


def test_links_beside_the_network_card() -> None:
    # 400 Gbit/s a chip: 392 / 50, 900 / 50
    for chip, times in (("ascend-910c", 7.84), ("gb200", 18)):
        card = SPECS.get(chip, "scale_out_bandwidth").to("GB/s").m
        assert card == 50
        assert value("scale_up_bandwidth_from_links", chip, "GB/s") / card == pytest.approx(times)


# --- exchanges -----------------------------------------------------------------------------------


def test_an_exchange_is_a_fixed_time_and_bytes_over_bandwidth() -> None:
    # deepseek2025deepep: dispatch of 128 tokens over 64 ranks in 186 us, the same table's constants
    found = exchange_time(SPECS, "h800-sxm", "dispatch", 64, 128).to("us").m
    assert found == pytest.approx(34.61 + 128 * 8 * 7168 * 1.03125 / 50e9 * 1e6)
    assert found == pytest.approx(186, rel=1e-3)
    # 910C: 75.46 us and 135 GB/s a die; 1.07143 bytes an element
    found = exchange_time(SPECS, "ascend-910c", "dispatch", 64, 128).to("us").m
    assert found == pytest.approx(75.46 + 128 * 8 * 7168 * 1.07143 / 135e9 * 1e6)
    # combine in 16 bits: 27.67 us
    found = exchange_time(SPECS, "ascend-910c", "combine", 64, 128).to("us").m
    assert found == pytest.approx(27.67 + 128 * 8 * 7168 * 2 / 135e9 * 1e6)


def test_exchanges_grow_with_tokens_and_broadcast() -> None:
    times = round_trip(SPECS, "ascend-910c", 64, np.array([1, 128, 1024])).m
    assert np.all(np.diff(times) > 0)
    ranks = round_trip(SPECS, "h100-sxm", np.array([8, 16, 64]), 128).m
    assert ranks[1] > 2 * ranks[0]  # one node, and two joined by network cards
    assert ranks[2] > ranks[1]


def test_without_the_fabric() -> None:
    slow = over_scale_out(SPECS, "ascend-910c")
    # 400 Gbit/s over two dies: 25 GB/s; the fixed time stays
    found = exchange_time(slow, "ascend-910c", "dispatch", 64, 128).to("us").m
    assert found == pytest.approx(75.46 + 128 * 8 * 7168 * 1.07143 / 25e9 * 1e6)
    # 50 GB/s of InfiniBand is what the H800 has in that kernel already
    same = over_scale_out(SPECS, "h800-sxm")
    trips = [round_trip(table, "h800-sxm", 64, 128).m for table in (SPECS, same)]
    assert trips[0] == pytest.approx(trips[1])


def test_reach() -> None:
    for system, ranks in ((CM, 384 * 2), (NVL72, 72), (H100, 8)):
        chip = accelerator(SPECS, system)
        found = SPECS.get(system, "count", part=chip) * SPECS.get(chip, "ranks_per_package")
        assert found.m == ranks


# --- "a generation ahead" ------------------------------------------------------------------------


def test_generations_ahead() -> None:
    chips = [accelerator(SPECS, system) for system in (CM, NVL72, H100)]
    figures = [
        [float(SPECS.get(system, "count", part=chip).m)
         for system, chip in zip((CM, NVL72, H100), chips, strict=True)],
        [value("scale_up_bandwidth_from_links", system, "GB/s") for system in (CM, NVL72, H100)],
        [value("scale_up_bandwidth_from_links", chip, "GB/s") for chip in chips],
        [float((SPECS.get(chip, "ranks_per_package") / round_trip(SPECS, chip, 64, 128)).m)
         for chip in chips],
    ]  # fmt: skip
    lead, step = ([one / other for one, other in (pair[i : i + 2] for pair in figures)]
                  for i in (0, 1))  # fmt: skip
    found = np.log(lead) / np.log(step)
    # 384 / 72 against 72 / 8; 150.5 / 64.8 against 64.8 / 3.6; 392 / 900 against 900 / 450
    assert found[0] == pytest.approx(math.log(384 / 72) / math.log(72 / 8))
    assert found[1] == pytest.approx(math.log(150.528 / 64.8) / math.log(64.8 / 3.6))
    assert found[2] == pytest.approx(math.log(392 / 900) / math.log(2))
    assert [round(steps, 1) for steps in found[:3]] == [0.8, 0.3, -1.2]
    assert found[3] < 0
    # two ranks a 910C, one a GB200 or an H100; each sends as many tokens in its own time
    trips = [round_trip(SPECS, chip, 64, 128).m for chip in ("ascend-910c", "gb200", "h100-sxm")]
    assert lead[3] == pytest.approx(2 / trips[0] * trips[1])
    assert step[3] == pytest.approx(trips[2] / trips[1])


# --- tables against benchmarks -------------------------------------------------------------------


def test_exchange_terms_beside_published_latencies() -> None:
    """What the constants were taken from, and what gave the model none."""
    constants = {
        (key[0], rows[0].source)
        for key, rows in SPECS.rows.items()
        if key[1].startswith("exchange_") and "phase=decode" in key[2]
    }
    assert {
        ("ascend-910c", "huawei2025cloudmatrix"),
        ("h800-sxm", "deepseek2025deepep"),
    } < constants
    assert not {"sgl2026kernelnpu", "xiao2025xdeepserve"} & {source for _, source in constants}

    def errors(chip: str, source: str) -> Any:
        rows = [
            row
            for row in load_kernels()
            if (row.accelerator, row.source, row.quantity) == (chip, source, "exchange_latency")
            and {"ranks", "tokens", "op"} <= row.given.keys()
            and "normal" not in row.kernel
        ]
        return check_terms(rows, SPECS)["error"].abs()

    assert errors("ascend-910c", "huawei2025cloudmatrix").max() < 0.15
    assert errors("ascend-910c", "sgl2026kernelnpu").median() < 0.15


def test_few_tokens_favour_the_shorter_fixed_time() -> None:
    # dispatch over 64 ranks starts at 75 us on the 910C and at 27 us between nodes of H100
    tokens = np.arange(1.0, 4097.0)
    ours, nodes, theirs = (
        round_trip(SPECS, chip, 64, tokens).m for chip in ("ascend-910c", "h100-sxm", "gb200")
    )
    assert 16 < tokens[ours < nodes][0] < 64
    trips = [round_trip(SPECS, chip, 64, 8).m for chip in ("ascend-910c", "h100-sxm")]
    assert trips[0] > trips[1]
    assert not np.any(ours < theirs)


def test_units_are_those_a_reader_expects() -> None:
    assert units.text(derive("bisection_bandwidth", CM, SPECS)) == "75.26 TB/s"
    assert units.text(derive("node_uplink_bandwidth", CM, SPECS)) == "3.136 TB/s"
