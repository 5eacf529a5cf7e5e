"""Where the data files are: beside the package, in a checkout as in an installed wheel."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"
EXAMPLES = DATA / "examples"
