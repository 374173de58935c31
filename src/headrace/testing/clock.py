"""An asyncio event loop whose time jumps to the next timer instead of passing."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

# A virtual day of nothing but timers is a livelock, not a slow test.
_ROUNDING_S = 1e-8
_LIMIT_S = 86_400.0


class DeadlockError(RuntimeError):
    """Every task waits for something that will never come."""


class VirtualTimeExceededError(RuntimeError):
    """More virtual time passed than the caller allowed: most likely a livelock."""


class VirtualEventLoop(asyncio.BaseEventLoop):
    """A loop without sockets, threads or waiting: when nothing is ready, its time jumps.

    Time starts at 0. Callbacks run in the usual order of asyncio, so a run depends on nothing
    but the program and is repeated exactly.

    Args:
        limit_s: Virtual seconds after which the run is broken off.

    Raises:
        DeadlockError: Out of `run_until_complete`: nothing is ready and no timer is set.
        VirtualTimeExceededError: Out of `run_until_complete`: `limit_s` is over.
    """

    def __init__(self, limit_s: float = _LIMIT_S) -> None:
        super().__init__()
        self._limit_s = limit_s
        self._now = 0.0
        # The base class asks its selector how long it may sleep; ours answers by jumping.
        self._selector = self

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> tuple[()]:
        """Jump to the next timer; called by asyncio where other loops wait."""
        if timeout is None:
            raise DeadlockError(f"nothing can wake {self._waiting()}")
        self._now += timeout
        # asyncio also calls a timer that is due in a nanosecond. Whoever waits for its time sets it
        # again, and would do so for ever if others keep the loop from waiting.
        due = next((timer.when() for timer in self._scheduled[:1]), 0.0)  # type: ignore[attr-defined]
        if due - self._now < _ROUNDING_S:
            self._now = max(self._now, due)
        if self._now > self._limit_s:
            raise VirtualTimeExceededError(
                f"{self._limit_s:g} virtual seconds are over; unfinished: {self._waiting()}"
            )
        return ()

    def run_in_executor(self, *_: object) -> NoReturn:
        """Refuse: a thread would bring back real time."""
        raise RuntimeError("virtual time has no threads")

    def _process_events(self, _events: object) -> None:
        """Nothing is ever read from sockets."""

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody needs waking."""

    def _waiting(self) -> str:
        return ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self))) or "nobody"


def run(main: Coroutine[Any, Any, T], *, limit_s: float = _LIMIT_S) -> T:
    """Run a coroutine to its end in virtual time and return its result.

    Tasks that are left over are cancelled, as by `asyncio.run`.

    Raises:
        DeadlockError: No task can go on; the message names them.
        VirtualTimeExceededError: `limit_s` virtual seconds were not enough.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualEventLoop(limit_s)) as runner:
        return runner.run(main)


def explore(
    scenario: Callable[[int], Coroutine[Any, Any, object]],
    seeds: Iterable[int],
    *,
    limit_s: float = _LIMIT_S,
) -> None:
    """Run a scenario once per seed; an exception that leaves it carries the seed as a note."""
    for seed in seeds:
        try:
            run(scenario(seed), limit_s=limit_s)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
