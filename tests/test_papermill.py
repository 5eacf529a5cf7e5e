"""Papermill itself on a notebook, and reruns that are refused or fail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from click.testing import CliRunner
from papermill.cli import papermill as command
from test_reruns import given, shown, start

from cm384 import notebooks
from cm384.__main__ import main
from cm384.table.errors import InputError


def test_bare_papermill_runs_from_any_folder(tmp_path: Path) -> None:
    """A process and a kernel of its own, in a folder that has nothing to do with the checkout."""
    source, out = notebooks.NOTEBOOKS / "02-supernode.ipynb", tmp_path / "out.ipynb"
    words = ["papermill", source, out, "--no-progress-bar", *given({"baseline": "gb300-nvl72"})]
    done = start(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "GB300 NVL72" in shown(out, "text/markdown")[0]
    assert "2.37 times the memory" in shown(out, "text/markdown")[0]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"chip": "h10-sxm"}, "unknown chip 'h10-sxm'; did you mean 'h100-sxm'?"),
        ({"chip": "910"}, "parameter chip: expected str, got int 910"),
    ],
)
def test_bare_papermill_refuses_a_bad_value(tmp_path: Path, values: dict[str, str], line: str) -> None:
    """Its own command, in this process, whose kernels are forked."""
    source, out = notebooks.NOTEBOOKS / "01-package.ipynb", tmp_path / "out.ipynb"
    done = CliRunner().invoke(command, [str(source), str(out), "--no-progress-bar", *given(values)])
    assert done.exit_code != 0
    assert str(done.exception).rstrip().splitlines()[-1] == f"InputError: {line}"
    assert shown(out, "text/markdown") == []


# --- refusals and failures -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["02", "-p", "baselin", "hgx-h100"], "did you mean 'baseline'?"),
        (["02", "-p", "baseline", "hgx-h10"], "did you mean 'hgx-h100'?"),
        (["02", "-p", "precision", "fp4"], "fp4"),
        (["01", "-p", "specs_file", "nowhere.csv"], "nowhere.csv: no such file"),
        (["77"], "unknown notebook '77'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_run_refuses_before_a_kernel_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("a kernel was started"))
    done = CliRunner().invoke(main, ["run", *words, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert re.fullmatch(r"cm384: .+\n", done.stderr)
    assert said in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def broken(folder: Path) -> Path:
    """A notebook that takes its parameters and fails afterwards."""
    notebook = nbformat.read(notebooks.NOTEBOOKS / "02-supernode.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.id in ("title", "parameters", "setup")]
    notebook.cells[-1].source += "\nraise cm384.InputError('no such luck')"
    path = folder / "02-supernode.ipynb"
    nbformat.write(notebook, path)
    return path


def test_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("02-supernode.ipynb", "02-supernode.html"):
        (out / name).write_text("of an earlier run", encoding="utf-8")
    with pytest.raises(InputError, match=r"^02-supernode: InputError: no such luck$"):
        notebooks.run(broken(tmp_path), {"baseline": "hgx-h100"}, out)
    assert {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()} == {
        "02-supernode.ipynb": "of an earlier run",
        "02-supernode.html": "of an earlier run",
    }


def test_failed_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(notebooks, "execute", lambda *_: None)
    monkeypatch.setattr(notebooks, "to_html", fail)
    with pytest.raises(OSError, match="no space left"):
        notebooks.run(notebooks.NOTEBOOKS / "02-supernode.ipynb", {}, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
