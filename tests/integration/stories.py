"""What a pipeline leaves of a source record, written by hand as its steps would write it."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from headrace.core import wire
from headrace.core.murmur import partition_of
from headrace.core.topology import Topology
from tests.integration.by_hand import ByHand

NOON = 1_760_000_000_000
"""When stories begin, ms since the epoch."""


@dataclass
class Written:
    """Where a record went."""

    topic: str
    partition: int
    offset: int


class Story:
    """Writes the records of one source record; every step takes a second.

    Args:
        scene: The pipeline's topics.
        partition: Partition of the source record.
        source: The source topic, without the pipeline's name.
    """

    def __init__(
        self, scene: ByHand, partition: int = 0, source: str = "in", timestamp: int = NOON
    ) -> None:
        self.scene = scene
        self.topology: Topology = scene.topology
        self.name = scene.topology.pipeline
        self.partition = partition
        self.timestamp = timestamp
        self.at = timestamp
        self.key = b"k"
        self._source = f"{self.name}.{source}"
        self._producer = Producer({**scene.connection, "linger.ms": 5})
        self._offsets: Counter[tuple[str, int]] = scene.__dict__.setdefault("offsets", Counter())
        self.id = ""

    def source(self, document: object = None) -> Written:
        """Write the source record, which gives the story its id."""
        written = self._put(self._source, _encoded(document or {}), self.partition, [])
        self.id = f"{self._source}-{self.partition}-{written.offset}"
        return written

    def derived(
        self,
        topic: str,
        *,
        child: str = "",
        models: str = "",
        outcome: str = "",
        error: tuple[str, str, str] | None = None,
        counts: str = "",
        partition: int | None = None,
        is_replay: bool = False,
        document: object = None,
    ) -> Written:
        """Write what a step wrote for the steps after it."""
        said = {wire.MODELS: models, wire.OUTCOME: outcome, wire.CHILDREN: counts}
        said[wire.HOME] = "/".join(str(self.partition) for _ in counts.split("/") if counts)
        if error is not None:
            step, class_, message = error
            said |= {wire.ERROR_STEP: step, wire.ERROR_CLASS: class_, wire.ERROR_MESSAGE: message}
        if is_replay:
            said[wire.REPLAY] = "1"
        value = None if outcome else _encoded(document or {})
        place = self.partition if partition is None else partition
        return self._put(f"{self.name}.{topic}", value, place, self._headers(child, said))

    def sink(
        self, topic: str, *, models: str = "", child: str = "", partition: int | None = None
    ) -> Written:
        """Write a result."""
        headers = [
            (wire.ID, self._child(child)),
            (wire.SOURCE, f"{self._source}/{self.partition}/0"),
            (wire.MODELS, models),
            (wire.PIPELINE, "f" * 12),
        ]
        place = self.partition if partition is None else partition
        return self._put(f"{self.name}.{topic}", b"{}", place, headers)

    def letter(
        self,
        step: str,
        error: str,
        message: str = "bad",
        *,
        child: str = "",
        partial: str = "",
        parts: Sequence[dict[str, Any]] = (),
        count: int | None = None,
        **more: str,
    ) -> Written:
        """Write a dead letter."""
        value = _partial(parts, count) if partial else b'{"text": "x"}'
        self.at += 1000
        said = {
            wire.ERROR_CLASS: error,
            wire.ERROR_MESSAGE: message,
            wire.ERROR_STEP: step,
            wire.ERROR_ATTEMPTS: "1",
            wire.ERROR_FIRST: str(self.at),
            wire.ERROR_LAST: str(self.at),
            wire.PARTIAL: partial,
            **{f"headrace-{name}": content for name, content in more.items()},
        }
        topic = self.topology.dead_letter_topic
        return self._put(topic, value, self.partition, self._headers(child, said))

    def mark(self, letter: Written, *, child: str = "", at: int | None = None) -> Written:
        """Write the mark that says that a dead letter was sent back; it has the time's stamp."""
        self.at = at or self.at + 1000
        headers = [
            (wire.VERSION, "1"),
            (wire.ID, self._child(child)),
            (wire.REPLAYED, f"{letter.partition}-{letter.offset}"),
        ]
        return self._put(letter.topic, None, letter.partition, headers, timestamp=self.at)

    def retry(
        self,
        step: str,
        *,
        child: str = "",
        attempt: int = 1,
        not_before: int = 0,
        is_replay: bool = False,
        partial: str = "",
        parts: Sequence[dict[str, Any]] = (),
        count: int | None = None,
        outcome: str = "",
    ) -> Written:
        """Write a record that its step is to take again."""
        said = {
            wire.ATTEMPT: "" if outcome else str(attempt),
            wire.NOT_BEFORE: str(not_before) if not_before else "",
            wire.PARTIAL: partial,
            wire.OUTCOME: outcome,
            wire.REPLAY: "1" if is_replay else "",
        }
        value = _partial(parts, count) if partial else b'{"text": "x"}'
        topic = self.topology.retry_topics[step]
        return self._put(topic, value, self.partition, self._headers(child, said))

    def others(
        self,
        topic: str,
        count: int,
        *,
        since: int,
        every_ms: int,
        partition: int | None = None,
        first: int = 1_000_000,
    ) -> None:
        """Write what came of other records of the same source partition, one every so often."""
        place = self.partition if partition is None else partition
        full = f"{self.name}.{topic}"
        for number in range(count):
            headers = [
                (wire.VERSION, "1"),
                (wire.ID, f"{self._source}-{self.partition}-{first + number}"),
                (wire.AT, str(since + number * every_ms + 5)),
            ]
            self._put(full, b"{}", place, headers, timestamp=since + number * every_ms)

    def keyed(self, topic: str, key: bytes) -> int:
        """Return the partition in which a sink's record with that key is."""
        count = len(self.scene.consumer("x").list_topics(timeout=10).topics[topic].partitions)
        return partition_of(key, count)

    def flush(self) -> None:
        """Wait until everything is written."""
        assert self._producer.flush(30) == 0

    def _child(self, child: str) -> str:
        return f"{self.id}/{child}" if child else self.id

    def _headers(self, child: str, said: dict[str, str]) -> list[tuple[str, str]]:
        self.at += 1000
        named = {wire.VERSION: "1", wire.ID: self._child(child), wire.AT: str(self.at), **said}
        return [(name, content) for name, content in named.items() if content]

    def _put(
        self,
        topic: str,
        value: bytes | None,
        partition: int,
        headers: list[tuple[str, str]],
        *,
        timestamp: int | None = None,
    ) -> Written:
        stamp = self.timestamp if timestamp is None else timestamp
        told: Any = headers
        while True:
            try:
                self._producer.produce(
                    topic, value, self.key, partition, timestamp=stamp, headers=told
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                break
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        return Written(topic, partition, offset)


def _encoded(document: object) -> bytes:
    return json.dumps(document).encode()


def _partial(parts: Sequence[dict[str, Any]], count: int | None) -> bytes:
    return _encoded({"count": count, "since": NOON, "parts": list(parts)})
