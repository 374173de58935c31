"""The inside of a process that calls a function: batches in, outcomes out."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, BinaryIO, Final

from headrace.errors import ConfigError, FunctionError
from headrace.functions.frames import Progress, Said, frame, pickled, read, unpickled
from headrace.functions.loading import Function, load
from headrace.functions.outcomes import Outcome, answered, outcome, raised

_FLUSH_S: Final = 0.05
"""Outcomes that came so long ago are told before the next document is begun."""


def serve(
    orders: BinaryIO, answers: BinaryIO, *, function: str, folder: str, progress: str
) -> None:
    """Load a function, say whether that went well, then call it for every batch that comes.

    Returns only when it cannot be loaded; the process ends when `orders` does.

    Args:
        orders: Frames with a list of pickled documents each.
        answers: A frame that says why the function cannot be loaded, empty if it can; then frames
            with a list of outcomes each, as many and in the order of the documents.
        function: `module:callable`.
        folder: Where its module is looked for first.
        progress: The file of the `Progress`.
    """
    faulthandler.enable()
    try:
        loaded = load(function, folder)
    except ConfigError as error:
        _send(answers, str(error))
        return
    batches: SimpleQueue[list[bytes]] = SimpleQueue()
    # A function that hangs must not keep the process from noticing that its worker is gone.
    threading.Thread(target=_listen, args=(orders, batches), name="orders", daemon=True).start()
    marks = Progress(progress)
    call = _caller(loaded)
    _send(answers, "")
    while True:
        for part in _parts(batches.get(), loaded, call, marks):
            _send(answers, part)


def _listen(orders: BinaryIO, batches: "SimpleQueue[list[bytes]]") -> None:
    while True:
        try:
            batches.put(read(orders))
        except EOFError:
            sys.stderr.flush()
            os._exit(0)


def _send(answers: BinaryIO, content: Any) -> None:
    answers.write(frame(content))
    answers.flush()


def _caller(function: Function) -> Callable[[Any], Outcome]:
    if not function.is_async:
        return lambda document: outcome(function, document)
    import asyncio

    runner = asyncio.Runner()

    def call(document: Any) -> Outcome:
        try:
            return answered(function, runner.run(function.target(document)))
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is this document's)
            return raised(function, error)

    return call


def _parts(
    batch: list[bytes], function: Function, call: Callable[[Any], Outcome], marks: Progress
) -> Iterator[list[Said]]:
    """Yield the outcomes of a batch, in parts where it takes its time."""
    part: list[Said] = []
    told = now = time.monotonic()
    for index, data in enumerate(batch):
        marks.write(index, now)
        part.append(_said(function, call, data))
        now = time.monotonic()
        if now - told > _FLUSH_S:
            yield part
            part, told = [], now
    marks.write(len(batch), now)
    if part:
        yield part


def _said(function: Function, call: Callable[[Any], Outcome], data: bytes) -> Said:
    try:
        document = unpickled(data)
    except Exception as error:  # noqa: BLE001  (the user's classes may raise anything)
        return "failed", f"{function.text}: its process cannot read the document: {error!r}"
    found = call(document)
    if found is None:
        return "drop", None
    if isinstance(found, FunctionError):
        return "failed", str(found)
    try:
        return "document", pickled(found)
    except Exception as error:  # noqa: BLE001  (the user's classes may raise anything)
        return "failed", f"{function.text} returned what cannot leave its process: {error!r}"
