import asyncio

import pytest

from headrace.errors import (
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    RowCountError,
)
from headrace.testing import ScriptedModel


async def test_the_default_answer_is_in_capitals():
    prediction = await ScriptedModel().infer([["a", "b"]])

    assert prediction.columns == [["A", "B"]]


async def test_several_outputs_come_as_several_columns():
    model = ScriptedModel(lambda a, b: (a + b, a - b), outputs=2)

    prediction = await model.infer([[3, 4], [1, 2]])

    assert prediction.columns == [[4, 6], [2, 2]]


async def test_it_remembers_every_row_and_when_it_came():
    model = ScriptedModel(latency_s=(1.0, 1.0))

    await model.infer([["a", "b"]])
    await model.infer([["c"]])

    assert model.asked == [(0.0, ("a",)), (0.0, ("b",)), (1.0, ("c",))]
    assert model.calls == [2, 1]


async def test_it_counts_calls_at_the_same_time():
    model = ScriptedModel(latency_s=(1.0, 2.0))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(model.infer([["a"]]))

    assert (model.most_in_flight, model.in_flight) == (3, 0)


async def test_poison_spoils_its_whole_batch_and_nothing_else():
    model = ScriptedModel(poison=lambda row: row == "bad")

    with pytest.raises(InvalidInputError):
        await model.infer([["good", "bad"]])

    assert (await model.infer([["good"]])).columns == [["GOOD"]]


async def test_it_is_unavailable_for_as_long_as_it_was_told():
    model = ScriptedModel()
    model.be_unavailable(1.0, 2.0)
    seen = []

    for _ in range(3):
        try:
            await model.infer([["a"]])
            seen.append((True, await model.ready()))
        except InferenceUnavailableError:
            seen.append((False, await model.ready()))
        await asyncio.sleep(1.0)

    assert seen == [(True, True), (False, False), (True, True)]
    assert len(model.asked) == 2


async def test_planned_failures_come_one_per_call():
    model = ScriptedModel()
    model.fail_next(InferenceTimeoutError("slow"), RowCountError("two for one"))

    with pytest.raises(InferenceTimeoutError):
        await model.infer([["a"]])
    with pytest.raises(RowCountError):
        await model.infer([["a"]])
    assert (await model.infer([["a"]])).columns == [["A"]]


async def test_random_failures_end_with_their_budget():
    model = ScriptedModel(rates={"failed": 1.0}, budget=2)

    for _ in range(2):
        with pytest.raises(InferenceFailedError):
            await model.infer([["a"]])

    assert (await model.infer([["a"]])).columns == [["A"]]


async def test_the_same_seed_gives_the_same_times():
    times = []
    for _ in range(2):
        model = ScriptedModel(latency_s=(0.0, 1.0), seed=5)
        started = asyncio.get_running_loop().time()
        await model.infer([["a"]])
        times.append(round(asyncio.get_running_loop().time() - started, 9))

    assert times[0] == times[1] > 0
