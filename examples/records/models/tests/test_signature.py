from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.signature import Signature

MODELS = Path(__file__).parent.parent
NOTE = "PROGRESS NOTE\nPLAN:\nReturn to clinic in three months.\n\n"
SIGNED = NOTE + "Electronically signed by Mary Brown, MD on 03/04/2025"
MISREAD = NOTE + "E1ectronica1ly slgned by Mary Brovvn, MD on 03/04/2O25\n\nPage 2 of 4"
DRAFT = NOTE + "UNSIGNED DRAFT - Mary Brown, MD"
RULED = NOTE + "Signature: ______________  Date: ________"
DENIED = NOTE + "Dictated but not signed\nMary Brown, MD"


@pytest.fixture(scope="module")
def signature():
    return Signature(MODELS / "signature")


def test_plain_pages(signature):
    signed, scores = signature([SIGNED, RULED, MISREAD, DRAFT, DENIED])
    assert signed == [True, False, True, False, False]
    assert all(type(each) is bool for each in signed)
    assert all(0 <= score <= 1 for score in scores)


def test_alone_as_in_a_batch(signature):
    texts = [DENIED, SIGNED, "", RULED] * 4
    alone = [signature([text]) for text in texts]
    assert signature(texts) == [[each[0][0] for each in alone], [each[1][0] for each in alone]]


def test_an_endless_text_is_refused_by_its_row(signature):
    with pytest.raises(RefusedRowError, match="row 0: "):
        signature(["x" * (LONGEST + 1), SIGNED])
