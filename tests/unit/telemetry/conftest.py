"""A stage whose state a test decides."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from headrace.ports import PartitionStatus, StageStatus

_RUNNING = StageStatus(
    pipeline="tweets",
    stage="translate",
    step="translate",
    model="translator",
    slot="0",
    phase="running",
    is_assigned=True,
    paused_reason="",
    paused_s=0.0,
    slots=4,
    busy=2,
    in_flight=7,
    counters={"read": 12, "written": 5},
    errors={"InferenceTimeoutError": 3},
    model_latency=([(0.1, 2), (1.0, 4), (float("inf"), 5)], 3.5),
    commit_latency=([(float("inf"), 0)], 0.0),
    partitions=[PartitionStatus("tweets", 3, 100, 110, 7, 1, 40)],
)


class Stage:
    """A status source; `state` may be replaced at any time."""

    def __init__(self, state: StageStatus) -> None:
        self.state = state

    def status(self) -> StageStatus:
        return self.state


@pytest.fixture
def stage() -> Callable[..., Stage]:
    """Return a function that makes a running stage, less what it is told: `stage(phase=...)`."""

    def make(**changes: Any) -> Stage:
        return Stage(replace(_RUNNING, **changes))

    return make
