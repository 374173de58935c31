"""What a document leaves behind at a step: results, outcomes, a dead letter or a retry record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from headrace.core import wire
from headrace.core.fields import projection
from headrace.core.joining import Outcome
from headrace.core.paths import getter
from headrace.core.records import Header, Outgoing, Record
from headrace.core.steps import ModelStep, Outlet, Sink, SplitStep, Step
from headrace.core.topology import Stage
from headrace.errors import DocumentError, InferenceError, OversizeError, RecordError
from headrace.runtime.items import VERSION, Item, Reason, scope_headers, user_headers

OVERHEAD_BYTES = 192
"""What a record costs beside its value, key and headers, generously."""

DEFAULT_LIMIT_BYTES = 1_048_588
"""A topic's `max.message.bytes` where it is not known."""

Encode: TypeAlias = Callable[[Any], bytes]
Rows: TypeAlias = "list[Outgoing] | RecordError"
"""What a document writes, or why it cannot."""

_WORDS: Final[Mapping[Outcome, bytes]] = {
    Outcome.DROPPED: wire.DROPPED,
    Outcome.FAILED: wire.FAILED,
    Outcome.EMPTY: wire.EMPTY,
}


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
    """Builds every record that one step writes.

    Sink records carry the source's key, timestamp and user headers, and its partition number where
    the sink has as many partitions and names no key of its own. Derived records keep partition
    number or go to their parent's home. Dead letters and retry records keep partition number,
    key, timestamp, user headers and value bytes exactly as read.
    """

    def __init__(
        self,
        stage: Stage,
        step: Step,
        facts: TopicFacts,
        encode: Encode,
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._step = step
        self._facts = facts
        self._encode = encode
        self._now_ms = now_ms
        self._pipeline: Header = (wire.PIPELINE, stage.fingerprint.encode())
        self._retry_topic = stage.retry_topics[step.name]
        self._dead_letter_topic = stage.dead_letter_topic
        self._root_partitions = facts.partitions.get(stage.root or stage.sources[0].topic, 0)
        # Children are spread where they leave the stage; in memory they stay with their parent.
        is_spread = isinstance(step, SplitStep) and step.is_spread
        self.spread = (self._root_partitions if is_spread else 0, step.level)
        self._sinks = [_SinkWriter(self, sink, facts, encode) for sink in step.sinks]
        self._outlets = [_OutletWriter(self, outlet, facts, encode) for outlet in step.outlets]
        self._writers: list[_SinkWriter | _OutletWriter] = [*self._sinks, *self._outlets]
        self._trails: dict[bytes, Header] = {}
        self._restrict = projection(step.inlets[0].fields if len(step.inlets) == 1 else None)

    @property
    def writes(self) -> bool:
        """Whether its results are written anywhere."""
        return bool(self._writers)

    def results(self, items: Sequence[Item], labels: Sequence[str] | None = None) -> list[Rows]:
        """Return per document what it writes, or why it cannot.

        Args:
            items: Documents that passed the step.
            labels: The route that each takes, empty for none; None where the step has no routes.
        """
        if len(self._writers) == 1 and labels is None:
            written = self._writers[0].write(items)
            return [row if isinstance(row, RecordError) else [row] for row in written]
        rows: list[Rows] = [[] for _ in items]
        for writer in self._writers:
            numbers: Sequence[int] = range(len(items))
            if labels is not None and writer.label:
                numbers = [at for at, label in enumerate(labels) if label == writer.label]
                if isinstance(writer, _OutletWriter) and writer.tells:
                    for at in sorted(set(range(len(items))).difference(numbers)):
                        _append(rows, at, writer.outcome(items[at], Outcome.DROPPED))
            for at, row in zip(numbers, writer.write([items[at] for at in numbers]), strict=True):
                _append(rows, at, row)
        return rows

    def outcome(self, item: Item) -> list[Outgoing]:
        """Return what an item without a document writes: to whoever waits for it."""
        if item.outcome is Outcome.TOMBSTONE:
            return [writer.tombstone(item) for writer in self._writers]
        return [each.outcome(item, item.outcome) for each in self._outlets if each.tells]

    def dead_letter(self, item: Item, cause: Cause) -> Outgoing:
        """Return the record exactly as the step read it, with the cause in its headers.

        A record that leaves no room for the headers goes without its value, never without its
        coordinates.
        """
        headers = [*self._carried(item), *self._error(item.record, cause)]
        return self._fitting(self._dead_letter_topic, item, self.as_read(item), headers)

    def retry(self, item: Item, cause: Cause, not_before_ms: int) -> Outgoing:
        """Return the record as read, to be taken again not before a time."""
        headers = [
            *self._carried(item),
            (wire.ATTEMPT, b"%d" % (cause.attempts + 1)),
            (wire.NOT_BEFORE, b"%d" % not_before_ms),
        ]
        return _copy_of(item, self._retry_topic, self.as_read(item), headers)

    def partial_letter(self, item: Item, value: bytes, kind: bytes, cause: Cause) -> Outgoing:
        """Return the dead letter of a join or gather: the parts it had, as a value."""
        headers = [
            *self._carried(item),
            (wire.PARTIAL, kind),
            *self._error(item.record, cause),
        ]
        return self._fitting(self._dead_letter_topic, item, value, headers)

    def partial(
        self, item: Item, value: bytes, kind: bytes, *, not_before_ms: int, attempt: int
    ) -> Outgoing:
        """Return parts of a record that go through the retry topic because memory is full."""
        headers = [
            *self._carried(item),
            (wire.PARTIAL, kind),
            (wire.ATTEMPT, b"%d" % attempt),
            (wire.NOT_BEFORE, b"%d" % not_before_ms),
        ]
        return _copy_of(item, self._retry_topic, value, headers)

    def closed(self, item: Item, value: bytes, kind: bytes) -> Outgoing:
        """Return the mark that the step ended an id before all of its parts had come."""
        headers = [
            *self._carried(item),
            (wire.PARTIAL, kind),
            (wire.OUTCOME, wire.CLOSED),
        ]
        return _copy_of(item, self._retry_topic, value, headers)

    def fits(self, row: Outgoing) -> bool:
        """Whether a record is small enough for its topic."""
        return _size(row[1], row[2], row[5] or ()) <= self._facts.limit(row[0])

    def as_read(self, item: Item) -> bytes | None:
        """Return the bytes that a document was, or in memory would have been, read as."""
        if item.document is None or item.value is not None:
            return item.value
        return self._encode(self._restrict(item.document if item.read is None else item.read))

    # Headers

    def sink_headers(self, items: Sequence[Item]) -> list[Sequence[Header]]:
        """Return where each comes from and what made it."""
        pipeline, trails = self._pipeline, self._trails
        headers: list[Sequence[Header]] = []
        for item in items:
            models = trails.get(item.trail) or self._trail(item.trail)
            own = [
                (wire.ID, item.id),
                (wire.SOURCE, item.source or source_of(item.id)),
                models,
                pipeline,
            ]
            if item.record.headers is not None:
                own += user_headers(item.record)
            headers.append(own)
        return headers

    def derived_headers(self, items: Sequence[Item]) -> list[Sequence[Header]]:
        """Return what the next stage must know of each."""
        written: Header = (wire.AT, b"%d" % self._now_ms())
        headers: list[Sequence[Header]] = []
        trail, models = None, _NO_MODELS
        for item in items:
            if item.trail is not trail:
                trail = item.trail
                models = self._trails.get(trail) or self._trail(trail)
            own = [VERSION, (wire.ID, item.id), models, written]
            if item.scope:
                own += scope_headers(item.scope)
            if item.is_replay:
                own.append(_REPLAY)
            if item.deadline:
                own.append((wire.DEADLINE, b"%d" % item.deadline))
            if item.record.headers is not None:
                own += user_headers(item.record)
            headers.append(own)
        return headers

    def _trail(self, trail: bytes) -> Header:
        header = (wire.MODELS, trail)
        if len(self._trails) < _MOST_TRAILS:
            self._trails[trail] = header
        return header

    def _carried(self, item: Item) -> list[Header]:
        """Return what a copy of the record must say about it."""
        return [
            VERSION,
            (wire.ID, item.id),
            (wire.SOURCE, source_of(item.id)),
            self._pipeline,
            (wire.AT, b"%d" % self._now_ms()),
            *([(wire.MODELS, item.trail)] if item.trail else []),
            *scope_headers(item.scope),
            *([_REPLAY] if item.is_replay else []),
            *([(wire.DEADLINE, b"%d" % item.deadline)] if item.deadline else []),
            *user_headers(item.record),
        ]

    def _error(self, record: Record, cause: Cause) -> list[Header]:
        step = self._step
        place = f"{record.partition.topic}/{record.partition.partition}/{record.offset}"
        status = cause.error.status if isinstance(cause.error, InferenceError) else ""
        model = step.model.remote_name if isinstance(step, ModelStep) else ""
        return [
            (wire.ERROR_CLASS, type(cause.error).__name__.encode()),
            (wire.ERROR_MESSAGE, _message(cause.error)),
            (wire.ERROR_STEP, step.name.encode()),
            (wire.ERROR_ATTEMPTS, b"%d" % cause.attempts),
            (wire.ERROR_MODEL, model.encode()),
            (wire.ERROR_VERSION, cause.version.encode()),
            *([(wire.ERROR_STATUS, status.encode())] if status else []),
            (wire.ERROR_SOURCE, place.encode()),
            (wire.ERROR_FIRST, b"%d" % cause.first_ms),
            (wire.ERROR_LAST, b"%d" % cause.last_ms),
        ]

    def keeps_partition(self, sink: Sink) -> bool:
        """Whether the records of a sink stay in their source's partition number."""
        return not sink.key and self._facts.partitions.get(sink.topic) == self._root_partitions

    def _fitting(
        self, topic: str, item: Item, value: bytes | None, headers: Sequence[Header]
    ) -> Outgoing:
        if _size(value, item.record.key, headers) > self._facts.limit(topic):
            value = None
        return _copy_of(item, topic, value, headers)


class _SinkWriter:
    """Writes results to one sink."""

    def __init__(self, outputs: Outputs, sink: Sink, facts: TopicFacts, encode: Encode) -> None:
        self.label = sink.label
        self._outputs = outputs
        self._topic = sink.topic
        self._limit = facts.limit(sink.topic)
        self._encode = encode
        self._project = projection(sink.fields or None)
        self._key_of = getter(sink.key) if sink.key else None
        self._keeps_partition = outputs.keeps_partition(sink)

    def write(self, items: Sequence[Item]) -> "list[Outgoing | RecordError]":
        encode, project, topic = self._encode, self._project, self._topic
        documents = [item.document for item in items]
        values = [encode(project(document)) for document in documents]
        headers = self._outputs.sink_headers(items)
        rows: list[Outgoing | RecordError]
        if self._key_of is not None:
            rows = [
                self._keyed(item, value, named)
                for item, value, named in zip(items, values, headers, strict=True)
            ]
        elif self._keeps_partition:
            rows = [
                (topic, value, item.record.key, item.place, item.record.timestamp, named)
                for item, value, named in zip(items, values, headers, strict=True)
            ]
        else:
            rows = [
                (topic, value, item.record.key, -1, item.record.timestamp, named)
                for item, value, named in zip(items, values, headers, strict=True)
            ]
        return _all_fitting(rows, items, values, self._limit)

    def tombstone(self, item: Item) -> Outgoing:
        """Return a null under the record's key."""
        place = item.place if self._keeps_partition else -1
        headers = self._outputs.sink_headers([item])[0]
        return (self._topic, None, item.record.key, place, item.record.timestamp, headers)

    def _keyed(
        self, item: Item, value: bytes, headers: Sequence[Header]
    ) -> "Outgoing | RecordError":
        try:
            key = self._key_of(item.document) if self._key_of is not None else None
        except DocumentError as error:
            return error
        if key is not None:
            key = key.encode() if isinstance(key, str) else self._encode(key)
        return (self._topic, value, key, -1, item.record.timestamp, headers)


class _OutletWriter:
    """Writes results and outcomes to one derived topic."""

    def __init__(self, outputs: Outputs, outlet: Outlet, facts: TopicFacts, encode: Encode) -> None:
        self.label = outlet.label
        self.tells = outlet.tells
        self._outputs = outputs
        self._outlet = outlet
        self._limit = facts.limit(outlet.topic)
        self._encode = encode
        self._project = projection(outlet.fields)
        self._keep = projection(outlet.kept) if outlet.kept else None
        self._spread, self._level = outputs.spread

    def write(self, items: Sequence[Item]) -> "list[Outgoing | RecordError]":
        encode, project, topic = self._encode, self._project, self._outlet.topic
        documents = [item.document for item in items]
        values = [encode(project(document)) for document in documents]
        headers = self._outputs.derived_headers(items)
        places = [item.place for item in items]
        if self._outlet.home_level or self._spread:
            places = [self._place(item) for item in items]
        rows: list[Outgoing | RecordError] = [
            (topic, value, item.record.key, place, item.record.timestamp, named)
            for item, value, place, named in zip(items, values, places, headers, strict=True)
        ]
        return _all_fitting(rows, items, values, self._limit)

    def tombstone(self, item: Item) -> Outgoing:
        """Return a null, which means a tombstone to the steps after it."""
        return self._row(item, None, self._outputs.derived_headers([item])[0])

    def outcome(self, item: Item, outcome: Outcome) -> Outgoing:
        """Return what tells a join or gather that there is no result."""
        headers = [*self._outputs.derived_headers([item])[0], (wire.OUTCOME, _WORDS[outcome])]
        if outcome is Outcome.FAILED and item.reason is not None:
            headers += _reason(item.reason)
        kept = None
        if self._keep is not None:
            # What came as an outcome holds nothing but what is kept, and is passed on as it is.
            is_open = item.document is not None
            kept = self._encode(self._keep(item.document)) if is_open else item.value
        return self._row(item, kept, headers)

    def _row(self, item: Item, value: bytes | None, headers: Sequence[Header]) -> Outgoing:
        key, timestamp = item.record.key, item.record.timestamp
        return (self._outlet.topic, value, key, self._place(item), timestamp, headers)

    def _place(self, item: Item) -> int:
        level = self._outlet.home_level
        if level:
            return item.scope[level - 1].home if len(item.scope) >= level else item.place
        if self._spread and len(item.scope) > self._level:
            return (item.place + item.index) % self._spread
        return item.place


_MOST_TRAILS: Final = 1_000
_NO_MODELS: Header = (wire.MODELS, b"")
_REPLAY: Header = (wire.REPLAY, b"1")


def source_of(id_: bytes) -> bytes:
    """Return topic/partition/offset of the source record that a record id names."""
    return b"/".join(id_.partition(b"/")[0].rsplit(b"-", 2))


def reason_for(step: str, error: Exception) -> Reason:
    """Return why a step gave a record up, as its outcome tells it."""
    return Reason(step, type(error).__name__, _message(error).decode(errors="replace"))


def _reason(reason: Reason) -> list[Header]:
    return [
        (wire.ERROR_CLASS, reason.error.encode()),
        (wire.ERROR_MESSAGE, reason.message.encode(errors="replace")[: wire.MAX_ERROR_TEXT]),
        (wire.ERROR_STEP, reason.step.encode()),
    ]


def _message(error: Exception) -> bytes:
    text = str(error) or type(error).__name__
    return text.encode(errors="replace")[: wire.MAX_ERROR_TEXT]


def _append(rows: list[Rows], at: int, row: "Outgoing | RecordError") -> None:
    before = rows[at]
    if isinstance(before, RecordError):
        return
    if isinstance(row, RecordError):
        rows[at] = row
    else:
        before.append(row)


def _copy_of(item: Item, topic: str, value: bytes | None, headers: Sequence[Header]) -> Outgoing:
    return (topic, value, item.record.key, item.place, item.record.timestamp, headers)


def _all_fitting(
    rows: "list[Outgoing | RecordError]",
    items: Sequence[Item],
    values: Sequence[bytes],
    limit: int,
) -> "list[Outgoing | RecordError]":
    """Replace rows that are too large for their topic by the error that says so."""
    largest = max([len(value) for value in values]) if values else 0
    longest = max([len(item.record.key or b"") for item in items]) if items else 0
    if largest + longest <= limit // 2 and not any([item.record.headers for item in items]):  # noqa: C419
        return rows
    return [row if isinstance(row, RecordError) else _checked(row, limit) for row in rows]


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
