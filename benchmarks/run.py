"""Throughput, latency, memory and CPU of headrace beside peers, on one broker and model server.

    python benchmarks/run.py                          # everything in benchmarks/README.md
    python benchmarks/run.py throughput --rows 32 256
    python benchmarks/run.py plain latency slow backlog

Every figure of one call comes from the same broker, model server and run, so ratios hold on a
noisy machine; competitors take turns, `--rounds` times each, and the median is printed.
"""

import argparse
import dataclasses
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

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
    early_mb: float
    late_mb: float


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


@functools.cache
def eye(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap})


def written(bench: Bench, topic: str) -> int:
    """Return how many records of a topic are committed, markers of transactions among them."""
    admin = eye(bench.bootstrap)
    asked = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(PARTITIONS)}
    try:
        answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
        return sum(answer.result().offset for answer in answers.values())
    except KafkaException:
        return 0  # the topic is still spreading


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def timed(
    bench: Bench,
    name: str,
    command: list[str],
    out: str,
    records: int,
    env: dict[str, str] | None = None,
) -> Result:
    """Run a command; time what it has written from 20 % to 95 % of the records."""
    log = (bench.folder / f"{out}.log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})
    first = None
    memory: list[float] = []
    try:
        deadline = time.monotonic() + 300
        while True:
            done = written(bench, out)
            now, cpu = time.perf_counter(), cpu_seconds(process.pid)
            if first is None and done >= 0.2 * records:
                first = (now, done, cpu)
            if first is not None:
                memory.append(resident_mb(process.pid))
            if done >= 0.95 * records:
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} at {done}: {Path(log.name).read_text()[-2000:]}")
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
        log.close()
    count = done - first[1]
    third = max(1, len(memory) // 3)
    return Result(
        name,
        count / (now - first[0]),
        (cpu - first[2]) / count * 1e6,
        statistics.median(memory[:third]),
        statistics.median(memory[-third:]),
    )


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


def headrace_command(
    bench: Bench, topic: str, rows: int, ordering: str = "key"
) -> tuple[list[str], str]:
    """Prepare a pipeline; return the worker's command and its sink."""
    name = f"b{uuid.uuid4().hex[:8]}"
    out = f"{name}.out"
    create(bench, out)
    path = pipeline_file(bench, name, topic, out, rows=rows, ordering=ordering)
    python = [sys.executable, "-m", "headrace"]
    subprocess.run([*python, "topics", "apply", str(path)], check=True, capture_output=True)
    return [*python, "run", str(path), "--slot", "bench"], out


def run_headrace(bench: Bench, topic: str, records: int, rows: int, ordering: str) -> Result:
    command, out = headrace_command(bench, topic, rows, ordering)
    return timed(bench, f"headrace {ordering}", command, out, records)


def run_bare(bench: Bench, topic: str, records: int, rows: int) -> Result:
    out = f"bare-{uuid.uuid4().hex[:8]}"
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
    ]
    return timed(bench, "bare loop", command, out, records)


def run_plain(bench: Bench, topic: str, records: int, rows: int) -> Result:
    out = f"plain-{uuid.uuid4().hex[:8]}"
    create(bench, out)
    env = {
        "BROKER": bench.bootstrap,
        "OIP_URL": f"{bench.http}/v2/models/upper/infer",
        "IN": topic,
        "OUT": out,
        "GROUP": out,
        "PLAIN_ROWS": str(rows),
        "PLAIN_CONSUME": "1024",
    }
    return timed(
        bench, "plain loop, REST", [sys.executable, str(HERE / "plain.py")], out, records, env
    )


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
    """Print a line per competitor, as a ratio to the first one."""
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    first = statistics.median(r.rate for r in next(iter(by_name.values())))
    for name, runs in by_name.items():
        rate = statistics.median(r.rate for r in runs)
        spread = f"[{min(r.rate for r in runs):,.0f} {max(r.rate for r in runs):,.0f}]"
        cpu = statistics.median(r.cpu_us for r in runs)
        print(
            f"{label:12s} {name:20s} {rate:9,.0f} records/s {spread:20s} {rate / first:6.0%}"
            f"  {cpu:6.1f} us client CPU"
            f"  {max(r.early_mb for r in runs):4.0f} -> {max(r.late_mb for r in runs):.0f} MB",
            flush=True,
        )


def throughput(args: argparse.Namespace) -> None:
    """headrace beside the bare loop."""
    with environment() as bench:
        create(bench, "in")
        preload(bench, "in", args.records)
        for rows in args.rows:
            results = []
            for _ in range(args.rounds):
                results.append(run_bare(bench, "in", args.records, rows))
                results += [
                    run_headrace(bench, "in", args.records, rows, ordering)
                    for ordering in args.ordering
                ]
            show(f"{rows} rows", results)


def plain(args: argparse.Namespace) -> None:
    """headrace beside what a good engineer writes instead: 64 rows a REST call."""
    for upper_ms, records in ((0, args.records), (10, args.records // 5)):
        with environment(upper_ms) as bench:
            create(bench, "in")
            preload(bench, "in", records)
            results = []
            for _ in range(args.rounds):
                results.append(run_plain(bench, "in", records // (1 if not upper_ms else 3), 64))
                results.append(run_headrace(bench, "in", records, 64, "key"))
            show(f"{upper_ms} ms", results)


def latency(args: argparse.Namespace) -> None:
    """From append to visible for a read_committed consumer, at a fixed rate."""
    with environment() as bench:
        create(bench, "in")
        command, out = headrace_command(bench, "in", 64)
        worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            print_latency(bench, out, args.rate, args.seconds)
        finally:
            worker.kill()
            worker.wait()


def print_latency(bench: Bench, out: str, rate: int, seconds: float) -> None:
    found = sorted(delays(bench, out, rate, seconds))
    p50, p99 = found[len(found) // 2] * 1e3, found[int(len(found) * 0.99)] * 1e3
    print(f"latency at {rate}/s: p50 {p50:.1f} ms, p99 {p99:.1f} ms, n={len(found)}", flush=True)


def delays(bench: Bench, out: str, rate: int, seconds: float, warm_s: float = 8) -> list[float]:
    """Write records at a rate; return the seconds until each was visible in a topic."""
    producer = Producer({"bootstrap.servers": bench.bootstrap, "linger.ms": 0})
    reader = Consumer(
        {
            "bootstrap.servers": bench.bootstrap,
            "group.id": "eye",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
        }
    )
    reader.assign([TopicPartition(out, p, 0) for p in range(PARTITIONS)])
    begun, sent, found = time.time(), 0, []
    total = int(rate * (warm_s + seconds))
    got = 0
    while got < total and time.time() - begun < warm_s + seconds + 20:
        while sent < min(total, (time.time() - begun) * rate):
            text = json.dumps({"text": f"{time.time_ns()} {WORDS}"})
            producer.produce("in", text.encode(), key=str(sent).encode())
            sent += 1
        producer.poll(0)
        message = reader.poll(0.002)
        while message is not None and not message.error():
            appended = int(json.loads(message.value())["text"].split()[0]) / 1e9
            got += 1
            if appended - begun > warm_s:
                found.append(time.time() - appended)
            message = reader.poll(0)
    return found


def slow(args: argparse.Namespace) -> None:
    """One record takes 30 s: what the others keep of their throughput."""
    records = 2 * args.records
    with environment() as bench:
        for topic, first in (("in", "fine"), ("slow-in", "!slow=30")):
            create(bench, topic)
            producer = Producer({"bootstrap.servers": bench.bootstrap})
            producer.produce(topic, json.dumps({"text": first}).encode(), key=b"first")
            producer.flush()
            preload(bench, topic, records, keys=100_000)
        for ordering in ("none", "key"):
            results = []
            for _ in range(args.rounds):
                without = run_headrace(bench, "in", records, 256, ordering)
                beside = run_headrace(bench, "slow-in", records, 256, ordering)
                results += [without, dataclasses.replace(beside, name="beside a slow one")]
            show(ordering, results)


def backlog(_: argparse.Namespace) -> None:
    """Memory of a worker with a million records to read."""
    with environment() as bench:
        create(bench, "in")
        preload(bench, "in", 1_000_000)
        show("backlog", [run_headrace(bench, "in", 1_000_000, 256, "key")])


VERBS = {each.__name__: each for each in (throughput, plain, latency, slow, backlog)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--rows", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ordering", nargs="+", default=["key", "partition"])
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    conduct(VERBS, parser)


def conduct(
    verbs: Mapping[str, Callable[[argparse.Namespace], None]], parser: argparse.ArgumentParser
) -> None:
    """Measure what the command line names, else everything."""
    parser.add_argument("verbs", nargs="*", choices=[*verbs, []], help="default: all")
    args = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for verb in args.verbs or verbs:
        verbs[verb](args)


if __name__ == "__main__":
    main()
