import asyncio
from contextlib import asynccontextmanager

import pytest

from headrace.core import offset_map
from headrace.core.ledger import finish
from headrace.core.records import Committed
from headrace.core.steps import Ordering
from headrace.errors import BrokerUnavailableError, FencedError
from headrace.runtime.assignments import Assignments
from headrace.runtime.committer import MAX_BYTES, MAX_RECORDS, MOST_FENCED, Committer, Pace, Writer
from headrace.runtime.lanes import Lanes
from headrace.runtime.stats import StageStats
from tests.unit.runtime.parts import (
    MEMBER,
    NO_MEMBER,
    P0,
    P1,
    assignment,
    committed_by,
    records_of,
    released,
)


class Committing:
    """A committer at work for a member that owns two partitions."""

    def __init__(self, kafka, pace):
        self.stats = StageStats()
        self.busy = False
        self.room_made = 0
        self.assignments = Assignments(kafka, {"in": Lanes(Ordering.NONE)}, "w0", self.stats)
        self.committer = Committer(
            kafka,
            kafka,
            self.assignments,
            Writer("w0", 1, pace),
            self.stats,
            on_durable=self.on_durable,
            is_busy=lambda: self.busy,
        )

    def on_durable(self):
        self.room_made += 1

    def __getitem__(self, partition):
        return self.assignments.ledgers[partition]

    async def commit(self):
        self.committer.wake()
        await asyncio.sleep(0.001)


@asynccontextmanager
async def committing(kafka, pace=None, token=MEMBER):
    it = Committing(kafka, pace or Pace())
    for partition in (P0, P1):
        kafka.stored.setdefault(partition, Committed(0))
    await it.assignments.assigned(assignment(1, P0, P1, token=token))
    kafka.calls.clear()
    running = asyncio.create_task(it.committer.run())
    it.running = running
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# What a transaction holds


async def test_results_and_offsets_are_one_transaction_under_the_membership(kafka):
    async with committing(kafka) as it:
        released(it[P0], 3)

        await it.commit()

        [(_, transaction)] = kafka.transactions
        [commit] = transaction.commits
        assert [int(row[2]) for row in transaction.outgoing] == [0, 1, 2]
        assert (commit.partition, commit.offset) == (P0, 3)
        assert transaction.token is MEMBER


async def test_only_after_the_acknowledgement_are_records_forgotten(kafka):
    kafka.commit_s = 1.0
    async with committing(kafka) as it:
        released(it[P0], 3)

        await it.commit()
        assert it[P0].in_flight == 3
        assert it.stats.durable == 0
        await asyncio.sleep(1.0)

        assert it[P0].in_flight == 0
        assert (it.stats.durable, it.stats.commits, it.room_made) == (3, 1, 1)


async def test_what_is_released_during_a_commit_goes_into_the_next_one(kafka):
    kafka.commit_s = 1.0
    async with committing(kafka) as it:
        released(it[P0], 2)
        await it.commit()

        released(it[P0], 1)
        released(it[P1], 1)
        await asyncio.sleep(2.0)

        assert kafka.written("ok") == [[0, 1], [2, 0]]


async def test_a_dropped_record_is_committed_though_it_writes_nothing(kafka):
    async with committing(kafka) as it:
        [record] = it[P0].take(records_of([b"x"]))
        finish([record], [()])

        await it.commit()

        [(_, transaction)] = kafka.transactions
        assert list(transaction.outgoing) == []
        assert transaction.commits[0].offset == 1


async def test_every_commit_has_a_nonce_of_its_own(kafka):
    async with committing(kafka) as it:
        for _ in range(3):
            released(it[P0], 1)
            released(it[P1], 1)
            await it.commit()

    commits = [commit for _, transaction in kafka.transactions for commit in transaction.commits]
    nonces = [offset_map.decode(commit.metadata, commit.offset).nonce for commit in commits]
    assert len(set(nonces)) == len(nonces) == 6


async def test_a_transaction_takes_at_most_ten_thousand_records(kafka):
    async with committing(kafka) as it:
        released(it[P0], MAX_RECORDS // 2)
        released(it[P1], MAX_RECORDS)

        await it.commit()

        assert [len(keys) for keys in kafka.written("ok")] == [10_000, 5_000]


async def test_a_transaction_takes_at_most_16_mib_of_several_partitions(kafka):
    async with committing(kafka) as it:
        released(it[P0], 2, size=MAX_BYTES // 2)
        released(it[P1], 1, size=8)

        await it.commit()

        assert kafka.written("ok") == [[0, 1], [0]]


async def test_a_transaction_takes_at_most_16_mib_of_one_partition(kafka):
    async with committing(kafka) as it:
        released(it[P0], 7, size=MAX_BYTES // 3)

        await it.commit()

        assert kafka.written("ok") == [[0, 1, 2], [3, 4, 5], [6]]


async def test_a_record_larger_than_the_cap_goes_alone(kafka):
    async with committing(kafka) as it:
        released(it[P0], 2, size=MAX_BYTES + 1)

        await it.commit()

        assert kafka.written("ok") == [[0], [1]]


# Membership


async def test_nothing_is_committed_without_membership(kafka):
    async with committing(kafka, token=NO_MEMBER) as it:
        released(it[P0], 3)

        await it.committer.barrier()
        await asyncio.sleep(5.0)

        assert kafka.transactions == []
        assert len(it[P0].released) == 3


async def test_nothing_is_committed_before_the_first_assignment(kafka):
    it = Committing(kafka, Pace())
    running = asyncio.create_task(it.committer.run())

    await it.committer.barrier()

    assert kafka.calls == []
    running.cancel()


async def test_a_revoked_partition_is_left_out(kafka):
    async with committing(kafka) as it:
        released(it[P0], 1)
        released(it[P1], 2)
        await it.assignments.revoked(2, [P0])

        await it.commit()

        assert kafka.written("ok") == [[0, 1]]


# Barriers


async def test_a_barrier_returns_when_what_is_released_is_durable(kafka):
    kafka.commit_s = 1.0
    async with committing(kafka) as it:
        released(it[P0], MAX_RECORDS + 1)

        await it.committer.barrier()

        assert it.stats.durable == MAX_RECORDS + 1


async def test_a_barrier_with_nothing_to_commit_returns_at_once(kafka):
    async with committing(kafka) as it:
        await it.committer.barrier()

        assert asyncio.get_running_loop().time() == 0.0
        assert kafka.transactions == []


async def test_a_barrier_does_not_wait_for_what_is_released_later(kafka):
    kafka.commit_s = 1.0
    async with committing(kafka) as it:
        released(it[P0], 1)
        waiting = asyncio.create_task(it.committer.barrier())
        for _ in range(5):
            await asyncio.sleep(0.5)
            released(it[P0], 1)

        assert waiting.done()


@pytest.mark.parametrize("end", ["abort", "lost", "fenced"])
async def test_a_barrier_returns_after_a_failed_commit_too(kafka, end):
    kafka.ends.extend([end])
    async with committing(kafka) as it:
        released(it[P0], 3)

        async with asyncio.timeout(1.0):
            await it.committer.barrier()


async def test_a_barrier_returns_when_the_committer_ends(kafka):
    kafka.ends.extend(["fenced"] * (1 + MOST_FENCED))
    async with committing(kafka) as it:
        released(it[P0], 3)

        async with asyncio.timeout(1.0):
            await it.committer.barrier()

        with pytest.raises(FencedError):
            await it.running


# Aborts


async def test_aborted_results_are_repeated_first_and_in_the_same_order(kafka):
    kafka.ends.extend(["abort", "abort"])
    async with committing(kafka) as it:
        released(it[P0], 3)
        await it.commit()
        released(it[P0], 2)

        await asyncio.sleep(1.0)

        assert [keys[:3] for keys in kafka.written("abort")] == [[0, 1, 2], [0, 1, 2]]
        assert kafka.written("ok") == [[0, 1, 2, 3, 4]]
        assert (it.stats.aborts, it.stats.durable) == (2, 5)


async def test_an_abort_needs_no_new_producer(kafka):
    kafka.ends.extend(["abort"])
    async with committing(kafka) as it:
        released(it[P0], 1)
        await it.commit()

        await asyncio.sleep(1.0)

        assert "open" not in kafka.calls


# Ends that nobody knows


@pytest.mark.parametrize("end", ["lost", "applied", "fenced"])
async def test_the_producer_is_replaced_before_anything_is_decided(kafka, end):
    kafka.ends.extend([end])
    async with committing(kafka) as it:
        released(it[P0], 1)

        await it.commit()

        assert kafka.calls[:3] == ["commit", "open", "committed"]


async def test_a_commit_that_arrived_is_forgotten(kafka):
    kafka.ends.extend(["applied"])
    async with committing(kafka) as it:
        released(it[P0], 3)
        await it.commit()
        await asyncio.sleep(1.0)

        assert kafka.written("ok") == []
        assert (it[P0].in_flight, it[P0].base) == (0, 3)


async def test_a_commit_that_never_arrived_is_repeated(kafka):
    kafka.ends.extend(["lost"])
    async with committing(kafka) as it:
        released(it[P0], 3)
        await it.commit()
        await asyncio.sleep(1.0)

        assert kafka.written("lost", "ok") == [[0, 1, 2], [0, 1, 2]]
        assert it[P0].in_flight == 0


async def test_the_producer_is_asked_for_until_a_broker_answers(kafka):
    kafka.ends.extend(["lost"])
    kafka.failures["open"] = [BrokerUnavailableError("down")] * 3
    async with committing(kafka) as it:
        released(it[P0], 1)
        await it.commit()

        await asyncio.sleep(5.0)

        assert kafka.calls.count("open") == 4
        assert kafka.written("ok") == [[0]]


async def test_nothing_is_decided_on_offsets_that_are_not_stable_or_not_readable(kafka):
    kafka.ends.extend(["lost"])
    async with committing(kafka) as it:
        kafka.failures["committed"] = [BrokerUnavailableError("down")]
        kafka.unstable.add(P0)
        released(it[P0], 1)
        await it.commit()
        await asyncio.sleep(3.0)
        assert it[P0].has_draft

        kafka.unstable.clear()
        await asyncio.sleep(0.2)

        assert kafka.written("ok") == [[0]]


async def test_a_ledger_that_somebody_else_has_overtaken_is_dropped(kafka):
    kafka.ends.extend(["lost"])
    async with committing(kafka) as it:
        released(it[P0], 3)
        overtaken = it[P0]
        kafka.stored[P0] = committed_by("w9", 2)

        await it.commit()
        await asyncio.sleep(1.0)

        assert overtaken.is_dropped
        assert it.stats.discarded == 1
        assert kafka.written("ok") == []


async def test_a_partition_that_is_gone_meanwhile_keeps_its_question(kafka):
    kafka.ends.extend(["lost"])
    async with committing(kafka) as it:
        kafka.unstable.add(P0)
        released(it[P0], 1)
        ledger = it[P0]
        await it.commit()
        it.assignments.bind(None, None, None)

        await it.assignments.revoked(2, [P0, P1])
        await asyncio.sleep(1.0)

        assert ledger.has_draft
        assert not ledger.is_committing
        async with asyncio.timeout(1.0):
            await it.committer.barrier()


async def test_until_the_producer_is_replaced_a_ledger_counts_as_committing(kafka):
    kafka.ends.extend(["lost"])
    kafka.failures["open"] = [BrokerUnavailableError("down")] * 10
    async with committing(kafka) as it:
        released(it[P0], 1)
        await it.commit()

        await asyncio.sleep(1.0)

        assert it[P0].is_committing


# Fencing


async def test_fenced_once_it_goes_on_with_a_new_producer(kafka):
    kafka.ends.extend(["fenced"])
    async with committing(kafka) as it:
        released(it[P0], 3)
        await it.commit()
        await asyncio.sleep(1.0)

        assert kafka.written("ok") == [[0, 1, 2]]


async def test_fenced_again_and_again_within_a_minute_it_ends_and_names_the_slot(kafka):
    kafka.ends.extend(["fenced", "ok"] * MOST_FENCED + ["fenced"])
    async with committing(kafka) as it:
        for _ in range(MOST_FENCED):
            released(it[P0], 1)
            await it.commit()
            await asyncio.sleep(59.0 / MOST_FENCED)
        released(it[P0], 1)
        it.committer.wake()

        with pytest.raises(FencedError, match=r"another process uses slot 'w0'.*--slot"):
            await it.running


async def test_a_sleeper_that_its_heirs_fence_goes_on(kafka):
    kafka.ends.extend(["fenced"] * MOST_FENCED)
    async with committing(kafka) as it:
        released(it[P0], 1)
        await it.commit()
        await asyncio.sleep(1.0)

        assert kafka.written("ok") == [[0]]


async def test_fenced_again_after_a_minute_it_goes_on(kafka):
    kafka.ends.extend(["fenced"] * MOST_FENCED + ["ok", "fenced"])
    async with committing(kafka) as it:
        released(it[P0], 1)
        await it.commit()
        await asyncio.sleep(61.0)
        released(it[P0], 1)
        await it.commit()
        await asyncio.sleep(1.0)

        assert kafka.written("ok") == [[0], [1]]


# Offsets alone


async def test_offsets_alone_are_committed_after_an_idle_second(kafka):
    async with committing(kafka) as it:
        it[P0].advance(7)

        await asyncio.sleep(0.99)
        assert kafka.transactions == []
        await asyncio.sleep(1.0)

        [(_, transaction)] = kafka.transactions
        assert list(transaction.outgoing) == []
        assert [(c.partition, c.offset) for c in transaction.commits] == [(P0, 7)]
        assert kafka.stored[P0].offset == 7


async def test_offsets_alone_are_not_committed_while_anything_is_in_flight(kafka):
    async with committing(kafka) as it:
        it[P0].advance(7)
        it[P1].take(records_of([b"x"], P1))

        await asyncio.sleep(10.0)

        assert kafka.transactions == []


async def test_an_idle_worker_that_moved_nowhere_commits_nothing(kafka):
    async with committing(kafka):
        await asyncio.sleep(10.0)

        assert kafka.transactions == []


# Pace


async def started_at(it, kafka):
    """Release one result; return after how many seconds its transaction opened."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    released(it[P0], 1)
    it.committer.wake()
    for _ in range(1_000):
        await asyncio.sleep(0.001)
        if kafka.transactions:
            break
    return round(clock() - begun, 3)


async def test_results_gather_while_calls_are_under_way(kafka):
    async with committing(kafka, Pace(linger_s=0.05, enough=10)) as it:
        it.busy = True

        assert 0.049 <= await started_at(it, kafka) <= 0.051


async def test_results_do_not_gather_while_no_call_is_under_way(kafka):
    async with committing(kafka, Pace(linger_s=0.05, enough=10)) as it:
        assert await started_at(it, kafka) <= 0.001


async def test_the_end_of_the_last_call_ends_the_gathering(kafka):
    async with committing(kafka, Pace(linger_s=60.0, enough=10)) as it:
        it.busy = True
        released(it[P0], 1)
        await it.commit()
        assert kafka.transactions == []

        it.busy = False
        await it.commit()

        assert kafka.written("ok") == [[0]]


async def test_enough_results_end_the_gathering(kafka):
    async with committing(kafka, Pace(linger_s=60.0, enough=3)) as it:
        it.busy = True
        for count in (1, 2):
            assert kafka.transactions == []
            released(it[P0], count)
            await it.commit()

        assert kafka.written("ok") == [[0, 1, 2]]


async def test_a_barrier_ends_the_gathering(kafka):
    async with committing(kafka, Pace(linger_s=60.0, enough=10)) as it:
        it.busy = True
        released(it[P0], 1)
        await it.commit()

        async with asyncio.timeout(1.0):
            await it.committer.barrier()

        assert kafka.written("ok") == [[0]]
