"""What stops a command is one line and exit code 2, of whatever kind it is; by Ctrl-C 130."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from strangers import refused, write

from cm384 import __main__ as command_line
from cm384 import notebooks
from cm384.ledger.claims import Claim, load_claims
from cm384.physics.models import load_model
from cm384.physics.serving import decode
from cm384.show.tables import as_csv
from cm384.table import files, units
from cm384.table.errors import DATA, InputError, meant
from cm384.table.records import Deployment, Measurement, Row
from cm384.table.specs import load_measurements, load_specs

SPEC = {
    "subject": "my-chip",
    "quantity": "peak",
    "conditions": "precision=bf16",
    "value": "100",
    "unit": "TFLOP/s",
    "basis": "matrix",
    "role": "central",
    "source": "a page",
    "locator": "line 1",
}
CLAIM = {
    "id": "X-1",
    "statement": "It is so.",
    "subject": "h20",
    "quantity": "hbm_capacity",
    "form": "value",
    "value": "96",
    "unit": "GB",
}
RUN = {
    "id": "X-1",
    "model": "deepseek-r1",
    "accelerator": "h800-sxm",
    "accelerators": "128",
    "expert_parallel": "128",
    "tensor_parallel": "1",
    "phase": "decode",
    "batch": "128",
    "context": "4096",
    "matrix_precision": "fp8",
    "attention_precision": "bf16",
    "kv_precision": "bf16",
    "routing": "balanced",
    "microbatches": "2",
    "draft_tokens": "0",
    "tokens_per_step": "1",
    "throughput": "2325",
}
KINDS: dict[str, tuple[Any, type, dict[str, str]]] = {
    "specs": (load_specs, Row, SPEC),
    "claims": (load_claims, Claim, CLAIM),
    "measurements": (load_measurements, Measurement, RUN),
}


def said(*words: str | Path) -> str:
    """The one line that a command is refused with, and nothing on standard output."""
    found = CliRunner().invoke(command_line.main, [str(word) for word in words])
    assert isinstance(found.exception, SystemExit), found.exception
    assert (found.exit_code, found.stdout, found.stderr.count("\n")) == (2, "", 1), found.stderr
    return found.stderr.removeprefix("cm384: ").rstrip("\n")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that must not start."""
    monkeypatch.setattr(notebooks, "execute", lambda *_: pytest.fail("a kernel was started"))


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_good_file_is_read(tmp_path: Path, kind: str) -> None:
    load, record, good = KINDS[kind]
    assert load(write(tmp_path / "a.csv", record, good))


@pytest.mark.parametrize(
    ("kind", "column", "cell", "expected"),
    [
        ("specs", "value", "１２８", "a positive number"),
        ("specs", "value", "1e308", "a number from 1e-18 to 1e+18"),
        ("specs", "value", "5e-324", "a number from 1e-18 to 1e+18"),
        ("specs", "unit", "TFLOP/s;", "a unit such as TFLOP/s or GB"),
        ("specs", "unit", "TFLOP/s#", "a unit such as TFLOP/s or GB"),
        ("claims", "value", "３", "a positive number as printed"),
        ("claims", "value", "1e300", "a number from 1e-18 to 1e+18"),
        ("claims", "unit", "GB;", "a unit such as GB/s"),
        ("measurements", "batch", "1e300", "a number from 1e-18 to 1e+18"),
        ("measurements", "batch", "5e-324", "a number from 1e-18 to 1e+18"),
        ("measurements", "batch", "0", "more than 0, or nothing"),
        ("measurements", "accelerators", "0", "more than 0, or nothing"),
        ("measurements", "context", "0", "more than 0, or nothing"),
        ("measurements", "tpot", "0", "more than 0, or nothing"),
        ("measurements", "throughput", "0", "more than 0, or nothing"),
    ],
)
def test_number_or_unit_that_would_be_taken_for_another(
    tmp_path: Path, kind: str, column: str, cell: str, expected: str
) -> None:
    load, record, good = KINDS[kind]
    path = write(tmp_path / "a.csv", record, good | {column: cell})
    assert refused(load, path) == f"a.csv line 2, column {column}: {cell!r}; expected {expected}"


def test_count_is_whole_and_nothing_is_a_part_of_itself(tmp_path: Path) -> None:
    count = SPEC | {"quantity": "count", "unit": "count", "basis": "nominal"}
    half = write(tmp_path / "half.csv", Row, count | {"conditions": "part=h20", "value": "0.5"})
    assert refused(load_specs, half) == "half.csv line 2, column value: '0.5'; expected a whole number"
    pairs = [("my-a", "my-b"), ("my-b", "my-c"), ("my-c", "my-a")]
    rows = [count | {"subject": whole, "conditions": f"part={part}", "value": "2"} for whole, part in pairs]
    assert refused(load_specs, write(tmp_path / "loop.csv", Row, *rows)).endswith(" is a part of itself")
    assert load_specs(write(tmp_path / "tree.csv", Row, *rows[:2])).counted("my-b") == ["my-c"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"x" * 140_000 + b",b\n1,2\n",
            "a.csv line 1: not a CSV file (field larger than field limit (131072))",
        ),
        (b"\xff\xfe", "a.csv: cannot be read as UTF-8 text"),
        (b"", "a.csv: empty file; expected the columns"),
    ],
)
def test_file_that_is_no_table(tmp_path: Path, kind: str, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    assert refused(KINDS[kind][0], tmp_path / "a.csv").startswith(message)


@pytest.mark.parametrize("kind", KINDS)
def test_control_character_in_a_cell(tmp_path: Path, kind: str) -> None:
    load, record, good = KINDS[kind]
    path = write(tmp_path / "a.csv", record, good | {"note": "a\x1b[31mb"})
    assert refused(load, path) == r"a.csv line 2: control character '\x1b'"


def test_file_without_an_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 10_000_000)
    assert said("check", "/dev/zero") == "zero: more than 10 MB"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, ": cannot be read (File name too long)"),
        ("a\nb\x1b.csv", r"a\nb\x1b.csv: no such file"),
        (".", ".: cannot be read (Is a directory)"),
        ("", "expected a path, got nothing"),
        ("a.csv/b", "b: cannot be read (Not a directory)"),
    ],
)
def test_path_that_names_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").touch()
    for words in (["check", name], ["validate", name], ["explain", "peak", "h20", "--specs", name]):
        assert said(*words).endswith(message)


def test_field_of_a_model_that_is_given_twice(tmp_path: Path) -> None:
    text = (DATA / "models" / "llama-3.1-70b.json").read_text(encoding="utf-8")
    path = tmp_path / "config.json"
    path.write_text(text.replace("{", '{"num_hidden_layers": 8,', 1), encoding="utf-8")
    assert (
        refused(load_model, path) == f"{path}: expected JSON (the field 'num_hidden_layers' is given twice)"
    )


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "", "a/b/c", None])
def test_model_that_cannot_be_a_file(name: Any) -> None:
    assert refused(load_model, name)


def test_what_a_spreadsheet_would_compute_is_text() -> None:
    cells = ["=cmd|' /C calc'!A0", "@SUM(A1)", "+cmd", "-x", "-21 %", "+3.6 %", "–", "60"]
    told = pd.read_csv(io.StringIO(as_csv(pd.DataFrame({"a": cells, "b": -1.5}))))
    assert [*told["a"]] == [*(f"'{cell}" for cell in cells[:4]), *cells[4:]]
    assert [*told["b"]] == [-1.5] * len(cells)


def test_long_message_keeps_its_beginning_and_its_end() -> None:
    told = str(InputError("a" + "x" * 100_000 + "z"))
    assert (told[0], told[-1], len(told)) == ("a", "z", 703)


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["06", "-p", "context", "9" * 400],
            "parameter context: expected a number of ordinary size, got 999",
        ),
        (["07", "-p", "batch", "1" * 400], "parameter batch: expected a number of ordinary size, got 111"),
        (["09", "-p", "samples", "１２"], "parameter samples: expected int, got '１２'"),
        (["05", "-p", "model", "x" * 300], "unknown model 'xxx"),
        (["05", "-p", "specs_file", "no.csv"], "no.csv: no such file"),
        (["05", "-p", "context", "1", "-p", "context", "2"], "parameter context is given twice"),
        (["05", "--out", ""], "Invalid value for '--out': expected a path, got nothing"),
        (["elsewhere/05-token-cost.ipynb"], "elsewhere/05-token-cost.ipynb: not a notebook of this checkout"),
        (["05-token-cost.html"], "unknown notebook '05-token-cost.html'; did you mean '05-token-cost'?"),
        ([""], "unknown notebook ''"),
    ],
)
@pytest.mark.usefixtures("kernel")
def test_run_is_refused_before_a_kernel_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said("run", *words).startswith(message)


@pytest.mark.usefixtures("kernel")
def test_run_takes_a_path_for_what_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = notebooks.NOTEBOOKS / "05-token-cost.ipynb"
    monkeypatch.chdir(tmp_path)
    assert notebooks.find_notebook(str(own)) == notebooks.find_notebook("05-token-cost.ipynb") == own
    Path("05-token-cost.ipynb").write_bytes(own.read_bytes())
    assert said("run", "05-token-cost.ipynb") == "05-token-cost.ipynb: not a notebook of this checkout"


@pytest.mark.parametrize("out", ["a-file", "/proc/x", "a-file/x", "x" * 300])
def test_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a-file").touch()
    assert said("run", "05", "--out", out).startswith(f"{out}: ")


@pytest.mark.parametrize(
    "flags",
    [["--batch", "nan"], ["--batch", "1e300"], ["--batch", "0"], ["--accelerators", "0"], ["--tpot", "inf"],
     ["--context", "-5"], ["--microbatches", "1e-320"], ["--usd-per-hour", "1/0"]],
)  # fmt: skip
def test_forecast_of_no_ordinary_number(flags: list[str]) -> None:
    assert said("predict", "deepseek-r1", "h20", *flags)


@pytest.mark.parametrize(
    ("error", "message", "status"),
    [
        (OSError(28, "No space left on device"), "No space left on device", 2),
        (PermissionError(13, "Permission denied", "a\nb"), r"a\nb: Permission denied", 2),
        (MemoryError(), "not enough memory", 2),
        (KeyboardInterrupt(), "interrupted", 130),
    ],
)
def test_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, message: str, status: int
) -> None:
    def stopped(*_: Any) -> None:
        raise error

    monkeypatch.setattr(command_line, "load_specs", stopped)
    found = CliRunner().invoke(command_line.main, ["explain", "peak", "h20"])
    assert (found.exit_code, found.stdout, found.stderr) == (status, "", f"cm384: {message}\n")


def started(shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = f"exec {sys.executable} -m cm384 explain peak ascend-910c -c precision=bf16 {shell}"
    return subprocess.run(
        ["bash", "-c", words], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_output_that_cannot_take_what_is_said() -> None:
    full, closed = started(">/dev/full"), started(">&-")
    assert (full.returncode, full.stderr) == (2, "cm384: No space left on device\n")
    assert (closed.returncode, closed.stderr) == (2, "cm384: standard output is closed\n")
    narrow = started("--format csv", PYTHONIOENCODING="ascii")
    assert (narrow.returncode, narrow.stderr) == (0, "")
    assert narrow.stdout.isascii()


def test_interrupt_is_130(tmp_path: Path) -> None:
    fifo = tmp_path / "a.csv"
    os.mkfifo(fifo)  # the command waits for what nobody writes
    process = subprocess.Popen(
        [sys.executable, "-m", "cm384", "check", fifo], stderr=subprocess.PIPE, text=True
    )
    with fifo.open("w"):  # until it has come to read
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (130, "cm384: interrupted\n")


# --- from Python ----------------------------------------------------------------------------------

GIVEN: dict[str, Any] = {
    "accelerator": "h800-sxm",
    "accelerators": 128,
    "expert_parallel": 128,
    "batch": 32,
    "context": 4096,
}


@pytest.mark.parametrize(
    "value",
    ["128", None, [1, 2], [[1, 2], [3]], np.array([]), np.array(["a"]), np.array([True]), 10**400, -(10**400),
     True, 1e300, 5e-324, units.Q(32, "count"), {}, 1j, np.array([None])],
    ids=repr,
)  # fmt: skip
def test_deployment_takes_numbers_alone(value: Any) -> None:
    told = refused(Deployment, **GIVEN | {"batch": value})
    assert told.startswith("batch: expected a number or an array of numbers, not ")
    assert decode(load_specs(), load_model("deepseek-r1"), Deployment(**GIVEN)).throughput.m > 0


def test_null_in_a_parameter_is_refused() -> None:
    told = refused(notebooks.values_of, notebooks.find_notebook("00"), {"claims_file": "a\0b"})
    assert told == "parameter claims_file: expected str, got 'a\\x00b'"


@pytest.mark.parametrize("name", [None, 3, ["h20"], {}, np.array(["h20"])], ids=repr)
def test_name_that_is_none_is_refused(name: Any) -> None:
    assert refused(load_specs().find, name, "peak", precision="bf16").startswith("subject: expected a name")
    assert refused(load_specs().find, "h20", name).startswith("quantity: expected a name")
    assert refused(meant, "chip", name, ["h20"]).startswith("chip: expected a name")
    if name is not None:  # that leaves it open
        assert refused(load_specs().find, "h20", "peak", name).startswith("basis: expected a name")
    for field in ("accelerator", "routing", "matrix_precision", "drafter", "software"):
        assert refused(Deployment, **GIVEN | {field: name}).startswith(f"{field}: expected a name")
