"""An in-memory model of Kafka for tests: logs, transactions, groups, time, and what goes wrong."""

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.core.records import Committed, Header, Outgoing, Record, TopicPartition
from headrace.errors import BrokerUnavailableError
from headrace.testing.hazards import CRASH, DOWN, UNAVAILABLE, Hazards
from headrace.testing.log import Entry, PartitionLog
from headrace.testing.membership import Group
from headrace.testing.processes import SimulatedCrash, SimulatedProcess
from headrace.testing.transactions import RefusedError, TransactionCoordinator


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Times and sizes of the simulated cluster and its clients.

    Attributes:
        session_timeout_s: How long a dead member is thought to be alive.
        heartbeat_s: How long a member may take to notice a rebalance.
        rebalance_timeout_s: How long a rebalance waits for members to join again.
        transaction_timeout_s: Age at which the coordinator aborts and fences.
        sweep_s: Interval at which it looks for such transactions.
        outage_s: Longest time without any broker.
        request_timeout_s: When a client gives up waiting for an answer.
        max_message_bytes: Largest record a topic takes.
    """

    session_timeout_s: float = 6.0
    heartbeat_s: float = 1.0
    rebalance_timeout_s: float = 15.0
    transaction_timeout_s: float = 10.0
    sweep_s: float = 10.0
    outage_s: float = 8.0
    request_timeout_s: float = 5.0
    max_message_bytes: int = 1_048_588


class SimulatedBroker:
    """A Kafka cluster as its clients see it, kept in memory and driven by the event loop's time.

    Its clients are `SimulatedSource`, `SimulatedGroup` and `SimulatedSink`; every request they
    make passes `hazard`.

    Args:
        topics: Partition counts by topic.
        hazards: What goes wrong; nothing by default.
        settings: Times and sizes.
    """

    def __init__(
        self,
        topics: dict[str, int] | None = None,
        hazards: Hazards | None = None,
        settings: BrokerSettings | None = None,
    ) -> None:
        self.hazards = hazards or Hazards.none()
        self.settings = settings or BrokerSettings()
        self.transactions = TransactionCoordinator(self.hazards, self.settings.sweep_s)
        self._logs: dict[str, list[PartitionLog]] = {}
        self._groups: dict[str, Group] = {}
        self._down_until = 0.0
        self._member_ids = 0
        for topic, count in (topics or {}).items():
            self.create_topic(topic, count)

    def create_topic(self, topic: str, partitions: int) -> None:
        """Create an empty topic."""
        self._logs[topic] = [PartitionLog(TopicPartition(topic, i)) for i in range(partitions)]

    def add_partitions(self, topic: str, count: int) -> None:
        """Grow a topic to a number of partitions; its readers' groups rebalance."""
        logs = self._logs[topic]
        logs += [PartitionLog(TopicPartition(topic, i)) for i in range(len(logs), count)]
        self._rebalance_all()

    def delete_topic(self, topic: str) -> None:
        """Remove a topic and its records; groups rebalance without it."""
        del self._logs[topic]
        self._rebalance_all()

    def delete_records(self, partition: TopicPartition, before: int) -> None:
        """Remove the records of a partition below an offset."""
        self.log(partition).delete_before(before)

    def write(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int = 0,
        headers: Sequence[Header] | None = None,
    ) -> int:
        """Append one record outside any transaction and return its offset."""
        log = self._logs[topic][partition]
        return log.append(Entry(None, key, value, self._now_ms(), headers))

    def records(self, topic: str, partition: int | None = None) -> list[Record]:
        """Return what a committed reader sees, from the first offset, partition by partition."""
        logs = self._logs[topic] if partition is None else [self._logs[topic][partition]]
        return [record for log in logs for record in log.read(log.start, log.end)[0]]

    def committed(self, group: str, partition: TopicPartition) -> Committed:
        """Return what a group has committed durably; open transactions do not count."""
        return self.group(group).committed(partition, stable=False) or Committed(None)

    @property
    def has_open_transactions(self) -> bool:
        """Whether records or offsets wait for the end of a transaction, or for its markers."""
        logs = (log for logs in self._logs.values() for log in logs)
        return any(log.stable_end < log.end for log in logs) or any(
            any(group.pending.values()) for group in self._groups.values()
        )

    def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions by topic."""
        return {topic: len(logs) for topic, logs in self._logs.items()}

    def log(self, partition: TopicPartition) -> PartitionLog:
        """Return the log of a partition.

        Raises:
            RefusedError: There is no such topic or partition.
        """
        logs = self._logs.get(partition.topic, ())
        if not 0 <= partition.partition < len(logs):
            raise RefusedError(f"UNKNOWN_TOPIC_OR_PARTITION {partition}")
        return logs[partition.partition]

    def group(self, name: str) -> Group:
        """Return a consumer group; it exists from the first time it is named."""
        group = self._groups.get(name)
        if group is None:
            group = Group(self.partition_counts, self.settings.rebalance_timeout_s)
            self._groups[name] = group
        return group

    def new_member_id(self, slot: str) -> str:
        """Return an id for a member that joins."""
        self._member_ids += 1
        return f"headrace/{slot}-{self._member_ids:06}"

    def placed(self, records: Sequence[Outgoing]) -> list[tuple[PartitionLog, Entry]]:
        """Find the logs for records to write, by partition number or else by key.

        Raises:
            RefusedError: There is no such partition, or a record is larger than allowed.
        """
        return [self._placed(record) for record in records]

    async def hazard(self, point: str, process: SimulatedProcess) -> str | None:
        """Pass a point where a request may be delayed, may fail, or its process may die.

        Returns:
            The fault that the caller has to act out, if any.

        Raises:
            SimulatedCrash: The process is dead.
        """
        process.check()
        await asyncio.sleep(self.hazards.latency())
        process.check()
        fault = self.hazards.fault(point, process.slot)
        if fault == CRASH:
            process.crash()
            raise SimulatedCrash
        if fault == DOWN:
            self.go_down(self.hazards.between(0.1, self.settings.outage_s))
            return None
        return fault

    @property
    def is_down(self) -> bool:
        """Whether no broker answers now."""
        return asyncio.get_running_loop().time() < self._down_until

    def go_down(self, seconds: float) -> None:
        """Answer nobody for a while."""
        until = asyncio.get_running_loop().time() + seconds
        self._down_until = max(self._down_until, until)

    async def ask(self, point: str, process: SimulatedProcess) -> None:
        """Pass the hazard of a request whose client gives up when no broker answers.

        Raises:
            BrokerUnavailableError: No broker answered.
            SimulatedCrash: The process is dead.
        """
        fault = await self.hazard(point, process)
        if fault == UNAVAILABLE or self.is_down:
            await asyncio.sleep(self.hazards.between(0.0, self.settings.request_timeout_s))
            process.check()
            raise BrokerUnavailableError(f"no broker answers: {point}")

    async def up(self, process: SimulatedProcess) -> None:
        """Wait until a broker answers.

        Raises:
            SimulatedCrash: The process died meanwhile.
        """
        while self.is_down:
            await asyncio.sleep(self._down_until - asyncio.get_running_loop().time())
            process.check()

    def _placed(self, record: Outgoing) -> tuple[PartitionLog, Entry]:
        topic, value, key, partition, timestamp, headers = record
        if len(value or b"") + len(key or b"") > self.settings.max_message_bytes:
            raise RefusedError("MSG_SIZE_TOO_LARGE")
        if partition < 0:
            partition = zlib.crc32(key or b"") % max(1, len(self._logs.get(topic, ())))
        log = self.log(TopicPartition(topic, partition))
        return log, Entry(None, key, value, timestamp if timestamp > 0 else self._now_ms(), headers)

    def _rebalance_all(self) -> None:
        for group in self._groups.values():
            group.rebalance()

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)
