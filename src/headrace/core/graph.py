"""A compiled pipeline as nodes and edges, for drawings and for machines that read them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from headrace.core.steps import (
    Fields,
    FunctionStep,
    GatherStep,
    JoinMode,
    ModelStep,
    SplitStep,
    Step,
)
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
        kind: `model`, `function`, `split` or `gather`.
        stage: The stage that runs it.
        model: The model it calls, empty for none.
        reads: Paths of the document that it reads; None for all of it.
        writes: Paths that it writes; None for all of it.
        function: The function it calls, empty for none.
        when: Its gate, empty for none.
        routes: Label and condition of each route.
        join: `all` or `first`, empty where it has one parent.
        level: Inside how many splits it works.
    """

    name: str
    kind: str
    stage: str
    model: str
    reads: Fields
    writes: Fields
    function: str = ""
    when: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    join: str = ""
    level: int = 0

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
        label: The route that takes it, empty for every record.
        is_carrier: Whether it leads to an `all` join and brings the document that others add to.
        is_optional: Whether it leads to a join that goes on without it.
        tells: Whether it also tells what became of records that have no result.
    """

    source: str
    target: str
    fields: tuple[str, ...] = ()
    is_whole: bool = True
    kind: EdgeKind = EdgeKind.RESULT
    label: str = ""
    is_carrier: bool = False
    is_optional: bool = False
    tells: bool = False


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
    told = {outlet.topic for stage in topology.stages for outlet in stage.derived if outlet.tells}
    return Graph(
        pipeline=topology.pipeline,
        steps=tuple(_node(step, stage) for stage in topology.stages for step in stage.steps),
        stages=tuple(
            StageNode(stage.name, stage.group, tuple(step.name for step in stage.steps))
            for stage in topology.stages
        ),
        topics=tuple(
            TopicNode(each.name, each.kind, known.get(each.name))
            for each in needed_topics(topology)
        ),
        edges=tuple(edge for stage in topology.stages for edge in _edges(stage, told)),
    )


def _node(step: Step, stage: Stage) -> StepNode:
    reads, writes = _reads(step), _writes(step)
    return StepNode(
        name=step.name,
        kind=step.kind,
        stage=stage.name,
        model=step.model.name if isinstance(step, ModelStep) else "",
        reads=reads,
        writes=writes,
        function=step.function if isinstance(step, FunctionStep) else "",
        when=step.when,
        routes=step.routes,
        join=step.join.mode if step.join else "",
        level=step.level,
    )


def _reads(step: Step) -> Fields:
    if isinstance(step, ModelStep):
        return tuple(dict.fromkeys(each.path for each in step.inputs))
    if isinstance(step, FunctionStep):
        return step.reads
    if isinstance(step, SplitStep):
        return (step.each, *step.keep)
    if isinstance(step, GatherStep) and step.fields is not None:
        return (*step.fields, *step.keep)
    return None


def _writes(step: Step) -> Fields:
    if isinstance(step, ModelStep):
        return tuple(each.path for each in step.outputs)
    if isinstance(step, FunctionStep):
        return step.writes
    if isinstance(step, SplitStep):
        return (step.as_,)
    return (step.into,) if isinstance(step, GatherStep) else None


def _edges(stage: Stage, told: Collection[str]) -> Iterator[Edge]:
    steps = {step.name: step for step in stage.steps}
    for step in stage.steps:
        node = f"step:{step.name}"
        for number, inlet in enumerate(step.inlets):
            if inlet.topic:
                source, tells = f"topic:{inlet.topic}", inlet.topic in told
                yield _entering(source, step, number, inlet.fields, tells=tells)
        written = _writes(step) or ()
        for link in step.links:
            child = steps[link.step]
            edge = _entering(node, child, link.inlet, link.fields, tells=link.tells)
            yield replace(edge, label=link.label)
        for outlet in step.outlets:
            is_whole, fields = outlet.fields is None, outlet.fields or written
            target = f"topic:{outlet.topic}"
            yield Edge(node, target, fields, is_whole, label=outlet.label, tells=outlet.tells)
        for sink in step.sinks:
            fields, is_whole = sink.fields or written, not sink.fields
            yield Edge(node, f"topic:{sink.topic}", fields, is_whole, label=sink.label)
        yield Edge(node, f"topic:{stage.dead_letter_topic}", kind=EdgeKind.DEAD_LETTERS)


def _entering(source: str, step: Step, number: int, fields: Fields, *, tells: bool) -> Edge:
    join = step.join
    return Edge(
        source,
        f"step:{step.name}",
        (_reads(step) or ()) if fields is None else fields,
        is_whole=fields is None,
        is_carrier=join is not None and join.mode is JoinMode.ALL and join.carrier == number,
        is_optional=step.inlets[number].is_optional,
        tells=tells,
    )
