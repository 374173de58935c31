"""Steps at work: what comes is collected, gated, handed to an action, and sent on."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.documents import copied
from headrace.core.fields import Projection, projection
from headrace.core.joining import Outcome
from headrace.core.ledger import Ledger, leader_of
from headrace.core.records import Record
from headrace.core.steps import (
    ELSE,
    GatherStep,
    Link,
    ModelStep,
    Step,
    Tombstones,
)
from headrace.errors import (
    ConfigError,
    DecodeError,
    DocumentError,
    RecordError,
)
from headrace.ports import Condition
from headrace.runtime.collecting import Collector, Tools
from headrace.runtime.dispatcher import Dispatcher
from headrace.runtime.ends import Ends
from headrace.runtime.executor import Desk, Surroundings, Work
from headrace.runtime.items import Item
from headrace.runtime.outputs import Cause, Outputs, Rows, reason_for
from headrace.runtime.stats import StepStats

log = logging.getLogger("headrace.stage")


@dataclass(frozen=True, slots=True)
class Format:
    """How a value becomes a document and back, and how a condition becomes a function."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    condition: Callable[[str], Condition] = lambda _: _no_conditions()


@dataclass(frozen=True, slots=True)
class Site:
    """What a place is given to work with.

    Attributes:
        outputs: Builds the records of its step.
        fmt: How values are read and written.
        around: What every executor of the stage is given.
        ends: Where the stage's documents end.
        topics: The topics that reach each inlet of the step, in the stage.
    """

    outputs: Outputs
    fmt: Format
    around: Surroundings
    ends: Ends
    topics: Sequence[Collection[str]] = ()


class Place:
    """One step at work: what comes is collected, gated, handed to its action, and sent on.

    By itself it is the place of a gather, which only collects.
    """

    def __init__(self, step: Step, site: Site) -> None:
        outputs, fmt, around, ends = site.outputs, site.fmt, site.around, site.ends
        self.step = step
        self.counts = StepStats()
        self._ends = ends
        self.collector: Collector | None = None
        self.dispatchers: list[Dispatcher] = []
        self.may_refuse = True
        self._outputs = outputs
        self._stats = around.stats
        self._decode = fmt.decode
        self._now_ms = around.now_ms
        self._desk = Desk(self, around)
        self._gate = fmt.condition(step.when) if step.when else None
        self._routes = [
            (label, None if text == ELSE else fmt.condition(text)) for label, text in step.routes
        ]
        self._links: list[tuple[Link, Place, Projection]] = []
        if step.join is not None or isinstance(step, GatherStep):
            loop = asyncio.get_running_loop()
            tools = Tools(
                outputs,
                fmt.decode,
                fmt.encode,
                loop.time,
                around.now_ms,
                ends.ended,
                self._count_letter,
            )
            self.collector = Collector(step, tools, site.topics)

    def connect(self, places: "Mapping[str, Place]") -> None:
        """Find the steps that its links lead to."""
        self._links = [
            (link, places[link.step], projection(link.fields)) for link in self.step.links
        ]
        only_goes_on = len(self._links) == 1 and not (self._outputs.writes or self._routes)
        self.may_refuse = not only_goes_on

    def start(self, tasks: asyncio.TaskGroup, on_progress: Callable[[], None]) -> None:
        """Begin to call what the step calls, if it calls anything."""

    # What comes

    def offer(self, items: Sequence[Item], inlet: int = 0) -> None:
        """Take documents and outcomes that come through an inlet."""
        if self.collector is not None:
            items = self.collector.add(items, inlet)
        self.enter(items)

    def restore(self, item: Item, headers: Mapping[str, bytes | None]) -> None:
        """Take parts that come back from the retry topic."""
        if self.collector is None:
            text = f"step {self.step.name!r} joins and gathers nothing; these are parts of a record"
            self._desk.give_up(item, DecodeError(text))
            return
        self.enter(self.collector.restore(item, headers))

    def again(self, work: Work, delay_s: float) -> None:
        """Take a whole document that comes back from the retry topic, after a delay."""
        del delay_s
        self.enter(work.items)

    def expire(self) -> None:
        """End groups of parts that have waited long enough."""
        if self.collector is not None:
            self.enter(self.collector.expire())

    def enter(self, items: Sequence[Item]) -> None:
        """Take whole documents and outcomes of its own: nothing of them is waited for."""
        result = Outcome.RESULT
        others = [item for item in items if item.outcome is not result]
        if others:
            items = [item for item in items if item.outcome is result]
            self._pass_outcomes(others)
        if items and self._gate is not None:
            items = self._gated(items, self._gate)
        if items:
            self._act(items)

    def _act(self, items: Sequence[Item]) -> None:
        self.passed(items)

    def _gated(self, items: Sequence[Item], gate: Condition) -> Sequence[Item]:
        open_: list[Item] = []
        shut: list[Item] = []
        for item in self._desk.open(items):
            try:
                (open_ if gate(item.document) else shut).append(item)
            except DocumentError as error:
                self._desk.give_up(item, error)
        if shut:
            self.dropped(shut)
        return open_

    def _pass_outcomes(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.outcome is Outcome.TOMBSTONE:
                match self.step.tombstones:
                    case Tombstones.DROP:
                        item.outcome = Outcome.DROPPED
                        self._count_dropped(1)
                    case Tombstones.DEAD_LETTER:
                        text = "the record has no value (a tombstone)"
                        self._desk.give_up(item, DecodeError(text))
                        continue
                    case Tombstones.FORWARD:
                        self._stats.written += 1
            self._send_outcome(item)

    # What goes (see `Fates`)

    def passed(self, items: Sequence[Item], version: str = "") -> None:
        """Send documents on."""
        if isinstance(self.step, ModelStep):
            self._sign(items, version)
        if not self.may_refuse:
            self._hand_over(items)
            return
        labels: list[str] | None = None
        if self._routes:
            routed = list(zip(items, self._labels(items), strict=True))
            items = [item for item, label in routed if label is not None]
            labels = [label for _, label in routed if label is not None]
        rows = self._outputs.results(items, labels)
        failed = [at for at, row in enumerate(rows) if isinstance(row, RecordError)]
        if failed:
            for at in failed:
                self._desk.give_up(items[at], rows[at], Work([items[at]]), version)  # type: ignore[arg-type]
            good = [at for at in range(len(items)) if not isinstance(rows[at], RecordError)]
            items = [items[at] for at in good]
            rows = [rows[at] for at in good]
            labels = None if labels is None else [labels[at] for at in good]
        self._send(items, rows, labels)

    def _hand_over(self, items: Sequence[Item]) -> None:
        """Let the next step have the documents themselves: nothing of them is left behind here."""
        [(link, place, project)] = self._links
        self.counts.results += len(items)
        if place.collector is not None:
            # Elsewhere what the step does not need only has to be left out of its dead letter.
            for item in items:
                item.document = project(item.document)
        for item in items:
            item.value = item.read = None
        place.offer(items, link.inlet)

    def _send(
        self, items: Sequence[Item], rows: Sequence[Rows], labels: Sequence[str] | None
    ) -> None:
        if self._outputs.writes:
            self._stats.written += len(items)
        self.counts.results += len(items)
        if self._links:
            self._send_along(items, labels)
        self._ends.settle(items, rows)

    def dropped(self, items: Sequence[Item]) -> None:
        """End documents without a result; whoever waits for them is told."""
        self._count_dropped(len(items))
        for item in items:
            item.outcome = Outcome.DROPPED
            self._send_outcome(item)

    def gave_up(self, item: Item, cause: Cause) -> None:
        """Dead-letter a document, or halt its lane where the step is strict."""
        if self.step.strict:
            self.counts.halted += 1
            log.error(
                "%r failed and its lane stops (strict): %s",
                item.record,
                cause.error,
                extra={"event": "lane_halted", "error": type(cause.error).__name__},
            )
            return
        self._count_letter(cause.error)
        self._ends.leave(item.record, self._outputs.dead_letter(item, cause))
        if item.document is None and item.value is not None and self.step.tells:
            self._open_for_outcome(item)
        item.outcome = Outcome.FAILED
        item.reason = reason_for(self.step.name, cause.error)
        self._send_outcome(item)

    def refuse(self, record: Record, error: DecodeError) -> None:
        """Dead-letter a record that headrace did not write, under its own place as its id.

        Its headers mean nothing, so nobody waits for it, and nobody is told.
        """
        ledger: Ledger = record.ledger
        id_ = ledger.id_prefix + b"%d" % record.offset
        item = Item(record, id_, record.value, record.partition.partition)
        record.pending = 1
        now = self._now_ms()
        cause = Cause(error, 0, now, now)
        if self.step.strict:
            self.gave_up(item, cause)
            return
        self._count_letter(error)
        self._ends.ended(record, 1, [self._outputs.dead_letter(item, cause)])

    def _open_for_outcome(self, item: Item) -> None:
        """Decode what was given up unread, for what its outcome tells; nothing if that is no use.

        An outcome has no bytes but those that it was read as.
        """
        try:
            item.document = self._decode(item.value)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  (whatever a decoder of any format raises)
            item.value = None

    def sent_round(self, item: Item, cause: Cause, not_before_ms: int) -> None:
        """Send a document through the retry topic."""
        self._ends.settle([item], [[self._outputs.retry(item, cause, not_before_ms)]])

    def _send_outcome(self, item: Item) -> None:
        rows = self._outputs.outcome(item)
        for link, place, _ in self._links:
            if link.tells or item.outcome is Outcome.TOMBSTONE:
                leader_of(item.record).pending += 1
                copy = item.copy(item.document)
                if copy.document is None:
                    copy.value = item.value  # what is kept, if it was read as an outcome
                place.offer([copy], link.inlet)
        self._ends.settle([item], [rows])

    def _send_along(self, items: Sequence[Item], labels: Sequence[str] | None) -> None:
        """Hand documents to the steps of the same stage, each its own copy."""
        is_only = len(self._links) == 1
        for link, place, project in self._links:
            taken: list[Item] = []
            for at, item in enumerate(items):
                is_taken = labels is None or not link.label or labels[at] == link.label
                if not (is_taken or link.tells):
                    continue
                document = project(item.document)
                copy = item.copy(document if is_only else copied(document))
                if not is_taken:
                    copy.outcome = Outcome.DROPPED
                leader_of(item.record).pending += 1
                taken.append(copy)
            if taken:
                place.offer(taken, link.inlet)

    def _labels(self, items: Sequence[Item]) -> list[str | None]:
        """Return the route of each; None for one that has none, and has ended."""
        labels: list[str | None] = []
        for item in items:
            try:
                label = self._route_of(item.document)
            except DocumentError as error:
                self._desk.give_up(item, error)
                label = None
            else:
                if label is None:
                    self._unmatched([item])
            labels.append(label)
        return labels

    def _route_of(self, document: Any) -> str | None:
        """Return the first route that holds, None where none does.

        Raises:
            DocumentError: A condition cannot be decided.
        """
        for name, condition in self._routes:
            if condition is None or condition(document):
                return name
        return None

    def _unmatched(self, items: Sequence[Item]) -> None:
        self.counts.unmatched += len(items)
        self.dropped(items)

    def _sign(self, items: Sequence[Item], version: str) -> None:
        """Say in every document's trail which model made it."""
        step = self.step
        assert isinstance(step, ModelStep)  # noqa: S101
        mark = f"{step.name}={step.model.remote_name}@{version}".encode()
        before, after = b"", mark
        for item in items:
            if item.trail != before:
                before = item.trail
                after = b"%b, %b" % (before, mark) if before else mark
            item.trail = after

    def _count_dropped(self, count: int) -> None:
        self._stats.dropped += count
        self.counts.dropped += count

    def _count_letter(self, error: Exception) -> None:
        self._stats.dead_lettered += 1
        self.counts.failed += 1
        if isinstance(error, RecordError):  # failed calls are counted where they fail
            self._stats.count_error(error)


def _no_conditions() -> Condition:
    raise ConfigError("this worker was made without conditions")
