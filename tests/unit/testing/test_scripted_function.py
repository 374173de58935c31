from headrace.errors import FunctionError, FunctionTimeoutError
from headrace.testing import ScriptedFunction, run


def halve(document):
    number = document["n"]
    if number == 13:
        return [number]
    return {"n": number // 2} if number % 2 == 0 else None


async def asked(function, *documents):
    return await function.call(documents)


def test_it_answers_each_document_as_the_function_does():
    function = ScriptedFunction(halve)

    answers = run(asked(function, {"n": 4}, {"n": 3}))

    assert answers == [{"n": 2}, None]
    assert function.calls == [2]


def test_what_raises_or_answers_nonsense_is_an_error_of_that_document_only():
    wrong, nonsense, right = run(asked(ScriptedFunction(halve), {}, {"n": 13}, {"n": 0}))

    assert isinstance(wrong, FunctionError)
    assert str(wrong) == "KeyError: 'n'"
    assert str(nonsense) == "returned list, not a document"
    assert right == {"n": 0}


def test_what_hangs_times_out():
    function = ScriptedFunction(halve, hangs=lambda document: document["n"] == 2)

    first, second = run(asked(function, {"n": 2}, {"n": 4}))

    assert isinstance(first, FunctionTimeoutError)
    assert second == {"n": 2}


def test_it_takes_its_time():
    async def timed():
        import asyncio

        await ScriptedFunction(halve, latency_s=(3.0, 3.0)).call([{"n": 4}])
        return asyncio.get_running_loop().time()

    assert run(timed()) == 3.0
