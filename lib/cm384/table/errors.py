"""The error that bad input raises, the sentence that names what was meant, and where data lie."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path

# Beside the package, in a checkout as in an installed wheel.
DATA = Path(__file__).parents[1] / "data"
EXAMPLES = DATA / "examples"


class InputError(ValueError):
    """Bad input, said in one line: what was given, where, and what was expected."""


class NotStated(InputError):
    """No source states what was asked for: the one error that may become a dash in a table."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not known, with the nearest known name or the whole list.

    >>> str(unknown("chip", "h10-sxm", ["h100-sxm", "a100-sxm"]))
    "unknown chip 'h10-sxm'; did you mean 'h100-sxm'?"
    """
    return InputError(f"unknown {kind} {name!r}{suggestion(name, known)}")


def check_known(kind: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not known."""
    if name not in known:
        raise unknown(kind, name, known)


def suggestion(name: str, known: Iterable[str]) -> str:
    """The tail of an error line: the nearest known name, or what is known when none is near.

    >>> suggestion("tiger", ["matrix", "headline"])
    '; known: headline, matrix'
    """
    names = sorted({known_name for known_name in known if known_name})
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
