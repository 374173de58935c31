from datetime import date
from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.dates import Dates
from heads.days import days

NOTE = """Printed: 09/30/2025
PROGRESS NOTE
Name: Mary Smith
Date of Birth: 03/04/1950   Age: 75
Visit Date: 05/02/2025

HPI:
Last eye exam 01/02/2024.
PLAN: Follow up on 08/06/2025."""


@pytest.fixture(scope="module")
def head():
    return Dates(Path(__file__).parent.parent / "dates")


@pytest.mark.parametrize(
    "text",
    [
        *("03/14/2025", "03/14/25", "2025-03-14", "14-Mar-2025", "Mar 14, 2025", "March 14 2025"),
        *("O3/l4/2O25", "03/1412025", "03/14/7025", "2025-03-l4", "Marcn 14, 2025", "03//14/2025"),
    ],
)
def test_reads_a_day_in_any_form_through_misread_digits(text):
    assert [each.day for each in days([f"seen {text} by"])] == [date(2025, 3, 14)]


@pytest.mark.parametrize(
    "text", ["BP 111/72", "4.0-11.0", "312-555-0142", "MR051626", "13/45/2025"]
)
def test_reads_no_day_where_there_is_none(text):
    assert list(days([text])) == []


def test_takes_the_day_of_the_visit(head):
    (day,), (chance,) = head([NOTE])
    assert day == "2025-05-02"
    assert 0.5 < chance <= 1


def test_takes_no_day_of_a_page_without_one(head):
    assert head(["Gout is stable.", ""]) == (["", ""], [0.0, 0.0])


def test_answers_in_order_and_alone_as_in_a_batch(head):
    texts = ["no day", NOTE, "", NOTE.replace("05/02", "06/03")]
    together = head(texts)
    assert [head([text]) for text in texts] == [([a], [b]) for a, b in zip(*together, strict=True)]
    assert together[0] == ["", "2025-05-02", "", "2025-06-03"]


def test_refuses_a_text_that_is_too_long(head):
    with pytest.raises(RefusedRowError, match="row 1"):
        head([NOTE, "x" * (LONGEST + 1)])
