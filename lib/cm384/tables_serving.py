"""Tables of the serving notebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cm384 import files, units
from cm384.budgets import time_budget, useful_flop
from cm384.deployment import Deployment
from cm384.derivation import derive, row_name, title
from cm384.paths import DATA
from cm384.serving import decode, largest_batch
from cm384.specs import Specs
from cm384.tables import Table, number_or_dash
from cm384.transformer import Model, kv_bytes, parameters_by_component, weight_bytes
from cm384.validation import Measurement, predict


@dataclass(frozen=True)
class Peer:
    """One line of `peers.csv`: what another tool predicts for a measurement."""

    tool: str
    setting: str
    measurement: str
    predicted: str
    source: str
    note: str


def error_text(value: float, digits: int = 1) -> str:
    """An error with its sign, which does not break, or a dash where there is none."""
    text = units.percent(value, digits, "+").replace(" ", "\N{NO-BREAK SPACE}")
    return text if np.isfinite(value) else "–"


def largest(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first rows of a sorted table, and the sum of the others as the last.

    >>> largest(pd.DataFrame({"n": [5, 3, 2, 1]}, index=["a", "b", "c", "d"]), 2)["n"].to_dict()
    {'a': 5, 'b': 3, '2 others': 3}
    """
    rest = table.iloc[count:]
    if len(rest) < 2:
        return table
    return pd.concat([table.iloc[:count], rest.sum().rename(f"{len(rest)} others").to_frame().T])


def parameters_table(model: Model, precision: str) -> Table:
    """Parameters of a model by component, what one token uses of them, and the bytes of weights."""
    counts, sizes = parameters_by_component(model), weight_bytes(model, precision)
    weights = f"weights in {precision.upper()}, GB"
    idle = {"routed_experts": model.parameters - model.active_parameters}
    used = {name: count - idle.get(name, 0) for name, count in counts.items()}
    table = pd.DataFrame({"parameters, billion": counts, "used by a token": used, weights: sizes})
    table.index = table.index.str.replace("_", " ")
    table = table.sort_values("parameters, billion", ascending=False) / 1e9
    shown = largest(table, 6)
    shown.loc["all"] = table.sum()
    return Table(shown.map(units.number).rename_axis("component").reset_index())


def cache_table(models: Mapping[str, Model], context: int) -> Table:
    """What the KV cache of one token and of one request takes, by model."""
    return Table(
        pd.DataFrame(
            [
                {
                    "model": name,
                    "KV elements a token": units.number(model.kv_elements, 6),
                    "BF16 bytes a token": units.number(kv_bytes(model), 6),
                    f"GB a request of {context:,} tokens": units.number(
                        kv_bytes(model) * context / 1e9, 3
                    ),
                }
                for name, model in models.items()
            ]
        )
    )


def denominators_table(ids: Iterable[str], specs: Specs) -> Table:
    """tokens/s/TFLOPS of published figures on each peak that could stand below the line.

    In brackets the share of that peak that useful operations take.
    """
    lines = []
    for name in ids:
        row: Measurement = specs.measurements[name]
        useful = useful_flop(specs.models[row.model], row.deployment, row.phase)
        line = {"tokens/s": f"{name}: {units.number(row.measured)}"}
        for words, precision, basis in (
            ("8-bit peak", row.matrix_precision, "headline"),
            ("BF16 peak", "bf16", "headline"),
            ("BF16 matrix peak", "bf16", "matrix"),
        ):
            peak = derive("peak", row.accelerator, specs, precision=precision, basis=basis)
            per_peak = row.measured / float(peak.to("TFLOPS").m)
            share = sum(useful.values()) / 1e12 * per_peak
            line[f"÷ {words}"] = f"{units.number(per_peak, 3)} ({units.percent(share)})"
        lines.append(line)
    return Table(pd.DataFrame(lines))


def comparison_table(pairs: Mapping[str, tuple[str, str]], specs: Specs) -> Table:
    """Published figures of two accelerators per chip and per TFLOP of 8-bit peak."""
    lines = []
    for what, names in pairs.items():
        rows: list[Measurement] = [specs.measurements[name] for name in names]
        peaks = [derive("peak", r.accelerator, specs, precision=r.matrix_precision) for r in rows]
        ratio = rows[0].measured / rows[1].measured
        lines.append(
            {
                "comparison": what,
                "tokens/s": " ÷ ".join(units.number(row.measured) for row in rows),
                "per chip": units.number(ratio, 3),
                "per TFLOP of peak": units.number(ratio * float((peaks[1] / peaks[0]).m), 3),
            }
        )
    return Table(pd.DataFrame(lines))


def curve(
    specs: Specs, model: Model, deployment: Deployment, batches: Sequence[float]
) -> pd.DataFrame:
    """Throughput and time per token of a decode deployment over batch; one call for all."""
    found = decode(specs, model, dataclasses.replace(deployment, batch=np.asarray(batches)))
    lines = pd.DataFrame(
        {
            "batch": batches,
            "tpot": np.asarray(found.tpot.m, dtype=float),
            "throughput": np.asarray(found.throughput.m, dtype=float),
        }
    )
    return lines.dropna(ignore_index=True)


def bounds_table(
    specs: Specs, model: Model, deployment: Deployment, batches: Sequence[int]
) -> Table:
    """Which bound rules at which batch: of the matrices, of the attention core, and in all."""
    lines = []
    for batch in batches:
        budget = time_budget(specs, model, dataclasses.replace(deployment, batch=batch), "decode")
        limit = budget.steps["physical limit"]
        lines.append(
            {
                "requests a chip": str(batch),
                "matrices limited by": budget.bounds["matrices"],
                "attention limited by": budget.bounds["attention"],
                "limit's share of the time": units.percent(limit / budget.predicted),
            }
        )
    return Table(pd.DataFrame(lines))


def targets_table(ids: Iterable[str], specs: Specs) -> Table:
    """Published → predicted under each latency target, which ends the id: …-50MS."""
    lines = []
    for name in ids:
        row: Measurement = specs.measurements[name]
        limit = float(row.id.rsplit("-", 1)[1].removesuffix("MS"))
        found = predict(row, specs)
        speed = float(found.throughput.m)
        most = float(largest_batch(specs, specs.models[row.model], row.deployment, tpot=limit))
        lines.append(
            {
                "target": f"{limit:g} ms, {row.deployment.context:,g} tokens",
                "requests a chip": f"{row.batch} → {units.number(most)}",
                "ms a token": f"{row.tpot} → {units.number(float(found.tpot.m), 3)}",
                "tokens/s": f"{units.number(row.measured)} → {units.number(speed)}",
                "error": error_text(speed / row.measured - 1, 0),
            }
        )
    return Table(pd.DataFrame(lines))


def measurements_table(lines: pd.DataFrame) -> Table:
    """Every measurement beside its prediction, the well specified ones first."""
    lines = lines.sort_values("assumed", key=lambda column: column != "", kind="stable")
    assumed = lines["assumed"].str.replace("_", " ").str.replace(";", ", ")
    return Table(
        pd.DataFrame(
            {
                "measurement": lines["id"],
                "error": [error_text(value) for value in lines["error"]],
                "measured → predicted": [
                    f"{units.number(measured)} → {number_or_dash(predicted)}"
                    for measured, predicted in zip(lines["measured"], lines["predicted"])  # noqa: B905
                ],
                "assumed": assumed.where(lines["reason"] == "", lines["reason"]),
            }
        ).replace("", "–")
    )


def accuracy_table(summary: pd.DataFrame) -> Table:
    """Median and nine-in-ten error by phase, of all measurements and of the well specified."""
    lines = summary[summary["accelerator"] == ""]
    phases = lines["phase"].where(lines["phase"] == "", ", " + lines["phase"])
    cells = pd.DataFrame(
        {
            "measurements": lines["rows"] + phases + ": " + lines["n"].astype(str),
            "half within": [units.percent(value, 1) for value in lines["median"]],
            "nine in ten within": [units.percent(value) for value in lines["nine in ten"]],
            "bias": [error_text(value) for value in lines["bias"]],
        }
    )
    return Table(cells)


def misses_table(lines: pd.DataFrame, least: float) -> Table:
    """The rows missed by more than `least`, the worst first, and the probable cause of each."""
    table = files.read_table(DATA / "misses.csv", ["measurement", "blame", "why"])
    known = {row["measurement"]: f"{row['blame']}: {row['why']}" for row in files.records(table)}
    missed = lines[lines["error"].abs() > least].sort_values("error", key=lambda e: -e.abs())
    return Table(
        pd.DataFrame(
            {
                "measurement": missed["id"],
                "error": [error_text(error, 0) for error in missed["error"]],
                "probable cause": missed["id"].map(known).fillna("unknown"),
            }
        )
    )


def terms_table(lines: pd.DataFrame) -> Table:
    """The terms of the model against kernel benchmarks, by term and maker of the chip."""
    makers = lines["accelerator"].str.startswith("ascend").map({True: "Huawei", False: "NVIDIA"})
    found = []
    for (term, maker), part in lines.groupby([lines["term"], makers], sort=False):
        size = part["error"].abs()
        worst = part.iloc[int(size.argmax())]
        found.append(
            {
                "benchmarks": f"{term}, {maker}: {len(part)}",
                "half within": units.percent(size.median(), 1),
                "nine in ten within": units.percent(float(size.quantile(0.9))),
                "worst": f"{error_text(worst['error'], 0)}, {worst['kernel']}",
            }
        )
    return Table(pd.DataFrame(found).sort_values("benchmarks"))


def peer_errors(specs: Specs) -> pd.DataFrame:
    """What other tools predict: one line a case, with their error and this model's."""
    table = files.read_table(DATA / "peers.csv", files.columns(Peer))
    lines = []
    for peer in (Peer(**row) for row in files.records(table)):
        row: Measurement = specs.measurements[peer.measurement]
        ours = float(predict(row, specs).throughput.m)
        lines.append(
            {
                **dataclasses.asdict(peer),
                "vendor": "Huawei" if row.accelerator.startswith("ascend") else "NVIDIA",
                "measured": row.measured,
                "error": float(peer.predicted) / row.measured - 1,
                "ours": ours / row.measured - 1,
            }
        )
    return pd.DataFrame(lines).sort_values(["measurement", "tool"], kind="stable")


def peers_table(lines: pd.DataFrame) -> Table:
    """How the tools in the lines of `peer_errors` were set up for each case."""
    cells = lines.sort_values("tool", kind="stable").rename(columns={"measurement": "case"})
    return Table(cells[["tool", "case", "setting", "source"]], code=("source",), wide=("setting",))


def constants_table(measurement: str, specs: Specs) -> Table:
    """Every constant that the prediction of one measurement read, with its source."""
    traced, trace = specs.traced()
    row: Measurement = specs.measurements[measurement]
    predict(row, traced)
    rows = [specs.rows[key][0] for key in trace.keys]
    cells = pd.DataFrame([
        {"constant": row_name(r).removeprefix(f"{title(row.accelerator)}: "),
         "value": f"{units.text(r.amount)} ({r.basis})",
         "others": str(len(specs.rows[r.key]) - 1), "where": r.locator, "source": r.source}
        for r in sorted(rows, key=lambda r: r.basis == "assumed")
    ])  # fmt: skip
    return Table(cells, code=("source",), wide=("where",))
