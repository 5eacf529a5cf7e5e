"""Files as somebody else writes them, and the one line that bad input is refused with."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cm384.table import files
from cm384.table.errors import InputError


def write(path: Path, kind: type, *rows: dict[str, str]) -> Path:
    """A file whose lines are of some dataclass; cells that a row leaves out are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, files.columns(kind), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def refused(call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """What a call is refused with."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)
