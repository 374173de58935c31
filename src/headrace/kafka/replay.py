"""Sends dead letters back to the steps that gave them up, each exactly once."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from headrace.core import wire
from headrace.core.records import Header, Outgoing
from headrace.core.topology import Topology
from headrace.errors import (
    ConfigError,
    FencedError,
    TransactionAbortedError,
    TransactionIndefiniteError,
)
from headrace.kafka.dead_letters import DeadLetter, DeadLetters
from headrace.kafka.producer import FaultPoint, KafkaSink
from headrace.kafka.properties import producer_properties
from headrace.ports import GroupToken, Transaction

BATCH_RECORDS = 200
BATCH_BYTES = 8 * 2**20
_ROOM_BYTES = 64 * 1024
_LARGEST_RECORD_BYTES = 64 * 2**20
_NOBODY = GroupToken(None, -1, "")
# Not the deadline: a record that expired once would only expire again.
_KEPT = frozenset(
    {
        *(wire.VERSION, wire.ID, wire.SOURCE, wire.PIPELINE),
        *(wire.MODELS, wire.CHILDREN, wire.HOME, wire.PARTIAL),
    }
)

log = logging.getLogger("headrace.replay")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        records: Dead letters sent back.
        without_value: Dead letters left alone because their value is not in Kafka any more.
        along: How many of `records` were not chosen, but are of the same source record as a
            chosen one: a join goes on only if every part that failed is repeated.
        left: Dead letters left alone because another one of their source record has no value.
    """

    records: int
    without_value: int
    along: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which open dead letters a replay sends.

    Attributes:
        sent: Those to send, of every source record either all that are open or none.
        without_value: How many stay because their value is gone.
        left: How many stay because of one of these.
    """

    sent: Sequence[DeadLetter]
    without_value: int
    left: int


async def replay(
    topology: Topology,
    choose: Callable[[DeadLetter], bool] = lambda _: True,
    *,
    rate: float | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
    fault_point: FaultPoint = lambda _: None,
) -> Replayed:
    """Send the chosen open dead letters to their steps' retry topics.

    With a chosen letter go all others of its source record, whatever step gave them up, in one
    transaction with their marks. So each is sent back once, however often this is called, killed
    or started twice: a second replayer of the pipeline fences the first, and what has a mark is
    not sent again.

    Args:
        topology: The pipeline.
        choose: Says which of the open dead letters to send.
        rate: Most records a second, None for no limit.
        report: Receives how many were sent, of how many, after each transaction.
        fault_point: See `KafkaSink`.

    Raises:
        FencedError: Another replayer of this pipeline took over.
        ConfigError: A letter to send is of a step that the pipeline does not have.
        BrokerError: Kafka refuses, or no broker answers.
    """
    sink = KafkaSink(_properties(topology), fault_point)
    replayer = _Replayer(topology, sink, choose, rate, report)
    try:
        while not await replayer.go():
            log.warning("a transaction's end is unknown", extra={"event": "replay_indefinite"})
    finally:
        await sink.close()
    return replayer.done


class _Replayer:
    def __init__(
        self,
        topology: Topology,
        sink: KafkaSink,
        choose: Callable[[DeadLetter], bool],
        rate: float | None,
        report: Callable[[int, int], None],
    ) -> None:
        self._topology = topology
        self._sink = sink
        self._choose = choose
        self._rate = rate
        self._report = report
        self._sent = 0
        self._along = 0
        self._selection = Selection((), 0, 0)

    @property
    def done(self) -> Replayed:
        kept = self._selection
        return Replayed(self._sent, kept.without_value, self._along, kept.left)

    async def go(self) -> bool:
        """Send what is open; False if a transaction's end is unknown: then go again."""
        await self._sink.open()
        # Only now: what an earlier replayer had under way has ended, and its marks can be read.
        letters = DeadLetters(self._topology)
        found = await asyncio.to_thread(letters.open, is_settled=True)
        self._selection = select(found, self._choose)
        whole = self._selection.sent
        retry_topics = self._retry_topics(whole)
        begun, before = time.monotonic(), self._sent
        most = BATCH_RECORDS if self._rate is None else max(1, min(BATCH_RECORDS, int(self._rate)))
        for batch in batches(whole, most):
            if self._rate is not None:
                due = begun + (self._sent - before) / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            outgoing = [
                record
                for letter in batch
                for record in (sent_back(letter, retry_topics[letter.step]), marked(letter))
            ]
            try:
                await self._commit(outgoing)
            except TransactionIndefiniteError:
                return False
            self._sent += len(batch)
            self._along += sum(not self._choose(each) for each in batch)
            self._report(self._sent, before + len(whole))
        return True

    async def _commit(self, outgoing: Sequence[Outgoing]) -> None:
        while True:
            try:
                await self._sink.commit(Transaction(outgoing, (), _NOBODY))
            except TransactionAbortedError as error:
                log.warning("repeating: %s", error, extra={"event": "replay_aborted"})
            except FencedError as error:
                raise FencedError(
                    f"another replay of pipeline {self._topology.pipeline!r} took over and goes on "
                    f"with what is left; this one sent {self._sent} records back"
                ) from error
            else:
                return

    def _retry_topics(self, letters: Sequence[DeadLetter]) -> Mapping[str, str]:
        topics = self._topology.retry_topics
        gone = sorted({each.step for each in letters} - topics.keys())
        if gone:
            raise ConfigError(
                f"pipeline {self._topology.pipeline!r} has no step {', '.join(map(repr, gone))}, "
                f"which dead letters name; choose with --step: {', '.join(topics)}"
            )
        return topics


def select(letters: Sequence[DeadLetter], choose: Callable[[DeadLetter], bool]) -> Selection:
    """Return what to send of the open letters: all of a source record of which one is chosen.

    A record of which one letter has lost its value keeps all of them: sent back without it, the
    join that needs its part could only fail again.
    """
    sent: list[DeadLetter] = []
    without_value = left = 0
    for together in by_record(letters):
        if not any(map(choose, together)):
            continue
        gone = sum(each.value is None for each in together)
        if gone:
            without_value += gone
            left += len(together) - gone
        else:
            sent += together
    return Selection(sent, without_value, left)


def by_record(letters: Iterable[DeadLetter]) -> Sequence[Sequence[DeadLetter]]:
    """Return the letters by source record, in the order in which the records come first."""
    groups: dict[str, list[DeadLetter]] = {}
    for each in letters:
        groups.setdefault(each.record, []).append(each)
    return list(groups.values())


def batches(letters: Sequence[DeadLetter], most: int) -> Iterator[Sequence[DeadLetter]]:
    """Yield letters in batches for one transaction; those of a source record are never parted.

    A batch has at most `most` letters and `BATCH_BYTES` of values, unless one record alone has
    more.
    """
    batch: list[DeadLetter] = []
    size_bytes = 0
    for together in by_record(letters):
        more_bytes = sum(len(each.value or b"") for each in together)
        if batch and (len(batch) + len(together) > most or size_bytes + more_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch += together
        size_bytes += more_bytes
    if batch:
        yield batch


def sent_back(letter: DeadLetter, retry_topic: str) -> Outgoing:
    """Return the retry record of a dead letter: as its step read it, and to be taken at once.

    It says of the splits around it what the letter said, and has no deadline.
    """
    headers: list[Header] = [
        *((name, content) for name, content in letter.headers if _stays(name)),
        (wire.REPLAY, b"1"),
        (wire.ATTEMPT, b"1"),
        (wire.AT, b"%d" % (time.time_ns() // 1_000_000)),
    ]
    partition = letter.place.partition
    return (retry_topic, letter.value, letter.key, partition, letter.timestamp, headers)


def marked(letter: DeadLetter) -> Outgoing:
    """Return the mark that says that a dead letter was replayed.

    It is never older than its letter, which time could otherwise leave behind without it.
    """
    now_ms = max(time.time_ns() // 1_000_000, letter.timestamp)
    headers: list[Header] = [
        (wire.VERSION, wire.FORMAT),
        (wire.ID, letter.id.encode()),
        (wire.REPLAYED, letter.mark.encode()),
    ]
    return (letter.place.topic, None, letter.key, letter.place.partition, now_ms, headers)


def _stays(name: str) -> bool:
    return name in _KEPT or not name.startswith(wire.PREFIX)


def _properties(topology: Topology) -> Mapping[str, object]:
    name = f"{topology.prefix}{topology.pipeline}.dlq-replay"
    return producer_properties(
        topology, name, f"headrace-replay-{name}", message_max_bytes=_LARGEST_RECORD_BYTES
    )
