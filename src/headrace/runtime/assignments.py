"""Which partitions this worker owns, and where it resumes them after a rebalance."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

from headrace.core import offset_map
from headrace.core.ledger import Ledger
from headrace.core.records import Committed, TopicPartition
from headrace.errors import (
    BrokerError,
    BrokerUnavailableError,
    ConfigError,
    HeadraceError,
    MetadataError,
)
from headrace.ports import Assignment, Bounds, GroupToken, GroupView, RecordSource
from headrace.runtime.lanes import UNORDERED, Lanes
from headrace.runtime.stats import StageStats

LAST_COMMIT_S = 3.0
"""Longest that a revocation waits for the last commit."""

UNSTABLE_FOR_S = 1.0
"""Offsets that stay unstable this long belong to a writer that may be dead."""

FIRST_POLL_S = 0.005
"""First pause between two looks at unstable offsets: mostly our own commit's markers are late."""

SLOWEST_POLL_S = 0.05
"""Longest pause between two looks."""

TOGETHER_WITHIN_S = 30.0
"""Partitions of one number are assigned to one worker within this time, or never."""

QUICK_POLLS = 4
"""Looks inside the rebalance itself before a partition is assigned paused."""

log = logging.getLogger("headrace.assignments")


class Assignments:
    """The ledgers of this worker's partitions, kept through rebalances.

    A revoked ledger is parked with its calls in flight. When its partition comes back and Kafka
    holds exactly what this worker wrote last, it is adopted and nothing is repeated; otherwise
    it is dropped and its late results with it.

    Attributes:
        epoch: This member's current assignment epoch.
        token: Membership that goes with it, None before the first assignment.
        ledgers: Ledger of every owned partition whose position is known.
        failure: Set with the error that must stop the worker.
    """

    def __init__(
        self,
        group: GroupView,
        lanes: Mapping[str, Lanes],
        slot: str,
        stats: StageStats,
        *,
        ignore_metadata: bool = False,
        pinned: Collection[str] = (),
        together: Collection[str] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Own nothing yet.

        Args:
            group: What Kafka knows of the group.
            lanes: How records are lined up, by topic; those of other topics are not.
            slot: The worker's name in the fleet.
            stats: Counters.
            ignore_metadata: Whether unreadable commits are no reason to stop.
            pinned: Topics that do not begin at their earliest record.
            together: Topics whose records may finish together: their partitions of one number
                are begun, adopted and dropped as one.
            counts: Partitions of every topic when the worker started.
        """
        self.epoch = 0
        self.token: GroupToken | None = None
        self.ledgers: dict[TopicPartition, Ledger] = {}
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._group = group
        self._lanes = lanes
        self._counts = counts or {}
        self._together = tuple(together)  # in this order everywhere: a run can be repeated
        self._slot = slot
        self._stats = stats
        self._ignore_metadata = ignore_metadata
        self._pinned = frozenset(pinned)
        self._parked: dict[TopicPartition, Ledger] = {}
        self._pending: dict[TopicPartition, int] = {}
        self._source: RecordSource | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._last_commit: Callable[[], Awaitable[None]] | None = None
        self._on_change: Callable[[], None] = lambda: None

    def bind(
        self,
        source: RecordSource,
        tasks: asyncio.TaskGroup,
        last_commit: Callable[[], Awaitable[None]],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Name what rebalances act on: the source, where tasks run, and the last commit.

        `on_change` is called whenever a ledger was begun, adopted, parked or dropped.
        """
        self._source, self._tasks, self._last_commit = source, tasks, last_commit
        self._on_change = on_change

    def current(self, partition: TopicPartition, epoch: int) -> Ledger | None:
        """Return the ledger that takes records fetched in `epoch`, if any may."""
        ledger = self.ledgers.get(partition)
        if ledger is None or not ledger.is_owned or epoch < ledger.epoch:
            return None
        return ledger

    @property
    def owned(self) -> Iterable[Ledger]:
        """Ledgers whose results may be committed now."""
        return [ledger for ledger in self.ledgers.values() if ledger.is_owned]

    def drop(self, ledger: Ledger) -> None:
        """Give up a ledger that somebody else's commit has overtaken, and all that go with it.

        Its new owner has those as well; this worker only does not know yet.
        """
        fellows = self._fellows(ledger.partition)
        for each in (ledger, *fellows):
            self._forget(each)
        self._stats.discarded += 1 + len(fellows)
        self._on_change()

    def _let_go(self, ledger: Ledger) -> None:
        """Drop a ledger and those whose records may finish with its own."""
        for each in (ledger, *self._fellows(ledger.partition)):
            if each is not ledger and each.is_owned:
                self._fail(
                    BrokerError(
                        f"{each.partition} stayed while {ledger.partition} moved: parts of one"
                        " record must be read by one worker; start this one again"
                    )
                )
            self._forget(each)

    def _forget(self, ledger: Ledger) -> None:
        ledger.drop()
        for known in (self.ledgers, self._parked):
            if known.get(ledger.partition) is ledger:
                del known[ledger.partition]

    def _fellows(self, partition: TopicPartition) -> list[Ledger]:
        """Return the ledgers whose records may finish with those of a partition."""
        if partition.topic not in self._together:
            return []
        known = (*self.ledgers.values(), *self._parked.values())
        return [
            ledger
            for ledger in known
            if ledger.partition.partition == partition.partition
            and ledger.partition.topic in self._together
            and ledger.partition != partition
            and not ledger.is_dropped
        ]

    # What the source tells, inside a rebalance

    async def revoked(self, epoch: int, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is released, for at most 3 s, then park the ledgers."""
        if self._last_commit is not None and any(p in self.ledgers for p in partitions):
            try:
                async with asyncio.timeout(LAST_COMMIT_S):
                    await self._last_commit()
            except TimeoutError:
                log.warning(
                    "the last commit of a revocation took too long",
                    extra={"event": "last_commit_timed_out", "epoch": epoch},
                )
        self.epoch = epoch
        unfinished = 0
        for partition in partitions:
            self._pending.pop(partition, None)
            ledger = self.ledgers.pop(partition, None)
            if ledger is not None:
                ledger.is_owned = False
                self._parked[partition] = ledger
                unfinished += ledger.in_flight - len(ledger.released) - ledger.blocked
        self._on_change()
        log.info(
            "partitions revoked",
            extra={
                "event": "revoked",
                "epoch": epoch,
                "partitions": _names(partitions),
                "unfinished": unfinished,
            },
        )

    async def assigned(self, assignment: Assignment) -> Mapping[TopicPartition, int | None]:
        """Adopt or begin the ledger of every added partition."""
        self.epoch, self.token = assignment.epoch, assignment.token
        self._stats.rebalances += 1
        if self._has_grown(assignment.added):
            return dict.fromkeys(assignment.added)
        self._pending |= dict.fromkeys(assignment.added, assignment.epoch)
        for partition in self._parked.keys() - self._pending.keys():
            # Somebody else has it now; what is kept for it would only fill the memory.
            if partition in self._parked:
                self._let_go(self._parked[partition])
        self._on_change()
        positions: dict[TopicPartition, int | None] = dict.fromkeys(assignment.added)
        try:
            await self._begin_quickly(assignment.epoch, positions)
        except BrokerUnavailableError as error:
            log.warning(
                "cannot read committed offsets: %s", error, extra={"event": "offsets_unreadable"}
            )
        except HeadraceError as error:
            self._fail(error)
            return positions
        pending = [p for p, position in positions.items() if position is None]
        if pending and self._tasks is not None:
            self._tasks.create_task(
                self._resolve(assignment.epoch, pending), name=f"resolve-{assignment.epoch}"
            )
        log.info(
            "partitions assigned",
            extra={
                "event": "assigned",
                "epoch": assignment.epoch,
                "partitions": _names(assignment.added),
                "unstable": _names(pending),
            },
        )
        return positions

    # Where a partition resumes

    def _has_grown(self, partitions: Iterable[TopicPartition]) -> bool:
        """Stop the worker at a partition that was not there when it started.

        The topics that it writes to have none of that number, and it does not know their size.
        """
        grown = {p.topic for p in partitions if p.partition >= self._counts.get(p.topic, 2**31)}
        if grown:
            self._fail(
                ConfigError(
                    f"{', '.join(sorted(grown))} has more partitions than when this worker"
                    " started: let the pipeline's own topics grow with `headrace topics apply`,"
                    " and start the workers again; nothing is lost"
                )
            )
        return bool(grown)

    async def _begin_quickly(self, epoch: int, positions: dict[TopicPartition, int | None]) -> None:
        """Begin what is stable, looking again for a few milliseconds; fill in the positions.

        A broker acknowledges a commit before its markers are written: nearly half of the reads
        right after the last commit of a revocation find it unstable, for 2 to 40 ms. What has
        begun stays in `positions` where a later look fails: nobody else would tell the source.
        """
        positions |= await self._begin_stable(epoch, list(positions))
        for look in range(QUICK_POLLS):
            pending = [p for p, position in positions.items() if position is None]
            if not pending:
                break
            await asyncio.sleep(FIRST_POLL_S * 2**look)
            positions |= await self._begin_stable(epoch, pending)

    async def _begin_stable(
        self, epoch: int, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Begin or adopt an epoch's partitions whose committed offsets are stable.

        While a transaction of ours over a partition has not ended, even a stable offset says
        nothing: its own commit may still arrive.
        """
        partitions = [
            p for p in partitions if (own := self._parked.get(p)) is None or not own.is_committing
        ]
        if not partitions:
            return {}
        committed = await self._group.committed(partitions)
        stable = {p: c for p in partitions if (c := committed.get(p)) is not None}
        bounds = await self._group.bounds(list(stable))
        starts = await self._group.start_offsets([p for p, c in stable.items() if c.offset is None])
        begun = {
            p: self._begin(p, c, bounds[p], starts.get(p))
            for p, c in self._complete(stable).items()
            if self._pending.get(p) == epoch
        }
        self._on_change()
        return begun

    def _complete(
        self, stable: Mapping[TopicPartition, Committed]
    ) -> Mapping[TopicPartition, Committed]:
        """Return of stable partitions those whose fellows are all stable, or begun before.

        Where one of them cannot be adopted, none is: their records finish together.
        """
        if not self._together:
            return stable
        complete: dict[TopicPartition, Committed] = {}
        for number in {partition.partition for partition in stable}:
            fellows = [TopicPartition(topic, number) for topic in self._together]
            if not all(each in stable or each in self.ledgers for each in fellows):
                continue
            mine = {each: stable[each] for each in fellows if each in stable}
            parked = [(self._parked[p], c) for p, c in mine.items() if p in self._parked]
            if parked and not all(ledger.can_resolve(c) for ledger, c in parked):
                for ledger, _ in parked:
                    if not ledger.is_dropped:
                        self.drop(ledger)
            complete |= mine
        return complete

    def _begin(
        self, partition: TopicPartition, committed: Committed, bounds: Bounds, start: int | None
    ) -> int:
        epoch = self._pending.pop(partition)
        ledger = self._parked.pop(partition, None)
        if ledger is not None and ledger.resolve(committed):
            self._stats.adopted += 1
            ledger.is_owned = True
            log.info(
                "ledger adopted",
                extra={"event": "adopted", "partition": str(partition), "offset": ledger.base},
            )
        else:
            if ledger is not None:
                self.drop(ledger)
            ledger = self._open(partition, committed, bounds, start)
        ledger.epoch = epoch
        self.ledgers[partition] = ledger
        return ledger.position

    def _open(
        self, partition: TopicPartition, committed: Committed, bounds: Bounds, start: int | None
    ) -> Ledger:
        position = committed.offset
        if position is None:
            position = bounds.start if start is None else start
        try:
            done = offset_map.decode(committed.metadata, position).finished
        except MetadataError as error:
            if not self._ignore_metadata:
                raise MetadataError(
                    f"{partition}: {error}; another program uses this consumer group, or the"
                    " commit is damaged. Give the pipeline another name, or start once with"
                    " --ignore-metadata (finished records above the offset are repeated)"
                ) from error
            done = offset_map.decode("", position).finished
        done.drop_from(bounds.end)
        if committed.offset is not None and position < bounds.start:
            self._report_lost(partition, position, bounds.start)
            position = bounds.start
        lanes = self._lanes.get(partition.topic, UNORDERED)
        ledger = Ledger(partition, committed, position, done, lanes.ordering, lanes.drives)
        ledger.must_pin = committed.offset is None and partition.topic in self._pinned
        return ledger

    def _report_lost(self, partition: TopicPartition, position: int, start: int) -> None:
        self._stats.lost += start - position
        log.error(
            "records lost: %s no longer holds offsets %d to %d, deleted before they were processed",
            partition,
            position,
            start - 1,
            extra={"event": "records_lost", "partition": str(partition), "from": position},
        )

    async def _resolve(self, epoch: int, pending: Sequence[TopicPartition]) -> None:
        """Wait until the offsets of partitions are stable; end the orphan that holds them.

        Other assignments may come meanwhile, where partitions are assigned one by one: only what
        was revoked since is let go.
        """
        loop = asyncio.get_running_loop()
        fence_at = loop.time() + UNSTABLE_FOR_S
        apart_at = loop.time() + TOGETHER_WITHIN_S
        while pending := [p for p in pending if self._pending.get(p) == epoch]:
            await asyncio.sleep(SLOWEST_POLL_S)
            try:
                if loop.time() >= fence_at:
                    await self._fence_writers(pending)
                    fence_at = loop.time() + UNSTABLE_FOR_S
                positions = await self._begin_stable(epoch, pending)
            except BrokerError as error:
                log.warning("cannot resolve offsets: %s", error, extra={"event": "resolve_failed"})
                continue
            except HeadraceError as error:
                self._fail(error)
                return
            for partition, position in positions.items():
                if self._source is not None:
                    self._source.start_at(epoch, partition, position)
            if loop.time() >= apart_at:
                self._require_together(pending)
                apart_at = loop.time() + TOGETHER_WITHIN_S

    def _require_together(self, pending: Sequence[TopicPartition]) -> None:
        """Stop the worker if it has some partitions of a number, and others do not come."""
        for partition in pending:
            if partition not in self._pending or partition.topic not in self._together:
                continue
            absent = [
                topic
                for topic in sorted(self._together)
                if (each := TopicPartition(topic, partition.partition)) not in self._pending
                and each not in self.ledgers
            ]
            if absent:
                self._fail(
                    ConfigError(
                        f"{partition} is assigned to this worker, but partition"
                        f" {partition.partition} of {', '.join(absent)} is not: parts of one record"
                        " must meet in one worker. Have the topics the same number of partitions?"
                        " `headrace lint --live` compares them"
                    )
                )
                return

    async def _fence_writers(self, partitions: Sequence[TopicPartition]) -> None:
        """End the open transactions of slots that wrote these partitions and are not alive."""
        known = await self._group.committed(partitions, stable=False)
        alive = await self._group.slots()
        dead = set()
        for committed in known.values():
            if committed is None or committed.offset is None:
                continue
            with suppress(MetadataError):
                slot = offset_map.decode(committed.metadata, committed.offset).slot
                if slot and slot not in alive and slot != self._slot:
                    dead.add(slot)
        for slot in sorted(dead):
            await self._group.fence(slot)
            self._stats.fenced += 1
            log.warning(
                "ended the open transaction of dead slot %s", slot, extra={"event": "heir_fenced"}
            )

    def _fail(self, error: HeadraceError) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)


def _names(partitions: Iterable[TopicPartition]) -> str:
    return " ".join(str(partition) for partition in partitions)
