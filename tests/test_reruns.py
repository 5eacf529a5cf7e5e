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
from cm384.table.errors import DATA

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
    (  # 80 layers × 2 × 8 heads × 128 × 2 bytes = 327,680; the published runs stay those of DeepSeek-R1
        "05-token-cost",
        {"model": "llama-3.1-70b", "chip": "h100-sxm", "context": "8192", "precision": "bf16"},
        ["8,192 tokens", "token of Llama 3.1 70B", "328 kB", "each H100 SXM, an"],
    ),
    (  # the comparator's own deployment, predicted and published
        "06-prefill",
        {
            "accelerator": "h800-sxm",
            "accelerators": "32",
            "precision": "fp8",
            "published": "DSK-H800-PREFILL-PROFILE",
        },
        ["8,200 tokens/s", "+5 % from the published 7,839"],
    ),
    (
        "07-decode",
        {"batch": "8", "microbatches": "1", "published": "CM384-DECODE-4K-15MS"},
        ["from the published 538"],
    ),
    ("10-model-check", {"explained": "DSK-H800-PREFILL-PROFILE"}, ["87 rows: half within"]),
    (  # 8.0 and 7.7 TB/s of a GB200: 2.13 and 2.22 times; 2.1 fits the former alone
        "09-uncertainty",
        {"samples": "200", "seed": "7"},
        ["computed claims depend on which source one believes: S000-12 (2.1)"],
    ),
    (  # one of the two claims written below holds
        "11-your-own-claim",
        {"claims_file": "mine/claims.csv", "specs_file": "mine/specs.csv"},
        ["1 of 2 claims holds and 1 does not hold."],
    ),
    (  # both of them can be derived
        "12-claims-without-arithmetic",
        {"claims_file": "mine/claims.csv", "specs_file": "mine/specs.csv"},
        ["0 of 2 different claims cannot be derived"],
    ),
    (  # 384 × 914.97 ÷ (72 × 3848); ÷ (72 × 6288)
        "13-training",
        {"reference": "gb300"},
        ["1.27 times as fast as GB300 NVL72", "unit inferred", "0.78 by the newest"],
    ),
    (  # 0.35 × 1,307.4 TFLOPS ÷ 250.46 GFLOP
        "13-training",
        {"chip": "mi300x", "mfu": "0.35"},
        ["No: in BF16 MI300X", "1,827 tokens/s, at an MFU of 0.35, which is assumed"],
    ),
    (  # 384 ÷ 8; 384 × 752 ÷ (8 × 148); 384 × 1943 ÷ (8 × 714)
        "14-did-it-beat-nvidia",
        {"baseline": "hgx-h20"},
        ["Partly: with 48 times the chips", "244 (244 to", "decodes 131 times the tokens"],
    ),
    (  # the part of the sweep at that context and number of drafts, run again
        "15-sweep",
        {"context": "1024", "draft_tokens": "3"},
        ["At 1,024 tokens and 3 drafts best against best is 1.4 times"],
    ),
    (  # one of the two claims written below holds
        "00-scorecard",
        {"claims_file": "mine/claims.csv", "specs_file": "mine/specs.csv"},
        ["1 of 2 distinct sentences holds and 1 does not hold."],
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
    cells = nbformat.read(notebook, as_version=4).cells
    assert cells[0].source.startswith(f"> **Rerun with {next(iter(values))} = ")
    first = shown(notebook, "text/markdown")[0]
    assert [words for words in answer if words not in first] == [], first
    text = page.read_text(encoding="utf-8")
    assert re.sub(r"\W+", " ", first).strip() in re.sub(r"(<[^>]+>|\W)+", " ", text)
    assert page_checks.requests(text) == []
    if name == "05-token-cost":  # 1e3 / 4.447: what was published divided by its own model's operations
        said = "token of DeepSeek-R1 pays for 224.9 GFLOP of INT8 peak and needs 81.6"
        assert said in "".join(shown(notebook, "text/markdown"))
    if name == "00-scorecard":
        whole = "\n".join(shown(notebook, "text/html"))
        assert "&lt;b&gt;96&lt;/b&gt; GB &amp; more." in whole
        assert "<b>" not in whole
        assert re.search(
            r"X-2\s+Twice the H100\.\s.*1\.193.*overstated", "\n".join(shown(notebook, "text/plain"))
        )


def test_every_notebook_is_rerun() -> None:
    assert {name for name, _, _ in RERUNS} == {path.stem for path in notebooks.notebooks()}


# --- bare papermill ------------------------------------------------------------------------------
