"""Which topics and partitions can hold what became of a source record."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.core.effects import written_by
from headrace.core.fields import common
from headrace.core.lineage import Lineage
from headrace.core.murmur import partition_of
from headrace.core.steps import Sink, SplitStep, Step
from headrace.core.topics import TopicKind
from headrace.core.topology import Stage, Topology


@dataclass(frozen=True, slots=True)
class Way:
    """A topic on the way of a source topic's records.

    Attributes:
        topic: The topic.
        kind: What it is for.
        writers: The steps that write to it; of a retry topic the step that reads it again.
        level: Inside how many splits its records are.
        spread: The splits that may have taken its records to other partitions than the source's.
        sink: The sink, where it is one.
    """

    topic: str
    kind: TopicKind
    writers: tuple[str, ...]
    level: int = 0
    spread: tuple[str, ...] = ()
    sink: Sink | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of the source record.

    Attributes:
        partition: Its partition.
        key: Its key.
        new_keys: Bytes of the key that a sink gives it, by the sink's `key`, where no step changes
            it on the way.
    """

    partition: int
    key: bytes | None = None
    new_keys: Mapping[str, bytes] = field(default_factory=dict)


class Map:
    """The part of a pipeline that a source topic's records pass.

    Args:
        topology: The pipeline.
        source: The source topic.
    """

    def __init__(self, topology: Topology, source: str) -> None:
        self.source = source
        self.stages: Sequence[Stage] = [each for each in topology.stages if each.root == source]
        self.steps: Mapping[str, Step] = {
            step.name: step for stage in self.stages for step in stage.steps
        }
        self.stage_of: Mapping[str, Stage] = {
            step.name: stage for stage in self.stages for step in stage.steps
        }
        self._lineage = Lineage.of(self.steps.values())
        self.ways: Mapping[str, Way] = self._ways(topology.dead_letter_topic)

    def scope(self, step: str) -> tuple[str, ...]:
        """Return the splits around what a step writes, outermost first."""
        return self._lineage.leaving[step]

    def level(self, step: str) -> int:
        """Return inside how many splits the records are that a step writes."""
        return len(self.scope(step))

    def unit_level(self, step: str) -> int:
        """Return inside how many splits a record is that the step finishes as one."""
        return self.level(step) - isinstance(self.steps[step], SplitStep)

    def reads(self, stage: Stage, topic: str) -> Sequence[Step]:
        """Return the steps of a stage that read a topic."""
        own = {topic: step for step, topic in stage.retry_topics.items()}.get(topic)
        return [
            step
            for step in stage.steps
            if step.name == own or any(inlet.topic == topic for inlet in step.inlets)
        ]

    def downstream(self, steps: Collection[str]) -> Collection[str]:
        """Return these steps and all that read what came from them."""
        return {name for name in self.steps if not self.upstream(name).isdisjoint(steps)}

    def upstream(self, step: str) -> frozenset[str]:
        """Return a step and all that it reads from, directly or not."""
        return self._lineage.ancestors[step]

    def unchanged(self, path: str) -> bool:
        """Whether no step writes at, above or below a path of the source's document."""
        return not any(_writes(step, path) for step in self.steps.values())

    def partitions(
        self, way: Way, origin: Origin, counts: Mapping[str, int], children: int | None = None
    ) -> Sequence[int]:
        """Return the partitions of a topic that can hold what became of a record.

        Args:
            way: The topic.
            origin: The source record.
            counts: How many partitions each topic has.
            children: Into how many children the outermost split made the record, if it is known.
        """
        count = counts[way.topic]
        if way.sink is not None and (way.sink.key or count != counts[self.source]):
            key = origin.new_keys.get(way.sink.key) if way.sink.key else origin.key
            return range(count) if key is None else [partition_of(key, count)]
        if not way.spread:
            return [origin.partition]
        is_outermost = self.scope(way.spread[0])[0] == way.spread[0]
        if len(way.spread) == 1 and is_outermost and way.level and children is not None:
            spread = {(origin.partition + index) % count for index in range(children)}
            return sorted(spread | {origin.partition})
        return range(count)

    def _ways(self, dead_letters: str) -> Mapping[str, Way]:
        ways: dict[str, Way] = {}
        for stage in self.stages:
            for step in stage.steps:
                for way in self._written(stage, step):
                    known = ways.get(way.topic)
                    ways[way.topic] = way if known is None else _both(known, way)
        deepest = max((self.scope(name) for name in self.steps), key=len)
        every = tuple(name for name in self.steps if self._is_spread(name))
        ways[dead_letters] = Way(
            dead_letters, TopicKind.DEAD_LETTERS, tuple(self.steps), len(deepest), every
        )
        return ways

    def _written(self, stage: Stage, step: Step) -> Iterator[Way]:
        scope, writer = self.scope(step.name), (step.name,)
        for outlet in step.outlets:
            around = scope[: outlet.home_level - 1] if outlet.home_level else scope
            spread = self._spread(around)
            yield Way(outlet.topic, TopicKind.DERIVED, writer, len(scope), spread)
        retry = stage.retry_topics[step.name]
        unit = self.unit_level(step.name)
        yield Way(retry, TopicKind.RETRY, writer, unit, self._spread(scope[:unit]))
        for sink in step.sinks:
            yield Way(sink.topic, TopicKind.SINK, writer, len(scope), self._spread(scope), sink)

    def _spread(self, scope: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in scope if self._is_spread(name))

    def _is_spread(self, name: str) -> bool:
        step = self.steps[name]
        return isinstance(step, SplitStep) and step.is_spread


def _both(one: Way, other: Way) -> Way:
    """Return a sink that several steps write to."""
    writers, level = (*one.writers, *other.writers), max(one.level, other.level)
    spread = tuple(dict.fromkeys((*one.spread, *other.spread)))
    return Way(one.topic, one.kind, writers, level, spread, one.sink)


def _writes(step: Step, path: str) -> bool:
    written = (step.as_,) if isinstance(step, SplitStep) else written_by(step)
    return common(written, (path,)) != ()
