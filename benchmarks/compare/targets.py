"""What headrace is to reach, and whether it does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.matrix import (
    COSTS_MS,
    PLAIN_64,
    REST_PAIRS,
    STREAMS,
    Case,
    Competitor,
    alone,
    bare,
    flat,
    headrace,
    over_rest,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A bound and what was found.

    Attributes:
        what: What is bounded.
        bound: The bound.
        unit: What follows a figure: ` x`, ` %` or ` ms`; a share is shown in per cent.
        figure: What was found; None where nothing was yet.
        is_most: Whether the bound is the most, not the least.
    """

    what: str
    bound: float
    unit: str
    figure: Figure | None
    is_most: bool = False

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps the bound; None where nothing was found yet."""
        if self.figure is None:
            return None
        if self.is_most:
            return self.figure.median <= self.bound
        return self.figure.median >= self.bound


def full(competitor: Competitor, cost_ms: int) -> Case:
    """Return the case of a competitor with a full topic of small records."""
    return Case("throughput", competitor, cost_ms)


def targets(figures: Figures) -> list[Target]:
    """Return every target with what is known of it."""
    return [
        *_against_streams(figures),
        *_with_one_row(figures),
        *_against_loops(figures),
        _latency(figures),
        *_flat(figures),
    ]


def _against_streams(figures: Figures) -> Iterator[Target]:
    for cost_ms, bound in ((0, 20.0), (10, 40.0)):
        for streams in STREAMS:
            ratio = figures.ratio(full(headrace(256), cost_ms), full(streams, cost_ms))
            yield Target(f"headrace, 256 rows / {streams}, {cost_ms} ms", bound, " x", ratio)


def _with_one_row(figures: Figures) -> Iterator[Target]:
    for cost_ms in COSTS_MS:
        for pair, streams in zip(REST_PAIRS, STREAMS, strict=True):
            ours = full(pair, cost_ms)
            ratio = figures.ratio(ours, full(streams, cost_ms))
            yield Target(f"{pair} / {streams}, {cost_ms} ms", 1.0, " x", ratio)
            server = alone(1, "rest", pair.slots)
            share = figures.ratio(ours, full(server, cost_ms))
            yield Target(f"{pair} / {server}, {cost_ms} ms", 0.9, " %", share)


def _against_loops(figures: Figures) -> Iterator[Target]:
    for cost_ms, bound in ((0, 1.2), (10, 5.0)):
        for ours in (headrace(64), over_rest(64)):
            ratio = figures.ratio(full(ours, cost_ms), full(PLAIN_64, cost_ms))
            yield Target(f"{ours} / {PLAIN_64}, {cost_ms} ms", bound, " x", ratio)
    for rows, bound in ((256, 0.6), (32, 0.75)):
        for ours in (headrace(rows), over_rest(rows)):
            share = figures.ratio(full(ours, 0), full(bare(rows), 0))
            yield Target(f"{ours} / {bare(rows)}, 0 ms", bound, " %", share)


def _latency(figures: Figures) -> Target:
    half = Case("latency", headrace(32), 0)
    found = figures.of(half, "p99_ms")
    return Target("p99 at half of the saturation, 32 rows, 0 ms", 150.0, " ms", found, is_most=True)


def _flat(figures: Figures) -> Iterator[Target]:
    for what, cases in dimensions().items():
        found = figures.flatness(cases)
        yield Target(
            f"CPU per record, dearest over cheapest: {what}", 0.2, " %", found, is_most=True
        )


def dimensions() -> dict[str, Sequence[Case]]:
    """Return the cases of each thing that headrace's cost is to be flat over."""
    base, *others = flat(0)
    varied: dict[str, Callable[[Case], Case]] = {
        "1, 8 and 64 partitions": lambda case: replace(case, partitions=base.partitions),
        "1, 2 and 4 workers": lambda case: replace(case, competitor=base.competitor),
        "backlogs of 10,000 to 1,000,000": lambda case: replace(case, backlog=base.backlog),
    }
    return {
        what: [base, *(case for case in others if without(case) == base)]
        for what, without in varied.items()
    }
