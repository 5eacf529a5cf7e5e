"""The ledger of this project, judged once in a process for every file of tests that asks for it."""

from __future__ import annotations

from functools import cache

import pandas as pd

from cm384 import load_claims, load_specs, scorecard
from cm384.ledger.verdicts import Verdict, judge_all

SPECS = load_specs()
CLAIMS = load_claims(specs=SPECS)


@cache
def verdicts() -> dict[str, Verdict]:
    """Every verdict by the id of its claim."""
    return {verdict.claim.id: verdict for verdict in judge_all(CLAIMS, SPECS)}


@cache
def lines() -> pd.DataFrame:
    """The scorecard, one line a claim."""
    return scorecard(CLAIMS, SPECS)
