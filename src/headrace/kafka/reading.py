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
from headrace.errors import BrokerUnavailableError, MissingTopicsError
from headrace.kafka.listing import leader_client, list_offsets
from headrace.kafka.translate import headers_of, kafka_error, let_go, translated

ANSWER_WITHIN_S = 10.0
_EARLIEST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_for_timestamp: Any = OffsetSpec.for_timestamp
# The client fetches 100,000 records of every partition ahead otherwise.
_SPARING = {"queued.min.messages": 1_000, "max.partition.fetch.bytes": 128 * 1024}
_LEADERS_WITHIN_S = 3.0
_NO_LEADER = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
_BATCH = 1000
_POLL_S = 0.1


class CommittedReader:
    """Reads partitions from given offsets to their ends, committed records only.

    It joins no group and commits nothing. Every call blocks.

    Args:
        connection: Where Kafka is, as `properties.admin_properties` says it.
        starts: First offset to read, by partition.
        is_sparing: Whether little is fetched ahead: for a look at a few records of a long log.

    Raises:
        OffsetOutOfRangeError: While reading, if a start is not in the log.
        BrokerError: While reading, if Kafka refuses or no broker answers for 10 s.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        starts: Mapping[TopicPartition, int],
        *,
        is_sparing: bool = False,
    ) -> None:
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
                **(_SPARING if is_sparing else {}),
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
                if place in self._starts:
                    self._ended[place] = message.offset() or 0
            elif not error.retriable() and error.code() not in _PASSING:
                raise translated(error, f"reading {place}")
        return records

    def ended_at(self, place: TopicPartition) -> int | None:
        """Return the end of a partition's log if it was read to there, None if it was not yet."""
        return self._ended.get(place)

    def leave(self, places: Sequence[TopicPartition]) -> None:
        """Read no more of some partitions; records that were fetched already may still come."""
        for each in places:
            del self._starts[each]
            self._ended.pop(each, None)
        if places:
            self._consumer.incremental_unassign([ClientPartition(*each) for each in places])

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


def held_records(
    connection: Mapping[str, Any],
    partitions: Sequence[TopicPartition],
    *,
    is_committed: bool = True,
    within_s: float = ANSWER_WITHIN_S,
) -> Iterator[Record]:
    """Yield every committed record that partitions hold now, in order within each.

    Args:
        connection: Where Kafka is, as `properties.admin_properties` says it.
        partitions: What is read.
        is_committed: Whether only what is committed already is read; if not, the end of every
            transaction that is open now is waited for.
        within_s: Longest time without anything new.

    Raises:
        BrokerUnavailableError: Nothing came for `within_s`.
        BrokerError: Kafka refuses.
    """
    bounds = log_bounds(connection, partitions, is_committed=is_committed)
    held = {each: bounds[each] for each in partitions if bounds[each][0] < bounds[each][1]}
    starts = {each: start for each, (start, _) in held.items()}
    with CommittedReader(connection, starts) as reader:
        yield from reader.to_end({each: end for each, (_, end) in held.items()}, within_s)


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
        # All, for whoever looks for a name that is close; asking by name could also create one.
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
    starts, ends = _offsets(
        connection, [dict.fromkeys(partitions, spec) for spec in (_EARLIEST, _LATEST)], level
    )
    return {each: (starts[each], ends[each]) for each in partitions}


def offsets_at(
    connection: Mapping[str, Any], times_ms: Mapping[TopicPartition, int]
) -> Mapping[TopicPartition, int | None]:
    """Return each partition's first offset whose timestamp is not before a time, None for none.

    Raises:
        BrokerError: Kafka refuses, or no broker answers.
    """
    asked = {each: _for_timestamp(at_ms) for each, at_ms in times_ms.items()}
    (found,) = _offsets(connection, [asked], IsolationLevel.READ_COMMITTED)
    return {each: None if offset < 0 else offset for each, offset in found.items()}


def _offsets(
    connection: Mapping[str, Any],
    questions: Sequence[Mapping[TopicPartition, Any]],
    level: IsolationLevel,
) -> Sequence[Mapping[TopicPartition, int]]:
    """Return the offsets that each question asks for, in order."""
    deadline = time.monotonic() + _LEADERS_WITHIN_S
    while True:
        try:
            return _offsets_now(connection, questions, level)
        except BrokerUnavailableError as error:
            # A partition that was only just created, or moves; a new client asks its new leader.
            cause = error.__cause__
            is_led = (
                not isinstance(cause, KafkaException) or kafka_error(cause).code() not in _NO_LEADER
            )
            if is_led or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def _offsets_now(
    connection: Mapping[str, Any],
    questions: Sequence[Mapping[TopicPartition, Any]],
    level: IsolationLevel,
) -> Sequence[Mapping[TopicPartition, int]]:
    topics = [place.topic for asked in questions for place in asked]
    if not topics:
        return [{} for _ in questions]
    client = None
    try:
        client = leader_client(connection, topics[0], ANSWER_WITHIN_S)
        return [list_offsets(client, asked, level, ANSWER_WITHIN_S) for asked in questions]
    except KafkaException as error:
        let_go(error)
        raise translated(error, "reading log ends") from error
    finally:
        # See `let_go`.
        del client


def _record(place: TopicPartition, message: Message) -> Record:
    return Record(
        place,
        message.offset() or 0,
        message.key(),
        message.value(),
        message.timestamp()[1],
        headers_of(message),
    )
