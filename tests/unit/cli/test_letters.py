import json
from dataclasses import replace
from typing import Any

import pytest

from headrace.cli import letters
from headrace.cli.letters import about, listing, nothing_like, variables, whole
from headrace.cli.settings import load_pipeline
from headrace.core.records import Record, TopicPartition
from headrace.kafka.dead_letters import DeadLetter, parsed
from headrace.kafka.replay import Replayed

PARTS = {
    "count": 3,
    "since": 1,
    "parts": [
        {"from": "score", "index": 0, "outcome": "result", "document": {"score": 1}},
        {
            "from": "score",
            "index": 1,
            "outcome": "failed",
            "error": {"step": "score", "class": "InvalidInputError", "message": "no  text"},
        },
        {"from": "labs", "index": 2, "outcome": "dropped"},
    ],
}


def letter(
    id_: str = "t-0-1", value: bytes | None = b"{}", offset: int = 0, **headers: str
) -> DeadLetter:
    named = {"id": id_, "error-step": "score", "error-class": "E", "error-last": str(offset)}
    named |= {name.replace("_", "-"): content for name, content in headers.items()}
    told = [(f"headrace-{name}", content.encode()) for name, content in named.items()]
    return parsed(Record(TopicPartition("d", 0), offset, b"k", value, 1, told))


def gathered(offset: int = 1, **headers: str) -> DeadLetter:
    given = {"error_step": "whole", "error_class": "MissingPartError", "partial": "gather"}
    return letter(value=json.dumps(PARTS).encode(), offset=offset, **given | headers)


def test_nothing_found_says_what_was_asked_for_and_where_to_look(pipeline):
    topology = load_pipeline(str(pipeline)).topology

    assert nothing_like(topology, None, None) == "no open dead letter"
    assert nothing_like(topology, "nix", None) == (
        "no open dead letter of step 'nix'; the pipeline's steps are translate"
    )
    assert nothing_like(topology, "translate", "attempts > 1", "t-0-1") == (
        "no open dead letter of record 't-0-1' of step 'translate' for which that holds; "
        "`headrace dlq ls` lists all"
    )


def test_a_gather_that_failed_with_its_part_is_drawn_as_a_consequence():
    _, first, second = listing([letter("t-0-1/1"), gathered()], as_json=False).splitlines()

    assert first.split()[:4] == ["t-0-1/1", "k", "score", "E"]
    assert "└ whole  MissingPartError" in second
    assert second.endswith("because of score")


def test_what_follows_of_one_id_shares_a_line():
    first = gathered(id="t-0-1/1", error_step="join", partial="join")
    second = gathered(id="t-0-1/1", error_step="page", partial="join")
    lines = listing([letter("t-0-1/1"), first, second, gathered()], as_json=False).splitlines()

    assert len(lines) == 4
    assert "└ join, page  MissingPartError" in lines[2]
    assert lines[3].startswith("t-0-1  ")


def test_a_column_of_keys_is_there_where_a_letter_has_one():
    keyed, bare = letter("t-0-1"), replace(letter("t-0-2", offset=1), key=None)

    assert listing([bare], as_json=False).splitlines()[0].split()[:2] == ["ID", "STEP"]
    heading, first, second = listing([keyed, bare], as_json=False).splitlines()
    assert heading.split()[:3] == ["ID", "KEY", "STEP"]
    assert (first.split()[1], second.split()[1]) == ("k", "score")


def test_a_gather_whose_part_never_came_is_a_cause_of_its_own():
    parts = {**PARTS, "parts": [PARTS["parts"][0]]}
    late = letter(
        value=json.dumps(parts).encode(), partial="gather", error_class="MissingPartError"
    )

    assert late.because_of == []
    assert "└" not in listing([late], as_json=False)


def test_a_machine_gets_the_record_and_the_steps_that_caused_it():
    (row,) = json.loads(listing([gathered()], as_json=True))["dead_letters"]

    assert (row["record"], row["because_of"]) == ("t-0-1", ["score"])
    assert set(letters.VARIABLES) - {"value", "headers"} == set(row)
    assert set(variables(gathered())) == set(letters.VARIABLES)


def test_the_parts_of_a_gather_are_shown_one_a_line():
    shown = whole([gathered()], as_json=False).splitlines()

    at = shown.index("parts      3 of 3 had come to the gather")
    assert [line.split() for line in shown[at + 1 :]] == [
        ["score", "0", "result", '{"score":', "1}"],
        ["score", "1", "failed", "at", "score:", "InvalidInputError:", "no", "text"],
        ["labs", "2", "dropped"],
    ]
    assert "because_of score" in shown
    assert not any(line.startswith("value") for line in shown)


@pytest.mark.parametrize("value", [b"nonsense", b"[]", b'{"parts": [1]}', b"{}"])
def test_parts_that_cannot_be_read_are_shown_as_they_are(value):
    broken = letter(value=value, partial="join", error_class="MissingPartError")

    assert broken.parts == ()
    assert broken.because_of == []
    assert any(line.startswith("value") for line in whole([broken], as_json=False).splitlines())


def test_letters_of_a_record_stand_together_causes_first(monkeypatch):
    found = [gathered(offset=1), letter("t-0-2", offset=2), letter("t-0-1/1", offset=3)]

    class Found:
        def __init__(self, topology: Any) -> None:
            pass

        def open(self) -> list[DeadLetter]:
            return found

    monkeypatch.setattr(letters, "DeadLetters", Found)

    assert [each.offset for each in letters.chosen(None, None, None)] == [3, 1, 2]
    assert [each.offset for each in letters.chosen(None, None, None, "t-0-1")] == [3, 1]
    assert [each.offset for each in letters.chosen(None, None, None, "t-0-1/1")] == [3]
    assert letters.chosen(None, None, None, "t-0") == []
    by_cause = letters.chosen(None, None, "'score' in because_of")
    assert [each.offset for each in by_cause] == [1]


def test_what_went_along_and_what_stayed_is_told():
    told = list(about(Replayed(records=5, without_value=1, along=2, left=3)))

    assert told[0].startswith("2 of them were not chosen, but belong to a record")
    assert told[1:] == [
        "1 left alone: their value is not in the dead-letter topic",
        "3 left alone: another dead letter of the same record has no value",
    ]
    assert list(about(Replayed(1, 0))) == []
