"""Which batch size and how many calls at once suit a model, from what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass

NEARLY = 0.9
"""Share of the best throughput that is as good as the best."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way of asking a model achieved.

    Attributes:
        protocol: How it was asked.
        rows: Rows in a request.
        slots: Requests at once.
        rate: Rows per second.
        p50_s: Median duration of a request, seconds.
        p99_s: Its 99th percentile.
        cpu_us: CPU time of the client per row, microseconds.
        row_bytes: Bytes sent and received per row, the transport's own framing left out.
    """

    protocol: str
    rows: int
    slots: int
    rate: float
    p50_s: float
    p99_s: float
    cpu_us: float
    row_bytes: float


def recommend(measured: Sequence[Measured]) -> Measured | None:
    """Return the most modest way that is nearly as fast as the fastest, None of nothing.

    Among the ways within a tenth of the best throughput the one with the fewest rows in flight
    is taken, since those are what a record waits for; then the one that costs the client least.
    """
    if not measured:
        return None
    best = max(each.rate for each in measured)
    good = [each for each in measured if each.rate >= NEARLY * best]
    return min(good, key=lambda each: (each.rows * each.slots, each.cpu_us))


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed.

    Args:
        seconds: Values, at least one, in any order.
        share: Above 0, at most 1.
    """
    ordered = sorted(seconds)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]
