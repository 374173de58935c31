"""Batches on their way from the polling thread to the event loop, in order and bounded."""

import asyncio
import threading
from collections import deque
from collections.abc import Collection, Sequence

from headrace.core.records import Record, TopicPartition
from headrace.errors import HeadraceError
from headrace.ports import Fetched

MOST_BYTES = 32 * 2**20
"""Bytes of values that may wait: two thousand large records would not fit into memory."""


class Handover:
    """A queue that one thread fills and one event loop empties.

    Batches cross with one call per batch, in the order of the polls. The thread's calls into
    the loop keep their order, so when the loop learns of a rebalance every batch that was
    polled before it has arrived, and none that was polled after it.

    Args:
        loop: The loop that takes.
        capacity: Records that may wait, `MOST_BYTES` at most; the thread decides what to do then.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int) -> None:
        self._loop = loop
        self._capacity = capacity
        self._changed = threading.Condition()
        self._waiting = 0
        self._waiting_bytes = 0
        self._batches: deque[Fetched] = deque()
        self._failure: HeadraceError | None = None
        self._arrived = asyncio.Event()
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """The epoch that the loop has reached; on the loop."""
        return self._epoch

    def put(self, batch: Fetched) -> None:
        """Send a batch; on the thread. Never blocks, and accepts more than the capacity."""
        size = _size(batch.records)
        with self._changed:
            self._waiting += len(batch.records)
            self._waiting_bytes += size
        self._loop.call_soon_threadsafe(self._arrive, batch)

    def fail(self, failure: HeadraceError) -> None:
        """Let `take` raise once everything sent before is taken; on the thread."""
        self._loop.call_soon_threadsafe(self._break, failure)

    @property
    def waiting(self) -> int:
        """Records sent and not taken; on the thread."""
        return self._waiting

    @property
    def fill(self) -> float:
        """How much of the capacity is used, of records or of bytes; on the thread."""
        return max(self._waiting / self._capacity, self._waiting_bytes / MOST_BYTES)

    @property
    def is_full(self) -> bool:
        """Whether the capacity is used up; on the thread."""
        return self.fill >= 1.0

    def wait_for_room(self, timeout_s: float) -> None:
        """Return when there is room, when `wake` is called or when time is up; on the thread."""
        with self._changed:
            if self.is_full:
                self._changed.wait(timeout_s)

    def wake(self) -> None:
        """Let the thread look around; on the loop."""
        with self._changed:
            self._changed.notify_all()

    async def take(self) -> Fetched:
        """Return the oldest batch, labelled with the epoch that the loop has reached.

        What revocations took away is gone from it, so all of it belongs to that epoch.

        Raises:
            HeadraceError: The thread gave up, and everything before that was taken.
        """
        while not self._batches:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        batch = self._batches.popleft()
        self._release(batch.records)
        if batch.epoch == self._epoch:
            return batch
        return Fetched(self._epoch, batch.records, batch.positions)

    def enter(self, epoch: int, revoked: Collection[TopicPartition] = ()) -> None:
        """Begin an epoch and drop what older ones have left of revoked partitions; on the loop."""
        self._epoch = epoch
        if revoked:
            gone = frozenset(revoked)
            self._release(
                [
                    each
                    for batch in self._batches
                    for each in batch.records
                    if each.partition in gone
                ]
            )
            kept = [_without(each, gone) for each in self._batches]
            self._batches = deque(each for each in kept if each.records or each.positions)

    def _arrive(self, batch: Fetched) -> None:
        self._batches.append(batch)
        self._arrived.set()

    def _break(self, failure: HeadraceError) -> None:
        self._failure = self._failure or failure
        self._arrived.set()

    def _release(self, records: Sequence[Record]) -> None:
        size = _size(records)
        with self._changed:
            self._waiting -= len(records)
            self._waiting_bytes -= size
            self._changed.notify_all()


def _size(records: Sequence[Record]) -> int:
    return sum([len(each.value) for each in records if each.value])


def _without(batch: Fetched, gone: frozenset[TopicPartition]) -> Fetched:
    return Fetched(
        batch.epoch,
        [each for each in batch.records if each.partition not in gone],
        {each: offset for each, offset in batch.positions.items() if each not in gone},
    )
