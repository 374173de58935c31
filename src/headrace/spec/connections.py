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
    whole: ClassVar[str] = "the pipeline"
    """What a file of this type is called where a problem concerns all of it."""


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


class OAuthSpec(Spec):
    """A login by the client-credentials grant of OAuth 2: tokens are asked for when needed."""

    token_url: WebUrl
    """The endpoint that gives tokens."""
    client_id: Text
    """The client."""
    client_secret: SecretText
    """The client's secret."""
    scope: Text | None = None
    """Scopes to ask for, with blanks between; default: the endpoint's choice."""
    audience: Text | None = None
    """Whom the token is for, where the endpoint wants to know."""


ProfileName = Literal["auto", "json", "binary", "v1"]


class ServerSpec(Spec):
    """A model server, for any number of models."""

    url: Annotated[tuple[Url, ...], Field(min_length=1), OneOrMany()]
    """`grpc`, `grpcs`, `http` or `https` URL; a list names several replicas."""
    profile: ProfileName = "auto"
    """How models are asked over HTTP: `json`, `binary` (Triton's binary tensors), `v1` (KServe V1
    `:predict`), or `auto`: binary where the server says that it takes it, else json."""
    serve: Text | None = None
    """Folder or command of a server that `headrace up` starts. A command has arguments."""
    timeout: Duration = timedelta(seconds=30)
    """Longest a call may take."""
    token: SecretStr | None = None
    """Bearer token sent with every call; empty for none."""
    token_file: Text | None = None
    """File that holds the bearer token; it is read again when it changes."""
    oauth: OAuthSpec | None = None
    """Where bearer tokens are asked for."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers sent with every call."""
    authority: Text | None = None
    """Replaces the host in the :authority or Host header; default: the URL's."""
    tls: TlsSpec = TlsSpec()
    """Files for TLS, with grpcs and https."""
    parameters: dict[str, Scalar] = Field(default_factory=dict)
    """Request parameters of the Open Inference Protocol; with `profile: v1`, fields beside
    `instances`, and `instances: rows | values` says what stands in it."""
    min_in_flight: Annotated[int, Field(ge=1, le=1024), Whole] = 1
    """Fewest requests at once that adaptive concurrency goes down to, per worker."""
    max_in_flight: Annotated[int, Field(ge=1, le=1024), Whole] = 16
    """Most requests at once to one model, per worker."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min_in_flight > self.max_in_flight:
            raise refuse("E013", "min_in_flight is above max_in_flight")
        refuse_several_logins(self.token, self.token_file, self.oauth)
        return self


def refuse_several_logins(
    token: SecretStr | None, token_file: str | None, oauth: OAuthSpec | None
) -> None:
    """Refuse more than one way to log in; an empty token is none."""
    ways = {"token": token and token.get_secret_value(), "token_file": token_file, "oauth": oauth}
    said = [f"'{way}'" for way, value in ways.items() if value]
    if len(said) > 1:
        raise refuse("E047", f"{' and '.join(said)} are several ways to log in", "keep one")
