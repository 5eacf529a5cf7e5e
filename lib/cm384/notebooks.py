"""Notebooks: their parameters, running them, and the site they make.

The parameters cell of a notebook holds typed literals; the next cell hands them to `check`, which
builds the frozen dataclass of that notebook here and refuses a wrong type or an unknown name. The
command line builds the same dataclass first, so that a bad value starts no kernel.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, TypeVar

from cm384 import power, workloads
from cm384.claims import Claim, load_claims
from cm384.deployment import Deployment
from cm384.errors import InputError, unknown
from cm384.markup import linked
from cm384.paths import DATA
from cm384.serving import decode, prefill
from cm384.specs import Specs, load_specs
from cm384.transformer import bytes_per_element, load_model
from cm384.validation import Measurement, load_measurements

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
EXAMPLES = DATA / "examples"

P = TypeVar("P", bound="Parameters")


# --- parameters ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameters:
    """What every notebook takes: a file of specs to add to this project's, or none."""

    specs_file: str

    @property
    def specs(self) -> Specs:
        """The table of specs, with the rows of `specs_file` added."""
        return load_specs(*filter(None, [self.specs_file]))


@dataclass(frozen=True)
class Scorecard(Parameters):
    """Parameters of 00-scorecard."""

    claims_file: str

    def __post_init__(self) -> None:
        load_claims(self.claims_file or None, self.specs)

    @property
    def claims(self) -> list[Claim]:
        """The claims of `claims_file`, or this project's."""
        return load_claims(self.claims_file or None, self.specs)


@dataclass(frozen=True)
class Package(Parameters):
    """Parameters of 01-package: two chips that have a peak at one precision."""

    chip: str
    reference: str
    precision: str

    def __post_init__(self) -> None:
        specs = self.specs
        for name in (self.chip, self.reference):
            if name not in specs.chips:
                raise unknown("chip", name, specs.chips)
            specs.find(name, "peak", precision=self.precision)


@dataclass(frozen=True)
class Supernode(Parameters):
    """Parameters of 02-supernode: two systems whose chips have a peak at one precision."""

    system: str
    baseline: str
    precision: str

    def __post_init__(self) -> None:
        specs = self.specs
        for name in (self.system, self.baseline):
            if name not in specs.systems:
                raise unknown("system", name, specs.systems)
            for chip in specs.parts(name):
                specs.find(chip, "peak", precision=self.precision)


@dataclass(frozen=True)
class TokenCost(Parameters):
    """Parameters of 05-token-cost."""

    model: str
    context: int
    precision: str

    def __post_init__(self) -> None:
        load_model(self.model)
        bytes_per_element(self.precision)
        if self.context < 1:
            raise InputError(f"parameter context: expected at least 1 token, got {self.context}")


@dataclass(frozen=True)
class Prefill(Parameters):
    """Parameters of 06-prefill: a deployment, and published ones to set beside it."""

    model: str
    accelerator: str
    accelerators: int
    expert_parallel: int
    batch: int
    context: int
    precision: str
    routing: str
    microbatches: int
    published: str
    comparators: str

    def __post_init__(self) -> None:
        prefill(self.specs, load_model(self.model), self.deployment)
        _check_measurements([self.published, *self.compared], "prefill", self.specs)

    @property
    def compared(self) -> list[str]:
        """The ids of the published deployments to compare with."""
        return self.comparators.split(";")

    @property
    def deployment(self) -> Deployment:
        """What the parameters describe."""
        return Deployment(
            accelerator=self.accelerator,
            accelerators=self.accelerators,
            expert_parallel=self.expert_parallel,
            batch=self.batch,
            context=self.context,
            matrix_precision=self.precision,
            routing=self.routing,
            microbatches=self.microbatches,
        )


@dataclass(frozen=True)
class Decode(Prefill):
    """Parameters of 07-decode: as in prefill, with drafts and a latency target."""

    output: int
    draft_tokens: int
    tokens_per_step: float
    latency_target: float

    def __post_init__(self) -> None:
        decode(self.specs, load_model(self.model), self.deployment)
        _check_measurements([self.published, *self.compared], "decode", self.specs)
        if not self.latency_target > 0:
            given = self.latency_target
            raise InputError(f"parameter latency_target: expected more than 0 ms, got {given}")

    @property
    def deployment(self) -> Deployment:
        """What the parameters describe."""
        drafts: dict[str, Any] = {
            "output": self.output,
            "draft_tokens": self.draft_tokens,
            "tokens_per_step": self.tokens_per_step,
        }
        return dataclasses.replace(super().deployment, **drafts)


def _check_measurements(ids: Sequence[str], phase: str, specs: Specs) -> None:
    known = [name for name, row in specs.measurements.items() if row.phase == phase]
    for name in ids:
        if name not in known:
            raise unknown(f"{phase} measurement", name, known)


@dataclass(frozen=True)
class ModelCheck(Parameters):
    """Parameters of 10-model-check: a file of measurements, and one whose constants are listed."""

    measurements_file: str
    explained: str

    def __post_init__(self) -> None:
        if self.explained not in self.specs.measurements:
            raise unknown("measurement", self.explained, self.specs.measurements)
        assert self.measurements

    @property
    def measurements(self) -> list[Measurement]:
        """The measurements of `measurements_file`, or this project's."""
        return load_measurements(self.measurements_file or None, self.specs)


@dataclass(frozen=True)
class Fabric(Parameters):
    """Parameters of 03-fabric: two systems whose exchanges are known, and the tokens of a rank."""

    system: str
    baseline: str
    tokens_per_rank: int

    def __post_init__(self) -> None:
        _check_served([self.system, self.baseline], self.specs)
        if self.tokens_per_rank < 1:
            given = self.tokens_per_rank
            raise InputError(f"parameter tokens_per_rank: expected at least 1, got {given}")


@dataclass(frozen=True)
class PowerAndPrice(Parameters):
    """Parameters of 04-power-and-price: two systems whose power and kernels are known."""

    system: str
    baseline: str
    electricity_price: float
    utilisation: float

    def __post_init__(self) -> None:
        specs = self.specs
        _check_served([self.system, self.baseline], specs)
        for name in (self.system, self.baseline):
            power.power_basis(specs, name)
        if not 0 < self.electricity_price < 100:
            given = self.electricity_price
            raise InputError(f"parameter electricity_price: expected USD/kWh above 0, got {given}")
        if not 0 < self.utilisation <= 1:
            given = self.utilisation
            raise InputError(f"parameter utilisation: expected above 0 and at most 1, got {given}")


@dataclass(frozen=True)
class Parity(Parameters):
    """Parameters of 08-h100-parity: two chips, and what they are compared in."""

    chip: str
    reference: str
    workload: str

    def __post_init__(self) -> None:
        specs = self.specs
        for name in (self.chip, self.reference):
            if name not in specs.chips:
                raise unknown("chip", name, specs.chips)
            specs.find(name, "peak", precision="bf16")
            workloads.serve(specs, name, self.workload)


def _check_served(systems: Sequence[str], specs: Specs) -> None:
    """Refuse what is no system, or one whose accelerators have no sourced kernels."""
    for name in systems:
        if name not in specs.systems:
            raise unknown("system", name, specs.systems)
        for workload in workloads.WORKLOADS:
            workloads.serve(specs, specs.parts(name)[0], workload)


@dataclass(frozen=True)
class Uncertainty(Parameters):
    """Parameters of 09-uncertainty: how many draws of the sources, and which."""

    samples: int
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 1_000_000:
            raise InputError(f"parameter samples: expected 1 to 1,000,000, got {self.samples}")
        if self.seed < 0:
            raise InputError(f"parameter seed: expected 0 or more, got {self.seed}")
        assert self.specs


@dataclass(frozen=True)
class OwnClaim(Parameters):
    """Parameters of 11-your-own-claim: somebody's claims and specs, or the worked example."""

    claims_file: str

    def __post_init__(self) -> None:
        assert self.claims

    @property
    def specs(self) -> Specs:
        """The table with the rows of `specs_file`; the worked example brings rows of its own."""
        example = "" if self.claims_file else str(EXAMPLES / "atlas950_specs.csv")
        return load_specs(*filter(None, [example, self.specs_file]))

    @property
    def claims(self) -> list[Claim]:
        """The claims of `claims_file`, or those of the worked example."""
        return load_claims(self.claims_file or EXAMPLES / "atlas950_claims.csv", self.specs)


@dataclass(frozen=True)
class Judged(Scorecard):
    """Parameters of 12-claims-without-arithmetic."""


PARAMETERS: Mapping[str, type[Parameters]] = {
    "00-scorecard": Scorecard,
    "01-package": Package,
    "02-supernode": Supernode,
    "03-fabric": Fabric,
    "04-power-and-price": PowerAndPrice,
    "05-token-cost": TokenCost,
    "06-prefill": Prefill,
    "07-decode": Decode,
    "08-h100-parity": Parity,
    "09-uncertainty": Uncertainty,
    "10-model-check": ModelCheck,
    "11-your-own-claim": OwnClaim,
    "12-claims-without-arithmetic": Judged,
}


def check(cls: type[P], namespace: Mapping[str, Any]) -> P:
    """Build the parameters of a notebook from its variables; refuse a value of the wrong type.

    >>> check(Package, {"specs_file": "", "chip": 910})
    Traceback (most recent call last):
    ...
    cm384.errors.InputError: parameter chip: expected str, got int 910
    """
    values: dict[str, Any] = {}
    for name, kind in typing.get_type_hints(cls).items():
        if name not in namespace:
            raise InputError(f"parameter {name}: missing; expected {kind.__name__}")
        value = namespace[name]
        kinds = (int, float) if kind is float else kind
        if not isinstance(value, kinds) or isinstance(value, bool) is not (kind is bool):
            given = f"{type(value).__name__} {value!r}"
            raise InputError(f"parameter {name}: expected {kind.__name__}, got {given}")
        values[name] = value
    return cls(**values)


def convert(name: str, text: str, kind: type) -> Any:
    """A parameter from the command line as the type its dataclass declares.

    >>> convert("samples", "1e4", int)
    Traceback (most recent call last):
    ...
    cm384.errors.InputError: parameter samples: expected int, got '1e4'
    """
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if kind is bool or ("_" in text and kind is not str):
            raise ValueError
        return kind(text)
    except ValueError:
        raise InputError(f"parameter {name}: expected {kind.__name__}, got {text!r}") from None


# --- one rerun -----------------------------------------------------------------------------------


def find_notebook(name: str) -> Path:
    """The notebook that a name means: its file, its stem, or the first letters of it.

    >>> find_notebook("02").name
    '02-supernode.ipynb'
    """
    found = [path for path in notebooks() if path.stem.startswith(Path(name).stem)]
    if len(found) != 1:
        raise unknown("notebook", name, (path.stem for path in notebooks()))
    return found[0]


def notebooks() -> list[Path]:
    """The notebooks of the checkout, in order; refuses to run outside one."""
    found = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
    if not found:
        raise InputError("no notebooks beside this package: run and report need the checkout")
    return found


def checked(path: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """The values to hand to a notebook, after building its dataclass from them and its defaults."""
    cls = PARAMETERS[path.stem]
    hints = typing.get_type_hints(cls)
    for name in given:
        if name not in hints:
            raise unknown(f"parameter of {path.stem}", name, hints)
    values = {name: convert(name, text, hints[name]) for name, text in given.items()}
    for name, value in values.items():
        if name.endswith("_file") and value:
            values[name] = str(Path(value).resolve())  # a path is relative to the caller's folder
    check(cls, {**defaults(path), **values})
    return values


def defaults(path: Path) -> dict[str, Any]:
    """The values in the parameters cell of a notebook."""
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    tagged = [c.source for c in cells if "parameters" in c.metadata.get("tags", [])]
    namespace: dict[str, Any] = {}
    exec("\n".join(tagged), namespace)  # typed literals only: a test holds them to that
    return namespace


def run(path: Path, values: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """Run a notebook with other parameters; its `.ipynb` and an offline `.html` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    notebook, page = folder / path.name, folder / f"{path.stem}.html"
    with replacing(notebook) as temporary:
        execute(path, temporary, values)
        content = to_html(temporary)
    with replacing(page) as temporary:
        temporary.write_text(content, encoding="utf-8")
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


def to_html(notebook: Path) -> str:
    """One page that opens without the network: MathJax is inside it."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="", embed_images=True)
    body, _ = exporter.from_filename(str(notebook))
    script = mathjax().read_text(encoding="utf-8").replace("</script", "<\\/script")
    return str(body).replace("</body>", f"<script>{script}</script></body>")


def mathjax() -> Path:
    """The one file of MathJax that pages need."""
    package = distribution("sphinx-mathjax-offline")
    return Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax/tex-svg.js")))


def datatables() -> str:
    """DataTables of the package itables as a plain script: no page loads a module from a file."""
    bundle = Path(str(distribution("itables").locate_file("itables/html/dt_bundle.js")))
    body, exports, licences = re.split(r"export\{(.*)\};", bundle.read_text(encoding="utf-8"))
    (name,) = re.findall(r"([\w$]+) as default", exports)
    return f"(function () {{{body}window.DataTable = {name};}})();{licences}"


# --- the collection ------------------------------------------------------------------------------


def report(progress: Callable[[Any, int], Any]) -> Path:
    """Run every notebook in parallel and build the site from them; its first page."""
    from cm384 import calculator, pages  # stand above: they read what the notebooks show

    source = BUILD / "src"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(NOTEBOOKS / "_static", source / "_static")
    for folder in ("mathjax", "data"):
        (source / "_static" / folder).mkdir()
    shutil.copy(mathjax(), source / "_static" / "mathjax")
    (source / "_static" / "datatables.js").write_text(datatables(), encoding="utf-8")
    for path in [*NOTEBOOKS.glob("*.py"), DATA / "sources.bib"]:
        shutil.copy(path, source)
    for path in NOTEBOOKS.glob("*.md"):
        text = linked(path.read_text(encoding="utf-8"))
        (source / path.name).write_text(text, encoding="utf-8")
    pages.write(source)
    calculator.write(source)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [pool.submit(stage, path, source / path.name) for path in notebooks()]
        for job in progress(as_completed(jobs), len(jobs)):
            job.result()
    return build_site(source, BUILD / "site")


def stage(path: Path, out: Path) -> None:
    """Run one notebook and prepare it for the site.

    Code is folded, every picture has its alternative text and its numbers as a CSV file, and every
    source key leads to the bibliography, every claim to its working.
    """
    import nbformat

    execute(path, out, {})
    notebook = nbformat.read(out, as_version=4)
    cells: list[Any] = []
    pictures = 0
    for cell in joined(notebook.cells):
        cells.append(cell)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                shows, _, numbers = data["text/plain"].partition("\n")
                cell.metadata["mystnb"] = {"image": {"alt": shows}}
                file = Path("_static/data", f"{path.stem}-{pictures}.csv")
                (out.parent / file).write_text(numbers, encoding="utf-8")
                link = f'<a class="numbers" href="{file}" download>numbers of this figure (CSV)</a>'
                cells.append(nbformat.v4.new_markdown_cell(link))
            if "text/html" in data:
                data["text/html"] = linked(data["text/html"])
    notebook.cells = cells
    nbformat.write(notebook, out)


def joined(cells: Iterable[Any]) -> list[Any]:
    """The cells with code folded, each silent one a part of the next, so that one fold holds both.

    A reader wants the answer first and the code on request.
    """
    found: list[Any] = []
    for cell in cells:
        last = found[-1] if found else None
        if cell.cell_type == "code" and last and last.cell_type == "code" and not last.outputs:
            cell.source = f"{last.source}\n\n{cell.source}"
            found.pop()
        if cell.cell_type == "code":
            cell.metadata["tags"] = ["hide-input"]
        found.append(cell)
    return found


def build_site(source: Path, out: Path) -> Path:
    """Render the staged pages with Sphinx, every warning an error."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(out, ignore_errors=True)
    if build_main(["-q", "-W", "-n", "--keep-going", "-b", "html", str(source), str(out)]):
        raise InputError("the site was not built: see the messages of Sphinx above")
    return out / "index.html"


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


METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
