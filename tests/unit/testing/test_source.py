import asyncio

import pytest

from headrace.core.records import TopicPartition
from headrace.errors import BrokerUnavailableError, InvariantError, TransactionAbortedError
from headrace.testing import SimulatedCrash
from headrace.testing.hazards import UNAVAILABLE, ZOMBIE


async def test_a_dead_member_is_missed_only_after_its_session(cluster):
    first, second = cluster.process("a"), cluster.process("b")
    dying = await cluster.member(first)
    heir = await cluster.member(second)
    first.crash()

    await asyncio.sleep(5.5)
    before = list(heir.history)
    await asyncio.sleep(1.0)

    assert before[-1] == ("assigned", [1])
    assert heir.history[-1] == ("assigned", [0, 1])
    assert dying.history[-1] == ("assigned", [0])


async def test_a_dead_member_reads_nothing_more(cluster):
    process = cluster.process("a")
    member = await cluster.member(process)
    process.crash()

    with pytest.raises(SimulatedCrash):
        await member.source.fetch()


async def test_a_static_member_that_comes_back_keeps_its_share_without_a_rebalance(cluster):
    first = cluster.process("a")
    await cluster.member(first, static=True)
    other = await cluster.member(cluster.process("b"), static=True)
    first.crash()
    await asyncio.sleep(0.5)

    restarted = await cluster.member(cluster.process("a"), static=True)
    await asyncio.sleep(20)

    assert restarted.history == [("assigned", [0])]
    assert other.history == [("assigned", [1])]


async def test_a_dynamic_member_that_comes_back_waits_for_its_former_session(cluster):
    first = cluster.process("a")
    await cluster.member(first)
    first.crash()

    restarted = await cluster.member(cluster.process("a"))
    before = list(restarted.history)
    await asyncio.sleep(6)

    assert before == []
    assert restarted.history == [("assigned", [0, 1])]


async def test_a_static_member_that_leaves_is_missed_only_after_its_session(cluster):
    leaving = await cluster.member(cluster.process("a"), static=True)
    staying = await cluster.member(cluster.process("b"), static=True)

    await leaving.source.close()
    await asyncio.sleep(5.5)
    before = staying.history[-1]
    await asyncio.sleep(1)

    assert before == ("assigned", [1])
    assert staying.history[-1] == ("assigned", [0, 1])


async def test_a_slow_revocation_is_waited_for_three_seconds(cluster):
    slow = await cluster.member(cluster.process("a"))
    slow.delay_s = 60.0
    started = asyncio.get_running_loop().time()

    other = await cluster.member(cluster.process("b"))
    await asyncio.sleep(2.5)
    before = list(other.history)
    await asyncio.sleep(0.6)
    during = list(other.history)
    await asyncio.sleep(60)

    assert (before, during) == ([], [("assigned", [1])])
    assert ("let go", pytest.approx(started + 60.0)) in slow.history


async def test_a_zombie_commits_nothing_and_joins_again(cluster):
    process = cluster.process("a")
    member = await cluster.member(process)
    sink = await cluster.sink(process)
    cluster.broker.write("in", b"x")
    cluster.hazards.plan("fetch", ZOMBIE)
    await member.source.fetch()

    with pytest.raises(TransactionAbortedError):
        await sink.commit(cluster.transaction("x", token=member.token, p0=1))
    await asyncio.sleep(1)
    await sink.commit(cluster.transaction("x", token=member.token, p0=1))

    assert [what for what, _ in member.history] == ["assigned", "revoked", "let go", "assigned"]
    assert cluster.outcome == (["x"], 1)


async def test_new_partitions_are_shared_out(cluster):
    member = await cluster.member(cluster.process("a"))

    cluster.broker.add_partitions("in", 3)
    await asyncio.sleep(1)

    assert member.history[-1] == ("assigned", [0, 1, 2])


async def test_a_deleted_topic_is_taken_away(cluster):
    member = await cluster.member(cluster.process("a"))

    cluster.broker.delete_topic("in")
    await asyncio.sleep(1)

    assert member.history[-1] == ("assigned", [])


async def test_a_fetch_that_is_cancelled_loses_nothing(cluster):
    member = await cluster.member(cluster.process("a"))
    fetching = asyncio.create_task(member.source.fetch())
    await asyncio.sleep(0)
    cluster.broker.write("in", b"x")
    fetching.cancel()
    await asyncio.sleep(0)

    values = []
    while not values:
        values = [record.value for record in (await member.source.fetch()).records]

    assert values == [b"x"]


async def test_one_fetch_returns_at_most_500_records(cluster):
    member = await cluster.member(cluster.process("a"))
    for number in range(1100):
        cluster.broker.write("in", b"x", partition=number % 2)

    sizes = [len((await member.source.fetch()).records) for _ in range(3)]

    assert sizes == [500, 500, 100]


async def test_records_read_before_a_revocation_come_with_the_old_epoch(cluster):
    member = await cluster.member(cluster.process("a"))
    cluster.broker.write("in", b"x")
    member.source._ready = member.source._read()
    await cluster.member(cluster.process("b"))

    stale = await member.source.fetch()
    fresh = await member.source.fetch()

    assert (stale.epoch, fresh.epoch) == (1, 3)
    assert [r.offset for r in stale.records] == [r.offset for r in fresh.records] == [0]


async def test_a_failing_listener_ends_the_source(cluster):
    process = cluster.process("a")
    member = await cluster.member(process)

    async def fail(epoch, partitions):
        raise ValueError("a listener must not raise")

    member.revoked = fail
    await cluster.member(cluster.process("b"))

    with pytest.raises(InvariantError, match="must not raise"):
        await member.source.fetch()


async def test_joining_needs_a_broker(cluster):
    cluster.hazards.plan("start", UNAVAILABLE)

    with pytest.raises(BrokerUnavailableError):
        await cluster.member(cluster.process("a"))


async def test_an_answer_that_took_too_long_still_counts(cluster):
    late = await cluster.member(cluster.process("a"))
    answer = asyncio.Event()

    async def assigned(assignment):
        await answer.wait()
        return dict.fromkeys(assignment.added, 0)

    late.assigned = assigned
    cluster.broker.write("in", b"x")
    await late.source.fetch()
    cluster.broker.add_partitions("in", 3)
    await asyncio.sleep(20)
    answer.set()

    again = await late.source.fetch()

    assert (again.epoch, [record.offset for record in again.records]) == (3, [0])


async def test_an_assignment_that_waits_for_its_answer_joins_again_after_eight_seconds(cluster):
    stuck = await cluster.member(cluster.process("a"))

    async def never(_assignment):
        await asyncio.Event().wait()

    stuck.assigned = never
    cluster.broker.add_partitions("in", 3)
    await asyncio.sleep(0.1)

    other = await cluster.member(cluster.process("b"))
    await asyncio.sleep(10.4)
    before = list(other.history)
    await asyncio.sleep(0.6)

    # Its revocation waits for the call before it, for three seconds more.
    assert (before, other.history) == ([], [("assigned", [2])])


async def test_calls_of_a_listener_never_overlap(cluster):
    slow = await cluster.member(cluster.process("a"))
    slow.delay_s = 5.0

    await cluster.member(cluster.process("b"))
    await asyncio.sleep(10)

    assert [what for what, _ in slow.history] == ["assigned", "revoked", "let go", "assigned"]


async def test_a_closed_source_may_be_closed_while_it_waits_to_join(cluster):
    first = cluster.process("a")
    await cluster.member(first)
    first.crash()
    waiting = await cluster.member(cluster.process("b"))

    await waiting.source.close()

    assert waiting.history == []
    assert TopicPartition("in", 0) not in waiting.source._positions
