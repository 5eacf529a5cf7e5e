"""The dependency files agree with one another, and the wheel carries its data."""

from __future__ import annotations

import ast
import contextlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from pathlib import Path
from typing import Any

import ci_requirements
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from cm384.notebooks import notebooks

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "lib/pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
HERE = ["-e ./lib"]


def by_name(lines: list[str]) -> dict[str, SpecifierSet]:
    found = [Requirement(line) for line in lines]
    assert len({canonicalize_name(r.name) for r in found}) == len(found), "a name twice"
    return {canonicalize_name(r.name): r.specifier for r in found}


def declared() -> dict[str, SpecifierSet]:
    """What pyproject.toml asks for, with every extra."""
    extras = PROJECT["optional-dependencies"].values()
    return by_name([*PROJECT["dependencies"], *itertools.chain(*extras)])


def environment() -> tuple[list[str], list[str]]:
    """The entries for conda and those for pip."""
    entries: list[Any] = yaml.safe_load(ENVIRONMENT)["dependencies"]
    plain = [entry for entry in entries if isinstance(entry, str)]
    (nested,) = (entry["pip"] for entry in entries if not isinstance(entry, str))
    return plain, nested


def test_environment_asks_for_what_the_project_declares() -> None:
    plain, nested = environment()
    asked = by_name(plain + [entry for entry in nested if entry not in HERE])
    assert asked.pop("python") == SpecifierSet(PROJECT["requires-python"])
    assert asked.pop("pip") == SpecifierSet()  # conda wants it named beside a pip list
    assert asked == declared()
    assert nested[-1:] == HERE


def test_ci_installs_the_list_of_the_environment() -> None:
    plain, nested = environment()
    wanted = [entry for entry in plain if entry != "pip" and not entry.startswith("python>")]
    assert ci_requirements.requirements(ENVIRONMENT) == wanted + nested


def test_environment_takes_no_default_channel() -> None:
    assert yaml.safe_load(ENVIRONMENT)["channels"] == ["conda-forge", "nodefaults"]


def imported(text: str) -> set[str]:
    """The packages that a module imports, wherever it does so."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


def strangers(places: dict[str, str], extra: str) -> dict[str, set[str]]:
    """What code imports that does not come with the library and one of its extras."""
    declared = by_name([*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]).keys()
    theirs = [Requirement(line) for name in declared for line in distribution(name).requires or ()]
    ours = declared | {"cm384", *(canonicalize_name(r.name) for r in theirs if "extra" not in str(r.marker))}
    given = packages_distributions()
    own = {path.stem for path in (ROOT / "notebooks/_ext").glob("*.py")}
    found = {
        where: {
            name
            for name in imported(text) - sys.stdlib_module_names - own
            if not {canonicalize_name(each) for each in given.get(name, [name])} & ours
        }
        for where, text in places.items()
    }
    return {where: names for where, names in found.items() if names}


def test_a_reader_installs_what_pages_are_made_with_and_no_more() -> None:
    """`make report` asks for one extra, with all that it needs; the others serve tests and sweeps."""
    modules = [path for folder in ("lib/cm384", "notebooks/_ext") for path in (ROOT / folder).rglob("*.py")]
    places = {str(path): path.read_text(encoding="utf-8") for path in modules}
    places |= {
        f"{path.name} {i}": cell.source
        for path in notebooks()
        for i, cell in enumerate(nbformat.read(path, as_version=4).cells)
        if cell.cell_type == "code"
    }
    sweep, fused = (places.pop(str(ROOT / "lib/cm384" / name)) for name in ("sweep.py", "physics/fused.py"))
    assert strangers(places, "notebooks") == {}
    assert strangers({"sweep": sweep}, "cluster") == strangers({"fused": fused}, "fused") == {}
    assert strangers({"sweep": sweep, "x": "import hypothesis.core"}, "notebooks") == {
        "sweep": {"distributed", "pyarrow"}, "x": {"hypothesis"}
    }  # fmt: skip
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"^EXTRAS-(\w+) := (.*)", makefile, flags=re.MULTILINE) == [
        ("report", "notebooks"), ("test", ",".join(PROJECT["optional-dependencies"]))
    ]  # fmt: skip


def test_project_states_lower_bounds_only() -> None:
    assert all(
        [specifier.operator for specifier in specifiers] == [">="] for specifiers in declared().values()
    )


def test_constraints_are_exact_and_meet_every_bound() -> None:
    assert [line for line in CONSTRAINTS if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pins = {name: str(pin).removeprefix("==") for name, pin in by_name(CONSTRAINTS).items()}
    wrong = {n: pins.get(n) for n, bound in declared().items() if pins.get(n, "") not in bound}
    assert wrong == {}


def test_every_pin_runs_on_the_oldest_python_that_is_promised() -> None:
    """Debian 12 has 3.11.2; a pin that wants 3.11.5 installs on a developer's machine alone."""
    oldest = str(PROJECT["requires-python"]).removeprefix(">=")
    wrong = {}
    for name, pin in by_name(CONSTRAINTS).items():
        with contextlib.suppress(PackageNotFoundError):  # a pin of another platform
            found = distribution(name)
            asks = SpecifierSet(found.metadata.get("Requires-Python", ""))
            if found.version in pin and f"{oldest}.0" not in asks:
                wrong[name] = str(asks)
    assert wrong == {}


@pytest.mark.parametrize(
    "name",
    ["environment.yml", "constraints.txt", "lib/pyproject.toml", "Makefile", ".ci/run",
     ".github/workflows/ci.yml", "tests/ci_requirements.py"],
)  # fmt: skip
def test_no_registry_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"\w+://\S+|--(?:extra-)?index-url|--find-links|--hash", text) == []


def test_data_lies_beside_the_package_as_a_link() -> None:
    link = ROOT / "lib/cm384/data"
    assert link.is_symlink()
    assert link.readlink() == Path("../../data")
    assert link.resolve() == ROOT / "data"


def test_wheel_carries_its_data(tmp_path: Path) -> None:
    """Built from a copy, so that nothing is left in the checkout; then read away from it."""
    scraps = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*")
    for folder in ("lib", "data"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=scraps)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check",
         "--no-deps", *build_isolation(), "--wheel-dir", tmp_path, tmp_path / "lib"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    data = [path for path in (ROOT / "data").rglob("*") if path.suffix in (".csv", ".bib", ".json")]
    expected = {f"cm384/data/{path.relative_to(ROOT / 'data')}" for path in data}
    assert "cm384/data/specs.csv" in expected
    assert expected | {"cm384/table/units.txt", "cm384/py.typed"} <= names
    code = "import cm384; print(cm384.__file__, len(cm384.load_claims()))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )  # fmt: skip
    assert found.stdout.startswith(str(tmp_path / "site"))


def build_isolation() -> list[str]:
    """Build with the setuptools that is there, without the network, if it is new enough."""
    try:
        there = version("setuptools")
    except PackageNotFoundError:
        return []
    (wanted,) = (Requirement(line) for line in PYPROJECT["build-system"]["requires"])
    return ["--no-build-isolation"] if there in wanted.specifier else []
