"""The ledger of this project, judged once in a process for every file of tests that asks for it."""

from __future__ import annotations

from functools import cache

import pandas as pd
from facts import facts

from cm384.ledger.verdicts import Verdict, tabulated

SPECS = facts().specs
CLAIMS = [*facts().claims.values()]


@cache
def verdicts() -> dict[str, Verdict]:
    """Every verdict by the id of its claim."""
    return dict(facts().ledger)


@cache
def lines() -> pd.DataFrame:
    """The scorecard, one line a claim."""
    return tabulated(verdicts().values())
