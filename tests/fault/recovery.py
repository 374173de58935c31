"""How long partitions are silent when workers come, go and die: `python -m tests.fault.recovery`.

One step, two workers, 100 records a second over six partitions. Silence is what passes until a
model is asked about a record of the partition again: since its old owner's last commit where that
one left in order, else since it died. Each figure is the median of the rounds, with the worst.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from headrace.local.model_server import ModelServer
from tests.fault import histories, reports, shapes
from tests.fault.relay import Mood
from tests.fault.scene import PARTITIONS, Scene, model_server
from tests.fault.seeds import Seed
from tests.fault.trial import code

HISTORY = Path(__file__).with_name("recovery.jsonl")
AWAY_S = 30.0
"""How long the model is away."""

CALL_S = 5.0
"""How long a call takes while a worker joins or leaves."""

_SETTLES_S = 8.0
_WATCHED_S = 25.0
GROUPS = (("classic", "dynamic"), ("classic", "static"), ("consumer", "dynamic"))


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one round, in seconds."""

    what: str
    protocol: str
    membership: str
    seconds: float
    code: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure may be under the classic protocol; None: only reported."""

    dynamic: float | None
    static: float | None = None


BOUNDS = {
    "joins: moved partitions": Bound(0.5),
    "leaves: moved partitions": Bound(0.5),
    "killed in a transaction: its partitions": Bound(8.0),
    "killed in a transaction: the others": Bound(1.5),
    "killed and started again: its partitions": Bound(7.0, 3.0),
    "model away for 30 s: first result": Bound(1.0, 1.0),
}


def main() -> int:
    """Measure, append to the history, report; return 1 if a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (3)")
    parser.add_argument("--history", type=Path, default=HISTORY, help=f"the file ({HISTORY.name})")
    parser.add_argument("--report", action="store_true", help="only tell what is known")
    asked = parser.parse_args()
    if not asked.report:
        with model_server() as models:
            for number in range(asked.rounds):
                for protocol, membership in GROUPS:
                    for measured in _round(number, protocol, membership, models):
                        histories.append(asked.history, asdict(measured))
                        print(measured, file=sys.stderr, flush=True)
    known = [Measured(**line) for line in histories.lines(asked.history)]
    print(report(known))
    return 1 if any(not kept for *_, kept in figures(known)) else 0


def figures(known: Sequence[Measured]) -> Iterator[tuple[str, str, str, float, float, bool]]:
    """Yield what, protocol, membership, median, worst, and whether the median keeps its bound."""
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for each in known:
        groups.setdefault((each.what, each.protocol, each.membership), []).append(each)
    for (what, protocol, membership), found in groups.items():
        middle = statistics.median(each.seconds for each in found)
        bound = _bound(what, protocol, membership)
        worst = max(each.seconds for each in found)
        yield what, protocol, membership, middle, worst, bound is None or middle <= bound


def report(known: Sequence[Measured]) -> str:
    """Return the figures as Markdown."""
    rows = []
    for what, protocol, membership, middle, worst, kept in figures(known):
        bound = _bound(what, protocol, membership)
        told = "" if bound is None else f"{bound:g}{'' if kept else ' (not kept)'}"
        rows.append([what, protocol, membership, f"{middle:.2f}", f"{worst:.2f}", told])
    head = ["what", "protocol", "membership", "median, s", "worst, s", "bound, s"]
    return "\n".join(reports.table(head, rows))


def _bound(what: str, protocol: str, membership: str) -> float | None:
    bound = BOUNDS[what]
    if protocol != "classic":
        return None
    return bound.static if membership == "static" else bound.dynamic


def _round(number: int, protocol: str, membership: str, models: ModelServer) -> Iterator[Measured]:
    for deed in (_join_and_leave, _kill, _kill_and_start, _be_away):
        seed = Seed(number, shapes.ONE_STEP, protocol, membership, 1, ())
        with _ground(seed, models) as ground:
            for what, seconds in deed(ground).items():
                yield Measured(what, protocol, membership, round(seconds, 2), code())


@dataclass(slots=True)
class _Ground:
    scene: Scene
    models: ModelServer

    def calls(self) -> list[tuple[float, int]]:
        """Return when models were asked about which partition, in wall-clock time."""
        offset = time.time() - time.monotonic()
        return [
            (at + offset, int(shapes.key(number)[1:]) % PARTITIONS)
            for at, texts in self.scene.relay.calls
            for number in map(shapes.number_in, texts)
        ]

    def assigned(self, slot: str) -> set[int]:
        """Return the source partitions that a worker has."""
        return _sources(list(self.scene.fleet.events("assigned", slot))[-1])


def _at(entry: Mapping[str, str]) -> float:
    return datetime.fromisoformat(entry["time"]).timestamp()


def _sources(entry: Mapping[str, str]) -> set[int]:
    places = [each.rpartition("-") for each in entry["partitions"].split()]
    return {int(number) for topic, _, number in places if topic.endswith(".in")}


@contextmanager
def _ground(seed: Seed, models: ModelServer) -> Iterator[_Ground]:
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(seed, Path(folder), models, slots=("a", "b"))
        with scene:
            time.sleep(_SETTLES_S)
            yield _Ground(scene, models)


def _first_after(calls: Sequence[tuple[float, int]], partition: int, since: float) -> float:
    """Return how long after a moment a model was first asked about a partition."""
    return min((at for at, p in calls if p == partition and at > since), default=1e18) - since


def _longest_gap(calls: Sequence[tuple[float, int]], partition: int, since: float) -> float:
    times = [since, *sorted(at for at, p in calls if p == partition and at > since)]
    return max(b - a for a, b in pairwise(times))


def _join_and_leave(ground: _Ground) -> Mapping[str, float]:
    """Let a third worker join and the first one leave while calls take long."""
    fleet, relay = ground.scene.fleet, ground.scene.relay
    relay.mood, relay.slow_s = Mood.SLOW, CALL_S
    time.sleep(2 * CALL_S)
    found = {}
    joined = time.time()
    fleet.add("c")
    fleet.settles(30)
    time.sleep(2 * CALL_S)
    found["joins: moved partitions"] = _moved(ground, ("a", "b"), joined)
    left = time.time()
    fleet.leave("a")
    time.sleep(3 * CALL_S)
    found["leaves: moved partitions"] = _moved(ground, ("a", "b", "c"), left)
    return found


def _moved(ground: _Ground, owners: Sequence[str], since: float) -> float:
    """Return the longest silence of the partitions that another worker has than before."""
    calls = ground.calls()
    silences = [0.0]
    for slot in owners:
        events = [e for e in ground.scene.fleet.events("revoked", slot) if _at(e) >= since]
        if not events:
            continue
        now = ground.assigned(slot) if ground.scene.fleet.is_alive(slot) else set()
        gone = _sources(events[0]) - now
        silences += [_first_after(calls, each, _at(events[0])) for each in gone]
    return max(silences)


def _die(ground: _Ground) -> tuple[set[int], float]:
    """Let a worker die inside an open transaction; return what it had, and when that was."""
    theirs = ground.assigned("a")
    ground.scene.fleet.order_death("a", "offsets_sent")
    ground.scene.fleet.awaits_death("a", 20)
    return theirs, time.time()


def _kill(ground: _Ground) -> Mapping[str, float]:
    """Kill a worker inside an open transaction, and do without it."""
    theirs, died = _die(ground)
    time.sleep(_WATCHED_S)
    calls = ground.calls()
    others = set(range(PARTITIONS)) - theirs
    return {
        "killed in a transaction: its partitions": max(
            _first_after(calls, p, died) for p in theirs
        ),
        "killed in a transaction: the others": max(_longest_gap(calls, p, died) for p in others),
    }


def _kill_and_start(ground: _Ground) -> Mapping[str, float]:
    theirs, died = _die(ground)
    time.sleep(0.3)
    ground.scene.fleet.revive({})
    time.sleep(_WATCHED_S)
    calls = ground.calls()
    silence = max(_first_after(calls, p, died) for p in theirs)
    return {"killed and started again: its partitions": silence}


def _be_away(ground: _Ground) -> Mapping[str, float]:
    """Take the model away for a while; nothing may be given up or fenced for that."""
    scene = ground.scene
    ground.models.kill()
    time.sleep(AWAY_S)
    before = set(scene.watch.seen)
    ground.models.restart()
    back = time.monotonic()
    while not (new := scene.watch.seen.keys() - before):
        time.sleep(0.005)
    first = min(scene.watch.seen[each] for each in new) - back
    wrong = scene.wrong()
    replaced = list(scene.fleet.events("producer_replaced"))
    if wrong or replaced:
        raise AssertionError(f"the model was away, and {wrong or replaced}")
    return {"model away for 30 s: first result": max(first, 0.0)}


if __name__ == "__main__":
    sys.exit(main())
