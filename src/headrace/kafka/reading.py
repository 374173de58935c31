"""Reads committed records of whole topics, outside any consumer group."""

import time
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from headrace.core.records import Record, TopicPartition
from headrace.errors import BrokerError, BrokerUnavailableError, MissingTopicsError
from headrace.kafka.translate import let_go, translated

ANSWER_WITHIN_S = 10.0
_EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_BATCH = 1000
_POLL_S = 0.1


class CommittedReader:
    """Reads partitions from given offsets to their ends, committed records only.

    It joins no group and commits nothing. Every call blocks.

    Args:
        connection: Where Kafka is, as `properties.admin_properties` says it.
        starts: First offset to read, by partition.

    Raises:
        OffsetOutOfRangeError: While reading, if a start is not in the log.
        BrokerError: While reading, if Kafka refuses or no broker answers for 10 s.
    """

    def __init__(self, connection: Mapping[str, Any], starts: Mapping[TopicPartition, int]) -> None:
        self._starts = dict(starts)
        self._consumer = Consumer(
            {
                **connection,
                "group.id": "headrace-reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 100,
                "fetch.queue.backoff.ms": 20,
            }
        )
        self._consumer.assign([ClientPartition(*each, at) for each, at in starts.items()])
        self._ended: dict[TopicPartition, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()

    @property
    def is_at_end(self) -> bool:
        """Whether every partition was read to what was its end when it was read last."""
        return len(self._ended) == len(self._starts)

    def poll(self) -> Sequence[Record]:
        """Return the next records, none after a tenth of a second without any."""
        if not self._starts:
            return []
        records = []
        for message in self._messages():
            place = TopicPartition(message.topic() or "", message.partition() or 0)
            error = message.error()
            if error is None:
                self._ended.pop(place, None)
                records.append(_record(place, message))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                self._ended[place] = message.offset() or 0
            elif not error.retriable() and error.code() not in _PASSING:
                raise translated(error, f"reading {place}")
        return records

    def to_end(
        self, ends: Mapping[TopicPartition, int], within_s: float = ANSWER_WITHIN_S
    ) -> Iterator[Record]:
        """Yield every committed record below the given ends.

        Where a transaction is open below an end, its end is waited for.

        Raises:
            BrokerUnavailableError: Nothing came for `within_s`.
        """
        heard = time.monotonic()
        while not all(self._ended.get(each, -1) >= ends[each] for each in self._starts):
            before = dict(self._ended)
            records = self.poll()
            if records or self._ended != before:
                heard = time.monotonic()
            elif time.monotonic() - heard > within_s:
                raise BrokerUnavailableError("no answer from Kafka while reading to the end")
            yield from (each for each in records if each.offset < ends[each.partition])

    def _messages(self) -> Sequence[Message]:
        try:
            return self._consumer.consume(_BATCH, _POLL_S)
        except KafkaException as error:
            raise translated(error, "reading records") from error


_PASSING = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT})  # noqa: SLF001


def partitions_of(
    connection: Mapping[str, Any], topics: Sequence[str], within_s: float = ANSWER_WITHIN_S
) -> Mapping[str, Sequence[TopicPartition]]:
    """Return the partitions of every topic, an empty sequence for a topic that does not exist.

    Raises:
        BrokerUnavailableError: No broker answers in time.
        BrokerError: Kafka refuses.
    """
    known = _all_partitions(connection, within_s)
    return {topic: known.get(topic, ()) for topic in topics}


def existing_partitions(connection: Mapping[str, Any], topic: str) -> Sequence[TopicPartition]:
    """Return the partitions of a topic.

    Raises:
        MissingTopicsError: There is no such topic.
        BrokerError: Kafka refuses, or no broker answers.
    """
    known = _all_partitions(connection, ANSWER_WITHIN_S)
    if topic not in known:
        close = get_close_matches(topic, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "look at its name"
        raise MissingTopicsError(
            f"topic {topic!r} does not exist; {hint} "
            "(`headrace topics apply FILE` creates those of a pipeline)"
        )
    return known[topic]


def _all_partitions(
    connection: Mapping[str, Any], within_s: float
) -> Mapping[str, Sequence[TopicPartition]]:
    client = AdminClient(dict(connection))
    try:
        # Asking for one topic by name could create it.
        known = client.list_topics(timeout=within_s).topics
    except KafkaException as error:
        let_go(error)
        raise translated(error, f"asking {connection['bootstrap.servers']} for topics") from error
    finally:
        # The error that leaves here would keep it alive: see `let_go`.
        del client
    return {
        name: [TopicPartition(name, number) for number in sorted(topic.partitions)]
        for name, topic in known.items()
    }


def log_bounds(
    connection: Mapping[str, Any],
    partitions: Sequence[TopicPartition],
    *,
    is_committed: bool = True,
) -> Mapping[TopicPartition, tuple[int, int]]:
    """Return first offset and end of every partition's log.

    The end is the first offset of an open transaction, unless `is_committed` is False.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    level = IsolationLevel.READ_COMMITTED if is_committed else IsolationLevel.READ_UNCOMMITTED
    client = AdminClient(dict(connection))
    sides = []
    try:
        for spec in (_EARLIEST, _LATEST):
            answers = client.list_offsets(
                {ClientPartition(*each): spec for each in partitions},
                isolation_level=level,
                request_timeout=ANSWER_WITHIN_S,
            )
            sides.append(
                {
                    TopicPartition(each.topic, each.partition): answer.result(
                        ANSWER_WITHIN_S + 1
                    ).offset
                    for each, answer in answers.items()
                }
            )
    except KafkaException as error:
        raise translated(error, "reading log ends") from error
    except TimeoutError as error:
        raise BrokerError("no answer from Kafka while reading log ends") from error
    finally:
        # See `let_go`.
        del client
    starts, ends = sides
    return {each: (starts[each], ends[each]) for each in partitions}


def _record(place: TopicPartition, message: Message) -> Record:
    headers: Any = message.headers()
    return Record(
        place,
        message.offset() or 0,
        message.key(),
        message.value(),
        message.timestamp()[1],
        headers,
    )
