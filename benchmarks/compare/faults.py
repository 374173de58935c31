"""What becomes of records, and of time, when workers are killed, join and leave."""

import time
from collections.abc import Callable, Mapping

from benchmarks.compare import competitors
from benchmarks.compare.competitors import Peer
from benchmarks.compare.matrix import Case
from benchmarks.compare.meter import FIRST_WITHIN_S, RunError
from benchmarks.compare.scene import Scene
from benchmarks.compare.staging import under_feed
from benchmarks.compare.watch import Watch, longest_silence, lost_and_doubled
from headrace.local.process import Child

STEADY_S = 8.0
_AFTER_S = 8.0
_CALM_WITHIN_S = 120.0
"""Longer than the longest of all that may hold up a peer: the default timeout of a transaction."""
_JOINED_WITHIN_S = 90.0
_POLL_S = 0.05

Spans = dict[str, tuple[float, float]]


def faults(case: Case, scene: Scene) -> tuple[dict[str, float], str]:
    """Kill a worker, or let workers join, leave and die; return what was found and the command."""
    with under_feed(case, scene, case.rate) as run:
        watch = run.watch
        fleet = _Fleet(run.peer, run.workers, watch, case.partitions)
        fleet.settle()
        spans = fleet.is_killed() if case.kind == "duplicates" else fleet.changes()
        written = run.feed.end()
        watch.wait(lambda: _numbers(watch) >= written, _CALM_WITHIN_S)
    lost, doubled = lost_and_doubled([each.number for each in watch.sights], written)
    silences = {f"{what}_s": longest_silence(watch.sights, *span) for what, span in spans.items()}
    return {"written": written, "lost": lost, "doubled": doubled, **silences}, run.peer.told()


def _numbers(watch: Watch) -> int:
    return len({each.number for each in watch.sights})


class _Fleet:
    """Workers that come and go under a feed."""

    def __init__(
        self, peer: Peer, workers: dict[int, Child], watch: Watch, partitions: int
    ) -> None:
        self._peer, self._workers, self._watch = peer, workers, watch
        self._partitions = partitions
        self._gone: set[int] = set()

    def settle(self) -> None:
        """Wait until every partition flows and go on for a while."""
        self._wait_until_shown(time.time(), FIRST_WITHIN_S + _JOINED_WITHIN_S)
        time.sleep(STEADY_S)

    def is_killed(self) -> Spans:
        """Kill the worker in the middle of its work and start it again at once."""
        at = time.time()
        self._workers[0].kill()
        self._workers[0] = self._peer.start(0)
        self._calm_down(at)
        return {"died": (at, time.time())}

    def changes(self) -> Spans:
        """Let a worker join, one leave and one die, each when the one before is digested."""
        moments = {"steady": time.time() - STEADY_S}
        for what, change in self._changes().items():
            moments[what] = time.time()
            change()
            self._calm_down(moments[what])
        ends = [*list(moments.values())[1:], time.time()]
        return {
            what: (begun, ended) for (what, begun), ended in zip(moments.items(), ends, strict=True)
        }

    def _changes(self) -> Mapping[str, Callable[[], None]]:
        return {"joined": self._join, "left": self._leave, "died": self._die}

    def _join(self) -> None:
        self._workers[2] = self._peer.start(2)

    def _leave(self) -> None:
        self._gone.add(0)
        self._workers[0].terminate()

    def _die(self) -> None:
        self._gone.add(1)
        self._workers[1].kill()

    def _calm_down(self, at: float) -> None:
        """Wait until every partition shows records that were written a while after a change."""
        self._wait_until_shown(at + _AFTER_S, _CALM_WITHIN_S)

    def _wait_until_shown(self, after: float, within_s: float) -> None:
        """Wait until every partition shows a record that was written after a time."""
        deadline = time.time() + within_s
        newest: dict[int, float] = {}
        at = 0
        while len(newest) < self._partitions or min(newest.values()) < after:
            left = {n: each for n, each in self._workers.items() if n not in self._gone}
            if dead := competitors.dead(left, self._peer):
                raise RunError(dead)
            if time.time() > deadline:
                quiet = [p for p in range(self._partitions) if newest.get(p, 0.0) < after]
                raise RunError(f"partitions {quiet} show nothing after {within_s:.0f} s")
            time.sleep(_POLL_S)
            sights = self._watch.sights[at:]
            at += len(sights)
            for each in sights:
                newest[each.partition] = max(newest.get(each.partition, 0.0), each.written)
