"""Model arithmetic against hand calculation, published counts and published checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cm384.__main__ import main
from cm384.physics.models import load_model
from cm384.physics.transformer import (
    Model,
    decode_flop,
    kv_bytes,
    parameters_by_component,
    prefill_flop,
    weight_bytes,
)
from cm384.table.errors import DATA, InputError

NAMES = sorted(path.stem for path in (DATA / "models").glob("*.json"))
names = st.sampled_from(NAMES)
contexts = st.integers(min_value=1, max_value=200_000)


def total(flop: dict[str, Any]) -> Any:
    return sum(flop.values())


def without_head(flop: dict[str, Any]) -> Any:
    return total(flop) - flop["lm_head"]


def config(name: str = "deepseek-v3", **changes: Any) -> dict[str, Any]:
    """A published config with fields changed; a field set to `...` is left out."""
    fields = json.loads((DATA / "models" / f"{name}.json").read_text()) | changes
    return {field: value for field, value in fields.items() if value is not ...}


def load(folder: Path, fields: object) -> Model:
    path = folder / "config.json"
    path.write_text(fields if isinstance(fields, str) else json.dumps(fields))
    return load_model(path)


# --- published counts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "active", "tolerance"),
    [
        ("deepseek-v3", 671e9, 37e9, 0.016),  # deepseek2024v3: 671 B, 37 B active
        ("deepseek-r1", 671e9, 37e9, 0.016),  # deepseek2025r1
        ("deepseek-v2", 236e9, 21e9, 0.018),  # deepseek2024v2
        ("kimi-k2", 1.04e12, 32.6e9, 0.014),  # moonshot2025kimi, table 2; see the test below
        ("llama-3-8b", 8_030_261_248, 8_030_261_248, 0),  # meta2024llama3: checkpoint metadata
        ("llama-3.1-70b", 70_553_706_496, 70_553_706_496, 0),  # meta2024llama3, likewise
        ("qwen3-235b-a22b", 235e9, 22e9, 0.009),  # qwen2025qwen3: model card
        ("qwen3-32b", 32.8e9, 32.8e9, 0.002),  # qwen2025qwen3: model card
    ],
)
def test_published_parameter_counts(name: str, parameters: float, active: float, tolerance: float) -> None:
    model = load_model(name)
    assert model.parameters == pytest.approx(parameters, rel=tolerance, abs=0)
    assert model.active_parameters == pytest.approx(active, rel=tolerance, abs=0)


def test_deepseek_v3_by_hand() -> None:
    # One layer's MLA: q down, q up, kv down, kv up, output.
    attention = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    expert = 3 * 7168 * 2048
    norms = 2 * 7168 + 1536 + 512
    dense = attention + 3 * 7168 * 18432 + norms
    moe = attention + 7168 * 256 + 256 + 257 * expert + norms
    embedding = 129280 * 7168
    model = load_model("deepseek-v3")
    assert model.parameters == 3 * dense + 58 * moe + 2 * embedding + 7168 == 671_026_419_200
    assert model.active_parameters == model.parameters - 58 * 248 * expert == 37_552_297_472
    # deepseek2024v3, README_WEIGHTS.md: 36.6 B active, 0.9 B of it in the output head.
    assert model.matmul_parameters == 36_624_596_992
    assert model.matmul_parameters - model.lm_head.parameters == 35_697_917_952
    # The same file gives the MTP module 11.5 B; that leaves out the 2 x 7168 x 7168 joining matrix.
    assert model.mtp_parameters == moe + 2 * 7168 * 7168 + 3 * 7168 == 11_610_068_224
    assert model.mtp_parameters - 2 * 7168 * 7168 == pytest.approx(11.5e9, rel=0.001)


def test_qwen_counts_without_embedding() -> None:
    # qwen2025qwen3, model cards: 234 B and 31.2 B without embedding (and without head).
    for name, count in ("qwen3-235b-a22b", 234e9), ("qwen3-32b", 31.2e9):
        components = parameters_by_component(load_model(name))
        tables = components["embedding"] + components["lm_head"]
        assert sum(components.values()) - tables == pytest.approx(count, rel=0.001)


def test_kimi_k2_is_its_checkpoint() -> None:
    """The FP8 checkpoint's list of tensors sums to 1,026,470,731,056 elements, 958.49 GiB.

    That is 1.3 % less than the 1.04 T (1,043 B) of moonshot2025kimi, section 2.3 and table 4. The
    difference has the size of one MTP layer of K2's shape, which the checkpoint does not hold.
    """
    attention_scales = 5 * 56 + 128 * 4 + 56 * 64 + 12 * 56 + 96 * 12
    scales = 61 * attention_scales + 3 * 56 * 144 + 60 * (384 + 1) * 3 * 56 * 16
    rotary = 61 * 56
    model = load_model("kimi-k2")
    assert model.parameters + scales + rotary == 1_026_470_731_056
    size = total(weight_bytes(model, "fp8")) + 4 * scales
    assert size / 2**30 == pytest.approx(958.49, abs=0.005)
    attention = 7168 * 1536 + 1536 * 64 * 192 + 7168 * 576 + 512 * 64 * 256 + 64 * 128 * 7168
    draft = attention + 385 * 3 * 7168 * 2048 + 384 * 7168 + 2 * 7168**2
    assert model.parameters + draft == pytest.approx(1043e9, rel=0.001)


def test_deepseek_v2_lite_without_compressed_queries(tmp_path: Path) -> None:
    # deepseek2024v3, inference/configs/config_16B.json: the shape of V2-Lite, "16B".
    shape = {
        "model_type": "deepseek_v2",
        "vocab_size": 102400,
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 27,
        "first_k_dense_replace": 1,
        "num_attention_heads": 16,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "q_lora_rank": None,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
    }
    attention = 2048 * 16 * 192 + 2048 * 576 + 512 * 16 * 256 + 16 * 128 * 2048
    norms = 27 * (2 * 2048 + 512) + 2048
    ffn = 3 * 2048 * (10944 + 26 * 66 * 1408) + 26 * 64 * 2048
    model = load(tmp_path, shape)
    assert model.parameters == 2 * 102400 * 2048 + 27 * attention + ffn + norms
    assert model.parameters == pytest.approx(16e9, rel=0.02)
    assert "q_down" not in decode_flop(model, 4096)


def test_biases_norms_and_tied_head(tmp_path: Path) -> None:
    plain = load_model("llama-3-8b")
    tied = load(tmp_path, config("llama-3-8b", tie_word_embeddings=True))
    assert tied.parameters == plain.parameters - 128256 * 4096
    assert tied.matmul_parameters == plain.matmul_parameters
    biased = load(tmp_path, config("llama-3-8b", attention_bias=True, mlp_bias=True))
    biases = 32 * (4096 + 2 * 1024 + 4096 + 2 * 14336 + 4096)
    assert biased.parameters == plain.parameters + biases
    qwen2 = config("llama-3-8b", model_type="qwen2", attention_bias=True)
    assert load(tmp_path, qwen2).parameters == plain.parameters + 32 * (4096 + 2 * 1024)  # none behind
    latent = load(tmp_path, config(attention_bias=True))
    biases = 61 * (1536 + 512 + 64 + 7168)
    assert latent.parameters == load_model("deepseek-v3").parameters + biases
    qwen2 = load(tmp_path, config("llama-3-8b", model_type="qwen2"))
    assert qwen2.parameters == plain.parameters + 32 * (4096 + 2 * 1024)
    qwen3 = load(tmp_path, config("llama-3-8b", model_type="qwen3", head_dim=128))
    assert qwen3.parameters == plain.parameters + 32 * 2 * 128


def test_which_layers_are_dense(tmp_path: Path) -> None:
    sparse = load(tmp_path, config(moe_layer_freq=8, first_k_dense_replace=1))
    assert sparse.layers == {"dense": 54, "moe": 7}  # layers 8, 16, …, 56
    qwen = config("qwen3-235b-a22b", decoder_sparse_step=2, mlp_only_layers=[1])
    assert load(tmp_path, qwen).layers == {"dense": 48, "moe": 46}  # layers 3, 5, …, 93
    assert load_model("qwen3-32b").layers == {"dense": 64}


# Of the config.json of MiniMax-M2.7.
MINIMAX = {
    "architectures": ["MiniMaxM2ForCausalLM"],
    "attn_type_list": [1] * 62,
    "dtype": "bfloat16",
    "head_dim": 128,
    "hidden_act": "silu",
    "hidden_size": 3072,
    "intermediate_size": 1536,
    "max_position_embeddings": 204800,
    "model_type": "minimax_m2",
    "mtp_transformer_layers": 1,
    "num_attention_heads": 48,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 62,
    "num_key_value_heads": 8,
    "num_local_experts": 256,
    "num_mtp_modules": 3,
    "qk_norm_type": "per_layer",
    "quantization_config": {"quant_method": "fp8", "fmt": "float8_e4m3fn", "weight_block_size": [128, 128]},
    "rms_norm_eps": 1e-06,
    "rope_theta": 5000000,
    "rotary_dim": 64,
    "scoring_func": "sigmoid",
    "shared_intermediate_size": 0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "use_mtp": True,
    "use_qk_norm": True,
    "use_routing_bias": True,
    "vocab_size": 200064,
}
# The config.json of Mixtral-8x7B-v0.1.
MIXTRAL = {
    "architectures": ["MixtralForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mixtral",
    "num_attention_heads": 32,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "output_router_logits": False,
    "rms_norm_eps": 1e-05,
    "rope_theta": 1000000.0,
    "router_aux_loss_coef": 0.02,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.36.0.dev0",
    "use_cache": True,
    "vocab_size": 32000,
}


def test_experts_in_every_layer(tmp_path: Path) -> None:
    # The checkpoints' metadata: safetensors total of Mixtral-8x7B-v0.1 and of MiniMax-M2.
    mixtral = load(tmp_path, MIXTRAL)
    assert mixtral.parameters == 46_702_792_704
    # One of 8 experts is 3 x 4096 x 14336; a token goes to 2 of them: "12.9 B" in its announcement.
    assert mixtral.active_parameters == 46_702_792_704 - 32 * 6 * 3 * 4096 * 14336 == 12_879_925_248
    minimax = load(tmp_path, MINIMAX)
    assert minimax.parameters == 228_689_764_864
    assert minimax.layers == {"moe": 62}
    # M2 states a width that its code does not read; the total above is without it.
    assert load(tmp_path, MINIMAX | {"mlp_intermediate_size": 8192}).parameters == minimax.parameters
    assert kv_bytes(minimax) == 62 * 2 * 8 * 128 * 2
    # Norms as wide as all heads together, where Qwen has one of a head's width for queries and keys.
    per_head = load(tmp_path, MINIMAX | {"qk_norm_type": "per_head"})
    assert minimax.parameters - per_head.parameters == 62 * (48 + 8 - 2) * 128
    unnormed = load(tmp_path, MINIMAX | {"use_qk_norm": False, "use_routing_bias": False})
    assert minimax.parameters - unnormed.parameters == 62 * ((48 + 8) * 128 + 256)


# --- fields ---------------------------------------------------------------------------------------

# Kimi K2.5 is Kimi K2 beside a vision tower, as its config.json has it.
KIMI = {
    "model_type": "kimi_k25",
    "media_placeholder_token_id": 163605,
    "use_unified_vision_chunk": True,
    "vision_config": {"vt_hidden_size": 1152, "vt_num_hidden_layers": 27},
    "text_config": config("kimi-k2", quantization_config=...),
}


def inside(**changes: Any) -> dict[str, Any]:
    return KIMI | {"text_config": KIMI["text_config"] | changes}


@pytest.mark.parametrize("name", ["text_config", "language_config", "llm_config"])
def test_a_nested_model_of_text_is_read(tmp_path: Path, name: str) -> None:
    nested = {name if field == "text_config" else field: value for field, value in KIMI.items()}
    model = load(tmp_path, nested)
    assert model.parameters == load_model("kimi-k2").parameters == 1_026_408_232_448
    assert model.active_parameters == 32_861_500_928


def test_what_stands_beside_a_nested_model_holds_for_it(tmp_path: Path) -> None:
    untied = load(tmp_path, inside(tie_word_embeddings=None))
    tied = load(tmp_path, inside(tie_word_embeddings=None) | {"tie_word_embeddings": True})
    assert untied.parameters - tied.parameters == 163840 * 7168


def test_a_field_that_leaves_the_cost_as_it_is_passes(tmp_path: Path) -> None:
    fields: list[dict[str, Any]] = [
        # As Transformers 5 writes a model whose every layer attends to all.
        config("qwen3-32b", layer_types=["full_attention"] * 64, rope_parameters={"rope_type": "default"}),
        # As Qwen2.5 has it: the window is there and switched off.
        config("qwen3-32b", sliding_window=131072, use_sliding_window=False, max_window_layers=80),
        # As Qwen3-Coder has it: no shared expert, and the norms that Qwen3 has anyway.
        config("qwen3-32b", shared_expert_intermediate_size=0, use_qk_norm=True, qkv_bias=False),
        config("qwen3-32b", index_topk=None, num_experts=0, mystery=False),
    ]
    for stated in fields:
        assert load(tmp_path, stated).parameters == load_model("qwen3-32b").parameters
    same = config(num_routed_experts=256, num_shared_experts=1, num_key_value_heads=128, qk_head_dim=192)
    assert load(tmp_path, same).parameters == load_model("deepseek-v3").parameters


def compressed(weights: Any, activations: Any, **more: Any) -> dict[str, Any]:
    """A `quantization_config` as llm-compressor writes it."""
    weights, activations = (
        part and dict(zip(("type", "num_bits"), part, strict=True)) for part in (weights, activations)
    )
    group = {"targets": ["Linear"], "weights": weights, "input_activations": activations}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, **more}


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ({"quant_method": "fp8", "fmt": "e4m3"}, ""),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, ""),
        ({"quant_algo": "FP8", "kv_cache_scheme": "FP8"}, ""),
        ({"quant_method": "blockwise_int8"}, ""),
        (compressed(("float", 8), ("float", 8)), ""),
        (compressed(("int", 8), ("int", 8)), ""),
        (compressed(("float", 4), ("float", 4), format="nvfp4-pack-quantized"), ""),
        # Kimi-K2.5 and Kimi-K2-Thinking, whose attention and activations stay in BF16.
        (compressed(("int", 4), None), "weights in int4 with activations in bf16"),
        (compressed(("float", 8), None), "weights in fp8 with activations in bf16"),
        (compressed(("int", 4), ("int", 8)), "weights in int4 with activations in int8"),
        (
            compressed(("float", 4), None, format="mxfp4-pack-quantized"),
            "weights in mxfp4 with activations in bf16",
        ),
        (compressed(("float", 4), ("float", 4), format="mxfp4-pack-quantized"), "weights in mxfp4"),
        ({"quant_method": "mxfp4"}, "weights in mxfp4"),
        ({"quant_method": "gptq", "bits": 4}, "weights in gptq"),
        ({"quant_method": "awq", "bits": 4}, "weights in awq"),
        ({"quant_method": "fp8", "quant_algo": "MIXED_PRECISION"}, "weights in MIXED_PRECISION"),
        ({"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "weights in W4A8_AWQ"),
        ({"bits": 4}, "weights in a format without a name"),
        ("int4", "weights in int4"),
    ],
)
def test_a_format_not_modelled_counts_parameters_and_takes_no_time(
    tmp_path: Path, stated: Any, told: str
) -> None:
    model = load(tmp_path, config(quantization_config=stated))
    assert model.parameters == 671_026_419_200
    start = f"{tmp_path / 'config.json'}: field 'quantization_config': {told}"
    assert model.untimed.startswith(start) if told else model.untimed == ""
    assert (" are not modelled;" in model.untimed) == bool(told)


def test_the_format_stands_nested_too_and_under_a_name_of_ascend(tmp_path: Path) -> None:
    for stated in (inside(quantization_config={"quant_method": "awq"}), inside(quantize="w4a8")):
        assert "field 'text_config.quanti" in load(tmp_path, stated).untimed
    beside = KIMI | {"quantization_config": {"quant_method": "awq"}}
    assert "field 'quantization_config': weights in awq are" in load(tmp_path, beside).untimed
    assert load(tmp_path, config(quantize="w8a8_dynamic")).untimed == ""


# --- bytes ----------------------------------------------------------------------------------------


def test_kv_cache() -> None:
    v3 = load_model("deepseek-v3")
    assert v3.kv_elements == 61 * (512 + 64) == 35_136
    # deepseek2025isca, table 1: 70.272 kB per token in BF16; 327.680 kB for 80 layers of GQA with 8
    # KV heads of 128, which Qwen2.5-72B shares with Llama 3.1 70B.
    assert kv_bytes(v3) == 70_272
    assert kv_bytes(load_model("llama-3.1-70b")) == 327_680
    assert kv_bytes(v3, "int8") == 35_136


@given(names)
def test_weight_bytes_by_precision(name: str) -> None:
    model = load_model(name)
    assert total(weight_bytes(model, "bf16")) == 2 * model.parameters
    assert total(weight_bytes(model, "fp8", "fp8")) == model.parameters
    assert total(weight_bytes(model, "fp4", "fp4")) == model.parameters / 2
    assert total(weight_bytes(model, "int8")) == total(weight_bytes(model, "fp8"))


# --- FLOPs ----------------------------------------------------------------------------------------


def test_deepseek_v3_prefill_by_hand() -> None:
    model = load_model("deepseek-v3")
    core = 61 * 2 * 128 * (128 + 64 + 128) * (4096 + 1) / 2
    flop = prefill_flop(model, 4096)
    assert flop["attention_core"] == core == 10_236_600_320
    assert without_head(flop) == 2 * 35_697_917_952 + core == pytest.approx(81.63e9, rel=1e-4)
    assert flop["lm_head"] == 2 * 7168 * 129280 / 4096
    assert flop["q_down"] == 61 * 2 * 7168 * 1536
    assert flop["q_up"] == 61 * 2 * 1536 * 128 * 192
    assert flop["kv_down"] == 61 * 2 * 7168 * 576
    assert flop["kv_up"] == 61 * 2 * 512 * 128 * 256
    assert flop["output_projection"] == 61 * 2 * 128 * 128 * 7168
    assert flop["dense_ffn"] == 3 * 6 * 7168 * 18432
    assert flop["router"] == 58 * 2 * 7168 * 256
    assert flop["routed_experts"] == 58 * 8 * 6 * 7168 * 2048
    assert flop["shared_experts"] == 58 * 6 * 7168 * 2048


def test_deepseek_v3_decode_by_hand() -> None:
    model = load_model("deepseek-v3")
    core = 61 * 2 * 128 * (512 + 64 + 512) * 4096
    flop = decode_flop(model, 4096)
    assert flop["attention_core"] == core == 69_591_891_968
    # Queries into the latent and latents into values, head by head.
    assert flop["absorption"] == 61 * 128 * (2 * 128 * 512 + 2 * 512 * 128)
    assert flop["lm_head"] == 2 * 7168 * 129280
    assert total(flop) == 2 * 36_624_596_992 + core == 142_841_085_952
    # The second of two query tokens sees all 4,096 positions, the first one fewer.
    drafted = decode_flop(model, 4096, query_length=2)
    assert drafted["attention_core"] == core * 4095.5 / 4096


def test_draft_layer_by_hand() -> None:
    flop = decode_flop(load_model("deepseek-v3"), 4096, layer="mtp")
    moe = decode_flop(load_model("deepseek-v3"), 4096, layer="moe")
    assert flop == {"mtp_projection": 2 * 2 * 7168 * 7168} | moe


@pytest.mark.parametrize(("name", "published_gflop"), [("deepseek-v2", 155), ("deepseek-v3", 250)])
def test_training_flop_as_published(name: str, published_gflop: float) -> None:
    # deepseek2025isca, table 2: training GFLOP per token at 4,096 tokens, three times the forward
    # pass, where every position pays for the head.
    model = load_model(name)
    forward = without_head(prefill_flop(model, 4096)) + 2 * model.lm_head.parameters
    assert round(3 * forward / 1e9) == published_gflop


def test_qwen3_moe_by_hand() -> None:
    model, context = load_model("qwen3-235b-a22b"), 1000
    projections = 4096 * 64 * 128 + 4096 * 2 * 4 * 128 + 64 * 128 * 4096
    experts = 4096 * 128 + 8 * 3 * 4096 * 1536
    core = 2 * 64 * (128 + 128)
    assert without_head(decode_flop(model, context)) == 94 * (2 * (projections + experts) + core * context)
    assert without_head(prefill_flop(model, context)) == 94 * (2 * (projections + experts) + core * 1001 / 2)


@given(names, st.lists(contexts, min_size=1, max_size=5))
def test_flop_broadcast_over_context(name: str, lengths: list[int]) -> None:
    model = load_model(name)
    for flop in (prefill_flop, decode_flop):
        together = total(flop(model, np.array(lengths)))
        assert together.shape == (len(lengths),)
        assert together.tolist() == [total(flop(model, length)) for length in lengths]


def test_context_and_query_length_broadcast() -> None:
    model = load_model("deepseek-r1")
    grid = total(decode_flop(model, np.array([[1024], [4096]]), np.array([1, 2, 3])))
    assert grid.shape == (2, 3)
    assert grid[1, 2] == total(decode_flop(model, 4096, 3))


@given(names, contexts, contexts)
def test_decode_flop_grow_with_context(name: str, one: int, more: int) -> None:
    model = load_model(name)
    step = total(decode_flop(model, one + more)) - total(decode_flop(model, one))
    assert step > 0


@given(names, contexts)
def test_model_is_the_sum_of_its_layers(name: str, context: int) -> None:
    model = load_model(name)
    for flop in (prefill_flop, decode_flop):
        whole = flop(model, context)
        layers = {layer: flop(model, context, layer=layer) for layer in model.layers}
        for operator in whole.keys() - {"lm_head"}:
            parts = sum(count * layers[layer].get(operator, 0) for layer, count in model.layers.items())
            assert whole[operator] == pytest.approx(parts)


@given(names, contexts)
def test_flop_are_two_per_weight_met(name: str, context: int) -> None:
    model = load_model(name)
    assert sum(parameters_by_component(model).values()) == model.parameters
    decode = decode_flop(model, context)
    cores = decode["attention_core"] + decode.get("index_core", 0.0)
    assert total(decode) - cores == pytest.approx(2 * model.matmul_parameters)
    prefill = prefill_flop(model, context)
    # Absorbed or not, the same weights are met; only the core differs.
    cores = prefill["attention_core"] + prefill.get("index_core", 0.0)
    assert without_head(prefill) - cores == pytest.approx(
        2 * (model.matmul_parameters - model.lm_head.parameters)
    )


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (config(model_type="gemma"), "'model_type': expected one of deepseek_v2, .*\"gemma\"$"),
        (config(model_type=...), "'model_type': expected one of .*, but it is missing"),
        (config(model_type=["llama"]), "'model_type'"),
        (config(hidden_size=...), "'hidden_size'.* missing"),
        (config(hidden_size=None), "'hidden_size'.* missing"),
        (config(hidden_size="7168"), "'hidden_size': expected a whole number .*\"7168\""),
        (config(hidden_size=7168.0), "'hidden_size'"),
        (config(hidden_size=True), "'hidden_size'.*not true"),
        (config(v_head_dim=-128), "'v_head_dim'.*-128"),
        (config(v_head_dim=0), "'v_head_dim'"),
        (config(num_hidden_layers=10**12), "'num_hidden_layers'"),
        (config(num_experts_per_tok=257), "'num_experts_per_tok'.* to 256"),
        (config(first_k_dense_replace=62), "'first_k_dense_replace'.* to 61"),
        (config(tie_word_embeddings="no"), "'tie_word_embeddings': expected true or false"),
        (config("qwen3-32b", head_dim=...), "'head_dim'.* missing"),
        (config("qwen3-32b", num_key_value_heads=7), "'num_key_value_heads': expected a divisor"),
        (config("qwen3-32b", use_sliding_window=True), "'use_sliding_window': attention in windows is not"),
        (config("qwen3-235b-a22b", mlp_only_layers="1"), "'mlp_only_layers': expected a list"),
        (config("qwen3-235b-a22b", mlp_only_layers=[1, "2"]), "'mlp_only_layers': expected a list"),
        (config("qwen3-235b-a22b", mlp_only_layers=[True]), "'mlp_only_layers': expected a list"),
        (config("qwen3-235b-a22b", num_experts=...), "'num_experts'.* missing"),
        (config(n_shared_experts=...), "'n_shared_experts'.* missing"),
        (config(first_k_dense_replace=...), "'first_k_dense_replace'.* missing"),
        # The names of another tool.
        (config(n_routed_experts=..., num_routed_experts=256), "missing; rename 'num_routed_experts' to it"),
        (config(n_shared_experts=..., num_shared_experts=1), "missing; rename 'num_shared_experts' to it"),
        (config(num_shared_experts=2), "'num_shared_experts': expected the name 'n_shared_experts'"),
        (config(num_mtp_modules=3), "'num_mtp_modules': expected the name 'num_nextn_predict_layers'"),
        # What changes the cost.
        (
            config(index_topk=2048, index_n_heads=64, index_head_dim=128, mystery=1),
            "fields 'index_head_dim', 'index_n_heads', 'index_topk': sparse attention is not modelled",
        ),
        (
            config(model_type="deepseek_v32", index_topk=2048),
            "field 'index_n_heads': expected a whole number from 1 to 1000000, but it is missing",
        ),
        (
            MIXTRAL | {"model_type": "gpt_oss", "sliding_window": 128},
            "field 'layer_types': expected full_attention or sliding_attention for each of 32 layers",
        ),
        (MIXTRAL | {"sliding_window": 4096}, "'sliding_window': attention in windows is not modelled"),
        (
            config("qwen3-32b", layer_types=["full_attention", "sliding_attention"] * 32),
            "'layer_types': attention that differs by layer is not modelled",
        ),
        (config("qwen3-32b", layer_types="full"), "'layer_types': attention that differs"),
        (MIXTRAL | {"architectures": False}, "'architectures': expected a list of words, not false"),
        (
            MIXTRAL | {"model_type": "gpt_oss", "layer_types": [["full_attention"]] * 32},
            "'layer_types': expected a list of words",
        ),
        (MINIMAX | {"qk_norm_type": ["per_layer"]}, "'qk_norm_type': expected one of per_head"),
        (MINIMAX | {"attn_type_list": [0, 1] * 31}, "'attn_type_list': attention that differs"),
        (MINIMAX | {"shared_intermediate_size": 3072}, "'shared_intermediate_size': a shared expert"),
        (MINIMAX | {"qk_norm_type": "none"}, "'qk_norm_type': expected one of per_head, per_layer"),
        (
            config("qwen3-235b-a22b", shared_expert_intermediate_size=512),
            "'shared_expert_.*: a shared expert",
        ),
        (config("llama-3-8b", linear_num_key_heads=16), "'linear_num_key_heads': linear attention is not"),
        (
            config("llama-3-8b", mystery=3, n_shared_experts=1),
            "fields 'mystery', 'n_shared_experts': not known to leave the cost as it is",
        ),
        (config("qwen3-32b", num_experts=8), "'num_experts': not known to leave"),
        (inside(index_topk=2048), "field 'text_config.index_topk': sparse attention"),
        (inside(num_hidden_layers=None), "'text_config.num_hidden_layers': expected .* missing"),
        (inside(model_type="kimi_linear"), "'text_config.model_type': expected one of .*\"kimi_linear\""),
        (inside(model_type=None), "'model_type': expected one of .*\"kimi_k25\""),
        (
            KIMI | {"tie_word_embeddings": True},
            "'text_config.tie_word_embeddings': expected what stands beside text_config, not false",
        ),
        ([1, 2], "expected a JSON object"),
        ("{", "expected JSON"),
        ("", "expected JSON"),
    ],
)
def test_bad_config_is_one_clear_line(tmp_path: Path, fields: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        load(tmp_path, fields)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "config.json") in str(error.value)


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'deepseek-rl'; did you mean 'deepseek-r1'\?"):
        load_model("deepseek-rl")
    with pytest.raises(InputError, match="no/such/config"):
        load_model("no/such/config.json")


def test_a_folder_is_its_config(tmp_path: Path) -> None:
    assert load(tmp_path, config()).parameters == load_model(tmp_path).parameters


@pytest.mark.parametrize(("context", "query_length"), [(0, 1), (-5, 1), (3, 4), (3, 0), (np.nan, 1)])
def test_bad_context(context: float, query_length: int) -> None:
    with pytest.raises(InputError, match="context"):
        decode_flop(load_model("deepseek-r1"), [4096, context], query_length)


@pytest.mark.parametrize("precision", ["int4", "mxfp4", "fp6", "fp16", "hif4", "awq"])
def test_a_format_that_exists_is_no_slip_of_another(tmp_path: Path, precision: str) -> None:
    told = f"{precision!r} is not modelled; known: bf16, fp4, fp8, int8"
    with pytest.raises(InputError, match=f"^precision {told}$"):
        kv_bytes(load_model("deepseek-r1"), precision)
    measured = tmp_path / "measured.csv"
    lines = (DATA / "measurements.csv").read_text().splitlines()
    measured.write_text("\n".join([lines[0], lines[1].replace(",fp8,", f",{precision},", 1)]) + "\n")
    result = CliRunner().invoke(main, ["validate", str(measured)])
    matrices = told + ", w4a16, w4a8"
    assert f"measured.csv line 2, column matrix_precision: {matrices}" in result.output
    claims = tmp_path / "claims.csv"
    claims.write_text(f"""id,statement,subject,quantity,conditions,form,value,unit
X-1,Fast,ascend-910c,peak,precision={precision},value,1,PFLOP/s
""")
    result = CliRunner().invoke(main, ["check", str(claims)])
    assert f"claims.csv line 2, column conditions: precision {told}" in result.output


@pytest.mark.parametrize(("slip", "meant"), [("ftp8", "fp8"), ("in8", "int8"), ("nvfp4", "fp4")])
def test_a_slip_of_a_format_names_the_nearest(slip: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"unknown precision '{slip}'; did you mean '{meant}'"):
        kv_bytes(load_model("deepseek-r1"), slip)


def test_bad_precision_and_layer() -> None:
    with pytest.raises(InputError, match="unknown precision 'fp7'"):
        kv_bytes(load_model("deepseek-r1"), "fp7")
    with pytest.raises(InputError, match="kimi-k2 has no mtp layers"):
        decode_flop(load_model("kimi-k2"), 4096, layer="mtp")


@pytest.mark.parametrize("name", ["llama-3-8b", "llama-3.1-70b", "gpt-oss-20b", "minimax-m2.5"])
def test_a_model_that_states_no_layer_that_drafts_has_none(name: str) -> None:
    assert load_model(name).mtp_parameters == 0


@pytest.mark.parametrize(
    ("name", "absorbed"), [("deepseek-v3", [False, True]), ("deepseek-v3.2", [True, True])]
)
def test_sparse_attention_takes_queries_through_the_latent_in_prefill_too(
    name: str, absorbed: list[bool]
) -> None:
    """Each token reads latents of its own choice; both ways meet 128 × 512 × (128 + 128) weights."""
    attention = load_model(name).attention
    for asked, taken in zip((False, True), absorbed, strict=True):
        found = attention.operators(7_168, asked)
        assert ("absorption" in found, "kv_up" in found) == (taken, not taken)
        assert found["absorption" if taken else "kv_up"].parameters == 128 * 512 * 256
        widths = 512 + 64 + 512 if taken else 128 + 64 + 128
        assert attention.core_flop(100.0, asked) == 2 * 128 * widths * 100


def test_positions_of_a_window_by_hand() -> None:
    """Half of the layers of gpt-oss see 128 positions: three new tokens read 130, and 128 are kept."""
    attention = load_model("gpt-oss-20b").attention
    for context, queries, read, kept in ((4096.0, 3, 130, 128), (4096.0, 1, 128, 128), (100.0, 3, 100, 100)):
        assert attention.read(context, queries) == (context + read) / 2
        assert attention.kept(context) == (context + kept) / 2


def test_parameters_that_a_token_uses() -> None:
    """8 of 256 routed experts and all else: 671.0 billion held, 37.55 used (hand, above)."""
    model = load_model("deepseek-r1")
    assert (round(model.parameters / 1e9, 1), round(model.active_parameters / 1e9, 2)) == (
        671.0,
        37.55,
    )
    experts = model.operators("moe")["routed_experts"]
    assert experts.active_parameters == pytest.approx(experts.parameters * 8 / 256, rel=1e-3)
