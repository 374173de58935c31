"""A member of a consumer group, as the runtime sees it."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from headrace.core.records import TopicPartition
from headrace.errors import BrokerError, HeadraceError
from headrace.kafka.handover import Handover
from headrace.kafka.polling import CAPACITY, Poller
from headrace.kafka.rebalances import Rebalances
from headrace.ports import AssignmentListener, Fetched

LOGGER = logging.getLogger("headrace.kafka")

_CLOSED_WITHIN_S = 20.0
_Part = TypeVar("_Part")


class KafkaSource:
    """Reads topics as one member of a group; one thread of its own owns the client.

    Up to 2,000 records wait between that thread and `fetch`. When they are not fetched the
    thread stops reading but goes on polling, so the member keeps its partitions. Where
    partitions are revoked, waiting records of theirs are dropped: everything that `fetch`
    returns belongs to the epoch it is labelled with. Pauses end with a revocation.

    Args:
        properties: From `consumer_properties`.
        topics: What to read.
    """

    def __init__(self, properties: Mapping[str, Any], topics: Sequence[str]) -> None:
        self._properties = dict(properties)
        self._topics = tuple(topics)
        self._handover: Handover | None = None
        self._poller: Poller | None = None
        self._ended = asyncio.Event()

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group.

        Args:
            listener: Told of rebalances, on this loop, one call at a time.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka does not let this client in.
        """
        loop = asyncio.get_running_loop()
        handover = Handover(loop, CAPACITY)
        poller = Poller(
            self._properties,
            self._topics,
            is_incremental=self._properties.get("group.protocol") == "consumer",
            handover=handover,
            rebalances=Rebalances(loop, listener, handover),
        )
        opened: Future[None] = Future()
        threading.Thread(
            target=self._run, args=(poller, opened, loop), name="headrace-poll", daemon=True
        ).start()
        await asyncio.wrap_future(opened)
        self._handover, self._poller = handover, poller

    async def fetch(self) -> Fetched:
        """Wait for records, or for positions when the log's end was reached.

        Raises:
            OffsetOutOfRangeError: The next record of a partition is gone.
            BrokerError: The consumer cannot go on; every later call says so too.
        """
        return await self._started(self._handover).take()

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop reading partitions soon; records already read may still come."""
        poller = self._started(self._poller)
        poller.post(partial(poller.pause, self._epoch, tuple(partitions)))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Read paused partitions again, from where they stopped."""
        poller = self._started(self._poller)
        poller.post(partial(poller.resume, self._epoch, tuple(partitions)))

    def start_at(self, epoch: int, partition: TopicPartition, offset: int) -> None:
        """Begin reading a partition that `assigned` answered None for; ignored if epoch is old."""
        poller = self._started(self._poller)
        poller.post(partial(poller.start_at, epoch, partition, offset))

    async def close(self) -> None:
        """Leave the group; `revoked` is called first if partitions are still owned."""
        if self._poller is None or self._handover is None:
            return
        self._poller.stop()
        self._handover.wake()
        try:
            async with asyncio.timeout(_CLOSED_WITHIN_S):
                await self._ended.wait()
        except TimeoutError:
            LOGGER.warning("the group was not left in time; its session will expire")

    @property
    def _epoch(self) -> int:
        return self._started(self._handover).epoch

    def _run(self, poller: Poller, opened: "Future[None]", loop: asyncio.AbstractEventLoop) -> None:
        try:
            poller.open()
        except HeadraceError as error:
            opened.set_exception(error)
            return
        opened.set_result(None)
        try:
            poller.run()
        except RuntimeError:
            # The loop is gone, and with it everybody who could care.
            if not loop.is_closed():
                raise
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._ended.set)

    @staticmethod
    def _started(part: _Part | None) -> _Part:
        if part is None:
            raise BrokerError("the source was not started")
        return part
