"""How sure a verdict is: the ledger over draws of the sources, and what a claim needs to be true.

Everything here calls the same pure derivations as the verdicts do, on a sampled table or on one
with a row replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from cm384 import units
from cm384.claims import Attempt, Claim, as_stated, attempts, load_claims
from cm384.draws import BLOCK
from cm384.errors import InputError, unknown
from cm384.specs import Key, Specs, key_name
from cm384.uncertainty import SEED, Solution, solve_for


def nearest_attempt(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Attempt:
    """The claim as stated; of several possible comparators, the one that comes nearest to it."""
    if claim.judged:
        raise InputError(f"{claim.id} is not derived: its verdict comes from its primary source")
    tried = attempts(as_stated(claim, specs, ledger), claim.unit, specs)
    if not tried:
        raise InputError(f"{claim.id}: no source states the figure")
    return min(tried, key=lambda a: abs(np.log(a.central / claim.printed.value)))


def solve(claim_id: str, row: str, specs: Specs, claims: Iterable[Claim] | None = None) -> Solution:
    """The value of a row at which a claim becomes true, or that none does.

    `row` is SUBJECT.QUANTITY, with the conditions in brackets where more than one row fits.

    >>> from cm384 import load_specs
    >>> print(units.text(solve("S000-02", "ascend-910c.peak", load_specs()).value))
    937.5 TFLOP/s
    """
    ledger = {claim.id: claim for claim in (claims or load_claims(specs=specs))}
    if claim_id not in ledger:
        raise unknown("claim", claim_id, ledger)
    claim = ledger[claim_id]
    found = nearest_attempt(claim, specs, ledger)
    key = _find_key(row, found.span.keys)
    target = units.Q(claim.printed.value, claim.unit or "count")
    return solve_for(found.reading.figure, specs, key, target)


def _find_key(row: str, keys: Iterable[Key]) -> Key:
    names = {key_name(key): key for key in keys}
    fitting = [key for name, key in names.items() if name == row or name.split("[")[0] == row]
    if len(fitting) != 1:
        raise unknown("row of this claim", row, names)
    return fitting[0]


def bands(
    claims: Iterable[Claim], specs: Specs, samples: int = 10_000, seed: int = SEED
) -> pd.DataFrame:
    """Every derivable claim over draws of the sources: one line a claim.

    Columns: id, derived, the 5th and 95th percentile of the derived figure, and the share of draws
    in which the claim holds as stated. Claims that repeat another one are left out. Memory is
    bounded: the draws are made in blocks, and each block serves the whole ledger.
    """
    ledger = {claim.id: claim for claim in claims}
    chosen = [claim for claim in ledger.values() if not claim.judged and not claim.same_as]
    found = [(claim, nearest_attempt(claim, specs, ledger)) for claim in chosen]
    drawn = {claim.id: np.empty(samples) for claim in chosen}
    for start in range(0, samples, BLOCK):
        count = min(BLOCK, samples - start)
        table = specs.sample(count, seed, start)
        for claim, attempt in found:
            values = attempt.reading.figure(table).to(units.parse_unit(claim.unit or "count")).m
            drawn[claim.id][start : start + count] = values
    return pd.DataFrame([_band(claim, attempt, drawn[claim.id]) for claim, attempt in found])


def _band(claim: Claim, attempt: Attempt, values: np.ndarray) -> dict[str, object]:
    low, high = np.percentile(values, [5, 95])
    share = float(np.mean(claim.printed.holds(values)))
    return {"id": claim.id, "derived": attempt.central, "p5": low, "p95": high, "holds": share}
