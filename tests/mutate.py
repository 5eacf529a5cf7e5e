"""Plants faults in the arithmetic, a sample drawn by a seed, and counts those that the tests notice.

    python tests/mutate.py [COUNT [SEED]]

Each fault is one change of one expression: a sign, a factor, a comparison, a bound, a constant, a term
left out. It goes into a copy of the library in a folder of its own; the tests of its package run on that
until one fails. Mutmut, the best kept tool for this, leaves out what has a decorator, and with that every
derivation and what data classes compute; in cells it finds nothing.
"""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIB = ROOT / "lib" / "cm384"
CELLS = {"02", "04", "05", "13", "14"}  # the notebooks whose cells compute
TESTS = {
    "table": "specs units refusals validation survivors",
    "derive": "specs uncertainty hardware flips solve_cli survivors",
    "physics": "survivors serving sizes transformer load training validation terms power hardware estimate",
    "ledger": "claims flips rule solve_cli robustness survivors",
}
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


def faults(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """What may stand in the place of an expression, and in words what that is."""
    if isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
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
    shown = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.AnnAssign | ast.Raise)]
    left_out = {id(inner) for node in shown for inner in ast.walk(node)}  # words, types and messages
    for function in (node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)):
        for node in ast.walk(function):
            if id(node) not in left_out and isinstance(node, ast.expr):
                for kind, other in faults(node):
                    yield node, kind, f"({ast.unparse(ast.fix_missing_locations(other))})"


def planted(text: str, node: ast.expr, other: str) -> str:
    """A source with something else in the place of an expression."""
    lines = text.encode().splitlines(keepends=True)
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    return b"".join([*lines[:first], before, other.encode(), after, *lines[last + 1 :]]).decode()


@cache
def noticed(folder: Path, names: tuple[str, ...], fault: str) -> bool:
    """Whether a test fails on the library in a folder, which holds some fault or none."""
    environment = os.environ | {"PYTHONPATH": str(folder / "lib"), "PYTHONHASHSEED": "0"}
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", *names]
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, timeout=900, text=True)
    except subprocess.TimeoutExpired:  # one that never ends is noticed
        return True
    if (done.returncode and not fault) or done.returncode > 2:
        raise SystemExit(f"the tests fail without a fault: {done.stdout[-2000:]}{done.stderr}")
    return done.returncode != 0


def sources() -> Iterator[tuple[Path, int, str]]:
    """The sources with arithmetic: a module, or the code of a cell of a notebook with its number."""
    for package in TESTS:
        yield from ((path, -1, path.read_text("utf-8")) for path in sorted((LIB / package).glob("[a-z]*.py")))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"] if path.stem[:2] in CELLS else []
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", []):
                yield path, number, "".join(cell["source"])


def main(count: int, seed: int = 20261130) -> None:
    """Plant a sample of faults one by one, and print what became of each and how many were noticed."""
    every = [(path, cell, text, *site) for path, cell, text in sources() for site in sites(text)]
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("lib", "data", "notebooks", "tests", "pytest.ini", "README.md", "CONTRIBUTING.md"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part, **({"symlinks": True} if copy is shutil.copytree else {}))
        for path, cell, text, node, kind, other in random.Random(seed).sample(every, count):
            target, own = folder / path.relative_to(ROOT), path.read_text("utf-8")
            wrong, names = (
                planted(text, node, other),
                [f"tests/test_{n}.py" for n in TESTS.get(path.parent.name, "").split()],
            )
            if cell >= 0:
                book, names = json.loads(own), ["--nbval", str(target)]
                book["cells"][cell]["source"], wrong = wrong, ""
                wrong = json.dumps(book)
            noticed(folder, tuple(names), "")
            target.write_text(wrong, "utf-8")
            what = (
                "noticed"
                if noticed(folder, tuple(names), f"{path}{cell}{node.lineno}{other}")
                else "NOT NOTICED"
            )
            target.write_text(own, "utf-8")
            tally[what] += 1
            at = f"{path.relative_to(ROOT)}:{f'{cell}:' if cell >= 0 else ''}{node.lineno}"
            print(f"{what:11}  {at}  {kind}: {ast.unparse(node)} -> {other}", flush=True)
    print(f"of {len(every)} faults {count} were planted: {dict(tally)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or ["60"]))
