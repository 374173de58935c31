"""Medians and spreads of what runs found, and ratios within a round."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.compare.matrix import Case
from benchmarks.compare.results import Result


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of several runs, with the least and the greatest of them."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure | None":
        """Return the figure of some values; None where there is none."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values), len(values))


class Figures:
    """What is known of all cases.

    Args:
        results: All results; those that are errors give no figure.
    """

    def __init__(self, results: Iterable[Result]) -> None:
        self._by_case: dict[Case, dict[int, Result]] = {}
        for each in results:
            self._by_case.setdefault(each.case, {})[each.round] = each

    @property
    def cases(self) -> list[Case]:
        """All cases that were run, also in vain."""
        return list(self._by_case)

    def of(self, case: Case, metric: str) -> Figure | None:
        """Return the figure of a metric of a case."""
        runs = self._rounds(case, metric)
        return Figure.of(list(runs.values()))

    def total(self, case: Case, metric: str) -> float:
        """Return the sum of a metric over the rounds of a case."""
        return sum(self._rounds(case, metric).values())

    def ratio(self, upper: Case, lower: Case, metric: str = "rate") -> Figure | None:
        """Return the figure of one case's share of another one, round by round."""
        over, under = self._rounds(upper, metric), self._rounds(lower, metric)
        common = sorted(set(over) & {number for number, value in under.items() if value})
        return Figure.of([over[number] / under[number] for number in common])

    def flatness(self, cases: Sequence[Case], metric: str = "cpu_us") -> Figure | None:
        """Return how much more the dearest of some cases costs than the cheapest, by rounds."""
        rounds = [self._rounds(case, metric) for case in cases]
        common = set.intersection(*map(set, rounds)) if rounds else set()
        values = [[each[number] for each in rounds] for number in sorted(common)]
        return Figure.of([max(each) / min(each) - 1 for each in values])

    def errors(self, case: Case) -> list[str]:
        """Return why rounds of a case gave nothing."""
        return [each.error for each in self._by_case.get(case, {}).values() if each.error]

    def _rounds(self, case: Case, metric: str) -> dict[int, float]:
        runs = self._by_case.get(case, {})
        return {n: r.metrics[metric] for n, r in runs.items() if metric in r.metrics}
