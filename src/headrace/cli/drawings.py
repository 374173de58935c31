"""A pipeline's graph as text for a terminal, as Mermaid, as SVG and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from headrace.cli.layers import placed
from headrace.core.graph import Edge, EdgeKind, Graph, StepNode, TopicNode
from headrace.core.topics import TopicKind

_CHARACTER = 7.4
_ROW = 76
_BOX_HEIGHT = 46
_MARGIN = 24
_PADDING = 28
_SHORTEST_GAP = 64
_LINE = 16
_FIELDS = 3
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933; text-anchor: middle }
.label { paint-order: stroke; stroke: white; stroke-width: 4px }
.footer { text-anchor: start }
.small { font-size: 11px; fill: #52606d }
.step { fill: #e6f0ff; stroke: #2f6fdb }
.topic { fill: #fff7e0; stroke: #b7791f }
path { fill: none; stroke: #52606d }
"""


def as_json(graph: Graph) -> str:
    """Return the lists `steps`, `stages`, `topics` and `edges` as one JSON object."""
    told = asdict(graph)
    told["edges"] = [_edge_object(edge) for edge in graph.edges]
    return json.dumps(told)


def as_text(graph: Graph) -> str:
    """Return a tree from every source down; what has several parents is told once."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    nodes, edges = _drawn(graph)
    told: set[str] = set()

    def grow(tree: Tree, id_: str, edge: Edge | None) -> None:
        node = nodes[id_]
        line = Text(node.name, style="bold")
        line.append(f"  {_words(node)}", style="not bold dim")
        if edge is not None and _label(edge):
            line.append(f"  ({_label(edge)})", style="not bold")
        branch = tree.add(line)
        if id_ in told:
            line.append("  see above", style="not bold italic")
            return
        told.add(id_)
        for each in edges:
            if each.source == id_:
                grow(branch, each.target, each)

    root = Tree(Text(f"pipeline {graph.pipeline}"))
    entered = {edge.target for edge in edges}
    for id_ in [*(each for each in nodes if each not in entered), *nodes]:
        if id_ not in told:
            grow(root, id_, None)
    console = Console(width=1000, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(root)
    lines = [line.rstrip() for line in capture.get().splitlines()]
    return "\n".join([*lines, *_footer(graph)])


def as_mermaid(graph: Graph) -> str:
    """Return a flowchart as Mermaid draws it."""
    nodes, edges = _drawn(graph)
    names = {id_: f"n{number}" for number, id_ in enumerate(nodes)}
    lines = ["flowchart LR"]
    for id_, node in nodes.items():
        text = _mermaid_text(f"{node.name}<br/>{_words(node)}")
        lines.append(
            f"  {names[id_]}" + (f'["{text}"]' if isinstance(node, StepNode) else f'[("{text}")]')
        )
    for edge in edges:
        label = f'|"{_mermaid_text(_label(edge))}"|' if _label(edge) else ""
        lines.append(f"  {names[edge.source]} -->{label} {names[edge.target]}")
    return "\n".join(lines)


def as_svg(graph: Graph) -> str:
    """Return a picture, from left to right."""
    return "\n".join(_Picture(graph).lines())


class _Picture:
    """The geometry of one SVG: layers become columns as wide as their widest node."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes, self._edges = _drawn(graph)
        self._placed = placed(
            list(self._nodes), list(dict.fromkeys((e.source, e.target) for e in self._edges))
        )
        count = 1 + max((layer for layer, _ in self._placed.nodes.values()), default=0)
        self._widths = [0.0] * count
        gaps = [float(_SHORTEST_GAP)] * count
        for id_, (layer, _) in self._placed.nodes.items():
            self._widths[layer] = max(self._widths[layer], _width(self._nodes[id_]))
        for edge in self._edges:
            layer, _ = self._placed.nodes[edge.source]
            gaps[layer] = max(gaps[layer], len(_label(edge)) * _CHARACTER + _PADDING)
        self._lefts = [float(_MARGIN)]
        for width, gap in zip(self._widths, gaps, strict=True):
            self._lefts.append(self._lefts[-1] + width + gap)
        self._total = self._lefts[-1] - gaps[-1] + _MARGIN

    def lines(self) -> Iterator[str]:
        footer = _footer(self._graph)
        height = 2 * _MARGIN + _BOX_HEIGHT + self._placed.height * _ROW + _LINE * len(footer)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._total:.0f} {height:.0f}"'
            f' width="{self._total:.0f}" height="{height:.0f}">'
        )
        yield f"<title>pipeline {escape(self._graph.pipeline)}</title>"
        yield f"<style>{_STYLE}</style>"
        yield (
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
            'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" style="fill:#52606d;'
            'stroke:none"/></marker></defs>'
        )
        yield '<rect width="100%" height="100%" fill="white"/>'
        for edge in self._edges:
            yield from self._edge(edge)
        for id_, node in self._nodes.items():
            yield from self._node(node, *self._placed.nodes[id_])
        for text in footer:
            yield _svg_text(_MARGIN, height - _LINE, text, "small footer")
        yield "</svg>"

    def _edge(self, edge: Edge) -> Iterator[str]:
        way = self._placed.ways[edge.source, edge.target]
        (layer, down), *_ = way
        x, y = self._right(layer), self._y(down)
        label_at = (x + self._lefts[layer + 1]) / 2, (y + self._y(way[1][1])) / 2 - 6
        path = [f"M{x:.1f} {y:.1f}"]
        for layer, down in way[1:]:
            left, next_y = self._lefts[layer], self._y(down)
            middle = (x + left) / 2
            path.append(f"C{middle:.1f} {y:.1f} {middle:.1f} {next_y:.1f} {left:.1f} {next_y:.1f}")
            x, y = self._right(layer), next_y
            path.append(f"H{x:.1f}")
        yield f'<path d="{"".join(path[:-1])}" marker-end="url(#arrow)"/>'
        if _label(edge):
            yield _svg_text(*label_at, _label(edge), "small label")

    def _node(self, node: StepNode | TopicNode, layer: int, down: float) -> Iterator[str]:
        left, width, y = self._lefts[layer], self._widths[layer], self._y(down)
        kind, radius = ("step", 4) if isinstance(node, StepNode) else ("topic", _BOX_HEIGHT // 2)
        yield (
            f'<rect class="{kind}" x="{left:.1f}" y="{y - _BOX_HEIGHT / 2:.1f}" '
            f'width="{width:.1f}" height="{_BOX_HEIGHT}" rx="{radius}"/>'
        )
        yield _svg_text(left + width / 2, y - 3, node.name)
        yield _svg_text(left + width / 2, y + 14, _words(node), "small")

    def _right(self, layer: int) -> float:
        return self._lefts[layer] + self._widths[layer]

    def _y(self, down: float) -> float:
        return _MARGIN + _BOX_HEIGHT / 2 + down * _ROW


def _drawn(graph: Graph) -> tuple[Mapping[str, StepNode | TopicNode], Sequence[Edge]]:
    """Return the ways of results and the nodes at their ends, by id.

    Every step has a way to the dead letters: drawn, they would hide the others.
    """
    edges = [edge for edge in graph.edges if edge.kind is EdgeKind.RESULT]
    touched = {id_ for edge in edges for id_ in (edge.source, edge.target)}
    nodes: Sequence[StepNode | TopicNode] = [*graph.topics, *graph.steps]
    return {node.id: node for node in nodes if node.id in touched}, edges


def _footer(graph: Graph) -> Sequence[str]:
    kinds = {topic.kind: topic for topic in graph.topics}
    letters = kinds.get(TopicKind.DEAD_LETTERS)
    return [f"what a step gives up goes to {letters.name}"] if letters else []


def _words(node: StepNode | TopicNode) -> str:
    if isinstance(node, StepNode):
        stage = f", stage {node.stage}" if node.stage != node.name else ""
        return f"{node.kind} {node.model}{stage}"
    partitions = "" if node.partitions is None else f", {node.partitions} partitions"
    return f"{node.kind.replace('_', ' ')}{partitions}"


def _label(edge: Edge) -> str:
    named = ", ".join(edge.fields[:_FIELDS])
    return f"{named} …" if edge.is_whole or len(edge.fields) > _FIELDS else named


def _edge_object(edge: Edge) -> Mapping[str, Any]:
    return {
        "from": edge.source,
        "to": edge.target,
        "kind": edge.kind,
        "fields": edge.fields,
        "whole": edge.is_whole,
    }


def _mermaid_text(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;")


def _width(node: StepNode | TopicNode) -> float:
    return max(len(node.name), len(_words(node))) * _CHARACTER + _PADDING


def _svg_text(x: float, y: float, text: str, kind: str = "name") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
