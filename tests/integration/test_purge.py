"""Derived and retry topics shrink behind their readers, and keep what is not finished."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import TopicPartition
from headrace.core.runs import Runs
from headrace.core.topology import Topology
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.purge import Purge
from headrace.kafka.reading import held_records, log_bounds
from tests.integration.by_hand import ByHand
from tests.integration.pipelines import in_loop, until
from tests.unit import dags

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

PARTITIONS = 2


def groups_of(topology: Topology) -> dict[str, KafkaGroup]:
    """Return the consumer group of every stage, by the stage's name."""
    return {stage.name: KafkaGroup(topology, stage) for stage in topology.stages}


class Scene(ByHand):
    """A chain of steps whose derived topic is also read by a second stage."""

    def __init__(self, bootstrap: str, name: str) -> None:
        a, b, c = dags.chain().stages
        also = replace(b.steps[0], name="also", outlets=(), sinks=c.steps[0].sinks)
        stages = (a, b, c, dags.stage("chain", "in", also))
        super().__init__(bootstrap, dags.renamed(dags.topology("chain", *stages), name), PARTITIONS)
        self.stage = self.topology.stages[0]
        self.groups = groups_of(self.topology)
        self.topic = f"{name}.a"
        self.retry_topic = f"{name}.a.retry"

    def purge(self, window_s: float = 0.0, **more: object) -> Purge:
        topology = replace(self.topology, trace_window_s=window_s)
        return Purge(topology, self.stage, lambda: range(PARTITIONS), self.groups, **more)

    def close(self) -> None:
        for each in self.groups.values():
            asyncio.run(each.close())
        super().close()

    def write(self, topic: str, count: int) -> None:
        # As old as their source records: by timestamps all would be gone.
        for partition in range(PARTITIONS):
            values = [b"%d" % number for number in range(count)]
            self.put(topic, *values, partition=partition, timestamp=1)

    def commit(self, step: str, topic: str, offset: int, above: Runs | None = None) -> None:
        for partition in range(PARTITIONS):
            self.finish(step, topic, offset, above, partition=partition)

    @contextlib.contextmanager
    def open_transaction(self, step: str, topic: str, offset: int) -> Iterator[Producer]:
        """Commit in a transaction that is still open."""
        producer = Producer({**self.connection, "transactional.id": f"{topic}-{step}"})
        producer.init_transactions(20)
        producer.begin_transaction()
        places = [ClientPartition(topic, p, offset) for p in range(PARTITIONS)]
        token = self.consumer(step).consumer_group_metadata()
        producer.send_offsets_to_transaction(places, token, 20)
        yield producer

    def starts(self, topic: str) -> list[int]:
        places = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        found = log_bounds(self.connection, places)
        return [found[each][0] for each in places]

    def values(self, topic: str) -> list[bytes | None]:
        place = TopicPartition(topic, 0)
        return [each.value for each in held_records(self.connection, [place])]


@pytest.fixture
def scene(bootstrap: str, unique: Callable[[str], str]) -> Iterator[Scene]:
    scene = Scene(bootstrap, unique("chain").replace("_", "-")[-40:])
    yield scene
    scene.close()


@in_loop
async def test_a_topic_shrinks_and_an_unfinished_record_stays(scene: Scene):
    scene.write(scene.topic, 100)
    scene.write(scene.retry_topic, 10)
    scene.commit("b", scene.topic, 60, Runs([(61, 90)]))
    scene.commit("also", scene.topic, 80)
    scene.commit("a", scene.retry_topic, 4)
    purge = scene.purge()

    removed = await purge.once()
    again = await purge.once()
    purge.close()

    assert scene.starts(scene.topic) == [60, 60]
    assert scene.starts(scene.retry_topic) == [4, 4]
    assert scene.values(scene.topic)[0] == b"60"
    assert (len(removed), again) == (4, {})


@in_loop
async def test_a_reader_that_has_committed_nothing_keeps_everything(scene: Scene):
    scene.write(scene.topic, 10)
    scene.commit("b", scene.topic, 10)
    purge = scene.purge()

    removed = await purge.once()
    purge.close()

    assert removed == {}
    assert scene.starts(scene.topic) == [0, 0]


@in_loop
async def test_offsets_of_an_open_transaction_remove_nothing_until_it_ends(scene: Scene):
    scene.write(scene.topic, 10)
    scene.commit("also", scene.topic, 10)
    scene.commit("b", scene.topic, 2)
    purge = scene.purge()

    with scene.open_transaction("b", scene.topic, 8) as producer:
        during = await purge.once()
        await asyncio.to_thread(producer.commit_transaction, 20)
        after = dict(await purge.once())
        while not after:
            after = dict(await purge.once())
    purge.close()

    assert set(during.values()) == {2}
    assert set(after.values()) == {8}


@in_loop
async def test_finished_records_stay_for_the_trace_window(scene: Scene):
    scene.write(scene.topic, 20)
    for step in ("b", "also"):
        scene.commit(step, scene.topic, 10)
    now_s = 0.0
    purge = scene.purge(3600.0, clock=lambda: now_s)

    first = await purge.once()
    for step in ("b", "also"):
        scene.commit(step, scene.topic, 20)
    now_s = 3600.0
    second = await purge.once()
    purge.close()

    assert first == {}
    assert set(second.values()) == {10}
    assert scene.starts(scene.topic) == [10, 10]


@in_loop
async def test_only_owned_partitions_are_touched(scene: Scene):
    scene.write(scene.topic, 10)
    for step in ("b", "also"):
        scene.commit(step, scene.topic, 10)
    topology = replace(scene.topology, trace_window_s=0.0)
    purge = Purge(topology, scene.stage, lambda: [1], scene.groups)

    await purge.once()
    purge.close()

    assert scene.starts(scene.topic) == [0, 10]


@in_loop
async def test_it_runs_until_cancelled_and_outlives_a_broker_that_does_not_answer(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    nowhere = replace(scene.topology, bootstrap_servers="127.0.0.1:1")
    away = Purge(nowhere, scene.stage, lambda: [0], groups_of(nowhere), every_s=0.01)
    scene.write(scene.topic, 10)
    for step in ("b", "also"):
        scene.commit(step, scene.topic, 10)
    there = scene.purge(every_s=0.05)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each.run()) for each in (away, there)]
        await until(lambda: scene.starts(scene.topic) == [10, 10])
        await until(lambda: "purge_failed" in {getattr(r, "event", "") for r in caplog.records})
        assert not any(each.done() for each in running)
        for each in running:
            each.cancel()
