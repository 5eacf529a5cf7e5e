"""The parts of the first page that are computed: verdicts, telling figures, notebooks."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cm384.ledger.board import MARKS
from cm384.ledger.verdicts import Verdict
from cm384.markup import working_address
from cm384.show.tables import beside
from cm384.workings import Notebook

# How verdicts are counted together, and what each heap is called.
HEAPS: Mapping[str, tuple[str, ...]] = {
    "hold by arithmetic": ("confirmed",),
    "within sources or model error": ("within sources", "within model error"),
    "agree with their source": ("source agrees",),
    "hold only on another basis": ("other basis",),
    "overstated or understated": ("overstated", "understated"),
    "misattributed or contradicted": ("misattributed", "inconsistent", "contradicted"),
    "unsupported": ("unsupported",),
}
TABLE = "claim-by-claim"  # the heading of the scorecard above its table


@dataclass(frozen=True)
class Card:
    """A telling figure: the claims it is about, in a headline, what was derived of what, and why.

    Braces hold what is derived, as in `articles.csv`.
    """

    claims: tuple[str, ...]
    headline: str
    of: str
    why: str


CARDS = (
    Card(
        ("S000-11",),
        "3.6 times the memory",
        "times GB200 NVL72",
        "It fits no other machine: {subject=cloudmatrix-384;quantity=count;part=ascend-910c} chips "
        "against {subject=gb200-nvl72;quantity=count;part=gb200}.",
    ),
    Card(
        ("S000-02",),
        "More than double the compute",
        "times GB200 NVL72",
        "Huawei's figure needs the vector units, NVIDIA's does not. Like for like it is {subject="
        "cloudmatrix-384;quantity=peak;comparator=gb200-nvl72;precision=bf16;basis=matrix;digits=3}.",
    ),
    Card(
        ("S000-22",),
        "60 % of an H100",
        "by peak",
        "Measured in prefill it is {subject=ascend-910c;quantity=published_throughput;comparator="
        "h100-sxm;measurement=CM384-PREFILL-DEFAULT;comparator.measurement="
        "SGL-H100-PREFILL-4K-DEFAULT;unit=percent;digits=2}. The claim names no method.",
    ),
    Card(
        ("S003-05", "S003-07"),
        "6,688 and 1,943 tokens/s per chip",
        "by the serving model",
        "What the hardware should give. It leads an H800 per TFLOP of peak; per chip it has "
        "{subject=ascend-910c;quantity=published_throughput;comparator=h800-sxm;measurement="
        "CM384-PREFILL-PERFECT;comparator.measurement=DSK-H800-PREFILL-PROFILE;digits=2} of one.",
    ),
    Card(
        ("S004-13",),
        "A highly efficient architecture",
        "of the FLOP per watt of GB200 NVL72",
        "It takes {subject=cloudmatrix-384;quantity=power;comparator=gb200-nvl72;basis=all-in;"
        "digits=2} times the power, and leads only in tokens per TFLOP of peak.",
    ),
)


def parts(
    ledger: Mapping[str, Verdict], shelf: Sequence[Notebook], fill: Callable[[str], str]
) -> dict[str, str]:
    """The computed parts of the first page, by name; `fill` derives what stands in braces."""
    return {
        "verdicts": verdicts([verdict.verdict for verdict in ledger.values()]),
        "cards": "\n".join(
            ['<ul class="cards">', *(card_html(card, ledger, fill) for card in CARDS), "</ul>"]
        ),
        "notebooks": "\n".join(f"- [{book.title}]({book.page[:-5]}.ipynb)" for book in shelf),
    }


def verdicts(found: Sequence[str]) -> str:
    """How many claims got which verdict; each heap leads to its rows of the scorecard."""
    tiles = []
    for name, heap in HEAPS.items():
        count = sum(found.count(verdict) for verdict in heap)
        query = "&amp;".join(f"verdict={verdict.replace(' ', '+')}" for verdict in heap)
        marks = " ".join(dict.fromkeys(MARKS[verdict] for verdict in heap))
        tiles.append(
            f'<li class="verdict-{heap[0].replace(" ", "-")}">'
            f'<a href="00-scorecard.html?{query}#{TABLE}"><strong>{count}</strong> '
            f'<span aria-hidden="true">{marks}</span> <span>{name}</span></a></li>'
        )
    return "\n".join([f"<p>Of {len(found)} claims:</p>", '<ul class="verdicts">', *tiles, "</ul>"])


def card_html(card: Card, ledger: Mapping[str, Verdict], fill: Callable[[str], str]) -> str:
    """One telling figure; its headline leads to the working, a second figure to its own."""
    found = [ledger[name] for name in card.claims]
    verdict = found[0].verdict
    address, *others = (working_address(one.claim.id, one.claim.article) for one in found)
    figure, *more = (beside(one.claim.claimed, one.derived) for one in found)
    for text, link in zip(more, others, strict=True):
        figure += f' and <a href="{link}">{text}</a>'
    return (
        f'<li class="verdict-{verdict.replace(" ", "-")}">'
        f'<p class="claimed"><a href="{address}">“{html.escape(card.headline)}”</a></p>'
        f'<p class="derived"><strong>{figure}</strong> {html.escape(card.of)}</p>'
        f'<p class="verdict"><span aria-hidden="true">{MARKS[verdict]}</span> {verdict}</p>'
        f'<p class="why">{html.escape(fill(card.why))}</p></li>'
    )
