"""What the parts of the library owe one another: one reader, one trace, one picker, one search."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from strangers import refused, write

from cm384 import derive, explain, load_claims, load_model, load_specs, scorecard, span
from cm384.__main__ import main
from cm384.derive.derivation import HOMES
from cm384.derive.spread import nearest, sobol
from cm384.physics.kernels import eight_bits
from cm384.physics.serving import decode, largest_batch, prefill
from cm384.physics.terms import check_terms
from cm384.show.tables import attempt
from cm384.table.errors import InputError, NotStated
from cm384.table.reading import load_kernels
from cm384.table.records import Deployment, Row
from cm384.table.specs import Specs

SPECS = load_specs()
R1 = load_model("deepseek-r1")
LIB = Path(__file__).parents[1] / "lib" / "cm384"
MEASURED = {"measurement": "CM384-DECODE-4K-50MS"}
CM_DECODE = Deployment("ascend-910c", 160, 320, 96, 4096, matrix_precision="int8", routing="eplb",
                       microbatches=2, draft_tokens=1, tokens_per_step=1.7)  # fmt: skip
CM_PREFILL = Deployment("ascend-910c", 16, 32, 16384, 4096, matrix_precision="int8",
                        microbatches=2)  # fmt: skip

# --- one trace -----------------------------------------------------------------------------------


def test_second_prediction_on_a_traced_table_notes_what_the_first_did() -> None:
    traced, notes = SPECS.traced()
    found = []
    for _ in range(2):
        notes.keys.clear()
        notes.steps.clear()
        derive("predicted_throughput", "ascend-910c", traced, **MEASURED)
        found.append((list(notes.keys), [step.name for step in notes.steps]))
    assert found[0] == found[1]
    assert len(found[0][0]) > 30


def test_terms_of_a_prediction_add_up_to_its_step() -> None:
    """96 requests × 1.7 tokens in the time of the step are the throughput."""
    found = explain("predicted_throughput", "ascend-910c", SPECS, **MEASURED)
    *terms, step, throughput = found.steps
    assert len({term.name for term in terms}) == len(terms) > 10
    assert sum(term.value.to("ms").m for term in terms) == pytest.approx(step.value.to("ms").m)
    assert 96 * 1.7 / step.value.to("s").m == pytest.approx(throughput.value.m)
    assert throughput.read == (step.value,)


def test_constant_of_a_kernel_is_explained_by_the_command_line() -> None:
    asked = ["explain", "gemm_fixed_time", "ascend-910c", "-c", "precision=int8"]
    found = CliRunner().invoke(main, asked)
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout.startswith("GEMM fixed time of Ascend 910C = 5 µs\n")


# --- draws beside arrays -------------------------------------------------------------------------

FOUR = np.array([0.25, 0.5, 0.75, 1.0])


def _batches(scale: Any) -> Deployment:
    return dataclasses.replace(CM_DECODE, batch=96 * scale)


PHASES: dict[str, tuple[Callable[[Specs, Any], Any], Callable[[Any], Deployment]]] = {
    "decode": (lambda table, d: decode(table, R1, d).throughput.m, _batches),
    "prefill": (
        lambda table, d: prefill(table, R1, d).throughput.m,
        lambda scale: dataclasses.replace(CM_PREFILL, batch=16384 * scale),
    ),
    "largest batch": (
        lambda table, d: largest_batch(table, R1, d, tpot=30.0),
        lambda scale: dataclasses.replace(CM_DECODE, context=4096 * scale),
    ),
}


def table_of(drawn: Specs, sample: int) -> Specs:
    """The table of one draw."""
    traced, notes = drawn.traced()
    for phase in (decode, prefill):
        phase(traced, R1, CM_DECODE if phase is decode else CM_PREFILL)
    values = {key: drawn.drawn[key] for key in notes.keys}
    one = {key: value[sample] if np.ndim(value) else value for key, value in values.items()}
    return SPECS.replace(one)


@pytest.mark.parametrize("count", [4, 5])
@pytest.mark.parametrize(("figure", "deployed"), PHASES.values(), ids=PHASES)
def test_draws_and_arrays_are_axes_of_their_own(count: int, figure: Any, deployed: Any) -> None:
    """As many draws as batches, or not: each draw meets each batch."""
    drawn = SPECS.sample(count, seed=1)
    together = figure(drawn, deployed(FOUR))
    assert together.shape == (count, 4)
    alone = [[figure(table_of(drawn, i), deployed(scale)) for scale in FOUR] for i in range(count)]
    assert together == pytest.approx(np.array(alone, dtype=float), rel=1e-12)


@pytest.mark.parametrize("count", [4, 5])
def test_draws_and_limits_are_axes_of_their_own(count: int) -> None:
    limits = np.array([20.0, 30.0, 40.0, 50.0])
    drawn = SPECS.sample(count, seed=1)
    together = largest_batch(drawn, R1, CM_DECODE, tpot=limits)
    assert np.shape(together) == (count, 4)


@pytest.mark.parametrize("phase", [decode, prefill, largest_batch])
def test_fields_that_do_not_broadcast_are_one_line(phase: Any) -> None:
    if phase is largest_batch:  # it does not read the batch
        wrong, told = {"context": np.full(4, 4096), "output": np.full(5, 256)}, "context (4,), "
    else:
        wrong, told = {"batch": np.full(4, 96), "context": np.full(5, 4096)}, "batch (4,), "
    deployment = CM_PREFILL if phase is prefill else CM_DECODE
    message = refused(phase, SPECS, R1, dataclasses.replace(deployment, **wrong))
    assert message.startswith(f"arrays of a deployment do not broadcast: {told}")
    assert message.endswith("(5,)")


def test_verdicts_of_a_table_of_draws_are_refused() -> None:
    """Not an unsupported claim, and not an error of numpy."""
    claims = load_claims(specs=SPECS)
    for names in (("S000-08", "S000-11"), ("S003-06",), ("S003-05",)):
        some = [claim for claim in claims if claim.id in names]
        assert "one value a row" in refused(scorecard, some, SPECS.sample(4, seed=1))


# --- what no source states -----------------------------------------------------------------------


def test_dash_stands_for_what_no_source_states_and_for_no_slip() -> None:
    assert attempt(lambda: derive("peak", "h20", SPECS, precision="fp4")) is None
    assert attempt(lambda: derive("scale_up_latency", "h20", SPECS), "–") == "–"
    for quantity, subject, conditions in (
        ("peak", "h10-sxm", {"precision": "bf16"}),
        ("peek", "h20", {"precision": "bf16"}),
        ("peak", "h20", {"precision": "bf16", "basis": "headlin"}),
        ("ridge_point", "h20", {"precison": "bf16"}),
        ("ridge_point", "h20", {}),
    ):
        with pytest.raises(InputError) as caught:
            attempt(lambda q=quantity, s=subject, c=conditions: derive(q, s, SPECS, **c))
        assert not isinstance(caught.value, NotStated), caught.value


# --- no vendor by name ---------------------------------------------------------------------------


def test_every_module_with_a_derivation_is_imported_for_them() -> None:
    """One that is left out would take its figures with it, without a word."""
    register = re.compile(r"^@derivation\(", re.M)
    found = {path.stem for path in LIB.glob("*/*.py") if register.search(path.read_text(encoding="utf-8"))}
    assert found == {*HOMES}


def test_every_module_is_read_in_one_sitting() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in LIB.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > 450} == {}


def test_library_asks_no_name_for_its_vendor() -> None:
    wrong = re.compile(r"""startswith\(\s*["'](ascend|kunpeng|atlas|cloudmatrix|gb|h\d|hgx)""")
    assert wrong.search('name.startswith("ascend-")')
    found = {
        file.name: wrong.findall(text)
        for file in LIB.rglob("*.py")
        if wrong.search(text := file.read_text(encoding="utf-8"))
    }
    assert found == {}


@pytest.mark.parametrize(("like", "precision"), [("ascend-910c", "int8"), ("h800-sxm", "fp8")])
def test_chip_of_a_made_up_vendor_serves_as_the_one_it_copies(
    tmp_path: Path, like: str, precision: str
) -> None:
    """Which 8 bits it has, its rows say."""
    rows = [
        {name: str(cell) for name, cell in dataclasses.asdict(row).items()} | {"subject": "acme-x1"}
        for key, stated in SPECS.rows.items()
        if key[0] == like and "measurement=" not in key[2]
        for row in stated
    ]
    specs = load_specs(write(tmp_path / "acme.csv", Row, *rows))
    assert eight_bits(specs, "acme-x1") == precision
    asked: list[tuple[str, dict[str, Any]]] = [
        ("served_throughput", {"workload": "decode"}),
        ("served_throughput", {"workload": "prefill"}),
        ("exchange_time", {"op": "combine", "ranks": 64, "tokens": 128}),
    ]
    for quantity, conditions in asked:
        ours, theirs = (derive(quantity, c, specs, **conditions) for c in ("acme-x1", like))
        assert ours.m == pytest.approx(theirs.m, rel=1e-12)
    kernels = [k for k in load_kernels() if k.accelerator == like and "measurement" not in k.given]
    copies = [dataclasses.replace(kernel, accelerator="acme-x1") for kernel in kernels]
    known, found = (check_terms(each, specs) for each in (kernels, copies))
    assert len(known) > 5
    assert found["predicted"].tolist() == pytest.approx(known["predicted"].tolist(), rel=1e-12)


# --- one picker ----------------------------------------------------------------------------------

STATED = {"hbm_bandwidth": ("TB/s", (4, 5, 6)), "hbm_capacity": ("GB", (64, 80, 96))}


def test_spans_draws_and_indices_pick_alike(tmp_path: Path) -> None:
    """Two groups go together, and the rows of none with each other: three pairs of nine."""
    shared = {"subject": "acme-x1", "basis": "nominal", "source": "a page", "locator": "line 1"}
    rows = [
        shared | {"quantity": quantity, "unit": unit, "value": str(value), "group": group,
                  "role": "central" if group == "one" else "alternative"}
        for quantity, (unit, values) in STATED.items()
        for value, group in zip(values, ("one", "two", ""), strict=True)
    ]  # fmt: skip
    specs = load_specs(write(tmp_path / "grouped.csv", Row, *rows))
    met: set[tuple[float, float]] = set()

    def figure(table: Specs) -> Any:
        bandwidth, capacity = (table.get("acme-x1", q) for q in ("hbm_bandwidth", "hbm_capacity"))
        pairs = np.broadcast_arrays(bandwidth.to("TB/s").m, capacity.to("GB").m)
        met.update(zip(*(pair.ravel().tolist() for pair in pairs), strict=True))
        return capacity / bandwidth

    def pairs(call: Callable[[], object]) -> set[tuple[float, float]]:
        met.clear()
        call()
        return set(met)

    spread = pairs(lambda: span(figure, specs))
    assert spread == {(4, 64), (5, 80), (6, 96)}
    assert pairs(lambda: figure(specs.sample(1000, seed=1))) == spread
    assert pairs(lambda: sobol(figure, specs, 64)) == spread
    assert len(span(figure, specs).values) == len(spread)


# --- one search ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(1e-3, 1e3, exclude_min=True, exclude_max=True))
def test_search_finds_a_threshold(threshold: float) -> None:
    found = nearest(lambda factors: factors >= threshold)
    assert found == pytest.approx(threshold, rel=1e-9)


def test_search_takes_the_nearest_of_two_and_none_of_none() -> None:
    assert nearest(lambda x: (x > 0.8) & (x < 1.5)) == pytest.approx(0.8, rel=1e-9)
    assert nearest(lambda x: (x > 0.5) & (x < 1.5)) == pytest.approx(1.5, rel=1e-9)
    assert np.isnan(nearest(lambda x: x > 0))
    assert np.isnan(nearest(lambda x: x > 2e3))
