"""A way to a server that can be cut like a real network's."""

import asyncio
import contextlib
from dataclasses import dataclass, field

_CHUNK_BYTES = 1 << 16
_TURNS = 5


@dataclass(slots=True)
class Forwarder:
    """Passes TCP connections on to a port of this machine, until they are cut."""

    port: int = 0
    _listener: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, target_port: int) -> None:
        """Accept connections, on the same port as before."""

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await self._forward(reader, writer, target_port)

        self._listener = await asyncio.start_server(accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Reset every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            # asyncio tells of a connection it has accepted a few turns of its loop later.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int
    ) -> None:
        # Known from the start: it may be cut before there is a way onward.
        ends = {writer}
        self._writers.add(writer)
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", target_port)
            ends.add(back)
            self._writers.add(back)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, back), name="forward")
                tasks.create_task(_copy(onward, writer), name="backward")
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.transport.abort()
