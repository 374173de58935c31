"""Records as lines of JSON, and rows as lines of columns."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.core.records import Record


def value_line(record: Record) -> bytes:
    """Return the value on one line: as it is where that is possible, else as JSON text."""
    if record.value is None:
        return b"null"
    if b"\n" not in record.value and b"\r" not in record.value:
        return record.value
    try:
        return msgspec.json.encode(msgspec.json.decode(record.value))
    except msgspec.DecodeError:
        return msgspec.json.encode(readable(record.value))


def as_object(record: Record) -> bytes:
    """Return the whole record as one JSON object."""
    return msgspec.json.encode(described(record))


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
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return readable(value)


def readable(content: bytes | None) -> Any:
    """Return UTF-8 bytes as text, others as `{"base64": ...}`."""
    if content is None:
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
