"""How sure a verdict is: the ledger over draws of the sources, and what a claim needs to be true.

Everything here calls the same pure derivations as the verdicts do, on a sampled table or on one
with a row replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cm384 import units
from cm384.claims import Claim, load_claims
from cm384.draws import BLOCK
from cm384.errors import InputError, check_known, suggestion, unknown
from cm384.readings import Attempt, attempts
from cm384.specs import Key, Specs, key_name
from cm384.throughput import MODELLED, find_measurement, model_error
from cm384.uncertainty import SEED, Solution, solve_for
from cm384.validation import predict
from cm384.verdicts import as_stated


def nearest_attempt(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Attempt:
    """The claim as stated; of several possible comparators, the one that comes nearest to it."""
    if claim.judged:
        raise InputError(f"{claim.id} is not derived: its verdict comes from its primary source")
    tried = attempts(as_stated(claim, specs, ledger), claim.unit, specs)
    if not tried:
        raise InputError(f"{claim.id}: no source states the figure")
    return min(tried, key=lambda a: _distance(a.central, claim.printed.value))


def _distance(derived: float, claimed: float) -> float:
    return abs(float(np.log(derived / claimed))) if derived > 0 else np.inf


def solve(claim_id: str, row: str, specs: Specs, claims: Iterable[Claim] | None = None) -> Solution:
    """The value of a row at which a claim becomes true, or that none does.

    `row` is SUBJECT.QUANTITY, with the conditions in brackets where more than one row fits.

    >>> from cm384 import load_specs
    >>> print(units.text(solve("S000-02", "ascend-910c.peak", load_specs()).value))
    937.5 TFLOPS
    """
    ledger = {claim.id: claim for claim in (claims or load_claims(specs=specs))}
    check_known("claim", claim_id, ledger)
    claim = ledger[claim_id]
    found = nearest_attempt(claim, specs, ledger)
    key = _find_key(row, found.span.keys)
    target = units.Q(claim.printed.value, claim.unit or "count")
    return solve_for(found.reading.figure, specs, key, target)


def _find_key(row: str, keys: Iterable[Key]) -> Key:
    names = {key_name(key): key for key in keys}
    fitting = [key for key in names.values() if _fits(row, key)]
    if len(fitting) != 1:
        raise unknown("row of this claim", row, names)
    return fitting[0]


def solutions(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Solution]:
    """What each row that a claim reads would have to be, the smallest change first.

    Rows that cannot be varied on their own (whole numbers that have to fit with others) are left
    out; those of which no value does it come last.
    """
    found = nearest_attempt(claim, specs, ledger)
    target = units.Q(claim.printed.value, claim.unit or "count")
    solved = []
    for key in found.span.keys:
        with contextlib.suppress(InputError):
            solved.append(solve_for(found.reading.figure, specs, key, target))
    return sorted(solved, key=_change)


def _change(solution: Solution) -> float:
    if solution.value is None:
        return np.inf
    return abs(float(np.log((solution.value / solution.central).to_base_units().m)))


def _fits(row: str, key: Key) -> bool:
    return row in (name := key_name(key), name.split("[")[0])


def solve_ledger(row: str, specs: Specs, claims: Iterable[Claim]) -> pd.DataFrame:
    """What a row would have to be for each claim: one line a claim and row that fits the name.

    Columns: id, claimed, derived, row, needed (NaN if no value does or the claim does not read the
    row), unit, central, low and high of the sources, why. Refuses a row that no claim reads.
    """
    ledger = {claim.id: claim for claim in claims}
    lines = [line for c in ledger.values() for line in _solved(c, row, specs, ledger)]
    if not any(line["row"] for line in lines):
        read = {key_name(key) for claim in ledger.values() for key in _keys(claim, specs, ledger)}
        raise InputError(f"no claim of this file reads the row {row!r}{_nearest(row, read)}")
    return pd.DataFrame(lines)


def _solved(
    claim: Claim, row: str, specs: Specs, ledger: Mapping[str, Claim]
) -> list[dict[str, Any]]:
    line: dict[str, Any] = {
        "id": claim.id, "claimed": claim.claimed if claim.value else "", "derived": np.nan,
        "row": "", "needed": np.nan, "unit": "", "central": np.nan, "low": np.nan, "high": np.nan,
    }  # fmt: skip
    try:
        found = nearest_attempt(claim, specs, ledger)
    except InputError as error:
        return [line | {"why": str(error)}]
    line["derived"] = found.central
    keys = [key for key in found.span.keys if _fits(row, key)]
    if not keys:
        return [line | {"why": "its figure does not read this row"}]
    return [line | _needed(claim, found, key, specs, ledger) for key in keys]


def _needed(
    claim: Claim, found: Attempt, key: Key, specs: Specs, ledger: Mapping[str, Claim]
) -> dict[str, Any]:
    name = key_name(key)
    try:
        solution = solve(claim.id, name, specs, ledger.values())
    except InputError as error:  # a whole number, or one that has to fit with others
        return {"row": name, "why": f"{name} cannot be varied: {error}"}
    why = str(solution)
    if claim.relation in ("gt", "ge", "lt", "le") and claim.printed.holds(found.central):
        why = f"it holds already, and whatever {name} is"
        if solution.value is not None:
            why = f"it holds already; the edge is where {solution}"
    return {
        "row": name,
        "needed": np.nan if solution.value is None else float(solution.value.m),
        "unit": units.unit_text(solution.central.units),
        "central": float(solution.central.m),
        "low": float(solution.low.m),
        "high": float(solution.high.m),
        "why": why,
    }


def _keys(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> tuple[Key, ...]:
    try:
        return nearest_attempt(claim, specs, ledger).span.keys
    except InputError:
        return ()


def _nearest(row: str, read: Iterable[str]) -> str:
    """The nearest row that is read; conditions in brackets are compared only where given."""
    names = set(read) if "[" in row else {name.split("[")[0] for name in read}
    return suggestion(row, names)


def solve_tokens_per_step(claim_id: str, specs: Specs, claims: Iterable[Claim]) -> float | None:
    """The tokens accepted in a step at which a decode prediction equals the claim; None if none.

    Searched between 1 (no draft accepted) and one more than the tokens drafted (all accepted).
    """
    from scipy.optimize import brentq

    ledger = {claim.id: claim for claim in claims}
    claim = ledger[claim_id]
    found = nearest_attempt(claim, specs, ledger).reading
    measurement = find_measurement(specs, found.subject, found.conditions["measurement"])

    def gap(tokens: float) -> float:
        result = predict(measurement, specs, tokens_per_step=tokens)
        figure = result.tpot if found.quantity == "predicted_tpot" else result.throughput
        return float(figure.to(claim.unit).m) - claim.printed.value

    most = float(measurement.draft_tokens or 0) + 1
    return None if gap(1.0) * gap(most) > 0 else float(brentq(gap, 1.0, most))


def error_of(found: Attempt, specs: Specs) -> float:
    """The error of the serving model that a figure has; none if it does not come through it."""
    if found.reading.quantity not in MODELLED:
        return 0.0
    return model_error(specs, found.reading.conditions["measurement"])


def stands(claim: Claim, values: Any, error: float) -> Any:
    """Whether a claim stands at some derived values (elementwise).

    It stands if it holds as stated, and through the serving model also if its error reaches it.
    """
    target = claim.printed
    if not error:
        return target.holds(values)
    low, high = np.asarray(values) * (1 - error), np.asarray(values) * (1 + error)
    return (low <= target.high) & (high >= target.low)


def bands(
    claims: Iterable[Claim], specs: Specs, samples: int = 10_000, seed: int = SEED
) -> pd.DataFrame:
    """Every derivable claim over draws of the sources: one line a claim.

    Columns: id, derived, the 5th and 95th percentile of the derived figure, and the share of draws
    in which the claim stands (see `stands`). Claims that repeat another one are left out, and so
    are those whose figure no source states. Memory is bounded: the draws are made in blocks, and
    each block serves the whole ledger.
    """
    if samples < 1:
        raise InputError(f"samples: expected at least 1, got {samples}")
    ledger = {claim.id: claim for claim in claims}
    found = derivable(ledger, specs)
    drawn = {claim.id: np.empty(samples) for claim, _ in found}
    for start in range(0, samples, BLOCK):
        count = min(BLOCK, samples - start)
        table = specs.sample(count, seed, start)
        for claim, attempt in found:
            drawn[claim.id][start : start + count] = attempt.figure(table).m
    columns = ["id", "derived", "p5", "p95", "holds"]
    lines = [_band(claim, attempt, drawn[claim.id], specs) for claim, attempt in found]
    return pd.DataFrame(lines, columns=columns)


def with_bands(
    lines: pd.DataFrame,
    claims: Iterable[Claim],
    specs: Specs,
    samples: int = 10_000,
    seed: int = SEED,
) -> pd.DataFrame:
    """A scorecard with the columns p5, p95 and holds of `bands`, repeated claims included."""
    ledger = list(claims)
    roots = {claim.id: claim.same_as or claim.id for claim in ledger}
    found = bands(ledger, specs, samples, seed).set_index("id")[["p5", "p95", "holds"]]
    return lines.join(found.reindex([roots[name] for name in lines["id"]]).set_axis(lines.index))


def derivable(ledger: Mapping[str, Claim], specs: Specs) -> list[tuple[Claim, Attempt]]:
    """The claims that can be derived, each once, with the reading that comes nearest to it."""
    found = []
    for claim in ledger.values():
        if not claim.judged and not claim.same_as:
            with contextlib.suppress(InputError):
                found.append((claim, nearest_attempt(claim, specs, ledger)))
    return found


def _band(claim: Claim, found: Attempt, values: np.ndarray, specs: Specs) -> dict[str, object]:
    low, high = np.percentile(values, [5, 95])
    share = float(np.mean(stands(claim, values, error_of(found, specs))))
    return {"id": claim.id, "derived": found.central, "p5": low, "p95": high, "holds": share}
