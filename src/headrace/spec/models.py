"""The pipeline file as types: its grammar, its defaults and, by the docstrings, its manual."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, SecretStr, WithJsonSchema, field_validator, model_validator

from headrace.spec.connections import (
    KafkaSpec,
    OAuthSpec,
    ProfileName,
    ServerSpec,
    Spec,
    TlsSpec,
    refuse_several_logins,
)
from headrace.spec.values import (
    Dimension,
    DocumentPath,
    Duration,
    Name,
    OneOrMany,
    Prefix,
    Scalar,
    Short,
    Start,
    Text,
    Topic,
    Url,
    Version,
    Wait,
    Whole,
    Window,
    refuse,
)

OrderingName = Literal["key", "partition", "none"]
TombstonesName = Literal["forward", "drop", "dead_letter"]
Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]

_NAN_SCHEMA = WithJsonSchema({"enum": ["dead_letter", "null", None]})


class TopicsSpec(Spec):
    """Topics that headrace creates."""

    partitions: Annotated[int, Field(ge=1, le=10_000), Whole] = 8
    """Partitions of a source or sink topic that does not exist yet."""
    replication: Annotated[int, Field(ge=1, le=100), Whole] = 1
    """Replication factor of created topics."""
    trace_window: Window = timedelta(hours=1)
    """How long finished records stay readable in headrace's own topics."""
    prefix: Prefix = ""
    """Put before every topic and group of headrace's own."""


class SourceSpec(Spec):
    """A topic that is read. Short form: the topic."""

    not_built: ClassVar[frozenset[str]] = frozenset({"deadline"})

    topic: Topic
    """The topic."""
    start: Start = "earliest"
    """`earliest`, `latest`, `error` or a time; used only where nothing is committed."""
    format: Literal["json"] = "json"
    """How values become documents; json is the only one yet."""

    @field_validator("format", mode="before")
    @classmethod
    def _built(cls, value: object) -> object:
        if isinstance(value, str) and value != "json":
            raise refuse("E020", f"not built yet: format '{value}'", "json is built")
        return value


class ModelSpec(Spec):
    """A model on a server. Short form: the server's name. What it leaves out, the server says."""

    not_built: ClassVar[frozenset[str]] = frozenset({"versions", "shadow"})

    server: Text | None = None
    """Key under `servers`; either this or `url`."""
    url: Annotated[tuple[Url, ...], Field(min_length=1), OneOrMany()] | None = None
    """URL, or a list of replicas, of a server that has only this model."""
    serve: Text | None = None
    """Folder or command of a server that `headrace up` starts; with `url` only."""
    name: Text | None = None
    """The model's name on the server; default: its key in this file."""
    version: Version | None = None
    """Version to ask for; default: the server's choice."""
    timeout: Duration | None = None
    """Longest a call may take; default: the server's, else 30s."""
    profile: ProfileName | None = None
    """How it is asked over HTTP; default: the server's, else auto."""
    token: SecretStr | None = None
    """Bearer token; default: the server's login."""
    token_file: Text | None = None
    """File that holds the bearer token; default: the server's login."""
    oauth: OAuthSpec | None = None
    """Where bearer tokens are asked for; default: the server's login."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers sent with every call, on top of the server's."""
    authority: Text | None = None
    """Replaces the host in the :authority or Host header; default: the server's."""
    tls: TlsSpec | None = None
    """Files for TLS; default: the server's."""
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Request parameters, on top of the server's."""
    min_in_flight: Annotated[int, Field(ge=1, le=1024), Whole] | None = None
    """Fewest requests at once; default: the server's, else 1."""
    max_in_flight: Annotated[int, Field(ge=1, le=1024), Whole] | None = None
    """Most requests at once; default: the server's, else 16."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.server is None) == (self.url is None):
            hint = "name one of `servers`, or give a URL like grpc://localhost:8081"
            raise refuse("E045", "a model needs either 'server' or 'url'", hint)
        if self.server is not None and self.serve is not None:
            raise refuse("E045", "'serve' belongs to the server", "move it under `servers`")
        if self.min_in_flight and self.max_in_flight and self.min_in_flight > self.max_in_flight:
            raise refuse("E013", "min_in_flight is above max_in_flight")
        refuse_several_logins(self.token, self.token_file, self.oauth)
        return self


class BatchSpec(Spec):
    """How records gather into requests."""

    max_size: Annotated[int, Field(ge=1, le=10_000), Whole] = 64
    """Most records in one request."""
    max_wait: Wait = timedelta(milliseconds=5)
    """Longest a record waits for its batch while the model has a slot free."""


class RetrySpec(Spec):
    """How failed calls are repeated."""

    max_attempts: Annotated[int, Field(ge=1, le=1000), Whole] = 5
    """Calls in all, the first one counted."""
    first_delay: Duration = timedelta(milliseconds=200)
    """Pause before the second attempt; it doubles from then on."""
    max_delay: Duration = timedelta(seconds=30)
    """Longest pause between two attempts."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.first_delay > self.max_delay:
            raise refuse("E013", "first_delay is above max_delay")
        return self


class DefaultsSpec(Spec):
    """What holds for every step that does not say otherwise."""

    ordering: OrderingName = "key"
    """Which results leave in order: those of one key, of one partition, or none."""
    batch: BatchSpec = BatchSpec()
    """How records gather into requests."""
    retry: RetrySpec = RetrySpec()
    """How failed calls are repeated."""
    strict: bool = False
    """Whether a lane stops at a failed record instead of dead-lettering it."""
    tombstones: TombstonesName = "forward"
    """What becomes of a record without a value."""


class StepBatchSpec(Spec):
    """What a step says about batches; the rest comes from `defaults`."""

    max_size: Annotated[int, Field(ge=1, le=10_000), Whole] | None = None
    """Most records in one request; default: that of `defaults`."""
    max_wait: Wait | None = None
    """Longest a record waits for its batch; default: that of `defaults`."""


class StepRetrySpec(Spec):
    """What a step says about retries; the rest comes from `defaults`."""

    max_attempts: Annotated[int, Field(ge=1, le=1000), Whole] | None = None
    """Calls in all; default: that of `defaults`."""
    first_delay: Duration | None = None
    """Pause before the second attempt; default: that of `defaults`."""
    max_delay: Duration | None = None
    """Longest pause between two attempts; default: that of `defaults`."""


class InputSpec(Spec):
    """A tensor to send. Short form: the path in the document."""

    path: DocumentPath
    """Dotted path in the document."""
    datatype: Datatype | None = None
    """Datatype; default: from the model's metadata."""
    shape: tuple[Dimension, ...] | None = None
    """Shape of one row; default: from the model's metadata."""
    default: JsonValue = None
    """Used where the path is missing; null means that there is no default."""
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Parameters of the tensor."""


class OutputSpec(Spec):
    """A field to write. Short form: the tensor."""

    tensor: Text
    """Name of the tensor."""
    as_: Annotated[Literal["text", "base64"], Field(alias="as")] = "text"
    """How BYTES are read: as UTF-8 text, or turned into base64."""
    nan: Annotated[Literal["dead_letter", "null"], _NAN_SCHEMA] = "dead_letter"
    """What NaN becomes: a dead letter, or null."""

    @field_validator("nan", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: object) -> object:
        return "null" if value is None else value


class StepSpec(Spec):
    """A step: it calls a model for every record."""

    not_built: ClassVar[frozenset[str]] = frozenset(
        {
            *("function", "split", "gather", "join", "routes", "when", "stage", "reads", "writes"),
            *("prefer", "optional", "on_missing", "late_after", "deadline", "max_children"),
        }
    )

    from_: Annotated[tuple[Text, ...], Field(alias="from", min_length=1), OneOrMany()]
    """What it reads: a source, or a topic where there is no `sources` block."""
    model: Text
    """Key under `models`."""
    inputs: dict[Text, Annotated[InputSpec, Short("path")]] = Field(min_length=1)
    """Tensors to send: tensor to path in the document."""
    outputs: dict[DocumentPath, Annotated[OutputSpec, Short("tensor")]] = Field(min_length=1)
    """Fields to write: path in the document to tensor."""
    ordering: OrderingName | None = None
    """Which results leave in order; default: that of `defaults`."""
    batch: StepBatchSpec = StepBatchSpec()
    """How records gather into requests."""
    retry: StepRetrySpec = StepRetrySpec()
    """How failed calls are repeated."""
    strict: bool | None = None
    """Whether a lane stops at a failed record; default: that of `defaults`."""
    tombstones: TombstonesName | None = None
    """What becomes of a record without a value; default: that of `defaults`."""


class SinkSpec(Spec):
    """A topic that results are written to. Short form: the step."""

    not_built: ClassVar[frozenset[str]] = frozenset({"format"})

    from_: Annotated[tuple[Text, ...], Field(alias="from", min_length=1), OneOrMany()]
    """The step whose results are written."""
    key: DocumentPath | None = None
    """Path of the new key; default: the source's key and partition."""
    fields_: Annotated[tuple[DocumentPath, ...], Field(alias="fields"), OneOrMany()] = ()
    """Fields of the document to write; default: all of it."""


class PipelineSpec(Spec):
    """A pipeline: sources, a model step, sinks."""

    not_built: ClassVar[frozenset[str]] = frozenset({"deadline"})

    pipeline: Name
    """The pipeline's name; it begins the names of its topics and groups."""
    kafka: KafkaSpec = KafkaSpec()
    """The Kafka cluster."""
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """The delivery guarantee."""
    topics: TopicsSpec = TopicsSpec()
    """Topics that headrace creates."""
    sources: dict[Text, Annotated[SourceSpec, Short("topic")]] = Field(default_factory=dict)
    """Topics that are read; default: the topics that steps name. With it, each must be named."""
    servers: dict[Text, ServerSpec] = Field(default_factory=dict)
    """Model servers with several models."""
    models: dict[Text, Annotated[ModelSpec, Short("server")]] = Field(default_factory=dict)
    """Models, by the name that steps use."""
    defaults: DefaultsSpec = DefaultsSpec()
    """What holds for every step that does not say otherwise."""
    steps: dict[Name, StepSpec] = Field(min_length=1)
    """Steps, by name; a single one yet."""
    sinks: dict[Topic, Annotated[SinkSpec, Short("from", or_list=True)]] = Field(min_length=1)
    """Topics that are written, and the step that each takes its records from."""

    @model_validator(mode="before")
    @classmethod
    def _topics_are_sources(cls, data: Any) -> Any:
        """Declare the topics that steps name, where there is no `sources` block."""
        if not isinstance(data, Mapping) or "sources" in data:
            return data
        topics = bare_topics(data)
        return {**data, "sources": {topic: {"topic": topic} for topic in topics}}


def bare_topics(data: Mapping[str, Any]) -> list[str]:
    """Return what the steps of an unchecked pipeline read that is no step."""
    steps = data.get("steps")
    if not isinstance(steps, Mapping):
        return []
    parents = [step.get("from") for step in steps.values() if isinstance(step, Mapping)]
    flat = [name for part in parents for name in (part if isinstance(part, list) else [part])]
    return list(dict.fromkeys(n for n in flat if isinstance(n, str) and n not in steps))
