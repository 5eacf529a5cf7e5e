"""A model from its `config.json`: published ones by name, any by path, others refused by what is missing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

from cm384.physics.operators import GroupedQueryAttention, Indexer, LatentAttention
from cm384.physics.transformer import Attention, Model
from cm384.table.config import ConfigFile
from cm384.table.errors import DATA, InputError, meant

SPARSE = ("deepseek_v32", "glm_moe_dsa")
LATENT = ("deepseek_v2", "deepseek_v3", "kimi_k2", *SPARSE)
# Every layer of these holds experts, as wide as `intermediate_size` says.
ALL_EXPERTS = ("mixtral", "minimax_m2", "gpt_oss")
GROUPED_QUERY = ("llama", "qwen2", "qwen3", "qwen3_moe", *ALL_EXPERTS)
# What only files of one family state and its published code does not read: MLA has no KV heads, and
# the checkpoints of MiniMax-M2 hold neither draft layers nor a dense FFN.
NEUTRAL = dict.fromkeys(LATENT, ("num_key_value_heads", "head_dim", "qk_head_dim")) | {
    "minimax_m2": ("use_mtp", "num_mtp_modules", "mtp_transformer_layers", "mlp_intermediate_size"),
    "gpt_oss": ("swiglu_limit", "initial_context_length"),
}


def load_model(name_or_path: str | Path | ConfigFile) -> Model:
    """The model of that name in `data/models/`, or of a `config.json` or the folder that holds it.

    The config of a table (`Specs.models`) is taken as it is. A model of text inside one of images is
    read alone: nothing counts a vision tower. InputError, in one line that names file and field, for
    an architecture that is not known here, for a field that is missing, of the wrong type or out of
    range, and for one that may change the cost and is not modelled.
    """
    if not isinstance(name_or_path, ConfigFile):
        name_or_path = find_config(name_or_path)
    return _model_of(name_or_path)


def find_config(name_or_path: str | Path) -> ConfigFile:
    """The `config.json` of a model of `data/models/`, at a path, or in a folder.

    A name may be the published one, `openai/gpt-oss-120b`; what stands at a path of that name goes first.
    """
    name = str(name_or_path)
    folders = DATA / "models", DATA / "models" / "not_modelled"  # refused by what is missing, not as unknown
    known, refused = ({path.stem: path for path in folder.glob("*.json")} for folder in folders)
    path = known.get(name) or Path(name)
    published = name.rpartition("/")[2].lower()
    if not there(path) and (found := (known | refused).get(published)):
        path, name = found, published
    if there(path) and path.is_dir():
        path /= "config.json"
    if not (there(path) and path.is_file()):
        name = meant("model", name, known)
        path = known[name]
    return ConfigFile(path, name)


def there(path: Path) -> bool:
    """Whether there is such a file or folder; of a name that can be none, there is not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@cache
def _model_of(config: ConfigFile) -> Model:
    family = config.value("model_type")
    if family in LATENT:
        model = _latent_model(config, family)
    elif family in GROUPED_QUERY:
        model = _grouped_query_model(config, family)
    else:
        error = config.error("model_type", f"one of {', '.join(LATENT + GROUPED_QUERY)}")
        raise InputError(f"{error}{config.not_modelled}")
    model = replace(
        model,
        four_bit=config.four_bit,
        attention_kept=config.attention_kept,
        untimed="" if config.four_bit else config.untimed,
    )
    config.refuse_unread(NEUTRAL.get(family, ()))
    return model


def _latent_model(config: ConfigFile, family: str) -> Model:
    """A model of the DeepSeek-V2/V3 family (modeling_deepseek.py of the published checkpoints)."""
    layers, experts = config.count("num_hidden_layers"), config.count("n_routed_experts")
    first = config.count("first_k_dense_replace", least=0, most=layers)
    step = config.count("moe_layer_freq", 1)
    attention = LatentAttention(
        heads=config.count("num_attention_heads"),
        q_lora_rank=config.count("q_lora_rank", 0, least=0),
        kv_lora_rank=config.count("kv_lora_rank"),
        nope_dim=config.count("qk_nope_head_dim"),
        rope_dim=config.count("qk_rope_head_dim"),
        v_dim=config.count("v_head_dim"),
        bias=config.flag("attention_bias"),
        indexer=_indexer(config, layers) if family in SPARSE else None,
    )
    kinds = ["dense" if layer < first else "sparse" for layer in range(layers)]
    if config.value("mlp_layer_types", kinds) != kinds:
        raise config.error("mlp_layer_types", f"the first {first} layers dense and all others sparse")
    moe_layers = sum(layer % step == 0 for layer in range(first, layers))
    return replace(
        _with_experts(_dense_model(config, attention), config, experts, moe_layers),
        mtp_layers=config.count("num_nextn_predict_layers", 0, least=0),
        shared_experts=config.count("n_shared_experts", least=0),
        # Balancing without an auxiliary loss, new in V3, adds a bias to each expert's score.
        router_bias=family != "deepseek_v2",
    )


def _indexer(config: ConfigFile, layers: int) -> Indexer:
    """The indexer of sparse attention; where the file says so, some layers take another's choice."""
    kinds = config.words("indexer_types", ["full"] * layers)
    if len(kinds) != layers or {*kinds} - {"full", "shared"}:
        raise config.error("indexer_types", f"'full' or 'shared' for each of {layers} layers")
    # How those layers are chosen stands in further fields, which say the same once more.
    for field in ("index_topk_freq", "index_skip_topk_offset", "index_share_for_mtp_iteration"):
        if "shared" in kinds:
            config.value(field)
    return Indexer(
        heads=config.count("index_n_heads"),
        dim=config.count("index_head_dim"),
        topk=config.count("index_topk"),
        share=Fraction(kinds.count("full"), layers),
    )


def _windows(config: ConfigFile, layers: int) -> tuple[int, Fraction]:
    """The window of attention, and the share of the layers that have it."""
    names = {"sliding_attention", "full_attention"}
    kinds = config.words("layer_types")
    if len(kinds) != layers or {*kinds} - names:
        raise config.error("layer_types", f"{' or '.join(sorted(names))} for each of {layers} layers")
    return config.count("sliding_window"), Fraction(kinds.count("sliding_attention"), layers)


def _grouped_query_model(config: ConfigFile, family: str) -> Model:
    """A Llama, Qwen, Mixtral, MiniMax-M2 or gpt-oss model (modeling_*.py of Transformers)."""
    layers, hidden = config.count("num_hidden_layers"), config.count("hidden_size")
    heads, kv_heads = config.count("num_attention_heads"), config.count("num_key_value_heads")
    if heads % kv_heads:
        raise config.error("num_key_value_heads", f"a divisor of {heads} heads")
    llama, qwen2, gpt_oss = (family == name for name in ("llama", "qwen2", "gpt_oss"))
    bias = config.flag("attention_bias", gpt_oss)
    window, windowed = _windows(config, layers) if gpt_oss else (0, Fraction(0))
    drafts = "LlamaForCausalLMEagle3" in config.words("architectures")
    normed = family in ("qwen3", "qwen3_moe", "minimax_m2")
    width = config.count("head_dim", None if normed else hidden // heads)
    # MiniMax norms all heads as one vector, Qwen each head with the same weights.
    kinds = {"per_head": 2, "per_layer": heads + kv_heads}
    kind = config.value("qk_norm_type", "per_layer" if family == "minimax_m2" else "per_head")
    if not isinstance(kind, str) or kind not in kinds:
        raise config.error("qk_norm_type", f"one of {', '.join(kinds)}")
    attention = GroupedQueryAttention(
        heads,
        kv_heads,
        width,
        qkv_bias=bias or qwen2,
        output_bias=bias and not qwen2,
        qk_norms=kinds[kind] * width if config.flag("use_qk_norm", normed) else 0,
        sinks=gpt_oss,
        window=window,
        windowed=windowed,
        inputs=2 if drafts else 1,
    )
    model = _dense_model(config, attention, ffn_bias=llama and config.flag("mlp_bias"))
    if drafts:
        config.value("eagle_config")
        return replace(model, joined=3, draft_vocab_size=config.count("draft_vocab_size"))
    if family in ALL_EXPERTS:
        model = _with_experts(model, config, config.count("num_local_experts"), layers, "intermediate_size")
        routing_bias = gpt_oss or config.flag("use_routing_bias", family == "minimax_m2")
        return replace(model, router_bias=routing_bias, expert_bias=gpt_oss)
    if family != "qwen3_moe":
        return model
    step, dense = config.count("decoder_sparse_step", 1), config.layers("mlp_only_layers")
    moe_layers = sum((layer + 1) % step == 0 and layer not in dense for layer in range(layers))
    return _with_experts(model, config, config.count("num_experts"), moe_layers)


def _dense_model(config: ConfigFile, attention: Attention, ffn_bias: bool = False) -> Model:
    """The model with every layer dense."""
    return Model(
        name=config.name,
        hidden_size=config.count("hidden_size"),
        vocab_size=config.count("vocab_size"),
        tied_embedding=config.flag("tie_word_embeddings"),
        attention=attention,
        dense_layers=config.count("num_hidden_layers"),
        ffn_size=config.count("intermediate_size"),
        ffn_bias=ffn_bias,
    )


def _with_experts(
    dense: Model, config: ConfigFile, experts: int, moe_layers: int, size: str = "moe_intermediate_size"
) -> Model:
    """The model with `experts` routed ones in each of so many of its layers."""
    return replace(
        dense,
        dense_layers=dense.dense_layers - moe_layers,
        moe_layers=moe_layers,
        expert_size=config.count(size),
        routed_experts=experts,
        experts_per_token=config.count("num_experts_per_tok", most=experts),
    )
