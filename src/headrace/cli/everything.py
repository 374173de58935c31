"""Everything `headrace up` starts, in order, and how it ends."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from headrace.cli import topic_plan
from headrace.cli.exits import Exit
from headrace.cli.feeding import Feed, Inputs
from headrace.cli.settings import (
    ANSWER_WITHIN_S,
    EMBEDDED,
    MEMBERSHIP,
    MODEL_URLS,
    Loaded,
    await_broker,
    connection_of,
    say,
)
from headrace.core.topology import Topology
from headrace.kafka.tally import Progress, Summary, Tally
from headrace.local.kafka import join_or_start
from headrace.local.model_server import ModelServer
from headrace.local.supervisor import Command, Supervisor, keep_running
from headrace.spec.effective import server_of
from headrace.spec.loader import folder_of

LOOK_EVERY_S = 0.25
STAYS_IDLE_S = 0.5
TELL_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked `up` for.

    Attributes:
        file: The pipeline, as named.
        inputs: Files to send.
        workers: Worker processes.
        kill_every_s: Seconds between two kills of a worker, None for none.
        until_idle: Whether to end when all input is done.
        data_dir: Folder for Kafka's data, None for a temporary one.
    """

    file: str
    inputs: Inputs
    workers: int = 1
    kill_every_s: float | None = None
    until_idle: bool = False
    data_dir: Path | None = None


def bring_up(loaded: Loaded, wishes: Wishes) -> int:
    """Run everything until it is idle, a signal comes, or a part fails for good; blocks.

    Raises:
        HeadraceError: A part cannot start or go on.
    """
    return asyncio.run(_Everything(loaded, wishes).run())


class _Everything:
    def __init__(self, loaded: Loaded, wishes: Wishes) -> None:
        self._spec = loaded.spec
        self._topology = loaded.topology
        self._wishes = wishes
        self._signals = 0
        self._seconds = 0.0
        self._summary: Summary | None = None
        self._is_done = False

    async def run(self) -> int:
        """Start everything, wait, stop everything; return the exit code."""
        main = asyncio.create_task(self._run(), name="up")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, main)
        try:
            await main
        except asyncio.CancelledError:
            if not self._signals:
                raise
            say("stopped")
            # Without --until-idle a signal is how `up` is meant to end.
            return Exit.INTERRUPTED if self._wishes.until_idle else Exit.OK
        self._print_summary()
        return Exit.OK

    def _on_signal(self, main: "asyncio.Task[None]") -> None:
        self._signals += 1
        if self._signals > 1:
            # The children see that this process is gone, and end.
            os._exit(Exit.INTERRUPTED)
        say("stopping: workers first, then model servers and Kafka")
        main.cancel()

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            # Parts end in the reverse of the order in which they were started.
            services = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(_cancel_all, services)
            async with asyncio.TaskGroup() as starting:
                kafka = starting.create_task(self._start_kafka(stack, services))
                models = starting.create_task(self._start_models(stack, services))
            self._topology = replace(self._topology, bootstrap_servers=kafka.result())
            for change in await topic_plan.apply(self._topology):
                say(change.render())
            tally = Tally(self._topology)
            stack.push_async_callback(tally.close)
            await tally.begin()
            await self._work(tally, models.result())
            if self._wishes.until_idle:
                self._summary = await tally.summary()
