"""The serving model against measurements it was never fitted to.

A row that cannot be computed stays, with the reason, and counts as a miss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cm384 import files, serving, units
from cm384.deployment import ROUTINGS, Deployment
from cm384.errors import InputError
from cm384.paths import DATA
from cm384.specs import Row, Specs, load_specs
from cm384.transformer import BYTES_PER_ELEMENT, load_model

PHASES = ("prefill", "decode")
NUMBERS = ("accelerators", "expert_parallel", "tensor_parallel", "batch", "context", "output",
           "microbatches", "draft_tokens", "tokens_per_step")  # fmt: skip
PRECISIONS = ("matrix_precision", "attention_precision", "kv_precision")
# What a source may leave out: no output known means none, and prefill drafts nothing.
OPTIONAL = {"prefill": {"output", "draft_tokens", "tokens_per_step"}, "decode": {"output"}}


@dataclass(frozen=True)
class Measurement:
    """One line of `measurements.csv`: a deployment and what it was measured to do."""

    id: str
    model: str
    accelerator: str
    accelerators: str
    expert_parallel: str
    tensor_parallel: str
    phase: str
    batch: str
    context: str
    output: str
    matrix_precision: str
    attention_precision: str
    kv_precision: str
    routing: str
    microbatches: str
    draft_tokens: str
    tokens_per_step: str
    tpot: str
    throughput: str
    assumed: str
    source: str
    locator: str
    note: str

    @property
    def deployment(self) -> Deployment:
        """What was run; InputError for a setting that the row leaves open."""
        fields: dict[str, Any] = {"accelerator": self.accelerator, "routing": self.routing}
        fields |= {name: getattr(self, name) for name in (*NUMBERS, *PRECISIONS)}
        stated = {name: value for name, value in fields.items() if value}
        for name in fields:
            if name not in stated and name not in OPTIONAL[self.phase]:
                raise InputError(f"{name}: not stated")
        values: dict[str, Any] = {n: float(v) if n in NUMBERS else v for n, v in stated.items()}
        return Deployment(**values)

    @property
    def rows(self) -> list[Row]:
        """What was published, as rows of the table of specs."""
        figures = {
            "published_throughput": (self.measured, "token/s/accelerator"),
            "published_tpot": (float(self.tpot or np.nan), "ms"),
        }
        return [
            Row(
                self.accelerator, quantity, f"measurement={self.id}", value, unit, "measured",
                "central", "", self.source, self.locator, self.note,
            )
            for quantity, (value, unit) in figures.items()
            if np.isfinite(value)
        ]  # fmt: skip

    @property
    def measured(self) -> float:
        """Tokens a second and accelerator, as stated or as the time per token implies."""
        if self.throughput:
            return float(self.throughput)
        return float(self.batch or np.nan) / float(self.tpot) * 1e3


def load_measurements(
    path: str | Path | None = None, specs: Specs | None = None
) -> list[Measurement]:
    """The measurements of this project, or of another file, checked.

    Refuses a bad cell with file, line, column and what was expected. A file of somebody else need
    not name its sources.
    """
    file = Path(path) if path is not None else DATA / "measurements.csv"
    known = specs or load_specs()
    table = files.read_table(file, files.columns(Measurement))
    own = files.read_keys() if path is None else None
    files.check_table(table, measurements_checks(known, own), file.name, unique=["id"])
    rows = [Measurement(**values) for values in files.records(table)]
    for line, row in zip(table.index, rows, strict=True):
        if not row.throughput and not (row.tpot and row.batch and row.phase == "decode"):
            expected = "a throughput, or in decode a tpot with its batch"
            raise files.bad_cell(file.name, line, "throughput", "", expected)
    return rows


def with_measurements(specs: Specs) -> Specs:
    """The table with the measurements of this project, each published figure a row of it."""
    found = load_measurements(specs=specs)
    rows = {row.key: (row,) for measurement in found for row in measurement.rows}
    return dataclasses.replace(
        specs,
        rows={**specs.rows, **rows},
        measurements={row.id: row for row in found},
        models={row.model: load_model(row.model) for row in found},
    )


def measurements_checks(specs: Specs, keys: Iterable[str] | None) -> dict[str, Any]:
    """What a measurements file must look like: one check a column."""
    checks = {
        "id": files.matches(r"[A-Za-z0-9._-]+", "letters, digits, hyphens and dots"),
        "model": files.matches(r"\S.*", "a model or the path of a config.json"),
        "accelerator": files.one_of(specs.subjects),
        "phase": files.one_of(PHASES),
        "routing": files.one_of([*ROUTINGS, ""]),
        "assumed": files.matches(r"([a-z_]+(;[a-z_]+)*)?", "column;column"),
    }
    checks |= {name: files.one_of([*BYTES_PER_ELEMENT, ""]) for name in PRECISIONS}
    for name in (*NUMBERS, "tpot", "throughput"):
        checks[name] = files.check(_amount_or_empty, "a number, or nothing")
    if keys is not None:
        checks["source"] = files.one_of(keys)
        checks["locator"] = files.matches(r"\S.*", "the place in the source")
    return checks


def _amount_or_empty(cell: str) -> bool:
    return not cell or files.is_amount(cell)


def validate(rows: Iterable[Measurement], specs: Specs) -> pd.DataFrame:
    """One line a measurement: measured and predicted tokens/s per accelerator, and the error.

    The error is predicted ÷ measured − 1.
    """
    return pd.DataFrame([_line(row, specs) for row in rows])


def _line(row: Measurement, specs: Specs) -> dict[str, Any]:
    predicted, reason = np.nan, ""
    try:
        predicted = float(predict(row, specs).throughput.m)
    except InputError as error:
        reason = str(error)
    return {
        "id": row.id,
        "model": row.model,
        "accelerator": row.accelerator,
        "phase": row.phase,
        "batch": float(row.batch or np.nan),
        "context": float(row.context or np.nan),
        "assumed": row.assumed,
        "measured": row.measured,
        "predicted": predicted,
        "error": predicted / row.measured - 1,
        "reason": reason,
    }


def predict(row: Measurement, specs: Specs, **changes: Any) -> serving.Result:
    """What the model says of a row's deployment, with some fields changed."""
    model = specs.models.get(row.model) or load_model(row.model)
    phase = serving.prefill if row.phase == "prefill" else serving.decode
    return phase(specs, model, dataclasses.replace(row.deployment, **changes))


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """Median and 90th percentile of the absolute error by phase and accelerator.

    For all rows and for the well specified ones, in which nothing had to be assumed. A row that
    could not be computed is as far off as can be.
    """
    found = []
    for rows, chosen in (("all", lines), ("well specified", lines[lines["assumed"] == ""])):
        found.append({"rows": rows, "phase": "", "accelerator": "", **_spread(chosen)})
        for phase, group in chosen.groupby("phase", sort=False):
            found.append({"rows": rows, "phase": phase, "accelerator": "", **_spread(group)})
            for chip, part in group.groupby("accelerator", sort=False):
                entry = {"rows": rows, "phase": phase, "accelerator": chip}
                found.append({**entry, **_spread(part)})
    return pd.DataFrame(found)


def _spread(lines: pd.DataFrame) -> dict[str, Any]:
    errors = lines["error"].fillna(np.inf).abs()
    if errors.empty:
        return {"n": 0, "median": np.nan, "nine in ten": np.nan, "bias": np.nan}
    return {
        "n": len(errors),
        "median": float(np.quantile(errors, 0.5, method="inverted_cdf")),
        "nine in ten": float(np.quantile(errors, 0.9, method="inverted_cdf")),
        "bias": float(lines["error"].median()),
    }


def in_words(lines: pd.DataFrame) -> str:
    """The accuracy in one line."""
    parts = []
    for rows, chosen in (("rows", lines), ("well specified", lines[lines["assumed"] == ""])):
        spread = _spread(chosen)
        if spread["n"]:
            half, most = (units.percent(spread[name], 1) for name in ("median", "nine in ten"))
            parts.append(f"{spread['n']} {rows}: half within {half}, nine in ten within {most}")
    if missing := int(lines["error"].isna().sum()):
        parts.append(f"{missing} cannot be computed")
    return "; ".join(parts)


def shown(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines as a terminal shows them."""

    def written(value: float, form: str) -> str:
        return format(value, form) if np.isfinite(value) else "–"

    return pd.DataFrame({
        "id": lines["id"],
        "accelerator": lines["accelerator"],
        "phase": lines["phase"],
        "assumed": lines["assumed"],
        "measured": [written(value, ",.4g" if value < 1000 else ",.0f")
                     for value in lines["measured"]],
        "predicted": [written(value, ",.4g" if value < 1000 else ",.0f")
                      for value in lines["predicted"]],
        "error": [written(100 * value, "+.1f") + " %" * bool(np.isfinite(value))
                  for value in lines["error"]],
        "reason": lines["reason"],
    })  # fmt: skip
