from headrace.core.graph import Edge, EdgeKind, graph_of
from headrace.core.topics import TopicKind
from headrace.core.topology import (
    Input,
    Model,
    ModelStep,
    OutputField,
    Sink,
    Source,
    Stage,
    Topology,
)


def topology(*sinks: Sink) -> Topology:
    step = ModelStep(
        name="translate",
        model=Model("translator", ("grpc://x:1",), "en-es"),
        inputs=(Input("text", "text"), Input("again", "text"), Input("user", "user.name")),
        outputs=(OutputField("translation", "out"),),
    )
    stage = Stage("tweets", "", "translate", step, (Source("tweets"),), sinks)
    return Topology("tweets", "", (stage,))


def test_a_step_is_joined_to_its_topics_by_what_it_reads_and_writes():
    graph = graph_of(topology(Sink("tweets-es")))

    assert graph.edges == (
        Edge("topic:tweets", "step:translate", ("text", "user.name")),
        Edge("step:translate", "topic:tweets-es", ("translation",)),
        Edge("step:translate", "topic:tweets.dead-letters", kind=EdgeKind.DEAD_LETTERS),
    )


def test_a_sink_with_fields_gets_those_and_nothing_else():
    graph = graph_of(topology(Sink("tweets-es", fields=("id", "translation"))))

    edge = next(each for each in graph.edges if each.target == "topic:tweets-es")
    assert (edge.fields, edge.is_whole) == (("id", "translation"), False)


def test_every_topic_of_the_pipeline_is_a_node_with_its_partitions_where_known():
    graph = graph_of(topology(Sink("tweets-es")), {"tweets": 12})

    partitions = {each.kind: each.partitions for each in graph.topics}
    assert partitions == {**dict.fromkeys(TopicKind), TopicKind.SOURCE: 12}


def test_a_stage_names_its_group_and_its_steps():
    graph = graph_of(topology(Sink("tweets-es")))

    assert [(each.group, each.steps) for each in graph.stages] == [
        ("tweets.translate", ("translate",))
    ]
    assert [(each.stage, each.model) for each in graph.steps] == [("translate", "translator")]


def test_every_end_of_an_edge_is_a_node():
    graph = graph_of(topology(Sink("a"), Sink("b")))

    nodes = {each.id for each in (*graph.steps, *graph.topics)}
    assert {end for edge in graph.edges for end in (edge.source, edge.target)} <= nodes
