"""`check --solve`: for every claim the value of a row that makes it true, or that none does."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from strangers import write

from cm384.__main__ import main
from cm384.ledger.claims import Claim
from cm384.table.errors import DATA, EXAMPLES

CLAIMS = DATA / "claims.csv"
FEW = ("S000-01", "S000-02", "S000-09", "S000-11", "S000-16", "S000-22", "S002-02", "S003-07")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some claims of the ledger, as a file of their own."""
    with CLAIMS.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["id"] in FEW]
    path = write(tmp_path_factory.mktemp("few") / "claims.csv", Claim, *lines)
    assert [line["id"] for line in lines] == list(FEW)
    return path


def solve(row: str, claims: Path, *more: str | Path) -> Result:
    words = ["check", str(claims), "--solve", row, *map(str, more)]
    return CliRunner().invoke(main, words)


def rows(row: str, claims: Path) -> dict[str, dict[str, str]]:
    """The first line of each claim."""
    found = solve(row, claims, "--format", "csv")
    assert found.exit_code == 0, found.stderr
    lines = list(csv.DictReader(io.StringIO(found.stdout)))
    return {line["id"]: line for line in reversed(lines)}


@pytest.mark.parametrize(
    ("row", "claim", "needed", "unit"),
    [
        ("ascend-910c.peak", "S000-02", 2 * 72 * 2500 / 384, "TFLOPS"),  # 937.5
        ("gb200.peak", "S000-02", 384 * 752 / 72 / 2, "TFLOPS"),  # 2,005.3
        ("ascend-910c.peak", "S000-22", 0.60 * 989.4, "TFLOPS"),  # 60 % of an H100
        ("ascend-910c.hbm_capacity", "S000-11", 3.6 * 72 * 192 / 384, "GB"),  # 129.6
        ("huawei.net_profit", "S000-16", 128_000 / 25, "m USD"),  # at Apple's multiple
    ],
)
def test_needed_value_is_the_one_by_hand(few: Path, row: str, claim: str, needed: float, unit: str) -> None:
    line = rows(row, few)[claim]
    assert line["unit"] == unit
    assert float(line["needed"]) == pytest.approx(needed, rel=1e-3)


def test_every_claim_has_a_line_with_its_reason() -> None:
    found = rows("ascend-910c.peak", CLAIMS)
    with CLAIMS.open(encoding="utf-8", newline="") as file:
        assert set(found) == {line["id"] for line in csv.DictReader(file)}
    assert all(line["why"] for line in found.values())
    assert found["S000-09"]["why"].startswith("S000-09 is not derived")
    assert found["S000-11"]["why"] == "its figure does not read this row"
    assert found["S000-11"]["needed"] == ""
    assert "so none reaches it" in found["S000-02"]["why"]


def test_claim_that_holds_says_where_it_would_stop(few: Path) -> None:
    line = rows("ascend-910c.peak", few)["S002-02"]  # at least the peak of a GB200 NVL72
    assert line["why"].startswith("it holds already; the edge is where ")
    assert float(line["needed"]) == pytest.approx(72 * 2500 / 384, rel=1e-3)


def test_no_value_is_an_answer(few: Path) -> None:
    found = solve("ascend-910c.exchange_fixed_time", few)
    assert re.search(r"S003-07 .*no value of ascend-910c\.exchange_fixed_time\[", found.stdout)


def test_row_with_conditions_is_one_line_and_without_them_all_that_fit(few: Path) -> None:
    named = "ascend-910c.peak[precision=bf16;basis=headline]"
    text = solve(named, few, "--format", "csv").stdout
    assert {line["row"] for line in csv.DictReader(io.StringIO(text))} == {named, ""}
    both = solve("ascend-910c.gemm_rate", few, "--format", "csv").stdout
    lines = [line for line in csv.DictReader(io.StringIO(both)) if line["id"] == "S003-07"]
    assert len({line["row"] for line in lines}) == len(lines) > 1


def test_table_and_summary_are_apart(few: Path) -> None:
    found = solve("ascend-910c.peak", few)
    assert found.stdout.splitlines()[0].split() == ["claim", "claimed", "needed", "why"]
    assert "937.5 TFLOPS" in found.stdout
    assert re.fullmatch(r"\d+ of \d+ claims read this row; some value of it reaches \d+\n", found.stderr)


def test_json_has_null_where_no_value_does(few: Path) -> None:
    lines = json.loads(solve("ascend-910c.peak", few, "--format", "json").stdout)
    first = {line["id"]: line for line in lines}
    assert first["S000-02"]["needed"] == pytest.approx(937.5)
    assert first["S000-01"]["needed"] is None


def test_own_claims_and_specs() -> None:
    files = (EXAMPLES / name for name in ("atlas950_claims.csv", "atlas950_specs.csv"))
    claims, specs = files
    found = solve("nvl144-gpu.hbm_capacity", claims, "--specs", specs, "--format", "csv")
    lines = {line["id"]: line for line in csv.DictReader(io.StringIO(found.stdout))}
    assert float(lines["A950-12"]["needed"]) == pytest.approx(8192 * 144 / 15 / 72, rel=1e-3)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("ascend-910.peak", "did you mean 'ascend-910c.peak'?"),
        ("ascend-910c.peek", "did you mean 'ascend-910c.peak'?"),
        ("", "no claim of this file reads the row ''"),
        ("ascend-910c.peak[precision=fp4]", "no claim of this file reads the row"),
    ],
)
def test_row_that_no_claim_reads_is_one_line(few: Path, row: str, said: str) -> None:
    found = solve(row, few)
    assert (found.exit_code, found.stdout) == (2, "")
    assert re.fullmatch(r"cm384: .+\n", found.stderr)
    assert said in found.stderr
