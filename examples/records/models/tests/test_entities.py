from pathlib import Path

import pytest

from heads.base import MENTIONS, RefusedRowError
from heads.entities import LONGEST_LINE, Entities

NOTE = """HPI:
She has a history of gout and asthma.
She continues metformin 500 mg BID."""


@pytest.fixture(scope="module")
def head():
    return Entities(Path(__file__).parent.parent / "entities")


def test_finds_conditions_and_drugs_with_their_places(head):
    conditions, drugs = head([NOTE])
    assert conditions == [["1|21|25|gout", "1|30|36|asthma", *[""] * (MENTIONS - 2)]]
    assert drugs == [["2|14|23|metformin", *[""] * (MENTIONS - 1)]]


def test_entries_are_slices_of_the_lines(head):
    texts = [NOTE, "1. Heart | failure - stable, continue lisinopril.\n|Gout", NOTE + "\n" * 30]
    for text, *columns in zip(texts, *head(texts), strict=True):
        for entry in filter(None, [*columns[0], *columns[1]]):
            line, start, end, said = entry.split("|", 3)
            assert text.split("\n")[int(line)][int(start) : int(end)] == said


def test_answers_in_order_and_alone_as_in_a_batch(head):
    texts = [NOTE, "", "Gout. " * 40, "PLAN:\nStart Zithromax 500 mg daily."]
    together = head(texts)
    for row, text in enumerate(texts):
        assert [column[row] for column in together] == [column[0] for column in head([text])]
    assert all(len(row) == MENTIONS for column in together for row in column)


def test_refuses_a_page_with_an_endless_line(head):
    head(["a " * LONGEST_LINE])
    with pytest.raises(RefusedRowError, match=rf"row 1: line 2 has {LONGEST_LINE + 1} tokens"):
        head([NOTE, "a\nb\n" + "a " * (LONGEST_LINE + 1)])


def test_how_long_a_line_may_be_can_be_said(head):
    lenient = Entities(head.folder, longest_line=LONGEST_LINE + 1)

    assert lenient(["a " * (LONGEST_LINE + 1)])
