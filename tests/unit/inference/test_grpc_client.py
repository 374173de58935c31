"""The gRPC client against the scripted server, on real sockets of this machine."""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import grpc
import pytest

from headrace.core.models import Input, Model, OutputField
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    InvalidRowsError,
    RowCountError,
)
from headrace.inference import channels
from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.inference.protocols import client_of as open_client
from headrace.testing.oip_server import (
    Answer,
    Cut,
    Garbage,
    Hang,
    OipServer,
    Refuse,
    Slow,
    Tensor,
    forwarder,
    in_turn,
    upper,
)

TLS = Path(__file__).parent / "tls"
TEXT = Input("text", "text", datatype="BYTES", shape=())
TRANSLATION = OutputField("translation", "translation")
UPPER = ModelMetadata(
    "upper",
    inputs=(TensorMetadata("text", "BYTES", (-1,)),),
    outputs=(TensorMetadata("translation", "BYTES", (-1,)),),
)


@asynccontextmanager
async def client_of(*servers, inputs=(TEXT,), outputs=(TRANSLATION,), **settings):
    urls = tuple(server if isinstance(server, str) else server.url for server in servers)
    client = open_client(
        Model("up", urls, "upper", **{"timeout_s": 10.0, **settings}), inputs, outputs
    )
    try:
        yield client
    finally:
        await client.close()


@contextmanager
def black_hole():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"grpc://127.0.0.1:{listener.getsockname()[1]}"


async def test_an_answer_has_one_value_per_row_in_order():
    async with OipServer() as server, client_of(server) as client:
        prediction = await client.infer([["a", "ñ", ""]])

    assert prediction.columns == [["A", "Ñ", ""]]
    assert prediction.version == "1"
    assert prediction.faults == {}


async def test_batches_may_differ_in_size():
    async with OipServer() as server, client_of(server) as client:
        for rows in (2, 1, 3, 2):
            assert (await client.infer([["a"] * rows])).columns == [["A"] * rows]


async def test_a_request_says_what_the_pipeline_says():
    numbers = Input("n", "n", datatype="INT64", shape=(2,))
    fields = [TRANSLATION, OutputField("again", "translation")]
    async with (
        OipServer() as server,
        client_of(server, inputs=[TEXT, numbers], outputs=fields, version="7") as client,
    ):
        prediction = await client.infer([["a", "b"], [[1, 2], [3, 4]]])

    [request] = server.requests
    assert (request.model, request.version, request.rows) == ("upper", "7", 2)
    assert request.columns == {"text": ["a", "b"], "n": [[1, 2], [3, 4]]}
    assert request.shapes == {"text": (2,), "n": (2, 2)}
    assert request.outputs == ("translation",)
    assert prediction.columns == [["A", "B"], ["A", "B"]]


async def test_token_headers_and_trace_go_with_every_call():
    trace = {"traceparent": "00-1-2-01"}
    settings = {"token": "abc", "headers": {"X-Team": "fraud"}}
    async with OipServer() as server, client_of(server, **settings) as client:
        await client.infer([["a"]], trace=trace)

    metadata = server.requests[0].metadata
    assert metadata["authorization"] == "Bearer abc"
    assert metadata["x-team"] == "fraud"
    assert metadata["traceparent"] == "00-1-2-01"


async def test_the_authority_replaces_the_urls_host(monkeypatch):
    seen = bytearray()
    copy = forwarder._copy

    async def listen(reader, writer):
        class Listening:
            async def read(self, size):
                chunk = await reader.read(size)
                seen.extend(chunk)
                return chunk

        await copy(Listening(), writer)

    monkeypatch.setattr(forwarder, "_copy", listen)
    async with OipServer() as server, client_of(server, authority="up.models.example") as client:
        await client.infer([["a"]])

    assert b":authority" in seen
    assert b"up.models.example" in seen


async def test_metadata_is_asked_for_once_however_many_calls_begin_together():
    async with (
        OipServer(metadata=UPPER) as server,
        client_of(server, inputs=[Input("text", "text")]) as client,
    ):
        await asyncio.gather(*(client.infer([["a"]]) for _ in range(8)))
        await client.infer([["a"]])

    assert server.metadata_calls == 1


async def test_metadata_is_not_asked_for_when_the_pipeline_says_it_all():
    async with OipServer(metadata=UPPER) as server, client_of(server) as client:
        await client.infer([["a"]])

    assert server.metadata_calls == 0


async def test_the_metadata_gives_the_row_its_shape():
    metadata = ModelMetadata("upper", inputs=(TensorMetadata("text", "BYTES", (-1, 1)),))
    async with (
        OipServer(metadata=metadata) as server,
        client_of(server, inputs=[Input("text", "text")]) as client,
    ):
        await client.infer([["a", "b"]])

    assert server.requests[0].shapes == {"text": (2, 1)}


async def test_a_guessed_datatype_is_warned_of_once(caplog):
    inputs = [Input("text", "text")]
    async with OipServer() as server, client_of(server, inputs=inputs) as client:
        with caplog.at_level(logging.WARNING, "headrace"):
            await client.infer([["a"]])
            server.model = in_turn([Garbage(), upper])
            with pytest.raises(BrokenAnswerError):
                await client.infer([["a"]])
            await client.infer([["a"]])

    assert [record.event for record in caplog.records] == ["input_datatype_guessed"]


async def test_a_model_that_was_replaced_is_asked_for_its_metadata_again():
    old = ModelMetadata("upper", inputs=(TensorMetadata("text", "INT64", (-1,)),))
    async with (
        OipServer(metadata=old) as server,
        client_of(server, inputs=[Input("text", "text")]) as client,
    ):
        server.model = in_turn([Refuse(grpc.StatusCode.INVALID_ARGUMENT, "expects BYTES"), upper])
        with pytest.raises(InvalidInputError):
            await client.infer([[1]])
        server.metadata = UPPER

        assert (await client.infer([["a"]])).columns == [["A"]]


async def test_rows_that_cannot_become_tensors_are_named_over_all_inputs_and_not_sent():
    number = Input("n", "n", datatype="INT8", shape=())
    async with OipServer() as server, client_of(server, inputs=[TEXT, number]) as client:
        with pytest.raises(InvalidRowsError) as caught:
            await client.infer([["a", 1, "c", "d"], [1, 2, 300, 4]])

    assert caught.value.reasons == {
        1: "input 'text': expects text, got int",
        2: "input 'n': 300 does not fit INT8",
    }
    assert server.requests == []


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Refuse(grpc.StatusCode.UNAVAILABLE, "loading"), InferenceUnavailableError),
        (Refuse(grpc.StatusCode.RESOURCE_EXHAUSTED), InferenceUnavailableError),
        (Refuse(grpc.StatusCode.NOT_FOUND), AccessRefusedError),
        (Refuse(grpc.StatusCode.INVALID_ARGUMENT), InvalidInputError),
        (Refuse(grpc.StatusCode.INTERNAL), InferenceFailedError),
        (Refuse(grpc.StatusCode.INVALID_ARGUMENT, "x" * 100_000), InvalidInputError),
        (Cut(), InferenceFailedError),
        (Garbage(), BrokenAnswerError),
        (Garbage(b""), BrokenAnswerError),
        (Answer(()), BrokenAnswerError),
        (Answer((Tensor("other", ["a", "b"]),)), BrokenAnswerError),
        (Answer((Tensor("translation", ["a"]),)), RowCountError),
        (Answer((Tensor("translation", ["a", "b"], shape=(1, 2)),)), RowCountError),
        (Answer((Tensor("translation", shape=(2,), raw=b"\x09\0\0\0"),)), BrokenAnswerError),
        (Answer((Tensor("translation", [1, 2], datatype="INT64"),)), BrokenAnswerError),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_what_a_server_does_wrong_has_its_error(behaviour, error):
    inputs = [Input("text", "text")]
    async with (
        OipServer(in_turn([behaviour]), metadata=UPPER) as server,
        client_of(server, inputs=inputs) as client,
    ):
        with pytest.raises(error) as caught:
            await client.infer([["a", "b"]])

    assert type(caught.value) is error
    assert len(str(caught.value).encode()) <= 1024


async def test_a_client_goes_on_after_every_failure():
    failures = [Refuse(grpc.StatusCode.INTERNAL), Garbage(), Answer(())]
    async with OipServer(in_turn([*failures, upper])) as server, client_of(server) as client:
        for _ in failures:
            with pytest.raises((InferenceFailedError, BrokenAnswerError)):
                await client.infer([["a"]])

        assert (await client.infer([["a"]])).columns == [["A"]]


async def test_a_client_connects_again_after_a_cut():
    async with OipServer(in_turn([Cut(), upper])) as server, client_of(server) as client:
        with pytest.raises(InferenceFailedError):
            await client.infer([["a"]])

        async with asyncio.timeout(10):
            assert await answered(client) == [["A"]]


async def answered(client):
    """Repeat a call: for a moment after a cut gRPC still writes to the dead connection."""
    while True:
        with suppress(InferenceFailedError):
            return (await client.infer([["a"]])).columns


async def test_no_answer_in_time_is_a_timeout():
    async with (
        OipServer(in_turn([Hang()])) as server,
        client_of(server, timeout_s=0.2) as client,
    ):
        with pytest.raises(InferenceTimeoutError):
            await client.infer([["a"]])


async def test_no_connection_in_time_is_no_fault_of_the_record():
    with black_hole() as url:
        async with client_of(url, timeout_s=0.2) as client:
            with pytest.raises(InferenceUnavailableError):
                await client.infer([["a"]])


async def test_a_name_that_does_not_resolve_is_unavailable():
    async with client_of("grpc://headrace.invalid:80", timeout_s=5.0) as client:
        with pytest.raises(InferenceUnavailableError):
            await client.infer([["a"]])


async def test_a_slow_answer_in_time_is_an_answer():
    slow = Slow(0.1, Answer((Tensor("translation", ["x"]),)))
    async with OipServer(in_turn([slow])) as server, client_of(server) as client:
        assert (await client.infer([["a"]])).columns == [["x"]]


async def test_a_cancelled_call_is_cancelled_on_the_server_and_the_client_goes_on():
    arrived = asyncio.Event()

    def hang(_request):
        arrived.set()
        return Hang()

    async with OipServer(hang) as server, client_of(server) as client:
        call = asyncio.create_task(client.infer([["a"]]))
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5):
            await server.call_cancelled.wait()
        server.model = upper

        assert list(client.outstanding().values()) == [0]
        assert (await client.infer([["a"]])).columns == [["A"]]


async def test_a_first_call_cancelled_while_it_asks_for_metadata_leaves_the_next_one_free():
    with black_hole() as url:
        inputs = [Input("text", "text")]
        async with client_of(url, inputs=inputs, timeout_s=0.3) as client:
            first = asyncio.create_task(client.infer([["a"]]))
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first

            with pytest.raises(InferenceUnavailableError):
                await client.infer([["a"]])


async def test_typed_contents_are_read_like_raw_ones():
    tensors = (
        Tensor("translation", ["a", "b"], is_typed=True),
        Tensor("score", [0.5, 1.5], datatype="FP64", is_typed=True),
    )
    fields = [TRANSLATION, OutputField("score", "score")]
    async with (
        OipServer(in_turn([Answer(tensors)])) as server,
        client_of(server, outputs=fields) as client,
    ):
        prediction = await client.infer([["x", "y"]])

    assert prediction.columns == [["a", "b"], [0.5, 1.5]]


async def test_raw_contents_may_stand_for_the_outputs_that_have_no_typed_ones():
    tensors = (
        Tensor("translation", ["a"], is_typed=True),
        Tensor("score", [0.5], datatype="FP64"),
    )
    fields = [OutputField("score", "score"), TRANSLATION]
    async with (
        OipServer(in_turn([Answer(tensors)])) as server,
        client_of(server, outputs=fields) as client,
    ):
        assert (await client.infer([["x"]])).columns == [[0.5], ["a"]]


async def test_faults_of_rows_come_with_the_answer():
    tensors = (
        Tensor("translation", [b"a", b"\xff", b"c"]),
        Tensor("score", [float("nan"), 1.0, 2.0], datatype="FP32"),
    )
    fields = [TRANSLATION, OutputField("score", "score")]
    async with (
        OipServer(in_turn([Answer(tensors)])) as server,
        client_of(server, outputs=fields) as client,
    ):
        prediction = await client.infer([["x", "y", "z"]])

    assert prediction.columns == [["a", None, "c"], [None, 1.0, 2.0]]
    assert prediction.faults == {
        1: "output 'translation': BYTES are not UTF-8",
        0: "output 'score': NaN has no JSON form",
    }


async def test_two_fields_may_read_one_tensor_differently():
    tensor = Tensor("score", [float("nan"), 1.0], datatype="FP32")
    fields = [OutputField("a", "score", nan_as_null=True), OutputField("b", "score")]
    async with (
        OipServer(in_turn([Answer((tensor,))])) as server,
        client_of(server, outputs=fields) as client,
    ):
        prediction = await client.infer([["x", "y"]])

    assert prediction.columns == [[None, 1.0], [None, 1.0]]
    assert list(prediction.faults) == [0]


async def test_an_unreachable_replica_is_passed_over_within_the_call():
    async with OipServer() as alive, OipServer() as gone:
        await gone.vanish()
        async with client_of(gone, alive) as client:
            answers = [await client.infer([["a"]]) for _ in range(6)]

    assert [answer.columns for answer in answers] == [[["A"]]] * 6
    assert len(alive.requests) == 6


async def test_a_replica_that_does_not_have_the_model_yet_is_passed_over():
    refusing = in_turn([Refuse(grpc.StatusCode.NOT_FOUND, "Model upper not found")])
    async with (
        OipServer(refusing) as loading,
        OipServer() as serving,
        client_of(loading, serving) as client,
    ):
        for _ in range(4):
            assert (await client.infer([["a"]])).columns == [["A"]]

    assert len(loading.requests) == 1


async def test_a_replica_that_fails_a_call_is_not_left_for_another():
    async with (
        OipServer(in_turn([Cut()])) as crashing,
        OipServer() as alive,
        client_of(crashing, alive) as client,
    ):
        with pytest.raises(InferenceFailedError):
            await client.infer([["a"]])

    assert alive.requests == []


async def test_when_every_replica_is_gone_the_model_is_unavailable():
    async with OipServer() as one, OipServer() as other:
        await one.vanish()
        await other.vanish()
        async with client_of(one, other) as client:
            with pytest.raises(InferenceUnavailableError):
                await client.infer([["a"]])


async def test_calls_at_once_are_spread_over_the_replicas():
    async with OipServer() as one, OipServer() as other, client_of(one, other) as client:
        await asyncio.gather(*(client.infer([["a"]]) for _ in range(20)))

    assert len(one.requests) == len(other.requests) == 10


async def test_ready_is_what_the_model_says():
    async with OipServer() as server, client_of(server) as client:
        assert await client.ready()
        server.is_ready = False
        assert not await client.ready()


@pytest.mark.parametrize(
    ("code", "is_ready"),
    [(grpc.StatusCode.UNIMPLEMENTED, True), (grpc.StatusCode.UNKNOWN, False)],
)
async def test_a_server_without_the_question_counts_as_ready_a_failing_one_does_not(code, is_ready):
    async with OipServer(is_ready=Refuse(code)) as server, client_of(server) as client:
        assert await client.ready() is is_ready


async def test_a_model_that_cannot_be_reached_is_not_ready_and_is_again_when_it_comes_back():
    async with OipServer() as server, client_of(server) as client:
        assert await client.ready()
        await server.vanish()
        assert not await client.ready()

        await server.come_back()
        async with asyncio.timeout(10):
            while not await client.ready():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await client.infer([["a"]])).columns == [["A"]]


async def test_one_ready_replica_is_enough():
    async with (
        OipServer(is_ready=False) as loading,
        OipServer() as serving,
        client_of(loading, serving) as client,
    ):
        assert await client.ready()


async def test_a_closed_client_refuses_calls():
    async with OipServer() as server, client_of(server) as client:
        await client.infer([["a"]])
        await client.close()

        with pytest.raises(InferenceUnavailableError, match="closed"):
            await client.infer([["a"]])


async def test_a_request_larger_than_the_server_takes_is_rejected_as_input():
    async with OipServer(max_request_bytes=1000) as server, client_of(server) as client:
        with pytest.raises(InvalidInputError, match="larger than max"):
            await client.infer([["x" * 600, "y" * 600]])

        assert (await client.infer([["x" * 600]])).columns == [["X" * 600]]


async def test_large_requests_and_answers_pass():
    text = "x" * 6_000_000
    async with OipServer() as server, client_of(server, timeout_s=30.0) as client:
        assert (await client.infer([[text, "a"]])).columns == [[text.upper(), "A"]]


async def test_an_answer_larger_than_what_is_read_is_given_up(monkeypatch):
    monkeypatch.setattr(channels, "MOST_ANSWER_BYTES", 100_000)
    async with OipServer() as server, client_of(server) as client:
        with pytest.raises(InvalidInputError, match="larger than max"):
            await client.infer([["x" * 60_000, "y" * 60_000]])

        assert (await client.infer([["x" * 60_000]])).columns == [["X" * 60_000]]


async def test_a_server_that_repeats_the_token_does_not_put_it_into_the_message():
    def echo(request):
        said = request.metadata["authorization"]
        return Refuse(grpc.StatusCode.UNAUTHENTICATED, f"not accepted: {said}")

    async with OipServer(echo) as server, client_of(server, token="s3cr3t") as client:
        with pytest.raises(AccessRefusedError) as caught:
            await client.infer([["a"]])

    assert "s3cr3t" not in str(caught.value)


async def test_a_rejected_metadata_call_is_no_fault_of_the_records():
    refusal = Refuse(grpc.StatusCode.INVALID_ARGUMENT, "no such model")
    inputs = [Input("text", "text")]
    async with (
        OipServer(metadata=refusal) as server,
        client_of(server, inputs=inputs) as client,
    ):
        with pytest.raises(AccessRefusedError, match="no such model"):
            await client.infer([["a"]])
