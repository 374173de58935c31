import asyncio
import logging

import pytest

from headrace.errors import FunctionError, FunctionTimeoutError
from headrace.functions.coroutines import CoroutineCaller, InlineCaller
from headrace.testing import run


@pytest.fixture
def caller(function):
    def make(target, workers=1):
        return CoroutineCaller(function(target), "step", workers=workers, timeout_s=30)

    return make


def test_documents_of_a_batch_are_worked_on_at_once_and_come_back_in_order(caller):
    async def judge(document):
        await asyncio.sleep(document["s"])
        return document

    async def scenario():
        documents = [{"s": 10 - n} for n in range(10)]
        found = await caller(judge).call(documents)
        return found == documents, asyncio.get_running_loop().time()

    assert run(scenario()) == (True, 10)


def test_workers_are_batches_at_a_time(caller):
    async def judge(document):
        await asyncio.sleep(10)
        return document

    async def scenario():
        calling = caller(judge, workers=2)
        await asyncio.gather(*(calling.call([{}, {}]) for _ in range(4)))
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 20


def test_a_document_that_hangs_times_out_alone(caller, caplog):
    async def judge(document):
        if document.get("hangs"):
            await asyncio.Event().wait()
        return document

    async def scenario():
        return await caller(judge).call([{"n": 1}, {"hangs": 1}, {"n": 2}, {"hangs": 2}])

    with caplog.at_level(logging.ERROR):
        found = run(scenario())

    assert found[::2] == [{"n": 1}, {"n": 2}]
    assert all(isinstance(each, FunctionTimeoutError) for each in found[1::2])
    assert [record.event for record in caplog.records] == ["function_hung"]


def test_a_function_that_takes_no_notice_of_its_cancellation_is_left(caller):
    async def judge(document):
        while True:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                if document["cancelled"]:
                    raise
                document["cancelled"] = True

    async def scenario():
        found = await caller(judge).call([{"cancelled": False}])
        return found[0], asyncio.get_running_loop().time()

    found, at = run(scenario())
    assert isinstance(found, FunctionTimeoutError)
    assert at == 30


@pytest.mark.parametrize(
    "error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit]
)
def test_whatever_is_raised_is_an_error_of_the_document(caller, error):
    async def judge(document):
        await asyncio.sleep(0)
        if document:
            return document
        raise error

    async def scenario():
        return await caller(judge).call([{"n": 1}, {}])

    found = run(scenario())
    assert found[0] == {"n": 1}
    assert isinstance(found[1], FunctionError)
    assert error.__name__ in str(found[1])


def test_no_documents_are_no_answers(caller):
    async def judge(document):
        return document

    assert run(caller(judge).call([])) == []


@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_a_call_under_way_can_be_cut(caller, ending):
    cancelled = []

    async def judge(document):
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            cancelled.append(document)
            raise

    async def scenario():
        calling = caller(judge)
        call = asyncio.create_task(calling.call([1, 2]))
        await asyncio.sleep(1)
        if ending == "cancel":
            call.cancel()
        else:
            await calling.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0)

    run(scenario())
    assert sorted(cancelled) == [1, 2]


def test_a_rehearsal_calls_on_the_spot(function):
    calling = InlineCaller(function(lambda document: document and {"seen": document}))

    async def scenario():
        found = await calling.call([1, None, 2])
        await calling.close()
        return found

    assert run(scenario()) == [{"seen": 1}, None, {"seen": 2}]
