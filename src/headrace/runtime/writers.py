"""Writes what passed a step to sinks and derived topics."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias

from headrace.core import wire
from headrace.core.fields import projection
from headrace.core.joining import Outcome
from headrace.core.paths import Getter, getter
from headrace.core.records import Header, Outgoing
from headrace.core.steps import Outlet, Sink
from headrace.errors import DocumentError, OversizeError, RecordError
from headrace.runtime.items import Item, Reason
from headrace.runtime.provenance import Provenance
from headrace.runtime.topic_facts import TopicFacts

OVERHEAD_BYTES = 192
"""What a record costs beside its value, key and headers, generously."""

UNWRITABLE: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""What encoding a document raises that has no form as bytes, or is nested too deeply."""

Encode: TypeAlias = Callable[[Any], bytes]

_WORDS: Final[Mapping[Outcome, bytes]] = {
    Outcome.DROPPED: wire.DROPPED,
    Outcome.FAILED: wire.FAILED,
    Outcome.EMPTY: wire.EMPTY,
}


class Spread(NamedTuple):
    """How the children of a split are dealt over partitions.

    Attributes:
        partitions: How many there are.
        level: Inside how many splits their parent is.
    """

    partitions: int
    level: int


class SinkWriter:
    """Writes results to one sink."""

    def __init__(
        self,
        sink: Sink,
        facts: TopicFacts,
        encode: Encode,
        provenance: Provenance,
        root_partitions: int,
    ) -> None:
        self.label = sink.label
        self._provenance = provenance
        self._topic = sink.topic
        self._limit = facts.limit(sink.topic)
        self._encode = encode
        self._project = projection(sink.fields or None)
        self._key_of = getter(sink.key) if sink.key else None
        self._keeps_partition = facts.partitions.get(sink.topic) == root_partitions

    def write(self, items: Sequence[Item]) -> "list[Outgoing | RecordError]":
        """Return per document its record, or why there is none."""
        return _written(self._rows, items)

    def _rows(self, items: Sequence[Item]) -> "list[Outgoing | RecordError]":
        encode, project, topic = self._encode, self._project, self._topic
        documents = [item.document for item in items]
        values = [encode(project(document)) for document in documents]
        headers = self._provenance.of_results(items)
        if self._key_of is not None:
            return [
                self._keyed(item, value, named, self._key_of)
                for item, value, named in zip(items, values, headers, strict=True)
            ]
        keeps = self._keeps_partition
        rows: list[Outgoing] = [
            (topic, value, i.record.key, i.place if keeps else -1, i.record.timestamp, named)
            for i, value, named in zip(items, values, headers, strict=True)
        ]
        return _all_fitting(rows, items, self._limit)

    def tombstone(self, item: Item) -> Outgoing:
        """Return a null under the record's key."""
        keeps = self._keeps_partition and self._key_of is None
        place = item.place if keeps else -1
        headers = self._provenance.of_results([item])[0]
        return (self._topic, None, item.record.key, place, item.record.timestamp, headers)

    def _keyed(
        self, item: Item, value: bytes, headers: Sequence[Header], key_of: Getter
    ) -> "Outgoing | RecordError":
        try:
            key = key_of(item.document)
        except DocumentError as error:
            return error
        if key is not None:
            key = key.encode() if isinstance(key, str) else self._encode(key)
        row = (self._topic, value, key, -1, item.record.timestamp, headers)
        return _checked(row, self._limit)


class OutletWriter:
    """Writes results and outcomes to one derived topic."""

    def __init__(
        self,
        outlet: Outlet,
        facts: TopicFacts,
        encode: Encode,
        provenance: Provenance,
        spread: Spread | None,
    ) -> None:
        self.label = outlet.label
        self.tells = outlet.tells
        self._provenance = provenance
        self._outlet = outlet
        self._limit = facts.limit(outlet.topic)
        self._encode = encode
        self._project = projection(outlet.fields)
        self._keep = projection(outlet.kept) if outlet.kept else None
        self._spread = spread

    def write(self, items: Sequence[Item]) -> "list[Outgoing | RecordError]":
        """Return per document its record, or why there is none."""
        return _written(self._rows, items)

    def _rows(self, items: Sequence[Item]) -> "list[Outgoing | RecordError]":
        encode, project, topic = self._encode, self._project, self._outlet.topic
        documents = [item.document for item in items]
        values = [encode(project(document)) for document in documents]
        headers = self._provenance.of_derived(items)
        places = [item.place for item in items]
        if self._outlet.home_level or self._spread is not None:
            places = [self._place(item) for item in items]
        rows: list[Outgoing] = [
            (topic, value, item.record.key, place, item.record.timestamp, named)
            for item, value, place, named in zip(items, values, places, headers, strict=True)
        ]
        return _all_fitting(rows, items, self._limit)

    def tombstone(self, item: Item) -> Outgoing:
        """Return a null, which means a tombstone to the steps after it."""
        return self._row(item, None, self._provenance.of_derived([item])[0])

    def outcome(self, item: Item, outcome: Outcome) -> Outgoing:
        """Return what tells a join or gather that there is no result."""
        headers = [*self._provenance.of_derived([item])[0], (wire.OUTCOME, _WORDS[outcome])]
        if outcome is Outcome.FAILED and item.reason is not None:
            headers += _reason(item.reason)
        kept = None
        if self._keep is not None:
            # What came as an outcome holds nothing but what is kept, and is passed on as it is.
            is_open = item.document is not None
            with suppress(*UNWRITABLE):
                kept = self._encode(self._keep(item.document)) if is_open else item.value
        return self._row(item, kept, headers)

    def _row(self, item: Item, value: bytes | None, headers: Sequence[Header]) -> Outgoing:
        key, timestamp = item.record.key, item.record.timestamp
        return (self._outlet.topic, value, key, self._place(item), timestamp, headers)

    def _place(self, item: Item) -> int:
        level = self._outlet.home_level
        if level:
            return item.scope[level - 1].home if len(item.scope) >= level else item.place
        if self._spread is not None and len(item.scope) > self._spread.level:
            return (item.place + item.index) % self._spread.partitions
        return item.place


def size_of(value: bytes | None, key: bytes | None, headers: Sequence[Header]) -> int:
    """Return what a record costs its topic, bytes."""
    named = sum(len(name) + len(content or b"") + 10 for name, content in headers)
    return len(value or b"") + len(key or b"") + named + OVERHEAD_BYTES


def _written(
    rows_of: "Callable[[Sequence[Item]], list[Outgoing | RecordError]]", items: Sequence[Item]
) -> "list[Outgoing | RecordError]":
    """Return the rows of documents; one that cannot be written costs no other its row."""
    try:
        return rows_of(items)
    except UNWRITABLE as error:
        if len(items) == 1:
            return [DocumentError(f"the result cannot be written: {error}")]
        return [row for item in items for row in _written(rows_of, [item])]


def _all_fitting(
    rows: Sequence[Outgoing], items: Sequence[Item], limit: int
) -> "list[Outgoing | RecordError]":
    """Replace rows that are too large for their topic by the error that says so."""
    largest = max([len(row[1] or b"") + len(row[2] or b"") for row in rows], default=0)
    if largest <= limit // 2 and not any([item.record.headers for item in items]):  # noqa: C419
        return list[Outgoing | RecordError](rows)
    return [_checked(row, limit) for row in rows]


def _checked(row: Outgoing, limit: int) -> Outgoing | OversizeError:
    size = size_of(row[1], row[2], row[5] or ())
    if size <= limit:
        return row
    return OversizeError(
        f"the result has {size:,} bytes; topic {row[0]} takes {limit:,} (max.message.bytes)"
    )


def _reason(reason: Reason) -> list[Header]:
    return [
        (wire.ERROR_CLASS, reason.error.encode()),
        (wire.ERROR_MESSAGE, reason.message.encode(errors="replace")[: wire.MAX_ERROR_TEXT]),
        (wire.ERROR_STEP, reason.step.encode()),
    ]
