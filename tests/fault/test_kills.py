"""Workers killed by SIGKILL at random and inside open transactions, on a real broker."""

import random
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from tests.fault import dag_runs
from tests.fault.brokers import SETTLE_FAST
from tests.fault.feeding import Feed
from tests.fault.fleet import OPEN_POINTS, Fleet, choose_point
from tests.fault.held import Held
from tests.fault.scene import PARTITIONS, SLOTS, model_server
from tests.fault.shapes import ONE_STEP, Setting, topology_of

RATE = 450.0
"""Records a second."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(port=0, properties=SETTLE_FAST) as broker:
        yield broker


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with model_server() as upper:
        yield upper


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened to a fleet so far."""

    kills: int
    opened: int
    adopted: int
    busy: int

    @classmethod
    def of(cls, fleet: Fleet) -> "Seen":
        return cls(
            kills=fleet.kills.total(),
            opened=sum(fleet.kills[point] for point in OPEN_POINTS),
            adopted=len(list(fleet.events("adopted"))),
            busy=sum(entry["unfinished"] > 0 for entry in fleet.events("revoked")),
        )

    def has_met(self, wanted: "Seen") -> bool:
        """Whether at least as much of everything happened."""
        return all(a >= b for a, b in zip(astuple(self), astuple(wanted), strict=True))


def group_of(seed: int) -> tuple[str, str]:
    """Return the group protocol and the membership of a seed."""
    return "consumer" if seed % 4 == 3 else "classic", "static" if seed % 4 == 1 else "dynamic"


def wanted(protocol: str, membership: str) -> Seen:
    """Return what must happen for a run to prove something.

    A static member's restart moves no partition, and KIP-848 takes none away to give it back.
    """
    moves = int(membership == "dynamic")
    returns = int(membership == "dynamic" and protocol == "classic")
    return Seen(kills=10, opened=3, adopted=returns, busy=moves)


def storm(fleet: Fleet, feed: Feed, rng: random.Random, records: int, want: Seen) -> None:
    """Kill and revive until so many records were written and enough has happened."""
    ordered: dict[str, str] = {}
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        seen = Seen.of(fleet)
        if seen.has_met(want) and feed.written >= records:
            break
        if seen.has_met(want) and seen.kills >= 20:
            time.sleep(0.1)
            continue
        victim = rng.choice(fleet.slots)
        if seen.kills >= 5 and (seen.adopted < want.adopted or seen.busy < want.busy):
            # Kills in close succession let the group settle too rarely.
            call_off(fleet, ordered)
            if fleet.settles(within_s=15):
                time.sleep(0.5)
                fleet.restart(victim)
        point = choose_point(rng)
        if point is None:
            fleet.kill(victim)
        else:
            ordered[victim] = point
            fleet.order_death(victim, point)
        time.sleep(rng.uniform(0.3, 3.0))
        fleet.revive(ordered)
    call_off(fleet, ordered)


def call_off(fleet: Fleet, ordered: dict[str, str]) -> None:
    """Take back all orders; start what obeyed at the last moment."""
    fleet.call_off()
    time.sleep(0.5)  # a worker may have read its order just before
    fleet.revive(ordered)
    ordered.clear()


@pytest.mark.timeout(300)
def test_every_record_is_out_exactly_once_through_kills(
    kafka: EmbeddedKafka,
    server: ModelServer,
    tmp_path: Path,
    fault_seed: int,
    fault_records: int,
) -> None:
    rng = random.Random(fault_seed)
    name = f"kills-{fault_seed}"
    bootstrap = kafka.bootstrap_servers
    protocol, membership = group_of(fault_seed)
    want = wanted(protocol, membership)
    setting = Setting(name, bootstrap, server.url("grpc"), protocol, membership)
    file = ONE_STEP.write(tmp_path, setting)
    topology = topology_of(file)
    dag_runs.create_topics(topology, PARTITIONS)
    feed = Feed(bootstrap, f"{name}.in", PARTITIONS, ONE_STEP.value, RATE)
    fleet = Fleet(file, tmp_path, list(SLOTS))
    try:
        storm(fleet, feed, rng, fault_records, want)
        feed.stop()
        dag_runs.until_idle(topology, fleet)
        codes = fleet.stop()
    finally:
        fleet.kill_all()

    assert codes == [0, 0, 0]
    topics = [f"{name}.out", topology.dead_letter_topic]
    held = Held(bootstrap, ONE_STEP, f"{name}.in", topics)
    verdict = held.verdict(None, {})
    assert not verdict, str(verdict)
    assert not held.wrong(is_spoilt=False)
    seen = Seen.of(fleet)
    sys.stderr.write(
        f"\nseed {fault_seed} {protocol} {membership}: {feed.written} records,"
        f" kills {dict(fleet.kills)}, {seen}"
    )
    assert seen.has_met(want), seen
