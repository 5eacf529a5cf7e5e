"""Reruns with other parameters, by the command line: every notebook at least once."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import page_checks
import pytest
from click.testing import CliRunner

from cm384 import notebooks
from cm384.__main__ import main
from cm384.table.errors import DATA, InputError

# Notebook, parameters, what its answer then says.
RERUNS: list[tuple[str, dict[str, str], list[str]]] = [
    (  # 384 × 128 ÷ (8 × 80) GB; 384 × 3.2 ÷ (8 × 3.352) TB/s; 384 × 1504 ÷ (8 × 1978.9) TOPS
        "02-supernode",
        {"baseline": "hgx-h100", "precision": "int8"},
        ["HGX H100", "76.8", "45.8", "36.5 times the INT8"],
    ),
    (  # 1307.4 ÷ 989.4
        "01-package",
        {"chip": "mi300x"},
        ["MI300X", "1,307 TFLOPS", "132 % of one H100"],
    ),
    (  # 296 ÷ 5000
        "01-package",
        {"chip": "h20", "reference": "gb200", "precision": "fp8"},
        ["296 TFLOPS", "FP8", "6 % of one GB200"],
    ),
    (  # 8 × 18 × 50 GB/s one-way: 150.5 ÷ 7.2 in all, 392 ÷ 900 for each
        "03-fabric",
        {"baseline": "hgx-b200", "tokens_per_rank": "32"},
        ["HGX B200", "20.9 times", "0.436 times", "32 tokens a rank"],
    ),
    (  # 559.378 ÷ 10.2; 559,378 ÷ (384 × 752) ÷ (10,200 ÷ (8 × 989.4))
        "04-power-and-price",
        {"baseline": "hgx-h100", "electricity_price": "0.03", "utilisation": "1"},
        ["55 times as much as HGX H100", "1.5 times for the same BF16 peak", "0.03 USD/kWh"],
    ),
    (  # 707.8 ÷ 148; 3.2 ÷ 4
        "08-h100-parity",
        {"reference": "h20", "workload": "CM384-DECODE-4K-50MS"},
        ["one H20", "478 % of the BF16", "80 % of the memory bandwidth", "CM384-DECODE-4K-50MS"],
    ),
    (  # 60 layers × 576 elements × 2 bytes = 69,120
        "05-token-cost",
        {"model": "deepseek-v2", "context": "8192", "precision": "bf16"},
        ["8,192 tokens", "69.1 kB"],
    ),
    (  # the comparator's own deployment, predicted and published
        "06-prefill",
        {
            "accelerator": "h800-sxm",
            "accelerators": "32",
            "precision": "fp8",
            "published": "DSK-H800-PREFILL-PROFILE",
        },
        ["8,218 tokens/s", "+5 % from the published 7,839"],
    ),
    (
        "07-decode",
        {"batch": "8", "microbatches": "1", "published": "CM384-DECODE-4K-15MS"},
        ["from the published 538"],
    ),
    ("10-model-check", {"explained": "DSK-H800-PREFILL-PROFILE"}, ["74 rows: half within"]),
    (  # 8.0 and 7.7 TB/s of a GB200: 2.13 and 2.22 times; 2.1 fits the former alone
        "09-uncertainty",
        {"samples": "200", "seed": "7"},
        ["computed claims depend on which source one believes: S000-12 (2.1)"],
    ),
    (  # one of the two claims written below holds
        "11-your-own-claim",
        {"claims_file": "mine/claims.csv", "specs_file": "mine/specs.csv"},
        ["Of 2 claims, 1 holds and 1 does not hold."],
    ),
    (  # both of them can be derived
        "12-claims-without-arithmetic",
        {"claims_file": "mine/claims.csv", "specs_file": "mine/specs.csv"},
        ["Of 2 different claims, 0 cannot be derived"],
    ),
    (  # one of the two claims written below holds
        "00-scorecard",
        {"claims_file": "mine/claims.csv", "specs_file": "mine/specs.csv"},
        ["Of 2 claims, 1 holds and 1 does not hold."],
    ),
]


def start(*words: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def given(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", name, value)]


def shown(path: Path, kind: str) -> list[str]:
    """What a notebook shows in one form, in order."""
    cells = nbformat.read(path, as_version=4).cells
    data = [o.get("data", {}) for cell in cells for o in cell.get("outputs", [])]
    return [each[kind] for each in data if kind in each]


def write_strangers_files(folder: Path) -> None:
    """A chip that this project does not know, and two claims about it: one true, one not."""
    folder.mkdir()
    claim_columns = (DATA / "claims.csv").read_text(encoding="utf-8").splitlines()[0]
    spec_columns = (DATA / "specs.csv").read_text(encoding="utf-8").splitlines()[0]
    cells = [
        "X-1,a letter,,chip spec,<b>96</b> GB & more.,my-chip,hbm_capacity,,value,eq,96,GB,",
        "X-2,a letter,,chip spec,Twice the H100.,my-chip,hbm_bandwidth,,ratio,eq,2,,h100-sxm",
    ]
    rest = "," * (claim_columns.count(",") - 12)
    lines = "\n".join([claim_columns, *(line + rest for line in cells)])
    (folder / "claims.csv").write_text(lines, encoding="utf-8")
    (folder / "specs.csv").write_text(
        f"{spec_columns}\n"
        "my-chip,peak,precision=bf16,500,TFLOP/s,matrix,central,,my sheet,page 1,\n"
        "my-chip,hbm_capacity,,96,GB,nominal,central,,my sheet,page 1,\n"
        "my-chip,hbm_bandwidth,,4000,GB/s,nominal,central,,my sheet,page 1,\n",
        encoding="utf-8",
    )


def labels(value: Any) -> str | None:
    """A test named by its notebook and its parameters."""
    return "-".join(value.values()) if isinstance(value, dict) else str(value)[:12]


@pytest.mark.parametrize(("name", "values", "answer"), RERUNS, ids=labels)
def test_rerun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, values: dict[str, str],
    answer: list[str],
) -> None:  # fmt: skip
    """The answer follows the parameters; a notebook and a page that opens offline are written."""
    write_strangers_files(tmp_path / "mine")
    words = ["run", name, *given(values), "--out", "out"]
    if name == "02-supernode":  # as a user starts it; the others here, which spares their imports
        process = start("cm384", *words, folder=tmp_path)
        status, out, said = process.returncode, process.stdout, process.stderr
    else:
        monkeypatch.chdir(tmp_path)
        done = CliRunner().invoke(main, words)
        status, out, said = done.exit_code, done.stdout, done.stderr
    assert status == 0, said
    assert [Path(line).name for line in out.split()] == [f"{name}.ipynb", f"{name}.html"]
    notebook, page = (tmp_path / "out" / f"{name}{suffix}" for suffix in (".ipynb", ".html"))
    assert sorted((tmp_path / "out").iterdir()) == [page, notebook]
    first = shown(notebook, "text/markdown")[0]
    assert [words for words in answer if words not in first] == [], first
    text = page.read_text(encoding="utf-8")
    assert re.sub(r"\W+", " ", first).strip() in re.sub(r"(<[^>]+>|\W)+", " ", text)
    assert page_checks.requests(text) == []
    if name == "00-scorecard":
        whole = "\n".join(shown(notebook, "text/html"))
        assert "&lt;b&gt;96&lt;/b&gt; GB &amp; more." in whole
        assert "<b>" not in whole
        assert re.search(r"X-2\s+Twice the H100\.\s.*1\.193.*overstated", shown(notebook, "text/plain")[-1])


def test_every_notebook_is_rerun() -> None:
    assert {name for name, _, _ in RERUNS} == {path.stem for path in notebooks.notebooks()}


# --- bare papermill ------------------------------------------------------------------------------


def papermill(folder: Path, name: str, **values: str) -> tuple[int, str, Path]:
    """Papermill itself, from a folder that has nothing to do with the checkout."""
    out = folder / "out.ipynb"
    source = notebooks.NOTEBOOKS / f"{name}.ipynb"
    done = start("papermill", source, out, "--no-progress-bar", *given(values), folder=folder)
    return done.returncode, done.stderr, out


def test_bare_papermill_runs_from_any_folder(tmp_path: Path) -> None:
    status, said, out = papermill(tmp_path, "02-supernode", baseline="gb300-nvl72")
    assert status == 0, said
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
    status, said, out = papermill(tmp_path, "01-package", **values)
    assert status != 0
    assert said.rstrip().splitlines()[-1] == f"InputError: {line}"
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
    def fail(_: Path) -> str:
        raise OSError("no space left")

    monkeypatch.setattr(notebooks, "execute", lambda *_: None)
    monkeypatch.setattr(notebooks, "to_html", fail)
    with pytest.raises(OSError, match="no space left"):
        notebooks.run(notebooks.NOTEBOOKS / "02-supernode.ipynb", {}, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
