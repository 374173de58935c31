"""A real worker process that kills itself where it is told to.

    python worker.py FILE SLOT ORDERS

`ORDERS` is a file: while it names a point of the commit, the worker dies there by SIGKILL, so
that a kill inside an open transaction is a certainty and not a coincidence.
"""

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from headrace import wiring
from headrace.cli.settings import load_topology
from headrace.core.topology import Plan
from headrace.telemetry import logs


def obey(orders: Path, point: str) -> None:
    with suppress(FileNotFoundError):
        if orders.read_text() == point:
            orders.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    file, slot, orders = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await wiring.run(
        Plan(load_topology(file, None), slot),
        stop,
        fault_point=lambda point: obey(orders, point),
    )


logs.configure({"HEADRACE_LOG_FORMAT": "json", "HEADRACE_LOG_LEVEL": "INFO"})
logging.getLogger("headrace").setLevel(logging.INFO)
asyncio.run(main())
