"""When waiting records are sent as one request, and how a failed batch is taken apart."""

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from headrace.errors import InvariantError

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


def bisect(batch: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Split a batch of two or more into halves that keep its order."""
    if len(batch) < 2:
        raise InvariantError(f"a batch of {len(batch)} has no halves")
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


class PoisonSearch(Generic[T]):
    """The search for the records that make a batch fail, by trying halves of what fails.

    A record is called poison only after it failed alone. With k poison records in a batch of n,
    at most 2 k (1 + log2 n) pieces are tried. Several pieces may be tried at once; every piece
    that `take` returned must come back through `passed` or `failed`.

    Attributes:
        poison: Records that failed alone, in the order in which that was found.
    """

    def __init__(self, batch: Sequence[T]) -> None:
        """Begin with a batch that failed as a whole."""
        self.poison: list[T] = []
        self._untried: deque[Sequence[T]] = deque()
        self._tried_now = 1
        self.failed(batch)

    @property
    def is_over(self) -> bool:
        """Whether every record has passed, or failed alone."""
        return not self._untried and not self._tried_now

    def take(self) -> Sequence[T] | None:
        """Return a piece to try next, None if there is none now."""
        if not self._untried:
            return None
        self._tried_now += 1
        return self._untried.popleft()

    def passed(self) -> None:
        """A piece that was taken went through."""
        self._end_trial()

    def failed(self, piece: Sequence[T]) -> None:
        """A piece that was taken failed for a reason of its data."""
        self._end_trial()
        if len(piece) == 1:
            self.poison.append(piece[0])
        elif piece:
            self._untried.extend(bisect(piece))

    def _end_trial(self) -> None:
        if not self._tried_now:
            raise InvariantError("no piece of the batch is being tried")
        self._tried_now -= 1
