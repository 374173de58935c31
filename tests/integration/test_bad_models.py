"""Models that fail, hang, lie or go away, on a real broker: what becomes of their records."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.local.model_server import ModelServer
from headrace.testing.oip_server import (
    Answer,
    Cut,
    Garbage,
    Hang,
    OipServer,
    Refuse,
    Request,
    Slow,
    Tensor,
    upper,
)
from tests.integration.pipelines import Message, Outcome, Scene, header, in_loop, text, until

pytestmark = [pytest.mark.kafka, pytest.mark.mlserver, pytest.mark.timeout(60)]

MakeScene = Callable[..., Scene]
DESCRIBED = ModelMetadata(
    "upper",
    inputs=(TensorMetadata("text", "BYTES", (-1,)),),
    outputs=(TensorMetadata("translation", "BYTES", (-1,)),),
)
LEAD = "!slow=0.4 lead"
WORDS = [f"good {number}" for number in range(15)]


@pytest.fixture
def scene(bootstrap: str, unique: Callable[[str], str], tmp_path: Path) -> MakeScene:
    """Return a function that makes a pipeline with topics of its own."""
    return lambda **settings: Scene(bootstrap, unique("p"), tmp_path, **settings)


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[ModelServer]:
    """The shared MLServer; it is started again if the test left it dead."""
    server: ModelServer = request.getfixturevalue("upper")
    yield server
    if not server.is_running:
        server.restart()


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


def scripted(poison: Any) -> Callable[[Request], Any]:
    """Return a model that is right, but does as told with a request that holds the word `bad`."""

    def model(request: Request) -> Any:
        texts = request.columns["text"]
        if any(each.startswith("!slow") for each in texts):
            return Slow(0.4, upper(request))
        if any(each.startswith("bad") for each in texts):
            return poison(request) if callable(poison) else poison
        return upper(request)

    return model


# A record that a model cannot bear


@in_loop
async def test_one_rejected_row_is_found_in_few_calls(scene, served):
    stage = scene(model={"url": served.url("grpc"), "max_in_flight": 1})
    batch = [text(f"{stage.name} {word}") for word in WORDS]
    batch.insert(6, text("!400 poison"))

    found, status = await run_in_one_batch(stage, text(LEAD), *batch)

    assert len(found.texts()) == 16
    (letter,) = found.dead
    assert json.loads(letter.value) == {"text": "!400 poison"}
    assert header(letter, "headrace-error-class") == "InvalidInputError"
    assert "poison row: '!400 poison' (INVALID_ARGUMENT)" in header(
        letter, "headrace-error-message"
    )
    assert header(letter, "headrace-error-status") == "INVALID_ARGUMENT"
    assert header(letter, "headrace-error-attempts") == "1"
    assert header(letter, "headrace-error-step") == "shout"
    # The lead, then the batch and both halves of what fails, four times: 16, 8, 4, 2, 1.
    assert status["counters"]["requests"] == 1 + 1 + 2 * 4


@in_loop
async def test_a_row_that_fails_always_is_given_up_after_all_its_attempts(scene, served):
    stage = scene(model={"url": served.url("grpc"), "max_in_flight": 1})
    batch = [text(word) for word in WORDS]
    batch.insert(6, text("!500 poison"))

    found, status = await run_in_one_batch(stage, text(LEAD), *batch)

    assert len(found.texts()) == 16
    (letter,) = found.dead
    assert header(letter, "headrace-error-class") == "InferenceFailedError"
    assert "poison row: '!500 poison'" in header(letter, "headrace-error-message")
    assert header(letter, "headrace-error-attempts") == "3"
    assert int(header(letter, "headrace-error-first")) < int(header(letter, "headrace-error-last"))
    # The lead; the batch 3 times; halves of 8, 4, 2 once each and their mates; the record 3 times.
    assert status["counters"]["requests"] == 1 + 3 + 2 * 3 + 1 + 3


@in_loop
async def test_a_failure_that_passes_is_repeated(scene, served):
    stage = scene(model={"url": served.url("grpc"), "max_in_flight": 1})

    found, status = await run_in_one_batch(
        stage, text(LEAD), text("a"), text(f"!flaky=2 {stage.name}"), text("b")
    )

    assert found.texts() == [LEAD, "a", f"!flaky=2 {stage.name}", "b"]
    assert found.dead == []
    assert status["counters"]["retried"] == 2
    assert status["errors"] == {"InferenceFailedError": 2}


def not_text(request: Request) -> Answer:
    texts = request.columns["text"]
    said = [b"\xff" if each == "bad" else each.upper().encode() for each in texts]
    return Answer((Tensor("translation", said),))


def numbers(request: Request) -> Answer:
    return Answer((Tensor("translation", [7] * request.rows, "INT64"),))


BREAKING = {
    "cut": (Cut(), "InferenceFailedError", "", 2),
    "hang": (Hang(), "InferenceTimeoutError", "DEADLINE_EXCEEDED", 2),
    "garbage": (Garbage(), "BrokenAnswerError", "the answer is not a ModelInferResponse", 1),
    "no output": (Answer(()), "BrokenAnswerError", "no output 'translation', only none", 1),
    "datatype": (numbers, "BrokenAnswerError", "is INT64 where the model's metadata says BYTES", 1),
    "not text": (not_text, "BrokenAnswerError", "'translation': BYTES are not UTF-8", 1),
    "long": (Refuse(grpc.StatusCode.INTERNAL, "x" * 6000), "InferenceFailedError", "xxx", 2),
}


@in_loop
async def test_only_the_record_that_breaks_the_model_is_given_up(scene):
    async def one(case: str) -> None:
        poison, error, message, attempts = BREAKING[case]
        async with OipServer(scripted(poison), metadata=DESCRIBED) as server:
            stage = scene(
                model={"url": server.url, "max_in_flight": 1, "timeout": "800ms"},
                step={"retry": {"max_attempts": 2, "first_delay": "20ms", "max_delay": "50ms"}},
            )
            found, _ = await run_in_one_batch(
                stage, text(LEAD), text("a"), text("b"), text("bad"), text("c")
            )
        assert found.texts() == [LEAD, "a", "b", "c"], case
        (letter,) = found.dead
        assert header(letter, "headrace-error-class") == error, case
        assert message in header(letter, "headrace-error-message"), case
        assert len(header(letter, "headrace-error-message")) <= 4096
        assert header(letter, "headrace-error-attempts") == str(attempts), case

    await asyncio.gather(*map(one, BREAKING))


@in_loop
async def test_a_hanging_row_does_not_take_its_batch_mates_with_it(scene, served):
    stage = scene(
        model={"url": served.url("grpc"), "max_in_flight": 4, "timeout": "500ms"},
        step={"retry": {"max_attempts": 2, "first_delay": "20ms", "max_delay": "50ms"}},
    )

    found = await stage.run_through(
        text("a"), text("!hang"), *[text(word) for word in WORDS], within_s=20
    )

    assert sorted(found.texts()) == sorted(["a", *WORDS])
    (letter,) = found.dead
    assert header(letter, "headrace-error-class") == "InferenceTimeoutError"
    assert header(letter, "headrace-error-attempts") == "2"


# An answer that cannot be trusted


@in_loop
async def test_an_answer_with_missing_rows_is_never_dealt_out(scene, caplog):
    def short(request: Request) -> Answer:
        whole = upper(request)
        if request.rows == 1:
            return whole
        return Answer((Tensor("translation", whole.tensors[0].values[:-1]),))

    async with OipServer(short) as server:
        stage = scene(model={"url": server.url})

        found = await stage.run_through(*[text(word) for word in WORDS])
        sizes = [request.rows for request in server.requests]

    assert found.texts() == WORDS
    assert found.dead == []
    stopped = [each for each in caplog.records if getattr(each, "event", "") == "batching_stopped"]
    assert len(stopped) == 1
    assert sizes[-len(WORDS) + 1 :] == [1] * (len(WORDS) - 1)


@in_loop
async def test_one_row_too_few_for_one_record_is_a_dead_letter(scene, served):
    stage = scene(model={"url": served.url("grpc"), "max_in_flight": 1})

    found, _ = await run_in_one_batch(stage, text(LEAD), text("a"), text("!rows bad"), text("b"))

    assert found.texts() == [LEAD, "a", "b"]
    assert [kind for kind, _ in found.errors().values()] == ["RowCountError"]


@in_loop
async def test_a_number_that_json_cannot_say_is_its_records_fault_alone(scene, served):
    words = [LEAD, "a", "!nan x", "b", "!inf y"]

    def stage_with(output: Any) -> Scene:
        return scene(
            model={"url": served.url("grpc"), "name": "score", "max_in_flight": 1},
            step={"outputs": {"score": output}},
        )

    (strict, _), (lenient, _) = await asyncio.gather(
        run_in_one_batch(stage_with("score"), *map(text, words)),
        run_in_one_batch(stage_with({"tensor": "score", "nan": "null"}), *map(text, words)),
    )

    assert [(each["text"], each["score"]) for each in strict.documents()] == [
        (LEAD, len(LEAD)),
        ("a", 1),
        ("b", 1),
    ]
    assert strict.errors() == {
        2: ("BrokenAnswerError", "output 'score': NaN has no JSON form"),
        4: ("BrokenAnswerError", "output 'score': infinity has no JSON form"),
    }
    assert [each["score"] for each in lenient.documents()] == [len(LEAD), 1, None, 1]
    assert list(lenient.errors()) == [4]


# A model that is away


@in_loop
async def test_a_model_that_is_busy_is_waited_for(scene):
    async def one(code: grpc.StatusCode) -> None:
        async with OipServer(lambda _: Refuse(code, "later")) as server:
            stage = scene(model={"url": server.url})
            await asyncio.to_thread(stage.create_topics)
            await asyncio.to_thread(stage.feed, *[text(word) for word in WORDS])
            async with stage.worker() as running:
                await running.until(lambda status: "later" in status["paused_reason"])
                # Far more refusals than a record has attempts.
                await running.until(lambda status: status["counters"]["requests"] > 5)
                server.model = upper
                await stage.finished(running)
                status = await running.status()
            found = await stage.outcome()
        assert (sorted(found.texts()), found.dead) == (sorted(WORDS), [])
        assert status["counters"]["retried"] == 0

    await asyncio.gather(one(grpc.StatusCode.UNAVAILABLE), one(grpc.StatusCode.RESOURCE_EXHAUSTED))


@in_loop
async def test_the_first_result_comes_within_a_second_of_the_models_return(scene):
    """Of three times the quickest tells: the machine may be busy with other tests."""
    took = []
    async with OipServer() as server:
        stage = scene(model={"url": server.url})
        await asyncio.to_thread(stage.create_topics)
        async with stage.worker() as running:
            for word in WORDS[:3]:
                await server.vanish()
                await asyncio.to_thread(stage.feed, text(word))
                await running.until(
                    lambda status: (
                        "InferenceUnavailableError" in status["paused_reason"]
                        and status["paused_s"] > 2
                    )
                )
                server.requests.clear()
                await server.come_back()
                back = time.monotonic()
                await until(lambda: bool(server.requests), what="a call")
                took.append(time.monotonic() - back)
                await stage.finished(running)
        found = await stage.outcome()

    assert min(took) < 1.0
    assert (found.texts(), found.dead) == (WORDS[:3], [])


@in_loop
async def test_a_server_that_is_killed_and_started_again_loses_nothing(scene, served):
    stage = scene(model={"url": served.url("grpc"), "max_in_flight": 4}, partitions=2)
    await asyncio.to_thread(stage.create_topics)
    messages = [
        text(f"{stage.name} {n}", key=b"%d" % (n % 7), partition=n % 7 % 2) for n in range(300)
    ]
    slow = text(f"!slow=5 {stage.name}", key=b"slow")
    async with stage.worker() as running:
        await asyncio.to_thread(stage.feed, slow, *messages[:150])
        await running.until(lambda status: status["counters"]["durable"] > 20)
        await asyncio.to_thread(served.kill)
        await asyncio.to_thread(stage.feed, *messages[150:])
        await running.until(lambda status: status["paused_reason"] != "")
        await asyncio.to_thread(served.restart)
        await stage.finished(running)
        status = await running.status()
    found = await stage.outcome()

    assert len(found.texts()) == 301
    assert found.dead == []
    assert status["paused_reason"] == ""


REFUSALS = {
    grpc.StatusCode.NOT_FOUND: ("Model nowhere not found", "nowhere not found"),
    grpc.StatusCode.UNAUTHENTICATED: ("who is s3cret-token?", "who is ***?"),
    grpc.StatusCode.PERMISSION_DENIED: ("not you", "not you"),
    grpc.StatusCode.UNIMPLEMENTED: ("no such method", "no such method"),
}


@in_loop
async def test_a_refusal_pauses_the_step_and_says_why(scene):
    async def one(code: grpc.StatusCode) -> None:
        said, why = REFUSALS[code]
        async with OipServer(lambda _: Refuse(code, said)) as server:
            stage = scene(model={"url": server.url, "token": "s3cret-token"})
            await asyncio.to_thread(stage.create_topics)
            await asyncio.to_thread(stage.feed, *[text(word) for word in WORDS])
            async with stage.worker() as running:
                await running.until(lambda status: status["counters"]["requests"] > 4)
                paused = await running.status()
                server.model = upper
                await stage.finished(running)
            found = await stage.outcome()
        assert paused["paused_reason"].startswith("AccessRefusedError: ")
        assert why in paused["paused_reason"]
        assert "s3cret" not in json.dumps(paused)
        assert (sorted(found.texts()), found.dead) == (sorted(WORDS), [])

    await asyncio.gather(*map(one, REFUSALS))


@in_loop
async def test_a_model_that_mlserver_does_not_have_pauses_the_step(scene, served):
    stage = scene(model={"url": served.url("grpc"), "name": "nowhere"})
    await asyncio.to_thread(stage.create_topics)
    await asyncio.to_thread(stage.feed, text("a"))

    async with stage.worker() as running:
        await running.until(lambda status: "nowhere" in status["paused_reason"])
        status = await running.status()

    assert status["paused_reason"].startswith("AccessRefusedError")
    assert stage.read("out") == stage.read("dead-letters") == []


# A model that says it is another


@pytest.mark.parametrize(
    ("inputs", "outputs", "why"),
    [
        ((TensorMetadata("txt", "BYTES", (-1,)),), (), "no input 'text'; did you mean 'txt'"),
        ((TensorMetadata("text", "BF16", (-1,)),), (), "'BF16', which the protocol does not have"),
    ],
    ids=["name", "datatype"],
)
@in_loop
async def test_tensors_that_the_model_does_not_have_pause_the_step(scene, inputs, outputs, why):
    described = ModelMetadata("upper", inputs=inputs, outputs=outputs)
    async with OipServer(metadata=described) as server:
        stage = scene(model={"url": server.url})
        await asyncio.to_thread(stage.create_topics)
        await asyncio.to_thread(stage.feed, text("a"), text("b"))
        async with stage.worker() as running:
            await running.until(lambda status: why in status["paused_reason"])
            server.metadata = ModelMetadata(
                "upper", inputs=(TensorMetadata("text", "BYTES", (-1,)),)
            )
            await stage.finished(running)
        found = await stage.outcome()

    assert (found.texts(), found.dead) == (["a", "b"], [])


@in_loop
async def test_a_datatype_that_the_records_do_not_have_dead_letters_them(scene):
    described = ModelMetadata("upper", inputs=(TensorMetadata("text", "INT64", (-1,)),))
    async with OipServer(metadata=described) as server:
        stage = scene(model={"url": server.url})
        found = await stage.run_through(text("a"), text("b"))
        asked = server.requests

    assert asked == []
    assert found.errors() == dict.fromkeys(
        range(2), ("DocumentError", "input 'text': expects an integer, got str")
    )
