"""The Kafka adapters on a real broker: what the runtime may rely on, and what can go wrong."""

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Self

import pytest
from confluent_kafka import IsolationLevel
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import OffsetSpec

from headrace.core.models import Model
from headrace.core.records import Commit, Committed, Outgoing, Record, TopicPartition
from headrace.core.steps import ModelStep
from headrace.core.topology import Source, Stage, Topology
from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    ConfigError,
    FencedError,
    InvariantError,
    OffsetOutOfRangeError,
    TransactionAbortedError,
    TransactionIndefiniteError,
)
from headrace.kafka import polling, producer, rebalances
from headrace.kafka.admin import KafkaGroup
from headrace.kafka.consumer import KafkaSource
from headrace.kafka.listing import leader_client, list_offsets
from headrace.kafka.producer import KafkaSink
from headrace.kafka.properties import (
    SESSION_TIMEOUT_MS,
    admin_properties,
    client_id,
    consumer_properties,
    producer_properties,
)
from headrace.kafka.topics import TopicAdmin, TopicDefinition
from headrace.ports import Assignment, Bounds, GroupToken, Transaction
from tests.network import HEARTBEAT, EndOfTransaction

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

NOW_MS = int(time.time() * 1000)
NOBODY = GroupToken(None, -1, "")
PROTOCOLS = ["classic", "consumer"]


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test in an event loop of its own, for 50 s at most."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(50):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


class World:
    """One stage that reads one topic, and everything that takes part in its group."""

    def __init__(self, bootstrap: str, name: str, topic: str, protocol: str) -> None:
        model = Model("m", ("grpc://localhost:1",), "m")
        step = ModelStep(name="s", model=model, inputs=(), outputs=())
        self.topic = topic
        self.stage = Stage(name, "", "s", (step,), (Source(topic),))
        self.topology = Topology(
            name, "", (self.stage,), bootstrap_servers=bootstrap, group_protocol=protocol
        )
        self.group = KafkaGroup(self.topology, self.stage)
        self.changed = asyncio.Event()

    def partition(self, number: int) -> TopicPartition:
        return TopicPartition(self.topic, number)

    def source(self, slot: str = "0", **properties: object) -> KafkaSource:
        ours = consumer_properties(self.topology, self.stage, slot, "localhost:1")
        return KafkaSource(ours | properties, [self.topic])

    def sink(self, slot: str = "0", fault_point=lambda _: None, **properties: object) -> KafkaSink:
        name = client_id(self.topology, self.stage, slot, "localhost:1")
        ours = producer_properties(self.topology, self.stage.transactional_id(slot), name)
        return KafkaSink(ours | properties, fault_point)

    async def stable(self, *partitions: TopicPartition) -> dict[TopicPartition, Committed]:
        """Return what is committed once no transaction holds any of it."""
        while True:
            found = dict(await self.group.committed(partitions))
            if None not in found.values():
                return found

    async def write(self, numbers: range, partitions: int = 1) -> None:
        """Write numbers, round robin over the partitions, in one transaction."""
        sink = self.sink("writer")
        await sink.open()
        await sink.commit(
            Transaction([self.outgoing(n, n % partitions) for n in numbers], (), NOBODY)
        )
        await sink.close()

    def outgoing(self, number: int, partition: int) -> Outgoing:
        headers = [("h", b"v")]
        return self.topic, str(number).encode(), b"key", partition, NOW_MS + number, headers


class Member:
    """A listener that begins where the group's commits say, and commits in every revocation."""

    def __init__(self, world: World, slot: str, **properties: object) -> None:
        self.world = world
        self.source = world.source(slot, **properties)
        self.sink = world.sink(slot)
        self.assignments: list[Assignment] = []
        self.revocations: list[list[TopicPartition]] = []
        self.owned: set[TopicPartition] = set()
        self.next: dict[TopicPartition, int] = {}
        self.records: list[Record] = []
        self.changed = world.changed
        self.answer = self.resume

    async def __aenter__(self) -> Self:
        await self.sink.open()
        await self.source.start(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()
        await self.sink.close()

    async def assigned(self, assignment: Assignment):
        self.assignments.append(assignment)
        self.owned.update(assignment.added)
        self.changed.set()
        return await self.answer(assignment)

    async def revoked(self, epoch: int, partitions) -> None:
        del epoch
        await self.commit()
        self.owned.difference_update(partitions)
        for each in partitions:
            self.next.pop(each, None)
        self.revocations.append(list(partitions))
        self.changed.set()

    async def resume(self, assignment: Assignment):
        found = await self.world.stable(*assignment.added)
        return {each: found[each].offset or 0 for each in assignment.added}

    async def commit(self) -> None:
        commits = [Commit(each, offset, "m") for each, offset in self.next.items()]
        if commits:
            await self.sink.commit(Transaction((), commits, self.assignments[-1].token))

    async def read(self, count: int) -> list[Record]:
        """Fetch until this member has read so many records in all."""
        while len(self.records) < count:
            await self.fetch()
        return self.records

    async def fetch(self) -> None:
        fetched = await self.source.fetch()
        for each in fetched.records:
            self.records.append(each)
            self.next[each.partition] = each.offset + 1
        self.next.update(fetched.positions)
        self.changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self.changed.clear()
            await self.changed.wait()

    async def owns(self, count: int) -> None:
        await self.until(lambda: len(self.owned) == count)


@pytest.fixture(params=PROTOCOLS)
def protocol(request) -> str:
    return request.param


@pytest.fixture
def world_of(bootstrap, topic, unique) -> Iterator[Callable[..., World]]:
    def make(partitions: int = 1, protocol: str = "classic", at: str = bootstrap) -> World:
        return World(at, unique("pipeline"), topic(partitions), protocol)

    return make


def values(records: list[Record]) -> list[int]:
    return [int(each.value) for each in records]


async def reading(*members: Member) -> None:
    """Keep fetching for some members until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        for member in members:
            tasks.create_task(_read_on(member))


async def _read_on(member: Member) -> None:
    while True:
        await member.fetch()


# Source


@in_loop
async def test_records_arrive_as_they_were_written(world_of, protocol):
    world = world_of(protocol=protocol)
    await world.write(range(700))

    async with Member(world, "0") as member:
        records = await member.read(700)

    assert values(records) == list(range(700))
    assert [each.offset for each in records] == list(range(700))
    assert {each.key for each in records} == {b"key"}
    assert records[5].timestamp == NOW_MS + 5
    assert records[5].headers == [("h", b"v")]
    assert len({id(each.partition) for each in records}) == 1


@in_loop
async def test_two_members_share_the_partitions_and_lose_and_double_nothing(world_of, protocol):
    world = world_of(partitions=4, protocol=protocol)
    await world.write(range(400), partitions=4)
    async with Member(world, "a") as first:
        await first.read(1)
        async with Member(world, "b") as second:
            reader = asyncio.create_task(reading(first, second))
            await first.owns(2)
            await second.owns(2)
            await world.write(range(400, 800), partitions=4)

            await first.until(lambda: len(first.records) + len(second.records) == 800)
            reader.cancel()

    assert sorted(values(first.records) + values(second.records)) == list(range(800))
    assert len(second.records) >= 200


@in_loop
async def test_a_commit_inside_a_revocation_is_accepted_and_leaving_is_quick(world_of, protocol):
    world = world_of(partitions=2, protocol=protocol)
    await world.write(range(10), partitions=2)
    async with Member(world, "a") as member:
        await member.read(10)
        began = time.monotonic()
        await member.source.close()
        seconds = time.monotonic() - began
        committed = await world.stable(world.partition(0), world.partition(1))
        slots = await world.group.slots()

    assert member.revocations[0] == member.assignments[0].added
    assert {each.offset for each in committed.values()} == {5}
    assert slots == frozenset()
    assert seconds < SESSION_TIMEOUT_MS / 1000


@in_loop
async def test_epochs_count_assignments_and_revocations(world_of, protocol):
    world = world_of(protocol=protocol)
    epochs = []

    async with Member(world, "a") as member:
        await member.owns(1)
        epochs.append(member.assignments[0].epoch)
        revoked = member.revoked

        async def listen(epoch, partitions):
            epochs.append(epoch)
            await revoked(epoch, partitions)

        member.revoked = listen

    assert epochs == [1, 2]


@in_loop
async def test_the_token_of_an_assignment_is_a_members(world_of, protocol):
    world = world_of(protocol=protocol)

    async with Member(world, "a") as member:
        await member.owns(1)

    token = member.assignments[0].token
    assert token.is_member
    assert token.generation > 0
    assert token.member.encode() in token.value


@in_loop
async def test_a_worker_that_fetches_nothing_stays_a_member(world_of, protocol):
    world = world_of(protocol=protocol)
    for start in range(0, 30_000, 10_000):
        await world.write(range(start, start + 10_000))
    async with Member(world, "a", **{"max.poll.interval.ms": 6_000}) as member:
        await member.owns(1)

        await asyncio.sleep(9)

        assert member.revocations == []
        assert await world.group.slots() == {"a"}
        assert values(await member.read(30_000)) == list(range(30_000))
        assert member.revocations == []


@in_loop
async def test_a_rebalance_goes_through_while_nothing_is_fetched(world_of):
    world = world_of(partitions=2)
    await world.write(range(10_000), partitions=2)
    async with Member(world, "a") as idle:
        await idle.owns(2)
        await asyncio.sleep(1)
        began = time.monotonic()
        async with Member(world, "b") as other:
            await other.owns(1)
            seconds = time.monotonic() - began

            assert len(await other.read(5000)) >= 5000

    assert seconds < SESSION_TIMEOUT_MS / 1000


@in_loop
async def test_an_undecided_partition_is_silent_until_it_is_started(world_of, protocol):
    world = world_of(partitions=2, protocol=protocol)
    await world.write(range(20), partitions=2)
    undecided, decided = world.partition(0), world.partition(1)
    async with Member(world, "a") as member:
        member.answer = lambda _: _soon({undecided: None, decided: 0})
        await member.read(10)
        await world.write(range(20, 40), partitions=2)
        await member.read(20)
        before = {each.partition for each in member.records}
        epoch = member.assignments[0].epoch
        member.source.start_at(epoch - 1, undecided, 0)
        member.source.start_at(epoch, undecided, 4)
        member.source.start_at(epoch, undecided, 0)

        await member.read(36)

    assert before == {decided}
    started = [each.offset for each in member.records if each.partition == undecided]
    # A transaction marker stands at 10.
    assert started == [*range(4, 10), *range(11, 21)]


@in_loop
async def test_an_undecided_partition_whose_log_no_longer_begins_at_0_can_be_started(
    world_of, admin, protocol
):
    world = world_of(protocol=protocol)
    await world.write(range(20))
    partition = world.partition(0)
    (deleted,) = admin.delete_records([ClientPartition(*partition, 10)]).values()
    deleted.result(10)
    async with Member(world, "a") as member:
        member.answer = lambda _: _soon({partition: None})
        await member.owns(1)
        member.source.start_at(member.assignments[0].epoch, partition, 12)

        records = await member.read(8)

    assert [each.offset for each in records] == list(range(12, 20))


@in_loop
async def test_a_late_answer_starts_the_partitions_after_all(world_of, monkeypatch, protocol):
    monkeypatch.setattr(rebalances, "ASSIGNED_WITHIN_S", 0.1)
    world = world_of(protocol=protocol)
    await world.write(range(10))
    answered = asyncio.Event()
    async with Member(world, "a") as member:

        async def slowly(assignment):
            await answered.wait()
            return await member.resume(assignment)

        member.answer = slowly
        await member.owns(1)
        await asyncio.sleep(0.5)
        answered.set()

        assert values(await member.read(10)) == list(range(10))


@in_loop
async def test_a_listener_that_hangs_holds_up_a_revocation_only_for_a_while(world_of, monkeypatch):
    monkeypatch.setattr(rebalances, "REVOKED_WITHIN_S", 0.3)
    world = world_of(partitions=2)
    async with Member(world, "a") as stuck:
        await stuck.owns(2)
        stuck.revoked = lambda *_: asyncio.sleep(2)
        began = time.monotonic()
        async with Member(world, "b") as other:
            await other.owns(1)

            assert time.monotonic() - began < 1.8


@in_loop
async def test_a_listener_that_raises_ends_the_source_and_not_the_group(world_of):
    world = world_of()

    async def fail(_):
        raise ValueError("not my day")

    async with Member(world, "a") as member:
        member.answer = fail
        await member.owns(1)

        with pytest.raises(InvariantError, match="not my day"):
            await member.source.fetch()

        assert await world.group.slots() == {"a"}


@in_loop
async def test_a_paused_partition_is_silent_and_goes_on_where_it_stopped(world_of, protocol):
    world = world_of(partitions=2, protocol=protocol)
    await world.write(range(20), partitions=2)
    paused = world.partition(0)
    async with Member(world, "a") as member:
        await member.read(20)
        member.source.pause([paused])
        await asyncio.sleep(0.2)
        await world.write(range(20, 40), partitions=2)
        await member.read(30)
        while member.next[world.partition(1)] < 22:
            await member.fetch()
        silent = len(member.records)
        member.source.resume([paused])

        records = await member.read(40)

    assert silent == 30
    assert sorted(values(records)) == list(range(40))


@in_loop
async def test_a_resumed_partition_is_read_at_once(world_of, protocol):
    """The client alone would sleep up to a second: the quickest of three times tells."""
    world = world_of(protocol=protocol)
    await world.write(range(3))
    took = []
    async with Member(world, "a") as member:
        await member.read(3)
        for end in (6, 9, 12):
            member.source.pause([world.partition(0)])
            await asyncio.sleep(0.2)
            await world.write(range(end - 3, end))
            member.source.resume([world.partition(0)])
            began = time.monotonic()
            await member.read(end)
            took.append(time.monotonic() - began)

    assert min(took) < 0.5


@in_loop
async def test_a_pause_ends_with_a_revocation(world_of):
    world = world_of(partitions=2)
    async with Member(world, "a") as member:
        await member.owns(2)
        member.source.pause([world.partition(0), world.partition(1)])
        await asyncio.sleep(0.2)
        async with Member(world, "b") as other:
            await other.owns(1)
        await member.until(lambda: len(member.assignments) == 3 and len(member.owned) == 2)
        await world.write(range(10), partitions=2)

        assert sorted(values(await member.read(10))) == list(range(10))


@in_loop
async def test_positions_step_over_markers_behind_the_last_record(world_of, protocol):
    world = world_of(protocol=protocol)
    await world.write(range(3))
    async with Member(world, "a") as member:
        await member.read(3)

        while member.next[world.partition(0)] != 4:
            await member.fetch()

    (bounds,) = (await world.group.bounds([world.partition(0)])).values()
    assert bounds == Bounds(0, 4)


@in_loop
async def test_positions_step_over_markers_where_nothing_else_is(world_of):
    world = world_of()
    await world.write(range(3))
    async with Member(world, "a") as member:
        member.answer = lambda assignment: _soon(dict.fromkeys(assignment.added, 3))
        await member.owns(1)

        await member.fetch()
        seen = dict(member.next)

    assert seen == {world.partition(0): 4}
    assert member.records == []


@in_loop
async def test_a_static_member_waits_for_the_place_of_one_that_died(world_of, proxy):
    direct = world_of(protocol="consumer")
    cut_off = World(proxy.address, direct.stage.pipeline, direct.topic, "consumer")
    name = {"group.instance.id": "s"}
    await direct.write(range(3))
    async with Member(cut_off, "a", **name) as dead:
        await dead.read(3)
        proxy.requests_silenced.set()
        dead.next.clear()
        async with Member(direct, "a", **name) as member:
            assert values(await member.read(3)) == [0, 1, 2]
        proxy.heal()


@in_loop
async def test_what_others_finished_and_deleted_is_no_loss_to_one_that_was_away(
    world_of, proxy, admin
):
    """Under KIP-848: it reads at its old place before it hears that it is no member any more."""
    direct = world_of(protocol="consumer")
    partition = direct.partition(0)
    cut_off = World(proxy.address, direct.stage.pipeline, direct.topic, "consumer")
    await direct.write(range(3))
    async with Member(cut_off, "a") as away, asyncio.TaskGroup() as tasks:
        await away.read(3)
        away.commit = lambda: _soon(None)
        reads = tasks.create_task(reading(away))
        proxy.withheld = HEARTBEAT
        proxy.requests_silenced.set()
        async with Member(direct, "b") as other:
            await direct.write(range(3, 6))
            await other.read(6)
            await other.commit()
            end = other.next[partition]
            for deleted in admin.delete_records([ClientPartition(*partition, end)]).values():
                await asyncio.to_thread(deleted.result, 10)
            gone = away.source._poller._gone
            proxy.heal()
            while not gone._since:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            proxy.withheld = None
            await away.until(lambda: not away.owned)
            reads.cancel()

    assert not gone._since


@in_loop
async def test_an_offset_that_is_gone_is_an_error_and_never_a_reset(world_of):
    world = world_of()
    await world.write(range(3))
    async with Member(world, "a") as member:
        member.answer = lambda assignment: _soon(dict.fromkeys(assignment.added, 1000))

        with pytest.raises(OffsetOutOfRangeError, match=f"{world.partition(0)}.* 1000"):
            await member.source.fetch()


@in_loop
async def test_a_topic_deleted_under_the_worker_is_an_error(world_of):
    world = world_of()
    topics = TopicAdmin(admin_properties(world.topology))
    async with Member(
        world,
        "a",
        **{"topic.metadata.refresh.interval.ms": 500, "topic.metadata.propagation.max.ms": 100},
    ) as member:
        await member.owns(1)
        await topics.delete([world.topic])

        with pytest.raises(BrokerError, match=world.topic):
            await member.source.fetch()


@in_loop
async def test_a_source_without_a_broker_says_so(world_of, monkeypatch):
    monkeypatch.setattr(polling, "_REACHABLE_WITHIN_S", 0.5)
    world = world_of(at="127.0.0.1:9")

    with pytest.raises(BrokerUnavailableError):
        await world.source().start(Member(world, "a"))


async def _soon(answer):
    return answer


# Sink


@in_loop
async def test_a_commit_whose_metadata_is_too_large_is_aborted_and_the_next_one_passes(world_of):
    world = world_of()
    async with Member(world, "a") as member:
        await member.owns(1)
        token, partition = member.assignments[0].token, world.partition(0)
        record = world.outgoing(1, 0)

        with pytest.raises(TransactionAbortedError, match="METADATA"):
            await member.sink.commit(
                Transaction([record], [Commit(partition, 0, "x" * 4096)], token)
            )
        await member.sink.commit(Transaction([record], [Commit(partition, 0, "x" * 4095)], token))

        committed = await world.stable(partition)
        await member.read(1)
        end = (await world.group.bounds([partition]))[partition].end
        while member.next[partition] < end:
            await member.fetch()
    assert committed[partition] == Committed(0, "x" * 4095)
    assert len(member.records) == 1


@in_loop
async def test_a_second_producer_of_the_same_slot_fences_the_first(world_of):
    world = world_of()
    first, second = world.sink("a"), world.sink("a")
    transaction = Transaction([world.outgoing(1, 0)], (), NOBODY)
    await first.open()
    await first.commit(transaction)
    await second.open()

    with pytest.raises(FencedError):
        await first.commit(transaction)
    await second.commit(transaction)

    with pytest.raises(TransactionIndefiniteError):
        await first.commit(transaction)
    await first.open()
    await first.commit(transaction)
    await first.close()
    await second.close()


@in_loop
async def test_a_token_of_an_older_generation_is_refused_and_aborted(world_of, protocol):
    world = world_of(partitions=2, protocol=protocol)
    async with Member(world, "a") as first:
        await first.owns(2)
        old = first.assignments[0].token
        async with Member(world, "b") as second:
            await second.owns(1)
            await first.owns(1)
            (kept,) = first.owned
            (moved,) = second.owned
            transaction = Transaction([world.outgoing(1, 0)], [Commit(moved, 0, "")], old)

            with pytest.raises(TransactionAbortedError):
                await first.sink.commit(transaction)

            assert await world.stable(moved, kept) == {
                moved: Committed(None),
                kept: Committed(None),
            }


@in_loop
async def test_a_commit_without_a_membership_is_a_bug_and_not_sent(world_of):
    world = world_of()
    sink = world.sink()
    await sink.open()

    with pytest.raises(InvariantError):
        await sink.commit(Transaction((), [Commit(world.partition(0), 1, "")], NOBODY))

    await sink.close()
    assert await world.group.committed([world.partition(0)]) == {
        world.partition(0): Committed(None)
    }


@in_loop
async def test_a_record_that_the_client_cannot_write_aborts_the_whole(world_of):
    world = world_of()
    sink = world.sink()
    await sink.open()
    good = world.outgoing(1, 0)

    with pytest.raises(TransactionAbortedError):
        await sink.commit(Transaction([good, (*good[:3], 77, *good[4:])], (), NOBODY))
    with pytest.raises(InvariantError):
        await sink.commit(Transaction([good, (*good[:6], (("h", b"v"),))], (), NOBODY))
    await sink.commit(Transaction([good], (), NOBODY))

    async with Member(world, "a") as member:
        await member.read(1)
        while member.next[world.partition(0)] < 2:
            await member.fetch()
    assert len(member.records) == 1
    await sink.close()


@in_loop
async def test_more_records_than_the_clients_queue_holds_fit_one_transaction(world_of):
    world = world_of()
    sink = world.sink(**{"queue.buffering.max.messages": 100})
    await sink.open()

    await sink.commit(Transaction([world.outgoing(n, 0) for n in range(1000)], (), NOBODY))

    async with Member(world, "a") as member:
        assert values(await member.read(1000)) == list(range(1000))
    await sink.close()


@in_loop
async def test_a_commit_that_gets_no_answer_is_indefinite_and_settled_by_a_new_producer(
    world_of, proxy, monkeypatch
):
    monkeypatch.setattr(producer, "_COMMIT_WITHIN_S", 1.0)
    direct = world_of()
    cut_off = World(proxy.address, direct.stage.pipeline, direct.topic, "classic")

    def silence(point: str) -> None:
        if point == "before_commit":
            # Time for the records to be acknowledged, or the commit would never be sent.
            time.sleep(0.3)
            proxy.answers_silenced.set()

    sink = cut_off.sink("a", silence)
    await sink.open()

    with pytest.raises(TransactionIndefiniteError):
        await sink.commit(Transaction([direct.outgoing(1, 0)], (), NOBODY))

    proxy.heal()
    await sink.open()
    bounds = await direct.group.bounds([direct.partition(0)])
    async with Member(direct, "b") as member:
        # The commit had arrived: only its answer was lost.
        assert values(await member.read(1)) == [1]
    assert bounds[direct.partition(0)].end == 2
    await sink.close()


@in_loop
async def test_a_late_end_of_a_transaction_does_not_end_the_next_one(world_of, proxy):
    """KAFKA-17754: the client repeats a cut commit by itself, and its first try arrives later."""
    direct = world_of()
    cut_off = World(proxy.address, direct.stage.pipeline, direct.topic, "classic")

    def crash_late(point: str) -> None:
        if point == "before_commit" and is_second.is_set():
            is_second.clear()
            while proxy.late == 0:
                time.sleep(0.05)
            raise CrashError

    is_second = threading.Event()
    sink = cut_off.sink("a", crash_late)
    await sink.open()
    proxy.order(EndOfTransaction.LATE, late_s=1.0)
    await sink.commit(Transaction([direct.outgoing(1, 0)], (), NOBODY))
    is_second.set()

    with pytest.raises(CrashError):
        await sink.commit(Transaction([direct.outgoing(2, 0)], (), NOBODY))

    await sink.open()
    async with Member(direct, "b") as member:
        await sink.commit(Transaction([direct.outgoing(3, 0)], (), NOBODY))
        assert values(await member.read(2)) == [1, 3]
    await sink.close()


@in_loop
async def test_a_sink_without_a_broker_says_so(world_of, monkeypatch):
    monkeypatch.setattr(producer, "_INIT_WITHIN_S", 0.5)
    sink = world_of(at="127.0.0.1:9").sink()

    with pytest.raises(BrokerUnavailableError):
        await sink.open()

    await sink.close()


# Group


class CrashError(Exception):
    """Ends a sink in the middle of a transaction."""


@in_loop
async def test_offsets_of_an_open_transaction_are_unstable_until_the_slot_is_fenced(world_of):
    world = world_of(partitions=2)
    held, free = world.partition(0), world.partition(1)

    def crash(point: str) -> None:
        if point == "before_commit":
            raise CrashError

    async with Member(world, "a") as member:
        await member.owns(2)
        token = member.assignments[0].token
        await member.sink.commit(
            Transaction((), [Commit(held, 0, "old"), Commit(free, 0, "old")], token)
        )
        dying = world.sink("dead", crash)
        await dying.open()
        with pytest.raises(CrashError):
            await dying.commit(Transaction((), [Commit(held, 0, "new")], token))

        stable = await world.group.committed([held, free])
        unstable = await world.group.committed([held, free], stable=False)
        await world.group.fence("dead")
        fenced = await world.stable(held, free)

        assert stable == {held: None, free: Committed(0, "old")}
        assert unstable == fenced == {held: Committed(0, "old"), free: Committed(0, "old")}
        dying._fault_point = lambda _: None
        with pytest.raises(FencedError):
            await dying.commit(Transaction((), [Commit(held, 0, "new")], token))


@in_loop
async def test_starts_follow_the_source(world_of):
    world = world_of()
    await world.write(range(10))
    partition = world.partition(0)

    def starting(start: str | int) -> KafkaGroup:
        stage = Stage("p", "", "s", world.stage.steps, (Source(world.topic, start),))
        return KafkaGroup(world.topology, stage)

    found = [
        (await starting(each).start_offsets([partition]))[partition]
        for each in ("earliest", "latest", NOW_MS + 3, NOW_MS + 10_000_000)
    ]
    with pytest.raises(ConfigError, match="start: error"):
        await starting("error").start_offsets([partition])

    # A marker stands behind the records.
    assert found == [0, 11, 3, 11]


def test_leaders_are_found_by_a_client_that_is_just_told_where_brokers_are(topic, proxy):
    place = TopicPartition(topic(), 0)
    proxy.delay_s = 0.2

    client = leader_client({"bootstrap.servers": proxy.address}, place.topic, 3.0)
    # Between the answers to its first question, what the server can do, and its second.
    time.sleep(0.6)

    level = IsolationLevel.READ_COMMITTED
    assert list_offsets(client, {place: OffsetSpec.latest()}, level, 3.0) == {place: 0}


@in_loop
async def test_the_slots_of_live_members_are_known(world_of, protocol):
    world = world_of(protocol=protocol)

    before = await world.group.slots()
    async with Member(world, "a/b") as first, Member(world, "c"):
        await first.until(lambda: len(first.assignments) > 0)
        during = frozenset()
        while len(during) < 2:
            during = await world.group.slots()
    after = await world.group.slots()

    assert (before, during, after) == (frozenset(), {"a/b", "c"}, frozenset())


# Topics


@in_loop
async def test_topics_are_created_grown_and_deleted(world_of, unique):
    topics = TopicAdmin(admin_properties(world_of().topology))
    name = unique("made")
    definition = TopicDefinition(name, 2, 1, {"max.message.bytes": "2000000"})

    created = [await topics.create([definition]), await topics.create([definition])]
    limits = await topics.max_message_bytes([name])
    before = await topics.existing([name, "missing"])
    await topics.create_partitions({name: 5})
    after = await topics.existing([name])
    deleted = [await topics.delete([name]), await topics.delete([name])]

    assert created == [{name}, frozenset()]
    assert limits == {name: 2_000_000}
    assert (before, after) == ({name: 2}, {name: 5})
    assert deleted == [{name}, frozenset()]
    assert await topics.existing([name]) == {}


@in_loop
async def test_a_topic_that_is_missing_or_cannot_be_made_is_named(world_of, unique):
    topics = TopicAdmin(admin_properties(world_of().topology))

    with pytest.raises(BrokerError, match="nowhere does not exist"):
        await topics.max_message_bytes(["nowhere"])
    with pytest.raises(BrokerError, match="REPLICATION"):
        await topics.create([TopicDefinition(unique("wide"), 1, 3)])
