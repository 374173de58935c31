"""A topology's settings as properties of the Kafka client (librdkafka)."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from headrace.core.topology import Stage, Topology

_ASKED_AGAIN = re.compile(r"another concurrent operation|Failed to acquire .* PID .*: retrying$")
LOGGER = logging.getLogger("headrace.kafka")
# Where a slot was killed inside a transaction its id is taken over while the broker still ends it,
# and a new broker has no coordinator yet: the client asks again by itself, and warns each time.
LOGGER.addFilter(lambda record: not _ASKED_AGAIN.search(record.getMessage()))

SESSION_TIMEOUT_MS = 6_000
MAX_POLL_INTERVAL_MS = 15_000
TRANSACTION_TIMEOUT_MS = 10_000
TRANSACTION_RECORDS = 10_000

_KIB = 1024
_DEFAULT_MESSAGE_BYTES = 1_048_588  # what a broker accepts unless it is told otherwise
_LARGEST_MESSAGE_BYTES = 1_000_000_000  # librdkafka's own bound

OWNED = frozenset(
    {
        "bootstrap.servers",
        "client.id",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "partition.assignment.strategy",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "enable.partition.eof",
        "transactional.id",
        "transaction.timeout.ms",
        "enable.idempotence",
        "enable.gapless.guarantee",
        "acks",
        "request.required.acks",
        "max.in.flight",
        "max.in.flight.requests.per.connection",
        "delivery.report.only.error",
        "error_cb",
        "logger",
    }
)
"""Properties a pipeline file may not set: the guarantees rest on them."""

_CONSUMER_ONLY = frozenset(
    {
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "max.poll.interval.ms",
        "queued.min.messages",
        "queued.max.messages.kbytes",
        "fetch.wait.max.ms",
        "fetch.queue.backoff.ms",
        "fetch.message.max.bytes",
        "max.partition.fetch.bytes",
        "fetch.max.bytes",
        "fetch.min.bytes",
        "fetch.error.backoff.ms",
        "check.crcs",
    }
)
_PRODUCER_ONLY = frozenset(
    {
        "linger.ms",
        "queue.buffering.max.ms",
        "queue.buffering.max.messages",
        "queue.buffering.max.kbytes",
        "compression.codec",
        "compression.type",
        "compression.level",
        "batch.num.messages",
        "batch.size",
        "partitioner",
        "sticky.partitioning.linger.ms",
        "message.timeout.ms",
        "delivery.timeout.ms",
        "request.timeout.ms",
        "message.send.max.retries",
        "retries",
    }
)


def client_id(topology: Topology, stage: Stage, slot: str, address: str) -> str:
    """Return the client id that lets whoever describes the group find every worker."""
    return f"{_client_prefix(topology.pipeline, stage.name)}{slot}/{address}"


def slot_of(client_id: str, pipeline: str, stage: str) -> str | None:
    """Return the slot that a client id names, or None if it is no worker of this stage."""
    prefix = _client_prefix(pipeline, stage)
    slot, slash, _ = client_id.removeprefix(prefix).rpartition("/")
    return slot if slash and client_id.startswith(prefix) else None


def consumer_properties(
    topology: Topology, stage: Stage, slot: str, address: str
) -> dict[str, Any]:
    """Return the properties of a stage's group member.

    Args:
        topology: Where Kafka is and how groups work there.
        stage: The stage whose group is joined.
        slot: The worker's slot.
        address: `host:port` of the worker's status endpoint.
    """
    ours: dict[str, Any] = {
        "group.id": stage.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        # Every partition is assigned at an offset of ours, so a reset could only hide a loss.
        "auto.offset.reset": "error",
        "max.poll.interval.ms": MAX_POLL_INTERVAL_MS,
        # A pause throws the prefetch away, so it is kept small.
        "queued.min.messages": 20_000,
        "fetch.queue.backoff.ms": 20,
        # Bounds how long a new or resumed partition waits for the request that is under way.
        "fetch.wait.max.ms": 100,
        # A deleted topic is noticed when the metadata is read again.
        "topic.metadata.refresh.interval.ms": 10_000,
        **_membership(topology, stage, slot),
    }
    return {
        **_connection(topology, client_id(topology, stage, slot, address)),
        **ours,
        **_users(topology, without=_PRODUCER_ONLY | _classic_only(topology)),
    }


def producer_properties(
    topology: Topology,
    transactional_id: str,
    client_id: str,
    *,
    message_max_bytes: int = _DEFAULT_MESSAGE_BYTES,
) -> dict[str, Any]:
    """Return the properties of a transactional producer.

    Args:
        topology: Where Kafka is.
        transactional_id: The id it takes over.
        client_id: Names it in the broker's logs.
        message_max_bytes: Largest record that any of its topics accepts.
    """
    largest = min(message_max_bytes, _LARGEST_MESSAGE_BYTES)
    ours: dict[str, Any] = {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
        "linger.ms": 0,
        # One parent's children are never cut, so a transaction may be twice the cap.
        "queue.buffering.max.messages": 10 * TRANSACTION_RECORDS,
        "queue.buffering.max.kbytes": max(256 * _KIB, 4 * largest // _KIB),
        "message.max.bytes": largest,
        # A successful record needs no report: the commit fails if any delivery did.
        "delivery.report.only.error": True,
        # Where a new key decides, a JVM producer would choose the same partition.
        "partitioner": "murmur2_random",
    }
    return {
        **_connection(topology, client_id),
        **ours,
        **_users(topology, without=_CONSUMER_ONLY),
    }


def admin_properties(topology: Topology, client_id: str = "headrace") -> dict[str, Any]:
    """Return the properties of an administrative client."""
    return {
        **_connection(topology, client_id),
        **_users(topology, without=_CONSUMER_ONLY | _PRODUCER_ONLY),
    }


def silent_properties(topology: Topology) -> dict[str, Any]:
    """Return the properties of an administrative client that nobody polls.

    What it logs would wait in memory for that, as long as it lives.
    """
    return {**admin_properties(topology), "log_level": 0}


def _client_prefix(pipeline: str, stage: str) -> str:
    return f"headrace/{pipeline}/{stage}/"


def _connection(topology: Topology, client_id: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": topology.bootstrap_servers,
        "client.id": client_id,
        # 100 ms by default; it is a floor under commits and under reads of fresh offsets.
        "retry.backoff.ms": 10,
        "reconnect.backoff.max.ms": 1_000,
        "statistics.interval.ms": 0,
        # A topic that was deleted is missed, not made anew with a broker's defaults.
        "allow.auto.create.topics": False,
        "log_level": 5,
        "logger": LOGGER,
    }


def _membership(topology: Topology, stage: Stage, slot: str) -> dict[str, Any]:
    # `range` keeps equal partition numbers of several topics together, which joins need.
    if topology.group_protocol == "consumer":
        chosen: dict[str, Any] = {
            "group.protocol": "consumer",
            "group.remote.assignor": "range",
        }
    else:
        chosen = {
            "partition.assignment.strategy": "range",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": 1_000,
        }
    if topology.membership == "static":
        chosen["group.instance.id"] = f"{stage.group}.{slot}"
    return chosen


def _classic_only(topology: Topology) -> frozenset[str]:
    # KIP-848 leaves them to the broker, and librdkafka refuses a client that sets them.
    if topology.group_protocol == "consumer":
        return frozenset({"session.timeout.ms", "heartbeat.interval.ms"})
    return frozenset()


def _users(topology: Topology, *, without: frozenset[str]) -> Mapping[str, Any]:
    skipped = OWNED | without
    return {key: each for key, each in topology.kafka_properties.items() if key not in skipped}
