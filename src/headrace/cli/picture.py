"""A pipeline's graph as an SVG, from top to bottom."""

from collections.abc import Iterator, Sequence
from html import escape

from headrace.cli.drawings import drawn, edge_words, footer, fused_stages, words
from headrace.cli.layers import placed
from headrace.core.graph import Edge, Graph, StepNode, TopicNode
from headrace.core.topics import TopicKind

_CHARACTER = 7.4
_SMALL = 6.1
_LINE = 16
_MARGIN = 24
_PADDING = 30
_BESIDE = 28
_BETWEEN = 48
_WAY = 30
_PORT = 26
_STAGE = 14
_WORDS = 34
_LIST = 44
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933; text-anchor: middle }
.label { paint-order: stroke; stroke: white; stroke-width: 4px }
.left { text-anchor: start }
.small { font-size: 11px; fill: #52606d }
.step { fill: #e6f0ff; stroke: #2f6fdb }
.function { fill: #e7f7ec; stroke: #2f855a }
.list { fill: #f3ebff; stroke: #7c4dcc }
.topic { fill: #fff7e0; stroke: #b7791f }
.derived { fill: #fffdf5; stroke: #d8b46a }
.stage { fill: #f5f7fa; stroke: #9aa5b1; stroke-dasharray: 2 3 }
.way { fill: none; stroke: #52606d }
.tells { stroke-dasharray: 5 3 }
"""
_CLASSES = {"function": "function", "split": "list", "gather": "list"}
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
    'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#52606d"/></marker></defs>'
)


def as_svg(graph: Graph) -> str:
    """Return a picture, from top to bottom; derived topics show what they carry."""
    return "\n".join(_Picture(graph).lines())


class _Picture:
    """The geometry of one SVG: layers become rows as high as their highest node."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._nodes, self._edges = drawn(graph)
        self._texts = {id_: self._text(id_) for id_ in self._nodes}
        self._width = {id_: _width(lines) for id_, lines in self._texts.items()}
        self._fused = fused_stages(graph)
        self._placed = placed(
            list(self._nodes),
            list(dict.fromkeys((e.source, e.target) for e in self._edges)),
            {id_: width + _BESIDE for id_, width in self._width.items()},
            list(self._fused.values()),
            _WAY,
        )
        left = min((at - self._width[i] / 2 for i, (_, at) in self._places()), default=0.0)
        right = max((at + self._width[i] / 2 for i, (_, at) in self._places()), default=0.0)
        ways = [at for way in self._placed.ways.values() for _, at in way]
        self._shift = _MARGIN + _STAGE - min([left, *ways])
        notes = max((len(line) * _SMALL for line in footer(graph)), default=0.0)
        self._total = max(max([right, *ways]) + self._shift + _STAGE, notes) + _MARGIN
        self._tops, self._bottoms = self._rows()

    def lines(self) -> Iterator[str]:
        notes = footer(self._graph)
        bottom = self._bottoms[-1] if self._bottoms else _MARGIN
        height = bottom + 2 * _MARGIN + _LINE * len(notes)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._total:.0f} {height:.0f}"'
            f' width="{self._total:.0f}" height="{height:.0f}">'
        )
        yield f"<title>pipeline {escape(self._graph.pipeline)}</title>"
        yield f"<style>{_STYLE}</style>"
        yield _ARROW
        yield '<rect width="100%" height="100%" fill="white"/>'
        for name, ids in self._fused.items():
            yield from self._stage(name, ids)
        labels: list[str] = []
        for edge in self._edges:
            yield from self._edge(edge, labels)
        for id_ in self._nodes:
            yield from self._node(id_)
        yield from labels
        for number, text in enumerate(notes):
            at = bottom + 2 * _MARGIN + _LINE * number
            yield _svg_text(_MARGIN, at, text, "small left")
        yield "</svg>"

    def _places(self) -> Sequence[tuple[str, tuple[int, float]]]:
        return list(self._placed.nodes.items())

    def _rows(self) -> tuple[Sequence[float], Sequence[float]]:
        count = 1 + max((layer for layer, _ in self._placed.nodes.values()), default=-1)
        heights = [0.0] * count
        for id_, (layer, _) in self._places():
            heights[layer] = max(heights[layer], self._height(id_))
        tops, bottoms, at = [], [], float(_MARGIN)
        for height in heights:
            tops.append(at)
            bottoms.append(at + height)
            at += height + _BETWEEN
        return tops, bottoms

    def _text(self, id_: str) -> Sequence[str]:
        """Return the lines in a node's box; a derived topic tells what it carries, too."""
        node = self._nodes[id_]
        lines = [node.name, *(_cut(each.partition(", stage ")[0], _WORDS) for each in words(node))]
        if isinstance(node, TopicNode) and node.kind is TopicKind.DERIVED:
            written = next((edge for edge in self._edges if edge.target == id_), None)
            lines += [_fields(written)] if written is not None else []
        return lines

    def _edge(self, edge: Edge, labels: list[str]) -> Iterator[str]:
        way = self._placed.ways[edge.source, edge.target]
        (layer, at), *rest = way
        x, y = self._x(at) + self._port(edge, edge.source), self._y_of(edge.source)[1]
        end = self._x(way[-1][1]) + self._port(edge, edge.target)
        path = [f"M{x:.1f} {y:.1f}"]
        label = self._label(edge)
        for number, (layer, at) in enumerate(rest):
            is_last = number == len(rest) - 1
            next_x = end if is_last else self._x(at)
            if y < self._bottoms[layer - 1]:
                path.append(f"V{self._bottoms[layer - 1]:.1f}")
                y = self._bottoms[layer - 1]
            top = self._y_of(edge.target)[0] if is_last else self._tops[layer]
            middle = (y + self._tops[layer]) / 2
            path.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f}")
            path[-1] += f" {self._tops[layer]:.1f}V{top:.1f}"
            if label and (number == 0 if edge.label else is_last):
                labels.append(_svg_text((x + next_x) / 2, middle + 4, label, "small label"))
            x, y = next_x, top
        kind = "way tells" if edge.tells else "way"
        yield f'<path class="{kind}" d="{"".join(path)}" marker-end="url(#arrow)"/>'

    def _label(self, edge: Edge) -> str:
        """Return what an edge says that the derived topic at its end does not."""
        ends = [self._nodes.get(edge.source), self._nodes.get(edge.target)]
        derived = {n.id for n in ends if isinstance(n, TopicNode) and n.kind is TopicKind.DERIVED}
        told = {_fields(each) for each in self._edges if each.target in derived}
        text = edge_words(edge, with_fields=_fields(edge) not in told)
        return _cut(text.replace(" +outcomes", ""), _LIST)

    def _port(self, edge: Edge, id_: str) -> float:
        """Return how far from the middle of a node an edge meets it, by where it comes from."""
        is_out = id_ == edge.source
        sides: dict[tuple[str, str], float] = {}
        for each in self._edges:
            if (each.source if is_out else each.target) == id_:
                way = self._placed.ways[each.source, each.target]
                sides[each.source, each.target] = way[1][1] if is_out else way[-2][1]
        order = sorted(sides, key=lambda pair: sides[pair])
        apart = min(float(_PORT), 0.8 * self._width[id_] / max(len(order), 1))
        return (order.index((edge.source, edge.target)) - (len(order) - 1) / 2) * apart

    def _node(self, id_: str) -> Iterator[str]:
        node, width = self._nodes[id_], self._width[id_]
        x = self._x(self._placed.nodes[id_][1])
        top, bottom = self._y_of(id_)
        radius = 4 if isinstance(node, StepNode) else (bottom - top) / 2
        yield (
            f'<rect class="{_kind(node)}" x="{x - width / 2:.1f}" y="{top:.1f}" '
            f'width="{width:.1f}" height="{bottom - top:.1f}" rx="{radius:.0f}"/>'
        )
        for number, line in enumerate(self._texts[id_]):
            yield _svg_text(x, top + 19 + _LINE * number, line, "small" if number else "name")

    def _stage(self, name: str, ids: Sequence[str]) -> Iterator[str]:
        lefts = [self._x(self._placed.nodes[i][1]) - self._width[i] / 2 for i in ids]
        rights = [self._x(self._placed.nodes[i][1]) + self._width[i] / 2 for i in ids]
        tops, bottoms = zip(*(self._y_of(i) for i in ids), strict=True)
        left, top = min(lefts) - _STAGE, min(tops) - _STAGE
        width, height = max(rights) + _STAGE - left, max(bottoms) + _STAGE + 6 - top
        yield (
            f'<rect class="stage" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" rx="8"/>'
        )
        yield _svg_text(left + 6, top + height - 5, f"stage {name}", "small left")

    def _x(self, at: float) -> float:
        return at + self._shift

    def _y_of(self, id_: str) -> tuple[float, float]:
        """Return top and bottom of a node, in the middle of its row."""
        layer, _ = self._placed.nodes[id_]
        middle = (self._tops[layer] + self._bottoms[layer]) / 2
        half = self._height(id_) / 2
        return middle - half, middle + half

    def _height(self, id_: str) -> float:
        return 12 + _LINE * len(self._texts[id_])


def _fields(edge: Edge) -> str:
    named = ", ".join(edge.fields)
    return _cut(f"{named} …".strip() if edge.is_whole else named or "nothing", _LIST)


def _kind(node: StepNode | TopicNode) -> str:
    if isinstance(node, TopicNode):
        return "derived" if node.kind is TopicKind.DERIVED else "topic"
    return _CLASSES.get(node.kind, "step")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2].rstrip(', ')} …"


def _width(lines: Sequence[str]) -> float:
    name, *others = lines
    return max([len(name) * _CHARACTER, *(len(each) * _SMALL for each in others)]) + _PADDING


def _svg_text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
