"""What Kafka knows about a stage's consumer group: its offsets, its members, the logs it reads."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import OffsetSpec as _UntypedSpec  # type: ignore[attr-defined]

from headrace.core.records import Committed, TopicPartition
from headrace.core.topology import Stage, Topology
from headrace.errors import BrokerUnavailableError, ConfigError
from headrace.kafka.committed import CommittedOffsets
from headrace.kafka.listing import answered, leader_client, list_offsets
from headrace.kafka.properties import producer_properties, silent_properties, slot_of
from headrace.kafka.translate import kafka_error, let_go, translated
from headrace.ports import Bounds

# A client that knew a broker before its restart may lose requests for good; a new one is made
# after every silence, so the sooner the better.
_ANSWER_WITHIN_S = 3.0
_AGAIN_WITHIN_S = 3.5
_AGAIN_AFTER_S = 0.1
_FENCE_WITHIN_S = 20.0
_NEW_COORDINATOR_WITHIN_S = 20.0
_THREADS = 4

_Answer = TypeVar("_Answer")
_Spec: Any = _UntypedSpec


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a stage's group.

    Attributes:
        client_id: What it calls itself.
        slot: The worker's name in the fleet, None if it is no worker of this stage.
        address: `host:port` of a worker's status endpoint.
        partitions: How many partitions it owns.
    """

    client_id: str
    slot: str | None
    address: str
    partitions: int


class KafkaGroup:
    """What Kafka knows about a stage's consumer group and the topics it reads.

    Args:
        topology: Where Kafka is.
        stage: The stage.
    """

    def __init__(self, topology: Topology, stage: Stage) -> None:
        self._topology = topology
        self._stage = stage
        self._starts = {source.topic: source.start for source in stage.sources}
        self._admin: AdminClient | None = None
        self._committed = CommittedOffsets(silent_properties(topology), stage.group)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="headrace-admin")

    async def await_coordinator(self) -> None:
        """Return when the broker that looks after the group answers.

        A cluster that never had a group first makes the topic in which groups are kept: that
        takes longer than any other answer.

        Raises:
            BrokerUnavailableError: It did not answer within 20 s.
            BrokerError: Kafka refuses.
        """
        await self._call(
            f"finding the coordinator of {self._stage.group}",
            lambda: self._committed.latest([TopicPartition(self._stage.topics[-1], 0)]),
            _NEW_COORDINATOR_WITHIN_S,
        )

    async def committed(
        self, partitions: Sequence[TopicPartition], *, stable: bool = True
    ) -> Mapping[TopicPartition, Committed | None]:
        """Return what is committed; None where a transaction that has not ended holds it.

        With `stable=False` the last stable value is returned for every partition.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        if not partitions:
            return {}
        doing = f"reading the offsets of {self._stage.group}"
        read = self._committed.stable if stable else self._committed.latest
        return await self._call(doing, lambda: read(partitions))

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Return the offsets that each partition's log holds (the last stable end).

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        return await self._call("reading log ends", lambda: self._bounds(partitions))

    async def start_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where a partition without a commit begins, by its source's `start`.

        Topics that are no source, headrace's own, begin at their earliest record.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
            ConfigError: The source says `error`.
        """
        refused = [each for each in partitions if self._starts.get(each.topic) == "error"]
        if refused:
            raise ConfigError(
                f"{self._stage.group} has no committed offset for {', '.join(map(str, refused))} "
                "and its source says start: error; choose earliest, latest or a timestamp"
            )
        return await self._call("finding where to start", lambda: self._start_offsets(partitions))

    async def members(self) -> Sequence[Member]:
        """Return the group's live members, by client id.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        return await self._call(f"describing {self._stage.group}", self._members)

    async def slots(self) -> frozenset[str]:
        """Return the slots of the group's live members, read from their client ids.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        return frozenset(each.slot for each in await self.members() if each.slot is not None)

    async def fence(self, slot: str) -> None:
        """End whatever transaction a dead slot of this stage left open.

        Raises:
            BrokerUnavailableError: No broker answers.
            BrokerError: Kafka refuses.
        """
        await self._call(f"fencing slot {slot}", lambda: self._fence(slot))

    async def close(self) -> None:
        """Let go of the client; calls under way end by themselves."""
        self._threads.shutdown(wait=False)
        self._committed.close()
        self._admin = None

    async def _call(
        self, doing: str, call: Callable[[], _Answer], within_s: float = _AGAIN_WITHIN_S
    ) -> _Answer:
        def translating() -> _Answer:
            try:
                return call()
            except KafkaException as error:
                let_go(error)
                failure = translated(error, doing)
                if failure.retryable:
                    # The client goes on asking the leader of the epoch it once knew, for ever; a
                    # new one looks for leaders and coordinators afresh.
                    self._admin = None
                raise failure from error

        def patiently() -> _Answer:
            # A coordinator that is only just being found, or a client that lost the request.
            deadline = time.monotonic() + within_s
            while True:
                try:
                    return translating()
                except BrokerUnavailableError:
                    if time.monotonic() >= deadline:
                        raise
                time.sleep(_AGAIN_AFTER_S)

        return await asyncio.get_running_loop().run_in_executor(self._threads, patiently)

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = leader_client(
                silent_properties(self._topology), self._stage.topics[-1], _ANSWER_WITHIN_S
            )
        return self._admin

    def _bounds(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Bounds]:
        starts = self._offsets(dict.fromkeys(partitions, _Spec.earliest()))
        ends = self._offsets(dict.fromkeys(partitions, _Spec.latest()))
        return {each: Bounds(starts[each], ends[each]) for each in partitions}

    def _start_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = {
            each: _offset_spec(self._starts.get(each.topic, "earliest")) for each in partitions
        }
        found = self._offsets(wanted)
        # No record is as young as the timestamp: everything is too old, begin at the end.
        younger = [each for each, offset in found.items() if offset < 0]
        return found | self._offsets(dict.fromkeys(younger, _Spec.latest()))

    def _offsets(self, wanted: Mapping[TopicPartition, Any]) -> dict[TopicPartition, int]:
        level = IsolationLevel.READ_COMMITTED
        return list_offsets(self._client(), wanted, level, _ANSWER_WITHIN_S)

    def _members(self) -> Sequence[Member]:
        (answer,) = (
            self._client()
            .describe_consumer_groups([self._stage.group], request_timeout=_ANSWER_WITHIN_S)
            .values()
        )
        try:
            described = answered(answer, _ANSWER_WITHIN_S)
        except KafkaException as error:
            if kafka_error(error).code() == KafkaError.GROUP_ID_NOT_FOUND:
                return ()
            raise
        found = [self._member(each) for each in described.members]
        return sorted(found, key=lambda member: member.client_id)

    def _member(self, described: Any) -> Member:
        name: str = described.client_id
        slot = slot_of(name, self._stage.pipeline, self._stage.name)
        address = "" if slot is None else name.rpartition("/")[2]
        assigned = described.assignment
        owned = len(assigned.topic_partitions) if assigned else 0
        return Member(name, slot, address, owned)

    def _fence(self, slot: str) -> None:
        transactional_id = self._stage.transactional_id(slot)
        properties = producer_properties(
            self._topology, transactional_id, client_id=f"headrace-fence-{transactional_id}"
        )
        Producer(properties).init_transactions(_FENCE_WITHIN_S)


def _offset_spec(start: str | int) -> Any:
    if isinstance(start, int):
        return _Spec.for_timestamp(start)
    return _Spec.latest() if start == "latest" else _Spec.earliest()
