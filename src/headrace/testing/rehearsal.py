"""A whole pipeline in this process: the real workers on a broker in memory, with any models."""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from headrace.core import offset_map, wire
from headrace.core.record_ids import parsed_id
from headrace.core.records import Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import FunctionStep, GatherStep, ModelStep, Step
from headrace.core.topics import needed_topics
from headrace.core.topology import Stage, Topology
from headrace.errors import InferenceUnavailableError, first_of
from headrace.formats.conditions import compile_condition
from headrace.formats.json_objects import decode, encode
from headrace.functions.callers import rehearsed
from headrace.ports import FunctionCaller, InferenceClient
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions
from headrace.runtime.topic_facts import TopicFacts
from headrace.runtime.worker import Ports, Settings, Worker
from headrace.testing.broker import SimulatedBroker
from headrace.testing.group_view import SimulatedGroup
from headrace.testing.processes import SimulatedProcess
from headrace.testing.sink import SimulatedSink
from headrace.testing.source import SimulatedSource
from headrace.wiring import by_version

_STUCK_S = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """A record that the pipeline wrote to a sink.

    Attributes:
        number: Number of the input that it comes from, from 1.
        topic: The sink.
        value: Its bytes, None for a tombstone.
        child: Which child of the input it is: an index for every split; empty for none.
        models: `step=model@version` of every model that worked on it, separated by commas.
    """

    number: int
    topic: str
    value: bytes | None
    child: tuple[int, ...] = ()
    models: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A record that the pipeline gave up.

    Attributes:
        number: Number of the input that it comes from, from 1.
        step: The step that gave up.
        error: Class of the error.
        message: What it says.
        attempts: Calls made for it.
        child: Which child of the input it is: an index for every split; empty for none.
    """

    number: int
    step: str
    error: str
    message: str
    attempts: int
    child: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """Which child it is, as record ids write it."""
        return "/".join(map(str, self.child))


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of the input, each list in its order.

    Attributes:
        results: Records written to sinks.
        letters: Records given up.
        halted: Numbers of inputs that never end, because a lane stands still at a strict step.
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
        on_progress: Told how many inputs the steps that read the sources are done with.
    """

    every_s: float = 0.05
    patience_s: float = 60.0
    on_progress: Callable[[int], None] = lambda _: None


async def rehearse(
    topology: Topology,
    records: Sequence[tuple[str, bytes | None]],
    client_for: Callable[[ModelStep], InferenceClient],
    watch: Watch | None = None,
    caller_for: Callable[[FunctionStep], FunctionCaller] = rehearsed,
) -> Rehearsed:
    """Run records through every stage of a pipeline, without Kafka, until nothing is left to do.

    Batching, slots, retries, bisection, dead letters and transactions are the worker's own; every
    topic has one partition.

    Args:
        topology: The pipeline.
        records: Source topic and value of each input.
        client_for: Makes the client of a step's model; asked once for each of its versions.
        watch: How it is looked after.
        caller_for: Makes what calls a step's function; without threads and processes by default.

    Raises:
        InferenceError: A model did not answer, or refused this caller, for too long.
        ConfigError: A function cannot be loaded.
    """
    watch = watch or Watch()
    loop = asyncio.get_running_loop()
    broker = SimulatedBroker({topic.name: 1 for topic in needed_topics(topology)})
    numbers = {
        f"{topic}-0-{broker.write(topic, value)}": number
        for number, (topic, value) in enumerate(records, 1)
    }
    process = SimulatedProcess("0")
    called = await _actions(topology, client_for, caller_for)
    workers = [_worker(broker, process, stage, actions) for stage, actions in called]
    begun = loop.time()
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.run(), name=each.stage.name) for each in workers]
            try:
                await _settled(workers, broker, watch)
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
        # A worker whose process crashed closes nothing.
        for _, actions in called:
            await actions.close()
    return _read(topology, broker, numbers, ended - begun)


async def _actions(
    topology: Topology,
    client_for: Callable[[ModelStep], InferenceClient],
    caller_for: Callable[[FunctionStep], FunctionCaller],
) -> list[tuple[Stage, Actions]]:
    """Return every stage with what its steps call."""
    made: list[tuple[Stage, Actions]] = []
    try:
        for stage in topology.stages:
            # First what may be refused: a client that is made must be closed.
            functions = {step.name: caller_for(step) for step in stage.functions}
            models = {
                step.name: [client_for(each) for each in by_version(step)] for step in stage.models
            }
            made.append((stage, Actions(models, functions)))
    except BaseException:
        for _, actions in made:
            await actions.close()
        raise
    return made


def _worker(
    broker: SimulatedBroker, process: SimulatedProcess, stage: Stage, actions: Actions
) -> Worker:
    ports = Ports(
        source=SimulatedSource(broker, process, stage.group, stage.topics),
        group=SimulatedGroup(broker, process, stage.group),
        sink=SimulatedSink(broker, process, stage.group),
        actions=actions,
    )
    loop = asyncio.get_running_loop()
    settings = Settings(
        slot="0",
        rng=random.Random(0),  # noqa: S311 - jitter, repeated exactly
        now_ms=lambda: int(loop.time() * 1000),
    )
    facts = TopicFacts(broker.partition_counts(), {})
    return Worker(stage, ports, facts, Format(decode, encode, compile_condition), settings)


async def _settled(workers: Sequence[Worker], broker: SimulatedBroker, watch: Watch) -> None:
    """Return when everything was done, or what is left will never move.

    Raises:
        InferenceError: A step waited too long for its model.
    """
    loop = asyncio.get_running_loop()
    moved_at, last = loop.time(), -1
    while not all(_is_idle(worker, broker) for worker in workers):
        await asyncio.sleep(watch.every_s)
        _raise_if_away(workers, watch.patience_s)
        watch.on_progress(_done(workers))
        committed = sum(worker.stats.durable for worker in workers)
        if committed != last or any(map(_is_busy, workers)):
            moved_at, last = loop.time(), committed
        elif loop.time() - moved_at > _STUCK_S and not _is_delayed(workers, broker):
            break
    watch.on_progress(_done(workers))


def _is_idle(worker: Worker, broker: SimulatedBroker) -> bool:
    """Whether all that its topics hold is durably finished; no other worker may be writing."""
    owned = list(worker.assignments.owned)
    logs = [(ledger, broker.log(ledger.partition)) for ledger in owned]
    return len(owned) == len(worker.stage.topics) and all(
        ledger.in_flight == 0 and ledger.position >= log.end == log.stable_end
        for ledger, log in logs
    )


def _is_busy(worker: Worker) -> bool:
    now = asyncio.get_running_loop().time()
    return any(each.busy or each.waiting or each.pause for each in worker.steps.dispatchers) or any(
        _times_out(place.step, place.collector.due_at(), now)
        for place in worker.steps.steps.values()
        if place.collector is not None
    )


def _times_out(step: Step, due_at: float | None, now: float) -> bool:
    """Whether a group of parts will end by itself; the end of one that did is remembered longer."""
    waiting = step.waiting if isinstance(step, GatherStep) else None
    waiting = waiting or (step.join.waiting if step.join is not None else None)
    return (
        due_at is not None
        and waiting is not None
        and waiting.timeout_s is not None
        and due_at <= now + waiting.timeout_s
    )


def _is_delayed(workers: Sequence[Worker], broker: SimulatedBroker) -> bool:
    """Whether a retry topic holds a record that is to be taken later."""
    soon_ms = asyncio.get_running_loop().time() * 1000 - 1000 * _STUCK_S
    return any(
        int(_header(record, wire.NOT_BEFORE)) >= soon_ms
        for worker in workers
        for record in _unfinished(worker.stage, broker)
        if _header(record, wire.NOT_BEFORE)
    )


def _unfinished(stage: Stage, broker: SimulatedBroker) -> Iterator[Record]:
    """Yield what a stage has not durably finished, but no memory of what ended early."""
    for topic in stage.topics:
        committed = broker.committed(stage.group, TopicPartition(topic, 0))
        base, above = committed.offset or 0, Runs()
        if committed.offset is not None:
            above = offset_map.decode(committed.metadata, base).finished
        for record in broker.records(topic):
            is_left = record.offset >= base and not above.contains(record.offset)
            if is_left and (wire.OUTCOME, wire.CLOSED) not in (record.headers or ()):
                yield record


def _done(workers: Sequence[Worker]) -> int:
    """Return how many inputs are finished by every stage that reads them."""
    done: dict[str, int] = {}
    for worker in workers:
        sources = {each.topic for each in worker.stage.sources if not each.is_derived}
        for ledger in worker.assignments.owned:
            topic = ledger.partition.topic
            if topic in sources:
                done[topic] = min(done.get(topic, ledger.base), ledger.base)
    return sum(done.values())


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
    topology: Topology, broker: SimulatedBroker, numbers: dict[str, int], seconds: float
) -> Rehearsed:
    sinks = dict.fromkeys(sink.topic for sink in topology.sinks)
    dead = [topology.dead_letter_topic]
    written = _in_order((each for topic in sinks for each in broker.records(topic)), numbers)
    given_up = _in_order((each for topic in dead for each in broker.records(topic)), numbers)
    left = (each for stage in topology.stages for each in _unfinished(stage, broker))
    return Rehearsed(
        [
            Result(number, each.partition.topic, each.value, child, _header(each, wire.MODELS))
            for (number, child), each in written
        ],
        [_letter(number, child, each) for (number, child), each in given_up],
        sorted({_origin(each, numbers)[0] for each in left}),
        seconds,
    )


def _in_order(
    records: Iterable[Record], numbers: dict[str, int]
) -> list[tuple[tuple[int, tuple[int, ...]], Record]]:
    placed = [(_origin(record, numbers), record) for record in records]
    placed.sort(key=lambda each: each[0])
    return placed


def _origin(record: Record, numbers: dict[str, int]) -> tuple[int, tuple[int, ...]]:
    """Return the number of the input that a record comes from, and which child it is."""
    at = f"{record.partition.topic}-{record.partition.partition}-{record.offset}"
    found = parsed_id(_header(record, wire.ID) or at)
    return numbers[found.root], found.children


def _letter(number: int, child: tuple[int, ...], record: Record) -> Letter:
    return Letter(
        number,
        _header(record, wire.ERROR_STEP),
        _header(record, wire.ERROR_CLASS),
        _header(record, wire.ERROR_MESSAGE),
        int(_header(record, wire.ERROR_ATTEMPTS)),
        child,
    )


def _header(record: Record, name: str) -> str:
    """Return a header's text, empty where there is none."""
    return (dict(record.headers or ()).get(name) or b"").decode(errors="replace")
