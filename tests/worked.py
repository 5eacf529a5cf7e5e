"""Printed arithmetic, done again: a product or sum of numbers with units, and what it is said to be.

Everything is read off the text that a reader sees. A result may differ from its parts by half a unit of
its own last digit, and of that of each part of so many digits that it was rounded.
"""

from __future__ import annotations

import html
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pint

from cm384.table import units
from cm384.table.errors import InputError

NUMBER = r"[−-]?\d[\d,]*(?:\.\d+)?(?![\d.])"
FACTOR = rf"{NUMBER}(?:[ \u00a0](?:[^\W\d_]|[%$])[\w%$/²-]*)*"  # a unit, or words
TERM = rf"(?:(?:max|√)?\()*{FACTOR}²?\)*(?:(?<=\)) µs)?"  # √(3² + 4²) µs, max(3 µs, 4 µs)
PRODUCT = rf"{TERM}(?: ?[×÷·+] ?{TERM}|, {TERM})+"
EQUATION = re.compile(rf"(?<![\w.,])({PRODUCT}) = ({NUMBER}(?: ?[\w%/$]+)*)")
STEP = re.compile(r"^\s*(?P<name>[^=]+) = (?P<formula>[^=]+) = (?P<value>[^=]+?)(?: \(from (?P<read>.*)\))?$")
WRITTEN = {spoken: unit for unit, spoken in units.SPOKEN.items()} | {
    "tokens/s per accelerator": "token/s",
    "FLOP per clock": "FLOP/cycle",
}
ROUNDED = 4  # significant digits, see `units.number`
BITS = (4, 6, 8, 16)  # of the formats that a peak is stated in
LITERALS = {"two": 2.0, "half": 0.5}


@dataclass(frozen=True)
class Amount:
    """A quantity with the share by which rounding may have moved it."""

    value: units.Quantity
    loose: float
    figures: int = 9

    def near(self, printed: Amount) -> bool:
        """Whether a printed figure can be this one; never if it is of another kind."""
        try:
            share = float((self.value / printed.value).to("count").m)
        except pint.DimensionalityError:
            return False
        return math.isfinite(share) and abs(share - 1) <= self.loose + printed.loose

    @property
    def exact(self) -> Amount:
        """The same taken as exact if it has fewer digits than numbers are rounded to."""
        return self if self.figures >= ROUNDED else Amount(self.value, 0.0)


@cache
def unit_of(text: str) -> units.Quantity:
    """The unit in front of some words, "TFLOPS of dense BF16"; dies and cores are counted."""
    words = text.replace("\u00a0", " ").split()
    for count in range(len(words), 0, -1):
        unit = " ".join(words[:count])
        try:
            return 1 * units.parse_unit(WRITTEN.get(unit, unit))
        except InputError:
            continue
    return units.Q(1, "count")


@cache
def amount(text: str) -> Amount:
    """A printed number with its unit."""
    found = re.match(rf"\s*({NUMBER})(.*)", text)
    assert found, text
    digits = found[1].replace(",", "").replace("−", "-")
    last = 10.0 ** -len(digits.partition(".")[2])
    return Amount(
        float(digits) * unit_of(found[2]),
        0.5001 * last / (abs(float(digits)) or 1.0),
        len(digits.replace(".", "").lstrip("-0")),
    )


def evaluated(text: str) -> Amount:
    """What an expression of numbers with units comes to, by the usual precedence."""
    tokens = re.findall(rf"max(?=\()|√(?=\()|[()×÷·+²,]|(?<=\)) µs|{FACTOR}(?=²?\s*(?:[×÷·+(),]|$))", text)
    place = 0

    def combined(sign: str, left: Amount, right: Amount) -> Amount:
        loose = left.loose + right.loose
        if sign == "+":
            counted = left.value.dimensionless and not right.value.dimensionless  # 2 × parameters are FLOP
            return Amount(left.value * units.Q(1, "FLOP" if counted else "count") + right.value, loose)
        return Amount(left.value / right.value if sign == "÷" else left.value * right.value, loose)

    def followed_by(*signs: str) -> bool:
        return place < len(tokens) and tokens[place].strip() in signs

    def taken() -> str:
        nonlocal place
        place += 1
        return tokens[place - 1].strip()

    def chain(signs: str, inner: Callable[[], Amount]) -> Amount:
        found = inner()
        while followed_by(*signs):
            found = combined(taken(), found, inner())
        return found

    def whole() -> Amount:
        return chain("+", lambda: chain("×÷·", single))

    def single() -> Amount:
        first = taken()
        if first in ("max", "√"):
            taken()
        elif first != "(":
            found = amount(first).exact
            if followed_by("²"):
                taken()
                return combined("×", found, found)
            return found
        parts = [whole()]
        while followed_by(","):
            taken()
            parts.append(whole())
        taken()
        found = max(parts, key=lambda part: part.value)
        if first == "√":
            found = Amount(found.value**0.5, found.loose / 2)
        return Amount(found.value * unit_of(taken()), found.loose) if followed_by("µs") else found

    return whole()


def of_sentence(text: str) -> str:
    """What comes after the last comma that stands outside of brackets."""
    depth = since = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        since = place + 2 if text[place : place + 2] == ", " and not depth else since
    return text[since:]


def equations(text: str) -> Iterator[tuple[str, str]]:
    """Every product or sum in a text that is said to be something."""
    for found in EQUATION.finditer(text):
        if re.fullmatch(PRODUCT, left := of_sentence(found[1])):
            yield left, found[2]


def holds(left: str, right: str) -> bool:
    """Whether a printed expression comes to the printed figure; a common unit may stand at the end alone."""
    found, said = evaluated(left), amount(right)
    if found.value.dimensionless and not said.value.dimensionless:
        found = Amount(found.value * unit_of(re.sub(NUMBER, "", right)), found.loose)
    return found.near(said)


# --- a step of a working -------------------------------------------------------------------------


def gives(formula: str, read: list[str], value: str) -> bool | None:
    """Whether the values of a step, put for the terms of its formula, come to what it gave.

    None for a formula in words that are no arithmetic, or that needs more than the values shown.
    """
    if re.fullmatch(PRODUCT, formula):
        return holds(formula, value)
    if not read or "by the serving model" in formula:
        return None
    wanted, amounts = amount(value), [amount(each).exact for each in read]
    if re.match("sum over the parts: count × .* of one$", formula):
        pairs = [a.value * b.value for a, b in zip(amounts[::2], amounts[1::2], strict=True)]
        return Amount(sum(pairs[1:], start=pairs[0]), sum(a.loose for a in amounts)).near(wanted)
    if formula == "highest over the formats of dense peak in TFLOPS × bits":
        rated = [Amount(a.value / units.Q(1, "TFLOPS") * bits, a.loose) for a in amounts for bits in BITS]
        return any(each.near(wanted) for each in rated)
    if formula.startswith("sum of "):
        whole = sum((a.value for a in amounts[1:]), start=amounts[0].value)
        return Amount(whole, sum(a.loose for a in amounts)).near(wanted)
    terms = re.findall(r"[^×÷+()]+", re.sub(r" ([×÷+]) ", r"\1", formula))
    given = {term: LITERALS[word] for term in terms if (word := term.split()[0]) in LITERALS}
    named = [term for term in terms if term not in given]
    if len(read) == len(named) - 1:  # what a chip may lack
        named = [term for term in named if not term.endswith("if they count")]
        formula = re.sub(r" \+ [^×÷+()]+ if they count", "", formula)
    if len(read) > len(named) and set(re.findall("[×÷+]", formula)) == {"×"}:
        return evaluated(" × ".join(read)).near(wanted)
    if len(read) != len(named):
        return None
    return any(evaluated(_filled(formula, named, order, given)).near(wanted)
               for order in itertools.permutations(read))  # fmt: skip


def _filled(formula: str, named: list[str], order: tuple[str, ...], given: dict[str, float]) -> str:
    """A formula with numbers in place of its terms, each once."""
    for term, number in given.items():
        formula = formula.replace(term, f"{number:g}", 1)
    parts = re.split(r"([×÷+()])", formula)
    left = iter(order)
    return "".join(next(left) if part.strip() in {n.strip() for n in named} else part for part in parts)


# --- what notebooks print ------------------------------------------------------------------------


def outputs_of(path: Path, kind: str) -> Iterator[str]:
    """What the cells of a notebook show in one form."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            yield "".join(output.get("data", {}).get(kind, ""))


def rows_of(table: str) -> Iterator[list[str]]:
    """The cells of each row of an HTML table, as a reader sees them."""
    for row in re.findall("<tr>(.*?)</tr>", table, re.S):
        yield [html.unescape(re.sub("<[^>]+>", "", text)) for text in re.findall("<td>(.*?)</td>", row, re.S)]


def cells_of(path: Path) -> Iterator[str]:
    """The texts of a notebook that a reader sees: prose, outputs, and every cell of a table."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            yield "".join(cell["source"])
        yield from ("".join(output["text"]) for output in cell.get("outputs", []) if "text" in output)
    yield from outputs_of(path, "text/markdown")
    yield from (text for table in outputs_of(path, "text/html") for row in rows_of(table) for text in row)


def products_in_tables(path: Path) -> Iterator[tuple[str, str]]:
    """Every cell of a table that is a product, with the figure in the next cell."""
    for row in (row for table in outputs_of(path, "text/html") for row in rows_of(table)):
        for left, right in itertools.pairwise(row):
            if re.fullmatch(PRODUCT, left) and left == of_sentence(left) and re.match(NUMBER, right):
                yield left, right
