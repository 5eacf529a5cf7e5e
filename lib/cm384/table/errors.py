"""The error that bad input raises, the sentence that names what was meant, and where data lie."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

# Beside the package, in a checkout as in an installed wheel.
DATA = Path(__file__).parents[1] / "data"
EXAMPLES = DATA / "examples"
# How formats of numbers are spelt. One that exists is no slip of another: to take int4 for int8 is to
# take one model for another.
FORMAT = re.compile(
    r"(mx)?(bf|fp|nf|tf|hif|u?int)(2|3|4|6|8|16|32|64)(_?e\dm\d\w*)?|w\d+a\d+\w*|awq|gptq", re.IGNORECASE
)


FEW = 12  # names that an error line lists of those that could be meant
# Words that people use for those of the names here.
SPOKEN = {
    "memory": "hbm",
    "tdp": "power",
    "compute": "peak",
    "flops": "peak",
    "tflops": "peak",
    "cost": "price",
}


LONGEST = 700  # characters of an error: a screen
# What would move the cursor of a terminal, or is no character.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class InputError(ValueError):
    """Bad input, said in one line: what was given, where, and what was expected.

    >>> str(InputError("a\\nb")), len(str(InputError("x" * 100_000)))
    ('a\\\\nb', 703)
    """

    def __init__(self, told: object) -> None:
        line = CONTROL.sub(lambda found: repr(found[0])[1:-1], str(told))
        half = LONGEST // 2
        super().__init__(line if len(line) <= LONGEST else f"{line[:half]} … {line[-half:]}")

    def _render_traceback_(self) -> list[str]:  # what a notebook shows of it
        return [f"{type(self).__name__}: {self}"]


class NotStated(InputError):
    """No source states what was asked for: the one error that may become a dash in a table."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not known, with the nearest known name or the whole list.

    >>> str(unknown("chip", "h10-sxm", ["h100-sxm", "a100-sxm"]))
    "unknown chip 'h10-sxm'; did you mean 'h100-sxm'?"
    >>> str(unknown("precision", "int4", ["bf16", "int8"]))
    "precision 'int4' is not modelled; known: bf16, int8"
    """
    if not isinstance(name, str):
        return InputError(f"{kind}: expected a name, got {name!r}")
    if FORMAT.fullmatch(name):
        return InputError(f"{kind} {name!r}{not_known(name, known)}")
    return InputError(f"unknown {kind} {name!r}{suggestion(name, known)}")


def check_known(kind: str, name: str, known: Collection[str]) -> None:
    """Refuse a name that is not known."""
    if not isinstance(name, str) or name not in known:
        raise unknown(kind, name, known)


def meant(kind: str, name: str, known: Collection[str]) -> str:
    """The known name that a name as people write it means; InputError if none or several are meant.

    >>> [meant("chip", name, ["ascend-910c", "h20", "h200-sxm"]) for name in ("910C", "H200", "Ascend 910C")]
    ['ascend-910c', 'h200-sxm', 'ascend-910c']
    >>> meant("quantity", "memory bandwidth", ["hbm_bandwidth", "memory_bandwidth_sustained"])
    'hbm_bandwidth'
    """
    found = candidates(name, known) if isinstance(name, str) else []
    if len(found) != 1:
        raise unknown(kind, name, known)
    return found[0]


def candidates(name: str, known: Iterable[str]) -> list[str]:
    """The known names that a name could mean, by the nearest way of meaning that any is meant in.

    The same letters; the same with its words for ours; what begins with its words; what has all of them;
    what begins with its letters, or has a word that does.

    >>> candidates("cloudm", ["cloudmatrix-384", "h200"]), candidates("h20", ["h200", "hgx-h200"])
    (['cloudmatrix-384'], [])
    """
    names, words = sorted({known_name for known_name in known if known_name}), _words(name)
    if name in names or FORMAT.fullmatch(name):
        return [known_name for known_name in names if known_name in (name, name.lower())]
    if not words:
        return []
    ours, start = tuple(SPOKEN.get(word, word) for word in words), "".join(words)
    begun = re.compile(re.escape(start) + r"(?!(?<=\d)\d)")  # a number is not cut: h20 does not begin h200
    for holds in (
        lambda other: "".join(other) == start,
        lambda other: other == ours,
        lambda other: other[: len(words)] in (words, ours),
        lambda other: {*words} <= {*other} or {*ours} <= {*other},
        lambda other: any(map(begun.match, ("".join(other), *other))),
    ):
        if found := [known_name for known_name in names if holds(_words(known_name))]:
            return found
    return []


@cache
def _words(name: str) -> tuple[str, ...]:
    """The words of a name, in small letters; a decimal point belongs to its number."""
    return tuple(re.findall(r"[a-z0-9]+(?:\.[0-9]+)*", name.lower()))


def not_known(name: str, known: Iterable[str]) -> str:
    """The tail of an error line that begins with a name: that it is not known, and what is."""
    return f" is not {'modelled' if FORMAT.fullmatch(name) else 'known'}{suggestion(name, known)}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """The tail of an error line: what a name could mean, or is spelt nearly like, or all that is known.

    >>> suggestion("tiger", ["matrix", "headline"])
    '; known: headline, matrix'
    >>> suggestion("gb200", ["hgx-b200", "gb200-nvl72"])
    "; did you mean 'gb200-nvl72'?"
    """
    names = sorted({known_name for known_name in known if known_name})
    near = candidates(name, names)
    if not near and not FORMAT.fullmatch(name):
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    if len(near) == 1:
        return f"; did you mean {near[0]!r}?"
    if 1 < len(near) <= FEW:
        return f"; it could be {', '.join(near)}"
    return f"; known: {', '.join(names)}" if names else ""
