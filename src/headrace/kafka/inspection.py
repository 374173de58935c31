"""What a cluster says to this user about a pipeline's topics and consumer groups."""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)

from headrace.core.topics import needed_topics
from headrace.core.topology import Topology
from headrace.errors import BrokerUnavailableError
from headrace.kafka.listing import answered
from headrace.kafka.properties import admin_properties
from headrace.kafka.translate import MISSING, kafka_error, let_go, translated
from headrace.spec.live import LiveCluster, LiveTopic

_ANSWER_WITHIN_S = 10.0
_COORDINATOR_WITHIN_S = 6.0
_GROUP_WITHIN_S = 2.0
_AGAIN_AFTER_S = 0.1
_LIMIT = "offset.metadata.max.bytes"
_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_NOTHING: Final[frozenset[str]] = frozenset()


async def inspect(topology: Topology) -> LiveCluster:
    """Ask the cluster about everything that a pipeline uses there; nothing is created.

    Raises:
        BrokerUnavailableError: No broker answers.
        BrokerError: Kafka refuses the whole client.
    """
    return await asyncio.to_thread(_inspect, topology)


def _inspect(topology: Topology) -> LiveCluster:
    asking = _Inspection(topology)
    try:
        return asking.answer()
    except KafkaException as error:
        let_go(error)
        raise translated(error, "looking at the cluster") from error
    finally:
        asking.close()


class _Inspection:
    """One look at a cluster; every call blocks."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._admin: Any = AdminClient(admin_properties(topology))

    def answer(self) -> LiveCluster:
        names = [topic.name for topic in needed_topics(self._topology)]
        described = self._topics(names)
        settings = self._settings(ResourceType.TOPIC, described)
        topics = {
            name: replace(topic, settings=settings[name]) for name, topic in described.items()
        }
        groups = {stage.group: self._group(stage.group) for stage in self._topology.stages}
        brokers = self._admin.list_topics(timeout=_ANSWER_WITHIN_S).brokers
        return LiveCluster(topics, groups, self._metadata_bytes(brokers), len(brokers))

    def close(self) -> None:
        # Answers that are errors hold on to the frames they passed, and so to this object. A client
        # that is only destroyed long after its broker has gone may hang for ever.
        self._admin = None

    def _topics(self, names: Collection[str]) -> dict[str, LiveTopic]:
        answers = self._admin.describe_topics(
            TopicCollection(list(names)),
            include_authorized_operations=True,
            request_timeout=_ANSWER_WITHIN_S,
        )
        found: dict[str, LiveTopic] = {}
        for name, answer in answers.items():
            try:
                topic = _result(answer, f"looking at topic {name}")
            except KafkaException as error:
                if kafka_error(error).code() in _REFUSED:
                    found[name] = LiveTopic(0, operations=_NOTHING)
            else:
                copies = min(len(each.replicas) for each in topic.partitions)
                found[name] = LiveTopic(
                    len(topic.partitions), operations=_operations(topic), copies=copies
                )
        return found

    def _group(self, name: str) -> frozenset[str] | None:
        deadline = time.monotonic() + _COORDINATOR_WITHIN_S
        while True:
            answers = self._admin.describe_consumer_groups(
                [name], include_authorized_operations=True, request_timeout=_GROUP_WITHIN_S
            )
            try:
                return _operations(_result(answers[name], f"looking at group {name}"))
            except KafkaException as error:
                return _NOTHING if kafka_error(error).code() in _REFUSED else None
            except BrokerUnavailableError:
                # A cluster on which no group ever was has to make its coordinators first.
                if time.monotonic() > deadline:
                    return None
            time.sleep(_AGAIN_AFTER_S)

    def _metadata_bytes(self, brokers: Collection[int]) -> int | None:
        settings = self._settings(ResourceType.BROKER, map(str, brokers))
        limits = [int(each[_LIMIT]) for each in settings.values() if _LIMIT in each]
        return min(limits) if len(limits) == len(brokers) else None

    def _settings(self, kind: ResourceType, names: Iterable[str]) -> dict[str, Mapping[str, str]]:
        """Return the settings of each, empty where the user may not ask."""
        found: dict[str, Mapping[str, str]] = {}
        for name in names:
            # One by one: a call takes one broker at most.
            resource = ConfigResource(kind, name)
            answers = self._admin.describe_configs([resource], request_timeout=_ANSWER_WITHIN_S)
            try:
                entries = _result(answers[resource], f"reading the settings of {name}")
            except KafkaException:
                entries = {}
            found[name] = {key: entry.value for key, entry in entries.items()}
        return found


def _result(answer: "Future[Any]", doing: str) -> Any:
    """Return an answer.

    Raises:
        KafkaException: Kafka does not have that, or this user may not ask.
        BrokerError: Anything else went wrong.
    """
    try:
        return answered(answer, _ANSWER_WITHIN_S, doing)
    except KafkaException as error:
        if kafka_error(error).code() in _REFUSED | MISSING:
            raise
        raise translated(error, doing) from error


def _operations(described: Any) -> frozenset[str] | None:
    operations = described.authorized_operations
    return None if operations is None else frozenset(each.name for each in operations)
