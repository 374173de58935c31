"""Whatever a model server answers is a prediction or an error of ours, in time and memory."""

import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.errors import (
    BrokenAnswerError,
    InferenceError,
    RowCountError,
)
from headrace.inference import oip_pb2 as pb
from headrace.inference.answers import AnswerReader
from headrace.inference.exchange import Reply
from headrace.inference.grpc_dialect import GrpcDialect
from headrace.inference.http_status import Refusal, translate
from headrace.inference.metadata import TensorMetadata
from headrace.inference.rest_dialect import RestDialect, RestReader, takes_binary
from headrace.inference.tensors import CODES, DATATYPES
from headrace.inference.v1_dialect import V1Reader
from tests.property.hostile import (
    JSON,
    NUMBERS,
    VALUES,
    examples,
    nested,
    nested_objects,
    said,
    usual_stack,
)

FIELD = OutputField("shouted", "shouted")
MODEL = Model("m", ("http://x",), "m", profile=Profile.JSON)
TEXT = Input("text", "text")
ROWS = st.integers(0, 3)
MOST_VERSION = 256


def read(reader: Any, reply: Reply, rows: int) -> Any:
    """Return a prediction that keeps its promises, None where the answer was refused."""
    try:
        with usual_stack():
            found = reader.read(reply, rows)
    except (BrokenAnswerError, RowCountError) as error:
        str(error).encode(errors="replace")
        return None
    assert all(len(column) == rows for column in found.columns)
    assert all(0 <= row < rows for row in found.faults)
    assert len(found.version.encode()) <= 4 * MOST_VERSION
    return found


def field(**more: Any) -> OutputField:
    return OutputField("shouted", "shouted", **more)


FIELDS = st.builds(field, as_base64=st.booleans(), nan_as_null=st.booleans())
DESCRIBED = st.just(()) | st.builds(
    lambda datatype, shape: (TensorMetadata("shouted", datatype, tuple(shape)),),
    st.sampled_from(["BYTES", "FP32", "XX"]),
    st.lists(st.integers(-1, 3), max_size=3),
)

# gRPC

SIZES = st.sampled_from([-(2**63), -2, -1, 0, 1, 2, 3, 7, 2**31, 2**62, 2**63 - 1])
SHAPES = st.lists(SIZES, max_size=4) | st.sampled_from([[1] * 65, [2**62] * 2_000, [1, 2**40, 0]])
RAW = st.binary(max_size=40) | st.sampled_from(
    [
        *(b"\xff\xff\xff\xff", b"\xff\xff\xff\xffabc", b"\x04\x00\x00\x00abc", b"\x00\x00\x00"),
        *(b"\x01\x00\x00\x00\xff", b"\x00" * 4, b"\x00" * 8, b"\x03\x00\x00\x00abc" * 2),
        *(b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff", b"\x00\x00\xc0\x7f" * 2),
        b"\x40\x0d\x03\x00" + b"x" * 200_000,
    ]
)
DATATYPE = st.sampled_from([*sorted(DATATYPES), "BF16", "", "bytes", "x" * 9_000, "\u202e"])
NAMES = st.sampled_from(["shouted", "shouted", "shouted", "other", "", "x" * 9_000])
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=3),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
        "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
        "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=3),
        "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=3),
        "fp32_contents": st.lists(st.floats(width=32), max_size=3),
        "fp64_contents": st.lists(st.floats(), max_size=3),
        "bytes_contents": st.lists(st.binary(max_size=5), max_size=3),
    },
)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Draw a ModelInferResponse in which nothing need fit anything."""
    response = pb.ModelInferResponse(model_version=draw(st.sampled_from(["", "1", "v" * 9_000])))
    for _ in range(draw(st.integers(0, 3))):
        tensor = response.outputs.add(name=draw(NAMES), datatype=draw(DATATYPE), shape=draw(SHAPES))
        for name, values in draw(CONTENTS).items():
            getattr(tensor.contents, name).extend(values)
        if draw(st.booleans()):
            tensor.parameters["content_type"].string_param = "base64"
    response.raw_output_contents.extend(draw(st.lists(RAW, max_size=3)))
    serialized: bytes = response.SerializeToString()
    return serialized


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw a message of which bits are turned, or the end is missing."""
    whole = bytearray(draw(responses()))
    for _ in range(draw(st.integers(0, 4)) if whole else 0):
        whole[draw(st.integers(0, min(len(whole), 300) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(whole[: draw(st.integers(0, len(whole)))]) if draw(st.booleans()) else bytes(whole)


@examples(250)
@given(responses() | damaged() | st.binary(max_size=30), FIELDS, DESCRIBED, ROWS)
def test_any_grpc_answer_is_read_or_refused(body, wanted, described, rows):
    read(AnswerReader([wanted], described), Reply(body), rows)


@examples(80)
@given(st.lists(SIZES, max_size=4), RAW, st.sampled_from(sorted(DATATYPES)))
def test_contents_of_a_claimed_size_cost_what_came_and_not_what_is_claimed(shape, raw, datatype):
    answer = pb.ModelInferResponse()
    answer.outputs.add(name="shouted", datatype=datatype, shape=[2, *shape])
    answer.raw_output_contents.append(raw)
    reply = Reply(answer.SerializeToString())

    tracemalloc.start()
    try:
        read(AnswerReader([FIELD]), reply, 2)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@examples(80)
@given(st.binary(max_size=60) | responses())
def test_any_grpc_metadata_is_read_or_refused(body):
    dialect = GrpcDialect(MODEL, [TEXT], [FIELD])
    for ask in (dialect.describe, dialect.is_ready):
        try:
            with usual_stack():
                found = ask(Reply(body))
        except BrokenAnswerError:
            continue
        if found not in (True, False):
            bound(dialect, found)


def bound(dialect: Any, metadata: Any) -> None:
    """Let requests be written as a model describes itself."""
    for column in (["a", "b"], [1, None], [[["a"]], [[]]]):
        try:
            with usual_stack():
                binding = dialect.bind(metadata, [column])
                binding.writer.write([column])
        except InferenceError:
            continue


# REST

TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("shouted") | VALUES,
        "datatype": st.sampled_from([*sorted(CODES), "BYTES"]) | VALUES,
        "shape": st.lists(SIZES | st.just(10**4_200), max_size=4) | VALUES,
        "data": st.lists(VALUES, max_size=3) | VALUES,
        "parameters": VALUES
        | st.fixed_dictionaries(
            {},
            optional={
                "binary_data_size": st.sampled_from([0, 4, -1, 2**70, 10**400, True, 1.0, "4"])
                | VALUES,
                "content_type": st.sampled_from(["base64", "str"]) | VALUES,
            },
        ),
    },
)
ANSWERS = st.fixed_dictionaries(
    {}, optional={"model_version": VALUES, "outputs": st.lists(TENSORS, max_size=3) | VALUES}
)
TAILS = st.sampled_from([b"", b"\x00" * 4, b"\xff" * 4, b"\x01\x00\x00\x00a" * 2, b"{", b"x" * 99])


@examples(250)
@given(
    ANSWERS.map(said) | JSON,
    TAILS,
    st.sampled_from([None, "true", 0, 1, 10**18]) | st.integers(0, 200),
    FIELDS,
    DESCRIBED,
    ROWS,
)
@example(b'{"outputs":[{"name":"shouted","parameters":[1]}]}', b"", None, FIELD, (), 1)
@example(b'{"outputs":[{"name":"shouted","parameters":"x"}]}', b"", None, FIELD, (), 1)
@example(
    said(
        {
            "outputs": [
                {
                    "name": "shouted",
                    "datatype": "FP32",
                    "shape": [1, 10**4_200, 10**4_200],
                    "data": [],
                }
            ]
        }
    ),
    b"",
    None,
    FIELD,
    (),
    1,
)
def test_any_rest_answer_is_read_or_refused(head, tail, size, wanted, described, rows):
    claimed = len(head) if size == "true" else size
    read(RestReader([wanted], described), Reply(head + tail, claimed), rows)


def rest_answer(**tensor: Any) -> Reply:
    outputs = [{"name": "shouted", "datatype": "BYTES", "shape": [1], "data": ["A"], **tensor}]
    return Reply(said({"outputs": outputs}))


def test_a_shape_of_nothing_makes_no_lists_of_nothing():
    for shape in ([1, 10**12, 0], [1, 2**62, 2**62, 0], [1, 1_000_000, 0]):
        reply = rest_answer(shape=shape, data=[])
        with pytest.raises(BrokenAnswerError, match="lists without elements"):
            RestReader([FIELD]).read(reply, 1)
    assert RestReader([FIELD]).read(rest_answer(shape=[1, 2, 0], data=[]), 1).columns == [
        [[[], []]]
    ]


def test_a_version_that_no_header_can_hold_is_cut_and_has_no_half_characters():
    for version in ("v" * 2_000_000, "\ud800" * 9, [["x"]], {"a": 1}, True, 1.5):
        body = said({**json.loads(rest_answer().body), "model_version": version})

        found = RestReader([FIELD]).read(Reply(body), 1)

        assert len(found.version.encode()) <= MOST_VERSION


@examples(120)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": VALUES,
            "platform": VALUES,
            "versions": VALUES,
            "extensions": VALUES,
            "inputs": st.lists(TENSORS, max_size=2) | VALUES,
            "outputs": st.lists(TENSORS, max_size=2) | VALUES,
        },
    ).map(said)
    | JSON
)
@example(b'{"name":"m","versions":5}')
@example(said({"inputs": [{"name": "text", "datatype": "FP32", "shape": [1] * 100_000}]}))
def test_any_rest_metadata_is_read_or_refused(body):
    dialect = RestDialect(MODEL, [TEXT], [FIELD])
    try:
        with usual_stack():
            found = dialect.describe(Reply(body))
    except BrokenAnswerError:
        return
    bound(dialect, found)


@examples(60)
@given(VALUES | st.dictionaries(st.sampled_from(["name", "extensions"]), VALUES))
def test_any_server_metadata_says_binary_or_not(what):
    assert takes_binary(what) in (True, False)


# V1

PREDICTIONS = VALUES | st.dictionaries(st.sampled_from(["shouted", "b64", "\ud800"]), VALUES)


@examples(200)
@given(
    st.fixed_dictionaries(
        {}, optional={"predictions": st.lists(PREDICTIONS, max_size=3) | VALUES}
    ).map(said)
    | JSON
    | JSON.map(lambda part: b'{"predictions":[' + part + b"]}"),
    FIELDS,
    ROWS,
)
@example(b'{"predictions":[' + nested(900) + b"]}", FIELD, 1)
@example(b'{"predictions":[{"shouted":{"\\ud800":1}}]}', FIELD, 1)
@example(b'{"predictions":[[1,' + nested_objects(500) + b"]]}", FIELD, 1)
def test_any_v1_answer_is_read_or_refused(body, wanted, rows):
    found = read(V1Reader([wanted]), Reply(body), rows)

    for column in found.columns if found else ():
        for value in column:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


# Refusals


@examples(100)
@given(st.integers(100, 599), JSON | st.binary(max_size=50), st.text(max_size=9))
@example(503, nested(100_000), "")
@example(503, b'{"error":' + nested(100_000) + b"}", "")
def test_any_refusal_is_an_error_of_its_status(status, body, location):
    with usual_stack():
        error = translate(Refusal(status, body, location), "model 'm' on x")

    assert len(str(error).encode()) <= 1_024
    if status in (429, 503):
        assert error.retryable


@examples(40)
@given(NUMBERS)
def test_numbers_that_json_does_not_have_are_never_results(number):
    body = (
        b'{"outputs":[{"name":"shouted","datatype":"FP64","shape":[1],"data":[' + number + b"]}]}"
    )

    found = read(RestReader([FIELD]), Reply(body), 1)

    if found is not None and not found.faults:
        assert math.isfinite(found.columns[0][0])
