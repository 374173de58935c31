"""Writes ModelInfer requests of gRPC: what does not depend on the rows is encoded once."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.core.models import Model, OutputField
from headrace.inference import oip_pb2 as pb
from headrace.inference.exchange import Question
from headrace.inference.inputs import fill
from headrace.inference.metadata import Layout
from headrace.inference.tensors import pack

INFER = "/inference.GRPCInferenceService/ModelInfer"

_MAX_CACHED_HEADS = 256


class RequestWriter:
    """Turns columns into serialized ModelInferRequests for one model.

    A protobuf message is the concatenation of its fields, so a request is a head (model, tensors,
    shapes), cached by number of rows and row shapes, followed by the raw contents.
    """

    def __init__(
        self, model: Model, layouts: Sequence[Layout], outputs: Sequence[OutputField]
    ) -> None:
        self._layouts = tuple(layouts)
        self._model = model
        self._outputs = tuple(dict.fromkeys(field.tensor for field in outputs))
        self._heads: dict[tuple[int, tuple[tuple[int, ...], ...]], bytes] = {}

    def write(self, columns: Sequence[Sequence[Any]]) -> Question:
        """Return the request for these columns, one per layout.

        Raises:
            InvalidRowsError: Some rows do not fit; it names all of them, over all inputs.
            InvalidInputError: The rows differ in shape and cannot share a request.
        """
        shapes, raws = fill(self._layouts, columns, pack)
        head = self._head(len(columns[0]), shapes)
        contents: bytes = pb.ModelInferRequest(raw_input_contents=raws).SerializeToString()
        return Question(INFER, head + contents)

    def _head(self, rows: int, shapes: tuple[tuple[int, ...], ...]) -> bytes:
        head = self._heads.get((rows, shapes))
        if head is None:
            if len(self._heads) >= _MAX_CACHED_HEADS:
                self._heads.clear()
            head = self._heads[rows, shapes] = self._write_head(rows, shapes)
        return head

    def _write_head(self, rows: int, shapes: tuple[tuple[int, ...], ...]) -> bytes:
        request = pb.ModelInferRequest(
            model_name=self._model.remote_name,
            model_version=self._model.version,
            inputs=[
                pb.ModelInferRequest.InferInputTensor(
                    name=layout.tensor,
                    datatype=layout.datatype,
                    shape=(rows, *shape),
                    parameters=_parameters(layout.parameters),
                )
                for layout, shape in zip(self._layouts, shapes, strict=True)
            ],
            outputs=[
                pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in self._outputs
            ],
            parameters=_parameters(self._model.parameters),
        )
        head: bytes = request.SerializeToString()
        return head


def _parameters(values: Mapping[str, str | int | bool]) -> dict[str, Any]:
    return {name: _parameter(value) for name, value in values.items()}


def _parameter(value: str | int | bool) -> Any:
    match value:
        case bool():
            return pb.InferParameter(bool_param=value)
        case int():
            return pb.InferParameter(int64_param=value)
        case _:
            return pb.InferParameter(string_param=value)
