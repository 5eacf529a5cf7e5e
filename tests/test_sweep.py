"""Sweeps: grids, rows, parts that no worker changes, kills that lose nothing, the summary of page 15."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from click.testing import CliRunner
from distributed import LocalCluster

from cm384 import derive, grid, load_model, load_specs, notebooks, sweep
from cm384.__main__ import main
from cm384.derive.derivation import conditions_of, derivations, numeric_conditions
from cm384.physics.serving import decode, prefill
from cm384.table.errors import DATA, InputError
from cm384.table.records import Deployment

SPECS = load_specs()
SERVED = ["accelerators=160", "expert_parallel=320", "matrix_precision=int8", "routing=eplb"]


def small(**more: Any) -> grid.Plan:
    """24 parts of two configurations with a thousand draws each."""
    axes = [*SERVED, "context=1024:4096:6", "batch=8:120:8"]
    return grid.plan("decode", ["deepseek-r1", "ascend-910c"], axes, draws=1000, size=2000, **more)


# --- the grid -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("batch=8,16,12.5", [8, 16, 12.5]),
        ("batch=8:400:50", [*range(8, 401, 8)]),
        ("batch=8:64:log4", [8, 16, 32, 64]),
        ("batch=1:3:log3", [1, 2, 3]),  # 1.73 is 2
        ("batch=1.0:2.0:5", [1, 1.25, 1.5, 1.75, 2]),
        ("batch=5:5:1", [5]),
    ],
)
def test_an_axis_is_a_list_or_a_range(axis: str, values: list[float]) -> None:
    found = grid.plan("decode", ["deepseek-r1", "ascend-910c"], [*SERVED, "context=4096", axis])
    assert found.part(0)["batch"].tolist() == values


def test_the_last_axis_turns_fastest_and_the_columns_of_a_file_go_together(tmp_path: Path) -> None:
    path = tmp_path / "chips.csv"
    path.write_text("accelerator,expert_parallel,accelerators\nh800-sxm,32,32\nascend-910c,64,32\n")
    found = grid.plan("decode", ["deepseek-r1"], [str(path), "context=1024,2048", "batch=8"], size=3)
    rows = pd.concat([found.part(0), found.part(1)])
    assert (found.configurations, found.rows, found.parts) == (4, 4, 2)
    assert rows["accelerator"].tolist() == ["h800-sxm"] * 2 + ["ascend-910c"] * 2
    assert rows["expert_parallel"].tolist() == [32, 32, 64, 64]
    assert rows["context"].tolist() == [1024, 2048] * 2


CHIP = ["decode", "deepseek-r1", "ascend-910c"]
REST = ["--grid", "accelerators=160", "--grid", "expert_parallel=320", "--grid", "context=4096"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["decod", "x"], "unknown target 'decod'; it could be 07-decode, decode, prefill_per_decode"),
        ([*CHIP, "more"], "decode: expected model accelerator, got deepseek-r1 ascend-910c more"),
        ([*CHIP, *REST], "grid: decode needs batch"),
        ([*CHIP, *REST, "--grid", "bacth=8"], "unknown grid 'bacth'; did you mean 'batch'?"),
        ([*CHIP, *REST, "--grid", "batch=8,x"], "grid batch: 'x'; expected a number"),
        ([*CHIP, *REST, "--grid", "batch=8,0"], "batch: expected more than 0, not 0"),
        ([*CHIP, *REST, "--grid", "batch=0:8:log3"],
         "grid batch: expected ends above 0 for a log range, not 0:8:log3"),
        ([*CHIP, *REST, "--grid", "batch=8", "-c", "batch=9"], "grid: batch is given twice"),
        ([*CHIP, *REST, "--grid", "batch=8", "-c", "routing=even"],
         "unknown routing 'even'; known: balanced, eplb, unbalanced"),
        (["decode", "deepseek-r1", "h80-sxm", *REST, "--grid", "batch=8"],
         "unknown chip 'h80-sxm'; did you mean 'h800-sxm'?"),
        ([*CHIP, *REST, "--grid", "batch=8", "--draws", "100001"],
         "draws: expected 0 to 100,000, got 100001"),
        ([*CHIP, *REST, "--grid", "nowhere.csv"], "nowhere.csv: no such file"),
        (["peak", "h20", "--grid", "precison=bf16"], "unknown grid 'precison'; did you mean 'precision'?"),
        (["peak", "h2", "--grid", "precision=bf16"], "unknown subject 'h2'; did you mean 'h20'?"),
        (["exchange_time", "h20", "--grid", "ranks=8"], "grid: exchange_time needs op"),
        (["02-supernode", "--grid", "baseline=hgx-h10"],
         "unknown system 'hgx-h10'; did you mean 'hgx-h100'?"),
        (["02-supernode", "--grid", "baseline=hgx-h100", "--draws", "3"],
         "draws: expected 0, as a notebook takes its own, got 3"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(tmp_path: Path, words: list[str], told: str) -> None:
    found = CliRunner().invoke(main, ["sweep", *words, "--out", str(tmp_path / "out")])
    assert (found.exit_code, found.stdout, found.stderr) == (2, "", f"cm384: {told}\n")
    assert not (tmp_path / "out").exists()


def test_a_bad_cell_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "grid.csv"
    path.write_text("batch,context\n8,1024\n9,1k\n")
    with pytest.raises(InputError, match=r"^grid.csv line 3, column context: '1k'; expected a number$"):
        grid.plan("decode", ["deepseek-r1", "ascend-910c"], [*SERVED, str(path)])


def test_without_the_extra_one_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["sweep", "peak", "h20", "--grid", "precision=bf16", "--out", str(tmp_path / "out")]
    found = CliRunner().invoke(main, words)
    assert (found.exit_code, found.stderr) == (2, f"cm384: {sweep.NEEDS}\n")
    assert "cm384[cluster]" in sweep.NEEDS


# --- the rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["decode", "prefill"])
@pytest.mark.parametrize("draws", [0, 3])
def test_each_row_is_what_the_model_says_of_it(phase: str, draws: int) -> None:
    axes = ["accelerators=16", "expert_parallel=32", "matrix_precision=int8,w4a8"]
    drafted = ["batch=16,96", "context=4096", "tokens_per_step=nan", "draft_tokens=2,3"]
    axes += ["batch=4096,16384", "context=1024,4096"] if phase == "prefill" else drafted
    found = grid.plan(phase, ["deepseek-r1", "ascend-910c"], axes, draws=draws)
    rows = sweep.table(found, 0)
    assert len(rows) == found.rows == 8 * max(draws, 1)
    fields = {field.name for field in dataclasses.fields(Deployment)}
    table = SPECS.sample(draws, found.seed) if draws else SPECS
    run = decode if phase == "decode" else prefill
    for number, row in enumerate(rows.to_dict("records")):
        alone = run(table, load_model(row["model"]), Deployment(**{n: row[n] for n in fields & row.keys()}))
        each = [
            alone.throughput.m,
            alone.memory / 1e9,
            alone.tpot.m if phase == "decode" else alone.step * 1e3,
        ]
        draw = number % draws if draws else 0
        expected = [np.broadcast_to(value, max(draws, 1))[draw] for value in each]
        given = [row["throughput"], row["memory"], row["tpot" if phase == "decode" else "step"]]
        assert given == pytest.approx(expected, rel=1e-12)
        assert row["refused"] == ""


NUMERIC = {"context": "1024,4096", "ranks": "32,64,320", "tokens": "32,128", "price": "0.05,0.1",
           "utilisation": "0.5,1", "accelerators": "1,384", "bits": "4,8,16",
           "prompt": "1024,4096", "output": "256,1024", "tpot": "30,50", "batch": "8,32",
           "sequence": "4096,8192", "expert_parallel": "32,64", "tensor_parallel": "1,2",
           "usd_per_hour": "2,4", "recomputed": "0.5,1", "mfu": "0.2,0.4", "systems": "1,8"}  # fmt: skip
WORDS = {"op": "dispatch", "workload": "decode", "precision": "bf16", "comparator": "gb200-nvl72",
         "run": "MINDSPEED-A3-V3", "model": "deepseek-v3"}  # fmt: skip
MACHINES = {"exchange_time": "ascend-910c", "exchange_round_trip": "ascend-910c", "peak_by_bits": "h100-sxm",
            "flop_per_prompt_token": "deepseek-r1", "flop_per_output_token": "deepseek-r1",
            "training_flop_per_token": "deepseek-v3", "training_hardware_flop_per_token": "deepseek-v3",
            "bytes_per_output_token": "ascend-910c", "served_throughput": "ascend-910c",
            "rental_cost": "h100-sxm", "matched_throughput": "gb200-nvl72",
            "prefill_per_decode": "gb200"}  # fmt: skip
ARRAYS = sorted(name for name in derivations() if numeric_conditions(name))


@pytest.mark.parametrize("quantity", ARRAYS)
def test_every_registered_figure_takes_its_numbers_as_arrays(quantity: str) -> None:
    """All at once give what each gives alone, central and over draws of the sources."""
    subject = MACHINES.get(quantity, "cloudmatrix-384")
    given = {name: NUMERIC.get(name) or WORDS.get(name, "") for name in conditions_of(quantity)}
    axes = [f"{name}={values}" for name, values in given.items() if values]
    for draws in (0, 5):
        rows = sweep.table(grid.plan(quantity, [subject], axes, draws=draws), 0)
        assert rows["refused"].unique().tolist() == [""]
        assert len(rows[quantity].unique()) > 1
        table = SPECS.sample(draws, grid.SEED) if draws else SPECS
        for number, row in enumerate(rows.to_dict("records")):
            asked = {name: row[name] for name in given if name in row}
            alone = derive(quantity, subject, table, **asked).to(SPECS.kinds[quantity].unit).m
            draw = number % draws if draws else 0
            assert row[quantity] == pytest.approx(np.broadcast_to(alone, max(draws, 1))[draw], rel=1e-12)


def test_what_cannot_be_has_its_reason_and_takes_nothing_else_with_it() -> None:
    axes = ["accelerators=160", "matrix_precision=int8", "context=4096", "expert_parallel=300,320"]
    found = grid.plan("decode", ["deepseek-r1", "ascend-910c"], [*axes, "batch=96,384"], draws=2)
    rows = sweep.table(found, 0)
    indivisible = "expert_parallel: 320 ranks do not divide into groups of 300"
    memory = "batch: weights and KV cache do not fit in memory"
    assert rows["refused"].tolist() == [indivisible] * 4 + ["", "", memory, memory]
    assert rows["tpot"].isna().tolist() == [True] * 4 + [False] * 2 + [True] * 2
    # all of them too large: the least one says how much
    rows = sweep.table(dataclasses.replace(found, axes=(*found.axes[:-1], pd.DataFrame({"batch": [384]}))), 0)
    assert rows["refused"].iloc[-1].startswith("batch: weights and KV cache take ")


def test_what_no_source_states_is_an_empty_row_and_not_the_end() -> None:
    found = grid.plan("peak", [], ["subject=h20,b200", "precision=fp4,fp8", "basis=matrix"])
    rows = sweep.table(found, 0)
    assert rows["peak"].round().tolist()[1:] == [296, 9000, 4500]
    assert np.isnan(rows["peak"][0])
    assert rows["refused"][0].startswith("h20 has no peak for precision=fp4, basis matrix; stated: ")


def test_a_notebook_is_a_row_with_its_answer_and_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs a notebook is tested elsewhere; here the committed one comes back."""
    given: list[Any] = []

    def execute(path: Path, out: Path, values: Any) -> None:
        given.append(values)
        out.write_bytes(path.read_bytes())

    monkeypatch.setattr(notebooks, "execute", execute)
    found = grid.plan("09-uncertainty", [], ["samples=100,200", "seed=7"])
    made, cost = sweep.part(found, 1)
    assert given == [{"samples": 200, "seed": 7}]
    assert list(made) == ["_part-000001.ipynb", "part-000001.parquet"]
    assert made["_part-000001.ipynb"] == (notebooks.NOTEBOOKS / "09-uncertainty.ipynb").read_bytes()
    (row,) = pd.read_parquet(io.BytesIO(made["part-000001.parquet"])).to_dict("records")
    assert (row["samples"], row["seed"], row["notebook"]) == (200, 7, "_part-000001.ipynb")
    assert "computed claims depend on which source one believes" in row["answer"]
    assert cost[:3] == (1, 0, "")


# --- workers --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers of this machine."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as found:
        yield found


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    """The parts of the small plan, one after the other in this process."""
    found = small()
    return {name: content for i in range(found.parts) for name, content in sweep.part(found, i)[0].items()}


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


def test_a_worker_that_dies_loses_nothing_and_changes_nothing(
    tmp_path: Path, cluster: LocalCluster, expected: dict[str, bytes]
) -> None:
    killed, seen = [worker.pid for worker in cluster.workers.values()][:1], [0]

    def kill_one(rows: int) -> None:
        seen.append(seen[-1] + rows)
        if seen[-1] == 24_000:  # half of them
            os.kill(killed[0], signal.SIGKILL)

    costs = sweep.sweep(small(), tmp_path, scheduler=cluster.scheduler_address, progress=kill_one)
    assert not psutil.pid_exists(killed[0])
    assert (len(costs), seen[-1]) == (24, 48_000)
    assert parts(tmp_path) == expected
    assert len(pd.read_parquet(tmp_path)) == 48_000


def test_a_run_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, cluster: LocalCluster, expected: dict[str, bytes]
) -> None:
    out, asked = tmp_path / "out", tmp_path / "plan.pickle"
    asked.write_bytes(pickle.dumps(small()))
    code = (
        "import pickle, sys; from pathlib import Path; from cm384.sweep import sweep; "
        "sweep(pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]), scheduler=sys.argv[3])"
    )
    words = [sys.executable, "-c", code, str(asked), str(out), cluster.scheduler_address]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(parts(out)) < 4:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    finished = {path.name: path.stat().st_ino for path in out.glob("part-*")}
    assert 4 <= len(finished) < 24
    costs = sweep.sweep(small(), out, scheduler=cluster.scheduler_address)
    assert len(costs) == 24 - len(finished)
    assert {name: (out / name).stat().st_ino for name in finished} == finished
    assert parts(out) == expected
    assert sweep.in_words(small(), costs) == f"48,000 rows in 24 parts, {len(costs)} of them new"


def test_a_folder_goes_on_with_its_own_sweep_alone(tmp_path: Path, expected: dict[str, bytes]) -> None:
    found, told = small(), []
    for name, content in expected.items():
        (tmp_path / name).write_bytes(content)
    sweep._claim(found, tmp_path)
    assert sweep.sweep(found, tmp_path, progress=told.append).empty  # nothing is left, nobody is started
    assert told == [48_000]
    for other, what in (
        (dataclasses.replace(found, draws=999), "draws"),
        (dataclasses.replace(found, axes=found.axes[::-1]), "grid"),
        (dataclasses.replace(found, inputs="of another table"), "data and code"),
        (dataclasses.replace(found, seed=1, size=4000), "seed and rows of a part"),
    ):
        with pytest.raises(InputError, match=f"holds a sweep of another {what}; name another folder$"):
            sweep.sweep(other, tmp_path)


def test_a_worker_with_other_data_is_refused() -> None:
    with pytest.raises(InputError, match="a worker has other data, code or numpy"):
        sweep.part(dataclasses.replace(small(), inputs="of another table"), 0)


def test_a_file_of_specs_moves_the_rows_and_names_the_sweep(tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    header = "subject,quantity,conditions,value,unit,basis,role,group,source,locator,note"
    path.write_text(f"{header}\nh20,peak,precision=bf16,200,TFLOP/s,matrix,central,,a page,line 1,\n")
    own, other = (grid.plan("peak", ["h20"], ["precision=bf16"], more=more) for more in ((), (path,)))
    assert [sweep.table(found, 0)["peak"][0] for found in (own, other)] == [148, 200]
    assert own.inputs != other.inputs


# --- page 15 --------------------------------------------------------------------------------------


def committed(name: str) -> list[dict[str, float]]:
    text = (DATA / "derived" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return [{column: float(cell) for column, cell in line.items()} for line in csv.DictReader(text)]


def test_the_summary_is_of_ten_million_rows() -> None:
    found, lines = sweep.rivals(), committed("sweep")
    assert (found.rows, found.parts, len(lines)) == (10**7, 100, 100)
    firsts = [found.part(i).iloc[0] for i in range(100)]
    assert [(line["context"], line["draft_tokens"]) for line in lines] == [
        (first["context"], first["draft_tokens"]) for first in firsts
    ]
    assert [(cost["rows"], cost["workers"]) for cost in committed("sweep_cost")] == [
        (400_000, 1), (2_000_000, 1), (10**7, 1), (10**7, 2)
    ]  # fmt: skip


@pytest.mark.parametrize("index", [0, 33])
def test_a_hundredth_of_it_is_what_the_summary_says(index: int) -> None:
    assert sweep.beats(sweep.table(sweep.rivals(), index)) == pytest.approx(
        committed("sweep")[index], rel=1e-5
    )


def test_what_beats_is_counted_by_hand() -> None:
    """Two deployments against one, three draws, 50 ms: 9 and 8 tokens/s against 7, 8 and 9."""
    rows = pd.DataFrame({
        "context": 4096, "draft_tokens": 1, "microbatches": 1, "batch": np.repeat([8, 16, 24], 3),
        "accelerator": np.repeat(["ascend-910c", "ascend-910c", "h800-sxm"], 3),
        "expert_parallel": np.repeat([320, 64, 32], 3), "draw": [0, 1, 2] * 3,
        "tpot": [49, 50, 51, 20, 20, 20, 50, 50, 50], "throughput": [9, 9, 99, 8, 8, 8, 7, 8, 9],
    })  # fmt: skip
    found = sweep.beats(rows)
    # The first beats in two draws of three and is too slow in the third; the second beats in one.
    assert (found["deployments"], found["keep"], found["beat"]) == (2, 2, 1)
    assert (found["best"], found["reference"]) == (9, 8)  # of 9, 9, 8 and of 7, 8, 9
    assert found["ratio"] == pytest.approx(9 / 8)  # of 9/7, 9/8 and 8/9
    assert found["share"] == pytest.approx(2 / 3)
    assert (found["expert_parallel"], found["batch"]) == (320, 8)
    assert (found["reference_expert_parallel"], found["reference_batch"]) == (32, 24)
