"""A consumer of the simulated broker, behaving as the Kafka adapter's poll thread does."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from headrace.core.records import Record, TopicPartition
from headrace.errors import InvariantError, OffsetOutOfRangeError
from headrace.ports import Assignment, AssignmentListener, Fetched, GroupToken
from headrace.testing.broker import SimulatedBroker
from headrace.testing.hazards import ZOMBIE
from headrace.testing.log import PartitionLog
from headrace.testing.membership import NO_MEMBER, Member
from headrace.testing.processes import SimulatedProcess
from headrace.testing.transactions import RefusedError

REVOKED_BOUND_S = 3.0
ASSIGNED_BOUND_S = 8.0
_MOST_RECORDS = 500
_Answer = TypeVar("_Answer")
_Call: TypeAlias = Callable[[], Coroutine[Any, Any, _Answer]]
_SLOWEST_ZOMBIE_S = 8.0


class SimulatedSource:
    """A `RecordSource` on a `SimulatedBroker`.

    Rebalances run in a task of their own, whether `fetch` is called or not. What `fetch` returns
    may be of an epoch that ended on the way. A listener that needs longer than 3 s for `revoked`
    or 8 s for `assigned` goes on, but is no longer waited for; its next call waits for it.

    Args:
        broker: The cluster.
        process: Whose client this is.
        group: Consumer group.
        topics: Topics to subscribe to.
        static: Whether the slot is the member's static identity.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        process: SimulatedProcess,
        group: str,
        topics: Sequence[str],
        *,
        static: bool = False,
    ) -> None:
        self._broker = broker
        self._process = process
        self._group = broker.group(group)
        self._topics = tuple(topics)
        self._static = static
        self._member: Member | None = None
        self._epoch = 0
        self._owned: list[TopicPartition] = []
        self._positions: dict[TopicPartition, int] = {}
        self._logs: dict[TopicPartition, PartitionLog] = {}
        self._reported: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._ready: Fetched | None = None
        self._woken: asyncio.Future[None] | None = None
        self._serving: asyncio.Task[None] | None = None
        self._is_closing = False
        self._failure: InvariantError | None = None
        self._turn = asyncio.Lock()
        process.on_crash(self._die)

    async def start(self, listener: AssignmentListener) -> None:
        """Join the group; rebalances begin in the background."""
        await self._broker.ask("start", self._process)
        name = f"{self._process.slot}: rebalances"
        self._serving = asyncio.create_task(self._serve(listener), name=name)
        self._process.owns(self._serving)

    async def fetch(self) -> Fetched:
        """Wait for records, or for a position at a log's end that was not reported yet."""
        while True:
            self._process.check()
            self._raise_failure()
            if self._ready is None and not self._broker.is_down:
                self._ready = self._read()
            if self._ready is None:
                await self._wait()
                continue
            if await self._broker.hazard("fetch", self._process) == ZOMBIE:
                self._lose_membership()
            fetched, self._ready = self._ready, None
            return fetched

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop reading partitions; what was read already may still come."""
        self._paused.update(p for p in partitions if p in self._owned)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Read paused partitions again."""
        self._paused.difference_update(partitions)
        self.wake()

    def start_at(self, epoch: int, partition: TopicPartition, offset: int) -> None:
        """Begin reading a partition that was assigned without an offset."""
        is_waiting = partition in self._owned and partition not in self._positions
        if epoch == self._epoch and is_waiting:
            self._read_from(partition, offset)
            self.wake()

    async def close(self) -> None:
        """Give everything back and leave; a static member is missed only after its session."""
        self._process.check()
        self._is_closing = True
        if self._serving is None:
            return
        if self._member is not None:
            if self._member.joined is not None:
                self._group.leave(self._member)
            self._member.tell()
        await asyncio.wait({self._serving})

    def wake(self) -> None:
        """Let a waiting `fetch` look again."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def _wait(self) -> None:
        if self._broker.is_down:
            await self._broker.up(self._process)
        else:
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken

    def _read(self) -> Fetched | None:
        hazards = self._broker.hazards
        room = hazards.some(_MOST_RECORDS)
        records: list[Record] = []
        positions: dict[TopicPartition, int] = {}
        for partition, position in list(self._positions.items()):
            if partition in self._paused:
                continue
            log = self._logs[partition]
            if not log.start <= position <= log.end:
                self._require_passed(partition, position)
                continue
            if position < log.stable_end and len(records) < room:
                found, position = log.read(position, room - len(records))  # noqa: PLW2901
                records += found
                self._positions[partition] = position
            if position == log.stable_end and self._reported.get(partition) != position:
                self._reported[partition] = positions[partition] = position
        if not records and not positions:
            return None
        return Fetched(self._epoch, records, positions)

    def _require_passed(self, partition: TopicPartition, position: int) -> None:
        """Fail unless the group went on without this member, which then hears of it soon."""
        committed = self._group.committed(partition, stable=False)
        if committed is None or committed.offset is None or committed.offset <= position:
            raise OffsetOutOfRangeError(f"{partition} has no offset {position}")

    async def _serve(self, listener: AssignmentListener) -> None:
        while True:
            member, generation = await self._join()
            if generation == NO_MEMBER:
                return
            await self._begin(listener, member, generation)
            await member.told
            if not self._is_closing:
                heartbeat_s = self._broker.settings.heartbeat_s
                await asyncio.sleep(self._broker.hazards.between(0.0, heartbeat_s))
            await self._revoke(listener)
            if self._is_closing:
                self._leave(member)
                return

    async def _join(self) -> tuple[Member, int]:
        while True:
            await self._broker.hazard("join", self._process)
            await self._broker.up(self._process)
            member = self._current_member()
            if self._is_closing:
                return member, NO_MEMBER
            generation = await self._group.join(member)
            await self._broker.hazard("sync", self._process)
            if generation != NO_MEMBER or self._is_closing:
                return member, generation

    def _current_member(self) -> Member:
        if self._member is None or not self._group.knows(self._member):
            slot = self._process.slot
            name = self._broker.new_member_id(slot)
            self._member = Member(name, slot, slot if self._static else "", self._topics)
        return self._member

    async def _begin(self, listener: AssignmentListener, member: Member, generation: int) -> None:
        self._epoch += 1
        self._owned = list(member.partitions)
        token = GroupToken(member.member_id, generation, member.member_id)
        assignment = Assignment(self._epoch, token, tuple(self._owned))
        asked = self._tell(partial(listener.assigned, assignment), "assigned")
        asked.add_done_callback(partial(self._resume, self._epoch))
        await asyncio.wait({asked}, timeout=ASSIGNED_BOUND_S)

    def _resume(self, epoch: int, asked: asyncio.Task[Mapping[TopicPartition, int | None]]) -> None:
        """Read where the listener said, if its answer still counts."""
        if asked.cancelled() or asked.exception() is not None or epoch != self._epoch:
            return
        for partition, offset in asked.result().items():
            if offset is not None:
                self._read_from(partition, offset)
        self.wake()

    def _read_from(self, partition: TopicPartition, offset: int) -> None:
        try:
            log = self._broker.log(partition)
        except RefusedError:
            return  # The topic was deleted; the rebalance that takes it away is on its way.
        self._logs[partition] = log
        self._positions[partition] = self._reported[partition] = offset
        log.readers[self] = None

    async def _revoke(self, listener: AssignmentListener) -> None:
        owned, self._owned = self._owned, []
        self._stop_reading()
        if owned:
            self._epoch += 1
            told = self._tell(partial(listener.revoked, self._epoch, owned), "revoked")
            await asyncio.wait({told}, timeout=REVOKED_BOUND_S)

    def _tell(self, call: _Call[_Answer], what: str) -> asyncio.Task[_Answer]:
        """Call the listener after all earlier calls of it are through."""
        name = f"{self._process.slot}: {what}"
        task = asyncio.create_task(self._in_turn(call), name=name)
        task.add_done_callback(self._blame)
        self._process.owns(task)
        return task

    async def _in_turn(self, call: _Call[_Answer]) -> _Answer:
        async with self._turn:
            return await call()

    def _blame(self, told: asyncio.Task[Any]) -> None:
        error = None if told.cancelled() else told.exception()
        if error is not None:
            self._failure = InvariantError(f"{told.get_name()} raised {error!r} in a rebalance")
            self._failure.__cause__ = error
            self.wake()

    def _stop_reading(self) -> None:
        for log in self._logs.values():
            log.readers.pop(self, None)
        for state in (self._logs, self._positions, self._reported, self._paused):
            state.clear()

    def _leave(self, member: Member) -> None:
        if self._static:
            loop = asyncio.get_running_loop()
            loop.call_later(self._broker.settings.session_timeout_s, self._group.leave, member)
        else:
            self._group.leave(member)

    def _lose_membership(self) -> None:
        if self._member is not None and self._member.joined is None:
            self._group.leave(self._member)
            delay = self._broker.hazards.between(0.0, _SLOWEST_ZOMBIE_S)
            asyncio.get_running_loop().call_later(delay, self._member.tell)

    def _die(self) -> None:
        self._stop_reading()
        if self._member is not None:
            settings = self._broker.settings
            last_heartbeat_s = self._broker.hazards.between(0.0, settings.heartbeat_s)
            missed_after = settings.session_timeout_s - last_heartbeat_s
            asyncio.get_running_loop().call_later(missed_after, self._group.leave, self._member)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
