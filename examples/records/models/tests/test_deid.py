from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.deid import Deid


@pytest.fixture(scope="module")
def head():
    return Deid(Path(__file__).parent.parent / "deid")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Known asthma, followed by Dr. Nancy Hill.", "Known asthma, followed by Dr. [NAME]."),
        ("Date of Service: 03/04/2025", "Date of Service: [DATE]"),
        ("Patient advised to call 312-555-0142", "Patient advised to call [PHONE]"),
        ("Lungs: clear to auscultation.", "Lungs: clear to auscultation."),
    ],
)
def test_masks_what_tells_who_it_is(head, text, masked):
    assert head([text]) == [[masked]]


def test_answers_in_order_and_alone_as_in_a_batch(head):
    texts = ["MRN: MR051626\n\nDOB: 04/05/1950", "", "a\n\nb\n", "Signed: Karen Rivera, NP-C"]
    (together,) = head(texts)
    assert list(together) == [head([text])[0][0] for text in texts]
    assert [each.count("\n") for each in together] == [text.count("\n") for text in texts]


def test_refuses_a_text_that_is_too_long(head):
    with pytest.raises(RefusedRowError, match="row 0"):
        head(["x" * (LONGEST + 1)])
