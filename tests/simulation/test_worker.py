"""The real worker on the simulated broker, through thousands of seeded schedules."""

import os

import pytest

from headrace.testing.clock import explore
from tests.simulation.schedules import schedule

SCHEDULES = int(os.environ.get("HEADRACE_SCHEDULES", "10000"))
BLOCKS = 20


TAUGHT = {
    6943: "an old epoch's resolution began ledgers under the new one",
    32976: "a commit jumped over durable offsets that were not fetched again yet",
    37595: "the same, with a fence in between",
}
"""Seeds that once failed, and what they taught."""


@pytest.mark.parametrize("seed", TAUGHT)
def test_a_schedule_that_failed_once_stays(seed: int) -> None:
    explore(schedule, [seed], limit_s=3600)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_schedule_ends_exactly_once_and_in_order(block: int) -> None:
    size = SCHEDULES // BLOCKS

    explore(schedule, range(block * size, (block + 1) * size), limit_s=3600)
