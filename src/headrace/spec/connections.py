"""What a pipeline connects to, Kafka and model servers: the file's `kafka` and `servers`."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from headrace.spec.values import (
    Duration,
    Lower,
    OneOrMany,
    Scalar,
    SecretText,
    Short,
    Text,
    Url,
    WebUrl,
    Whole,
    refuse,
)


class Spec(BaseModel):
    """Base of every part of the file: immutable, closed, documented by its docstrings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    not_built: ClassVar[frozenset[str]] = frozenset()
    """Fields that the grammar has and this version refuses by name."""


class KafkaTlsSpec(Spec):
    """Files for TLS to Kafka, relative to the pipeline file."""

    ca: Text | None = None
    """PEM file of the authorities to trust; default: the system's. Sets `ssl.ca.location`."""
    cert: Text | None = None
    """PEM file of the client's certificate. Sets `ssl.certificate.location`."""
    key: Text | None = None
    """PEM file of the client's private key. Sets `ssl.key.location`."""
    key_password: SecretText | None = None
    """Password of the private key. Sets `ssl.key.password`."""


class KafkaOAuthSpec(Spec):
    """Where Kafka's clients get their tokens: the client-credentials grant of OAuth 2."""

    token_url: WebUrl
    """The endpoint that gives tokens. Sets `sasl.oauthbearer.token.endpoint.url`."""
    client_id: Text
    """The client. Sets `sasl.oauthbearer.client.id`."""
    client_secret: SecretText
    """The client's secret. Sets `sasl.oauthbearer.client.secret`."""
    scope: Text | None = None
    """Scopes to ask for, with blanks between. Sets `sasl.oauthbearer.scope`."""
    ca: Text | None = None
    """PEM file of the authorities to trust at the endpoint; default: the system's. Sets
    `https.ca.location`."""


class SecuritySpec(Spec):
    """How to connect to a Kafka that is not open."""

    protocol: Annotated[Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], Lower]
    """The security protocol. Sets `security.protocol`."""
    mechanism: (
        Annotated[Literal["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"], Lower] | None
    ) = None
    """The SASL mechanism. Sets `sasl.mechanism`."""
    username: Text | None = None
    """The SASL user. Sets `sasl.username`."""
    password: SecretText | None = None
    """The SASL password. Sets `sasl.password`."""
    oauth: KafkaOAuthSpec | None = None
    """Where tokens come from, with the mechanism `oauthbearer`."""
    tls: KafkaTlsSpec = KafkaTlsSpec()
    """Files for TLS."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_login()
        if not self.protocol.endswith("ssl") and self.tls != KafkaTlsSpec():
            raise refuse("E046", f"'{self.protocol}' takes no tls", "use ssl or sasl_ssl")
        if (self.tls.cert is None) != (self.tls.key is None):
            raise refuse("E046", "a client certificate needs both cert and key")
        return self

    def _check_login(self) -> None:
        password = (self.username, self.password)
        if not self.protocol.startswith("sasl"):
            if (self.mechanism, self.oauth, *password) != (None, None, None, None):
                hint = "use sasl_ssl or sasl_plaintext"
                raise refuse("E046", f"'{self.protocol}' takes no mechanism or login", hint)
        elif self.mechanism == "oauthbearer":
            if self.oauth is None or password != (None, None):
                raise refuse("E046", "'oauthbearer' needs oauth, and no username and password")
        elif self.mechanism is None or None in password:
            raise refuse("E046", f"'{self.protocol}' needs mechanism, username and password")
        elif self.oauth is not None:
            raise refuse("E046", f"'{self.mechanism}' takes no oauth", "use oauthbearer")


class KafkaSpec(Spec):
    """The Kafka cluster that the pipeline reads from and writes to."""

    bootstrap_servers: Text = "embedded"
    """`host:port, ...`, or `embedded` for the broker that headrace starts by itself."""
    security: Annotated[SecuritySpec, Short("protocol")] | None = None
    """Protocol and credentials; default: none."""
    properties: dict[str, Scalar] = Field(default_factory=dict, repr=False)
    """librdkafka properties passed on as they are, less those that headrace sets."""
    membership: Literal["dynamic", "static"] | None = None
    """Group membership; default: dynamic, and static for the workers of `headrace up`."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """Rebalance protocol of the consumer groups. Sets `group.protocol`."""


class TlsSpec(Spec):
    """Files for TLS to a model server, relative to the pipeline file."""

    ca: Text | None = None
    """PEM file of the authorities to trust; default: the system's."""
    cert: Text | None = None
    """PEM file of the client's certificate."""
    key: Text | None = None
    """PEM file of the client's private key."""
    server_name: Text | None = None
    """Name that the server's certificate must carry; default: the URL's host."""


class ServerSpec(Spec):
    """A model server, for any number of models."""

    not_built: ClassVar[frozenset[str]] = frozenset({"oauth", "profile", "protocol"})

    url: Annotated[tuple[Url, ...], Field(min_length=1), OneOrMany()]
    """`grpc://host:port` or `grpcs://host:port`; a list names several replicas."""
    serve: Text | None = None
    """Folder or command of a server that `headrace up` starts. A command has arguments."""
    timeout: Duration = timedelta(seconds=30)
    """Longest a call may take."""
    token: SecretStr | None = None
    """Bearer token sent with every call; empty for none."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers sent with every call."""
    authority: Text | None = None
    """Replaces the host in the :authority header; default: the URL's."""
    tls: TlsSpec = TlsSpec()
    """Files for TLS, with grpcs."""
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Request parameters of the Open Inference Protocol."""
    min_in_flight: Annotated[int, Field(ge=1, le=1024), Whole] = 1
    """Fewest requests at once that adaptive concurrency goes down to, per worker."""
    max_in_flight: Annotated[int, Field(ge=1, le=1024), Whole] = 16
    """Most requests at once to one model, per worker."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min_in_flight > self.max_in_flight:
            raise refuse("E013", "min_in_flight is above max_in_flight")
        return self
