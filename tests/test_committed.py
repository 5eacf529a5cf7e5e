"""The committed notebooks, each check on each; and each check, and nbval, on planted defects."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import notebook_checks as checks
import pytest
from nbformat.v4 import new_code_cell, new_output

from cm384.notebooks import NOTEBOOKS, TYPES, defaults, notebooks
from cm384.table.errors import DATA

COMMITTED = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
GOOD = NOTEBOOKS / "02-supernode.ipynb"


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_notebook(path: Path, check: checks.Check) -> None:
    assert check(path) == []


def test_nothing_but_notebooks_lies_there() -> None:
    assert sorted(NOTEBOOKS.glob("*.ipynb")) == COMMITTED == notebooks()


def test_every_parameter_is_one_of_a_notebook() -> None:
    declared = {name for path in COMMITTED for name in defaults(path)}
    assert declared == set(TYPES)


def test_library_holds_no_function_of_one_cell() -> None:
    assert checks.functions_of_one_cell() == []


def test_function_of_one_cell_is_seen(tmp_path: Path) -> None:
    module = tmp_path / "show" / "tables.py"
    module.parent.mkdir()
    module.write_text("def one():\n    return 1\n\n\ndef two():\n    return 2\n")
    places = [("a: x", "from b import one\none()"), ("b: y", "t.two()"), ("c: z", "two()")]
    (found,) = checks.functions_of_one_cell([module], places)
    assert found == "show/tables.py: one, 2 lines, is used by a: x"
    assert len(checks.functions_of_one_cell([module], [])) == 2
    many = module.read_text().replace("    return 1\n", "    pass\n" * checks.LONGEST)
    module.write_text(many)
    assert checks.functions_of_one_cell([module], places) == []


# --- defects that the checks must see ------------------------------------------------------------


def edited(folder: Path, change: Callable[[Any], None], good: Path = GOOD) -> Path:
    """A copy of a good notebook with a defect in it."""
    notebook = nbformat.read(good, as_version=4)
    change(notebook)
    path = folder / good.name
    path.write_text(json.dumps(notebook), encoding="utf-8")  # nbformat would mend some defects
    return path


def cell(notebook: Any, id_: str) -> Any:
    return next(cell for cell in notebook.cells if cell.id == id_)


def strip_outputs(notebook: Any) -> None:
    for each in notebook.cells:
        if each.cell_type == "code":
            each.outputs, each.execution_count = [], None


def empty_outputs(notebook: Any) -> None:
    for each in notebook.cells:
        if each.cell_type == "code":
            each.outputs = []


def reorder(notebook: Any) -> None:
    first, second = (i for i, c in enumerate(notebook.cells) if c.id in ("ratios", "answer"))
    notebook.cells[first], notebook.cells[second] = notebook.cells[second], notebook.cells[first]


def write_stderr(notebook: Any) -> None:
    cell(notebook, "answer").outputs.append(new_output("stream", name="stderr", text="a warning"))


def raise_error(notebook: Any) -> None:
    cell(notebook, "answer").outputs = [new_output("error", ename="ValueError", evalue="bad")]


def end_in_semicolon(notebook: Any) -> None:
    cell(notebook, "figure").source += ";"


def time_a_cell(notebook: Any) -> None:
    cell(notebook, "answer").metadata["papermill"] = {"duration": 0.1, "status": "completed"}


def keep_papermill_metadata(notebook: Any) -> None:
    notebook.metadata["papermill"] = {"input_path": GOOD.name}


def inject_parameters(notebook: Any) -> None:
    tags = {"tags": ["injected-parameters"]}
    notebook.cells.insert(2, new_code_cell('system = "atlas-950"', id="injected", metadata=tags))


def say(text: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        cell(notebook, "explain-memory-read").outputs[0].data["text/markdown"] += text

    return change


def add_parameter(line: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        cell(notebook, "parameters").source += f"\n{line}"

    return change


def change_type(notebook: Any) -> None:
    found = cell(notebook, "parameters")
    found.source = found.source.replace("system: str", "system: bytes", 1)


def hand_over(old: str, new: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        for found in notebook.cells:
            if "= checked(" in found.source:
                assert old in found.source
                found.source = found.source.replace(old, new)

    return change


def add_line(line: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        cell(notebook, "setup").source += f"\n{line}"

    return change


def drop_question(notebook: Any) -> None:
    notebook.cells[0].source = notebook.cells[0].source.replace("?", ".")


def drop_title(notebook: Any) -> None:
    notebook.cells[0].source = notebook.cells[0].source.removeprefix("# 2 · ")


def drop_what_would_change(notebook: Any) -> None:
    for each in notebook.cells:
        each.source = each.source.replace("## What would change the answer", "## And so")


def answer_late(notebook: Any) -> None:
    answer = cell(notebook, "answer")
    notebook.cells.remove(answer)
    notebook.cells.append(answer)


def begin(*words: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        shown = next(
            o for c in notebook.cells for o in c.get("outputs", []) if "text/markdown" in o.get("data", {})
        )
        shown.data["text/markdown"] = "**" + " ".join(words) + "**"

    return change


def lengthen(notebook: Any) -> None:
    cell(notebook, "setup").source += "\npass" * checks.LONGEST


def name_by_chance(notebook: Any) -> None:
    notebook.cells[3].id = "5ac3f21e"


def name_twice(notebook: Any) -> None:
    notebook.cells[3].id = notebook.cells[4].id


def silence_picture(notebook: Any) -> None:
    cell(notebook, "figure").outputs[0].data["text/plain"] = "<Figure size 640x480 with 1 Axes>"


def draw_anew(notebook: Any) -> None:
    data = cell(notebook, "figure").outputs[0].data
    data["text/plain"] = data["text/plain"].replace(",", ", ", 1)


def show(kind: str, text: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        cell(notebook, "answer").outputs[0].data[kind] = text

    return change


def write(text: str) -> Callable[[Any], None]:
    def change(notebook: Any) -> None:
        notebook.cells[0].source += text

    return change


DEFECTS: list[tuple[Callable[[Any], None], checks.Check]] = [
    (strip_outputs, checks.is_run_in_order),
    (strip_outputs, checks.shows_its_results),
    (empty_outputs, checks.shows_its_results),
    (reorder, checks.is_run_in_order),
    (raise_error, checks.has_no_error),
    (write_stderr, checks.has_no_stderr),
    (end_in_semicolon, checks.has_no_semicolon),
    (time_a_cell, checks.has_no_run_metadata),
    (keep_papermill_metadata, checks.has_no_run_metadata),
    (inject_parameters, checks.has_no_run_metadata),
    (say(" Written to /home/somebody/out.csv."), checks.has_no_trace_of_the_machine),
    (say(f" Read from {DATA}."), checks.has_no_trace_of_the_machine),
    (say(" <object at 0x7f3a5c01d2e0>"), checks.has_no_trace_of_the_machine),
    (say(" Run at 2026-01-02T03:04:05."), checks.has_no_trace_of_the_machine),
    (silence_picture, checks.has_figures_in_words),
    (draw_anew, checks.has_pictures_of_their_numbers),
    (add_parameter("share: float | None = None  # not seen"), checks.has_parameters_papermill_sees),
    (
        add_parameter('share: "float | None" = None  # not seen'),
        checks.has_parameters_papermill_sees,
    ),
    (add_parameter("share = 1.0  # of unknown type"), checks.has_parameters_papermill_sees),
    (add_parameter("share = 1.0  # of unknown type"), checks.has_typed_parameters),
    (add_parameter("share: float = 1 / 2  # no literal"), checks.has_typed_parameters),
    (add_parameter('share: float = "half"  # another type'), checks.has_typed_parameters),
    (add_parameter("share: float = 0.5"), checks.has_typed_parameters),
    (
        add_parameter("share: float = 0.5  # nobody checks"),
        checks.has_parameters_that_are_checked,
    ),
    (change_type, checks.has_parameters_that_are_checked),
    (hand_over("system=system, ", ""), checks.has_parameters_that_are_checked),
    (hand_over("system=system", "system=baseline"), checks.has_parameters_that_are_checked),
    (hand_over("checked(", "dict("), checks.has_parameters_that_are_checked),
    (drop_question, checks.opens_with_its_question),
    (drop_title, checks.opens_with_its_question),
    (answer_late, checks.answers_first),
    (begin("Against GB200 NVL72, it has 3.56 times the memory."), checks.answers_first),
    (begin("Nothing of it holds."), checks.answers_first),
    (begin("Undecided: nobody ran it."), checks.answers_first),
    (add_line("axis.axvline(claim.printed.value, color=RED)"), checks.draws_claims_as_intervals),
    (
        add_line(
            "share = claims['S000-11'].printed.value\nfor value in (share, 1):\n    axis.plot(value, 0, 'D')"
        ),
        checks.draws_claims_as_intervals,
    ),
    (drop_what_would_change, checks.says_what_would_change),
    (name_by_chance, checks.has_readable_ids),
    (name_twice, checks.has_readable_ids),
    (lengthen, checks.has_short_cells),
    (add_line("from _ext import pages"), checks.imports_no_site),
    (add_line("import cm384.__main__"), checks.imports_no_site),
    (add_line("from cm384 import __main__ as command"), checks.imports_no_site),
    (add_line("from pages import tables"), checks.imports_no_site),
    (show("text/html", "<style>td { color: red }</style>"), checks.is_plain),
    (show("text/html", "<div><table></table></div>"), checks.is_plain),
    (show("image/svg+xml", "<svg/>"), checks.is_plain),
    (write("\nwith a <b>word</b> in bold"), checks.is_plain),
    (say(" with <br> in it"), checks.is_plain),
    (write("\n[a](03-nowhere.ipynb)"), checks.has_links_that_resolve),
    (say(" [a](schema.html)"), checks.has_links_that_resolve),
]


@pytest.mark.parametrize(
    ("plant", "check"), DEFECTS, ids=lambda function: getattr(function, "__name__", None)
)
def test_planted_defect_is_seen(tmp_path: Path, plant: Callable[[Any], None], check: checks.Check) -> None:
    assert check(edited(tmp_path, lambda notebook: None)) == []
    assert check(edited(tmp_path, plant))


def test_every_check_is_itself_checked() -> None:
    unproven = set(checks.CHECKS) - {check for _, check in DEFECTS}
    assert unproven <= {checks.is_valid}


def test_invalid_notebook_is_seen(tmp_path: Path) -> None:
    fields = json.loads(GOOD.read_text(encoding="utf-8"))
    fields["cells"][0]["cell_type"] = "prose"
    path = tmp_path / GOOD.name
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert checks.is_valid(path)


# --- defects that nbval must see -----------------------------------------------------------------


def nbval(path: Path, library: Path | None = None) -> tuple[int, str]:
    """What the suite's own configuration says of notebooks; with another copy of the library."""
    folder = path if path.is_dir() else path.parent
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", checks.ROOT / "pytest.ini", "-p", "no:xdist", "-p", "forked",
         "--rootdir", folder, "--color=no", path],
        cwd=folder, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "CI"}  # it lengthens the summary
        | {"PYTHONPATH": os.pathsep.join(map(str, [library or checks.ROOT / "lib", Path(__file__).parent]))},
    )  # fmt: skip
    return found.returncode, found.stdout + found.stderr


def change_output(notebook: Any) -> None:
    data = cell(notebook, "answer").outputs[0].data
    data["text/markdown"] = data["text/markdown"].replace("3.56", "3.57")


def change_default(notebook: Any) -> None:
    cell(notebook, "parameters").source = cell(notebook, "parameters").source.replace(
        '"gb200-nvl72"', '"gb300-nvl72"'
    )


def change_plotted_number(notebook: Any) -> None:
    data = cell(notebook, "figure").outputs[0].data
    data["text/plain"] = data["text/plain"].replace("3.556", "3.557")


SHOWN = ["parameters", "setup", "ratios", "answer", "totals-frame", "printed", "ratio-lines", "figure"]
PLANTED: dict[str, tuple[Callable[[Any], None], set[str]]] = {
    "changed-output": (change_output, {"answer"}),
    "changed-default": (change_default, {"answer", "figure"}),
    "changed-plotted-number": (change_plotted_number, {"figure"}),
}


def keep(path: Path, cells: list[str]) -> None:
    """Leave out all other cells of a notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in cells]
    assert [cell["id"] for cell in notebook["cells"]] == cells
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_nbval_compares_what_is_shown(tmp_path: Path) -> None:
    """One run over copies of a notebook up to its figure: red is what was changed, and no more."""
    for name, (plant, _) in PLANTED.items():
        (tmp_path / name).mkdir()
        keep(edited(tmp_path / name, plant), SHOWN)
    status, said = nbval(tmp_path)
    red = re.findall(r"^FAILED (\S+)/\S+::Cell (\d+)", said, flags=re.MULTILINE)
    found = {name: {SHOWN[int(cell)] for where, cell in red if where == name} for name in PLANTED}
    assert found == {name: cells for name, (_, cells) in PLANTED.items()}, said
    assert status == 1
    assert said.count("Cell outputs differ") == len(red)
    assert "caused an exception" not in said


def test_nbval_sees_a_changed_datum(tmp_path: Path) -> None:
    library = tmp_path / "lib"
    shutil.copytree(
        checks.ROOT / "lib" / "cm384",
        library / "cm384",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    specs = library / "cm384" / "data" / "specs.csv"
    text = specs.read_text(encoding="utf-8")
    row = "ascend-910c,hbm_capacity,,128,GB,nominal,"
    assert text.count(row) == 1
    specs.write_text(text.replace(row, row.replace("128", "127")), encoding="utf-8")
    path = edited(tmp_path, lambda notebook: None)
    keep(path, ["parameters", "setup", "explain-memory-read"])
    status, said = nbval(path, library)
    assert status == 1, said
    assert "48.77 TB" in said  # 384 × 127 GB, where 384 × 128 GB = 49.15 TB is committed
