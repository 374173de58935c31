"""A pipeline of many stages on a real broker: its workers are processes, its people use the CLI."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as ClientPartition

from headrace import wiring
from headrace.cli.settings import load_topology
from headrace.core import wire
from headrace.core.records import Record, TopicPartition
from headrace.core.topology import Plan, Topology
from headrace.kafka.reading import existing_partitions, held_records
from tests.fault.dag_runs import create_topics
from tests.integration.pipelines import Running


@dataclass(slots=True)
class DagScene:
    """A pipeline file with its modules, and the topics of it.

    Args:
        bootstrap: The broker.
        name: The pipeline; `NAME` in the text stands for it.
        folder: Where its files are written.
        text: The pipeline file without `pipeline` and `kafka`.
        modules: Python files beside it, by name.
        partitions: Of every topic.
    """

    bootstrap: str
    name: str
    folder: Path
    text: str
    modules: Mapping[str, str] = field(default_factory=dict)
    partitions: int = 2
    file: Path = field(init=False)
    topology: Topology = field(init=False)
    _fed: dict[tuple[str, int], int] = field(init=False, default_factory=dict)
    _looks: dict[str, Consumer] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.file = self.folder / f"{self.name}.yaml"
        head = f'pipeline: {self.name}\nkafka: {{bootstrap_servers: "{self.bootstrap}"}}\n'
        self.file.write_text(head + self.text.replace("NAME", self.name))
        for module, code in self.modules.items():
            self.write_module(module, code)
        self.topology = load_topology(str(self.file))

    def write_module(self, module: str, code: str) -> None:
        """Put a module beside the pipeline file, in place of the one that is there."""
        (self.folder / f"{module}.py").write_text(code)

    def create_topics(self) -> None:
        """Create every topic that the pipeline needs."""
        create_topics(self.topology, self.partitions)

    def feed(self, topic: str, *documents: Any, partition: int = 0, key: str = "k") -> list[str]:
        """Write source records in order; return their ids."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "enable.idempotence": True})
        for each in documents:
            producer.produce(topic, json.dumps(each).encode(), key.encode(), partition)
        assert producer.flush(20) == 0
        first = self._fed.get((topic, partition), 0)
        self._fed[topic, partition] = first + len(documents)
        return [f"{topic}-{partition}-{first + number}" for number in range(len(documents))]

    # Workers

    @contextlib.contextmanager
    def worker(self, *stages: str, slot: str = "a") -> Iterator["subprocess.Popen[bytes]"]:
        """Run `headrace run` in a process; it drains at the end, if nobody killed it."""
        chosen = [word for stage in stages for word in ("--stage", stage)]
        command = ["run", str(self.file), "--slot", slot, *chosen]
        with self.log.open("ab") as log:
            process = _started(command, stdout=log, stderr=log)
        try:
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0, self.log.read_text()[-3000:]
        finally:
            process.kill()
            process.wait()

    @contextlib.asynccontextmanager
    async def worker_here(self, *stages: str) -> Any:
        """Run a worker in this process; it drains at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(wiring.run(Plan(self.topology, "here", stages), stop))
        try:
            yield Running(task, stop, 0)
        finally:
            stop.set()
            await task

    @property
    def log(self) -> Path:
        """What the workers wrote."""
        return self.folder / f"{self.name}.log"

    # What came of it

    def read(self, topic: str) -> list[Record]:
        """Read all committed records of a topic, partition by partition."""
        connection = {"bootstrap.servers": self.bootstrap}
        found = held_records(connection, existing_partitions(connection, topic))
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def documents(self, topic: str) -> list[Any]:
        """Return the documents of a topic."""
        return [json.loads(record.value or b"null") for record in self.read(topic)]

    def letters(self) -> list[Record]:
        """Return every dead letter, open or not."""
        found = self.read(self.topology.dead_letter_topic)
        return [record for record in found if not header(record, wire.REPLAYED)]

    def until(self, holds: Callable[[], bool], within_s: float = 30.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < deadline, self._what_is_there()
            time.sleep(0.1)

    def until_finished(self, *stages: str, within_s: float = 30.0) -> None:
        """Wait until all stages, or some, have durably finished everything in their topics."""
        chosen = [each for each in self.topology.stages if not stages or each.name in stages]
        deadline = time.monotonic() + within_s
        while left := {k: n for each in chosen for k, n in self.unfinished(each.name).items()}:
            assert time.monotonic() < deadline, f"{left}; {self._what_is_there()}"
            time.sleep(0.1)

    def unfinished(self, stage_name: str) -> dict[TopicPartition, int]:
        """Return how far a stage's committed offsets are behind, where they are."""
        (stage,) = (each for each in self.topology.stages if each.name == stage_name)
        numbers = range(self.partitions)
        places = [ClientPartition(topic, n) for topic in stage.topics for n in numbers]
        settings = {"bootstrap.servers": self.bootstrap, "group.id": stage.group}
        look = self._looks.get(stage_name) or Consumer(settings)
        self._looks[stage_name] = look
        behind = {}
        for at in look.committed(places, timeout=20):
            _, end = look.get_watermark_offsets(at, timeout=20)
            if end > max(at.offset, 0):
                behind[TopicPartition(at.topic, at.partition)] = end - max(at.offset, 0)
        return behind

    def close(self) -> None:
        """Let go of the clients."""
        for each in self._looks.values():
            each.close()

    def _what_is_there(self) -> str:
        letters = [(header(x, wire.ID), header(x, wire.ERROR_MESSAGE)) for x in self.letters()]
        sinks = {sink.topic: self.documents(sink.topic) for sink in self.topology.sinks}
        log = self.log.read_text()[-3000:] if self.log.exists() else ""
        return f"letters {letters}\nsinks {sinks}\nlog {log}"

    # People

    def headrace(self, *words: str) -> str:
        """Run a verb of the command line that must succeed; return what it prints."""
        verb = self.start(*words)
        out, err = verb.communicate(timeout=60)
        assert verb.returncode == 0, err
        return out

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a verb of the command line; `FILE` stands for the pipeline file."""
        given = [str(self.file) if word == "FILE" else word for word in words]
        return _started(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _started(words: Sequence[str], **streams: Any) -> "subprocess.Popen[Any]":
    environ = os.environ | {"NO_COLOR": "1"}
    environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
    return subprocess.Popen([sys.executable, "-m", "headrace", *words], env=environ, **streams)


def header(record: Record, name: str) -> str:
    """Return a header's text, empty where there is none."""
    return (dict(record.headers or ()).get(name) or b"").decode()


@contextlib.contextmanager
def scenes(
    bootstrap: str, unique: Callable[[str], str], folder: Path, pipeline: str, rules: str
) -> Iterator[Callable[..., DagScene]]:
    """Make scenes of a pipeline with a module of functions of its own; close them at the end."""
    made: list[DagScene] = []

    def make(more: str = "", text: str = pipeline) -> DagScene:
        name = unique("p").replace("_", "-")[-40:].lstrip("-")
        module = f"rules_{name.replace('-', '_')}"
        text = text.replace("MODULE", module).replace("MORE", more)
        made.append(DagScene(bootstrap, name, folder, text, {module: rules}))
        made[-1].create_topics()
        return made[-1]

    yield make
    for each in made:
        each.close()
