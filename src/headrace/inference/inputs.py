"""Fills the inputs of a request from columns, and names every row that does not fit."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from headrace.errors import InvalidRowsError
from headrace.inference.metadata import Layout
from headrace.inference.tensors import shape_of_rows

Contents = TypeVar("Contents")


def fill(
    layouts: Sequence[Layout],
    columns: Sequence[Sequence[Any]],
    pack: Callable[[str, Sequence[int], Sequence[Any]], Contents],
) -> tuple[tuple[tuple[int, ...], ...], list[Contents]]:
    """Return the row shape and the packed contents of every input.

    Raises:
        InvalidRowsError: Some rows do not fit; it names all of them, over all inputs.
        InvalidInputError: The rows differ in shape and cannot share a request.
    """
    shapes: list[tuple[int, ...]] = []
    contents: list[Contents] = []
    reasons: dict[int, str] = {}
    for layout, column in zip(layouts, columns, strict=True):
        try:
            shape = shape_of_rows(layout.row_shape, column)
            contents.append(pack(layout.datatype, shape, column))
            shapes.append(shape)
        except InvalidRowsError as invalid:
            for row, why in invalid.reasons.items():
                reasons.setdefault(row, _explain(layout, why))
    if reasons:
        raise InvalidRowsError(dict(sorted(reasons.items())))
    return tuple(shapes), contents


def _explain(layout: Layout, why: str) -> str:
    hint = " (its datatype was guessed from the first values; write it)" if layout.is_guess else ""
    return f"input {layout.tensor!r}: {why}{hint}"
