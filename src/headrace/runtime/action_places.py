"""Places of steps that do something: call a model or a function, or split."""

import asyncio
import zlib
from collections.abc import Callable, Sequence

from headrace.core.batching import Batcher
from headrace.core.concurrency import AdaptiveLimit
from headrace.core.documents import copied
from headrace.core.fields import projection
from headrace.core.joining import Outcome
from headrace.core.ledger import leader_of
from headrace.core.models import BatchPolicy
from headrace.core.paths import getter, setter
from headrace.core.steps import FunctionStep, ModelStep, SplitStep, Step
from headrace.errors import (
    DocumentError,
    RecordError,
)
from headrace.ports import FunctionCaller, InferenceClient
from headrace.runtime.dispatcher import Dispatcher
from headrace.runtime.executor import Executor, FunctionExecutor, ModelExecutor, Work
from headrace.runtime.items import Item, Level
from headrace.runtime.places import Place, Site


class CallingPlace(Place):
    """The place of a step that calls something for documents.

    Args:
        step: The step.
        site: What it works with.
        batch: How documents gather.
        calls: Fewest and most calls at once.
    """

    def __init__(self, step: Step, site: Site, batch: BatchPolicy, calls: tuple[int, int]) -> None:
        super().__init__(step, site)
        self.executors: Sequence[Executor] = ()
        self._batch = batch
        self._calls = calls

    def start(self, tasks: asyncio.TaskGroup, on_progress: Callable[[], None]) -> None:
        """Begin to call; a dispatcher for each executor."""
        self.dispatchers = [
            Dispatcher(
                executor,
                Batcher(self._batch.max_size, self._batch.max_wait_s),
                AdaptiveLimit(*self._calls),
                tasks,
                self._stats,
                on_progress,
            )
            for executor in self.executors
        ]

    def again(self, work: Work, delay_s: float) -> None:
        """Call again for a document, after a delay."""
        [item] = work.items
        self.dispatchers[self._executor_of(item.id)].delay(work, delay_s)

    def _act(self, items: Sequence[Item]) -> None:
        if len(self.dispatchers) == 1:
            self.dispatchers[0].offer(items)
            return
        shares: dict[int, list[Item]] = {}
        for item in items:
            shares.setdefault(self._executor_of(item.id), []).append(item)
        for number, share in shares.items():
            self.dispatchers[number].offer(share)

    def _executor_of(self, id_: bytes) -> int:
        """Return which executor takes a record."""
        del id_
        return 0


class ModelPlace(CallingPlace):
    """The place of a step that calls a model; an executor for each version of it."""

    def __init__(self, step: ModelStep, site: Site, models: Sequence[InferenceClient]) -> None:
        calls = (step.model.min_in_flight, step.model.max_in_flight)
        super().__init__(step, site, step.batch, calls)
        self.executors = [ModelExecutor(step, model, self, site.around) for model in models]
        self._shares = [share for _, share in step.model.versions]

    def _executor_of(self, id_: bytes) -> int:
        """Return which version takes a record: always the same, by a hash of its id."""
        point = zlib.crc32(id_) % 100
        for number, share in enumerate(self._shares):
            point -= share
            if point < 0:
                return number
        return 0


class FunctionPlace(CallingPlace):
    """The place of a step that calls a function."""

    def __init__(self, step: FunctionStep, site: Site, function: FunctionCaller) -> None:
        super().__init__(step, site, step.batch, (step.workers, step.workers))
        self.executors = [FunctionExecutor(step, function, self, site.around)]


class SplitPlace(Place):
    """The place of a step that makes a record of every element of a list."""

    def __init__(self, step: SplitStep, site: Site) -> None:
        super().__init__(step, site)
        self._split_step = step
        self._elements = getter(step.each)
        self._keep = projection(step.keep)
        self._put = setter(step.as_)

    def _act(self, items: Sequence[Item]) -> None:
        for item in self._desk.open(items):
            try:
                self._split(item)
            except RecordError as error:
                self._desk.give_up(item, error)

    def _split(self, item: Item) -> None:
        step = self._split_step
        elements = self._elements(item.document)
        if not isinstance(elements, list):
            kind = type(elements).__name__
            raise DocumentError(
                f"field {step.each!r} is to be split and must be a list, not {kind}"
            )
        count = len(elements)
        if count > step.max_children:
            raise DocumentError(
                f"field {step.each!r} has {count:,} elements; the step splits"
                f" {step.max_children:,} (max_children)"
            )
        kept = self._keep(item.document)
        if not count:
            item.document = kept
            item.outcome = Outcome.EMPTY
            self._send_outcome(item)
            return
        scope = (*item.scope, Level(item.place, count))
        children = []
        for index, element in enumerate(elements):
            child = item.copy(copied(kept))
            child.id = b"%b/%d" % (item.id, index)
            child.scope = scope
            self._put(child.document, element)
            children.append(child)
        # A child that cannot leave is its parent's failure: a replay splits the parent again.
        routes = [self._route_of(child.document) for child in children] if self._routes else None
        lost = [
            child for child, route in zip(children, routes or (), strict=False) if route is None
        ]
        labels = None if routes is None else [route for route in routes if route is not None]
        children = [child for child in children if child not in lost] if lost else children
        rows = self._outputs.results(children, labels)
        for row in rows:
            if isinstance(row, RecordError):
                raise row
        leader_of(item.record).pending += count
        self._send(children, rows, labels)
        self._unmatched(lost)
        self._ends.settle([item], [[]])
