"""What a model says about its tensors against what the pipeline says."""

import pytest

from headrace.core.models import Input, OutputField
from headrace.errors import AccessRefusedError, InvalidRowsError
from headrace.inference.metadata import (
    ModelMetadata,
    TensorMetadata,
    check,
    check_batching,
    lay_out,
)

SILENT = ModelMetadata("m")
TALKING = ModelMetadata(
    "m",
    inputs=(
        TensorMetadata("text", "BYTES", (-1, 1)),
        TensorMetadata("image", "FP32", (-1, 3, -1)),
    ),
    outputs=(TensorMetadata("label", "BYTES", (-1,)),),
)


def layout_of(metadata, wanted, column=("x",)):
    return lay_out(metadata, [wanted], [column])[0]


def test_datatype_and_row_shape_come_from_the_metadata():
    layout = layout_of(TALKING, Input("image", "pixels"))

    assert (layout.datatype, layout.row_shape, layout.is_guess) == ("FP32", (3, -1), False)


def test_what_the_pipeline_says_wins():
    layout = layout_of(TALKING, Input("image", "pixels", datatype="FP16", shape=(3, 4)))

    assert (layout.datatype, layout.row_shape) == ("FP16", (3, 4))


def test_a_datatype_alone_means_one_element_per_row():
    assert layout_of(SILENT, Input("text", "text", datatype="BYTES")).row_shape == ()


@pytest.mark.parametrize("shape", [(), (-1,), (7,)])
def test_a_shape_of_rows_only_means_one_element_per_row(shape):
    metadata = ModelMetadata("m", inputs=(TensorMetadata("text", "BYTES", shape),))

    assert layout_of(metadata, Input("text", "text")).row_shape == ()


@pytest.mark.parametrize(
    ("column", "datatype", "row_shape"),
    [
        (["a", "b"], "BYTES", ()),
        ([1.5], "FP64", ()),
        ([1, 2], "INT64", ()),
        ([1, 2.5], "FP64", ()),
        ([True], "BOOL", ()),
        ([[[1.0], [2.0]]], "FP64", (-1, -1)),
        ([None, "a", {}], "BYTES", ()),
        ([7, "a", "b"], "BYTES", ()),
        (["a", 7], "BYTES", ()),
        ([[], [1]], "INT64", (-1,)),
    ],
)
def test_a_silent_model_is_sent_what_most_first_values_are(column, datatype, row_shape):
    layout = layout_of(SILENT, Input("text", "text"), column)

    assert (layout.datatype, layout.row_shape, layout.is_guess) == (datatype, row_shape, True)


@pytest.mark.parametrize("column", [[[]], []])
def test_values_that_do_not_tell_end_with_what_to_write(column):
    with pytest.raises(AccessRefusedError, match="write its datatype"):
        layout_of(SILENT, Input("text", "text"), column)


@pytest.mark.parametrize(
    ("column", "rows"), [([None], [0]), ([{}], [0]), ([["a", 1]], [0]), ([[], None], [1])]
)
def test_values_that_fit_no_datatype_are_the_fault_of_their_records(column, rows):
    with pytest.raises(InvalidRowsError, match="write its datatype") as raised:
        layout_of(SILENT, Input("text", "text"), column)

    assert list(raised.value.reasons) == rows


def test_an_input_the_model_does_not_have_is_refused_with_the_likely_name():
    with pytest.raises(AccessRefusedError, match="has no input 'txt'; did you mean 'text'"):
        layout_of(TALKING, Input("txt", "text"))


def test_an_input_the_model_does_not_list_may_be_stated():
    assert layout_of(TALKING, Input("mode", "mode", datatype="BYTES")).datatype == "BYTES"


def test_a_datatype_beyond_the_protocol_is_refused():
    metadata = ModelMetadata("m", inputs=(TensorMetadata("x", "BF16", (-1,)),))

    with pytest.raises(AccessRefusedError, match="'BF16'"):
        layout_of(metadata, Input("x", "x"))


def test_a_pipeline_that_agrees_has_no_problems():
    inputs = [Input("text", "t"), Input("image", "i", datatype="FP32", shape=(3, 224))]

    assert check(TALKING, inputs, [OutputField("label", "label")]) == []


@pytest.mark.parametrize(
    ("inputs", "outputs", "problem"),
    [
        ([Input("txt", "t")], [], "has no input 'txt'; did you mean 'text'?"),
        ([Input("text", "t")], [], "also takes the input 'image' (FP32 [-1, 3, -1])"),
        ([Input("text", "t", datatype="INT8")], [], "is BYTES, the pipeline says INT8"),
        ([Input("text", "t", shape=(2,))], [], "has the shape [1], the pipeline says [2]"),
        ([Input("text", "t", shape=())], [], "has the shape [1], the pipeline says []"),
        ([], [OutputField("l", "lable")], "has no output 'lable'; did you mean 'label'?"),
        ([], [OutputField("l", "zzz")], "has no output 'zzz'; it has 'label'"),
    ],
)
def test_a_disagreement_is_a_sentence(inputs, outputs, problem):
    assert any(problem in sentence for sentence in check(TALKING, inputs, outputs))


def test_every_disagreement_is_reported():
    inputs = [Input("txt", "t"), Input("image", "i", datatype="INT8", shape=(1,))]

    assert len(check(TALKING, inputs, [OutputField("l", "zzz")])) == 5


def test_a_silent_model_makes_the_pipeline_say_its_datatypes():
    outputs = [OutputField("label", "label")]

    assert check(SILENT, [Input("text", "t", datatype="BYTES")], outputs) == []
    [problem] = check(SILENT, [Input("text", "t")], outputs)
    assert "write the datatype of 'text'" in problem


def test_an_output_that_cannot_be_read_is_reported():
    metadata = ModelMetadata("m", outputs=(TensorMetadata("y", "BF16", (-1,)),))

    [problem] = check(metadata, [], [OutputField("y", "y")])

    assert "'y' of model 'm' is BF16" in problem


@pytest.mark.parametrize(
    ("shape", "max_size", "problems"),
    [((-1, 3), 64, 0), ((), 64, 0), ((1, 3), 64, 1), ((1, 3), 1, 0), ((8,), 64, 1)],
)
def test_a_first_dimension_that_is_not_free_limits_the_batch(shape, max_size, problems):
    metadata = ModelMetadata(
        "m",
        inputs=(TensorMetadata("text", "BYTES", shape), TensorMetadata("other", "BYTES", (2,))),
        outputs=(TensorMetadata("label", "BYTES", (-1,)),),
    )

    found = check_batching(metadata, [Input("text", "a")], [OutputField("b", "label")], max_size)

    assert len(found) == problems
    assert all(f"max_size: {shape[0]}" in problem for problem in found)
