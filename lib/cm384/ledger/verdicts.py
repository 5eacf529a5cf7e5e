"""The rule by which each claim gets its verdict.

The rule is fixed before any comparison. A printed figure stands for an interval; the derivation
gives a central value and the span of all sourced combinations; the first verdict that fits decides:
confirmed, misattributed or contradicted, within sources, other basis, overstated or understated.
What cannot be derived carries the verdict reached from its primary source.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cm384.derive.spread import Span, span
from cm384.ledger.claims import Claim, Reading
from cm384.physics.check import model_error
from cm384.physics.served import MODELLED
from cm384.table import units
from cm384.table.errors import InputError
from cm384.table.specs import Specs
from cm384.table.words import row_name, title


@dataclass(frozen=True)
class Attempt:
    """A reading and what it gives, in the unit of the claim."""

    reading: Reading
    span: Span

    @property
    def central(self) -> float:
        """The figure at the central values."""
        return float(self.span.central.m)

    @property
    def text(self) -> str:
        """That figure as a reader sees it."""
        return units.text(self.span.central)

    def __str__(self) -> str:
        return f"{self.reading.text} = {self.text}"

    def figure(self, specs: Specs) -> Any:
        """The figure on another table."""
        return self.reading.figure(specs).to(self.span.central.units)


def attempt(reading: Reading, unit: str, specs: Specs) -> Attempt:
    """Derive one reading with its span."""
    target = units.parse_unit(unit or "count")
    return Attempt(reading, span(lambda table: reading.figure(table).to(target), specs))


def attempts(readings: Iterable[Reading], unit: str, specs: Specs) -> list[Attempt]:
    """What each reading gives; those that need a figure no source states are left out."""
    found = []
    for reading in readings:
        with contextlib.suppress(InputError):
            found.append(attempt(reading, unit, specs))
    return found


def as_stated(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Reading]:
    """The readings that take the claim at its word: one, or one for each possible comparator.

    A comparator may be the id of another claim (whatever machine that claim fits is meant) or be
    missing (the article names none: every machine of the subject's kind is tried).
    """
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {}).changed(claim.conditions)
    if claim.comparator in ledger:
        other = ledger[claim.comparator]
        found = [
            attempt.reading.comparator
            for attempt in attempts(as_stated(other, specs, ledger), other.unit, specs)
            if other.printed.holds(attempt.central)
        ]
        return [dataclasses.replace(plain, comparator=name) for name in found]
    if claim.comparator or claim.form not in ("ratio", "share"):
        return [plain]
    kind = specs.systems if specs.parts(claim.subject) else specs.chips
    return [dataclasses.replace(plain, comparator=n) for n in kind if n != claim.subject]


def other_readings(claim: Claim, stated: Reading) -> list[Reading]:
    """The other readings that the claim lists, as changes to the one it states."""
    return [stated.changed(text) for text in claim.readings.split("|") if text]


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a claim, with its reason in one sentence."""

    claim: Claim
    verdict: str
    why: str
    attempt: Attempt | None = None
    sources: tuple[str, ...] = ()

    @property
    def derived(self) -> float:
        """The derived figure in the unit of the claim; NaN if nothing was derived."""
        return self.attempt.central if self.attempt else np.nan

    @property
    def quotient(self) -> float:
        """Derived ÷ claimed."""
        return self.derived / self.claim.printed.value if self.attempt else np.nan


def judge(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Verdict:
    """The verdict of one claim by the rule; `ledger` holds the claims it may refer to."""
    if claim.judged:
        why = claim.primary_says or claim.note
        named = tuple(key for key in claim.primary.split(";") if key)
        return Verdict(claim, claim.judged, why, sources=named)
    readings = as_stated(claim, specs, ledger)
    tried = attempts(readings, claim.unit, specs)
    if not tried:
        return Verdict(claim, "unsupported", _missing(readings, claim.unit, specs))
    verdict, best, why = _first_match(claim, tried, specs)
    sources = {specs.rows[key][0].source: None for key in best.span.keys}
    return Verdict(claim, verdict, why[0].upper() + why[1:], best, tuple(sources))


def _first_match(claim: Claim, tried: Sequence[Attempt], specs: Specs) -> tuple[str, Attempt, str]:
    target = claim.printed
    if tried[0].reading.quantity in MODELLED:
        return _first_match_of_model(claim, tried[0], specs)
    if held := [a for a in tried if target.holds(a.central)]:
        return "confirmed", held[0], _confirmed(held, tried)
    best = min(tried, key=lambda a: abs(np.log(a.central / target.value)) if a.central else np.inf)
    others = attempts(other_readings(claim, best.reading), claim.unit, specs)
    fitting = [a for a in others if target.holds(a.central)]
    owners = [a for a in fitting if _another_owner(a.reading, best.reading)]
    if owners:
        owner = owners[0].reading
        part = title(owner.conditions.get("part", owner.subject))
        return "misattributed", best, f"{best}; the claim fits {part}."
    if claim.form == "count":
        return "contradicted", best, f"{best}, not {claim.value}."
    if within := [a for a in tried if np.any(target.holds(a.span.values))]:
        return "within sources", within[0], _reached(claim, within[0], specs)
    if fitting:
        return "other basis", best, _held_otherwise(best, fitting, len(others))
    return _missed(claim, best, others, specs)


def _first_match_of_model(claim: Claim, found: Attempt, specs: Specs) -> tuple[str, Attempt, str]:
    """The verdict of a claim through the serving model: none is reached by less than its error."""
    target = claim.printed
    error = model_error(specs, found.reading.conditions["measurement"])
    low, high = found.central * (1 - error), found.central * (1 + error)
    sides = target.holds(np.array([low, found.central, high]))
    bounded = np.isfinite(target.low) and np.isfinite(target.high)
    off = 100 * (found.central / target.value - 1)
    said = (
        f"{found}, {off:+.0f} % from the claim; nine in ten "
        f"well specified measurements of other documents are met within {units.percent(error)}."
    )
    if np.all(sides) or (bounded and sides[1]):
        return "confirmed", found, said
    if np.any(sides) or low < target.value < high:
        return "within model error", found, said
    others = attempts(other_readings(claim, found.reading), claim.unit, specs)
    if fitting := [a for a in others if target.holds(a.central)]:
        return "other basis", found, _held_otherwise(found, fitting, len(others))
    return _missed(claim, found, others, specs)


def _held_otherwise(stated: Attempt, fitting: Sequence[Attempt], tried: int) -> str:
    """On which of the other readings the claim holds, the first two by name."""
    held_as = " and ".join(map(str, fitting[:2]))
    held_as += f", and {len(fitting) - 2} more" if len(fitting) > 2 else ""
    return f"As stated, {stated}; of {_others(tried)} it holds on {len(fitting)}: {held_as}."


def _missing(readings: Sequence[Reading], unit: str, specs: Specs) -> str:
    """Why nothing could be derived, in the words of the first figure that is missing."""
    if not readings:
        return "No machine fits the claim that this one refers to."
    try:
        attempt(readings[0], unit, specs)
    except InputError as error:
        return f"Nothing to derive it from: {error}."
    raise AssertionError("a reading that can be derived was left out")


def _reached(claim: Claim, found: Attempt, specs: Specs) -> str:
    """Which sourced values reach the claim, and what share of the combinations do."""
    holds = claim.printed.holds(found.span.values)
    picks = zip(found.span.keys, found.span.choices[int(np.argmax(holds))], strict=True)
    rows = [specs.rows[key][pick] for key, pick in picks if pick]
    values = " and ".join(f"{row_name(r)} at {units.text(r.amount)}" for r in rows)
    share = f"{units.percent(np.mean(holds))} of the sourced combinations reach it"
    return f"{found}, but {share}: with {values}."


def _another_owner(reading: Reading, stated: Reading) -> bool:
    same_part = reading.conditions.get("part") == stated.conditions.get("part")
    same_owner = reading.subject == stated.subject and same_part
    return not same_owner and reading.comparator == stated.comparator


def _missed(
    claim: Claim, best: Attempt, others: Sequence[Attempt], specs: Specs
) -> tuple[str, Attempt, str]:
    factor = claim.printed.value / best.central if best.central else np.inf
    flattering = (factor > 1) != (specs.kinds[claim.quantity].better == "lower")
    verdict = "overstated" if flattering else "understated"
    spread = best.span
    reach = (
        f"sourced values allow {units.number(spread.low.m)} to {units.number(spread.high.m)}"
        if spread.low.m < spread.high.m
        else "one source each"
    )
    tail = f"; none of {_others(len(others))} fits" if others else ""
    return verdict, best, f"{best}, {reach}: {verdict} {_size(factor)}{tail}."


def _size(factor: float) -> str:
    """How far claimed and derived are apart, whichever is larger; a near miss in per cent.

    >>> _size(0.8), _size(1.0016)
    ('1.25 times', 'by 0.16 %')
    """
    factor = max(factor, 1 / factor)
    return f"{units.number(factor, 3)} times" if factor >= 1.1 else f"by {100 * (factor - 1):.2g} %"


def _confirmed(held: Sequence[Attempt], tried: Sequence[Attempt]) -> str:
    if len(tried) == 1:
        return f"{held[0]}."
    found = [f"{title(a.reading.comparator)} ({a.text})" for a in held]
    return f"It fits {len(held)} of the {len(tried)} machines tried: {' and '.join(found)}."


def _others(count: int) -> str:
    return f"{count} other reading{'s' * (count != 1)}"


def judge_all(claims: Iterable[Claim], specs: Specs) -> list[Verdict]:
    """The verdicts of a ledger, in its order."""
    ledger = {claim.id: claim for claim in claims}
    return [judge(claim, specs, ledger) for claim in ledger.values()]


def scorecard(claims: Iterable[Claim], specs: Specs) -> pd.DataFrame:
    """One line a claim: the figure claimed, the one derived, its span, the verdict, the reason."""
    return pd.DataFrame([_line(verdict) for verdict in judge_all(claims, specs)])


def _line(verdict: Verdict) -> dict[str, Any]:
    claim, spread = verdict.claim, verdict.attempt.span if verdict.attempt else None
    return {
        "id": claim.id,
        "article": claim.article,
        "category": claim.category,
        "claim": claim.statement,
        "claimed": claim.claimed if claim.value else "",
        "derived": verdict.derived,
        "low": float(spread.low.m) if spread else np.nan,
        "high": float(spread.high.m) if spread else np.nan,
        "ratio": verdict.quotient,
        "verdict": verdict.verdict,
        "why": verdict.why,
        "sources": ";".join(verdict.sources),
    }
