"""Batches form as promised."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.core.batching import Batcher

MAX_SIZE = 5
MAX_WAIT_S = 2.0


class RecordsComeAndGo(RuleBasedStateMachine):
    """`self.waiting` holds (item, arrival) pairs, one per record."""

    def __init__(self) -> None:
        super().__init__()
        self.batcher: Batcher[int] = Batcher(MAX_SIZE, MAX_WAIT_S)
        self.waiting: list[tuple[int, float]] = []
        self.now = 0.0
        self.made = 0

    @rule(count=st.integers(0, 12))
    def arrive(self, count: int) -> None:
        items = range(self.made, self.made + count)
        self.made += count

        self.batcher.add(items, self.now)

        self.waiting += [(item, self.now) for item in items]

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(free_slots=st.integers(0, 2), busy=st.integers(0, 2))
    def take(self, free_slots: int, busy: int) -> None:
        may_leave = free_slots and (
            not busy
            or len(self.waiting) >= MAX_SIZE
            or any(self.now >= arrived + MAX_WAIT_S for _, arrived in self.waiting)
        )
        expected = [item for item, _ in self.waiting[:MAX_SIZE]] if may_leave else []

        assert (self.batcher.take(self.now, free_slots, busy) or []) == expected

        del self.waiting[: len(expected)]

    @rule(modulus=st.integers(1, 4))
    def some_are_given_up(self, modulus: int) -> None:
        self.batcher.discard(lambda item: item % modulus == 0)

        self.waiting = [each for each in self.waiting if each[0] % modulus]

    @invariant()
    def knows_how_many_wait_and_when_the_first_is_due(self) -> None:
        assert len(self.batcher) == len(self.waiting)
        due = [arrived + MAX_WAIT_S for _, arrived in self.waiting]
        assert self.batcher.due_at() == min(due, default=None)


TestRecordsComeAndGo = RecordsComeAndGo.TestCase
TestRecordsComeAndGo.settings = settings(max_examples=60, stateful_step_count=30)


def test_an_idle_model_gets_a_single_record_at_once():
    batcher = Batcher(64, 60.0)

    batcher.add(["only"], 0.0)

    assert batcher.take(0.0, free_slots=1, busy=0) == ["only"]
    assert batcher.take(0.0, free_slots=1, busy=0) is None


def test_a_batch_is_due_at_the_moment_that_is_announced():
    batcher = Batcher(64, 0.005)
    batcher.add(["one"], 0.1)
    due_at = batcher.due_at()

    assert batcher.take(due_at - 1e-9, free_slots=1, busy=1) is None
    assert batcher.take(due_at, free_slots=1, busy=1) == ["one"]


def test_once_batching_is_stopped_records_leave_one_by_one():
    batcher = Batcher(64, 1.0)
    batcher.add(["first", "second"], 0.0)

    batcher.stop_batching()

    assert batcher.take(0.0, free_slots=1, busy=1) == ["first"]
    assert batcher.take(0.0, free_slots=1, busy=1) == ["second"]


class Counting(list):
    """Counts the records that are copied out of it."""

    copied = 0

    def __getitem__(self, index):
        Counting.copied += len(range(*index.indices(len(self))))
        return super().__getitem__(index)


def test_taking_a_batch_costs_the_batch_and_not_what_waits():
    batcher = Batcher(64, 1.0)
    batcher.add(Counting(range(100_000)), 0.0)

    batcher.take(0.0, free_slots=1, busy=0)

    assert Counting.copied == 64
