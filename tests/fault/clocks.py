"""Wall clocks that jump, preloaded into worker processes."""

import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def jumping_clock(by_s: int, after_s: float, for_s: float) -> Mapping[str, str]:
    """Return the environment in which a process's wall clock is wrong for a while.

    Monotonic clocks stay true.

    Args:
        by_s: How far it jumps, and back.
        after_s: Seconds from the process's start to the jump.
        for_s: Seconds from the jump to the way back.

    Raises:
        RuntimeError: The library is not there, or does not work on this machine.
    """
    package = find_spec("libfaketime")
    if package is None or package.origin is None:
        raise RuntimeError("libfaketime is not installed; make fault installs it")
    library = Path(package.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
    preloaded = {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    told = subprocess.check_output(["date", "+%s"], env={**preloaded, "FAKETIME": "+3600"})
    if abs(int(told) - time.time() - 3600) > 60:
        raise RuntimeError("libfaketime does not work on this machine")
    return {
        **preloaded,
        "FAKETIME": f"{by_s:+}",
        "FAKETIME_START_AFTER_SECONDS": str(after_s),
        "FAKETIME_STOP_AFTER_SECONDS": str(after_s + for_s),
    }
