"""Calls to one replica over gRPC."""

from collections.abc import Callable, Collection
from typing import Any

import grpc
import grpc.aio

from headrace.core.models import Model
from headrace.errors import InferenceUnavailableError
from headrace.inference.addresses import parse
from headrace.inference.channels import call_metadata, open_channel, target
from headrace.inference.exchange import Headers, Question, Reply
from headrace.inference.tls import read_files
from headrace.inference.translate import Failure, translate

_UNCONNECTED = frozenset(
    {grpc.ChannelConnectivity.CONNECTING, grpc.ChannelConnectivity.TRANSIENT_FAILURE}
)


class GrpcTransport:
    """The channel to one server; it is opened by the first call, in the loop that makes it.

    Args:
        url: A `grpc://` or `grpcs://` URL.
        model: The model, for deadline, TLS, authority and headers.
        secrets: Returns texts that must not appear in messages.

    Raises:
        ConfigError: The URL, a TLS file or a header cannot work.
    """

    def __init__(self, url: str, model: Model, secrets: Callable[[], Collection[str]]) -> None:
        if parse(url, "grpc").scheme == "grpcs":
            read_files(model.tls)
        self._url = url
        self._model = model
        self._metadata = call_metadata(model.headers)
        self._secrets = secrets
        self._where = f"model {model.name!r} on {target(url)}"
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[str, Any] = {}
        self._is_closed = False

    async def call(self, question: Question, headers: Headers) -> Reply:
        """Send a call and return the answer.

        Raises:
            InferenceError: It failed, as `ports.InferenceClient` says.
        """
        callable_ = self._methods.get(question.place) or self._open(question.place)
        try:
            answer: bytes = await callable_(
                question.body,
                timeout=self._model.timeout_s,
                metadata=(*self._metadata, *headers.items()),
            )
        except grpc.aio.AioRpcError as error:
            failure = Failure(error.code(), error.details() or "", self._is_connected())
            raise translate(failure, self._where, self._secrets()) from error
        return Reply(answer)

    async def close(self) -> None:
        """Close the channel; calls that still wait are cancelled."""
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
