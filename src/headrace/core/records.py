"""Records as they come from and go to Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Header: TypeAlias = tuple[str, bytes | None]


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Record:
    """One Kafka record and where it stands in this worker.

    The one object that is made per record. A source fills the Kafka part; the partition's
    ledger fills the rest when it takes the record, and owns it from then on.

    Attributes:
        partition: Topic and partition, one shared object per partition.
        offset: Offset in that partition.
        key: Key bytes, or None.
        value: Value bytes exactly as read, or None for a tombstone.
        timestamp: Milliseconds since the epoch, 0 where there is none.
        headers: Headers as read, or None where there are none.
        ledger: The ledger that took it.
        following: The next record of its lane that was taken, if any.
        has_lane: Whether it leaves in order; of records that meet it must be the one that leads.
        waits: Whether an earlier record of its lane is not released yet.
        output: What it leaves behind, None until it is finished.
        leader: The record it finishes with, None if it finishes by itself. Records become
            followers where their parts meet; all of them are durable in one transaction.
        followers: Records that finish with it, None for none.
        pending: How many documents that came of it are on their way through the stage.
        outputs: What those that ended left behind so far.
    """

    __slots__ = (
        "followers",
        "following",
        "has_lane",
        "headers",
        "key",
        "leader",
        "ledger",
        "offset",
        "output",
        "outputs",
        "partition",
        "pending",
        "timestamp",
        "value",
        "waits",
    )

    ledger: Any
    following: "Record | None"
    has_lane: bool
    waits: bool
    output: "Output | None"
    leader: "Record | None"
    followers: "list[Record] | None"
    pending: int
    outputs: "list[Outgoing] | None"

    def __init__(
        self,
        partition: TopicPartition,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        timestamp: int = 0,
        headers: Sequence[Header] | None = None,
    ) -> None:
        self.partition = partition
        self.offset = offset
        self.key = key
        self.value = value
        self.timestamp = timestamp
        self.headers = headers

    def __repr__(self) -> str:
        return f"Record({self.partition}@{self.offset})"


Outgoing: TypeAlias = tuple[str, bytes | None, bytes | None, int, int, Sequence[Header] | None]
"""A record to write: (topic, value, key, partition or -1, timestamp ms, headers).

A plain tuple: a transaction of thousands is built without a call of ours per record.
"""

Output: TypeAlias = Sequence[Outgoing]
"""What one record leaves behind: results, a dead letter, a retry record, or nothing (dropped)."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a consumer group has committed for a partition.

    Attributes:
        offset: The committed offset, or None where nothing is committed.
        metadata: The commit's metadata, empty where there is none.
    """

    offset: int | None
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """The offset and metadata to commit for a partition."""

    partition: TopicPartition
    offset: int
    metadata: str
