"""Faults that a mutation run planted and no test of arithmetic saw: each figure once, by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from strangers import refused, write

from cm384 import derive
from cm384.ledger import board, claims, readings, verdicts
from cm384.ledger.claims import Claim, load_claims, printed
from cm384.ledger.verdicts import judge, scorecard
from cm384.physics import at_work, forecast, kernels, served
from cm384.physics.check import in_words, validate
from cm384.physics.kernels import Rows
from cm384.physics.load import closed_loop
from cm384.physics.models import load_model
from cm384.physics.serving import decode, joined, largest_batch, prefill, time_budget
from cm384.physics.sizes import Sizes
from cm384.physics.training import runs_of
from cm384.table import draws, files
from cm384.table.errors import DATA, InputError, suggestion
from cm384.table.files import columns
from cm384.table.records import Deployment, Loop, Row
from cm384.table.specs import load_measurements, load_specs

SPECS = load_specs()
R1, LLAMA = load_model("deepseek-r1"), load_model("llama-3.1-70b")
# Eight H200 that hold Llama 3.1 70B in BF16, one request in all.
BF16 = Deployment("h200-sxm", 8, 8, 1 / 8, 4096, tensor_parallel=8, matrix_precision="bf16")


def test_step_waits_for_weights_from_the_host() -> None:
    """At 1 GB/s the step takes as long as the bytes beyond 186 GB (nvidia2026gb200), and no longer."""
    pair = Deployment("gb200", 2, 2, 16384, 2000, matrix_precision="fp4", attention_precision="fp8",
                      kv_precision="fp8", routing="eplb")  # fmt: skip
    slow = SPECS.replace({("gb200", "host_link_bandwidth", "", "one-way"): 1.0})
    result = prefill(slow, R1, pair)
    assert result.step == pytest.approx((result.memory - 186e9) / 1e9)
    assert result.step == pytest.approx(sum(result.breakdown.values()))
    assert result.throughput.m == pytest.approx(16384 / result.step)


def test_memory_of_a_dense_model_in_bf16() -> None:
    """70,553,706,496 parameters of two bytes over eight ranks; norms are neither held nor counted."""
    norms = (2 * 80 + 1) * 8192
    bare = Sizes(SPECS, LLAMA, BF16, "decode").weights()
    assert bare == pytest.approx((70_553_706_496 - norms) * 2 / 8, rel=1e-6)


def test_embedding_that_is_the_head_too_is_held_once() -> None:
    """128,256 × 8,192 elements of two bytes less, over eight ranks."""
    tied = dataclasses.replace(LLAMA, tied_embedding=True)
    whole, once = (Sizes(SPECS, model, BF16, "decode").weights() for model in (LLAMA, tied))
    assert whole - once == pytest.approx(128_256 * 8_192 * 2 / 8)


def test_memory_that_counts_is_what_software_can_use() -> None:
    """Of a GB200 186 GB (72 × 186 = 13.4 TB); an H200 has a nominal 141 GB alone; half a 910C 64 of 128."""
    for chip, size in (("gb200", 186e9), ("h200-sxm", 141e9), ("ascend-910c", 64e9)):
        found = Sizes(SPECS, R1, Deployment(chip, 32, 32, 1, 4096), "decode").capacity
        assert found == pytest.approx(size)


def test_budget_of_a_dense_model_overlaps_nothing() -> None:
    found = time_budget(SPECS, LLAMA, BF16, "decode")
    assert found.steps["overlap"] == found.steps["exchanges"] * 0 == 0
    assert sum(found.steps.values()) == pytest.approx(found.predicted)
    # All bytes but the embedding, and 4,096 × 327,680 of cache, at 4.8 TB/s, as if one chip read them.
    read = 2 * (70_553_706_496 - 128_256 * 8_192) + 4_096 * 327_680
    assert found.steps["physical limit"] == pytest.approx(read / 4.8e6, rel=1e-4)


def test_prefill_drafts_nothing() -> None:
    plain = Deployment("h800-sxm", 32, 32, 16384, 4096, microbatches=2)
    drafting = dataclasses.replace(plain, draft_tokens=1, tokens_per_step=1.7)
    assert prefill(SPECS, R1, drafting).breakdown["draft"] == 0
    assert decode(SPECS, R1, dataclasses.replace(drafting, batch=128)).breakdown["draft"] > 0


def test_curve_without_a_point_says_what_is_missing() -> None:
    rows = Rows(SPECS, "h800-sxm", 0)
    told = refused(kernels.curve, rows, "all_reduce_bandwidth", "ranks", size="17")
    assert told.startswith("h800-sxm has no all_reduce_bandwidth for size=17")


def test_measurements_need_no_table() -> None:
    assert load_measurements() == load_measurements(specs=SPECS)


def test_rows_of_which_none_is_well_specified() -> None:
    """One row with something assumed: nothing is said of those with nothing assumed."""
    row = next(row for row in load_measurements() if row.assumed and not row.concurrency)
    told = in_words(validate([row], SPECS))
    assert told.startswith("1 rows: half within ")
    assert "well specified" not in told
    assert "nan" not in told


def claim(**cells: Any) -> Claim:
    given = dict.fromkeys(columns(Claim), "") | {"id": "X-1", "statement": "It is so.", "relation": "eq"}
    return Claim(**given | {name: str(cell) for name, cell in cells.items()})


def answer(*claims: Claim) -> list[dict[str, Any]]:
    return scorecard(claims, SPECS).to_dict("records")


def test_share_that_names_no_machine_is_tried_on_every_one() -> None:
    """96 GB of an H20 are 120 % of the 80 GB of an H100, which the sentence leaves open."""
    (found,) = answer(claim(subject="h20", quantity="hbm_capacity", form="share", value=120, unit="percent"))
    assert found["answer"] == "holds"
    assert found["derived"] == pytest.approx(120)


def test_own_claims_are_read_without_a_table() -> None:
    assert load_claims() == load_claims(specs=SPECS)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("matx", "; did you mean 'matrix'?"),  # 8 of 10 letters
        ("peke", "; did you mean 'peak'?"),  # 6 of 8
        ("mapy", "; known: matrix, peak"),  # 4 of 10, 4 of 8
    ],
)
def test_name_is_suggested_from_three_letters_of_four_on(name: str, told: str) -> None:
    assert suggestion(name, ["peak", "matrix", ""]) == told


def test_acceptance_that_no_row_states_counts_as_assumed() -> None:
    row = dataclasses.replace(load_measurements()[0], phase="decode", draft_tokens="2", tokens_per_step="",
                              assumed="batch")  # fmt: skip
    assert row.taken == "batch;tokens_per_step"
    for changes in (
        {"tokens_per_step": "1.7"},
        {"draft_tokens": "0"},
        {"draft_tokens": ""},
        {"phase": "prefill"},
    ):
        assert dataclasses.replace(row, **changes).taken == "batch"
    assert dataclasses.replace(row, assumed="").taken == "tokens_per_step"
    assert dataclasses.replace(row, assumed="tokens_per_step").taken == "tokens_per_step"


def test_throughput_that_a_time_per_token_implies() -> None:
    """96 requests a chip at 50 ms are 1,920 tokens/s; 640 users on 2 × 16 chips 400."""
    row = dataclasses.replace(load_measurements()[0], throughput="", batch="96", tpot="50", accelerators="16")
    assert row.measured == pytest.approx(1920)
    loop = dataclasses.replace(row, concurrency="640")
    assert loop.measured == pytest.approx(800)
    assert dataclasses.replace(loop, workers="2").measured == pytest.approx(400)
    assert dataclasses.replace(loop, throughput="7").measured == 7


def test_scorecard_has_room_for_every_span() -> None:
    """Spans of 5 to 20 around 10, which is twice the claim, are 1 to 4; half and twice that is shown."""
    lines = pd.DataFrame({"ratio": [2.0], "derived": [10.0], "low": [5.0], "high": [20.0]})
    assert board._edges(lines) == pytest.approx((0.5, 8))
    assert board._edges(lines.assign(ratio=8.0)) == pytest.approx((0.5, 32))  # one is always in it
    assert board._edges(lines.assign(ratio=0.125)) == pytest.approx((0.0625 / 2, 2))


def test_counts_of_answers_in_words() -> None:
    counts = pd.DataFrame({"holds": [1, 3], "partly": [3, 1]}, index=["one", "two"])
    assert board._agreement(counts) == "Of 8 claims, 4 hold: from 25 % in one to 75 % in two"
    assert board._agreement(counts[:1]) == "Of 4 claims, 1 holds"
    assert board._agreement(counts[["partly"]]) == "Of 4 claims, 0 hold: from 0 % in one to 0 % in two"


@pytest.mark.parametrize(
    ("low", "high", "leads", "costs"),
    [
        (1.2, 1.5, "leads", "takes more"),
        (0.6, 0.9, "trails", "takes less"),
        (0.9, 1.2, "not separable", "not separable"),
        (1.0, 1.0, "level", "level"),
        (1.0 + 1e-6, 1.1, "leads", "takes more"),
    ],
)
def test_a_ratio_is_read_by_both_its_ends(low: float, high: float, leads: str, costs: str) -> None:
    for cost, told in ((False, leads), (True, costs)):
        line: Any = SimpleNamespace(kind="specified", cost=cost)
        assert at_work._reads(low, high, line) == told


def test_blocks_of_an_array_are_joined_where_they_vary() -> None:
    one, two = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert joined([one, two]).tolist() == [1, 2, 3, 4]
    assert joined([one, two, one]).size == 6
    assert joined([one]) is one
    assert joined([5.0, 5.0]) == 5
    column = np.array([[1.0], [2.0]])  # the same for every place of the last axis
    assert joined([column, column]).shape == (2, 1)


@pytest.mark.parametrize(
    ("judged", "told"),
    [
        ("opinion", "No document could overturn it."),
        ("unsupported", "A document that says it."),
        ("undecided", "A document that says it."),
        ("holds", "A document nearer to the matter."),
        ("partly", "A document nearer to the matter."),
    ],
)
def test_what_would_overturn_an_answer_by_hand(judged: str, told: str) -> None:
    found = judge(claim(judged=judged, form="statement", note="So it is."), SPECS, {})
    assert (found.overturn, found.settled) == (told, "document" if "nearer" in told else "nothing")
    named = claim(judged=judged, form="statement", note="So it is.", overturn="A letter.", settled="model")
    assert (judge(named, SPECS, {}).overturn, judge(named, SPECS, {}).settled) == ("A letter.", "model")


def test_what_would_overturn_a_figure_is_a_row_and_no_number_of_parts() -> None:
    memory = claim(subject="cloudmatrix-384", quantity="hbm_capacity", form="value", value=99, unit="TB")
    told = "A document of the maker with another value of "
    assert judge(memory, SPECS, {}).overturn == f"{told}Ascend 910C: HBM capacity."
    chips = claim(subject="cloudmatrix-384", quantity="count", conditions="part=ascend-910c", form="count",
                  value=99, unit="count")  # fmt: skip
    assert judge(chips, SPECS, {}).overturn == f"{told}CloudMatrix 384: count (Ascend 910C)."


def test_tally_of_answers() -> None:
    assert board.tally(["holds"]) == "1 of 1 claims holds."
    assert board.tally([]) == "0 of 0 claims hold."
    several = ["holds", "holds", "partly", "overstated", "contradicted"]
    assert board.tally(several, "rows") == (
        "2 of 5 rows hold, 1 depends on what is meant or believed and 2 do not hold."
    )


def test_tables_pass_as_checked_while_nothing_has_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = files.as_checked.__wrapped__()
    assert files.DATA / "specs.csv" in found
    monkeypatch.setattr(files, "CHECKED", tmp_path / "checked.csv")
    assert files.as_checked.__wrapped__() == {}  # where they were never checked
    (tmp_path / "checked.csv").write_text("file,sha256\nspecs.csv,0\n")
    assert files.as_checked.__wrapped__() == {}


def test_how_rows_come_down_to_sentences() -> None:
    """Of five rows one repeats another and two are one sentence; of three that cite somebody one repeats."""
    claims = [claim(id="X-1", reports="A"), claim(id="X-2", reports="B", same_as="X-1"), claim(id="X-3a"),
              claim(id="X-3b"), claim(id="X-4", reports="C", form="saying")]  # fmt: skip
    lines = pd.DataFrame({"id": [each.id for each in claims], "category": "parity", "answer": "holds"})
    told = board.how_counted(lines, claims)
    assert told.startswith("5 rows: 1 repeat another one, and 1 are further parts")
    assert "Of the 3 sentences 1 say only that somebody said something" in told
    assert "in 1 rows something is asserted through somebody" in told


def test_edge_of_an_interval_has_a_billionth_to_spare() -> None:
    three = printed("3.6", "ratio")  # 3.55 to 3.65
    inside, outside = (3.55 - 3e-9, 3.65 + 3e-9), (3.55 - 5e-9, 3.65 + 5e-9)
    assert all(map(three.holds, inside))
    assert not any(map(three.holds, outside))


@pytest.mark.parametrize(
    ("holding", "failing", "wanted", "answer", "said"),
    [
        ("abc", "d", 2, "holds", "Documents that put 2 of a, b and c on the other side."),
        ("ab", "", 1, "holds", "Documents that put a and b on the other side."),
        ("a", "bc", 2, "partly", "A document that puts one of b and c on the other side."),
        ("a", "bcd", 3, "partly", "A document that puts a on the other side."),
        ("", "ab", 2, "overstated", "A document that puts one of a and b on the other side."),
    ],
)
def test_fewest_measures_that_turn_an_answer(
    holding: str, failing: str, wanted: int, answer: str, said: str
) -> None:
    """A word that two of its measures must meet holds until two of three are gone."""
    assert verdicts._turned([*holding], [*failing], wanted, answer) == said


@pytest.mark.parametrize(
    ("cell", "figure"), [("3-4", True), ("3-x", False), ("x-4", False), ("1-2-3", False), ("3", False)]
)
def test_a_range_has_two_figures(cell: str, figure: bool) -> None:
    assert claims._is_figure(cell, "range") is figure


@pytest.mark.parametrize(("value", "taken"), [("", 1), ("all", 1), ("0", 0), ("1", 1), ("99", 0), ("-1", 0)])
def test_a_word_takes_one_of_its_measures_or_more(value: str, taken: int) -> None:
    claim = next(claim for claim in load_claims() if claim.word)
    told = []

    def bad(column: str, expected: str) -> ValueError:
        told.append(column)
        return ValueError(expected)

    try:
        claims._check_word(dataclasses.replace(claim, form="statement", value=value), bad)
    except ValueError:
        assert told == ["value"]
    assert len(told) == 1 - taken


def test_statements_of_no_group_bind_none() -> None:
    """Two keys, of which one has a statement of a group: each of the four choices stands."""
    row = next(iter(SPECS.rows.values()))[0]
    keys = [[dataclasses.replace(row, group=group) for group in groups] for groups in (["g", ""], ["", ""])]
    assert draws.consistent(keys).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_a_time_per_token_is_a_speed_in_decode_alone(tmp_path: Path) -> None:
    rows = pd.read_csv(DATA / "measurements.csv", dtype=str, keep_default_na=False)
    line = rows[(rows["phase"] == "prefill") & (rows["batch"] != "") & (rows["terms"] == "")].head(1)
    line.assign(throughput="", tpot="50").to_csv(tmp_path / "own.csv", index=False)
    told = refused(lambda: load_measurements(tmp_path / "own.csv", SPECS))
    assert "line 2, column throughput: ''; expected a throughput" in told


def test_lines_that_are_wrong_in_another_column_are_not_likewise(tmp_path: Path) -> None:
    rows = pd.read_csv(DATA / "measurements.csv", dtype=str, keep_default_na=False).head(3)
    rows.loc[0, "batch"] = rows.loc[2, "batch"] = "x"
    rows.loc[1, "context"] = "y"
    rows.to_csv(tmp_path / "own.csv", index=False)
    told = refused(lambda: load_measurements(tmp_path / "own.csv", SPECS))
    assert "line 2, column batch: 'x'" in told
    assert told.endswith("; likewise in line 4")


def test_claims_of_a_category_are_each_said_once() -> None:
    found = board.claims_of("parity", SPECS)
    assert {claim.category for claim in found} == {"parity"}
    assert not any(claim.same_as for claim in found)


@pytest.mark.parametrize(
    ("change", "sized"),
    [
        ({}, True),
        ({"form": "count"}, False),
        ({"category": "market/finance"}, False),
        ({"same_as": "x"}, False),
    ],
)
def test_what_is_near_or_far_has_a_size(change: dict[str, str], sized: bool) -> None:
    claim = next(claim for claim in board.claims_of("chip spec", SPECS) if claim.form == "value")
    assert board._is_sized(dataclasses.replace(claim, **change)) is sized


@pytest.mark.parametrize(
    ("answers", "met", "said"),
    [
        (["holds", "within sources"], [True, False], "meets 1 of 2 technical figures, sources reach 1 more"),
        (
            ["holds", "undecided"],
            [True, True],
            "meets 2 of 2 technical figures (1 by their maker's own runs)",
        ),
        (
            ["holds", "overstated"],
            [True, False],
            "meets 1 of 2 technical figures; the rest miss by up to 2 times",
        ),
    ],
)
def test_figures_that_are_met_are_counted_by_hand(answers: list[str], met: list[bool], said: str) -> None:
    lines = pd.DataFrame({"answer": answers, "ratio": [1.0, 0.5]})
    assert board._hits(lines, np.array(met)) == f"Derivation {said}"


def test_a_word_claims_no_figure() -> None:
    """Nor does one that asks for a number of its measures."""
    claim = next(claim for claim in load_claims() if claim.word and claim.value)
    assert scorecard([claim], SPECS)["claimed"].tolist() == [""]


def test_what_is_listed_for_another_quantity_is_no_reading_of_a_claim() -> None:
    known = {row.quantity for row in readings.load_listed()}
    assert "dies" not in known
    assert readings.listed_readings(readings.Reading("ascend-910c", "dies", "", {}), "", SPECS) == []
    peak = readings.Reading("ascend-910c", "peak", "", {"precision": "bf16", "basis": "headline"})
    assert {reading.quantity for reading in readings.listed_readings(peak, "", SPECS)} == {"peak"}


def test_share_of_the_peak_is_in_percent() -> None:
    row = SPECS.measurements["CM384-DECODE-4K-50MS"]
    budget = time_budget(SPECS, R1, row.deployment, "decode")
    share = derive("useful_share", row.accelerator, SPECS, measurement=row.id)
    assert str(share.units) == "percent"
    assert share.m == pytest.approx(100 * budget.useful_share)
    assert 0 < budget.useful_share < 1


@pytest.mark.parametrize(
    ("derived", "at", "side", "shift"), [(1.5, 0.6, "right", -8), (2.2, 1.25, "left", 8)]
)
def test_track_of_a_claim_by_hand(derived: float, at: float, side: str, shift: float) -> None:
    """What is printed as double is 2 ÷ 1.1 to 2 × 1.1; sources allow 1.2 to 2.5 of it."""
    axis = Figure().subplots()
    axis.set_xlim(0.1, 10)
    line = {"answer": "holds", "low": 1.2, "high": 2.5, "ratio": derived / 2, "derived": derived}
    board._track(axis, 3, printed("double", "ratio"), line | {"claimed": "double"})
    drawn = [[float(x) for x in each.get_xdata()] for each in axis.lines]
    assert drawn == [pytest.approx(xs) for xs in ([1 / 1.1, 1.1], [1, 1], [0.6, 1.25], [derived / 2])]
    assert list(axis.lines[1].get_ydata()) == [2.5, 3.5]
    (text,) = axis.texts
    assert (text.xy, text.get_ha(), text.xyann) == ((at, 3), side, (shift, 0))


def test_a_part_reaches_as_far_as_what_it_divides_by() -> None:
    assert printed("half", "ratio") == claims.Printed(0.5, 0.454545454545, 0.55)
    assert printed("third", "ratio") == claims.Printed(1 / 3, 0.30303030303, 0.366666666667)


def test_what_cannot_run_says_why_beside_one_that_does() -> None:
    """Two runs alike but for a batch that no memory holds."""
    row = SPECS.measurements["CM384-DECODE-4K-50MS"]
    found = validate([row, dataclasses.replace(row, batch="100000")], SPECS)
    assert np.isfinite(found["predicted"]).tolist() == [True, False]
    assert found["reason"][0] == ""
    assert found["reason"][1].startswith("batch: weights and KV cache take ")


def test_one_request_that_just_meets_its_limit_fits() -> None:
    """An eighth of a request on each of eight ranks that share it."""
    time = float(decode(SPECS, LLAMA, BF16).tpot.m)
    assert largest_batch(SPECS, LLAMA, BF16, tpot=time * 1.0001) == 1 / 8
    assert largest_batch(SPECS, LLAMA, BF16, tpot=time * 0.9999) == 0


def test_a_single_rank_takes_a_whole_accelerator() -> None:
    found = served.deployed(SPECS, "ascend-910c", "CM384-DECODE-4K-50MS", expert_parallel=1)
    assert found.accelerators == 1  # of two ranks


def test_one_request_that_fits_runs() -> None:
    """1.8 million tokens of context on eight H200: room for one, and for less than two."""
    alone = Deployment(
        "h200-sxm", 8, 8, 1 / 8, 1.8e6, tensor_parallel=8, matrix_precision="bf16", output=1000
    )
    assert largest_batch(SPECS, LLAMA, alone) == 1 / 8
    found = closed_loop(SPECS, LLAMA, alone, Loop(4, 1.8e6, 1, np.nan, aggregated=True))
    assert 0 < found.running <= 1 / 8
    assert np.isfinite(found.tpot.m)


@pytest.mark.parametrize(("primary", "refused_as"), [("S001", "'S001'"), ("", "''"), ("x;S001", "")])
def test_an_own_claim_holds_by_another_document(primary: str, refused_as: str) -> None:
    claim = next(iter(load_claims()))
    judged = {
        "form": "value",
        "judged": "holds",
        "primary_says": "So.",
        "article": "S001",
        "primary": primary,
    }
    told: list[str] = []
    try:
        claims._check_whole(dataclasses.replace(claim, **judged), "claims.csv", 3, SPECS, own=True)
    except InputError as error:
        told = [str(error)]
    wanted = f"claims.csv line 3, column primary: {refused_as}; expected a document that is not the article "
    assert [line.startswith(wanted) for line in told] == [True] * bool(refused_as)


@pytest.mark.parametrize(
    ("value", "holding", "told"),
    [("all", 2, "holds"), ("all", 1, "contradicted"), ("all", 0, "overstated"), ("", 1, "partly")],
)
def test_what_is_said_of_all_measures_is_wrong_where_one_fails(
    monkeypatch: pytest.MonkeyPatch, value: str, holding: int, told: str
) -> None:
    attempt = SimpleNamespace(text="2 times", keys=())
    found = [(name, attempt, place < holding) for place, name in enumerate(("memory", "peak"))]
    monkeypatch.setattr(verdicts, "measures", lambda *_: found)
    claim = next(claim for claim in load_claims() if claim.word)
    assert judge(dataclasses.replace(claim, value=value), SPECS, {}).answer == told


def test_a_training_run_without_a_format_is_not_the_newest() -> None:
    newest = at_work.newest_training(SPECS, "gb200-nvl72", 8)
    blank = dataclasses.replace(newest, id="blank", date="2030-01-01", precision="")
    later = SimpleNamespace(runs={**SPECS.runs, "blank": blank}, parts=SPECS.parts)
    found: Any = at_work.newest_training(later, "gb200-nvl72", 8)  # type: ignore[arg-type]
    assert found == newest


def test_how_much_longer_first_tokens_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half as long predicted as measured is twice as long measured."""
    known = {"runs": 9, "documents": 5, "half": 0.1, "nine_in_ten": 0.3, "of": "",
             "first_bias": -0.5, "first_tokens": 7, "first_half_ms": 80.0}  # fmt: skip
    monkeypatch.setattr(forecast, "error_of", lambda *_: known)
    side: Any = SimpleNamespace(model=R1, deployment=BF16, phase="decode")
    half, most, first = forecast.errors(side, "")
    assert (half.value, most.value, first.value) == (10, 30, 80)
    assert first.note == "7 runs, of which half took 2.0 times as long or more"


def test_what_the_model_says_of_another_chips_run_is_not_said(tmp_path: Path) -> None:
    row = {"id": "X-1", "statement": "So fast.", "subject": "h100-sxm", "quantity": "predicted_throughput",
           "conditions": "measurement=CM384-DECODE-4K-50MS", "form": "value", "relation": "eq",
           "value": "2,000", "unit": "token/s/accelerator"}  # fmt: skip
    (found,) = claims.load_claims(write(tmp_path / "claims.csv", Claim, row), SPECS)
    told = judge(found, SPECS, {})
    assert (told.answer, told.settled) == ("unsupported", "nothing")


def test_a_file_may_have_64_megabytes_and_no_byte_more(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(64_000_000)
    assert len(files.text_of(path)) == 64_000_000
    with path.open("ab") as file:
        file.write(b",")
    assert refused(files.text_of, path) == "large.csv: more than 64 MB"


def test_a_peak_of_more_bits_than_any_is_not_zero() -> None:
    """Of 8 and 128 bits in one call, a 910C has the first alone."""
    assert (
        refused(derive, "peak_by_bits", "ascend-910c", SPECS, bits=np.array([8.0, 128.0]))
        == "ascend-910c has no peak of 128 bits or more"
    )


def test_runs_of_which_one_states_no_model_are_no_ratio() -> None:
    ours, theirs = (next(iter(runs_of(SPECS, name, "deepseek-v3"))) for name in ("ascend-910c", "gb200"))
    blank = dataclasses.replace(SPECS, runs={**SPECS.runs, theirs.id: dataclasses.replace(theirs, model="")})
    told = refused(derive, "training_ratio", "cloudmatrix-384", blank, run=ours.id,
                   comparator="gb200-nvl72", against=theirs.id)  # fmt: skip
    assert told.endswith(": one is of deepseek-v3, the other of a model that is not stated")


def test_a_double_in_per_cent_reaches_as_far_as_the_digit() -> None:
    """200 %, said with one digit: a tenth as a factor, 181.8 to 220, and no half of a per cent."""
    told = printed("double", "ratio", unit="percent")
    assert (told.value, told.low, told.high) == (200.0, 181.818181818182, 220.0)


def test_a_dense_model_has_no_experts() -> None:
    assert (LLAMA.routed_experts, LLAMA.experts_per_token, LLAMA.expert_size, LLAMA.shared_experts) == (
        0,
    ) * 4
    assert (LLAMA.moe_layers, LLAMA.mtp_layers, LLAMA.joined, LLAMA.draft_vocab_size) == (0,) * 4
    flags = LLAMA.router_bias, LLAMA.expert_bias, LLAMA.ffn_bias, LLAMA.attention_kept
    assert flags == (False,) * 4


def test_price_for_each_of_two_kinds_of_accelerators() -> None:
    """A system for 216,000 USD with eight H100 and one A100: 24,000 USD each."""
    added = [
        Row("hgx-h100", "price", "", 216_000.0, "USD", "nominal", "central", "", "a page", "line 1", ""),
        Row("hgx-h100", "count", "part=a100-sxm", 1.0, "count", "nominal", "central", "", "a page", "", ""),
    ]
    table = dataclasses.replace(SPECS, rows=SPECS.rows | {row.key: (row,) for row in added})
    assert derive("price_per_accelerator", "hgx-h100", table).m == pytest.approx(24_000)


def test_no_more_users_than_memory_holds_where_the_limit_is_wide() -> None:
    """A second a token binds nothing: as many users as an instance has room for, and none that waits."""
    asked = forecast.Asked(R1, Deployment("h200-sxm", 8, 8, np.nan, 32_768, tensor_parallel=8, output=1024),
                           prompt=32_256, tpot=1000.0, aggregated=True)  # fmt: skip
    told = forecast.forecast(SPECS, asked).set_index(["part", "figure"])["value"]
    assert told["both", "users"] == told["fits", "requests of an instance"]


def test_a_term_that_takes_no_time_waits_for_nothing() -> None:
    """Without drafts there is no draft step, so that no line says what it waits for."""
    one = Deployment("h200-sxm", 8, 8, 4, 4096, tensor_parallel=8)
    lines = forecast.bounds(SPECS, R1, one, "decode")
    assert "draft" not in lines.index
    assert (lines["ms"] > 0).sum() == len(lines)
