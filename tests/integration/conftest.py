"""One embedded broker for the session, names that no other test uses, and a proxy to cut."""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from headrace.local.ports import free_port

TopicFactory = Callable[..., str]
_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_numbers = itertools.count(1)


class Proxy:
    """A TCP way to a port on this machine whose directions can be silenced one by one.

    While silenced, bytes of that direction are read and thrown away, as when a cable is cut
    behind the last acknowledged packet. `heal` cuts every connection, so that clients dial anew.
    """

    def __init__(self, port: int, target: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.requests_silenced = threading.Event()
        self.answers_silenced = threading.Event()
        self._target = target
        self._server = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.heal()
        for thread in self._threads:
            thread.join(5)

    def heal(self) -> None:
        """Cut all connections and let both directions pass again."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()
        self.requests_silenced.clear()
        self.answers_silenced.clear()

    def _run(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, broker]
                self._run(self._pump, client, broker, self.requests_silenced)
                self._run(self._pump, broker, client, self.answers_silenced)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, silenced: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not silenced.is_set():
                    sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def proxied_ports() -> tuple[int, int]:
    """The port clients behind the proxy are sent to, and the broker's port behind it."""
    return free_port(), free_port()


@pytest.fixture(scope="session")
def kafka(proxied_ports: tuple[int, int]) -> Iterator[EmbeddedKafka]:
    """A broker shared by all tests of this process; do not kill it, start your own for that."""
    port, controller = free_port(), free_port()
    front, behind = proxied_ports
    properties = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind},"
        f"CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{front}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,"
        "CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        # The default of 5 s would make every rebalance of the new protocol cost as much.
        "group.consumer.heartbeat.interval.ms": "1000",
    }
    with EmbeddedKafka(port=port, properties=properties) as broker:
        yield broker


@pytest.fixture(scope="session")
def bootstrap(kafka: EmbeddedKafka) -> str:
    """The shared broker's address."""
    return kafka.bootstrap_servers


@pytest.fixture(scope="session")
def upper() -> Iterator[ModelServer]:
    """The benchmark's models `upper` and `score` on a server shared by all tests."""
    with ModelServer("model-upper", directory=_BENCHMARKS) as server:
        yield server


@pytest.fixture
def proxy(kafka: EmbeddedKafka, proxied_ports: tuple[int, int]) -> Iterator[Proxy]:
    """A way to the shared broker that can be cut; clients bootstrap at `proxy.address`."""
    with Proxy(*proxied_ports) as running:
        yield running


@pytest.fixture(scope="session")
def admin(bootstrap: str) -> AdminClient:
    """An admin client of the shared broker."""
    return AdminClient({"bootstrap.servers": bootstrap, "retry.backoff.ms": 10})


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Return a function that makes a word unique, for groups, topics and transactional ids."""
    test = request.node.name.partition("[")[0][:60]
    return lambda word: f"{test}-{word}-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def topic(admin: AdminClient, unique: Callable[[str], str]) -> TopicFactory:
    """Return a function that creates a topic and gives its name: `topic(3, retention_ms="1")`."""

    def create(partitions: int = 1, **config: str) -> str:
        name = unique("topic")
        settings = {key.replace("_", "."): value for key, value in config.items()}
        created = admin.create_topics([NewTopic(name, partitions, 1, config=settings)])
        created[name].result(20)
        return name

    return create
