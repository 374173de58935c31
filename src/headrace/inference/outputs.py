"""Reads the outputs a step binds: every one is there, of the right datatype, one row each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.models import OutputField
from headrace.errors import BrokenAnswerError, RowCountError
from headrace.inference.messages import bounded
from headrace.inference.metadata import TensorMetadata, agree
from headrace.inference.tensors import Column, arrange, unpack
from headrace.ports import Prediction

_MOST_VERSION = 256
"""Longest version of a model: it stands in the headers of every result."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An output as it came.

    Attributes:
        datatype: Datatype the answer states.
        shape: Shape the answer states, rows first.
        contents: Raw contents, or a flat list of values.
        is_base64: Whether BYTES were written as base64 (MLServer's content type of that name).
    """

    datatype: str
    shape: tuple[int, ...]
    contents: bytes | list[Any]
    is_base64: bool = False


class OutputReader:
    """Picks a step's fields out of the tensors of an answer.

    Args:
        outputs: Fields to fill, in the order of the prediction's columns.
        described: The model's outputs as its metadata describes them; those it lists are enforced.

    Attributes:
        wanted: Names of the tensors that are read; others need not be unpacked.
    """

    def __init__(
        self, outputs: Sequence[OutputField], described: Sequence[TensorMetadata] = ()
    ) -> None:
        self.wanted = frozenset(field.tensor for field in outputs)
        self._outputs = tuple(outputs)
        self._described = {tensor.name: tensor for tensor in described}

    def read(self, answered: Mapping[str, Answered], rows: int, version: str) -> Prediction:
        """Return the prediction for a request of `rows` rows.

        Raises:
            RowCountError: An output has another number of rows.
            BrokenAnswerError: An output is missing, of another datatype, or cannot be read.
        """
        columns = []
        faults: dict[int, str] = {}
        for field in self._outputs:
            tensor = answered.get(field.tensor)
            if tensor is None:
                raise BrokenAnswerError(missing(field.tensor, answered))
            self._compare(field.tensor, tensor)
            try:
                column = _column(field, tensor, rows)
            except (BrokenAnswerError, RowCountError) as error:
                raise type(error)(f"output {field.tensor!r}: {error}") from None
            columns.append(column.values)
            for row, why in column.faults.items():
                faults.setdefault(row, f"output {field.tensor!r}: {why}")
        return Prediction(columns, version[:_MOST_VERSION], faults)

    def _compare(self, name: str, tensor: Answered) -> None:
        """Refuse what contradicts the metadata; another rank may still be the same rows."""
        said = self._described.get(name)
        if said is None:
            return
        if tensor.datatype != said.datatype:
            raise BrokenAnswerError(
                f"output {name!r} is {tensor.datatype} where the model's metadata says "
                f"{said.datatype}"
            )
        ours, theirs = tensor.shape[1:], said.shape[1:]
        if len(ours) == len(theirs) and not agree(ours, theirs):
            raise BrokenAnswerError(
                f"output {name!r} has rows of shape {list(ours)} where the model's metadata says "
                f"{list(theirs)}"
            )


def missing(name: str, found: Mapping[str, Any]) -> str:
    """Return what to say of an answer without an output."""
    names = ", ".join(map(repr, found)) or "none"
    return bounded(f"the answer has no output {name!r}, only {names}")


def _column(field: OutputField, tensor: Answered, rows: int) -> Column:
    flags = {
        "as_base64": field.as_base64,
        "nan_as_null": field.nan_as_null,
        "is_base64": tensor.is_base64,
    }
    if isinstance(tensor.contents, bytes):
        return unpack(tensor.datatype, tensor.shape, tensor.contents, rows, **flags)
    return arrange(tensor.datatype, tensor.shape, tensor.contents, rows, **flags)
