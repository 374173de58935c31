"""Tensors in JSON and behind it, against the scripted server."""

import pytest

from headrace.core.models import Input, OutputField
from headrace.errors import (
    BrokenAnswerError,
    InvalidRowsError,
    RowCountError,
)
from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.testing.oip_server import (
    Answer,
    Garbage,
    OipServer,
    Tensor,
    in_turn,
)
from tests.unit.inference.http_case import (
    EVERY,
    TENSORS,
    TEXT,
    UPPER,
    client_at,
    output,
    read,
    saying,
)


@pytest.mark.parametrize("profile", TENSORS)
@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("UINT8", [0, 255]),
        ("UINT16", [0, 65535]),
        ("UINT32", [0, 2**32 - 1]),
        ("UINT64", [0, 2**64 - 1]),
        ("INT8", [-128, 127]),
        ("INT16", [-(2**15), 2**15 - 1]),
        ("INT32", [-(2**31), 2**31 - 1]),
        ("INT64", [-(2**63), 2**63 - 1]),
        ("FP16", [0.5, -65504.0]),
        ("FP32", [0.25, -1e30]),
        ("FP64", [0.1, -1e300]),
        ("BYTES", ["", "ñ\n"]),
    ],
)
async def test_every_datatype_goes_and_comes(profile, datatype, values):
    def echo(request):
        return Answer((Tensor("translation", request.columns["text"], datatype=datatype),))

    inputs = [Input("text", "text", datatype=datatype, shape=())]
    async with (
        OipServer(echo) as server,
        client_at(server, inputs=inputs, profile=profile) as client,
    ):
        prediction = await client.infer([values])

    (sent,) = server.requests[0].columns.values()
    assert server.requests[0].datatypes == {"text": datatype}
    near = values if datatype == "BYTES" else pytest.approx(values, rel=1e-6)
    assert sent == near
    assert prediction.columns == [near]
    assert list(map(type, prediction.columns[0])) == list(map(type, values))


@pytest.mark.parametrize("profile", TENSORS)
async def test_rows_with_dimensions_are_lists_and_rows_of_one_are_scalars(profile):
    tensors = (
        Tensor("pairs", [1, 2, 3, 4], datatype="INT64", shape=(2, 2)),
        Tensor("ones", [0.5, 1.5], datatype="FP64", shape=(2, 1)),
    )
    outputs = [OutputField("pairs", "pairs"), OutputField("ones", "ones")]
    inputs = [Input("n", "n", datatype="INT64", shape=(2, -1))]
    async with (
        OipServer(in_turn([Answer(tensors)])) as server,
        client_at(server, inputs=inputs, outputs=outputs, profile=profile) as client,
    ):
        prediction = await client.infer([[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]])

    assert server.requests[0].shapes == {"n": (2, 2, 2)}
    assert server.requests[0].columns == {"n": [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]}
    assert prediction.columns == [[[1, 2], [3, 4]], [0.5, 1.5]]


@pytest.mark.parametrize("profile", EVERY)
async def test_rows_that_do_not_fit_are_named_and_not_sent(profile):
    number = Input("n", "n", datatype="INT8", shape=())
    async with (
        OipServer() as server,
        client_at(server, inputs=[TEXT, number], profile=profile) as client,
    ):
        with pytest.raises(InvalidRowsError) as caught:
            await client.infer([["a", 1, "c", "d"], [1, 2, 300, 4]])

    assert caught.value.reasons == {
        1: "input 'text': expects text, got int",
        2: "input 'n': 300 does not fit INT8",
    }
    assert server.requests == []


async def test_outputs_come_in_binary_where_they_are_asked_for_in_binary():
    raw = Tensor("translation", raw=b"\x01\0\0\0A", shape=(1,))

    assert (await read(in_turn([Answer((raw,))]), 1, profile="binary")).columns == [["A"]]


async def test_nested_data_is_read_like_flat_data():
    answer = saying(outputs=[output("INT64", [2, 2], [[1, 2], [3, 4]])], model_version=7)

    prediction = await read(answer)

    assert (prediction.columns, prediction.version) == ([[[1, 2], [3, 4]]], "7")


async def test_whole_numbers_among_floats_are_floats():
    prediction = await read(saying(outputs=[output("FP32", [2], [1, 0.5])]))

    assert list(map(type, prediction.columns[0])) == [float, float]


@pytest.mark.parametrize("said", [b"NaN", b"null"])
@pytest.mark.parametrize("nan_as_null", [False, True])
async def test_nan_and_null_among_floats_are_the_same(said, nan_as_null):
    head = b'{"outputs":[{"name":"translation","datatype":"FP64","shape":[2],"data":[0.5,'
    field = OutputField("x", "translation", nan_as_null=nan_as_null)

    prediction = await read(in_turn([Garbage(head + said + b"]}]}")]), field=field)

    assert prediction.columns == [[0.5, None]]
    assert list(prediction.faults) == ([] if nan_as_null else [1])


async def test_infinity_is_a_fault_whatever_the_field_says():
    body = (
        b'{"outputs":[{"name":"translation","datatype":"FP64","shape":[2],"data":[-Infinity,1]}]}'
    )
    field = OutputField("x", "translation", nan_as_null=True)

    prediction = await read(in_turn([Garbage(body)]), field=field)

    assert prediction.faults == {0: "output 'translation': infinity has no JSON form"}


@pytest.mark.parametrize("as_base64", [False, True])
async def test_base64_by_content_type_is_what_it_stands_for(as_base64):
    tensor = output("BYTES", [3], ["YQ==", "/w==", "?"], parameters={"content_type": "base64"})
    field = OutputField("x", "translation", as_base64=as_base64)

    prediction = await read(saying(outputs=[tensor]), rows=3, field=field)

    assert prediction.columns == [["YQ==", "/w==", None] if as_base64 else ["a", None, None]]
    assert list(prediction.faults) == ([2] if as_base64 else [1, 2])


@pytest.mark.parametrize(
    ("answer", "error", "problem"),
    [
        (Garbage(b"<html>"), BrokenAnswerError, "not JSON"),
        (Garbage(b'{"a": "\xff"}'), BrokenAnswerError, "not UTF-8"),
        (Garbage(b"[" * 100_000), BrokenAnswerError, "not JSON"),
        (Garbage(b"[]"), BrokenAnswerError, "not a JSON object"),
        (Garbage(b"{}"), BrokenAnswerError, "outputs is not a list"),
        (saying(outputs=[1]), BrokenAnswerError, "outputs is not a list"),
        (saying(outputs=[]), BrokenAnswerError, "no output 'translation', only none"),
        (saying(outputs=[output("INT64", [1], [1])]), RowCountError, "for 2 rows"),
        (saying(outputs=[output("INT64", [2], [1])]), BrokenAnswerError, "takes 2 values, got 1"),
        (saying(outputs=[output("INT64", "2", [1, 2])]), BrokenAnswerError, "a shape is not"),
        (saying(outputs=[output("INT64", [2], None)]), BrokenAnswerError, "data is null"),
        (saying(outputs=[output("INT64", [2], [[1], 2])]), BrokenAnswerError, "ragged"),
        (saying(outputs=[output("INT64", [2], [1, 2.5])]), BrokenAnswerError, "INT64 hold float"),
        (saying(outputs=[output("INT64", [2], [1, None])]), BrokenAnswerError, "INT64 hold null"),
        (saying(outputs=[output("BOOL", [2], [1, True])]), BrokenAnswerError, "BOOL hold int"),
        (saying(outputs=[output("FP32", [2], [1, "x"])]), BrokenAnswerError, "FP32 hold text"),
        (saying(outputs=[output("BYTES", [2], ["a", {}])]), BrokenAnswerError, "hold an object"),
        (saying(outputs=[output("BF16", [2], [1, 2])]), BrokenAnswerError, "'BF16' is not one"),
        (saying(outputs=[output("INT8", [2], [1, 300])]), BrokenAnswerError, "does not fit INT8"),
        (saying(outputs=[output("FP16", [2], [1, 70000])]), BrokenAnswerError, "not fit FP16"),
        (saying(outputs=[output("FP32", [2], [1, 10**400])]), BrokenAnswerError, "not fit FP32"),
        (
            saying(outputs=[output("INT8", [2], [], parameters={"binary_data_size": 2})]),
            BrokenAnswerError,
            "binary_data_size is 2, 0 bytes are left",
        ),
    ],
)
async def test_an_answer_in_json_that_cannot_be_read_says_why(answer, error, problem):
    with pytest.raises(error, match=problem):
        await read(answer if callable(answer) else in_turn([answer]))


async def test_half_of_a_surrogate_pair_is_a_fault_of_its_row():
    prediction = await read(saying(outputs=[output("BYTES", [2], ["\ud800", "b"])]))

    assert (prediction.columns, list(prediction.faults)) == ([[None, "b"]], [0])


@pytest.mark.parametrize("profile", ["json", "binary"])
async def test_metadata_that_lies_about_an_outputs_rows_is_seen(profile):
    described = ModelMetadata(
        "upper", inputs=UPPER.inputs, outputs=(TensorMetadata("translation", "INT64", (-1, 3)),)
    )
    pairs = Answer((Tensor("translation", [1, 2, 3, 4], datatype="INT64", shape=(2, 2)),))
    async with (
        OipServer(in_turn([pairs]), metadata=described) as server,
        client_at(server, inputs=[Input("text", "text")], profile=profile) as client,
    ):
        with pytest.raises(BrokenAnswerError, match=r"shape \[2\] where .* says \[3\]"):
            await client.infer([["a", "b"]])


async def test_a_model_without_metadata_is_asked_with_what_the_values_tell():
    inputs = [Input("text", "text"), Input("n", "n")]
    nothing = ModelMetadata("upper")
    async with OipServer(metadata=nothing) as server, client_at(server, inputs=inputs) as client:
        await client.infer([["a", "b"], [1, 2]])

    assert server.requests[0].datatypes == {"text": "BYTES", "n": "INT64"}
