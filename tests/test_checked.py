"""Packaged tables that have passed their checks are not checked again at each start; all others are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from strangers import refused

from cm384 import notebooks
from cm384.ledger import claims, readings
from cm384.table import documents, files, reading, specs, speeds
from cm384.table.errors import DATA


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the data, from which everything is read."""
    shutil.copytree(DATA, tmp_path / "data")
    for module in (claims, documents, files, reading, readings, specs, speeds):
        monkeypatch.setattr(module, "DATA", tmp_path / "data")
    monkeypatch.setattr(files, "CHECKED", tmp_path / "data" / "derived" / "checked.csv")
    files.as_checked.cache_clear()
    yield tmp_path / "data"
    files.as_checked.cache_clear()


def test_the_digests_are_those_of_the_tables() -> None:
    _, _, written = files.CHECKED.read_text(encoding="utf-8").partition("\n")
    assert written == files.digests(), "a table was edited: run python -m cm384 refresh"
    assert len(files.as_checked()) > len(files.TABLES)


def test_every_table_passes_and_is_among_those_with_a_digest(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, check = set(), files.check_table

    def noted(table: pd.DataFrame, checks: dict[str, files.Check], path: Path, *unique: list[str]) -> None:
        assert not files.as_checked()
        checked.add(path.relative_to(copy).as_posix())
        check(table, checks, path, *unique)

    monkeypatch.setattr(files, "check_table", noted)
    notebooks.check_tables()
    assert checked == set(files.TABLES)


def test_a_start_does_without_the_checker() -> None:
    program = """
import sys
sys.modules["pandera"] = None  # cannot be imported
from cm384 import load_claims
from cm384.table.specs import load_third_party
load_claims(), load_third_party()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


READ = {
    "articles.csv": documents.load_notes,
    "claims.csv": claims.load_claims,
    "kernels.csv": reading.load_kernels,
    "measurements.csv": specs.load_measurements,
    "proxies.csv": readings.load_proxies.__wrapped__,
    "readings.csv": readings.load_listed.__wrapped__,
    "sources.csv": documents.load_sources.__wrapped__,
    "specs.csv": specs.own_specs.__wrapped__,
    "speeds.csv": speeds.load_speeds,
    "subjects.csv": reading.load_subjects.__wrapped__,
    "third_party/deepseek.csv": specs.load_third_party.__wrapped__,
    "third_party/other_models.csv": specs.load_third_party.__wrapped__,
    "training.csv": specs.own_specs.__wrapped__,
    "workloads.csv": reading.read_workloads,
}
COLUMNS = {
    "articles.csv": "kind", "claims.csv": "form", "kernels.csv": "value", "measurements.csv": "phase",
    "proxies.csv": "at_least", "readings.csv": "quantity", "sources.csv": "kind", "specs.csv": "role",
    "speeds.csv": "call", "subjects.csv": "tier", "third_party/deepseek.csv": "phase",
    "third_party/other_models.csv": "phase", "training.csv": "stage", "workloads.csv": "phase",
}  # fmt: skip


def test_only_the_vocabulary_has_no_check_of_its_own() -> None:
    assert set(files.TABLES) - set(READ) == {"quantities.csv"}
    assert READ.keys() == COLUMNS.keys()


@pytest.mark.parametrize("name", READ)
def test_an_edited_table_is_checked(copy: Path, name: str) -> None:
    """A bad cell in its last line."""
    assert files.as_checked()
    files.as_checked.cache_clear()
    table = pd.read_csv(copy / name, dtype=str, keep_default_na=False)
    table.loc[table.index[-1], COLUMNS[name]] = "nonsense"
    table.to_csv(copy / name, index=False)
    said = refused(READ[name])
    assert said.startswith(f"{Path(name).name} line {len(table) + 1}, column {COLUMNS[name]}: 'nonsense'")


def test_a_table_that_is_edited_while_a_process_runs_is_checked(copy: Path) -> None:
    assert files.as_checked()
    text = (copy / "workloads.csv").read_text(encoding="utf-8")
    (copy / "workloads.csv").write_text(text.replace(",decode,", ",nonsense,", 1), encoding="utf-8")
    assert "column phase: 'nonsense'" in refused(reading.read_workloads)


def test_a_table_is_checked_when_another_one_that_it_names_is_edited(copy: Path) -> None:
    text = (copy / "sources.bib").read_text(encoding="utf-8")
    (copy / "sources.bib").write_text(
        text.replace("{huawei2025cloudmatrix,", "{another2025,"), encoding="utf-8"
    )
    said = refused(specs.own_specs.__wrapped__)
    assert said.startswith("specs.csv line ")
    assert "'huawei2025cloudmatrix' is not known" in said


def test_a_table_that_is_missing_is_missed_where_it_is_read(copy: Path) -> None:
    (copy / "workloads.csv").unlink()
    assert reading.load_kernels()
    assert refused(reading.read_workloads) == "workloads.csv: no such file"


def test_what_is_not_packaged_is_checked_though_it_is_the_same(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATA / "claims.csv", tmp_path))
    assert path not in files.as_checked()


def test_a_start_needs_neither_pandas_nor_dask() -> None:
    """They take longer to import than all else; the first table that is shown or checked imports pandas."""
    asked = "import sys, cm384.__main__; print({'pandas', 'dask', 'matplotlib'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
