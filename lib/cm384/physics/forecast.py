"""A forecast for anybody's question: this model on that chip, how fast, how many chips, what it costs.

What a deployment leaves open (NaN) is chosen: the smallest instance that holds the model and keeps the
limits, and of equal ones the fastest. Prefill and decode stand on chips of their own, rate-matched, or
share them (aggregated). Every figure is that of `serving.py` and `load.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cm384.derive.derivation import derive
from cm384.derive.spread import span
from cm384.physics import estimate, load, serving
from cm384.physics.check import FEW, KIND
from cm384.physics.kernels import eight_bits
from cm384.physics.served import eight_bit_peak
from cm384.physics.serving import Step
from cm384.physics.sizes import Rows, Sizes
from cm384.physics.transformer import Model
from cm384.table import units
from cm384.table.errors import DATA, InputError, NotStated
from cm384.table.frames import pd
from cm384.table.records import SERVINGS, Deployment, Loop
from cm384.table.specs import Specs
from cm384.table.words import title

# The rows that a term waits for, by resource.
RESOURCES = {
    "compute": ("gemm_rate", "attention_rate", "index_rate"),
    "memory": ("gemm_bandwidth", "gemm_output_bandwidth", "attention_bandwidth",
               "memory_bandwidth_sustained"),
    "links": ("exchange_bandwidth", "all_reduce_bandwidth", "peer_bandwidth", "host_link_bandwidth"),
    "fixed": ("gemm_fixed_time", "attention_fixed_time", "index_fixed_time", "index_token_time", "launch_gap",
              "small_kernel_time", "iteration_overhead", "exchange_fixed_time", "all_reduce_latency"),
}  # fmt: skip
RESOURCE = {quantity: resource for resource, quantities in RESOURCES.items() for quantity in quantities}
NUDGE = 1.001  # how much faster each of them is made, to see what waits for it
CHIPS = 2.0 ** np.arange(10)  # accelerators of an instance that are tried
GROUPS = CHIPS[:5]  # ranks of a tensor parallel group
LAYOUT = ("accelerators", "expert_parallel", "tensor_parallel")
DRAWS = 1_000  # of the sources, where they cannot all be combined
MORE = 256  # instances beyond those that memory asks for, that are tried
SURE = 3  # a limit of the first token is that many times its error


@dataclass(frozen=True)
class Asked:
    """A question: a model on a chip, and what is wanted of it; NaN is left open.

    `deployment` is the decode step, its context the mean length of the cache. Limits are in ms, `prompt` in
    tokens, `usd` is for a chip and hour; `prefill_on` is the chip that prefills, the same one if empty.
    """

    model: Model
    deployment: Deployment
    prompt: Any
    users: Any = np.nan
    tpot: float = np.nan
    ttft: float = np.nan
    prefill_on: str = ""
    aggregated: bool = False
    usd: float = np.nan


class Line(NamedTuple):
    """A line of a forecast; the ends are its span."""

    part: str
    figure: str
    value: Any
    unit: str = ""
    low: float = np.nan
    high: float = np.nan
    note: str = ""


class Side(NamedTuple):
    """One phase on one chip: what runs, the table that it is read from, and the span of its throughput."""

    phase: str
    model: Model
    deployment: Deployment
    table: Specs
    result: Any
    rate: float
    low: float
    high: float
    told: str


def precision_of(specs: Specs, chip: str, model: Model) -> str:
    """The format of the matrices by default: 4 bits as kept, else 8 if a chip has a peak in them, else 16."""
    if model.four_bit:
        return "w4a16"
    with suppress(NotStated):
        return eight_bit_peak(specs, chip)
    return "bf16"


def ranks_of(specs: Specs, chip: str) -> Any:
    """The ranks that one accelerator holds."""
    return Rows(specs, chip, 0).optional("ranks_per_package", 1.0)


# --- the instance --------------------------------------------------------------------------------


def layouts(specs: Specs, model: Model, d: Deployment) -> list[Deployment]:
    """What a deployment leaves open of its layout, tried: an array of accelerators for each tensor group.

    Experts are spread over all ranks of an instance, a model without experts over none.
    """
    found, each = [], ranks_of(specs, d.accelerator)
    for tensor in GROUPS if np.isnan(d.tensor_parallel) else [d.tensor_parallel]:
        chips = CHIPS if np.isnan(d.accelerators) else np.array([d.accelerators])
        experts = chips * each if model.moe_layers else np.ones_like(chips)
        experts = experts if np.isnan(d.expert_parallel) else np.full_like(chips, d.expert_parallel)
        divides = (chips * each % tensor == 0) & (chips * each % experts == 0)
        divides &= (model.attention.heads % tensor == 0) & ((experts % tensor == 0) | (tensor % experts == 0))
        kept = divides if divides.any() else slice(1)  # who asks for what cannot be is told why
        layout = chips[kept], experts[kept], np.full_like(chips[kept], tensor)
        fields: dict[str, Any] = dict(zip(LAYOUT, layout, strict=True))
        found.append(dataclasses.replace(d, **fields))
    return found


def instance(
    specs: Specs, asked: Asked, needed: Any, phase: str = "decode", timed: bool = True
) -> tuple[Deployment, float]:
    """The deployment of a phase with what it leaves open chosen, and how many instances of it are needed.

    The fewest accelerators in all that take so many requests (in prefill prompt tokens a second), one
    instance where that is NaN; of equal ones the fastest. By sizes alone unless `timed`. InputError where no
    layout holds the batch that is asked for, or one request, within the limit.
    """
    model, decode, d = asked.model, phase == "decode", asked.deployment
    apart: dict[str, Any] = {}
    if asked.prefill_on and not decode:
        apart = {"accelerator": asked.prefill_on, **dict.fromkeys(LAYOUT, np.nan)}
    if not decode:
        d = dataclasses.replace(d, context=asked.prompt, batch=np.nan, output=0, draft_tokens=0, drafter="",
                                tokens_per_step=1, **apart)  # fmt: skip
    table = estimate.with_kernels(specs, d.accelerator, model) if timed else specs
    if apart:
        d = dataclasses.replace(d, matrix_precision=eight_bits(table, d.accelerator, d.matrix_precision))
    limit = asked.tpot if timed and decode and np.isfinite(asked.tpot) else None
    run = serving.decode if decode else serving.prefill

    def filled(some: Deployment) -> Deployment:
        """In prefill, a prompt for each tensor parallel group."""
        each = asked.prompt * ranks_of(specs, d.accelerator) / some.tensor_parallel
        return some if decode else dataclasses.replace(some, batch=each)

    def room(some: Deployment) -> Any:
        if decode:
            return serving.largest_batch(table, model, some, limit)
        return np.nan_to_num(run(table, model, filled(some)).throughput.m)

    found = _tried(table, model, d, room)
    found = found[found["room"] >= (d.batch if np.isfinite(d.batch) else 1e-9)]
    if found.empty:
        size = f"{d.accelerators:g}" if np.isfinite(d.accelerators) else f"up to {CHIPS[-1]:g}"
        batch = f"{d.batch:g} requests on each" if np.isfinite(d.batch) else "one request"
        told = f"holds {model.name} with {batch} of {d.context:,g} tokens"
        kept = f" within {limit:g} ms a token" if limit else ""
        raise InputError(f"no instance of {size} {title(d.accelerator)} {told}{kept}")
    count = np.ceil(needed / (found["room"] * found["accelerators"])).fillna(1.0)
    total = count * found["accelerators"]
    batch = (needed / total).fillna(d.batch).fillna(found["room"])
    found = found.assign(instances=count, batch=batch)[total == total.min()]
    if timed and len(found) > 1:
        columns: dict[str, Any] = {name: found[name].to_numpy() for name in (*LAYOUT, "batch")}
        speed = np.asarray(run(table, model, filled(dataclasses.replace(d, **columns))).throughput.m)
        found = found.iloc[[np.argmax(np.median(speed, axis=0) if speed.ndim > 1 else speed)]]
    one: dict[str, Any] = {name: float(found[name].iloc[0]) for name in (*LAYOUT, "batch")}
    return filled(dataclasses.replace(d, **one)), float(found["instances"].iloc[0])


def _tried(table: Specs, model: Model, d: Deployment, room: Callable[[Deployment], Any]) -> pd.DataFrame:
    """The layouts that can be, with the room on an accelerator of each; InputError where none can."""
    tried, refused = [], []
    for some in layouts(table, model, d):
        try:
            held = np.asarray(room(some), dtype=float)
        except InputError as error:
            refused.append(error)
        else:
            held = np.median(held, axis=0) if held.ndim > 1 else held  # of an estimate the middle
            tried.append(pd.DataFrame({**{name: getattr(some, name) for name in LAYOUT}, "room": held}))
    if not tried:
        raise refused[0]
    return pd.concat(tried, ignore_index=True)


# --- what runs -----------------------------------------------------------------------------------


def _side(specs: Specs, model: Model, d: Deployment, phase: str, run: Callable[[Specs], Any]) -> Side:
    """What runs where, over the sources; of a chip without kernels over the chips it is estimated by."""

    def rate(table: Specs) -> Any:
        result = run(table)
        return result.served if isinstance(result, load.Loaded) else result.throughput

    if estimate.lacks_kernels(specs, d.accelerator, model):
        table, found = estimate.by_median(specs, d.accelerator, model, lambda table: rate(table).m)
        ends = float(found.low), float(found.high), str(found)
    else:
        table, over = specs, span(rate, specs, DRAWS)
        ends = float(over.low.m), float(over.high.m), f"over the sources, {over.method}"
    return Side(phase, model, d, table, run(table), float(rate(table).m), *ends)


def _shared(specs: Specs, asked: Asked) -> tuple[list[Side], list[Line]]:
    """Prefill in the steps of decode: as many instances, or users, as keep the limit of the time a token."""
    model, (d, count) = asked.model, instance(specs, asked, asked.users)
    table = estimate.with_kernels(specs, d.accelerator, model)
    most, limited = float(d.batch * d.accelerators * count), np.isfinite(asked.tpot)
    users, workers = (most if np.isnan(asked.users) else asked.users), np.array([count])
    if limited and np.isnan(asked.users):
        users = np.arange(1.0, most + 1)
    elif limited:
        workers = count + np.arange(MORE)
    wide = dataclasses.replace(d, accelerators=np.array([d.accelerators]))  # beside the axis of an estimate
    loop = Loop(users, asked.prompt, workers, np.nan, aggregated=True)
    times = np.asarray(load.closed_loop(table, model, wide, loop).tpot.m)
    times = np.median(times, axis=0) if times.ndim > 1 else times
    kept = np.flatnonzero(~(times > asked.tpot))
    if not len(kept):
        raise InputError(f"tpot: {asked.tpot:g} ms cannot be kept where prefill shares the steps of decode")
    place = kept[-1] if np.ndim(users) else kept[0]
    user, worker = (float(np.broadcast_to(each, times.shape)[place]) for each in (users, workers))
    loop = dataclasses.replace(loop, concurrency=user, workers=worker)
    found = _side(specs, model, d, "decode", lambda table: load.closed_loop(table, model, d, loop))
    result = found.result
    found = found._replace(deployment=dataclasses.replace(d, batch=float(result.running)))
    spent = float(result.breakdown["prefill"] / result.step)
    prompts = found.rate / d.output * asked.prompt
    lines = [
        *_speed(found, worker),
        Line("both", "users", user),
        Line("both", "time to the first token", float(result.ttft.m), "ms", note="at least"),
        Line("both", "prompt tokens a second", prompts, "token/s/accelerator"),
    ]
    return [found], lines + _price(specs, asked, [(found, spent, prompts), (found, 1 - spent, found.rate)])


def _apart(specs: Specs, asked: Asked) -> tuple[list[Side], list[Line]]:
    """Prefill on chips of its own, as many as decode asks for, or more where the first token has a limit."""
    model, (d, count) = asked.model, instance(specs, asked, asked.users)
    chips = d.accelerators * count
    decoded = _side(specs, model, d, "decode", lambda table: serving.decode(table, model, d))
    p, _ = instance(specs, asked, decoded.rate * chips / d.output * asked.prompt, "prefill")
    filled = _side(specs, model, p, "prefill", lambda table: serving.prefill(table, model, p))
    ratio, both = load.rate_match(filled.result, decoded.result, asked.prompt, d.output)
    after, note = 0.0, "at least, without the transfer of the cache"
    with suppress(NotStated):
        after, note = float(load.transfer(filled.table, model, p)), "at least"
    group = ranks_of(specs, p.accelerator) / p.tensor_parallel
    users, step = d.batch * chips, float(decoded.result.step)
    away = (d.output - 1) * step / float(decoded.result.tokens_per_step)
    stage = load.Stage(float(filled.result.step), np.nan, after, aggregated=False)
    needed = np.ceil(ratio * chips - 1e-9)
    if np.isfinite(asked.ttft):
        needed = max(needed, np.ceil(stage.servers_for(asked.ttft / 1e3, users, away) / group))
    first = dataclasses.replace(stage, servers=needed * group).seconds(users, away, step)
    lines = [
        *_speed(decoded, count),
        *_speed(filled, np.ceil(needed / p.accelerators)),
        Line("both", "users", users),
        Line("both", "prefill chips for one that decodes", float(ratio)),
        Line("both", "prefill chips", needed, note=title(p.accelerator)),
        Line("both", "time to the first token", 1e3 * float(first), "ms", note=note),
        Line("both", "throughput of all chips", float(both.m), "token/s/accelerator"),
    ]
    spent = [(each, 1.0, each.rate) for each in (filled, decoded)]
    return [decoded, filled], lines + _price(specs, asked, spent)


def _speed(found: Side, count: Any) -> list[Line]:
    """What one side does, and the instances that do it."""
    d, result, part = found.deployment, found.result, found.phase
    each = "requests on a chip" if part == "decode" else "prompt tokens on a chip"
    capacity = Sizes(found.table, found.model, d, part).capacity / 1e9
    drafts = f", drafts of {d.draft_tokens:g}" if d.draft_tokens else ""
    formats = f"{d.matrix_precision} matrices, {d.attention_precision} attention, {d.kv_precision} cache"
    kind = f"of {d.accelerators:g} {_layout(d)}, {formats}, {d.routing} experts{drafts}"
    lines = [
        Line(part, "instances", count, note=kind),
        Line(part, each, d.batch),
        Line(part, "throughput", found.rate, "token/s/accelerator", found.low, found.high, found.told),
        Line(part, "throughput of all", found.rate * d.accelerators * count, "token/s"),
        Line(part, "memory of a rank", float(result.memory) / 1e9, "GB", note=f"of {capacity:.4g} GB"),
    ]
    if part == "decode":
        kept = f"{result.tokens_per_step:g} tokens a step" if d.draft_tokens else ""
        lines.append(Line(part, "time per token", float(result.tpot.m), "ms", note=kept))
    return lines


def _layout(d: Deployment) -> str:
    return f"{title(d.accelerator)}, EP{d.expert_parallel:g}, TP{d.tensor_parallel:g}"


def _price(specs: Specs, asked: Asked, spent: list[tuple[Side, float, float]]) -> list[Line]:
    """Dollars for a million prompt and output tokens: the share of a chip's hour, and tokens a second for it.

    Of an hour that nobody states, the purchase over the life of a server; nothing where that is not stated.
    """
    lines = []
    for what, (found, share, rate) in zip(("prompt", "output"), spent, strict=True):
        hour, note = asked.usd, "as given"
        if np.isnan(hour):
            with suppress(NotStated):
                hour, note = hour_price(specs, found.deployment.accelerator)
        if np.isfinite(hour):
            cost, told = hour * share / rate / 3.6e-3, f"{hour:.4g} USD for a chip and hour, {note}"
            lines.append(Line("price", f"million {what} tokens", cost, "USD", note=told))
    return lines


def hour_price(specs: Specs, chip: str) -> tuple[float, str]:
    """The purchase of a chip for each hour of a server's life; in a system, where that has a price."""
    life = specs.get("server", "service_life")
    priced = [s for s in specs.systems if specs.parts(s) == [chip] and specs.has(s, "price")]
    where = f"{title(priced[0])} over" if priced else "bought for"
    one = derive("price_per_accelerator", priced[0], specs) if priced else specs.get(chip, "price")
    return float((one / life).to("USD/hour").m), f"{where} {life.to('year').m:g} years, without power"


# --- what bounds it, what fits, how far off ------------------------------------------------------


def bounds(table: Specs, model: Model, d: Deployment, phase: str) -> pd.DataFrame:
    """What each term of a step waits for: its milliseconds, and the share of them that goes by each resource.

    Found by making every row of a resource a little faster: how much shorter a term gets, as a share of what
    all resources together take off it. The last line is the step.
    """
    values: dict[Any, Any] = {}
    for key, rows in table.rows.items():
        if key[0] in (d.accelerator, d.software) and (resource := RESOURCE.get(key[1])):
            # The latency of a large message is mostly that of its bytes.
            place = [*RESOURCES].index("links" if "size=" in key[2] else resource)
            factors = np.where(np.arange(-1, len(RESOURCES)) == place, NUDGE, 1.0)
            factors = 1 / factors if table.kinds[key[1]].better == "lower" else factors
            values[key] = factors * table.drawn.get(key, rows[0].value)
    terms = Step(table.replace(values), model, d, phase).breakdown()[1]
    terms["step"] = sum(terms.values())
    wide = {name: np.broadcast_to(np.squeeze(time), len(RESOURCES) + 1) for name, time in terms.items()}
    times = pd.DataFrame(wide).T
    saved = times.iloc[:, 1:].rsub(times[0], axis=0).set_axis([*RESOURCES], axis=1)
    shares = saved.div(saved.sum(axis=1).where(lambda total: total > 0), axis=0)
    return shares.assign(ms=1e3 * times[0])[times[0] != 0]


def fits(specs: Specs, model: Model, d: Deployment) -> list[Line]:
    """What fits, from sizes alone: the requests of an instance, and the longest context of a lone one."""
    held = Sizes(specs, model, dataclasses.replace(d, batch=1.0), "decode")
    groups = d.accelerators * held.ranks_per_package / held.tensor
    ends = 2.0 ** np.array([20, 21])  # beyond every window a cache grows by the token
    low, high = Sizes(specs, model, dataclasses.replace(d, batch=1.0, context=ends), "decode").cache_bytes()
    room = held.capacity - held.weights()
    longest = np.maximum(np.floor(ends[0] + (room - low) / (high - low) * ends[0]), 0)
    capacity = f"of {held.capacity / 1e9:.4g} GB"
    batch = f"of {d.accelerators:g} {_layout(d)}, {d.context:,g} tokens each"
    return [
        Line("fits", "weights of a rank", float(held.weights()) / 1e9, "GB", note=capacity),
        Line("fits", "requests of an instance", float(held.most() * groups), note=batch),
        Line("fits", "longest context", float(longest), "tokens", note="of one request on each tensor group"),
    ]


def sizes_alone(specs: Specs, asked: Asked) -> pd.DataFrame:
    """What fits on an instance, of any chip whose capacity is stated."""
    return pd.DataFrame(fits(specs, asked.model, instance(specs, asked, asked.users, timed=False)[0]))


def errors(found: Side, served: str) -> list[Line]:
    """How far off the nearest kind of case is of which five documents tell; all cases where none does."""
    known = error_of(found.model, found.deployment.accelerator, found.phase, served)
    note = f"{known['runs']:,.0f} runs{known['of']}, {known['documents']:.0f} documents"
    lines = [Line("error", f"{found.phase}, {which} within", 100 * known[name], "%", note=note)
             for which, name in (("half", "half"), ("nine in ten", "nine_in_ten"))]  # fmt: skip
    if found.phase == "decode":
        longer = 1 / (1 + known["first_bias"])
        note = f"{known['first_tokens']:,.0f} runs, of which half took {longer:.1f} times as long or more"
        name = "time to the first token, half within"
        lines.append(Line("error", name, known["first_half_ms"], "ms", note=note))
    return lines


def error_of(model: Model, chip: str, phase: str, served: str) -> dict[Any, Any]:
    """The line of `errors.csv` for a kind of case: of this attention, chip and serving, or of all of them."""
    table = pd.read_csv(DATA / "derived" / "errors.csv").fillna(dict.fromkeys(KIND, "")).to_dict("records")
    known = {tuple(line[name] for name in KIND): line for line in table if line["phase"] == phase}
    here = model.attention.kernel, chip, served
    for taken in ((1, 1, 1), (1, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 0)):
        kind = tuple(name * take for name, take in zip(here, taken, strict=True))
        if kind in known and known[kind]["documents"] >= FEW:
            break
    told = (f"{kind[0]} attention" * bool(kind[0]), title(kind[1]) * bool(kind[1]), kind[2])
    of = ", ".join(filter(None, told))
    return {**known[kind], "of": f" of {of}" if of else ""}


# --- the answer ----------------------------------------------------------------------------------


def forecast(specs: Specs, asked: Asked) -> pd.DataFrame:
    """What a model does on a chip: a `Line` each for speed, what fits, price, error and the terms of a step.

    InputError, in one line, for what cannot be, and for a limit of the first token that its error hides.
    """
    model, d, served = asked.model, asked.deployment, SERVINGS[0 if asked.aggregated else 1]
    if not d.output > 1:
        raise InputError(f"output: expected more than 1 token, not {d.output:g}")
    error = error_of(model, d.accelerator, "decode", served)
    if asked.ttft < SURE * error["first_half_ms"]:
        off = f"half of {error['first_tokens']:,.0f} runs{error['of']}: {error['first_half_ms']:,.0f} ms"
        raise InputError(f"ttft: {asked.ttft:g} ms is below {SURE} times the error of that time ({off})")
    sides, lines = (_shared if asked.aggregated else _apart)(specs, asked)
    lines += fits(specs, model, sides[0].deployment)
    for found in sides:
        lines += errors(found, served) if found.table is specs else []
    for found in sides:
        for name, line in bounds(found.table, model, found.deployment, found.phase).iterrows():
            shares = line.drop("ms").dropna().sort_values(ascending=False)
            told = [f"{which} {units.percent(share)}" for which, share in shares.items() if share > 0.05]
            term = str(name).replace("_", " ")
            lines.append(Line(f"{found.phase} step", term, line["ms"], "ms", note=", ".join(told)))
    return pd.DataFrame(lines)
