"""One process that calls a function, as its worker sees it."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, cast

from headrace.errors import ConfigError
from headrace.functions import child
from headrace.functions.frames import Progress, Said, frame, taken
from headrace.functions.loading import Function

_LOAD_S: Final = 300.0
"""Longest that importing a module may take: some load a model."""


class Process:
    """A started process; made by `start`.

    Attributes:
        progress: How far it has come with its batch.
    """

    def __init__(
        self, transport: asyncio.SubprocessTransport, pipes: "_Pipes", progress: Progress
    ) -> None:
        self._transport = transport
        self._pipes = pipes
        self.progress = progress

    @classmethod
    async def start(cls, function: Function) -> "Process":
        """Start a process and let it import the function.

        Raises:
            ConfigError: It cannot import it.
        """
        path = Progress.make()
        given = {
            "path": sys.path,
            "function": function.text,
            "folder": function.folder,
            "progress": path,
        }
        argv = [sys.executable, "-P", child.__file__, json.dumps(given)]
        try:
            # A group of its own: Ctrl-C is for the worker, which drains.
            transport, pipes = await asyncio.get_running_loop().subprocess_exec(
                _Pipes, *argv, stderr=None, start_new_session=True
            )
            started = cls(transport, pipes, Progress(path))
            try:
                await started._load(function)
            except BaseException:
                await started.stop()
                raise
        finally:
            os.unlink(path)  # noqa: PTH108  (one call, and it does not block)
        return started

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come from it."""
        return self._pipes.is_cut or self._pipes.ended.done()

    def send(self, documents: Sequence[bytes]) -> None:
        """Hand over a batch; the one before must be finished."""
        self.progress.write(-1, time.monotonic())
        # A cast: uvloop's transports have the methods without the classes.
        orders = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(0))
        orders.write(frame(list(documents)))

    async def hear(self, timeout_s: float) -> list[Said]:
        """Wait for outcomes, for the process's end or until time is over; return what came."""
        await self._pipes.wait(timeout_s)
        return [said for part in self._pipes.take() for said in part]

    async def kill(self) -> None:
        """Kill it, whatever it does, and wait until it is gone."""
        if not self._pipes.ended.done():
            # Not by the transport: it would look first, and so take the exit code away.
            with suppress(ProcessLookupError):
                os.kill(self._transport.get_pid(), signal.SIGKILL)
        await self._pipes.ended

    async def stop(self) -> None:
        """Kill it and let go of what is held for it."""
        try:
            await self.kill()
        finally:
            self._transport.close()
            self.progress.close()

    def end(self) -> str:
        """Return how it ended, once `stop` returned."""
        code = self._transport.get_returncode()
        if code is not None and code < 0:
            try:
                return f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                return f"was killed by signal {-code}"
        return f"ended with exit code {code}"

    async def _load(self, function: Function) -> None:
        await self._pipes.wait(_LOAD_S)
        said = self._pipes.take()
        if said == [""]:
            return
        if said:
            raise ConfigError(f"{said[0]} (in its process, not in the worker)")
        if not self.is_over:
            raise ConfigError(f"function {function.text!r}: its module took over {_LOAD_S:g} s")
        await self._pipes.ended
        raise ConfigError(
            f"function {function.text!r}: its process {self.end()} while it imported the module"
        )


class _Pipes(asyncio.SubprocessProtocol):
    """What comes from a process."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._frames: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.is_cut = False

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002
        self._buffer += data
        self._frames += taken(self._buffer)
        if self._frames:
            self._wake()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        self.is_cut = True
        self._wake()

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._wake()

    async def wait(self, timeout_s: float) -> None:
        """Wait for a frame or for the end, at most that long."""
        if self._frames or self.is_cut or self.ended.done():
            return
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def take(self) -> list[Any]:
        """Return the frames that came since."""
        frames, self._frames = self._frames, []
        return frames

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
