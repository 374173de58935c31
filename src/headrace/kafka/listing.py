"""The offsets that logs hold, from an administrative client."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import OFFSET_INVALID, IsolationLevel, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient

from headrace.core.records import TopicPartition
from headrace.errors import BrokerUnavailableError


def leader_client(connection: Mapping[str, Any], topic: str, within_s: float) -> AdminClient:
    """Return an administrative client that knows its brokers, to ask leaders with.

    librdkafka 2.16 leaves a bootstrap server as soon as it was told the cluster's brokers, and
    loses a search for leaders that is under way there: it searches again after 3 s (8 of 300 new
    clients on a busy machine). So it is told here, before the first search.

    Args:
        connection: From `admin_properties`, which keep the question from creating the topic.
        topic: One that its leaders will be asked about.
        within_s: Longest time.

    Raises:
        KafkaException: No broker answers in time.
    """
    client = AdminClient(dict(connection))
    client.list_topics(topic, within_s)
    return client


def list_offsets(
    client: Any, wanted: Mapping[TopicPartition, Any], level: IsolationLevel, within_s: float
) -> dict[TopicPartition, int]:
    """Return an offset of each partition's log; -1 where no record is as young as a timestamp.

    librdkafka 2.16 answers now and then, where a connection is stuck, with an offset that is none
    and no error: that counts as a partition without a leader.

    Args:
        client: The client.
        wanted: The `OffsetSpec` of each partition.
        level: Whether a log ends at its last stable offset.
        within_s: Longest time.

    Raises:
        KafkaException: Kafka refuses, or a partition has no leader.
        BrokerUnavailableError: There is no answer in time.
    """
    if not wanted:
        return {}
    answers = client.list_offsets(
        {ClientPartition(*each): spec for each, spec in wanted.items()},
        isolation_level=level,
        request_timeout=within_s,
    )
    found = {
        TopicPartition(each.topic, each.partition): answered(answer, within_s).offset
        for each, answer in answers.items()
    }
    if unknown := [str(each) for each, offset in found.items() if offset == OFFSET_INVALID]:
        said = f"no offset in the answer: {', '.join(unknown)}"
        raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, said))
    return found


def answered(answer: "Future[Any]", within_s: float, doing: str = "") -> Any:
    """Return what an administrative client was answered.

    Raises:
        KafkaException: Kafka refuses.
        BrokerUnavailableError: There is no answer in time.
    """
    try:
        # The request has the same limit; this one only guards against an answer never coming.
        return answer.result(within_s + 1.0)
    except TimeoutError:
        meanwhile = f" while {doing}" if doing else ""
        raise BrokerUnavailableError(f"no answer from Kafka in time{meanwhile}") from None
