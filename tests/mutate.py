"""Plants faults in the arithmetic, a sample drawn by a seed, and counts those that the tests notice.

    python tests/mutate.py [COUNT [SEED]]

Each fault is one change of one expression: a sign, a factor, a comparison, a bound, a constant, a term
left out. Words, paths, types and messages are left alone, what stands inside an f-string, and, where a
figure is drawn, numbers that say where something stands.

All happens in a copy of the project. Each file of tests is imported there by a process of its own, forked
from one that has everything imported but the library; each of its tests runs once, alone, to see which
lines it comes by. A fault is then given to the live functions of a fork of it, which runs the tests that
come by its statement until one fails: the quickest of all files, `BUDGET` seconds in all. A fault that
importing a file comes by is imported anew, and all tests of the file come by it. Tests count that need no
site, no browser and at most `LONGEST` seconds. A notebook with a fault in a cell is run and compared with
what is committed.

Mutmut, the best kept tool for this, leaves out what has a decorator, and with that every derivation and what
data classes compute; in cells it finds nothing.
"""

from __future__ import annotations

import ast
import compileall
import gc
import importlib
import itertools
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).parents[1]
LIB = ROOT / "lib" / "cm384"
CELLS = {"02", "04", "05", "13", "14"}  # the notebooks whose cells compute
PACKAGES = ("table", "derive", "physics", "ledger")
TESTS = (  # the most direct first
    "survivors serving transformer hardware sizes terms load specs units claims rule estimate power training"
    " uncertainty robustness in_numbers fabric flips predict reach validation token_cost arithmetic refusals"
    " solve_cli cli house record plain first_seen answer fused fuzz checked derived"
)
DOCTESTS = [f"lib/cm384/{package}" for package in PACKAGES]
LONGEST, BUDGET = 2.0, 20.0  # seconds of a test, and of all for a fault
Lines = set[tuple[str, int]]
SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
ORDERS = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
CALLS = {"min": "max", "max": "min", "floor": "ceil", "ceil": "floor", "any": "all", "all": "any",
         "minimum": "maximum", "maximum": "minimum"}  # fmt: skip


def holds(node: ast.expr, *kinds: type) -> bool:
    """Whether a literal of some type is a part of a sum or product."""
    if isinstance(node, ast.BinOp):
        return holds(node.left, *kinds) or holds(node.right, *kinds)
    return isinstance(getattr(node, "value", None), kinds) or (
        isinstance(node, ast.JoinedStr) and str in kinds
    )


def faults(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What may stand in the place of an expression, and in words what that is."""
    if isinstance(node, ast.BinOp) and type(node.op) in SIGNS and not holds(node, str):
        yield "sign", ast.BinOp(node.left, SIGNS[type(node.op)](), node.right)
        yield "term left out", node.left
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in ORDERS:
        yield "comparison", ast.Compare(node.left, [ORDERS[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "and, or", ast.BoolOp(other, node.values)
        yield "operand left out", node.values[0]
    elif isinstance(node, ast.IfExp):
        yield "condition", ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        whole = isinstance(node.value, int) or node.value == 0
        yield "constant", ast.Constant(node.value + 1 if whole else node.value * 1.1)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name in CALLS and isinstance(node.func, ast.Attribute):
            func: ast.expr = ast.Attribute(node.func.value, CALLS[name], ast.Load())
            yield "call", ast.Call(func, node.args, node.keywords)
        elif name in CALLS:
            yield "call", ast.Call(ast.Name(CALLS[name], ast.Load()), node.args, node.keywords)


def sites(text: str) -> Iterator[tuple[ast.expr, str, str]]:
    """Every fault that a source may have: the expression, the kind, and what stands in its place."""
    tree = ast.parse(text)
    shown = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Raise | ast.arg)]
    shown += [node.annotation for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    for part in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))):
        draws = ("figures.canvas(", "axis: Axes") if isinstance(part, ast.FunctionDef) else ("= canvas(",)
        if any(name in ast.unparse(part) for name in draws):
            shown += [
                node for node in ast.walk(part) if isinstance(node, ast.expr) and holds(node, int, float)
            ]
    left_out = {id(inner) for node in shown for inner in ast.walk(node)}
    for part in (node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)):
        for node in ast.walk(part):
            if id(node) not in left_out and isinstance(node, ast.expr):
                for kind, other in faults(node):
                    yield node, kind, f"({ast.unparse(ast.fix_missing_locations(other))})"


def planted(text: str, node: ast.expr, other: str) -> str:
    """A source with something else in the place of an expression."""
    lines = text.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    kept = other[:-1] + "\n" * (last - first) + ")"  # so that what follows stays on its lines
    return b"".join([*lines[:first], before, kept.encode(), after, *lines[last + 1 :]]).decode()


# --- processes -----------------------------------------------------------------------------------


def forked(work: Callable[..., Any], *given: Any, limit: float = 600) -> Any:
    """What a function gives in a process of its own; None if it dies or takes more seconds than a limit."""
    ours, its = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        os.setsid()
        for what, most in ((resource.RLIMIT_AS, 8 << 30), (resource.RLIMIT_CPU, int(limit) + 1)):
            resource.setrlimit(what, (most, most))
        its.send(work(*given))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    its.close()
    try:
        return ours.recv() if ours.poll(5 * limit) else None  # where others are at work, too
    except EOFError:
        return None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid or 0, signal.SIGKILL)  # with whatever it started
        process.kill()
        process.join()


def run(folder: Path, words: list[str], *plugins: object) -> int:
    """Run pytest in a folder, on the library that stands there."""
    os.chdir(folder)
    sys.path[:0] = [str(folder / "lib"), str(folder / "tests")]
    sys.dont_write_bytecode = True
    hypothesis.settings.register_profile("seeded", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("seeded")
    with open(folder / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return int(
        pytest.main(["-q", "-x", "-W", "ignore::pytest.PytestAssertRewriteWarning", *words], [*plugins])
    )


@dataclass
class Fault:
    """One change of one expression, of a module or of a cell of a notebook (its number, else -1)."""

    path: Path
    cell: int
    text: str
    node: ast.expr
    kind: str
    other: str

    def __post_init__(self) -> None:
        """The lines of the statement around it; of one with a body, those before the body."""
        first, last = self.node.lineno, self.node.end_lineno or 0
        for inner in ast.walk(ast.parse(self.text)):
            if isinstance(inner, ast.stmt) and inner.lineno <= first <= (inner.end_lineno or 0):
                body = getattr(inner, "body", None)
                end = body[0].lineno - 1 if body else inner.end_lineno or 0
                if first <= end:
                    first, last = inner.lineno, max(last, end)
        self.lines = range(first, last + 1)

    def at(self, folder: Path) -> Lines:
        """Its statement in a copy of the project."""
        return {(str(folder / self.path.relative_to(ROOT)), line) for line in self.lines}

    def __str__(self) -> str:
        at = f"{self.path.relative_to(ROOT)}:{f'{self.cell}:' if self.cell >= 0 else ''}{self.node.lineno}"
        return f"{at}  {self.kind}: {ast.unparse(self.node)} -> {self.other}"

    def plant(self, folder: Path) -> Path:
        """Write the source with the fault into a copy of the project."""
        wrong, target = planted(self.text, self.node, self.other), folder / self.path.relative_to(ROOT)
        if self.cell >= 0:
            book = json.loads(target.read_text("utf-8"))
            book["cells"][self.cell]["source"] = wrong
            wrong = json.dumps(book)
        target.write_text(wrong, "utf-8")
        return target

    def swap(self, functions: dict[tuple[str, str, int], list[FunctionType]], folder: Path) -> bool:
        """Give the functions around it the code with the fault, where nothing else holds what it changes."""
        at = str(folder / self.path.relative_to(ROOT))
        codes = [compile(planted(self.text, self.node, self.other), at, "exec")]
        for code in codes:
            codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        around = {
            (at, inner.name, min([inner.lineno, *(d.lineno for d in inner.decorator_list)]))
            for inner in ast.walk(ast.parse(self.text))
            if isinstance(inner, ast.FunctionDef)
            and inner.body[0].lineno <= self.node.lineno <= (inner.end_lineno or 0)
        }
        for code in codes:
            if (key := (at, code.co_name, code.co_firstlineno)) in around:
                for function in functions.get(key, []):
                    function.__code__ = code
        return bool(around)


class Chosen:
    """Some tests, in a given order."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        items[:] = [found[name] for name in self.names if name in found]


class Session:
    """A file of tests in a process of its own: collected, watched, and then asked about faults."""

    def __init__(self, folder: Path, name: str, faults: list[Fault]) -> None:
        self.folder, self.name, self.faults = folder, name, faults
        self.pipe, its = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("fork").Process(target=self.serve, args=[its])
        self.process.start()
        its.close()

    def ready(self) -> None:
        """Wait for the lines that importing it runs, seconds and lines of each test, and what fails."""
        try:
            self.lines, self.tests, self.failing, self.needed = self.pipe.recv()
        except EOFError:
            raise SystemExit(f"{self.name} ended early\n{(self.folder / 'log').read_text()}") from None
        print(f"{self.name}: {len(self.tests)} tests", flush=True)

    def serve(self, pipe: Any) -> None:
        self.pipe.close()
        self.pipe, self.failing = pipe, []
        self.lines: Lines = set()
        self.tests: dict[str, tuple[float, Lines]] = {}
        self.codes: dict[int, tuple[CodeType, Lines]] = {}
        self.trace(self.call)
        run(self.folder, [self.name], self)

    def trace(self, function: Any) -> None:
        threading.settrace(function)
        sys.settrace(function)

    def call(self, frame: Any, event: str, _: object) -> Any:
        """Follow the lines of a function of the library, unless all of them are known."""
        code = frame.f_code
        if id(code) not in self.codes:
            ours = code.co_filename.startswith(str(self.folder / "lib"))
            lines = {(code.co_filename, line) for _, _, line in code.co_lines() if ours and line}
            self.codes[id(code)] = code, lines  # a code that is kept shares its number with no other
        return None if self.codes[id(code)][1] <= self.lines else self.line(frame, event, _)

    def line(self, frame: Any, event: str, _: object) -> Any:
        self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self.line

    def alone(self, item: pytest.Item) -> tuple[float, bool, Lines]:
        """How long a test takes, whether it passes, and the lines that it runs."""
        begun = time.process_time()  # of the lines, those that importing comes by are known
        self.trace(self.call)
        reports = runtestprotocol(item, log=False, nextitem=None)
        self.trace(None)
        return time.process_time() - begun, not any(report.failed for report in reports), self.lines

    def first(self, items: list[pytest.Item], swap: Callable[[], bool] = lambda: True) -> str:
        """The first test that fails."""
        if not swap():
            return "imported"
        for item, after in zip(items, [*items[1:], None], strict=True):
            if any(report.failed for report in runtestprotocol(item, log=False, nextitem=after)):
                return item.nodeid
        return ""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.trace(None)
        imported, items = self.lines, {item.nodeid: item for item in session.items}
        functions: dict[tuple[str, str, int], list[FunctionType]] = {}
        for function in (thing for thing in gc.get_objects() if isinstance(thing, FunctionType)):
            code = function.__code__
            functions.setdefault((code.co_filename, code.co_name, code.co_firstlineno), []).append(function)
        gc.freeze()  # what forked processes would otherwise copy
        for name, item in items.items():
            seconds, passed, lines = forked(self.alone, item, limit=2 * LONGEST) or (99, True, set())
            if passed and seconds <= LONGEST:  # one that measures memory fails where it is followed
                self.tests[name] = seconds, lines
        order = sorted(self.tests, key=lambda name: self.tests[name][0])
        if order and (failing := forked(self.first, [items[name] for name in order])):
            self.failing.append(failing)
        needed = {name for name, module in sys.modules.items() if str(self.folder) not in repr(module)}
        self.pipe.send((imported, self.tests, self.failing, needed))
        with suppress(EOFError):
            while True:
                number, names, limit = self.pipe.recv()
                swap = partial(self.faults[number].swap, functions, self.folder)
                self.pipe.send(forked(self.first, [items[name] for name in names], swap, limit=limit))
        return True

    def notices(self, number: int, names: list[str]) -> str:
        """The first of some tests that fails with a fault, which goes into live functions if it can."""
        fault, limit = self.faults[number], 10 + 10 * sum(self.tests[name][0] for name in names)
        found: str | None = "imported"
        if not fault.at(self.folder) & self.lines:
            self.pipe.send((number, names, limit))
            found = self.pipe.recv()
        if found == "imported":
            target = fault.plant(self.folder)
            failed = forked(run, self.folder, [self.name], Chosen(names), limit=limit) not in (0, 5)
            shutil.copy2(fault.path, target)
            found = self.name if failed else ""
        return f"{self.name}, which ends or does not" if found is None else found


def sources() -> Iterator[tuple[Path, int, str]]:
    """The sources with arithmetic: a module, or the code of a cell of a notebook with its number."""
    for package in PACKAGES:
        yield from ((path, -1, path.read_text("utf-8")) for path in sorted((LIB / package).glob("[a-z]*.py")))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"] if path.stem[:2] in CELLS else []
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
                yield path, number, "".join(cell["source"])


def copied(folder: Path) -> None:
    """The project in a folder of its own."""
    named = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in named.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    compileall.compile_dir(folder / "lib", quiet=2)


def sessions(folder: Path, faults: list[Fault]) -> list[Session]:
    """Every file of tests, watched."""
    found: list[Session] = []
    names = [*(f"tests/test_{word}.py" for word in TESTS.split()), *DOCTESTS]
    for place, name in enumerate([*names, ""]):
        if name:
            found.append(Session(folder, name, faults))
        if place:  # while the next one is at it
            found[place - 1].ready()
            if failing := found[place - 1].failing:
                raise SystemExit(f"fail without a fault: {failing}\n{(folder / 'log').read_text()}")
        for module in sorted(found[0].needed - sys.modules.keys() if place == 1 else ()):
            with suppress(Exception):
                importlib.import_module(module)
        gc.freeze()  # what no collection need look at again
    return found


def noticed(number: int, fault: Fault, files: list[Session]) -> str:
    """The first test that fails: of those that come by a fault the quickest, for `BUDGET` in all."""
    hits: list[tuple[float, int, str]] = []
    for place, file in enumerate(files):
        at = fault.at(file.folder)
        hits += [(seconds, place, name) for name, (seconds, lines) in file.tests.items()
                 if at & (lines | file.lines)]  # fmt: skip
    spent = itertools.accumulate(seconds for seconds, *_ in sorted(hits))
    taken = [hit for hit, so_far in zip(sorted(hits), spent, strict=True) if so_far <= BUDGET]

    def batch(hit: tuple[float, int, str]) -> tuple[int, int]:
        """Quick ones of a file together."""
        return int(math.log2(hit[0] + 0.01)), hit[1]

    for (_, place), group in itertools.groupby(sorted(taken, key=batch), batch):
        if found := files[place].notices(number, [name for *_, name in group]):
            return found
    return ""


def compared(folder: Path, path: Path) -> bool:
    """Whether a notebook gives what is committed."""
    return forked(run, folder, ["--nbval", str(folder / path.relative_to(ROOT))]) == 0


def shown(folder: Path, fault: Fault) -> str:
    """The notebook, if a fault in one of its cells shows."""
    target = fault.plant(folder)
    same = compared(folder, fault.path)
    shutil.copy2(fault.path, target)
    return "" if same else fault.path.stem


def main(count: int, seed: int = 20261130) -> None:
    """Plant a sample of faults, and print which test notices each, and those that none does."""
    every = [(path, cell, text, *site) for path, cell, text in sources() for site in sites(text)]
    faults = [Fault(*one) for one in random.Random(seed).sample(every, count)]
    missed = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        copied(folder := Path(name))
        files = sessions(folder, faults)
        for path in {fault.path for fault in faults if fault.cell >= 0}:
            if not compared(folder, path):
                raise SystemExit(f"fails without a fault: {path}")
        for number, fault in enumerate(faults):
            by = shown(folder, fault) if fault.cell >= 0 else noticed(number, fault, files)
            missed += [] if by else [fault]
            print(f"{f'by {by}' if by else 'BY NONE'}  {fault}", flush=True)
    print(
        "", *missed, f"of {len(every)} faults {count} were planted, {count - len(missed)} noticed", sep="\n"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["400"]))
