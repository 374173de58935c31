"""HTTP/1.1 connections to one server, each for one call at a time, kept and used again."""

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from aiohappyeyeballs import start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from headrace.inference.exchange import MOST_ANSWER_BYTES

# uvicorn, which MLServer and KServe use, closes a connection after 5 s without a request; one that
# is closed while a call is on its way looks like a server that died of the call.
KEEP_ALIVE_S = 4.0
"""How long a connection without a call is used again."""

MOST_HEAD_BYTES = 64 * 1024
"""The largest head of an answer; servers take less of a request's."""

# RFC 8305, section 8.
_NEXT_ADDRESS_AFTER_S = 0.25


class NoConnectionError(Exception):
    """No connection in time."""


class CutError(Exception):
    """A connection was lost before an answer's head had come."""

    def __init__(self, cause: Exception | None, *, was_reused: bool) -> None:
        super().__init__(cause or "the server closed the connection without an answer")
        self.was_reused = was_reused


class TornError(Exception):
    """A connection was lost, or spoke no HTTP any more, in the middle of an answer."""


class NotHttpError(Exception):
    """What came is no HTTP/1.1."""


class TooLargeError(Exception):
    """An answer's body is larger than what is read."""


@dataclass(slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: Its number.
        headers: By name in lower case; of several with one name the last.
        body: All of it.
    """

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Connections:
    """Connections to one server; those without a call are used again, the youngest first.

    Args:
        host: The server.
        port: Its port.
        tls: How to trust it; None speaks without TLS.
        server_name: The name that its certificate must carry, if not the host's.
    """

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None = None, server_name: str = ""
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._server_name = (server_name or host) if tls else None
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()
        self._opened = 0

    async def ask(
        self, request: bytes, within_s: float, connect_within_s: float, *, afresh: bool = False
    ) -> Answer:
        """Send a request and return the answer. Cancelling closes the connection.

        Args:
            request: Head and body.
            within_s: Longest time for everything.
            connect_within_s: Longest time until there is a connection.
            afresh: Whether to use no connection that was used before.

        Raises:
            NoConnectionError: There was no connection in time.
            OSError: There can be none; also `ssl.SSLError`.
            TimeoutError: There was no answer in time.
            CutError: The connection was lost before an answer began.
            TornError: It was lost in the middle of one.
            NotHttpError: What came is no HTTP/1.1.
            TooLargeError: The answer is larger than `MOST_ANSWER_BYTES`.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        connection = None if afresh else self._take(begun)
        if connection is None:
            try:
                async with asyncio.timeout(connect_within_s):
                    connection = await self._connect()
            except TimeoutError:
                raise NoConnectionError from None
        self._busy.add(connection)
        deadline = loop.call_at(begun + within_s, connection.give_up)
        try:
            answer = await connection.ask(request, loop)
        except BaseException:
            connection.abort()
            raise
        finally:
            deadline.cancel()
            self._busy.discard(connection)
        if connection.is_usable:
            connection.idle_since = loop.time()
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def close(self) -> None:
        """Close all; calls that still wait are cut."""
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()
        # A socket is closed in the loop's next turn.
        await asyncio.sleep(0)

    def _take(self, now: float) -> "_Connection | None":
        while self._idle and now - self._idle[0].idle_since > KEEP_ALIVE_S:
            self._idle.popleft().abort()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        # A name may stand for several servers: each gets its share.
        first = self._opened % len(found)
        self._opened += 1
        connected = await start_connection(
            found[first:] + found[:first], happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S
        )
        try:
            _, connection = await loop.create_connection(
                _Connection, sock=connected, ssl=self._tls, server_hostname=self._server_name
            )
        except BaseException:
            connected.close()
            raise
        return connection


class _Connection(asyncio.Protocol):
    """One connection; the parser calls the methods whose names begin with `on_`."""

    def __init__(self) -> None:
        self.idle_since = 0.0
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0
        self._header_bytes = 0
        self._has_head = False
        self._is_usable = True
        self._was_used = False
        self._failure: Exception | None = None

    async def ask(self, request: bytes, loop: asyncio.AbstractEventLoop) -> Answer:
        """Send a request and return the answer."""
        if self._failure is not None:
            # A server that is no HTTP server may speak first.
            raise self._failure
        if self._transport is None:
            raise CutError(None, was_reused=self._was_used)
        self._waiter = loop.create_future()
        self._transport.write(request)
        answer = await self._waiter
        self._was_used = True
        return answer

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._is_usable and self._transport is not None

    def abort(self) -> None:
        """Close at once."""
        self._is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def give_up(self) -> None:
        """End the call: its time is up."""
        self._fail(TimeoutError())

    # What the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._was_used and self._waiter is None:
            # Nobody asked; it must not be taken for the next call's answer.
            self.abort()
            return
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._fail(TornError(error) if self._has_head else NotHttpError(error))
            self.abort()
        if not self._has_head and self._head_bytes > MOST_HEAD_BYTES:
            self._fail(NotHttpError("an endless head"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._has_head:
            self._fail(CutError(exc, was_reused=self._was_used))
        elif self._ends_with_connection() and exc is None:
            self.on_message_complete()
        else:
            self._fail(TornError(exc or "the answer is not whole"))

    # What the parser finds

    def on_message_begin(self) -> None:
        self._answer = Answer()
        self._parts = []
        self._body_bytes = 0
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEAD_BYTES:
            raise ValueError("the headers are too long")
        self._answer.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._has_head = self._answer.status >= 200

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MOST_ANSWER_BYTES:
            self._fail(TooLargeError())
            self.abort()
            return
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if not self._has_head:
            # An answer before the answer, such as 100 or 103.
            return
        self._has_head = False
        self._head_bytes = 0
        waiter, self._waiter = self._waiter, None
        is_sent = self._transport is not None and not self._transport.get_write_buffer_size()
        self._is_usable = is_sent and waiter is not None and self._parser.should_keep_alive()
        if waiter is not None and not waiter.done():
            self._answer.body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            waiter.set_result(self._answer)

    def _ends_with_connection(self) -> bool:
        headers = self._answer.headers
        return b"content-length" not in headers and b"transfer-encoding" not in headers

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
