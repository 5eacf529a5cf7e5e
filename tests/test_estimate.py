"""Chips without kernels: estimates by the shares that other chips reach, and what they never touch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from strangers import refused, write

from cm384 import Estimated, decode, derive, estimate, load_model, load_specs, prefill
from cm384.__main__ import main
from cm384.notebooks import checked, defaults, find_notebook
from cm384.physics import kernels
from cm384.physics.check import by_document, counted, in_words, model_error, summary, validate
from cm384.physics.estimate import by_median, donors, without_kernels
from cm384.physics.kernels import Asked
from cm384.physics.serving import largest_batch
from cm384.physics.transformer import Model
from cm384.table.errors import InputError, NotStated
from cm384.table.records import KERNELS, Deployment, Measurement, Row
from cm384.table.specs import Specs

SPECS = load_specs()
R1, LLAMA, DENSE = (load_model(name) for name in ("deepseek-r1", "llama-3-8b", "llama-3.1-70b"))
LATENT = ("h800-sxm", "h20", "h100-sxm", "h200-sxm", "b200", "gb200", "b300", "gb300", "ascend-910c")

# --- data sheets of strangers --------------------------------------------------------------------


def new_chip(*left_out: str) -> Specs:
    """A made-up chip of 2,517 TFLOP/s FP8 and 671 BF16, 4.9 TB/s, 144 GB and 1.28 TB/s of links."""
    stated = {
        ("peak", "precision=fp8", "matrix"): (2517, "TFLOP/s"),
        ("peak", "precision=bf16", "matrix"): (671, "TFLOP/s"),
        ("hbm_capacity", "", "nominal"): (144, "GB"),
        ("hbm_bandwidth", "", "nominal"): (4.9, "TB/s"),
        ("scale_up_bandwidth", "", "one-way"): (1.28, "TB/s"),
    }
    return with_rows(*(
        Row("new-chip", name, given, value, unit, basis, "central", "", "vendor", "table", "")
        for (name, given, basis), (value, unit) in stated.items() if name not in left_out
    ))  # fmt: skip


def with_rows(*rows: Row, specs: Specs = SPECS) -> Specs:
    return dataclasses.replace(specs, rows={**specs.rows, **{row.key: (row,) for row in rows}})


def twin(of: str) -> Specs:
    """The table with a chip that has the data sheet of another, but none of its kernels."""
    rows = [dataclasses.replace(found[0], subject="twin") for key, found in SPECS.rows.items()
            if key[0] == of and key[1] not in KERNELS and not key[1].startswith("published")]  # fmt: skip
    return with_rows(*rows)


def run(chip: str, ranks: int = 32, precision: str = "bf16", **changes: Any) -> Deployment:
    base = Deployment(chip, ranks, ranks, 1, 2048, output=1024, matrix_precision=precision)
    return dataclasses.replace(base, **changes)


def measured(chip: str, **changes: str) -> Measurement:
    """A published run of DeepSeek-R1 on 32 chips, at an invented 20 tokens/s."""
    like = next(row for row in SPECS.measurements.values() if row.phase == "decode" and not row.concurrency)
    given = {"id": f"R1-{chip}", "model": "deepseek-r1", "accelerator": chip, "accelerators": "32",
             "expert_parallel": "32", "tensor_parallel": "1", "batch": "1", "context": "2048",
             "output": "1024", "matrix_precision": "bf16", "attention_precision": "bf16",
             "kv_precision": "bf16", "routing": "balanced", "microbatches": "1", "draft_tokens": "0",
             "tokens_per_step": "1", "tpot": "50", "throughput": "", "assumed": "", "kind": "",
             "terms": "", "source": "someone", "software": ""}  # fmt: skip
    return dataclasses.replace(like, **{**given, **changes})


# --- the shares ----------------------------------------------------------------------------------


def test_all_chips_with_a_full_set_of_kernels_give_their_shares() -> None:
    assert donors(SPECS, "mi300x") == LATENT
    assert "h20" not in donors(SPECS, "h20")
    # no grouped-query kernels of the 910C, the H800 and the H20 are known
    assert donors(SPECS, "mi300x", "grouped-query") == (
        "h100-sxm",
        "h200-sxm",
        "b200",
        "gb200",
        "b300",
        "gb300",
    )


def test_dense_product_by_hand() -> None:
    """A100, BF16, by the H100: 863.2 of 989.4 TFLOP/s of 312, 2.897 of 3.352 TB/s of 2.039, 3.47 µs."""
    table = estimate(SPECS, "a100-sxm", by=("h100-sxm",))
    found = kernels.machine(table, "a100-sxm", Asked("decode", "bf16", "bf16")).gemm["bf16"]
    rate, bandwidth = 312e12 * 863.2 / 989.4, 2.039e12 * 2.897 / 3.352
    flop, operands = 2 * 128 * 7168 * 2048, 2 * (128 * 7168 + 7168 * 2048)
    by_hand = 3.47e-6 + np.hypot(flop / rate, operands / bandwidth) + 2 * 128 * 2048 / bandwidth
    assert float(found.time(128, 7168, 2048)) == pytest.approx(by_hand, rel=1e-6)
    assert by_hand == pytest.approx(26.22e-6, rel=1e-3)


def test_data_sheet_of_a_stranger_by_hand() -> None:
    """By the H20: 277.4 of 296 TFLOP/s FP8, 138.7 of 148 BF16, 3.77 of 4 TB/s; attention 180 and 108.5."""
    machine = kernels.machine(estimate(new_chip(), "new-chip", by=("h20",)), "new-chip",
                              Asked("decode", "fp8", "bf16"))  # fmt: skip
    assert float(machine.gemm["fp8"].rate) == pytest.approx(2517e12 * 277.4 / 296)
    assert float(machine.gemm["bf16"].rate) == pytest.approx(671e12 * 138.7 / 148)
    assert float(machine.memory_bandwidth) == pytest.approx(4.9e12 * 3.77 / 4)
    assert float(machine.attention_rate.at(0.0)) == pytest.approx(671e12 * 108.5 / 148)
    assert float(machine.gemm["fp8"].fixed_time) == pytest.approx(4.402e-6)
    dispatch = SPECS.get("h20", "exchange_bandwidth", op="dispatch", phase="decode", ranks="64").to("GB/s").m
    seconds = float(machine.exchanges["dispatch"].seconds_per_byte.at(1 / 64))
    assert 1e-9 / seconds == pytest.approx(1280 * dispatch / 450)


def test_links_of_a_stranger_by_hand() -> None:
    """By the H100, 450 GB/s of links: what 8 MiB over 8 ranks take beyond 16 KiB shrinks to 450 / 1,280."""
    asked = Asked("prefill", "fp8", "bf16")
    machine = kernels.machine(estimate(new_chip(), "new-chip", by=("h100-sxm",)), "new-chip", asked)
    few, many = (machine.all_reduce.time(8.0, size) for size in (0.0, 8_388_608.0))
    assert float(few) == pytest.approx(3.56e-6)
    assert float(many) == pytest.approx((3.56 + (79.43 - 3.56) * 450 / 1280) * 1e-6)
    assert machine.node_ranks == 8  # its exchanges were measured on nodes of 8
    fabric = kernels.machine(estimate(new_chip(), "new-chip", by=("gb200",)), "new-chip", asked)
    assert np.isinf(fabric.node_ranks)


def test_a_share_is_of_one_rank() -> None:
    """The 910C states its kernels a die: 308 of 707.8 / 2 TFLOP/s, 1.346 of 3.2 / 2 TB/s."""
    table = estimate(new_chip(), "new-chip", by=("ascend-910c",))
    machine = kernels.machine(table, "new-chip", Asked("decode", "fp8", "bf16"))
    assert float(machine.gemm["bf16"].rate) == pytest.approx(671e12 * 308 / 353.9)
    assert float(machine.memory_bandwidth) == pytest.approx(4.9e12 * 1.346 / 1.6)


def test_missing_format_takes_the_share_in_the_nearest() -> None:
    """FP8 by the 910C is its INT8, of 24 × 16,384 × 1.8 GHz a die; INT8 on A100 by the H100 is its FP8."""
    table = estimate(new_chip(), "new-chip", by=("ascend-910c",))
    machine = kernels.machine(table, "new-chip", Asked("decode", "fp8", "fp8"))
    assert float(machine.gemm["fp8"].rate) == pytest.approx(2517e12 * 644e12 / (24 * 16384 * 1.8e9))
    assert float(machine.attention_rate.at(0.0)) == pytest.approx(2517e12 * 245.9 / 353.9)  # BF16 alone
    table = estimate(SPECS, "a100-sxm", by=("h100-sxm",))
    machine = kernels.machine(table, "a100-sxm", Asked("decode", "int8", "bf16"))
    assert float(machine.gemm["int8"].rate) == pytest.approx(624e12 * 1223 / 1978.9)


@pytest.mark.parametrize(
    ("chip", "changes"),
    [
        ("h800-sxm", {"ranks": 64}),
        ("h20", {"ranks": 16, "routing": "eplb", "microbatches": 2}),
        ("gb300", {"ranks": 64, "routing": "unbalanced"}),
        ("gb300", {"ranks": 256}),
        ("gb300", {"ranks": 8, "precision": "bf16", "tensor_parallel": 8, "batch": 8}),
    ],
)
@pytest.mark.parametrize("step", [decode, prefill])
def test_twin_of_a_chip_does_what_the_chip_does(chip: str, changes: dict[str, Any], step: Any) -> None:
    """Its own shares of its own data sheet are its own kernels: curves keep their form."""
    found = run(chip, **{"precision": "fp8", "batch": 128, **changes})
    found = dataclasses.replace(found, batch=found.batch * (64 if step is prefill else 1))
    table = estimate(twin(chip), "twin", by=(chip,))
    other = step(table, R1, dataclasses.replace(found, accelerator="twin"))
    # One fabric stands as a node without end, where prefill counts a copy a rank instead of one an expert.
    near = 0.03 if step is prefill and chip == "gb300" else 1e-9
    assert float(other.step) == pytest.approx(float(step(SPECS, R1, found).step), rel=near)


def test_twin_adds_up_as_the_chip_does() -> None:
    """Latencies by size, in a node and between two: of 70B parameters in BF16 on 4 to 16 H100."""
    table = estimate(twin("h100-sxm"), "twin", "grouped-query", by=("h100-sxm",))
    for ranks in (4, 8, 16):
        found = run("h100-sxm", ranks, expert_parallel=1, tensor_parallel=ranks, batch=32)
        other = decode(table, DENSE, dataclasses.replace(found, accelerator="twin"))
        assert float(other.step) == pytest.approx(float(decode(SPECS, DENSE, found).step), rel=1e-9)


# --- median and span -----------------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["mi300x", "a100-sxm", "ascend-950dt"])
def test_median_and_ends_are_over_the_chips(chip: str) -> None:
    each = [float(decode(estimate(SPECS, chip, by=(name,)), R1, run(chip)).throughput.m) for name in LATENT]
    line = validate([measured(chip)], SPECS).iloc[0]
    assert [line["predicted"], line["low"], line["high"]] == pytest.approx(
        [sorted(each)[4], min(each), max(each)]
    )
    assert line["reason"].startswith("estimated: ")
    assert line["reason"].endswith("by the shares of 9 chips")


def test_one_run_of_the_model_for_all_chips() -> None:
    """Rows of one file together are the rows alone, with arrays of a deployment beside the chips."""
    rows = [measured("mi300x", batch=str(batch), id=f"B{batch}") for batch in (1, 8, 32)]
    together, alone = validate(rows, SPECS), [validate([row], SPECS).iloc[0] for row in rows]
    for column in ("predicted", "low", "high"):
        assert together[column].tolist() == pytest.approx([line[column] for line in alone])
    table = estimate(SPECS, "mi300x")
    assert decode(table, R1, run("mi300x", batch=np.array([1.0, 8.0]))).throughput.m.shape == (9, 2)


def test_users_in_a_loop_and_limits_of_time_broadcast_too() -> None:
    loop = measured("mi300x", accelerators="8", expert_parallel="1", tensor_parallel="8", batch="",
                    context="", matrix_precision="fp8", serving="aggregated", concurrency="64",
                    prompt="10240", workers="1")  # fmt: skip
    line = validate([loop], SPECS).iloc[0]
    assert line["low"] < line["predicted"] < line["high"]
    most = largest_batch(estimate(SPECS, "mi300x"), R1, run("mi300x"), tpot=50.0)
    assert np.shape(most) == (9,)
    assert np.all(most > 1)


@pytest.mark.parametrize(("model", "core", "chips"), [(R1, "latent", 9), (DENSE, "grouped-query", 6)])
def test_the_chip_in_the_middle_stands_for_all(model: Model, core: str, chips: int) -> None:
    """Of nine chips the fifth, of six the third, by the throughput that their shares give."""
    fitting = run("mi300x", 8, batch=4.0, tensor_parallel=8)
    table, found = by_median(SPECS, "mi300x", model, lambda table: decode(table, model, fitting).throughput.m)
    assert len(found.values) == len(donors(SPECS, "mi300x", core)) == chips
    middle = sorted(found.values)[chips // 2 - (chips % 2 == 0)]
    assert decode(table, model, fitting).throughput.m == pytest.approx(middle, rel=1e-9)


# --- what is stated, and what is missing ----------------------------------------------------------


def test_stated_row_wins_and_a_curve_as_a_whole() -> None:
    told = ("central", "", "vendor", "table", "")
    own = [
        Row("new-chip", "gemm_rate", "precision=fp8", 2000, "TFLOP/s", "measured", *told),
        Row(
            "new-chip",
            "exchange_fixed_time",
            "op=dispatch;phase=decode;ranks=64",
            99,
            "us",
            "measured",
            *told,
        ),
    ]
    table = estimate(with_rows(*own, specs=new_chip()), "new-chip")
    machine = kernels.machine(table, "new-chip", Asked("decode", "fp8", "bf16"))
    assert machine.gemm["fp8"].rate == 2000e12
    assert np.shape(machine.gemm["bf16"].rate) == (9,)
    assert machine.exchanges["dispatch"].fixed_time.points == (1 / 64,)
    assert float(machine.exchanges["dispatch"].fixed_time.at(1 / 8)) == pytest.approx(99e-6)
    assert np.shape(machine.exchanges["combine"].fixed_time.at(1 / 8)) == (9,)


def test_chip_without_links_runs_alone_and_is_refused_in_a_group() -> None:
    table = estimate(new_chip("scale_up_bandwidth"), "new-chip", "grouped-query")
    alone = run("new-chip", 1, batch=8)
    both = [decode(found, LLAMA, alone).throughput.m for found in
            (table, estimate(new_chip(), "new-chip", "grouped-query"))]  # fmt: skip
    assert np.all(both[0] == both[1])
    assert np.all(np.isfinite(both[0]))
    row = "'new-chip,scale_up_bandwidth,,VALUE,GB/s,one-way,central,,SOURCE,PLACE,'"
    told = refused(decode, table, LLAMA, run("new-chip", 4, expert_parallel=1, tensor_parallel=4))
    assert told == f"tensor_parallel: for 4 ranks of new-chip to add up, add {row}"
    table = estimate(new_chip("scale_up_bandwidth"), "new-chip")
    told = refused(decode, table, R1, run("new-chip", 64, "fp8"))
    assert told == f"expert_parallel: for 64 ranks of new-chip to exchange tokens, add {row}"


PEAK = "'new-chip,peak,precision=bf16,VALUE,TFLOP/s,matrix,central,,SOURCE,PLACE,'"
MEMORY = "'new-chip,hbm_bandwidth,,VALUE,TB/s,nominal,central,,SOURCE,PLACE,'"
ROOM = "'new-chip,hbm_capacity,,VALUE,GB,nominal,central,,SOURCE,PLACE,'"


@pytest.mark.parametrize(
    ("left_out", "rows"),
    [(["peak"], PEAK), (["hbm_bandwidth"], MEMORY), (["hbm_capacity"], ROOM),
     (["peak", "hbm_bandwidth"], f"{PEAK} and {MEMORY}")],
)  # fmt: skip
def test_what_a_data_sheet_lacks_is_named_with_the_rows_to_add(left_out: list[str], rows: str) -> None:
    told = f"accelerator: to estimate the kernels of new-chip, add {rows}"
    assert refused(estimate, new_chip(*left_out), "new-chip") == told
    line = validate([measured("new-chip")], new_chip(*left_out)).iloc[0]
    assert (line["reason"], np.isnan(line["low"])) == (told, True)


def test_row_to_add_reads_back(tmp_path: Path) -> None:
    """The printed line, with a value, a source and a place, is a row of a specs file."""
    path = tmp_path / "mine.csv"
    header = "subject,quantity,conditions,value,unit,basis,role,group,source,locator,note"
    line = PEAK.strip("'").replace("VALUE", "671")
    path.write_text(f"{header}\n{line}\n", encoding="utf-8")
    assert load_specs(path).get("new-chip", "peak", precision="bf16").m == 671


def test_bad_input_is_one_line() -> None:
    assert "unknown subject 'mi30x'" in refused(estimate, SPECS, "mi30x")
    told = "accelerator: hgx-h100 is a system; an estimate is of one chip: h100-sxm"
    assert refused(estimate, SPECS, "hgx-h100") == told
    assert "unknown chip with kernels 'a100-sxm'" in refused(estimate, SPECS, "mi300x", by=("a100-sxm",))
    assert refused(estimate, SPECS.sample(10, 1), "mi300x").startswith("an estimate needs the sourced table")
    told = "matrix_precision: a100-sxm has no kernels in fp8; it has bf16, int8"
    assert refused(decode, estimate(SPECS, "a100-sxm"), R1, run("a100-sxm", precision="fp8")) == told
    told = "computes grouped-query attention in bf16"
    assert told in refused(decode, estimate(SPECS, "a100-sxm"), LLAMA, run("a100-sxm", 1))


def test_without_an_estimate_the_model_refuses_and_says_how() -> None:
    told = refused(decode, SPECS, R1, run("mi300x"))
    assert told.startswith("accelerator: no source states how fast kernels run on mi300x; estimate(specs, ")


def test_cases_of_the_command_line(tmp_path: Path) -> None:
    """Three chips of the table have an estimate; 64 GB hold no 32nd of the model in BF16."""
    chips = ["mi300x", "a100-sxm", "ascend-910b2", "ascend-950dt"]
    rows = [
        {name: str(value) for name, value in dataclasses.asdict(measured(chip)).items()} for chip in chips
    ]
    path = write(tmp_path / "mine.csv", Measurement, *rows)
    found = CliRunner().invoke(main, ["validate", str(path)])
    assert found.exit_code == 0, found.output
    assert found.stdout.count("estimated: ") == 3
    assert "batch: weights and KV cache take 75.2 GB on a rank of ascend-910b2" in found.stdout
    assert "3 estimated" in found.stderr
    specs = [{"subject": "new-chip", **row} for row in (
        {"quantity": "peak", "conditions": "precision=bf16", "value": "671", "unit": "TFLOP/s",
         "basis": "matrix"},
        {"quantity": "hbm_bandwidth", "value": "4.9", "unit": "TB/s", "basis": "nominal"},
        {"quantity": "hbm_capacity", "value": "144", "unit": "GB", "basis": "nominal"},
        {"quantity": "scale_up_bandwidth", "value": "1.28", "unit": "TB/s", "basis": "one-way"})]  # fmt: skip
    sheet = write(tmp_path / "sheet.csv", Row, *(
        {**row, "role": "central", "source": "vendor", "locator": "table"} for row in specs))  # fmt: skip
    row = {name: str(value) for name, value in dataclasses.asdict(measured("new-chip")).items()}
    mine = write(tmp_path / "new.csv", Measurement, row)
    found = CliRunner().invoke(main, ["validate", str(mine), "--specs", str(sheet), "--format", "csv"])
    assert found.exit_code == 0, found.output
    assert "by the shares of 9 chips" in found.stdout


# --- what an estimate never touches ---------------------------------------------------------------


def test_estimates_are_never_counted() -> None:
    row = measured("a100-sxm")
    assert not row.assumed
    more = dataclasses.replace(SPECS, measurements={**SPECS.measurements, row.id: row})
    assert row not in counted(more, ["decode"])
    assert len(counted(more, ["decode"])) == len(counted(SPECS, ["decode"]))
    assert by_document([row], more) == {}
    known = next(name for name, run in SPECS.measurements.items() if run.phase == "prefill")
    wrong = dataclasses.replace(row, phase="prefill", tpot="", throughput="1", id="WRONG")
    more = dataclasses.replace(SPECS, measurements={**SPECS.measurements, wrong.id: wrong})
    assert model_error(more, known) == model_error(SPECS, known)


def test_estimates_are_a_group_of_their_own() -> None:
    own = [row for row in SPECS.measurements.values() if row.accelerator == "h20"]
    both = validate([*own, measured("a100-sxm")], SPECS)
    alone = validate(own, SPECS)
    table = summary(both)
    apart = table["rows"] == "estimated"
    assert table[~apart].reset_index(drop=True).equals(summary(alone))
    assert (table.loc[apart, "n"] == 1).all()
    assert apart.any()
    assert in_words(both).startswith(in_words(alone))
    assert "1 estimated: half within" in in_words(both)
    assert "estimated" not in in_words(alone)


def test_the_ledger_is_decided_by_no_estimate() -> None:
    for quantity, given in (("served_throughput", {"workload": "decode"}),
                            ("predicted_throughput", {"measurement": "R1-a100-sxm"})):  # fmt: skip
        row = measured("a100-sxm")
        table = dataclasses.replace(SPECS, measurements={**SPECS.measurements, row.id: row})
        with pytest.raises(NotStated):
            derive(quantity, "a100-sxm", table, **given)


def test_estimate_leaves_the_table_as_it_was() -> None:
    before = dict(SPECS.rows)
    table = estimate(SPECS, "mi300x")
    assert SPECS.rows == before
    assert not SPECS.drawn
    new = {key for key in table.rows if key not in SPECS.rows}
    assert {key[0] for key in new} == {"mi300x"}
    assert {table.rows[key][0].basis for key in new} == {"assumed"}
    assert all("h800-sxm" in table.rows[key][0].locator for key in new)


# --- notebooks -----------------------------------------------------------------------------------


def test_notebook_on_a_chip_without_kernels_has_plain_numbers_and_says_so() -> None:
    own = defaults(find_notebook("07"))
    given = {
        "accelerator": "mi300x",
        "precision": "fp8",
        "accelerators": 16,
        "expert_parallel": 16,
        "batch": 32,
    }
    p = checked(**{**own, **given})
    assert p.estimated.startswith("no error known, as the kernels are estimated: ")
    found = float(decode(p.specs, R1, dataclasses.replace(
        run("mi300x", 16, "fp8"), batch=32, context=4096, output=256, routing="eplb", microbatches=2,
        draft_tokens=1, tokens_per_step=1.7)).throughput.m)  # fmt: skip
    low, high = (
        float(word.replace(",", "")) for word in p.estimated.split() if word[0].isdigit() and len(word) > 1
    )
    assert low < found < high
    assert checked(**own).estimated == ""
    with pytest.raises(InputError, match="a100-sxm has no kernels in fp8; it has bf16, int8"):
        checked(**{**own, **given, "accelerator": "a100-sxm"})


# --- where it stands: every chip with kernels, estimated from the others ---------------------------


def test_chip_left_out_is_met_by_the_others() -> None:
    """H20 and B200 without their kernels: within a fifth of their own prediction, most runs in the span."""
    for chip, within in (("h20", 0.2), ("b200", 0.1)):
        rows = [row for row in SPECS.measurements.values() if row.accelerator == chip]
        own = validate(rows, SPECS)
        found = validate(rows, without_kernels(SPECS, chip))
        assert found["reason"].str.endswith("by the shares of 8 chips").all()
        assert float((found["predicted"] / own["predicted"] - 1).abs().median()) < within


def test_estimated_reads_the_leading_axis() -> None:
    found = Estimated(np.array([[1.0, 10.0], [3.0, 20.0], [2.0, 60.0]]))
    assert [found.central.tolist(), found.low.tolist(), found.high.tolist()] == [[2, 20], [1, 10], [3, 60]]
