"""What every inference client owes the runtime, against the scripted server and a real MLServer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import grpc
import pytest

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    InferenceError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    InvalidRowsError,
    RowCountError,
)
from headrace.inference.client import ModelClient
from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.inference.protocols import client_of
from headrace.local.model_server import ModelServer
from headrace.testing.oip_server import (
    Answer,
    Behaviour,
    Hang,
    OipServer,
    Refuse,
    Request,
    Slow,
    Tensor,
)

ROOT = Path(__file__).parents[2]
WITHIN_S = 20.0
CODES = {
    "400": grpc.StatusCode.INVALID_ARGUMENT,
    "401": grpc.StatusCode.UNAUTHENTICATED,
    "403": grpc.StatusCode.PERMISSION_DENIED,
    "404": grpc.StatusCode.NOT_FOUND,
    "418": grpc.StatusCode.UNKNOWN,
    "422": grpc.StatusCode.FAILED_PRECONDITION,
    "429": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "500": grpc.StatusCode.INTERNAL,
    "501": grpc.StatusCode.UNIMPLEMENTED,
    "503": grpc.StatusCode.UNAVAILABLE,
    "504": grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Place(Protocol):
    """Where a server stands that has the models `upper` and `score` of benchmarks/model-upper.

    Attributes:
        protocol: What it is spoken to in: `grpc`, `json`, `binary` or `v1`.
        profile: The profile that leads there.
        is_real: Whether it is MLServer.
    """

    protocol: str
    profile: Profile
    is_real: bool

    def open(self) -> contextlib.AbstractAsyncContextManager[str]:
        """Give the server's URL."""

    async def die(self) -> None:
        """End the server as SIGKILL does."""

    async def come_back(self) -> None:
        """Serve again at the same URL."""


class Scripted:
    """The scripted server, following the orders in its rows as the real model does."""

    is_real = False

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        # That the server lists the extension is enough for binary.
        self.profile = {"json": Profile.JSON, "v1": Profile.V1}.get(protocol, Profile.AUTO)
        self._server = OipServer(obey, metadata=METADATA["upper"])

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        async with self._server:
            yield self._server.url if self.protocol == "grpc" else self._server.http_url

    async def die(self) -> None:
        await self._server.vanish()

    async def come_back(self) -> None:
        await self._server.come_back()


class Real:
    """MLServer in a process of its own."""

    is_real = True
    profile = Profile.AUTO

    def __init__(self, server: ModelServer, protocol: str) -> None:
        self.protocol = protocol
        self._server = server

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        yield self._server.url("grpc" if self.protocol == "grpc" else "http")

    async def die(self) -> None:
        await asyncio.to_thread(self._server.kill)

    async def come_back(self) -> None:
        await asyncio.to_thread(self._server.restart)


def _described(name: str, output: str, datatype: str) -> ModelMetadata:
    return ModelMetadata(
        name,
        platform="bench",
        inputs=(TensorMetadata("text", "BYTES", (-1,)),),
        outputs=(TensorMetadata(output, datatype, (-1,)),),
    )


METADATA = {
    "upper": _described("upper", "translation", "BYTES"),
    "score": _described("score", "score", "FP32"),
}


def obey(request: Request) -> Behaviour:
    if request.model not in METADATA:
        return Refuse(grpc.StatusCode.NOT_FOUND, f"Model {request.model} not found")
    texts = request.columns["text"]
    orders = [text[1:].partition(" ")[0] for text in texts if text.startswith("!")]
    for order in orders:
        if order in CODES:
            return Refuse(CODES[order], f"poison rows: {texts!r}", http=int(order))
    tensor = spoil(answer(request.model, texts), orders)
    for order in orders:
        word, _, value = order.partition("=")
        if word == "hang":
            return Hang()
        if word == "slow":
            return Slow(float(value), Answer((tensor,)))
    return Answer((tensor,))


def answer(model: str, texts: list[str]) -> Tensor:
    if model == "upper":
        return Tensor("translation", [text.upper() for text in texts])
    special = {"!nan": "nan", "!inf": "inf"}
    return Tensor("score", [float(special.get(t, len(t))) for t in texts], datatype="FP32")


def spoil(tensor: Tensor, orders: list[str]) -> Tensor:
    rows = len(tensor.values)
    if "rows" in orders:
        return Tensor(tensor.name, tensor.values[:-1])
    if "shape" in orders:
        return Tensor(tensor.name, tensor.values, shape=(rows + 1,))
    if "name" in orders:
        return Tensor("unexpected", tensor.values)
    if "dtype" in orders:
        return Tensor(tensor.name, [1] * rows, datatype="INT64")
    if "utf8" in orders:
        return Tensor(tensor.name, [b"\xff\xfe"] * rows)
    return tensor


@pytest.fixture(scope="session")
def mlserver() -> Iterator[ModelServer]:
    """One MLServer for all tests of this process."""
    with ModelServer("benchmarks/model-upper", directory=ROOT) as server:
        yield server


def places(*protocols: str) -> list[object]:
    """Return the scripted server and the real one, as parameters, in these protocols."""
    real = [protocol for protocol in protocols if protocol in {"grpc", "json"}]
    return [
        *(pytest.param(("scripted", each), id=f"scripted-{each}") for each in protocols),
        *(
            pytest.param(("mlserver", each), id=f"mlserver-{each}", marks=pytest.mark.mlserver)
            for each in real
        ),
    ]


def place_of(request: pytest.FixtureRequest) -> Place:
    kind, protocol = request.param
    if kind == "scripted":
        return Scripted(protocol)
    return Real(request.getfixturevalue("mlserver"), protocol)


@pytest.fixture(params=places("grpc", "json", "binary", "v1"))
def place(request: pytest.FixtureRequest) -> Place:
    return place_of(request)


@pytest.fixture(params=places("grpc", "json", "binary"))
def tensor_place(request: pytest.FixtureRequest) -> Place:
    """A place whose protocol has tensors and metadata: KServe V1 has neither."""
    return place_of(request)


@contextlib.asynccontextmanager
async def client_at(
    place: Place,
    model: str = "upper",
    *,
    timeout_s: float = WITHIN_S,
    is_stated: bool = True,
    nan_as_null: bool = False,
) -> AsyncIterator[ModelClient]:
    tensor = "score" if model == "score" else "translation"
    stated = Input("text", "text", datatype="BYTES", shape=())
    async with place.open() as url:
        client = client_of(
            Model(model, (url,), model, timeout_s=timeout_s, profile=place.profile),
            [stated if is_stated else Input("text", "text")],
            [OutputField("out", tensor, nan_as_null=nan_as_null)],
        )
        try:
            yield client
        finally:
            await client.close()


def test_every_row_has_its_answer_in_order(place):
    texts = [f"row {n} ñ" for n in range(256)]

    async def scenario():
        async with client_at(place) as client:
            return await client.infer([texts])

    assert asyncio.run(scenario()).columns == [[text.upper() for text in texts]]


def test_calls_at_once_do_not_mix_their_rows(place):
    async def scenario():
        async with client_at(place) as client:
            calls = [client.infer([[f"call {n}", "x"]]) for n in range(20)]
            return [prediction.columns for prediction in await asyncio.gather(*calls)]

    assert asyncio.run(scenario()) == [[[f"CALL {n}", "X"]] for n in range(20)]


def test_numbers_come_as_numbers(place):
    async def scenario():
        async with client_at(place, "score") as client:
            return await client.infer([["a", "", "abc"]])

    assert asyncio.run(scenario()).columns == [[1.0, 0.0, 3.0]]


def test_a_model_describes_its_tensors(tensor_place):
    async def scenario():
        async with client_at(tensor_place) as client:
            return await client.metadata()

    metadata = asyncio.run(scenario())

    assert metadata.inputs == METADATA["upper"].inputs
    assert metadata.outputs == METADATA["upper"].outputs


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ("!400", InvalidInputError),
        ("!401", AccessRefusedError),
        ("!403", AccessRefusedError),
        ("!404", AccessRefusedError),
        ("!418", InferenceFailedError),
        ("!422", InvalidInputError),
        ("!429", InferenceUnavailableError),
        ("!500", InferenceFailedError),
        ("!501", AccessRefusedError),
        ("!503", InferenceUnavailableError),
        ("!504", InferenceTimeoutError),
        ("!rows", RowCountError),
    ],
)
def test_a_failure_has_the_error_that_says_what_follows(place, order, error):
    if order == "!418" and place.protocol != "grpc":
        # gRPC has no such status: it comes as UNKNOWN.
        error = InvalidInputError

    async def scenario():
        async with client_at(place) as client:
            with pytest.raises(InferenceError) as caught:
                await client.infer([[f"{order} x", "y"]])
            assert (await client.infer([["y"]])).columns == [["Y"]]
        return caught.value

    assert type(asyncio.run(scenario())) is error


@pytest.mark.parametrize(
    ("order", "error"), [("!shape", RowCountError), ("!name", BrokenAnswerError)]
)
def test_an_answer_with_other_tensors_is_not_read(tensor_place, order, error):
    async def scenario():
        async with client_at(tensor_place) as client:
            with pytest.raises(error):
                await client.infer([[f"{order} x", "y"]])

    asyncio.run(scenario())


def test_an_answer_of_another_datatype_than_the_metadata_says_is_broken(tensor_place):
    async def scenario():
        async with client_at(tensor_place, is_stated=False) as client:
            with pytest.raises(BrokenAnswerError, match=r"INT64 where .* BYTES"):
                await client.infer([["!dtype x", "y"]])

    asyncio.run(scenario())


def test_an_unknown_model_is_refused(place):
    async def scenario():
        async with client_at(place, "nobody") as client:
            with pytest.raises(AccessRefusedError, match="nobody"):
                await client.infer([["x"]])

    asyncio.run(scenario())


def test_a_long_error_text_does_not_change_the_error(place):
    async def scenario():
        async with client_at(place) as client:
            with pytest.raises(InvalidInputError) as caught:
                await client.infer([["!400 " + "x" * 50_000]])
        return str(caught.value)

    assert len(asyncio.run(scenario()).encode()) <= 1024


def test_rows_that_cannot_become_tensors_are_named_and_not_sent(place):
    async def scenario():
        async with client_at(place) as client:
            with pytest.raises(InvalidRowsError) as caught:
                await client.infer([["!500 would fail if sent", 7, None]])
        return caught.value.reasons

    assert list(asyncio.run(scenario())) == [1, 2]


def test_text_that_is_not_utf8_is_a_fault_of_its_rows(place):
    async def scenario():
        async with client_at(place) as client:
            return await client.infer([["!utf8", "y"]])

    if place.is_real and place.protocol == "json":
        # MLServer fails to write it as JSON.
        with pytest.raises(InferenceFailedError):
            asyncio.run(scenario())
        return
    prediction = asyncio.run(scenario())

    assert prediction.columns == [[None, None]]
    assert list(prediction.faults) == [0, 1]


@pytest.mark.parametrize("order", ["!nan", "!inf"])
def test_a_number_that_json_does_not_have_is_a_fault_of_its_row(place, order):
    async def scenario():
        async with client_at(place, "score") as client:
            return await client.infer([["a", order, "abc"]])

    prediction = asyncio.run(scenario())

    assert prediction.columns == [[1.0, None, 3.0]]
    assert list(prediction.faults) == [1]


def test_nan_is_null_for_a_field_that_says_so(place):
    async def scenario():
        async with client_at(place, "score", nan_as_null=True) as client:
            return await client.infer([["a", "!nan"]])

    prediction = asyncio.run(scenario())

    assert (prediction.columns, prediction.faults) == ([[1.0, None]], {})


def test_no_answer_in_time_is_a_timeout(place):
    async def scenario():
        async with client_at(place, timeout_s=0.5) as client:
            await client.infer([["connects"]])
            with pytest.raises(InferenceTimeoutError):
                await client.infer([["!hang"]])

    asyncio.run(scenario())


async def hanging(client: ModelClient) -> asyncio.Task[object]:
    """Send a call that is never answered, and return it once the server has it."""
    await client.infer([["connects"]])
    # The call takes the connection that is there; one that had to connect might be overtaken.
    call = asyncio.create_task(client.infer([["!hang"]]))
    await asyncio.sleep(0)
    await client.infer([["comes later"]])
    return call


def test_a_cancelled_call_leaves_the_client_usable(place):
    async def scenario():
        async with client_at(place) as client:
            call = await hanging(client)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            return await client.infer([["y"]])

    assert asyncio.run(scenario()).columns == [["Y"]]


def test_a_model_is_ready_or_not(place):
    async def scenario():
        async with client_at(place) as client:
            return await client.ready()

    assert asyncio.run(scenario())


async def until_noticed(client: ModelClient) -> None:
    """Repeat a call: for a moment after a cut gRPC still writes to the dead connection."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            with contextlib.suppress(InferenceFailedError):
                await client.infer([["y"]])


def test_a_server_that_dies_during_a_call_uses_an_attempt_and_is_then_unavailable(place):
    async def scenario():
        async with client_at(place) as client:
            call = await hanging(client)
            await place.die()
            with pytest.raises(InferenceFailedError):
                await call
            with pytest.raises(InferenceUnavailableError):
                await until_noticed(client)
            assert not await client.ready()

            await place.come_back()
            async with asyncio.timeout(WITHIN_S):
                while not await client.ready():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            return await client.infer([["y"]])

    assert asyncio.run(scenario()).columns == [["Y"]]
