import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from headrace.core.batching import Batcher
from headrace.core.concurrency import AdaptiveLimit
from headrace.core.retry import RetryPolicy
from headrace.errors import (
    AccessRefusedError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    RowCountError,
)
from headrace.runtime.dispatcher import Dispatcher
from headrace.testing import ScriptedModel
from tests.unit.runtime.parts import DEAD, Doing, items_of, taken, with_step, work_of


class Watched(ScriptedModel):
    """Remembers when each call began, also while it is unavailable, and how many rows it had."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.begun = []

    async def infer(self, columns):
        self.begun.append((round(asyncio.get_running_loop().time(), 4), len(columns[0])))
        return await super().infer(columns)

    @property
    def times(self):
        return [time for time, _ in self.begun]

    @property
    def rows(self):
        return [rows for _, rows in self.begun]


class Dispatching:
    """A dispatcher on a scripted model, in a task group."""

    def __init__(self, tasks, model, slots, batch, retry):
        self.model = model
        self.doing = Doing(with_step(retry=retry), model)
        self.stats = self.doing.stats
        self.progress = 0
        self.on_progress_do = lambda: None
        self.limit = AdaptiveLimit(1, slots)
        self.batcher = Batcher(*batch)
        self.dispatcher = Dispatcher(
            self.doing.executor, self.batcher, self.limit, tasks, self.stats, self.on_progress
        )

    def offer(self, records):
        self.dispatcher.offer(items_of(records))

    def on_progress(self):
        self.progress += 1
        self.on_progress_do()


@asynccontextmanager
async def dispatching(model=None, *, slots=4, batch=(8, 0.005), retry=None):
    async with asyncio.TaskGroup() as tasks:
        it = Dispatching(tasks, model or Watched(), slots, batch, retry or RetryPolicy(3, 1.0, 4.0))
        yield it
        it.dispatcher.cancel()


def finished(records):
    """Return topics of what the finished records of one lane-less ledger left behind."""
    return [record.output[0][0] if record.output else None for record in records]


# Batches and slots


async def test_an_idle_model_gets_what_is_there_at_once():
    async with dispatching() as it:
        it.offer(taken(["a", "b", "c"]))
        await asyncio.sleep(0)

        assert it.model.begun == [(0.0, 3)]


async def test_while_all_slots_are_busy_records_gather_to_full_batches():
    async with dispatching(Watched(latency_s=(1.0, 1.0)), slots=1) as it:
        for _ in range(12):
            it.offer(taken(["x"]))

        await asyncio.sleep(5.0)

        assert it.model.rows == [1, 8, 3]
        assert it.model.most_in_flight == 1


async def test_with_a_slot_free_a_record_waits_no_longer_than_max_wait():
    model = Watched(latency_s=(1.0, 1.0))
    async with dispatching(model, slots=2, batch=(8, 0.25)) as it:
        it.offer(taken(["first"]))
        await asyncio.sleep(0.1)
        it.offer(taken(["second"]))

        await asyncio.sleep(0.5)

        assert model.begun == [(0.0, 1), (0.35, 1)]


async def test_every_call_is_progress():
    async with dispatching(batch=(2, 0.005)) as it:
        it.offer(taken(["a", "b", "c"]))
        await asyncio.sleep(1.0)

        assert it.progress == 2
        assert it.dispatcher.busy == 0


async def test_no_more_calls_are_under_way_than_there_are_slots():
    async with dispatching(Watched(latency_s=(0.5, 0.5)), slots=3, batch=(1, 0.0)) as it:
        it.offer(taken(["x"] * 20))
        await asyncio.sleep(0.1)

        assert it.dispatcher.slots == it.dispatcher.busy == it.model.most_in_flight == 3


async def test_the_next_question_goes_before_an_answer_is_worked_on():
    seen = []
    async with dispatching(Watched(latency_s=(1.0, 1.0)), slots=1, batch=(1, 0.0)) as it:
        pass_on = it.doing.place.passed
        it.doing.place.passed = lambda *answer: (
            seen.append((len(it.model.begun), it.dispatcher.asking, it.dispatcher.busy)),
            pass_on(*answer),
        )
        it.offer(taken(["a", "b"]))
        await asyncio.sleep(2.5)

    assert seen == [(2, 1, 2), (2, 0, 1)]
    assert it.model.most_in_flight == 1


async def test_a_drain_waits_until_the_last_answer_is_worked_on():
    async with dispatching(Watched(latency_s=(1.0, 1.0)), slots=1, batch=(1, 0.0)) as it:
        records = taken(["a", "b"])
        it.offer(records)
        await asyncio.sleep(1.5)

        await it.dispatcher.drain()

        assert finished(records) == ["out", "out"]
        assert (it.dispatcher.asking, it.dispatcher.busy) == (0, 0)


async def test_records_of_a_dropped_ledger_are_not_sent():
    async with dispatching(Watched(latency_s=(1.0, 1.0)), slots=1) as it:
        lost, kept = taken(["lost"] * 3), taken(["kept"])
        it.offer(taken(["first"]))
        it.offer(lost)
        it.offer(kept)

        lost[0].ledger.drop()
        it.dispatcher.forget_dropped()
        await asyncio.sleep(5.0)

        assert [row for _, row in it.model.asked] == [("first",), ("kept",)]


async def test_a_model_that_needs_single_records_gets_them():
    model = Watched()
    model.fail_next(RowCountError("2 rows of 3"))
    async with dispatching(model) as it:
        it.offer(taken(["a", "b", "c"]))
        await asyncio.sleep(1.0)
        it.offer(taken(["d", "e"]))
        await asyncio.sleep(1.0)

        assert model.rows == [3, 1, 1, 1, 1, 1]


# Pauses


async def test_a_paused_step_probes_with_one_record_at_growing_intervals_up_to_half_a_second():
    model = Watched()
    model.be_unavailable(0.0, 3.0)
    async with dispatching(model) as it:
        it.offer(taken(["x"] * 10))

        await asyncio.sleep(2.9)

        gaps = [round(after - before, 3) for before, after in pairwise(model.times)]
        assert model.rows == [8, *[1] * (len(model.rows) - 1)]
        assert gaps == [0.1, 0.2, 0.4, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("error", [InferenceUnavailableError, AccessRefusedError])
async def test_a_pause_uses_no_attempts_and_gives_nothing_up(error):
    model = Watched()
    model.fail_next(*[error("not now")] * 20)
    async with dispatching(model, retry=RetryPolicy(1, 1.0, 1.0)) as it:
        records = taken(["a", "b"])
        it.offer(records)

        await asyncio.sleep(20.0)

        assert finished(records) == ["out", "out"]
        assert it.stats.dead_lettered == it.stats.retried == 0


async def test_the_reason_of_a_pause_can_be_read_while_it_lasts():
    model = Watched()
    model.fail_next(InferenceUnavailableError("gone"), AccessRefusedError("no such model"))
    async with dispatching(model) as it:
        it.offer(taken(["a"]))
        await asyncio.sleep(0.05)
        assert (str(it.dispatcher.pause.reason), it.dispatcher.pause.since) == ("gone", 0.0)

        await asyncio.sleep(0.1)
        assert str(it.dispatcher.pause.reason) == "no such model"

        await asyncio.sleep(1.0)
        assert it.dispatcher.pause is None


async def test_a_refusal_is_loud_once_in_a_pause_and_a_model_that_is_away_is_not(caplog):
    model = Watched()
    refused = AccessRefusedError("no such model")
    gone = InferenceUnavailableError("gone")
    model.fail_next(gone, refused, gone, refused)
    async with dispatching(model) as it:
        it.offer(taken(["a"]))
        await asyncio.sleep(0.05)
        assert [each.levelname for each in caplog.records] == ["WARNING"]

        await asyncio.sleep(5.0)

        loud = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
        assert loud == ["somebody has to act: no such model"]
        assert it.dispatcher.pause is None


async def test_a_paused_step_resumes_with_everything():
    model = Watched()
    model.be_unavailable(0.0, 2.0)
    async with dispatching(model, slots=2) as it:
        early, late = taken(["early"] * 20), taken(["late"] * 5)
        it.offer(early)
        await asyncio.sleep(1.0)
        it.offer(late)

        await asyncio.sleep(1.6)

        assert finished(early + late) == ["out"] * 25
        assert it.stats.dead_lettered == 0


async def test_a_probe_that_finds_a_bad_record_ends_the_pause_too():
    model = Watched(poison=lambda text: text == "bad")
    model.be_unavailable(0.0, 0.05)
    async with dispatching(model) as it:
        records = taken(["bad", "good"])
        it.offer(records)

        await asyncio.sleep(1.0)

        assert finished(records) == [DEAD, "out"]
        assert it.dispatcher.pause is None


async def test_what_was_under_way_when_the_pause_began_uses_no_attempt_either():
    model = Watched(latency_s=(0.5, 0.5))
    model.fail_next(*[InferenceUnavailableError("gone")] * 3)
    async with dispatching(model, slots=3, batch=(1, 0.0), retry=RetryPolicy(1, 1.0, 1.0)) as it:
        records = taken(["a", "b", "c"])
        it.offer(records)
        await asyncio.sleep(0.6)
        assert it.dispatcher.pause.since == 0.5

        await asyncio.sleep(5.0)

        assert finished(records) == ["out"] * 3


async def test_a_retry_waits_out_a_pause():
    model = Watched()
    model.fail_next(InferenceFailedError("500"))
    model.be_unavailable(0.5, 4.0)
    async with dispatching(model) as it:
        record = taken(["retried"])
        it.offer(record)
        await asyncio.sleep(0.6)
        it.offer(taken(["finds the model gone"]))

        await asyncio.sleep(5.0)

        assert finished(record) == ["out"]


# What shrinks the limit


@pytest.mark.parametrize(
    "error", [InferenceUnavailableError("busy"), InferenceTimeoutError("30 s")]
)
async def test_refusals_and_timeouts_halve_the_slots(error):
    model = Watched()
    model.fail_next(error)
    async with dispatching(model) as it:
        it.offer(taken(["a"]))
        await asyncio.sleep(0.05)

        assert it.dispatcher.slots == 2


@pytest.mark.parametrize("error", [InferenceFailedError("500"), InvalidInputError("400")])
async def test_other_failures_leave_the_slots_alone(error):
    model = Watched()
    model.fail_next(error)
    async with dispatching(model) as it:
        it.offer(taken(["a"]))
        await asyncio.sleep(0.05)

        assert it.dispatcher.slots == 4


async def test_only_answers_count_as_latency():
    model = Watched(latency_s=(0.3, 0.3))
    model.fail_next(InferenceTimeoutError("late"))
    async with dispatching(model) as it:
        it.offer(taken(["a"]))
        await asyncio.sleep(5.0)

        assert sum(it.stats.model_latency.counts) == 1
        assert it.stats.model_latency.total_s == pytest.approx(0.3)


# Retries


async def test_a_retry_waits_its_delay_without_holding_a_slot():
    model = Watched()
    model.fail_next(InferenceFailedError("500"))
    async with dispatching(model, slots=1) as it:
        failing, other = taken(["failing"]), taken(["other"])
        it.offer(failing)
        await asyncio.sleep(0.01)
        it.offer(other)
        await asyncio.sleep(0.4)

        assert finished(failing + other) == [None, "out"]
        assert (it.dispatcher.busy, it.dispatcher.waiting) == (0, 1)
        await asyncio.sleep(1.0)
        assert finished(failing) == ["out"]
        assert 0.5 <= model.times[-1] <= 1.0


async def test_work_that_may_not_start_yet_starts_when_it_may():
    async with dispatching() as it:
        records = taken(["later", "sooner"])
        it.dispatcher.delay(work_of(records[:1]), 2.0)
        it.dispatcher.delay(work_of(records[1:]), 0.5)

        await asyncio.sleep(5.0)

        assert it.model.times == [0.5, 2.0]
        assert [row for _, row in it.model.asked] == [("sooner",), ("later",)]


async def test_a_delay_that_ends_while_all_slots_are_busy_is_made_up_for():
    async with dispatching(Watched(latency_s=(3.0, 3.0)), slots=1) as it:
        it.offer(taken(["long"]))
        it.dispatcher.delay(work_of(taken(["delayed"])), 1.0)

        await asyncio.sleep(10.0)

        assert it.model.times == [0.0, 3.0]


# The end


async def test_a_drain_starts_nothing_and_waits_for_calls_under_way():
    async with dispatching(Watched(latency_s=(1.0, 1.0)), slots=1) as it:
        under_way, waiting = taken(["under way"]), taken(["waiting"])
        it.offer(under_way)
        it.offer(waiting)
        await asyncio.sleep(0.2)

        await it.dispatcher.drain()

        assert asyncio.get_running_loop().time() == 1.0
        assert finished(under_way + waiting) == ["out", None]
        await asyncio.sleep(5.0)
        assert it.model.rows == [1]


async def test_a_drain_with_nothing_under_way_ends_at_once():
    async with dispatching() as it:
        await it.dispatcher.drain()

        assert asyncio.get_running_loop().time() == 0.0


async def test_timers_after_shutdown_start_nothing():
    async with dispatching(batch=(8, 1.0)) as it:
        it.dispatcher.delay(work_of(taken(["delayed"])), 1.0)
        it.dispatcher.stop()

        it.offer(taken(["offered"]))
        it.dispatcher.delay(work_of(taken(["delayed again"])), 0.0)
        await asyncio.sleep(5.0)

        assert it.model.begun == []


async def test_calls_that_are_cut_finish_nothing():
    async with dispatching(Watched(latency_s=(5.0, 5.0))) as it:
        records = taken(["a"])
        it.offer(records)
        await asyncio.sleep(1.0)

        it.dispatcher.cancel()
        await asyncio.sleep(10.0)

        assert finished(records) == [None]
        assert it.model.in_flight == 0


async def test_when_the_worker_goes_down_no_timer_starts_a_call():
    model = Watched()

    async def go_down():
        async with dispatching(model) as it:
            it.on_progress_do = lambda: 1 / 0
            it.dispatcher.delay(work_of(taken(["later"])), 0.5)
            it.offer(taken(["first"]))
            await asyncio.sleep(10.0)

    with pytest.raises(ExceptionGroup) as caught:
        await go_down()
    await asyncio.sleep(5.0)

    assert caught.group_contains(ZeroDivisionError)
    assert model.times == [0.0]
