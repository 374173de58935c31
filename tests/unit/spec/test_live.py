# ruff: noqa: E501 - a table of whole messages
"""A pipeline against the models and the cluster that are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.core.topics import needed_topics
from headrace.spec.compile import compile_pipeline
from headrace.spec.lint import Report
from headrace.spec.live import LiveCluster, LiveModel, LiveTopic, check_cluster, check_models
from headrace.spec.loader import check_text
from tests.unit import dags

ALL = frozenset({"READ", "WRITE", "DELETE", "DESCRIBE", "DESCRIBE_CONFIGS"})
SIZE = "max.message.bytes"
OWN = {SIZE: "1100000", "cleanup.policy": "delete"}


@pytest.fixture
def checked(tweets):
    return check_text(tweets, {}, "f")


@pytest.fixture
def topology(checked):
    return compile_pipeline(checked.unwrap(), Path())


@pytest.fixture
def topics():
    return {
        "tweets": LiveTopic(8, {SIZE: "1000000"}, ALL),
        "tweets-es": LiveTopic(2, {SIZE: "1000000"}, ALL),
        "tweets.translate.retry": LiveTopic(8, {**OWN, "retention.ms": "-1"}, ALL),
        "tweets.dead-letters": LiveTopic(8, OWN, ALL),
        "tweets.control": LiveTopic(8, {**OWN, "cleanup.policy": "compact"}, ALL),
    }


@pytest.fixture
def told(topology, checked):
    def run(topics, **cluster):
        report = Report(checked.lines)
        check_cluster(topology, LiveCluster(topics, **cluster), report)
        return [each.render("f") for each in report.lints]

    return run


def test_a_cluster_that_has_everything_is_no_problem(told, topics):
    assert told(topics, groups={"tweets.translate": ALL}) == []


def test_every_missing_topic_is_named_where_the_file_names_it(told):
    lines = told({})

    assert lines[0] == (
        "f:5: E083 topic 'tweets' does not exist; create it with `headrace topics apply`"
    )
    assert "f:11: E083 topic 'tweets-es' does not exist" in lines[-1]
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        (
            "tweets.dead-letters",
            {"partitions": 4},
            (
                "f:5: E084 topic 'tweets.dead-letters' has 4 partitions, its source 'tweets' has 8;"
                " let it grow with `headrace topics apply`"
            ),
        ),
        (
            "tweets.translate.retry",
            {"partitions": 9},
            (
                "f:5: E084 topic 'tweets.translate.retry' has 9 partitions, its source 'tweets' has 8;"
                " delete it while it is empty, and apply again"
            ),
        ),
        (
            "tweets.translate.retry",
            {"settings": {**OWN, "retention.ms": "1000"}},
            (
                "f:5: E088 topic 'tweets.translate.retry' has retention.ms=1000, not -1: records may be"
                " lost; set retention.ms of it to -1"
            ),
        ),
        (
            "tweets.dead-letters",
            {"settings": {**OWN, "cleanup.policy": "compact"}},
            (
                "f:5: W088 topic 'tweets.dead-letters' has cleanup.policy=compact, not delete:"
                " records may be lost; set cleanup.policy of it to delete"
            ),
        ),
        (
            "tweets.translate.retry",
            {"operations": frozenset({"READ", "WRITE", "DESCRIBE_CONFIGS"})},
            "f:5: E087 this user may not DELETE topic 'tweets.translate.retry'; allow it with an ACL",
        ),
        (
            "tweets.dead-letters",
            {"settings": {**OWN, SIZE: "1000000"}},
            (
                "f:5: E085 topic 'tweets.dead-letters' takes 1000000 bytes a record, which is too"
                " little for one of 'tweets' with headers; set its max.message.bytes to 1065536"
            ),
        ),
        (
            "tweets-es",
            {"settings": {SIZE: "9"}},
            (
                "f:11: W085 sink 'tweets-es' takes 9 bytes a record, its source gives up to 1000000:"
                " larger results become dead letters; set its max.message.bytes to 1000000 or more"
            ),
        ),
        (
            "tweets",
            {"operations": frozenset({"DESCRIBE"})},
            (
                "f:5: E087 this user may not READ or DESCRIBE_CONFIGS topic 'tweets';"
                " allow it with an ACL"
            ),
        ),
        (
            "tweets-es",
            {"operations": frozenset({"DESCRIBE_CONFIGS"})},
            "f:11: E087 this user may not WRITE topic 'tweets-es'; allow it with an ACL",
        ),
        ("tweets", {"operations": None}, None),
    ],
)
def test_a_topic_that_does_not_fit_is_told_with_a_way_out(told, topics, name, change, problem):
    topics[name] = replace(topics[name], **change)

    assert told(topics) == ([] if problem is None else [problem])


def test_of_a_topic_that_may_not_be_looked_at_only_that_is_told(told, topics):
    topics["tweets"] = topics["tweets.control"] = LiveTopic(0, {}, frozenset())

    lines = told(topics)

    assert [line.split()[1] for line in lines] == ["E087", "E087"]


@pytest.mark.parametrize(
    ("cluster", "problem"),
    [
        ({"metadata_bytes": 4095}, "E086 the brokers' offset.metadata.max.bytes is 4095; set it"),
        ({"metadata_bytes": None}, "N080 this user may not ask for the brokers'"),
        (
            {"groups": {"tweets.translate": frozenset()}},
            "E087 this user may not READ the consumer group 'tweets.translate'",
        ),
        ({"groups": {"tweets.translate": None}}, ""),
    ],
)
def test_the_brokers_limit_and_the_group_are_checked(told, topics, cluster, problem):
    lines = told(topics, **cluster)

    assert problem in "".join(lines)
    assert len(lines) == bool(problem)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (LiveModel(), None),
        (LiveModel(("no input 'x'",)), "f:7: E080 step 'translate': no input 'x'"),
        (LiveModel(("write it",), is_described=False), "f:7: W080 step 'translate': write it"),
        (LiveModel(silence="refused"), "f:7: E081 refused; is it running?"),
    ],
)
def test_what_a_model_says_is_told_at_the_step_that_calls_it(topology, checked, model, problem):
    report = Report(checked.lines)

    check_models(topology, {"translate": model}, report)

    assert [each.render("f") for each in report.lints] == ([] if problem is None else [problem])


def test_a_silent_model_that_up_starts_has_a_way_out(topology):
    report = Report()

    check_models(
        replace(topology, serves={"translator": "models"}),
        {"translate": LiveModel(silence="refused")},
        report,
    )

    assert report.lints[0].hint == "start it, for instance with `headrace up`"


@pytest.fixture
def told_of_dag():
    """Return what is wrong between the pipeline of medical records and a cluster of its topics."""

    def run(changes):
        topology = dags.records()
        topics = {
            each.name: LiveTopic(8, {**each.config, SIZE: "1100000"}, ALL)
            for each in needed_topics(topology)
        }
        topics |= {name: LiveTopic(8, {SIZE: "1000000"}, ALL) for name in SOURCES_AND_SINKS}
        for name, change in changes.items():
            topics[name] = replace(topics[name], **change)
        groups = {stage.group: ALL for stage in topology.stages}
        report = Report()
        check_cluster(topology, LiveCluster(topics, groups), report)
        return [(each.code, each.where, each.message) for each in report.lints]

    return run


SOURCES_AND_SINKS = ("medical.charts", "risk.charts")


def test_a_dag_whose_cluster_has_everything_is_no_problem(told_of_dag):
    assert told_of_dag({}) == []


def test_a_derived_topic_that_does_not_fit_is_told_at_the_step_that_writes_it(told_of_dag):
    settings = {"retention.ms": "604800000", SIZE: "1000000"}
    found = told_of_dag({"records.kind.lab": {"partitions": 12, "settings": settings}})

    assert [(code, path) for code, path, _ in found] == [
        ("E084", "steps.kind"),
        ("E088", "steps.kind"),
        ("E085", "steps.kind"),
    ]
    assert found[0][2] == (
        "topic 'records.kind.lab' has 12 partitions, its source 'medical.charts' has 8"
    )


def test_the_rights_on_every_derived_topic_and_group_are_checked(told_of_dag):
    found = told_of_dag({"records.labs": {"operations": frozenset({"READ", "DESCRIBE_CONFIGS"})}})

    assert found == [
        ("E087", "steps.labs", "this user may not WRITE or DELETE topic 'records.labs'")
    ]


def test_a_sink_is_held_against_the_source_from_which_its_records_come(told_of_dag):
    found = told_of_dag({"risk.charts": {"settings": {SIZE: "9"}}})

    assert [code for code, *_ in found] == ["W085"]


def test_a_topic_that_is_written_with_one_copy_among_brokers_is_a_warning(told, topics):
    alone = {name: replace(each, copies=1) for name, each in topics.items()}

    lines = told(alone, brokers=3)

    assert [line[:50] for line in lines] == [
        "f:5: W089 topic 'tweets.translate.retry' has one c",
        "f:5: W089 topic 'tweets.dead-letters' has one copy",
        "f:11: W089 topic 'tweets-es' has one copy: a commi",
    ]
    assert lines[-1].endswith("invisible; give it a replication factor of 3")
    assert told(alone, brokers=1) == []
