from pathlib import Path

import pytest

from heads.base import LONGEST, RefusedRowError
from heads.layout import WIDTH, Layout, pairs

MODELS = Path(__file__).parent.parent
UPRIGHT = """PROGRESS NOTE
Patient: Mary Brown   DOB: 04/11/1950
The patient is here for follow up of her blood pressure and reports no chest pain.
Lungs are clear to auscultation. Continue the current medications and return in May."""
TURNED = """.yeW ui urnfar pue suoifecipaw fuarrnc ahf anuifuoC .uoifeflncsne of realc are sgun7
.uied fsahc ou sfrodar pue arnssard poolq rah to dn mollot rot arah si fuaifed ahT
0561/11/40 :BOD   umorB yreW :fuaifeP
ETON SSERGORP"""
BLANK = "  - 4 -\n"


@pytest.fixture(scope="module")
def layout():
    return Layout(MODELS / "layout")


def test_plain_pages(layout):
    assert layout([UPRIGHT, BLANK, TURNED, ""]) == [["upright", "blank", "upside_down", "blank"]]


def test_alone_as_in_a_batch(layout):
    texts = [UPRIGHT, TURNED, BLANK] * 5
    assert layout(texts) == [[layout([text])[0][0] for text in texts]]


def test_an_endless_text_is_refused_by_its_row(layout):
    with pytest.raises(RefusedRowError, match="row 1: "):
        layout([UPRIGHT, "x" * (LONGEST + 1)])


def test_pairs_are_of_one_size():
    assert {pairs(text).shape for text in ("", "x", UPRIGHT)} == {(WIDTH,)}
