"""Which work goes to the model next, and when: slots, delays, and the pause of a dead model."""

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from headrace.core.batching import Batcher
from headrace.core.concurrency import AdaptiveLimit
from headrace.errors import InferenceError
from headrace.runtime.executor import Executor, Outcome, Work
from headrace.runtime.items import Item
from headrace.runtime.stats import StageStats

FIRST_PROBE_S = 0.1
"""Pause before the first probe of a model that cannot answer."""

SLOWEST_PROBE_S = 0.5
"""Longest pause between probes: the first result comes this soon after the model is back."""

log = logging.getLogger("headrace.dispatcher")


@dataclass(slots=True)
class Pause:
    """A step whose model cannot answer.

    Attributes:
        reason: The error that began it, or the latest of a probe.
        since: When it began, loop time.
        probe_at: When the next probe is due, loop time.
        delay_s: Pause before the probe after that.
        is_probing: Whether a probe is under way.
        is_loud: Whether it was said that somebody has to act.
    """

    reason: InferenceError
    since: float
    probe_at: float
    delay_s: float = FIRST_PROBE_S
    is_probing: bool = False
    is_loud: bool = False


@dataclass(slots=True)
class _Call:
    began: float
    rows: int
    has_slot: bool = True


class Dispatcher:
    """Hands work to the executor while the model has free slots.

    Driven by calls, not by a task of its own: whatever changes what could be sent calls `pump`.
    While the model cannot answer, a real request of one record is sent at growing intervals (one
    that also wakes a service scaled to zero) and everything else waits without using attempts.

    Attributes:
        asking: Calls under way, each in a slot.
        busy: These, and the calls whose answers are still worked on.
        pause: Set while the step is paused.
    """

    def __init__(
        self,
        executor: Executor,
        batcher: Batcher[Item],
        concurrency: AdaptiveLimit,
        tasks: asyncio.TaskGroup,
        stats: StageStats,
        on_progress: Callable[[], None],
    ) -> None:
        self.asking = 0
        self.busy = 0
        self.pause: Pause | None = None
        self._executor = executor
        self._batcher = batcher
        self._concurrency = concurrency
        self._tasks = tasks
        self._stats = stats
        self._on_progress = on_progress
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Work] = deque()
        self._delayed: list[tuple[float, int, Work]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_stopped = False
        self._calls: set[asyncio.Task[None]] = set()

    @property
    def slots(self) -> int:
        """Calls that may be under way at once."""
        return self._concurrency.limit

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a delay or a free slot, batches not formed left out."""
        return len(self._ready) + len(self._delayed)

    def offer(self, records: Sequence[Item]) -> None:
        """Take fresh records."""
        self._batcher.add(records, self._loop.time())
        self.pump()

    def delay(self, work: Work, delay_s: float) -> None:
        """Take work that may not start before a delay."""
        due = self._loop.time() + delay_s
        heapq.heappush(self._delayed, (due, next(self._order), work))
        self.pump()

    def forget_dropped(self) -> None:
        """Let go of records whose ledgers were dropped: a model that is down takes none of them."""
        self._batcher.discard(_is_dropped)
        live = [self._living(work) for work in self._ready]
        self._ready = deque(work for work in live if work.items)
        delayed = [(due, order, self._living(work)) for due, order, work in self._delayed]
        self._delayed = [each for each in delayed if each[2].items]
        heapq.heapify(self._delayed)
        self.pump()

    def stop(self) -> None:
        """Start nothing more."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def cancel(self) -> None:
        """Cut calls under way; their records are not finished."""
        self.stop()
        for call in self._calls:
            call.cancel()

    async def drain(self) -> None:
        """Start nothing more; return when no call is under way and every answer is worked on."""
        self.stop()
        await self._idle.wait()

    def pump(self) -> None:
        """Send what can be sent now and set the timer for what comes next."""
        if self._is_stopped:
            return
        now = self._loop.time()
        while self.asking < self._concurrency.limit:
            work = self._next(now)
            if work is None:
                break
            self.asking += 1
            self.busy += 1
            self._idle.clear()
            call = self._tasks.create_task(self._run(work), name="infer")
            self._calls.add(call)
            call.add_done_callback(self._ended)
        self._arm(now)

    def _next(self, now: float) -> Work | None:
        if self.pause is not None:
            return self._probe(self.pause, now)
        return self._pick(now)

    def _pick(self, now: float) -> Work | None:
        if self._delayed and self._delayed[0][0] <= now:
            return heapq.heappop(self._delayed)[2]
        if self._ready:
            return self._ready.popleft()
        free = self._concurrency.limit - self.asking
        records = self._batcher.take(now, free, self.asking)
        return Work(records) if records else None

    def _living(self, work: Work) -> Work:
        """Leave out records whose ledger was dropped while they waited."""
        if any(map(_is_dropped, work.items)):
            return work.only([r for r, record in enumerate(work.items) if not _is_dropped(record)])
        return work

    def _probe(self, pause: Pause, now: float) -> Work | None:
        if pause.is_probing or now < pause.probe_at:
            return None
        work = self._pick(now)
        if work is None or not work.items:
            return None
        if len(work.items) > 1:
            self._ready.appendleft(work.part(1, len(work.items)))
            work = work.part(0, 1)
        pause.is_probing = True
        return work

    async def _run(self, work: Work) -> None:
        call = _Call(self._loop.time(), len(work.items))
        is_probe = self.pause is not None
        outcome = await self._executor.run(work, partial(self._answered, call))
        now = self._loop.time()
        if outcome.pause is not None or outcome.timed_out:
            self._concurrency.on_overload(now)
        self.asking -= call.has_slot
        self.busy -= 1
        self._conclude(outcome, is_probe=is_probe, now=now)
        if self._executor.refuses_batches:
            self._batcher.stop_batching()
        if not self.busy:
            self._idle.set()
        self.pump()
        self._on_progress()

    def _answered(self, call: "_Call") -> bool:
        """Give a call's slot to the next; return whether there is one."""
        now = self._loop.time()
        self._stats.model_latency.observe(now - call.began)
        self._concurrency.on_answer(now - call.began, call.rows, self.asking, now)
        call.has_slot = False
        self.asking -= 1
        before = self.busy
        self.pump()
        return self.busy > before

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if call.cancelled() or call.exception() is not None:
            self.stop()  # the task group is going down and takes no more

    def _conclude(self, outcome: Outcome, *, is_probe: bool, now: float) -> None:
        if outcome.pause is not None:
            self._ready.extendleft(work for _, work in outcome.follow)
            pause = self._pause_for(outcome.pause, now, is_probe=is_probe)
            if outcome.is_loud and not pause.is_loud:
                pause.is_loud = True
                log.error("somebody has to act: %s", outcome.pause, extra={"event": "step_refused"})
            return
        if is_probe and self.pause is not None:
            log.warning(
                "the model answers again after %.1f s",
                now - self.pause.since,
                extra={"event": "step_resumed"},
            )
            self.pause = None
        for delay_s, work in outcome.follow:
            if delay_s > 0:
                heapq.heappush(self._delayed, (now + delay_s, next(self._order), work))
            else:
                self._ready.append(work)

    def _pause_for(self, reason: InferenceError, now: float, *, is_probe: bool) -> Pause:
        pause = self.pause
        if pause is None:
            pause = self.pause = Pause(reason, now, now + FIRST_PROBE_S)
            log.warning(
                "step paused, nothing is lost: %s",
                reason,
                extra={"event": "step_paused", "error": type(reason).__name__},
            )
        elif is_probe:
            pause.reason = reason
            pause.is_probing = False
            pause.delay_s = min(2 * pause.delay_s, SLOWEST_PROBE_S)
            pause.probe_at = now + pause.delay_s
        return pause

    def _arm(self, now: float) -> None:
        """Wake up when the next delayed, gathering or probing work is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.asking >= self._concurrency.limit:
            return
        due = now if self._ready else self._batcher.due_at()
        if self._delayed:
            due = self._delayed[0][0] if due is None else min(due, self._delayed[0][0])
        if self.pause is not None and due is not None:
            due = None if self.pause.is_probing else max(due, self.pause.probe_at)
        if due is not None:
            self._timer = self._loop.call_at(max(due, now + 0.0005), self.pump)


def _is_dropped(item: Item) -> bool:
    return bool(item.record.ledger.is_dropped)
