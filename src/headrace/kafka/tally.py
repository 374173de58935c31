"""What became of the records of one run, counted from Kafka alone."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from headrace.core import offset_map, wire
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.topology import Stage, Tombstones, Topology
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.dead_letters import mark_of
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import CommittedReader, log_bounds, partitions_of

_LOOK_AGAIN_S = 0.1

_Bounds = Mapping[TopicPartition, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes:
        read: Source records whose outcome was committed.
        written: Results committed; one that goes to several sinks counts once.
        dead_lettered: Records committed to the dead-letter topic.
        dropped: Source records that ended without a result: tombstones of a step that drops them.
        retried: Records that went through a retry topic.
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
        """Return how far the stages are; offsets first, so that "all done" was true once.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        done = total = 0
        for stage in self._topology.stages:
            begun = self._finished[stage.name]
            now = await self._finished_now(stage)
            bounds = await self._groups[stage.name].bounds(self._inputs[stage.name])
            done += sum(each.offset - begun[place].offset for place, each in now.items())
            total += sum(bounds[place].end - each.offset for place, each in begun.items())
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

    def _summary(self, now: Mapping[str, Mapping[TopicPartition, _Finished]]) -> Summary:
        read = dropped = 0
        for stage in self._topology.stages:
            some_read, some_dropped = self._count_sources(stage, now[stage.name])
            read, dropped = read + some_read, dropped + some_dropped
        outputs = self._count_outputs()
        sinks = {sink.topic for sink in self._topology.sinks}
        retries = self._topology.retry_topics.values()
        return Summary(
            read=read,
            written=sum(
                max((outputs.get(sink.topic, 0) for sink in stage.sinks), default=0)
                for stage in self._topology.stages
            ),
            dead_lettered=outputs.get(self._topology.dead_letter_topic, 0),
            dropped=dropped,
            retried=sum(outputs.get(topic, 0) for topic in retries),
            sinks={topic: outputs.get(topic, 0) for topic in sorted(sinks)},
        )

    def _count_sources(
        self, stage: Stage, now: Mapping[TopicPartition, _Finished]
    ) -> tuple[int, int]:
        begun = self._finished[stage.name]
        sources = {source.topic for source in stage.sources if not source.is_derived}
        ends = {
            place: max([each.offset, *each.above.stops])
            for place, each in now.items()
            if place.topic in sources
        }
        drops = stage.steps[0].tombstones is Tombstones.DROP
        read = dropped = 0
        starts = {place: begun[place].offset for place in ends}
        for record in self._records(starts, ends):
            place, offset = record.partition, record.offset
            if now[place].has(offset) and not begun[place].has(offset):
                read += 1
                dropped += drops and record.value is None
        return read, dropped

    def _count_outputs(self) -> Mapping[str, int]:
        bounds = log_bounds(self._connection, list(self._outputs))
        starts = {place: end for place, (_, end) in self._outputs.items()}
        counts: dict[str, int] = {}
        fingerprints = {stage.fingerprint.encode() for stage in self._topology.stages}
        for record in self._records(starts, {place: end for place, (_, end) in bounds.items()}):
            if _is_ours(record, fingerprints):
                topic = record.partition.topic
                counts[topic] = counts.get(topic, 0) + 1
        return counts

    def _records(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> Iterator[Record]:
        wanted = {place: at for place, at in starts.items() if at < ends[place]}
        if wanted:
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


def _is_ours(record: Record, fingerprints: set[bytes]) -> bool:
    """Whether this pipeline wrote it now: no mark, no replay, no other writer's record."""
    headers = dict(record.headers or ())
    if wire.REPLAY in headers or mark_of(record) is not None:
        return False
    return headers.get(wire.PIPELINE) in fingerprints
