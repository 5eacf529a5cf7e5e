"""The record of answers and objections: complete, in step with the scorecard, and on the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pages
import pytest
from facts import facts
from own_ledger import CLAIMS, lines

from cm384.ledger import record
from cm384.table.errors import DATA, InputError

LINES = lines().set_index("id")
CHANGELOG = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")


def test_each_claim_has_its_answers_and_the_last_is_that_of_the_scorecard() -> None:
    had = record.load_answers()
    assert set(had) == {claim.id for claim in CLAIMS if not claim.same_as}
    assert {name: rows[-1].answer for name, rows in had.items()} == LINES.loc[[*had], "answer"].to_dict()


def test_change_of_words_alone_is_no_move() -> None:
    moved = {claim.id: (was.answer, now.answer) for claim, was, now in record.moves(CLAIMS)}
    assert moved["S000-22"] == ("understated", "undecided")
    assert moved["S003-05"] == ("within model error", "overstated")
    assert not {"S000-03", "S000-08", "S000-02"} & set(moved)


def test_changelog_lists_every_move() -> None:
    _, _, section = CHANGELOG.partition("### Numbers that changed")
    listed = re.findall(r"^\| (S\d+-\d+[a-z]?) \| (.+?) \| (.+?) \| (.+?) \|$", section, flags=re.M)
    moved = [(claim.id, was.answer, now.answer, now.why) for claim, was, now in record.moves(CLAIMS)]
    assert listed == moved


def test_page_shows_moves_objections_and_the_version() -> None:
    shown = pages.render("changes", **pages.changes(facts()))
    assert record.data_version() in shown
    for claim, was, now in record.moves(CLAIMS):
        assert f"{claim.id}: " in shown
        assert was.answer in shown
        assert now.why.split(";")[0].split("'")[0] in shown
    for row in record.load_objections():
        assert row.source.split(";")[0] in shown


def test_version_moves_with_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    before = record.data_version()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[0-9a-f]{8}", before)
    monkeypatch.setattr(record.files, "digests", lambda: "specs.csv,another\n")
    after = record.data_version()
    assert after[:10] == before[:10]
    assert after != before


@pytest.mark.parametrize(
    ("file", "row", "told"),
    [
        ("answers.csv", "S999-01,2026-11-30,holds,so", "column claim: 'S999-01'"),
        ("answers.csv", "S000-01,2026-11-30,true,so", "column answer: 'true'"),
        (
            "answers.csv",
            "S000-01,2020-01-01,holds,so",
            "column since: '2020-01-01'; expected 2026-11-30 or later",
        ),
        (
            "objections.csv",
            "S000-01,2026-11-30,Huawei,it is so,nobody2025,none",
            "column source: 'nobody2025'",
        ),
        ("objections.csv", "S000-01,2026-11-30,me,it is so,itbear2025ascend,none", "column side: 'me'"),
    ],
)
def test_bad_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, row: str, told: str
) -> None:
    text = (DATA / file).read_text(encoding="utf-8")
    (tmp_path / file).write_text(f"{text}{row}\n", encoding="utf-8")
    monkeypatch.setattr(record, "DATA", tmp_path)
    read = record.load_answers if file == "answers.csv" else record.load_objections
    with pytest.raises(InputError, match=f"{file} line .*{re.escape(told)}"):
        read()
