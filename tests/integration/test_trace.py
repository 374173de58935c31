"""The trail of one record, read from a real broker."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient

from headrace.cli.trails import as_text
from headrace.core.hops import HopKind
from headrace.core.topology import Topology
from headrace.errors import ConfigError, OffsetOutOfRangeError
from headrace.kafka.tracing import Trail, trace
from tests.integration.by_hand import ByHand
from tests.integration.stories import NOON, Story
from tests.unit import dags

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

MINUTE = 60_000


@pytest.fixture
def stage_of(bootstrap: str, unique: Callable[[str], str]) -> Iterator[Callable[..., ByHand]]:
    made: list[ByHand] = []

    def make(topology: Topology, partitions: int = 2) -> ByHand:
        name = unique(topology.pipeline).replace("_", "-")[-40:].lstrip("-")
        made.append(ByHand(bootstrap, dags.renamed(topology, name), partitions))
        return made[-1]

    yield make
    for each in made:
        each.close()


def traced(story: Story, child: str = "", within_s: float = 600.0) -> Trail:
    story.flush()
    id_ = f"{story.id}/{child}" if child else story.id
    return asyncio.run(trace(story.topology, id_, within_s))


def states(trail: Trail) -> list[tuple[list[str], str]]:
    root = trail.story.id
    return [([each.removeprefix(root) for each in s.ids], s.words) for s in trail.states]


def hops(trail: Trail) -> list[tuple[str, str]]:
    return [(hop.kind.value, hop.step) for hop in trail.story.hops]


def finish_all(scene: ByHand, partition: int = 0) -> None:
    """Let every stage have finished everything that is there."""
    for stage in scene.topology.stages:
        for topic in stage.topics:
            count = scene.__dict__["offsets"][topic, partition]
            if count:
                scene.finish(stage.name, topic, count, partition=partition)


def test_a_record_is_followed_from_its_source_through_every_topic_to_the_sink(stage_of):
    scene = stage_of(dags.chain())
    story = Story(scene, partition=1)
    story.source({"text": "x"})
    story.derived("a", models="a=a@1")
    story.derived("b", models="a=a@1, b=b@2")
    story.sink("out", models="a=a@1, b=b@2, c=c@3")
    story.flush()
    finish_all(scene, partition=1)

    trail = traced(story)

    assert hops(trail) == [("source", ""), ("derived", "a"), ("derived", "b"), ("sink", "c")]
    assert [hop.models for hop in trail.story.hops] == [(), ("a=a@1",), ("b=b@2",), ("c=c@3",)]
    assert [hop.at_ms for hop in trail.story.hops] == [NOON, NOON + 1000, NOON + 2000, None]
    assert {hop.place.partition for hop in trail.story.hops} == {1}
    assert (trail.states, trail.lost) == ([], [])
    assert trail.read == 4


def test_a_record_that_nobody_has_read_waits_at_the_first_step(stage_of):
    story = Story(stage_of(dags.chain()))
    story.source()

    trail = traced(story)

    assert hops(trail) == [("source", "")]
    assert states(trail) == [([""], "not finished by step a yet")]


def test_a_record_that_a_step_finished_without_a_trace_was_dropped(stage_of):
    scene = stage_of(dags.chain())
    story = Story(scene)
    story.source()
    story.derived("a")
    story.flush()
    finish_all(scene)

    trail = traced(story)

    assert states(trail) == [
        (
            [""],
            "finished by step b without a result (a gate, a route or a tombstone that is dropped)",
        )
    ]


def test_a_join_says_which_part_it_waits_for(stage_of):
    scene = stage_of(dags.diamond())
    story = Story(scene)
    story.source()
    story.derived("left", models="left=left@1")
    story.flush()
    scene.finish("left", f"{story.name}.in", 1)

    trail = traced(story)

    assert states(trail) == [
        ([""], "not finished by step right yet"),
        ([""], "waiting at step both for: right"),
    ]


def test_a_retry_is_a_hop_with_its_attempt(stage_of):
    scene = stage_of(dags.chain())
    story = Story(scene)
    story.source()
    story.retry("a", attempt=2, not_before=NOON + 30_000)
    story.flush()
    scene.finish("a", f"{story.name}.in", 1)

    trail = traced(story)

    (_, retry) = trail.story.hops
    assert (retry.kind, retry.attempt, retry.not_before_ms) == (HopKind.RETRY, 2, NOON + 30_000)
    assert states(trail) == [([""], "waiting at step a for attempt 2")]


def test_a_gather_says_which_children_it_waits_for(stage_of):
    scene = stage_of(dags.pages())
    story = Story(scene)
    story.source()
    for index in range(3):
        story.derived("pages", child=f"{index}", counts="3")
    story.derived("score", child="0", counts="3", models="score=score@1")
    story.derived("score", child="2", counts="3", outcome="dropped")
    story.flush()
    scene.finish("pages", f"{story.name}.in", 1)
    scene.finish("score", f"{story.name}.pages", 1)

    trail = traced(story)

    assert [child.id.removeprefix(story.id) for child in trail.story.children] == ["/0", "/1", "/2"]
    assert states(trail) == [
        (["/1", "/2"], "waiting at step score"),
        ([""], "waiting at step whole for child 1 of 3"),
    ]


def test_a_child_alone_is_shown_with_what_it_came_from(stage_of):
    scene = stage_of(dags.pages())
    story = Story(scene)
    story.source()
    for index in range(3):
        story.derived("pages", child=f"{index}", counts="3")
    story.derived("score", child="1", counts="3", models="score=score@1")

    trail = traced(story, child="1")

    (child,) = trail.story.children
    assert hops(trail) == [("source", "")]
    assert [(hop.kind.value, hop.step) for hop in child.hops] == [
        ("derived", "pages"),
        ("derived", "score"),
    ]


def fail_and_replay(story: Story) -> None:
    """Let one of two branches fail, the join with it, and both succeed after a replay."""
    story.source()
    story.derived("left", models="left=left@1")
    why = ("right", "InvalidInputError", "bad")
    first = story.letter("right", "InvalidInputError")
    story.derived("right", outcome="failed", error=why)
    parts = [
        {"from": "left", "outcome": "result", "document": {"l": 1}},
        {"from": "right", "outcome": "failed", "error": {"step": "right", "class": why[1]}},
    ]
    second = story.letter("both", "MissingPartError", partial="join", parts=parts)
    hour = NOON + 60 * MINUTE
    story.mark(first, at=hour)
    story.mark(second, at=hour)
    story.retry("right", is_replay=True)
    story.retry("both", is_replay=True, partial="join", parts=parts)


def test_a_replay_is_followed_to_the_result(stage_of):
    scene = stage_of(dags.diamond())
    story = Story(scene)
    fail_and_replay(story)
    story.derived("right", is_replay=True, models="right=right@2")
    story.sink("out", models="left=left@1, right=right@2, both=both@1")
    story.flush()
    finish_all(scene)

    trail = traced(story)

    assert hops(trail) == [
        ("source", ""),
        ("derived", "left"),
        ("dead_letter", "right"),
        ("derived", "right"),
        ("dead_letter", "both"),
        ("replayed", ""),
        ("replayed", ""),
        ("retry", "right"),
        ("retry", "both"),
        ("derived", "right"),
        ("sink", "both"),
    ]
    assert trail.states == []


def test_what_was_sent_back_and_not_taken_yet_waits(stage_of):
    scene = stage_of(dags.diamond())
    story = Story(scene)
    fail_and_replay(story)
    story.flush()
    for stage, topic, count in [
        ("left", "in", 1),
        ("right", "in", 1),
        ("both", "left", 1),
        ("both", "right", 1),
    ]:
        scene.finish(stage, f"{story.name}.{topic}", count)

    trail = traced(story)

    assert states(trail) == [
        ([""], "waiting at step right again after a replay"),
        ([""], "waiting at step both for: right"),
    ]


def test_open_dead_letters_are_where_it_stands(stage_of):
    scene = stage_of(dags.chain())
    story = Story(scene)
    story.source()
    story.letter("a", "InvalidInputError", "no text")
    story.flush()
    finish_all(scene)

    assert states(traced(story)) == [([""], "dead-lettered at step a: InvalidInputError: no text")]


def test_of_long_topics_only_a_small_part_is_read(stage_of):
    scene = stage_of(dags.chain(), partitions=1)
    story = Story(scene)
    for topic in ("a", "b", "out"):
        story.others(topic, 34_000, since=NOON - 34_000_000, every_ms=1000)
    story.source()
    story.derived("a", models="a=a@1")
    story.derived("b", models="b=b@1")
    story.sink("out", models="c=c@1")
    for topic in ("a", "b", "out"):
        story.others(topic, 34_000, since=NOON + 1000, every_ms=1000)
    story.flush()
    finish_all(scene)

    trail = traced(story)

    assert hops(trail) == [("source", ""), ("derived", "a"), ("derived", "b"), ("sink", "c")]
    assert trail.read < 3 * 1_500


def test_a_dropped_record_ends_the_reading_at_the_bound(stage_of):
    scene = stage_of(dags.chain(), partitions=1)
    story = Story(scene)
    story.others("out", 10_000, since=NOON - 10_000_000, every_ms=1000)
    story.source()
    story.derived("a")
    story.derived("b")
    story.others("out", 30_000, since=NOON + 1000, every_ms=1000)
    story.flush()
    finish_all(scene)

    trail = traced(story, within_s=60)

    assert trail.read < 60 + 100 + 1_500
    assert states(trail) == [
        ([""], "finished by step c; nothing of it was found as far as was read")
    ]


def test_a_late_replay_is_found_without_reading_what_lies_between(stage_of):
    scene = stage_of(dags.diamond(), partitions=1)
    story = Story(scene)
    story.source()
    story.derived("left", models="left=left@1")
    first = story.letter("right", "InvalidInputError")
    story.derived("right", outcome="failed", error=("right", "InvalidInputError", "bad"))
    second = story.letter("both", "MissingPartError", partial="join")
    for topic in ("left", "right", "out"):
        story.others(topic, 20_000, since=NOON + 1000, every_ms=1000)
    late = NOON + 20_000_000 + 5 * 86_400_000
    story.mark(first, at=late)
    story.mark(second, at=late)
    story.retry("right", is_replay=True)
    story.retry("both", is_replay=True, partial="join")
    story.derived("right", is_replay=True, models="right=right@2")
    story.sink("out", models="both=both@1")
    for topic in ("left", "right", "out"):
        story.others(topic, 20_000, since=late + 1000, every_ms=1000, first=2_000_000)
    story.flush()
    finish_all(scene)

    trail = traced(story)

    assert ("sink", "both") in hops(trail)
    assert ("retry", "right") in hops(trail)
    assert hops(trail).count(("derived", "right")) == 2
    assert trail.states == []
    assert trail.read < 10_000


def test_what_left_the_trace_window_is_said_and_not_guessed(stage_of, admin: AdminClient):
    scene = stage_of(dags.chain(), partitions=1)
    story = Story(scene)
    story.source()
    story.derived("a", models="a=a@1")
    story.derived("b", models="b=b@1")
    story.sink("out", models="c=c@1")
    story.others("a", 3, since=NOON + 1000, every_ms=1000)
    story.flush()
    finish_all(scene)
    gone = ClientPartition(f"{story.name}.a", 0, 1)
    for deleted in admin.delete_records([gone]).values():
        deleted.result(20)

    trail = traced(story)

    assert trail.lost == [f"{story.name}.a"]
    assert trail.states == []
    assert "records of that time have left the trace window" in as_text(trail)


def test_children_that_are_spread_are_looked_for_where_they_can_be(stage_of):
    from dataclasses import replace

    pages = dags.pages()
    split, *others = pages.stages
    spread = replace(split, steps=(replace(split.steps[0], is_spread=True),))
    scene = stage_of(replace(pages, stages=(spread, *others)), partitions=5)
    story = Story(scene, partition=3)
    story.source()
    for index in range(3):
        place = (3 + index) % 5
        story.derived("pages", child=f"{index}", counts="3", partition=place)
        story.derived("score", child=f"{index}", counts="3", partition=place)
    for partition in (1, 2):
        story.others("pages", 5_000, since=NOON, every_ms=1, partition=partition)
    story.sink("out")

    trail = traced(story)

    assert [len(child.hops) for child in trail.story.children] == [2, 2, 2]
    assert trail.read < 5_000


def test_the_partition_of_a_new_key_is_computed(stage_of):
    scene = stage_of(dags.records(), partitions=5)
    story = Story(scene, partition=3, source="medical.charts")
    story.source({"chart_id": "c-7", "pages": []})
    sink = f"{story.name}.risk.charts"
    home = story.keyed(sink, b"c-7")
    story.sink("risk.charts", partition=home)
    for partition in set(range(5)) - {home}:
        story.others("risk.charts", 2_000, since=NOON, every_ms=1, partition=partition)

    trail = traced(story)

    assert hops(trail) == [("source", ""), ("sink", "chart")]
    assert trail.read == 2


def test_steps_passed_in_memory_show_their_models(stage_of):
    story = Story(stage_of(dags.fused()))
    story.source()
    story.derived("second", models="first=first@1, second=second@2")

    trail = traced(story)

    assert trail.story.hops[1].models == ("first=first@1", "second=second@2")


@pytest.mark.parametrize(
    ("id_", "error", "words"),
    [
        ("nothing", ConfigError, "is no record id"),
        ("{name}.inn-0-0", ConfigError, "did you mean '{name}.in'"),
        ("{name}.in-7-0", ConfigError, "has partitions 0 to 1"),
        ("{name}.in-0-9", OffsetOutOfRangeError, "ends before offset 1"),
        ("{name}.in-0-0/2", ConfigError, "nothing splits {name}.in"),
    ],
)
def test_an_id_that_cannot_be_followed_is_refused_with_the_reason(stage_of, id_, error, words):
    story = Story(stage_of(dags.chain()))
    story.source()
    story.flush()

    with pytest.raises(error, match=words.format(name=story.name)):
        asyncio.run(trace(story.topology, id_.format(name=story.name)))


def test_a_child_beyond_the_last_is_refused(stage_of):
    story = Story(stage_of(dags.pages()))
    story.source()
    story.derived("pages", child="0", counts="1")

    with pytest.raises(ConfigError, match="was split into 1"):
        traced(story, child="1")


def test_a_source_record_that_is_gone_is_said(stage_of, admin: AdminClient):
    story = Story(stage_of(dags.chain()))
    story.source()
    story.flush()
    gone = ClientPartition(f"{story.name}.in", 0, 1)
    for deleted in admin.delete_records([gone]).values():
        deleted.result(20)

    with pytest.raises(OffsetOutOfRangeError, match="not in Kafka any more"):
        traced(story)
