"""The README's answers are the computed ones, and what it says about the project is true."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pages
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from own_ledger import CLAIMS, SPECS, lines

import cm384
from cm384.__main__ import main
from cm384.ledger import board
from cm384.physics import check as validation
from cm384.table import units
from cm384.table.errors import DATA
from cm384.table.specs import load_third_party

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = lines().set_index("id")
THIRD = load_third_party()
# The claims of the table at the top of the README, in its order.
ANSWERS = [
    "S000-11", "S000-12", "S000-02", "S001-06", "S001-17", "S001-04", "S002-09", "S000-09",
    "S003-05", "S003-07", "S003-06", "S003-01", "S000-22", "S004-13",
]  # fmt: skip


def cells_of(number: int) -> list[list[str]]:
    """The cells of a table of the README, without its head."""
    table = re.findall(r"\n\|(?:.*\n\|)+.*\n", README)[number]
    rows = [line.strip("|").split("|") for line in table.strip().splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in rows]


def test_answer_to_the_title_is_that_of_the_first_page() -> None:
    answer = pages.answer()
    assert cells_of(0) == [[*row.values()] for row in answer["rows"]]
    shown = re.sub(r"<[^>]+>", "", pages.render("answer", answer=answer).partition("</p>")[0])
    assert " ".join(shown.split()) in README.replace("**", "")


@pytest.mark.parametrize(("claim", "cells"), list(zip(ANSWERS, cells_of(1), strict=True)))
def test_answer_is_the_computed_one(claim: str, cells: list[str]) -> None:
    line = LINES.loc[claim]
    derived, low, high = (units.number(line[name], 3) for name in ("derived", "low", "high"))
    spanned = f"{derived} ({low} to {high})" if low != high else derived
    assert cells[1] == (spanned if pd.notna(line["derived"]) else "–")
    assert cells[2].startswith(f"{board.MARKS[line['answer']]} {line['answer']}")


def test_factors_in_the_answers_are_the_computed_ones() -> None:
    """Two figures of Huawei for a 910C, 752 and 800 TFLOPS, against 180 PFLOPS; 6,688 and 5,655."""
    low, high = 384 * 752 / 180_000, 384 * 800 / 180_000
    assert f"overstated {2 / high:.2f} to {2 / low:.2f} times: {low:.2f} to {high:.2f} by Huawei's" in README
    assert f"overstated {6688 / 5655:.2f} times: 5,655 was measured, 6,688 is a projection" in README
    for claim in ("S000-02", "S001-17"):
        assert f"overstated {2 / high:.2f} to {2 / low:.2f} times" in LINES.loc[claim, "why"]
    matrix = cm384.ratio("peak", "cloudmatrix-384", "gb200-nvl72", SPECS, precision="bf16", basis="matrix")
    assert f"in the matrix units alone it is {units.number(matrix.m, 3)}" in README
    assert f"of an H20 it would be {752 / 148:.2f}" in README  # lmsys2025h20
    reseller = 384 * 800 / (72 * 2250)  # verda_gb300
    assert f"{reseller:.2f} if a reseller's figure for NVIDIA is believed" in README
    assert LINES.loc["S000-02", "high"] == pytest.approx(reseller)
    usable = 384 * 128 / (72 * 186)  # nvidia2026nim
    assert f"with what NVIDIA now counts as usable it is {usable:.2f} |" in README
    assert f"the {300} PFLOPS printed for the system are {300_000 / 384:.0f} each" in " ".join(README.split())


def test_what_others_got_from_the_chip_is_said() -> None:
    """SGLang's runs of DeepSeek-R1 on the 910C at 47 to 50 ms: 723, 794, 904 (sglang2026bestpractice)."""
    runs = [
        r for r in SPECS.measurements.values() if r.source == "sglang2026bestpractice" and float(r.tpot) > 40
    ]
    seen = [run.measured for run in runs if run.accelerator == "ascend-910c"]
    assert sorted(seen) == pytest.approx([723, 793.6, 904.5], rel=1e-3)
    assert (
        f"others got {units.rough(min(seen))} to {units.rough(max(seen))} from the chip at that latency"
        in README
    )


def test_source_that_would_overturn_the_bandwidth_is_named() -> None:
    """384 × 3.2 TB/s ÷ (72 × 7.7 TB/s): huawei2025cloudmatrix, verda_gb300."""
    most = 384 * 3.2 / (72 * 7.7)
    assert LINES.loc["S000-12", "high"] == pytest.approx(most)
    assert f"with the 7.7 TB/s that a reseller gives a GB200 it would be {most:.2f} |" in README


def test_working_under_the_answers_is_the_computed_one() -> None:
    text = " ".join(README.split())
    ours, theirs = (
        cm384.derive("peak", name, SPECS, precision="bf16") for name in ("cloudmatrix-384", "gb200-nvl72")
    )
    assert f"384 of them make {units.text(ours)}; 72 GPUs of 2,500 make {units.number(theirs.m)}" in text
    matrix = cm384.derive("peak_from_units", "ascend-910c", SPECS, precision="bf16")
    assert f"1.8 GHz = {units.text(matrix)}" in text
    # reportify2025semianalysis: 559,378 W, and 145 kW a rack
    per_watt = (288.768 / 559.378) / (180 / 145)
    assert f"per watt it has {per_watt:.2f} of GB200 NVL72" in text
    # measured on the 910C: CloudMatrix prefill and decode, and two tables of cann-recipes-infer
    pairs = validation.comparable("ascend-910c", "h100-sxm", SPECS)
    later = [ours.measured / theirs.measured for ours, theirs in pairs if ours.as_run]
    assert sorted(later) == pytest.approx(
        [5237 / 7417.1, 6522 / 7417.1, 1943 / 2171.6, 5655 / 6287.75], rel=1e-3
    )
    assert (
        f"later ones of its maker give {100 * min(later):.0f} to {100 * max(later):.0f} % of single phases"
        in text
    )
    # DeepSeek's average and its best run on H800: huawei2025cloudmatrix, v2, Tables 3 and 4
    assert 4026 < SPECS.measurements["CM384-PREFILL-DEFAULT"].measured < 7839
    assert "of DeepSeek's production average; not of its best run" in text


def test_figure_is_that_of_the_first_page() -> None:
    """Its own numbers are pinned beside the page's: tests/test_pages.py."""
    finding = pages.answer()["drawings"][0]["finding"]
    assert f'<img src="notebooks/_static/answer.png" width="800" alt="{finding}: 384 Ascend 910C' in README


def test_summary_counts_the_answers() -> None:
    text = " ".join(README.split())
    counted = board.sentences(LINES.reset_index(), CLAIMS)
    repeats, parts = sum(bool(claim.same_as) for claim in CLAIMS), counted["rows"].str.count(" ").sum()
    said = f"The ledger has {len(LINES)} rows: {repeats} repeat another one, {parts} are further parts of a "
    assert f"{said}sentence. {board.tally(list(counted['answer']), 'distinct sentences')}" in text


def test_accuracy_of_the_model_is_the_computed_one() -> None:
    table = validation.summary(validation.validate(SPECS.measurements.values(), SPECS))
    every, well = (table[table["rows"] == rows].iloc[0] for rows in ("all", "well specified"))
    text = " ".join(README.split())

    def within(line: Any) -> str:
        return f"within {100 * line['median']:.1f} %, nine in ten within {100 * line['nine in ten']:.1f} %"

    assert f"Over {every['n']} published measurements half are met {within(every)}" in text
    assert f"over the {well['n']} whose source states every setting half {within(well)}" in text
    points = validation.validate(THIRD, SPECS).assign(note=[row.note for row in THIRD])
    plain = points[(points["model"] == "deepseek-r1") & points["note"].str.startswith("no drafts")]
    found = validation.spread(plain)
    bias = f"with a bias of {100 * found['bias']:.1f} %".replace("-", "−")
    third = f"{100 * found['median']:.1f} %, nine in ten within {100 * found['nine in ten']:.1f} %, {bias}"
    assert f"measured {found['n']} points of DeepSeek-R1" in text
    assert f"Half are met within {third}" in text
    first = pd.read_csv(DATA / "first_seen" / "third_party.csv").set_index("id")["tpot_predicted_at_3927ac6"]
    then = pd.Series(
        {row.id: float(row.tpot) / first[row.id] - 1 for row in THIRD if row.id in set(plain["id"])}
    )
    at_first = f"half were met within {100 * then.abs().median():.1f} % and nine in ten within"
    assert f"{at_first} {100 * then.abs().quantile(0.9):.1f} %" in text
    again = validation.validate([row for row in THIRD if row.id in set(plain["id"])], SPECS, settings=True)
    assert f"where a document states them, half are met {within(validation.spread(again))}" in text
    others = points[points["model"] != "deepseek-r1"]
    known = others.dropna(subset="error")
    told_of = f"Of {len(others):,} points of other models {len(known):,} are answered, half of them within"
    assert f"{told_of} {100 * validation.spread(known)['median']:.1f} %" in text
    peers = pd.read_csv(DATA / "third_party" / "aiconfigurator.csv").set_index("measurement")["predicted"]
    both = plain[plain["id"].isin(peers.index)]
    theirs = validation.spread(both.assign(error=both["id"].map(peers) / both["measured"] - 1))
    pair = [f"within {100 * each['median']:.1f} % and {100 * each['nine in ten']:.1f} %"
            for each in (theirs, validation.spread(both))]  # fmt: skip
    assert f"meets those {len(both)} that it answered {pair[0]}, this model {pair[1]}" in text
    traced, notes = SPECS.traced()
    for row in SPECS.measurements.values():
        validation.predict(row, traced)
    read = set(notes.keys)
    assumed = sum(key[3] == "assumed" for key in read)
    assert f"of {len(read)} rows that the predictions read {assumed} are assumed" in text
    told = []
    for name in ("CM384-PREFILL-DEFAULT", "CM384-DECODE-4K-50MS"):
        error = validation.model_error(SPECS, name)
        told.append(f"within {100 * error.size:.0f} % in nine of ten of {error.documents} documents")
        assert error.coarse
    assert f"{told[0]} in prefill, {told[1]} in decode" in text
    assert "model" not in set(LINES["settled"])


def test_claim_of_your_own_is_judged_as_it_says(tmp_path: Path) -> None:
    rows = re.search(r"```csv\n(.*?)```", README, flags=re.DOTALL)
    assert rows
    (tmp_path / "my-claims.csv").write_text(rows[1], encoding="utf-8")

    for options, answer in [([], "overstated 1.87 times"),
                            (["--solve", "ascend-910c.peak"], "2,812 TFLOPS")]:  # fmt: skip
        call = ["check", str(tmp_path / "my-claims.csv"), *options]
        assert answer in CliRunner().invoke(main, call).output
        assert re.search(rf"{' '.join(['my-claims.csv', *options])} +# {answer}", README)


ASKED = re.findall(r"^\$ cm384 (.*)\n((?:(?!\$|```).*\n)*)", README, flags=re.MULTILINE)


@pytest.mark.parametrize(("words", "shown"), ASKED, ids=[words for words, _ in ASKED])
def test_command_prints_what_the_readme_shows(words: str, shown: str) -> None:
    """Line by line and in order; a line of three dots stands for what is left out."""
    found = CliRunner().invoke(main, shlex.split(words))
    assert found.exit_code == 0, found.stderr
    printed = found.stdout.splitlines()
    lines = [line for line in shown.splitlines() if line != "…"]
    assert [line for line in printed if line in lines] == lines
    assert "…" in shown or printed == lines


def test_readme_asks_each_of_the_new_commands() -> None:
    assert {"predict", "list", "explain"} <= {words.split()[0] for words, _ in ASKED}


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
