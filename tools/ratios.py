"""Draws headrace's throughput beside other loops: `ratios.py`, from benchmarks/README.md alone."""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "README.md"
PICTURE = ROOT / "docs" / "assets" / "ratios.svg"

ROW_PX = 46
LEFT_PX = 370
LARGEST_PX = 330
PX_PER_ONE = 38

FRAME = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 $height" font-family="sans-serif">
<!-- Made by tools/ratios.py from benchmarks/README.md; do not edit. -->
<style>
text { fill: #24292f; font-size: 15px; }
.small { font-size: 12px; fill: #656d76; }
.bar { fill: #2f6feb; }
.one { stroke: #8c959f; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .small { fill: #9198a1; } .bar { fill: #4493f8; }
}
</style>
<text x="0" y="18" font-weight="bold">Records per second: headrace divided by the other loop</text>
$bars
<line class="one" x1="$one" y1="32" x2="$one" y2="$bottom"/>
<text class="small" x="$one" y="$caption" text-anchor="middle">1 = as fast</text>
</svg>
""")

BAR = Template("""\
<text x="0" y="$label">$what</text>
<text class="small" x="0" y="$below">against $other</text>
<rect class="bar" x="$left" y="$top" width="$width" height="22" rx="2"/>
<text x="$after" y="$label">$ratio</text>
""")


class Ratio(NamedTuple):
    """A comparison: what was measured, against what, and headrace's share of it."""

    what: str
    other: str
    ratio: float


def ratios(page: str) -> Iterator[Ratio]:
    """Yield the comparisons of the figures' table; ordering key where there are two figures."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4:
            continue
        what, _, ours, beside = cells
        theirs = re.match(r"(.+?) ([\d,]+): ", beside)
        if theirs and "records/s" in ours:
            named = re.sub(r"^throughput, |, ordering key / partition", "", what)
            yield Ratio(named, theirs[1], _number(ours) / _number(theirs[2]))


def _number(text: str) -> float:
    found = re.match(r"[\d,]+", text)
    return float(found[0].replace(",", "")) if found else 0.0


def drawn(found: list[Ratio]) -> str:
    """Return the chart."""
    bars = []
    for row, each in enumerate(found):
        top = 40 + row * ROW_PX
        width = each.ratio * PX_PER_ONE
        bars.append(
            BAR.substitute(
                what=escape(each.what),
                other=escape(each.other),
                left=LEFT_PX,
                top=top,
                width=f"{width:.0f}",
                label=top + 15,
                below=top + 31,
                after=f"{LEFT_PX + max(width, PX_PER_ONE) + 8:.0f}",
                ratio=f"{each.ratio:.2f}" if each.ratio < 1 else f"{each.ratio:.1f}",
            )
        )
    bottom = 40 + len(found) * ROW_PX
    return FRAME.substitute(
        bars="".join(bars),
        one=LEFT_PX + PX_PER_ONE,
        bottom=bottom,
        caption=bottom + 14,
        height=bottom + 20,
    )


if __name__ == "__main__":
    PICTURE.write_text(drawn(list(ratios(FIGURES.read_text()))), encoding="utf-8")
