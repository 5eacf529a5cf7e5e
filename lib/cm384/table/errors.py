"""The error that bad input raises, the sentence that names what was meant, and where data lie."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

# Beside the package, in a checkout as in an installed wheel.
DATA = Path(__file__).parents[1] / "data"
EXAMPLES = DATA / "examples"
# How formats of numbers are spelt. One that exists is no slip of another: to take int4 for int8 is to
# take one model for another.
FORMAT = re.compile(
    r"(mx)?(bf|fp|nf|tf|hif|u?int)(2|3|4|6|8|16|32|64)(_?e\dm\d\w*)?|w\d+a\d+\w*|awq|gptq", re.IGNORECASE
)


class InputError(ValueError):
    """Bad input, said in one line: what was given, where, and what was expected."""


class NotStated(InputError):
    """No source states what was asked for: the one error that may become a dash in a table."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not known, with the nearest known name or the whole list.

    >>> str(unknown("chip", "h10-sxm", ["h100-sxm", "a100-sxm"]))
    "unknown chip 'h10-sxm'; did you mean 'h100-sxm'?"
    >>> str(unknown("precision", "int4", ["bf16", "int8"]))
    "precision 'int4' is not modelled; known: bf16, int8"
    """
    if FORMAT.fullmatch(name):
        return InputError(f"{kind} {name!r}{not_known(name, known)}")
    return InputError(f"unknown {kind} {name!r}{suggestion(name, known)}")


def check_known(kind: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not known."""
    if name not in known:
        raise unknown(kind, name, known)


def not_known(name: str, known: Iterable[str]) -> str:
    """The tail of an error line that begins with a name: that it is not known, and what is."""
    return f" is not {'modelled' if FORMAT.fullmatch(name) else 'known'}{suggestion(name, known)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """The tail of an error line: the nearest known name, or what is known when none is near.

    >>> suggestion("tiger", ["matrix", "headline"])
    '; known: headline, matrix'
    """
    names = sorted({known_name for known_name in known if known_name})
    near = [] if FORMAT.fullmatch(name) else difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
