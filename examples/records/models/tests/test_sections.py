from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.sections import Sections

NOTE = """PROGRESS NOTE
Patient: Mary Smith    DOB: 03/04/1950

HISTORY OF PRESENT ILLNESS:
She is here today for her asthma.

FAMILY HISTORY:
Mother had gout.

PLAN:
Follow up on 05/06/2025.

Electronically signed by Karen Reed, MD on 05/02/2025"""
LABELS = [
    *("header", "header", "other", "history", "history", "other", "family", "family"),
    *("other", "plan", "plan", "other", "signature"),
]


@pytest.fixture(scope="module")
def head():
    return Sections(Path(__file__).parent.parent / "sections")


def test_labels_each_line_of_a_plain_note(head):
    assert head([NOTE])[0][0].split("\n") == LABELS


def test_answers_in_order_and_alone_as_in_a_batch(head):
    texts = [NOTE, "PLAN:\nDaily weights.", "", "\n\n", NOTE[::-1]]
    (together,) = head(texts)
    assert list(together) == [head([text])[0][0] for text in texts]
    assert [each.count("\n") for each in together] == [text.count("\n") for text in texts]


def test_refuses_a_text_that_is_too_long(head):
    with pytest.raises(RefusedRowError, match="row 1"):
        head([NOTE, "x" * (LONGEST + 1)])
