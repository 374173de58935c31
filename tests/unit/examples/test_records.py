"""The example of medical records: what can be said without Kafka and without models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.core.records import Record, TopicPartition
from headrace.kafka.dead_letters import DeadLetter, parsed

EXAMPLE = Path(__file__).parents[3] / "examples" / "records"


@pytest.fixture
def scores(module_of):
    return module_of("records/train/scores.py")


def test_the_readme_shows_the_scores_of_every_model(scores):
    held = json.loads(scores.FILE.read_text())
    table = scores.as_table(scores.Score(**each) for each in held.values())

    models = {each.parent.name for each in EXAMPLE.glob("models/*/model-settings.json")}
    assert held.keys() == models
    assert f"{scores.BEGIN}\n{table}\n{scores.END}" in scores.README.read_text()


def test_a_score_tells_whether_the_baseline_is_beaten(scores):
    low = scores.Score("m", "f", "Brier", 0.2, "b", 0.3, 10, is_better_low=True)
    high = scores.Score("m", "f", "accuracy", 0.2, "b", 0.3, 10)

    assert (low.beats, high.beats) == (True, False)
    assert "| **no** |" in scores.as_table([high])


CHARTS = {"t-0-0": {"pages": [{}, {}]}, "t-0-1": {"pages": [{}]}, "t-0-2": {}}
WHOLE = {"pages": [{"kind": "referral"}]}
HOLED = {"pages": [{"kind": "referral"}, {"failed": {"step": "entities"}}]}


def letter(id_: str) -> DeadLetter:
    place = TopicPartition("dead-letters", 0)
    headers = [("headrace-id", id_.encode()), ("headrace-error-step", b"entities")]
    return parsed(Record(place, 0, None, b"{}", 1, headers))


@pytest.fixture
def outcome_of(module_of):
    module = module_of("records/outcome.py")

    def of(came, letters):
        return module.Outcome.of(CHARTS, came, [letter(each) for each in letters], (1, 2))

    return of


def test_every_chart_is_out_once_or_dead_lettered_and_every_hole_has_a_reason(outcome_of):
    found = outcome_of([("t-0-0", HOLED), ("t-0-1", WHOLE)], ["t-0-0/1", "t-0-0", "t-0-2"])

    assert found.holds
    assert (found.pages, found.holes) == (3, 1)
    assert str(found) == (
        "3 charts = 2 out, of which 1 lack 1 pages, + 1 dead-lettered; 0 lost, 0 doubled"
    )


@pytest.mark.parametrize(
    ("came", "letters", "wrong"),
    [
        ([("t-0-0", HOLED)], ["t-0-0/1", "t-0-2"], "lost"),
        ([("t-0-1", WHOLE), ("t-0-1", WHOLE)], ["t-0-0", "t-0-2"], "doubled"),
        ([("t-0-0", HOLED), ("t-0-1", WHOLE)], ["t-0-2"], "unexplained"),
        ([("t-0-0", WHOLE), ("t-0-1", WHOLE)], ["t-0-0/1", "t-0-2"], "unexplained"),
    ],
)
def test_what_is_wrong_is_seen(outcome_of, came, letters, wrong):
    found = outcome_of(came, letters)

    assert not found.holds
    assert getattr(found, wrong)


def test_the_cases_of_the_pipeline_hold():
    # In a process of its own: Python knows one module of a name, and `rules` is a common one.
    command = [sys.executable, "-m", "headrace", "test", str(EXAMPLE / "pipeline.yaml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout
    assert "0 failed" in ended.stderr
