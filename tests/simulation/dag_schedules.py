"""A seeded schedule of a random DAG: every stage a fleet of its own, everything going wrong."""

import asyncio
import json
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from headrace.core import wire
from headrace.core.flow import FlowLimits
from headrace.core.records import Record, TopicPartition
from headrace.core.steps import FunctionStep, ModelStep, Ordering, SplitStep, Step
from headrace.core.topics import needed_topics
from headrace.core.topology import Stage, Topology
from headrace.errors import BrokerError
from headrace.formats.conditions import compile_condition
from headrace.formats.json_objects import decode, encode
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions
from headrace.runtime.topic_facts import TopicFacts
from headrace.runtime.worker import LIMITS, Ports, Settings, Worker
from headrace.testing import (
    STORM,
    Fleet,
    Hazards,
    Interpreter,
    ScriptedFunction,
    ScriptedModel,
    SimulatedBroker,
    Written,
)
from headrace.testing.interpreter import canonical
from tests.simulation import dag_world, dags
from tests.simulation.differences import different

PARTITIONS = 3
KEYS = (b"a", b"b", b"c", None)
_LOOK_EVERY_S = 0.25


@dataclass
class Run:
    """One pipeline on one broker.

    Attributes:
        seed: Decides everything.
        data: The pipeline, as the data of its file.
        make: Builds a worker.
        has_storm: Whether anything goes wrong.
    """

    seed: int
    data: Mapping[str, Any]
    make: Callable[..., Any] = Worker
    has_storm: bool = True
    records: list[tuple[str, str, bytes | None]] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = rng = random.Random(self.seed)
        self.topology = dags.compiled(self.data)
        hazards = Hazards(self.seed, STORM, budget=rng.randint(0, 6))
        if not self.has_storm:
            hazards = Hazards.none()
        self.topics = {topic.name: PARTITIONS for topic in needed_topics(self.topology)}
        self.broker = SimulatedBroker(self.topics, hazards)
        self.facts = TopicFacts(self.topics, {})
        # Tight ones pause partitions, and spill what waits, at a handful of records.
        self.limits = rng.choice([LIMITS, LIMITS, FlowLimits(6, 10_000, 3, 5_000)])
        self.models = {step.name: self._model(step) for step in self.topology.models}
        self.functions = {
            step.name: self._function(step)
            for step in self.topology.steps
            if isinstance(step, FunctionStep)
        }
        self.fleets = [self._fleet(stage) for stage in self.topology.stages]

    # The world

    def _slowest_s(self) -> float:
        return self.rng.choice([0.0, 0.01, 0.5, 3.0]) if self.has_storm else 0.0

    def _model(self, step: ModelStep) -> ScriptedModel:
        name = step.model.name
        return ScriptedModel(
            lambda *row: _single(dag_world.answer(name, row)),
            outputs=len(step.outputs),
            latency_s=(0.0, self._slowest_s()),
            poison=lambda *row: dag_world.is_poison(name, row),
            rates={"unavailable": 0.03, "timeout": 0.03, "failed": 0.03},
            budget=self.rng.randint(0, 2) if self.has_storm else 0,
            seed=self.seed,
        )

    def _function(self, step: FunctionStep) -> ScriptedFunction:
        function = dag_world.FUNCTIONS[step.function]
        return ScriptedFunction(function, latency_s=(0.0, self._slowest_s()), seed=self.seed)

    def _fleet(self, stage: Stage) -> Fleet:
        def make_worker(source: Any, group: Any, sink: Any, actions: Any, slot: str) -> Any:
            clock = asyncio.get_running_loop().time
            settings = Settings(
                slot=slot,
                rng=random.Random(self.rng.random()),
                now_ms=lambda: round(clock() * 1e3),
                drain_s=5.0,
                limits=self.limits,
            )
            ports = Ports(source, group, sink, actions)
            fmt = Format(decode, encode, compile_condition)
            return self.make(stage, ports, self.facts, fmt, settings)

        actions = Actions(
            {
                step.name: [self.models[step.name]] * max(1, len(step.model.versions))
                for step in stage.models
            },
            {
                step.name: self.functions[step.name]
                for step in stage.steps
                if isinstance(step, FunctionStep)
            },
        )
        static = self.has_storm and self.rng.random() < 0.2
        return Fleet(self.broker, stage.group, stage.topics, make_worker, actions, static=static)

    # What happens

    def write(self, many: int) -> None:
        """Write some records to the sources."""
        for _ in range(many):
            topic = self.rng.choice(self.topology.sources).topic
            key = self.rng.choice(KEYS)
            place = zlib.crc32(key) % PARTITIONS if key else self.rng.randrange(PARTITIONS)
            value = dag_world.value(self.rng)
            headers = [("mine", b"yes")] if self.rng.random() < 0.1 else None
            offset = self.broker.write(topic, value, key=key, partition=place, headers=headers)
            self.records.append((topic, f"{topic}-{place}-{offset}", value))

    async def act(self) -> None:
        """Run the pipeline while workers come and go, until nothing is left to do."""
        asyncio.get_running_loop().set_exception_handler(self._broke)
        rng = self.rng
        slots = ["w0", "w1", "w2"][: rng.randint(1, 3)] if self.has_storm else ["w0"]
        self.write(rng.randint(1, 12))
        for fleet in self.fleets:
            if not self.has_storm or rng.random() < 0.8:
                fleet.start(slots[0])
        for _ in range(rng.randint(0, 6) if self.has_storm else 0):
            await asyncio.sleep(rng.choice([0.01, 0.3, 2.0]) * rng.random())
            fleet, slot = rng.choice(self.fleets), rng.choice(slots)
            match rng.randrange(5):
                case 0:
                    fleet.start(slot)
                case 1 | 2:
                    fleet.crash(slot)
                case 3:
                    self.write(rng.randint(1, 8))
                case 4:
                    await fleet.stop(slot)
                    fleet.start(slot)
        for fleet in self.fleets:
            fleet.start(slots[0])
        await self._until_settled()

    def _broke(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Remember what a callback raised: a real loop would only log it."""
        if "handle" in context:
            self.broken.append(context["exception"])

    async def _until_settled(self, within_s: float = 900.0) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not self.is_settled():
            self.check_failures()
            if loop.time() > deadline:
                raise TimeoutError(f"not settled in {within_s:g} s: {self.unfinished()}")
            await asyncio.sleep(_LOOK_EVERY_S)
        self.check_failures()

    def is_settled(self) -> bool:
        """Whether every record of every topic that is read is durably finished."""
        return not self.broker.has_open_transactions and not self.unfinished()

    def unfinished(self) -> list[str]:
        """Return the partitions whose group has not finished them, and where it stands."""
        found = []
        for stage in self.topology.stages:
            for topic in stage.topics:
                for number in range(PARTITIONS):
                    partition = TopicPartition(topic, number)
                    records = self.broker.records(topic, number)
                    at = self.broker.committed(stage.group, partition).offset or 0
                    if records and at <= records[-1].offset:
                        found.append(f"{stage.name} at {partition}@{at} of {records[-1].offset}")
        return found

    def check_failures(self) -> None:
        """A worker may end because of the broker; nothing else is an excuse."""
        for error in self.broken:
            raise error
        for fleet in self.fleets:
            for slot, error in fleet.failures:
                if not isinstance(error, BrokerError):
                    error.add_note(f"{slot} ended")
                    raise error

    # What came of it

    def written(self) -> Written:
        """Return what stands in the sinks and in the dead-letter topic."""
        written = Written()
        for topic in {sink.topic for sink in self.topology.sinks}:
            for record in self.broker.records(topic):
                text = None if record.value is None else canonical(json.loads(record.value))
                written.sinks[topic, said(record, wire.ID), text] += 1
        for record in self.broker.records(self.topology.dead_letter_topic):
            names = (wire.ID, wire.ERROR_STEP, wire.ERROR_CLASS)
            id_, step, error = (said(record, name) for name in names)
            written.dead[id_, step, error] += 1
        return written

    def expected(self) -> Written:
        """Return what the interpreter says."""
        rules = Interpreter(
            self.topology, dag_world.answered, dag_world.FUNCTIONS, dag_world.condition, whole=True
        )
        return rules.run(self.records)

    def check(self) -> None:
        """Compare what came out with what had to."""
        expected, written = self.expected(), self.written()
        assert not different(expected.dead, written.dead), different(expected.dead, written.dead)
        assert not different(expected.sinks, written.sinks), different(
            expected.sinks, written.sinks
        )
        if self.limits is LIMITS:  # what is spilled leaves its lane
            for topic, ordering in ordered_sinks(self.topology).items():
                self._check_order(topic, ordering)

    def _check_order(self, topic: str, ordering: Ordering) -> None:
        last: dict[object, int] = defaultdict(lambda: -1)
        for record in self.broker.records(topic):
            source = said(record, wire.ID).split("/")[0]
            name, place, offset = source.rsplit("-", 2)
            if ordering is Ordering.KEY and record.key is None:
                continue
            lane = (name, place, record.key if ordering is Ordering.KEY else b"")
            assert last[lane] <= int(offset), f"{topic}: {offset} after {last[lane]} of {lane}"
            last[lane] = int(offset)


class LateRun(Run):
    """A run whose join or gather does not wait long enough for all parts: each id ends once."""

    def _slowest_s(self) -> float:
        return self.rng.choice([0.0, 1.0, 4.0])

    def check(self) -> None:
        """Every record leaves one result or one dead letter at the last step, and the right one."""
        expected, written = self.expected(), self.written()
        last = self.topology.steps[-1].name
        ends: Counter[str] = Counter(
            id_ for (_, id_, _), n in written.sinks.items() for _ in range(n)
        )
        ends.update(
            id_ for (id_, step, _), n in written.dead.items() for _ in range(n) if step == last
        )
        once = Counter(id_ for _, id_, _ in self.records)
        assert not different(once, ends), different(once, ends)
        assert not written.sinks - expected.sinks, different(expected.sinks, written.sinks)


async def late_schedule(seed: int, make: Callable[..., Any] = Worker) -> Run:
    """Run a pipeline whose parts come late through a random schedule."""
    data = dags.impatient(random.Random(f"late {seed}"))
    return await dag_schedule(seed, make, data, kind=LateRun)


async def dag_schedule(
    seed: int,
    make: Callable[..., Any] = Worker,
    data: Mapping[str, Any] | None = None,
    *,
    has_storm: bool = True,
    kind: type[Run] = Run,
) -> Run:
    """Run a random pipeline through a random schedule and compare it with the interpreter."""
    data = data or dags.pipeline(random.Random(f"pipeline {seed}"), most_steps=6)
    one = kind(seed, data, make, has_storm)
    try:
        try:
            await one.act()
        finally:
            for fleet in one.fleets:
                await fleet.__aexit__(None, None, None)
        one.check()
    except Exception as error:
        error.add_note(yaml.safe_dump(dict(data), sort_keys=False))
        raise
    return one


def said(record: Record, name: str) -> str:
    """Return what a header says, empty where it is missing."""
    return (dict(record.headers or ()).get(name) or b"").decode()


def ordered_sinks(topology: Topology) -> Mapping[str, Ordering]:
    """Return the sinks of one step with nothing but ordered steps before it, and their order."""
    steps = {step.name: step for step in topology.steps}
    writers: dict[str, list[Step]] = {}
    for step in steps.values():
        for sink in step.sinks:
            writers.setdefault(sink.topic, []).append(step)
    found = {}
    for topic, (step, *others) in writers.items():
        chain = _lineage(step, steps)
        is_keyed = any(sink.key for sink in step.sinks if sink.topic == topic)
        orderings = {each.ordering for each in chain}
        if chain and not others and not is_keyed and Ordering.NONE not in orderings:
            found[topic] = Ordering.KEY if Ordering.KEY in orderings else Ordering.PARTITION
    return found


def _lineage(step: Step, steps: Mapping[str, Step]) -> list[Step]:
    """Return a step and all before it; nothing where children leave their parent's partition."""
    found: dict[str, Step] = {}
    waiting = [step]
    while waiting:
        one = waiting.pop()
        if isinstance(one, SplitStep) and one.is_spread:
            return []
        found[one.name] = one
        waiting += [steps[inlet.step] for inlet in one.inlets if inlet.step]
    return list(found.values())


def _single(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else tuple(values)
