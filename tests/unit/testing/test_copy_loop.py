"""The smallest exactly-once program, and the same with one bug each, through many schedules."""

import asyncio

import pytest

from headrace.core.records import Commit, TopicPartition
from headrace.errors import BrokerUnavailableError, TransactionAbortedError
from headrace.ports import GroupToken, Transaction
from headrace.testing import STORM, Fleet, Hazards, SimulatedBroker, Verdict, explore, judge, run

RECORDS, PARTITIONS, KEYS = 40, 2, 5


class CopyWorker:
    """Copies `in` to `out`, one batch a transaction; dies of every doubt and starts anew."""

    def __init__(self, source, view, sink, _model, slot):
        self.source, self.view, self.sink, self.slot = source, view, sink, slot
        self.epoch, self.token = 0, None
        self.is_stopping = False
        self.unresolved: dict[TopicPartition, int] = {}
        self.is_idle = asyncio.Event()
        self.is_idle.set()

    def drain(self):
        self.is_stopping = True

    async def run(self):
        await self.until_answered(self.sink.open)
        await self.until_answered(lambda: self.source.start(self))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.copy(), name=f"{self.slot}: copy")
            tasks.create_task(self.resolve(), name=f"{self.slot}: resolve")
        await self.source.close()

    async def copy(self):
        while not self.is_stopping:
            try:
                fetched = await asyncio.wait_for(self.source.fetch(), 1.0)
            except TimeoutError:
                continue
            self.is_idle.clear()
            await self.copied(fetched)
            self.is_idle.set()

    async def copied(self, fetched):
        while fetched.records and fetched.epoch == self.epoch:
            try:
                await self.commit(fetched.records)
            except TransactionAbortedError:
                await asyncio.sleep(0.05)
            else:
                return

    async def commit(self, records):
        outgoing = [
            ("out", r.value, r.key, r.partition.partition, 0, self.provenance(r)) for r in records
        ]
        latest = {r.partition: r.offset + 1 for r in records}
        commits = [Commit(p, offset, "") for p, offset in latest.items()]
        await self.sink.commit(Transaction(outgoing, commits, self.token))

    @staticmethod
    def provenance(record):
        topic, partition = record.partition
        return [("headrace-source", f"{topic}/{partition}/{record.offset}".encode())]

    async def resolve(self):
        while not self.is_stopping:
            await asyncio.sleep(0.3)
            epoch, partitions = self.epoch, list(self.unresolved)
            for partition, offset in (await self.begin_at(partitions)).items():
                if offset is not None and epoch == self.epoch:
                    del self.unresolved[partition]
                    self.source.start_at(epoch, partition, offset)

    async def assigned(self, assignment):
        self.epoch, self.token = assignment.epoch, assignment.token
        answers = await self.begin_at(assignment.added)
        self.unresolved = {p: 0 for p, offset in answers.items() if offset is None}
        return answers

    async def begin_at(self, partitions):
        try:
            committed = await self.view.committed(partitions)
        except BrokerUnavailableError:
            return dict.fromkeys(partitions)
        return {p: None if c is None else c.offset or 0 for p, c in committed.items()}

    async def revoked(self, epoch, _partitions):
        self.epoch, self.unresolved = epoch, {}
        await self.is_idle.wait()

    @staticmethod
    async def until_answered(call):
        while True:
            try:
                return await call()
            except BrokerUnavailableError:
                await asyncio.sleep(0.1)


class CommitsFirst(CopyWorker):
    """Bug: offsets in one transaction, records in the next."""

    async def commit(self, records):
        latest = {r.partition: r.offset + 1 for r in records}
        commits = [Commit(p, offset, "") for p, offset in latest.items()]
        await self.sink.commit(Transaction([], commits, self.token))
        outgoing = [("out", r.value, r.key, r.partition.partition, 0, self.provenance(r))
                    for r in records]  # fmt: skip
        await self.sink.commit(Transaction(outgoing, [], self.token))


class ProducesFirst(CommitsFirst):
    """Bug: records in one transaction, offsets in the next."""

    async def commit(self, records):
        outgoing = [("out", r.value, r.key, r.partition.partition, 0, self.provenance(r))
                    for r in records]  # fmt: skip
        await self.sink.commit(Transaction(outgoing, [], self.token))
        latest = {r.partition: r.offset + 1 for r in records}
        commits = [Commit(p, offset, "") for p, offset in latest.items()]
        await self.sink.commit(Transaction([], commits, self.token))


class SkipsFencing(CopyWorker):
    """Bug: commits as somebody who is no member, so that nobody checks the generation."""

    def __init__(self, source, view, sink, model, slot):
        super().__init__(source, view, sink, model, slot)
        sink.is_careless = True

    async def assigned(self, assignment):
        answers = await super().assigned(assignment)
        self.token = GroupToken(None, -1, "")
        return answers


class IgnoresEpochs(CopyWorker):
    """Bug: takes over the newest membership for records of an older one."""

    async def copied(self, fetched):
        while fetched.records:
            try:
                await self.commit(fetched.records)
            except TransactionAbortedError:
                await asyncio.sleep(0.05)
            else:
                return


class ReadsUnstable(CopyWorker):
    """Bug: begins at the old offset while a transaction still holds the new one."""

    async def begin_at(self, partitions):
        try:
            committed = await self.view.committed(partitions, stable=False)
        except BrokerUnavailableError:
            return dict.fromkeys(partitions)
        return {p: c.offset or 0 for p, c in committed.items()}


async def copied_under(seed: int, make_worker=CopyWorker) -> tuple[Verdict, int]:
    hazards = Hazards(seed, STORM, budget=3)
    broker = SimulatedBroker({"in": PARTITIONS, "out": PARTITIONS}, hazards)
    write(broker, range(RECORDS // 2))
    async with Fleet(broker, "copy", ["in"], make_worker) as fleet:
        fleet.start("a", "b")
        await asyncio.sleep(hazards.between(0.0, 3.0))
        fleet.start("c")
        write(broker, range(RECORDS // 2, RECORDS))
        if seed % 2:
            await asyncio.sleep(hazards.between(0.0, 0.2))
            fleet.crash("b")
        if seed % 5 == 0:
            await asyncio.sleep(hazards.between(0.0, 2.0))
            await fleet.stop("a")
        await fleet.until(lambda: is_everything_committed(broker))
        verdict = judge(
            broker.records("in"),
            broker.records("out"),
            finished=lambda p, offset: (broker.committed("copy", p).offset or 0) > offset,
        )
    return verdict, len(hazards.injected)


def write(broker, numbers):
    for number in numbers:
        key = b"key %d" % (number % KEYS)
        broker.write("in", b"%d" % number, key=key, partition=number % KEYS % PARTITIONS)


def is_everything_committed(broker):
    sources = [TopicPartition("in", number) for number in range(PARTITIONS)]
    return not broker.has_open_transactions and all(
        broker.committed("copy", p).offset == broker.log(p).end for p in sources
    )


def test_every_record_is_copied_once_whatever_goes_wrong():
    injected = 0

    async def scenario(seed):
        nonlocal injected
        verdict, count = await copied_under(seed)
        injected += count
        assert not verdict, str(verdict)

    explore(scenario, range(500))

    assert injected > 500


@pytest.mark.parametrize(
    ("worker", "symptom"),
    [
        (CommitsFirst, "lost"),
        (ProducesFirst, "duplicated"),
        (SkipsFencing, "duplicated"),
        (IgnoresEpochs, "duplicated"),
        (ReadsUnstable, "duplicated"),
    ],
)
def test_a_planted_bug_is_found(worker, symptom):
    found = any(getattr(run(copied_under(seed, worker))[0], symptom) for seed in range(500))

    assert found
