"""Where a campaign's pipelines write: one broker or three, reached over ways that can be cut."""

import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from headrace.local.kafka import EmbeddedKafka
from headrace.local.kafka_jars import KAFKA_VERSION
from headrace.local.paths import cache_dir
from headrace.local.ports import free_port
from headrace.local.storage import new_id
from tests.network import Proxy, proxied

SETTLE_FAST = {
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
}
"""So that KIP-848 sees a dead worker as soon as the classic protocol does."""

_REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "replica.lag.time.max.ms": "5000",
}
_HEAP = "320m"


class Brokers:
    """One broker, or three with replication factor 3 and two in-sync replicas at least.

    Workers connect at `proxied`, over a proxy each; the harness itself at `direct`.

    Attributes:
        nodes: The brokers.
        ways: The workers' way to each.
    """

    def __init__(self, count: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-brokers-"))
        self.nodes: list[EmbeddedKafka] = []
        self.ways: list[Proxy] = []
        controllers = [free_port() for _ in range(count)]
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in enumerate(controllers, 1))
        self._cluster = new_id()
        self._addresses = []
        for number, controller in enumerate(controllers, 1):
            port, front, behind = free_port(), free_port(), free_port()
            properties = {
                **SETTLE_FAST,
                **(_REPLICATED if count > 1 else {}),
                "node.id": str(number),
                "controller.quorum.voters": voters,
                **proxied(port, controller, front, behind),
            }
            folder = self._folder / str(number)
            self.nodes.append(EmbeddedKafka(port, folder, properties=properties, max_heap=_HEAP))
            self.ways.append(Proxy(front, behind))
            self._addresses.append(f"127.0.0.1:{port}")

    def __enter__(self) -> Self:
        try:
            self._format()
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(lambda node: node.start(), self.nodes))
            for way in self.ways:
                way.listen()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for way in self.ways:
            way.close()
        for node in self.nodes:
            node.kill()
            node.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def is_replicated(self) -> bool:
        """Whether there is more than one."""
        return len(self.nodes) > 1

    @property
    def direct(self) -> str:
        """Bootstrap servers of the harness."""
        return ",".join(self._addresses)

    @property
    def proxied(self) -> str:
        """Bootstrap servers of the workers."""
        return ",".join(way.address for way in self.ways)

    def heal(self) -> None:
        """Let every way pass again."""
        for way in self.ways:
            way.heal()

    def keep(self, folder: Path) -> None:
        """Copy the brokers' data and logs, for whoever looks into a seed that went wrong."""
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)

    def _format(self) -> None:
        """Give every node its identity in one cluster; a lone broker formats itself."""
        if not self.is_replicated:
            return
        levels = cache_dir() / f"kafka-{KAFKA_VERSION}.bootstrap.checkpoint"
        if not levels.exists():
            with EmbeddedKafka(port=0):
                pass  # which keeps them
        for number in range(1, len(self.nodes) + 1):
            data = self._folder / str(number) / "data"
            data.mkdir(parents=True)
            shutil.copyfile(levels, data / "bootstrap.checkpoint")
            (data / "meta.properties").write_text(
                f"version=1\nnode.id={number}\ndirectory.id={new_id()}\n"
                f"cluster.id={self._cluster}\n"
            )
