"""A real worker process that dies or waits where it is told to.

    python worker.py FILE SLOT ORDERS

`ORDERS` is a file. While it says `die POINT` the worker kills itself at that point of a commit, so
that a kill inside an open transaction is a certainty and not a coincidence. While it says
`wait POINT` it waits there, says so in `ORDERS.waits`, and goes on when the file is gone.
`HEADRACE_PLANT` names a bug of `plants` to run with.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from headrace import wiring
from headrace.cli.settings import load_topology
from headrace.core.topology import Plan
from headrace.telemetry import logs
from tests.fault import plants

LONGEST_WAIT_S = 30.0


def obey(orders: Path, point: str) -> None:
    order = _read(orders)
    if order == f"die {point}":
        orders.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif order == f"wait {point}":
        orders.with_suffix(".waits").touch()
        until = time.monotonic() + LONGEST_WAIT_S
        while _read(orders) == order and time.monotonic() < until:
            time.sleep(0.01)


def _read(orders: Path) -> str:
    try:
        return orders.read_text()
    except FileNotFoundError:
        return ""


async def main() -> None:
    file, slot, orders = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    plants.plant(os.environ.get("HEADRACE_PLANT", ""))
    topology = load_topology(file, None)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await wiring.run(
        Plan(topology, slot),
        stop,
        fault_point=lambda point: obey(orders, point),
    )


logs.configure({"HEADRACE_LOG_FORMAT": "json", "HEADRACE_LOG_LEVEL": "INFO"})
logging.getLogger("headrace").setLevel(logging.INFO)
asyncio.run(main())
