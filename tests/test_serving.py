"""The serving model term by term: hand checks, properties, bad input."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cm384 import load_specs
from cm384.derive.spread import span
from cm384.physics import kernels
from cm384.physics.kernels import Curve, Gemm
from cm384.physics.layers import Layers
from cm384.physics.models import load_model
from cm384.physics.serving import decode, largest_batch, prefill, time_budget
from cm384.table.errors import InputError
from cm384.table.records import Deployment, key_name

SPECS = load_specs()
R1 = load_model("deepseek-r1")
US, MS = 1e-6, 1e-3

# CloudMatrix 384 as its paper deploys it: 160 packages, 96 requests each; 16 packages for prefill.
CM_DECODE = Deployment("ascend-910c", 160, 320, 96, 4096, matrix_precision="int8", routing="eplb",
                       microbatches=2, draft_tokens=1, tokens_per_step=1.7)  # fmt: skip
CM_PREFILL = Deployment("ascend-910c", 16, 32, 16384, 4096, matrix_precision="int8",
                        microbatches=2)  # fmt: skip
H800_PREFILL = Deployment("h800-sxm", 32, 32, 16384, 4096, microbatches=2)
H800_DECODE = Deployment("h800-sxm", 128, 128, 128, 4096, microbatches=2)
H100_DECODE = Deployment("h100-sxm", 72, 72, 256, 2000, routing="eplb", microbatches=2)
B200_ONE_USER = Deployment("b200", 8, 4, 0.125, 2048, tensor_parallel=8, matrix_precision="fp4",
                           routing="unbalanced")  # fmt: skip
GB200_DECODE = Deployment("gb200", 48, 48, 1408, 2050, matrix_precision="fp4",
                          attention_precision="fp8", kv_precision="fp8",
                          routing="eplb")  # fmt: skip
ALL = {
    "cm decode": (decode, CM_DECODE), "cm prefill": (prefill, CM_PREFILL),
    "h800 prefill": (prefill, H800_PREFILL), "h800 decode": (decode, H800_DECODE),
    "h100 decode": (decode, H100_DECODE), "b200 one user": (decode, B200_ONE_USER),
    "gb200 decode": (decode, GB200_DECODE),
}  # fmt: skip
CASES = pytest.mark.parametrize(("phase", "deployment"), ALL.values(), ids=ALL)


def change(deployment: Deployment, **fields: Any) -> Deployment:
    return dataclasses.replace(deployment, **fields)


def machine(name: str, phase: str, precision: str) -> kernels.Machine:
    return kernels.machine(SPECS, name, kernels.Asked(phase, precision, "bf16"))


# --- terms by hand -------------------------------------------------------------------------------


def test_gemm_of_deepgemm_by_hand() -> None:
    """README of 25 March 2025: M 64, N 4096, K 7168 at 287 TFLOPS takes 13.1 us."""
    gemm = Gemm(1390e12, 3.14e12, 3.14e12, 2.88 * US, 1.0, 1.0, 64)
    compute = 2 * 64 * 4096 * 7168 / 1390e12  # 2.70 us
    read = (64 + 4096) * 7168 / 3.14e12  # 9.50 us
    write = 64 * 4096 * 2 / 3.14e12  # 0.17 us
    assert gemm.time(64, 7168, 4096) == pytest.approx(2.88 * US + (compute**2 + read**2) ** 0.5
                                                      + write)  # fmt: skip
    assert gemm.time(64, 7168, 4096) == pytest.approx(12.92 * US, rel=1e-3)
    # Fewer rows than a tile cost its compute, and read less.
    small = gemm.time(16, 7168, 4096)
    assert small == pytest.approx(
        2.88 * US + np.hypot(compute, (16 + 4096) * 7168 / 3.14e12) + 16 * 4096 * 2 / 3.14e12
    )
    # Half of the matrix units take twice as long where computing is all there is.
    large = [gemm.time(2**20, 7168, 4096, 1, share) for share in (1.0, 0.5)]
    assert large[1] / large[0] == pytest.approx(2.0, rel=0.05)


def test_gemm_of_a_910c_die_by_hand() -> None:
    """Table 10 (v2): 4 groups of 7168 x 4096 x 4096 in INT8 reach 79.4 % of 752 TOPS."""
    gemm = machine("ascend-910c", "decode", "int8").gemm["int8"]
    flop = 4 * 2 * 7168 * 4096 * 4096
    compute, read = flop / 644e12, 4 * (7168 + 4096) * 4096 / 1.346e12  # 1,494 and 137 us
    write = 4 * 7168 * 4096 * 2 / 1.8e12  # 130.5 us
    seconds = gemm.time(4 * 7168, 4096, 4096, 4)
    assert seconds == pytest.approx(5 * US + np.hypot(compute, read) + write)
    assert flop / seconds / 752e12 == pytest.approx(0.794, rel=0.02)


def test_attention_core_in_decode_by_hand() -> None:
    """24 requests of two tokens on 16 of the 24 cores of a die, at 245.9 TFLOPS for all 24."""
    step = Layers(SPECS, R1, CM_DECODE, "decode")
    flop = 48 * 2 * 128 * (512 + 64 + 512) * (4096 - 0.5)  # the first of two sees one position less
    seconds = step.attention_core(24.0, 2.0, 16 / 24)
    assert seconds == pytest.approx(5 * US + flop / (245.9e12 * 16 / 24))
    assert seconds == pytest.approx(339 * US, rel=1e-3)
    # One query token of a request is bound by reading its latents at a GPU's rate of 3 TB/s ...
    slow = change(H800_DECODE, kv_precision="bf16")
    fast = SPECS.replace({("h800-sxm", "attention_rate", "phase=decode;precision=bf16",
                           "measured"): 1e9})  # fmt: skip
    bound = Layers(fast, R1, slow, "decode").attention_core(64.0, 1.0, 1.0)
    fixed = (18.4 + 1.3) * US
    assert bound == pytest.approx(fixed + 64 * 4096 * 576 * 2 / 3e12)


def test_attention_core_in_prefill_by_hand() -> None:
    """FlashAttention-3 takes 1,104.7 us for 4,096 tokens of 128 heads on H800 (InferSim)."""
    step = Layers(SPECS, R1, H800_PREFILL, "prefill")
    flop = 4096 * 2 * 128 * (128 + 64 + 128) * (4096 + 1) / 2
    assert step.attention_core(4096.0, 1.0, 1.0) == pytest.approx(flop / 622e12)
    assert step.attention_core(4096.0, 1.0, 1.0) == pytest.approx(1104.7 * US, rel=0.005)


def test_longest_rank_waits_only_where_outputs_are_long() -> None:
    """60 requests of 2,048 to 4,096 tokens on each of 288 dies: the slowest has 7 % more to do."""
    short = change(CM_DECODE, accelerators=144, expert_parallel=288, context=3072)
    core = [Layers(SPECS, R1, change(short, output=output), "decode").attention_core(60.0, 2.0, 1.0)
            for output in (0, 2048)]  # fmt: skip
    spread = 2048 / 12**0.5 / 3072 / 60**0.5  # 2.5 %
    assert (core[1] - 5 * US) / (core[0] - 5 * US) == pytest.approx(1 + 2.87 * spread, rel=0.002)
    one = Layers(SPECS, R1, change(short, output=1), "decode").attention_core(60.0, 2.0, 1.0)
    assert (one - 5 * US) / (core[0] - 5 * US) - 1 == pytest.approx(2.87 * spread / 2048, rel=0.01)


def test_sequence_parallel_collectives_by_hand() -> None:
    """Latents of 4.2 KB from 31 other dies at 164 GB/s, head outputs back at 135 GB/s."""
    step = Layers(SPECS, R1, CM_PREFILL, "prefill")
    gather = 4096 * 31 * (1536 + 512 + 64) * 2 / 164e9
    back = 4096 * 31 / 32 * 128 * 128 * 2 / 135e9
    seconds = step.attention(4096.0, 1.0, 1.0)["sequence_parallel"]
    assert seconds == pytest.approx(gather + back)
    assert seconds == pytest.approx(4.23 * MS, rel=0.002)


@pytest.mark.parametrize(("op", "published"), [("dispatch", 152), ("combine", 149)])
def test_exchange_of_the_paper_is_met(op: str, published: float) -> None:
    """Table 7 (v2): 128 tokens of nine copies over 256 dies."""
    step = Layers(SPECS, R1, change(CM_DECODE, accelerators=128, expert_parallel=256), "decode")
    assert step.exchange(op, 128 * 9 / 8, 1.0)[0] == pytest.approx(published * US, rel=1e-3)


def test_exchange_over_two_fabrics_by_hand() -> None:
    """A token goes to 3.6 of four nodes once, at the 44 GB/s that DeepEP prints for EP 32."""
    step = Layers(SPECS, R1, H800_PREFILL, "prefill")
    nodes = 4 * (1 - 0.75**8)
    time, touched = step.exchange("dispatch", 4096.0, 1.0)
    assert nodes == pytest.approx(3.60, abs=0.005)
    assert time - 130.3 * US == pytest.approx(4096 * nodes * 7392 / 44e9, rel=1e-3)
    assert touched == pytest.approx(3 * 4096 * nodes * 7392 / 3e12, rel=1e-3)
    # Two nodes of eight ranks are missed by one in 256.
    pair = Layers(SPECS, R1, change(H800_PREFILL, accelerators=16, expert_parallel=16), "prefill")
    assert pair.exchange("dispatch", 4096.0, 1.0)[1] == pytest.approx(touched * 2 * (1 - 0.5**8) / nodes)
    # More nodes than a token may go to cost no more than four of them.
    wide = Layers(SPECS, R1, change(H800_PREFILL, accelerators=64, expert_parallel=64), "prefill")
    assert wide.exchange("combine", 4096.0, 1.0)[1] == pytest.approx(step.exchange("combine", 4096.0, 1.0)[1])


def test_exchange_follows_the_busiest_rank_on_one_fabric_alone() -> None:
    flat = Layers(SPECS, R1, CM_PREFILL, "prefill")
    two = Layers(SPECS, R1, H800_PREFILL, "prefill")
    assert flat.exchange("combine", 4096.0, 1.5)[0] > flat.exchange("combine", 4096.0, 1.0)[0]
    assert two.exchange("combine", 4096.0, 1.5)[0] == two.exchange("combine", 4096.0, 1.0)[0]


def test_random_loads() -> None:
    """Tables of order statistics; a Poisson load is drawn."""
    for count, largest in ((1, 0.0), (2, 0.564), (4, 1.029), (16, 1.766), (256, 2.827)):
        assert kernels.normal_maximum(count) == pytest.approx(largest, abs=0.001)
    assert kernels.normal_maximum(10) == pytest.approx(1.539, rel=0.01)
    largest = kernels.random_maximum(100.0, 256, kernels.normal_maximum(256))
    generator = np.random.default_rng(384)
    drawn = generator.poisson(100.0, size=(4000, 256)).max(axis=1).mean() / 100
    assert largest == pytest.approx(drawn, rel=0.01)
    assert kernels.random_maximum(0.01, 16, kernels.normal_maximum(16)) == 16  # all on one


@pytest.mark.parametrize(
    ("mean", "count", "deviations", "largest"),
    [
        (4.0, 256, 3.0, 1 + 3 / 2 + 8 / 6 / 4),  # above the mean by the root of it, and skewed
        (4.0, 256, 0.5, 1 + 0.5 / 2),  # too near the mean to be skewed
        (4.0, 2, 3.0, 2.0),  # all on one of two
        (4.0, 1, 3.0, 1.0),  # one has its mean
    ],
)
def test_largest_load_by_hand(mean: float, count: int, deviations: float, largest: float) -> None:
    assert kernels.random_maximum(mean, count, deviations) == pytest.approx(largest)


def test_load_of_the_busiest_rank() -> None:
    balanced = Layers(SPECS, R1, H800_DECODE, "decode")
    assert np.all(balanced.load(64.0) == 1.0)
    # 0.7 of the maximum on average, in production of Ant with balancing.
    assert Layers(SPECS, R1, H100_DECODE, "decode").load(256.0) == pytest.approx(1 / 0.7)
    # On two ranks even unbalanced experts average out: 1 + 0.56 x 1.4 x sqrt(2 / 256).
    pair = change(H100_DECODE, accelerators=2, expert_parallel=2)
    expected = 1 + 0.56 * 1.4 * (2 / 256) ** 0.5
    for routing in ("eplb", "unbalanced"):
        load = Layers(SPECS, R1, change(pair, routing=routing), "prefill").load(8192.0)
        assert load == pytest.approx(expected, rel=0.01)


def test_load_where_groups_cut_the_experts() -> None:
    """Of 8 ranks 4 hold experts, cut in two: an eighth of a token on each is 0.125 × 2 × 8 copies a rank."""
    found = Layers(SPECS, R1, B200_ONE_USER, "decode").load(0.125)
    deviations = kernels.normal_maximum(4)
    assert found == pytest.approx(1 + deviations / 2**0.5 + (deviations**2 - 1) / 6 / 2)


def test_ranks_beyond_the_experts_hold_the_common_ones() -> None:
    """320 dies: nine copies a token, and an expert without replica has 320 / 256 of eight."""
    step = Layers(SPECS, R1, change(CM_DECODE, routing="unbalanced"), "decode")
    assert step.copies == 9
    assert Layers(SPECS, R1, H800_DECODE, "decode").copies == 8
    assert "shared_experts" in step.experts(48.0, 1.0, 1.0)
    assert step.experts(48.0, 1.0, 1.0)["shared_experts"] == 0


def test_output_head_reads_the_vocabulary_once() -> None:
    """96 tokens on a die: 7,168 x 129,280 weights of two bytes at 1.346 TB/s take 1.38 ms."""
    read = 7168 * (129280 + 96) * 2 / 1.346e12
    compute = 2 * 96 * 7168 * 129280 / 308e12
    write = 96 * 129280 * 2 / 1.8e12
    result = decode(SPECS, R1, CM_DECODE)
    expected = 5 * US + np.hypot(read, compute) + write
    assert result.breakdown["lm_head"] == pytest.approx(expected)
    assert result.breakdown["lm_head"] == pytest.approx(1.51 * MS, rel=0.01)


def test_weights_on_a_rank() -> None:
    """H800 at EP 128: two routed experts and the common one of 58 layers, attention, both ends."""
    expert, dense, ends = 3 * 7168 * 2048, 3 * 7168 * 18432, 2 * 7168 * 129280
    down, up, out = 7168 * (1536 + 576), 1536 * 24576, 16384 * 7168
    absorbed, router = 512 * 128 * 256, 7168 * 256
    in_fp8 = 58 * 3 * expert + 3 * dense + 61 * (up + out)
    in_bf16 = 61 * (down + absorbed) + 58 * router + ends
    weights = Layers(SPECS, R1, H800_DECODE, "decode").weights()
    assert weights == pytest.approx(in_fp8 + 2 * in_bf16, rel=1e-12)


def test_overlap_in_lock_step_by_hand() -> None:
    result = prefill(SPECS, R1, H800_PREFILL)
    step = Layers(SPECS, R1, H800_PREFILL, "prefill")
    share = 1 - 24 / 132  # SMs that send and receive
    first = sum(step.attention(8192.0, 1.0, share).values())
    second = sum(step.experts(8192.0, 1.0, share).values())
    (out, a), (back, b) = (step.exchange(op, 8192.0, 1.0) for op in ("dispatch", "combine"))
    stages = max(first + a, out), max(second + a, out), max(second + b, back), max(first + b, back)
    assert sum(result.layer.values()) == pytest.approx(sum(stages))


def test_two_streams_of_decode_by_hand() -> None:
    """The slower stream decides: attention on 16 cores, everything else on 8."""
    result = decode(SPECS, R1, CM_DECODE)
    step = Layers(SPECS, R1, CM_DECODE, "decode")
    load = step.load(48.0)
    first = sum(step.attention(24.0, 2.0, 16 / 24).values())
    second = sum(step.experts(48.0, load, 8 / 24).values())
    (out, a), (back, b) = (step.exchange(op, 48.0, load) for op in ("dispatch", "combine"))
    assert sum(result.layer.values()) == pytest.approx(2 * max(first + a + b, second + out + back))


def test_draft_steps() -> None:
    """A draft step costs a layer, the matrix that joins it, and a head; a second one is cheaper."""
    drafting = [change(CM_DECODE, draft_tokens=n, tokens_per_step=1) for n in (0, 1, 2)]
    cost = [decode(SPECS, R1, deployment).breakdown["draft"] for deployment in drafting]
    assert cost[0] == 0
    one = decode(SPECS, R1, CM_DECODE)
    assert cost[1] > sum(one.layer.values()) + one.breakdown["lm_head"]
    assert cost[2] > cost[1]


def test_curve_is_straight_between_points_and_flat_beyond() -> None:
    curve = Curve((1.0, 2.0, 4.0), (10.0, 20.0, 0.0))
    assert [float(curve.at(x)) for x in (0.0, 1.0, 1.5, 2.0, 3.0, 9.0)] == [10, 10, 15, 20, 10, 0]
    opened = dataclasses.replace(curve, open_start=True)
    assert float(opened.at(0.5)) == 5
    assert Curve((1.0,), (7.0,)).at(3.0) == 7


# --- what holds for every deployment -------------------------------------------------------------


@CASES
def test_terms_add_up(phase: Any, deployment: Deployment) -> None:
    result = phase(SPECS, R1, deployment)
    assert sum(result.breakdown.values()) == pytest.approx(result.step)
    assert all(time >= 0 for term, time in result.breakdown.items() if term != "overlap")
    assert result.breakdown["overlap"] <= 0 or result.layer["overlap"] <= 0


@CASES
def test_throughput_is_tokens_over_step(phase: Any, deployment: Deployment) -> None:
    result = phase(SPECS, R1, deployment)
    tokens = deployment.batch * deployment.tokens_per_step
    assert result.throughput.to("token/s/accelerator").m == pytest.approx(tokens / result.step)
    if phase is decode:
        assert result.tpot.to("s").m == pytest.approx(deployment.batch / result.throughput.m)


@CASES
@pytest.mark.parametrize("field", ["batch", "context"])
def test_more_work_takes_longer(phase: Any, deployment: Deployment, field: str) -> None:
    base = float(getattr(deployment, field))
    grid = base * np.linspace(0.5, 1.0, 41)
    steps = phase(SPECS, R1, change(deployment, **{field: grid})).step
    if phase is prefill and field == "context":  # a fixed number of tokens in longer prompts
        assert steps[-1] > steps[0]
    else:
        assert np.all(np.diff(steps) > -1e-9)


@CASES
def test_faster_links_are_never_slower(phase: Any, deployment: Deployment) -> None:
    kinds = ("exchange_bandwidth", "all_reduce_bandwidth", "peer_bandwidth")
    links = {key: 2 * SPECS.rows[key][0].value for key in SPECS.rows if key[1] in kinds}
    before = phase(SPECS, R1, deployment).step
    assert phase(SPECS.replace(links), R1, deployment).step <= before


@CASES
@pytest.mark.parametrize("quantity", ["gemm_rate", "gemm_bandwidth", "attention_rate",
                                      "memory_bandwidth_sustained"])  # fmt: skip
def test_faster_kernels_are_never_slower(phase: Any, deployment: Deployment, quantity: str) -> None:
    faster = {key: 1.5 * SPECS.rows[key][0].value for key in SPECS.rows if key[1] == quantity}
    before = phase(SPECS, R1, deployment).step
    assert phase(SPECS.replace(faster), R1, deployment).step <= before


@CASES
def test_arrays_are_a_loop_over_scalars(phase: Any, deployment: Deployment) -> None:
    batch = np.array([0.4, 0.7, 1.0]) * deployment.batch
    context = np.array([[1024.0], [2000.0]])
    halves = np.array([1, 2, 2])
    together = phase(SPECS, R1, change(deployment, batch=batch, context=context,
                                       microbatches=halves))  # fmt: skip
    assert together.throughput.m.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        alone = change(deployment, batch=float(batch[j]), context=float(context[i, 0]),
                       microbatches=int(halves[j]))  # fmt: skip
        single = phase(SPECS, R1, alone)
        assert together.step[i, j] == pytest.approx(float(single.step), rel=1e-12)
        for term, time in single.breakdown.items():
            wide = np.broadcast_to(together.breakdown[term], (2, 3))[i, j]
            assert wide == pytest.approx(float(time), abs=1e-15)


def test_ranks_and_splits_broadcast_too() -> None:
    ranks = np.array([32, 72, 144])
    together = decode(SPECS, R1, change(H100_DECODE, accelerators=ranks, expert_parallel=ranks))
    alone = [decode(SPECS, R1, change(H100_DECODE, accelerators=n, expert_parallel=n)).step
             for n in (32, 72, 144)]  # fmt: skip
    assert together.step == pytest.approx(alone)
    tensor = np.array([1, 2, 4, 8])
    wide = decode(SPECS, R1, change(B200_ONE_USER, tensor_parallel=tensor, expert_parallel=8,
                                    batch=1.0))  # fmt: skip
    assert wide.step.shape == (4,)


def test_a_table_of_draws_gives_draws() -> None:
    key = SPECS.find("ascend-910c", "attention_rate", phase="decode", precision="bf16")
    drawn = SPECS.replace({key: np.array([200.0, 245.9, 326.0])})
    rates = decode(drawn, R1, CM_DECODE).throughput.m
    assert rates.shape == (3,)
    assert rates[1] == pytest.approx(decode(SPECS, R1, CM_DECODE).throughput.m)
    assert np.all(np.diff(rates) > 0)


def test_the_span_of_the_sources_holds_the_central_figure() -> None:
    found = span(lambda specs: decode(specs, R1, CM_DECODE).throughput, SPECS, limit=500)
    assert found.low < found.central < found.high
    assert len(found.keys) > 30


@CASES
def test_every_constant_read_has_a_source(phase: Any, deployment: Deployment) -> None:
    traced, trace = SPECS.traced()
    phase(traced, R1, deployment)
    for key in trace.keys:
        row = SPECS.rows[key][0]
        assert row.source, key_name(key)
        assert row.locator, key_name(key)
        assert row.basis != "assumed" or row.locator


def test_two_half_batches_pay_where_there_is_much_to_hide() -> None:
    """On H100 they gain at 256 requests a GPU and lose at 32, as SGLang measured."""
    gain = [float(decode(SPECS, R1, change(H100_DECODE, batch=batch)).throughput
                  / decode(SPECS, R1, change(H100_DECODE, batch=batch, microbatches=1)).throughput)
            for batch in (32, 256)]  # fmt: skip
    assert gain[0] < 1 < gain[1]


def test_other_models() -> None:
    kimi = load_model("kimi-k2")
    h200 = Deployment("h200-sxm", 96, 96, 480, 2050, routing="eplb", microbatches=2)
    assert 1500 < decode(SPECS, kimi, h200).throughput.m < 6000
    llama = load_model("llama-3.1-70b")
    dense = Deployment("h100-sxm", 8, 1, 8, 2048, tensor_parallel=8)
    result = decode(SPECS, llama, dense)
    assert result.layer["dense_ffn"] > 0
    assert sum(result.breakdown.values()) == pytest.approx(result.step)
    assert prefill(SPECS, llama, change(dense, batch=2048)).throughput.m > 0


# --- memory and batch ----------------------------------------------------------------------------


def test_largest_batch_fits_and_one_more_does_not() -> None:
    most = largest_batch(SPECS, R1, H100_DECODE)
    assert decode(SPECS, R1, change(H100_DECODE, batch=most)).memory <= 80e9
    with pytest.raises(InputError, match=r"^batch: weights and KV cache take 80\.\d GB"):
        decode(SPECS, R1, change(H100_DECODE, batch=most + 1))


def test_largest_batch_under_a_latency() -> None:
    most = largest_batch(SPECS, R1, CM_DECODE, tpot=50.0)
    assert most % 2 == 0  # whole requests on either die
    assert decode(SPECS, R1, change(CM_DECODE, batch=most)).tpot.to("ms").m <= 50
    assert decode(SPECS, R1, change(CM_DECODE, batch=most + 2)).tpot.to("ms").m > 50
    assert largest_batch(SPECS, R1, CM_DECODE, tpot=1.0) == 0
    several = largest_batch(SPECS, R1, CM_DECODE, tpot=np.array([1.0, 30.0, 50.0]))
    assert several[0] == 0
    assert several[2] == most
    assert np.all(np.diff(several) > 0)


def test_what_does_not_fit_among_others_is_nan() -> None:
    steps = decode(SPECS, R1, change(H100_DECODE, batch=np.array([256.0, 4096.0]))).step
    assert np.isfinite(steps[0])
    assert np.isnan(steps[1])


def test_weights_that_do_not_fit_come_from_the_host_in_prefill() -> None:
    """Two GB200 hold half of the NVFP4 experts each, more than their memory, and still run."""
    pair = Deployment("gb200", 2, 2, 16384, 2000, matrix_precision="fp4",
                      attention_precision="fp8", kv_precision="fp8", routing="eplb")  # fmt: skip
    result = prefill(SPECS, R1, pair)
    assert result.memory > 186e9
    assert result.breakdown["host_link"] == 0  # hidden behind the step
    slow = SPECS.replace({("gb200", "host_link_bandwidth", "", "one-way"): 1.0})
    assert prefill(slow, R1, pair).breakdown["host_link"] > 1


# --- bad input -----------------------------------------------------------------------------------

BAD = [
    ({"accelerators": 100}, r"expert_parallel: 200 ranks do not divide into groups of 320"),
    ({"tensor_parallel": 3}, r"tensor_parallel: 320 ranks do not divide into groups of 3"),
    ({"matrix_precision": "fp8"}, r"matrix_precision: ascend-910c has no kernels in fp8; it"),
    ({"attention_precision": "fp8"}, r"attention_precision: ascend-910c has no kernels in fp8"),
    ({"kv_precision": "fp7"}, r"unknown precision 'fp7'; did you mean 'fp4'\?|known"),
    ({"tokens_per_step": 2.1}, r"tokens_per_step: expected 1 to draft_tokens \+ 1 = 2, not 2.1"),
    ({"tokens_per_step": 0.5}, r"tokens_per_step: expected at least 1, not 0.5"),
    ({"batch": 0}, r"batch: expected more than 0, not 0"),
    ({"batch": float("nan")}, r"batch: expected more than 0, not nan"),
    ({"batch": 1e6}, r"batch: weights and KV cache take [\d,.]+ GB on a rank of ascend-910c"),
    ({"context": 1}, r"context: expected at least 2, the tokens of one step, not 1"),
    ({"microbatches": 3}, r"microbatches: expected 1 or 2"),
    ({"expert_parallel": 1.5}, r"expert_parallel: expected a whole number, at least 1, not 1.5"),
    ({"draft_tokens": -1}, r"draft_tokens: expected a whole number, at least 0, not -1"),
    ({"routing": "ballanced"}, r"unknown routing 'ballanced'; did you mean 'balanced'\?"),
    (
        {"accelerator": "a100-sxm", "accelerators": 320},
        r"accelerator: no source states how fast kernels run on a100",
    ),
]
FIELDS = [next(iter(fields)) for fields, _ in BAD]


@pytest.mark.parametrize(("fields", "line"), BAD, ids=FIELDS)
def test_bad_input_is_one_line_that_names_the_field(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as error:
        decode(SPECS, R1, change(CM_DECODE, **fields))
    assert "\n" not in str(error.value)


def test_a_model_without_a_layer_that_drafts_cannot() -> None:
    with pytest.raises(InputError, match=r"draft_tokens: kimi-k2 has no layer that drafts"):
        decode(SPECS, load_model("kimi-k2"), change(H100_DECODE, draft_tokens=1))


def test_heads_that_do_not_divide() -> None:
    three = change(B200_ONE_USER, accelerators=24, tensor_parallel=24, expert_parallel=1)
    with pytest.raises(InputError, match=r"tensor_parallel: the 128 heads of deepseek-r1"):
        decode(SPECS, R1, three)


def test_experts_and_attention_split_alike() -> None:
    with pytest.raises(InputError, match=r"expert_parallel: expected a multiple or a divisor"):
        decode(SPECS, R1, change(H100_DECODE, expert_parallel=12, tensor_parallel=8))


def test_unknown_accelerator_is_refused() -> None:
    with pytest.raises(InputError, match="h10-sxm"):
        decode(SPECS, R1, change(H100_DECODE, accelerator="h10-sxm"))


def test_budget_of_cloudmatrix_adds_up_and_says_what_bounds_it() -> None:
    row = SPECS.measurements["CM384-DECODE-4K-50MS"]
    found = {
        batch: time_budget(
            SPECS,
            load_model(row.model),
            dataclasses.replace(row.deployment, batch=batch),
            "decode",
        )
        for batch in (96, 240)
    }
    for budget in found.values():
        assert sum(budget.steps.values()) == pytest.approx(budget.predicted)
    assert found[96].bounds == {"matrices": "memory", "attention": "operations"}
    assert found[240].bounds["matrices"] == "operations"
    # 6,688 tokens/s at 81.6 GFLOP a token are 38.6 % of the 1,415.6 TOPS of the matrix units, 2 dies of
    # 24 cubes, 16,384 operations a clock and 1.8 GHz (huawei2025cloudmatrix, table 3; ascendmsmodeling)
    row = SPECS.measurements["CM384-PREFILL-PERFECT"]
    budget = time_budget(SPECS, load_model(row.model), row.deployment, "prefill")
    assert budget.useful_share * budget.predicted * row.measured / 1e6 == pytest.approx(
        81.63e9 * 6688 / (2 * 24 * 16_384 * 1.8e9), rel=2e-3
    )
