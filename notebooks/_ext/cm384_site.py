"""The Sphinx extension that makes the site of the notebooks.

It adds the pages that no notebook makes and the files that pages load, prepares each source as it
is read, and leaves out of the site what no page needs.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import calculator
import nbformat
import pages
from facts import facts
from links import linked
from sphinx.application import Sphinx

from cm384.rerun import mathjax
from cm384.table.errors import DATA

PICTURES = "_static/pictures"
SOURCES = re.compile(r"\]\(([\w-]+)\.(?:md|ipynb)(#[^)]*)?\)")  # a link to a page by its file


def setup(app: Sphinx) -> dict[str, bool]:
    """Say when Sphinx shall call what."""
    app.connect("config-inited", prepare)
    app.connect("source-read", read)
    app.connect("html-page-context", mend)
    app.connect("build-finished", slim)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def prepare(app: Sphinx, _: Any) -> None:
    """Write the generated pages, and what pages load, into the folder of the sources."""
    source = Path(app.srcdir)
    (source / PICTURES).mkdir(parents=True, exist_ok=True)
    shutil.copy(DATA / "sources.bib", source)
    shutil.copy(mathjax(), source / "_static")
    computed = json.dumps(calculator.data(facts().specs), ensure_ascii=False, separators=(",", ":"))
    script = f"const CALCULATOR = {computed};\n"
    (source / "_static" / "calculator-data.js").write_text(script, encoding="utf-8")
    pages.write(source)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Prepare a source: what is computed stands in it, and every source and claim is a link."""
    if app.env.doc2path(docname).suffix == ".ipynb":
        source[0] = staged(source[0], docname, Path(app.srcdir))
    else:
        text = pages.fill(source[0]) if docname in pages.FILLED else source[0]
        source[0] = linked(text)


def staged(text: str, stem: str, folder: Path) -> str:
    """A notebook with code folded, its pictures at both widths with their words and numbers."""
    notebook = nbformat.reads(text, as_version=4)
    notebook.cells = folded(notebook.cells)
    number = count(1)
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        if "image/png" in data:
            narrow = output.metadata["image/png"]["narrow"]
            html = picture(data, narrow, f"{PICTURES}/{stem}-{next(number)}", folder)
            output.data, output.metadata = {"text/html": html}, {}
        elif "text/html" in data:
            data["text/html"] = linked(data["text/html"])
        elif "text/markdown" in data:  # what a cell writes, which Sphinx resolves no links in
            data["text/markdown"] = SOURCES.sub(r"](\1.html\2)", data["text/markdown"])
    return nbformat.writes(notebook)


def folded(cells: Iterable[Any]) -> list[Any]:
    """The cells with code folded, each silent one a part of the next, so that one fold holds both.

    A reader wants the answer first and the code on request.
    """
    found: list[Any] = []
    for cell in cells:
        last = found[-1] if found else None
        if cell.cell_type == "code" and last and last.cell_type == "code" and not last.outputs:
            cell.source = f"{last.source}\n\n{cell.source}"
            found.pop()
        if cell.cell_type == "code":
            cell.metadata["tags"] = ["hide-input"]
        found.append(cell)
    return found


def picture(data: Any, narrow: str, name: str, folder: Path) -> str:
    """A picture as a page shows it; its files are written: both widths, and the numbers."""
    finding, _, numbers = data["text/plain"].partition("\n")
    (folder / f"{name}.csv").write_text(numbers, encoding="utf-8")
    sizes = {}
    for width, suffix, encoded in (("wide", "", data["image/png"]), ("narrow", "-narrow", narrow)):
        png = base64.b64decode(encoded)
        (folder / f"{name}{suffix}.png").write_bytes(png)
        sizes[width] = struct.unpack(">II", png[16:24])  # as a PNG says first
    return pages.render("picture", name=name, alt=finding, **sizes)


def mend(app: Sphinx, name: str, _: str, context: dict[str, Any], __: Any) -> None:
    """Mend a page: docutils gives citations a role that was withdrawn; one table has scripts."""
    context["body"] = context.get("body", "").replace('"doc-biblioentry"', '"listitem"')
    if name == "00-scorecard":
        app.add_js_file("scorecard.js", loading_method="defer")
    if name.startswith("article-"):
        app.add_js_file("moved.js", loading_method="defer")


def slim(app: Sphinx, error: Exception | None) -> None:
    """Leave out of a site what no page needs.

    These are translations, maps for a debugger, and the script that draws the icons which a font
    has drawn already: most of what a page would load.
    """
    site = Path(app.outdir)
    shutil.rmtree(site / "_static" / "locales", ignore_errors=True)
    for path in [*site.rglob("*.map"), *site.glob("_static/scripts/fontawesome.js*")]:
        path.unlink(missing_ok=True)
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"<script [^>]*scripts/fontawesome\.js[^>]*></script>", "", text)
        page.write_text(text, encoding="utf-8")
