"""Whatever is given: the right answer, or one line. A test run tries 6,000 cases, `make fuzz` 100,000.

An answer is right where it can be told: a file with nothing but harmless changes gives what it gave without
them, what certainly cannot be is refused, and whatever is accepted gives finite figures, without a warning.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cm384
from cm384 import notebooks
from cm384.ledger.claims import ANSWERS, load_claims
from cm384.physics.check import validate
from cm384.physics.transformer import prefill_flop
from cm384.table import files, units
from cm384.table.errors import CONTROL, DATA, InputError
from cm384.table.records import NUMBERS, read_conditions
from cm384.table.specs import load_measurements, load_specs

CASES = int(os.environ.get("FUZZ", "6000")) // 6  # of each kind
FUZZ = settings(
    max_examples=CASES, derandomize="FUZZ" not in os.environ, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
COUNTS: Counter[tuple[str, str]] = Counter()
SPECS = load_specs()


@pytest.fixture(autouse=True, scope="module")
def counted() -> Iterator[None]:
    """Say what came of the cases, where somebody asked for many."""
    yield
    if "FUZZ" in os.environ:
        lines = (f"{kind:13} {what:9} {n:7}" for (kind, what), n in sorted(COUNTS.items()))
        print("", *lines, sep="\n", file=sys.stderr)  # which a worker of many passes on


def outcome(kind: str, call: Callable[[], Any]) -> Any:
    """What a call gives; None where it is refused in one line. Anything else fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = call()
    except InputError as error:
        found, told = None, str(error)
    else:
        COUNTS[kind, "answered"] += 1
        return found
    assert 0 < len(told) < 1000
    assert not CONTROL.search(told), told
    COUNTS[kind, "refused"] += 1
    return None


# --- what is given --------------------------------------------------------------------------------

# What no cell, field or argument can be. It is drawn often, since a fault is rare among random letters.
ODD = (
    '-', '0', '-1', '-0.0', 'nan', 'inf', '1e300', '5e-324', '1e19', '\uff11\uff12', '1_000',
    '1,000', '\xbd', '0x10', '=1+1', '@x', 'a;b', 'a=b', 'a=b;c=d', ';', '=', '|', '\xe9', "'", '"',
    'GB;', 'GB**9', 'GB/0', 'None', 'true', '<b>', '$x$', '$$', '\\(x\\)', '%s', '{}', '../x', '/',
    '.', '~', '2-1', '1-2-3', 'half', '\U0001f600', '', ' ', '\n', 'a\nb', '\x1b[31m', '\x00',
    '\u202e', '10 to 5', "x" * 300, "x" * 140_000, "9" * 400,
)  # fmt: skip
NAMES = (
    'h20', '910C', 'H100', 'ascend-910c', 'cloudmatrix-384', 'gb200-nvl72', 'deepseek-r1', 'fp8',
    'bf16', 'int4', 'peak', 'hbm_capacity', 'hbm_bandwidth', 'power', 'price', 'efficient',
    'headline', 'nominal', 'precision=bf16', 'TFLOP/s', 'GB', 'count', 'decode', 'balanced', '1.5',
    '2', '64', '4096',
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(ODD),
    st.sampled_from(NAMES),
    st.text(max_size=6),
    st.integers().map(str),
    st.floats().map(repr),
)
ARRAYS = [np.array([]), np.array([1.0, 2.0]), np.array("x"), np.array([[1, 2]]), units.Q(1, "GB")]
ATOMS = [st.none(), st.booleans(), st.integers(), st.floats(), st.integers(-2, 300), TEXTS]
MORE = [st.just(10**400), st.just(1j), st.just(b"x"), st.lists(st.integers(), max_size=2), st.just({})]
VALUES = st.one_of(*ATOMS, *MORE, st.sampled_from(ARRAYS))
# Numbers that are meant, so that what is accepted is met too.
PLAIN = st.one_of(st.integers(1, 4096), st.floats(0.1, 1e4), st.sampled_from([1, 2, 8, 32, 64, 128, 384]))


def sample(path: Path, like: Callable[[dict[str, str]], bool]) -> list[dict[str, str]]:
    """Rows of a table of this project, to begin with."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if like(row)][::7]


GOOD = {
    "specs": sample(DATA / "specs.csv", lambda row: row["role"] == "central"),
    "claims": sample(DATA / "claims.csv", lambda row: not row["same_as"] and row["comparator"][:2] != "S0"),
    "measurements": sample(DATA / "measurements.csv", lambda row: not row["concurrency"]),
}
# Cells that certainly cannot be, whatever else a row says.
IMPOSSIBLE = {
    "specs": [("value", text) for text in ("nan", "１２", "1e300", "-1", "")] + [("unit", "GB;")],
    "claims": [("form", "x"), ("statement", ""), ("id", ""), ("unit", "GB;"), ("judged", "true")],
    "measurements": [
        ("accelerator", "x"),
        ("phase", ""),
        ("batch", "0"),
        ("throughput", "-1"),
        ("tpot", "nan"),
    ],
}
HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda raw: raw,
    "mark of byte order": lambda raw: b"\xef\xbb\xbf" + raw,
    "carriage returns": lambda raw: raw.replace(b"\n", b"\r\n"),
    "blank lines": lambda raw: raw.replace(b"\n", b"\n\n"),
}
HARMFUL: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda raw: b"",
    "header alone": lambda raw: raw.split(b"\n")[0],
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "a column twice": lambda raw: b"id,id,subject,subject," + raw,
    "a column that is unknown": lambda raw: b"colour," + raw,
    "zeros": lambda raw: raw.replace(b",", b"\0", 1),
}


@st.composite
def tables(draw: st.DrawFn, kind: str) -> tuple[bytes, bool | None, list[dict[str, str]]]:
    """A file, whether it must be accepted or refused (None: either), and its rows as they began."""
    rows = draw(st.lists(st.sampled_from(GOOD[kind]), min_size=1, max_size=2, unique_by=id))
    began, must = [dict(row) for row in rows], True
    edits = draw(st.lists(st.tuples(st.sampled_from([*rows[0]]), TEXTS), max_size=2))
    impossible = draw(st.sampled_from(["", "", "cell", "file"]))
    changed = [dict(row) for row in rows]
    for column, cell in edits:
        draw(st.sampled_from(changed))[column] = cell
        must = None
    if impossible == "cell":
        column, cell = draw(st.sampled_from(IMPOSSIBLE[kind]))
        changed[0][column], must = cell, False
    text = io.StringIO()
    writer = csv.DictWriter(text, [*draw(st.permutations([*rows[0]]))], lineterminator="\n")
    writer.writeheader()
    writer.writerows(changed)
    raw = draw(st.sampled_from([*HARMLESS.values()]))(text.getvalue().encode(errors="surrogatepass"))
    if impossible == "file":
        raw, must = draw(st.sampled_from([*HARMFUL.values()]))(raw), False
    elif draw(st.booleans()) and edits:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=3)) + raw[at + draw(st.integers(0, 9)) :]
    return raw, must, began


def tried(
    kind: str, given: tuple[bytes, bool | None, list[dict[str, str]]], answer: Callable[[Path], Any]
) -> Any:
    """What a file gives, which it must or must not where that is known."""
    raw, must, _ = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(raw)
        found = outcome(kind, lambda: answer(path))
    assert must is None or must == (found is not None)
    return found


# --- the six kinds --------------------------------------------------------------------------------


@FUZZ
@given(tables("specs"))
def test_specs(given: Any) -> None:
    """What a file states is what the table then gives."""

    def answer(path: Path) -> cm384.Specs:
        return load_specs(path)

    found = tried("specs", given, answer)
    for row in given[2] if found and given[1] else []:
        key = row["subject"], row["quantity"], row["conditions"], row["basis"]
        conditions = dict(pair.split("=", 1) for pair in row["conditions"].split(";") if pair)
        told = found.get(*key[:2], key[3], **conditions)
        assert told.m == float(row["value"])
    if found:
        changed = [rows[0] for key, rows in found.rows.items() if rows != SPECS.rows.get(key)]
        assert all(math.isfinite(row.value) and row.value >= 0 for row in changed)


@FUZZ
@given(tables("claims"))
def test_claims(given: Any) -> None:
    """Every claim that is accepted gets an answer, and one that was not touched that of the ledger."""
    found = tried("claims", given, lambda path: cm384.scorecard(load_claims(path, SPECS), SPECS))
    if found is not None:
        assert {*found["answer"]} <= {*ANSWERS}
        assert not np.isinf(found[["derived", "ratio"]].to_numpy(dtype=float)).any()


@FUZZ
@given(tables("measurements"))
def test_measurements(given: Any) -> None:
    """Every row has a finite prediction, or says why it has none."""
    found = tried("measurements", given, lambda path: validate(load_measurements(path, SPECS), SPECS))
    if found is not None:
        assert ((np.isfinite(found["predicted"]) & (found["predicted"] > 0)) | (found["reason"] != "")).all()


CONFIGS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((DATA / "models").glob("*.json"))
}
JSON = st.recursive(
    st.one_of(*ATOMS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def configs(draw: st.DrawFn) -> tuple[str, str, bool]:
    """A `config.json`, the model that it began as, and whether it still is that one."""
    name = draw(st.sampled_from([*CONFIGS]))
    fields = dict(CONFIGS[name])
    for field, value in draw(st.lists(st.tuples(st.sampled_from([*fields]), JSON), max_size=2)):
        fields[field] = value
    for field in draw(st.lists(st.sampled_from([*fields]), max_size=1)):
        fields.pop(field, None)
    same = json.dumps(fields) == json.dumps(CONFIGS[name])  # true is no 1
    if draw(st.booleans()):
        fields[draw(st.sampled_from(["transformers_version", "_name_or_path", "use_cache"]))] = draw(
            st.text()
        )
    text = json.dumps(fields, indent=draw(st.sampled_from([None, 1])))
    if draw(st.integers(0, 9)) == 0:
        at, same = draw(st.integers(0, len(text))), False
        text = text[:at] + draw(TEXTS) + text[at + draw(st.integers(0, 9)) :]
    return text, name, same


@FUZZ
@given(configs())
def test_config(given: tuple[str, str, bool]) -> None:
    """A model has parameters and takes operations; one that was not changed those that it had."""
    text, name, same = given

    def answer() -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "config.json"
            path.write_bytes(text.encode(errors="surrogatepass"))
            model = cm384.load_model(path)
            return float(model.parameters), float(sum(prefill_flop(model, 4096.0).values()))

    found = outcome("config", answer)
    if found:
        assert all(math.isfinite(x) and x > 0 for x in found)
    if same:
        assert found
        assert found[0] == cm384.load_model(name).parameters


OWN = {path.stem: notebooks.defaults(path) for path in notebooks.notebooks()}


@FUZZ
@given(st.data())
def test_parameters(data: st.DataObject) -> None:
    """A value that is accepted has the type of the default and is of ordinary size."""
    stem = data.draw(st.sampled_from([*OWN]))
    if data.draw(st.integers(0, 3)):  # a word as it is, or another number than the default
        name = data.draw(st.sampled_from([*OWN[stem]]))
        own = OWN[stem][name]
        given = {name: own if isinstance(own, str) else str(type(own)(own * data.draw(st.floats(0.4, 2))))}
    else:
        value = st.one_of(
            TEXTS, PLAIN.map(str), st.sampled_from([str(x) for own in OWN.values() for x in own.values()])
        )
        given = data.draw(
            st.dictionaries(st.sampled_from([*OWN[stem], "nothing"]), value, min_size=1, max_size=2)
        )
    found = outcome("parameters", lambda: notebooks.values_of(notebooks.find_notebook(stem), given))
    for name, told in (found or {}).items():
        assert type(told) is type(OWN[stem][name])
        assert isinstance(told, str) or files.is_ordinary(told)


FIELDS: dict[str, Any] = {
    "accelerator": "h800-sxm", "accelerators": 128, "expert_parallel": 128, "batch": 32, "context": 4096,
}  # fmt: skip
QUANTITIES, STATED = sorted(SPECS.kinds), [*SPECS.rows]


@FUZZ
@given(st.data())
def test_python(data: st.DataObject) -> None:
    """Figures and predictions are finite whatever is asked from Python."""
    names = st.one_of(st.sampled_from(NAMES), st.sampled_from(QUANTITIES), VALUES)
    which = data.draw(st.sampled_from(["derive", "explain", "ratio", "model", "specs", "decode", "prefill"]))
    if which in ("decode", "prefill"):
        field = st.sampled_from(
            [*NUMBERS, "accelerator", "routing", "matrix_precision", "kv_precision", "drafter"]
        )
        given = {"batch": data.draw(st.floats(1, 64)), "context": data.draw(st.integers(512, 8192))}
        given |= data.draw(st.dictionaries(field, st.one_of(PLAIN, VALUES), max_size=1))
        run = cm384.decode if which == "decode" else cm384.prefill
        model = cm384.load_model(data.draw(st.sampled_from(["deepseek-r1", "llama-3.1-70b"])))
        call = lambda: run(SPECS, model, cm384.Deployment(**FIELDS | given)).throughput.m  # noqa: E731
    elif which in ("model", "specs"):
        load: Any = cm384.load_model if which == "model" else load_specs
        value = data.draw(st.one_of(st.sampled_from([*CONFIGS]), VALUES) if which == "model" else VALUES)
        call = lambda: bool(load(value))  # noqa: E731
    else:
        subject, quantity, conditions, basis = data.draw(st.sampled_from(STATED))
        given: dict[str, Any] = {**read_conditions(conditions), "basis": basis}
        change = data.draw(st.sampled_from(["nothing", "nothing", "condition", "subject", "quantity", "all"]))
        if change in ("condition", "all"):
            given[data.draw(st.sampled_from([*given, "precision", "x"]))] = data.draw(names)
        if change in ("subject", "all"):
            subject = data.draw(st.one_of(st.sampled_from([*SPECS.chips, *SPECS.systems]), names))
        if change in ("quantity", "all"):
            quantity = data.draw(st.one_of(st.sampled_from(QUANTITIES), names))
        told: dict[str, Callable[[], Any]] = {
            "derive": lambda: cm384.derive(quantity, subject, SPECS, **given).m,
            "explain": lambda: cm384.explain(quantity, subject, SPECS, **given).value.m,
            "ratio": lambda: cm384.ratio(quantity, subject, "h100-sxm", SPECS, **given).m,
        }
        call = told[which]
    found = outcome("python", call)
    assert found is None or np.all(np.isfinite(found))


def test_nothing_is_refused_for_want_of_a_case() -> None:
    """The strategies reach both ends: answers and refusals of each kind that ran."""
    kinds = {kind for kind, _ in COUNTS}
    assert all(COUNTS[kind, what] for kind in kinds for what in ("answered", "refused"))
