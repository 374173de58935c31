"""What a relay shows to workers: a gRPC server, or an HTTP one, that passes calls on."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import aiohttp
import grpc
import grpc.aio
from aiohttp import web

from headrace.inference import oip_pb2 as pb
from headrace.inference.tensors import BYTES, unpack

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_NO_TENSORS = b"\xff" * 40
_MOST_BYTES = 2**30
_JSON = {"content-type": "application/json"}
_WITHIN_S = 60.0

Forward: TypeAlias = Callable[[], Awaitable[bytes]]
Garble: TypeAlias = Callable[[bytes, int], bytes]
"""Spoils an answer, in a way that a number chooses."""

Answer: TypeAlias = Callable[[list[str] | None, Forward, Garble], Awaitable[bytes]]
"""Answers a call about these texts, None for any other; raises `DownError` where none is to be."""


class DownError(Exception):
    """The server is to seem away."""


class Front(Protocol):
    """A server in the running loop."""

    async def start(self, port: int, answer: Answer) -> None:
        """Listen."""
        ...

    async def stop(self) -> None:
        """Let go of everything."""
        ...


def front_of(target: str) -> Front:
    """Return what speaks as a model server at a URL does."""
    kind, _, address = target.partition("://")
    return GrpcFront(address) if kind == "grpc" else HttpFront(target)


class GrpcFront:
    """Calls over gRPC."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def start(self, port: int, answer: Answer) -> None:
        options = [
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.initial_reconnect_backoff_ms", 100),
        ]
        self._answer = answer
        self._channel = grpc.aio.insecure_channel(self._address, options=options)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Handler(self._called),))
        self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)
        await self._channel.close()

    async def _called(self, method: str, request: bytes, context: Any) -> bytes:
        async def forward() -> bytes:
            reply: bytes = await self._channel.unary_unary(method)(request, timeout=_WITHIN_S)
            return reply

        texts = _rows_of(request) if method == _INFER else None
        try:
            return await self._answer(texts, forward, _garbled)
        except DownError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down for a while")
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        raise AssertionError("an aborted call goes on")


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method

        async def called(request: bytes, context: Any) -> bytes:
            answered: bytes = await self._answer(method, request, context)
            return answered

        return grpc.unary_unary_rpc_method_handler(called)


def _rows_of(request: bytes) -> list[str]:
    """Return the rows of a request's first tensor."""
    asked = pb.ModelInferRequest.FromString(request)
    tensor, raw = asked.inputs[0], asked.raw_input_contents[0]
    return list(unpack(BYTES, tensor.shape, raw, tensor.shape[0]).values)


def _garbled(reply: bytes, how: int) -> bytes:
    answer = pb.ModelInferResponse.FromString(reply)
    if not answer.outputs:
        return _NO_TENSORS
    match how % 5:
        case 0:
            answer.outputs[0].shape[:] = [answer.outputs[0].shape[0] - 1]
        case 1:
            answer.outputs[0].name = "unexpected"
        case 2:
            answer.outputs[0].datatype = "INT64"
        case 3:
            del answer.outputs[:]
        case 4:
            return _NO_TENSORS
    return bytes(answer.SerializeToString())


class HttpFront:
    """Calls over REST, in JSON."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def start(self, port: int, answer: Answer) -> None:
        self._answer = answer
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_WITHIN_S))
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", self._called)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _called(self, request: web.Request) -> web.Response:
        body = await request.read()
        status = 200

        async def forward() -> bytes:
            nonlocal status
            async with self._session.request(
                request.method, self._url + request.path, data=body or None, headers=_JSON
            ) as response:
                status = response.status
                return await response.read()

        texts = json.loads(body)["inputs"][0]["data"] if request.path.endswith("/infer") else None
        try:
            reply = await self._answer(texts, forward, _garbled_json)
        except DownError:
            return web.Response(status=503, text="down for a while")
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=503, text=f"not there: {error}")
        return web.Response(status=status, body=reply, headers=_JSON)


def _garbled_json(reply: bytes, how: int) -> bytes:
    answer = json.loads(reply)
    if not answer.get("outputs"):
        return _NO_TENSORS
    output = answer["outputs"][0]
    match how % 5:
        case 0:
            output["shape"] = [output["shape"][0] - 1]
        case 1:
            output["name"] = "unexpected"
        case 2:
            output["datatype"] = "INT64"
        case 3:
            del answer["outputs"]
        case 4:
            return _NO_TENSORS
    return json.dumps(answer).encode()
