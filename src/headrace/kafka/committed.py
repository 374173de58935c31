"""The committed offsets of a consumer group, read without belonging to it."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import Committed, TopicPartition
from headrace.kafka.translate import HELD, kafka_error

_ANSWER_WITHIN_S = 3.0
# A transaction that somebody is just committing holds offsets for less.
_STABLE_WITHIN_S = 0.1
_ROUND_TRIPS = 4
_AT_ONCE = 16
# No topic has so many, so no transaction can hold its offset.
_NO_PARTITION = 2**31 - 1


class CommittedOffsets:
    """What a group has committed; every call blocks.

    Offsets are read by consumers that never subscribe, because those look for the group's
    coordinator again and again. An administrative client of librdkafka 2.16 crashes the process
    when a broker answers that it is not the coordinator, as after any failover (issue 5315), and
    loses requests for good where there is none yet.

    Args:
        properties: From `silent_properties`.
        group: The group.
    """

    def __init__(self, properties: Mapping[str, Any], group: str) -> None:
        self._properties = {**properties, "group.id": group, "enable.auto.commit": False}
        self._readers: dict[str, Consumer] = {}

    def latest(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Committed | None]:
        """Return the last stable offset of each partition, whatever is open.

        Raises:
            KafkaException: There is no answer in time, or Kafka refuses.
        """
        return self._read("read_uncommitted", partitions, _ANSWER_WITHIN_S)

    def stable(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Committed | None]:
        """Return what is committed; None where a transaction that has not ended holds it.

        A broker holds the whole answer back while one of its partitions is held, which looks like
        no answer. So then each is asked alone, and one that takes longer than several round trips
        counts as held.

        Raises:
            KafkaException: There is no answer in time, or Kafka refuses.
        """
        if "read_committed" not in self._readers:
            self._round_trip(partitions[0].topic)
        found = self._unless_held(partitions, _STABLE_WITHIN_S)
        if found is not None:
            return found
        within_s = max(_STABLE_WITHIN_S, _ROUND_TRIPS * self._round_trip(partitions[0].topic))

        def alone(partition: TopicPartition) -> Committed | None:
            found = self._unless_held([partition], within_s)
            return None if found is None else found[partition]

        with ThreadPoolExecutor(min(_AT_ONCE, len(partitions))) as threads:
            return dict(zip(partitions, threads.map(alone, partitions), strict=True))

    def close(self) -> None:
        """Let go of the clients."""
        self._readers.clear()

    def _unless_held(
        self, partitions: Sequence[TopicPartition], within_s: float
    ) -> dict[TopicPartition, Committed | None] | None:
        try:
            return self._read("read_committed", partitions, within_s)
        except KafkaException as error:
            if kafka_error(error).code() not in HELD:
                raise
            return None

    def _round_trip(self, topic: str) -> float:
        """Return how many seconds an answer takes that nothing can hold back."""
        begun = time.monotonic()
        self._read("read_committed", [TopicPartition(topic, _NO_PARTITION)], _ANSWER_WITHIN_S)
        return time.monotonic() - begun

    def _read(
        self, isolation: str, partitions: Sequence[TopicPartition], within_s: float
    ) -> dict[TopicPartition, Committed | None]:
        reader = self._readers.get(isolation)
        if reader is None:
            reader = Consumer({**self._properties, "isolation.level": isolation})
            self._readers[isolation] = reader
        found = reader.committed([ClientPartition(*each) for each in partitions], timeout=within_s)
        return {TopicPartition(each.topic, each.partition): _committed(each) for each in found}


def _committed(found: ClientPartition) -> Committed | None:
    if found.error is not None:
        if found.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            return None
        raise KafkaException(found.error)
    if found.offset < 0:
        return Committed(None)
    return Committed(found.offset, found.metadata or "")
