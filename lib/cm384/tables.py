"""Tables as a notebook shows them: stable, plain HTML with the same numbers as text beside it."""

from __future__ import annotations

import contextlib
import html
import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.claims import Claim, Printed, load_claims
from cm384.derivation import DERIVATIONS, derive, ratio, row_name, title, words
from cm384.errors import InputError
from cm384.readings import attempts
from cm384.specs import Row, Specs
from cm384.uncertainty import Span, span
from cm384.verdicts import as_stated, other_readings, scorecard

Cell = Callable[[str], str]  # of a system

# A verdict's mark says it without colour.
MARKS = {
    "confirmed": "✔",
    "within sources": "≈",
    "within model error": "≈",
    "other basis": "⇄",
    "source agrees": "○",
    "understated": "▼",
    "overstated": "▲",
    "misattributed": "⚑",
    "inconsistent": "≠",
    "contradicted": "✖",
    "unsupported": "?",
}


@dataclass(frozen=True)
class Table:
    """A table of text cells; `code` names the columns of source keys, `wide` those of sentences."""

    cells: pd.DataFrame
    code: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": str(self)}

    @property
    def html(self) -> str:
        """A plain table, every cell escaped, source keys as code."""
        head = "".join(self._head(str(name)) for name in self.cells.columns)
        body = "\n".join(
            "<tr>" + "".join(self._cell(name, row[name]) for name in self.cells.columns) + "</tr>"
            for _, row in self.cells.iterrows()
        )
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def _head(self, name: str) -> str:
        style = ' style="min-width: 9em"' if name in self.wide else ""
        return f"<th{style}>{html.escape(name)}</th>"

    def _cell(self, name: str, value: str) -> str:
        if name not in self.code:
            return f"<td>{_breakable(value)}</td>"
        keys = [f"<code>{html.escape(key)}</code>" for key in value.split(";") if key]
        return f"<td>{' '.join(keys)}</td>"

    def __str__(self) -> str:
        return as_text(self.cells)


def _breakable(text: str) -> str:
    """An escaped cell in which paths and lists may break, so that they do not widen a table.

    >>> _breakable("in src/platform/cann_910.ini"), _breakable("2 tokens/s, a<b")
    ('in src/<wbr>platform/<wbr>cann_<wbr>910.ini', '2 tokens/s, a&lt;b')
    """
    broken = re.sub(r"\S{20,}", lambda long: re.sub("[/;_]", "\\g<0>\u200b", long[0]), text)
    return html.escape(broken).replace("\u200b", "<wbr>")


def table(lines: Iterable[Mapping[str, str]], **kinds: tuple[str, ...]) -> Table:
    """A table of one line each."""
    return Table(pd.DataFrame(list(lines)), **kinds)


def or_dash(cell: Callable[[], str]) -> str:
    """A cell, or a dash where no source states what it needs."""
    try:
        return cell()
    except InputError:
        return "–"


def by_system(head: str, systems: Iterable[str], lines: Iterable[tuple[str, Cell]]) -> Table:
    """One line a figure, one column a system."""
    names = list(systems)
    return table({head: name} | {title(s): or_dash(partial(f, s)) for s in names}
                 for name, f in lines)  # fmt: skip


def each(values: Iterable[str]) -> list[str]:
    """Names without repetitions, in order.

    >>> each(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(values))


def as_text(cells: pd.DataFrame) -> str:
    """A text table, columns flush left, the last one unpadded.

    >>> print(as_text(pd.DataFrame({"a": ["x", "long"], "b": ["1", "2"]})))
    a     b
    x     1
    long  2
    """
    lines = [[str(name) for name in cells.columns], *cells.astype(str).to_numpy().tolist()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(cells.columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def listed(texts: Iterable[str]) -> str:
    """Texts as a sentence lists them.

    >>> listed([]), listed(["a"]), listed(["a", "b", "c"])
    ('', 'a', 'a, b and c')
    """
    found = list(texts)
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def number_or_dash(value: float) -> str:
    """A number to four digits, or a dash where there is none."""
    return units.number(value) if np.isfinite(value) else "–"


def beside(claimed: str, derived: float) -> str:
    """A derived figure as it stands beside a claimed one: a share in per cent if that is one.

    >>> beside("60 %", 76.01), beside("3.6", 3.5556), beside("60 %", float("nan"))
    ('76.01 %', '3.556', '–')
    """
    share = claimed.endswith("%") and np.isfinite(derived)
    return f"{number_or_dash(derived)} %" if share else number_or_dash(derived)


def interval(low: float, high: float) -> str:
    """What the sources allow: one number when they agree, a dash when nothing was derived."""
    if not np.isfinite(low):
        return "–"
    return (
        units.number(low)
        if np.isclose(low, high)
        else f"{units.number(low)} – {units.number(high)}"
    )


def with_span(central: float, low: float, high: float, *, claimed: str = "") -> str:
    """A figure beside a claimed one and, where sources disagree, what they allow.

    >>> with_span(1.604, 1.604, 1.896), with_span(2, 2, 2), with_span(76, 76, 80.9, claimed="9 %")
    ('1.604 (1.604 – 1.896)', '2', '76 % (76 – 80.9)')
    """
    shown = beside(claimed, central)
    if not np.isfinite(central) or np.isclose(low, high):
        return shown
    return f"{shown} ({interval(low, high)})"


def share(value: float) -> str:
    """A share as a reader sees it; all and none mean all and none.

    >>> share(1.0), share(0.9996), share(0.505), share(0.0004), share(0.0)
    ('100 %', '>99 %', '50 %', '<1 %', '0 %')
    """
    if 0 < value < 0.01:
        return "<1 %"
    if 0.99 < value < 1:
        return ">99 %"
    return units.percent(value)


def claims_of(category: str, specs: Specs) -> list[Claim]:
    """The claims of a category that are not repetitions of another one."""
    return [c for c in load_claims(specs=specs) if c.category == category and not c.same_as]


def claims_table(claims: Iterable[Claim], specs: Specs) -> Table:
    """The reconciliation of some claims as a phone has room for it: the verdict with its reason."""
    return table(
        (
            {
                "claim": f"{line['id']}: {line['claim']}",
                "claimed → derived": _beside_claim(line),
                "verdict": f"{MARKS[line['verdict']]} {line['verdict']}. {line['why']}",
                "sources": line["sources"],
            }
            for line in scorecard(claims, specs).to_dict("records")
        ),
        code=("sources",),
        wide=("claim", "verdict"),
    )


def _beside_claim(line: Mapping[Any, Any]) -> str:
    found = with_span(line["derived"], line["low"], line["high"], claimed=line["claimed"])
    return " → ".join(filter(None, [line["claimed"], found]))


# What the parts of a package multiply to, and the figure that is stated; a peak has bases besides.
PRODUCTS: Mapping[str, str] = {
    "hbm_capacity_from_stacks": "hbm_capacity",
    "hbm_bandwidth_from_stacks": "hbm_bandwidth",
    "scale_up_bandwidth_from_links": "scale_up_bandwidth",
}


def products_table(chip: str, precision: str, specs: Specs) -> Table:
    """What the parts of a package multiply to, beside the figure that is stated for it."""
    products = [
        ("peak_from_units", "peak", {"precision": precision, "basis": basis})
        for basis in peak_bases(chip, precision, specs)
    ]
    products += [(product, stated, {}) for product, stated in PRODUCTS.items()]
    return table(_product_line(chip, *product, specs) for product in products)


def peak_bases(chip: str, precision: str, specs: Specs) -> list[str]:
    """The bases on which a chip has a peak; the headline only where vector units count in it."""
    vector = specs.has(chip, "vector_flop_per_clock", precision=precision)
    return ["matrix", "headline"] if vector else ["matrix"]


def vector_share(chip: str, precision: str, specs: Specs) -> float:
    """The share of the vector units in the advertised peak of a chip; none where none count.

    >>> from cm384 import load_specs
    >>> units.percent(vector_share("ascend-910c", "bf16", load_specs()), 1)
    '5.9 %'
    """
    bases = peak_bases(chip, precision, specs)
    if len(bases) == 1:
        return 0.0
    matrix, whole = (
        derive("peak_from_units", chip, specs, precision=precision, basis=basis) for basis in bases
    )
    return float(1 - (matrix / whole).to("count").m)


def _product_line(
    chip: str, product: str, stated: str, conditions: dict[str, str], specs: Specs
) -> dict[str, str]:
    line = dict.fromkeys(("figure", "working", "from parts", "stated"), "–")
    line["figure"] = figure_name(stated, conditions)
    (traced, trace), derived = specs.traced(), None
    with contextlib.suppress(InputError):  # a part of the product has no source
        derived = derive(product, chip, traced, **conditions)
        factors = [traced.rows[key][0] for key in trace.keys]
        line["working"] = " · ".join(
            f"{units.number(r.value, 5)} {words(r.quantity) if r.unit == 'count' else r.unit}"
            for r in factors
        )  # in the order in which the derivation read them
        line["from parts"] = units.text(derived)
    with contextlib.suppress(InputError):
        published = derive(stated, chip, specs, **conditions)
        gap = f" ({units.deviation(derived, published)})" if derived is not None else ""
        line["stated"] = units.text(published) + gap
    return line


def totals_table(systems: Iterable[str], precision: str, specs: Specs) -> Table:
    """The totals of systems as count × chip, each with the printed headline if there is one."""
    return table(
        {"figure": figure_name(quantity, conditions)}
        | {title(system): total(quantity, system, specs, conditions) for system in systems}
        for quantity, conditions in comparisons(precision)
    )


def compared(
    quantity: str, system: str, baseline: str, specs: Specs, conditions: Mapping[str, Any]
) -> Span | None:
    """The ratio of two machines over the sources; nothing if one of them lacks the figure."""
    try:
        return span(lambda table: ratio(quantity, system, baseline, table, **conditions), specs)
    except InputError:
        return None


def total(quantity: str, subject: str, specs: Specs, conditions: Mapping[str, str]) -> str:
    """A derived figure and the printed one with the deviation from it; a dash without a source."""
    try:
        derived = derive(quantity, subject, specs, **conditions)
    except InputError:
        return "–"
    if quantity in DERIVATIONS or not specs.has(subject, quantity, **conditions):
        return units.text(derived)
    stated = specs.get(subject, quantity, **conditions)
    shown = units.text(units.sensible(stated, specs.kinds[quantity].unit))
    return f"{units.text(derived)}; printed {shown} ({units.deviation(derived, stated)})"


def comparisons(precision: str) -> list[tuple[str, dict[str, str]]]:
    """The five areas of a comparison of systems, compute on both bases and from units."""
    peaks = [("peak", {"precision": precision, "basis": basis}) for basis in ("headline", "matrix")]
    peaks.append(("peak_from_units", {"precision": precision}))
    capacities = [("hbm_capacity", {"basis": basis}) for basis in ("nominal", "usable")]
    rest = ("hbm_bandwidth", "scale_up_bandwidth", "scale_out_bandwidth")
    return [*peaks, *capacities, *((quantity, {}) for quantity in rest)]


def figure_name(quantity: str, conditions: Mapping[str, str]) -> str:
    """A figure in words: "peak (BF16, matrix units only)"."""
    bases = {"matrix": "matrix units only", "headline": "as advertised"}
    detail = [conditions.get("precision", "").upper(), conditions.get("basis", "")]
    detail = [bases.get(word, word) for word in detail if word]
    return words(quantity) + (f" ({', '.join(detail)})" if detail else "")


def systems_table(system: str, precision: str, specs: Specs) -> Table:
    """The ratios of a system to every other one; figures that an article prints are marked."""
    quantities = {"hbm_capacity": {}, "hbm_bandwidth": {}, "peak": {"precision": precision}}
    printed = _printed_ratios(specs)
    lines = []
    for other in specs.systems:
        if other == system:
            continue
        line = {"compared with": title(other)}
        for quantity, conditions in quantities.items():
            found = compared(quantity, system, other, specs, conditions)
            fits = found and any(p.holds(found.central.m) for p in printed[quantity])
            line[words(quantity)] = (
                f"{units.number(found.central.m, 4)}{' ✔' if fits else ''}" if found else "–"
            )
        lines.append(line)
    return Table(pd.DataFrame(lines))


def _printed_ratios(specs: Specs) -> dict[str, list[Printed]]:
    """The exact ratios that the articles print, by quantity."""
    found: dict[str, list[Printed]] = defaultdict(list)
    for claim in load_claims(specs=specs):
        if claim.form == "ratio" and claim.relation == "eq":
            found[claim.quantity].append(claim.printed)
    return found


def readings_table(claim: Claim, specs: Specs) -> Table:
    """A claim as stated and on each of its other readings, with what each gives."""
    ledger = {c.id: c for c in load_claims(specs=specs)}
    stated = as_stated(claim, specs, ledger)
    tried = attempts([*stated, *other_readings(claim, stated[0])], claim.unit, specs)
    return table(
        {
            "reading": a.reading.text,
            "derived": with_span(a.central, float(a.span.low.m), float(a.span.high.m)),
            f"{claim.claimed}?": "✔ holds" if claim.printed.holds(a.central) else "✖ no",
        }
        for a in tried
    )


def rows_table(rows: Iterable[Row]) -> Table:
    """Rows of the table of specs: what, its value and what it counts, where it stands, the source.

    An alternative is another sourced value of the same fact.
    """
    return table(
        (
            {
                "row": row_name(r),
                "value": f"{units.text(r.amount, 7)} "
                f"({r.basis}{', alternative' if r.role == 'alternative' else ''})",
                "where, and note": " – ".join(filter(None, [r.locator, r.note])),
                "source": r.source,
            }
            for r in rows
        ),
        code=("source",),
        wide=("where, and note",),
    )


def sources_table(subjects: Iterable[str], quantities: Iterable[str], specs: Specs,
                  conditions: Container[str] | None = None) -> Table:  # fmt: skip
    """Every sourced row of some quantities, alternatives included; under some conditions or all."""
    wanted = set(quantities)
    return rows_table(
        row
        for subject in dict.fromkeys(subjects)
        for key, group in specs.rows.items()
        for row in group
        if key[0] == subject and key[1] in wanted and (conditions is None or key[2] in conditions)
    )
