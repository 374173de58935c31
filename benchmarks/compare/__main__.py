"""The same job on headrace and its peers, side by side: `python -m benchmarks.compare`.

    python -m benchmarks.compare --plan                     # what would run, and how long it takes
    python -m benchmarks.compare --minutes 60               # what is missing, then the report
    python -m benchmarks.compare --only throughput/streams latency --rounds 1
    python -m benchmarks.compare --report                   # tables and charts from what is known

A line of JSON per run is appended to a file as soon as it is known; runs that are there already are
not made again, so the benchmark may take several sittings. Rounds are interleaved: competitors that
are compared run one after the other, and ratios are taken within a round.
"""

import argparse
import datetime as dt
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException

from benchmarks.compare import competitors, meter
from benchmarks.compare.faults import faults
from benchmarks.compare.figures import Figures
from benchmarks.compare.flat import flat
from benchmarks.compare.latency import latency
from benchmarks.compare.matrix import Case, chosen
from benchmarks.compare.meter import RunError
from benchmarks.compare.page import PAGE, write_page
from benchmarks.compare.processes import Noise
from benchmarks.compare.results import HISTORY, Result, append, known, missing
from benchmarks.compare.scene import BENCHMARKS, Scene, tell
from benchmarks.compare.versions import versions
from headrace.errors import LocalError

_FAILURES = (
    RunError,
    RuntimeError,
    OSError,
    ValueError,
    KafkaException,
    LocalError,
    subprocess.SubprocessError,
)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds in all (3)")
    parser.add_argument("--seconds", type=float, default=15.0, help="window of a run (15)")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no run after this")
    named = "KIND, PROGRAM or KIND/PROGRAM"
    parser.add_argument("--only", nargs="+", default=[], metavar=named, help="only these runs")
    parser.add_argument("--again", action="store_true", help="repeat runs that ended in an error")
    parser.add_argument("--plan", action="store_true", help="list what is missing, run nothing")
    parser.add_argument("--report", action="store_true", help="run nothing, write the page")
    parser.add_argument("--results", type=Path, default=HISTORY, help=f"file ({HISTORY.name})")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that gets the tables")
    return parser.parse_args()


def main() -> int:
    """Run what is missing, then write the report."""
    asked = arguments()
    cases = chosen(asked.only)
    if not cases:
        raise SystemExit(f"nothing is called {' '.join(asked.only)}")
    runs = missing(cases, asked.rounds, known(asked.results), is_again=asked.again)
    if not asked.report:
        tell_plan(runs, asked.seconds, is_whole=asked.plan)
    if asked.plan:
        return 0
    if runs and not asked.report:
        conduct(runs, asked)
    write_page(asked.page, list(known(asked.results).values()))
    return 0


def tell_plan(runs: Sequence[tuple[Case, int]], seconds: float, *, is_whole: bool) -> None:
    """Say how many runs there are and how long they take, and which they are."""
    minutes = sum(estimated_s(case, seconds) for case, _ in runs) / 60
    tell(f"{len(runs)} runs, about {minutes:.0f} minutes")
    for case, number in runs if is_whole else ():
        print(f"round {number}  {estimated_s(case, seconds):4.0f} s  {case}")


def estimated_s(case: Case, seconds: float) -> float:
    """Return about how long a run takes, from runs that were timed."""
    peer, window = case.competitor.program, seconds
    if case.kind == "flat":
        return 45 if case.backlog > 100_000 else 25
    if case.kind == "duplicates":
        return {"streams": 80, "quix": 90, "plain": 60}.get(peer, 35)
    if case.kind == "silence":
        return {"streams": 150, "quix": 150, "plain": 120}.get(peer, 55)
    if peer == "alone":
        return min(window, meter.ALONE_S) + 3
    return window + {"streams": 9, "quix": 14}.get(peer, 8) + 4 * (case.kind == "latency")


def conduct(runs: Sequence[tuple[Case, int]], asked: argparse.Namespace) -> None:
    """Run what is listed, as long as there is time, and write down each."""
    ends_at = time.monotonic() + 60 * asked.minutes
    with Scene(asked.seconds) as scene:
        for at, (case, number) in enumerate(runs, 1):
            if time.monotonic() > ends_at:
                tell(f"no time for the {len(runs) - at + 1} runs that are left")
                return
            result = run(case, number, scene, asked)
            if result is None:
                tell(f"{case}: skipped; its throughput is not known yet")
                continue
            append(asked.results, result)
            tell(f"{at}/{len(runs)} round {number} {told(result)}")


def run(case: Case, number: int, scene: Scene, asked: argparse.Namespace) -> Result | None:
    """Run a case; what goes wrong is its result. None: it waits for another one's result."""
    rate = float(case.rate)
    if case.kind == "latency" and not rate:
        half = half_of_saturation(case, asked.results)
        if half is None:
            return None
        rate = half
    metrics: dict[str, float] = {}
    error = command = ""
    scene.server(case.cost_ms)
    noise = Noise()
    try:
        metrics, command = measured(case, scene, asked.seconds, rate)
    except _FAILURES as failure:
        scene.check()
        error = f"{type(failure).__name__}: {failure}"
    return Result(
        case=case,
        round=number,
        seconds=asked.seconds,
        metrics={name: round(value, 4) for name, value in metrics.items()},
        error=error,
        noise=round(noise.share(), 3),
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        versions=versions(BENCHMARKS.parent) | competitors.versions(case.competitor.program),
        command=command,
    )


def measured(case: Case, scene: Scene, seconds: float, rate: float) -> tuple[dict[str, float], str]:
    """Measure a case as its kind says; return its metrics and how it was started."""
    if case.kind == "throughput":
        return meter.throughput(case, scene, seconds)
    if case.kind == "latency":
        return latency(case, scene, seconds, rate)
    if case.kind == "flat":
        return flat(case, scene)
    return faults(case, scene)


def half_of_saturation(case: Case, history: Path) -> float | None:
    """Return half of what a competitor reached, the median of the rounds so far."""
    reached = Case("throughput", case.competitor, case.cost_ms, case.payload_bytes)
    figure = Figures(known(history).values()).of(reached, "rate")
    return figure.median / 2 if figure else None


def told(result: Result) -> str:
    """Return a result in a line."""
    found = result.error or ", ".join(f"{k} {v:,.4g}" for k, v in result.metrics.items())
    return f"{result.case}: {found}; noise {result.noise:.0%}"


if __name__ == "__main__":
    sys.exit(main())
