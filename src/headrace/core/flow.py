"""Which partitions are paused and resumed, and whether the worker takes more, from what is held."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from headrace.core.offset_map import LIMIT

_RESUME_BELOW: Final = 0.5
_MOST_METADATA: Final = 0.75 * LIMIT

K = TypeVar("K")


class Load(NamedTuple):
    """What is taken and not yet durable.

    Attributes:
        records: How many records.
        size_bytes: Bytes of their values.
        metadata_size: Characters of the partition's commit metadata.
    """

    records: int
    size_bytes: int
    metadata_size: int = 0


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """How much may be held.

    Attributes:
        worker_records: Records of all partitions.
        worker_bytes: Bytes of all partitions.
        partition_records: Records of one partition.
        partition_bytes: Bytes of one partition.
    """

    worker_records: int = 50_000
    worker_bytes: int = 256 * 2**20
    partition_records: int = 20_000
    partition_bytes: int = 64 * 2**20


class FlowChange(NamedTuple, Generic[K]):
    """Partitions to pause and to resume now."""

    to_pause: list[K]
    to_resume: list[K]


class Flow(Generic[K]):
    """Back-pressure of one worker.

    The worker as a whole simply stops fetching, which costs nothing. Pausing a partition throws
    away what the client has prefetched of it, so a partition is paused only when it alone is over
    a limit, and resumed when it is down to half of it.
    """

    def __init__(self, limits: FlowLimits) -> None:
        self._limits = limits
        self._paused: set[K] = set()

    @property
    def paused(self) -> frozenset[K]:
        """Partitions that are paused; a new assignment must pause them again."""
        return frozenset(self._paused)

    def has_room(self, records: int, size_bytes: int) -> bool:
        """Whether the worker may fetch more while it holds this much in all."""
        limits = self._limits
        return records < limits.worker_records and size_bytes < limits.worker_bytes

    def update(self, loads: Mapping[K, Load]) -> FlowChange[K]:
        """Decide for every assigned partition; one that is not in `loads` is forgotten."""
        self._paused &= loads.keys()
        change: FlowChange[K] = FlowChange([], [])
        for partition, load in loads.items():
            fill = self._fill(load)
            if partition in self._paused:
                if fill <= _RESUME_BELOW:
                    change.to_resume.append(partition)
            elif fill >= 1.0:
                change.to_pause.append(partition)
        self._paused.update(change.to_pause)
        self._paused.difference_update(change.to_resume)
        return change

    def _fill(self, load: Load) -> float:
        return max(
            load.records / self._limits.partition_records,
            load.size_bytes / self._limits.partition_bytes,
            load.metadata_size / _MOST_METADATA,
        )
