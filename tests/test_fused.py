"""The compiled loop gives what numpy gives: its formula on every measurement, its numbers on many."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cm384 import load_model, load_specs
from cm384.physics import arrays, fused
from cm384.physics.serving import Step, decode, prefill
from cm384.table.records import Deployment

SPECS, R1 = load_specs(), load_model("deepseek-r1")
DECODE = Deployment("ascend-910c", 160, 320, 96, 4096, matrix_precision="int8", routing="eplb",
                    microbatches=2, draft_tokens=1, tokens_per_step=1.7)  # fmt: skip
PREFILL = Deployment("ascend-910c", 16, 32, 16384, 4096, matrix_precision="int8", microbatches=2)
RUNS = [row.id for row in SPECS.measurements.values() if row.batch]


@pytest.mark.parametrize("name", RUNS)
def test_formula_of_every_measurement_is_that_of_numpy(name: str) -> None:
    """The traced lines, as Python runs them, at half the batch and the whole one; no Numba needed."""
    row = SPECS.measurements[name]
    model, whole = load_model(SPECS.models[row.model]), row.deployment
    step = Step(SPECS, model, dataclasses.replace(whole, batch=whole.batch * np.array([0.5, 1.0])), row.phase)
    seconds, memory = fused.evaluated(step, fused.plain)
    assert seconds == pytest.approx(step.seconds(), rel=1e-12)
    assert memory == pytest.approx(step.memory() + 0 * seconds, rel=1e-12)
    assert arrays.xp is np


def many(found: Deployment, count: int) -> Deployment:
    """Deployments that differ in batch, context, ranks and half batches."""
    draws = np.random.default_rng(384)
    ranks = draws.choice([32, 64, 128, 320], count)
    return dataclasses.replace(
        found,
        batch=draws.uniform(0.01, 1, count) * found.batch,
        context=draws.uniform(512, 32768, count),
        expert_parallel=ranks,
        accelerators=ranks / 2 * draws.integers(1, 4, count),
        microbatches=draws.integers(1, 3, count),
    )


@pytest.mark.parametrize(("phase", "found"), [(decode, DECODE), (prefill, PREFILL)])
def test_a_hundred_thousand_are_as_with_numpy(phase: Any, found: Deployment) -> None:
    pytest.importorskip("numba", reason="the extra `fused` is not installed")
    asked = many(found, 100_000)
    plain = phase(SPECS, R1, asked)
    with fused.compiled():
        loop = phase(SPECS, R1, asked)
    assert fused.compiled_loop.cache_info().currsize > 0
    np.testing.assert_allclose(loop.step, plain.step, rtol=1e-12)  # NaN where it does not fit, in both
    np.testing.assert_allclose(loop.memory, plain.memory, rtol=1e-12)
    assert 0 < np.isnan(plain.step).mean() < 1 or phase is prefill


def test_without_numba_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "version", lambda: "")
    step = Step(SPECS, R1, many(DECODE, 3), "decode")
    with fused.compiled():
        assert fused.both(step) is None


def test_draws_and_drafters_are_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "version", lambda: "1")
    drawn = SPECS.sample(3, 384)
    with fused.compiled():
        assert fused.both(Step(drawn, R1, many(DECODE, 3), "decode")) is None
        assert fused.both(Step(SPECS, R1, DECODE, "decode")) is None  # a single one
