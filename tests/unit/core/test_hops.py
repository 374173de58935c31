import json
from dataclasses import replace

import pytest

from headrace.core.hops import Failure, Hop, HopKind, counts_of, hop_of, source_hop, told
from headrace.core.records import Record, TopicPartition
from headrace.core.steps import Sink
from headrace.core.whereabouts import Map
from tests.unit import dags

CHAIN = Map(dags.chain(), "in")
DIAMOND = Map(dags.diamond(), "in")


def record(topic: str, value: bytes | None = b"{}", timestamp: int = 5, **headers: str) -> Record:
    named = [
        (f"headrace-{name.replace('_', '-')}", content.encode())
        for name, content in headers.items()
    ]
    return Record(TopicPartition(topic, 1), 7, b"k", value, timestamp, named)


def hop(known: Map, topic: str, value: bytes | None = b"{}", **headers: str) -> Hop:
    return hop_of(record(topic, value, **headers), "in-1-0", known.ways[topic], known)


def test_a_source_record_was_written_when_it_says():
    assert source_hop("in-1-0", record("in")).at_ms == 5
    assert source_hop("in-1-0", record("in", timestamp=0)).at_ms is None


def test_a_result_names_the_models_of_the_stage_that_wrote_it():
    found = hop(CHAIN, "chain.b", models="a=x@1, b=y@2", at="90")

    assert (found.kind, found.step, found.outcome) == (HopKind.DERIVED, "b", "result")
    assert (found.models, found.at_ms) == (("b=y@2",), 90)


def test_an_outcome_and_a_tombstone_are_told():
    failed = hop(
        DIAMOND,
        "diamond.left",
        None,
        outcome="failed",
        error_step="left",
        error_class="E",
        error_message="no",
        replay="1",
    )

    assert (failed.outcome, failed.failure) == ("failed", Failure("left", "E", "no"))
    assert failed.is_replay
    assert hop(DIAMOND, "diamond.left", None).outcome == "tombstone"


def test_a_sinks_record_is_of_the_step_that_came_last():
    first, second, third = dags.chain().stages
    union = dags.stage("chain", "in", replace(second.steps[0], sinks=(Sink("out"),)))
    known = Map(dags.topology("chain", first, union, third), "in")

    assert hop(known, "out", models="a=x@1, b=y@2").step == "b"
    assert hop(known, "out", models="a=x@1, b=y@2, c=z@3").step == "c"
    assert hop(known, "out").step == "b"
    assert hop(known, "out").at_ms is None


def test_a_dead_letter_says_why_and_how_marks_name_it():
    found = hop(
        CHAIN,
        "chain.dead-letters",
        error_step="b",
        error_class="E",
        error_message="no",
        error_attempts="3",
        error_last="80",
        error_model="m",
        error_version="2",
    )

    assert (found.kind, found.step, found.attempt, found.at_ms) == (HopKind.DEAD_LETTER, "b", 3, 80)
    assert (found.mark, found.models) == ("1-7", ("b=m@2",))


def test_a_letter_that_does_not_say_its_step_is_still_one():
    found = hop(CHAIN, "chain.dead-letters", error_attempts="many")

    assert (found.step, found.failure, found.attempt, found.models) == ("", None, 0, ())


def test_a_mark_names_its_letter():
    found = hop(CHAIN, "chain.dead-letters", None, replayed="1-3")

    assert (found.kind, found.mark, found.at_ms) == (HopKind.REPLAYED, "1-3", 5)


def parts(*outcomes: str) -> bytes:
    names = ("left", "right")
    said = [{"from": n, "outcome": o} for n, o in zip(names, outcomes, strict=True)]
    return json.dumps({"count": None, "parts": said}).encode()


@pytest.mark.parametrize(
    ("headers", "kind", "brought"),
    [
        ({"attempt": "2", "not_before": "9"}, HopKind.RETRY, ()),
        (
            {"partial": "join", "not_before": "9"},
            HopKind.SPILL,
            (("left", None), ("right", None)),
        ),
        ({"partial": "join", "replay": "1"}, HopKind.RETRY, (("left", None),)),
        ({"outcome": "closed"}, HopKind.CLOSED, (("left", None), ("right", None))),
    ],
)
def test_what_a_retry_topic_holds_is_told_apart(headers, kind, brought):
    found = hop(DIAMOND, "diamond.both.retry", parts("result", "failed"), **headers)

    assert (found.kind, found.parts) == (kind, brought)


def test_parts_that_did_not_come_or_cannot_be_read_are_none():
    topic = "diamond.both.retry"

    assert hop(DIAMOND, topic, parts("result", "missing"), partial="join").parts == (
        ("left", None),
    )
    assert hop(DIAMOND, topic, b"no", partial="join").parts == ()
    assert hop(DIAMOND, topic, None, partial="join").parts == ()


def test_children_say_how_many_they_are():
    assert counts_of(record("x", children="3/12"), "in-1-0/2/7") == {"in-1-0": 3, "in-1-0/2": 12}
    assert counts_of(record("x"), "in-1-0") == {}


def at(kind: HopKind, step: str, at_ms: int | None, id_: str = "r", offset: int = 0) -> Hop:
    return Hop(kind, id_, step, TopicPartition("t", 0), offset, at_ms)


def test_a_story_is_told_in_order_and_a_sink_after_what_it_came_from():
    hops = [
        at(HopKind.SINK, "a", None),
        at(HopKind.DERIVED, "b", 30),
        at(HopKind.DERIVED, "a", 20),
        at(HopKind.SINK, "c", None),
        at(HopKind.SOURCE, "", 50),
        at(HopKind.DERIVED, "a", 1, id_="other"),
    ]

    story = told("r", hops, CHAIN)

    assert [(hop.kind.value, hop.step) for hop in story.hops] == [
        ("source", ""),
        ("derived", "a"),
        ("derived", "b"),
        ("sink", "a"),
        ("sink", "c"),
    ]


def test_children_are_told_in_the_order_of_their_list_with_theirs_below():
    ids = ["r", "r/10", "r/9", "r/9/1"]

    story = told("r", [at(HopKind.DERIVED, "a", 1, id_=each) for each in ids], CHAIN)

    assert [child.id for child in story.children] == ["r/9", "r/10"]
    assert [child.id for child in story.children[0].children] == ["r/9/1"]


def test_a_story_without_dates_has_an_order_too():
    story = told("r", [at(HopKind.SINK, "c", None), at(HopKind.SINK, "a", None)], CHAIN)

    assert [hop.step for hop in story.hops] == ["a", "c"]
