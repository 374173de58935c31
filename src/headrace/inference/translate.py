"""gRPC status to our errors, once, at the edge."""

import re
from collections.abc import Collection
from dataclasses import dataclass

import grpc

from headrace.errors import (
    AccessRefusedError,
    InferenceError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
)
from headrace.inference.messages import MODEL_NOT_READY, bounded, hidden
from headrace.inference.tls import refused

_Code = grpc.StatusCode

_ERRORS: dict[grpc.StatusCode, type[InferenceError]] = {
    _Code.UNAVAILABLE: InferenceUnavailableError,
    _Code.RESOURCE_EXHAUSTED: InferenceUnavailableError,
    _Code.DEADLINE_EXCEEDED: InferenceTimeoutError,
    _Code.UNAUTHENTICATED: AccessRefusedError,
    _Code.PERMISSION_DENIED: AccessRefusedError,
    _Code.NOT_FOUND: AccessRefusedError,
    _Code.UNIMPLEMENTED: AccessRefusedError,
    _Code.INVALID_ARGUMENT: InvalidInputError,
    _Code.OUT_OF_RANGE: InvalidInputError,
    _Code.FAILED_PRECONDITION: InvalidInputError,
}
"""Everything else (INTERNAL, UNKNOWN, ABORTED, CANCELLED ...) is a failure of the server."""

_NEVER_SENT = re.compile(
    r"failed to connect|connection refused|connections to all backends failing|no route to host"
    r"|name resolution|dns resolution|empty address list|connection failure",
    re.IGNORECASE,
)
_CUT = re.compile(
    r"socket closed|connection reset|goaway|recvmsg|broken pipe|stream removed|ping timeout"
    r"|keepalive|end of tcp stream|endpoint closing|transport (is )?clos|connection aborted"
    r"|connection termination|remote reset|rst_stream|cancelling all calls|connection dropped",
    re.IGNORECASE,
)
_HTTP_STATUS = re.compile(r"http2 header with status: (\d{3})", re.IGNORECASE)
_TOO_LARGE = re.compile(r"message (size )?.*larger than max|exceeds .*message size", re.IGNORECASE)
_METADATA_TOO_LARGE = re.compile(r"metadata size exceeds", re.IGNORECASE)

_OTHER_PROTOCOL = (
    (
        re.compile(r"http1\.x server|Failed parsing HTTP/2", re.IGNORECASE),
        "the server speaks HTTP/1.1, not gRPC; write http:// instead of grpc://",
    ),
    (
        re.compile(r"missing selected ALPN", re.IGNORECASE),
        "the server speaks TLS, but not gRPC; is it REST? write https:// instead of grpcs://",
    ),
    (
        re.compile(r"WRONG_VERSION_NUMBER"),
        "the server does not speak TLS; write grpc:// instead of grpcs://",
    ),
)
_CLOSED_AT_ONCE = re.compile(r"failed to connect.*socket closed", re.IGNORECASE | re.DOTALL)
_CERTIFICATE = re.compile(
    r"CERTIFICATE_VERIFY_FAILED: ([^:(]*)|Hostname Verification Check failed()"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """How a call ended.

    Attributes:
        code: The status.
        details: Its text, from the server or from gRPC itself.
        is_connected: Whether there was a connection to send the call on.
    """

    code: grpc.StatusCode
    details: str
    is_connected: bool = True


def translate(failure: Failure, where: str, secrets: Collection[str] = ()) -> InferenceError:
    """Return our error for a failed call.

    Args:
        failure: How it ended.
        where: The model and the server, for the message.
        secrets: Texts that must not appear in the message, whoever repeats them.
    """
    kind, said = _misunderstood(failure) or (_kind(failure), failure.details or "no details")
    message = f"{where}: {hidden(said, secrets)} ({failure.code.name})"
    return kind(bounded(message), status=failure.code.name)


def _misunderstood(failure: Failure) -> tuple[type[InferenceError], str] | None:
    """Return what is wrong where client and server do not agree on protocol or certificates."""
    if failure.code is not _Code.UNAVAILABLE or failure.is_connected:
        return None
    for pattern, said in _OTHER_PROTOCOL:
        if pattern.search(failure.details):
            return AccessRefusedError, said
    if _CLOSED_AT_ONCE.search(failure.details):
        said = f"{failure.details}; if the server speaks TLS, write grpcs://"
        return InferenceUnavailableError, said
    if found := _CERTIFICATE.search(failure.details):
        return InferenceUnavailableError, refused(found[1] or "it carries another name")
    return None


def _kind(failure: Failure) -> type[InferenceError]:
    match failure.code:
        case _Code.UNAVAILABLE:
            return _unavailable(failure.details)
        case _Code.RESOURCE_EXHAUSTED:
            return _exhausted(failure.details)
        case _Code.DEADLINE_EXCEEDED if not failure.is_connected:
            return InferenceUnavailableError
        case _Code.INVALID_ARGUMENT if MODEL_NOT_READY.fullmatch(failure.details):
            return InferenceUnavailableError
        case code:
            return _ERRORS.get(code, InferenceFailedError)


def _unavailable(details: str) -> type[InferenceError]:
    """Tell a model that is away from one that went away: only the latter uses an attempt.

    A record that crashes its server must not be repeated for ever.
    """
    if _NEVER_SENT.search(details):
        return InferenceUnavailableError
    if _CUT.search(details):
        return InferenceFailedError
    if status := _HTTP_STATUS.search(details):
        return {"502": InferenceFailedError, "504": InferenceTimeoutError}.get(
            status[1], InferenceUnavailableError
        )
    return InferenceUnavailableError


def _exhausted(details: str) -> type[InferenceError]:
    """Tell an overloaded server from one that will never take this request, or whose answer failed.

    A request over the server's size limit is a fault of its records: smaller batches may pass. A
    server's error text over the limit for trailing metadata is a failure like any other.
    """
    if _TOO_LARGE.search(details):
        return InvalidInputError
    if _METADATA_TOO_LARGE.search(details):
        return InferenceFailedError
    return InferenceUnavailableError
