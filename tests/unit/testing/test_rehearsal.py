"""A whole pipeline on the real runtime, in memory and in virtual time."""

import asyncio
import json
from pathlib import Path

import pytest

from headrace.errors import AccessRefusedError, ConfigError, InferenceUnavailableError
from headrace.spec.compile import compile_pipeline
from headrace.spec.loader import check_text
from headrace.testing import ScriptedModel, run
from headrace.testing.rehearsal import Watch, rehearse

PIPELINE = """\
pipeline: tweets
models: {upper: {url: grpc://localhost:8081}}
defaults: {retry: {max_attempts: 3, first_delay: 10s}}
steps:
  shout: {from: tweets, model: upper, inputs: {text: text}, outputs: {loud: loud}}
sinks: {louds: shout}
"""


def topology(*edits):
    text = PIPELINE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return compile_pipeline(check_text(text, {}, "f").unwrap(), Path())


def values(*texts):
    return [("tweets", json.dumps({"text": text}).encode()) for text in texts]


def rehearsed(records, model=None, pipeline=None, watch=None):
    model = model or ScriptedModel()
    return run(rehearse(pipeline or topology(), records, lambda _: model, watch))


def documents(done):
    return [(each.number, each.topic, json.loads(each.value)) for each in done.results]


def test_results_come_in_the_order_of_the_input_whatever_the_model_does():
    model = ScriptedModel(latency_s=(0.0, 5.0))
    texts = [f"tweet {number}" for number in range(300)]

    done = rehearsed(values(*texts), model, topology(("8081}}", "8081}}\ntopics: {partitions: 3}")))

    assert [each[0] for each in documents(done)] == list(range(1, 301))
    assert [each[2]["loud"] for each in documents(done)] == [text.upper() for text in texts]
    assert max(model.calls) == 64
    assert model.most_in_flight == 4


def test_every_sink_of_a_pipeline_is_read():
    two = topology(
        ("sinks: {louds: shout}", "sinks: {louds: shout, short: {from: shout, fields: [loud]}}")
    )

    done = rehearsed(values("a", "b"), pipeline=two)

    assert [each[:2] for each in documents(done)] == [
        (1, "louds"),
        (1, "short"),
        (2, "louds"),
        (2, "short"),
    ]
    assert documents(done)[1][2] == {"loud": "A"}


def test_a_result_tells_which_models_worked_on_it():
    (result,) = rehearsed(values("a")).results

    assert result.models == "shout=upper@1"


def test_a_poison_record_is_found_and_its_batch_goes_on():
    model = ScriptedModel(poison=lambda text: text == "bad")

    done = rehearsed(values("a", "bad", "b"), model)

    assert [each[0] for each in documents(done)] == [1, 3]
    (letter,) = done.letters
    assert (letter.number, letter.step, letter.error) == (2, "shout", "InvalidInputError")
    assert letter.attempts == 1


def test_retries_take_their_time_and_no_real_time():
    model = ScriptedModel(rates={"failed": 1.0}, budget=2)

    done = rehearsed(values("a"), model)

    assert len(done.results) == 1
    assert 10 < done.seconds < 40


def test_a_record_without_a_value_and_nothing_at_all_come_to_an_end():
    assert documents_of_none() == [(1, None)]
    assert rehearsed([]).results == []


def documents_of_none():
    return [(each.number, each.value) for each in rehearsed([("tweets", None)]).results]


def test_a_strict_step_names_the_inputs_that_never_end():
    model = ScriptedModel(poison=lambda text: text == "bad")
    strict = topology(("defaults: {", "defaults: {strict: true, ordering: partition, "))

    done = rehearsed(values("a", "bad", "b"), model, strict)

    assert done.halted == [2, 3]
    assert done.letters == []
    assert [each[0] for each in documents(done)] == [1]


@pytest.mark.parametrize("error", [InferenceUnavailableError, AccessRefusedError])
def test_a_model_that_stays_away_ends_the_run_after_its_patience(error):
    model = ScriptedModel()
    model.fail_next(*[error("nobody there")] * 1000)
    watch = Watch(patience_s=30.0)

    with pytest.raises(
        InferenceUnavailableError, match=r"'upper' at grpc://localhost:8081"
    ) as told:
        rehearsed(values("a"), model, watch=watch)

    assert isinstance(told.value.__cause__, error)
    assert "30 s" in str(told.value)


def test_a_model_that_is_away_for_less_costs_nothing():
    model = ScriptedModel()
    model.be_unavailable(0.0, 20.0)

    done = rehearsed(values("a"), model, watch=Watch(patience_s=30.0))

    assert len(done.results) == 1
    assert done.letters == []


def test_progress_is_told_up_to_the_last_input():
    told: list[int] = []

    rehearsed(values(*"abc"), watch=Watch(on_progress=told.append))

    assert told[-1] == 3
    assert told == sorted(told)


def test_the_clients_are_closed_and_nothing_is_left_running():
    closed = []

    class Client(ScriptedModel):
        async def close(self):
            closed.append(self)

    async def main():
        await rehearse(topology(), values("a"), lambda _: Client())
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert run(main()) == set()
    assert closed


def test_a_function_that_is_not_there_is_refused_before_anything_runs():
    asked = []
    pipeline = topology(
        ("model: upper, inputs: {text: text}, outputs: {loud: loud}", "function: gone:f")
    )

    with pytest.raises(ConfigError, match="gone"):
        run(rehearse(pipeline, values("a"), asked.append))

    assert asked == []


def test_inputs_count_as_done_once_however_many_stages_read_them():
    told: list[int] = []
    again = "{from: tweets, model: upper, inputs: {text: text}, outputs: {loud: loud}}"
    both = topology(
        ("sinks: {louds: shout}", "sinks: {louds: shout, others: again}"),
        (
            "  shout:",
            f"  again: {again}\n  shout:",
        ),
    )

    done = rehearsed(values(*"abc"), pipeline=both, watch=Watch(on_progress=told.append))

    assert told[-1] == 3
    assert len(done.results) == 6
