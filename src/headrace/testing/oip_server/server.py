"""A scripted model server that speaks the Open Inference Protocol in every form, for tests."""

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from headrace.inference.metadata import ModelMetadata
from headrace.testing.oip_server.forwarder import Forwarder
from headrace.testing.oip_server.grpc_side import GrpcSide
from headrace.testing.oip_server.rest_side import RestSide
from headrace.testing.oip_server.script import NO_METADATA, Model, Refuse, Script, upper


class OipServer(Script):
    """A model server on free ports of 127.0.0.1, whose model is a Python callable.

    One port speaks gRPC; the other REST with JSON, with binary tensors, and KServe V1. All follow
    the same script. Calls are recorded in `requests`; `call_cancelled` is set once a caller gave
    up. Connections pass through a forwarder, so that they can be cut like a real network's;
    `direct_url` and `direct_http_url` leave it out.

    Args:
        model: What to do with a request; it may be replaced at any time.
        metadata: What the model says about itself; by default the server does not know the call.
        is_ready: What the model says when asked, or how it refuses the question.
        extensions: Extensions that the server lists over REST.
        credentials: Serve gRPC over TLS with these.
        ssl_context: Serve REST over TLS with this.
        max_request_bytes: Largest request that is accepted, -1 for any.
    """

    def __init__(
        self,
        model: Model = upper,
        *,
        metadata: ModelMetadata | Refuse = NO_METADATA,
        is_ready: bool | Refuse = True,
        extensions: Sequence[str] = ("binary_tensor_data",),
        credentials: grpc.ServerCredentials | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_request_bytes: int = -1,
    ) -> None:
        super().__init__(model, metadata, is_ready, extensions)
        self._schemes = ("grpcs" if credentials else "grpc", "https" if ssl_context else "http")
        self._sides = (
            GrpcSide(self, credentials, max_request_bytes),
            RestSide(self, ssl_context, max_request_bytes),
        )
        self._forwarders = (Forwarder(), Forwarder())
        self._ports = (0, 0)

    async def __aenter__(self) -> Self:
        grpc_side, rest_side = self._sides
        self._ports = (await grpc_side.start(), await rest_side.start())
        await self.come_back()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.vanish()
        for side in self._sides:
            await side.stop()

    @property
    def url(self) -> str:
        """Where clients connect over gRPC."""
        return f"{self._schemes[0]}://127.0.0.1:{self._forwarders[0].port}"

    @property
    def http_url(self) -> str:
        """Where clients connect over HTTP."""
        return f"{self._schemes[1]}://127.0.0.1:{self._forwarders[1].port}"

    @property
    def direct_url(self) -> str:
        """The gRPC server without the forwarder before it."""
        return f"{self._schemes[0]}://127.0.0.1:{self._ports[0]}"

    @property
    def direct_http_url(self) -> str:
        """The HTTP server without the forwarder before it."""
        return f"{self._schemes[1]}://127.0.0.1:{self._ports[1]}"

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        for forwarder in self._forwarders:
            forwarder.cut()

    async def vanish(self) -> None:
        """Reset every connection and refuse new ones, as if the process were gone."""
        for forwarder in self._forwarders:
            await forwarder.close()

    async def come_back(self) -> None:
        """Accept connections again, on the same ports."""
        for forwarder, port in zip(self._forwarders, self._ports, strict=True):
            await forwarder.open(port)
