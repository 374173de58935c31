"""A pipeline's graph as text for a terminal, as Mermaid and as JSON, and its words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from headrace.core.graph import Edge, EdgeKind, Graph, StepNode, TopicNode
from headrace.core.topics import TopicKind

_FIELDS = 8


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

    nodes, edges = drawn(graph)
    told: set[str] = set()

    def grow(tree: Tree, id_: str, edge: Edge | None) -> None:
        node = nodes[id_]
        line = Text(node.name, style="bold")
        line.append(f"  {'; '.join(words(node))}", style="not bold dim")
        if edge is not None and edge_words(edge):
            line.append(f"  ({edge_words(edge)})", style="not bold")
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
    return "\n".join([*lines, *footer(graph)])


def as_mermaid(graph: Graph) -> str:
    """Return a flowchart as Mermaid draws it; the steps of a fused stage share a box."""
    nodes, edges = drawn(graph)
    names = {id_: f"n{number}" for number, id_ in enumerate(nodes)}
    lines = ["flowchart LR"]
    fused = fused_stages(graph)
    inside = {id_ for ids in fused.values() for id_ in ids}
    for number, (stage, ids) in enumerate(fused.items()):
        lines.append(f'  subgraph s{number} ["stage {_mermaid_text(stage)}"]')
        lines += [f"    {_mermaid_node(names[id_], nodes[id_])}" for id_ in ids]
        lines.append("  end")
    lines += [f"  {_mermaid_node(names[i], node)}" for i, node in nodes.items() if i not in inside]
    for edge in edges:
        label = f'|"{_mermaid_text(edge_words(edge))}"|' if edge_words(edge) else ""
        arrow = "-.->" if edge.tells else "-->"
        lines.append(f"  {names[edge.source]} {arrow}{label} {names[edge.target]}")
    return "\n".join(lines)


def drawn(graph: Graph) -> tuple[Mapping[str, StepNode | TopicNode], Sequence[Edge]]:
    """Return the ways of results and the nodes at their ends, by id.

    Every step has a way to the dead letters: drawn, they would hide the others.
    """
    edges = [edge for edge in graph.edges if edge.kind is EdgeKind.RESULT]
    touched = {id_ for edge in edges for id_ in (edge.source, edge.target)}
    nodes: Sequence[StepNode | TopicNode] = [*graph.topics, *graph.steps]
    return {node.id: node for node in nodes if node.id in touched}, edges


def fused_stages(graph: Graph) -> Mapping[str, Sequence[str]]:
    """Return the ids of the steps of every stage that has several, by the stage's name."""
    return {
        stage.name: [f"step:{name}" for name in stage.steps]
        for stage in graph.stages
        if len(stage.steps) > 1
    }


def footer(graph: Graph) -> Sequence[str]:
    """Return what a drawing leaves out or shows by its lines, a line each."""
    kinds = {topic.kind: topic for topic in graph.topics}
    letters = kinds.get(TopicKind.DEAD_LETTERS)
    lines = [f"what a step gives up goes to {letters.name}"] if letters else []
    if any(edge.tells for edge in graph.edges):
        lines.append("dashed, or +outcomes: records that were dropped or failed are told, too")
    return lines


def words(node: StepNode | TopicNode) -> Sequence[str]:
    """Return what is said of a node beside its name, in parts."""
    if isinstance(node, TopicNode):
        partitions = "" if node.partitions is None else f", {node.partitions} partitions"
        return [f"{node.kind.replace('_', ' ')}{partitions}"]
    parts = [f"{node.kind} {node.model or node.function or _lists(node)}".rstrip()]
    if node.stage != node.name:
        parts[0] += f", stage {node.stage}"
    if node.join:
        parts.append(f"join: {node.join}")
    if node.when:
        parts.append(f"when {node.when}")
    return parts


def edge_words(edge: Edge, *, with_fields: bool = True) -> str:
    """Return what is said of an edge, empty for nothing."""
    parts = [f"{edge.label}:"] if edge.label else []
    if with_fields:
        more = len(edge.fields) - _FIELDS
        named = [*edge.fields[:_FIELDS], *([f"{more} more"] if more > 0 else [])]
        text = ", ".join(named) + (" …" if edge.is_whole else "")
        parts += [text.strip()] if text else []
    parts += ["carrier"] if edge.is_carrier else []
    parts += ["optional"] if edge.is_optional else []
    parts += ["+outcomes"] if edge.tells and with_fields else []
    return " ".join(parts).removesuffix(":")


def _lists(node: StepNode) -> str:
    if node.kind == "split" and node.reads and node.writes:
        return f"{node.reads[0]} as {node.writes[0]}"
    return f"into {node.writes[0]}" if node.kind == "gather" and node.writes else ""


def _edge_object(edge: Edge) -> Mapping[str, Any]:
    return {
        "from": edge.source,
        "to": edge.target,
        "kind": edge.kind,
        "fields": edge.fields,
        "whole": edge.is_whole,
        "route": edge.label,
        "carrier": edge.is_carrier,
        "optional": edge.is_optional,
        "outcomes": edge.tells,
    }


def _mermaid_node(name: str, node: StepNode | TopicNode) -> str:
    text = _mermaid_text("<br/>".join([node.name, *words(node)]))
    return f'{name}["{text}"]' if isinstance(node, StepNode) else f'{name}[("{text}")]'


def _mermaid_text(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;")
