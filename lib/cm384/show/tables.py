"""Tables as a notebook shows them: stable, plain HTML with the same numbers as text beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from cm384.derive.derivation import ratio
from cm384.table import units
from cm384.table.errors import NotStated
from cm384.table.frames import pd
from cm384.table.records import Row
from cm384.table.specs import Specs
from cm384.table.words import row_name

T = TypeVar("T")
Names = tuple[str, ...]
FORMULA = r"^([=@\t\r]|[+-](?![\d.]))"  # how a spreadsheet knows one; "-5 %" is none
# What JupyterLab sets no mathematics in; it would take the words between two dollars for a formula.
TEX, AS_TEXT = r"[$\\]", ' class="mathjax_ignore tex2jax_ignore"'


@dataclass(frozen=True)
class Table:
    """A table of text cells; `code` names the columns of source keys, `wide` those of sentences."""

    cells: pd.DataFrame
    code: Names = ()
    wide: Names = ()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": str(self)}

    @property
    def html(self) -> str:
        """A plain table, every cell escaped, source keys as code."""
        head = "".join(self._head(str(name)) for name in self.cells.columns)
        rows = ([self._cell(str(n), cell) for n, cell in row.items()] for _, row in self.cells.iterrows())
        body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"

    def _head(self, name: str) -> str:
        style = ' style="min-width: 9em"' if name in self.wide else ""
        return f"<th{style}>{html.escape(name)}</th>"

    def _cell(self, name: str, value: str) -> str:
        if name not in self.code:
            return f"<td{AS_TEXT if re.search(TEX, value) else ''}>{_breakable(value)}</td>"
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


def table(
    data: pd.DataFrame | Iterable[Mapping[str, Any]], digits: int = 4, code: Names = (), wide: Names = ()
) -> Table:
    """A frame, or one line each, as text: quantities with their unit, numbers rounded, dashes.

    A named index becomes the first column.

    >>> print(table([{"figure": "memory", "value": units.Q(49.152, "TB")}, {"figure": "price"}]))
    figure  value
    memory  49.15 TB
    price   –
    """
    cells = data if isinstance(data, pd.DataFrame) else pd.DataFrame(list(data))
    if cells.index.name:
        cells = cells.reset_index()
    return Table(cells.map(lambda cell: in_text(cell, digits)), code, wide)


def in_text(cell: Any, digits: int = 4) -> str:
    """A cell as a reader sees it; a dash where there is nothing."""
    if isinstance(cell, units.Quantity):
        return units.text(cell, digits)
    if isinstance(cell, float | np.floating):
        return units.number(float(cell), digits) if np.isfinite(cell) else "–"
    return "–" if cell is None or cell is pd.NA else str(cell)


def attempt(figure: Callable[[], T], otherwise: Any = None) -> T | Any:
    """A figure, or something else where no source states what it reads."""
    try:
        return figure()
    except NotStated:
        return otherwise


def as_csv(lines: pd.DataFrame) -> str:
    """A frame as a file of data holds it: numbers to six digits, no text that a spreadsheet would compute.

    >>> as_csv(pd.DataFrame({"a": ["=1+1", "-5 %", "-x"]}))
    "a\\n'=1+1\\n-5 %\\n'-x\\n"
    """
    text = lines.select_dtypes(exclude="number").replace(FORMULA, r"'\g<0>", regex=True)
    lines = lines.assign(**{str(name): text[name] for name in text})
    return lines.to_csv(index=False, float_format="%.6g", lineterminator="\n")


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


def number_or_dash(value: float) -> str:
    """A number to four digits, or a dash where there is none."""
    return units.number(value) if np.isfinite(value) else "–"


def with_units(values: pd.Series, names: pd.Series) -> list[str]:
    """Numbers with their units, a dash where there is none."""
    pairs = zip(values, names, strict=True)
    return [f"{number_or_dash(value)} {name}".strip() if value == value else "–" for value, name in pairs]


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
    return units.number(low) if np.isclose(low, high) else f"{units.number(low)} – {units.number(high)}"


def with_span(central: float, low: float, high: float, *, claimed: str = "") -> str:
    """A figure beside a claimed one and, where sources disagree, what they allow.

    >>> with_span(1.604, 1.604, 1.896), with_span(2, 2, 2), with_span(76, 76, 80.9, claimed="9 %")
    ('1.604 (1.604 – 1.896)', '2', '76 % (76 – 80.9)')
    """
    shown = beside(claimed, central)
    if not np.isfinite(central) or np.isclose(low, high):
        return shown
    return f"{shown} ({interval(low, high)})"


def near_one(central: float, low: float = np.nan, high: float = np.nan, joint: str = "–") -> str:
    """A ratio to two digits, three where two would not tell it from 1, and what the sources allow.

    >>> near_one(1.604, 1.604, 1.896), near_one(0.9954), near_one(0.0503, 0.0503, 0.0503)
    ('1.6 (1.6–1.9)', '0.995', '0.050')
    """
    said, *ends = (units.number(x, 3 if units.number(x, 2) == "1.0" else 2) for x in (central, low, high))
    return said if {*ends} <= {said, "nan"} else f"{said} ({joint.join(ends)})"


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


def error_text(value: float, digits: int = 1) -> str:
    """An error with its sign, which does not break from it, or a dash where there is none.

    >>> error_text(0.0362), error_text(-0.213, 0), error_text(float("nan"))
    ('+3.6\xa0%', '−21\xa0%', '–')
    """
    text = units.percent(value, digits, "+").replace(" ", "\N{NO-BREAK SPACE}")
    return text if np.isfinite(value) else "–"


def spread_cells(found: Mapping[str, Any]) -> dict[str, str]:
    """The cells of a spread of errors: how many, half and nine in ten of them, and the bias."""
    half, most = found["median"], found["nine in ten"]
    return {"rows": f"{found['n']:,.0f}", "half within": units.percent(half, 1) if np.isfinite(half) else "–",
            "nine in ten within": units.percent(most) if np.isfinite(most) else "–",
            "bias": error_text(found["bias"])}  # fmt: skip


def measurements_table(lines: pd.DataFrame) -> Table:
    """Measurements beside what is predicted of them, those with nothing to assume first.

    Columns of `lines`: id, measured, predicted, error, assumed (names with ";" between them), and
    the reason why there is no prediction.
    """
    lines = lines.sort_values("assumed", key=lambda column: column != "", kind="stable")
    assumed = lines["assumed"].str.replace("_", " ").str.replace(";", ", ")
    pairs = zip(lines["measured"], lines["predicted"], strict=True)
    cells = {
        "measurement": lines["id"],
        "error": lines["error"].map(error_text),
        "measured → predicted": [f"{units.number(m)} → {number_or_dash(p)}" for m, p in pairs],
        "assumed": assumed.where(lines["reason"] == "", lines["reason"]),
    }
    return Table(pd.DataFrame(cells).replace("", "–"))


def versus_table(pairs: Mapping[str, tuple[str, str]], specs: Specs) -> Table:
    """Published throughputs of two accelerators, per chip and per TFLOP of peak.

    `pairs` names two measurements for each comparison; the peak is that of their matrices.
    """
    lines = []
    for name, ids in pairs.items():
        ours, theirs = (specs.measurements[measurement] for measurement in ids)
        given, other = ({"measurement": run.id, "precision": run.matrix_precision} for run in (ours, theirs))
        chips = ours.accelerator, theirs.accelerator
        tokens = f"{units.number(ours.measured)} ÷ {units.number(theirs.measured)}"
        of_peak = ratio("tokens_per_tflop", *chips, specs, other, **given).m
        lines.append((name, tokens, ours.measured / theirs.measured, of_peak))
    columns = ["comparison", "tokens/s", "per chip", "per TFLOP of peak"]
    return table(pd.DataFrame(lines, columns=columns), digits=3)


def rows_table(rows: Iterable[Row]) -> Table:
    """Rows of the table of specs: what, its value and what it counts, where it stands, the source.

    An alternative is another sourced value of the same fact.
    """
    lines = []
    for row in rows:
        basis = f"{row.basis}, alternative" if row.role == "alternative" else row.basis
        where = " – ".join(filter(None, [row.locator, row.note]))
        lines.append((row_name(row), f"{units.text(row.amount, 7)} ({basis})", where, row.source))
    cells = pd.DataFrame(lines, columns=["row", "value", "where, and note", "source"])
    return Table(cells, code=("source",), wide=("where, and note",))


def sources_table(
    subjects: Iterable[str], quantities: Iterable[str], specs: Specs, conditions: Container[str] | None = None
) -> Table:
    """Every sourced row of some quantities, alternatives included; under some conditions or all."""
    wanted = set(quantities)
    return rows_table(
        row
        for subject in dict.fromkeys(subjects)
        for key, group in specs.rows.items()
        for row in group
        if key[0] == subject and key[1] in wanted and (conditions is None or key[2] in conditions)
    )
