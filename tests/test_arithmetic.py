"""Whoever multiplies out what is printed arrives at what is printed beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import worked

import cm384
from cm384.derive.derivation import Working, step_text
from cm384.notebooks import NOTEBOOKS
from cm384.table.errors import DATA, InputError

SPECS = cm384.load_specs()
ROOT = NOTEBOOKS.parent
PAGES = [*sorted(NOTEBOOKS.glob("*.ipynb")), *sorted(NOTEBOOKS.glob("*.md")), ROOT / "README.md"]
# Formulas in words: no arithmetic of the values beside them, or of more than these.
IN_WORDS = {
    "accelerators × power for each × one year",
    "booked charge + lost revenue of the quarters reported",
    "cache that one rank reads ÷ its requests",
    "elements cached for a token in all layers × bytes of one",
    "FLOP of the forward pass × 3: the backward pass does each product twice",
    "half of what the last tier takes in, or of the links where undescribed",
    "highest of the peaks in formats of at least so many bits",
    "joules of a token × price of electricity ÷ utilisation",
    "MFU × hardware FLOP ÷ model FLOP: the forward pass again in the layers recomputed",
    "model FLOP + FLOP of the forward pass × share of the layers that do it again",
    "price of an accelerator ÷ life of a server + its power × price of electricity",
    "price of the system ÷ tokens that it serves in the life of a server",
    "prompt tokens that one accelerator asks for in decode ÷ those that one prefills",
    "published throughput × model FLOP of a token ÷ dense peak of one accelerator",
    "rent of an accelerator ÷ tokens that it serves",
    "scaled throughput ÷ that of the comparator by a run of its own",
    "sum of its terms",
    "sum of the parameters of all layers, embedding and head, from the model's config.json",
    "throughput published for one accelerator × accelerators, scaled from those that ran",
    "tokens ÷ scaled throughput of the systems",
    "tokens ÷ tokens for one joule",
    "two FLOP for each weight that a token meets + attention over half of the prompt",
    "two FLOP for each weight that a token meets + attention over the cache",
    "useful operations at the peak, or bytes at the memory bandwidth, whichever is longer",
    "useful operations of a token ÷ dense peak ÷ predicted time of a token",
    "weights of one rank that its tokens meet ÷ its requests",
}


def printed(path: Path) -> Iterator[tuple[str, str]]:
    """Every product or sum on a page, with what it is said to be."""
    if path.suffix == ".ipynb":
        yield from worked.products_in_tables(path)
    texts = worked.cells_of(path) if path.suffix == ".ipynb" else [path.read_text(encoding="utf-8")]
    for text in texts:
        yield from worked.equations(" ".join(text.split()))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_product_on_a_page_comes_to_what_it_says(path: Path) -> None:
    assert [pair for pair in printed(path) if not worked.holds(*pair)] == []


def test_products_are_found_where_they_stand() -> None:
    found = {path.name: len(list(printed(path))) for path in PAGES}
    assert found["01-package.ipynb"] >= 9
    assert found["05-token-cost.ipynb"] >= 1
    assert found["06-prefill.ipynb"] > 80
    assert found["07-decode.ipynb"] > 80
    assert found["README.md"] == 1


def figures() -> Iterator[Working]:
    """The working of every figure of the catalogue."""
    with (DATA / "derived" / "figures.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            given = dict(pair.split("=") for pair in row["conditions"].split(";") if pair)
            try:
                yield cm384.explain(row["quantity"], row["subject"], SPECS, **given)
            except InputError:  # a system's own row, which nothing derives
                assert row["kind"] == "stated"


def test_every_step_that_is_explained_comes_to_what_it_says() -> None:
    """Each line `name = formula = value (from …)` of `cm384 explain`, over the whole catalogue."""
    lines = {step_text(step) for found in figures() for step in found.steps}
    wrong, right, in_words = [], 0, set()
    for line in lines:
        step = worked.STEP.match(line)
        assert step, line
        read = step["read"].split("; ") if step["read"] else []
        comes = worked.gives(step["formula"], read, step["value"])
        wrong += [line] if comes is False else []
        right += comes is True
        in_words |= {step["formula"]} if comes is None else set()
    assert wrong == []
    assert right > 600
    assert {
        f for f in in_words if not f.endswith("of the whole step") and "serving model" not in f
    } == IN_WORDS


# --- by hand, and defects ------------------------------------------------------------------------

FLAT = "2 dies · 24 matrix units · 8,192 FLOP/cycle · 48 vector units · 256 FLOP/cycle · 1.8 GHz"
ADDED = "2 dies · (24 matrix units · 8,192 FLOP/cycle + 48 vector units · 256 FLOP/cycle) · 1.8 GHz"


def test_two_lines_by_hand() -> None:
    """2 × (24 × 8,192 + 48 × 256) × 1.8 GHz = 417,792 × 1.8e9 = 752.0e12; 384 × 128 GB."""
    assert worked.holds(ADDED, "752.0 TFLOPS")
    assert worked.gives("sum over the parts: count × HBM capacity of one", ["384", "128 GB"], "49.15 TB")
    found = worked.evaluated("2 × (3 + 4) ÷ 7")
    assert found.value.m == 2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # as it stood: seven numbers in a row, which come to 8,697,309 TFLOPS
        (FLAT, "752.0 TFLOPS"),
        ("2 dies · 24 matrix units · 8,192 FLOP/cycle · 1.8 GHz", "707.8 TB/s"),
        ("6,688 ÷ 7,417", "0.912"),
    ],
)  # fmt: skip
def test_planted_product_is_seen(left: str, right: str) -> None:
    assert not worked.holds(left, right)


def test_planted_step_is_seen() -> None:
    flat = ["2", "24", "8,192 FLOP/cycle", "2", "48", "256 FLOP/cycle", "1.8 GHz"]
    assert worked.gives("units × FLOP per clock of one × clock", flat, "752.0 TFLOPS") is False
    assert (
        worked.gives("units × FLOP per clock of one × clock", [*flat[:3], flat[-1]], "707.8 TFLOPS") is True
    )


def test_planted_defect_in_a_notebook_is_seen(tmp_path: Path) -> None:
    notebook = json.loads((NOTEBOOKS / "01-package.ipynb").read_text(encoding="utf-8"))
    path = tmp_path / "01-package.ipynb"
    path.write_text(json.dumps(notebook).replace(">392 GB/s<", ">784 GB/s<"), encoding="utf-8")
    assert [left for left, right in printed(path) if not worked.holds(left, right)]


def test_planted_digit_in_the_worked_step_is_seen(tmp_path: Path) -> None:
    text = (NOTEBOOKS / "07-decode.ipynb").read_text(encoding="utf-8")
    path = tmp_path / "07-decode.ipynb"
    path.write_text(text.replace("= 589.5 µs", "= 598.5 µs"), encoding="utf-8")
    wrong = [right for left, right in printed(path) if not worked.holds(left, right)]
    assert wrong == ["598.5 µs"]
