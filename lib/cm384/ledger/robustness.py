"""How sure a verdict is: the ledger over draws, what would flip a claim, what it needs.

Everything here calls the same pure derivations as the verdicts do, on a sampled table or on one
with a row replaced. Flipping and solving are one search: the value of a row, nearest to its central
one, at which something turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cm384.derive.spread import SEED, Solution, nearest, solve_for
from cm384.ledger.attempts import Attempt, closest, error_of
from cm384.ledger.claims import Claim, load_claims
from cm384.ledger.stated import considered
from cm384.physics.check import ModelError, predict
from cm384.physics.served import find_measurement
from cm384.table import units
from cm384.table.draws import BLOCK
from cm384.table.errors import InputError, NotStated, check_known, suggestion, unknown
from cm384.table.frames import pd
from cm384.table.records import Key, Row, key_name, read_conditions, write_conditions
from cm384.table.specs import Specs

STRIDE = 10 * BLOCK  # samples that are evaluated at a time; each block of them has its own seed


def nearest_attempt(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Attempt:
    """The claim as stated; of several possible comparators, the one that comes nearest to it."""
    if not claim.derivable:
        raise NotStated(f"{claim.id} is not derived: documents or the measures of a word decide it")
    said = considered(claim, specs, ledger)
    if not said.found:
        why = next(iter(said.missing.values()), "no measured run was published")
        raise NotStated(f"{claim.id}: {why}")
    return closest(said.found, claim)


def stands(claim: Claim, values: Any, error: ModelError | None) -> Any:
    """Whether a claim stands at some derived values (elementwise).

    It stands if it holds as stated, and through the serving model also if its error reaches it.
    """
    target = claim.printed
    if error is None:
        return target.holds(values)
    low, high = error.band(np.asarray(values), np.asarray(values))
    return (low <= target.high) & (high >= target.low)


def bands(claims: Iterable[Claim], specs: Specs, samples: int = 10_000, seed: int = SEED) -> pd.DataFrame:
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
    for start in range(0, samples, STRIDE):
        count = min(STRIDE, samples - start)
        table = specs.sample(count, seed, start)
        for claim, attempt in found:
            drawn[claim.id][start : start + count] = attempt.figure(table).m
    lines = []
    for claim, attempt in found:
        held = stands(claim, drawn[claim.id], error_of(attempt, specs))
        band = np.percentile(drawn[claim.id], [5, 95])
        lines.append((claim.id, attempt.central, *band, float(np.mean(held))))
    return pd.DataFrame(lines, columns=["id", "derived", "p5", "p95", "holds"])


def derivable(ledger: Mapping[str, Claim], specs: Specs) -> list[tuple[Claim, Attempt]]:
    """The claims that can be derived, each once, with the reading that comes nearest to it."""
    found = []
    for claim in ledger.values():
        if not claim.same_as:
            with contextlib.suppress(NotStated):
                found.append((claim, nearest_attempt(claim, specs, ledger)))
    return found


# --- what would flip a claim ---------------------------------------------------------------------


@dataclass(frozen=True)
class Flip:
    """How one row flips a claim: the factor on its central value, and the statements that do."""

    key: Key
    factor: float
    statements: tuple[Row, ...]

    @property
    def distance(self) -> float:
        """How far the row has to move, on a log scale; infinite if no value does it."""
        return abs(float(np.log(self.factor))) if np.isfinite(self.factor) else np.inf


def flips(claim: Claim, found: Attempt, specs: Specs) -> list[Flip]:
    """Every row that a claim reads, the one that flips it with the smallest change first.

    Numbers of parts are left out: another number of chips is another machine, not another source.
    """
    keys = [key for key in found.keys if key[1] != "count" and key not in specs.drawn]
    error = error_of(found, specs)
    lines = [_flip(claim, found, key, specs, error) for key in keys]
    return sorted(lines, key=lambda f: (not f.statements, round(f.distance, 6)))


BESIDE = np.array([1 - 1e-9, 1, 1 + 1e-9])


def _flip(claim: Claim, found: Attempt, key: Key, specs: Specs, error: ModelError | None) -> Flip:
    """How one row flips a claim: the factor that does it first, and the statements that do."""
    central, options = specs.rows[key][0].value, specs.options(key)

    def sides(factors: np.ndarray) -> np.ndarray:
        """0 where the claim stands, else on which side the figure lies: no narrow claim is stepped over."""
        values = np.broadcast_to(found.figure(specs.replace({key: central * factors})).m, factors.shape)
        side = np.where(stands(claim, values, error), 0, np.where(values >= claim.printed.high, 1, -1))
        return np.where(np.isnan(values), lost, side)

    lost = -1  # what cannot run ends a claim that stands, and makes none stand
    lost = int(sides(np.ones(1))[0]) or lost
    factor, held = np.nan, sides(options / options[0]) == 0
    with contextlib.suppress(InputError):  # a whole number, or one that has to fit with others
        factor = nearest(sides)
        if np.isfinite(factor) and np.all((sides(factor * BESIDE) == 0) == held[0]):  # jumped over
            factor = np.nan
    rows = zip(specs.rows[key], held, strict=True)
    return Flip(key, factor, tuple(row for row, holds in rows if holds != held[0]))


def flip_ledger(
    claims: Iterable[Claim], specs: Specs, samples: int = 10_000, seed: int = SEED
) -> pd.DataFrame:
    """Every derivable claim with its span, its band, and what would flip it: one line a claim.

    Columns: id, quantity, claimed, derived, low, high, p5, p95, holds (share of draws), stands (at
    the central values), figure (the reading in words), row (the key that flips it first, or None),
    factor, sourced_low and sourced_high (of that row, as factors), statements (that flip it).
    """
    by_id = {claim.id: claim for claim in claims}
    found = derivable(by_id, specs)
    shares = bands(by_id.values(), specs, samples, seed).set_index("id", drop=False)
    return pd.DataFrame([_flip_line(c, a, specs) | dict(shares.loc[c.id]) for c, a in found])


def _flip_line(claim: Claim, found: Attempt, specs: Specs) -> dict[str, Any]:
    # A number of things is right or wrong, not near.
    moved = [] if claim.form == "count" else flips(claim, found, specs)
    first = next((flip for flip in moved if flip.statements or np.isfinite(flip.factor)), None)
    options = specs.options(first.key) if first else np.array([np.nan])
    low, high = found.edges
    return {
        "quantity": claim.quantity,
        "claimed": claim.claimed,
        "low": low,
        "high": high,
        "stands": bool(stands(claim, found.central, error_of(found, specs))),
        "figure": found.reading.text,
        "row": first.key if first else None,
        "factor": first.factor if first else np.nan,
        "sourced_low": float(options.min() / options[0]),
        "sourced_high": float(options.max() / options[0]),
        "statements": first.statements if first else (),
    }


# --- what would have to be true ------------------------------------------------------------------


def solve(claim_id: str, row: str, specs: Specs, claims: Iterable[Claim] | None = None) -> Solution:
    """The value of a row at which a claim becomes true, or that none does.

    `row` is SUBJECT.QUANTITY, with the conditions in brackets where more than one row fits.

    >>> from cm384 import load_specs
    >>> print(units.text(solve("S000-02", "ascend-910c.peak", load_specs()).value))
    937.5 TFLOPS
    """
    ledger = {claim.id: claim for claim in (claims or load_claims(specs=specs))}
    check_known("claim", claim_id, ledger)
    found = nearest_attempt(ledger[claim_id], specs, ledger)
    fitting = _meant(row, found)
    if len(fitting) != 1:
        raise unknown("row of this claim", row, map(key_name, found.keys))
    return _solution(ledger[claim_id], found, fitting[0], specs)


def _solution(claim: Claim, found: Attempt, key: Key, specs: Specs) -> Solution:
    target = units.Q(claim.printed.value, claim.figure_unit or "count")
    return solve_for(found.reading.figure, specs, key, target)


def _meant(row: str, found: Attempt) -> list[Key]:
    """The rows that a figure reads and that a name means, with or without its conditions."""
    return [key for key in found.keys if row in (name := key_name(key), name.split("[")[0])]


def solutions(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Solution]:
    """What each row that a claim reads would have to be, the smallest change first.

    Rows that cannot be varied on their own (whole numbers that have to fit with others) are left
    out; those of which no value does it come last.
    """
    found, solved = nearest_attempt(claim, specs, ledger), []
    for key in found.keys:
        with contextlib.suppress(InputError):
            solved.append(_solution(claim, found, key, specs))
    return sorted(solved, key=lambda solution: round(solution.distance, 6))


def solve_ledger(row: str, specs: Specs, claims: Iterable[Claim]) -> pd.DataFrame:
    """What a row would have to be for each claim: one line a claim and row that fits the name.

    Columns: id, claimed, derived, row, needed (NaN if no value does or the claim does not read the
    row), unit, central, low and high of the sources, why. A row that no source states yet is searched
    from any value. Refuses a row that no claim reads.
    """
    ledger = {claim.id: claim for claim in claims}
    lines: list[dict[str, Any]] = []
    read: set[str] = set()
    for claim in ledger.values():
        claimed = claim.claimed if claim.value else ""
        line: dict[str, Any] = {"id": claim.id, "claimed": claimed, "row": "", "unit": ""}
        table = _with_row(row, claim, specs)
        try:
            found = nearest_attempt(claim, table, ledger)
        except NotStated as error:
            lines.append(line | {"why": str(error)})
            continue
        line |= {"derived": found.central if table is specs else np.nan}
        line |= {"why": "its figure does not read this row"}
        read.update(map(key_name, found.keys))
        lines += [line | _needed(claim, found, key, table) for key in _meant(row, found)] or [line]
    if not any(line["row"] for line in lines):
        names = read if "[" in row else {name.split("[")[0] for name in read}
        raise InputError(f"no claim of this file reads the row {row!r}{suggestion(row, names)}")
    columns = "id claimed derived row needed unit central low high why"
    return pd.DataFrame(lines, columns=columns.split())


UNSTATED = "no source"
STARTS = (1e3, 1e-3, 1e9, 1e-9, 1e15)  # a search reaches a thousand times either way


def _with_row(row: str, claim: Claim, specs: Specs) -> Specs:
    """The table with a row that no source states, if that is the one asked for, at any value.

    Conditions and basis are those in brackets, else those of the claim that rows of the quantity have.
    """
    name, _, bracket = row.removesuffix("]").partition("[")
    subject, _, quantity = name.rpartition(".")
    kind = specs.kinds.get(quantity)
    stated = any(key[:2] == (subject, quantity) for key in specs.rows)
    known = specs.subjects | specs.condition_values.get("part", frozenset())
    if stated or kind is None or kind.kind != "stated" or subject not in known:
        return specs
    alike = [key for key in specs.rows if key[1] == quantity]
    taken = {name for key in alike for name in read_conditions(key[2])}
    given = read_conditions(claim.conditions)
    if given.get("basis") in {key[3] for key in alike}:
        taken.add("basis")
    mine = {name: value for name, value in given.items() if name in taken}
    mine |= read_conditions(";".join(pair for pair in bracket.split(";") if "=" in pair))
    basis = mine.pop("basis", kind.default_basis)
    added = Row(
        subject, quantity, write_conditions(mine), 1.0, kind.unit, basis, "central", "", UNSTATED, "", ""
    )
    return dataclasses.replace(specs, rows={**specs.rows, added.key: (added,)})


def _searched(claim: Claim, found: Attempt, key: Key, specs: Specs) -> Solution:
    """The value of a row that no source states, wherever it lies."""
    solution = _solution(claim, found, key, specs)
    for start in STARTS:
        if solution.value is not None:
            break
        row = dataclasses.replace(specs.rows[key][0], value=start)
        table = dataclasses.replace(specs, rows={**specs.rows, key: (row,)})
        with contextlib.suppress(InputError):  # what cannot run there
            solution = _solution(claim, found, key, table)
    return solution


def _needed(claim: Claim, found: Attempt, key: Key, specs: Specs) -> dict[str, Any]:
    """What one row would have to be, in its unit, with the reason."""
    name, row = key_name(key), specs.rows[key][0]
    stated = row.source != UNSTATED
    try:
        solution = (_solution if stated else _searched)(claim, found, key, specs)
    except InputError as error:  # a whole number, or one that has to fit with others
        return {"row": name, "why": f"{name} cannot be varied: {error}"}
    why = str(solution)
    value = None if solution.value is None else units.text(solution.value)
    if not stated:
        why = (
            f"{name} would have to be {value}; no source states it"
            if value
            else f"no value of {name} reaches it"
        )
    elif claim.printed.holds(found.central):
        why = (
            f"it holds already; its figure is met at {value}"
            if value
            else f"it holds already, and whatever {name} is"
        )
    needed = np.nan if solution.value is None else float(solution.value.m)
    edges = {
        edge: float(getattr(solution, edge).m) if stated else np.nan for edge in ("central", "low", "high")
    }
    unit = units.unit_text(solution.central.units)
    return {"row": name, "needed": needed, "unit": unit, "why": why} | edges


def solve_tokens_per_step(claim_id: str, specs: Specs, claims: Iterable[Claim]) -> float | None:
    """The tokens accepted in a step at which a decode prediction equals the claim; None if none.

    Searched between 1 (no draft accepted) and one more than the tokens drafted (all accepted).
    """
    ledger = {claim.id: claim for claim in claims}
    claim = ledger[claim_id]
    found = nearest_attempt(claim, specs, ledger).reading
    row = find_measurement(specs, found.subject, found.conditions["measurement"])
    central, most = float(row.tokens_per_step or 1), float(row.draft_tokens or 0) + 1

    def reaches(factors: np.ndarray) -> np.ndarray:
        tokens = np.clip(central * factors, 1.0, most)
        result = predict(row, specs, tokens_per_step=tokens)
        figure = result.tpot if found.quantity == "predicted_tpot" else result.throughput
        return np.asarray(figure.to(claim.unit).m >= claim.printed.value)

    factor = nearest(reaches)
    return central * factor if np.isfinite(factor) else None
