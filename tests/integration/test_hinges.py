"""The facts about Kafka and its client that exactly-once processing rests on."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)

from headrace.kafka.reading import existing_partitions, held_records
from tests.network import EndOfTransaction

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

SESSION_S = 6.0
PROTOCOLS = ("classic", "consumer")


def consumer_settings(bootstrap: str, group: str, protocol: str = "classic", **more: object):
    settings: dict[str, object] = {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "group.protocol": protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "retry.backoff.ms": 10,
    }
    if protocol == "classic":
        settings |= {
            "session.timeout.ms": int(SESSION_S * 1000),
            "heartbeat.interval.ms": 300,
            "partition.assignment.strategy": "range",
        }
    return settings | {key.replace("_", "."): value for key, value in more.items()}


def transactional(bootstrap: str, transactional_id: str, **more: object) -> Producer:
    """Return a producer that owns the transactional id now."""
    settings = {
        "bootstrap.servers": bootstrap,
        "transactional.id": transactional_id,
        "transaction.timeout.ms": 60_000,
        "retry.backoff.ms": 10,
        "linger.ms": 0,
    } | {key.replace("_", "."): value for key, value in more.items()}
    producer = Producer(settings, logger=_SILENT)
    producer.init_transactions(20)
    return producer


class _Silence:
    """A logger that drops what clients say about faults these tests cause."""

    def log(self, *_: object, **__: object) -> None:
        """Drop one line."""


_SILENT = _Silence()


def commit_offsets(producer: Producer, offsets: list[TopicPartition], metadata: object) -> None:
    """Commit offsets, and nothing else, in one transaction."""
    producer.begin_transaction()
    producer.send_offsets_to_transaction(offsets, metadata, 10)
    producer.commit_transaction(10)


def eventually(holds: Callable[[], bool], within_s: float = 20.0) -> float:
    """Wait until something holds; return the seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        time.sleep(0.01)
    return time.monotonic() - began


class Member:
    """A group member whose consumer is touched by one thread only."""

    def __init__(self, settings: dict[str, object], topic: str) -> None:
        self.settings = settings
        self.topic = topic
        self.assigned: set[int] = set()
        self.revocations = 0
        self.metadata: object = None
        """Captured at the last assignment."""
        self.fresh_metadata: object = None
        """As of the last poll."""
        self.errors: list[Exception] = []
        self.at_assign: Callable[[set[int]], None] = lambda _: None
        self.at_revoke: Callable[[set[int]], None] = lambda _: None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Member":
        self._thread.start()
        return self

    def leave(self) -> None:
        """Close the consumer, which leaves the group as its membership allows."""
        self._leaving.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        consumer = Consumer(self.settings, logger=_SILENT)
        consumer.subscribe([self.topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        while not self._leaving.is_set():
            consumer.consume(100, 0.02)
            self.fresh_metadata = consumer.consumer_group_metadata()
        consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.metadata = consumer.consumer_group_metadata()
        self._guarded(self.at_assign, {each.partition for each in partitions})
        self.assigned |= {each.partition for each in partitions}

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.revocations += 1
        self._guarded(self.at_revoke, {each.partition for each in partitions})
        self.assigned -= {each.partition for each in partitions}

    def _guarded(self, act: Callable[[set[int]], None], partitions: set[int]) -> None:
        try:
            act(partitions)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.errors.append(error)


@pytest.fixture
def join(bootstrap) -> Iterator[Callable[..., Member]]:
    """Return a function that starts a member; what still runs leaves at the end."""
    members: list[Member] = []

    def start(group: str, topic: str, protocol: str = "classic", **more: object) -> Member:
        members.append(Member(consumer_settings(bootstrap, group, protocol, **more), topic))
        return members[-1].start()

    yield start
    for member in members:
        member.leave()


@pytest.fixture
def stable(admin) -> Callable[..., dict[int, TopicPartition]]:
    """Return a function that reads committed offsets as an heir would."""

    def read(group: str, topic: str, partitions, *, require_stable: bool = True):
        asked = [TopicPartition(topic, each) for each in partitions]
        request = [ConsumerGroupTopicPartitions(group, asked)]
        answer = admin.list_consumer_group_offsets(
            request, require_stable=require_stable, request_timeout=10
        )
        return {each.partition: each for each in answer[group].result(20).topic_partitions}

    return read


@pytest.fixture
def committed(stable) -> Callable[..., dict[int, TopicPartition]]:
    """Return a function that reads stable offsets when the end of each transaction is settled.

    The broker acknowledges a commit before its marker is written everywhere, so a stable read
    that follows at once may still be answered UNSTABLE.
    """

    def read(group: str, topic: str, partitions) -> dict[int, TopicPartition]:
        found: dict[int, TopicPartition] = {}

        def settled() -> bool:
            found.update(stable(group, topic, partitions))
            return all(each.error is None for each in found.values())

        eventually(settled, 5)
        return found

    return read


def is_at_rest(member: Member) -> bool:
    """Whether its metadata stays for a while: right after an assignment it may be the old one."""
    before = member.fresh_metadata
    time.sleep(0.5)
    return member.fresh_metadata == before


def error_of(call: Callable[[], object]) -> KafkaError:
    """Return the error the call raises."""
    with pytest.raises(KafkaException) as raised:
        call()
    return raised.value.args[0]


# Transactions and rebalances


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_transaction_committed_inside_the_revoke_callback_is_accepted(
    bootstrap, topic, unique, join, committed, protocol
):
    name, group = topic(4), unique("group")
    producer = transactional(bootstrap, unique("id"))
    first = join(group, name, protocol)
    eventually(lambda: first.assigned == {0, 1, 2, 3})
    handed_over: set[int] = set()

    def commit(revoked: set[int]) -> None:
        offsets = [TopicPartition(name, each, 7, "of the revoke") for each in revoked]
        commit_offsets(producer, offsets, first.metadata)
        handed_over.update(revoked)

    first.at_revoke = commit
    second = join(group, name, protocol)
    eventually(lambda: len(second.assigned) == 2)

    assert first.errors == []
    assert handed_over >= second.assigned
    found = committed(group, name, handed_over)
    assert {each.offset for each in found.values()} == {7}
    assert {each.metadata for each in found.values()} == {"of the revoke"}


def test_after_an_eager_rebalance_the_stable_commit_is_what_this_member_wrote_last(
    bootstrap, topic, unique, join, committed
):
    name, group = topic(4), unique("group")
    producer = transactional(bootstrap, unique("id"))
    member = join(group, name)
    eventually(lambda: member.assigned == {0, 1, 2, 3})
    numbers = itertools.count(1)
    written: dict[int, tuple[int, str]] = {}
    found: list[dict[int, tuple[int, str]]] = []

    def write(partitions: set[int]) -> None:
        number = next(numbers)
        now = {each: (number * 10 + each, f"nonce-{number}-{each}") for each in partitions}
        offsets = [TopicPartition(name, each, *value) for each, value in now.items()]
        commit_offsets(producer, offsets, member.metadata)
        written.update(now)

    def read(partitions: set[int]) -> None:
        answer = committed(group, name, partitions)
        found.append({each: (tp.offset, tp.metadata) for each, tp in answer.items()})

    write({0, 1, 2, 3})
    member.at_revoke, member.at_assign = write, read
    join(group, name)
    eventually(lambda: bool(found))

    assert member.errors == []
    assert len(found[0]) == 2
    assert found[0] == {each: written[each] for each in found[0]}
    assert all(nonce.startswith("nonce-2-") for _, nonce in found[0].values())


def test_commit_metadata_fits_4095_characters_and_4096_only_abort_the_transaction(
    bootstrap, topic, unique, join, committed
):
    name, group = topic(1), unique("group")
    member = join(group, name)
    eventually(lambda: member.assigned == {0})
    producer = transactional(bootstrap, unique("id"))
    longest = "abc" * 1365

    commit_offsets(producer, [TopicPartition(name, 0, 1, longest)], member.metadata)
    fits = committed(group, name, [0])[0]
    producer.begin_transaction()
    too_long = TopicPartition(name, 0, 2, "x" * 4096)
    refused = error_of(
        lambda: producer.send_offsets_to_transaction([too_long], member.metadata, 10)
    )
    producer.abort_transaction(10)
    commit_offsets(producer, [TopicPartition(name, 0, 3, "after")], member.metadata)
    after = committed(group, name, [0])[0]

    assert (fits.offset, fits.metadata) == (1, longest)
    assert refused.code() == KafkaError.OFFSET_METADATA_TOO_LARGE
    assert refused.txn_requires_abort()
    assert not refused.fatal()
    assert (after.offset, after.metadata) == (3, "after")


# Crashes

_DIES_IN_A_TRANSACTION = """
import sys, time
from confluent_kafka import Consumer, Producer, TopicPartition
bootstrap, group, topic, transactional_id = sys.argv[1:]
seen = []
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
consumer.subscribe([topic], on_assign=lambda c, _: seen.append(c.consumer_group_metadata()))
while not seen:
    consumer.poll(0.05)
producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id})
producer.init_transactions(20)
producer.begin_transaction()
producer.send_offsets_to_transaction(
    [TopicPartition(topic, 0, 5), TopicPartition(topic, 1, 5)], seen[0], 10)
producer.commit_transaction(10)
producer.begin_transaction()
producer.produce(topic, b"never visible", partition=2)
producer.flush(10)
producer.send_offsets_to_transaction([TopicPartition(topic, 0, 9)], seen[0], 10)
print("inside", flush=True)
time.sleep(60)
"""


@contextmanager
def child(code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code until it prints a line; kill it at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_the_offsets_of_a_killed_transaction_are_unstable_until_its_id_is_initialised_again(
    bootstrap, topic, unique, stable, committed
):
    name, group, dead_id = topic(3), unique("group"), unique("id")
    with child(_DIES_IN_A_TRANSACTION, bootstrap, group, name, dead_id) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    held = stable(group, name, [0, 1])
    unstable_read = stable(group, name, [0, 1], require_stable=False)

    began = time.monotonic()
    transactional(bootstrap, dead_id)
    freed = committed(group, name, [0, 1])
    took = time.monotonic() - began

    assert held[0].error is not None
    assert held[0].error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT
    assert held[1].error is None
    assert held[1].offset == 5
    assert unstable_read[0].offset == 5
    assert freed[0].offset == 5
    # The dead transaction's own timeout is a minute.
    assert took < 5


# Indefinite ends


def test_a_transaction_abandoned_before_its_commit_is_aborted_by_the_next_producer(
    bootstrap, topic, unique, join, committed
):
    name, group, same_id = topic(1), unique("group"), unique("id")
    member = join(group, name)
    eventually(lambda: member.assigned == {0})
    old = transactional(bootstrap, same_id)
    old.begin_transaction()
    old.send_offsets_to_transaction([TopicPartition(name, 0, 5)], member.metadata, 10)

    new = transactional(bootstrap, same_id)
    settled = committed(group, name, [0])[0]
    fenced = error_of(lambda: old.commit_transaction(10))
    commit_offsets(new, [TopicPartition(name, 0, 6)], member.metadata)

    assert settled.offset < 0
    assert fenced.code() == KafkaError._FENCED
    assert fenced.fatal()
    assert committed(group, name, [0])[0].offset == 6


@pytest.mark.parametrize("end", [("answers", True), ("requests", False)], ids=lambda end: end[0])
def test_the_stable_offset_tells_whether_a_transaction_of_indefinite_end_was_applied(
    bootstrap, topic, unique, join, committed, proxy, end
):
    silenced, applied = end
    name, group, same_id = topic(1), unique("group"), unique("id")
    member = join(group, name)
    eventually(lambda: member.assigned == {0})
    old = transactional(proxy.address, same_id)
    commit_offsets(old, [TopicPartition(name, 0, 1, "before")], member.metadata)
    old.begin_transaction()
    old.send_offsets_to_transaction([TopicPartition(name, 0, 2, "nonce")], member.metadata, 10)

    getattr(proxy, f"{silenced}_silenced").set()
    unknown = error_of(lambda: old.commit_transaction(1))
    new = transactional(bootstrap, same_id)
    settled = committed(group, name, [0])[0]
    proxy.heal()
    late = error_of(lambda: old.commit_transaction(20))
    commit_offsets(new, [TopicPartition(name, 0, 3, "next")], member.metadata)

    assert unknown.code() == KafkaError._TIMED_OUT
    assert unknown.retriable()
    assert (settled.offset, settled.metadata) == ((2, "nonce") if applied else (1, "before"))
    assert late.code() == KafkaError._FENCED
    assert late.fatal()
    assert committed(group, name, [0])[0].metadata == "next"


def test_a_late_end_of_a_transaction_ends_the_next_one(bootstrap, topic, unique, proxy):
    """KAFKA-17754: why a producer that lost a connection is opened again before it goes on."""
    name = topic(1)
    careless = transactional(proxy.address, unique("id"))
    careless.begin_transaction()
    careless.produce(name, b"first")
    careless.flush()
    proxy.order(EndOfTransaction.LATE, late_s=0.5)
    careless.commit_transaction(10)
    careless.begin_transaction()
    careless.produce(name, b"open")
    careless.flush()

    eventually(lambda: proxy.late == 1)

    connection = {"bootstrap.servers": bootstrap}
    seen = list(held_records(connection, existing_partitions(connection, name)))
    assert [record.value for record in seen] == [b"first", b"open"]


# Membership


def test_a_dynamic_member_that_closes_hands_over_at_once(topic, unique, join):
    name, group = topic(4), unique("group")
    leaver, survivor = join(group, name), join(group, name)
    eventually(lambda: len(leaver.assigned) == len(survivor.assigned) == 2)

    leaver.leave()
    took = eventually(lambda: survivor.assigned == {0, 1, 2, 3})

    assert took < SESSION_S / 2


def test_a_static_member_that_closes_is_missed_for_a_session(topic, unique, join):
    name, group = topic(4), unique("group")
    leaver = join(group, name, group_instance_id="a")
    survivor = join(group, name, group_instance_id="b")
    eventually(lambda: len(leaver.assigned) == len(survivor.assigned) == 2)

    leaver.leave()
    took = eventually(lambda: survivor.assigned == {0, 1, 2, 3})

    assert took > SESSION_S / 2


_STATIC_MEMBER = """
import sys
from confluent_kafka import Consumer
bootstrap, group, topic = sys.argv[1:]
consumer = Consumer({
    "bootstrap.servers": bootstrap, "group.id": group, "group.instance.id": "a",
    "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
    "partition.assignment.strategy": "range"})
consumer.subscribe([topic], on_assign=lambda _, parts: len(parts) == 2 and print("in", flush=True))
while True:
    consumer.poll(0.02)
"""


def test_a_killed_static_member_comes_back_without_a_rebalance_of_the_others(
    bootstrap, topic, unique, join
):
    name, group = topic(4), unique("group")
    survivor = join(group, name, group_instance_id="b")
    with child(_STATIC_MEMBER, bootstrap, group, name) as process:
        eventually(lambda: len(survivor.assigned) == 2)
        kept, revocations = set(survivor.assigned), survivor.revocations
        process.kill()
        process.wait()

    again = join(group, name, group_instance_id="a")
    took = eventually(lambda: len(again.assigned) == 2)

    assert again.assigned == {0, 1, 2, 3} - kept
    assert survivor.assigned == kept
    assert survivor.revocations == revocations
    assert took < SESSION_S / 2


# What the broker does not check


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_broker_takes_offsets_of_a_partition_that_another_member_owns(
    bootstrap, topic, unique, join, committed, protocol
):
    name, group = topic(4), unique("group")
    first, second = join(group, name, protocol), join(group, name, protocol)
    eventually(lambda: len(first.assigned) == len(second.assigned) == 2)
    foreign = min(second.assigned)
    producer = transactional(bootstrap, unique("id"))

    eventually(lambda: is_at_rest(first))
    commit_offsets(producer, [TopicPartition(name, foreign, 4)], first.fresh_metadata)

    assert foreign not in first.assigned
    assert committed(group, name, [foreign])[foreign].offset == 4


def test_metadata_of_an_older_epoch_serves_kept_partitions_only_in_the_new_protocol(
    bootstrap, topic, unique, join, committed
):
    name, group = topic(4), unique("group")
    first = join(group, name, "consumer")
    eventually(lambda: first.assigned == {0, 1, 2, 3})
    old = first.metadata
    second = join(group, name, "consumer")
    eventually(lambda: len(first.assigned) == len(second.assigned) == 2)
    eventually(lambda: first.fresh_metadata != old)
    kept, foreign = min(first.assigned), min(second.assigned)
    producer = transactional(bootstrap, unique("id"))

    commit_offsets(producer, [TopicPartition(name, kept, 4)], old)
    producer.begin_transaction()
    refused = error_of(
        lambda: producer.send_offsets_to_transaction([TopicPartition(name, foreign, 4)], old, 10)
    )
    producer.abort_transaction(10)

    assert committed(group, name, [kept])[kept].offset == 4
    assert refused.txn_requires_abort()
    assert not refused.fatal()


def test_a_classic_group_takes_offsets_of_one_that_never_joined(
    bootstrap, topic, unique, join, committed
):
    name, group = topic(1), unique("group")
    member = join(group, name)
    eventually(lambda: member.assigned == {0})
    outsider = Consumer(consumer_settings(bootstrap, group))
    producer = transactional(bootstrap, unique("id"))

    commit_offsets(producer, [TopicPartition(name, 0, 4)], outsider.consumer_group_metadata())
    outsider.close()

    assert committed(group, name, [0])[0].offset == 4


def test_a_group_of_the_new_protocol_refuses_offsets_of_one_that_never_joined(
    bootstrap, topic, unique, join
):
    name, group = topic(1), unique("group")
    member = join(group, name, "consumer")
    eventually(lambda: member.assigned == {0})
    outsider = Consumer(consumer_settings(bootstrap, group, "consumer"))
    producer = transactional(bootstrap, unique("id"))
    producer.begin_transaction()

    refused = error_of(
        lambda: producer.send_offsets_to_transaction(
            [TopicPartition(name, 0, 4)], outsider.consumer_group_metadata(), 10
        )
    )
    producer.abort_transaction(10)
    outsider.close()

    assert refused.txn_requires_abort()
    assert not refused.fatal()
