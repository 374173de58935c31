"""Places that a log no longer has: a loss, or a sign that somebody else is there by now."""

import time
from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import TopicPartition
from headrace.errors import OffsetOutOfRangeError
from headrace.kafka.trouble import Trouble

MOVED_WITHIN_S = 30.0
"""Longest time until a member hears that its partition is somebody else's."""

_LOOK_EVERY_S = 1.0
_ANSWER_WITHIN_S = 1.0


class GonePlaces:
    """Tells records that were deleted before they were processed from those processed elsewhere.

    A worker that was stopped or cut off reads on where it was, maybe before it hears that its
    partitions have moved; a purge may have deleted meanwhile what their new owner has finished.
    That owner has committed more than this worker has read.

    Args:
        trouble: Told of a loss.
    """

    def __init__(self, trouble: Trouble) -> None:
        self._trouble = trouble
        self._since: dict[TopicPartition, tuple[int, float]] = {}
        self._look_due = 0.0

    def add(self, partition: TopicPartition, offset: int) -> None:
        """Take in that a partition no longer has the offset to be read next."""
        self._since.setdefault(partition, (offset, time.monotonic()))
        self._look_due = 0.0

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions are no longer this member's, or read elsewhere."""
        for each in partitions:
            self._since.pop(each, None)

    def look(self, consumer: Consumer) -> None:
        """Ask what the group has committed, and end the source if that is no more than was read."""
        now = time.monotonic()
        if not self._since or now < self._look_due:
            return
        self._look_due = now + _LOOK_EVERY_S
        asked = [ClientPartition(*each) for each in self._since]
        try:
            found = consumer.committed(asked, timeout=_ANSWER_WITHIN_S)
        except KafkaException:
            # Also the answer to a member that is none any more.
            committed = {}
        else:
            committed = {
                TopicPartition(each.topic, each.partition): each.offset
                for each in found
                if each.error is None
            }
        for partition, (offset, since) in self._since.items():
            if committed.get(partition, offset + 1) <= offset or now - since > MOVED_WITHIN_S:
                self._trouble.fail(
                    OffsetOutOfRangeError(
                        f"{partition} no longer has offset {offset}, the next one to read: "
                        "records were deleted before they were processed"
                    )
                )
