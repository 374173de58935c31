"""Where parts of a record, or children of a parent, wait for each other."""

import heapq
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core import wire
from headrace.core.joining import Group, Outcome, Part, Table
from headrace.core.ledger import Ledger, meet
from headrace.core.records import Outgoing, Record, TopicPartition
from headrace.core.steps import GatherStep, Step, Waiting
from headrace.errors import (
    DecodeError,
    RecordError,
    StrayPartError,
)
from headrace.runtime import partials
from headrace.runtime.assembly import Assembled, Assembly
from headrace.runtime.items import MOST_TRAIL_BYTES, Item, Level
from headrace.runtime.outputs import Cause, Outputs, reason_for

REPLAY_GRACE_S = 30.0
"""How long a replayed part waits for the parts it belongs to, which come another way."""

REPLAY_PATIENCE_S = 600.0
"""How long a replay that brings no part waits for one: all of them may have met before it came."""

FIRST_SPILL_S = 1.0
"""Pause before parts that were spilled come back; it doubles every time."""

SLOWEST_SPILL_S = 60.0
"""Longest such pause."""

_MOST_SPILLS = 62


@dataclass(frozen=True, slots=True)
class Tools:
    """What a collector works with.

    Attributes:
        outputs: Builds the records of its step.
        decode: Bytes to a document.
        encode: A document to bytes.
        now: Seconds on a clock that never goes back.
        now_ms: Wall clock, ms since the epoch.
        ended: Told of a record that so many of its documents ended, and what they leave behind.
        counted: Takes an error that made a dead letter.
    """

    outputs: Outputs
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    now: Callable[[], float]
    now_ms: Callable[[], int]
    ended: Callable[[Record, int, Sequence[Outgoing]], None]
    counted: Callable[[Exception], None]


class Collector:
    """The parts that wait at one step, and what comes of them.

    A part waits in memory and its record stays unfinished: after a crash it is simply read again.
    All records of a group finish in one transaction.

    Attributes:
        late: Parts that came after their id had ended.
    """

    def __init__(self, step: Step, tools: Tools, topics: Sequence[Collection[str]]) -> None:
        """Wait for the parts of a step; `topics` are those that reach each inlet, in the stage."""
        self.late = 0
        self._topics = topics
        self._step = step
        self._tools = tools
        gather = step if isinstance(step, GatherStep) else None
        join = step.join.waiting if step.join is not None else Waiting()
        self._waiting = join if gather is None else gather.waiting
        self._is_gather = gather is not None
        self._kind = b"join" if gather is None else b"gather"
        self._table: Table[Item] = Table(len(step.inlets))
        self._anchors: dict[Group[Item], Record] = {}
        self._due: list[tuple[float, int, Group[Item]]] = []
        self._order = itertools.count()
        self._assembly = Assembly(step, tools.decode, tools.encode)

    @property
    def waiting(self) -> int:
        """Ids whose parts have not all come."""
        return len(self._table)

    def due_at(self) -> float | None:
        """Return when `expire` is to be called next, None for never."""
        while self._due and not self._table.holds(self._due[0][2]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    # Parts come

    def add(self, items: Sequence[Item], inlet: int) -> list[Item]:
        """Take parts from an inlet; return what may go on."""
        ready: list[Item] = []
        for item in items:
            if item.record.ledger.is_dropped:
                continue  # its record is read again, and meets the others by that
            id_, index, count = item.id, None, None
            if self._is_gather and len(item.scope) > self._step.level:
                id_, index, count = item.parent_id, item.index, item.scope[-1].children
            part = Part(inlet, index, item.outcome, item, len(item.value or b""), item.is_replay)
            group = self._table.open(item.record.partition[1], id_, self._tools.now())
            if self._insert(group, part, count):
                ready += self._settle(group)
        return ready

    def restore(self, item: Item, headers: Mapping[str, bytes | None]) -> list[Item]:
        """Take parts that come back from the retry topic; return what may go on.

        Of parts that a replay sends back those that failed count as missing: their replays come.
        """
        if item.record.ledger.is_dropped:
            return []
        try:
            is_mark = headers.get(wire.OUTCOME) == wire.CLOSED
            partial = partials.loaded(item, self._step, documents=not is_mark)
        except DecodeError as error:
            letter = self._letter(item, item.value or b"", error)
            self._tools.ended(item.record, 1, [letter])
            return []
        group = self._table.open(item.record.partition[1], item.id, self._tools.now())
        group.others.append(item)
        _wait(item, 0, 1, holds=False)
        spills = min(wire.number(headers.get(wire.ATTEMPT)) - 1, _MOST_SPILLS)
        if is_mark:
            self._remember(group, partial)
        elif not item.is_replay or spills > 0:
            group.spills = max(group.spills, spills)
            self._insert_all(group, partial.parts, partial.count)
            self._take_over(group, partial)
        elif partial.is_stray:
            for part in partial.parts:
                part.is_replay = True
            self._insert_all(group, partial.parts, partial.count)
        else:
            self._begin_again(group)
            came = [part for part in partial.parts if part.outcome is not Outcome.FAILED]
            self._insert_all(group, came, partial.count)
        self._arm(group)
        return self._settle(group) if self._table.is_complete(group) else []

    def _remember(self, group: Group[Item], partial: partials.Partial) -> None:
        """Let a group be one that ended early: what came of it before the marker is late."""
        if not group.is_closed:
            for part in group.parts.values():
                _hold(part.content, -part.size, -1)
        self._take_over(group, partial)
        self._table.remember(group, partial.parts, partial.count)
        self._anchors.pop(group, None)

    def _begin_again(self, group: Group[Item]) -> None:
        """Let a group wait anew for what a replay brings, even if it ended early before."""
        if group.is_marked:
            self._table.reopen(group)
            for part in group.parts.values():
                _hold(part.content, part.size, 1)
        group.is_expected = True
        group.since = self._tools.now()

    def _take_over(self, group: Group[Item], partial: partials.Partial) -> None:
        """Let a group have waited for as long as the parts that come back have."""
        tools = self._tools
        group.is_expected = True
        group.since = min(group.since, tools.now() - (tools.now_ms() - partial.since_ms) / 1e3)

    def _insert_all(
        self, group: Group[Item], parts: Sequence[Part[Item]], count: int | None
    ) -> None:
        """Put parts that came in one record into their group."""
        for part in parts:
            part.content.record.pending += 1
            self._insert(group, part, count)

    def _insert(self, group: Group[Item], part: Part[Item], count: int | None) -> bool:
        """Put a part into its group; return whether the group is complete."""
        was_empty, was_expected, spent = not group.parts, group.is_expected, len(group.spent)
        try:
            self._table.add(group, part, count)
        except StrayPartError as error:
            if not (group.parts or group.others or group.is_closed):
                self._table.close(group)
            self._give_up(part, group, count, error)
            return False
        _wait(part.content, part.size, 1, holds=not group.is_closed)
        for before in group.spent[spent:]:
            _hold(before.content, -before.size, -1)
        if was_empty and not group.is_closed:
            group.since = self._tools.now()
        if was_empty or group.is_expected is not was_expected:
            self._arm(group)
        return self._table.is_complete(group)

    def _arm(self, group: Group[Item]) -> None:
        due = self._due_at(group)
        if due is not None:
            heapq.heappush(self._due, (due, next(self._order), group))

    def _due_at(self, group: Group[Item]) -> float | None:
        if group.is_closed:
            return group.since + self._waiting.late_after_s if group.is_marked else None
        if not group.parts:
            return group.since + REPLAY_PATIENCE_S
        if not group.is_expected:
            return group.since + REPLAY_GRACE_S
        timeout_s = self._waiting.timeout_s
        return None if timeout_s is None else group.since + timeout_s

    # Groups end

    def expire(self) -> list[Item]:
        """End what has waited long enough; return what may go on."""
        ready: list[Item] = []
        now = self._tools.now()
        while (due := self.due_at()) is not None and due <= now:
            group = heapq.heappop(self._due)[2]
            due = self._due_at(group)
            if due is None:
                continue
            if due > now:
                self._arm(group)
            elif group.is_closed:
                ready += self._settle(group)
            elif not (group.parts and group.is_expected):
                self._orphan(group)
            else:
                ready += self._time_out(group)
        return ready

    def waits_for(self, partitions: Collection[TopicPartition]) -> bool:
        """Whether a group waits for a part that would come through one of the partitions."""
        return any(
            self.lacks(group, partition)
            for group in self._table
            if not group.is_closed
            for partition in partitions
        )

    def lacks(self, group: Group[Item], partition: TopicPartition) -> bool:
        """Whether a group waits for a part that would come through a partition."""
        topic, place = partition
        return place == group.place and any(
            topic in topics and self._table.lacks(group, inlet)
            for inlet, topics in enumerate(self._topics)
        )

    def open_at(self, place: int) -> int:
        """Return how many ids of a partition number wait here."""
        return self._table.open_at(place)

    @property
    def groups(self) -> list[Group[Item]]:
        """Groups that may be spilled: neither what has ended nor what ends soon by itself."""
        groups = (group for group in self._table if group.parts and not group.is_closed)
        return [group for group in groups if group.is_expected]

    def spilled(self, group: Group[Item]) -> Outgoing | None:
        """Return the record that holds a group until there may be room; None if none can."""
        tools = self._tools
        self._assembly.open(group)
        delay_s = min(FIRST_SPILL_S * 2.0**group.spills, SLOWEST_SPILL_S)
        row = tools.outputs.partial(
            self._base(group),
            self._dumped(group, documents=True),
            self._kind,
            not_before_ms=tools.now_ms() + round(delay_s * 1e3),
            attempt=group.spills + 2,
        )
        return row if tools.outputs.fits(row) else None

    def spill(self, group: Group[Item], row: Outgoing) -> None:
        """Write a group to the retry topic, as the record that `spilled` returned."""
        items = self._leave(group)
        self._tools.ended(meet([item.record for item in items]), len(items), [row])

    def forget_dropped(self) -> None:
        """Let go of parts whose ledgers were dropped: those they wait for were dropped, too."""
        for group in self._table:
            records = [item.record for item in group.contents]
            if group in self._anchors:
                records.append(self._anchors[group])
            if any(record.ledger.is_dropped for record in records):
                self._anchors.pop(group, None)
                self._table.close(group)

    def _settle(self, group: Group[Item]) -> list[Item]:
        """End a complete group, or one that was closed and for which nothing more is waited."""
        items = self._leave(group)
        leader = meet([item.record for item in items])
        if group.is_closed:
            self.late += len(group.parts)
            self._tools.ended(leader, len(items), [])
            return []
        return self._conclude(group, len(items), [])

    def _time_out(self, group: Group[Item]) -> list[Item]:
        """End a group without the parts that have not come, and remember that it ended."""
        items = self._leave(group)
        leader = meet([item.record for item in items])
        value = self._dumped(group, documents=False)
        closed = self._tools.outputs.closed(self._base(group), value, self._kind)
        made = self._conclude(group, len(items), [closed])
        # Until the marker is read back, only this remembers that the id has ended.
        ghost = self._table.open(group.place, group.id, group.since)
        self._table.end_early(ghost)
        ghost.count, ghost.told = group.count, set(group.parts)
        self._anchors[ghost] = leader
        return made

    def _conclude(self, group: Group[Item], ending: int, rows: list[Outgoing]) -> list[Item]:
        """Return the one that goes on in place of all that end."""
        base = self._base(group)
        try:
            made = self._assembly.made_of(group, base)
        except RecordError as error:
            base.outcome, base.reason = Outcome.FAILED, reason_for(self._step.name, error)
            made = Assembled(base, error)
        if made.error is not None:
            rows.append(self._letter(base, self._dumped(group, documents=True), made.error))
        self._tools.ended(base.record, ending - 1, rows)
        return [made.item]

    def _orphan(self, group: Group[Item]) -> None:
        """Give up replayed parts whose id nobody waits for, and replays that bring none."""
        self._leave(group)
        for item in (*group.others, *(part.content for part in group.spent)):
            self._tools.ended(item.record, 1, [])
        for part in group.parts.values():
            if part.outcome in (Outcome.DROPPED, Outcome.FAILED):
                # Nothing of it is lost: why it failed stands in a dead letter already.
                self._tools.ended(part.content.record, 1, [])
            else:
                text = "its replay found nothing that waits for it: the record went on without it"
                self._give_up(part, group, group.count, StrayPartError(text))

    def _give_up(
        self, part: Part[Item], group: Group[Item], count: int | None, error: RecordError
    ) -> None:
        """Dead-letter a part that has no place in its group, so that it comes back as a part."""
        item = part.content
        alone: Group[Item] = Group(group.place, group.id, self._tools.now())
        alone.count, alone.parts = count, {0: part}
        self._assembly.open(alone)
        if item.document is None and item.value is not None:
            now = self._tools.now_ms()
            self._tools.counted(error)
            rows = [self._tools.outputs.dead_letter(item, Cause(error, 0, now, now))]
        else:
            value = self._dumped(alone, documents=True, is_stray=True)
            rows = [self._letter(self._base(alone), value, error)]
        self._tools.ended(item.record, 1, rows)

    def _letter(self, base: Item, value: bytes, error: Exception) -> Outgoing:
        """Return the dead letter of parts of a record."""
        now = self._tools.now_ms()
        self._tools.counted(error)
        return self._tools.outputs.partial_letter(
            base, value, self._kind, Cause(error, 0, now, now)
        )

    def _leave(self, group: Group[Item]) -> list[Item]:
        """Forget a group; return everything that ends with it."""
        self._table.close(group)
        self._anchors.pop(group, None)
        for part in group.parts.values():
            _wait(part.content, -part.size, -1, holds=not group.is_closed)
        for part in group.spent:
            _wait(part.content, -part.size, -1, holds=False)
        for item in group.others:
            _wait(item, 0, -1, holds=False)
        return group.contents

    def _dumped(self, group: Group[Item], *, documents: bool, is_stray: bool = False) -> bytes:
        age_ms = round((self._tools.now() - group.since) * 1e3)
        since_ms = self._tools.now_ms() - age_ms
        return partials.dumped(group, self._step, since_ms, documents=documents, is_stray=is_stray)

    def _base(self, group: Group[Item]) -> Item:
        """Return an item of the group's own id: of the carrier where that has come."""
        carrier = self._step.join.carrier if self._step.join is not None else 0
        parts = [*group.parts.values()]
        first = min(
            parts,
            key=lambda each: (each.index or 0, each.inlet != carrier, each.inlet),
        )
        base = first.content.copy()
        base.is_replay = any(part.content.is_replay for part in parts)
        base.trail = trail_of([part.content.trail for part in parts])
        if first.index is not None:
            home: Level = first.content.scope[-1]
            base.id, base.scope, base.place = group.id, first.content.scope[:-1], home.home
        return base


def trail_of(trails: Sequence[bytes]) -> bytes:
    """Return the models that several parts have passed, each once, in their order."""
    distinct = [trail for trail in dict.fromkeys(trails) if trail]
    if len(distinct) < 2:
        return distinct[0] if distinct else b""
    models = b", ".join(dict.fromkeys(m for trail in distinct for m in trail.split(b", ")))
    # A model may call every answer another version, and a parent has thousands of children.
    return (
        models
        if len(models) <= MOST_TRAIL_BYTES
        else models[:MOST_TRAIL_BYTES].rpartition(b", ")[0]
    )


def _wait(item: Item, size: int, count: int, *, holds: bool) -> None:
    """Count a document that begins or ends to wait; late parts and marks hold nothing."""
    ledger: Ledger = item.record.ledger
    ledger.waiting += count
    ledger.waiting_bytes += size
    if holds:
        _hold(item, size, count)


def _hold(item: Item, size: int, count: int) -> None:
    ledger: Ledger = item.record.ledger
    ledger.held += count
    ledger.held_bytes += size
