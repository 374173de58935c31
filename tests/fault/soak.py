"""A long run under faults: does a worker keep its size? `python -m tests.fault.soak --minutes 30`.

One of three workers is never ended; whatever else may happen happens to it, over and over, at a
steady load. Its memory, file descriptors and threads are written down, and are to be flat. What
came out is judged in the end.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fault import histories, reports
from tests.fault.faults import REPLICATED, Fault
from tests.fault.scene import Scene, model_server
from tests.fault.seeds import Seed
from tests.fault.shapes import SHAPES
from tests.fault.trial import code

HISTORY = Path(__file__).with_name("soak.jsonl")
SURVIVOR = "a"
EVERY_S = 5.0
GROWTH = 0.10
"""What a worker may grow by from the second third of the run to the last."""

_ROWS = 6
"""Parts of a run in the report."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process.

    Attributes:
        at_s: Seconds since the run began.
        memory_mb: Resident memory.
        files: Open file descriptors.
        threads: Threads.
    """

    at_s: float
    memory_mb: float
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int, at_s: float) -> "Sample":
        """Look at a process."""
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        )
        memory_mb = int(status["VmRSS"].split()[0]) / 1024
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(round(at_s, 1), round(memory_mb, 1), files, int(status["Threads"]))


@dataclass(frozen=True, slots=True)
class Soak:
    """What came of a run.

    Attributes:
        shape: The pipeline.
        minutes: How long it was.
        records: Records that were fed.
        hits: How often each fault came to pass at which step of a commit.
        samples: The surviving worker over time.
        wrong: What is wrong with the history, empty where nothing is.
        code: The commit that was tried.
    """

    shape: str
    minutes: float
    records: int
    hits: Mapping[str, int]
    samples: Sequence[Mapping[str, float]]
    wrong: str
    code: str


def main() -> int:
    """Run, append a line to the history, and return 1 if anything is wrong or grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--shape", choices=[each.name for each in SHAPES], default="DAG")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--history", type=Path, default=HISTORY, help=f"the file ({HISTORY.name})")
    asked = parser.parse_args()
    shape = next(each for each in SHAPES if each.name == asked.shape)
    faults = [each for each in Fault if asked.brokers > 1 or each not in REPLICATED]
    seed = Seed(0, shape, "classic", "dynamic", asked.brokers, faults)
    with tempfile.TemporaryDirectory() as folder, model_server() as models:
        scene = Scene(seed, Path(folder), models, spared=frozenset({SURVIVOR}))
        with scene:
            samples = under_fire(scene, faults, 60 * asked.minutes)
            wrong = "; ".join(scene.wrong())
        found = Soak(
            shape.name,
            asked.minutes,
            scene.feed.written,
            dict(sorted(scene.site.hits.items())),
            [asdict(each) for each in samples],
            wrong,
            code(),
        )
    histories.append(asked.history, asdict(found))
    grown = growth(samples)
    print(report(found, samples))
    return 1 if wrong or grown else 0


def under_fire(scene: Scene, faults: Sequence[Fault], seconds: float) -> list[Sample]:
    """Let faults strike in turn for so long; return what was seen of the survivor between them."""
    begun, samples = time.monotonic(), list[Sample]()
    waiting: list[Fault] = []
    while (at_s := time.monotonic() - begun) < seconds:
        samples.append(Sample.of(scene.fleet.pid(SURVIVOR), at_s))
        if not waiting:
            waiting = random.Random(len(samples)).sample(faults, len(faults))
        time.sleep(EVERY_S)
        scene.site.strike(waiting.pop())
    return samples


def growth(samples: Sequence[Sample]) -> list[str]:
    """Return what was not flat, from the second third of the samples to the last.

    In the first third caches fill, and clients of Kafka are made, each at its first need.
    """
    third = len(samples) // 3
    early, late = samples[third : 2 * third], samples[2 * third :]
    if not early:
        return ["too few samples"]
    grown = []
    # Medians: a client that is being replaced is there twice for a moment.
    for name, unit in (("memory_mb", " MB"), ("files", ""), ("threads", "")):
        before, after = _middle(early, name), _middle(late, name)
        if after > before * (1 + GROWTH):
            grown.append(f"{name.partition('_')[0]} grew from {before:.0f} to {after:.0f}{unit}")
    return grown


def report(found: Soak, samples: Sequence[Sample]) -> str:
    """Return a run as Markdown."""
    share = max(1, len(samples) // _ROWS)
    parts = [samples[n : n + share] for n in range(0, len(samples), share)][:_ROWS]
    rows = [
        [
            f"{part[0].at_s / 60:.0f} to {part[-1].at_s / 60:.0f}",
            *(f"{_middle(part, name):.0f}" for name in ("memory_mb", "files", "threads")),
        ]
        for part in parts
    ]
    table = reports.table(["minutes", "memory, MB", "file descriptors", "threads"], rows)
    faults: Counter[str] = Counter()
    for hit, count in found.hits.items():
        faults[hit.partition("@")[0]] += count
    told = ", ".join(f"{fault} {count}" for fault, count in sorted(faults.items()))
    judged = "; ".join(filter(None, [found.wrong, *growth(samples)])) or "nothing is wrong"
    head = f"{found.shape}, {found.minutes:.0f} minutes, {found.records:,} records: {judged}"
    return "\n".join([head, "", *table, "", told])


def _middle(samples: Sequence[Sample], name: str) -> float:
    return float(statistics.median(getattr(each, name) for each in samples))


if __name__ == "__main__":
    sys.exit(main())
