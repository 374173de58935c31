"""What the consumer complains about: waited out, logged, or the end of the source."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException

from headrace.core.records import TopicPartition
from headrace.errors import BrokerError, FencedError, HeadraceError
from headrace.kafka.handover import Handover
from headrace.kafka.translate import (
    ALL_BROKERS_DOWN,
    FATAL,
    MISSING,
    PARTITION_EOF,
    is_place_held,
    refuses,
    translated,
)

LOGGER = logging.getLogger("headrace.kafka")

SLOW_S = 1.0
PLACE_FREE_WITHIN_S = 65.0
"""Longest time that one who has died may hold its place: Kafka's longest session of KIP-848."""

_MISSED_LOOKS = 5
_LOOK_AGAIN_S = 1.0
_LOOK_EVERY_S = 5.0
_LOOK_WITHIN_S = 0.9


class Trouble:
    """Judges every error of one consumer, on the consumer's thread.

    Args:
        handover: Told of the error that ends the source.
        topics: What the consumer reads.
    """

    def __init__(self, handover: Handover, topics: Sequence[str]) -> None:
        self._handover = handover
        self._topics = tuple(topics)
        self._failure: HeadraceError | None = None
        self._is_cut_off = False
        self._held_since: float | None = None
        self._must_join_again = False
        self._missed = 0
        self._looked_at = time.monotonic()
        self._look_due = self._looked_at + _LOOK_EVERY_S

    @property
    def failure(self) -> HeadraceError | None:
        """Why the source cannot go on, None while it can."""
        return self._failure

    def fail(self, failure: HeadraceError) -> None:
        """End the source; the first reason counts."""
        self._failure = self._failure or failure
        self._handover.fail(self._failure)

    @property
    def must_join_again(self) -> bool:
        """Whether the group refused the member for now, which its client takes for final."""
        return self._must_join_again and self._failure is None

    def joins(self) -> None:
        """A new client tries to join."""
        self._must_join_again = False

    def joined(self) -> None:
        """The group took the member."""
        self._held_since = None

    def heard(self) -> None:
        """A broker answered."""
        self._is_cut_off = False

    def on_error(self, error: KafkaError) -> None:
        """Judge an error that belongs to the client as a whole."""
        if error.code() == ALL_BROKERS_DOWN:
            if not self._is_cut_off:
                LOGGER.warning("no broker answers; waiting for one")
            self._is_cut_off = True
        else:
            self._judge(error, "talking to Kafka", logging.INFO)

    def on_record_error(self, error: KafkaError, partition: TopicPartition) -> None:
        """Judge an error that came in the place of a record."""
        if error.code() != PARTITION_EOF:
            read = partition.topic or ", ".join(self._topics)
            self._judge(error, f"reading {read}", logging.WARNING)

    def _judge(self, error: KafkaError, doing: str, level: int) -> None:
        if is_place_held(error):
            self._wait_for_place()
            return
        # In the place of a record a fatal error has a code of its own, but is not marked fatal.
        if refuses(error) or error.fatal() or error.code() == FATAL:
            self.fail(translated(error, doing))
        elif error.code() in MISSING:
            self._look_due = min(self._look_due, self._looked_at + _LOOK_AGAIN_S)
        else:
            LOGGER.log(level, "%s", translated(error, doing))

    def _wait_for_place(self) -> None:
        # The new group protocol lets nobody have a name before the session of its holder is over;
        # the old one gives it to the newcomer and fences the holder.
        now = time.monotonic()
        if self._held_since is None:
            self._held_since = now
            LOGGER.warning(
                "a member with this worker's slot is still in the group: joining again until its "
                "session is over"
            )
        if now - self._held_since > PLACE_FREE_WITHIN_S:
            self.fail(
                FencedError(
                    f"another member has held this worker's place in the group for "
                    f"{PLACE_FREE_WITHIN_S:.0f} s: with static membership every worker needs a "
                    "--slot of its own"
                )
            )
        self._must_join_again = True

    def look_for_topics(self, consumer: Consumer) -> None:
        """Look for the topics from time to time; end the source if one stays away.

        The client says so of a topic that is deleted under a busy member; an idle one may never
        hear of it.
        """
        if time.monotonic() < self._look_due:
            return
        try:
            missing = [each for each in self._topics if _is_missing(consumer, each)]
            self.heard()
        except KafkaException as error:
            LOGGER.info("%s", translated(error, "looking for topics"))
            missing = []
        # Also missed while a new topic is still spreading through the cluster.
        self._missed = self._missed + 1 if missing else 0
        if self._missed >= _MISSED_LOOKS:
            self.fail(BrokerError(f"topics do not exist: {', '.join(missing)}"))
        self._looked_at = time.monotonic()
        self._look_due = self._looked_at + (_LOOK_AGAIN_S if missing else _LOOK_EVERY_S)

    @contextmanager
    def ends(self, doing: str) -> Iterator[None]:
        """Let an error of the client end the source."""
        try:
            yield
        except KafkaException as error:
            self.fail(translated(error, doing))

    @contextmanager
    def contained(self, doing: str) -> Iterator[None]:
        """Keep every exception from the client, whose callbacks must not raise; tell slowness."""
        started = time.monotonic()
        try:
            with self.ends(doing):
                yield
        except Exception as error:
            LOGGER.exception("failed while %s", doing)
            self.fail(HeadraceError(f"failed while {doing}: {error!r}"))
        seconds = time.monotonic() - started
        if seconds > SLOW_S:
            LOGGER.warning("%s took %.1f s", doing, seconds)


def _is_missing(consumer: Consumer, topic: str) -> bool:
    # Asked by name: a whole cluster's metadata may be large. A consumer's question creates none.
    error = consumer.list_topics(topic, _LOOK_WITHIN_S).topics[topic].error
    return error is not None and error.code() in MISSING
