"""One stage of a pipeline in this process: start, run, drain, stop."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

from headrace.core.flow import FlowLimits
from headrace.core.lifecycle import Lifecycle, Phase
from headrace.core.topology import Stage
from headrace.errors import first_of
from headrace.ports import (
    Fetched,
    GroupView,
    RecordSource,
    StageStatus,
    TransactionSink,
)
from headrace.runtime.assignments import Assignments
from headrace.runtime.back_pressure import BackPressure
from headrace.runtime.committer import Committer, Pace, Writer
from headrace.runtime.executor import Surroundings
from headrace.runtime.intake import Intake
from headrace.runtime.lanes import lanes_of
from headrace.runtime.places import Format
from headrace.runtime.stage import Actions, StageRun
from headrace.runtime.stats import StageStats
from headrace.runtime.status import snapshot
from headrace.runtime.topic_facts import TopicFacts

log = logging.getLogger("headrace.worker")


SPILL_EVERY_S = 1.0
"""How often to look whether parts that wait for each other have filled the memory."""

SPILL_SHARE = 0.5
"""How many of them then go to the retry topic."""

LIMITS = FlowLimits(
    worker_records=20_000,
    worker_bytes=64 * 2**20,
    partition_records=5_000,
    partition_bytes=32 * 2**20,
)
"""What a worker holds unless it is told otherwise: some 100 MB with everything around it."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The adapters a worker acts through."""

    source: RecordSource
    group: GroupView
    sink: TransactionSink
    actions: Actions


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is told beside its stage.

    Attributes:
        slot: Its name in the fleet.
        limits: How much may be held. A partition's limits are for finished records that wait for
            an earlier one of their lane: those it holds alone, without using the model.
        drain_s: Longest a drain waits for calls under way, seconds.
        pace: How long results gather before a transaction.
        ignore_metadata: Start from committed offsets whose metadata cannot be read.
        rng: Source of jitter and nonces.
        now_ms: Wall clock, ms since the epoch.
    """

    slot: str
    limits: FlowLimits = LIMITS
    drain_s: float = 20.0
    pace: Pace = field(default_factory=Pace)
    ignore_metadata: bool = False
    rng: random.Random = field(default_factory=random.Random)
    now_ms: Callable[[], int] = field(default=lambda: time.time_ns() // 1_000_000)


class Worker:
    """Runs one stage until it is drained, cancelled or fails.

    Everything that is decided lives in `core`; this class connects source, dispatcher, committer
    and assignments in one task group, in which any failure ends the worker.
    """

    def __init__(
        self, stage: Stage, ports: Ports, facts: TopicFacts, fmt: Format, settings: Settings
    ) -> None:
        self.stage = stage
        self.stats = StageStats()
        self.lifecycle = Lifecycle()
        self.assignments = Assignments(
            ports.group,
            lanes_of(stage),
            settings.slot,
            self.stats,
            ignore_metadata=settings.ignore_metadata,
            pinned=[each.topic for each in stage.sources if each.start != "earliest"],
            together=stage.topics if stage.collects else (),
            counts=facts.partitions,
        )
        self._ports = ports
        self._settings = settings
        self._drain = asyncio.Event()
        around = Surroundings(fmt.decode, settings.now_ms, settings.rng, self.stats)
        self.steps = StageRun(stage, ports.actions, facts, fmt, around)
        self.back_pressure = BackPressure(
            ports.source,
            self.assignments,
            settings.limits,
            stage.retry_topics.values(),
            self.steps if stage.collects else None,
        )
        self._intake = Intake(stage, self.steps, settings.now_ms, self.stats)
        self._committer = Committer(
            ports.sink,
            ports.group,
            self.assignments,
            Writer(
                settings.slot,
                settings.rng.getrandbits(63),
                settings.pace,
                is_joint=stage.collects,
            ),
            self.stats,
            on_durable=self.back_pressure.relieve,
            is_busy=lambda: self.steps.busy > 0,
        )

    def drain(self) -> None:
        """Finish calls under way, commit, leave the group and return from `run`."""
        self._drain.set()

    def status(self) -> StageStatus:
        """Return a snapshot."""
        now = asyncio.get_running_loop().time()
        return snapshot(
            self.stage,
            self._settings.slot,
            self.lifecycle.phase,
            self.stats,
            self.assignments,
            self.steps.steps.values(),
            now,
        )

    async def run(self) -> None:
        """Run until drained.

        Raises:
            HeadraceError: The worker cannot go on; what was not committed will be read again.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._committer.open()
                await self._run_in(tasks)
        except BaseExceptionGroup as group:
            self.lifecycle.move(Phase.FAILED)
            raise first_of(group) from group
        finally:
            # A member that went on polling would keep its partitions from the other workers.
            await self._ports.source.close()
            await self._ports.sink.close()
            await self._ports.actions.close()
        self.lifecycle.move(Phase.STOPPED)

    async def _run_in(self, tasks: asyncio.TaskGroup) -> None:
        self._start_in(tasks)
        committing = tasks.create_task(self._committer.run(), name="committer")
        watching = tasks.create_task(self._watch(), name="watch-assignments")
        try:
            await self._ports.source.start(self.assignments)
            fetching = tasks.create_task(self._fetch(), name="fetch")
            moving = []
            if self.stage.collects:
                moving.append(tasks.create_task(self._keep_moving(), name="keep-moving"))
            for task in (committing, watching, fetching):
                # The task group is going down: a timer that fires now must start no call.
                task.add_done_callback(lambda _: self.steps.stop())
            self.lifecycle.move(Phase.RUNNING)
            await self._drain.wait()
        finally:
            self.steps.stop()
        self.lifecycle.move(Phase.DRAINING)
        log.info("draining", extra={"event": "draining", "stage": self.stage.name})
        fetching.cancel()
        await self._finish()
        await self._ports.source.close()
        committing.cancel()
        watching.cancel()
        for task in moving:
            task.cancel()

    def _start_in(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to work, with calls and rebalances in a task group."""

        def reassigned() -> None:
            self.steps.forget_dropped()
            self._committer.wake()
            self.back_pressure.relieve()

        def progressed() -> None:
            self._committer.wake()
            if self.stage.collects:
                # What waits for its parts makes room without being committed.
                self.back_pressure.relieve()

        self.steps.start(tasks, progressed)
        self.assignments.bind(self._ports.source, tasks, self._committer.barrier, reassigned)

    async def _finish(self) -> None:
        """Let calls under way end and commit their results; cut what takes too long."""
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await self.steps.drain()
                await self._committer.barrier()
        except TimeoutError:
            log.warning(
                "calls still under way after %.0f s; their records will be read again",
                self._settings.drain_s,
                extra={"event": "drain_timed_out"},
            )
        self.steps.cancel()

    async def _keep_moving(self) -> None:
        """Make room where a partition is paused that parts which hold the memory wait for."""
        while True:
            await asyncio.sleep(SPILL_EVERY_S)
            # What was spilled, or ended without a commit, made room as well.
            self.back_pressure.relieve()
            paused = self.back_pressure.paused
            is_stuck = not (self.back_pressure.has_room or self.steps.busy)
            if is_stuck or (paused and self.steps.waits_for(paused)):
                spilled = self.steps.spill(SPILL_SHARE)
                if not spilled:
                    continue
                self.stats.spilled += spilled
                log.info(
                    "memory is full: %d incomplete records wait in the retry topic",
                    spilled,
                    extra={"event": "spilled", "stage": self.stage.name},
                )
                self._committer.wake()

    async def _watch(self) -> None:
        await asyncio.wait(
            (self.assignments.failure, self.steps.failure), return_when=asyncio.FIRST_COMPLETED
        )
        for failure in (self.assignments.failure, self.steps.failure):
            if failure.done():
                failure.result()

    # Taking records

    async def _fetch(self) -> None:
        while True:
            await self.back_pressure.await_room()
            fetched = await self._ports.source.fetch()
            self._take(fetched)
            self.back_pressure.regulate()

    def _take(self, fetched: Fetched) -> None:
        for partition, group in itertools.groupby(fetched.records, attrgetter("partition")):
            ledger = self.assignments.current(partition, fetched.epoch)
            if ledger is None:
                continue
            taken = ledger.take(list(group))
            if taken:
                self.stats.read += len(taken)
                self._intake.take(partition.topic, taken)
        for partition, position in fetched.positions.items():
            ledger = self.assignments.current(partition, fetched.epoch)
            if ledger is not None:
                ledger.advance(position)
        if any(ledger.released for ledger in self.assignments.owned):
            # What was dropped or passed on needs no call whose end would wake the committer.
            self._committer.wake()
