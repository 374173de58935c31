"""A fleet of workers on the simulated broker: started, killed, restarted and stopped."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from headrace.ports import GroupView, RecordSource, TransactionSink
from headrace.testing.broker import SimulatedBroker
from headrace.testing.group_view import SimulatedGroup
from headrace.testing.processes import SimulatedProcess
from headrace.testing.sink import SimulatedSink
from headrace.testing.source import SimulatedSource

_LOOK_EVERY_S = 0.25


class Worker(Protocol):
    """What a fleet runs."""

    async def run(self) -> None:
        """Work until drained."""
        ...

    def drain(self) -> None:
        """Finish what is under way, leave, and let `run` return."""
        ...


MakeWorker = Callable[[RecordSource, GroupView, TransactionSink, Any, str], Worker]
"""(source, group, sink, model, slot) -> worker; called at every start of a slot."""


class Fleet:
    """Workers of one consumer group, each in a simulated process of its own.

    A worker that was killed, or whose `run` raised, starts again after a while. Leaving the
    context kills whatever still runs.

    Args:
        broker: The cluster.
        group: Consumer group.
        topics: Topics that the group reads.
        make_worker: Builds the program under test on the ports of one process.
        model: Handed to `make_worker`.
        static: Whether slots are static members.
        starts: Where topics without a commit begin.
        restart_after_s: Shortest and longest time until a dead worker runs again.

    Attributes:
        failures: What `run` raised, with the slot, in order.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        group: str,
        topics: Sequence[str],
        make_worker: MakeWorker,
        model: Any = None,
        *,
        static: bool = False,
        starts: Mapping[str, str | int] | None = None,
        restart_after_s: tuple[float, float] = (0.1, 9.0),
    ) -> None:
        self.failures: list[tuple[str, BaseException]] = []
        self._broker = broker
        self._group = group
        self._topics = topics
        self._make_worker = make_worker
        self._model = model
        self._static = static
        self._starts = starts
        self._restart_after_s = restart_after_s
        self._running: dict[str, tuple[SimulatedProcess, Worker, asyncio.Task[object]]] = {}
        self._is_open = True

    @property
    def slots(self) -> list[str]:
        """Slots that run now."""
        return list(self._running)

    def start(self, *slots: str) -> None:
        """Start workers; a slot that runs already is left alone."""
        for slot in slots:
            if self._is_open and slot not in self._running:
                self._start(slot)

    def crash(self, slot: str) -> None:
        """Kill -9 a worker if it runs; it starts again after a while."""
        if slot in self._running:
            self._running[slot][0].crash()

    async def stop(self, slot: str) -> None:
        """Let a worker drain and leave, if it runs; it does not start again."""
        if slot in self._running:
            _, worker, task = self._running[slot]
            worker.drain()
            await asyncio.wait({task})

    async def until(self, is_reached: Callable[[], bool], within_s: float = 600.0) -> None:
        """Let virtual time pass until a condition holds.

        Raises:
            TimeoutError: It did not come to hold.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while not is_reached():
            if loop.time() > deadline:
                failures = "; ".join(f"{slot}: {error!r}" for slot, error in self.failures[-3:])
                raise TimeoutError(f"not reached in {within_s:g} s; failures: {failures or 'none'}")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        tasks = [task for _, _, task in self._running.values()]
        for process, _, _ in list(self._running.values()):
            process.crash()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, slot: str) -> None:
        process = SimulatedProcess(slot)
        broker, group = self._broker, self._group
        source = SimulatedSource(broker, process, group, self._topics, static=self._static)
        view = SimulatedGroup(broker, process, group, self._starts)
        sink = SimulatedSink(broker, process, group)
        worker = self._make_worker(source, view, sink, self._model, slot)
        task: asyncio.Task[object] = asyncio.create_task(worker.run(), name=f"{slot}: worker")
        process.owns(task)
        self._running[slot] = (process, worker, task)
        task.add_done_callback(lambda ended: self._ended(slot, process, ended))

    def _ended(self, slot: str, process: SimulatedProcess, task: asyncio.Task[object]) -> None:
        del self._running[slot]
        error = None if task.cancelled() else task.exception()
        was_killed = process.is_dead
        process.crash()
        if error is not None and not was_killed:
            self.failures.append((slot, error))
        if was_killed or error is not None:
            delay = self._broker.hazards.between(*self._restart_after_s)
            asyncio.get_running_loop().call_later(delay, self.start, slot)
