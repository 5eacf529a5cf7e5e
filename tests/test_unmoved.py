"""What was answered to questions drawn at random is answered still."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import unmoved


def moved(was: Any, now: Any, place: str = "") -> Iterator[str]:
    """Where two answers differ, and how: a number by more than a millionth."""
    if isinstance(was, dict) and isinstance(now, dict) and was.keys() == now.keys():
        for name in was:
            yield from moved(was[name], now[name], f"{place} {name}")
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from moved(one, other, f"{place} {number}")
    elif isinstance(was, float) and isinstance(now, float):
        if not math.isclose(was, now, rel_tol=1e-6):
            yield f"{place}: {was} was answered, now {now}"
    elif was != now or isinstance(was, bool) != isinstance(now, bool):
        yield f"{place}: {was} was answered, now {now}"


@pytest.mark.parametrize("kind", unmoved.KINDS)
def test_answers_are_what_they_were(kind: str) -> None:
    found = [
        f"question {number}{line}"
        for number, (asked, told) in enumerate(unmoved.kept(kind), 1)
        for line in moved(told, unmoved.told(kind, asked))
    ]
    assert not found, f"of {kind}: {len(found)} differences; {'; '.join(found[:3])}"


@pytest.mark.parametrize("kind", unmoved.KINDS)
def test_most_questions_are_answered(kind: str) -> None:
    answers = [told for _, told in unmoved.kept(kind)]
    assert len(answers) == unmoved.KINDS[kind][0]
    assert sum(isinstance(told, str) for told in answers) <= unmoved.REFUSED * len(answers)


def test_a_difference_is_seen() -> None:
    was = {"step": 1.0, "terms": ["a", 2.0, None]}
    assert not [*moved(was, {"step": 1.0 + 1e-8, "terms": ["a", 2.0, None]})]
    assert len([*moved(was, {"step": 1.00001, "terms": ["b", 2.0, 0.0]})]) == 3
    assert [*moved(was, {"step": 1.0})]
    assert [*moved([True], [1])]
