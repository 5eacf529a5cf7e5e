"""Users in a closed loop in front of a deployment: how many requests decode at a time, and how fast.

Each user sends the next prompt as soon as the last answer is complete, so that requests are before
their first token, decoding, or waiting for memory. Where prefill shares the chips with decode
(aggregated), the prompts that replace finished requests also stall every step; where it has chips of its
own, prompts queue for them and their cache is sent on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from cm384.physics import arrays
from cm384.physics.serving import Result, Step, prefill
from cm384.physics.sizes import Rows, Sizes
from cm384.physics.transformer import Model
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.records import Deployment, Loop, Numbers
from cm384.table.specs import Specs
from cm384.table.units import Quantity

ROUNDS = 24  # of the fixed point; half the distance is left after each


@dataclass(frozen=True)
class Loaded(Result):
    """A decode step as a closed loop settles at it; `tokens` counts the whole concurrency.

    `first` is the time to the first token in seconds, NaN where prefill is apart and not described: at
    least so much, since what the host does to a request before and after is in no source. `running` are
    the requests an accelerator that decode, `queued` the share of the users that wait for memory.
    """

    first: Any = np.nan
    running: Any = np.nan
    queued: Any = 0.0

    @property
    def ttft(self) -> Quantity:
        """The least time to the first token, a quantity."""
        return units.Q(np.asarray(self.first) * 1e3, "ms")

    @property
    def served(self) -> Quantity:
        """Tokens a second and accelerator that decodes, what waits counted in."""
        return units.Q(self.running * self.tokens_per_step / self.step, "token/s/accelerator")


def closed_loop(specs: Specs, model: Model, deployment: Deployment, loop: Loop) -> Loaded:
    """The decode step that a closed loop settles at, with the prefill that it bears.

    Little's law: the requests that decode are the concurrency times the share of a request's time after
    its first token, as far as their caches fit in memory. In the step are then, if serving is aggregated,
    the prompts that replace what a step finishes, one after the other. The time to the first token is as
    predicted, or where prefill is apart the stated one. Errors as in `prefill`; broadcasts.
    """
    output = arrays.number(deployment.output)
    if arrays.any(output <= 1):
        raise InputError("output: expected more than 1 token in a closed loop")
    context = loop.prompt + output / 2.0
    step = Step(specs, model, dataclasses.replace(deployment, context=context, batch=1.0), "decode")
    each = step.ranks_per_package / step.tensor  # requests an accelerator, for one of its group
    chips = loop.workers * arrays.number(deployment.accelerators)
    users, fitting = loop.concurrency / (chips * each), step.most()
    if arrays.any(none := fitting < 1):
        step.at(each).result()  # says what does not fit, if nothing does
        fitting = arrays.where(none, np.nan, fitting)
    stage = _stage(specs, model, deployment, loop)
    stated = np.nan if loop.aggregated else arrays.number(loop.ttft) / 1e3
    requests = arrays.minimum(users, fitting)
    for _ in range(ROUNDS):
        seconds = step.at(requests * each).seconds()
        bearing = requests * step.accepted / output * stage.service if loop.aggregated else 0.0
        decoding = (output - 1.0) * (seconds + bearing) / step.accepted
        first = stage.seconds(loop.concurrency, decoding, seconds)
        before = arrays.where(stated != stated, first, stated)
        alone = users * decoding / (before + decoding)
        requests = (requests + arrays.minimum(alone, fitting)) / 2.0
    found = step.at(requests * each).result()
    waiting = arrays.maximum(users * decoding / requests - decoding - before, 0.0)
    waiting = arrays.where(alone > fitting, waiting, 0.0)
    return Loaded(
        **{field.name: getattr(found, field.name) for field in dataclasses.fields(Result)}
        | {
            "step": found.step + bearing,
            "tokens": loop.concurrency / chips * step.accepted,
            "terms": lambda: (found.layer, {**found.breakdown, "prefill": bearing}),
        },
        first=first + waiting,
        running=requests * each,
        queued=waiting / (waiting + before + decoding),
    )


# --- prompts ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stage:
    """Where prompts are prefilled: so many groups that each take one at a time in `service` seconds.

    `after` is what a prompt still waits for; in aggregated serving also half a step before.
    """

    service: Any
    servers: Any
    after: Any
    aggregated: bool

    def seconds(self, users: Numbers, decoding: Any, step: Any) -> Any:
        """Seconds to the first token where `users` come back after `decoding` seconds more.

        A closed queue by mean values (Schweitzer): who arrives finds what the others have before them;
        several servers are a fast one and a delay (Seidmann). Both together are one quadratic equation,
        of which a single user sees the service alone.
        """
        delay = self.after + (step / 2.0 if self.aggregated else 0.0)
        away = delay + decoding
        others = self.service / self.servers * arrays.maximum(users - 1.0, 0.0)
        half = (self.service + others - away) / 2.0
        return half + arrays.sqrt(half**2 + self.service * away) + delay

    def servers_for(self, first: float, users: Numbers, decoding: Any) -> Any:
        """How many servers keep the first token within `first` seconds: `seconds` solved for them.

        Of prefill that is apart. InputError where even a prompt alone takes longer.
        """
        time, away = first - self.after, self.after + decoding
        if time <= self.service:
            alone = 1e3 * (self.service + self.after)
            raise InputError(f"ttft: a prompt alone takes {alone:,.0f} ms, not {1e3 * first:,.0f}")
        others = time - self.service * away / time - self.service + away
        return self.service * arrays.maximum(users - 1.0, 0.0) / others


def _stage(specs: Specs, model: Model, d: Deployment, loop: Loop) -> Stage:
    """What prefills the prompts: the deployment itself, or the chips that the loop describes."""
    own = {"accelerators": d.accelerators, "tensor_parallel": d.tensor_parallel,
           "expert_parallel": d.expert_parallel}  # fmt: skip
    apart = {name: getattr(loop, f"prefill_{name}") for name in own}
    if not loop.aggregated and np.any(np.isnan(arrays.number(loop.prefill_accelerators))):
        return Stage(np.nan, 1.0, 0.0, aggregated=False)
    layout = own if loop.aggregated else apart
    group = Rows(specs, d.accelerator, 0).optional("ranks_per_package", 1.0) / layout["tensor_parallel"]
    alone = dataclasses.replace(
        d, context=loop.prompt, batch=loop.prompt * group, microbatches=1, draft_tokens=0,
        tokens_per_step=1, drafter="", **layout,
    )  # fmt: skip
    workers = loop.workers if loop.aggregated else loop.prefill_workers
    after = 0.0 if loop.aggregated else transfer(specs, model, alone)
    service = prefill(specs, model, alone).step
    return Stage(service, workers * arrays.number(layout["accelerators"]) * group, after, loop.aggregated)


def transfer(specs: Specs, model: Model, d: Deployment) -> Any:
    """Seconds to send the cache of one prompt to the chips that decode.

    Every rank sends what it holds over its own scale-out link, all at the same time, in one piece.
    """
    held = Sizes(specs, model, d, "prefill")
    link = held.rows.number("scale_out_bandwidth") / held.ranks_per_package
    return held.cache_bytes() / link


def rate_match(filled: Result, decoded: Result, prompt: Numbers, output: Numbers) -> tuple[Any, Quantity]:
    """Chips that prefill for one that decodes, and output tokens a second over all of both.

    Each side at its own rate on its own chip; prompts and outputs of so many tokens. Broadcasts.
    """
    asked = decoded.throughput.m / output  # requests a second that one decoding chip finishes
    ratio = asked * prompt / filled.throughput.m
    return ratio, units.Q(decoded.throughput.m / (1.0 + ratio), "token/s/accelerator")
