"""How many requests a model may have at once, from measured latency.

A server that works on c requests at a time answers the others late: with L requests in flight and
L > c, latency is L / c of what it is without a queue. So the limit grows while all slots are in
use and latency stays near its baseline, and where latency has more than doubled (L about 2 c) it
falls back to where the queue was empty, limit x baseline / latency (about c). It therefore swings
between c and 2 c, which keeps the server busy and its queue short; every swing measures the
baseline anew at its low end, and every fourth one goes lower to see whether c is less. A server
that batches by itself, or has replicas to spare, shows no queue and gets the maximum.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from headrace.errors import InvariantError

FIRST_LIMIT: Final = 4

# Requests of like size whose mean latency is one measurement.
_WINDOW: Final = 24
# So many windows must agree before the limit falls: latency of single requests varies.
_PROOF_WINDOWS: Final = 3
_TOLERANCE: Final = 2.0
# The baseline is the lowest moving average; the lowest single mean would be an outlier.
_GAIN: Final = 0.25
# Scheduling noise of the two processes: a server this fast is not slow because of a queue.
_NOISE_S: Final = 0.001
# The first fall and every fourth after it goes below the estimate: a baseline that was measured
# while a queue stood would never heal otherwise.
_PROBE_EVERY: Final = 4
_PROBE_FACTOR: Final = 0.7
_OVERLOAD_FACTOR: Final = 0.5
# Refusals of one burst count once.
_SHORTEST_BURST_S: Final = 0.1


@dataclass(slots=True)
class _LikeSized:
    """Latency of requests with about the same number of rows.

    `lowest` is the lowest mean since the limit last fell, `lowest_before` that of the swing before:
    older ones are forgotten, so that a server that became slower for good is not held to them.
    """

    answers: int = 0
    full: int = 0
    total_s: float = 0.0
    smooth: float = inf
    lowest: float = inf
    lowest_before: float = inf

    def empty(self) -> None:
        self.answers = self.full = 0
        self.total_s = 0.0

    def learn(self, mean_s: float) -> None:
        self.smooth = mean_s if self.smooth == inf else self.smooth + _GAIN * (mean_s - self.smooth)
        self.lowest = min(self.lowest, self.smooth)

    def begin_swing(self) -> None:
        if self.lowest < inf:
            self.lowest_before, self.lowest, self.smooth = self.lowest, inf, inf


class AdaptiveLimit:
    """Additive increase, multiplicative decrease of a model's slots, between two bounds.

    Until latency first inflates or the server first refuses, the limit doubles instead.
    """

    def __init__(self, minimum: int, maximum: int) -> None:
        if not 1 <= minimum <= maximum:
            raise InvariantError(f"slots between {minimum} and {maximum}")
        self._minimum = minimum
        self._maximum = maximum
        self._limit = min(max(FIRST_LIMIT, minimum), maximum)
        self._window = max(_WINDOW, self._limit)
        self._sizes: dict[int, _LikeSized] = {}
        self._changed_at = -inf
        self._deaf_until = -inf
        self._latency_s = 0.0
        self._is_doubling = True
        self._falls = 0

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return self._limit

    def on_answer(self, latency_s: float, rows: int, busy: int, now: float) -> None:
        """Learn from an answer, good or bad, that the model gave in its own time.

        Args:
            latency_s: From sending the request to having its answer.
            rows: Rows of the request; only requests of like size are compared.
            busy: Requests in flight when it was answered, this one counted.
            now: The time of the answer.
        """
        if now - latency_s <= self._changed_at:
            return  # it was sent under another limit, and shared the queue of that
        size = self._sizes.setdefault(rows.bit_length(), _LikeSized())
        size.answers += 1
        size.full += busy >= self._limit
        size.total_s += latency_s
        if size.answers % self._window == 0:
            self._judge(size, now)

    def on_overload(self, now: float) -> None:
        """Learn that the server refused a request or did not answer in time."""
        if now < self._deaf_until:
            return
        self._is_doubling = False
        self._empty_windows()
        self._change(int(self._limit * _OVERLOAD_FACTOR), now)
        self._deaf_until = now + max(self._latency_s, _SHORTEST_BURST_S)

    def _judge(self, size: _LikeSized, now: float) -> None:
        mean_s = size.total_s / size.answers
        is_full = 2 * size.full > size.answers
        baseline_s = min(size.lowest, size.lowest_before)
        is_slow = mean_s > _TOLERANCE * baseline_s + _NOISE_S
        if is_slow and size.answers < _PROOF_WINDOWS * self._window:
            return
        size.learn(mean_s)
        self._latency_s = mean_s
        self._empty_windows()
        if is_full and is_slow:
            self._fall(self._limit * baseline_s / mean_s, now)
        elif is_full:
            self._change(self._limit * 2 if self._is_doubling else self._limit + 1, now)

    def _fall(self, estimate: float, now: float) -> None:
        is_probe = self._falls % _PROBE_EVERY == 0
        self._falls += 1
        self._is_doubling = False
        for each in self._sizes.values():
            each.begin_swing()
        self._change(int(estimate * _PROBE_FACTOR) if is_probe else round(estimate), now)

    def _empty_windows(self) -> None:
        for each in self._sizes.values():
            each.empty()

    def _change(self, limit: int, now: float) -> None:
        limit = min(max(limit, self._minimum), self._maximum)
        if limit != self._limit:
            self._limit = limit
            self._window = max(_WINDOW, limit)
            self._changed_at = now
