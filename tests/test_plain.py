"""The one sentence of each claim: there for its answer, with every figure derived, and without ids."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from own_ledger import CLAIMS, lines

import cm384
from cm384.ledger.claims import Claim, load_claims
from cm384.ledger.readings import filled
from cm384.ledger.verdicts import judge_all
from cm384.table.errors import InputError
from cm384.table.words import title

SPECS = cm384.load_specs()
LINES = lines().set_index("id")
OWN = [claim for claim in CLAIMS if not claim.same_as]
# What a name holds of digits is no figure.
SHORT = ("910C", "310B", "A100", "A800", "GB200", "GB300", "H20", "H100", "H800", "NVL256", "5G", "16-bit",
         "8-bit", "DeepSeek-V3")  # fmt: skip
NAMES = sorted({*map(title, SPECS.subjects), *SPECS.models, *SHORT}, key=len, reverse=True)


def typed(text: str) -> set[str]:
    """The figures of a sentence that stand there as digits: no names, no placeholders."""
    bare = re.sub(r"\{[^{}]*\}", " ", text)
    for name in NAMES:
        bare = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", bare, flags=re.IGNORECASE)
    return set(re.findall(r"\d[\d,.]*(?<![,.])", bare))


def stated(claim: Claim) -> set[str]:
    """The figures that the row of a claim states elsewhere: the article's, its document's, dates."""
    cells = dataclasses.asdict(claim) | {"plain": "", "primary": "", "id": "", "same_as": ""}
    return set(re.findall(r"\d[\d,.]*(?<![,.])", " ".join(cells.values())))


@pytest.mark.parametrize("claim", OWN, ids=lambda claim: claim.id)
def test_sentence_is_for_its_answer_and_types_no_figure_of_its_own(claim: Claim) -> None:
    line = LINES.loc[claim.id]
    assert claim.plain.startswith(f"{line['answer']}: ")
    sentence = line["plain"]
    assert sentence != line["why"]
    assert not re.search(r"[{}|]|S00\d-\d|CM384|DSK-|SGL-|[a-z]+_[a-z]+", sentence)
    assert re.match(r"[A-Z0-9]", sentence)
    assert sentence.endswith(".")
    assert len(sentence) < 400
    assert typed(claim.plain.partition(": ")[2]) <= stated(claim)


def test_figure_typed_into_a_sentence_is_seen() -> None:
    claim = dataclasses.replace(OWN[1], plain="overstated: It has 1.60 times the peak of GB200 NVL72.")
    assert typed(claim.plain) - stated(claim) == {"1.60"}


def test_sentence_written_for_another_answer_gives_way_to_the_reason() -> None:
    claim = next(c for c in CLAIMS if c.id == "S000-12")
    (verdict,) = judge_all([dataclasses.replace(claim, plain="overstated: It has not.")], SPECS)
    assert (verdict.answer, verdict.plain) == ("holds", verdict.why)
    (verdict,) = judge_all([dataclasses.replace(claim, plain="")], SPECS)
    assert verdict.plain == verdict.why


def test_sentences_follow_the_figures() -> None:
    """384 × 128 ÷ (72 × 192) = 3.5556 and 384 × 128 ÷ 13,400 = 3.668; 752 ÷ 2,500 × 384 ÷ 72 = 1.604 and
    800 ÷ 2,500 × 384 ÷ 72 = 1.707; 5,655 ÷ 7,839 = 0.721, 6,688 ÷ 7,839 = 0.853, 1,943 ÷ 2,325 = 0.836."""
    assert "has 3.56 times the memory of GB200 NVL72" in LINES.loc["S000-11", "plain"]
    assert "it would be 3.67" in LINES.loc["S000-11", "plain"]
    assert "1.60 to 1.71 times the dense 16-bit compute" in LINES.loc["S000-02", "plain"]
    told = "72 % of the H800 profile in prefill, 85 % if its experts were as balanced, and 84 % in decode"
    assert told in LINES.loc["S003-11", "plain"]
    assert "Measured were 5,655 tokens/s per accelerator" in LINES.loc["S003-05", "plain"]
    assert "on 6 of 10 listed measures" in LINES.loc["S000-01", "plain"]


def test_placeholder_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="placeholder 'deriven'"):
        filled("{claim=deriven}", SPECS, {"derived": SPECS.get("h20", "hbm_capacity")})
    with pytest.raises(InputError, match="hbm_capcity"):
        filled("{subject=h20;quantity=hbm_capcity}", SPECS)


def test_sentence_without_an_answer_before_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    head = "id,statement,subject,quantity,form,value,unit,plain\n"
    path.write_text(f"{head}a,It has 1 GB.,h20,hbm_capacity,value,96,GB,It has.\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2, column plain: 'It has\.'"):
        load_claims(path)
