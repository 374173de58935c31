"""Which replica of a model gets the next call: the one with the fewest outstanding."""

from collections.abc import Collection
from dataclasses import dataclass

FIRST_REST_S = 0.5
LONGEST_REST_S = 10.0


@dataclass(slots=True)
class _Replica:
    outstanding: int = 0
    failures: int = 0
    rests_until: float = 0.0


class Balancer:
    """Outstanding calls and rest periods of a model's replicas.

    A replica that could not be reached rests, each time twice as long; it is then chosen only
    when every other one rests too. Ties go round so that idle replicas share the load.
    """

    def __init__(self, replicas: int) -> None:
        self._replicas = [_Replica() for _ in range(replicas)]
        self._last = replicas - 1

    def take(self, now: float, tried: Collection[int] = ()) -> int:
        """Choose a replica that was not tried and count one outstanding call.

        Raises:
            LookupError: All were tried.
        """
        count = len(self._replicas)
        after_last = ((self._last + 1 + step) % count for step in range(count))
        untried = [index for index in after_last if index not in tried]
        if not untried:
            raise LookupError("every replica was tried")
        chosen = min(untried, key=lambda index: self._rank(index, now))
        self._last = chosen
        self._replicas[chosen].outstanding += 1
        return chosen

    def give_back(self, index: int) -> None:
        """Count one call less; call it exactly once for every `take`."""
        self._replicas[index].outstanding -= 1

    def reached(self, index: int) -> None:
        """Note that a replica answered, whatever it said."""
        self._replicas[index].failures = 0
        self._replicas[index].rests_until = 0.0

    def unreachable(self, index: int, now: float) -> None:
        """Let a replica rest from `now` (monotonic seconds)."""
        replica = self._replicas[index]
        if replica.rests_until > now:
            return
        rest = min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** min(replica.failures, 10))
        replica.failures += 1
        replica.rests_until = now + rest

    def outstanding(self) -> tuple[int, ...]:
        """Return the outstanding calls of every replica."""
        return tuple(replica.outstanding for replica in self._replicas)

    def _rank(self, index: int, now: float) -> tuple[float, int]:
        replica = self._replicas[index]
        return (max(0.0, replica.rests_until - now), replica.outstanding)
