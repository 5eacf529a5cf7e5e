"""How fast the serving model, the ledger and the commands answer, each beside a numpy triad of the same run.

What is aimed at, in seconds of a processor where a triad of 10⁶ takes a millisecond: `explain` 0.6 s, a
scorecard 0.3 s, one decode 150 µs, arrays 0.3 µs a configuration and compiled 0.027 µs, in at most 100 MB for
a million, the ledger over 10⁶ draws 5 s. What other tools take stands in `data/speeds.csv`, from one run.
"""

from __future__ import annotations

import dataclasses
import resource
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from cm384 import load_claims, load_specs, scorecard
from cm384.ledger.robustness import bands, derivable
from cm384.physics import fused
from cm384.physics.models import load_model
from cm384.physics.serving import decode, prefill
from cm384.table.records import Deployment

SPECS, R1 = load_specs(), load_model("deepseek-r1")
DECODE = Deployment("ascend-910c", 160, 320, 96, 4096, matrix_precision="int8", routing="eplb",
                    microbatches=2, draft_tokens=1, tokens_per_step=1.7)  # fmt: skip
PREFILL = Deployment("ascend-910c", 16, 32, 16384, 4096, matrix_precision="int8",
                     microbatches=2)  # fmt: skip
CASES = pytest.mark.parametrize(("phase", "deployment"), [(decode, DECODE), (prefill, PREFILL)],
                                ids=["decode", "prefill"])  # fmt: skip
pytestmark = pytest.mark.benchmark(timer=time.process_time)
SLACK = 4  # times an aim that fails: a loaded machine is two to three times slower


def many(deployment: Deployment, count: int) -> Deployment:
    """So many deployments that differ in batch and context."""
    generator = np.random.default_rng(384)
    batch = generator.uniform(0.1, 1.0, count) * deployment.batch
    return dataclasses.replace(deployment, batch=batch, context=generator.uniform(512, 4096, count))


def test_triad(benchmark: Any) -> None:
    """What the others stand beside: a + 3 b of 10⁶ numbers."""
    a, b, c = np.ones((3, 10**6))
    benchmark(lambda: np.add(a, np.multiply(b, 3.0, out=c), out=c))


@CASES
def test_one_configuration(benchmark: Any, phase: Any, deployment: Deployment) -> None:
    benchmark(phase, SPECS, R1, deployment)
    assert not benchmark.stats or benchmark.stats.stats.min < SLACK * 150e-6


@CASES
@pytest.mark.parametrize("count", [10**3, 10**4, 10**5, 10**6])
def test_many_configurations(benchmark: Any, phase: Any, deployment: Deployment, count: int) -> None:
    result = benchmark.pedantic(phase, args=(SPECS, R1, many(deployment, count)), rounds=3)
    assert result.throughput.m.shape == (count,)
    assert not benchmark.stats or count < 10**4 or benchmark.stats.stats.min < SLACK * 0.3e-6 * count


@CASES
def test_a_million_compiled(benchmark: Any, phase: Any, deployment: Deployment) -> None:
    pytest.importorskip("numba", reason="the extra `fused` is not installed")
    if benchmark.disabled:
        pytest.skip("a benchmark alone")
    with fused.compiled():
        asked = SPECS, R1, many(deployment, 10**6)
        benchmark.pedantic(phase, args=asked, rounds=5, warmup_rounds=1)
    assert benchmark.stats.stats.min < SLACK * 0.027e-6 * 10**6


@CASES
def test_a_million_take_less_than_a_hundred_megabytes(phase: Any, deployment: Deployment) -> None:
    asked = many(deployment, 10**6)
    tracemalloc.start()
    phase(SPECS, R1, asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e8


@pytest.mark.parametrize("samples", [10**3, 10**4, 10**5, 10**6])
def test_bands_over_the_whole_ledger(benchmark: Any, samples: int) -> None:
    """Timed only: with benchmarks disabled, as in the test suite, there is nothing to run.

    What is derived is a small part of the ledger: the others repeat one, or documents, words or nothing
    decide them.
    """
    if benchmark.disabled:
        pytest.skip("a benchmark alone")
    claims = load_claims(specs=SPECS)
    found = benchmark.pedantic(bands, args=(claims, SPECS, samples), rounds=3, warmup_rounds=1)
    assert len(found) == len(derivable({claim.id: claim for claim in claims}, SPECS)) > 30
    assert benchmark.stats.stats.min < SLACK * max(5e-6 * samples, 0.5)


def test_scorecard(benchmark: Any) -> None:
    """Of a table that nothing was read from yet."""
    if benchmark.disabled:
        pytest.skip("a benchmark alone")
    claims = load_claims(specs=SPECS)
    benchmark.pedantic(lambda: scorecard(claims, dataclasses.replace(SPECS)), rounds=3)
    assert benchmark.stats.stats.min < SLACK * 0.3


def of_children() -> float:
    """Seconds of a processor that finished processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.benchmark(timer=of_children)
def test_explain(benchmark: Any) -> None:
    """A whole process."""
    if benchmark.disabled:
        pytest.skip("a benchmark alone")
    asked = [sys.executable, "-m", "cm384", "explain", "hbm_capacity", "cloudmatrix-384"]
    benchmark.pedantic(
        subprocess.run, args=(asked,), kwargs={"check": True, "capture_output": True}, rounds=3
    )
    assert benchmark.stats.stats.min < SLACK * 0.6
