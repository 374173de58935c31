import asyncio
import gc
import time
import weakref

from headrace.kafka.call_thread import CallThread


class _Client:
    """Stands for a client of Kafka, which ends when nothing refers to it."""


class _RefusedError(Exception):
    pass


def test_an_error_keeps_neither_itself_nor_its_calls_client_alive():
    """Without help of the garbage collector, which a worker runs seldom."""
    clients, errors = [], []

    def call():
        client = _Client()
        clients.append(weakref.ref(client))
        try:
            int("none")
        except ValueError as error:
            raise _RefusedError from error

    async def scenario():
        thread = CallThread("call")
        try:
            await thread.run(call, lambda: False)
        except _RefusedError as error:
            errors.append(weakref.ref(error))
            return clients[0]() is None
        finally:
            thread.stop()

    gc.disable()
    try:
        gone_before_the_error = asyncio.run(scenario())
        # The thread may still be leaving the block that took the error.
        until = time.monotonic() + 5.0
        while errors[0]() is not None and time.monotonic() < until:
            time.sleep(0.01)
        alive = errors[0]()
    finally:
        gc.enable()

    assert gone_before_the_error
    assert alive is None
