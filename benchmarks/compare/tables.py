"""The tables of the report, as Markdown."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from benchmarks.compare.figures import Figure, Figures
from benchmarks.compare.matrix import KINDS, REST_PAIRS, SMALL, Case, Competitor, cases, headrace
from benchmarks.compare.results import Result
from benchmarks.compare.targets import targets


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def whole(figure: Figure | None) -> str:
    """Show a figure in whole numbers, with its spread."""
    return _with_spread(figure, lambda value: f"{value:,.0f}")


def fine(figure: Figure | None) -> str:
    """Show a figure with three digits, with its spread."""
    return _with_spread(figure, digits)


def digits(value: float) -> str:
    """Show a number with at least two digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


_SHOWN: Mapping[str, Callable[[float], str]] = {
    " x": lambda value: f"{digits(value)} x",
    " %": lambda value: f"{value:.0%}",
    " ms": lambda value: f"{digits(value)} ms",
}


def _with_spread(figure: Figure | None, show: Callable[[float], str]) -> str:
    if figure is None:
        return "-"
    if figure.runs == 1:
        return f"{show(figure.median)} (one run)"
    return f"{show(figure.median)} [{show(figure.least)} {show(figure.most)}]"


def of_targets(figures: Figures) -> str:
    """Return what was to be reached and whether it was."""
    rows = []
    for each in targets(figures):
        show = _SHOWN[each.unit]
        sign = "<=" if each.is_most else ">="
        met = {None: "not measured", True: "yes", False: "**no**"}[each.is_met]
        found = _with_spread(each.figure, show)
        rows.append([each.what, f"{sign} {show(each.bound)}", found, met])
    return table(["target", "bound", "measured", "met"], rows)


def of_throughput(figures: Figures, cost_ms: int, payload_bytes: int, workers: int) -> str:
    """Return what the competitors of one block reached."""
    block = ("throughput", cost_ms, payload_bytes, workers)
    ours = [case for case in cases() if case.block == block]
    best = next((case for case in ours if case.competitor == _best(workers)), None)
    rows = []
    for case in (case for case in ours if case in figures.cases):
        alike = like(case)
        rows.append(
            [
                str(case.competitor),
                _or_error(figures, case, whole(figures.of(case, "rate"))),
                fine(figures.of(case, "cpu_us")),
                _ratio(figures, best, case),
                _ratio(figures, alike, case),
            ]
        )
    head = ["competitor", "records a second", "its CPU, us a record"]
    return table([*head, "headrace, 256 rows / it", "headrace alike / it"], rows)


def _best(workers: int) -> Competitor:
    return headrace(256, workers=workers)


def _ratio(figures: Figures, upper: Case | None, lower: Case) -> str:
    if upper is None or upper == lower or lower.competitor.program == "headrace":
        return ""
    return fine(figures.ratio(upper, lower))


def like(case: Case) -> Case | None:
    """Return the run of headrace that asks the model as a competitor does; None: there is none.

    That is one with as many rows, workers and, where calls block, slots, over the same protocol;
    with rows in batches headrace takes gRPC and its own number of slots, which are its defaults.
    """
    it = case.competitor
    if it.program == "headrace":
        return None
    blocking = it.program in ("streams", "plain", "quix", "faststream") and it.rows == 1
    ours = headrace(it.rows, workers=it.workers)
    if blocking or (it.program == "alone" and it.protocol == "rest" and it.rows == 1):
        ours = REST_PAIRS[it.slots == REST_PAIRS[1].slots]
        ours = replace(ours, workers=it.workers)
    found = replace(case, competitor=ours)
    return found if found in cases() and it.program != "copy" else None


def of_latency(figures: Figures) -> str:
    """Return delays at fixed rates."""
    rows = []
    for case in _run("latency", figures):
        asked = f"{case.rate:,}" if case.rate else "half of saturation"
        rate = figures.of(case, "rate")
        rows.append(
            [
                str(case.competitor),
                f"{case.cost_ms} ms",
                asked if case.rate or rate is None else f"{asked}: {rate.median:,.0f}",
                _or_error(figures, case, fine(figures.of(case, "p50_ms"))),
                fine(figures.of(case, "p99_ms")),
                fine(figures.of(case, "max_ms")),
            ]
        )
    head = ["competitor", "model", "records a second", "p50, ms", "p99, ms", "longest, ms"]
    return table(head, rows)


def of_duplicates(figures: Figures) -> str:
    """Return what a kill -9 doubled and lost, all rounds together."""
    rows = []
    for case in _run("duplicates", figures):
        silence = figures.of(case, "died_s")
        kills = str(silence.runs) if silence else "0"
        sums = [f"{figures.total(case, each):,.0f}" for each in ("written", "doubled", "lost")]
        shown = _or_error(figures, case, sums[0] if silence else "-")
        rows.append([str(case.competitor), f"{case.rate}", kills, shown, *sums[1:], fine(silence)])
    head = ["competitor", "records a second", "kills", "records", "doubled", "lost"]
    return table([*head, "silence after it, s"], rows)


def of_silence(figures: Figures) -> str:
    """Return how long a partition was silent."""
    rows = []
    for case in _run("silence", figures):
        spans = [
            fine(figures.of(case, f"{what}_s")) for what in ("steady", "joined", "left", "died")
        ]
        spans[0] = _or_error(figures, case, spans[0])
        sums = [f"{figures.total(case, each):,.0f}" for each in ("doubled", "lost")]
        rows.append([str(case.competitor), f"{case.rate}", *spans, *sums])
    head = ["competitor", "records a second", "steady, s", "one joins, s", "one leaves, s"]
    return table([*head, "one dies, s", "doubled", "lost"], rows)


def of_flatness(figures: Figures) -> str:
    """Return headrace's cost of a record over partitions, workers and backlogs."""
    rows = [
        [
            f"{case.partitions}",
            f"{case.competitor.workers}",
            f"{case.backlog:,}",
            _or_error(figures, case, fine(figures.of(case, "cpu_us"))),
            whole(figures.of(case, "rate")),
        ]
        for case in _run("flat", figures)
    ]
    head = ["partitions", "workers", "backlog", "CPU of all workers, us a record"]
    return table([*head, "records a second"], rows)


def of_commands(results: Sequence[Result]) -> str:
    """Return how each competitor was started, with the versions of its libraries."""
    common = _common_versions(results)
    found: dict[str, tuple[str, str]] = {}
    for each in results:
        if each.command:
            own = {k: v for k, v in each.versions.items() if k not in common}
            told = ", ".join(f"{name} {version}" for name, version in own.items())
            found[str(replace(each.case.competitor, workers=1))] = (each.command, told)
    rows = [[name, f"`{command}`", told] for name, (command, told) in found.items()]
    return table(["competitor", "started as", "libraries of its own"], rows)


def _common_versions(results: Sequence[Result]) -> set[str]:
    counts = Counter(name for each in results for name in each.versions)
    return {name for name, count in counts.items() if count == len(results)}


def of_errors(figures: Figures) -> str:
    """Return which runs gave nothing, and why."""
    order = {kind: at for at, kind in enumerate(KINDS)}
    lines = [
        f"- {case}: {' '.join(error.split())[:300]}"
        for case in sorted(figures.cases, key=lambda case: order[case.kind])
        for error in figures.errors(case)
    ]
    return "\n".join(lines)


def _of_kind(kind: str) -> list[Case]:
    return [case for case in cases() if case.kind == kind]


def _run(kind: str, figures: Figures) -> list[Case]:
    """Return the cases of a kind that were run, also in vain."""
    return [case for case in _of_kind(kind) if case in figures.cases]


def _or_error(figures: Figures, case: Case, shown: str) -> str:
    failed = len(figures.errors(case))
    return f"{shown} ({failed} failed)" if failed else shown


def blocks(figures: Figures) -> list[tuple[int, int, int]]:
    """Return cost, payload and workers of each table of throughput that was begun, in order."""
    found = {case.block[1:]: None for case in _run("throughput", figures)}
    return sorted(found, key=lambda block: (block[2], block[1] != SMALL, block[0]))
