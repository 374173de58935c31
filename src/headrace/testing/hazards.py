"""What goes wrong in a simulated run, and when: all of it from one seed."""

import random
from collections.abc import Mapping, Sequence
from typing import Final

CRASH: Final = "crash"
"""Kill -9 of the calling process."""
CRASH_IN_FLIGHT: Final = "crash in flight"
"""Kill -9 with the request already on its way: it lands later, unless it is fenced."""
ABORT: Final = "abort"
"""The broker refuses with an abortable error."""
LOST: Final = "lost"
"""The end of a transaction never arrives and is never answered."""
APPLIED: Final = "applied"
"""The end of a transaction is carried out, its answer is lost."""
LATE: Final = "late"
"""The end of a transaction is not answered and lands later, unless it is fenced."""
FENCED: Final = "fenced"
"""Somebody takes the transactional id over before the request arrives."""
APPLIED_THEN_FENCED: Final = "applied, then fenced"
"""The end is carried out and its answer lost; when it is asked again, the id is taken over."""
UNAVAILABLE: Final = "unavailable"
"""This one request is not answered."""
DOWN: Final = "down"
"""No broker answers anybody for a while."""
ZOMBIE: Final = "zombie"
"""The calling process loses its membership and learns of it only later."""

Rates = Mapping[str, Sequence[tuple[str, float]]]
"""By point: faults and their probabilities per passage."""

STORM: Rates = {
    "fetch": ((CRASH, 0.01), (ZOMBIE, 0.01), (DOWN, 0.005)),
    "join": ((CRASH, 0.01),),
    "sync": ((CRASH, 0.01),),
    "committed": ((UNAVAILABLE, 0.03), (CRASH, 0.01)),
    "bounds": ((UNAVAILABLE, 0.03),),
    "start_offsets": ((UNAVAILABLE, 0.03),),
    "slots": ((UNAVAILABLE, 0.03),),
    "fence": ((UNAVAILABLE, 0.03), (CRASH, 0.01)),
    "open": ((UNAVAILABLE, 0.05), (CRASH, 0.02)),
    "produce": ((ABORT, 0.02), (CRASH, 0.02), (DOWN, 0.005), (FENCED, 0.005)),
    "offsets": ((ABORT, 0.02), (CRASH, 0.02), (FENCED, 0.005)),
    "end": (
        (ABORT, 0.02),
        (LOST, 0.02),
        (APPLIED, 0.02),
        (LATE, 0.03),
        (CRASH, 0.02),
        (CRASH_IN_FLIGHT, 0.02),
        (FENCED, 0.005),
        (APPLIED_THEN_FENCED, 0.01),
    ),
    "ended": ((CRASH, 0.02),),
    "abort": ((LOST, 0.05), (CRASH, 0.02)),
}
"""A bit of everything at every point."""

_SHORT_S = 0.005
_LONG_S = 0.05
_STALL_S = 1.0
_LATEST_S = 12.0


class Hazards:
    """Delays and faults at every await of the simulated broker.

    The number of random faults is limited, so that a correct program ends.

    Args:
        seed: Same seed, same program: same run.
        rates: Random faults by point; none by default.
        budget: Most random faults in a run.
        delays: Whether requests take time; without, they take none but still yield to others.
    """

    def __init__(
        self, seed: int = 0, rates: Rates | None = None, *, budget: int = 3, delays: bool = True
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.injected: list[tuple[str, str, str]] = []
        self._draw = self.random.random
        self._rates = rates or {}
        self._budget = budget
        self._delays = delays
        self._planned: list[tuple[str, str, str | None]] = []

    @classmethod
    def none(cls) -> "Hazards":
        """Nothing fails and nothing takes time."""
        return cls(delays=False)

    def plan(self, point: str, fault: str, slot: str | None = None) -> None:
        """Inject a fault the next time anybody, or the given slot, comes to a point."""
        self._planned.append((point, fault, slot))

    def fault(self, point: str, slot: str) -> str | None:
        """Draw what goes wrong at this passage of a point, if anything."""
        if self._planned:
            for number, (where, fault, who) in enumerate(self._planned):
                if where == point and who in (None, slot):
                    del self._planned[number]
                    return self._record(point, fault, slot)
        if self._budget > 0 and point in self._rates:
            chance = self._draw()
            for fault, probability in self._rates[point]:
                chance -= probability
                if chance < 0:
                    self._budget -= 1
                    return self._record(point, fault, slot)
        return None

    def latency(self) -> float:
        """Draw how many seconds one request takes: mostly nothing, rarely a second."""
        if not self._delays:
            return 0.0
        kind = self._draw()
        if kind < 0.6:
            return 0.0
        if kind < 0.88:
            return _SHORT_S * self._draw()
        return (_LONG_S if kind < 0.98 else _STALL_S) * self._draw()

    def between(self, low_s: float, high_s: float) -> float:
        """Draw seconds from a range; its lower end when nothing takes time."""
        return low_s + (high_s - low_s) * self._draw() if self._delays else low_s

    def lateness(self) -> float:
        """Draw how many seconds after its sender gave up a request arrives: often very few."""
        return self.between(0.01, 0.2) if self._draw() < 0.5 else self.between(0.2, _LATEST_S)

    def some(self, most: int) -> int:
        """Draw how many of a number of records one poll returns."""
        if not self._delays or self._draw() < 0.5:
            return most
        return 1 + int(most * self._draw())

    def _record(self, point: str, fault: str, slot: str) -> str:
        self.injected.append((point, fault, slot))
        return fault
