"""A report that goes wrong: nothing of it is left, and the site of before stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
import pytest
from rendered import BUILD

from cm384 import notebooks
from cm384.notebooks import ROOT

# A report on one notebook that sleeps, with a plain site, so that it can be stopped in between; or a run.
CALL = "notebooks.NOTEBOOKS = Path(sys.argv[1]) / 'notebooks'; notebooks."
REPORT, RUN = (
    BUILD.format(call=CALL + what)
    for what in (
        "report(lambda j, _: j)",
        "run(notebooks.NOTEBOOKS / '00-only.ipynb', {}, notebooks.BUILD / 'runs')",
    )
)


@pytest.fixture
def sleeping(tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Starts a report whose notebook has some code; a site of before lies there."""
    sources, site = tmp_path / "notebooks", tmp_path / "site"
    for folder in (sources, site):
        folder.mkdir()
    (site / "index.html").write_text("of before", encoding="utf-8")
    (sources / "conf.py").write_text("extensions = ['myst_nb']\nnb_execution_mode = 'off'\n")
    (sources / "index.md").write_text("# A site\n\n```{toctree}\n00-only\n```\n")

    def start(code: str, program: str = REPORT) -> subprocess.Popen[str]:
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        begun = f"from pathlib import Path; Path({str(tmp_path / 'begun')!r}).touch()\n"
        cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell(begun + code)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), sources / "00-only.ipynb")
        command = [sys.executable, tmp_path / "program.py", tmp_path]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)

    return start


def index(build: Path) -> str:
    """The first page of the site in the build folder."""
    return (build / "site" / "index.html").read_text(encoding="utf-8")


def left(build: Path) -> set[str]:
    """What lies in the build folder beside the test's own files."""
    return {path.name for path in build.iterdir()} - {"notebooks", "program.py", ".lock", "begun"}


def kernels(build: Path, process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes below one that runs a notebook, when a cell of it is running."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (build / "begun").exists():
            found = psutil.Process(process.pid).children(recursive=True)
            assert found
            return found
        time.sleep(0.2)
    raise AssertionError("no kernel was started")


def test_a_failing_notebook_leaves_the_site_of_before(
    sleeping: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    _, said = (report := sleeping("raise ValueError('on purpose')")).communicate(timeout=120)
    assert report.returncode != 0
    assert "00-only: ValueError: on purpose" in said
    assert left(tmp_path) == {"site"}
    assert index(tmp_path) == "of before"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_ended_report_leaves_no_process_and_the_site_of_before(
    sleeping: Callable[[str], subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    report = sleeping("import time; time.sleep(300)")
    below = kernels(tmp_path, report)
    report.send_signal(number)
    report.communicate(timeout=60)  # nobody holds its pipe open
    assert report.returncode != 0
    assert psutil.wait_procs(below, timeout=10)[1] == []
    assert index(tmp_path) == "of before"
    if number != signal.SIGKILL:
        assert left(tmp_path) == {"site"}
        return
    assert len(left(tmp_path)) == 2  # the next one removes what was in the making
    report = sleeping("1")
    _, said = report.communicate(timeout=120)
    assert report.returncode == 0, said
    assert left(tmp_path) == {"site"}
    assert "A site" in index(tmp_path)


def test_a_second_report_gives_way_to_the_first(
    sleeping: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    first = sleeping("import time; time.sleep(8)")
    kernels(tmp_path, first)
    second = sleeping("1")
    _, said = second.communicate(timeout=60)
    assert second.returncode != 0
    assert "another report is at work" in said
    _, said = first.communicate(timeout=120)
    assert first.returncode == 0, said
    assert left(tmp_path) == {"site"}
    assert "A site" in index(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ended_run_leaves_nothing(
    sleeping: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    run = sleeping("import time; time.sleep(300)", RUN)
    below = kernels(tmp_path, run)
    run.send_signal(number)
    run.communicate(timeout=60)
    assert run.returncode == 128 + number
    assert psutil.wait_procs(below, timeout=10)[1] == []
    assert [*(tmp_path / "runs").iterdir()] == []


def test_of_runs_at_once_one_leaves_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is slow with its page and the other with its notebook, so that they would take turns."""
    waits = {("one", ".html"): 0.4, ("two", ".ipynb"): 0.2}
    replace = os.replace

    def slow(source: str, target: Path) -> None:
        time.sleep(waits.get((threading.current_thread().name, target.suffix), 0))
        replace(source, target)

    def name(_: Path, out: Path, __: object) -> None:
        out.write_text(threading.current_thread().name)

    monkeypatch.setattr(os, "replace", slow)
    monkeypatch.setattr(notebooks, "execute", name)
    monkeypatch.setattr(notebooks, "announce", lambda *_: "a title")
    monkeypatch.setattr(notebooks, "to_html", lambda made, _: made.read_text())
    path = notebooks.find_notebook("02")
    runs = [threading.Thread(target=notebooks.run, args=(path, {}, tmp_path), name=n) for n in ("one", "two")]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert len({made.read_text() for made in tmp_path.iterdir()}) == 1
    assert {made.suffix for made in tmp_path.iterdir()} == {".ipynb", ".html"}


def test_outside_its_checkout_report_touches_nothing(tmp_path: Path) -> None:
    """A package in the folder of somebody else, whose own `build/src` lies where ours would."""
    shutil.copytree(ROOT / "lib" / "cm384", tmp_path / "vendor" / "cm384")
    theirs = tmp_path / "build" / "src" / "main.c"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("precious", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "cm384", "report"], cwd=tmp_path, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(tmp_path / "vendor")},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "cm384: no notebooks beside this package: run and report need the checkout"
    ]
    assert [*(tmp_path / "build").rglob("*")] == [theirs.parent, theirs]
    assert theirs.read_text(encoding="utf-8") == "precious"
