"""Puts tables and charts into the page of figures, between two marks."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compare import tables
from benchmarks.compare.chart import Bar, Group, drawn
from benchmarks.compare.figures import Figures
from benchmarks.compare.matrix import COSTS_MS, PEERS, Case, cases, headrace
from benchmarks.compare.results import Result
from benchmarks.compare.targets import full

PAGE = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- compare:begin; written by make bench-compare, do not edit -->"
END = "<!-- compare:end -->"

_METHOD = """\
`make bench-compare` runs the same job side by side: read JSON from one topic, upper-case a text \
with a model behind MLServer, write the result to another topic, exactly once where the peer can. \
One embedded Kafka, one model server at a time and one input topic per payload are shared by all; \
competitors that are compared run one after the other, in {rounds}, and every ratio is taken \
within a round. Figures are medians with [least most].

A run of throughput begins 3 s after the first result is visible to a `read_committed` reader and \
lasts {seconds:g} s, from one commit to another; then what became visible in between is read and \
counted, so markers of transactions do not count. The model server alone is asked for \
{alone:g} s with requests made beforehand. Kafka Streams, the plain loop and Quix Streams make one \
blocking REST call at a time and thread; FastStream is at least once. Latency is from just before \
the producer's call until a `read_committed` reader has the result. For duplicates the only worker \
is killed with SIGKILL and started again at once. Silence is the longest time in which a partition \
showed nothing new though a record of it waited, after a third worker joined two, one left with \
SIGTERM, one died with SIGKILL, each when the one before was digested. Peers keep the \
defaults of their libraries but for what their names say. For the flat cost, a backlog is \
committed in one transaction and the CPU is taken until its last result is visible."""


def write_page(page: Path, results: Sequence[Result]) -> None:
    """Put the report of some results into a page, and the charts beside this module."""
    known = page.read_text(encoding="utf-8") if page.exists() else ""
    figures = Figures(results)
    folder = page.parent / "compare"
    folder.mkdir(exist_ok=True)
    for name, picture in charts(figures).items():
        (folder / name).write_text(picture, encoding="utf-8")
    page.write_text(with_report(known, report(results)), encoding="utf-8")


def with_report(page: str, text: str) -> str:
    """Return a page with a report between the marks, which are appended if they are not there."""
    if BEGIN not in page or END not in page:
        page = f"{page.rstrip()}\n\n## Side by side\n\n{BEGIN}\n{END}\n".lstrip()
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def report(results: Sequence[Result]) -> str:
    """Return the report of some results."""
    figures = Figures(results)
    parts = [
        method(results),
        "### Targets",
        tables.of_targets(figures),
        "### Throughput",
        *_pictures(figures),
    ]
    for cost_ms, payload_bytes, workers in tables.blocks(figures):
        told = f"Model takes {cost_ms} ms a request, {payload_bytes:,} bytes, {workers} worker"
        parts.append(f"{told}{'s' * (workers > 1)}:")
        parts.append(tables.of_throughput(figures, cost_ms, payload_bytes, workers))
    parts += ["### Latency at fixed rates", tables.of_latency(figures)]
    parts += ["### After kill -9", tables.of_duplicates(figures)]
    parts += ["### Silence of a partition", tables.of_silence(figures)]
    parts += ["### headrace's cost per record", tables.of_flatness(figures)]
    parts += ["### How they were started", tables.of_commands(results)]
    if errors := tables.of_errors(figures):
        parts += ["### Runs that failed", errors]
    return "\n\n".join(parts)


def method(results: Sequence[Result]) -> str:
    """Return how and on what the results came to be."""
    seconds = {each.seconds for each in results} or {0.0}
    rounds = max((each.round for each in results), default=0)
    counted = f"{rounds} round{'s' * (rounds != 1)}"
    told = _METHOD.format(rounds=counted, seconds=max(seconds), alone=min(5.0, max(seconds)))
    lines = [told]
    if len(seconds) > 1:
        lines.append(f"Some runs had windows of {', '.join(f'{s:g}' for s in sorted(seconds))} s.")
    if results:
        lines.append(_circumstances(results))
    return "\n\n".join(lines)


def _circumstances(results: Sequence[Result]) -> str:
    dates = sorted(each.date for each in results)
    noises = [each.noise for each in results]
    machines = sorted({each.machine for each in results})
    return (
        f"{len(results)} runs from {dates[0]} to {dates[-1]} on {'; '.join(machines)}, on which"
        f" broker, model server, competitor and meter all ran; others used"
        f" {statistics.median(noises):.0%} of its CPU during the median run and"
        f" {max(noises):.0%} during the worst. {_versions(results)}."
    )


def _versions(results: Sequence[Result]) -> str:
    """Return the versions of what all results have in common."""
    common = set.intersection(*(set(each.versions) for each in results))
    told = []
    for name in results[0].versions:
        if name in common:
            values = sorted({each.versions[name] for each in results})
            told.append(f"{name} {' and '.join(values)}")
    return ", ".join(told)


def _pictures(figures: Figures) -> list[str]:
    titles = {
        "throughput.svg": "How many times as many records as each competitor headrace moves",
        "silence.svg": "How long a partition was silent",
    }
    return [f"![{titles[name]}](compare/{name})" for name in charts(figures)]


def charts(figures: Figures) -> dict[str, str]:
    """Return the charts by the name of their file, those for which there is anything."""
    ratios = [Group(f"model takes {cost} ms", _ratio_bars(figures, cost)) for cost in COSTS_MS]
    silences = [
        Group(f"a worker {what}", _silence_bars(figures, what))
        for what in ("joined", "left", "died")
    ]
    wanted = {
        "throughput.svg": (
            "Records per second: headrace with 256 rows divided by the other, one worker each",
            ratios,
        ),
        "silence.svg": ("Longest silence of a partition, seconds", silences),
    }
    return {
        name: drawn(title, [each for each in groups if each.bars])
        for name, (title, groups) in wanted.items()
        if any(each.bars for each in groups)
    }


def _ratio_bars(figures: Figures, cost_ms: int) -> list[Bar]:
    ours = full(headrace(256), cost_ms)
    bars = []
    for case in cases():
        program = case.competitor.program
        if case.block != ours.block or program in ("headrace", "alone", "copy"):
            continue
        if ratio := figures.ratio(ours, case):
            shown = f"{tables.digits(ratio.median)} x"
            bars.append(Bar(str(case.competitor), ratio.median, shown))
    return bars


def _silence_bars(figures: Figures, what: str) -> list[Bar]:
    bars = []
    for case in _silences():
        if silence := figures.of(case, f"{what}_s"):
            shown = f"{tables.digits(silence.median)} s"
            bars.append(Bar(PEERS[case.competitor.program], silence.median, shown))
    return bars


def _silences() -> list[Case]:
    return [case for case in cases() if case.kind == "silence"]
