"""A transactional producer of the simulated broker, with everything that can go wrong."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from headrace.errors import (
    FencedError,
    InvariantError,
    TransactionAbortedError,
    TransactionIndefiniteError,
)
from headrace.ports import Transaction
from headrace.testing.broker import SimulatedBroker
from headrace.testing.hazards import (
    ABORT,
    APPLIED,
    APPLIED_THEN_FENCED,
    CRASH_IN_FLIGHT,
    FENCED,
    LATE,
    LOST,
)
from headrace.testing.processes import SimulatedCrash, SimulatedProcess
from headrace.testing.transactions import RefusedError


class SimulatedSink:
    """A `TransactionSink` on a `SimulatedBroker`.

    Cancelling a call does not stop it; the next one waits for it. As with the real client, a
    FencedError during the commit itself does not tell whether an earlier try of it succeeded.

    Args:
        broker: The cluster.
        process: Whose client this is.
        group: Consumer group whose offsets are committed.
        transactional_id: The id to take over; `<group>.<slot>` by default.

    Attributes:
        is_careless: Whether it does what an adapter must refuse, for tests that show why: go on
            with the same producer after an indefinite end, commit without a membership.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        process: SimulatedProcess,
        group: str,
        *,
        transactional_id: str | None = None,
    ) -> None:
        self.is_careless = False
        self._broker = broker
        self._process = process
        self._group = broker.group(group)
        self._id = transactional_id or f"{group}.{process.slot}"
        self._epoch: int | None = None
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Take over the transactional id."""
        await self._uncut(self._open)

    async def commit(self, transaction: Transaction) -> None:
        """Write and commit, all or nothing; after any error but an abort `open` comes first."""
        if transaction.commits and not (transaction.token.is_member or self.is_careless):
            raise InvariantError("a transaction without a group membership would not be fenced")
        await self._uncut(lambda: self._attempt(transaction))

    async def close(self) -> None:
        """Let go of the producer; a transaction that is open stays open."""
        await self._uncut(self._drop)

    async def _uncut(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a call to its end whatever becomes of the caller, one after the other."""
        self._process.check()
        while self._running is not None and not self._running.done():
            await asyncio.wait({self._running})
        name = f"{self._process.slot}: produce"
        self._running = asyncio.create_task(call(), name=name)
        self._running.add_done_callback(_retrieved)
        self._process.owns(self._running)
        try:
            await asyncio.shield(self._running)
        except asyncio.CancelledError:
            self._process.check()
            raise

    async def _drop(self) -> None:
        self._process.check()
        self._epoch = None

    async def _open(self) -> None:
        self._epoch = None
        await self._broker.ask("open", self._process)
        timeout_s = self._broker.settings.transaction_timeout_s
        epoch = self._broker.transactions.init(self._id, timeout_s)
        await self._broker.hazard("opened", self._process)
        if not self._broker.transactions.holds(self._id, epoch):
            raise FencedError(f"another producer took over transactional id {self._id!r}")
        self._epoch = epoch

    async def _attempt(self, transaction: Transaction) -> None:
        epoch, now = self._epoch, asyncio.get_running_loop().time
        if epoch is None:
            raise TransactionIndefiniteError("the producer has to be opened first")
        begun = now()
        try:
            await self._run(transaction, epoch)
        except RefusedError as refused:
            await self._abort(epoch)
            raise TransactionAbortedError(str(refused)) from refused
        except FencedError as fenced:
            self._epoch = None
            # The coordinator fences, too, whom it has timed out.
            if now() - begun >= self._broker.settings.transaction_timeout_s:
                raise TransactionIndefiniteError("it may have timed out") from fenced
            raise

    async def _run(self, transaction: Transaction, epoch: int) -> None:
        await self._write(transaction, epoch)
        await self._add_offsets(transaction, epoch)
        if transaction.outgoing or transaction.commits:
            await self._commit(epoch)

    async def _write(self, transaction: Transaction, epoch: int) -> None:
        """Write in two requests, so that a crash can come between them."""
        outgoing = transaction.outgoing
        half = (len(outgoing) + 1) // 2
        for part in (outgoing[:half], outgoing[half:]):
            if part:
                await self._request("produce")
                placed = self._broker.placed(part)
                self._broker.transactions.append(self._id, epoch, placed)

    async def _add_offsets(self, transaction: Transaction, epoch: int) -> None:
        if transaction.commits:
            await self._request("offsets")
            self._broker.transactions.add_offsets(
                self._id, epoch, self._group, transaction.commits, transaction.token
            )

    async def _commit(self, epoch: int) -> None:
        fault = await self._request("end")
        gives_up_after_s = self._broker.hazards.between(0.0, 1.0)
        if fault in (LATE, CRASH_IN_FLIGHT):
            self._send_late(epoch, gives_up_after_s)
        if fault == CRASH_IN_FLIGHT:
            self._process.crash()
            raise SimulatedCrash
        if fault not in (LATE, LOST):
            self._broker.transactions.end(self._id, epoch, commit=True)
        if fault in (LATE, LOST, APPLIED):
            await self._give_up("commit", gives_up_after_s)
        if fault == APPLIED_THEN_FENCED:
            self._take_over()
            raise FencedError(f"another producer took over {self._id!r} during the commit")
        await self._broker.hazard("ended", self._process)

    async def _abort(self, epoch: int) -> None:
        fault = await self._broker.hazard("abort", self._process)
        await self._broker.up(self._process)
        if fault == LOST:
            await self._give_up("abort", self._broker.hazards.between(0.0, 1.0))
        self._broker.transactions.end(self._id, epoch, commit=False)

    async def _request(self, point: str) -> str | None:
        """Pass a point of a transaction; the client itself waits while no broker answers."""
        fault = await self._broker.hazard(point, self._process)
        await self._broker.up(self._process)
        if fault == ABORT:
            raise RefusedError(f"refused at {point}")
        if fault == FENCED:
            self._take_over()
        return fault

    def _take_over(self) -> None:
        """Be somebody else who uses the transactional id."""
        timeout_s = self._broker.settings.transaction_timeout_s
        self._broker.transactions.init(self._id, timeout_s)

    def _send_late(self, epoch: int, gives_up_after_s: float) -> None:
        """Have the commit arrive after the client has given up, unless it is fenced by then."""
        arrive = partial(self._broker.transactions.end_late, self._id, epoch, commit=True)
        delay = gives_up_after_s + self._broker.hazards.lateness()
        asyncio.get_running_loop().call_later(delay, arrive)

    async def _give_up(self, what: str, after_s: float) -> None:
        if not self.is_careless:
            self._epoch = None
        await asyncio.sleep(after_s)
        self._process.check()
        raise TransactionIndefiniteError(f"no answer to the {what} of {self._id!r}")


def _retrieved(task: asyncio.Task[None]) -> None:
    """Keep asyncio from reporting the error of a call whose caller is gone."""
    if not task.cancelled():
        task.exception()
