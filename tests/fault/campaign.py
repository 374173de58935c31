"""Many seeds of mixed faults, and what they proved so far: `python -m tests.fault.campaign`.

Each seed is a run of one pipeline with seven faults and 2,000 records at least, judged when all is
finished. A line of JSON per seed is appended to a file as soon as it is known; seeds that are there
already are not run again, so a campaign may take several sittings. A seed whose broker could not be
started again says nothing about headrace; it is run again next time. With `--plant` the workers run
with a bug, and the campaign ends when a seed has noticed.
"""

import argparse
import atexit
import functools
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from headrace.local.model_server import ModelServer
from tests.fault import histories, reports
from tests.fault.plants import PLANTS
from tests.fault.scene import model_server
from tests.fault.seeds import seed
from tests.fault.trial import RECORDS, Result, run

HISTORY = Path(__file__).with_name("campaign.jsonl")
PLANTED = Path(__file__).with_name("planted.jsonl")
KEPT = Path("build/fault")
"""Where pipeline files and logs of seeds that went wrong are kept."""


def main() -> int:
    """Run the seeds that are missing; return 1 if any is wrong, or a planted bug went unseen."""
    asked = _arguments()
    if asked.plant:
        return _plant(asked)
    done = {each.seed: each for each in known(asked.history)}
    chosen = asked.only or range(asked.seeds)
    if not asked.report:
        for result in _run([n for n in chosen if n not in done], asked):
            print(reports.told(result), file=sys.stderr, flush=True)
            if not result.is_void:
                done[result.seed] = result
                histories.append(asked.history, asdict(result))
    print(reports.campaign(done.values()))
    return 1 if any(each.wrong for each in done.values()) else 0


def known(history: Path) -> Sequence[Result]:
    """Return the results that are in a file."""
    return [Result(**line) for line in histories.lines(history)]


def run_seed(number: int, plant: str, records: int) -> Result:
    """Run a seed; what it left is kept if it went wrong."""
    folder = Path(tempfile.mkdtemp(prefix=f"headrace-seed-{number}-"))
    try:
        result = run(seed(number), folder, _models(), records, plant)
        if result.wrong and not plant:
            kept = KEPT / f"seed-{number}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept)
            (kept / "wrong.txt").write_text(result.wrong)
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to this (20)")
    parser.add_argument("--only", type=int, nargs="+", help="these seeds")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no seed after this (60)")
    parser.add_argument("--jobs", type=int, default=1, help="seeds side by side (1)")
    parser.add_argument(
        "--records", type=int, default=RECORDS, help=f"records of a seed ({RECORDS})"
    )
    parser.add_argument("--history", type=Path, default=HISTORY, help=f"the file ({HISTORY.name})")
    parser.add_argument("--plant", choices=PLANTS, help="run with a bug until a seed notices")
    parser.add_argument("--report", action="store_true", help="only tell what is known")
    return parser.parse_args()


def _run(numbers: Sequence[int], asked: argparse.Namespace) -> Iterator[Result]:
    """Yield the results of seeds as they come, so many side by side, until time is up.

    A seed with three brokers counts as two: a machine that is short of CPU tells of itself.
    """
    ends_at = time.monotonic() + 60 * asked.minutes
    waiting = deque(numbers)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        under_way: dict[Future[Result], int] = {}
        while True:
            while waiting and time.monotonic() < ends_at:
                cost = 2 if seed(waiting[0]).brokers > 1 else 1
                if under_way and sum(under_way.values()) + cost > asked.jobs:
                    break
                number = waiting.popleft()
                begun = pool.submit(run_seed, number, asked.plant or "", asked.records)
                under_way[begun] = cost
            if not under_way:
                return
            ended = next(as_completed(under_way))
            del under_way[ended]
            yield ended.result()


def _plant(asked: argparse.Namespace) -> int:
    """Run seeds with a bug until one notices; return 1 if none does."""
    chosen = asked.only or range(asked.seeds)
    # One beside the seed that notices would have to be waited for, and a bug may stall it.
    asked.jobs = 1
    for tried, result in enumerate(_run(list(chosen), asked), 1):
        print(reports.told(result), file=sys.stderr, flush=True)
        if result.wrong:
            histories.append(PLANTED, {"plant": asked.plant, "seeds": tried, **asdict(result)})
            print(f"{asked.plant} was noticed by seed {result.seed}, after {tried}")
            return 0
    print(f"{asked.plant} went unseen")
    return 1


@functools.cache
def _models() -> ModelServer:
    """Return this process's model server, running until the process ends."""
    server = model_server()
    server.start()
    atexit.register(server.stop)
    return server


if __name__ == "__main__":
    sys.exit(main())
