"""A seeded schedule: the real worker on the simulated broker while everything goes wrong."""

import asyncio
import random
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from headrace.core import offset_map
from headrace.core.flow import FlowLimits
from headrace.core.models import BatchPolicy, Input, Model, OutputField
from headrace.core.records import Header, Record, TopicPartition
from headrace.core.retry import RetryPolicy
from headrace.core.steps import Inlet, ModelStep, Ordering, Sink
from headrace.core.topology import Source, Stage
from headrace.formats.json_objects import decode, encode
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions
from headrace.runtime.topic_facts import TopicFacts
from headrace.runtime.worker import LIMITS, Ports, Settings, Worker
from headrace.testing.broker import SimulatedBroker
from headrace.testing.harness import Fleet
from headrace.testing.hazards import STORM, Hazards
from headrace.testing.history import judge, origin_of
from headrace.testing.inference import ScriptedModel

PARTITIONS = 3
GROUP = "p.s"
TOPICS = ("in", "out", "p.dead-letters", "p.s.retry")


def stage_for(rng: random.Random) -> Stage:
    step = ModelStep(
        name="s",
        inlets=(Inlet("in", "in"),),
        sinks=(Sink("out"),),
        model=Model("m", ("grpc://x",), "m", max_in_flight=rng.choice([1, 2, 8])),
        inputs=(Input("text", "text"),),
        outputs=(OutputField("upper", "upper"),),
        ordering=rng.choice(list(Ordering)),
        batch=BatchPolicy(rng.choice([1, 3, 8]), 0.005),
        retry=RetryPolicy(rng.choice([1, 3]), 0.1, rng.choice([0.5, 10.0])),
    )
    return Stage("p", "", "s", (step,), (Source("in"),), "in", "f00d")


async def schedule(seed: int, make: Callable[..., Any] = Worker) -> Fleet:
    rng = random.Random(seed)
    hazards = Hazards(seed, STORM, budget=rng.randint(0, 4))
    broker = SimulatedBroker(dict.fromkeys(TOPICS, PARTITIONS), hazards)
    stage = stage_for(rng)
    facts = TopicFacts(dict.fromkeys(TOPICS, PARTITIONS), {})
    model = ScriptedModel(
        latency_s=(0.0, rng.choice([0.0, 0.01, 0.5, 6.0])),
        poison=lambda text: text.startswith("!"),
        rates={"unavailable": 0.05, "timeout": 0.05, "failed": 0.05, "row_count": 0.03},
        budget=rng.randint(0, 5),
        seed=seed,
    )

    # Tight ones pause partitions, and stop fetching, at a handful of records.
    limits = rng.choice([LIMITS, FlowLimits(4, 10_000, 2, 5_000)])

    def make_worker(source, group, sink, model, slot):
        clock = asyncio.get_running_loop().time
        settings = Settings(
            slot=slot,
            rng=random.Random(rng.random()),
            now_ms=lambda: round(clock() * 1e3),
            drain_s=5.0,
            limits=limits,
        )
        return make(
            stage,
            Ports(source, group, sink, Actions({"s": [model]}, {})),
            facts,
            Format(decode, encode),
            settings,
        )

    count = 0

    def write(many: int) -> None:
        nonlocal count
        for _ in range(many):
            count += 1
            text = rng.choice(["!bad", "fine", "fine", "fine", "fine"]) + str(count)
            kind = rng.random()
            value = encode({"text": text}) if kind > 0.1 else b"not json" if kind > 0.05 else None
            key = rng.choice([b"a", b"b", b"c", None])
            place = zlib.crc32(key) % PARTITIONS if key else rng.randrange(PARTITIONS)
            headers = [("mine", text.encode())] if rng.random() < 0.2 else None
            broker.write("in", value, key=key, partition=place, headers=headers)

    async with Fleet(
        broker, GROUP, ["in", "p.s.retry"], make_worker, model, static=rng.random() < 0.3
    ) as fleet:
        slots = ["w0", "w1", "w2"][: rng.randint(1, 3)]
        write(rng.randint(1, 25))
        fleet.start(slots[0])
        for _ in range(rng.randint(0, 4)):
            await asyncio.sleep(rng.choice([0.01, 0.3, 2.0]) * rng.random())
            match rng.randrange(4):
                case 0:
                    fleet.start(rng.choice(slots))
                case 1:
                    fleet.crash(rng.choice(slots))
                case 2:
                    write(rng.randint(1, 15))
                case 3:
                    slot = rng.choice(slots)
                    await fleet.stop(slot)
                    fleet.start(slot)
        fleet.start(slots[0])
        await fleet.until(lambda: is_finished(broker))
    check(broker, stage)
    return fleet


def _users(record: Record) -> list[Header]:
    return [each for each in record.headers or () if not each[0].startswith("headrace-")]


def is_finished(broker: SimulatedBroker) -> bool:
    if broker.has_open_transactions:
        return False
    for topic in ("in", "p.s.retry"):
        for number in range(PARTITIONS):
            partition = TopicPartition(topic, number)
            committed = broker.committed(GROUP, partition)
            records = broker.records(topic, number)
            if records and (committed.offset or 0) <= records[-1].offset:
                return False
    return True


def check(broker: SimulatedBroker, stage: Stage) -> None:
    ordering = stage.ordering
    inputs = broker.records("in")
    results, dead = broker.records("out"), broker.records("p.dead-letters")
    returned = {dict(r.headers)["headrace-id"] for r in broker.records("p.s.retry")}

    def finished(partition: TopicPartition, offset: int) -> bool:
        committed = broker.committed(GROUP, partition)
        if committed.offset is None:
            return False
        done = offset_map.decode(committed.metadata, committed.offset).finished
        return offset < committed.offset or offset in done

    lane = {
        Ordering.NONE: None,
        Ordering.KEY: lambda record: record.key or record.offset,
        Ordering.PARTITION: lambda _: b"",
    }[ordering]
    verdict = judge(inputs, results + dead, lane=lane, finished=finished)
    assert not verdict, str(verdict)
    sent = {(r.partition, r.offset): r for r in inputs}
    for record in results + dead:
        source = sent[origin_of(record)]
        assert record.key == source.key
        assert _users(record) == _users(source)
    for record in results:
        if record.value is None:
            assert sent[origin_of(record)].value is None
            continue
        document = msgspec.json.decode(record.value)
        assert document["upper"] == document["text"].upper()
        assert not document["text"].startswith("!")
    if ordering is not Ordering.NONE:
        assert not returned
