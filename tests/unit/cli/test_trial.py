"""What `headrace try` shows, with a model that is written down beforehand."""

import io
import json
import sys

import pytest

from headrace.cli import rehearsing
from headrace.errors import InferenceUnavailableError
from headrace.testing import ScriptedModel


class Model(ScriptedModel):
    """Capitals; a text that begins with bad is refused."""

    def __init__(self):
        super().__init__(poison=lambda text: text.startswith("bad"))


@pytest.fixture
def model(monkeypatch):
    model = Model()
    monkeypatch.setattr(rehearsing, "client_for", lambda _: model)
    return model


@pytest.fixture
def lines(tmp_path, model):
    path = tmp_path / "in.jsonl"
    texts = ["one", "bad two", "three"]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts) + "{broken\n")
    return path


@pytest.fixture
def expected(tmp_path):
    path = tmp_path / "expected.jsonl"
    path.write_text('{"translation":"ONE","text":"one"}\n{"text":"three","translation":"THREE"}\n')
    return path


def test_documents_come_in_the_order_of_the_lines_and_letters_on_stderr(cli, pipeline, lines):
    ended = cli("try", pipeline, lines)

    assert ended.code == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {"text": "one", "translation": "ONE"},
        {"text": "three", "translation": "THREE"},
    ]
    assert "line 2: dead letter at translate: InvalidInputError: rejected" in ended.err
    assert "line 4: dead letter at translate: DecodeError" in ended.err
    assert "4 read, 2 written, 2 dead letters in " in ended.err


def test_what_the_steps_changed_can_be_shown_instead(cli, pipeline, lines):
    ended = cli("try", pipeline, lines, "--diff", "--limit", "1")

    assert ended.out == 'line 1 -> tweets-es\n  + translation: "ONE"\n'


def test_a_machine_gets_an_object_a_line_and_a_summary(cli, pipeline, lines):
    ended = cli("try", pipeline, lines, "--json", "--diff")

    told = [json.loads(line) for line in ended.out.splitlines()]
    assert [each.get("line") for each in told] == [1, 2, 3, 4, None]
    assert told[0] == {
        "line": 1,
        "topic": "tweets-es",
        "document": {"text": "one", "translation": "ONE"},
        "changes": [{"path": "translation", "after": "ONE"}],
    }
    assert told[1]["dead_letter"]["error"] == "InvalidInputError"
    assert told[4]["summary"]["written"] == 2


def test_documents_that_are_as_expected_are_exit_0(cli, pipeline, lines, expected):
    ended = cli("try", pipeline, lines, "--expect", expected)

    assert (ended.code, ended.out) == (0, "")
    assert "0 of 2 documents differ" in ended.err


def test_documents_that_differ_are_exit_1_with_the_fields(cli, pipeline, lines, expected):
    expected.write_text(
        '{"text":"zero"}\n'
        + expected.read_text().replace("THREE", "DREI").replace('"text":"three"', '"old":1')
    )

    ended = cli("try", pipeline, lines, "--expect", expected)

    assert ended.code == 1
    assert ended.out.splitlines() == [
        f"{expected}:1",
        '  - {"text":"zero"}',
        f"{expected}:3",
        "  - old: 1",
        '  ~ translation: "DREI" -> "THREE"',
        '  + text: "three"',
    ]


def test_differences_are_json_for_a_machine(cli, pipeline, lines, expected):
    expected.write_text(expected.read_text().splitlines()[0] + "\n")

    ended = cli("try", pipeline, lines, "--expect", expected, "--json")

    told = [json.loads(line) for line in ended.out.splitlines()]

    assert told[0]["expected_line"] is None
    assert told[0]["line"] == 3
    assert told[0]["changes"] == [{"path": "", "after": {"text": "three", "translation": "THREE"}}]


def test_lines_may_come_from_stdin(cli, pipeline, model, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b'{"text": "one"}\n{"text": "two"}\n'))
    monkeypatch.setattr(sys, "stdin", stdin)

    ended = cli("try", pipeline, "-", "--limit", "1")

    assert ended.out == '{"text":"one","translation":"ONE"}\n'


def test_a_strict_step_that_stands_still_is_exit_1(cli, pipeline, lines):
    pipeline.write_text(pipeline.read_text() + "defaults: {strict: true}\n")

    ended = cli("try", pipeline, lines)

    assert ended.code == 1
    assert "line 2: never ended, its lane stands still because a step is strict" in ended.err


def test_a_model_that_does_not_answer_is_exit_4_within_its_time(cli, pipeline, lines, model):
    model.fail_next(*[InferenceUnavailableError("nobody there")] * 100)

    ended = cli("try", pipeline, lines, "--wait", "0.05")

    assert ended.code == 4
    assert ended.out == ""
    assert "model 'translator' at grpc://localhost:8081 did not answer for 0.05 s" in ended.err
    assert "because: nobody there" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["IN", "--expect", "nowhere.jsonl"], "nowhere.jsonl"),
        (["IN", "--topic", "tweet"], "did you mean 'tweets'?"),
        (["IN", "--limit", "0"], "--limit"),
        (["IN", "--wait", "0"], "--wait"),
    ],
)
def test_what_cannot_be_tried_is_exit_2(cli, pipeline, lines, arguments, said):
    ended = cli("try", pipeline, *[lines if each == "IN" else each for each in arguments])

    assert ended.code == 2
    assert said in ended.err


def test_an_expected_line_that_is_no_json_is_exit_2(cli, pipeline, lines, expected):
    expected.write_text("{broken\n")

    ended = cli("try", pipeline, lines, "--expect", expected)

    assert ended.code == 2
    assert f"line 1 of {expected} is not JSON" in ended.err
