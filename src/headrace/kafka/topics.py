"""Looking at, creating, growing and deleting topics."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from headrace.errors import BrokerError, BrokerUnavailableError
from headrace.kafka.access import Complaints, made
from headrace.kafka.listing import answered
from headrace.kafka.translate import MISSING, kafka_error, let_go, translated

_ANSWER_WITHIN_S = 15.0
_VISIBLE_WITHIN_S = 15.0
_LOOK_AGAIN_S = 0.05

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class TopicDefinition:
    """A topic to create.

    Attributes:
        name: Its name.
        partitions: How many partitions it gets.
        replication: Replication factor.
        settings: Topic settings, as Kafka spells them.
    """

    name: str
    partitions: int
    replication: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)


class TopicAdmin:
    """Topics of one cluster. Every method waits until its change is visible everywhere it looks.

    Args:
        properties: From `admin_properties`.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._properties = dict(properties)
        self._complaints = Complaints()
        self._admin: AdminClient | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-topics")

    async def existing(self, names: Collection[str] | None = None) -> dict[str, int]:
        """Return the number of partitions of each topic that exists.

        Args:
            names: Topics to look for; None: all.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        return await self._call("listing topics", lambda: self._existing(names))

    async def settings(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the settings of topics, those left at their default included.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: A topic does not exist, or Kafka refuses.
        """
        return await self._call("reading topic settings", lambda: self._settings(names))

    async def max_message_bytes(self, names: Collection[str]) -> dict[str, int]:
        """Return the largest record batch that each topic accepts, bytes.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: A topic does not exist, or Kafka refuses.
        """
        found = await self.settings(names)
        return {name: int(each["max.message.bytes"]) for name, each in found.items()}

    async def create(self, definitions: Sequence[TopicDefinition]) -> frozenset[str]:
        """Create those topics that do not exist; return their names once brokers know them.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses, for instance more replicas than brokers.
        """
        return await self._call("creating topics", lambda: self._create(definitions))

    async def create_partitions(self, totals: Mapping[str, int]) -> None:
        """Let topics grow to so many partitions in all.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses, for instance fewer partitions than there are.
        """
        await self._call("adding partitions", lambda: self._create_partitions(totals))

    async def delete(self, names: Collection[str]) -> frozenset[str]:
        """Delete topics; return those that existed.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        return await self._call("deleting topics", lambda: self._delete(names))

    async def close(self) -> None:
        """Let go of the client."""
        self._thread.shutdown(wait=False)
        self._admin = None

    async def _call(self, doing: str, call: Callable[[], _Answer]) -> _Answer:
        def translating() -> _Answer:
            try:
                return call()
            except KafkaException as error:
                let_go(error)
                failure = error
            reason = self._complaints.reason(self._client(), failure)
            raise translated(reason, doing) from failure

        return await asyncio.get_running_loop().run_in_executor(self._thread, translating)

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = made(AdminClient, {**self._properties, "error_cb": self._complaints})
        return self._admin

    def _existing(self, names: Collection[str] | None) -> dict[str, int]:
        # All are asked for: asking for one by name would create it where a broker allows that, and
        # a user's properties.
        topics = self._client().list_topics(timeout=_ANSWER_WITHIN_S).topics
        return {
            name: len(each.partitions)
            for name, each in topics.items()
            if each.error is None and (names is None or name in names)
        }

    def _settings(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        asked = [ConfigResource(ResourceType.TOPIC, each) for each in names]
        answers = self._client().describe_configs(asked, request_timeout=_ANSWER_WITHIN_S)
        return {
            resource.name: {
                name: entry.value for name, entry in _result(answer, resource.name).items()
            }
            for resource, answer in answers.items()
        }

    def _create(self, definitions: Sequence[TopicDefinition]) -> frozenset[str]:
        if not definitions:
            return frozenset()
        asked = [
            NewTopic(each.name, each.partitions, each.replication, config=dict(each.settings))
            for each in definitions
        ]
        answers = self._client().create_topics(asked, request_timeout=_ANSWER_WITHIN_S)
        created = {name for name, each in answers.items() if not _ends_with(each, _EXISTS, name)}
        wanted = {each.name: each.partitions for each in definitions if each.name in created}
        names = {each.name for each in definitions}
        self._await(
            lambda found: wanted.items() <= found.items() and names <= found.keys(), "new topics"
        )
        return frozenset(created)

    def _create_partitions(self, totals: Mapping[str, int]) -> None:
        if not totals:
            return
        asked = [NewPartitions(name, total) for name, total in totals.items()]
        answers = self._client().create_partitions(asked, request_timeout=_ANSWER_WITHIN_S)
        for name, each in answers.items():
            _result(each, name)
        self._await(lambda found: totals.items() <= found.items(), "new partitions")

    def _delete(self, names: Collection[str]) -> frozenset[str]:
        if not names:
            return frozenset()
        answers = self._client().delete_topics(list(names), request_timeout=_ANSWER_WITHIN_S)
        deleted = {name for name, each in answers.items() if not _ends_with(each, MISSING, name)}
        self._await(lambda found: not deleted & found.keys(), "the end of topics")
        return frozenset(deleted)

    def _await(self, holds: Callable[[dict[str, int]], bool], what: str) -> None:
        deadline = time.monotonic() + _VISIBLE_WITHIN_S
        while not holds(self._existing(None)):
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(f"the brokers did not agree on {what} in time")
            time.sleep(_LOOK_AGAIN_S)


_EXISTS = frozenset({KafkaError.TOPIC_ALREADY_EXISTS})


def _ends_with(answer: "Future[Any]", codes: frozenset[int], topic: str) -> bool:
    """Wait for an answer; return whether it is an error with one of the codes."""
    try:
        _result(answer, topic, expected=codes)
    except KafkaException:
        return True
    return False


def _result(answer: "Future[Any]", topic: str, expected: frozenset[int] = frozenset()) -> Any:
    try:
        return answered(answer, _ANSWER_WITHIN_S)
    except KafkaException as error:
        if kafka_error(error).code() in expected:
            raise
        failure = translated(error, f"looking after topic {topic}")
        if type(failure) is BrokerError and kafka_error(error).code() in MISSING:
            raise BrokerError(f"topic {topic} does not exist") from error
        raise failure from error
