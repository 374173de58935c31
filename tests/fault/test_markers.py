"""What Kafka 4 does with a transaction whose partition has no leader when it is committed."""

import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.fault.brokers import Brokers
from tests.fault.dag_runs import read_all

WITHIN_S = 30.0


@pytest.fixture
def brokers():
    with Brokers(3) as brokers:
        yield brokers


def test_a_commit_skips_a_partition_that_has_no_leader(brokers):
    """The coordinator takes such a partition for deleted: the commit counts, its marker is gone.

    Kafka's metadata cache once told a partition without a leader from one that does not exist.
    Since its rewrite in Java it does not, and `TransactionMarkerChannelManager` skips both.
    """
    admin = _create(brokers.direct, NewTopic("alone", 1, 1), NewTopic("safe", 1, 3))
    producer = Producer(
        {"bootstrap.servers": brokers.direct, "transactional.id": "t", "log_level": 0}
    )
    producer.init_transactions(WITHIN_S)
    producer.begin_transaction()
    producer.produce("alone", b"1", partition=0)
    producer.produce("safe", b"1", partition=0)
    assert producer.flush(WITHIN_S) == 0
    node = brokers.nodes[_leader(admin, "alone") - 1]
    node.kill()
    _until(lambda: _leader(admin, "alone") == -1)

    producer.commit_transaction(WITHIN_S)

    node.restart()
    _until(lambda: _leader(admin, "alone") > 0)
    assert [each.value for each in read_all(brokers.direct, "safe")] == [b"1"]
    assert [each.value for each in read_all(brokers.direct, "alone")] == []


def _create(bootstrap: str, *topics: NewTopic) -> AdminClient:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for future in admin.create_topics(list(topics)).values():
        future.result(WITHIN_S)
    return admin


def _leader(admin: AdminClient, topic: str) -> int:
    return admin.list_topics(topic, timeout=WITHIN_S).topics[topic].partitions[0].leader


def _until(is_so) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
