"""Faults that befall a pipeline under load, each on real processes."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from tests.fault.fleet import POINTS, Fleet

SESSION_S = 6.0
"""A worker that is silent for longer has lost its partitions when it wakes up."""


class Fault(StrEnum):
    """What may happen."""

    KILL = "kill"
    FREEZE = "freeze"
    BROKER = "broker"
    MODEL = "model"
    STORM = "storm"


@dataclass(slots=True)
class Site:
    """Where faults strike.

    Attributes:
        fleet: The workers.
        kafka: The broker.
        models: The model server.
        rng: Chooses victims and durations.
        hits: How often each kind came to pass, `kill@produced` and the like.
    """

    fleet: Fleet
    kafka: EmbeddedKafka
    models: ModelServer
    rng: random.Random
    hits: Counter[str] = field(default_factory=Counter)

    def strike(self, fault: Fault) -> None:
        """Let a fault happen, and end it."""
        match fault:
            case Fault.KILL:
                self._kill()
            case Fault.FREEZE:
                self._freeze()
            case Fault.BROKER:
                # In order: what a lone broker forgets on kill -9 is Kafka's, see the docs.
                self.kafka.restart()
                self.hits["broker"] += 1
            case Fault.MODEL:
                self.models.kill()
                time.sleep(self.rng.uniform(0.5, 5.0))
                self.models.restart()
                self.hits["model"] += 1
            case Fault.STORM:
                for _ in range(4):
                    self.fleet.restart(self.rng.choice(self.fleet.slots))
                    time.sleep(1.0)
                self.hits["storm"] += 1
        self.fleet.revive({})

    def _kill(self) -> None:
        """Kill a worker at a step of its commit, or anywhere if it does not come there."""
        victim, point = self.rng.choice(self.fleet.slots), self.rng.choice(POINTS)
        self.fleet.order_death(victim, point)
        if self.fleet.awaits_death(victim, within_s=8.0):
            self.hits[f"kill@{point}"] += 1
        else:
            self.fleet.call_off()
            self.fleet.kill(victim)
            self.hits["kill@anywhere"] += 1

    def _freeze(self) -> None:
        seconds = self.rng.choice([self.rng.uniform(0.5, 3.0), SESSION_S + 2.0])
        victim = self.rng.choice(self.fleet.slots)
        if self.fleet.freeze(victim, seconds):
            self.hits["zombie" if seconds > SESSION_S else "freeze"] += 1
