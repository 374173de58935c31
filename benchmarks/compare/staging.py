"""What runs on topics of their own have in common: topics, competitor, workers, feed and watch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.compare import competitors
from benchmarks.compare.competitors import Peer
from benchmarks.compare.feed import Feed, fed
from benchmarks.compare.matrix import Case
from benchmarks.compare.meter import RunError, running
from benchmarks.compare.scene import Scene, fresh_name
from benchmarks.compare.watch import Watch
from headrace.local.process import Child


@dataclass(frozen=True, slots=True)
class Staged:
    """A competitor that is ready to read a topic and write another one."""

    peer: Peer
    topic: str
    out: str


@dataclass(frozen=True, slots=True)
class Run:
    """A competitor at work under a feed."""

    peer: Peer
    workers: dict[int, Child]
    watch: Watch
    feed: Feed


@contextmanager
def staged(case: Case, scene: Scene) -> Iterator[Staged]:
    """Make topics for a run and its competitor ready; remove what they left behind."""
    topic = scene.new_topic("in", case.partitions)
    out = scene.new_topic("out", case.partitions)
    name = fresh_name(case.competitor.program)
    peer = competitors.prepare(case, scene, name, topic, out)
    try:
        yield Staged(peer, topic, out)
    finally:
        scene.delete(name, topic, out)


@contextmanager
def under_feed(case: Case, scene: Scene, rate: float) -> Iterator[Run]:
    """Run a competitor under a feed.

    Raises:
        RunError: A wrong result came out.
    """
    with staged(case, scene) as stage:
        with (
            Watch(scene.bootstrap, stage.out, case.partitions) as watch,
            running(stage.peer, case.competitor.workers) as workers,
            fed(scene.bootstrap, stage.topic, case.partitions, rate) as feed,
        ):
            yield Run(stage.peer, workers, watch, feed)
        if watch.wrong:
            raise RunError(f"a wrong result came out: {watch.wrong[0][:200]!r}")
