"""Parts of a record where they wait for each other at a join."""

import asyncio
import json

import pytest

from headrace.core.steps import JoinMode, OnMissing, Tombstones
from tests.unit.runtime.stages import (
    DEAD,
    JOIN_RETRY,
    JOIN_TOLD,
    NOTHING,
    OPTIONAL,
    OUT,
    A,
    B,
    by_topic,
    closed_join,
    derived,
    fail,
    join_step,
    letters,
    marker_of,
    parts_of,
    running,
)

# All


async def test_a_join_waits_for_every_part_and_makes_one_document_of_them():
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {"id": 1, "a": 2})
        assert await it.commit() == []
        assert it.waiting == (1, 14, 1, 14)

        it.tell("p.b", {"b": 3, "not": "carried"})

        [row] = await it.commit()
        assert (row.topic, row.document) == ("out", {"id": 1, "a": 2, "b": 3})
        assert it.unfinished == {}
        assert it.waiting == NOTHING


@pytest.mark.parametrize("order", ["abc", "cba", "bac"])
@pytest.mark.parametrize(("prefer", "wins"), [(1, "b"), (2, "c")])
async def test_the_preferred_part_wins_in_whatever_order_the_parts_come(order, prefer, wins):
    inlets = [A, derived("b", ("x", "b")), derived("c", ("x", "c"))]
    async with running(join_step(*inlets, prefer=prefer)) as it:
        for name in order:
            it.tell(f"p.{name}", {"x": name, name: 1})

        [row] = await it.commit()

        assert row.document == {"x": wins, "a": 1, "b": 1, "c": 1}


async def test_records_of_other_ids_and_partitions_do_not_meet():
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {"id": 1})
        it.tell("p.b", {"b": 1}, id_="in-0-1")
        it.tell("p.b", {"b": 1}, partition=1)

        assert await it.commit() == []
        assert it.collector("j").waiting == 3


async def test_the_carrier_gives_key_partition_and_headers():
    async with running(join_step(B, A, carrier=1)) as it:
        it.tell("p.b", {"b": 1}, key=b"other", partition=2, headers=[("who", b"b")])
        it.tell("p.a", {"id": 1}, key=b"mine", partition=2, headers=[("who", b"a")])

        [row] = await it.commit()

        assert (row.key, row.partition, row.says("who")) == (b"mine", 2, "a")


async def test_the_models_of_all_parts_stand_in_the_trail_each_once():
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {}, headers=[("headrace-models", b"x=m@1, a=n@2")])
        it.tell("p.b", {}, headers=[("headrace-models", b"x=m@1, b=o@3")])

        [row] = await it.commit()

        assert row.says("headrace-models") == "x=m@1, a=n@2, b=o@3"


async def test_a_needed_part_that_was_dropped_drops_the_record_and_whoever_waits_is_told():
    async with running(join_step(A, B, outlets=JOIN_TOLD)) as it:
        it.tell("p.a", {"id": 1})
        it.tell("p.b", None, outcome="dropped")

        assert by_topic(await it.commit()) == {"p.j": ["dropped"]}


async def test_a_needed_part_that_failed_leaves_a_letter_with_the_parts_that_came():
    async with running(join_step(A, B, outlets=JOIN_TOLD)) as it:
        it.tell("p.a", {"id": 1}, headers=[("headrace-models", b"a=m@1")])
        fail(it)

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.message) == ("MissingPartError", "b failed")
        assert letter.says("headrace-error-step") == "j"
        assert letter.says("headrace-partial") == "join"
        assert letter.id == "in-0-0"
        assert letter.document["count"] is None
        assert letter.document["parts"] == [
            {"from": "a", "outcome": "result", "document": {"id": 1}, "models": "a=m@1"},
            {
                "from": "b",
                "outcome": "failed",
                "error": {"step": "b", "class": "InvalidInputError", "message": "rejected"},
            },
        ]
        [told] = [row for row in rows if row.topic == "p.j"]
        assert (told.outcome, told.says("headrace-error-step")) == ("failed", "b")
        assert told.error == "InvalidInputError"
        assert it.stats.dead_lettered == 1


async def test_an_optional_part_that_was_dropped_may_be_absent():
    async with running(join_step(A, OPTIONAL)) as it:
        it.tell("p.b", None, outcome="dropped")
        it.tell("p.a", {"id": 1})

        assert by_topic(await it.commit()) == {"out": [{"id": 1}]}


@pytest.mark.parametrize(
    ("on_missing", "written", "given_up"),
    [
        (OnMissing.DEAD_LETTER, {}, ["MissingPartError"]),
        (OnMissing.DROP, {}, []),
        (OnMissing.PROCEED, {"out": [{"id": 1}]}, ["MissingPartError"]),
    ],
)
async def test_an_optional_part_that_failed_follows_on_missing(on_missing, written, given_up):
    async with running(join_step(A, OPTIONAL, on_missing=on_missing)) as it:
        it.tell("p.a", {"id": 1})
        fail(it)

        rows = await it.commit()

        assert by_topic(rows) == written
        assert [letter.error for letter in letters(rows)] == given_up


async def test_a_part_that_is_no_document_fails_the_join_and_says_so():
    async with running(join_step(A, B, outlets=JOIN_TOLD)) as it:
        it.tell("p.a", b"{broken")
        it.tell("p.b", {"b": 1})

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.message) == ("MissingPartError", "a failed")
        assert parts_of(letter) == {"a": "failed", "b": "result"}
        [told] = [row for row in rows if row.topic == "p.j"]
        assert told.error == "DecodeError"


# First


async def test_a_join_of_the_first_waits_for_all_and_takes_the_first_listed():
    async with running(join_step(A, derived("b"), mode=JoinMode.FIRST)) as it:
        it.tell("p.b", {"by": "b"})
        assert await it.commit() == []

        it.tell("p.a", {"by": "a"})

        assert by_topic(await it.commit()) == {"out": [{"by": "a"}]}
        assert it.unfinished == {}


@pytest.mark.parametrize("outcome", ["dropped", "failed"])
async def test_a_join_of_the_first_takes_the_next_where_one_has_no_result(outcome):
    async with running(join_step(A, derived("b"), mode=JoinMode.FIRST)) as it:
        it.tell("p.a", None, outcome=outcome)
        it.tell("p.b", {"by": "b"})

        rows = await it.commit()

        assert by_topic(rows) == {"out": [{"by": "b"}]}
        assert letters(rows) == []


@pytest.mark.parametrize("on_missing", list(OnMissing))
async def test_a_join_of_the_first_without_a_result_fails_if_any_failed(on_missing):
    step = join_step(A, derived("b"), mode=JoinMode.FIRST, on_missing=on_missing, outlets=JOIN_TOLD)
    async with running(step) as it:
        fail(it)
        it.tell("p.a", None, outcome="dropped")

        rows = await it.commit()

        assert by_topic(rows) == {"p.j": ["failed"]}
        assert [letter.error for letter in letters(rows)] == ["MissingPartError"]


async def test_a_join_of_the_first_without_a_result_is_dropped_if_none_failed():
    async with running(join_step(A, B, mode=JoinMode.FIRST, outlets=JOIN_TOLD)) as it:
        it.tell("p.a", None, outcome="dropped")
        it.tell("p.b", None, outcome="dropped")

        assert by_topic(await it.commit()) == {"p.j": ["dropped"]}


# Tombstones


@pytest.mark.parametrize("mode", list(JoinMode))
@pytest.mark.parametrize(
    ("tombstones", "written", "given_up"),
    [
        (Tombstones.FORWARD, {"out": [None], "p.j": [None]}, []),
        (Tombstones.DROP, {"p.j": ["dropped"]}, []),
        (Tombstones.DEAD_LETTER, {"p.j": ["failed"]}, ["DecodeError"]),
    ],
)
async def test_tombstones_go_through_a_join_as_its_step_says(mode, tombstones, written, given_up):
    step = join_step(A, B, mode=mode, tombstones=tombstones, outlets=JOIN_TOLD)
    async with running(step) as it:
        it.tell("p.a", None)
        assert await it.commit() == []

        it.tell("p.b", None)

        rows = await it.commit()
        assert by_topic(rows) == written
        assert [letter.error for letter in letters(rows)] == given_up
        assert it.unfinished == {}


# Timeouts


@pytest.mark.parametrize(
    ("on_missing", "written", "given_up"),
    [
        (OnMissing.DEAD_LETTER, {}, ["MissingPartError"]),
        (OnMissing.DROP, {}, []),
        (OnMissing.PROCEED, {"out": [{"id": 1}]}, ["MissingPartError"]),
    ],
)
async def test_a_join_that_waited_long_enough_ends_and_marks_that_it_did(
    on_missing, written, given_up
):
    async with running(join_step(A, OPTIONAL, timeout_s=10.0, on_missing=on_missing)) as it:
        it.tell("p.a", {"id": 1}, partition=3)
        assert await it.commit(9.9) == []

        rows = await it.commit(0.2)

        marker = marker_of(rows)
        assert (marker.topic, marker.partition, marker.id) == (JOIN_RETRY, 3, "in-0-0")
        assert marker.says("headrace-partial") == "join"
        assert parts_of(marker) == {"a": "result"}
        assert "document" not in marker.document["parts"][0]
        assert by_topic([row for row in rows if row is not marker]) == written
        assert [letter.error for letter in letters(rows)] == given_up
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_join_without_a_timeout_waits_for_hours():
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {"id": 1})
        assert await it.commit(2 * 3_600.0) == []
        assert it.unfinished == {"p.a": 1}

        it.tell("p.b", {"b": 1})

        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 1}]}


async def test_the_marker_leaves_with_the_record_that_was_waiting_in_one_commit():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        [record] = it.tell("p.a", {"id": 1})
        await asyncio.sleep(10.1)

        topics = [row[0] for row in record.output]

        assert sorted(topics) == [DEAD, JOIN_RETRY]


async def test_a_late_part_is_finished_with_the_marker_and_nothing_is_written():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.take(await closed_join(it))
        assert await it.commit() == []
        assert it.unfinished == {JOIN_RETRY: 1}

        it.tell("p.b", {"b": 1})

        assert await it.commit() == []
        assert it.unfinished == {}
        assert it.collector("j").late == 1


async def test_a_late_part_that_comes_before_the_marker_is_read_back_starts_nothing():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        marker = await closed_join(it)
        it.tell("p.b", {"b": 1})
        assert await it.commit(100.0) == []
        assert it.unfinished == {"p.b": 1}

        it.take(marker)

        assert await it.commit() == []
        assert it.unfinished == {}


async def test_a_marker_waits_for_all_late_parts():
    async with running(join_step(A, B, derived("c", ("c",)), timeout_s=10.0)) as it:
        it.take(await closed_join(it))
        it.tell("p.c", {"c": 1})
        await it.commit(100.0)
        assert it.unfinished == {JOIN_RETRY: 1, "p.c": 1}

        it.tell("p.b", None, outcome="dropped")

        assert await it.commit() == []
        assert it.unfinished == {}


async def test_an_end_is_forgotten_when_it_was_remembered_long_enough():
    async with running(join_step(A, B, timeout_s=10.0, late_after_s=60.0)) as it:
        it.take(await closed_join(it))
        await it.commit(49.0)
        assert it.unfinished == {JOIN_RETRY: 1}

        assert await it.commit(1.5) == []

        assert it.unfinished == {}
        assert it.collector("j").waiting == 0


async def test_after_a_crash_the_marker_is_remembered_from_its_record():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        marker = await closed_join(it)
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.tell("p.b", {"b": 1})
        it.take(marker)

        assert await it.commit(100.0) == []
        assert it.unfinished == {}


async def test_after_a_crash_before_the_commit_the_parts_wait_again():
    for _ in range(2):
        async with running(join_step(A, B, timeout_s=10.0)) as it:
            it.tell("p.a", {"id": 1})
            await asyncio.sleep(9.0)
            assert it.unfinished == {"p.a": 1}
            assert await it.commit(0) == []


async def test_a_drop_of_the_ledgers_forgets_what_waits_and_what_ended():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.tell("p.a", {"id": 1})
        it.tell("p.a", {"id": 2}, id_="in-0-1")
        await asyncio.sleep(5.0)
        it.tell("p.a", {"id": 3}, id_="in-0-2")
        await asyncio.sleep(5.1)  # two have ended, their markers are not written
        for ledger in it.ledgers.values():
            ledger.drop()

        it.run.forget_dropped()

        assert it.collector("j").waiting == 0
        it.ledgers.clear()
        it.tell("p.a", {"id": 1})
        it.tell("p.b", {"b": 1})
        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 1}]}


async def test_a_part_whose_ledger_was_dropped_while_it_was_on_its_way_meets_nobody():
    """A call in the same stage may end after its partition has gone and come back."""
    async with running(join_step(A, B)) as it:
        it.tell("p.a", {"id": 1})
        collector = it.collector("j")
        [group] = collector.groups
        [late] = [part.content for part in group.parts.values()]
        for ledger in it.ledgers.values():
            ledger.drop()
        it.run.forget_dropped()
        it.ledgers.clear()

        assert collector.add([late], 0) == []
        assert collector.waiting == 0
        it.tell("p.a", {"id": 1})
        it.tell("p.b", {"b": 1})
        assert by_topic(await it.commit()) == {"out": [{"id": 1, "b": 1}]}


async def test_only_the_id_that_waited_too_long_ends():
    async with running(join_step(A, B, timeout_s=10.0)) as it:
        it.tell("p.a", {"id": 1})
        await asyncio.sleep(5.0)
        it.tell("p.a", {"id": 2}, id_="in-0-1")

        assert [row.id for row in letters(await it.commit(5.1))] == ["in-0-0"]
        assert [row.id for row in letters(await it.commit(5.1))] == ["in-0-1"]


# Books


async def test_what_waits_is_counted_and_counted_off_however_it_ends():
    async with running(join_step(A, B, derived("c", ("c",)), timeout_s=10.0)) as it:
        fail(it)
        it.tell("p.b", {"b": "x" * 10}, replay=True)
        size = len(json.dumps({"b": "x" * 10}, separators=(",", ":")))
        assert it.waiting == (2, size, 1, size)

        await it.commit(10.1)

        assert it.waiting == NOTHING
        assert OUT
