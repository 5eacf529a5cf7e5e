"""What machines do at work, as derivations: published and predicted throughput, the same work on
several chips, exchanges between ranks, energy and money for a token.

A published figure is a row of the table, made from `measurements.csv`; a predicted one is the
serving model on the deployment of that measurement, or on a row of `workloads.csv`. In a workload
what differs between chips is what must: the accelerators that hold the same number of expert ranks,
and the 8-bit format that a chip computes in.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cm384.derive.derivation import derivation, derive, noted
from cm384.physics import serving
from cm384.physics.check import predict
from cm384.physics.hardware import accelerator
from cm384.physics.kernels import EIGHT_BIT, eight_bits
from cm384.physics.layers import Layers
from cm384.physics.models import load_model
from cm384.physics.serving import Result
from cm384.physics.sizes import Sizes
from cm384.physics.transformer import Model, decode_flop, kv_bytes, prefill_flop
from cm384.table import units
from cm384.table.errors import NotStated, check_known
from cm384.table.records import Deployment, Measurement, Numbers
from cm384.table.specs import Specs
from cm384.table.units import Quantity

# Quantities that come through the serving model, which has an error of its own.
MODELLED = frozenset({"predicted_throughput", "predicted_tpot", "predicted_tokens_per_tflop", "useful_share",
                      "served_throughput", "served_ratio", "tokens_per_joule", "electricity_cost",
                      "capital_cost", "token_cost", "rental_cost", "accelerators_to_serve",
                       "matched_throughput", "prefill_per_decode"})  # fmt: skip
ONE = units.Q(1, "accelerator")


# --- of a model alone ----------------------------------------------------------------------------


def _model(specs: Specs, name: str) -> Model:
    if name not in specs.models:
        raise NotStated(f"{name} is not a model of this table")
    return load_model(specs.models[name])


@derivation("sum of the parameters of all layers, embedding and head, from the model's config.json")
def parameters(specs: Specs, subject: str) -> Quantity:
    """The parameters of a model."""
    return units.Q(_model(specs, subject).parameters, "count").to("billion")


@derivation("two FLOP for each weight that a token meets + attention over half of the prompt")
def flop_per_prompt_token(specs: Specs, subject: str, *, context: Numbers) -> Quantity:
    """The operations of one prompt token, over a prompt of `context` tokens."""
    flop = prefill_flop(_model(specs, subject), context)
    return units.Q(sum(flop.values()), "FLOP/token").to("GFLOP/token")


@derivation("two FLOP for each weight that a token meets + attention over the cache")
def flop_per_output_token(specs: Specs, subject: str, *, context: Numbers) -> Quantity:
    """The operations of one output token, at `context` tokens in the cache and without drafts."""
    flop = decode_flop(_model(specs, subject), context)
    return units.Q(sum(flop.values()), "FLOP/token").to("GFLOP/token")


@derivation("elements cached for a token in all layers × bytes of one")
def kv_bytes_per_token(specs: Specs, subject: str, *, precision: str = "bf16") -> Quantity:
    """What one token leaves in the KV cache."""
    return units.Q(kv_bytes(_model(specs, subject), precision), "B/token").to("kB/token")


@derivation("weights read for a request + cache of one request")
def bytes_per_output_token(
    specs: Specs,
    subject: str,
    *,
    context: Numbers,
    batch: Numbers = 1.0,
    expert_parallel: Numbers = 0.0,
    model: str = "",
    matrix_precision: str = "",
    of: str = "all",
) -> Quantity:
    """What a chip reads from memory for one output token, at `batch` requests an accelerator.

    `of` the `weights`, the `cache` or all. Experts lie once on the ranks, without replicas; those that no
    token of the step goes to, drawn uniformly, are not read. Without drafts; ranks and model are those of
    the decode workload where none are given.
    """
    check_known("of", of, ("weights", "cache", "all"))
    if specs.parts(subject):
        raise NotStated(f"{subject} is made of accelerators: each reads for itself")
    work = specs.workloads["decode"]
    known, given = _model(specs, model or work.model), _given(expert_parallel=expert_parallel)
    ranks = dataclasses.replace(work.deployment, **given).expert_parallel

    def sizes_of(specs: Specs) -> Sizes:
        each = specs.get(subject, "ranks_per_package").m if specs.has(subject, "ranks_per_package") else 1.0
        found = Deployment(
            subject, np.maximum(ranks / each, 1.0), ranks, batch, context,
            matrix_precision=matrix_precision or eight_bit_peak(specs, subject),
        )  # fmt: skip
        return Sizes(specs, known, found, "decode")

    def weights(specs: Specs) -> Quantity:
        sizes = sizes_of(specs)
        read, _ = sizes.bytes_read()
        if known.moe_layers:
            one = known.held["moe"]["routed_experts"]
            missed = (1 - known.experts_per_token / known.routed_experts) ** (sizes.batch * sizes.ranks)
            read = read - known.moe_layers * sizes.held_bytes("routed_experts", one) * missed
        return units.Q(read / sizes.batch, "B/token").to("GB/token")

    def cache(specs: Specs) -> Quantity:
        sizes = sizes_of(specs)
        return units.Q(sizes.bytes_read()[1] / sizes.batch, "B/token").to("GB/token")

    parts = {
        "weights": ("weights of one rank that its tokens meet ÷ its requests", weights),
        "cache": ("cache that one rank reads ÷ its requests", cache),
    }
    wanted = parts if of == "all" else {of: parts[of]}
    read = [noted(specs, f"{name} for one output token", *parts[name]) for name in wanted]
    return sum(read[1:], start=read[0])


# --- published, and predicted for the same deployment --------------------------------------------


def find_measurement(specs: Specs, subject: str, measurement: str) -> Measurement:
    """The measurement of that id; refuses one of another accelerator."""
    check_known("measurement", measurement, specs.measurements)
    row = specs.measurements[measurement]
    if row.accelerator != subject:
        raise NotStated(f"measurement {measurement} is of {row.accelerator}, not of {subject}")
    return row


@derivation("tokens of a step ÷ its time, by the serving model on the deployment named")
def predicted_throughput(specs: Specs, subject: str, *, measurement: str) -> Quantity:
    """The throughput that the serving model gives for the deployment of a measurement."""
    return predict(find_measurement(specs, subject, measurement), specs).throughput


@derivation("time of a step ÷ tokens that it gives a request, by the serving model")
def predicted_tpot(specs: Specs, subject: str, *, measurement: str) -> Quantity:
    """The time per output token that the serving model gives for a decode measurement."""
    return predict(find_measurement(specs, subject, measurement), specs).tpot


@derivation("throughput published for one accelerator × accelerators")
def system_throughput(specs: Specs, subject: str, *, measurement: str) -> Quantity:
    """What all accelerators of a system give together at the throughput published for one."""
    chip = accelerator(specs, subject)
    one = specs.get(chip, "published_throughput", measurement=measurement)
    return specs.get(subject, "count", part=chip).m * one * ONE


def _per_tflop(specs: Specs, subject: str, throughput: Quantity, precision: str, basis: str) -> Quantity:
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (throughput * ONE / peak).to("token/s/TFLOPS")


@derivation("published throughput ÷ dense peak of one accelerator")
def tokens_per_tflop(
    specs: Specs, subject: str, *, measurement: str, precision: str, basis: str = "headline"
) -> Quantity:
    """The published throughput over the peak: tokens for one TFLOP of peak.

    >>> from cm384 import load_specs
    >>> figure = derive("tokens_per_tflop", "ascend-910c", load_specs(),
    ...                 measurement="CM384-PREFILL-PERFECT", precision="int8")
    >>> print(units.text(figure))
    4.447 tokens/s/TFLOPS
    """
    published = specs.get(subject, "published_throughput", measurement=measurement)
    return _per_tflop(specs, subject, published, precision, basis)


@derivation("throughput by the serving model ÷ dense peak of one accelerator")
def predicted_tokens_per_tflop(
    specs: Specs, subject: str, *, measurement: str, precision: str, basis: str = "headline"
) -> Quantity:
    """The predicted throughput over the peak: tokens for one TFLOP of peak."""
    throughput = derive("predicted_throughput", subject, specs, measurement=measurement)
    return _per_tflop(specs, subject, throughput, precision, basis)


def _budget(specs: Specs, subject: str, measurement: str) -> serving.Budget:
    row = find_measurement(specs, subject, measurement)
    return serving.time_budget(specs, load_model(specs.models[row.model]), row.deployment, row.phase)


@derivation("useful operations at the peak, or bytes at the memory bandwidth, whichever is longer")
def physical_limit(specs: Specs, subject: str, *, measurement: str) -> Quantity:
    """The least time that one accelerator could spend on a token of a measurement's deployment."""
    return units.Q(_budget(specs, subject, measurement).steps["physical limit"], "us/token")


@derivation("useful operations of a token ÷ dense peak ÷ predicted time of a token")
def useful_share(specs: Specs, subject: str, *, measurement: str) -> Quantity:
    """The share of the peak that useful operations take of the predicted time."""
    return units.Q(100 * _budget(specs, subject, measurement).useful_share, "percent")


# --- the same work on several chips --------------------------------------------------------------


def eight_bit_peak(specs: Specs, chip: str) -> str:
    """The 8-bit format that a chip has a peak in: FP8, or INT8 where it has no FP8."""
    for precision in EIGHT_BIT:
        if specs.has(chip, "peak", basis="headline", precision=precision):
            return precision
    raise NotStated(f"{chip} has no 8-bit peak")


def work(specs: Specs, workload: str) -> tuple[str, str, Deployment, float | None]:
    """Phase, model, deployment and limit of the time per token (ms) of a workload.

    A workload is a row of `workloads.csv`, or the id of a measurement, whose deployment is meant.
    """
    known: dict[str, Any] = {**specs.measurements, **specs.workloads}
    check_known("workload", workload, known)
    row = known[workload]
    return row.phase, row.model, row.deployment, float(row.tpot) if row.tpot else None


def deployed(specs: Specs, chip: str, workload: str, **changes: Any) -> Deployment:
    """A workload on a chip, with as many accelerators as hold its expert ranks; `changes` of its fields."""
    base = dataclasses.replace(work(specs, workload)[2], **changes)
    held = base.expert_parallel
    if base.accelerator and "expert_parallel" not in changes:
        held = base.accelerators * specs.get(base.accelerator, "ranks_per_package").m
    ranks = specs.get(chip, "ranks_per_package").m
    return dataclasses.replace(
        base,
        accelerator=chip,
        accelerators=np.maximum(held / ranks, 1.0),
        matrix_precision=eight_bits(specs, chip, base.matrix_precision),
        attention_precision=eight_bits(specs, chip, base.attention_precision),
    )


def serve(specs: Specs, chip: str, workload: str, model: str = "", **changes: Any) -> Result:
    """What the serving model says of a workload on a chip, or of another `model` or other fields.

    In decode the batch is the largest that fits the memory and keeps the time per token of the
    workload; where it states none, its own batch as far as it fits; where one is given, that one.
    Another model runs without drafts, whose acceptance is that of the workload's model.

    >>> from cm384 import load_specs
    >>> result = serve(load_specs(), "h100-sxm", "decode")
    >>> bool(result.tpot.m <= 50), result.phase
    (True, 'decode')
    """
    phase, name, _, limit = work(specs, workload)
    if model not in ("", name):
        changes |= {"draft_tokens": 0, "tokens_per_step": 1}
    found, known = deployed(specs, chip, workload, **changes), _model(specs, model or name)
    if phase == "prefill":
        return serving.prefill(specs, known, found)
    if "batch" in changes:
        return serving.decode(specs, known, found)
    return serving.decode_at_most(specs, known, found, limit)


def _given(**stated: Numbers) -> dict[str, Any]:
    """Those of some conditions that a caller gave: 0 stands for none."""
    return {name: value for name, value in stated.items() if np.any(value)}


@derivation("tokens of a step ÷ its time, by the serving model on a workload")
def served_throughput(
    specs: Specs,
    subject: str,
    *,
    workload: str,
    model: str = "",
    expert_parallel: Numbers = 0.0,
    tensor_parallel: Numbers = 0.0,
    batch: Numbers = 0.0,
) -> Quantity:
    """Tokens a second and accelerator that a chip serves of a workload, by the serving model.

    Of another model, over other ranks or at another batch where they are given, which broadcast; NaN
    where some of these fit in memory and others do not.
    """
    given = _given(expert_parallel=expert_parallel, tensor_parallel=tensor_parallel, batch=batch)
    return serve(specs, subject, workload, model, **given).throughput


@derivation("served throughput ÷ that of the comparator on the same work")
def served_ratio(specs: Specs, subject: str, *, comparator: str, workload: str) -> Quantity:
    """The throughput of a chip over that of another on the same work, by the serving model."""
    ours = derive("served_throughput", subject, specs, workload=workload)
    return (ours / derive("served_throughput", comparator, specs, workload=workload)).to("count")


# --- exchanges -----------------------------------------------------------------------------------


@derivation("fixed time + bytes of all copies of the tokens ÷ bandwidth, by the serving model")
def exchange_time(specs: Specs, subject: str, *, op: str, ranks: Numbers, tokens: Numbers) -> Quantity:
    """The time of one `dispatch` or `combine` of the decode workload's model.

    `tokens` is those of one expert rank, each sent to its experts; uniform routing.

    >>> from cm384 import load_specs
    >>> exchange = {"op": "dispatch", "ranks": "64", "tokens": "128"}
    >>> print(units.text(derive("exchange_time", "h800-sxm", load_specs(), **exchange)))
    186.0 µs
    """
    check_known("op", op, ("dispatch", "combine"))
    packages = ranks / specs.get(subject, "ranks_per_package").m
    found = Deployment(subject, packages, ranks, 1.0, 4096.0, matrix_precision=eight_bits(specs, subject))
    model = load_model(specs.models[specs.workloads["decode"].model])
    seconds, _ = Layers(specs, model, found, "decode").exchange(op, tokens, 1.0)
    return units.Q(seconds * 1e6, "us")


@derivation("dispatch + combine")
def exchange_round_trip(specs: Specs, subject: str, *, ranks: Numbers, tokens: Numbers) -> Quantity:
    """What the experts of one layer cost in communication: dispatch and combine together."""
    dispatch = derive("exchange_time", subject, specs, op="dispatch", ranks=ranks, tokens=tokens)
    return dispatch + derive("exchange_time", subject, specs, op="combine", ranks=ranks, tokens=tokens)


def over_scale_out(specs: Specs, chip: str) -> Specs:
    """The table in which the exchanges of a chip leave by its scale-out network alone.

    Only the bandwidth of decode changes; the fixed times stay, which is kind to the slower network.
    """
    ranks = specs.get(chip, "ranks_per_package").m
    slow = (specs.get(chip, "scale_out_bandwidth") / ranks).to("GB/s")
    keys = [key for key in specs.rows if key[:2] == (chip, "exchange_bandwidth") and "phase=decode" in key[2]]
    return specs.replace({key: min(slow, specs.rows[key][0].amount) for key in keys})


# --- energy and money ----------------------------------------------------------------------------


def _tokens(specs: Specs, system: str, workload: str) -> Quantity:
    """Tokens a second of one accelerator of a system."""
    return derive("served_throughput", accelerator(specs, system), specs, workload=workload) * ONE


@derivation("served throughput of one accelerator ÷ its share of the system's power")
def tokens_per_joule(specs: Specs, subject: str, *, workload: str) -> Quantity:
    """Tokens of a workload for one joule at full throughput."""
    power = derive("power_per_accelerator", subject, specs)
    return (_tokens(specs, subject, workload) / power).to("token/J")


@derivation("joules of a token × price of electricity ÷ utilisation")
def electricity_cost(
    specs: Specs, subject: str, *, workload: str, price: Numbers, utilisation: Numbers = 1.0
) -> Quantity:
    """What the electricity of a million tokens costs at a `price` in USD/kWh.

    The system draws its full power also in the share of the time in which it does not serve.
    """
    joules = 1 / derive("tokens_per_joule", subject, specs, workload=workload)
    return (joules * units.Q(price, "USD/kWh") / utilisation).to("USD/Mtoken")


@derivation("price of the system ÷ tokens that it serves in the life of a server")
def capital_cost(specs: Specs, subject: str, *, workload: str, utilisation: Numbers = 1.0) -> Quantity:
    """What the purchase adds to a million tokens, written off over the life of a server."""
    one, life = derive("price_per_accelerator", subject, specs), specs.get("server", "service_life")
    return (one / (_tokens(specs, subject, workload) * life * utilisation)).to("USD/Mtoken")


@derivation("price of an accelerator ÷ life of a server + its power × price of electricity")
def hourly_cost(specs: Specs, subject: str, *, price: Numbers) -> Quantity:
    """What an hour of one accelerator costs its owner, in purchase and electricity at a `price` in USD/kWh.

    A rent below it does not pay for the system.
    """
    one, life = derive("price_per_accelerator", subject, specs), specs.get("server", "service_life")
    power = derive("power_per_accelerator", subject, specs)
    return (one / life + power * units.Q(price, "USD/kWh")).to("USD/hour")


@derivation("purchase + electricity of a million tokens")
def token_cost(
    specs: Specs, subject: str, *, workload: str, price: Numbers, utilisation: Numbers = 1.0
) -> Quantity:
    """What a million tokens cost in purchase and electricity, at a `price` in USD/kWh."""
    given = {"workload": workload, "utilisation": utilisation}
    electricity = derive("electricity_cost", subject, specs, price=price, **given)
    return derive("capital_cost", subject, specs, **given) + electricity


@derivation("rent of an accelerator ÷ tokens that it serves")
def rental_cost(
    specs: Specs,
    subject: str,
    *,
    workload: str,
    usd_per_hour: Numbers,
    utilisation: Numbers = 1.0,
    model: str = "",
    expert_parallel: Numbers = 0.0,
    tensor_parallel: Numbers = 0.0,
    batch: Numbers = 0.0,
) -> Quantity:
    """What a million tokens cost on a rented chip; model, ranks and batch as in `served_throughput`."""
    given = _given(expert_parallel=expert_parallel, tensor_parallel=tensor_parallel, batch=batch)
    served = derive("served_throughput", subject, specs, workload=workload, model=model, **given)
    return (units.Q(usd_per_hour, "USD/hour") / (served * ONE * utilisation)).to("USD/Mtoken")


@derivation("accelerators of the comparator × tokens a second of one ÷ tokens a second of one here")
def accelerators_to_serve(specs: Specs, subject: str, *, comparator: str, workload: str) -> Quantity:
    """How many of a system's accelerators serve as many tokens a second as another system."""
    theirs = accelerator(specs, comparator)
    wanted = specs.get(comparator, "count", part=theirs) * _tokens(specs, comparator, workload)
    return (wanted / _tokens(specs, subject, workload)).to("count")


@derivation("accelerators × power for each × one year")
def electricity_of_a_year(specs: Specs, subject: str, *, accelerators: Numbers) -> Quantity:
    """What so many accelerators of a system take in a year, with all around them."""
    one = derive("power_per_accelerator", subject, specs)
    return (one * units.Q(1, "year") * accelerators).to("TWh")
