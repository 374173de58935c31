# ruff: noqa: E501 - a table of whole messages
"""Test cases of users: what passes, and how a failure is told."""

from pathlib import Path

import pytest

from headrace.errors import AccessRefusedError, ConfigError, InferenceUnavailableError
from headrace.inference.http_status import Refusal, translate
from headrace.spec.case_file import check_cases
from headrace.spec.cases import PAUSING
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.testing.cases import run_cases

PIPELINE = """\
pipeline: tweets
models: {translator: {url: grpc://localhost:8081}}
defaults: {retry: {max_attempts: 3}}
steps:
  translate:
    from: tweets
    model: translator
    inputs: {text: text, size: {path: size, datatype: INT8, shape: [], default: 1}}
    outputs: {translation: translation, info.score: score}
sinks: {tweets-es: translate}
"""
MODELS = """\
models:
  translator:
    - when: {text: Hello}
      answer: {translation: Hola, score: 0.5}
    - when: {text: poison}
      error: {status: 400, message: too long}
    - when: {text: echo}
      echo: {translation: text, score: size}
"""


@pytest.fixture
def topology():
    return compile_pipeline(check_text(PIPELINE, {}, "f").unwrap(), Path())


@pytest.fixture
def told(tmp_path, topology):
    """Run one case; return its problems as text."""

    def run(case, models=MODELS, pipeline=topology):
        path = tmp_path / "f.test.yaml"
        path.write_text(f"{models}cases:\n  - name: one\n{case}")
        checked = check_cases(path, pipeline, {})
        assert checked.text == ""
        (ran,) = run_cases(pipeline, [checked])
        assert ran.has_passed == (not ran.problems)
        return [problem.message for problem in ran.problems]

    return run


@pytest.mark.parametrize(
    "case",
    [
        "    input: [{text: Hello}]\n    expect: [{translation: Hola, info: {score: 0.5}}]",
        "    input: {tweets: [{text: echo, size: 7}]}\n    expect: {tweets-es: [{size: 7}]}",
        (
            "    input: [{text: echo}]\n    exact: true\n"
            "    expect: [{text: echo, translation: echo, info: {score: 1}}]"
        ),
        (
            "    input: [{text: Hello}, {text: poison}, {text: Hello}]\n"
            "    expect: [{text: Hello}, {text: Hello}]\n"
            "    dead_letters: [{input: 2, step: translate, error: InvalidInputError, message: too}]"
        ),
        (
            "    input: ['{broken', '[]', {}, {text: 4}, {text: echo, size: 200}]\n"
            "    dead_letters: [{message: size}, {message: expects text}, {error: DecodeError},"
            " {error: DecodeError}, {error: DocumentError, input: 3}]"
        ),
        "    input: [null]\n    expect: [null]",
        "    input: []",
    ],
)
def test_a_case_that_says_what_happens_passes(told, case):
    assert told(case) == []


@pytest.mark.parametrize(
    ("case", "problems"),
    [
        (
            "    input: [{text: Hello}]\n    expect: [{translation: Hole, info: {score: 1}}]",
            [
                'tweets-es 1: translation: expected "Hole", got "Hola"',
                "tweets-es 1: info.score: expected 1, got 0.5",
            ],
        ),
        (
            "    input: [{text: Hello}]\n    expect: [{other: 1}]",
            ["tweets-es 1: other: expected 1, got nothing"],
        ),
        (
            "    input: [{text: Hello}]\n    exact: true\n    expect: [{text: Hello}]",
            [
                'tweets-es 1: translation: expected nothing, got "Hola"',
                'tweets-es 1: info: expected nothing, got {"score": 0.5}',
            ],
        ),
        (
            "    input: [{text: Hello}, {text: echo}]\n    expect: [{text: echo}]",
            [
                (
                    'tweets-es 1 was not expected: {"text": "Hello", "translation": "Hola",'
                    ' "info": {"score": 0.5}}'
                )
            ],
        ),
        (
            "    input: [{text: echo}]\n    expect: [{text: Hello}, {text: echo}]",
            ['tweets-es 1 did not come: {"text": "Hello"}'],
        ),
        (
            "    input: [{text: poison}]",
            [
                "input 1 was given up at step 'translate': InvalidInputError: model 'translator': too long (HTTP 400)"
            ],
        ),
        (
            "    input: [{text: echo}]\n    expect: [{}]\n    dead_letters: [{error: DecodeError}]",
            ['dead letter 1 did not come: {"error": "DecodeError"}'],
        ),
        ("    input: []\n    halted: [1]", ["input 1 did end"]),
        (
            "    input: [{text: nobody}]\n    expect: [{}]",
            [
                (
                    'step \'translate\' asked {"text": "nobody", "size": 1}, which no rule of'
                    " `models` answers"
                ),
                "tweets-es 1 did not come: {}",
                (
                    "input 1 was given up at step 'translate': InvalidInputError: no rule of the test"
                    " fits this row"
                ),
            ],
        ),
    ],
)
def test_a_case_that_fails_says_field_by_field_how(told, case, problems):
    assert told(case) == problems


def test_the_statuses_that_need_an_end_are_those_that_pause():
    kinds = {status: type(translate(Refusal(status), "")) for status in range(400, 600)}

    pausing = {InferenceUnavailableError, AccessRefusedError}
    assert {status for status, kind in kinds.items() if kind in pausing} == PAUSING


@pytest.mark.parametrize("status", [*sorted(PAUSING), 500, 502, 504])
def test_a_model_that_fails_for_two_calls_costs_nothing(told, status):
    case = (
        f"    models: {{translate: {{error: {{status: {status}}}, times: 2}}}}\n"
        "    input: [{text: Hello}]\n    expect: [{text: Hello}]\n"
    )

    assert told(case) == []


@pytest.mark.parametrize(
    ("status", "error"),
    [(422, "InvalidInputError"), (500, "InferenceFailedError"), (504, "InferenceTimeoutError")],
)
def test_a_model_that_fails_for_good_makes_a_dead_letter(told, status, error):
    case = (
        f"    models: {{translate: {{error: {{status: {status}}}}}}}\n"
        f"    input: [{{text: Hello}}]\n    dead_letters: [{{error: {error}, input: 1}}]\n"
    )

    assert told(case) == []


def test_what_rules_compare_an_input_with_tells_its_datatype(told):
    # Three rows of another kind are more than half of the batch, and would decide a guess.
    case = (
        "    input: [{text: 1}, {text: 2}, {text: 3}, {text: Hello}]\n    expect: [{text: Hello}]\n"
        "    dead_letters: [{input: 1}, {input: 2}, {input: 3, message: expects text}]\n"
    )

    assert told(case) == []


def test_rows_that_tell_nothing_say_what_to_write(told):
    case = "    input: [{text: []}]\n"

    (problem,) = told(case, "models: {translator: {answer: {translation: a, score: 1}}}\n")

    assert problem.startswith("the pipeline would wait for ever: model 'translator' does not")
    assert "write its datatype" in problem


def test_a_strict_step_is_told_and_can_be_expected(told):
    strict = PIPELINE.replace("defaults: {", "defaults: {strict: true, ")
    pipeline = compile_pipeline(check_text(strict, {}, "f").unwrap(), Path())

    assert told("    input: [{text: poison}]", pipeline=pipeline) == [
        "input 1 never ended: its lane stands still (strict)"
    ]
    assert told("    input: [{text: poison}]\n    halted: [1]", pipeline=pipeline) == []


def test_a_case_that_is_not_there_is_refused_with_the_nearest(tmp_path, topology):
    path = tmp_path / "f.test.yaml"
    path.write_text("cases: [{name: one case, input: []}]")
    checked = check_cases(path, topology, {})

    with pytest.raises(ConfigError, match="no case is named 'on case'; did you mean 'one case'"):
        list(run_cases(topology, [checked], ["on case"]))
