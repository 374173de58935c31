"""A thread for a client's blocking calls, which can be left behind when one never returns."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias

from headrace.kafka.translate import let_go

_LOOK_EVERY_S = 0.5

_Task: TypeAlias = "tuple[Callable[[], None], Future[None]] | None"


class StuckError(Exception):
    """A call did not return in its time and was left behind with its thread."""


class CallThread:
    """Runs calls one after the other.

    A daemon: librdkafka 2.16 sometimes keeps a call for ever, whatever its timeout (an
    `AddOffsetsToTxn` under way while the broker is killed), and must not keep the process.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks = self._start()

    async def run(self, call: Callable[[], None], is_stuck: Callable[[], bool]) -> None:
        """Run a call after those before it; cancelling does not stop it.

        Raises:
            StuckError: `is_stuck` said so; the next call has a new thread.
        """
        done: Future[None] = Future()
        self._tasks.put((call, done))
        ended = asyncio.wrap_future(done)
        ended.add_done_callback(_retrieved)
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=_LOOK_EVERY_S)
                if not ended.done() and is_stuck():
                    self.stop()
                    self._tasks = self._start()
                    raise StuckError
            ended.result()
        finally:
            # The error of the call has passed this frame, and would hold itself through them.
            del done, ended

    def stop(self) -> None:
        """End the thread after the calls it has."""
        self._tasks.put(None)

    def _start(self) -> "queue.SimpleQueue[_Task]":
        tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        threading.Thread(target=_work, args=(tasks,), name=self._name, daemon=True).start()
        return tasks


def _work(tasks: "queue.SimpleQueue[_Task]") -> None:
    while (task := tasks.get()) is not None:
        call, done = task
        try:
            call()
        except BaseException as error:  # noqa: BLE001  (whoever waits for the call gets it)
            let_go(error)
            done.set_exception(error)
        else:
            done.set_result(None)
        # Neither may keep a producer alive while the thread waits.
        del task, call, done


def _retrieved(ended: "asyncio.Future[None]") -> None:
    if not ended.cancelled():
        ended.exception()
