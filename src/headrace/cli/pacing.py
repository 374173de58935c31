"""How fast records are sent: steadily, along a curve, or as fast as can be."""

import csv
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias, TypeVar

from headrace.errors import ConfigError

_NAP_S = 0.005
_FORM = "`seconds,records_per_second`, as in `60,250`"

_Item = TypeVar("_Item")
_Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pace:
    """How many records are due.

    Attributes:
        due: Seconds since the start to the number of records that are due by then.
        most: How many are due at all, infinity if there is no end.
    """

    due: Callable[[float], float]
    most: float = math.inf


def steady(rate: float | None) -> Pace:
    """Return a pace of so many records a second; None is without a limit."""
    if rate is None:
        return Pace(lambda _: math.inf)
    return Pace(lambda elapsed_s: 1 + elapsed_s * rate)


def curve(path: Path) -> Pace:
    """Read a pace from a file; see `curve_of`.

    Raises:
        ConfigError: It cannot be read or has other lines; the message names the file and the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return curve_of(file, str(path))
    except (UnicodeError, csv.Error) as error:
        raise ConfigError(f"{path} is not a text of lines {_FORM}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def curve_of(lines: Iterable[str], name: str) -> Pace:
    """Return a pace from lines `seconds,records_per_second`, a heading and blank ones left out.

    The rate is straight between two lines. After the last its rate goes on; if that is 0, the
    curve ends there.

    Raises:
        ConfigError: Another line, times that do not rise, or a negative rate.
    """
    points = _points(lines, name)
    times = [at for at, _ in points]
    due = [0.0]
    for (start, rate), (end, next_rate) in pairwise(points):
        due.append(due[-1] + (end - start) * (rate + next_rate) / 2)

    def due_by(elapsed_s: float) -> float:
        index = max(0, bisect_right(times, elapsed_s) - 1)
        at, rate = points[index]
        passed = max(0.0, elapsed_s - at)
        slope = 0.0
        if index + 1 < len(points):
            end, next_rate = points[index + 1]
            slope = (next_rate - rate) / (end - at)
        return due[index] + passed * (rate + slope * passed / 2)

    _, last_rate = points[-1]
    return Pace(due_by, math.inf if last_rate else due[-1])


def paced(
    items: Iterable[_Item], pace: Pace, is_over: Callable[[], bool] = lambda: False
) -> Iterator[_Item]:
    """Yield items, none before the pace says that it is due, until its end or `is_over`."""
    begun = time.monotonic()
    for index, item in enumerate(items, 1):
        if index > pace.most:
            return
        while not is_over() and pace.due(time.monotonic() - begun) < index:
            time.sleep(_NAP_S)
        if is_over():
            return
        yield item


def _points(lines: Iterable[str], name: str) -> list[_Point]:
    points: list[_Point] = []
    # Quotes have no meaning in numbers; with them a lost one would swallow lines.
    for number, row in enumerate(csv.reader(lines, quoting=csv.QUOTE_NONE), 1):
        if not row or (number == 1 and _is_heading(row)):
            continue
        try:
            points.append(_point(row, points[-1] if points else None))
        except ValueError as error:
            text = ",".join(row)
            raise ConfigError(f"{name}, line {number}: {text!r} is not {_FORM}: {error}") from None
    if not any(rate > 0 for _, rate in points):
        raise ConfigError(f"{name} has no line {_FORM}, with a rate above 0")
    return points


def _point(row: list[str], before: _Point | None) -> _Point:
    if len(row) != 2:
        raise ValueError(f"it has {len(row)} columns")
    at, rate = map(_number, row)
    if rate < 0:
        raise ValueError("a rate is not negative")
    if at < 0:
        raise ValueError("seconds begin at 0 or later")
    if before and at <= before[0]:
        raise ValueError(f"seconds rise, and the line before says {before[0]:g}")
    return at, rate


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        raise ValueError(f"{cell.strip()!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{cell.strip()!r} is not a number")
    return number


def _is_heading(row: list[str]) -> bool:
    return not any(character.isdigit() for cell in row for character in cell)
