"""Compiled paths against a plain walk through the document."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.paths import getter, getter_column, setter
from headrace.errors import ConfigError, DocumentError, InvalidRowsError

NAMES = st.sampled_from(["a", "b", "0", "1", "-1"])
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
        max_leaves=8,
    ),
)
PATHS = st.lists(NAMES, min_size=1, max_size=4)


class Missing(Exception):  # noqa: N818  (it is a value of the walk, not an error)
    pass


def walk(document, parts):
    value = document
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise Missing
    return value


@given(DOCUMENTS, PATHS)
def test_a_path_reads_what_a_plain_walk_finds(document, parts):
    path = ".".join(parts)
    try:
        expected = walk(document, parts)
    except Missing:
        with pytest.raises(DocumentError, match=f"missing field '{path}'"):
            getter(path)(document)
        assert getter(path, default=7)(document) == 7
    else:
        assert getter(path)(document) == expected
        assert getter(path, default=7)(document) == expected


@given(st.lists(DOCUMENTS, max_size=6), PATHS)
def test_a_column_is_what_the_path_reads_from_every_document(documents, parts):
    path = ".".join(parts)
    values, missing = [], {}
    for row, document in enumerate(documents):
        try:
            values.append(getter(path)(document))
        except DocumentError as error:
            missing[row] = str(error)

    if missing:
        with pytest.raises(InvalidRowsError) as caught:
            getter_column(path)(documents)
        assert caught.value.reasons == missing
    else:
        assert getter_column(path)(documents) == values
    assert getter_column(path, default=7)(documents) == [
        getter(path, default=7)(document) for document in documents
    ]


@given(DOCUMENTS, PATHS, st.integers())
def test_what_is_written_is_read_back_and_nothing_else_changes(document, parts, value):
    path = ".".join(parts)
    before = copy.deepcopy(document)
    try:
        setter(path)(document, value)
    except DocumentError as error:
        assert path in str(error)  # noqa: PT017  (not being able to write is one of two outcomes)
        return

    assert getter(path)(document) == value
    for name in before.keys() - {parts[0]}:
        assert document[name] == before[name]


def test_a_document_that_is_not_an_object_has_no_fields():
    for document in (None, "text", 3, [1]):
        with pytest.raises(DocumentError, match="missing field 'text'"):
            getter("text")(document)
        with pytest.raises(DocumentError, match="cannot be written"):
            setter("text")(document, 1)


def test_a_null_is_a_value_and_not_replaced_by_the_default():
    assert getter("a.b", default="x")({"a": {"b": None}}) is None
    assert getter_column("a", default="x")([{"a": None}, {}]) == [None, "x"]


def test_a_number_is_an_index_in_a_list_and_a_name_in_an_object():
    document = {"a": [{"b": 1}, {"b": 2}], "0": "zero"}

    assert getter("a.1.b")(document) == 2
    assert getter("0")(document) == "zero"
    assert getter_column("a.0.b")([document]) == [1]
    setter("a.1.b")(document, 3)
    setter("a.0")(document, "gone")

    assert document == {"a": ["gone", {"b": 3}], "0": "zero"}


@pytest.mark.parametrize("path", ["a.5", "a.-1", "a.b", "n.b.c", "t.0"])
def test_an_element_that_is_not_there_is_neither_read_nor_written(path):
    document = {"a": [1, 2], "n": None, "t": "text"}

    with pytest.raises(DocumentError, match="missing field"):
        getter(path)(document)
    with pytest.raises(DocumentError, match="cannot be written"):
        setter(path)(document, 1)


def test_objects_on_the_way_are_made():
    document = {}

    setter("page.labels.kind")(document, "note")

    assert document == {"page": {"labels": {"kind": "note"}}}


@pytest.mark.parametrize("compiled", [getter, getter_column, setter])
@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_a_path_with_an_empty_part_is_refused(compiled, path):
    with pytest.raises(ConfigError, match="empty part"):
        compiled(path)
