from itertools import pairwise

import pytest

from headrace.cli.layers import placed

DIAMOND = [("in", "a"), ("in", "b"), ("a", "join"), ("b", "join"), ("join", "out"), ("in", "out")]


def nodes_of(edges: list[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(node for edge in edges for node in edge))


def test_a_chain_is_one_straight_line():
    drawing = placed(["c", "a", "b"], [("a", "b"), ("b", "c")])

    assert drawing.nodes == {"a": (0, 0.0), "b": (1, 0.0), "c": (2, 0.0)}


def test_every_edge_goes_to_the_right():
    drawing = placed(nodes_of(DIAMOND), DIAMOND)

    for source, target in DIAMOND:
        assert drawing.nodes[source][0] < drawing.nodes[target][0]


def test_a_long_edge_passes_every_layer_between_without_touching_a_node():
    drawing = placed(nodes_of(DIAMOND), DIAMOND)

    way = drawing.ways["in", "out"]
    assert [layer for layer, _ in way] == [0, 1, 2, 3]
    for place in way[1:-1]:
        assert place not in drawing.nodes.values()


def test_nodes_of_a_layer_are_at_least_one_apart():
    edges = [("in", f"n{number}") for number in range(5)] + [("n0", "out"), ("n4", "out")]

    drawing = placed(nodes_of(edges), edges)

    downs = sorted(down for layer, down in drawing.nodes.values() if layer == 1)
    assert all(lower - upper >= 0.999 for upper, lower in pairwise(downs))
    assert min(downs) == pytest.approx(0)
    assert drawing.breadth == max(downs)


def test_lines_do_not_cross_where_they_need_not():
    edges = [("in", "a"), ("in", "b"), ("in", "c"), ("c", "x"), ("b", "y"), ("a", "z")]

    downs = {name: down for name, (_, down) in placed(nodes_of(edges), edges).nodes.items()}

    order = sorted("abc", key=lambda name: downs[name])
    ends = sorted("xyz", key=lambda name: downs[name])
    assert ends == [{"a": "z", "b": "y", "c": "x"}[name] for name in order]


def test_a_circle_is_drawn_all_the_same():
    drawing = placed(["a", "b"], [("a", "b"), ("b", "a")])

    assert drawing.nodes.keys() == {"a", "b"}


def test_nothing_is_nothing():
    assert placed([], []).breadth == pytest.approx(0)


def test_wide_nodes_of_a_layer_are_as_far_apart_as_they_are_wide():
    edges = [("in", "wide"), ("in", "slim"), ("in", "broad")]

    drawing = placed(nodes_of(edges), edges, {"wide": 10.0, "slim": 2.0, "broad": 6.0})

    at = {name: place for name, (layer, place) in drawing.nodes.items() if layer == 1}
    (first, a), (second, b), (third, c) = sorted(at.items(), key=lambda item: item[1])
    size = {"wide": 10.0, "slim": 2.0, "broad": 6.0}
    assert b - a >= (size[first] + size[second]) / 2 - 0.001
    assert c - b >= (size[second] + size[third]) / 2 - 0.001


def test_nothing_else_stands_between_the_nodes_of_a_group():
    edges = [
        *[("in", name) for name in ("a", "x", "b", "y")],
        *[("a", "a2"), ("x", "x2"), ("b", "b2"), ("y", "y2"), ("a2", "end"), ("b", "end")],
    ]

    drawing = placed(nodes_of(edges), edges, groups=[{"a", "b", "a2", "b2"}])

    inside = [drawing.nodes[name][1] for name in ("a", "b", "a2", "b2")]
    others = [drawing.nodes[name][1] for name in ("x", "y", "x2", "y2")]
    crossing = [place for layer, place in drawing.ways["b", "end"][1:-1] if layer in {1, 2}]
    for place in (*others, *crossing):
        assert place <= min(inside) - 0.999 or place >= max(inside) + 0.999
