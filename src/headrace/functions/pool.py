"""Functions in processes of their own: they share no lock with the worker and can be killed."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.errors import FunctionError
from headrace.functions.frames import Said, pickled, unpickled
from headrace.functions.loading import Function
from headrace.functions.outcomes import Outcome, timed_out
from headrace.functions.process import Process

log = logging.getLogger("headrace.functions.pool")

_STRIKES: Final = 3
"""How often a process may end between documents before the next one is blamed."""


class ProcessCaller:
    """Calls a function in up to `workers` processes; each takes a batch at a time.

    A process that ends, or has a document for longer than `timeout_s` and is then killed, costs
    that document; the others of its batch whose outcome is not known yet are called again in a
    new process. Processes start with the first batches and import the module once.

    Args:
        function: What is called; each process imports it for itself.
        name: The step, for the log.
        workers: Processes.
        timeout_s: Longest a document may take, seconds.
    """

    def __init__(self, function: Function, name: str, *, workers: int, timeout_s: float) -> None:
        self._function = function
        self._name = name
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(workers)
        self._idle: list[Process] = []
        self._busy: set[Process] = set()
        self._is_closed = False
        self._has_complained = False

    async def call(self, documents: Sequence[Any]) -> list[Outcome]:
        """Call the function for each; see `FunctionCaller`.

        Raises:
            ConfigError: A process cannot import the function.
        """
        batch = _Batch(self._function)
        for document in documents:
            batch.add(document)
        async with self._turns:
            while batch.open:
                await self._attempt(batch)
        return batch.outcomes

    async def close(self) -> None:
        """Kill every process; calls under way are cancelled."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for process in idle:
            await process.stop()
        for process in list(self._busy):
            await process.kill()

    async def _attempt(self, batch: "_Batch") -> None:
        """Let one process call what is open, until all is done or the process is lost."""
        process = await self._process()
        self._busy.add(process)
        is_whole = False
        try:
            process.send(batch.data)
            loss = await self._listen(process, batch)
            is_whole = loss is None
        finally:
            self._busy.discard(process)
            if is_whole and not self._is_closed:
                self._idle.append(process)
            else:
                await process.stop()
        if loss is not None:
            self._check_open()
            self._blame(batch, loss, process)

    async def _listen(self, process: Process, batch: "_Batch") -> "_Loss | None":
        """Take outcomes until all are there, the process is gone, or it hangs."""
        batch.begin()
        while True:
            at, since = process.progress.read()
            left = since + self._timeout_s - time.monotonic()
            if left <= 0:
                return _Loss(at, is_hung=True)
            for said in await process.hear(left):
                batch.hear(said)
            if not batch.open:
                return None
            if process.is_over:
                return _Loss(process.progress.read()[0])

    async def _process(self) -> Process:
        while self._idle:
            process = self._idle.pop()
            if not process.is_over:
                return process
            await process.stop()
        self._check_open()
        process = await Process.start(self._function)
        if self._is_closed:
            await process.stop()
        self._check_open()
        return process

    def _check_open(self) -> None:
        if self._is_closed:
            raise asyncio.CancelledError

    def _blame(self, batch: "_Batch", loss: "_Loss", process: Process) -> None:
        fault: FunctionError
        if loss.is_hung:
            fault = timed_out(self._function, self._timeout_s)
        else:
            fault = FunctionError(f"{self._function.text}: its process {process.end()}")
        batch.blame(loss.at, fault)
        if not self._has_complained:
            self._has_complained = True
            log.error(
                "a process of step %s is replaced (said once): %s",
                self._name,
                fault,
                extra={"event": "function_process_replaced", "step": self._name},
            )


@dataclass(frozen=True, slots=True)
class _Loss:
    """A process that is gone, or must go: `at` is the number of the document that it had."""

    at: int
    is_hung: bool = False


@dataclass(slots=True)
class _Batch:
    """Documents, and what is known of them.

    Attributes:
        function: What is called for them.
        outcomes: One per document; meaningless where it is still open.
        open: Numbers of the documents without an outcome, in order.
        data: Their pickles.
    """

    function: Function
    outcomes: list[Outcome] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    _strikes: int = 0
    _told: int = 0

    def add(self, document: Any) -> None:
        try:
            self.data.append(pickled(document))
        except Exception as error:  # noqa: BLE001  (a user's class may raise anything)
            why = f"{self.function.text}: the document cannot go to its process: {error!r}"
            self.outcomes.append(FunctionError(why))
        else:
            self.open.append(len(self.outcomes))
            self.outcomes.append(None)

    def begin(self) -> None:
        """What is open was sent to a process."""
        self._told = 0

    def hear(self, said: Said) -> None:
        """Take the outcome of the first open document."""
        self._told += 1
        self._strikes = 0
        self._settle(0, self._read(said))

    def blame(self, at: int, fault: FunctionError) -> None:
        """A process was lost while it worked on document number `at` of what was sent to it."""
        place = at - self._told
        if not 0 <= place < len(self.open):
            self._strikes += 1
            if self._strikes < _STRIKES:
                return
            place = 0
        self._strikes = 0
        self._settle(place, fault)

    def _settle(self, place: int, outcome: Outcome) -> None:
        self.outcomes[self.open.pop(place)] = outcome
        del self.data[place]

    def _read(self, said: Said) -> Outcome:
        kind, content = said
        if kind == "drop":
            return None
        if kind == "failed":
            return FunctionError(content)
        try:
            document: dict[str, Any] = unpickled(content)
        except Exception as error:  # noqa: BLE001  (the user's classes may raise anything)
            why = f"{self.function.text} returned what the worker cannot read: {error!r}"
            return FunctionError(why)
        return document
