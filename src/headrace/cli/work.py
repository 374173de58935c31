"""One worker process: what it runs, and the signals that end it."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from headrace.cli.exits import Exit
from headrace.cli.settings import await_broker, connection_of
from headrace.core.topology import Plan

_Answer = TypeVar("_Answer")


def work(plan: Plan) -> None:
    """Run a worker until a signal, then drain; blocks.

    Raises:
        HeadraceError: The worker cannot start or go on.
    """
    run_fast(_Work(plan).run())


def run_fast(main: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Run a coroutine on the fastest loop there is, in a process that carries records."""
    # Records live for milliseconds and hold no cycles: looking for cycles among them every 700
    # allocations, as the default is, costs a tenth of the throughput.
    gc.set_threshold(100_000, 20, 50)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


class _Work:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stop = asyncio.Event()
        self._interrupts = 0

    async def run(self) -> None:
        # Late, because a signal must be heard while the adapters are imported.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        if not await self._is_kafka_ready():
            return
        from headrace import wiring

        await wiring.run(self._plan, self._stop)

    async def _is_kafka_ready(self) -> bool:
        """Wait for a broker, a bounded time; False if a signal came first."""
        connection = connection_of(self._plan.topology)
        checking = asyncio.create_task(asyncio.to_thread(await_broker, connection))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({checking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not checking.done():
            return False
        checking.result()
        return True

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            # What is not committed is read again, so there is nothing to save here.
            os._exit(Exit.INTERRUPTED)
        self._stop.set()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
