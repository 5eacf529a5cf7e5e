"""The site: every notebook run and staged, the pages that none makes, rendered by Sphinx."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from cm384 import calculator, notebooks, pages
from cm384.markup import linked
from cm384.notebooks import NOTEBOOKS
from cm384.table.errors import DATA, InputError


def report(progress: Callable[[Any, int], Any]) -> Path:
    """Run every notebook in parallel and build the site from them; its first page."""
    source = notebooks.BUILD / "src"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(NOTEBOOKS / "_static", source / "_static")
    for folder in ("mathjax", "data"):
        (source / "_static" / folder).mkdir()
    shutil.copy(notebooks.mathjax(), source / "_static" / "mathjax")
    (source / "_static" / "datatables.js").write_text(datatables(), encoding="utf-8")
    for path in [*NOTEBOOKS.glob("*.py"), DATA / "sources.bib"]:
        shutil.copy(path, source)
    for path in NOTEBOOKS.glob("*.md"):
        text = linked(path.read_text(encoding="utf-8"))
        (source / path.name).write_text(text, encoding="utf-8")
    pages.write(source)
    calculator.write(source)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [pool.submit(stage, path, source / path.name) for path in notebooks.notebooks()]
        for job in progress(as_completed(jobs), len(jobs)):
            job.result()
    return build_site(source, notebooks.BUILD / "site")


def stage(path: Path, out: Path) -> None:
    """Run one notebook and prepare it for the site.

    Code is folded, every picture has its alternative text and its numbers as a CSV file, and every
    source key leads to the bibliography, every claim to its working.
    """
    import nbformat

    notebooks.execute(path, out, {})
    notebook = nbformat.read(out, as_version=4)
    cells: list[Any] = []
    pictures = 0
    for cell in joined(notebook.cells):
        cells.append(cell)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                shows, _, numbers = data["text/plain"].partition("\n")
                cell.metadata["mystnb"] = {"image": {"alt": shows}}
                file = Path("_static/data", f"{path.stem}-{pictures}.csv")
                (out.parent / file).write_text(numbers, encoding="utf-8")
                link = f'<a class="numbers" href="{file}" download>numbers of this figure (CSV)</a>'
                cells.append(nbformat.v4.new_markdown_cell(link))
            if "text/html" in data:
                data["text/html"] = linked(data["text/html"])
    notebook.cells = cells
    nbformat.write(notebook, out)


def joined(cells: Iterable[Any]) -> list[Any]:
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


def build_site(source: Path, out: Path) -> Path:
    """Render the staged pages with Sphinx, every warning an error."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(out, ignore_errors=True)
    if build_main(["-q", "-W", "-n", "--keep-going", "-b", "html", str(source), str(out)]):
        raise InputError("the site was not built: see the messages of Sphinx above")
    slim(out)
    return out / "index.html"


def slim(site: Path) -> None:
    """Leave out of a site what no page needs.

    These are the notes of Sphinx for its next build, translations, maps for a debugger, and the
    script that draws the icons which a font has drawn already: most of what a page would load.
    """
    for folder in (".doctrees", "_static/locales"):
        shutil.rmtree(site / folder)
    for path in [*site.rglob("*.map"), *site.glob("_static/scripts/fontawesome.js*")]:
        path.unlink(missing_ok=True)
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        text = re.sub(r"<script [^>]*scripts/fontawesome\.js[^>]*></script>", "", text)
        page.write_text(text, encoding="utf-8")


def datatables() -> str:
    """DataTables of the package itables as a plain script: no page loads a module from a file."""
    bundle = Path(str(distribution("itables").locate_file("itables/html/dt_bundle.js")))
    body, exports, licences = re.split(r"export\{(.*)\};", bundle.read_text(encoding="utf-8"))
    (name,) = re.findall(r"([\w$]+) as default", exports)
    return f"(function () {{{body}window.DataTable = {name};}})();{licences}"
