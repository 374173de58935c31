"""The pure codec between columns of document values and raw OIP tensors.

A column holds one value per record; a tensor has one row per record, its first dimension. Whole
columns are converted at once. Only when that fails is every row looked at, to name the bad ones.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from headrace.errors import BrokenAnswerError, InvalidInputError, InvalidRowsError, RowCountError
from headrace.inference.texts import Leniency, texts

BYTES = "BYTES"
CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""The `struct` code of every datatype of fixed size; OIP raw contents are little-endian."""

DATATYPES = frozenset({BYTES, *CODES})

_SIZES = {datatype: struct.calcsize("<" + code) for datatype, code in CODES.items()}
FLOATS = frozenset({"FP16", "FP32", "FP64"})
MOST_DIMENSIONS = 64
"""Of a tensor; what multiplies or nests them takes time for each."""

# Lists that a shape makes of no contents at all.
_MOST_EMPTY = 1 << 16
_length = struct.Struct("<I")
_MAX_LENGTH = 0xFFFF_FFFF

_NUMBER = (frozenset({int, float}), "a number")
_INTEGER = (frozenset({int}), "an integer")
_ACCEPTS: dict[str, tuple[frozenset[type], str]] = {
    datatype: _NUMBER if datatype in FLOATS else _INTEGER for datatype in CODES
} | {"BOOL": (frozenset({bool}), "true or false"), BYTES: (frozenset({str}), "text")}


@dataclass(frozen=True, slots=True)
class Column:
    """One output of a model, a value per record.

    Attributes:
        values: A scalar per row of one element, else a nested list; None for a row with a fault.
        faults: Rows that have no usable value, and why.
    """

    values: list[Any]
    faults: dict[int, str] = field(default_factory=dict)


class _UnfitError(Exception):
    """One value does not fit its tensor."""


def pack(datatype: str, row_shape: Sequence[int], column: Sequence[Any]) -> bytes:
    """Return the raw contents of a tensor of shape `[len(column), *row_shape]`.

    A row of one element may be given bare or nested. Numbers are never wrapped or truncated, a bool
    is not a number, and BYTES takes text only.

    Args:
        datatype: One of `DATATYPES`.
        row_shape: Shape of one row, every dimension known.
        column: One value per row.

    Raises:
        InvalidRowsError: Some values do not fit; it names all of them.
    """
    return fit(datatype, row_shape, column)[0]


def fit(
    datatype: str, row_shape: Sequence[int], column: Sequence[Any]
) -> tuple[bytes, Sequence[Any]]:
    """Return the raw contents as `pack` does, and the flat values they were made of.

    Raises:
        InvalidRowsError: Some values do not fit; it names all of them.
    """
    try:
        flat = _flatten(row_shape, column)
        return _encode(datatype, flat), flat
    except (TypeError, ValueError, OverflowError, struct.error):
        flat = _flatten_checked(datatype, row_shape, column)
        return _encode(datatype, flat), flat


def shape_of_rows(declared: Sequence[int], column: Sequence[Any]) -> tuple[int, ...]:
    """Return the row shape with its unknown (negative) dimensions taken from the values.

    Raises:
        InvalidRowsError: Some values cannot be a row of that rank.
        InvalidInputError: Each row is fine, but they differ in shape and cannot share a tensor.
    """
    if all(dimension >= 0 for dimension in declared):
        return tuple(declared)
    shapes: set[tuple[int, ...]] = set()
    reasons = {}
    for row, value in enumerate(column):
        try:
            shapes.add(_measure(value, declared))
        except _UnfitError as unfit:
            reasons[row] = str(unfit)
    if reasons:
        raise InvalidRowsError(reasons)
    if len(shapes) > 1:
        some = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise InvalidInputError(f"rows of shapes {some} cannot share a tensor")
    return shapes.pop() if shapes else tuple(max(dimension, 0) for dimension in declared)


def unpack(
    datatype: str,
    shape: Sequence[int],
    raw: bytes,
    rows: int,
    *,
    as_base64: bool = False,
    nan_as_null: bool = False,
    is_base64: bool = False,
) -> Column:
    """Return a tensor's raw contents as one value per row.

    Args:
        datatype: Datatype the answer states.
        shape: Shape the answer states, rows first.
        raw: Little-endian contents.
        rows: Rows there must be.
        as_base64: Turn BYTES into base64 text, whatever they hold.
        nan_as_null: Turn NaN into None.
        is_base64: Whether BYTES are base64 text of what is meant.

    Raises:
        RowCountError: The tensor has another number of rows.
        BrokenAnswerError: The contents do not match datatype and shape.
    """
    count = elements(shape, rows)
    if datatype == BYTES:
        values = _split(raw, count)
    elif datatype in CODES:
        if len(raw) != count * _SIZES[datatype]:
            raise BrokenAnswerError(
                f"{datatype} {list(shape)} takes {count * _SIZES[datatype]} bytes, got {len(raw)}"
            )
        values = list(struct.unpack(f"<{count}{CODES[datatype]}", raw))
    else:
        raise BrokenAnswerError(f"datatype {datatype!r} is not one of the protocol's")
    leniency = Leniency(as_base64, nan_as_null, is_base64)
    return _column(datatype, shape[1:], values, rows, leniency)


def arrange(
    datatype: str,
    shape: Sequence[int],
    values: list[Any],
    rows: int,
    *,
    as_base64: bool = False,
    nan_as_null: bool = False,
    is_base64: bool = False,
) -> Column:
    """Return a tensor's values (a flat list; bytes or text for BYTES) as `unpack` does.

    They must be of the right type already; in numbers NaN may stand, None may not.

    Raises:
        RowCountError: The tensor has another number of rows.
        BrokenAnswerError: The number of values does not match the shape.
    """
    count = elements(shape, rows)
    if len(values) != count:
        raise BrokenAnswerError(f"shape {list(shape)} takes {count} values, got {len(values)}")
    leniency = Leniency(as_base64, nan_as_null, is_base64)
    return _column(datatype, shape[1:], values, rows, leniency)


def elements(shape: Sequence[int], rows: int) -> int:
    """Return how many elements a tensor of that shape has.

    Raises:
        RowCountError: Its first dimension is not `rows`.
        BrokenAnswerError: A dimension is negative, there are too many of them, or nothing is in too
            many lists.
    """
    if len(shape) > MOST_DIMENSIONS:
        raise BrokenAnswerError(f"a shape has {len(shape)} dimensions")
    if not shape or shape[0] != rows:
        raise RowCountError(f"shape {list(shape)} for {rows} rows")
    if min(shape) < 0:
        raise BrokenAnswerError(f"shape {list(shape)} has a negative dimension")
    count = math.prod(shape)
    if not count and math.prod(filter(None, shape)) > _MOST_EMPTY:
        raise BrokenAnswerError(f"shape {list(shape)} is of lists without elements")
    return count


def _encode(datatype: str, flat: Sequence[Any]) -> bytes:
    if datatype == BYTES:
        texts = list(map(str.encode, flat))
        parts = texts * 2
        parts[::2] = map(_length.pack, map(len, texts))
        parts[1::2] = texts
        return b"".join(parts)
    if not _ACCEPTS[datatype][0].issuperset(map(type, flat)):
        raise TypeError(datatype)
    return struct.pack(f"<{len(flat)}{CODES[datatype]}", *flat)


def _flatten(row_shape: Sequence[int], column: Sequence[Any]) -> Sequence[Any]:
    if math.prod(row_shape) == 1 and not (column and isinstance(column[0], list)):
        return column
    flat = column
    for dimension in row_shape:
        if not {list}.issuperset(map(type, flat)) or not {dimension}.issuperset(map(len, flat)):
            raise ValueError(dimension)
        flat = list(chain.from_iterable(flat))
    return flat


def _flatten_checked(datatype: str, row_shape: Sequence[int], column: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    reasons = {}
    for row, value in enumerate(column):
        try:
            flat += _checked_row(datatype, row_shape, value)
        except _UnfitError as unfit:
            reasons[row] = str(unfit)
    if reasons:
        raise InvalidRowsError(reasons)
    return flat


def _checked_row(datatype: str, row_shape: Sequence[int], value: Any) -> list[Any]:
    if math.prod(row_shape) == 1 and not isinstance(value, list):
        row = [value]
    else:
        row = _checked_list(row_shape, value, datatype)
    for element in row:
        _check(datatype, element)
    return row


def _checked_list(row_shape: Sequence[int], value: Any, datatype: str) -> list[Any]:
    if not row_shape:
        if isinstance(value, list):
            raise _UnfitError(f"expects {_ACCEPTS[datatype][1]}, got a list")
        return [value]
    if not isinstance(value, list):
        raise _UnfitError(f"expects a list of {row_shape[0]}, got {_kind(value)}")
    if len(value) != row_shape[0]:
        raise _UnfitError(f"expects a list of {row_shape[0]}, got one of {len(value)}")
    return [leaf for part in value for leaf in _checked_list(row_shape[1:], part, datatype)]


def _check(datatype: str, element: Any) -> None:
    kinds, wanted = _ACCEPTS[datatype]
    if type(element) not in kinds and not (datatype == BYTES and isinstance(element, str)):
        raise _UnfitError(f"expects {wanted}, got {_kind(element)}")
    try:
        if len(_encode(datatype, [element])) > _MAX_LENGTH:
            raise _UnfitError("text is longer than 4 GiB")
    except UnicodeEncodeError:
        raise _UnfitError("text holds half of a surrogate pair and has no UTF-8 form") from None
    except (OverflowError, struct.error):
        raise _UnfitError(f"{_shown(element)} does not fit {datatype}") from None


def _measure(value: Any, declared: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(value, list):
        if any(dimension > 1 for dimension in declared):
            raise _UnfitError(f"expects a list, got {_kind(value)}")
        return (1,) * len(declared)
    shape: list[int] = []
    part: Any = value
    for dimension in declared:
        if not isinstance(part, list) or (0 <= dimension != len(part)):
            raise _UnfitError(f"does not have the shape {list(declared)}")
        shape.append(len(part))
        part = part[0] if part else []
    return tuple(shape)


def _shown(number: Any) -> str:
    # Python refuses to write out an integer of more than 4300 digits.
    if isinstance(number, int) and number.bit_length() > 128:
        return f"an integer of {number.bit_length()} bits"
    return str(number)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _split(raw: bytes, count: int) -> list[bytes]:
    slices = []
    at = 0
    unpack_length: Callable[[bytes, int], tuple[int]] = _length.unpack_from
    try:
        for _ in range(count):
            start = at + 4
            at = start + unpack_length(raw, at)[0]
            slices.append(raw[start:at])
    except struct.error:
        raise BrokenAnswerError(f"BYTES end before element {len(slices)} of {count}") from None
    if at != len(raw):
        raise BrokenAnswerError(f"{count} elements of BYTES take {at} bytes, got {len(raw)}")
    return slices


def _column(
    datatype: str, row_shape: Sequence[int], values: list[Any], rows: int, leniency: Leniency
) -> Column:
    faults: dict[int, str] = {}
    if datatype == BYTES:
        values, faults = texts(values, leniency)
    elif datatype in FLOATS and not math.isfinite(sum(values)):
        values, faults = _finite(values, leniency)
    size = math.prod(row_shape)
    by_row: dict[int, str] = {}
    for element, reason in faults.items():
        by_row.setdefault(element // size, reason)
    if size != 1:
        values = _nest(values, row_shape, rows)
    for row in by_row:
        values[row] = None
    return Column(values, by_row)


def _finite(values: list[Any], leniency: Leniency) -> tuple[list[Any], dict[int, str]]:
    faults = {
        at: f"{'NaN' if math.isnan(value) else 'infinity'} has no JSON form"
        for at, value in enumerate(values)
        if not math.isfinite(value) and not (leniency.nan_as_null and math.isnan(value))
    }
    return [value if math.isfinite(value) else None for value in values], faults


def _nest(flat: list[Any], row_shape: Sequence[int], rows: int) -> list[Any]:
    nested = flat
    for depth in range(len(row_shape) - 1, -1, -1):
        step = row_shape[depth]
        count = rows * math.prod(row_shape[:depth])
        nested = [nested[at * step : (at + 1) * step] for at in range(count)]
    return nested
