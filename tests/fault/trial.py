"""One seed from its first record to its verdict."""

import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import LocalError
from headrace.local.model_server import ModelServer
from tests.fault.scene import BENCHMARKS, PROGRESS_WITHIN_S, Scene
from tests.fault.seeds import Seed

RECORDS = 2_000


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a seed.

    Attributes:
        seed: Its number; all else that was chosen follows from it.
        shape: The pipeline.
        protocol: The group protocol.
        membership: The membership of the workers.
        brokers: How many there were.
        records: Records that were fed.
        hits: How often each fault came to pass at which step of a commit.
        seconds: How long it took.
        wrong: What is wrong with the history, empty where nothing is.
        code: The commit that was tried.
        asked_late: How many records models were asked about after their outcome was durable.
        asked_late_s: By how much at most.
        over: How models were called.
    """

    seed: int
    shape: str
    protocol: str
    membership: str
    brokers: int
    records: int
    hits: Mapping[str, int]
    seconds: float
    wrong: str = ""
    code: str = ""
    asked_late: int = 0
    asked_late_s: float = 0.0
    over: str = "grpc"

    @property
    def is_void(self) -> bool:
        """Whether the brokers or the model server were not to be had, which proves nothing."""
        return self.wrong.startswith(LocalError.__name__)


def run(
    seed: Seed, folder: Path, models: ModelServer, records: int = RECORDS, plant: str = ""
) -> Result:
    """Run a seed on brokers of its own, and judge.

    Args:
        seed: What happens.
        folder: For the pipeline file and the workers' logs.
        models: The model server, running.
        records: Records to feed at least.
        plant: A bug to run with, or an empty name.
    """
    begun, scene = time.monotonic(), Scene(seed, folder, models, plant)
    hits: Mapping[str, int] = {}
    fed = 0
    try:
        with scene:
            try:
                _strike(scene, seed, records)
                wrong = "; ".join(scene.wrong())
            finally:
                hits, fed = dict(sorted(scene.site.hits.items())), scene.feed.written
    except Exception as error:  # noqa: BLE001  (a campaign goes on, and tells)
        wrong = f"{type(error).__name__}: {error}"
    return Result(
        seed.number,
        seed.shape.name,
        seed.protocol,
        seed.membership,
        seed.brokers,
        fed,
        hits,
        round(time.monotonic() - begun, 1),
        wrong,
        code(),
        len(scene.asked_late_s),
        round(max(scene.asked_late_s, default=0.0), 1),
        seed.over,
    )


def _strike(scene: Scene, seed: Seed, records: int) -> None:
    for fault in seed.faults:
        time.sleep(scene.site.rng.uniform(0.5, 2.0))
        scene.site.strike(fault)
    scene.feed.reaches(records, PROGRESS_WITHIN_S)


def code() -> str:
    """Return the commit of this checkout, with a plus if something is changed."""
    described = subprocess.run(
        ["git", "describe", "--always", "--abbrev=8", "--dirty=+"],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip()
