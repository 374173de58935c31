"""Finds everything that a source record left in Kafka, without reading whole topics."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import msgspec

from headrace.core.hops import Hop, HopKind, Story, counts_of, hop_of, source_hop, told
from headrace.core.offset_map import decode
from headrace.core.paths import getter
from headrace.core.record_ids import RecordId, ancestor, covers, is_within, parsed_id
from headrace.core.records import Record, TopicPartition
from headrace.core.standing import Evidence, Reached, State, lost, standing
from headrace.core.steps import GatherStep
from headrace.core.topics import TopicKind
from headrace.core.topology import Stage, Topology
from headrace.core.whereabouts import Map, Origin, Way
from headrace.errors import (
    ConfigError,
    MetadataError,
    MissingTopicsError,
    OffsetOutOfRangeError,
)
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import CommittedReader, log_bounds, partitions_of
from headrace.kafka.searching import Bound, Place, Search
from headrace.kafka.time_index import TimeIndex

WITHIN_S = 600.0
"""How far the timestamps of a topic's records may be out of order, seconds."""


@dataclass(frozen=True, slots=True)
class Trail:
    """What became of a record, as far as it is in Kafka.

    Attributes:
        id: Record id.
        story: Every hop, children nested.
        states: What keeps it from having ended well; empty where nothing does.
        lost: Topics whose records of that time were deleted, so that nothing is known of them.
        unread: Topics that were not read to their ends, because their records got too young.
        read: How many records were read to find this.
    """

    id: str
    story: Story
    states: Sequence[State]
    lost: Sequence[str]
    unread: Sequence[str]
    read: int


async def trace(topology: Topology, record_id: str, within_s: float = WITHIN_S) -> Trail:
    """Return what became of a source record, or of one child of it.

    The source record is read by its coordinates. Of every other topic only those partitions are
    read that can hold something of it, from the source's timestamp on, which all that comes of it
    carries, until what must come has come or records are younger than that by more than the
    bound. What a replay sent back is looked for from the time of the replay on.

    Args:
        topology: The pipeline.
        record_id: The id, as in `tweets-3-1204`.
        within_s: How far the timestamps of a topic's records may be out of order.

    Raises:
        ConfigError: The id is none, or not one of this pipeline's.
        OffsetOutOfRangeError: The source record does not exist, yet or any more.
        MissingTopicsError: Topics of the pipeline are missing.
        BrokerError: Kafka refuses, or no broker answers.
    """
    id_ = parsed_id(record_id)
    known = _map_of(topology, id_)
    tracing = _Tracing(topology, id_, known, within_s)
    await asyncio.to_thread(tracing.find_source)
    # Before anything is read: what a stage has finished has left its outputs by then.
    reached = dict(await asyncio.gather(*(tracing.reached(stage) for stage in known.stages)))
    await asyncio.to_thread(tracing.follow)
    return tracing.trail(reached)


def _map_of(topology: Topology, id_: RecordId) -> Map:
    topics = [source.topic for source in topology.sources]
    if id_.topic not in topics:
        close = get_close_matches(id_.topic, topics, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"its sources: {', '.join(topics)}"
        raise ConfigError(
            f"topic {id_.topic!r} is no source of pipeline {topology.pipeline!r}; {hint}"
        )
    return Map(topology, id_.topic)


class _Tracing:
    """One look for one record; calls block unless they say otherwise."""

    def __init__(self, topology: Topology, id_: RecordId, known: Map, within_s: float) -> None:
        self._topology = topology
        self._id = id_
        self._known = known
        self._within_ms = round(1000 * (within_s + _longest_wait(known)))
        self._connection: Mapping[str, Any] = admin_properties(topology)
        self._partitions: Mapping[str, Sequence[TopicPartition]] = {}
        self._hops: dict[tuple[TopicPartition, int], Hop] = {}
        self._in_topic: dict[str, list[Hop]] = {}
        self._counts: dict[str, int] = {}
        self._purged: set[str] = set()
        self._unread: set[str] = set()
        self._read = 0

    def find_source(self) -> None:
        """Read the source record."""
        topics = [self._id.topic, *self._known.ways]
        self._partitions = partitions_of(self._connection, topics)
        missing = [topic for topic in topics if not self._partitions[topic]]
        if missing:
            raise MissingTopicsError(
                f"topics are missing: {', '.join(missing)}; `headrace topics apply FILE` "
                "creates them"
            )
        record = self._source()
        self._source_record = record
        self._origin = self._origin_of(record)
        self._take(source_hop(self._id.root, record))

    async def reached(self, stage: Stage) -> tuple[str, Mapping[TopicPartition, Reached]]:
        """Return how far a stage is in its topics; does not block."""
        places = [each for topic in stage.topics for each in self._partitions[topic]]
        group = KafkaGroup(self._topology, stage)
        try:
            await group.await_coordinator()
            found = await group.committed(places, stable=False)
        finally:
            await group.close()
        return stage.name, {
            place: _reached(committed.offset, committed.metadata)
            for place, committed in found.items()
            if committed is not None
        }

    def follow(self) -> None:
        """Read what the record left, and what replays made of it."""
        ways = list(self._known.ways.values())
        begun = self._source_record.timestamp
        places = self._places(ways)
        bounds = log_bounds(self._connection, list(places))
        index = TimeIndex(self._connection, bounds)
        starts = index.first_at(dict.fromkeys(bounds, begun)) if begun > 0 else index.begin()
        # Only where something is gone, and nothing that is left is older, can it have been there.
        self._purged.update(
            place.topic for place, (first, _) in bounds.items() if 0 < first == starts[place]
        )
        self._search(places, starts, bounds, since_ms=None, roots=[self._id.root])
        for since_ms, letters in self._replays():
            self._follow_replay(since_ms, letters)

    def trail(self, reached: Mapping[str, Mapping[TopicPartition, Reached]]) -> Trail:
        """Return everything that was found."""
        id_ = str(self._id)
        hops = list(self._hops.values())
        related = [each for each in hops if self._is_related(each.id)]
        self._check_child(hops)
        evidence = Evidence(hops, self._counts, reached, self._purged, self._unread)
        return Trail(
            id=id_,
            story=told(self._id.root, related, self._known),
            states=list(self._of_it(standing(evidence, self._known))),
            lost=lost(evidence, self._known),
            unread=sorted(self._unread),
            read=self._read,
        )

    def _of_it(self, states: Iterable[State]) -> Iterator[State]:
        for state in states:
            ids = [each for each in state.ids if self._is_related(each)]
            if ids:
                yield State(ids, state.words)

    def _is_related(self, id_: str) -> bool:
        return is_within(id_, str(self._id)) or is_within(str(self._id), id_)

    # The source record

    def _source(self) -> Record:
        place = TopicPartition(self._id.topic, self._id.partition)
        count = len(self._partitions[place.topic])
        if place.partition >= count:
            raise ConfigError(
                f"record {self._id}: topic {place.topic} has partitions 0 to {count - 1}"
            )
        first, end = log_bounds(self._connection, [place])[place]
        if self._id.offset < first:
            raise OffsetOutOfRangeError(
                f"record {self._id.root} is not in Kafka any more: partition {place.partition} of "
                f"{place.topic} begins at offset {first}, so when it was written is not known"
            )
        if self._id.offset >= end:
            raise OffsetOutOfRangeError(
                f"record {self._id.root} is not written yet: partition {place.partition} of "
                f"{place.topic} ends before offset {end}, where its next record goes"
            )
        with CommittedReader(self._connection, {place: self._id.offset}, is_sparing=True) as reader:
            for record in reader.to_end({place: self._id.offset + 1}):
                self._read += 1
                return record
        raise OffsetOutOfRangeError(
            f"offset {self._id.offset} of partition {place.partition} of {place.topic} holds no "
            "record: it was compacted away or aborted, or marks the end of a transaction"
        )

    def _origin_of(self, record: Record) -> Origin:
        keys: dict[str, bytes] = {}
        paths = {way.sink.key for way in self._known.ways.values() if way.sink and way.sink.key}
        for path in filter(self._known.unchanged, paths):
            try:
                key = getter(path, None)(msgspec.json.decode(record.value or b"null"))
            except (ValueError, RecursionError):
                continue
            if key is not None:
                keys[path] = key.encode() if isinstance(key, str) else msgspec.json.encode(key)
        return Origin(self._id.partition, record.key, keys)

    def _check_child(self, hops: Iterable[Hop]) -> None:
        """Refuse a child that cannot be."""
        if self._id.children and not any(is_within(hop.id, str(self._id)) for hop in hops):
            parent = ancestor(str(self._id), len(self._id.children) - 1)
            count = self._counts.get(parent)
            if count is not None and self._id.children[-1] >= count:
                raise ConfigError(f"record {parent} was split into {count}: 0 to {count - 1}")
            if not self._purged and not any(way.level for way in self._known.ways.values()):
                raise ConfigError(f"record {self._id}: nothing splits {self._id.topic}")

    # Where to read

    def _places(self, ways: Iterable[Way]) -> Mapping[TopicPartition, Way]:
        counts = {topic: len(places) for topic, places in self._partitions.items()}
        children = self._counts.get(self._id.root)
        return {
            TopicPartition(way.topic, partition): way
            for way in ways
            for partition in self._known.partitions(way, self._origin, counts, children)
        }

    def _search(
        self,
        places: Mapping[TopicPartition, Way],
        starts: Mapping[TopicPartition, int],
        bounds: Mapping[TopicPartition, tuple[int, int]],
        *,
        since_ms: int | None,
        roots: Collection[str],
    ) -> None:
        """Read places until everything that comes of the roots is found, or their bounds."""
        begun = self._source_record.timestamp if since_ms is None else since_ms
        bound = Bound(begun + self._within_ms, TopicPartition(*self._coordinates), self._id.offset)
        reading = [
            Place(each, starts[each], bounds[each][1], way.kind is TopicKind.DEAD_LETTERS)
            for each, way in places.items()
            if starts[each] < bounds[each][1] and not self._is_complete(way, since_ms, roots)
        ]
        with Search(self._connection, reading, bound, self._id.root) as search:
            while search.goes_on:
                found = search.next()
                for record, id_ in found:
                    self._note(record, id_, places[record.partition])
                if found:
                    news = {record.partition.topic for record, _ in found}
                    search.leave(self._left(search.open, news, since_ms, roots))
        self._read += search.read
        self._unread |= {place.topic for place in search.cut}

    @property
    def _coordinates(self) -> tuple[str, int]:
        return self._id.topic, self._id.partition

    def _note(self, record: Record, id_: str, way: Way) -> None:
        self._counts.update(counts_of(record, id_))
        self._take(hop_of(record, id_, way, self._known))

    def _take(self, hop: Hop) -> None:
        if (hop.place, hop.offset) not in self._hops:
            self._hops[hop.place, hop.offset] = hop
            self._in_topic.setdefault(hop.place.topic, []).append(hop)

    def _left(
        self,
        reading: Collection[TopicPartition],
        news: Collection[str],
        since_ms: int | None,
        roots: Collection[str],
    ) -> Sequence[TopicPartition]:
        """Return the places where nothing more of the roots can be, after news of some topics."""
        ways = self._known.ways
        done = {each for each in news if self._is_complete(ways[each], since_ms, roots)}
        possible = self._places(ways[topic] for topic in {each.topic for each in reading})
        return [each for each in reading if each.topic in done or each not in possible]

    def _is_complete(self, way: Way, since_ms: int | None, roots: Collection[str]) -> bool:
        """Whether all has come to a topic; never known where only what goes wrong is written."""
        if way.kind not in {TopicKind.DERIVED, TopicKind.SINK}:
            return False
        for writer in way.writers:
            found = {
                hop.id
                for hop in self._in_topic.get(way.topic, ())
                if hop.step == writer
                and (since_ms is None or hop.at_ms is None or hop.at_ms >= since_ms)
            }
            level = self._known.level(writer)
            wanted = (ancestor(each, level) for each in roots)
            if not all(covers(found, each, level, self._counts) for each in wanted):
                return False
        return True

    # Replays

    def _replays(self) -> Sequence[tuple[int, Sequence[Hop]]]:
        """Return the replays: when each was, and the dead letters that it sent back."""
        letters = {
            (hop.place.partition, hop.mark): hop
            for hop in self._hops.values()
            if hop.kind is HopKind.DEAD_LETTER
        }
        marks = sorted(
            (hop.at_ms or 0, hop.place.partition, hop.mark)
            for hop in self._hops.values()
            if hop.kind is HopKind.REPLAYED
        )
        replays: list[tuple[int, list[Hop]]] = []
        for at_ms, partition, mark in marks:
            letter = letters.get((partition, mark))
            if letter is None or letter.step not in self._known.steps:
                continue
            is_new = not replays or any(
                (each.step, each.id) == (letter.step, letter.id) for each in replays[-1][1]
            )
            if is_new or at_ms - replays[-1][0] > self._within_ms:
                replays.append((at_ms, []))
            replays[-1][1].append(letter)
        return replays

    def _follow_replay(self, since_ms: int, letters: Sequence[Hop]) -> None:
        steps = {letter.step for letter in letters}
        after = self._known.downstream(steps)
        ways = [
            way
            for way in self._known.ways.values()
            if way.kind is not TopicKind.DEAD_LETTERS and any(each in after for each in way.writers)
        ]
        places = self._places(ways)
        bounds = log_bounds(self._connection, list(places))
        begun = max(0, self._source_record.timestamp)
        starts = TimeIndex(self._connection, bounds).written_after(
            since_ms - self._within_ms, begun
        )
        roots = {letter.id for letter in letters}
        self._search(places, starts, bounds, since_ms=since_ms, roots=roots)


def _longest_wait(known: Map) -> float:
    """Return how long joins and gathers may hold a record back, seconds."""
    joins = (step.join.waiting for step in known.steps.values() if step.join is not None)
    gathers = (step.waiting for step in known.steps.values() if isinstance(step, GatherStep))
    return sum(each.timeout_s or 0.0 for each in (*joins, *gathers))


def _reached(offset: int | None, metadata: str) -> Reached:
    if offset is None:
        return Reached(None)
    try:
        return Reached(offset, decode(metadata, offset).finished)
    except MetadataError:
        return Reached(offset)
