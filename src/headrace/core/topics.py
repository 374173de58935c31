"""Which topics a pipeline needs, and how each is created where it is missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.core.topology import Stage, Topology

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
        replication: Replication factor it is created with.
        config: Topic configuration it is created with.
        room_bytes: What its max.message.bytes must have above that of the largest source.
    """

    name: str
    kind: TopicKind
    partitions: int | None
    replication: int
    like: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    room_bytes: int = 0

    @property
    def is_internal(self) -> bool:
        """Whether it is headrace's own, to create and to delete."""
        return self.kind not in {TopicKind.SOURCE, TopicKind.SINK}


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
    for stage in topology.stages:
        # An unfinished record may be the only copy of what it carries: time must not remove it.
        kept = {"cleanup.policy": "delete", "retention.ms": "-1"}
        for outlet in stage.derived:
            yield _own(stage, outlet.topic, TopicKind.DERIVED, topology.replication, kept)
        for retry_topic in stage.retry_topics.values():
            yield _own(stage, retry_topic, TopicKind.RETRY, topology.replication, kept)
        letters = {"cleanup.policy": "delete"}
        yield _own(
            stage, stage.dead_letter_topic, TopicKind.DEAD_LETTERS, topology.replication, letters
        )
        compacted = {"cleanup.policy": "compact"}
        control = control_topic(topology)
        yield _own(stage, control, TopicKind.CONTROL, topology.replication, compacted)


def _own(
    stage: Stage, name: str, kind: TopicKind, replication: int, config: Mapping[str, str]
) -> NeededTopic:
    return NeededTopic(
        name=name,
        kind=kind,
        partitions=None,
        replication=replication,
        like=stage.root or stage.sources[0].topic,
        config=config,
        room_bytes=ROOM_BYTES,
    )
