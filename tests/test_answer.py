"""Two systems side by side, redone by hand: each headline cell from the figures of its sources."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from cm384 import decode, derive, load_model, load_specs, prefill
from cm384.derive.derivation import trace
from cm384.physics import at_work
from cm384.physics.at_work import PER, WORK, bits_of, cell, fastest, lines, published
from cm384.show.tables import as_csv
from cm384.table.errors import DATA, NotStated
from cm384.table.records import Deployment
from cm384.table.specs import Specs

SPECS = load_specs()
CM, GB200 = "cloudmatrix-384", "gb200-nvl72"
ROWS = lines()
# 384 chips in 16 racks, 559,378 W and 8.2 m USD: huawei2025cloudmatrix, reportify2025semianalysis and
# benzinga2025cloudmatrix; 72 in one, 145 kW and 3.1 m USD: nvidia2025blackwell, semianalysis2025cloudmatrix
# and semianalysis2025training.
DIVISORS = {
    "system": (1, 1),
    "chip": (384, 72),
    "watt": (559_378, 145_000),
    "dollar": (8.2e6, 3.1e6),
    "rack": (16, 1),
}
# What either system has or does, by hand.
SIDES: dict[str, tuple[float, float]] = {
    "dense peak, 16 bits": (384 * 752, 72 * 2500),  # register2025boogeyman, nvidia2025blackwell
    "dense peak, 8 bits": (384 * 1504, 72 * 5000),  # ascendmsmodeling
    "dense peak, 4 bits": (384 * 1504, 72 * 10_000),  # a 910C has nothing narrower than eight bits
    "memory": (384 * 128, 72 * 192),  # huawei2025cloudmatrix, nvidia2026nim
    "memory bandwidth": (384 * 3.2, 72 * 8.0),
    "links inside": (384 * 392, 72 * 900),
    "links to the outside": (384 * 400, 72 * 400),
    "points of the US rule (TPP)": (384 * 752 * 16, 72 * 2500 * 16),  # and 1,504 × 8, 5,000 × 8, 10,000 × 4
    # huawei2025cloudmatrix against lmsys2025gb200part2 and vllm2026gb200
    "prefill alone, published runs, 8 bits": (384 * 5655, 72 * 18_471),
    "prefill alone, published runs, 4 bits": (384 * 5655, 72 * 26_214),
    "decode alone, published runs, 8 bits": (384 * 2360, 72 * 9087),
    "decode alone, published runs, 4 bits": (384 * 2733, 72 * 12_534),
    # mindspeed2026llm against nvidia2026megatronbridge, 25.11 in BF16 and 26.08 in FP8
    "training, 16 bits": (384 * 914.97, 72 * 3139),
    "training, 8 bits": (384 * 914.97, 72 * 4912),
}


def ratio(row: str, per: str, system: str = CM, comparator: str = GB200, specs: Specs = SPECS) -> float:
    return float(cell(ROWS[row], per, system, comparator)(specs).m)


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("row", SIDES)
def test_headline_cell_by_hand(row: str, per: str) -> None:
    (ours, theirs), (one, other) = SIDES[row], DIVISORS[per]
    assert ratio(row, per) == pytest.approx(ours / theirs / (one / other), rel=1e-9)


def test_what_it_takes_by_hand() -> None:
    assert ratio("silicon", "system") == pytest.approx(384 * 2 * 665.61 / (72 * 2 * 814))  # see specs.csv
    assert ratio("memory stacks", "system") == 384 * 8 / (72 * 8)
    for row, per in at_work.COSTS.items():
        assert ratio(row, "system") == pytest.approx(DIVISORS[per][0] / DIVISORS[per][1])


@pytest.mark.parametrize(
    ("row", "per", "comparator", "by_hand"),
    [
        ("dense peak, 16 bits", "chip", "hgx-h20", 752 / 148),  # lmsys2025h20
        (
            "dense peak, 16 bits",
            "dollar",
            "hgx-h100",
            (384 * 752 / 8.2) / (8 * 989.4 / 0.371),
        ),  # huxiu2024h20
        ("memory", "chip", "hgx-h100", 128 / 80),
        ("dense peak, 4 bits", "chip", "gb300-nvl72", 1504 / 15_000),
        ("prefill alone, published runs, 8 bits", "chip", "hgx-h100", 5655 / 6287.75),  # lmsys2025largescale
        ("decode alone, published runs, 8 bits", "chip", "hgx-h20", 1943 / 714),  # lmsys2025h20
        ("prefill alone, published runs, 8 bits", "chip", "hgx-h20", 5655 / 2062.5),
        ("training, 8 bits", "chip", "gb300-nvl72", 914.97 / 6288),  # nvidia2026megatronbridge, 26.08
        ("training, 16 bits", "chip", "hgx-h100", 914.97 / 905.47),  # nvidia2026dgxc, 25.08
    ],
)
def test_cells_against_the_others_by_hand(row: str, per: str, comparator: str, by_hand: float) -> None:
    assert ratio(row, per, comparator=comparator) == pytest.approx(by_hand, rel=1e-6)


# --- prompts and their answers -------------------------------------------------------------------


def settings(chip: str, chips: int, matrix: str, cache: str, **given: float) -> Deployment:
    formats = {"matrix_precision": matrix, "attention_precision": cache, "kv_precision": cache}
    return Deployment(chip, chips, routing="eplb", microbatches=2, **formats, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chip", "ranks", "bits", "matrix", "cache"),
    [("ascend-910c", 2, "8", "int8", "bf16"), ("gb200", 1, "8", "fp8", "bf16"),
     ("gb200", 1, "4", "fp4", "fp8"), ("ascend-910c", 2, "4", "int8", "bf16")],
)  # fmt: skip
def test_prompts_and_answers_by_hand(chip: str, ranks: int, bits: str, matrix: str, cache: str) -> None:
    """4,096 tokens in, 1,024 out, at most 50 ms: 32 ranks fill, 64 decode, both as fast as the other asks."""
    model = load_model("deepseek-r1")
    filling = settings(chip, 32 // ranks, matrix, cache, expert_parallel=32, batch=16_384, context=4096)
    filled = float(prefill(SPECS, model, filling).throughput.m)
    best = 0.0
    for batch in range(ranks, 700, ranks):
        decoding = settings(chip, 64 // ranks, matrix, cache, expert_parallel=64, batch=batch, context=4608,
                            output=1024, draft_tokens=1, tokens_per_step=1.7)  # fmt: skip
        found = decode(SPECS, model, decoding)
        if found.tpot.m > 50:
            break
        best = float(found.throughput.m)
    share = (best / 1024) * 4096 / filled  # chips that prefill for one that decodes
    given = WORK | {"bits": bits}
    assert derive("matched_throughput", chip, SPECS, **given).m == pytest.approx(best / (1 + share))
    assert derive("prefill_per_decode", chip, SPECS, **given).m == pytest.approx(share)


def test_formats_of_both_widths_in_one_call() -> None:
    """Each as by itself, in whatever order."""
    given = dict(zip(("prompt", "output", "tpot"), (4096.0, 1024.0, 50.0), strict=True))
    alone = [float(at_work.matched_throughput(SPECS, "gb200", **given, bits=bits).m) for bits in (8.0, 4.0)]
    both = at_work.matched_throughput(SPECS, "gb200", **given, bits=np.array([8.0, 4.0, 8.0])).m
    assert both == pytest.approx([*alone, alone[0]])
    assert alone[0] < alone[1]


def test_a_system_answers_with_all_its_chips() -> None:
    one, whole = (derive("matched_throughput", name, SPECS, **WORK) for name in ("ascend-910c", CM))
    assert whole.m == pytest.approx(384 * one.m)
    assert str(whole.units) == "token / second"
    assert WORK == {"prompt": "4096", "output": "1024", "tpot": "50"}
    served = ratio("prompts and answers, 8 bits", "system")
    theirs = derive("matched_throughput", GB200, SPECS, **WORK).m
    assert served == pytest.approx(whole.m / theirs)


def test_single_phases_are_those_of_the_workloads() -> None:
    for phase in ("prefill", "decode"):
        ours, theirs = (
            derive("served_throughput", chip, SPECS, workload=phase).m for chip in ("ascend-910c", "gb200")
        )
        assert ratio(f"{phase} alone, 8 bits", "system") == pytest.approx(384 * ours / (72 * theirs))


# --- published runs ------------------------------------------------------------------------------


def ids(phase: str, bits: float, date: str = "", specs: Specs = SPECS, other: str = GB200) -> list[str]:
    return [run.id for pair in fastest(specs, CM, other, phase, bits, date) for run in pair]


def test_runs_at_each_date() -> None:
    """lmsys2025gb200part1 of 16 June and part2 of 25 September 2025; the paper is of 15 June."""
    with pytest.raises(NotStated, match="no published runs"):
        fastest(SPECS, CM, GB200, "decode", 8, "2025-06-15")
    assert ids("decode", 8, "2025-06-16") == ["CM384-DECODE-2K-50MS", "SGL-GB200-DECODE-FP8"]
    assert ids("decode", 8) == ["CM384-DECODE-2K-50MS", "SGL-GB200-DECODE-BF16-FP8"]
    assert ids("decode", 4, "2025-10") == ["CM384-DECODE-2K-50MS", "SGL-GB200-DECODE-FP8-FP4"]
    assert len(ids("decode", 4)) == 6


def test_span_of_runs_is_that_of_all_lengths() -> None:
    name = "decode alone, published runs, 4 bits"
    found = at_work.table(SPECS, CM, GB200, {name: ROWS[name]}).set_index("per").loc["system"]
    assert found["ratio"] == pytest.approx(384 * 2733 / (72 * 12_534))
    assert found["low"] == pytest.approx(384 * 2360 / (72 * 13_386))  # 0.94: lmsys2025gb200part2
    assert found["high"] == found["ratio"]
    assert found["reads"] == "not separable"


def test_only_measured_runs_with_real_tokens_are_paired() -> None:
    for phase in ("prefill", "decode"):
        for other in (GB200, "gb300-nvl72", "hgx-h100", "hgx-h20"):
            for bits in (8, 4):
                try:
                    pairs = fastest(SPECS, CM, other, phase, bits)
                except NotStated:
                    continue
                for pair in pairs:
                    assert all(run.kind == "measured" and run.routing != "balanced" for run in pair)
                    assert all(bits_of(run.matrix_precision) >= bits for run in pair)
    # Faster, and left out: the projection of the paper, and the run with experts balanced by force.
    assert SPECS.measurements["CM384-PREFILL-PERFECT"].measured == 6688
    assert SPECS.measurements["CR-A3-R1-PRE-MB"].measured == 6522
    assert ids("prefill", 8)[0] == "CM384-PREFILL-DEFAULT"


def test_a_faster_run_takes_the_place_of_a_slower_one() -> None:
    """Unless it is of other lengths, or later than asked."""
    new = dataclasses.replace(
        SPECS.measurements["CM384-DECODE-2K-50MS"], id="NEW", throughput="3000", date="2026-10-01"
    )

    def with_run(**changes: str) -> Specs:
        run = dataclasses.replace(new, **changes)
        rows = {row.key: (row,) for row in run.rows}
        known = {**SPECS.measurements, run.id: run}
        return dataclasses.replace(SPECS, measurements=known, rows={**SPECS.rows, **rows})

    assert ids("decode", 8, specs=with_run())[0] == "NEW"
    assert ids("decode", 8, "2026-09", specs=with_run())[0] == "CM384-DECODE-2K-50MS"
    assert ids("decode", 8, specs=with_run(context="8192"))[0] == "CM384-DECODE-2K-50MS"
    assert ids("decode", 8, specs=with_run(kind="projected"))[0] == "CM384-DECODE-2K-50MS"
    row = "decode alone, published runs, 8 bits"
    assert ratio(row, "system", specs=with_run()) == pytest.approx(384 * 3000 / (72 * 9087))


def test_dates_are_of_the_run_or_of_its_document() -> None:
    assert published(SPECS.measurements["CM384-DECODE-2K-50MS"]) == "2025-06-15"
    assert published(SPECS.measurements["CR-A3-GLM5"]) == "2026-08-21"  # its own


# --- the table -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> pd.DataFrame:
    return at_work.table(SPECS, CM, GB200)


def test_the_table_has_every_row_and_way_to_count(whole: pd.DataFrame) -> None:
    expected = [(name, per) for name, line in ROWS.items() for per in line.per]
    assert list(zip(whole["row"], whole["per"], strict=True)) == expected
    assert (whole["low"] <= whole["ratio"] * (1 + 1e-12)).all()
    assert (whole["ratio"] <= whole["high"] * (1 + 1e-12)).all()
    for line in whole.to_dict("records"):
        assert line["ratio"] == pytest.approx(ratio(line["row"], line["per"]))


def test_committed_answer_is_the_computed_one(whole: pd.DataFrame) -> None:
    """To the letter; of the other machines each central figure, and two with their spans by hand."""
    committed = pd.read_csv(DATA / "derived" / "answer.csv", keep_default_na=False)
    apart = dict(iter(committed.groupby("against", sort=False)))
    assert [*apart] == [*at_work.AGAINST] == [GB200, "gb300-nvl72", "hgx-h100", "hgx-h20"]
    assert as_csv(apart[GB200].drop(columns="against")) == as_csv(whole)
    for name in at_work.AGAINST[1:]:
        for line in apart[name][apart[name]["kind"] != "modelled"].to_dict("records"):
            found = cell(ROWS[line["row"]], line["per"], CM, name)(SPECS).m
            assert line["ratio"] == pytest.approx(found, rel=1e-5), (name, line["row"])
    memory = apart["hgx-h100"].set_index(["row", "per"]).loc[("memory", "chip")]
    assert memory[["ratio", "low", "high"]].tolist() == pytest.approx([128 / 80] * 3)
    peak = apart["gb300-nvl72"].set_index(["row", "per"]).loc[("dense peak, 16 bits", "chip")]
    assert peak[["ratio", "low", "high"]].tolist() == pytest.approx([752 / 2500, 752 / 2500, 800 / 2500])
    assert "huawei2025cloudmatrix" in memory["sources"]


def test_a_cell_names_what_it_is_read_from(whole: pd.DataFrame) -> None:
    """Both sides' documents of the memory; of a modelled cell none, since it is read from every kernel."""
    sources = whole.set_index(["row", "per"])["sources"]
    assert {"huawei2025cloudmatrix", "nvidia2025blackwell"} <= {*sources["memory", "system"].split(";")}
    assert (whole["sources"] == "").tolist() == (whole["kind"] == "modelled").tolist()


def test_who_leads_in_the_table(whole: pd.DataFrame) -> None:
    reads = whole.set_index(["row", "per"])["reads"]
    assert reads["dense peak, 16 bits", "system"] == "leads"
    assert reads["dense peak, 4 bits", "system"] == "trails"
    assert reads["training, 16 bits", "system"] == "leads"
    assert reads["training, 8 bits", "system"] == "level"  # 0.99: runs do not repeat that well
    assert reads["links to the outside", "chip"] == "level"  # 400 Gbit/s a chip on both sides
    assert reads["memory", "watt"] == "not separable"  # 0.73 to 1.03, by the watts that one believes
    assert reads["power", "system"] == "takes more"
    assert reads["silicon", "chip"] == "takes less"
    of_work = whole[whole["part"].isin(["at work", "in training"]) & (whole["per"] != "system")]
    assert not (of_work["reads"] == "leads").any()


def test_a_modelled_ratio_has_the_error_of_ratios(whole: pd.DataFrame) -> None:
    """Errors that are coarse settle nothing below a factor of two, beside what the sources allow."""
    modelled = whole[whole["kind"] == "modelled"]
    assert len(modelled) == 4 * len(PER)
    assert (modelled["low"] <= modelled["ratio"] / 2 * (1 + 1e-9)).all()
    assert (modelled["high"] >= modelled["ratio"] * 2 * (1 - 1e-9)).all()
    system = modelled[modelled["per"] == "system"]
    assert (system["reads"] == "not separable").all()


def test_what_no_source_states_has_no_line() -> None:
    chosen = {name: ROWS[name] for name in ("memory", "decode alone, published runs, 8 bits", "price")}
    found = at_work.table(SPECS, CM, "hgx-h100", chosen)
    assert set(found["per"]) == set(PER) - {"rack"}  # a box of eight is no rack
    with pytest.raises(NotStated):
        ratio("memory", "rack", comparator="hgx-h100")


def test_a_cell_has_a_working() -> None:
    found = trace(cell(ROWS["decode alone, published runs, 8 bits"], "watt", CM, GB200), SPECS)
    assert float(found.value.m) == pytest.approx(384 * 2360 / (72 * 9087) / (559_378 / 145_000))
    assert {"huawei2025cloudmatrix", "lmsys2025gb200part2", "reportify2025semianalysis"} <= set(found.sources)
