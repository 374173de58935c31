"""Everything `headrace up` starts, in order, and how it ends."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from headrace.cli import topic_plan
from headrace.cli.exits import Exit
from headrace.cli.feeding import Feed, Inputs
from headrace.cli.progress import Progress
from headrace.cli.serving import start_server, started_urls
from headrace.cli.settings import (
    ANSWER_WITHIN_S,
    EMBEDDED,
    MEMBERSHIP,
    MODEL_URLS,
    Loaded,
    await_broker,
    connection_of,
    model_urls,
)
from headrace.errors import BrokerUnavailableError
from headrace.kafka.tally import Summary, Tally
from headrace.local.kafka import EmbeddedKafka, join_or_start
from headrace.local.supervisor import (
    Command,
    Restartable,
    Supervisor,
    SupervisorStatus,
    keep_running,
)
from headrace.spec.loader import folder_of

LOOK_EVERY_S = 0.25
STAYS_IDLE_S = 0.5
TELL_EVERY_S = 2.0
KAFKA_BACK_WITHIN_S = 60.0

_Answer = TypeVar("_Answer")


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
    with Progress() as progress:
        return asyncio.run(_Everything(loaded, wishes, progress).run())


class _Everything:
    def __init__(self, loaded: Loaded, wishes: Wishes, progress: Progress) -> None:
        self._loaded = loaded
        self._topology = loaded.topology
        self._wishes = wishes
        self._progress = progress
        self._say = progress.say
        self._signals = 0
        self._seconds = 0.0
        self._summary: Summary | None = None
        self._status: SupervisorStatus | None = None

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
            self._say("stopped")
            # Without --until-idle a signal is how `up` is meant to end.
            return Exit.INTERRUPTED if self._wishes.until_idle else Exit.OK
        self._print_summary()
        return Exit.OK

    def _on_signal(self, main: "asyncio.Task[None]") -> None:
        self._signals += 1
        if self._signals > 1:
            self._progress.close()
            # The children see that this process is gone, and end.
            os._exit(Exit.INTERRUPTED)
        self._say("stopping: workers first, then model servers and Kafka")
        main.cancel()

    async def _run(self) -> None:
        # Parts end in the reverse of the order in which they were started.
        async with AsyncExitStack() as parts:
            folder = folder_of(self._wishes.file).resolve()
            async with asyncio.TaskGroup() as starting:
                kafka = starting.create_task(self._start_kafka(parts))
                models = [
                    starting.create_task(start_server(name, serve, folder, parts, self._progress))
                    for name, serve in self._topology.serves.items()
                ]
            address, broker = kafka.result()
            self._topology = replace(self._topology, bootstrap_servers=address)
            servers = dict(each.result() for each in models)
            for change in await topic_plan.apply(self._topology):
                self._say(change.render())
            tally = Tally(self._topology)
            parts.push_async_callback(tally.close)
            await _patiently(tally.begin)
            services: list[Restartable] = list(servers.values())
            if broker is not None:
                services.append(broker)
            async with asyncio.TaskGroup() as keepers:
                keeping = [
                    keepers.create_task(keep_running(service, report=self._say))
                    for service in services
                ]
                await self._work(tally, started_urls(self._loaded, servers))
                for keeper in keeping:
                    keeper.cancel()

    async def _start_kafka(self, parts: AsyncExitStack) -> tuple[str, EmbeddedKafka | None]:
        address = self._topology.bootstrap_servers
        if address != EMBEDDED:
            await asyncio.to_thread(await_broker, connection_of(self._topology), ANSWER_WITHIN_S)
            return address, None
        with self._progress.step("Kafka") as tell:
            address, broker = await asyncio.to_thread(join_or_start, self._wishes.data_dir, tell)
        if broker is not None:
            parts.push_async_callback(asyncio.to_thread, broker.stop)
        self._say(f"Kafka {'started' if broker else 'found'} at {address}")
        return address, broker

    async def _work(self, tally: Tally, urls: Mapping[str, str]) -> None:
        """Run the workers until there is nothing left to do, then drain and count."""
        begun = time.monotonic()
        workers = [self._command(slot, urls) for slot in range(self._wishes.workers)]
        async with Supervisor(workers, write=self._say) as supervisor:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(supervisor.watch())
                telling = tasks.create_task(self._tell(tally))
                await self._await_victims(tally)
                killing = tasks.create_task(self._kill(supervisor))
                await self._feed(killing)
                if not self._wishes.until_idle:
                    await asyncio.Event().wait()
                self._seconds = await self._idle_at(tally) - begun
                telling.cancel()
                killing.cancel()
                self._say("draining the workers")
                await supervisor.stop()
            self._status = supervisor.status()
        self._summary = await _patiently(tally.summary)

    async def _await_victims(self, tally: Tally) -> None:
        """Return when every worker is at work: killing one that is starting would show little."""
        while self._wishes.kill_every_s is not None:
            if await _patiently(tally.workers) >= self._wishes.workers:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _feed(self, killing: "asyncio.Task[None]") -> None:
        """Send all input; with input, workers are killed only as long as it takes."""
        if self._wishes.inputs.files:
            feed = Feed(connection_of(self._topology), self._wishes.inputs)
            await feed.run()
            self._say(f"sent {feed.sent:,} records")
            killing.cancel()

    async def _kill(self, supervisor: Supervisor) -> None:
        rng = random.Random()  # noqa: S311 - chooses a victim, keeps no secret
        while self._wishes.kill_every_s is not None:
            await asyncio.sleep(self._wishes.kill_every_s)
            name = supervisor.kill_one(rng)
            if name is not None:
                self._say(f"killed {name}")

    async def _tell(self, tally: Tally) -> None:
        """Show how far the run is."""
        with self._progress.count("records done") as count:
            while True:
                await asyncio.sleep(TELL_EVERY_S)
                progress = await _patiently(tally.progress)
                count(progress.done, progress.total)

    async def _idle_at(self, tally: Tally) -> float:
        """Return since when everything that was there is finished; it stayed so for a moment."""
        idle_since: float | None = None
        while True:
            progress = await _patiently(tally.progress)
            now = time.monotonic()
            if not progress.is_idle:
                idle_since = None
            elif idle_since is None:
                idle_since = now
            elif now - idle_since >= STAYS_IDLE_S:
                return idle_since
            await asyncio.sleep(LOOK_EVERY_S)

    def _command(self, slot: int, urls: Mapping[str, str]) -> Command:
        address = self._topology.bootstrap_servers
        run = (sys.executable, "-m", "headrace", "run", self._wishes.file)
        environ = {
            "HEADRACE_SLOT": str(slot),
            # A fixed port would be taken by the first worker.
            "HEADRACE_STATUS_PORT": "",
            "HEADRACE_STAGE": "",
            MODEL_URLS: json.dumps({**model_urls(), **urls}),
            MEMBERSHIP: os.environ.get(MEMBERSHIP) or "static",
            "HEADRACE_LOG_FORMAT": os.environ.get("HEADRACE_LOG_FORMAT") or "text",
            "HEADRACE_LOG_LEVEL": os.environ.get("HEADRACE_LOG_LEVEL") or "warning",
        }
        return Command(f"worker {slot}", (*run, "--bootstrap-servers", address), environ)

    def _print_summary(self) -> None:
        if self._summary is None or self._status is None:
            return
        self._progress.close()
        told = asdict(self._summary) | {
            "seconds": round(self._seconds, 3),
            "kills": self._status.kills,
            "restarts": self._status.restarts,
        }
        print(json.dumps(told), flush=True)


async def _patiently(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask Kafka, again and again while it does not answer: it may be starting again.

    Raises:
        BrokerUnavailableError: It did not come back in time.
    """
    deadline = time.monotonic() + KAFKA_BACK_WITHIN_S
    while True:
        try:
            return await ask()
        except BrokerUnavailableError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(LOOK_EVERY_S)
