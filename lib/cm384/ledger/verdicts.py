"""The rule by which each claim gets its answer, says how it was settled, and whether it is reported right.

What may decide comes first: the rows of the kind that the sentence speaks of, as they stood at the date
of the article. A printed figure stands for an interval; a reading gives a central value and all
combinations of its sources; the first line of the rule that fits decides. One rule for all claims,
written by people who knew the sources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cm384.ledger.attempts import Attempt, Tried, attempts, closest, error_of
from cm384.ledger.claims import REPORTED, Claim
from cm384.ledger.readings import Reading, differs, filled, listed_readings
from cm384.ledger.stated import Stated, as_of, as_run, considered, kinds_of_run, measures, owner_of, written
from cm384.physics.served import MODELLED
from cm384.table import units
from cm384.table.documents import load_sources
from cm384.table.errors import InputError
from cm384.table.frames import pd
from cm384.table.records import RUNS, Row, read_conditions
from cm384.table.specs import Specs
from cm384.table.units import Q, Quantity
from cm384.table.words import each, listed, row_name, title


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a claim: the answer, how it was settled, the reason, what would overturn it.

    `plain` says the same to a reader in one sentence; `weighed` is how many measures of a word hold, of
    how many.
    """

    claim: Claim
    answer: str
    settled: str
    why: str
    overturn: str = ""
    attempt: Attempt | None = None
    sources: tuple[str, ...] = ()
    weighed: tuple[int, int] | None = None
    plain: str = ""

    @property
    def figures(self) -> dict[str, Quantity]:
        """The figures of its own that a sentence may ask for."""
        if self.weighed:
            return {"holding": Q(self.weighed[0], "count"), "measures": Q(self.weighed[1], "count")}
        if not self.attempt:
            return {}
        central, names = self.attempt.worked.value, ("low", "high", "lowest", "highest")
        ends = Quantity(np.array([*self.attempt.ends, *self.attempt.edges]), central.units)
        return {"derived": central, **dict(zip(names, ends, strict=True))}

    @property
    def derived(self) -> float:
        """The derived figure in the unit of the claim; NaN if nothing was derived."""
        return self.attempt.central if self.attempt else np.nan

    @property
    def quotient(self) -> float:
        """Derived ÷ claimed."""
        return self.derived / self.claim.printed.value if self.attempt else np.nan


# --- the rule ------------------------------------------------------------------------------------


def judge(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Verdict:
    """The answer to one claim by the rule; `ledger` holds the claims it may refer to."""
    if claim.form == "saying":
        return _by_document(claim, REPORTED[claim.reported.split(":")[0]])
    if claim.judged:
        return _by_document(claim, claim.judged)
    if claim.state == "opined":
        return _by_document(claim, "opinion")
    if claim.word:
        return _by_proxies(claim, as_of(specs, written(claim)), ledger)
    said = considered(claim, specs, ledger)
    if claim.quantity in MODELLED and said.found:
        return _of_model(claim, said.found[0], said.table)
    return _of_sources(claim, said, ledger) if said.found else _not_stated(claim, said)


def _keys(claim: Claim) -> tuple[str, ...]:
    return tuple(key for key in claim.primary.split(";") if key)


def _by_document(claim: Claim, answer: str) -> Verdict:
    """What was judged by hand, with what the document says."""
    nothing = answer in ("unsupported", "opinion", "undecided")
    settled = claim.settled or ("nothing" if nothing else "document")
    rest = "No document could overturn it." if answer == "opinion" else "A document that says it."
    overturn = claim.overturn or (rest if nothing else "A document nearer to the matter.")
    why = claim.primary_says or claim.note or "An opinion, which nothing can settle."
    return Verdict(claim, answer, settled, why, overturn, sources=_keys(claim))


def _not_stated(claim: Claim, said: Stated) -> Verdict:
    """A claim whose stated form cannot be derived: its other readings, or what is missing."""
    base, table, when = said.readings[:1], said.table, written(claim)
    others = [r for b in base for r in listed_readings(b, claim.readings, table) if not differs(r, b)]
    given = attempts(others, claim.figure_unit, table).found
    missing = next(iter(said.missing.values()), "no machine fits the claim that this one refers to")
    if fitting := [a for a in given if a.fits(claim)]:
        return _verdict(claim, "other basis", f"{missing}; it holds as {fitting[0]}.", fitting[0], table)
    keys = _keys(claim)
    if said.achieved or said.later:
        what = "no measured run that would decide it" if said.achieved else "nothing that would decide it"
        why = f"{what} was published{f' by {when}' if when else ''}"
        if said.weaker:  # what there is was not measured
            kinds = listed(kinds_of_run(said.weaker[0], table))
            why = f"{said.weaker[0]} is {kinds}, not measured, and {why}"
        later = f"; later documents give {listed(map(str, said.later[:3]))}" if said.later else ""
        sort = "A measured run" if said.achieved else "A document that states it"
        overturn = f"{sort}, published{f' by {when}' if when else ''}."
        return Verdict(claim, "undecided", "nothing", _sentence(f"{why}{later}."), overturn, sources=keys)
    tail = f"; {listed(map(str, given[:3]))}" if given else ""
    why = f"Nothing to derive it from: {missing}{tail}."
    return Verdict(claim, "unsupported", "nothing", why, "A document that states it.", sources=keys)


def _of_sources(claim: Claim, said: Stated, ledger: Mapping[str, Claim]) -> Verdict:
    """The answer to a claim that follows from what sources state: the first line that fits."""
    target, found, specs = claim.printed, said.found, said.table
    best = closest(found, claim)
    held = [a for a in found if a.holds(claim)]
    opened = "measurement" in best.reading.conditions and "measurement" not in claim.conditions

    def verdict(answer: str, why: str, a: Attempt = best) -> Verdict:
        return _verdict(claim, answer, why, a, specs)

    sides = {bool(target.holds(a.central)) for a in found}
    if opened and len(sides) == 2:
        why = f"It names no run, and published ones lie on both sides: {listed(map(str, found[:4]))}."
        return verdict("undecided", why)
    if held:
        return verdict("holds", _fitting(held, found), held[0])
    if claim.form == "value" and (total := _printed_total(claim, best, specs)):
        told = f"{title(total.subject)} is printed so by its maker: {units.text(total.amount)}"
        return verdict("holds", f"{told}; {best}.")
    if all(map(target.holds_cut, (best.central, *best.ends))):
        return verdict("holds", f"{best}, whose last digit is cut.")
    if said.achieved and claim.form != "statement" and (weaker := _weaker(claim, best, specs)):
        same = attempts([as_run(weaker.reading, specs)], claim.figure_unit, specs).found
        best = same[0] if same else best  # of the same work, where it was measured too
        factor, kind = _size(weaker.central / best.central), listed(kinds_of_run(weaker, specs))
        return verdict("overstated", f"{best}, as measured; {weaker.text} is {kind}: overstated {factor}.")
    if within := [a for a in found if a.reached(claim)]:
        return verdict("within sources", _reached(claim, within[0], specs), within[0])
    if owner := owner_of(claim, best, specs, ledger):
        return verdict("misattributed", f"{best}; the figure is that of {_owner(owner)}.")
    listed_for = listed_readings(best.reading, claim.readings, specs)
    others = attempts([r for r in listed_for if not differs(r, best.reading)], claim.figure_unit, specs)
    if claim.form == "count" and target.low == target.high:
        return verdict("contradicted", f"{best}, not {claim.value}.")
    if fitting := [a for a in others.found if a.fits(claim)]:
        more = f", and {len(fitting) - 2} more" if len(fitting) > 2 else ""
        held_as = listed(map(str, fitting[:2]))
        return verdict("other basis", f"As stated, {best}; it holds on another basis: {held_as}{more}.")
    answer, told = _misses(claim, best, specs)
    tail = _beside(claim, best, others, listed_for, specs)
    return verdict(answer, f"{told}{tail}.")


def _verdict(claim: Claim, answer: str, why: str, found: Attempt, specs: Specs) -> Verdict:
    """An answer from an attempt; what only its maker states of its work holds for nobody."""
    overturn = _overturn(found, specs)
    if answer in ("holds", "within sources") and (alone := _alone(claim, found, specs)):
        why, answer = f"{why.removesuffix('.')}; undecided, not independent: {alone}.", "undecided"
        estimate = specs.kinds[claim.quantity].nature == "estimate"
        overturn = f"{'Another document with that figure' if estimate else 'A measurement'} by somebody else."
    if answer == "misattributed":
        overturn = f"A document that gives {claim.claimed} for {found.reading.text}."
    settled = _settled(claim, found, specs)
    return Verdict(claim, answer, settled, _sentence(why), overturn, found, _sources(found, specs))


def _printed_total(claim: Claim, best: Attempt, specs: Specs) -> Row | None:
    """The total, on whatever basis, that a maker prints for a system and that a bare value repeats."""
    given = {k: v for k, v in best.reading.conditions.items() if k != "basis"}
    unit = units.parse_unit(claim.figure_unit or "count")
    for key in specs.printed_totals:
        subject, quantity, conditions, _ = key
        same = (subject, quantity) == (best.reading.subject, best.reading.quantity)
        if same and given.items() <= read_conditions(conditions).items():
            row = specs.rows[key][0]
            if claim.printed.holds(float(row.amount.to(unit).m)):
                return row
    return None


def _weaker(claim: Claim, best: Attempt, specs: Specs) -> Attempt | None:
    """The published figure of that machine and work, projected or simulated, that a claim repeats."""
    run = specs.measurements.get(best.reading.conditions.get("measurement", ""))
    for other in specs.measurements.values() if run else ():
        alike = all(getattr(other, name) == getattr(run, name) for name in ("accelerator", "phase", "model"))
        if alike and not other.as_run:
            named = [best.reading.changed(f"measurement={other.id}")]
            for found in attempts(named, claim.figure_unit, specs, spread=False).found:
                if claim.printed.holds(found.central):
                    return found
    return None


def _alone(claim: Claim, found: Attempt, specs: Specs) -> str:
    """Who alone states a figure of work, or whose estimate it is; empty if it is independent."""
    if specs.kinds[claim.quantity].nature == "estimate":
        return "an estimate, whose method was made to give it"
    if claim.state in ("projected", "announced"):
        return ""
    sources = load_sources()
    said = []
    for key in found.keys:
        rows = specs.rows[key]
        work = specs.kinds[rows[0].quantity].nature == "performance" or rows[0].basis in RUNS
        makers = [sources[row.source].maker if row.source in sources else "" for row in rows]
        maker = specs.vendor(rows[0].subject)
        if work and maker and all(name == maker for name in makers):
            said.append(f"only documents of {maker} and its partners state it of {title(rows[0].subject)}")
    return listed(each(said))


def _of_model(claim: Claim, found: Attempt, specs: Specs) -> Verdict:
    """The answer through the serving model: its span widened by its error against the interval."""
    target, error = claim.printed, error_of(found, specs)
    assert error is not None
    low, high = error.band(*found.edges)
    inside = bool(target.holds(low) and target.holds(high))
    apart = high < target.low or low > target.high
    answer = "holds" if inside else "undecided"
    widened = f"it is {units.number(low)} to {units.number(high)}" if high < np.inf else "it may be anything"
    told = f"{found}; with {error} {widened}"
    if apart:
        answer, told_of = _misses(claim, found, specs)
        told = f"{told}; {told_of}"
    overturn = "A measurement of that deployment."
    return Verdict(claim, answer, "model", _sentence(f"{told}."), overturn, found, _sources(found, specs))


def _misses(claim: Claim, found: Attempt, specs: Specs) -> tuple[str, str]:
    """Which way a claim misses, and by how much: a range where the makers' documents disagree."""
    target = claim.printed
    factors = sorted(target.value / edge if edge > 0 else np.inf for edge in (found.central, *found.ends))
    # Overstated says better of the subject than is so: of what is better when less, too low a figure.
    lower = specs.kinds[claim.quantity].better == "lower"
    answer = "overstated" if (target.value > found.central) != lower else "understated"
    low, high = found.edges
    ends = f"{units.number(low)} to {units.number(high)}"
    allowed = f"sourced values allow {ends}" if low < high else "one source each"
    return answer, f"{found}, {allowed}: {answer} {_sizes(factors)}{', since less is better' * lower}"


def _sizes(factors: Sequence[float]) -> str:
    """How far claimed and derived are apart, as a range where the makers' documents disagree.

    >>> _sizes([1.17, 1.25]), _sizes([0.96, 0.98]), _sizes([2, 2])
    ('1.17 to 1.25 times', 'by 2 to 4.2 %', '2 times')
    """
    sizes = [_size(factor) for factor in sorted(max(f, 1 / f) for f in (min(factors), max(factors)))]
    first, last = (size.removesuffix(" times").removesuffix(" %") for size in sizes)
    return sizes[0] if first == last else f"{first} to {sizes[1].removeprefix('by ')}"


def _size(factor: float) -> str:
    """How far claimed and derived are apart, whichever is larger; a near miss in per cent.

    >>> _size(0.8), _size(1.0016)
    ('1.25 times', 'by 0.16 %')
    """
    factor = max(factor, 1 / factor)
    return f"{units.number(factor, 3)} times" if factor >= 1.1 else f"by {100 * (factor - 1):.2g} %"


def _beside(claim: Claim, best: Attempt, others: Tried, listed_for: Iterable[Reading], specs: Specs) -> str:
    """What else was tried: on which other quantity it would hold, how many readings fail, what is missing."""
    quantity, other = best.reading.quantity, best.reading.comparator
    apart = [r for r in listed_for if r.quantity != quantity and r.comparator == other]
    tried = attempts(apart if claim.form == "statement" else [], "", specs)
    leads = [a for a in tried.found if a.fits(claim)]
    tail = f"; beside it, {listed(map(str, leads[:2]))}" if leads else ""
    count = len(others.found)
    return tail + (f"; none of {count} other reading{'s' * (count != 1)} fits" if count else "")


def _reached(claim: Claim, found: Attempt, specs: Specs) -> str:
    """Which sourced values reach the claim, and what share of the best combinations do."""
    holds = claim.printed.holds(found.span.values) & found.best[: len(found.span.values)]
    share = units.percent(found.share(claim))
    if not np.any(holds):
        return f"{found}; combinations of the sources lie on both sides, {share} of them beyond the claim."
    picks = zip(found.keys, found.span.choices[int(np.argmax(holds))], strict=True)
    rows = [specs.rows[key][pick] for key, pick in picks if pick]
    values = listed(f"{row_name(r)} at {units.text(r.amount)}" for r in rows)
    return f"{found}, but {share} of the sourced combinations reach it{f': with {values}' if values else ''}."


def _fitting(held: Sequence[Attempt], found: Sequence[Attempt]) -> str:
    if len(found) == 1 or len({a.reading.comparator for a in found}) == 1:
        return f"{held[0]}."
    fits = listed(f"{title(a.reading.comparator)} ({a.text})" for a in held)
    return f"It fits {len(held)} of the {len(found)} machines tried: {fits}."


def _owner(found: Attempt) -> str:
    """The machine, part or quantity that a figure belongs to."""
    part = found.reading.conditions.get("part")
    return f"the {title(part)} of {title(found.reading.subject)}" if part else found.reading.text


def _settled(claim: Claim, found: Attempt, specs: Specs) -> str:
    """By what a computed claim is settled."""
    if specs.kinds[claim.quantity].nature != "performance":
        return "arithmetic"
    return ", ".join(["measurement", *kinds_of_run(found, specs)])


def _sources(found: Attempt, specs: Specs) -> tuple[str, ...]:
    return tuple(each(specs.rows[key][0].source for key in found.keys))


def _overturn(found: Attempt, specs: Specs) -> str:
    """The document that would change the answer."""
    rows = [specs.rows[key][0] for key in found.keys]
    told = each(f"{row_name(row)}" for row in rows if row.quantity != "count") or each(map(row_name, rows))
    if not told:
        return "Another published configuration."
    maker = " of the maker" if specs.vendor(rows[0].subject) else ""
    return f"A document{maker} with another value of {listed(told[:2])}."


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


# --- words of degree -------------------------------------------------------------------------------


def _by_proxies(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Verdict:
    """The answer to a word of degree, or to a comparison that names no quantity."""
    found = measures(claim, specs, ledger)
    holding, failing = (
        [f"{n} {a.text}" for n, a, held in found if a and held is side] for side in (True, False)
    )
    missing = [name for name, a, _ in found if a is None]
    count, total = len(holding), len(holding) + len(failing)
    if not total:
        why = f"None of the measures of {claim.quantity} can be computed: {listed(missing)}."
        return Verdict(claim, "unsupported", "nothing", why, "A document that states one of them.")
    wanted = total if claim.value in ("", "all") else int(claim.value)
    answer = "holds" if count >= wanted else "partly" if count else "overstated"
    if claim.value == "all" and answer == "partly":
        answer = "contradicted"
    parts = [f"of {total} measures of “{claim.quantity}” {count} hold"]
    parts += [f"they are {listed(holding)}"] if holding else []
    parts += [f"against it: {listed(failing)}"] if failing else []
    parts += [f"not stated: {listed(missing)}"] if missing else []
    sources = each(key for _, a, _ in found if a for key in _sources(a, specs))
    leads, trails = ([name for name, a, held in found if a and held is side] for side in (True, False))
    overturn = _turned(leads, trails, wanted, answer)
    why = _sentence("; ".join(parts) + ".")
    return Verdict(claim, answer, "proxy", why, overturn, sources=tuple(sources), weighed=(count, total))


def _turned(holding: Sequence[str], failing: Sequence[str], wanted: int, answer: str) -> str:
    """The fewest measures that must change sides for another answer, in words."""
    fewest = {"holds": (len(holding) - wanted + 1, holding), "partly": (wanted - len(holding), failing)}
    least, side = fewest.get(answer, (1, failing))
    if answer == "partly" and len(holding) < least:
        least, side = len(holding), holding
    some = "" if least == len(side) else "one of " if least == 1 else f"{least} of "
    who = "A document that puts" if least == 1 else "Documents that put"
    return f"{who} {some}{listed(side)} on the other side."


# --- all of them -----------------------------------------------------------------------------------


def judge_all(claims: Iterable[Claim], specs: Specs, among: Iterable[Claim] = ()) -> list[Verdict]:
    """The verdicts of some claims, in their order; refuses a table of draws.

    `among` are the claims that they may refer to, beside themselves.
    """
    if specs.sampled:
        raise InputError("a verdict needs one value a row; this table holds several")
    own = {claim.id: claim for claim in claims}
    ledger = {claim.id: claim for claim in among} | own
    return [_said(judge(claim, specs, ledger), specs) for claim in own.values()]


def _said(verdict: Verdict, specs: Specs) -> Verdict:
    """The verdict with the sentence that its claim has for this very answer, else with the reason."""
    answer, _, sentence = verdict.claim.plain.partition(": ")
    if answer != verdict.answer:
        return replace(verdict, plain=verdict.why)
    return replace(verdict, plain=filled(sentence, specs, verdict.figures))


def scorecard(claims: Iterable[Claim], specs: Specs, among: Iterable[Claim] = ()) -> pd.DataFrame:
    """One line a claim: the figure claimed, the one derived, its span, the answer, how, the reason."""
    return tabulated(judge_all(claims, specs, among))


def tabulated(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """The scorecard of verdicts."""
    return pd.DataFrame([_line(verdict) for verdict in verdicts])


def _line(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    low, high = verdict.attempt.edges if verdict.attempt else (np.nan, np.nan)
    return {
        "id": claim.id,
        "article": claim.article,
        "category": claim.category,
        "claim": claim.statement,
        "claimed": claim.claimed if claim.value and not claim.word else "",
        "derived": verdict.derived,
        "low": low,
        "high": high,
        "ratio": verdict.quotient,
        "answer": verdict.answer,
        "settled": verdict.settled,
        "reported": claim.reported,
        "plain": verdict.plain,
        "why": verdict.why,
        "overturn": verdict.overturn,
        "sources": ";".join(verdict.sources),
    }
