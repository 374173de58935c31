"""The tensor codec for any datatype, shape and values."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import BrokenAnswerError, InvalidRowsError, RowCountError
from headrace.inference.json_tensors import decode, encode, pack_json, unpack_json
from headrace.inference.tensors import BYTES, CODES, DATATYPES, arrange, pack, unpack

SHAPES = st.lists(st.integers(1, 3), max_size=3).map(tuple)
WIDTHS = {"FP16": 16, "FP32": 32, "FP64": 64}


def scalars(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == BYTES:
        return st.text(st.characters(exclude_categories=["Cs"]))
    if datatype == "BOOL":
        return st.booleans()
    if datatype in WIDTHS:
        return st.floats(width=WIDTHS[datatype], allow_nan=False, allow_infinity=False)
    bits = 8 * struct.calcsize("<" + CODES[datatype])
    low = 0 if datatype.startswith("U") else -(2 ** (bits - 1))
    return st.integers(low, low + 2**bits - 1)


def rows_of(datatype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    row = scalars(datatype)
    for dimension in reversed(shape):
        row = st.lists(row, min_size=dimension, max_size=dimension)
    return row


def bare(row: Any) -> Any:
    while isinstance(row, list):
        [row] = row
    return row


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@given(st.data(), st.sampled_from(sorted(DATATYPES)), SHAPES)
def test_what_is_packed_is_unpacked(data: st.DataObject, datatype: str, shape: tuple[int, ...]):
    column = data.draw(st.lists(rows_of(datatype, shape), max_size=6))

    raw = pack(datatype, shape, column)
    answer = unpack(datatype, (len(column), *shape), raw, len(column))

    assert answer.faults == {}
    assert answer.values == ([bare(row) for row in column] if math.prod(shape) == 1 else column)


@given(st.data(), st.sampled_from(sorted(DATATYPES)), SHAPES)
def test_json_carries_what_raw_contents_carry(
    data: st.DataObject, datatype: str, shape: tuple[int, ...]
):
    column = data.draw(st.lists(rows_of(datatype, shape), max_size=6))
    whole = (len(column), *shape)

    sent = decode(encode(pack_json(datatype, shape, column)))
    answer = arrange(datatype, whole, unpack_json(datatype, sent), len(column))

    raw = pack(datatype, shape, column)
    assert answer.faults == {}
    assert answer.values == unpack(datatype, whole, raw, len(column)).values


@given(st.sampled_from(sorted(DATATYPES)), ANYTHING)
def test_any_json_is_read_or_refused(datatype: str, said: Any):
    try:
        values = unpack_json(datatype, said)
    except BrokenAnswerError:
        return
    column = arrange(datatype, (len(values),), values, len(values), nan_as_null=True)
    assert len(column.values) == len(values)


@given(st.data(), st.sampled_from(sorted(DATATYPES)), SHAPES)
def test_a_column_is_packed_whole_or_exactly_its_bad_rows_are_named(
    data: st.DataObject, datatype: str, shape: tuple[int, ...]
):
    column = data.draw(st.lists(rows_of(datatype, shape) | ANYTHING, max_size=6))
    bad = set()
    for row, value in enumerate(column):
        try:
            pack(datatype, shape, [value])
        except InvalidRowsError:
            bad.add(row)

    if bad:
        with pytest.raises(InvalidRowsError) as caught:
            pack(datatype, shape, column)
        assert set(caught.value.reasons) == bad
    else:
        together = b"".join(pack(datatype, shape, [value]) for value in column)
        assert pack(datatype, shape, column) == together


@given(st.sampled_from(sorted(set(CODES) - {"BOOL"})), st.integers())
def test_an_integer_arrives_as_itself_or_not_at_all(datatype: str, value: int):
    try:
        raw = pack(datatype, (), [value])
    except InvalidRowsError:
        return

    [arrived] = unpack(datatype, (1,), raw, 1).values
    assert arrived == (value if "INT" in datatype else pytest.approx(value, rel=2e-3))


@given(
    st.sampled_from([*sorted(DATATYPES), "BF16", ""]),
    st.lists(st.integers(-1, 4), max_size=3),
    st.binary(max_size=64),
    st.integers(0, 4),
)
def test_any_answer_is_a_value_per_row_or_a_named_error(
    datatype: str, shape: list[int], raw: bytes, rows: int
):
    try:
        answer = unpack(datatype, shape, raw, rows)
    except (RowCountError, BrokenAnswerError):
        return

    assert len(answer.values) == rows
    assert all(answer.values[row] is None for row in answer.faults)


@given(st.lists(st.binary(), max_size=6))
def test_bytes_are_text_exactly_where_they_are_utf8(parts: list[bytes]):
    raw = b"".join(len(part).to_bytes(4, "little") + part for part in parts)

    answer = unpack(BYTES, (len(parts),), raw, len(parts))

    for row, part in enumerate(parts):
        if row in answer.faults:
            with pytest.raises(UnicodeDecodeError):
                part.decode()
        else:
            assert answer.values[row] == part.decode()
