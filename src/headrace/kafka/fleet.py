"""The workers of a stage, found through the members of its consumer group."""

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from headrace.core.topology import Stage, Topology
from headrace.errors import BrokerUnavailableError
from headrace.kafka.properties import admin_properties, slot_of
from headrace.kafka.translate import kafka_error, translated

_ANSWER_WITHIN_S = 10.0


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
