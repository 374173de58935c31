"""Two worlds with the same behaviour: a simulated broker in virtual time, and a real one."""

import asyncio
import dataclasses
import inspect
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol, Self

import pytest
from confluent_kafka import Consumer, IsolationLevel, KafkaError, Message, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from headrace.core.models import Model
from headrace.core.records import Commit, Outgoing, Record, TopicPartition
from headrace.core.steps import ModelStep
from headrace.core.topology import Source, Stage, Topology
from headrace.errors import BrokerUnavailableError
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.consumer import KafkaSource
from headrace.kafka.producer import KafkaSink
from headrace.kafka.properties import consumer_properties, producer_properties
from headrace.local.kafka import EmbeddedKafka
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

    def run(self, scenario: Coroutine[Any, Any, None]) -> None: ...

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

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
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


class RealWorld:
    """An embedded Kafka, reached by the adapters under test; what they write is read without."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._topology = Topology("contract", "", (), bootstrap_servers=address)
        self._admin = AdminClient({"bootstrap.servers": address, "retry.backoff.ms": 10})
        self._numbers = itertools.count(1)
        self._left_open: list[Producer] = []
        self._views: list[KafkaGroup] = []

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        asyncio.run(self._run(scenario))

    async def _run(self, scenario: Coroutine[Any, Any, None]) -> None:
        try:
            await scenario
        finally:
            for view in self._views:
                await view.close()
            self._views.clear()
            self._left_open.clear()

    async def topic(self, partitions: int = 1) -> str:
        name = f"topic-{os.getpid()}-{next(self._numbers)}"
        await asyncio.to_thread(self._create, NewTopic(name, partitions, 1))
        return name

    async def write(self, topic: str, *values: str, partition: int = 0) -> None:
        await asyncio.to_thread(self._write, topic, values, partition)

    async def read(self, topic: str) -> list[Record]:
        return await asyncio.to_thread(self._read, topic)

    async def delete_records(self, partition: TopicPartition, before: int) -> None:
        wanted = ClientPartition(*partition, before)
        (deleted,) = self._admin.delete_records([wanted]).values()
        await asyncio.to_thread(deleted.result, WITHIN_S)

    async def leave_open(self, slot: str, group: str, transaction: Transaction) -> None:
        await asyncio.to_thread(self._leave_open, slot, group, transaction)

    def source(self, slot: str, group: str, topics: Sequence[str]) -> RecordSource:
        stage = self._stage(group, dict.fromkeys(topics, "earliest"))
        return KafkaSource(consumer_properties(self._topology_of(group), stage, slot, ""), topics)

    def view(self, group: str, starts: Mapping[str, Any] | None = None) -> GroupView:
        view = KafkaGroup(self._topology_of(group), self._stage(group, starts or {}))
        self._views.append(view)
        return view

    def sink(self, slot: str, group: str) -> TransactionSink:
        name = self._stage(group, {}).transactional_id(slot)
        return KafkaSink(producer_properties(self._topology_of(group), name, name))

    def _topology_of(self, group: str) -> Topology:
        return dataclasses.replace(self._topology, pipeline=group)

    @staticmethod
    def _stage(group: str, starts: Mapping[str, Any]) -> Stage:
        model = Model("none", (), "none")
        sources = tuple(Source(topic, start) for topic, start in starts.items())
        return Stage(
            group,
            "",
            "stage",
            (ModelStep(name="stage", model=model, inputs=(), outputs=()),),
            sources,
        )

    def _create(self, topic: NewTopic) -> None:
        (created,) = self._admin.create_topics([topic]).values()
        created.result(WITHIN_S)

    def _write(self, topic: str, values: Sequence[str], partition: int) -> None:
        producer = Producer({"bootstrap.servers": self._address, "linger.ms": 1})
        for value in values:
            producer.produce(topic, value.encode(), partition=partition)
        assert producer.flush(WITHIN_S) == 0

    def _leave_open(self, slot: str, group: str, transaction: Transaction) -> None:
        name = self._stage(group, {}).transactional_id(slot)
        producer = Producer({"bootstrap.servers": self._address, "transactional.id": name})
        producer.init_transactions(WITHIN_S)
        producer.begin_transaction()
        for topic, value, key, partition, *_ in transaction.outgoing:
            producer.produce(topic, value, key, partition)
        assert producer.flush(WITHIN_S) == 0
        if transaction.commits:
            offsets = [
                ClientPartition(*each.partition, each.offset, metadata=each.metadata)
                for each in transaction.commits
            ]
            producer.send_offsets_to_transaction(offsets, transaction.token.value, WITHIN_S)
        self._left_open.append(producer)

    def _read(self, topic: str) -> list[Record]:
        partitions = self._settled(topic)
        consumer = Consumer(
            {
                "bootstrap.servers": self._address,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        consumer.assign([ClientPartition(topic, number, 0) for number in partitions])
        records: dict[int, list[Record]] = {number: [] for number in partitions}
        ended = 0
        while ended < len(partitions):
            message = consumer.poll(WITHIN_S)
            assert message is not None
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF
                ended += 1
                continue
            number = message.partition()
            records[number].append(_record(message))
        consumer.close()
        return [record for number in partitions for record in records[number]]

    def _settled(self, topic: str) -> Sequence[int]:
        """Return the partitions of a topic once all markers of its transactions are written."""
        numbers = sorted(self._admin.list_topics(topic, WITHIN_S).topics[topic].partitions)
        wanted = {ClientPartition(topic, number): OffsetSpec.latest() for number in numbers}
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            ends = [
                [each.result(WITHIN_S).offset for each in answers.values()]
                for answers in (
                    self._admin.list_offsets(wanted, isolation_level=level)
                    for level in IsolationLevel
                )
            ]
            if ends[0] == ends[1]:
                return numbers
        raise TimeoutError(f"a transaction over {topic} stays open")


def _record(message: Message) -> Record:
    partition = TopicPartition(str(message.topic()), int(message.partition() or 0))
    return Record(
        partition,
        int(message.offset() or 0),
        message.key(),
        message.value(),
        message.timestamp()[1],
        message.headers(),
    )


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
            while answers[partition] == -1:
                # Like a worker: a broker that is slow to answer is asked again.
                with suppress(BrokerUnavailableError):
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
        return topic, value.encode(), key, partition, 0, None

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


@pytest.fixture(scope="session")
def real_world() -> Iterator[RealWorld]:
    with EmbeddedKafka(port=0) as kafka:
        yield RealWorld(kafka.bootstrap_servers)


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
