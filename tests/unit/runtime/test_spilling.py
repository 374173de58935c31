"""Parts that wait elsewhere because memory is full."""

import asyncio

from headrace.core.records import TopicPartition
from headrace.core.steps import Link, Sink
from headrace.testing import ScriptedModel
from tests.unit.runtime.stages import (
    GATHER_TOLD,
    IN,
    JOIN_RETRY,
    JOIN_TOLD,
    NOTHING,
    A,
    B,
    C,
    by_topic,
    child,
    closed_join,
    derived,
    fail,
    fused,
    gather_step,
    join_step,
    letters,
    model,
    parts_of,
    running,
    step,
)


def paused(*topics, number=0):
    return frozenset(TopicPartition(topic, number) for topic in topics)


# Parts


async def test_a_join_waits_for_a_paused_partition_only_if_a_part_is_to_come_through_it():
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {"id": 1})
        waits_for = it.run.waits_for

        assert waits_for(paused("p.b"))
        assert waits_for(paused(JOIN_RETRY))
        assert not waits_for(paused("p.a"))
        assert not waits_for(paused("p.b", number=1))
        it.tell("p.b", {"b": 1})
        assert not waits_for(paused("p.b", JOIN_RETRY))


async def test_spilled_parts_wait_in_one_record_and_meet_the_rest_when_they_come_back():
    async with running(join_step(A, B, derived("c", ("c",)))) as it:
        it.tell("p.a", {"id": 1}, headers=[("headrace-models", b"a=m@1"), ("mine", b"yes")])
        it.tell("p.c", {"c": 3})
        assert it.run.spill(1.0) == 1

        [spilled] = await it.commit()
        assert (spilled.topic, spilled.says("headrace-partial")) == (JOIN_RETRY, "join")
        assert parts_of(spilled) == {"a": "result", "c": "result"}
        assert it.unfinished == {}
        assert it.waiting == NOTHING
        it.take(spilled)
        it.tell("p.b", {"b": 2})
        assert await it.commit(0.5) == []

        [row] = await it.commit(0.6)
        assert row.document == {"id": 1, "b": 2, "c": 3}
        assert (row.says("headrace-models"), row.says("mine"), row.key) == ("a=m@1", "yes", b"k")
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_parts_that_are_spilled_again_come_back_after_twice_the_time():
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {"id": 1})
        waits = []

        for _ in range(8):
            it.run.spill(1.0)
            [spilled] = await it.commit(0)
            waits.append(int(spilled.says("headrace-not-before")) - it.now_ms())
            it.take(spilled)
            await asyncio.sleep(waits[-1] / 1e3 + 0.01)

        assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]


async def test_a_timeout_goes_on_while_parts_are_spilled():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.tell("p.a", {"id": 1})
        await asyncio.sleep(5.0)
        it.run.spill(1.0)
        [spilled] = await it.commit(0)
        it.take(spilled)

        assert await it.commit(4.9) == []
        rows = await it.commit(0.2)

        assert [letter.error for letter in letters(rows)] == ["MissingPartError"]
        assert letters(rows)[0].document["parts"][0]["document"] == {"id": 1}


async def test_the_last_are_spilled_and_the_lowest_stays():
    async with running(join_step(A, B)) as it:
        for number in (3, 0, 4, 1, 2):
            it.tell("p.a", {"id": number}, id_=f"in-0-{number}", key=None)

        assert it.run.spill(0.5) == 2

        assert sorted(row.id for row in await it.commit()) == ["in-0-3", "in-0-4"]
        assert it.run.spill(0.9) == 2
        assert it.run.spill(0.9) == 0


async def test_what_has_ended_is_not_spilled():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.take(await closed_join(it))

        assert it.run.spill(1.0) == 0
        assert not it.run.waits_for(paused("p.b"))


async def test_parts_that_no_record_can_hold_stay_in_memory():
    async with running(join_step(A, B), sizes={JOIN_RETRY: 1_000}) as it:
        it.tell("p.a", {"id": "x" * 900})
        it.tell("p.a", {"id": "y"}, id_="in-0-1", key=b"other")

        assert it.run.spill(1.0) == 1

        assert [row.id for row in await it.commit()] == ["in-0-1"]
        it.tell("p.b", {"b": 1})
        assert [row.id for row in await it.commit()] == ["in-0-0"]


async def test_a_failed_part_is_still_known_after_a_spill():
    async with running(join_step(A, B, outlets=JOIN_TOLD)) as it:
        fail(it)
        it.run.spill(1.0)
        [spilled] = await it.commit()
        it.take(spilled)
        it.tell("p.a", {"id": 1})

        rows = await it.commit(1.1)

        [told] = [row for row in rows if row.topic == "p.j"]
        assert (told.error, told.says("headrace-error-step")) == ("InvalidInputError", "b")


# Children


async def test_spilled_children_come_back_and_are_gathered_with_the_rest():
    async with running(gather_step(C, fields=("n",), outlets=GATHER_TOLD)) as it:
        child(it, 0, 3)
        child(it, 2, 3, {"id": 7}, outcome="dropped")
        it.run.spill(1.0)
        [spilled] = await it.commit()
        assert (spilled.id, spilled.topic) == ("in-0-0", "p.g.retry")
        it.take(spilled)
        await it.commit(1.1)
        it.run.spill(1.0)
        [spilled] = await it.commit()
        it.take(spilled)
        await it.commit(2.1)

        child(it, 1, 3)

        rows = await it.commit()
        assert by_topic(rows)["out"] == [{"id": 7, "all": [{"n": 0}, {"n": 1}]}]
        assert {row.id for row in rows} == {"in-0-0"}
        assert all(row.says("headrace-children") is None for row in rows)
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_spilled_children_of_an_inner_split_keep_their_place():
    async with running(gather_step(C, fields=("n",), outlets=GATHER_TOLD, level=1)) as it:
        child(it, 0, 2, parent="in-0-0/3", children="5/2", home="2/0")
        it.run.spill(1.0)
        [spilled] = await it.commit()
        it.take(spilled)
        child(it, 1, 2, parent="in-0-0/3", children="5/2", home="2/0")

        rows = await it.commit(1.1)

        [told] = [row for row in rows if row.topic == "p.g"]
        assert (told.id, told.says("headrace-children"), told.says("headrace-home")) == (
            "in-0-0/3",
            "5",
            "2",
        )


# Several groups of one record


def twice_joined():
    """Return two joins that both hold a document of a record of `in`."""
    first = step("x", IN, links=(Link("j", tells=True), Link("k", tells=True)))
    one = join_step(fused("x"), B)
    other = join_step(fused("x"), derived("c", ("c",)), name="k", sinks=(Sink("other"),))
    return first, one, other


async def test_groups_of_one_record_leave_together_and_come_back_each_for_itself():
    async with running(*twice_joined()) as it:
        it.read("in", {"id": 1})
        await it.commit()
        assert it.unfinished == {"in": 1}

        assert it.run.spill(1.0) == 2

        spilled = await it.commit()
        assert {row.topic for row in spilled} == {JOIN_RETRY, "p.k.retry"}
        assert it.unfinished == {}
        for row in spilled:
            it.take(row)
        it.tell("p.b", {"b": 2})
        assert by_topic(await it.commit(1.1)) == {"out": [{"id": 1, "b": 2}]}
        it.tell("p.c", {"c": 3})
        assert by_topic(await it.commit()) == {"other": [{"id": 1, "c": 3}]}
        assert it.unfinished == {}


async def test_of_two_records_the_later_one_leaves_first_with_all_it_holds():
    async with running(*twice_joined()) as it:
        for _ in range(2):
            it.read("in", {"id": 1})
        await it.commit()
        it.tell("p.b", {"b": 2}, id_="in-0-1")
        await it.commit()

        assert it.run.spill(0.5) == 1
        assert it.run.spill(1.0) == 2


async def test_a_group_stays_while_anything_else_of_its_record_is_on_its_way():
    first = step("x", IN, links=(Link("j", tells=True), Link("m")))
    slow = ScriptedModel(latency_s=(5.0, 5.0))
    steps = [first, join_step(fused("x"), B), model("m", fused("x"), "id", sinks=(Sink("other"),))]
    async with running(*steps, models={"m": [slow]}) as it:
        it.read("in", {"id": "a"})
        await it.commit()
        assert it.run.spill(1.0) == 0

        await it.commit(5.1)

        assert it.run.spill(1.0) == 1
        assert {row.topic for row in await it.commit()} == {JOIN_RETRY, "other"}
