"""gRPC channels to a model's replicas: URLs, TLS, limits, keepalive, call metadata."""

from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from headrace.core.models import Model
from headrace.errors import ConfigError
from headrace.inference.addresses import is_loopback, parse, place
from headrace.inference.exchange import MOST_ANSWER_BYTES
from headrace.inference.tls import read_files, system_roots

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.max_send_message_length", -1),
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
    return place(parse(url, "grpc"))


def open_channel(url: str, model: Model) -> grpc.aio.Channel:
    """Open a channel to one replica; it connects when first used.

    Raises:
        ConfigError: The URL or a TLS file is wrong.
    """
    options = [*_OPTIONS, ("grpc.max_receive_message_length", MOST_ANSWER_BYTES)]
    parts = parse(url, "grpc")
    if is_loopback(parts):
        options.append(("grpc.enable_http_proxy", 0))
    if model.authority:
        options.append(("grpc.default_authority", model.authority))
    if parts.scheme == "grpc":
        return grpc.aio.insecure_channel(target(url), options=options)
    if server_name := model.tls.get("server_name"):
        options.append(("grpc.ssl_target_name_override", server_name))
    return grpc.aio.secure_channel(target(url), _credentials(model.tls), options=options)


def call_metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str | bytes], ...]:
    """Return the headers as they are sent with every call.

    Raises:
        ConfigError: A header cannot be sent over gRPC.
    """
    return tuple(_pair(name.lower(), value) for name, value in headers.items())


def _credentials(tls: Mapping[str, str]) -> grpc.ChannelCredentials:
    files = read_files(tls)
    roots = files.get("ca") or system_roots()
    return grpc.ssl_channel_credentials(roots, files.get("key"), files.get("cert"))


def _pair(name: str, value: str) -> tuple[str, str | bytes]:
    legal = name.replace("-", "").replace("_", "").replace(".", "")
    if not (legal.isalnum() and legal.isascii()) or name.startswith("grpc-"):
        raise ConfigError(f"header {name!r} cannot be sent over gRPC")
    if name.endswith("-bin"):
        return name, value.encode()
    if not all(" " <= char <= "~" for char in value):
        raise ConfigError(f"header {name!r} has a value that is not printable ASCII")
    return name, value
