"""What a client of the simulated broker may ask about its group and topics."""

from collections.abc import Mapping, Sequence

from headrace.core.records import Committed, TopicPartition
from headrace.errors import ConfigError
from headrace.ports import Bounds
from headrace.testing.broker import SimulatedBroker
from headrace.testing.processes import SimulatedProcess


class SimulatedGroup:
    """A `GroupView` on a `SimulatedBroker`.

    Args:
        broker: The cluster.
        process: Whose client this is.
        group: Consumer group.
        starts: Where a topic without a commit begins: `earliest` (the default), `latest`,
            `error`, or a timestamp in milliseconds.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        process: SimulatedProcess,
        group: str,
        starts: Mapping[str, str | int] | None = None,
    ) -> None:
        self._broker = broker
        self._process = process
        self._name = group
        self._group = broker.group(group)
        self._starts = dict(starts or {})

    async def committed(
        self, partitions: Sequence[TopicPartition], *, stable: bool = True
    ) -> Mapping[TopicPartition, Committed | None]:
        """Return what is committed; None where an open transaction holds it."""
        await self._ask("committed")
        return {p: self._group.committed(p, stable=stable) for p in partitions}

    async def bounds(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Bounds]:
        """Return the first offset and the last stable end of each partition."""
        await self._ask("bounds")
        logs = {p: self._broker.log(p) for p in partitions}
        return {p: Bounds(log.start, log.stable_end) for p, log in logs.items()}

    async def start_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where a partition without a commit begins."""
        await self._ask("start_offsets")
        return {p: self._start_of(p) for p in partitions}

    async def slots(self) -> frozenset[str]:
        """Return the slots of members whose session is not over."""
        await self._ask("slots")
        return self._group.slots

    async def fence(self, slot: str) -> None:
        """End whatever transaction a slot left open, by taking over its transactional id."""
        await self._ask("fence")
        timeout_s = self._broker.settings.transaction_timeout_s
        self._broker.transactions.init(f"{self._name}.{slot}", timeout_s)

    def _start_of(self, partition: TopicPartition) -> int:
        log = self._broker.log(partition)
        start = self._starts.get(partition.topic, "earliest")
        if start == "error":
            raise ConfigError(f"{partition} has no committed offset and its source says error")
        if start == "earliest":
            return log.start
        return log.stable_end if isinstance(start, str) else log.offset_at(start)

    async def _ask(self, point: str) -> None:
        await self._broker.ask(point, self._process)
        self._process.check()
