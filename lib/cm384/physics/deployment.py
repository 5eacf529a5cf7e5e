"""What of a deployment cannot be: fields out of range, ranks that do not divide."""

from __future__ import annotations

from typing import Any

import numpy as np

from cm384.physics.arrays import PLAIN, any, floor, inf, number
from cm384.physics.transformer import Model, bytes_per_element
from cm384.table.errors import InputError, check_known
from cm384.table.records import FOUR_BIT_WEIGHTS, MATRIX_PRECISIONS, ROUTINGS, Deployment

WHOLE = ("accelerators", "expert_parallel", "tensor_parallel", "microbatches", "draft_tokens")
ABOVE_0 = 5e-324  # the smallest number
LEAST = {"accelerators": 1, "expert_parallel": 1, "tensor_parallel": 1, "batch": ABOVE_0, "context": 1,
         "output": 0, "microbatches": 1, "draft_tokens": 0, "tokens_per_step": 1}  # fmt: skip


def check_fields(d: Deployment, model: Model, phase: str) -> None:
    """Refuse a deployment whose fields cannot be; one line that names the field."""
    check_known("routing", d.routing, ROUTINGS)
    for field, least in LEAST.items():
        value, whole = getattr(d, field), field in WHOLE
        if type(value) in PLAIN and least <= value < inf and not (whole and value % 1):
            continue
        value = number(value)
        valid = (value >= least) & (value < inf)
        if field == "tokens_per_step":  # what is not stated may be published
            valid = valid | (value != value)
        if whole:
            valid = valid & (value == floor(value))
        if not np.all(valid):
            kind = "a whole number, " if whole else ""
            bound = "more than 0" if least == ABOVE_0 else f"at least {least}"
            wrong = np.asarray(value)[~np.asarray(valid)]
            raise InputError(f"{field}: expected {kind}{bound}, not {wrong.flat[0]:g}")
    if any(number(d.microbatches) > 2):
        raise InputError("microbatches: expected 1 or 2")
    step = number(d.draft_tokens) + 1
    if any(step > 1) and not (model.mtp_layers or d.drafter):
        told = "has no layer that drafts (MTP); name a model that does as the drafter"
        raise InputError(f"draft_tokens: {model.name} {told}")
    if phase == "decode":
        tokens, context = number(d.tokens_per_step), number(d.context)
        told = "tokens_per_step: expected 1 to draft_tokens + 1 = {step:g}, not {tokens:g}"
        refuse(tokens > step, told, step=step, tokens=tokens)
        told = "context: expected at least {step:g}, the tokens of one step, not {context:g}"
        refuse(context < step, told, step=step, context=context)
    for precision in (d.attention_precision, d.kv_precision):
        bytes_per_element(precision)
    check_known("precision", d.matrix_precision, MATRIX_PRECISIONS)
    if model.four_bit and d.matrix_precision not in ("fp4", *FOUR_BIT_WEIGHTS):
        told = f"{model.name} keeps its experts in {model.four_bit}; expected w4a8 or w4a16"
        raise InputError(f"matrix_precision: {told}, not {d.matrix_precision}")
    if model.untimed:
        raise InputError(model.untimed)


def axes_of(d: Deployment) -> int:
    """How many axes the arrays of a deployment have together; refuses arrays that do not fit."""
    fields = {field: getattr(d, field) for field in LEAST}
    if all(isinstance(value, float | int) for value in fields.values()):
        return 0
    shapes = {name: np.shape(value) for name, value in fields.items()}
    try:
        return len(np.broadcast_shapes(*shapes.values()))
    except ValueError:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise InputError(f"arrays of a deployment do not broadcast: {told}") from None


def check_ranks(d: Deployment, ranks_per_package: Any, model: Model) -> None:
    """Refuse ranks that do not divide; one line that names the field."""
    total = number(d.accelerators) * ranks_per_package
    experts, tensor = number(d.expert_parallel), number(d.tensor_parallel)
    for field, group in (("expert_parallel", experts), ("tensor_parallel", tensor)):
        told = field + ": {ranks:g} ranks do not divide into groups of {size:g}"
        refuse(total % group > 0, told, ranks=total, size=group)
    heads = model.attention.heads
    told = "tensor_parallel: the {heads} heads of {model} do not divide over {size:g} ranks"
    refuse(heads % tensor > 0, told, heads=heads, model=model.name, size=tensor)
    told = "expert_parallel: expected a multiple or a divisor of tensor_parallel = {size:g}, not {ranks:g}"
    refuse((experts % tensor > 0) & (tensor % experts > 0), told, size=tensor, ranks=experts)


def refuse(wrong: Any, told: str, **values: Any) -> None:
    """Refuse what is wrong; `told` is filled with the values of the first such configuration."""
    if any(wrong):
        wrong = np.asarray(wrong)
        every = {name: np.broadcast_to(value, np.shape(wrong)) for name, value in values.items()}
        raise InputError(told.format(**{name: value[wrong].flat[0] for name, value in every.items()}))
