"""The one idea: a derivation is a pure function of the table of specs.

A derivation is registered under the quantity it gives, with its formula in words. `derive` calls
it; `explain` calls it on a table that notes what was read. What is true of every system is said
once here: it is the sum of its accelerators.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from cm384 import units
from cm384.errors import InputError, check_known
from cm384.specs import Row, Specs, Step, key_name, read_conditions

Formula = Callable[..., Any]

# Quantities of which a system has as much as its accelerators together.
ADDITIVE = frozenset(
    {
        "peak",
        "peak_from_units",
        "hbm_capacity",
        "hbm_capacity_from_stacks",
        "hbm_bandwidth",
        "hbm_bandwidth_from_stacks",
        "scale_up_bandwidth",
        "scale_up_bandwidth_from_links",
        "scale_out_bandwidth",
    }
)

MOST_READ = 8  # values that a line of a working shows; a step that took more has them in its rows

DERIVATIONS: dict[str, tuple[Formula, str]] = {}


def derivation(formula: str) -> Callable[[Formula], Formula]:
    """Register a function `(specs, subject, **conditions)` as the derivation of its name."""

    def register(function: Formula) -> Formula:
        DERIVATIONS[function.__name__] = function, formula
        return function

    return register


def derive(quantity: str, subject: str, specs: Specs, /, **conditions: str) -> Any:
    """The figure that follows from the table, in the unit a reader expects.

    A system's figure is the sum over its accelerators, whatever headline is printed for the system;
    a chip's is derived if the quantity is a derived one, and the stated row otherwise.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("hbm_capacity", "cloudmatrix-384", load_specs())))
    49.15 TB
    """
    check_known("quantity", quantity, specs.kinds)
    check_known("subject", subject, specs.subjects)
    usual = specs.kinds[quantity].unit
    since = len(specs.trace.open) if specs.trace else 0
    if quantity in ADDITIVE and specs.parts(subject):
        formula = f"sum over the accelerators: count × {words(quantity)} of one"
        value = _sum_of_parts(quantity, subject, specs, conditions)
    elif quantity in DERIVATIONS:
        function, formula = DERIVATIONS[quantity]
        _check_conditions(function, quantity, subject, conditions)
        value = function(specs, subject, **conditions)
    else:
        return units.sensible(specs.get(subject, quantity, **conditions), usual)
    value = units.sensible(value, usual)
    if specs.trace is not None:
        specs.trace.close(since, quantity, subject, formula, value)
    return value


def ratio(
    quantity: str,
    subject: str,
    comparator: str,
    specs: Specs,
    against: Mapping[str, str] = MappingProxyType({}),
    **conditions: Any,
) -> Any:
    """How many times the comparator's figure the subject's is, a pure number.

    `against` holds conditions that differ for the comparator, such as its own 8-bit format.

    >>> from cm384 import load_specs
    >>> print(round(ratio("hbm_capacity", "cloudmatrix-384", "gb200-nvl72", load_specs()).m, 3))
    3.556
    """
    ours = derive(quantity, subject, specs, **conditions)
    theirs = derive(quantity, comparator, specs, **{**conditions, **against})
    return (ours / theirs).to(units.registry.dimensionless)


def words(quantity: str) -> str:
    """The name of a quantity as people write it.

    >>> words("hbm_bandwidth_from_stacks")
    'HBM bandwidth from stacks'
    """
    spelt = {
        "hbm": "HBM",
        "tflop": "TFLOP",
        "flop": "FLOP",
        "tpot": "TPOT",
        "gemm": "GEMM",
        "rd spending": "R&D spending",
        "scale up": "scale-up",
        "scale out": "scale-out",
    }
    text = quantity.replace("_", " ")
    for plain, proper in spelt.items():
        text = text.replace(plain, proper)
    return text


def title(subject: str) -> str:
    """The name of a chip or system as people write it.

    >>> title("cloudmatrix-384"), title("gb200-nvl72"), title("h100-sxm"), title("compute-rack")
    ('CloudMatrix 384', 'GB200 NVL72', 'H100 SXM', 'compute rack')
    """
    names = {
        "cloudmatrix": "CloudMatrix",
        "ascend": "Ascend",
        "deepseek": "DeepSeek",
        "atlas": "Atlas",
        "nvidia": "NVIDIA",
        "huawei": "Huawei",
        "nokia": "Nokia",
        "china": "China",
        "united": "United",
        "states": "States",
        "kunpeng": "Kunpeng",
    }
    return " ".join(names.get(word) or _upper(word) for word in subject.split("-"))


def _upper(word: str) -> str:
    """Part numbers and abbreviations in capitals, other words as they are."""
    return word.upper() if len(word) <= 3 or any(c.isdigit() for c in word) else word


def row_name(row: Row) -> str:
    """What a row states, as people write it: "CloudMatrix 384: count (Ascend 910C)"."""
    conditions = read_conditions(row.conditions)
    names = {"precision": str.upper, "part": title, "peer": title}
    detail = [names.get(key, str)(value) for key, value in conditions.items()]
    return f"{title(row.subject)}: {words(row.quantity)}" + (
        f" ({', '.join(detail)})" if detail else ""
    )


def _sum_of_parts(quantity: str, subject: str, specs: Specs, conditions: dict[str, str]) -> Any:
    shares = [
        specs.get(subject, "count", part=part) * derive(quantity, part, specs, **conditions)
        for part in specs.parts(subject)
    ]
    return sum(shares[1:], start=shares[0])


def step_text(step: Step) -> str:
    """A step as people write it: what it gave, the formula in words, the values it took."""
    text = f"{words(step.quantity)} of {title(step.subject)} = {step.formula}"
    text += f" = {units.text(step.value)}"
    if not 0 < len(step.read) <= MOST_READ:
        return text
    return f"{text} (from {'; '.join(units.text(value) for value in step.read)})"


def compares(quantity: str) -> bool:
    """Whether a quantity is itself a comparison, so that it takes the comparator as a condition.

    >>> compares("areas_led"), compares("peak")
    (True, False)
    """
    function, _ = DERIVATIONS.get(quantity, (derive, ""))
    return "comparator" in inspect.signature(function).parameters


def _check_conditions(
    function: Formula, quantity: str, subject: str, conditions: Mapping[str, str]
) -> None:
    taken = list(inspect.signature(function).parameters.values())[2:]
    for name in conditions:
        check_known(f"condition for {quantity}", name, [parameter.name for parameter in taken])
    for parameter in taken:
        if parameter.default is parameter.empty and parameter.name not in conditions:
            raise InputError(f"{quantity} of {subject} needs {parameter.name}")


@dataclass(frozen=True)
class Explanation:
    """A figure with its working: the steps in words and the rows that were read."""

    quantity: str
    subject: str
    value: Any
    steps: list[Step]
    rows: list[Row]

    @property
    def table(self) -> pd.DataFrame:
        """The rows that were read, one a line, with value, basis, source and locator."""
        columns = ["row", "value", "basis", "source", "locator"]
        cells = [
            [row_name(r), units.text(r.amount, 6), r.basis, r.source, r.locator] for r in self.rows
        ]
        return pd.DataFrame(cells, columns=columns)

    def __str__(self) -> str:
        lines = [f"{words(self.quantity)} of {title(self.subject)} = {units.text(self.value)}"]
        lines += [f"  {step_text(step)}" for step in self.steps]
        lines += ["", "rows read:"]
        for row, cells in zip(self.rows, self.table.itertuples(index=False), strict=True):
            lines.append(f"  {cells.row}: {cells.value} ({row.basis})")
            lines.append(f"      {row.source}: {row.locator}")
        return "\n".join(lines)


def explain(quantity: str, subject: str, specs: Specs, /, **conditions: str) -> Explanation:
    """A figure with its formula in words and every row that was read, found by tracing it.

    >>> from cm384 import load_specs
    >>> print(str(explain("hbm_capacity", "cloudmatrix-384", load_specs())).splitlines()[0])
    HBM capacity of CloudMatrix 384 = 49.15 TB
    """
    traced, trace = specs.traced()
    value = derive(quantity, subject, traced, **conditions)
    rows = [traced.rows[key][0] for key in trace.keys]
    if changed := [key_name(key) for key in trace.keys if key in specs.drawn]:
        raise InputError(f"explain needs the sourced table; replaced here: {', '.join(changed)}")
    return Explanation(quantity, subject, value, trace.steps, rows)
