"""What a claim says, as readings: the machine, the run and the rows that the sentence speaks of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cm384.ledger.attempts import Attempt, attempts, closest
from cm384.ledger.claims import QUOTIENTS, Claim
from cm384.ledger.readings import OPEN, Reading, differs, listed_readings, load_proxies, without_doubles
from cm384.physics.check import comparable
from cm384.physics.served import MODELLED
from cm384.table import units
from cm384.table.documents import load_sources
from cm384.table.records import Measurement
from cm384.table.specs import Specs
from cm384.table.words import each, title

# --- what a claim says, as readings ----------------------------------------------------------------


@dataclass(frozen=True)
class Stated:
    """A claim at its word: its readings, what those that may decide give, and what they were read from.

    `missing` says why a reading could not be computed, `weaker` holds figures of work that nobody
    measured, which decide nothing of what is said as achieved; `later`, where nothing decides, what came
    out after the article.
    """

    readings: list[Reading]
    found: list[Attempt]
    weaker: list[Attempt]
    later: list[Attempt]
    missing: Mapping[str, str]
    achieved: bool
    table: Specs


def considered(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> Stated:
    """What may decide a claim: the rows of the kind that it speaks of, as of the date of the article.

    Throughput and latency are said as achieved, the rest as specified, unless the claim says otherwise.
    """
    table = as_of(specs, written(claim))
    readings = as_stated(claim, table, ledger)
    work = table.kinds[claim.quantity].nature == "performance" and claim.quantity not in MODELLED
    achieved = work and claim.state in ("", "achieved")
    if achieved:
        readings = without_doubles(as_run(reading, table) for reading in readings)
    tries = attempts(readings, claim.figure_unit, table)
    alone = achieved and not claim.comparator
    split: dict[bool, list[Attempt]] = {True: [], False: []}
    for a in tries.found:
        split[bool(alone and kinds_of_run(a, table))].append(a)
    later: list[Attempt] = []
    if not tries.found and written(claim):
        later = attempts(as_stated(claim, specs, ledger), claim.figure_unit, specs).found
    return Stated(readings, split[False], split[True], later, tries.missing, achieved, table)


@lru_cache(maxsize=32)
def as_of(specs: Specs, date: str) -> Specs:
    """The table without what happened after a date."""
    return specs.before(date)


def written(claim: Claim) -> str:
    """The date of the article, where it is known; nothing after it is held against the claim."""
    known = load_sources().get(claim.article)
    return known.published if known else ""


def as_stated(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Reading]:
    """The readings that take the claim at its word: one, or one for each machine or run it leaves open.

    A comparator may be the id of another claim (whatever machine that one fits, or belongs to, is
    meant) or be missing (the article names none: every machine of the subject's kind is tried).
    """
    difference = claim.form == "difference"
    plain = Reading(claim.subject, claim.quantity, claim.comparator, {}, difference=difference)
    plain = plain.changed(claim.conditions)
    if claim.quantity == "published_throughput" and specs.parts(claim.subject):
        whole = units.same_kind(claim.unit or "count", "token/s") and not claim.comparator
        chip = f"subject={specs.parts(claim.subject)[0]}"
        plain = dataclasses.replace(plain, quantity="system_throughput") if whole else plain.changed(chip)
    if claim.comparator in ledger:
        meant = [_meant(plain, other, specs) for other in beside(ledger[claim.comparator], specs, ledger)]
    elif claim.comparator or claim.form not in QUOTIENTS:
        meant = [plain]
    else:
        kind = specs.systems if specs.parts(claim.subject) else specs.chips
        known = [name for name in kind if name != claim.subject and _existed(name, specs, written(claim))]
        meant = [dataclasses.replace(plain, comparator=name) for name in known]
    return without_doubles(run for reading in meant for run in runs(reading, specs))


def _existed(machine: str, specs: Specs, date: str) -> bool:
    """Whether a dated document about a machine or its chips may be as old as a date."""
    known, about = load_sources(), {machine, *specs.parts(machine)}
    told = (known.get(row.source) for name in about for row in specs.about.get(name, ()))
    return not date or any(s is None or not (s.after(date) or s.published.startswith("by ")) for s in told)


def beside(claim: Claim, specs: Specs, ledger: Mapping[str, Claim]) -> list[Reading]:
    """Whose comparison a neighbouring figure is: of what it fits, or of its owner if it fits nothing."""
    found = considered(claim, specs, ledger).found
    if fitting := [a.reading for a in found if claim.printed.holds(a.central)]:
        return [dataclasses.replace(reading, subject="") for reading in fitting]
    owner = owner_of(claim, closest(found, claim), specs, ledger) if found else None
    return [owner.reading] if owner else []


def _meant(plain: Reading, other: Reading, specs: Specs) -> Reading:
    """A reading against the machine of another one; a chip is compared with the chip of a system."""
    subject, against = other.subject or plain.subject, other.comparator
    if specs.parts(against) and not specs.parts(subject):
        against = specs.parts(against)[0]
    return dataclasses.replace(plain, subject=subject, comparator=against)


def runs(reading: Reading, specs: Specs) -> list[Reading]:
    """A reading of work on each published run that it can mean, if it names none."""
    if "measurement" in reading.conditions or reading.quantity not in OPEN:
        return [reading]
    ours, theirs = (specs.parts(name)[:1] or [name] for name in (reading.subject, reading.comparator))
    if reading.comparator:
        own = dataclasses.replace(reading, subject=ours[0], comparator=theirs[0])
        pairs = comparable(ours[0], theirs[0], specs) if ours != theirs else []
        return [own.changed(_named(*pair, own)) for pair in pairs]
    found = [run for run in specs.measurements.values() if run.accelerator == ours[0]]
    return [reading.changed(_named(run, run, reading)) for run in found]


def _named(ours: Measurement, theirs: Measurement, reading: Reading) -> str:
    """The change that names the runs of both sides, with the precision of each."""
    text = f"measurement={ours.id}"
    if reading.quantity == "tokens_per_tflop":
        text += f";precision={ours.matrix_precision};comparator.precision={theirs.matrix_precision}"
    return text + (f";comparator.measurement={theirs.id}" if reading.comparator else "")


def as_run(reading: Reading, specs: Specs) -> Reading:
    """A reading on measured runs, where those that it names were not run so: the same work as measured."""
    found = reading
    for side, given in (("", reading.conditions), ("comparator.", reading.against)):
        if (name := given.get("measurement", "")) and (run := _measured(name, specs)) != name:
            found = found.changed(f"{side}measurement={run}")
    return found


def _measured(name: str, specs: Specs) -> str:
    """The measured run of the same work, or the run itself."""
    run = specs.measurements.get(name)
    if run is None or run.as_run:
        return name
    same = ("accelerator", "model", "phase", "batch", "context", "tensor_parallel", "matrix_precision",
            "microbatches")  # fmt: skip
    for other in specs.measurements.values():
        alike = all(getattr(other, field) == getattr(run, field) for field in same)
        if other.as_run and alike and other.source == run.source:
            return other.id
    return name


def kinds_of_run(found: Attempt, specs: Specs) -> list[str]:
    """How the published figures behind an attempt came about, where they were not measured."""
    rows = [specs.rows[key][0] for key in found.keys]
    work = [row.basis for row in rows if specs.kinds[row.quantity].nature == "performance"]
    return each(basis for basis in work if basis not in ("measured", "assumed"))


def owner_of(claim: Claim, best: Attempt, specs: Specs, ledger: Mapping[str, Claim]) -> Attempt | None:
    """Whose a printed figure is: another machine that the article names, a part, a listed reading.

    None for a bare comparison, and none if nobody's central value is printed so.
    """
    printed = claim.form in ("value", "ratio", "share", "increase", "count")
    if not printed or claim.relation not in ("eq", "about"):
        return None
    listed_for = listed_readings(best.reading, claim.readings, specs)
    candidates = _owners(claim, best.reading, listed_for, specs, ledger)
    found = attempts(candidates, claim.figure_unit, specs, spread=False).found
    return next((a for a in found if claim.printed.holds(a.central)), None)


def _owners(claim: Claim, stated: Reading, others: Iterable[Reading], specs: Specs,
            ledger: Mapping[str, Claim]) -> list[Reading]:  # fmt: skip
    """Whose a figure may be: machines that the article names, parts of the subject, listed readings."""
    own = [other for other in ledger.values() if other.article == claim.article]
    named = each(n for c in own for n in (c.subject, c.comparator) if n in specs.subjects)
    chip = {
        name: specs.parts(name)[0]
        for name in each([*named, stated.subject, stated.comparator])
        if name and specs.parts(name)
    }
    subjects = [
        name for name in named if name != stated.subject and (name in chip) == (stated.subject in chip)
    ]
    against = [name for name in named if name in chip or name in specs.chips] if stated.comparator else []
    found = [stated.changed(f"subject={name}") for name in subjects]
    for name in (stated.subject, *subjects):
        found += [
            stated.changed(f"subject={name};comparator={other}")
            for other in against
            if (other in chip) == (name in chip)
        ]
    if stated.subject in chip and (stated.comparator in chip or not stated.comparator):
        found.append(_per_chip(stated, chip))
    if "part" in stated.conditions:
        found += [stated.changed(f"part={part}") for part in specs.counted(stated.subject)]
    return [r for r in without_doubles([*found, *others]) if differs(r, stated)]


def _per_chip(stated: Reading, chip: Mapping[str, str]) -> Reading:
    """The same of one chip on either side."""
    return dataclasses.replace(
        stated, subject=chip[stated.subject], comparator=chip.get(stated.comparator, "")
    )


# --- words of degree --------------------------------------------------------------------------


def measures(
    claim: Claim, specs: Specs, ledger: Mapping[str, Claim]
) -> list[tuple[str, Attempt | None, bool]]:
    """Each proxy of a claim's word: what it is, what it gives (none if not stated), whether it holds.

    Of a work that was measured, what was projected of it does not count, and what reads the same rows
    as a measure before it (eight bits again, where neither side has four) is no further one.
    """
    plain = Reading(claim.subject, "", claim.comparator, {})
    if claim.comparator in ledger:
        meant = beside(ledger[claim.comparator], specs, ledger)
        if not meant:
            return [(f"no machine fits {claim.comparator}", None, False)]
        plain = _meant(plain, meant[0], specs)
    found: list[tuple[str, Attempt | None, bool]] = []
    for proxy in load_proxies()[claim.quantity]:
        reading = plain.changed(proxy.reading)
        name = proxy.why[0].lower() + proxy.why[1:]
        name += f" against {title(reading.comparator)}" if reading.comparator != plain.comparator else ""
        named = (as_run(run, specs) for run in runs(_same_kind(reading, specs), specs))
        tries = [r for r in without_doubles(named) if r.subject != r.comparator]
        gives = attempts(tries, "", specs, spread=False).found
        if not gives and specs.parts(reading.subject) and specs.parts(reading.comparator):  # of one chip
            chips = {name: specs.parts(name)[0] for name in (reading.subject, reading.comparator)}
            gives = attempts([_per_chip(reading, chips)], "", specs, spread=False).found
        if not gives:
            found.append((name, None, False))
            continue
        if any(a and a.keys == gives[0].keys for _, a, _ in found):
            continue
        lower = specs.kinds[reading.quantity].better == "lower"
        bar = float(proxy.at_least)
        leads = [(1 / a.central if lower else a.central) for a in gives]
        holds = [lead > 1 if bar == 1 else lead >= bar for lead in leads]
        if not np.allclose(leads, 1):  # a tie is no lead, and none of the other side
            found.append((name, gives[0], sum(holds) * 2 > len(holds)))
    return found


def _same_kind(reading: Reading, specs: Specs) -> Reading:
    """A system against a named chip is compared chip for chip."""
    if specs.parts(reading.subject) and not specs.parts(reading.comparator):
        return dataclasses.replace(reading, subject=specs.parts(reading.subject)[0])
    return reading
