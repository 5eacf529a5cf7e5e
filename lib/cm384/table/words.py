"""Names as people write them: of quantities, chips and systems, and of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cm384.table.reading import load_subjects
from cm384.table.records import Row, read_conditions


def words(quantity: str) -> str:
    """The name of a quantity as people write it.

    >>> words("hbm_bandwidth_from_stacks")
    'HBM bandwidth from stacks'
    """
    spelt = {
        word: word.upper() for word in ("hbm", "tflop", "flop", "tpot", "tpp", "gemm", "mfu", "hfu", "vpc")
    }
    spelt |= {"rd spending": "R&D spending", "scale up": "scale-up", "scale out": "scale-out"}
    text = quantity.replace("_", " ")
    for plain, proper in spelt.items():
        text = text.replace(plain, proper)
    return text


def title(subject: str) -> str:
    """The name of a chip or system as people write it: from `subjects.csv`, or its part number.

    >>> title("cloudmatrix-384"), title("gb200-nvl72"), title("h100-sxm"), title("compute-rack")
    ('CloudMatrix 384', 'GB200 NVL72', 'H100 SXM', 'compute rack')
    """
    known = load_subjects().get(subject)
    # Part numbers and abbreviations in capitals, other words as they are.
    spelt = (w.upper() if len(w) <= 3 or any(map(str.isdigit, w)) else w for w in subject.split("-"))
    return known.name if known else " ".join(spelt)


def row_name(row: Row) -> str:
    """What a row states, as people write it: "CloudMatrix 384: count (Ascend 910C)"."""
    names = {"precision": str.upper, "part": title, "peer": title}
    detail = [names.get(key, str)(value) for key, value in read_conditions(row.conditions).items()]
    return f"{title(row.subject)}: {words(row.quantity)}" + (f" ({', '.join(detail)})" if detail else "")


def listed(texts: Iterable[str]) -> str:
    """Texts as a sentence lists them.

    >>> listed([]), listed(["a"]), listed(["a", "b", "c"])
    ('', 'a', 'a, b and c')
    """
    found = list(texts)
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def each(values: Iterable[str]) -> list[str]:
    """Names without repetitions, in order.

    >>> each(["b", "a", "b"])
    ['b', 'a']
    """
    return list(dict.fromkeys(values))


def figure_name(quantity: str, conditions: Mapping[str, str]) -> str:
    """A figure in words: "peak (BF16, matrix units only)"."""
    bases = {"matrix": "matrix units only", "headline": "as advertised"}
    detail = [conditions.get("precision", "").upper(), conditions.get("basis", "")]
    detail = [bases.get(word, word) for word in detail if word]
    return words(quantity) + (f" ({', '.join(detail)})" if detail else "")
