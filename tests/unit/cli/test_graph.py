"""Drawings of one step, and of a graph with a join, a long edge and a fused stage."""

import json
import re
from xml.etree import ElementTree as ET

import pytest

from headrace.cli.drawings import as_mermaid, as_svg, as_text
from headrace.core.graph import Edge, Graph, StageNode, StepNode, TopicNode
from headrace.core.topics import TopicKind

SVG = "{http://www.w3.org/2000/svg}"


def step(name: str, stage: str = "", kind: str = "model") -> StepNode:
    return StepNode(name, kind, stage or name, "m", (), ())


def edge(source: str, target: str, *fields: str) -> Edge:
    def end(name: str) -> str:
        return f"topic:{name}" if name in {"in", "out"} else f"step:{name}"

    return Edge(end(source), end(target), fields, is_whole=False)


@pytest.fixture
def graph() -> Graph:
    """`in` to kind, to entities and negation, joined in codes, which also reads kind; to `out`."""
    return Graph(
        "records",
        (step("kind"), step("entities"), step("negation"), step("codes", "coding")),
        (StageNode("coding", "records.coding", ("codes",)),),
        (
            TopicNode("in", TopicKind.SOURCE, 12),
            TopicNode("out", TopicKind.SINK),
            TopicNode("records.dead-letters", TopicKind.DEAD_LETTERS),
            TopicNode("records.control", TopicKind.CONTROL),
        ),
        (
            edge("in", "kind", "text"),
            edge("kind", "entities", "page"),
            edge("kind", "negation", "page"),
            edge("entities", "codes", "a", "b", "c", "d"),
            edge("negation", "codes", "negated"),
            edge("kind", "codes", "kind"),
            edge("codes", "out", '<&"#'),
        ),
    )


def test_json_has_the_lists_of_the_contract(cli, pipeline):
    ended = cli("graph", pipeline, "--format", "json")

    told = json.loads(ended.out)
    assert ended.code == 0
    assert told.keys() >= {"steps", "stages", "topics", "edges"}
    assert told["edges"][0] == {
        "from": "topic:tweets",
        "to": "step:translate",
        "kind": "result",
        "fields": ["text"],
        "whole": True,
    }
    assert {each["partitions"] for each in told["topics"]} == {None}


@pytest.mark.parametrize(
    ("form", "begins"),
    [("text", "pipeline tweets\n"), ("mermaid", "flowchart LR\n"), ("svg", "<svg "), ("json", "{")],
)
def test_every_form_is_drawn_without_a_broker(cli, pipeline, form, begins):
    ended = cli("graph", pipeline, "--format", form)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(begins)
    assert "translate" in ended.out


def test_the_default_is_text(cli, pipeline):
    assert cli("graph", pipeline).out == cli("graph", pipeline, "--format", "text").out


def test_an_unknown_form_is_exit_2_and_lists_the_known(cli, pipeline):
    ended = cli("graph", pipeline, "--format", "png")

    assert ended.code == 2
    assert "'svg'" in ended.err


def test_asking_a_broker_that_does_not_answer_is_exit_3(cli, pipeline, monkeypatch):
    from headrace.cli import settings

    monkeypatch.setattr(settings.await_broker, "__defaults__", (0.3,))

    assert cli("graph", pipeline, "--live").code == 3


def test_the_text_tells_a_join_once_and_refers_to_it(graph):
    text = as_text(graph)

    assert len(re.findall(r"codes .*stage coding", text)) == 3
    assert text.count("see above") == 2
    assert text.count("out  sink") == 1
    assert "in  source, 12 partitions" in text
    assert "(a, b, c …)" in text
    assert text.endswith("what a step gives up goes to records.dead-letters")


def test_mermaid_has_every_edge_and_escapes_what_it_would_take_as_its_own(graph):
    lines = as_mermaid(graph).splitlines()

    assert sum("-->" in line for line in lines) == 7
    assert any("<&#quot;#35;" in line for line in lines)
    assert not any("control" in line for line in lines)


def test_the_picture_is_xml_with_a_box_for_every_node_and_a_line_for_every_edge(graph):
    root = ET.fromstring(as_svg(graph))

    boxes = [each for each in root.iter(f"{SVG}rect") if each.get("class")]
    lines = [each for each in root.iter(f"{SVG}path") if each.get("marker-end")]
    assert (len(boxes), len(lines)) == (6, 7)


def test_no_two_boxes_of_the_picture_overlap_and_all_are_inside(graph):
    root = ET.fromstring(as_svg(graph))

    places = [
        [float(each.get(name, "")) for name in ("x", "y", "width", "height")]
        for each in root.iter(f"{SVG}rect")
        if each.get("class")
    ]
    for index, (x, y, width, height) in enumerate(places):
        assert 0 <= x <= x + width <= float(root.get("width", ""))
        assert 0 <= y <= y + height <= float(root.get("height", ""))
        for left, top, other_width, _ in places[:index]:
            beside = x + width <= left or left + other_width <= x
            assert beside or abs(top - y) >= height


def test_a_pipeline_without_steps_is_an_empty_picture():
    empty = Graph("nothing", (), (), (), ())

    assert ET.fromstring(as_svg(empty)).tag == f"{SVG}svg"
    assert as_text(empty) == "pipeline nothing"
