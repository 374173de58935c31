"""When a worker stops taking records, and which partitions it pauses."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from headrace.core.flow import Flow, FlowLimits, Load
from headrace.core.ledger import Ledger
from headrace.core.records import TopicPartition
from headrace.ports import RecordSource
from headrace.runtime.assignments import Assignments

_RETRY_SHARE = 0.5
_WAITING_SHARE = 0.5


class Meetings(Protocol):
    """Where records wait for parts of their own in other topics."""

    def open_at(self, place: int) -> int:
        """Return how many ids of a partition number wait for parts; one always may."""
        ...

    def is_needed(self, partition: TopicPartition) -> bool:
        """Whether the lowest id that waits may find its parts in a partition."""
        ...


class BackPressure:
    """Holds a worker to its limits, by what its ledgers hold.

    Args:
        source: Where partitions are paused and resumed.
        assignments: The ledgers.
        limits: How much may be held.
        retry_topics: Topics whose records wait until they are due.
        meetings: Where records wait for parts of their own in other topics, None for nowhere.
    """

    def __init__(
        self,
        source: RecordSource,
        assignments: Assignments,
        limits: FlowLimits,
        retry_topics: Iterable[str],
        meetings: Meetings | None = None,
    ) -> None:
        self._source = source
        self._assignments = assignments
        self._limits = limits
        self._meetings = meetings
        self._retry_topics = frozenset(retry_topics)
        self._flow: Flow[TopicPartition] = Flow(limits)
        self._relieved = asyncio.Event()
        self._regulated = 0

    async def await_room(self) -> None:
        """Return when the worker may take more."""
        while not self.has_room:
            self._relieved.clear()
            await self._relieved.wait()

    def regulate(self) -> None:
        """Pause partitions that alone hold too much; resume those that recovered.

        A pause ends where its partition was assigned again, and only there.
        """
        owned = self._assignments.owned
        if self._regulated != self._assignments.epoch:
            self._apply(ledger for ledger in owned if ledger.epoch <= self._regulated)
            self._regulated = self._assignments.epoch
        self._apply(owned)

    def relieve(self) -> None:
        """Less is held than before: resume what recovered, and let `await_room` look again."""
        self.regulate()
        self._relieved.set()

    @property
    def has_room(self) -> bool:
        """Whether the worker may take more."""
        owned = self._assignments.owned
        return self._flow.has_room(
            sum([each.in_flight - each.blocked - each.waiting for each in owned]),
            sum([each.in_flight_bytes - each.waiting_bytes for each in owned]),
        )

    @property
    def paused(self) -> frozenset[TopicPartition]:
        """Partitions that are paused."""
        return self._flow.paused

    def _waiting_share(self) -> float:
        """Return how much of what waiting parts may hold they do hold."""
        limits, owned = self._limits, self._assignments.owned
        records = sum([ledger.held for ledger in owned]) / limits.worker_records
        size = sum([ledger.held_bytes for ledger in owned]) / limits.worker_bytes
        return max(records, size) / _WAITING_SHARE

    def _apply(self, ledgers: Iterable[Ledger]) -> None:
        change = self._flow.update({ledger.partition: self._load(ledger) for ledger in ledgers})
        if change.to_pause:
            self._source.pause(change.to_pause)
        if change.to_resume:
            self._source.resume(change.to_resume)

    def _load(self, ledger: Ledger) -> Load:
        limits, share = self._limits, 0.0
        size = ledger.in_flight_bytes - ledger.waiting_bytes
        meetings, place = self._meetings, ledger.partition.partition
        if ledger.held and meetings is not None and meetings.open_at(place) > 1:
            # The topic that leads is paused; the one that its parts wait for goes on.
            share = max(ledger.held / limits.partition_records, self._waiting_share())
            size += ledger.held_bytes
        if ledger.partition.topic not in self._retry_topics:
            records = ledger.blocked
            if records >= limits.partition_records and meetings is not None:
                # What blocks them may wait for a record behind them.
                records = 0 if meetings.is_needed(ledger.partition) else records
            records = max(records, round(share * limits.partition_records))
            return Load(records, size, ledger.map_load)
        share = max(share, self._delayed_share())
        return Load(round(share * limits.partition_records), 0, ledger.map_load)

    def _delayed_share(self) -> float:
        """Return how much of what may wait until it is due does wait.

        What is not due yet would fill the worker and keep the sources waiting.
        """
        limits, retry = self._limits, self._retry_topics
        delayed = [each for each in self._assignments.owned if each.partition.topic in retry]
        records = sum([each.in_flight - each.waiting for each in delayed])
        size = sum([each.in_flight_bytes - each.waiting_bytes for each in delayed])
        share = max(records / limits.worker_records, size / limits.worker_bytes)
        return share / _RETRY_SHARE
