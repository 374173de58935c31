"""What became of the records of one run, counted from Kafka alone."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from headrace.core import offset_map, wire
from headrace.core.record_ids import parsed_id
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.topology import Stage, Topology
from headrace.errors import ConfigError
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import CommittedReader, log_bounds, partitions_of

_LOOK_AGAIN_S = 0.1

_Bounds = Mapping[TopicPartition, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        read: Source records that every group which reads their topic has finished.
        written: Results committed to sinks; a record that goes to two sinks counts at both.
        dead_lettered: Records committed to the dead-letter topic. A source record may leave
            several: one for each branch or child that failed.
        dropped: Records read that left nothing, neither at a sink nor among the dead letters: a
            gate was false, no route or a route without a reader matched, a function returned
            None, a tombstone was dropped, a list was empty.
        retried: Records put into a retry topic to be tried again later; those that only waited
            there for memory, and what was purged since, are not counted.
        sinks: Records committed per sink topic.
    """

    read: int
    written: int
    dead_lettered: int
    dropped: int
    retried: int
    sinks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, in offsets: `done` of `total`; markers of transactions count, too."""

    done: int
    total: int

    @property
    def is_idle(self) -> bool:
        """Whether everything that was there is finished."""
        return self.done >= self.total


@dataclass(frozen=True, slots=True)
class _Finished:
    """Finished offsets of a partition: below `offset`, and those in `above`."""

    offset: int
    above: Runs

    def has(self, offset: int) -> bool:
        return offset < self.offset or self.above.contains(offset)


class Tally:
    """Counts one run of a pipeline: remembers where Kafka stood at `begin`.

    Nothing is taken from workers, whose counters die with them.
    """

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._connection = admin_properties(topology)
        self._groups = {stage.name: KafkaGroup(topology, stage) for stage in topology.stages}
        self._inputs: dict[str, Sequence[TopicPartition]] = {}
        self._finished: dict[str, Mapping[TopicPartition, _Finished]] = {}
        self._outputs: _Bounds = {}

    async def begin(self) -> None:
        """Remember where the run starts.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        for stage in self._topology.stages:
            await self._groups[stage.name].await_coordinator()
            topics = stage.topics
            self._inputs[stage.name] = await self._partitions(topics)
            self._finished[stage.name] = await self._finished_now(stage)
        self._outputs = await self._bounds(await self._partitions(_outputs(self._topology)))

    async def workers(self) -> int:
        """Return how many workers are in the group that has the fewest.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        return min([len(await group.slots()) for group in self._groups.values()])

    async def progress(self) -> Progress:
        """Return how far the stages are.

        Upstream first, and of each stage the offsets before the ends of what it reads: once a
        stage has nothing left, what it wrote is part of the ends that its readers are held against.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        done = total = 0
        for stage in self._topology.stages:
            begun = self._finished[stage.name]
            now = await self._finished_now(stage)
            bounds = await self._groups[stage.name].bounds(self._inputs[stage.name])
            ends = {place: each.end for place, each in bounds.items()}
            reached = {place: each.offset for place, each in now.items()}
            if stage.collects:
                reached |= await asyncio.to_thread(self._remembered, stage, now, ends)
            done += sum(at - begun[place].offset for place, at in reached.items())
            total += sum(ends[place] - each.offset for place, each in begun.items())
        return Progress(done, total)

    async def summary(self) -> Summary:
        """Count what was committed since `begin`.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        now = {stage.name: await self._finished_now(stage) for stage in self._topology.stages}
        return await asyncio.to_thread(self._summary, now)

    async def close(self) -> None:
        """Let go of the clients."""
        for group in self._groups.values():
            await group.close()

    async def _finished_now(self, stage: Stage) -> Mapping[TopicPartition, _Finished]:
        group, partitions = self._groups[stage.name], self._inputs[stage.name]
        found: dict[TopicPartition, Committed] = {}
        while len(found) < len(partitions):
            answers = await group.committed([each for each in partitions if each not in found])
            found |= {place: each for place, each in answers.items() if each is not None}
            if len(found) < len(partitions):
                await asyncio.sleep(_LOOK_AGAIN_S)
        starts = await group.start_offsets([p for p, each in found.items() if each.offset is None])
        return {place: _finished(each, starts.get(place, 0)) for place, each in found.items()}

    async def _partitions(self, topics: Sequence[str]) -> Sequence[TopicPartition]:
        found = await asyncio.to_thread(partitions_of, self._connection, topics)
        return [each for topic in topics for each in found[topic]]

    async def _bounds(self, partitions: Sequence[TopicPartition]) -> _Bounds:
        return await asyncio.to_thread(log_bounds, self._connection, partitions)

    def _remembered(
        self,
        stage: Stage,
        now: Mapping[TopicPartition, _Finished],
        ends: Mapping[TopicPartition, int],
    ) -> Mapping[TopicPartition, int]:
        """Return the ends of retry partitions in which only `closed` markers are unfinished.

        A marker remembers for days that a record ended early; nobody waits for it.
        """
        behind = {place: each for place, each in now.items() if each.offset < ends[place]}
        retries = set(stage.retry_topics.values())
        if any(place.topic not in retries for place in behind):
            return {}
        left = {place: each.offset for place, each in behind.items()}
        waiting = {
            record.partition
            for record in self._records(left, ends)
            if not behind[record.partition].has(record.offset) and not _is_closed(record)
        }
        return {place: ends[place] for place in behind if place not in waiting}

    def _summary(self, now: Mapping[str, Mapping[TopicPartition, _Finished]]) -> Summary:
        read = {
            place: offsets
            for source in self._topology.sources
            for place, offsets in self._read(source.topic, now).items()
        }
        counts, ended = self._count_outputs()
        sinks = sorted({sink.topic for sink in self._topology.sinks})
        written = {topic: counts.get(topic, 0) for topic in sinks}
        return Summary(
            read=sum(map(len, read.values())),
            written=sum(written.values()),
            dead_lettered=counts.get(self._topology.dead_letter_topic, 0),
            dropped=sum(
                len(offsets - ended.get(place, frozenset())) for place, offsets in read.items()
            ),
            retried=sum(counts.get(topic, 0) for topic in self._topology.retry_topics.values()),
            sinks=written,
        )

    def _read(
        self, topic: str, now: Mapping[str, Mapping[TopicPartition, _Finished]]
    ) -> Mapping[TopicPartition, set[int]]:
        """Return the offsets of a source that all its readers have finished since the start."""
        readers = [each.name for each in self._topology.stages if topic in each.topics]
        places = [place for place in now[readers[0]] if place.topic == topic]
        before = {place: [self._finished[name][place] for name in readers] for place in places}
        after = {place: [now[name][place] for name in readers] for place in places}
        found: dict[TopicPartition, set[int]] = {place: set() for place in places}
        starts = {place: min(each.offset for each in before[place]) for place in places}
        ends = {
            place: min(max([each.offset, *each.above.stops]) for each in after[place])
            for place in places
        }
        for record in self._records(starts, ends):
            place, offset = record.partition, record.offset
            is_new = not all(each.has(offset) for each in before[place])
            if is_new and all(each.has(offset) for each in after[place]):
                found[place].add(offset)
        return found

    def _count_outputs(self) -> tuple[Mapping[str, int], Mapping[TopicPartition, set[int]]]:
        """Return the records per topic, and the source records that sinks and dead letters name."""
        bounds = log_bounds(self._connection, list(self._outputs))
        starts = {place: end for place, (_, end) in self._outputs.items()}
        retries = set(self._topology.retry_topics.values())
        fingerprints = {stage.fingerprint.encode() for stage in self._topology.stages}
        counts: dict[str, int] = {}
        ended: dict[TopicPartition, set[int]] = {}
        for record in self._records(starts, {place: end for place, (_, end) in bounds.items()}):
            headers = dict(record.headers or ())
            if headers.get(wire.PIPELINE) not in fingerprints:
                continue
            topic = record.partition.topic
            if topic not in retries:
                with suppress(ConfigError):  # an id that somebody else made up
                    place, offset = _origin(headers)
                    ended.setdefault(place, set()).add(offset)
            if wire.REPLAY not in headers and not (topic in retries and _only_waits(headers)):
                counts[topic] = counts.get(topic, 0) + 1
        return counts, ended

    def _records(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> Iterator[Record]:
        wanted = {place: at for place, at in starts.items() if at < ends[place]}
        if not wanted:
            return
        # What was purged, or expired, since cannot be read.
        firsts = {p: first for p, (first, _) in log_bounds(self._connection, [*wanted]).items()}
        wanted = {place: max(at, firsts[place]) for place, at in wanted.items()}
        wanted = {place: at for place, at in wanted.items() if at < ends[place]}
        with CommittedReader(self._connection, wanted) as reader:
            yield from reader.to_end({place: ends[place] for place in wanted})


def _outputs(topology: Topology) -> Sequence[str]:
    topics = dict.fromkeys(sink.topic for sink in topology.sinks)
    return [*topics, *topology.retry_topics.values(), topology.dead_letter_topic]


def _finished(committed: Committed, start: int) -> _Finished:
    if committed.offset is None:
        return _Finished(start, Runs())
    above = offset_map.decode(committed.metadata, committed.offset).finished
    return _Finished(committed.offset, above)


def _origin(headers: Mapping[str, bytes | None]) -> tuple[TopicPartition, int]:
    """Return where the source record stands that a record comes from."""
    found = parsed_id((headers.get(wire.ID) or b"").decode(errors="replace"))
    return TopicPartition(found.topic, found.partition), found.offset


def _only_waits(headers: Mapping[str, bytes | None]) -> bool:
    """Whether a record of a retry topic was not put there to be tried again."""
    return wire.OUTCOME in headers or wire.PARTIAL in headers


def _is_closed(record: Record) -> bool:
    return (wire.OUTCOME, wire.CLOSED) in (record.headers or ())
