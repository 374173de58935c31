"""A worker's process in the simulation: what dies together."""

import asyncio
from collections.abc import Callable
from typing import Any


class SimulatedCrash(asyncio.CancelledError):
    """The calling process was killed; nothing it does from now on has any effect.

    A cancellation, so that it passes through everything a program does about errors.
    """


class SimulatedProcess:
    """One incarnation of a slot. Killed once, it stays dead; a restart is another process.

    Args:
        slot: Name in the fleet.
    """

    def __init__(self, slot: str) -> None:
        self.slot = slot
        self.is_dead = False
        self._tasks: dict[asyncio.Task[Any], None] = {}  # ordered: a run is repeated exactly
        self._on_crash: list[Callable[[], None]] = []

    def owns(self, task: asyncio.Task[Any]) -> None:
        """Let a task die with this process."""
        self._tasks[task] = None
        task.add_done_callback(lambda ended: self._tasks.pop(ended, None))

    def on_crash(self, callback: Callable[[], None]) -> None:
        """Have the outside world react to the death of this process."""
        self._on_crash.append(callback)

    def check(self) -> None:
        """Stop the caller if its process is dead.

        Raises:
            SimulatedCrash: It is.
        """
        if self.is_dead:
            raise SimulatedCrash

    def crash(self) -> None:
        """Kill -9: all tasks are cancelled, and nothing they still try reaches the broker."""
        if self.is_dead:
            return
        self.is_dead = True
        for callback in self._on_crash:
            callback()
        for task in list(self._tasks):
            task.cancel()
