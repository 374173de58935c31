"""Reads parts of topics for what came of one source record."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from headrace.core import wire
from headrace.core.records import Record, TopicPartition
from headrace.errors import BrokerUnavailableError
from headrace.kafka.reading import ANSWER_WITHIN_S, CommittedReader

_TOO_YOUNG = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a partition.

    Attributes:
        partition: The partition.
        start: First offset to read.
        end: First offset not to read.
        has_marks: Whether marks of replays stand there, at any time after what they mark.
    """

    partition: TopicPartition
    start: int
    end: int
    has_marks: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """When records are too young to be followed by what is looked for.

    Attributes:
        time_ms: Newest timestamp that may come before it.
        source: Partition of the source record.
        offset: Offset of the source record.
    """

    time_ms: int
    source: TopicPartition
    offset: int

    def is_passed(self, record: Record, headers: Mapping[str, bytes | None]) -> bool:
        """Whether a record is too young by its timestamp and by its own source record."""
        if record.timestamp <= self.time_ms or wire.REPLAYED in headers:
            return False
        id_ = (headers.get(wire.ID) or b"").partition(b"/")[0]
        before, _, offset = id_.rpartition(b"-")
        if before != str(self.source).encode() or not offset.isdigit():
            return True
        return wire.number(offset) > self.offset


class Search:
    """Reads places until each is at its end, past the bound, or left.

    A place is past the bound once a hundred records in a row are: one with a wrong clock is no
    reason to stop. Where a dead letter of the record was found, the whole rest is read, because a
    mark may come at any time. Every call blocks.

    Args:
        connection: Where Kafka is, as `properties.admin_properties` says it.
        places: What to read.
        bound: When records are too young.
        root: Id of the source record.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        places: Sequence[Place],
        bound: Bound,
        root: str,
    ) -> None:
        self.read = 0
        self.cut: set[TopicPartition] = set()
        self._ends = {each.partition: each.end for each in places}
        self._young = dict.fromkeys(self._ends, 0)
        self._marked = {each.partition for each in places if each.has_marks}
        self._awaits_marks: set[TopicPartition] = set()
        self._at_end: set[TopicPartition] = set()
        self._bound = bound
        self._root = root.encode()
        self._children = self._root + b"/"
        starts = {each.partition: each.start for each in places}
        self._reader = CommittedReader(connection, starts, is_sparing=True)
        self._heard = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.__exit__(kind, error, trace)

    @property
    def goes_on(self) -> bool:
        """Whether anything is left to read."""
        return bool(self._ends)

    @property
    def open(self) -> Collection[TopicPartition]:
        """The partitions that are still read."""
        return self._ends.keys()

    def next(self) -> Sequence[tuple[Record, str]]:
        """Return the next records that came of the source record, with their ids.

        Raises:
            BrokerUnavailableError: Nothing came for ten seconds.
        """
        records = self._reader.poll()
        found = [each for each in map(self._looked_at, records) if each is not None]
        ended = [each for each in self._ends if self._is_at_end(each)]
        if records or ended:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > ANSWER_WITHIN_S:
            raise BrokerUnavailableError("no answer from Kafka while reading a record's trail")
        self.leave(ended)
        past = [each for each in self._ends if self._young[each] >= _TOO_YOUNG]
        self.cut.update(past)
        self.leave(past)
        return found

    def leave(self, places: Sequence[TopicPartition]) -> None:
        """Read no more of some partitions."""
        for each in places:
            del self._ends[each]
        self._reader.leave(places)

    def _is_at_end(self, place: TopicPartition) -> bool:
        at = self._reader.ended_at(place)
        return place in self._at_end or (at is not None and at >= self._ends[place])

    def _looked_at(self, record: Record) -> tuple[Record, str] | None:
        place = record.partition
        end = self._ends.get(place, 0)
        if record.offset >= end - 1:
            # The log may grow for as long as it is read.
            self._at_end.add(place)
        if record.offset >= end:
            return None
        self.read += 1
        headers = dict(record.headers or ())
        id_ = headers.get(wire.ID) or b""
        if id_ == self._root or id_.startswith(self._children):
            self._young[place] = 0
            if place in self._marked:
                self._awaits_marks.add(place)
            return record, id_.decode(errors="replace")
        if place in self._awaits_marks or not self._bound.is_passed(record, headers):
            self._young[place] = 0
        else:
            self._young[place] += 1
        return None
