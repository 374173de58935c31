"""The steps of a stage and the ways between them: from records that come to what they leave."""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from headrace.core.record_ids import source_offset
from headrace.core.records import Outgoing, TopicPartition
from headrace.core.steps import FunctionStep, ModelStep, Ordering, SplitStep, Step
from headrace.core.topology import Stage
from headrace.ports import FunctionCaller, InferenceClient
from headrace.runtime.action_places import FunctionPlace, ModelPlace, SplitPlace
from headrace.runtime.clusters import Waiting, clusters, is_whole
from headrace.runtime.dispatcher import Dispatcher
from headrace.runtime.ends import Ends
from headrace.runtime.executor import Surroundings
from headrace.runtime.lanes import reaching
from headrace.runtime.outputs import Outputs
from headrace.runtime.places import Format, Place, Site
from headrace.runtime.topic_facts import TopicFacts


@dataclass(frozen=True, slots=True)
class Actions:
    """What the steps of a stage call, by step.

    Attributes:
        models: Clients of every model step: one per version that shares its records, else one.
        functions: Callers of every function step.
    """

    models: Mapping[str, Sequence[InferenceClient]]
    functions: Mapping[str, FunctionCaller]

    async def close(self) -> None:
        """Close connections, threads and processes."""
        for clients in self.models.values():
            for client in clients:
                await client.close()
        for function in self.functions.values():
            await function.close()


class StageRun:
    """A stage at work: its steps, connected.

    Args:
        stage: The stage.
        facts: Its topics.
        fmt: How values are read and written.
        around: What every executor is given.
    """

    def __init__(
        self, stage: Stage, actions: Actions, facts: TopicFacts, fmt: Format, around: Surroundings
    ) -> None:
        self.dispatchers: list[Dispatcher] = []
        self._stage = stage
        self._facts = facts
        self._around = around
        self._reaching = reaching(stage)
        self._actions = actions
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._is_stopped = False
        splits = any(isinstance(step, SplitStep) for step in stage.steps)
        self._ends = Ends(keeps_order=splits and stage.ordering is not Ordering.NONE)
        self.failure: asyncio.Future[None] = self._loop.create_future()
        self._on_progress: Callable[[], None] = lambda: None
        self.steps = {step.name: self._made(step, facts, fmt) for step in stage.steps}
        for place in self.steps.values():
            place.connect(self.steps)
        self.collectors = [each for p in self.steps.values() if (each := p.collector) is not None]

    def start(self, tasks: asyncio.TaskGroup, on_progress: Callable[[], None]) -> None:
        """Begin to call models and functions, in a task group."""
        self._on_progress = on_progress

        def progressed() -> None:
            if self.collectors:
                self.watch_time()
            on_progress()

        for place in self.steps.values():
            place.start(tasks, progressed)
            self.dispatchers += place.dispatchers

    def stop(self) -> None:
        """Start nothing more."""
        self._is_stopped = True
        for dispatcher in self.dispatchers:
            dispatcher.stop()
        if self._timer is not None:
            self._timer.cancel()

    async def drain(self) -> None:
        """Start nothing more; return when no call is under way."""
        self.stop()
        for dispatcher in self.dispatchers:
            await dispatcher.drain()

    def cancel(self) -> None:
        """Cut calls under way; their records are not finished."""
        for dispatcher in self.dispatchers:
            dispatcher.cancel()

    @property
    def busy(self) -> int:
        """Calls under way, and answers that are still worked on."""
        return sum(dispatcher.busy for dispatcher in self.dispatchers)

    def forget_dropped(self) -> None:
        """Let go of records whose ledgers were dropped."""
        for collector in self.collectors:
            collector.forget_dropped()
        for dispatcher in self.dispatchers:
            dispatcher.forget_dropped()

    def spill(self, share: float) -> int:
        """Write a share of the incomplete groups to the retry topics; return how many.

        The lowest record of every partition number always stays, so that it once finds all of its
        parts. Groups that hold documents of one record go together, and only where nothing else of
        it is on its way: what they leave behind is written when the record is finished.
        """
        spilled = 0
        by_place: dict[int, list[Waiting]] = {}
        for pair in self._waiting():
            by_place.setdefault(pair[1].place, []).append(pair)
        for waiting in by_place.values():
            waiting.sort(key=lambda pair: source_offset(pair[1].id))
            together = clusters(waiting)
            for cluster in reversed(together[math.ceil((1.0 - share) * len(together)) :]):
                spilled += self._spill(cluster) if is_whole(cluster) else 0
        return spilled

    def _spill(self, cluster: Sequence[Waiting]) -> int:
        """Write groups that go together; return how many, none where no record can hold one."""
        rows: list[Outgoing] = []
        for collector, group in cluster:
            row = collector.spilled(group)
            if row is None:
                return 0
            rows.append(row)
        for (collector, group), row in zip(cluster, rows, strict=True):
            collector.spill(group, row)
        return len(rows)

    def is_needed(self, partition: TopicPartition) -> bool:
        """Whether the lowest id that waits in a partition number may find its parts there."""
        place = partition.partition
        waiting = [pair for pair in self._waiting() if pair[1].place == place]
        if not waiting:
            return False
        collector, group = min(waiting, key=lambda pair: source_offset(pair[1].id))
        return collector.lacks(group, partition)

    def _waiting(self) -> list[Waiting]:
        """Return every group that may be spilled, with where it waits."""
        return [(each, group) for each in self.collectors for group in each.groups]

    def open_at(self, place: int) -> int:
        """Return how many ids of a partition number wait for parts."""
        return max([each.open_at(place) for each in self.collectors], default=0)

    def waits_for(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether a part that something waits for could come through one of the partitions."""
        return any(each.waits_for(partitions) for each in self.collectors)

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has, as far as that is known."""
        return self._facts.partitions.get(topic, 2**31)

    def watch_time(self) -> None:
        """Call `expire` when the next group of parts has waited long enough."""
        dues = [due for each in self.collectors if (due := each.due_at()) is not None]
        if self._later:
            dues.append(self._later[0][0])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if dues and not self._is_stopped:
            self._timer = self._loop.call_at(min(dues), self._on_time)

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something after a delay, unless the stage has stopped by then."""
        if delay_s <= 0:
            act()
            return
        due = self._loop.time() + delay_s
        heapq.heappush(self._later, (due, next(self._order), act))
        self.watch_time()

    def _on_time(self) -> None:
        """Do what is due; a timer that fails would otherwise fail in silence."""
        try:
            self._expire()
        except Exception as error:  # noqa: BLE001  (it ends the worker, whatever it is)
            if not self.failure.done():
                self.failure.set_exception(error)

    def _expire(self) -> None:
        now = self._loop.time()
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()
        for place in self.steps.values():
            place.expire()
        self.watch_time()
        self._on_progress()

    def _made(self, step: Step, facts: TopicFacts, fmt: Format) -> Place:
        outputs = Outputs(self._stage, step, facts, fmt.encode, self._around.now_ms)
        site = Site(outputs, fmt, self._around, self._ends, self._reaching[step.name])
        match step:
            case ModelStep():
                return ModelPlace(step, site, self._actions.models[step.name])
            case FunctionStep():
                return FunctionPlace(step, site, self._actions.functions[step.name])
            case SplitStep():
                return SplitPlace(step, site)
        return Place(step, site)
