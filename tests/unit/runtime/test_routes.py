"""Which way a record goes: routes, splits, gates, tombstones."""

import json
from collections import Counter

import pytest

from headrace.core.steps import ELSE, Link, Outlet, Sink, Tombstones
from tests.unit.runtime.stages import (
    OUT,
    by_topic,
    function,
    fused,
    letters,
    model,
    running,
    split,
    step,
)

ROUTES = (("big", "n > 3"), ("odd", "n % 2 == 1"))


def counted(rows):
    """Return topic, and outcome or document, of every record."""
    return Counter((row.topic, row.outcome or str(row.document)) for row in rows)


# Routes


def routed(**more):
    return step(
        routes=ROUTES,
        outlets=(
            Outlet("p.r.big", "big", tells=True),
            Outlet("p.r.odd", "odd", fields=("n",), tells=True),
            Outlet("p.r", tells=True),
        ),
        sinks=(Sink("odd", label="odd"), Sink("all")),
        **more,
    )


@pytest.mark.parametrize(
    ("n", "big", "odd", "sinks"),
    [
        (5, {"n": 5, "x": 1}, "dropped", {"all"}),
        (1, "dropped", {"n": 1}, {"all", "odd"}),
        (4, {"n": 4, "x": 1}, "dropped", {"all"}),
    ],
)
async def test_a_record_takes_the_first_route_that_holds_and_every_edge_is_told_once(
    n, big, odd, sinks
):
    async with running(routed()) as it:
        it.tell("p.a", {"n": n, "x": 1})

        found = by_topic(await it.commit())

        assert (found.pop("p.r.big"), found.pop("p.r.odd")) == ([big], [odd])
        assert found.pop("p.r") == [{"n": n, "x": 1}]
        assert found.keys() == sinks
        assert it.place("r").counts.unmatched == 0


async def test_a_record_that_matches_no_route_is_dropped_counted_and_told_once():
    async with running(routed()) as it:
        it.tell("p.a", {"n": 2})

        assert by_topic(await it.commit()) == {
            "p.r.big": ["dropped"],
            "p.r.odd": ["dropped"],
            "p.r": ["dropped"],
        }
        counts = it.place("r").counts
        assert (counts.unmatched, counts.dropped, counts.results) == (1, 1, 0)
        assert it.stats.dropped == 1


@pytest.mark.parametrize("outcome", ["dropped", "failed", "empty"])
async def test_an_outcome_goes_to_every_route_once(outcome):
    async with running(routed()) as it:
        it.tell("p.a", None, outcome=outcome)

        assert by_topic(await it.commit()) == {
            "p.r.big": [outcome],
            "p.r.odd": [outcome],
            "p.r": [outcome],
        }


async def test_a_route_that_cannot_be_decided_fails_the_record():
    async with running(routed()) as it:
        it.tell("p.a", {"n": "five"})

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.document) == ("DocumentError", {"n": "five"})
        assert by_topic(rows) == {f"p.r{label}": ["failed"] for label in ("", ".big", ".odd")}
        assert it.unfinished == {}


async def test_else_takes_the_rest():
    routes = (("big", "n > 3"), ("rest", ELSE))
    sinks = (Sink("big", label="big"), Sink("rest", label="rest"))
    async with running(step(routes=routes, sinks=sinks)) as it:
        it.read("p.a", {"n": 5}, {"n": 1})

        assert by_topic(await it.commit()) == {"big": [{"n": 5}], "rest": [{"n": 1}]}


async def test_an_edge_that_nobody_waits_behind_is_told_nothing():
    outlets = (Outlet("p.r.big", "big"), Outlet("p.r.odd", "odd"))
    async with running(step(routes=ROUTES, outlets=outlets)) as it:
        it.read("p.a", {"n": 1}, {"n": 2})
        it.tell("p.a", None, outcome="failed", id_="in-0-8")

        assert by_topic(await it.commit()) == {"p.r.odd": [{"n": 1}]}


async def test_routes_in_memory_tell_each_step_once():
    seen = {"big": [], "odd": []}
    router = step(
        routes=ROUTES,
        links=(Link("b", label="big", tells=True), Link("o", label="odd", fields=("n",))),
    )
    big = function("b", fused("r", "big"), outlets=(Outlet("p.b", tells=True),))
    odd = function("o", fused("r", "odd"), sinks=OUT)
    functions = {"b": lambda d: seen["big"].append(d) or d, "o": seen["odd"].append}
    async with running(router, big, odd, functions=functions) as it:
        it.read("p.a", *({"n": n, "x": 1} for n in (5, 1, 2)))

        rows = await it.commit()

        assert seen == {"big": [{"n": 5, "x": 1}], "odd": [{"n": 1}]}
        assert by_topic(rows) == {"p.b": [{"n": 5, "x": 1}, "dropped", "dropped"]}
        assert it.unfinished == {}


async def test_children_take_the_route_that_holds_for_each():
    routes = (("big", "item > 3"), ("rest", ELSE))
    outlets = (
        Outlet("p.s.big", "big", tells=True, kept=("id",)),
        Outlet("p.s.rest", "rest", tells=True, kept=("id",)),
    )
    async with running(split(routes=routes, outlets=outlets)) as it:
        it.tell("p.a", {"id": 1, "items": [5, 1]})

        rows = await it.commit()

        assert counted(rows) == {
            ("p.s.big", str({"id": 1, "item": 5})): 1,
            ("p.s.big", "dropped"): 1,
            ("p.s.rest", str({"id": 1, "item": 1})): 1,
            ("p.s.rest", "dropped"): 1,
        }
        assert {row.id for row in rows} == {"in-0-0/0", "in-0-0/1"}
        assert all(row.document["id"] == 1 for row in rows)
        assert it.unfinished == {}


async def test_a_list_of_one_element_too_many_is_given_up_whole():
    outlets = (Outlet("p.s", tells=True, kept=("id",)),)
    async with running(split(max_children=2, outlets=outlets)) as it:
        it.tell("p.a", {"id": 1, "items": [1, 2, 3]})

        rows = await it.commit()

        [letter] = letters(rows)
        assert letter.message == "field 'items' has 3 elements; the step splits 2 (max_children)"
        assert letter.document == {"id": 1, "items": [1, 2, 3]}
        [told] = [row for row in rows if row.topic == "p.s"]
        assert (told.outcome, told.id, told.document) == ("failed", "in-0-0", {"id": 1})


@pytest.mark.parametrize("items", ["text", None, {}, 3])
async def test_what_is_no_list_cannot_be_split(items):
    async with running(split(sinks=OUT)) as it:
        it.tell("p.a", {"id": 1, "items": items})

        [letter] = letters(await it.commit())

        assert letter.error == "DocumentError"
        assert "'items' is to be split and must be a list" in letter.message


async def test_a_child_that_is_too_large_fails_the_whole_record():
    async with running(split(outlets=(Outlet("p.s", tells=True),)), sizes={"p.s": 1_000}) as it:
        it.tell("p.a", {"id": 1, "items": ["a", "b" * 900]})

        rows = await it.commit()

        assert [letter.error for letter in letters(rows)] == ["OversizeError"]
        assert by_topic(rows) == {"p.s": ["failed"]}
        assert it.unfinished == {}


async def test_children_share_nothing_with_each_other():
    def spoil(document):
        document["id"]["deep"].append(document["item"])
        return document

    steps = [split(links=(Link("f"),)), function("f", fused("s"), sinks=OUT, level=1)]
    async with running(*steps, functions={"f": spoil}) as it:
        it.tell("p.a", {"id": {"deep": []}, "items": [1, 2]})

        assert by_topic(await it.commit()) == {
            "out": [
                {"id": {"deep": [1]}, "item": 1},
                {"id": {"deep": [2]}, "item": 2},
            ]
        }


async def test_spread_children_go_round_the_partitions_and_know_their_home():
    outlets = (Outlet("p.s"),)
    async with running(split(is_spread=True, outlets=outlets)) as it:
        it.tell("p.a", {"id": 1, "items": list("abcdef")}, partition=2)

        rows = await it.commit()

        assert [row.partition for row in rows] == [2, 3, 0, 1, 2, 3]
        assert {row.says("headrace-home") for row in rows} == {"2"}
        assert {row.says("headrace-children") for row in rows} == {"6"}


async def test_spread_children_go_home_where_they_are_gathered():
    outlets = (Outlet("p.m", home_level=1),)
    async with running(model(level=1, outlets=outlets)) as it:
        headers = {"children": 6, "home": 2, "partition": 0}
        it.tell("p.a", {"text": "a"}, id_="in-2-0/4", **headers)

        [row] = await it.commit()

        assert (row.partition, row.id, row.says("headrace-home")) == (2, "in-2-0/4", "2")


# Gates


async def test_a_gate_lets_through_what_holds_and_tells_of_the_rest():
    async with running(step(when="n > 3", sinks=OUT, outlets=(Outlet("p.r", tells=True),))) as it:
        it.read("p.a", {"n": 5}, {"n": 1})

        found = by_topic(await it.commit())

        assert found == {"out": [{"n": 5}], "p.r": [{"n": 5}, "dropped"]}
        assert it.place("r").counts.dropped == 1


@pytest.mark.parametrize("value", [{"n": "five"}, {}, b"{broken"])
async def test_a_gate_that_cannot_be_decided_fails_the_record(value):
    async with running(step(when="n > 3", sinks=OUT)) as it:
        it.tell("p.a", value)

        [letter] = letters(await it.commit())

        assert letter.error in ("DocumentError", "DecodeError")
        assert letter.value == (
            value if isinstance(value, bytes) else json.dumps(value).encode().replace(b" ", b"")
        )


async def test_a_gate_is_not_asked_of_outcomes():
    async with running(step(when="n > 3", outlets=(Outlet("p.r", tells=True),), sinks=OUT)) as it:
        it.tell("p.a", None, outcome="empty")
        it.tell("p.a", None, id_="in-0-1")

        assert by_topic(await it.commit()) == {"p.r": ["empty", None], "out": [None]}


# Tombstones


@pytest.mark.parametrize(
    ("tombstones", "written", "given_up"),
    [
        (Tombstones.FORWARD, {"out": [None], "p.m": [None]}, []),
        (Tombstones.DROP, {"p.m": ["dropped"]}, []),
        (Tombstones.DEAD_LETTER, {"p.m": ["failed"]}, ["DecodeError"]),
    ],
)
async def test_a_tombstone_goes_past_the_model_as_its_step_says(tombstones, written, given_up):
    outlets = (Outlet("p.m", tells=True),)
    async with running(model(tombstones=tombstones, outlets=outlets, sinks=OUT)) as it:
        it.tell("p.a", None)

        rows = await it.commit()

        assert by_topic(rows) == written
        assert [letter.error for letter in letters(rows)] == given_up
        assert it.models["m"][0].calls == []


async def test_a_tombstone_goes_on_in_memory_though_nobody_waits():
    steps = [model("m", links=(Link("n"),)), model("n", fused("m"), sinks=OUT)]
    async with running(*steps) as it:
        it.tell("p.a", None)

        assert by_topic(await it.commit()) == {"out": [None]}
