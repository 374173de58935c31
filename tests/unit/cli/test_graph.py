"""Drawings of one step, and of a graph with a join, a long edge and a fused stage."""

import json
import re
from xml.etree import ElementTree as ET

import pytest

from headrace.cli.drawings import as_json, as_mermaid, as_text
from headrace.cli.picture import as_svg
from headrace.core.graph import Edge, Graph, StageNode, StepNode, TopicNode, graph_of
from headrace.core.topics import TopicKind
from tests.unit import dags

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
        "route": "",
        "carrier": False,
        "optional": False,
        "outcomes": False,
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
    assert "(a, b, c, d)" in text
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
        if each.get("class") not in {None, "stage"}
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


@pytest.fixture
def records() -> Graph:
    return graph_of(dags.records(), {"records.pages": 8})


def boxes_of(picture: str) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for each in ET.fromstring(picture).iter(f"{SVG}rect"):
        if each.get("class"):
            places = [float(each.get(name, "")) for name in ("x", "y", "width", "height")]
            found.setdefault(each.get("class", ""), []).append(places)
    return found


def test_the_picture_of_a_dag_has_every_kind_of_node_and_a_box_around_a_fused_stage(records):
    boxes = boxes_of(as_svg(records))

    assert {kind: len(found) for kind, found in boxes.items()} == {
        "topic": 2,
        "derived": 8,
        "step": 5,
        "function": 1,
        "list": 2,
        "stage": 1,
    }


def test_only_the_steps_of_a_fused_stage_are_in_its_box(records):
    boxes = boxes_of(as_svg(records))

    ((left, top, width, height),) = boxes.pop("stage")
    inside = [
        (x, y)
        for found in boxes.values()
        for x, y, w, h in found
        if x + w > left and x < left + width and y + h > top and y < top + height
    ]
    assert len(inside) == 2


def test_no_line_of_the_picture_runs_through_a_box(records):
    root = ET.fromstring(as_svg(records))
    boxes = boxes_of(as_svg(records))
    del boxes["stage"]

    for path in root.iter(f"{SVG}path"):
        if not path.get("marker-end"):
            continue
        for x, top, bottom in verticals_of(path.get("d", "")):
            for left, box_top, width, height in (box for found in boxes.values() for box in found):
                is_beside = x <= left or x >= left + width
                assert is_beside or bottom <= box_top + 0.2 or top >= box_top + height - 0.2


def verticals_of(path: str) -> list[tuple[float, float, float]]:
    """Return x, top and bottom of the straight parts of a way, which are where it passes rows."""
    found, x, y = [], 0.0, 0.0
    for letter, numbers in re.findall(r"([MCV])([^MCV]*)", path):
        values = [float(each) for each in numbers.split()]
        if letter == "V":
            found.append((x, y, values[0]))
            y = values[0]
        else:
            x, y = values[-2:]
    return found


def test_every_topic_of_a_dag_is_told_with_its_partitions_and_what_it_carries(records):
    picture, text = as_svg(records), as_text(records)

    assert "derived, 8 partitions" in picture
    assert "derived, 8 partitions" in text
    assert ">chart_id, page.date, page.text<" in picture
    assert "(note: chart_id, kind, page.date, page.text +outcomes)" in text
    assert "(chart_id, entities, kind, page.date carrier +outcomes)" in text
    assert "labs  model labs; when page.text.size() &gt; 0" not in text
    assert "when page.text.size() > 0" in text


def test_mermaid_puts_a_fused_stage_in_a_box_and_dashes_what_tells_outcomes(records):
    text = as_mermaid(records)

    box = text.partition("subgraph s0")[2].partition("  end")[0]
    assert "codes" in box
    assert "checked" in box
    assert box.count("[") == 3
    assert "-.->" in text


def test_json_tells_all_of_a_dag(records):
    told = json.loads(as_json(records))

    steps = {each["name"]: each for each in told["steps"]}
    assert steps["chart"]["join"] == "first"
    assert steps["checked"]["function"] == "rules:drop_impossible"
    assert {each["name"] for each in told["stages"]} >= {"coding", "pages"}
    edge = next(each for each in told["edges"] if each["to"] == "topic:records.kind.note")
    assert (edge["route"], edge["outcomes"], edge["whole"]) == ("note", True, False)


def test_an_edge_with_very_many_fields_says_how_many_it_does_not_name():
    many = edge("in", "kind", *"abcdefghijk")

    text = as_text(Graph("p", (step("kind"),), (), (TopicNode("in", TopicKind.SOURCE),), (many,)))

    assert "(a, b, c, d, e, f, g, h, 3 more)" in text


def test_an_optional_parent_is_named_as_that():
    optional = Edge("topic:in", "step:kind", ("a",), is_whole=False, is_optional=True)

    text = as_text(
        Graph("p", (step("kind"),), (), (TopicNode("in", TopicKind.SOURCE),), (optional,))
    )

    assert "(a optional)" in text
