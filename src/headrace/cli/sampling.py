"""Rows to ask models for: from a file of documents, or made up from what a model says."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from headrace.core.paths import REQUIRED, getter
from headrace.core.steps import Fields, FunctionStep, ModelStep, Step
from headrace.core.topology import Topology
from headrace.errors import AccessRefusedError, ConfigError, DocumentError
from headrace.formats.json_objects import decode
from headrace.inference.metadata import Layout, ModelMetadata, is_explicit, lay_out
from headrace.wiring import client_for

MADE_UP = 256
TEXT = "the quick brown fox jumps over the lazy dog and keeps on running through the long grass, {}"
VARYING = 8


def columns_of(step: ModelStep, path: Path) -> tuple[list[list[Any]], int]:
    """Return the columns of the documents in a file, and how many documents lack a field.

    Raises:
        ConfigError: No document has what the step reads.
    """
    getters = [
        getter(each.path, each.default if each.has_default else REQUIRED) for each in step.inputs
    ]
    rows: list[list[Any]] = []
    unfit = 0
    for line in path.read_bytes().splitlines():
        try:
            document = decode(line)
            rows.append([get(document) for get in getters])
        except (msgspec.DecodeError, UnicodeDecodeError, DocumentError):
            unfit += 1
    if not rows:
        paths = ", ".join(each.path for each in step.inputs)
        raise ConfigError(
            f"{path}: no line is a document with {paths}, which step {step.name} reads"
        )
    return [list(column) for column in zip(*rows, strict=True)], unfit


def reads_what_came_in(topology: Topology, step: ModelStep) -> bool:
    """Whether all that a step reads stands in a source's document as the step finds it there.

    That is so before any split and gather, and where no step before it may write what it reads.
    """
    steps = {each.name: each for each in topology.steps}
    before: dict[str, Step] = {}
    names = [inlet.step for inlet in step.inlets if inlet.step]
    while names:
        found = steps[names.pop()]
        if before.setdefault(found.name, found) is found:
            names += [inlet.step for inlet in found.inlets if inlet.step]
    return not any(_may_change(each, step) for each in before.values())


def _may_change(before: Step, step: ModelStep) -> bool:
    if isinstance(before, ModelStep):
        written: Fields = tuple(each.path for each in before.outputs)
    else:
        written = before.writes if isinstance(before, FunctionStep) else None
    reads = [each.path for each in step.inputs]
    return written is None or any(_meet(path, other) for path in reads for other in written)


def _meet(path: str, other: str) -> bool:
    """Whether one of two paths leads to the other, or into it."""
    return f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.")


async def made_up(step: ModelStep) -> list[list[Any]]:
    """Return columns that fit what the model says about its inputs.

    Raises:
        InferenceError: The model cannot be asked.
        ConfigError: Neither it nor the pipeline says enough.
    """
    metadata = ModelMetadata(step.model.remote_name)
    if not all(map(is_explicit, step.inputs)):
        client = client_for(step)
        try:
            metadata = await client.metadata()
        finally:
            await client.close()
    try:
        layouts = lay_out(metadata, step.inputs, [()] * len(step.inputs))
    except AccessRefusedError as error:
        raise ConfigError(f"{error}; or name a file of documents with --records") from error
    return [_column(each) for each in layouts]


def _column(layout: Layout) -> list[Any]:
    shape = [VARYING if each < 0 else each for each in layout.row_shape]
    flat = range(math.prod(shape))
    return [
        _shaped([_value(layout.datatype, row + at) for at in flat], shape) for row in range(MADE_UP)
    ]


def _value(datatype: str, number: int) -> Any:
    if datatype == "BYTES":
        return TEXT.format(number)
    if datatype == "BOOL":
        return number % 2 == 0
    return number % 100 + 0.5 if datatype.startswith("FP") else number % 100


def _shaped(values: Sequence[Any], shape: Sequence[int]) -> Any:
    """Nest flat values into lists of a shape."""
    if not shape:
        return values[0]
    nested: list[Any] = list(values)
    for size in reversed(shape[1:]):
        nested = [nested[at : at + size] for at in range(0, len(nested), size)]
    return nested
