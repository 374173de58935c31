"""Calls to one replica over HTTP."""

import io
import re
from collections.abc import Callable, Collection
from typing import Any

import aiohttp
import yarl

from headrace.core.models import Model
from headrace.errors import (
    AccessRefusedError,
    ConfigError,
    InferenceError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
)
from headrace.inference.addresses import parse, place
from headrace.inference.exchange import Headers, Question, Reply
from headrace.inference.http_status import Refusal, translate
from headrace.inference.messages import bounded, hidden
from headrace.inference.tls import refused, ssl_context

JSON_SIZE = "inference-header-content-length"

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
# uvicorn, which MLServer and KServe use, closes a connection after 5 s without a request; one that
# is closed while a call is on its way looks like a server that died of the call.
_KEEP_ALIVE_S = 4.0
_READ_BYTES = 1 << 20
_LARGE_BYTES = 1 << 20


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
        self._base = f"{parts.scheme}://{place(parts)}{parts.path.rstrip('/')}"
        self._where = f"model {model.name!r} on {place(parts)}"
        self._timeout_s = model.timeout_s
        self._headers = _headers(model)
        self._secrets = secrets
        self._tls = ssl_context(model.tls) if parts.scheme == "https" else None
        self._settings: dict[str, Any] = {"allow_redirects": False}
        server_name = model.tls.get("server_name")
        if self._tls is not None and server_name:
            self._settings["server_hostname"] = server_name
        self._urls: dict[str, yarl.URL] = {}
        self._session: aiohttp.ClientSession | None = None
        self._has_answered = False
        self._is_closed = False

    async def call(self, question: Question, headers: Headers) -> Reply:
        """Send a call and return the answer.

        Raises:
            InferenceError: It failed, as `ports.InferenceClient` says.
        """
        session = self._session or self._open()
        reused: list[bool] = []
        try:
            reply = await self._send(session, question, headers, reused)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not _is_cut(error):
                raise self._translated(error) from error
            if reused:
                reply = await self._send_again(session, question, headers, error)
            elif self._has_answered or await self._speaks_http(session):
                raise self._translated(error) from error
            else:
                raise AccessRefusedError(f"{self._where}: {_SILENT}") from error
        self._has_answered = True
        return reply

    async def close(self) -> None:
        """Close connections; calls that still wait fail."""
        self._is_closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._is_closed:
            raise InferenceUnavailableError(f"{self._where}: the client is closed")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, ssl=self._tls or True, keepalive_timeout=_KEEP_ALIVE_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=self._timeout_s, connect=self._timeout_s * _CONNECT_SHARE
            ),
            read_bufsize=_READ_BYTES,
            trace_configs=[_watching_reuse()],
        )
        return self._session

    async def _send(
        self,
        session: aiohttp.ClientSession,
        question: Question,
        headers: Headers,
        reused: list[bool] | None = None,
    ) -> Reply:
        async with session.request(
            "GET" if question.body is None else "POST",
            self._urls.get(question.place) or self._url(question.place),
            data=_payload(question.body),
            headers={**self._headers, **question.headers, **headers},
            trace_request_ctx=reused,
            **self._settings,
        ) as response:
            body = await response.read()
        if not 200 <= response.status < 300:
            self._has_answered = True
            refusal = Refusal(response.status, body, response.headers.get("location", ""))
            raise translate(refusal, self._where, self._secrets())
        return Reply(body, _json_size(response.headers.get(JSON_SIZE), len(body)))

    async def _send_again(
        self,
        session: aiohttp.ClientSession,
        question: Question,
        headers: Headers,
        cut: Exception,
    ) -> Reply:
        """Repeat, once, a call on a connection that may have been closed before it was sent.

        Servers close idle connections when they like; uvicorn does it after a 500, unannounced.
        If there is no server now it died of the call, which uses an attempt.
        """
        try:
            return await self._send(session, question, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = self._translated(error)
            if isinstance(failure, InferenceUnavailableError):
                raise self._translated(cut) from cut
            raise failure from error

    async def _speaks_http(self, session: aiohttp.ClientSession) -> bool:
        """Whether a server that cut the first call of all may be an HTTP server that it broke."""
        try:
            async with session.get(self._url("/v2"), headers=self._headers, **self._settings):
                return True
        except aiohttp.ServerDisconnectedError:
            return False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return True

    def _url(self, path: str) -> yarl.URL:
        self._urls[path] = yarl.URL(self._base + path, encoded=True)
        return self._urls[path]

    def _translated(self, error: Exception) -> InferenceError:
        kind, said = _failure(error)
        return kind(bounded(hidden(f"{self._where}: {said}", self._secrets())))


def _watching_reuse() -> aiohttp.TraceConfig:
    """Return a trace that notes in a call's context that it went over a used connection."""

    async def note(_session: Any, context: Any, _params: Any) -> None:
        if context.trace_request_ctx is not None:
            context.trace_request_ctx.append(True)

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(note)
    return trace


def _headers(model: Model) -> dict[str, str]:
    # A compressed answer costs both sides more than a fast network saves.
    headers = {"accept-encoding": "identity"}
    if model.authority:
        headers["host"] = _legal("authority", model.authority)
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


def _payload(body: bytes | None) -> Any:
    # aiohttp warns of large bodies in one piece: it would write them without a break.
    return io.BytesIO(body) if body is not None and len(body) > _LARGE_BYTES else body


def _json_size(said: str | None, whole: int) -> int | None:
    if said is None:
        return None
    return int(said) if said.isascii() and said.isdigit() else whole + 1


def _is_cut(error: Exception) -> bool:
    """Whether a connection was lost before an answer began."""
    if isinstance(error, aiohttp.ClientConnectorError | TimeoutError):
        return False
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)


def _failure(error: Exception) -> tuple[type[InferenceError], str]:
    """Tell a server that is away from one that went away: only the latter uses an attempt."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return InferenceUnavailableError, "no connection in time"
        case TimeoutError():
            return InferenceTimeoutError, "no answer in time"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorError():
            return _unconnected(error)
        case aiohttp.ClientResponseError():
            said = "the answer is not HTTP/1.1; is it a gRPC port? write grpc:// instead of http://"
            return AccessRefusedError, said
        case aiohttp.ServerDisconnectedError():
            return InferenceFailedError, "the server closed the connection without an answer"
    return InferenceFailedError, f"the connection was cut: {error or type(error).__name__}"


def _unconnected(
    error: aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorError,
) -> tuple[type[InferenceError], str]:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        return InferenceUnavailableError, refused(getattr(cause, "verify_message", str(cause)))
    reason = getattr(error.os_error, "reason", None)
    if reason == "WRONG_VERSION_NUMBER":
        said = "the server does not speak TLS; write http:// instead of https://"
        return AccessRefusedError, said
    return InferenceUnavailableError, f"cannot connect: {reason or error.os_error.strerror}"
