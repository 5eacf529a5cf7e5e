"""What fits from sizes alone, ranks over several nodes, and kernels of their own kind."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cm384 import Deployment, Specs, decode, load_model, load_specs, prefill
from cm384.physics.kernels import AllReduce, Curve
from cm384.physics.layers import Layers
from cm384.physics.serving import Step, decode_at_most, largest_batch, time_budget
from cm384.physics.sizes import Sizes
from cm384.table.errors import InputError, NotStated

SPECS, R1, LLAMA = load_specs(), load_model("deepseek-r1"), load_model("llama-3.1-70b")


def tp(chip: str, ranks: int, context: float = 4096, **given: Any) -> Deployment:
    return Deployment(
        chip, ranks, ranks, 1 / ranks, context, tensor_parallel=ranks, routing="unbalanced", **given
    )


def without(quantity: str, *chips: str, specs: Specs = SPECS) -> Specs:
    """The table without the rows of a quantity of some chips."""
    kept = {key: rows for key, rows in specs.rows.items() if not (key[1] == quantity and key[0] in chips)}
    return dataclasses.replace(specs, rows=kept)


# --- what fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "ranks", "context", "requests"),
    [("h200-sxm", 8, 131_072, 5), ("h100-sxm", 16, 32_768, 15), ("h100-sxm", 16, 131_072, 3)],
)
def test_requests_are_shared_by_a_tensor_parallel_group(
    chip: str, ranks: int, context: float, requests: int
) -> None:
    """Five requests on eight ranks are 5/8 each, and one more does not fit."""
    found = tp(chip, ranks, context)
    assert largest_batch(SPECS, R1, found) * ranks == requests
    sizes = Sizes(SPECS, R1, found, "decode")
    for count, fits in ((requests, True), (requests + 1, False)):
        assert (sizes.at(count / ranks).memory() <= sizes.capacity) is fits


def test_largest_batch_of_a_group_within_a_latency() -> None:
    """Stepping through decode gives the same, with evenly loaded experts on 8 H200."""
    found = dataclasses.replace(tp("h200-sxm", 8, 8192), routing="balanced")
    steps = {
        n: float(decode(SPECS, R1, dataclasses.replace(found, batch=n / 8)).tpot.m) for n in range(1, 13)
    }
    most = largest_batch(SPECS, R1, found, tpot=15.0) * 8
    assert most == max(n for n, tpot in steps.items() if tpot <= 15.0)
    assert 1 < most < 12


def test_largest_batch_broadcasts_over_groups_of_several_sizes() -> None:
    ranks = np.array([8.0, 16.0])
    found = tp("h100-sxm", 16, 32_768)
    many = dataclasses.replace(found, tensor_parallel=ranks, expert_parallel=ranks)
    each = [dataclasses.replace(found, tensor_parallel=n, expert_parallel=n) for n in ranks]
    assert largest_batch(SPECS, R1, many).tolist() == [float(largest_batch(SPECS, R1, one)) for one in each]


def test_what_fits_needs_no_kernels() -> None:
    """8 x MI300X: 192 GB less a 671 GB model in bytes over 8, at 9.2 GB of BF16 latents a request of 128K."""
    found = tp("mi300x", 8, 131_072)
    most = largest_batch(SPECS, R1, found) * 8
    assert most == 11
    with pytest.raises(NotStated, match="no source states how fast kernels run on mi300x"):
        decode(SPECS, R1, found)


def test_ranks_of_a_group_split_keys_and_values_but_no_latents() -> None:
    latent = [float(Sizes(SPECS, R1, tp("h100-sxm", n), "decode").cache_bytes()) for n in (1, 8)]
    assert latent[0] == latent[1] == 4096 * 61 * 576 * 2
    heads = [float(Sizes(SPECS, LLAMA, tp("h100-sxm", n), "decode").cache_bytes()) for n in (1, 2, 8, 16)]
    whole = 4096 * 80 * 2 * 8 * 128 * 2
    assert heads == [whole, whole / 2, whole / 8, whole / 8]  # eight KV heads split no further


def test_a_batch_without_limits_is_as_many_as_fit_or_are_asked_for() -> None:
    """Five requests of 128K on eight H200, as above; of two asked for, two."""
    for asked, taken in ((64.0, 5 / 8), (2 / 8, 2 / 8)):
        found = dataclasses.replace(tp("h200-sxm", 8, 131_072), batch=asked)
        step = decode_at_most(SPECS, R1, found)
        assert float(step.step) == float(decode(SPECS, R1, dataclasses.replace(found, batch=taken)).step)


def test_some_of_the_configurations_are_cut_along_the_last_axis_alone() -> None:
    """Of what has one place there, or none, all of it stays."""
    batch, context = np.arange(1.0, 13.0).reshape(3, 4), np.array([[1024.0], [2048.0], [4096.0]])
    found = dataclasses.replace(tp("h200-sxm", 8), batch=batch, context=context)
    part = Sizes(SPECS, R1, found, "decode").cut(slice(1, 3), 4)
    assert part.d.batch.tolist() == [[2, 3], [6, 7], [10, 11]]
    assert part.d.context.tolist() == part.context.tolist() == context.tolist()
    assert part.d.tensor_parallel == 8


def test_step_that_fits_everywhere_is_handed_on() -> None:
    step, size = np.array([1.0, 2.0]), np.array([8e10, 15e10])
    sizes = Step(SPECS, R1, tp("h200-sxm", 8), "decode")
    assert sizes.fitting(step, size / 2) is step
    assert sizes.fitting(step, size)[0] == 1
    assert np.isnan(sizes.fitting(step, size)[1])


def test_a_rank_with_one_expert_holds_no_other() -> None:
    """EP320: 256 routed, 32 shared and 32 spare ranks, one expert of 44 MB each on every one of 58 layers."""
    sizes = Sizes(SPECS, R1, SPECS.measurements["CM384-DECODE-4K-50MS"].deployment, "decode")
    held, one = R1.held["moe"], 3 * 7168 * 2048
    assert float(sizes.held_bytes("shared_experts", held["shared_experts"])) == 0
    assert float(sizes.held_bytes("routed_experts", held["routed_experts"])) == one
    spread = Sizes(SPECS, R1, tp("h100-sxm", 8), "decode")
    assert float(spread.held_bytes("shared_experts", held["shared_experts"])) == one / 8


# --- ranks over several nodes --------------------------------------------------------------------


def test_all_reduce_between_nodes_takes_its_own_row() -> None:
    """16 KiB over two nodes of H100: 45.5 µs, where one node takes 3.56."""
    step = Layers(SPECS, R1, tp("h100-sxm", 16), "decode")
    tokens = 16_384 / (7168 * 2)
    moved = 2 * (15 / 16) * 16_384
    assert float(step.all_reduce(tokens)) * 1e6 == pytest.approx(45.5 + moved / 377.7e9 * 1e6, rel=1e-3)
    node = Layers(SPECS, R1, tp("h100-sxm", 8), "decode")
    assert float(node.all_reduce(tokens)) * 1e6 == pytest.approx(3.56, rel=1e-3)


def test_tp16_over_two_nodes_is_no_longer_twice_too_fast() -> None:
    """One user on 2 x 8 H100 over InfiniBand has 23.1 ms a token (tt-inference-server, issue 356)."""
    found = tp("h100-sxm", 16, 1088, output=128)
    assert float(decode(SPECS, R1, found).tpot.m) == pytest.approx(23.1, rel=0.35)


def test_ranks_beyond_a_node_are_refused_where_no_source_goes() -> None:
    between = ("ranks=16", "ranks=64")
    near = {key: rows for key, rows in SPECS.rows.items()
            if key[0] != "h100-sxm" or "all_reduce" not in key[1] or key[2] not in between}  # fmt: skip
    specs = dataclasses.replace(SPECS, rows=near)
    told = "tensor_parallel: no source states how fast 16 ranks of h100-sxm add up, on nodes of 8"
    with pytest.raises(InputError, match=told):
        Layers(specs, R1, tp("h100-sxm", 16), "decode")
    Layers(specs, R1, tp("h100-sxm", 8), "decode")
    far = {key: rows for key, rows in SPECS.rows.items()
           if key[0] != "b200" or not key[1].startswith("exchange_") or "ranks=8" in key[2]}  # fmt: skip
    spread = Deployment("b200", 16, 16, 8, 4096, routing="unbalanced")
    told = "expert_parallel: no source states how fast 16 ranks of b200 exchange tokens, on nodes of 8"
    with pytest.raises(InputError, match=told):
        decode(dataclasses.replace(SPECS, rows=far), R1, spread)


def test_all_reduce_is_a_line_between_sizes_and_a_bandwidth_beyond() -> None:
    flat = Curve((1 / 8,), (10e-6,)), Curve((1 / 8,), (30e-6,))
    found = AllReduce((1e4, 3e4), flat, Curve((1 / 8,), (1e-9,)))
    sizes = np.array([0.0, 1e4, 2e4, 3e4, 5e4])
    beyond = 2 * (7 / 8) * 2e4 * 1e-9
    assert found.time(8.0, sizes).tolist() == pytest.approx([10e-6, 10e-6, 20e-6, 30e-6, 30e-6 + beyond])
    assert float(found.time(1.0, 5e4)) == 0
    # more ranks than are known by size: the first latency and the bandwidth
    assert float(found.time(16.0, 2e4)) == pytest.approx(10e-6 + 2 * (15 / 16) * 2e4 * 1e-9)


# --- kernels of their own kind -------------------------------------------------------------------


def test_a_dense_model_asks_for_no_row_of_experts() -> None:
    bare = without("exchange_bandwidth", "h100-sxm", specs=without("exchange_fixed_time", "h100-sxm"))
    found = Deployment("h100-sxm", 2, 1, 4, 2048, tensor_parallel=2)
    assert float(decode(bare, LLAMA, found).tpot.m) == float(decode(SPECS, LLAMA, found).tpot.m)
    with pytest.raises(NotStated, match="exchange_fixed_time"):
        decode(bare, R1, Deployment("h100-sxm", 16, 16, 4, 2048))


def test_grouped_query_attention_reads_no_row_of_latent_attention() -> None:
    traced, notes = SPECS.traced()
    found = Deployment("h100-sxm", 2, 1, 4, 2048, tensor_parallel=2)
    decode(traced, LLAMA, found)
    prefill(traced, LLAMA, dataclasses.replace(found, batch=2048))
    read = [key[2] for key in notes.keys if key[1].startswith("attention_")]
    assert len(read) > 4
    assert all("kernel=grouped-query" in text for text in read)


def test_chip_without_grouped_query_kernels_is_refused() -> None:
    told = "no source states how fast ascend-910c computes grouped-query attention in bf16"
    with pytest.raises(NotStated, match=told):
        decode(SPECS, LLAMA, Deployment("ascend-910c", 2, 1, 4, 2048, matrix_precision="int8"))


def test_grouped_query_core_by_hand() -> None:
    """64 requests of 8,192 tokens, one KV head a rank, BF16 on H100: 12.1 µs and 268 MB at 3.05 TB/s."""
    step = Layers(SPECS, LLAMA, tp("h100-sxm", 8, 8192), "decode")
    seconds = float(step.attention_core(8.0, 1.0, 1.0))
    read = 64 * 8192 * 2 * 128 * 2
    flop = 64 * 4 * 8 * 128 * 8192
    assert flop / 178e12 < read / 3.05e12
    assert seconds * 1e6 == pytest.approx(12.1 + read / 3.05e12 * 1e6, rel=0.01)


# --- experts that are hit ------------------------------------------------------------------------


def hit(routing: str, ranks: int, drawn: float) -> float:
    found = Deployment("b200", ranks, ranks, 1, 4096, tensor_parallel=1, routing=routing)
    return float(Layers(SPECS, R1, found, "decode").experts_hit(drawn))


def test_skewed_traffic_hits_fewer_experts() -> None:
    """Loads of relative deviation 1.4, two rows a mean expert: 1 - (1 + 2 x 1.96)^(-1/1.96)."""
    share = 1 - (1 + 2 * 1.4**2) ** (-1 / 1.4**2)
    assert share == pytest.approx(0.556, abs=0.001)
    assert hit("unbalanced", 1, 2.0) == pytest.approx(256 * share)
    assert hit("balanced", 1, 2.0) == pytest.approx(256 * (1 - np.exp(-2)))


def test_busiest_rank_hits_more_of_its_experts() -> None:
    """Of eight ranks the largest normal deviate is 1.424: 32 h + 1.424 sqrt(32 h (1 - h)), at most 32."""
    share = 1 - (1 + 2 * 1.4**2) ** (-1 / 1.4**2)
    expected = 32 * share + 1.424 * np.sqrt(32 * share * (1 - share))
    assert hit("unbalanced", 8, 2.0) == pytest.approx(expected)
    assert hit("unbalanced", 64, 2.0) == 4  # all four


def test_fused_experts_run_where_a_group_holds_them_all() -> None:
    """Inside a tensor parallel group; beyond it tokens are exchanged, and the kernels of that layout run."""
    bare = {
        key: rows for key, rows in SPECS.rows.items() if not (key[0] == "b200" and "kernel=fused" in key[2])
    }
    specs = dataclasses.replace(SPECS, rows=bare)
    inside = dataclasses.replace(tp("b200", 8), batch=8, matrix_precision="fp4")
    ours, theirs = (float(decode(table, R1, inside).tpot.m) for table in (SPECS, specs))
    assert ours < 0.95 * theirs
    outside = dataclasses.replace(inside, tensor_parallel=1)
    ours, theirs = (float(decode(table, R1, outside).tpot.m) for table in (SPECS, specs))
    assert ours == theirs


def test_what_a_kernel_fuses_moves_no_bytes_of_its_own() -> None:
    """Inside a group only shared experts are activated apart: 8 tokens, an eighth of 2,048 wide."""
    eight = dataclasses.replace(tp("b200", 8), batch=1, matrix_precision="fp4")
    step = Layers(SPECS, R1, eight, "decode")
    vector = step.experts(1.0, 1.0, 1.0)["expert_vector"]
    assert vector == step.expert_vector(8.0, 0.0, 8 * 2_048 / 8)
    apart = Layers(SPECS, R1, dataclasses.replace(eight, tensor_parallel=1), "decode")
    rows = apart.copies * 1.0
    assert apart.experts(1.0, 1.0, 1.0)["expert_vector"] == pytest.approx(
        float(apart.expert_vector(1.0, rows, (rows + 1) * 2_048))
    )


def test_groups_that_exchange_add_nothing_up() -> None:
    """Of eight experts apart the combine is the same beside a group that sums them."""
    both = dataclasses.replace(tp("b200", 8), tensor_parallel=np.array([1.0, 8.0]))
    alone, group = (dataclasses.replace(both, tensor_parallel=n) for n in (1.0, 8.0))
    times = Layers(SPECS, R1, both, "decode").exchange("combine", 8.0, 1.0)[0]
    assert times.tolist() == pytest.approx(
        [float(Layers(SPECS, R1, one, "decode").exchange("combine", 8.0, 1.0)[0]) for one in (alone, group)]
    )
    assert times[1] == pytest.approx(float(Layers(SPECS, R1, group, "decode").all_reduce(64.0)))


@pytest.mark.parametrize("ranks", [1, 8])
def test_bytes_of_small_kernels_of_a_dense_layer_by_hand(ranks: int) -> None:
    """Of 28,672 activated columns each rank of a group has its own; all have the norm of all 8,192."""
    step = Layers(SPECS, LLAMA, tp("h200-sxm", ranks, matrix_precision="bf16"), "decode")
    size = step.machine.vector_bytes
    moved = 4 * ranks * (size["norm"] * 8_192 + size["activation"] * 28_672 / ranks)
    assert step.at(4.0).dense_layer(1.0)[1]()["ffn_vector"] == pytest.approx(float(step.vector(moved)))


# --- the budget ----------------------------------------------------------------------------------


def test_limit_of_prefill_is_at_the_peak_of_the_matrix_units() -> None:
    """81.63 GFLOP of a prompt token, its attention in BF16 at half the rate: 64.9 µs, like for like."""
    row = SPECS.measurements["CM384-PREFILL-PERFECT"]
    limit = time_budget(SPECS, R1, row.deployment, "prefill").steps["physical limit"]
    core = 61 * 128 * 2 * (192 + 128) * 4097 / 2
    peak = 2 * 24 * 16_384 * 1.8e9
    assert limit == pytest.approx(((81.63e9 - core) / peak + core / (peak / 2)) * 1e6, rel=2e-3)
    assert limit == pytest.approx(64.9, abs=0.1)


def test_limit_of_decode_reads_one_expert_on_a_die_and_rejects_no_draft() -> None:
    """EP320: every die reads two experts with its spare, of 44 MB in INT8, and what all ranks hold."""
    row = SPECS.measurements["CM384-DECODE-4K-50MS"]
    budget = time_budget(SPECS, R1, row.deployment, "decode")
    # 142.8 GFLOP of an output token at 4,096, 1,416 TOPS and half of that in the core
    core = 61 * 128 * 2 * (512 + 512 + 64) * 4096
    operations = (142.8e9 - core) / 1415.6e12 + core / 707.8e12
    memory = Sizes(SPECS, R1, row.deployment, "decode").bytes_read()
    read = 2 * sum(memory) / 3.2e12 / (96 * 1.7)
    assert budget.steps["physical limit"] == pytest.approx(max(operations, read) * 1e6, rel=2e-3)
    assert budget.steps["rejected drafts"] > 0
    assert sum(budget.steps.values()) == pytest.approx(budget.predicted)
    # of the tokens that are kept: 1,943 × 142.8 GFLOP are 19.6 % of the matrix peak
    kept = budget.useful_share * budget.predicted * row.measured / 1e6
    assert kept == pytest.approx(142.8e9 * 1943 / 1415.6e12, rel=2e-3)
