"""Lines of a file as values of records."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from headrace.core.paths import getter
from headrace.errors import ConfigError, DocumentError

KeyOf: TypeAlias = Callable[[Any], bytes]


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield each line's bytes, without its line feed and otherwise as they are."""
    with path.open("rb") as file:
        yield from lines_of(file)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield each line's bytes, without its line feed and otherwise as they are."""
    return (line.removesuffix(b"\n") for line in file)


def keyed_lines(path: Path, key_of: KeyOf | None) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield each line's bytes as they are, and the key that is found in it.

    A line that is not JSON or lacks the key has none.
    """
    import msgspec

    for value in raw_lines(path):
        try:
            yield value, key_of(msgspec.json.decode(value)) if key_of else None
        except (msgspec.DecodeError, DocumentError):
            yield value, None


def json_lines(file: BinaryIO, key_path: str | None) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield each line that is not blank, and the key that is found in it.

    Raises:
        ConfigError: A line is not JSON, or lacks the key.
    """
    import msgspec

    key_of = key_getter(key_path) if key_path else None
    for number, line in enumerate(file, 1):
        value = line.strip()
        if not value:
            continue
        try:
            document = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            name = getattr(file, "name", "input")
            raise ConfigError(f"line {number} of {name} is not JSON: {error}") from error
        try:
            yield value, key_of(document) if key_of else None
        except DocumentError:
            raise ConfigError(
                f"line {number} has no field {key_path!r} to take the key from"
            ) from None


def key_getter(path: str) -> KeyOf:
    """Compile a dotted path to a function that returns the key that stands there in a document.

    The function raises `DocumentError` where there is none.

    Raises:
        ConfigError: The path is none.
    """
    import msgspec

    get = getter(path)

    def key_of(document: Any) -> bytes:
        found = get(document)
        return found.encode() if isinstance(found, str) else msgspec.json.encode(found)

    return key_of
