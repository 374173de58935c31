"""What the code must not do with what comes from outside, and what it may depend on."""

import ast
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "headrace"

UNFOLDING = {
    *("pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "copyreg"),
    *("xml", "plistlib"),
}
"""What turns bytes into objects of any class, or a few bytes into very many."""

RUNNING = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}

ALLOWED = {
    # Between a worker and the processes it starts itself, over pipes that nobody else has: the
    # worker pickles documents that a JSON decoder made of plain values, never a record's bytes,
    # and reads back what the user's own function returned there.
    ("functions/frames.py", "import pickle"),
    # Written by `headrace init` into the user's folder: it trains a model and saves it for the
    # user's own model server. headrace never runs or reads it.
    ("cli/template/models/train.py", "import joblib"),
    # A constant of that module, filled with a number.
    ("cli/sampling.py", "TEXT.format() of a template that is not written there"),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.name != "oip_pb2.py":  # generated
            yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text())


MODULES = dict(modules())


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call with the name that is called, `module.function` where that is said."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def found_in(tree: ast.Module) -> Iterator[str]:
    """Yield what a module does that could run, or unfold, what somebody else wrote."""
    for name in imported(tree):
        if name.partition(".")[0] in UNFOLDING or name == "string.Template":
            yield f"import {name}"
    for name, call in calls(tree):
        yield from _called(name, call)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and _is_filled(node):
            yield "% of a template that is not written there"


def _called(name: str, call: ast.Call) -> Iterator[str]:
    last = name.rpartition(".")[2]
    if name in RUNNING:
        yield f"{name}()"
    if name.startswith("yaml.") and (
        last in ("unsafe_load", "full_load")
        or (last in ("load", "load_all") and not _is_safe_loader(call))
    ):
        yield f"{name}() without a safe loader"
    if any(each.arg == "shell" and ast.unparse(each.value) != "False" for each in call.keywords):
        yield f"{name}(shell=...)"
    is_own = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Constant)
    if last in ("format", "format_map") and not is_own:
        yield f"{name}() of a template that is not written there"


def _is_filled(node: ast.BinOp) -> bool:
    """Whether the right side of a % looks like what a template is filled with, and whose it is."""
    is_own = isinstance(node.left, ast.Constant | ast.BinOp)
    return isinstance(node.right, ast.Tuple | ast.Dict | ast.JoinedStr) and not is_own


def _is_safe_loader(call: ast.Call) -> bool:
    loaders = [*call.args[1:], *(each.value for each in call.keywords if each.arg == "Loader")]
    return any("Safe" in ast.unparse(each) or "_Loader" in ast.unparse(each) for each in loaders)


def test_nothing_that_comes_from_outside_is_unpickled_evaluated_or_taken_for_a_template():
    found = {(name, what) for name, tree in MODULES.items() for what in found_in(tree)}

    assert found == ALLOWED


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "eval(value)",
        "exec(value)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
        "template.format(key=1)",
        "record.value.format_map(headers)",
        "template % (a, b)",
        "from string import Template",
    ],
)
def test_what_the_search_looks_for_is_found(code):
    assert list(found_in(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import json",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "subprocess.run(words, shell=False)",
        "'{}'.format(1)",
        "b'%d' % number",
        "index % count",
        "f'{a} {b}'",
        "re.compile(pattern)",
    ],
)
def test_what_is_harmless_is_not(code):
    assert not list(found_in(ast.parse(code)))


def test_loaders_of_yaml_that_are_our_own_are_safe_ones():
    bases = {
        (name, node.name): [ast.unparse(base) for base in node.bases]
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and "Loader" in node.name
    }

    assert all(
        any("Safe" in base for base in found)
        for (name, _), found in bases.items()
        if any("yaml" in base for base in found) or name.startswith("spec/")
    )


def test_only_the_ends_of_a_pipe_between_our_own_processes_read_pickles():
    readers = {
        name
        for name, tree in MODULES.items()
        for called in imported(tree)
        if called.startswith("headrace.functions.frames")
    }

    assert readers == {"functions/pool.py", "functions/process.py", "functions/serving.py"}


# Dependencies


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "tools" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_locked_distribution_is_pinned_hashed_and_from_the_index(audit):
    locks = audit.lock_files()

    assert locks[0] == ROOT / "uv.lock"
    assert len(locks) > 5
    for path in locks:
        assert list(audit.faults(tomllib.loads(path.read_text()))) == [], path
    assert list(audit.jar_faults(audit.JARS.read_text())) == []


def test_every_licence_is_permissive_or_was_looked_at(audit):
    lock = tomllib.loads((ROOT / "uv.lock").read_text())

    assert list(audit.licence_faults(lock)) == []


FILE = {"url": "https://files.pythonhosted.org/packages/a.whl", "hash": "sha256:" + "a" * 64}
SOUND = {
    "name": "a",
    "version": "1",
    "source": {"registry": "https://pypi.org/simple"},
    "wheels": [FILE],
}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"source": {"git": "https://example.com/a"}}, "not from https://pypi.org"),
        ({"source": {"path": "../a.whl"}}, "not from https://pypi.org"),
        ({"source": {"registry": "https://example.com/simple"}}, "not from https://pypi.org"),
        ({"version": None}, "has no version"),
        ({"wheels": []}, "has no files"),
        ({"wheels": [FILE | {"hash": "md5:abc"}]}, "without a SHA-256"),
        ({"wheels": [{"url": FILE["url"]}]}, "without a SHA-256"),
        ({"wheels": [FILE | {"url": "https://example.com/a.whl"}]}, "a file elsewhere"),
    ],
)
def test_what_is_wrong_with_a_distribution_is_said(audit, change, fault):
    found = list(audit.faults({"package": [SOUND | change]}))

    assert [fault in each for each in found] == ([True] if fault else [])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("MIT", True),
        ("Apache-2.0 AND (MIT OR BSD-3-Clause)", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("DFSG approved; MIT License", True),
        ("GNU General Public License v2 (GPLv2)", False),
        ("MIT AND GPL-3.0-only", False),
        ("LGPL-2.1", False),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_licences_are_judged(audit, said, expected):
    assert audit.is_permissive(said) is expected


@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 1), (2, 3), (101, 3)])
def test_a_database_out_of_reach_is_no_clean_bill_of_health(audit, monkeypatch, code, status):
    class Ended:
        returncode, stdout, stderr = code, "said\n", "dns error"

    monkeypatch.setattr(audit, "lock_files", lambda: [ROOT / "uv.lock"])
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: Ended)

    assert audit.main() == status
