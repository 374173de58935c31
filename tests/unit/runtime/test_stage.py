"""The steps of a stage together: versions, dead letters, and what goes in memory."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from headrace.core.models import BatchPolicy, Input, Model, OutputField
from headrace.core.steps import Link, Ordering, Outlet, Sink
from headrace.ports import Prediction
from headrace.testing import ScriptedModel
from tests.unit.dags import model_step
from tests.unit.runtime.stages import (
    IN,
    OUT,
    A,
    by_topic,
    derived,
    function,
    fused,
    gather_step,
    join_step,
    letters,
    model,
    running,
    split,
    step,
)

# Versions of a model


def shared(*shares):
    made = Model("m", ("grpc://x",), "m", versions=shares)
    return replace(model(sinks=OUT, ordering=Ordering.NONE), model=made)


class Version(ScriptedModel):
    """A version that says its name."""

    def __init__(self, name):
        super().__init__(lambda *_: name)
        self.name = name

    async def infer(self, columns):
        return replace(await super().infer(columns), version=self.name)


async def test_versions_share_the_records_about_as_they_should_and_stand_in_the_trail():
    versions = {"m": [Version("3"), Version("4")]}
    async with running(shared(("3", 80), ("4", 20)), models=versions) as it:
        it.read("p.a", *[{"text": "a"}] * 1_000)

        rows = await it.commit(1.0)

        assert all(row.says("headrace-models") == f"m=m@{row.document['up']}" for row in rows)
        assert 160 <= Counter(row.document["up"] for row in rows)["4"] <= 240


async def test_a_record_always_has_the_same_version():
    picks = []
    for _ in range(2):
        versions = {"m": [Version("3"), Version("4")]}
        async with running(shared(("3", 50), ("4", 50)), models=versions) as it:
            for number in range(100):
                it.tell("p.a", {"text": "a"}, id_=f"in-0-{number}")
            for number in range(100):
                it.tell("p.m.retry", {"text": "a"}, id_=f"in-0-{number}", replay=True)
            rows = await it.commit(1.0)
            picks.append({(row.id, row.document["up"]) for row in rows})

    assert len(rows) == 200
    assert picks[0] == picks[1]
    assert len(picks[0]) == 100
    assert len({up for _, up in picks[0]}) == 2


async def test_a_version_with_all_the_records_has_all():
    versions = {"m": [Version("3"), Version("4")]}
    async with running(shared(("3", 0), ("4", 100)), models=versions) as it:
        it.read("p.a", *[{"text": "a"}] * 50)

        rows = await it.commit(1.0)

        assert {row.document["up"] for row in rows} == {"4"}


async def test_a_delayed_record_comes_back_to_its_version():
    versions = {"m": [Version("3"), Version("4")]}
    async with running(shared(("3", 50), ("4", 50)), models=versions) as it:
        again = [("headrace-attempt", b"2"), ("headrace-not-before", b"%d" % (it.now_ms() + 100))]
        for number in range(20):
            it.tell("p.a", {"text": "a"}, id_=f"in-0-{number}")
            it.tell("p.m.retry", {"text": "a"}, id_=f"in-0-{number}", headers=again)

        rows = await it.commit(1.0)

        assert len(rows) == 40
        assert len({(row.id, row.document["up"]) for row in rows}) == 20


# Dead letters of steps that read in memory


class Faulty(ScriptedModel):
    """A model whose answer for some rows is broken."""

    async def infer(self, columns):
        prediction = await super().infer(columns)
        rows = [row for row, text in enumerate(columns[0]) if text.startswith("bad")]
        return Prediction(prediction.columns, "1", dict.fromkeys(rows, "not UTF-8"))


def overwriting(name, inlet, **more):
    return model(name, inlet, writes="text", **more)


@pytest.mark.parametrize("is_last", [True, False])
async def test_a_model_that_overwrites_gives_up_the_document_as_it_was_read(is_last):
    first = model("a", IN, writes="one", links=(Link("m"),))
    second = overwriting("m", fused("a"), **({"sinks": OUT} if is_last else {}))
    steps = [first, second]
    if not is_last:
        steps[1] = replace(second, links=(Link("z"),))
        steps.append(step("z", fused("m"), sinks=OUT))
    async with running(*steps, models={"m": [Faulty()]}) as it:
        it.read("in", {"text": "good"}, {"text": "bad"})

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.document) == (
            "BrokenAnswerError",
            {"text": "bad", "one": "BAD"},
        )
        assert by_topic(rows) == {"out": [{"text": "GOOD", "one": "GOOD"}]}


@pytest.mark.parametrize("topic", ["in", ""])
async def test_a_result_that_is_too_large_is_given_up_as_it_was_read(topic):
    first = model("a", IN, writes="one", links=(Link("m"),))
    inlet = fused("a") if not topic else IN
    second = overwriting("m", inlet, sinks=OUT)
    steps = [second] if topic else [first, second]
    big = ScriptedModel(lambda text: text * 1_000)
    async with running(*steps, models={"m": [big]}, sizes={"out": 1_000}) as it:
        it.read("in", {"text": "xy"})

        [letter] = letters(await it.commit())

        assert letter.error == "OversizeError"
        assert letter.document["text"] == "xy"
        assert letter.says("headrace-error-step") == "m"


async def test_a_function_that_overwrites_gives_up_the_document_as_it_was_read():
    first = model("a", IN, writes="one", links=(Link("f"),))
    second = function("f", fused("a"), sinks=(Sink("out", key="missing"),))

    def spoil(document):
        document["text"] = "spoiled"
        return document

    async with running(first, second, functions={"f": spoil}) as it:
        it.read("in", {"text": "a"})

        [letter] = letters(await it.commit())

        assert letter.error == "DocumentError"
        assert letter.document == {"text": "a", "one": "A"}


async def test_a_route_that_fails_after_the_model_gives_up_the_document_as_it_was_read():
    first = model("a", IN, writes="one", links=(Link("m"),))
    second = overwriting("m", fused("a"), routes=(("x", "text > 3"),), sinks=OUT)
    async with running(first, second) as it:
        it.read("in", {"text": "a"})

        [letter] = letters(await it.commit())

        assert letter.document == {"text": "a", "one": "A"}


async def test_a_step_after_one_that_only_goes_on_gives_up_what_that_made():
    first = model("a", IN, writes="one", links=(Link("m", fields=("one",)),))
    second = model("m", fused("a", fields=("one",)), reads="one", sinks=OUT)
    rejecting = ScriptedModel(poison=lambda _: True)
    async with running(first, second, models={"m": [rejecting]}) as it:
        it.read("in", {"text": "a"})

        [letter] = letters(await it.commit())

        assert (letter.error, letter.document) == ("InvalidInputError", {"one": "A"})
        assert letter.says("headrace-models") == "a=a@1"
        assert letter.says("headrace-error-step") == "m"
        it.send_back(letter, "m")
        it.models["m"][0]._poison = lambda _: False
        assert by_topic(await it.commit()) == {"out": [{"one": "A", "up": "A"}]}


async def test_what_a_model_wrote_before_its_answer_broke_is_not_asked_about_again():
    """A row whose answer cannot be written must not make the others go through the model twice."""
    writing = model_step(
        "m",
        [IN],
        ["text"],
        [],
        sinks=OUT,
    )
    writing = replace(writing, outputs=(OutputField("text", "y"), OutputField("meta.lang", "z")))
    adding = ScriptedModel(lambda text: (text + "!", "en"), outputs=2)
    async with running(writing, models={"m": [adding]}) as it:
        it.read("in", {"text": "a", "meta": {}}, {"text": "b", "meta": "no object"})

        rows = await it.commit()

        assert by_topic(rows) == {"out": [{"text": "a!", "meta": {"lang": "en"}}]}
        assert [letter.document for letter in letters(rows)] == [{"text": "b", "meta": "no object"}]


@pytest.mark.parametrize("outputs", [("text", "meta.lang"), ("meta.lang",)])
async def test_what_a_model_wrote_in_memory_before_its_answer_broke_is_not_there(outputs):
    first = step("a", IN, links=(Link("m"),))
    second = model("m", fused("a"), reads="meta.lang")
    second = replace(
        second,
        outputs=tuple(OutputField(path, path) for path in outputs),
        links=(Link("z"),),
    )
    last = step("z", fused("m"), sinks=OUT)
    one = lambda lang: f"{lang}!"  # noqa: E731
    adding = ScriptedModel(
        one if len(outputs) == 1 else lambda x: ("t", one(x)), outputs=len(outputs)
    )
    second = replace(
        second,
        inputs=(Input("x", "meta.lang", "BYTES", (), default="none", has_default=True),),
    )
    async with running(first, second, last, models={"m": [adding]}) as it:
        it.read("in", {"text": "a", "meta": {"lang": "en"}}, {"text": "b", "meta": "no object"})

        rows = await it.commit()

        [document] = by_topic(rows)["out"]
        assert document["meta"] == {"lang": "en!"}
        assert [letter.document for letter in letters(rows)] == [{"text": "b", "meta": "no object"}]


# In memory


async def test_steps_of_a_stage_share_no_document():
    def spoil(document):
        document["deep"].append("f")
        return document

    first = step("a", IN, links=(Link("f"), Link("g")))
    steps = [
        function("f", fused("a"), sinks=(Sink("f"),)),
        function("g", fused("a"), sinks=(Sink("g"),)),
    ]
    functions = {"f": spoil, "g": lambda document: document}
    async with running(first, *steps, functions=functions) as it:
        it.read("in", {"deep": []})

        assert by_topic(await it.commit()) == {"f": [{"deep": ["f"]}], "g": [{"deep": []}]}


async def test_outcomes_pass_all_steps_of_a_stage_without_a_call():
    first = model("m", A, links=(Link("n", tells=True),))
    second = model("n", fused("m"), links=(Link("j", tells=True),))
    third = join_step(fused("n"), derived("b"), outlets=(Outlet("p.j", tells=True),), sinks=())
    for outcome in ("dropped", "failed", "empty"):
        async with running(first, second, third) as it:
            it.tell("p.a", None, outcome=outcome)
            it.tell("p.b", {})

            assert by_topic(await it.commit()) == {"p.j": [outcome]}
            assert it.models["m"][0].calls == it.models["n"][0].calls == []
            assert it.unfinished == {}


async def test_what_was_kept_goes_through_all_steps_of_a_stage():
    kept = {"outlets": (Outlet("p.n", tells=True, kept=("id",)),)}
    first = model("m", A, links=(Link("n", tells=True),), level=1)
    second = model("n", fused("m"), level=1, **kept)
    async with running(first, second) as it:
        for index, outcome in enumerate(("dropped", "failed")):
            more = {"children": 3, "home": 0, "outcome": outcome}
            it.tell("p.a", {"id": 7}, id_=f"in-0-0/{index}", **more)
        it.tell("p.a", {"id": 7, "rest": "x"}, id_="in-0-0/2", children=3, home=0)

        rows = await it.commit()

        found = [row for row in rows if row.topic == "p.n"]
        assert sorted(row.outcome for row in found) == ["dropped", "failed", "failed"]
        assert [row.document for row in found] == [{"id": 7}] * 3


async def test_what_was_kept_is_known_of_a_record_that_was_given_up_unread():
    kept = (Outlet("p.m", tells=True, kept=("id",)),)
    async with running(model(level=1, outlets=kept)) as it:
        place = {"children": 2, "home": 0}
        expired = [("headrace-deadline", b"1")]
        it.tell("p.a", {"id": 7, "text": "secret"}, id_="in-0-0/0", headers=expired, **place)
        it.tell("p.a", b"{broken", id_="in-0-0/1", key=b"x", **place)

        rows = await it.commit()

        told = {row.id: row.value for row in rows if row.topic == "p.m"}
        assert told == {"in-0-0/0": b'{"id":7}', "in-0-0/1": None}


async def test_the_edges_of_a_step_carry_what_their_readers_need():
    first = model(
        "m", IN, links=(Link("f", fields=("up",)),), outlets=(Outlet("p.m", fields=("text",)),)
    )
    second = function("f", fused("m"), sinks=OUT)
    async with running(first, second, functions={"f": lambda document: document}) as it:
        it.read("in", {"text": "a", "rest": 1})

        assert by_topic(await it.commit()) == {"p.m": [{"text": "a"}], "out": [{"up": "A"}]}


async def test_a_record_leaves_in_one_piece_when_its_last_branch_is_done():
    slow = ScriptedModel(latency_s=(5.0, 5.0))
    first = step("a", IN, links=(Link("m"), Link("n")))
    steps = [model("m", fused("a"), sinks=OUT), model("n", fused("a"), sinks=(Sink("other"),))]
    async with running(first, *steps, models={"n": [slow]}) as it:
        it.read("in", {"text": "a"})

        assert await it.commit(4.0) == []
        assert by_topic(await it.commit(1.1)).keys() == {"out", "other"}


async def test_siblings_leave_in_the_order_of_their_list_whatever_their_calls_took():
    delays = iter([3.0, 2.0, 1.0])

    class Uneven(ScriptedModel):
        async def infer(self, columns):
            await asyncio.sleep(next(delays))
            return await super().infer(columns)

    one = BatchPolicy(1, 0.0)
    steps = [
        split("s", IN, links=(Link("m"),)),
        model("m", fused("s"), "item", sinks=OUT, level=1, batch=one),
    ]
    async with running(*steps, models={"m": [Uneven()]}) as it:
        it.read("in", {"id": 1, "items": ["a", "b", "c"]})

        rows = await it.commit(4.0)

        assert [row.document["up"] for row in rows] == ["A", "B", "C"]


async def test_a_strict_step_halts_its_lane_and_tells_nobody():
    strict = model(strict=True, outlets=(Outlet("p.m", tells=True),), sinks=OUT)
    rejecting = ScriptedModel(poison=lambda text: text == "bad")
    async with running(strict, models={"m": [rejecting]}) as it:
        it.read("p.a", {"text": "bad"}, {"text": "good"})

        assert await it.commit() == []
        assert it.place("m").counts.halted == 1


async def test_a_function_passes_drops_and_raises():
    def judge(document):
        if document["n"] < 0:
            raise ValueError("negative")
        return {"n": document["n"] + 1, "more": 1} if document["n"] else None

    outlets = (Outlet("p.f", tells=True),)
    step_ = function(reads=("n",), writes=("n",), outlets=outlets)
    async with running(step_, functions={"f": judge}) as it:
        it.read("p.a", {"n": 1, "x": 1}, {"n": 0}, {"n": -1})

        rows = await it.commit()

        assert by_topic(rows) == {"p.f": [{"n": 2, "x": 1}, "dropped", "failed"]}
        [letter] = letters(rows)
        assert (letter.error, letter.document) == ("FunctionError", {"n": -1})
        assert it.unfinished == {}


async def test_a_delayed_document_comes_back_to_its_function():
    again = [("headrace-attempt", b"2"), ("headrace-not-before", b"1001000")]
    async with running(function(sinks=OUT), functions={"f": lambda document: document}) as it:
        it.tell("p.f.retry", {"n": 1}, headers=again)
        assert await it.commit(0.9) == []

        assert by_topic(await it.commit(0.2)) == {"out": [{"n": 1}]}


async def test_a_split_and_its_gather_in_one_stage_hold_one_record():
    outlets = (Outlet("p.g", tells=True),)
    steps = [
        split("s", IN, links=(Link("m", tells=True),)),
        model("m", fused("s"), "item.text", "item.up", level=1, links=(Link("g", tells=True),)),
        gather_step(fused("m"), fields=("item.up",), outlets=outlets),
    ]
    rejecting = ScriptedModel(poison=lambda text: text == "bad")
    async with running(*steps, models={"m": [rejecting]}) as it:
        items = [{"text": "a"}, {"text": "b"}]
        it.read("in", {"id": 1, "items": items}, {"id": 2, "items": [{"text": "bad"}, *items]})

        rows = await it.commit()

        assert by_topic(rows)["out"] == [
            {"id": 1, "all": [{"item": {"up": "A"}}, {"item": {"up": "B"}}]}
        ]
        assert sorted((row.id, row.error) for row in letters(rows)) == [
            ("in-0-1", "MissingPartError"),
            ("in-0-1/0", "InvalidInputError"),
        ]
        child = next(row for row in letters(rows) if row.id == "in-0-1/0")
        assert child.document == {"id": 2, "item": {"text": "bad"}}
        assert (child.says("headrace-children"), child.says("headrace-home")) == ("3", "0")
        assert it.unfinished == {}


async def test_a_failed_child_of_one_stage_is_replayed_with_its_siblings():
    steps = [
        split("s", IN, links=(Link("m", tells=True),)),
        model("m", fused("s"), "item", level=1, links=(Link("g", tells=True),)),
        gather_step(fused("m"), fields=("up",)),
    ]
    rejecting = ScriptedModel(poison=lambda text: text == "bad")
    async with running(*steps, models={"m": [rejecting]}) as it:
        it.read("in", {"id": 1, "items": ["a", "bad", "c"]})
        letters_ = letters(await it.commit())
        rejecting._poison = lambda _: False
        for letter in letters_:
            it.send_back(letter, letter.says("headrace-error-step"))

        assert by_topic(await it.commit()) == {
            "out": [{"id": 1, "all": [{"up": "A"}, {"up": "BAD"}, {"up": "C"}]}]
        }
        assert it.unfinished == {}


async def test_an_error_in_a_timer_ends_the_stage():
    async with running(join_step(A, derived("b"), timeout_s=1.0)) as it:
        it.tell("p.a", {"id": 1})
        it.collector("j").expire = lambda: 1 / 0

        await asyncio.sleep(1.1)

        with pytest.raises(ZeroDivisionError):
            it.run.failure.result()
        it.run.failure = asyncio.get_running_loop().create_future()


async def test_a_stopped_stage_lets_no_time_run_out():
    async with running(join_step(A, derived("b"), timeout_s=1.0)) as it:
        it.tell("p.a", {"id": 1})
        it.run.stop()

        assert await it.commit(5.0) == []
        assert it.unfinished == {"p.a": 1}
