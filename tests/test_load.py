"""Closed loops of users, and what third parties measured of them."""

from __future__ import annotations

import csv
import dataclasses
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cm384 import Deployment, decode, load_model, load_specs, prefill
from cm384.physics.check import predict, spread, validate
from cm384.physics.load import Stage, closed_loop, rate_match, transfer
from cm384.physics.serving import largest_batch
from cm384.table import units
from cm384.table.errors import DATA, InputError
from cm384.table.records import Loop, Measurement
from cm384.table.specs import load_measurements, load_third_party

SPECS, R1 = load_specs(), load_model("deepseek-r1")
THIRD = {row.id: row for row in load_third_party()}
TP8 = Deployment("b200", 8, 1, 1, 1, tensor_parallel=8, output=900, routing="unbalanced")
DP8 = dataclasses.replace(TP8, expert_parallel=8, tensor_parallel=1)


def users(concurrency: float, prompt: float = 900, ttft: float = 300, aggregated: bool = False) -> Loop:
    return Loop(concurrency, prompt, 1, ttft, aggregated)


# --- the loop ------------------------------------------------------------------------------------


def test_disaggregated_loop_keeps_littles_law() -> None:
    """64 users of one group of 8: those that decode are 64 × 899 TPOT ÷ (TTFT + 899 TPOT)."""
    found = closed_loop(SPECS, R1, TP8, users(64))
    tpot = float(found.tpot.to("s").m)
    decoding = 64 * 899 * tpot / (0.3 + 899 * tpot)
    at = dataclasses.replace(TP8, batch=decoding / 8, context=900 + 450)
    assert float(decode(SPECS, R1, at).tpot.to("s").m) == pytest.approx(tpot, rel=1e-6)
    assert 55 < decoding < 64


def test_aggregated_step_bears_the_prompts_that_replace_what_it_finishes() -> None:
    """A request gives one of its 900 tokens a step, so B ÷ 900 prompts are prefilled beside it."""
    found = closed_loop(SPECS, R1, TP8, users(64, aggregated=True))
    prompt = float(prefill(SPECS, R1, dataclasses.replace(TP8, batch=900 / 8, context=900, output=0)).step)
    bearing = float(found.breakdown["prefill"])
    requests = bearing / prompt * 900
    at = dataclasses.replace(TP8, batch=requests / 8, context=900 + 450)
    step = float(decode(SPECS, R1, at).step)
    assert float(found.step) == pytest.approx(step + bearing, rel=1e-6)
    decoding = 899 * found.step
    first = float(found.ttft.to("s").m)
    assert requests == pytest.approx(64 * decoding / (first + decoding), rel=1e-4)
    # Of 63 others, those who are before their first token are in the way (mean values).
    queue = first - step / 2
    assert queue == pytest.approx(prompt * (1 + 63 * queue / (first + decoding)), rel=1e-6)
    assert prompt < queue < 2 * prompt


def test_groups_of_data_parallel_attention_share_the_users() -> None:
    """Eight groups of one rank: each has an eighth of the users."""
    found = closed_loop(SPECS, R1, DP8, users(64, ttft=1e-9))
    at = dataclasses.replace(DP8, batch=8.0, context=900 + 450)
    assert float(found.tpot.m) == pytest.approx(float(decode(SPECS, R1, at).tpot.m), rel=1e-9)


def test_workers_share_the_users() -> None:
    two = dataclasses.replace(users(64), workers=2)
    one = closed_loop(SPECS, R1, TP8, users(32))
    assert float(closed_loop(SPECS, R1, TP8, two).tpot.m) == pytest.approx(float(one.tpot.m), rel=1e-9)


def test_a_loop_broadcasts() -> None:
    many = closed_loop(SPECS, R1, TP8, users(np.array([4.0, 16.0, 64.0])))
    for i, count in enumerate((4, 16, 64)):
        alone = closed_loop(SPECS, R1, TP8, users(count))
        assert float(many.tpot.m[i]) == pytest.approx(float(alone.tpot.m), rel=1e-12)


def test_a_loop_without_answers_is_refused() -> None:
    with pytest.raises(InputError, match="output: expected more than 1 token in a closed loop"):
        closed_loop(SPECS, R1, dataclasses.replace(TP8, output=1), users(4))


def test_a_queue_by_hand() -> None:
    """Three users, 2 s a prompt, back after 4 s, 1 s to send: R = 2 (1 + 2 R ÷ (R + 5)) = ½ + √10.25."""
    apart = Stage(2.0, 1.0, 1.0, aggregated=False)
    assert apart.seconds(3, 4.0, 0.5) == pytest.approx(0.5 + 10.25**0.5 + 1)
    # R = 2 + ½ · 2 · 2 R ÷ (R + 5) with two servers: R² + R = 10
    assert dataclasses.replace(apart, servers=2.0).seconds(3, 4.0, 0.5) == pytest.approx(
        (-1 + 41**0.5) / 2 + 1
    )
    # in the steps of decode half a step of 0.5 s more: R = 2 (1 + 2 R ÷ (R + 5.25))
    shared = dataclasses.replace(apart, aggregated=True).seconds(3, 4.0, 0.5)
    assert shared == pytest.approx(0.375 + (0.375**2 + 10.5) ** 0.5 + 1.25)
    assert apart.seconds(1, 4.0, 0.5) == pytest.approx(2 + 1)
    assert apart.seconds(0.5, 4.0, 0.5) == pytest.approx(2 + 1)  # nobody else is before it


@pytest.mark.parametrize("users", [2.0, 30.0, 5000.0])
def test_so_many_servers_keep_a_first_token(users: float) -> None:
    stage = Stage(2.0, 1.0, 1.0, aggregated=False)
    needed = stage.servers_for(5.0, users, 40.0)
    assert dataclasses.replace(stage, servers=needed).seconds(users, 40.0, 0.1) == pytest.approx(5.0)


def test_a_first_token_before_its_prompt_is_refused() -> None:
    stage = Stage(2.0, 1.0, 1.0, aggregated=False)
    with pytest.raises(InputError, match="a prompt alone takes 3,000 ms, not 3,000"):
        stage.servers_for(3.0, 9, 40.0)
    assert stage.servers_for(3.0001, 9, 40.0) > 0


def test_users_that_do_not_fit_wait() -> None:
    """What fits decodes; a user is in one of three places, in each as often as its time there says."""
    output, concurrency = 900, 1e5
    wide = dataclasses.replace(TP8, batch=1, context=900 + 450)
    fitting = float(largest_batch(SPECS, R1, wide, None)) * 8
    loop = dataclasses.replace(users(concurrency), workers=2)
    found = closed_loop(SPECS, R1, TP8, loop)
    assert float(found.running) * 8 == pytest.approx(fitting)
    decoding = (output - 1) * float(found.step)
    waiting = concurrency / 2 / fitting * decoding - decoding - 0.3
    assert float(found.queued) == pytest.approx(waiting / (waiting + 0.3 + decoding))
    # each group of eight gives a token of every request that it decodes in a step
    assert float(found.served.m) == pytest.approx(fitting / 8 / float(found.step))
    assert float(closed_loop(SPECS, R1, TP8, users(64)).queued) == 0
    # who waits for memory has no first token yet, where the sentence does not say when it comes
    described = {"ttft": np.nan, "prefill_workers": 3, "prefill_accelerators": 8,
                 "prefill_tensor_parallel": 8, "prefill_expert_parallel": 1}  # fmt: skip
    first = float(closed_loop(SPECS, R1, TP8, dataclasses.replace(loop, **described)).first)
    assert (first + decoding) / decoding == pytest.approx(concurrency / 2 / fitting)


def test_prefill_on_chips_of_its_own_is_a_queue_and_a_transfer() -> None:
    """Three groups of eight take 900 tokens each; then 61 × 576 elements of two bytes a token are sent."""
    alone = dataclasses.replace(TP8, batch=900 / 8, context=900, output=0)
    sent = 900 * 61 * 576 * 2 / 50e9  # 400 Gbit/s a chip
    assert float(transfer(SPECS, R1, alone)) == pytest.approx(sent)
    loop = Loop(64, 900, 2, np.nan, False, 3, 8, 8, 1)
    found = closed_loop(SPECS, R1, TP8, loop)
    stage = Stage(float(prefill(SPECS, R1, alone).step), 3.0, sent, aggregated=False)
    step = float(found.step)
    assert float(found.first) == pytest.approx(stage.seconds(64, 899 * step, step))
    # a package of two dies has one link for both
    pair = Deployment("ascend-910c", 16, 32, 900, 900, matrix_precision="int8", attention_precision="bf16")
    assert float(transfer(SPECS, R1, pair)) == pytest.approx(900 * 61 * 576 * 2 / 25e9)


def test_drafts_that_are_kept_count_for_every_user() -> None:
    """64 users on 2 × 8 chips, 1.7 tokens a step: what all get a second is 64 × 1.7 ÷ the step."""
    drafting = dataclasses.replace(TP8, draft_tokens=1, tokens_per_step=1.7)
    found = closed_loop(SPECS, R1, drafting, dataclasses.replace(users(64), workers=2))
    assert float(found.throughput.m) * 16 == pytest.approx(64 * 1.7 / float(found.step))
    assert float(found.served.m) == pytest.approx(float(found.running) * 1.7 / float(found.step))


def test_rates_of_prefill_and_decode_by_hand() -> None:
    """2,000 tokens/s in answers of 500 are 4 requests of 1,000 tokens: ½ of a chip that takes 8,000."""
    filled, decoded = (SimpleNamespace(throughput=units.Q(rate, "token/s")) for rate in (8000.0, 2000.0))
    ratio, both = rate_match(filled, decoded, 1000, 500)  # type: ignore[arg-type]
    assert ratio == pytest.approx(0.5)
    assert both.m == pytest.approx(2000 / 1.5)


# --- rows of a file ------------------------------------------------------------------------------

LOOP = {
    "id": "MINE", "model": "deepseek-r1", "accelerator": "b200", "accelerators": "8", "expert_parallel": "1",
    "tensor_parallel": "8", "phase": "decode", "batch": "", "context": "", "output": "900",
    "matrix_precision": "fp8", "attention_precision": "fp8", "kv_precision": "fp8",
    "routing": "unbalanced", "microbatches": "1", "draft_tokens": "0", "tokens_per_step": "1",
    "tpot": "20", "throughput": "", "serving": "aggregated", "concurrency": "64", "prompt": "900",
    "assumed": "", "source": "", "locator": "", "note": "",
}  # fmt: skip


def read(folder: Path, **changes: str) -> Measurement:
    path = folder / "mine.csv"
    with path.open("w") as file:
        writer = csv.DictWriter(file, [*LOOP, "ttft"])
        writer.writeheader()
        writer.writerow(LOOP | {"ttft": ""} | changes)
    return load_measurements(path, SPECS)[0]


def test_a_closed_loop_needs_neither_batch_nor_context(tmp_path: Path) -> None:
    row = read(tmp_path)
    line = validate([row], SPECS).iloc[0]
    # as if no user waited for a first token: 64 ÷ 8 chips ÷ 20 ms
    assert line["measured"] == pytest.approx(64 / 8 / 0.020)
    assert line["error"] == pytest.approx(20 / float(predict(row, SPECS).tpot.m) - 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"serving": ""}, "serving: not stated, in a closed loop"),
        ({"prompt": ""}, "prompt: not stated, in a closed loop"),
        ({"output": ""}, "output: not stated, in a closed loop"),
        ({"serving": "disaggregated"}, "ttft: not stated, in a closed loop"),
        ({"tokens_per_step": ""}, "tokens_per_step: not stated"),
    ],
)
def test_what_a_closed_loop_lacks_is_named(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    assert validate([read(tmp_path, **changes)], SPECS)["reason"].tolist() == [reason]


@pytest.mark.parametrize(
    ("column", "cell", "told"),
    [
        ("serving", "agregated", "column serving: 'agregated' is not known; did you mean 'aggregated'?"),
        ("concurrency", "0", "column concurrency: '0'; expected more than 0, or nothing"),
        ("ttft", "-3", "column ttft: '-3'; expected more than 0, or nothing"),
    ],
)
def test_bad_cell_of_a_loop_is_one_line(tmp_path: Path, column: str, cell: str, told: str) -> None:
    with pytest.raises(InputError, match=r"mine\.csv line 2") as error:
        read(tmp_path, **{column: cell})
    assert told in str(error.value)


def test_rows_together_are_as_each_alone() -> None:
    """Numbers of a group are computed at once; a row that is refused takes no other with it."""
    rows = [row for row in THIRD.values() if row.accelerator == "h200-sxm" and row.model == "deepseek-r1"][
        :25
    ]
    rows += [dataclasses.replace(rows[0], expert_parallel="3"), dataclasses.replace(rows[0], model="tiger")]
    together = validate(rows, SPECS)
    alone = pd.concat([validate([row], SPECS) for row in rows], ignore_index=True)
    assert together["predicted"].tolist() == pytest.approx(alone["predicted"].tolist(), rel=1e-9, nan_ok=True)
    assert together["reason"].tolist() == alone["reason"].tolist()
    assert "do not divide" in together["reason"].iloc[-2]


# --- third parties -------------------------------------------------------------------------------


@cache
def lines() -> pd.DataFrame:
    """What the model says of every point, in the process that asks."""
    return validate(THIRD.values(), SPECS).assign(note=[row.note for row in THIRD.values()])


def plain() -> pd.DataFrame:
    """The points of DeepSeek without drafts."""
    return lines()[(lines()["model"] == "deepseek-r1") & lines()["note"].str.startswith("no drafts")]


def test_points_of_third_parties_are_those_that_are_described() -> None:
    deepseek = lines()[lines()["model"] == "deepseek-r1"]
    assert (len(deepseek), len(lines()) - len(deepseek), len(plain())) == (1190, 2130, 521)
    assert len(THIRD) == len(lines())  # no id twice
    first = pd.read_csv(DATA / "first_seen" / "third_party.csv")
    assert set(plain()["id"]) <= set(first["id"])
    counted = {"no drafts": 521, "drafts": 315, "with drafts or without": 48, "several recipes": 114,
               "layout lost": 182, "attention by data": 10}  # fmt: skip
    for start, count in counted.items():
        assert deepseek["note"].str.startswith(start).sum() == count, start
    text = (DATA / "third_party" / "README.md").read_text(encoding="utf-8")
    assert all(str(count) in text for count in counted.values())
    assert "Apache-2.0" in text


def test_aims_on_points_without_drafts() -> None:
    """Median within 14 %, nine in ten within 32 %, bias within 6 %; at least 95 % answered."""
    found = spread(plain())
    assert found["median"] == pytest.approx(0.103, abs=0.002)
    assert found["median"] <= 0.14
    assert found["nine in ten"] == pytest.approx(0.256, abs=0.004)
    assert found["nine in ten"] <= 0.32
    assert found["bias"] == pytest.approx(-0.012, abs=0.004)
    assert abs(found["bias"]) <= 0.06
    assert plain()["error"].notna().mean() >= 0.95


def test_nearer_than_the_tool_that_interpolates_kernels_on_its_own_points() -> None:
    theirs = pd.read_csv(DATA / "third_party" / "aiconfigurator.csv").set_index("measurement")["predicted"]
    both = plain()[plain()["id"].isin(theirs.index)]
    assert len(both) == len(theirs) == 121
    other = spread(both.assign(error=both["id"].map(theirs) / both["measured"] - 1))
    ours = spread(both)
    assert (other["median"], other["nine in ten"]) == pytest.approx((0.169, 0.362), abs=0.001)
    assert ours["median"] < 0.11 < other["median"]
    assert ours["nine in ten"] < 0.22 < other["nine in ten"]


def test_the_worst_of_third_parties_are_those_that_are_named() -> None:
    """H100 with data parallel attention, and B300 under one version of one engine."""
    far = plain()[plain()["error"] > 0.5]["accelerator"].value_counts()
    assert far.drop(["h100-sxm", "b300"]).sum() <= 2 < far["h100-sxm"] + far["b300"]
    tensor = {row.id: row.tensor_parallel for row in THIRD.values()}
    data_parallel = plain()[(plain()["accelerator"] == "h100-sxm") & (plain()["id"].map(tensor) == "1")]
    assert data_parallel["error"].median() == pytest.approx(0.62, abs=0.03)
