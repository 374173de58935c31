"""A real Apache Kafka, one KRaft node, as a child process: no Docker, no installation.

    with EmbeddedKafka(port=0) as kafka:          # None: 9092 if free, else any; 0: any
        producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        kafka.kill()                              # SIGKILL; `restart()` keeps data and port
        kafka.restart()

Every call blocks; from asyncio use `asyncio.to_thread`.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from headrace.errors import LocalError, PortInUseError
from headrace.local import broker_record
from headrace.local.broker_files import broker_properties, write_files
from headrace.local.java import find_java
from headrace.local.kafka_jars import kafka_jars
from headrace.local.paths import locked, runtime_dir
from headrace.local.ports import accepts, free_port, is_free
from headrace.local.process import Child, signal_name, tail
from headrace.local.scratch import ScratchDir
from headrace.local.storage import format_storage, is_formatted

USUAL_PORT = 9092
_READY_WITHIN_S = 120.0
_STOP_GRACE_S = 10.0
_POLL_S = 0.02
_PATIENCE_S = 10.0  # with a broker whose process lives: a busy machine makes it slow
_TAIL_LINES = 30
# The quick compiler alone: the broker starts with two thirds of the CPU time, and the optimising
# one had not earned back its own after two million records (6 us of CPU a record either way).
_JVM = ("-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class EmbeddedKafka:
    """One broker on the loopback address.

    Data lies in a temporary folder that `stop` removes, or in `data_dir`, which stays and may
    be started again. The broker ends with this process, however this process ends.

    Args:
        port: Where clients connect. None: 9092 if it is free, else any; 0: any.
        data_dir: Folder for data, settings and log; made if missing.
        properties: Broker settings that replace ours.
        max_heap: The broker's largest heap as the JVM spells it.
        progress: Receives a line of text before each slow step.

    Raises:
        PortInUseError: On `start`, if the given port is taken.
        LocalError: On `start`, if the broker does not come up; the message has the log's tail.
    """

    def __init__(
        self,
        port: int | None = None,
        data_dir: Path | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        max_heap: str = "512m",
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._wanted_port = port
        self._folder = data_dir
        self._scratch: ScratchDir | None = None
        self._overrides = dict(properties or {})
        self._max_heap = max_heap
        self._progress = progress
        self._port = 0
        self._is_announced = False
        self._child: Child | None = None

    @property
    def name(self) -> str:
        """What to call it in words for a person."""
        return "the embedded Kafka"

    @property
    def bootstrap_servers(self) -> str:
        """Address for clients, `127.0.0.1:PORT`; only after `start`."""
        if not self._port:
            raise LocalError("the embedded Kafka was not started")
        return f"127.0.0.1:{self._port}"

    @property
    def log_path(self) -> Path:
        """The broker's log file; only after `start`."""
        return self._started_folder / "broker.log"

    @property
    def pid(self) -> int:
        """Process id of the broker; only after `start`."""
        if self._child is None:
            raise LocalError("the embedded Kafka is not running")
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the broker's process lives."""
        return self._child is not None and self._child.is_running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and return when it answers."""
        if self.is_running:
            return
        jars = kafka_jars(self._progress)
        try:
            self._start_on_some_port(jars)
        except BaseException:
            self.stop()
            raise

    def kill(self) -> None:
        """End the broker with SIGKILL, as a power cut would; data and port are kept."""
        if self._child is not None:
            self._child.kill()

    def restart(self) -> None:
        """Start again on the same data and port, after `kill` or in order if it still runs."""
        if self._child is not None:
            self._child.stop(_STOP_GRACE_S)
        self._launch(kafka_jars())
        if self._is_announced:
            self.announce()

    def stop(self) -> None:
        """End the broker and remove its data unless a folder was given. May be repeated."""
        if self._child is not None:
            broker_record.forget(self._child.pid)
            # Temporary data needs no orderly end, which would cost a second.
            self._child.stop(_STOP_GRACE_S if self._scratch is None else 0.0)
            self._child = None
        self._port = 0
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = self._folder = None

    def announce(self) -> None:
        """Let `running_broker` of other processes find this broker until it stops."""
        self._is_announced = True
        broker_record.write(self.pid, self.bootstrap_servers)

    @property
    def _started_folder(self) -> Path:
        if self._folder is None:
            raise LocalError("the embedded Kafka was not started")
        return self._folder

    def _start_on_some_port(self, jars: list[Path]) -> None:
        if self._folder is None:
            self._scratch = ScratchDir("kafka")
            self._folder = self._scratch.path
        self._folder.mkdir(parents=True, exist_ok=True)
        self._port = self._choose_port()
        try:
            self._launch(jars)
        except LocalError:
            # Another process may have taken the port since it was found free.
            if self._wanted_port or "Address already in use" not in tail(self.log_path, 200):
                raise
            self._port = free_port()
            self._launch(jars)

    def _choose_port(self) -> int:
        wanted = USUAL_PORT if self._wanted_port is None else self._wanted_port
        if wanted and is_free(wanted):
            return wanted
        if self._wanted_port:
            raise PortInUseError(f"port {wanted} is in use; name another or leave it out")
        return free_port()

    def _launch(self, jars: list[Path]) -> None:
        folder, log_dir = self._started_folder, self._started_folder / "data"
        properties = broker_properties(self._port, free_port(), log_dir, self._overrides)
        settings, logging = write_files(folder, properties)
        java = [
            str(find_java()),
            f"-Dlog4j2.configurationFile={logging}",
            "-cp",
            os.pathsep.join(map(str, jars)),
        ]
        if not is_formatted(log_dir):
            format_storage([java[0], *_JVM, *java[1:]], settings, log_dir)
        run = [*_JVM, f"-Xmx{self._max_heap}", *java[1:], "kafka.Kafka", str(settings)]
        with self.log_path.open("ab") as log:
            self._child = Child([java[0], *run], output=log)
        self._await_ready(self._child)

    def _await_ready(self, child: Child) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            if not child.is_running:
                ended = signal_name(child.exit_status or 0)
                raise LocalError(
                    f"the embedded Kafka ended ({ended}):\n{tail(self.log_path, _TAIL_LINES)}"
                )
            if accepts(self._port) and answers(self.bootstrap_servers):
                return
            time.sleep(_POLL_S)
        child.kill()
        raise LocalError(
            f"no answer from the embedded Kafka in time:\n{tail(self.log_path, _TAIL_LINES)}"
        )


def answers(bootstrap_servers: str, timeout_s: float = 2.0) -> bool:
    """Tell whether a broker answers a metadata request."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def running_broker() -> str | None:
    """Return the bootstrap address of the announced broker if it lives and answers."""
    recorded = broker_record.read()
    return recorded if recorded and answers(recorded, _PATIENCE_S) else None


def join_or_start(
    data_dir: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> tuple[str, EmbeddedKafka | None]:
    """Join the announced broker, or start one and announce it.

    Returns:
        The bootstrap address, and the broker if it was started here: then stopping it is the
        caller's duty.
    """
    with locked(runtime_dir() / "broker.lock"):
        found = running_broker()
        if found:
            return found, None
        started = EmbeddedKafka(data_dir=data_dir, progress=progress)
        started.start()
        started.announce()
        return started.bootstrap_servers, started
