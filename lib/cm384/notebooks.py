"""Notebooks of the checkout: their parameters, running them, re-executing them in place.

A notebook's own cell is the contract of its parameters: typed literals, each with its meaning.
What a name means it means in every notebook, so one table here says which values it takes.
"""

from __future__ import annotations

import ast
import dataclasses
import os
import shutil
import signal
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cm384.derive.catalogue import catalogue
from cm384.ledger.claims import load_claims
from cm384.ledger.readings import load_listed, load_proxies
from cm384.ledger.verdicts import scorecard
from cm384.physics import at_work, estimate, hardware, served, serving, training
from cm384.physics.check import errors_by_kind
from cm384.physics.models import find_config, load_model, there
from cm384.rerun import announce, to_html
from cm384.show.tables import as_csv
from cm384.table import files, reading
from cm384.table.documents import load_notes, load_sources
from cm384.table.errors import InputError, check_known, meant, unknown
from cm384.table.records import MATRIX_PRECISIONS, ROUTINGS, Deployment
from cm384.table.specs import Specs, load_measurements, load_specs, load_third_party, own_specs
from cm384.table.speeds import load_speeds

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

# --- parameters ----------------------------------------------------------------------------------


class Check(NamedTuple):
    """What a parameter takes, in words, and the check of a value, which gives the one that is meant."""

    takes: str
    value: Callable[[str, Any, Specs], Any]


def within(holds: Callable[[Any], bool], expected: str) -> Check:
    """The check of a number; `expected` says in words what it must be."""

    def value(name: str, given: Any, _: Specs) -> Any:
        if not holds(given):
            raise InputError(f"parameter {name}: expected {expected}, got {given}")
        return given

    return Check(expected, value)


def known(kind: str) -> Check:
    """The check of one or more names of a kind that the table lists, `;` between them."""

    def value(_: str, given: Any, specs: Specs) -> str:
        names = list(getattr(specs, f"{kind}s"))
        return ";".join(meant(kind, name, names) for name in given.split(";"))

    return Check(f"a {kind}" + f" of `cm384 list {kind}s`" * (kind != "measurement"), value)


def one_of(names: tuple[str, ...]) -> Check:
    """The check of a word of a closed list."""
    return Check(", ".join(names), lambda name, given, _: meant(name, given, names))


def read_by(load: Callable[..., object], takes: str) -> Check:
    """The check of what a file holds, or a name stands for, by reading it; an empty one is none."""

    def value(_: str, given: Any, specs: Specs) -> Any:
        if given:
            load(given, specs)
        return given

    return Check(takes, value)


def _run(_: str, given: Any, specs: Specs) -> Any:
    """A training run, or none."""
    return meant("run", given, specs.runs) if given else given


TYPES: Mapping[str, type] = {
    name: kind
    for kind, names in {
        str: "system baseline chip reference accelerator published comparators explained workload "
        "precision model routing run against claims_file measurements_file specs_file",
        int: "accelerators expert_parallel batch context microbatches output draft_tokens "
        "tokens_per_rank samples seed sequence",
        float: "utilisation electricity_price usd_per_hour latency_target tokens_per_step mfu tokens",
    }.items()
    for name in names.split()
}
# What a parameter takes, whatever the notebook.
MEANS: Mapping[str, Check] = {
    **dict.fromkeys(("system", "baseline"), known("system")),
    **dict.fromkeys(("chip", "reference", "accelerator"), known("chip")),
    **dict.fromkeys(("published", "comparators", "explained"), known("measurement")),
    "workload": read_by(lambda given, specs: served.work(specs, given), "prefill, decode or a measurement"),
    "precision": one_of(MATRIX_PRECISIONS),
    "routing": one_of(ROUTINGS),
    "model": read_by(lambda given, _: load_model(given), "a model, or the path of a config.json"),
    **dict.fromkeys(("run", "against"), Check("a run of `data/training.csv`, or nothing", _run)),
    "mfu": within(lambda x: 0 <= x <= 1, "a share of 1, or 0 for that of the run"),
    "tokens": within(lambda x: x > 0, "more than 0"),
    "context": within(lambda x: x >= 1, "at least 1 token"),
    **dict.fromkeys(("tokens_per_rank", "sequence"), within(lambda x: x >= 1, "at least 1")),
    "samples": within(lambda x: 1 <= x <= 1_000_000, "1 to 1,000,000"),
    "seed": within(lambda x: x >= 0, "0 or more"),
    "utilisation": within(lambda x: 0 < x <= 1, "above 0 and at most 1"),
    "electricity_price": within(lambda x: 0 < x < 100, "USD/kWh above 0"),
    "usd_per_hour": within(lambda x: 0 < x < 10_000, "USD/hour above 0"),
    "latency_target": within(lambda x: x > 0, "more than 0 ms"),
    "claims_file": read_by(load_claims, "a CSV file of claims"),
    "measurements_file": read_by(load_measurements, "a CSV file of measurements"),
    "specs_file": Check("a CSV file of specs", lambda name, given, specs: given),
}


def takes(name: str) -> str:
    """What a parameter takes, in words.

    >>> takes("precision"), takes("batch")
    ('bf16, fp8, int8, fp4, w4a8, w4a16', 'a whole number')
    """
    kinds = {str: "text", int: "a whole number", float: "a number"}
    return MEANS[name].takes if name in MEANS else kinds[TYPES[name]]


def _check_peaks(specs: Specs, p: types.SimpleNamespace) -> None:
    names = [getattr(p, n) for n in ("chip", "reference", "system", "baseline") if hasattr(p, n)]
    for name in names:
        for chip in specs.parts(name) or [name]:
            specs.find(chip, "peak", precision=p.precision)


def _check_served(specs: Specs, p: types.SimpleNamespace) -> None:
    for system in (p.system, p.baseline):
        for workload in specs.workloads:
            served.serve(specs, specs.parts(system)[0], workload)


def _check_power(specs: Specs, p: types.SimpleNamespace) -> None:
    for system in (p.system, p.baseline):
        hardware.power_basis(specs, system)


def _check_parity(specs: Specs, p: types.SimpleNamespace) -> None:
    for chip in (p.chip, p.reference):
        specs.find(chip, "peak", precision="bf16")
        served.serve(specs, chip, p.workload)


def _check_deployment(specs: Specs, p: types.SimpleNamespace) -> None:
    phase = "decode" if hasattr(p, "draft_tokens") else "prefill"
    run, model = (serving.decode if phase == "decode" else serving.prefill), load_model(p.model)
    p.estimated = ""
    if estimate.lacks_kernels(specs, p.accelerator, model):
        p.specs, found = estimate.by_median(
            specs, p.accelerator, model, lambda table: run(table, model, deployment_of(p)).throughput.m
        )
        p.estimated = f"no error known, as the kernels are {found}"
    else:
        run(specs, model, deployment_of(p))
    rows = [name for name, row in specs.measurements.items() if row.phase == phase]
    for name in (p.published, *p.comparators.split(";")):
        check_known(f"{phase} measurement", name, rows)


def _check_trained(specs: Specs, p: types.SimpleNamespace) -> None:
    for chip, run, mfu in ((p.chip, p.run, p.mfu or None), (p.reference, getattr(p, "against", ""), None)):
        training.forecast(specs, p.model, chip, tokens=1.0, run=run, precision=p.precision, mfu=mfu)


# What some parameters of one notebook must be together.
TOGETHER: tuple[tuple[str, Callable[[Specs, types.SimpleNamespace], None]], ...] = (
    ("chip reference precision", _check_peaks),
    ("system baseline precision", _check_peaks),
    ("system baseline tokens_per_rank", _check_served),
    ("system baseline electricity_price", _check_served),
    ("system baseline electricity_price", _check_power),
    ("chip reference workload", _check_parity),
    ("model accelerator batch published", _check_deployment),
    ("model chip reference precision run mfu", _check_trained),
)


def deployment_of(p: types.SimpleNamespace) -> Deployment:
    """The deployment that the parameters of a notebook describe; `precision` is of the matrices."""
    fields = [name for name in files.columns(Deployment) if hasattr(p, name)]
    return Deployment(**{name: getattr(p, name) for name in fields}, matrix_precision=p.precision)


def checked(**given: Any) -> types.SimpleNamespace:
    """The parameters of a notebook, each checked by what its name means; `specs` is the table.

    `specs_file` names a file of rows to add to the table. Of a deployment on a chip without kernels
    `specs` has an estimate of them, and `estimated` says so.

    >>> checked(system="cloudmatrix-38", specs_file="")
    Traceback (most recent call last):
    ...
    cm384.table.errors.InputError: unknown system 'cloudmatrix-38'; did you mean 'cloudmatrix-384'?
    """
    for name, value in given.items():
        check_known("parameter", name, TYPES)
        kind = TYPES[name]
        if isinstance(value, bool) or not isinstance(value, int | float if kind is float else kind):
            told = f"{type(value).__name__} {value!r}"
            raise InputError(f"parameter {name}: expected {kind.__name__}, got {told}")
        if isinstance(value, int | float) and value == value and not files.is_ordinary(value):
            raise InputError(f"parameter {name}: expected a number of ordinary size, got {value}")
    specs = load_specs(*filter(None, [given.get("specs_file", "")]))
    given = {name: MEANS[name].value(name, value, specs) if name in MEANS else value
             for name, value in given.items()}  # fmt: skip
    if model := given.get("model"):  # that of a path is known to the table too
        specs = dataclasses.replace(specs, models={**specs.models, model: find_config(model)})
    found = types.SimpleNamespace(**given, specs=specs)
    for names, check in TOGETHER:
        if set(names.split()) <= given.keys():
            check(specs, found)
    return found


def defaults(path: Path) -> dict[str, Any]:
    """The parameters of a notebook with their defaults, as its own cell states them.

    >>> defaults(find_notebook("02"))["precision"]
    'bf16'
    """
    from papermill import inspect_notebook

    declared = inspect_notebook(str(path))
    return {name: ast.literal_eval(found["default"]) for name, found in declared.items()}


def values_of(path: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """The values to hand to a notebook, checked with its defaults before a kernel starts."""
    own = defaults(path)
    for name in given:
        if name not in own:
            every = "; ".join(f"{each}: {takes(each)}" for each in own)
            raise InputError(f"{unknown(f'parameter of {path.stem}', name, own)} It takes {every}")
    values = {name: convert(name, text, type(own[name])) for name, text in given.items()}
    for name, value in values.items():
        if value and (name.endswith("_file") or (name == "model" and there(Path(value)))):
            values[name] = str(Path(value).resolve())  # a path is relative to the caller's folder
    checked(**{**own, **values})
    return values


def convert(name: str, text: str, kind: type) -> Any:
    """A parameter from the command line as the type of its default.

    >>> convert("samples", "1e4", int)
    Traceback (most recent call last):
    ...
    cm384.table.errors.InputError: parameter samples: expected int, got '1e4'
    """
    try:
        if "\0" in text or (kind is not str and ("_" in text or not text.isascii())):
            raise ValueError
        return kind(text)
    except ValueError:
        raise InputError(f"parameter {name}: expected {kind.__name__}, got {text!r}") from None


# --- running -------------------------------------------------------------------------------------


def notebooks() -> list[Path]:
    """The notebooks of the checkout, in order; refuses to run outside one."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
    if not found or not (ROOT / "lib" / "pyproject.toml").is_file():
        raise InputError("no notebooks beside this package: run and report need the checkout")
    return found


def find_notebook(name: str) -> Path:
    """The notebook that a name means: its path, its stem, its number or a word of it.

    A path to another file is refused, so that what runs is what was named.

    >>> find_notebook("02").name
    '02-supernode.ipynb'
    """
    paths = {path.stem: path for path in notebooks()}
    path = Path(name)
    if path.name != name or (name and path.exists()):
        if path.resolve() not in paths.values():
            raise InputError(f"{name}: not a notebook of this checkout")
        return path.resolve()
    return paths[meant("notebook", name.removesuffix(".ipynb"), paths)]


def run(path: Path, values: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Run a notebook with other parameters; its `.ipynb` and an offline `.html` in `folder`.

    Both are of one run, also where several end at once.
    """
    from cm384.workshop import alone, ended_by

    folder.mkdir(parents=True, exist_ok=True)
    notebook, page = folder / path.name, folder / f"{path.stem}.html"
    with (
        ended_by(signal.SIGTERM, signal.SIGHUP),
        ExitStack() as whole,
        replacing(page) as as_page,
        replacing(notebook) as as_notebook,
    ):
        execute(path, as_notebook, values)
        title = announce(as_notebook, path.stem, values, defaults(path))
        as_page.write_text(to_html(as_notebook, title), encoding="utf-8")
        whole.enter_context(alone(folder))
    return notebook, page


def execute(path: Path, out: Path, values: Mapping[str, Any]) -> None:
    """Run a notebook through papermill; a cell that refuses its input is our one-line error."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    try:
        papermill.execute_notebook(
            str(path),
            str(out),
            dict(values),
            kernel_name="python3",
            cwd=str(NOTEBOOKS),
            progress_bar=False,
            log_output=False,
            request_save_on_cell_execute=False,  # after each cell it would check and write all again
            extra_arguments=["--log-level=50"],  # the remarks of a kernel are not for the user
        )
    except PapermillExecutionError as error:
        raise InputError(f"{path.stem}: {error.ename}: {error.evalue}") from None


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` that takes its name when all went well, and goes if not."""
    handle, name = tempfile.mkstemp(suffix=target.suffix, prefix=".", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def refresh(path: Path) -> None:
    """Re-execute a notebook in place, without anything in it that depends on the run."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=50"],
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)


def check_tables() -> None:
    """Check every packaged table, also those that have passed as they stand."""
    files.CHECKED.unlink(missing_ok=True)
    files.as_checked.cache_clear()
    for read in (reading.read_kinds, reading.load_subjects, reading.read_workloads, reading.load_kernels,
                 load_speeds, load_sources, load_notes, own_specs, load_measurements,
                 load_third_party, load_listed, load_proxies, load_claims):  # fmt: skip
        getattr(read, "__wrapped__", read)()  # not what an earlier call remembers


def write_derived() -> None:
    """Write what follows from the data: which tables passed, the catalogue of figures, the scorecard."""
    check_tables()
    specs = load_specs()
    found = {
        "checked.csv": f"file,sha256\n{files.digests()}",
        "answer.csv": as_csv(at_work.tables(specs, "cloudmatrix-384")),
        "errors.csv": as_csv(errors_by_kind([*specs.measurements.values(), *load_third_party()], specs)),
        "figures.csv": as_csv(catalogue(specs)),
        "scorecard.csv": as_csv(scorecard(load_claims(specs=specs), specs)),
    }
    for name, text in found.items():
        with replacing(ROOT / "data" / "derived" / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


# --- the site ------------------------------------------------------------------------------------


def report(progress: Callable[[Any, int], Any]) -> Path:
    """Run every notebook in parallel and build the site from them; its first page.

    All is made in a folder of its own beside the site, which it replaces when it is whole.
    """
    from cm384.workshop import workers, workshop

    paths = notebooks()
    with workshop(BUILD) as folder:
        source, site = folder / "src", folder / "site"
        skipped = shutil.ignore_patterns("*.ipynb", ".*", "_*cache*")
        shutil.copytree(NOTEBOOKS, source, ignore=skipped)
        with chdir(NOTEBOOKS), workers(folder) as pool:  # papermill changes to it for each and back
            jobs = [pool.submit(execute, path, source / path.name, {}) for path in paths]
            for job in progress(as_completed(jobs), len(jobs)):
                job.result()
        render(source, site)
        if (BUILD / "site").exists():
            (BUILD / "site").rename(folder / "old")
        site.rename(BUILD / "site")
    return BUILD / "site" / "index.html"


def render(source: Path, site: Path, jobs: str = "auto") -> None:
    """Render sources with Sphinx and the extension of theirs, every warning an error; a job a core."""
    from sphinx.cmd.build import build_main

    doctrees = site.with_name("doctrees")
    if build_main(["-q", "-W", "-n", "-j", jobs, "-d", str(doctrees), "-b", "html", str(source), str(site)]):
        raise InputError("the site was not built: see the messages of Sphinx above")
