"""Models and what a step sends to one and takes from it, with every default filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


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
