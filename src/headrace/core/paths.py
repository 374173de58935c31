"""Dotted paths in documents, compiled once to functions that read and write them.

A part of digits is an index where the document has a list, and a field's name elsewhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from headrace.errors import ConfigError, DocumentError, InvalidRowsError

Getter: TypeAlias = Callable[[Any], Any]
Setter: TypeAlias = Callable[[Any, Any], None]
Column: TypeAlias = Callable[[Sequence[Any]], list[Any]]

REQUIRED: Final[Any] = object()
"""The default of a path that must be there."""


def getter(path: str, default: Any = REQUIRED) -> Getter:
    """Compile a path to a function that returns what stands there in a document.

    The function raises `DocumentError` where the path is missing and there is no default. A null
    is a value, and never replaced by the default.

    Raises:
        ConfigError: The path is empty or has an empty part.
    """
    steps = _steps(path)
    name = steps[0][0]

    def absent() -> Any:
        if default is REQUIRED:
            raise DocumentError(f"missing field {path!r}") from None
        return default

    def get_field(document: Any) -> Any:
        try:
            return document[name]
        except (KeyError, TypeError):
            return absent()

    def get(document: Any) -> Any:
        value = document
        try:
            for name, index in steps:
                value = value[index if type(value) is list else name]
        except (KeyError, IndexError, TypeError):
            return absent()
        return value

    return get_field if len(steps) == 1 else get


def getter_column(path: str, default: Any = REQUIRED) -> Column:
    """Compile a path to a function that reads it from many documents, in their order.

    The function raises `InvalidRowsError`, naming every document that lacks the path, where there
    is no default.

    Raises:
        ConfigError: The path is empty or has an empty part.
    """
    names = [name for name, _ in _steps(path)]
    get = getter(path, default)

    def get_column(documents: Sequence[Any]) -> list[Any]:
        # Level by level without a call per document: nearly every batch has every field.
        values = documents
        try:
            for name in names:
                values = [value[name] for value in values]
        except (KeyError, TypeError):
            return _one_by_one(get, documents)
        return list(values)

    return get_column


def setter(path: str) -> Setter:
    """Compile a path to a function that writes a value into a document.

    Objects that are missing on the way are made; an element of a list must be there already. The
    function raises `DocumentError` where the path leads through anything else.

    Raises:
        ConfigError: The path is empty or has an empty part.
    """
    *way, (name, index) = _steps(path)

    def put(document: Any, value: Any) -> None:
        place = document
        try:
            for part, at in way:
                place = place[at] if type(place) is list else place.setdefault(part, {})
            place[index if type(place) is list else name] = value
        except (AttributeError, IndexError, TypeError):
            raise DocumentError(f"field {path!r} cannot be written: not an object there") from None

    return put


def _steps(path: str) -> list[tuple[str, Any]]:
    """Return every part as a name and, where it is a number, as an index."""
    parts = path.split(".")
    if not all(parts):
        raise ConfigError(f"the path {path!r} has an empty part")
    return [(part, int(part) if part.isascii() and part.isdigit() else None) for part in parts]


def _one_by_one(get: Getter, documents: Sequence[Any]) -> list[Any]:
    values: list[Any] = []
    reasons: dict[int, str] = {}
    for row, document in enumerate(documents):
        try:
            values.append(get(document))
        except DocumentError as error:
            reasons[row] = str(error)
    if reasons:
        raise InvalidRowsError(reasons)
    return values
