"""Group commit: results, dead letters, retry records and offsets become durable together."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from headrace.core.bundle import Bundle
from headrace.core.ledger import Draft, Ledger
from headrace.core.records import Commit, Outgoing, Record
from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    FencedError,
    TransactionAbortedError,
    TransactionIndefiniteError,
)
from headrace.ports import GroupView, Transaction, TransactionSink
from headrace.runtime.assignments import Assignments
from headrace.runtime.stats import StageStats

MAX_RECORDS = 10_000
"""Most records of one transaction."""

MAX_BYTES = 16 * 2**20
"""Bytes of source values that one transaction takes, give or take a record."""

IDLE_S = 1.0
"""Nothing in flight for this long, and offsets are committed alone: markers leave no lag."""

FENCED_WITHIN_S = 60.0
MOST_FENCED = 4
"""Fenced more often within this time: two processes use one slot.

One that merely slept is fenced as well, by every heir of its partitions, and by the same one twice
if it opens a new producer while the heir still waits for the end of the old one's transaction.
"""

RETRY_S = 0.05
"""Pause after an aborted transaction, and between two looks at offsets that are not stable."""

UNREACHABLE_S = 0.5
"""Pause between attempts to reach a broker."""

log = logging.getLogger("headrace.committer")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long results gather before a transaction opens.

    Attributes:
        linger_s: Longest wait for more, seconds, while calls are in flight.
        enough: Released records that end the wait.
    """

    linger_s: float = 0.0
    enough: int = 1


@dataclass(frozen=True, slots=True)
class Writer:
    """Who commits, and how eagerly.

    Attributes:
        slot: The worker's name in the fleet.
        first_nonce: Random 64 bits: nonces must not repeat among the processes of a slot.
        pace: How long results gather.
        is_joint: Whether records of several topics may finish together.
    """

    slot: str
    first_nonce: int
    pace: Pace = field(default_factory=Pace)
    is_joint: bool = False


class Committer:
    """Opens a short transaction whenever something is released, one at a time.

    While it commits, the next results accumulate. After an abort the same results are repeated in
    the same order; after an end that nobody knows the producer is replaced first, and the stable
    offset and nonce of every partition of that transaction say whether to forget or to repeat.
    """

    def __init__(
        self,
        sink: TransactionSink,
        group: GroupView,
        assignments: Assignments,
        writer: Writer,
        stats: StageStats,
        on_durable: Callable[[], None],
        is_busy: Callable[[], bool],
    ) -> None:
        """Commit what the ledgers of `assignments` release."""
        self._sink = sink
        self._group = group
        self._assignments = assignments
        self._slot = writer.slot
        counted = itertools.count(writer.first_nonce)
        self._nonces = (number & 0xFFFF_FFFF_FFFF_FFFF for number in counted)
        self._stats = stats
        self._on_durable = on_durable
        self._wakeup = asyncio.Event()
        self._barriers: list[asyncio.Future[None]] = []
        self._fenced = deque([float("-inf")] * MOST_FENCED, MOST_FENCED)
        self._idle_since: float | None = None
        self._pace = writer.pace
        self._is_joint = writer.is_joint
        self._is_busy = is_busy

    async def open(self) -> None:
        """Take over the slot's transactional id; waits for a broker that is not there.

        Raises:
            BrokerError: Kafka refuses.
        """
        while True:
            try:
                await self._sink.open()
            except BrokerUnavailableError as error:
                log.warning("no broker answers: %s", error, extra={"event": "broker_unreachable"})
                await asyncio.sleep(UNREACHABLE_S)
            else:
                return

    def wake(self) -> None:
        """Something was released."""
        self._wakeup.set()

    async def barrier(self) -> None:
        """Return when everything that is released now was committed, or could not be."""
        done = asyncio.get_running_loop().create_future()
        self._barriers.append(done)
        self._wakeup.set()
        await done

    async def run(self) -> None:
        """Commit until cancelled; a transaction under way is never cut short.

        Raises:
            FencedError: Another process uses this slot.
        """
        while True:
            await self._wait()
            barriers, self._barriers = self._barriers, []
            released = self._released
            try:
                while committed := await self._commit_once():
                    released -= committed
                    # Results may keep coming: neither this barrier nor the next waits for them.
                    if (released <= 0) if barriers else self._barriers:
                        break
            finally:
                for barrier in barriers:
                    if not barrier.done():
                        barrier.set_result(None)

    async def _wait(self) -> None:
        """Wait for a release, a barrier, or the moment at which idle offsets are committed."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(IDLE_S / 2, self._wakeup.set)
        await self._wakeup.wait()
        timer.cancel()
        self._wakeup.clear()
        is_early = 0 < self._released < self._pace.enough
        if is_early and self._pace.linger_s and not self._barriers and self._is_busy():
            await self._linger(loop)

    async def _linger(self, loop: asyncio.AbstractEventLoop) -> None:
        until = loop.time() + self._pace.linger_s
        while not self._barriers and (left := until - loop.time()) > 0 and self._is_busy():
            timer = loop.call_later(left, self._wakeup.set)
            await self._wakeup.wait()
            timer.cancel()
            self._wakeup.clear()
            if self._released >= self._pace.enough:
                return

    @property
    def _released(self) -> int:
        return sum([len(ledger.released) for ledger in self._assignments.owned])

    async def _commit_once(self) -> int:
        """Commit up to the cap; return how many records became durable."""
        token = self._assignments.token
        if token is None or not token.is_member:
            return 0
        drafted, outgoing, commits = self._draft()
        if not drafted:
            return 0
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            await self._sink.commit(Transaction(outgoing, commits, token))
        except TransactionAbortedError as error:
            await self._undo(drafted, error)
            return 0
        except (TransactionIndefiniteError, FencedError) as error:
            return await self._recover(drafted, error)
        self._stats.commit_latency.observe(clock() - started)
        self._stats.commits += 1
        durable = sum(len(ledger.settle()) for ledger in drafted)
        self._stats.durable += durable
        self._on_durable()
        return durable

    async def _undo(self, drafted: Sequence[Ledger], error: TransactionAbortedError) -> None:
        """Release the same results again, before anything newer."""
        self._stats.aborts += 1
        for ledger in drafted:
            ledger.undo()
        log.warning("transaction aborted: %s", error, extra={"event": "transaction_aborted"})
        await asyncio.sleep(RETRY_S)
        self._wakeup.set()

    def _draft(self) -> tuple[list[Ledger], list[Outgoing], list[Commit]]:
        room, room_bytes = MAX_RECORDS, MAX_BYTES
        drafted: list[Ledger] = []
        outgoing: list[Outgoing] = []
        commits: list[Commit] = []
        idle = self._is_idle()
        for ledgers in self._together():
            lags = any(x.must_pin or (idle and x.lags_behind_position) for x in ledgers)
            if any(x.has_draft for x in ledgers) or not (lags or any(x.released for x in ledgers)):
                continue
            if room <= 0 or room_bytes <= 0:
                break
            for ledger, draft in self._drafts(ledgers, room, room_bytes):
                drafted.append(ledger)
                commits.append(Commit(ledger.partition, draft.base, draft.committed.metadata))
                for record in draft.records:
                    outgoing += record.output or ()
                room -= len(draft.records)
                room_bytes -= sum([len(r.value) for r in draft.records if r.value])
        return drafted, outgoing, commits

    def _together(self) -> Iterable[Sequence[Ledger]]:
        """Return the ledgers whose records may finish together, each in one draft."""
        if not self._is_joint:
            return [(ledger,) for ledger in self._assignments.owned]
        numbers: dict[int, list[Ledger]] = {}
        for ledger in self._assignments.owned:
            numbers.setdefault(ledger.partition.partition, []).append(ledger)
        return numbers.values()

    def _drafts(
        self, ledgers: Sequence[Ledger], most: int, most_bytes: int
    ) -> Sequence[tuple[Ledger, Draft]]:
        if self._is_joint:
            return Bundle(ledgers, self._slot, self._nonces).draft(most)
        [ledger] = ledgers
        if ledger.in_flight_bytes > most_bytes:
            most = min(most, _fitting(ledger.released, most_bytes))
        draft = ledger.draft(most, self._slot, next(self._nonces))
        return [] if draft is None else [(ledger, draft)]

    def _is_idle(self) -> bool:
        """Whether nothing has been in flight for `IDLE_S`."""
        now = asyncio.get_running_loop().time()
        if any(ledger.in_flight for ledger in self._assignments.owned):
            self._idle_since = None
            return False
        if self._idle_since is None:
            self._idle_since = now
        return now - self._idle_since >= IDLE_S

    # After a fenced or indefinite end

    async def _recover(self, drafted: Sequence[Ledger], error: BrokerError) -> int:
        """Replace the producer, then learn from the committed offsets what happened.

        A ledger whose partition is gone meanwhile keeps its draft: if the partition comes back,
        its adoption settles the question. Returns how many records became durable.

        Raises:
            FencedError: Fenced again and again.
        """
        self._stats.aborts += 1
        now = asyncio.get_running_loop().time()
        if isinstance(error, FencedError):
            if now - self._fenced[0] < FENCED_WITHIN_S:
                raise FencedError(
                    f"another process uses slot {self._slot!r}: give each worker its own --slot"
                ) from error
            self._fenced.append(now)
        log.warning("replacing the producer: %s", error, extra={"event": "producer_replaced"})
        before = sum(ledger.in_flight for ledger in drafted)
        await self.open()
        for ledger in drafted:
            ledger.is_committing = False
        while pending := [ledger for ledger in drafted if ledger.is_owned and ledger.has_draft]:
            if not await self._resolve(pending):
                await asyncio.sleep(RETRY_S)
        self._on_durable()
        return max(1, before - sum(ledger.in_flight for ledger in drafted))

    async def _resolve(self, pending: Sequence[Ledger]) -> bool:
        """Settle, undo or drop ledgers by what is committed; return whether any could be."""
        try:
            committed = await self._group.committed([ledger.partition for ledger in pending])
        except BrokerUnavailableError:
            return False
        resolved = False
        for ledger in pending:
            stable = committed.get(ledger.partition)
            if stable is None or not (ledger.is_owned and ledger.has_draft):
                continue
            resolved = True
            if not ledger.resolve(stable):
                log.error(
                    "%s was committed by another member; what is kept of it is dropped",
                    ledger.partition,
                    extra={"event": "ledger_overtaken", "partition": str(ledger.partition)},
                )
                self._assignments.drop(ledger)
        return resolved


def _fitting(records: Sequence[Record], most_bytes: int) -> int:
    """Return how many of the first records hold at most so many bytes; at least one."""
    sizes = itertools.accumulate(len(record.value or b"") for record in records)
    return max(1, sum(size <= most_bytes for size in sizes))
