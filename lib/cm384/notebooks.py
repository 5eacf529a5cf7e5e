"""Notebooks of the checkout: finding one, running it with other parameters, re-executing it."""

from __future__ import annotations

import base64
import os
import tempfile
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from cm384.errors import InputError, check_known, unknown
from cm384.parameters import PARAMETERS, check

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def find_notebook(name: str) -> Path:
    """The notebook that a name means: its file, its stem, or the first letters of it.

    >>> find_notebook("02").name
    '02-supernode.ipynb'
    """
    found = [path for path in notebooks() if path.stem.startswith(Path(name).stem)]
    if len(found) != 1:
        raise unknown("notebook", name, (path.stem for path in notebooks()))
    return found[0]


def notebooks() -> list[Path]:
    """The notebooks of the checkout, in order; refuses to run outside one."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
    if not found:
        raise InputError("no notebooks beside this package: run and report need the checkout")
    return found


def checked(path: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """The values to hand to a notebook, after building its dataclass from them and its defaults."""
    cls = PARAMETERS[path.stem]
    hints = typing.get_type_hints(cls)
    for name in given:
        check_known(f"parameter of {path.stem}", name, hints)
    values = {name: convert(name, text, hints[name]) for name, text in given.items()}
    for name, value in values.items():
        if name.endswith("_file") and value:
            values[name] = str(Path(value).resolve())  # a path is relative to the caller's folder
    check(cls, {**defaults(path), **values})
    return values


def convert(name: str, text: str, kind: type) -> Any:
    """A parameter from the command line as the type its dataclass declares.

    >>> convert("samples", "1e4", int)
    Traceback (most recent call last):
    ...
    cm384.errors.InputError: parameter samples: expected int, got '1e4'
    """
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if kind is bool or ("_" in text and kind is not str):
            raise ValueError
        return kind(text)
    except ValueError:
        raise InputError(f"parameter {name}: expected {kind.__name__}, got {text!r}") from None


def defaults(path: Path) -> dict[str, Any]:
    """The values in the parameters cell of a notebook."""
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    tagged = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    exec("\n".join(tagged), namespace)  # typed literals only: a test holds them to that
    return namespace


def run(path: Path, values: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Run a notebook with other parameters; its `.ipynb` and an offline `.html` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook, page = folder / path.name, folder / f"{path.stem}.html"
    with replacing(notebook) as temporary:
        execute(path, temporary, values)
        content = to_html(temporary)
    with replacing(page) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return notebook, page


def execute(path: Path, out: Path, values: Mapping[str, Any]) -> None:
    """Run a notebook through papermill; a cell that refuses its input is our one-line error."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(path),
            str(out),
            dict(values),
            kernel_name="python3",
            cwd=str(NOTEBOOKS),
            progress_bar=False,
            log_output=False,
            extra_arguments=["--log-level=50"],  # the remarks of a kernel are not for the user
        )
    except PapermillExecutionError as error:
        raise InputError(f"{path.stem}: {error.ename}: {error.evalue}") from None


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that takes its name when all went well, and goes if not."""
    handle, name = tempfile.mkstemp(suffix=target.suffix, prefix=".", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def to_html(notebook: Path) -> str:
    """One page that opens without the network: MathJax is inside it."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="", embed_images=True)
    body, _ = exporter.from_filename(str(notebook))
    script = mathjax().read_text(encoding="utf-8").replace("</script", "<\\/script")
    return str(body).replace("</body>", f"<script>{script}</script></body>")


def mathjax() -> Path:
    """The one file of MathJax that pages need."""
    package = distribution("sphinx-mathjax-offline")
    return Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg.js")))


def refresh(path: Path) -> None:
    """Re-execute a notebook in place, without anything in it that depends on the run."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=50"],
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)


def copy_picture(path: Path, cell: str, out: Path) -> None:
    """Write the picture that a cell of an executed notebook shows, for a page outside the site."""
    import nbformat

    cells = {found.id: found for found in nbformat.read(path, as_version=4).cells}
    with replacing(out) as temporary:
        temporary.write_bytes(base64.b64decode(cells[cell].outputs[0].data["image/png"]))
