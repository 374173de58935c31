import pytest

from headrace import functions
from headrace.core.steps import FunctionStep
from headrace.errors import ConfigError
from headrace.functions import caller_of, check_function, rehearsed
from headrace.functions.coroutines import CoroutineCaller, InlineCaller
from headrace.functions.pool import ProcessCaller
from headrace.functions.threads import ThreadCaller

SOURCE = """
    def plain(document): return document
    async def later(document): return document
"""


@pytest.mark.parametrize(
    ("name", "is_process", "kind", "in_rehearsal"),
    [
        ("plain", False, ThreadCaller, InlineCaller),
        ("later", False, CoroutineCaller, CoroutineCaller),
        ("plain", True, ProcessCaller, InlineCaller),
        ("later", True, ProcessCaller, CoroutineCaller),
    ],
)
async def test_a_function_is_called_by_its_kind(
    module, tmp_path, name, is_process, kind, in_rehearsal
):
    function = f"{module(SOURCE)}:{name}"
    step = FunctionStep(name="s", function=function, folder=str(tmp_path), is_process=is_process)

    real, rehearsing = caller_of(step), rehearsed(step)

    assert (type(real), type(rehearsing)) == (kind, in_rehearsal)
    assert await real.call([{"n": 1}, {"n": 2}]) == [{"n": 1}, {"n": 2}]
    assert await rehearsing.call([{"n": 1}]) == [{"n": 1}]
    await real.close()
    await rehearsing.close()


def test_a_function_that_cannot_be_loaded_is_a_mistake_of_the_pipeline(tmp_path):
    step = FunctionStep(name="s", function="rulez:keep", folder=str(tmp_path))

    with pytest.raises(ConfigError, match="no module 'rulez'"):
        caller_of(step)


def test_the_package_names_what_it_offers():
    assert all(getattr(functions, name) for name in functions.__all__)
    with pytest.raises(AttributeError, match="no attribute 'call_it'"):
        _ = functions.call_it


@pytest.mark.parametrize("name", ["good", "raises", "wrapped", "made"])
def test_a_function_without_problems_has_none(module, tmp_path, name):
    source = module("""
        import functools
        def good(document):
            if document: return document
        def raises(document):
            raise ValueError
        @functools.wraps(good)
        def wrapped(document): good(document)
        made = functools.partial(print)
    """)

    assert check_function("step", f"{source}:{name}", str(tmp_path)) == ()


def test_a_function_that_cannot_be_loaded_is_an_error_with_a_way_out(module, tmp_path):
    name = module("def keep(document): return document")

    (problem,) = check_function("checked", f"{name}:kep", str(tmp_path))

    assert problem.is_error
    assert problem.message == f"step 'checked': function '{name}:kep': module '{name}' has no 'kep'"
    assert problem.hint == "did you mean 'keep'?"


@pytest.mark.parametrize("name", ["forgets", "later", "empty", "within"])
def test_a_function_that_returns_nothing_is_suspicious(module, tmp_path, name):
    source = module("""
        def forgets(document):
            document["a"] = 1
        async def later(document):
            if document:
                return
        def empty(document):
            '''Does nothing yet.'''
        def within(document):
            def inner(): return 1
            document["key"] = lambda: inner()
    """)

    (problem,) = check_function("checked", f"{source}:{name}", str(tmp_path))

    assert not problem.is_error
    assert "never returns anything, which drops every record" in problem.message
