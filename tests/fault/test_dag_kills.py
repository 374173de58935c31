"""A DAG with a join, a split and a gather, unfused, its workers killed at random."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.settings import load_topology
from headrace.core.records import Record
from headrace.local.kafka import EmbeddedKafka
from tests.fault import dag_runs
from tests.fault.dag_runs import Feed
from tests.fault.fleet import Fleet

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
    dag_runs.create_topics(topology, PARTITIONS)
    fleet = Fleet(file, tmp_path, SLOTS)
    records = [(b"k%d" % (n % 40), json.dumps(chart(n)).encode()) for n in range(CHARTS)]
    try:
        feed = Feed(topology, records, PARTITIONS, RATE)
        dag_runs.kill_while(feed, fleet, random.Random(len(spread)), least=5)
        dag_runs.until_idle(topology, fleet)
        codes = fleet.stop()
    finally:
        fleet.kill_all()

    charts = [came_out(record) for record in dag_runs.read(topology, f"{name}.out")]
    letters = Counter(
        dict(record.headers or ())["headrace-error-step"]
        for record in dag_runs.read(topology, topology.dead_letter_topic)
    )
    torn = [page["text"][0] == "!" for n in range(CHARTS) for page in chart(n)["pages"]]
    holes = [None in expected(number)["pages"] for number in range(CHARTS)]
    assert sorted(charts, key=lambda each: each["chart"]) == [expected(n) for n in range(CHARTS)]
    assert letters == {b"clean": sum(torn), b"score": sum(torn), b"chart": sum(holes)}
    assert sum(fleet.kills.values()) >= 5
    assert codes == [0] * len(SLOTS)
