"""A pipeline of one model step under fire: what is fed, what is read back, what must hold."""

import json
import random
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, IsolationLevel, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from headrace.cli.settings import load_topology
from headrace.core import offset_map
from headrace.core.records import Record, TopicPartition
from headrace.kafka.reading import existing_partitions, held_records
from headrace.local.model_server import ModelServer
from headrace.testing.history import Verdict, judge
from tests.fault.dag_runs import create_topics

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PARTITIONS = 6
KEYS = 200
GROUPS_SETTLE_FAST = {
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
}
"""Properties of the broker, so that KIP-848 sees a dead worker as soon as the classic protocol."""

SLOTS = ["a", "b", "c"]

_PIPELINE = """\
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


def group_of(seed: int) -> tuple[str, str]:
    """Return the group protocol and the membership of a seed."""
    return "consumer" if seed % 4 == 3 else "classic", "static" if seed % 4 == 1 else "dynamic"


def model_server() -> ModelServer:
    """Return the model server, not started; a call takes it 60 ms."""
    return ModelServer("model-upper", directory=_BENCHMARKS, env={"UPPER_MS": "60"})


def set_up(name: str, folder: Path, bootstrap: str, models: ModelServer, seed: int) -> Path:
    """Write the pipeline file of a seed and create its topics."""
    protocol, membership = group_of(seed)
    file = folder / f"{name}.yaml"
    file.write_text(
        _PIPELINE.format(
            name=name,
            bootstrap=bootstrap,
            url=models.url("grpc"),
            membership=membership,
            protocol=protocol,
        )
    )
    create_topics(load_topology(str(file)), PARTITIONS)
    return file


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
    """Read all committed records of a topic."""
    connection = {"bootstrap.servers": bootstrap}
    return list(held_records(connection, existing_partitions(connection, topic)))


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
