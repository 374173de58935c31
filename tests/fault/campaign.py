"""Many seeds of mixed faults, and what they proved so far: `python -m tests.fault.campaign`.

Each seed is a run of one pipeline with at least three faults and 2,000 records, checked when all is
finished. A line of JSON per seed is appended to a file as soon as it is known; seeds that are there
already are not run again, so a campaign may take several sittings.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer
from tests.fault import one_step
from tests.fault.faults import Fault, Site
from tests.fault.fleet import Fleet

HISTORY = Path(__file__).with_name("campaign.jsonl")
RECORDS = 2_000
RATE = 120.0
"""Records a second."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a seed.

    Attributes:
        seed: Its number; all else that was chosen follows from it.
        protocol: The group protocol.
        membership: The membership of the workers.
        records: Records that were fed.
        hits: How often each fault came to pass.
        seconds: How long it took.
        wrong: What is wrong with the history, empty where nothing is.
    """

    seed: int
    protocol: str
    membership: str
    records: int
    hits: Mapping[str, int]
    seconds: float
    wrong: str = ""


def run(seed: int, folder: Path, models: ModelServer, records: int = RECORDS) -> Result:
    """Run a seed on a broker of its own."""
    rng, begun = random.Random(seed), time.monotonic()
    protocol, membership = one_step.group_of(seed)
    faults = [*Fault, Fault.KILL, Fault.KILL]
    rng.shuffle(faults)
    with EmbeddedKafka(port=0, properties=one_step.GROUPS_SETTLE_FAST) as kafka:
        bootstrap, name = kafka.bootstrap_servers, f"campaign-{seed}"
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        file = one_step.set_up(name, folder, bootstrap, models, seed)
        feed = one_step.Feed(bootstrap, f"{name}.in", RATE, seed)
        fleet = Fleet(file, folder, one_step.SLOTS)
        site = Site(fleet, kafka, models, rng)
        try:
            fleet.settles(within_s=20)
            for fault in faults:
                time.sleep(rng.uniform(0.5, 2.0))
                site.strike(fault)
            while feed.written < records:
                time.sleep(0.2)
            feed.stop()
            fleet.revive({})
            one_step.wait_until_finished(admin, bootstrap, name, 90)
            fleet.stop()
            verdict = one_step.verdict_of(bootstrap, name)
        finally:
            fleet.kill_all()
    seconds = round(time.monotonic() - begun, 1)
    wrong = str(verdict) if verdict else ""
    return Result(seed, protocol, membership, feed.written, dict(site.hits), seconds, wrong)


def main() -> int:
    """Run the seeds that are missing; return 1 if any is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="seeds 0 to this (20)")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no seed after this (60)")
    parser.add_argument("--history", type=Path, default=HISTORY, help=f"the file ({HISTORY.name})")
    asked = parser.parse_args()
    done = {each.seed: each for each in known(asked.history)}
    ends_at = time.monotonic() + 60 * asked.minutes
    with one_step.model_server() as models:
        for seed in range(asked.seeds):
            if seed in done or time.monotonic() > ends_at:
                continue
            with tempfile.TemporaryDirectory() as folder:
                done[seed] = run(seed, Path(folder), models)
            with asked.history.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(done[seed])) + "\n")
            print(told(done[seed]), file=sys.stderr, flush=True)
    print(report(done.values()))
    return 1 if any(each.wrong for each in done.values()) else 0


def known(history: Path) -> Sequence[Result]:
    """Return the results that are in a file."""
    if not history.exists():
        return []
    return [Result(**json.loads(line)) for line in history.read_text("utf-8").splitlines()]


def told(result: Result) -> str:
    """Return a seed in a line."""
    hits = ", ".join(f"{fault} {count}" for fault, count in sorted(result.hits.items()))
    return (
        f"seed {result.seed} {result.protocol} {result.membership}: {result.records:,} records,"
        f" {hits}, {result.seconds:.0f} s: {result.wrong or 'nothing is wrong'}"
    )


def report(results: Iterable[Result]) -> str:
    """Return as Markdown which faults came to pass under which protocol and membership."""
    results = list(results)
    hits: Counter[tuple[str, str]] = Counter()
    seeds: Counter[str] = Counter()
    for each in results:
        column = f"{each.protocol}, {each.membership}"
        seeds[column] += 1
        for fault, count in each.hits.items():
            hits[fault, column] += count
    columns = sorted(seeds)
    rows = [["fault", *columns], ["---"] * (len(columns) + 1)]
    rows.append(["seeds", *(str(seeds[column]) for column in columns)])
    rows += [
        [fault, *(str(hits[fault, column]) for column in columns)]
        for fault in sorted({fault for fault, _ in hits})
    ]
    wrong = [told(each) for each in results if each.wrong]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    fed = sum(each.records for each in results)
    lines += ["", f"{len(results)} seeds, {fed:,} records; {len(wrong)} seeds went wrong"]
    return "\n".join([*lines, *wrong])


if __name__ == "__main__":
    sys.exit(main())
