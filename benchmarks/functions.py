"""What calling a function costs headrace per record: a function that does nothing, three ways.

    python benchmarks/functions.py [--rows 64] [--asyncio]

One batch at a time goes through the caller that a worker uses; the best of seven rounds counts.
CPU is this process's alone: with a pool, the other half is the pool's.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from headrace.core.steps import FunctionStep
from headrace.functions import caller_of

SOURCE = """
def nothing(document): return document
async def nothing_later(document): return document
"""
ROUNDS, BATCHES = 7, 200


def documents(rows: int) -> list[dict]:
    return [
        {"id": n, "text": "x" * 200, "page": {"number": n, "spans": [1, 2, 3]}} for n in range(rows)
    ]


async def measure(step: FunctionStep, rows: int) -> tuple[float, float]:
    """Return wall clock and CPU per record, microseconds."""
    caller = caller_of(step)
    await caller.call(documents(rows))
    found = []
    for _ in range(ROUNDS):
        batches = [documents(rows) for _ in range(BATCHES)]
        wall, cpu = time.perf_counter(), time.process_time()
        for batch in batches:
            await caller.call(batch)
        spent = time.perf_counter() - wall, time.process_time() - cpu
        found.append(tuple(each / BATCHES / rows * 1e6 for each in spent))
    await caller.close()
    return min(found)


async def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "bench_rules.py").write_text(SOURCE)
        for label, name, is_process in [
            ("thread", "nothing", False),
            ("event loop", "nothing_later", False),
            ("process", "nothing", True),
        ]:
            step = FunctionStep(
                name="step", function=f"bench_rules:{name}", folder=folder, is_process=is_process
            )
            wall, cpu = await measure(step, rows)
            print(f"{label:<11} {wall:5.2f} us a record, {cpu:5.2f} us of the worker's CPU")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=64)
    options.add_argument("--asyncio", action="store_true", help="not uvloop, which workers use")
    chosen = options.parse_args()
    (asyncio.run if chosen.asyncio else uvloop.run)(main(chosen.rows))
