"""Published and predicted throughput as derivations, so that claims can be made of them.

A published figure is a row of the table, made from `measurements.csv`; a predicted one is the
serving model on the deployment of that measurement. The condition `measurement` names it.
"""

from __future__ import annotations

from typing import Any

from cm384 import units
from cm384.derivation import derivation, derive
from cm384.errors import InputError, check_known
from cm384.serving import Result
from cm384.specs import Specs
from cm384.validation import Measurement, predict, summary, validate

# Quantities that come through the serving model, which has an error of its own.
MODELLED = frozenset({"predicted_throughput", "predicted_tpot", "predicted_tokens_per_tflop"})


def find_measurement(specs: Specs, subject: str, measurement: str) -> Measurement:
    """The measurement of that id; refuses one of another accelerator."""
    check_known("measurement", measurement, specs.measurements)
    row: Measurement = specs.measurements[measurement]
    if row.accelerator != subject:
        raise InputError(f"measurement {measurement} is of {row.accelerator}, not of {subject}")
    return row


def _result(specs: Specs, subject: str, measurement: str) -> Result:
    return predict(find_measurement(specs, subject, measurement), specs)


@derivation("sum of the parameters of all layers, embedding and head, from the model's config.json")
def parameters(specs: Specs, subject: str) -> Any:
    """The parameters of a model."""
    check_known("model", subject, specs.models)
    return units.Q(specs.models[subject].parameters, "count").to("billion")


@derivation("tokens of a step ÷ its time, by the serving model on the deployment named")
def predicted_throughput(specs: Specs, subject: str, *, measurement: str) -> Any:
    """The throughput that the serving model gives for the deployment of a measurement."""
    return _result(specs, subject, measurement).throughput


@derivation("time of a step ÷ tokens that it gives a request, by the serving model")
def predicted_tpot(specs: Specs, subject: str, *, measurement: str) -> Any:
    """The time per output token that the serving model gives for a decode measurement."""
    return _result(specs, subject, measurement).tpot


def _per_tflop(specs: Specs, subject: str, throughput: Any, precision: str, basis: str) -> Any:
    peak = derive("peak", subject, specs, precision=precision, basis=basis)
    return (throughput * units.Q(1, "accelerator") / peak).to("token/s/TFLOPS")


@derivation("published throughput ÷ dense peak of one accelerator")
def tokens_per_tflop(
    specs: Specs, subject: str, *, measurement: str, precision: str, basis: str = "headline"
) -> Any:
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
) -> Any:
    """The predicted throughput over the peak: tokens for one TFLOP of peak."""
    throughput = predicted_throughput(specs, subject, measurement=measurement)
    return _per_tflop(specs, subject, throughput, precision, basis)


def model_error(specs: Specs, measurement: str) -> float:
    """The 90th percentile of the model's error over well specified rows of that phase.

    The rows of the document that the measurement is from are left out, so that no claim is judged
    by itself.
    """
    named: Measurement = specs.measurements[measurement]
    others = [
        row
        for row in specs.measurements.values()
        if row.phase == named.phase and row.source != named.source and not row.assumed
    ]
    table = summary(validate(others, specs))
    return float(table["nine in ten"].iloc[0])
