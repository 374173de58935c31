"""Whether what came out of a run is what went in: once each, in order, and as committed."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields

from headrace.core.records import Record, TopicPartition
from headrace.errors import HeadraceError

Origin = tuple[TopicPartition, int]
"""Partition and offset of a source record."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a history; every field is empty where nothing is.

    Attributes:
        lost: Source records that left nothing behind.
        duplicated: Source records that left more than one record behind.
        reordered: Results that came after a later one of their lane.
        torn: Source records with a result but not committed as finished, or the reverse.
        aborted: Source records that were aborted, and left something behind all the same.
        again: Source records that a model was asked about after their outcome was durable.
        unexpected: Results that come from no source record.
    """

    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    reordered: tuple[str, ...] = ()
    torn: tuple[str, ...] = ()
    aborted: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return any(getattr(self, each.name) for each in fields(self))

    def __str__(self) -> str:
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        lines = [f"{name}: {', '.join(what[:10])}" for name, what in found.items() if what]
        return "; ".join(lines) or "nothing is wrong"


def origin_of(result: Record) -> Origin:
    """Read a result's origin from its `headrace-source` header, `topic/partition/offset`."""
    for name, value in result.headers or ():
        if name == "headrace-source" and value is not None:
            topic, partition, offset = value.decode().rsplit("/", 2)
            return TopicPartition(topic, int(partition)), int(offset)
    raise HeadraceError(f"{result} does not say where it comes from")


def asked_late(
    asked: Mapping[Origin, float], durable: Mapping[Origin, float]
) -> dict[Origin, float]:
    """Return by how many seconds models were asked after a source record's outcome was durable.

    Args:
        asked: When a model was asked about a source record last.
        durable: When its outcome could be seen first, on the same clock.
    """
    lags = {each: at - durable[each] for each, at in asked.items() if each in durable}
    return {each: lag for each, lag in lags.items() if lag > 0}


def judge(
    inputs: Iterable[Record],
    results: Iterable[Record],
    *,
    origin: Callable[[Record], Origin] = origin_of,
    lane: Callable[[Record], object] | None = lambda record: record.key or record.offset,
    finished: Callable[[TopicPartition, int], bool] | None = None,
    aborted: Collection[Origin] = (),
    again: Iterable[Origin] = (),
) -> Verdict:
    """Compare committed results with the source records they should come from.

    Args:
        inputs: The source records of the run.
        results: Committed records of all result and dead-letter topics, each partition in order.
        origin: Which source record a result comes from.
        lane: What must stay in order within a source partition, told from a source record:
            by default the key. None: nothing must.
        finished: Whether the group's committed offsets and metadata call a source record
            finished; None leaves that unchecked.
        aborted: Records of the source's log whose transaction was aborted.
        again: Records that a model was asked about too late, from `asked_late`.
    """
    sources: dict[Origin, Record] = {(r.partition, r.offset): r for r in inputs}
    found: dict[Origin, int] = dict.fromkeys(sources, 0)
    unexpected: list[str] = []
    read_aborted: list[str] = []
    reordered: list[str] = []
    latest: dict[object, int] = defaultdict(lambda: -1)
    for result in results:
        came_from = origin(result)
        if came_from in aborted:
            read_aborted.append(_text(came_from))
            continue
        if came_from not in found:
            unexpected.append(f"{result} from {_text(came_from)}")
            continue
        found[came_from] += 1
        if lane is not None:
            place = (result.partition, came_from[0], lane(sources[came_from]))
            if came_from[1] < latest[place]:
                reordered.append(_text(came_from))
            latest[place] = max(latest[place], came_from[1])
    return Verdict(
        lost=tuple(_text(o) for o, count in found.items() if count == 0),
        duplicated=tuple(_text(o) for o, count in found.items() if count > 1),
        reordered=tuple(reordered),
        torn=tuple(
            _text(o) for o, n in found.items() if finished is not None and finished(*o) != (n > 0)
        ),
        aborted=tuple(read_aborted),
        again=tuple(map(_text, again)),
        unexpected=tuple(unexpected),
    )


def _text(origin: Origin) -> str:
    return f"{origin[0]}@{origin[1]}"
