"""The example of medical records while workers are killed and its model server is away."""

import importlib
import json
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from headrace.cli.settings import load_topology
from headrace.core.topology import Topology
from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from tests.fault import dag_runs
from tests.fault.dag_runs import Feed
from tests.fault.fleet import Fleet

EXAMPLE = Path(__file__).parents[2] / "examples" / "records"
PARTITIONS = 2
SLOTS = ["a", "b"]
CHARTS = 40
RATE = 1.4
"""Charts a second."""
AWAY_S = 20.0


@pytest.mark.mlserver
@pytest.mark.timeout(300)
def test_no_chart_is_lost_or_given_up_because_of_killed_workers_or_an_absent_model_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    make = importlib.import_module("charts").make
    charts = [make(number, seed=11, split="test")[0] for number in range(CHARTS)]
    records = [(each["chart_id"].encode(), json.dumps(each).encode()) for each in charts]
    with EmbeddedKafka(port=0) as kafka, ModelServer("models", directory=EXAMPLE) as models:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
        monkeypatch.setenv("MLSERVER", models.url("grpc"))
        file = EXAMPLE / "pipeline.yaml"
        topology = load_topology(str(file), None)
        dag_runs.create_topics(topology, PARTITIONS)
        fleet = Fleet(file, tmp_path, SLOTS)
        try:
            assert fleet.settles(60)
            feed = Feed(topology, records, PARTITIONS, RATE)
            absence = threading.Thread(target=be_away, args=(models, topology))
            absence.start()
            dag_runs.kill_while(feed, fleet, random.Random(1), every_s=(2.0, 5.0), least=5)
            absence.join()
            dag_runs.until_idle(topology, fleet, within_s=150)
            codes = fleet.stop()
        finally:
            fleet.kill_all()
        came = [json.loads(each.value or b"") for each in dag_runs.read(topology, "risk.charts")]
        letters = dag_runs.read(topology, topology.dead_letter_topic)

    pages = {each["chart_id"]: len(each["pages"]) for each in came}
    assert [dict(each.headers or ()) for each in letters] == []
    assert Counter(each["chart_id"] for each in came) == {each["chart_id"]: 1 for each in charts}
    assert pages == {each["chart_id"]: len(each["pages"]) for each in charts}
    assert not any("failed" in page for each in came for page in each["pages"])
    assert any(fleet.events("step_paused"))
    assert sum(fleet.kills.values()) >= 5
    assert codes == [0] * len(SLOTS)


def be_away(models: ModelServer, topology: Topology) -> None:
    """Kill the model server once a chart is out, and start it again when it has been missed."""
    while not dag_runs.read(topology, "risk.charts"):
        time.sleep(0.5)
    models.kill()
    time.sleep(AWAY_S)
    models.restart()
