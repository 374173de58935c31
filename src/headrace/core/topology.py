"""The compiled pipeline: stages and steps with every default filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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


@dataclass(frozen=True, slots=True)
class ModelStep:
    """A step that calls a model.

    Attributes:
        name: The step's name.
        model: The model it calls.
        inputs: Tensors to send.
        outputs: Fields to write.
        ordering: Which results leave in order.
        batch: How records gather.
        retry: How failed calls are repeated.
        strict: Whether a lane stops at a failed record instead of dead-lettering it.
        tombstones: What becomes of records without a value.
    """

    name: str
    model: Model
    inputs: tuple[Input, ...]
    outputs: tuple[OutputField, ...]
    ordering: Ordering = Ordering.KEY
    batch: BatchPolicy = field(default_factory=BatchPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    strict: bool = False
    tombstones: Tombstones = Tombstones.FORWARD


@dataclass(frozen=True, slots=True)
class Source:
    """A topic that is read.

    Attributes:
        topic: The topic.
        start: `earliest`, `latest`, `error` or a timestamp in ms; used where nothing is committed.
    """

    topic: str
    start: str | int = "earliest"


@dataclass(frozen=True, slots=True)
class Sink:
    """A topic that results are written to.

    Attributes:
        topic: The topic.
        key: Dotted path of the new key, empty to keep the source's key and partition.
        fields: Fields of the document to write, empty for all of it.
    """

    topic: str
    key: str = ""
    fields: tuple[str, ...] = ()


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
        step: The step it runs.
        sources: Topics it reads.
        sinks: Topics its results go to.
        fingerprint: Hash of the compiled pipeline, for provenance.
    """

    pipeline: str
    prefix: str
    name: str
    step: ModelStep
    sources: tuple[Source, ...]
    sinks: tuple[Sink, ...]
    fingerprint: str = ""

    @property
    def group(self) -> str:
        """Consumer group."""
        return f"{self.prefix}{self.pipeline}.{self.name}"

    @property
    def retry_topic(self) -> str:
        """Where delayed and replayed records wait."""
        return f"{self.prefix}{self.pipeline}.{self.step.name}.retry"

    @property
    def dead_letter_topic(self) -> str:
        """Where given-up records go."""
        return f"{self.prefix}{self.pipeline}.dead-letters"

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
