"""Where the nodes of a drawing stand: in layers along the edges, with few crossings."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

_SWEEPS = 4

Place: TypeAlias = tuple[int, float]
"""A layer, and how far down in it: nodes of a layer are at least 1 apart."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A drawing's nodes and edges.

    Attributes:
        nodes: Where each node stands.
        ways: The places that each edge passes, its ends included.
    """

    nodes: Mapping[str, Place]
    ways: Mapping[tuple[str, str], Sequence[Place]]

    @property
    def height(self) -> float:
        """How far down the lowest place is."""
        return max((down for way in self.ways.values() for _, down in way), default=0.0)


def placed(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Placed:
    """Place nodes in layers, every edge to the right as far as there are no cycles.

    Layers by longest path, order within them by the mean of the neighbours, and a place for
    every layer that an edge crosses, so that no line runs through a node.
    """
    layer = _layers(nodes, edges)
    chains = {edge: _chain(edge, layer) for edge in edges}
    links = [link for chain in chains.values() for link in pairwise(chain)]
    rows: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for point in dict.fromkeys([*((node, layer[node]) for node in nodes), *_points(links)]):
        rows[point[1]].append(point)
    down = _downs([rows[number] for number in sorted(rows)], links)
    return Placed(
        nodes={node: (layer[node], down[node, layer[node]]) for node in nodes},
        ways={edge: [(point[1], down[point]) for point in chain] for edge, chain in chains.items()},
    )


_Point: TypeAlias = tuple[str, int]
"""A node in its layer, or an edge's name where it crosses a layer."""


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    layer = dict.fromkeys(nodes, 0)
    # As many rounds as a path can have nodes; a cycle would go on for ever.
    for _ in nodes:
        for source, target in edges:
            layer[target] = max(layer[target], min(layer[source] + 1, len(nodes) - 1))
    return layer


def _chain(edge: tuple[str, str], layer: Mapping[str, int]) -> list[_Point]:
    source, target = edge
    between = range(layer[source] + 1, layer[target])
    return [
        (source, layer[source]),
        *((f"{source} {target}", number) for number in between),
        (target, layer[target]),
    ]


def _points(links: Iterable[tuple[_Point, _Point]]) -> list[_Point]:
    return [point for link in links for point in link]


def _downs(
    rows: Sequence[list[_Point]], links: Sequence[tuple[_Point, _Point]]
) -> Mapping[_Point, float]:
    """Return how far down each point is, after sweeps to the right and to the left."""
    neighbours: dict[bool, dict[_Point, list[_Point]]] = {True: {}, False: {}}
    for left, right in links:
        neighbours[True].setdefault(right, []).append(left)
        neighbours[False].setdefault(left, []).append(right)
    down = {point: float(index) for row in rows for index, point in enumerate(row)}
    for sweep in range(_SWEEPS):
        is_rightward = sweep % 2 == 0
        for row in rows if is_rightward else reversed(rows):
            wished = {point: _wish(point, neighbours[is_rightward], down) for point in row}
            row.sort(key=lambda point: wished[point])
            _spread(row, wished, down)
    top = min(down.values(), default=0.0)
    return {point: at - top for point, at in down.items()}


def _wish(
    point: _Point, neighbours: Mapping[_Point, Sequence[_Point]], down: Mapping[_Point, float]
) -> float:
    near = [down[each] for each in neighbours.get(point, ())]
    return sum(near) / len(near) if near else down[point]


def _spread(
    row: Sequence[_Point], wished: Mapping[_Point, float], down: dict[_Point, float]
) -> None:
    """Put a row's points in order, 1 apart at least, on average where they wish to be."""
    at = float("-inf")
    for point in row:
        at = max(wished[point], at + 1)
        down[point] = at
    shift = sum(down[point] - wished[point] for point in row) / len(row)
    for point in row:
        down[point] -= shift
