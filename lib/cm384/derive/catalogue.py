"""The catalogue: every figure that can be derived or is stated, with what the sources allow.

`data/derived/figures.csv` is this table, committed: the difference that a change of the data makes
is a difference of that file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np

from cm384.derive.derivation import ADDITIVE, compares, conditions_of, derivations, derive
from cm384.derive.spread import span
from cm384.table import units
from cm384.table.errors import NotStated
from cm384.table.frames import pd
from cm384.table.records import TrainingRun, read_conditions, write_conditions
from cm384.table.specs import Specs

COLUMNS = ["kind", "quantity", "subject", "conditions", "unit", "low", "central", "high", "values",
           "statements", "sources"]  # fmt: skip
FEW = 12  # different values that a line lists
DRAWS = 1_000  # of the sources, where they cannot all be combined
# Where a quantity takes a number, the catalogue asks at one: the settings of the pages.
AT = {"context": 4096, "ranks": 64, "tokens": 128, "price": 0.08, "accelerators": 1, "bits": 8,
      "usd_per_hour": 1, "sequence": 4096, "recomputed": 1, "prompt": 4096, "output": 1024,
      "tpot": 50}  # fmt: skip

Asked = tuple[str, str, str, Mapping[str, str]]  # kind, quantity, subject, conditions


def catalogue(specs: Specs) -> pd.DataFrame:
    """Every figure of every subject: low, central and high over the sources, in its usual unit.

    `kind` tells what is derived from what is stated. `values` lists what the combinations of the
    sources give, where these are few; `statements` counts the sourced values that it was read from,
    alternatives included.
    """
    lines = filter(None, (_line(asked, specs) for asked in questions(specs)))
    return pd.DataFrame(lines, columns=COLUMNS)


def questions(specs: Specs) -> Iterator[Asked]:
    """What the catalogue asks: the derived figures of every subject, then the stated ones."""
    for quantity in sorted(ADDITIVE | derivations().keys()):
        for subject in sorted(specs.subjects):
            if quantity in derivations() or specs.parts(subject):
                for given in _conditions(quantity, subject, specs):
                    yield "derived", quantity, subject, given
    for subject, quantity, text, basis in sorted(specs.rows):
        yield "stated", quantity, subject, {**read_conditions(text), "basis": basis}


def _conditions(quantity: str, subject: str, specs: Specs) -> Iterator[dict[str, str]]:
    """The conditions under which a quantity may be asked of a subject.

    A comparison is asked between vendors, of systems on paper and of chips at work.
    """
    names = list(conditions_of(quantity))
    if quantity not in derivations():
        names = ["precision", "basis"] if quantity == "peak" else ["basis"]
    if "measurement" in names:
        for row in specs.measurements.values():
            if row.accelerator == subject:
                known = {"measurement": row.id, "precision": row.matrix_precision}
                yield {name: known[name] for name in names if name in known}
        return
    if "mfu" in names:  # an assumption of somebody's, not what follows from the sources
        return
    if "run" in names:
        yield from _of_runs(names, subject, specs)
        return
    if compares(quantity) and "precision" in names and not specs.parts(subject):
        return
    kind = specs.systems if specs.parts(subject) else specs.chips
    values = {
        "comparator": [name for name in kind if specs.vendor(name) != specs.vendor(subject)],
        "workload": list(specs.workloads),
        "op": ["dispatch", "combine"],
        "basis": _bases(quantity, specs),
        **{name: [f"{number:g}"] for name, number in AT.items()},
    }
    stated = specs.condition_values
    every = {name: values.get(name) or sorted(stated.get(name, ())) for name in names}
    taken = {name: found for name, found in every.items() if found}
    for chosen in product(*taken.values()):
        yield dict(zip(taken, chosen, strict=True))


def _of_runs(names: list[str], subject: str, specs: Specs) -> Iterator[dict[str, str]]:
    """The runs on the chips of a subject, in a system against those of the same model by another vendor."""

    def of(name: str) -> list[TrainingRun]:
        return [row for row in specs.runs.values() if row.accelerator in (name, *specs.parts(name))]

    others = [name for name in specs.systems if specs.vendor(name) != specs.vendor(subject)]
    for row in of(subject):
        trained = row.stage == "pretraining" and row.model and specs.has(row.model, "training_tokens")
        values = {
            "run": [row.id],
            "basis": ["matrix", "headline"],
            "tokens": [f"{specs.get(row.model, 'training_tokens').to('token').m:g}"] if trained else [],
            "comparator": others if specs.parts(subject) and row.model else [],
        }
        asked = {name: values[name] for name in names if name in values}
        for chosen in product(*asked.values()):
            given = dict(zip(asked, chosen, strict=True))
            if "against" not in names:
                yield given
                continue
            for other in of(given["comparator"]):
                if (other.model, other.stage) == (row.model, row.stage):
                    yield given | {"against": other.id}


def _bases(quantity: str, specs: Specs) -> list[str]:
    """The bases on which a quantity is asked; a comparison only as vendors print it."""
    if compares(quantity):
        return ["headline"]
    if quantity in derivations():
        return ["matrix", "headline"]
    return sorted({basis for _, stated, _, basis in specs.rows if stated == quantity})


def _line(asked: Asked, specs: Specs) -> tuple[object, ...] | None:
    """A figure as a line of the catalogue; nothing where no source states it."""
    kind, quantity, subject, given = asked
    try:
        if kind == "stated":
            found = span(lambda table: table.get(subject, quantity, **given), specs, DRAWS)
        else:
            found = span(lambda table: derive(quantity, subject, table, **given), specs, DRAWS)
    except NotStated:
        return None
    unit = specs.kinds[quantity].unit
    usual = units.parse_unit(unit)
    scale = float((1 * found.central.units).to(usual).m)
    few = dict.fromkeys(f"{value:.9g}" for value in np.unique(scale * found.values))
    edges = (f"{float(edge.to(usual).m):.9g}" for edge in (found.low, found.central, found.high))
    rows = [row for key in found.keys for row in specs.rows[key]]
    sources = dict.fromkeys(row.source for row in rows)
    told = ";".join(few) if 1 < len(few) <= FEW else ""
    return (kind, quantity, subject, write_conditions(given), unit, *edges, told, len(rows),
            ";".join(sources))  # fmt: skip
