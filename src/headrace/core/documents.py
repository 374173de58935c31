"""Documents as plain values."""

from typing import Any


def copied(document: Any) -> Any:
    """Return a document that shares no object and no list with the given one."""
    if type(document) is dict:
        return {name: copied(value) for name, value in document.items()}
    if type(document) is list:
        return [copied(value) for value in document]
    return document
