import pytest

from headrace.errors import ConfigError, DocumentError
from headrace.formats.conditions import compile_condition

DOCUMENT = {
    "kind": "note",
    "score": 1.5,
    "one": 1,
    "is_new": True,
    "nothing": None,
    "size": 4,
    "page": {"text": "hello", "number": 3, "list": [1, 2.5, {"name": "a"}]},
}


@pytest.mark.parametrize(
    "text",
    [
        'kind == "note"',
        "is_new",
        "page.text.size() > 0",
        "has(page.text) && !has(page.date)",
        'page["text"].startsWith("he")',
        "1 in page.list && page.list.size() == 3",
        'page.list[2].name == "a"',
        "page.list.exists(x, x == 2.5)",
        'kind in ["note", "lab"] || kind == "x"',
        '"text" in page',
        "nothing == null",
        "size > 3",
        'kind == "note" || missing.entirely',
        'page.text.matches("^h.*o$")',
        "is_new ? page.number == 3 : false",
    ],
)
def test_a_condition_that_holds_is_true(text):
    assert compile_condition(text)(DOCUMENT) is True
    assert compile_condition(f"!({text})")(DOCUMENT) is False


@pytest.mark.parametrize(
    "text", ["one == 1.0", "one < 1.5", "score > 1", "score >= 1.5", "1.0 in [one]", "score != one"]
)
def test_whole_numbers_and_fractions_compare(text):
    assert compile_condition(text)(DOCUMENT)


def test_numbers_of_any_size_compare():
    assert compile_condition("n > 1")({"n": 2**80})
    assert compile_condition("n < 0.5")({"n": -(2**80)})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind = 'x'", "column 6: token recognition error at: '= '; write == to compare"),
        ("kind ==", "column 8: unexpected the end"),
        ("kind == 'x'\n&& (is_new", r"line 2, column 11: missing '\)' at the end"),
        ("has(kind)", "column 5: .* takes a field of an object, as in has"),
        ("'abc", "column 1: token recognition error"),
        ("  ", "a condition is empty"),
        ("(" * 500 + "a" + ")" * 500, "is not CEL"),
    ],
)
def test_a_text_that_is_no_cel_is_refused_with_its_place(text, why):
    with pytest.raises(ConfigError, match=why) as refused:
        compile_condition(text)

    assert len(str(refused.value)) < 200 + len(text)


@pytest.mark.parametrize(
    "text",
    ["1", "1 + 1", "'note'", "null", "[true]", "{'a': true}", "kind + 'x'", "size(kind)", "-one"],
)
def test_what_cannot_be_true_or_false_is_refused(text):
    with pytest.raises(ConfigError, match=r"true or false"):
        compile_condition(text)


def test_a_field_of_a_literal_map_may_be_true():
    assert compile_condition("{'a': one + 1, 'b': true}.b")(DOCUMENT)


@pytest.mark.parametrize("text", ["1 / 0 == 1", "'a' > 1", "'a'.b"])
def test_a_constant_that_always_fails_is_refused(text):
    with pytest.raises(ConfigError, match="always fails"):
        compile_condition(text)


def test_a_function_that_cel_does_not_have_is_refused_with_the_closest():
    with pytest.raises(ConfigError, match=r"no function startswith\(\); did you mean startsWith"):
        compile_condition("kind.startswith('n')")
    with pytest.raises(ConfigError, match=r"no function now\(\)"):
        compile_condition("now() > kind")
    with pytest.raises(ConfigError, match="without the dot"):
        compile_condition(".kind == 'note'")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("absent == 1", "missing field 'absent'"),
        ("page.absent == 1", "missing field 'absent'"),
        ("has(absent.text)", "missing field 'absent'"),
        ("kind > 1", "the kinds of these values do not fit"),
        ("score + one > 1.0", r"CEL has no float \+ int; double\(x\)"),
        ("one.size() > 1", r"size\(\) does not fit these values"),
        ("page.list[7] == 1", "out of bounds"),
        ("one % 0 == 1", "zero"),
        ("int(kind) == 1", "invalid digit"),
    ],
)
def test_what_cannot_be_decided_says_why(text, why):
    with pytest.raises(DocumentError, match=why) as failed:
        compile_condition(text)(DOCUMENT)

    assert repr(text) in str(failed.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [("kind", "a text"), ("score", "a number"), ("nothing", "null"), ("page", "a map"),
     ("page.list", "a list"), ("is_new ? 1 : 2", "a number")],
)  # fmt: skip
def test_a_result_that_is_no_bool_says_what_it_is(text, kind):
    with pytest.raises(DocumentError, match=f"gives {kind}, not true or false"):
        compile_condition(text)(DOCUMENT)


@pytest.mark.parametrize("document", [{}, [], 7, None, {"kind": object()}])
def test_any_value_in_place_of_a_document_is_a_document_error(document):
    with pytest.raises(DocumentError):
        compile_condition("kind == 'note'")(document)


def test_only_what_a_condition_reads_is_looked_at():
    document = {"kind": "note", "page": {"text": "a", "picture": object()}, "other": object()}

    assert compile_condition("page.text == 'a' && kind == 'note'")(document)


def test_a_document_is_not_changed():
    document = {"page": {"list": [1, 2]}}

    compile_condition("page.list.map(x, x + 1).size() == 2")(document)

    assert document == {"page": {"list": [1, 2]}}
