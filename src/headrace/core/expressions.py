"""Which paths of a document an expression in CEL reads, found without evaluating it."""

import re
from collections.abc import Iterator
from typing import Final

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_TOKEN: Final = re.compile(
    rf"""
    //[^\n]*
    | [rR][bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
    | [bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<dot>\.\s*)?(?P<chain>{_NAME}(?:\s*\.\s*{_NAME})*)(?P<call>\s*\()?
    | [0-9][0-9A-Za-z_.]*
    | (?P<parenthesis>[()])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_BOUND: Final = re.compile(rf"\s*({_NAME})\s*,", re.ASCII)
_BINDING: Final = frozenset({"all", "exists", "exists_one", "map", "filter"})
_WORDS: Final = frozenset({"true", "false", "null", "in"})


def paths_read(text: str) -> tuple[str, ...]:
    """Return the dotted paths that an expression reads, in order, none inside another.

    `page.list[0].name` reads `page.list`, and a variable that a macro binds reads nothing. The
    text is taken to be CEL; of anything else the answer means nothing.
    """
    found = dict.fromkeys(_paths(text))
    return tuple(path for path in found if not any(path.startswith(f"{o}.") for o in found))


def _paths(text: str) -> Iterator[str]:
    # A macro's variable ends with the parenthesis that the macro opened.
    bound: list[tuple[int, str]] = []
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["parenthesis"] == ")":
            bound = [each for each in bound if each[0] < depth]
            depth -= 1
        elif token["parenthesis"]:
            depth += 1
        elif token["chain"]:
            names = re.split(r"\s*\.\s*", token["chain"])
            called = names.pop() if token["call"] else ""
            is_root = not token["dot"] and names and names[0] not in {each[1] for each in bound}
            if is_root and names[0] not in _WORDS:
                yield ".".join(names)
            if called:
                depth += 1
                variable = _BOUND.match(text, token.end())
                if called in _BINDING and variable:
                    bound.append((depth, variable[1]))
