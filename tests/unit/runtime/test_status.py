import asyncio
from dataclasses import replace

import pytest

from headrace.core.ledger import finish
from headrace.core.steps import Ordering
from headrace.errors import AccessRefusedError
from headrace.runtime.assignments import Assignments
from headrace.runtime.lanes import Lanes
from headrace.runtime.stats import LATENCY_BOUNDS_S, Histogram, StageStats, StepStats
from headrace.runtime.status import COUNTERS, snapshot
from tests.unit.runtime.parts import (
    P0,
    P1,
    RESULT,
    assignment,
    committed_by,
    records_of,
    stage_of,
)

STAGE = replace(stage_of(), name="stage")


class Dispatching:
    """A dispatcher whose step waits for its model."""

    class pause:  # noqa: N801  (stands for an object)
        reason = AccessRefusedError("wrong token")
        since = 10.0

    slots, asking = 4, 3


class Paused:
    """The place of that step."""

    step = STAGE.steps[0]
    dispatchers = (Dispatching,)
    collector = None
    counts = StepStats(results=5)


def test_a_latency_is_counted_in_the_first_bucket_that_holds_it():
    histogram = Histogram()

    for seconds in (0.0, 0.001, 0.0011, 59.9, 60.0, 61.0):
        histogram.observe(seconds)

    assert histogram.counts[:2] == [2, 1]
    assert histogram.counts[-2:] == [2, 1]
    assert histogram.total_s == pytest.approx(180.9021)


def test_errors_are_counted_by_class():
    stats = StageStats()

    for error in (ValueError("a"), ValueError("b"), KeyError("c")):
        stats.count_error(error)

    assert stats.errors == {"ValueError": 2, "KeyError": 1}


def test_every_counter_of_the_stats_stands_in_the_status():
    numbers = {name for name, value in vars_of(StageStats()).items() if type(value) is int}

    assert set(COUNTERS) == numbers


def vars_of(stats):
    return {name: getattr(stats, name) for name in stats.__slots__}


async def test_before_anything_runs_there_is_a_status(kafka):
    assignments = Assignments(kafka, {"in": Lanes(Ordering.KEY)}, "w0", StageStats())

    status = snapshot(STAGE, "w0", "starting", StageStats(), assignments, [], 0.0)

    names = (status.pipeline, status.stage, status.step, status.model, status.slot)
    assert names == ("shouts", "stage", "shout", "caps", "w0")
    assert (status.phase, status.is_assigned, status.slots, status.busy) == (
        "starting",
        False,
        0,
        0,
    )
    assert (status.paused_reason, status.paused_s) == ("", 0.0)
    assert list(status.partitions) == []


async def test_the_reason_and_the_length_of_a_pause_are_told(kafka):
    assignments = Assignments(kafka, {"in": Lanes(Ordering.KEY)}, "w0", StageStats())

    status = snapshot(STAGE, "w0", "running", StageStats(), assignments, [Paused], 12.5)

    assert (status.paused_reason, status.paused_s) == ("AccessRefusedError: wrong token", 2.5)
    assert (status.slots, status.busy) == (4, 3)
    [step] = status.steps
    assert (step.step, step.kind, step.model, step.waiting) == ("shout", "model", "caps", 0)
    assert (step.paused_reason, step.counters["results"]) == (status.paused_reason, 5)


async def test_owned_partitions_are_described_in_order(kafka):
    kafka.stored[P0] = committed_by("w9", 5)
    assignments = Assignments(kafka, {"in": Lanes(Ordering.PARTITION)}, "w0", StageStats())
    await assignments.assigned(assignment(1, P1, P0))
    records = assignments.ledgers[P0].take(records_of(["a", "b", "c"], start=5))
    finish(records[1:2], [RESULT])

    status = snapshot(STAGE, "w0", "running", StageStats(), assignments, [], 0.0)

    first, second = status.partitions
    assert (first.topic, first.partition, second.partition) == ("in", 0, 1)
    assert (first.committable, first.position) == (5, 8)
    assert (first.in_flight, first.blocked, status.in_flight) == (3, 1, 3)
    assert first.metadata_size == len(kafka.stored[P0].metadata)
    assert status.is_assigned


async def test_latencies_are_cumulative_up_to_infinity(kafka):
    stats = StageStats()
    stats.model_latency.observe(0.002)
    stats.model_latency.observe(99.0)
    assignments = Assignments(kafka, {"in": Lanes(Ordering.KEY)}, "w0", stats)

    (pairs, total_s) = snapshot(STAGE, "w0", "running", stats, assignments, [], 0.0).model_latency

    assert [bound for bound, _ in pairs] == [*LATENCY_BOUNDS_S, float("inf")]
    assert [count for _, count in pairs][:3] == [0, 1, 1]
    assert pairs[-1][1] == 2
    assert total_s == pytest.approx(99.002)


async def test_a_status_does_not_change_afterwards(kafka):
    stats = StageStats()
    assignments = Assignments(kafka, {"in": Lanes(Ordering.KEY)}, "w0", stats)
    status = snapshot(STAGE, "w0", "running", stats, assignments, [], 0.0)

    stats.read += 1
    stats.count_error(ValueError())
    await asyncio.sleep(0)

    assert (status.counters["read"], status.errors) == (0, {})
