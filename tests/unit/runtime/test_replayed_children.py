"""Children that a replay sends back, and children that cannot be."""

import pytest

from headrace.core.steps import Join, OnFailed, Waiting
from headrace.runtime.collecting import REPLAY_PATIENCE_S
from tests.unit.runtime.stages import (
    GATHER_RETRY,
    NOTHING,
    C,
    by_topic,
    child,
    derived,
    fail_child,
    gather_step,
    letters,
    running,
)

# Replays


async def failed_gather(it, count=2):
    for index in range(count - 1):
        child(it, index, count)
    fail_child(it, count - 1, count)
    [letter] = letters(await it.commit())
    return letter


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("partial_first", [True, False])
async def test_a_replayed_child_completes_its_replayed_siblings(count, partial_first):
    async with running(gather_step(C, fields=("n",))) as it:
        letter = await failed_gather(it, count)
        acts = [
            lambda: it.send_back(letter, "g"),
            lambda: child(it, count - 1, count, replay=True),
        ]
        for act in acts if partial_first else acts[::-1]:
            act()

        [row] = await it.commit()

        assert row.document == {"id": 7, "all": [{"n": n} for n in range(count)]}
        assert row.id == "in-0-0"
        assert await it.commit(REPLAY_PATIENCE_S + 1) == []
        assert (it.unfinished, it.waiting) == ({}, NOTHING)


async def test_a_replayed_child_that_fails_again_fails_its_parent_again():
    async with running(gather_step(C)) as it:
        letter = await failed_gather(it)
        it.send_back(letter, "g")
        fail_child(it, 1, 2, replay=True)

        [again] = letters(await it.commit())

        assert (again.error, again.id) == ("MissingPartError", "in-0-0")
        assert again.document["parts"] == letter.document["parts"]


async def test_a_replayed_child_of_a_parent_that_went_on_is_given_up_after_a_while():
    async with running(gather_step(C, fields=("n",), on_failed=OnFailed.HOLE)) as it:
        child(it, 1, 2, replay=True)

        [letter] = await it.commit(31.0)

        assert (letter.error, letter.says("headrace-error-step")) == ("StrayPartError", "g")
        assert letter.document["count"] == 2
        assert [part["index"] for part in letter.document["parts"]] == [1]
        it.send_back(letter, "g")
        [again] = await it.commit(31.0)
        assert again.document["parts"] == letter.document["parts"]


async def test_a_replay_that_brings_no_child_ends_by_itself_where_none_comes():
    async with running(gather_step(C, waiting=Waiting(10.0))) as it:
        it.send_back(await failed_gather(it, 1), "g")
        assert await it.commit(REPLAY_PATIENCE_S - 1) == []
        assert it.unfinished == {GATHER_RETRY: 1}

        assert await it.commit(2.0) == []

        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_children_that_come_after_such_a_replay_have_their_time():
    async with running(gather_step(C, fields=("n",), waiting=Waiting(10.0))) as it:
        fail_child(it, 0, 2)
        fail_child(it, 1, 2)
        [letter] = letters(await it.commit())
        it.send_back(letter, "g")
        await it.commit(100.0)
        child(it, 1, 2, replay=True)
        await it.commit(9.0)
        child(it, 0, 2, replay=True)

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": [{"n": 0}, {"n": 1}]}]}
        assert it.unfinished == {}


# Strays


@pytest.mark.parametrize(
    ("index", "count", "why"),
    [
        (0, 3, "inlet 0 brought in-0-0 twice"),
        (1, 4, "child 1 says that in-0-0 has 4 children, others say 3"),
        (3, 3, "child 3 of in-0-0, which has 3"),
    ],
)
async def test_a_child_that_cannot_be_is_given_up_and_the_others_go_on(index, count, why):
    async with running(gather_step(C, fields=("n",))) as it:
        child(it, 0, 3, key=None)
        child(it, index, count, key=None)

        [letter] = letters(await it.commit())
        assert (letter.error, letter.message) == ("StrayPartError", why)
        child(it, 1, 3, key=None)
        child(it, 2, 3, key=None)

        [row] = await it.commit()
        assert row.document["all"] == [{"n": n} for n in range(3)]
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_child_and_its_parent_do_not_mix():
    async with running(gather_step(C, derived("d"), join=Join())) as it:
        child(it, 0, 1)
        it.tell("p.d", {"id": 7}, outcome="empty")

        [letter] = letters(await it.commit())

        assert letter.message == "in-0-0 came as a whole and as children"
        assert letter.id == "in-0-0"


async def test_a_stray_child_alone_leaves_no_group_behind():
    async with running(gather_step(C)) as it:
        child(it, 5, 3)

        [letter] = letters(await it.commit())

        assert letter.message == "child 5 of in-0-0, which has 3"
        assert it.collector("g").waiting == 0
        assert it.unfinished == {}
