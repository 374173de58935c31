"""A pipeline on a real broker whose workers are the test itself."""

import json
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.core import offset_map, wire
from headrace.core.runs import Runs
from headrace.core.topics import needed_topics
from headrace.core.topology import Topology
from headrace.kafka.properties import admin_properties

_COORDINATOR_COMES = {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}


class ByHand:
    """Makes a pipeline's topics, writes what its steps would write and commits as they would."""

    def __init__(self, bootstrap: str, topology: Topology, partitions: int = 1) -> None:
        self.topology = Topology(
            topology.pipeline, "", topology.stages, bootstrap_servers=bootstrap
        )
        self.connection = admin_properties(self.topology)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        names = [each.name for each in needed_topics(self.topology)]
        # Records of a test are old by their timestamps: the broker would soon delete them.
        forever = {"retention.ms": "-1"}
        admin.create_topics([NewTopic(name, partitions, 1, config=forever) for name in names])
        while not set(names) <= admin.list_topics(timeout=10).topics.keys():
            pass
        self._producer = Producer({**self.connection, "enable.idempotence": True, "linger.ms": 0})
        self._consumers: dict[str, Consumer] = {}

    def put(
        self,
        topic: str,
        *values: bytes | None,
        partition: int = 0,
        timestamp: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Write records and return when they are there."""
        told: Any = list((headers or {}).items())
        for value in values:
            self._producer.produce(
                topic, value, partition=partition, timestamp=timestamp, headers=told
            )
        assert self._producer.flush(20) == 0

    def put_ours(self, topic: str, id_: str, document: object = None, **headers: str) -> None:
        """Write a record as a step of the pipeline does."""
        value = None if document is None else json.dumps(document).encode()
        more = {f"headrace-{name}": content for name, content in headers.items()}
        fingerprint = self.topology.stages[0].fingerprint
        self.put(topic, value, headers={wire.ID: id_, wire.PIPELINE: fingerprint, **more})

    def finish(
        self, stage: str, topic: str, offset: int, above: Runs | None = None, partition: int = 0
    ) -> None:
        """Commit as a worker does: an offset, and what is finished above it."""
        metadata = offset_map.encode("w", 1, offset, above or Runs())
        place = ClientPartition(topic, partition, offset, metadata)
        for _ in range(100):
            try:
                self.consumer(stage).commit(offsets=[place], asynchronous=False)
            except KafkaException as error:
                # A new broker is still making the topic in which groups are kept.
                if error.args[0].code() not in _COORDINATOR_COMES and not error.args[0].retriable():
                    raise
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the broker never took a commit")

    def consumer(self, stage: str) -> Consumer:
        """Return a consumer in a stage's group that never polls."""
        group = f"{self.topology.pipeline}.{stage}"
        settings = {**self.connection, "group.id": group, "enable.auto.commit": False}
        return self._consumers.setdefault(stage, Consumer(settings))

    def close(self) -> None:
        """Let go of the clients."""
        for each in self._consumers.values():
            each.close()
