"""The pure codec between columns of document values and OIP tensors in JSON.

Flat row-major lists are written, which every server takes; nested ones are read as well.
"""

import json
import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec

from headrace.errors import BrokenAnswerError, InvalidRowsError
from headrace.inference.tensors import BYTES, CODES, FLOATS, fit

_decoder = msgspec.json.Decoder()
_WITHOUT_FORM = (TypeError, ValueError, OverflowError, RecursionError)


def pack_json(datatype: str, row_shape: Sequence[int], column: Sequence[Any]) -> Sequence[Any]:
    """Return the flat values of a tensor of shape `[len(column), *row_shape]`.

    What fits is what fits raw contents, so that no protocol takes what another refuses.

    Raises:
        InvalidRowsError: Some values do not fit; it names all of them.
    """
    return fit(datatype, row_shape, column)[1]


def encode(content: Any) -> bytes:
    """Return JSON without blanks."""
    return msgspec.json.encode(content)


def encode_rows(rows: Sequence[Any], content: Any) -> bytes:
    """Return JSON that holds rows of any kind.

    Raises:
        InvalidRowsError: Some rows have no JSON form.
    """
    try:
        return msgspec.json.encode(content)
    except _WITHOUT_FORM:
        reasons = {}
        for row, value in enumerate(rows):
            try:
                msgspec.json.encode(value)
            except _WITHOUT_FORM as error:
                reasons[row] = f"has no JSON form: {error}"
        if not reasons:
            raise
        raise InvalidRowsError(reasons) from None


def decode(body: bytes) -> Any:
    """Return what JSON says; bare NaN and Infinity, which servers send, are read too.

    Raises:
        BrokenAnswerError: It is not JSON.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        pass
    except UnicodeDecodeError:
        raise BrokenAnswerError("the answer is not UTF-8") from None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BrokenAnswerError("the answer is not JSON") from None


def unpack_json(datatype: str, data: Any) -> list[Any]:
    """Return a tensor's `data`, flat or nested, as a flat list for `tensors.arrange`.

    Null among floats is NaN, for that is what servers write that cannot say it.

    Raises:
        BrokenAnswerError: A value is not of the datatype, or out of its range.
    """
    values = _unnest(data)
    kinds = set(map(type, values))
    if datatype == BYTES:
        if not kinds <= {str}:
            raise BrokenAnswerError(f"BYTES hold {_others(kinds, str)} where JSON text belongs")
        return values
    if datatype not in CODES:
        raise BrokenAnswerError(f"datatype {datatype!r} is not one of the protocol's")
    if datatype in FLOATS:
        if not kinds <= {int, float, type(None)}:
            raise BrokenAnswerError(f"{datatype} hold {_others(kinds, int, float)}")
    elif not kinds <= {bool if datatype == "BOOL" else int}:
        wanted = bool if datatype == "BOOL" else int
        raise BrokenAnswerError(f"{datatype} hold {_others(kinds, wanted)}")
    try:
        if datatype in FLOATS and kinds != {float}:
            values = [math.nan if value is None else float(value) for value in values]
        struct.pack(f"<{len(values)}{CODES[datatype]}", *values)
    except (struct.error, OverflowError):
        raise BrokenAnswerError(f"a number does not fit {datatype}") from None
    return values


def _unnest(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise BrokenAnswerError(f"data is {_name(type(data))}, not a list")
    values: list[Any] = data
    while values and isinstance(values[0], list):
        if not {list}.issuperset(map(type, values)):
            raise BrokenAnswerError("data is a ragged list")
        values = list(chain.from_iterable(values))
    return values


def _others(kinds: set[type], *wanted: type) -> str:
    return " and ".join(sorted(_name(kind) for kind in kinds - set(wanted)))


def _name(kind: type) -> str:
    return {type(None): "null", str: "text", dict: "an object"}.get(kind, kind.__name__)
