"""One embedded broker for the session, names that no other test uses, and a proxy to cut."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from headrace.local.ports import free_port
from tests.fault.brokers import SETTLE_FAST
from tests.network import Proxy, proxied

TopicFactory = Callable[..., str]
_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_numbers = itertools.count(1)


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
        **proxied(port, controller, front, behind),
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        # A heartbeat of 5 s, the default, would make every rebalance of KIP-848 cost as much.
        **SETTLE_FAST,
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
