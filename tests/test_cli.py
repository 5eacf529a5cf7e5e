"""The command line: rows on standard output, one clear line and exit code 2 on bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from click.testing import CliRunner, Result
from IPython.core.interactiveshell import InteractiveShell
from strangers import write
from traitlets.config import Config

import cm384
from cm384 import notebooks
from cm384.__main__ import main
from cm384.ledger.claims import Claim
from cm384.rerun import announce, to_html
from cm384.table.errors import DATA
from cm384.table.records import Row

CLAIM = {
    "id": "X-1",
    "article": "an article",
    "locator": "paragraph 1",
    "category": "chip spec",
    "statement": "One 910C has <b>752</b> TFLOPS, at most.",
    "subject": "ascend-910c",
    "quantity": "peak",
    "conditions": "precision=bf16",
    "form": "value",
    "relation": "eq",
    "value": "752",
    "unit": "TFLOP/s",
}
JUDGED = CLAIM | {
    "id": "X-2",
    "quantity": "",
    "value": "",
    "judged": "unsupported",
    "note": "None was found.",
}
SPEC = {
    "subject": "ascend-910c",
    "quantity": "peak",
    "conditions": "precision=bf16",
    "value": "900",
    "unit": "TFLOP/s",
    "basis": "headline",
    "role": "central",
    "source": "a page",
    "locator": "line 1",
}
MEMORY = CLAIM | {
    "id": "X-3",
    "statement": "It has 128 GB.",
    "quantity": "hbm_capacity",
    "conditions": "",
    "value": "128",
    "unit": "GB",
}
HEADER = (
    "id,article,category,claim,claimed,derived,low,high,ratio,"
    "answer,settled,reported,plain,why,overturn,sources"
)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    return write(tmp_path / "claims.csv", Claim, CLAIM, JUDGED)


def cm(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refusal(*arguments: str | Path) -> str:
    """The one line that bad input is answered with."""
    found = cm(*arguments)
    assert isinstance(found.exception, SystemExit), found.exception
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("cm384: ")
    assert found.stderr.count("\n") == 1
    return found.stderr.removeprefix("cm384: ").removesuffix("\n")


# --- check ----------------------------------------------------------------------------------------


def test_check_prints_a_table_and_the_summary_apart(claims: Path) -> None:
    found = cm("check", claims)
    assert found.exit_code == 0
    header, *rows = found.stdout.splitlines()
    assert header.split() == ["claim", "claimed", "derived", "answer", "settled", "why"]
    assert [row.split()[0] for row in rows] == ["X-1", "X-2"]
    # 752 (huawei2026drivingsdk) or 800 (Huawei's own slide)
    assert "≈ within sources  arithmetic" in rows[0]
    assert "? unsupported     nothing" in rows[1]
    summary, unchecked = found.stderr.splitlines()
    assert summary.startswith("2 claims: ")
    assert sorted(summary.split(": ")[1].split(", ")) == ["1 unsupported", "1 within sources"]
    assert (
        unchecked
        == "not checked: the date of articles that are not in the bibliography; nothing is left out as later"
    )


def test_check_csv_is_rows_only(claims: Path) -> None:
    found = cm("check", claims, "--format", "csv")
    assert found.stdout.splitlines()[0] == HEADER
    first, second = csv.DictReader(io.StringIO(found.stdout))
    assert (first["id"], first["derived"], first["answer"]) == ("X-1", "752", "within sources")
    assert (first["settled"], first["reported"]) == ("arithmetic", "")
    assert first["overturn"] == "A document of the maker with another value of Ascend 910C: peak (BF16)."
    assert (first["low"], first["high"], first["ratio"]) == ("752", "800", "1")
    assert first["claim"] == CLAIM["statement"]
    assert (second["derived"], second["answer"], second["settled"]) == ("", "unsupported", "nothing")
    assert found.stderr.startswith("2 claims")


def test_check_json_is_rows_only(claims: Path) -> None:
    found = cm("check", claims, "--format", "json")
    first, second = json.loads(found.stdout)
    assert list(first) == HEADER.split(",")
    assert (first["derived"], first["sources"]) == (752.0, "huawei2026drivingsdk")
    assert (second["derived"], second["why"]) == (None, "None was found.")


def test_check_takes_specs_of_ones_own(claims: Path, tmp_path: Path) -> None:
    specs = write(tmp_path / "specs.csv", Row, SPEC)
    found = cm("check", claims, "--specs", specs, "--format", "csv")
    first, _ = csv.DictReader(io.StringIO(found.stdout))
    assert (first["derived"], first["answer"]) == ("900", "understated")  # 1.2 times 752


def test_check_takes_several_specs_files(claims: Path, tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", Row, SPEC)
    two = write(tmp_path / "two.csv", Row, SPEC | {"value": "950"})
    found = cm("check", claims, "--specs", one, "--specs", two, "--format", "csv")
    assert next(csv.DictReader(io.StringIO(found.stdout)))["derived"] == "950"


def test_check_of_the_own_ledger() -> None:
    found = cm("check", DATA / "claims.csv", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert found.exit_code == 0
    assert {row["answer"] for row in rows if row["id"] in ("S000-11", "S000-12")} == {"holds"}
    assert found.stderr.startswith(f"{len(rows)} claims: ")
    assert found.stderr.count("\n") == 1  # every article is dated, every document known


def test_what_is_not_checked_of_a_strangers_file_is_said(tmp_path: Path) -> None:
    """Of an article of ours the date is known: 19 May 2025, in sources.csv."""
    specs = write(tmp_path / "specs.csv", Row, SPEC)
    ours = CLAIM | {"article": "facefam2025huawei"}
    undated = "the date of articles that are not in the bibliography; nothing is left out as later"
    others = "whose documents the rows of your file are; they count as their makers'"
    for more, lines, told in (
        ((), [ours], []),
        ((), [ours, JUDGED], [f"not checked: {undated}"]),
        (("--specs", specs), [ours], [f"not checked: {others}"]),
        (("--specs", specs), [ours, JUDGED], [f"not checked: {undated}; {others}"]),
    ):
        path = write(tmp_path / "claims.csv", Claim, *lines)
        assert cm("check", path, *more).stderr.splitlines()[1:] == told


def test_an_answer_against_a_claim_is_no_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "claims.csv", Claim, CLAIM | {"value": "9,000"})
    found = cm("check", path)
    assert (found.exit_code, found.exception) == (0, None)
    assert "▲ overstated" in found.stdout


# --- check against a file -------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Claims that are within sources, unsupported, and hold."""
    return write(tmp_path / "claims.csv", Claim, CLAIM, JUDGED, MEMORY)


def compared(three: Path, option: str, text: str) -> tuple[int, list[str]]:
    """The exit code, and what is said on standard error after summary and what is not checked."""
    path = three.parent / "answers.csv"
    path.write_text(text, encoding="utf-8")
    plain, found = cm("check", three), cm("check", three, option, path)
    assert found.stdout == plain.stdout != ""  # the rows are the same, and nothing else is among them
    assert found.stderr.startswith(plain.stderr)
    return found.exit_code, found.stderr.removeprefix(plain.stderr).splitlines()


ALL = "id,answer\nX-3,holds\nX-1,within sources\nX-2,unsupported\n"


@pytest.mark.parametrize("option", ["--expect", "--baseline"])
def test_the_same_answers_are_no_failure(three: Path, option: str) -> None:
    assert compared(three, option, ALL) == (0, ["as expected"])
    scorecard = cm("check", three, "--format", "csv").stdout
    assert scorecard.splitlines()[0] == HEADER
    assert compared(three, option, scorecard) == (0, ["as expected"])


@pytest.mark.parametrize("option", ["--expect", "--baseline"])
def test_another_answer_is_exit_1_with_what_changed(three: Path, option: str) -> None:
    assert compared(three, option, ALL.replace("holds", "overstated")) == (
        1,
        ["X-3 answer: overstated is now holds", "1 changed"],
    )
    text = "id,answer,settled,reported\nX-3,holds,document,as said\nX-1,partly,arithmetic,\n"
    assert compared(three, option, f"{text}X-2,unsupported,nothing,\n") == (
        1,
        [
            "X-1 answer: partly is now within sources",
            "X-3 reported: as said is now nothing",
            "X-3 settled: document is now arithmetic",
            "3 changed",
        ],
    )


def test_numbers_and_sentences_are_not_compared(three: Path) -> None:
    scorecard = cm("check", three, "--format", "csv").stdout
    moved = scorecard.replace("752 TFLOPS", "751 TFLOPS").replace("None was found.", "Nothing.")
    assert moved != scorecard
    assert compared(three, "--baseline", moved) == (0, ["as expected"])


def test_claim_of_which_nothing_is_expected_is_new_to_a_baseline_alone(three: Path) -> None:
    one = "id,answer\nX-3,holds\n"
    assert compared(three, "--expect", one) == (0, ["as expected"])
    assert compared(three, "--baseline", one) == (
        1,
        ["+ X-1: within sources", "+ X-2: unsupported", "2 changed"],
    )


@pytest.mark.parametrize("option", ["--expect", "--baseline"])
def test_claim_that_is_gone_is_exit_1(three: Path, option: str) -> None:
    assert compared(three, option, f"{ALL}X-9,holds\n") == (1, ["- X-9: not among the claims", "1 changed"])


def test_expectation_and_baseline_together(three: Path) -> None:
    good, bad = three.parent / "good.csv", three.parent / "bad.csv"
    good.write_text(ALL, encoding="utf-8")
    bad.write_text("id,answer\nX-1,holds\n", encoding="utf-8")
    for expect, baseline, changes in (
        (good, good, []),
        (bad, good, ["X-1 answer: holds is now within sources"]),
        (good, bad, ["+ X-2: unsupported", "+ X-3: holds", "X-1 answer: holds is now within sources"]),
    ):
        found = cm("check", three, "--expect", expect, "--baseline", baseline)
        assert found.exit_code == (1 if changes else 0)
        assert found.stderr.splitlines()[2:-1] == changes


def test_changed_table_is_noticed_against_a_baseline(three: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.csv"
    before.write_text(cm("check", three, "--format", "csv").stdout, encoding="utf-8")
    specs = write(tmp_path / "specs.csv", Row, SPEC)  # 900 TFLOPS
    found = cm("check", three, "--specs", specs, "--baseline", before)
    assert found.exit_code == 1
    assert found.stderr.splitlines()[-2:] == ["X-1 answer: within sources is now understated", "1 changed"]


@pytest.mark.parametrize("option", ["--expect", "--baseline"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,answer\nX-1,hold\n", "line 2, column answer: 'hold' is not known; did you mean 'holds'?"),
        ("id,answer\nX-1,\n", "line 2, column answer: '' is not known; known: contradicted, holds"),
        ("id,verdict\nX-1,holds\n", "line 1: unknown column 'verdict'; known: answer, article"),
        ("id,settled\nX-1,nothing\n", "line 1: missing column 'answer'"),
        ("answer\nholds\n", "line 1: missing column 'id'"),
        ("id,answer\nX-1,holds\nX-2,partly\nX-1,holds\n", "line 4, column id: 'X-1'; expected one"),
        ("", "empty file; expected the columns id,article,"),
        ("id,answer\n", "no rows below the header"),
    ],
)  # fmt: skip
def test_bad_file_to_compare_with(three: Path, option: str, text: str, message: str) -> None:
    path = three.parent / "answers.csv"
    path.write_text(text, encoding="utf-8")
    found = refusal("check", three, option, path)
    assert re.sub("^answers.csv:? ", "", found).startswith(message)
    assert found.startswith("answers.csv")


@pytest.mark.parametrize("option", ["--expect", "--baseline"])
def test_file_to_compare_with_that_is_not_there(three: Path, option: str) -> None:
    assert refusal("check", three, option, "absent.csv") == "absent.csv: no such file"


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ({"subject": "ascend-910"}, "claims.csv line 2, column subject: 'ascend-910' is not known; it could "
                                    "be ascend-910b1, ascend-910b2, ascend-910b3, ascend-910b4, ascend-910c"),
        ({"value": "fast"}, "claims.csv line 2, column value: 'fast'; expected a positive number"
                            " as printed"),
        ({"unit": "furlong"}, "claims.csv line 2, column unit: 'furlong'; expected a unit such as"
                              " GB/s"),
    ],
)  # fmt: skip
def test_check_of_a_bad_claim(tmp_path: Path, cells: dict[str, str], line: str) -> None:
    assert refusal("check", write(tmp_path / "claims.csv", Claim, CLAIM | cells)) == line


def test_check_of_bad_specs(claims: Path, tmp_path: Path) -> None:
    specs = write(tmp_path / "specs.csv", Row, SPEC | {"basis": "headlin"})
    assert refusal("check", claims, "--specs", specs) == (
        "specs.csv line 2, column basis: 'headlin' is not known; did you mean 'headline'?"
    )


def test_check_of_a_file_that_is_not_there(claims: Path) -> None:
    assert refusal("check", "absent.csv") == "absent.csv: no such file"
    assert refusal("check", claims, "--specs", "absent.csv") == "absent.csv: no such file"


def test_check_of_a_file_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    path.write_bytes(b"\xff\xfe\x00")
    assert refusal("check", path).startswith("claims.csv: cannot be read as UTF-8 text")
    path.write_text("")
    assert refusal("check", path).startswith("claims.csv: empty file")


# --- explain --------------------------------------------------------------------------------------


def test_explain_prints_formula_rows_and_sources() -> None:
    found = cm("explain", "hbm_capacity", "cloudmatrix-384")
    assert (found.exit_code, found.stderr) == (0, "")
    specs = cm384.load_specs()
    assert found.stdout == f"{cm384.explain('hbm_capacity', 'cloudmatrix-384', specs)}\n"
    for part in ("= 49.15 TB", "count ×", "128 GB (nominal)", "huawei2025cloudmatrix: v2"):
        assert part in found.stdout


def test_explain_takes_conditions() -> None:
    found = cm("explain", "peak", "ascend-910c", "-c", "precision=bf16", "-c", "basis=matrix")
    assert "= 707.8 TFLOPS" in found.stdout
    assert cm("explain", "peak", "ascend-910c", "-c", "precision=bf16;basis=matrix").stdout == (found.stdout)


def test_explain_csv_and_json_are_rows_only() -> None:
    asked = ("explain", "hbm_bandwidth", "cloudmatrix-384", "--format")
    rows = list(csv.DictReader(io.StringIO(cm(*asked, "csv").stdout)))
    assert [row["value"] for row in rows] == ["384", "3.2 TB/s"]
    assert list(rows[0]) == ["row", "value", "basis", "source", "locator"]
    assert json.loads(cm(*asked, "json").stdout) == rows


def test_explain_takes_specs_of_ones_own(tmp_path: Path) -> None:
    specs = write(tmp_path / "specs.csv", Row, SPEC)
    found = cm("explain", "peak", "ascend-910c", "-c", "precision=bf16", "--specs", specs)
    assert "900 TFLOPS" in found.stdout
    assert "a page: line 1" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["peek", "h20"], "unknown quantity 'peek'; did you mean 'peak'?"),
        (["peak", "ascend-91c"], "unknown subject 'ascend-91c'; did you mean 'ascend-910c'?"),
        (["peak", "h20", "-c", "precision"], "condition 'precision'; expected NAME=VALUE"),
        (["peak", "h20", "-c", "precision=bf16;basis"], "condition 'basis'; expected NAME=VALUE"),
        (["peak", "h20", "-c", "precision=fp4"], "h20 has no peak for precision=fp4"),
        (["peak", "h20"], "h20 has no peak for basis headline; stated: precision="),
        (["peak", "h20", "-c", "precision=bf16", "-c", "basis=x"], "unknown basis 'x'; known: "),
        (["peak_from_units", "h20", "-c", "precison=bf16"], "unknown condition for peak_from_unit"),
        (["peak_from_units", "h100-sxm"], "peak_from_units of h100-sxm needs precision"),
        (["ridge_point", "h100-sxm"], "ridge_point of h100-sxm needs precision"),
        (
            ["accelerators_to_match", "hgx-h20", "-c", "precision=bf16"],
            "accelerators_to_match of hgx-h20 needs comparator",
        ),
        (["peak_by_bits", "ascend-910c"], "peak_by_bits of ascend-910c needs bits"),
        (["peak_by_bits", "ascend-910c", "-c", "bits=32"], "ascend-910c has no peak of 32 bits or more"),
        (["peak_by_bits", "ascend-910c", "-c", "bits=few"], "condition bits: expected a number, got 'few'"),
        (["peak", "h20", "-c", "subject=h20"], "h20 has no peak for subject=h20"),
        (["ridge_point", "h20", "-c", "specs=1"], "unknown condition for ridge_point 'specs'"),
    ],
)
def test_explain_of_what_cannot_be_told(arguments: list[str], message: str) -> None:
    assert refusal("explain", *arguments).startswith(message)


# --- run ------------------------------------------------------------------------------------------


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that would have started a kernel."""
    started: list[Any] = []

    def start(*arguments: Any, **_: Any) -> None:
        started.append(arguments)
        raise AssertionError("a kernel was started")

    monkeypatch.setattr(papermill, "execute_notebook", start)
    monkeypatch.setattr(notebooks, "execute", start)
    return started


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["01-package", "-p", "chp", "h20"], "unknown parameter of 01-package 'chp'; did you mean "
                                             "'chip'? It takes chip: a chip of `cm384 list chips`; "),
        (["01-package", "-p", "chip", "910b"], "unknown chip '910b'; it could be ascend-910b2, "
                                               "ascend-910b3, ascend-910b4"),
        (["01-package", "-p", "chip", "gb200-nvl72"], "unknown chip 'gb200-nvl72'"),
        (["01-package", "-p", "precision", "fp4"], "ascend-910c has no peak for precision=fp4, "),
        (["01-package", "-p", "precision", "fp8", "-p", "chip", "mi300x", "-p", "reference",
          "ascend-910c"], "ascend-910c has no peak for precision=fp8"),
        (["02-supernode", "-p", "baseline", "hgx-h10"], "unknown system 'hgx-h10'; did you mean "
                                                        "'hgx-h100'?"),
        (["02-supernode", "-p", "baseline", "h100-sxm"], "unknown system 'h100-sxm'"),
        (["02-supernode", "-p", "precision", "fp8"], "ascend-910c has no peak for precision=fp8"),
        (["00-scorecard", "-p", "claims_file", "absent.csv"], "absent.csv: no such file"),
        (["00-scorecard", "-p", "specs_file", "absent.csv"], "absent.csv: no such file"),
        (["01-package", "-p", "specs_file", "absent.csv"], "absent.csv: no such file"),
        (["99-nothing"], "unknown notebook '99-nothing'"),
        (["", "-p", "chip", "h20"], "unknown notebook ''"),
    ],
)  # fmt: skip
def test_run_refuses_before_a_kernel_starts(
    arguments: list[str], message: str, no_kernel: list[Any], tmp_path: Path
) -> None:
    assert refusal("run", *arguments, "--out", tmp_path / "out").startswith(message)
    assert not no_kernel
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("notebook", "name", "text", "kind"),
    [
        ("09", "samples", "1e4", "int"),
        ("09", "samples", "1_000", "int"),
        ("09", "samples", "", "int"),
        ("04", "electricity_price", "cheap", "float"),
        ("04", "electricity_price", "1_0.5", "float"),
    ],
)
def test_run_refuses_a_wrong_type(
    notebook: str, name: str, text: str, kind: str, no_kernel: list[Any]
) -> None:
    message = refusal("run", notebook, "-p", name, text)
    assert message == f"parameter {name}: expected {kind}, got {text!r}"
    assert not no_kernel


@pytest.mark.parametrize(
    ("notebook", "name", "text", "told"),
    [
        ("09", "samples", "0", "1 to 1,000,000, got 0"),
        ("09", "seed", "-1", "0 or more, got -1"),
        ("04", "utilisation", "1.5", "above 0 and at most 1, got 1.5"),
        ("04", "electricity_price", "nan", "USD/kWh above 0, got nan"),
        ("07", "latency_target", "0", "more than 0 ms, got 0.0"),
    ],
)
def test_run_refuses_a_value_out_of_range(
    notebook: str, name: str, text: str, told: str, no_kernel: list[Any]
) -> None:
    assert refusal("run", notebook, "-p", name, text) == f"parameter {name}: expected {told}"
    assert not no_kernel


def test_every_type_of_a_parameter_is_one_that_is_read() -> None:
    assert set(notebooks.TYPES.values()) == {str, int, float}
    assert set(notebooks.MEANS) <= set(notebooks.TYPES)


def test_the_guard_against_kernels_notices_one(no_kernel: list[Any], tmp_path: Path) -> None:
    found = cm("run", "01-package", "-p", "chip", "mi300x", "--out", tmp_path / "out")
    assert isinstance(found.exception, AssertionError)
    assert len(no_kernel) == 1


def test_run_hands_over_what_was_given_and_resolved_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Any] = []

    def run(path: Path, values: dict[str, Any], folder: Path) -> tuple[Path, Path]:
        given.extend([path.name, values, folder])
        return folder / "a.ipynb", folder / "a.html"

    monkeypatch.setattr(notebooks, "run", run)
    write(tmp_path / "mine.csv", Row, SPEC)
    monkeypatch.chdir(tmp_path)
    found = cm("run", "01", "-p", "chip", "mi300x", "-p", "specs_file", "mine.csv", "--out", "o")
    assert found.exit_code == 0
    assert given[0] == "01-package.ipynb"
    assert given[1] == {"chip": "mi300x", "specs_file": str(tmp_path / "mine.csv")}
    assert found.stdout.splitlines() == [str(Path("o", "a.ipynb")), str(Path("o", "a.html"))]


# --- what a rerun says of itself --------------------------------------------------------------------


def executed(path: Path, cells: list[Any]) -> Path:
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_rerun_says_what_holds_for_the_defaults_alone(tmp_path: Path) -> None:
    """A banner before all else where a parameter differs, and none where it does not."""
    heading = nbformat.v4.new_markdown_cell("# How fast is one Ascend 910C?")
    path = executed(tmp_path / "a.ipynb", [heading])
    own = {"chip": "ascend-910c", "reference": "h100-sxm"}
    same = {"chip": "ascend-910c"}
    assert announce(path, "01-package", same, own) == "01-package"
    assert len(nbformat.read(path, 4).cells) == 1
    assert announce(path, "01-package", {**same, "reference": "h20"}, own) == "01-package, reference = h20"
    first, second = nbformat.read(path, 4).cells
    assert first.source.startswith("> **Rerun with reference = h20.** What is computed follows: ")
    assert "for reference = h100-sxm and hold for that alone." in first.source
    assert second.source == heading.source


def test_page_of_a_rerun_has_a_title_and_folds_its_code(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell("1 + 1", id="sum"), nbformat.v4.new_code_cell("2 + 2", id="next")]
    text = to_html(executed(tmp_path / "a.ipynb", cells), "01-package, chip = mi300x")
    assert re.findall("<title>(.*?)</title>", text) == ["01-package, chip = mi300x"]
    assert text.count("<details><summary>code</summary>") == 2
    assert ":is(td, th) { text-align: left !important; }" in text


def test_refused_parameter_is_one_line_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell(config=config)
    shell.run_cell("from cm384.notebooks import checked; checked(chip='910b', specs_file='')")
    told = "InputError: unknown chip '910b'; it could be ascend-910b2, ascend-910b3, ascend-910b4"
    assert capsys.readouterr().out.strip() == told


def test_every_parameter_says_what_it_takes() -> None:
    for path in notebooks.notebooks():
        for name in notebooks.defaults(path):
            assert notebooks.takes(name) not in ("", "text"), (path.stem, name)


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", ["report", "run", "check", "validate", "explain", "refresh", "predict", "list", "new"]
)
def test_every_command_has_help(command: str) -> None:
    found = cm(command, "--help")
    assert found.exit_code == 0
    assert found.stdout.startswith("Usage: ")
    assert command in cm("--help").stdout


def test_unknown_format_and_command_are_exit_2(claims: Path) -> None:
    for arguments in (("check", claims, "--format", "xml"), ("chek",), ("check",)):
        found = cm(*arguments)
        assert (found.exit_code, found.stdout) == (2, "")


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "cm384", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, "PYTHONUTF8": "1"},
        check=False,
    )


def test_as_a_process_of_its_own(claims: Path) -> None:
    found = python(claims.parent, "check", claims.name, "--format", "csv")
    assert found.returncode == 0
    assert found.stdout.splitlines()[0] == HEADER
    assert found.stderr.startswith("2 claims: ")


def test_bad_input_as_a_process_of_its_own(tmp_path: Path) -> None:
    found = python(tmp_path, "check", "absent.csv")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "cm384: absent.csv: no such file\n"
