"""Worker processes that are kept running, killed for practice, and stopped in order."""

import asyncio
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Protocol, Self

from headrace.errors import LocalError, first_of
from headrace.local.process import Child, signal_name

_LONGEST_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A worker to run: its name in front of its lines, its command, variables to add."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How soon what died is started again.

    A death soon after its start doubles the delay before the next one; after `give_up_after`
    such deaths in a row, or at once on a status of `hopeless`, the supervisor gives up.
    """

    first_delay_s: float = 0.2
    max_delay_s: float = 10.0
    healthy_after_s: float = 10.0
    give_up_after: int = 10
    hopeless: frozenset[int] = frozenset({2})

    def delay_s(self, quick_deaths: int) -> float:
        """Return the delay after so many quick deaths in a row; the first has none."""
        if quick_deaths <= 1:
            return 0.0
        return min(self.max_delay_s, self.first_delay_s * 2.0 ** (quick_deaths - 2))


@dataclass(frozen=True, slots=True)
class SupervisorStatus:
    """What happened so far: living workers, starts after a death, kills of our own."""

    running: int
    restarts: int
    kills: int


@dataclass(frozen=True, slots=True)
class _Running:
    child: Child
    pump: threading.Thread

    def end(self, grace_s: float) -> None:
        """End the worker and deliver its last lines; blocks."""
        self.child.stop(grace_s)
        self.pump.join(1.0)


class Supervisor:
    """Runs one process per command until it is stopped.

        async with Supervisor(commands, write=print) as supervisor:
            async with asyncio.timeout(60):
                await supervisor.watch()          # returns after stop(), raises LocalError

    What dies is started again. A worker's output comes out line by line with its name in front.
    Leaving the block asks all to end with SIGTERM and kills after the grace what has not.

    Args:
        commands: The workers; names are unique.
        write: Receives each line, from another thread.
        policy: How soon what died is started again.
        grace_s: Longest time between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        write: Callable[[str], None],
        policy: RestartPolicy = RestartPolicy(),
        grace_s: float = 30.0,
    ) -> None:
        self._commands = tuple(commands)
        self._write = write
        self._policy = policy
        self._grace_s = grace_s
        self._running: dict[str, _Running] = {}
        self._killed: set[int] = set()
        self._restarts = 0
        self._kills = 0
        self._is_stopping = asyncio.Event()
        # One thread per worker waits for its end, one may end it: event loops differ in how
        # well they watch children, and the loop's own pool has fewer threads than waits.
        self._threads = ThreadPoolExecutor(max(1, 2 * len(commands)), "headrace-supervisor")

    async def __aenter__(self) -> Self:
        try:
            for command in self._commands:
                self._start(command)
        except LocalError:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.shield(self.stop())
        finally:
            self._threads.shutdown(wait=False)

    def status(self) -> SupervisorStatus:
        """Return what happened so far."""
        alive = sum(each.child.is_running for each in self._running.values())
        return SupervisorStatus(alive, self._restarts, self._kills)

    async def watch(self) -> None:
        """Start again what dies, until `stop`.

        Raises:
            LocalError: A worker dies again and again, or says that it is hopeless.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for command in self._commands:
                    tasks.create_task(self._keep(command), name=f"keep {command.name}")
        except ExceptionGroup as group:
            # Not `except*`: what is raised there before Python 3.11.4 is wrapped again.
            raise first_of(group) from None

    async def kill_every(self, seconds: float, rng: random.Random) -> None:
        """Kill a random worker with SIGKILL every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            self.kill_one(rng)

    def kill_one(self, rng: random.Random) -> str | None:
        """Kill a random living worker with SIGKILL; return its name, None if none lives."""
        alive = [name for name, each in sorted(self._running.items()) if each.child.is_running]
        if not alive:
            return None
        name = rng.choice(alive)
        victim = self._running[name].child
        self._killed.add(victim.pid)
        self._kills += 1
        victim.crash()
        return name

    async def stop(self) -> None:
        """Ask all workers to end, wait for the grace, kill the rest. May be repeated."""
        self._is_stopping.set()
        running = list(self._running.values())
        self._running.clear()
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(loop.run_in_executor(self._threads, each.end, self._grace_s) for each in running)
        )

    def _start(self, command: Command) -> None:
        reader, writer = os.pipe()
        with os.fdopen(writer, "wb") as output:
            try:
                child = Child(command.argv, output=output, env={**os.environ, **command.env})
            except LocalError:
                os.close(reader)
                raise
        lines = os.fdopen(reader, "rb")
        pump = threading.Thread(target=self._copy, args=(lines, command.name), daemon=True)
        pump.start()
        self._running[command.name] = _Running(child, pump)

    def _copy(self, lines: IO[bytes], name: str) -> None:
        with lines:
            while line := lines.readline(_LONGEST_LINE_BYTES):
                self._write(f"{name} | {line.decode(errors='replace').rstrip()}")

    async def _keep(self, command: Command) -> None:
        quick_deaths = 0
        while True:
            running = self._running.get(command.name)
            if running is None:
                return
            child, began = running.child, time.monotonic()
            status = await asyncio.get_running_loop().run_in_executor(self._threads, child.wait)
            if self._is_stopping.is_set():
                return
            if child.pid in self._killed:
                self._killed.discard(child.pid)
                quick_deaths = 0
            else:
                lived_s = time.monotonic() - began
                quick_deaths = 1 if lived_s > self._policy.healthy_after_s else quick_deaths + 1
                self._judge(command, status, quick_deaths)
            if await self._is_stopped_within(self._policy.delay_s(quick_deaths)):
                return
            self._restarts += 1
            self._start(command)

    def _judge(self, command: Command, status: int, quick_deaths: int) -> None:
        ended = f"worker {command.name!r} ended ({signal_name(status)})"
        if status in self._policy.hopeless:
            raise LocalError(f"{ended}; starting it again would not help")
        if quick_deaths >= self._policy.give_up_after:
            raise LocalError(f"{ended} {quick_deaths} times in a row right after its start")
        self._write(f"{command.name} | {ended}; starting it again")

    async def _is_stopped_within(self, seconds: float) -> bool:
        if seconds <= 0:
            return self._is_stopping.is_set()
        try:
            async with asyncio.timeout(seconds):
                await self._is_stopping.wait()
        except TimeoutError:
            pass
        return self._is_stopping.is_set()


class Restartable(Protocol):
    """A child with a life of its own: the embedded Kafka, a model server."""

    @property
    def name(self) -> str:
        """What to call it in words for a person."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        ...

    def restart(self) -> None:
        """Start it again where it was; blocks until it is ready."""
        ...


async def keep_running(
    service: Restartable,
    *,
    report: Callable[[str], None],
    policy: RestartPolicy = RestartPolicy(),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look after a started service until cancelled: restart it when it has died.

    Raises:
        LocalError: It failed to come back `give_up_after` times in a row.
    """
    failures = 0
    while True:
        await sleep(0.2 + policy.delay_s(failures))
        if service.is_running:
            continue
        report(f"{service.name} has died; starting it again")
        try:
            await asyncio.to_thread(service.restart)
            failures = 0
        except LocalError as error:
            failures += 1
            report(str(error))
            if failures >= policy.give_up_after:
                raise
