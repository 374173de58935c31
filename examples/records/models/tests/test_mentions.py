"""What the models behind `entities` say of conditions."""

from pathlib import Path

import pytest

from heads.family import Family
from heads.hcc import Hcc
from heads.icd10 import Icd10
from heads.negation import Negation

MODELS = Path(__file__).parent.parent


def page(*mentions):
    return [*mentions, *[""] * 12][:12]


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ("history\tPatient denies ⟦chest pain⟧ or fever.", "absent"),
        ("history\tNo evidence of ⟦pneumonia⟧.", "absent"),
        ("assessment\t1. ⟦Hypertension⟧ - stable, continue lisinopril.", "present"),
        ("history\tno chest pain but has ⟦heart failure⟧", "present"),
        ("plan\tReturn if ⟦fever⟧ develops.", "hypothetical"),
        ("assessment\tNo change in ⟦heart failure⟧.", "present"),
    ],
)
def test_a_condition_is_there_or_not(context, said):
    labels, certainties = Negation(MODELS / "negation")([page(context)])

    assert labels == [page(said)]
    assert certainties[0][0] > 1 / 3
    assert set(certainties[0][1:]) == {0.0}


@pytest.mark.parametrize(
    ("context", "is_theirs"),
    [
        ("family\tMother had ⟦breast cancer⟧ at 52.", True),
        ("family\tFHx: ⟦CAD⟧ (father)", True),
        ("assessment\t⟦Hypertension⟧ is stable.", False),
    ],
)
def test_a_condition_is_the_patients_or_somebody_elses(context, is_theirs):
    ((score, *rest),) = Family(MODELS / "family")([page(context)])[0]

    assert (score >= 0.5) is is_theirs
    assert set(rest) == {0.0}


@pytest.mark.parametrize(
    ("term", "code"),
    [
        ("T2DM", "E11.9"),
        ("hypertens1on", "I10"),
        ("COPD", "J44.9"),
        ("atrial fibrilation", "I48.91"),
        ("kidney transplant status", "Z94.0"),
    ],
)
def test_words_have_a_code_whatever_the_scanner_made_of_them(term, code):
    codes, scores, margins, _ = Icd10(MODELS / "icd10")([page(term)])

    assert codes == [page(code)]
    assert 0 < scores[0][0] <= 1
    assert 0 <= margins[0][0] <= scores[0][0]


def test_a_code_brings_its_risk_category():
    _, _, _, categories = Icd10(MODELS / "icd10")([page("COPD", "hypertension")])

    assert categories == [page("HCC 280", "")]


def test_the_second_opinion_comes_from_words_alone():
    assert Hcc(MODELS / "hcc")([page("COPD", "hypertension")]) == [[page("HCC 280", "none")]]


def test_a_term_is_answered_alike_alone_and_among_others():
    head = Icd10(MODELS / "icd10")
    terms = ["T2DM", "gout", "COPD", "migraine"]

    together = head([page(*terms), page(*reversed(terms))])

    alone = [head([page(term)]) for term in terms]
    assert [column[0][:4] for column in together] == [
        [each[at][0][0] for each in alone] for at in range(4)
    ]
