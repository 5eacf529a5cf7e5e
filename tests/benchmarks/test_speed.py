"""How fast the serving model answers: one configuration, and a million in one call; and the ledger
over draws of the sources.

For comparison, as published or measured elsewhere: aiconfigurator tens of ms, msmodeling 11 to 35 s
a configuration, InferSim 0.2 to 3.7 ms.
"""

from __future__ import annotations

import dataclasses
import resource
import tracemalloc
from typing import Any

import numpy as np
import pytest

from cm384 import load_claims, load_specs
from cm384.ledger.robustness import bands
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


@CASES
def test_one_configuration_takes_less_than_a_millisecond(
    benchmark: Any, phase: Any, deployment: Deployment
) -> None:
    benchmark(phase, SPECS, R1, deployment)
    if benchmark.stats:
        assert benchmark.stats.stats.min < 1e-3


@CASES
def test_a_million_take_less_than_five_seconds(benchmark: Any, phase: Any, deployment: Deployment) -> None:
    generator = np.random.default_rng(384)
    many = dataclasses.replace(
        deployment,
        batch=generator.uniform(0.1, 1.0, 10**6) * deployment.batch,
        context=generator.uniform(512, 4096, 10**6),
    )
    result = benchmark.pedantic(phase, args=(SPECS, R1, many), rounds=2)
    assert result.throughput.m.shape == (10**6,)
    if benchmark.stats:
        assert benchmark.stats.stats.min < 5


@CASES
def test_a_million_take_less_than_two_gigabytes(phase: Any, deployment: Deployment) -> None:
    many = dataclasses.replace(deployment, batch=np.linspace(0.1, 1, 10**6) * deployment.batch)
    tracemalloc.start()
    phase(SPECS, R1, many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 8e9


@pytest.mark.parametrize("samples", [10**3, 10**4, 10**5, 10**6])
def test_bands_over_the_whole_ledger(benchmark: Any, samples: int) -> None:
    """Timed only: with benchmarks disabled, as in the test suite, there is nothing to run."""
    if benchmark.disabled:
        pytest.skip("a benchmark alone")
    claims = load_claims(specs=SPECS)
    found = benchmark.pedantic(bands, args=(claims, SPECS, samples), rounds=3, warmup_rounds=1)
    assert len(found) > 40
