"""The same work on different chips: one prefill and one decode, or the deployment of a measurement.

What differs between chips is what must: the accelerators that hold the same number of expert ranks,
and the 8-bit format that a chip computes in. Pure functions of the table, like the derivations.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cm384 import kernels, serving
from cm384.deployment import Deployment
from cm384.errors import InputError, unknown
from cm384.serving import Result
from cm384.specs import Specs, read_conditions
from cm384.throughput import model_error

MODEL = "deepseek-r1"
TPOT = 50.0  # ms, the limit that the decode claims are made for
EIGHT_BIT = ("fp8", "int8")
# One expert rank is a GPU, or a die of an Ascend 910C. Prompts and context as in the measurements
# that the claims rest on; routing as uneven as real traffic with expert replicas is.
WORKLOADS = {
    "prefill": Deployment("", 0, 32, batch=16_384, context=4096, routing="eplb", microbatches=2),
    "decode": Deployment("", 0, 64, batch=1, context=4096, output=256, routing="eplb",
                         microbatches=2, draft_tokens=1, tokens_per_step=1.7),
}  # fmt: skip
# The measurement by whose phase the error of the model is taken, its own document left out.
ERROR_OF = {"prefill": "CM384-PREFILL-PERFECT", "decode": "CM384-DECODE-4K-50MS"}


def served_in(specs: Specs, chip: str, precision: str = "") -> str:
    """The precision in which a chip multiplies: the one given if it has kernels for it, else 8 bits.

    >>> from cm384 import load_specs
    >>> served_in(load_specs(), "ascend-910c"), served_in(load_specs(), "gb200", "fp4")
    ('int8', 'fp4')
    """  # noqa: E501
    found = {
        read_conditions(conditions)["precision"]
        for subject, quantity, conditions, _ in specs.rows
        if (subject, quantity) == (chip, "gemm_rate")
    }
    for wanted in (precision, *EIGHT_BIT):
        if wanted in found:
            return wanted
    raise InputError(f"no source states how fast 8-bit kernels run on {chip}")


def eight_bit_peak(specs: Specs, chip: str) -> str:
    """The 8-bit format that a chip has a peak in: FP8, or INT8 where it has no FP8."""
    for precision in EIGHT_BIT:
        if specs.has(chip, "peak", basis="headline", precision=precision):
            return precision
    raise InputError(f"{chip} has no 8-bit peak")


def phase_of(specs: Specs, workload: str) -> str:
    """The phase of a workload: its own name, or that of the measurement it names."""
    if workload in WORKLOADS:
        return workload
    if workload not in specs.measurements:
        raise unknown("workload", workload, [*WORKLOADS, *specs.measurements])
    return str(specs.measurements[workload].phase)


def deployment(specs: Specs, chip: str, workload: str) -> Deployment:
    """A workload on a chip, with as many accelerators as hold its expert ranks."""
    phase_of(specs, workload)
    base = WORKLOADS.get(workload) or specs.measurements[workload].deployment
    held = base.expert_parallel
    if own := base.accelerator:
        held = base.accelerators * kernels.read(specs, own, "ranks_per_package")
    return dataclasses.replace(
        base,
        accelerator=chip,
        accelerators=np.maximum(held / kernels.read(specs, chip, "ranks_per_package"), 1.0),
        matrix_precision=served_in(specs, chip, base.matrix_precision),
        attention_precision=served_in(specs, chip, base.attention_precision),
    )


def serve(specs: Specs, chip: str, workload: str) -> Result:
    """What the serving model says of a workload on a chip.

    In decode the batch is the largest that fits the memory and keeps the time per token: 50 ms, or
    that of the measurement named; where it states none, its own batch as far as it fits.

    >>> from cm384 import load_specs
    >>> result = serve(load_specs(), "h100-sxm", "decode")
    >>> bool(result.tpot.m <= 50), result.phase
    (True, 'decode')
    """
    model = specs.models[MODEL]
    if workload in specs.measurements:
        model = specs.models[specs.measurements[workload].model]
    found = deployment(specs, chip, workload)
    if phase_of(specs, workload) == "prefill":
        return serving.prefill(specs, model, found)
    batch = serving.largest_batch(specs, model, found, limit(specs, workload))
    if limit(specs, workload) is None:
        batch = np.minimum(batch, found.batch)
    if not np.all(np.asarray(batch) > 0):
        raise InputError(f"{chip}: not even one request fits or keeps the time per token")
    return serving.decode(specs, model, dataclasses.replace(found, batch=batch))


def limit(specs: Specs, workload: str) -> float | None:
    """The time per token in ms that a decode workload keeps; None where none is stated."""
    if workload in WORKLOADS:
        return TPOT
    stated = specs.measurements[workload].tpot
    return float(stated) if stated else None


def throughput(specs: Specs, chip: str, workload: str) -> Any:
    """Tokens a second and accelerator by the serving model."""
    return serve(specs, chip, workload).throughput


def parity(specs: Specs, chip: str, reference: str, workload: str) -> Any:
    """The throughput of a chip over that of another on the same work, by the serving model."""
    return throughput(specs, chip, workload) / throughput(specs, reference, workload)


def error(specs: Specs, workload: str) -> float:
    """The error of the model in the phase of a workload: nine in ten measurements lie within it."""
    phase = phase_of(specs, workload)
    return model_error(specs, workload if workload in specs.measurements else ERROR_OF[phase])
