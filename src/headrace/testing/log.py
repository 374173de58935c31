"""The log of one simulated partition: records, markers, and what a committed reader sees."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from headrace.core.records import Header, Record, TopicPartition


class Entry(NamedTuple):
    """One record in a log, and the transaction that wrote it, if any."""

    transaction: Any
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Sequence[Header] | None


class PartitionLog:
    """Offsets in order, each a record or a transaction's marker.

    Attributes:
        partition: Topic and partition, the one object that its records share.
        start: First offset that was not deleted.
        readers: Sources that read this partition now; each is woken when more can be read.
    """

    __slots__ = ("_entries", "_open", "partition", "readers", "start")

    def __init__(self, partition: TopicPartition) -> None:
        self.partition = partition
        self.start = 0
        self.readers: dict[Any, None] = {}
        self._entries: list[Entry | None] = []
        self._open: dict[Any, int] = {}

    @property
    def end(self) -> int:
        """The offset after the last record or marker."""
        return len(self._entries)

    @property
    def stable_end(self) -> int:
        """The first offset of the oldest open transaction, else the end."""
        return min(self._open.values()) if self._open else len(self._entries)

    def append(self, entry: Entry) -> int:
        """Append a record and return its offset."""
        offset = len(self._entries)
        if entry.transaction is None:
            self._entries.append(entry)
            self._wake()
        else:
            self._open.setdefault(entry.transaction, offset)
            self._entries.append(entry)
        return offset

    def end_transaction(self, transaction: Any) -> None:
        """Write the marker that ends a transaction here, if it is open here."""
        if self._open.pop(transaction, None) is not None:
            self._entries.append(None)
            self._wake()

    def delete_before(self, offset: int) -> None:
        """Drop all records below an offset."""
        self.start = max(self.start, min(offset, self.end))

    def read(self, position: int, most: int) -> tuple[list[Record], int]:
        """Return committed records from a position, and the position after what was looked at."""
        records: list[Record] = []
        entries, partition = self._entries, self.partition
        for offset in range(position, self.stable_end):
            if len(records) == most:
                return records, offset
            entry = entries[offset]
            if entry is not None and (entry[0] is None or not entry[0].aborted):
                _, key, value, timestamp, headers = entry
                records.append(Record(partition, offset, key, value, timestamp, headers))
        return records, max(position, self.stable_end)

    def offset_at(self, timestamp: int) -> int:
        """Return the first offset whose record is not older than a timestamp, else the end."""
        for offset in range(self.start, self.stable_end):
            entry = self._entries[offset]
            if entry is not None and entry.timestamp >= timestamp:
                return offset
        return self.stable_end

    def _wake(self) -> None:
        for reader in self.readers:
            reader.wake()
