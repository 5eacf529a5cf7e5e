"""Formulas are MathML before a browser sees them; all other text is text, dollars and backslashes too."""

from __future__ import annotations

import html
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from strangers import refused

from cm384 import notebooks
from cm384.rerun import to_html, with_formulas
from cm384.show.figures import canvas, lanes, picture
from cm384.show.tables import Table

TEX = r"Huawei's cost $8#1 million, NVIDIA's $3 million \(\href{javascript:alert(1)}{x}\)"


def test_every_formula_of_the_notebooks_is_translated() -> None:
    count = 0
    for path in notebooks.notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                told = with_formulas(cell.source)
                count += told.count("<math ")
                assert "$$" not in told
                assert not re.search(r"\\[a-z]+", told), told
    assert count > 15


def test_formula_says_what_it_said() -> None:
    """A fraction is one, words are upright names, and signs stand between them."""
    told = with_formulas(r"$$\text{a b} = \frac{2 \times \text{c}}{\text{d}}$$")
    assert re.sub(r"\s+|<.?math[^>]*>|<.?div[^>]*>", "", told) == (
        '<mimathvariant="normal">ab</mi><mo>=</mo><mfrac><mrow><mn>2</mn><mo>×</mo>'
        '<mimathvariant="normal">c</mi></mrow><mimathvariant="normal">d</mi></mfrac>'
    )


def test_formula_that_cannot_be_translated_stops_a_build() -> None:
    assert refused(with_formulas, r"$$\nosuch{x}$$").startswith(r"formula '\\nosuch{x}': ")


def test_what_a_stranger_writes_is_no_formula(tmp_path: Path) -> None:
    """A page of a run asks for no script and shows what cells wrote as it was written."""
    shown = Table(pd.DataFrame({"claim": [TEX], "plain": ["96 GB"]}))
    data = {"text/html": shown.html, "text/markdown": "**$8 million, $$3$$ million**"}
    outputs = [new_output("display_data", {kind: text}) for kind, text in data.items()]
    cells = [new_markdown_cell("$5 and $6\n\n$$x$$\n"), new_code_cell("1", outputs=outputs)]
    nbformat.write(new_notebook(cells=cells), tmp_path / "x.ipynb")
    page = to_html(tmp_path / "x.ipynb", "x")
    assert page.count("<math ") == 1
    assert "MathJax" not in page
    assert re.findall(r'<script src="(.+?)"', page) == []
    words = html.unescape(re.sub(r"<[^>]+>", "", page))
    for text in ("$5 and $6", "$8 million, $$3$$ million", TEX):
        assert text in words


def test_jupyter_sets_no_mathematics_in_a_cell_with_dollars() -> None:
    told = Table(pd.DataFrame({"claim": [TEX], "plain": ["96 GB"]})).html
    assert re.findall("<td([^>]*)>", told) == [' class="mathjax_ignore tex2jax_ignore"', ""]


@pytest.mark.parametrize("text", [TEX, "$8 million, NVIDIA's $3 million"])
def test_picture_shows_dollars_as_they_are(text: str) -> None:
    figure, (axis,) = canvas(2)
    lanes(axis, [text])
    assert not any(label.get_parse_math() for label in axis.get_yticklabels())
    assert picture(figure, text, pd.DataFrame({"claim": [text]})).wide.startswith(b"\x89PNG")
