"""How fast records are sent: steadily, along a curve, or as fast as can be."""

import csv
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias, TypeVar

from headrace.errors import ConfigError

_NAP_S = 0.005

_Item = TypeVar("_Item")

Pace: TypeAlias = Callable[[float], float]
"""Seconds since the start to the number of records that are due by then."""


def steady(rate: float | None) -> Pace:
    """Return a pace of so many records a second; None is without a limit."""
    if rate is None:
        return lambda _: float("inf")
    return lambda elapsed_s: 1 + elapsed_s * rate


def curve(path: Path) -> Pace:
    """Read a pace from lines `second,rate`; after the last line its rate goes on.

    Raises:
        ConfigError: The file has other lines, times that do not rise, or negative rates.
    """
    points = _points(path)
    times = [at for at, _ in points]
    due = [0.0]
    for (start, rate), (end, next_rate) in pairwise(points):
        due.append(due[-1] + (end - start) * (rate + next_rate) / 2)

    def pace(elapsed_s: float) -> float:
        index = max(0, bisect_right(times, elapsed_s) - 1)
        at, rate = points[index]
        passed = max(0.0, elapsed_s - at)
        slope = 0.0
        if index + 1 < len(points):
            end, next_rate = points[index + 1]
            slope = (next_rate - rate) / (end - at)
        return due[index] + passed * (rate + slope * passed / 2)

    return pace


def paced(
    items: Iterable[_Item], pace: Pace, is_over: Callable[[], bool] = lambda: False
) -> Iterator[_Item]:
    """Yield items, none before the pace says that it is due, until `is_over`."""
    begun = time.monotonic()
    for index, item in enumerate(items, 1):
        while not is_over() and pace(time.monotonic() - begun) < index:
            time.sleep(_NAP_S)
        if is_over():
            return
        yield item


def _points(path: Path) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            try:
                at, rate = (float(cell) for cell in row)
            except ValueError:
                if number == 1:
                    continue  # A heading.
                raise ConfigError(f"line {number} of {path} is not `second,rate`") from None
            if rate < 0 or (points and at <= points[-1][0]):
                raise ConfigError(f"line {number} of {path}: seconds rise, rates are not negative")
            points.append((at, rate))
    if not points or not any(rate > 0 for _, rate in points):
        raise ConfigError(f"{path} has no line `second,rate` with a rate above 0")
    return points
