"""The scripted server over HTTP: REST with JSON or binary tensors, and KServe V1."""

import asyncio
import base64
import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import msgspec
from aiohttp import web

from headrace.inference.http_transport import JSON_SIZE
from headrace.inference.json_tensors import unpack_json
from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.inference.tensors import arrange, unpack
from headrace.testing.oip_server.script import (
    Answer,
    Garbage,
    Refuse,
    Request,
    Script,
    Tensor,
    raw_of,
)

_Code = grpc.StatusCode

STATUS = {
    _Code.INVALID_ARGUMENT: 400,
    _Code.OUT_OF_RANGE: 400,
    _Code.UNAUTHENTICATED: 401,
    _Code.PERMISSION_DENIED: 403,
    _Code.NOT_FOUND: 404,
    _Code.FAILED_PRECONDITION: 422,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.UNIMPLEMENTED: 501,
    _Code.UNAVAILABLE: 503,
    _Code.DEADLINE_EXCEEDED: 504,
}
"""The HTTP status that means the same; 500 for the rest."""

_PATH = re.compile(
    r"/(?P<api>v[12])/models/(?P<model>[^/:]+)(/versions/(?P<version>[^/:]+))?(?P<verb>[/:]\w+)?"
)


class RestSide:
    """Serves a script over HTTP on a free port of 127.0.0.1.

    Args:
        script: The script.
        ssl_context: Serve TLS with this.
        max_request_bytes: Largest request that is accepted, -1 for any.
    """

    def __init__(
        self, script: Script, ssl_context: ssl.SSLContext | None, max_request_bytes: int
    ) -> None:
        self._script = script
        self._ssl_context = ssl_context
        self._max_request_bytes = max(max_request_bytes, 0)
        self._http: web.Server | None = None
        self._listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Serve; return the port."""
        self._http = web.Server(
            self._serve,
            request_factory=self._request,
            handler_cancellation=True,
            access_log=None,
        )
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._http, "127.0.0.1", 0, ssl=self._ssl_context)
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """End every call and stop."""
        if self._listener is not None:
            self._listener.close()
        if self._http is not None:
            await self._http.shutdown(0.01)

    def _request(
        self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        size = self._max_request_bytes
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=size)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path in {"/v2", "/v2/health/ready"}:
            return self._about(request.path)
        found = _PATH.fullmatch(request.path)
        if found is None:
            return _json({"detail": "Not Found"}, 404)
        match found["api"], found["verb"], request.method:
            case ("v2", "/ready", "GET") | ("v1", None, "GET"):
                return self._ready()
            case "v2", None, "GET":
                return self._describe()
            case ("v2", "/infer", "POST") | ("v1", ":predict", "POST"):
                return await self._infer(request, found)
        return _json({"error": "method not allowed"}, 405)

    def _about(self, path: str) -> web.Response:
        if path == "/v2":
            return _json({"name": "scripted", "extensions": list(self._script.extensions)})
        return self._ready()

    def _ready(self) -> web.Response:
        is_ready = self._script.is_ready
        if isinstance(is_ready, Refuse):
            return _refusal(is_ready)
        return web.Response(status=200 if is_ready else 503)

    def _describe(self) -> web.Response:
        self._script.metadata_calls += 1
        match self._script.metadata:
            case Refuse() as refuse:
                return _refusal(refuse)
            case ModelMetadata() as metadata:
                return _json(_described(metadata))

    async def _infer(self, request: web.BaseRequest, found: re.Match[str]) -> web.Response:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            return _json({"error": f"the request is larger than max: {error.text}"}, 413)
        headers: dict[str, str | bytes] = {
            name.lower(): value for name, value in request.headers.items()
        }
        about = {"model": found["model"], "version": found["version"] or "", "metadata": headers}
        if found["api"] == "v1":
            asked, wish = _parse_v1(body, about), None
        else:
            asked, wish = _parse(body, request.headers.get(JSON_SIZE), about)
        match await self._script.play(asked):
            case Refuse() as refuse:
                return _refusal(refuse)
            case Garbage(content):
                return web.Response(body=content)
            case Answer() as answer:
                return _predictions(answer) if wish is None else _answered(answer, asked, wish)


def _parse(
    body: bytes, size: str | None, about: Mapping[str, Any]
) -> tuple[Request, frozenset[str]]:
    """Return a request, and the outputs that are wanted in binary."""
    at = len(body) if size is None else int(size)
    said = msgspec.json.decode(body[:at])
    shapes = {tensor["name"]: tuple(tensor["shape"]) for tensor in said["inputs"]}
    rows = next(iter(shapes.values()))[0] if shapes else 0
    columns = {}
    for tensor in said["inputs"]:
        name, datatype = tensor["name"], tensor["datatype"]
        length = tensor.get("parameters", {}).get("binary_data_size")
        if length is None:
            values = unpack_json(datatype, tensor["data"])
            columns[name] = arrange(datatype, shapes[name], values, rows).values
        else:
            columns[name] = unpack(datatype, shapes[name], body[at : at + length], rows).values
            at += length
    outputs = said.get("outputs", [])
    wish = (out["name"] for out in outputs if out.get("parameters", {}).get("binary_data"))
    request = Request(
        rows=rows,
        columns=columns,
        datatypes={tensor["name"]: tensor["datatype"] for tensor in said["inputs"]},
        shapes=shapes,
        outputs=tuple(output["name"] for output in outputs),
        protocol="json" if size is None else "binary",
        **about,
    )
    return request, frozenset(wish)


def _parse_v1(body: bytes, about: Mapping[str, Any]) -> Request:
    """Return a request; bare values are its `text`, the input that `upper` reads."""
    instances = msgspec.json.decode(body)["instances"]
    columns: dict[str, list[Any]] = {}
    for instance in instances:
        row = instance if isinstance(instance, dict) else {"text": instance}
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return Request(
        rows=len(instances),
        columns=columns,
        datatypes={},
        shapes={},
        outputs=(),
        protocol="v1",
        **about,
    )


def _answered(answer: Answer, request: Request, wish: frozenset[str]) -> web.Response:
    outputs: list[dict[str, Any]] = []
    raws = []
    for tensor in answer.tensors:
        shape = (len(tensor.values),) if tensor.shape is None else tensor.shape
        output: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": shape,
        }
        if wish and (tensor.name in wish or tensor.raw is not None):
            raws.append(raw_of(tensor))
            output["parameters"] = {"binary_data_size": len(raws[-1])}
        else:
            output |= _data(tensor)
        outputs.append(output)
    said = {"model_name": request.model, "model_version": answer.version, "outputs": outputs}
    if not wish:
        return _json(said)
    head = msgspec.json.encode(said)
    return web.Response(
        body=b"".join([head, *raws]),
        content_type="application/octet-stream",
        headers={JSON_SIZE: str(len(head))},
    )


def _data(tensor: Tensor) -> dict[str, Any]:
    """Return the values as MLServer writes them: what is not UTF-8 as base64, NaN as null."""
    values: Sequence[Any] = tensor.values
    try:
        values = [v.decode() if isinstance(v, bytes) else v for v in values]
    except UnicodeDecodeError:
        values = [base64.b64encode(v if isinstance(v, bytes) else v.encode()) for v in values]
        return {"data": [v.decode() for v in values], "parameters": {"content_type": "base64"}}
    return {"data": values}


def _predictions(answer: Answer) -> web.Response:
    columns = {tensor.name: _v1_values(tensor) for tensor in answer.tensors}
    if len(columns) == 1:
        return _json({"predictions": next(iter(columns.values()))})
    rows = zip(*columns.values(), strict=True)
    return _json({"predictions": [dict(zip(columns, row, strict=True)) for row in rows]})


def _v1_values(tensor: Tensor) -> list[Any]:
    return [
        {"b64": base64.b64encode(v).decode()} if isinstance(v, bytes) else v for v in tensor.values
    ]


def _described(metadata: ModelMetadata) -> dict[str, Any]:
    return {
        "name": metadata.name,
        "versions": metadata.versions,
        "platform": metadata.platform,
        "inputs": _tensors(metadata.inputs),
        "outputs": _tensors(metadata.outputs),
    }


def _tensors(tensors: Sequence[TensorMetadata]) -> list[dict[str, Any]]:
    return [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        for tensor in tensors
    ]


def _refusal(refuse: Refuse) -> web.Response:
    return _json({"error": refuse.details}, refuse.http or STATUS.get(refuse.code, 500))


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(content), status=status, content_type="application/json"
    )
