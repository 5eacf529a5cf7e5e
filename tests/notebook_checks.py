"""What every committed notebook must be, and what nbval does not see.

Each check takes the path of a notebook and returns what is wrong with it, one line each. nbval runs
the cells again and compares; a notebook stripped of its outputs, or run out of order, passes it.
"""

from __future__ import annotations

import ast
import base64
import io
import json
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
from PIL import Image

from cm384.notebooks import METADATA, NOTEBOOKS, TYPES

Check = Callable[[Path], list[str]]
ROOT = Path(__file__).parents[1]
LIB = ROOT / "lib" / "cm384"
LONGEST = 20  # lines of a code cell; more is a function, and belongs in lib/

# What only this machine or this moment would write.
LOCAL = re.compile(
    r"(?<![\w.:/~<])(?:/(?:home|root|tmp|usr|opt|var|mnt|srv|private|Users)/[\w.]|[A-Z]:\\\\?\w)"
    r"|\b0x[0-9a-fA-F]{6,}\b"
    r"|\bipykernel_\d+"
    r"|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d\d:\d\d:\d\d\b"
)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def outputs(path: Path) -> Iterator[tuple[str, Any]]:
    for cell in code(path):
        for output in cell.outputs:
            yield cell.id, output


def parameters_cell(path: Path) -> Any:
    found = [cell for cell in code(path) if "parameters" in cell.metadata.get("tags", [])]
    return found[0] if len(found) == 1 else None


# --- outputs -------------------------------------------------------------------------------------


def is_valid(path: Path) -> list[str]:
    try:
        nbformat.validate(json.loads(path.read_text(encoding="utf-8")))
    except nbformat.ValidationError as error:
        return [f"not a valid notebook: {error.message}"]
    return []


def is_run_in_order(path: Path) -> list[str]:
    counts = [cell.execution_count for cell in code(path)]
    expected = list(range(1, len(counts) + 1))
    return [] if counts == expected else [f"execution counts {counts}; expected {expected}"]


def shows_its_results(path: Path) -> list[str]:
    """A cell that ends in an expression shows it, and the notebook shows something at all."""
    silent = [
        f"{cell.id}: ends in an expression and shows nothing"
        for cell in code(path)
        if not cell.outputs and _ends_in_expression(cell.source)
    ]
    return silent if any(outputs(path)) else [*silent, "no cell shows anything"]


def _ends_in_expression(source: str) -> bool:
    body = ast.parse(source).body
    return bool(body) and isinstance(body[-1], ast.Expr)


def has_no_error(path: Path) -> list[str]:
    return [f"{id_}: {o.ename}: {o.evalue}" for id_, o in outputs(path) if o.output_type == "error"]


def has_no_stderr(path: Path) -> list[str]:
    return [f"{id_}: writes to stderr" for id_, o in outputs(path) if o.get("name") == "stderr"]


def has_no_semicolon(path: Path) -> list[str]:
    """A trailing semicolon silences a cell in Jupyter and not under nbval."""
    return [
        f"{cell.id}: trailing semicolon"
        for cell in code(path)
        if any(line.split("#")[0].rstrip().endswith(";") for line in cell.source.splitlines())
    ]


def has_no_run_metadata(path: Path) -> list[str]:
    notebook = read(path)
    wrong = [] if notebook.metadata == METADATA else ["metadata of the notebook depends on the run"]
    for cell in notebook.cells:
        if keys := set(cell.metadata) - {"tags"}:
            wrong.append(f"{cell.id}: metadata {', '.join(sorted(keys))}")
        if "injected-parameters" in cell.metadata.get("tags", []):
            wrong.append(f"{cell.id}: parameters injected by papermill")
    return wrong


def has_no_trace_of_the_machine(path: Path) -> list[str]:
    wrong = []
    for cell in read(path).cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            data = {kind: text for kind, text in output.get("data", {}).items() if "image" not in kind}
            texts += [str(value) for value in (output.get("text", ""), *data.values())]
        for text in texts:
            found = LOCAL.search(text)
            if found or str(ROOT) in text or str(Path.home()) + "/" in text:
                wrong.append(f"{cell.id}: {found[0] if found else 'a path of this machine'}")
    return wrong


def has_figures_in_words(path: Path) -> list[str]:
    """The text of a picture begins with a sentence: nbval compares it, a screen reader reads it."""
    return [
        f"{id_}: the picture does not say in a sentence what it shows"
        for id_, output in outputs(path)
        if any(kind.startswith("image/") for kind in output.get("data", {}))
        and not _is_sentence(output.data.get("text/plain", "").splitlines()[:1])
    ]


def has_pictures_of_their_numbers(path: Path) -> list[str]:
    """The text inside each PNG is the text beside it: nbval compares the text and no pixels."""
    return [
        f"{id_}: the picture was drawn from other numbers than those beside it"
        for id_, output in outputs(path)
        if "image/png" in output.get("data", {})
        and _description(output.data["image/png"]) != output.data.get("text/plain")
    ]


def _description(png: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    return str(image.info.get("Description"))


def _is_sentence(lines: list[str]) -> bool:
    return bool(lines) and bool(re.fullmatch(r"[A-Z]\S*( \S+){4,}\.", lines[0]))


# --- parameters ----------------------------------------------------------------------------------


def has_typed_parameters(path: Path) -> list[str]:
    """One typed literal a line, with a comment: papermill reads the cell by regular expression."""
    cell = parameters_cell(path)
    if cell is None:
        return ["expected one cell tagged parameters"]
    wrong = []
    for node in ast.parse(cell.source).body:
        line = ast.get_source_segment(cell.source, node) or ""
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            wrong.append(f"{line}: expected NAME: TYPE = LITERAL")
            continue
        try:
            value = ast.literal_eval(node.value) if node.value else None
        except ValueError:
            wrong.append(f"{line}: not a literal")
            continue
        if type(value).__name__ != ast.unparse(node.annotation).split("[")[0]:
            wrong.append(f"{line}: {value!r} is not of the declared type")
        if (node.end_lineno or 0) not in _commented_lines(cell.source):
            wrong.append(f"{line}: expected a trailing comment")
    return wrong


def _commented_lines(source: str) -> set[int]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0] for t in tokens if t.type == tokenize.COMMENT and len(t.string) > 4}


def has_parameters_papermill_sees(path: Path) -> list[str]:
    """Papermill leaves out what it cannot read, without a word: `float | None`, a quoted type."""
    cell = parameters_cell(path)
    assigned = _declared(cell.source) if cell else {}
    seen = {name: about["inferred_type_name"] for name, about in papermill.inspect_notebook(path).items()}
    return [] if seen == assigned else [f"papermill sees {seen}; the cell declares {assigned}"]


def has_parameters_that_are_checked(path: Path) -> list[str]:
    """Each is a known name of its one type, and all are handed to `checked` under their names."""
    cell = parameters_cell(path)
    declared = _declared(cell.source) if cell else {}
    wrong = [
        f"{name}: {kind or 'no type'}; cm384.notebooks.TYPES has {_type_of(name)}"
        for name, kind in declared.items()
        if kind != _type_of(name)
    ]
    calls = [
        node
        for each in code(path)
        for node in ast.walk(ast.parse(each.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "checked"
    ]
    if len(calls) != 1:
        return [*wrong, f"checked is called {len(calls)} times; expected once"]
    handed = {keyword.arg: ast.unparse(keyword.value) for keyword in calls[0].keywords}
    if handed != {name: name for name in declared}:
        wrong.append(f"checked takes {', '.join(map(str, handed))}; declared: {', '.join(declared)}")
    return wrong


def _type_of(name: str) -> str:
    return TYPES[name].__name__ if name in TYPES else "no such parameter"


def _declared(source: str) -> dict[str, str]:
    """The names that a parameters cell assigns, each with its type as written."""
    names: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign):
            names[ast.unparse(node.target)] = ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign):
            names |= {ast.unparse(target): "" for target in node.targets}
    return names


# --- the page a reader sees ----------------------------------------------------------------------


def opens_with_its_question(path: Path) -> list[str]:
    """The title carries the number of the file, and the first cell asks a question."""
    first = read(path).cells[0]
    title = first.source.splitlines()[0]
    wrong = []
    if first.cell_type != "markdown" or not title.startswith(f"# {int(path.stem[:2])} · "):
        wrong.append(f"{first.id}: expected a title such as '# {int(path.stem[:2])} · …?'")
    if "?" not in first.source:
        wrong.append(f"{first.id}: no question")
    return wrong


def answers_first(path: Path) -> list[str]:
    """What is shown first is the answer in bold, computed: yes, no, partly, or a figure."""
    first = next((output.get("data", {}).get("text/markdown", "") for _, output in outputs(path)), "")
    if not re.fullmatch(r"\*\*[^*]+\.\*\*", first.strip(), flags=re.DOTALL):
        return ["the first output is not one bold answer"]
    plain = re.match(r"\*\*(Yes|No|Partly)\b[^\w ]|\*\*(Yes|No|Partly), |\*\*[−-]?\d", first.strip())
    return (
        []
        if plain
        else [f"the answer begins with {first.strip()[2:22]!r}; expected yes, no, partly or a figure"]
    )


MARKS_A_POINT = {"axvline", "axhline", "plot", "scatter", "scatterplot", "hlines", "vlines", "errorbar"}


def draws_claims_as_intervals(path: Path) -> list[str]:
    """A printed figure stands for an interval: its edges are drawn (`allowed`) and no single mark."""
    trees = {cell.id: ast.parse(cell.source) for cell in code(path)}
    points: set[str] = set()
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.Assign) and ".printed.value" in ast.unparse(node.value):
            points |= {name.id for name in node.targets if isinstance(name, ast.Name)}
        if isinstance(node, ast.For) and _loaded(node.iter) & points:
            points |= {name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)}
    return [
        f"{id_}: {ast.unparse(node.func)} marks a claimed figure as a point"
        for id_, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in MARKS_A_POINT
        and (".printed.value" in ast.unparse(node) or any(_loaded(arg) & points for arg in node.args[:2]))
    ]


def _loaded(node: ast.AST) -> set[str]:
    return {
        each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }


def says_what_would_change(path: Path) -> list[str]:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    return [] if "## What would change the answer" in text else ["no 'What would change the answer'"]


def has_readable_ids(path: Path) -> list[str]:
    """Failures and links name a cell by its id."""
    ids = [cell["id"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    wrong = [
        f"{id_}: not an id in words"
        for id_ in ids
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", id_)
        or re.fullmatch(r"(?=.*\d)[0-9a-f-]{8,}", id_)
    ]
    return wrong + [f"{id_}: id used twice" for id_ in sorted(set(ids)) if ids.count(id_) > 1]


def has_short_cells(path: Path) -> list[str]:
    lengths = {cell.id: len(cell.source.splitlines()) for cell in code(path)}
    return [f"{id_}: {n} lines; at most {LONGEST}" for id_, n in lengths.items() if n > LONGEST]


def imports_no_site(path: Path) -> list[str]:
    """A notebook runs without the site and without the command line."""
    site = {file.stem for file in (NOTEBOOKS / "_ext").glob("*.py")} | {"_ext"}
    wrong = []
    for cell in code(path):
        for name in _imported(cell.source):
            parts = name.split(".")
            if parts[0] in site or parts[:2] == ["cm384", "__main__"]:
                wrong.append(f"{cell.id}: imports {name}")
    return wrong


def _imported(source: str) -> Iterator[str]:
    """The full names that a cell imports, modules and what is in them alike."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


# --- the notebook on GitHub, which drops styles, scripts and classes ------------------------------

PLAIN = {"text/plain", "text/markdown", "text/html", "image/png"}
PLAIN_TAGS = {"table", "thead", "tbody", "tr", "th", "td", "code", "wbr"}
WRITTEN_WITH_THE_SITE = {"articles.md", "changes.md", "schema.md"}  # no files of the repository


def is_plain(path: Path) -> list[str]:
    """Outputs are text, pictures and plain tables, and no text brings HTML of its own."""
    wrong = []
    for id_, output in outputs(path):
        data = output.get("data", {})
        odd = set(data) - PLAIN
        odd |= set(re.findall(r"<(\w+)", data.get("text/html", ""))) - PLAIN_TAGS
        wrong += [f"{id_}: {each} is not shown everywhere" for each in sorted(odd)]
    for id_, text in prose(path):
        found = re.search(r"</?[a-zA-Z!][^>\n]*>", re.sub(r"`[^`]*`|<https?://[^>]*>", "", text))
        wrong += [f"{id_}: HTML in text: {found[0]}"] if found else []
    return wrong


def has_links_that_resolve(path: Path) -> list[str]:
    """A link leads to a file beside the notebook, or to a page that is made with the site."""
    return [
        f"{id_}: {link} is no file of the repository"
        for id_, text in prose(path)
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
        if "://" not in link and link not in WRITTEN_WITH_THE_SITE and not (NOTEBOOKS / link).is_file()
    ]


def prose(path: Path) -> Iterator[tuple[str, str]]:
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            yield cell.id, cell.source
    for id_, output in outputs(path):
        yield id_, output.get("data", {}).get("text/markdown", "")


CHECKS: tuple[Check, ...] = (
    is_valid,
    is_run_in_order,
    shows_its_results,
    has_no_error,
    has_no_stderr,
    has_no_semicolon,
    has_no_run_metadata,
    has_no_trace_of_the_machine,
    has_figures_in_words,
    has_pictures_of_their_numbers,
    has_typed_parameters,
    has_parameters_papermill_sees,
    has_parameters_that_are_checked,
    opens_with_its_question,
    answers_first,
    draws_claims_as_intervals,
    says_what_would_change,
    has_readable_ids,
    has_short_cells,
    imports_no_site,
    is_plain,
    has_links_that_resolve,
)


# --- what the library holds for the notebooks ----------------------------------------------------

SHOWN = (*sorted((LIB / "show").glob("*.py")), LIB / "ledger" / "board.py")


def functions_of_one_cell(
    modules: Iterable[Path] = SHOWN, callers: Iterable[tuple[str, str]] | None = None
) -> list[str]:
    """Functions that show something, are short enough for a cell, and are used by one or by none.

    A caller is a cell, or a function or class of the library or of the site (a file of Python).
    Found by name, so that another function of the same name counts too.
    """
    places = dict(callers if callers is not None else _places())
    used = {place: _names(source) for place, source in places.items()}
    wrong = []
    for module in modules:
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            length = (node.end_lineno or 0) - node.lineno + 1
            own = f"{module.relative_to(module.parents[1])}: {node.name}"
            found = [place for place, names in used.items() if node.name in names and place != own]
            alone = not found or (len(found) == 1 and ".py: " not in found[0])
            if alone and length < LONGEST:
                wrong.append(f"{own}, {length} lines, is used by {found[0] if found else 'none'}")
    return wrong


def _places() -> Iterator[tuple[str, str]]:
    """The source of every cell, and of every function and class of the library and the site."""
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        for cell in code(path):
            yield f"{path.stem}: {cell.id}", cell.source
    for module in (*LIB.rglob("*.py"), *(NOTEBOOKS / "_ext").glob("*.py")):
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                name = f"{module.relative_to(module.parents[1])}: {node.name}"
                yield name, ast.unparse(node)


def _names(source: str) -> set[str]:
    """The names that a piece of code uses; what it imports is not used by that."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
    return found
