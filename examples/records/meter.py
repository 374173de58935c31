"""How much processor time models, Kafka and headrace take: read from their processes."""

import contextlib
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import psutil

_EVERY_S = 0.5


class Meter:
    """Looks at a process and all below it until it ends; the last look of each one counts.

    Args:
        pid: The process that started all others.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._seconds: dict[tuple[int, float], tuple[str, float]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def shares(self) -> Mapping[str, float]:
        """Return the share of all processor time of `models`, `kafka` and `headrace`."""
        sums = dict.fromkeys(("models", "kafka", "headrace"), 0.0)
        for part, seconds in self._seconds.values():
            sums[part] += seconds
        return {part: seconds / max(sum(sums.values()), 1e-9) for part, seconds in sums.items()}

    def port_of_models(self) -> int | None:
        """Return the HTTP port of the model server, None while there is none."""
        for process in self._below():
            with contextlib.suppress(psutil.Error):
                if part_of(process) == "models":
                    port = process.environ().get("MLSERVER_HTTP_PORT")
                    if port:
                        return int(port)
        return None

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            for process in self._below():
                with contextlib.suppress(psutil.Error):
                    used = process.cpu_times()
                    key = (process.pid, process.create_time())
                    self._seconds[key] = (part_of(process), used.user + used.system)

    def _below(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []


def part_of(process: psutil.Process) -> str:
    """Tell what a process belongs to, by its command."""
    command = process.cmdline()
    if any("mlserver" in word for word in command):
        return "models"
    return "kafka" if any("kafka.Kafka" in word for word in command) else "headrace"
