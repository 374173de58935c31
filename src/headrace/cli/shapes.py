"""Records as lines of JSON, and rows as lines of columns."""

import base64
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from headrace.core.plain_text import one_line
from headrace.core.records import Record

_MOST_LEVELS: Final = 200
# What ends a line, steers a terminal or turns its writing round, in UTF-8.
_STEERING: Final = re.compile(
    rb"[\x00-\x08\x0a-\x1f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)


def value_line(record: Record) -> bytes:
    """Return the value on one line: as it is where that is possible, else as JSON text."""
    if record.value is None:
        return b"null"
    return record.value if _is_plain(record.value) else _line(decoded(record.value))


def as_object(record: Record) -> bytes:
    """Return the whole record as one JSON object."""
    return _line(described(record))


def described(record: Record) -> dict[str, Any]:
    """Return the whole record as plain data; JSON values are decoded, other bytes are text."""
    return {
        "topic": record.partition.topic,
        "partition": record.partition.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": readable(record.key),
        "headers": [[name, readable(content)] for name, content in record.headers or ()],
        "value": decoded(record.value),
    }


def decoded(value: bytes | None) -> Any:
    """Return what a JSON value says, the text or base64 of any other bytes."""
    if value is None:
        return None
    try:
        found = msgspec.json.decode(value)
    except (ValueError, RecursionError):
        return readable(value)
    return readable(value) if _is_deep(found) else found


def readable(content: bytes | None) -> Any:
    """Return UTF-8 bytes as text, others as `{"base64": ...}`."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def moment(ms: int, timespec: str) -> str:
    """Return milliseconds since the epoch as local time, empty for none."""
    if not ms:
        return ""
    try:
        return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(" ", timespec)
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of aligned columns."""
    rows = [tuple(map(one_line, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _is_plain(line: bytes) -> bool:
    return _STEERING.search(line) is None


def _line(content: Any) -> bytes:
    """Return JSON on one line; plain, whatever texts it holds."""
    line = msgspec.json.encode(content)
    return line if _is_plain(line) else json.dumps(content, separators=(",", ":")).encode()


def _is_deep(value: Any) -> bool:
    """Whether a value is nested so deeply that writing it may fail."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(_MOST_LEVELS):
        parts = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for part in parts for each in part if isinstance(each, dict | list)]
        if not level:
            return False
    return True
