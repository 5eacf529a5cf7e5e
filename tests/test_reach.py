"""Sparse attention, windows, 4-bit experts, drafters, settings of software, and load."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cm384 import Deployment, InputError, decode, load_model, load_specs, prefill
from cm384.physics.check import predict, spread, validate
from cm384.physics.load import closed_loop, rate_match, transfer
from cm384.physics.operators import positions
from cm384.physics.serving import Step, largest_batch
from cm384.physics.sizes import Sizes
from cm384.physics.transformer import decode_flop, kv_bytes, prefill_flop
from cm384.table.errors import DATA
from cm384.table.records import Loop
from cm384.table.specs import load_third_party

SPECS = load_specs()
US = 1e-6
H200 = Deployment("h200-sxm", 8, 8, 4.0, 8192, attention_precision="bf16", routing="unbalanced")
A3 = Deployment("ascend-910c", 64, 128, 4.0, 65536, matrix_precision="int8", kv_precision="int8",
                draft_tokens=3, tokens_per_step=2.44)  # fmt: skip
GPT_OSS = dataclasses.replace(H200, matrix_precision="w4a16", accelerators=1, expert_parallel=1)


# --- parameters, by hand and by the model's own card ------------------------------------------------


def experts(hidden: int, width: int, count: int) -> int:
    return count * 3 * hidden * width


def test_parameters_of_deepseek_v32_are_those_of_v3_and_an_indexer() -> None:
    """64 heads of 128 on a query of 1,536, a key of 128 with a norm, and a weight a head, 61 times."""
    indexer = 1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64
    assert indexer == 13_959_424
    assert load_model("deepseek-v3.2").parameters == 671_026_419_200 + 61 * indexer == 671_877_944_064


def test_parameters_of_glm_5_are_744_billion() -> None:
    """Its README: 744B parameters (40B active). 5.2 has an indexer in 21 of 78 layers alone."""
    hidden, heads, q, kv = 6144, 64, 2048, 512
    attention = hidden * q + q * heads * 256 + hidden * (kv + 64) + kv * heads * (192 + 256)
    attention += heads * 256 * hidden + q + kv
    indexer = q * 32 * 128 + hidden * 128 + 2 * 128 + hidden * 32
    norms, dense = 2 * hidden, 3 * hidden * 12288
    moe = experts(hidden, 2048, 257) + hidden * 256 + 256
    layers = 78 * (attention + indexer + norms) + 3 * dense + 75 * moe
    total = layers + 2 * 154_880 * hidden + hidden
    model = load_model("glm-5")
    assert model.parameters == total
    assert total / 1e9 == pytest.approx(743.911, abs=5e-4)
    assert (model.active_parameters - 154_880 * hidden) / 1e9 == pytest.approx(40.8, abs=0.05)
    assert load_model("glm-5.2").parameters == total - 57 * indexer


@pytest.mark.parametrize(
    ("name", "total", "active"), [("gpt-oss-120b", 116.83, 5.13), ("gpt-oss-20b", 20.91, 3.61)]
)
def test_parameters_of_gpt_oss_are_those_of_its_card(name: str, total: float, active: float) -> None:
    """Model card, Table 1; it counts the output head as active and the embedding not."""
    model = load_model(name)
    assert model.parameters / 1e9 == pytest.approx(total, abs=0.005)
    embedding = model.vocab_size * model.hidden_size
    assert (model.active_parameters - embedding) / 1e9 == pytest.approx(active, abs=0.005)


def test_parameters_of_gpt_oss_by_hand() -> None:
    hidden, layer = 2880, 0
    layer += hidden * 64 * 64 + 64 * 64 + 2 * (hidden * 8 * 64 + 8 * 64)  # queries, keys, values, biases
    layer += 64 * 64 * hidden + hidden + 64  # output and its bias, a sink for each head
    layer += hidden * 128 + 128 + 2 * hidden  # router and its bias, norms
    layer += 128 * (3 * hidden * hidden + 3 * hidden)  # experts and their biases
    assert load_model("gpt-oss-120b").parameters == 36 * layer + 2 * 201_088 * hidden + hidden


def test_parameters_of_minimax_and_kimi() -> None:
    """Cards: 230B with 10B active; 1T with 32B active. Published names find the files."""
    minimax = load_model("MiniMaxAI/MiniMax-M2.5")
    assert minimax.parameters == 228_689_764_864
    assert (minimax.active_parameters - 200_064 * 3072) / 1e9 == pytest.approx(10.4, abs=0.05)
    kimi = load_model("moonshotai/Kimi-K2.5")
    assert kimi.parameters == load_model("kimi-k2").parameters == 1_026_408_232_448
    assert (kimi.four_bit, kimi.attention_kept) == ("int4", True)


def test_parameters_of_a_model_that_drafts() -> None:
    """One layer that reads embedding and state, behind a matrix over three states; a head of 32,000."""
    hidden = 4096
    layer = 2 * hidden * (64 + 2 * 4) * 128 + 64 * 128 * hidden + 3 * hidden * 24_576 + 3 * hidden
    total = 3 * hidden * hidden + layer + hidden + 32_000 * hidden + 151_936 * hidden
    assert load_model("qwen3-235b-a22b-eagle3").parameters == total == 1_214_791_680


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("deepseek-v4-flash", "compressed attention"),
        ("deepseek-ai/DeepSeek-V4-Pro", "a hyper-connection"),
        ("Qwen/Qwen3.5-397B-A17B", "linear attention"),
        ("moonshotai/Kimi-K3", "linear attention"),
        ("minimax-m3", "sparse attention"),
        ("longcat-flash", "not \"longcat_flash\""),
    ],
)  # fmt: skip
def test_what_is_not_modelled_is_refused_by_what_is_missing(name: str, lacking: str) -> None:
    with pytest.raises(InputError, match=lacking):
        load_model(name)


# --- operations and bytes ---------------------------------------------------------------------------


def test_positions_are_the_mean_of_what_each_token_attends_to() -> None:
    for context, queries, most in ((10, 3, 4), (10, 10, 4), (5, 2, 100), (2048, 1, 128), (7, 7, 7)):
        each = [min(i, most) for i in range(context - queries + 1, context + 1)]
        assert float(positions(context, queries, most)) == pytest.approx(np.mean(each))


def test_sparse_attention_meets_2048_positions_and_scores_all() -> None:
    """One token at 65,536: 128 heads over 2 × 512 + 64 of 2,048, and 64 heads of 128 over all."""
    model = load_model("deepseek-v3.2")
    flop = decode_flop(model, 65_536)
    assert flop["attention_core"] == pytest.approx(61 * 2 * 128 * (2 * 512 + 64) * 2048)
    assert flop["index_core"] == pytest.approx(61 * 2 * 64 * 128 * 65_536)
    dense = decode_flop(load_model("deepseek-r1"), 65_536)["attention_core"]
    assert dense / flop["attention_core"] == pytest.approx(32)
    # A prompt of 4,096 attends to 2,048 × 2,049 ÷ 2 + 2,048 × 2,048 positions, absorbed too.
    mean = (2048 * 2049 / 2 + 2048 * 2048) / 4096
    assert prefill_flop(model, 4096)["attention_core"] == pytest.approx(61 * 2 * 128 * 1088 * mean)


def test_an_indexer_of_some_layers_scores_there_alone() -> None:
    full, shared = (decode_flop(load_model(name), 8192) for name in ("glm-5", "glm-5.2"))
    assert shared["index_core"] == pytest.approx(full["index_core"] * 21 / 78)


def test_windows_hold_and_meet_128_positions() -> None:
    """gpt-oss: 18 of 36 layers have a window of 128; a token adds 18 × 2 × 8 × 64 elements of 2 bytes."""
    model = load_model("gpt-oss-120b")
    assert kv_bytes(model) == 18 * 2 * 8 * 64 * 2 == 36_864
    sizes = Sizes(SPECS, model, dataclasses.replace(GPT_OSS, context=8192), "decode")
    assert float(sizes.cache_bytes()) == pytest.approx(36_864 * 8192 + 18 * 128 * 2048)
    core = decode_flop(model, 8192)["attention_core"]
    assert core == pytest.approx(18 * 4 * 64 * 64 * (8192 + 128))


def test_the_cache_of_sparse_attention_holds_keys_of_its_indexer() -> None:
    """61 layers of 576 elements and 132 bytes: 128 of a key and 4 of its scale."""
    assert kv_bytes(load_model("deepseek-v3.2"), "int8") == 61 * (576 + 132)


def test_weights_of_4_bits_in_memory() -> None:
    """Checkpoint of gpt-oss-120b, its card: 60.8 GiB of experts in 4.25 bits and the rest in 16."""
    weights = float(Sizes(SPECS, load_model("gpt-oss-120b"), GPT_OSS, "decode").weights())
    assert weights / 2**30 == pytest.approx(60.8, abs=0.2)


# --- time -------------------------------------------------------------------------------------------


def test_indexer_by_hand() -> None:
    """V3.2 on an H200, 4 requests of 8,192: two products, the scores by their keys, the choice, 27.85 µs."""
    step = Step(SPECS, load_model("deepseek-v3.2"), H200, "decode")
    machine, tokens = step.machine, 4.0
    products = machine.gemm["fp8"].time(tokens, 1536, 64 * 128)
    products += machine.gemm["bf16"].time(tokens, 7168, 128 + 64)
    keys = tokens * 8192 * 132 / machine.memory_bandwidth
    scored = tokens * 2 * 64 * 128 * 8192 / 761.6e12
    assert keys > scored
    chosen = tokens * 8192 * 8 / machine.memory_bandwidth
    assert float(step.indexer(4.0, 1.0, 1.0)) == pytest.approx(
        products + keys + chosen + 27.85 * US, rel=1e-6
    )


def test_indexer_of_a_prompt_reads_each_key_once() -> None:
    """At a byte a microsecond: 8 tokens of 132 bytes, and 4.5 scores of each, written and read."""
    prompt = dataclasses.replace(H200, batch=8.0, context=8)
    slow = SPECS.replace({("h200-sxm", "memory_bandwidth_sustained", "", "measured"): 1e-6})
    found = Step(slow, load_model("deepseek-v3.2"), prompt, "prefill")
    fast = Step(SPECS, load_model("deepseek-v3.2"), prompt, "prefill")
    more = float(found.indexer(8.0, 1.0, 1.0) - fast.indexer(8.0, 1.0, 1.0))
    assert more == pytest.approx((8 * 132 + 8 * 4.5 * 8) * US, rel=1e-3)


def test_sparse_core_works_on_whole_tiles_of_heads() -> None:
    """On Hopper 16 heads of a group of eight take as long as 64."""
    model = load_model("deepseek-v3.2")
    group = dataclasses.replace(H200, tensor_parallel=8, batch=64.0)
    flop = 64 * 8 * 2 * 64 * 1088 * 2048
    step = Step(SPECS, model, group, "decode")
    expected = flop / 344.9e12 + 21.74 * US
    assert float(step.attention_core(64.0, 1.0, 1.0)) == pytest.approx(expected, rel=1e-3)


def test_experts_in_4_bits_by_the_benchmark_of_their_format() -> None:
    gemm = Step(SPECS, load_model("gpt-oss-120b"), GPT_OSS, "decode").machine.fused_gemm
    assert gemm is not None
    assert (gemm.rate, gemm.bandwidth, gemm.weight_bytes, gemm.element_bytes) == pytest.approx(
        (166.4e12, 2.978e12, 0.53125, 2.0)
    )
    # No benchmark of W4A8 on the 910C: its INT8 kernels with weights of half a byte and their scales.
    gemm = Step(SPECS, load_model("deepseek-r1"), dataclasses.replace(A3, matrix_precision="w4a8"),
                "decode").machine.expert_gemm  # fmt: skip
    assert gemm is not None
    assert (gemm.rate, gemm.weight_bytes, gemm.element_bytes) == pytest.approx((644e12, 0.5625, 1.0))


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
def test_a_checkpoint_in_4_bits_is_not_run_as_if_it_were_wider(precision: str) -> None:
    with pytest.raises(InputError, match="gpt-oss-120b keeps its experts in mxfp4; expected w4a8 or w4a16"):
        decode(SPECS, load_model("gpt-oss-120b"), dataclasses.replace(GPT_OSS, matrix_precision=precision))


def test_a_drafter_costs_its_layer_its_head_and_its_memory() -> None:
    model, drafter = load_model("qwen3-235b-a22b"), "qwen3-235b-a22b-eagle3"
    alone = dataclasses.replace(H200, matrix_precision="fp8", kv_precision="bf16")
    drafting = dataclasses.replace(alone, draft_tokens=2, tokens_per_step=2.0, drafter=drafter)
    step = Step(SPECS, model, drafting, "decode")
    own = Step(SPECS, load_model(drafter), dataclasses.replace(
        alone, matrix_precision="bf16", expert_parallel=1), "decode")  # fmt: skip

    def once(queries: float) -> float:
        joined = own.machine.gemm["bf16"].time(4.0 * queries, 3 * 4096, 4096)
        head = own.machine.gemm["bf16"].time(4.0 * queries, 4096, 32_000)
        return float(own.dense_layer(queries)[0] + joined + head)

    assert float(step.result().breakdown["draft"]) == pytest.approx(once(3.0) + once(1.0), rel=1e-9)
    held = step.weights() - Step(SPECS, model, alone, "decode").weights()
    # joined states, a layer and a head in 16 bits, norms aside; the embedding is that of the model
    held_by_hand = 2 * (load_model(drafter).parameters - 151_936 * 4096)
    assert float(held) == pytest.approx(held_by_hand, rel=1e-3)
    with pytest.raises(
        InputError, match=r"no layer that drafts \(MTP\); name a model that does as the drafter"
    ):
        decode(SPECS, model, dataclasses.replace(drafting, drafter=""))


# --- drafts that are kept, and settings of software -------------------------------------------------

R1 = dataclasses.replace(H200, batch=8.0, draft_tokens=3, tokens_per_step=np.nan)


def test_kept_drafts_are_those_published_for_the_model_and_their_number() -> None:
    model = load_model("deepseek-r1")
    assert decode(SPECS, model, R1).tokens_per_step == pytest.approx(2.82)
    by_number = dataclasses.replace(R1, draft_tokens=np.array([0.0, 1, 2, 5]))
    assert decode(SPECS, model, by_number).tokens_per_step == pytest.approx([1, 1.92, 2.58, 3.01])
    by_software = dataclasses.replace(R1, software="sglang")
    assert decode(SPECS, model, by_software).tokens_per_step == pytest.approx(2.44)
    with pytest.raises(InputError, match="no source says how many of 7 drafts of deepseek-r1"):
        decode(SPECS, model, dataclasses.replace(R1, draft_tokens=7))
    with pytest.raises(InputError, match=r"how many of 2 drafts of deepseek-v3\.2 are kept"):
        decode(SPECS, load_model("deepseek-v3.2"), dataclasses.replace(R1, draft_tokens=2))


def test_a_row_without_its_acceptance_is_computed_and_named_as_assumed() -> None:
    row = next(row for row in load_third_party() if float(row.draft_tokens or 0) == 3)
    line = validate([row], SPECS).iloc[0]
    assert "tokens_per_step" in line["assumed"].split(";")
    assert np.isfinite(line["error"])
    bare = dataclasses.replace(row, assumed="")
    assert validate([bare], SPECS).iloc[0]["assumed"] == "tokens_per_step"


@pytest.mark.parametrize(
    ("software", "gap", "kernels"),
    [("", 500, (12, 12)), ("tensorrt-llm", 580, (12, 4)), ("sglang", 0, (12, 9)), ("vllm", 90, (12, 12))],
)
def test_software_sets_the_gap_and_the_small_kernels(
    software: str, gap: float, kernels: tuple[float, float]
) -> None:
    """Of latent attention on an H200; a count taken where heads are cut is used there alone."""
    model = load_model("deepseek-r1")
    machine = Step(SPECS, model, dataclasses.replace(H200, software=software), "decode").machine
    assert machine.iteration_overhead == pytest.approx(gap * US)
    assert machine.small_kernels == pytest.approx(kernels)


def test_a_setting_moves_what_it_names_and_no_more() -> None:
    model = load_model("deepseek-r1")
    cut = dataclasses.replace(H200, tensor_parallel=8, expert_parallel=1)
    default = decode(SPECS, model, cut).breakdown
    stack = decode(SPECS, model, dataclasses.replace(cut, software="tensorrt-llm")).breakdown
    moved = {term for term in default if default[term] != stack[term]}
    assert moved == {"attention_vector", "expert_vector", "ffn_vector", "iteration"}
    one = float(Step(SPECS, model, cut, "decode").machine.small_kernel_time)
    saved = sum(float(default[term] - stack[term]) for term in moved - {"iteration"})
    assert saved == pytest.approx(61 * 8 * one)


def test_an_unknown_software_is_refused() -> None:
    with pytest.raises(InputError, match="unknown software 'sglan'; did you mean 'sglang'"):
        decode(SPECS, load_model("deepseek-r1"), dataclasses.replace(H200, software="sglan"))


# --- load -------------------------------------------------------------------------------------------

B200 = Deployment("b200", 8, 1, 1, 1, tensor_parallel=8, output=900, routing="unbalanced")
MODEL = load_model("deepseek-r1")


def test_users_beyond_the_memory_wait() -> None:
    """What fits decodes; the others wait, so that Little's law holds with the waiting in it."""
    small = dataclasses.replace(B200, accelerators=4, tensor_parallel=4, output=4000)
    loop = Loop(4096.0, 30_000.0, 1, np.nan, True)
    found = closed_loop(SPECS, MODEL, small, loop)
    fits = float(largest_batch(SPECS, MODEL, dataclasses.replace(small, context=32_000)))
    assert float(found.running) == pytest.approx(fits)
    assert found.queued > 0.5
    decoding = 3999 * float(found.step)
    users = 4 * fits * (float(found.first) + decoding) / decoding
    assert users == pytest.approx(4096, rel=1e-6)
    few = closed_loop(SPECS, MODEL, small, dataclasses.replace(loop, concurrency=2.0))
    assert few.queued == 0


def test_prompts_queue_for_the_chips_that_prefill_them() -> None:
    """One user waits for one prefill and the cache; many no less than what their rate allows."""
    described: dict[str, Any] = {"prefill_workers": 1.0, "prefill_accelerators": 8.0,
                                 "prefill_tensor_parallel": 8.0, "prefill_expert_parallel": 1.0}  # fmt: skip
    loop = Loop(1.0, 8000.0, 1, np.nan, False, **described)
    alone = dataclasses.replace(B200, batch=1000, context=8000, output=0)
    service = float(prefill(SPECS, MODEL, alone).step)
    sent = float(transfer(SPECS, MODEL, alone))
    assert sent == pytest.approx(70_272 * 8000 / 50e9)  # 400 Gbit/s a GPU, each sends a whole latent
    assert float(closed_loop(SPECS, MODEL, B200, loop).first) == pytest.approx(service + sent, rel=1e-6)
    many = closed_loop(SPECS, MODEL, B200, dataclasses.replace(loop, concurrency=512.0, workers=8))
    requests = 512 / (float(many.first) + 899 * float(many.step))
    assert requests == pytest.approx(1 / service, rel=0.05)  # the prefill is full
    assert float(many.served.m) == pytest.approx(requests * 899 / 64, rel=1e-3)
    untold = closed_loop(SPECS, MODEL, B200, Loop(4.0, 8000.0, 1, 300.0, False))
    assert np.isnan(untold.first)


def test_rates_of_prefill_and_decode_are_matched() -> None:
    """1,000 tokens/s decoded at 500 a request are 2 requests, of 4,000 prompt tokens each."""
    filled = decode(SPECS, MODEL, H200)
    filled = dataclasses.replace(filled, tokens=16_000.0, step=1.0)
    decoded = dataclasses.replace(filled, tokens=1000.0)
    ratio, both = rate_match(filled, decoded, 4000.0, 500.0)
    assert (ratio, both.m) == pytest.approx((0.5, 1000 / 1.5))


# --- against what was measured ----------------------------------------------------------------------


def test_one_prediction_of_each_new_model() -> None:
    """Measured milliseconds a token, of the first point of each in the order of the file."""
    rows = {row.id: row for row in load_third_party()}
    told = {
        "2026_03_25_glm_5_b200_sxm_sglang_fp8_agg_1024x1024_c128_tp8_0_ep1_0_485": 46.802347,
    }
    for name, tpot in told.items():
        assert float(predict(rows[name], SPECS).tpot.m) == pytest.approx(tpot, rel=0.2)


def points(name: str) -> pd.DataFrame:
    return validate([row for row in load_third_party() if row.model == name], SPECS)


@pytest.mark.parametrize(
    ("name", "rows", "answered", "median"),
    [
        ("zhipuai/GLM-5", 53, 53, 0.045),
        ("moonshotai/Kimi-K2.5", 65, 65, 0.065),
        ("MiniMaxAI/MiniMax-M2.5", 342, 316, 0.057),
        ("openai/gpt-oss-120b", 324, 304, 0.216),
    ],
)
def test_where_new_models_stand(name: str, rows: int, answered: int, median: float) -> None:
    lines = points(name)
    known = lines[lines["error"].notna()]
    assert (len(lines), len(known)) == (rows, answered)
    assert spread(known)["median"] == pytest.approx(median, abs=0.003)


def test_huaweis_own_runs_of_sparse_attention() -> None:
    """At 2 to 8 requests a card of 64K and 128K; measured 18.9 to 25.8 ms a token. The aim is 15 %."""
    rows = [row for row in SPECS.measurements.values() if row.stack == "cann-recipes"]
    default, settings = validate(rows, SPECS), validate(rows, SPECS, settings=True)
    assert len(rows) == 14
    assert spread(default)["median"] == pytest.approx(0.061, abs=0.004)
    assert spread(settings)["median"] == pytest.approx(0.045, abs=0.008)
    assert default["error"].abs().max() < 0.15


def test_first_seen_is_what_the_model_said_before_it_was_looked_at() -> None:
    first = pd.read_csv(DATA / "first_seen" / "reach.csv")
    rows = {row.id: row for row in [*load_third_party(), *SPECS.measurements.values()]}
    measured = np.array([float(rows[name].tpot) for name in first["id"]])
    off = pd.Series(measured / first["tpot_predicted"] - 1)
    half = off.abs().groupby(first["set"]).median()
    assert half.round(3).to_dict() == {
        "GLM-5": 0.046, "Kimi-K2.5 in INT4": 0.209, "MiniMax-M2.5": 0.057, "drafts": 0.115,
        "gpt-oss-120b": 0.232, "sparse attention on the 910C": 0.069,
    }  # fmt: skip
