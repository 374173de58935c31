"""HTTP status to our errors, once, at the edge."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from headrace.errors import (
    AccessRefusedError,
    InferenceError,
    InferenceFailedError,
    InferenceTimeoutError,
    InferenceUnavailableError,
    InvalidInputError,
)
from headrace.inference.messages import MODEL_NOT_READY, bounded, hidden

_ERRORS: dict[int, type[InferenceError]] = {
    401: AccessRefusedError,
    403: AccessRefusedError,
    404: AccessRefusedError,
    405: AccessRefusedError,
    429: InferenceUnavailableError,
    501: AccessRefusedError,
    503: InferenceUnavailableError,
    504: InferenceTimeoutError,
}
"""Every other 3xx is a wrong address, 4xx the records' fault, 5xx a failure of the server."""

_OF_400 = (
    (MODEL_NOT_READY, InferenceUnavailableError),
    # Triton before 22.12 says 400 whatever the reason.
    (
        re.compile(r"Request for unknown model: .* has no available versions"),
        InferenceUnavailableError,
    ),
    (re.compile(r"Request for unknown model: "), AccessRefusedError),
    # nginx on a port for TLS.
    (re.compile(r"plain HTTP request was sent to HTTPS port"), AccessRefusedError),
)
"""What servers say with 400 that is no fault of a record."""

_NOT_THERE = (
    "nothing of the Open Inference Protocol is there; check the URL's path, `authority` where an"
    " ingress stands before the server, or say `profile: v1` for KServe V1"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer other than 2xx.

    Attributes:
        status: Its number.
        body: What the server says.
        location: Where a redirection leads.
    """

    status: int
    body: bytes = b""
    location: str = ""


def translate(refusal: Refusal, where: str, secrets: Collection[str] = ()) -> InferenceError:
    """Return our error for an answer other than 2xx.

    Args:
        refusal: The answer.
        where: The model and the server, for the message.
        secrets: Texts that must not appear in the message, whoever repeats them.
    """
    said, is_protocols = _said(refusal.body)
    if refusal.status == HTTPStatus.NOT_FOUND and not is_protocols:
        said = f"{said}; {_NOT_THERE}" if said else _NOT_THERE
    if refusal.location:
        said = f"it redirects to {refusal.location}, which is not followed; write that URL"
    details = hidden(said or "no details", secrets)
    message = f"{where}: {details} (HTTP {refusal.status})"
    return _kind(refusal.status, said)(bounded(message), status=str(refusal.status))


def _kind(status: int, said: str) -> type[InferenceError]:
    if status == HTTPStatus.BAD_REQUEST:
        found = (kind for pattern, kind in _OF_400 if pattern.search(said))
        return next(found, InvalidInputError)
    if 400 <= status < 500:
        return _ERRORS.get(status, InvalidInputError)
    return _ERRORS.get(status, AccessRefusedError if status < 400 else InferenceFailedError)


def _said(body: bytes) -> tuple[str, bool]:
    """Return a server's words, and whether they are in the protocol's form."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:2000].decode(errors="replace").strip(), False
    if isinstance(found, dict):
        for key in ("error", "detail", "message"):
            if isinstance(found.get(key), str):
                return found[key], key == "error"
    return body[:2000].decode(errors="replace").strip(), False
