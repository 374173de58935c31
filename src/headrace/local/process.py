"""One child process that lives in its own group and never outlives this process."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from headrace.errors import LocalError

_TAIL_BYTES = 64 * 1024

# The watchdog sits in the child's process group and reads a pipe that only this process writes
# to. A line asks it to sweep the group at once; end of file means that this process is gone,
# however it died, so the group gets the time to end in order before it is swept. Unlike
# PR_SET_PDEATHSIG this does not depend on which thread started the child, and it reaches
# grandchildren.
_WATCHDOG = "trap '' INT TERM HUP; read -r _ || { kill -TERM 0; sleep \"$1\"; }; kill -KILL 0"


class Child:
    """A started process and its process group.

    The group is not the terminal's foreground group, so Ctrl-C reaches only this process, which
    decides when the child ends. When this process ends in any way, the group is asked to end
    and `orphan_grace_s` seconds later killed.

    Args:
        argv: The command.
        output: Receives stdout and stderr; the caller may close it afterwards.
        env: The whole environment; None: this process's own.
        cwd: The working directory; None: this process's own.
        orphan_grace_s: How long an orphaned group may take to end in order.

    Raises:
        LocalError: There is no such command.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        output: IO[bytes],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        orphan_grace_s: int = 5,
    ) -> None:
        try:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=cwd,
                process_group=0,
            )
        except OSError as error:
            raise LocalError(f"{argv[0]!r} could not be started: {error.strerror}") from error
        self._watchdog = _Watchdog(self._process.pid, orphan_grace_s)

    @property
    def pid(self) -> int:
        """Process id of the child, which is also the id of its group."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the child itself has not ended."""
        return self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """Exit status as `subprocess` tells it (negative: the signal), None while running."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait until the child ends, sweep its group and return the exit status."""
        status = self._process.wait()
        self._watchdog.sweep()
        return status

    def terminate(self) -> None:
        """Ask the child to end with SIGTERM; does not wait."""
        self._process.terminate()

    def crash(self) -> None:
        """End the child with SIGKILL; does not wait."""
        self._process.kill()

    def kill(self) -> None:
        """End the whole group with SIGKILL and wait until the child is gone."""
        self._watchdog.sweep()
        self._process.kill()
        self._process.wait()

    def stop(self, grace_s: float) -> None:
        """Ask the child to end with SIGTERM, then kill what is left of the group."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self.kill()


class _Watchdog:
    """Ends a process group when this process ends, or when it is told to."""

    def __init__(self, group: int, orphan_grace_s: int) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # The group is gone already if its only process was that quick.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHDOG, "headrace-watchdog", str(orphan_grace_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=group,
            )

    def sweep(self) -> None:
        """Kill what is left of the group, the watchdog included. May be repeated."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.communicate(b"\n")


def is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def tail(path: Path, lines: int) -> str:
    """Return the last lines of a file, or an empty text if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def signal_name(status: int) -> str:
    """Name an exit status for a message: `exit status 1` or `SIGKILL`."""
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
