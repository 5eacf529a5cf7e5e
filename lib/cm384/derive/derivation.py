"""The one idea: a derivation is a pure function of the table of specs.

A derivation is registered under the quantity it gives, with its formula in words. `derive` calls
it; `explain` calls it on a table that notes what was read. What is true of every system is said
once here: it is the sum of its accelerators.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np

from cm384.table import units
from cm384.table.errors import InputError, check_known
from cm384.table.files import LEAST, MOST
from cm384.table.frames import pd
from cm384.table.records import Row
from cm384.table.specs import Specs
from cm384.table.trace import Step
from cm384.table.units import Quantity
from cm384.table.words import row_name, title, words

Formula = Callable[..., Quantity]
Figure = Callable[[Specs], Quantity]  # any figure, as a pure function of the table

# Quantities of which a system has as much as its accelerators together.
ADDITIVE = frozenset({"peak", "hbm_capacity", "hbm_bandwidth", "scale_up_bandwidth", "scale_out_bandwidth"})
ADDITIVE |= {"peak_from_units", "hbm_capacity_from_stacks", "hbm_bandwidth_from_stacks"}
ADDITIVE |= {"scale_up_bandwidth_from_links", "on_chip_memory", "host_memory", "peak_by_bits"}
ADDITIVE |= {"matched_throughput"}
ADDITIVE |= {"hbm_stacks", "silicon_area", "tpp"}

HOSTED = frozenset({"host_memory"})  # what accelerators have none of

MOST_READ = 8  # values that a line of a working shows; a step that took more has them in its rows

# Where derivations are registered: modules of half a start, imported when one of theirs is asked for.
HOMES = "hardware", "served", "training", "at_work"
_DERIVATIONS: dict[str, tuple[Formula, str]] = {}
_signature = cache(inspect.signature)


def derivation(formula: str) -> Callable[[Formula], Formula]:
    """Register a function `(specs, subject, **conditions)` as the derivation of its name."""

    def register(function: Formula) -> Formula:
        _DERIVATIONS[function.__name__] = function, formula
        return function

    return register


@cache
def derivations() -> dict[str, tuple[Formula, str]]:
    """All that are registered, with their formulas in words, by the quantity that they give."""
    for name in HOMES:
        import_module(f"cm384.physics.{name}")
    return _DERIVATIONS


def derive(quantity: str, subject: str, specs: Specs, /, **conditions: Any) -> Quantity:
    """The figure that follows from the table, in the unit a reader expects.

    A system's figure is the sum over its accelerators, and over other parts that have some, unless
    the table takes the printed total; a chip's is derived if the quantity is a derived one, and the
    stated row otherwise.

    >>> from cm384 import load_specs
    >>> print(units.text(derive("hbm_capacity", "cloudmatrix-384", load_specs())))
    49.15 TB
    """
    check_known("quantity", quantity, specs.kinds)
    check_known("subject", subject, specs.subjects)
    usual = specs.kinds[quantity].unit
    since = len(specs.trace.open) if specs.trace else 0
    if parts := _summed(quantity, subject, specs, conditions):
        formula = f"sum over the parts: count × {words(quantity)} of one"
        shares = [
            specs.get(subject, "count", part=part).m * derive(quantity, part, specs, **conditions)
            for part in parts
        ]
        value = sum(shares[1:], start=shares[0])
    elif specs.kinds[quantity].kind == "derived":
        function, formula = derivations()[quantity]
        value = function(specs, subject, **_checked_conditions(quantity, subject, conditions))
    else:
        return units.sensible(specs.get(subject, quantity, **conditions), usual)
    value = units.sensible(value, usual)
    if specs.trace is not None:
        specs.trace.close(since, f"{words(quantity)} of {title(subject)}", formula, value)
    return value


def _summed(quantity: str, system: str, specs: Specs, conditions: Mapping[str, Any]) -> list[str]:
    """The parts that a system's figure is the sum over; none for a chip, or where its printed total is taken.

    Other parts than accelerators count too where rows state it: a host processor has memory.
    """
    accelerators = specs.parts(system)
    if quantity not in ADDITIVE or not accelerators:
        return []
    total = specs.totals and specs.has(system, quantity, **conditions)
    if total and specs.find(system, quantity, **conditions) in specs.totals:
        return []
    others = [part for part in specs.counted(system) if part in specs.subjects and part not in accelerators]
    stated = specs.kinds[quantity].kind == "stated"
    having = [part for part in others if stated and specs.has(part, quantity, **conditions)]
    return having if having and quantity in HOSTED else accelerators + having


def ratio(
    quantity: str,
    subject: str,
    comparator: str,
    specs: Specs,
    against: Mapping[str, str] = MappingProxyType({}),
    **conditions: Any,
) -> Quantity:
    """How many times the comparator's figure the subject's is, a pure number.

    `against` holds conditions that differ for the comparator, such as its own 8-bit format.

    >>> from cm384 import load_specs
    >>> print(round(ratio("hbm_capacity", "cloudmatrix-384", "gb200-nvl72", load_specs()).m, 3))
    3.556
    """
    since = len(specs.trace.open) if specs.trace else 0
    ours = derive(quantity, subject, specs, **conditions)
    theirs = derive(quantity, comparator, specs, **{**conditions, **against})
    value = (ours / theirs).to(units.registry.dimensionless)
    if specs.trace is not None and not np.ndim(value.m):
        name = f"{words(quantity)}, {title(subject)} ÷ {title(comparator)}"
        del specs.trace.open[since:]  # the formula names both
        specs.trace.close(since, name, f"{units.text(ours)} ÷ {units.text(theirs)}", value)
    return value


def noted(specs: Specs, name: str, formula: str, figure: Figure) -> Quantity:
    """A part of a derivation, which its working shows as a step of its own."""
    since = len(specs.trace.open) if specs.trace else 0
    value = figure(specs)
    if specs.trace is not None:
        specs.trace.close(since, name, formula, value)
    return value


def step_text(step: Step) -> str:
    """A step as people write it: what it gave, the formula in words, the values it took."""
    text = f"{step.name} = {step.formula} = {units.text(step.value)}"
    if not 0 < len(step.read) <= MOST_READ:
        return text
    return f"{text} (from {'; '.join(units.text(value) for value in step.read)})"


def conditions_of(quantity: str) -> dict[str, inspect.Parameter]:
    """The conditions that a derived quantity takes, by name; none for one that is stated.

    >>> list(conditions_of("exchange_time"))
    ['op', 'ranks', 'tokens']
    """
    if quantity not in derivations():
        return {}
    return dict(list(_signature(derivations()[quantity][0]).parameters.items())[2:])


def compares(quantity: str) -> bool:
    """Whether a quantity is itself a comparison, so that it takes the comparator as a condition.

    >>> compares("served_ratio"), compares("peak")
    (True, False)
    """
    return "comparator" in conditions_of(quantity)


def numeric_conditions(quantity: str) -> frozenset[str]:
    """The conditions of a derived quantity that are numbers, such as how many ranks exchange.

    >>> sorted(numeric_conditions("exchange_time")), sorted(numeric_conditions("peak_from_units"))
    (['ranks', 'tokens'], [])
    """
    taken = conditions_of(quantity).items()
    return frozenset(name for name, parameter in taken if parameter.annotation == "Numbers")


def _checked_conditions(quantity: str, subject: str, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions, numbers among them read; refuses one that is missing or not known."""
    taken = conditions_of(quantity)
    for name in conditions:
        check_known(f"condition for {quantity}", name, taken)
    for name, parameter in taken.items():
        if parameter.default is parameter.empty and name not in conditions:
            raise InputError(f"{quantity} of {subject} needs {name}")
    numeric = numeric_conditions(quantity)
    return {n: _number(n, v) if n in numeric else v for n, v in conditions.items()}


def _number(name: str, value: Any) -> Any:
    """A condition that is a number, or an array of them."""
    try:
        found = np.asarray(value, dtype=float)[()]
    except (TypeError, ValueError):
        raise InputError(f"condition {name}: expected a number, got {value!r}") from None
    if not np.all(np.isfinite(found) & (found > 0)):
        raise InputError(f"condition {name}: expected a number above 0, got {value!r}")
    if not np.all((found >= LEAST) & (found <= MOST)):
        raise InputError(f"condition {name}: expected a number from {LEAST:g} to {MOST:g}, got {value!r}")
    return found


@dataclass(frozen=True)
class Working:
    """A figure with how it came about: the steps in words, and the rows that were read.

    `rows` are the central ones, in the order in which they were read first.
    """

    name: str
    value: Quantity
    steps: tuple[Step, ...]
    rows: tuple[Row, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the rows, each once."""
        return tuple(dict.fromkeys(row.source for row in self.rows))

    @property
    def table(self) -> pd.DataFrame:
        """The rows that were read, one a line, with value, basis, source and locator."""
        return pd.DataFrame(self._cells, columns=["row", "value", "basis", "source", "locator"])

    @property
    def _cells(self) -> list[tuple[str, ...]]:
        return [(row_name(r), units.text(r.amount, 6), r.basis, r.source, r.locator) for r in self.rows]

    def __str__(self) -> str:
        lines = [f"{self.name} = {units.text(self.value)}"]
        lines += [f"  {step_text(step)}" for step in self.steps]
        lines += ["", "rows read:"]
        for row, value, basis, source, locator in self._cells:
            lines += [f"  {row}: {value} ({basis})", f"      {source}: {locator}"]
        return "\n".join(lines)


def trace(figure: Figure, specs: Specs, name: str = "") -> Working:
    """A figure with its working, found by calling it on a table that notes what is read.

    >>> from cm384 import load_specs
    >>> found = trace(lambda specs: specs.get("server", "service_life"), load_specs())
    >>> [row.key[:2] for row in found.rows]
    [('server', 'service_life')]
    """
    traced, notes = specs.traced()
    value = figure(traced)
    return Working(name, value, tuple(notes.steps), tuple(specs.rows[key][0] for key in notes.keys))


def explain(quantity: str, subject: str, specs: Specs, /, **conditions: str) -> Working:
    """A figure with its formula in words and every row that was read.

    >>> from cm384 import load_specs
    >>> print(str(explain("hbm_capacity", "cloudmatrix-384", load_specs())).splitlines()[0])
    HBM capacity of CloudMatrix 384 = 49.15 TB
    """
    name = f"{words(str(quantity))} of {title(str(subject))}"
    found = trace(lambda table: derive(quantity, subject, table, **conditions), specs, name)
    if changed := [row.name for row in found.rows if row.key in specs.drawn]:
        raise InputError(f"explain needs the sourced table; replaced here: {', '.join(changed)}")
    return found
