"""KServe V1: rows as instances, predictions as rows."""

import json
import math

import pytest

from headrace.core.models import Input, Model, OutputField
from headrace.errors import (
    BrokenAnswerError,
    InvalidRowsError,
    RowCountError,
)
from headrace.inference.metadata import ModelMetadata
from headrace.testing.oip_server import (
    OipServer,
)
from tests.unit.inference.http_case import TEXT, TRANSLATION, UPPER, client_at, read, saying


async def test_one_input_goes_as_bare_values_and_several_as_rows_by_name():
    several = [TEXT, Input("n", "n")]
    async with OipServer() as server:
        async with client_at(server, profile="v1") as client:
            await client.infer([["a", "b"]])
        async with client_at(server, inputs=several, profile="v1") as client:
            await client.infer([["a", "b"], [1, [2, {"x": None}]]])

    bare, by_name = server.requests
    assert bare.columns == {"text": ["a", "b"]}
    assert by_name.columns == {"text": ["a", "b"], "n": [1, [2, {"x": None}]]}


@pytest.mark.parametrize(
    ("inputs", "form", "expected"),
    [
        ([TEXT], "rows", [{"text": "a"}]),
        ([TEXT], "values", ["a"]),
        ([TEXT, Input("n", "n")], "values", [["a", 1]]),
    ],
)
def test_a_parameter_chooses_the_form_of_a_row_and_others_stand_beside_it(inputs, form, expected):
    from headrace.inference.v1_dialect import V1Dialect

    parameters = {"instances": form, "signature_name": "s"}
    dialect = V1Dialect(
        Model("m", ("http://a",), "m", parameters=parameters), inputs, [TRANSLATION]
    )
    columns = [["a"], [1]][: len(inputs)]

    question = dialect.bind(ModelMetadata("m"), columns).writer.write(columns)

    assert question.place == "/v1/models/m:predict"
    assert json.loads(question.body) == {"instances": expected, "signature_name": "s"}


async def test_v1_says_nothing_of_its_tensors():
    async with OipServer(metadata=UPPER) as server, client_at(server, profile="v1") as client:
        assert await client.metadata() == ModelMetadata("upper")

    assert server.metadata_calls == 0


@pytest.mark.parametrize(
    ("predictions", "columns"),
    [
        (
            [{"translation": "A", "score": 1}, {"translation": "B", "score": 2}],
            [["A", "B"], [1, 2]],
        ),
        ([{"translation": [[1, 2]], "score": [3]}] * 2, [[[1, 2]] * 2, [3, 3]]),
        (
            [{"translation": {"x": [1]}, "score": {"b64": "YQ=="}}] * 2,
            [[{"x": [1]}] * 2, ["a"] * 2],
        ),
    ],
)
async def test_predictions_by_name_fill_the_fields(predictions, columns):
    fields = [TRANSLATION, OutputField("score", "score")]
    async with (
        OipServer(saying(predictions=predictions)) as server,
        client_at(server, outputs=fields, profile="v1") as client,
    ):
        assert (await client.infer([["a", "b"]])).columns == columns


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "null stands for no value"),
        ([1.0, math.nan], "NaN has no JSON form"),
        ({"deep": [math.inf]}, "infinity has no JSON form"),
        ({"b64": "/w=="}, "BYTES are not UTF-8"),
        ({"b64": "?"}, "BYTES are not base64, as the answer says they are"),
        ("\ud800", "BYTES are not UTF-8"),
    ],
)
async def test_a_prediction_that_a_document_cannot_hold_is_a_fault_of_its_row(value, fault):
    prediction = await read(saying(predictions=[{"translation": value}, "b"]), profile="v1")

    assert prediction.columns == [[None, "b"]]
    assert prediction.faults == {0: f"output 'translation': {fault}"}


async def test_a_field_may_take_null_nan_and_base64():
    field = OutputField("x", "translation", as_base64=True, nan_as_null=True)
    predictions = [None, math.nan, "a", {"b64": "/w=="}]

    prediction = await read(saying(predictions=predictions), 4, profile="v1", field=field)

    assert prediction.columns == [[None, None, "YQ==", "/w=="]]


@pytest.mark.parametrize(
    ("answer", "error", "problem"),
    [
        ({"outputs": []}, BrokenAnswerError, "no.*list `predictions`"),
        ({"predictions": ["a"]}, RowCountError, "1 predictions for 2 rows"),
        ({"predictions": [{"x": 1}, {"x": 2}]}, BrokenAnswerError, "no output 'translation'"),
    ],
)
async def test_an_answer_of_v1_that_cannot_be_read_says_why(answer, error, problem):
    with pytest.raises(error, match=problem):
        await read(saying(**answer), profile="v1")


async def test_bare_predictions_cannot_fill_several_outputs():
    fields = [TRANSLATION, OutputField("score", "score")]
    async with (
        OipServer(saying(predictions=[1, 2])) as server,
        client_at(server, outputs=fields, profile="v1") as client,
    ):
        with pytest.raises(BrokenAnswerError, match="several outputs: 'translation', 'score'"):
            await client.infer([["a", "b"]])


async def test_values_without_a_json_form_are_named():
    async with (
        OipServer() as server,
        client_at(server, inputs=[Input("n", "n")], profile="v1") as client,
    ):
        with pytest.raises(InvalidRowsError) as caught:
            await client.infer([[1, "\ud800"]])

    assert list(caught.value.reasons) == [1]
