"""Reading the table of specs, asking it, and what its own data must keep to."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strangers
from hypothesis import given, settings
from hypothesis import strategies as st

import cm384
from cm384.derive.derivation import MOST_READ, derivations, step_text
from cm384.table import specs as tables
from cm384.table import units
from cm384.table.errors import DATA, InputError
from cm384.table.files import read_keys
from cm384.table.records import BASES, Row, read_conditions, write_conditions
from cm384.table.specs import load_specs

COLUMNS = [field.name for field in dataclasses.fields(Row)]
ROW = {
    "subject": "made-up",
    "quantity": "peak",
    "conditions": "precision=bf16",
    "value": "10",
    "unit": "TFLOP/s",
    "basis": "matrix",
    "role": "central",
    "group": "",
    "source": "a page",
    "locator": "its first line",
    "note": "",
}  # a row in which nothing is wrong


def write(folder: Path, *rows: dict[str, str], name: str = "more.csv") -> Path:
    """A specs file; each row is the good one with changes."""
    return strangers.write(folder / name, Row, *(ROW | row for row in rows))


def refusal(*paths: Path) -> str:
    """What loading the files is refused with."""
    return strangers.refused(load_specs, *paths)


def own_rows() -> list[Row]:
    return [row for rows in load_specs().rows.values() for row in rows]


# --- bad cells ------------------------------------------------------------------------------------


def test_the_good_row_is_read(tmp_path: Path) -> None:
    found = load_specs(write(tmp_path, {})).get("made-up", "peak", precision="bf16")
    assert found == units.Q(10, "TFLOP/s")


@pytest.mark.parametrize(
    ("column", "cell", "tail"),
    [
        ("subject", "", "''; expected lower-case letters, digits, hyphens and dots"),
        ("subject", "Made Up", "'Made Up'; expected lower-case letters, digits, hyphens and dots"),
        ("quantity", "peek", "'peek' is not known; did you mean 'peak'?"),
        ("quantity", "hbm_capacty", "'hbm_capacty' is not known; did you mean 'hbm_capacity'?"),
        ("conditions", "precision", "'precision'; expected key=value;key=value"),
        ("conditions", "z=1;a=2", "'z=1;a=2'; expected keys in sorted order"),
        ("conditions", "a=1;a=2", "'a=1;a=2'; expected keys in sorted order"),
        ("value", "", "''; expected a positive number"),
        ("value", "fast", "'fast'; expected a positive number"),
        ("value", "NaN", "'NaN'; expected a positive number"),
        ("value", "inf", "'inf'; expected a positive number"),
        ("value", "1e400", "'1e400'; expected a positive number"),
        ("value", "-10", "'-10'; expected a positive number"),
        ("value", "0", "'0'; expected a positive number"),
        ("value", "1,000", "'1,000'; expected a positive number"),
        ("value", "1_000", "'1_000'; expected a positive number"),
        ("unit", "", "''; expected a unit such as TFLOP/s or GB"),
        ("unit", "furlong", "'furlong'; expected a unit such as TFLOP/s or GB"),
        ("unit", "GB", "'GB'; expected a unit of peak, such as TFLOP/s"),
        ("basis", "matrx", "'matrx' is not known; did you mean 'matrix'?"),
        ("role", "centrl", "'centrl' is not known; did you mean 'central'?"),
        ("role", "", "'' is not known; known: alternative, central"),
        ("group", "A group", "'A group'; expected lower-case letters, digits and hyphens"),
        ("source", "", "''; expected a source"),
        ("locator", "", "''; expected the place in the source"),
    ],
)
def test_bad_cell_is_one_line(tmp_path: Path, column: str, cell: str, tail: str) -> None:
    path = write(tmp_path, {"subject": "fine"}, {column: cell})
    assert refusal(path) == f"more.csv line 3, column {column}: {tail}"


def test_derived_quantity_is_not_stated(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, {"quantity": "ridge_point"}))
    assert message.startswith("more.csv line 2, column quantity: 'ridge_point' is not known; known")


def test_unknown_basis_without_a_near_name_lists_all(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, {"basis": "zzz"}))
    assert message.endswith("known: " + ", ".join(sorted(BASES)))


def test_the_first_bad_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {}, {"basis": "zzz"}, {"role": "zzz"}, {"subject": "Z Z"})
    assert refusal(path).startswith("more.csv line 3, column basis")


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    path = write(tmp_path, {"note": "two\nlines"}, {"role": "zzz"})
    path.write_text(path.read_text().replace("\nmade-up", "\n\nmade-up", 1))
    # header, an empty line, a row of two lines, then the bad one
    assert refusal(path).startswith("more.csv line 5, column role")


def test_zero_is_a_count(tmp_path: Path) -> None:
    none = {"quantity": "count", "conditions": "part=cpu", "basis": "nominal", "unit": "count"}
    specs = load_specs(write(tmp_path, none | {"value": "0"}))
    assert specs.get("made-up", "count", part="cpu").m == 0


def test_words_that_pandas_takes_for_missing_stay_words(tmp_path: Path) -> None:
    specs = load_specs(write(tmp_path, {"subject": "nan", "source": "None", "locator": "NA"}))
    (row,) = specs.rows["nan", "peak", "precision=bf16", "matrix"]
    assert (row.source, row.locator) == ("None", "NA")


# --- bad files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", f"more.csv: empty file; expected the columns {','.join(COLUMNS)}"),
        (",".join(COLUMNS) + "\n", "more.csv: no rows below the header"),
        (",".join(COLUMNS[:-1]) + "\n", "more.csv line 1: missing column 'note'"),
        (
            ",".join([*COLUMNS, "sorce"]) + "\n",
            "more.csv line 1: unknown column 'sorce'; did you mean 'source'?",
        ),
        (",".join(COLUMNS) + "\na,b\n", "more.csv line 2: 2 cells; expected 11"),
        (",".join(COLUMNS) + "\n" + "x," * 11 + "\n", "more.csv line 2: 12 cells; expected 11"),
    ],
    ids=["empty", "header only", "missing column", "unknown column", "short row", "long row"],
)
def test_bad_file_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "more.csv"
    path.write_text(content)
    assert refusal(path) == message


def test_column_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text(",".join([*COLUMNS, "value"]) + "\n" + ",".join([*ROW.values(), "99"]) + "\n")
    assert refusal(path).startswith("more.csv line 1: ")
    assert "'value'" in refusal(path)


def test_quote_that_is_never_closed_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text(",".join(COLUMNS) + '\n"' + "made-up,peak\n" * 20_000)
    assert refusal(path).startswith("more.csv")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_bytes(",".join(COLUMNS).encode() + b"\n\xff\xfe")
    assert refusal(path).startswith("more.csv: cannot be read as UTF-8 text (")


def test_no_such_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.csv") == "absent.csv: no such file"


def test_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path)


def test_byte_order_mark_and_carriage_returns_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, {})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_specs(path).has("made-up", "peak", precision="bf16")


def test_columns_in_another_order_are_read(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_text(",".join(reversed(ROW)) + "\n" + ",".join(reversed(ROW.values())) + "\n")
    assert load_specs(path).get("made-up", "peak", precision="bf16").m == 10


# --- roles and keys -------------------------------------------------------------------------------

NAME = r"made-up\.peak\[precision=bf16;basis=matrix\]"


def test_two_central_rows_are_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, {}, {"subject": "other"}, {"value": "11"}))
    assert re.search(NAME, message)
    assert message.startswith("more.csv line 4, column role: ")


def test_alternative_without_central_is_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, {"subject": "other"}, {"role": "alternative"}))
    assert re.search(f"no central row for {NAME}", message)
    assert message.startswith("more.csv line 3, column role: ")


def test_central_row_may_come_after_its_alternatives(tmp_path: Path) -> None:
    rows = [{"role": "alternative", "value": "9"}, {"role": "alternative", "value": "8"}, {}]
    specs = load_specs(write(tmp_path, *rows))
    key = specs.find("made-up", "peak", precision="bf16")
    assert specs.options(key).tolist() == [10, 9, 8]


def test_options_are_in_the_unit_of_the_central_row(tmp_path: Path) -> None:
    other = {"role": "alternative", "value": "0.02", "unit": "PFLOP/s"}
    specs = load_specs(write(tmp_path, {}, other))
    assert specs.options(specs.find("made-up", "peak", precision="bf16")).tolist() == [10, 20]


H100 = {
    "subject": "h100-sxm",
    "quantity": "hbm_capacity",
    "conditions": "",
    "unit": "GB",
    "basis": "nominal",
}


def test_central_row_of_another_file_replaces_the_key(tmp_path: Path) -> None:
    specs = load_specs(write(tmp_path, H100 | {"value": "94"}))
    assert specs.options(specs.find("h100-sxm", "hbm_capacity")).tolist() == [94]
    assert cm384.derive("hbm_capacity", "hgx-h100", specs).to("GB").m == pytest.approx(752)


def test_alternative_of_another_file_is_added(tmp_path: Path) -> None:
    specs = load_specs(write(tmp_path, H100 | {"value": "94", "role": "alternative"}))
    assert specs.options(specs.find("h100-sxm", "hbm_capacity")).tolist() == [80, 94]


def test_rows_of_a_second_file_may_rest_on_the_first(tmp_path: Path) -> None:
    first = write(tmp_path, {})
    second = write(tmp_path, {"role": "alternative", "value": "7"}, name="second.csv")
    specs = load_specs(first, second)
    assert specs.options(specs.find("made-up", "peak", precision="bf16")).tolist() == [10, 7]
    assert "no central row" in refusal(second)


def test_another_file_leaves_the_table_of_the_project_alone(tmp_path: Path) -> None:
    before = load_specs().rows
    load_specs(write(tmp_path, {}, H100 | {"value": "94"}))
    assert load_specs().rows == before
    assert "made-up" not in load_specs().subjects


def test_source_of_the_projects_own_rows_must_be_a_key(tmp_path: Path) -> None:
    kinds = load_specs().kinds
    path = write(tmp_path, {"source": "huawei2025cloudmatrx"})
    with pytest.raises(InputError) as caught:
        tables.read_rows(path, kinds, read_keys())
    assert str(caught.value) == (
        "more.csv line 2, column source: 'huawei2025cloudmatrx' is not known; "
        "did you mean 'huawei2025cloudmatrix'?"
    )


# --- asking the table -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (("ascend-910c", "peek"), "unknown quantity 'peek'; did you mean 'peak'?"),
        (("ascend-91c", "peak"), "unknown subject 'ascend-91c'; did you mean 'ascend-910c'?"),
        (("ascend-910c", "peak", "matrx"), "unknown basis 'matrx'; did you mean 'matrix'?"),
        (
            ("h20", "power", "all-in"),
            "h20 has no power for basis all-in; stated: no conditions (tdp)",
        ),
        (
            ("h20", "scale_up_latency"),
            "h20 has no scale_up_latency for basis measured; no source states it",
        ),
    ],
)
def test_what_the_table_does_not_state_is_one_line(question: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_specs().get(*question)
    assert str(caught.value) == message


def test_missing_precision_lists_those_stated() -> None:
    with pytest.raises(InputError) as caught:
        load_specs().get("ascend-910c", "peak", precision="fp8")
    assert str(caught.value) == (
        "ascend-910c has no peak for precision=fp8, basis headline; stated: "
        "precision=bf16 (headline), precision=bf16 (matrix), precision=int8 (headline)"
    )


def test_without_a_basis_the_default_of_the_quantity() -> None:
    specs = load_specs()
    assert specs.get("ascend-910c", "peak", precision="bf16") == units.Q(752, "TFLOP/s")
    assert specs.get("ascend-910c", "peak", "matrix", precision="bf16").m == 707.8
    assert specs.get("ascend-910c", "scale_up_bandwidth").m == 392
    assert specs.get("ascend-910c", "scale_up_bandwidth", "two-way").m == 784
    assert specs.get("b200", "hbm_capacity").m == 192
    assert specs.get("b200", "hbm_capacity", "usable").m == 180


def test_headline_falls_back_to_the_matrix_row_and_not_the_other_way() -> None:
    specs = load_specs()
    assert specs.find("h100-sxm", "peak", precision="bf16")[3] == "matrix"
    assert specs.find("ascend-910c", "peak", precision="bf16")[3] == "headline"
    assert not specs.has("ascend-910c", "peak", basis="matrix", precision="int8")


def test_nominal_falls_back_to_an_assumption_and_usable_does_not() -> None:
    specs = load_specs()
    assert specs.find("ascend-910c", "hbm_pin_rate")[3] == "assumed"
    assert specs.find("h100-sxm", "hbm_pin_rate")[3] == "nominal"
    assert not specs.has("ascend-910c", "hbm_pin_rate", basis="usable")


def test_conditions_are_found_in_any_order() -> None:
    specs = load_specs()
    one = specs.get("ascend-910c", "scale_up_latency", op="read", reach="node")
    assert one == specs.get("ascend-910c", "scale_up_latency", reach="node", op="read")
    assert one.m == 1.2


@settings(deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.from_regex(r"[a-z0-9-]+", fullmatch=True))
)
def test_conditions_read_back(conditions: dict[str, str]) -> None:
    written = write_conditions(conditions)
    assert read_conditions(written) == conditions
    assert write_conditions(read_conditions(written)) == written


def test_key_name_is_how_people_write_a_row() -> None:
    key = load_specs().find("ascend-910c", "peak", precision="bf16")
    row = load_specs().rows[key][0]
    assert row.name == "ascend-910c.peak[precision=bf16;basis=headline]"


def test_parts_are_the_accelerators_only() -> None:
    specs = load_specs()
    assert specs.parts("cloudmatrix-384") == ["ascend-910c"]
    assert specs.parts("gb200-nvl72") == ["gb200"]
    assert specs.parts("ascend-910c") == []


def test_systems_and_chips_are_apart_and_hold_what_the_issue_lists() -> None:
    specs = load_specs()
    assert specs.systems == [
        "atlas-950",
        "atlas-950-listed",
        "cloudmatrix-384",
        "gb200-nvl72",
        "gb300-nvl72",
        "helios-72",
        "hgx-b200",
        "hgx-h100",
        "hgx-h20",
        "hgx-h200",
        "hgx-h800",
        "tpu-8t-pod",
        "tpu7x-pod",
        "trn3-ultraserver",
        "vera-rubin-nvl72",
    ]
    assert not set(specs.systems) & set(specs.chips)
    wanted = (
        "a100-sxm ascend-310b ascend-910b2 ascend-910b3 ascend-910b4 ascend-910c ascend-950dt "
        "ascend-950dt-96gb ascend-950pr atlas-350 b200 b300 gb200 gb300 h100-sxm h20 h200-sxm h800-sxm "
        "maia-200 mi300x mi355x mi455x rubin tpu-8i tpu-8t tpu7x trainium3"
    )
    assert set(specs.chips) >= set(wanted.split())


def test_a_strangers_system_is_one_as_soon_as_it_has_parts(tmp_path: Path) -> None:
    part = {"quantity": "count", "conditions": "part=h20", "unit": "count", "basis": "nominal"}
    specs = load_specs(write(tmp_path, part | {"value": "16"}))
    assert "made-up" in specs.systems
    assert cm384.derive("hbm_capacity", "made-up", specs).to("GB").m == pytest.approx(16 * 96)


# --- changed copies -------------------------------------------------------------------------------


def test_replace_takes_quantities_and_plain_numbers() -> None:
    specs = load_specs()
    key = specs.find("ascend-910c", "hbm_bandwidth")
    for value in (units.Q(4000, "GB/s"), 4.0):
        assert specs.replace({key: value}).get("ascend-910c", "hbm_bandwidth").m == 4
    assert specs.get("ascend-910c", "hbm_bandwidth").m == 3.2


def test_replace_adds_to_what_was_replaced_before() -> None:
    specs = load_specs()
    one, other = specs.find("h20", "hbm_bandwidth"), specs.find("h20", "hbm_capacity")
    changed = specs.replace({one: 1.0, other: 2.0}).replace({one: 3.0})
    assert [changed.get("h20", q).m for q in ("hbm_bandwidth", "hbm_capacity")] == [3, 2]


def test_replace_takes_arrays() -> None:
    specs = load_specs()
    key = specs.find("h20", "hbm_bandwidth")
    changed = specs.replace({key: units.Q([1, 2], "TB/s")})
    assert changed.get("h20", "hbm_bandwidth").m.tolist() == pytest.approx([1000, 2000])


@pytest.mark.parametrize("value", [1.0, units.Q(1, "GB")], ids=["number", "quantity"])
def test_replacing_what_the_table_does_not_state_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match=r"h20\.hbm_capacity\[basis=measured\]"):
        load_specs().replace({("h20", "hbm_capacity", "", "measured"): value})


def test_trace_holds_the_keys_read_in_order_and_once() -> None:
    traced, trace = load_specs().traced()
    traced.get("h20", "hbm_capacity")
    traced.get("h20", "hbm_bandwidth")
    traced.get("h20", "hbm_capacity")
    assert [key[1] for key in trace.keys] == ["hbm_capacity", "hbm_bandwidth"]


def test_asking_whether_a_row_is_there_is_not_reading_it() -> None:
    traced, trace = load_specs().traced()
    assert traced.has("h20", "hbm_capacity")
    assert not trace.keys
    assert load_specs().trace is None


def test_two_traces_do_not_mix() -> None:
    (one, trace), (_, other) = load_specs().traced(), load_specs().traced()
    one.get("h20", "hbm_capacity")
    assert (len(trace.keys), len(other.keys)) == (1, 0)


# --- whose word a row is, and when it came out ----------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "source", "standing", "own"),
    [
        ("ascend-910c", "huawei2025cloudmatrix", 0, True),  # Huawei's, of its own
        ("cloudmatrix-384", "huawei2025cloudmatrix", 0, True),
        ("h100-sxm", "huawei2025cloudmatrix", 2, False),  # what a rival says counts as an analyst's
        ("h100-sxm", "nvidia2022hopper", 0, True),
        ("united-states", "nvidia2022hopper", 0, False),  # of what nobody sells
        ("ascend-910c", "mlcommons2023h100", 1, False),  # independent measurement
        ("cloudmatrix-384", "semianalysis2025cloudmatrix", 2, False),
        ("cloudmatrix-384", "facefam2025huawei", 3, False),  # press
        ("ascend-910c", "a page of a stranger", 0, False),  # nothing is known against it
    ],
)
def test_how_near_a_document_stands(subject: str, source: str, standing: int, own: bool) -> None:
    specs = load_specs()
    row = dataclasses.replace(own_rows()[0], subject=subject, source=source, basis="nominal")
    assert (specs.standing(row), specs.by_maker(row)) == (standing, own)
    assumed = dataclasses.replace(row, basis="assumed")
    assert (specs.standing(assumed), specs.by_maker(assumed)) == (0, own)


def test_totals_that_makers_print() -> None:
    specs = load_specs()
    found = {key for key in specs.printed_totals if key[1] in ("peak", "hbm_capacity")}
    assert ("cloudmatrix-384", "hbm_capacity", "", "nominal") in found  # 49.2 TB, huawei2025cloudmatrix
    assert ("hgx-h100", "peak", "precision=fp8", "matrix") in found  # 16 PFLOPS, nvidia2022hopper
    assert ("cloudmatrix-384", "peak", "precision=bf16", "headline") in found  # 288.7, huawei2026atlas900
    bandwidth = ("cloudmatrix-384", "hbm_bandwidth", "", "nominal")  # 1,229 TB/s, reportify2025semianalysis
    assert bandwidth in specs.rows
    assert bandwidth not in specs.printed_totals
    assert all(specs.parts(subject) for subject, *_ in specs.printed_totals)
    assert not specs.totals  # and none is taken unless it is asked for


def test_what_happened_after_a_date_is_left_out_and_what_a_thing_is_stays() -> None:
    """19 May 2025: before huawei2025cloudmatrix (15 June), after lmsys2025largescale (5 May)."""
    specs = load_specs()
    then = specs.before("2025-05-19")
    assert not then.has("ascend-910c", "published_throughput", measurement="CM384-DECODE-4K-50MS")
    assert then.has("h100-sxm", "published_throughput", measurement="SGL-H100-PREFILL-4K-DEFAULT")
    assert not then.has("nvidia", "charge", product="h20", stage="booked")
    assert then.has("nvidia", "charge", product="h20", stage="guided")
    natures = {specs.kinds[key[1]].nature for key in specs.rows.keys() - then.rows.keys()}
    assert natures == {"performance", "event"}
    # A later document about what the machine is counts.
    key = specs.find("ascend-910c", "hbm_capacity")
    assert then.rows[key] == specs.rows[key]
    assert specs.rows[key][0].source == "huawei2025cloudmatrix"
    assert specs.before("").rows == specs.rows


def test_day_of_an_article_itself_is_not_after_it() -> None:
    specs, asked = load_specs(), {"measurement": "CM384-DECODE-4K-50MS"}
    told = {date: specs.before(date).has("ascend-910c", "published_throughput", **asked)
            for date in ("2025-06-14", "2025-06-15", "2025-05", "2025-06", "2025", "2024")}  # fmt: skip
    assert told == {"2025-06-14": False, "2025-06-15": True, "2025-05": False, "2025-06": True,
                    "2025": True, "2024": False}  # fmt: skip


def test_row_of_a_stranger_is_never_too_late(tmp_path: Path) -> None:
    run = {"subject": "h20", "quantity": "published_throughput", "conditions": "measurement=MINE",
           "unit": "token/s/accelerator", "basis": "measured"}  # fmt: skip
    then = load_specs(write(tmp_path, run)).before("2020")
    assert then.get("h20", "published_throughput", measurement="MINE").m == 10


# --- explaining -----------------------------------------------------------------------------------


def test_explanation_names_formula_rows_and_sources() -> None:
    found = cm384.explain("hbm_capacity", "cloudmatrix-384", load_specs())
    assert [row.name for row in found.rows] == [
        "cloudmatrix-384.count[part=ascend-910c;basis=nominal]",
        "ascend-910c.hbm_capacity[basis=nominal]",
    ]
    lines = str(found).splitlines()
    assert lines[0] == "HBM capacity of CloudMatrix 384 = 49.15 TB"
    assert "count × HBM capacity of one = 49.15 TB" in lines[1]
    assert lines[-1].strip() == "huawei2025cloudmatrix: v2 section 3.3.1 and Fig. 3"
    assert found.table["value"].tolist() == ["384", "128 GB"]


def test_explanation_holds_every_row_of_a_product() -> None:
    found = cm384.explain("peak_from_units", "ascend-910c", load_specs(), precision="bf16", basis="headline")
    assert sorted(row.quantity for row in found.rows) == [
        "clock",
        "dies",
        "matrix_flop_per_clock",
        "matrix_units",
        "vector_flop_per_clock",
        "vector_units",
    ]


@pytest.mark.parametrize(
    ("quantity", "subject", "conditions", "took"),
    [  # 2 x 24 x 8,192 x 1.8 GHz; 384 x 752 TFLOPS; 8,200,000 USD for that peak; 6,688 ÷ 1,504
        ("peak_from_units", "ascend-910c", {"precision": "bf16"},
         ["= 393,216 FLOP/cycle (from 2; 24; 8,192 FLOP/cycle)",
          "= 707.8 TFLOPS (from 393,216 FLOP/cycle; 1.8 GHz)"]),
        ("price_per_peak", "cloudmatrix-384", {"precision": "bf16"},
         ["= 288.8 PFLOPS (from 384; 752 TFLOPS)", "(from 288.8 PFLOPS; 8,200,000 USD)"]),
        ("tokens_per_tflop", "ascend-910c",
         {"measurement": "CM384-PREFILL-PERFECT", "precision": "int8"},
         ["(from 6,688 tokens/s per accelerator; 1,504 TFLOPS)"]),
    ],
)  # fmt: skip
def test_each_step_shows_the_values_it_took(
    quantity: str, subject: str, conditions: dict[str, str], took: list[str]
) -> None:
    found = cm384.explain(quantity, subject, load_specs(), **conditions)
    shown = str(found).splitlines()[1 : 1 + len(found.steps)]
    assert len(shown) == len(took)
    for line, values in zip(shown, took, strict=True):
        assert line.endswith(values)


def test_step_shows_all_that_it_took_or_nothing() -> None:
    found = cm384.explain(
        "predicted_throughput", "ascend-910c", load_specs(), measurement="CM384-DECODE-4K-50MS"
    )
    *terms, step, throughput = found.steps
    assert step.read == tuple(term.value for term in terms)
    assert len(found.rows) > len(step.read) > MOST_READ
    assert "(from " not in step_text(step)
    assert step_text(throughput).endswith(f"(from {units.text(step.value)})")


def test_explanation_of_a_stated_row_is_that_row() -> None:
    found = cm384.explain("power", "h20", load_specs())
    assert [row.source for row in found.rows] == ["willitrunai_h20"]
    assert not found.steps


def test_explanation_refuses_a_changed_table() -> None:
    specs = load_specs()
    key = specs.find("ascend-910c", "hbm_capacity")
    changed = specs.replace({key: 1.0})
    with pytest.raises(InputError, match=r"ascend-910c\.hbm_capacity\[basis=nominal\]"):
        cm384.explain("hbm_capacity", "cloudmatrix-384", changed)


# --- the data itself ------------------------------------------------------------------------------


def cells(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_source_is_in_the_bibliography_and_every_entry_is_used() -> None:
    """But for the blind record, which names what was read at the time in words."""
    named = [row.get(column, "") for path in DATA.rglob("*.csv")
             if path.parent.name != "first_seen"
             for row in cells(str(path.relative_to(DATA)))
             for column in ("source", "article", "primary")]  # fmt: skip
    used = {key for cell in named for key in cell.split(";") if key}
    assert set(read_keys()) == used


def test_bibliography_keys_are_given_once() -> None:
    keys = read_keys()
    assert sorted(keys) == sorted(set(keys))


def test_every_entry_says_where_it_is() -> None:
    entries = re.split(r"^@", (DATA / "sources.bib").read_text(encoding="utf-8"), flags=re.M)[1:]
    assert not [entry.split(",")[0] for entry in entries if not re.search(r"\burl\s*=", entry)]


def test_texts_name_documents_and_not_where_somebody_kept_them() -> None:
    leads = re.compile(r"\bid \d+|\bown memory\b|\bshare[d]/|\.\./|\bindex (id|number)\b", re.I)
    texts = [cell for path in DATA.glob("*.csv") for row in cells(path.name)
             for cell in row.values()]  # fmt: skip
    assert len(texts) > 1000
    assert not [text for text in texts if leads.search(text)]


def test_every_row_of_the_file_is_in_the_table() -> None:
    published = [row for row in own_rows() if row.conditions.startswith(("measurement=", "run="))]
    stated = [row for row in cells("specs.csv") if row["conditions"].startswith("measurement=")]
    assert len(own_rows()) - len(published) == len(cells("specs.csv")) - len(stated)


def test_every_measurement_is_in_the_table() -> None:
    """Its throughput (printed, or requests over the time of a token), and its time per token."""
    specs = load_specs()
    lines = cells("measurements.csv")
    assert list(specs.measurements) == [line["id"] for line in lines]
    found = {
        (row.subject, row.conditions, row.quantity): row
        for row in own_rows()
        if row.quantity.startswith("published_") and not row.conditions.startswith("run=")
    }
    for line in lines:
        name = (line["accelerator"], f"measurement={line['id']}")
        stated = float(line["throughput"] or 1e3 * float(line["batch"]) / float(line["tpot"] or 1))
        row = found.pop((*name, "published_throughput"))
        assert (row.value, row.unit) == (pytest.approx(stated), "token/s/accelerator")
        assert (row.source, row.locator, row.basis) == (line["source"], line["locator"], line["kind"])
        if line["tpot"]:
            row = found.pop((*name, "published_tpot"))
            assert (row.value, row.unit) == (float(line["tpot"]), "ms")
            assert (row.source, row.locator, row.basis) == (line["source"], line["locator"], line["kind"])
    # What a document prints of a deployment that it does not describe is a row of specs.csv.
    extra = [row for row in cells("specs.csv") if row["quantity"].startswith("published_")]
    assert {name[1] for name in found} == {row["conditions"] for row in extra}
    assert not {row["conditions"].split("=")[1] for row in extra} & set(specs.measurements)


def test_every_training_run_is_in_the_table() -> None:
    """Its throughput and its MFU, where they are published."""
    lines = cells("training.csv")
    assert list(load_specs().runs) == [line["id"] for line in lines]
    found = {(row.conditions, row.quantity): row for row in own_rows() if row.conditions.startswith("run=")}
    for line in lines:
        for column, name in (("throughput", "training_throughput"), ("mfu", "mfu")):
            if line[column]:
                row = found.pop((f"run={line['id']}", f"published_{name}"))
                assert (row.subject, row.value) == (line["accelerator"], float(line[column]))
                assert (row.source, row.locator, row.basis) == (line["source"], line["locator"], line["kind"])
    assert not found


def test_runs_that_nobody_measured_are_told_apart() -> None:
    """lmsys2025largescale: read off DeepSeek's profile, perfect balance and drafts simulated;
    huawei2025cloudmatrix, table 3: 6,688 tokens/s if the experts were balanced."""
    assert {name: row.kind for name, row in load_specs().measurements.items() if row.kind != "measured"} == {
        "DSK-H800-PREFILL-PROFILE": "derived",
        "SGL-H100-PREFILL-4K-PERFECT": "simulated",
        "CM384-PREFILL-PERFECT": "projected",
        "DSK-H800-DECODE-PROFILE": "derived",
        "SGL-H100-DECODE-2K-ONE-BATCH": "derived",
        "SGL-H100-DECODE-SIMMTP": "simulated",
        "SGL-H100-DECODE-SIMMTP-TWO-BATCH": "simulated",
        "SGL-H100-DECODE-SIMMTP-ONE-BATCH": "simulated",
        "SGL-GB200-DECODE-FP8-FP4-B768": "derived",
    }


def test_run_that_was_not_measured_stands_in_on_its_own_basis() -> None:
    specs, asked = load_specs(), {"measurement": "CM384-PREFILL-PERFECT"}
    key = specs.find("ascend-910c", "published_throughput", **asked)
    assert (key[3], specs.rows[key][0].value) == ("projected", 6688)
    assert not specs.has("ascend-910c", "published_throughput", "simulated", **asked)
    key = specs.find("ascend-910c", "published_throughput", measurement="CM384-PREFILL-DEFAULT")
    assert (key[3], specs.rows[key][0].value) == ("measured", 5655)


def test_models_of_the_measurements_are_in_the_table() -> None:
    specs = load_specs()
    assert set(specs.models) >= {row.model for row in specs.measurements.values()}
    assert set(specs.models) == {path.stem for path in (DATA / "models").glob("*.json")}


def test_alternatives_stand_beside_one_central_row() -> None:
    for key, rows in load_specs().rows.items():
        assert [row.role for row in rows] == ["central"] + ["alternative"] * (len(rows) - 1), key


def test_an_alternative_differs_from_its_central_row_or_belongs_to_a_group() -> None:
    for key, rows in load_specs().rows.items():
        same = load_specs().options(key)[1:] == load_specs().options(key)[0]
        assert not [row for row, is_same in zip(rows[1:], same, strict=True)
                    if is_same and not row.group], key  # fmt: skip


def test_units_of_the_vocabulary_are_known() -> None:
    for kind in load_specs().kinds.values():
        assert units.parse_unit(kind.unit) is not None
        assert kind.default_basis in BASES
        assert kind.better in ("higher", "lower", "neither")
        assert kind.kind in ("stated", "derived")
        assert kind.nature in ("specification", "performance", "event", "estimate")
        assert kind.meaning


def test_figures_of_work_events_and_estimates_are_told_apart_from_specifications() -> None:
    """What a measurement alone settles, what came after an article, and what settles nothing."""
    others = {
        name: kind.nature for name, kind in load_specs().kinds.items() if kind.nature != "specification"
    }
    assert others == dict.fromkeys(
        ("published_throughput", "published_tpot", "predicted_throughput", "predicted_tpot",
         "tokens_per_tflop", "predicted_tokens_per_tflop", "useful_share", "served_throughput",
         "served_ratio", "tokens_per_joule", "accelerators_to_serve", "system_throughput",
         "published_training_throughput", "published_mfu", "training_throughput", "mfu", "hfu",
         "training_time", "training_tokens_per_joule", "training_energy", "training_throughput_per_price",
         "training_ratio", "matched_throughput", "prefill_per_decode"), "performance",
    ) | dict.fromkeys(
        ("net_profit", "rd_spending", "charge", "lost_revenue", "revenue_share", "ai_chip_output",
         "lost_revenue_filed", "export_rule_cost"), "event",
    ) | dict.fromkeys(
        ("valuation_by_multiple", "training_flop_from_mfu", "training_throughput_by_mfu"), "estimate"
    )  # fmt: skip


def test_derived_quantities_are_the_registered_derivations() -> None:
    derived = {name for name, kind in load_specs().kinds.items() if kind.kind == "derived"}
    assert derived == set(derivations())


def test_every_derivation_gives_the_unit_of_the_vocabulary() -> None:
    specs = load_specs()
    for name in ("hbm_capacity_from_stacks", "hbm_bandwidth_from_stacks"):
        found = cm384.derive(name, "ascend-910c", specs)
        assert units.same_kind(str(found.units), specs.kinds[name].unit)


def test_a_group_holds_one_statement_of_a_fact() -> None:
    members: dict[tuple[str, str], list[Any]] = {}
    for row in own_rows():
        if row.group:
            members.setdefault((row.subject, row.group), []).append(row.key)
    assert members
    for name, keys in members.items():
        assert len(keys) == len(set(keys)), f"{name}: two statements of one fact in one group"


def test_sparse_peaks_are_not_mixed_with_dense_ones() -> None:
    bases = {row.basis for row in own_rows() if row.quantity == "peak"}
    assert bases == {"headline", "matrix"}


def test_peaks_of_nvidia_and_amd_have_no_headline_row() -> None:
    makers = {row.subject for row in own_rows() if row.quantity == "peak" and row.basis == "headline"}
    assert all(name.startswith(("ascend-", "atlas-", "cloudmatrix-")) for name in makers)


def test_own_table_broadcasts_everywhere() -> None:
    specs = load_specs()
    doubled = {key: specs.options(key)[0] * np.array([1.0, 2.0]) for key in specs.rows}
    found = cm384.derive("hbm_capacity", "cloudmatrix-384", specs.replace(doubled))
    assert (found.m / found.m[0]).tolist() == [1, 4]
