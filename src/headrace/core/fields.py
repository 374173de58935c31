"""Which parts of a document travel: sets of dotted paths."""

from collections.abc import Callable
from typing import Any

from headrace.core.topology import Fields


def projection(fields: Fields) -> Callable[[Any], Any] | None:
    """Compile a set of paths to a function that restricts a document to them; None for all."""
    if fields is None:
        return None
    if not fields:
        return lambda _: {}
    tree: dict[str, Any] = {}
    for path in fields:
        node = tree
        for part in path.split("."):
            node = node.setdefault(part, {})
    return lambda document: _restrict(document, tree)


def _restrict(document: Any, tree: dict[str, Any]) -> Any:
    if not tree or not isinstance(document, dict):
        return document
    return {
        name: _restrict(document[name], below) for name, below in tree.items() if name in document
    }


def copied(document: Any) -> Any:
    """Return a document that shares no object or list with the given one."""
    if type(document) is dict:
        return {name: copied(value) for name, value in document.items()}
    if type(document) is list:
        return [copied(value) for value in document]
    return document
