"""Reads ModelInfer answers: every bound output is there, of the right datatype, one row each."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from headrace.core.topology import OutputField
from headrace.errors import BrokenAnswerError, RowCountError
from headrace.inference import oip_pb2 as pb
from headrace.inference.tensors import Column, arrange, unpack
from headrace.ports import Prediction

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of typed contents by datatype; FP16 has none."""


class AnswerReader:
    """Turns serialized ModelInferResponses into predictions.

    Args:
        outputs: Fields to fill, in the order of the prediction's columns.
        datatypes: What the model's metadata says of its outputs; those it lists are enforced.
    """

    def __init__(
        self, outputs: Sequence[OutputField], datatypes: Mapping[str, str] | None = None
    ) -> None:
        self._outputs = tuple(outputs)
        self._datatypes = dict(datatypes or {})

    def read(self, answer: bytes, rows: int) -> Prediction:
        """Return the prediction for a request of `rows` rows.

        Raises:
            RowCountError: An output has another number of rows.
            BrokenAnswerError: An output is missing, of another datatype, or cannot be read.
        """
        try:
            response = pb.ModelInferResponse.FromString(answer)
        except DecodeError:
            raise BrokenAnswerError("the answer is not a ModelInferResponse") from None
        tensors = {tensor.name: at for at, tensor in enumerate(response.outputs)}
        raws = _raws(response)
        columns = []
        faults: dict[int, str] = {}
        for field in self._outputs:
            at = tensors.get(field.tensor)
            if at is None:
                raise BrokenAnswerError(_missing(field.tensor, tensors))
            column = self._column(field, response.outputs[at], raws.get(at), rows)
            columns.append(column.values)
            for row, why in column.faults.items():
                faults.setdefault(row, f"output {field.tensor!r}: {why}")
        return Prediction(columns, response.model_version, faults)

    def _column(self, field: OutputField, tensor: Any, raw: bytes | None, rows: int) -> Column:
        datatype, shape = tensor.datatype, tuple(tensor.shape)
        wanted = self._datatypes.get(field.tensor, datatype)
        if datatype != wanted:
            raise BrokenAnswerError(
                f"output {field.tensor!r} is {datatype} where the model's metadata says {wanted}"
            )
        flags = {"as_base64": field.as_base64, "nan_as_null": field.nan_as_null}
        try:
            if raw is not None:
                return unpack(datatype, shape, raw, rows, **flags)
            if datatype == "FP16":
                return unpack(
                    datatype, shape, b"".join(tensor.contents.bytes_contents), rows, **flags
                )
            return arrange(datatype, shape, _values(tensor), rows, **flags)
        except (BrokenAnswerError, RowCountError) as error:
            raise type(error)(f"output {field.tensor!r}: {error}") from None


def _raws(response: Any) -> dict[int, bytes]:
    """Return raw contents by output: one each, or one for every output without typed contents."""
    raws = response.raw_output_contents
    if not raws:
        return {}
    if len(raws) == len(response.outputs):
        return dict(enumerate(raws))
    empty = [at for at, tensor in enumerate(response.outputs) if not tensor.HasField("contents")]
    if len(raws) != len(empty):
        raise BrokenAnswerError(
            f"the answer has {len(raws)} raw contents for {len(response.outputs)} outputs"
        )
    return dict(zip(empty, raws, strict=True))


def _values(tensor: Any) -> list[Any]:
    name = CONTENTS.get(tensor.datatype)
    if name is None:
        raise BrokenAnswerError(f"datatype {tensor.datatype!r} is not one of the protocol's")
    return list(getattr(tensor.contents, name))


def _missing(name: str, tensors: Mapping[str, int]) -> str:
    found = ", ".join(map(repr, tensors)) or "none"
    return f"the answer has no output {name!r}, only {found}"
