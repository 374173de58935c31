"""Real worker processes that are killed and started again, and what their logs tell."""

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
OPEN_POINTS = ("produced", "offsets_sent", "before_commit")
"""Where a transaction is open on the broker."""


class Fleet:
    """Workers by slot; a killed one is started again by `revive`."""

    def __init__(self, file: Path, folder: Path, slots: list[str]) -> None:
        self._file = file
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: Counter[str] = Counter()
        self.slots = slots
        for slot in slots:
            self._start(slot)

    def order_death(self, slot: str, point: str) -> None:
        """Let a worker die the next time it comes to a point of its commit."""
        self._orders(slot).write_text(point)

    def kill(self, slot: str) -> None:
        """Kill -9 now, wherever it is."""
        process = self._running[slot]
        if process.poll() is None:
            process.kill()
            process.wait()
            self.kills["anywhere"] += 1

    def revive(self, ordered: dict[str, str]) -> list[str]:
        """Start workers that died again and return their slots; `ordered` tells where they died."""
        dead = [slot for slot, process in self._running.items() if process.poll() is not None]
        for slot in dead:
            code = self._running[slot].returncode
            if code not in (-signal.SIGKILL, 0):
                raise AssertionError(f"{slot} exited {code}: {self._log(slot).read_text()[-3000:]}")
            if slot in ordered and not self._orders(slot).exists():
                self.kills[ordered.pop(slot)] += 1
            self._orders(slot).unlink(missing_ok=True)
            self._start(slot)
        return dead

    def call_off(self) -> None:
        """Take back the orders that were not met yet."""
        for slot in self.slots:
            self._orders(slot).unlink(missing_ok=True)

    def stop(self) -> list[int]:
        """Drain all workers; return their exit codes."""
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return [process.wait(40) for process in self._running.values()]

    def kill_all(self) -> None:
        """Leave no process behind."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def events(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield what all workers logged under an event name."""
        for slot in self.slots:
            for line in self._log(slot).read_text().splitlines():
                if line.startswith("{") and (entry := json.loads(line)).get("event") == name:
                    yield entry

    def _start(self, slot: str) -> None:
        with self._log(slot).open("ab") as log:
            self._running[slot] = subprocess.Popen(
                [sys.executable, str(WORKER), str(self._file), slot, str(self._orders(slot))],
                stdout=log,
                stderr=log,
            )

    def _log(self, slot: str) -> Path:
        return self._folder / f"{slot}.log"

    def _orders(self, slot: str) -> Path:
        return self._folder / f"{slot}.orders"


def choose_point(rng: random.Random) -> str | None:
    """Return where the next victim dies: None is anywhere, at once."""
    return rng.choice([None, *OPEN_POINTS, *OPEN_POINTS, "begin", "after_commit"])
