import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from headrace.core.ledger import finish
from headrace.core.records import Committed, TopicPartition
from headrace.core.steps import Ordering
from headrace.errors import BrokerUnavailableError, ConfigError, MetadataError
from headrace.ports import Bounds
from headrace.runtime.assignments import Assignments
from headrace.runtime.lanes import Lanes
from headrace.runtime.stats import StageStats
from tests.unit.runtime.parts import (
    P0,
    P1,
    RESULT,
    Reader,
    assignment,
    committed_by,
    records_of,
    released,
)


class Member:
    """A worker's assignments and what they act on."""

    def __init__(self, kafka, **settings):
        self.stats = StageStats()
        self.source = Reader()
        self.last_commits = 0
        self.last_commit_s = 0.0
        self.assignments = Assignments(
            kafka, {"in": Lanes(Ordering.KEY)}, "w0", self.stats, **settings
        )

    async def last_commit(self):
        await asyncio.sleep(self.last_commit_s)
        self.last_commits += 1

    async def own(self, epoch=1, *partitions):
        """Be assigned partitions; return the ledger of the first."""
        await self.assignments.assigned(assignment(epoch, *(partitions or (P0,))))
        return self.assignments.ledgers.get((partitions or (P0,))[0])


@asynccontextmanager
async def member(kafka, **settings):
    one = Member(kafka, **settings)
    async with asyncio.TaskGroup() as tasks:
        one.assignments.bind(one.source, tasks, one.last_commit)
        yield one
        one.assignments.bind(one.source, tasks, None)
        await one.assignments.revoked(99, [P0, P1])  # nothing waits for offsets any more
    if one.assignments.failure.done():
        one.assignments.failure.exception()


def drafted(ledger, nonce=77):
    """Have a ledger prepare a commit of two of its three records; return the commit."""
    records = ledger.take(records_of(["a", "b", "c"], start=ledger.position))
    finish(records[:2], [RESULT] * 2)
    return ledger.draft(9, "w0", nonce).committed


# Which ledger takes records


async def test_a_partition_that_the_source_grew_stops_the_worker_and_is_not_read(kafka):
    async with member(kafka, counts={"in": 1}) as one:
        positions = await one.assignments.assigned(assignment(1, P0, P1))

        assert positions == {P0: None, P1: None}
        with pytest.raises(ConfigError, match=r"in has more partitions.*`headrace topics apply`"):
            await one.assignments.failure


async def test_as_many_partitions_as_there_were_are_all_read(kafka):
    async with member(kafka, counts={"in": 2}) as one:
        assert None not in (await one.assignments.assigned(assignment(1, P0, P1))).values()


async def test_a_fetched_batch_of_an_older_epoch_is_ignored(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)
        await it.assignments.revoked(2, [P0])
        await it.own(3)

        assert it.assignments.current(P0, 2) is None
        assert it.assignments.current(P0, 3) is ledger


async def test_a_batch_fetched_in_an_assignment_that_lasts_is_taken(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)

        assert it.assignments.current(P0, 1) is ledger
        assert it.assignments.current(P1, 1) is None


async def test_nothing_is_taken_or_committed_for_a_revoked_partition(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)

        await it.assignments.revoked(2, [P0])

        assert it.assignments.current(P0, 2) is None
        assert list(it.assignments.owned) == []
        assert not ledger.is_owned


async def test_the_epoch_and_the_membership_are_those_of_the_latest_assignment(kafka):
    async with member(kafka) as it:
        await it.own(4)

        assert it.assignments.epoch == 4
        assert it.assignments.token.is_member


# Revocation


async def test_a_revocation_commits_what_is_released_and_parks_the_ledger(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)

        await it.assignments.revoked(2, [P0])

        assert it.last_commits == 1
        assert not ledger.is_dropped
        assert await it.own(3) is ledger


async def test_the_last_commit_still_owns_what_it_commits(kafka):
    owned = []
    async with member(kafka) as it:

        async def last_commit():
            owned.extend(ledger.partition for ledger in it.assignments.owned)

        it.assignments.bind(it.source, asyncio.TaskGroup(), last_commit)
        await it.own(1)

        await it.assignments.revoked(2, [P0])

    assert owned == [P0]


async def test_the_last_commit_of_a_revocation_has_three_seconds(kafka, caplog):
    async with member(kafka) as it:
        await it.own(1)
        it.last_commit_s = 60.0

        await it.assignments.revoked(2, [P0])

        assert asyncio.get_running_loop().time() == 3.0
        assert it.last_commits == 0
        assert "took too long" in caplog.text


async def test_revoking_what_was_never_begun_commits_nothing(kafka):
    async with member(kafka) as it:
        await it.assignments.revoked(1, [P0])

        assert it.last_commits == 0


# Adoption


async def test_a_ledger_is_adopted_when_the_stable_commit_is_the_one_it_read(kafka):
    kafka.stored[P0] = committed_by("w9", 5)
    async with member(kafka) as it:
        ledger = await it.own(1)
        ledger.take(records_of(["a", "b"], start=5))
        await it.assignments.revoked(2, [P0])

        positions = await it.assignments.assigned(assignment(3, P0))

        assert it.assignments.ledgers[P0] is ledger
        assert positions == {P0: 7}
        assert it.stats.adopted == 1


async def test_a_partition_nobody_ever_committed_is_adopted_too(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)
        ledger.take(records_of(["a"]))
        await it.assignments.revoked(2, [P0])

        assert await it.own(3) is ledger
        assert ledger.in_flight == 1


async def test_a_ledger_is_dropped_when_somebody_else_has_committed(kafka):
    async with member(kafka) as it:
        old = await it.own(1)
        old.take(records_of(["a", "b"]))
        await it.assignments.revoked(2, [P0])
        kafka.stored[P0] = committed_by("w9", 1)

        positions = await it.assignments.assigned(assignment(3, P0))

        assert it.assignments.ledgers[P0] is not old
        assert positions == {P0: 1}
        assert old.is_dropped
        assert (it.stats.adopted, it.stats.discarded) == (0, 1)


async def test_late_results_of_a_dropped_ledger_are_ignored(kafka):
    async with member(kafka) as it:
        old = await it.own(1)
        late = old.take(records_of(["a", "b"]))
        it.assignments.drop(old)

        finish(late, [RESULT, RESULT])

        assert list(old.released) == []
        assert P0 not in it.assignments.ledgers


async def test_an_overtaken_ledger_takes_those_of_its_number_along(kafka):
    retry = TopicPartition("retry", P0.partition)
    async with member(kafka, together=("in", "retry")) as it:
        old = await it.own(1, P0, retry)
        fellow = it.assignments.ledgers[retry]

        it.assignments.drop(old)

        assert old.is_dropped
        assert fellow.is_dropped
        assert it.assignments.ledgers == {}
        assert not it.assignments.failure.done()
        assert it.stats.discarded == 2


async def test_a_ledger_that_was_dropped_while_parked_is_not_adopted(kafka):
    async with member(kafka) as it:
        old = await it.own(1)
        await it.assignments.revoked(2, [P0])
        it.assignments.drop(old)

        assert await it.own(3) is not old


async def test_after_an_indefinite_end_a_commit_that_arrived_is_adopted_as_durable(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)
        kafka.stored[P0] = drafted(ledger)
        ledger.is_committing = False
        await it.assignments.revoked(2, [P0])

        assert await it.own(3) is ledger
        assert (ledger.in_flight, list(ledger.released)) == (1, [])


async def test_after_an_indefinite_end_a_commit_that_never_arrived_is_repeated(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)
        drafted(ledger)
        ledger.is_committing = False
        await it.assignments.revoked(2, [P0])

        assert await it.own(3) is ledger
        assert [record.offset for record in ledger.released] == [0, 1]
        assert not ledger.has_draft


async def test_a_ledger_whose_transaction_is_still_under_way_is_not_decided(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)
        attempted = drafted(ledger)
        await it.assignments.revoked(2, [P0])

        positions = await it.assignments.assigned(assignment(3, P0))
        await asyncio.sleep(0.5)

        assert positions == {P0: None}
        assert it.source.started == []
        assert P0 not in it.assignments.ledgers

        kafka.stored[P0] = attempted
        ledger.settle()
        await asyncio.sleep(0.1)

        assert it.source.started == [(3, P0, 3)]
        assert it.assignments.ledgers[P0] is ledger


async def test_partitions_that_went_to_others_are_forgotten_at_the_next_assignment(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1, P0, P1)
        await it.assignments.revoked(2, [P0, P1])

        await it.own(3, P1)
        assert ledger.is_dropped

        await it.assignments.revoked(4, [P1])
        assert await it.own(5, P0) is not ledger


# Where a partition begins


async def test_without_a_commit_a_partition_begins_where_its_source_says(kafka):
    kafka.starts[P0] = 40
    async with member(kafka) as it:
        assert await it.assignments.assigned(assignment(1, P0, P1)) == {P0: 40, P1: 0}


async def test_what_is_finished_above_the_committed_offset_is_not_taken_again(kafka):
    kafka.stored[P0] = committed_by("w9", 5, [(6, 8)])
    async with member(kafka) as it:
        ledger = await it.own(1)

        fresh = ledger.take(records_of(["a", "b", "c", "d"], start=5))

        assert [record.offset for record in fresh] == [5, 8]


async def test_finished_offsets_beyond_the_end_of_the_log_are_dropped(kafka):
    kafka.stored[P0] = committed_by("w9", 5, [(6, 20)])
    kafka.bounds_of[P0] = Bounds(0, 10)
    async with member(kafka) as it:
        ledger = await it.own(1)

        fresh = ledger.take(records_of(["x"] * 10, start=5))

        assert [record.offset for record in fresh] == [5, 10, 11, 12, 13, 14]


async def test_records_the_log_has_lost_are_counted_and_reported(kafka, caplog):
    kafka.stored[P0] = committed_by("w9", 5)
    kafka.bounds_of[P0] = Bounds(12, 100)
    async with member(kafka) as it:
        assert await it.assignments.assigned(assignment(1, P0)) == {P0: 12}

        assert it.stats.lost == 7
        [said] = [r for r in caplog.records if r.levelno == logging.ERROR]
        assert "records lost: in-0 no longer holds offsets 5 to 11" in said.message


@pytest.mark.parametrize("metadata", ["somebody else's", "h1damaged", "h9newer"])
async def test_foreign_metadata_stops_the_worker_with_advice(kafka, metadata):
    kafka.stored[P0] = Committed(5, metadata)
    async with member(kafka) as it:
        positions = await it.assignments.assigned(assignment(1, P0))

        assert positions == {P0: None}
        with pytest.raises(MetadataError, match=r"in-0: .*another name.*--ignore-metadata"):
            await it.assignments.failure


async def test_foreign_metadata_can_be_ignored(kafka):
    kafka.stored[P0] = Committed(5, "somebody else's")
    async with member(kafka, ignore_metadata=True) as it:
        assert await it.assignments.assigned(assignment(1, P0)) == {P0: 5}
        assert not it.assignments.failure.done()


async def test_a_source_that_refuses_to_choose_a_start_stops_the_worker(kafka):
    kafka.failures["start_offsets"] = [ConfigError("the source says error")]
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))

        with pytest.raises(ConfigError, match="says error"):
            await it.assignments.failure


# Offsets that are not stable


async def test_offsets_that_become_stable_within_the_rebalance_need_no_second_look(kafka):
    kafka.stored[P0] = committed_by("w9", 5)
    kafka.unstable.add(P0)
    async with member(kafka) as it:
        asyncio.get_running_loop().call_later(0.01, kafka.unstable.clear)

        assert await it.assignments.assigned(assignment(1, P0)) == {P0: 5}
        assert asyncio.get_running_loop().time() < 0.1


async def test_unstable_partitions_are_resolved_later_and_stable_ones_at_once(kafka):
    kafka.stored[P0] = committed_by("w9", 5)
    kafka.unstable.add(P0)
    async with member(kafka) as it:
        assert await it.assignments.assigned(assignment(1, P0, P1)) == {P0: None, P1: 0}
        assert P0 not in it.assignments.ledgers

        await asyncio.sleep(0.3)
        assert it.source.started == []
        kafka.stored[P0] = committed_by("w9", 8)
        kafka.unstable.clear()
        await asyncio.sleep(0.1)

        assert it.source.started == [(1, P0, 8)]
        assert it.assignments.current(P0, 1) is not None


async def test_a_dead_slot_that_holds_offsets_is_fenced_after_a_second(kafka):
    kafka.stored[P0] = committed_by("w9", 5)
    kafka.unstable.add(P0)
    kafka.alive = frozenset({"w0", "w1"})
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))
        await asyncio.sleep(0.95)
        assert "fence w9" not in kafka.calls

        await asyncio.sleep(0.25)

        assert "fence w9" in kafka.calls
        assert it.stats.fenced == 1
        assert it.source.started == [(1, P0, 5)]


@pytest.mark.parametrize("slot", ["w0", "w1"])
async def test_a_live_slot_and_the_own_one_are_never_fenced(kafka, slot):
    kafka.stored[P0] = committed_by(slot, 5)
    kafka.unstable.add(P0)
    kafka.alive = frozenset({"w1"})
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))

        await asyncio.sleep(10.0)

        assert not [call for call in kafka.calls if call.startswith("fence")]


@pytest.mark.parametrize("stored", [Committed(None), Committed(3, "not ours"), Committed(3)])
async def test_nobody_is_fenced_where_the_commit_names_nobody(kafka, stored):
    kafka.stored[P0] = stored
    kafka.unstable.add(P0)
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))

        await asyncio.sleep(3.0)

        assert not [call for call in kafka.calls if call.startswith("fence")]


async def test_offsets_nobody_can_read_now_are_read_later(kafka):
    kafka.failures["committed"] = [BrokerUnavailableError("down")] * 3
    async with member(kafka) as it:
        assert await it.assignments.assigned(assignment(1, P0)) == {P0: None}

        await asyncio.sleep(1.0)

        assert it.source.started == [(1, P0, 0)]


async def test_foreign_metadata_found_later_stops_the_worker_too(kafka):
    kafka.unstable.add(P0)
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))
        kafka.stored[P0] = Committed(5, "somebody else's")
        kafka.unstable.clear()

        with pytest.raises(MetadataError, match="--ignore-metadata"):
            await it.assignments.failure


async def test_a_search_for_stable_offsets_ends_with_its_assignment(kafka):
    kafka.unstable.add(P0)
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))

        await it.assignments.revoked(2, [P0])
        kafka.unstable.clear()
        await asyncio.sleep(2.0)

        assert it.source.started == []
        assert it.assignments.ledgers == {}


async def test_a_search_goes_on_when_another_partition_is_added(kafka):
    kafka.unstable.add(P0)
    async with member(kafka) as it:
        await it.assignments.assigned(assignment(1, P0))

        await it.assignments.assigned(assignment(2, P1))
        kafka.unstable.clear()
        await asyncio.sleep(0.2)

        assert it.source.started == [(1, P0, 0)]
        assert set(it.assignments.ledgers) == {P0, P1}


async def test_an_answer_that_arrives_after_the_next_rebalance_begins_nothing(kafka):
    async with member(kafka) as it:
        asked = kafka.bounds

        async def slow(partitions):
            answer = await asked(partitions)
            await asyncio.sleep(1.0)
            return answer

        kafka.bounds = slow
        assigning = asyncio.create_task(it.assignments.assigned(assignment(1, P0)))
        await asyncio.sleep(0.5)

        await it.assignments.revoked(2, [P0])
        positions = await assigning

        assert positions == {P0: None}
        assert it.assignments.ledgers == {}


async def test_a_released_result_survives_a_revocation_that_could_not_commit(kafka):
    async with member(kafka) as it:
        ledger = await it.own(1)
        released(ledger, 3)

        await it.assignments.revoked(2, [P0])
        await it.own(3)

        assert len(it.assignments.ledgers[P0].released) == 3
