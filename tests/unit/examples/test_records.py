"""The example of medical records: what can be said without Kafka and without models."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from headrace.cli.main import run

EXAMPLE = Path(__file__).parents[3] / "examples" / "records"


@pytest.fixture
def scores():
    spec = importlib.util.spec_from_file_location("scores", EXAMPLE / "train" / "scores.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


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


def test_the_cases_of_the_pipeline_hold(capsys, monkeypatch):
    # Python knows one module of a name, and other tests have one like it.
    for name in ("rules", "contexts", "turning"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    assert run(["test", str(EXAMPLE / "pipeline.yaml")]) == 0
    assert "0 failed" in capsys.readouterr().err
