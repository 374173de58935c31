"""What the records say that a source record left in Kafka, one hop each, told in order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from headrace.core import wire
from headrace.core.record_ids import ancestor, is_within, level_of
from headrace.core.records import Record, TopicPartition
from headrace.core.steps import MOST_CHILDREN
from headrace.core.topics import TopicKind
from headrace.core.whereabouts import Map, Way


class HopKind(StrEnum):
    """What a record found on the way is."""

    SOURCE = "source"
    DERIVED = "derived"
    SINK = "sink"
    RETRY = "retry"
    SPILL = "spill"
    CLOSED = "closed"
    DEAD_LETTER = "dead_letter"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a record did not go on, and at which step."""

    step: str
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One record that a source record left.

    Attributes:
        kind: What it is.
        id: Id of the record or child.
        step: The step that wrote it, or that could not go on; empty for the source record.
        place: Topic and partition.
        offset: Offset there.
        at_ms: When it was written, ms since the epoch; None where the record does not say it.
        outcome: `result`, `tombstone`, `dropped`, `failed` or `empty`; empty for other kinds.
        models: `step=model@version` of the steps that worked on it in the stage that wrote it.
        attempt: Which attempt comes next, of a dead letter how many there were; 0 if unknown.
        not_before_ms: When it may be tried again, 0 for at once.
        failure: Why it did not go on, if it did not.
        is_replay: Whether it was sent back by a replay, or came from one that was.
        mark: Of a dead letter how marks name it, of a mark which dead letter it names.
        parts: Of a partial the parents, and numbers of children, of which a part is there.
        key: Of the source record its key.
    """

    kind: HopKind
    id: str
    step: str
    place: TopicPartition
    offset: int
    at_ms: int | None = None
    outcome: str = ""
    models: tuple[str, ...] = ()
    attempt: int = 0
    not_before_ms: int = 0
    failure: Failure | None = None
    is_replay: bool = False
    mark: str = ""
    parts: tuple[tuple[str, int | None], ...] = ()
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What became of a record.

    Attributes:
        id: Record id.
        hops: What it left, in order.
        children: What became of the children it was split into, in the order of their list.
    """

    id: str
    hops: Sequence[Hop]
    children: Sequence["Story"] = field(default=())


def source_hop(id_: str, record: Record) -> Hop:
    """Return the hop that a source record is."""
    written = record.timestamp or None
    place, offset = record.partition, record.offset
    return Hop(HopKind.SOURCE, id_, "", place, offset, written, key=record.key)


def hop_of(record: Record, id_: str, way: Way, known: Map) -> Hop:
    """Return the hop that a record is which was found on a way."""
    headers = dict(record.headers or ())
    match way.kind:
        case TopicKind.DEAD_LETTERS:
            return _letter(record, id_, headers)
        case TopicKind.RETRY:
            return _retry(record, id_, way.writers[0], headers)
        case _:
            return _result(record, id_, way, known, headers)


def counts_of(record: Record, id_: str) -> Mapping[str, int]:
    """Return into how many children each record around this one was split, as it says."""
    said = dict(record.headers or ()).get(wire.CHILDREN) or b""
    numbers = enumerate(map(wire.number, said.split(b"/")))
    return {ancestor(id_, level): count for level, count in numbers if 0 < count <= MOST_CHILDREN}


def told(id_: str, hops: Sequence[Hop], known: Map) -> Story:
    """Return the story that hops tell about a record and its children."""
    ordered = _in_order([hop for hop in hops if is_within(hop.id, id_)], known)
    return _story(id_, ordered)


def _story(id_: str, hops: Sequence[Hop]) -> Story:
    level = level_of(id_)
    below: dict[str, list[Hop]] = {}
    for hop in hops:
        if hop.id != id_:
            below.setdefault(ancestor(hop.id, level + 1), []).append(hop)
    children = sorted(below, key=lambda each: wire.number(each.rpartition("/")[2].encode()))
    return Story(
        id=id_,
        hops=[hop for hop in hops if hop.id == id_],
        children=[_story(child, below[child]) for child in children],
    )


def _in_order(hops: Sequence[Hop], known: Map) -> Sequence[Hop]:
    """Return hops by the time they were written.

    What does not say it, a sink's record, comes after everything it can have come from.
    """
    place = {name: len(known.upstream(name)) for name in known.steps}
    # A step that a dead letter names may have another name by now.
    steps = {hop.step for hop in hops} & known.steps.keys()
    before = {step: known.upstream(step) for step in steps}

    def written(hop: Hop) -> int:
        if hop.at_ms is not None:
            return hop.at_ms
        causes = (
            each.at_ms or 0
            for each in hops
            if (not each.step or each.step in before.get(hop.step, ()))
            and (is_within(each.id, hop.id) or is_within(hop.id, each.id))
        )
        return max(causes, default=0)

    def rank(hop: Hop) -> tuple[int, int, bool, int]:
        is_undated = hop.at_ms is None
        return (written(hop), place.get(hop.step, 0), is_undated, hop.offset)

    return sorted(hops, key=lambda hop: (hop.kind is not HopKind.SOURCE, *rank(hop)))


def _result(
    record: Record, id_: str, way: Way, known: Map, headers: Mapping[str, bytes | None]
) -> Hop:
    models = [each for each in _text(headers.get(wire.MODELS)).split(", ") if each]
    step = _writer(way, models)
    together = {each.name for each in known.stage_of[step].steps}
    outcome = _text(headers.get(wire.OUTCOME)) or (
        "tombstone" if record.value is None else "result"
    )
    return Hop(
        kind=HopKind.SINK if way.kind is TopicKind.SINK else HopKind.DERIVED,
        id=id_,
        step=step,
        place=record.partition,
        offset=record.offset,
        at_ms=_number(headers, wire.AT) or None,
        outcome=outcome,
        models=tuple(each for each in models if each.partition("=")[0] in together),
        failure=_failure(headers),
        is_replay=wire.REPLAY in headers,
    )


def _writer(way: Way, models: Sequence[str]) -> str:
    """Return which of the steps that write to a topic wrote a record: the one that came last."""
    passed = [each.partition("=")[0] for each in models]
    return next((each for each in reversed(passed) if each in way.writers), way.writers[0])


def _letter(record: Record, id_: str, headers: Mapping[str, bytes | None]) -> Hop:
    replayed = headers.get(wire.REPLAYED)
    if replayed is not None:
        mark = _text(replayed)
        return Hop(
            HopKind.REPLAYED, id_, "", record.partition, record.offset, record.timestamp, mark=mark
        )
    failure = _failure(headers)
    step = "" if failure is None else failure.step
    model, version = _text(headers.get(wire.ERROR_MODEL)), _text(headers.get(wire.ERROR_VERSION))
    return Hop(
        kind=HopKind.DEAD_LETTER,
        id=id_,
        step=step,
        place=record.partition,
        offset=record.offset,
        at_ms=_number(headers, wire.AT) or _number(headers, wire.ERROR_LAST) or None,
        models=(f"{step}={model}@{version}",) if model else (),
        attempt=_number(headers, wire.ERROR_ATTEMPTS),
        failure=failure,
        mark=f"{record.partition.partition}-{record.offset}",
        parts=_parts(record, headers),
    )


def _retry(record: Record, id_: str, step: str, headers: Mapping[str, bytes | None]) -> Hop:
    is_replay = wire.REPLAY in headers
    kind = HopKind.RETRY
    if headers.get(wire.OUTCOME) == wire.CLOSED:
        kind = HopKind.CLOSED
    elif wire.PARTIAL in headers and wire.NOT_BEFORE in headers:
        kind = HopKind.SPILL
    return Hop(
        kind=kind,
        id=id_,
        step=step,
        place=record.partition,
        offset=record.offset,
        at_ms=_number(headers, wire.AT) or _number(headers, wire.NOT_BEFORE) or None,
        attempt=_number(headers, wire.ATTEMPT),
        not_before_ms=_number(headers, wire.NOT_BEFORE),
        is_replay=is_replay,
        parts=_parts(record, headers),
    )


def _failure(headers: Mapping[str, bytes | None]) -> Failure | None:
    if wire.ERROR_STEP not in headers:
        return None
    return Failure(
        _text(headers[wire.ERROR_STEP]),
        _text(headers.get(wire.ERROR_CLASS)),
        _text(headers.get(wire.ERROR_MESSAGE)),
    )


def _parts(
    record: Record, headers: Mapping[str, bytes | None]
) -> tuple[tuple[str, int | None], ...]:
    if record.value is None or not (wire.PARTIAL in headers or wire.OUTCOME in headers):
        return ()
    try:
        parts: Any = json.loads(record.value)["parts"]
        # A part that failed has to come again once the partial is sent back.
        absent = {"missing", "failed"} if wire.REPLAY in headers else {"missing"}
        return tuple(
            (str(each["from"]), index if isinstance(index := each.get("index"), int) else None)
            for each in parts
            if str(each["outcome"]) not in absent
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ()


def _number(headers: Mapping[str, bytes | None], name: str) -> int:
    return wire.number(headers.get(name))


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace")
