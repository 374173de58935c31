"""Where records of a stage's topics enter its steps."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from headrace.core import wire
from headrace.core.joining import Outcome
from headrace.core.records import Record
from headrace.core.topology import Source, Stage
from headrace.errors import DecodeError
from headrace.runtime.executor import Work
from headrace.runtime.items import Item, from_derived, from_source
from headrace.runtime.places import Place
from headrace.runtime.stage import StageRun
from headrace.runtime.stats import StageStats


class Intake:
    """Turns records into documents, and hands them to the steps that read their topic."""

    def __init__(
        self, stage: Stage, steps: StageRun, now_ms: Callable[[], int], stats: StageStats
    ) -> None:
        self._sources: Mapping[str, Source] = {each.topic: each for each in stage.sources}
        self._readers: dict[str, list[tuple[Place, int]]] = {}
        for step in stage.steps:
            for number_, inlet in enumerate(step.inlets):
                if inlet.topic:
                    readers = self._readers.setdefault(inlet.topic, [])
                    readers.append((steps.steps[step.name], number_))
        self._retries = {topic: steps.steps[step] for step, topic in stage.retry_topics.items()}
        self._steps = steps
        self._now_ms = now_ms
        self._stats = stats

    def take(self, topic: str, records: Sequence[Record]) -> None:
        """Take records of one partition that are not durable yet.

        Raises:
            ConfigError: One was written in a format that this version does not read.
        """
        source = self._sources.get(topic)
        if source is None:
            self._take_back(self._retries[topic], records)
        elif source.is_derived:
            self._hand_over(topic, self._read(records, self._readers[topic][0][0]))
        else:
            deadline_ms = None if source.deadline_s is None else round(source.deadline_s * 1e3)
            self._hand_over(topic, from_source(records, deadline_ms))
        self._steps.watch_time()

    def _read(self, records: Sequence[Record], place: Place) -> list[Item]:
        """Return the documents of records that headrace wrote; a place gives up what it did not."""
        partitions = self._steps.partitions(records[0].partition[0])
        items: list[Item] = []
        for record in records:
            try:
                items.append(from_derived(record, partitions))
            except DecodeError as error:
                place.refuse(record, error)
        return items

    def _hand_over(self, topic: str, items: Sequence[Item]) -> None:
        readers = self._readers[topic]
        for place, inlet in readers[1:]:
            for item in items:
                item.record.pending += 1
            place.offer([_again(item) for item in items], inlet)
        place, inlet = readers[0]
        place.offer(items, inlet)

    def _take_back(self, place: Place, records: Sequence[Record]) -> None:
        """Take what was delayed, spilled or replayed: at once if it is due, else later."""
        self._stats.out_of_lane += len(records)
        now = self._now_ms()
        due: list[Item] = []
        said = {record: dict(record.headers or ()) for record in records}
        for item in self._read(records, place):
            headers = said[item.record]
            wait_ms = max(0, wire.number(headers.get(wire.NOT_BEFORE)) - now)
            attempt = max(1, wire.number(headers.get(wire.ATTEMPT)))
            if wire.PARTIAL in headers:
                self._steps.later(wait_ms / 1e3, partial(place.restore, item, headers))
            elif item.outcome is not Outcome.RESULT or (not wait_ms and attempt == 1):
                due.append(item)
            else:
                place.again(Work([item], attempt=attempt), wait_ms / 1e3)
        if due:
            place.enter(due)


def _again(item: Item) -> Item:
    """Return a second item of the same record: the steps of a stage share no document."""
    other = item.copy()
    other.value = item.value
    return other
