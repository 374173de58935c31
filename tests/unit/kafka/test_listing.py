"""Offsets of logs, from answers that a client gives when connections are stuck."""

import asyncio
from collections import deque
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaException

from headrace.core.records import TopicPartition
from headrace.core.topology import Topology
from headrace.errors import BrokerUnavailableError
from headrace.kafka import admin, listing
from headrace.kafka.listing import list_offsets
from headrace.kafka.translate import translated
from headrace.ports import Bounds
from headrace.spec.compile import compile_file

PLACE = TopicPartition("in", 0)
PIPELINE = """\
pipeline: p
kafka: {bootstrap_servers: "127.0.0.1:1"}
models: {m: {url: "grpc://127.0.0.1:1"}}
steps: {a: {from: in, model: m, inputs: {x: x}, outputs: {y: y}}}
sinks: {out: a}
"""


class Client:
    """Answers questions about the offsets of logs with these, in turn."""

    def __init__(self, *offsets: int | None) -> None:
        self.offsets = deque(offsets)

    def list_topics(self, _topic, _within_s):
        pass

    def list_offsets(self, asked, **_settings):
        answer: Future[SimpleNamespace] = Future()
        if (offset := self.offsets.popleft()) is not None:
            answer.set_result(SimpleNamespace(offset=offset))
        return dict.fromkeys(asked, answer)


def listed(client: Client) -> dict[TopicPartition, int]:
    return list_offsets(client, {PLACE: object()}, IsolationLevel.READ_COMMITTED, 0.0)


def test_an_answer_without_an_offset_is_no_answer():
    with pytest.raises(KafkaException) as caught:
        listed(Client(OFFSET_INVALID))

    failure = translated(caught.value, "reading log ends")
    assert isinstance(failure, BrokerUnavailableError)
    assert "in-0" in str(failure)


def test_no_record_as_young_as_a_timestamp_is_an_answer():
    assert listed(Client(-1)) == {PLACE: -1}


def test_no_answer_says_so():
    with pytest.raises(BrokerUnavailableError):
        listed(Client(None))


@pytest.fixture
def topology(tmp_path) -> Topology:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    return compile_file(file, {})


def test_a_partition_does_not_begin_where_an_answer_without_an_offset_would(topology, monkeypatch):
    clients = [Client(OFFSET_INVALID), Client(3, 9), Client(OFFSET_INVALID), Client(3)]
    monkeypatch.setattr(listing, "AdminClient", lambda _: clients.pop(0))

    async def asked():
        group = admin.KafkaGroup(topology, topology.stages[0])
        bounds = await group.bounds([PLACE])
        group._admin = None
        starts = await group.start_offsets([PLACE])
        await group.close()
        return bounds, starts

    assert asyncio.run(asked()) == ({PLACE: Bounds(3, 9)}, {PLACE: 3})
    assert clients == []
