import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest

from headrace.core.flow import FlowLimits
from headrace.core.retry import RetryPolicy
from headrace.core.steps import Ordering
from headrace.errors import ConfigError, FencedError, InferenceFailedError, MetadataError
from headrace.formats.json_objects import decode, encode
from headrace.runtime.committer import MOST_FENCED
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions
from headrace.runtime.worker import Ports, Settings, Worker
from headrace.testing import (
    Hazards,
    ScriptedModel,
    SimulatedBroker,
    SimulatedGroup,
    SimulatedProcess,
    SimulatedSink,
    SimulatedSource,
)
from headrace.testing.hazards import FENCED, UNAVAILABLE
from tests.unit.runtime.parts import DEAD, FACTS, P0, RETRY, TOPICS, stage_of, with_step

GROUP = "shouts.shout"


class Running:
    """A worker on a simulated broker."""

    def __init__(self, model=None, step=None, **settings):
        self.hazards = Hazards.none()
        self.broker = SimulatedBroker(dict.fromkeys(TOPICS, 2), self.hazards)
        self.model = model or ScriptedModel()
        self.stage = stage_of(step or with_step())
        self.settings = settings
        self.process = SimulatedProcess("w0")
        self.task = None

    def start(self):
        source = SimulatedSource(self.broker, self.process, GROUP, ["in", RETRY])
        clock = asyncio.get_running_loop().time
        settings = Settings(
            slot="w0",
            rng=random.Random(7),
            now_ms=lambda: round(clock() * 1e3),
            **self.settings,
        )
        self.worker = Worker(
            self.stage,
            Ports(
                source,
                SimulatedGroup(self.broker, self.process, GROUP),
                SimulatedSink(self.broker, self.process, GROUP),
                Actions({"shout": [self.model]}, {}),
            ),
            FACTS,
            Format(decode, encode),
            settings,
        )
        self.task = asyncio.create_task(self.worker.run())
        self.process.owns(self.task)

    def write(self, *texts, **record):
        for text in texts:
            self.broker.write("in", encode({"text": text}), **record)

    def read(self, topic="out", field="shouted"):
        return [json.loads(record.value)[field] for record in self.broker.records(topic)]

    @property
    def committed(self):
        return self.broker.committed(GROUP, P0).offset


@asynccontextmanager
async def running(model=None, step=None, **settings):
    it = Running(model, step, **settings)
    it.start()
    try:
        yield it
    finally:
        it.process.crash()
        await asyncio.gather(it.task, return_exceptions=True)


async def test_records_go_through_the_model_and_their_offsets_with_them():
    async with running() as it:
        it.write("a", "b")
        it.write("c", partition=1)

        await asyncio.sleep(1.0)

        assert sorted(it.read()) == ["A", "B", "C"]
        assert it.committed == 2


async def test_a_drain_finishes_calls_under_way_commits_and_leaves():
    async with running(ScriptedModel(latency_s=(2.0, 2.0))) as it:
        it.write("a", "b")
        await asyncio.sleep(1.0)

        it.worker.drain()
        await it.task

        assert it.read() == ["A", "B"]
        assert it.committed == 2
        assert it.worker.status().phase == "stopped"
        assert it.broker.group(GROUP).slots == frozenset()


async def test_a_drain_does_not_wait_for_calls_for_ever(caplog):
    async with running(ScriptedModel(latency_s=(900.0, 900.0)), drain_s=5.0) as it:
        it.write("a")
        await asyncio.sleep(1.0)

        it.worker.drain()
        async with asyncio.timeout(6.0):
            await it.task

        assert it.read() == []
        assert not it.committed
        assert "their records will be read again" in caplog.text


async def test_a_worker_starts_when_a_broker_answers():
    it = Running()
    for _ in range(3):
        it.hazards.plan("open", UNAVAILABLE)
    it.write("a")
    it.start()

    await asyncio.sleep(5.0)

    assert it.read() == ["A"]
    it.worker.drain()
    await it.task


async def test_a_worker_that_is_not_let_in_fails_and_closes_what_it_holds(monkeypatch):
    closed = []

    async def refuse(sink):
        raise FencedError("taken over")

    async def close(model):
        closed.append(model)

    monkeypatch.setattr(SimulatedSink, "open", refuse)
    monkeypatch.setattr(ScriptedModel, "close", close)
    it = Running()
    it.start()

    with pytest.raises(FencedError, match="taken over"):
        await it.task

    assert it.worker.status().phase == "failed"
    assert closed == [it.model]


async def test_a_worker_whose_slot_is_taken_ends_and_says_so():
    async with running() as it:
        for _ in range(1 + MOST_FENCED):
            it.hazards.plan("end", FENCED)
        it.write("a")

        with pytest.raises(FencedError, match="another process uses slot 'w0'"):
            await it.task

        assert it.worker.status().phase == "failed"


async def test_foreign_metadata_ends_the_worker_before_it_reads_anything():
    it = Running()
    it.write("a")
    from headrace.core.records import Committed

    it.broker.group(GROUP).offsets[P0] = Committed(1, "somebody else's")
    it.start()

    with pytest.raises(MetadataError, match="--ignore-metadata"):
        await it.task

    assert it.model.calls == []


async def test_a_worker_that_fails_starts_no_call_afterwards():
    async with running(step=with_step(retry=RetryPolicy(5, 30.0, 30.0))) as it:
        it.model.fail_next(InferenceFailedError("500"))
        it.write("waits for its retry")
        await asyncio.sleep(1.0)
        for _ in range(1 + MOST_FENCED):
            it.hazards.plan("end", FENCED)
        it.write("b", partition=1)
        with pytest.raises(FencedError):
            await it.task
        calls = len(it.model.calls)

        await asyncio.sleep(60.0)

        assert len(it.model.calls) == calls


async def test_a_worker_holds_no_more_records_than_it_may():
    limits = FlowLimits(worker_records=3, worker_bytes=10**6)
    async with running(ScriptedModel(latency_s=(1.0, 1.0)), limits=limits) as it:
        for _ in range(20):
            it.write("x")
            await asyncio.sleep(0.01)
        held = it.worker.status().in_flight

        await asyncio.sleep(30.0)

        assert held == 3
        assert len(it.read()) == 20


async def test_a_partition_behind_one_slow_record_is_paused_and_read_again_later():
    limits = FlowLimits(partition_records=2)
    step = with_step(ordering=Ordering.PARTITION, retry=RetryPolicy(5, 10.0, 10.0))
    async with running(step=step, limits=limits) as it:
        it.model.fail_next(InferenceFailedError("500"))
        it.write("slow")
        await asyncio.sleep(0.1)
        for number in range(10):
            it.write(str(number))
            await asyncio.sleep(0.1)
        position = it.worker.status().partitions[0].position

        await asyncio.sleep(30.0)

        assert position < 11
        assert it.read() == ["SLOW", *"0123456789"]


async def test_a_delayed_record_waits_in_the_retry_topic_and_is_counted_out_of_lane():
    step = with_step(ordering=Ordering.NONE, retry=RetryPolicy(3, 20.0, 20.0))
    async with running(step=step) as it:
        it.model.fail_next(InferenceFailedError("500"))
        it.write("a")
        await asyncio.sleep(1.0)
        assert (it.committed, it.read()) == (1, [])
        assert len(it.broker.records(RETRY)) == 1
        await asyncio.sleep(7.0)
        assert it.read() == []

        await asyncio.sleep(20.0)

        assert it.read() == ["A"]
        assert it.worker.status().counters["out_of_lane"] == 1
        [result] = it.broker.records("out")
        assert dict(result.headers)["headrace-id"] == b"in-0-0"


async def test_attempts_are_counted_on_through_the_retry_topic():
    step = with_step(ordering=Ordering.NONE, retry=RetryPolicy(3, 20.0, 20.0))
    async with running(step=step) as it:
        it.model.fail_next(*[InferenceFailedError("500")] * 3)
        it.write("a")

        await asyncio.sleep(100.0)

        [letter] = it.broker.records(DEAD)
        assert dict(letter.headers)["headrace-error-attempts"] == b"3"
        assert len(it.model.calls) == 3


@pytest.mark.parametrize("text", [b"soon", b"", b"-5", None])
async def test_a_retry_record_with_unreadable_headers_is_due_at_once(text):
    async with running() as it:
        headers = [("headrace-not-before", text), ("headrace-attempt", text)]
        it.broker.write(RETRY, encode({"text": "a"}), headers=headers)

        await asyncio.sleep(1.0)

        assert it.read() == ["A"]


async def test_idle_markers_leave_no_lag():
    async with running() as it:
        it.write("a")
        await asyncio.sleep(1.0)
        broker = it.broker
        broker.transactions.init("other", 10.0)
        row = ("in", b'{"text":"b"}', None, 0, 0, None)
        broker.transactions.append("other", 0, broker.placed([row]))
        broker.transactions.end("other", 0, commit=False)

        await asyncio.sleep(5.0)

        assert it.committed == broker.log(P0).end == 3
        assert it.read() == ["A"]


async def test_the_status_counts_what_was_read_written_and_committed():
    async with running(ScriptedModel(poison=lambda text: text == "bad")) as it:
        it.write("a", "bad", "c")
        await asyncio.sleep(1.0)

        status = it.worker.status()

        counters = {name: status.counters[name] for name in ("read", "written", "dead_lettered")}
        assert counters == {"read": 3, "written": 2, "dead_lettered": 1}
        assert status.counters["durable"] == 3
        assert (status.phase, status.in_flight, status.errors) == (
            "running",
            0,
            {"InvalidInputError": 3},
        )
        assert status.is_assigned


async def test_a_record_of_another_wire_format_ends_the_worker_before_anything_is_done_with_it():
    async with running() as it:
        headers = [("headrace-v", b"2"), ("headrace-id", b"in-0-0")]
        it.broker.write(RETRY, encode({"text": "a"}), headers=headers)

        with pytest.raises(ConfigError, match=r"wire format '2'; this headrace reads '1' only"):
            await it.task

        assert it.model.calls == []
        assert it.worker.status().phase == "failed"


async def test_an_error_in_a_timer_of_a_stage_ends_the_worker():
    async with running() as it:
        await asyncio.sleep(1.0)
        it.worker.steps.later(1.0, lambda: 1 / 0)

        with pytest.raises(ZeroDivisionError):
            await it.task
