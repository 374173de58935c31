"""The real worker on the simulated broker, through thousands of seeded schedules."""

import os

import pytest

from headrace.testing.clock import explore
from tests.simulation.schedules import schedule

SCHEDULES = int(os.environ.get("HEADRACE_SCHEDULES", "10000"))
BLOCKS = 20


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_schedule_ends_exactly_once_and_in_order(block: int) -> None:
    size = SCHEDULES // BLOCKS

    explore(schedule, range(block * size, (block + 1) * size), limit_s=3600)
