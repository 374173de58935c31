"""Situations that random schedules reach too rarely, each written down."""

import asyncio
import random
from typing import Any

from headrace.core import offset_map
from headrace.core.flow import FlowLimits
from headrace.core.ledger import Ledger, finish
from headrace.core.models import BatchPolicy, Input, Model, OutputField
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import Inlet, ModelStep, Ordering, Sink
from headrace.core.topology import Source, Stage
from headrace.errors import BrokerUnavailableError
from headrace.formats.json_objects import decode, encode
from headrace.kafka.handover import MOST_BYTES, Handover
from headrace.ports import Assignment, Bounds, Fetched, GroupToken
from headrace.runtime.assignments import Assignments
from headrace.runtime.dispatcher import Dispatcher
from headrace.runtime.lanes import Lanes
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions
from headrace.runtime.stats import StageStats
from headrace.runtime.topic_facts import TopicFacts
from headrace.runtime.worker import LIMITS, Ports, Settings, Worker
from headrace.testing.broker import SimulatedBroker
from headrace.testing.clock import run
from headrace.testing.harness import Fleet
from headrace.testing.hazards import Hazards
from headrace.testing.inference import ScriptedModel
from tests.simulation.schedules import GROUP, PARTITIONS, TOPICS

P0, P1, P2 = (TopicPartition("in", number) for number in range(PARTITIONS))


def stage_of(most_calls: int = 4, start: str = "earliest") -> Stage:
    step = ModelStep(
        name="s",
        model=Model("m", ("grpc://x",), "m", max_in_flight=most_calls),
        inputs=(Input("text", "text"),),
        outputs=(OutputField("upper", "upper"),),
        batch=BatchPolicy(8, 0.005),
        inlets=(Inlet("in", "in"),),
        sinks=(Sink("out"),),
    )
    return Stage("p", "", "s", (step,), (Source("in", start=start),), "in", "f00d")


class Scene:
    """Workers on a broker where nothing goes wrong by itself."""

    def __init__(
        self, model: ScriptedModel | None = None, starts: Any = None, **settings: Any
    ) -> None:
        self.hazards = Hazards.none()
        self.broker = SimulatedBroker(dict.fromkeys(TOPICS, PARTITIONS), self.hazards)
        self.model = model or ScriptedModel()
        self.workers: dict[str, Worker] = {}
        self.settings = settings
        self.stage = stage_of()
        self.fleet = Fleet(
            self.broker, GROUP, ["in", "p.s.retry"], self.make, self.model, starts=starts
        )

    def make(self, source: Any, group: Any, sink: Any, model: Any, slot: str) -> Worker:
        clock = asyncio.get_running_loop().time
        settings = Settings(
            slot=slot,
            rng=random.Random(slot),
            now_ms=lambda: round(clock() * 1e3),
            **self.settings,
        )
        facts = TopicFacts(dict.fromkeys(TOPICS, PARTITIONS), {})
        ports = Ports(source, group, sink, Actions({"s": [model]}, {}))
        worker = Worker(self.stage, ports, facts, Format(decode, encode), settings)
        self.workers[slot] = worker
        return worker

    def write(self, partition: int, *texts: str) -> None:
        for text in texts:
            self.broker.write("in", encode({"text": text}), partition=partition)

    @property
    def results(self) -> list[str]:
        return sorted(decode(record.value)["upper"] for record in self.broker.records("out"))

    async def until(self, count: int, within_s: float = 60.0) -> None:
        await self.fleet.until(lambda: len(self.broker.records("out")) >= count, within_s)


def test_a_worker_that_was_full_reads_on_when_a_rebalance_took_what_filled_it() -> None:
    async def act() -> None:
        limits = FlowLimits(2, LIMITS.worker_bytes, 100, LIMITS.partition_bytes)
        scene = Scene(ScriptedModel(latency_s=(5.0, 5.0)), limits=limits)
        async with scene.fleet:
            scene.fleet.start("w0")
            await asyncio.sleep(1.5)
            scene.write(2, "a", "b", "c")
            await asyncio.sleep(0.5)

            scene.fleet.start("w1", "w2")
            await asyncio.sleep(2.0)
            scene.write(0, "d")
            await scene.until(4)

            assert scene.results == ["A", "B", "C", "D"]

    run(act(), limit_s=600)


def test_a_large_map_found_at_the_start_does_not_stop_its_partition() -> None:
    async def act() -> None:
        scene = Scene()
        rng = random.Random(3)
        count = 20_000
        scene.write(0, *(str(n) for n in range(count)))
        done = Runs((n, n + 1) for n in range(1, count) if rng.random() < 0.5)
        text = offset_map.encode("w9", 7, 0, done)
        assert 0.75 * offset_map.LIMIT < len(text) <= offset_map.LIMIT
        scene.broker.group(GROUP).offsets[P0] = Committed(0, text)
        async with scene.fleet:
            scene.fleet.start("w0")

            await scene.until(count - done.count)

            assert len(scene.results) == count - done.count

    run(act(), limit_s=600)


def test_what_came_after_a_start_at_the_latest_outlives_a_crash_before_any_result() -> None:
    async def act() -> None:
        scene = Scene(ScriptedModel(latency_s=(2.0, 2.0)), starts={"in": "latest"})
        scene.write(0, "before")
        scene.stage = stage_of(start="latest")
        async with scene.fleet:
            scene.fleet.start("w0")
            await asyncio.sleep(0.2)
            scene.write(0, "after")
            scene.write(1, "first")
            await asyncio.sleep(1.0)

            scene.fleet.crash("w0")
            await scene.until(2)

            assert scene.results == ["AFTER", "FIRST"]

    run(act(), limit_s=600)


def test_a_revocation_does_not_wait_while_results_keep_coming() -> None:
    async def act() -> None:
        scene = Scene(ScriptedModel(latency_s=(0.02, 0.06)))
        scene.hazards.latency = lambda: 0.005  # type: ignore[method-assign]
        scene.stage = stage_of(most_calls=8)
        async with scene.fleet:
            scene.fleet.start("w0")
            await asyncio.sleep(1.0)
            for partition in range(PARTITIONS):
                scene.write(partition, *(str(n) for n in range(4_000)))
            await asyncio.sleep(1.0)
            assignments = scene.workers["w0"].assignments
            assert assignments.ledgers[P0].in_flight > 500
            clock = asyncio.get_running_loop().time
            started = clock()

            await assignments.revoked(assignments.epoch + 1, [P0])

            assert clock() - started < 0.2

    run(act(), limit_s=600)


def test_dropped_records_are_not_kept_for_a_model_that_is_down() -> None:
    async def act() -> None:
        model = ScriptedModel()
        scene = Scene(model)
        model.be_unavailable(0.0, 1e9)
        async with scene.fleet:
            scene.fleet.start("w0")
            await asyncio.sleep(1.0)
            for partition in range(PARTITIONS):
                scene.write(partition, *(str(n) for n in range(200)))
            await asyncio.sleep(1.0)

            for slot in ("w1", "w2", "w3"):
                scene.fleet.start(slot)
                await asyncio.sleep(2.0)

            worker = scene.workers["w0"]
            held = sum(ledger.in_flight for ledger in worker.assignments.owned)
            [dispatcher] = worker.steps.dispatchers
            assert len(dispatcher._batcher) + _rows(dispatcher) <= held + 1

    run(act(), limit_s=600)


def _rows(dispatcher: Dispatcher) -> int:
    return sum(len(work.items) for work in dispatcher._ready)


class HalfStable:
    """Offsets of which one partition's are stable at once, the other's later."""

    def __init__(self) -> None:
        self.looks = 0

    async def committed(self, partitions: Any, **_: Any) -> Any:
        self.looks += 1
        if self.looks == 2:
            raise BrokerUnavailableError("gone for a moment")
        later = Committed(5) if self.looks > 2 else None
        return {p: Committed(5) if p == P0 else later for p in partitions}

    async def bounds(self, partitions: Any) -> Any:
        return dict.fromkeys(partitions, Bounds(0, 10))

    async def start_offsets(self, partitions: Any) -> Any:
        return dict.fromkeys(partitions, 0)


class Started:
    """A source that remembers what it was told to begin."""

    def __init__(self) -> None:
        self.started: dict[TopicPartition, int] = {}

    def start_at(self, _epoch: int, partition: TopicPartition, offset: int) -> None:
        self.started[partition] = offset


def test_a_partition_that_began_is_read_though_the_next_look_at_another_failed() -> None:
    async def act() -> None:
        source = Started()
        async with asyncio.TaskGroup() as tasks:
            assignments = Assignments(HalfStable(), {"in": Lanes(Ordering.KEY)}, "w0", StageStats())  # type: ignore[arg-type]
            assignments.bind(source, tasks, None)  # type: ignore[arg-type]

            answer = await assignments.assigned(Assignment(1, GroupToken("t", 1, "m"), (P0, P1)))

        assert {p: at for p, at in answer.items() if at is not None} | source.started == {
            P0: 5,
            P1: 5,
        }

    run(act(), limit_s=60)


def test_a_gap_that_was_read_over_goes_with_the_record_after_it() -> None:
    ledger = Ledger(P0, Committed(None), 0, Runs(), Ordering.KEY)
    records = [Record(P0, offset, None, b"x") for offset in (0, 2, 4)]
    for record in records:
        ledger.take([record])
        ledger.advance(record.offset + 2)

    finish(records[:2], [(), ()])
    draft = ledger.draft(10, "w0", 1)

    assert draft is not None
    assert draft.base == 3
    assert len(draft.done) == 0


def test_a_gap_below_what_is_durable_does_not_hold_the_offset_back() -> None:
    ledger = Ledger(P0, Committed(5, "as read"), 5, Runs([(7, 9)]), Ordering.KEY)
    records = [Record(P0, offset, None, b"x") for offset in (7, 9, 10)]

    taken = ledger.take(records)
    finish(taken[:1], [()])
    draft = ledger.draft(10, "w0", 1)

    assert draft is not None
    assert draft.base == 10


class Pausing(Started):
    """A source that remembers what is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.paused: set[TopicPartition] = set()

    def pause(self, partitions: Any) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Any) -> None:
        self.paused.difference_update(partitions)


def test_a_paused_partition_is_resumed_though_another_was_added_meanwhile() -> None:
    async def act() -> None:
        source = Pausing()
        limits = FlowLimits(1_000, LIMITS.worker_bytes, 10, LIMITS.partition_bytes)
        scene = Scene(limits=limits)
        worker = scene.make(source, None, None, scene.model, "w0")
        held = Ledger(P0, Committed(None), 0, Runs(), Ordering.KEY)
        held.epoch = worker.assignments.epoch = 1
        held.blocked = 10
        worker.assignments.ledgers[P0] = held
        worker.back_pressure.regulate()
        assert source.paused == {P0}

        held.blocked = 8
        worker.assignments.epoch = 2
        worker.back_pressure.regulate()
        held.blocked = 1
        worker.back_pressure.regulate()

        assert not source.paused

    run(act(), limit_s=60)


def test_large_records_fill_the_handover_before_they_fill_the_memory() -> None:
    async def act() -> None:
        handover = Handover(asyncio.get_running_loop(), 2_000)
        big = Record(P0, 0, None, bytes(MOST_BYTES // 2))

        handover.put(Fetched(0, [big]))
        assert not handover.is_full
        handover.put(Fetched(0, [big]))
        assert handover.is_full

        await handover.take()
        assert not handover.is_full
        handover.enter(1, [P0])
        assert handover.fill == 0.0

    run(act(), limit_s=60)


def test_retries_that_are_not_due_leave_room_for_fresh_records() -> None:
    async def act() -> None:
        limits = FlowLimits(2_400, LIMITS.worker_bytes, 1_000, LIMITS.partition_bytes)
        scene = Scene(limits=limits)
        later = [("headrace-not-before", b"300000")]
        async with scene.fleet:
            for partition in range(PARTITIONS):
                for number in range(1_000):
                    value = encode({"text": str(number)})
                    scene.broker.write("p.s.retry", value, partition=partition, headers=later)
            scene.fleet.start("w0")
            await asyncio.sleep(1.0)

            scene.write(0, "fresh")
            await scene.until(1)
            assert scene.results == ["FRESH"]

            await scene.until(1 + 3_000, 400.0)

    run(act(), limit_s=600)
