"""Training: what a token costs, what published runs make of a peak, and how long and on what energy
a system trains.

A published run is a row of the table, made from `training.csv`. What a system would do is *scaled*:
its accelerators times what one did in a run of another size. Model FLOP are those that the model
asks for, hardware FLOP those with recomputation; MFU and HFU divide them by a peak that is named.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from cm384.derive.derivation import derivation, derive, ratio
from cm384.physics.hardware import accelerator, power_basis
from cm384.physics.models import find_config, load_model
from cm384.physics.transformer import prefill_flop
from cm384.table import units
from cm384.table.errors import InputError, NotStated, check_known, meant
from cm384.table.frames import pd
from cm384.table.records import Numbers, TrainingRun
from cm384.table.specs import Specs
from cm384.table.units import Quantity

ONE = units.Q(1, "accelerator")
PASSES = 3  # forward, and backward for the inputs and for the weights of each product
SQUARE = 6  # FLOP of a parameter that a token meets: two in each of the passes


# --- what a token costs --------------------------------------------------------------------------


def forward_flop(specs: Specs, model: str, sequence: Numbers, mtp: str = "without") -> dict[str, Numbers]:
    """FLOP of the forward pass by operator, a token of a sequence; the output head at each position.

    With `mtp`, `mtp` holds the layers that predict further tokens, each with the head once more.
    """
    check_known("mtp", mtp, ("with", "without"))
    if model not in specs.models:
        raise NotStated(f"{model} is not a model of this table")
    found = load_model(specs.models[model])
    head = 2.0 * found.lm_head.parameters
    flop = prefill_flop(found, sequence) | {"lm_head": head}
    if mtp == "with":
        if not found.mtp_layers:
            raise NotStated(f"{model} has no MTP layers")
        layer = sum(prefill_flop(found, sequence, "mtp").values())
        flop["mtp"] = found.mtp_layers * (layer + head)
    return flop


@derivation("FLOP of the forward pass × 3: the backward pass does each product twice")
def training_flop_per_token(
    specs: Specs, subject: str, *, sequence: Numbers, mtp: str = "without"
) -> Quantity:
    """The model FLOP of one token in training, over a causal sequence.

    Megatron-LM (`num_floating_point_operations`) and PaLM, appendix B, count so.

    >>> from cm384 import load_specs
    >>> flop = derive("training_flop_per_token", "deepseek-v3", load_specs(), sequence=4096)
    >>> print(units.text(flop))
    250.5 GFLOP/token
    """
    flop = sum(forward_flop(specs, subject, sequence, mtp).values())
    return units.Q(PASSES * flop, "FLOP/token").to("GFLOP/token")


@derivation("model FLOP + FLOP of the forward pass × share of the layers that do it again")
def training_hardware_flop_per_token(
    specs: Specs, subject: str, *, sequence: Numbers, recomputed: Numbers, mtp: str = "without"
) -> Quantity:
    """The hardware FLOP of one token: with the activations of a share of the layers recomputed."""
    if np.any(np.asarray(recomputed) > 1):
        raise InputError("recomputed: expected a share above 0 and at most 1")
    flop = derive("training_flop_per_token", subject, specs, sequence=sequence, mtp=mtp)
    return flop * (1 + recomputed / PASSES)


# --- published runs ------------------------------------------------------------------------------


def find_run(specs: Specs, subject: str, run: str) -> TrainingRun:
    """The run of that id; refuses one of another accelerator than the subject is or is made of."""
    check_known("run", run, specs.runs)
    row = specs.runs[run]
    if row.accelerator not in (subject, *specs.parts(subject)):
        raise NotStated(f"run {run} is of {row.accelerator}, not of {subject}")
    return row


def runs_of(specs: Specs, subject: str, model: str, precision: str = "") -> list[TrainingRun]:
    """The pretraining runs of a model on a chip or the chips of a system, the newest first."""
    chips, wanted = (subject, *specs.parts(subject)), (model, "pretraining")
    runs = (row for row in specs.runs.values() if row.accelerator in chips)
    found = [row for row in runs if (row.model, row.stage) == wanted and precision in ("", row.precision)]
    return sorted(found, key=lambda row: (row.date, row.edition), reverse=True)


def marked(row: TrainingRun) -> str:
    """What must stand beside the throughput of a run wherever it is shown."""
    return "unit inferred" if "unit" in row.assumed.split(";") else ""


def _published(specs: Specs, subject: str, run: str) -> Quantity:
    row = find_run(specs, subject, run)
    return specs.get(row.accelerator, "published_training_throughput", run=run) * ONE


@derivation("throughput published for one accelerator × accelerators, scaled from those that ran")
def training_throughput(specs: Specs, subject: str, *, run: str) -> Quantity:
    """The tokens a second that a chip trained in a run, or that a system would: scaled.

    >>> from cm384 import load_specs
    >>> found = derive("training_throughput", "gb200-nvl72", load_specs(), run="MBRIDGE-2511-GB200-BF16")
    >>> print(units.text(found, 6))
    226,008 tokens/s
    """
    one = _published(specs, subject, run)
    if not specs.parts(subject):
        return one
    return (specs.get(subject, "count", part=accelerator(specs, subject)) * one).to("token/s")


def run_flop(specs: Specs, row: TrainingRun) -> Quantity:
    """The model FLOP of a token of a run: by its model, or 6 × active parameters, attention left out."""
    if row.model and row.sequence:
        given = {"sequence": row.sequence, "mtp": row.mtp or "without"}
        return derive("training_flop_per_token", row.model, specs, **given)
    if row.active:
        return units.Q(SQUARE * float(row.active), "GFLOP/token")
    raise NotStated(f"run {row.id}: neither model and sequence nor active parameters are known")


def _peak(specs: Specs, row: TrainingRun, precision: str, basis: str) -> Quantity:
    if not (named := precision or row.precision):
        raise NotStated(f"run {row.id}: its precision is not stated")
    return derive("peak", row.accelerator, specs, precision=named, basis=basis)


@derivation("published throughput × model FLOP of a token ÷ dense peak of one accelerator")
def mfu(specs: Specs, subject: str, *, run: str, precision: str = "", basis: str = "matrix") -> Quantity:
    """The model FLOP utilisation that a run implies on a peak: without `precision`, that of its own.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("mfu", "ascend-910c", load_specs(), run="MINDSPEED-A3-V3"), 3))
    33.7 %
    """
    row = find_run(specs, subject, run)
    rate = _published(specs, subject, run) * run_flop(specs, row)
    return (rate / _peak(specs, row, precision, basis)).to("percent")


@derivation("MFU × hardware FLOP ÷ model FLOP: the forward pass again in the layers recomputed")
def hfu(specs: Specs, subject: str, *, run: str, precision: str = "", basis: str = "matrix") -> Quantity:
    """The hardware FLOP utilisation of a run: with what it recomputes."""
    if not (share := find_run(specs, subject, run).recomputed):
        raise NotStated(f"run {run}: the share of layers that it recomputes is not known")
    used = derive("mfu", subject, specs, run=run, precision=precision, basis=basis)
    return used * (1 + float(share) / PASSES)


@derivation("published MFU × dense peak ÷ published throughput of one accelerator")
def training_flop_from_mfu(
    specs: Specs, subject: str, *, run: str, precision: str = "", basis: str = "headline"
) -> Quantity:
    """The FLOP of a token at which the published MFU and throughput of a run agree."""
    row = find_run(specs, subject, run)
    claimed = specs.get(row.accelerator, "published_mfu", run=run)
    peak = _peak(specs, row, precision or row.mfu_precision, basis)
    return (claimed * peak / _published(specs, subject, run)).to("GFLOP/token")


@derivation("MFU × dense peak ÷ model FLOP of a token")
def training_throughput_by_mfu(
    specs: Specs, subject: str, *, model: str, sequence: Numbers, precision: str, mfu: Numbers,
    basis: str = "matrix", mtp: str = "without"
) -> Quantity:  # fmt: skip
    """The tokens a second that a chip or system would train at an MFU, a share of 1, of a peak."""
    if np.any(np.asarray(mfu) > 1):
        raise InputError(f"mfu: expected a share above 0 and at most 1, such as 0.35, got {np.max(mfu):g}")
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    flop = derive("training_flop_per_token", model, specs, sequence=sequence, mtp=mtp)
    return (peak * mfu / flop).to("token/s")


# --- systems -------------------------------------------------------------------------------------


@derivation("tokens ÷ scaled throughput of the systems")
def training_time(
    specs: Specs, subject: str, *, run: str, tokens: Numbers, systems: Numbers = 1.0
) -> Quantity:
    """The days in which a number of systems would train on so many tokens, without a stop."""
    rate = derive("training_throughput", subject, specs, run=run)
    return (units.Q(tokens, "token") / (systems * rate)).to("day")


@derivation("scaled throughput ÷ power of the system")
def training_tokens_per_joule(specs: Specs, subject: str, *, run: str) -> Quantity:
    """The tokens that a system would train for one joule: all-in, or by the label where no source says."""
    power = derive("system_power", subject, specs)
    return (derive("training_throughput", subject, specs, run=run) / power).to("token/J")


@derivation("tokens ÷ tokens for one joule")
def training_energy(specs: Specs, subject: str, *, run: str, tokens: Numbers) -> Quantity:
    """The energy that systems of a kind would take to train on so many tokens, however many they are."""
    each = derive("training_tokens_per_joule", subject, specs, run=run)
    return (units.Q(tokens, "token") / each).to("GWh")


@derivation("scaled throughput ÷ price of the system")
def training_throughput_per_price(specs: Specs, subject: str, *, run: str) -> Quantity:
    """The tokens a second that a system would train for each 1,000 USD of its price."""
    accelerator(specs, subject)
    rate = derive("training_throughput", subject, specs, run=run)
    return (rate / specs.get(subject, "price")).to("token/s/kUSD")


@derivation("scaled throughput ÷ that of the comparator by a run of its own")
def training_ratio(specs: Specs, subject: str, *, run: str, comparator: str, against: str) -> Quantity:
    """How many times the throughput of the comparator a system would train; refuses runs of two models."""
    ours, theirs = find_run(specs, subject, run), find_run(specs, comparator, against)
    if ours.model != theirs.model or not ours.model:
        told = [row.model or "a model that is not stated" for row in (ours, theirs)]
        raise InputError(f"runs {run} and {against}: one is of {told[0]}, the other of {told[1]}")
    return ratio("training_throughput", subject, comparator, specs, {"run": against}, run=run)


def forecast(
    specs: Specs, model: str, subject: str, *, tokens: float | None = None, run: str = "",
    precision: str = "", mfu: float | None = None, sequence: float = 4096
) -> pd.DataFrame:  # fmt: skip
    """A line for each run of a model on a chip or system, the newest first, or one at an MFU.

    Tokens a second of a chip and of the subject, MFU on the peak of the run's precision (matrix units),
    days and GWh for `tokens`, or those that the model was trained on; without a source NaN. InputError
    where there is neither run nor MFU, and for a run of another model.
    """
    config = find_config(model)
    model = config.path.stem if config.path.stem in specs.models else model  # `v3` is deepseek-v3
    specs = dataclasses.replace(specs, models={**specs.models, model: config})
    subject = meant("chip or system", subject, [*specs.chips, *specs.systems])
    if run and find_run(specs, subject, run).model != model:
        trained = specs.runs[run].model or "a model that is not stated"
        raise InputError(f"run {run} trains {trained}, not {model}")
    if tokens is None:
        tokens = float(specs.get(model, "training_tokens").to("token").m)
    if mfu is not None:
        given = {"model": model, "sequence": sequence, "precision": precision or "bf16", "mfu": mfu}
        rate = derive("training_throughput_by_mfu", subject, specs, **given)
        return pd.DataFrame([{"run": "at an MFU", "precision": given["precision"], "mfu": 100 * mfu}
                             | _takes(specs, subject, rate, tokens)])  # fmt: skip
    rows = [specs.runs[run]] if run else runs_of(specs, subject, model, precision)
    if not rows:
        asked = " ".join(filter(None, [model, precision and f"in {precision.upper()}"]))
        raise NotStated(f"no run of {asked} on {subject} is published: it needs an mfu, such as 0.35")
    return pd.DataFrame([_line(specs, subject, row, tokens) for row in rows])


def _line(specs: Specs, subject: str, row: TrainingRun, tokens: float) -> dict[str, object]:
    rate = derive("training_throughput", subject, specs, run=row.id)
    count = float((rate / _published(specs, subject, row.id)).to("count").m)
    scaled = "" if count == float(row.accelerators or count) else "scaled"
    used = derive("mfu", row.accelerator, specs, run=row.id).m
    return {"run": row.id, "edition": row.edition, "precision": row.precision, "chips_run": row.accelerators,
            "mtp": row.mtp, "mfu": used, "tokens_per_s_per_chip": float(rate.m) / count,
            **_takes(specs, subject, rate, tokens),
            "said": "; ".join(filter(None, [marked(row), scaled]))}  # fmt: skip


def _takes(specs: Specs, subject: str, rate: Quantity, tokens: float) -> dict[str, object]:
    time = units.Q(tokens, "token") / rate
    try:
        power, basis = derive("system_power", subject, specs), power_basis(specs, subject)
    except NotStated:
        power, basis = units.Q(np.nan, "kW"), ""
    return {"tokens_per_s": float(rate.m), "days": float(time.to("day").m),
            "gwh": float((time * power).to("GWh").m), "power": basis}  # fmt: skip
