"""The Open Inference Protocol over gRPC, as an `InferenceClient`."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from headrace.core.topology import Input, Model, OutputField
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    InferenceError,
    InferenceUnavailableError,
    InvalidInputError,
    InvalidRowsError,
    InvariantError,
)
from headrace.inference import oip_pb2 as pb
from headrace.inference.answers import AnswerReader
from headrace.inference.balance import Balancer
from headrace.inference.channels import call_metadata, open_channel, target
from headrace.inference.metadata import (
    Layout,
    ModelMetadata,
    TensorMetadata,
    is_explicit,
    lay_out,
)
from headrace.inference.requests import RequestWriter
from headrace.inference.translate import Failure, translate
from headrace.ports import Prediction

_SERVICE = "/inference.GRPCInferenceService/"
_INFER = _SERVICE + "ModelInfer"
_METADATA = _SERVICE + "ModelMetadata"
_READY = _SERVICE + "ModelReady"
_MIN_SECRET = 4

_UNCONNECTED = frozenset(
    {grpc.ChannelConnectivity.CONNECTING, grpc.ChannelConnectivity.TRANSIENT_FAILURE}
)

_logger = logging.getLogger(__name__)

CallMetadata = tuple[tuple[str, str | bytes], ...]


@dataclass(slots=True)
class _Binding:
    """How requests are written and answers read; `is_guess` until the model accepted a guess."""

    writer: RequestWriter
    reader: AnswerReader
    is_guess: bool


class GrpcClient:
    """One model on one or more replicas, bound to the tensors a step reads and writes.

    The model's metadata is asked for once, before the first call, unless every input states
    datatype and shape; it is asked for again after a rejection or an unreadable answer, for the
    model may have been replaced. A call goes to the replica with the fewest outstanding; one that
    is unreachable or refuses is left for the next within the same call. Cancelling a call cancels
    it on the wire.

    Args:
        model: The model; its URLs are `grpc://` or `grpcs://`.
        inputs: Tensors to send, in the order of the columns given to `infer`.
        outputs: Fields to read, in the order of the prediction's columns.

    Raises:
        ConfigError: A URL, TLS file or header cannot work.
    """

    def __init__(
        self, model: Model, inputs: Sequence[Input], outputs: Sequence[OutputField]
    ) -> None:
        self._model = model
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        metadata = call_metadata(model)
        secrets = {model.token, *model.headers.values()}
        visible = tuple(secret for secret in secrets if len(secret) >= _MIN_SECRET)
        self._replicas = tuple(_Replica(url, model, metadata, visible) for url in model.urls)
        self._balancer = Balancer(len(model.urls))
        self._binding: _Binding | None = None
        self._warned: set[str] = set()
        self._binding_lock = asyncio.Lock()

    async def infer(
        self, columns: Sequence[Sequence[Any]], *, trace: Mapping[str, str] | None = None
    ) -> Prediction:
        """Ask the model for one answer per row.

        Args:
            columns: One sequence per bound input, all of the same length: the rows.
            trace: Trace context (`traceparent`, `tracestate`) to send along.

        Raises:
            InferenceError: As `ports.InferenceClient` says.
        """
        if not columns:
            raise InvariantError("a call without inputs")
        binding = self._binding or await self._bind(columns)
        try:
            request = binding.writer.write(columns)
        except InvalidRowsError:
            if not binding.is_guess:
                raise
            # Nothing that was guessed has been answered yet: the first records may be the bad ones.
            self._binding = None
            binding = await self._bind(columns)
            request = binding.writer.write(columns)
        try:
            answer = await self._ask(_INFER, request, tuple(trace.items()) if trace else ())
            prediction = binding.reader.read(answer, len(columns[0]))
        except (BrokenAnswerError, InvalidInputError):
            # The model may have been replaced by one with other tensors: ask again.
            self._binding = None
            raise
        binding.is_guess = False
        return prediction

    async def metadata(self) -> ModelMetadata:
        """Ask the model what it says about its tensors.

        Raises:
            InferenceUnavailableError: It cannot be reached.
            AccessRefusedError: It refuses, does not know the model, or does not know the call.
            InferenceError: It failed.
        """
        request = pb.ModelMetadataRequest(name=self._model.remote_name, version=self._model.version)
        try:
            answer = await self._ask(_METADATA, request.SerializeToString())
        except InvalidInputError as error:
            # No record has a part in this call: nothing of it may be taken for poison.
            raise AccessRefusedError(str(error), status=error.status) from error
        try:
            response = pb.ModelMetadataResponse.FromString(answer)
        except DecodeError:
            raise BrokenAnswerError("the answer is not a ModelMetadataResponse") from None
        return ModelMetadata(
            response.name or self._model.remote_name,
            tuple(response.versions),
            response.platform,
            _tensors(response.inputs),
            _tensors(response.outputs),
        )

    async def ready(self) -> bool:
        """Whether a replica says the model is ready; False when none can be reached.

        A server that does not know the question counts as ready: only a call can tell.
        """
        request = pb.ModelReadyRequest(name=self._model.remote_name, version=self._model.version)
        serialized = request.SerializeToString()
        for index, replica in enumerate(self._replicas):
            try:
                answer = await replica.call(_READY, serialized)
                if pb.ModelReadyResponse.FromString(answer).ready:
                    self._balancer.reached(index)
                    return True
            except (InferenceError, DecodeError) as error:
                if _is_unimplemented(error):
                    return True
        return False

    async def close(self) -> None:
        """Close connections; calls that still wait are cancelled."""
        for replica in self._replicas:
            await replica.close()

    def outstanding(self) -> dict[str, int]:
        """Return the outstanding calls of every replica."""
        return dict(zip(self._model.urls, self._balancer.outstanding(), strict=True))

    async def _bind(self, columns: Sequence[Sequence[Any]]) -> _Binding:
        async with self._binding_lock:
            if self._binding is None:
                metadata = ModelMetadata(self._model.remote_name)
                if not all(map(is_explicit, self._inputs)):
                    metadata = await self._metadata_or_none()
                layouts = lay_out(metadata, self._inputs, columns)
                self._warn_of_guesses(layouts)
                datatypes = {tensor.name: tensor.datatype for tensor in metadata.outputs}
                self._binding = _Binding(
                    RequestWriter(self._model, layouts, self._outputs),
                    AnswerReader(self._outputs, datatypes),
                    any(layout.is_guess for layout in layouts),
                )
            return self._binding

    async def _metadata_or_none(self) -> ModelMetadata:
        try:
            return await self.metadata()
        except AccessRefusedError as error:
            if _is_unimplemented(error):
                return ModelMetadata(self._model.remote_name)
            raise

    def _warn_of_guesses(self, layouts: Sequence[Layout]) -> None:
        for layout in layouts:
            if layout.is_guess and layout.tensor not in self._warned:
                self._warned.add(layout.tensor)
                _logger.warning(
                    "model does not describe its inputs: datatype guessed from the first values",
                    extra={
                        "event": "input_datatype_guessed",
                        "model": self._model.name,
                        "tensor": layout.tensor,
                        "datatype": layout.datatype,
                        "row_shape": list(layout.row_shape),
                    },
                )

    async def _ask(self, method: str, request: bytes, metadata: CallMetadata = ()) -> bytes:
        loop = asyncio.get_running_loop()
        tried: list[int] = []
        while True:
            index = self._balancer.take(loop.time(), tried)
            tried.append(index)
            try:
                answer = await self._replicas[index].call(method, request, metadata)
            except (InferenceUnavailableError, AccessRefusedError):
                self._balancer.unreachable(index, loop.time())
                if len(tried) == len(self._replicas):
                    raise
            except InferenceError:
                self._balancer.reached(index)
                raise
            else:
                self._balancer.reached(index)
                return answer
            finally:
                self._balancer.give_back(index)


class _Replica:
    """The channel to one server; it is opened by the first call, in the loop that makes it."""

    def __init__(
        self, url: str, model: Model, metadata: CallMetadata, secrets: Sequence[str]
    ) -> None:
        self._url = url
        self._model = model
        self._metadata = metadata
        self._secrets = secrets
        self._where = f"model {model.name!r} on {target(url)}"
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Any] = {}
        self._is_closed = False

    async def call(self, method: str, request: bytes, metadata: CallMetadata = ()) -> bytes:
        callable_ = self._methods.get(method) or self._open(method)
        try:
            answer: bytes = await callable_(
                request, timeout=self._model.timeout_s, metadata=self._metadata + metadata
            )
        except grpc.aio.AioRpcError as error:
            failure = Failure(error.code(), error.details() or "", self._is_connected())
            raise translate(failure, self._where, self._secrets) from error
        return answer

    async def close(self) -> None:
        self._is_closed = True
        self._methods.clear()
        if self._channel is not None:
            await self._channel.close(None)

    def _open(self, method: str) -> Any:
        if self._is_closed:
            raise InferenceUnavailableError(f"{self._where}: the client is closed")
        if self._channel is None:
            self._channel = open_channel(self._url, self._model)
        self._methods[method] = self._channel.unary_unary(method, None, None)
        return self._methods[method]

    def _is_connected(self) -> bool:
        return self._channel is None or self._channel.get_state() not in _UNCONNECTED


def _tensors(described: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in described
    )


def _is_unimplemented(error: BaseException) -> bool:
    cause = error.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNIMPLEMENTED
