"""Runs of a DAG under fire: what goes in at a rate, who is killed meanwhile, what came of it."""

import asyncio
import random
import threading
import time
from collections.abc import Sequence

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.core.records import Record
from headrace.core.topics import needed_topics
from headrace.core.topology import Topology
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.reading import existing_partitions, held_records, partitions_of
from tests.fault.fleet import Fleet, choose_point


class Feed(threading.Thread):
    """Writes keys and values into the source topic at a rate, one partition after the other."""

    def __init__(
        self,
        topology: Topology,
        records: Sequence[tuple[bytes, bytes]],
        partitions: int,
        per_second: float,
    ) -> None:
        super().__init__(daemon=True)
        self._topic = topology.sources[0].topic
        self._records = records
        self._partitions = partitions
        self._per_second = per_second
        self._producer = Producer(
            {"bootstrap.servers": topology.bootstrap_servers, "enable.idempotence": True}
        )
        self.start()

    def run(self) -> None:
        begun = time.monotonic()
        for number, (key, value) in enumerate(self._records):
            self._producer.produce(self._topic, value, key, partition=number % self._partitions)
            self._producer.poll(0)
            time.sleep(max(0.0, begun + number / self._per_second - time.monotonic()))
        self._producer.flush()


def create_topics(topology: Topology, partitions: int, copies: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": topology.bootstrap_servers})
    topics = [NewTopic(each.name, partitions, copies) for each in needed_topics(topology)]
    for created in admin.create_topics(topics).values():
        created.result()


def kill_while(
    feed: Feed,
    fleet: Fleet,
    rng: random.Random,
    every_s: tuple[float, float] = (0.6, 1.8),
    least: int = 0,
) -> None:
    """Kill workers, at random and inside transactions, until everything was written.

    Where a slow machine has not killed the least number by then, it goes on at random.
    """
    ordered: dict[str, str] = {}
    while feed.is_alive() or fleet.kills.total() < least:
        time.sleep(rng.uniform(*every_s))
        victim = rng.choice(fleet.slots)
        point = choose_point(rng) if feed.is_alive() else None
        if point is None:
            fleet.kill(victim)
        elif victim not in ordered:
            fleet.order_death(victim, point)
            ordered[victim] = point
        fleet.revive(ordered)
    fleet.call_off()


def read(topology: Topology, topic: str) -> list[Record]:
    return read_all(topology.bootstrap_servers, topic)


def read_all(bootstrap: str, topic: str) -> list[Record]:
    """Return all committed records of a topic."""
    connection = {"bootstrap.servers": bootstrap, "log_level": 0}
    return list(held_records(connection, existing_partitions(connection, topic)))


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
