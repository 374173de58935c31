"""Sets of dotted paths in documents: what is read, written and carried along an edge.

In a set no path lies inside another, and none leads through an element of a list: a part of digits
ends a path, so the list before it counts as a whole. None stands for the whole document.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from headrace.core.steps import Fields

Projection: TypeAlias = Callable[[Any], Any]
Overlay: TypeAlias = Callable[[Any, Any], Any]
_Tree: TypeAlias = Mapping[str, "_Tree | None"]


def normal(paths: Iterable[str]) -> tuple[str, ...]:
    """Return paths as a set, sorted; a document's own field may be a number."""
    known: list[str] = []
    for path in sorted({cut(path) for path in paths}, key=lambda path: path.split(".")):
        # Sorted by parts, a path is followed by everything inside it.
        if not known or not _is_inside(path, known[-1]):
            known.append(path)
    return tuple(known)


def cut(path: str) -> str:
    """Return a path up to the list that it takes an element of."""
    first, *parts = path.split(".")
    names: list[str] = [first]
    for part in parts:
        if part.isascii() and part.isdigit():
            break
        names.append(part)
    return ".".join(names)


def union(*sets: Fields) -> Fields:
    """Return what is in any of the sets."""
    paths: list[str] = []
    for each in sets:
        if each is None:
            return None
        paths += each
    return normal(paths)


def minus(left: Fields, right: Fields) -> Fields:
    """Return what is in the left set and not in the right one, or more where no set says that.

    A path of the left set stays whole where the right one has a part of it only.
    """
    if right is None:
        return ()
    if left is None:
        return None
    return tuple(path for path in left if not covers(right, path))


def common(left: Fields, right: Fields) -> Fields:
    """Return what is in both sets."""
    if left is None or right is None:
        return right if left is None else left
    return normal(
        [
            *(path for path in left if covers(right, path)),
            *(path for path in right if covers(left, path)),
        ]
    )


def covers(fields: Fields, path: str) -> bool:
    """Whether all of a path is in a set."""
    return fields is None or any(_is_inside(path, each) for each in fields)


def projection(fields: Fields) -> Projection:
    """Compile a set to a function that returns a document with nothing but those paths.

    Paths that are missing are left out. One that leads through a list or a single value takes all
    of that. What is selected whole is shared with the document, what is selected in part is new.
    """
    if fields is None:
        return _whole
    tree = _tree(fields)
    names = tuple(tree)

    def select(document: Any) -> Any:
        return _selected(document, tree)

    def select_flat(document: Any) -> Any:
        if type(document) is not dict:
            return document
        return {name: document[name] for name in names if name in document}

    return select_flat if not any(tree.values()) else select


def overlay(fields: tuple[str, ...]) -> Overlay:
    """Compile a set to a function that puts those paths of one document over another.

    It takes the document and the one that is put over it, and changes neither. Paths that are
    missing in the latter stay as they are.
    """
    tree = _tree(fields)

    def put_over(document: Any, part: Any) -> Any:
        return _overlaid(document, part, tree)

    return put_over


def _is_inside(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def _tree(fields: Iterable[str]) -> _Tree:
    tree: dict[str, Any] = {}
    for path in normal(fields):
        *way, last = path.split(".")
        place = tree
        for part in way:
            place = place.setdefault(part, {})
        place[last] = None
    return tree


def _whole(document: Any) -> Any:
    return document


def _selected(value: Any, tree: _Tree) -> Any:
    if type(value) is not dict:
        return value
    return {
        name: value[name] if inner is None else _selected(value[name], inner)
        for name, inner in tree.items()
        if name in value
    }


def _overlaid(value: Any, part: Any, tree: _Tree) -> Any:
    if type(value) is not dict or type(part) is not dict:
        return _selected(part, tree)
    merged = dict(value)
    for name, inner in tree.items():
        if name not in part:
            continue
        if inner is None:
            merged[name] = part[name]
        else:
            merged[name] = _overlaid(value.get(name), part[name], inner)
    return merged
