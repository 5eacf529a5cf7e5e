"""What a rerun of a notebook says of itself, and the one page that it becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cm384.table.errors import InputError

# No script that sets mathematics, code folded, text left-aligned, formulas that scroll in their own box,
# and under a banner a bar beside what was written for the defaults.
PAGE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_mathjax %}{% endblock html_head_js_mathjax %}
{% block input %}<details><summary>code</summary>{{ super() }}</details>{% endblock input %}
{% block html_head_css %}{{ super() }}<style>
.jp-RenderedHTMLCommon :is(td, th) { text-align: left !important; }
.formula { overflow-x: auto; overflow-y: hidden; padding: 0.3rem 0; }
.formula math, .formula mtable { font-family: inherit; math-style: normal; }
.formula mtd { text-align: left; padding-inline: 0; }
.formula mtd:nth-child(odd) { text-align: right; }
.jp-Notebook-cell summary { color: gray; font-size: small; }
[id="cell-id=rerun-says"] ~ .jp-MarkdownCell { border-left: 4px solid silver; }
</style>{% endblock html_head_css %}"""

# A formula in words. MathML has no space around a sign between texts, as they might be spaces, nor where a
# line begins with one.
WORDS = {
    "<math ": '<math display="block" ',
    "<mtext>": '<mi mathvariant="normal">',
    "</mtext>": "</mi>",
    "<mtd>\n<mo>": '<mtd>\n<mo form="infix">',
}

TOLD = """> **Rerun with {given}.** What is computed follows: the answer in bold, tables, figures and what
> stands under a cell of code. Headings and the text between cells, with a bar at its left on the page, were
> written for {before} and hold for that alone."""


def announce(notebook: Path, name: str, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """The title of a rerun; where a parameter is not the default, a first cell says what that means."""
    import nbformat

    changed = {name: value for name, value in values.items() if value != defaults[name]}
    given, before = (", ".join(f"{each} = {of[each]}" for each in changed) for of in (values, defaults))
    if changed:
        told = TOLD.format(given=given, before=before)
        found = nbformat.read(notebook, as_version=4)
        found.cells.insert(0, nbformat.v4.new_markdown_cell(told, id="rerun-says"))
        nbformat.write(found, notebook)
    return ", ".join(filter(None, [name, given]))


def to_html(notebook: Path, title: str) -> str:
    """One page that opens without the network, its formulas as MathML."""
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        require_js_url="", mermaid_js_url="", embed_images=True,
        extra_loaders=[DictLoader({"rerun.html.j2": PAGE})], template_file="rerun.html.j2",
    )  # fmt: skip
    found = nbformat.read(notebook, as_version=4)
    for cell in found.cells:
        if cell.cell_type == "markdown" and cell.id != "rerun-says":
            cell.source = with_formulas(cell.source)
    body, _ = exporter.from_notebook_node(found, resources={"metadata": {"name": title}})
    return str(body)


def with_formulas(text: str) -> str:
    """Markdown in which each formula between $$ is MathML, which browsers draw by themselves.

    Everything else stays text: a dollar sign is one. InputError for a formula that cannot be translated.

    >>> with_formulas("$5 and $6")
    '$5 and $6'
    """
    return re.sub(r"\$\$(.+?)\$\$", _mathml, text, flags=re.DOTALL)


def _mathml(found: re.Match[str]) -> str:
    from docutils.utils.math.latex2mathml import tex2mathml

    try:
        drawn = tex2mathml(found[1].strip())
    except (ValueError, SyntaxError) as error:  # the latter from older releases
        raise InputError(f"formula {found[1].strip()!r}: {error}") from None
    drawn = re.sub(r"\n +", "\n", drawn)
    for given, meant in WORDS.items():
        drawn = drawn.replace(given, meant)
    return f'<div class="formula">\n{drawn}\n</div>'
