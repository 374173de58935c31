"""Functions on the worker's own event loop: those declared with `async def`, and rehearsals."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from headrace.functions.loading import Function
from headrace.functions.outcomes import Outcome, answered, outcome, raised, timed_out

log = logging.getLogger("headrace.functions.coroutines")


class CoroutineCaller:
    """Calls a function for all documents of a batch at once, `workers` batches at a time.

    A document that takes longer than `timeout_s` is cancelled; whether the function takes notice
    or not, the batch goes on. One that blocks stops the whole worker: nobody can help that.

    Args:
        function: What is called.
        name: The step, for the log.
        workers: Batches at a time.
        timeout_s: Longest a document may take, seconds.
    """

    def __init__(self, function: Function, name: str, *, workers: int, timeout_s: float) -> None:
        self._function = function
        self._name = name
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(workers)
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._has_hung = False

    async def call(self, documents: Sequence[Any]) -> list[Outcome]:
        """Call the function for each; see `FunctionCaller`."""
        async with self._turns:
            tasks = [asyncio.create_task(self._one(each), name=self._name) for each in documents]
            self._tasks.update(tasks)
            for task in tasks:
                task.add_done_callback(self._tasks.discard)
            try:
                if tasks:
                    await asyncio.wait(tasks, timeout=self._timeout_s)
            except asyncio.CancelledError:
                for task in tasks:
                    task.cancel()
                raise
            return [task.result() if task.done() else self._give_up(task) for task in tasks]

    async def close(self) -> None:
        """Cancel whatever is under way."""
        for task in list(self._tasks):
            task.cancel()

    async def _one(self, document: Any) -> Outcome:
        try:
            return answered(self._function, await self._function.target(document))
        except BaseException as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise
            return raised(self._function, error)

    def _give_up(self, task: "asyncio.Task[Outcome]") -> Outcome:
        task.cancel()
        if not self._has_hung:
            self._has_hung = True
            log.error(
                "%s of step %s did not return within %g s and was cancelled (said once)",
                self._function.text,
                self._name,
                self._timeout_s,
                extra={"event": "function_hung", "step": self._name},
            )
        return timed_out(self._function, self._timeout_s)


class InlineCaller:
    """Calls a function that is no `async def` on the spot, for rehearsals: no threads, no timeout.

    Virtual time has no threads, and a test that hangs is stopped by hand.
    """

    def __init__(self, function: Function) -> None:
        self._function = function

    async def call(self, documents: Sequence[Any]) -> list[Outcome]:
        """Call the function for each; see `FunctionCaller`."""
        return [outcome(self._function, document) for document in documents]

    async def close(self) -> None:
        """Nothing is held."""
