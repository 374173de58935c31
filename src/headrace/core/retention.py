"""Which finished records of headrace's own topics are old enough to be removed."""

from collections import deque
from collections.abc import Collection, Mapping

from headrace.core.records import TopicPartition

_SAMPLES = 60


class TraceWindow:
    """Remembers how far partitions were finished, for as long as records are to be kept.

    What was finished a whole window ago is older than the window, whatever timestamp it has: a
    record of a derived topic has that of its source. The memory ends with the process, and begins
    anew where a partition comes to another one; records are then kept longer, never shorter.

    Args:
        window_s: How long finished records are kept, seconds.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: dict[TopicPartition, deque[tuple[float, int]]] = {}

    def observe(
        self, now_s: float, finished: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return below which offset the records of each partition may go, if that is known.

        Args:
            now_s: A clock that never goes back, seconds.
            finished: Partition to the lowest offset that is not finished by all its readers.
        """
        return {
            place: old
            for place, offset in finished.items()
            if (old := self._observe(now_s, place, offset)) is not None
        }

    def keep_only(self, partitions: Collection[TopicPartition]) -> None:
        """Forget every other partition."""
        self._seen = {place: seen for place, seen in self._seen.items() if place in partitions}

    def _observe(self, now_s: float, place: TopicPartition, offset: int) -> int | None:
        seen = self._seen.setdefault(place, deque())
        if seen and seen[-1][1] > offset:
            # Somebody set the group's offset back: what is below is to be read again.
            self._seen[place] = seen = deque((at_s, min(old, offset)) for at_s, old in seen)
        if not seen or now_s - seen[-1][0] >= self._window_s / _SAMPLES:
            seen.append((now_s, offset))
        while len(seen) > 1 and seen[1][0] <= now_s - self._window_s:
            seen.popleft()
        at_s, old = seen[0]
        return old if at_s <= now_s - self._window_s else None
