"""Names that stand in record headers: the wire contract."""

from typing import Final

VERSION: Final = "headrace-v"
ID: Final = "headrace-id"
SOURCE: Final = "headrace-source"
MODELS: Final = "headrace-models"
PIPELINE: Final = "headrace-pipeline"
ATTEMPT: Final = "headrace-attempt"
NOT_BEFORE: Final = "headrace-not-before"
REPLAY: Final = "headrace-replay"
REPLAYED: Final = "headrace-replayed"
OUTCOME: Final = "headrace-outcome"
CHILDREN: Final = "headrace-children"
HOME: Final = "headrace-home"
DEADLINE: Final = "headrace-deadline"
PARTIAL: Final = "headrace-partial"
AT: Final = "headrace-at"
PREFIX: Final = "headrace-"

ERROR_CLASS: Final = "headrace-error-class"
ERROR_MESSAGE: Final = "headrace-error-message"
ERROR_STEP: Final = "headrace-error-step"
ERROR_ATTEMPTS: Final = "headrace-error-attempts"
ERROR_MODEL: Final = "headrace-error-model"
ERROR_VERSION: Final = "headrace-error-version"
ERROR_STATUS: Final = "headrace-error-status"
ERROR_SOURCE: Final = "headrace-error-source"
ERROR_FIRST: Final = "headrace-error-first"
ERROR_LAST: Final = "headrace-error-last"

FORMAT: Final = b"1"
"""The wire format this version writes and reads."""

DROPPED: Final = b"dropped"
"""Outcome: the record ended without a result on this edge."""

FAILED: Final = b"failed"
"""Outcome: the record was given up."""

EMPTY: Final = b"empty"
"""Outcome: the record was split into no children; on its way to what gathers them."""

CLOSED: Final = b"closed"
"""On a retry topic: the step ended this id early; parts of it that are still to come are late."""

MAX_ERROR_TEXT: Final = 4096
"""Most bytes of an error message in a header."""

_MOST_DIGITS: Final = 18
"""What fits 64 bits; Python itself refuses numbers of more than 4300 digits."""


def number(content: bytes | None) -> int:
    """Return the number in a header, 0 where it is missing or is none that headrace writes."""
    if content is None or len(content) > _MOST_DIGITS or not content.isdigit():
        return 0
    return int(content)
