"""MLServer runtime of all models of the example.

`parameters.extra.head` names what answers; what else stands there are its options.
"""

import asyncio
import importlib
from pathlib import Path
from typing import Any

from mlserver import MLModel, ModelSettings
from mlserver.errors import InferenceError
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataTensor,
    RequestInput,
    ResponseOutput,
    TensorData,
)

from heads.base import Head, RefusedRowError, Tensor


class RecordsRuntime(MLModel):
    """Asks a head, in a thread; what a row is to blame for is HTTP 400 or INVALID_ARGUMENT."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._options = dict((settings.parameters and settings.parameters.extra) or {})
        module, _, name = str(self._options.pop("head")).partition(":")
        self._kind: type[Head] = getattr(importlib.import_module(module), name)
        self.inputs = _described(self._kind.inputs)
        self.outputs = _described(self._kind.outputs)

    async def load(self) -> bool:
        """Load the weights off the event loop."""
        source = self.settings._source  # noqa: SLF001  MLServer has no public name for the folder
        folder = Path(source or "").parent
        self._head = await asyncio.to_thread(lambda: self._kind(folder, **self._options))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one batch."""
        columns = _columns(payload, self._kind.inputs)
        try:
            answers = await asyncio.to_thread(self._head, *columns)
        except RefusedRowError as refused:
            raise InferenceError(str(refused)) from None
        outputs = [
            _tensor(name, tensor, column)
            for (name, tensor), column in zip(self._kind.outputs.items(), answers, strict=True)
        ]
        return InferenceResponse(
            id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs
        )


def _described(tensors: Any) -> list[MetadataTensor]:
    return [
        MetadataTensor(name=name, datatype=tensor.datatype, shape=[-1, *tensor.row])
        for name, tensor in tensors.items()
    ]


def _columns(request: InferenceRequest, wanted: Any) -> list[list[Any]]:
    given = {tensor.name: tensor for tensor in request.inputs}
    if given.keys() != wanted.keys():
        raise InferenceError(f"expected the tensors {sorted(wanted)}, got {sorted(given)}")
    return [_rows(given[name], tensor) for name, tensor in wanted.items()]


def _rows(given: RequestInput, wanted: Tensor) -> list[Any]:
    shape = [int(size) for size in given.shape]
    if given.datatype != wanted.datatype or shape[1:] != list(wanted.row):
        raise InferenceError(
            f"tensor {given.name!r} has to be {wanted.datatype} {[-1, *wanted.row]}, "
            f"got {given.datatype} {shape}"
        )
    flat: list[Any] = list(given.data.root)
    if wanted.datatype == "BYTES":
        try:
            flat = [each.decode() if isinstance(each, bytes) else each for each in flat]
        except UnicodeDecodeError as error:
            raise InferenceError(f"tensor {given.name!r} is not UTF-8: {error}") from error
    for width in reversed(wanted.row):
        flat = [flat[at : at + width] for at in range(0, len(flat), width)]
    if len(flat) != shape[0]:
        raise InferenceError(f"tensor {given.name!r} has {len(flat)} rows, not {shape[0]}")
    return flat


def _tensor(name: str, tensor: Tensor, column: Any) -> ResponseOutput:
    flat = list(column)
    for _ in tensor.row:
        flat = [value for row in flat for value in row]
    if tensor.datatype == "BYTES":
        flat = [value.encode() for value in flat]
    return ResponseOutput(
        name=name,
        datatype=tensor.datatype,
        shape=[len(column), *tensor.row],
        data=TensorData(root=flat),
    )
