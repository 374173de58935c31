from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.quality import Quality
from heads.readability import Readability

MODELS = Path(__file__).parent.parent
CLEAN = """Progress Note
Patient returns for follow up. Denies chest pain, shortness of breath or fever at this time.
Blood pressure is stable and medications were reviewed with the patient before the visit.
Physical exam: lungs are clear to auscultation, abdomen is soft, no edema of the extremities.
Continue current medications and return to the clinic in three months."""
POOR = """| Progess Notc
Paticnt retnrns for f0llow up.  Denies chcst  pajn, shortriess of breaht or tever at tnis time.
~ Bl0od presure is stab|e amd medicatlons were revievved with the patjent  before the v1sit.
' Physica1 exam: lnngs are cIear to ausculfation, abdornen is soft, n o edcma of the extremjties.
Contiue current medicatians and retum to the cl1nic in thrce montns."""


@pytest.fixture(scope="module")
def quality():
    return Quality(MODELS / "quality")


def test_plain_pages(quality):
    assert quality([POOR, CLEAN]) == [["poor", "clean"]]


def test_alone_as_in_a_batch(quality):
    texts = [CLEAN, POOR, "", "--"] * 4
    assert quality(texts) == [[quality([text])[0][0] for text in texts]]


def test_an_endless_text_is_refused_by_its_row(quality):
    with pytest.raises(RefusedRowError, match="row 1: "):
        quality([CLEAN, "x" * (LONGEST + 1)])


def test_words_that_look_like_none_are_no_misreadings():
    signs = Readability(MODELS / "quality" / "words.npz")
    assert signs("Kowalski zymurgy").tolist()[-2:] == [0.0, 0.0]
    assert signs("patient paticnt").tolist()[-2:] == [0.5, 0.5]
