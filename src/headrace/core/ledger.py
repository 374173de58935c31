"""What became of the records of one assigned partition, from taken to durable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.core import offset_map
from headrace.core.records import Committed, Output, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import Ordering
from headrace.errors import InvariantError


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit that was prepared and whose end is not known yet.

    Attributes:
        records: Records that become durable with it.
        committed: What Kafka stores if it succeeds.
        base: `committable` after it.
        done: Finished offsets above `base` after it.
    """

    records: Sequence[Record]
    committed: Committed
    base: int
    done: Runs


class Ledger:
    """The records of one partition that this worker took and that are not durable yet.

    Results finish in any order; `finish` releases them by the ordering rule; a `Draft` of
    released results becomes durable with one transaction. Kafka stores `committable` and, in
    the commit's metadata, every finished offset above it, so a restart repeats nothing that is
    durable. An offset that was never delivered (compacted, aborted, a transaction marker) goes
    with the record after it: it needs no run of its own in the map.

    Every assignment that does not adopt a ledger starts a new one, so a late result finds its
    own ledger dropped: identity is the fence. `epoch` only tells which fetched batches are older
    than the current assignment.

    Attributes:
        partition: The partition.
        position: Next offset to take.
        base: `committable`: lowest offset that is not durably finished.
        epoch: Assignment epoch that last began or adopted it.
        is_owned: Whether its partition is assigned to this member now.
        is_dropped: Whether it was given up; late results for it mean nothing.
        is_committing: Whether its draft may still become durable: a transaction is under way, or
            ended in a way nobody knows and its producer has not been replaced.
        must_pin: Whether to commit where it began without waiting for a record: nothing is
            committed, and a restart would begin elsewhere (at the latest, by then a later one).
        released: Finished records that may leave, in the order in which they must.
        in_flight: Records taken and not durable.
        in_flight_bytes: Bytes of their values.
        blocked: Finished records that wait for an earlier one of their lane.
        waiting: Records that wait at a join or gather for parts to come, or for late ones.
        waiting_bytes: Bytes of those.
        held: How many of them hold a document.
        held_bytes: Bytes of those.
        id_prefix: `<topic>-<partition>-`, for record ids.
        source_prefix: `<topic>/<partition>/`, for provenance.
    """

    __slots__ = (
        "_done",
        "_draft",
        "_drives",
        "_gaps",
        "_last",
        "_ordering",
        "_tails",
        "_unseen",
        "base",
        "blocked",
        "epoch",
        "held",
        "held_bytes",
        "id_prefix",
        "in_flight",
        "in_flight_bytes",
        "is_committing",
        "is_dropped",
        "is_owned",
        "must_pin",
        "partition",
        "position",
        "released",
        "source_prefix",
        "waiting",
        "waiting_bytes",
    )

    def __init__(
        self,
        partition: TopicPartition,
        committed: Committed,
        position: int,
        done: Runs,
        ordering: Ordering,
        drives: Callable[[Record], bool] | None = None,
    ) -> None:
        """Start at `position`, above which the offsets in `done` are durable already.

        `committed` is what Kafka has stored: the ledger may be adopted while that is so. `drives`
        says which records have a lane; the others follow one that has. None: all of them.
        """
        self.partition = partition
        self.base = done.pop_prefix(position)
        self.position = self.base
        self.epoch = 0
        self.is_owned = True
        self.is_dropped = False
        self.is_committing = False
        self.must_pin = False
        self.released: list[Record] = []
        self.in_flight = 0
        self.in_flight_bytes = 0
        self.blocked = 0
        self.waiting = 0
        self.waiting_bytes = 0
        self.held = 0
        self.held_bytes = 0
        self.id_prefix = f"{partition.topic}-{partition.partition}-".encode()
        self.source_prefix = f"{partition.topic}/{partition.partition}/".encode()
        self._done = done
        self._last = committed
        self._draft: Draft | None = None
        self._drives = drives
        self._gaps: dict[int, int] = {}
        self._ordering = ordering
        self._tails: dict[bytes | None, Record] = {}
        self._unseen: int | None = None

    @property
    def runs(self) -> int:
        """Number of runs of durable offsets above `base`."""
        return len(self._done)

    @property
    def metadata_size(self) -> int:
        """Characters of commit metadata that Kafka holds for it; at most `offset_map.LIMIT`."""
        return len(self._last.metadata)

    @property
    def map_load(self) -> int:
        """Characters of commit metadata that finishing what was taken gives back.

        0 while offsets are read again that were durable before a restart: the map then shrinks
        only by reading on.
        """
        is_behind = bool(self._done) and self.position < self._done.stops[-1]
        return 0 if is_behind else self.metadata_size

    @property
    def has_draft(self) -> bool:
        """Whether a commit is under way, or ended in a way nobody knows."""
        return self._draft is not None

    @property
    def lags_behind_position(self) -> bool:
        """Whether a commit without records would move the committed offset."""
        return self.in_flight == 0 and (self._last.offset or 0) < self.position

    def take(self, records: Sequence[Record]) -> Sequence[Record]:
        """Take fetched records, in offset order; return those that are not durable already.

        Records below `position` are ignored: the partition was read again from there.
        """
        first, last = records[0].offset, records[-1].offset
        is_dense = first == self.position and last - first + 1 == len(records)
        if not is_dense or len(self._done) or self._unseen is not None:
            records = self._screen(records)
            if not records:
                return records
        self.position = max(self.position, last + 1)
        self.in_flight += len(records)
        self.in_flight_bytes += sum([len(r.value) for r in records if r.value])
        self._line_up(records)
        return records

    def _screen(self, records: Sequence[Record]) -> Sequence[Record]:
        """Leave out what is durable; remember where offsets were never delivered."""
        fresh: list[Record] = []
        position, done, gaps = self.position, self._done, self._gaps
        seen = position if self._unseen is None else self._unseen
        for record in records:
            offset = record.offset
            if offset < position:
                continue
            if offset in done:
                done.add(seen, offset)
            else:
                fresh.append(record)
                if offset != seen:
                    gaps[offset] = seen
            position = seen = offset + 1
            self._unseen = None
        self.position = position
        return fresh

    def _line_up(self, records: Sequence[Record]) -> None:
        """Put records behind the ones of their lane."""
        if self._ordering is Ordering.NONE:
            for record in records:
                record.ledger = self
                record.output = record.following = record.leader = None
                record.followers = record.outputs = None
                record.pending = 0
                record.waits = record.has_lane = False
            return
        tails = self._tails
        by_key = self._ordering is Ordering.KEY
        drives = self._drives
        for record in records:
            record.ledger = self
            record.output = record.following = record.leader = None
            record.followers = record.outputs = None
            record.pending = 0
            key = record.key if by_key else b""
            if key is None or not (drives is None or drives(record)):
                record.waits = record.has_lane = False
                continue
            record.has_lane = True
            tail = tails.get(key)
            if tail is None:
                record.waits = False
            else:
                record.waits = True
                tail.following = record
            tails[key] = record

    def release(self, record: Record) -> None:
        """Release a finished record that waits for nothing, and all that waited for it only."""
        released, tails = self.released, self._tails
        key = record.key if self._ordering is Ordering.KEY else b""
        while True:
            released.append(record)
            if record.followers is not None:
                for follower in record.followers:
                    follower.ledger.released.append(follower)
            following = record.following
            if following is None:
                if tails.get(key) is record:
                    del tails[key]
                return
            following.waits = False
            if following.output is None:
                return
            _count_blocked(following, -1)
            record = following

    def advance(self, position: int) -> None:
        """The log has been read up to `position`; what lies before was never delivered."""
        if position > self.position:
            if self._unseen is None:
                self._unseen = self.position
            self.position = position

    def draft(self, most: int, slot: str, nonce: int) -> Draft | None:
        """Prepare the commit of up to `most` released records, as many as fit into the map.

        Returns None when there is nothing to commit, or when nothing fits until a lower offset
        is finished. A draft must be settled or undone before the next one.

        Raises:
            InvariantError: A draft is open already.
        """
        records: Sequence[Record] = self.released[:most]
        if not (records or self.must_pin or self.lags_behind_position):
            return None
        draft = self.draft_of(records, slot, nonce)
        if draft is None:
            draft = self._largest_that_fits(records, slot, nonce)
            self._draft = draft
            self.is_committing = draft is not None
        return draft

    def draft_of(self, records: Sequence[Record], slot: str, nonce: int) -> Draft | None:
        """Prepare the commit of just these released records; None if they do not fit the map.

        The sequence must not change afterwards: what is released meanwhile is not durable with it.

        Raises:
            InvariantError: A draft is open already.
        """
        if self._draft is not None:
            raise InvariantError(f"{self.partition} has an open draft")
        draft = self._encode(records, slot, nonce)
        self._draft = draft
        self.is_committing = draft is not None
        return draft

    def _encode(self, records: Sequence[Record], slot: str, nonce: int) -> Draft | None:
        base, done = self._after(records)
        metadata = offset_map.encode(slot, nonce, base, done)
        if len(metadata) > offset_map.LIMIT:
            return None
        return Draft(records, Committed(base, metadata), base, done)

    def _after(self, records: Sequence[Record]) -> tuple[int, Runs]:
        """Return `committable` and the finished offsets above it once `records` are durable."""
        done = self._done.copy()
        offsets = sorted([record.offset for record in records])
        done.add_all(Runs.from_offsets(offsets))
        if self._gaps:
            for offset in self._gaps.keys() & offsets:
                done.add(self._gaps[offset], offset)
        base = self.position if len(records) == self.in_flight else self.base
        return done.pop_prefix(base), done

    def _largest_that_fits(self, records: Sequence[Record], slot: str, nonce: int) -> Draft | None:
        """Search the lowest offsets that fit: a prefix by offset breaks no lane."""
        offsets = sorted(record.offset for record in records)
        low, high, best = 0, len(offsets), None
        while high - low > 1:
            middle = (low + high) // 2
            bound = offsets[middle - 1]
            found = self._encode([r for r in records if r.offset <= bound], slot, nonce)
            if found is None:
                high = middle
            else:
                low, best = middle, found
        return best

    def settle(self) -> Sequence[Record]:
        """The drafted commit is durable: forget its records and return them."""
        draft = self._take_draft()
        gone = draft.records
        if len(gone) == len(self.released):
            self.released = []
        elif list(gone) == self.released[: len(gone)]:
            del self.released[: len(gone)]
        else:
            durable = {id(record) for record in gone}
            self.released = [r for r in self.released if id(r) not in durable]
        if self._gaps:
            for record in gone:
                self._gaps.pop(record.offset, None)
        self.in_flight -= len(gone)
        self.in_flight_bytes -= sum([len(r.value) for r in gone if r.value])
        self.must_pin = False
        self.base, self._done, self._last = draft.base, draft.done, draft.committed
        # After a restart, offsets that were durable already may follow that were not read again
        # yet: `base` jumps over them and the map forgets them, so they must not be taken.
        self.position = max(self.position, self.base)
        return gone

    def undo(self) -> None:
        """Nothing of the drafted commit is visible; its records are released as before."""
        self._take_draft()

    def can_resolve(self, stable: Committed) -> bool:
        """Whether the ledger may go on with what Kafka has stored; see `resolve`."""
        return stable == self._last or (self._draft is not None and stable == self._draft.committed)

    def resolve(self, stable: Committed) -> bool:
        """Compare with what Kafka has stored; return whether the ledger may go on.

        A commit whose end nobody knew is settled or undone by its nonce. False means that
        somebody else committed since: the ledger must be dropped.
        """
        if self._draft is not None and stable == self._draft.committed:
            self.settle()
            return True
        if stable != self._last:
            return False
        if self._draft is not None:
            self.undo()
        return True

    def drop(self) -> None:
        """Give it up: whatever still comes for it is ignored."""
        self.is_owned = False
        self.is_dropped = True
        self.released = []
        self._tails.clear()

    def _take_draft(self) -> Draft:
        draft = self._draft
        if draft is None:
            raise InvariantError(f"{self.partition} has no draft")
        self._draft = None
        self.is_committing = False
        return draft


def finish(records: Sequence[Record], outputs: Sequence[Output]) -> None:
    """Finish records with what they leave behind, and release what may leave.

    Records may be of several partitions and in any order. Those of a dropped ledger are ignored.
    Followers finish with their leader, and are released with it.

    Raises:
        InvariantError: A record was finished before.
    """
    for record, output in zip(records, outputs, strict=True):
        ledger: Ledger = record.ledger
        if record.output is not None:
            if ledger.is_dropped:
                continue
            raise InvariantError(f"{record!r} was finished twice")
        record.output = output
        if record.followers is not None:
            for follower in record.followers:
                follower.output = ()
        if record.waits:
            _count_blocked(record, 1)
        elif not ledger.is_dropped:
            ledger.release(record)


def _count_blocked(record: Record, change: int) -> None:
    """Count a finished record that waits for an earlier one.

    Those that follow it only wait: what the earlier one still needs may come behind them.
    """
    record.ledger.blocked += change
    if record.followers is not None:
        for follower in record.followers:
            follower.ledger.waiting += change
            follower.ledger.waiting_bytes += change * len(follower.value or b"")


def leader_of(record: Record) -> Record:
    """Return the record that a record finishes with, itself if with none."""
    while record.leader is not None:
        record = record.leader
    return record


def meet(records: Sequence[Record]) -> Record:
    """Let records finish together: all of them follow the one that has a lane; return it.

    What they left behind and what is on its way are the leader's from then on. They must have the
    same partition number, be of living ledgers and not be finished.

    Raises:
        InvariantError: Several have a lane, and could wait for each other for ever.
    """
    leaders = list({id(leader): leader for leader in map(leader_of, records)}.values())
    if len(leaders) == 1:
        return leaders[0]
    laned = [record for record in leaders if record.has_lane]
    if len(laned) > 1:
        raise InvariantError(f"{laned[0]!r} and {laned[1]!r} meet, and both have a lane")
    first = laned[0] if laned else leaders[0]
    for record in leaders:
        if record is not first:
            _follow(record, first)
    return first


def _follow(record: Record, leader: Record) -> None:
    record.leader = leader
    followers = leader.followers
    if followers is None:
        followers = leader.followers = []
    followers.append(record)
    if record.followers is not None:
        followers += record.followers
        record.followers = None
    if record.outputs is not None:
        leader.outputs = (leader.outputs or []) + record.outputs
        record.outputs = None
    leader.pending += record.pending
    record.pending = 0
