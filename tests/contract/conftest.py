"""Two worlds with the same behaviour: a simulated broker in virtual time, and a real one."""

import asyncio
import inspect
import itertools
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol, Self

import pytest

from headrace.core.records import Commit, Outgoing, Record, TopicPartition
from headrace.ports import (
    Assignment,
    GroupToken,
    GroupView,
    RecordSource,
    Transaction,
    TransactionSink,
)
from headrace.testing import (
    Hazards,
    SimulatedBroker,
    SimulatedGroup,
    SimulatedProcess,
    SimulatedSink,
    SimulatedSource,
    run,
)

WITHIN_S = 30.0


class World(Protocol):
    """A cluster to make topics and clients in; group names and slots are the test's own."""

    def run(self, scenario: Awaitable[None]) -> None: ...

    async def topic(self, partitions: int = 1) -> str: ...

    async def write(self, topic: str, *values: str, partition: int = 0) -> None:
        """Append records outside any transaction."""

    async def read(self, topic: str) -> list[Record]:
        """Read all committed records, partition by partition, by other means than a source."""

    async def delete_records(self, partition: TopicPartition, before: int) -> None: ...

    async def leave_open(self, slot: str, group: str, transaction: Transaction) -> None:
        """Send everything of a transaction under a slot's transactional id, but not its end."""

    def source(self, slot: str, group: str, topics: Sequence[str]) -> RecordSource: ...

    def view(self, group: str, starts: Mapping[str, Any] | None = None) -> GroupView: ...

    def sink(self, slot: str, group: str) -> TransactionSink: ...


class SimulatedWorld:
    """The simulated broker, without faults."""

    def __init__(self, hazards: Hazards) -> None:
        self._hazards = hazards
        self._broker: SimulatedBroker
        self._numbers = itertools.count(1)

    def run(self, scenario: Awaitable[None]) -> None:
        self._broker = SimulatedBroker({}, self._hazards)
        run(scenario)

    async def topic(self, partitions: int = 1) -> str:
        name = f"topic-{next(self._numbers)}"
        self._broker.create_topic(name, partitions)
        return name

    async def write(self, topic: str, *values: str, partition: int = 0) -> None:
        for value in values:
            self._broker.write(topic, value.encode(), partition=partition)

    async def read(self, topic: str) -> list[Record]:
        await asyncio.sleep(2)  # The markers of what was committed are written by then.
        return self._broker.records(topic)

    async def delete_records(self, partition: TopicPartition, before: int) -> None:
        self._broker.delete_records(partition, before)

    async def leave_open(self, slot: str, group: str, transaction: Transaction) -> None:
        transactions, name = self._broker.transactions, f"{group}.{slot}"
        epoch = transactions.init(name, 60.0)
        transactions.append(name, epoch, self._broker.placed(transaction.outgoing))
        if transaction.commits:
            transactions.add_offsets(
                name, epoch, self._broker.group(group), transaction.commits, transaction.token
            )

    def source(self, slot: str, group: str, topics: Sequence[str]) -> RecordSource:
        return SimulatedSource(self._broker, SimulatedProcess(slot), group, topics)

    def view(self, group: str, starts: Mapping[str, Any] | None = None) -> GroupView:
        return SimulatedGroup(self._broker, SimulatedProcess("view"), group, starts)

    def sink(self, slot: str, group: str) -> TransactionSink:
        return SimulatedSink(self._broker, SimulatedProcess(slot), group)


class Member:
    """A member of a group that reads all the time and remembers what it was told."""

    def __init__(self, source: RecordSource, view: GroupView) -> None:
        self.source = source
        self.view = view
        self.assignment: Assignment | None = None
        self.owned: set[TopicPartition] = set()
        self.epochs: list[int] = []
        self.revocations: list[Sequence[TopicPartition]] = []
        self.records: list[Record] = []
        self.positions: dict[TopicPartition, int] = {}
        self.resume_at: dict[TopicPartition, int | None] = {}
        self.on_revoked: Callable[[], Awaitable[None]] | None = None
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    @property
    def token(self) -> GroupToken:
        assert self.assignment is not None
        return self.assignment.token

    @property
    def values(self) -> list[str]:
        return [(record.value or b"").decode() for record in self.records]

    async def assigned(self, assignment: Assignment) -> Mapping[TopicPartition, int | None]:
        self.epochs.append(assignment.epoch)
        answers = {}
        for partition in assignment.added:
            answers[partition] = self.resume_at.get(partition, -1)
            if answers[partition] == -1:
                answers[partition] = await self._resume_point(partition)
        self.assignment = assignment
        self.owned.update(assignment.added)
        await self._tell()
        return answers

    async def revoked(self, epoch: int, partitions: Sequence[TopicPartition]) -> None:
        self.epochs.append(epoch)
        if self.on_revoked is not None:
            await self.on_revoked()
        self.revocations.append(partitions)
        self.owned.difference_update(partitions)
        await self._tell()

    async def owns(self, *partitions: TopicPartition) -> None:
        """Wait until the member owns exactly these partitions."""
        await self.until(lambda: self.owned == set(partitions))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something that depends on what was fetched or told holds."""
        async with asyncio.timeout(WITHIN_S), self._news:
            await self._news.wait_for(holds)

    async def fails(self) -> BaseException:
        """Wait until reading fails, and return why."""
        assert self._reading is not None
        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait({self._reading})
        error = self._reading.exception()
        assert error is not None
        return error

    async def leave(self) -> None:
        assert self._reading is not None
        await self.source.close()
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def __aenter__(self) -> Self:
        await self.source.start(self)
        self._reading = asyncio.create_task(self._read(), name="reading")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reading is not None
        with suppress(Exception):
            await self.leave()

    async def _read(self) -> None:
        while True:
            fetched = await self.source.fetch()
            self.records += fetched.records
            self.positions.update(fetched.positions)
            if fetched.records or fetched.positions:
                await self._tell()

    async def _resume_point(self, partition: TopicPartition) -> int:
        while True:
            committed = (await self.view.committed([partition]))[partition]
            if committed is not None:
                break
            await asyncio.sleep(0.01)
        if committed.offset is not None:
            return committed.offset
        return (await self.view.start_offsets([partition]))[partition]

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


class Setting:
    """What a test acts in: a world, and one consumer group of its own."""

    def __init__(self, world: World, group: str) -> None:
        self.world = world
        self.group = group
        self.clients = AsyncExitStack()
        self.topic = world.topic
        self.write = world.write
        self.read = world.read
        self.delete_records = world.delete_records

    def view(self, starts: Mapping[str, Any] | None = None) -> GroupView:
        return self.world.view(self.group, starts)

    async def member(self, slot: str, *topics: str, **answers: Any) -> Member:
        """Start a member that reads until the test ends."""
        member = Member(self.world.source(slot, self.group, topics), self.view())
        member.resume_at = answers.get("resume_at", {})
        return await self.clients.enter_async_context(member)

    @staticmethod
    async def one_partition_each(*members: Member) -> None:
        for member in members:
            await member.until(lambda owned=member.owned: len(owned) == 1)

    async def sink(self, slot: str) -> TransactionSink:
        """Open the sink of a slot; it is closed when the test ends."""
        sink = self.world.sink(slot, self.group)
        self.clients.push_async_callback(sink.close)
        await sink.open()
        return sink

    @staticmethod
    def result(topic: str, value: str, partition: int = 0, key: bytes | None = None) -> Outgoing:
        return topic, value.encode(), key, partition, None, 0, None

    @staticmethod
    def transaction(
        token: GroupToken, results: Sequence[Outgoing] = (), **commit: Any
    ) -> Transaction:
        """Make a transaction of results and a commit: `commit={partition: offset}`."""
        commits = commit.get("commit", {})
        metadata = commit.get("metadata", "m")
        return Transaction(results, [Commit(p, o, metadata) for p, o in commits.items()], token)

    async def values(self, topic: str) -> list[str]:
        """Return the committed values of a topic, partition by partition."""
        return [(record.value or b"").decode() for record in await self.read(topic)]

    async def leave_open(self, slot: str, transaction: Transaction) -> None:
        await self.world.leave_open(slot, self.group, transaction)

    async def stable(self, partition: TopicPartition) -> tuple[int | None, str]:
        """Return what is committed once no transaction holds it."""
        view = self.view()
        async with asyncio.timeout(WITHIN_S):
            while True:
                found = (await view.committed([partition]))[partition]
                if found is not None:
                    return found.offset, found.metadata
                await asyncio.sleep(0.01)


@pytest.fixture(
    params=["simulated", "simulated slowly", pytest.param("real", marks=pytest.mark.kafka)]
)
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "real":
        return request.getfixturevalue("real_world")
    return SimulatedWorld(Hazards(7) if request.param == "simulated slowly" else Hazards.none())


@pytest.fixture
def setting(world: World, request: pytest.FixtureRequest) -> Iterator[Setting]:
    return Setting(world, f"group-{os.getpid()}-{request.node.name.partition('[')[0][-60:]}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an asynchronous test in its world's time."""
    if not (inspect.iscoroutinefunction(pyfuncitem.obj) and "world" in pyfuncitem.fixturenames):
        return None
    setting = pyfuncitem.funcargs["setting"]
    names = inspect.signature(pyfuncitem.obj).parameters

    async def scenario() -> None:
        async with setting.clients:
            await pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})

    setting.world.run(scenario())
    return True
