"""How claims are shown: their marks, tables of some, and the scorecard as figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cm384.ledger.attempts import attempts
from cm384.ledger.claims import ANSWERS, Claim, Printed, load_claims
from cm384.ledger.readings import listed_readings
from cm384.ledger.stated import considered
from cm384.ledger.verdicts import scorecard
from cm384.show import figures
from cm384.show.tables import Table, beside, table, with_span
from cm384.table import units
from cm384.table.documents import load_notes, short_names
from cm384.table.frames import pd
from cm384.table.specs import Specs
from cm384.table.words import listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The mark, the shape and the colour of each answer: a colour a tone, and mark and shape say it without.
LOOKS = {
    "holds": ("✔", "o", figures.GREEN),
    "within sources": ("≈", "d", figures.BLUE),
    "other basis": ("⇄", "s", figures.BLUE),
    "partly": ("◐", "h", figures.BLUE),
    "undecided": ("…", "D", figures.BLUE),
    "misattributed": ("⚑", "X", figures.RED),
    "contradicted": ("✖", "X", figures.RED),
    "overstated": ("▲", "^", figures.RED),
    "understated": ("▼", "v", figures.PURPLE),
    "unsupported": ("?", "o", figures.GREY),
    "opinion": ("–", "o", figures.GREY),
}
MARKS = {answer: mark for answer, (mark, _, _) in LOOKS.items()}
# What the answers come to, of several claims; and of one.
TONES = {
    "hold": ("holds",),
    "depend on what is meant or believed": ("within sources", "other basis", "partly", "undecided"),
    "do not hold": ("misattributed", "contradicted", "overstated"),
    "say less than is so": ("understated",),
    "cannot be known, or are opinions": ("unsupported", "opinion"),
}
OF_ONE = ("holds", "depends on what is meant or believed", "does not hold", "says less than is so",
          "cannot be known, or is an opinion")  # fmt: skip

# Kinds of claims about machines and what they do, not about firms, money and politics.
TECHNICAL = ("chip spec", "system spec", "serving throughput", "efficiency", "parity", "power/energy")
# From what disproves a sentence of which it is a part to what does it no harm.
WEAKEST = ("contradicted", "misattributed", "overstated", "unsupported", "opinion", "undecided", "partly",
           "other basis", "within sources", "understated", "holds")  # fmt: skip


def claims_of(category: str, specs: Specs) -> list[Claim]:
    """The claims of a category that are not repetitions of another one."""
    return [c for c in load_claims(specs=specs) if c.category == category and not c.same_as]


def claims_table(claims: Iterable[Claim], specs: Specs) -> Table:
    """The reconciliation of some claims as a phone has room for it: the answer with its reason."""
    lines = scorecard(claims, specs, among=load_claims(specs=specs))
    found = (with_span(*each[:3], claimed=each[3])
             for each in lines[["derived", "low", "high", "claimed"]].itertuples(index=False))  # fmt: skip
    cells = {
        "claim": lines["id"] + ": " + lines["claim"],
        "claimed → derived": [
            " → ".join(filter(None, pair)) for pair in zip(lines["claimed"], found, strict=True)
        ],
        "answer": lines["answer"].map(MARKS) + " " + lines["answer"] + ". " + lines["plain"],
        "sources": lines["sources"],
    }
    return table(pd.DataFrame(cells), code=("sources",), wide=("claim", "answer"))


def readings_table(claim: Claim, specs: Specs) -> Table:
    """A claim as stated and on each of its other readings, with what each gives or what it lacks."""
    said = considered(claim, specs, {c.id: c for c in load_claims(specs=specs)})
    listed_for = listed_readings(said.readings[0], claim.readings, said.table)
    others = attempts(listed_for, claim.figure_unit, said.table)
    cells = [
        {
            "reading": a.reading.text,
            "derived": with_span(a.central, *a.edges),
            f"{claim.claimed}?": "✔ holds" if claim.printed.holds(a.central) else "✖ no",
        }
        for a in (*said.found, *said.weaker, *others.found)
    ]
    lacking = {**said.missing, **others.missing}
    return table([*cells, *({"reading": text, "derived": why} for text, why in lacking.items())])


def tally(answers: Sequence[str], what: str = "claims") -> str:
    """What some answers come to, in one sentence: "1 of 2 claims holds and 1 does not hold."."""
    counts = [sum(answers.count(answer) for answer in held) for held in TONES.values()]
    told = zip(counts, TONES, OF_ONE, strict=True)
    first, *rest = [(n, one if n == 1 else tone) for n, tone, one in told if n] or [(0, "hold")]
    of_all = f"{first[0]} of {len(answers)} {what} {first[1]}"
    return f"{listed([of_all, *(f'{n} {tone}' for n, tone in rest)])}."


def sentences(lines: pd.DataFrame, claims: Iterable[Claim]) -> pd.DataFrame:
    """Each distinct sentence of a scorecard once: its number, category and answer, and its rows.

    A claim that repeats another one is left out. A sentence that says several things has a row for each,
    told apart by a last letter, and is as good as the part that holds least.
    """
    repeats = [claim.id for claim in claims if claim.same_as]
    own = lines[~lines["id"].isin(repeats)]
    number = own["id"].str.replace(r"(?<=\d)[a-z]$", "", regex=True)
    ranked = own.assign(sentence=number, rank=own["answer"].map(WEAKEST.index))
    ranked["rows"] = ranked.groupby("sentence")["id"].transform(" ".join)
    weakest = ranked.sort_values("rank", kind="stable").drop_duplicates("sentence").sort_index()
    return weakest[["sentence", "category", "answer", "rows"]].reset_index(drop=True)


def in_all(lines: pd.DataFrame, claims: Sequence[Claim]) -> str:
    """What the answers of a scorecard come to, of all sentences and of the technical ones."""
    counted = sentences(lines, claims)
    technical = counted[counted["category"].isin(TECHNICAL)]
    said = tally(list(counted["answer"]), "distinct sentences" if len(counted) != 1 else "distinct sentence")
    if not 0 < len(technical) < len(counted):
        return said
    return f"{said} {tally(list(technical['answer']), 'technical ones')}"


def how_counted(lines: pd.DataFrame, claims: Sequence[Claim]) -> str:
    """How the rows of a ledger come down to its distinct sentences, and what is listed only."""
    counted, repeats = sentences(lines, claims), sum(bool(claim.same_as) for claim in claims)
    parts = counted["rows"].str.count(" ").sum()
    cited = [c for c in claims if c.reports and not c.same_as]
    only = sum(claim.form == "saying" for claim in cited)
    return (
        f"{len(lines)} rows: {repeats} repeat another one, and {parts} are further parts of a sentence that "
        f"says more than one thing, which counts once, by the part that holds least. Both are only listed. "
        f"Of the {len(counted)} sentences {only} say only that somebody said something, and are answered by "
        f"whether he did; in {len(cited) - only} rows something is asserted through somebody, and the answer "
        f"is that of the thing. Technical are the kinds {listed(TECHNICAL)}."
    )


# --- figures -------------------------------------------------------------------------------------

LINE = 1.3 * figures.TEXT / 72  # inches from one line of text to the next
PALE = "#dddddd"


def scorecard_figure(claims: Iterable[Claim], specs: Specs) -> figures.Picture:
    """The technical figures that claims print, each once, as derived ÷ claimed, by answer."""
    ledger = {claim.id: claim for claim in claims}
    lines = scorecard(ledger.values(), specs).set_index("id")
    lines = lines.loc[[name for name, claim in ledger.items() if _is_sized(claim)]]
    lines = lines[lines["ratio"] > 0]
    order = sorted(set(lines["answer"]), key=ANSWERS.index)
    texts = {name: textwrap.wrap(text, 54) for name, text in lines["claim"].items()}
    height = 1 + 1.5 * len(order) + 1.4 * len(lines) + sum(map(len, texts.values()))
    figure, (axis,) = figures.canvas(1.2 + LINE * height)
    axis.set(xlim=_edges(lines), ylim=(height, 0), xlabel="derived ÷ claimed (log scale)")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axis.tick_params(labeltop=True)
    axis.set_yticks([])
    figures.bare(axis)
    axis.grid(visible=False)
    place = 0.0
    for answer in order:
        _, shape, colour = LOOKS[answer]
        across = axis.get_yaxis_transform()
        axis.plot(0.015, place + 0.9, shape, transform=across, color=colour, mec=figures.INK, ms=8)
        _label(axis, place + 1.4, answer, x=0.04, weight="bold")
        place += 1.5
        for line in lines[lines["answer"] == answer].reset_index().to_dict("records"):
            text = texts[line["id"]]
            place += len(text)
            _label(axis, place, "\n".join(text))
            _track(axis, place + 0.65, ledger[line["id"]].printed, line)
            place += 1.4
    _legend(figure, axis)
    columns = ["claimed", "derived", "low", "high", "ratio", "answer"]
    met = [bool(ledger[str(name)].printed.holds(line["derived"])) for name, line in lines.iterrows()]
    return figures.picture(figure, _hits(lines, np.array(met, dtype=bool)), lines[columns].reset_index())


def _is_sized(claim: Claim) -> bool:
    """Not a count, which is right or wrong, nor a statement: neither is near or far."""
    sized = claim.form in ("value", "ratio", "share")
    return sized and claim.category != "market/finance" and not claim.same_as


def _hits(lines: pd.DataFrame, met: np.ndarray) -> str:
    """How many of some printed figures are met, and how far off the rest are."""
    near = np.array(lines["answer"] == "within sources") & ~met
    alone = int((met & (lines["answer"] == "undecided")).sum())
    said = f"meets {met.sum()} of {len(lines)} technical figures"
    said += f" ({alone} by their maker's own runs)" if alone else ""
    said += f", sources reach {near.sum()} more" if near.any() else ""
    if np.all(met | near):
        return f"Derivation {said}"
    worst = np.exp(np.abs(np.log(lines.loc[~(met | near), "ratio"]))).max()
    return f"Derivation {said}; the rest miss by up to {units.number(worst, 3)} times"


def _edges(lines: pd.DataFrame) -> tuple[float, float]:
    """The ends of an axis that shows every span, with room for a number beside it."""
    scale = lines["ratio"] / lines["derived"]
    low, high = (lines["low"] * scale).min(), (lines["high"] * scale).max()
    return float(np.fmin(low, 1) / 2), float(np.fmax(high, 1) * 2)


def _track(axis: Axes, place: float, printed: Printed, line: Any) -> None:
    """One claim: what its figure stands for, what the sources allow, and what is derived."""
    _, shape, colour = LOOKS[line["answer"]]
    said = np.clip([printed.low / printed.value, printed.high / printed.value], *axis.get_xlim())
    axis.plot(said, [place, place], color=PALE, lw=10, solid_capstyle="butt", zorder=1)
    axis.plot([1, 1], [place - 0.5, place + 0.5], color=figures.INK, lw=1, zorder=2)
    span = [line["low"] / printed.value, line["high"] / printed.value]
    axis.plot(span, [place, place], color=colour, lw=3)
    axis.plot(line["ratio"], place, shape, color=colour, ms=8, mec=figures.INK, mew=0.6)
    edge, shift, side = (span[0], -8, "right") if line["ratio"] < 1 else (span[1], 8, "left")
    told = beside(line["claimed"], line["derived"])
    axis.annotate(told, (edge, place), (shift, 0), textcoords="offset points", ha=side, va="center_baseline")


def _legend(figure: Figure, axis: Axes) -> None:
    axis.plot([], [], "o", color="white", mec=figures.INK, ms=8, label="derived, with its value")
    axis.plot([], [], "|", color=figures.INK, ms=10, label="as claimed")
    axis.plot([], [], color=figures.INK, lw=3, label="what the sources allow")
    axis.plot([], [], color=PALE, lw=10, solid_capstyle="butt", label="what the claim allows")
    figure.legend(loc="outside upper left", ncols=2, frameon=False)


def _label(axis: Axes, place: float, text: str, x: float = 0.0, **style: Any) -> None:
    """Words that end above a place, from the left edge of the axes."""
    axis.text(x, place, text, transform=axis.get_yaxis_transform(), va="bottom", **style)


def answers_figure(lines: pd.DataFrame, by: str) -> figures.Picture:
    """How many claims of each article or category got which answer; `lines` are a scorecard's."""
    groups = lines[by].replace(short_names(load_notes())) if by == "article" else lines[by]
    counts = pd.crosstab(groups, lines["answer"])[sorted(set(lines["answer"]), key=ANSWERS.index)]
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    figure, (axis,) = figures.canvas(0.9 + 0.42 * len(counts) + 0.1 * len(counts.columns))
    places, left = range(len(counts)), np.zeros(len(counts))
    for answer in map(str, counts.columns):
        size, (mark, _, colour) = counts[answer].to_numpy(), LOOKS[answer]
        bars = axis.barh(places, size, 0.42, left, color=colour, ec="white", label=f"{mark} {answer}")
        marks = [mark if count else "" for count in size]
        axis.bar_label(bars, marks, label_type="center", color=figures.ink_on(colour), fontsize=9)
        left = left + size
    figures.lanes(axis, [f"{name}: {total}" for name, total in counts.sum(axis=1).items()])
    axis.grid(visible=False)
    axis.set_xlabel("claims")
    if len(counts):
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figures.picture(figure, _agreement(counts), counts.reset_index())


def _agreement(counts: pd.DataFrame) -> str:
    """How many claims hold, and in which row of the counts most and fewest of them do."""
    held = counts.reindex(columns=["holds"], fill_value=0)["holds"]
    finding = f"Of {counts.to_numpy().sum():.0f} claims, {held.sum():.0f} hold{'s' * bool(held.sum() == 1)}"
    if len(counts) < 2:
        return finding
    shares = (held / counts.sum(axis=1)).sort_values(kind="stable")
    low, *_, high = (f"{units.percent(share)} in {name}" for name, share in shares.items())
    return f"{finding}: from {low} to {high}"
