"""The model held to what was measured: throughputs that it was never fitted to.

A row that cannot be computed stays, with the reason, and counts as a miss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from cm384.physics import estimate, kernels, load, serving
from cm384.physics.estimate import Estimated
from cm384.physics.kernels import EIGHT_BIT
from cm384.physics.models import load_model
from cm384.physics.transformer import Model
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.frames import pd
from cm384.table.records import FOUR_BIT_WEIGHTS, NUMBERS, PRECISIONS, PREFILL, Measurement
from cm384.table.specs import Specs, load_third_party

COARSE, FEW = 0.25, 5  # an error above the one, or from fewer documents, settles little


def validate(rows: Iterable[Measurement], specs: Specs, settings: bool = False) -> pd.DataFrame:
    """One line a measurement: measured and predicted tokens/s per accelerator, and the error.

    The error is predicted ÷ measured − 1. Of users in a closed loop both are as if no request waited for
    its first token, so that the error is that of the time per token. With `settings` each row is computed
    with those of its software, where the table has any; else all with the one default. A chip without
    kernels gets an estimate, marked by its span in `low` and `high`, which counts in no error of the model.
    """
    rows = list(rows)
    told: dict[int, Told] = {}
    alike: dict[tuple[Any, ...], list[int]] = {}
    for i, row in enumerate(rows):
        try:
            stated = row.deployment, row.loop, model_of(row, specs)
        except InputError as error:
            told[i] = Told(reason=str(error))
        else:
            looped = stated[1] is not None
            words = (getattr(row, name) for name in ALIKE)
            stack = row.stack if settings and row.stack in specs.subjects else ""
            alike.setdefault((looped, stack, *words), []).append(i)
    for (_, stack, *_), places in alike.items():
        first = rows[places[0]]
        try:
            table = estimate.with_kernels(specs, first.accelerator, model_of(first, specs))
        except InputError as error:
            told |= dict.fromkeys(places, Told(reason=str(error)))
        else:
            told |= _predicted(places, rows, table, stack)
    lines = [
        {"id": row.id, "model": row.model, "accelerator": row.accelerator, "phase": row.phase,
         "batch": float(row.batch or np.nan), "context": float(row.context or np.nan),
         "assumed": row.taken, "measured": row.measured, "predicted": told[i].central,
         "low": told[i].low, "high": told[i].high, "error": told[i].central / row.measured - 1,
         "ttft": float(row.ttft or np.nan), "predicted_ttft": told[i].ttft, "reason": told[i].reason}
        for i, row in enumerate(rows) if row.throughput or row.tpot
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=[*LINE])


# Rows that agree in these are computed at once; numbers differ, words do not.
ALIKE = ("model", "accelerator", "phase", "routing", "drafter", *PRECISIONS, "serving")
LINE = ("id", "model", "accelerator", "phase", "batch", "context", "assumed", "measured", "predicted",
        "low", "high", "error", "ttft", "predicted_ttft", "reason")  # fmt: skip


class Told(NamedTuple):
    """What the model says of a row; `low` and `high` are of an estimate alone, `ttft` of a loop, in ms."""

    central: float = np.nan
    low: float = np.nan
    high: float = np.nan
    reason: str = ""
    ttft: float = np.nan


def _predicted(places: list[int], rows: list[Measurement], specs: Specs, stack: str) -> dict[int, Told]:
    """What the model says of some rows, all at once; where one is refused, of each half by itself."""
    try:
        result = predict_alike([rows[i] for i in places], specs, stack)
    except InputError as error:
        if len(places) == 1:
            return {places[0]: Told(reason=str(error))}
        half = len(places) // 2
        return _predicted(places[:half], rows, specs, stack) | _predicted(places[half:], rows, specs, stack)
    first = result.ttft.m if isinstance(result, load.Loaded) else np.nan
    rates, waits = (
        np.moveaxis(np.broadcast_to(found, (*np.shape(found)[:-1], len(places))), -1, 0)
        for found in (result.throughput.m, first)
    )
    told = {i: _told(*each) for i, *each in zip(places, rates, waits, strict=True)}
    for i in [i for i, (value, *_) in told.items() if np.isnan(value) and len(places) > 1]:
        told |= _predicted([i], rows, specs, stack)  # alone it says why it does not fit
    return told


def _told(rate: Any, first: Any) -> Told:
    """One prediction, or one for each chip whose shares stand in for kernels."""
    if not np.ndim(rate):
        return Told(float(rate), ttft=float(first))
    several = Estimated(rate)
    span = float(several.central), float(several.low), float(several.high)
    return Told(*span, str(several), float(np.median(first)))


def is_estimate(lines: pd.DataFrame) -> pd.Series:
    """Which lines are of a chip without kernels: none of them counts in an error of the model."""
    return lines["low"].notna() if "low" in lines else pd.Series(data=False, index=lines.index)


def predict_alike(rows: Sequence[Measurement], specs: Specs, stack: str = "") -> serving.Result:
    """What the model says of rows that differ in numbers alone; arrays of one number a row."""
    deployments, loops = [row.deployment for row in rows], [row.loop for row in rows]
    numbers: dict[str, Any] = {n: np.array([float(getattr(d, n)) for d in deployments]) for n in NUMBERS}
    found = dataclasses.replace(deployments[0], software=stack, **numbers)
    first = loops[0]
    if first:
        wanted = ("concurrency", "prompt", "workers", "ttft", *PREFILL)
        given: dict[str, Any] = {n: np.array([float(getattr(loop, n)) for loop in loops]) for n in wanted}
        return load.closed_loop(specs, model_of(rows[0], specs), found, dataclasses.replace(first, **given))
    phase = serving.prefill if rows[0].phase == "prefill" else serving.decode
    return phase(specs, model_of(rows[0], specs), found)


def model_of(row: Measurement, specs: Specs) -> Model:
    """The model that a row is about: of the table, or of the path of a config."""
    return load_model(specs.models.get(row.model, row.model))


def predict(row: Measurement, specs: Specs, **changes: Any) -> serving.Result:
    """What the model says of a row's deployment, with some fields changed."""
    found = dataclasses.replace(row.deployment, **changes)
    if loop := row.loop:
        return load.closed_loop(specs, model_of(row, specs), found, loop)
    phase = serving.prefill if row.phase == "prefill" else serving.decode
    return phase(specs, model_of(row, specs), found)


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """Median and 90th percentile of the absolute error by phase and accelerator.

    For all rows and for the well specified ones, in which nothing had to be assumed. A row that
    could not be computed is as far off as can be. Estimates, if any, are a group of their own.
    """
    found = []
    model, estimates = lines[~is_estimate(lines)], lines[is_estimate(lines)]
    groups = {"all": model, "well specified": model[model["assumed"] == ""]}
    for rows, chosen in (groups | ({"estimated": estimates} if len(estimates) else {})).items():
        found.append({"rows": rows, "phase": "", "accelerator": "", **spread(chosen)})
        for phase, group in chosen.groupby("phase", sort=False):
            found.append({"rows": rows, "phase": phase, "accelerator": "", **spread(group)})
            for chip, part in group.groupby("accelerator", sort=False):
                found.append({"rows": rows, "phase": phase, "accelerator": chip, **spread(part)})
    return pd.DataFrame(found)


def spread(lines: pd.DataFrame) -> dict[str, Any]:
    """Number, median and 90th percentile of the absolute error, and bias; a row without one is a miss."""
    errors = lines["error"].fillna(np.inf).abs()
    if errors.empty:
        return {"n": 0, "median": np.nan, "nine in ten": np.nan, "bias": np.nan}
    most = float(np.quantile(errors, 0.9, method="inverted_cdf"))
    half, bias = float(errors.median()), float(lines["error"].median())
    return {"n": len(errors), "median": half, "nine in ten": most, "bias": bias}


def in_words(lines: pd.DataFrame) -> str:
    """The accuracy in one line; estimates apart, with how often their span holds what was measured."""
    parts = []
    estimates, lines = lines[is_estimate(lines)], lines[~is_estimate(lines)]
    groups = {"rows": lines, "well specified": lines[lines["assumed"] == ""], "estimated": estimates}
    for rows, chosen in groups.items():
        found = spread(chosen)
        if found["n"]:
            told = [f"{words} within {units.percent(found[name], 1)}"
                    for words, name in (("half", "median"), ("nine in ten", "nine in ten"))
                    if np.isfinite(found[name])]  # fmt: skip
            parts.append(f"{found['n']} {rows}: {', '.join(told) or 'most cannot be computed'}")
    if len(estimates):
        held = estimates["measured"].between(estimates["low"], estimates["high"]).sum()
        parts[-1] += f", {held} within the span"
    if missing := int(lines["error"].isna().sum()):
        parts.append(f"{missing} cannot be computed")
    return "; ".join(parts)


def first_in_words(lines: pd.DataFrame) -> str:
    """How far off the times to the first token are, in one line; empty if there are none."""
    off = (lines["predicted_ttft"] / lines["ttft"] - 1).dropna()
    if off.empty:
        return ""
    half = units.percent(float(off.abs().median()))
    return (f"{len(off)} times to the first token, at least so long, as nothing is known of the host: half "
            f"within {half}, {units.percent(float((off < 0).mean()))} below what was measured")  # fmt: skip


def stacks(rows: Iterable[Measurement], specs: Specs) -> list[str]:
    """The software of some rows of which the table has settings."""
    return sorted({row.stack for row in rows} & specs.subjects)


def shown(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines as a terminal shows them."""

    def rate(value: float) -> str:
        return format(value, ",.4g" if value < 1000 else ",.0f") if np.isfinite(value) else "–"

    def share(value: float) -> str:
        return units.percent(value, 1, "+") if np.isfinite(value) else "–"

    forms = {"measured": rate, "predicted": rate, "error": share}
    kept = ("id", "accelerator", "phase", "term", "assumed", *forms, "reason")
    told = lines[[name for name in kept if name in lines]]
    return told.assign(**{name: [form(value) for value in told[name]] for name, form in forms.items()})


@dataclass(frozen=True)
class ModelError:
    """The error that nine in ten documents keep: each counts once, whatever number of runs it has.

    Of a ratio of two predictions it is that of ratios, one pair for each pair of documents.
    """

    size: float
    documents: int
    ratio: bool = False

    @property
    def coarse(self) -> bool:
        """Whether it settles nothing smaller than a factor of two."""
        return self.size > COARSE or self.documents < FEW

    def band(self, low: Any, high: Any) -> tuple[Any, Any]:
        """A span widened by the error on both sides.

        >>> ModelError(0.1, 9).band(100, 200), ModelError(0.1, 4).band(100, 200)
        ((90.0, 220.00000000000003), (50.0, 400.0))
        """
        if self.coarse:
            factor = max(2.0, 1 + self.size)
            return low / factor, high * factor
        return low * (1 - self.size), high * (1 + self.size)

    def __str__(self) -> str:
        if not np.isfinite(self.size):
            return f"an error that no {'pairs of ' if self.ratio else ''}documents tell"
        pairs = "ratios of pairs of" if self.ratio else "of"
        tail = ", which settles nothing smaller than a factor of two" if self.coarse else ""
        kept = f"an error within {units.percent(self.size)} in nine of ten"
        return f"{kept} {pairs} {self.documents} documents{tail}"


def document(row: Measurement) -> str:
    """What counts once in an error: a document, or each software that one document has runs of."""
    return f"{row.source}, {row.software}" if row.software else row.source


def by_document(rows: Iterable[Measurement], specs: Specs) -> dict[str, float]:
    """The median of log(predicted ÷ measured) over the runs of each document; NaN if none can be computed."""
    if not (rows := list(rows)):
        return {}
    lines = validate(rows, specs).assign(document=[document(row) for row in rows])
    lines = lines[~is_estimate(lines)]
    lines["off"] = np.log1p(lines["error"])
    return {str(name): float(part["off"].median()) for name, part in lines.groupby("document", sort=False)}


def counted(specs: Specs, phases: Iterable[str]) -> list[Measurement]:
    """The runs of some phases that an error is made of: measured ones whose source states every setting.

    Those of this table, and those of third parties, on chips that have kernels: an estimate is not counted.
    """
    known = [*specs.measurements.values(), *load_third_party()]
    return [row for row in known if row.phase in phases and not row.taken and row.as_run
            and kernels.kernel_precisions(specs, row.accelerator)]  # fmt: skip


# Errors by phases and document of each table, for as long as it is used.
_ERRORS: WeakKeyDictionary[Specs, dict[frozenset[str], dict[str, float]]] = WeakKeyDictionary()


def model_error(specs: Specs, *named: str, ratio: bool = False) -> ModelError:
    """The error of the model in the phase of some measurements or workloads, by document.

    Well specified measured runs count, those of the documents that the named ones are from left out, so
    that no claim is judged by itself.
    """
    known = [specs.measurements[specs.workloads[n].error_of if n in specs.workloads else n] for n in named]
    phases, sources = frozenset(row.phase for row in known), {row.source for row in known}
    runs, errors = counted(specs, phases), _ERRORS.setdefault(specs, {})
    if phases not in errors:
        errors[phases] = by_document(runs, specs)
    own = {document(row) for row in runs if row.source in sources}
    off = [size for name, size in errors[phases].items() if name not in own]
    logs = np.array(off)
    if ratio:
        logs = np.array([abs(one - other) for one, other in combinations(logs, 2)])
    sizes = np.nan_to_num(np.abs(np.expm1(logs)), nan=np.inf)
    size = float(np.quantile(sizes, 0.9, method="inverted_cdf")) if len(sizes) else np.inf
    return ModelError(size, len(off), ratio)


# --- the error of a kind of case ------------------------------------------------------------------

KIND = ("attention", "accelerator", "serving")  # an empty cell stands for all of them
ERRORS = ("runs", "documents", "half", "nine_in_ten", "bias", "first_tokens", "first_half_ms", "first_bias")


def errors_by_kind(rows: Iterable[Measurement], specs: Specs) -> pd.DataFrame:
    """How far off the model is, by phase and by kind of attention, chip and serving, and all of each.

    Over the measured runs among `rows` that it answers; estimates do not count. Of times to the first token
    half are off by at most `first_half_ms`.
    """
    runs = [row for row in rows if row.as_run and (row.throughput or row.tpot)]
    lines = validate(runs, specs).assign(
        document=[document(row) for row in runs],
        attention=[_attention(row, specs) for row in runs],
        serving=[row.serving for row in runs],
    )
    lines = lines[lines["error"].notna() & ~is_estimate(lines)]
    found = []
    for every in product((False, True), repeat=len(KIND)):
        named = lines.assign(**{name: "" for name, all_of in zip(KIND, every, strict=True) if all_of})
        for kind, group in named.groupby(["phase", *KIND]):
            if all(all_of == (name == "") for all_of, name in zip(every, kind[1:], strict=True)):
                spent = spread(group)
                off = (group["predicted_ttft"] - group["ttft"]).abs().dropna()
                bias = (group["predicted_ttft"] / group["ttft"] - 1).median()
                found.append((*kind, spent["n"], group["document"].nunique(), spent["median"],
                              spent["nine in ten"], spent["bias"], len(off), off.median(), bias))  # fmt: skip
    return pd.DataFrame(found, columns=["phase", *KIND, *ERRORS])


def _attention(row: Measurement, specs: Specs) -> str:
    """The kind of attention of a row's model; empty for a model that is refused."""
    with suppress(InputError):
        return model_of(row, specs).attention.kernel
    return ""


# --- published runs side by side ------------------------------------------------------------------


def comparable(chip: str, reference: str, specs: Specs) -> list[tuple[Measurement, Measurement]]:
    """Published runs of two chips that can be set side by side.

    The same phase, routing and family of models, 8 bits throughout or the same format, drafts on both sides
    or unknown, lengths within a quarter, and batches within a factor of two; of several the nearest in
    length, then in batch.
    """
    runs = specs.measurements.values()
    theirs = [run for run in runs if run.accelerator == reference]
    found = []
    for ours in (run for run in runs if run.accelerator == chip):
        if fitting := [run for run in theirs if _alike(ours, run)]:
            found.append((ours, min(fitting, key=partial(_distance, ours))))
    return found


def _alike(ours: Measurement, theirs: Measurement) -> bool:
    # Both draft tokens, or neither, or one of them does not say.
    known = [run.draft_tokens for run in (ours, theirs) if "draft_tokens" not in run.assumed]
    return (
        (theirs.phase, theirs.routing) == (ours.phase, ours.routing)
        and theirs.matrix_precision in (ours.matrix_precision, *EIGHT_BIT)
        and not {ours.matrix_precision, theirs.matrix_precision} & FOUR_BIT_WEIGHTS.keys()
        and theirs.model.split("-")[0] == ours.model.split("-")[0]
        and len({drafts not in ("", "0") for drafts in known}) < 2
        and _apart(ours.context, theirs.context) <= np.log(1.25)
        and _apart(ours.batch, theirs.batch) <= np.log(2)
    )


def _distance(ours: Measurement, theirs: Measurement) -> tuple[Any, ...]:
    length, batch = _apart(ours.context, theirs.context), _apart(ours.batch, theirs.batch)
    return round(length, 1), round(batch, 1), theirs.microbatches != ours.microbatches, len(theirs.id)


def _apart(one: str, other: str) -> float:
    return abs(float(np.log(float(one) / float(other))))
