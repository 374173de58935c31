"""How much CPU processes used, and how much of the machine others did."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_NANOSECONDS = 1e9


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                for child in path.read_text().split():
                    yield from tree(int(child))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of processes and their descendants, to 10 ms."""
    return sum(_ticks(each) for pid in pids for each in tree(pid)) / _TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    # With what reaped children used, which no living process shows any more.
    return sum(map(int, fields[11:15]))


def exact_cpu_seconds(pids: Iterable[int]) -> float:
    """Return the same to the nanosecond, but without threads that have ended."""
    found = 0
    for pid in pids:
        for each in tree(pid):
            for path in Path(f"/proc/{each}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    found += int(path.read_text().split()[0])
    return found / _NANOSECONDS


class Noise:
    """The share of the machine that others use, from now on.

    Whatever this process started counts as its own, even when it has ended since.
    """

    def __init__(self) -> None:
        self._busy, self._all = _machine()
        self._used = cpu_seconds([os.getpid()])

    def share(self) -> float:
        """Return the share since the start."""
        busy, everything = _machine()
        others = busy - self._busy - (cpu_seconds([os.getpid()]) - self._used)
        return max(0.0, others / max(everything - self._all, 1e-9))


def _machine() -> tuple[float, float]:
    """Return the seconds that all cores were busy (stolen time included), and all their seconds."""
    with Path("/proc/stat").open() as file:
        ticks = [int(each) for each in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / _TICKS, sum(ticks) / _TICKS
