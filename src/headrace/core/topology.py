"""The compiled pipeline: stages and steps with every default filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from headrace.core.retry import RetryPolicy


class Ordering(StrEnum):
    """Which results leave in order; see `core.ordering`."""

    NONE = "none"
    PARTITION = "partition"
    KEY = "key"


class Tombstones(StrEnum):
    """What becomes of a record without a value."""

    FORWARD = "forward"
    DROP = "drop"
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor and the path in the document it is filled from.

    Attributes:
        tensor: Name of the tensor.
        path: Dotted path in the document.
        datatype: OIP datatype, empty to take it from the model's metadata.
        shape: Shape of one row, None to take it from the model's metadata.
        default: Used where the path is missing, when `has_default`.
        has_default: Whether there is a default.
        parameters: OIP tensor parameters.
    """

    tensor: str
    path: str
    datatype: str = ""
    shape: tuple[int, ...] | None = None
    default: Any = None
    has_default: bool = False
    parameters: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputField:
    """A field of the document and the tensor it is read from.

    Attributes:
        path: Dotted path that is written.
        tensor: Name of the tensor.
        as_base64: Whether BYTES become base64 text, all of them, instead of UTF-8 text.
        nan_as_null: Whether NaN becomes null instead of a dead letter.
    """

    path: str
    tensor: str
    as_base64: bool = False
    nan_as_null: bool = False


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How records gather into requests: at most `max_size`, at most `max_wait_s` seconds."""

    max_size: int = 64
    max_wait_s: float = 0.005


class Profile(StrEnum):
    """How a model is asked over HTTP."""

    AUTO = "auto"
    JSON = "json"
    BINARY = "binary"
    V1 = "v1"


@dataclass(frozen=True, slots=True)
class OAuth:
    """A login by the client-credentials grant of OAuth 2.

    Attributes:
        token_url: Where tokens are asked for.
        client_id: The client.
        client_secret: Its secret.
        scope: What to ask for, empty for the endpoint's choice.
        audience: Whom the token is for, empty to leave it out.
    """

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """Where a model is served and how it is called.

    Attributes:
        name: Its key in the pipeline file.
        urls: One URL per replica; the scheme picks the protocol.
        remote_name: Its name on the server.
        version: Version to ask for, empty for the server's choice.
        versions: Versions that share the records, each with its percentage; empty for one.
        timeout_s: Longest a call may take, seconds.
        min_in_flight: Fewest requests at once that adaptive concurrency goes down to.
        max_in_flight: Most requests at once.
        profile: How it is asked over HTTP.
        token: Bearer token, empty for none.
        token_file: File with a bearer token that may change, empty for none.
        oauth: Where bearer tokens are asked for, None for nowhere.
        headers: Sent with every call.
        authority: Overrides the :authority / Host header, empty for the URL's.
        tls: PEM file paths by role: ca, cert, key; and server_name.
        parameters: OIP request parameters.
    """

    name: str
    urls: tuple[str, ...]
    remote_name: str
    version: str = ""
    versions: tuple[tuple[str, int], ...] = ()
    timeout_s: float = 30.0
    min_in_flight: int = 1
    max_in_flight: int = 16
    profile: Profile = Profile.AUTO
    token: str = field(default="", repr=False)
    token_file: str = ""
    oauth: OAuth | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authority: str = ""
    tls: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str | int | bool] = field(default_factory=dict)


Fields: TypeAlias = tuple[str, ...] | None
"""Dotted paths of a document, none inside another; None stands for the whole document."""

ELSE = "else"
"""The condition of the route that takes what no route before it took."""


class JoinMode(StrEnum):
    """When a join has what it needs."""

    ALL = "all"
    FIRST = "first"


class OnMissing(StrEnum):
    """What follows when a part of a join or gather does not come."""

    DEAD_LETTER = "dead_letter"
    DROP = "drop"
    PROCEED = "proceed"


class OnFailed(StrEnum):
    """What a failed child becomes in the record that gathers it."""

    DEAD_LETTER = "dead_letter"
    HOLE = "hole"


@dataclass(frozen=True, slots=True)
class Inlet:
    """One parent of a step, and what comes from it.

    Attributes:
        parent: The parent as the file names it: a source, a step, or `step.label`.
        topic: The topic its records come through; empty where they are passed in memory.
        step: The parent step, empty for a source.
        label: The route of the parent that is read, empty for all of them.
        fields: What of its document enters the step. In an `all` join the carrier's inlet brings
            everything but what the other inlets bring.
        is_optional: Whether a join goes on without it where it was dropped.
    """

    parent: str
    topic: str
    step: str = ""
    label: str = ""
    fields: Fields = None
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long a join or gather waits for its parts, and what follows.

    Attributes:
        timeout_s: Longest wait after the first part came, seconds; None for no limit.
        on_missing: What follows when a part did not come, or an optional parent failed.
        late_after_s: How long the end of a record that timed out is remembered, seconds.
    """

    timeout_s: float | None = None
    on_missing: OnMissing = OnMissing.DEAD_LETTER
    late_after_s: float = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Join:
    """How the parts of a record meet at a step with several inlets.

    Attributes:
        mode: When they are complete.
        carrier: Number of the inlet that brings the document and drives the order: in an `all`
            join the one that the others add to, in a `first` join the first listed.
        prefer: Number of the inlet whose fields win where several write one; None for none.
        waiting: How long parts are waited for.
        order: Numbers of the other inlets of an `all` join, in the order in which their fields are
            put over the carrier's document.
    """

    mode: JoinMode = JoinMode.ALL
    carrier: int = 0
    prefer: int | None = None
    waiting: Waiting = field(default_factory=Waiting)
    order: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlet:
    """A derived topic that a step writes for steps of other stages.

    Attributes:
        topic: The topic.
        label: The route whose records go there, empty for every record.
        fields: What of the document the readers need.
        tells: Whether outcomes other than results are written, too: a join or a gather waits.
        kept: What an outcome without a result says of the document: what a gather makes of
            the children's kept fields; empty for nothing.
        home_level: From this many splits on, records go to the home partition of that split
            (1 is the outermost) because it is gathered; 0 keeps the partition.
    """

    topic: str
    label: str = ""
    fields: Fields = None
    tells: bool = False
    kept: tuple[str, ...] = ()
    home_level: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A way in memory from a step to one of the same stage.

    Attributes:
        step: The step it leads to.
        inlet: Which of that step's inlets it is.
        label: The route whose records take it, empty for every record.
        fields: What of the document the step needs.
        tells: Whether outcomes other than results take it, too.
    """

    step: str
    inlet: int = 0
    label: str = ""
    fields: Fields = None
    tells: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every kind of step has.

    Attributes:
        name: The step's name.
        inlets: What it reads, in listed order.
        join: How its parts meet; None with a single inlet.
        when: Its gate, a condition in CEL; empty for none.
        routes: Label and condition of every route, in order; the first that holds is taken.
        outlets: Derived topics it writes.
        links: Ways in memory to steps of its stage.
        sinks: Sink topics its results go to.
        level: Inside how many splits it works.
        ordering: Which results leave in order.
        retry: How failed calls are repeated.
        strict: Whether a lane stops at a failed record instead of dead-lettering it.
        tombstones: What becomes of records without a value.
        kind: The word for it in the pipeline file.
    """

    kind: ClassVar[str] = ""

    name: str
    inlets: tuple[Inlet, ...] = ()
    join: Join | None = None
    when: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    outlets: tuple[Outlet, ...] = ()
    links: tuple[Link, ...] = ()
    sinks: tuple["Sink", ...] = ()
    level: int = 0
    ordering: Ordering = Ordering.KEY
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    strict: bool = False
    tombstones: Tombstones = Tombstones.FORWARD

    @property
    def tells(self) -> bool:
        """Whether anything after it waits for outcomes other than results."""
        return any(each.tells for each in self.outlets) or any(each.tells for each in self.links)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep(Step):
    """A step that calls a model.

    Attributes:
        model: The model it calls.
        inputs: Tensors to send.
        outputs: Fields to write.
        batch: How records gather.
    """

    kind = "model"

    model: Model
    inputs: tuple[Input, ...]
    outputs: tuple[OutputField, ...]
    batch: BatchPolicy = field(default_factory=BatchPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStep(Step):
    """A step that calls a Python function.

    Attributes:
        function: `module:callable`.
        folder: Where the module is looked for first.
        reads: What the function sees of the document.
        writes: What of its answer enters the document; None replaces the document.
        timeout_s: Longest a call may take, seconds.
        workers: Calls at once.
        is_process: Whether it runs in processes of its own instead of threads.
        batch: How records gather.
    """

    kind = "function"

    function: str
    folder: str = ""
    reads: Fields = None
    writes: Fields = None
    timeout_s: float = 30.0
    workers: int = 1
    is_process: bool = False
    batch: BatchPolicy = field(default_factory=BatchPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitStep(Step):
    """A step that makes a record of every element of a list.

    Attributes:
        each: Path of the list.
        as_: Path that an element is written to in its record.
        keep: Paths of the parent's document that every child keeps.
        max_children: Most elements.
        is_spread: Whether children are spread over the partitions.
    """

    kind = "split"

    each: str
    as_: str
    keep: tuple[str, ...] = ()
    max_children: int = 10_000
    is_spread: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherStep(Step):
    """A step that makes one record of the children of a split.

    Its document is what the split kept of the parent, and the children in the order of their list.

    Attributes:
        split: The split step.
        into: Path that the list is written to.
        fields: Paths of a child's document that enter the list; None for the whole child.
        keep: Paths that the split kept of the parent.
        on_failed: What a failed child becomes.
        waiting: How long children are waited for.
        max_bytes: Most bytes of children's documents.
    """

    kind = "gather"

    split: str
    into: str
    fields: Fields = None
    keep: tuple[str, ...] = ()
    on_failed: OnFailed = OnFailed.DEAD_LETTER
    waiting: Waiting = field(default_factory=Waiting)
    max_bytes: int = 16 * 2**20


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


@dataclass(frozen=True, slots=True)
class Sink:
    """A topic that results are written to.

    Attributes:
        topic: The topic.
        key: Dotted path of the new key, empty to keep the source's key and partition.
        fields: Fields of the document to write, empty for all of it.
        label: The route whose results go there, empty for every result.
    """

    topic: str
    key: str = ""
    fields: tuple[str, ...] = ()
    label: str = ""


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
        root: The source topic that everything it reads came from.
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
