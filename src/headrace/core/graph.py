"""A compiled pipeline as nodes and edges, for drawings and for machines that read them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from headrace.core.topics import TopicKind, needed_topics
from headrace.core.topology import Stage, Topology


class EdgeKind(StrEnum):
    """What travels along an edge."""

    RESULT = "result"
    DEAD_LETTERS = "dead_letters"


@dataclass(frozen=True, slots=True)
class StepNode:
    """A step.

    Attributes:
        name: The step.
        kind: `model`.
        stage: The stage that runs it.
        model: The model it calls.
        reads: Paths of the document that it reads.
        writes: Paths that it writes.
    """

    name: str
    kind: str
    stage: str
    model: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def id(self) -> str:
        """How edges name it."""
        return f"step:{self.name}"


@dataclass(frozen=True, slots=True)
class TopicNode:
    """A topic.

    Attributes:
        name: The topic.
        kind: What it is for.
        partitions: How many it has, None if unknown.
    """

    name: str
    kind: TopicKind
    partitions: int | None = None

    @property
    def id(self) -> str:
        """How edges name it; no topic's name has a colon."""
        return f"topic:{self.name}"


@dataclass(frozen=True, slots=True)
class StageNode:
    """A stage: its consumer group and its steps."""

    name: str
    group: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """A way that records take.

    Attributes:
        source: Id of the step or topic they come from.
        target: Id of the step or topic they go to.
        fields: Fields they are known to carry.
        is_whole: Whether they carry the rest of the document, too.
        kind: What they are.
    """

    source: str
    target: str
    fields: tuple[str, ...] = ()
    is_whole: bool = True
    kind: EdgeKind = EdgeKind.RESULT


@dataclass(frozen=True, slots=True)
class Graph:
    """A pipeline; steps, stages and edges upstream first."""

    pipeline: str
    steps: tuple[StepNode, ...]
    stages: tuple[StageNode, ...]
    topics: tuple[TopicNode, ...]
    edges: tuple[Edge, ...]


def graph_of(topology: Topology, partitions: Mapping[str, int] | None = None) -> Graph:
    """Return a pipeline as nodes and edges.

    Args:
        topology: The pipeline.
        partitions: Partition counts of the topics for which they are known.
    """
    known = partitions or {}
    return Graph(
        pipeline=topology.pipeline,
        steps=tuple(_step(step, stage) for stage in topology.stages for step in stage.steps),
        stages=tuple(
            StageNode(stage.name, stage.group, tuple(step.name for step in stage.steps))
            for stage in topology.stages
        ),
        topics=tuple(
            TopicNode(each.name, each.kind, known.get(each.name))
            for each in needed_topics(topology)
        ),
        edges=tuple(edge for stage in topology.stages for edge in _edges(stage)),
    )


def _step(stage: Stage) -> StepNode:
    step = stage.step
    return StepNode(
        name=step.name,
        kind="model",
        stage=stage.name,
        model=step.model.name,
        reads=tuple(dict.fromkeys(each.path for each in step.inputs)),
        writes=tuple(each.path for each in step.outputs),
    )


def _edges(stage: Stage) -> Iterator[Edge]:
    step = _step(stage)
    for source in stage.sources:
        yield Edge(f"topic:{source.topic}", step.id, step.reads)
    for sink in stage.sinks:
        fields = sink.fields or step.writes
        yield Edge(step.id, f"topic:{sink.topic}", fields, is_whole=not sink.fields)
    yield Edge(step.id, f"topic:{stage.dead_letter_topic}", kind=EdgeKind.DEAD_LETTERS)
