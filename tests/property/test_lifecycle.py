"""A worker's phase moves on, never back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.lifecycle import FOLLOWERS, Lifecycle, Phase
from headrace.errors import InvariantError

ORDER = [Phase.STARTING, Phase.RUNNING, Phase.DRAINING, Phase.STOPPED, Phase.FAILED]


@given(st.lists(st.sampled_from(Phase), max_size=12))
def test_only_legal_moves_are_made_and_none_leads_back(wanted):
    lifecycle = Lifecycle()

    for phase in wanted:
        before = lifecycle.phase
        if phase is before:
            assert not lifecycle.move(phase)
        elif phase in FOLLOWERS[before]:
            assert lifecycle.move(phase)
        else:
            with pytest.raises(InvariantError, match=f"is {before} cannot be {phase}"):
                lifecycle.move(phase)

        assert ORDER.index(lifecycle.phase) >= ORDER.index(before)
        assert lifecycle.phase is (phase if phase in FOLLOWERS[before] else before)


def test_a_worker_starts_runs_drains_and_stops():
    lifecycle = Lifecycle()
    ready, live, over = [], [], []

    for phase in (Phase.STARTING, Phase.RUNNING, Phase.DRAINING, Phase.STOPPED):
        lifecycle.move(phase)
        ready.append(lifecycle.is_ready)
        live.append(lifecycle.is_live)
        over.append(lifecycle.is_over)

    assert ready == [False, True, False, False]
    assert live == [True, True, True, True]
    assert over == [False, False, False, True]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RUNNING, Phase.DRAINING])
def test_a_worker_can_fail_from_every_phase_that_is_not_over(phase):
    lifecycle = Lifecycle()
    lifecycle.move(phase)

    lifecycle.move(Phase.FAILED)

    assert lifecycle.is_over
    assert not lifecycle.is_live


def test_a_worker_that_never_ran_does_not_stop_without_draining():
    with pytest.raises(InvariantError, match="starting cannot be stopped"):
        Lifecycle().move(Phase.STOPPED)
