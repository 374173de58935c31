from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.credentials import Credentials
from heads.licences import candidates

MODELS = Path(__file__).parent.parent
NOTE = "PROGRESS NOTE\nPatient: Ann Lee  DOB: 04/05/1950\nPLAN:\nReturn to clinic in a month.\n\n"
SIGNED = "Electronically signed by Mary Brown, {} on 03/04/2025 10:15"


@pytest.fixture(scope="module")
def credentials():
    return Credentials(MODELS / "credentials")


@pytest.mark.parametrize(
    ("written", "label"),
    [
        *(("MD", "MD"), ("D.O.", "DO"), ("FNP-BC", "NP"), ("Physician Assistant", "PA")),
        *(("R.N.", "RN"), ("M0", "MD"), ("Medical Assistant", "none")),
    ],
)
def test_who_signed(credentials, written, label):
    assert credentials([NOTE + SIGNED.format(written)]) == [[label]]


def test_others_on_the_page_do_not_count(credentials):
    text = NOTE + "Reviewed by Joan Hill, RN before the visit.\n" + SIGNED.format("DO")
    assert credentials([text + "\ncc: Paul Reed, MD"]) == [["DO"]]


def test_nobody(credentials):
    assert credentials([NOTE, ""]) == [["none", "none"]]


def test_alone_as_in_a_batch(credentials):
    texts = [NOTE, NOTE + SIGNED.format("PA-C"), NOTE + SIGNED.format("RN"), ""] * 4
    assert credentials(texts) == [[credentials([text])[0][0] for text in texts]]


def test_an_endless_text_is_refused_by_its_row(credentials):
    with pytest.raises(RefusedRowError, match="row 1: "):
        credentials([NOTE, "x" * (LONGEST + 1)])


def test_plain_words_are_no_candidates():
    assert candidates(["the patient will do well at home"]) == []
