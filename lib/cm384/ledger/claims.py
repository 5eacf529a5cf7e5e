"""The ledger of claims: what each row holds, what its printed figure stands for, and its checks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cm384.derive.derivation import compares
from cm384.ledger.readings import Reading, check_reading, load_proxies, missing_conditions
from cm384.table import files, units
from cm384.table.errors import DATA, InputError
from cm384.table.frames import pd
from cm384.table.records import read_conditions
from cm384.table.specs import Specs, load_specs

CATEGORIES = ("chip spec", "system spec", "serving throughput", "efficiency", "parity", "power/energy",
              "software", "deployment", "timeline", "market/finance")  # fmt: skip
# `saying`: the sentence says no more than that somebody said it.
FORMS = ("value", "ratio", "share", "increase", "difference", "range", "count", "date", "statement", "saying")
QUOTIENTS = ("ratio", "share", "increase")
RELATIONS = {"eq": "", "gt": "> ", "ge": "≥ ", "lt": "< ", "le": "≤ ", "about": "about "}
SPOKEN = {"gt": "more than ", "ge": "at least ", "lt": "less than ", "le": "at most "}
STATES = ("achieved", "specified", "projected", "announced", "opined")
SETTLED = ("arithmetic", "measurement", "model", "document", "proxy", "nothing")
ANSWERS = ("holds", "within sources", "misattributed", "contradicted", "other basis", "partly", "undecided",
           "overstated", "understated", "unsupported", "opinion")  # fmt: skip
# What an article makes of somebody it cites, and the answer where the sentence says only that he said it.
REPORTED = {
    "as said": "holds",
    "changed": "partly",
    "another's": "contradicted",
    "another's and changed": "contradicted",
    "only relayed": "undecided",
    "not found": "unsupported",
}
# Multiples in words, each as the digit it stands for and, for a part, what that divides.
MULTIPLES = {
    "half": ("1", "2"), "third": ("1", "3"), "quarter": ("1", "4"), "fifth": ("1", "5"), "tenth": ("1", "10"),
    "two thirds": ("2", "3"), "three quarters": ("3", "4"), "double": ("2", "1"), "twice": ("2", "1"),
    "triple": ("3", "1"), "threefold": ("3", "1"), "quadruple": ("4", "1"), "fourfold": ("4", "1"),
    "fivefold": ("5", "1"), "tenfold": ("10", "1"),
}  # fmt: skip
SLACK = 1e-9
MOST, MOST_OF_ONE_DIGIT = 0.05, 0.1  # how far a printed figure reaches at most, as a share of it


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
    state: str
    reports: str
    reported: str
    same_as: str
    judged: str
    settled: str
    primary: str
    primary_locator: str
    primary_says: str
    quote: str
    overturn: str
    plain: str
    note: str

    @property
    def printed(self) -> Printed:
        """What the printed figure stands for."""
        return printed(self.value, self.form, self.relation, self.unit)

    @property
    def figure_unit(self) -> str:
        """The unit in which it is derived: its own, but for an increase, which is read as a ratio."""
        return "" if self.form == "increase" else self.unit

    @property
    def claimed(self) -> str:
        """The claimed figure as a reader sees it: "> 2", "more than double", "60 %"."""
        signs = {**RELATIONS, **SPOKEN} if self.value in MULTIPLES else RELATIONS
        sign = signs[self.relation or "eq"]
        unit = units.unit_text(units.parse_unit(self.unit or "count"))
        value = self.value.lstrip("-−")
        tails = {"increase": " more" if value == self.value else " less", "difference": " apart"}
        return f"{sign}{value} {unit}".strip() + tails.get(self.form, "")

    @property
    def derivable(self) -> bool:
        """Whether it is a matter of arithmetic: no saying, no opinion, no word, not judged by hand."""
        return not (self.judged or self.word or self.form == "saying" or self.state == "opined")

    @property
    def word(self) -> bool:
        """Whether it names no quantity but a word that proxies stand for."""
        return self.quantity in load_proxies()


@dataclass(frozen=True)
class Printed:
    """The interval a printed figure stands for; an open end excludes its edge.

    `cut` is the upper end, excluded, where the last digit was cut and not rounded.
    """

    value: float
    low: float
    high: float
    open: bool = False
    cut: float = -np.inf

    def holds(self, derived: Any) -> Any:
        """Whether derived numbers fall in it (elementwise for an array)."""
        slack = SLACK * abs(self.value)
        if self.open:
            return (np.asarray(derived) > self.low) & (np.asarray(derived) < self.high)
        return (derived >= self.low - slack) & (derived <= self.high + slack)

    def holds_cut(self, derived: float) -> bool:
        """Whether a number would be printed so by one who cuts what comes after the last digit."""
        return self.value <= derived < self.cut


def printed(value: str, form: str, relation: str = "", unit: str = "") -> Printed:
    """The interval that a printed figure stands for.

    Half a unit of its last significant digit, at most a twentieth; a multiple of one digit, in words,
    as digit or as share, at most a tenth as a factor, and so what is said with "about". Trailing zeros
    of a whole number are not significant. A bound ends at the figure itself. A count is exact unless it
    ends in three zeros or is said with "about". An increase is the ratio that it makes.

    >>> printed("3.6", "ratio"), printed("half", "ratio").low
    (Printed(value=3.6, low=3.55, high=3.65, open=False, cut=3.7), 0.454545454545)
    >>> printed("double", "ratio", "gt")
    Printed(value=2.0, low=2.0, high=inf, open=True, cut=-inf)
    >>> printed("50", "increase", unit="percent").value
    1.5
    """
    if form == "range":
        low, high = (printed(end, "value") for end in value.split("-"))
        return Printed((low.value + high.value) / 2, low.low, high.high)
    over, under = MULTIPLES.get(value, (value.replace(",", "").replace("−", "-"), "1"))
    digits, scale = Decimal(over), Decimal(100 if unit == "percent" else 1)
    whole = digits == digits.to_integral_value() and "." not in over
    last = Decimal(1).scaleb(int((digits.normalize() if whole else digits).as_tuple().exponent))
    if form == "increase":
        digits, last = 1 + digits / scale, last / scale
    elif value in MULTIPLES:
        digits, last = digits * scale, last * scale
    centre = float(digits / Decimal(under))
    if relation in ("gt", "ge"):
        return Printed(centre, centre, np.inf, open=relation == "gt")
    if relation in ("lt", "le"):
        return Printed(centre, -np.inf, centre, open=relation == "lt")
    if form == "date" or (form == "count" and relation != "about" and digits % 1000):
        return Printed(centre, centre, centre)
    if relation == "about":
        return _factor(centre, np.inf)
    if under != "1":  # a part reaches as far as the digit that it divides by
        other = printed(under, "ratio")
        return Printed(centre, round(float(digits) / other.high, 12), round(float(digits) / other.low, 12))
    if form in QUOTIENTS and abs(digits / last) < 10:
        return _factor(centre, 0.5 * float(last))
    half = min(0.5 * float(last), MOST * abs(centre))
    cut = centre + min(float(last), MOST_OF_ONE_DIGIT * abs(centre))
    return Printed(centre, round(centre - half, 12), round(centre + half, 12), cut=cut)


def _factor(centre: float, half: float) -> Printed:
    """Half a unit either way, but at most a tenth as a factor."""
    most = 1 + MOST_OF_ONE_DIGIT
    low, high = max(centre - half, centre / most), min(centre + half, centre * most)
    return Printed(centre, round(low, 12), round(high, 12))


# --- reading -------------------------------------------------------------------------------------


# What a file of somebody else must state; every other column may be left out.
NEEDED = ("id", "statement", "subject", "quantity", "form", "value")
# What a claim says for itself, also where it repeats another one.
ITS_OWN = ("reports", "reported", "same_as")


def load_claims(path: str | Path | None = None, specs: Specs | None = None) -> list[Claim]:
    """The claims of this project, or of another file, checked against the names that `specs` knows.

    A claim with `same_as` takes every cell that it leaves empty from the claim it repeats, but for whom
    it cites. Another file needs only the columns that say what is claimed. Multiples, relations and
    ranges may be written as people write them: "2x", "more than", "1.5 to 2".
    """
    file = DATA / "claims.csv" if path is None else files.path_of(path)
    known = specs or load_specs()
    table = files.read_table(file, files.columns(Claim), None if path is None else NEEDED)
    table["value"] = list(map(_as_figure, table["value"], table["form"]))
    table["relation"] = [WRITTEN.get(cell.lower(), cell) for cell in table["relation"]]
    own = files.read_keys() if path is None else None
    bad = partial(files.bad_cell, file.name)
    rows = dict(zip(table.index, files.row_dicts(table), strict=True))
    ids: dict[str, dict[str, str]] = {}
    for line, row in rows.items():
        if row["id"] in ids:
            raise bad(line, "id", row["id"], "an id that is not taken")
        ids[row["id"]] = row
    whole: dict[int, dict[str, str]] = {}
    for line, row in rows.items():
        repeated = ids.get(row["same_as"], {})
        if row["same_as"] and not repeated:
            raise bad(line, "same_as", row["same_as"], files.among(ids))
        if repeated.get("same_as"):
            raise bad(line, "same_as", row["same_as"], "a claim that does not repeat another one itself")
        whole[line] = {c: row[c] or ("" if c in ITS_OWN else repeated.get(c, "")) for c in table.columns}
    table = pd.DataFrame.from_dict(whole, orient="index", columns=table.columns, dtype=str)
    files.check_table(table, claims_checks(known, ids, own), file)
    claims = [Claim(**values) for values in whole.values()]
    for line, claim in zip(whole, claims, strict=True):
        _check_whole(claim, file.name, line, known, own=own is not None)
        _check_reference(claim, ids, partial(bad, line))
    return claims


# Relations as people write them.
WRITTEN = {"": "eq", "more than": "gt", "over": "gt", "above": "gt", "at least": "ge", "less than": "lt",
           "under": "lt", "below": "lt", "at most": "le", "up to": "le", "nearly": "about", "almost": "about",
           "around": "about", "roughly": "about", "~": "about"}  # fmt: skip


def _as_figure(cell: str, form: str) -> str:
    """A figure in the one spelling that `printed` reads.

    >>> _as_figure("2x", "ratio"), _as_figure("a third", "share"), _as_figure("1.5 to 2", "range")
    ('2', 'third', '1.5-2')
    """
    text = re.sub(r"^(an?|one) ", "", cell.lower())
    if text in MULTIPLES:
        return text
    if form == "range":
        return re.sub(r"\s*(-|–|to|\.\.)\s*", "-", cell)
    return re.sub(r"\s*(x|×|-?fold| times)$", "", cell) if re.match(r"[0-9]", cell) else cell


def claims_checks(specs: Specs, ids: Iterable[str], keys: Iterable[str] | None) -> dict[str, Any]:
    """What a claims file must look like: one check a column."""
    pairs = r"([a-z_.]+=[^;=|]+(;[a-z_.]+=[^;=|]+)*)?"
    several = "key=value;…|key=value;…, with - before one that is out"

    def begins(known: Iterable[str], mark: str, expected: str) -> files.Check:
        return files.Check(lambda cell: not cell or cell.split(mark)[0] in known, expected)

    checks = {
        "id": files.matches(r"[A-Za-z0-9-]+", "letters, digits and hyphens"),
        "category": files.one_of([*CATEGORIES, ""]),
        "statement": files.matches(r"\S.*", "the claim in words"),
        "subject": files.one_of([*specs.subjects, ""]),
        "quantity": files.one_of([*specs.kinds, *load_proxies(), ""]),
        "conditions": files.matches(pairs, "key=value;key=value"),
        "form": files.one_of(FORMS),
        "relation": files.one_of([*RELATIONS, ""]),
        "unit": files.Check(lambda cell: not cell or files.is_unit(cell), "a unit such as GB/s"),
        "comparator": files.one_of([*specs.subjects, *ids, ""]),
        "readings": files.matches(rf"-?{pairs}(\|-?{pairs})*", several),
        "state": files.one_of([*STATES, ""]),
        "reported": begins(REPORTED, ":", f"one of {', '.join(REPORTED)}, and after a colon what"),
        "judged": files.one_of([*ANSWERS, ""]),
        "settled": files.one_of([*SETTLED, ""]),
        "plain": begins(ANSWERS, ": ", "an answer, a colon, and the sentence that says it"),
        "quote": files.Check(lambda cell: len(cell.split()) <= 25, "at most 25 words of the document"),
    }
    if keys is not None:
        checks["article"] = files.one_of(keys)
    return checks


def _check_reference(claim: Claim, ids: dict[str, dict[str, str]], bad: Any) -> None:
    """Refuse a comparator that is a claim without a comparison of its own."""
    meant = ids.get(claim.comparator, {})
    if meant and (meant["comparator"] in ids or meant["form"] not in QUOTIENTS or meant["judged"]):
        expected = "a ratio or share that does not refer to another claim itself"
        raise bad("comparator", claim.comparator, expected)


def _check_whole(claim: Claim, file: str, line: int, specs: Specs, own: bool) -> None:
    """Refuse a row whose cells are each well formed but do not make a claim together."""

    def bad(column: str, expected: str) -> InputError:
        return files.bad_cell(file, line, column, getattr(claim, column), expected)

    if claim.form == "saying":
        if not claim.reported:
            raise bad("reported", f"whether it was said: one of {', '.join(REPORTED)}")
        return
    if claim.judged:
        if not claim.primary_says and not claim.note:
            raise bad("primary_says", "what the primary source says, or why none was found")
        if own and claim.judged == "holds" and set(claim.primary.split(";")) <= {claim.article, ""}:
            raise bad("primary", "a document that is not the article itself")
        return
    if claim.state == "opined":
        return
    for column in ("subject", "quantity"):
        if not getattr(claim, column):
            raise bad(column, "a name, or an answer in column judged")
    if claim.word:
        _check_word(claim, bad)
        return
    if not _is_figure(claim.value, claim.form):
        one = "a positive number as printed"
        raise bad("value", "two numbers as printed: 1.5-2" if claim.form == "range" else one)
    between = claim.comparator and claim.form != "difference" and not compares(claim.quantity)
    quotient = claim.form in QUOTIENTS or between
    unit = "count" if quotient else specs.kinds[claim.quantity].unit
    whole = ["token/s"] * (not quotient and claim.quantity == "published_throughput")
    if not any(units.same_kind(claim.unit or "count", kind) for kind in (unit, *whole)):
        raise bad("unit", f"a unit such as {unit}")
    if {"subject", "quantity", "comparator"} & read_conditions(claim.conditions).keys():
        raise bad("conditions", "conditions alone; names have columns of their own")
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {}).changed(claim.conditions)
    others = [("readings", text.removeprefix("-")) for text in claim.readings.split("|") if text]
    for column, text in [("conditions", claim.conditions), *others]:
        reading = plain.changed(text)
        try:
            check_reading(reading, specs, claim.comparator)
            if not quotient and not units.same_kind(specs.kinds[reading.quantity].unit, unit):
                raise InputError(f"{reading.quantity} is not given in {claim.unit}")
            if missing := missing_conditions(reading, specs):
                raise InputError(missing)
        except InputError as error:
            raise InputError(f"{file} line {line}, column {column}: {error}") from None


def _check_word(claim: Claim, bad: Any) -> None:
    """Refuse a claim by a word that compares with nobody, or asks for an odd number of its proxies."""
    most = len(load_proxies()[claim.quantity])
    if claim.form != "statement":
        raise bad("form", f"statement, since {claim.quantity} is a word")
    if claim.value not in ("", "all", *map(str, range(1, most + 1))):
        raise bad("value", f"nothing, all, or how many of the {most} measures of {claim.quantity} it takes")
    named = all("comparator=" in proxy.reading for proxy in load_proxies()[claim.quantity])
    if not claim.comparator and not named:
        raise bad("comparator", "a subject, or the claim whose machine is meant")


def _is_figure(cell: str, form: str) -> bool:
    """Whether a cell is a figure as people print it: 3.6, 60, 1,943, half; in a range two of them."""
    if form == "range":
        ends = cell.split("-")
        return len(ends) == 2 and all(_is_figure(end, "value") for end in ends)
    text = re.sub("^[-−]", "", cell) if form == "increase" else cell
    grouped = re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", text)
    plain = text.replace(",", "") if grouped else text
    return cell in MULTIPLES or (files.is_number(plain) and float(plain) > 0)
