"""gRPC channels to a model's replicas: URLs, TLS, limits, keepalive, call metadata."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import grpc
import grpc.aio

from headrace.core.topology import Model
from headrace.errors import ConfigError

SCHEMES = frozenset({"grpc", "grpcs"})

_DEFAULT_PORTS = {"grpc": 80, "grpcs": 443}
_TLS_ROLES = frozenset({"ca", "cert", "key", "server_name"})

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # MLServer puts a whole exception into the trailing metadata; at gRPC's 16 KiB the
    # call would end as RESOURCE_EXHAUSTED, which reads as an overloaded server.
    ("grpc.max_metadata_size", 1 << 20),
    ("grpc.absolute_max_metadata_size", 1 << 20),
    # gRPC servers answer pings closer than five minutes with GOAWAY too_many_pings. Having
    # keepalive on also bounds unacknowledged data on a dead connection (TCP_USER_TIMEOUT).
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # While gRPC backs off, a probe fails without an attempt to connect: with gRPC's growing pauses
    # a server that was away for a while would be noticed seconds after its return.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 250),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config_disable_resolution", 1),
)


def target(url: str) -> str:
    """Return the gRPC target (`host:port`) of a `grpc://` or `grpcs://` URL.

    Raises:
        ConfigError: The URL is not one of ours.
    """
    parts = _parse(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def open_channel(url: str, model: Model) -> grpc.aio.Channel:
    """Open a channel to one replica; it connects when first used.

    Raises:
        ConfigError: The URL or a TLS file is wrong.
    """
    options = list(_OPTIONS)
    parts = _parse(url)
    if _is_loopback(parts.hostname or ""):
        options.append(("grpc.enable_http_proxy", 0))
    if model.authority:
        options.append(("grpc.default_authority", model.authority))
    if parts.scheme == "grpc":
        return grpc.aio.insecure_channel(target(url), options=options)
    if server_name := model.tls.get("server_name"):
        options.append(("grpc.ssl_target_name_override", server_name))
    return grpc.aio.secure_channel(target(url), _credentials(model.tls), options=options)


def call_metadata(model: Model) -> tuple[tuple[str, str | bytes], ...]:
    """Return what is sent with every call: the headers and the bearer token.

    Raises:
        ConfigError: A header cannot be sent over gRPC.
    """
    pairs = [_pair(name.lower(), value) for name, value in model.headers.items()]
    if model.token:
        pairs.append(_pair("authorization", f"Bearer {model.token}"))
    return tuple(pairs)


def _parse(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigError(f"{_without_user(url)!r} is not a URL like grpc://host:8081") from None
    if parts.scheme not in SCHEMES or not parts.hostname or not has_port:
        raise ConfigError(f"{_without_user(url)!r} is not a URL like grpc://host:8081")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigError(f"{_without_user(url)!r}: a gRPC URL is only a host and a port")
    return parts


def _without_user(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _credentials(tls: Mapping[str, str]) -> grpc.ChannelCredentials:
    if unknown := sorted(set(tls) - _TLS_ROLES):
        raise ConfigError(
            f"tls has no {', '.join(unknown)}; it has {', '.join(sorted(_TLS_ROLES))}"
        )
    if ("cert" in tls) != ("key" in tls):
        raise ConfigError("tls: a client certificate needs both cert and key")
    return grpc.ssl_channel_credentials(_read(tls, "ca"), _read(tls, "key"), _read(tls, "cert"))


def _read(tls: Mapping[str, str], role: str) -> bytes | None:
    if role not in tls:
        return None
    try:
        return Path(tls[role]).read_bytes()
    except OSError as exc:
        raise ConfigError(f"tls {role}: {tls[role]}: {exc.strerror}") from exc


def _pair(name: str, value: str) -> tuple[str, str | bytes]:
    legal = name.replace("-", "").replace("_", "").replace(".", "")
    if not (legal.isalnum() and legal.isascii()) or name.startswith("grpc-"):
        raise ConfigError(f"header {name!r} cannot be sent over gRPC")
    if name.endswith("-bin"):
        return name, value.encode()
    if not all(" " <= char <= "~" for char in value):
        raise ConfigError(f"header {name!r} has a value that is not printable ASCII")
    return name, value
