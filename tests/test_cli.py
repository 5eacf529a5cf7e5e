"""The command line: rows on standard output, one clear line and exit code 2 on bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import papermill
import pytest
from click.testing import CliRunner, Result
from strangers import write

import cm384
from cm384 import notebooks
from cm384.__main__ import main
from cm384.ledger.claims import Claim
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
HEADER = "id,article,category,claim,claimed,derived,low,high,ratio,verdict,why,sources"


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
    assert header.split() == ["claim", "claimed", "derived", "verdict", "why"]
    assert [row.split()[0] for row in rows] == ["X-1", "X-2"]
    assert "✔ confirmed" in rows[0]
    assert "? unsupported" in rows[1]
    assert sorted(found.stderr.strip().split(": ")[1].split(", ")) == [
        "1 confirmed",
        "1 unsupported",
    ]
    assert found.stderr.startswith("2 claims: ")


def test_check_csv_is_rows_only(claims: Path) -> None:
    found = cm("check", claims, "--format", "csv")
    assert found.stdout.splitlines()[0] == HEADER
    first, second = csv.DictReader(io.StringIO(found.stdout))
    assert (first["id"], first["derived"], first["verdict"]) == ("X-1", "752", "confirmed")
    assert (first["low"], first["high"], first["ratio"]) == ("752", "800", "1")
    assert first["claim"] == CLAIM["statement"]
    assert (second["derived"], second["verdict"]) == ("", "unsupported")
    assert found.stderr.startswith("2 claims")


def test_check_json_is_rows_only(claims: Path) -> None:
    found = cm("check", claims, "--format", "json")
    first, second = json.loads(found.stdout)
    assert list(first) == HEADER.split(",")
    assert (first["derived"], first["sources"]) == (752.0, "register2025boogeyman")
    assert (second["derived"], second["why"]) == (None, "None was found.")


def test_check_takes_specs_of_ones_own(claims: Path, tmp_path: Path) -> None:
    specs = write(tmp_path / "specs.csv", Row, SPEC)
    found = cm("check", claims, "--specs", specs, "--format", "csv")
    first, _ = csv.DictReader(io.StringIO(found.stdout))
    assert (first["derived"], first["verdict"]) == ("900", "understated")


def test_check_takes_several_specs_files(claims: Path, tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", Row, SPEC)
    two = write(tmp_path / "two.csv", Row, SPEC | {"value": "950"})
    found = cm("check", claims, "--specs", one, "--specs", two, "--format", "csv")
    assert next(csv.DictReader(io.StringIO(found.stdout)))["derived"] == "950"


def test_check_of_the_own_ledger() -> None:
    found = cm("check", DATA / "claims.csv", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert found.exit_code == 0
    assert {row["verdict"] for row in rows if row["id"] in ("S000-11", "S000-12")} == {"confirmed"}
    assert found.stderr.startswith(f"{len(rows)} claims: ")


def test_a_verdict_against_a_claim_is_no_failure(tmp_path: Path) -> None:
    path = write(tmp_path / "claims.csv", Claim, CLAIM | {"value": "9,000"})
    found = cm("check", path)
    assert (found.exit_code, found.exception) == (0, None)
    assert "▲ overstated" in found.stdout


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ({"subject": "ascend-910"}, "claims.csv line 2, column subject: 'ascend-910' is not known; "
                                    "did you mean 'ascend-910c'?"),
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
        (["areas_led", "h20", "-c", "precision=bf16"], "areas_led of h20 needs comparator"),
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
                                             "'chip'?"),
        (["01-package", "-p", "chip", "h200"], "unknown chip 'h200'; did you mean 'h20'?"),
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


# --- the whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["report", "run", "check", "explain", "refresh"])
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
