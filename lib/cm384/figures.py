"""Figures as a notebook shows them: a picture, the sentence that says what it shows, its data.

The text form of a picture is that sentence and the plotted numbers as CSV, so that a test of the
committed notebooks compares the numbers and not the pixels, and a page can offer them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.claims import load_claims
from cm384.derivation import derive, title, words
from cm384.specs import Specs
from cm384.tables import compared, comparisons, figure_name, listed, vector_share
from cm384.uncertainty import Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # behind text that lines cross
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
STYLES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "v"))

Claimed = tuple[float, str]  # a printed ratio, and ">" for "more than"


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


def above(axis: Axes, place: float, text: str, **style: Any) -> None:
    """A label over the bar or dot of a row, from the left edge of the axes on."""
    side = axis.get_yaxis_transform()
    label = axis.text(0, place - 0.4, text, transform=side, va="center", bbox=PAPER, **style)
    label.set_in_layout(False)  # a long one may pass the axes; it does not make them smaller


def strips(axis: Axes, labels: Sequence[str]) -> None:
    """One strip a label, which stands above it, from the top down."""
    axis.set(ylim=(len(labels) - 0.5, -0.8), yticks=[])
    for place, label in enumerate(labels):
        above(axis, place, label)
    axis.grid(visible=False, axis="y")
    axis.spines[["top", "right", "left"]].set_visible(False)


def ratios_picture(
    system: str, baseline: str, shows: str, ratios: Iterable[tuple[str, Span, Sequence[Claimed]]]
) -> Picture:
    """Ratios of two systems: a dot and a line for what the sources allow, a diamond if claimed."""
    found = list(ratios)
    figure, (axis,) = canvas(0.8 + 0.5 * len(found))
    data, said = [], []
    for place, (name, ratio, claimed) in enumerate(found):
        low, central, high = (float(edge.m) for edge in (ratio.low, ratio.central, ratio.high))
        axis.plot([low, high], [place, place], "|-", color=BLUE, lw=3, ms=11, mew=2)
        axis.plot(central, place, "o", color=BLUE, mec=INK, ms=8)
        for value, sign in claimed:
            axis.plot(value, place, "D", color=RED, mfc="none", mew=2, ms=11)
            if sign:
                axis.annotate("", (value * 1.2, place), (value, place),
                              arrowprops={"arrowstyle": "->", "color": RED, "lw": 2})  # fmt: skip
        printed = listed(f"{sign}{value:g}" for value, sign in claimed)
        said.append(f"{name}: {units.number(central, 3)}{printed and f', claimed {printed}'}")
        above(axis, place, said[-1])
        data.append(
            {"figure": name, "ratio": central, "low": low, "high": high, "claimed": printed}
        )
    axis.axvline(1, color=INK, lw=1.5)
    axis.set(yticks=[], ylim=(len(found) - 0.5, -0.75))
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axis.set_xlabel(f"{title(system)} ÷ {title(baseline)} (log scale)")
    return picture(figure, f"{shows}: {'; '.join(said)}.", pd.DataFrame(data))


def package_figure(chips: Sequence[str], precision: str, specs: Specs) -> Picture:
    """What each package is built of: its peak by kind of unit, its memory by stack, its links."""
    figure, axes = canvas(len(PIECES) * (0.35 + 0.5 * len(chips)), rows=len(PIECES))
    data, said = [], []
    for axis, (quantity, pieces) in zip(axes, PIECES.items(), strict=True):
        wholes = []
        for place, chip in enumerate(chips):
            whole, one, count, vector = _pieces(chip, quantity, pieces, precision, specs)
            for left in range(count):
                axis.barh(place, one, left=left * one, color=BLUE, edgecolor="white", height=0.4)
            axis.barh(place, vector, left=count * one, color=ORANGE, edgecolor="white",
                      height=0.4, hatch="////")  # fmt: skip
            built = f", {count} {words(pieces)}" if count > 1 else ""
            rest = " and vector units (hatched)" if vector else ""
            wholes.append(whole)
            above(axis, place, f"{title(chip)}: {units.text(whole, 3)}{built}{rest}")
            data.append(
                {"chip": title(chip), "figure": words(quantity), "total": float(whole.m),
                 "unit": units.unit_text(whole.units), "pieces": count, "vector units": vector}
            )  # fmt: skip
        name = f"peak, {precision.upper()} dense" if quantity == "peak" else words(quantity)
        said.append(f"{name} {listed(units.text(w, 3) for w in wholes)}")
        axis.set_title(name)
        axis.set(xticks=[], yticks=[], ylim=(len(chips) - 0.7, -0.65))
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
    shows = (
        f"{listed(map(title, chips))}, each bar cut into the dies, memory stacks or links that it "
        f"is built of: {'; '.join(said)}."
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
) -> tuple[Any, float, int, float]:
    """A figure, the size and the number of its equal pieces, and what the vector units add."""
    conditions = {"precision": precision} if quantity == "peak" else {}
    whole = units.sensible(derive(quantity, chip, specs, **conditions))
    count = _count(chip, pieces, specs)
    vector = vector_share(chip, precision, specs) if quantity == "peak" else 0.0
    total = float(whole.m)
    return whole, total * (1 - vector) / count, count, total * vector


def _count(chip: str, pieces: str, specs: Specs) -> int:
    """How many equal pieces; one where no source states the number."""
    if specs.has(chip, pieces, basis="die"):
        return int(specs.get(chip, pieces, basis="die").m * specs.get(chip, "dies").m)
    return int(specs.get(chip, pieces).m) if specs.has(chip, pieces) else 1


def roofline_figure(chips: Iterable[str], precision: str, specs: Specs) -> Picture:
    """The attainable rate of each chip against arithmetic intensity, its ridge point marked."""
    figure, (axis,) = canvas(4.2)
    intensity = np.geomspace(10, 3_000, 200)
    data = []
    for chip, (colour, style, shape) in zip(chips, STYLES, strict=False):
        peak = derive("peak", chip, specs, precision=precision).to("TFLOPS").m
        bandwidth = derive("hbm_bandwidth", chip, specs).to("TB/s").m
        ridge = derive("ridge_point", chip, specs, precision=precision).m
        axis.plot(intensity, np.minimum(peak, intensity * bandwidth), style, color=colour, lw=2.5)
        axis.plot(ridge, peak, shape, color=colour, ms=8, mec=INK)
        data.append(
            {
                "chip": title(chip),
                "peak TFLOPS": peak,
                "HBM TB/s": bandwidth,
                "ridge FLOP/byte": ridge,
            }
        )
    for place, line in enumerate(sorted(data, key=lambda line: -float(line["peak TFLOPS"]))):
        axis.annotate(
            f"{line['chip']}\n{_ridge(line)}",
            (line["ridge FLOP/byte"], line["peak TFLOPS"]),
            textcoords="offset points",
            **_beside(place),
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="arithmetic intensity, FLOP per byte of memory",
        ylabel=f"attainable TFLOPS ({precision.upper()}, dense)",
    )
    axis.set_ylim(top=axis.get_ylim()[1] * 2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    ridges = listed(f"{line['chip']} at {_ridge(line)}" for line in data)
    shows = (
        "The rate that a chip can attain rises with the operations done for each byte of memory, "
        f"up to the peak, which begins at the ridge point: {ridges}."
    )
    return picture(figure, shows, pd.DataFrame(data))


def _ridge(line: Mapping[str, Any]) -> str:
    return f"{units.number(line['ridge FLOP/byte'], 3)} FLOP/byte"


def _beside(place: int) -> dict[str, Any]:
    """Where a label goes: above and left of the first ridge point, below and right of others."""
    if place == 0:
        return {"xytext": (-8, 6), "ha": "right", "va": "bottom"}
    return {"xytext": (10, -8 - 30 * (place - 1)), "ha": "left", "va": "top"}


def ratios_figure(system: str, baseline: str, precision: str, specs: Specs) -> Picture:
    """The ratios of two systems with what the sources allow, against the claimed figures."""
    printed = claimed_ratios(specs)
    found = [
        (figure_name(quantity, conditions), ratio, printed.get(quantity, []))
        for quantity, conditions in comparisons(precision)
        if (ratio := compared(quantity, system, baseline, specs, conditions))
    ]
    shows = (
        f"{title(system)} divided by {title(baseline)}, dots as derived, lines as far as the "
        "sources allow, open diamonds as the articles claim"
    )
    return ratios_picture(system, baseline, shows, found)


def claimed_ratios(specs: Specs) -> dict[str, list[Claimed]]:
    """The system ratios that the articles print, by quantity, with a sign for "more than"."""
    found: dict[str, list[Claimed]] = {}
    for claim in load_claims(specs=specs):
        if claim.form == "ratio" and not claim.judged and specs.parts(claim.subject):
            mark = (claim.printed.value, ">" if claim.relation == "gt" else "")
            for quantity in (claim.quantity, f"{claim.quantity}_from_units"):
                if mark not in found.setdefault(quantity, []):
                    found[quantity].append(mark)
    return found
