"""Parts of a record that a replay sends back, and parts that belong nowhere."""

import asyncio

import pytest

from headrace.runtime.collecting import REPLAY_GRACE_S
from tests.unit.runtime.stages import (
    DEAD,
    JOIN_RETRY,
    NOTHING,
    A,
    B,
    by_topic,
    derived,
    fail,
    join_step,
    letters,
    marker_of,
    parts_of,
    running,
)

# Replays


async def failed_join(it):
    """Have a join fail because of `b`; return its letter."""
    it.tell("p.a", {"id": 1})
    fail(it)
    [letter] = letters(await it.commit())
    return letter


@pytest.mark.parametrize("partial_first", [True, False])
async def test_a_replayed_part_completes_the_replayed_rest(partial_first):
    async with running(join_step(A, B)) as it:
        letter = await failed_join(it)
        acts = [
            lambda: it.send_back(letter, "j"),
            lambda: it.tell("p.b", {"b": 2}, replay=True),
        ]

        for act in acts if partial_first else reversed(acts):
            act()

        [row] = await it.commit()
        assert (row.topic, row.document) == ("out", {"id": 1, "b": 2})
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_replay_of_a_join_that_fails_again_leaves_a_letter_again():
    async with running(join_step(A, B)) as it:
        letter = await failed_join(it)
        it.send_back(letter, "j")
        fail(it, replay=True)

        rows = await it.commit()

        [again] = letters(rows)
        assert (again.error, again.id) == ("MissingPartError", letter.id)
        assert again.document["parts"] == letter.document["parts"]
        assert again.says("headrace-replay") == "1"
        assert it.unfinished == {}
        it.send_back(again, "j")
        it.tell("p.b", {"b": 2}, replay=True)
        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 2}]}


async def test_a_replayed_part_may_come_before_its_failure_was_worked_off():
    async with running(join_step(A, B)) as it:
        fail(it)
        it.tell("p.b", {"b": 2}, replay=True)
        it.tell("p.a", {"id": 1})

        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 2}]}
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_replayed_part_that_nobody_waits_for_is_given_up_after_a_while():
    async with running(join_step(A, B)) as it:
        it.tell("p.b", {"b": 2}, replay=True)
        assert await it.commit(REPLAY_GRACE_S - 1) == []

        [letter] = await it.commit(1.1)

        assert (letter.topic, letter.error, letter.id) == (DEAD, "StrayPartError", "in-0-0")
        assert letter.says("headrace-error-step") == "j"
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_stray_part_that_is_replayed_is_no_whole_document():
    async with running(join_step(A, B)) as it:
        it.tell("p.b", {"b": 2}, replay=True)
        [letter] = await it.commit(REPLAY_GRACE_S + 1)
        it.send_back(letter, "j")

        [again] = await it.commit(REPLAY_GRACE_S + 1)

        assert (again.topic, again.error) == (DEAD, "StrayPartError")
        assert again.document["parts"] == letter.document["parts"]


async def test_a_stray_part_meets_the_rest_where_both_are_replayed():
    async with running(join_step(A, B)) as it:
        it.tell("p.b", {"b": 2}, replay=True)
        [stray] = await it.commit(REPLAY_GRACE_S + 1)
        letter = await failed_join(it)
        it.send_back(stray, "j")
        it.send_back(letter, "j")

        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 2}]}
        assert it.unfinished == {}


async def test_a_replay_that_fails_and_that_nobody_waits_for_leaves_no_second_letter():
    async with running(join_step(A, B)) as it:
        fail(it, replay=True)

        assert await it.commit(REPLAY_GRACE_S + 1) == []
        assert it.unfinished == {}


async def test_a_part_that_is_on_its_way_keeps_a_replayed_one_waiting():
    async with running(join_step(A, B)) as it:
        it.tell("p.b", {"b": 2}, replay=True)
        await asyncio.sleep(1.0)
        it.tell("p.a", {"id": 1}, id_="in-0-0")

        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 2}]}


async def test_a_part_that_comes_to_a_replayed_one_has_the_joins_time():
    async with running(join_step(A, B, derived("c", ("c",)), timeout_s=5.0)) as it:
        it.tell("p.b", {"b": 2}, replay=True)
        await asyncio.sleep(1.0)
        it.tell("p.a", {"id": 1})

        rows = await it.commit(4.1)

        assert [letter.error for letter in letters(rows)] == ["MissingPartError"]


async def test_a_join_that_timed_out_waits_anew_where_it_is_replayed():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.tell("p.a", {"id": 1})
        rows = await it.commit(10.1)
        it.take(marker_of(rows))
        await it.commit(20.0)
        it.send_back(letters(rows)[0], "j")
        assert await it.commit(9.0) == []

        it.tell("p.b", {"b": 2})

        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 2}]}
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_late_part_that_came_before_the_replay_is_part_of_it():
    async with running(join_step(A, B, derived("c", ("c",)), timeout_s=10.0)) as it:
        it.tell("p.a", {"id": 1})
        rows = await it.commit(10.1)
        it.take(marker_of(rows))
        it.tell("p.c", {"c": 3})
        it.send_back(letters(rows)[0], "j")
        it.tell("p.b", {"b": 2})

        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 2, "c": 3}]}
        assert it.unfinished == {}


async def test_a_replayed_join_that_times_out_again_ends_again():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.tell("p.a", {"id": 1})
        rows = await it.commit(10.1)
        it.take(marker_of(rows))
        it.send_back(letters(rows)[0], "j")

        rows = await it.commit(10.1)

        [letter] = letters(rows)
        assert (letter.error, parts_of(letter)) == ("MissingPartError", {"a": "result"})
        assert it.unfinished == {}
        it.take(marker_of(rows))
        it.tell("p.b", {"b": 2})
        assert await it.commit() == []
        assert it.unfinished == {}


async def test_a_failure_that_came_with_a_replay_is_kept_over_a_spill():
    async with running(join_step(A, B, derived("c", ("c",)))) as it:
        it.tell("p.a", {"id": 1})
        it.tell("p.c", None, outcome="failed")
        fail(it)
        [letter] = letters(await it.commit())
        it.send_back(letter, "j")
        fail(it, replay=True)
        await it.commit()
        it.run.spill(1.0)
        [spilled] = await it.commit()
        it.take(spilled)
        it.tell("p.c", {"c": 3}, replay=True)

        rows = await it.commit(1.1)

        assert [row.message for row in letters(rows)] == ["b failed"]
        assert it.unfinished == {}


async def test_what_cannot_be_read_as_parts_goes_back_as_it_came():
    async with running(join_step(A, B)) as it:
        header = [("headrace-partial", b"join"), ("headrace-v", b"1")]
        parts = b'{"parts": [{"from": "renamed", "outcome": "result"}]}'
        it.read(JOIN_RETRY, parts, headers=header)

        [letter] = letters(await it.commit())

        assert letter.error == "DecodeError"
        assert letter.value == b'{"parts": [{"from": "renamed", "outcome": "result"}]}'
        assert letter.says("headrace-partial") == "join"


# Strays


async def test_a_part_that_comes_twice_is_given_up_and_the_first_one_counts():
    async with running(join_step(A, B)) as it:
        it.tell("p.b", {"b": 1})
        it.tell("p.b", {"b": 2})

        [letter] = letters(await it.commit())
        assert (letter.error, letter.message) == (
            "StrayPartError",
            "inlet 1 brought in-0-0 twice",
        )
        assert letter.document["parts"][0]["document"] == {"b": 2}
        assert it.unfinished == {"p.b": 1}

        it.tell("p.a", {"id": 1})
        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 1}]}
        assert it.waiting == NOTHING


async def test_an_undecodable_stray_part_is_given_up_as_it_was_read():
    async with running(join_step(A, B)) as it:
        it.tell("p.b", {"b": 1})
        it.tell("p.b", b"{broken")

        [letter] = letters(await it.commit())

        assert (letter.error, letter.value) == ("StrayPartError", b"{broken")
