"""The pipeline of medical records, rehearsed with scripted models: children, routes, versions."""

import json
import sys
from pathlib import Path

import pytest

from headrace.spec.case_file import check_cases
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.testing.cases import run_cases

PIPELINE = Path(__file__).parents[1] / "spec" / "records" / "pipeline.yaml"
RULES = """\
def drop_impossible(document):
    document["codes"] = [each for each in document["codes"] if each != "impossible"]
    return document
"""
MODELS = """\
models:
  doc-type:
    - {when: {text: a lab}, answer: {label: lab}}
    - {when: {text: ""}, answer: {label: lab}}
    - {when: {text: a photo}, answer: {label: photo}}
    - {answer: {label: note}}
  entities: {echo: {spans: text}}
  negation:
    - {when: {text: unreadable}, error: {status: 400, message: too blurred}}
    - {answer: {spans: no}}
  labs: {answer: {codes: [L1]}}
  icd10: {answer: {codes: [A00, impossible]}}
"""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Return the problems of one case of the pipeline, by the rest of its text."""

    def run(case, models=MODELS, edits=()):
        (tmp_path / "rules.py").write_text(RULES)
        # Python would know the module of the test before.
        monkeypatch.delitem(sys.modules, "rules", raising=False)
        text = PIPELINE.read_text()
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        topology = compile_pipeline(check_text(text, {}, "f").unwrap(), tmp_path)
        file = tmp_path / "f.test.yaml"
        file.write_text(f"{models}cases:\n  - {{name: a, {case}}}\n")
        checked = check_cases(file, topology, {})
        assert checked.cases is not None, checked.text
        (done,) = run_cases(topology, [checked])
        return [each.message for each in done.problems]

    return run


def chart(*texts, id_=1):
    pages = [{"text": text, "date": "2024-01-01"} for text in texts]
    return json.dumps({"chart_id": id_, "pages": pages})


NOTE = {"kind": "note", "codes": ["A00"]}
LAB = {"kind": "lab", "codes": ["L1"]}


def test_every_page_takes_its_way_and_comes_back_in_its_place(ran):
    pages = [NOTE, LAB, {"kind": "photo"}, NOTE]
    expected = json.dumps({"chart_id": 1, "pages": pages})
    source = chart("a note", "a lab", "a photo", "another")

    assert ran(f"exact: true, input: [{source}], expect: [{expected}]") == []


def test_charts_come_in_the_order_of_the_input(ran):
    numbers = range(1, 30)
    sources = ", ".join(chart(*["a note"] * (n % 4), "a lab", id_=n) for n in numbers)
    expected = ", ".join(json.dumps({"chart_id": n}) for n in numbers)

    assert ran(f"input: [{sources}], expect: [{expected}]") == []


def test_a_page_that_its_gate_drops_is_left_out(ran):
    expected = json.dumps({"chart_id": 1, "pages": [NOTE]})

    assert ran(f"exact: true, input: [{chart('', 'a note')}], expect: [{expected}]") == []


def test_a_chart_without_pages_is_a_chart(ran):
    expected = json.dumps({"chart_id": 1, "pages": []})

    assert ran(f"exact: true, input: [{chart()}], expect: [{expected}]") == []


def test_a_page_that_failed_is_a_hole_and_dead_letters_name_their_child(ran):
    source = chart("a note", "unreadable")

    problems = ran(f"input: [{source}], expect: [{{chart_id: 1}}]")

    assert any(
        "input 1, child 1 was given up at step 'negation': InvalidInputError" in each
        for each in problems
    ), problems


def test_both_versions_of_a_model_are_asked_by_their_own_rules(ran):
    models = MODELS.replace(
        "  icd10: {answer: {codes: [A00, impossible]}}\n",
        "  icd10@3: {answer: {codes: [three]}}\n  icd10@4: {answer: {codes: [four]}}\n",
    )
    sources = ", ".join(chart("a note", id_=n) for n in range(200))

    problems = ran(f"input: [{sources}]", models)

    codes = [text.partition('"codes": ["')[2].partition('"')[0] for text in problems]
    assert codes.count("three") + codes.count("four") == 200
    assert 1 <= codes.count("four") <= 30


def test_the_same_comes_of_a_stage_that_is_not_fused(ran):
    expected = json.dumps({"chart_id": 1, "pages": [NOTE, LAB]})
    case = f"exact: true, input: [{chart('a note', 'a lab')}], expect: [{expected}]"

    assert ran(case, edits=[("    stage: coding\n", "")]) == []


def test_a_page_that_never_comes_is_waited_for_until_the_timeout(ran):
    strict = ("negation:\n    {from", "negation:\n    {strict: true, ordering: partition, from")
    hasty = ("      timeout: 10m\n", "      timeout: 3s\n")
    patient = ("on_missing: dead_letter", "on_missing: proceed")
    hole = {"failed": {"step": "chart", "error": "MissingPartError"}}
    expected = json.dumps({"chart_id": 1, "pages": [hole]})
    letters = "dead_letters: [{step: chart, error: MissingPartError}], halted: [1]"
    source = f"input: [{chart('unreadable')}]"

    assert ran(f"{source}, {letters}", edits=[strict, hasty]) == []
    assert ran(f"{source}, expect: [{expected}], {letters}", edits=[strict, hasty, patient]) == []


def test_a_function_that_raises_is_a_dead_letter_of_its_child(ran, monkeypatch):
    monkeypatch.setattr(f"{__name__}.RULES", "def drop_impossible(document):\n    1 / 0\n")

    problems = ran(f"input: [{chart('a note')}], expect: [{{chart_id: 1}}]")

    assert any("input 1, child 0 was given up at step 'checked'" in each for each in problems)


def test_a_strict_step_inside_a_split_names_the_input_that_never_ends(ran):
    source = f"{chart('a note')}, {chart('unreadable', id_=2)}"
    strict = ("negation:\n    {from", "negation:\n    {strict: true, ordering: partition, from")
    patient = ("      timeout: 10m\n", "")

    problems = ran(
        f"input: [{source}], expect: [{{chart_id: 1}}], halted: [2]", edits=[strict, patient]
    )

    assert problems == []
