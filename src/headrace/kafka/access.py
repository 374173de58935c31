"""Getting in: waits for a broker that answers, or says what keeps this client out."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from headrace.errors import BrokerUnavailableError, ConfigError, SecurityError
from headrace.kafka.translate import (
    UNREACHABLE,
    failure_of,
    is_about_tokens,
    kafka_error,
    let_go,
    refuses,
    translated,
)

_FIRST_PATIENCE_S = 0.25
_LOOK_WITHIN_S = 2.0
_FILES = {
    "ssl.ca.location": "kafka.security.tls.ca",
    "ssl.certificate.location": "kafka.security.tls.cert",
    "ssl.key.location": "kafka.security.tls.key",
    "https.ca.location": "kafka.security.oauth.ca",
}

_Client = TypeVar("_Client")


class Complaints:
    """Why a client is kept out: its calls only time out, the reason goes to its `error_cb`."""

    def __init__(self) -> None:
        self.first: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Hear an error; the client calls this when it is polled."""
        if self.first is None and (refuses(error) or is_about_tokens(error)):
            self.first = error

    def reason(self, client: Any, error: KafkaException) -> KafkaError:
        """Return why a call of the client failed."""
        hear(client)
        said = kafka_error(error)
        return self.first if self.first and said.code() in UNREACHABLE else said


def hear(client: Any, within_s: float = 0.0) -> None:
    """Take what a client has to tell its callbacks; it keeps that in memory until then.

    Waits until there is something, for as long as is said.

    A fatal error comes as an exception, and again from every call that follows: not from here.
    """
    with contextlib.suppress(KafkaException):
        client.poll(within_s)


def made(kind: Callable[[dict[str, Any]], _Client], properties: Mapping[str, Any]) -> _Client:
    """Make a client of the Kafka library.

    Raises:
        ConfigError: It does not take these properties.
    """
    for key, place in _FILES.items():
        if key in properties:
            _require_readable(str(properties[key]), place)
    try:
        return kind(dict(properties))
    except KafkaException as error:
        raise ConfigError(
            f"the Kafka client does not take its settings: {kafka_error(error).str()}; "
            "look at kafka.security and kafka.properties"
        ) from error


def await_access(connection: Mapping[str, Any], within_s: float) -> None:
    """Return when a broker answers; blocks.

    Raises:
        BrokerUnavailableError: None did in time.
        SecurityError: One did, and does not let this client in, or is not to be trusted.
        ConfigError: The Kafka client does not take these properties.
    """
    complaints = Complaints()
    client = made(AdminClient, {**connection, "error_cb": complaints})
    deadline = time.monotonic() + within_s
    patience_s = _FIRST_PATIENCE_S
    try:
        while True:
            left_s = max(deadline - time.monotonic(), _FIRST_PATIENCE_S)
            failure = failure_of(client.list_topics, timeout=min(left_s, patience_s))
            if failure is None:
                return
            let_go(failure)
            reason = complaints.reason(client, failure)
            if complaints.first is not None:
                raise _security_error(reason, connection) from failure
            _require_plain_port(connection)
            if time.monotonic() >= deadline:
                raise _unavailable(connection, within_s) from failure
            # The metadata of a large cluster far away takes a while.
            patience_s *= 2
    finally:
        # The error that leaves here would keep it alive: see `let_go`.
        del client


def _security_error(reason: KafkaError, connection: Mapping[str, Any]) -> SecurityError:
    text = str(translated(reason, f"connecting to {connection['bootstrap.servers']}"))
    if "certificate verify failed" in reason.str():
        for problem in _certificate_problems(connection):
            return SecurityError(f"{problem}: {text}")
    return SecurityError(text)


def _certificate_problems(connection: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the brokers' certificates; librdkafka only says that something is.

    A look from Python tells an expired one from another authority's or another name's.
    """
    context = ssl.create_default_context(cafile=connection.get("ssl.ca.location"))
    for address in _addresses(connection):
        try:
            _shake_hands(context, address)
        except ssl.SSLCertVerificationError as error:
            yield f"the certificate at {':'.join(address)}: {error.verify_message}"
        except OSError:
            continue


def _require_plain_port(connection: Mapping[str, Any]) -> None:
    """A broker that speaks TLS hangs up on a client that does not, without a word."""
    if _speaks_tls(connection):
        return
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for address in _addresses(connection):
        try:
            _shake_hands(context, address)
        except OSError:
            continue
        raise SecurityError(
            f"{':'.join(address)} speaks TLS, and kafka.security.protocol is "
            f"{_protocol(connection)}: use ssl or sasl_ssl"
        )


def _unavailable(connection: Mapping[str, Any], within_s: float) -> BrokerUnavailableError:
    said = f"no broker answers at {connection['bootstrap.servers']} within {within_s:g} s"
    for host, port in _addresses(connection):
        try:
            socket.create_connection((host, int(port)), _LOOK_WITHIN_S).close()
        except OSError:
            continue
        return BrokerUnavailableError(
            f"{said}, but {host}:{port} is open and hangs up on this client: is it Kafka, and is "
            f"kafka.security.protocol ({_protocol(connection)}) what this port speaks?"
        )
    return BrokerUnavailableError(
        f"{said}; is it running, and is the address right (--bootstrap-servers)?"
    )


def _require_readable(file: str, place: str) -> None:
    try:
        Path(file).open("rb").close()
    except OSError as error:
        raise ConfigError(f"{place}: {file}: {error.strerror}") from error


def _protocol(connection: Mapping[str, Any]) -> str:
    return str(connection.get("security.protocol", "plaintext")).lower()


def _speaks_tls(connection: Mapping[str, Any]) -> bool:
    return _protocol(connection).endswith("ssl")


def _addresses(connection: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in str(connection["bootstrap.servers"]).split(","):
        host, _, port = each.strip().rpartition(":")
        if port.isdecimal():
            yield host.strip("[]"), port


def _shake_hands(context: ssl.SSLContext, address: tuple[str, str]) -> None:
    host, port = address
    with (
        socket.create_connection((host, int(port)), _LOOK_WITHIN_S) as raw,
        context.wrap_socket(raw, server_hostname=host),
    ):
        pass
