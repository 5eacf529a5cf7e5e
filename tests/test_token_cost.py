"""Bytes that an output token reads, redone by hand from the published config of DeepSeek-R1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cm384 import derive, load_specs
from cm384.table.errors import InputError, NotStated

SPECS = load_specs()
# deepseek2025r1, config.json: hidden 7168, 61 layers of which 3 are dense, 128 heads, 256 experts of 2048.
EXPERT, MOE, LAYERS = 3 * 7168 * 2048, 58, 61
ONE_BYTE = 3 * 3 * 7168 * 18_432 + LAYERS * (1536 * 128 * 192 + 128 * 128 * 7168)
TWO_BYTES = LAYERS * (7168 * (1536 + 576) + 512 * 128 * 256) + MOE * 256 * 7168 + 129_280 * 7168


def read(chip: str, of: str, **given: Any) -> Any:
    asked = {"context": 4096, "batch": 96} | given
    return derive("bytes_per_output_token", chip, SPECS, **asked, of=of).to("GB/token").m


def test_weights_are_shared_by_the_requests_of_a_rank() -> None:
    # 64 ranks hold four experts each and the shared one; 96 requests a 910C are 48 a die
    rank = MOE * (4 + 1) * EXPERT + ONE_BYTE + 2 * TWO_BYTES
    found = read("ascend-910c", "weights")
    assert found == pytest.approx(rank / 48 / 1e9, rel=1e-3)
    assert round(float(found), 3) == 0.612
    # one rank an H100: as many bytes for 96 requests
    assert read("h100-sxm", "weights") == pytest.approx(rank / 96 / 1e9, rel=1e-3)


def test_a_request_alone_reads_the_experts_that_it_is_sent_to() -> None:
    alone = MOE * (8 + 1) * EXPERT + ONE_BYTE + 2 * TWO_BYTES
    found = read("h100-sxm", "weights", batch=1, expert_parallel=1)
    assert found == pytest.approx(alone / 1e9, rel=1e-3)
    # two of them share an expert with a chance of 1 in 32: 8 + 8 - 8 x 8 / 256
    both = MOE * (16 - 0.25 + 1) * EXPERT + ONE_BYTE + 2 * TWO_BYTES
    assert read("h100-sxm", "weights", batch=2, expert_parallel=1) == pytest.approx(both / 2e9, rel=1e-3)


def test_the_cache_is_read_by_each_request() -> None:
    # 61 layers x (512 + 64) elements in BF16
    for batch in (1, 96):
        assert read("ascend-910c", "cache", batch=batch) == pytest.approx(4096 * LAYERS * 576 * 2 / 1e9)
    # llama-3.1-70b: 80 layers x 2 x 8 x 128 elements
    llama = read("h100-sxm", "cache", model="llama-3.1-70b", context=1000)
    assert llama == pytest.approx(1000 * 80 * 2 * 8 * 128 * 2 / 1e9)


def test_a_model_without_experts_reads_all_its_weights() -> None:
    # 69.50 billion parameters in matrices, the head of 1.051 of them in 16 bits
    found = read("h100-sxm", "weights", model="llama-3.1-70b", batch=np.array([1.0, 2.0]))
    assert found == pytest.approx([70.55, 70.55 / 2], rel=1e-3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="unknown of 'bytes'"):
        read("h100-sxm", "bytes")
    with pytest.raises(InputError, match="batch"):
        read("h100-sxm", "all", batch=0)
    with pytest.raises(NotStated, match="each reads for itself"):
        read("hgx-h100", "all")


def test_what_the_page_says_of_memory_and_peak() -> None:
    """0.90 GB at 3.2 TB/s against 73.2 GFLOP at 1,504 and 69.6 at 752 TFLOPS."""
    seconds = float(read("ascend-910c", "all")) / 3.2e3
    assert round(seconds * 1e6) == 281
    assert round((73.25e9 / 1504e12 + 69.59e9 / 752e12) * 1e6) == 141
