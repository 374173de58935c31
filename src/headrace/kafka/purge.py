"""Removes from derived and retry topics what every reader has finished."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient

from headrace.core.records import TopicPartition
from headrace.core.retention import TraceWindow
from headrace.core.topology import Stage, Topology
from headrace.errors import BrokerError, BrokerUnavailableError, SecurityError
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.listing import leader_client
from headrace.kafka.properties import silent_properties
from headrace.kafka.translate import kafka_error, let_go, translated

EVERY_S = 60.0
_ANSWER_WITHIN_S = 10.0

log = logging.getLogger("headrace.kafka")


class Purge:
    """Keeps the topics that a stage writes for other steps, and for itself, from growing for ever.

    Time removes nothing from them: an unfinished record may be the only copy of what it carries.
    A record goes when all groups that read its topic finished it, by their stable committed
    offsets, and a trace window has passed since.

    Args:
        topology: The pipeline.
        stage: The stage that writes the topics.
        owned: The partition numbers that this worker owns in the stage now.
        groups: The consumer group of every stage, by the stage's name.
        every_s: Seconds between two looks.
        clock: Tells seconds; never goes back.
    """

    def __init__(
        self,
        topology: Topology,
        stage: Stage,
        owned: Callable[[], Iterable[int]],
        groups: Mapping[str, KafkaGroup],
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = silent_properties(topology)
        self._owned = owned
        self._every_s = every_s
        self._clock = clock
        self._window = TraceWindow(topology.trace_window_s)
        self._readers = readers_of(topology, stage)
        self._groups = {
            reader.name: groups[reader.name]
            for readers in self._readers.values()
            for reader in readers
        }
        self._admin: AdminClient | None = None
        self._removed: dict[TopicPartition, int] = {}
        self._complaint = ""

    async def run(self) -> None:
        """Remove records now and then until cancelled.

        Kafka's errors are logged, each once: records that stay harm nobody soon.
        """
        try:
            while True:
                await asyncio.sleep(self._every_s)
                try:
                    await self.once()
                except BrokerError as error:
                    self._complain(error)
                else:
                    self._complaint = ""
        finally:
            self.close()

    async def once(self) -> Mapping[TopicPartition, int]:
        """Remove what may go now; return the new first offsets of the partitions that shrank.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses, for instance because this user may not DELETE.
        """
        numbers = sorted(set(self._owned()))
        places = [TopicPartition(topic, each) for topic in self._readers for each in numbers]
        self._window.keep_only(set(places))
        finished = await self._finished(places)
        old = self._window.observe(self._clock(), finished)
        due = {place: at for place, at in old.items() if at > self._removed.get(place, 0)}
        if due:
            await asyncio.to_thread(self._remove, due)
            self._removed |= due
        return due

    def close(self) -> None:
        """Let go of the client."""
        self._admin = None

    async def _finished(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the lowest offset that is unfinished in any group, where all groups tell one."""
        told: dict[TopicPartition, list[int | None]] = {place: [] for place in places}
        for name, group in self._groups.items():
            topics = {t for t, each in self._readers.items() if name in {r.name for r in each}}
            asked = [place for place in places if place.topic in topics]
            # An open transaction may end either way: what it finishes is not yet finished.
            for place, committed in (await group.committed(asked, stable=False)).items():
                told[place].append(None if committed is None else committed.offset)
        return {
            place: min(known)
            for place, offsets in told.items()
            if (known := [each for each in offsets if each is not None])
            and len(known) == len(offsets)
        }

    def _remove(self, before: Mapping[TopicPartition, int]) -> None:
        try:
            answers = self._client().delete_records(
                [ClientPartition(*place, offset) for place, offset in before.items()],
                request_timeout=_ANSWER_WITHIN_S,
            )
            for answer in answers.values():
                answer.result(_ANSWER_WITHIN_S + 1.0)
        except TimeoutError:
            self._admin = None
            raise BrokerUnavailableError("no answer from Kafka while removing records") from None
        except KafkaException as error:
            let_go(error)
            self._admin = None
            if kafka_error(error).code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                topics = ", ".join(sorted({place.topic for place in before}))
                raise SecurityError(
                    f"this user needs the right to DELETE in {topics}; allow it with an ACL"
                ) from error
            raise translated(error, "removing finished records") from error

    def _client(self) -> Any:
        if self._admin is None:
            topic = next(iter(self._readers))
            self._admin = leader_client(self._connection, topic, _ANSWER_WITHIN_S)
        return self._admin

    def _complain(self, error: BrokerError) -> None:
        said = str(error)
        if said != self._complaint:
            self._complaint = said
            topics = ", ".join(self._readers)
            log.warning(
                "finished records stay in %s: %s",
                topics,
                said,
                extra={"event": "purge_failed", "topics": topics},
            )


def readers_of(topology: Topology, stage: Stage) -> Mapping[str, Sequence[Stage]]:
    """Return the derived and retry topics that a stage writes, and the stages that read each."""
    written = [*(outlet.topic for outlet in stage.derived), *stage.retry_topics.values()]
    return {topic: [each for each in topology.stages if topic in each.topics] for topic in written}
