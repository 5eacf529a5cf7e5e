"""Tables of the serving notebooks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cm384 import specs as reading
from cm384 import units
from cm384.budgets import Budget, time_budget, useful_flop
from cm384.deployment import Deployment
from cm384.derivation import derive, row_name, title
from cm384.paths import DATA
from cm384.serving import decode, largest_batch
from cm384.specs import Specs
from cm384.tables import Table
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


def percent(value: float, digits: int = 1) -> str:
    """A signed percentage, or a dash where there is none."""
    return f"{100 * value:+.{digits}f} %" if np.isfinite(value) else "–"


def parameters_table(model: Model, precision: str) -> Table:
    """Parameters of a model by component, and the bytes its weights take."""
    counts, sizes = parameters_by_component(model), weight_bytes(model, precision)
    names = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    lines = [(n.replace("_", " "), counts[n] / 1e9, sizes[n] / 1e9) for n in names]
    lines.append(("total", model.parameters / 1e9, sum(sizes.values()) / 1e9))
    lines.append(("active for one token", model.active_parameters / 1e9, np.nan))
    return Table(
        pd.DataFrame(
            {
                "component": [name for name, *_ in lines],
                "parameters, billion": [units.number(count) for _, count, _ in lines],
                f"weights in {precision.upper()}, GB": [
                    units.number(size) if np.isfinite(size) else "–" for *_, size in lines
                ],
            }
        )
    )


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
    """tokens/s/TFLOPS of published figures on each peak that could stand below the line."""
    lines = []
    for name in ids:
        row: Measurement = specs.measurements[name]
        peaks = [(row.matrix_precision, "headline"), ("bf16", "headline"), ("bf16", "matrix")]
        model = specs.models[row.model]
        flop = sum(useful_flop(model, row.deployment, row.phase).values())
        for precision, basis in peaks:
            peak = derive("peak", row.accelerator, specs, precision=precision, basis=basis)
            per_peak = row.measured / float(peak.to("TFLOPS").m)
            lines.append(
                {
                    "published figure": name,
                    "tokens/s": units.number(row.measured),
                    "divided by": f"{precision.upper()} peak, {basis}: {units.text(peak)}",
                    "tokens/s/TFLOPS": units.number(per_peak, 3),
                    "GFLOP of peak a token": units.number(1e3 / per_peak),
                    "useful share": f"{flop / 1e12 * per_peak:.0%}",
                }
            )
    return Table(pd.DataFrame(lines))


def comparison_table(pairs: Mapping[str, tuple[str, str]], specs: Specs) -> Table:
    """Published figures of two accelerators per chip and per TFLOP of 8-bit peak."""
    lines = []
    for what, (ours, theirs) in pairs.items():
        rows = [specs.measurements[name] for name in (ours, theirs)]
        per_peak = [
            r.measured
            / float(
                derive("peak", r.accelerator, specs, precision=r.matrix_precision).to("TFLOPS").m
            )
            for r in rows
        ]
        lines.append(
            {
                "comparison": what,
                "tokens/s": units.number(rows[0].measured),
                "compared with": f"{title(rows[1].accelerator)}: {units.number(rows[1].measured)}",
                "per chip": units.number(rows[0].measured / rows[1].measured, 3),
                "per TFLOP of peak": units.number(per_peak[0] / per_peak[1], 3),
            }
        )
    return Table(pd.DataFrame(lines))


def budget_table(budgets: Mapping[str, Budget], published: Mapping[str, float]) -> Table:
    """The steps of some budgets side by side, in microseconds a token."""
    steps = {name: {**b.steps, "predicted": b.predicted} for name, b in budgets.items()}
    cells = pd.DataFrame(steps).map(units.number)
    cells.loc["published"] = {name: units.number(published[name]) for name in steps}
    cells.loc["useful share of the peak"] = {n: f"{b.useful_share:.0%}" for n, b in budgets.items()}
    return Table(cells.rename_axis("µs a token").reset_index())


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
        losses = {name: time for name, time in budget.steps.items() if name != "overlap"}
        limit = budget.steps["physical limit"]
        lines.append(
            {
                "requests a chip": str(batch),
                "matrices limited by": budget.bounds["matrices"],
                "attention limited by": budget.bounds["attention"],
                "limit's share of the time": f"{limit / budget.predicted:.0%}",
                "largest part": max(losses, key=lambda name: losses[name]),
            }
        )
    return Table(pd.DataFrame(lines))


def targets_table(ids: Iterable[str], specs: Specs) -> Table:
    """The largest batch under each published latency target, which ends the id: …-50MS."""
    lines = []
    for name in ids:
        row: Measurement = specs.measurements[name]
        model, deployment = specs.models[row.model], row.deployment
        limit = float(row.id.rsplit("-", 1)[1].removesuffix("MS"))
        found = predict(row, specs, dict(specs.models))
        most = float(largest_batch(specs, model, deployment, tpot=limit))
        speed = float(found.throughput.m)
        lines.append(
            {
                "target": f"{limit:g} ms",
                "context": f"{deployment.context:,g}",
                "published batch": row.batch,
                "TPOT, ms": row.tpot,
                "tokens/s": units.number(row.measured),
                "predicted TPOT": units.number(float(found.tpot.m), 3),
                "predicted tokens/s": units.number(speed),
                "error": percent(speed / row.measured - 1, 0),
                "largest batch predicted": units.number(most),
            }
        )
    return Table(pd.DataFrame(lines))


def accuracy_table(summary: pd.DataFrame) -> Table:
    """Median and nine-in-ten error by phase and accelerator."""
    cells = pd.DataFrame(
        {
            "rows": summary["rows"],
            "phase": summary["phase"].where(summary["phase"] != "", "both"),
            "accelerator": [title(name) if name else "all" for name in summary["accelerator"]],
            "n": summary["n"].astype(str),
            "median error": [f"{value:.1%}" for value in summary["median"]],
            "nine in ten within": [f"{value:.0%}" for value in summary["nine in ten"]],
            "bias": [percent(value) for value in summary["bias"]],
        }
    )
    return Table(cells)


def misses_table(lines: pd.DataFrame, least: float) -> Table:
    """The rows missed by more than `least`, worst first, with what is probably to blame."""
    table = reading.read_table(DATA / "misses.csv", ["measurement", "blame", "why"])
    known = {row["measurement"]: row for row in reading.records(table)}
    worst = lines[lines["error"].abs() > least]
    worst = worst.reindex(worst["error"].abs().sort_values(ascending=False).index)
    empty = {"blame": "unknown", "why": "no cause is known"}
    return Table(
        pd.DataFrame([
            {"measurement": line["id"], "error": percent(line["error"], 0),
             "probably": known.get(line["id"], empty)["blame"],
             "why": known.get(line["id"], empty)["why"]}
            for line in worst.to_dict("records")
        ]),
        wide=("why",),
    )  # fmt: skip


def terms_table(lines: pd.DataFrame, count: int = 0) -> Table:
    """The terms of the model against kernel benchmarks: median and worst error by kernel."""
    groups = lines.assign(size=lines["error"].abs()).groupby(["accelerator", "kernel"], sort=False)
    found = [
        {"accelerator": title(str(chip)), "kernel": kernel, "points": str(len(part)),
         "median error": f"{part['size'].median():.1%}", "worst": f"{part['size'].max():.0%}"}
        for (chip, kernel), part in groups
        if len(part) > count
    ]  # fmt: skip
    return Table(pd.DataFrame(found))


def peer_errors(specs: Specs) -> pd.DataFrame:
    """What other tools predict: one line a case, with their error and this model's."""
    columns = [field.name for field in dataclasses.fields(Peer)]
    table = reading.read_table(DATA / "peers.csv", columns)
    lines = []
    for peer in (Peer(**row) for row in reading.records(table)):
        row: Measurement = specs.measurements[peer.measurement]
        ours = float(predict(row, specs, dict(specs.models)).throughput.m)
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
    """The lines of `peer_errors` as a reader sees them."""
    cells = pd.DataFrame(
        {
            "case": lines["measurement"],
            "published": [units.number(value) for value in lines["measured"]],
            "tool": lines["tool"],
            "setting": lines["setting"],
            "it predicts": [units.number(float(value)) for value in lines["predicted"]],
            "its error": [percent(value, 0) for value in lines["error"]],
            "error here": [percent(value, 0) for value in lines["ours"]],
            "source": lines["source"],
        }
    )
    return Table(cells, code=("source",), wide=("setting",))


def constants_table(measurement: str, specs: Specs) -> Table:
    """Every constant that the prediction of one measurement read, with its source."""
    traced = specs.traced()
    predict(specs.measurements[measurement], traced, dict(specs.models))
    assert traced.trace is not None
    rows = [specs.rows[key][0] for key in traced.trace.keys]
    cells = pd.DataFrame([
        {"constant": row_name(r), "value": units.text(units.Q(r.value, r.unit)), "basis": r.basis,
         "other values": str(len(specs.rows[r.key]) - 1), "source": r.source, "where": r.locator}
        for r in rows
    ])  # fmt: skip
    return Table(cells, code=("source",), wide=("constant", "where"))
