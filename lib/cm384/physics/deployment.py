"""What of a deployment cannot be: fields out of range, ranks that do not divide."""

from __future__ import annotations

from typing import Any

import numpy as np

from cm384.physics.kernels import Machine
from cm384.physics.transformer import Model, bytes_per_element
from cm384.table.errors import InputError, check_known
from cm384.table.records import ROUTINGS, Deployment

WHOLE = ("accelerators", "expert_parallel", "tensor_parallel", "microbatches", "draft_tokens")
LEAST = {"accelerators": 1, "expert_parallel": 1, "tensor_parallel": 1, "batch": 0, "context": 1,
         "output": 0, "microbatches": 1, "draft_tokens": 0, "tokens_per_step": 1}  # fmt: skip


def check_fields(d: Deployment, model: Model, phase: str) -> None:
    """Refuse a deployment whose fields cannot be; one line that names the field."""
    check_known("routing", d.routing, ROUTINGS)
    for field, least in LEAST.items():
        given = getattr(d, field)
        plain = isinstance(given, int | float)
        low, high = (given, given) if plain else (np.min(given), np.max(given))
        strict = field == "batch"
        valid = least <= low and high < np.inf and not (strict and low == 0)
        if field in WHOLE and valid:
            valid = bool(np.all(np.asarray(given) == np.floor(given)))
        if not valid:
            kind = "a whole number, " if field in WHOLE else ""
            bound = "more than 0" if strict else f"at least {least}"
            raise InputError(f"{field}: expected {kind}{bound}, not {given}")
    if np.any(np.asarray(d.microbatches) > 2):
        raise InputError("microbatches: expected 1 or 2")
    drafts = np.asarray(d.draft_tokens)
    if np.any(drafts > 0) and not model.mtp_layers:
        raise InputError(f"draft_tokens: {model.name} has no layer that drafts (MTP)")
    if phase == "decode":
        if np.any(wrong := np.asarray(d.tokens_per_step) > drafts + 1):
            tokens, most = one_of(wrong, d.tokens_per_step, drafts + 1)
            raise InputError(f"tokens_per_step: expected 1 to draft_tokens + 1 = {most:g}, "
                             f"not {tokens:g}")  # fmt: skip
        if np.any(wrong := np.asarray(d.context) < drafts + 1):
            context, step = one_of(wrong, d.context, drafts + 1)
            raise InputError(f"context: expected at least {step:g}, the tokens of one step, "
                             f"not {context:g}")  # fmt: skip
    bytes_per_element(d.kv_precision)


def axes_of(d: Deployment) -> int:
    """How many axes the arrays of a deployment have together; refuses arrays that do not fit."""
    shapes = {field: np.shape(getattr(d, field)) for field in LEAST}
    try:
        return len(np.broadcast_shapes(*shapes.values()))
    except ValueError:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise InputError(f"arrays of a deployment do not broadcast: {told}") from None


def check_ranks(d: Deployment, machine: Machine, model: Model) -> None:
    """Refuse ranks that do not divide; one line that names the field."""
    total = np.asarray(d.accelerators) * machine.ranks
    for field in ("expert_parallel", "tensor_parallel"):
        group = getattr(d, field)
        if np.any(wrong := total % group > 0):
            ranks, size = one_of(wrong, total, group)
            raise InputError(f"{field}: {ranks:g} ranks do not divide into groups of {size:g}")
    experts, tensor = np.asarray(d.expert_parallel), np.asarray(d.tensor_parallel)
    if np.any(wrong := model.attention.heads % tensor > 0):
        (size,) = one_of(wrong, tensor)
        raise InputError(f"tensor_parallel: the {model.attention.heads} heads of {model.name} do "
                         f"not divide over {size:g} ranks")  # fmt: skip
    if np.any(wrong := (experts % tensor > 0) & (tensor % experts > 0)):
        ranks, size = one_of(wrong, experts, tensor)
        raise InputError(f"expert_parallel: expected a multiple or a divisor of "
                         f"tensor_parallel = {size:g}, not {ranks:g}")  # fmt: skip


def one_of(wrong: Any, *values: Any) -> list[float]:
    """The values of the first configuration that is wrong."""
    return [float(np.broadcast_to(value, np.shape(wrong))[wrong].flat[0]) for value in values]
