import asyncio
import json

import pytest

from headrace.core.models import Input, OutputField
from headrace.core.retry import RetryPolicy
from headrace.core.steps import Ordering, Tombstones
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidRowsError,
    RowCountError,
)
from headrace.ports import Prediction
from headrace.runtime.topic_facts import TopicFacts
from headrace.testing import ScriptedModel
from tests.unit.runtime.parts import (
    DEAD,
    FACTS,
    RETRY,
    Doing,
    headers_of,
    taken,
    with_step,
    work_of,
)


class Answering(ScriptedModel):
    """Answers with whatever prediction a test has prepared."""

    def __init__(self, prediction):
        super().__init__()
        self.prediction = prediction

    async def infer(self, columns):
        self.calls.append(len(columns[0]))
        await asyncio.sleep(0)
        return self.prediction


def went_to(records):
    """Return per record the topic of what it left behind, `dropped`, or None if unfinished."""
    return [
        None if r.output is None else r.output[0][0] if r.output else "dropped" for r in records
    ]


def cause_of(record):
    """Return class, message and attempts of a dead letter."""
    [row] = record.output
    assert row[0] == DEAD
    headers = headers_of(row)
    parts = ("class", "message", "attempts")
    return tuple(headers[f"headrace-error-{part}"].decode() for part in parts)


# Answers


async def test_an_answer_is_written_into_the_document():
    doing = Doing()
    [record] = taken(["hello"])

    await doing.run(work_of([record]))

    assert json.loads(record.output[0][1]) == {"text": "hello", "shouted": "HELLO"}
    assert doing.answers == 1
    assert (doing.stats.written, doing.stats.requests, doing.stats.rows) == (1, 1, 1)


async def test_several_tensors_and_paths_are_read_and_written():
    step = with_step(
        inputs=(Input("a", "page.text"), Input("b", "page.words.0")),
        outputs=(OutputField("left.inner", "x"), OutputField("right", "y")),
    )
    model = ScriptedModel(lambda a, b: (a + b, len(a)), outputs=2)
    doing = Doing(step, model)
    [record] = taken([b'{"page": {"text": "so", "words": ["be", "it"]}}'])

    await doing.run(work_of([record]))

    document = json.loads(record.output[0][1])
    assert (document["left"], document["right"]) == ({"inner": "sobe"}, 2)


async def test_a_default_fills_what_a_document_lacks():
    doing = Doing(with_step(inputs=(Input("text", "text", default="none", has_default=True),)))
    [record] = taken([b"{}"])

    await doing.run(work_of([record]))

    assert json.loads(record.output[0][1])["shouted"] == "NONE"


async def test_work_of_nothing_calls_nobody():
    doing = Doing()

    outcome = await doing.run(work_of([]))

    assert (outcome.follow, doing.model.calls) == ([], [])


# Records that never reach the model


@pytest.mark.parametrize("value", [b"not json", b"[1]", b'"text"', b"", b"\xff\xfe"])
async def test_a_value_that_is_no_document_is_dead_lettered_alone(value):
    doing = Doing()
    records = taken(["fine", value, "fine too"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out", DEAD, "out"]
    assert cause_of(records[1])[::2] == ("DecodeError", "0")
    assert doing.model.calls == [2]
    assert doing.stats.errors == {"DecodeError": 1}


@pytest.mark.parametrize(
    ("tombstones", "topic"),
    [(Tombstones.FORWARD, "out"), (Tombstones.DROP, "dropped"), (Tombstones.DEAD_LETTER, DEAD)],
)
async def test_a_tombstone_goes_where_the_step_says_without_a_call(tombstones, topic):
    doing = Doing(with_step(tombstones=tombstones))
    records = taken([None], keys=[b"k"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [topic]
    assert doing.model.calls == []
    assert sum((doing.stats.written, doing.stats.dropped, doing.stats.dead_lettered)) == 1


async def test_a_forwarded_tombstone_is_a_null_with_the_records_key():
    doing = Doing()
    [record] = taken([None], keys=[b"k"])

    await doing.to_the_end(work_of([record]))

    assert record.output[0][1:3] == (None, b"k")


async def test_a_document_without_the_input_is_dead_lettered_alone():
    doing = Doing()
    records = taken(["fine", b'{"other": 1}', "fine too"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out", DEAD, "out"]
    assert cause_of(records[1])[:2] == ("DocumentError", "missing field 'text'")
    assert doing.model.calls == [2]


async def test_a_batch_of_nothing_but_bad_documents_calls_nobody():
    doing = Doing()
    records = taken([b"{}", b"{}", b"not json"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [DEAD] * 3
    assert doing.model.calls == []


async def test_rows_that_cannot_become_tensors_are_given_up_and_the_rest_is_sent():
    doing = Doing()
    doing.model.fail_next(InvalidRowsError({1: "a list, not a string", 2: "too long"}))
    records = taken(["a", "b", "c", "d"])

    calls = await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out", DEAD, DEAD, "out"]
    assert cause_of(records[2])[:2] == ("DocumentError", "too long")
    assert calls == 2


# What follows a failure


async def test_the_same_batch_is_repeated_after_growing_delays():
    doing = Doing(with_step(retry=RetryPolicy(4, 1.0, 3.0)))
    doing.model.fail_next(*[InferenceFailedError("500")] * 3)
    records = taken(["a", "b"])
    work, delays = work_of(records), []

    while True:
        outcome = await doing.run(work)
        if not outcome.follow:
            break
        [(delay_s, work)] = outcome.follow
        delays.append(delay_s)

    assert went_to(records) == ["out", "out"]
    assert [0.5 <= delays[0] < 1.0, 1.0 <= delays[1] < 2.0, 1.5 <= delays[2] < 3.0] == [True] * 3
    assert doing.stats.retried == 3


async def test_after_the_last_attempt_a_record_is_given_up_with_their_number():
    doing = Doing(with_step(retry=RetryPolicy(3, 1.0, 3.0)))
    doing.model.fail_next(*[InferenceTimeoutError("30 s")] * 3)
    [record] = taken(["a"])

    calls = await doing.to_the_end(work_of([record]))

    assert calls == 3
    assert cause_of(record) == ("InferenceTimeoutError", "30 s", "3")
    assert doing.stats.dead_lettered == 1


async def test_the_times_of_the_first_and_the_last_failure_are_kept():
    doing = Doing(with_step(retry=RetryPolicy(2, 1.0, 3.0)))
    doing.model.fail_next(*[InferenceFailedError("500")] * 2)
    [record] = taken(["a"])

    [(_, again)] = (await doing.run(work_of([record]))).follow
    doing.now_ms += 1_500
    await doing.run(again)

    headers = headers_of(record.output[0])
    assert headers["headrace-error-first"] == b"1000000"
    assert headers["headrace-error-last"] == b"1001500"


async def test_a_batch_that_fails_to_the_end_is_halved_and_its_mates_are_saved():
    class CrashedBy(ScriptedModel):
        async def infer(self, columns):
            self.calls.append(len(columns[0]))
            if "crash" in columns[0]:
                raise InferenceFailedError("connection cut")
            return await super().infer(columns)

    doing = Doing(with_step(retry=RetryPolicy(2, 1.0, 3.0)), CrashedBy())
    records = taken(["a", "b", "crash", "d"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out", "out", DEAD, "out"]
    assert cause_of(records[2])[2] == "2"


async def test_a_long_delay_without_order_goes_through_the_retry_topic():
    step = with_step(ordering=Ordering.NONE, retry=RetryPolicy(5, 20.0, 30.0))
    doing = Doing(step)
    doing.model.fail_next(InferenceFailedError("500"))
    records = taken(["a", "b"])

    outcome = await doing.run(work_of(records))

    assert went_to(records) == [RETRY, RETRY]
    assert outcome.follow == []
    headers = headers_of(records[0].output[0])
    assert headers["headrace-attempt"] == b"2"
    assert 1_010_000 <= int(headers["headrace-not-before"]) < 1_020_000


async def test_a_long_delay_with_order_waits_in_place():
    doing = Doing(with_step(ordering=Ordering.KEY, retry=RetryPolicy(5, 20.0, 30.0)))
    doing.model.fail_next(InferenceFailedError("500"))
    records = taken(["a"])

    [(delay_s, _)] = (await doing.run(work_of(records))).follow

    assert went_to(records) == [None]
    assert delay_s >= 10.0


@pytest.mark.parametrize("error", [InferenceUnavailableError("gone"), AccessRefusedError("401")])
async def test_no_fault_of_a_record_pauses_the_step_and_uses_no_attempt(error):
    doing = Doing()
    doing.model.fail_next(error)
    work = work_of(taken(["a", "b"]))

    outcome = await doing.run(work)

    assert outcome.pause is error
    [(delay_s, again)] = outcome.follow
    assert (delay_s, again.attempt, len(again.items)) == (0.0, 1, 2)
    assert doing.answers == 0


async def test_only_a_timeout_says_so():
    outcomes = []
    for error in (InferenceTimeoutError("30 s"), InferenceFailedError("500")):
        doing = Doing()
        doing.model.fail_next(error)
        outcomes.append(await doing.run(work_of(taken(["a"]))))

    assert [outcome.timed_out for outcome in outcomes] == [True, False]


# Answers that cannot be right


async def test_after_a_wrong_number_of_rows_each_record_is_asked_for_alone(caplog):
    doing = Doing()
    doing.model.fail_next(RowCountError("1 row of 3"))
    records = taken(["a", "b", "c"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out"] * 3
    assert [json.loads(r.output[0][1])["shouted"] for r in records] == ["A", "B", "C"]
    assert doing.model.calls == [3, 1, 1, 1]
    assert doing.executor.refuses_batches
    assert caplog.text.count("one record per call from now on") == 1


async def test_singles_that_fail_too_do_not_stop_batching():
    doing = Doing()
    doing.model.fail_next(*[RowCountError("0 rows")] * 3)
    records = taken(["a", "b"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [DEAD, DEAD]
    assert not doing.executor.refuses_batches


async def test_a_row_that_cannot_be_used_is_given_up_and_the_others_are_written():
    prediction = Prediction([["A", None, "C"]], "7", {1: "NaN in tensor 'upper'"})
    doing = Doing(model=Answering(prediction))
    records = taken(["a", "b", "c"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out", DEAD, "out"]
    assert cause_of(records[1])[:2] == ("BrokenAnswerError", "NaN in tensor 'upper'")
    assert headers_of(records[1].output[0])["headrace-error-version"] == b"7"
    assert (doing.stats.written, doing.stats.dead_lettered) == (2, 1)


async def test_a_broken_answer_is_the_batchs_fault_and_is_searched():
    doing = Doing()
    doing.model.fail_next(BrokenAnswerError("no tensor"), BrokenAnswerError("no tensor"))
    records = taken(["a", "b"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [DEAD, "out"]


@pytest.mark.parametrize("columns", [[["A"]], [["A", "B"], ["C", "D"]], []])
async def test_an_answer_of_another_shape_than_promised_loses_nothing(columns):
    doing = Doing(model=Answering(Prediction(columns)))
    records = taken(["a", "b"])

    await doing.to_the_end(work_of(records))

    assert None not in went_to(records)


async def test_a_result_that_is_too_large_is_dead_lettered_alone():
    facts = TopicFacts(FACTS.partitions, {"out": 2_000, DEAD: 100_000})
    doing = Doing(facts=facts)
    records = taken(["a", "x" * 1_000, "b"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == ["out", DEAD, "out"]
    name, message, attempts = cause_of(records[1])
    assert (name, attempts) == ("OversizeError", "1")
    assert "topic out takes 2,000 (max.message.bytes)" in message
    assert doing.stats.written == 2


async def test_a_place_that_cannot_be_written_is_the_records_fault():
    doing = Doing(with_step(outputs=(OutputField("text.inner", "upper"),)))
    records = taken(["a"])

    await doing.to_the_end(work_of(records))

    assert cause_of(records[0])[0] == "DocumentError"


# What nobody expected


@pytest.mark.parametrize("error", [RuntimeError("surprise"), KeyError("k"), TypeError("t")])
async def test_an_unexpected_exception_is_the_batchs_fault_and_not_the_workers_death(error, caplog):
    doing = Doing()
    doing.model.fail_next(*[error] * 3)
    records = taken(["a", "b"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [DEAD, DEAD]
    assert type(error).__name__ in cause_of(records[0])[1]
    assert "unexpected error" in caplog.text


async def test_a_cancelled_call_finishes_nothing():
    doing = Doing(model=ScriptedModel(latency_s=(5.0, 5.0)))
    records = taken(["a"])
    running = asyncio.create_task(doing.run(work_of(records)))
    await asyncio.sleep(1.0)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert went_to(records) == [None]


# Strict steps


STRICT = with_step(strict=True)


@pytest.mark.parametrize("value", [b"not json", b"{}", "poison"])
async def test_a_strict_step_halts_the_lane_and_never_finishes_the_record(value):
    doing = Doing(STRICT, ScriptedModel(poison=lambda text: text == "poison"))
    records = taken([value, "after it"], Ordering.KEY, [b"k", b"k"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [None, "out"]
    assert list(records[0].ledger.released) == []
    assert (doing.place.counts.halted, doing.stats.dead_lettered) == (1, 0)


async def test_other_lanes_of_a_strict_step_go_on(caplog):
    doing = Doing(STRICT, ScriptedModel(poison=lambda text: text == "poison"))
    records = taken(["poison", "fine"], Ordering.KEY, [b"a", b"b"])

    await doing.to_the_end(work_of(records))

    assert list(records[0].ledger.released) == [records[1]]
    assert "its lane stops (strict)" in caplog.text


async def test_a_strict_step_halts_at_rows_that_cannot_be_used():
    doing = Doing(STRICT, Answering(Prediction([[None, "B"]], "", {0: "NaN"})))
    records = taken(["a", "b"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [None, "out"]
    assert doing.place.counts.halted == 1


async def test_a_strict_step_halts_at_a_result_that_is_too_large():
    facts = TopicFacts(FACTS.partitions, {"out": 2_000})
    doing = Doing(STRICT, facts=facts)
    records = taken(["x" * 2_000, "b"])

    await doing.to_the_end(work_of(records))

    assert went_to(records) == [None, "out"]
    assert doing.stats.written == 1


async def test_results_of_a_dropped_ledger_are_ignored():
    doing = Doing(model=ScriptedModel(latency_s=(1.0, 1.0)))
    records = taken(["a", "b"])
    running = asyncio.create_task(doing.run(work_of(records)))
    await asyncio.sleep(0.5)

    records[0].ledger.drop()
    await running

    assert list(records[0].ledger.released) == []


async def test_records_of_several_partitions_may_share_a_batch():
    doing = Doing()
    one, other = taken(["a"]), taken(["b"])

    await doing.run(work_of([*one, *other]))

    assert list(one[0].ledger.released) == one
    assert list(other[0].ledger.released) == other


def test_a_part_of_work_keeps_its_documents_and_a_single_record_begins_anew():
    work = work_of(taken(["a", "b", "c"]), attempt=3, first_ms=5)

    pair, single = work.part(0, 2), work.part(2, 3)

    assert (pair.items, pair.attempt, pair.first_ms) == (work.items[:2], 3, 5)
    assert (single.items, single.attempt, single.first_ms) == (work.items[2:], 1, 5)
