"""What topics hold after a run, and what is wrong with it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from headrace.core.records import TopicPartition
from headrace.testing.history import Origin, Verdict, asked_late, judge
from tests.fault.dag_runs import read_all
from tests.fault.feeding import ABORTED
from tests.fault.relay import Call
from tests.fault.shapes import Shape, number_in, number_of, origin_of

ZOMBIES_ASK_S = 12.0
"""Twice a session: one until it is over for the group, one until a worker knows."""


class Held:
    """What the topics hold in the end.

    Args:
        bootstrap: Where Kafka is.
        shape: What was run.
        source: The source.
        topics: The sink and the dead letters.

    Attributes:
        asked_late_s: By how much models were asked about records after their outcome was durable.
    """

    def __init__(self, bootstrap: str, shape: Shape, source: str, topics: Sequence[str]) -> None:
        self._shape = shape
        self.asked_late_s: Sequence[float] = ()
        self._inputs, self._written, self._letters = (
            read_all(bootstrap, topic) for topic in (source, *topics)
        )
        partitions = 1 + max(each.partition.partition for each in self._inputs)
        self._aborted = _aborted(bootstrap, source, partitions)
        self._numbers = {(x.partition, x.offset): number_of(x) for x in self._inputs}

    def verdict(self, calls: Iterable[Call] | None, durable: Mapping[Origin, float]) -> Verdict:
        """Compare what went in with what came out.

        A worker that slept or was cut off asks on until it learns that it lost its partitions.
        What it asks within `ZOMBIES_ASK_S` of another's outcome is counted, but not held wrong.

        Args:
            calls: What models saw; None: whatever they saw is right.
            durable: When the outcome of each source record was seen first.
        """
        places = {number: origin for origin, number in self._numbers.items()}
        asked: dict[Origin, float] = {}
        for at, texts in calls or ():
            asked.update({places[number]: at for number in map(number_in, texts)})
        late = asked_late(asked, durable)
        self.asked_late_s = sorted(late.values())
        return judge(
            self._inputs,
            self._shape.endings(self._written, self._letters),
            origin=origin_of,
            lane=(lambda record: record.key) if self._shape.keeps_order else None,
            aborted=self._aborted,
            again=[each for each, seconds in late.items() if seconds > ZOMBIES_ASK_S],
        )

    def dump(self, folder: Path) -> None:
        """Write down what each topic holds, for whoever looks into a seed that went wrong."""
        for name in ("inputs", "written", "letters"):
            lines = [
                f"{each.partition}@{each.offset} {each.key!r} {each.value!r} {each.headers!r}\n"
                for each in getattr(self, f"_{name}")
            ]
            (folder / f"{name}.txt").write_text("".join(lines))

    def wrong(self, *, is_spoilt: bool) -> list[str]:
        """Return what is wrong with the contents of sink and dead letters, ten things at most.

        Args:
            is_spoilt: Whether models answered wrongly for a while.
        """
        written, letters = (
            [(self._numbers[origin_of(each)], each) for each in records]
            for records in (self._written, self._letters)
        )
        return list(islice(self._shape.check(written, letters, is_spoilt), 10))


def _aborted(bootstrap: str, topic: str, partitions: int) -> set[Origin]:
    """Return where a topic holds records that say they are to be aborted."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "campaign-aborted",
            "isolation.level": "read_uncommitted",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    places = [ClientPartition(topic, p, 0) for p in range(partitions)]
    ends = {p.partition: reader.get_watermark_offsets(p, timeout=10)[1] for p in places}
    reader.assign(places)
    found: set[Origin] = set()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for message in reader.consume(1000, 0.2):
            if not message.error() and message.value() == ABORTED:
                place = TopicPartition(topic, message.partition() or 0)
                found.add((place, message.offset() or 0))
        at = {each.partition: each.offset for each in reader.position(places)}
        if all(at[p] >= end for p, end in ends.items()):
            break
    reader.close()
    return found
