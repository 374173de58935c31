"""The ledger against a naive model: any interleaving of take, finish, commit and rebalance."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from headrace.core import offset_map
from headrace.core.ledger import Ledger, finish
from headrace.core.records import Committed, Record, TopicPartition
from headrace.core.runs import Runs
from headrace.core.steps import Ordering

PARTITION = TopicPartition("in", 0)
KEYS = [b"a", b"b", b"c", None]


class AnyInterleaving(RuleBasedStateMachine):
    """`stored` is Kafka: the committed offset, its metadata, and every durable offset."""

    @initialize(ordering=st.sampled_from(list(Ordering)))
    def begin(self, ordering: Ordering) -> None:
        self.ordering = ordering
        self.log: list[tuple[int, bytes | None]] = []  # delivered offsets and keys
        self.end = 0
        self.durable: set[int] = set()
        self.durable_order: list[tuple[int, bytes | None]] = []
        self.stored = Committed(None)
        self.nonce = 0
        self.open()

    def open(self) -> None:
        base = self.stored.offset or 0
        done = offset_map.decode(self.stored.metadata, base).finished
        done.drop_from(self.end)
        self.ledger = Ledger(PARTITION, self.stored, base, done, self.ordering)
        self.fetch_at = self.ledger.position
        self.taken: dict[int, Record] = {}
        self.finished: set[int] = set()
        self.draft = None

    @rule(gap=st.integers(0, 2), keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6))
    def append(self, gap: int, keys: list[bytes | None]) -> None:
        self.end += gap
        for key in keys:
            self.log.append((self.end, key))
            self.end += 1

    @rule(again=st.integers(0, 3))
    def fetch(self, again: int) -> None:
        start = max(self.fetch_at - again, 0)
        batch = [Record(PARTITION, o, k, b"v") for o, k in self.log if o >= start][:5]
        if not batch:
            return
        self.fetch_at = max(self.fetch_at, batch[-1].offset + 1)

        fresh = self.ledger.take(batch)

        for record in fresh:
            assert record.offset not in self.durable
            assert record.offset not in self.taken
            self.taken[record.offset] = record

    @precondition(lambda self: set(self.taken) - self.finished)
    @rule(data=st.data())
    def finish_some(self, data: st.DataObject) -> None:
        open_offsets = sorted(set(self.taken) - self.finished)
        chosen = data.draw(st.lists(st.sampled_from(open_offsets), unique=True, min_size=1))
        records = [self.taken[offset] for offset in chosen]

        finish(records, [()] * len(records))

        self.finished |= set(chosen)

    @precondition(lambda self: self.draft is None)
    @rule(most=st.integers(1, 8))
    def begin_commit(self, most: int) -> None:
        self.nonce += 1
        self.draft = self.ledger.draft(most, "w0", self.nonce)
        if self.draft is not None:
            assert len(self.draft.committed.metadata) <= offset_map.LIMIT

    def apply(self) -> None:
        self.stored = self.draft.committed
        for record in self.draft.records:
            assert record.offset not in self.durable
            self.durable.add(record.offset)
            self.durable_order.append((record.offset, record.key))

    @precondition(lambda self: self.draft is not None)
    @rule(end=st.sampled_from(["applied", "aborted", "crash applied", "crash aborted"]))
    def end_commit(self, end: str) -> None:
        if "applied" in end:
            self.apply()
        if end == "applied":
            self.ledger.settle()
        elif end == "aborted":
            self.ledger.undo()
        else:
            self.open()
        self.draft = None

    @precondition(lambda self: self.draft is not None)
    @rule(applied=st.booleans())
    def adopt_after_an_indefinite_end(self, applied: bool) -> None:
        if applied:
            self.apply()

        assert self.ledger.resolve(self.stored)

        self.draft = None

    @precondition(lambda self: self.draft is None)
    @rule()
    def another_member_committed_in_between(self) -> None:
        other = Ledger(
            PARTITION,
            self.stored,
            self.ledger.base,
            offset_map.decode(self.stored.metadata, self.ledger.base).finished,
            self.ordering,
        )
        batch = [Record(PARTITION, o, k, b"v") for o, k in self.log if o >= other.position][:1]
        if not batch or not (fresh := other.take(batch)):
            return
        finish(fresh, [()])
        self.nonce += 1
        self.draft = other.draft(9, "w1", self.nonce)
        self.apply()
        self.draft = None

        assert not self.ledger.resolve(self.stored)

        self.ledger.drop()
        self.open()

    @rule()
    def read_to_the_end(self) -> None:
        if self.fetch_at >= (self.log[-1][0] + 1 if self.log else 0):
            self.ledger.advance(self.end)
            self.fetch_at = max(self.fetch_at, self.end)

    @invariant()
    def a_restart_repeats_nothing_durable_and_skips_nothing_else(self) -> None:
        if not hasattr(self, "stored"):
            return
        base = self.stored.offset or 0
        finished = offset_map.decode(self.stored.metadata, base).finished
        for offset, _ in self.log:
            covered = offset < base or offset in finished
            assert covered == (offset in self.durable), (offset, base, finished)

    @invariant()
    def results_of_a_lane_leave_in_order(self) -> None:
        if not hasattr(self, "stored") or self.ordering is Ordering.NONE:
            return
        last: dict[bytes | None, int] = {}
        for offset, key in self.durable_order:
            if self.ordering is Ordering.KEY and key is None:
                continue
            lane = key if self.ordering is Ordering.KEY else b""
            assert offset > last.get(lane, -1)
            last[lane] = offset

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "stored"):
            return
        unsettled = [o for o in self.taken if o not in self.durable]
        if self.draft is None:
            assert self.ledger.in_flight == len(unsettled)
            blocked = len(self.finished - self.durable) - len(self.ledger.released)
            assert self.ledger.blocked == blocked


AnyInterleaving.TestCase.settings = settings(max_examples=200, stateful_step_count=40)
TestAnyInterleaving = AnyInterleaving.TestCase


def test_one_slow_record_among_many_is_two_runs() -> None:
    ledger = Ledger(PARTITION, Committed(None), 0, Runs(), Ordering.NONE)
    records = ledger.take([Record(PARTITION, o, None, b"") for o in range(20_000)])
    finish(records[1:], [()] * 19_999)

    draft = ledger.draft(20_000, "w0", 1)

    assert draft is not None
    assert (draft.base, len(draft.done)) == (0, 1)
    assert len(draft.committed.metadata) < 64


def test_a_restart_that_fetches_in_parts_repeats_nothing_durable() -> None:
    done = Runs([(2, 9)])
    ledger = Ledger(PARTITION, Committed(0, "m"), 0, done, Ordering.KEY)
    log = [Record(PARTITION, o, b"k", b"v") for o in range(12)]
    finish(ledger.take(log[:2]), [(), ()])
    ledger.draft(10, "w0", 1)
    ledger.settle()

    fresh = ledger.take(log[2:])

    assert ledger.base == 9
    assert [record.offset for record in fresh] == [9, 10, 11]


def test_what_does_not_fit_waits_in_memory_and_the_map_is_kept() -> None:
    ledger = Ledger(PARTITION, Committed(None), 0, Runs(), Ordering.NONE)
    import random

    rng = random.Random(7)
    records = ledger.take([Record(PARTITION, o, None, b"") for o in range(80_000)])
    chosen = [r for r in records[1:] if rng.random() < 0.5]
    finish(chosen, [()] * len(chosen))

    draft = ledger.draft(80_000, "w0", 1)

    assert draft is not None
    assert 0 < len(draft.records) < len(chosen)
    assert len(draft.committed.metadata) <= offset_map.LIMIT
    ledger.settle()
    assert len(ledger.released) == len(chosen) - len(draft.records)
