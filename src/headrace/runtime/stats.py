"""What a stage did so far: plain counters, raised once per batch and read by metrics and status."""

from bisect import bisect_left
from dataclasses import dataclass, field

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Upper bounds of the latency buckets, seconds; one more bucket holds what is slower."""


@dataclass(slots=True)
class Histogram:
    """Latencies in fixed buckets."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    total_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one latency."""
        self.counts[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class StageStats:
    """Counters of one stage of this worker since it started.

    Attributes:
        read: Records taken for the first time by this worker.
        written: Results finished; they may not be durable yet.
        dead_lettered: Records given up, likewise.
        dropped: Records that ended without a result, likewise.
        durable: Records whose outcome was committed.
        retried: Calls that were repeated.
        requests: Calls to the model, probes included.
        rows: Rows in them.
        commits: Transactions committed.
        aborts: Transactions aborted or ended in a way nobody knew.
        rebalances: Assignments received.
        adopted: Ledgers that went on after a rebalance.
        discarded: Ledgers dropped because somebody else had committed.
        fenced: Dead writers whose transactions were ended.
        out_of_lane: Records that came through the retry topic.
        lost: Records the log no longer held when they were due.
        spilled: Incomplete records that went to the retry topic because memory was full.
        errors: Failed calls by error class.
        model_latency: Seconds per call.
        commit_latency: Seconds per transaction.
    """

    read: int = 0
    written: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    durable: int = 0
    retried: int = 0
    requests: int = 0
    rows: int = 0
    commits: int = 0
    aborts: int = 0
    rebalances: int = 0
    adopted: int = 0
    discarded: int = 0
    fenced: int = 0
    out_of_lane: int = 0
    lost: int = 0
    spilled: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    model_latency: Histogram = field(default_factory=Histogram)
    commit_latency: Histogram = field(default_factory=Histogram)

    def count_error(self, error: Exception) -> None:
        """Count a failed call under its class."""
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1


@dataclass(slots=True)
class StepStats:
    """Counters of one step of this worker since it started; nothing of them may be durable yet.

    Attributes:
        results: Documents that it sent on.
        dropped: Documents that ended here: by its gate, by no route, by its function.
        unmatched: Those of them that no route took.
        failed: Documents that it dead-lettered.
        halted: Documents that stopped their lane, because the step is strict.
    """

    results: int = 0
    dropped: int = 0
    unmatched: int = 0
    failed: int = 0
    halted: int = 0
