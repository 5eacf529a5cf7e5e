"""Fabrics redone by hand: links, switches, optics, exchanges, with literals and their sources."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cm384 import derive, load_specs, ratio, span, tables_fabric
from cm384.physics import fabric
from cm384.table import units
from cm384.table.errors import InputError

SPECS = load_specs()
CM, NVL72, H100 = "cloudmatrix-384", "gb200-nvl72", "hgx-h100"


def value(quantity: str, subject: str, unit: str = "count") -> float:
    return float(derive(quantity, subject, SPECS).to(unit).m)


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
    cells = tables_fabric.rates_table(CM, SPECS).cells
    # 14 x 224, 7 x 400 and 7 x 448 Gbit/s
    assert list(cells["one-way"]) == ["392 GB/s", "350 GB/s", "392 GB/s"]
    assert list(cells["two-way"]) == ["784 GB/s", "700 GB/s", "784 GB/s"]
    assert len(tables_fabric.rates_table(NVL72, SPECS).cells) == 1  # copper


def test_measured_against_nominal() -> None:
    cells = tables_fabric.measured_table([CM], SPECS).cells
    # huawei2025cloudmatrix, v2 Table 1: 164 and 167 read, 135 and 137 written, of 196 a die
    assert list(cells["measured"]) == ["164 GB/s", "167 GB/s", "135 GB/s", "137 GB/s"]
    assert set(cells["nominal"]) == {"196 GB/s"}
    assert list(cells["of nominal"]) == ["84 %", "85 %", "69 %", "70 %"]
    assert [name.split(", ")[1:] for name in cells["transfer"]] == [
        ["read", "two nodes"], ["read", "one node"], ["write", "two nodes"], ["write", "one node"],
    ]  # fmt: skip


def test_links_beside_the_network_card() -> None:
    # 400 Gbit/s a chip: 392 / 50, 900 / 50
    for chip, times in (("ascend-910c", 7.84), ("gb200", 18)):
        card = SPECS.get(chip, "scale_out_bandwidth").to("GB/s").m
        assert card == 50
        assert value("scale_up_bandwidth_from_links", chip, "GB/s") / card == pytest.approx(times)


# --- exchanges -----------------------------------------------------------------------------------


def test_an_exchange_is_a_fixed_time_and_bytes_over_bandwidth() -> None:
    # deepseek2025deepep: dispatch of 128 tokens over 64 ranks in 186 us, the same table's constants
    found = fabric.exchange_time(SPECS, "h800-sxm", "dispatch", 64, 128).to("us").m
    assert found == pytest.approx(34.61 + 128 * 8 * 7168 * 1.03125 / 50e9 * 1e6)
    assert found == pytest.approx(186, rel=1e-3)
    # 910C: 75.46 us and 135 GB/s a die; 1.07143 bytes an element
    found = fabric.exchange_time(SPECS, "ascend-910c", "dispatch", 64, 128).to("us").m
    assert found == pytest.approx(75.46 + 128 * 8 * 7168 * 1.07143 / 135e9 * 1e6)
    # combine in 16 bits: 27.67 us
    found = fabric.exchange_time(SPECS, "ascend-910c", "combine", 64, 128).to("us").m
    assert found == pytest.approx(27.67 + 128 * 8 * 7168 * 2 / 135e9 * 1e6)


def test_exchanges_grow_with_tokens_and_broadcast() -> None:
    times = fabric.round_trip(SPECS, "ascend-910c", 64, np.array([1, 128, 1024])).m
    assert np.all(np.diff(times) > 0)
    ranks = fabric.round_trip(SPECS, "h100-sxm", np.array([8, 16, 64]), 128).m
    assert ranks[1] > 2 * ranks[0]  # one node, and two joined by network cards
    assert ranks[2] > ranks[1]


def test_without_the_fabric() -> None:
    slow = fabric.over_scale_out(SPECS, "ascend-910c")
    # 400 Gbit/s over two dies: 25 GB/s; the fixed time stays
    found = fabric.exchange_time(slow, "ascend-910c", "dispatch", 64, 128).to("us").m
    assert found == pytest.approx(75.46 + 128 * 8 * 7168 * 1.07143 / 25e9 * 1e6)
    # 50 GB/s of InfiniBand is what the H800 has in that kernel already
    same = fabric.over_scale_out(SPECS, "h800-sxm")
    trips = [fabric.round_trip(table, "h800-sxm", 64, 128).m for table in (SPECS, same)]
    assert trips[0] == pytest.approx(trips[1])


def test_reach() -> None:
    assert fabric.reach(SPECS, CM) == 384 * 2
    assert fabric.reach(SPECS, NVL72) == 72
    assert fabric.reach(SPECS, H100) == 8


# --- "a generation ahead" ------------------------------------------------------------------------


def test_generations_ahead() -> None:
    table = fabric.generations(CM, NVL72, 128, SPECS)
    found = table["steps"]
    # 384 / 72 against 72 / 8; 150.5 / 64.8 against 64.8 / 3.6; 392 / 900 against 900 / 450
    assert found[0] == pytest.approx(math.log(384 / 72) / math.log(72 / 8))
    assert found[1] == pytest.approx(math.log(150.528 / 64.8) / math.log(64.8 / 3.6))
    assert found[2] == pytest.approx(math.log(392 / 900) / math.log(2))
    assert [round(steps, 1) for steps in found[:3]] == [0.8, 0.3, -1.2]
    assert found[3] < 0
    # two ranks a 910C, one a GB200 or an H100; each sends as many tokens in its own time
    trips = [
        fabric.round_trip(SPECS, chip, 64, 128).m for chip in ("ascend-910c", "gb200", "h100-sxm")
    ]
    assert table["lead"][3] == pytest.approx(2 / trips[0] * trips[1])
    assert table["step"][3] == pytest.approx(trips[2] / trips[1])


def test_a_baseline_without_a_step_has_no_generations() -> None:
    assert fabric.generations(CM, H100, 128, SPECS)["steps"].isna().all()
    assert set(tables_fabric.generations_table(CM, H100, 128, SPECS).cells.iloc[:, -1]) == {"–"}


# --- tables against benchmarks -------------------------------------------------------------------


def test_exchange_terms_beside_published_latencies() -> None:
    found = tables_fabric.published_exchanges(["ascend-910c", "h800-sxm"], SPECS)
    used = found.groupby("source")["input"].agg(set).to_dict()
    assert used["huawei2025cloudmatrix"] == {"the same table"}
    assert used["sgl2026kernelnpu"] == used["xiao2025xdeepserve"] == {"none"}
    assert used["deepseek2025deepep"] == {"the same table", "the same source"}
    held = found[found["input"] == "the same table"]
    assert held["error"].abs().max() < 0.15
    other = found[found["source"] == "sgl2026kernelnpu"]["error"].abs()
    assert other.median() < 0.15


def test_few_tokens_favour_the_shorter_fixed_time() -> None:
    # dispatch over 64 ranks starts at 75 us on the 910C and at 27 us between nodes of H100
    start = fabric.overtakes(CM, H100, 64, SPECS)
    assert 16 < start < 64
    trips = [fabric.round_trip(SPECS, chip, 64, 8).m for chip in ("ascend-910c", "h100-sxm")]
    assert trips[0] > trips[1]
    assert math.isnan(fabric.overtakes(CM, NVL72, 64, SPECS))


def test_units_are_those_a_reader_expects() -> None:
    assert units.text(derive("bisection_bandwidth", CM, SPECS)) == "75.26 TB/s"
    assert units.text(derive("node_uplink_bandwidth", CM, SPECS)) == "3.136 TB/s"
