"""Faults that befall a pipeline under load, each on real processes."""

import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.errors import LocalError
from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from tests.fault.brokers import Brokers
from tests.fault.clocks import jumping_clock
from tests.fault.fleet import POINTS, Fleet
from tests.fault.relay import Mood, Relay
from tests.network import EndOfTransaction, Proxy

SESSION_S = 6.0
"""A worker that is silent for longer has lost its partitions when it wakes up."""

ANYWHERE = "anywhere"
END = "end_txn"
_INDEFINITE_S = 18.0
"""Longer than a worker waits for the end of a transaction before it takes it for unknown."""

_AT_A_STEP_S = 8.0
_ORDERLY_S = 60.0
_DISK_BYTES = 4096
_STARTS = 3
_PORT_FREE_S = 2.0
_JUMPS_S = (-3600, -86_400, -5)
"""Back, and forward again. The library shows a clock that is ahead to whoever asks for the time,
but not to a wait that is to end at one: librdkafka would wait as it does under no real clock."""


class Fault(StrEnum):
    """What may happen."""

    KILL = "worker killed"
    FREEZE = "worker frozen"
    ZOMBIE = "zombie"
    STORM = "rebalance storm"
    BROKER = "broker restarted"
    CRASH = "broker killed"
    DISK = "disk full"
    CUT = "connections cut"
    DROP = "packets dropped"
    DELAY = "packets late"
    LOST_END = "end lost"
    UNANSWERED_END = "end unanswered"
    LATE_END = "end late"
    MODEL = "model killed"
    FLAPPING = "model flapping"
    SLOW = "model slow"
    UNREACHABLE = "model unreachable"
    GARBAGE = "model answers garbage"
    CLOCK = "clock jumps"


REPLICATED = frozenset({Fault.BROKER, Fault.CRASH, Fault.DISK})
"""Where several brokers are: a lone one that is away leaves its partitions without a leader, and
Kafka then forgets to mark commits, see `test_markers`."""

SPOILING = frozenset({Fault.GARBAGE})
"""After these a record may rightly have been given up."""

_ENDS = {
    Fault.LOST_END: EndOfTransaction.LOST,
    Fault.UNANSWERED_END: EndOfTransaction.UNANSWERED,
    Fault.LATE_END: EndOfTransaction.LATE,
}


@dataclass(slots=True)
class Site:
    """Where faults strike.

    Attributes:
        fleet: The workers.
        brokers: The brokers and the workers' ways to them.
        models: The model server.
        relay: What stands before it.
        model_way: The workers' way to the relay.
        rng: Chooses victims, steps and durations.
        spared: Workers that no fault ends.
        hits: How often what came to pass, `worker killed@produced` and the like.
    """

    fleet: Fleet
    brokers: Brokers
    models: ModelServer
    relay: Relay
    model_way: Proxy
    rng: random.Random
    spared: frozenset[str] = frozenset()
    hits: Counter[str] = field(default_factory=Counter)

    def strike(self, fault: Fault) -> None:
        """Let a fault happen, once the workers are at work, and end it."""
        self.fleet.settles(_AT_A_STEP_S)
        match fault:
            case Fault.KILL:
                self._kill()
            case Fault.LOST_END | Fault.UNANSWERED_END | Fault.LATE_END:
                self._end(fault)
            case _:
                with self._held() as (victim, step):
                    if _DEEDS[fault](self, victim):
                        self.hits[f"{fault}@{step}"] += 1
        self.brokers.heal()
        self.fleet.revive({})

    @property
    def _mortal(self) -> list[str]:
        return [each for each in self.fleet.slots if each not in self.spared]

    @contextmanager
    def _held(self) -> Iterator[tuple[str, str]]:
        """Hold a worker at a step of its commit, mostly; yield it and the step."""
        victim, step = self.rng.choice(self._mortal), self.rng.choice([*POINTS, ANYWHERE])
        if step != ANYWHERE and not self.fleet.hold(victim, step, _AT_A_STEP_S):
            step = ANYWHERE
        try:
            yield victim, step
        finally:
            self.fleet.call_off()

    def _kill(self) -> None:
        victim, step = self.rng.choice(self._mortal), self.rng.choice(POINTS)
        self.fleet.order_death(victim, step)
        if not self.fleet.awaits_death(victim, _AT_A_STEP_S):
            self.fleet.call_off()
            self.fleet.kill(victim)
            step = ANYWHERE
        self.hits[f"{Fault.KILL}@{step}"] += 1

    def _end(self, fault: Fault) -> None:
        """Let something befall the end of one transaction, at whichever broker it arrives."""
        before = sum(way.ends for way in self.brokers.ways)
        for way in self.brokers.ways:
            way.order(_ENDS[fault], late_s=self.rng.choice([0.05, 0.5, 3.0]))
        until = time.monotonic() + _AT_A_STEP_S
        while time.monotonic() < until and sum(way.ends for way in self.brokers.ways) == before:
            time.sleep(0.01)
        met = sum(way.ends for way in self.brokers.ways) - before
        for way in self.brokers.ways:
            way.call_off()
        time.sleep(4.0 if fault is Fault.LATE_END else 0.5)
        self.hits[f"{fault}@{END}"] += met

    def _sleep(self, victim: str, seconds: float) -> bool:
        if not self.fleet.pause(victim):
            return False
        self.fleet.call_off()
        time.sleep(seconds)
        self.fleet.wake(victim)
        return True

    def _freeze(self, victim: str) -> bool:
        return self._sleep(victim, self.rng.uniform(0.5, 3.0))

    def _zombie(self, victim: str) -> bool:
        return self._sleep(victim, SESSION_S + 2.0)

    def _storm(self, victim: str) -> bool:
        others = [each for each in self._mortal if each != victim]
        for _ in range(4):
            self.fleet.restart(self.rng.choice(others))
            time.sleep(1.0)
        return True

    def _restart_broker(self, _: str) -> bool:
        node = self.rng.choice(self.brokers.nodes)
        os.kill(node.pid, signal.SIGTERM)
        until = time.monotonic() + _ORDERLY_S
        while node.is_running:
            if time.monotonic() > until:
                raise AssertionError("the broker did not end in order")
            time.sleep(0.05)
        _start_again(node)
        return True

    def _crash_broker(self, _: str) -> bool:
        node = self.rng.choice(self.brokers.nodes)
        node.kill()
        time.sleep(self.rng.uniform(0.0, 3.0))
        _start_again(node)
        return True

    def _fill_disk(self, _: str) -> bool:
        """Let no file of a broker grow; it gives its log up, and ends."""
        node = self.rng.choice(self.brokers.nodes)
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (_DISK_BYTES, resource.RLIM_INFINITY))
        until = time.monotonic() + _AT_A_STEP_S
        while node.is_running and time.monotonic() < until:
            time.sleep(0.1)
        is_full = not node.is_running
        node.kill()
        _start_again(node)
        return is_full

    def _cut(self, _: str) -> bool:
        for _turn in range(self.rng.randint(1, 3)):
            self.brokers.heal()
            time.sleep(self.rng.uniform(0.0, 0.5))
        return True

    def _drop(self, _: str) -> bool:
        for way in self.brokers.ways:
            chosen = self.rng.choice([way.requests_silenced, way.answers_silenced])
            chosen.set()
        time.sleep(self.rng.choice([0.5, 3.0, SESSION_S + 2.0, _INDEFINITE_S]))
        return True

    def _delay(self, _: str) -> bool:
        for way in self.brokers.ways:
            way.delay_s = self.rng.choice([0.02, 0.2])
        self.fleet.call_off()
        time.sleep(4.0)
        return True

    def _kill_model(self, _: str) -> bool:
        self.model_way.close()
        self.models.kill()
        time.sleep(self.rng.uniform(0.5, 3.0))
        self.models.restart()
        self.model_way.listen()
        return True

    def _flap(self, _: str) -> bool:
        for _turn in range(6):
            self.relay.mood = Mood.DOWN
            time.sleep(self.rng.uniform(0.05, 0.4))
            self.relay.mood = Mood.FINE
            time.sleep(self.rng.uniform(0.05, 0.4))
        return True

    def _be(self, mood: Mood, seconds: float) -> bool:
        self.relay.mood = mood
        time.sleep(seconds)
        self.relay.mood = Mood.FINE
        return True

    def _slow(self, _: str) -> bool:
        return self._be(Mood.SLOW, 4.0)

    def _garbage(self, _: str) -> bool:
        return self._be(Mood.GARBAGE, 1.0)

    def _unreachable(self, _: str) -> bool:
        self.model_way.close()
        time.sleep(self.rng.uniform(0.2, 3.0))
        self.model_way.listen()
        return True

    def _jump(self, victim: str) -> bool:
        """Start a worker again whose clock jumps when it is at work, and back."""
        self.fleet.replace(victim, jumping_clock(self.rng.choice(_JUMPS_S), 6.0, 5.0))
        time.sleep(13.0)
        return True


def _start_again(node: EmbeddedKafka) -> None:
    """Start a broker that has ended; while it was down somebody may have taken its port."""
    for _ in range(_STARTS - 1):
        with suppress(LocalError):
            node.restart()
            return
        time.sleep(_PORT_FREE_S)
    node.restart()


_DEEDS: dict[Fault, Callable[[Site, str], bool]] = {
    Fault.FREEZE: Site._freeze,
    Fault.ZOMBIE: Site._zombie,
    Fault.STORM: Site._storm,
    Fault.BROKER: Site._restart_broker,
    Fault.CRASH: Site._crash_broker,
    Fault.DISK: Site._fill_disk,
    Fault.CUT: Site._cut,
    Fault.DROP: Site._drop,
    Fault.DELAY: Site._delay,
    Fault.MODEL: Site._kill_model,
    Fault.FLAPPING: Site._flap,
    Fault.SLOW: Site._slow,
    Fault.UNREACHABLE: Site._unreachable,
    Fault.GARBAGE: Site._garbage,
    Fault.CLOCK: Site._jump,
}
