"""A TCP way to a port on this machine that can be delayed, silenced, cut and closed."""

import contextlib
import socket
import struct
import threading
import time
from enum import StrEnum
from typing import Self

END_TXN = 26
"""Kafka's api key of the request that ends a transaction."""

HEARTBEAT = 68
"""Kafka's api key of a member's heartbeat under KIP-848, which also joins."""

_HEAD = struct.Struct(">ih")
_CHUNK = 65536


def proxied(port: int, controller: int, front: int, behind: int) -> dict[str, str]:
    """Return a broker's settings for clients that come over a proxy, beside those at `port`.

    Args:
        port: Where clients connect directly.
        controller: Where the controller listens.
        front: Where the proxy listens.
        behind: Where the broker listens for the proxy.
    """
    return {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{front}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,"
        "CONTROLLER:PLAINTEXT",
    }


class EndOfTransaction(StrEnum):
    """What may befall the request that ends a transaction."""

    LOST = "lost"
    """It never arrives and the connection is cut."""

    UNANSWERED = "unanswered"
    """It arrives, its answer does not, and the connection is cut."""

    LATE = "late"
    """The connection is cut, and it arrives later (KAFKA-17754)."""


class Proxy:
    """A TCP way to a port on this machine.

    While silenced, bytes of that direction are read and thrown away, as when a cable is cut
    behind the last acknowledged packet. `heal` cuts every connection, so that clients dial anew.

    Args:
        port: Where clients connect.
        target: Where their bytes go.
        reads_frames: Whether the clients speak Kafka's protocol.

    Attributes:
        delay_s: How long every chunk waits in each direction.
        withheld: The api key of requests that are thrown away, also after `heal`.
        late_s: How long an `EndOfTransaction.LATE` is kept back.
        ends: How many ends of transactions were met as ordered.
        late: How many of them arrived late.
    """

    def __init__(self, port: int, target: int, *, reads_frames: bool = True) -> None:
        self.address = f"127.0.0.1:{port}"
        self.requests_silenced = threading.Event()
        self.answers_silenced = threading.Event()
        self.delay_s = 0.0
        self.withheld: int | None = None
        self.late_s = 0.0
        self.ends = 0
        self.late = 0
        self._ordered: EndOfTransaction | None = None
        self._lock = threading.Lock()
        self._port = port
        self._target = target
        self._reads_frames = reads_frames
        self._server: socket.socket | None = None
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        for thread in self._threads:
            thread.join(5)

    def listen(self) -> None:
        """Take connections; may follow a `close`."""
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._run(self._accept, self._server)

    def close(self) -> None:
        """Cut all connections and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            _shut(server)
            server.close()
        self.heal()

    def heal(self) -> None:
        """Cut all connections and let both directions pass again."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for each in sockets:
            _shut(each)
            each.close()
        self.requests_silenced.clear()
        self.answers_silenced.clear()
        self.delay_s = 0.0
        self._ordered = None

    def order(self, end: EndOfTransaction, late_s: float = 0.0) -> None:
        """Let this befall the next end of a transaction that comes by."""
        self.late_s = late_s
        self._ordered = end

    def call_off(self) -> None:
        """Take an order back."""
        self._ordered = None

    def _run(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, server: socket.socket) -> None:
        while self._server is server:
            try:
                client, _ = server.accept()
            except OSError:
                continue
            self._run(self._join, client)

    def _join(self, client: socket.socket) -> None:
        """Connect a client with where its bytes go, apart from the others: that may take long."""
        try:
            broker = socket.create_connection(("127.0.0.1", self._target), timeout=5.0)
        except OSError:
            client.close()
            return
        broker.settimeout(None)
        with self._lock:
            if self._server is None:
                client.close()
                broker.close()
                return
            self._sockets += [client, broker]
        self._run(self._answers, broker, client)
        self._requests(client, broker)

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while data := client.recv(_CHUNK):
                if not self._reads_frames:
                    self._pass(data, broker, self.requests_silenced)
                    continue
                buffer += data
                while (frame := _first_frame(buffer)) is not None:
                    buffer = buffer[len(frame) :]
                    if _api_key(frame) == self.withheld:
                        continue
                    end = self._taken(frame)
                    if end is None:
                        self._pass(frame, broker, self.requests_silenced)
                    else:
                        self._meet(end, frame, client, broker)
                        return  # whose side is shut, is shut
        _shut(client)
        _shut(broker)

    def _taken(self, frame: bytes) -> EndOfTransaction | None:
        if self._ordered is None or _api_key(frame) != END_TXN:
            return None
        with self._lock:
            if self._ordered is None:
                return None
            end, self._ordered = self._ordered, None
            self.ends += 1
            return end

    def _meet(
        self, end: EndOfTransaction, frame: bytes, client: socket.socket, broker: socket.socket
    ) -> None:
        match end:
            case EndOfTransaction.LOST:
                _shut(client)
                _shut(broker)
            case EndOfTransaction.UNANSWERED:
                _shut(client)
                broker.sendall(frame)
                time.sleep(0.2)
                _shut(broker)
            case EndOfTransaction.LATE:
                _shut(client)
                self._run(self._deliver, frame, broker, self.late_s)

    def _deliver(self, frame: bytes, broker: socket.socket, after_s: float) -> None:
        time.sleep(after_s)
        with contextlib.suppress(OSError):
            broker.sendall(frame)
            time.sleep(0.2)  # for the answer, which nobody hears
        self.late += 1
        _shut(broker)

    def _answers(self, broker: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := broker.recv(_CHUNK):
                self._pass(data, client, self.answers_silenced)
        _shut(client)

    def _pass(self, data: bytes, sink: socket.socket, silenced: threading.Event) -> None:
        if self.delay_s:
            time.sleep(self.delay_s)
        if not silenced.is_set():
            sink.sendall(data)


def _first_frame(buffer: bytes) -> bytes | None:
    """Return the first request, if it is there as a whole: a length, an api key, and the rest."""
    if len(buffer) < _HEAD.size:
        return None
    end = 4 + _HEAD.unpack_from(buffer)[0]
    return buffer[:end] if len(buffer) >= end else None


def _api_key(frame: bytes) -> int:
    key: int = _HEAD.unpack_from(frame)[1]
    return key


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
