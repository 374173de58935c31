from dataclasses import replace

from headrace.core.graph import Edge, EdgeKind, graph_of
from headrace.core.models import Input, Model, OutputField
from headrace.core.steps import FunctionStep, Inlet, ModelStep, Sink
from headrace.core.topics import TopicKind
from headrace.core.topology import Source, Stage, Topology
from tests.unit import dags


def topology(*sinks: Sink) -> Topology:
    step = ModelStep(
        name="translate",
        model=Model("translator", ("grpc://x:1",), "en-es"),
        inputs=(Input("text", "text"), Input("again", "text"), Input("user", "user.name")),
        outputs=(OutputField("translation", "out"),),
        inlets=(Inlet("tweets", "tweets"),),
        sinks=sinks,
    )
    stage = Stage("tweets", "", "translate", (step,), (Source("tweets"),), root="tweets")
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
    kinds = [kind for kind in TopicKind if kind is not TopicKind.DERIVED]
    assert partitions == {**dict.fromkeys(kinds), TopicKind.SOURCE: 12}


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


def edges_of(pipeline: Topology, target: str) -> dict[str, Edge]:
    return {each.source: each for each in graph_of(pipeline).edges if each.target == target}


def test_a_join_names_its_mode_and_the_edge_that_carries_the_document():
    entering = edges_of(dags.diamond(), "step:both")

    assert {source: each.is_carrier for source, each in entering.items()} == {
        "topic:diamond.left": True,
        "topic:diamond.right": False,
    }
    assert {each.name: each.join for each in graph_of(dags.diamond()).steps} == {
        "left": "",
        "right": "",
        "both": "all",
    }


def test_a_first_join_has_no_carrier():
    assert not any(each.is_carrier for each in edges_of(dags.routes(), "step:end").values())


def test_an_edge_through_a_derived_topic_carries_its_fields_and_tells_outcomes():
    left = edges_of(dags.diamond(), "step:both")["topic:diamond.left"]

    assert left == Edge(
        "topic:diamond.left",
        "step:both",
        ("id", "l"),
        is_whole=False,
        is_carrier=True,
        tells=True,
    )


def test_a_route_stands_on_the_edges_that_take_it():
    leaving = [each for each in graph_of(dags.routes()).edges if each.source == "step:kind"]

    assert {each.target: each.label for each in leaving} == {
        "topic:routes.kind.note": "note",
        "topic:routes.kind.other": "other",
        "topic:others": "other",
        "topic:routes.dead-letters": "",
    }


def test_fused_steps_are_joined_in_memory():
    graph = graph_of(dags.fused())

    (link,) = [each for each in graph.edges if each.target == "step:second"]
    assert (link.source, link.fields, link.is_whole) == ("step:first", ("one",), True)
    assert [each.steps for each in graph.stages] == [("first", "second"), ("third",)]


def test_every_kind_of_step_says_what_it_reads_and_writes():
    steps = {each.name: each for each in graph_of(dags.records()).steps}

    assert {name: (each.kind, each.reads, each.writes) for name, each in steps.items()} == {
        "pages": ("split", ("pages", "chart_id"), ("page",)),
        "kind": ("model", ("page.text",), ("kind",)),
        "entities": ("model", ("page.text",), ("entities",)),
        "negation": ("model", ("page.text",), ("negated",)),
        "labs": ("model", ("page.text",), ("codes",)),
        "codes": ("model", ("entities", "negated"), ("codes",)),
        "checked": ("function", ("codes", "page.date"), ("codes",)),
        "chart": ("gather", ("kind", "codes", "chart_id"), ("pages",)),
    }
    assert steps["labs"].when == "page.text.size() > 0"
    assert steps["checked"].function == "rules:drop_impossible"
    assert [label for label, _ in steps["kind"].routes] == ["note", "lab", "other"]


def test_a_function_that_does_not_say_what_it_needs_reads_and_writes_everything():
    step = FunctionStep(
        name="any", inlets=(Inlet("in", "in"),), function="rules:any", sinks=(Sink("out"),)
    )

    graph = graph_of(dags.topology("any", dags.stage("any", "in", step)))

    assert (graph.steps[0].reads, graph.steps[0].writes) == (None, None)
    assert all(each.is_whole and not each.fields for each in graph.edges)


def test_a_gather_of_whole_children_reads_everything():
    pages = dags.pages()
    *before, last = pages.stages
    whole = replace(last, steps=(replace(last.steps[0], fields=None),))

    graph = graph_of(replace(pages, stages=(*before, whole)))

    assert graph.steps[-1].reads is None
