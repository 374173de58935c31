"""Where the nodes of a drawing stand: in layers along the edges, with few crossings."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

_SWEEPS = 8
_SETTLE = 30

Place: TypeAlias = tuple[int, float]
"""A layer, and the middle of a node's share of it: nodes of a layer do not overlap."""


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
    def breadth(self) -> float:
        """How far from the first place the last is."""
        return max((at for way in self.ways.values() for _, at in way), default=0.0)


def placed(
    nodes: Sequence[str],
    edges: Sequence[tuple[str, str]],
    sizes: Mapping[str, float] | None = None,
    groups: Sequence[Collection[str]] = (),
    way_size: float = 1.0,
) -> Placed:
    """Place nodes in layers, every edge to a later one as far as there are no cycles.

    Layers by longest path, order within them by the mean of the neighbours, and a place for
    every layer that an edge crosses, so that no line runs through a node.

    Args:
        nodes: Their names.
        edges: From and to.
        sizes: Room that a node takes in its layer; default: 1.
        groups: Nodes around which a box is drawn; nothing else is placed in it.
        way_size: Room that an edge takes in a layer that it crosses.
    """
    layer = _layers(nodes, edges)
    chains = {edge: _chain(edge, layer) for edge in edges}
    links = [link for chain in chains.values() for link in pairwise(chain)]
    rows: dict[int, list[_Point]] = defaultdict(list)
    for point in dict.fromkeys([*((node, layer[node]) for node in nodes), *_points(links)]):
        rows[point[1]].append(point)
    known = sizes or {}
    layout = _Layout(
        [rows[number] for number in sorted(rows)],
        links,
        {
            point: known.get(point[0], 1.0) if point[0] in layer else way_size
            for row in rows.values()
            for point in row
        },
        [{(name, layer[name]) for name in group} for group in groups],
    )
    at = layout.places()
    return Placed(
        nodes={node: (layer[node], at[node, layer[node]]) for node in nodes},
        ways={edge: [(point[1], at[point]) for point in chain] for edge, chain in chains.items()},
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


class _Layout:
    """Where the points of each row stand."""

    def __init__(
        self,
        rows: Sequence[list[_Point]],
        links: Sequence[tuple[_Point, _Point]],
        size: Mapping[_Point, float],
        groups: Sequence[set[_Point]],
    ) -> None:
        self._rows = rows
        self._size = size
        self._groups = groups
        self._before: dict[_Point, list[_Point]] = defaultdict(list)
        self._after: dict[_Point, list[_Point]] = defaultdict(list)
        for left, right in links:
            self._before[right].append(left)
            self._after[left].append(right)
        self._at: dict[_Point, float] = {}

    def places(self) -> Mapping[_Point, float]:
        """Return how far each point is from the first, after sweeps forward and back."""
        for row in self._rows:
            self._spread(row, dict.fromkeys(row, 0.0))
        for sweep in range(_SWEEPS):
            is_forward = sweep % 2 == 0
            near = self._before if is_forward else self._after
            for row in self._rows if is_forward else reversed(self._rows):
                wished = {point: self._wish(point, near[point]) for point in row}
                together = {point: self._together(point, wished) for point in row}
                row.sort(key=lambda point: (together[point], wished[point]))
                self._spread(row, wished)
        for sweep in range(_SETTLE):
            for row in self._rows if sweep % 2 else reversed(self._rows):
                both = {p: self._wish(p, [*self._before[p], *self._after[p]]) for p in row}
                self._spread(row, both)
        for group in self._groups:
            self._clear(group)
        first = min(self._at.values(), default=0.0)
        return {point: at - first for point, at in self._at.items()}

    def _wish(self, point: _Point, near: Sequence[_Point]) -> float:
        found = [self._at[each] for each in near]
        return sum(found) / len(found) if found else self._at[point]

    def _together(self, point: _Point, wished: Mapping[_Point, float]) -> float:
        """Return what the points of a row are ordered by: those of a group stand side by side."""
        for group in self._groups:
            if point in group:
                beside = [wished[each] for each in group if each in wished]
                return sum(beside) / len(beside)
        return wished[point]

    def _spread(self, row: Sequence[_Point], wished: Mapping[_Point, float]) -> None:
        """Put a row's points in order, apart by their sizes, on average where they wish to be."""
        end = float("-inf")
        for point in row:
            half = self._size[point] / 2
            self._at[point] = max(wished[point], end + half)
            end = self._at[point] + half
        shift = sum(self._at[point] - wished[point] for point in row) / len(row)
        for point in row:
            self._at[point] -= shift

    def _clear(self, group: set[_Point]) -> None:
        """Move what stands between the outermost points of a group to its sides."""
        lows = [self._at[point] - self._size[point] / 2 for point in group]
        highs = [self._at[point] + self._size[point] / 2 for point in group]
        low, high, numbers = min(lows), max(highs), {point[1] for point in group}
        for row in self._rows:
            if not min(numbers) <= row[0][1] <= max(numbers):
                continue
            others = [point for point in row if point not in group]
            left = [point for point in others if self._at[point] < (low + high) / 2]
            right = [point for point in others if self._at[point] >= (low + high) / 2]
            over = [self._at[point] + self._size[point] / 2 - low for point in left]
            under = [high - self._at[point] + self._size[point] / 2 for point in right]
            for point in left:
                self._at[point] -= max(0.0, *over)
            for point in right:
                self._at[point] += max(0.0, *under)
