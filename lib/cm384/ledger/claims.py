"""The ledger of claims: what each row holds, what its printed figure stands for, and its checks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cm384.derive.derivation import Figure, compares, derive, numeric_conditions, ratio
from cm384.table import files, units
from cm384.table.errors import DATA, InputError, check_known, unknown
from cm384.table.records import read_conditions
from cm384.table.specs import Specs, load_specs
from cm384.table.words import title, words

CATEGORIES = ("chip spec", "system spec", "serving throughput", "efficiency", "parity", "power/energy",
              "software", "deployment", "timeline", "market/finance")  # fmt: skip
FORMS = ("value", "ratio", "share", "count", "date", "statement")
RELATIONS = ("eq", "gt", "ge", "lt", "le", "about")
VERDICTS = ("confirmed", "within sources", "within model error", "other basis", "source agrees",
            "understated", "overstated", "misattributed", "inconsistent", "contradicted",
            "unsupported")  # fmt: skip
MULTIPLES = {"half": "0.50", "double": "2.0", "twice": "2.0", "triple": "3.0", "quadruple": "4.0"}


@dataclass(frozen=True)
class Claim:
    """One line of `claims.csv`: what an article says, in our words, and how to check it."""

    id: str
    article: str
    locator: str
    category: str
    statement: str
    subject: str
    quantity: str
    conditions: str
    form: str
    relation: str
    value: str
    unit: str
    comparator: str
    readings: str
    same_as: str
    judged: str
    primary: str
    primary_locator: str
    primary_says: str
    note: str

    @property
    def printed(self) -> Printed:
        """What the printed figure stands for."""
        return printed(self.value, self.form, self.relation)

    @property
    def claimed(self) -> str:
        """The claimed figure as a reader sees it: "> 2", "more than double", "60 %"."""
        sign = {"eq": "", "gt": "> ", "ge": "≥ ", "lt": "< ", "le": "≤ ", "about": "about "}
        if self.value in MULTIPLES:
            sign |= {"gt": "more than ", "ge": "at least ", "lt": "less than ", "le": "at most "}
        unit = units.unit_text(units.parse_unit(self.unit or "count"))
        return f"{sign.get(self.relation, '')}{self.value} {unit}".strip()


@dataclass(frozen=True)
class Printed:
    """The interval a printed figure stands for; an open end excludes its edge."""

    value: float
    low: float
    high: float
    open: bool = False

    def holds(self, derived: Any) -> Any:
        """Whether derived numbers fall in it (elementwise for an array)."""
        slack = 1e-9 * abs(self.value)
        if self.open:
            return (np.asarray(derived) > self.low) & (np.asarray(derived) < self.high)
        return (derived >= self.low - slack) & (derived <= self.high + slack)


def printed(value: str, form: str, relation: str) -> Printed:
    """The interval a figure stands for: half a unit of its last significant digit, at most ±5 %.

    Trailing zeros of a whole number are not significant; counts are exact; "about" is ±10 %.

    >>> printed("3.6", "ratio", "eq"), printed("60", "share", "eq")
    (Printed(value=3.6, low=3.55, high=3.65, open=False), Printed(value=60.0, low=57.0, high=63.0, open=False))
    >>> printed("double", "ratio", "gt")
    Printed(value=2.0, low=2.0, high=inf, open=True)
    """  # noqa: E501
    digits = Decimal(MULTIPLES.get(value, value).replace(",", ""))
    centre = float(digits)
    if relation in ("gt", "ge"):
        return Printed(centre, centre, np.inf, open=relation == "gt")
    if relation in ("lt", "le"):
        return Printed(centre, -np.inf, centre, open=relation == "lt")
    if form in ("count", "date") and relation != "about":
        return Printed(centre, centre, centre)
    whole = digits == digits.to_integral_value() and "." not in str(digits)
    exponent = (digits.normalize() if whole else digits).as_tuple().exponent
    half = min(0.5 * 10.0 ** int(exponent), 0.05 * abs(centre))
    if relation == "about":
        half = 0.1 * abs(centre)
    return Printed(centre, round(centre - half, 12), round(centre + half, 12))


# --- readings ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """One way to compute a claim: whose quantity, against whom, under which conditions."""

    subject: str
    quantity: str
    comparator: str
    conditions: Mapping[str, str]
    against: Mapping[str, str] = field(default_factory=dict)

    def changed(self, text: str) -> Reading:
        """This reading with the changes that a cell of `readings` lists: `key=value;…`.

        A key is `subject`, `quantity`, `comparator`, a condition, or `comparator.` before a
        condition that holds for the comparator alone.
        """
        changes = read_conditions(text)
        names = {n: changes.pop(n) for n in ("subject", "quantity", "comparator") if n in changes}
        theirs = [name for name in changes if name.startswith("comparator.")]
        against = {name.split(".", 1)[1]: changes.pop(name) for name in theirs}
        if names.get("quantity", self.quantity) == self.quantity:  # another has conditions of its own
            changes, against = {**self.conditions, **changes}, {**self.against, **against}
        return dataclasses.replace(self, **names, conditions=changes, against=against)

    @property
    def figure(self) -> Figure:
        """The pure derivation that this reading asks for: a figure, or a ratio of two."""
        quantity, subject, other, given = self.quantity, self.subject, self.comparator, self.conditions
        if other and not compares(quantity):
            return lambda specs: ratio(quantity, subject, other, specs, self.against, **given)
        versus = {"comparator": other} if other else {}
        return lambda specs: derive(quantity, subject, specs, **given, **versus)

    @property
    def text(self) -> str:
        """The reading in words."""
        ours = _aside({"precision": "", "basis": "", **self.conditions})
        joint = " against " if compares(self.quantity) else " ÷ "
        versus = f"{joint}{title(self.comparator)}{_aside(self.against)}" if self.comparator else ""
        return f"{words(self.quantity)}{ours} of {title(self.subject)}{versus}"


def _aside(conditions: Mapping[str, str]) -> str:
    """Conditions in brackets, as people write them, or nothing."""
    spoken = {"precision": str.upper, "part": title, "peer": title}
    kept = [spoken.get(name, str)(value) for name, value in conditions.items() if value]
    return f" ({', '.join(kept)})" if kept else ""


# --- reading -------------------------------------------------------------------------------------


# What a file of somebody else must state; every other column may be left out.
NEEDED = ("id", "statement", "subject", "quantity", "form", "value")


def load_claims(path: str | Path | None = None, specs: Specs | None = None) -> list[Claim]:
    """The claims of this project, or of another file, checked against the names that `specs` knows.

    A claim with `same_as` takes every cell that it leaves empty from the claim it repeats. Another
    file needs only the columns that say what is claimed.
    """
    file = DATA / "claims.csv" if path is None else Path(path)
    known = specs or load_specs()
    table = files.read_table(file, files.columns(Claim), None if path is None else NEEDED)
    own = files.read_keys() if path is None else None
    bad = partial(files.bad_cell, file.name)
    rows = dict(zip(table.index, files.row_dicts(table), strict=True))
    ids: dict[str, dict[str, str]] = {}
    for line, row in rows.items():
        if row["id"] in ids:
            raise bad(line, "id", row["id"], "an id that is not taken")
        ids[row["id"]] = row
    for line, row in rows.items():
        repeated = ids.get(row["same_as"], {})
        if row["same_as"] and not repeated:
            raise bad(line, "same_as", row["same_as"], files.among(ids))
        if repeated.get("same_as"):
            raise bad(line, "same_as", row["same_as"], "a claim that does not repeat another one itself")
        table.loc[line] = [row[c] or repeated.get(c, "") for c in table.columns]
    files.check_table(table, claims_checks(known, ids, own), file.name)
    claims = [Claim(**values) for values in files.row_dicts(table)]
    for line, claim in zip(table.index, claims, strict=True):
        _check_whole(claim, file.name, line, known)
        meant = ids.get(claim.comparator, {})
        if meant and (meant["comparator"] in ids or meant["form"] not in ("ratio", "share")):
            expected = "a ratio or share that does not refer to another claim itself"
            raise bad(line, "comparator", claim.comparator, expected)
    return claims


def claims_checks(specs: Specs, ids: Iterable[str], keys: Iterable[str] | None) -> dict[str, Any]:
    """What a claims file must look like: one check a column."""
    pairs = r"([a-z_.]+=[^;=|]+(;[a-z_.]+=[^;=|]+)*)?"
    checks = {
        "id": files.matches(r"[A-Za-z0-9-]+", "letters, digits and hyphens"),
        "category": files.one_of([*CATEGORIES, ""]),
        "statement": files.matches(r"\S.*", "the claim in words"),
        "subject": files.one_of([*specs.subjects, ""]),
        "quantity": files.one_of([*specs.kinds, ""]),
        "conditions": files.matches(pairs, "key=value;key=value"),
        "form": files.one_of(FORMS),
        "relation": files.one_of([*RELATIONS, ""]),
        "unit": files.meets(lambda cell: not cell or files.is_unit(cell), "a unit such as GB/s"),
        "comparator": files.one_of([*specs.subjects, *ids, ""]),
        "readings": files.matches(rf"{pairs}(\|{pairs})*", "key=value;…|key=value;…"),
        "judged": files.one_of([*VERDICTS, ""]),
    }
    if keys is not None:
        checks["article"] = files.one_of(keys)
    return checks


def _check_whole(claim: Claim, file: str, line: int, specs: Specs) -> None:
    """Refuse a row whose cells are each well formed but do not make a claim together."""

    def bad(column: str, expected: str) -> InputError:
        return files.bad_cell(file, line, column, getattr(claim, column), expected)

    if claim.judged:
        if not claim.primary_says and not claim.note:
            raise bad("primary_says", "what the primary source says, or why none was found")
        return
    for column in ("subject", "quantity"):
        if not getattr(claim, column):
            raise bad(column, "a name, or a verdict in column judged")
    if claim.value not in MULTIPLES and not _is_printed_number(claim.value):
        raise bad("value", "a positive number as printed")
    quotient = claim.form in ("ratio", "share") or (claim.comparator and not compares(claim.quantity))
    unit = "count" if quotient else specs.kinds[claim.quantity].unit
    if not units.same_kind(claim.unit or "count", unit):
        raise bad("unit", f"a unit such as {unit}")
    if {"subject", "quantity", "comparator"} & read_conditions(claim.conditions).keys():
        raise bad("conditions", "conditions alone; names have columns of their own")
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {})
    others = [("readings", text) for text in claim.readings.split("|") if text]
    for column, text in [("conditions", claim.conditions), *others]:
        reading = plain.changed(text)
        try:
            _check_reading(reading, specs, claim.comparator)
            if not quotient and not units.same_kind(specs.kinds[reading.quantity].unit, unit):
                raise InputError(f"{reading.quantity} is not given in {claim.unit}")
        except InputError as error:
            raise InputError(f"{file} line {line}, column {column}: {error}") from None


def _is_printed_number(cell: str) -> bool:
    """Whether a cell is a positive number as people print it: 3.6, 60, 1,943."""
    grouped = re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", cell)
    plain = cell.replace(",", "") if grouped else cell
    return files.is_number(plain) and float(plain) > 0


def _check_reading(reading: Reading, specs: Specs, comparator: str) -> None:
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
