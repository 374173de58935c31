"""Columns to raw tensors and back."""

import math
import struct

import pytest

from headrace.errors import BrokenAnswerError, InvalidInputError, InvalidRowsError, RowCountError
from headrace.inference.tensors import CODES, arrange, pack, shape_of_rows, unpack

INTEGERS = [name for name in CODES if "INT" in name]
FLOATS = [name for name in CODES if name.startswith("FP")]


def reasons(datatype, row_shape, column):
    with pytest.raises(InvalidRowsError) as caught:
        pack(datatype, row_shape, column)
    return caught.value.reasons


def test_text_is_length_prefixed_utf8():
    raw = pack("BYTES", (), ["a", "", "ñ"])

    assert raw == b"\x01\0\0\0a\0\0\0\0\x02\0\0\0\xc3\xb1"
    assert unpack("BYTES", (3,), raw, 3).values == ["a", "", "ñ"]


def test_numbers_are_little_endian():
    assert pack("INT32", (), [1, -2]) == b"\x01\0\0\0\xfe\xff\xff\xff"
    assert pack("FP32", (), [1.0]) == struct.pack("<f", 1.0)
    assert pack("BOOL", (), [True, False]) == b"\x01\0"


@pytest.mark.parametrize("datatype", INTEGERS)
def test_an_integer_at_the_edge_passes_and_one_beyond_is_refused(datatype):
    bits = 8 * struct.calcsize("<" + CODES[datatype])
    low = 0 if datatype[0] == "U" else -(2 ** (bits - 1))
    high = low + 2**bits - 1

    raw = pack(datatype, (), [low, high])

    assert unpack(datatype, (2,), raw, 2).values == [low, high]
    assert reasons(datatype, (), [low - 1, low, high, high + 1]) == {
        0: f"{low - 1} does not fit {datatype}",
        3: f"{high + 1} does not fit {datatype}",
    }


@pytest.mark.parametrize(
    ("datatype", "largest", "beyond"),
    [("FP16", 65504.0, 1e5), ("FP32", 3e38, 1e39), ("FP64", 1e308, 10**400)],
)
def test_a_number_beyond_a_float_is_refused_not_made_infinite(datatype, largest, beyond):
    raw = pack(datatype, (), [largest])

    assert unpack(datatype, (1,), raw, 1).values == pytest.approx([largest])
    assert list(reasons(datatype, (), [0.0, beyond])) == [1]


@pytest.mark.parametrize("datatype", ["INT64", "UINT8", "FP16", "FP64"])
def test_an_integer_too_long_to_write_out_is_refused_like_any_other(datatype):
    assert reasons(datatype, (), [10**5000]) == {
        0: f"an integer of 16610 bits does not fit {datatype}"
    }


@pytest.mark.parametrize("datatype", INTEGERS)
@pytest.mark.parametrize("value", [True, 1.0, "1", None, {}])
def test_an_integer_tensor_takes_integers_only(datatype, value):
    assert list(reasons(datatype, (), [1, value])) == [1]


@pytest.mark.parametrize("datatype", FLOATS)
def test_a_float_tensor_takes_integers_but_no_bools(datatype):
    raw = pack(datatype, (), [1, 2.5])

    assert unpack(datatype, (2,), raw, 2).values == [1.0, 2.5]
    assert reasons(datatype, (), [True]) == {0: "expects a number, got bool"}


@pytest.mark.parametrize(
    ("datatype", "value", "reason"),
    [
        ("BYTES", 3, "expects text, got int"),
        ("BYTES", None, "expects text, got null"),
        ("BYTES", b"x", "expects text, got bytes"),
        ("BYTES", "\ud800", "text holds half of a surrogate pair and has no UTF-8 form"),
        ("BOOL", 1, "expects true or false, got int"),
        ("INT8", "x", "expects an integer, got str"),
        ("FP32", {"a": 1}, "expects a number, got dict"),
        ("FP32", [1.0], "expects a number, got a list"),
    ],
)
def test_a_refusal_names_what_is_wrong(datatype, value, reason):
    good = {"BYTES": "x", "BOOL": True, "INT8": 1, "FP32": 1.0}[datatype]

    assert reasons(datatype, (), [good, value, good]) == {1: reason}


def test_every_bad_row_of_a_batch_is_named():
    assert list(reasons("BYTES", (), ["a", 1, "b", None, 2.0])) == [1, 3, 4]


@pytest.mark.parametrize("column", [["a", "b"], [["a"], ["b"]], ["a", ["b"]], [["a"], "b"]])
def test_a_row_of_one_element_may_be_bare_or_nested(column):
    assert pack("BYTES", (1,), column) == pack("BYTES", (), ["a", "b"])


def test_nested_rows_are_flattened_row_by_row():
    raw = pack("INT8", (2, 3), [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]])

    assert raw == bytes(range(1, 13))
    assert unpack("INT8", (2, 2, 3), raw, 2).values == [
        [[1, 2, 3], [4, 5, 6]],
        [[7, 8, 9], [10, 11, 12]],
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1, "expects a list of 2, got int"),
        ([1], "expects a list of 2, got one of 1"),
        ([[1, 2]], "expects a list of 2, got one of 1"),
        ([1, "x"], "expects an integer, got str"),
        ([1, [2]], "expects an integer, got a list"),
    ],
)
def test_a_row_of_another_shape_is_refused(value, reason):
    assert reasons("INT8", (2,), [[1, 2], value]) == {1: reason}


def test_unknown_dimensions_come_from_the_values():
    assert shape_of_rows((-1,), [[1, 2], [3, 4]]) == (2,)
    assert shape_of_rows((-1, 2), [[[1, 2]], [[3, 4]]]) == (1, 2)
    assert shape_of_rows((-1,), ["a", "b"]) == (1,)
    assert shape_of_rows((4,), []) == (4,)


def test_rows_that_differ_in_shape_are_to_be_sent_apart_not_given_up():
    with pytest.raises(InvalidInputError, match=r"\[1\] and \[2\]"):
        shape_of_rows((-1,), [[1], [1, 2]])


def test_a_row_of_another_rank_is_named():
    with pytest.raises(InvalidRowsError) as caught:
        shape_of_rows((-1, 2), [[[1, 2]], [1, 2], 5])

    assert list(caught.value.reasons) == [1, 2]


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("INT32", (2,), b"\0" * 7),
        ("INT32", (2,), b"\0" * 9),
        ("BYTES", (2,), b"\x01\0\0\0a"),
        ("BYTES", (1,), b"\x05\0\0\0a"),
        ("BYTES", (1,), b"\x01\0\0\0ab"),
        ("BYTES", (1,), b"\x01\0"),
        ("BF16", (1,), b"\0\0"),
        ("INT8", (2, -1), b"\0\0"),
        ("INT8", (2, -1, -1), b"\0\0"),
        ("BYTES", (2, -1), b""),
    ],
)
def test_contents_that_do_not_match_their_shape_are_a_broken_answer(datatype, shape, raw):
    with pytest.raises(BrokenAnswerError):
        unpack(datatype, shape, raw, shape[0])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 2)])
def test_another_number_of_rows_is_told_apart(shape):
    with pytest.raises(RowCountError):
        unpack("INT8", shape, b"\0" * math.prod(shape), 2)


def test_text_that_is_not_utf8_is_a_fault_of_its_row():
    column = unpack("BYTES", (3,), b"\x01\0\0\0a\x01\0\0\0\xff\x01\0\0\0b", 3)

    assert column.values == ["a", None, "b"]
    assert column.faults == {1: "BYTES are not UTF-8"}


def test_base64_is_the_form_of_every_row_once_asked_for():
    column = unpack("BYTES", (2,), b"\x01\0\0\0a\x01\0\0\0\xff", 2, as_base64=True)

    assert column.values == ["YQ==", "/w=="]
    assert column.faults == {}


@pytest.mark.parametrize("datatype", FLOATS)
def test_nan_and_infinity_are_faults_of_their_rows(datatype):
    raw = pack(datatype, (), [1.0, math.nan, math.inf, -math.inf])

    column = unpack(datatype, (4,), raw, 4)

    assert column.values == [1.0, None, None, None]
    assert column.faults == {
        1: "NaN has no JSON form",
        2: "infinity has no JSON form",
        3: "infinity has no JSON form",
    }


def test_nan_becomes_null_once_asked_for_but_infinity_does_not():
    raw = pack("FP32", (2,), [[math.nan, 1.0], [math.inf, 2.0]])

    column = unpack("FP32", (2, 2), raw, 2, nan_as_null=True)

    assert column.values == [[None, 1.0], None]
    assert list(column.faults) == [1]


def test_finite_numbers_whose_sum_overflows_are_no_fault():
    assert arrange("FP64", (2,), [1e308, 1e308], 2).values == [1e308, 1e308]


def test_a_fault_anywhere_in_a_row_is_the_rows():
    raw = pack("FP64", (2,), [[0.0, 1.0], [2.0, math.nan]])

    assert list(unpack("FP64", (2, 2), raw, 2).faults) == [1]


def test_rows_without_elements_are_empty_lists():
    assert unpack("FP32", (2, 0, 4), b"", 2).values == [[], []]
    assert unpack("BYTES", (2, 2, 0), b"", 2).values == [[[], []], [[], []]]


def test_typed_contents_are_arranged_like_raw_ones():
    assert arrange("INT64", (2, 2), [1, 2, 3, 4], 2).values == [[1, 2], [3, 4]]
    assert arrange("BYTES", (2, 1), [b"a", b"\xff"], 2).faults == {1: "BYTES are not UTF-8"}
    with pytest.raises(BrokenAnswerError):
        arrange("INT64", (2,), [1], 2)


@pytest.mark.parametrize("datatype", ["BYTES", *CODES])
def test_no_rows_are_no_bytes(datatype):
    assert pack(datatype, (), []) == b""
