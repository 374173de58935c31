"""Records what a command prints and draws it as a terminal: `cast.py OUT.svg COMMAND...`.

The picture moves without a script and needs no font from elsewhere. Lines come in the time they
took, but none sooner than can be seen, and none after a long wait. Where nothing may move, the
picture shows the end.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

COLUMNS = 120
ROWS = 34
SHORTEST_WAIT_S = 0.1
LONGEST_WAIT_S = 0.8
TYPED_S = 1.0
STAYS_S = 1.0
ROW_PX = 24.4
"""rich draws characters of 20 pixels in rows of 1.22 times that."""

PARTS = ("width", "styles", "backgrounds", "matrix")

PICTURE = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height">
<!-- Made by tools/cast.py; do not edit. -->
<style>
.rows { font: 20px "DejaVu Sans Mono", Menlo, Consolas, monospace; }
$styles
@media not (prefers-reduced-motion: reduce) {
.rows text { animation: appear 1ms both; }
.screen { animation: scroll ${total_s}s step-end both; }
}
@keyframes appear { from { opacity: 0; } }
@keyframes scroll { $scroll }
</style>
<clipPath id="window"><rect width="$width" height="$screen"/></clipPath>
<rect width="$width" height="$height" rx="8" fill="#292929"/>
<g transform="translate(22 20)">
<circle r="6" fill="#ff5f57"/><circle cx="20" r="6" fill="#febc2e"/>
<circle cx="40" r="6" fill="#28c840"/>
</g>
<g transform="translate(10 40)" clip-path="url(#window)">
<g class="screen" style="$end">$backgrounds<g class="rows">$matrix</g></g>
</g>
</svg>
""")


class Row(NamedTuple):
    """A row of the terminal, and when it appears, seconds from the start."""

    text: Text
    at_s: float


def record(command: Sequence[str]) -> list[Row]:
    """Run a command and return what it printed, the typed command first."""
    environ = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    rows = [Row(Text(f"$ {shlex.join(command)}", "bold"), 0.0)]
    ruler = Console(width=COLUMNS)
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        at_s, before = TYPED_S, time.monotonic()
        for line in process.stdout or ():
            sys.stderr.write(line)
            now = time.monotonic()
            at_s, before = at_s + bounded(now - before), now
            parts = Text.from_ansi(at_home(line.rstrip("\n"))).wrap(ruler, COLUMNS)
            rows += [Row(apart(part), at_s) for part in parts or [Text()]]
    if process.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}")
    return rows


def bounded(wait_s: float) -> float:
    """Return how long a wait takes in the picture."""
    return min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S)


def at_home(line: str) -> str:
    """Return a line without the paths of this machine."""
    return line.replace(f"{Path.cwd()}/", "").replace(str(Path.home()), "~")


def apart(row: Text) -> Text:
    """Return a row whose wide characters are drawn on their own: the rest stays in place."""
    for place, character in enumerate(row.plain):
        if cell_len(character) != 1:
            row.stylize("bold", place, place + 1)
    return row


def drawn(rows: Sequence[Row]) -> str:
    """Return the rows as an SVG."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(width=COLUMNS, record=True, file=nowhere)
        for row in rows:
            console.print(row.text)
        code_format = "\0".join(f"{{{part}}}" for part in PARTS)
        exported = console.export_svg(code_format=code_format, unique_id="cast")
    parts = dict(zip(PARTS, exported.split("\0"), strict=True))

    def timed(match: re.Match[str]) -> str:
        return f'style="animation-delay:{rows[int(match[1])].at_s:.2f}s"'

    parts["matrix"] = re.sub(r'clip-path="url\(#cast-line-(\d+)\)"', timed, parts["matrix"])
    total_s = rows[-1].at_s + STAYS_S
    screen = ROWS * ROW_PX + 4
    return PICTURE.substitute(
        parts,
        height=f"{screen + 52:g}",
        screen=f"{screen:g}",
        total_s=f"{total_s:.2f}",
        scroll=" ".join(scrolling(rows, total_s)),
        end=up(len(rows)),
    )


def scrolling(rows: Sequence[Row], total_s: float) -> list[str]:
    """Return when the screen moves up, as keyframes."""
    shown = {f"{100 * row.at_s / total_s:.2f}%": number for number, row in enumerate(rows, 1)}
    return [f"{when} {{ {up(number)} }}" for when, number in shown.items()]


def up(rows: int) -> str:
    """Return how far the screen is moved when so many rows were printed."""
    return f"transform: translateY({-max(0, rows - ROWS) * ROW_PX:g}px);"


if __name__ == "__main__":
    out, *words = sys.argv[1:]
    Path(out).write_text(drawn(record(words)), encoding="utf-8")
