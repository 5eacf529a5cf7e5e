"""Questions drawn at random once, far from those of the pages, and what was answered: nothing moves unseen.

    python tests/unmoved.py

answers the questions of `tests/answers/` anew, after an intended change; the difference shows in them what
moved, and the changelog says why. A kind of which there is no file is drawn by its seed. No answer here was
found right by anybody: what is right stands in the other tests, by hand and with its source.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import random
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from strangers import write

import cm384
from cm384.derive.derivation import numeric_conditions, step_text
from cm384.derive.spread import solve_for, span, tornado
from cm384.ledger.claims import FORMS, RELATIONS, STATES, Claim, load_claims
from cm384.ledger.robustness import flips, nearest_attempt, solutions
from cm384.ledger.verdicts import scorecard
from cm384.physics import at_work, check, forecast, load, serving, training
from cm384.physics.estimate import donors, estimate, with_kernels, without_kernels
from cm384.physics.in_numbers import in_numbers
from cm384.physics.kernels import kernel_precisions
from cm384.physics.transformer import (
    decode_flop,
    kv_bytes,
    parameters_by_component,
    prefill_flop,
    weight_bytes,
)
from cm384.table import units
from cm384.table.errors import DATA, InputError
from cm384.table.records import (
    FOUR_BIT_WEIGHTS,
    MATRIX_PRECISIONS,
    ROUTINGS,
    Deployment,
    Loop,
    key_name,
    read_conditions,
)

FOLDER = Path(__file__).parent / "answers"
SPECS = cm384.load_specs()
LEDGER = {claim.id: claim for claim in load_claims(specs=SPECS)}
CONFIGS = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((DATA / "models").glob("*.json"))
}
MODELS = {name: cm384.load_model(name) for name in CONFIGS}
TIMED = [chip for chip in SPECS.chips if kernel_precisions(SPECS, chip)]
Asked = dict[str, Any]
Draw = random.Random


def plain(value: Any) -> Any:
    """A result as JSON: numbers to seven digits, what is not finite in words, quantities with their unit."""
    if isinstance(value, units.Quantity):
        return [plain(value.m), units.unit_text(value.units)]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(each) for each in value]
    if isinstance(value, bool | np.bool_ | str | None):
        return bool(value) if isinstance(value, np.bool_) else value
    return float(f"{float(value):.7g}") if np.isfinite(float(value)) else str(float(value))


def between(draw: Draw, low: float, high: float) -> float:
    """A number of three digits, evenly drawn on a log scale."""
    return float(f"{low * (high / low) ** draw.random():.3g}")


# --- deployments ------------------------------------------------------------------------------------


def a_deployment(draw: Draw, model: str) -> Asked:
    """A deployment that is mostly one that can be."""
    chip = draw.choice(TIMED if draw.random() < 0.9 else SPECS.chips)
    formats = kernel_precisions(SPECS, chip) or ["bf16"]
    each = SPECS.get(chip, "ranks_per_package").m if SPECS.has(chip, "ranks_per_package") else 1
    tensor = draw.choice([1, 1, 1, 2, 4, 8])
    experts = max(draw.choice([1, 4, 8, 16, 32, 64, 128, 320]), tensor)
    drafts = draw.choice([0, 0, 1, 2, 3]) if MODELS[model].mtp_layers or draw.random() < 0.2 else 0
    if MODELS[model].four_bit:
        formats = [*FOUR_BIT_WEIGHTS]
    return {
        "accelerator": chip,
        "accelerators": max(experts * draw.choice([1, 1, 2]) // int(each), 1),
        "expert_parallel": draw.choice([experts, experts, tensor, 1]),
        "tensor_parallel": tensor,
        "batch": between(draw, 0.5, 200),
        "context": round(between(draw, 256, 130_000)),
        "output": draw.choice([0, 0, round(between(draw, 2, 8000))]),
        "matrix_precision": draw.choice([*formats, *formats, *formats, *MATRIX_PRECISIONS]),
        "attention_precision": draw.choice(["bf16", "bf16", "bf16", "fp8"]),
        "kv_precision": draw.choice(["bf16", "bf16", "fp8", "int8"]),
        "routing": draw.choice(ROUTINGS),
        "microbatches": draw.choice([1, 2]),
        "draft_tokens": drafts,
        "tokens_per_step": draw.choice(["nan", between(draw, 1, 1 + drafts)]) if drafts else 1,
        "drafter": draw.choice(["", "", "", "qwen3-235b-a22b-eagle3"]) if drafts else "",
        "software": draw.choice(["", "", *STACKS]),
    }


STACKS = check.stacks(SPECS.measurements.values(), SPECS)


def deployment(asked: Asked) -> Deployment:
    return Deployment(**asked | {"tokens_per_step": float(asked["tokens_per_step"])})


def a_step(draw: Draw) -> Asked:
    asked = {"model": draw.choice([*CONFIGS]), "phase": draw.choice(["decode", "decode", "prefill"])}
    asked["deployment"] = found = a_deployment(draw, asked["model"])
    if asked["phase"] == "prefill":
        found |= {"batch": found["context"] * draw.choice([0.5, 1, 2]), "output": 0, "draft_tokens": 0,
                  "tokens_per_step": 1, "drafter": ""}  # fmt: skip
    return asked


def step(asked: Asked) -> Any:
    """A step whole and by term, on three contexts at once, and where the time of a token goes."""
    model, d = cm384.load_model(asked["model"]), deployment(asked["deployment"])
    table = with_kernels(SPECS, d.accelerator, model)
    run = cm384.decode if asked["phase"] == "decode" else cm384.prefill
    found = run(table, model, d)
    wide = run(table, model, dataclasses.replace(d, context=d.context * np.array([1, 1.5, 2])))
    most = serving.largest_batch(table, model, d) if asked["phase"] == "decode" else 0
    budget = serving.time_budget(table, model, d, asked["phase"])
    return {"step": found.step, "memory": found.memory, "tokens": found.tokens_per_step, "most": most,
            "layer": found.layer, "terms": found.breakdown, "longer": wide.step,
            "budget": budget.steps, "useful": budget.useful_share, "bounds": budget.bounds}  # fmt: skip


def a_working(draw: Draw) -> Asked:
    return a_step(draw)


def working(asked: Asked) -> Any:
    """The arithmetic of a step in words."""
    model, d = cm384.load_model(asked["model"]), deployment(asked["deployment"])
    return in_numbers(SPECS, model, d, asked["phase"])


def a_loop(draw: Draw) -> Asked:
    model = draw.choice([*CONFIGS])
    found = a_deployment(draw, model)
    asked: Asked = {"model": model, "deployment": found}
    prompt, output = round(between(draw, 128, 32_000)), round(between(draw, 16, 8000))
    found |= {"output": output, "software": ""}
    apart = draw.random() < 0.5
    found["expert_parallel"] = max(found["expert_parallel"], found["tensor_parallel"])
    asked["loop"] = {
        "concurrency": round(between(draw, 1, 4000)), "prompt": prompt, "workers": draw.choice([1, 1, 2, 3]),
        "ttft": draw.choice(["nan", between(draw, 100, 9000)]), "aggregated": not apart,
    }  # fmt: skip
    if apart and draw.random() < 0.7:
        asked["loop"] |= {"prefill_workers": draw.choice([1, 2, 5]),
                          "prefill_accelerators": found["accelerators"],
                          "prefill_expert_parallel": found["expert_parallel"],
                          "prefill_tensor_parallel": found["tensor_parallel"]}  # fmt: skip
    return asked


def loop(asked: Asked) -> Any:
    """Users in a closed loop."""
    model, d = cm384.load_model(asked["model"]), deployment(asked["deployment"])
    told = asked["loop"] | {"ttft": float(asked["loop"]["ttft"])}
    found = load.closed_loop(SPECS, model, d, Loop(**told))
    return {
        name: getattr(found, name) for name in ("step", "tpot", "ttft", "served", "running", "queued")
    } | {"terms": found.breakdown}


def a_forecast(draw: Draw) -> Asked:
    chip = draw.choice(TIMED if draw.random() < 0.8 else SPECS.chips)
    prompt, output = round(between(draw, 256, 16_000)), round(between(draw, 64, 4000))
    left = {name: draw.choice(["nan", "nan", "nan", "nan", 1, 8, 16, 64]) for name in forecast.LAYOUT}
    model = draw.choice([*CONFIGS])
    formats = [*FOUR_BIT_WEIGHTS] if MODELS[model].four_bit else kernel_precisions(SPECS, chip) or ["bf16"]
    return {
        "model": model,
        "deployment": {
            "accelerator": chip, "batch": draw.choice(["nan", "nan", between(draw, 1, 64)]),
            "context": prompt + output / 2, "output": output, "routing": draw.choice(ROUTINGS),
            "matrix_precision": draw.choice(formats),
            "microbatches": draw.choice([1, 2]), "tokens_per_step": "nan",
            "draft_tokens": draw.choice([0, min(1, MODELS[model].mtp_layers)]), **left,
        },
        "prompt": prompt,
        "users": draw.choice(["nan", round(between(draw, 10, 5000))]),
        "tpot": draw.choice(["nan", between(draw, 10, 200)]),
        "ttft": draw.choice(["nan", "nan", between(draw, 1000, 30_000)]),
        "prefill_on": draw.choice(["", "", "", *TIMED]),
        "aggregated": draw.random() < 0.4,
        "usd": draw.choice(["nan", between(draw, 0.5, 10)]),
    }  # fmt: skip


def forecasted(asked: Asked) -> Any:
    """A forecast, its lines in words."""
    d = {name: float(value) if value == "nan" else value for name, value in asked["deployment"].items()}
    given = {name: float(asked[name]) for name in ("users", "tpot", "ttft", "usd")}
    found = forecast.forecast(SPECS, forecast.Asked(**asked | given | {
        "model": cm384.load_model(asked["model"]), "deployment": Deployment(**d)}))  # fmt: skip
    return found.to_numpy().tolist()


def an_estimate(draw: Draw) -> Asked:
    chip, core = draw.choice(SPECS.chips), draw.choice(["latent", "sparse", "grouped-query"])
    by = draw.sample(donors(SPECS, chip, core), draw.choice([0, 0, 1, 2]))
    return {"chip": chip, "core": core, "by": by}


def estimated(asked: Asked) -> Any:
    """The kernel rows that a chip without any is given: how many of a quantity, and their mean logarithm."""
    bare = without_kernels(SPECS, asked["chip"])
    drawn = estimate(bare, asked["chip"], asked["core"], asked["by"]).drawn
    held: dict[str, list[Any]] = {}
    for key in sorted(drawn):
        held.setdefault(key[1], []).append(np.log1p(np.minimum(drawn[key], 1e30)))
    return {name: [len(values), np.mean(values)] for name, values in held.items()}


# --- models, figures, runs ----------------------------------------------------------------------------


def a_config(draw: Draw) -> Asked:
    name = draw.choice([*CONFIGS])
    changed: Asked = {}
    for field, value in draw.sample([*CONFIGS[name].items()], 6):
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            changed[field] = draw.choice([value * 2, max(value // 2, 1), value + 1])
        elif isinstance(value, bool):
            changed[field] = not value
        elif draw.random() < 0.1:
            changed[field] = None
    kept = draw.sample([*changed], min(len(changed), draw.choice([0, 1, 1, 2])))
    return {"model": name, "changed": {field: changed[field] for field in kept},
            "context": round(between(draw, 64, 9e4)),
            "queries": draw.choice([1, 1, 2, 4]), "format": draw.choice(["bf16", "fp8", "fp4"])}  # fmt: skip


def config(asked: Asked) -> Any:
    """A model with changed fields: what it has, and the operations of a token."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(CONFIGS[asked["model"]] | asked["changed"]), "utf-8")
        model = cm384.load_model(path)
    context, queries = float(asked["context"]), asked["queries"]
    return {"parameters": model.parameters, "active": model.active_parameters, "mtp": model.mtp_parameters,
            "matmul": model.matmul_parameters, "kv": model.kv_elements,
            "components": parameters_by_component(model), "prefill": prefill_flop(model, context),
            "decode": decode_flop(model, context, queries), "bytes": weight_bytes(model, asked["format"]),
            "cache": kv_bytes(model, asked["format"]), "untimed": model.untimed}  # fmt: skip


def a_figure(draw: Draw) -> Asked:
    line = draw.choice(FIGURES)
    given = read_conditions(line["conditions"])
    numeric = numeric_conditions(line["quantity"])
    for name, value in given.items():
        if name in numeric:
            given[name] = f"{between(draw, float(value) / 10, float(value) * 10):g}"
        elif draw.random() < 0.05:
            given[name] = draw.choice(FIGURES)["subject"]
    return {"quantity": line["quantity"], "subject": line["subject"], "conditions": given,
            "times": draw.choice([0.5, 0.9, 1.2, 3])}  # fmt: skip


with (DATA / "derived" / "figures.csv").open(encoding="utf-8", newline="") as file:
    FIGURES = [line for line in csv.DictReader(file) if line["kind"] == "derived"]


def figure(asked: Asked) -> Any:
    """A figure step by step, over the sources, and what each row would have to be for a multiple of it."""

    def of(table: cm384.Specs) -> Any:
        return cm384.derive(asked["quantity"], asked["subject"], table, **asked["conditions"])

    told = cm384.explain(asked["quantity"], asked["subject"], SPECS, **asked["conditions"])
    over, solved = span(of, SPECS, 100), []
    for row in told.rows[:2]:
        with suppress(InputError):
            solved.append(str(solve_for(of, SPECS, row.key, asked["times"] * told.value)))
    return {"value": told.value, "low": over.low, "high": over.high, "method": over.method,
            "steps": [step_text(one) for one in told.steps][-4:], "solved": solved,
            "alone": tornado(of, SPECS).to_numpy().tolist()}  # fmt: skip


def a_training(draw: Draw) -> Asked:
    run = draw.choice([*SPECS.runs.values()])
    subject = draw.choice([run.accelerator, *(s for s in SPECS.systems if run.accelerator in SPECS.parts(s)),
                           draw.choice(SPECS.systems)])  # fmt: skip
    return {"model": draw.choice([run.model or "deepseek-v3", draw.choice([*CONFIGS])]), "subject": subject,
            "tokens": draw.choice([None, between(draw, 1e9, 2e13)]), "run": draw.choice(["", run.id]),
            "precision": draw.choice(["", "bf16", "fp8"]), "sequence": round(between(draw, 1024, 65536)),
            "mfu": draw.choice([None, None, between(draw, 0.1, 0.7)])}  # fmt: skip


def trained(asked: Asked) -> Any:
    """A training forecast."""
    return training.forecast(SPECS, **asked).to_dict("records")


def a_run(draw: Draw) -> Asked:
    row = draw.choice([*SPECS.measurements.values()])
    return {"run": row.id, "batch": draw.choice([0.5, 1, 2]), "context": draw.choice([0.5, 1, 2]),
            "chip": draw.choice([row.accelerator, row.accelerator, draw.choice(TIMED)]),
            "throughput": draw.choice([0.5, 1, 1.3])}  # fmt: skip


def run(asked: Asked) -> Any:
    """A measured run with its batch or context changed, beside what the model says of it."""
    row = SPECS.measurements[asked["run"]]
    changed: Asked = {
        name: asked[name] * float(getattr(row, name))
        for name in ("batch", "context", "throughput")
        if getattr(row, name) != ""
    }
    lines = check.validate(
        [dataclasses.replace(row, accelerator=asked["chip"], **changed)], SPECS, settings=True
    )
    return {"lines": lines.to_dict("records"), "spread": check.spread(lines), "said": check.in_words(lines)}


def a_table(draw: Draw) -> Asked:
    system, other = draw.sample(SPECS.systems, 2)
    return {"system": system, "comparator": other}


def table(asked: Asked) -> Any:
    """One system over another in every row."""
    return at_work.table(SPECS, **asked).drop(columns="sources").to_numpy().tolist()


# --- claims -----------------------------------------------------------------------------------------


def a_claim(draw: Draw) -> Asked:
    claim = draw.choice(
        [c for c in LEDGER.values() if (c.derivable or c.word) and c.comparator not in LEDGER]
    )
    cells = {"id": "X-1", "statement": "Somebody says so.", "article": claim.article} | {
        name: getattr(claim, name)
        for name in (
            "subject",
            "quantity",
            "conditions",
            "form",
            "relation",
            "value",
            "unit",
            "comparator",
            "readings",
            "state",
            "reports",
            "reported",
        )
    }
    if draw.random() < 0.8 and cells["value"]:
        with suppress(ValueError):
            cells["value"] = f"{float(cells['value']) * draw.choice([0.5, 0.8, 0.95, 1.05, 1.2, 2]):.3g}"
    changes: dict[str, list[str]] = {
        "relation": [*RELATIONS], "form": [*FORMS], "state": [*STATES],
        "comparator": [*SPECS.systems, *SPECS.chips], "subject": [*SPECS.systems, *SPECS.chips],
        "article": sorted({c.article for c in LEDGER.values()}), "readings": [""],
    }  # fmt: skip
    for name in draw.sample([*changes], draw.choice([0, 1, 1, 2])):
        cells[name] = draw.choice(changes[name])
    return cells


def own_claim(asked: Asked) -> list[Claim]:
    with tempfile.TemporaryDirectory() as folder:
        return load_claims(write(Path(folder) / "claims.csv", Claim, asked), SPECS)


def claim(asked: Asked) -> Any:
    """The answer to a claim that nobody made, with its reason."""
    line = scorecard(own_claim(asked), SPECS, LEDGER.values()).iloc[0]
    shown = "claimed derived low high ratio answer settled why overturn"
    return {name: line[name] for name in shown.split()}


def turning(asked: Asked) -> Any:
    """What would turn such a claim, and what would make it true."""
    own = own_claim(asked)[0]
    found = nearest_attempt(own, SPECS, LEDGER)
    turned = [
        (key_name(flip.key), flip.factor, len(flip.statements)) for flip in flips(own, found, SPECS)[:4]
    ]
    return {"turned": turned, "solved": [str(each) for each in solutions(own, SPECS, LEDGER)[:4]]}


KINDS: dict[str, tuple[int, Callable[[Draw], Asked], Callable[[Asked], Any]]] = {
    "steps": (250, a_step, step),
    "workings": (30, a_working, working),
    "loops": (150, a_loop, loop),
    "forecasts": (50, a_forecast, forecasted),
    "estimates": (30, an_estimate, estimated),
    "configs": (120, a_config, config),
    "figures": (150, a_figure, figure),
    "training": (60, a_training, trained),
    "runs": (100, a_run, run),
    "tables": (6, a_table, table),
    "claims": (250, a_claim, claim),
    "turns": (60, a_claim, turning),
}
REFUSED = 0.2  # of a kind, at most


def told(kind: str, asked: Asked) -> Any:
    """What is answered, or the one line of the refusal."""
    try:
        return plain(KINDS[kind][2](asked))
    except InputError as error:
        return re.sub(r"/\S+/config", "config", str(error))


def drawn(kind: str) -> list[Asked]:
    """Questions of a kind, some of which are refused."""
    draw, found, refused = Draw(f"384 {kind}"), [], 0
    count, ask, _ = KINDS[kind]
    while len(found) < count:
        asked = ask(draw)
        if isinstance(told(kind, asked), str):
            refused += 1
            if refused > REFUSED * count:
                continue
        found.append(asked)
    return found


def kept(kind: str) -> list[tuple[Asked, Any]]:
    """The questions of a kind with what was answered."""
    lines = (FOLDER / f"{kind}.jsonl").read_text("utf-8").splitlines()
    return [(line["asked"], line["told"]) for line in map(json.loads, lines)]


def main() -> None:
    for kind in KINDS:
        path = FOLDER / f"{kind}.jsonl"
        questions = [asked for asked, _ in kept(kind)] if path.exists() else drawn(kind)
        lines = [
            json.dumps({"asked": asked, "told": told(kind, asked)}, ensure_ascii=False) for asked in questions
        ]
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
