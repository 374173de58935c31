"""Every promise of the documentation stands where the register says, and names tests that exist."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest

from tests.docs import guarantees
from tests.docs.guarantees import Promise, in_one_line, prose
from tests.docs.snippets import ROOT

REGISTER = guarantees.register()
LEAD_IN = re.compile(r"\*\*[^*]+[.?]\*\*(?= )")
"""The words in bold before a paragraph, which name it."""


@cache
def runnable(file: str) -> frozenset[str]:
    """Return the names of the tests in a file that are run wherever the suite is."""
    path = ROOT / "tests" / file
    if not path.is_file():
        return frozenset()
    found = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(
        each.name
        for each in found
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any(
            word in ast.unparse(mark) for mark in each.decorator_list for word in ("skip", "xfail")
        )
    )


def registered(page: str) -> Iterator[str]:
    yield from (in_one_line(each.says) for each in REGISTER.promises if each.page == page)
    yield from (in_one_line(text) for where, text in REGISTER.plain if where == page)


def shown(promise: Promise) -> str:
    return f"{promise.page}: {promise.says[:60]}"


@pytest.mark.parametrize("promise", REGISTER.promises, ids=shown)
def test_a_promise_stands_on_its_page(promise: Promise):
    page = in_one_line((ROOT / promise.page).read_text(encoding="utf-8"))

    assert in_one_line(promise.says) in page


@pytest.mark.parametrize("promise", REGISTER.promises, ids=shown)
def test_the_tests_of_a_promise_exist(promise: Promise):
    named = [name.partition("::") for name in promise.tests]

    assert named
    assert [f"{file}::{test}" for file, _, test in named if test not in runnable(file)] == []
    assert promise.planted is None or promise.planted.test in promise.tests


def test_no_promise_is_registered_twice():
    counted = Counter((each.page, in_one_line(each.says)) for each in REGISTER.promises)

    assert [entry for entry, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("page", REGISTER.whole)
def test_every_word_of_a_page_is_a_promise_or_said_to_be_none(page: str):
    text = prose(page)
    is_known = [False] * len(text)
    for part in registered(page):
        assert part in text, f"{part!r} stands no more in {page}"
        at = text.index(part)
        is_known[at : at + len(part)] = [True] * len(part)
    for found in LEAD_IN.finditer(text):
        is_known[found.start() : found.end()] = [True] * len(found[0])

    left = "".join("\n" if known else char for char, known in zip(text, is_known, strict=True))

    unknown = [part.strip() for part in left.split("\n") if re.search(r"\w", part)]
    assert unknown == [], "register it in tests/docs/guarantees.toml, with its test or as plain"


def test_the_page_is_what_the_register_says():
    page = guarantees.PAGE.read_text(encoding="utf-8")

    assert page == guarantees.markdown(), "run `make docs`"
