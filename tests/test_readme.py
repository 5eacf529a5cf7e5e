"""The README's answers are the computed ones, and what it says about the project is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from own_ledger import SPECS, lines

import cm384
from cm384 import notebooks
from cm384.__main__ import main
from cm384.ledger import board
from cm384.physics import check as validation
from cm384.show import tables
from cm384.table import units

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = lines().set_index("id")
# The claims of the table at the top of the README, in its order.
ANSWERS = [
    "S000-11", "S000-12", "S000-02", "S001-06", "S001-17", "S001-04", "S002-09", "S000-09",
    "S003-05", "S003-07", "S003-06", "S003-01", "S000-22", "S004-13",
]  # fmt: skip


def answers() -> list[list[str]]:
    """The cells of the README's first table, without its head."""
    table = re.search(r"\n\|(?:.*\n\|)+.*\n", README)
    assert table
    rows = [line.strip("|").split("|") for line in table[0].strip().splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


@pytest.mark.parametrize(("claim", "cells"), list(zip(ANSWERS, answers(), strict=True)))
def test_answer_is_the_computed_one(claim: str, cells: list[str]) -> None:
    line = LINES.loc[claim]
    assert cells[1] == tables.beside(line["claimed"], line["derived"])
    assert cells[2].startswith(f"{board.MARKS[line['verdict']]} {line['verdict']}")


def test_factors_in_the_answers_are_the_computed_ones() -> None:
    assert f"overstated {units.number(2 / LINES.loc['S000-02', 'derived'], 3)} times" in README
    assert f"understated {units.number(LINES.loc['S001-17', 'derived'] / 2, 3)} times" in README
    matrix = cm384.ratio("peak", "cloudmatrix-384", "gb200-nvl72", SPECS, precision="bf16", basis="matrix")
    assert f"like for like it is {units.number(matrix.m, 3)}" in README


def test_source_that_would_overturn_the_bandwidth_is_named() -> None:
    """384 × 3.2 TB/s ÷ (72 × 7.7 TB/s): huawei2025cloudmatrix, verda_gb300."""
    most = 384 * 3.2 / (72 * 7.7)
    assert LINES.loc["S000-12", "high"] == pytest.approx(most)
    assert f"with the 7.7 TB/s that one source gives a GB200 it would be {most:.2f} |" in README


def test_working_under_the_answers_is_the_computed_one() -> None:
    text = " ".join(README.split())
    ours, theirs = (
        cm384.derive("peak", name, SPECS, precision="bf16") for name in ("cloudmatrix-384", "gb200-nvl72")
    )
    assert f"384 of them make {units.text(ours)}; 72 GPUs of 2,500 make {units.number(theirs.m)}" in text
    matrix = cm384.derive("peak_from_units", "ascend-910c", SPECS, precision="bf16")
    assert f"1.8 GHz = {units.text(matrix)}" in text
    assert f"per watt it has {LINES.loc['S004-13', 'derived']:.2f} of GB200 NVL72" in text
    served = {"CM384-PREFILL-PERFECT": "SGL-H100-PREFILL-4K-PERFECT",
              "CM384-PREFILL-DEFAULT": "SGL-H100-PREFILL-4K-DEFAULT"}  # fmt: skip
    for one, other in served.items():
        share = SPECS.measurements[one].measured / SPECS.measurements[other].measured
        assert f"measured serving is at {100 * share:.0f} %" in text
    # DeepSeek's average and its best run on H800: huawei2025cloudmatrix, v2, Tables 3 and 4
    for name, average, best in [("PREFILL-PERFECT", 4026, 7839), ("DECODE-4K-50MS", 1850, 2325)]:
        assert average < SPECS.measurements[f"CM384-{name}"].measured < best
    assert "against DeepSeek's production average; not per chip against its best run" in text


def test_figure_is_that_of_the_scorecard_notebook(tmp_path: Path) -> None:
    notebooks.copy_picture(notebooks.find_notebook("00"), "by-category-figure", tmp_path / "a.png")
    assert (ROOT / "notebooks/scorecard.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    shows = board.verdicts_figure(LINES.reset_index(), "category").shows
    assert f'<img src="notebooks/scorecard.png" width="480" alt="{shows}">' in README


def test_summary_counts_the_verdicts() -> None:
    counts = LINES["verdict"].value_counts()
    near = counts["within sources"] + counts["within model error"]
    rest = len(LINES) - counts["confirmed"] - near - counts["source agrees"]
    text = " ".join(README.split())
    numbers = {re.sub("[a-z]+$", "", name) for name in LINES.index}
    assert f"The {len(numbers)} claims of the five articles make {len(LINES)} rows" in text
    held = f"{counts['confirmed']} confirmed, {near} within what sources or the model leave open"
    agreed = f"{counts['source agrees']} agree with their source"
    assert f"{held}, {agreed}, {rest} do not hold as stated or cannot be known" in text


def test_accuracy_of_the_model_is_the_computed_one() -> None:
    table = validation.summary(validation.validate(SPECS.measurements.values(), SPECS))
    every, well = (table[table["rows"] == rows].iloc[0] for rows in ("all", "well specified"))
    text = " ".join(README.split())
    half = f"Over {every['n']} published measurements half are met within"
    assert f"{half} {100 * every['median']:.1f} %" in text
    assert f"over the {well['n']} whose source states every setting" in text
    most = f"within {100 * well['median']:.1f} %, nine in ten within {100 * well['nine in ten']:.1f} %"
    assert most in text
    prefill, decode = (
        f"{100 * validation.model_error(SPECS, name):.0f} %"
        for name in ("CM384-PREFILL-PERFECT", "CM384-DECODE-4K-50MS")
    )
    assert f"nine in ten within {prefill} in prefill, and within only {decode} in decode" in text


def test_claim_of_your_own_is_judged_as_it_says(tmp_path: Path) -> None:
    rows = re.search(r"```csv\n(.*?)```", README, flags=re.DOTALL)
    assert rows
    (tmp_path / "my-claims.csv").write_text(rows[1], encoding="utf-8")

    for options, answer in [([], "overstated 1.87 times"),
                            (["--solve", "ascend-910c.peak"], "2,812 TFLOPS")]:  # fmt: skip
        call = ["check", str(tmp_path / "my-claims.csv"), *options]
        assert answer in CliRunner().invoke(main, call).output
        assert re.search(rf"{' '.join(['my-claims.csv', *options])} +# {answer}", README)


def test_version_is_one() -> None:
    project = tomllib.loads((ROOT / "lib" / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert project["version"] == cm384.__version__ == citation["version"]
    assert f"## {cm384.__version__}" in changelog


def test_links_to_files_resolve() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"""(?:\]\(|src=")([^)#:"]+)[)"]""", text):
            assert (ROOT / target).exists(), f"{page}: {target}"
