"""Writes records at a steady rate until it is told to end, in a process of its own.

    python -m benchmarks.compare.feed BOOTSTRAP TOPIC PARTITIONS RATE

Every text says its number, its partition and when it was written. SIGTERM ends it in order; the
last line of its output is how many records it wrote.
"""

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.compare.scene import BENCHMARKS, WORDS
from headrace.local.process import Child

_PAUSE_S = 0.001
_WITHIN_S = 30.0


def main() -> None:
    """Read the command line."""
    bootstrap, topic, partitions, rate = sys.argv[1:]
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    print(write(producer, topic, int(partitions), float(rate), over), flush=True)


def write(
    producer: Producer, topic: str, partitions: int, rate: float, over: threading.Event
) -> int:
    """Write until it is over; return how many."""
    begun, sent = time.perf_counter(), 0
    while not over.is_set():
        due = int((time.perf_counter() - begun) * rate)
        for number in range(sent, due):
            partition = number % partitions
            text = f"{number} {partition} {time.time_ns()} {WORDS}"
            value = f'{{"id": {number}, "text": "{text}"}}'
            producer.produce(topic, value, key=str(number), partition=partition)
        sent = max(sent, due)
        producer.poll(0)
        time.sleep(_PAUSE_S)
    producer.flush()
    return sent


class Feed:
    """A feed that runs."""

    def __init__(self, child: Child, output: Path) -> None:
        self._child, self._output = child, output

    def end(self) -> int:
        """End it and return how many records it wrote."""
        self._child.terminate()
        deadline = time.monotonic() + _WITHIN_S
        while self._child.is_running and time.monotonic() < deadline:
            time.sleep(0.01)
        lines = self._output.read_text().split()
        if self._child.exit_status or not lines:
            raise RuntimeError(f"the feed failed: {self._output.read_text()}")
        return int(lines[-1])


@contextmanager
def fed(bootstrap: str, topic: str, partitions: int, rate: float) -> Iterator[Feed]:
    """Feed a topic at a rate."""
    module = [sys.executable, "-m", "benchmarks.compare.feed"]
    with tempfile.NamedTemporaryFile() as output:
        command = [*module, bootstrap, topic, str(partitions), str(rate)]
        child = Child(command, output=output.file, cwd=BENCHMARKS.parent)
        try:
            yield Feed(child, Path(output.name))
        finally:
            child.kill()


if __name__ == "__main__":
    main()
