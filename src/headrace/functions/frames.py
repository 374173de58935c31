"""What goes between a worker and a process that calls a function for it.

Frames are pickles with their length before them; every document in one is a pickle of its own, so
that one that cannot be read costs no other. How far the process has come stands in memory that
both see, so that a process that hangs or is gone can still be asked.
"""

import mmap
import pickle
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

_LENGTH: Final = struct.Struct(">Q")

Said: TypeAlias = tuple[str, Any]
"""An outcome in a frame: `document` with its pickle, `drop`, or `failed` with the reason."""


def frame(content: Any) -> bytes:
    """Return the bytes of a frame."""
    data = pickled(content)
    return _LENGTH.pack(len(data)) + data


def pickled(content: Any) -> bytes:
    """Return a pickle; raises whatever the content's classes raise."""
    return pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)


def unpickled(data: bytes | bytearray) -> Any:
    """Read a pickle from the other side, which runs the same user's code."""
    return pickle.loads(data)  # noqa: S301


def read(stream: BinaryIO) -> Any:
    """Wait for a frame.

    Raises:
        EOFError: The other side is gone.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    return unpickled(stream.read(_LENGTH.unpack(head)[0]))


def taken(buffer: bytearray) -> Iterator[Any]:
    """Take every whole frame out of the bytes that came so far."""
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            return
        data = buffer[_LENGTH.size : end]
        del buffer[:end]
        yield unpickled(data)


class Progress:
    """Which document of a batch is being worked on, and since when.

    Args:
        path: A file that both sides map, made with `make`.
    """

    _INDEX: Final = struct.Struct("=q")
    _SINCE: Final = struct.Struct("=d")
    _SIZE: Final = 16

    def __init__(self, path: str) -> None:
        with Path(path).open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), self._SIZE)

    @classmethod
    def make(cls) -> str:
        """Make a file for it and return its path; it may go when both sides have opened it."""
        with tempfile.NamedTemporaryFile(prefix="headrace-", delete=False) as file:
            file.write(bytes(cls._SIZE))
        return file.name

    def write(self, index: int, since: float) -> None:
        """Say which document is begun: -1 for none yet; `since` is `time.monotonic()`."""
        # In this order a reader never takes an old time for a new document.
        self._SINCE.pack_into(self._memory, 8, since)
        self._INDEX.pack_into(self._memory, 0, index)

    def read(self) -> tuple[int, float]:
        """Return what was written last."""
        while True:
            index: int = self._INDEX.unpack_from(self._memory, 0)[0]
            since: float = self._SINCE.unpack_from(self._memory, 8)[0]
            if self._INDEX.unpack_from(self._memory, 0)[0] == index:
                return index, since

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
