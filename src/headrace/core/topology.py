"""The compiled pipeline: stages and steps with every default filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.core.steps import FunctionStep, GatherStep, ModelStep, Ordering, Outlet, Sink, Step


@dataclass(frozen=True, slots=True)
class Source:
    """A topic that is read.

    Attributes:
        topic: The topic.
        start: `earliest`, `latest`, `error` or a timestamp in ms; used where nothing is committed.
        is_derived: Whether a step of the pipeline writes it.
        deadline_s: Seconds after its timestamp in which a record is still worth a model's time;
            None for ever.
    """

    topic: str
    start: str | int = "earliest"
    is_derived: bool = False
    deadline_s: float | None = None


class Delivery(StrEnum):
    """The delivery guarantee."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


@dataclass(frozen=True, slots=True)
class Stage:
    """One consumer group: its steps, what it reads and what it writes.

    Attributes:
        pipeline: The pipeline's name.
        prefix: Put before every topic and group of headrace's own.
        name: The stage's name; an unfused stage has its step's.
        steps: The steps it runs, upstream first.
        sources: Topics it reads: the pipeline's sources and derived topics.
        root: The source topic that everything it reads came from; empty for its first.
        fingerprint: Hash of the compiled pipeline, for provenance.
    """

    pipeline: str
    prefix: str
    name: str
    steps: tuple[Step, ...]
    sources: tuple[Source, ...]
    root: str = ""
    fingerprint: str = ""

    @property
    def group(self) -> str:
        """Consumer group."""
        return f"{self.prefix}{self.pipeline}.{self.name}"

    @property
    def root_topic(self) -> str:
        """The source topic that everything it reads came from."""
        return self.root or self.sources[0].topic

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic it reads, those of records that come back included."""
        return (*(source.topic for source in self.sources), *self.retry_topics.values())

    @property
    def retry_topics(self) -> Mapping[str, str]:
        """Step to the topic where its delayed, spilled and replayed records wait."""
        return {step.name: self.topic_of(f"{step.name}.retry") for step in self.steps}

    @property
    def dead_letter_topic(self) -> str:
        """Where given-up records go."""
        return self.topic_of("dead-letters")

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Every sink of its steps."""
        return tuple(sink for step in self.steps for sink in step.sinks)

    @property
    def derived(self) -> tuple[Outlet, ...]:
        """Every derived topic that it writes."""
        return tuple(outlet for step in self.steps for outlet in step.outlets)

    @property
    def models(self) -> tuple[ModelStep, ...]:
        """Its steps that call a model."""
        return tuple(step for step in self.steps if isinstance(step, ModelStep))

    @property
    def functions(self) -> tuple[FunctionStep, ...]:
        """Its steps that call a function."""
        return tuple(step for step in self.steps if isinstance(step, FunctionStep))

    @property
    def collects(self) -> bool:
        """Whether parts of several records meet in it."""
        return any(step.join or isinstance(step, GatherStep) for step in self.steps)

    @property
    def ordering(self) -> Ordering:
        """The strictest order that its steps ask for."""
        asked = {step.ordering for step in self.steps}
        return next(
            each for each in (Ordering.PARTITION, Ordering.KEY, Ordering.NONE) if each in asked
        )

    def topic_of(self, name: str) -> str:
        """Return the full name of one of headrace's own topics."""
        return f"{self.prefix}{self.pipeline}.{name}"

    def transactional_id(self, slot: str) -> str:
        """Return the transactional id of one slot of this stage."""
        return f"{self.group}.{slot}"


@dataclass(frozen=True, slots=True)
class Topology:
    """A compiled pipeline.

    Attributes:
        pipeline: Its name.
        prefix: Put before headrace's own topics and groups.
        stages: Every stage, upstream first.
        delivery: The guarantee.
        bootstrap_servers: Kafka's address, or `embedded`.
        group_protocol: `classic` or `consumer` (KIP-848).
        membership: `dynamic` or `static`.
        kafka_properties: librdkafka properties, security included.
        partitions: Partitions of created source and sink topics.
        replication: Replication factor of created topics.
        trace_window_s: How long finished records stay in headrace's own topics, seconds.
        serves: Model servers to start with `headrace up`: model server name -> folder or command.
    """

    pipeline: str
    prefix: str
    stages: tuple[Stage, ...]
    delivery: Delivery = Delivery.EXACTLY_ONCE
    bootstrap_servers: str = "embedded"
    group_protocol: str = "classic"
    membership: str = "dynamic"
    kafka_properties: Mapping[str, str | int | bool] = field(default_factory=dict, repr=False)
    partitions: int = 8
    replication: int = 1
    trace_window_s: float = 3600.0
    serves: Mapping[str, str] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, upstream first within its stage."""
        return tuple(step for stage in self.stages for step in stage.steps)

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every topic that it reads and does not write, each once."""
        found = (source for stage in self.stages for source in stage.sources)
        return tuple({each.topic: each for each in found if not each.is_derived}.values())

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Every sink of every step."""
        return tuple(sink for step in self.steps for sink in step.sinks)

    @property
    def retry_topics(self) -> Mapping[str, str]:
        """Step to the topic where its delayed, spilled and replayed records wait."""
        return {step: topic for stage in self.stages for step, topic in stage.retry_topics.items()}

    @property
    def dead_letter_topic(self) -> str:
        """Where given-up records go."""
        return self.stages[0].dead_letter_topic

    @property
    def models(self) -> tuple[ModelStep, ...]:
        """Every step that calls a model."""
        return tuple(step for step in self.steps if isinstance(step, ModelStep))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process runs of a pipeline.

    Attributes:
        topology: The compiled pipeline.
        slot: The process's name in the fleet.
        stages: Names of the stages to run, empty for all.
        status_port: Port of the status endpoint, None for any.
        ignore_metadata: Whether unreadable commits are no reason to stop.
    """

    topology: Topology
    slot: str
    stages: Sequence[str] = ()
    status_port: int | None = None
    ignore_metadata: bool = False

    @property
    def chosen(self) -> Sequence[Stage]:
        """The stages to run."""
        stages = self.topology.stages
        return [stage for stage in stages if not self.stages or stage.name in self.stages]
