"""What the stages of a pipeline are doing: from Kafka, and from the workers that answer."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headrace.cli.shapes import columns
from headrace.core.records import TopicPartition
from headrace.core.topology import Stage, Topology
from headrace.kafka.admin import KafkaGroup, Member
from headrace.kafka.properties import admin_properties
from headrace.kafka.reading import CommittedReader, partitions_of

SAMPLE_S = 1.0
_WORKER_ANSWERS_WITHIN_S = 2.0
_OLDEST_WITHIN_S = 2.0


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
    """

    slot: str
    address: str
    partitions: int
    state: str
    reason: str = ""
    in_flight: int | None = None
    errors: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A step and its workers.

    Attributes:
        step: The step.
        group: Its consumer group.
        workers: Workers found through the group.
        rate: Offsets committed per second.
        remaining: Offsets not committed yet.
        in_flight: Records taken and not durable, by the workers that answer.
        oldest_s: Age of the oldest unfinished record, None if there is none.
        errors: Failed calls by error class, likewise.
        model: `ready`, why a worker waits for it, or `unknown`.
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


class Survey:
    """Looks at a pipeline, once or again and again: a rate is that since the look before."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._before: dict[str, _Sample] = {}

    async def look(self) -> list[StepSeen]:
        """Return what every step is doing; the first time takes a second, to see a rate.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        return list(await asyncio.gather(*(self._look(each) for each in self._topology.stages)))

    async def _look(self, stage: Stage) -> StepSeen:
        group = KafkaGroup(self._topology, stage)
        topics = stage.topics
        try:
            await group.await_coordinator()
            connection = admin_properties(self._topology)
            by_topic = await asyncio.to_thread(partitions_of, connection, topics)
            partitions = [each for topic in topics for each in by_topic[topic]]
            before = self._before.get(stage.name) or await _sample(group, partitions)
            found = await group.members()
            workers = list(await asyncio.gather(*(_ask(each, stage) for each in found)))
            await asyncio.sleep(max(0.0, before.at_s + SAMPLE_S - time.monotonic()))
            now = self._before[stage.name] = await _sample(group, partitions)
            bounds = await group.bounds(partitions)
        finally:
            await group.close()
        behind = {
            each: max(at, bounds[each].start)
            for each, at in now.committed.items()
            if bounds[each].end > max(at, bounds[each].start)
        }
        return StepSeen(
            step=stage.name,
            group=stage.group,
            workers=workers,
            rate=round(now.rate_since(before), 1),
            remaining=sum(bounds[each].end - at for each, at in behind.items()),
            in_flight=sum(each.in_flight or 0 for each in workers),
            oldest_s=await asyncio.to_thread(_oldest, connection, behind),
            errors=_added(workers),
            model=_model(workers),
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    """Committed offsets, and when they were read."""

    committed: Mapping[TopicPartition, int]
    at_s: float

    def rate_since(self, before: "_Sample") -> float:
        moved = sum(at - before.committed.get(each, 0) for each, at in self.committed.items())
        return max(0.0, moved / (self.at_s - before.at_s))


def rendered(steps: Sequence[StepSeen], *, as_json: bool) -> str:
    """Return the steps as tables for people, or one JSON object."""
    if as_json:
        return json.dumps({"steps": [asdict(each) for each in steps]})
    return "\n\n".join(columns(rows) for rows in tables(steps))


def tables(steps: Sequence[StepSeen]) -> Sequence[Sequence[tuple[str, ...]]]:
    """Return a table of the steps and, if there are any, one of the workers: headings first."""
    heading = ("STEP", "WORKERS", "RATE/s", "REMAINING", "IN FLIGHT", "OLDEST", "ERRORS", "MODEL")
    rows: list[tuple[str, ...]] = [heading, *(_row(each) for each in steps)]
    workers: list[tuple[str, ...]] = [
        ("SLOT", "STEP", "STATE", "PARTITIONS", "IN FLIGHT", "STATUS", "")
    ]
    for step in steps:
        workers += [_worker_row(step.step, each) for each in step.workers]
    return [rows, workers] if len(workers) > 1 else [rows]


async def _sample(group: KafkaGroup, partitions: Sequence[TopicPartition]) -> _Sample:
    found = await group.committed(partitions, stable=False)
    committed = {
        each: 0 if offset is None or offset.offset is None else offset.offset
        for each, offset in found.items()
    }
    return _Sample(committed, time.monotonic())


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
        )
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        reason = str(error.reason if isinstance(error, urllib.error.URLError) else error)
        return WorkerSeen(member.slot, member.address, member.partitions, "unreachable", reason)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=_WORKER_ANSWERS_WITHIN_S) as answer:  # noqa: S310
        return json.load(answer)


def _oldest(connection: Mapping[str, Any], starts: Mapping[TopicPartition, int]) -> float | None:
    """Return the age of the oldest record at the given offsets, as far as it can be read."""
    oldest: dict[TopicPartition, int] = {}
    deadline = time.monotonic() + _OLDEST_WITHIN_S
    with CommittedReader(connection, starts) as reader:
        while len(oldest) < len(starts) and time.monotonic() < deadline and not reader.is_at_end:
            for record in reader.poll():
                oldest.setdefault(record.partition, record.timestamp)
    return round(max(0.0, time.time() - min(oldest.values()) / 1e3), 1) if oldest else None


def _added(workers: Sequence[WorkerSeen]) -> Mapping[str, int]:
    total: dict[str, int] = {}
    for worker in workers:
        for error, count in (worker.errors or {}).items():
            total[error] = total.get(error, 0) + count
    return total


def _model(workers: Sequence[WorkerSeen]) -> str:
    paused = [each.reason for each in workers if each.state == "paused"]
    if paused:
        return paused[0]
    return "ready" if any(each.state == "running" for each in workers) else "unknown"


def _row(step: StepSeen) -> tuple[str, ...]:
    reachable = sum(each.state not in {"unreachable", "foreign"} for each in step.workers)
    total = len(step.workers)
    return (
        step.step,
        str(total) if reachable == total else f"{total} ({total - reachable} unreachable)",
        f"{step.rate:,.1f}",
        f"{step.remaining:,}",
        f"{step.in_flight:,}",
        "" if step.oldest_s is None else f"{step.oldest_s:,.0f} s",
        ", ".join(f"{error} {count}" for error, count in step.errors.items()),
        step.model,
    )


def _worker_row(step: str, worker: WorkerSeen) -> tuple[str, ...]:
    in_flight = "" if worker.in_flight is None else f"{worker.in_flight:,}"
    partitions = str(worker.partitions)
    state = (worker.slot, step, worker.state, partitions, in_flight)
    return (*state, worker.address, worker.reason)
