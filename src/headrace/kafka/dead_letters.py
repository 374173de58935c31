"""A pipeline's dead letters: which are open, and what each says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.core import wire
from headrace.core.records import Header, Record, TopicPartition
from headrace.core.topology import Topology
from headrace.errors import MissingPartError, MissingTopicsError
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import ANSWER_WITHIN_S, held_records, partitions_of

_FAILED = wire.FAILED.decode()

SETTLED_WITHIN_S = 60.0
"""Longest that a transaction of a dead worker may stay open: its timeout and the broker's sweep."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a join or gather that was given up had from one parent, or of one child.

    Attributes:
        parent: The parent as the file names it.
        index: Number of the child in its list, None for a join.
        outcome: `result`, `tombstone`, `dropped`, `failed` or `empty`.
        document: What came, None where nothing did.
        step: The step that failed, where one did.
        error: Class of its error.
        message: What its error said.
    """

    parent: str
    index: int | None
    outcome: str
    document: Any = None
    step: str = ""
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was given up.

    Attributes:
        id: Record id.
        place: Partition of the dead-letter topic.
        offset: Its offset there.
        step: The step that gave it up.
        error: Class of the error.
        message: What the error said.
        attempts: Calls made for it.
        source: The record the step read: topic/partition/offset.
        model: Model it was sent to, and its version if one answered.
        timestamp: The source record's timestamp, ms since the epoch.
        first_ms: When it failed first, ms since the epoch.
        last_ms: When it failed last.
        key: Key bytes as read.
        value: Value bytes as read.
        headers: Every header.
    """

    id: str
    place: TopicPartition
    offset: int
    step: str
    error: str
    message: str
    attempts: int
    source: str
    model: str
    timestamp: int
    first_ms: int
    last_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]

    @property
    def mark(self) -> str:
        """What a mark in the same partition says once it was replayed."""
        return f"{self.place.partition}-{self.offset}"

    @property
    def record(self) -> str:
        """Id of the source record that it came from: the same for all children of splits."""
        return self.id.partition("/")[0]

    @property
    def partial(self) -> str:
        """`join` or `gather` if its value holds the parts that had come, else empty."""
        return next((_text(content) for name, content in self.headers if name == wire.PARTIAL), "")

    @property
    def parts(self) -> Sequence[Part]:
        """The parts that had come, of a join or gather; none where its value does not tell."""
        if not self.partial or self.value is None:
            return ()
        try:
            return [_part(each) for each in msgspec.json.decode(self.value)["parts"]]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return ()

    @property
    def because_of(self) -> Sequence[str]:
        """The steps whose failure it is a consequence of, each once."""
        if self.error != MissingPartError.__name__:
            return ()
        failed = (each.step or each.parent for each in self.parts if each.outcome == _FAILED)
        return list(dict.fromkeys(failed))


class DeadLetters:
    """Reads one pipeline's dead-letter topic; every call blocks.

    Args:
        topology: The pipeline.
    """

    def __init__(self, topology: Topology) -> None:
        self.topic = topology.dead_letter_topic
        self._connection: Mapping[str, Any] = admin_properties(topology)

    def open(self, *, is_settled: bool = False) -> list[DeadLetter]:
        """Return the dead letters that were not replayed, oldest failure first.

        What is committed when it is called is read to its end. A mark that stands behind the
        open transaction of a worker cannot be read yet; with `is_settled` every transaction
        that is open now is waited for, so that no mark is missed.

        Raises:
            BrokerUnavailableError: With `is_settled`, a transaction stayed open for a minute.
            MissingTopicsError: There is no dead-letter topic.
            BrokerError: Kafka refuses, or no broker answers.
        """
        letters: dict[tuple[int, str], DeadLetter] = {}
        replayed: set[tuple[int, str]] = set()
        for record in self._records(is_settled=is_settled):
            partition = record.partition.partition
            mark = mark_of(record)
            if mark is not None:
                replayed.add((partition, mark))
            else:
                letter = parsed(record)
                letters[partition, letter.mark] = letter
        left = [letter for key, letter in letters.items() if key not in replayed]
        return sorted(left, key=lambda each: (each.last_ms, each.place, each.offset))

    def _records(self, *, is_settled: bool) -> Iterator[Record]:
        partitions = partitions_of(self._connection, [self.topic])[self.topic]
        if not partitions:
            raise MissingTopicsError(
                f"there is no topic {self.topic}; `headrace topics apply FILE` creates it"
            )
        yield from held_records(
            self._connection,
            partitions,
            is_committed=not is_settled,
            within_s=SETTLED_WITHIN_S if is_settled else ANSWER_WITHIN_S,
        )


def mark_of(record: Record) -> str | None:
    """Return what a mark says was replayed, None for a record that is no mark."""
    for name, content in record.headers or ():
        if name == wire.REPLAYED:
            return _text(content)
    return None


def parsed(record: Record) -> DeadLetter:
    """Return the dead letter that a record of the dead-letter topic is."""
    headers = dict(record.headers or ())

    def text(name: str) -> str:
        return _text(headers.get(name))

    def number(name: str) -> int:
        return wire.number(headers.get(name))

    model, version = text(wire.ERROR_MODEL), text(wire.ERROR_VERSION)
    return DeadLetter(
        id=text(wire.ID),
        place=record.partition,
        offset=record.offset,
        step=text(wire.ERROR_STEP),
        error=text(wire.ERROR_CLASS),
        message=text(wire.ERROR_MESSAGE),
        attempts=number(wire.ERROR_ATTEMPTS),
        source=text(wire.ERROR_SOURCE),
        model=f"{model}@{version}" if version else model,
        timestamp=record.timestamp,
        first_ms=number(wire.ERROR_FIRST),
        last_ms=number(wire.ERROR_LAST),
        key=record.key,
        value=record.value,
        headers=record.headers or (),
    )


def _part(said: Mapping[str, Any]) -> Part:
    index, error = said.get("index"), said.get("error")
    why = error if isinstance(error, dict) else {}
    return Part(
        parent=_word(said.get("from")),
        index=index if isinstance(index, int) else None,
        outcome=_word(said.get("outcome")),
        document=said.get("document"),
        step=_word(why.get("step")),
        error=_word(why.get("class")),
        message=_word(why.get("message")),
    )


def _word(said: Any) -> str:
    return said if isinstance(said, str) else ""


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace")
