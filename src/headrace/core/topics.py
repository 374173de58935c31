"""Which topics a pipeline needs, and how each is created where it is missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.core.topology import Topology

ROOM_BYTES = 64 * 1024
"""What headers may add to a record on its way through headrace's own topics."""


class TopicKind(StrEnum):
    """What a topic is for."""

    SOURCE = "source"
    SINK = "sink"
    DERIVED = "derived"
    RETRY = "retry"
    DEAD_LETTERS = "dead_letters"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class NeededTopic:
    """A topic that must exist before the pipeline runs.

    Attributes:
        name: The topic.
        kind: What it is for.
        partitions: Partitions it is created with; None for as many as `like` has.
        like: The source topic it takes its partitions from, empty for a source or a sink.
        also: Further source topics; what serves all of them takes the most partitions.
        replication: Replication factor it is created with.
        config: Topic configuration it is created with.
        room_bytes: What its max.message.bytes must have above that of its sources.
    """

    name: str
    kind: TopicKind
    partitions: int | None
    replication: int
    like: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    room_bytes: int = 0
    also: tuple[str, ...] = ()

    @property
    def is_internal(self) -> bool:
        """Whether it is headrace's own, to create and to delete."""
        return self.kind not in {TopicKind.SOURCE, TopicKind.SINK}

    @property
    def is_exact(self) -> bool:
        """Whether it must have its source's partitions, no more, and lose nothing by itself.

        Its records keep the partition number of their source record, and an unfinished one may be
        the only copy of what it carries.
        """
        return self.kind in {TopicKind.DERIVED, TopicKind.RETRY}

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source topic it belongs to, none for a source or a sink."""
        return (self.like, *self.also) if self.like else ()

    def misfit(self, partitions: Mapping[str, int]) -> str:
        """Return in what its partition count differs from its source's, empty if it does not.

        Args:
            partitions: Counts of the topics for which they are known.
        """
        has = partitions.get(self.name, 0)
        known = {each: partitions[each] for each in self.sources if partitions.get(each)}
        if not has or not known:
            return ""
        source = max(known, key=lambda each: known[each])
        if has == known[source]:
            return ""
        return (
            f"topic '{self.name}' has {has} partitions, its source '{source}' has {known[source]}"
        )


def needed_topics(topology: Topology) -> tuple[NeededTopic, ...]:
    """Return every topic of a pipeline once: sources, sinks, then headrace's own."""
    found: dict[str, NeededTopic] = {}
    for topic in (*_declared(topology), *_internal(topology)):
        found.setdefault(topic.name, topic)
    return tuple(found.values())


def control_topic(topology: Topology) -> str:
    """Return the name of the pipeline's compacted control topic."""
    return f"{topology.prefix}{topology.pipeline}.control"


def _declared(topology: Topology) -> Iterator[NeededTopic]:
    sources = (source.topic for source in topology.sources)
    sinks = (sink.topic for sink in topology.sinks)
    for kind, names in ((TopicKind.SOURCE, sources), (TopicKind.SINK, sinks)):
        for name in names:
            yield NeededTopic(name, kind, topology.partitions, topology.replication)


def _internal(topology: Topology) -> Iterator[NeededTopic]:
    # Time and size must not remove an unfinished record, the workers purge finished ones; a dead
    # letter has its source's timestamp, and would be too old at once where that is old.
    kept = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    for stage in topology.stages:
        root = (stage.root_topic,)
        for outlet in stage.derived:
            yield _own(topology, root, outlet.topic, TopicKind.DERIVED, kept)
        for retry_topic in stage.retry_topics.values():
            yield _own(topology, root, retry_topic, TopicKind.RETRY, kept)
    sources = tuple(source.topic for source in topology.sources)
    letters, control = topology.dead_letter_topic, control_topic(topology)
    yield _own(topology, sources, letters, TopicKind.DEAD_LETTERS, kept)
    yield _own(topology, sources, control, TopicKind.CONTROL, {"cleanup.policy": "compact"})


def _own(
    topology: Topology,
    sources: tuple[str, ...],
    name: str,
    kind: TopicKind,
    config: Mapping[str, str],
) -> NeededTopic:
    first, *others = sources
    return NeededTopic(
        name=name,
        kind=kind,
        partitions=None,
        replication=topology.replication,
        like=first,
        config=config,
        room_bytes=ROOM_BYTES,
        also=tuple(others),
    )
