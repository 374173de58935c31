from dataclasses import replace

import pytest

from headrace.core.murmur import partition_of
from headrace.core.steps import FunctionStep, Inlet, Sink, SplitStep
from headrace.core.topics import TopicKind
from headrace.core.topology import Topology
from headrace.core.whereabouts import Map, Origin
from tests.unit import dags

ORIGIN = Origin(3, b"k", {"chart_id": b"c"})


def counts_of(known: Map, count: int = 5, **others: int) -> dict[str, int]:
    return dict.fromkeys([known.source, *known.ways], count) | others


def spread_pages() -> Topology:
    pages = dags.pages()
    split, *others = pages.stages
    spread = replace(split, steps=(replace(split.steps[0], is_spread=True),))
    return replace(pages, stages=(spread, *others))


def places(known: Map, topic: str, children: int | None = None, **others: int) -> list[int]:
    counts = counts_of(known, **others)
    return list(known.partitions(known.ways[topic], ORIGIN, counts, children))


def test_every_topic_that_a_records_way_can_lead_through_is_known():
    known = Map(dags.records(), "medical.charts")

    assert {
        kind: {each.topic for each in known.ways.values() if each.kind is kind}
        for kind in (TopicKind.SINK, TopicKind.DEAD_LETTERS)
    } == {
        TopicKind.SINK: {"risk.charts"},
        TopicKind.DEAD_LETTERS: {"records.dead-letters"},
    }
    assert known.ways["records.pages.retry"].level == 0
    assert known.ways["records.codes.retry"].level == 1
    assert known.ways["records.checked"].level == 1
    assert known.ways["risk.charts"].level == 0


def test_stages_of_another_source_are_no_part_of_it():
    both = dags.topology("both", *dags.chain().stages, *dags.records().stages)

    assert set(Map(both, "in").steps) == {"a", "b", "c"}


def test_a_record_keeps_its_partition_number():
    known = Map(dags.chain(), "in")

    assert {topic: places(known, topic) for topic in known.ways} == {
        topic: [3] for topic in known.ways
    }


def test_a_sink_with_another_count_is_found_by_the_key():
    known = Map(dags.chain(), "in")

    assert places(known, "out", out=7) == [partition_of(b"k", 7)]
    without = list(known.partitions(known.ways["out"], Origin(3), counts_of(known, out=7)))
    assert without == list(range(7))


def test_a_sink_with_its_own_key_is_found_by_it():
    known = Map(dags.records(), "medical.charts")
    counts = counts_of(known)

    assert places(known, "risk.charts") == [partition_of(b"c", 5)]
    assert list(known.partitions(known.ways["risk.charts"], Origin(3, b"k"), counts)) == [*range(5)]


def test_children_that_are_spread_may_be_anywhere_until_their_number_is_known():
    known = Map(spread_pages(), "in")

    assert places(known, "pages.score") == [0, 1, 2, 3, 4]
    assert places(known, "pages.score", children=3) == [0, 3, 4]
    assert places(known, "pages.dead-letters", children=2) == [3, 4]
    assert places(known, "pages.whole.retry") == [3]
    assert places(known, "out") == [3]


def test_what_goes_home_is_not_spread():
    pages = spread_pages()
    split, score, whole = pages.stages
    step = score.steps[0]
    home = replace(step, outlets=(replace(step.outlets[0], home_level=1),))
    known = Map(replace(pages, stages=(split, replace(score, steps=(home,)), whole)), "in")

    assert places(known, "pages.score") == [3]


def test_children_of_children_that_are_spread_may_be_anywhere():
    split = spread_pages().stages[0].steps[0]
    assert isinstance(split, SplitStep)
    inner = replace(
        split,
        name="words",
        inlets=(Inlet("pages", "pages.pages", "pages"),),
        level=1,
        outlets=(replace(split.outlets[0], topic="pages.words"),),
    )
    outer = replace(split, is_spread=False)
    stages = (dags.stage("pages", "in", outer), dags.stage("pages", "in", inner))
    known = Map(dags.topology("pages", *stages), "in")

    assert places(known, "pages.pages") == [3]
    assert places(known, "pages.words", children=2) == [0, 1, 2, 3, 4]


def test_a_sink_of_several_steps_has_several_writers():
    first, second, third = dags.chain().stages
    step = replace(second.steps[0], sinks=(Sink("out"),))
    known = Map(dags.topology("chain", first, replace(second, steps=(step,)), third), "in")

    assert known.ways["out"].writers == ("b", "c")


@pytest.mark.parametrize(
    ("path", "is_unchanged"),
    [("chart_id", True), ("page", False), ("page.text", False), ("codes.first", False)],
)
def test_a_field_that_no_step_writes_is_unchanged(path, is_unchanged):
    assert Map(dags.records(), "medical.charts").unchanged(path) is is_unchanged


def test_a_function_that_may_write_anything_changes_everything():
    function = FunctionStep(name="f", inlets=(Inlet("in", "in"),), function="m:f")
    known = Map(dags.topology("f", dags.stage("f", "in", function)), "in")

    assert not known.unchanged("id")


def test_steps_know_who_reads_them_and_who_reads_what():
    known = Map(dags.diamond(), "in")
    stage = known.stage_of["both"]

    assert known.downstream({"left"}) == {"left", "both"}
    assert known.upstream("both") == {"left", "right", "both"}
    assert [step.name for step in known.reads(stage, "diamond.left")] == ["both"]
    assert [step.name for step in known.reads(stage, "diamond.both.retry")] == ["both"]
    assert known.reads(stage, "in") == []
