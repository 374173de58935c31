import sys

import pytest

from headrace.errors import ConfigError
from headrace.functions.loading import load


def refused(text, folder):
    with pytest.raises(ConfigError) as error:
        load(text, str(folder))
    assert "Traceback" not in str(error.value)
    return str(error.value)


def test_a_function_is_found_beside_the_pipeline_and_the_path_is_as_before(module, tmp_path):
    name = module("def keep(document): return document")
    before = list(sys.path)

    function = load(f"{name}:keep", str(tmp_path))

    assert function.target({"a": 1}) == {"a": 1}
    assert not function.is_async
    assert sys.path == before


@pytest.mark.parametrize(
    "name", ["plain", "with_default", "variadic", "instance", "partial", "decorated", "Bag.inside"]
)
def test_whatever_takes_one_document_is_a_function(module, tmp_path, name):
    source = module("""
        import functools
        def plain(document): return document
        def with_default(document, limit=3): return document
        def variadic(*args, **kwargs): return args[0]
        class Scorer:
            def __call__(self, document): return document
        instance = Scorer()
        partial = functools.partial(lambda limit, document: document, 3)
        def loudly(function):
            @functools.wraps(function)
            def wrapper(*args): return function(*args)
            return wrapper
        @loudly
        def decorated(document): return document
        class Bag:
            @staticmethod
            def inside(document): return document
    """)

    assert load(f"{source}:{name}", str(tmp_path)).target({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("name", ["plain", "instance"])
def test_an_async_function_is_known_as_one(module, tmp_path, name):
    source = module("""
        async def plain(document): return document
        class Scorer:
            async def __call__(self, document): return document
        instance = Scorer()
    """)

    assert load(f"{source}:{name}", str(tmp_path)).is_async


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rules", "as in rules:drop_impossible"),
        ("rules.keep", "did you mean 'rules:keep'"),
        (":keep", "module:callable"),
        ("rules:", "module:callable"),
    ],
)
def test_a_text_of_another_form_is_refused(tmp_path, text, hint):
    assert hint in refused(text, tmp_path)


def test_a_missing_module_names_the_folder_and_the_closest_file(module, tmp_path):
    name = module("")

    told = refused(f"{name}x:keep", tmp_path)

    assert f"no module '{name}x' in {tmp_path}" in told
    assert f"did you mean '{name}'?" in told


def test_a_missing_module_in_a_package_names_the_closest_there(tmp_path, request):
    package = tmp_path / "medical_rules"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "codes.py").touch()
    request.addfinalizer(lambda: sys.modules.pop("medical_rules", None))

    assert "did you mean 'codes'?" in refused("medical_rules.code:keep", tmp_path)
    assert "did you mean 'medical_rules'?" in refused("medical_rule:keep", tmp_path)


def test_the_ending_of_a_file_is_refused(module, tmp_path):
    assert "leave out '.py'" in refused(f"{module('')}.py:keep", tmp_path)


def test_a_folder_that_is_not_there_is_a_missing_module(tmp_path):
    assert "there is no module 'rulez'" in refused("rulez:keep", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("source", "last", "line"),
    [
        ("import headrace_no_such_thing", "No module named 'headrace_no_such_thing'", 1),
        ("x = 1\nx['a']", "TypeError: 'int' object is not subscriptable", 2),
        ("x = 1\ndef f(:", "SyntaxError: invalid syntax", 2),
        ("import sys\nsys.exit(3)", "SystemExit: 3", 2),
    ],
)
def test_an_import_that_raises_is_told_by_its_last_line(module, tmp_path, source, last, line):
    name = module(source)

    told = refused(f"{name}:keep", tmp_path)

    assert f"module '{name}' cannot be imported" in told
    assert f"{last} ({name}.py:{line})" in told


def test_a_module_that_an_other_of_its_name_hides_is_refused(tmp_path):
    (tmp_path / "json.py").write_text("def keep(document): return document")

    told = refused("json:keep", tmp_path)

    assert "hidden by a module of the same name" in told
    assert "give yours another name" in told


def test_a_missing_name_names_the_closest_or_what_there_is(module, tmp_path):
    name = module("def keep(document): return document\ndef drop(document): return None")

    assert "did you mean 'keep'?" in refused(f"{name}:kep", tmp_path)
    assert "it has keep, drop" in refused(f"{name}:wholly_other", tmp_path)
    assert "it defines no function" in refused(f"{module('')}:keep", tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("number", "is an int, which cannot be called"),
        ("text", "is a str, which cannot be called"),
        ("Scorer", "is a class; name a function, or an object of it"),
        ("small", "is a lambda"),
        ("nested", "is defined inside another function"),
        ("generates", "yields; return one document"),
        ("generates_later", "yields; return one document"),
        ("nothing", "takes no parameter; it is called with one argument"),
        ("two", "requires document, limit; it is called with one argument"),
        ("keyword", "requires document, limit; it is called with one argument"),
    ],
)
def test_what_is_no_function_of_one_document_says_why(module, tmp_path, name, why):
    source = module("""
        number, text = 3, "keep"
        class Scorer: pass
        small = lambda document: document
        def make():
            def inner(document): return document
            return inner
        nested = make()
        def generates(document): yield document
        async def generates_later(document): yield document
        def nothing(): return {}
        def two(document, limit): return document
        def keyword(document, *, limit): return document
    """)

    assert why in refused(f"{source}:{name}", tmp_path)
