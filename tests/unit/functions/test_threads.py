import asyncio
import logging
import threading
import weakref

import pytest

from headrace.errors import FunctionError, FunctionTimeoutError
from headrace.functions.threads import ThreadCaller

TIMEOUT_S = 0.05
"""Waited for in real time; the clock that decides jumps only when a call hangs."""


@pytest.fixture
def caller(function, hang):
    def make(target, workers=1):
        return ThreadCaller(
            function(target), "step", workers=workers, timeout_s=TIMEOUT_S, clock=hang.clock
        )

    return make


async def test_every_document_gets_its_answer_in_order(caller):
    threads = set()

    def judge(document):
        threads.add(threading.current_thread().name)
        if document["n"] % 3 == 0:
            return None
        if document["n"] % 3 == 1:
            raise ValueError(document["n"])
        return {"seen": document["n"]}

    calling = caller(judge)

    found = await calling.call([{"n": n} for n in range(9)])

    assert [type(each) for each in found] == [type(None), FunctionError, dict] * 3
    assert [each["seen"] for each in found[2::3]] == [2, 5, 8]
    assert threads == {"step-1"}
    await calling.close()


async def test_no_documents_are_no_answers(caller):
    calling = caller(lambda document: document)

    assert await calling.call([]) == []
    await calling.close()


async def test_a_document_that_hangs_times_out_and_the_others_go_on(caller, hang, caplog):
    def judge(document):
        if document == "hang":
            hang()
        return {"seen": document}

    calling = caller(judge)

    with caplog.at_level(logging.ERROR):
        found = await calling.call(["a", "hang", "b", "hang", "c"])

    assert [found[at] for at in (0, 2, 4)] == [{"seen": "a"}, {"seen": "b"}, {"seen": "c"}]
    assert isinstance(found[1], FunctionTimeoutError)
    assert isinstance(found[3], FunctionTimeoutError)
    assert hang.calls == 2
    assert [record.event for record in caplog.records] == ["function_hung"]
    await calling.close()


async def test_a_thread_that_was_left_behind_takes_no_document_any_more(caller, hang):
    seen = []
    hung = []

    def judge(document):
        seen.append(document)
        if document == "hang":
            hung.append(threading.current_thread())
            hang()
        return {"by": threading.current_thread().name}

    calling = caller(judge)
    await calling.call(["hang", "b"])

    hang.end.set()
    await asyncio.to_thread(hung[0].join)
    found = await calling.call(["c", "d"])

    assert seen == ["hang", "b", "c", "d"]
    assert {each["by"] for each in found} == {"step-2"}
    await calling.close()


async def test_batches_run_side_by_side_in_as_many_threads_as_asked_for(caller):
    together = threading.Barrier(3)

    def judge(document):
        together.wait(timeout=30)
        return document

    calling = caller(judge, workers=3)

    await asyncio.gather(*(calling.call([{"n": n}]) for n in range(3)))
    await calling.close()


async def test_one_worker_is_one_call_at_a_time(caller):
    under_way, most = [], []

    def judge(document):
        under_way.append(document)
        most.append(len(under_way))
        under_way.pop()
        return document

    calling = caller(judge)

    await asyncio.gather(*(calling.call([{"n": n}] * 50) for n in range(4)))

    assert set(most) == {1}
    await calling.close()


async def test_a_call_that_is_cancelled_leaves_its_thread_and_the_next_is_served(caller, hang):
    has_begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def judge(document):
        if document == "hang":
            loop.call_soon_threadsafe(has_begun.set)
            hang.end.wait()
        return {"seen": document}

    calling = caller(judge)
    call = asyncio.create_task(calling.call(["hang", "never"]))
    await has_begun.wait()

    call.cancel()

    assert await calling.call(["next"]) == [{"seen": "next"}]
    assert call.cancelled()
    await calling.close()


async def test_a_call_that_is_cancelled_in_the_queue_is_not_made(caller, hang):
    has_begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    seen = []

    def judge(document):
        seen.append(document)
        if document == "first":
            loop.call_soon_threadsafe(has_begun.set)
            release.wait()
        return {}

    calling = caller(judge)
    first = asyncio.create_task(calling.call(["first"]))
    await has_begun.wait()
    second = asyncio.create_task(calling.call(["second"]))
    await asyncio.sleep(0)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()

    await first
    await calling.call(["third"])
    assert seen == ["first", "third"]
    await calling.close()


async def test_closing_cuts_calls_under_way_and_ends_idle_threads(caller, hang):
    has_begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    threads = []

    def judge(document):
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(has_begun.set)
        hang.end.wait()
        return {}

    calling = caller(judge)
    call = asyncio.create_task(calling.call(["hang", "never"]))
    await has_begun.wait()

    await calling.close()

    with pytest.raises(asyncio.CancelledError):
        await call
    hang.end.set()
    await asyncio.to_thread(threads[0].join)
    assert len(threads) == 1


async def test_what_ends_other_threads_ends_no_worker(caller):
    def judge(document):
        raise SystemExit

    calling = caller(judge)

    assert all(isinstance(each, FunctionError) for each in await calling.call([1, 2]))
    assert all(isinstance(each, FunctionError) for each in await calling.call([3]))
    await calling.close()


async def test_documents_do_not_outlive_their_call(caller):
    class Held(dict):
        pass

    calling = caller(lambda _: {})
    document = Held()
    gone = threading.Event()
    weakref.finalize(document, gone.set)

    await calling.call([document])
    del document

    assert await asyncio.to_thread(gone.wait, 10)
    await calling.close()
