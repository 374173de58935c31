"""Workers killed by SIGKILL at random and inside open transactions, on a real broker."""

import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from headrace.core import offset_map
from headrace.core.records import Record, TopicPartition
from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from headrace.testing.history import judge
from tests.fault.fleet import OPEN_POINTS, Fleet, choose_point

PARTITIONS = 6
SLOTS = ["a", "b", "c"]
KEYS = 200
RATE = 450.0
"""Records a second."""
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

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


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedKafka]:
    properties = {
        "group.consumer.heartbeat.interval.ms": "1000",
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.session.timeout.ms": "6000",
    }
    with EmbeddedKafka(port=0, properties=properties) as broker:
        yield broker


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer("model-upper", directory=BENCHMARKS, env={"UPPER_MS": "60"}) as upper:
        yield upper


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


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened to a fleet so far."""

    kills: int
    opened: int
    adopted: int
    busy: int

    @classmethod
    def of(cls, fleet: Fleet) -> "Seen":
        return cls(
            kills=fleet.kills.total(),
            opened=sum(fleet.kills[point] for point in OPEN_POINTS),
            adopted=len(list(fleet.events("adopted"))),
            busy=sum(entry["unfinished"] > 0 for entry in fleet.events("revoked")),
        )

    def has_met(self, wanted: "Seen") -> bool:
        """Whether at least as much of everything happened."""
        return all(a >= b for a, b in zip(astuple(self), astuple(wanted), strict=True))


def wanted(protocol: str, membership: str) -> Seen:
    """Return what must happen for a run to prove something.

    A static member's restart moves no partition, and KIP-848 takes none away to give it back.
    """
    moves = int(membership == "dynamic")
    returns = int(membership == "dynamic" and protocol == "classic")
    return Seen(kills=10, opened=3, adopted=returns, busy=moves)


def storm(fleet: Fleet, feed: Feed, rng: random.Random, records: int, want: Seen) -> None:
    """Kill and revive until so many records were written and enough has happened."""
    ordered: dict[str, str] = {}
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        seen = Seen.of(fleet)
        if seen.has_met(want) and feed.written >= records:
            break
        if seen.has_met(want) and seen.kills >= 20:
            time.sleep(0.1)
            continue
        victim = rng.choice(fleet.slots)
        if seen.kills >= 5 and (seen.adopted < want.adopted or seen.busy < want.busy):
            # Kills in close succession let the group settle too rarely.
            call_off(fleet, ordered)
            if fleet.settles(within_s=15):
                time.sleep(0.5)
                fleet.restart(victim)
        point = choose_point(rng)
        if point is None:
            fleet.kill(victim)
        else:
            ordered[victim] = point
            fleet.order_death(victim, point)
        time.sleep(rng.uniform(0.3, 3.0))
        fleet.revive(ordered)
    call_off(fleet, ordered)


def call_off(fleet: Fleet, ordered: dict[str, str]) -> None:
    """Take back all orders; start what obeyed at the last moment."""
    fleet.call_off()
    time.sleep(0.5)  # a worker may have read its order just before
    fleet.revive(ordered)
    ordered.clear()


def wait_until_finished(admin: AdminClient, bootstrap: str, name: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    want = ends(admin, f"{name}.in")
    while time.monotonic() < deadline:
        have = committed(bootstrap, f"{name}.shout", f"{name}.in")
        if all(have[number].offset >= want[number] for number in want):
            return
        time.sleep(0.2)
    raise AssertionError(f"not finished in {within_s} s: {have} of {want}")


@pytest.mark.timeout(300)
def test_every_record_is_out_exactly_once_through_kills(
    kafka: EmbeddedKafka,
    server: ModelServer,
    tmp_path: Path,
    fault_seed: int,
    fault_records: int,
) -> None:
    rng = random.Random(fault_seed)
    name = f"kills-{fault_seed}"
    bootstrap = kafka.bootstrap_servers
    admin = AdminClient({"bootstrap.servers": bootstrap})
    create(admin, name)
    file = tmp_path / "pipeline.yaml"
    protocol = "consumer" if fault_seed % 4 == 3 else "classic"
    membership = "static" if fault_seed % 4 == 1 else "dynamic"
    want = wanted(protocol, membership)
    file.write_text(
        PIPELINE.format(
            name=name,
            bootstrap=bootstrap,
            url=server.url("grpc"),
            membership=membership,
            protocol=protocol,
        )
    )
    feed = Feed(bootstrap, f"{name}.in", RATE, fault_seed)
    fleet = Fleet(file, tmp_path, SLOTS)
    try:
        storm(fleet, feed, rng, fault_records, want)
        feed.stop()
        wait_until_finished(admin, bootstrap, name, 90)
        codes = fleet.stop()
    finally:
        fleet.kill_all()

    assert codes == [0, 0, 0]
    check(bootstrap, name)
    seen = Seen.of(fleet)
    sys.stderr.write(
        f"\nseed {fault_seed} {protocol} {membership}: {feed.written} records,"
        f" kills {dict(fleet.kills)}, {seen}"
    )
    assert seen.has_met(want), seen


def check(bootstrap: str, name: str) -> None:
    """Every input is once in results or dead letters, in order per key, and as committed."""
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
    verdict = judge(inputs, results + dead, finished=finished)

    assert not verdict, str(verdict)
    bad = [r for r in inputs if not r.value.startswith(b'{"text": "fine')]
    assert len(dead) == len(bad)
    for record in results:
        document = json.loads(record.value)
        assert document["translation"] == document["text"].upper()
