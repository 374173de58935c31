"""The workers of a stage, found through the members of its consumer group."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from headrace.core.topology import Stage, Topology
from headrace.errors import BrokerUnavailableError
from headrace.kafka.properties import admin_properties, slot_of
from headrace.kafka.translate import kafka_error, translated

_ANSWER_WITHIN_S = 10.0
_COORDINATOR_WITHIN_S = 20.0
_AGAIN_AFTER_S = 0.05


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a stage's group.

    Attributes:
        slot: The worker's name in the fleet; the whole client id if it is none of ours.
        address: `host:port` of its status endpoint, empty if it is no worker of ours.
        partitions: How many partitions it owns.
    """

    slot: str
    address: str
    partitions: int


def await_coordinator(topology: Topology, stage: Stage) -> None:
    """Return when the broker that looks after a stage's group answers; blocks.

    An administrative request to a cluster that never had a group is lost until it times out
    (librdkafka 2.16): the cluster first makes the topic in which groups are kept. A consumer
    asks again.

    Raises:
        BrokerUnavailableError: It did not answer in time.
        BrokerError: Kafka refuses.
    """
    asking = Consumer(
        {
            **admin_properties(topology),
            "group.id": stage.group,
            "enable.auto.commit": False,
            # An open transaction must not hold the answer back.
            "isolation.level": "read_uncommitted",
        }
    )
    deadline = time.monotonic() + _COORDINATOR_WITHIN_S
    try:
        while True:
            try:
                asking.committed([TopicPartition(stage.retry_topic, 0)], timeout=_ANSWER_WITHIN_S)
            except KafkaException as error:
                failure = translated(error, f"finding the coordinator of {stage.group}")
                if not failure.retryable or time.monotonic() > deadline:
                    raise failure from error
                time.sleep(_AGAIN_AFTER_S)
            else:
                return
    finally:
        asking.close()


def members(topology: Topology, stage: Stage) -> Sequence[Member]:
    """Return the members of a stage's group, by slot; blocks.

    Raises:
        BrokerUnavailableError: No broker answers.
        BrokerError: Kafka refuses.
    """
    client = AdminClient(admin_properties(topology))
    asked = client.describe_consumer_groups([stage.group], request_timeout=_ANSWER_WITHIN_S)
    try:
        described = asked[stage.group].result(_ANSWER_WITHIN_S + 1)
    except KafkaException as error:
        if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
            return []
        raise translated(error, f"describing {stage.group}") from error
    except TimeoutError as error:
        raise BrokerUnavailableError("no answer from Kafka in time") from error
    found = []
    for each in described.members:
        slot = slot_of(each.client_id, stage.pipeline, stage.name)
        address = "" if slot is None else each.client_id.rpartition("/")[2]
        owned = len(each.assignment.topic_partitions) if each.assignment else 0
        found.append(Member(each.client_id if slot is None else slot, address, owned))
    return sorted(found, key=lambda member: member.slot)
