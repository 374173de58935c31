"""A DAG with a join, a split and a gather, unfused, its workers killed at random."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.cli.settings import load_topology
from headrace.core.records import Record
from headrace.core.topics import needed_topics
from headrace.core.topology import Topology
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.reading import CommittedReader, log_bounds, partitions_of
from headrace.local.kafka import EmbeddedKafka
from tests.fault.fleet import Fleet, choose_point

PARTITIONS = 4
SLOTS = ["a", "b", "c"]
CHARTS = 250
RATE = 16.0
"""Charts a second."""

PIPELINE = """\
pipeline: charts
kafka: {{bootstrap_servers: "{bootstrap}", membership: static}}
sources: {{charts: charts.in}}
steps:
  pages: {{from: charts, split: {{each: pages, as: page, keep: [chart]{spread}}}}}
  clean: {{from: pages, function: page_rules:clean, reads: [page.text], writes: [clean]}}
  count: {{from: pages, function: page_rules:count, reads: [page.text], writes: [words]}}
  score: {{from: [clean, count], function: page_rules:score, writes: [score]}}
  chart:
    from: score
    gather: {{split: pages, into: pages, fields: [page.n, score], on_failed: hole}}
sinks:
  charts.out: chart
"""

RULES = """\
def clean(document):
    text = document["page"]["text"]
    if text.startswith("!"):
        raise ValueError("an unreadable page")
    return None if text == "blank" else {"clean": text.strip()}


def count(document):
    return {"words": len(document["page"]["text"].split())}


def score(document):
    return {"score": len(document["clean"]) * 100 + document["words"]}
"""


def chart(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    texts = ["two words", "blank", "and three words", "!torn"]
    weights = [6, 2, 6, 1]
    pages = rng.choices(texts, weights, k=rng.choice([0, 1, 2, 5, 12]))
    return {"chart": number, "pages": [{"n": n, "text": text} for n, text in enumerate(pages)]}


def expected(number: int) -> dict[str, Any]:
    """Return what must come out, a hole as None."""
    pages = []
    for page in chart(number)["pages"]:
        text = page["text"]
        if text == "blank":
            continue
        is_torn = text.startswith("!")
        score = len(text) * 100 + len(text.split())
        pages.append(None if is_torn else {"page": {"n": page["n"]}, "score": score})
    return {"chart": number, "pages": pages}


def came_out(record: Record) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(record.value or b"")
    pages = [None if "failed" in page else page for page in document["pages"]]
    return {**document, "pages": pages}


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(port=0) as broker:
        yield broker


class Feed(threading.Thread):
    """Writes every chart, at a rate."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(daemon=True)
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
        self.start()

    def run(self) -> None:
        begun = time.monotonic()
        for number in range(CHARTS):
            value = json.dumps(chart(number)).encode()
            key = b"k%d" % (number % 40)
            self._producer.produce(self._topic, value, key=key, partition=number % PARTITIONS)
            self._producer.poll(0)
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
        self._producer.flush()


def read(topology: Topology, topic: str) -> list[Record]:
    connection = {"bootstrap.servers": topology.bootstrap_servers}
    partitions = partitions_of(connection, [topic])[topic]
    bounds = log_bounds(connection, partitions)
    held = {each: bound for each, bound in bounds.items() if bound[0] < bound[1]}
    with CommittedReader(connection, {each: start for each, (start, _) in held.items()}) as reader:
        return list(reader.to_end({each: end for each, (_, end) in held.items()}))


async def unfinished(topology: Topology) -> int:
    """Return how many offsets are not committed, over all stages."""
    left = 0
    for stage in topology.stages:
        group = KafkaGroup(topology, stage)
        try:
            connection = {"bootstrap.servers": topology.bootstrap_servers}
            found = partitions_of(connection, stage.topics)
            places = [each for topic in stage.topics for each in found[topic]]
            bounds = await group.bounds(places)
            committed = await group.committed(places)
        finally:
            await group.close()
        for place in places:
            at = committed[place]
            left += bounds[place].end - ((at.offset or 0) if at is not None else 0)
    return left


def until_idle(topology: Topology, fleet: Fleet, within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while asyncio.run(unfinished(topology)):
        assert time.monotonic() < deadline, "not everything was finished"
        fleet.revive({})
        time.sleep(0.3)


@pytest.mark.parametrize("spread", ["", ", spread: true"], ids=["at-home", "spread"])
def test_every_document_of_a_dag_comes_out_exactly_once(
    kafka: EmbeddedKafka, tmp_path: Path, spread: str
) -> None:
    file = tmp_path / "pipeline.yaml"
    text = PIPELINE.format(bootstrap=kafka.bootstrap_servers, spread=spread)
    name = f"charts{len(spread)}"
    file.write_text(text.replace("charts", name))
    (tmp_path / "page_rules.py").write_text(RULES)
    topology = load_topology(str(file), None)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topics = [NewTopic(each.name, PARTITIONS, 1) for each in needed_topics(topology)]
    for created in admin.create_topics(topics).values():
        created.result()
    rng = random.Random(len(spread))
    fleet = Fleet(file, tmp_path, SLOTS)
    ordered: dict[str, str] = {}
    try:
        feed = Feed(kafka.bootstrap_servers, f"{name}.in")
        while feed.is_alive():
            time.sleep(rng.uniform(0.6, 1.8))
            victim, point = rng.choice(SLOTS), choose_point(rng)
            if point is None:
                fleet.kill(victim)
            elif victim not in ordered:
                fleet.order_death(victim, point)
                ordered[victim] = point
            fleet.revive(ordered)
        fleet.call_off()
        until_idle(topology, fleet)
        codes = fleet.stop()
    finally:
        fleet.kill_all()

    charts = [came_out(record) for record in read(topology, f"{name}.out")]
    letters = Counter(
        dict(record.headers or ())["headrace-error-step"]
        for record in read(topology, topology.dead_letter_topic)
    )
    torn = [page["text"][0] == "!" for n in range(CHARTS) for page in chart(n)["pages"]]
    holes = [None in expected(number)["pages"] for number in range(CHARTS)]
    assert sorted(charts, key=lambda each: each["chart"]) == [expected(n) for n in range(CHARTS)]
    assert letters == {b"clean": sum(torn), b"score": sum(torn), b"chart": sum(holes)}
    assert sum(fleet.kills.values()) >= 5
    assert codes == [0] * len(SLOTS)
