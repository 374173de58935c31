"""What a document leaves behind at a step: results, outcomes, a dead letter or a retry record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from headrace.core import wire
from headrace.core.fields import projection
from headrace.core.joining import Outcome
from headrace.core.records import Header, Outgoing, Record
from headrace.core.steps import ModelStep, SplitStep, Step
from headrace.core.topology import Stage
from headrace.errors import InferenceError, RecordError
from headrace.runtime.items import Item, Reason
from headrace.runtime.provenance import Provenance
from headrace.runtime.topic_facts import TopicFacts
from headrace.runtime.writers import (
    UNWRITABLE,
    Encode,
    OutletWriter,
    SinkWriter,
    Spread,
    size_of,
)

Rows: TypeAlias = "list[Outgoing] | RecordError"
"""What a document writes, or why it cannot."""


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
        self._provenance = provenance = Provenance(stage.fingerprint, now_ms)
        self._retry_topic = stage.retry_topics[step.name]
        self._dead_letter_topic = stage.dead_letter_topic
        partitions = facts.partitions.get(stage.root_topic, 0)
        # Children are spread where they leave the stage; in memory they stay with their parent.
        is_spread = isinstance(step, SplitStep) and step.is_spread
        spread = Spread(partitions, step.level) if is_spread and partitions else None
        self._outlets = [
            OutletWriter(outlet, facts, encode, provenance, spread) for outlet in step.outlets
        ]
        sinks = [SinkWriter(sink, facts, encode, provenance, partitions) for sink in step.sinks]
        self._writers: list[SinkWriter | OutletWriter] = [*sinks, *self._outlets]
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
                if isinstance(writer, OutletWriter) and writer.tells:
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

        A record that leaves no room for the headers goes without its value, then without those of
        the user, never without its coordinates.
        """
        headers = [*self._provenance.of_copy(item), *self._error(item.record, cause)]
        return self._fitting(self._dead_letter_topic, item, self.as_read(item), headers)

    def retry(self, item: Item, cause: Cause, not_before_ms: int) -> Outgoing:
        """Return the record as read, to be taken again not before a time."""
        headers = [
            *self._provenance.of_copy(item),
            (wire.ATTEMPT, b"%d" % (cause.attempts + 1)),
            (wire.NOT_BEFORE, b"%d" % not_before_ms),
        ]
        return _copy_of(item, self._retry_topic, self.as_read(item), headers)

    def partial_letter(self, item: Item, value: bytes, kind: bytes, cause: Cause) -> Outgoing:
        """Return the dead letter of a join or gather: the parts it had, as a value."""
        headers = [
            *self._provenance.of_copy(item),
            (wire.PARTIAL, kind),
            *self._error(item.record, cause),
        ]
        return self._fitting(self._dead_letter_topic, item, value, headers)

    def partial(
        self, item: Item, value: bytes, kind: bytes, *, not_before_ms: int, attempt: int
    ) -> Outgoing:
        """Return parts of a record that go through the retry topic because memory is full."""
        headers = [
            *self._provenance.of_copy(item),
            (wire.PARTIAL, kind),
            (wire.ATTEMPT, b"%d" % attempt),
            (wire.NOT_BEFORE, b"%d" % not_before_ms),
        ]
        return _copy_of(item, self._retry_topic, value, headers)

    def closed(self, item: Item, value: bytes, kind: bytes) -> Outgoing:
        """Return the mark that the step ended an id before all of its parts had come."""
        headers = [
            *self._provenance.of_copy(item),
            (wire.PARTIAL, kind),
            (wire.OUTCOME, wire.CLOSED),
        ]
        return _copy_of(item, self._retry_topic, value, headers)

    def fits(self, row: Outgoing) -> bool:
        """Whether a record is small enough for its topic."""
        return size_of(row[1], row[2], row[5] or ()) <= self._facts.limit(row[0])

    def as_read(self, item: Item) -> bytes | None:
        """Return the bytes that a document was, or in memory would have been, read as.

        None for one that only memory could hold.
        """
        if item.document is None or item.value is not None:
            return item.value
        try:
            return self._encode(self._restrict(item.document if item.read is None else item.read))
        except UNWRITABLE:
            return None

    # Headers

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

    def _fitting(
        self, topic: str, item: Item, value: bytes | None, headers: Sequence[Header]
    ) -> Outgoing:
        limit = self._facts.limit(topic)
        if size_of(value, item.record.key, headers) > limit:
            value = None
            if size_of(value, item.record.key, headers) > limit:
                headers = [each for each in headers if each[0].startswith(wire.PREFIX)]
        return _copy_of(item, topic, value, headers)


def reason_for(step: str, error: Exception) -> Reason:
    """Return why a step gave a record up, as its outcome tells it."""
    return Reason(step, type(error).__name__, _message(error).decode(errors="replace"))


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
