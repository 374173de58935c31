from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.doc_type import SIZE, DocType, views

MODELS = Path(__file__).parent.parent
NOTE = (
    "PROGRESS NOTE\nPatient: Mary Brown\n\nHPI:\nShe denies chest pain.\nPLAN:\nReturn in a month."
)
LABS = (
    "LABORATORY REPORT\nSpecimen: serum\n"
    "Sodium    140 mmol/L  135-145\nPotassium  4.1 mmol/L  3.5-5.1\n"
    "Glucose  101 mg/dL  70-99  H"
)
DRUGS = (
    "MEDICATION LIST\n- metformin 500 mg, 1 tab BID\n- lisinopril 10 mg, 1 tab daily\n"
    "- atorvastatin 20 mg, 1 tab daily"
)
FAX = "FAX COVER SHEET\nTo: Dr. Brown\nFrom: Lake Clinic\nPages: 4\nPlease destroy after use."


@pytest.fixture(scope="module")
def doc_type():
    return DocType(MODELS / "doc-type")


def test_plain_pages(doc_type):
    expected = ["lab_report", "progress_note", "cover_sheet", "medication_list"]
    assert doc_type([LABS, NOTE, FAX, DRUGS]) == [expected]


def test_alone_as_in_a_batch(doc_type):
    texts = [FAX, NOTE, LABS, ""] * 4
    assert doc_type(texts) == [[doc_type([text])[0][0] for text in texts]]


def test_an_endless_text_is_refused_by_its_row(doc_type):
    with pytest.raises(RefusedRowError, match="row 2: "):
        doc_type([NOTE, FAX, "x" * (LONGEST + 1)])


def test_a_bag_has_each_bucket_once():
    found, values = views(NOTE)
    assert len(set(found.tolist())) == len(found) == len(values)
    assert found.max() < SIZE
