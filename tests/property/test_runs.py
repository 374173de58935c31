"""`Runs` against a plain set of integers."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.core.runs import Runs

OFFSETS = st.integers(0, 60)
INTERVALS = st.tuples(OFFSETS, st.integers(-2, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def members(runs: Runs) -> set[int]:
    return {offset for start, stop in runs for offset in range(start, stop)}


class AnySequenceOfChanges(RuleBasedStateMachine):
    """`self.naive` holds what the runs should."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = Runs()
        self.naive: set[int] = set()

    @rule(interval=INTERVALS)
    def add(self, interval: tuple[int, int]) -> None:
        self.runs.add(*interval)
        self.naive |= set(range(*interval))

    @rule(intervals=st.lists(INTERVALS, max_size=5))
    def add_all(self, intervals: list[tuple[int, int]]) -> None:
        self.runs.add_all(intervals)
        self.naive |= {offset for interval in intervals for offset in range(*interval)}

    @rule(offsets=st.sets(OFFSETS, max_size=8))
    def add_offsets(self, offsets: set[int]) -> None:
        self.runs.add_offsets(sorted(offsets))
        self.naive |= offsets

    @rule(base=OFFSETS)
    def pop_prefix(self, base: int) -> None:
        expected = base
        while expected in self.naive:
            expected += 1

        assert self.runs.pop_prefix(base) == expected

        self.naive = {offset for offset in self.naive if offset >= expected}

    @rule(start=OFFSETS)
    def drop_below(self, start: int) -> None:
        self.runs.drop_below(start)
        self.naive = {offset for offset in self.naive if offset >= start}

    @rule(end=OFFSETS)
    def drop_from(self, end: int) -> None:
        self.runs.drop_from(end)
        self.naive = {offset for offset in self.naive if offset < end}

    @rule(interval=INTERVALS)
    def change_a_copy(self, interval: tuple[int, int]) -> None:
        copy = self.runs.copy()

        copy.add(*interval)

        assert members(copy) == self.naive | set(range(*interval))

    @invariant()
    def holds_the_same_offsets(self) -> None:
        assert members(self.runs) == self.naive
        assert self.runs.count == len(self.naive)
        assert self.naive == {offset for offset in range(-1, 90) if offset in self.runs}

    @invariant()
    def runs_are_sorted_and_never_touch(self) -> None:
        assert all(start < stop for start, stop in self.runs)
        assert all(before[1] < after[0] for before, after in pairwise(self.runs))
        assert len(self.runs) == len(list(self.runs))

    @invariant()
    def equals_the_runs_of_the_same_offsets(self) -> None:
        assert self.runs == Runs.from_offsets(sorted(self.naive))


TestAnySequenceOfChanges = AnySequenceOfChanges.TestCase
TestAnySequenceOfChanges.settings = settings(max_examples=60, stateful_step_count=25)


@given(st.sets(st.integers(-5, 200)))
def test_ascending_offsets_become_the_runs_that_hold_them(offsets):
    runs = Runs.from_offsets(sorted(offsets))

    assert members(runs) == offsets
    assert all(before[1] < after[0] for before, after in pairwise(runs))


class Unreadable(list):
    """Fails whoever walks over it."""

    def __iter__(self):
        raise AssertionError


@given(st.integers(0, 2**62), st.integers(1, 1000))
def test_contiguous_offsets_are_not_looked_at_one_by_one(first, count):
    offsets = Unreadable(range(first, first + count))

    assert list(Runs.from_offsets(offsets)) == [(first, first + count)]


def test_sets_that_differ_are_not_equal_and_the_runs_can_be_read_in_the_message():
    runs = Runs([(5, 7), (1, 3)])

    assert runs != Runs([(1, 3)])
    assert runs != Runs([(1, 3), (5, 8)])
    assert runs != [(1, 3), (5, 7)]
    assert repr(runs) == "Runs([(1, 3), (5, 7)])"
    assert list(runs.starts) == [1, 5]
    assert list(runs.stops) == [3, 7]
