"""Users in a closed loop in front of a deployment: how many requests decode at a time, and how fast.

Each user sends the next prompt as soon as the last answer is complete, so that requests are either
before their first token or decoding. Where prefill shares the chips with decode (aggregated), the
prompts that replace finished requests also stall every step.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cm384.physics import arrays
from cm384.physics.serving import Result, Step, prefill
from cm384.physics.transformer import Model
from cm384.table.errors import InputError
from cm384.table.records import Deployment, Loop
from cm384.table.specs import Specs

ROUNDS = 24  # of the fixed point; half the distance is left after each


def closed_loop(specs: Specs, model: Model, deployment: Deployment, loop: Loop) -> Result:
    """The decode step that a closed loop settles at, with the prefill that it bears.

    Little's law: the requests that decode are the concurrency times the share of a request's time after
    its first token. In the step are then, if serving is aggregated, the prompts that replace what a step
    finishes, one after the other. The time to the first token is that of `loop`, or of the prefill and
    half a step. `tokens` counts the whole concurrency, so that its throughput is that of the TPOT alone.
    Errors as in `prefill`; broadcasts.
    """
    output = arrays.asarray(deployment.output, dtype=float)[()]
    if np.any(output <= 1):
        raise InputError("output: expected more than 1 token in a closed loop")
    context = loop.prompt + output / 2.0
    step = Step(specs, model, dataclasses.replace(deployment, context=context, batch=1.0), "decode")
    each = step.ranks_per_package / step.tensor  # requests an accelerator, for one of its group
    chips = loop.workers * arrays.asarray(deployment.accelerators)
    most = loop.concurrency / (chips * each)
    prompt = _one_prompt(specs, model, deployment, loop, each) if loop.aggregated else 0.0
    accepted = step.accepted
    requests, bearing = most, 0.0
    for _ in range(ROUNDS):
        seconds = step.at(requests * each).seconds()
        bearing = requests * accepted / output * prompt
        first = prompt + seconds / 2.0 if loop.aggregated else loop.ttft / 1e3
        decoding = (output - 1.0) * (seconds + bearing) / accepted
        requests = (requests + most * decoding / (first + decoding)) / 2.0
    found = step.at(requests * each).result()
    return dataclasses.replace(
        found,
        step=found.step + bearing,
        tokens=loop.concurrency / chips * accepted,
        breakdown={**found.breakdown, "prefill": bearing},
    )


def _one_prompt(specs: Specs, model: Model, d: Deployment, loop: Loop, each: Any) -> Any:
    """Seconds of the prefill of one prompt in every attention group."""
    alone = dataclasses.replace(
        d, context=loop.prompt, batch=loop.prompt * each, output=0.0, microbatches=1, draft_tokens=0,
        tokens_per_step=1,
    )  # fmt: skip
    return prefill(specs, model, alone).step
