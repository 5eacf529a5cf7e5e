"""The verdict rule on made-up claims, and every verdict of the ledger redone by hand."""

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
from own_ledger import SPECS, verdicts

from cm384.derive.derivation import DERIVATIONS
from cm384.ledger import verdicts as verdict_rule
from cm384.ledger.claims import CATEGORIES, VERDICTS, Claim, Printed, load_claims, printed
from cm384.ledger.verdicts import Verdict, judge_all, scorecard
from cm384.physics.check import model_error, validate
from cm384.physics.served import MODELLED
from cm384.table.errors import InputError
from cm384.table.records import Row, read_rows
from cm384.table.specs import Specs, group_rows, load_specs
from cm384.table.units import Q

SPEC_COLUMNS = [field.name for field in dataclasses.fields(Row)]
COLUMNS = [field.name for field in dataclasses.fields(Claim)]

# Chips a, b, c; systems one (4 a), two (2 b), three (4 b). Only the peak of a is disputed.
WORLD = """
a peak precision=bf16 100 TFLOP/s headline central
a peak precision=bf16 110 TFLOP/s headline alternative
a peak precision=bf16 130 TFLOP/s headline alternative
a peak precision=bf16 80 TFLOP/s matrix central
a peak precision=int8 300 TFLOP/s headline central
a hbm_capacity - 64 GB nominal central
a hbm_capacity - 60 GB usable central
a hbm_bandwidth - 2 TB/s nominal central
a power - 500 W tdp central
b peak precision=bf16 50 TFLOP/s matrix central
b peak precision=fp8 120 TFLOP/s matrix central
b hbm_capacity - 32 GB nominal central
b power - 250 W tdp central
c peak precision=bf16 20 TFLOP/s matrix central
c hbm_bandwidth - 1 TB/s nominal central
one count part=a 4 count nominal central
one count part=cpu 2 count nominal central
one count part=node 2 count nominal central
one accelerators_per_node - 2 count nominal central
two count part=b 2 count nominal central
three count part=b 4 count nominal central
""".strip().splitlines()

CLAIM = {
    "id": "X-1",
    "article": "an article",
    "locator": "paragraph 1",
    "category": "chip spec",
    "statement": "A made-up claim.",
    "subject": "a",
    "quantity": "peak",
    "conditions": "precision=bf16",
    "form": "value",
    "relation": "eq",
    "value": "100",
    "unit": "TFLOP/s",
}
RATIO = CLAIM | {"form": "ratio", "unit": "", "comparator": "b", "value": "2"}
COUNT = CLAIM | {
    "subject": "one",
    "quantity": "count",
    "conditions": "part=a",
    "form": "count",
    "unit": "count",
    "value": "4",
}
POWER = CLAIM | {"quantity": "power", "conditions": "", "unit": "W"}
OPEN = CLAIM | {"subject": "one", "quantity": "hbm_capacity", "conditions": "", "form": "ratio",
                "unit": "", "value": "4"}  # fmt: skip
JUDGED = CLAIM | {"quantity": "", "judged": "contradicted", "primary_says": "It says otherwise."}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Specs:
    path = tmp_path_factory.mktemp("world") / "world.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SPEC_COLUMNS)
        for line in WORLD:
            *fact, role = line.replace(" - ", "  ").split(" ")
            writer.writerow([*fact, role, "", f"page of {fact[0]}", "line 1", ""])
    kinds = load_specs().kinds
    return Specs(group_rows(read_rows(path, kinds), {}, path.name), kinds)


def write(folder: Path, *claims: dict[str, str]) -> Path:
    return strangers.write(folder / "claims.csv", Claim, *claims)


def judged(folder: Path, world: Specs, *claims: dict[str, str]) -> list[Verdict]:
    return judge_all(load_claims(write(folder, *claims), world), world)


def refusal(folder: Path, world: Specs, *claims: dict[str, str]) -> str:
    return strangers.refused(load_claims, write(folder, *claims), world)


# --- printed figures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "form", "relation", "low", "high"),
    [
        ("3.6", "ratio", "eq", 3.55, 3.65),
        ("2.1", "ratio", "eq", 2.05, 2.15),
        ("60", "share", "eq", 57, 63),  # half of ten is more than 5 %
        ("1,943", "value", "eq", 1942.5, 1943.5),
        ("6,688", "value", "eq", 6687.5, 6688.5),
        ("4.45", "value", "eq", 4.445, 4.455),
        ("1.0", "ratio", "eq", 0.95, 1.05),
        ("2.00", "ratio", "eq", 1.995, 2.005),
        ("2", "ratio", "eq", 1.9, 2.1),
        ("300", "value", "eq", 285, 315),
        ("1,200", "value", "eq", 1150, 1250),  # 50 is less than 5 % of 1,200
        ("120", "value", "eq", 115, 125),
        ("0.05", "value", "eq", 0.0475, 0.0525),
        ("double", "ratio", "eq", 1.95, 2.05),
        ("twice", "ratio", "eq", 1.95, 2.05),
        ("half", "ratio", "eq", 0.495, 0.505),
        ("triple", "ratio", "eq", 2.95, 3.05),
        ("384", "count", "eq", 384, 384),
        ("400", "count", "eq", 400, 400),
        ("2025", "date", "eq", 2025, 2025),
        ("384", "value", "about", 345.6, 422.4),
        ("3.6", "ratio", "about", 3.24, 3.96),
        ("400", "count", "about", 360, 440),
        ("double", "ratio", "gt", 2, np.inf),
        ("3", "statement", "ge", 3, np.inf),
        ("1", "statement", "lt", -np.inf, 1),
        ("1", "statement", "le", -np.inf, 1),
    ],
)
def test_printed_interval(value: str, form: str, relation: str, low: float, high: float) -> None:
    found = printed(value, form, relation)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize(
    ("relation", "below", "at", "above"),
    [
        ("gt", False, False, True),
        ("ge", False, True, True),
        ("lt", True, False, False),
        ("le", True, True, False),
        ("eq", False, True, False),
    ],
)
def test_relation(relation: str, below: bool, at: bool, above: bool) -> None:
    found = printed("2", "count", relation)
    assert [bool(found.holds(value)) for value in (1.999, 2.0, 2.001)] == [below, at, above]


def test_edges_of_an_interval_belong_to_it_despite_rounding() -> None:
    assert printed("3.6", "ratio", "eq").holds(3.55)
    assert printed("3.6", "ratio", "eq").holds(3.65)
    assert not printed("3.6", "ratio", "eq").holds(3.5499)
    assert printed("3", "count", "eq").holds(0.1 * 3 * 10)


def test_holds_takes_arrays() -> None:
    assert printed("2", "ratio", "gt").holds(np.array([1, 2, 3])).tolist() == [False, False, True]
    assert printed("2", "ratio", "eq").holds(np.array([1, 2, 3])).tolist() == [False, True, False]


@settings(deadline=None)
@given(st.decimals(min_value=1, max_value=99_999, places=2), st.sampled_from(["eq", "about"]))
def test_printed_figure_lies_in_the_middle_of_an_interval_of_at_most_5_percent(
    value: object, relation: str
) -> None:
    found = printed(str(value), "value", relation)
    limit = 0.1 if relation == "about" else 0.05
    assert found.holds(found.value)
    assert found.high - found.value == pytest.approx(found.value - found.low, abs=1e-9)
    assert (found.high - found.value) / found.value <= limit + 1e-9


def test_interval_is_closed_but_for_more_and_less_than() -> None:
    assert printed("2", "ratio", "gt") == Printed(2, 2, np.inf, open=True)
    assert printed("2", "ratio", "lt") == Printed(2, -np.inf, 2, open=True)
    assert not printed("2", "ratio", "ge").open
    assert not printed("2", "ratio", "eq").open


@pytest.mark.parametrize(
    ("cells", "claimed"),
    [
        ({"value": "3.6", "unit": ""}, "3.6"),
        ({"value": "60", "unit": "percent"}, "60 %"),
        ({"value": "384", "unit": "count"}, "384"),
        ({"value": "2", "unit": "", "relation": "gt"}, "> 2"),
        ({"value": "3", "unit": "", "relation": "ge"}, "≥ 3"),
        ({"value": "1", "unit": "", "relation": "lt"}, "< 1"),
        ({"value": "1", "unit": "", "relation": "le"}, "≤ 1"),
        ({"value": "2", "unit": "GB", "relation": "about"}, "about 2 GB"),
        ({"value": "double", "unit": "", "relation": "gt"}, "more than double"),
        ({"value": "double", "unit": "", "relation": "eq"}, "double"),
    ],
)
def test_claimed_figure_as_a_reader_sees_it(cells: dict[str, str], claimed: str) -> None:
    claim = Claim(**(dict.fromkeys(COLUMNS, "") | {"relation": "eq", "form": "value"} | cells))
    assert claim.claimed == claimed


# --- the rule, verdict by verdict -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "verdict", "derived"),
    [
        (CLAIM, "confirmed", 100),
        (CLAIM | {"relation": "ge"}, "confirmed", 100),
        (CLAIM | {"relation": "le"}, "confirmed", 100),
        (CLAIM | {"relation": "about", "value": "91"}, "confirmed", 100),
        (CLAIM | {"relation": "about", "value": "90"}, "understated", 100),
        (CLAIM | {"value": "0.1", "unit": "PFLOP/s"}, "confirmed", 0.1),
        (CLAIM | {"relation": "lt", "value": "101"}, "confirmed", 100),
        (CLAIM | {"form": "statement", "relation": "gt", "value": "99"}, "confirmed", 100),
        # a bound that no source passes
        (CLAIM | {"relation": "gt", "value": "130"}, "overstated", 100),
        (CLAIM | {"relation": "lt", "value": "100"}, "understated", 100),
        # some source reaches it
        (CLAIM | {"relation": "gt"}, "within sources", 100),
        (CLAIM | {"value": "130"}, "within sources", 100),
        (CLAIM | {"value": "110", "readings": "subject=c"}, "within sources", 100),
        # nothing sourced reaches it
        (CLAIM | {"value": "200"}, "overstated", 100),
        (CLAIM | {"value": "119"}, "overstated", 100),  # between two sources is not a source
        (CLAIM | {"value": "20"}, "understated", 100),
        # less is better: the more flattering figure is the lower one
        (POWER | {"value": "500"}, "confirmed", 500),
        (POWER | {"value": "250"}, "overstated", 500),
        (POWER | {"value": "1,000"}, "understated", 500),
        # another basis, precision, quantity or comparator
        (CLAIM | {"value": "80", "readings": "basis=matrix"}, "other basis", 100),
        (CLAIM | {"value": "300", "readings": "basis=matrix|precision=int8"}, "other basis", 100),
        (CLAIM | {"value": "200", "readings": "basis=matrix"}, "overstated", 100),
        (RATIO, "confirmed", 2),
        (RATIO | {"value": "5", "readings": "comparator=c"}, "other basis", 2),
        (RATIO | {"value": "5", "readings": "subject=a;comparator=c"}, "other basis", 2),
        # another subject against another comparator is another comparison, not another owner
        (RATIO | {"value": "2.5", "readings": "subject=b;comparator=c"}, "other basis", 2),
        (
            RATIO | {"value": "2.5", "readings": "precision=int8;comparator.precision=fp8"},
            "other basis",
            2,
        ),
        (RATIO | {"comparator": "c", "value": "4", "readings": "quantity=hbm_bandwidth"},
         "understated", 5),
        (RATIO | {"comparator": "c", "value": "2.00", "readings": "quantity=hbm_bandwidth"},
         "other basis", 5),
        # it fits, but somebody else
        (CLAIM | {"value": "50", "readings": "subject=b"}, "misattributed", 100),
        (CLAIM | {"value": "50", "readings": "basis=matrix|subject=b"}, "misattributed", 100),
        (CLAIM | {"value": "130", "readings": "subject=b;precision=fp8"}, "within sources", 100),
        (RATIO | {"value": "0.4", "readings": "subject=c"}, "misattributed", 2),
        # counts are exact
        (COUNT, "confirmed", 4),
        (COUNT | {"value": "5"}, "contradicted", 4),
        (COUNT | {"value": "2", "readings": "part=cpu"}, "misattributed", 4),
        (COUNT | {"value": "3", "readings": "part=cpu"}, "contradicted", 4),
        (COUNT | {"quantity": "accelerators_from_nodes", "conditions": ""}, "confirmed", 4),
        # shares
        (RATIO | {"form": "share", "unit": "percent", "value": "200"}, "confirmed", 200),
        (RATIO | {"form": "share", "unit": "percent", "value": "60", "subject": "b",
                  "comparator": "a"}, "overstated", 50),
    ],
)  # fmt: skip
def test_verdict(tmp_path: Path, world: Specs, claim: dict[str, str], verdict: str, derived: float) -> None:
    (found,) = judged(tmp_path, world, claim)
    assert (found.verdict, found.derived) == (verdict, pytest.approx(derived))
    assert found.why.endswith(".")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_judged_claim_keeps_its_verdict_and_says_why(tmp_path: Path, world: Specs, verdict: str) -> None:
    claim = JUDGED | {"judged": verdict, "primary": "one;two"}
    (found,) = judged(tmp_path, world, claim)
    assert (found.verdict, found.why) == (verdict, "It says otherwise.")
    assert found.sources == ("one", "two")
    assert np.isnan(found.derived)
    assert np.isnan(found.quotient)


def test_judged_claim_may_give_its_reason_in_a_note(tmp_path: Path, world: Specs) -> None:
    claim = JUDGED | {"judged": "unsupported", "primary_says": "", "note": "None was found."}
    assert judged(tmp_path, world, claim)[0].why == "None was found."


def test_misattributed_names_the_owner(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, COUNT | {"value": "2", "readings": "part=cpu"})
    assert found.why.endswith("the claim fits CPU.")
    (found,) = judged(tmp_path, world, CLAIM | {"value": "50", "readings": "subject=b"})
    assert found.why.endswith("the claim fits B.")


def test_contradicted_count_says_both_figures(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, COUNT | {"value": "5"})
    assert "4, not 5." in found.why


def test_within_sources_says_what_share_of_the_combinations(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, CLAIM | {"value": "130"})
    assert "33 %" in found.why
    (found,) = judged(tmp_path, world, CLAIM | {"relation": "gt"})
    assert "67 %" in found.why


def test_other_basis_names_the_reading_and_how_many_were_tried(tmp_path: Path, world: Specs) -> None:
    claim = CLAIM | {"value": "300", "readings": "basis=matrix|precision=int8|subject=c"}
    (found,) = judged(tmp_path, world, claim)
    assert "of 3 other readings" in found.why
    assert "(INT8) of A" in found.why
    assert "holds on 1" in found.why


def test_readings_hold_a_condition_of_the_comparator_alone(tmp_path: Path, world: Specs) -> None:
    claim = RATIO | {"value": "2.5", "readings": "precision=int8;comparator.precision=fp8"}
    (found,) = judged(tmp_path, world, claim)
    assert "(INT8) of A ÷ B (FP8)" in found.why


def test_reading_of_another_quantity_drops_the_conditions(tmp_path: Path, world: Specs) -> None:
    claim = CLAIM | {"form": "ratio", "unit": "", "comparator": "b", "value": "2.00"}
    (found,) = judged(tmp_path, world, claim | {"relation": "lt",
                      "readings": "quantity=hbm_capacity|quantity=power"})  # fmt: skip
    assert found.verdict == "understated"
    assert "none of 2 other readings fits" in found.why


def test_overstated_gives_the_factor_and_what_the_sources_allow(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, CLAIM | {"value": "250"})
    assert "100 to 130" in found.why
    assert "overstated 2.5 times" in found.why
    assert found.quotient == pytest.approx(0.4)


def test_understated_gives_the_factor_the_other_way_round(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, CLAIM | {"value": "20"})
    assert "understated 5 times" in found.why
    (found,) = judged(tmp_path, world, POWER | {"value": "250"})
    assert "one source each" in found.why
    assert "overstated 2 times" in found.why


def test_verdict_names_the_sources_it_was_derived_from(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, RATIO)
    assert found.sources == ("page of a", "page of b")


def test_reading_that_no_source_allows_is_left_out(tmp_path: Path, world: Specs) -> None:
    claim = CLAIM | {"value": "80", "readings": "precision=fp8|basis=matrix"}
    (found,) = judged(tmp_path, world, claim)
    assert found.verdict == "other basis"
    assert "of 1 other reading " in found.why


def test_claim_that_no_source_reaches_is_unsupported_and_stops_no_other(tmp_path: Path, world: Specs) -> None:
    missing = CLAIM | {"id": "X-2", "conditions": "precision=fp8"}
    found = judged(tmp_path, world, missing, CLAIM)
    assert [verdict.verdict for verdict in found] == ["unsupported", "confirmed"]
    assert "a has no peak for precision=fp8" in found[0].why


def test_claim_without_a_precision_is_unsupported_and_says_what_is_missing(
    tmp_path: Path, world: Specs
) -> None:
    (found,) = judged(tmp_path, world, CLAIM | {"quantity": "peak_from_units", "conditions": ""})
    assert found.verdict == "unsupported"
    assert "precision" in found.why


# --- comparators ----------------------------------------------------------------------------------


def test_open_comparator_tries_every_machine_of_the_subjects_kind(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, OPEN)  # 256 GB against 64 and 128
    assert found.verdict == "confirmed"
    assert "1 of the 2 machines" in found.why
    assert "TWO (4)" in found.why
    assert "THREE" not in found.why


def test_open_comparator_of_a_chip_tries_chips_and_not_itself(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, RATIO | {"comparator": ""})
    assert "1 of the 2 machines" in found.why
    assert "B (2)" in found.why


def test_open_comparator_takes_the_nearest_when_none_fits(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, OPEN | {"value": "2.5"})
    assert (found.verdict, found.derived) == ("overstated", pytest.approx(2))
    (found,) = judged(tmp_path, world, OPEN | {"value": "3.5"})
    assert (found.verdict, found.derived) == ("understated", pytest.approx(4))


def test_machine_that_lacks_the_figure_is_left_out(tmp_path: Path, world: Specs) -> None:
    claim = CLAIM | {"quantity": "hbm_bandwidth", "conditions": "", "form": "ratio", "unit": ""}
    (found,) = judged(tmp_path, world, claim | {"value": "2"})  # b has no bandwidth
    assert (found.verdict, found.derived) == ("confirmed", pytest.approx(2))


def test_no_machine_has_the_figure(tmp_path: Path, world: Specs) -> None:
    (found,) = judged(tmp_path, world, OPEN | {"quantity": "scale_up_bandwidth"})
    assert found.verdict == "unsupported"
    assert found.why
    assert np.isnan(found.derived)


def test_within_sources_speaks_of_the_machine_whose_sources_reach_it(tmp_path: Path, world: Specs) -> None:
    # c ÷ a = 0.2, or 0.154 with a at 130; c ÷ b = 0.4. Claimed 0.154: nearest is a.
    claim = RATIO | {"subject": "c", "comparator": "", "value": "0.154"}
    (found,) = judged(tmp_path, world, claim)
    assert found.verdict == "within sources"
    assert "÷ A" in found.why
    assert found.derived == pytest.approx(0.2)


def test_comparator_may_be_what_another_claim_fits(tmp_path: Path, world: Specs) -> None:
    other = OPEN | {"id": "X-2"}
    claim = OPEN | {"quantity": "peak", "conditions": "precision=bf16", "comparator": "X-2"}
    found = judged(tmp_path, world, claim, other)
    assert found[0].verdict == "confirmed"  # 400 ÷ 100, against the machine that X-2 fits
    assert "TWO" in found[0].why
    assert "THREE" not in found[0].why


def test_comparator_claim_that_fits_nothing(tmp_path: Path, world: Specs) -> None:
    other = OPEN | {"id": "X-2", "value": "9"}
    (found, _) = judged(tmp_path, world, OPEN | {"comparator": "X-2"}, other)
    assert found.verdict == "unsupported"
    assert "No machine fits" in found.why


def test_areas_led_takes_its_comparator_as_a_condition(tmp_path: Path) -> None:
    claim = CLAIM | {
        "quantity": "areas_led",
        "form": "statement",
        "relation": "ge",
        "unit": "count",
        "value": "2",
        "subject": "cloudmatrix-384",
        "comparator": "gb200-nvl72",
    }
    specs = load_specs()
    (found,) = judge_all(load_claims(write(tmp_path, claim), specs), specs)
    assert (found.verdict, found.derived) == ("confirmed", 5)
    assert "against GB200 NVL72" in found.why


# --- same_as --------------------------------------------------------------------------------------


def test_repeated_claim_takes_what_it_leaves_empty(tmp_path: Path, world: Specs) -> None:
    again = {"id": "X-2", "article": "another", "statement": "Again.", "same_as": "X-1"}
    first, second = judged(tmp_path, world, CLAIM, again)
    assert (first.verdict, second.verdict) == ("confirmed", "confirmed")
    assert second.claim.statement == "Again."
    assert second.claim.article == "another"
    assert second.claim.locator == "paragraph 1"
    assert second.derived == first.derived


def test_repeated_claim_keeps_what_it_says_itself(tmp_path: Path, world: Specs) -> None:
    again = {"id": "X-2", "statement": "Again.", "same_as": "X-1", "value": "200"}
    _, second = judged(tmp_path, world, CLAIM, again)
    assert second.verdict == "overstated"


def test_repeated_claim_may_come_first(tmp_path: Path, world: Specs) -> None:
    again = {"id": "X-2", "statement": "Again.", "same_as": "X-1"}
    first, _ = judged(tmp_path, world, again, JUDGED)
    assert first.verdict == "contradicted"


@pytest.mark.parametrize("other", ["X-1", "X-2", "X-3"])
def test_claim_repeats_one_that_repeats_none(tmp_path: Path, world: Specs, other: str) -> None:
    two = {"id": "X-2", "statement": "Again.", "same_as": other}
    three = {"id": "X-3", "statement": "And again.", "same_as": "X-2"}
    line, repeated = (4, "X-2") if other == "X-1" else (3, other)
    assert refusal(tmp_path, world, CLAIM, two, three) == (
        f"claims.csv line {line}, column same_as: {repeated!r}; "
        "expected a claim that does not repeat another one itself"
    )


def test_file_of_somebody_else_needs_six_columns(tmp_path: Path, world: Specs) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("id,statement,subject,quantity,form,value\nX-1,Twice.,a,dies,value,2\n")
    (claim,) = load_claims(file, world)
    assert (claim.relation, claim.comparator, claim.article) == ("", "", "")
    file.write_text("id,statement,subject,quantity,form\nX-1,Twice.,a,dies,value\n")
    with pytest.raises(InputError, match=r"mine.csv line 1: missing column 'value'"):
        load_claims(file, world)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"id": ""}, "column id: ''; expected letters, digits and hyphens"),
        ({"id": "a claim"}, "column id: 'a claim'; expected letters, digits and hyphens"),
        ({"category": "chip specs"}, "column category: 'chip specs' is not known; did you mean "
                                     "'chip spec'?"),
        ({"statement": ""}, "column statement: ''; expected the claim in words"),
        ({"subject": "thre"}, "column subject: 'thre' is not known; did you mean 'three'?"),
        ({"subject": ""}, "column subject: ''; expected a name, or a verdict in column judged"),
        ({"quantity": "peek"}, "column quantity: 'peek' is not known; did you mean 'peak'?"),
        ({"quantity": ""}, "column quantity: ''; expected a name, or a verdict in column judged"),
        ({"conditions": "precision"}, "column conditions: 'precision'; expected key=value;"),
        ({"conditions": "precison=bf16"}, "column conditions: unknown condition 'precison'; "
                                          "did you mean 'precision'?"),
        ({"conditions": "precision=bf61"}, "column conditions: unknown precision 'bf61'"),
        ({"conditions": "basis=matrx"}, "column conditions: unknown basis 'matrx'; did you mean "
                                        "'matrix'?"),
        ({"conditions": "subject=b"}, "column conditions: "),
        ({"form": "vale"}, "column form: 'vale' is not known; did you mean 'value'?"),
        ({"form": ""}, "column form: '' is not known; known: count, date, ratio, share"),
        ({"relation": "eqq"}, "column relation: 'eqq' is not known; did you mean 'eq'?"),
        ({"value": ""}, "column value: ''; expected a positive number as printed"),
        ({"value": "many"}, "column value: 'many'; expected a positive number as printed"),
        ({"value": "nan"}, "column value: 'nan'; expected a positive number as printed"),
        ({"value": "-3"}, "column value: '-3'; expected a positive number as printed"),
        ({"value": "0"}, "column value: '0'; expected a positive number as printed"),
        ({"value": "3,6"}, "column value: '3,6'; expected a positive number as printed"),
        ({"unit": "furlong"}, "column unit: 'furlong'; expected a unit such as GB/s"),
        ({"unit": "GB"}, "column unit: 'GB'; expected a unit such as TFLOP/s"),
        ({"unit": ""}, "column unit: ''; expected a unit such as TFLOP/s"),
        ({"form": "statement", "unit": "GB"}, "column unit: 'GB'; expected a unit such as"),
        ({"form": "value", "comparator": "b"}, "column unit: 'TFLOP/s'; expected a unit such as"),
        ({"form": "ratio", "comparator": "b"}, "column unit: 'TFLOP/s'; expected a unit such as"),
        ({"comparator": "thre"}, "column comparator: 'thre' is not known; did you mean 'three'?"),
        ({"comparator": "X-1", "form": "ratio", "unit": ""},
         "column comparator: 'X-1'; expected a ratio or share that does not refer to another claim"),
        ({"same_as": "X-11"}, "column same_as: 'X-11' is not known; did you mean 'X-1'?"),
        ({"readings": "basis"}, "column readings: 'basis'; expected key=value;"),
        ({"readings": "quantity=peek"}, "column readings: unknown quantity 'peek'; did you mean"),
        ({"readings": "basis=matrix|subject=thre"}, "column readings: unknown subject 'thre'; "
                                                    "did you mean 'three'?"),
        ({"readings": "comparator=thre"}, "column readings: unknown "),
        ({"readings": "comparater.precision=int8"}, "column readings: "),
        ({"readings": "quantity=hbm_capacity"}, "column readings: "),
        ({"judged": "confirmd", "note": "n"}, "column judged: 'confirmd' is not known; did you"),
        ({"judged": "confirmed"}, "column primary_says: ''; expected what the primary source says"),
    ],
)  # fmt: skip
def test_bad_claim_is_one_line(tmp_path: Path, world: Specs, cells: dict[str, str], message: str) -> None:
    good = CLAIM | {"id": "G-1", "note": "the line before"}
    found = refusal(tmp_path, world, good, CLAIM | cells)
    assert found.startswith(f"claims.csv line 3, {message}")


def test_id_given_twice_is_refused_where_it_comes_again(tmp_path: Path, world: Specs) -> None:
    again = CLAIM | {"statement": "Something else."}
    found = refusal(tmp_path, world, CLAIM, CLAIM | {"id": "X-2"}, again)
    assert found.startswith("claims.csv line 4, column id: 'X-1'; expected ")
    assert "multiple_fields" not in found


def test_claims_that_compare_with_each_other_are_refused(tmp_path: Path, world: Specs) -> None:
    one = OPEN | {"comparator": "X-2"}
    two = OPEN | {"id": "X-2", "comparator": "X-1"}
    assert "column comparator" in refusal(tmp_path, world, one, two)


def test_claims_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^absent\.csv: no such file$"):
        load_claims("absent.csv")


def test_article_of_the_own_ledger_is_a_source_and_a_strangers_is_free(tmp_path: Path, world: Specs) -> None:
    assert judged(tmp_path, world, CLAIM | {"article": "a page I read"})[0].verdict == "confirmed"


# --- the scorecard --------------------------------------------------------------------------------


def test_scorecard_has_a_line_a_claim(tmp_path: Path, world: Specs) -> None:
    path = write(tmp_path, CLAIM, JUDGED | {"id": "X-2"}, CLAIM | {"id": "X-3", "value": "125"})
    lines = scorecard(load_claims(path, world), world)
    assert lines["id"].tolist() == ["X-1", "X-2", "X-3"]
    assert lines["verdict"].tolist() == ["confirmed", "contradicted", "overstated"]
    assert lines["derived"].tolist()[::2] == [100, 100]
    assert lines["low"].tolist()[::2] == [100, 100]
    assert lines["high"].tolist()[::2] == [130, 130]
    assert lines["ratio"].tolist()[::2] == pytest.approx([1, 0.8])
    assert lines.loc[1, ["derived", "low", "high", "ratio"]].isna().all()
    assert lines["sources"].tolist() == ["page of a", "", "page of a"]


# --- the ledger of this project -------------------------------------------------------------------

VERDICT = verdicts()
LEDGER = list(VERDICT.values())

EXPECTED = {
    "confirmed": """
        S000-01 S000-08 S000-11 S000-12 S000-16 S001-13a S001-19 S002-02 S002-06a S002-08 S002-09
        S002-11 S002-17 S002-18a S003-03b S003-06 S003-09 S003-13a S003-13b S003-18 S004-11a
        S004-11b S004-15 S004-16 S004-17 S004-18 S004-21""",
    "within sources": "S003-20",
    "within model error": "S003-05 S003-07 S003-08",
    "other basis": """
        S000-06 S000-07 S000-10 S000-15 S000-21 S000-25 S000-26a S001-01 S001-06 S001-11 S001-14a
        S001-16 S001-29 S003-01 S003-03a S003-10 S003-11 S003-19 S004-13""",
    "source agrees": """
        S000-03 S000-04 S000-05 S001-02 S001-09 S001-12 S001-15a S001-24 S001-30 S001-36 S002-03
        S002-04 S002-05 S002-13 S002-14a S002-15 S002-16 S002-19 S002-20a S002-21 S002-22 S002-26
        S002-27a S002-27b S002-29 S003-02 S003-04 S003-14 S003-15 S003-17 S004-01 S004-06 S004-12
        S004-14 S004-19 S004-22""",
    "understated": "S000-22 S001-17 S001-27",
    "overstated": """
        S000-02 S000-14 S000-17a S000-17b S000-24 S000-26b S001-03 S001-05 S001-18 S001-20a
        S001-20b S001-22 S001-23 S001-26 S001-35 S001-37 S002-01 S002-06b S002-07 S002-10 S002-18b
        S002-20b S002-23 S002-24 S002-27c S003-16 S004-03 S004-05 S004-10""",
    "misattributed": """
        S000-18 S001-04 S001-08 S001-10 S001-13b S001-14b S002-12 S003-12 S004-07 S004-08 S004-09
        S004-23""",
    "inconsistent": "S004-20",
    "contradicted": """
        S000-09 S000-19 S001-15b S001-31 S001-32 S002-14b S002-28 S004-02""",
    "unsupported": """
        S000-13 S000-20 S000-23 S000-27 S000-28 S001-07 S001-21 S001-25 S001-28 S001-33 S001-34
        S002-25 S003-21 S003-22 S004-04""",
}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_claims_with_this_verdict(verdict: str) -> None:
    found = [name for name, line in VERDICT.items() if line.verdict == verdict]
    assert found == EXPECTED[verdict].split()


def test_totals_of_the_ledger() -> None:
    assert {verdict: len(names.split()) for verdict, names in EXPECTED.items()} == {
        "confirmed": 27, "within sources": 1, "within model error": 3, "other basis": 19,
        "source agrees": 36, "understated": 3, "overstated": 29, "misattributed": 12,
        "inconsistent": 1, "contradicted": 8, "unsupported": 15,
    }  # fmt: skip
    assert len(LEDGER) == 154


def test_every_claim_of_the_five_articles_is_in_the_ledger() -> None:
    """All 139 by number, none left out; a compound one is split into a, b, c."""
    numbers: dict[str, dict[int, list[str]]] = {}
    for name in VERDICT:
        article, number, letter = re.fullmatch(r"(S00[0-4])-(\d\d)([a-c]?)", name).groups()  # type: ignore[union-attr]
        numbers.setdefault(article, {}).setdefault(int(number), []).append(letter)
    assert {article: list(found) for article, found in numbers.items()} == {
        article: list(range(1, last + 1))
        for article, last in {"S000": 28, "S001": 37, "S002": 29, "S003": 22, "S004": 23}.items()
    }
    assert sum(map(len, numbers.values())) == 139
    letters = {tuple(found) for part in numbers.values() for found in part.values()}
    assert letters == {("",), ("a", "b"), ("a", "b", "c")}
    articles = {(line.claim.id[:4], line.claim.article) for line in LEDGER}
    assert len(articles) == 5  # one article a prefix


def test_every_category_has_claims() -> None:
    counts = dict.fromkeys(CATEGORIES, 0)
    for line in LEDGER:
        counts[line.claim.category] += 1
    assert counts == {
        "chip spec": 13, "system spec": 28, "serving throughput": 8, "efficiency": 4, "parity": 18,
        "power/energy": 7, "software": 8, "deployment": 11, "timeline": 19, "market/finance": 38,
    }  # fmt: skip


# deepseek2025r1, config.json: 61 layers, the first 3 dense; hidden 7,168; 256 + 1 experts of 2,048
ATTENTION = (7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256
             + 128 * 128 * 7168)  # fmt: skip
EXPERTS = 257 * 3 * 7168 * 2048 + 256 * 7168 + 256
R1 = (2 * 129280 * 7168 + 7168 + 61 * (ATTENTION + 2 * 7168) + 3 * 3 * 7168 * 18432
      + 58 * EXPERTS)  # fmt: skip
COMPUTE = (384 * 752) / (72 * 2500)  # ascendmsmodeling; nvidia2025blackwell, table 2
MEMORY = (384 * 128) / (72 * 192)  # huawei2025cloudmatrix; nvidia2026nim
STREAM = (384 * 3.2) / (72 * 8)  # huawei2025cloudmatrix; nvidia2025blackwell, table 2
NODES = 48 * 8  # huawei2025cloudmatrix, sections 3.3.2 and 3.3.3
# reportify2025semianalysis: 559,378 W; a rack of 145 kW
PER_WATT = (288.768e15 / 559378) / (180e15 / 145000)
# lmsys2025largescale: 62,713 tokens/s a node of 8 H800 in DeepSeek's profile
PREFILL_H800 = 6688 / 7839.1


@pytest.mark.parametrize(
    ("name", "derived"),
    [
        ("S000-01", 5),  # peak, capacity, bandwidth, both networks
        ("S000-02", COMPUTE),
        ("S000-06", 4.5),  # nvidia2025sec, booked
        ("S000-07", 2.5 + 8.0),  # nvidia2025q1, two quarters
        ("S000-08", NODES),
        ("S000-10", 752 / 2500),
        ("S000-11", MEMORY),
        ("S000-12", STREAM),
        ("S000-15", 25),  # btimes2025huawei
        ("S000-16", 5.114e9 * 25 / 1e9),  # huawei2022annual; breakingviews2023huawei
        ("S000-21", 752 / 2500),
        ("S000-22", 100 * 752 / 989.4),  # nvidia2022hopper, table 1
        ("S000-26a", (8.2e6 / 288768) / (3e6 / 180000)),  # benzinga2025cloudmatrix
        ("S001-01", 25),
        ("S001-03", COMPUTE),
        ("S001-04", 48),
        ("S001-05", COMPUTE),
        ("S001-06", (384 * 3.2) / (8 * 3.352)),  # nvidia2022hopper, table 3
        ("S001-11", 148 / 989.4),  # lmsys2025h20; nvidia2022hopper, table 1
        ("S001-13a", 5.5),  # nvidia20258k
        ("S001-14a", 2.5 + 8.0),
        ("S001-16", 128 / 96),  # nvidia2026mig
        ("S001-17", 752 / 148),
        ("S001-19", 127.85),
        ("S001-27", 100 * 752 / 989.4),
        ("S002-02", COMPUTE),
        ("S002-06a", NODES),
        ("S002-08", 72),
        ("S002-09", 2500 / 752),
        ("S002-11", 5),
        ("S002-17", 31 / 14),  # delloro2025telecom
        ("S002-18a", COMPUTE),
        ("S002-18b", PER_WATT),
        ("S003-01", PREFILL_H800),
        ("S003-03a", 6688 / 7417.1),  # lmsys2025largescale: 59,337 tokens/s a node of 8 H100
        ("S003-03b", (6688 / 1504) / (7417.1 / 1978.9)),
        ("S003-06", 6688 / 1504),
        ("S003-09", 1943 / 1504),
        ("S003-10", 1943 / 2171.6),  # lmsys2025largescale: 17,373 tokens/s a node, simulated MTP
        ("S003-11", PREFILL_H800),
        ("S003-13a", NODES),
        ("S003-13b", 192),
        ("S003-18", R1 / 1e9),
        ("S003-19", PREFILL_H800),
        ("S003-20", 0.8),  # statista2025ai
        ("S004-07", 8 / 1504),  # huawei2023atlas200idka2; ascendmsmodeling
        ("S004-11a", NODES),
        ("S004-11b", 192),
        ("S004-13", PER_WATT),
        ("S004-15", 752 / 2500),
        ("S004-16", COMPUTE),
        ("S004-17", COMPUTE),
        ("S004-18", 31 / 14),
        ("S004-21", 3350 / 1306),  # xinhua2025capacity; urjadaily2025ferc
    ],
)
def test_derived_figure_of_the_ledger(name: str, derived: float) -> None:
    assert VERDICT[name].derived == pytest.approx(derived, rel=1e-12)


def test_figures_that_readers_know() -> None:
    """The same to the digits in which the articles and the sources print them."""
    found = {name: round(VERDICT[name].derived, 3) for name in ("S003-06", "S003-09", "S002-18b")}
    assert found == {"S003-06": 4.447, "S003-09": 1.292, "S002-18b": 0.416}
    assert round(VERDICT["S003-01"].derived, 4) == 0.8532
    assert round(VERDICT["S004-21"].derived, 3) == 2.565
    assert round(VERDICT["S000-16"].derived, 2) == 127.85


MODELLED_CLAIMS = ["S003-05", "S003-07", "S003-08"]


def test_every_derivable_claim_is_redone_here() -> None:
    """Those through the serving model are redone in test_hardware.py and judged below."""
    marks = test_derived_figure_of_the_ledger.pytestmark[0].args[1]
    redone = {name for name, _ in marks}
    assert len(redone) == len(marks)
    derivable = {name for name, line in VERDICT.items() if line.attempt}
    assert redone | set(MODELLED_CLAIMS) == derivable
    through_the_model = [
        name
        for name in derivable
        if VERDICT[name].attempt.reading.quantity in MODELLED  # type: ignore[union-attr]
    ]
    assert sorted(through_the_model) == MODELLED_CLAIMS


def other_basis(name: str) -> str:
    assert VERDICT[name].verdict == "other basis"
    return VERDICT[name].why


@pytest.mark.parametrize(
    ("name", "held_as"),
    [
        ("S000-06", "charge (h20, guided) of NVIDIA = 5.5 bn USD"),
        ("S000-07", "export rule cost (h20) of NVIDIA = 15 bn USD"),  # 4.5 + 2.5 + 8.0
        ("S000-15", "(apple, 2022) of Huawei = 127.9 bn USD"),
        ("S000-21", "peak (BF16) of Ascend 910C ÷ H20 = 5.081"),  # 752 ÷ 148
        ("S000-26a", "price per accelerator of CloudMatrix 384 ÷ GB200 NVL72 = 0.5125"),
        ("S003-01", "(DSK-H800-PREFILL-PRODUCTION) = 1.405"),  # 5,655 ÷ 4,026
        ("S003-01", "(DSK-H800-DECODE-PRODUCTION) = 1.050"),  # 1,943 ÷ 1,850
        ("S003-01", "of 7 other readings it holds on 6"),
        ("S003-03a", "(DSK-H800-DECODE-PRODUCTION) = 1.050"),
        ("S003-03a", "of 5 other readings it holds on 1"),
        ("S003-10", "(SGL-H100-DECODE-SIMMTP, FP8) = 1.177"),  # 1.2919 ÷ (2,171.6 ÷ 1,978.9)
        ("S003-10", "(SGL-H100-PREFILL-4K-PERFECT, FP8) = 1.186"),
        ("S004-13", "(SGL-H100-PREFILL-4K-DEFAULT, FP8) = 1.183"),  # 5,655 ÷ 1,504; 6,287.75
    ],
)
def test_other_basis_of_the_ledger(name: str, held_as: str) -> None:
    assert held_as in other_basis(name)


def test_3_6_times_singles_out_gb200_nvl72() -> None:
    why = VERDICT["S000-11"].why
    assert "1 of the 8 machines" in why
    assert "GB200 NVL72 (3.556)" in why


def test_2_1_times_fits_gb200_and_gb300() -> None:
    why = VERDICT["S000-12"].why
    assert "2 of the 8 machines" in why
    assert "GB200 NVL72 (2.133)" in why
    assert "GB300 NVL72 (2.133)" in why


def test_more_than_double_is_reached_by_no_source() -> None:
    found = VERDICT["S000-02"]
    assert found.attempt is not None
    assert float(found.attempt.span.high.m) == pytest.approx(384 * 800 / (72 * 2250))
    assert not found.claim.printed.holds(found.attempt.span.values).any()
    assert "overstated 1.25 times" in found.why  # 2 ÷ 1.604


@pytest.mark.parametrize(
    ("name", "machines"),
    [
        ("S001-06", ["GB200 NVL72", "GB300 NVL72"]),
        ("S001-16", ["GB200 NVL72"]),
        ("S000-10", ["A100 SXM", "H20"]),
        ("S001-04", ["Ascend 910C"]),
        ("S004-07", ["Ascend 910C"]),
    ],
)
def test_the_owner_or_reading_is_named(name: str, machines: list[str]) -> None:
    assert all(machine in VERDICT[name].why for machine in machines)


def test_double_the_h20_is_too_low() -> None:
    assert "understated 2.54 times" in VERDICT["S001-17"].why  # 5.081 ÷ 2


def test_every_verdict_has_its_reason_and_its_sources() -> None:
    for line in LEDGER:
        assert line.why.endswith((".", ".'")), line.claim.id
        assert all(line.sources), line.claim.id
        found_nothing = line.verdict in ("unsupported", "inconsistent")
        # The articles themselves, the table, or a model's own config.json.
        assert line.sources or found_nothing or line.claim.quantity == "parameters", line.claim.id


# --- conditions of the comparator alone, in the conditions column ---------------------------------


@pytest.mark.parametrize(
    ("cells", "verdict", "derived"),
    [
        # 300 INT8 ÷ 120 FP8; 100 BF16 ÷ 50 BF16 is 2, and b has no INT8
        ({"conditions": "comparator.precision=fp8;precision=int8", "value": "2.5"},
         "confirmed", 2.5),
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "2.5"},
         "confirmed", 2.5),
        ({"conditions": "precision=bf16;comparator.precision=fp8", "value": "2"},
         "overstated", 100 / 120),
        # a reading changes what it names, and keeps the rest on its own side
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "6",
          "readings": "comparator.precision=bf16"}, "other basis", 2.5),
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "0.833",
          "readings": "precision=bf16"}, "other basis", 2.5),
        ({"conditions": "precision=int8;comparator.precision=fp8", "value": "2",
          "readings": "precision=bf16;comparator.precision=bf16"}, "other basis", 2.5),
        # 64 GB ÷ 60 usable; another quantity has conditions of its own: 2 TB/s ÷ 1 TB/s
        ({"subject": "b", "comparator": "a", "quantity": "hbm_capacity", "value": "0.533",
          "conditions": "comparator.basis=usable"}, "confirmed", 32 / 60),
        ({"comparator": "c", "quantity": "hbm_bandwidth", "conditions": "comparator.basis=nominal",
          "value": "5", "readings": "quantity=peak;precision=bf16"}, "other basis", 2),
    ],
)  # fmt: skip
def test_condition_of_the_comparator_in_the_conditions(
    tmp_path: Path, world: Specs, cells: dict[str, str], verdict: str, derived: float
) -> None:
    (found,) = judged(tmp_path, world, RATIO | cells)
    assert (found.verdict, found.derived) == (verdict, pytest.approx(derived))


def test_condition_of_the_comparator_alone_does_not_pass_to_another_quantity(
    tmp_path: Path, world: Specs
) -> None:
    claim = RATIO | {"subject": "b", "comparator": "a", "quantity": "hbm_capacity", "value": "0.5",
                     "conditions": "comparator.basis=usable"}  # fmt: skip
    # 250 W ÷ 500 W tdp, which a has on no basis "usable"; 32 ÷ 60 is not 0.50
    (found,) = judged(tmp_path, world, claim | {"value": "0.500", "readings": "quantity=power"})
    assert found.verdict == "other basis"
    assert "power of B ÷ A = 0.5" in found.why


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ("comparator.precison=fp8", "column conditions: unknown condition 'precison'; did you mean "
                                    "'precision'?"),
        ("comparator.precision=fp9", "column conditions: unknown precision 'fp9'; known: bf16, "
                                     "fp8, int8"),
        ("comparater.precision=fp8", "column conditions: unknown condition 'comparater.precision'"),
        ("measurement=CM384-PREFIL", "column conditions: unknown measurement 'CM384-PREFIL'"),
    ],
)  # fmt: skip
def test_bad_condition_of_the_comparator_is_one_line(
    tmp_path: Path, world: Specs, conditions: str, message: str
) -> None:
    found = refusal(tmp_path, world, RATIO | {"conditions": conditions})
    assert found.startswith(f"claims.csv line 2, {message}")


def test_unknown_measurement_of_the_project_names_the_nearest(tmp_path: Path) -> None:
    claim = MODEL_CLAIM | {"conditions": "measurement=CM384-PREFILL-PERFEKT"}
    assert refusal(tmp_path, SPECS, claim) == (
        "claims.csv line 2, column conditions: unknown measurement 'CM384-PREFILL-PERFEKT'; "
        "did you mean 'CM384-PREFILL-PERFECT'?"
    )


def test_figure_of_another_accelerators_measurement_is_unsupported(tmp_path: Path) -> None:
    (found,) = judged(tmp_path, SPECS, MODEL_CLAIM | {"subject": "h100-sxm"})
    assert found.verdict == "unsupported"
    assert "is of ascend-910c, not of h100-sxm" in found.why


# --- through the serving model --------------------------------------------------------------------

MODEL_CLAIM = CLAIM | {
    "subject": "ascend-910c",
    "quantity": "predicted_throughput",
    "conditions": "measurement=CM384-PREFILL-PERFECT",
    "unit": "token/s/accelerator",
    "value": "7,000",
}
PREDICTED = 1000.0  # in the claims below the model says so, ± 10 %


@pytest.fixture
def model_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says 1,000 tokens/s and 1,000 ms, with an error of 10 %."""
    for quantity, unit in (("predicted_throughput", "token/s/accelerator"),
                           ("predicted_tpot", "ms")):  # fmt: skip
        figure = lambda specs, subject, *, measurement, unit=unit: Q(PREDICTED, unit)  # noqa: E731
        monkeypatch.setitem(DERIVATIONS, quantity, (figure, "made up"))
    monkeypatch.setattr(verdict_rule, "model_error", lambda specs, measurement: 0.1)


@pytest.mark.parametrize(
    ("relation", "value", "verdict"),
    [
        # more than: only what the low end exceeds is confirmed, what the high end misses is refuted
        ("gt", "899", "confirmed"),
        ("gt", "901", "within model error"),
        ("gt", "999", "within model error"),
        ("gt", "1,001", "within model error"),
        ("gt", "1,099", "within model error"),
        ("gt", "1,101", "overstated"),
        ("ge", "899", "confirmed"),
        ("ge", "1,000", "within model error"),
        # less than, the other way round
        ("lt", "1,101", "confirmed"),
        ("lt", "1,099", "within model error"),
        ("lt", "901", "within model error"),
        ("lt", "899", "understated"),
        # a figure: its printed interval, or what the error reaches
        ("eq", "1,001", "within model error"),
        ("eq", "1,099", "within model error"),
        ("eq", "901", "within model error"),
        ("eq", "1,101", "overstated"),
        ("eq", "899", "understated"),
        ("eq", "1,112", "overstated"),
        ("eq", "1,110", "overstated"),  # 1,105 to 1,115 is beyond 1,100
        ("eq", "1,100", "within model error"),  # 1,050 to 1,150
        ("about", "1,220", "within model error"),  # from 1,098
        ("about", "1,230", "overstated"),  # from 1,107
        ("about", "825", "within model error"),  # to 907.5
        ("about", "810", "understated"),  # to 891
    ],
)
@pytest.mark.usefixtures("model_says")
def test_verdict_through_the_model(tmp_path: Path, relation: str, value: str, verdict: str) -> None:
    claim = MODEL_CLAIM | {"relation": relation, "value": value}
    (found,) = judged(tmp_path, SPECS, claim)
    assert (found.verdict, found.derived) == (verdict, PREDICTED)
    # Of a time, less is better: what is more flattering turns round, the rest stays.
    other = {"overstated": "understated", "understated": "overstated"}
    (found,) = judged(tmp_path, SPECS, claim | {"quantity": "predicted_tpot", "unit": "ms"})
    assert found.verdict == other.get(verdict, verdict)


@pytest.mark.usefixtures("model_says")
def test_printed_figure_that_the_model_gives_is_confirmed(tmp_path: Path) -> None:
    """Section 6: the central value falls in the printed interval."""
    for relation, value in (("eq", "1,000"), ("eq", "1,040"), ("about", "1,100")):
        (found,) = judged(tmp_path, SPECS, MODEL_CLAIM | {"relation": relation, "value": value})
        assert found.verdict == ("within model error" if value == "1,040" else "confirmed")


@pytest.mark.usefixtures("model_says")
def test_claim_through_the_model_says_how_far_off_and_how_sure(tmp_path: Path) -> None:
    (found,) = judged(tmp_path, SPECS, MODEL_CLAIM | {"value": "1,050"})
    assert "1,000 tokens/s per accelerator, -5 % from the claim" in found.why
    assert "nine in ten well specified measurements of other documents are met within 10 %" in (found.why)


@pytest.mark.usefixtures("model_says")
def test_claim_through_the_model_beyond_its_error_may_hold_on_another_basis(
    tmp_path: Path,
) -> None:
    claim = MODEL_CLAIM | {
        "value": "6,688",
        "readings": "quantity=published_throughput;measurement=CM384-PREFILL-PERFECT|"
        "quantity=published_throughput;measurement=CM384-PREFILL-DEFAULT",
    }
    (found,) = judged(tmp_path, SPECS, claim)
    assert found.verdict == "other basis"
    assert "of 2 other readings it holds on 1: " in found.why
    (found,) = judged(tmp_path, SPECS, claim | {"value": "6,700"})  # 6,650 to 6,750
    assert found.verdict == "other basis"
    (found,) = judged(tmp_path, SPECS, claim | {"value": "6,123"})
    assert found.verdict == "overstated"
    assert "none of 2 other readings fits" in found.why


def test_error_of_the_model_leaves_out_the_claims_own_document() -> None:
    """The 9th of ten, in order, of the rows of that phase that assume nothing, redone by hand."""
    for name in ("CM384-PREFILL-PERFECT", "CM384-DECODE-4K-50MS"):
        own = SPECS.measurements[name]
        others = [
            row for row in SPECS.measurements.values()
            if row.phase == own.phase and not row.assumed and row.source != own.source
        ]  # fmt: skip
        errors = sorted(validate(others, SPECS)["error"].abs())
        nine_in_ten = errors[int(np.ceil(0.9 * len(errors))) - 1]
        assert model_error(SPECS, name) == pytest.approx(nine_in_ten, rel=1e-12)
        assert 0 < nine_in_ten < 1


def with_throughput(choose: Any, factor: float) -> Specs:
    """The table with the published throughput of some measurements changed."""
    found = {
        name: dataclasses.replace(row, throughput=str(row.measured * factor))
        if choose(row) else row
        for name, row in SPECS.measurements.items()
    }  # fmt: skip
    return dataclasses.replace(SPECS, measurements=found)


@pytest.mark.parametrize("name", ["CM384-PREFILL-PERFECT", "CM384-DECODE-4K-50MS"])
def test_what_the_error_of_the_model_depends_on(name: str) -> None:
    own = SPECS.measurements[name]
    plain = model_error(SPECS, name)

    def moved(choose: Any) -> bool:
        return model_error(with_throughput(choose, 10.0), name) != plain

    other = {"prefill": "decode", "decode": "prefill"}[own.phase]
    assert not moved(lambda row: row.source == own.source)  # no claim is judged by itself
    assert not moved(lambda row: row.phase == other)
    assert not moved(lambda row: bool(row.assumed))
    assert moved(lambda row: row.phase == own.phase and row.source != own.source)


def test_claims_of_the_ledger_through_the_model() -> None:
    """Each derived × (1 ± error) reaches the claim, and none holds on both ends."""
    for name in MODELLED_CLAIMS:
        found = VERDICT[name]
        assert found.attempt is not None
        error = model_error(SPECS, found.attempt.reading.conditions["measurement"])
        ends = found.derived * np.array([1 - error, 1, 1 + error])
        target = found.claim.printed
        assert ends[0] < target.value < ends[2]
        assert not target.holds(ends).all()
        assert f"within {100 * error:.0f} %" in found.why


def test_no_verdict_of_the_ledger_comes_through_the_model_unseen() -> None:
    """A claim that reads a constant of the serving model is one of those judged by its error."""
    for line in LEDGER:
        if line.attempt and line.claim.id not in MODELLED_CLAIMS:
            assert not {key[1] for key in line.attempt.span.keys} & {"gemm_rate", "expert_balance"}


def test_a_comparator_that_is_a_claim_names_a_machine(tmp_path: Path) -> None:
    """The machine that a count fits is none: refused before anything is derived."""
    path = tmp_path / "mine.csv"
    path.write_text(
        "id,statement,subject,quantity,conditions,form,value,comparator\n"
        "ME-1,Three times the compute,cloudmatrix-384,peak,precision=bf16,ratio,3,ME-2\n"
        "ME-2,It has 384 chips,cloudmatrix-384,count,part=ascend-910c,count,384,\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"mine.csv line 2, column comparator: 'ME-2'; expected a ratio"):
        load_claims(path)
