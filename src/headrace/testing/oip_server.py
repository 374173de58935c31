"""A scripted model server that speaks the Open Inference Protocol over gRPC, for tests."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from headrace.errors import InvariantError
from headrace.inference import oip_pb2 as pb
from headrace.inference.answers import CONTENTS
from headrace.inference.metadata import ModelMetadata
from headrace.inference.tensors import pack, unpack

_SERVICE = "inference.GRPCInferenceService"
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was asked.

    Attributes:
        model: The model's name.
        version: The version asked for.
        rows: Rows of the first input.
        columns: Values by input, one per row.
        datatypes: Datatype by input.
        shapes: Shape by input, rows first.
        outputs: Names of the outputs asked for.
        metadata: Call metadata (headers).
    """

    model: str
    version: str
    rows: int
    columns: Mapping[str, Sequence[Any]]
    datatypes: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    metadata: Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An output; `values` (flat, rows first) are packed unless `raw` says the bytes exactly.

    Attributes:
        name: The tensor's name.
        values: Flat values; text or bytes for BYTES.
        datatype: OIP datatype.
        shape: Its shape, None for one element per row.
        raw: Contents to send as they are.
        is_typed: Whether values go as typed contents instead of raw ones.
    """

    name: str
    values: Sequence[Any] = ()
    datatype: str = "BYTES"
    shape: tuple[int, ...] | None = None
    raw: bytes | None = None
    is_typed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer with these tensors, whether or not they fit the request."""

    tensors: tuple[Tensor, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """End the call with a status."""

    code: grpc.StatusCode
    details: str = "scripted"


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset every connection in the middle of the call, as a dying server does."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answer with bytes that are no ModelInferResponse."""

    content: bytes = b"\xff\xff\xff garbage"


@dataclass(frozen=True, slots=True)
class Slow:
    """Wait, then do the next thing."""

    seconds: float
    then: "Behaviour"


Behaviour = Answer | Refuse | Hang | Cut | Garbage | Slow
Model = Callable[[Request], Behaviour]


def upper(request: Request) -> Answer:
    """Answer `translation`, the upper-cased `text`."""
    texts = request.columns["text"]
    return Answer((Tensor("translation", [text.upper() for text in texts]),), version="1")


_NO_METADATA = Refuse(grpc.StatusCode.UNIMPLEMENTED, "no metadata here")


def in_turn(behaviours: Sequence[Behaviour | Model]) -> Model:
    """Return a model that does one thing per call; the last one again and again."""
    left = list(behaviours)

    def model(request: Request) -> Behaviour:
        step = left.pop(0) if len(left) > 1 else left[0]
        return step(request) if callable(step) else step

    return model


class OipServer:
    """A gRPC model server on a free port of 127.0.0.1, whose model is a Python callable.

    Calls are recorded in `requests`; `call_cancelled` is set once a caller gave up. Connections
    pass through a forwarder, so that they can be cut like a real network's; `direct_url` leaves
    it out.

    Args:
        model: What to do with a request; it may be replaced at any time.
        metadata: What the model says about itself; by default the server does not know the call.
        is_ready: What the model says when asked, or how it refuses the question.
        credentials: Serve TLS with these.
        max_request_bytes: Largest request that is accepted, -1 for any.
    """

    def __init__(
        self,
        model: Model = upper,
        *,
        metadata: ModelMetadata | Refuse = _NO_METADATA,
        is_ready: bool | Refuse = True,
        credentials: grpc.ServerCredentials | None = None,
        max_request_bytes: int = -1,
    ) -> None:
        self.model = model
        self.metadata = metadata
        self.is_ready = is_ready
        self.requests: list[Request] = []
        self.metadata_calls = 0
        self.call_cancelled = asyncio.Event()
        self._credentials = credentials
        self._options = (
            ("grpc.max_receive_message_length", max_request_bytes),
            ("grpc.max_send_message_length", -1),
        )
        self._server: grpc.aio.Server | None = None
        self._forwarder = _Forwarder()
        self._port = 0

    async def __aenter__(self) -> Self:
        server = grpc.aio.server(options=self._options)
        handlers = {
            "ModelReady": self._ready,
            "ModelMetadata": self._describe,
            "ModelInfer": self._infer,
        }
        generic = grpc.method_handlers_generic_handler(
            _SERVICE,
            {name: grpc.unary_unary_rpc_method_handler(do) for name, do in handlers.items()},
        )
        server.add_generic_rpc_handlers((generic,))
        if self._credentials is None:
            self._port = server.add_insecure_port("127.0.0.1:0")
        else:
            self._port = server.add_secure_port("127.0.0.1:0", self._credentials)
        await server.start()
        self._server = server
        await self._forwarder.open(self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._forwarder.close()
        if self._server is not None:
            await self._server.stop(None)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{self._scheme}://127.0.0.1:{self._forwarder.port}"

    @property
    def direct_url(self) -> str:
        """The server without the forwarder before it."""
        return f"{self._scheme}://127.0.0.1:{self._port}"

    @property
    def _scheme(self) -> str:
        return "grpc" if self._credentials is None else "grpcs"

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        self._forwarder.cut()

    async def vanish(self) -> None:
        """Reset every connection and refuse new ones, as if the process were gone."""
        await self._forwarder.close()

    async def come_back(self) -> None:
        """Accept connections again, on the same port."""
        await self._forwarder.open(self._port)

    async def _ready(self, _request: bytes, context: Any) -> bytes:
        if isinstance(self.is_ready, Refuse):
            await context.abort(self.is_ready.code, self.is_ready.details)
        answer: bytes = pb.ModelReadyResponse(ready=self.is_ready).SerializeToString()
        return answer

    async def _describe(self, _request: bytes, context: Any) -> bytes:
        self.metadata_calls += 1
        match self.metadata:
            case Refuse(code, details):
                await context.abort(code, details)
                raise InvariantError("an aborted call went on")
            case ModelMetadata() as metadata:
                return _serialize_metadata(metadata)

    async def _infer(self, serialized: bytes, context: Any) -> bytes:
        request = _parse(serialized, dict(context.invocation_metadata()))
        self.requests.append(request)
        try:
            return await self._act(self.model(request), request, context)
        except asyncio.CancelledError:
            self.call_cancelled.set()
            raise

    async def _act(self, behaviour: Behaviour, request: Request, context: Any) -> bytes:
        match behaviour:
            case Answer():
                return _serialize_answer(behaviour, request)
            case Garbage(content):
                return content
            case Refuse(code, details):
                await context.abort(code, details)
            case Slow(seconds, then):
                await asyncio.sleep(seconds)
                return await self._act(then, request, context)
            case Cut():
                self.cut()
            case Hang():
                pass
        await asyncio.Event().wait()
        return b""


def _parse(serialized: bytes, metadata: Mapping[str, str | bytes]) -> Request:
    request = pb.ModelInferRequest.FromString(serialized)
    shapes = {tensor.name: tuple(tensor.shape) for tensor in request.inputs}
    rows = next(iter(shapes.values()))[0] if shapes else 0
    return Request(
        model=request.model_name,
        version=request.model_version,
        rows=rows,
        columns={
            tensor.name: unpack(tensor.datatype, tuple(tensor.shape), raw, rows).values
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        },
        datatypes={tensor.name: tensor.datatype for tensor in request.inputs},
        shapes=shapes,
        outputs=tuple(tensor.name for tensor in request.outputs),
        metadata=metadata,
    )


def _serialize_answer(answer: Answer, request: Request) -> bytes:
    response = pb.ModelInferResponse(model_name=request.model, model_version=answer.version)
    for tensor in answer.tensors:
        shape = (len(tensor.values),) if tensor.shape is None else tensor.shape
        output = response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        if tensor.is_typed:
            values = [v.encode() if isinstance(v, str) else v for v in tensor.values]
            getattr(output.contents, CONTENTS[tensor.datatype]).extend(values)
        else:
            response.raw_output_contents.append(_raw(tensor))
    serialized: bytes = response.SerializeToString()
    return serialized


def _raw(tensor: Tensor) -> bytes:
    if tensor.raw is not None:
        return tensor.raw
    if any(isinstance(value, bytes) for value in tensor.values):
        return b"".join(len(v).to_bytes(4, "little") + v for v in tensor.values)
    return pack(tensor.datatype, (), tensor.values)


def _serialize_metadata(metadata: ModelMetadata) -> bytes:
    described = pb.ModelMetadataResponse(
        name=metadata.name, versions=metadata.versions, platform=metadata.platform
    )
    for ours, theirs in (
        (metadata.inputs, described.inputs),
        (metadata.outputs, described.outputs),
    ):
        for tensor in ours:
            theirs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    serialized: bytes = described.SerializeToString()
    return serialized


@dataclass(slots=True)
class _Forwarder:
    """Passes TCP connections on to a port of this machine, until they are cut."""

    port: int = 0
    _listener: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self, target_port: int) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await self._forward(reader, writer, target_port)

        self._listener = await asyncio.start_server(accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target_port: int
    ) -> None:
        onward, back = await asyncio.open_connection("127.0.0.1", target_port)
        ends = {writer, back}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, back), name="forward")
                tasks.create_task(_copy(onward, writer), name="backward")
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await end.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.transport.abort()
