"""What would flip a verdict: the row that does it first, and whether a source already does.

One row is changed at a time, all others at their central values. A claim flips when it holds at the
central values and no longer does, or the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cm384.claims import Claim
from cm384.errors import InputError
from cm384.readings import Attempt
from cm384.robustness import bands, derivable, error_of, stands
from cm384.specs import Key, Row, Specs
from cm384.uncertainty import SEED

GRID = np.geomspace(1e-3, 1e3, 1201)  # factors on the central value; the middle one is 1
MIDDLE = len(GRID) // 2


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
    keys = [key for key in found.span.keys if key[1] != "count" and key not in specs.drawn]
    error = error_of(found, specs)
    tests = {key: _test(claim, found, key, specs, error) for key in keys}
    lines = [Flip(k, _factor(tests[k]), _flipping(k, tests[k], specs)) for k in keys]
    return sorted(lines, key=lambda f: (not f.statements, round(f.distance, 6)))


Test = Callable[[np.ndarray], np.ndarray]


def _test(claim: Claim, found: Attempt, key: Key, specs: Specs, error: float) -> Test:
    """Whether the claim stands when one row has its central value times some factors."""
    central = specs.rows[key][0].value

    def test(factors: np.ndarray) -> np.ndarray:
        values = found.figure(specs.replace({key: central * factors})).m
        return np.broadcast_to(stands(claim, values, error), factors.shape)

    return test


def _factor(test: Test) -> float:
    """The factor nearest to 1 at which a claim flips; NaN if none does or it cannot be varied."""
    try:
        held = test(GRID)
        changed = np.flatnonzero(held != held[MIDDLE])
        if not len(changed):
            return np.nan
        first = int(min(changed, key=lambda i: abs(int(i) - MIDDLE)))
        fine = np.geomspace(GRID[first - np.sign(first - MIDDLE)], GRID[first], 1001)
        return float(fine[np.flatnonzero(test(fine) != held[MIDDLE])[0]])
    except InputError:
        return np.nan  # a whole number, or one that has to fit with others


def _flipping(key: Key, test: Test, specs: Specs) -> tuple[Row, ...]:
    """The sourced statements of a row with which alone the claim flips."""
    values = specs.options(key)
    if len(values) == 1:
        return ()
    held = test(values / values[0])
    rows = zip(specs.rows[key], held, strict=True)
    return tuple(row for row, holds in rows if holds != held[0])


def ledger(
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
    return pd.DataFrame([_line(c, a, specs) | dict(shares.loc[c.id]) for c, a in found])


def _line(claim: Claim, found: Attempt, specs: Specs) -> dict[str, Any]:
    exact = claim.form == "count"  # a number of things is right or wrong, not near
    first = next(iter([] if exact else flips(claim, found, specs)), None)
    if first and not np.isfinite(first.factor) and not first.statements:
        first = None
    options = specs.options(first.key) if first else np.array([np.nan])
    return {
        "quantity": claim.quantity,
        "claimed": claim.claimed,
        "low": float(found.span.low.m),
        "high": float(found.span.high.m),
        "stands": bool(stands(claim, found.central, error_of(found, specs))),
        "figure": found.reading.text,
        "row": first.key if first else None,
        "factor": first.factor if first else np.nan,
        "sourced_low": float(options.min() / options[0]),
        "sourced_high": float(options.max() / options[0]),
        "statements": first.statements if first else (),
    }
