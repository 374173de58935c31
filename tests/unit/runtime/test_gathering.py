"""Children of a parent, where they are gathered."""

import pytest

from headrace.core.steps import (
    Inlet,
    Join,
    JoinMode,
    Link,
    OnFailed,
    OnMissing,
    SplitStep,
    Tombstones,
    Waiting,
)
from tests.unit.runtime.stages import (
    FAILURE,
    GATHER_RETRY,
    GATHER_TOLD,
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


def hole(step="b", error="InvalidInputError", message="rejected"):
    return {"failed": {"step": step, "error": error, "message": message}}


# Lists


async def test_children_are_gathered_in_the_order_of_their_list_however_they_come():
    async with running(gather_step(C, fields=("n",))) as it:
        for index in (2, 0, 3):
            child(it, index, 4)
        assert await it.commit() == []

        child(it, 1, 4)

        [row] = await it.commit()
        assert row.document == {"id": 7, "all": [{"n": 0}, {"n": 1}, {"n": 2}, {"n": 3}]}
        assert (row.id, row.says("headrace-source")) == ("in-0-0", "in/0/0")
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_an_empty_list_is_gathered_at_once():
    async with running(gather_step(C)) as it:
        it.tell("p.c", {"id": 7}, outcome="empty")

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": []}]}


async def test_an_empty_list_without_anything_kept_is_gathered_too():
    async with running(gather_step(C, keep=())) as it:
        it.tell("p.c", None, outcome="empty")

        assert by_topic(await it.commit()) == {"out": [{"all": []}]}


async def test_an_only_child_is_a_list_of_one():
    async with running(gather_step(C, fields=("n",))) as it:
        child(it, 0, 1)

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": [{"n": 0}]}]}


async def test_whole_children_are_gathered_where_no_fields_are_named():
    async with running(gather_step(C, keep=())) as it:
        child(it, 0, 1)

        assert by_topic(await it.commit()) == {"out": [{"all": [{"id": 7, "n": 0}]}]}


async def test_ten_thousand_children_are_gathered():
    count = 10_000
    async with running(gather_step(C, fields=("n",), waiting=Waiting(60.0))) as it:
        for index in reversed(range(count)):
            child(it, index, count, b'{"id":7,"n":%d}' % index)

        [row] = await it.commit()

        assert row.document["all"] == [{"n": n} for n in range(count)]
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_a_marker_of_ten_thousand_children_fits_its_topic():
    count = 10_000
    trail = [("headrace-models", b", ".join(b"step-%d=model-%d@1" % (n, n) for n in range(5)))]
    async with running(gather_step(C, fields=("n",), waiting=Waiting(60.0))) as it:
        for index in range(count - 1):
            child(it, index, count, b"{}", headers=trail)

        [marker, _] = sorted(await it.commit(61.0), key=lambda row: row.outcome != "closed")

        assert marker.outcome == "closed"
        assert len(marker.value) < 1_000_000


async def test_dropped_children_are_left_out():
    async with running(gather_step(C, fields=("n",))) as it:
        child(it, 1, 3, {"id": 7}, outcome="dropped")
        child(it, 2, 3)
        child(it, 0, 3)

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": [{"n": 0}, {"n": 2}]}]}


async def test_what_the_split_kept_is_known_though_all_children_were_dropped():
    async with running(gather_step(C)) as it:
        for index in range(2):
            child(it, index, 2, {"id": 7}, outcome="dropped")

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": []}]}


async def test_parents_do_not_share_children():
    async with running(gather_step(C, fields=("n",))) as it:
        for parent in ("in-0-0", "in-0-1"):
            child(it, 0, 2, parent=parent, key=None)
        child(it, 1, 2, parent="in-0-1", key=None)

        [row] = await it.commit()
        assert row.id == "in-0-1"


# What is not a result


@pytest.mark.parametrize(("outcome", "told"), [("dropped", "dropped"), ("failed", "failed")])
async def test_a_parent_that_was_never_split_goes_its_way(outcome, told):
    async with running(gather_step(C, outlets=GATHER_TOLD)) as it:
        it.tell("p.c", {"id": 7}, outcome=outcome, headers=FAILURE)

        rows = await it.commit()

        assert by_topic(rows) == {"p.g": [told]}
        assert [row.error for row in letters(rows)] == ["MissingPartError"] * (told == "failed")
        assert [row.document for row in rows if row.topic == "p.g"] == [{"id": 7}]


@pytest.mark.parametrize(
    ("tombstones", "written", "given_up"),
    [
        (Tombstones.FORWARD, {"out": [None], "p.g": [None]}, []),
        (Tombstones.DROP, {"p.g": ["dropped"]}, []),
        (Tombstones.DEAD_LETTER, {"p.g": ["failed"]}, ["DecodeError"]),
    ],
)
async def test_a_tombstone_that_was_never_split_goes_through_a_gather_as_its_step_says(
    tombstones, written, given_up
):
    async with running(gather_step(C, tombstones=tombstones, outlets=GATHER_TOLD)) as it:
        it.tell("p.c", None)

        rows = await it.commit()

        assert by_topic(rows) == written
        assert [row.error for row in letters(rows)] == given_up


async def test_a_failed_child_fails_its_parent_and_the_letter_has_all_children():
    async with running(gather_step(C, outlets=GATHER_TOLD)) as it:
        child(it, 0, 2, headers=[("headrace-models", b"c=m@1")])
        fail_child(it, 1, 2)

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.message) == ("MissingPartError", "failed children: 1 of 2")
        assert (letter.id, letter.says("headrace-partial")) == ("in-0-0", "gather")
        assert letter.says("headrace-children") is None
        assert letter.document["count"] == 2
        assert letter.document["parts"] == [
            {
                "from": "c",
                "outcome": "result",
                "index": 0,
                "document": {"id": 7, "n": 0},
                "models": "c=m@1",
            },
            {
                "from": "c",
                "outcome": "failed",
                "index": 1,
                "document": {"id": 7},
                "error": {"step": "b", "class": "InvalidInputError", "message": "rejected"},
            },
        ]
        [told] = [row for row in rows if row.topic == "p.g"]
        assert (told.outcome, told.document, told.error) == (
            "failed",
            {"id": 7},
            "InvalidInputError",
        )
        assert told.says("headrace-error-step") == "b"


async def test_a_failed_child_leaves_a_hole_with_its_reason_and_a_letter():
    async with running(gather_step(C, fields=("n",), on_failed=OnFailed.HOLE)) as it:
        fail_child(it, 0, 3)
        child(it, 1, 3)
        child(it, 2, 3, {"id": 7}, outcome="dropped")

        rows = await it.commit()

        assert by_topic(rows) == {"out": [{"id": 7, "all": [hole(), {"n": 1}]}]}
        assert [row.message for row in letters(rows)] == ["failed children: 0 of 3"]


async def test_a_child_that_is_no_document_failed():
    async with running(gather_step(C, keep=(), on_failed=OnFailed.HOLE)) as it:
        child(it, 0, 1, b"{broken")

        rows = await it.commit()

        [document] = by_topic(rows)["out"]
        [entry] = document["all"]
        assert (entry["failed"]["step"], entry["failed"]["error"]) == ("g", "DecodeError")
        assert len(letters(rows)) == 1


@pytest.mark.parametrize(
    ("on_missing", "written", "given_up"),
    [
        (OnMissing.DEAD_LETTER, {}, 1),
        (OnMissing.DROP, {}, 0),
        (
            OnMissing.PROCEED,
            {
                "out": [
                    {
                        "id": 7,
                        "all": [{"n": 0}, hole("g", "MissingPartError", "did not come in time")],
                    }
                ]
            },
            1,
        ),
    ],
)
async def test_a_gather_that_waited_long_enough_ends_and_remembers_that(
    on_missing, written, given_up
):
    waiting = Waiting(10.0, on_missing)
    async with running(gather_step(C, fields=("n",), waiting=waiting)) as it:
        child(it, 0, 2)
        rows = await it.commit(10.1)

        [marker] = [row for row in rows if row.outcome == "closed"]
        assert (marker.topic, marker.says("headrace-partial")) == (GATHER_RETRY, "gather")
        assert marker.document["parts"] == [{"from": "c", "outcome": "result", "index": 0}]
        assert by_topic([row for row in rows if row is not marker]) == written
        assert len(letters(rows)) == given_up
        it.take(marker)
        child(it, 1, 2)
        assert await it.commit() == []
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_late_children_wait_for_the_marker_whichever_comes_first():
    async with running(gather_step(C, waiting=Waiting(10.0))) as it:
        child(it, 0, 3)
        [marker] = [row for row in await it.commit(10.1) if row.outcome == "closed"]
    async with running(gather_step(C, waiting=Waiting(10.0))) as it:
        child(it, 1, 3)
        it.take(marker)
        assert await it.commit(60.0) == []
        child(it, 2, 3)

        assert await it.commit() == []
        assert it.unfinished == {}
        assert it.waiting == NOTHING


async def test_children_that_are_larger_than_the_step_takes_are_given_up_together():
    async with running(gather_step(C, fields=("n",), max_bytes=30, outlets=GATHER_TOLD)) as it:
        for index in range(3):
            child(it, index, 3)

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.says("headrace-partial")) == ("OversizeError", "gather")
        assert letter.message == "3 children hold 33 bytes; the step gathers 30 (max_bytes)"
        [told] = [row for row in rows if row.topic == "p.g"]
        assert (told.outcome, told.document, told.error) == ("failed", {"id": 7}, "OversizeError")


async def test_a_tombstone_among_the_children_is_null():
    async with running(gather_step(C, fields=("n",))) as it:
        child(it, 0, 2, None)
        child(it, 1, 2)

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": [None, {"n": 1}]}]}


# Several parents


def both(**more):
    inlets = (C, derived("d", ("d",)))
    waiting = more.get("waiting", Waiting())
    join = Join(more.pop("mode", JoinMode.ALL), waiting=waiting, order=(1,))
    return gather_step(*inlets, join=join, fields=("n", "d"), **more)


async def test_the_parts_of_every_child_meet_before_the_children_do():
    async with running(both()) as it:
        child(it, 1, 2, {"d": "one"}, topic="p.d")
        child(it, 0, 2)
        child(it, 1, 2)
        assert await it.commit() == []

        child(it, 0, 2, {"d": "zero"}, topic="p.d")

        [row] = await it.commit()
        assert row.document == {
            "id": 7,
            "all": [{"n": 0, "d": "zero"}, {"n": 1, "d": "one"}],
        }
        assert it.unfinished == {}


async def test_an_empty_list_is_told_by_every_parent():
    async with running(both()) as it:
        it.tell("p.d", None, outcome="empty")
        assert await it.commit() == []

        it.tell("p.c", {"id": 7}, outcome="empty")

        assert by_topic(await it.commit()) == {"out": [{"id": 7, "all": []}]}


async def test_every_child_goes_by_the_first_parent_that_has_a_result():
    async with running(both(mode=JoinMode.FIRST, on_failed=OnFailed.HOLE)) as it:
        child(it, 0, 3)
        child(it, 0, 3, outcome="dropped", topic="p.d")
        child(it, 1, 3, outcome="dropped")
        child(it, 1, 3, {"id": 7, "d": 1}, topic="p.d")
        child(it, 2, 3, outcome="dropped")
        fail_child(it, 2, 3, topic="p.d")

        rows = await it.commit()

        assert by_topic(rows) == {"out": [{"id": 7, "all": [{"n": 0}, {"d": 1}, hole()]}]}
        assert len(letters(rows)) == 1


@pytest.mark.parametrize(
    ("on_missing", "on_failed", "outcome"),
    [
        (OnMissing.DROP, OnFailed.DEAD_LETTER, []),
        (OnMissing.DEAD_LETTER, OnFailed.HOLE, ["MissingPartError"]),
        (OnMissing.PROCEED, OnFailed.DEAD_LETTER, ["MissingPartError"]),
    ],
)
async def test_a_child_of_which_a_part_did_not_come_in_time_did_not_come(
    on_missing, on_failed, outcome
):
    async with running(both(waiting=Waiting(10.0, on_missing), on_failed=on_failed)) as it:
        child(it, 0, 1)

        rows = await it.commit(10.1)

        assert [row.error for row in letters(rows)] == outcome
        is_written = on_missing is OnMissing.PROCEED
        assert ("out" in by_topic(rows)) == is_written


# Homes and nesting


async def test_the_gathered_record_is_at_home_where_its_parent_was():
    async with running(gather_step(C, outlets=GATHER_TOLD, keep=())) as it:
        child(it, 0, 1, partition=2, home=2)

        rows = await it.commit()

        assert {row.partition for row in rows} == {2}
        assert all(row.says("headrace-children") is None for row in rows)


async def test_an_inner_gather_leaves_its_parents_among_the_outer_children():
    async with running(gather_step(C, outlets=GATHER_TOLD, level=1, sinks=())) as it:
        for index in range(2):
            child(it, index, 2, parent="in-0-0/3", children="5/2", home="1/0")

        [row] = await it.commit()

        assert row.id == "in-0-0/3"
        assert (row.says("headrace-children"), row.says("headrace-home")) == ("5", "1")


def tree():
    """Return the steps of one stage that splits twice and gathers twice."""
    outer = SplitStep(
        name="s",
        inlets=(Inlet("in", "in"),),
        each="books",
        as_="book",
        keep=("id",),
        links=(Link("t", tells=True),),
    )
    inner = SplitStep(
        name="t",
        inlets=(Inlet("s", "", "s"),),
        each="book.pages",
        as_="page",
        keep=("id", "book.title"),
        level=1,
        links=(Link("h", tells=True),),
    )
    inside = gather_step(
        Inlet("t", "", "t"),
        name="h",
        split="t",
        into="pages",
        fields=("page",),
        keep=("id", "book.title"),
        level=1,
        links=(Link("g", tells=True),),
        sinks=(),
    )
    outside = gather_step(
        Inlet("h", "", "h"), into="books", fields=("book.title", "pages"), keep=("id",)
    )
    return outer, inner, inside, outside


async def test_splits_nest_in_one_stage():
    async with running(*tree()) as it:
        books = [{"title": "a", "pages": [1, 2]}, {"title": "b", "pages": []}]
        it.read("in", {"id": 1, "books": books}, {"id": 2, "books": []}, None)

        rows = await it.commit()

        assert by_topic(rows)["out"] == [
            {
                "id": 1,
                "books": [
                    {"book": {"title": "a"}, "pages": [{"page": 1}, {"page": 2}]},
                    {"book": {"title": "b"}, "pages": []},
                ],
            },
            {"id": 2, "books": []},
            None,
        ]
        assert it.unfinished == {}


async def test_two_gathers_of_one_stage_gather_what_two_splits_before_it_made():
    inside, outside = tree()[2:]
    inside = gather_step(
        C, name="h", split="t", into="pages", fields=("n",), level=1, links=inside.links, sinks=()
    )
    outside = gather_step(Inlet("h", "", "h"), into="books", fields=("pages",))
    async with running(inside, outside) as it:
        for parent in (1, 0):
            for index in range(2):
                child(it, index, 2, parent=f"in-0-0/{parent}", children="2/2", home="0/0")

        [row] = await it.commit()

        pages = {"pages": [{"n": 0}, {"n": 1}]}
        assert (row.id, row.document) == ("in-0-0", {"id": 7, "books": [pages, pages]})
        assert it.unfinished == {}
