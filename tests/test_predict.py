"""Anybody's questions on the command line, as public requests ask them, with what is right for each.

Of the public cases D18 asks what fits, D19 brings a chip, D20 wants a forecast, D22 a price, D23 the smallest
system for users and a latency, D26 what bounds it; B are models by their config, C runs that were measured.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from strangers import refused

import cm384
from cm384.__main__ import main
from cm384.ledger.record import data_version
from cm384.physics import check, forecast
from cm384.physics.load import closed_loop
from cm384.table.errors import DATA, meant
from cm384.table.records import Deployment, Loop
from cm384.table.specs import load_third_party

SPECS = cm384.load_specs()
R1 = cm384.load_model("deepseek-r1")
ON_EIGHT = ("--accelerators", "8", "--tensor-parallel", "8")


def cm(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def asked(*words: str | Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The lines of a forecast by part and figure."""
    found = cm("predict", *words, "--format", "csv")
    assert (found.exit_code, found.stderr) == (0, ""), found.stderr
    lines = csv.DictReader(io.StringIO(found.stdout))
    return {(line["part"], line["figure"]): {**line, "value": float(line["value"])} for line in lines}


def refusal(*words: str | Path) -> str:
    found = cm(*words)
    assert found.exit_code == 2, found.output
    assert found.stderr.startswith("cm384: ")
    assert found.stderr.count("\n") == 1
    return found.stderr.removeprefix("cm384: ").removesuffix("\n")


# --- D18: what batch fits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "chips", "context", "requests"),
    [("H200", 8, 131072, 5), ("h100", 16, 32768, 15), ("h100", 16, 131072, 3)],
)
def test_what_fits_by_sizes_alone(chip: str, chips: int, context: int, requests: int) -> None:
    """Room over the cache of one: 576 elements of 2 bytes in 61 layers, whole on each rank of a group."""
    layout = ("--accelerators", str(chips), "--tensor-parallel", str(chips), "--context", str(context))
    found = asked("deepseek-r1", chip, *layout, "--sizes")
    one = 61 * 576 * 2 * context / 1e9
    weights, capacity = found["fits", "weights of a rank"], {"H200": 141, "h100": 80}[chip]
    assert weights["note"] == f"of {capacity} GB"
    assert found["fits", "requests of an instance"]["value"] == requests
    assert int((capacity - weights["value"]) / one) == requests
    longest = (capacity - weights["value"]) * 1e9 / (61 * 576 * 2)
    assert found["fits", "longest context"]["value"] == pytest.approx(longest, rel=1e-5)


def test_what_fits_within_a_limit() -> None:
    """As many requests as keep 16 ms, by stepping through them."""
    step = {
        n: float(
            cm384.decode(
                SPECS, R1, Deployment("h200-sxm", 8, 8, n / 8, 8192, 8, routing="unbalanced", output=1024)
            ).tpot.m
        )
        for n in range(1, 9)
    }
    most = max(n for n, time in step.items() if time <= 16)
    found = asked("r1", "h200", *ON_EIGHT, "--context", "8192", "--tpot", "16")
    assert found["both", "users"]["value"] == most
    assert found["decode", "time per token"]["value"] == pytest.approx(step[most], rel=1e-5)


@pytest.mark.parametrize("chip", ["ascend-310b", "mi300x", "A100", "910b2", "gb300"])
def test_sizes_are_known_of_any_chip(chip: str) -> None:
    found = asked(
        "llama-3-8b",
        chip,
        "--sizes",
        "--context",
        "1024",
        "--matrix-precision",
        "int8",
        "--kv-precision",
        "fp8",
        *(("--accelerators", "4", "--tensor-parallel", "4") if chip == "ascend-310b" else ()),
    )
    assert found["fits", "requests of an instance"]["value"] >= 1


# --- D19: a chip of one's own -------------------------------------------------------------------


def test_chip_of_ones_own_takes_one_file_and_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Trainium3's data sheet: FP8 2,517 and BF16 671 TFLOPS, 144 GB, 4.9 TB/s, 1.28 TB/s of links."""
    monkeypatch.chdir(tmp_path)
    written = cm("new", "chip", "trainium-3")
    assert written.exit_code == 0
    path = Path("trainium-3.csv")
    assert written.stderr.splitlines()[-1] == "cm384 predict deepseek-r1 trainium-3 --specs trainium-3.csv"
    told = refusal("predict", "deepseek-r1", "trainium-3", "--specs", path)
    assert told == (
        "trainium-3.csv line 2, column value: 'VALUE'; expected a positive number; "
        "likewise in line 3, 4, 5, 6, 7, 8"
    )
    values = iter(("671", "2517", "144", "4.9", "1280"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(line.replace("VALUE", next(values)) for line in lines[1:6])]))
    found = asked("deepseek-r1", "trainium-3", "--specs", path, "--accelerators", "64")
    rate = found["decode", "throughput"]
    table = cm384.load_specs(path)
    deployment = Deployment(
        "trainium-3",
        64,
        64,
        found["decode", "requests on a chip"]["value"],
        4608,
        output=1024,
        routing="unbalanced",
    )
    several = cm384.Estimated(cm384.decode(cm384.estimate(table, "trainium-3"), R1, deployment).throughput.m)
    assert float(rate["low"]) == pytest.approx(float(several.low), rel=1e-5)
    assert float(rate["high"]) == pytest.approx(float(several.high), rel=1e-5)
    assert rate["note"] == str(several)
    assert ("error", "decode, half within") not in found  # of an estimate none is known


def test_all_that_a_chip_lacks_is_printed_to_paste(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        f"{(DATA / 'specs.csv').read_text().splitlines()[0]}\n"
        "newchip,peak,precision=fp8,2000,TFLOP/s,matrix,central,,me,here,\n"
    )
    found = cm("predict", "deepseek-r1", "newchip", "--specs", path)
    assert found.exit_code == 2
    assert found.stdout.splitlines() == [
        "newchip,peak,precision=bf16,VALUE,TFLOP/s,matrix,central,,SOURCE,PLACE,",
        "newchip,hbm_bandwidth,,VALUE,TB/s,nominal,central,,SOURCE,PLACE,",
        "newchip,hbm_capacity,,VALUE,GB,nominal,central,,SOURCE,PLACE,",
        "newchip,scale_up_bandwidth,,VALUE,GB/s,one-way,central,,SOURCE,PLACE,",
    ]
    assert found.stderr == (
        "cm384: a forecast on newchip needs what is printed above, completed, in a file of "
        "--specs; --sizes needs the capacity alone\n"
    )
    path.write_text(path.read_text() + found.stdout.replace("VALUE", "2"))
    assert asked(
        "llama-3-8b", "newchip", "--specs", path, "--sizes", "--accelerators", "16", "--tensor-parallel", "8"
    )


def test_unknown_chip_is_told_how_to_become_known() -> None:
    assert refusal("predict", "r1", "newchip").endswith(
        "; `cm384 new chip newchip` writes a file for one of your own"
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("H200", "chip 'H200'; expected lower-case letters, digits, hyphens and dots"),
        ("h20", "h20: is there already"),
    ],
)
def test_new_chip_replaces_nothing(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("new", "chip", name) == told
    (tmp_path / "x1.csv").write_text("mine")
    assert refusal("new", "chip", "x1") == "x1.csv: is there already"
    assert (tmp_path / "x1.csv").read_text() == "mine"


# --- D20 and C: a forecast, beside what was measured -----------------------------------------------


@pytest.mark.parametrize(("batch", "measured"), [(1, 12.8), (2, 17.2), (4, 25.6), (8, 34.6)])
def test_forecast_needs_no_measurement(batch: int, measured: float) -> None:
    """Eight H200 as InferenceX ran them in issue 870: within three in ten, which is what nine in ten keep."""
    found = asked("deepseek-r1", "h200", *ON_EIGHT, "--batch", str(batch), "--context", "1536")
    time, error = (
        found["decode", "time per token"]["value"],
        found["error", "decode, nine in ten within"]["value"],
    )
    assert 20 < error < 40
    assert abs(time / measured - 1) < error / 100
    deployment = Deployment("h200-sxm", 8, 8, batch, 1536, 8, output=1024, routing="unbalanced")
    result = cm384.decode(SPECS, R1, deployment)
    assert time == pytest.approx(float(result.tpot.m), rel=1e-5)
    rate = found["decode", "throughput"]
    assert rate["value"] == pytest.approx(batch * 1e3 / time, rel=1e-5)
    assert float(rate["low"]) < rate["value"] < float(rate["high"])
    assert found["decode", "throughput of all"]["value"] == pytest.approx(8 * rate["value"], rel=1e-5)
    assert found["decode", "memory of a rank"]["value"] == pytest.approx(float(result.memory) / 1e9, rel=1e-5)


def test_users_of_one_instance_that_does_both() -> None:
    """As `closed_loop` settles at 32 users: the first token and the steps that prompts make longer."""
    found = asked(
        "deepseek-r1",
        "h200",
        *ON_EIGHT,
        "--users",
        "32",
        "--serving",
        "aggregated",
        "--prompt",
        "1024",
        "--output",
        "1024",
        "--usd-per-hour",
        "85/8",
    )
    deployment = Deployment("h200-sxm", 8, 8, 4, 1536, 8, output=1024, routing="unbalanced")
    loaded = closed_loop(SPECS, R1, deployment, Loop(32, 1024, 1, np.nan, aggregated=True))
    assert found["both", "time to the first token"]["value"] == pytest.approx(float(loaded.ttft.m), rel=1e-5)
    assert found["both", "time to the first token"]["note"] == "at least"
    assert found["decode", "time per token"]["value"] == pytest.approx(float(loaded.tpot.m), rel=1e-5)
    # what prompts and outputs cost together is the price of the machine
    hour = 8 * 3600 * float(loaded.served.m)
    spent = sum(
        found["price", f"million {what} tokens"]["value"] * hour / 1e6 for what in ("prompt", "output")
    )
    assert spent == pytest.approx(85, rel=1e-4)


@pytest.mark.parametrize(("users", "kept"), [(None, (107, 1)), (2000, (2000, 19))])
def test_most_users_or_fewest_instances_that_keep_a_limit(users: int | None, kept: tuple[int, int]) -> None:
    """One user more, or an instance less, takes longer than 40 ms a token."""
    words = ("r1", "h200", *ON_EIGHT, "--serving", "aggregated", "--prompt", "1024", "--output", "1024")
    found = asked(*words, "--tpot", "40", *(("--users", str(users)) if users else ()))
    taken = found["both", "users"]["value"], found["decode", "instances"]["value"]
    assert taken == kept
    deployment = Deployment("h200-sxm", 8, 8, 1, 1536, 8, output=1024, routing="unbalanced")

    def time(users: float, instances: float) -> float:
        loop = Loop(users, 1024, instances, np.nan, aggregated=True)
        return float(closed_loop(SPECS, R1, deployment, loop).tpot.m)

    assert found["decode", "time per token"]["value"] == pytest.approx(time(*taken), rel=1e-5)
    assert time(*taken) <= 40 < (time(2000, 18) if users else time(108, 1))


def test_model_of_a_config_and_of_its_published_name() -> None:
    """B: a path or a name; MiniMax-M2.5 on 8 H200, as others ran it."""
    path = DATA / "models" / "minimax-m2.5.json"
    by = [
        asked(model, "h200", *ON_EIGHT, "--batch", "4")
        for model in (path, "MiniMaxAI/MiniMax-M2.5", "minimax")
    ]
    assert by[0] == by[1] == by[2]
    told = refusal("predict", DATA / "models" / "not_modelled" / "deepseek-v4-flash.json", "h200")
    assert "model_type" in told


@pytest.mark.parametrize(
    ("field", "told"), [("index_topk", "index_topk"), ("num_shared_experts", "num_shared_experts")]
)
def test_config_that_is_not_modelled_is_refused_by_its_field(tmp_path: Path, field: str, told: str) -> None:
    config = json.loads((DATA / "models" / "deepseek-r1.json").read_text()) | {field: 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert told in refusal("predict", tmp_path / "config.json", "h200")


def test_four_bit_experts_beside_wider_inputs() -> None:
    """C14: 28 requests on each of 8 cards fit in 4 bits alone, where experts take half of the memory."""
    layout = (
        "--accelerators",
        "8",
        "--expert-parallel",
        "16",
        "--tensor-parallel",
        "1",
        "--matrix-precision",
    )
    sizes = (asked("deepseek-r1", "910C", *layout, name, "--sizes") for name in ("int8", "w4a8"))
    eight, four = (found["fits", "weights of a rank"]["value"] for found in sizes)
    experts = 58 * 3 * 7168 * 2048 * 256 / 16 / 1e9  # layers, matrices of an expert, its share of the experts
    assert eight - four == pytest.approx(0.4375 * experts, rel=1e-3)  # 4.5 bits with their scales
    asked("deepseek-r1", "910C", *layout, "w4a8", "--batch", "28")
    told = "no instance of 8 Ascend 910C holds deepseek-r1 with 28 requests on each of 4,608 tokens"
    assert refusal("predict", "deepseek-r1", "910C", *layout, "int8", "--batch", "28") == told
    told = "matrix_precision 'int4' is not modelled; known: bf16, fp4, fp8, int8, w4a16, w4a8"
    assert refusal("predict", "r1", "910c", "--matrix-precision", "int4") == told


@pytest.mark.parametrize("chip", ["mi300x", "a100", "910b2", "ascend-950dt", "950dt-96gb"])
def test_chips_without_kernels_are_estimated(chip: str) -> None:
    """C16, with the span of the shares; no error is claimed."""
    found = asked("llama-3.1-70b", chip, "--accelerators", "8", "--tensor-parallel", "8", "--batch", "4")
    assert found["decode", "throughput"]["note"].startswith("estimated: ")
    assert not any(part == "error" for part, _ in found)


def test_group_over_two_nodes_pays_for_its_links() -> None:
    """C12: 16 H100 by tensor parallelism measured 23.1 ms; 8 of them on one node are no slower."""
    wide = asked(
        "r1",
        "h100",
        "--accelerators",
        "16",
        "--tensor-parallel",
        "16",
        "--batch",
        "0.0625",
        "--context",
        "1088",
        "--output",
        "128",
    )
    assert wide["decode", "time per token"]["value"] == pytest.approx(23.1, rel=0.35)


# --- D22: dollars -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("experts", "tensor", "chips"),
    [(4, 8, [8, 16, 32, 64, 128, 256, 512]), (8, 4, [8, 16, 32, 64, 128, 256, 512]), (256, 2, [256, 512]),
     (12, 8, [1])],
)  # fmt: skip
def test_layouts_split_experts_and_attention_alike(experts: int, tensor: int, chips: list[int]) -> None:
    """One divides the other, and both the ranks; 12 and 8 cannot be, and the first stands for the refusal."""
    (found,) = forecast.layouts(SPECS, R1, Deployment("h200-sxm", np.nan, experts, np.nan, 4096, tensor))
    assert found.accelerators.tolist() == chips
    assert set(found.expert_parallel.tolist()) == {experts}


def test_price_of_a_rented_chip() -> None:
    """85 USD an hour for eight H200 over the tokens of an hour, of chips that prefill or decode."""
    found = asked(
        "deepseek-r1", "h200", *ON_EIGHT, "--batch", "4", "--context", "1536", "--usd-per-hour", "85/8"
    )
    for part, what in (("prefill", "prompt"), ("decode", "output")):
        by_hand = 85 / 8 / (found[part, "throughput"]["value"] * 3600) * 1e6
        assert found["price", f"million {what} tokens"]["value"] == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize(
    ("chip", "hour"), [("910c", 8_200_000 / 384), ("h200", 35_000), ("h100", 371_000 / 8)]
)
def test_price_of_the_data(chip: str, hour: float) -> None:
    """A purchase over five years: benzinga2025cloudmatrix, aiinframap2026tco, huxiu2024h20."""
    assert forecast.hour_price(SPECS, meant("chip", chip, SPECS.chips))[0] == pytest.approx(
        hour / 5 / 8766, rel=1e-3
    )


def test_chip_without_a_price_has_no_dollars() -> None:
    assert not any(
        part == "price" for part, _ in asked("llama-3-8b", "mi300x", "--accelerators", "1", "--batch", "4")
    )
    wrong = "Invalid value for '--usd-per-hour': expected a price such as 2.5 or 85/8, got 'cheap'"
    assert refusal("predict", "r1", "h200", "--usd-per-hour", "cheap") == wrong


# --- D23: the smallest system for users and a latency -------------------------------------------------

SERVED = (
    "--users",
    "1000",
    "--tpot",
    "50",
    "--prompt",
    "4096",
    "--output",
    "1024",
    "--context",
    "4096",
    "--routing",
    "eplb",
    "--draft-tokens",
    "1",
    "--tokens-per-step",
    "1.7",
)


def test_smallest_system_for_users() -> None:
    """A thousand users at 20 tokens a second: 16 of the 910C, as found by hand; instances of 8 are more."""
    found = asked("deepseek-r1", "910C", *SERVED)
    instances = found["decode", "instances"]
    assert instances["value"] == 1
    assert instances["note"].startswith("of 16 Ascend 910C, EP32, ")
    assert found["decode", "requests on a chip"]["value"] == 1000 / 16
    assert found["decode", "time per token"]["value"] < 50
    assert asked("r1", "910C", *SERVED, "--accelerators", "8")["decode", "instances"]["value"] > 2
    # every output of 1,024 tokens asks for a prompt of 4,096
    prompts = found["decode", "throughput of all"]["value"] / 1024 * 4096
    chips = prompts / found["prefill", "throughput"]["value"]
    assert found["both", "prefill chips"]["value"] == np.ceil(chips)
    assert found["both", "prefill chips for one that decodes"]["value"] == pytest.approx(chips / 16, rel=1e-5)


def test_prefill_on_another_chip() -> None:
    """The H20 has a fifth of the compute: it prefills slower, and decode stays as it is."""
    one, two = asked("r1", "910c", *SERVED), asked("r1", "910c", *SERVED, "--prefill-on", "H20")
    assert one["decode", "throughput"] == two["decode", "throughput"]
    assert " H20, " in two["prefill", "instances"]["note"]
    assert "fp8 matrices" in two["prefill", "instances"]["note"]  # which has no INT8 kernels
    ratio = one["prefill", "throughput"]["value"] / two["prefill", "throughput"]["value"]
    name = "both", "prefill chips for one that decodes"
    assert ratio > 2
    assert two[name]["value"] / one[name]["value"] == pytest.approx(ratio, rel=1e-5)


def test_first_token_within_a_limit_takes_more_prefill() -> None:
    words = ("r1", "h200", "--users", "1000", "--tpot", "20")
    free, limited = asked(*words), asked(*words, "--ttft", "2500")
    name, chips = ("both", "time to the first token"), ("both", "prefill chips")
    assert free[name]["value"] > 2500 >= limited[name]["value"]
    assert limited[chips]["value"] > free[chips]["value"]
    assert refusal("predict", *words, "--ttft", "1700", "--prompt", "32768").startswith(
        "ttft: a prompt alone takes "
    )


def test_servers_that_keep_a_first_token_are_the_fewest() -> None:
    stage = cm384.physics.load.Stage(0.5, 1.0, 0.1, aggregated=False)
    servers = stage.servers_for(2.0, 400, 30.0)
    at = cm384.physics.load.Stage(0.5, servers, 0.1, aggregated=False)
    assert at.seconds(400, 30.0, 0.02) == pytest.approx(2.0, rel=1e-12)
    assert refused(stage.servers_for, 0.55, 400, 30.0) == "ttft: a prompt alone takes 600 ms, not 550"


def test_first_token_waits_for_the_prompts_before_it() -> None:
    """A closed queue by hand: groups of two chips, and 1,000 users who are away while they decode."""
    found = asked("r1", "910c", *SERVED, "--accelerators", "16", "--tensor-parallel", "4")
    first = found["both", "time to the first token"]["value"] / 1e3
    chips, rate = found["both", "prefill chips"]["value"], found["prefill", "throughput"]["value"]
    users = found["both", "users"]["value"]
    groups = chips * 2 / 4
    service = 4096 / (rate * 2)  # a group is two chips
    cache = 61 * 576 * 2 * 4096 / 25e9  # of latent attention in BF16, each rank over its own 25 GB/s
    away = 1023 * found["decode", "time per token"]["value"] / 1e3
    waiting = first - cache
    before = (users - 1) * waiting / (waiting + cache + away)
    assert (users, chips) == (1000, np.ceil(chips))
    assert waiting == pytest.approx(service * (1 + before / groups), rel=1e-4)


def test_fewest_chips_that_keep_a_first_token() -> None:
    """Of groups of two chips each: with one chip less, the first token takes longer than 2 s."""
    deployment = Deployment("ascend-910c", 16, 32, np.nan, 4096, 4, output=1024, matrix_precision="int8",
                            routing="eplb", draft_tokens=1, tokens_per_step=1.7)  # fmt: skip
    asked = forecast.Asked(R1, deployment, 4096.0, users=1000.0, ttft=2000.0)
    (decoded, filled), lines = forecast._apart(SPECS, asked)
    found = {line.figure: float(line.value) for line in lines if line.part == "both"}
    groups, cache = found["prefill chips"] * 2 / 4, 61 * 576 * 2 * 4096 / 25e9
    away = 1023 * float(decoded.result.tpot.m) / 1e3 + cache
    service, waiting = 4096 / (filled.rate * 2), 2 - cache
    before = 999 * waiting / (waiting + away)  # where the first token takes two seconds
    assert service * (1 + before / groups) <= waiting < service * (1 + before / (groups - 0.5))
    assert found["time to the first token"] <= 2000


def test_limit_of_the_first_token_that_its_error_hides_is_refused() -> None:
    known = pd.read_csv(DATA / "derived" / "errors.csv")
    line = known[
        (known["phase"] == "decode")
        & (known["attention"] == "latent")
        & (known["accelerator"] == "h200-sxm")
        & known["serving"].isna()
    ].iloc[0]
    edge = 3 * line["first_half_ms"]
    told = refusal("predict", "r1", "h200", "--ttft", f"{0.99 * edge}")
    assert "is below 3 times the error of that time (half of" in told
    assert f"{line['first_half_ms']:,.0f} ms)" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--tpot", "1"),
            "no instance of up to 512 H200 SXM holds deepseek-r1 with one request of 4,608 tokens within 1",
        ),
        (("--users", "0"), "users: expected more than 0, not 0"),
        (("--users", "x"), "Invalid value for '--users': 'x' is not a valid float."),
        (("--output", "1"), "output: expected more than 1 token, not 1"),
        (
            ("--accelerators", "8", "--tensor-parallel", "3"),
            "tensor_parallel: 8 ranks do not divide into groups of 3",
        ),
        (
            ("--batch", "1e6"),
            "no instance of up to 512 H200 SXM holds deepseek-r1 with 1e+06 requests on each of ",
        ),
        (("--routing", "eplp"), "unknown routing 'eplp'; did you mean 'eplb'?"),
        (
            ("--serving", "aggregated", "--tpot", "2", *ON_EIGHT),
            "no instance of 8 H200 SXM holds deepseek-r1 with one",
        ),
        (
            ("--prefill-on", "ascend-310b"),
            "a forecast on ascend-310b needs what is printed above, completed, in",
        ),
    ],
)
def test_what_cannot_be_is_one_line(words: tuple[str, ...], told: str) -> None:
    assert refusal("predict", "deepseek-r1", "h200", *words).startswith(told)


# --- D26: memory or compute? ------------------------------------------------------------------------


def shares(note: str) -> dict[str, int]:
    return {part.split()[0]: int(part.split()[1]) for part in note.split(", ") if part}


def test_every_operator_is_told_what_bounds_it() -> None:
    """One request a chip reads a weight for two operations, far below any ridge; a prompt is far above."""
    found = asked("llama-3.1-70b", "h100", "--accelerators", "8", "--tensor-parallel", "8", "--batch", "1")
    terms = {name: line for (part, name), line in found.items() if part == "decode step"}
    step = terms.pop("step")
    assert sum(line["value"] for line in terms.values()) == pytest.approx(step["value"], rel=1e-5)
    assert step["value"] == pytest.approx(found["decode", "time per token"]["value"], rel=1e-5)
    assert shares(terms["dense ffn"]["note"])["memory"] > 70
    assert shares(terms["iteration"]["note"]) == {"fixed": 100}
    assert shares(terms["attention reduce"]["note"]).get("links", 0) > 50
    prompt = {name: shares(line["note"]) for (part, name), line in found.items() if part == "prefill step"}
    assert prompt["dense ffn"]["compute"] > 80
    assert max(prompt["attention vector"], key=prompt["attention vector"].__getitem__) == "memory"


def test_bound_of_a_term_is_what_making_it_faster_saves() -> None:
    """Doubling the rates of the 910C's matrix units takes off what the shares of compute say, at most."""
    deployment = Deployment("ascend-910c", 160, 320, 32, 4096, matrix_precision="int8")
    table = forecast.bounds(SPECS, R1, deployment, "decode")
    parts = table[list(forecast.RESOURCES)].sum(axis=1)
    assert parts[parts > 0].to_numpy() == pytest.approx(1)
    faster = {
        key: row[0].value * 1.01
        for key, row in SPECS.rows.items()
        if key[0] == "ascend-910c" and key[1] in forecast.RESOURCES["compute"]
    }
    before, after = (cm384.decode(specs, R1, deployment).step for specs in (SPECS, SPECS.replace(faster)))
    assert 1 - after / before == pytest.approx(0.01 * table.loc["step", "compute"], rel=0.05)


# --- how far off --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["h20", "h100-sxm"])
def test_errors_are_those_of_the_runs(chip: str) -> None:
    """The committed table is what the model makes of the runs of a chip."""
    rows = [row for row in (*SPECS.measurements.values(), *load_third_party()) if row.accelerator == chip]
    found = check.errors_by_kind([row for row in rows if row.model.startswith("deepseek")], SPECS)
    known = pd.read_csv(DATA / "derived" / "errors.csv").fillna(
        {"serving": "", "attention": "", "accelerator": ""}
    )
    both = found.merge(known, on=["phase", *check.KIND], suffixes=("", "_then"))
    both = both[(both["attention"] == "latent") & (both["accelerator"] == chip)]
    assert len(both) >= 2
    for name in check.ERRORS:
        pairs = both[[name, f"{name}_then"]].dropna()
        assert pairs[name].to_numpy() == pytest.approx(pairs[f"{name}_then"].to_numpy(), rel=1e-5)


def test_error_is_that_of_the_nearest_kind_of_five_documents() -> None:
    llama = cm384.load_model("llama-3.1-70b")
    kinds = [
        forecast.error_of(model, chip, "decode", serving)["of"]
        for model, chip, serving in (
            (llama, "h100-sxm", "aggregated"),
            (R1, "h200-sxm", "aggregated"),
            (R1, "h20", "disaggregated"),
        )
    ]
    assert kinds == [
        " of grouped-query attention, H100 SXM, aggregated",
        " of latent attention, H200 SXM",
        " of latent attention, disaggregated",
    ]


# --- forms ------------------------------------------------------------------------------------------


def test_table_csv_and_json_have_the_same_lines() -> None:
    words = ("predict", "llama-3-8b", "h100", "--accelerators", "1", "--batch", "8")
    plain, rows = cm(*words), json.loads(cm(*words, "--format", "json").stdout)
    assert list(rows[0]) == ["part", "figure", "value", "unit", "low", "high", "note"]
    assert len(plain.stdout.splitlines()) == len(rows) + 1
    assert plain.stdout.split()[:5] == ["part", "figure", "value", "span", "note"]


# --- names, lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("chips", "H100", "h100-sxm"),
        ("chips", "910C", "ascend-910c"),
        ("chips", "Ascend 910C", "ascend-910c"),
        ("systems", "gb200", "gb200-nvl72"),
        ("systems", "GB200 NVL72", "gb200-nvl72"),
        ("systems", "H100", "hgx-h100"),
        ("systems", "CloudMatrix", "cloudmatrix-384"),
        ("chips", "MI300", "mi300x"),
        ("chips", "B200", "b200"),
        ("kinds", "memory bandwidth", "hbm_bandwidth"),
        ("kinds", "TDP", "power"),
        ("kinds", "Memory capacity", "hbm_capacity"),
        ("models", "Llama 70B", "llama-3.1-70b"),
        ("models", "R1", "deepseek-r1"),
        ("models", "DeepSeek V3", "deepseek-v3"),
        ("subjects", "gb200", "gb200"),
    ],
)
def test_names_as_people_write_them(kind: str, name: str, found: str) -> None:
    assert meant("name", name, list(getattr(SPECS, kind))) == found


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("chips", "910b", "unknown chip '910b'; it could be ascend-910b2, ascend-910b3, ascend-910b4"),
        ("chips", "h2", "unknown chip 'h2'; did you mean 'h20'?"),
        ("chips", "h10-sxm", "unknown chip 'h10-sxm'; did you mean 'h100-sxm'?"),
        ("systems", "", "unknown chip ''; known: atlas-950, "),
    ],
)
def test_several_that_could_be_meant_are_listed(kind: str, name: str, told: str) -> None:
    assert refused(meant, "chip", name, getattr(SPECS, kind)).startswith(told)


def test_names_are_found_by_explain_and_run() -> None:
    assert cm("explain", "TDP", "H100").stdout.startswith("power of H100 SXM = 700 W")
    against = cm(
        "explain", "accelerators to match", "cloudmatrix", "-c", "comparator=gb200-nvl72;precision=bf16"
    )
    assert against.exit_code == 0, against.stderr
    from cm384.notebooks import checked, find_notebook

    assert find_notebook("decode").stem == "07-decode"
    assert checked(chip="910C", reference="H100", precision="BF16", specs_file="").reference == "h100-sxm"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("chips", ["ascend-910c", "Huawei", "752 TFLOPS", "128 GB", "3.2 TB/s", "stated"]),
        ("systems", ["cloudmatrix-384", "Huawei", "384 ascend-910c"]),
        ("models", ["deepseek-r1", "671.0 billion", "latent"]),
        ("notebooks", ["01-package", "chip", "ascend-910c", "a chip of `cm384 list chips`"]),
        ("notebooks", ["09-uncertainty", "seed", "384", "0 or more"]),
    ],
)
def test_lists(kind: str, line: list[str]) -> None:
    assert line in list(csv.reader(io.StringIO(cm("list", kind, "--format", "csv").stdout)))


def test_list_of_lists_and_of_claims() -> None:
    counts = dict(line.split() for line in cm("list").stdout.splitlines()[1:])
    assert int(counts["chips"]) == len(SPECS.chips)
    claims = list(csv.DictReader(io.StringIO(cm("list", "claim", "--format", "csv").stdout)))
    assert int(counts["claims"]) == len(claims) == len(cm384.load_claims(specs=SPECS))
    assert refusal("list", "chps") == "unknown kind of thing 'chps'; did you mean 'chips'?"


def test_version_has_the_date_of_the_data() -> None:
    assert cm("--version").stdout == f"cm384 {cm384.__version__}, data of {data_version()}\n"
