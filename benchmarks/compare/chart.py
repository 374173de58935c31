"""Draws bars on a logarithmic scale, as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

ROW_PX = 24
LEFT_PX = 330
WIDTH_PX = 370
TOP_PX = 34
HEAD_PX = 30

_FRAME = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 $height" font-family="sans-serif">
<!-- Made by benchmarks/compare from its results; do not edit. -->
<style>
text { fill: #24292f; font-size: 13px; }
.title { font-size: 15px; font-weight: bold; }
.head { font-weight: bold; }
.small { font-size: 11px; fill: #656d76; }
.bar { fill: #2f6feb; }
.grid { stroke: #8c959f; stroke-dasharray: 2 4; stroke-width: 0.6; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .small { fill: #9198a1; } .bar { fill: #4493f8; }
}
</style>
<text class="title" x="0" y="18">$title</text>
$body
</svg>
""")

_BAR = Template("""\
<text x="$label_x" y="$text_y" text-anchor="end">$label</text>
<rect class="bar" x="$x" y="$y" width="$width" height="16" rx="2"/>
<text x="$after" y="$text_y">$shown</text>
""")

_LINE = Template("""\
<line class="grid" x1="$x" y1="$top" x2="$x" y2="$bottom"/>
<text class="small" x="$x" y="$below" text-anchor="middle">$shown</text>
""")


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: what it says and how long it is."""

    label: str
    value: float
    shown: str


@dataclass(frozen=True, slots=True)
class Group:
    """Bars under a heading."""

    heading: str
    bars: Sequence[Bar]


def drawn(title: str, groups: Sequence[Group]) -> str:
    """Return a chart; groups without bars are left out."""
    groups = [group for group in groups if group.bars]
    values = [bar.value for group in groups for bar in group.bars if bar.value > 0]
    low = math.floor(math.log10(min(values, default=1.0)))
    high = max(low + 1, math.ceil(math.log10(max(values, default=10.0))))

    def x(value: float) -> float:
        if value <= 0:
            return LEFT_PX
        return LEFT_PX + WIDTH_PX * (math.log10(value) - low) / (high - low)

    y, bars = TOP_PX, []
    for group in groups:
        bars.append(f'<text class="head" x="0" y="{y + 18}">{escape(group.heading)}</text>')
        y += HEAD_PX
        for bar in group.bars:
            bars.append(_bar(bar, y, x(bar.value)))
            y += ROW_PX
    grid = [_line(10.0**power, x(10.0**power), y) for power in range(low, high + 1)]
    return _FRAME.substitute(
        title=escape(title), height=y + 24, body="".join([*grid, "\n".join(bars)])
    )


def _bar(bar: Bar, y: float, end: float) -> str:
    return _BAR.substitute(
        label=escape(bar.label),
        label_x=LEFT_PX - 8,
        text_y=y + 13,
        x=LEFT_PX,
        y=y,
        width=f"{max(end - LEFT_PX, 1):.0f}",
        after=f"{max(end, LEFT_PX) + 6:.0f}",
        shown=escape(bar.shown),
    )


def _line(value: float, x: float, bottom: float) -> str:
    shown = f"{value:,.0f}" if value >= 1 else f"{value:g}"
    return _LINE.substitute(x=f"{x:.0f}", top=TOP_PX, bottom=bottom, below=bottom + 14, shown=shown)
