"""How far the sources disagree: spans against brute force on small made-up tables."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cm384 import derive, load_specs, ratio, span
from cm384.derive.spread import Solution, combinations, sobol, solve_for, tornado
from cm384.table import units
from cm384.table.draws import block_of, consistent
from cm384.table.errors import InputError
from cm384.table.reading import read_rows
from cm384.table.records import Key, Row
from cm384.table.specs import Specs, group_rows

COLUMNS = [field.name for field in dataclasses.fields(Row)]
# A quantity of the vocabulary for each made-up fact, so that a figure may read several of them.
FACTS = {
    "memory": ("hbm_capacity", "GB", "nominal"),
    "stream": ("hbm_bandwidth", "GB/s", "nominal"),
    "links": ("scale_up_links", "count", "package"),
    "draw": ("power", "W", "tdp"),
    "cost": ("price", "USD", "nominal"),
}
Statement = tuple[float, str]  # a value and its group


def table(folder: Path, facts: dict[str, list[Statement]]) -> Specs:
    """A table of one subject: each fact's statements, the central one first."""
    path = folder / "made-up.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for fact, statements in facts.items():
            quantity, unit, basis = FACTS[fact]
            for place, (value, group) in enumerate(statements):
                role = "alternative" if place else "central"
                writer.writerow(["x", quantity, "", value, unit, basis, role, group, "a page", "line 1", ""])
    kinds = load_specs().kinds
    return Specs(group_rows(read_rows(path, kinds), {}, path.name), kinds)


def alone(*values: float) -> list[Statement]:
    return [(value, "") for value in values]


def fact(specs: Specs, name: str) -> Any:
    """The value of a fact as a pure number."""
    quantity, unit, basis = FACTS[name]
    return specs.get("x", quantity, basis) / units.Q(1, unit)


def product(*names: str) -> Any:
    return lambda specs: math.prod(fact(specs, name) for name in names)


def brute_force(facts: dict[str, list[Statement]]) -> list[float]:
    """The products of all choices that take a group whole or not at all; the central one first.

    The central statements of facts that are linked by groups may stand together in any case.
    """
    groups = {name: {group for _, group in rows if group} for name, rows in facts.items()}
    linked_to = {name: {name} for name in facts}
    for _ in facts:  # as many rounds as a chain can be long
        for one, other in itertools.product(facts, repeat=2):
            if any(groups[a] & groups[b] for a in linked_to[one] for b in linked_to[other]):
                linked_to[one] |= linked_to[other]
    found = []
    for picked in itertools.product(*facts.values()):
        choice = dict(zip(facts, picked, strict=True))

        def allowed(names: set[str], choice: dict[str, Statement] = choice) -> bool:
            central = all(choice[name] == facts[name][0] for name in names)
            free = [name for name in names if len(facts[name]) > 1]  # one statement binds nobody
            taken = {choice[name][1] for name in free} - {""}
            split = any(group in groups[name] and choice[name][1] != group
                        for group in taken for name in free)  # fmt: skip
            return central or not split

        if all(allowed(names) for names in linked_to.values()):
            found.append(math.prod(value for value, _ in picked))
    return found


# --- exhaustive -----------------------------------------------------------------------------------


def test_every_combination_is_formed_once(tmp_path: Path) -> None:
    facts = {"memory": alone(2, 3, 5), "stream": alone(7, 11), "links": alone(13, 17)}
    found = span(product("memory", "stream", "links"), table(tmp_path, facts))
    assert sorted(found.values) == pytest.approx(sorted(brute_force(facts)))
    assert len(set(found.values)) == 12  # products of primes: none twice
    assert found.exhaustive
    assert found.method == "all 12 combinations"
    assert (found.low.m, found.central.m, found.high.m) == pytest.approx((182, 182, 935))


def test_central_value_comes_first_and_need_not_be_an_edge(tmp_path: Path) -> None:
    facts = {"memory": alone(3, 2, 5), "stream": alone(11, 7, 13)}
    found = span(product("memory", "stream"), table(tmp_path, facts))
    assert found.values[0] == found.central.m == pytest.approx(33)
    assert not found.choices[0].any()
    assert (found.low.m, found.high.m) == pytest.approx((14, 65))


def test_only_rows_that_were_read_are_expanded(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(5, 7)})
    found = span(product("memory"), specs)
    assert found.values.tolist() == [2, 3]
    assert [key[1] for key in found.keys] == ["hbm_capacity"]


def test_choices_say_which_statement_each_combination_takes(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3, 5), "stream": alone(7, 11)})
    found = span(product("stream", "memory"), specs)
    options = [specs.options(key) for key in found.keys]
    for value, (one, other) in zip(found.values, found.choices, strict=True):
        assert value == pytest.approx(options[0][one] * options[1][other])


def test_alternatives_in_another_unit_are_converted(tmp_path: Path) -> None:
    specs = table(tmp_path, {"stream": alone(1000)})
    (key,) = specs.rows
    other = dataclasses.replace(specs.rows[key][0], value=3, unit="TB/s", role="alternative")
    specs = dataclasses.replace(specs, rows={key: (*specs.rows[key], other)})
    assert span(product("stream"), specs).values.tolist() == pytest.approx([1000, 3000])


def test_single_source_has_no_width(tmp_path: Path) -> None:
    found = span(product("memory", "stream"), table(tmp_path, {"memory": alone(2), "stream": alone(3)}))
    assert found.low == found.central == found.high
    assert found.values.tolist() == [6]
    assert found.method == "one source each"


def test_figure_that_reads_nothing_has_no_width(tmp_path: Path) -> None:
    found = span(lambda _: units.Q(3, "GB"), table(tmp_path, {"memory": alone(2, 3)}))
    assert found.values.tolist() == [3]
    assert found.keys == ()


def test_replaced_row_is_not_expanded(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(5, 7)})
    changed = specs.replace({("x", "hbm_capacity", "", "nominal"): 10.0})
    found = span(product("memory", "stream"), changed)
    assert sorted(found.values) == pytest.approx([50, 70])


def test_span_leaves_the_table_alone(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3)})
    span(product("memory"), specs)
    assert specs.trace is None
    assert not specs.drawn


def test_both_sides_of_a_ratio_take_the_same_row() -> None:
    specs = load_specs()
    for quantity, subject in (("peak", "ascend-910c"), ("peak", "gb200-nvl72")):
        found = span(lambda s, q=quantity, n=subject: ratio(q, n, n, s, precision="bf16"), specs)
        assert len(found.values) > 1
        assert found.values.tolist() == [1.0] * len(found.values)


def test_a_ratio_is_not_the_ratio_of_two_intervals(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(5, 7)})
    found = span(lambda s: fact(s, "memory") * fact(s, "stream") / fact(s, "memory"), specs)
    assert (found.low.m, found.high.m) == pytest.approx((5, 7))


def test_span_of_the_910c_peak_runs_over_its_sources() -> None:
    # ascendmsmodeling 752, techpowerup2025cloudmatrix 780, itbear2025ascend 800
    found = span(lambda s: derive("peak", "ascend-910c", s, precision="bf16"), load_specs())
    assert found.values.tolist() == [752, 780, 800]
    assert found.method == "all 3 combinations"


# --- groups ---------------------------------------------------------------------------------------


def test_group_is_drawn_together(tmp_path: Path) -> None:
    facts = {"memory": [(2, "a"), (3, "b")], "stream": [(5, "a"), (7, "b")]}
    found = span(product("memory", "stream"), table(tmp_path, facts))
    assert sorted(found.values) == pytest.approx([10, 21])


def test_group_of_alternatives_is_drawn_together_or_not_at_all(tmp_path: Path) -> None:
    facts = {"memory": [(2, ""), (3, "b")], "stream": [(5, ""), (7, "b"), (11, "")]}
    found = span(product("memory", "stream"), table(tmp_path, facts))
    assert sorted(found.values) == pytest.approx([10, 21, 22])


def test_group_of_which_one_row_is_read_binds_nothing(tmp_path: Path) -> None:
    facts = {"memory": [(2, ""), (3, "b")], "stream": [(5, ""), (7, "b")]}
    assert span(product("memory"), table(tmp_path, facts)).values.tolist() == [2, 3]


def test_central_rows_stand_together_even_when_that_splits_a_group(tmp_path: Path) -> None:
    facts = {"memory": [(2, "a"), (3, "")], "stream": [(5, ""), (7, "a")]}
    found = span(product("memory", "stream"), table(tmp_path, facts))
    assert found.central.m == found.values[0] == 10
    assert sorted(found.values) == pytest.approx(sorted(brute_force(facts)))
    assert sorted(found.values) == pytest.approx([10, 14, 15])


def test_groups_link_rows_in_a_chain(tmp_path: Path) -> None:
    facts = {
        "memory": [(2, ""), (3, "a")],
        "stream": [(5, ""), (7, "a"), (11, "b")],
        "links": [(13, ""), (17, "b")],
    }
    specs = table(tmp_path, facts)
    found = span(product("memory", "links", "stream"), specs)
    assert sorted(found.values) == pytest.approx(sorted(brute_force(facts)))
    assert sorted(found.values) == pytest.approx([130, 130 * 3 * 7 / 10, 130 * 11 * 17 / 65])


def test_rows_of_different_groups_are_drawn_apart(tmp_path: Path) -> None:
    facts = {"memory": [(2, ""), (3, "a")], "stream": [(5, ""), (7, "b")]}
    found = span(product("memory", "stream"), table(tmp_path, facts))
    assert sorted(found.values) == pytest.approx([10, 14, 15, 21])


def test_a_row_with_one_statement_binds_no_other(tmp_path: Path) -> None:
    facts = {"memory": [(2, "a")], "stream": [(5, "a"), (7, "b")], "links": [(13, "a"), (17, "b")]}
    found = span(product("memory", "stream", "links"), table(tmp_path, facts))
    assert sorted(found.values) == pytest.approx([130, 2 * 7 * 17])


def test_every_statement_of_the_data_is_in_some_draw() -> None:
    specs = load_specs()
    for key, rows in specs.rows.items():
        if len(rows) > 1:
            block = block_of(specs.rows, specs.groups, key)
            choices = consistent([specs.rows[member] for member in block])
            assert set(choices[:, block.index(key)]) == set(range(len(rows))), key


def test_own_groups_are_drawn_together() -> None:
    # The 310B: 0.5 GHz goes with 8 TOPS, 1.224 GHz with 20 (huawei2023atlas200idka2)
    figure = lambda s: (  # noqa: E731
        derive("peak", "ascend-310b", s, precision="int8")
        / derive("peak_from_units", "ascend-310b", s, precision="int8")
    )
    found = span(figure, load_specs())
    assert sorted(found.values) == pytest.approx([8 / 8.192, 20 / 20.054016], rel=1e-9)


statements = st.lists(
    st.tuples(st.integers(1, 50).map(float), st.sampled_from(["", "", "a", "b", "c"])),
    min_size=1,
    max_size=3,
    unique_by=lambda statement: statement[0],
)


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(list(FACTS)[:4], statements)))
def test_spans_agree_with_brute_force(
    tmp_path_factory: pytest.TempPathFactory, facts: dict[str, list[Statement]]
) -> None:
    specs = table(tmp_path_factory.mktemp("made-up"), facts)
    found = span(product(*facts), specs)
    wanted = brute_force(facts)
    assert sorted(found.values) == pytest.approx(sorted(wanted))
    assert found.values[0] == pytest.approx(wanted[0])
    assert (found.low.m, found.high.m) == pytest.approx((min(wanted), max(wanted)))


# --- draws ----------------------------------------------------------------------------------------

MANY = {"memory": alone(2, 3, 5), "stream": alone(7, 11, 13), "links": alone(17, 19, 23)}


def test_limit_is_the_most_that_is_done_in_full(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    full = span(product(*MANY), specs, limit=27)
    drawn = span(product(*MANY), specs, limit=26)
    assert (full.exhaustive, len(full.values), full.method) == (True, 27, "all 27 combinations")
    assert (drawn.exhaustive, len(drawn.values), drawn.method) == (False, 26, "26 seeded draws")


def test_statements_that_a_figure_does_not_read_make_no_combination() -> None:
    """The 910B4 with 32 or 64 GB, each with a bandwidth of its own, has one link to the outside."""
    alone = span(lambda table: table.get("ascend-910b4", "scale_out_bandwidth"), load_specs())
    both = span(lambda table: table.get("ascend-910b4", "hbm_bandwidth"), load_specs())
    assert (alone.method, both.method) == ("one source each", "all 2 combinations")


def test_default_limit_is_ten_thousand_combinations(tmp_path: Path) -> None:
    ten = alone(*range(1, 11))
    facts = {"memory": ten, "stream": ten, "links": ten, "draw": ten}
    full = table(tmp_path, facts)
    more = table(tmp_path, facts | {"cost": alone(1, 2)})
    everything, exhaustive = combinations(full, list(full.rows))
    assert (everything.shape, exhaustive) == ((10_000, 4), True)
    assert len({tuple(choice) for choice in everything}) == 10_000
    draws, exhaustive = combinations(more, list(more.rows))
    assert (draws.shape, exhaustive) == ((10_000, 5), False)


def test_draws_are_reproducible(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    one, other = (span(product(*MANY), specs, limit=20) for _ in range(2))
    assert one.values.tolist() == other.values.tolist()


def test_another_seed_draws_otherwise(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    one, other = (span(product(*MANY), specs, limit=26, seed=seed) for seed in (1, 2))
    assert one.values.tolist() != other.values.tolist()


def test_first_draw_is_the_central_one(tmp_path: Path) -> None:
    found = span(product(*MANY), table(tmp_path, MANY), limit=20)
    assert found.values[0] == found.central.m == pytest.approx(2 * 7 * 17)
    assert not found.choices[0].any()


def test_draws_are_of_sourced_combinations_and_differ(tmp_path: Path) -> None:
    found = span(product(*MANY), table(tmp_path, MANY), limit=20)
    sourced = np.array(brute_force(MANY))
    assert all(np.isclose(sourced, value).any() for value in found.values)
    assert len(set(found.values)) > 5


def test_different_rows_are_drawn_independently(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    choices, _ = combinations(specs, list(specs.rows), limit=26)
    columns = [tuple(column) for column in choices.T]
    assert len(set(columns)) == 3


def test_draws_are_not_changed_by_another_row(tmp_path: Path) -> None:
    """Neither one that is not read nor one that is: every block has a seed of its own."""
    before = table(tmp_path, MANY)
    keys = list(before.rows)
    plain, _ = combinations(before, keys, limit=26)
    after = table(tmp_path, {"draw": alone(29, 31), **MANY, "cost": alone(37, 41)})
    unread, _ = combinations(after, keys, limit=26)
    everything, _ = combinations(after, list(after.rows), limit=26)
    assert plain.tolist() == unread.tolist()
    columns = [list(after.rows).index(key) for key in keys]
    assert plain.tolist() == everything[:, columns].tolist()


def test_groups_are_drawn_together_in_draws_too(tmp_path: Path) -> None:
    facts = {
        "memory": [(2, ""), (3, "a"), (5, "")],
        "stream": [(7, ""), (11, "a"), (13, "")],
        "links": alone(17, 19, 23),
    }
    found = span(product(*facts), table(tmp_path, facts), limit=14)
    assert not found.exhaustive
    sourced = np.array(brute_force(facts))
    assert all(np.isclose(sourced, value).any() for value in found.values)


# --- samples --------------------------------------------------------------------------------------

GROUPED: dict[str, list[Statement]] = {
    "memory": [(2, ""), (3, "a"), (5, "")],
    "stream": [(7, ""), (11, "a"), (13, "")],
    "links": alone(17, 19, 23),
    "draw": alone(29),
}


def drawn(specs: Specs, name: str) -> list[float]:
    values: list[float] = np.ravel(fact(specs, name).m).tolist()
    return values


def test_sample_takes_sourced_values_about_equally_often(tmp_path: Path) -> None:
    sample = table(tmp_path, MANY).sample(9000, seed=1)
    for name in MANY:
        values, counts = np.unique(drawn(sample, name), return_counts=True)
        assert values.tolist() == [value for value, _ in MANY[name]]
        assert counts / 9000 == pytest.approx(np.full(3, 1 / 3), abs=0.02)


def test_sample_is_the_same_for_a_seed_and_another_for_another(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    one, again, other = (drawn(specs.sample(50, seed), "memory") for seed in (1, 1, 2))
    assert one == again != other


def test_rows_of_a_sample_are_drawn_apart(tmp_path: Path) -> None:
    sample = table(tmp_path, MANY).sample(9000, seed=1)
    pairs = set(zip(drawn(sample, "memory"), drawn(sample, "stream"), strict=True))
    assert len(pairs) == 9
    found = np.corrcoef(drawn(sample, "memory"), drawn(sample, "stream"))[0, 1]
    assert abs(found) < 0.05


@pytest.mark.parametrize("count", [1, 30, 9_999, 10_000, 10_001, 25_000])
def test_long_sample_begins_with_the_short_one(tmp_path: Path, count: int) -> None:
    specs = table(tmp_path, MANY)
    everything = drawn(specs.sample(30_000, seed=3), "stream")
    assert drawn(specs.sample(count, seed=3), "stream") == everything[:count]


def test_sample_may_be_continued_block_by_block(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    whole = drawn(specs.sample(25_000, seed=3), "links")
    first, second, third = (
        drawn(specs.sample(count, 3, start), "links")
        for start, count in ((0, 10_000), (10_000, 10_000), (20_000, 5_000))
    )
    assert first + second + third == whole
    assert first[:5_000] != second[:5_000] != third


def test_another_row_changes_no_draw_of_the_others(tmp_path: Path) -> None:
    before = table(tmp_path, GROUPED).sample(200, seed=4)
    plain = {name: drawn(before, name) for name in GROUPED}
    facts: dict[str, list[Statement]] = {
        "cost": [(31, ""), (37, "b")], **dict(reversed(GROUPED.items()))
    }  # fmt: skip
    after = table(tmp_path, facts).sample(200, seed=4)
    assert {name: drawn(after, name) for name in GROUPED} == plain


def test_order_of_asking_changes_no_draw(tmp_path: Path) -> None:
    specs = table(tmp_path, GROUPED)
    one, other = specs.sample(100, seed=4), specs.sample(100, seed=4)
    forwards = [drawn(one, name) for name in GROUPED]
    backwards = [drawn(other, name) for name in reversed(GROUPED)]
    assert forwards == backwards[::-1]


def test_group_of_a_sample_goes_together(tmp_path: Path) -> None:
    sample = table(tmp_path, GROUPED).sample(2000, seed=1)
    found = set(zip(drawn(sample, "memory"), drawn(sample, "stream"), strict=True))
    assert found == {(2, 7), (2, 13), (5, 7), (5, 13), (3, 11)}


def test_row_of_one_source_is_the_same_in_all_samples(tmp_path: Path) -> None:
    assert set(drawn(table(tmp_path, GROUPED).sample(20, seed=1), "draw")) == {29}


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_sample_is_one_line(tmp_path: Path, count: int) -> None:
    with pytest.raises(InputError, match=rf"^samples: expected at least 1, got {count}$"):
        table(tmp_path, MANY).sample(count, seed=1)


def test_sample_is_drawn_when_it_is_read_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    options = Specs.options
    monkeypatch.setattr(Specs, "options", lambda self, key: asked.append(key) or options(self, key))
    sample = table(tmp_path, GROUPED).sample(10, seed=1)
    assert asked == []
    fact(sample, "links")
    fact(sample, "links")
    assert [key[1] for key in asked] == ["scale_up_links"]  # once, and nothing else
    fact(sample, "memory")
    assert {key[1] for key in asked[1:]} == {"hbm_capacity", "hbm_bandwidth"}  # its group


def test_a_billion_samples_cost_nothing_until_they_are_read() -> None:
    assert load_specs().sample(10**9, seed=1).drawn is not None


def test_replaced_row_of_a_sample_is_not_drawn(tmp_path: Path) -> None:
    sample = table(tmp_path, MANY).sample(5, seed=1)
    changed = sample.replace({("x", "hbm_capacity", "", "nominal"): 10.0})
    assert drawn(changed, "memory") == [10]
    assert drawn(changed, "stream") == drawn(sample, "stream")


def test_sampled_figure_is_that_of_its_draws(tmp_path: Path) -> None:
    sample = table(tmp_path, MANY).sample(100, seed=1)
    wanted = np.prod([drawn(sample, name) for name in MANY], axis=0)
    assert product(*MANY)(sample).m.tolist() == pytest.approx(wanted.tolist())


# --- solving backwards ----------------------------------------------------------------------------

MEMORY: Key = ("x", "hbm_capacity", "", "nominal")


def solved(specs: Specs, figure: Any, target: float) -> Solution:
    return solve_for(figure, specs, MEMORY, units.Q(target, "count"))


@pytest.mark.parametrize(
    ("figure", "target", "wanted"),
    [
        (lambda s: fact(s, "memory") * fact(s, "stream"), 35.0, 5.0),
        (lambda s: fact(s, "memory") * fact(s, "stream"), 14.0, 2.0),  # true as it is
        (lambda s: fact(s, "stream") / fact(s, "memory"), 70.0, 0.1),
        (lambda s: fact(s, "memory") ** 2, 16.0, 4.0),
        (lambda s: fact(s, "memory") - 3 * fact(s, "stream"), 19.0, 40.0),
        (lambda s: fact(s, "memory"), 1999.0, 1999.0),  # to a thousand times, or a thousandth
        (lambda s: fact(s, "memory"), 0.00201, 0.00201),
        (lambda s: fact(s, "memory"), 2001.0, None),
        (lambda s: fact(s, "memory"), 0.0019, None),
        (lambda s: fact(s, "memory"), -1.0, None),
        (lambda s: fact(s, "stream") + 0 * fact(s, "memory"), 8.0, None),  # does not move
        (lambda s: fact(s, "stream") + 0 * fact(s, "memory"), 7.0, 2.0),  # true for any
        (lambda s: np.minimum(fact(s, "memory"), fact(s, "stream")), 8.0, None),  # another limits
        # twice it goes through 16: the nearer one, by factor, is taken
        (lambda s: (fact(s, "memory") - 5) ** 2, 16.0, 1.0),
        (lambda s: (fact(s, "memory") - 40) ** 2, 100.0, 30.0),
    ],
)
def test_value_at_which_a_figure_reaches_a_target(
    tmp_path: Path, figure: Any, target: float, wanted: float | None
) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(7)})
    found = solved(specs, figure, target)
    if wanted is None:
        assert found.value is None
        assert str(found).startswith("no value of x.hbm_capacity[basis=nominal] reaches it")
    else:
        assert found.value.to("GB").m == pytest.approx(wanted, rel=1e-9)
    assert (found.low.m, found.central.m, found.high.m) == (2, 2, 3)


def test_solution_says_how_far_and_whether_a_source_is_there(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(7)})
    inside, outside = (str(solved(specs, product("memory"), target)) for target in (2.5, 4))
    assert inside == (
        "x.hbm_capacity[basis=nominal] would have to be 2.5 GB, 1.25 times the central 2 GB; "
        "sources state 2 GB to 3 GB, so it is within them"
    )
    assert outside.endswith("4 GB, 2 times the central 2 GB; sources state 2 GB to 3 GB, so none "
                            "reaches it")  # fmt: skip


def test_target_may_be_in_another_unit(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2)})
    figure = lambda s: s.get("x", "hbm_capacity")  # noqa: E731
    found = solve_for(figure, specs, MEMORY, units.Q(0.5, "TB"))
    assert found.value.to("GB").m == pytest.approx(500)


def test_row_that_the_figure_does_not_read_is_refused(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2), "stream": alone(7)})
    with pytest.raises(InputError) as caught:
        solved(specs, product("stream"), 3)
    assert str(caught.value) == (
        "the figure does not read x.hbm_capacity[basis=nominal]; it reads: x.hbm_bandwidth[basis=nominal]"
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(0.003, 900), st.floats(0.1, 100))
def test_what_is_solved_for_gives_the_target(
    tmp_path_factory: pytest.TempPathFactory, factor: float, other: float
) -> None:
    specs = table(tmp_path_factory.mktemp("made-up"), {"memory": alone(2), "stream": alone(other)})
    target = 2 * factor * other
    found = solved(specs, product("memory", "stream"), target)
    again = product("memory", "stream")(specs.replace({MEMORY: found.value}))
    assert again.m == pytest.approx(target, rel=1e-9)


# --- which row matters ----------------------------------------------------------------------------


def mixed(specs: Specs) -> Any:
    """A figure in which rows interact: memory × stream + links, and draw that nobody disputes."""
    return (fact(specs, "memory") * fact(specs, "stream") + fact(specs, "links")) * fact(specs, "draw")


def name_of(fact_name: str) -> str:
    quantity, _, basis = FACTS[fact_name]
    return f"x.{quantity}[basis={basis}]"


def test_tornado_moves_one_row_at_a_time_the_widest_first(tmp_path: Path) -> None:
    facts = {"links": alone(10, 13), "memory": alone(2, 3, 1), "stream": alone(7, 11), "draw":
             alone(2), "cost": alone(1, 9)}  # fmt: skip
    found = tornado(mixed, table(tmp_path, facts))
    assert found["row"].tolist() == [name_of(name) for name in ("memory", "stream", "links")]
    assert found["low"].tolist() == pytest.approx([34, 48, 48])  # (1×7+10)×2, (2×7+10)×2
    assert found["high"].tolist() == pytest.approx([62, 64, 54])  # (3×7+10)×2, (2×11+10)×2, 13
    assert found["spread"].tolist() == pytest.approx([28 / 48, 16 / 48, 6 / 48])


def test_tornado_of_what_nobody_disputes_is_empty(tmp_path: Path) -> None:
    found = tornado(product("memory"), table(tmp_path, {"memory": alone(2)}))
    assert found.empty
    assert found.columns.tolist() == ["row", "low", "high", "spread"]


def test_tornado_leaves_out_a_replaced_row(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(5, 7)})
    found = tornado(product("memory", "stream"), specs.replace({MEMORY: 10.0}))
    assert found["row"].tolist() == [name_of("stream")]
    assert found[["low", "high"]].values.tolist() == [[50, 70]]


def shares(facts: dict[str, list[Statement]], names: list[list[str]]) -> Any:
    """Shares of variance by brute force over all combinations of blocks: (first, total)."""
    options = [list(zip(*(facts[name] for name in block), strict=True)) for block in names]
    shape = [len(rows) for rows in options]
    values = np.empty(shape)
    for place in itertools.product(*map(range, shape)):
        chosen = {
            name: options[i][place[i]][j][0] for i, block in enumerate(names) for j, name in enumerate(block)
        }
        values[place] = (chosen["memory"] * chosen["stream"] + chosen["links"]) * 2
    first, total = [], []
    for axis in range(len(shape)):
        others = tuple(i for i in range(len(shape)) if i != axis)
        first.append(values.mean(axis=others).var() / values.var())
        total.append(values.var(axis=axis).mean() / values.var())
    return first, total


def test_sobol_agrees_with_brute_force(tmp_path: Path) -> None:
    facts = {"memory": alone(1, 2, 3), "stream": alone(7, 11), "links": alone(10, 13, 19, 4),
             "draw": alone(2), "cost": alone(1, 9)}  # fmt: skip
    first, total = shares(facts, [["memory"], ["stream"], ["links"]])
    assert total[0] > first[0] + 0.01  # they interact
    found = sobol(mixed, table(tmp_path, facts), samples=2**13).set_index("rows")
    for i, name in enumerate(("memory", "stream", "links")):
        assert found.loc[name_of(name), "first"] == pytest.approx(first[i], abs=0.02)
        assert found.loc[name_of(name), "total"] == pytest.approx(total[i], abs=0.02)
    assert len(found) == 3
    assert found["total"].is_monotonic_decreasing


def test_sobol_takes_a_group_as_one(tmp_path: Path) -> None:
    facts: dict[str, list[Statement]] = {
        "memory": [(1, "a"), (3, "b")], "stream": [(7, "a"), (11, "b")], "links": alone(10, 50),
        "draw": alone(2),
    }  # fmt: skip
    first, total = shares(facts, [["memory", "stream"], ["links"]])
    assert first == pytest.approx(total)  # a sum of the two blocks
    found = sobol(mixed, table(tmp_path, facts), samples=2**13).set_index("rows")
    pair = f"{name_of('stream')}; {name_of('memory')}"
    assert set(found.index) == {pair, name_of("links")}
    assert found.loc[pair, "first"] == pytest.approx(first[0], abs=0.02)
    assert found.loc[name_of("links"), "total"] == pytest.approx(total[1], abs=0.02)


def test_sobol_is_the_same_for_a_seed(tmp_path: Path) -> None:
    specs = table(tmp_path, MANY)
    one, again, other = (sobol(product(*MANY), specs, 64, seed) for seed in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


def test_sobol_of_one_disputed_row_gives_it_everything(tmp_path: Path) -> None:
    found = sobol(product("memory"), table(tmp_path, {"memory": alone(2, 3, 7)}), samples=2**12)
    assert found["rows"].tolist() == [name_of("memory")]
    assert found[["first", "total"]].values.tolist() == [pytest.approx([1, 1], abs=0.02)]


def test_sobol_of_what_nobody_disputes_is_empty(tmp_path: Path) -> None:
    found = sobol(product("memory"), table(tmp_path, {"memory": alone(2)}))
    assert found.empty
    assert found.columns.tolist() == ["rows", "first", "total"]


def test_sobol_of_a_figure_that_does_not_vary_is_nothing(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(5, 7)})
    for figure in (
        lambda s: fact(s, "memory") / fact(s, "memory"),
        lambda s: (fact(s, "memory") + fact(s, "stream")) * 0,
    ):
        assert (sobol(figure, specs, 64)[["first", "total"]] == 0).all(axis=None)


def test_sobol_leaves_out_a_replaced_row(tmp_path: Path) -> None:
    specs = table(tmp_path, {"memory": alone(2, 3), "stream": alone(5, 7)})
    found = sobol(product("memory", "stream"), specs.replace({MEMORY: 10.0}), 64)
    assert found["rows"].tolist() == [name_of("stream")]
    grouped: dict[str, list[Statement]] = {
        "memory": [(2, "a"), (3, "b")], "stream": [(5, "a"), (7, "b")], "links": alone(1, 4)
    }  # fmt: skip
    held = table(tmp_path, grouped).replace({MEMORY: 1e9})
    found = sobol(lambda s: fact(s, "memory") + fact(s, "links"), held, 64)
    assert found["rows"].tolist() == [name_of("links")]
    found = sobol(lambda s: fact(s, "memory") + 0 * fact(s, "stream"), held, 64)
    assert found[["first", "total"]].values.tolist() == [[0, 0]]  # not drawn with its group


def test_own_peak_ratio_is_moved_most_by_the_peak_of_the_gb200() -> None:
    figure = lambda s: ratio("peak", "cloudmatrix-384", "gb200-nvl72", s, precision="bf16")  # noqa: E731
    specs = load_specs()
    table_of = tornado(figure, specs)
    assert table_of["row"].str.split("[").str[0].tolist() == ["gb200.peak", "ascend-910c.peak"]
    assert table_of["high"].tolist() == pytest.approx([384 * 752 / (72 * 2250), 384 * 800 / (72 * 2500)])
    found = sobol(figure, specs, 2**12)
    assert ["gb200.peak" in name for name in found["rows"]] == [True, False]
    assert found["first"].sum() == pytest.approx(1, abs=0.02)  # two sides that hardly interact
