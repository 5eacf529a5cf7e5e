"""Plants faults in the arithmetic, a sample drawn by a seed, and counts those that the tests notice.

    python tests/mutate.py [COUNT [SEED]]

Each fault is one change of one expression: a sign, a factor, a comparison, a bound, a constant, a term
left out. Words, paths, types and messages are left alone, what stands inside an f-string, and, where a
figure is drawn, numbers that say where something stands.

All happens in copies of the project, one for each core. Each file of tests runs there once, followed, to see
which lines it comes by. A fault is then written into the copy, and the files that come by its statement run,
whole, the quickest first, until a test fails; last of all the notebooks, compared with what is committed. One
with a fault in a cell is compared alone. Files that need a site, a browser or a repository are left out: what
only those would notice counts as missed.

Tests run in processes forked from one that has imported everything but the project. Mutmut, the best
kept tool for this, leaves out what has a decorator, and with that every derivation and what data classes
compute; in cells it finds nothing.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import json
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
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]
LIB = "lib/cm384/"
PACKAGES = ("table", "derive", "physics", "ledger")
CELLS = {"02", "04", "05", "13", "14"}  # the notebooks whose cells compute
APART = (  # what needs a site, a browser or a repository, waits for processes of its own, or takes a minute
    "browser browser_defects calculator committed environment fuzz readme report reruns scorecard_page"
    " sentences site sweep warm_kernels"
)
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


@dataclass
class Fault:
    """One change of one expression, of a module or of a cell of a notebook (its number, else -1)."""

    path: Path
    cell: int
    text: str
    node: ast.expr
    kind: str
    other: str

    def at(self) -> Lines:
        """The lines of the statement around it; of one with a body, those before the body."""
        first, last = self.node.lineno, self.node.end_lineno or 0
        for inner in ast.walk(ast.parse(self.text)):
            if isinstance(inner, ast.stmt) and inner.lineno <= first <= (inner.end_lineno or 0):
                body = getattr(inner, "body", None)
                end = body[0].lineno - 1 if body else inner.end_lineno or 0
                if first <= end:
                    first, last = inner.lineno, max(last, end)
        return {(str(self.path), line) for line in range(first, last + 1)}

    def __str__(self) -> str:
        at = f"{self.path}:{f'{self.cell}:' if self.cell >= 0 else ''}{self.node.lineno}"
        return f"{at}  {self.kind}: {ast.unparse(self.node)} -> {self.other}"

    def plant(self) -> None:
        """Write the source with the fault into the copy of the project."""
        lines = self.text.encode().splitlines(keepends=True)
        first, last = self.node.lineno - 1, (self.node.end_lineno or 0) - 1
        before, after = lines[first][: self.node.col_offset], lines[last][self.node.end_col_offset :]
        wrong = b"".join([*lines[:first], before, self.other.encode(), after, *lines[last + 1 :]]).decode()
        if self.cell >= 0:
            book = json.loads(self.path.read_text("utf-8"))
            book["cells"][self.cell]["source"] = wrong
            wrong = json.dumps(book)
        self.path.write_text(wrong, "utf-8")


def sources() -> Iterator[tuple[Path, int, str]]:
    """The sources with arithmetic: a module, or the code of a cell of a notebook with its number."""
    for package in PACKAGES:
        for path in sorted((ROOT / LIB / package).glob("[a-z]*.py")):
            yield path.relative_to(ROOT), -1, path.read_text("utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"] if path.stem[:2] in CELLS else []
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
                yield path.relative_to(ROOT), number, "".join(cell["source"])


# --- what runs ------------------------------------------------------------------------------------


class Followed:
    """The lines of the library that run from now on, with their files as seen from the project."""

    def __init__(self) -> None:
        self.lines: Lines = set()
        self.folder = os.path.join(os.getcwd(), "")  # tests go elsewhere
        self.known: dict[int, tuple[CodeType, str, Lines]] = {}
        threading.settrace(self.call)
        sys.settrace(self.call)

    def call(self, frame: Any, event: str, _: object) -> Any:
        """Follow the lines of a function, unless all of them are known or it is not of the library."""
        code = frame.f_code
        if id(code) not in self.known:
            name = code.co_filename.removeprefix(self.folder)
            lines = {(name, line) for *_, line in code.co_lines() if line and name.startswith(LIB)}
            self.known[id(code)] = code, name, lines  # a code that is kept shares its number with no other
        return None if self.known[id(code)][2] <= self.lines else self.line

    def line(self, frame: Any, event: str, _: object) -> Any:
        self.lines.add((self.known[id(frame.f_code)][1], frame.f_lineno))
        return self.line


def settle(folder: Path) -> None:
    """Work in a copy of the project from now on."""
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder / "lib"), "PYTHONDONTWRITEBYTECODE": "1"}  # of what tests start
    sys.path[:0] = [str(folder / "lib"), str(folder / "tests")]


def copied() -> None:
    """Work in a further copy, beside the one that it is of."""
    folder = Path(tempfile.mkdtemp(dir=Path.cwd().parent))
    settle(shutil.copytree(Path.cwd(), folder, symlinks=True, dirs_exist_ok=True))
    sys.dont_write_bytecode = True


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


def failing(*words: str) -> str:
    """The first test that fails of some files, or what else pytest has against them."""
    failed: list[str] = []

    class Reports:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            failed.extend([report.nodeid] if report.failed else [])

        pytest_collectreport = pytest_runtest_logreport

    hypothesis.settings.register_profile("seeded", derandomize=True, database=None, deadline=None)
    hypothesis.settings.load_profile("seeded")
    with open("log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = pytest.main(
        ["-q", "-x", "-p", "forked", "-W", "ignore::pytest.PytestAssertRewriteWarning", *words], [Reports()]
    )
    return "" if code == 0 else failed[0] if failed else f"pytest ends with {code}"


@dataclass
class File:
    """A file of tests: the seconds it takes, and the lines of the library that it comes by."""

    name: str
    seconds: float
    lines: Lines


def whole(names: list[str]) -> tuple[str, set[str]]:
    """What fails without a fault, and what is imported that is not the project."""
    found = failing(*names)
    ours = {name for name, module in sys.modules.items() if os.getcwd() in repr(module)}
    return found, sys.modules.keys() - ours


def watched(name: str) -> File:
    """The seconds and lines of a file of tests, of which those that measure memory may fail meanwhile."""

    def follow() -> tuple[float, Lines]:
        begun, lines = time.process_time(), Followed().lines
        failing(name, "--maxfail=0")
        return time.process_time() - begun, lines

    if not (taken := forked(follow, limit=3600)):
        raise SystemExit(f"{name} does not end where it is followed")
    seconds, lines = taken
    print(f"{seconds:6.1f} s, followed: {name}", flush=True)
    return File(name, seconds, lines)


def noticed(fault: Fault, files: list[File]) -> str:
    """The first test that fails with a fault; none if there is no such test."""
    at = fault.at()
    hits = sorted((file.seconds, file.name) for file in files if at & file.lines)
    groups = [hits[:4], hits[4:12], hits[12:], [(150.0, "notebooks")]]
    fault.plant()
    try:
        for group in groups if fault.cell < 0 else [[(10.0, str(fault.path))]]:
            limit = 30 + 10 * sum(seconds for seconds, _ in group)
            found = forked(failing, *(name for _, name in group), limit=limit) if group else ""
            if found != "":
                return found or "a process that ends or does not"
    finally:
        shutil.copy2(Path.cwd().parent / "first" / fault.path, fault.path)
    return ""


def main(count: int, seed: int = 20261130) -> None:
    """Plant a sample of faults, and print which test notices each, and those that none does."""
    every = [(path, cell, text, *site) for path, cell, text in sources() for site in sites(text)]
    faults = [Fault(*one) for one in random.Random(seed).sample(every, count)]
    tests = [f"tests/{path.name}" for path in sorted((ROOT / "tests").glob("test_*.py"))
             if path.stem.removeprefix("test_") not in APART.split()]  # fmt: skip
    tests += [f"{LIB}{package}" for package in PACKAGES]
    missed = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent:
        named = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in named.stdout.splitlines():
            target = Path(parent, "first", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
        settle(Path(parent, "first"))
        found, imports = forked(whole, [*tests, "notebooks"], limit=3600) or (
            "something that never ends",
            set(),
        )
        if found:
            raise SystemExit(f"{found} fails without a fault\n{Path('log').read_text()}")
        for name in sorted(imports - sys.modules.keys()):
            with suppress(Exception), warnings.catch_warnings(action="ignore"):
                importlib.import_module(name)
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork"), initializer=copied) as pool:
            files = [*pool.map(watched, tests)]
            for fault, by in zip(faults, pool.map(noticed, faults, itertools.repeat(files)), strict=True):
                missed += [] if by else [fault]
                print(f"{f'by {by}' if by else 'BY NONE'}  {fault}", flush=True)
    print(
        "", *missed, f"of {len(every)} faults {count} were planted, {count - len(missed)} noticed", sep="\n"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["400"]))
