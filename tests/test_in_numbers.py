"""A step in numbers: whoever multiplies out what is printed arrives at what the model gives."""

from __future__ import annotations

import dataclasses
import re
from functools import cache

import pytest
import worked

from cm384 import Deployment, load_model, load_specs, prefill
from cm384.physics.check import predict
from cm384.physics.in_numbers import Lines, in_numbers
from cm384.physics.serving import time_budget
from cm384.table.units import number

SPECS = load_specs()
# Latent attention with drafts and shared experts apart, balanced prefill, a network between nodes, one
# half batch, grouped-query attention, several drafts, tensor parallel groups.
SHOWN = ("CM384-DECODE-4K-50MS", "CM384-PREFILL-PERFECT",
         "DSK-H800-PREFILL-PROFILE", "SGL-H100-DECODE-2K-ONE-BATCH", "TRT-B200-DECODE-B1-MTP3",
         "VLLM-H200-PREFILL-TP8")  # fmt: skip


@cache
def parts(name: str) -> dict[str, Lines]:
    run = SPECS.measurements[name]
    return in_numbers(SPECS, load_model(SPECS.models[run.model]), run.deployment, run.phase)


@pytest.mark.parametrize("name", SHOWN)
def test_every_line_comes_to_what_it_says(name: str) -> None:
    texts = [text for lines in parts(name).values() for text in lines.values()]
    pairs = [pair for text in texts for pair in worked.equations(text)]
    assert [pair for pair in pairs if not worked.holds(*pair)] == []
    assert len(pairs) == sum(text.count(" = ") for text in texts) > 30


@pytest.mark.parametrize("name", SHOWN)
def test_step_and_limit_are_those_of_the_model(name: str) -> None:
    run, found = SPECS.measurements[name], parts(name)
    said = float(re.search(r"= ([\d,.]+) tokens/s$", found["the step"]["an accelerator"])[1].replace(",", ""))  # type: ignore[index]
    assert said == pytest.approx(predict(run, SPECS).throughput.m, rel=1e-3)
    budget = time_budget(SPECS, load_model(SPECS.models[run.model]), run.deployment, run.phase)
    (*_, limit) = found["the physical limit of a token"].values()
    assert float(limit.rpartition("= ")[2].split()[0].replace(",", "")) == pytest.approx(
        budget.steps["physical limit"], rel=1e-3
    )


@pytest.mark.parametrize("name", SHOWN[:2])
def test_no_kernel_of_the_two_claims_is_without_operands(name: str) -> None:
    bare = [term for lines in parts(name).values() for term, text in lines.items() if " = " not in text]
    assert bare == ["iteration"]


def test_a_product_and_a_step_by_hand() -> None:
    """2 × 48 × 7,168 × 2,112 ÷ (644e12 × 2/3) = 3.385e-6; 15.48e6 B ÷ 1.346e12 = 11.50e-6; √ = 11.99e-6.

    58 layers of 1,221 µs, 3 of 1,115, a head, a draft and 2 ms are 80.6 ms; 96 × 1.7 ÷ 80.6 ms = 2,025.
    """
    found = parts("CM384-DECODE-4K-50MS")
    kernel = found["one of 58 layers with experts, on one rank"]["projections, 7,168 → 2,112"]
    assert kernel.startswith("computing 2 × 48 × 7,168 × 2,112 FLOP ÷ (644 TFLOPS × 0.6667) = 3.385 µs; ")
    assert kernel.endswith("in all √(3.385² + 11.50²) µs + 0.1126 µs + 5 µs = 17.10 µs")
    layer = found["one of 58 layers with experts, on one rank"]
    assert layer["rows of the busiest rank"] == "48 × 9 × 1.429 = 617.1"
    assert layer["with half a tile empty in each expert"] == "617.1 + 1 × 16 ÷ 2 = 625.1"
    assert layer["expert half"] == "8.678 µs + 277.0 µs + 54.04 µs = 339.7 µs"
    assert layer["dispatch"] == "48 × 9 × 7,168 × 1.071 × 1.429 B ÷ 135 GB/s + 86.46 µs = 121.6 µs"
    whole = found["the step"]
    assert whole["the step"] == "3 × 1,115 µs + 58 × 1,221 µs + 1,513 µs + 2,908 µs + 2,000 µs = 80.60 ms"
    assert whole["an accelerator"] == "96 × 1.7 tokens ÷ 80.60 ms = 2,025 tokens/s"
    assert whole["draft"] == "1,221 µs + 173.2 µs + 1,513 µs = 2,908 µs"
    limit = found["the physical limit of a token"]
    read = limit["weights and cache, for the tokens of a step"]
    assert read == "(38.34 GB + 27.63 GB) ÷ 163.2 ÷ 3.2 TB/s = 126.3 µs"


def test_another_batch_is_another_arithmetic() -> None:
    run = SPECS.measurements["CM384-DECODE-4K-50MS"]
    other = dataclasses.replace(run.deployment, batch=48.0)
    found = in_numbers(SPECS, load_model(SPECS.models[run.model]), other, run.phase)
    assert found["one of 58 layers with experts, on one rank"]["rows"] == "48 ÷ 2 ÷ 2 × 2 = 24"
    assert found["the step"]["an accelerator"].startswith("48 × 1.7 tokens ÷ ")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("√(3.385² + 11.50²) µs + 0.1126 µs + 5 µs", "17.20 µs"),
        ("2 × max(589.5 µs + 7.395 µs + 13.80 µs, 121.6 µs + 339.7 µs + 92.01 µs)", "1,107 µs"),
        ("2 × 48 × 7,168 × 2,112 FLOP ÷ (644 TFLOPS × 0.6667)", "3.395 µs"),
        ("max(150.1 µs, 126.3 µs)", "126.3 µs"),
    ],
)
def test_planted_digit_is_seen(left: str, right: str) -> None:
    assert not worked.holds(left, right)


def test_bytes_of_small_kernels_by_hand() -> None:
    """8 bytes an element to norm, 3 to quantise, 4 to turn, 6 to add, 5 to activate (data/specs.csv).

    Attention: 8 × 7,168 + 4 × 128 × 64 + 3 × (7,168 + 2,048 + 128 × 128) = 166,912, for 48 and 96 tokens.
    Experts: 48 × 7,168 × (8 + 6 + 3) + 5 × 617.1 × 2,048; dense 96 × ((8 + 3) × 7,168 + 5 × 18,432).
    """
    experts, dense = (
        lines for name, lines in parts("CM384-DECODE-4K-50MS").items() if name.startswith("one of")
    )
    found = [lines[f"{of} vector"] for lines, of in
             ((experts, "attention"), (dense, "attention"), (experts, "expert"), (dense, "ffn"))]  # fmt: skip
    sizes = [48 * 166_912, 96 * 166_912, 48 * 7_168 * 17 + 5 * 432 * 2_048 * 10 / 7,
             96 * (11 * 7_168 + 5 * 18_432)]  # fmt: skip
    told = [float(re.search(r"\+ ([\d.]+) MB", text)[1]) for text in found]  # type: ignore[index]
    assert told == pytest.approx([size / 1e6 for size in sizes], rel=1e-3)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (384, "384"), (7_168.0, "7,168"), (-9_999_999, "-9,999,999"),
        (10_512_345, "10,512,345"), (0.25, "0.25"), (432.12345, "432.1"),
    ],
)  # fmt: skip
def test_counts_stand_as_they_are(value: float, text: str) -> None:
    assert number(value) == text


def test_core_of_a_tensor_group_by_hand() -> None:
    """16,384 prompt tokens × 16 of 128 heads × 2 (192 + 128) × 1,024 positions on average ÷ 483 TFLOPS.

    Of Llama 3.1 70B one rank of eight has 8 of 64 heads, and one of the 8 heads of keys and values.
    """
    run = SPECS.measurements["VLLM-H200-PREFILL-TP8"]
    seconds = prefill(SPECS, load_model("deepseek-r1"), run.deployment).breakdown["attention_core"]
    assert seconds == pytest.approx(61 * 16_384 * 16 * 640 * 1_024 / 483e12, rel=1e-3)
    eight = Deployment("h200-sxm", 8, 8, 4, 4096, tensor_parallel=8, matrix_precision="bf16")
    found = in_numbers(SPECS, load_model("llama-3.1-70b"), eight, "decode")
    layer = found["one of 80 layers without experts, on one rank"]
    assert layer["attention core"] == (
        "computing 32 × 8 × 512 × 4,096 FLOP ÷ 252.8 TFLOPS = 2.124 µs; "
        "reading 32 × 4,096 × 2,048 × 0.25 B ÷ 4.329 TB/s = 15.50 µs; "
        "in all max(2.124 µs, 15.50 µs) × 1 for the longest rank + 12.2 µs = 27.70 µs"
    )


def test_core_of_sparse_attention_by_hand() -> None:
    """16 heads of a group of eight take the 64 of a tile; 2,048 of 8,192 positions are read."""
    eight = Deployment("h200-sxm", 8, 8, 4, 8192, tensor_parallel=8, attention_precision="bf16")
    found = in_numbers(SPECS, load_model("deepseek-v3.2"), eight, "decode")
    assert found["one of 58 layers with experts, on one rank"]["attention core"] == (
        "computing 32 × 64 × 2,176 × 2,048 FLOP ÷ 344.9 TFLOPS = 26.46 µs; "
        "reading 32 × 2,048 × 576 × 2 B ÷ 4.02 TB/s = 18.78 µs; "
        "in all max(26.46 µs, 18.78 µs) × 1 for the longest rank + 21.74 µs = 48.20 µs"
    )
