"""The guard of the data: whatever a table states is read, and what a run states agrees with itself."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from cm384 import load_claims, load_specs
from cm384.derive.derivation import derive
from cm384.ledger.readings import load_proxies
from cm384.table.errors import DATA, InputError
from cm384.table.files import columns
from cm384.table.reading import load_kernels
from cm384.table.records import KERNELS, Row, read_conditions
from cm384.table.specs import Key, Specs, load_measurements

ROOT = Path(__file__).resolve().parents[1]
PHYSICS = ROOT / "lib/cm384/physics"
SPECS = load_specs()
# Lines of the catalogue that go through the serving model, which reads its rows by name.
SERVED = {"workload", "measurement", "context", "ranks", "tokens", "prompt", "usd_per_hour"}


def named(*paths: Path) -> set[str]:
    """The words that files write in quotes, of notebooks the code alone."""
    texts = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = (cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")
            text = "\n".join("".join(cell["source"]) for cell in cells)
        texts.append(text)
    return set(re.findall(r"\"([\w.-]+)\"", "\n".join(texts)))


def read_by_figures(specs: Specs) -> set[Key]:
    """The rows behind the figures of the catalogue, but for those through the serving model."""
    traced, notes = specs.traced()
    lines = pd.read_csv(DATA / "derived" / "figures.csv", dtype=str, keep_default_na=False)
    for line in lines[lines["kind"] == "derived"].itertuples():
        given = read_conditions(str(line.conditions))
        if not SERVED & given.keys():
            derive(str(line.quantity), str(line.subject), traced, **given)
            notes.open.clear()
            notes.steps.clear()
    return set(notes.keys)


def unread(specs: Specs, figures: set[Key]) -> list[Key]:
    """The rows that no figure, no claim, no page and no forecast reads."""
    shown = named(*(ROOT / "notebooks").glob("[0-9]*.ipynb"))
    shown |= set(tomllib.loads((ROOT / "notebooks/_ext/site.toml").read_text(encoding="utf-8"))["figures"])
    told = {name for name, about in specs.named.items() if about.vendor or about.part} | shown
    ledger = (DATA / f"{name}.csv" for name in ("claims", "readings", "proxies"))
    claimed = set(re.findall(r"[\w.-]+", "".join(path.read_text(encoding="utf-8") for path in ledger)))
    model = named(*(PHYSICS / f"{name}.py" for name in ("kernels", "layers", "load", "serving", "sizes")))
    asked = model | {*KERNELS, "training_tokens"}  # the last by `cm384 train`
    return [
        key
        for key in specs.rows
        if key not in figures
        and not key[1].startswith("published_")  # made of measurements.csv and training.csv
        and key[1] not in asked
        and not any(key[1] in words and key[0] in of for words, of in ((shown, told), (claimed, claimed)))
    ]


@pytest.fixture(scope="module")
def figures() -> set[Key]:
    return read_by_figures(SPECS)


def test_every_row_of_specs_is_read(figures: set[Key]) -> None:
    assert len(figures) > 450
    assert unread(SPECS, figures) == []


def test_row_that_nothing_reads_is_found(figures: set[Key], tmp_path: Path) -> None:
    """The width of a stack without the rate of its pins; a rate of pins without stacks."""
    rows = [
        ",".join(columns(Row)),
        "nokia,hbm_pin_rate,,1,Gbit/s/pin,nominal,central,,S,p,",
        "gb200,hbm_stack_width,,1024,pin,nominal,central,,S,p,",
    ]
    (tmp_path / "idle.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    found = unread(load_specs(tmp_path / "idle.csv"), figures)
    assert [key[:2] for key in found] == [("nokia", "hbm_pin_rate"), ("gb200", "hbm_stack_width")]


def test_every_stated_quantity_has_a_row_and_every_word_of_degree_a_claim() -> None:
    stated = {quantity for _, quantity, *_ in SPECS.rows}
    # of hosts no source is read; a stranger's system may state it, and what it adds to
    assert {name for name, kind in SPECS.kinds.items() if kind.kind == "stated"} - stated == {"host_memory"}
    assert load_proxies().keys() <= {claim.quantity for claim in load_claims(specs=SPECS)}


def test_every_kernel_is_a_term_or_says_why_not() -> None:
    assert all(bool(row.term) != bool(row.why_not) for row in load_kernels())


# --- a run agrees with itself --------------------------------------------------------------------


def test_run_whose_figures_disagree_says_so_or_is_refused(tmp_path: Path) -> None:
    """96 requests at 1,943 tokens/s a chip make 49.4 ms (huawei2025cloudmatrix): 2 % are rounding."""
    rows = pd.read_csv(DATA / "measurements.csv", dtype=str, keep_default_na=False)
    row = rows[rows["id"] == "CM384-DECODE-4K-50MS"]
    path = tmp_path / "mine.csv"

    def told(tpot: str, note: str = "") -> str:
        row.assign(tpot=tpot, note=note).to_csv(path, index=False)
        try:
            load_measurements(path)
        except InputError as error:
            return str(error)
        return ""

    assert told("49.4") == told("50.3") == told("48.5") == ""
    expected = "mine.csv line 2, column tpot: '51'; expected 49.4 ms, which batch and throughput make"
    assert told("51").startswith(expected)
    assert told("51", "96 / 1,943 is 49.4 ms; the paper rounds") == ""
    # 128 requests at 2,324.75 and 2,171.6: 55.1 and 58.9 ms, where 50.2 and 55.6 are printed
    disagree = [run.id for run in load_measurements() if "55.1 ms" in run.note or "58.9 ms" in run.note]
    assert disagree == ["DSK-H800-DECODE-PROFILE", "SGL-H100-DECODE-SIMMTP"]
