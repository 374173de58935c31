"""The example of medical records on real parts: its demo, and a newcomer to a failed page."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer

pytestmark = [pytest.mark.kafka, pytest.mark.mlserver, pytest.mark.timeout(300)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "records"
CHARTS = 6


class Desk:
    """What a newcomer has: a copy of the example, a Kafka, a model server, a terminal."""

    def __init__(self, folder: Path, kafka: EmbeddedKafka, models: ModelServer) -> None:
        self.folder = folder
        self.models = models
        self._environ = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "MLSERVER": models.url("grpc"),
        }

    def types(self, *words: str) -> str:
        """Run a command in the folder of the example; return what it printed."""
        run = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def headrace(self, *words: str) -> str:
        """Run a verb; return what it printed."""
        return self.types("-m", "headrace", *words)

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """Run a worker, which drains at the end."""
        command = [sys.executable, "-m", "headrace", "run", "pipeline.yaml"]
        log = self.folder / "worker.log"
        with log.open("wb") as out:
            worker = subprocess.Popen(
                command, cwd=self.folder, env=self._environ, stdout=out, stderr=out
            )
        try:
            yield
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0, log.read_text()[-3000:]
        finally:
            worker.kill()
            worker.wait()

    def sees(self, holds: Callable[[], bool], within_s: float = 120.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, self.headrace("status", "pipeline.yaml")
            time.sleep(0.5)

    def charts(self) -> list[dict[str, Any]]:
        """Return every chart that came out."""
        told = self.headrace("tail", "risk.charts", "--from-beginning", "--until-idle")
        return [json.loads(line) for line in told.splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "records"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("train", ".*"))
    with EmbeddedKafka(port=0) as kafka, ModelServer("models", directory=folder) as models:
        yield Desk(folder, kafka, models)


def test_a_newcomer_finds_the_failed_page_and_completes_the_chart(desk: Desk):
    desk.types("make_charts.py", "--charts", str(CHARTS), "--poison", "0", "--broken", "0")
    chart_id, index = make_one_page_fail(desk.folder / "charts.jsonl")
    desk.headrace("topics", "apply", "pipeline.yaml")
    with desk.worker():
        desk.headrace("send", "medical.charts", "charts.jsonl", "--key", "chart_id")
        desk.sees(lambda: len(desk.charts()) >= CHARTS)

        status = desk.headrace("status", "pipeline.yaml")
        letters = desk.headrace("dlq", "ls", "pipeline.yaml")
        record_id = letters.splitlines()[1].split()[0]
        trail = desk.headrace("trace", "pipeline.yaml", record_id)

        reason = r"line 0 has \d+ tokens, at most 500 are read"
        assert re.search(r"^entities .* InvalidInputError \d", status, re.MULTILINE)
        assert record_id.endswith(f"/{index}")
        assert re.search(rf"^{record_id} +{chart_id} +entities .*{reason}", letters, re.MULTILINE)
        assert f"key {chart_id}" in trail
        assert re.search(rf"entities +dead letter .*InvalidInputError: .*{reason}", trail)
        assert re.search(rf"now: {record_id}: dead-lettered at step entities: .*{reason}", trail)
        assert pages_that_failed(desk, chart_id) == [index]

        allow_long_lines(desk.folder / "models" / "entities" / "model-settings.json")
        desk.models.restart()
        desk.headrace("dlq", "replay", "pipeline.yaml")
        desk.sees(lambda: len(desk.charts()) > CHARTS)

        assert pages_that_failed(desk, chart_id) == []
        assert desk.headrace("dlq", "ls", "pipeline.yaml") == ""
        assert len(desk.charts()) == CHARTS + 1


def make_one_page_fail(file: Path) -> tuple[str, int]:
    """Put all of a clinical page into one long line; return the chart's id and the page's index."""
    charts = [json.loads(line) for line in file.read_text().splitlines()]
    for chart in charts:
        for index, page in enumerate(chart["pages"]):
            if "assessment" in page["text"].lower():
                page["text"] = " ".join([page["text"].replace("\n", " ")] * 4)
                file.write_text("".join(json.dumps(each) + "\n" for each in charts))
                return chart["chart_id"], index
    raise AssertionError("no page has an assessment")


def allow_long_lines(settings: Path) -> None:
    said = json.loads(settings.read_text())
    said["parameters"]["extra"]["longest_line"] = 5000
    settings.write_text(json.dumps(said))


def pages_that_failed(desk: Desk, chart_id: str) -> list[int]:
    """Return the holes of a chart, of what came out of it last."""
    *_, last = (each for each in desk.charts() if each["chart_id"] == chart_id)
    return [number for number, page in enumerate(last["pages"]) if "failed" in page]


def test_the_demo_accounts_for_every_chart_and_says_how_fast_it_was():
    demo = subprocess.run(
        [sys.executable, str(EXAMPLE / "demo.py"), "--charts", "24"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )

    assert demo.returncode == 0, demo.stderr[-3000:] + demo.stdout[-3000:]
    summary = json.loads(demo.stdout.splitlines()[-1])
    assert summary["read"] == 26
    assert summary["sinks"] == {"risk.charts": 24}
    assert summary["dead_lettered"] > 14
    assert summary["pages"] > 200
    assert summary["pages_per_s"] > 0
    assert sum(summary["cpu_shares"].values()) == pytest.approx(1, abs=0.01)
    assert summary["of_whole_documents"] <= 0.5
    assert "model entities is back" in demo.stderr
    assert "0 lost, 0 doubled" in demo.stdout
    assert "not ready" not in demo.stdout
