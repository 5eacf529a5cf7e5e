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
from cm384.table.records import Row

CLAIMS = DATA / "claims.csv"
FEW = ("S000-01", "S000-02", "S000-09", "S000-11", "S000-16", "S002-09", "S003-06")
# And two of our own, each like one of the ledger but for some cells.
OWN = {
    "S000-22": {"id": "X-SHARE", "quantity": "peak", "conditions": "precision=bf16"},
    "S003-07": {"id": "X-DECODE", "quantity": "predicted_throughput"},
}


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some claims of the ledger and two of our own, as a file of their own."""
    with CLAIMS.open(encoding="utf-8", newline="") as file:
        ledger = {line["id"]: line for line in csv.DictReader(file)}
    lines = [ledger[name] for name in FEW] + [ledger[name] | cells for name, cells in OWN.items()]
    return write(tmp_path_factory.mktemp("few") / "claims.csv", Claim, *lines)


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
        ("ascend-910c.peak", "X-SHARE", 0.60 * 989.4, "TFLOPS"),  # 60 % of an H100
        ("ascend-910c.peak", "S003-06", 5655 / 4.45, "TFLOPS"),  # 4.45 for a TFLOPS, of 5,655 measured
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
    told = "is not derived: documents or the measures of a word decide it"
    assert [found[name]["why"] for name in ("S000-09", "S000-01")] == [f"S000-09 {told}", f"S000-01 {told}"]
    assert found["S000-11"]["why"] == "its figure does not read this row"
    assert found["S000-11"]["needed"] == ""
    assert "so none reaches it" in found["S000-02"]["why"]


def test_claim_that_holds_says_where_it_would_stop(few: Path) -> None:
    line = rows("ascend-910c.peak", few)["S002-09"]  # a GB200 has more
    assert line["why"] == "it holds already; its figure is met at 2,500 TFLOPS"
    assert float(line["needed"]) == pytest.approx(2500, rel=1e-3)


def test_claim_that_holds_whatever_a_row_is_says_so(tmp_path: Path) -> None:
    """At eight bits or more the higher of 1,504 and 752 TFLOPS counts: at least 1,000 without the second."""
    claim = MINE | {"subject": "ascend-910c", "quantity": "peak_by_bits", "conditions": "bits=8",
                    "relation": "ge", "value": "1,000", "unit": "TFLOP/s"}  # fmt: skip
    path = write(tmp_path / "claims.csv", Claim, claim)
    named = "ascend-910c.peak[precision=bf16;basis=headline]"
    (line,) = rows(named, path).values()
    assert (line["needed"], line["why"]) == ("", f"it holds already, and whatever {named} is")


def test_no_value_is_an_answer(few: Path) -> None:
    found = solve("ascend-910c.exchange_fixed_time", few)
    assert re.search(r"X-DECODE .*no value of ascend-910c\.exchange_fixed_time\[", found.stdout)


def test_row_with_conditions_is_one_line_and_without_them_all_that_fit(few: Path) -> None:
    named = "ascend-910c.peak[precision=bf16;basis=headline]"
    text = solve(named, few, "--format", "csv").stdout
    assert {line["row"] for line in csv.DictReader(io.StringIO(text))} == {named, ""}
    both = solve("ascend-910c.gemm_rate", few, "--format", "csv").stdout
    lines = [line for line in csv.DictReader(io.StringIO(both)) if line["id"] == "X-DECODE"]
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


# --- rows that no source states ------------------------------------------------------------------

MINE = {"id": "M-1", "statement": "A claim.", "form": "value", "relation": "eq"}
SITE = [
    MINE | {"id": "S-1", "statement": "The site has 1945 PFLOPS.", "subject": "site-q", "quantity": "peak",
            "conditions": "precision=bf16", "value": "1945", "unit": "PFLOP/s"},
    MINE | {"id": "S-2", "statement": "One card equals an H20.", "subject": "ppu-x", "quantity": "peak",
            "conditions": "precision=bf16", "form": "ratio", "relation": "about", "value": "1",
            "comparator": "h20"},
]  # fmt: skip
CARD = {"subject": "ppu-x", "quantity": "hbm_capacity", "value": "96", "unit": "GB", "basis": "nominal",
        "role": "central", "source": "state television", "locator": "table"}  # fmt: skip
CARDS = CARD | {"subject": "site-q", "quantity": "count", "conditions": "part=ppu-x", "value": "16384",
                "unit": "count", "source": "news", "locator": "text"}  # fmt: skip
PEAK = CARD | {"quantity": "peak", "conditions": "precision=bf16", "value": "118.7", "unit": "TFLOP/s",
               "basis": "matrix", "locator": "1945 over 16384"}  # fmt: skip


def solved(
    folder: Path, row: str, claims: list[dict[str, str]], *specs: dict[str, str]
) -> tuple[dict[str, dict[str, str]], str]:
    """The lines for some claims of a stranger on his own table, and the summary."""
    files = (write(folder / "claims.csv", Claim, *claims), write(folder / "specs.csv", Row, *specs))
    found = solve(row, files[0], "--specs", files[1], "--format", "csv")
    assert found.exit_code == 0, found.stderr
    return {line["id"]: line for line in csv.DictReader(io.StringIO(found.stdout))}, found.stderr


def test_row_that_no_source_states_is_searched(tmp_path: Path) -> None:
    """16,384 cards share 1,945 PFLOPS: 118.7 each; the H20 has 148 (nvidia's data sheet)."""
    found, told = solved(tmp_path, "ppu-x.peak", SITE, CARD, CARDS)
    name = "ppu-x.peak[precision=bf16;basis=headline]"
    needed = {"S-1": (1_945_000 / 16_384, "118.7"), "S-2": (148.0, "148")}
    assert set(found) == set(needed)
    for claim, (value, text) in needed.items():
        line = found[claim]
        assert float(line["needed"]) == pytest.approx(value, rel=1e-5)
        assert (line["row"], line["unit"]) == (name, "TFLOPS")
        assert line["why"] == f"{name} would have to be {text} TFLOPS; no source states it"
        assert [line[column] for column in ("derived", "central", "low", "high")] == [""] * 4
    assert told == "2 of 2 claims read this row; some value of it reaches 2\n"
    again, _ = solved(tmp_path, name, SITE, CARD, CARDS)
    assert again == found


def test_the_same_row_once_it_is_stated(tmp_path: Path) -> None:
    """16,384 × 118.7 TFLOPS are the 1,945 PFLOPS, and 0.80 of an H20."""
    found, _ = solved(tmp_path, "ppu-x.peak", SITE, CARD, CARDS, PEAK)
    name = "ppu-x.peak[precision=bf16;basis=matrix]"
    assert {line["row"] for line in found.values()} == {name}
    assert float(found["S-1"]["derived"]) == pytest.approx(1944.78, rel=1e-5)
    assert found["S-1"]["why"] == "it holds already; its figure is met at 118.7 TFLOPS"
    assert float(found["S-2"]["derived"]) == pytest.approx(118.7 / 148, rel=1e-5)
    assert float(found["S-2"]["needed"]) == pytest.approx(148)
    assert found["S-2"]["why"] == (
        f"{name} would have to be 148 TFLOPS, 1.25 times the central 118.7 TFLOPS; sources state only "
        "118.7 TFLOPS, so none reaches it"
    )


RIDGE = MINE | {"subject": "ppu-x", "quantity": "ridge_point", "conditions": "precision=bf16",
                "value": "200", "unit": "FLOP/byte"}  # fmt: skip
COST = RIDGE | {"subject": "site-q", "quantity": "price_per_peak", "value": "29", "unit": "USD/TFLOPS"}
GREEN = COST | {"quantity": "peak_per_power", "value": "500", "unit": "GFLOP/J"}
MORE = MINE | {"subject": "ppu-x", "quantity": "hbm_capacity", "form": "difference", "comparator": "h100-sxm",
               "value": "32", "unit": "GB"}  # fmt: skip


@pytest.mark.parametrize(
    ("claim", "row", "stated", "needed"),
    [
        # 64 million dollars for 29 a TFLOPS: the more it has, the less one costs; no row is of the card
        (COST, "ppu-x.peak", {"subject": "site-q", "quantity": "price", "value": "64000000", "unit": "USD"},
         64e6 / 29 / 16_384),
        # rows that have no precision, of figures that do
        (COST, "site-q.price", PEAK, 29 * 16_384 * 118.7),
        (RIDGE, "ppu-x.hbm_bandwidth", PEAK, 118.7 / 200),
        (RIDGE | {"conditions": "basis=matrix;precision=bf16"}, "ppu-x.hbm_bandwidth", PEAK, 118.7 / 200),
        # on a basis that is not the usual one of its quantity
        (GREEN, "site-q.power[basis=all-in]", PEAK, 16_384 * 118.7e12 / 500e9),
        # 32 GB more than 80: below 80 it has fewer
        (MORE, "ppu-x.hbm_capacity", PEAK, 112),
    ],
)  # fmt: skip
def test_row_that_no_source_states_is_found_wherever_it_lies(
    tmp_path: Path, claim: dict[str, str], row: str, stated: dict[str, str], needed: float
) -> None:
    found, _ = solved(tmp_path, row, [claim], CARDS, CARD | stated)
    assert float(found["M-1"]["needed"]) == pytest.approx(needed, rel=1e-5)
    assert found["M-1"]["why"].endswith("; no source states it")


def test_no_value_of_a_row_that_no_source_states_is_an_answer(tmp_path: Path) -> None:
    """4,096 hosts of 1,500 GB are 6,144 TB before the cards add theirs."""
    hosts = CARDS | {"conditions": "part=host-q", "value": "4096"}
    memory = CARD | {"subject": "host-q", "quantity": "host_memory", "value": "1500"}
    least = MINE | {"subject": "site-q", "quantity": "fast_memory", "value": "1,000", "unit": "TB"}
    found, told = solved(tmp_path, "ppu-x.hbm_capacity", [least], CARDS, hosts, memory, PEAK)
    assert found["M-1"]["why"] == "no value of ppu-x.hbm_capacity[basis=nominal] reaches it"
    assert found["M-1"]["needed"] == ""
    assert told == "1 of 1 claims read this row; some value of it reaches 0\n"
    found, _ = solved(
        tmp_path, "ppu-x.hbm_capacity", [least | {"value": "7,000"}], CARDS, hosts, memory, PEAK
    )
    assert float(found["M-1"]["needed"]) == pytest.approx((7000 - 6144) * 1000 / 16_384, rel=1e-5)


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
