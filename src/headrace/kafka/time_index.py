"""Where in partitions to begin for records of a time."""

from collections.abc import Mapping
from typing import Any

from headrace.core.records import TopicPartition
from headrace.kafka.reading import offsets_at


class TimeIndex:
    """Kafka's time indexes of some partitions; every call blocks.

    Args:
        connection: Where Kafka is, as `properties.admin_properties` says it.
        bounds: First offset and end of each partition's log.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        bounds: Mapping[TopicPartition, tuple[int, int]],
    ) -> None:
        self._connection = connection
        self._bounds = bounds

    def begin(self) -> Mapping[TopicPartition, int]:
        """Return where each log begins."""
        return {each: first for each, (first, _) in self._bounds.items()}

    def first_at(self, times_ms: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """Return each partition's first offset that has a time or a later one; its end for none.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        found = offsets_at(self._connection, times_ms)
        return {
            each: self._bounds[each][1] if offset is None else max(offset, self._bounds[each][0])
            for each, offset in found.items()
        }

    def written_after(self, time_ms: int, begun_ms: int) -> Mapping[TopicPartition, int]:
        """Return where each partition begins to hold what was written after a time.

        The index knows timestamps, which a record that is sent back has from its source, and not
        when a record was written. Such a record stands behind the last ordinary one that is older
        than the time; that one's timestamp is found by halving, in at most 40 questions.

        Args:
            time_ms: The time.
            begun_ms: A time that is older still, to begin at.

        Raises:
            BrokerError: Kafka refuses, or no broker answers.
        """
        low = dict.fromkeys(self._bounds, begun_ms)
        high = dict.fromkeys(self._bounds, max(begun_ms + 1, time_ms))
        starts, young = dict(self.first_at(low)), self.first_at(high)
        left = {each for each in self._bounds if starts[each] < young[each]}
        while left:
            found = self.first_at({each: (low[each] + high[each]) // 2 for each in left})
            for each in left:
                middle = (low[each] + high[each]) // 2
                if found[each] < young[each]:
                    low[each], starts[each] = middle, found[each]
                else:
                    high[each] = middle
            left = {each for each in left if high[each] - low[each] > 1}
        return starts
