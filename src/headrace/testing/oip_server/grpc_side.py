"""The scripted server over gRPC."""

from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from headrace.errors import InvariantError
from headrace.inference import oip_pb2 as pb
from headrace.inference.answers import CONTENTS
from headrace.inference.metadata import ModelMetadata
from headrace.inference.tensors import unpack
from headrace.testing.oip_server.script import Answer, Garbage, Refuse, Request, Script, raw_of

_SERVICE = "inference.GRPCInferenceService"


class GrpcSide:
    """Serves a script over gRPC on a free port of 127.0.0.1.

    Args:
        script: The script.
        credentials: Serve TLS with these.
        max_request_bytes: Largest request that is accepted, -1 for any.
    """

    def __init__(
        self, script: Script, credentials: grpc.ServerCredentials | None, max_request_bytes: int
    ) -> None:
        self._script = script
        self._credentials = credentials
        self._options = (
            ("grpc.max_receive_message_length", max_request_bytes),
            ("grpc.max_send_message_length", -1),
        )
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Serve; return the port."""
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
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", self._credentials)
        await server.start()
        self._server = server
        return port

    async def stop(self) -> None:
        """End every call and stop."""
        if self._server is not None:
            await self._server.stop(None)

    async def _ready(self, _request: bytes, context: Any) -> bytes:
        is_ready = self._script.is_ready
        if isinstance(is_ready, Refuse):
            await context.abort(is_ready.code, is_ready.details)
        answer: bytes = pb.ModelReadyResponse(ready=is_ready).SerializeToString()
        return answer

    async def _describe(self, _request: bytes, context: Any) -> bytes:
        self._script.metadata_calls += 1
        match self._script.metadata:
            case Refuse(code, details):
                await context.abort(code, details)
                raise InvariantError("an aborted call went on")
            case ModelMetadata() as metadata:
                return _serialize_metadata(metadata)

    async def _infer(self, serialized: bytes, context: Any) -> bytes:
        request = _parse(serialized, dict(context.invocation_metadata()))
        match await self._script.play(request):
            case Answer() as answer:
                return _serialize_answer(answer, request)
            case Garbage(content):
                return content
            case Refuse(code, details):
                await context.abort(code, details)
        raise InvariantError("an aborted call went on")


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
            response.raw_output_contents.append(raw_of(tensor))
    serialized: bytes = response.SerializeToString()
    return serialized


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
