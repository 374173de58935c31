"""A whole pipeline in this process: the real workers on a broker in memory, with any models."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from headrace.core import wire
from headrace.core.records import Record
from headrace.core.topics import needed_topics
from headrace.core.topology import ModelStep, Stage, Topology
from headrace.errors import InferenceUnavailableError, first_of
from headrace.formats.json_objects import decode, encode
from headrace.ports import InferenceClient
from headrace.runtime.outputs import TopicFacts
from headrace.runtime.stage import Actions, Format
from headrace.runtime.worker import Ports, Settings, Worker
from headrace.testing.broker import SimulatedBroker
from headrace.testing.group_view import SimulatedGroup
from headrace.testing.processes import SimulatedProcess
from headrace.testing.sink import SimulatedSink
from headrace.testing.source import SimulatedSource

_STUCK_S = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """A record that the pipeline wrote to a sink.

    Attributes:
        number: Number of the input that it comes from, from 1.
        topic: The sink.
        value: Its bytes, None for a tombstone.
    """

    number: int
    topic: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that the pipeline gave up.

    Attributes:
        number: Number of the input that it comes from, from 1.
        step: The step that gave up.
        error: Class of the error.
        message: What it says.
        attempts: Calls made for it.
    """

    number: int
    step: str
    error: str
    message: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of the input, each list in its order.

    Attributes:
        results: Records written to sinks.
        letters: Records given up.
        halted: Numbers of inputs whose lane stands still for good, because a step is strict.
        seconds: From the workers' start until everything was done.
    """

    results: Sequence[Result]
    letters: Sequence[Letter]
    halted: Sequence[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Watch:
    """How a rehearsal is looked after.

    Attributes:
        every_s: Seconds between two looks.
        patience_s: Longest a step may wait for a model that does not answer.
        on_progress: Told how many inputs the first steps are done with.
    """

    every_s: float = 0.05
    patience_s: float = 60.0
    on_progress: Callable[[int], None] = lambda _: None


async def rehearse(
    topology: Topology,
    records: Sequence[tuple[str, bytes | None]],
    client_for: Callable[[ModelStep], InferenceClient],
    watch: Watch | None = None,
) -> Rehearsed:
    """Run records through every stage of a pipeline, without Kafka, until nothing is left to do.

    Batching, slots, retries, bisection, dead letters and transactions are the worker's own; every
    topic has one partition.

    Args:
        topology: The pipeline.
        records: Source topic and value of each input.
        client_for: Makes the client of a step's model.
        watch: How it is looked after.

    Raises:
        InferenceError: A model did not answer, or refused this caller, for too long.
    """
    watch = watch or Watch()
    loop = asyncio.get_running_loop()
    broker = SimulatedBroker({topic.name: 1 for topic in needed_topics(topology)})
    numbers = {
        f"{topic}-0-{broker.write(topic, value)}": number
        for number, (topic, value) in enumerate(records, 1)
    }
    process = SimulatedProcess("0")
    clients = [client_for(stage.models[0]) for stage in topology.stages]
    workers = [
        _worker(broker, process, stage, client)
        for stage, client in zip(topology.stages, clients, strict=True)
    ]
    begun = loop.time()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.run(), name=each.stage.name) for each in workers]
            try:
                is_done = await _settled(workers, broker, watch)
                ended = loop.time()
            finally:
                # What counts is durable; a drain would wait for what never ends.
                process.crash()
                for task in running:
                    task.cancel()
    except BaseExceptionGroup as group:
        first = first_of(group)
        raise first from first.__cause__
    finally:
        for client in clients:
            await client.close()
    return _read(topology, broker, numbers, is_done=is_done, seconds=ended - begun)


def _worker(
    broker: SimulatedBroker, process: SimulatedProcess, stage: Stage, client: InferenceClient
) -> Worker:
    ports = Ports(
        source=SimulatedSource(broker, process, stage.group, stage.topics),
        group=SimulatedGroup(broker, process, stage.group),
        sink=SimulatedSink(broker, process, stage.group),
        actions=Actions({step.name: [client] for step in stage.models}, {}),
    )
    loop = asyncio.get_running_loop()
    settings = Settings(
        slot="0",
        rng=random.Random(0),  # noqa: S311 - jitter, repeated exactly
        now_ms=lambda: int(loop.time() * 1000),
    )
    facts = TopicFacts(broker.partition_counts(), {})
    return Worker(stage, ports, facts, Format(decode, encode), settings)


async def _settled(workers: Sequence[Worker], broker: SimulatedBroker, watch: Watch) -> bool:
    """Return whether everything was done; False once what is left will never move.

    Raises:
        InferenceError: A step waited too long for its model.
    """
    loop = asyncio.get_running_loop()
    moved_at, last = loop.time(), -1
    while not all(_is_idle(worker, broker) for worker in workers):
        await asyncio.sleep(watch.every_s)
        _raise_if_away(workers, watch.patience_s)
        watch.on_progress(sum(map(_done, workers)))
        committed = sum(worker.stats.durable for worker in workers)
        if committed != last or any(map(_is_busy, workers)):
            moved_at, last = loop.time(), committed
        elif loop.time() - moved_at > _STUCK_S:
            return False
    watch.on_progress(sum(map(_done, workers)))
    return True


def _is_idle(worker: Worker, broker: SimulatedBroker) -> bool:
    """Whether all that its topics hold is durably finished; no other worker may be writing."""
    owned = list(worker.assignments.owned)
    logs = [(ledger, broker.log(ledger.partition)) for ledger in owned]
    return len(owned) == len(worker.stage.topics) and all(
        ledger.in_flight == 0 and ledger.position >= log.end == log.stable_end
        for ledger, log in logs
    )


def _is_busy(worker: Worker) -> bool:
    return any(each.busy or each.waiting or each.pause for each in worker.steps.dispatchers)


def _done(worker: Worker) -> int:
    sources = {source.topic for source in worker.stage.sources}
    owned = (each for each in worker.assignments.owned if each.partition.topic in sources)
    return sum(ledger.base for ledger in owned)


def _raise_if_away(workers: Sequence[Worker], patience_s: float) -> None:
    now = asyncio.get_running_loop().time()
    running = [
        (place.step, each)
        for w in workers
        for place in w.steps.steps.values()
        for each in place.dispatchers
    ]
    for step, dispatcher in running:
        pause = dispatcher.pause
        if pause and now - pause.since > patience_s and isinstance(step, ModelStep):
            model = step.model
            raise InferenceUnavailableError(
                f"model {model.name!r} at {', '.join(model.urls)} did not answer for"
                f" {patience_s:g} s"
            ) from pause.reason


def _read(
    topology: Topology,
    broker: SimulatedBroker,
    numbers: dict[str, int],
    *,
    is_done: bool,
    seconds: float,
) -> Rehearsed:
    sinks = dict.fromkeys(sink.topic for sink in topology.sinks)
    dead = [topology.dead_letter_topic]
    written = _in_order((each for topic in sinks for each in broker.records(topic)), numbers)
    given_up = _in_order((each for topic in dead for each in broker.records(topic)), numbers)
    ended = {number for number, _ in (*written, *given_up)}
    return Rehearsed(
        [Result(number, each.partition.topic, each.value) for number, each in written],
        [_letter(number, each) for number, each in given_up],
        [] if is_done else [each for each in numbers.values() if each not in ended],
        seconds,
    )


def _in_order(records: Iterable[Record], numbers: dict[str, int]) -> list[tuple[int, Record]]:
    placed = []
    for record in records:
        source, *parts = _header(record, wire.ID).split("/")
        placed.append((numbers[source], [int(part) for part in parts], record))
    placed.sort(key=lambda each: each[:2])
    return [(number, record) for number, _, record in placed]


def _letter(number: int, record: Record) -> Letter:
    return Letter(
        number,
        _header(record, wire.ERROR_STEP),
        _header(record, wire.ERROR_CLASS),
        _header(record, wire.ERROR_MESSAGE),
        int(_header(record, wire.ERROR_ATTEMPTS)),
    )


def _header(record: Record, name: str) -> str:
    return (dict(record.headers or ())[name] or b"").decode(errors="replace")
