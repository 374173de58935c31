"""One stage of a pipeline in this process: start, run, drain, stop."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from headrace.core import wire
from headrace.core.batching import Batcher
from headrace.core.concurrency import AdaptiveLimit
from headrace.core.flow import FlowLimits
from headrace.core.lifecycle import Lifecycle, Phase
from headrace.core.records import Record
from headrace.core.topology import Stage
from headrace.errors import first_of
from headrace.ports import (
    Fetched,
    GroupView,
    InferenceClient,
    RecordSource,
    StageStatus,
    TransactionSink,
)
from headrace.runtime.assignments import Assignments
from headrace.runtime.back_pressure import BackPressure
from headrace.runtime.committer import Committer, Pace, Writer
from headrace.runtime.dispatcher import Dispatcher
from headrace.runtime.executor import Executor, Work
from headrace.runtime.outputs import Outputs, TopicFacts
from headrace.runtime.stats import StageStats
from headrace.runtime.status import snapshot

log = logging.getLogger("headrace.worker")


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
    model: InferenceClient


@dataclass(frozen=True, slots=True)
class Format:
    """How a value becomes a document and back."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]


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
            stage.step.ordering,
            settings.slot,
            self.stats,
            ignore_metadata=settings.ignore_metadata,
            pinned=[each.topic for each in stage.sources if each.start != "earliest"],
        )
        self.back_pressure = BackPressure(
            ports.source, self.assignments, settings.limits, stage.retry_topic
        )
        self.dispatcher: Dispatcher | None = None
        self._ports = ports
        self._settings = settings
        self._drain = asyncio.Event()
        self._executor = Executor(
            stage.step,
            ports.model,
            Outputs(stage, facts, fmt.encode),
            fmt.decode,
            settings.now_ms,
            settings.rng,
            self.stats,
        )
        self._committer = Committer(
            ports.sink,
            ports.group,
            self.assignments,
            Writer(settings.slot, settings.rng.getrandbits(63), settings.pace),
            self.stats,
            on_durable=self.back_pressure.relieve,
            is_busy=lambda: self.dispatcher is not None and self.dispatcher.busy > 0,
        )

    def drain(self) -> None:
        """Finish calls under way, commit, leave the group and return from `run`."""
        self._drain.set()

    def status(self) -> StageStatus:
        """Return a snapshot."""
        stage = self.stage
        names = (
            stage.pipeline,
            stage.name,
            stage.step.name,
            stage.step.model.name,
            self._settings.slot,
        )
        return snapshot(
            names,
            self.lifecycle.phase,
            self.stats,
            self.assignments,
            self.dispatcher,
            asyncio.get_running_loop().time(),
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
            await self._ports.model.close()
        self.lifecycle.move(Phase.STOPPED)

    async def _run_in(self, tasks: asyncio.TaskGroup) -> None:
        dispatcher = self._dispatch_in(tasks)
        committing = tasks.create_task(self._committer.run(), name="committer")
        watching = tasks.create_task(self._watch(), name="watch-assignments")
        try:
            await self._ports.source.start(self.assignments)
            fetching = tasks.create_task(self._fetch(dispatcher), name="fetch")
            for task in (committing, watching, fetching):
                # The task group is going down: a timer that fires now must start no call.
                task.add_done_callback(lambda _: dispatcher.stop())
            self.lifecycle.move(Phase.RUNNING)
            await self._drain.wait()
        finally:
            dispatcher.stop()
        self.lifecycle.move(Phase.DRAINING)
        log.info("draining", extra={"event": "draining", "stage": self.stage.name})
        fetching.cancel()
        await self._finish(dispatcher)
        await self._ports.source.close()
        committing.cancel()
        watching.cancel()

    def _dispatch_in(self, tasks: asyncio.TaskGroup) -> Dispatcher:
        """Begin to dispatch, with calls and rebalances at work in a task group."""
        step = self.stage.step
        dispatcher = self.dispatcher = Dispatcher(
            self._executor,
            Batcher(step.batch.max_size, step.batch.max_wait_s),
            AdaptiveLimit(step.model.min_in_flight, step.model.max_in_flight),
            tasks,
            self.stats,
            on_progress=self._committer.wake,
        )

        def reassigned() -> None:
            dispatcher.forget_dropped()
            self._committer.wake()
            self.back_pressure.relieve()

        self.assignments.bind(self._ports.source, tasks, self._committer.barrier, reassigned)
        return dispatcher

    async def _finish(self, dispatcher: Dispatcher) -> None:
        """Let calls under way end and commit their results; cut what takes too long."""
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await dispatcher.drain()
                await self._committer.barrier()
        except TimeoutError:
            log.warning(
                "calls still under way after %.0f s; their records will be read again",
                self._settings.drain_s,
                extra={"event": "drain_timed_out"},
            )
        dispatcher.cancel()

    async def _watch(self) -> None:
        await self.assignments.failure

    # Taking records

    async def _fetch(self, dispatcher: Dispatcher) -> None:
        while True:
            await self.back_pressure.await_room()
            fetched = await self._ports.source.fetch()
            self._take(fetched, dispatcher)
            self.back_pressure.regulate()

    def _take(self, fetched: Fetched, dispatcher: Dispatcher) -> None:
        fresh: list[Record] = []
        for partition, group in itertools.groupby(fetched.records, attrgetter("partition")):
            ledger = self.assignments.current(partition, fetched.epoch)
            if ledger is None:
                continue
            taken = ledger.take(list(group))
            self.stats.read += len(taken)
            if partition.topic == self.stage.retry_topic:
                taken = self._hold_back(taken, dispatcher)
            fresh += taken
        for partition, position in fetched.positions.items():
            ledger = self.assignments.current(partition, fetched.epoch)
            if ledger is not None:
                ledger.advance(position)
        if fresh:
            dispatcher.offer(fresh)

    def _hold_back(self, records: Sequence[Record], dispatcher: Dispatcher) -> Sequence[Record]:
        """Return the records that are due; delay the others."""
        due: list[Record] = []
        self.stats.out_of_lane += len(records)
        now = self._settings.now_ms()
        for record in records:
            headers = dict(record.headers or ())
            wait_ms = _number(headers.get(wire.NOT_BEFORE)) - now
            attempt = max(1, _number(headers.get(wire.ATTEMPT)))
            if wait_ms <= 0 and attempt == 1:
                due.append(record)
            else:
                dispatcher.delay(Work([record], attempt=attempt), max(0, wait_ms) / 1e3)
        return due


def _number(text: bytes | None) -> int:
    """Return the number in a header, 0 where it is missing or unreadable."""
    return int(text) if text is not None and text.isdigit() else 0
