"""URLs of model servers, whatever the protocol."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from headrace.errors import ConfigError

DEFAULT_PORTS = {"grpc": 80, "grpcs": 443, "http": 80, "https": 443}

_EXAMPLES = {"grpc": "grpc://host:8081", "http": "http://host:8080"}


def parse(url: str, kind: str) -> SplitResult:
    """Return the parts of a URL of a kind (`grpc` or `http`), with TLS or without.

    Raises:
        ConfigError: It is none; a password in it is not repeated.
    """
    refusal = f"{_without_user(url)!r} is not a URL like {_EXAMPLES[kind]}"
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigError(refusal) from None
    if parts.scheme not in {kind, f"{kind}s"} or not parts.hostname or not has_port:
        raise ConfigError(refusal)
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"{_without_user(url)!r}: a URL has no user, query or fragment here")
    if kind == "grpc" and parts.path.strip("/"):
        raise ConfigError(f"{_without_user(url)!r}: a gRPC URL is only a host and a port")
    return parts


def place(parts: SplitResult) -> str:
    """Return `host:port`."""
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(parts: SplitResult) -> bool:
    """Whether a URL names this machine."""
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_user(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
