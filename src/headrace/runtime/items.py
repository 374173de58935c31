"""Documents on their way through the steps of a stage."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from headrace.core import wire
from headrace.core.joining import Outcome
from headrace.core.ledger import Ledger
from headrace.core.records import Header, Record
from headrace.core.steps import MOST_CHILDREN
from headrace.errors import ConfigError, DecodeError


class Level(NamedTuple):
    """One split that a document is inside of.

    Attributes:
        home: Partition number of the parent.
        children: How many children the parent has.
    """

    home: int
    children: int


Scope: TypeAlias = tuple[Level, ...]
"""The splits that a document is inside of, the outermost first."""

OUTSIDE: Final[Scope] = ()


class Reason(NamedTuple):
    """Why a record was given up: of which step, the error's class, what it says."""

    step: str
    error: str
    message: str


class Item:
    """One document, or the outcome that is left of it, between two steps.

    Attributes:
        record: The record whose key, timestamp and user headers it carries, and with which, or
            with whose leader, it finishes.
        id: Record id.
        outcome: RESULT while there is a document.
        document: The decoded document; None before it was decoded.
        value: The bytes that it was read as; None where it was made in memory.
        read: The document as the step read it, once the step wrote into another one.
        place: Number of the partition that it belongs to.
        scope: The splits that it is inside of.
        trail: Models that it has passed, as `headrace-models` says it.
        reason: Why it failed.
        deadline: When it is worth nothing any more, ms since the epoch; 0 for never.
        is_replay: Whether it was sent back by a replay.
        source: topic/partition/offset of the source record where that is known already.
    """

    # No slots: most items never set most of these, and one is made per record and step.
    outcome: Outcome = Outcome.RESULT
    document: Any = None
    read: Any = None
    scope: Scope = OUTSIDE
    trail: bytes = b""
    reason: Reason | None = None
    deadline: int = 0
    is_replay: bool = False
    source: bytes | None = None

    def __init__(self, record: Record, id_: bytes, value: bytes | None, place: int) -> None:
        self.record = record
        self.id = id_
        self.value = value
        self.place = place

    def copy(self, document: Any = None) -> "Item":
        """Return an item with another document in the same place."""
        made = Item(self.record, self.id, None, self.place)
        made.__dict__ |= self.__dict__
        made.value = made.read = None
        made.document = document
        return made

    @property
    def index(self) -> int:
        """Index among its siblings; of a child only."""
        return int(self.id.rsplit(b"/", 1)[1])

    @property
    def parent_id(self) -> bytes:
        """Record id of its parent; of a child only."""
        return self.id.rsplit(b"/", 1)[0]

    def __repr__(self) -> str:
        return f"Item({self.id.decode(errors='replace')}, {self.outcome})"


def from_source(records: Sequence[Record], deadline_ms: int | None) -> list[Item]:
    """Return the documents of records of a source topic; the deadline counts from timestamps."""
    ledger: Ledger = records[0].ledger
    id_prefix, source_prefix = ledger.id_prefix, ledger.source_prefix
    place = records[0].partition[1]
    items = []
    for record in records:
        number_ = b"%d" % record.offset
        value = record.value
        item = Item(record, id_prefix + number_, value, place)
        item.source = source_prefix + number_
        record.pending = 1
        if value is None:
            item.outcome = Outcome.TOMBSTONE
        if record.headers is not None:
            said = dict(record.headers).get(wire.DEADLINE)
            if said is not None:
                item.deadline = wire.number(said)
        items.append(item)
    if deadline_ms is not None:
        for item in items:
            item.deadline = item.deadline or item.record.timestamp + deadline_ms
    return items


VERSION: Final[Header] = (wire.VERSION, wire.FORMAT)
"""The first header of every record of headrace's own topics."""

_MOST_ID_BYTES: Final = 1_024
MOST_TRAIL_BYTES: Final = 16 * 1024
"""Longest list of the models that a document has passed; a topic has room for it."""

_OUTCOMES: Final[Mapping[bytes, Outcome]] = {
    wire.CLOSED: Outcome.DROPPED,  # of a partial, which is looked at by itself
    wire.DROPPED: Outcome.DROPPED,
    wire.FAILED: Outcome.FAILED,
    wire.EMPTY: Outcome.EMPTY,
}


def from_derived(record: Record, partitions: int = 2**31) -> Item:
    """Return the document, or the outcome, of a record that headrace wrote.

    Of the record's headers only those of the user are left: the item has the others.

    Args:
        record: The record.
        partitions: How many its topic has.

    Raises:
        ConfigError: It was written in a format that this version does not read.
        DecodeError: Its headers are none that headrace writes.
    """
    return _usual(record) or _unusual(record, partitions)


def _usual(record: Record) -> Item | None:
    """Return the document of a record with just the headers that every result has."""
    headers = record.headers
    if headers is None or len(headers) != 4 or record.value is None:
        return None
    version, (name, id_), (models, trail), (written, _) = headers
    if version != VERSION or name != wire.ID or models != wire.MODELS or written != wire.AT:
        return None
    if id_ is None or len(id_) > _MOST_ID_BYTES or (trail and len(trail) > MOST_TRAIL_BYTES):
        return None
    record.headers = None
    record.pending = 1
    item = Item(record, id_, record.value, record.partition[1])
    if trail:
        item.trail = trail
    return item


def _unusual(record: Record, partitions: int) -> Item:
    headers = dict(record.headers or ())
    require_version(record, headers)
    said = headers.get(wire.OUTCOME)
    if said is not None:
        if said not in _OUTCOMES:
            raise DecodeError(f"{wire.OUTCOME} is {said[:32]!r}, which headrace does not write")
        outcome = _OUTCOMES[said]
    else:
        outcome = Outcome.RESULT if record.value is not None else Outcome.TOMBSTONE
    id_ = headers.get(wire.ID)
    if id_ is None:
        ledger: Ledger = record.ledger
        id_ = ledger.id_prefix + b"%d" % record.offset
    item = Item(record, id_, record.value, record.partition[1])
    item.trail = headers.get(wire.MODELS) or b""
    if len(id_) > _MOST_ID_BYTES or len(item.trail) > MOST_TRAIL_BYTES:
        raise DecodeError(f"{wire.ID} or {wire.MODELS} is longer than headrace writes it")
    if outcome is not Outcome.RESULT:
        item.outcome = outcome
    record.pending = 1
    counts = headers.get(wire.CHILDREN)
    if counts is not None:
        item.scope = scope_of(counts, headers.get(wire.HOME) or b"")
        _require_place(item, partitions)
    if wire.REPLAY in headers:
        item.is_replay = True
    if wire.DEADLINE in headers:
        item.deadline = wire.number(headers[wire.DEADLINE])
    if outcome is Outcome.FAILED:
        texts = [
            (headers.get(name) or b"").decode(errors="replace")
            for name in (wire.ERROR_STEP, wire.ERROR_CLASS, wire.ERROR_MESSAGE)
        ]
        item.reason = Reason(*texts)
    record.headers = user_headers(record) or None
    return item


def _require_place(item: Item, partitions: int) -> None:
    """Refuse a child that cannot be.

    Raises:
        DecodeError: Its id does not name a child of as many splits, or a home is no partition.
    """
    indexes = item.id.split(b"/")[1:]
    if (
        len(indexes) != len(item.scope)
        or not all(map(_is_index, indexes, item.scope))
        or any(level.home >= partitions for level in item.scope)
    ):
        id_ = item.id.decode(errors="replace")
        raise DecodeError(f"{wire.CHILDREN} and {wire.HOME} do not fit the id {id_!r}")


def _is_index(text: bytes, level: Level) -> bool:
    return b"%d" % wire.number(text) == text and 0 < level.children <= MOST_CHILDREN


def user_headers(record: Record) -> list[Header]:
    """Return the headers that are not headrace's."""
    return [header for header in record.headers or () if not header[0].startswith(wire.PREFIX)]


def require_version(record: Record, headers: Mapping[str, bytes | None]) -> None:
    """Refuse what another version wrote.

    Raises:
        ConfigError: It is not of the format that this version reads.
    """
    version = headers.get(wire.VERSION, wire.FORMAT)
    if version != wire.FORMAT:
        raise ConfigError(
            f"{record.partition} at offset {record.offset} was written in wire format"
            f" {(version or b'').decode(errors='replace')!r}; this headrace reads"
            f" {wire.FORMAT.decode()!r} only: run the version that wrote it, or the newest"
        )


def scope_of(counts: bytes, homes: bytes) -> Scope:
    """Return the splits that the headers of a record name; what they lack counts as 0."""
    places = homes.split(b"/")
    return tuple(
        Level(wire.number(places[at]) if at < len(places) else 0, wire.number(count))
        for at, count in enumerate(counts.split(b"/"))
    )


def scope_headers(scope: Scope) -> list[Header]:
    """Return what a record says of the splits that it is inside of."""
    if not scope:
        return []
    return [
        (wire.CHILDREN, b"/".join([b"%d" % level.children for level in scope])),
        (wire.HOME, b"/".join([b"%d" % level.home for level in scope])),
    ]
