"""Which fields of a document a condition in CEL reads; nothing here decides whether it is valid."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from headrace.core.fields import normal

_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
    |(?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))
    |(?P<number>\d[\w.]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_BINDS: Final = {
    **dict.fromkeys(("map", "filter"), 1),
    **dict.fromkeys(("all", "exists", "exists_one", "existsOne"), 2),
    **dict.fromkeys(("transformList", "transformMap", "transformMapEntry"), 2),
}
"""How many names a macro may give to elements."""
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


def reads_of(condition: str) -> tuple[str, ...]:
    """Return the paths that a condition may read, as a set; rather too many than too few."""
    return normal(_paths([*_tokens(condition)]))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "skip":
            yield str(match.lastgroup), match[0]


def _paths(tokens: Sequence[tuple[str, str]]) -> Iterator[str]:
    scopes: list[frozenset[str]] = []
    for at, (kind, text) in enumerate(tokens):
        if text in _OPEN:
            scopes.append(_bound(tokens, at) if text == "(" else frozenset())
        elif text in _CLOSE and scopes:
            scopes.pop()
        elif kind == "name" and text not in _WORDS and not _goes_on(tokens, at):
            chain = _chain(tokens, at)
            if chain and not any(chain[0] in scope for scope in scopes):
                yield ".".join(chain)


def _goes_on(tokens: Sequence[tuple[str, str]], at: int) -> bool:
    """Whether a name is a part of something before it, as in `a.b` and `f(x).b`."""
    dot = at - 2 if _mark(tokens, at - 1) == "?" and _mark(tokens, at - 2) == "." else at - 1
    if _mark(tokens, dot) != "." or dot < 1:
        return False
    kind, text = tokens[dot - 1]
    return kind != "mark" or text in _CLOSE


def _chain(tokens: Sequence[tuple[str, str]], at: int) -> list[str]:
    """Return the names of a path, without that of a function which is called at its end."""
    parts = [tokens[at][1]]
    place = at + 1
    while _mark(tokens, place) == "." and _kind(tokens, place + 1) == "name":
        parts.append(tokens[place + 1][1])
        place += 2
    return parts[:-1] if _mark(tokens, place) == "(" else parts


def _bound(tokens: Sequence[tuple[str, str]], at: int) -> frozenset[str]:
    """Return the names that a macro gives to elements inside the parenthesis at a place."""
    most = _BINDS.get(tokens[at - 1][1], 0) if _kind(tokens, at - 1) == "name" else 0
    places = [at + 1 + 2 * number for number in range(most)]
    return frozenset(
        tokens[place][1]
        for place in places
        if _kind(tokens, place) == "name" and _mark(tokens, place + 1) == ","
    )


def _kind(tokens: Sequence[tuple[str, str]], at: int) -> str:
    return tokens[at][0] if 0 <= at < len(tokens) else ""


def _mark(tokens: Sequence[tuple[str, str]], at: int) -> str:
    return tokens[at][1] if _kind(tokens, at) == "mark" else ""
