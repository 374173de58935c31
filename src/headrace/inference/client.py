"""A model on its replicas, as an `InferenceClient`, in whatever protocol it speaks."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.models import Input, Model
from headrace.errors import (
    AccessRefusedError,
    BrokenAnswerError,
    InferenceError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
    InvalidRowsError,
    InvariantError,
)
from headrace.inference.balance import Balancer
from headrace.inference.credentials import Credentials
from headrace.inference.exchange import Binding, Dialect, Headers, Question, Reply, Transport
from headrace.inference.messages import bounded
from headrace.inference.metadata import Layout, ModelMetadata, is_explicit
from headrace.ports import Prediction

_UNAUTHENTICATED = frozenset({"UNAUTHENTICATED", "401"})
_UNIMPLEMENTED = frozenset({"UNIMPLEMENTED", "405", "501"})

_logger = logging.getLogger(__name__)


class ModelClient:
    """One model on one or more replicas, bound to the tensors a step reads and writes.

    The model's metadata is asked for once, before the first call, unless every input states
    datatype and shape; it is asked for again after a rejection or an unreadable answer, for the
    model may have been replaced. A call goes to the replica with the fewest outstanding; one that
    is unreachable or refuses is left for the next within the same call. A refused token is
    renewed once per call. Cancelling a call cancels it on the wire.

    Args:
        model: The model.
        inputs: Tensors to send, in the order of the columns given to `infer`.
        dialect: How it is spoken to.
        transports: The way to each replica, in the order of the model's URLs.
        credentials: Where its bearer token comes from.
    """

    def __init__(
        self,
        model: Model,
        inputs: Sequence[Input],
        dialect: Dialect,
        transports: Sequence[Transport],
        credentials: Credentials,
    ) -> None:
        self._model = model
        self._is_explicit = all(map(is_explicit, inputs))
        self._dialect = dialect
        self._transports = tuple(transports)
        self._credentials = credentials
        self._balancer = Balancer(len(self._transports))
        self._binding: Binding | None = None
        self._warned: set[str] = set()
        self._traffic_bytes = 0
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
            question = binding.writer.write(columns)
        except InvalidRowsError:
            if binding.is_proven or not binding.guesses:
                raise
            # Nothing that was guessed has been answered yet: the first records may be the bad ones.
            self._binding = None
            binding = await self._bind(columns)
            question = binding.writer.write(columns)
        try:
            reply = await self._ask(question, trace or {})
            prediction = binding.reader.read(reply, len(columns[0]))
            self._traffic_bytes += len(question.body or b"") + len(reply.body)
        except (BrokenAnswerError, InvalidInputError):
            # The model may have been replaced by one with other tensors: ask again.
            self._binding = None
            raise
        binding.is_proven = True
        return prediction

    async def metadata(self) -> ModelMetadata:
        """Ask the model what it says about its tensors; nothing where its protocol has no words.

        Raises:
            InferenceUnavailableError: It cannot be reached.
            AccessRefusedError: It refuses, does not know the model, or does not know the call.
            InferenceError: It failed.
        """
        question = self._dialect.description
        if question is None:
            return ModelMetadata(self._model.remote_name)
        return self._dialect.describe(await self._ask_about(question))

    async def ready(self) -> bool:
        """Whether a replica says the model is ready; False when none can be reached.

        A server that does not know the question counts as ready: only a call can tell.
        """
        for index in range(len(self._transports)):
            try:
                reply = await self._call(index, self._dialect.readiness, {})
                if self._dialect.is_ready(reply):
                    self._balancer.reached(index)
                    return True
            except InferenceError as error:
                if error.status in _UNIMPLEMENTED:
                    return True
        return False

    async def close(self) -> None:
        """Close connections; calls that still wait are cancelled."""
        for transport in self._transports:
            await transport.close()

    def outstanding(self) -> dict[str, int]:
        """Return the outstanding calls of every replica."""
        return dict(zip(self._model.urls, self._balancer.outstanding(), strict=True))

    @property
    def traffic_bytes(self) -> int:
        """Bytes of the bodies that calls of `infer` sent and received, failed calls left out."""
        return self._traffic_bytes

    async def _bind(self, columns: Sequence[Sequence[Any]]) -> Binding:
        async with self._binding_lock:
            if self._binding is None:
                await self._dialect.settle(self._ask_about)
                metadata = ModelMetadata(self._model.remote_name)
                if not self._is_explicit:
                    metadata = await self._metadata_or_none()
                self._binding = self._dialect.bind(metadata, columns)
                self._warn_of_guesses(self._binding.guesses)
            return self._binding

    async def _metadata_or_none(self) -> ModelMetadata:
        try:
            return await self.metadata()
        except AccessRefusedError as error:
            if error.status in _UNIMPLEMENTED:
                return ModelMetadata(self._model.remote_name)
            raise
        except BrokenAnswerError as error:
            # No record has a part in it: none may be given up for it.
            said = f"model {self._model.name!r}: its metadata: {error}"
            raise AccessRefusedError(bounded(said)) from error

    def _warn_of_guesses(self, layouts: Sequence[Layout]) -> None:
        for layout in layouts:
            if layout.tensor not in self._warned:
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

    async def _ask_about(self, question: Question) -> Reply:
        """Ask for something that no record has a part in: none may be given up for its failure."""
        try:
            return await self._ask(question, {})
        except InvalidInputError as error:
            raise AccessRefusedError(str(error), status=error.status) from error
        except (InferenceFailedError, InferenceTimeoutError) as error:
            raise InferenceUnavailableError(str(error), status=error.status) from error

    async def _ask(self, question: Question, headers: Headers) -> Reply:
        # An endpoint that gives no token is no replica's fault.
        await self._credentials.token()
        loop = asyncio.get_running_loop()
        tried: list[int] = []
        while True:
            index = self._balancer.take(loop.time(), tried)
            tried.append(index)
            try:
                reply = await self._call(index, question, headers)
            except (InferenceUnavailableError, AccessRefusedError):
                self._balancer.unreachable(index, loop.time())
                if len(tried) == len(self._transports):
                    raise
            except InferenceError:
                self._balancer.reached(index)
                raise
            else:
                self._balancer.reached(index)
                return reply
            finally:
                self._balancer.give_back(index)

    async def _call(self, index: int, question: Question, headers: Headers) -> Reply:
        transport = self._transports[index]
        token = await self._credentials.token()
        try:
            return await transport.call(question, _with_token(headers, token))
        except AccessRefusedError as error:
            if error.status not in _UNAUTHENTICATED or not self._credentials.renew(token):
                raise
        token = await self._credentials.token()
        return await transport.call(question, _with_token(headers, token))


def _with_token(headers: Headers, token: str) -> Headers:
    return {**headers, "authorization": f"Bearer {token}"} if token else headers
