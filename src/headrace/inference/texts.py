"""How elements of BYTES become text, or base64 where the pipeline says so."""

import base64
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Leniency:
    """What an output's field allows.

    Attributes:
        as_base64: Turn BYTES into base64 text, whatever they hold.
        nan_as_null: Turn NaN into None.
        is_base64: Whether BYTES are base64 text of what is meant.
    """

    as_base64: bool
    nan_as_null: bool
    is_base64: bool


def texts(parts: list[Any], leniency: Leniency) -> tuple[list[Any], dict[int, str]]:
    """Return the elements as text, and what is wrong with those that are none."""
    faults: dict[int, str] = {}
    if leniency.is_base64:
        parts, faults = _from_base64(parts)
    if leniency.as_base64:
        return [base64.b64encode(_bytes(part)).decode("ascii") for part in parts], faults
    try:
        return [_text(part) for part in parts], faults
    except UnicodeError:
        broken = {at: "BYTES are not UTF-8" for at, part in enumerate(parts) if not _is_utf8(part)}
        return [None if at in broken else _text(part) for at, part in enumerate(parts)], (
            broken | faults
        )


def _from_base64(parts: list[Any]) -> tuple[list[Any], dict[int, str]]:
    decoded: list[Any] = []
    faults = {}
    for at, part in enumerate(parts):
        try:
            decoded.append(base64.b64decode(part, validate=True))
        except ValueError:
            decoded.append(b"")
            faults[at] = "BYTES are not base64, as the answer says they are"
    return decoded, faults


def _bytes(part: str | bytes) -> bytes:
    return part.encode(errors="surrogatepass") if isinstance(part, str) else part


def _text(part: str | bytes) -> str:
    """Return an element of BYTES as text; half of a surrogate pair in JSON is none."""
    if isinstance(part, bytes):
        return part.decode()
    if not part.isascii():
        part.encode()
    return part


def _is_utf8(part: str | bytes) -> bool:
    try:
        _text(part)
    except UnicodeError:
        return False
    return True
