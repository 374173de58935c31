"""Lines of a file as values of records."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from headrace.errors import ConfigError


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield each line's bytes, without its line feed and otherwise as they are."""
    with path.open("rb") as file:
        yield from lines_of(file)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield each line's bytes, without its line feed and otherwise as they are."""
    return (line.removesuffix(b"\n") for line in file)


def json_lines(file: BinaryIO, key_path: str | None) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield each line that is not blank, and the key that is found in it.

    Raises:
        ConfigError: A line is not JSON, or lacks the key.
    """
    import msgspec

    key_of = _key_getter(key_path) if key_path else None
    for number, line in enumerate(file, 1):
        value = line.strip()
        if not value:
            continue
        try:
            document = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            name = getattr(file, "name", "input")
            raise ConfigError(f"line {number} of {name} is not JSON: {error}") from error
        yield value, key_of(document, number) if key_of else None


def _key_getter(path: str) -> Callable[[Any, int], bytes]:
    import msgspec

    names = path.split(".")

    def key_of(document: Any, number: int) -> bytes:
        found = document
        for name in names:
            if not isinstance(found, dict) or name not in found:
                raise ConfigError(f"line {number} has no field {path!r} to take the key from")
            found = found[name]
        return found.encode() if isinstance(found, str) else msgspec.json.encode(found)

    return key_of
