"""The Open Inference Protocol over gRPC: which calls it has and what is in them."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from headrace.core.models import Input, Model, OutputField
from headrace.errors import BrokenAnswerError
from headrace.inference import oip_pb2 as pb
from headrace.inference.answers import AnswerReader
from headrace.inference.exchange import Ask, Binding, Question, Reply
from headrace.inference.metadata import ModelMetadata, TensorMetadata, lay_out
from headrace.inference.requests import RequestWriter

_METADATA = "/inference.GRPCInferenceService/ModelMetadata"
_READY = "/inference.GRPCInferenceService/ModelReady"


class GrpcDialect:
    """A model over gRPC; tensors go as raw contents, the only form that every server takes.

    Args:
        model: The model.
        inputs: Tensors to send.
        outputs: Fields to read.
    """

    def __init__(
        self, model: Model, inputs: Sequence[Input], outputs: Sequence[OutputField]
    ) -> None:
        self._model = model
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)

    @property
    def readiness(self) -> Question:
        """ModelReady."""
        request = pb.ModelReadyRequest(name=self._model.remote_name, version=self._model.version)
        return Question(_READY, request.SerializeToString())

    def is_ready(self, reply: Reply) -> bool:
        """Whether the answer says so.

        Raises:
            BrokenAnswerError: It cannot be read.
        """
        ready: bool = _parsed(pb.ModelReadyResponse, reply).ready
        return ready

    @property
    def description(self) -> Question:
        """ModelMetadata."""
        request = pb.ModelMetadataRequest(name=self._model.remote_name, version=self._model.version)
        return Question(_METADATA, request.SerializeToString())

    def describe(self, reply: Reply) -> ModelMetadata:
        """Read a ModelMetadataResponse.

        Raises:
            BrokenAnswerError: It cannot be read.
        """
        response = _parsed(pb.ModelMetadataResponse, reply)
        return ModelMetadata(
            response.name or self._model.remote_name,
            tuple(response.versions),
            response.platform,
            _tensors(response.inputs),
            _tensors(response.outputs),
        )

    async def settle(self, ask: Ask) -> None:
        """Nothing is left open."""

    def bind(self, metadata: ModelMetadata, columns: Sequence[Sequence[Any]]) -> Binding:
        """Decide how requests are written, from the metadata and the first columns.

        Raises:
            AccessRefusedError: It cannot be decided; the message says what to write.
            InvalidRowsError: It cannot, because of rows that fit no datatype.
        """
        layouts = lay_out(metadata, self._inputs, columns)
        return Binding(
            RequestWriter(self._model, layouts, self._outputs),
            AnswerReader(self._outputs, metadata.outputs),
            [layout for layout in layouts if layout.is_guess],
        )


def _parsed(kind: Any, reply: Reply) -> Any:
    try:
        return kind.FromString(reply.body)
    except DecodeError:
        raise BrokenAnswerError(f"the answer is not a {kind.DESCRIPTOR.name}") from None


def _tensors(described: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in described
    )
