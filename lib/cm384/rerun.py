"""What a rerun of a notebook says of itself, and the one page that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

# Code folded, text left-aligned, and under a banner a bar beside what was written for the defaults.
PAGE = """{% extends 'lab/index.html.j2' %}
{% block input %}<details><summary>code</summary>{{ super() }}</details>{% endblock input %}
{% block html_head_css %}{{ super() }}<style>
.jp-RenderedHTMLCommon :is(td, th) { text-align: left !important; }
.jp-Notebook-cell summary { color: gray; font-size: small; }
[id="cell-id=rerun-says"] ~ .jp-MarkdownCell { border-left: 4px solid silver; }
</style>{% endblock html_head_css %}"""

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
    """One page that opens without the network: MathJax is inside it."""
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        mathjax_url="", require_js_url="", mermaid_js_url="", embed_images=True,
        extra_loaders=[DictLoader({"rerun.html.j2": PAGE})], template_file="rerun.html.j2",
    )  # fmt: skip
    found = nbformat.read(notebook, as_version=4)
    body, _ = exporter.from_notebook_node(found, resources={"metadata": {"name": title}})
    script = mathjax().read_text(encoding="utf-8").replace("</script", "<\\/script")
    return str(body).replace("</body>", f"<script>{script}</script></body>")


def mathjax() -> Path:
    """The one file of MathJax that pages need."""
    package = distribution("sphinx-mathjax-offline")
    return Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg.js")))
