"""Measures throughput: what a `read_committed` reader could see, in a window of steady state."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.compare import competitors
from benchmarks.compare.competitors import Peer
from benchmarks.compare.matrix import Case
from benchmarks.compare.processes import cpu_seconds
from benchmarks.compare.scene import BENCHMARKS, Scene, fresh_name, tell, values_between
from headrace.local.process import Child

WARM_S = 3.0
FIRST_WITHIN_S = 60.0
ALONE_S = 5.0
"""The window of the model server alone, which has no group and no transaction to get going."""
_POLL_S = 0.02
_EVERY_WHICH_IS_CHECKED = 101
_MOST_GROWTHS = 2


class RunError(Exception):
    """A run that gave no figure; says why."""


class _InputTooSmallError(Exception):
    """The competitor came near the end of its input."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What was visible, and when."""

    at: float
    ends: list[int]


@contextmanager
def running(peer: Peer, workers: int) -> Iterator[dict[int, Child]]:
    """Run workers, to which some may be added; end them all."""
    children: dict[int, Child] = {}
    try:
        for number in range(workers):
            children[number] = peer.start(number)
        yield children
    finally:
        competitors.kill_all(children)


def throughput(case: Case, scene: Scene, seconds: float) -> tuple[dict[str, float], str]:
    """Measure a case; return its metrics and how it was started."""
    if case.competitor.program == "alone":
        return _alone(case, scene, seconds)
    for _ in range(_MOST_GROWTHS):
        try:
            return _once(case, scene, seconds)
        except _InputTooSmallError:
            tell(f"{case}: came near the end of its input; thrown away, again with twice as much")
            scene.grow(scene.input(case.payload_bytes))
    raise RunError("came to the end of its input twice")


def _once(case: Case, scene: Scene, seconds: float) -> tuple[dict[str, float], str]:
    source, out = scene.input(case.payload_bytes), scene.new_topic("out", case.partitions)
    name = fresh_name(case.competitor.program)
    peer = competitors.prepare(case, scene, name, source.topic, out)
    try:
        with running(peer, case.competitor.workers) as workers:
            watch = _Watch(scene, peer, workers, out, case.partitions)
            first, last, cpu_cores = watch.window(seconds)
        if sum(last.ends) > 0.97 * source.records:
            raise _InputTooSmallError
        records = _counted(scene, out, first, last, source.records)
    finally:
        scene.delete(name, out)
    rate = records / (last.at - first.at)
    return {
        "rate": rate,
        "cpu_us": cpu_cores / rate * 1e6,
        "records": records,
        "window_s": last.at - first.at,
    }, peer.told()


class _Watch:
    """Sees how far the output of a competitor is visible."""

    def __init__(
        self, scene: Scene, peer: Peer, workers: Mapping[int, Child], out: str, partitions: int
    ) -> None:
        self._scene, self._peer, self._workers = scene, peer, workers
        self._out, self._partitions = out, partitions
        self._seen = [0] * partitions

    def window(self, seconds: float) -> tuple[Moment, Moment, float]:
        """Return the first and the last moment of a window, and the cores that were used in it.

        Both are moments at which something had just become visible, so that it makes no
        difference how often a competitor commits.
        """
        self._next()
        time.sleep(WARM_S)
        self._seen = self._scene.ends(self._out, self._partitions)
        first = self._next()
        begun, used = time.perf_counter(), cpu_seconds(competitors.pids(self._workers))
        last, ends_at = None, time.monotonic() + seconds
        while (change := self._change(ends_at)) is not None:
            last = change
        cores = cpu_seconds(competitors.pids(self._workers)) - used
        if last is None:
            raise RunError(f"nothing became visible in {seconds:.0f} s")
        return first, last, cores / (time.perf_counter() - begun)

    def _next(self) -> Moment:
        """Wait until more is visible, or give up."""
        change = self._change(time.monotonic() + FIRST_WITHIN_S)
        if change is None:
            said = " / ".join(self._peer.said(number) for number in self._workers)
            raise RunError(f"nothing became visible in {FIRST_WITHIN_S:.0f} s: {said}")
        return change

    def _change(self, until: float) -> Moment | None:
        """Wait until more is visible; None where nothing came in time."""
        while time.monotonic() < until:
            if said := competitors.dead(self._workers, self._peer):
                raise RunError(said)
            ends = self._scene.ends(self._out, self._partitions)
            if ends != self._seen:
                self._seen = ends
                return Moment(time.perf_counter(), ends)
            time.sleep(_POLL_S)
        return None


def _counted(scene: Scene, out: str, first: Moment, last: Moment, known: int) -> int:
    """Count the records between two moments, without markers of transactions, and look at some."""
    records = 0
    for value in values_between(scene.bootstrap, out, first.ends, last.ends):
        if records % _EVERY_WHICH_IS_CHECKED == 0:
            check(value, known)
        records += 1
    return records


def check(value: bytes, known: int) -> None:
    """Look whether a result belongs to the input and is right; a copy has none."""
    found = json.loads(value)
    text = found["text"]
    if not 0 <= int(text.split(":")[0]) < known:
        raise RunError(f"an unexpected record came out: {text[:60]!r}")
    if found.get("translation", text.upper()) != text.upper():
        raise RunError(f"a wrong result came out: {value[:200]!r}")


def _alone(case: Case, scene: Scene, seconds: float) -> tuple[dict[str, float], str]:
    chosen, server = case.competitor, scene.server(case.cost_ms)
    address = server.url("grpc" if chosen.protocol == "grpc" else "http").partition("//")[2]
    seconds = min(seconds, ALONE_S)
    arguments = [chosen.protocol, address, chosen.rows, chosen.slots, seconds, case.payload_bytes]
    module = "benchmarks.compare.model_alone"
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
        cwd=BENCHMARKS.parent,
    )
    if done.returncode:
        raise RunError(done.stderr[-500:])
    found: dict[str, float] = json.loads(done.stdout)
    rate = found.pop("requests_per_s") * chosen.rows
    cpu_us = found.pop("client_cores") / rate * 1e6
    command = f"python -m {module} {chosen.protocol} ADDRESS {chosen.rows} {chosen.slots} ..."
    return {"rate": rate, "cpu_us": cpu_us, "window_s": seconds, **found}, command
