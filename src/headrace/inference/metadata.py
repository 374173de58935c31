"""What a model says about its tensors, and how inputs take datatype and shape from it."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.core.models import Input, OutputField
from headrace.errors import AccessRefusedError, InvalidRowsError
from headrace.inference.messages import bounded
from headrace.inference.tensors import BYTES, DATATYPES, MOST_DIMENSIONS

_GUESSES = (
    (frozenset({str}), BYTES),
    (frozenset({bool}), "BOOL"),
    (frozenset({int}), "INT64"),
    (frozenset({int, float}), "FP64"),
)


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """A tensor as its model describes it.

    Attributes:
        name: The tensor's name.
        datatype: OIP datatype.
        shape: Shape with the rows first; negative dimensions vary.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model as it describes itself; many models list no tensors.

    Attributes:
        name: The model's name.
        versions: Versions that are loaded.
        platform: What runs it.
        inputs: Tensors it takes.
        outputs: Tensors it answers with.
    """

    name: str
    versions: tuple[str, ...] = ()
    platform: str = ""
    inputs: tuple[TensorMetadata, ...] = ()
    outputs: tuple[TensorMetadata, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """How one input is written.

    Attributes:
        tensor: The tensor's name.
        datatype: OIP datatype.
        row_shape: Shape of one row; negative dimensions are taken from the values.
        parameters: OIP tensor parameters.
        is_guess: Whether datatype and shape come from the first values seen.
    """

    tensor: str
    datatype: str
    row_shape: tuple[int, ...]
    parameters: Mapping[str, str | int | bool]
    is_guess: bool = False


def check(
    metadata: ModelMetadata, inputs: Sequence[Input], outputs: Sequence[OutputField]
) -> list[str]:
    """Return every disagreement between a pipeline and a model's metadata, one sentence each."""
    problems = []
    known = {tensor.name: tensor for tensor in metadata.inputs}
    for wanted in inputs:
        problems += _check_input(metadata, wanted, known.get(wanted.tensor))
    names = [tensor.name for tensor in metadata.outputs]
    missing = dict.fromkeys(field.tensor for field in outputs if field.tensor not in names)
    if names:
        problems += [_unknown(metadata.name, "output", name, names) for name in missing]
    given = {wanted.tensor for wanted in inputs}
    problems += [
        f"model {metadata.name!r} also takes the input {tensor.name!r} "
        f"({tensor.datatype} {list(tensor.shape)}), which no path fills"
        for tensor in metadata.inputs
        if tensor.name not in given
    ]
    problems += [
        f"output {tensor.name!r} of model {metadata.name!r} is {tensor.datatype}, "
        "which the protocol does not have"
        for tensor in metadata.outputs
        if tensor.datatype not in DATATYPES and any(tensor.name == f.tensor for f in outputs)
    ]
    return problems


def check_batching(
    metadata: ModelMetadata,
    inputs: Sequence[Input],
    outputs: Sequence[OutputField],
    max_size: int,
) -> list[str]:
    """Return every bound tensor whose first dimension is not free for a batch's rows."""
    bound = {each.tensor for each in inputs} | {each.tensor for each in outputs}
    return [
        f"tensor {tensor.name!r} of model {metadata.name!r} has the shape {list(tensor.shape)}, so"
        f" a request has {tensor.shape[0]} rows; the pipeline sends up to {max_size}"
        " (batch: {max_size: " + str(tensor.shape[0]) + "})"
        for tensor in (*metadata.inputs, *metadata.outputs)
        if tensor.name in bound and tensor.shape and 0 <= tensor.shape[0] != max_size
    ]


def lay_out(
    metadata: ModelMetadata, inputs: Sequence[Input], columns: Sequence[Sequence[Any]]
) -> tuple[Layout, ...]:
    """Decide datatype and row shape of every input.

    What the pipeline says wins, then the model's metadata; where the model lists no inputs, most
    of the first values decide.

    Raises:
        AccessRefusedError: They cannot be decided; the message says what to write.
        InvalidRowsError: They cannot, because of rows that fit no datatype.
    """
    known = {tensor.name: tensor for tensor in metadata.inputs}
    return tuple(
        _lay_out(metadata, wanted, known.get(wanted.tensor), column)
        for wanted, column in zip(inputs, columns, strict=True)
    )


def is_explicit(wanted: Input) -> bool:
    """Whether an input needs nothing from the model's metadata."""
    return wanted.datatype != "" and wanted.shape is not None


def _lay_out(
    metadata: ModelMetadata, wanted: Input, tensor: TensorMetadata | None, column: Sequence[Any]
) -> Layout:
    if tensor is not None:
        datatype, row_shape = wanted.datatype or tensor.datatype, tensor.shape[1:]
        is_guess = False
    elif wanted.datatype or is_explicit(wanted):
        datatype, row_shape, is_guess = wanted.datatype, (), False
    elif metadata.inputs:
        names = [known.name for known in metadata.inputs]
        raise AccessRefusedError(_unknown(metadata.name, "input", wanted.tensor, names))
    else:
        datatype, row_shape = _guess(metadata.name, wanted.tensor, column)
        is_guess = True
    if wanted.shape is not None:
        row_shape = wanted.shape
    if datatype not in DATATYPES:
        raise AccessRefusedError(
            f"input {wanted.tensor!r} of model {metadata.name!r} is {datatype!r}, which the "
            f"protocol does not have; write a datatype it accepts instead ({_example(wanted)})"
        )
    return Layout(wanted.tensor, datatype, row_shape, wanted.parameters, is_guess)


def _guess(model: str, tensor: str, column: Sequence[Any]) -> tuple[str, tuple[int, ...]]:
    """Return the datatype and rank of most rows, so that a bad record decides for no other.

    Raises:
        InvalidRowsError: Some rows fit no datatype, and no other row tells.
        AccessRefusedError: Every row might be of any datatype.
    """
    found = [_telling(value) for value in column]
    told = Counter(each for each in found if each is not None)
    if told:
        (datatype, rank), _ = told.most_common(1)[0]
        if datatype == "INT64" and ("FP64", rank) in told:
            datatype = "FP64"
        return datatype, (-1,) * rank
    advice = (
        f"model {model!r} does not describe its input {tensor!r} and the values do not tell; "
        f"write its datatype and the shape of a row, for example "
        f"`{tensor}: {{path: ..., datatype: BYTES, shape: []}}`"
    )
    unfit = {row: advice for row, value in enumerate(column) if _leaves(value)[0]}
    if unfit:
        raise InvalidRowsError(unfit)
    raise AccessRefusedError(advice)


def _telling(value: Any) -> tuple[str, int] | None:
    """Return the datatype and rank that a value alone suggests, None where it suggests none."""
    leaves, rank = _leaves(value)
    kinds = set(map(type, leaves))
    for accepted, datatype in _GUESSES:
        if kinds and kinds <= accepted:
            return datatype, rank
    return None


def _leaves(value: Any) -> tuple[list[Any], int]:
    """Return what a value is made of below its lists, and how many lists deep that is."""
    leaves, rank = [value], 0
    while leaves and isinstance(leaves[0], list) and rank < MOST_DIMENSIONS:
        leaves = [leaf for part in leaves if isinstance(part, list) for leaf in part]
        rank += 1
    return leaves, rank


def _example(wanted: Input) -> str:
    return f"`{wanted.tensor}: {{path: {wanted.path}, datatype: FP32}}`"


def _check_input(
    metadata: ModelMetadata, wanted: Input, tensor: TensorMetadata | None
) -> list[str]:
    if tensor is None:
        if metadata.inputs:
            names = [known.name for known in metadata.inputs]
            return [_unknown(metadata.name, "input", wanted.tensor, names)]
        if not wanted.datatype:
            problem = (
                f"model {metadata.name!r} does not describe its inputs; write the datatype of "
                f"{wanted.tensor!r}, for example {_example(wanted)}"
            )
            return [problem]
        return []
    problems = []
    name = f"input {wanted.tensor!r} of model {metadata.name!r}"
    if wanted.datatype and wanted.datatype != tensor.datatype:
        problems.append(f"{name} is {tensor.datatype}, the pipeline says {wanted.datatype}")
    if tensor.datatype not in DATATYPES and not wanted.datatype:
        problems.append(f"{name} is {tensor.datatype}, which the protocol does not have")
    if wanted.shape is not None and not agree(wanted.shape, tensor.shape[1:]):
        problems.append(
            f"a row of {name} has the shape {list(tensor.shape[1:])}, the pipeline says "
            f"{list(wanted.shape)}"
        )
    return problems


def agree(ours: Sequence[int], theirs: Sequence[int]) -> bool:
    """Whether two shapes may be the same; negative dimensions vary."""
    return len(ours) == len(theirs) and all(
        one == other or one < 0 or other < 0 for one, other in zip(ours, theirs, strict=True)
    )


def _unknown(model: str, kind: str, name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, names))}"
    return bounded(f"model {model!r} has no {kind} {name!r}; {hint}")
