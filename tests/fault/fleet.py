"""Real worker processes that are killed and started again, and what their logs tell."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
OPEN_POINTS = ("produced", "offsets_sent", "before_commit")
"""Where a transaction is open on the broker."""

POINTS = ("begin", *OPEN_POINTS, "after_commit")
"""Steps of the commit at which a worker may die."""


class Fleet:
    """Workers by slot; a killed one is started again by `revive`."""

    def __init__(self, file: Path, folder: Path, slots: list[str]) -> None:
        self._file = file
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._log_sizes: dict[str, int] = {}
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

    def freeze(self, slot: str, seconds: float) -> bool:
        """Stop a worker with SIGSTOP for so long; return whether it lived to wake up."""
        process = self._running[slot]
        if process.poll() is not None:
            return False
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        return process.poll() is None

    def awaits_death(self, slot: str, within_s: float) -> bool:
        """Wait until a worker that was ordered to die has died; return whether it did."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._running[slot].poll() is not None:
                return True
            time.sleep(0.05)
        return False

    def restart(self, slot: str) -> None:
        """Let a worker leave in order, and start it again."""
        process = self._running[slot]
        process.send_signal(signal.SIGTERM)
        process.wait(40)
        # One that had just been started was asked before it could listen.
        if process.returncode in (0, -signal.SIGTERM):
            self._orders(slot).unlink(missing_ok=True)
            self._start(slot)

    def settles(self, within_s: float) -> bool:
        """Wait until every worker owns partitions; return whether that came to pass."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if all(self._is_assigned(slot) for slot in self.slots):
                return True
            time.sleep(0.1)
        return False

    def _is_assigned(self, slot: str) -> bool:
        entries = self._entries(slot, since=self._log_sizes[slot])
        events = [e for e in entries if e["event"] in ("assigned", "revoked")]
        last = events[-1] if events else {}
        return last.get("event") == "assigned" and last["partitions"] != ""

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
            yield from (entry for entry in self._entries(slot) if entry["event"] == name)

    def _entries(self, slot: str, since: int = 0) -> Iterator[dict[str, Any]]:
        for line in self._log(slot).read_bytes()[since:].decode().splitlines():
            # A killed worker may have left half a line.
            if line.startswith("{") and line.endswith("}") and '"event"' in line:
                yield json.loads(line)

    def _start(self, slot: str) -> None:
        with self._log(slot).open("ab") as log:
            self._log_sizes[slot] = log.tell()
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
