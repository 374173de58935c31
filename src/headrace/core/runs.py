"""Sets of offsets as sorted, disjoint intervals."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise


class Runs:
    """A set of offsets, kept as half-open intervals [start, stop) that never touch.

    Finished offsets cluster, so a partition with millions of them is a handful of runs. Adding
    costs one binary search plus the runs that are merged; appending at the end costs neither.
    """

    __slots__ = ("_starts", "_stops")

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.add_all(intervals)

    @classmethod
    def from_offsets(cls, offsets: Sequence[int]) -> "Runs":
        """Build from strictly ascending offsets; a contiguous sequence costs nothing per offset."""
        runs = cls()
        runs.add_offsets(offsets)
        return runs

    def add(self, start: int, stop: int) -> None:
        """Add every offset in [start, stop); an empty interval adds nothing."""
        if start >= stop:
            return
        starts, stops = self._starts, self._stops
        if not stops or start > stops[-1]:
            starts.append(start)
            stops.append(stop)
            return
        low = bisect_left(stops, start)
        high = bisect_right(starts, stop, low)
        if low < high:
            start = min(start, starts[low])
            stop = max(stop, stops[high - 1])
        starts[low:high] = (start,)
        stops[low:high] = (stop,)

    def add_all(self, intervals: Iterable[tuple[int, int]]) -> None:
        """Add every interval; the intervals may overlap and come in any order."""
        for start, stop in intervals:
            self.add(start, stop)

    def add_offsets(self, offsets: Sequence[int]) -> None:
        """Add strictly ascending offsets; contiguous ones are not looked at one by one."""
        if not offsets:
            return
        start, last = offsets[0], offsets[-1]
        if last - start + 1 != len(offsets):
            for before, after in pairwise(offsets):
                if after - before != 1:
                    self.add(start, before + 1)
                    start = after
        self.add(start, last + 1)

    def pop_prefix(self, base: int) -> int:
        """Drop the runs that start at or before `base`; return where the offsets after base end.

        Offsets below `base` count as members, so the answer is the lowest offset at or above
        `base` that is not in the set, and only offsets above it remain.
        """
        passed = bisect_right(self._starts, base)
        if not passed:
            return base
        reached = max(base, self._stops[passed - 1])
        del self._starts[:passed]
        del self._stops[:passed]
        return reached

    def drop_below(self, start: int) -> None:
        """Forget every offset below `start`."""
        gone = bisect_right(self._stops, start)
        del self._starts[:gone]
        del self._stops[:gone]
        if self._starts and self._starts[0] < start:
            self._starts[0] = start

    def drop_from(self, end: int) -> None:
        """Forget every offset at or above `end`, the end of the log."""
        kept = bisect_left(self._starts, end)
        del self._starts[kept:]
        del self._stops[kept:]
        if self._stops and self._stops[-1] > end:
            self._stops[-1] = end

    def copy(self) -> "Runs":
        """Return an independent set with the same offsets."""
        runs = Runs()
        runs._starts = self._starts.copy()
        runs._stops = self._stops.copy()
        return runs

    @property
    def starts(self) -> Sequence[int]:
        """First offset of every run, ascending; a view, not to be changed."""
        return self._starts

    @property
    def stops(self) -> Sequence[int]:
        """The offset after every run, ascending; a view, not to be changed."""
        return self._stops

    @property
    def count(self) -> int:
        """How many offsets are in the set; adds up all runs."""
        return sum(self._stops) - sum(self._starts)

    def contains(self, offset: int) -> bool:
        """Whether `offset` is in the set."""
        run = bisect_right(self._starts, offset) - 1
        return run >= 0 and offset < self._stops[run]

    __contains__ = contains

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._stops, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Runs):
            return NotImplemented
        return self._starts == other._starts and self._stops == other._stops

    def __repr__(self) -> str:
        return f"Runs({list(self)})"
