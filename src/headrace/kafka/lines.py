"""Writes lines of text as records of a topic."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from headrace.errors import BrokerError, BrokerUnavailableError
from headrace.kafka.access import hear
from headrace.kafka.reading import existing_partitions
from headrace.kafka.translate import translated

_DELIVERED_WITHIN_S = 30.0
_FULL_WAIT_S = 0.1
_BY_KEY = -1


class LineWriter:
    """Writes values to one topic, each exactly once, in order within a partition.

    Values with a key go where a Java client would put them, the others round robin. Every call
    blocks; `flush` says that everything so far is durable.

    Args:
        connection: Where Kafka is, as `properties.admin_properties` says it.
        topic: The topic; it must exist.

    Raises:
        MissingTopicsError: There is no such topic.
        BrokerUnavailableError: No broker answers.
    """

    def __init__(self, connection: Mapping[str, Any], topic: str) -> None:
        self.sent = 0
        self._topic = topic
        self._partitions = len(existing_partitions(connection, topic))
        self._failure: KafkaError | None = None
        self._producer = Producer(
            {
                **connection,
                "enable.idempotence": True,
                "linger.ms": 5,
                "partitioner": "murmur2_random",
                "message.timeout.ms": int(_DELIVERED_WITHIN_S * 1000),
                "delivery.report.only.error": True,
                "on_delivery": self._note,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.flush()

    def write(self, value: bytes, key: bytes | None = None) -> None:
        """Hand a value over; it may wait for room, and is durable only after `flush`.

        Raises:
            BrokerError: An earlier value, or this one, cannot be written.
        """
        partition = _BY_KEY if key is not None else self.sent % self._partitions
        while True:
            self._check()
            try:
                self._producer.produce(self._topic, value, key, partition)
                break
            except BufferError:
                pass
            except KafkaException as error:
                raise translated(error, f"writing to {self._topic}") from error
            hear(self._producer, _FULL_WAIT_S)
        self.sent += 1
        hear(self._producer)

    def flush(self) -> None:
        """Wait until every value is durable.

        Raises:
            BrokerUnavailableError: Kafka did not confirm them in time.
            BrokerError: A value cannot be written.
        """
        left = self._producer.flush(_DELIVERED_WITHIN_S + 1)
        self._check()
        if left:
            raise BrokerUnavailableError(f"{left} records for {self._topic} were not confirmed")

    def _note(self, error: KafkaError | None, message: Message) -> None:
        del message
        self._failure = self._failure or error

    def _check(self) -> None:
        if self._failure is not None:
            raise BrokerError(str(translated(self._failure, f"writing to {self._topic}")))
