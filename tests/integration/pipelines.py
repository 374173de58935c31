"""One pipeline on a real broker: fed, run in this process or another, and read back."""

import asyncio
import contextlib
import functools
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace import wiring
from headrace.cli.settings import load_topology
from headrace.core import offset_map
from headrace.core.records import Header, Record, TopicPartition
from headrace.core.topology import Plan, Topology
from headrace.errors import BrokerUnavailableError
from headrace.kafka.admin import KafkaGroup
from headrace.local.ports import free_port
from headrace.testing.history import judge, origin_of

LARGEST = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Message:
    """A source record to write; `timestamp` 0 is now."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[Header] = ()
    timestamp: int = 0
    partition: int = 0


def text(said: str, **settings: Any) -> Message:
    """Return a message whose document has this text."""
    return Message(json.dumps({"text": said}).encode(), **settings)


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test in an event loop of its own, for 50 s at most."""

    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(50):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


async def until(holds: Callable[[], bool], within_s: float = 20.0, what: str = "") -> float:
    """Wait until something holds; return how many seconds that took."""
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > within_s:
            raise TimeoutError(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.01)
    return time.monotonic() - begun


@dataclass(slots=True)
class Outcome:
    """What a pipeline left behind; `results` as they were written, partition by partition."""

    results: list[Record]
    dead: list[Record]

    def texts(self) -> list[str]:
        """Return the results' texts, in the order of their source records."""
        return [document["text"] for document in self.documents()]

    def documents(self) -> list[dict[str, Any]]:
        """Return the results' documents, in the order of their source records."""
        return [json.loads(record.value) for record in sorted(self.results, key=origin_of)]

    def errors(self) -> dict[int, tuple[str, str]]:
        """Return class and message of every dead letter by its source's offset."""
        return {
            origin_of(record)[1]: (
                header(record, "headrace-error-class"),
                header(record, "headrace-error-message"),
            )
            for record in self.dead
        }


def header(record: Record, name: str) -> str:
    """Return the one header of this name as text."""
    (found,) = (value for key, value in record.headers or () if key == name)
    return (found or b"").decode()


@dataclass(slots=True)
class Running:
    """A worker in this process."""

    task: asyncio.Task[None]
    stop: asyncio.Event
    port: int

    async def status(self) -> dict[str, Any]:
        """Return what its endpoint says of its stage; empty before it listens."""

        def ask() -> dict[str, Any]:
            try:
                with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/status", timeout=2
                ) as answer:
                    stages: list[dict[str, Any]] = json.load(answer)["stages"]
            except OSError:
                return {}
            return stages[0] if stages else {}

        return await asyncio.to_thread(ask)

    async def until(self, holds: Callable[[dict[str, Any]], bool], within_s: float = 20.0) -> None:
        """Wait until its status holds; a worker that ended says why."""
        deadline = time.monotonic() + within_s
        while not ((status := await self.status()) and holds(status)):
            if self.task.done():
                self.task.result()
                raise AssertionError("the worker ended")
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {within_s} s; {status}")
            await asyncio.sleep(0.02)

    async def drain(self) -> None:
        """Stop in order."""
        self.stop.set()
        await self.task


@dataclass(slots=True)
class Scene:
    """A pipeline of one step with topics of its own.

    Args:
        bootstrap: The broker.
        name: The pipeline; topics are called after it.
        folder: Where its file is written.
        model: Settings of the model, `url` at least.
        step: Settings of the step beside source and model.
        source: Settings of the source beside its topic.
        kafka: Settings of `kafka:` beside the address.
        partitions: Of every topic.
        configs: Topic settings by `in`, `out`, `dead-letters`, `retry`.
    """

    bootstrap: str
    name: str
    folder: Path
    model: Mapping[str, Any]
    step: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    kafka: Mapping[str, Any] = field(default_factory=dict)
    partitions: int = 1
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    file: Path = field(init=False)
    topology: Topology = field(init=False)
    admin: AdminClient = field(init=False)
    _group: KafkaGroup = field(init=False)

    def __post_init__(self) -> None:
        self.file = self.folder / f"{self.name}.yaml"
        self.file.write_text(json.dumps(self._spec()))
        self.topology = load_topology(str(self.file))
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap, "retry.backoff.ms": 10})
        self._group = KafkaGroup(self.topology, self.topology.stages[0])

    def _spec(self) -> dict[str, Any]:
        step = {
            "from": "source",
            "model": "m",
            "inputs": {"text": "text"},
            "outputs": {"translation": "translation"},
            "batch": {"max_size": 16, "max_wait": "20ms"},
            "retry": {"max_attempts": 3, "first_delay": "20ms", "max_delay": "100ms"},
        }
        return {
            "pipeline": self.name,
            "kafka": {"bootstrap_servers": self.bootstrap, **self.kafka},
            "sources": {"source": {"topic": self.topic("in"), **self.source}},
            "models": {"m": {"name": "upper", **self.model}},
            "steps": {"shout": {**step, **self.step}},
            "sinks": {self.topic("out"): "shout"},
        }

    def topic(self, kind: str) -> str:
        """Return the topic's name: `in`, `out`, `dead-letters`, `control` or `retry`."""
        return f"{self.name}.{'shout.' if kind == 'retry' else ''}{kind}"

    @property
    def group(self) -> str:
        """The stage's consumer group."""
        return self.topology.stages[0].group

    def create_topics(self) -> None:
        """Create the topics on the broker."""
        kinds = ("in", "out", "dead-letters", "control", "retry")
        topics = [
            NewTopic(self.topic(k), self.partitions, 1, config=dict(self.configs.get(k, {})))
            for k in kinds
        ]
        for created in self.admin.create_topics(topics).values():
            created.result(20)

    def feed(self, *messages: Message) -> None:
        """Write source records in order."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 0,
                "message.max.bytes": LARGEST,
                # Without it a repeated request may come after a later one.
                "enable.idempotence": True,
            }
        )
        for each in messages:
            producer.produce(
                self.topic("in"),
                each.value,
                each.key,
                each.partition,
                timestamp=each.timestamp,
                headers=list(each.headers),
            )
        assert producer.flush(20) == 0

    @contextlib.asynccontextmanager
    async def worker(
        self, slot: str = "a", *, ignore_metadata: bool = False
    ) -> AsyncIterator[Running]:
        """Run a worker in this process; it drains at the end if it still runs."""
        stop, port = asyncio.Event(), free_port()
        plan = Plan(self.topology, slot, status_port=port, ignore_metadata=ignore_metadata)
        task = asyncio.create_task(_first_error_of(wiring.run(plan, stop)))
        running = Running(task, stop, port)
        try:
            yield running
        finally:
            stop.set()
            await asyncio.wait([task], timeout=10)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def finished(self, running: Running | None = None, within_s: float = 20.0) -> None:
        """Wait until everything in the source and the retry topic is durably finished."""
        deadline = time.monotonic() + within_s
        places = [
            TopicPartition(self.topic(kind), number)
            for kind in ("in", "retry")
            for number in range(self.partitions)
        ]
        have: dict[TopicPartition, int] = {}
        while True:
            # A new broker has no coordinator yet.
            with contextlib.suppress(BrokerUnavailableError):
                committed = await self._group.committed(places)
                bounds = await self._group.bounds(places)
                have = {p: c.offset or 0 if c else 0 for p, c in committed.items()}
                if all(have[p] >= bounds[p].end for p in places):
                    return
            if running is not None and running.task.done():
                running.task.result()
                raise AssertionError("the worker ended")
            if time.monotonic() > deadline:
                status = await running.status() if running else {}
                raise TimeoutError(f"finished only up to {have}; {status}")
            await asyncio.sleep(0.03)

    async def run_through(self, *messages: Message, within_s: float = 20.0) -> Outcome:
        """Write records, run one worker until they are finished, and read what it left."""
        await asyncio.to_thread(self.create_topics)
        await asyncio.to_thread(self.feed, *messages)
        async with self.worker() as running:
            await self.finished(running, within_s)
            await running.drain()
        return await self.outcome()

    async def outcome(self) -> Outcome:
        """Read results and dead letters, and check that every input is in one of them, once."""
        return await asyncio.to_thread(self._outcome)

    def _outcome(self) -> Outcome:
        inputs = self.read("in")
        found = Outcome(self.read("out"), self.read("dead-letters"))
        ordering = self.step.get("ordering", "key")
        verdict = judge(
            inputs,
            found.results + found.dead,
            lane={
                "key": lambda record: record.key or record.offset,
                "partition": lambda _: b"",
                "none": None,
            }[ordering],
            finished=self._is_finished(),
        )
        assert not verdict, str(verdict)
        for result in found.results:
            if result.value is not None and "translation" in (said := json.loads(result.value)):
                assert said["translation"] in (None, said["text"].upper())
        return found

    def _is_finished(self) -> Callable[[TopicPartition, int], bool]:
        look = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        places = [ClientPartition(self.topic("in"), p) for p in range(self.partitions)]
        offsets = {each.partition: each for each in look.committed(places, timeout=10)}
        look.close()

        def finished(place: TopicPartition, offset: int) -> bool:
            at = offsets[place.partition]
            done = offset_map.decode(at.metadata or "", max(at.offset, 0)).finished
            return offset < at.offset or offset in done

        return finished

    def read(self, kind: str) -> list[Record]:
        """Read all committed records of a topic, partition by partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        topic = self.topic(kind)
        consumer.assign([ClientPartition(topic, p, 0) for p in range(self.partitions)])
        found: list[list[Record]] = [[] for _ in range(self.partitions)]
        ended: set[int] = set()
        while len(ended) < self.partitions:
            for message in consumer.consume(1000, 0.05):
                if message.error():
                    ended.add(message.partition())
                else:
                    place = TopicPartition(topic, message.partition())
                    found[place.partition].append(_record(place, message))
        consumer.close()
        return [record for column in found for record in column]

    def process(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start `headrace run` on the file in a process of its own; stderr goes to a log file."""
        environ = os.environ | {"HEADRACE_LOG_FORMAT": "json"}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "headrace", "run", str(self.file), *arguments],
                stdout=log,
                stderr=log,
                text=True,
                env=environ,
            )

    @property
    def log(self) -> Path:
        """What the processes wrote."""
        return self.folder / f"{self.name}.log"

    def metadata(self, place: ClientPartition) -> str:
        """Return the metadata of the group's commit for a partition."""
        look = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        (found,) = look.committed([place], timeout=10)
        look.close()
        return found.metadata or ""

    def commit(self, offset: int, metadata: str, partition: int = 0) -> None:
        """Commit with a plain consumer, as another program with the same group would."""
        other = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group})
        place = ClientPartition(self.topic("in"), partition, offset, metadata)
        other.commit(offsets=[place], asynchronous=False)
        other.close()


async def _first_error_of(run: Coroutine[Any, Any, None]) -> None:
    """Raise what a worker ended with, without the groups around it."""
    try:
        await run
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from group


def _record(place: TopicPartition, message: Any) -> Record:
    return Record(
        place,
        message.offset(),
        message.key(),
        message.value(),
        message.timestamp()[1],
        message.headers(),
    )


def lines_of(path: Path) -> list[str]:
    """Return a text file's lines, none where it does not exist."""
    return path.read_text().splitlines() if path.exists() else []


def numbered(words: Iterable[str]) -> list[Message]:
    """Return a message per word, the number behind it and no key."""
    return [text(f"{word} {number}") for number, word in enumerate(words)]
