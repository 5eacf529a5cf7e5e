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

from cm384 import derive, load_specs, ratio, span, units
from cm384.draws import block_of, consistent
from cm384.specs import Row, Specs, group_rows, read_rows
from cm384.uncertainty import combinations

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
                writer.writerow(
                    ["x", quantity, "", value, unit, basis, role, group, "a page", "line 1", ""]
                )
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
    found = span(
        product("memory", "stream"), table(tmp_path, {"memory": alone(2), "stream": alone(3)})
    )
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
            block = block_of(specs.rows, key)
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
