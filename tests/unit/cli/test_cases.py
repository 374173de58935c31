"""`headrace test` as users run it."""

import json
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "tweets"
CASES = """\
models: {translator: {echo: {translation: text}}}
cases:
  - {name: right, input: [{text: Hello}], expect: [{translation: Hello}]}
  - {name: wrong, input: [{text: Hello}], expect: [{translation: Hola}]}
"""


@pytest.fixture
def cases(pipeline):
    path = pipeline.with_name("pipeline.test.yaml")
    path.write_text(CASES)
    return path


@pytest.mark.parametrize("pipeline", ["pipeline.yaml", "pipeline.py:pipeline"])
def test_the_cases_of_the_example_pass_for_both_of_its_pipelines(cli, pipeline):
    ended = cli("test", EXAMPLE / pipeline)

    assert ended.code == 0
    assert "6 passed, 0 failed" in ended.err
    assert ended.out.count("ok    ") == 6


def test_a_failing_case_is_exit_1_with_its_place_and_its_difference(cli, pipeline, cases):
    ended = cli("test", pipeline)

    assert ended.code == 1
    assert ended.out.splitlines() == [
        "ok    right",
        f"FAIL  wrong ({cases}:4)",
        '      tweets-es 1: translation: expected "Hola", got "Hello"',
    ]
    assert ended.err == "1 passed, 1 failed\n"


def test_one_case_can_be_chosen(cli, pipeline, cases):
    assert cli("test", pipeline, "--case", "right").code == 0
    assert cli("test", pipeline, "--case", "wrong").code == 1


def test_a_case_that_is_not_there_is_exit_2(cli, pipeline, cases):
    ended = cli("test", pipeline, "--case", "rihgt")

    assert ended.code == 2
    assert "did you mean 'right'?" in ended.err


def test_cases_may_stand_in_another_file(cli, pipeline, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(CASES)

    assert cli("test", pipeline, "--cases", other, "--case", "right").code == 0


def test_the_results_are_json_for_a_machine(cli, pipeline, cases):
    told = json.loads(cli("test", pipeline, "--json").out)

    assert told["ok"] is False
    assert [each["name"] for each in told["cases"]] == ["right", "wrong"]
    assert told["cases"][1]["problems"] == [
        {
            "where": "tweets-es 1",
            "message": 'tweets-es 1: translation: expected "Hola", got "Hello"',
            "path": "translation",
            "expected": "Hola",
            "got": "Hello",
        }
    ]


def test_every_problem_of_a_file_of_cases_is_exit_2_and_nothing_runs(cli, pipeline, cases):
    cases.write_text(CASES.replace("translator:", "translater:").replace("expect: [{", "expct: [{"))

    ended = cli("test", pipeline)

    assert ended.code == 2
    assert ended.out == ""
    assert f"{cases}:3: E011 unknown field 'expct' in case 1" in ended.err
    assert f"{cases}:4: E011 unknown field 'expct' in case 2" in ended.err


def test_a_pipeline_without_cases_is_exit_2(cli, pipeline):
    ended = cli("test", pipeline)

    assert ended.code == 2
    assert "write pipeline.test.yaml beside it" in ended.err
