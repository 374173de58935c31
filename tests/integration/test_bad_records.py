"""Records that cannot be processed, on a real broker: each becomes a dead letter of its own."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.testing.oip_server import OipServer
from tests.integration.pipelines import Message, Outcome, Scene, header, in_loop, text

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(60)]

MakeScene = Callable[..., Scene]
DESCRIBED = ModelMetadata(
    "upper",
    inputs=(TensorMetadata("text", "BYTES", (-1,)),),
    outputs=(TensorMetadata("translation", "BYTES", (-1,)),),
)

BAD = [
    (b'{"other": 1}', "DocumentError", r"missing field 'text'"),
    (b'{"text": 7}', "DocumentError", r"input 'text': expects text, got int"),
    (b'{"text": 1.5}', "DocumentError", r"expects text, got float"),
    (b'{"text": null}', "DocumentError", r"expects text, got null"),
    (b'{"text": true}', "DocumentError", r"expects text, got bool"),
    (b'{"text": ["a"]}', "DocumentError", r"expects text, got (a )?list"),
    (b'{"text": {"a": 1}}', "DocumentError", r"expects text, got dict"),
    (b"not json", "DecodeError", r"the value is not a document: .*malformed"),
    (b'{"text": "cut', "DecodeError", r"truncated"),
    (b"", "DecodeError", r"truncated"),
    (b'["a list"]', "DecodeError", r"Expected `object`, got `array`"),
    (b'"a string"', "DecodeError", r"Expected `object`, got `str`"),
    (b"null", "DecodeError", r"Expected `object`, got `null`"),
    (b'{"text": "\xff\xfe"}', "DecodeError", r"(?i)utf-?8"),
    (b'{"text": ' + b"[" * 100_000, "DecodeError", r"(?i)recursion"),
    (b'{"text": "\\ud800"}', "DecodeError", r"(?i)surrogate|truncated|escape"),
]


@pytest.fixture
def scene(bootstrap: str, unique: Callable[[str], str], tmp_path: Path) -> MakeScene:
    """Return a function that makes a pipeline with topics of its own."""
    return lambda **settings: Scene(bootstrap, unique("p"), tmp_path, **settings)


async def run_in_one_batch(
    scene: Scene, lead: Message, *messages: Message
) -> tuple[Outcome, dict[str, Any]]:
    """Write the rest while the lead keeps the model's one slot, so that it is one batch."""
    await asyncio.to_thread(scene.create_topics)
    await asyncio.to_thread(scene.feed, lead)
    async with scene.worker() as running:
        await running.until(lambda status: status["busy"] == 1)
        await asyncio.to_thread(scene.feed, *messages)
        await scene.finished(running)
        status = await running.status()
        await running.drain()
    return await scene.outcome(), status


@in_loop
async def test_bad_records_are_dead_lettered_and_their_batch_mates_are_not(scene, upper):
    stage = scene(
        model={"url": upper.url("grpc"), "max_in_flight": 1},
        step={"batch": {"max_size": 64, "max_wait": "20ms"}},
    )
    good = [text(f"good {number}") for number in range(len(BAD))]
    bad = [Message(value) for value, _, _ in BAD]
    mixed = [message for pair in zip(good, bad, strict=True) for message in pair]

    found, status = await run_in_one_batch(stage, text("!slow=0.5 lead"), *mixed)

    assert found.texts() == ["!slow=0.5 lead", *(f"good {n}" for n in range(len(BAD)))]
    errors = found.errors()
    assert sorted(errors) == [2 + 2 * number for number in range(len(BAD))]
    for number, (_, kind, message) in enumerate(BAD):
        assert errors[2 + 2 * number][0] == kind
        assert re.search(message, errors[2 + 2 * number][1]), errors[2 + 2 * number]
    # The lead, the batch whose rows do not fit (nothing was sent), the rest of it.
    assert status["counters"]["requests"] == 3
    assert status["counters"]["aborts"] == 0


@in_loop
async def test_a_dead_letter_is_the_record_exactly_as_read(scene, upper):
    stage = scene(model={"url": upper.url("grpc")}, partitions=3)
    own = [("trace", b"t"), ("twice", b"1"), ("twice", b"2"), ("none", None), ("raw", b"\xff\x00")]
    forged = [("headrace-id", b"forged"), ("headrace-attempt", b"7")]
    bad = Message(
        b'{ "text" :7 }\n', b"\x00key", [*own, *forged], timestamp=1_600_000_000_001, partition=2
    )
    good = Message(
        b'{ "text": "fine", "kept": [1, 2.5, null]}',
        b"\x00key",
        [*own, *forged],
        timestamp=1_600_000_000_002,
        partition=2,
    )

    found = await stage.run_through(bad, good, text("else", partition=1))

    (letter,) = found.dead
    assert (letter.value, letter.key, letter.timestamp) == (bad.value, bad.key, bad.timestamp)
    assert letter.partition.partition == 2
    names = [name for name, _ in letter.headers]
    assert [each for each in letter.headers if not each[0].startswith("headrace-")] == own
    assert [name for name in names if name.startswith("headrace-")] == [
        "headrace-v",
        "headrace-id",
        "headrace-source",
        "headrace-pipeline",
        "headrace-at",
        "headrace-error-class",
        "headrace-error-message",
        "headrace-error-step",
        "headrace-error-attempts",
        "headrace-error-model",
        "headrace-error-version",
        "headrace-error-source",
        "headrace-error-first",
        "headrace-error-last",
    ]
    assert header(letter, "headrace-v") == "1"
    assert header(letter, "headrace-id") == f"{stage.topic('in')}-2-0"
    assert header(letter, "headrace-source") == f"{stage.topic('in')}/2/0"
    assert header(letter, "headrace-error-step") == "shout"
    assert header(letter, "headrace-error-model") == "upper"
    assert header(letter, "headrace-error-attempts") == "0"
    assert header(letter, "headrace-error-source") == f"{stage.topic('in')}/2/0"
    result = found.results[-1]
    assert (result.key, result.timestamp) == (good.key, good.timestamp)
    assert result.partition.partition == 2
    assert json.loads(result.value) == json.loads(good.value) | {"translation": "FINE"}
    assert [each for each in result.headers if not each[0].startswith("headrace-")] == own
    assert dict(each for each in result.headers if each[0].startswith("headrace-")) == {
        "headrace-id": f"{stage.topic('in')}-2-1".encode(),
        "headrace-source": f"{stage.topic('in')}/2/1".encode(),
        "headrace-models": b"shout=upper@",
        "headrace-pipeline": stage.topology.stages[0].fingerprint.encode(),
    }


@in_loop
async def test_a_record_without_a_value_follows_the_steps_setting(scene, upper):
    def run(setting: str) -> Any:
        stage = scene(model={"url": upper.url("grpc")}, step={"tombstones": setting})
        return stage, (text("before", key=b"k"), Message(None, b"k"), text("after", key=b"k"))

    async def forwarded_or_dead(setting: str) -> Outcome:
        stage, messages = run(setting)
        return await stage.run_through(*messages)

    async def dropped() -> list[Any]:
        stage, messages = run("drop")
        await asyncio.to_thread(stage.create_topics)
        await asyncio.to_thread(stage.feed, *messages)
        async with stage.worker() as running:
            await stage.finished(running)
            status = await running.status()
        return [status["counters"]["dropped"], stage.read("out"), stage.read("dead-letters")]

    forwarded, dead, (count, results, letters) = await asyncio.gather(
        forwarded_or_dead("forward"), forwarded_or_dead("dead_letter"), dropped()
    )

    assert [record.value is None for record in forwarded.results] == [False, True, False]
    assert [record.key for record in forwarded.results] == [b"k"] * 3
    assert dead.texts() == ["before", "after"]
    assert dead.errors() == {1: ("DecodeError", "the record has no value (a tombstone)")}
    assert dead.dead[0].value is None
    assert (count, len(results), letters) == (1, 2, [])


@in_loop
async def test_large_values_pass_where_the_topics_take_them(scene, upper):
    room = {"max.message.bytes": "3000000"}
    more = {"max.message.bytes": "3065536"}
    stage = scene(
        model={"url": upper.url("grpc")},
        configs={"in": room, "out": more, "dead-letters": more, "retry": more},
    )
    large = json.dumps({"text": "large", "pad": "x" * 2_000_000}).encode()
    long_text = text("y" * 1_200_000)
    broken = b"z" * 2_000_000

    found = await stage.run_through(
        text("a"), Message(large), long_text, Message(broken), text("b")
    )

    assert [len(said) for said in found.texts()] == [1, 5, 1_200_000, 1]
    assert [record.value for record in found.dead] == [broken]


@in_loop
async def test_a_dead_letter_that_does_not_fit_goes_without_its_value(scene, upper):
    stage = scene(
        model={"url": upper.url("grpc")}, configs={"in": {"max.message.bytes": "3000000"}}
    )

    found = await stage.run_through(text("a"), Message(b"z" * 2_000_000, b"key"), text("b"))

    assert found.texts() == ["a", "b"]
    (letter,) = found.dead
    assert (letter.value, letter.key) == (None, b"key")
    assert header(letter, "headrace-error-source") == f"{stage.topic('in')}/0/1"
    assert header(letter, "headrace-error-class") == "DecodeError"


@in_loop
async def test_an_oversized_result_is_found_before_the_transaction(scene, upper):
    stage = scene(
        model={"url": upper.url("grpc"), "max_in_flight": 1},
        configs={"out": {"max.message.bytes": "20000"}},
    )
    large = text("l" * 15_000)

    found, status = await run_in_one_batch(
        stage, text("!slow=0.5 lead"), text("a"), large, text("b")
    )

    assert found.texts() == ["!slow=0.5 lead", "a", "b"]
    (letter,) = found.dead
    assert letter.value == large.value
    assert header(letter, "headrace-error-class") == "OversizeError"
    assert re.search(
        r"the result has 30,\d+ bytes; topic \S+ takes 20,000 \(max.message.bytes\)",
        header(letter, "headrace-error-message"),
    )
    assert header(letter, "headrace-error-attempts") == "1"
    assert (status["counters"]["aborts"], status["counters"]["requests"]) == (0, 2)


@in_loop
async def test_headers_and_keys_count_towards_the_sinks_limit(scene, upper):
    stage = scene(model={"url": upper.url("grpc")}, configs={"out": {"max.message.bytes": "20000"}})

    found = await stage.run_through(
        text("a"),
        text("h", headers=[("big", b"h" * 20_000)]),
        text("k", key=b"k" * 20_000),
        text("b"),
    )

    assert found.texts() == ["a", "b"]
    assert [kind for kind, _ in found.errors().values()] == ["OversizeError"] * 2


@in_loop
async def test_a_document_that_cannot_be_written_harms_nobody_else(scene, upper):
    stage = scene(model={"url": upper.url("grpc"), "max_in_flight": 1})
    huge = Message(b'{"text": "huge", "n": 123456789012345678901234567890}')

    found, _ = await run_in_one_batch(stage, text("!slow=0.5 lead"), text("a"), huge, text("b"))

    assert [said for said in found.texts() if said != "huge"] == ["!slow=0.5 lead", "a", "b"]
    assert len(found.texts()) + len(found.dead) == 4


@in_loop
async def test_a_field_that_cannot_hold_the_answer_harms_nobody_else(scene, upper):
    stage = scene(
        model={"url": upper.url("grpc"), "max_in_flight": 1},
        step={"outputs": {"said.loudly": "translation"}},
    )
    bad = Message(b'{"text": "bad", "said": "already"}')

    found, _ = await run_in_one_batch(stage, text("!slow=0.5 lead"), text("a"), bad, text("b"))

    assert [each["said"] for each in found.documents()[1:]] == [{"loudly": "A"}, {"loudly": "B"}]
    assert found.errors() == {
        2: ("DocumentError", "field 'said.loudly' cannot be written: not an object there")
    }


@pytest.mark.parametrize("bad", [b'{"text": null}', b'{"text": 7}', b'{"text": [1]}', b"{}"])
@in_loop
async def test_a_bad_first_record_does_not_decide_for_the_others(scene, bad):
    async with OipServer() as server:
        stage = scene(model={"url": server.url})

        found = await stage.run_through(
            Message(bad), *[text(f"good {n}") for n in range(5)], within_s=10
        )

    assert found.texts() == [f"good {n}" for n in range(5)]
    assert [record.value for record in found.dead] == [bad]
