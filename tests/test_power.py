"""Power, price and parity redone by hand, with literals and their sources."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cm384 import derive, load_specs, ratio, served, span
from cm384.ledger.claims import load_claims
from cm384.physics import serving
from cm384.physics.check import comparable
from cm384.physics.hardware import power_basis
from cm384.physics.models import load_model
from cm384.table import units
from cm384.table.errors import InputError, NotStated
from cm384.table.records import Deployment

SPECS = load_specs()
CM, NVL72, H100 = "cloudmatrix-384", "gb200-nvl72", "hgx-h100"


def value(quantity: str, subject: str, unit: str, **conditions: Any) -> float:
    return float(derive(quantity, subject, SPECS, **conditions).to(unit).m)


def against_nvl72(quantity: str, **conditions: str) -> float:
    return float(ratio(quantity, CM, NVL72, SPECS, **conditions).m)


# --- power ---------------------------------------------------------------------------------------


def test_power_of_the_systems() -> None:
    # reportify2025semianalysis: 559,378 W and 145,000 W all-in; unanswered2025dgx: 10.2 kW label
    assert value("system_power", CM, "W") == 559_378
    assert value("system_power", NVL72, "W") == 145_000
    assert value("system_power", H100, "kW") == 10.2
    assert [power_basis(SPECS, s) for s in (CM, NVL72, H100, "hgx-h20")] == [
        "all-in", "all-in", "nameplate", "assumed",
    ]  # fmt: skip
    assert round(against_nvl72("system_power"), 2) == round(559.378 / 145, 2) == 3.86


def test_power_is_not_of_a_chip_nor_of_a_system_without_a_figure() -> None:
    with pytest.raises(InputError, match="ascend-910c is not made of accelerators"):
        derive("system_power", "ascend-910c", SPECS)
    with pytest.raises(InputError, match="no source states the power of atlas-950"):
        derive("power_per_accelerator", "atlas-950", SPECS)


def test_power_for_what_a_system_has() -> None:
    assert value("power_per_accelerator", CM, "W") == pytest.approx(559_378 / 384)
    assert value("power_per_accelerator", NVL72, "W") == pytest.approx(145_000 / 72)
    # peaks 384 x 752 and 72 x 2,500 TFLOPS; matrix units 384 x 707.8
    assert value("power_per_peak", CM, "W/TFLOPS", precision="bf16") == pytest.approx(559_378 / (384 * 752))
    assert round(against_nvl72("power_per_peak", precision="bf16"), 2) == 2.40
    assert round(against_nvl72("power_per_peak", precision="bf16", basis="matrix"), 2) == 2.55
    # 1,228.8 and 576 TB/s; 49.152 and 13.824 TB
    assert value("power_per_bandwidth", CM, "W/(TB/s)") == pytest.approx(559_378 / 1228.8)
    assert round(against_nvl72("power_per_bandwidth"), 2) == 1.81
    assert value("power_per_capacity", NVL72, "W/TB") == pytest.approx(145_000 / 13.824)
    assert round(against_nvl72("power_per_capacity"), 3) == 1.085


def test_power_for_a_peak_is_the_reciprocal_of_the_peak_for_a_power() -> None:
    for system in (CM, NVL72):
        there = value("power_per_peak", system, "W/TFLOPS", precision="bf16")
        back = value("peak_per_power", system, "TFLOP/J", precision="bf16")
        assert there * back == pytest.approx(1)


def test_span_of_the_power_ratio() -> None:
    # 500 to 600 kW over 123.6 to 145 kW
    found = span(lambda s: ratio("system_power", CM, NVL72, s), SPECS)
    assert float(found.low.m) == pytest.approx(500 / 145)
    assert float(found.high.m) == pytest.approx(600 / 123.6)


def test_how_many_chips_match_an_nvl72() -> None:
    given = {"comparator": NVL72, "precision": "bf16"}
    # 72 x 2,500 / 752 = 239.4: 240 chips, of 1,456.7 W
    count = derive("accelerators_to_match", CM, SPECS, **given).m
    assert count == pytest.approx(180_000 / 752)
    assert value("power_to_match", CM, "kW", **given) == pytest.approx(count * 559.378 / 384)
    matrix = value("accelerators_to_match", CM, "count", **given, basis="matrix")
    chip, int8 = "ascend-910c", {"precision": "int8"}
    eight_bits = ratio("peak", NVL72, chip, SPECS, int8, precision="fp8").m
    memory = [ratio(name, NVL72, chip, SPECS).m for name in ("hbm_bandwidth", "hbm_capacity")]
    found = [count, matrix, eight_bits, *memory]
    assert [math.ceil(x - 1e-9) for x in found] == [240, 255, 240, 180, 108]
    # 180,000 / 707.8; 72 x 8 / 3.2; 72 x 192 / 128
    by_hand = [180_000 / 707.8, 360_000 / 1504, 72 * 8 / 3.2, 72 * 192 / 128]
    assert found[1:] == pytest.approx(by_hand, rel=1e-3)
    assert [round(x * 559.378 / 384) for x in found[:2]] == [349, 370]


def test_optics() -> None:
    # 6,912 modules of 4, 4.5, 8 and 12 W
    shares = [6912 * watts / 559_378 for watts in (4, 4.5, 8, 12)]
    found = []
    for optics, basis in (("lpo", "nominal"), ("retimed", "nameplate")):
        key = SPECS.find("optical-module-400g", "power", basis, optics=optics)
        every = SPECS.replace({key: np.sort(SPECS.options(key))})
        found += derive("optics_share", CM, every, optics=optics).to("count").m.tolist()
    assert found == pytest.approx(shares)
    with pytest.raises(NotStated):  # copper
        derive("optics_share", NVL72, SPECS, optics="lpo")


# --- through the serving model -------------------------------------------------------------------


@pytest.mark.parametrize("workload", ["prefill", "decode"])
def test_tokens_a_joule(workload: str) -> None:
    rate = value("served_throughput", "ascend-910c", "token/s/accelerator", workload=workload)
    found = value("tokens_per_joule", CM, "token/J", workload=workload)
    assert found == pytest.approx(rate / (559_378 / 384))


def test_cost_of_a_million_tokens() -> None:
    rate = value("served_throughput", "ascend-910c", "token/s/accelerator", workload="decode")
    given = {"workload": "decode", "utilisation": 0.5}
    cost = value("electricity_cost", CM, "USD/Mtoken", **given, price=0.08)
    kwh = 1e6 * (559_378 / 384) / rate / 3.6e6
    assert cost == pytest.approx(kwh * 0.08 / 0.5)
    # benzinga2025cloudmatrix: 8.2 million dollars; deepquarry2025amazon: five years
    capital = value("capital_cost", CM, "USD/Mtoken", **given)
    seconds = 5 * 365.25 * 86_400
    assert capital == pytest.approx(8.2e6 / 384 / (rate * seconds * 0.5) * 1e6)


def test_purchase_and_electricity_together() -> None:
    # 8.2 million dollars over 384 and five years of 8,766 hours; 559,378 W over 384 at 8 cents a kWh
    hour = 8.2e6 / 384 / (5 * 8766) + 0.559378e3 / 384 * 0.08
    assert value("hourly_cost", CM, "USD/hour", price=0.08) == pytest.approx(hour)
    assert round(hour, 3) == 0.604
    for workload in SPECS.workloads:
        rate = value("served_throughput", "ascend-910c", "token/s/accelerator", workload=workload)
        whole = value("token_cost", CM, "USD/Mtoken", workload=workload, price=0.08, utilisation=0.5)
        assert whole == pytest.approx(hour / (rate * 3600 * 0.5) * 1e6)
        parts = [value("electricity_cost", CM, "USD/Mtoken", workload=workload, price=0.08, utilisation=0.5),
                 value("capital_cost", CM, "USD/Mtoken", workload=workload, utilisation=0.5)]  # fmt: skip
        assert whole == pytest.approx(sum(parts))
    with pytest.raises(NotStated):  # no source states its price
        derive("token_cost", "hgx-b200", SPECS, workload="decode", price=0.08)


def test_a_rented_chip() -> None:
    """The owner's cost of an hour as rent is the owner's cost of a token; any model and batch."""
    hour = value("hourly_cost", H100, "USD/hour", price=0.08)
    rented = value("rental_cost", "h100-sxm", "USD/Mtoken", workload="decode", usd_per_hour=hour)
    assert rented == pytest.approx(value("token_cost", H100, "USD/Mtoken", workload="decode", price=0.08))
    given = {"workload": "decode", "model": "llama-3.1-70b", "batch": 32}
    rate = value("served_throughput", "h100-sxm", "token/s/accelerator", **given, tensor_parallel=2)
    found = derive("rental_cost", "h100-sxm", SPECS, **given, usd_per_hour=2, utilisation=0.5,
                   tensor_parallel=np.array([1, 2])).m  # fmt: skip
    assert found[1] == pytest.approx(2 / (rate * 3600 * 0.5) * 1e6)
    assert np.isnan(found[0])  # 72.7 GB of weights and 32 x 1.34 GB of cache are more than 80 GB


# --- over other ranks, at another batch, of another model ----------------------------------------


def test_ranks_and_batch_of_a_workload() -> None:
    """As the deployment written out; 8 ranks of 64 GB do not hold 671 GB."""
    ranks = np.array([8.0, 64, 384])
    r1, drafts = load_model("deepseek-r1"), {"draft_tokens": 1.0, "tokens_per_step": 1.7}
    written = Deployment(
        "ascend-910c", ranks / 2, ranks, 96.0, 4096.0, output=256.0, matrix_precision="int8",
        routing="eplb", microbatches=2.0, **drafts,
    )  # fmt: skip
    expected = serving.decode(SPECS, r1, written).throughput.m
    found = derive("served_throughput", "ascend-910c", SPECS, workload="decode", expert_parallel=ranks,
                   batch=96).m  # fmt: skip
    assert found[1:] == pytest.approx(expected[1:])
    assert np.isnan(found[0])
    # what notebook 3 says of 384 in place of 64 ranks, with many requests and with few
    few = derive("served_throughput", "ascend-910c", SPECS, workload="decode", expert_parallel=ranks,
                 batch=24).m  # fmt: skip
    assert round(float(found[2] / found[1]), 2) == 1.01
    assert round(float(few[2] / few[1]), 2) == 1.25


def test_another_model_is_served_without_drafts() -> None:
    result = served.serve(SPECS, "h100-sxm", "decode", "llama-3.1-70b", batch=32, tensor_parallel=4)
    assert result.tokens_per_step == 1
    assert result.throughput.m == pytest.approx(32 / (result.tpot.m / 1e3))
    own = served.serve(SPECS, "h100-sxm", "decode", "deepseek-r1", batch=32)
    assert own.tokens_per_step == 1.7


def test_a_measurement_over_other_ranks() -> None:
    found = served.deployed(SPECS, "h100-sxm", "CM384-DECODE-4K-50MS", expert_parallel=64)
    assert (found.accelerators, found.expert_parallel, found.batch) == (64, 64, 96)


def test_chips_that_serve_as_much() -> None:
    ours, theirs = (derive("served_throughput", chip, SPECS, workload="decode").m
                    for chip in ("ascend-910c", "gb200"))  # fmt: skip
    found = value("accelerators_to_serve", CM, "count", comparator=NVL72, workload="decode")
    assert found == pytest.approx(72 * theirs / ours)


def test_prices() -> None:
    # 8.2 and 3.1 million dollars over 384 and 72; over 288.8 and 180 PFLOPS
    # semianalysis2025training; 8 over 3.3295 (morganstanley2026rubin), 8.2 over 3 (benzinga2025cloudmatrix)
    for quantity, edges in (
        ("price", [2.6452, 2.4027, 2.7333]), ("price_per_accelerator", [0.49597, 0.45051, 0.5125]),
    ):  # fmt: skip
        found = span(lambda s, q=quantity: ratio(q, CM, NVL72, s), SPECS)
        ends = [float(end.m) for end in (found.central, found.low, found.high)]
        assert ends == pytest.approx(edges, rel=2e-4)
    assert units.text(derive("price_per_accelerator", CM, SPECS), 5) == "21,354 USD"
    per_peak = against_nvl72("price_per_peak", precision="bf16")
    assert per_peak == pytest.approx(8.2 / 3.1 / (288.768 / 180), rel=1e-3)


def test_electricity_of_two_countries() -> None:
    # energyinstitute2025review: 10,087 and 4,635 TWh; 3,350 and 1,360 GW, small roofs counted in both
    for quantity, share in (
        ("electricity_generation", 10087 / 4635), ("installed_capacity", 3350 / 1360)
    ):  # fmt: skip
        found = ratio(quantity, "china", "united-states", SPECS, year="2024").m
        assert found == pytest.approx(share)
    drawn = value("electricity_of_a_year", CM, "TWh", accelerators=800_000)
    assert drawn == pytest.approx(800_000 * 559_378 / 384 * 8766 / 1e12)


# --- the same work -------------------------------------------------------------------------------


def test_the_same_work_is_the_same_but_for_the_chip() -> None:
    ours, theirs = (served.deployed(SPECS, chip, "decode") for chip in ("ascend-910c", "h100-sxm"))
    assert (ours.matrix_precision, theirs.matrix_precision) == ("int8", "fp8")
    assert ours.accelerators == 32  # 64 ranks, two a package
    assert theirs.accelerators == 64
    for field in ("expert_parallel", "context", "routing", "tokens_per_step", "microbatches"):
        assert getattr(ours, field) == getattr(theirs, field)


def test_decode_keeps_its_time_per_token() -> None:
    for chip in ("ascend-910c", "h100-sxm", "gb200", "h20"):
        assert served.serve(SPECS, chip, "decode").tpot.m <= 50


def test_a_measurement_runs_on_another_chip() -> None:
    own = served.deployed(SPECS, "ascend-910c", "CM384-DECODE-4K-50MS")
    other = served.deployed(SPECS, "h100-sxm", "CM384-DECODE-4K-50MS")
    assert (own.accelerators, other.accelerators) == (160, 320)
    assert other.matrix_precision == "fp8"
    assert served.work(SPECS, "CM384-PREFILL-PERFECT")[0] == "prefill"
    with pytest.raises(InputError, match="CM384-DECODE-4K-50MS"):
        served.serve(SPECS, "h100-sxm", "CM384-DECODE-4K-50M")


def test_the_work_broadcasts() -> None:
    drawn = SPECS.sample(50, seed=1)
    given = {"comparator": "h100-sxm", "workload": "decode"}
    assert np.shape(derive("served_ratio", "ascend-910c", drawn, **given).m) == (50,)


# --- parity --------------------------------------------------------------------------------------


def test_every_side_of_the_h100() -> None:
    bf16, int8 = {"precision": "bf16"}, {"precision": "int8"}
    fp8 = {"precision": served.eight_bit_peak(SPECS, "h100-sxm")}
    asked: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
        "peak, BF16 matrix units only": ("peak", bf16 | {"basis": "matrix"}, {}),
        "peak, BF16 as advertised": ("peak", bf16, {}),
        "peak, INT8 ÷ FP8 as advertised": ("peak", int8, fp8),
        "peak, INT8 ÷ FP8 from units": ("peak_from_units", int8, fp8),
        "memory bandwidth": ("hbm_bandwidth", {}, {}),
        "memory capacity": ("hbm_capacity", {}, {}),
    } | {
        f"{ours.phase}: {ours.id} ÷ {theirs.id}": (
            "published_throughput", {"measurement": ours.id}, {"measurement": theirs.id}
        )
        for ours, theirs in comparable("ascend-910c", "h100-sxm", SPECS)
    }  # fmt: skip
    found = {
        name: ratio(quantity, "ascend-910c", "h100-sxm", SPECS, against, **given).m
        for name, (quantity, given, against) in asked.items()
    } | {
        f"{workload} on the same work": derive(
            "served_ratio", "ascend-910c", SPECS, comparator="h100-sxm", workload=workload
        ).m
        for workload in SPECS.workloads
    }
    # 707.8 and 752 over 989.4; 1,504 over 1,978.9; 3.2 over 3.352 TB/s; 128 over 80 GB
    by_hand = {
        "peak, BF16 matrix units only": 707.8 / 989.4,
        "peak, BF16 as advertised": 752 / 989.4,
        "peak, INT8 ÷ FP8 as advertised": 1504 / 1978.9,
        "peak, INT8 ÷ FP8 from units": 2 * 24 * 16384 * 1.8e-3 / (132 * 8192 * 1.83e-3),
        "memory bandwidth": 3.2 / 3.352,
        "memory capacity": 128 / 80,
        # huawei2025cloudmatrix over lmsys2025largescale
        "prefill: CM384-PREFILL-PERFECT ÷ SGL-H100-PREFILL-4K-PERFECT": 6688 / 7417.1,
        "prefill: CM384-PREFILL-DEFAULT ÷ SGL-H100-PREFILL-4K-DEFAULT": 5655 / 6287.75,
        "decode: CM384-DECODE-4K-50MS ÷ SGL-H100-DECODE-SIMMTP": 1943 / 2171.6,
        # huawei2026cannrecipes over lmsys2025largescale
        "prefill: CR-A3-R1-PRE ÷ SGL-H100-PREFILL-4K-PERFECT": 5237 / 7417.1,
        "prefill: CR-A3-R1-PRE-MB ÷ SGL-H100-PREFILL-4K-PERFECT": 6522 / 7417.1,
    }
    for name, expected in by_hand.items():
        assert found[name] == pytest.approx(expected, rel=1e-3), name
    assert set(found) - set(by_hand) == {"prefill on the same work", "decode on the same work"}
    assert min(found.values()) > 0.63  # above 60 % as it is printed: 57 to 63


def test_what_60_percent_implies() -> None:
    claim = next(c for c in load_claims(specs=SPECS) if c.id == "S000-22")
    share = claim.printed.value / 100
    assert share == 0.6
    # of the utilisation of an H100, by advertised peak, matrix peak and memory bandwidth
    assert [round(share / side, 2) for side in (752 / 989.4, 707.8 / 989.4, 3.2 / 3.352)] == [
        0.79, 0.84, 0.63,
    ]  # fmt: skip
    assert round(1 / share - 1, 2) == 0.67  # the "last 40 %"
    assert round(share * 1.4, 2) == 0.84


def test_roofline_runs_between_bandwidths_and_peaks() -> None:
    given = {"precision": "bf16", "basis": "matrix"}
    intensity = np.geomspace(10, 3000, 100)
    ours, theirs = (
        np.minimum(value("peak", chip, "TFLOPS", **given), intensity * value("hbm_bandwidth", chip, "TB/s"))
        for chip in ("ascend-910c", "h100-sxm")
    )
    curve = ours / theirs
    assert curve[0] == pytest.approx(3.2 / 3.352)
    assert curve[-1] == pytest.approx(707.8 / 989.4)
    assert curve.min() > 0.6
    found = value("ridge_point", "ascend-910c", "FLOP/byte", **given)
    assert round(found) == round(707.8 / 3.2)


@pytest.mark.parametrize("reference", ["h20", "h800-sxm", "b200", "h200-sxm", "gb200"])
def test_other_references_have_sides_too(reference: str) -> None:
    for quantity, given in (
        ("hbm_bandwidth", {}), ("hbm_capacity", {}), ("peak", {"precision": "bf16"}),
    ):  # fmt: skip
        found = span(lambda s, q=quantity, g=given: ratio(q, "ascend-910c", reference, s, **g), SPECS)
        assert found.low <= found.central <= found.high
    given = {"comparator": reference, "workload": "decode"}
    assert 0 < derive("served_ratio", "ascend-910c", SPECS, **given).m < 10


def test_runs_are_paired_like_with_like() -> None:
    for ours, theirs in comparable("ascend-910c", "h800-sxm", SPECS):
        assert (ours.phase, ours.routing) == (theirs.phase, theirs.routing)
        assert max(float(ours.batch), float(theirs.batch)) <= 2 * min(float(ours.batch), float(theirs.batch))


def test_units_are_those_a_reader_expects() -> None:
    assert units.text(derive("power_per_bandwidth", CM, SPECS), 3) == "455 W per TB/s"
    assert units.text(derive("system_power", CM, SPECS), 3) == "559 kW"
    cost = derive("electricity_cost", CM, SPECS, workload="decode", price=0.08)
    assert units.text(cost).endswith(" USD per million tokens")
