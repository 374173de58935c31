"""Which records have a lane: of those that meet exactly one."""

from dataclasses import replace

import pytest

from headrace.core.records import Record, TopicPartition
from headrace.core.steps import Inlet, Link, Ordering, SplitStep, Step
from headrace.runtime.lanes import UNORDERED, Lanes, lanes_of, reaching
from tests.unit import dags
from tests.unit.runtime.stages import derived, gather_step, join_step

A, B, C = derived("a"), derived("b"), derived("c")


def stage(*steps, root="in"):
    return dags.stage("p", root, *steps, name="s")


def step(name, *inlets, **more):
    return Step(name=name, inlets=inlets, **more)


def fused(name):
    return Inlet(name, "", name)


def drives(lanes, *ids):
    """Return the ids that have a lane."""
    place = TopicPartition("t", 0)
    records = {i: Record(place, 0, b"k", b"", 0, [("headrace-id", i.encode())]) for i in ids}
    return [i for i, each in records.items() if lanes.drives is None or lanes.drives(each)]


def test_what_a_single_step_reads_is_in_order():
    assert lanes_of(stage(step("x", Inlet("in", "in")))) == {"in": Lanes(Ordering.KEY)}


def test_the_strictest_order_of_the_steps_holds():
    steps = [
        step("x", Inlet("in", "in"), ordering=Ordering.NONE, links=(Link("y"),)),
        step("y", fused("x"), ordering=Ordering.PARTITION),
    ]

    assert lanes_of(stage(*steps)) == {"in": Lanes(Ordering.PARTITION)}


@pytest.mark.parametrize(("carrier", "topic"), [(0, "p.a"), (1, "p.b")])
def test_where_parts_meet_the_carriers_topic_is_in_order(carrier, topic):
    lanes = lanes_of(stage(join_step(A, B, carrier=carrier)))

    assert lanes == {"p.a": UNORDERED, "p.b": UNORDERED, topic: Lanes(Ordering.KEY)}


def test_of_two_joins_in_a_row_one_topic_is_in_order():
    first = join_step(A, B, name="x", links=(Link("y"),))
    second = join_step(C, fused("x"), name="y", carrier=1)

    lanes = lanes_of(stage(first, second))

    assert {topic for topic, each in lanes.items() if each is not UNORDERED} == {"p.a"}


def test_a_topic_that_meets_another_somewhere_is_not_in_order_though_it_leads_elsewhere():
    alone = step("x", B)
    lanes = lanes_of(stage(alone, join_step(A, B)))

    assert {topic for topic, each in lanes.items() if each is not UNORDERED} == {"p.a"}


def test_parts_that_come_of_one_record_need_no_second_lane():
    left = step("x", Inlet("in", "in"), links=(Link("j"),))
    right = step("y", Inlet("in", "in"), links=(Link("j", 1),))

    lanes = lanes_of(stage(left, right, join_step(fused("x"), fused("y"))))

    assert lanes == {"in": Lanes(Ordering.KEY)}


def test_of_the_children_of_a_parent_the_first_has_a_lane():
    lanes = lanes_of(stage(gather_step(C)))["p.c"]

    ids = ["in-0-1", "in-0-1/0", "in-0-1/1", "in-0-1/10"]
    assert drives(lanes, *ids) == ["in-0-1", "in-0-1/0"]


def test_inside_another_split_the_first_of_each_inner_parent_has_one():
    lanes = lanes_of(stage(gather_step(C, level=1)))["p.c"]

    ids = ["in-0-1", "in-0-1/3", "in-0-1/3/0", "in-0-1/3/1", "in-0-1/0/2"]
    assert drives(lanes, *ids) == ["in-0-1", "in-0-1/3", "in-0-1/3/0"]


def test_where_grandchildren_are_gathered_twice_only_the_very_first_has_one():
    inside = gather_step(C, name="h", split="t", level=1, links=(Link("g"),))

    lanes = lanes_of(stage(inside, gather_step(fused("h"))))["p.c"]

    ids = ["in-0-1", "in-0-1/0", "in-0-1/1", "in-0-1/0/0", "in-0-1/1/0", "in-0-1/0/1"]
    assert drives(lanes, *ids) == ["in-0-1", "in-0-1/0", "in-0-1/0/0"]


def test_children_that_are_made_and_gathered_in_one_stage_are_one_record():
    split = SplitStep(name="s", inlets=(Inlet("in", "in"),), each="x", as_="y", links=(Link("g"),))

    assert lanes_of(stage(split, gather_step(fused("s")))) == {"in": Lanes(Ordering.KEY)}


def test_retry_topics_are_not_lined_up():
    assert lanes_of(stage(join_step(A, B))).keys() == {"p.a", "p.b"}


def test_where_parts_come_from():
    first = join_step(A, B, name="x", links=(Link("y"),))
    second = join_step(C, fused("x"), name="y")

    assert reaching(stage(first, second)) == {
        "x": [{"p.a", "p.x.retry"}, {"p.b", "p.x.retry"}],
        "y": [{"p.c", "p.y.retry"}, {"p.a", "p.b", "p.x.retry", "p.y.retry"}],
    }


@pytest.mark.parametrize("pipeline", [dags.diamond, dags.pages, dags.routes, dags.records])
def test_no_two_topics_that_meet_are_in_order(pipeline):
    for each in pipeline().stages:
        for one in each.steps:
            if one.join is not None:
                topics = set().union(*reaching(each)[one.name])
                lanes = lanes_of(each)
                ordered = [t for t in topics & lanes.keys() if lanes[t] is not UNORDERED]
                assert len(ordered) == 1


def test_without_an_order_nothing_has_a_lane():
    pipeline = join_step(A, B)

    lanes = lanes_of(stage(replace(pipeline, ordering=Ordering.NONE)))

    assert {each.ordering for each in lanes.values()} == {Ordering.NONE}
