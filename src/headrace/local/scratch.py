"""Temporary folders that are removed even if the process that made them was killed."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

_PREFIX = "headrace-"
_OWNER = ".owner"


class ScratchDir:
    """A temporary folder that lives as long as this process, or until `remove`.

    Its maker holds a lock on a file in it. Making a folder first removes those of makers that
    are gone: their lock can be taken.
    """

    def __init__(self, purpose: str) -> None:
        _remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{purpose}-"))
        self._lock = _own(self.path)

    def remove(self) -> None:
        """Remove the folder and everything in it. May be repeated."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _own(folder: Path) -> IO[str]:
    # The file gets its name only when it is locked, or it could be taken for an abandoned one.
    unnamed = folder / f"{_OWNER}.new"
    lock = unnamed.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / _OWNER)
    return lock


def _remove_abandoned() -> None:
    for owner in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER}"):
        # Gone meanwhile, another user's, or its maker lives.
        with contextlib.suppress(OSError), owner.open("r+") as lock:
            if os.fstat(lock.fileno()).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(owner.parent, ignore_errors=True)
