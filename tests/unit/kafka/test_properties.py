"""What librdkafka is told: the guarantees' keys, the users' keys, and which win."""

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from headrace.core.topology import Stage, Topology
from headrace.kafka.properties import (
    LOGGER,
    OWNED,
    admin_properties,
    client_id,
    consumer_properties,
    producer_properties,
    silent_properties,
    slot_of,
)

STAGE = Stage("tweets", "eu.", "translate", (), ())
SECURITY = {
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": "records",
    "sasl.password": "secret",
}


def topology(**values: object) -> Topology:
    return Topology("tweets", "eu.", (STAGE,), bootstrap_servers="localhost:1", **values)


def consumer(**values: object) -> dict[str, object]:
    return consumer_properties(topology(**values), STAGE, "0", "host:1")


def producer(**values: object) -> dict[str, object]:
    return producer_properties(topology(**values), STAGE.transactional_id("0"), "c")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("membership", ["dynamic", "static"])
def test_the_client_accepts_what_it_is_told(protocol, membership):
    kinds = {"group_protocol": protocol, "membership": membership}

    Consumer(consumer(**kinds)).close()
    Producer(producer(**kinds))
    AdminClient(admin_properties(topology(**kinds)))


def test_classic_groups_use_range_and_notice_a_crash_within_6_seconds():
    found = consumer()

    assert found["partition.assignment.strategy"] == "range"
    assert found["session.timeout.ms"] == 6_000
    assert found["heartbeat.interval.ms"] == 1_000
    assert found["max.poll.interval.ms"] == 15_000
    assert "group.protocol" not in found


def test_the_new_protocol_asks_for_range_and_leaves_sessions_to_the_broker():
    found = consumer(
        group_protocol="consumer",
        kafka_properties={"session.timeout.ms": 9000, "heartbeat.interval.ms": 1},
    )

    assert found["group.protocol"] == "consumer"
    assert found["group.remote.assignor"] == "range"
    classic = {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"}
    assert not classic & found.keys()


def test_nothing_is_committed_or_reset_behind_our_back():
    found = consumer()

    assert found["enable.auto.commit"] is False
    assert found["enable.auto.offset.store"] is False
    assert found["isolation.level"] == "read_committed"
    assert found["auto.offset.reset"] == "error"


def test_no_client_creates_a_topic_by_asking_for_it():
    for found in (consumer(), producer(), admin_properties(topology())):
        assert found["allow.auto.create.topics"] is False


def test_a_client_that_nobody_polls_keeps_no_log():
    assert silent_properties(topology(kafka_properties={"log_level": 7}))["log_level"] == 0


def test_only_static_membership_names_the_instance():
    assert "group.instance.id" not in consumer()
    assert consumer(membership="static")["group.instance.id"] == "eu.tweets.translate.0"


def test_the_queue_holds_twice_the_largest_transaction():
    assert producer()["queue.buffering.max.messages"] >= 20_000
    assert producer()["transactional.id"] == "eu.tweets.translate.0"
    assert producer()["transaction.timeout.ms"] == 10_000


def test_the_producer_may_write_what_its_topics_accept():
    found = producer_properties(topology(), "t", "c", message_max_bytes=30_000_000)

    assert found["message.max.bytes"] == 30_000_000
    assert found["queue.buffering.max.kbytes"] * 1024 >= 4 * 30_000_000


def test_users_properties_win_where_they_may():
    users = {"fetch.wait.max.ms": 7, "linger.ms": 3, "socket.keepalive.enable": True}

    assert consumer(kafka_properties=users)["fetch.wait.max.ms"] == 7
    assert producer(kafka_properties=users)["linger.ms"] == 3
    assert admin_properties(topology(kafka_properties=users))["socket.keepalive.enable"] is True


@pytest.mark.parametrize("key", sorted(OWNED))
def test_owned_properties_cannot_be_set(key):
    users = {key: "theirs"}

    for found in (consumer(kafka_properties=users), producer(kafka_properties=users)):
        assert found.get(key) != "theirs"


def test_properties_of_the_other_client_are_left_out():
    users = {"fetch.wait.max.ms": 7, "linger.ms": 3}

    assert "linger.ms" not in consumer(kafka_properties=users)
    assert "fetch.wait.max.ms" not in producer(kafka_properties=users)
    assert not users.keys() & admin_properties(topology(kafka_properties=users)).keys()


def test_security_reaches_every_client():
    secured = topology(kafka_properties=SECURITY)

    for found in (
        consumer_properties(secured, STAGE, "0", "host:1"),
        producer_properties(secured, "t", "c"),
        admin_properties(secured),
    ):
        assert found.items() >= SECURITY.items()


@pytest.mark.parametrize("slot", ["0", "a/b", "worker-17"])
def test_a_slot_is_read_back_from_the_client_id(slot):
    name = client_id(topology(), STAGE, slot, "10.0.0.1:8080")

    assert name == f"headrace/tweets/translate/{slot}/10.0.0.1:8080"
    assert slot_of(name, "tweets", "translate") == slot


@pytest.mark.parametrize(
    "name", ["rdkafka", "headrace/tweets/other/0/h:1", "headrace/tweets/translate/", ""]
)
def test_other_clients_have_no_slot(name):
    assert slot_of(name, "tweets", "translate") is None


@pytest.mark.parametrize(
    ("message", "is_told"),
    [
        (
            "Failed to acquire transactional PID from broker b/1: Not coordinator: retrying",
            False,
        ),
        ("Failed to acquire transactional PID from broker b/1: not authorized", True),
        ("FAIL [thrd:b/1]: Connect failed: Connection refused", True),
    ],
)
def test_what_the_client_asks_again_by_itself_is_no_warning(caplog, message, is_told):
    LOGGER.warning(message)

    assert bool(caplog.records) is is_told
