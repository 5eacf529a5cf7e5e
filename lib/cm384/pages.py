"""Pages that no notebook makes: the first, one for each article, their list, and the schema.

Everything on them is read from the ledger, from `articles.csv` and from the checks themselves when
the site is built, so that they cannot drift from what is computed.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cm384 import landing, units, validation
from cm384 import specs as checks
from cm384.articles import Note, articles, load_notes, short_names
from cm384.claims import (
    CATEGORIES,
    FORMS,
    MULTIPLES,
    RELATIONS,
    VERDICTS,
    Claim,
    claims_schema,
    load_claims,
)
from cm384.deployment import ROUTINGS
from cm384.markup import framed, source_keys
from cm384.notebooks import NOTEBOOKS
from cm384.paths import DATA
from cm384.readings import Reading
from cm384.specs import BASES, Kind, Row, Specs, load_specs, read_conditions, read_keys
from cm384.tables import MARKS, Table, beside, listed
from cm384.transformer import BYTES_PER_ELEMENT
from cm384.validation import PHASES, Measurement
from cm384.verdicts import Verdict, judge_all
from cm384.workings import Notebook, read_notebooks, workings


def write(folder: Path) -> None:
    """Write every generated page into the folder that Sphinx renders."""
    specs = load_specs()
    claims, notes, shelf = load_claims(specs=specs), load_notes(), read_notebooks()
    ledger = {verdict.claim.id: verdict for verdict in judge_all(claims, specs)}
    pages = {f"article-{key}": article(key, ledger, notes, shelf, specs) for key in articles(notes)}
    pages |= {"articles": overview(ledger, notes), "schema": schema(specs, claims)}
    first = (NOTEBOOKS / "index.md").read_text(encoding="utf-8")
    for name, text in landing.parts(ledger, shelf, lambda text: filled(text, specs)).items():
        first = first.replace(f"<!-- {name} -->", text)
    for name, text in (pages | {"index": first}).items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


# --- articles ------------------------------------------------------------------------------------


def filled(text: str, specs: Specs) -> str:
    """A sentence with its placeholders derived.

    A placeholder is a reading in braces, as in the column `readings` of the claims, with `unit` and
    `digits` for how it is printed.

    >>> text = "{subject=cloudmatrix-384;quantity=hbm_capacity;comparator=gb200-nvl72;digits=2}"
    >>> filled(f"{text} times the memory", load_specs())
    '3.6 times the memory'
    """

    def figure(match: re.Match[str]) -> str:
        given = read_conditions(match[1])
        unit, digits = given.pop("unit", ""), int(given.pop("digits", "4"))
        pairs = ";".join(f"{name}={value}" for name, value in given.items())
        value = Reading("", "", "", {}).changed(pairs).figure(specs)
        return units.text(value.to(unit) if unit else value, digits)

    return re.sub(r"\{([^{}]+)\}", figure, text)


def article(
    key: str,
    ledger: Mapping[str, Verdict],
    notes: Sequence[Note],
    shelf: Sequence[Notebook],
    specs: Specs,
) -> str:
    """The page of one article."""
    about = next(note for note in notes if note.article == key and note.kind == "about")
    claims = {name: verdict.claim for name, verdict in ledger.items()}
    own = [verdict for verdict in ledger.values() if verdict.claim.article == key]
    out = [n for n in notes if n.article == key and n.kind == "leaves_out"]
    left = [f"- **{_sentence_case(n.topic)}.** {filled(n.text, specs)}{_cited(n)}" for n in out]
    return "\n\n".join(
        [
            f"# {about.topic}",
            f"**{verdict_sentence([verdict.verdict for verdict in own])}**",
            filled(about.text, specs) + _cited(about, alone=key),
            "## What it leaves out",
            "\n".join(left),
            "## Claim by claim",
            "The claims in the order of the article, in our words. A repeated claim has the figure "
            "and the verdict of the one it repeats. The number of a claim leads to its working.",
            framed(claims_table(own, list(claims.values()))),
            "## Who else says so",
            "Agreement between copies is not corroboration. Claims that this article shares with "
            "the others, counted in the ledger, and where the matter comes from:",
            framed(shared_table(key, list(claims.values()), notes)),
            framed(repeats_table(key, notes)),
            "## The working of each claim",
            "How each claim was read, what it was derived from, which other readings were tried, "
            "and what its primary source says.",
            workings(own, claims, shelf, specs),
        ]
    )


def verdict_sentence(verdicts: Sequence[str]) -> str:
    """How many of some claims hold, in one sentence."""
    held, agreed = verdicts.count("confirmed"), verdicts.count("source agrees")
    near = verdicts.count("within sources") + verdicts.count("within model error")
    rest = len(verdicts) - held - agreed - near
    parts = [f"{held} hold by arithmetic"]
    parts += [f"{near} within what sources or the model leave open"] if near else []
    parts += [f"{agreed} agree with their source"] if agreed else []
    fails = f"{rest} do not hold as stated or cannot be known"
    return f"Of {len(verdicts)} claims, {listed(parts)}; {fails}."


def claims_table(own: Sequence[Verdict], claims: Sequence[Claim]) -> Table:
    """The claims of one article with their verdicts, and who else makes them."""
    also = repeated_in(claims)
    cells = [
        {
            "claim": f"{claim.id}, {claim.locator}: {claim.statement}",
            "claimed → derived": f"{claim.claimed} → {beside(claim.claimed, found.derived)}"
            if claim.value
            else "–",
            "verdict": f"{MARKS[found.verdict]} {found.verdict}. {found.why}",
            "also": ", ".join(c.id for c in also[claim.id] if c.article != claim.article),
        }
        for claim, found in ((verdict.claim, verdict) for verdict in own)
    ]
    return Table(pd.DataFrame(cells), wide=("claim", "verdict"))


def repeated_in(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """For each claim, the others that say the same."""
    roots: dict[str, list[Claim]] = {}
    for claim in claims:
        roots.setdefault(claim.same_as or claim.id, []).append(claim)
    return {c.id: [o for o in group if o is not c] for group in roots.values() for c in group}


def shared_table(key: str, claims: Sequence[Claim], notes: Sequence[Note]) -> Table:
    """How many of an article's claims each other one makes too."""
    titles = {note.article: note.topic for note in notes if note.kind == "about"}
    also = repeated_in(claims)
    own = [claim for claim in claims if claim.article == key]
    cells = [
        {
            "article": titles[other],
            "shared claims": str(
                sum(any(c.article == other for c in also[claim.id]) for claim in own)
            ),
            "of its": str(sum(claim.article == other for claim in claims)),
        }
        for other in titles
        if other != key
    ]
    return Table(pd.DataFrame(cells))


def repeats_table(key: str, notes: Sequence[Note]) -> Table:
    """What an article and others repeat, and the source behind it."""
    titles = short_names(notes)
    matters = [note for note in notes if note.kind == "repeats"]
    cells = [
        {
            "matter": own.topic,
            "also in": ", ".join(
                titles[n.article] for n in matters if n.topic == own.topic and n.article != key
            ),
            "comes from": own.text,
            "sources": own.source,
        }
        for own in matters
        if own.article == key
    ]
    return Table(pd.DataFrame(cells), code=("sources",), wide=("matter", "comes from"))


def overview(ledger: Mapping[str, Verdict], notes: Sequence[Note]) -> str:
    """The list of the articles, with how many claims of each hold."""
    found = []
    for note in notes:
        if note.kind == "about":
            own = [v.verdict for v in ledger.values() if v.claim.article == note.article]
            link = f"[{note.topic}](article-{note.article}.md)"
            found.append(f"- {link}: {verdict_sentence(own)}")
    pages = "\n".join(f"article-{key}" for key in articles(notes))
    return "\n\n".join(
        [
            "# The five articles",
            "What each claims, what of it holds, what it leaves out, and which of them repeat one "
            "another. Two are copies of one text and three rest on one analyst's table, so that "
            "agreement between them corroborates nothing.",
            "\n".join(found),
            f"```{{toctree}}\n:hidden:\n\n{pages}\n```",
        ]
    )


def _cited(note: Note, alone: str = "") -> str:
    """The sources of a note as links to the bibliography."""
    keys = [key for key in [alone, *note.source.split(";")] if key]
    return f" ({', '.join(source_keys([key]) for key in keys)})" if keys else ""


def _sentence_case(text: str) -> str:
    return text[0].upper() + text[1:]


# --- schema --------------------------------------------------------------------------------------

# What each column holds. What it must look like, and its vocabulary, come from the checks.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "specs.csv": {
        "subject": "The chip, system, company or market that the row states something of.",
        "quantity": "What is stated: a name of the vocabulary.",
        "conditions": "What the value holds for, keys in order; a system has parts: part=my-chip.",
        "value": "The number as the source prints it.",
        "unit": "Its unit; it must fit the quantity.",
        "basis": "On which footing the value is meant. Like is compared with like.",
        "role": "One central row for each subject, quantity, conditions and basis; others "
        "are alternatives, and their spread is the span.",
        "group": "Rows that one source states together, drawn together; may be empty.",
        "source": "Where it comes from. In this project a key of the bibliography, in your file "
        "any words.",
        "locator": "The section, table or line of the source.",
        "note": "What was halved or multiplied, and other remarks; may be empty.",
    },
    "claims.csv": {
        "id": "A name of its own for the claim.",
        "article": "Who says it. In this project a key of the bibliography, in yours any words.",
        "locator": "Where the article says it.",
        "category": "The kind of claim; may be empty.",
        "statement": "The claim in your own words.",
        "subject": "What the claim is about; empty only for a judged claim.",
        "quantity": "What is claimed of it; empty only for a judged claim.",
        "conditions": "What the claim holds for, such as precision=bf16; "
        "comparator.precision=fp8 is for the other side alone.",
        "form": "What the figure is. Counts and dates are exact.",
        "relation": "How the figure is meant; empty is eq.",
        "value": "The figure as printed: 3.6, 1,943, double.",
        "unit": "Its unit; empty for a pure number.",
        "comparator": "What it is compared with: a subject, the id of another claim (whatever "
        "machine that one fits), or empty (every machine is tried).",
        "readings": "Other fair readings, listed before you look at the result.",
        "same_as": "The claim that this one repeats; cells left empty are taken from it.",
        "judged": "For what cannot be derived: the verdict reached from the primary source.",
        "primary": "The primary source.",
        "primary_locator": "Where in it.",
        "primary_says": "What it really says.",
        "note": "Remarks; may be empty.",
    },
    "measurements.csv": {
        "id": "A name of its own for the measurement.",
        "model": "A model of this project, or the path of a config.json.",
        "accelerator": "The chip, as in the specs.",
        "accelerators": "How many of them one instance runs on.",
        "expert_parallel": "Ranks that the experts are spread over.",
        "tensor_parallel": "Ranks that share one attention.",
        "phase": "What was measured.",
        "batch": "Decode: requests an accelerator. Prefill: prompt tokens an accelerator.",
        "context": "Prompt tokens, or the mean length of the cache in decode.",
        "output": "Tokens generated.",
        "matrix_precision": "Of the matrix multiplications.",
        "attention_precision": "Of the attention core.",
        "kv_precision": "Of the cache.",
        "routing": "How even the load of the experts is.",
        "microbatches": "1, or 2 that overlap.",
        "draft_tokens": "Tokens drafted in a step.",
        "tokens_per_step": "Tokens accepted for a request in a step, with the one that is certain.",
        "tpot": "Time per output token in milliseconds.",
        "throughput": "Tokens a second and accelerator.",
        "assumed": "Columns that the source leaves open and you filled in.",
        "source": "Where it comes from; may be empty in your file.",
        "locator": "Where in it.",
        "note": "Remarks; may be empty.",
    },
    "quantities.csv": {
        "quantity": "The name.",
        "unit": "The unit that fits it.",
        "kind": "Whether rows state it or a derivation gives it.",
        "default_basis": "The basis that is meant when none is named.",
        "better": "Which way is more flattering; it decides between overstated and understated.",
        "meaning": "What it is.",
    },
}
# What is checked with the whole row, or when it is used.
ELSEWHERE = {
    "value": f"a positive number as printed, or {', '.join(MULTIPLES)}",
    "same_as": "the id of another claim, or nothing",
    "unit": "a unit such as TFLOP/s or GB",
    "kind": "stated, derived",
    "default_basis": "a basis",
    "better": "higher, lower, neither",
}
EXAMPLES = {
    "specs.csv": ("subject", "ascend-910c"),
    "claims.csv": ("id", "S000-11"),
    "measurements.csv": ("id", "CM384-DECODE-4K-50MS"),
    "quantities.csv": ("quantity", "hbm_bandwidth"),
}


def schema(specs: Specs, claims: Sequence[Claim]) -> str:
    """The page that says what each file of data must look like."""
    ids, keys = [claim.id for claim in claims], read_keys(DATA / "sources.bib")
    kinds: dict[str, tuple[type, Any, dict[str, Iterable[str]]]] = {
        "specs.csv": (
            Row,
            checks.specs_schema(specs.kinds, keys),
            {"quantity": (), "source": ()},
        ),
        "claims.csv": (
            Claim,
            claims_schema(specs, ids, keys),
            {"subject": (), "quantity": (), "comparator": (), "article": ()},
        ),
        "measurements.csv": (
            Measurement,
            validation._schema(specs, keys),
            {"accelerator": (), "source": ()},
        ),
        "quantities.csv": (Kind, None, {}),
    }
    parts = [
        "# What a file must look like",
        "Everything in `data/` is CSV in UTF-8, one fact a row, and so is a file of your own. This "
        "page is made from the checks that read the files, so it cannot drift from them. A row "
        "that fails is refused in one line that names the file, the line, the column, what was "
        "expected, and the nearest known name for a slip of the pen.",
    ]
    for file, (cls, checked, long) in kinds.items():
        parts += [f"## {file}", framed(columns_table(file, cls, checked, frozenset(long)))]
        parts += ["An example:", example(file)]
    parts += ["## Words"]
    for name, words in vocabularies(specs).items():
        parts += [f"**{name}**: {', '.join(f'`{word}`' for word in words)}"]
    parts += ["### Bases", framed(_two("basis", "what a value on it is", BASES))]
    parts += ["### Quantities", framed(quantities_table(specs))]
    return "\n\n".join(parts) + "\n"


def columns_table(file: str, cls: type, checked: Any, long: frozenset[str]) -> Table:
    """The columns of a file: what each holds, and what the check of it accepts.

    The vocabularies of the columns in `long` are too long for a cell.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    if names != list(COLUMNS[file]):
        raise AssertionError(f"{file}: columns {names} are described as {list(COLUMNS[file])}")
    cells = [
        {
            "column": name,
            "holds": COLUMNS[file][name],
            "accepted": accepted(checked, name, name in long),
        }
        for name in names
    ]
    return Table(pd.DataFrame(cells), wide=("holds", "accepted"))


def accepted(checked: Any, column: str, long: bool = False) -> str:
    """What a check accepts, in its own words."""
    if checked is None or column not in checked.columns:
        return ELSEWHERE.get(column, "anything")
    words = [str(check.error) for check in checked.columns[column].checks]
    what, *known = words[0].split("\t")
    if not known:
        return what
    if long:
        return "a known name, or nothing" if "" in known else "a known name"
    return ", ".join([*filter(None, known), *(["nothing"] if "" in known else [])])


def vocabularies(specs: Specs) -> dict[str, Sequence[str]]:
    """The closed lists of words, by what they are for."""
    return {
        "category": CATEGORIES,
        "form": FORMS,
        "relation": RELATIONS,
        "verdict": VERDICTS,
        "phase": PHASES,
        "routing": ROUTINGS,
        "precision": sorted(BYTES_PER_ELEMENT),
        "chips": specs.chips,
        "systems": specs.systems,
    }


def _two(first: str, second: str, words: Mapping[str, str]) -> Table:
    return Table(pd.DataFrame([{first: name, second: text} for name, text in words.items()]))


def quantities_table(specs: Specs) -> Table:
    """The vocabulary of quantities."""
    cells = pd.DataFrame([dataclasses.asdict(kind) for kind in specs.kinds.values()])
    return Table(cells, wide=("meaning",))


def example(file: str) -> str:
    """The header of a file and one row of it, as they stand there."""
    column, wanted = EXAMPLES[file]
    with (DATA / file).open(encoding="utf-8", newline="") as text:
        lines = text.read().splitlines()
    header = next(csv.reader([lines[0]]))
    rows = (line for line in lines[1:] if line)
    row = next(r for r in rows if next(csv.reader([r]))[header.index(column)] == wanted)
    return f"```text\n{lines[0]}\n{row}\n```"
