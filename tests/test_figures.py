"""A claim is drawn as what it stands for, so that a mark inside it is a figure that holds."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest

from cm384.ledger.claims import printed
from cm384.notebooks import NOTEBOOKS
from cm384.show.figures import allowed, canvas, strips, times


def bands(axis: Any) -> list[tuple[float, float]]:
    """The filled bands of an axis, from edge to edge."""
    found = [collection.get_paths()[0].vertices[:, 0] for collection in axis.collections
             if type(collection).__name__ == "FillBetweenPolyCollection"]  # fmt: skip
    return [(float(xs.min()), float(xs.max())) for xs in found]


@pytest.fixture(autouse=True)
def closed() -> Any:
    yield
    plt.close("all")


def test_strip_draws_a_claim_from_edge_to_edge() -> None:
    """3.6 is 3.55 to 3.65, so that 49,152 ÷ 13,392 = 3.670 lies beside it; more than double begins at 2."""
    memory, compute = printed("3.6", "ratio"), printed("double", "ratio", "gt")
    data = pd.DataFrame({"name": ["memory", "compute"], "ratio": [3.67, 1.604], "low": [3.64, 1.604],
                         "high": [3.67, 1.896], "marks": [[(memory.low, memory.high)],
                                                          [(compute.low, compute.high)]]})  # fmt: skip
    _, axis = strips(data, "ratio", lambda line: line["name"], "low", "high", "marks")
    times(axis)
    first, second = bands(axis)
    assert first == pytest.approx((3.55, 3.65))
    assert not first[0] <= 3.67 <= first[1]
    assert second == pytest.approx((2.0, axis.get_xlim()[1]))
    assert axis.get_xlim()[0] < 1.0


def test_band_over_all_lanes_widens_the_axis() -> None:
    _, (axis,) = canvas(2)
    axis.barh([0, 1], [1.2, 1.4])
    allowed(axis, 2.0, np.inf, label="claimed")
    ((low, high),) = bands(axis)
    assert (low, high) == pytest.approx((2.0, axis.get_xlim()[1]))
    assert high > 2.0
    assert axis.get_legend_handles_labels()[1] == ["claimed"]


def test_band_of_an_exact_figure_keeps_its_edges() -> None:
    """6,688 is 6,687.5 to 6,688.5: too thin to be seen but for its edges."""
    _, (axis,) = canvas(2)
    axis.barh([0], [9_000])
    claim = printed("6,688", "value")
    allowed(axis, claim.low, claim.high)
    assert bands(axis) == [pytest.approx((6687.5, 6688.5))]
    lines = [c for c in axis.collections if type(c).__name__ == "LineCollection"]
    assert [segment[0][0] for segment in lines[0].get_segments()] == pytest.approx([6687.5, 6688.5])


def test_runs_over_time_are_drawn_where_they_belong() -> None:
    """Page 14, its cells run one by one: each phase on its axis, each width of formats by its own runs."""
    cells = nbformat.read(NOTEBOOKS / "14-did-it-beat-nvidia.ipynb", as_version=4).cells
    known: dict[str, Any] = {}
    for cell in cells:
        if cell.cell_type == "code" and "race" not in known:
            exec(cell.source, known)
    drawn: list[Any] = []
    known["picture"] = lambda figure, *_: drawn.append(figure)
    exec(next(cell.source for cell in cells if "race.groupby" in cell.source), known)
    for axis, phase in zip(drawn[0].axes, ("prefill", "decode"), strict=True):
        marks = {line.get_label(): line.get_ydata() for line in axis.lines if "bits" in line.get_label()}
        runs = known["race"][known["race"]["phase"] == phase].groupby("formats")["ratio"]
        assert {name: list(ratios) for name, ratios in marks.items()} == runs.apply(list).to_dict()
        assert len(marks) == 2
