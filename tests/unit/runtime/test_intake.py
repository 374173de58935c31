"""Where records enter the steps of a stage, and what their headers say of them."""

import pytest

from headrace.core.retry import RetryPolicy
from headrace.core.steps import Inlet, Join, Link, Ordering, Outlet, Sink, Step
from headrace.core.topology import Source
from headrace.errors import ConfigError, InferenceFailedError
from headrace.testing import ScriptedModel
from tests.unit.dags import model_step
from tests.unit.runtime.stages import OUT, by_topic, derived, join_step, letters, running

A = derived("a")
VERSION = ("headrace-v", b"1")


def model(name="m", inlet=A, **more):
    return model_step(name, [inlet], ["text"], ["up"], sinks=more.pop("sinks", OUT), **more)


def step(name, inlet, **more):
    return Step(name=name, inlets=(inlet,), **more)


# Versions


@pytest.mark.parametrize("topic", ["p.a", "p.m.retry"])
@pytest.mark.parametrize("version", [b"2", b"0", b"", None])
async def test_what_another_version_wrote_is_refused_with_its_place(topic, version):
    async with running(model()) as it:
        headers = [("headrace-v", version), ("headrace-id", b"in-0-0")]

        with pytest.raises(ConfigError, match=rf"{topic}-2 at offset 0 was written in wire format"):
            it.read(topic, {"text": "a"}, headers=headers, partition=2)


async def test_a_source_record_may_carry_any_version():
    async with running(model(inlet=Inlet("in", "in"))) as it:
        it.read("in", {"text": "a"}, headers=[("headrace-v", b"9")])

        [row] = await it.commit()

        assert row.document == {"text": "a", "up": "A"}


# Readers of one topic


async def test_every_step_that_reads_a_topic_has_its_own_document():
    steps = [model("m"), model("n", sinks=(Sink("other"),))]
    async with running(*steps) as it:
        it.tell("p.a", {"text": "a"})
        it.tell("p.a", None, id_="in-0-1")

        rows = await it.commit()

        assert by_topic(rows) == {
            "out": [{"text": "a", "up": "A"}, None],
            "other": [{"text": "a", "up": "A"}, None],
        }
        assert it.unfinished == {}


async def test_a_record_is_finished_when_the_last_of_its_readers_is_done():
    slow = ScriptedModel(latency_s=(5.0, 5.0))
    async with running(model("m"), model("n"), models={"n": [slow]}) as it:
        it.tell("p.a", {"text": "a"})

        assert await it.commit(4.0) == []
        assert len(await it.commit(1.1)) == 2


async def test_a_step_may_join_a_topic_with_what_another_step_made_of_it():
    first = model("m", sinks=(), links=(Link("j", 1),))
    both = join_step(A, Inlet("m", "", "m", fields=("up",)))
    async with running(first, both) as it:
        it.tell("p.a", {"text": "a", "id": 1})

        assert by_topic(await it.commit()) == {"out": [{"text": "a", "id": 1, "up": "A"}]}
        assert it.unfinished == {}


# Ids


async def test_a_source_record_is_named_by_its_place():
    async with running(model(inlet=Inlet("in", "in"))) as it:
        it.read("in", {"text": "a"}, headers=[("headrace-id", b"mine")], partition=1)

        [row] = await it.commit()

        assert row.id == "in-1-0"


async def test_what_somebody_else_wrote_to_a_derived_topic_is_named_by_its_place():
    async with running(model()) as it:
        it.read("p.a", {"text": "a"})

        [row] = await it.commit()

        assert row.id == "p.a-0-0"


# Deadlines


async def test_a_source_sets_the_deadline_of_its_records():
    source = Source("in", deadline_s=10.0)
    outlet = (Outlet("p.m"),)
    step_ = model(inlet=Inlet("in", "in"), sinks=(), outlets=outlet)
    async with running(step_, sources=(source,)) as it:
        it.read("in", {"text": "a"}, timestamp=it.now_ms())
        soon = it.now_ms() + 10_000

        [row] = await it.commit()

        assert row.says("headrace-deadline") == str(soon)


async def test_a_record_may_bring_its_own_deadline():
    source = Source("in", deadline_s=10.0)
    step_ = model(inlet=Inlet("in", "in"), sinks=(), outlets=(Outlet("p.m"),))
    async with running(step_, sources=(source,)) as it:
        it.read("in", {"text": "a"}, headers=[("headrace-deadline", b"9000000")], timestamp=5)
        it.read("in", {"text": "a"}, headers=[("headrace-deadline", b"soon")], timestamp=990_001)

        rows = await it.commit()

        assert [row.says("headrace-deadline") for row in rows] == ["9000000", "1000001"]


async def test_an_expired_record_never_reaches_the_model():
    async with running(model(outlets=(Outlet("p.m", tells=True),))) as it:
        it.tell("p.a", {"text": "a"}, headers=[("headrace-deadline", b"%d" % (it.now_ms() - 1))])

        rows = await it.commit()

        [letter] = letters(rows)
        assert (letter.error, letter.document) == ("ExpiredError", {"text": "a"})
        assert letter.message == "its deadline passed 1 ms ago"
        assert by_topic(rows) == {"p.m": ["failed"]}
        assert it.models["m"][0].calls == []


async def test_a_record_that_expires_while_it_is_repeated_is_not_repeated_again():
    retry = RetryPolicy(9, 10.0, 10.0)
    async with running(model(retry=retry)) as it:
        it.models["m"][0].fail_next(*[InferenceFailedError("500")] * 9)
        it.tell("p.a", {"text": "a"}, headers=[("headrace-deadline", b"%d" % (it.now_ms() + 1))])

        rows = await it.commit(11.0)

        assert [letter.error for letter in letters(rows)] == ["ExpiredError"]
        assert len(it.models["m"][0].calls) == 1


async def test_a_record_that_expires_in_a_stage_does_not_reach_its_next_model():
    slow = ScriptedModel(latency_s=(5.0, 5.0))
    first = model("m", sinks=(), links=(Link("n"),))
    second = model("n", inlet=Inlet("m", "", "m"))
    async with running(first, second, models={"m": [slow]}) as it:
        it.tell("p.a", {"text": "a"}, headers=[("headrace-deadline", b"%d" % (it.now_ms() + 99))])

        [letter] = letters(await it.commit(5.1))

        assert letter.error == "ExpiredError"
        assert letter.says("headrace-error-step") == "n"
        assert letter.document == {"text": "a", "up": "A"}
        assert it.models["n"][0].calls == []


async def test_a_record_that_expires_while_it_waits_for_others_does_not_reach_the_model():
    step_ = model_step("j", [A, derived("b")], ["text"], ["up"], join=Join(order=(1,)), sinks=OUT)
    async with running(step_) as it:
        deadline = [("headrace-deadline", b"%d" % (it.now_ms() + 1_000))]
        it.tell("p.a", {"text": "a"}, headers=deadline)
        await it.commit(2.0)
        it.tell("p.b", {}, headers=deadline)

        [letter] = letters(await it.commit())

        assert (letter.error, letter.document) == ("ExpiredError", {"text": "a"})
        assert it.models["j"][0].calls == []


async def test_an_expired_record_is_worth_it_where_somebody_replays_it():
    async with running(model()) as it:
        it.tell("p.a", {"text": "a"}, headers=[("headrace-deadline", b"1")])
        [letter] = await it.commit()
        assert letter.says("headrace-deadline") == "1"

        it.send_back(letter, "m")

        [row] = await it.commit()
        assert row.document == {"text": "a", "up": "A"}


# What comes back


async def test_a_replayed_record_says_so_on_derived_topics_and_not_in_sinks():
    async with running(model(outlets=(Outlet("p.m"),))) as it:
        it.tell("p.m.retry", {"text": "a"}, replay=True)

        rows = {row.topic: row for row in await it.commit()}

        assert rows["p.m"].says("headrace-replay") == "1"
        assert rows["out"].says("headrace-replay") is None
        assert it.stats.out_of_lane == 1


async def test_a_record_that_is_not_due_waits():
    async with running(model(ordering=Ordering.NONE)) as it:
        soon = [("headrace-not-before", b"%d" % (it.now_ms() + 5_000)), ("headrace-attempt", b"2")]
        it.tell("p.m.retry", {"text": "a"}, headers=soon)

        assert await it.commit(4.9) == []
        assert by_topic(await it.commit(0.2)) == {"out": [{"text": "a", "up": "A"}]}


async def test_attempts_are_counted_on_where_a_record_comes_back():
    async with running(model(retry=RetryPolicy(3, 0.01, 0.01))) as it:
        it.models["m"][0].fail_next(*[InferenceFailedError("500")] * 3)
        it.tell("p.m.retry", {"text": "a"}, headers=[("headrace-attempt", b"3")])

        [letter] = letters(await it.commit(1.0))

        assert letter.says("headrace-error-attempts") == "3"
        assert len(it.models["m"][0].calls) == 1


async def test_parts_that_are_not_due_wait_and_then_meet():
    async with running(join_step(A, derived("b"))) as it:
        it.tell("p.a", {"id": 1})
        it.run.spill(1.0)
        [spilled] = await it.commit()
        it.take(spilled, **{"headrace-not-before": b"%d" % (it.now_ms() + 5_000)})
        it.tell("p.b", {"b": 1})

        assert await it.commit(4.9) == []
        assert len(await it.commit(0.2)) == 1


async def test_parts_that_come_to_a_step_without_a_join_are_given_up():
    async with running(model()) as it:
        it.read("p.m.retry", b'{"parts":[]}', headers=[VERSION, ("headrace-partial", b"join")])

        [letter] = letters(await it.commit())

        assert letter.error == "DecodeError"
        assert letter.message == "step 'm' joins and gathers nothing; these are parts of a record"


async def test_a_replayed_record_goes_through_the_gate_again():
    async with running(model(when="n > 3")) as it:
        it.tell("p.m.retry", {"text": "a", "n": 1}, replay=True)
        it.tell("p.m.retry", {"text": "b", "n": 5}, replay=True)

        assert by_topic(await it.commit()) == {"out": [{"text": "b", "n": 5, "up": "B"}]}
        assert it.unfinished == {}


async def test_a_replayed_tombstone_goes_as_its_step_says():
    async with running(model()) as it:
        it.tell("p.m.retry", None, replay=True)

        assert by_topic(await it.commit()) == {"out": [None]}


async def test_parts_of_a_dropped_ledger_are_not_restored():
    async with running(join_step(A, derived("b"))) as it:
        it.tell("p.a", {"id": 1})
        it.run.spill(1.0)
        [spilled] = await it.commit()
        it.take(spilled)
        for ledger in it.ledgers.values():
            ledger.drop()

        await it.commit(2.0)

        assert it.collector("j").waiting == 0
