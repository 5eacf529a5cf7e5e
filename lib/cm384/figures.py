"""Figures as a notebook shows them: a picture, the sentence that says what it shows, its data.

The text form of a picture is that sentence and the plotted numbers as CSV, so that a test of the
committed notebooks compares the numbers and not the pixels, and a page can offer them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.claims import load_claims
from cm384.derivation import derive, title, words
from cm384.specs import Specs
from cm384.tables import compared, comparisons, figure_name, peak_bases

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.8  # inches, of every figure
TEXT = 10  # points
DPI = 200
INK = "#333333"
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, GREY = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#949494",
)


@dataclass(frozen=True)
class Picture:
    """A rendered figure with the sentence that says what it shows, and the plotted numbers."""

    png: bytes
    shows: str
    data: pd.DataFrame

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        size = {"width": round(120 * WIDTH)}  # pixels on a page; the picture itself is finer
        return {"image/png": self.png, "text/plain": str(self)}, {"image/png": size}

    def __str__(self) -> str:
        return text(self.shows, self.data)


def canvas(height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure in the one style of this project, and its axes, row by row.

    All figures are as wide as a phone can show with text of 10 points still legible, so that what
    needs room takes it downwards.
    """
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(
        context="paper",
        style="whitegrid",
        palette="colorblind",
        rc={
            "axes.edgecolor": INK,
            "axes.labelsize": TEXT,
            "axes.titlelocation": "left",
            "axes.titlesize": TEXT,
            "axes.titleweight": "bold",
            "font.family": "DejaVu Sans",
            "font.size": TEXT,
            "legend.fontsize": TEXT,
            "xtick.labelsize": TEXT,
            "ytick.labelsize": TEXT,
        },
    )
    figure, axes = plt.subplots(rows, columns, figsize=(WIDTH, height), layout="constrained")
    return figure, list(np.ravel(axes))


def picture(figure: Figure, shows: str, data: pd.DataFrame) -> Picture:
    """Render a figure and close it; numbers are kept to four digits.

    The PNG carries its own text, so that a test sees when a picture and its numbers part.
    """
    import matplotlib.pyplot as plt

    rounded = {
        name: data[name].map(digits) if data[name].dtype.kind == "f" else data[name]
        for name in data.columns
    }
    numbers = pd.DataFrame(rounded)
    buffer = io.BytesIO()
    said = {"Software": None, "Description": text(shows, numbers)}
    figure.savefig(buffer, format="png", dpi=DPI, metadata=said)
    plt.close(figure)
    return Picture(buffer.getvalue(), shows, numbers)


def text(shows: str, data: pd.DataFrame) -> str:
    """What a picture says in words and numbers: the sentence, and the data as CSV."""
    return f"{shows}\n{data.to_csv(index=False)}"


def digits(value: float) -> str:
    """A number as a file of data holds it: four digits, no separators, empty for none.

    >>> digits(6930.04), digits(0.853211), digits(float("nan"))
    ('6930', '0.8532', '')
    """
    return units.number(value).replace(",", "") if np.isfinite(value) else ""


def package_figure(chips: Iterable[str], precision: str, specs: Specs) -> Picture:
    """What each package is built of: its peak by kind of unit, its memory by stack, its links."""
    chips = list(chips)
    figure, axes = canvas(1.3 + 0.75 * len(chips), columns=4)
    data = []
    for axis, (quantity, pieces) in zip(axes, PIECES.items(), strict=True):
        for place, chip in enumerate(chips):
            whole, parts = _pieces(chip, quantity, pieces, precision, specs)
            data.append(
                {
                    "chip": title(chip),
                    "figure": words(quantity),
                    "total": float(whole.m),
                    "unit": units.unit_text(whole.units),
                    "pieces": len(parts),
                }
            )
            left = 0.0
            for part, colour in parts:
                axis.barh(place, part, left=left, color=colour, edgecolor="white", height=0.6)
                left += part
            axis.text(left, place, f" {units.text(whole, 3)}", va="center", fontsize=9)
        name = f"peak, {precision.upper()}" if quantity == "peak" else words(quantity)
        axis.set_title(name, fontsize=10)
        axis.set(xticks=[], yticks=[], xlim=(0, axis.get_xlim()[1] * 1.75))
        axis.grid(visible=False)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.invert_yaxis()
    axes[0].set_yticks(range(len(chips)), [title(chip) for chip in chips])
    shows = (
        "Each bar is cut into the pieces it is built of: dies (orange: their vector units), "
        "memory stacks, links."
    )
    return picture(figure, shows, pd.DataFrame(data))


# A figure and the count of equal pieces it is made of.
PIECES = {
    "peak": "dies",
    "hbm_capacity": "hbm_stacks",
    "hbm_bandwidth": "hbm_stacks",
    "scale_up_bandwidth": "scale_up_links",
}


def _pieces(
    chip: str, quantity: str, pieces: str, precision: str, specs: Specs
) -> tuple[Any, list[tuple[float, str]]]:
    conditions = {"precision": precision} if quantity == "peak" else {}
    whole = units.sensible(derive(quantity, chip, specs, **conditions))
    count = _count(chip, pieces, specs)
    matrix = whole.m
    if quantity == "peak" and "headline" in peak_bases(chip, precision, specs):
        matrix = derive("peak_from_units", chip, specs, precision=precision).to(whole.units).m
    parts = [(matrix / count, BLUE)] * count
    return whole, parts + ([(whole.m - matrix, ORANGE)] if matrix < whole.m else [])


def _count(chip: str, pieces: str, specs: Specs) -> int:
    """How many equal pieces; one where no source states the number."""
    if specs.has(chip, pieces, basis="die"):
        return int(specs.get(chip, pieces, basis="die").m * specs.get(chip, "dies").m)
    return int(specs.get(chip, pieces).m) if specs.has(chip, pieces) else 1


def roofline_figure(chips: Iterable[str], precision: str, specs: Specs) -> Picture:
    """The attainable rate of each chip against arithmetic intensity, its ridge point marked."""
    figure, (axis,) = canvas(4.6)
    intensity = np.geomspace(10, 3_000, 200)
    data = []
    for chip, colour, style in zip(chips, (BLUE, ORANGE, GREEN, PURPLE), ("-", "--", "-.", ":")):  # noqa: B905
        peak = derive("peak", chip, specs, precision=precision).to("TFLOPS").m
        bandwidth = derive("hbm_bandwidth", chip, specs).to("TB/s").m
        ridge = derive("ridge_point", chip, specs, precision=precision).m
        axis.plot(intensity, np.minimum(peak, intensity * bandwidth), style, color=colour, lw=2.5)
        axis.plot(ridge, peak, "o", color=colour, ms=8, mec=INK)
        data.append(
            {
                "chip": title(chip),
                "peak TFLOPS": peak,
                "HBM TB/s": bandwidth,
                "ridge FLOP/byte": ridge,
            }
        )
    for place, line in enumerate(sorted(data, key=lambda line: -float(line["peak TFLOPS"]))):
        text = f"{line['chip']}: {units.number(line['ridge FLOP/byte'], 3)} FLOP/byte"
        axis.annotate(
            text,
            (line["ridge FLOP/byte"], line["peak TFLOPS"]),
            textcoords="offset points",
            **_beside(place),
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="arithmetic intensity, FLOP per byte of memory",
        ylabel=f"attainable rate, TFLOPS ({precision.upper()}, dense)",
    )
    axis.set_ylim(top=axis.get_ylim()[1] * 1.5)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    shows = (
        "Left of its ridge point a chip is limited by memory, right of it by its units: the "
        "further right the ridge, the more work per byte it takes to use the peak."
    )
    return picture(figure, shows, pd.DataFrame(data))


def _beside(place: int) -> dict[str, Any]:
    """Where a label goes: above and left of the first ridge point, below and right of others."""
    if place == 0:
        return {"xytext": (-14, 8), "ha": "right", "va": "bottom"}
    return {"xytext": (14, -8 - 14 * place), "ha": "left", "va": "top"}


def ratios_figure(system: str, baseline: str, precision: str, specs: Specs) -> Picture:
    """The ratios of two systems with what the sources allow, against the claimed figures."""
    rows = [
        (figure_name(q, c), q, compared(q, system, baseline, specs, c))
        for q, c in comparisons(precision)
    ]
    found = [(name, quantity, ratio) for name, quantity, ratio in rows if ratio]
    printed = claimed_ratios(specs)
    figure, (axis,) = canvas(1.4 + 0.42 * len(found))
    for place, (_, quantity, ratio) in enumerate(found):
        central = float(ratio.central.m)
        axis.plot(
            [ratio.low.m, ratio.high.m], [place, place], color=BLUE, lw=5, solid_capstyle="butt"
        )
        axis.plot(central, place, "o", color=BLUE, ms=9, mec=INK)
        axis.annotate(
            units.number(central, 3),
            (central, place),
            (0, 9),
            ha="center",
            fontsize=10,
            textcoords="offset points",
        )
        for value, sign in printed.get(quantity, []):
            axis.plot(value, place, "D", color=RED, mfc="none", mew=2, ms=11)
            if sign:
                axis.annotate(
                    "",
                    (value * 1.18, place),
                    (value, place),
                    arrowprops={"arrowstyle": "->", "color": RED, "lw": 2},
                )
    axis.axvline(1, color=INK, lw=1)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axis.set_yticks(range(len(found)), [name for name, *_ in found])
    axis.set_ylim(len(found) - 0.5, -0.7)
    axis.set_xlabel(f"{title(system)} ÷ {title(baseline)} (log scale)")
    axis.plot([], [], "o-", color=BLUE, lw=5, label="derived, with what the sources allow")
    axis.plot([], [], "D", color=RED, mfc="none", mew=2, ms=9, label="claimed (→ more than)")
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    data = pd.DataFrame(
        [
            {
                "figure": name,
                "ratio": float(r.central.m),
                "low": float(r.low.m),
                "high": float(r.high.m),
                "claimed": " ".join(
                    f"{sign}{value:g}" for value, sign in printed.get(quantity, [])
                ),
            }
            for name, quantity, r in found
        ]
    )
    shows = (
        f"{title(system)} against {title(baseline)}: dots are derived, bars what the sources "
        "allow, open diamonds what the articles print."
    )
    return picture(figure, shows, data)


def claimed_ratios(specs: Specs) -> dict[str, list[tuple[float, str]]]:
    """The system ratios that the articles print, by quantity, with a sign for "more than"."""
    found: dict[str, list[tuple[float, str]]] = {}
    for claim in load_claims(specs=specs):
        if claim.form == "ratio" and not claim.judged and specs.parts(claim.subject):
            mark = (claim.printed.value, ">" if claim.relation == "gt" else "")
            for quantity in (claim.quantity, f"{claim.quantity}_from_units"):
                if mark not in found.setdefault(quantity, []):
                    found[quantity].append(mark)
    return found
