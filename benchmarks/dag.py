"""What a DAG costs: hops over topics, fused stages, joins that wait, fields that do not travel.

    python benchmarks/dag.py                      # everything under "DAGs" in benchmarks/README.md
    python benchmarks/dag.py chain --rows 32 --rounds 3
    python benchmarks/dag.py latency lag fields

As in `run.py`, every figure of one call comes from one broker and one model server.
"""

import argparse
import json
import subprocess
import sys
import time
import uuid
from pathlib import Path

import run
from confluent_kafka import Producer
from run import WORDS, Bench, Result, create, environment, preload, show, timed

STEPS = 3
PYTHON = [sys.executable, "-m", "headrace"]


def write_pipeline(bench: Bench, name: str, steps: str, sinks: str, sources: str) -> Path:
    path = bench.folder / f"{name}.yaml"
    path.write_text(
        f"""\
pipeline: {name}
kafka: {{bootstrap_servers: "{bench.bootstrap}"}}
sources: {sources}
models: {{upper: {{url: "{bench.grpc}", timeout: 60s}}}}
steps:
{steps}
sinks:
{sinks}
"""
    )
    subprocess.run([*PYTHON, "topics", "apply", str(path)], check=True, capture_output=True)
    return path


def chain(
    bench: Bench, steps: int, rows: int, *, stage: str = "", start: str = "earliest"
) -> tuple[Path, str]:
    """Write a chain of model steps; return its file and its sink."""
    name = f"c{uuid.uuid4().hex[:8]}"
    out = f"{name}.out"
    create(bench, out)
    lines = []
    for number in range(1, steps + 1):
        source = "records" if number == 1 else f"s{number - 1}"
        field = "text" if number == 1 else f"t{number - 1}"
        fused = f" stage: {stage}," if stage else ""
        lines.append(
            f"  s{number}: {{from: {source},{fused} model: upper, inputs: {{text: {field}}},"
            f" outputs: {{t{number}: translation}}, batch: {{max_size: {rows}, max_wait: 5ms}}}}"
        )
    sinks = f"  {out}: {{from: s{steps}, fields: [id, text, t{steps}]}}"
    sources = f"{{records: {{topic: in, start: {start}}}}}"
    return write_pipeline(bench, name, "\n".join(lines), sinks, sources), out


def worker(path: Path, *stages: str) -> list[str]:
    chosen = [part for stage in stages for part in ("--stage", stage)]
    return [*PYTHON, "run", str(path), "--slot", f"bench{'-'.join(stages)}", *chosen]


def run_chain(bench: Bench, name: str, records: int, rows: int, steps: int, stage: str) -> Result:
    path, out = chain(bench, steps, rows, stage=stage)
    return timed(bench, name, worker(path), out, records)


def run_bare(bench: Bench, records: int, rows: int) -> Result:
    out = f"bare-{uuid.uuid4().hex[:8]}"
    create(bench, out)
    url = bench.grpc.removeprefix("grpc://")
    settings = {
        "bootstrap": bench.bootstrap,
        "url": url,
        "model": "upper",
        "topic": "in",
        "out": out,
        "n": records,
        "batch": rows,
        "calls": STEPS,
    }
    command = [sys.executable, str(run.HERE / "bare_loop.py")]
    command += [f"{key}={value}" for key, value in settings.items()]
    return timed(bench, f"bare loop, {STEPS} calls", command, out, records)


def measure_chain(args: argparse.Namespace) -> None:
    """One step, three over topics, three fused, and a bare loop that makes the three calls."""
    with environment() as bench:
        create(bench, "in")
        preload(bench, "in", args.records)
        for rows in args.rows:
            hops: list[Result] = []
            fused: list[Result] = []
            for _ in range(args.rounds):
                hops.append(run_chain(bench, "one step", args.records, rows, 1, ""))
                hops.append(run_chain(bench, f"{STEPS} over topics", args.records, rows, STEPS, ""))
                fused.append(run_bare(bench, args.records, rows))
                fused.append(run_chain(bench, f"{STEPS} fused", args.records, rows, STEPS, "one"))
            show(f"{rows} rows", hops)
            show(f"{rows} rows", fused)


def measure_latency(args: argparse.Namespace) -> None:
    """From append to visible through an idle chain, by the number of its hops."""
    with environment() as bench:
        create(bench, "in")
        p50 = {}
        for steps in (1, STEPS):
            path, out = chain(bench, steps, 64, start="latest")
            process = subprocess.Popen(worker(path), stderr=subprocess.DEVNULL)
            try:
                p50[steps] = delays_ms(bench, out, args.rate, args.seconds)
            finally:
                process.kill()
                process.wait()
        more = (p50[STEPS] - p50[1]) / (STEPS - 1)
        print(f"one more hop: p50 {more:.1f} ms; {STEPS} hops: {p50[STEPS] / STEPS:.1f} ms each")


def delays_ms(bench: Bench, out: str, rate: int, seconds: float) -> float:
    delays = sorted(run.delays(bench, out, rate, seconds))
    p50, p99 = delays[len(delays) // 2] * 1e3, delays[int(len(delays) * 0.99)] * 1e3
    print(f"{out}: {rate}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms, n={len(delays)}", flush=True)
    return p50


JOIN = """\
  ahead: {from: records, model: upper, inputs: {text: text}, outputs: {a: translation},
    batch: {max_size: 256, max_wait: 5ms}}
  behind: {from: records, model: upper, inputs: {text: text}, outputs: {b: translation},
    batch: {max_size: 256, max_wait: 5ms}}
  both: {from: [ahead, behind], model: upper, inputs: {text: a}, outputs: {c: translation},
    batch: {max_size: 256, max_wait: 5ms}}"""


def measure_lag(args: argparse.Namespace) -> None:
    """A join whose one branch lags: it starts when the other is `--lag` records ahead."""
    with environment() as bench:
        create(bench, "in")
        preload(bench, "in", args.records)
        name = f"j{uuid.uuid4().hex[:8]}"
        out = f"{name}.out"
        create(bench, out)
        sinks = f"  {out}: {{from: both, fields: [id, text, a, b, c]}}"
        path = write_pipeline(bench, name, JOIN, sinks, "{records: in}")
        processes = [
            subprocess.Popen(worker(path, stage), stderr=subprocess.DEVNULL)
            for stage in ("ahead", "both")
        ]
        try:
            while run.written(bench, f"{name}.ahead") < args.lag:
                time.sleep(0.05)
            print(f"{run.written(bench, f'{name}.ahead'):,} records ahead", flush=True)
            processes.append(subprocess.Popen(worker(path, "behind"), stderr=subprocess.DEVNULL))
            memory, begun = [], time.monotonic()
            while (done := run.written(bench, out)) < args.records:
                memory.append(run.resident_mb(processes[1].pid))
                if time.monotonic() - begun > 300:
                    raise RuntimeError(f"stands still at {done:,}")
                time.sleep(0.05)
            spilled = run.written(bench, f"{name}.both.retry")
            print(
                f"all of {args.records:,} joined {time.monotonic() - begun:.1f} s later; the join"
                f" held {max(memory):.0f} MB at most, {spilled:,} offsets in its retry topic"
            )
        finally:
            for process in processes:
                process.kill()
                process.wait()


PAGES = """\
  kind: {from: records, model: upper, inputs: {text: text}, outputs: {kind: translation}}
  left: {from: kind, model: upper, inputs: {text: kind}, outputs: {l: translation}}
  right: {from: kind, model: upper, inputs: {text: kind}, outputs: {r: translation}}
  both: {from: [left, right], model: upper, inputs: {text: l}, outputs: {b: translation}}"""


def measure_fields(args: argparse.Namespace) -> None:
    """Bytes on derived topics when only live fields travel, and when the whole document does."""
    with environment() as bench:
        create(bench, "in")
        producer = Producer({"bootstrap.servers": bench.bootstrap})
        count = args.records // 50
        for number in range(count):
            extra = {f"f{n}": f"{number} {n} {WORDS}" for n in range(10)}
            document = {"id": number, "text": f"{number}", **extra}
            producer.produce("in", json.dumps(document).encode(), key=str(number).encode())
            producer.poll(0)
        producer.flush()
        sizes = {}
        for label, fields in (("live fields", "[id, b]"), ("whole documents", "")):
            name = f"f{uuid.uuid4().hex[:8]}"
            create(bench, f"{name}.out")
            projected = f", fields: {fields}" if fields else ""
            sinks = f"  {name}.out: {{from: both{projected}}}"
            path = write_pipeline(bench, name, PAGES, sinks, "{records: in}")
            process = subprocess.Popen(worker(path), stderr=subprocess.DEVNULL)
            try:
                while run.written(bench, f"{name}.out") < count:
                    time.sleep(0.1)
            finally:
                process.kill()
                process.wait()
            sizes[label] = derived_bytes(
                bench, [f"{name}.{step}" for step in ("kind", "left", "right")]
            )
            print(f"{label}: {sizes[label] / count:,.0f} bytes a source record", flush=True)
        print(f"live fields are {sizes['live fields'] / sizes['whole documents']:.0%} of that")


def derived_bytes(bench: Bench, topics: list[str]) -> int:
    """Return the bytes of all records of topics: values, keys, headers."""
    from headrace.kafka.reading import existing_partitions, held_records

    connection = {"bootstrap.servers": bench.bootstrap}
    total = 0
    for topic in topics:
        places = existing_partitions(connection, topic)
        for record in held_records(connection, places, is_committed=False):
            named = sum(len(n) + len(v or b"") for n, v in record.headers or ())
            total += len(record.value or b"") + len(record.key or b"") + named
    return total


VERBS = {
    "chain": measure_chain,
    "latency": measure_latency,
    "lag": measure_lag,
    "fields": measure_fields,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=150_000)
    parser.add_argument("--rows", type=int, nargs="+", default=[32])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--lag", type=int, default=10_000)
    run.conduct(VERBS, parser)


if __name__ == "__main__":
    main()
