"""The glossary is used: a term is linked where a page first says it, and nowhere else.

An entry is a heading `### Name`, `### Name (other name)` or `### Name, name and name`. Prose is
what stands in the text cells of a notebook or in a page, without headings, code, formulas and links
that lead elsewhere.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cm384.ledger.claims import ANSWERS
from cm384.notebooks import NOTEBOOKS, notebooks
from cm384.table.files import read_keys

GLOSSARY = NOTEBOOKS / "glossary.md"
PAGES = sorted([*notebooks(), *NOTEBOOKS.glob("*.md")])
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
EVERYDAY = {"answer"}  # said in its plain sense, too, and then not linked
NOT_PROSE = re.compile(r"^```.*?^```|^#.*?$|^<.*?$|^\|[ :|-]+\|$|\$\$.*?\$\$|`[^`]+`|<[^>]+>", re.M | re.S)


def slug(heading: str) -> str:
    """The anchor that GitHub and the site give a heading.

    >>> slug("UB (unified bus)"), slug("Tokens/s/TFLOPS")
    ('ub-unified-bus', 'tokensstflops')
    """
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def entries(text: str) -> dict[str, re.Pattern[str]]:
    """Each entry of a glossary by its anchor: what its names look like in a sentence."""
    found = {}
    for heading in re.findall(r"^### (.+)$", text, re.M):
        names = [n for n in re.split(r", | and |[()]", heading) if n.strip()]
        forms = [f"[{n[0].upper()}{n[0].lower()}]{re.escape(n.strip()[1:])}" for n in names]
        # Not inside a longer word or a unit: "tokens/s" is no token, "EP320" is EP.
        words = rf"(?:{'|'.join(forms)})(?:e?s|\d+)?"
        found[slug(heading)] = re.compile(rf"(?<![\w/-]){words}(?![\w/-])")
    return found


def source(path: Path) -> str:
    """The text of a page: of a notebook, its text cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def faults(text: str, terms: dict[str, re.Pattern[str]]) -> list[str]:
    """Each term that a page says and does not link at its first use, or links again."""
    prose = NOT_PROSE.sub(" ", text)
    links = [(m.start(), m[1], m[2].partition("#")[2]) for m in LINK.finditer(prose)
             if m[2].startswith("glossary.md#")]  # fmt: skip
    # Words of any link are not prose: blanked in place, so that positions stay.
    plain = LINK.sub(lambda m: " " * len(m[0]), prose)
    wrong = [f"no such entry: {to}" for _, _, to in links if to not in terms]
    for anchor, names in terms.items():
        linked = [place for place, _, to in links if to == anchor]
        said = names.search(plain)
        if said and not (linked and linked[0] < said.start()) and anchor not in EVERYDAY:
            wrong.append(f"{anchor}: first said and not linked: {_around(plain, said.start())}")
        wrong += [f"{anchor}: linked again: {_around(prose, place)}" for place in linked[1:]]
        wrong += [f"{anchor}: [{words}] is none of its names" for _, words, to in links
                  if to == anchor and not names.search(words)]  # fmt: skip
    return wrong


def _around(text: str, place: int) -> str:
    return " ".join(text[max(0, place - 20) : place + 30].split())


TERMS = entries(GLOSSARY.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [p for p in PAGES if p != GLOSSARY], ids=lambda path: path.stem)
def test_terms_are_linked_at_their_first_use_alone(path: Path) -> None:
    assert faults(source(path), TERMS) == []


def test_every_entry_is_said_in_a_notebook() -> None:
    """In its text, its code or what it shows."""
    everything = "\n".join(_all_text(path) for path in notebooks())
    assert [anchor for anchor, names in TERMS.items() if not names.search(everything)] == []


def _all_text(path: Path) -> str:
    parts: list[str] = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        texts = [data.get(kind, "") for data in shown for kind in ("text/plain", "text/markdown")]
        parts += ["".join(text) for text in (cell["source"], *texts)]
    return "\n".join(parts)


def test_links_inside_the_glossary_and_its_sources_resolve() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    anchors = set(map(slug, re.findall(r"^##+ (.+)$", text, re.M)))
    inside = re.findall(r"\]\(#([^)]+)\)", text)
    assert [anchor for anchor in inside if anchor not in anchors] == []
    pages = {to for _, to in LINK.findall(text) if not to.startswith("#")}
    assert [name for name in pages if not (NOTEBOOKS / name).exists()] == []
    named = set(re.findall(r"<code>([^<]+)</code>", text))
    assert named - set(read_keys()) == set()


def test_every_answer_has_its_line() -> None:
    text = GLOSSARY.read_text(encoding="utf-8")
    starts = re.findall(r"^- (\*.+?):", text, re.M)
    assert sorted(re.findall(r"\*([^*]+)\*", " ".join(starts))) == sorted(ANSWERS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A [KV cache](glossary.md#kv-cache) and the KV cache again.", []),
        ("# KV cache\n\nIn `KV cache` and 1,943 tokens/s.", []),
        ("A KV cache.", ["kv-cache: first said and not linked: A KV cache."]),
        ("Two KV caches, a [KV cache](glossary.md#kv-cache).", ["first said and not linked"]),
        ("A [KV cache](glossary.md#kv-cache), a [KV cache](glossary.md#kv-cache).", ["again"]),
        ("The [cache](glossary.md#kv-cash).", ["no such entry: kv-cash"]),
        ("The [memory](glossary.md#kv-cache).", ["none of its names"]),
        ("The answer is no, and the [answer](glossary.md#answer) has a reason.", []),
        ("An [answer](glossary.md#answer) and an [answer](glossary.md#answer).", ["answer: linked again"]),
        ("A [reply](glossary.md#answer).", ["none of its names"]),
        ("With EP320.", ["ep-expert-parallelism: first said"]),
    ],
)  # fmt: skip
def test_planted_fault_is_seen(text: str, said: list[str]) -> None:
    found = faults(text, TERMS)
    assert len(found) == len(said), found
    assert all(part in line for part, line in zip(said, found, strict=True))
