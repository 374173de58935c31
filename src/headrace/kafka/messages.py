"""Messages of the Kafka client as records."""

import logging
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any

from confluent_kafka import Message

from headrace.core.records import Record, TopicPartition
from headrace.kafka.translate import headers_of

LOGGER = logging.getLogger("headrace.kafka")

_HEADERS = methodcaller("headers")


class Messages:
    """Makes records, with one object per partition for all of them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], TopicPartition] = {}

    def place(self, topic: str, partition: int) -> TopicPartition:
        """Return the object of a partition."""
        return self._known.setdefault((topic, partition), TopicPartition(topic, partition))

    def place_of(self, message: Message) -> TopicPartition:
        """Return the object of a message's partition."""
        return self.place(message.topic() or "", message.partition() or 0)

    def records(self, messages: Sequence[Message]) -> list[Record]:
        """Return messages as records; their partitions were asked for before."""
        try:
            return self._records(messages, _HEADERS)
        except SystemError:  # see `headers_of`
            LOGGER.warning(
                "records are read without their headers: the name of one is not UTF-8",
                extra={"event": "headers_unreadable"},
            )
            return self._records(messages, headers_of)

    def _records(
        self, messages: Sequence[Message], headers: Callable[[Message], Any]
    ) -> list[Record]:
        known = self._known
        return [
            Record(
                known[each.topic(), each.partition()],  # type: ignore[index]
                each.offset(),  # type: ignore[arg-type]
                each.key(),
                each.value(),
                each.timestamp()[1],
                headers(each),
            )
            for each in messages
        ]
