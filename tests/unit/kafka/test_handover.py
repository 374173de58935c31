"""Batches between the polling thread and the loop: order, bounds, and what a revocation takes."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from headrace.core.records import Record, TopicPartition
from headrace.errors import BrokerError
from headrace.kafka.handover import Handover
from headrace.ports import Fetched

KEPT, GONE = TopicPartition("t", 0), TopicPartition("t", 1)


def run(scenario: Callable[[Handover], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(5):
            await scenario(Handover(asyncio.get_running_loop(), 4))

    asyncio.run(bounded())


def batch(epoch: int, *places: tuple[TopicPartition, int], positions=None) -> Fetched:
    return Fetched(epoch, [Record(p, o, None, None) for p, o in places], positions or {})


def places(fetched: Fetched) -> list[tuple[TopicPartition, int]]:
    return [(each.partition, each.offset) for each in fetched.records]


def test_batches_are_taken_in_the_order_they_were_put():
    async def scenario(handover: Handover) -> None:
        def fill() -> None:
            for offset in range(3):
                handover.put(batch(0, (KEPT, offset)))

        thread = threading.Thread(target=fill)
        thread.start()
        taken = [await handover.take() for _ in range(3)]
        thread.join()

        assert [places(each) for each in taken] == [[(KEPT, 0)], [(KEPT, 1)], [(KEPT, 2)]]

    run(scenario)


def test_it_is_full_until_records_are_taken():
    async def scenario(handover: Handover) -> None:
        handover.put(batch(0, (KEPT, 0), (KEPT, 1)))
        before = handover.is_full
        handover.put(batch(0, (KEPT, 2), (KEPT, 3)))
        full = handover.is_full
        await handover.take()

        assert (before, full, handover.is_full) == (False, True, False)
        assert handover.waiting == 2

    run(scenario)


def test_a_thread_that_waits_for_room_goes_on_when_there_is_some():
    async def scenario(handover: Handover) -> None:
        handover.put(batch(0, *[(KEPT, offset) for offset in range(4)]))
        loop = asyncio.get_running_loop()
        waiting = loop.run_in_executor(None, handover.wait_for_room, 60.0)
        await handover.take()

        await waiting

    run(scenario)


def test_a_revocation_takes_only_what_is_older_and_of_its_partitions():
    async def scenario(handover: Handover) -> None:
        handover.put(batch(1, (KEPT, 0), (GONE, 0), positions={KEPT: 1, GONE: 1}))
        handover.put(batch(1, (GONE, 1)))
        await asyncio.sleep(0)
        handover.enter(2, [GONE])
        handover.put(batch(3, (GONE, 0)))

        first, second = await handover.take(), await handover.take()

        assert places(first) == [(KEPT, 0)]
        assert first.positions == {KEPT: 1}
        assert places(second) == [(GONE, 0)]
        assert handover.waiting == 0

    run(scenario)


def test_what_is_left_belongs_to_the_epoch_the_loop_has_reached():
    async def scenario(handover: Handover) -> None:
        handover.put(batch(1, (KEPT, 0)))
        await asyncio.sleep(0)
        handover.enter(2, [GONE])

        assert (await handover.take()).epoch == 2

    run(scenario)


def test_a_failure_comes_after_what_was_put_before_it_and_stays():
    async def scenario(handover: Handover) -> None:
        handover.put(batch(0, (KEPT, 0)))
        handover.fail(BrokerError("first"))
        handover.fail(BrokerError("second"))

        assert places(await handover.take()) == [(KEPT, 0)]
        for _ in range(2):
            with pytest.raises(BrokerError, match="first"):
                await handover.take()

    run(scenario)
