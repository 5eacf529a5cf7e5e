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
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import about
import calculator
import nbformat
import pages
import sentences
from facts import facts
from links import linked
from PIL import Image
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

from cm384.rerun import with_formulas
from cm384.table.errors import DATA

PICTURES = "_static/pictures"
LARGE = 60_000  # bytes of a picture
# What only some pages run, by how their names begin.
SENTENCE = ("sentences-data.js", "sentence.js")
SCRIPTS = {
    "00-scorecard": ("scorecard.js", *SENTENCE),
    "article-": ("moved.js",),
    "index": ("hero.js", *SENTENCE),
    "search": SENTENCE,
}
SOURCES = re.compile(r"\]\(([\w-]+)\.(?:md|ipynb)(#[^)]*)?\)")  # a link to a page by its file


def setup(app: Sphinx) -> dict[str, bool]:
    """Say when Sphinx shall call what."""
    SearchEnglish.stem = cache(SearchEnglish.stem)  # most words of a page are those of others
    app.connect("config-inited", prepare)
    app.connect("source-read", read)
    app.connect("html-page-context", mend)
    app.connect("build-finished", slim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def prepare(app: Sphinx, _: Any) -> None:
    """Write the generated pages, and what pages load, into the folder of the sources."""
    source = Path(app.srcdir)
    (source / PICTURES).mkdir(parents=True, exist_ok=True)
    shutil.copy(DATA / "sources.bib", source)
    scripts = {
        "calculator-data": constant("CALCULATOR", calculator.data(facts().specs)),
        "sentences-data": constant("SENTENCES", sentences.data(facts())),
    }
    for name, text in scripts.items():
        (source / "_static" / f"{name}.js").write_text(text, encoding="utf-8")
    about.offer(source)
    pages.write(source)


def constant(name: str, value: Any) -> str:
    """A script that gives a name to what was computed when the site was built."""
    return f"const {name} = {json.dumps(value, ensure_ascii=False, separators=(',', ':'))};\n"


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
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_formulas(cell.source)
    if stem == "00-scorecard":
        notebook.cells[0].source += f"\n\n{pages.render('sentence')}"
    number = count(1)
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        data = output.get("data", {})
        if "image/png" in data:
            narrow = output.metadata["image/png"]["narrow"]
            html = picture(data, narrow, f"{PICTURES}/{stem}-{next(number)}", folder)
            output.data, output.metadata = {"text/html": html}, {}
        elif "text/html" in data:
            data["text/html"] = linked(data["text/html"])
            if stem == "00-scorecard":  # what style sheets ask of all cells of a table would take its time
                data["text/html"] = data["text/html"].replace("<table>", '<table class="long">')
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
        sizes[width] = struct.unpack(">II", png[16:24])  # as a PNG says first
        path = folder / f"{name}{suffix}.png"
        path.write_bytes(png)
        if len(png) > LARGE:  # few colours tell the same in a quarter of the bytes
            drawn, plain = Image.open(path).convert("RGB"), Image.Dither.NONE
            drawn.quantize(64, Image.Quantize.FASTOCTREE, dither=plain).save(path)
    return pages.render("picture", name=name, alt=finding, **sizes)


def mend(app: Sphinx, name: str, _: str, context: dict[str, Any], __: Any) -> None:
    """Mend a page and say what it is; docutils gives citations a role that was withdrawn."""
    body = context.get("body", "").replace('"doc-biblioentry"', '"listitem"')
    title = about.plain(context.get("title", ""))
    context["body"] = f"{body}\n{about.foot(name, title)}"
    context["metatags"] = f"{context.get('metatags', '')}\n{about.tags(name, title, body)}"
    for page, scripts in SCRIPTS.items():
        for script in scripts if name.startswith(page) else ():
            app.add_js_file(script, loading_method="defer")


def slim(app: Sphinx, error: Exception | None) -> None:
    """Leave out of a site what no page needs: most of what a page would load.

    These are translations, maps for a debugger, the script that draws the icons which a font has drawn
    already, rules for classes that no page has, and, but on the page of the search, all words of the site.
    """
    site = Path(app.outdir)
    shutil.rmtree(site / "_static" / "locales", ignore_errors=True)
    for path in [*site.rglob("*.map"), *site.glob("_static/scripts/fontawesome.js*")]:
        path.unlink(missing_ok=True)
    needless = r"<script [^>]*scripts/fontawesome\.js[^>]*></script>"
    searching = r'<script src="(?:_static/(?:searchtools|language_data)|searchindex)\.js[^>]*></script>'
    for page in site.glob("*.html"):
        text = re.sub(needless, "", page.read_text(encoding="utf-8"))
        text = text if page.name == "search.html" else re.sub(searching, "", text)
        page.write_text(text, encoding="utf-8")
    said = [path.read_text(encoding="utf-8") for path in [*site.glob("*.html"), *site.rglob("*.js")]]
    known = frozenset(re.findall(r"[\w-]+", " ".join(said)))
    for sheet in site.glob("_static/**/*.css"):
        sheet.write_text(used(sheet.read_text(encoding="utf-8"), known), encoding="utf-8")


def used(sheet: str, known: frozenset[str]) -> str:
    """A style sheet without the rules that ask for a class which is not among the known words.

    >>> used(".a,.b{x:y}@media p{.b .a{x:y}.c:not(.b){x:y}}", frozenset({"a", "c"}))
    '.a,.b{x:y}@media p{.c:not(.b){x:y}}'
    """

    def kept(rule: re.Match[str]) -> str:
        each = re.sub(r":not\([^()]*\)", "", rule[1]).split(",")
        classes = (set(re.findall(r"\.(-?[A-Za-z_][\w-]*)", one)) for one in each)
        return rule[0] if any(found <= known for found in classes) else ""

    return re.sub(r"([^{}]+)\{[^{}]*\}", kept, sheet)
