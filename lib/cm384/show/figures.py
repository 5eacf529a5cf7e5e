"""Figures as a notebook shows them: a picture at two widths, its finding as title, and its numbers.

The text form of a picture is its finding and the plotted numbers as CSV, so that a test of the
committed notebooks compares the numbers and not the pixels, and a page can offer them.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cm384.table import units
from cm384.table.frames import pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # behind text that lines cross
NARROW, WIDE = 4.8, 7.6  # inches: of a phone, of a page
TEXT = 10  # points
LABEL = 27  # characters of a label before it breaks
DPI = 200
INK = "#333333"
BLUE, ORANGE, GREEN, RED = "#0173b2", "#de8f05", "#029e73", "#d55e00"
PURPLE, BROWN, GREY = "#cc78bc", "#ca9161", "#949494"


@dataclass(frozen=True)
class Picture:
    """A figure drawn at both widths, with the finding that is its title, and what is plotted."""

    wide: bytes
    narrow: bytes
    shows: str
    data: pd.DataFrame

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        narrow = base64.b64encode(self.narrow).decode()
        # Pixels on a page, the picture itself is finer; a page for a phone takes the narrow one.
        about = {"width": round(112 * WIDE), "narrow": narrow}
        return {"image/png": self.wide, "text/plain": str(self)}, {"image/png": about}

    def __str__(self) -> str:
        return described(self.shows, self.data)


def canvas(height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure in the one style of this project, and its axes, row by row.

    `height` is in inches, without the title. Text of 10 points is legible at both widths, so that
    what needs room takes it downwards.
    """
    import matplotlib.pyplot as plt
    import seaborn as sns

    titles = {"axes.titlesize": TEXT, "figure.titlesize": TEXT + 1, "axes.titlelocation": "left"}
    titles |= dict.fromkeys(("axes.titleweight", "figure.titleweight"), "bold")
    texts = ("axes.labelsize", "font.size", "legend.fontsize", "xtick.labelsize", "ytick.labelsize")
    look = dict.fromkeys(texts, TEXT) | titles | {"axes.edgecolor": INK, "font.family": "DejaVu Sans"}
    look["xaxis.labellocation"] = "right"  # a long name of an axis grows to the left, below the labels
    look |= {"text.parse_math": False}  # a dollar is one, in whatever a table says
    palette = [BLUE, ORANGE, GREEN, PURPLE, RED, BROWN]
    sns.set_theme(context="paper", style="whitegrid", palette=palette, rc=look)
    figure, axes = plt.subplots(rows, columns, figsize=(NARROW, height), layout="constrained")
    return figure, list(np.ravel(axes))


def ink_on(colour: str) -> str:
    """The colour of text that can be read on another one.

    >>> ink_on(BLUE), ink_on("black"), ink_on(GREY), ink_on("white")
    ('white', 'white', '#333333', '#333333')
    """
    from matplotlib.colors import to_rgb

    return "white" if np.dot(to_rgb(colour), (0.3, 0.6, 0.1)) < 0.5 else INK


def picture(figure: Figure, finding: str, data: pd.DataFrame, beside: bool = False) -> Picture:
    """Render a figure at both widths under its finding, and close it; numbers to four digits.

    With `beside` the panels of a column stand side by side where there is room, on one vertical axis.

    The finding is one sentence without its full stop: "Per chip it trails, per system it leads".
    A legend of the figure, "outside upper left", stands between the finding and the axes. Each PNG
    carries its own text, so that a test sees when a picture and its numbers part.
    """
    import matplotlib.pyplot as plt

    numbers = data.copy()
    for name in data.select_dtypes(np.floating):
        numbers[name] = data[name].map(digits)
    finding = finding.rstrip(".")
    shows, unbroken = f"{finding}.", finding.replace(" %", "\N{NO-BREAK SPACE}%")
    full, panels, drawn = figure.get_figheight(), figure.axes, []
    for width in (WIDE, NARROW):
        across = beside and width == WIDE
        shape = (1, len(panels)) if across else (len(panels), 1)
        grid: Any = figure.add_gridspec(*shape) if beside else ()
        for place, (axis, cell) in enumerate(zip(panels, grid, strict=False)):
            axis.set_subplotspec(cell)
            axis.tick_params(labelleft=not across or place == 0)
        height = full / len(panels) if across else full
        lines = textwrap.wrap(unbroken, round(10 * width))
        whole = height + 0.1 + 0.19 * len(lines)
        figure.set_size_inches(width, whole)
        title = figure.suptitle("\n".join(lines), x=0.01, y=1 - 0.05 / whole, ha="left")
        title.set_in_layout(False)  # the layout keeps below it, and below a legend of the figure
        high = sum(9 + legend.get_window_extent().height for legend in figure.legends)
        below = (0, 0, 1, (height - high / figure.dpi) / whole)
        figure.set_layout_engine("constrained", rect=below)
        for legend in figure.legends:
            legend.set_bbox_to_anchor((0, 0, 1, height / whole))
        buffer = io.BytesIO()
        said = {"Software": None, "Description": described(shows, numbers)}
        figure.savefig(buffer, format="png", dpi=DPI, metadata=said)
        drawn.append(buffer.getvalue())
    plt.close(figure)
    wide, narrow = drawn
    return Picture(wide, narrow, shows, numbers)


def described(shows: str, data: pd.DataFrame) -> str:
    """What a picture says in words and numbers: the sentence, and the data as CSV."""
    return f"{shows}\n{data.to_csv(index=False)}"


def digits(value: float) -> str:
    """A number as a file of data holds it: four digits, no separators, empty for none.

    >>> digits(6930.04), digits(0.853211), digits(float("nan"))
    ('6930', '0.8532', '')
    """
    return units.number(value).replace(",", "") if np.isfinite(value) else ""


def bare(axis: Axes, *sides: str) -> None:
    """An axis without grid and frame, but for the sides that are named."""
    axis.grid(visible=False, axis="y")
    axis.spines[[side for side in ("top", "right", "left") if side not in sides]].set_visible(False)


def lanes(axis: Axes, labels: Sequence[str]) -> None:
    """One lane a label, which stands left of it, from the top down: nothing is drawn across it."""
    axis.set(ylim=(len(labels) - 0.5, -0.8))
    told = [textwrap.fill(str(label), LABEL) for label in labels]
    axis.set_yticks(range(len(labels)), told, fontsize=TEXT - 1)
    axis.tick_params(axis="y", length=0)
    bare(axis)


def allowed(axis: Axes, low: float, high: float, place: float | None = None, label: str = "") -> None:
    """What a claim stands for, as the band between its edges: in one lane, or over all of them.

    A mark of a fixed size would cover figures that miss it. An edge at infinity is that of the axes,
    so draw the rest first.
    """
    edges = [edge for edge in (low, high) if np.isfinite(edge)]
    left, right = axis.get_xlim()
    margin = 0.05 * (right - left)
    left = min([left, *(edge - margin for edge in edges if edge < left)])
    right = max([right, *(edge + margin for edge in edges if edge > right)])
    across = (0.0, 1.0) if place is None else (place - 0.22, place + 0.22)
    side = axis.get_xaxis_transform() if place is None else axis.transData
    looks: dict[str, Any] = {"color": RED, "zorder": 1, "transform": side}
    axis.fill_betweenx(
        across, max(low, left), min(high, right), alpha=0.3, lw=0, label=label or None, **looks
    )
    axis.vlines(edges, *across, lw=1.2, **looks)
    axis.set_xlim(left, right)


def strips(
    data: pd.DataFrame, x: str, label: Callable[[Any], str], low: str, high: str, claimed: str = ""
) -> tuple[Figure, Axes]:
    """A strip a line: a dot at `x`, a bar from `low` to `high`, a band for what a claim stands for.

    `claimed` names a column that holds, for each line, the edges of what is claimed.
    """
    figure, (axis,) = canvas(0.8 + 0.5 * len(data))
    for place, line in enumerate(data.to_dict("records")):
        axis.plot([line[low], line[high]], [place, place], "|-", color=BLUE, lw=3, ms=11, mew=2)
        axis.plot(line[x], place, "o", color=BLUE, mec=INK, ms=8)
    said = data[claimed] if claimed else ()
    pairs = [(place, *map(float, edges)) for place, each in enumerate(said) for edges in each]
    if pairs:
        shown = [*data[[x, low, high]].to_numpy().ravel(), *(edge for _, *edges in pairs for edge in edges)]
        shown = [value for value in shown if np.isfinite(value)]
        axis.set_xlim(0.9 * min(shown), 1.1 * max(shown))
    for lane, least, most in pairs:
        allowed(axis, least, most, lane)
    lanes(axis, [label(line) for line in data.to_dict("records")])
    return figure, axis


def times(axis: Axes) -> None:
    """A logarithmic axis of ratios, with a line at equal."""
    axis.set_xscale("log", base=2)
    axis.axvline(1, color=INK, lw=1.5)
    left, right = axis.get_xlim()
    axis.set_xlim(min(left, 0.9), max(right, 1.1))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")


def waterfall(
    panels: Mapping[str, pd.DataFrame],
    published: Mapping[str, float],
    errors: Mapping[str, float],
    finding: str,
) -> Picture:
    """Steps that add up to a prediction, one panel each on one axis, beside what was published.

    The columns of a panel are step, size and total; a step below 0 takes back. `errors` are shares
    of the prediction.
    """
    figure, axes = canvas(3.1 * len(panels), rows=len(panels))
    data = {name: _with_ends(steps, published[name]) for name, steps in panels.items()}
    shown = pd.concat(data, names=["deployment"]).reset_index(level=0)
    size = shown.columns[2]
    for axis, (name, bars) in zip(axes, data.items(), strict=True):
        back = bars[size] < 0
        colours = [BLUE, *np.where(back, GREEN, ORANGE)[1:-2], GREY, INK]
        axis.barh(bars["step"], bars[size], left=bars["total"] - bars[size], height=0.66, lw=0,
                  color=colours, hatch=np.where(back, "///", ""), edgecolor="white")  # fmt: skip
        predicted = bars["total"].iloc[-2]
        whisker = np.where(bars["step"] == "predicted", errors[name] * predicted, 0.0)
        axis.errorbar(predicted, "predicted", xerr=whisker.max(), color=INK, capsize=3, lw=1.5)
        axis.axvline(published[name], color=INK, ls="--", lw=1)
        edges = np.maximum(bars["total"], bars["total"] - bars[size]) + whisker
        for place, (edge, value) in enumerate(zip(edges, bars[size], strict=True)):
            sign = "+" if 0 < place < len(bars) - 2 else "-"
            told = f"{value:{sign}.0f}".replace("-", "−")
            told += f" ± {units.percent(errors[name])}" if whisker[place] else ""
            axis.annotate(told, (edge, place), (4, 0), textcoords="offset points", va="center",
                          fontsize=TEXT - 1, bbox=PAPER)  # fmt: skip
        axis.set(title=name, xlim=(0, 1.4 * shown["total"].max()), ylim=(len(bars) - 0.4, -0.6))
        bare(axis, "left")
    figure.supxlabel(size, size=TEXT)
    return picture(figure, finding, shown.rename(columns={"total": f"{size}, in all"}), beside=True)


def _with_ends(steps: pd.DataFrame, published: float) -> pd.DataFrame:
    """The steps, and after them the prediction that they add up to and the published figure."""
    ends = [["predicted", *2 * [steps["total"].iloc[-1]]], ["published", *2 * [published]]]
    return pd.concat([steps, pd.DataFrame(ends, columns=steps.columns)], ignore_index=True)
