"""Rebalances, told to the event loop by the polling thread, which waits for the answer."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from headrace.core.records import TopicPartition
from headrace.errors import InvariantError
from headrace.kafka.handover import Handover
from headrace.ports import Assignment, AssignmentListener

LOGGER = logging.getLogger("headrace.kafka")

Positions = Mapping[TopicPartition, int | None]
_Answer = TypeVar("_Answer")

# Together well below max.poll.interval.ms: an eager rebalance is a revocation and an assignment.
# The listener has 3 s for its last commit; it should be the one who notices.
REVOKED_WITHIN_S = 3.5
ASSIGNED_WITHIN_S = 8.0


class Rebalances:
    """Calls the listener on its loop, one call at a time and in order.

    The thread waits, but not for ever: a stopped loop must not hold up the whole group. A call
    that takes longer goes on, and the next one waits for it.

    Args:
        loop: The listener's loop.
        listener: Who is told.
        handover: Learns of every epoch before the listener does.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: AssignmentListener, handover: Handover
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._handover = handover
        self._turn = asyncio.Lock()

    def revoked(self, epoch: int, partitions: Sequence[TopicPartition]) -> None:
        """Tell that partitions go; return when the listener is done or after 3.5 s."""
        # Not part of the coroutine: its first step runs one turn of the loop later than this
        # call, and by then batches of the next epoch may have arrived.
        self._loop.call_soon_threadsafe(self._handover.enter, epoch, partitions)
        told = self._begin(self._listener.revoked(epoch, partitions))
        try:
            told.result(REVOKED_WITHIN_S)
        except TimeoutError:
            LOGGER.warning("the event loop is late: %s are revoked without it", _names(partitions))
        except Exception as error:  # noqa: BLE001
            self._blame("revoked", error)

    def assigned(
        self, assignment: Assignment, late: Callable[[Assignment, Positions], None]
    ) -> Positions:
        """Ask where to resume; after 8 s nothing is resumed and `late` gets the answer.

        Args:
            assignment: What this member owns now.
            late: Called from any thread once the answer is there after all.
        """
        self._loop.call_soon_threadsafe(self._handover.enter, assignment.epoch)
        asked = self._begin(self._listener.assigned(assignment))
        try:
            return asked.result(ASSIGNED_WITHIN_S)
        except TimeoutError:
            LOGGER.warning("the event loop is late: %s wait for it", _names(assignment.added))
            # Runs at once if the answer came in between, so it cannot be missed.
            asked.add_done_callback(lambda answered: self._deliver(answered, assignment, late))
        except Exception as error:  # noqa: BLE001
            self._blame("assigned", error)
        return {}

    def _begin(self, call: Coroutine[Any, Any, _Answer]) -> "Future[_Answer]":
        return asyncio.run_coroutine_threadsafe(self._in_turn(call), self._loop)

    async def _in_turn(self, call: Coroutine[Any, Any, _Answer]) -> _Answer:
        async with self._turn:
            return await call

    def _deliver(
        self,
        answered: "Future[Positions]",
        assignment: Assignment,
        late: Callable[[Assignment, Positions], None],
    ) -> None:
        if answered.cancelled():
            return
        error = answered.exception()
        if error is None:
            late(assignment, answered.result())
        else:
            self._blame("assigned", error)

    def _blame(self, call: str, error: BaseException) -> None:
        LOGGER.error("the listener's %s() raised", call, exc_info=error)
        self._handover.fail(InvariantError(f"{call}() raised {error!r} inside a rebalance"))


def _names(partitions: Sequence[TopicPartition]) -> str:
    return ", ".join(map(str, partitions)) or "no partitions"
