"""Stands between workers and the model server: writes down what a model saw, and spoils answers."""

import asyncio
import threading
import time
from enum import StrEnum
from typing import Self, TypeAlias

from headrace.local.ports import free_port
from tests.fault.fronts import DownError, Forward, Garble, front_of

Call: TypeAlias = tuple[float, list[str]]
"""When a batch of texts arrived, `time.monotonic`, and the texts."""


class Mood(StrEnum):
    """How calls are answered."""

    FINE = "fine"
    SLOW = "slow"
    """`slow_s` later."""

    DOWN = "down"
    """As by a server that is not there for now."""

    GARBAGE = "garbage"
    """With a row too few, another name, another type, no output, or bytes that are no answer."""


class Relay:
    """A server that passes calls on, in a thread of its own.

    Attributes:
        mood: How the next calls are answered.
        slow_s: How much later when it is slow.
        port: Where it listens.
        calls: What a model was asked.

    Args:
        target: The model server, `grpc://` or `http://`; workers are answered alike.
    """

    def __init__(self, target: str) -> None:
        self.mood = Mood.FINE
        self.slow_s = 1.0
        self.port = free_port()
        self.calls: list[Call] = []
        self._front = front_of(target)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._spoilt = 0

    def __enter__(self) -> Self:
        self._thread.start()
        started = self._front.start(self.port, self._answer)
        asyncio.run_coroutine_threadsafe(started, self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._front.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _answer(self, texts: list[str] | None, forward: Forward, garble: Garble) -> bytes:
        if texts is not None:
            self.calls.append((time.monotonic(), texts))
        if self.mood is Mood.SLOW:
            await asyncio.sleep(self.slow_s)
        elif self.mood is Mood.DOWN:
            raise DownError
        mood = self.mood
        reply = await forward()
        if mood is not Mood.GARBAGE or texts is None:
            return reply
        self._spoilt += 1
        return garble(reply, self._spoilt)
