"""Training by hand: FLOP of a token, what runs make of a peak, ratios of systems, days and energy.

Literals are redone from the documents that `data/training.csv` names; the comments say how.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cm384 import derive, explain, load_specs, ratio, span
from cm384.__main__ import main
from cm384.notebooks import checked
from cm384.physics.training import find_run, forecast, forward_flop, marked, run_flop, runs_of
from cm384.table import reading
from cm384.table.errors import DATA, InputError, NotStated
from cm384.table.specs import own_specs

SPECS = load_specs()
A3, GB200 = "MINDSPEED-A3-V3", "MBRIDGE-2511-GB200-BF16"
CM, NVL72 = "cloudmatrix-384", "gb200-nvl72"


def of(quantity: str, subject: str, **given: object) -> float:
    return float(derive(quantity, subject, SPECS, **given).m)


# --- what a token costs --------------------------------------------------------------------------


def test_flop_of_deepseek_v3_by_hand() -> None:
    """Weights that a token meets × 6, and the attention core: 61 layers, 128 heads of 192 + 128, half of
    4,097 positions, 2 FLOP, 3 passes."""
    latent = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    dense, expert = 3 * 7168 * 18432, 3 * 7168 * 2048
    met = 61 * latent + 3 * dense + 58 * (9 * expert + 7168 * 256) + 129280 * 7168
    core = 61 * 128 * (192 + 128) * (4096 + 1) / 2
    by_hand = (6 * met + 3 * 2 * core) / 1e9
    assert met / 1e9 == pytest.approx(36.6, abs=0.05)  # the 37 billion that DeepSeek says
    assert by_hand == pytest.approx(250.457, abs=1e-3)
    assert of("training_flop_per_token", "deepseek-v3", sequence=4096) == pytest.approx(by_hand, rel=1e-9)
    layer = latent + 9 * expert + 7168 * 256 + 2 * 7168 * 7168 + 129280 * 7168
    more = (6 * layer + 3 * 2 * core / 61) / 1e9
    found = of("training_flop_per_token", "deepseek-v3", sequence=4096, mtp="with")
    assert found == pytest.approx(by_hand + more, rel=1e-9)
    assert found == pytest.approx(260.649, abs=1e-3)


@pytest.mark.parametrize(
    ("model", "sequence", "mtp", "printed"),
    [
        ("deepseek-v3", 4096, "without", 250),  # zhao2025insights, table of training GFLOP a token
        ("deepseek-v2", 4096, "without", 155),  # the same table
        ("deepseek-v3", 4096, "without", 782e3 / 3139),  # nvidia2026megatronbridge: TFLOP ÷ tokens
        ("deepseek-v3", 4096, "with", 1276e3 / 4912),
        ("qwen3-235b-a22b", 4096, "without", 1306e3 / 8816),
        ("kimi-k2", 4096, "without", 1099e3 / 5372),
        ("gpt-oss-120b", 4096, "without", 934e3 / 28672),
        ("llama-3.1-70b", 8192, "without", 1892e3 / 4224),
    ],
)
def test_flop_are_those_that_the_makers_count(model: str, sequence: int, mtp: str, printed: float) -> None:
    found = of("training_flop_per_token", model, sequence=sequence, mtp=mtp)
    assert found == pytest.approx(printed, rel=0.007)


def test_every_run_that_prints_flop_agrees_with_the_model() -> None:
    """But for Llama on the H100, whose page prints 2 % fewer than on the GB200."""
    printed = {row.id: row for row in SPECS.runs.values() if row.flop_rate and row.throughput}
    off = {
        name: float(row.flop_rate) * 1e3 / float(row.throughput) / float(run_flop(SPECS, row).m) - 1
        for name, row in printed.items()
    }
    assert len(off) > 30
    assert {name for name, by in off.items() if abs(by) > 0.007} == {"MBRIDGE-260401-LLAMA3-70B-H100-FP8"}


def test_backward_costs_twice_the_forward_and_recomputation_once_more() -> None:
    forward = sum(forward_flop(SPECS, "deepseek-v3", 4096).values()) / 1e9
    given = {"sequence": 4096}
    model = of("training_flop_per_token", "deepseek-v3", **given)
    assert model == pytest.approx(3 * forward)
    for share, passes in ((1, 4), (0.5, 3.5)):
        found = of("training_hardware_flop_per_token", "deepseek-v3", **given, recomputed=share)
        assert found == pytest.approx(passes * forward)
    with pytest.raises(InputError, match="recomputed: expected a share"):
        of("training_hardware_flop_per_token", "deepseek-v3", **given, recomputed=8)


def test_flop_broadcast_over_sequences() -> None:
    found = derive("training_flop_per_token", "deepseek-v3", SPECS, sequence=np.array([4096, 8192])).m
    assert found[1] - found[0] == pytest.approx(61 * 128 * 320 * 4096 / 2 * 6 / 1e9)


def test_model_without_mtp_layers_has_none_to_train() -> None:
    with pytest.raises(NotStated, match="qwen3-235b-a22b has no MTP layers"):
        of("training_flop_per_token", "qwen3-235b-a22b", sequence=4096, mtp="with")
    with pytest.raises(InputError, match="unknown mtp 'wit'; it could be with, without"):
        of("training_flop_per_token", "deepseek-v3", sequence=4096, mtp="wit")


# --- published runs ------------------------------------------------------------------------------


def test_deepseeks_tokens_a_second() -> None:
    """14.8e12 tokens in 2.664e6 hours (deepseek2024v3repo); 272.80e9 a day on 2,048 (zhao2025insights)."""
    hours = of("training_throughput", "h800-sxm", run="DEEPSEEK-H800-V3")
    assert hours == pytest.approx(14.8e12 / 2.664e6 / 3600, abs=0.1)
    assert round(hours) == 1543
    daily = of("training_throughput", "h800-sxm", run="DEEPSEEK-H800-V3-ISCA")
    assert daily == pytest.approx(272.80e9 / 86400 / 2048, abs=0.1)
    found = of("mfu", "h800-sxm", run="DEEPSEEK-H800-V3-ISCA", precision="bf16")
    assert found == pytest.approx(38.94, abs=0.15)  # as printed, on 989 TFLOPS, causal


def test_mfu_of_the_910c_names_its_peak() -> None:
    """914.97 × 260.65e9 over 707.8 TFLOPS of matrix units, or the 752 advertised."""
    assert of("mfu", "ascend-910c", run=A3) == pytest.approx(914.97 * 260.649e9 / 707.8e10, abs=0.01)
    assert of("mfu", "ascend-910c", run=A3) == pytest.approx(33.7, abs=0.05)
    assert of("mfu", "ascend-910c", run=A3, basis="headline") == pytest.approx(31.7, abs=0.05)
    assert of("hfu", "ascend-910c", run=A3) == pytest.approx(33.694 * 4 / 3, abs=0.01)
    with pytest.raises(NotStated, match="share of layers"):
        of("hfu", "gb200", run=GB200)


def test_mfu_is_as_printed_where_it_is_printed_on_nearly_that_peak() -> None:
    """nvidia2026dgxc: 23.80 % of 989 on H100, 31.41 % of 2,450 on GB200."""
    assert of("mfu", "h100-sxm", run="DGXC-2508-H100-BF16") == pytest.approx(23.80, abs=0.1)
    assert of("mfu", "gb200", run="DGXC-2510-GB200-BF16") == pytest.approx(31.41 * 2450 / 2500, abs=0.1)


def test_no_run_uses_more_than_its_peak() -> None:
    for row in SPECS.runs.values():
        if row.throughput and row.precision and (row.model or row.active):
            assert 3 < of("mfu", row.accelerator, run=row.id) < 100, row.id


def test_unit_of_the_910c_is_inferred_by_what_a_die_can_do() -> None:
    """Qwen3-8B at 7,617 tokens/s × 6 × 7.57e9 is 346 TFLOPS before attention, of 353.9 that one die has."""
    rate = 7617.002 * float(run_flop(SPECS, SPECS.runs["MINDSPEED-A3-QWEN3-8B"]).m) / 1e3
    assert rate == pytest.approx(346, abs=0.5)
    attention = 6 * 36 * 2 * 32 * 128 * 4097 / 2 / 1e9  # GFLOP a token: two products, 36 layers, 32 heads
    assert rate + 7617.002 * attention / 1e3 > 353.9
    assert [marked(SPECS.runs[name]) for name in (A3, GB200)] == ["unit inferred", ""]
    assert (
        "unit inferred"
        in SPECS.rows[SPECS.find("ascend-910c", "published_training_throughput", run=A3)][0].locator
    )


def test_pangus_mfu_and_tokens_do_not_agree() -> None:
    """30 % of 313 TFLOPS over 1.46e6/6,000 tokens/s is 386 GFLOP a token; 6 × 39e9 are 234."""
    needed = of("training_flop_from_mfu", "ascend-910b3", run="PANGU-ULTRA-MOE")
    assert needed == pytest.approx(0.30 * 313e3 / (1.46e6 / 6000), rel=1e-3)
    assert needed == pytest.approx(386, abs=0.5)
    assert float(run_flop(SPECS, SPECS.runs["PANGU-ULTRA-MOE"]).m) == 234
    assert of("mfu", "ascend-910b3", run="PANGU-ULTRA-MOE", basis="headline") == pytest.approx(18.2, abs=0.05)
    # DeepSeek's own two figures do agree: 250 GFLOP a token.
    agreed = of("training_flop_from_mfu", "h800-sxm", run="DEEPSEEK-H800-V3-ISCA")
    assert agreed == pytest.approx(250, abs=0.5)


# --- systems -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("against", "theirs", "expected"),
    [
        (GB200, 72 * 3139, 1.55),
        ("DGXC-2510-GB200-BF16", 72 * 757641 / 256, 1.65),
        ("MBRIDGE-2511-GB200-FP8", 72 * 4018, 1.21),
        ("MBRIDGE-2608-GB200-FP8", 72 * 4912, 0.99),
        ("MBRIDGE-2602-GB200-FP8", 72 * 3955, 1.23),
        ("MBRIDGE-2606-GB200-FP8", 72 * 4969, 0.98),
    ],
)
def test_ratios_to_a_gb200_nvl72(against: str, theirs: float, expected: float) -> None:
    found = of("training_ratio", CM, run=A3, comparator=NVL72, against=against)
    assert found == pytest.approx(384 * 914.97 / theirs, rel=1e-4)
    assert round(found, 2) == expected


def test_ratios_per_watt_and_per_dollar() -> None:
    """559.378 kW and 8.2 million USD against 145 kW and 3.1 million; 500 to 600, 123.6 to 145."""
    bf16 = 384 * 914.97 / (72 * 3139)

    def watt(table: object) -> object:
        return ratio("training_tokens_per_joule", CM, NVL72, table, {"run": GB200}, run=A3)  # type: ignore[arg-type]

    found = span(watt, SPECS)  # type: ignore[arg-type]
    assert float(found.central.m) == pytest.approx(bf16 * 145 / 559.378, rel=1e-6)
    assert float(found.low.m) == pytest.approx(bf16 * 123.6 / 600, rel=1e-6)
    assert float(found.high.m) == pytest.approx(bf16 * 145 / 500, rel=1e-6)
    dollar = ratio("training_throughput_per_price", CM, NVL72, SPECS, {"run": GB200}, run=A3)
    assert float(dollar.m) == pytest.approx(bf16 * 3.1 / 8.2, rel=1e-6)


def test_days_and_energy() -> None:
    given = {"run": A3, "tokens": 14.8e12}
    days = 14.8e12 / (384 * 914.97) / 86400
    assert of("training_time", CM, **given) == pytest.approx(days)
    assert days == pytest.approx(487.5, abs=0.1)
    assert of("training_time", CM, **given, systems=10) == pytest.approx(days / 10)
    assert of("training_energy", CM, **given) == pytest.approx(days * 24 * 559.378 / 1e6)
    # The H800: 2.664e6 hours of an eighth of 10.2 kW.
    h800 = of("training_energy", "hgx-h800", run="DEEPSEEK-H800-V3", tokens=14.8e12)
    assert h800 == pytest.approx(2.664e6 * 10.2 / 8 / 1e6, rel=1e-4)


def test_a_share_of_the_peak_gives_what_it_was_taken_from() -> None:
    given = {"model": "deepseek-v3", "sequence": 4096, "precision": "bf16", "mtp": "with"}
    share = of("mfu", "ascend-910c", run=A3) / 100
    found = of("training_throughput_by_mfu", CM, **given, mfu=share)
    assert found == pytest.approx(of("training_throughput", CM, run=A3))


def test_explained_with_rows_and_the_word_scaled() -> None:
    told = str(explain("training_throughput", CM, SPECS, run=A3))
    assert "351,348 tokens/s" in told.splitlines()[0]
    assert "scaled" in told
    assert "914.97 tokens/s per accelerator" in told
    assert "unit inferred" in told


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "subject", "given", "said"),
    [
        (
            "training_throughput",
            CM,
            {"run": "MINDSPEED-A3-V4"},
            "unknown run 'MINDSPEED-A3-V4'; did you mean",
        ),
        ("training_throughput", CM, {"run": GB200}, f"run {GB200} is of gb200, not of {CM}"),
        ("mfu", "ascend-910c", {"run": "HUAWEI-A3-KEYNOTE"}, "run HUAWEI-A3-KEYNOTE: neither model"),
        (
            "training_ratio",
            CM,
            {"run": A3, "comparator": NVL72, "against": "MBRIDGE-2511-QWEN3-235B-GB200-BF16"},
            "one is of deepseek-v3, the other of qwen3-235b-a22b",
        ),
        (
            "training_throughput_by_mfu",
            CM,
            {"model": "deepseek-v3", "sequence": 4096, "precision": "bf16", "mfu": 1.2},
            "mfu: expected a share above 0 and at most 1, such as 0.35, got 1.2",
        ),
        ("training_throughput_per_price", "ascend-910c", {"run": A3}, "is not made of accelerators"),
    ],
)
def test_refused(quantity: str, subject: str, given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        derive(quantity, subject, SPECS, **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("model", "deepseek-v9", "column model: 'deepseek-v9' is not known; did you mean 'deepseek-v3'?"),
        ("accelerator", "gb2000", "column accelerator: 'gb2000' is not known; did you mean 'gb200'?"),
        ("mfu", "130", "column mfu: '130'; expected a percentage up to 100, or nothing"),
        ("recomputed", "8", "column recomputed: '8'; expected a share from 0 to 1"),
        ("assumed", "units", "column assumed: 'units' is not known; did you mean 'unit'?"),
        ("source", "huawei", "column source: 'huawei' is not known"),
        ("throughput", "", "column throughput: ''; expected a throughput or an MFU"),
        ("throughput", "0", "column throughput: '0'; expected more than 0, or nothing"),
        ("date", "2026", "column date: '2026'; expected a month such as 2025-11"),
    ],
)
def test_a_bad_cell_is_named(
    column: str, cell: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list(csv.DictReader((DATA / "training.csv").read_text(encoding="utf-8").splitlines()))
    with (tmp_path / "training.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(lines[0]))
        writer.writeheader()
        writer.writerow(lines[0] | {column: cell})
    (tmp_path / "sources.bib").write_bytes((DATA / "sources.bib").read_bytes())
    monkeypatch.setattr(reading, "DATA", tmp_path)
    with pytest.raises(InputError) as caught:
        reading.read_training(SPECS.subjects, SPECS.models)
    assert str(caught.value).startswith(f"training.csv line 2, {said}")


def test_runs_are_found_newest_first_and_pretraining_alone() -> None:
    found = [row.id for row in runs_of(SPECS, NVL72, "deepseek-v3", "bf16")]
    assert found == [GB200, "DGXC-2510-GB200-BF16", "DGXC-2505-GB200-BF16"]
    assert [row.id for row in runs_of(SPECS, CM, "deepseek-v3")] == [A3]


# --- the command ---------------------------------------------------------------------------------


def said(*arguments: str) -> tuple[int, str, str]:
    found = CliRunner().invoke(main, ["train", *arguments])
    return found.exit_code, found.stdout, found.stderr


def test_command_lists_the_runs_of_a_system() -> None:
    code, out, _ = said("deepseek-v3", CM)
    assert code == 0
    assert out.splitlines()[1].split()[0] == A3
    for part in ("351,348", "487.5", "6.545", "unit inferred; scaled"):
        assert part in out


def test_command_asks_for_an_mfu_where_no_run_is_published() -> None:
    code, out, err = said("deepseek-v3", "mi300x")
    assert (code, out) == (2, "")
    assert err == "cm384: no run of deepseek-v3 on mi300x is published: it needs an mfu, such as 0.35\n"
    code, out, _ = said("deepseek-v3", "mi300x", "--mfu", "0.35", "--format", "csv")
    line = next(csv.DictReader(out.splitlines()))
    peak = float(SPECS.get("mi300x", "peak", "matrix", precision="bf16").to("TFLOP/s").m)
    assert float(line["tokens_per_s"]) == pytest.approx(0.35 * peak * 1e3 / 250.457, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("deepseek-v3", "mi300x", "--mfu", "1.5"), "mfu: expected a share above 0 and at most 1"),
        (("deepseek-v3", CM, "--run", GB200), f"run {GB200} is of gb200, not of {CM}"),
        (("kimi-k2", NVL72, "--run", GB200), f"run {GB200} trains deepseek-v3, not kimi-k2"),
        (("deepseek-v3", CM, "--precision", "fp8"), "no run of deepseek-v3 in FP8 on cloudmatrix-384"),
        (("deepseek-v3", "cloudmatrix-38"), "unknown chip or system 'cloudmatrix-38'; did you mean"),
        (("qwen3-235b-a22b", NVL72), "qwen3-235b-a22b has no training_tokens"),
    ],
)
def test_command_refuses_in_one_line(arguments: tuple[str, ...], told: str) -> None:
    code, out, err = said(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_forecast_of_a_chip_has_no_energy() -> None:
    line = forecast(SPECS, "deepseek-v3", "gb200", run=GB200).iloc[0]
    assert np.isnan(line["gwh"])
    assert line["tokens_per_s"] == 3139
    assert find_run(SPECS, "gb200", GB200).model == "deepseek-v3"
    assert own_specs().runs.keys() == SPECS.runs.keys()


def test_parameters_of_a_notebook_are_checked() -> None:
    with pytest.raises(InputError, match="parameter mfu: expected a share of 1"):
        checked(mfu=1.2, specs_file="")
    with pytest.raises(InputError, match="unknown run"):
        checked(run="NOPE", specs_file="")
    given = {"model": "deepseek-v3", "reference": "gb200", "precision": "bf16", "run": "", "mfu": 0.0}
    with pytest.raises(InputError, match="no run of deepseek-v3 in BF16 on mi300x"):
        checked(**given, chip="mi300x", specs_file="")
    checked(**given | {"mfu": 0.35}, chip="mi300x", specs_file="")
