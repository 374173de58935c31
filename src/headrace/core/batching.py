"""When waiting records are sent as one request."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Batcher(Generic[T]):
    """Records of one step that wait for a slot of its model.

    Batches grow by themselves: an idle model gets whatever is there at once, and while it works
    the next batch gathers. Taking costs what the taken records cost to copy, whatever waits.
    """

    def __init__(self, max_size: int, max_wait_s: float) -> None:
        self._max_size = max_size
        self._max_wait_s = max_wait_s
        self._arrivals: deque[tuple[float, Sequence[T]]] = deque()
        self._taken_of_first = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def stop_batching(self) -> None:
        """Send records one by one from now on."""
        self._max_size = 1

    def add(self, items: Sequence[T], now: float) -> None:
        """Let records wait that arrived together; the sequence must not change afterwards."""
        if items:
            self._arrivals.append((now, items))
            self._waiting += len(items)

    def discard(self, is_gone: Callable[[T], bool]) -> None:
        """Let go of records that nobody waits for any more."""
        kept: deque[tuple[float, Sequence[T]]] = deque()
        for number, (arrived, items) in enumerate(self._arrivals):
            waiting = items if number else items[self._taken_of_first :]
            left = [item for item in waiting if not is_gone(item)]
            if left:
                kept.append((arrived, left))
        self._arrivals, self._taken_of_first = kept, 0
        self._waiting = sum(len(items) for _, items in kept)

    def due_at(self) -> float | None:
        """Return when the longest waiting record has waited enough, None if nothing waits."""
        return self._arrivals[0][0] + self._max_wait_s if self._arrivals else None

    def take(self, now: float, free_slots: int, busy: int) -> list[T] | None:
        """Return the next batch in order of arrival, or None if it is better to wait.

        With a slot free, a batch leaves when nothing else is in flight, when it is full, or when
        its first record is due. Without a slot, waiting costs nothing and fills the batch.

        Args:
            now: The present.
            free_slots: Requests that may still be started.
            busy: Requests in flight.
        """
        due_at = self.due_at()
        if due_at is None or free_slots < 1:
            return None
        if busy and self._waiting < self._max_size and now < due_at:
            return None
        return self._pop()

    def _pop(self) -> list[T]:
        batch: list[T] = []
        while self._arrivals and len(batch) < self._max_size:
            items = self._arrivals[0][1]
            start = self._taken_of_first
            stop = min(start + self._max_size - len(batch), len(items))
            batch.extend(items[start:stop])
            self._taken_of_first = stop
            if stop == len(items):
                self._arrivals.popleft()
                self._taken_of_first = 0
        self._waiting -= len(batch)
        return batch
