"""What the steps of a pipeline are doing: from Kafka, and from the workers that answer."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.core import offset_map
from headrace.core.records import Committed, TopicPartition
from headrace.core.steps import Step
from headrace.core.topology import Stage, Topology
from headrace.errors import MetadataError
from headrace.kafka.admin import KafkaGroup, Member
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import CommittedReader, partitions_of
from headrace.ports import Bounds

SAMPLE_S = 1.0
_WORKER_ANSWERS_WITHIN_S = 2.0
_OLDEST_WITHIN_S = 2.0
_RETRY = "retry"


@dataclass(frozen=True, slots=True)
class StepTold:
    """What a worker says about a step.

    Attributes:
        reason: Why the step waits for its model, empty while it does not.
        waiting: Ids that wait at a join or gather for parts to come.
        counters: What became of records since the worker started.
    """

    reason: str
    waiting: int
    counters: Mapping[str, int]

    @property
    def handled(self) -> int:
        """Records that ended here with a result, dropped or given up."""
        return sum(self.counters.get(each, 0) for each in ("results", "dropped", "failed"))


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker of a stage.

    Attributes:
        slot: Its name in the fleet.
        address: Its status endpoint.
        partitions: How many it owns, by Kafka.
        state: Its phase, `paused` or `unreachable`.
        reason: Why it is paused or unreachable.
        in_flight: Records taken and not durable, None if unknown.
        errors: Failed calls by error class.
        steps: What it says about each of the stage's steps.
    """

    slot: str
    address: str
    partitions: int
    state: str
    reason: str = ""
    in_flight: int | None = None
    errors: Mapping[str, int] | None = None
    steps: Mapping[str, StepTold] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step and its workers.

    Attributes:
        step: The step.
        group: Its consumer group.
        workers: Workers found through the group.
        rate: Records finished per second: offsets of what it reads; by its workers' counts for a
            step that reads from memory.
        remaining: Offsets of what it reads that are not finished yet.
        in_flight: Records taken and not durable, by the workers that answer; the whole stage's.
        oldest_s: Age of the oldest unfinished record, None if there is none. The age of a record
            is that of its source record.
        errors: Failed calls by error class, likewise.
        model: `ready`, why a worker waits for it, or `unknown`; empty for a step without one.
        stage: Its stage.
        kind: `model`, `function`, `split` or `gather`.
        inlets: What remains by parent, and of what comes back as `retry`.
        waiting: Ids that wait here for parts to come, by the workers that answer.
    """

    step: str
    group: str
    workers: Sequence[WorkerSeen]
    rate: float
    remaining: int
    in_flight: int
    oldest_s: float | None
    errors: Mapping[str, int]
    model: str
    stage: str = ""
    kind: str = "model"
    inlets: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0


class Survey:
    """Looks at a pipeline, once or again and again: a rate is that since the look before."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._before: dict[str, Sample] = {}

    async def look(self) -> list[StepSeen]:
        """Return what every step is doing; the first time takes a second, to see a rate.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        stages = await asyncio.gather(*(self._look(each) for each in self._topology.stages))
        return [step for steps in stages for step in steps]

    async def _look(self, stage: Stage) -> list[StepSeen]:
        group = KafkaGroup(self._topology, stage)
        topics = stage.topics
        try:
            await group.await_coordinator()
            connection = admin_properties(self._topology)
            by_topic = await asyncio.to_thread(partitions_of, connection, topics)
            partitions = [each for topic in topics for each in by_topic[topic]]
            before = self._before.get(stage.name) or await _sample(group, stage, partitions)
            await asyncio.sleep(max(0.0, before.at_s + SAMPLE_S - time.monotonic()))
            now = self._before[stage.name] = await _sample(group, stage, partitions)
            bounds = await group.bounds(partitions)
        finally:
            await group.close()
        behind = {
            each: max(at, bounds[each].start)
            for each, at in now.committed.items()
            if bounds[each].end > max(at, bounds[each].start)
        }
        oldest = await asyncio.to_thread(_oldest, connection, behind)
        return steps_of(stage, before, now, bounds, oldest)


@dataclass(frozen=True, slots=True)
class Sample:
    """How far a stage was at a moment.

    Attributes:
        committed: Committed offsets.
        above: How many offsets above those were finished.
        workers: Its workers.
        at_s: The moment, seconds.
    """

    committed: Mapping[TopicPartition, int]
    at_s: float
    above: Mapping[TopicPartition, int] = field(default_factory=dict)
    workers: Sequence[WorkerSeen] = ()

    def rate_since(self, before: "Sample", topics: Sequence[str]) -> float:
        """Return how many offsets of some topics were finished per second."""
        moved = sum(
            at - before.committed.get(each, 0) for each, at in self._finished(topics).items()
        ) - sum(before.above.get(each, 0) for each in self._finished(topics))
        return max(0.0, moved / (self.at_s - before.at_s))

    def count_rate_since(self, before: "Sample", step: str) -> float:
        """Return how many records a step handled per second, by the workers that told it twice."""
        was = {each.slot: each.steps[step].handled for each in before.workers if step in each.steps}
        moved = sum(
            each.steps[step].handled - was[each.slot]
            for each in self.workers
            if step in each.steps and each.slot in was
        )
        return max(0.0, moved / (self.at_s - before.at_s))

    def _finished(self, topics: Sequence[str]) -> Mapping[TopicPartition, int]:
        return {
            each: at + self.above.get(each, 0)
            for each, at in self.committed.items()
            if each.topic in topics
        }

    def left(self, topic: str, bounds: Mapping[TopicPartition, Bounds]) -> int:
        """Return how many offsets of a topic are not finished."""
        return sum(
            max(0, bounds[each].end - max(at, bounds[each].start) - self.above.get(each, 0))
            for each, at in self.committed.items()
            if each.topic == topic
        )


def steps_of(
    stage: Stage,
    before: Sample,
    now: Sample,
    bounds: Mapping[TopicPartition, Bounds],
    oldest: Mapping[TopicPartition, float],
) -> list[StepSeen]:
    """Return what the steps of a stage are doing, from two samples.

    Args:
        stage: The stage.
        before: The first sample.
        now: The second.
        bounds: First offset and end of what it reads.
        oldest: Age of the oldest unfinished record, seconds, where there is one.
    """
    errors = _added(now.workers)
    seen = []
    for step in stage.steps:
        retry_topic = stage.retry_topics[step.name]
        inlets = {each.parent: now.left(each.topic, bounds) for each in step.inlets if each.topic}
        inlets[_RETRY] = now.left(retry_topic, bounds)
        topics = [*(each.topic for each in step.inlets if each.topic), retry_topic]
        told = [each.steps[step.name] for each in now.workers if step.name in each.steps]
        is_in_memory = len(topics) == 1
        rate = (
            now.count_rate_since(before, step.name)
            if is_in_memory
            else now.rate_since(before, topics)
        )
        seen.append(
            StepSeen(
                step=step.name,
                group=stage.group,
                workers=now.workers,
                rate=round(rate, 1),
                remaining=sum(inlets.values()),
                in_flight=sum(each.in_flight or 0 for each in now.workers),
                oldest_s=max((age for p, age in oldest.items() if p.topic in topics), default=None),
                errors=errors,
                model=_model(step, now.workers, told),
                stage=stage.name,
                kind=step.kind,
                inlets=inlets,
                waiting=sum(each.waiting for each in told),
            )
        )
    return seen


async def _sample(group: KafkaGroup, stage: Stage, partitions: Sequence[TopicPartition]) -> Sample:
    found = await group.committed(partitions, stable=False)
    members = await group.members()
    workers = list(await asyncio.gather(*(_ask(each, stage) for each in members)))
    committed = {
        each: 0 if c is None or c.offset is None else c.offset for each, c in found.items()
    }
    above = {each: _above(c) for each, c in found.items()}
    return Sample(committed, time.monotonic(), above, workers)


def _above(committed: Committed | None) -> int:
    """Return how many offsets above the committed one are finished, 0 if that cannot be read."""
    if committed is None or committed.offset is None:
        return 0
    try:
        return offset_map.decode(committed.metadata, committed.offset).finished.count
    except MetadataError:
        return 0


async def _ask(member: Member, stage: Stage) -> WorkerSeen:
    if member.slot is None:
        reason = "another program is in this consumer group"
        return WorkerSeen(member.client_id, "", member.partitions, "foreign", reason)
    try:
        answer = await asyncio.to_thread(_get, f"http://{member.address}/status")
        status = next(each for each in answer["stages"] if each["stage"] == stage.name)
        return WorkerSeen(
            member.slot,
            member.address,
            member.partitions,
            "paused" if status["paused_reason"] else status["phase"],
            status["paused_reason"],
            status["in_flight"],
            status["errors"],
            {
                each["step"]: StepTold(each["paused_reason"], each["waiting"], each["counters"])
                for each in status["steps"]
            },
        )
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        reason = str(error.reason if isinstance(error, urllib.error.URLError) else error)
        return WorkerSeen(member.slot, member.address, member.partitions, "unreachable", reason)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_WORKER_ANSWERS_WITHIN_S) as answer:  # noqa: S310
        return json.load(answer)


def _oldest(
    connection: Mapping[str, Any], starts: Mapping[TopicPartition, int]
) -> Mapping[TopicPartition, float]:
    """Return the age of the first record at the given offsets, as far as they can be read."""
    oldest: dict[TopicPartition, int] = {}
    deadline = time.monotonic() + _OLDEST_WITHIN_S
    with CommittedReader(connection, starts) as reader:
        while len(oldest) < len(starts) and time.monotonic() < deadline and not reader.is_at_end:
            for record in reader.poll():
                oldest.setdefault(record.partition, record.timestamp)
    now_s = time.time()
    return {each: round(max(0.0, now_s - at / 1e3), 1) for each, at in oldest.items()}


def _added(workers: Sequence[WorkerSeen]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for worker in workers:
        for error, count in (worker.errors or {}).items():
            total[error] = total.get(error, 0) + count
    return total


def _model(step: Step, workers: Sequence[WorkerSeen], told: Sequence[StepTold]) -> str:
    if step.kind != "model":
        return ""
    paused = [each.reason for each in told if each.reason]
    if paused:
        return paused[0]
    return "ready" if any(each.state in {"running", "paused"} for each in workers) else "unknown"
