"""The pipeline file as types: its grammar, its defaults and, by the docstrings, its manual."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from headrace.spec.connections import (
    KafkaSpec,
    OAuthSpec,
    ProfileName,
    ServerSpec,
    Spec,
    TlsSpec,
    refuse_several_logins,
)
from headrace.spec.references import reference
from headrace.spec.steps import BatchSpec, OrderingName, RetrySpec, StepSpec, TombstonesName
from headrace.spec.values import (
    DocumentPath,
    Duration,
    Name,
    OneOrMany,
    Prefix,
    Scalar,
    Short,
    Span,
    Start,
    Text,
    Topic,
    Url,
    Version,
    Whole,
    Window,
    refuse,
)


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

    topic: Topic
    """The topic."""
    start: Start = "earliest"
    """`earliest`, `latest`, `error` or a time; used only where nothing is committed."""
    deadline: Span | None = None
    """How long after its timestamp a record is worth a model's time. One that is older becomes a
    dead letter before the next step calls anything; default: for ever. A record's own header
    `headrace-deadline` wins."""
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

    not_built: ClassVar[frozenset[str]] = frozenset({"shadow"})

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
    versions: dict[Version, Annotated[int, Field(ge=1, le=100), Whole]] | None = None
    """Versions that share the records, each with its percentage: `{"3": 95, "4": 5}`. A hash of the
    record's id decides, so a record that comes again asks the same version."""
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
        if self.versions is not None:
            refuse_odd_shares(self.versions, self.version)
        if self.min_in_flight and self.max_in_flight and self.min_in_flight > self.max_in_flight:
            raise refuse("E013", "min_in_flight is above max_in_flight")
        refuse_several_logins(self.token, self.token_file, self.oauth)
        return self


def refuse_odd_shares(versions: Mapping[str, int], version: str | None) -> None:
    """Refuse shares of versions that are not a whole, or a single version beside them."""
    if version is not None:
        raise refuse("E063", "'version' and 'versions' exclude each other", "keep one")
    if sum(versions.values()) != 100:
        text = f"the shares of 'versions' add up to {sum(versions.values())}, not to 100"
        raise refuse("E063", text, "they are percentages")


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


class SinkSpec(Spec):
    """A topic that results are written to. Short form: the step."""

    not_built: ClassVar[frozenset[str]] = frozenset({"format"})

    from_: Annotated[tuple[Text, ...], Field(alias="from", min_length=1), OneOrMany()]
    """The step whose results are written, or a route of it (`step.label`). A list is a union: the
    results of each are written, nothing is joined."""
    key: DocumentPath | None = None
    """Path of the new key; default: the source's key and partition."""
    fields_: Annotated[tuple[DocumentPath, ...], Field(alias="fields"), OneOrMany()] = ()
    """Fields of the document to write; default: all of it."""


class PipelineSpec(Spec):
    """A pipeline: sources, steps, sinks."""

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
    """Steps, by name."""
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
    topics = (name for name in flat if isinstance(name, str) and not reference(name, steps).step)
    return list(dict.fromkeys(topics))
