"""What a record leaves behind: its result, a dead letter or a retry record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core import wire
from headrace.core.ledger import Ledger
from headrace.core.paths import getter
from headrace.core.records import Header, Outgoing, Output, Record
from headrace.core.topology import Sink, Stage
from headrace.errors import InferenceError, OversizeError

OVERHEAD_BYTES = 192
"""What a record costs beside its value, key and headers, generously."""

DEFAULT_LIMIT_BYTES = 1_048_588
"""A topic's `max.message.bytes` where it is not known."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What the outputs must know of the topics they are written to.

    Attributes:
        partitions: Partition count per topic.
        max_bytes: Largest record per topic, bytes.
    """

    partitions: Mapping[str, int]
    max_bytes: Mapping[str, int]

    def limit(self, topic: str) -> int:
        """Return the largest record the topic takes, bytes."""
        return self.max_bytes.get(topic, DEFAULT_LIMIT_BYTES)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a record did not go on.

    Attributes:
        error: What happened.
        attempts: Calls made for it.
        first_ms: When it failed first, ms since the epoch.
        last_ms: When it failed last.
        version: Version of the model that answered, if any.
    """

    error: Exception
    attempts: int
    first_ms: int
    last_ms: int
    version: str = ""


class Outputs:
    """Builds every record a stage writes.

    Results carry the source's key, timestamp and user headers, and its partition number where the
    sink has as many partitions and names no key of its own. Dead letters and retry records keep
    partition number, key, timestamp, user headers and value bytes exactly as read.
    """

    def __init__(self, stage: Stage, facts: TopicFacts, encode: Callable[[Any], bytes]) -> None:
        self._stage = stage
        self._facts = facts
        self._encode = encode
        self._pipeline: Header = (wire.PIPELINE, stage.fingerprint.encode())
        self._models: dict[str, Header] = {}
        self._writers = [self._writer(sink) for sink in stage.sinks]
        source = stage.sources[0].topic
        self._source_partitions = facts.partitions.get(source, 0)

    def results(
        self, records: Sequence[Record], documents: Sequence[Any], version: str
    ) -> list[Output | OversizeError]:
        """Return per record what it writes to the sinks, or why it cannot."""
        headers = self._provenance(records, version)
        first = self._writers[0](records, documents, headers)
        if len(self._writers) == 1:
            return [one if isinstance(one, OversizeError) else (one,) for one in first]
        columns = [first, *(write(records, documents, headers) for write in self._writers[1:])]
        return [self._join(row) for row in zip(*columns, strict=True)]

    def tombstone(self, record: Record) -> Output:
        """Return a null for every sink, with the record's key."""
        headers = self._provenance([record], "")[0]
        return tuple(
            (
                sink.topic,
                None,
                record.key,
                self._partition(sink, record),
                record.timestamp,
                headers,
            )
            for sink in self._stage.sinks
        )

    def dead_letter(self, record: Record, cause: Cause) -> Output:
        """Return the record exactly as read, with the cause in its headers.

        A record that leaves no room for the headers goes without its value, never without its
        coordinates.
        """
        topic = self._stage.dead_letter_topic
        headers = self._carried(record) + self._error(record, cause)
        value = record.value
        if _size(value, record.key, headers) > self._facts.limit(topic):
            value = None
        return (_copy_of(record, topic, value, headers),)

    def retry(self, record: Record, cause: Cause, not_before_ms: int) -> Output:
        """Return the record as read, to be taken again not before a time."""
        headers = [
            *self._carried(record),
            (wire.ATTEMPT, b"%d" % (cause.attempts + 1)),
            (wire.NOT_BEFORE, b"%d" % not_before_ms),
        ]
        return (_copy_of(record, self._stage.retry_topic, record.value, headers),)

    # Results

    def _writer(
        self, sink: Sink
    ) -> Callable[
        [Sequence[Record], Sequence[Any], Sequence[Sequence[Header]]],
        "list[Outgoing | OversizeError]",
    ]:
        topic, encode = sink.topic, self._encode
        limit = self._facts.limit(topic)
        project = _projection(sink.fields)
        key_of = getter(sink.key) if sink.key else None

        def write(
            records: Sequence[Record],
            documents: Sequence[Any],
            headers: Sequence[Sequence[Header]],
        ) -> "list[Outgoing | OversizeError]":
            written = documents if project is None else map(project, documents)
            values = [encode(document) for document in written]
            rows: list[Outgoing]
            if key_of is not None:
                rows = [
                    (topic, v, _key_bytes(key_of(d), encode), -1, r.timestamp, h)
                    for r, d, v, h in zip(records, documents, values, headers, strict=True)
                ]
            elif self._keeps_partition(sink):
                rows = [
                    (topic, v, r.key, r.partition[1], r.timestamp, h)
                    for r, v, h in zip(records, values, headers, strict=True)
                ]
            else:
                rows = [
                    (topic, v, r.key, -1, r.timestamp, h)
                    for r, v, h in zip(records, values, headers, strict=True)
                ]
            if _may_be_large(rows, limit) or any(r.headers for r in records):
                return [_checked(row, limit) for row in rows]
            return list[Outgoing | OversizeError](rows)

        return write

    def _keeps_partition(self, sink: Sink) -> bool:
        return not sink.key and self._facts.partitions.get(sink.topic) == self._source_partitions

    def _partition(self, sink: Sink, record: Record) -> int:
        return record.partition[1] if self._keeps_partition(sink) else -1

    def _join(self, row: "Sequence[Outgoing | OversizeError]") -> Output | OversizeError:
        outgoing: list[Outgoing] = []
        for one in row:
            if isinstance(one, OversizeError):
                return one
            outgoing.append(one)
        return outgoing

    # Headers

    def _provenance(self, records: Sequence[Record], version: str) -> list[Sequence[Header]]:
        models, pipeline = self._models_header(version), self._pipeline
        headers: list[Sequence[Header]] = []
        for record in records:
            if record.headers is not None:
                headers.append([*self._identity(record), models, pipeline, *_user(record)])
                continue
            ledger: Ledger = record.ledger
            offset = b"%d" % record.offset
            headers.append(
                [
                    (wire.ID, ledger.id_prefix + offset),
                    (wire.SOURCE, ledger.source_prefix + offset),
                    models,
                    pipeline,
                ]
            )
        return headers

    def _models_header(self, version: str) -> Header:
        header = self._models.get(version)
        if header is None:
            step = self._stage.step
            text = f"{step.name}={step.model.remote_name}@{version}"
            header = self._models[version] = (wire.MODELS, text.encode())
        return header

    def _identity(self, record: Record) -> list[Header]:
        """Return id and source of a record: carried by it, or its own coordinates."""
        if record.partition.topic == self._stage.retry_topic:
            carried = [h for h in record.headers or () if h[0] in (wire.ID, wire.SOURCE)]
            if carried:
                return carried
        ledger: Ledger = record.ledger
        offset = b"%d" % record.offset
        return [(wire.ID, ledger.id_prefix + offset), (wire.SOURCE, ledger.source_prefix + offset)]

    def _carried(self, record: Record) -> list[Header]:
        """Return what a copy of the record must say about it."""
        return [
            (wire.VERSION, wire.FORMAT),
            *self._identity(record),
            self._pipeline,
            *_user(record),
        ]

    def _error(self, record: Record, cause: Cause) -> list[Header]:
        step = self._stage.step
        text = str(cause.error) or type(cause.error).__name__
        place = f"{record.partition.topic}/{record.partition.partition}/{record.offset}"
        status = cause.error.status if isinstance(cause.error, InferenceError) else ""
        return [
            (wire.ERROR_CLASS, type(cause.error).__name__.encode()),
            (wire.ERROR_MESSAGE, text.encode(errors="replace")[: wire.MAX_ERROR_TEXT]),
            (wire.ERROR_STEP, step.name.encode()),
            (wire.ERROR_ATTEMPTS, b"%d" % cause.attempts),
            (wire.ERROR_MODEL, step.model.remote_name.encode()),
            (wire.ERROR_VERSION, cause.version.encode()),
            *([(wire.ERROR_STATUS, status.encode())] if status else []),
            (wire.ERROR_SOURCE, place.encode()),
            (wire.ERROR_FIRST, b"%d" % cause.first_ms),
            (wire.ERROR_LAST, b"%d" % cause.last_ms),
        ]


def _user(record: Record) -> list[Header]:
    return [header for header in record.headers or () if not header[0].startswith(wire.PREFIX)]


def _copy_of(
    record: Record, topic: str, value: bytes | None, headers: Sequence[Header]
) -> Outgoing:
    return (topic, value, record.key, record.partition[1], record.timestamp, headers)


def _projection(fields: Sequence[str]) -> Callable[[Any], Any] | None:
    if not fields:
        return None
    names = tuple(fields)
    return lambda document: {name: document[name] for name in names if name in document}


def _key_bytes(key: object, encode: Callable[[Any], bytes]) -> bytes | None:
    if key is None:
        return None
    return key.encode() if isinstance(key, str) else encode(key)


def _may_be_large(rows: Sequence[Outgoing], limit: int) -> bool:
    """Whether a row may be over the limit once our own short headers are added."""
    return max([len(row[1] or b"") + len(row[2] or b"") for row in rows]) > limit // 2


def _size(value: bytes | None, key: bytes | None, headers: Sequence[Header]) -> int:
    named = sum(len(name) + len(content or b"") + 10 for name, content in headers)
    return len(value or b"") + len(key or b"") + named + OVERHEAD_BYTES


def _checked(row: Outgoing, limit: int) -> Outgoing | OversizeError:
    size = _size(row[1], row[2], row[5] or ())
    if size <= limit:
        return row
    return OversizeError(
        f"the result has {size:,} bytes; topic {row[0]} takes {limit:,} (max.message.bytes)"
    )
