"""Throughput, latency and CPU of headrace beside a bare loop, on one broker and one model server.

    python benchmarks/run.py                       # everything in benchmarks/README.md
    python benchmarks/run.py throughput --records 300000 --rows 32 256
    python benchmarks/run.py latency --rate 200

Every figure of one call comes from the same broker, model server and run, so ratios hold on a
noisy machine; each pair is measured `--rounds` times in turn and the median is printed.
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
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headrace.local.kafka import EmbeddedKafka
from headrace.local.model_server import ModelServer

HERE = Path(__file__).parent
PARTITIONS = 8
WORDS = "the quick brown fox jumps over the lazy dog and keeps on running"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Bench:
    """What every measurement runs against."""

    bootstrap: str
    grpc: str
    http: str
    folder: Path


@dataclass(frozen=True)
class Result:
    """One run of one competitor."""

    name: str
    rate: float
    cpu_us: float
    peak_mb: float


def create(bench: Bench, *topics: str, partitions: int = PARTITIONS) -> None:
    admin = AdminClient({"bootstrap.servers": bench.bootstrap})
    for future in admin.create_topics([NewTopic(t, partitions, 1) for t in topics]).values():
        future.result()


def preload(bench: Bench, topic: str, records: int, keys: int = 1_000_000) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bench.bootstrap,
            "linger.ms": 20,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for number in range(records):
        value = json.dumps({"id": number, "text": f"{number}: {WORDS}"}).encode()
        producer.produce(topic, value, key=str(number % keys).encode())
        if number % 10_000 == 0:
            producer.poll(0)
    producer.flush()


def committed(admin: Consumer, group_topic: str) -> int:
    offsets = admin.committed([TopicPartition(group_topic, p) for p in range(PARTITIONS)])
    return sum(max(each.offset, 0) for each in offsets)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def timed(
    bench: Bench,
    name: str,
    command: list[str],
    group: str,
    topic: str,
    records: int,
    env: dict[str, str] | None = None,
) -> Result:
    """Run a command; time its committed offsets from 20 % to 95 % of the records."""
    look = Consumer(
        {"bootstrap.servers": bench.bootstrap, "group.id": group, "enable.auto.commit": False}
    )
    log = (bench.folder / f"{group}.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})
    first = last = None
    try:
        deadline = time.monotonic() + 300
        while True:
            done = committed(look, topic)
            now, cpu = time.perf_counter(), cpu_seconds(process.pid)
            if first is None and done >= 0.2 * records:
                first = (now, done, cpu)
            if done >= 0.95 * records:
                last = (now, done, cpu)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{name} stopped at {done}: {Path(log.name).read_text()[-2000:]}"
                )
            time.sleep(0.01)
        high = peak_mb(process.pid)
    finally:
        process.kill()
        process.wait()
        look.close()
        log.close()
    assert first
    count = last[1] - first[1]
    return Result(name, count / (last[0] - first[0]), (last[2] - first[2]) / count * 1e6, high)


def pipeline_file(bench: Bench, name: str, topic: str, out: str, **options: object) -> Path:
    rows, ordering = options.get("rows", 64), options.get("ordering", "key")
    text = f"""\
pipeline: {name}
kafka: {{bootstrap_servers: "{bench.bootstrap}"}}
models:
  upper: {{url: "{bench.grpc}", timeout: 60s}}
steps:
  upper:
    from: {topic}
    model: upper
    inputs: {{text: text}}
    outputs: {{translation: translation}}
    ordering: {ordering}
    batch: {{max_size: {rows}, max_wait: 5ms}}
sinks:
  {out}: upper
"""
    path = bench.folder / f"{name}.yaml"
    path.write_text(text)
    return path


def run_headrace(bench: Bench, topic: str, records: int, rows: int, ordering: str) -> Result:
    name, out = f"b{uuid.uuid4().hex[:8]}", f"out-{uuid.uuid4().hex[:8]}"
    create(bench, out)
    path = pipeline_file(bench, name, topic, out, rows=rows, ordering=ordering)
    python = [sys.executable, "-m", "headrace"]
    subprocess.run([*python, "topics", "apply", str(path)], check=True, capture_output=True)
    command = [*python, "run", str(path), "--slot", "bench"]
    if os.environ.get("BENCH_PROFILE"):
        command = [sys.executable, "-m", os.environ["BENCH_PROFILE"], *command[2:]]
    return timed(bench, f"headrace {ordering}", command, f"{name}.upper", topic, records)


def run_bare(bench: Bench, topic: str, records: int, rows: int) -> Result:
    out, group = f"out-{uuid.uuid4().hex[:8]}", f"bare-{uuid.uuid4().hex[:8]}"
    create(bench, out)
    command = [
        sys.executable,
        str(HERE / "bare_loop.py"),
        f"bootstrap={bench.bootstrap}",
        f"url={bench.grpc.removeprefix('grpc://')}",
        "model=upper",
        f"topic={topic}",
        f"out={out}",
        f"n={records}",
        f"batch={rows}",
        f"group={group}",
    ]
    return timed(bench, "bare loop", command, group, topic, records)


@contextmanager
def environment(upper_ms: float = 0) -> Iterator[Bench]:
    progress = lambda line: print(line, file=sys.stderr)  # noqa: E731
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedKafka(port=0, progress=progress) as kafka,
        ModelServer(
            "model-upper", directory=HERE, env={"UPPER_MS": str(upper_ms)}, progress=progress
        ) as server,
    ):
        yield Bench(kafka.bootstrap_servers, server.url("grpc"), server.url("http"), Path(folder))


def show(label: str, results: list[Result]) -> None:
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    bare = statistics.median(r.rate for r in by_name["bare loop"])
    for name, runs in by_name.items():
        rate = statistics.median(r.rate for r in runs)
        spread = f"[{min(r.rate for r in runs):,.0f} {max(r.rate for r in runs):,.0f}]"
        cpu = statistics.median(r.cpu_us for r in runs)
        print(
            f"{label} {name:20s} {rate:9,.0f} records/s {spread:20s} {rate / bare:5.0%} of bare"
            f"  {cpu:5.1f} us client CPU  {max(r.peak_mb for r in runs):4.0f} MB",
            flush=True,
        )


def throughput(args: argparse.Namespace) -> None:
    with environment() as bench:
        create(bench, "in")
        preload(bench, "in", args.records)
        for rows in args.rows:
            results = []
            for _ in range(args.rounds):
                results.append(run_bare(bench, "in", args.records, rows))
                for ordering in args.ordering:
                    results.append(run_headrace(bench, "in", args.records, rows, ordering))
            show(f"{rows:4d} rows", results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb")
    some = verbs.add_parser("throughput")
    some.add_argument("--records", type=int, default=300_000)
    some.add_argument("--rows", type=int, nargs="+", default=[32, 256])
    some.add_argument("--rounds", type=int, default=3)
    some.add_argument("--ordering", nargs="+", default=["key", "partition"])
    args = parser.parse_args()
    throughput(args)


if __name__ == "__main__":
    main()
