"""The broker, the model server and the topics that all competitors of a call share."""

import itertools
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from benchmarks.compare.matrix import LARGE, SMALL
from headrace.errors import LocalError
from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer

BENCHMARKS = Path(__file__).parents[1]
WORDS = "the quick brown fox jumps over the lazy dog and keeps on running "
_KEYS = 1_000_000
# The rate that an input is sized for, before a competitor proves it too small.
_EXPECTED_RATE = {SMALL: 170_000, LARGE: 12_000}
_READ_WITHIN_S = 20.0
_PAUSE_S = 0.2
_BROKER = {
    "log.segment.delete.delay.ms": "100",
    "log.retention.ms": "-1",
    # Nobody kills this broker; one that is short of CPU must not lose its registration.
    "broker.session.timeout.ms": "30000",
}


@dataclass(slots=True)
class Input:
    """A topic that is full before anybody reads it."""

    topic: str
    payload_bytes: int
    records: int = 0


class Scene:
    """What every run happens in.

    Args:
        seconds: How long a run's window is, from which inputs are sized.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open = ExitStack()
        self._server: ModelServer | None = None
        self._cost_ms: int | None = None
        self._inputs: dict[int, Input] = {}

    def __enter__(self) -> Self:
        self.folder = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        self._kafka = EmbeddedKafka(port=0, properties=_BROKER, max_heap="1g", progress=tell)
        self.bootstrap = self._open.enter_context(self._kafka).bootstrap_servers
        self.admin = self._new_admin()
        self._open.callback(self._stop_server)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def check(self) -> None:
        """End the benchmark if the broker has ended, for which no competitor is to blame."""
        if not self._kafka.is_running:
            raise SystemExit("the broker has ended; what was running is not written down")

    def server(self, cost_ms: int) -> ModelServer:
        """Return the model server with this cost; another one ends."""
        if self._server is None or self._cost_ms != cost_ms or not self._server.is_running:
            self._stop_server()
            self._server = ModelServer(
                "model-upper", directory=BENCHMARKS, env={"UPPER_MS": str(cost_ms)}
            )
            with _unless_broken():
                self._server.start()
            self._cost_ms = cost_ms
        return self._server

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.stop()
            self._server = None

    def new_topic(self, what: str, partitions: int) -> str:
        """Create a topic with a name of its own and wait until it is there for all."""
        topic = f"{what}-{uuid.uuid4().hex[:8]}"
        with _unless_broken():
            self.admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
        self.ends(topic, partitions)
        return topic

    def delete(self, *names: str) -> None:
        """Delete topics, and those whose names begin with one of these and a dot."""
        known = self.admin.list_topics(timeout=10).topics
        gone = [t for t in known if any(t == name or t.startswith(f"{name}.") for name in names)]
        for future in self.admin.delete_topics(gone).values() if gone else ():
            with suppress(KafkaException):
                future.result()

    def input(self, payload_bytes: int) -> Input:
        """Return the topic of this payload, full."""
        if payload_bytes not in self._inputs:
            self._inputs[payload_bytes] = Input(self.new_topic("in", 8), payload_bytes)
            self.grow(self._inputs[payload_bytes])
        return self._inputs[payload_bytes]

    def grow(self, source: Input) -> None:
        """Put as many records into an input as it holds, or its first ones."""
        more = source.records or int(_EXPECTED_RATE[source.payload_bytes] * (self._seconds + 6))
        tell(f"writing {more:,} records of {source.payload_bytes:,} bytes")
        self.fill(source.topic, source.payload_bytes, range(source.records, source.records + more))
        source.records += more

    def fill(self, topic: str, payload_bytes: int, numbers: Iterable[int]) -> None:
        """Write the records of some numbers."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 20,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        produce_all(producer, topic, payload_bytes, numbers)
        producer.flush()

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return where a `read_committed` reader's view of each partition ends now."""
        deadline = time.monotonic() + _READ_WITHIN_S
        while time.monotonic() < deadline:
            with suppress(KafkaException):
                return self._ends(topic, partitions)
            # A client that asked too early may take the topic's leader for another for good.
            self.admin = self._new_admin()
            time.sleep(_PAUSE_S)
        with _unless_broken():
            return self._ends(topic, partitions)

    def _ends(self, topic: str, partitions: int) -> list[int]:
        places = [Place(topic, number) for number in range(partitions)]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        answers = self.admin.list_offsets(
            dict.fromkeys(places, latest), isolation_level=IsolationLevel.READ_COMMITTED
        )
        return [answers[each].result().offset for each in places]

    def _new_admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})


@contextmanager
def _unless_broken() -> Iterator[None]:
    """End the benchmark where what all competitors share does not work."""
    try:
        yield
    except (KafkaException, LocalError) as error:
        raise SystemExit(f"{error}; the run is not written down") from error


def tell(line: str) -> None:
    """Say what goes on."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def text_of(number: int, payload_bytes: int) -> str:
    """Return a text, unlike all others, that makes a record of about this size."""
    size = max(1, payload_bytes - len('{"id": 1000000, "text": ""}'))
    begun = f"{number}: "
    return (begun + WORDS * (size // len(WORDS) + 1))[:size]


def produce_all(producer: Producer, topic: str, payload_bytes: int, numbers: Iterable[int]) -> None:
    """Hand the records of some numbers to a producer."""
    tail = text_of(0, payload_bytes).removeprefix("0")
    for number in numbers:
        value = f'{{"id": {number}, "text": "{number}{tail}"}}'
        key = str(number % _KEYS)
        while True:
            try:
                producer.produce(topic, value, key=key)
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)


def committed_reader(bootstrap: str, **settings: Any) -> Consumer:
    """Return a consumer that sees what is committed and belongs to no group."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "meter",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            **settings,
        }
    )


def values_between(
    bootstrap: str, topic: str, starts: list[int], ends: list[int]
) -> Iterator[bytes]:
    """Yield the value of each committed record between offsets; ends are exclusive."""
    reader = committed_reader(
        bootstrap,
        **{"enable.partition.eof": True, "queued.min.messages": 500_000, "check.crcs": False},
    )
    places = [Place(topic, p, start) for p, start in enumerate(starts) if start < ends[p]]
    reader.assign(places)
    unread = {each.partition for each in places}
    deadline = time.monotonic() + _READ_WITHIN_S
    try:
        while unread:
            messages = reader.consume(10_000, 0.1)
            if messages:
                deadline = time.monotonic() + _READ_WITHIN_S
            elif time.monotonic() > deadline:
                raise RuntimeError(f"nothing more comes from {topic}")
            for message in messages:
                partition, offset = message.partition() or 0, message.offset() or 0
                if _is_at_end(message) or offset >= ends[partition] - 1:
                    unread.discard(partition)
                if not message.error() and offset < ends[partition]:
                    yield message.value() or b""
    finally:
        reader.close()


def _is_at_end(message: Message) -> bool:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
        raise KafkaException(error)
    return error is not None


_NUMBERS = itertools.count(1)


def fresh_name(what: str) -> str:
    """Return a name that no run of this call had."""
    return f"{what}-{next(_NUMBERS)}-{uuid.uuid4().hex[:6]}"
