"""What a campaign's results say, as Markdown."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product

from tests.fault.faults import ANYWHERE, END, Fault
from tests.fault.fleet import POINTS
from tests.fault.trial import Result

_MOST_TOLD = 160
_STEPS = (*POINTS, END, ANYWHERE)
_MODELS = {"grpc": "gRPC", "http": "REST"}
_GROUPS = tuple(product(("classic", "consumer"), ("dynamic", "static")))


def told(result: Result) -> str:
    """Return a seed in a line."""
    hits = ", ".join(f"{fault} {count}" for fault, count in sorted(result.hits.items()))
    return (
        f"seed {result.seed} {result.shape}, {result.protocol}, {result.membership},"
        f" {result.brokers} brokers, {_MODELS[result.over]}: {result.records:,} records, {hits},"
        f" {result.seconds:.0f} s: {_first_line(result.wrong) or 'nothing is wrong'}"
    )


def _first_line(text: str) -> str:
    """Return what a page has room for."""
    line = text.partition("\n")[0]
    return line if len(line) <= _MOST_TOLD else f"{line[:_MOST_TOLD]}..."


def campaign(results: Iterable[Result]) -> str:
    """Return how often what came to pass: by pipeline, and by fault, protocol and step."""
    results = sorted(results, key=lambda each: each.seed)
    wrong = [each for each in results if each.wrong]
    fed = sum(each.records for each in results)
    struck = sum(sum(each.hits.values()) for each in results)
    again = sum(each.asked_late for each in results)
    latest_s = max((each.asked_late_s for each in results), default=0.0)
    lines = [
        f"{len(results)} seeds, {fed:,} records, {struck:,} faults; {len(wrong)} seeds went wrong",
        "",
        (
            f"{again:,} records were asked of a model by a worker that did not know yet that"
            f" another one had finished them, {latest_s:.1f} s later at most."
        ),
        "",
        *table(["seeds", *(", ".join(each) for each in _GROUPS)], _seeds(results)),
        "",
        *table(["fault", "protocol", *_STEPS], _coverage(results)),
    ]
    return "\n".join([*lines, *("\n" + told(each) for each in wrong)])


def _seeds(results: Sequence[Result]) -> list[list[str]]:
    count = Counter(
        (each.shape, each.brokers, each.over, each.protocol, each.membership) for each in results
    )
    rows = sorted({(each.shape, each.brokers, each.over) for each in results})
    return [
        [
            f"{shape}, {brokers} broker{'s' if brokers > 1 else ''}, {_MODELS[over]}",
            *(str(count[shape, brokers, over, *group]) for group in _GROUPS),
        ]
        for shape, brokers, over in rows
    ]


def _coverage(results: Sequence[Result]) -> list[list[str]]:
    count: Counter[tuple[str, str, str]] = Counter()
    for each in results:
        for hit, times in each.hits.items():
            fault, _, step = hit.partition("@")
            count[fault, each.protocol, step] += times
    return [
        [fault, protocol, *(str(count[fault, protocol, step] or "") for step in _STEPS)]
        for fault in Fault
        for protocol in ("classic", "consumer")
        if any(count[fault, protocol, step] for step in _STEPS)
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
