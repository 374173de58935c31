"""What `headrace init` writes works at once, and can be watched and drawn."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.mlserver, pytest.mark.timeout(300)]

HEADRACE = (sys.executable, "-m", "headrace")


@pytest.fixture(scope="module")
def environ(bootstrap: str) -> dict[str, str]:
    return os.environ | {"KAFKA_BOOTSTRAP_SERVERS": bootstrap}


@pytest.fixture(scope="module")
def demo(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "demo"
    subprocess.run([*HEADRACE, "init", folder], env=environ, check=True, capture_output=True)
    return folder


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(environ: dict[str, str], demo: Path) -> Run:
    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [*HEADRACE, *arguments]
        return subprocess.run(
            command, env=environ, cwd=demo, check=False, capture_output=True, text=True
        )

    return called


@pytest.fixture(scope="module")
def worked(run: Run) -> subprocess.CompletedProcess[str]:
    return run("up", "pipeline.yaml", "--input", "texts=texts.jsonl", "--until-idle")


def test_it_works_at_once(worked: subprocess.CompletedProcess[str], run: Run):
    tailed = run("tail", "texts-by-language", "--from-beginning", "--until-idle").stdout

    assert worked.returncode == 0, worked.stderr
    summary = json.loads(worked.stdout)
    assert (summary["read"], summary["written"]) == (20, 20)
    languages = {each["id"]: each["language"] for each in map(json.loads, tailed.splitlines())}
    assert [languages[number] for number in range(1, 6)] == ["en", "es", "de", "fr", "it"]


def test_its_model_is_trained_once_and_stays(worked: subprocess.CompletedProcess[str], demo: Path):
    assert worked.returncode == 0, worked.stderr
    assert (demo / "models" / "language" / "model.joblib").is_file()


@pytest.mark.usefixtures("worked")
def test_a_live_drawing_knows_the_partitions(run: Run):
    told = json.loads(run("graph", "pipeline.yaml", "--live", "--format", "json").stdout)

    assert {each["partitions"] for each in told["topics"]} == {8}


@pytest.mark.usefixtures("worked")
def test_status_is_watched_in_blocks_until_ctrl_c(environ: dict[str, str], demo: Path):
    with subprocess.Popen(
        [*HEADRACE, "status", "pipeline.yaml", "--watch", "--json"],
        env=environ,
        cwd=demo,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=20)

    assert [look["steps"][0]["remaining"] for look in looks] == [0, 0]
    assert (watching.returncode, said) == (0, "")


@pytest.mark.usefixtures("worked")
def test_a_mistyped_topic_is_answered_with_the_closest(run: Run):
    ended = run("tail", "texts-by-languag")

    assert ended.returncode == 2
    assert "did you mean 'texts-by-language'?" in ended.stderr
