"""Codes 200 charts of scanned pages on an embedded Kafka, and shows what came of them.

Some pages cannot be read, and in the middle one of the sixteen models is taken away for a while.
The last line on stdout is the summary of the run.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_charts
import outcome
import report
from meter import Meter
from rich.console import Console

from headrace.core.topology import Topology
from headrace.errors import HeadraceError
from headrace.local.kafka import EmbeddedKafka
from headrace.spec.compile import compile_file

HERE = Path(__file__).parent
PIPELINE = HERE / "pipeline.yaml"
WIDTH = 120
RESTARTED = "entities"
AWAY_S = 3.0


def main() -> int:
    """Run the pipeline and return the exit code: 0 if every chart is accounted for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--charts", type=int, default=200, help="how many (200)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (2)")
    asked = parser.parse_args()
    console = Console(width=WIDTH if not sys.stdout.isatty() else None)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedKafka(port=0, progress=say) as kafka,
        Meter(os.getpid()) as meter,
    ):
        file = Path(folder) / "charts.jsonl"
        truth = file.with_name("truth.jsonl")
        make_charts.main([f"--charts={asked.charts}", f"--out={file}", f"--truth={truth}"])
        topology = replace(
            compile_file(PIPELINE, os.environ), bootstrap_servers=kafka.bootstrap_servers
        )
        with RestartedModel(topology, meter):
            summary = coded(topology, file, asked.workers)
        found = outcome.read_back(topology)
        shares = meter.shares()
    console.print(report.chart(report.chosen(found)))
    console.print(report.failures(found))
    console.print(str(found), highlight=False, soft_wrap=True)
    summary |= {
        "pages": found.pages,
        "pages_per_s": round(found.pages / summary["seconds"], 1),
        "cpu_shares": {part: round(share, 3) for part, share in shares.items()},
        "derived_bytes": found.carried,
        "of_whole_documents": round(found.carried / found.whole, 3),
    }
    console.print(report.speed(summary), highlight=False, soft_wrap=True)
    print(json.dumps(summary), flush=True)
    return 0 if found.holds else 1


def coded(topology: Topology, file: Path, workers: int) -> dict[str, Any]:
    """Run `headrace up` until every chart is done, and return its summary."""
    (source,) = topology.sources
    command = [sys.executable, "-m", "headrace", "up", str(PIPELINE), "--workers", str(workers)]
    command += ["--input", f"{source.topic}={file}", "--key", "chart_id", "--until-idle"]
    command += ["--bootstrap-servers", topology.bootstrap_servers]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as up:
        try:
            told, _ = up.communicate()
        except KeyboardInterrupt:
            # Ctrl-C has reached it, too; it stops its children in order.
            up.wait()
            raise SystemExit(130) from None
    if up.returncode:
        raise SystemExit(up.returncode)
    summary: dict[str, Any] = json.loads(told.splitlines()[-1])
    return summary


class RestartedModel:
    """Unloads a model when a third of the pages that come to it are done; loads it again."""

    def __init__(self, topology: Topology, meter: Meter) -> None:
        self._topology = topology
        self._meter = meter
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        done = f"{self._topology.pipeline}.{RESTARTED}"
        due = f"{self._topology.pipeline}.kind.clinical"
        while not self._is_over.wait(0.5):
            with contextlib.suppress(HeadraceError):
                if (
                    0
                    < outcome.written(self._topology, due)
                    < 3 * outcome.written(self._topology, done)
                ):
                    break
        port = self._meter.port_of_models()
        if self._is_over.is_set() or port is None:
            return
        self._order(port, "unload")
        say(f"model {RESTARTED} is unloaded; what needs it waits")
        began = time.monotonic()
        self._is_over.wait(AWAY_S)
        self._order(port, "load")
        say(f"model {RESTARTED} is back after {time.monotonic() - began:.1f} s")

    def _order(self, port: int, verb: str) -> None:
        url = f"http://127.0.0.1:{port}/v2/repository/models/{RESTARTED}/{verb}"
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=30).close()
        except urllib.error.URLError as error:
            say(f"cannot {verb} model {RESTARTED}: {error}")


def say(line: str) -> None:
    """Tell a person something, on stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
