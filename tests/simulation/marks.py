"""Functions for random pipelines: `mark_0` to `mark_7` each write a field of their name.

A mark is a checksum of all that the function sees, so a field that is missing, stale or mixed up
on its way shows. One checksum in a few raises, another drops the record.
"""

import json
import zlib
from collections.abc import Callable
from typing import Any

COUNT = 8
RAISES, DROPS = 5, 6


def checksum(seen: Any) -> int:
    """Return a number that is equal for equal documents; messages of holes do not count."""
    return zlib.crc32(json.dumps(_plain(seen), sort_keys=True).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name != "message"}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _marker(field: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    def mark(document: dict[str, Any]) -> dict[str, Any] | None:
        number = checksum(document)
        if number % 16 == RAISES:
            raise ValueError(f"the number {number} is cursed")
        if number % 16 == DROPS:
            return None
        document[field] = number
        return document

    mark.__name__ = mark.__qualname__ = field
    return mark


FUNCTIONS = {f"mark_{number}": _marker(f"mark_{number}") for number in range(COUNT)}
globals().update(FUNCTIONS)
