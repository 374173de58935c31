"""Measures headrace's CPU per record while a backlog of a given size is worked off."""

import time

from confluent_kafka import Producer

from benchmarks.compare import competitors
from benchmarks.compare.matrix import SMALL, Case
from benchmarks.compare.meter import FIRST_WITHIN_S, RunError, running
from benchmarks.compare.processes import exact_cpu_seconds
from benchmarks.compare.scene import Scene, produce_all, values_between
from benchmarks.compare.staging import staged

FEWEST_RECORDS = 300_000
"""A small backlog is put up again until so many records were measured."""
_DONE_WITHIN_S = 120.0
_POLL_S = 0.01


def flat(case: Case, scene: Scene) -> tuple[dict[str, float], str]:
    """Measure a case; return its metrics and how it was started.

    A backlog is written in one transaction, so it is there all at once when that is committed,
    and the worker is idle before. The first backlog is not measured.
    """
    backlogs = max(1, FEWEST_RECORDS // case.backlog)
    with (
        staged(case, scene) as stage,
        running(stage.peer, case.competitor.workers) as workers,
    ):
        burst = _Burst(scene, case, stage.topic, stage.out)
        burst.work_off(min(case.backlog, 10_000))
        used = elapsed = 0.0
        for _ in range(backlogs):
            burst.write(case.backlog)
            before, begun = exact_cpu_seconds(competitors.pids(workers)), time.perf_counter()
            burst.commit_and_wait()
            used += exact_cpu_seconds(competitors.pids(workers)) - before
            elapsed += time.perf_counter() - begun
        if said := competitors.dead(workers, stage.peer):
            raise RunError(said)
    records = backlogs * case.backlog
    return {
        "cpu_us": used / records * 1e6,
        "rate": records / elapsed,
        "records": records,
    }, stage.peer.told()


class _Burst:
    """Backlogs, one after the other."""

    def __init__(self, scene: Scene, case: Case, topic: str, out: str) -> None:
        self._scene, self._case, self._topic, self._out = scene, case, topic, out
        self._sent = self._seen = 0
        self._read = [0] * case.partitions
        self._producer = Producer(
            {
                "bootstrap.servers": scene.bootstrap,
                "transactional.id": topic,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._producer.init_transactions()

    def work_off(self, records: int) -> None:
        """Write a backlog and wait until nothing of it is left."""
        self.write(records)
        self.commit_and_wait()

    def write(self, records: int) -> None:
        """Write a backlog that nobody can see yet."""
        self._producer.begin_transaction()
        numbers = range(self._sent, self._sent + records)
        produce_all(self._producer, self._topic, SMALL, numbers)
        self._producer.flush()
        self._sent += records

    def commit_and_wait(self) -> None:
        """Show the backlog and wait until it is worked off."""
        self._producer.commit_transaction()
        deadline = time.monotonic() + FIRST_WITHIN_S + _DONE_WITHIN_S
        while self._seen < self._sent:
            if time.monotonic() > deadline:
                raise RunError(f"{self._seen:,} of {self._sent:,} records came out")
            time.sleep(_POLL_S)
            ends = self._scene.ends(self._out, self._case.partitions)
            # Offsets also count markers, so what is really there is read when it may be enough.
            if sum(ends) - sum(self._read) >= self._sent - self._seen:
                between = values_between(self._scene.bootstrap, self._out, self._read, ends)
                self._seen += sum(1 for _ in between)
                self._read = ends
