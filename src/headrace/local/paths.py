"""Where headrace keeps what it downloads and what it runs on this machine."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """Return the user's cache folder for headrace, creating it if needed."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return _made(Path(root) / "headrace")


def runtime_dir() -> Path:
    """Return the folder for facts about running processes, creating it if needed."""
    root = os.environ.get("XDG_RUNTIME_DIR")
    return _made(Path(root) / "headrace") if root and Path(root).is_dir() else cache_dir()


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; other processes wait. The file stays."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
