import re

import pytest

from headrace.errors import FunctionError, FunctionTimeoutError
from headrace.functions.loading import load
from headrace.functions.outcomes import outcome, timed_out
from headrace.functions.tracebacks import LIMIT


def called(module, tmp_path, body, document=None):
    source = "\n".join(["import json", "def f(document):", *(f"    {x}" for x in body.split("\n"))])
    name = module(source)
    found = outcome(load(f"{name}:f", str(tmp_path)), {} if document is None else document)
    return name, found


def test_a_document_and_none_come_back_as_they_are(module, tmp_path):
    assert called(module, tmp_path, "return document", {"a": 1})[1] == {"a": 1}
    assert called(module, tmp_path, "return None")[1] is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return [document]", "returned a list; put the list in a field .* `split` step"),
        ("return document,", "returned a tuple; put the list in a field .* `split` step"),
        ("return True", "returned a bool; return the document to keep the record, None to drop"),
        ("return 'x'", "returned a str; return the document, or None"),
        ("async def g(): pass\nreturn g()", "returned a coroutine; declare it with `async def`"),
    ],
)
def test_anything_else_is_an_error_that_says_what_to_do(module, tmp_path, body, told):
    name, found = called(module, tmp_path, body)

    assert isinstance(found, FunctionError)
    assert re.fullmatch(f"{name}:f {told}.*", str(found))


def test_an_exception_ends_with_the_last_lines_of_its_traceback(module, tmp_path):
    name, found = called(module, tmp_path, "a = 1\nreturn document['codes']")

    assert str(found) == (
        f"{name}:f raised KeyError\n"
        f'  File "{name}.py", line 4, in f\n'
        "    return document['codes']\n"
        "KeyError: 'codes'"
    )


def test_frames_of_libraries_are_left_out(module, tmp_path):
    name, found = called(module, tmp_path, "return json.loads('{')")

    assert "json/decoder" not in str(found)
    assert f'File "{name}.py", line 3, in f' in str(found)
    assert str(found).splitlines()[-1].startswith("json.decoder.JSONDecodeError: Expecting")


def test_an_environment_in_the_pipelines_folder_is_a_library(tmp_path, module):
    packages = tmp_path / ".venv" / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "lib_of_others.py").write_text("def fail(): raise ValueError('no')")

    _, found = called(
        module, tmp_path, f"import sys\nsys.path.insert(0, {str(packages)!r})\n"
        "try:\n    import lib_of_others\nfinally:\n    del sys.path[0]\nlib_of_others.fail()"
    )  # fmt: skip

    assert "lib_of_others.py" not in str(found)
    assert str(found).endswith("ValueError: no")


@pytest.mark.parametrize("text", ["x" * 10_000, "é" * 10_000, "line\n" * 4000, "\ud800" * 5000])
def test_a_long_traceback_keeps_its_end(module, tmp_path, text):
    _, found = called(module, tmp_path, "raise ValueError(document['text'])", {"text": text})

    head, _, tail = str(found).partition("\n")
    assert head.endswith("raised ValueError")
    assert 1000 < len(tail.encode()) <= LIMIT
    assert tail[-20:] in text.encode("utf-8", "backslashreplace").decode()


def test_endless_recursion_is_one_short_error(module, tmp_path):
    _, found = called(module, tmp_path, "return f(document)")

    assert "RecursionError" in str(found)
    assert len(str(found)) < LIMIT + 100


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_what_ends_other_programs_is_an_error_of_the_document(module, tmp_path, name):
    _, found = called(module, tmp_path, f"raise {name}")

    assert isinstance(found, FunctionError)
    assert str(found).endswith(name)


def test_an_exception_that_cannot_be_shown_is_told_all_the_same(module, tmp_path):
    body = "class E(Exception):\n    def __str__(self): raise ValueError\nraise E"

    assert "exception str() failed" in str(called(module, tmp_path, body)[1])


def test_a_timeout_names_the_function_and_the_time(module, tmp_path):
    name = module("def f(document): return document")

    error = timed_out(load(f"{name}:f", str(tmp_path)), 0.25)

    assert isinstance(error, FunctionTimeoutError)
    assert str(error) == f"{name}:f did not return within 0.25 s"
