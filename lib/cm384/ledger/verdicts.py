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
    def edges(self) -> tuple[float, float]:
        """The lowest and the highest figure that the sources allow."""
        return float(self.span.low.m), float(self.span.high.m)

    @property
    def text(self) -> str:
        """The central figure as a reader sees it."""
        return units.text(self.span.central)

    def __str__(self) -> str:
        return f"{self.reading.text} = {self.text}"

    def figure(self, specs: Specs) -> Any:
        """The figure on another table."""
        return self.reading.figure(specs).to(self.span.central.units)


def tried(reading: Reading, unit: str, specs: Specs) -> Attempt:
    """A reading derived with its span; refuses one that no source allows."""
    target = units.parse_unit(unit or "count")
    return Attempt(reading, span(lambda table: reading.figure(table).to(target), specs))


def attempts(readings: Iterable[Reading], unit: str, specs: Specs) -> list[Attempt]:
    """What each reading gives; those that need a figure no source states are left out."""
    found = []
    for reading in readings:
        with contextlib.suppress(InputError):
            found.append(tried(reading, unit, specs))
    return found


def closest(found: Iterable[Attempt], claim: Claim) -> Attempt:
    """The attempt that comes nearest to a claim, on a log scale."""
    claimed = claim.printed.value
    return min(found, key=lambda a: abs(np.log(a.central / claimed)) if a.central > 0 else np.inf)


def as_stated(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Reading]:
    """The readings that take the claim at its word: one, or one for each possible comparator.

    A comparator may be the id of another claim (whatever machine that claim fits is meant) or be
    missing (the article names none: every machine of the subject's kind is tried).
    """
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {}).changed(claim.conditions)
    if claim.comparator in ledger:
        other = ledger[claim.comparator]
        found = attempts(as_stated(other, specs, ledger), other.unit, specs)
        names = [a.reading.comparator for a in found if other.printed.holds(a.central)]
    elif claim.comparator or claim.form not in ("ratio", "share"):
        return [plain]
    else:
        kind = specs.systems if specs.parts(claim.subject) else specs.chips
        names = [name for name in kind if name != claim.subject]
    return [dataclasses.replace(plain, comparator=name) for name in names]


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
    found = attempts(readings, claim.unit, specs)
    if not found:
        return Verdict(claim, "unsupported", _missing(readings, claim.unit, specs))
    modelled = readings[0].quantity in MODELLED
    verdict, best, why = (_of_model if modelled else _of_sources)(claim, found, specs)
    sources = {specs.rows[key][0].source: None for key in best.span.keys}
    return Verdict(claim, verdict, why[0].upper() + why[1:], best, tuple(sources))


def _missing(readings: Sequence[Reading], unit: str, specs: Specs) -> str:
    """Why nothing could be derived, in the words of the first figure that is missing."""
    if not readings:
        return "No machine fits the claim that this one refers to."
    try:
        tried(readings[0], unit, specs)
    except InputError as error:
        return f"Nothing to derive it from: {error}."
    raise AssertionError("a reading that can be derived was left out")


def _of_sources(claim: Claim, found: Sequence[Attempt], specs: Specs) -> tuple[str, Attempt, str]:
    """The verdict of a claim that follows from what sources state."""
    target = claim.printed
    if held := [a for a in found if target.holds(a.central)]:
        return "confirmed", held[0], _confirmed(held, found)
    best = closest(found, claim)
    others = attempts(other_readings(claim, best.reading), claim.unit, specs)
    for reading in (a.reading for a in others if target.holds(a.central)):
        if _another_owner(reading, best.reading):
            part = title(reading.conditions.get("part", reading.subject))
            return "misattributed", best, f"{best}; the claim fits {part}."
    if claim.form == "count":
        return "contradicted", best, f"{best}, not {claim.value}."
    if within := [a for a in found if np.any(target.holds(a.span.values))]:
        return "within sources", within[0], _reached(claim, within[0], specs)
    return _otherwise(claim, best, others, specs)


def _of_model(claim: Claim, found: Sequence[Attempt], specs: Specs) -> tuple[str, Attempt, str]:
    """The verdict of a claim through the serving model: none is reached by less than its error."""
    target, best = claim.printed, found[0]
    error = model_error(specs, best.reading.conditions["measurement"])
    low, high = best.central * (1 - error), best.central * (1 + error)
    sides = target.holds(np.array([low, best.central, high]))
    bounded = np.isfinite(target.low) and np.isfinite(target.high)
    said = (
        f"{best}, {100 * (best.central / target.value - 1):+.0f} % from the claim; nine in ten "
        f"well specified measurements of other documents are met within {units.percent(error)}."
    )
    if np.all(sides) or (bounded and sides[1]):
        return "confirmed", best, said
    if np.any(sides) or low < target.value < high:
        return "within model error", best, said
    others = attempts(other_readings(claim, best.reading), claim.unit, specs)
    return _otherwise(claim, best, others, specs)


def _otherwise(
    claim: Claim, stated: Attempt, others: Sequence[Attempt], specs: Specs
) -> tuple[str, Attempt, str]:
    """On which of the other readings a claim holds, the first two by name, or how far it misses."""
    count = f"{len(others)} other reading{'s' * (len(others) != 1)}"
    if fitting := [a for a in others if claim.printed.holds(a.central)]:
        held_as = " and ".join(map(str, fitting[:2]))
        held_as += f", and {len(fitting) - 2} more" if len(fitting) > 2 else ""
        told = f"As stated, {stated}; of {count} it holds on {len(fitting)}: {held_as}."
        return "other basis", stated, told
    factor = claim.printed.value / stated.central if stated.central else np.inf
    flattering = (factor > 1) != (specs.kinds[claim.quantity].better == "lower")
    verdict = "overstated" if flattering else "understated"
    low, high = stated.edges
    spread = f"sourced values allow {units.number(low)} to {units.number(high)}"
    reach = spread if low < high else "one source each"
    tail = f"; none of {count} fits" if others else ""
    return verdict, stated, f"{stated}, {reach}: {verdict} {_size(factor)}{tail}."


def _reached(claim: Claim, found: Attempt, specs: Specs) -> str:
    """Which sourced values reach the claim, and what share of the combinations do."""
    holds = claim.printed.holds(found.span.values)
    picks = zip(found.span.keys, found.span.choices[int(np.argmax(holds))], strict=True)
    rows = [specs.rows[key][pick] for key, pick in picks if pick]
    values = " and ".join(f"{row_name(r)} at {units.text(r.amount)}" for r in rows)
    share = f"{units.percent(np.mean(holds))} of the sourced combinations reach it"
    return f"{found}, but {share}: with {values}."


def _another_owner(reading: Reading, stated: Reading) -> bool:
    owners = {(r.subject, r.conditions.get("part")) for r in (reading, stated)}
    return len(owners) == 2 and reading.comparator == stated.comparator


def _size(factor: float) -> str:
    """How far claimed and derived are apart, whichever is larger; a near miss in per cent.

    >>> _size(0.8), _size(1.0016)
    ('1.25 times', 'by 0.16 %')
    """
    factor = max(factor, 1 / factor)
    return f"{units.number(factor, 3)} times" if factor >= 1.1 else f"by {100 * (factor - 1):.2g} %"


def _confirmed(held: Sequence[Attempt], found: Sequence[Attempt]) -> str:
    if len(found) == 1:
        return f"{held[0]}."
    fits = " and ".join(f"{title(a.reading.comparator)} ({a.text})" for a in held)
    return f"It fits {len(held)} of the {len(found)} machines tried: {fits}."


def judge_all(claims: Iterable[Claim], specs: Specs) -> list[Verdict]:
    """The verdicts of a ledger, in its order; refuses a table of draws."""
    if specs.sampled:
        raise InputError("a verdict needs one value a row; this table holds several")
    ledger = {claim.id: claim for claim in claims}
    return [judge(claim, specs, ledger) for claim in ledger.values()]


def scorecard(claims: Iterable[Claim], specs: Specs) -> pd.DataFrame:
    """One line a claim: the figure claimed, the one derived, its span, the verdict, the reason."""
    return pd.DataFrame([_line(verdict) for verdict in judge_all(claims, specs)])


def _line(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    low, high = verdict.attempt.edges if verdict.attempt else (np.nan, np.nan)
    return {
        "id": claim.id,
        "article": claim.article,
        "category": claim.category,
        "claim": claim.statement,
        "claimed": claim.claimed if claim.value else "",
        "derived": verdict.derived,
        "low": low,
        "high": high,
        "ratio": verdict.quotient,
        "verdict": verdict.verdict,
        "why": verdict.why,
        "sources": ";".join(verdict.sources),
    }
