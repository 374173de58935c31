"""Where a model's bearer token comes from: the pipeline, a file that changes, or OAuth."""

import logging
import os
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from headrace.errors import ConfigError
from headrace.inference.messages import worth_hiding

_logger = logging.getLogger(__name__)


class Credentials(Protocol):
    """The login to a model server."""

    async def token(self) -> str:
        """Return the bearer token to send now, empty for none.

        Raises:
            InferenceUnavailableError: None can be had now.
            AccessRefusedError: Whoever gives tokens refuses.
        """
        ...

    def renew(self, refused: str) -> bool:
        """Forget a token that the server refused; return whether the next one may be another."""
        ...

    @property
    def secrets(self) -> Collection[str]:
        """Texts of the login that must not be shown."""
        ...


class FixedToken:
    """A token that stands in the pipeline, or none."""

    def __init__(self, token: str) -> None:
        self._token = sendable(token, "the token")

    async def token(self) -> str:
        """Return the token, empty for none."""
        return self._token

    def renew(self, refused: str) -> bool:
        """There is no other."""
        del refused
        return False

    @property
    def secrets(self) -> Collection[str]:
        """The token."""
        return worth_hiding([self._token])


class FileToken:
    """A token in a file, read again when the file changes, as Kubernetes rotates them.

    While the file is away or empty the token read last is used.

    Args:
        path: The file.

    Raises:
        ConfigError: It cannot be read, or holds no token.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._last = ""
        try:
            self._token = self._read()
        except OSError as error:
            raise ConfigError(f"token_file: {path}: {error.strerror}") from error

    async def token(self) -> str:
        """Return what the file holds now."""
        try:
            if self._mark() != self._seen:
                self._last, self._token = self._token, self._read()
        except (OSError, ConfigError) as error:
            _logger.warning(
                "the token file cannot be read: the last token is used",
                extra={"event": "token_file_unreadable", "file": self._path, "error": str(error)},
            )
        return self._token

    def renew(self, refused: str) -> bool:
        """Read the file at the next call; a change within the clock's tick may have hidden."""
        self._seen = None
        return self._token == refused

    @property
    def secrets(self) -> Collection[str]:
        """The token, and the one before it."""
        return worth_hiding([self._token, self._last])

    def _mark(self) -> tuple[int, int, int]:
        found = os.stat(self._path)  # noqa: PTH116 - twice as fast, at every call
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def _read(self) -> str:
        mark = self._mark()
        token = Path(self._path).read_bytes().decode(errors="replace").strip()
        if not token:
            raise ConfigError(f"token_file: {self._path} is empty")
        token = sendable(token, f"the token in {self._path}")
        self._seen = mark
        return token


def sendable(token: str, what: str) -> str:
    """Return a token that a header can carry.

    Raises:
        ConfigError: It cannot; the token is not repeated.
    """
    if not all(" " <= char <= "~" for char in token):
        raise ConfigError(f"{what} is not printable ASCII")
    return token
