"""The transaction coordinator of the simulated broker."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from headrace.core.records import Commit, Committed, TopicPartition
from headrace.errors import FencedError
from headrace.ports import GroupToken
from headrace.testing.hazards import Hazards
from headrace.testing.log import Entry, PartitionLog
from headrace.testing.membership import Group

# What the broker stores is a character longer than what was passed: the client adds a NUL.
_MOST_METADATA = 4096 - 1


class RefusedError(Exception):
    """The broker answered with an error that the client can only abort after."""


class Transaction:
    """One transaction, from its first record to its last marker.

    Attributes:
        aborted: Whether its records are never to be read; known once its markers are written.
        decided: Whether its end is durable; markers may still be missing.
    """

    __slots__ = ("aborted", "decided", "logs", "offsets", "timer")

    def __init__(self, timer: asyncio.TimerHandle) -> None:
        self.aborted = False
        self.decided = False
        self.logs: dict[PartitionLog, None] = {}
        self.offsets: dict[Group, dict[TopicPartition, Committed]] = {}
        self.timer = timer


class _Producer:
    """What the coordinator knows about one transactional id."""

    __slots__ = ("epoch", "open", "timeout_s")

    def __init__(self) -> None:
        self.epoch = -1
        self.open: Transaction | None = None
        self.timeout_s = 0.0


class TransactionCoordinator:
    """Transactional ids with their epochs, and at most one transaction each.

    The end of a transaction is durable at once; the markers that make it visible are written
    after, partition by partition.

    Args:
        hazards: Decides how long markers take, and when the sweep for old transactions comes.
        sweep_s: Interval at which transactions that are too old are looked for.
    """

    def __init__(self, hazards: Hazards, sweep_s: float) -> None:
        self._hazards = hazards
        self._sweep_s = sweep_s
        self._producers: dict[str, _Producer] = {}

    def init(self, transactional_id: str, timeout_s: float) -> int:
        """Give out a new epoch: fences whoever had the id and aborts what it left open."""
        producer = self._producers.setdefault(transactional_id, _Producer())
        self._expel(producer)
        producer.timeout_s = timeout_s
        return producer.epoch

    def holds(self, transactional_id: str, epoch: int) -> bool:
        """Whether an epoch is still the newest."""
        return self._producers[transactional_id].epoch == epoch

    def append(
        self, transactional_id: str, epoch: int, records: Sequence[tuple[PartitionLog, Entry]]
    ) -> None:
        """Write records into the open transaction, opening one if there is none.

        Raises:
            FencedError: The epoch is not the newest.
        """
        transaction = self._open(transactional_id, epoch)
        for log, entry in records:
            transaction.logs[log] = None
            log.append(Entry(transaction, *entry[1:]))

    def add_offsets(
        self,
        transactional_id: str,
        epoch: int,
        group: Group,
        commits: Sequence[Commit],
        token: GroupToken,
    ) -> None:
        """Put offsets into the open transaction; until it ends they are pending.

        Raises:
            FencedError: The epoch is not the newest.
            RefusedError: The generation is not the current one, or metadata is too long.
        """
        transaction = self._open(transactional_id, epoch)
        refusal = group.refusal(token.generation, token.member)
        if refusal is not None:
            raise RefusedError(refusal)
        if any(len(commit.metadata) > _MOST_METADATA for commit in commits):
            raise RefusedError("OFFSET_METADATA_TOO_LARGE")
        offsets = transaction.offsets.setdefault(group, {})
        for commit in commits:
            offsets[commit.partition] = Committed(commit.offset, commit.metadata)
            group.pending.setdefault(commit.partition, {})[transaction] = None

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """End whatever transaction is open under the id; none being open is no error.

        Raises:
            FencedError: The epoch is not the newest.
        """
        producer = self._checked(transactional_id, epoch)
        if producer.open is not None and not producer.open.decided:
            self._decide(producer.open, commit=commit)

    def end_late(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """Carry out a request to end that was long on its way, unless it is fenced by now."""
        if self.holds(transactional_id, epoch):
            self.end(transactional_id, epoch, commit=commit)

    def _checked(self, transactional_id: str, epoch: int) -> _Producer:
        producer = self._producers[transactional_id]
        if producer.epoch != epoch:
            raise FencedError(f"another producer uses transactional id {transactional_id!r}")
        return producer

    def _open(self, transactional_id: str, epoch: int) -> Transaction:
        producer = self._checked(transactional_id, epoch)
        if producer.open is not None and producer.open.decided:
            self._write_markers(producer.open)
            producer.open = None
        if producer.open is None:
            age = producer.timeout_s + self._hazards.between(0.0, self._sweep_s)
            timer = asyncio.get_running_loop().call_later(age, self._expire, producer)
            producer.open = Transaction(timer)
        return producer.open

    def _expire(self, producer: _Producer) -> None:
        if producer.open is not None and not producer.open.decided:
            self._expel(producer)

    def _expel(self, producer: _Producer) -> None:
        producer.epoch += 1
        if producer.open is not None:
            if not producer.open.decided:
                self._decide(producer.open, commit=False)
            self._write_markers(producer.open)
            producer.open = None

    def _decide(self, transaction: Transaction, *, commit: bool) -> None:
        transaction.timer.cancel()
        transaction.decided = True
        transaction.aborted = not commit
        for log in transaction.logs:
            self._soon(log.end_transaction, transaction)
        for group in list(transaction.offsets):
            self._soon(partial(_settle, group=group), transaction)

    def _soon(self, write: Callable[[Transaction], None], transaction: Transaction) -> None:
        delay = self._hazards.latency()
        if delay:
            asyncio.get_running_loop().call_later(delay, write, transaction)
        else:
            write(transaction)

    def _write_markers(self, transaction: Transaction) -> None:
        for log in transaction.logs:
            log.end_transaction(transaction)
        for group in list(transaction.offsets):
            _settle(transaction, group)


def _settle(transaction: Transaction, group: Group) -> None:
    """Make a transaction's offsets the group's, or drop them; the second time does nothing."""
    offsets: Mapping[TopicPartition, Committed] = transaction.offsets.pop(group, {})
    for partition, committed in offsets.items():
        del group.pending[partition][transaction]
        if not transaction.aborted:
            group.offsets[partition] = committed
