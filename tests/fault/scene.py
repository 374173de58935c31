"""A pipeline at work on real processes, with everything that faults can strike."""

import asyncio
import math
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from headrace.core.topology import Topology
from headrace.errors import BrokerUnavailableError
from headrace.local.model_server import ModelServer
from headrace.local.ports import free_port
from tests.fault.brokers import Brokers
from tests.fault.dag_runs import create_topics, unfinished
from tests.fault.faults import Site
from tests.fault.feeding import Feed, Watch
from tests.fault.fleet import Fleet
from tests.fault.held import Held
from tests.fault.relay import Relay
from tests.fault.seeds import Seed
from tests.fault.shapes import Setting, topology_of
from tests.network import Proxy

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PARTITIONS = 6
SLOTS = ("a", "b", "c")
RATE = 40.0
"""Records a second."""

PROGRESS_WITHIN_S = 60.0
"""Workers that finish nothing for so long are stuck."""


class StalledError(Exception):
    """Nothing is finished any more, though something is left."""


def model_server() -> ModelServer:
    """Return the model server, not started; a call takes it 60 ms."""
    return ModelServer("model-upper", directory=BENCHMARKS, env={"UPPER_MS": "60"})


class Scene:
    """What a seed says, at work while entered.

    Args:
        seed: The pipeline, its group and its brokers.
        folder: For the pipeline file and the workers' logs.
        models: The model server, running.
        plant: A bug to run with, or an empty name.
        spared: Workers that no fault ends.
        slots: The workers.

    Attributes:
        fleet: The workers.
        site: Where faults strike.
        feed: What goes in.
        watch: What came out.
        relay: What models saw.
        asked_late_s: By how much models were asked too late, once it is judged.
    """

    asked_late_s: Sequence[float] = ()

    def __init__(
        self,
        seed: Seed,
        folder: Path,
        models: ModelServer,
        plant: str = "",
        spared: frozenset[str] = frozenset(),
        slots: Sequence[str] = SLOTS,
    ) -> None:
        self._slots = slots
        self._seed, self._folder, self._models = seed, folder, models
        self._plant, self._spared = plant, spared
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as stack:
            self._begin(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wrong(self) -> list[str]:
        """Let the workers finish what was fed and leave; return what is wrong then.

        Raises:
            StalledError: They do not finish it.
        """
        self.feed.stop()
        try:
            _until_idle(self._topology, self.fleet)
        except StalledError:
            self.fleet.dump_stacks()
            self._brokers.keep(self._folder / "brokers")
            raise
        self.fleet.stop()
        seed, topics = self._seed, self._topics
        held = Held(self._brokers.direct, seed.shape, self._source, topics)
        calls = None if seed.shape.ends_early else self.relay.calls
        verdict = held.verdict(calls, self.watch.seen)
        self.asked_late_s = held.asked_late_s
        wrong = [str(verdict)] if verdict else []
        wrong += held.wrong(is_spoilt=seed.is_spoilt)
        if wrong:
            held.dump(self._folder)
            self._brokers.keep(self._folder / "brokers")
        return wrong

    def _begin(self, stack: ExitStack) -> None:
        seed = self._seed
        self._brokers = stack.enter_context(Brokers(seed.brokers))
        self.relay = stack.enter_context(Relay(self._models.url(seed.over)))
        way = stack.enter_context(Proxy(free_port(), self.relay.port, reads_frames=False))
        setting = Setting(
            seed.name,
            self._brokers.proxied,
            f"{seed.over}://{way.address}",
            seed.protocol,
            seed.membership,
        )
        file = seed.shape.write(self._folder, setting)
        self._topology = topology_of(file)
        create_topics(self._topology, PARTITIONS, copies=seed.brokers)
        self._topics = [f"{seed.name}.out", self._topology.dead_letter_topic]
        self._source = f"{seed.name}.in"
        direct = self._brokers.direct
        self.watch = Watch(direct, self._topics, PARTITIONS, seed.shape.is_ending)
        stack.callback(self.watch.stop)
        outcomes = self.watch.seen.__len__
        self.feed = Feed(direct, self._source, PARTITIONS, seed.shape.value, RATE, outcomes)
        stack.callback(self.feed.stop)
        env = {"HEADRACE_PLANT": self._plant}
        self.fleet = Fleet(file, self._folder, list(self._slots), env)
        stack.callback(self.fleet.kill_all)
        rng = random.Random(seed.number)
        self.site = Site(
            self.fleet, self._brokers, self._models, self.relay, way, rng, self._spared
        )
        self.fleet.settles(within_s=30)


def _until_idle(topology: Topology, fleet: Fleet) -> None:
    """Wait until everything is committed.

    Raises:
        StalledError: Nothing was finished for a while, though something is left.
    """
    least, since = math.inf, time.monotonic()
    while left := _unfinished(topology):
        if left < least:
            least, since = left, time.monotonic()
        if time.monotonic() > since + PROGRESS_WITHIN_S:
            raise StalledError(
                f"{left} are not finished, and none was for {PROGRESS_WITHIN_S:.0f} s"
            )
        fleet.revive({})
        time.sleep(0.5)


def _unfinished(topology: Topology) -> float:
    """Return how many records are not finished; infinitely many where no broker tells."""
    try:
        return asyncio.run(unfinished(topology))
    except BrokerUnavailableError:
        return math.inf
