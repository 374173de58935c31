import dataclasses

import pytest

from headrace.core import wire
from headrace.core.models import Model
from headrace.core.records import Record, TopicPartition
from headrace.core.steps import Inlet, ModelStep, Sink
from headrace.core.topics import ROOM_BYTES, TopicKind, control_topic, needed_topics
from headrace.core.topology import Plan, Source, Stage, Topology
from tests.unit import dags

STEP = ModelStep(
    name="shout",
    inlets=(Inlet("texts", "texts"),),
    model=Model("caps", ("grpc://x",), "upper", token="secret"),
    inputs=(),
    outputs=(),
    sinks=(Sink("loud"), Sink("texts")),
)


def stage(prefix=""):
    return Stage("tweets", prefix, "shout", (STEP,), (Source("texts"),), root="texts")


def topology(prefix=""):
    return Topology("tweets", prefix, (stage(prefix),), partitions=12, replication=3)


@pytest.mark.parametrize("prefix", ["", "team-a."])
def test_names_on_the_broker_follow_from_pipeline_stage_and_prefix(prefix):
    it = stage(prefix)

    assert it.group == prefix + "tweets.shout"
    assert it.retry_topics == {"shout": prefix + "tweets.shout.retry"}
    assert it.dead_letter_topic == prefix + "tweets.dead-letters"
    assert control_topic(topology(prefix)) == prefix + "tweets.control"


def test_every_slot_has_a_transactional_id_of_its_own():
    assert stage().transactional_id("w0") == "tweets.shout.w0"


def test_a_pipeline_needs_its_sources_and_sinks_then_topics_of_its_own():
    topics = needed_topics(topology())

    assert [(topic.name, topic.kind) for topic in topics] == [
        ("texts", TopicKind.SOURCE),
        ("loud", TopicKind.SINK),
        ("tweets.shout.retry", TopicKind.RETRY),
        ("tweets.dead-letters", TopicKind.DEAD_LETTERS),
        ("tweets.control", TopicKind.CONTROL),
    ]


def test_topics_of_headraces_own_are_like_their_source_with_room_for_headers():
    own = [topic for topic in needed_topics(topology()) if topic.is_internal]

    assert [topic.kind for topic in own] == list(TopicKind)[3:]
    assert {(t.partitions, t.like, t.room_bytes, t.replication) for t in own} == {
        (None, "texts", ROOM_BYTES, 3)
    }


def test_declared_topics_are_created_as_the_pipeline_says():
    declared = [topic for topic in needed_topics(topology()) if not topic.is_internal]

    assert {(t.partitions, t.like, t.room_bytes, t.replication) for t in declared} == {
        (12, "", 0, 3)
    }


@pytest.mark.parametrize("kind", [TopicKind.RETRY, TopicKind.DEAD_LETTERS])
def test_time_removes_neither_a_retry_record_nor_a_dead_letter(kind):
    topic = next(t for t in needed_topics(topology()) if t.kind is kind)

    assert topic.config["retention.ms"] == "-1"


def test_every_derived_topic_is_needed_once_and_belongs_to_the_source_it_comes_from():
    needed = {topic.name: topic for topic in needed_topics(dags.records())}

    derived = {name: each for name, each in needed.items() if each.kind is TopicKind.DERIVED}
    assert len(derived) == 8
    assert {each.sources for each in derived.values()} == {("medical.charts",)}
    assert derived["records.kind.lab"].config == {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
    }
    assert sum(each.kind is TopicKind.RETRY for each in needed.values()) == 8
    assert needed["medical.charts"].sources == ()


def test_what_serves_every_source_takes_the_partitions_of_the_largest():
    chain, other = dags.chain(), dags.renamed(dags.diamond(), "chain2")
    both = dags.topology("chain", *chain.stages, *other.stages)

    needed = {topic.name: topic for topic in needed_topics(both)}

    letters = needed["chain.dead-letters"]
    assert letters.sources == ("in", "chain2.in")
    assert needed["chain2.left"].sources == ("chain2.in",)
    counts = {"in": 4, "chain2.in": 9, "chain.dead-letters": 9}
    assert letters.misfit(counts) == ""
    assert letters.misfit({**counts, "chain.dead-letters": 4}) == (
        "topic 'chain.dead-letters' has 4 partitions, its source 'chain2.in' has 9"
    )


def test_partitions_that_are_not_known_are_no_misfit():
    topic = next(t for t in needed_topics(dags.chain()) if t.kind is TopicKind.DERIVED)

    assert topic.is_exact
    assert topic.misfit({}) == topic.misfit({"in": 3}) == topic.misfit({"chain.a": 3}) == ""


def test_a_topic_read_by_two_stages_is_needed_once():
    twice = Topology("tweets", "", (stage(), stage()))

    names = [topic.name for topic in needed_topics(twice)]

    assert len(names) == len(set(names)) == 5


def test_a_token_is_not_printed():
    assert "secret" not in repr(STEP)


def test_records_and_partitions_print_as_their_place():
    record = Record(TopicPartition("in", 3), 7, None, None)

    assert (str(record.partition), repr(record)) == ("in-3", "Record(in-3@7)")


def test_every_header_of_the_wire_begins_with_the_prefix_that_is_not_copied():
    names = [value for name, value in vars(wire).items() if name.isupper() and type(value) is str]

    assert len(names) > 15
    assert all(name.startswith(wire.PREFIX) for name in names)


def test_a_worker_runs_the_stages_it_was_told_to_or_all():
    both = (stage(), dataclasses.replace(stage(), name="whisper"))
    whole = Topology("tweets", "", both)

    assert [each.name for each in Plan(whole, "w0").chosen] == ["shout", "whisper"]
    assert [each.name for each in Plan(whole, "w0", ("whisper",)).chosen] == ["whisper"]
