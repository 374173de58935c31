"""What goes into a pipeline under fire, and when what came of it could be seen."""

import math
import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import Record, TopicPartition
from headrace.testing.history import Origin
from tests.fault import shapes

ABORTED = b"aborted"
_ABORT_EVERY_S = 1.0
_WITHIN_S = 5.0
_MOST_WITHOUT_OUTCOME = 600


class Feed:
    """Writes records at a rate until stopped, and aborts others in between.

    While too many of them have no outcome it waits: a seed is about what befalls a pipeline at
    work, not about a backlog.

    Args:
        bootstrap: Where Kafka is.
        topic: The source.
        partitions: How many it has.
        value: What is written.
        per_second: How many records.
        outcomes: How many records have one; without it nothing is waited for.

    Attributes:
        written: How many records were written, aborted ones aside.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        value: Callable[[int], bytes],
        per_second: float,
        outcomes: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.written = 0
        self._outcomes = outcomes
        self._bootstrap, self._topic, self._partitions = bootstrap, topic, partitions
        self._value, self._per_second = value, per_second
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 5,
                "enable.idempotence": True,
                "log_level": 0,
            }
        )
        self._is_stopping = threading.Event()
        self._threads = [
            threading.Thread(target=each, daemon=True) for each in (self._write, self._abort)
        ]
        for each in self._threads:
            each.start()

    def reaches(self, records: int, idle_s: float) -> None:
        """Return when so many records were written, or none was for a while: outcomes stay away."""
        seen, since = self.written, time.monotonic()
        while self.written < records and time.monotonic() < since + idle_s:
            time.sleep(0.2)
            if self.written > seen:
                seen, since = self.written, time.monotonic()

    def stop(self) -> None:
        """Return when everything that was written is on the broker."""
        self._is_stopping.set()
        for each in self._threads:
            each.join()

    def _write(self) -> None:
        due = time.monotonic()
        while not self._is_stopping.is_set():
            if self.written - self._outcomes() > _MOST_WITHOUT_OUTCOME:
                self._producer.poll(0.05)
                due = time.monotonic()
                continue
            key = shapes.key(self.written)
            self._producer.produce(
                self._topic, self._value(self.written), key, int(key[1:]) % self._partitions
            )
            self.written += 1
            due += 1 / self._per_second
            if (ahead := due - time.monotonic()) > 0.02:
                self._producer.poll(0)
                time.sleep(ahead)
        self._producer.flush()

    def _abort(self) -> None:
        """Write what nobody may read; whatever fails leaves it unread as well."""
        settings = {
            "bootstrap.servers": self._bootstrap,
            "transactional.id": f"{self._topic}.aborted",
            "transaction.timeout.ms": 5000,
            "log_level": 0,
        }
        producer: Producer | None = None
        while not self._is_stopping.wait(_ABORT_EVERY_S):
            try:
                if producer is None:
                    producer = Producer(settings)
                    producer.init_transactions(_WITHIN_S)
                producer.begin_transaction()
                for partition in range(self._partitions):
                    producer.produce(self._topic, ABORTED, b"k0", partition)
                producer.flush(1.0)
                producer.abort_transaction(_WITHIN_S)
            except KafkaException:
                producer = None


class Watch:
    """Notes when outcomes could first be seen by a `read_committed` reader.

    Args:
        bootstrap: Where Kafka is.
        topics: The sink and the dead letters.
        partitions: How many each has.
        is_outcome: Whether a record of these topics is a source record's outcome.

    Attributes:
        seen: When (`time.monotonic`) the outcome of a source record was seen first.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: Sequence[str],
        partitions: int,
        is_outcome: Callable[[Record], bool],
    ) -> None:
        self.seen: dict[Origin, float] = {}
        self._is_outcome = is_outcome
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "campaign-watch",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        self._consumer.assign(
            [ClientPartition(topic, p, 0) for topic in topics for p in range(partitions)]
        )
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let go of the topics."""
        self._is_stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            for message in self._consumer.consume(500, 0.05):
                if message.error():
                    continue
                place = TopicPartition(message.topic() or "", message.partition() or 0)
                record = Record(place, 0, None, None, headers=message.headers())
                if self._is_outcome(record):
                    self.seen.setdefault(shapes.origin_of(record), time.monotonic())
