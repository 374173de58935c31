"""Reads ModelInfer answers of gRPC."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from headrace.core.models import OutputField
from headrace.errors import BrokenAnswerError
from headrace.inference import oip_pb2 as pb
from headrace.inference.exchange import Reply
from headrace.inference.metadata import TensorMetadata
from headrace.inference.outputs import Answered, OutputReader
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
        described: The model's outputs as its metadata describes them; those it lists are enforced.
    """

    def __init__(
        self, outputs: Sequence[OutputField], described: Sequence[TensorMetadata] = ()
    ) -> None:
        self._reader = OutputReader(outputs, described)

    def read(self, reply: Reply, rows: int) -> Prediction:
        """Return the prediction for a request of `rows` rows.

        Raises:
            RowCountError: An output has another number of rows.
            BrokenAnswerError: An output is missing, of another datatype, or cannot be read.
        """
        try:
            response = pb.ModelInferResponse.FromString(reply.body)
        except DecodeError:
            raise BrokenAnswerError("the answer is not a ModelInferResponse") from None
        raws = _raws(response)
        answered = {
            tensor.name: _answered(tensor, raws.get(at), tensor.name in self._reader.wanted)
            for at, tensor in enumerate(response.outputs)
        }
        return self._reader.read(answered, rows, response.model_version)


def _answered(tensor: Any, raw: bytes | None, is_wanted: bool) -> Answered:
    contents = raw if raw is not None else _contents(tensor) if is_wanted else b""
    content_type = tensor.parameters.get("content_type") if tensor.parameters else None
    is_base64 = content_type is not None and content_type.string_param == "base64"
    return Answered(tensor.datatype, tuple(tensor.shape), contents, is_base64)


def _contents(tensor: Any) -> bytes | list[Any]:
    """Return typed contents; MLServer packs FP16, which has none, into those of BYTES."""
    if tensor.datatype == "FP16":
        return b"".join(tensor.contents.bytes_contents)
    name = CONTENTS.get(tensor.datatype)
    if name is None:
        raise BrokenAnswerError(
            f"output {tensor.name!r}: datatype {tensor.datatype!r} is not one of the protocol's"
        )
    return list(getattr(tensor.contents, name))


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
