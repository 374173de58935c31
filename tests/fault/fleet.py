"""Real worker processes that are killed and started again, and what their logs tell."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).parents[2]
OPEN_POINTS = ("produced", "offsets_sent", "before_commit")
"""Where a transaction is open on the broker."""

POINTS = ("begin", *OPEN_POINTS, "after_commit")
"""Steps of the commit at which a worker may die."""

_BEGUN_WITHIN_S = 30.0
_CONNECTING = "while connecting to Kafka"
_PLACE_TAKEN = "another member took this worker's place in the group"


class Fleet:
    """Workers by slot; a killed one is started again by `revive`."""

    def __init__(
        self, file: Path, folder: Path, slots: list[str], env: Mapping[str, str] | None = None
    ) -> None:
        self._env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
            **(env or {}),
        }
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
        self._orders(slot).write_text(f"die {point}")

    def hold(self, slot: str, point: str, within_s: float) -> bool:
        """Let a worker wait at a point of its commit until `call_off`; return whether it does."""
        waits = self._orders(slot).with_suffix(".waits")
        waits.unlink(missing_ok=True)
        self._orders(slot).write_text(f"wait {point}")
        _await(lambda: waits.exists() or not self.is_alive(slot), within_s, every_s=0.01)
        if waits.exists() and self.is_alive(slot):
            return True
        self._orders(slot).unlink(missing_ok=True)
        return False

    def pid(self, slot: str) -> int:
        """Return the process id of a worker."""
        return self._running[slot].pid

    def pause(self, slot: str) -> bool:
        """Stop a worker with SIGSTOP; return whether it was alive."""
        process = self._running[slot]
        if process.poll() is not None:
            return False
        process.send_signal(signal.SIGSTOP)
        return True

    def wake(self, slot: str) -> None:
        """Let a paused worker go on."""
        self._running[slot].send_signal(signal.SIGCONT)

    def kill(self, slot: str) -> None:
        """Kill -9 now, wherever it is."""
        process = self._running[slot]
        if process.poll() is None:
            process.kill()
            process.wait()
            self.kills["anywhere"] += 1

    def replace(self, slot: str, env: Mapping[str, str]) -> None:
        """Kill -9 a worker, and start it again in a changed environment."""
        self.kill(slot)
        self._orders(slot).unlink(missing_ok=True)
        self._start(slot, env)

    def awaits_death(self, slot: str, within_s: float) -> bool:
        """Wait until a worker that was ordered to die has died; return whether it did."""
        return _await(lambda: not self.is_alive(slot), within_s)

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
        return _await(lambda: all(map(self._is_assigned, self.slots)), within_s, every_s=0.1)

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
            if code not in (-signal.SIGKILL, 0) and not self._may_end(slot):
                raise AssertionError(f"{slot} exited {code}: {self._log(slot).read_text()[-500:]}")
            if slot in ordered and not self._orders(slot).exists():
                self.kills[ordered.pop(slot)] += 1
            self._orders(slot).unlink(missing_ok=True)
            self._start(slot)
        return dead

    def _may_end(self, slot: str) -> bool:
        """Whether a worker had a reason: no broker to begin with, or fenced by its own join."""
        said = self._log(slot).read_text()[self._log_sizes[slot] :]
        is_early = not self._has_begun(slot) or _CONNECTING in said
        return (is_early and "BrokerUnavailableError" in said) or _PLACE_TAKEN in said

    def _has_begun(self, slot: str) -> bool:
        entries = self._entries(slot, since=self._log_sizes[slot])
        return any(each["event"] == "worker_started" for each in entries)

    def dump_stacks(self) -> None:
        """Write what every worker's threads are at beside its log, as far as py-spy is there."""
        spy = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
        for slot, process in self._running.items():
            with self._log(slot).with_suffix(".stacks").open("wb") as file, suppress(OSError):
                command = [spy, "dump", "--native", "--pid", str(process.pid)]
                subprocess.run(command, stdout=file, stderr=file, check=False)

    def call_off(self) -> None:
        """Take back the orders that were not met yet."""
        for slot in self.slots:
            self._orders(slot).unlink(missing_ok=True)

    def stop(self) -> list[int]:
        """Drain all workers; return their exit codes."""
        # A signal ends one that was only just started before it could listen.
        _await(
            lambda: all(self._has_begun(slot) or not self.is_alive(slot) for slot in self.slots),
            _BEGUN_WITHIN_S,
        )
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        return [process.wait(40) for process in self._running.values()]

    def kill_all(self) -> None:
        """Leave no process behind."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def add(self, slot: str) -> None:
        """Start one more worker."""
        self.slots.append(slot)
        self._start(slot)

    def leave(self, slot: str) -> None:
        """Let a worker leave in order; does not wait."""
        self._running[slot].send_signal(signal.SIGTERM)

    def is_alive(self, slot: str) -> bool:
        """Whether a worker has not ended."""
        return self._running[slot].poll() is None

    def events(self, name: str, of: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield what all workers, or one of them, logged under an event name."""
        for slot in self.slots if of is None else [of]:
            yield from (entry for entry in self._entries(slot) if entry["event"] == name)

    def _entries(self, slot: str, since: int = 0) -> Iterator[dict[str, Any]]:
        for line in self._log(slot).read_bytes()[since:].decode().splitlines():
            # A killed worker may have left half a line.
            if line.startswith("{") and line.endswith("}") and '"event"' in line:
                yield json.loads(line)

    def _start(self, slot: str, env: Mapping[str, str] | None = None) -> None:
        with self._log(slot).open("ab") as log:
            self._log_sizes[slot] = log.tell()
            self._running[slot] = subprocess.Popen(
                [sys.executable, str(WORKER), str(self._file), slot, str(self._orders(slot))],
                stdout=log,
                stderr=log,
                env={**self._env, **(env or {})},
            )

    def _log(self, slot: str) -> Path:
        return self._folder / f"{slot}.log"

    def _orders(self, slot: str) -> Path:
        return self._folder / f"{slot}.orders"


def _await(holds: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Wait until something holds; return whether it came to."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(every_s)
    return False


def choose_point(rng: random.Random) -> str | None:
    """Return where the next victim dies: None is anywhere, at once."""
    return rng.choice([None, *OPEN_POINTS, *OPEN_POINTS, "begin", "after_commit"])
