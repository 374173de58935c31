"""Measures how long a record takes from its writing until its result is visible, at a rate."""

import time

from benchmarks.compare import competitors
from benchmarks.compare.matrix import Case
from benchmarks.compare.meter import FIRST_WITHIN_S, RunError
from benchmarks.compare.processes import cpu_seconds
from benchmarks.compare.scene import Scene
from benchmarks.compare.staging import under_feed
from benchmarks.compare.watch import delays_ms

WARM_S = 3.0
UP_TO_DATE_WITHIN_S = 15.0
"""Records wait while a worker starts; it gets time to work them off."""
_REST_WITHIN_S = 20.0


def latency(case: Case, scene: Scene, seconds: float, rate: float) -> tuple[dict[str, float], str]:
    """Measure a case; return its metrics and how it was started."""
    with under_feed(case, scene, rate) as run:
        watch, workers = run.watch, run.workers
        if not watch.wait(lambda: bool(watch.sights), FIRST_WITHIN_S):
            dead = competitors.dead(workers, run.peer)
            raise RunError(dead or f"nothing became visible in {FIRST_WITHIN_S:.0f} s")
        watch.wait(watch.is_up_to_date, UP_TO_DATE_WITHIN_S)
        time.sleep(WARM_S)
        since, used = time.time(), cpu_seconds(competitors.pids(workers))
        time.sleep(seconds)
        until, used = time.time(), cpu_seconds(competitors.pids(workers)) - used
        written = run.feed.end()
        everything = watch.wait(lambda: len(watch.sights) >= written, _REST_WITHIN_S)
        if not everything:
            dead = competitors.dead(workers, run.peer)
            raise RunError(dead or f"{len(watch.sights)} of {written} records came out")
    found = delays_ms(watch.sights, since, until)
    return {
        "rate": len(found) / (until - since),
        "cpu_us": used / len(found) * 1e6,
        "p50_ms": found[len(found) // 2],
        "p99_ms": found[int(len(found) * 0.99)],
        "max_ms": found[-1],
        "records": len(found),
    }, run.peer.told()
