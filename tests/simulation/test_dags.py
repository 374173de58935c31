"""Random DAGs on the simulated broker, through seeded schedules, against the naive interpreter."""

import os
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from headrace.testing.clock import explore
from tests.simulation import dags
from tests.simulation.dag_schedules import Run, dag_schedule, late_schedule

SCHEDULES = int(os.environ.get("HEADRACE_DAG_SCHEDULES", "1000"))
BLOCKS = 5


def calm(seed: int) -> Coroutine[Any, Any, Run]:
    return dag_schedule(seed, has_storm=False)


def apart(seed: int) -> Coroutine[Any, Any, Run]:
    data = dags.pipeline(random.Random(f"apart {seed}"), most_steps=6)
    return dag_schedule(seed, data=dags.unfused(data))


def fused(seed: int) -> Coroutine[Any, Any, Run]:
    data = dags.pipeline(random.Random(f"apart {seed}"), most_steps=6)
    return dag_schedule(seed, data=dags.fused(data))


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_dag_does_what_the_interpreter_says_whatever_goes_wrong(block: int) -> None:
    size = SCHEDULES // BLOCKS

    explore(dag_schedule, range(block * size, (block + 1) * size), limit_s=3600)


def test_a_dag_does_what_the_interpreter_says_when_nothing_goes_wrong() -> None:
    explore(calm, range(SCHEDULES // 4), limit_s=3600)


def test_a_dag_of_consumer_groups_does_what_the_interpreter_says() -> None:
    explore(apart, range(SCHEDULES // 4), limit_s=3600)


def test_the_same_dag_in_one_consumer_group_does_the_same() -> None:
    explore(fused, range(SCHEDULES // 4), limit_s=3600)


def test_an_id_ends_once_though_its_parts_come_late() -> None:
    explore(late_schedule, range(SCHEDULES // 4), limit_s=3600)
