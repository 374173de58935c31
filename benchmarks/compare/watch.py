"""Reads what a competitor makes of a feed: when each result became visible, and how often."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from confluent_kafka import TopicPartition

from benchmarks.compare.scene import committed_reader

_RESULT = re.compile(rb'"text": ?"((\d+) (\d+) (\d+) [^"]*)"')
_TRANSLATION = re.compile(rb'"translation": ?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Sight:
    """A result that became visible.

    Attributes:
        at: When, in seconds of the wall clock.
        number: The record's number.
        partition: The record's partition in the source.
        written: When the record was written.
    """

    at: float
    number: int
    partition: int
    written: float


class Watch:
    """Reads a topic from its beginning in a thread of its own."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._reader = committed_reader(bootstrap, **{"fetch.wait.max.ms": 10})
        self._reader.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.sights: list[Sight] = []
        self.wrong: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._reader.close()

    def wait(self, is_enough: Callable[[], bool], within_s: float) -> bool:
        """Wait until something holds; return whether it does."""
        deadline = time.monotonic() + within_s
        while not (held := is_enough()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return held

    def is_up_to_date(self) -> bool:
        """Tell whether the newest result was written less than a second before it was seen."""
        return bool(self.sights) and self.sights[-1].at - self.sights[-1].written < 1.0

    def _read(self) -> None:
        while not self._is_over.is_set():
            first = self._reader.poll(0.05)
            if first is None:
                continue
            messages = [first, *self._reader.consume(1_000, 0)]
            now = time.time()
            for message in messages:
                if not message.error():
                    self._see(now, message.value() or b"")

    def _see(self, now: float, value: bytes) -> None:
        found, answer = _RESULT.search(value), _TRANSLATION.search(value)
        if found is None or answer is None or answer[1] != found[1].upper():
            self.wrong.append(value)
            return
        self.sights.append(Sight(now, int(found[2]), int(found[3]), int(found[4]) / 1e9))


def lost_and_doubled(numbers: Sequence[int], written: int) -> tuple[int, int]:
    """Return how many of the first so many records never came, and how many came again."""
    seen = Counter(numbers)
    return written - len(seen), seen.total() - len(seen)


def delays_ms(sights: Sequence[Sight], since: float, until: float) -> list[float]:
    """Return the delays of records that were written in a window, in order of size."""
    return sorted(
        1e3 * (each.at - each.written) for each in sights if since <= each.written < until
    )


def longest_silence(sights: Sequence[Sight], since: float, until: float) -> float:
    """Return the longest time in which a partition showed nothing though a record of it waited.

    A record waits from its writing until it is seen first. Between two moments at which a
    partition showed something new, silence lasts from the first of them, or from when the oldest
    record that came later was written if that was later still. Of a silence that reaches out of
    the window, only the part within counts.

    Args:
        sights: All that was seen.
        since: When the window begins.
        until: When it ends.
    """
    longest = 0.0
    for partition in {each.partition for each in sights}:
        fresh: dict[int, Sight] = {}
        for each in sights:
            if each.partition == partition:
                fresh.setdefault(each.number, each)
        seen = sorted(fresh.values(), key=lambda each: each.at)
        oldest_left = _minima_from_the_end([each.written for each in seen])
        for before, after, oldest in zip(seen, seen[1:], oldest_left[1:], strict=False):
            longest = max(longest, min(after.at, until) - max(before.at, oldest, since))
    return longest


def _minima_from_the_end(values: Sequence[float]) -> list[float]:
    minima, lowest = [0.0] * len(values), float("inf")
    for at in range(len(values) - 1, -1, -1):
        lowest = min(lowest, values[at])
        minima[at] = lowest
    return minima
