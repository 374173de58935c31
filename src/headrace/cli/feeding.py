"""Files that `headrace up` sends into source topics."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from headrace.cli import pacing
from headrace.cli.lines import KeyOf, key_getter, keyed_lines
from headrace.core.topology import Topology
from headrace.errors import ConfigError
from headrace.kafka.lines import LineWriter


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files to send, and how fast.

    Attributes:
        files: Topic and file, in the order given.
        rate: Records a second from each file, None for no limit.
        key_of: Finds the key of each line, None for no keys.
    """

    files: Sequence[tuple[str, Path]]
    rate: float | None = None
    key_of: KeyOf | None = None

    @classmethod
    def parsed(
        cls,
        texts: Sequence[str],
        topology: Topology,
        rate: float | None = None,
        key_path: str | None = None,
    ) -> Self:
        """Read `TOPIC=FILE` texts.

        Raises:
            ConfigError: One has another form, a topic the pipeline does not read, or no file; or
                the path of the key is none.
        """
        key_of = None if key_path is None else key_getter(key_path)
        sources = {source.topic for source in topology.sources}
        files = []
        for text in texts:
            topic, equals, name = text.partition("=")
            if not equals or not name:
                example = f"{min(sources, default='topic')}=FILE.jsonl"
                raise ConfigError(f"--input {text!r} is not TOPIC=FILE, as in {example}")
            if topic not in sources:
                known = ", ".join(sorted(sources))
                raise ConfigError(
                    f"--input: the pipeline does not read topic {topic!r}; it reads {known}"
                )
            if Path(name).is_dir():
                raise ConfigError(f"--input: {name!r} is a folder; name a file of lines")
            if not Path(name).exists():
                raise ConfigError(f"--input: there is no file {name!r}")
            files.append((topic, Path(name)))
        return cls(files, rate, key_of)


class Feed:
    """Sends the inputs, each from a thread of its own."""

    def __init__(self, connection: Mapping[str, Any], inputs: Inputs) -> None:
        self._connection = connection
        self._inputs = inputs
        self._stop = threading.Event()
        self._writers: list[LineWriter] = []

    @property
    def sent(self) -> int:
        """Records sent so far."""
        return sum(writer.sent for writer in self._writers)

    async def run(self) -> None:
        """Send every line and return when all are durable; cancelling stops it soon.

        Raises:
            BrokerError: A record cannot be written.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for topic, path in self._inputs.files:
                    tasks.create_task(asyncio.to_thread(self._send, topic, path))
        finally:
            self._stop.set()

    def _send(self, topic: str, path: Path) -> None:
        pace = pacing.steady(self._inputs.rate)
        with LineWriter(self._connection, topic) as writer:
            self._writers.append(writer)
            lines = keyed_lines(path, self._inputs.key_of)
            for value, key in pacing.paced(lines, pace, self._stop.is_set):
                writer.write(value, key)
