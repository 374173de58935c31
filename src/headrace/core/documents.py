"""Documents as plain values."""

from typing import Any


def copied(document: Any) -> Any:
    """Return a document that shares no object and no list with the given one."""
    try:
        return _copied(document)
    except RecursionError:
        return _copied_in_turn(document)


def _copied(document: Any) -> Any:
    if type(document) is dict:
        return {name: _copied(value) for name, value in document.items()}
    if type(document) is list:
        return [_copied(value) for value in document]
    return document


def _copied_in_turn(document: Any) -> Any:
    """Return a copy of what is nested deeper than calls can be; a decoder counts fewer levels."""
    whole = [document]
    left: list[Any] = [whole]
    while left:
        part = left.pop()
        for at, value in list(part.items() if type(part) is dict else enumerate(part)):
            if type(value) in (dict, list):
                part[at] = value.copy()
                left.append(part[at])
    return whole[0]
