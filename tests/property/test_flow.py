"""Back-pressure against a naive model of it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headrace.core.flow import Flow, FlowLimits, Load
from headrace.core.offset_map import LIMIT

LIMITS = FlowLimits(
    worker_records=40, worker_bytes=4000, partition_records=20, partition_bytes=2000
)
LOADS = st.builds(Load, st.integers(0, 30), st.integers(0, 3000), st.integers(0, LIMIT))


class LoadsComeAndGo(RuleBasedStateMachine):
    """`self.paused` is what a client that obeys has paused."""

    def __init__(self) -> None:
        super().__init__()
        self.flow: Flow[str] = Flow(LIMITS)
        self.paused: set[str] = set()

    @rule(loads=st.dictionaries(st.sampled_from("abc"), LOADS))
    def update(self, loads: dict[str, Load]) -> None:
        was_paused = self.paused & loads.keys()

        to_pause, to_resume = self.flow.update(loads)

        assert was_paused.isdisjoint(to_pause)
        assert was_paused.issuperset(to_resume)
        self.paused = (was_paused | set(to_pause)) - set(to_resume)
        for partition, load in loads.items():
            parts = (load.records / 20, load.size_bytes / 2000, load.metadata_size / (0.75 * LIMIT))
            if max(parts) >= 1:
                assert partition in self.paused
            elif max(parts) <= 0.5:
                assert partition not in self.paused
            else:
                assert (partition in self.paused) == (partition in was_paused)

    @invariant()
    def knows_what_is_paused(self) -> None:
        assert self.flow.paused == self.paused


TestLoadsComeAndGo = LoadsComeAndGo.TestCase
TestLoadsComeAndGo.settings = settings(max_examples=60, stateful_step_count=20)


@given(st.integers(0, 100), st.integers(0, 10_000))
@example(40, 0)
@example(0, 4000)
@example(39, 3999)
def test_there_is_room_below_both_bounds_of_the_worker(records, size_bytes):
    assert Flow(LIMITS).has_room(records, size_bytes) == (records < 40 and size_bytes < 4000)


@pytest.mark.parametrize(
    ("load", "is_paused"),
    [
        (Load(19, 1999, 3071), False),
        (Load(20, 0), True),
        (Load(0, 2000), True),
        (Load(0, 0, 3072), True),
    ],
)
def test_each_bound_of_a_partition_pauses_it_alone(load, is_paused):
    change = Flow(LIMITS).update({"a": load, "b": Load(0, 0)})

    assert change.to_pause == (["a"] if is_paused else [])


def test_a_load_that_wavers_around_the_limit_pauses_once():
    flow = Flow(LIMITS)
    changes = [flow.update({"a": Load(records, 0)}) for records in (20, 19, 20, 11, 21, 10, 19)]

    assert [len(change.to_pause) for change in changes] == [1, 0, 0, 0, 0, 0, 0]
    assert [len(change.to_resume) for change in changes] == [0, 0, 0, 0, 0, 1, 0]
