"""The ledger of claims and the rule by which each gets its verdict.

The rule is fixed before any comparison. A printed figure stands for an interval; the derivation
gives a central value and the span of all sourced combinations; the first verdict that fits decides:
confirmed, misattributed or contradicted, within sources, other basis, overstated or understated.
What cannot be derived carries the verdict reached from its primary source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cm384 import specs as tables
from cm384 import units
from cm384.derivation import compares, derive, ratio, row_name, title, words
from cm384.errors import InputError, unknown
from cm384.paths import DATA
from cm384.specs import Specs, read_conditions
from cm384.throughput import MODELLED, model_error
from cm384.uncertainty import Figure, Span, span

CATEGORIES = (
    "chip spec",
    "system spec",
    "serving throughput",
    "efficiency",
    "parity",
    "power/energy",
    "software",
    "deployment",
    "timeline",
    "market/finance",
)
FORMS = ("value", "ratio", "share", "count", "date", "statement")
RELATIONS = ("eq", "gt", "ge", "lt", "le", "about")
VERDICTS = (
    "confirmed",
    "within sources",
    "within model error",
    "other basis",
    "source agrees",
    "understated",
    "overstated",
    "misattributed",
    "inconsistent",
    "contradicted",
    "unsupported",
)
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
        plain = dataclasses.replace(self, conditions={}, against={})
        if changes.get("quantity", self.quantity) != self.quantity and (
            self.conditions or self.against
        ):
            return plain.changed(text)  # another quantity has conditions of its own
        names = {n: changes.pop(n) for n in ("subject", "quantity", "comparator") if n in changes}
        theirs = [name for name in changes if name.startswith("comparator.")]
        against = {name.split(".", 1)[1]: changes.pop(name) for name in theirs}
        return dataclasses.replace(
            self,
            **names,
            conditions={**self.conditions, **changes},
            against={**self.against, **against},
        )

    @property
    def figure(self) -> Figure:
        """The pure derivation that this reading asks for: a figure, or a ratio of two."""
        if self.comparator and compares(self.quantity):
            conditions = {**self.conditions, "comparator": self.comparator}
            return lambda specs: derive(self.quantity, self.subject, specs, **conditions)
        if not self.comparator:
            return lambda specs: derive(self.quantity, self.subject, specs, **self.conditions)
        return lambda specs: ratio(
            self.quantity, self.subject, self.comparator, specs, self.against, **self.conditions
        )

    @property
    def text(self) -> str:
        """The reading in words."""
        conditions = {"precision": "", "basis": "", **self.conditions}
        ours = [conditions.pop("precision").upper(), conditions.pop("basis")]
        ours += [_spoken(name, value) for name, value in conditions.items()]
        theirs = [_spoken(name, value) for name, value in self.against.items()]
        joint = " against " if compares(self.quantity) else " ÷ "
        versus = f"{joint}{title(self.comparator)}{_aside(theirs)}" if self.comparator else ""
        return f"{words(self.quantity)}{_aside(ours)} of {title(self.subject)}{versus}"


def _spoken(condition: str, value: str) -> str:
    """The value of a condition as people write it."""
    if condition == "precision":
        return value.upper()
    return title(value) if condition in ("part", "peer") else value


def _aside(words: Iterable[str]) -> str:
    """Words in brackets, or nothing."""
    kept = [word for word in words if word]
    return f" ({', '.join(kept)})" if kept else ""


def as_stated(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Reading]:
    """The readings that take the claim at its word: one, or one for each possible comparator.

    A comparator may be the id of another claim (whatever machine that claim fits is meant) or be
    missing (the article names none: every machine of the subject's kind is tried).
    """
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {}).changed(claim.conditions)
    if claim.comparator in ledger:
        other = ledger[claim.comparator]
        found = [
            attempt.reading.comparator
            for attempt in attempts(as_stated(other, specs, ledger), other.unit, specs)
            if other.printed.holds(attempt.central)
        ]
        return [dataclasses.replace(plain, comparator=name) for name in found]
    if claim.comparator or claim.form not in ("ratio", "share"):
        return [plain]
    kind = specs.systems if specs.parts(claim.subject) else specs.chips
    return [dataclasses.replace(plain, comparator=n) for n in kind if n != claim.subject]


@dataclass(frozen=True)
class Attempt:
    """A reading and what it gives, in the unit of the claim."""

    reading: Reading
    span: Span

    @property
    def central(self) -> float:
        """The figure at the central values."""
        return float(self.span.central.m)


def attempt(reading: Reading, unit: str, specs: Specs) -> Attempt:
    """Derive one reading with its span."""
    target = units.parse_unit(unit or "count")
    return Attempt(reading, span(lambda table: reading.figure(table).to(target), specs))


def attempts(readings: Iterable[Reading], unit: str, specs: Specs) -> list[Attempt]:
    """What each reading gives; those that need a figure no source states are left out."""
    found = []
    for reading in readings:
        with contextlib.suppress(InputError):
            found.append(attempt(reading, unit, specs))
    return found


def other_readings(claim: Claim, stated: Reading) -> list[Reading]:
    """The other readings that the claim lists, as changes to the one it states."""
    return [stated.changed(text) for text in claim.readings.split("|") if text]


# --- verdicts ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a claim, with its reason in one sentence."""

    claim: Claim
    verdict: str
    why: str
    attempt: Attempt | None = None
    sources: tuple[str, ...] = ()

    @property
    def derived(self) -> float:
        """The derived figure in the unit of the claim; NaN if nothing was derived."""
        return self.attempt.central if self.attempt else np.nan

    @property
    def quotient(self) -> float:
        """Derived ÷ claimed."""
        return self.derived / self.claim.printed.value if self.attempt else np.nan


def judge(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Verdict:
    """The verdict of one claim by the rule; `ledger` holds the claims it may refer to."""
    if claim.judged:
        why = claim.primary_says or claim.note
        named = tuple(key for key in claim.primary.split(";") if key)
        return Verdict(claim, claim.judged, why, sources=named)
    readings = as_stated(claim, specs, ledger)
    tried = attempts(readings, claim.unit, specs)
    if not tried:
        return Verdict(claim, "unsupported", _missing(readings, claim.unit, specs))
    verdict, best, why = _first_match(claim, tried, specs)
    sources = {specs.rows[key][0].source: None for key in best.span.keys}
    return Verdict(claim, verdict, why[0].upper() + why[1:], best, tuple(sources))


def _first_match(claim: Claim, tried: Sequence[Attempt], specs: Specs) -> tuple[str, Attempt, str]:
    target = claim.printed
    if tried[0].reading.quantity in MODELLED:
        return _first_match_of_model(claim, tried[0], specs)
    if held := [a for a in tried if target.holds(a.central)]:
        return "confirmed", held[0], _confirmed(claim, held, tried)
    best = min(tried, key=lambda a: abs(np.log(a.central / target.value)) if a.central else np.inf)
    others = attempts(other_readings(claim, best.reading), claim.unit, specs)
    fitting = [a for a in others if target.holds(a.central)]
    owners = [a for a in fitting if _another_owner(a.reading, best.reading)]
    if owners:
        owner = owners[0].reading
        part = title(owner.conditions.get("part", owner.subject))
        return "misattributed", best, f"{_found(claim, best)}; the claim fits {part}."
    if claim.form == "count":
        return "contradicted", best, f"{_found(claim, best)}, not {claim.value}."
    if within := [a for a in tried if np.any(target.holds(a.span.values))]:
        return "within sources", within[0], _reached(claim, within[0], specs)
    if fitting:
        return "other basis", best, _held_otherwise(claim, best, fitting, len(others))
    return _missed(claim, best, others, specs)


def _first_match_of_model(claim: Claim, found: Attempt, specs: Specs) -> tuple[str, Attempt, str]:
    """The verdict of a claim through the serving model: none is reached by less than its error."""
    target = claim.printed
    error = model_error(specs, found.reading.conditions["measurement"])
    low, high = found.central * (1 - error), found.central * (1 + error)
    sides = target.holds(np.array([low, found.central, high]))
    bounded = np.isfinite(target.low) and np.isfinite(target.high)
    off = 100 * (found.central / target.value - 1)
    said = (
        f"{_found(claim, found)}, {off:+.0f} % from the claim; nine in ten "
        f"well specified measurements of other documents are met within {100 * error:.0f} %."
    )
    if np.all(sides) or (bounded and sides[1]):
        return "confirmed", found, said
    if np.any(sides) or low < target.value < high:
        return "within model error", found, said
    others = attempts(other_readings(claim, found.reading), claim.unit, specs)
    if fitting := [a for a in others if target.holds(a.central)]:
        return "other basis", found, _held_otherwise(claim, found, fitting, len(others))
    return _missed(claim, found, others, specs)


def _held_otherwise(claim: Claim, stated: Attempt, fitting: Sequence[Attempt], tried: int) -> str:
    """On which of the other readings the claim holds, the first two by name."""
    held_as = " and ".join(_found(claim, a) for a in fitting[:2])
    held_as += f", and {len(fitting) - 2} more" if len(fitting) > 2 else ""
    return (
        f"As stated, {_found(claim, stated)}; of {_count(tried, 'other reading')} it "
        f"holds on {len(fitting)}: {held_as}."
    )


def _missing(readings: Sequence[Reading], unit: str, specs: Specs) -> str:
    """Why nothing could be derived, in the words of the first figure that is missing."""
    if not readings:
        return "No machine fits the claim that this one refers to."
    try:
        attempt(readings[0], unit, specs)
    except InputError as error:
        return f"Nothing to derive it from: {error}."
    raise AssertionError("a reading that can be derived was left out")


def _reached(claim: Claim, found: Attempt, specs: Specs) -> str:
    """Which sourced values reach the claim, and what share of the combinations do."""
    holds = claim.printed.holds(found.span.values)
    picks = zip(found.span.keys, found.span.choices[int(np.argmax(holds))], strict=True)
    rows = [specs.rows[key][pick] for key, pick in picks if pick]
    values = " and ".join(f"{row_name(r)} at {units.text(units.Q(r.value, r.unit))}" for r in rows)
    share = f"{100 * np.mean(holds):.0f} % of the sourced combinations reach it"
    return f"{_found(claim, found)}, but {share}: with {values}."


def _another_owner(reading: Reading, stated: Reading) -> bool:
    same_part = reading.conditions.get("part") == stated.conditions.get("part")
    same_owner = reading.subject == stated.subject and same_part
    return not same_owner and reading.comparator == stated.comparator


def _missed(
    claim: Claim, best: Attempt, others: Sequence[Attempt], specs: Specs
) -> tuple[str, Attempt, str]:
    factor = claim.printed.value / best.central if best.central else np.inf
    flattering = (factor > 1) != (specs.kinds[claim.quantity].better == "lower")
    verdict = "overstated" if flattering else "understated"
    spread = best.span
    reach = (
        f"sourced values allow {units.number(spread.low.m)} to {units.number(spread.high.m)}"
        if spread.low.m < spread.high.m
        else "one source each"
    )
    tail = f"; none of {_count(len(others), 'other reading')} fits" if others else ""
    return verdict, best, f"{_found(claim, best)}, {reach}: {verdict} {_size(factor)}{tail}."


def _size(factor: float) -> str:
    """How far claimed and derived are apart, whichever is larger; a near miss in per cent.

    >>> _size(0.8), _size(1.0016)
    ('1.25 times', 'by 0.16 %')
    """
    factor = max(factor, 1 / factor)
    return f"{units.number(factor, 3)} times" if factor >= 1.1 else f"by {100 * (factor - 1):.2g} %"


def _confirmed(claim: Claim, held: Sequence[Attempt], tried: Sequence[Attempt]) -> str:
    if len(tried) == 1:
        return f"{_found(claim, held[0])}."
    found = [f"{title(a.reading.comparator)} ({_show(claim, a)})" for a in held]
    return f"It fits {len(held)} of the {len(tried)} machines tried: {' and '.join(found)}."


def _found(claim: Claim, found: Attempt) -> str:
    return f"{found.reading.text} = {_show(claim, found)}"


def _show(claim: Claim, found: Attempt) -> str:
    return units.text(units.Q(found.central, claim.unit or "count"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def judge_all(claims: Iterable[Claim], specs: Specs) -> list[Verdict]:
    """The verdicts of a ledger, in its order."""
    ledger = {claim.id: claim for claim in claims}
    return [judge(claim, specs, ledger) for claim in ledger.values()]


def scorecard(claims: Iterable[Claim], specs: Specs) -> pd.DataFrame:
    """One line a claim: the figure claimed, the one derived, its span, the verdict, the reason."""
    return pd.DataFrame([_line(verdict) for verdict in judge_all(claims, specs)])


def _line(verdict: Verdict) -> dict[str, Any]:
    claim, spread = verdict.claim, verdict.attempt.span if verdict.attempt else None
    return {
        "id": claim.id,
        "article": claim.article,
        "category": claim.category,
        "claim": claim.statement,
        "claimed": claim.claimed if claim.value else "",
        "derived": verdict.derived,
        "low": float(spread.low.m) if spread else np.nan,
        "high": float(spread.high.m) if spread else np.nan,
        "ratio": verdict.quotient,
        "verdict": verdict.verdict,
        "why": verdict.why,
        "sources": ";".join(verdict.sources),
    }


# --- reading -------------------------------------------------------------------------------------


# What a file of somebody else must state; every other column may be left out.
NEEDED = ("id", "statement", "subject", "quantity", "form", "value")


def load_claims(path: str | Path | None = None, specs: Specs | None = None) -> list[Claim]:
    """The claims of this project, or of another file, checked against the names that `specs` knows.

    A claim with `same_as` takes every cell that it leaves empty from the claim it repeats. Another
    file needs only the columns that say what is claimed.
    """
    file = Path(path) if path is not None else DATA / "claims.csv"
    known = specs or tables.load_specs()
    needed = NEEDED if path is not None else None
    table = tables.read_table(file, [f.name for f in dataclasses.fields(Claim)], needed)
    own = tables.read_keys(DATA / "sources.bib") if path is None else None
    rows = dict(zip(table.index, tables.records(table), strict=True))
    ids: dict[str, dict[str, str]] = {}
    for line, row in rows.items():
        if row["id"] in ids:
            raise tables.bad_cell(file.name, line, "id", row["id"], "an id that is not taken")
        ids[row["id"]] = row
    for line, row in rows.items():
        if row["same_as"] and row["same_as"] not in ids:
            raise tables.bad_cell(file.name, line, "same_as", row["same_as"], _names(ids))
        if ids.get(row["same_as"], {}).get("same_as"):
            expected = "a claim that does not repeat another one itself"
            raise tables.bad_cell(file.name, line, "same_as", row["same_as"], expected)
        repeated = ids.get(row["same_as"], {})
        table.loc[line] = [row[c] or repeated.get(c, "") for c in table.columns]
    tables.check_table(table, claims_schema(known, ids, own), file.name)
    claims = [Claim(**values) for values in tables.records(table)]
    for line, claim in zip(table.index, claims, strict=True):
        _check_whole(claim, file.name, line, known)
        if ids.get(claim.comparator, {}).get("comparator") in ids:
            expected = "a claim that does not refer to another one itself"
            raise tables.bad_cell(file.name, line, "comparator", claim.comparator, expected)
    return claims


def claims_schema(specs: Specs, ids: Iterable[str], keys: Iterable[str] | None) -> Any:
    """What a claims file must look like: one check a column."""
    import pandera.pandas as pa

    def optional(names: Iterable[str]) -> Any:
        return tables.one_of([*names, ""])

    pairs = r"([a-z_.]+=[^;=|]+(;[a-z_.]+=[^;=|]+)*)?"
    columns = {
        "id": tables.matches(r"[A-Za-z0-9-]+", "letters, digits and hyphens"),
        "category": optional(CATEGORIES),
        "statement": tables.matches(r"\S.*", "the claim in words"),
        "subject": optional(specs.subjects),
        "quantity": optional(specs.kinds),
        "conditions": tables.matches(pairs, "key=value;key=value"),
        "form": tables.one_of(FORMS),
        "relation": optional(RELATIONS),
        "unit": pa.Check(_is_unit_or_empty, element_wise=True, error="a unit such as GB/s"),
        "comparator": optional([*specs.subjects, *ids]),
        "readings": tables.matches(rf"{pairs}(\|{pairs})*", "key=value;…|key=value;…"),
        "judged": optional(VERDICTS),
    }
    if keys is not None:
        columns["article"] = tables.one_of(keys)
    schema = {name: pa.Column(str, check) for name, check in columns.items()}
    return pa.DataFrameSchema(schema)


def _check_whole(claim: Claim, file: str, line: int, specs: Specs) -> None:
    """Refuse a row whose cells are each well formed but do not make a claim together."""
    if claim.judged:
        if not claim.primary_says and not claim.note:
            expected = "what the primary source says, or why none was found"
            raise tables.bad_cell(file, line, "primary_says", "", expected)
        return
    if not claim.subject or not claim.quantity:
        column = "quantity" if claim.subject else "subject"
        raise tables.bad_cell(file, line, column, "", "a name, or a verdict in column judged")
    if claim.value not in MULTIPLES and not _is_printed_number(claim.value):
        raise tables.bad_cell(file, line, "value", claim.value, "a positive number as printed")
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {})
    quotient = claim.form in ("ratio", "share") or (
        claim.comparator and not compares(claim.quantity)
    )
    unit = "count" if quotient else specs.kinds[claim.quantity].unit
    if not units.same_kind(claim.unit or "count", unit):
        raise tables.bad_cell(file, line, "unit", claim.unit, f"a unit such as {unit}")
    stated = plain.changed(claim.conditions)
    if {"subject", "quantity", "comparator"} & read_conditions(claim.conditions).keys():
        expected = "conditions alone; names have columns of their own"
        raise tables.bad_cell(file, line, "conditions", claim.conditions, expected)
    readings = [plain.changed(text) for text in claim.readings.split("|") if text]
    for column, reading in [("conditions", stated), *(("readings", r) for r in readings)]:
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
    return tables.is_number(plain) and float(plain) > 0


def _check_reading(reading: Reading, specs: Specs, comparator: str) -> None:
    """Refuse a name that the table does not know; `comparator` may be the id of a claim."""
    for name in (reading.subject, reading.comparator):
        if name and name != comparator and name not in specs.subjects:
            raise unknown("subject", name, specs.subjects)
    if reading.quantity not in specs.kinds:
        raise unknown("quantity", reading.quantity, specs.kinds)
    known = specs.condition_values
    for name, value in [*reading.conditions.items(), *reading.against.items()]:
        if name not in known:
            raise unknown("condition", name, known)
        if value not in known[name]:
            raise unknown(name, value, known[name])


def _is_unit_or_empty(cell: str) -> bool:
    return not cell or tables._is_unit(cell)


def _names(names: Iterable[str]) -> str:
    return "one of\t" + "\t".join(sorted(names))
