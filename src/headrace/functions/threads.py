"""Functions in threads of their own: a hop per batch, and a thread that hangs is left behind."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from headrace.functions.loading import Function
from headrace.functions.outcomes import Outcome, outcome, timed_out

log = logging.getLogger("headrace.functions.threads")


class ThreadCaller:
    """Calls a function in `workers` threads; a batch is called document by document in one.

    A document that takes longer than `timeout_s` fails. Python cannot stop a thread, so the one
    that has it is left behind, another takes its place and goes on with the rest of the batch.

    Args:
        function: What is called.
        name: The step, for the threads' names and the log.
        workers: Threads.
        timeout_s: Longest a document may take, seconds.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        function: Function,
        name: str,
        *,
        workers: int,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._function = function
        self._name = name
        self._workers = workers
        self._timeout_s = timeout_s
        self._clock = clock
        self._waiting: queue.SimpleQueue[_Run | None] = queue.SimpleQueue()
        self._runs: set[_Run] = set()
        self._started = 0
        self._has_hung = False

    async def call(self, documents: Sequence[Any]) -> list[Outcome]:
        """Call the function for each; see `FunctionCaller`."""
        while self._started < self._workers:
            self._start_thread()
        outcomes: list[Outcome] = []
        while len(outcomes) < len(documents):
            outcomes += await self._part(documents[len(outcomes) :])
        return outcomes

    async def close(self) -> None:
        """Let go of the threads; calls under way are cancelled, their functions run on."""
        for run in self._runs:
            run.abandon()
            run.done.cancel()
        for _ in range(self._workers):
            self._waiting.put(None)

    async def _part(self, documents: Sequence[Any]) -> list[Outcome]:
        """Return the outcomes up to the end, or up to the first document that hangs."""
        run = _Run(self._function, documents, self._timeout_s, self._clock)
        self._runs.add(run)
        self._waiting.put(run)
        try:
            while True:
                await asyncio.wait({run.done}, timeout=run.remaining_s())
                if run.done.done():
                    return run.done.result()
                if (finished := run.overdue()) is not None:
                    self._leave_behind()
                    return [*finished, timed_out(self._function, self._timeout_s)]
        except asyncio.CancelledError:
            if run.abandon():
                self._start_thread()
            raise
        finally:
            self._runs.discard(run)

    def _leave_behind(self) -> None:
        self._start_thread()
        if not self._has_hung:
            self._has_hung = True
            log.error(
                "%s of step %s did not return within %g s; its thread is left behind and may hold"
                " memory and locks for ever (said once; `pool: process` can stop such a call)",
                self._function.text,
                self._name,
                self._timeout_s,
                extra={"event": "function_hung", "step": self._name},
            )

    def _start_thread(self) -> None:
        self._started += 1
        name = f"{self._name}-{self._started}"
        threading.Thread(target=_work, args=(self._waiting,), name=name, daemon=True).start()


class _Run:
    """Documents that one thread works through, and the loop that may take them away from it.

    The lock decides who has a document: a thread that was given up starts no other.
    """

    def __init__(
        self,
        function: Function,
        documents: Sequence[Any],
        timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[list[Outcome]] = self._loop.create_future()
        self._function = function
        self._documents = documents
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._outcomes: list[Outcome] = []
        self._since: float | None = None
        self._is_over = False

    def work(self) -> bool:
        """Call the function for each document; return whether the thread is still wanted."""
        for document in self._documents:
            if not self._begin():
                # Taken away before it began: nobody took the thread's place.
                return self._since is None
            if not self._keep(outcome(self._function, document)):
                return False
        if not self._end():
            return False
        try:
            self._loop.call_soon_threadsafe(self._tell)
        except RuntimeError:  # the loop is closed, and nobody waits
            return False
        return True

    def remaining_s(self) -> float:
        """Return how long the document under way may still take; all of its time if none is."""
        with self._lock:
            if self._since is None:
                return self._timeout_s
            return max(0.001, self._since + self._timeout_s - self._clock())

    def overdue(self) -> list[Outcome] | None:
        """Take the documents away if one takes too long, and return what was done before it."""
        with self._lock:
            if self._is_over or self._since is None:
                return None
            if self._clock() - self._since < self._timeout_s:
                return None
            self._is_over = True
            return self._outcomes

    def abandon(self) -> bool:
        """Take the documents away; return whether that leaves a thread behind."""
        with self._lock:
            is_held = not self._is_over and self._since is not None
            self._is_over = True
            return is_held

    def _begin(self) -> bool:
        with self._lock:
            if not self._is_over:
                self._since = self._clock()
            return not self._is_over

    def _keep(self, found: Outcome) -> bool:
        with self._lock:
            if not self._is_over:
                self._outcomes.append(found)
            return not self._is_over

    def _end(self) -> bool:
        with self._lock:
            was_over, self._is_over = self._is_over, True
            return not was_over

    def _tell(self) -> None:
        if not self.done.done():
            self.done.set_result(self._outcomes)


def _work(waiting: "queue.SimpleQueue[_Run | None]") -> None:
    while (run := waiting.get()) is not None and run.work():
        # Documents must not stay alive while the thread waits.
        del run
