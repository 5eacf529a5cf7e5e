"""How a claim may be read: whose figure, against whom, on which footing; and the measures of words.

`readings.csv` lists for each quantity what a fair reader might mean, `proxies.csv` the measurable
stand-ins of a word of degree; both are the same for all claims, whoever they favour.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cm384.derive.derivation import Figure, compares, conditions_of, derive, numeric_conditions, ratio
from cm384.table import files, units
from cm384.table.errors import DATA, InputError, check_known, unknown
from cm384.table.records import read_conditions
from cm384.table.specs import Specs, load_specs, once
from cm384.table.units import Quantity
from cm384.table.words import title, words


@dataclass(frozen=True)
class Reading:
    """One way to compute a claim: whose quantity, against whom, under which conditions.

    Against a comparator it is a ratio, or with `difference` what the one has more than the other.
    """

    subject: str
    quantity: str
    comparator: str
    conditions: Mapping[str, str]
    against: Mapping[str, str] = field(default_factory=dict)
    difference: bool = False

    def __hash__(self) -> int:
        return hash((self.subject, self.quantity, self.comparator, *sorted(self.conditions.items())))

    def changed(self, text: str) -> Reading:
        """This reading with the changes that a cell of `readings` lists: `key=value;…`.

        A key is `subject`, `quantity`, `comparator`, a condition, or `comparator.` before a
        condition that holds for the comparator alone.
        """
        changes = read_conditions(text)
        columns = ("subject", "quantity", "comparator")
        names: dict[str, Any] = {name: changes.pop(name) for name in columns if name in changes}
        theirs = [name for name in changes if name.startswith("comparator.")]
        against = {name.split(".", 1)[1]: changes.pop(name) for name in theirs}
        if names.get("quantity", self.quantity) == self.quantity:  # another has conditions of its own
            # A footing named once is that of both sides.
            footing = changes.keys() & {"precision", "basis", "bits"}
            kept = {name: value for name, value in self.against.items() if name not in footing}
            changes, against = {**self.conditions, **changes}, {**kept, **against}
        return dataclasses.replace(self, **names, conditions=changes, against=against)

    @property
    def figure(self) -> Figure:
        """The pure derivation that this reading asks for: a figure, a ratio or a difference of two."""
        quantity, subject, other, given = self.quantity, self.subject, self.comparator, self.conditions
        if other and self.difference:
            return lambda specs: self._apart(specs)
        if other and not compares(quantity):
            return lambda specs: ratio(quantity, subject, other, specs, self.against, **given)
        versus = {"comparator": other} if other else {}
        return lambda specs: derive(quantity, subject, specs, **given, **versus)

    def _apart(self, specs: Specs) -> Quantity:
        ours = derive(self.quantity, self.subject, specs, **self.conditions)
        return ours - derive(self.quantity, self.comparator, specs, **{**self.conditions, **self.against})

    @property
    def text(self) -> str:
        """The reading in words."""
        ours = _aside({"precision": "", "basis": "", **self.conditions})
        joint = " − " if self.difference else " against " if compares(self.quantity) else " ÷ "
        versus = f"{joint}{title(self.comparator)}{_aside(self.against)}" if self.comparator else ""
        return f"{words(self.quantity)}{ours} of {title(self.subject)}{versus}"


def filled(text: str, specs: Specs, own: Mapping[str, Quantity] | None = None) -> str:
    """A sentence with its placeholders derived, so that no number in it can drift.

    A placeholder is a reading in braces, as in the column `readings` of the claims, with `unit` and
    `digits` (three unless said) for how it is printed; `claim=` names one of the figures in `own`.

    >>> text = "{subject=cloudmatrix-384;quantity=hbm_capacity;comparator=gb200-nvl72;digits=2}"
    >>> filled(f"{text} times the memory", load_specs())
    '3.6 times the memory'
    """

    def figure(match: re.Match[str]) -> str:
        given = read_conditions(match[1])
        unit, digits = given.pop("unit", ""), int(given.pop("digits", "3"))
        if name := given.pop("claim", ""):
            check_known("placeholder", name, figures)
            value = figures[name]
        else:
            pairs = ";".join(f"{name}={value}" for name, value in given.items())
            value = once(_figure, specs, pairs)
        return units.text(value.to(unit) if unit else value, digits)

    figures = own or {}
    return re.sub(r"\{([^{}]+)\}", figure, text)


def _figure(specs: Specs, pairs: str) -> Quantity:
    return Reading("", "", "", {}).changed(pairs).figure(specs)


def _aside(conditions: Mapping[str, str]) -> str:
    """Conditions in brackets, as people write them, or nothing."""
    spoken = {"precision": str.upper, "part": title, "peer": title, "bits": "{} bits".format}
    kept = [spoken.get(name, str)(value) for name, value in conditions.items() if value]
    return f" ({', '.join(kept)})" if kept else ""


def check_reading(reading: Reading, specs: Specs, comparator: str) -> None:
    """Refuse a name that the table does not know; `comparator` may be the id of a claim."""
    for name in (reading.subject, reading.comparator):
        if name and name != comparator and name not in specs.subjects:
            raise unknown("subject", name, specs.subjects)
    check_known("quantity", reading.quantity, specs.kinds)
    known, numbers = specs.condition_values, numeric_conditions(reading.quantity)
    for name, value in [*reading.conditions.items(), *reading.against.items()]:
        if name in numbers:
            if not files.is_amount(value):
                raise InputError(f"condition {name}: expected a number, got {value!r}")
            continue
        check_known("condition", name, known)
        check_known(name, value, known[name])


# Figures of work that without a named run are tried on every run of that machine.
OPEN = frozenset({"published_throughput", "published_tpot", "system_throughput", "tokens_per_tflop"})


def missing_conditions(reading: Reading, specs: Specs) -> str:
    """What a quantity needs and a reading lacks, in words; empty if it lacks nothing.

    A stated quantity needs what all its rows have, a derived one what its formula asks for.
    """
    taken = conditions_of(reading.quantity)
    needed = {name for name, parameter in taken.items() if parameter.default is parameter.empty}
    if not taken:
        stated = [read_conditions(key[2]).keys() for key in specs.rows if key[1] == reading.quantity]
        needed = set.intersection(*map(set, stated)) if stated else set()
    tried = {"measurement", "precision"} if reading.quantity in OPEN else set()
    lacking = sorted(needed - tried - {"comparator", *reading.conditions})
    if not lacking:
        return ""
    known = specs.condition_values.get(lacking[0], frozenset())
    named = f", such as {lacking[0]}={sorted(known)[0]}" if known else ""
    return f"{reading.quantity} of {reading.subject} needs {lacking[0]}{named}"


# --- lists that are the same for all claims --------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """One line of `readings.csv`: what else may be meant by a quantity, and why that is fair.

    `where` names the subject or comparator that it is about; empty for all.
    """

    quantity: str
    where: str
    reading: str
    why: str


@dataclass(frozen=True)
class Proxy:
    """One line of `proxies.csv`: a measure that a word stands for.

    `at_least` is the share of the comparator's figure that is enough; where less is better, that
    many times it is the most.
    """

    word: str
    reading: str
    at_least: str
    why: str


PAIRS = files.matches(r"[a-z_.]+=[^;=|]+(;[a-z_.]+=[^;=|]+)*", "key=value;key=value")


@cache
def load_listed() -> list[Listed]:
    """What else may be meant by each quantity, checked."""
    checks = {
        "quantity": files.one_of(load_specs().kinds),
        "where": files.one_of([*load_specs().subjects, ""]),
        "reading": PAIRS,
        "why": files.matches(r"\S.*", "a reason"),
    }
    found = files.read_records(DATA / "readings.csv", Listed, checks)
    for line, row in found.items():
        _check_line("readings.csv", line, Reading("", row.quantity, "", {}).changed(row.reading))
    return [*found.values()]


@cache
def load_proxies() -> dict[str, list[Proxy]]:
    """The measures of each word, checked."""
    checks = {
        "word": files.matches(r"[a-z][a-z-]*", "lower-case letters and hyphens"),
        "reading": PAIRS,
        "at_least": files.Check(files.is_amount, "a number"),
    }
    found = files.read_records(DATA / "proxies.csv", Proxy, checks)
    words_of: dict[str, list[Proxy]] = {}
    for line, row in found.items():
        reading = Reading("", "", "", {}).changed(row.reading)
        _check_line("proxies.csv", line, reading)
        if missing := missing_conditions(reading, load_specs()):
            raise files.bad_cell("proxies.csv", line, "reading", row.reading, missing)
        words_of.setdefault(row.word, []).append(row)
    return words_of


def _check_line(file: str, line: int, reading: Reading) -> None:
    try:
        check_reading(reading, load_specs(), "")
    except InputError as error:
        raise InputError(f"{file} line {line}, column reading: {error}") from None


def listed_readings(stated: Reading, own: str, specs: Specs) -> list[Reading]:
    """What else a claim may mean: what is listed for its quantity, and what its own cell adds.

    A change of the cell with `-` before it is struck out. What says the same as the stated reading, or
    compares a thing with itself, is none.
    """
    added = [text for text in own.split("|") if text and not text.startswith("-")]
    struck = {text.removeprefix("-") for text in own.split("|") if text.startswith("-")}
    general = [
        row.reading
        for row in load_listed()
        if row.quantity == stated.quantity and row.where in ("", stated.subject, stated.comparator)
        and row.reading not in struck
    ]  # fmt: skip
    found = [stated.changed(text) for text in [*added, *(g for g in general if _asked(g, stated))]]
    return without_doubles(reading for reading in found if reading != stated)


def _asked(text: str, stated: Reading) -> bool:
    """A change of the comparator's conditions alone says nothing of a claim without one."""
    return bool(stated.comparator) or "comparator" not in text


def without_doubles(readings: Iterable[Reading]) -> list[Reading]:
    """Readings each once, none of a thing against itself."""
    found: list[Reading] = []
    for reading in readings:
        itself = reading.subject == reading.comparator and not reading.against
        if reading not in found and not itself:
            found.append(reading)
    return found


def differs(reading: Reading, stated: Reading) -> bool:
    """Whether a reading is of another machine, part, comparator or quantity than the stated one."""

    def owner(r: Reading) -> tuple[str, ...]:
        named = ("part", "product", "stage", "peer", "market")
        kept = [f"{name}={r.conditions[name]}" for name in named if name in r.conditions]
        return (r.subject, r.quantity, r.comparator, *kept)

    return owner(reading) != owner(stated)
