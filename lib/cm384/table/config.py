"""A Hugging Face `config.json`, its fields checked as they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cm384.table.errors import InputError
from cm384.table.files import text_of
from cm384.table.records import BYTES_PER_ELEMENT

# Where a model of images and text holds the one of text, which Transformers builds from that object
# alone: of what stands beside it, only these fields are of the text model too.
NESTED = ("text_config", "language_config", "llm_config")
SHARED = ("model_type", "tie_word_embeddings", "quantization_config", "quantize")

# Fields that change neither parameters nor FLOP, bytes or time. Every other one is read or refused:
# what makes a model dearer has a new name each time (index_topk, then compress_ratios), and a list
# of such names would let the next one pass without a word.
NEUTRAL = {
    "names, tokens and the form of the file": """architectures auto_map _name_or_path dtype torch_dtype
        transformers_version tokenizer_class bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id
        id2label label2id is_decoder return_dict use_cache _attn_implementation_autoset unsloth_fixed""",
    "training": """initializer_range attention_dropout hidden_dropout embd_pdrop resid_pdrop attn_pdrop
        classifier_dropout aux_loss_alpha seq_aux router_aux_loss_coef router_z_loss_coef
        router_jitter_noise output_router_logits pretraining_tp ep_size""",
    "arithmetic on single elements, positions and scores": """hidden_act rms_norm_eps norm_eps
        layer_norm_eps max_position_embeddings original_max_position_embeddings rope_theta rope_scaling
        rope_parameters rope_interleave indexer_rope_interleave rotary_dim partial_rotary_factor scoring_func
        topk_method n_group topk_group norm_topk_prob routed_scaling_factor moe_router_dtype""",
    "how text is generated, which a deployment says": """do_sample temperature top_k top_p typical_p num_beams
        num_beam_groups num_return_sequences max_length min_length length_penalty repetition_penalty""",
    "a part that is not of the text model": "vision_config audio_config",
    "the layers of a window, which other fields switch on": "max_window_layers",
}
# What fields ask for that is not modelled, by how their names begin.
NOT_MODELLED = {
    "index_|sparse_attention": "sparse attention",
    "(use_)?sliding_window|swa_|attn_window|attention_chunk": "attention in windows",
    "layer_types|attn_type_list|hybrid_|full_attention_interval": "attention that differs by layer",
    "linear_": "linear attention",
    "mamba_|ssm_": "a state-space layer",
    "compress_": "compressed attention",
    "hc_": "a hyper-connection",
    "(moe_)?shared_(expert|intermediate)": "a shared expert of its own width",
}
# One field under the names that model families and tools give it.
SYNONYMS = (
    {"n_routed_experts", "num_routed_experts", "num_experts", "num_local_experts"},
    {"n_shared_experts", "num_shared_experts"},
    {"num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk"},
    {"num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers"},
)
# The kind of every layer, where all attend to the whole context.
FULL_ATTENTION = {"layer_types": "full_attention", "attn_type_list": 1}
# The names that tools give to formats that are modelled: weights and activations in the same one.
EVEN = {"fp8", "nvfp4", "fbgemm_fp8", "w8a8_fp8", "w8a8_int8", "blockwise_int8", "w8a8", "w8a8_dynamic"}


class ConfigFile:
    """The fields of the JSON object in `path`; as in Transformers, null counts as absent.

    Where the model of text stands in an object of its own (`text_config`), its fields: a vision
    tower beside it is not counted. InputError for a file that cannot be read, and for a field that
    is missing, not as expected or not known, in one line that names file and field.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self.path, self.name = path, name or path.stem
        try:
            fields = json.loads(text_of(path, str(path)), object_pairs_hook=_once)
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: expected JSON ({error})") from None
        if not isinstance(fields, dict):
            raise InputError(f"{path}: expected a JSON object with the field 'model_type'")
        self.nested = next((name for name in NESTED if isinstance(fields.get(name), dict)), "")
        shared = {field: fields.get(field) for field in SHARED} if self.nested else fields
        self._outer = {field: value for field, value in shared.items() if value is not None}
        nested = fields[self.nested] if self.nested else {}
        self._inner = {field: value for field, value in nested.items() if value is not None}
        self.fields = self._outer | self._inner
        self._read: set[str] = set()

    def value(self, field: str, default: Any = None) -> Any:
        """What the file states, whatever it is; the field then counts as read."""
        self._read.add(field)
        return self.fields.get(field, default)

    def place(self, field: str) -> str:
        """A field as an error names it, with the object that it stands in or is missing from."""
        inner = self.nested and (field in self._inner or field not in self._outer)
        return f"{self.nested}.{field}" if inner else field

    def error(self, field: str, expected: str) -> InputError:
        """The error for a field that is not as expected."""
        value = self.fields.get(field)
        given = "but it is missing" if value is None else f"not {json.dumps(value)[:60]}"
        if value is None and (others := sorted(_synonyms(field) & self.fields.keys())):
            given += f"; rename {others[0]!r} to it"
        return InputError(f"{self.path}: field {self.place(field)!r}: expected {expected}, {given}")

    # No published size comes near the upper bound; it keeps a slip from passing as a model.
    def count(self, field: str, default: int | None = None, least: int = 1, most: int = 10**6) -> int:
        """A whole number in `least` to `most`; required if there is no default."""
        value = self.value(field, default)
        # A type test, since isinstance takes true for the number 1.
        if type(value) is not int or not least <= value <= most:
            raise self.error(field, f"a whole number from {least} to {most}")
        return value

    def flag(self, field: str, default: bool = False) -> bool:
        """True or false; false if absent and nothing else is usual."""
        value = self.value(field, default)
        if not isinstance(value, bool):
            raise self.error(field, "true or false")
        return value

    def layers(self, field: str) -> list[int]:
        """A list of layer numbers; empty if absent."""
        value = self.value(field, [])
        if not isinstance(value, list) or any(type(layer) is not int for layer in value):
            raise self.error(field, "a list of layer numbers")
        return value

    def words(self, field: str, default: Iterable[str] = ()) -> list[str]:
        """A list of words; what is usual if absent."""
        value = self.value(field, [*default])
        if not isinstance(value, list) or any(not isinstance(word, str) for word in value):
            raise self.error(field, "a list of words")
        return value

    def refuse_unread(self, neutral: Iterable[str] = ()) -> None:
        """Refuse a field that was not read, unless it is off or known to leave the cost as it is.

        `neutral` adds to the fields of which that is known, for one family of models.
        """
        for field in SHARED[1:]:
            if self.nested and self._outer.get(field, self.fields.get(field)) != self.fields.get(field):
                raise self.error(field, f"what stands beside {self.nested}")
        left = self._asking() - self._read - {*neutral}
        left -= {field for fields in NEUTRAL.values() for field in fields.split()}
        for field in sorted(left):
            for name in _synonyms(field) & self._read:
                if self.fields[field] != self.fields.get(name):
                    raise InputError(f"{self.path}: field {self.place(field)!r}: expected the name {name!r}")
                left.discard(field)
        if groups := _not_modelled(left):
            what = max(groups)  # one that can be told in words, if there is one
            unknown = "not known to leave the cost as it is; take it out if it does"
            told = f"{what} is not modelled" if what else unknown
            names = ", ".join(repr(self.place(field)) for field in groups[what])
            raise InputError(f"{self.path}: field{'s' * (len(groups[what]) > 1)} {names}: {told}")

    @property
    def not_modelled(self) -> str:
        """What the file asks for that no model here has, as the tail of an error; empty if nothing."""
        found = _not_modelled(self._asking()).items()
        return "".join(f"; {what} ({', '.join(names[:3])}) is not modelled" for what, names in found if what)

    def _asking(self) -> set[str]:
        """The fields that switch something on; 0, false, nothing and a window not used do not."""
        return {field for field, value in self.fields.items() if value and not self._usual(field, value)}

    def _usual(self, field: str, value: Any) -> bool:
        if field in FULL_ATTENTION and isinstance(value, list):
            return all(kind == FULL_ATTENTION[field] for kind in value)
        return field == "sliding_window" and self.fields.get("use_sliding_window") is False

    @property
    def four_bit(self) -> str:
        """The 4-bit format of the experts' weights, where they alone are kept in one with 16-bit inputs."""
        stated = self.value("quantization_config")
        told = _uneven(stated) if self.attention_kept else ""
        found = re.fullmatch(r"weights in (mxfp4|int4)( with activations in bf16)?", told)
        return found[1] if found else ""

    @property
    def attention_kept(self) -> bool:
        """Whether the matrices around attention stay in 16 bits beside quantised ones."""
        stated = self.value("quantization_config")
        given = stated if isinstance(stated, dict) else {}
        kept = [
            str(name) for field in ("modules_to_not_convert", "ignore") for name in given.get(field) or ()
        ]
        return any(name.endswith(("self_attn", "self_attn.*")) for name in kept)

    @property
    def untimed(self) -> str:
        """Why no time can be predicted, if the format of the weights is not modelled; else empty."""
        for field, stated in [(field, self.value(field)) for field in ("quantization_config", "quantize")]:
            if stated and (uneven := _uneven(stated)):
                told = f"{uneven} are not modelled; without the field, the deployment says the precision"
                return f"{self.path}: field {self.place(field)!r}: {told}"
        return ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which each field is given once."""
    found: dict[str, Any] = {}
    for field, value in pairs:
        if field in found:
            raise ValueError(f"the field {field!r} is given twice")
        found[field] = value
    return found


def _not_modelled(fields: Iterable[str]) -> dict[str, list[str]]:
    """What fields ask for, and their names; empty words for those that are unknown."""
    found: dict[str, list[str]] = {}
    for field in sorted(fields):
        words = (what for start, what in NOT_MODELLED.items() if re.match(start, field))
        found.setdefault(next(words, ""), []).append(field)
    return found


def _synonyms(field: str) -> set[str]:
    return next((names - {field} for names in SYNONYMS if field in names), set())


def _uneven(stated: Any) -> str:
    """The weights of a `quantization_config` in words, if their format is not modelled; else empty."""
    given = stated if isinstance(stated, dict) else {"quant_method": stated}
    method = str(given.get("quant_algo") or given.get("quant_method") or "a format without a name")
    groups = given.get("config_groups")
    if method != "compressed-tensors" or not isinstance(groups, dict):
        return "" if method.lower() in EVEN else f"weights in {method}"
    for group in (group for group in groups.values() if isinstance(group, dict)):
        # Microscaling formats are stored as plain ones are; only the name of the layout says so.
        scaled = "mx" if "mx" in str(group.get("format") or given.get("format")) else ""
        weights, activations = (_element(group.get(part)) for part in ("weights", "input_activations"))
        if scaled or weights != activations or weights not in BYTES_PER_ELEMENT:
            return f"weights in {scaled}{weights} with activations in {activations}"
    return ""


def _element(stated: Any) -> str:
    """The format of numbers in a group of `config_groups`: what is not quantised stays BF16."""
    if not isinstance(stated, dict):
        return str(stated or "bf16")
    return f"{stated.get('type')}{stated.get('num_bits')}".replace("float", "fp")
