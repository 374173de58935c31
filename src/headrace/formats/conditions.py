"""Conditions of routes and gates, written in CEL and compiled once."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

import cel

from headrace.core.expressions import paths_read
from headrace.errors import ConfigError, DocumentError

_Tree: TypeAlias = dict[str, "_Tree"]

_NOT_PARSED: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_UNDEFINED: Final = re.compile(r"Undefined variable or function: '([^']*)'")

_TIMES: Final = frozenset(
    {
        "getFullYear",
        "getMonth",
        "getDayOfYear",
        "getDayOfMonth",
        "getDate",
        "getDayOfWeek",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    }
)
_NEVER_BOOL: Final = _TIMES | {
    *("_+_", "_-_", "_*_", "_/_", "_%_", "-_"),
    *("size", "string", "bytes", "double", "int", "uint", "type", "duration", "timestamp"),
}
"""What gives no bool, whatever it is given."""

FUNCTIONS: Final = frozenset(each for each in _NEVER_BOOL if each.isalpha()) | {
    *("contains", "startsWith", "endsWith", "matches", "dyn"),
    *("of", "none", "ofNonZeroValue", "hasValue", "value", "orValue", "or"),
}
"""Every function that a condition may call, macros aside."""

_MACROS: Final = frozenset({"has", "all", "exists", "exists_one", "map", "filter"})

_NUMBERS: Final = frozenset({"int", "float"})
_KINDS: Final = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a map"}


def compile_condition(text: str) -> Callable[[Any], bool]:
    """Compile an expression to a function that decides it for a document.

    The document's fields are its variables. The function raises `DocumentError` where a field is
    missing, the values do not fit what is done with them, or the result is neither true nor false.
    Whole numbers and those with a fraction compare; arithmetic between them needs `double(x)`.

    Raises:
        ConfigError: The text is no CEL, calls a function that CEL does not have, cannot be decided
            for any document, or cannot give true or false.
    """
    program = _parsed(text)
    paths = paths_read(text)
    _check(text, program, is_constant=not paths)
    execute = program.execute
    variables = _projection(paths)

    def decide(document: Any) -> bool:
        try:
            found = execute(variables(document))
        except Exception as error:  # noqa: BLE001  (CEL's errors have no common class)
            why = _reason(error, program)
            raise DocumentError(f"condition {text!r} cannot be decided: {why}") from None
        if found is True or found is False:
            return found
        raise DocumentError(f"condition {text!r} gives {_kind(found)}, not true or false")

    return decide


def _parsed(text: str) -> cel.Program:
    if not text.strip():
        raise ConfigError("a condition is empty")
    try:
        return cel.compile(text)
    except Exception as error:  # noqa: BLE001  (as above)
        raise ConfigError(f"condition {text!r} is not CEL: {_refusal(str(error))}") from None


def _refusal(message: str) -> str:
    """Return what the parser says first, with its place, without the list of what it expects."""
    found = _NOT_PARSED.search(message)
    if found is None:
        return message.splitlines()[0]
    line, column, said = found.groups()
    place = f"column {column}" if line == "1" else f"line {line}, column {column}"
    said = said.partition(" expecting {")[0].replace("'<EOF>'", "the end")
    said = said.replace("mismatched input", "unexpected").replace("extraneous input", "unexpected")
    if "at: '= " in said or "at: '='" in said:
        said += "; write == to compare"
    elif "has() macro" in said:
        said += "; it takes a field of an object, as in has(page.text)"
    return f"{place}: {said}"


def _check(text: str, program: cel.Program, *, is_constant: bool) -> None:
    if rooted := [name for name in program.variables() if name.startswith(".")]:
        raise ConfigError(f"condition {text!r}: write {rooted[0][1:]} without the dot before it")
    called = {name for name in program.functions() if name.isidentifier() and name[0] != "_"}
    for name in sorted(called - FUNCTIONS):
        near = get_close_matches(name, FUNCTIONS | _MACROS, n=1)
        hint = f"did you mean {near[0]}()?" if near else f"it has {', '.join(sorted(FUNCTIONS))}"
        raise ConfigError(f"condition {text!r}: CEL has no function {name}(); {hint}")
    # Of a map's literal any field may be taken, whatever stands beside it.
    does = set(program.functions())
    if does and does <= _NEVER_BOOL and "{" not in text:
        raise ConfigError(
            f"condition {text!r} cannot give true or false; compare it with something"
        )
    if not is_constant:
        return
    try:
        found = program.execute({})
    except Exception as error:  # noqa: BLE001  (as above)
        raise ConfigError(f"condition {text!r} always fails: {_reason(error, program)}") from None
    if not isinstance(found, bool):
        raise ConfigError(f"condition {text!r} is always {_kind(found)}, not true or false")


def _projection(paths: Iterable[str]) -> Callable[[Any], dict[str, Any]]:
    """Return what picks the paths of a document: CEL copies whatever it is given."""
    tree: _Tree = {}
    for path in paths:
        place = tree
        for name in path.split("."):
            place = place.setdefault(name, {})
    if not any(tree.values()):
        names = tuple(tree)
        return lambda document: {name: document[name] for name in names if name in document}
    return lambda document: _picked(document, tree)


def _picked(value: Any, tree: _Tree) -> Any:
    if not tree or not isinstance(value, dict):
        return value
    return {name: _picked(value[name], inner) for name, inner in tree.items() if name in value}


def _reason(error: Exception, program: cel.Program) -> str:
    """Return why an evaluation failed, in a few words."""
    said = str(error).strip()
    if undefined := _UNDEFINED.match(said):
        name = undefined[1]
        # Which of its operands a function refuses, CEL does not say.
        is_function = name in program.functions()
        return f"{name}() does not fit these values" if is_function else f"missing field {name!r}"
    if isinstance(error, KeyError):
        return "missing field " + said.strip('"')
    said = said.splitlines()[0].partition(". ")[0].removesuffix(".") if said else ""
    if said.startswith("No such overload"):
        return "the kinds of these values do not fit the operation"
    if said.startswith("Unsupported operation: "):
        kinds = said.removeprefix("Unsupported operation: ")
        hint = "; double(x) makes a fraction of a number" if {*kinds.split()} >= _NUMBERS else ""
        return f"CEL has no {kinds}{hint}"
    return said[:200] or type(error).__name__


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")
