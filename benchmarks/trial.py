"""`headrace try` on 1,000 documents beside the model server alone, at equal slots.

    python benchmarks/trial.py [--slots 1 4 16] [--rounds 5]

The model takes 10 ms a request. Alone means: the same client, batches and slots in a fresh process
too, rows that are ready to send, and nothing done with the answers.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from headrace.cli.settings import load_pipeline
from headrace.core.steps import ModelStep
from headrace.local.model_server import ModelServer
from headrace.wiring import client_for

HERE = Path(__file__).parent
DOCUMENTS = 1_000
PIPELINE = """\
pipeline: trial
models:
  upper: {{url: "{url}", min_in_flight: {slots}, max_in_flight: {slots}}}
steps:
  shout:
    from: in
    model: upper
    inputs: {{text: text}}
    outputs: {{translation: translation}}
    batch: {{max_size: {rows}}}
sinks: {{out: shout}}
"""


async def alone(step: ModelStep, texts: Sequence[str]) -> float:
    """Return the seconds that the model server alone needs for all rows."""
    client = client_for(step)
    size = step.batch.max_size
    batches = iter([texts[at : at + size] for at in range(0, len(texts), size)])

    async def slot() -> None:
        for batch in batches:
            await client.infer([batch])

    begun = time.monotonic()
    await asyncio.gather(*(slot() for _ in range(step.model.max_in_flight)))
    seconds = time.monotonic() - begun
    await client.close()
    return seconds


def alone_in_a_process(pipeline: Path, lines: Path) -> float:
    """Return what `alone` says in a process of its own, where nothing is warm, as for `try`."""
    command = [sys.executable, __file__, "--alone", str(pipeline), str(lines)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def tried(pipeline: Path, lines: Path) -> tuple[float, float]:
    """Return the seconds that `headrace try` says it needed, and those of the whole process."""
    command = [sys.executable, "-m", "headrace", "try", str(pipeline), str(lines), "--json"]
    begun = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole = time.monotonic() - begun
    summary = json.loads(done.stdout.splitlines()[-1])["summary"]
    if summary["written"] != DOCUMENTS:
        raise SystemExit(f"lost documents: {summary}")
    return summary["seconds"], whole


def measure(url: str, slots: int, rows: int, rounds: int) -> None:
    """Print one row of the table."""
    texts = [f"{number}: the quick brown fox jumps over the dog" for number in range(DOCUMENTS)]
    with tempfile.TemporaryDirectory() as folder:
        pipeline, lines = Path(folder, "p.yaml"), Path(folder, "in.jsonl")
        pipeline.write_text(PIPELINE.format(url=url, slots=slots, rows=rows))
        lines.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        results = [
            (alone_in_a_process(pipeline, lines), *tried(pipeline, lines)) for _ in range(rounds)
        ]
    bare, seconds, whole = (statistics.median(column) for column in zip(*results, strict=True))
    print(
        f"{slots} slots, {rows} rows: alone {bare:.3f} s, try {seconds:.3f} s "
        f"({seconds / bare:.0%}), the whole process {whole:.2f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        pipeline, lines = args.alone
        step = load_pipeline(str(pipeline)).topology.stages[0].step
        texts = [json.loads(line)["text"] for line in lines.read_text().splitlines()]
        print(uvloop.run(alone(step, texts)))
        return
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with ModelServer("model-upper", directory=HERE, env={"UPPER_MS": "10"}) as server:
        for rows in args.rows:
            for slots in args.slots:
                measure(server.url("grpc"), slots, rows, args.rounds)


if __name__ == "__main__":
    main()
