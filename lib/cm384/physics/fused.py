"""The serving model as one compiled loop over configurations, where Numba is installed (extra `fused`).

Only operators and the functions of `arrays` work on what varies, so a trace of them with names in the
numbers' place is the whole formula. Numpy passes over each array some 400 times, the loop once; results are
the same but for the last digits. A table of draws, and a model that drafts for another, are left to numpy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata, util
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cm384.physics import arrays
from cm384.physics.deployment import LEAST

if TYPE_CHECKING:
    from cm384.physics.serving import Step

MANY = 10_000_000  # configurations for which it pays to compile
# What may differ from numpy in the last digits; NaN and infinity stay what they are.
REORDERED = {"contract", "reassoc", "arcp", "nsz"}
_asked = False


def version() -> str:
    """The version of Numba; empty where there is none."""
    return metadata.version("numba") if util.find_spec("numba") else ""


@contextmanager
def compiled(asked: bool = True) -> Iterator[None]:
    """Compile what is evaluated inside, if it is asked for and can be."""
    global _asked
    before, _asked = _asked, asked and bool(version())
    try:
        yield
    finally:
        _asked = before


class Traced:
    """A number of one configuration that is still to be computed: a line of the loop."""

    dtype, shape = np.dtype(float), ()

    def __init__(self, text: str, lines: dict[str, str]) -> None:
        self.lines, self.name = lines, lines.setdefault(text, f"v{len(lines)}")

    def __getitem__(self, _: tuple[()]) -> Traced:
        return self

    def __neg__(self) -> Traced:
        return _line("-{}", self)


def _text(value: Any) -> str:
    if isinstance(value, Traced):
        return value.name
    return repr(bool(value) if isinstance(value, bool | np.bool_) else float(value))


def _line(form: str, *values: Any) -> Traced:
    lines = next(value.lines for value in values if isinstance(value, Traced))
    return Traced(form.format(*map(_text, values)), lines)


SIGNS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "and": "&", "or": "|"}
COMPARED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
for _name, _sign in {**SIGNS, **COMPARED}.items():
    _form = f"{{}} {_sign} {{}}"
    setattr(Traced, f"__{_name}__", lambda one, other, form=_form: _line(form, one, other))
    if _name in SIGNS:
        setattr(Traced, f"__r{_name}__", lambda one, other, form=_form: _line(form, other, one))


class Lines:
    """What stands in numpy's place while the formula is traced."""

    def __getattr__(self, name: str) -> Any:
        """A function of numpy, of one configuration."""
        return lambda *values: _line(f"np.{name}({', '.join(['{}'] * len(values))})", *values)

    def where(self, condition: Any, one: Any, other: Any) -> Traced:
        """The one where the condition holds."""
        return _line("{1} if {0} else {2}", condition, one, other)

    def asarray(self, values: Any, dtype: Any = None) -> Any:
        """The values of a curve, as they are."""
        return values

    def interp(self, x: Any, points: Any, values: Any) -> Any:
        """Straight lines between points, flat beyond them."""
        found = values[0]
        for i, (start, end) in enumerate(pairwise(points)):
            share = arrays.minimum(arrays.maximum((x - start) / (end - start), 0.0), 1.0)
            found = found + share * (values[i + 1] - values[i])
        return found


def both(step: Step) -> tuple[Any, Any] | None:
    """The seconds of a step and its memory by the compiled loop; None where numpy has to do it."""
    if not _asked or not step.axes or step.drafter or step.trace or step.rows.specs.sampled:
        return None
    return evaluated(step, compiled_loop)


def evaluated(step: Step, made: Callable[[str], Any]) -> tuple[Any, Any]:
    """The seconds of a step and its memory by a loop, `made` of its source."""
    fields = {name: getattr(step.d, name) for name in LEAST}
    varied = {f"d.{name}": value for name, value in fields.items() if np.ndim(value)}
    varied |= {name: value for name, value in vars(step).items() if isinstance(value, np.ndarray)}
    shape = np.broadcast_shapes(*map(np.shape, varied.values()))
    flat = [np.ascontiguousarray(np.broadcast_to(v, shape)).ravel() for v in map(np.asarray, varied.values())]
    found = np.empty((2, flat[0].size))
    made(_source(step, list(varied)))(*found, *flat)
    return found[0].reshape(shape), found[1].reshape(shape)


def _source(step: Step, names: list[str]) -> str:
    """The loop in Python: its arguments are two results and what varies."""
    lines: dict[str, str] = {}
    put = {name: Traced(f"a{i}[i]", lines) for i, name in enumerate(names)}
    other = object.__new__(type(step))
    fields: dict[str, Any] = {
        name.removeprefix("d."): value for name, value in put.items() if name.startswith("d.")
    }
    own = {name: value for name, value in put.items() if not name.startswith("d.")}
    other.__dict__.update(vars(step) | own, d=dataclasses.replace(step.d, **fields))
    before, arrays.xp = arrays.xp, Lines()
    try:
        results = other.seconds(), other.memory()
    finally:
        arrays.xp = before
    body = [f"{name} = {text}" for text, name in lines.items()]
    body += [f"r{i}[i] = {_text(result)}" for i, result in enumerate(results)]
    head = ", ".join(["r0", "r1", *(f"a{i}" for i in range(len(names)))])
    return "\n        ".join([f"def loop({head}):\n    for i in range(r0.size):", *body])


def plain(source: str) -> Any:
    """The loop as Python runs it."""
    space: dict[str, Any] = {"np": np, "inf": np.inf, "nan": np.nan}
    exec(source, space)
    return space["loop"]


@cache
def compiled_loop(source: str) -> Any:
    """The loop as Numba compiles it, in a second or two."""
    import numba

    return numba.njit(error_model="numpy", fastmath=REORDERED)(plain(source))
