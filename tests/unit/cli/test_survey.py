"""What `status` makes of offsets and of what workers say; asking itself needs Kafka."""

import pytest

from headrace.cli.survey import Sample, StepTold, WorkerSeen, _above, steps_of
from headrace.cli.survey_tables import rendered, tables
from headrace.core import offset_map
from headrace.core.records import Committed, TopicPartition
from headrace.core.runs import Runs
from headrace.ports import Bounds
from tests.unit import dags

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def at(topic: str) -> TopicPartition:
    return TopicPartition(topic, 0)


def worker(slot: str = "0", state: str = "running", **steps: StepTold) -> WorkerSeen:
    return WorkerSeen(slot, "host:1", 3, state, "", 5, {"X": 1}, steps)


def told(results: int = 0, waiting: int = 0, reason: str = "") -> StepTold:
    return StepTold(reason, waiting, {"results": results, "dropped": 0, "failed": 0})


def test_a_rate_is_what_was_committed_between_two_looks():
    before = Sample({A: 100, B: 50}, at_s=10.0)

    assert Sample({A: 160, B: 50}, at_s=12.0).rate_since(before, ["t"]) == pytest.approx(30)


def test_a_partition_that_is_new_counts_from_its_start():
    before = Sample({A: 100}, at_s=10.0)

    assert Sample({A: 100, B: 4}, at_s=12.0).rate_since(before, ["t"]) == pytest.approx(2)


def test_offsets_that_went_back_are_no_rate():
    assert Sample({A: 1}, at_s=2.0).rate_since(Sample({A: 5}, at_s=1.0), ["t"]) == 0


def test_offsets_finished_above_the_committed_one_count_too():
    before = Sample({A: 10}, 1.0, {A: 5})
    after = Sample({A: 10}, 2.0, {A: 25})

    assert after.rate_since(before, ["t"]) == pytest.approx(20)
    assert after.left("t", {A: Bounds(0, 100)}) == 65


def test_a_record_that_waits_for_days_hides_nothing_of_what_is_done():
    metadata = offset_map.encode("w", 1, 10, Runs([(11, 90)]))

    assert _above(Committed(10, metadata)) == 79
    assert [_above(each) for each in (None, Committed(None), Committed(3, "foreign"))] == [0, 0, 0]


def test_what_remains_of_a_join_is_told_by_parent():
    stage = dags.diamond().stages[-1]
    now = Sample({at("diamond.left"): 4, at("diamond.right"): 10, at("diamond.both.retry"): 0}, 2.0)
    ends = {at("diamond.left"): 10, at("diamond.right"): 10, at("diamond.both.retry"): 1}
    bounds = {each: Bounds(0, end) for each, end in ends.items()}
    ages = {at("diamond.left"): 9.0, at("diamond.both.retry"): 12.5}

    (both,) = steps_of(stage, Sample({}, 1.0), now, bounds, ages)

    assert (both.remaining, both.inlets) == (7, {"left": 6, "right": 0, "retry": 1})
    assert both.oldest_s == 12.5
    assert both.model == "unknown"
    assert "7 (left 6, retry 1)" in rendered([both], as_json=False)


def test_the_steps_of_a_fused_stage_have_rows_of_their_own():
    stage = dags.fused().stages[0]
    places = [at("in"), at("fused.first.retry"), at("fused.second.retry")]
    bounds = {each: Bounds(0, 0) for each in places} | {at("in"): Bounds(0, 20)}
    before = Sample({}, 1.0, {}, [worker(first=told(5), second=told(3))])
    now = Sample(
        dict.fromkeys(places, 0) | {at("in"): 10},
        3.0,
        {},
        [worker(first=told(12, waiting=2), second=told(9, reason="no model"))],
    )

    first, second = steps_of(stage, before, now, bounds, {})

    assert [(each.step, each.stage, each.rate) for each in (first, second)] == [
        ("first", "both", 5.0),
        ("second", "both", 3.0),
    ]
    assert (first.remaining, second.remaining) == (10, 0)
    assert (first.model, second.model) == ("ready", "no model")
    assert (first.waiting, second.waiting) == (2, 0)
    rows, workers = tables([first, second])
    assert rows[0][:2] == ("STEP", "STAGE")
    # The stage's in flight and errors stand once.
    assert [row[6] for row in rows[1:]] == ["5", ""]
    assert [row[8] for row in rows[1:]] == ["X 1", ""]
    assert len(workers) == 2


def test_a_worker_that_started_between_two_looks_is_no_rate():
    stage = dags.fused().stages[0]
    now = Sample({}, 3.0, {}, [worker("new", first=told(12), second=told(9))])

    _, second = steps_of(stage, Sample({}, 1.0), now, {}, {})

    assert second.rate == 0


def test_steps_without_a_model_have_none():
    stages = dags.records().stages
    seen = [step for s in stages for step in steps_of(s, Sample({}, 1.0), Sample({}, 2.0), {}, {})]

    assert {each.step: each.model for each in seen if each.kind != "model"} == {
        "pages": "",
        "checked": "",
        "chart": "",
    }


def test_where_no_stage_is_fused_and_nothing_waits_their_columns_are_left_out():
    (stage, *_) = dags.chain().stages

    ((heading, *_),) = tables(steps_of(stage, Sample({}, 1.0), Sample({}, 2.0), {}, {}))

    assert "STAGE" not in heading
    assert "WAITING" not in heading
