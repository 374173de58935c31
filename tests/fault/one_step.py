"""A pipeline of one model step under fire: what is fed, what is read back, what must hold."""

import json
import random
import threading
import time

from confluent_kafka import Consumer, IsolationLevel, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from headrace.core import offset_map
from headrace.core.records import Record, TopicPartition
from headrace.testing.history import Verdict, judge

PARTITIONS = 6
KEYS = 200
GROUPS_SETTLE_FAST = {
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
}
"""Properties of the broker, so that KIP-848 sees a dead worker as soon as the classic protocol."""

PIPELINE = """\
pipeline: {name}
kafka: {{bootstrap_servers: "{bootstrap}", membership: {membership}, group_protocol: {protocol}}}
models:
  upper: {{url: "{url}"}}
steps:
  shout:
    from: {name}.in
    model: upper
    inputs: {{text: text}}
    outputs: {{translation: translation}}
    batch: {{max_size: 16, max_wait: 5ms}}
    retry: {{max_attempts: 3, first_delay: 50ms, max_delay: 200ms}}
sinks:
  {name}.out: shout
"""


class Feed:
    """Writes the source's records at a rate until stopped; one in 200 is bad."""

    def __init__(self, bootstrap: str, topic: str, rate: float, seed: int) -> None:
        self.written = 0
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self._topic, self._rate = topic, rate
        self._rng = random.Random(seed)
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when everything that was written is on the broker."""
        self._is_stopping = True
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._is_stopping:
            key = b"k%d" % self._rng.randrange(KEYS)
            self._producer.produce(
                self._topic,
                self._value(self.written),
                key=key,
                partition=int(key[1:]) % PARTITIONS,
            )
            self.written += 1
            ahead = begun + self.written / self._rate - time.monotonic()
            if ahead > 0.02:
                self._producer.poll(0)
                time.sleep(ahead)
        self._producer.flush()

    def _value(self, number: int) -> bytes:
        match self._rng.randrange(400):
            case 0:
                return b"not json %d" % number
            case 1:
                return json.dumps({"text": f"!400 {number}"}).encode()
        return json.dumps({"text": f"fine {number}"}).encode()


def read(bootstrap: str, topic: str) -> list[Record]:
    """Read all committed records of a topic, partition by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([ClientPartition(topic, number, 0) for number in range(PARTITIONS)])
    found: dict[int, list[Record]] = {number: [] for number in range(PARTITIONS)}
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        for message in consumer.consume(1000, 1.0):
            if message.error():
                ended.add(message.partition())
                continue
            place = TopicPartition(topic, message.partition())
            found[message.partition()].append(
                Record(
                    place,
                    message.offset(),
                    message.key(),
                    message.value(),
                    message.timestamp()[1],
                    message.headers(),
                )
            )
    consumer.close()
    return [record for number in range(PARTITIONS) for record in found[number]]


def ends(admin: AdminClient, topic: str) -> dict[int, int]:
    asked = {ClientPartition(topic, p): OffsetSpec.latest() for p in range(PARTITIONS)}
    answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
    return {place.partition: answer.result().offset for place, answer in answers.items()}


def committed(bootstrap: str, group: str, topic: str) -> dict[int, ClientPartition]:
    look = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        places = [ClientPartition(topic, p) for p in range(PARTITIONS)]
        return {each.partition: each for each in look.committed(places, timeout=10)}
    finally:
        look.close()


def create(admin: AdminClient, name: str) -> None:
    names = [
        f"{name}.in",
        f"{name}.out",
        f"{name}.dead-letters",
        f"{name}.shout.retry",
        f"{name}.control",
    ]
    for future in admin.create_topics([NewTopic(n, PARTITIONS, 1) for n in names]).values():
        future.result()


def wait_until_finished(admin: AdminClient, bootstrap: str, name: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    want = ends(admin, f"{name}.in")
    while time.monotonic() < deadline:
        have = committed(bootstrap, f"{name}.shout", f"{name}.in")
        if all(have[number].offset >= want[number] for number in want):
            return
        time.sleep(0.2)
    raise AssertionError(f"not finished in {within_s} s: {have} of {want}")


def verdict_of(bootstrap: str, name: str) -> Verdict:
    """Compare what went in with what came out, in order per key, and with what is committed."""
    offsets = committed(bootstrap, f"{name}.shout", f"{name}.in")
    done = {
        number: offset_map.decode(each.metadata or "", each.offset).finished
        for number, each in offsets.items()
    }

    def finished(place: TopicPartition, offset: int) -> bool:
        return offset < offsets[place.partition].offset or offset in done[place.partition]

    inputs = read(bootstrap, f"{name}.in")
    results = read(bootstrap, f"{name}.out")
    dead = read(bootstrap, f"{name}.dead-letters")
    bad = [r for r in inputs if not r.value.startswith(b'{"text": "fine')]
    assert len(dead) == len(bad)
    for record in results:
        document = json.loads(record.value)
        assert document["translation"] == document["text"].upper()
    return judge(inputs, results + dead, finished=finished)
