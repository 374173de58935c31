"""Calls to one replica over HTTP."""

import re
import ssl
from collections.abc import Callable, Collection
from importlib.metadata import version
from urllib.parse import SplitResult, quote

from headrace.core.models import Model
from headrace.errors import (
    AccessRefusedError,
    ConfigError,
    InferenceError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
)
from headrace.inference.addresses import DEFAULT_PORTS, parse, place
from headrace.inference.exchange import MOST_ANSWER_BYTES, Headers, Question, Reply
from headrace.inference.http_connections import (
    Answer,
    Connections,
    CutError,
    NoConnectionError,
    NotHttpError,
    TooLargeError,
    TornError,
)
from headrace.inference.http_status import Refusal, translate
from headrace.inference.messages import bounded, hidden
from headrace.inference.tls import refused, ssl_context

JSON_SIZE = "inference-header-content-length"

_JSON_SIZE = JSON_SIZE.encode()
_AGENT = f"headrace/{version('headrace')}"
_PATH_SAFE = "/%:@!$&'()*+,;=~"
# What OpenSSL says of an answer in plain text: 3.0, and 3.2 and later.
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"})
_FAILURES = (NoConnectionError, CutError, TornError, NotHttpError, TooLargeError, OSError)
_OWNED = frozenset(
    {
        *("host", "content-length", "content-type", "transfer-encoding", "connection"),
        *("accept-encoding", "expect", "upgrade", JSON_SIZE),
    }
)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CONNECT_SHARE = 0.9
_SILENT = (
    "the server closes connections without an HTTP answer; does it speak TLS (https://) or gRPC"
    " (grpc://)?"
)
_ENCODED = (
    "the answer is encoded (content-encoding) although the request says accept-encoding: identity;"
    " let the server, or the proxy before it, not compress answers"
)
_MOST_DIGITS = 19


class HttpTransport:
    """Connections to one server; the first call opens one, in the loop that makes it.

    Args:
        url: An `http://` or `https://` URL; its path stands before the protocol's.
        model: The model, for deadline, TLS, authority and headers.
        secrets: Returns texts that must not appear in messages.

    Raises:
        ConfigError: The URL, a TLS file or a header cannot work.
    """

    def __init__(self, url: str, model: Model, secrets: Callable[[], Collection[str]]) -> None:
        parts = parse(url, "http")
        self._path = quote(parts.path.rstrip("/"), safe=_PATH_SAFE)
        self._where = f"model {model.name!r} on {place(parts)}"
        self._timeout_s = model.timeout_s
        self._headers = _headers(model, parts)
        self._secrets = secrets
        tls = ssl_context(model.tls) if parts.scheme == "https" else None
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        server_name = model.tls.get("server_name", "")
        self._connections = Connections(parts.hostname or "", port, tls, server_name)
        self._has_answered = False
        self._is_closed = False

    async def call(self, question: Question, headers: Headers) -> Reply:
        """Send a call and return the answer.

        Raises:
            InferenceError: It failed, as `ports.InferenceClient` says.
        """
        if self._is_closed:
            raise InferenceUnavailableError(f"{self._where}: the client is closed")
        request = self._request(question, headers)
        try:
            answer = await self._send(request)
        except CutError as error:
            if error.was_reused:
                answer = await self._send_again(request, error)
            elif self._has_answered or await self._speaks_http():
                raise self._translated(error) from error
            else:
                raise AccessRefusedError(f"{self._where}: {_SILENT}") from error
        except _FAILURES as error:
            raise self._translated(error) from error
        self._has_answered = True
        if not 200 <= answer.status < 300:
            location = answer.headers.get(b"location", b"").decode("latin-1")
            refusal = Refusal(answer.status, answer.body, location)
            raise translate(refusal, self._where, self._secrets())
        if answer.headers.get(b"content-encoding", b"identity") != b"identity":
            raise AccessRefusedError(f"{self._where}: {_ENCODED}")
        return Reply(answer.body, _json_size(answer.headers.get(_JSON_SIZE), len(answer.body)))

    async def close(self) -> None:
        """Close connections; calls that still wait fail."""
        self._is_closed = True
        await self._connections.close()

    def _request(self, question: Question, headers: Headers) -> bytes:
        body = question.body
        method, size = ("GET", "") if body is None else ("POST", f"content-length: {len(body)}\r\n")
        lines = {**self._headers, **question.headers, **headers}
        head = "".join([f"{name}: {value}\r\n" for name, value in lines.items()])
        start = f"{method} {self._path}{question.place} HTTP/1.1\r\n{head}{size}\r\n".encode(
            "ascii"
        )
        return start if body is None else start + body

    async def _send(self, request: bytes, *, afresh: bool = False) -> Answer:
        connect_within_s = self._timeout_s * _CONNECT_SHARE
        return await self._connections.ask(
            request, self._timeout_s, connect_within_s, afresh=afresh
        )

    async def _send_again(self, request: bytes, cut: CutError) -> Answer:
        """Repeat, once, a call on a connection that may have been closed before it was sent.

        Servers close idle connections when they like; uvicorn does it after a 500, unannounced.
        If there is no server now it died of the call, which uses an attempt.
        """
        try:
            return await self._send(request, afresh=True)
        except _FAILURES as error:
            failure = self._translated(error)
            if isinstance(failure, InferenceUnavailableError):
                raise self._translated(cut) from cut
            raise failure from error

    async def _speaks_http(self) -> bool:
        """Whether a server that cut the first call of all may be an HTTP server that it broke."""
        try:
            await self._send(self._request(Question("/v2"), {}), afresh=True)
        except CutError:
            return False
        except _FAILURES:
            return True
        return True

    def _translated(self, error: Exception) -> InferenceError:
        kind, said = _failure(error)
        return kind(bounded(hidden(f"{self._where}: {said}", self._secrets())))


def _headers(model: Model, parts: SplitResult) -> dict[str, str]:
    headers = {
        "host": _legal("authority", model.authority or place(parts)),
        "user-agent": _AGENT,
        # A compressed answer costs both sides more than a fast network saves.
        "accept-encoding": "identity",
    }
    for name, value in model.headers.items():
        if not _NAME.fullmatch(name) or name.lower() in _OWNED:
            hint = "; use authority" if name.lower() == "host" else ""
            raise ConfigError(f"header {name!r} cannot be sent over HTTP{hint}")
        headers[name.lower()] = _legal(f"header {name!r}", value)
    return headers


def _legal(what: str, value: str) -> str:
    if not all(" " <= char <= "~" or char == "\t" for char in value):
        raise ConfigError(f"{what} has a value that is not printable ASCII")
    return value


def _json_size(said: bytes | None, whole: int) -> int | None:
    if said is None:
        return None
    is_number = said.isdigit() and len(said) < _MOST_DIGITS
    return int(said) if is_number else whole + 1


def _failure(error: Exception) -> tuple[type[InferenceError], str]:
    """Tell a server that is away from one that went away: only the latter uses an attempt."""
    match error:
        case NoConnectionError():
            return InferenceUnavailableError, "no connection in time"
        case CutError() | TornError():
            return InferenceFailedError, f"the connection was cut: {error}"
        case NotHttpError():
            said = "the answer is not HTTP/1.1; is it a gRPC port? write grpc:// instead of http://"
            return AccessRefusedError, said
        case TooLargeError():
            # A smaller batch may get an answer that is not, as with a request.
            said = f"the answer is larger than max ({MOST_ANSWER_BYTES:,} bytes)"
            return InvalidInputError, said
        case TimeoutError():
            return InferenceTimeoutError, "no answer in time"
    return _unconnected(error)


def _unconnected(error: Exception) -> tuple[type[InferenceError], str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return InferenceUnavailableError, refused(error.verify_message)
    reason = getattr(error, "reason", None)
    if reason in _NO_TLS:
        said = "the server does not speak TLS; write http:// instead of https://"
        return AccessRefusedError, said
    said = reason or getattr(error, "strerror", None) or str(error)
    return InferenceUnavailableError, f"cannot connect: {said}"
